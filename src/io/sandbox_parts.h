/* SPDX-License-Identifier: Apache-2.0
 *
 * The two kernel mechanisms behind io/sandbox, for io/sandbox.c only. Landlock limits which files
 * can be opened and forbids TCP connections of the process's own; seccomp limits which system calls
 * can be made at all.
 */
#ifndef FL_IO_SANDBOX_PARTS_H
#define FL_IO_SANDBOX_PARTS_H

#include "io/sandbox.h"

/* Makes the rules while the paths can still be reached. -1 with FL_OK: this kernel has no Landlock,
 * which was logged as a warning. */
FL_MUST_USE enum fl_error fl_sandbox_landlock_prepare(const struct fl_sandbox *policy,
                                                      int *ruleset_fd, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_sandbox_landlock_enter(int ruleset_fd, struct fl_context *ctx);

FL_MUST_USE enum fl_error fl_sandbox_seccomp(enum fl_sandbox_class class, struct fl_context *ctx);

#endif
