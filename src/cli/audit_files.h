/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log, the issuance log and the registry as they lie in a hub's directory while no hub
 * runs there: the same answers as the API gives, from the files. Only for the hub's owner and root.
 */
#ifndef FL_CLI_AUDIT_FILES_H
#define FL_CLI_AUDIT_FILES_H

#include "cli/cli.h"

/* As GET /api/v1/audit/verify answers. */
FL_MUST_USE enum fl_error fl_audit_files_verify(const char *directory, json_t **answer,
                                                struct fl_context *ctx);

struct fl_audit_files_query {
    const char *directory;
    const char *device; /* NULL: all */
    fl_time_t since;
    uint64_t after;
    uint64_t limit; /* 0: all */
};
/* Rows as GET /api/v1/issued answers. A visit's error ends it and is returned. */
FL_MUST_USE enum fl_error fl_audit_files_issued(const struct fl_audit_files_query *query,
                                                enum fl_error (*visit)(void *to, json_t *row,
                                                                       struct fl_context *ctx),
                                                void *to, struct fl_context *ctx);

#endif
