/* SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `reading` share.
 */
#ifndef FL_CLI_READING_H
#define FL_CLI_READING_H

#include "cli/api.h"

FL_MUST_USE enum fl_error fl_reading_run_show(struct fl_cli *cli, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_reading_run_tail(struct fl_cli *cli, struct fl_context *ctx);

/* "/api/v1/devices/ID/readings?stream=...&from=..."; the verb has --stream. `from` NULL: none. */
FL_MUST_USE enum fl_error fl_reading_path(struct fl_cli *cli, const char *from, const char *order,
                                          uint64_t limit, struct fl_buffer *path,
                                          struct fl_context *ctx);

/* "2026-11-22T07:19:48Z,temperature,21.3\n" (RFC 4180). */
void fl_reading_csv(struct fl_buffer *out, const json_t *row);

/* The answers' pages; the hub gives at most FL_LIMIT_READINGS_PAGE. */
#define FL_READING_CSV_HEAD "t,stream,value\n"

#endif
