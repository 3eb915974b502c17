/* SPDX-License-Identifier: Apache-2.0
 *
 * The three processes under fairlead-hub, in one table: names, users, what each may touch. Used by
 * the parent, which starts them, and by the processes themselves (io/child).
 */
#ifndef FL_IO_ROLE_H
#define FL_IO_ROLE_H

#include "base/log.h"
#include "codec/msg.h"

#define FL_ROLE_CONTROL_FD 3
/* Exit status of a process that cannot start with what it was given (sysexits EX_CONFIG). */
#define FL_ROLE_EXIT_CONFIG 78
#define FL_ROLE_COUNT 3

struct fl_role {
    enum fl_msg_from from;
    const char *name; /* in log lines */
    const char *peer; /* in CHANNEL and LOST messages */
    const char *program;
    const char *purpose;
    uint32_t uid; /* user and group when started as root */
};

/* In the order in which they are started; they end in the opposite order. */
extern const struct fl_role fl_roles[FL_ROLE_COUNT];

const struct fl_role *fl_role_of(enum fl_msg_from from);     /* never NULL for a child's role */
const struct fl_role *fl_role_named(struct fl_slice peer);   /* NULL: unknown */
const char *fl_role_log_level_name(enum fl_log_level level); /* "info" */
bool fl_role_log_level(struct fl_slice name, enum fl_log_level *level);
const char *fl_role_log_format_name(enum fl_log_format format); /* "text" */
/* Nothing is "text" too. */
bool fl_role_log_format(struct fl_slice name, enum fl_log_format *format);

/* Enters the role's sandbox; `dir` (of `size` bytes) becomes the hub directory as it is seen from
 * inside. */
FL_MUST_USE enum fl_error fl_role_sandbox(const struct fl_role *role, char *dir, size_t size,
                                          struct fl_context *ctx);

#endif
