/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/reading_every.h"

#include "cli/json.h"
#include "cli/list.h"
#include "cli/reading.h"

#define CSV_HEAD "t,stream,count,min,mean,max,first,last\n"

/* --- fetching: page after page, each beginning where the last bucket ended --- */

struct fetching {
    struct fl_api *api;
    const char *every;
    fl_time_t every_ms;
    enum fl_error (*visit)(void *to, json_t *row, struct fl_context *ctx);
    void *to;
};

static enum fl_error fetch_page(const struct fetching *f, const char *from, json_t **rows,
                                struct fl_context *ctx)
{
    struct fl_buffer path = FL_BUFFER(4096);
    enum fl_error e = fl_reading_path(f->api->cli, from, "asc", FL_LIMIT_READINGS_PAGE, &path, ctx);

    fl_api_query(&path, "every", f->every);
    if (e == FL_OK && path.failed)
        e = fl_fail(ctx, FL_ELIMIT, "the request is too long");
    if (e == FL_OK)
        e = fl_api_call(f->api, "GET", fl_buffer_str(&path), NULL, rows, ctx);
    if (e == FL_OK && !json_is_array(*rows))
        e = fl_fail(ctx, FL_EPARSE, "the hub's answer is not an array");
    fl_buffer_free(&path);
    return e;
}

static enum fl_error fetch(const struct fetching *f, const char *from, struct fl_context *ctx)
{
    char next[FL_TIME_TEXT_MAX] = "";
    bool more = true;
    enum fl_error e = FL_OK;

    while (more && e == FL_OK) {
        json_t *rows = NULL;
        fl_time_t last = 0;

        e = fetch_page(f, next[0] ? next : from, &rows, ctx);
        more = json_array_size(rows) > 0;
        for (size_t i = 0; i < json_array_size(rows) && e == FL_OK; i++) {
            json_t *row = json_array_get(rows, i);

            if (fl_time_parse(fl_slice_str(fl_json_text(row, "t")), &last) != FL_OK)
                e = fl_fail(ctx, FL_EPARSE, "the hub's answer holds something that is no bucket");
            else
                e = f->visit(f->to, row, ctx);
        }
        fl_time_format(last + f->every_ms, next);
        json_decref(rows);
    }
    return e;
}

/* --- showing --- */

static const struct fl_text_column columns[] = {
    {.title = "FROM"},
    {.title = "STREAM", .shrink_to = 8},
    {.title = "COUNT", .right = true},
    {.title = "MIN", .right = true},
    {.title = "MEAN", .right = true},
    {.title = "MAX", .right = true},
    {.title = "FIRST", .right = true, .may_go = true},
    {.title = "LAST", .right = true},
};
static const char *const numbers[] = {"min", "mean", "max", "first", "last"};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

struct showing {
    struct fl_cli *cli;
    struct fl_text_table table;
    struct fl_json_rows rows;
    struct fl_buffer csv;
    size_t count;
};

static void csv_row(struct fl_buffer *out, const json_t *row)
{
    char text[FL_NUMBER_TEXT];

    fl_buffer_printf(out, "%s,%s,%lld", fl_json_text(row, "t"), fl_json_text(row, "stream"),
                     (long long)fl_json_int(row, "count"));
    for (size_t i = 0; i < NUMBERS; i++)
        fl_buffer_printf(out, ",%s", fl_number_format(fl_json_number(row, numbers[i]), text));
    fl_buffer_append_byte(out, '\n');
}

static void table_row(struct fl_text_table *table, const json_t *row)
{
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(row, "t"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(row, "stream"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%lld", (long long)fl_json_int(row, "count"));
    for (size_t i = 0; i < NUMBERS; i++)
        fl_text_table_cell(table, FL_STYLE_NONE, "%.6g", fl_json_number(row, numbers[i]));
}

static enum fl_error show_row(void *to, json_t *row, struct fl_context *ctx)
{
    struct showing *s = to;

    s->count++;
    if (s->cli->json)
        return fl_json_rows_add(&s->rows, row, ctx);
    if (!fl_cli_option(s->cli, "csv")) {
        table_row(&s->table, row);
        return FL_OK;
    }
    csv_row(&s->csv, row);
    return s->csv.failed ? fl_fail(ctx, FL_ELIMIT, "too many buckets: choose with --since") : FL_OK;
}

static enum fl_error finish(struct showing *s, struct fl_context *ctx)
{
    if (s->cli->json)
        return fl_json_rows_end(&s->rows, ctx);
    if (fl_cli_option(s->cli, "csv"))
        return fl_cli_write(s->cli, &s->csv, ctx);
    if (s->count == 0)
        (void)fprintf(stderr, "no readings\n");
    return s->count ? fl_cli_write_table(s->cli, &s->table, ctx) : FL_OK;
}

enum fl_error fl_reading_show_every(struct fl_api *api, const char *from, struct fl_context *ctx)
{
    struct showing s = {.cli = api->cli, .csv = FL_BUFFER(64L * 1024 * 1024)};
    struct fetching f = {.api = api, .visit = show_row, .to = &s};
    enum fl_error e = FL_OK;

    f.every = fl_cli_option(api->cli, "every");
    if (fl_duration_parse(fl_slice_str(f.every), &f.every_ms) != FL_OK || f.every_ms < 1000)
        return fl_cli_usage(api->cli, ctx, "--every: a duration of a second or more, such as 5m");
    fl_text_table_init(&s.table, columns, sizeof columns / sizeof columns[0]);
    fl_json_rows_begin(&s.rows, api->cli);
    fl_buffer_append_str(&s.csv, CSV_HEAD);
    e = fetch(&f, from, ctx);
    if (e == FL_OK)
        e = finish(&s, ctx);
    fl_text_table_free(&s.table);
    fl_json_rows_free(&s.rows);
    fl_buffer_free(&s.csv);
    return e;
}

/* --- the points of a plot --- */

static enum fl_error add_points(void *to, json_t *row, struct fl_context *ctx)
{
    static const char *const ends[] = {"min", "max"};
    enum fl_error e = FL_OK;

    for (size_t i = 0; i < 2 && e == FL_OK; i++) {
        (void)json_object_set(row, "value", json_object_get(row, ends[i]));
        e = fl_reading_set_add(to, row, ctx);
    }
    return e;
}

/* The time of the first or the last reading; FL_EMORE: there are few. */
static enum fl_error end_of_range(struct fl_api *api, const char *from, const char *order,
                                  uint64_t limit, fl_time_t *t, struct fl_context *ctx)
{
    struct fl_buffer path = FL_BUFFER(4096);
    json_t *rows = NULL;
    const char *text = NULL;
    enum fl_error e = fl_reading_path(api->cli, from, order, limit, &path, ctx);

    if (e == FL_OK)
        e = fl_api_call(api, "GET", fl_buffer_str(&path), NULL, &rows, ctx);
    text = fl_json_text(json_array_get(rows, 0), "t");
    if (e == FL_OK && json_array_size(rows) < limit)
        e = FL_EMORE;
    else if (e == FL_OK && fl_time_parse(fl_slice_str(text), t) != FL_OK)
        e = fl_fail(ctx, FL_EPARSE, "the hub's answer holds something that is not a reading");
    json_decref(rows);
    fl_buffer_free(&path);
    return e;
}

enum fl_error fl_reading_plot_points(struct fl_api *api, const char *from, size_t column_count,
                                     struct fl_reading_set *set, struct fl_context *ctx)
{
    char every[32];
    struct fetching f = {.api = api, .every = every, .visit = add_points, .to = set};
    fl_time_t first = 0;
    fl_time_t last = 0;
    enum fl_error e = end_of_range(api, from, "asc", FL_LIMIT_READINGS_PAGE, &first, ctx);

    if (e == FL_OK)
        e = end_of_range(api, from, "desc", 1, &last, ctx);
    if (e != FL_OK)
        return e;
    /* Two buckets to a column of dots, in whole seconds. */
    f.every_ms = (last - first) / (fl_time_t)(4 * column_count) / 1000 * 1000;
    if (f.every_ms < 1000)
        f.every_ms = 1000;
    (void)snprintf(every, sizeof every, "%llds", (long long)(f.every_ms / 1000));
    return fetch(&f, from, ctx);
}
