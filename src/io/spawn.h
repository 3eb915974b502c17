/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts a program of ours as a child: standard input is /dev/null, standard output goes to
 * standard error (the parent's output is the parent's), descriptor 3 is what it was given, nothing
 * else is open, the environment is bare, the child has a process group of its own and dies with its
 * parent.
 */
#ifndef FL_IO_SPAWN_H
#define FL_IO_SPAWN_H

#include "base/error.h"

#include <sys/types.h>

/* FL_ENOTFOUND, FL_EDENIED: the program cannot be executed. `fd` stays the caller's. */
FL_MUST_USE enum fl_error fl_spawn(const char *path, int fd, pid_t *pid, struct fl_context *ctx);

#endif
