/* SPDX-License-Identifier: Apache-2.0
 *
 * How verbs show lists and single objects of the API: the rows either as a JSON array, one row a
 * line and printed as they arrive, or as a table; an object as lines of "name  value".
 */
#ifndef FL_CLI_LIST_H
#define FL_CLI_LIST_H

#include "cli/api.h"

struct fl_list_show {
    const struct fl_text_column *columns;
    size_t column_count;
    void (*row)(struct fl_text_table *table, const json_t *row);
    const char *nothing; /* said instead of an empty table */
};

/* Shows what fl_api_each visits (`list` without its visit). */
FL_MUST_USE enum fl_error fl_list_show(struct fl_api *api, const struct fl_api_list *list,
                                       const struct fl_list_show *show, struct fl_context *ctx);

/* The same of rows that come from elsewhere: `each` visits them and drops them. */
struct fl_list_rows {
    enum fl_error (*each)(void *self,
                          enum fl_error (*visit)(void *to, json_t *row, struct fl_context *ctx),
                          void *to, struct fl_context *ctx);
    void *self;
};
FL_MUST_USE enum fl_error fl_list_show_rows(struct fl_cli *cli, const struct fl_list_rows *rows,
                                            const struct fl_list_show *show,
                                            struct fl_context *ctx);

/* Rows of a JSON array as they come. Begin, rows, end; on failure the array stays open, so that
 * nobody takes half of it for all. */
struct fl_json_rows {
    struct fl_cli *cli;
    size_t count;
    struct fl_buffer text;
};
void fl_json_rows_begin(struct fl_json_rows *rows, struct fl_cli *cli);
FL_MUST_USE enum fl_error fl_json_rows_add(struct fl_json_rows *rows, json_t *row,
                                           struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_json_rows_end(struct fl_json_rows *rows, struct fl_context *ctx);
void fl_json_rows_free(struct fl_json_rows *rows);

/* "  name       value\n"; an empty value is shown as "-". Both are made harmless. */
void fl_list_line(struct fl_buffer *out, const char *name, const char *format, ...) FL_PRINTF(3, 4);

/* A time of the API for a person: "2026-11-22T07:19:48Z (in 15m)" or "(2h ago)"; "-" if empty. */
void fl_list_moment(const char *time, char *to, size_t size);

#endif
