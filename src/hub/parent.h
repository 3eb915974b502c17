/* SPDX-License-Identifier: Apache-2.0
 *
 * fairlead-hub itself: the parent of signer, control and front. It binds the listeners, starts the
 * three, hands out listeners and channels, starts again what dies, and ends them in order. It
 * parses nothing from outside and holds no key. See docs/design/process.md.
 */
#ifndef FL_HUB_PARENT_H
#define FL_HUB_PARENT_H

#include "base/error.h"

/* Whether the hub in `dir` could run: configuration, files, ports. When one runs there already its
 * ports are not tried. Starts nothing, changes nothing. */
FL_MUST_USE enum fl_error fl_hub_check(const char *dir, struct fl_context *ctx);

/* Runs until SIGTERM or SIGINT (FL_OK) or until it cannot go on. Writes "ready" and a newline on
 * standard output once, when all three processes are ready for the first time. */
FL_MUST_USE enum fl_error fl_hub_run(const char *dir, struct fl_context *ctx);

#endif
