/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/reading.h"

#include "base/limits.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/nouns.h"
#include "cli/reading_every.h"
#include "cli/reading_set.h"
#include "cli/text.h"

#include <stdlib.h>

#define NEWEST 10 /* rows below the summary when nothing else was asked */
#define PLOT_HEIGHT 14

enum fl_error fl_reading_path(struct fl_cli *cli, const char *from, const char *order,
                              uint64_t limit, struct fl_buffer *path, struct fl_context *ctx)
{
    const char *stream = fl_cli_option(cli, "stream");
    char rows[32];

    (void)snprintf(rows, sizeof rows, "%llu", (unsigned long long)limit);
    fl_buffer_printf(path, "/api/v1/devices/%s/readings", cli->operands[0]);
    fl_api_query(path, "stream", stream);
    fl_api_query(path, "from", from);
    fl_api_query(path, "order", order);
    fl_api_query(path, "limit", rows);
    if (!fl_buffer_str(path) || path->failed)
        return fl_fail(ctx, FL_ELIMIT, "the request is too long");
    return FL_OK;
}

static void csv_field(struct fl_buffer *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fl_text_safe(fl_slice_str(text), out);
        return;
    }
    fl_buffer_append_byte(out, '"');
    for (; *text; text++)
        fl_buffer_printf(out, *text == '"' ? "\"\"" : "%c", *text);
    fl_buffer_append_byte(out, '"');
}

void fl_reading_csv(struct fl_buffer *out, const json_t *row)
{
    csv_field(out, fl_json_text(row, "t"));
    fl_buffer_append_byte(out, ',');
    csv_field(out, fl_json_text(row, "stream"));
    fl_buffer_append_byte(out, ',');
    if (json_is_number(json_object_get(row, "value")))
        (void)fl_json_print(json_object_get(row, "value"), out);
    fl_buffer_append_byte(out, '\n');
}

/* Everything, oldest first, printed as it arrives. */
struct streaming {
    struct fl_cli *cli;
    struct fl_json_rows rows;
    struct fl_buffer csv;
};

static enum fl_error visit_stream(void *to, json_t *row, struct fl_context *ctx)
{
    struct streaming *s = to;
    enum fl_error e = FL_OK;

    if (s->cli->json)
        return fl_json_rows_add(&s->rows, row, ctx);
    fl_reading_csv(&s->csv, row);
    if (s->csv.size > 65536) {
        e = fl_cli_write(s->cli, &s->csv, ctx);
        fl_buffer_clear(&s->csv);
    }
    return e;
}

static enum fl_error stream_all(struct fl_api *api, const char *path, struct fl_context *ctx)
{
    struct streaming s = {.cli = api->cli, .csv = FL_BUFFER(4L * 1024 * 1024)};
    const struct fl_api_list list = {.path = path,
                                     .key = "position",
                                     .first_after = "0", /* in the order of storing */
                                     .visit = visit_stream,
                                     .to = &s};
    enum fl_error e = FL_OK;

    fl_json_rows_begin(&s.rows, api->cli);
    fl_buffer_append_str(&s.csv, FL_READING_CSV_HEAD);
    e = fl_api_each(api, &list, ctx);
    if (e == FL_OK)
        e = api->cli->json ? fl_json_rows_end(&s.rows, ctx) : fl_cli_write(api->cli, &s.csv, ctx);
    fl_json_rows_free(&s.rows);
    fl_buffer_free(&s.csv);
    return e;
}

/* The units of the device's profile; without them the table is still right. */
static json_t *fetch_profile(struct fl_api *api)
{
    struct fl_buffer path = FL_BUFFER(1024);
    struct fl_context ignored = {0};
    json_t *device = NULL;
    json_t *profile = NULL;

    fl_buffer_printf(&path, "/api/v1/devices/%s", api->cli->operands[0]);
    if (fl_api_call(api, "GET", fl_buffer_str(&path), NULL, &device, &ignored) == FL_OK) {
        fl_buffer_clear(&path);
        fl_buffer_append_str(&path, "/api/v1/profiles/");
        fl_api_segment(&path, fl_json_text(device, "profile"));
        if (fl_api_call(api, "GET", fl_buffer_str(&path), NULL, &profile, &ignored) != FL_OK)
            profile = NULL;
    }
    api->cli->hint[0] = 0;
    json_decref(device);
    fl_buffer_free(&path);
    return profile;
}

static const char *unit_of(const json_t *profile, const char *stream)
{
    const json_t *streams = json_object_get(profile, "streams");

    for (size_t i = 0; i < json_array_size(streams); i++)
        if (strcmp(fl_json_text(json_array_get(streams, i), "name"), stream) == 0)
            return fl_json_text(json_array_get(streams, i), "unit");
    return "";
}

static const struct fl_text_column summary_columns[] = {
    {.title = "STREAM", .shrink_to = 8}, {.title = "UNIT"},
    {.title = "COUNT", .right = true},   {.title = "MIN", .right = true},
    {.title = "MEAN", .right = true},    {.title = "MAX", .right = true},
    {.title = "LAST", .right = true},    {.title = "OVER TIME", .may_go = true},
};

/* For a person: six digits are enough, but counters are whole numbers. */
static void number_cell(struct fl_text_table *table, double value)
{
    bool is_counter = (value >= 1e6 || value <= -1e6) && value > -1e15 && value < 1e15;

    fl_text_table_cell(table, FL_STYLE_NONE, is_counter ? "%.0f" : "%.6g", value);
}

static void summary_row(struct fl_text_table *table, const char *stream, const char *unit,
                        const struct fl_plot_point *points, size_t count, size_t width)
{
    struct fl_reading_summary s = fl_reading_summarise(points, count);
    struct fl_buffer line = FL_BUFFER(4096);
    const char *text = NULL;

    if (fl_plot_sparkline(points, count, width, &line) == FL_OK)
        text = fl_buffer_str(&line);
    while (line.size > 0 && line.data[line.start + line.size - 1] == ' ')
        line.size--;
    text = text ? fl_buffer_str(&line) : NULL;
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", stream);
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", unit);
    fl_text_table_cell(table, FL_STYLE_NONE, "%zu", s.count);
    number_cell(table, s.min);
    number_cell(table, s.mean);
    number_cell(table, s.max);
    number_cell(table, s.last);
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", text ? text : "");
    fl_buffer_free(&line);
}

static size_t plot_width(const struct fl_cli *cli)
{
    size_t width = cli->width ? cli->width : 80;

    return width < 24 ? 24 : (width > 160 ? 160 : width);
}

static enum fl_error show_plot(struct fl_cli *cli, const char *stream, const char *unit,
                               const struct fl_plot_point *points, size_t count,
                               struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(4L * 1024 * 1024);
    enum fl_error e = FL_OK;

    fl_text_safe(fl_slice_str(stream), &out);
    fl_buffer_append_str(&out, unit[0] ? ", " : "");
    fl_text_safe(fl_slice_str(unit), &out);
    fl_buffer_append_byte(&out, '\n');
    e = fl_plot_print(points, count, plot_width(cli), PLOT_HEIGHT, &out);
    if (e == FL_OK)
        e = fl_cli_write(cli, &out, ctx);
    else
        (void)fl_fail(ctx, e, "out of memory");
    fl_buffer_free(&out);
    return e;
}

static enum fl_error show_newest(struct fl_cli *cli, const struct fl_reading_set *set, size_t count,
                                 struct fl_context *ctx)
{
    static const struct fl_text_column columns[] = {
        {.title = "TIME"}, {.title = "STREAM", .shrink_to = 8}, {.title = "VALUE", .right = true}};
    struct fl_text_table table;
    char time[FL_TIME_TEXT_MAX];
    char number[FL_NUMBER_TEXT];
    enum fl_error e = FL_OK;

    fl_text_table_init(&table, columns, 3);
    for (size_t i = set->count > count ? set->count - count : 0; i < set->count; i++) {
        const struct fl_reading_item *item = &set->items[i];
        fl_text_table_cell(&table, FL_STYLE_NONE, "%s", fl_time_format(item->point.t, time));
        fl_text_table_cell(&table, FL_STYLE_NONE, "%s", set->streams[item->stream]);
        fl_text_table_cell(&table, FL_STYLE_NONE, "%s",
                           fl_number_format(item->point.value, number));
    }
    e = fl_cli_write_table(cli, &table, ctx);
    fl_text_table_free(&table);
    return e;
}

static enum fl_error show_set(struct fl_api *api, const struct fl_reading_set *set, uint64_t limit,
                              struct fl_context *ctx)
{
    struct fl_cli *cli = api->cli;
    bool plot = fl_cli_option(cli, "plot") != NULL;
    json_t *profile = fetch_profile(api);
    struct fl_plot_point *points = calloc(set->count, sizeof *points);
    struct fl_text_table table;
    enum fl_error e = points ? FL_OK : fl_fail(ctx, FL_ENOMEM, "out of memory");

    fl_text_table_init(&table, summary_columns, sizeof summary_columns / sizeof summary_columns[0]);
    for (size_t s = 0; s < set->stream_count && e == FL_OK; s++) {
        size_t count = fl_reading_set_points(set, s, points);
        const char *unit = unit_of(profile, set->streams[s]);
        if (plot)
            e = show_plot(cli, set->streams[s], unit, points, count, ctx);
        else
            summary_row(&table, set->streams[s], unit, points, count, 24);
    }
    if (e == FL_OK && !plot)
        e = fl_cli_write_table(cli, &table, ctx);
    if (e == FL_OK && !plot) {
        (void)fputc('\n', cli->out);
        e = show_newest(cli, set, limit ? limit : NEWEST, ctx);
    }
    fl_text_table_free(&table);
    free(points);
    json_decref(profile);
    return e;
}

/* The set as JSON or CSV: what the API gave, turned round. */
static enum fl_error print_set(struct fl_cli *cli, const struct fl_reading_set *set,
                               struct fl_context *ctx)
{
    struct streaming s = {.cli = cli, .csv = FL_BUFFER(4L * 1024 * 1024)};
    char time[FL_TIME_TEXT_MAX];
    enum fl_error e = FL_OK;

    fl_json_rows_begin(&s.rows, cli);
    fl_buffer_append_str(&s.csv, FL_READING_CSV_HEAD);
    for (size_t i = 0; i < set->count && e == FL_OK; i++) {
        const struct fl_reading_item *item = &set->items[i];
        json_t *row = json_pack("{s:s, s:s, s:f, s:I}", "t", fl_time_format(item->point.t, time),
                                "stream", set->streams[item->stream], "value", item->point.value,
                                "position", (json_int_t)item->position);
        e = row ? visit_stream(&s, row, ctx) : fl_fail(ctx, FL_ENOMEM, "out of memory");
        json_decref(row);
    }
    if (e == FL_OK)
        e = cli->json ? fl_json_rows_end(&s.rows, ctx) : fl_cli_write(cli, &s.csv, ctx);
    fl_json_rows_free(&s.rows);
    fl_buffer_free(&s.csv);
    return e;
}

static enum fl_error visit_set(void *to, json_t *row, struct fl_context *ctx)
{
    return fl_reading_set_add(to, row, ctx);
}

/* `few`: what is wanted is one page, the newest; otherwise everything is fetched, in the order of
 * storing, since only that can be continued. */
static enum fl_error show_in_memory(struct fl_api *api, const char *path, const char *from,
                                    uint64_t limit, bool few, struct fl_context *ctx)
{
    struct fl_reading_set set = {0};
    struct fl_cli *cli = api->cli;
    const struct fl_api_list list = {.path = path,
                                     .key = "position",
                                     .first_after = few ? NULL : "0",
                                     .one_page = few,
                                     .visit = visit_set,
                                     .to = &set};
    enum fl_error e = FL_EMORE;

    /* More than a page: the hub makes buckets, and only their ends travel. */
    if (fl_cli_option(cli, "plot") && !limit)
        e = fl_reading_plot_points(api, from, plot_width(cli), &set, ctx);
    if (e == FL_EMORE)
        e = fl_api_each(api, &list, ctx);
    fl_reading_set_order(&set);
    if (limit)
        fl_reading_set_keep(&set, limit);
    if (e == FL_OK && (cli->json || fl_cli_option(cli, "csv")))
        e = print_set(cli, &set, ctx);
    else if (e == FL_OK && set.count == 0 && !set.unreadable)
        (void)fprintf(stderr, "no readings\n");
    else if (e == FL_OK && set.count)
        e = show_set(api, &set, limit, ctx);
    if (e == FL_OK && set.unreadable)
        (void)fprintf(stderr, "%zu readings cannot be shown: they were erased, or are damaged\n",
                      set.unreadable);
    fl_reading_set_free(&set);
    return e;
}

enum fl_error fl_reading_run_show(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    struct fl_buffer path = FL_BUFFER(4096);
    char from[FL_TIME_TEXT_MAX] = "";
    fl_time_t since = INT64_MIN;
    uint64_t limit = 0;
    bool all = false;
    bool few = false;
    enum fl_error e = fl_cli_name(cli, "device id", cli->operands[0], ctx);

    if (e == FL_OK &&
        (fl_cli_option(cli, "csv") != NULL) + cli->json + (fl_cli_option(cli, "plot") != NULL) > 1)
        e = fl_cli_usage(cli, ctx, "choose one of --csv, --json and --plot");
    if (e == FL_OK && fl_cli_option(cli, "every") &&
        (fl_cli_option(cli, "plot") || fl_cli_option(cli, "limit")))
        e = fl_cli_usage(cli, ctx, "--every goes neither with --plot nor with --limit");
    if (e == FL_OK)
        e = fl_cli_number(cli, "limit", FL_READING_SET_MAX, &limit, ctx);
    if (e == FL_OK)
        e = fl_cli_moment(cli, "since", fl_cli_now(), &since, ctx);
    if (e == FL_OK && since != INT64_MIN)
        fl_time_format(since, from);
    all = !limit && (cli->json || (e == FL_OK && fl_cli_option(cli, "csv")));
    few = limit && limit <= FL_LIMIT_READINGS_PAGE;
    if (e == FL_OK)
        e = fl_reading_path(cli, from[0] ? from : NULL, few ? "desc" : "asc",
                            few ? limit : FL_LIMIT_READINGS_PAGE, &path, ctx);
    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK && fl_cli_option(cli, "every"))
        e = fl_reading_show_every(&api, from[0] ? from : NULL, ctx);
    else if (e == FL_OK && all)
        e = stream_all(&api, fl_buffer_str(&path), ctx);
    else if (e == FL_OK)
        e = show_in_memory(&api, fl_buffer_str(&path), from[0] ? from : NULL, limit, few, ctx);
    fl_api_close(&api);
    fl_buffer_free(&path);
    return e;
}

static const struct fl_cli_option show_options[] = {
    {"stream", "STREAM", "only this stream", NULL, false},
    {"since", "TIME", "only newer ones: 15m, 1h, 7d ago, or 2026-11-22T07:00:00Z", NULL, false},
    {"limit", "N", "only the newest N", NULL, false},
    {"every", "DURATION", "in buckets of this length, such as 5m or 1h", NULL, false},
    {"csv", NULL, "print lines of t,stream,value", NULL, false},
    {"plot", NULL, "draw each stream", NULL, false},
    {0},
};

static const struct fl_cli_option tail_options[] = {
    {"stream", "STREAM", "only this stream", NULL, false},
    {"limit", "N", "begin with the newest N (10)", NULL, false},
    {"csv", NULL, "print lines of t,stream,value", NULL, false},
    {0},
};

static const struct fl_cli_verb verbs[] = {
    {"reading", "show", "ID", "show what a device has sent",
     "Without an option: a summary of every stream, and the newest readings. --json and --csv\n"
     "print all that were chosen, oldest first; without --limit in the order of storing. --every\n"
     "gives for each stream and time how many there were, the least, the mean, the greatest, the\n"
     "first and the last; times are UTC.",
     show_options, fl_reading_run_show, NULL},
    {"reading", "tail", "ID", "follow what a device sends, until Ctrl-C",
     "With --json one object a line.", tail_options, fl_reading_run_tail, NULL},
};
const struct fl_cli_verbs fl_cli_reading_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
