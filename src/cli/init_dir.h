/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder that comes to be whole or not at all. It is built beside its place under another name
 * and renamed when everything is on stable storage; in a folder that exists and is empty (a mount
 * point, say) it is built in a subfolder and moved up, the last file last. Files are made with
 * O_EXCL and their final mode.
 */
#ifndef FL_CLI_INIT_DIR_H
#define FL_CLI_INIT_DIR_H

#include "base/error.h"
#include "base/slice.h"

#define FL_INIT_PATH_MAX 4096

struct fl_init_dir {
    char place[FL_INIT_PATH_MAX]; /* absolute */
    char stage[FL_INIT_PATH_MAX];
    bool existed;
};

/* FL_EEXISTS: something is there; nothing was touched. */
FL_MUST_USE enum fl_error fl_init_dir_open(struct fl_init_dir *dir, const char *path,
                                           struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_init_dir_folder(struct fl_init_dir *dir, const char *name,
                                             unsigned mode, struct fl_context *ctx);
/* `name` is relative to the folder; it is on stable storage when this returns. */
FL_MUST_USE enum fl_error fl_init_dir_file(struct fl_init_dir *dir, const char *name, unsigned mode,
                                           struct fl_slice contents, struct fl_context *ctx);
/* Puts it into its place; `last` is the file whose presence says that all is there. After a failure
 * the place is as it was. */
FL_MUST_USE enum fl_error fl_init_dir_publish(struct fl_init_dir *dir, const char *last,
                                              struct fl_context *ctx);
/* Removes what was built. After fl_init_dir_publish succeeded it does nothing. */
void fl_init_dir_discard(struct fl_init_dir *dir);

#endif
