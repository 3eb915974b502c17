/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/reading.h"

#include "base/limits.h"
#include "cli/json.h"
#include "cli/text.h"

#include <time.h>

#define POLL_MS 250
#define RETRY_MS 1000
#define FIRST 10 /* rows before following, when --limit says nothing */

struct tail {
    struct fl_api *api;
    int64_t position; /* the greatest seen; 0: none yet */
    bool head_printed;
};

static enum fl_error print_row(struct tail *tail, json_t *row, struct fl_context *ctx)
{
    struct fl_cli *cli = tail->api->cli;
    struct fl_buffer out = FL_BUFFER(65536);
    enum fl_error e = FL_OK;

    if (cli->json) {
        (void)fl_json_print(row, &out); /* a failure stays in the buffer */
        fl_buffer_append_byte(&out, '\n');
    } else if (fl_cli_option(cli, "csv")) {
        if (!tail->head_printed)
            fl_buffer_append_str(&out, FL_READING_CSV_HEAD);
        fl_reading_csv(&out, row);
    } else {
        char number[FL_NUMBER_TEXT];
        struct fl_buffer line = FL_BUFFER(4096);
        /* What was erased has no value, and says so. */
        if (fl_json_text(row, "state")[0])
            (void)snprintf(number, sizeof number, "%s", fl_json_text(row, "state"));
        else
            fl_number_format(fl_json_number(row, "value"), number);
        fl_buffer_printf(&line, "%-24s  %-24s %12s", fl_json_text(row, "t"),
                         fl_json_text(row, "stream"), number);
        fl_text_safe(fl_buffer_slice(&line), &out);
        fl_buffer_append_byte(&out, '\n');
        fl_buffer_free(&line);
    }
    tail->head_printed = true;
    e = fl_cli_write(cli, &out, ctx);
    fl_buffer_free(&out);
    return e;
}

static enum fl_error take_page(struct tail *tail, const json_t *rows, bool newest_first,
                               struct fl_context *ctx)
{
    size_t count = json_array_size(rows);
    enum fl_error e = FL_OK;

    if (!json_is_array(rows))
        return fl_fail(ctx, FL_EPARSE, "the hub's answer is not an array");
    for (size_t i = 0; i < count && e == FL_OK; i++) {
        json_t *row = json_array_get(rows, newest_first ? count - 1 - i : i);
        if (fl_json_int(row, "position") > tail->position)
            tail->position = fl_json_int(row, "position");
        e = print_row(tail, row, ctx);
    }
    return e;
}

static enum fl_error fetch(struct tail *tail, uint64_t newest, struct fl_context *ctx)
{
    struct fl_buffer path = FL_BUFFER(4096);
    json_t *rows = NULL;
    char after[32];
    enum fl_error e = fl_reading_path(tail->api->cli, NULL, newest ? "desc" : "asc",
                                      newest ? newest : FL_LIMIT_READINGS_PAGE, &path, ctx);

    if (e == FL_OK) {
        (void)snprintf(after, sizeof after, "%lld", (long long)tail->position);
        fl_api_query(&path, "after", newest ? NULL : after);
        e = fl_api_call(tail->api, "GET", fl_buffer_str(&path), NULL, &rows, ctx);
    }
    if (e == FL_OK)
        e = take_page(tail, rows, newest > 0, ctx);
    json_decref(rows);
    fl_buffer_free(&path);
    return e;
}

static void wait_ms(long ms)
{
    (void)nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* A hub that restarts is waited for; what it refuses is not asked again. */
static bool may_come_back(enum fl_error e)
{
    return e == FL_ECLOSED || e == FL_ENOTFOUND || e == FL_ETIMEOUT || e == FL_EBUSY || e == FL_EIO;
}

static enum fl_error follow(struct tail *tail, struct fl_context *ctx)
{
    bool away = false;
    enum fl_error e = FL_OK;

    while (!fl_cli_interrupted) {
        wait_ms(away ? RETRY_MS : POLL_MS);
        if (fl_cli_interrupted)
            break;
        ctx->text[0] = 0;
        e = fetch(tail, 0, ctx);
        if (fl_cli_interrupted)
            break;
        if (e != FL_OK && (!may_come_back(e) || !ctx->text[0]))
            return e;
        if (e != FL_OK && !away)
            (void)fprintf(stderr, "fairlead: %s; waiting for it\n", ctx->text);
        if (e == FL_OK && away)
            (void)fprintf(stderr, "fairlead: it is back\n");
        away = e != FL_OK;
        tail->api->cli->hint[0] = 0;
    }
    return FL_OK;
}

enum fl_error fl_reading_run_tail(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    struct tail tail = {.api = &api};
    uint64_t newest = FIRST;
    enum fl_error e = fl_cli_name(cli, "device id", cli->operands[0], ctx);

    if (e == FL_OK && cli->json && fl_cli_option(cli, "csv"))
        e = fl_cli_usage(cli, ctx, "choose one of --csv and --json");
    if (e == FL_OK)
        e = fl_cli_number(cli, "limit", FL_LIMIT_READINGS_PAGE, &newest, ctx);
    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    fl_cli_catch_signals();
    if (e == FL_OK)
        e = fetch(&tail, newest, ctx);
    if (e == FL_OK)
        e = follow(&tail, ctx);
    if (fl_cli_interrupted)
        e = FL_OK;
    fl_api_close(&api);
    return e;
}
