/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub directory as the parent sees it: is it whole, is it private enough, is nobody else
 * running on it; and, for root, made to belong to the processes that will use it. Every complaint
 * names the path and the remedy. See docs/design/hub-directory.md.
 */
#ifndef FL_HUB_DIR_H
#define FL_HUB_DIR_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define FL_HUB_DIR_MAX 4096

/* The absolute path of `dir` without links, and that it is a folder. */
FL_MUST_USE enum fl_error fl_hub_dir_resolve(const char *dir, char to[FL_HUB_DIR_MAX],
                                             struct fl_context *ctx);
/* What must be there is there, is what it should be, and secrets are not open to others. */
FL_MUST_USE enum fl_error fl_hub_dir_check(const char *dir, struct fl_context *ctx);
/* Takes DIR/run/lock for as long as `fd` is open. FL_EBUSY: a hub runs here (its process id is in
 * the words). Makes DIR/run when it is not there. */
FL_MUST_USE enum fl_error fl_hub_dir_lock(const char *dir, int *fd, struct fl_context *ctx);
/* Whether a hub holds that lock now; changes nothing. */
FL_MUST_USE enum fl_error fl_hub_dir_in_use(const char *dir, bool *in_use, struct fl_context *ctx);
/* What directories made by older programs lack: broker/, empty. */
FL_MUST_USE enum fl_error fl_hub_dir_make(const char *dir, struct fl_context *ctx);
/* As root: keys/ to the signer (but for root.key), state/ to control, broker/ to the front, without
 * following links; what control reads is made readable. As anyone else: nothing. */
FL_MUST_USE enum fl_error fl_hub_dir_own(const char *dir, struct fl_context *ctx);

#endif
