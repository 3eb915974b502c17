/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/list.h"

#include "cli/json.h"
#include "cli/text.h"

#define FLUSH_AT 65536

void fl_json_rows_begin(struct fl_json_rows *rows, struct fl_cli *cli)
{
    *rows = (struct fl_json_rows){.cli = cli, .text = FL_BUFFER(64UL * 1024 * 1024)};
    fl_buffer_append_byte(&rows->text, '[');
}

static enum fl_error flush(struct fl_json_rows *rows, struct fl_context *ctx)
{
    enum fl_error e = fl_cli_write(rows->cli, &rows->text, ctx);

    fl_buffer_clear(&rows->text);
    return e;
}

enum fl_error fl_json_rows_add(struct fl_json_rows *rows, json_t *row, struct fl_context *ctx)
{
    fl_buffer_append_str(&rows->text, rows->count++ ? ",\n " : "\n ");
    (void)fl_json_print(row, &rows->text); /* a failure stays in the buffer */
    return rows->text.size > FLUSH_AT ? flush(rows, ctx) : FL_OK;
}

enum fl_error fl_json_rows_end(struct fl_json_rows *rows, struct fl_context *ctx)
{
    fl_buffer_append_str(&rows->text, rows->count ? "\n]\n" : "]\n");
    return flush(rows, ctx);
}

void fl_json_rows_free(struct fl_json_rows *rows)
{
    fl_buffer_free(&rows->text);
}

struct showing {
    const struct fl_list_show *show;
    struct fl_text_table table;
    struct fl_json_rows rows;
};

static enum fl_error visit_table(void *to, json_t *row, struct fl_context *ctx)
{
    struct showing *s = to;

    (void)ctx;
    s->show->row(&s->table, row);
    return FL_OK;
}

static enum fl_error visit_json(void *to, json_t *row, struct fl_context *ctx)
{
    struct showing *s = to;

    return fl_json_rows_add(&s->rows, row, ctx);
}

enum fl_error fl_list_show_rows(struct fl_cli *cli, const struct fl_list_rows *rows,
                                const struct fl_list_show *show, struct fl_context *ctx)
{
    struct showing s = {.show = show};
    enum fl_error e = FL_OK;

    fl_json_rows_begin(&s.rows, cli);
    fl_text_table_init(&s.table, show->columns, show->column_count);
    e = rows->each(rows->self, cli->json ? visit_json : visit_table, &s, ctx);
    if (e == FL_OK && cli->json)
        e = fl_json_rows_end(&s.rows, ctx);
    else if (e == FL_OK && fl_text_table_rows(&s.table) > 0)
        e = fl_cli_write_table(cli, &s.table, ctx);
    else if (e == FL_OK)
        (void)fprintf(stderr, "%s\n", show->nothing);
    fl_text_table_free(&s.table);
    fl_json_rows_free(&s.rows);
    return e;
}

struct from_api {
    struct fl_api *api;
    const struct fl_api_list *list;
};

static enum fl_error
each_of_api(void *self, enum fl_error (*visit)(void *to, json_t *row, struct fl_context *ctx),
            void *to, struct fl_context *ctx)
{
    const struct from_api *from = self;
    struct fl_api_list list = *from->list;

    list.visit = visit;
    list.to = to;
    return fl_api_each(from->api, &list, ctx);
}

enum fl_error fl_list_show(struct fl_api *api, const struct fl_api_list *list,
                           const struct fl_list_show *show, struct fl_context *ctx)
{
    struct from_api from = {api, list};
    const struct fl_list_rows rows = {each_of_api, &from};

    return fl_list_show_rows(api->cli, &rows, show, ctx);
}

void fl_list_line(struct fl_buffer *out, const char *name, const char *format, ...)
{
    char value[2048];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(value, sizeof value, format, args);
    va_end(args);
    fl_buffer_printf(out, "  %-12s ", name);
    fl_text_safe(fl_slice_str(value[0] ? value : "-"), out);
    fl_buffer_append_byte(out, '\n');
}

void fl_list_moment(const char *time, char *to, size_t size)
{
    fl_time_t at = 0;
    fl_time_t now = fl_cli_now();
    char distance[FL_TIME_TEXT_MAX];
    fl_time_t apart = 0;

    if (!time[0] || fl_time_parse(fl_slice(time, strlen(time)), &at) != FL_OK) {
        (void)snprintf(to, size, "%s", time[0] ? time : "-");
        return;
    }
    apart = at > now ? at - now : now - at;
    fl_duration_format((apart + 500) / 1000 * 1000, distance);
    if (at > now)
        (void)snprintf(to, size, "%s (in %s)", time, distance);
    else
        (void)snprintf(to, size, "%s (%s ago)", time, distance);
}
