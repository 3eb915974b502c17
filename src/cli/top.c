/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/api.h"
#include "cli/nouns.h"
#include "cli/screen.h"
#include "cli/top_view.h"

#include <stdlib.h>
#include <time.h>

#define INTERVAL_MAX_S 3600
#define AGAIN_MS 100 /* the front tells its counters each second, at a time of its own */
#define AGAIN_MAX 30
#define PAGE_BYTES ((size_t)1024 * 1024)

struct top {
    struct fl_cli *cli;
    struct fl_api api;
    int64_t interval_ms;
    struct fl_top_sample samples[2];
    unsigned latest;
    struct fl_top_view view;
};

static enum fl_error fetch(struct top *t, struct fl_top_sample *to, struct fl_context *ctx)
{
    json_t *load = NULL;
    enum fl_error e = fl_api_call(&t->api, "GET", "/api/v1/load", NULL, &load, ctx);

    if (e == FL_OK)
        e = fl_top_read(load, to, ctx);
    json_decref(load);
    return e;
}

static void wait_ms(int64_t ms)
{
    (void)nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* The first sample. A front that has just started tells its counters within a second. */
static enum fl_error begin(struct top *t, struct fl_context *ctx)
{
    enum fl_error e = fetch(t, &t->samples[0], ctx);

    for (int i = 0; e == FL_OK && !t->samples[0].has_front && i < AGAIN_MAX; i++) {
        wait_ms(AGAIN_MS);
        e = fetch(t, &t->samples[0], ctx);
    }
    return e;
}

/* The next sample. While the front has told nothing new what was seen stays on show. */
static enum fl_error advance(struct top *t, struct fl_context *ctx)
{
    struct fl_top_sample *before = &t->samples[t->latest];
    struct fl_top_sample *next = &t->samples[1 - t->latest];
    enum fl_error e = fetch(t, next, ctx);

    for (int i = 0; e == FL_OK && next->has_front && next->told_ms == before->told_ms &&
                    next->uptime_ms > before->uptime_ms && i < AGAIN_MAX && !fl_cli_interrupted;
         i++) {
        wait_ms(AGAIN_MS);
        e = fetch(t, next, ctx);
    }
    if (e != FL_OK)
        return e;
    fl_top_between(before, next, &t->view);
    t->latest = 1 - t->latest;
    return FL_OK;
}

static enum fl_error print(struct top *t, struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(PAGE_BYTES);
    json_t *object = NULL;
    enum fl_error e = FL_OK;

    if (t->cli->json) {
        object = fl_top_json(&t->view);
        e = fl_cli_write_json(t->cli, object, ctx);
        json_decref(object);
    } else {
        fl_top_page(&t->view, t->cli->width, 0, t->cli->color, &out);
        e = fl_cli_write(t->cli, &out, ctx);
    }
    fl_buffer_free(&out);
    return e;
}

/* For scripts: one line of JSON each time, or a page once. */
static enum fl_error run_plain(struct top *t, bool once, struct fl_context *ctx)
{
    enum fl_error e = FL_OK;

    fl_cli_catch_signals();
    do {
        wait_ms(t->interval_ms);
        if (!fl_cli_interrupted)
            e = advance(t, ctx);
        if (e == FL_OK && !fl_cli_interrupted)
            e = print(t, ctx);
    } while (e == FL_OK && !once && !fl_cli_interrupted);
    return fl_cli_interrupted ? FL_OK : e;
}

static enum fl_error draw(struct top *t, struct fl_screen *screen, const char *trouble,
                          struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(PAGE_BYTES);
    enum fl_error e = FL_OK;

    if (trouble[0])
        (void)fl_buffer_printf(&out, "%.*s\n", (int)t->cli->width, trouble);
    if (t->view.now)
        fl_top_page(&t->view, t->cli->width, t->cli->height - (trouble[0] ? 1 : 0), t->cli->color,
                    &out);
    else if (!trouble[0])
        (void)fl_buffer_append_str(&out, "looking...\n");
    e = fl_screen_draw(screen, fl_buffer_slice(&out), ctx);
    fl_buffer_free(&out);
    return e;
}

static bool may_come_back(enum fl_error e)
{
    return e == FL_ECLOSED || e == FL_ENOTFOUND || e == FL_ETIMEOUT || e == FL_EBUSY || e == FL_EIO;
}

static int64_t clock_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum fl_error run_live(struct top *t, struct fl_context *ctx)
{
    struct fl_screen screen;
    char trouble[256] = "";
    int64_t due = clock_ms() + t->interval_ms;
    enum fl_error e = FL_OK;
    int key = 0;

    fl_screen_open(&screen, t->cli);
    while (e == FL_OK && key != 'q' && key != 'Q' && !fl_cli_interrupted) {
        struct fl_context words = {0};
        int64_t now = clock_ms();

        e = draw(t, &screen, trouble, ctx);
        if (e == FL_OK)
            key = fl_screen_wait(&screen, due > now ? due - now : 0);
        if (e != FL_OK || key != 0)
            continue;
        e = advance(t, &words);
        (void)fl_str_copy(trouble, sizeof trouble, e == FL_OK ? "" : words.text);
        if (may_come_back(e))
            e = FL_OK; /* a hub that restarts is waited for */
        else if (e != FL_OK)
            *ctx = words;
        t->cli->hint[0] = 0;
        due = clock_ms() + t->interval_ms;
    }
    fl_screen_close(&screen);
    return fl_cli_interrupted ? FL_OK : e;
}

static enum fl_error run_with(struct top *t, struct fl_context *ctx)
{
    bool once = fl_cli_option(t->cli, "once") != NULL;
    int64_t interval_s = 1;
    enum fl_error e = fl_cli_seconds(t->cli, "interval", INTERVAL_MAX_S, &interval_s, ctx);

    t->interval_ms = interval_s * 1000;
    if (e == FL_OK)
        e = fl_api_open(t->cli, &t->api, ctx);
    if (e == FL_OK)
        e = begin(t, ctx);
    if (e == FL_OK && (once || t->cli->json || t->cli->width == 0))
        e = run_plain(t, once || !t->cli->json, ctx);
    else if (e == FL_OK)
        e = run_live(t, ctx);
    fl_api_close(&t->api);
    return e;
}

static enum fl_error run_top(struct fl_cli *cli, struct fl_context *ctx)
{
    struct top *t = calloc(1, sizeof *t);
    enum fl_error e = FL_OK;

    if (!t)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    t->cli = cli;
    e = run_with(t, ctx);
    free(t);
    return e;
}

static const struct fl_cli_option options[] = {
    {"interval", "DURATION", "how often to look; 1s", NULL, false},
    {"once", NULL, "look for one interval, print a page, end", NULL, false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct fl_cli_verb verbs[] = {
    {"top", NULL, "", "watch the hub at work: traffic, refusals, latency, the busiest devices",
     "In a terminal it redraws itself until q. Elsewhere it prints one page, as with --once; with "
     "--json\none object a line until it is interrupted, or one with --once.",
     options, run_top, NULL},
};
const struct fl_cli_verbs fl_cli_top_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
