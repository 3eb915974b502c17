/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run_parts.h"

#include "base/log.h"
#include "io/clock.h"

#include <signal.h>
#include <stdio.h>

enum {
    PROGRESS_MS = 10000, /* how often a change in the counts is told */
};

/* --- The connection ----------------------------------------------------------------------------
 */

static void set_tick(struct run *r)
{
    fl_time_t due = fl_uplink_next_timeout(r->uplink);
    fl_time_t now = fl_loop_now(r->loop);

    if (due == FL_TIME_NEVER)
        fl_loop_stop_timer(r->loop, &r->tick);
    else
        fl_loop_set_timer(r->loop, &r->tick, due > now ? due - now : 0);
}

static void move_output(struct run *r)
{
    struct fl_buffer *out = fl_uplink_output(r->uplink);

    if (out->size) {
        fl_link_send(r->link, fl_buffer_slice(out));
        fl_buffer_consume(out, out->size);
    }
}

void fl_run_end(struct run *r, enum fl_error error, const char *why)
{
    r->ending = true;
    r->error = fl_fail(&r->why, error, "%s", why);
    if (fl_uplink_is_open(r->uplink)) {
        fl_uplink_stop(r->uplink, fl_loop_now(r->loop));
        move_output(r);
    }
    fl_loop_stop(r->loop);
}

static void finish_if_done(struct run *r)
{
    if (r->sensors_left || r->ending || r->options->renew || !fl_uplink_is_empty(r->uplink))
        return;
    fl_run_end(r, FL_OK, "");
}

static void after_event(struct run *r)
{
    if (!r->open_told && fl_uplink_is_open(r->uplink)) {
        r->open_told = true;
        fl_log(FL_LOG_INFO, "link", "%s is connected to %s port %u%s; %llu readings are waiting",
               r->identity.device, r->identity.host, r->identity.mqtt_port,
               r->resumed ? " (resumed)" : "",
               (unsigned long long)fl_uplink_count(r->uplink).waiting);
        fl_run_renew_opened(r);
        /* First the connection: a TPM serves one at a time. */
        if (!r->witnessed && !r->options->renew)
            fl_witness_hurry(&r->witness);
        r->witnessed = true;
    }
    move_output(r);
    set_tick(r);
    finish_if_done(r);
}

/* A TPM serves one at a time. */
static void release_keys(struct run *r)
{
    fl_agent_key_release(&r->key);
    fl_agent_key_release(&r->renewal.next_key);
}

static void disconnected(struct run *r, bool refused, const char *why)
{
    uint32_t random = 0;
    fl_time_t wait = 0;
    char text[FL_TIME_TEXT_MAX];

    fl_uplink_lost(r->uplink);
    release_keys(r);
    fl_loop_stop_timer(r->loop, &r->tick);
    if (r->ending)
        return;
    if (!r->open_told)
        fl_run_renew_failed(r, refused, why);
    r->open_told = false;
    if (r->ending)
        return;
    fl_random_system()->fill(fl_random_system()->self, &random, sizeof random);
    wait = fl_uplink_backoff(r->failures++, random);
    fl_log(FL_LOG_WARN, "link", "%s; next attempt in %s", why, fl_duration_format(wait, text));
    fl_loop_set_timer(r->loop, &r->retry, wait);
}

static void link_up(void *self, bool resumed)
{
    struct run *r = self;
    struct fl_context ctx = {0};

    release_keys(r);
    r->resumed = resumed;
    if (fl_uplink_start(r->uplink, fl_loop_now(r->loop), &ctx) != FL_OK) {
        fl_link_close(r->link);
        disconnected(r, false, ctx.text);
        return;
    }
    after_event(r);
}

static void link_received(void *self, struct fl_slice bytes)
{
    struct run *r = self;
    struct fl_context ctx = {0};
    uint64_t before = fl_uplink_count(r->uplink).acknowledged;

    if (fl_uplink_receive(r->uplink, bytes, fl_loop_now(r->loop), &ctx) != FL_OK) {
        move_output(r);
        fl_link_close(r->link);
        /* Before CONNACK: it is us that the hub does not want. */
        disconnected(r, !r->open_told, ctx.text);
        return;
    }
    /* A connection is a success when the hub has taken something over it. */
    if (fl_uplink_count(r->uplink).acknowledged > before || fl_uplink_is_empty(r->uplink))
        r->failures = 0;
    after_event(r);
}

static void link_drained(void *self)
{
    struct run *r = self;

    fl_uplink_pump(r->uplink, fl_loop_now(r->loop));
    after_event(r);
}

static void link_down(void *self, const char *why)
{
    struct run *r = self;

    disconnected(r, fl_link_was_refused(r->link), why);
}

static void retry_fired(struct fl_timer *timer)
{
    struct run *r = fl_container_of(timer, struct run, retry);
    struct fl_context ctx = {0};

    if (r->renewal.linked_next != r->renewal.try_next && fl_run_open_link(r, &ctx) != FL_OK) {
        disconnected(r, true, ctx.text);
        return;
    }
    fl_link_connect(r->link);
}

void fl_run_reconnect(struct run *r)
{
    if (fl_uplink_is_open(r->uplink)) {
        fl_uplink_stop(r->uplink, fl_loop_now(r->loop));
        move_output(r);
    }
    fl_link_close(r->link);
    fl_uplink_lost(r->uplink);
    release_keys(r);
    fl_loop_stop_timer(r->loop, &r->tick);
    r->open_told = false;
    r->failures = 0;
    fl_loop_set_timer(r->loop, &r->retry, 0);
}

static void tick_fired(struct fl_timer *timer)
{
    struct run *r = fl_container_of(timer, struct run, tick);
    struct fl_context ctx = {0};

    if (fl_uplink_tick(r->uplink, fl_loop_now(r->loop), &ctx) != FL_OK) {
        fl_link_close(r->link);
        disconnected(r, false, ctx.text);
        return;
    }
    after_event(r);
}

/* --- Readings ----------------------------------------------------------------------------------
 */

static void complain(struct run *r, const struct fl_context *why)
{
    if (!r->outbox_failed)
        fl_log(FL_LOG_ERROR, "outbox", "%s", why->text);
    r->outbox_failed = true;
}

static bool take_reading(void *self, const char *stream, fl_time_t t, bool own_time, double value)
{
    struct run *r = self;
    struct fl_context ctx = {0};

    if (r->options->count && r->readings >= r->options->count)
        return false;
    r->readings++;
    if (fl_uplink_add(r->uplink, stream, t, own_time, value, &ctx) != FL_OK)
        complain(r, &ctx);
    return !r->options->count || r->readings < r->options->count;
}

static void take_batch(void *self)
{
    struct run *r = self;
    struct fl_context ctx = {0};

    if (fl_uplink_commit(r->uplink, &ctx) != FL_OK)
        complain(r, &ctx);
    else
        r->outbox_failed = false;
    fl_uplink_pump(r->uplink, fl_loop_now(r->loop));
    after_event(r);
}

static void sensor_ended(void *self)
{
    struct run *r = self;

    r->sensors_left--;
    if (r->sensors_left == 0)
        fl_log(FL_LOG_INFO, "sensor", "all sensors have ended; %llu readings are waiting",
               (unsigned long long)fl_uplink_count(r->uplink).waiting);
    finish_if_done(r);
}

/* --- Words -------------------------------------------------------------------------------------
 */

static void tell_counts(struct run *r, const char *when)
{
    struct fl_uplink_counts c = fl_uplink_count(r->uplink);
    struct fl_outbox_stats o = fl_outbox_stats(r->outbox);

    fl_log(FL_LOG_INFO, "uplink", "%s: %llu read, %llu acknowledged, %llu refused, %llu waiting",
           when, (unsigned long long)c.added, (unsigned long long)c.acknowledged,
           (unsigned long long)c.refused, (unsigned long long)c.waiting);
    if (o.dropped || o.damaged)
        fl_log(FL_LOG_WARN, "outbox", "ever: %llu dropped for want of room, %llu lost by the disk",
               (unsigned long long)o.dropped, (unsigned long long)o.damaged);
    r->told = c;
}

static void progress_fired(struct fl_timer *timer)
{
    struct run *r = fl_container_of(timer, struct run, progress);
    struct fl_uplink_counts c = fl_uplink_count(r->uplink);

    if (c.added != r->told.added || c.acknowledged != r->told.acknowledged)
        tell_counts(r, "so far");
    fl_loop_set_timer(r->loop, &r->progress, PROGRESS_MS);
}

static void caught(void *self, int number)
{
    struct run *r = self;

    if (number == SIGUSR1) {
        fl_run_renew_hurry(r);
        return;
    }
    fl_log(FL_LOG_INFO, "agent", "%s: ending; what is waiting is sent at the next start",
           number == SIGINT ? "interrupted" : "told to end");
    fl_run_end(r, FL_OK, "");
}

/* --- Start and end -----------------------------------------------------------------------------
 */

static enum fl_error open_sensors(struct run *r, struct fl_context *ctx)
{
    const struct fl_sensor_sink sink = {
        .reading = take_reading, .batch = take_batch, .ended = sensor_ended, .self = r};
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < r->options->sensor_count && !error; i++) {
        struct fl_sensor_spec spec = r->options->sensors[i];

        if (spec.interval_ms == 0)
            spec.interval_ms = r->options->interval_ms;
        error = fl_sensor_open(r->loop, fl_clock_system(), &spec, r->options->once, &sink,
                               &r->sensors[i], ctx);
        r->sensors_left += !error;
    }
    return error;
}

enum fl_error fl_run_open_link(struct run *r, struct fl_context *ctx)
{
    bool next = r->renewal.try_next;
    const struct fl_self *identity = next ? &r->renewal.next : &r->identity;
    const struct fl_link_options options = {.host = identity->host,
                                            .port = identity->mqtt_port,
                                            .ca_pem = fl_buffer_slice(&identity->ca_pem),
                                            .cert_pem = fl_buffer_slice(&identity->cert_pem),
                                            .chain_pem = fl_buffer_slice(&identity->chain_pem),
                                            .key = next ? r->renewal.next_key.key : r->key.key};
    const struct fl_link_handler handler = {.up = link_up,
                                            .received = link_received,
                                            .drained = link_drained,
                                            .down = link_down,
                                            .self = r};
    struct fl_link *made = NULL;
    enum fl_error error = fl_link_create(r->loop, &options, &handler, &made, ctx);

    if (error)
        return error;
    fl_link_free(r->link);
    r->link = made;
    r->renewal.linked_next = next;
    return FL_OK;
}

static enum fl_error open_all(struct run *r, struct fl_context *ctx)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    enum fl_error error = fl_folder_open(r->options->dir, false, &r->folder, ctx);

    if (!error)
        error = fl_self_load(&r->folder.identity, &r->identity, ctx);
    if (error)
        return fl_fail_in(ctx, error, "%s", r->options->dir);
    error = fl_agent_key_load(&r->identity, &r->key, ctx);
    fl_agent_key_release(&r->key);
    if (!error)
        error = fl_outbox_open(&r->folder.outbox, NULL, &r->outbox, ctx);
    if (!error)
        error = fl_uplink_create(r->outbox, r->identity.device, &r->uplink, ctx);
    if (!error)
        error = fl_loop_create(&r->loop, ctx);
    if (!error)
        error = fl_loop_signals(r->loop, signals, 3, caught, r, ctx);
    if (!error)
        error = fl_run_open_link(r, ctx);
    if (!error)
        error = fl_run_renew_start(r, ctx);
    if (!error)
        error = open_sensors(r, ctx);
    return error;
}

static void close_all(struct run *r)
{
    for (size_t i = 0; i < r->options->sensor_count; i++)
        fl_sensor_close(r->sensors[i]);
    if (r->link)
        fl_link_close(r->link);
    fl_link_free(r->link);
    fl_run_renew_close(r);
    fl_witness_end(&r->witness);
    if (r->loop)
        fl_loop_free(r->loop);
    fl_uplink_free(r->uplink);
    fl_outbox_close(r->outbox);
    fl_agent_key_free(&r->key);
    fl_self_free(&r->identity);
    fl_folder_close(&r->folder);
}

enum fl_error fl_run(const struct fl_run_options *options, struct fl_context *ctx)
{
    struct run r = {.options = options,
                    .retry.fired = retry_fired,
                    .tick.fired = tick_fired,
                    .progress.fired = progress_fired};
    enum fl_error error = FL_OK;

    fl_self_init(&r.identity);
    (void)signal(SIGPIPE, SIG_IGN);
    error = open_all(&r, ctx);
    if (!error) {
        fl_folder_announce(&r.folder);
        fl_log(FL_LOG_INFO, "agent", "%s: %zu sensors, %llu readings from before are waiting",
               r.identity.device, r.sensors_left,
               (unsigned long long)fl_uplink_count(r.uplink).waiting);
        fl_loop_set_timer(r.loop, &r.progress, PROGRESS_MS);
        fl_loop_set_timer(r.loop, &r.retry, 0);
        fl_witness_init(&r.witness, r.loop, options->dir);
        error = fl_loop_run(r.loop, ctx);
        if (!error && r.error)
            error = fl_fail(ctx, r.error, "%s", r.why.text);
        tell_counts(&r, "at the end");
    }
    close_all(&r);
    return error;
}
