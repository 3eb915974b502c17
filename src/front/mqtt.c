/* SPDX-License-Identifier: Apache-2.0 */ #include "front/mqtt_internal.h"

#include "codec/mqtt.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "front/mqtt_ws.h"
#include "front/rates.h"
#include "io/clock.h"
#include "io/listener.h"
#include "io/tls.h"
#include "service/broker.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STORM 200
#define QUIET_MS 1000
#define HEAP_SLACK ((size_t)1024 * 1024) /* at the heap's top, for the buffers of busy rounds */

    /* --- connections --- */

    static bool
    tell_session(const struct fl_mqtt_conn *c, const char *event, const char *reason)
{
    struct fl_msg msg = {.type = fl_msg_type_session};
    struct fl_msg_session *s = &msg.as.session;

    s->device = fl_slice_str(c->device->id);
    s->event = fl_slice_str(event);
    s->at = fl_mqtt_utc(c->mqtt);
    s->peer = fl_slice_str(c->peer);
    s->serial = fl_slice_str(c->serial);
    s->resumed = c->resumed ? 1 : 0;
    s->reason = fl_slice_str(reason);
    return fl_link_send(c->mqtt->config.link, &msg);
}

void fl_mqtt_tell_connected(struct fl_mqtt_conn *c, const char *reason)
{
    if (c->connected && c->told != c->mqtt->hub && tell_session(c, "connected", reason))
        c->told = c->mqtt->hub;
}

static void detach(struct fl_mqtt_conn *c, const char *why)
{
    struct fl_broker_conn *attached = c->attached;

    if (!attached)
        return;
    fl_broker_detach(attached, fl_mqtt_now(c->mqtt));
    c->attached = NULL;
    if (c->connected && c->told == c->mqtt->hub)
        (void)tell_session(c, "disconnected", why);
    c->connected = false;
    fl_mqtt_touch(c->mqtt);
}

static void free_conn(struct fl_mqtt_conn *c, const char *why)
{
    struct fl_front_mqtt *m = c->mqtt;

    detach(c, why);
    if (c->device)
        m->tls12 -= fl_tls_is_12(c->stream.ssl);
    fl_stream_close(&c->stream);
    fl_loop_undefer(&c->flush);
    fl_list_remove(&c->node);
    fl_list_remove(&c->stalled);
    if (c->device && fl_list_empty(&c->device->conns))
        fl_mqtt_device_leave(c->device);
    atomic_fetch_sub_explicit(m->config.connections, 1, memory_order_relaxed);
    if (c->ws)
        fl_mqtt_ws_free(c->ws);
    free(c->ws);
    free(c->why);
    free(c);
}

void fl_mqtt_end(struct fl_mqtt_conn *c, const char *why)
{
    if (!c->ending)
        c->why = strdup(why);
    c->ending = true;
    fl_loop_defer(c->mqtt->config.loop, &c->flush);
}

/* All that is sent goes through here, and only what may be sent now: what it tells of is on stable
 * storage. */
static enum fl_error send_output(struct fl_mqtt_conn *c)
{
    struct fl_buffer *out = fl_broker_output(c->attached);
    size_t ready = fl_broker_output_ready(c->attached);
    size_t before = out->size;
    enum fl_error error = c->ws ? fl_mqtt_ws_write(c->ws, &c->stream, out, ready)
                                : fl_stream_write_some(&c->stream, out, ready);

    c->mqtt->meter.counters.bytes_out += before - out->size;
    fl_broker_output_sent(c->attached, before - out->size);
    return error;
}

static void flush(struct fl_mqtt_conn *c)
{
    enum fl_error error = FL_OK;

    if (!c->attached)
        return;
    if (c->tls_over)
        fl_mqtt_end(c, "its profile does not allow TLS 1.2 any more");
    fl_mqtt_log_write(&c->mqtt->log);
    error = send_output(c);
    if (error == FL_ENOMEM)
        fl_mqtt_end(c, "out of memory");
    if (c->ending) {
        const char *why = c->why ? c->why : "ended";

        /* Who does not read loses the farewell, not the order of things. */
        if (c->ws)
            fl_mqtt_ws_end(c->ws, &c->stream, why);
        detach(c, why);
        fl_stream_finish(&c->stream);
    } else if (error == FL_OK && fl_broker_output(c->attached)->size == 0) {
        /* Of what is held back the broker tells when it may be sent: until then no round spins. */
        fl_broker_drained(c->attached, fl_mqtt_now(c->mqtt));
        fl_mqtt_resume(c);
    }
}

static void on_flush(struct fl_deferred *deferred)
{
    flush(fl_container_of(deferred, struct fl_mqtt_conn, flush));
}

static void on_writable(struct fl_stream *stream)
{
    flush(fl_container_of(stream, struct fl_mqtt_conn, stream));
}

/* What it would have to say to other workers finds no room, or the log is behind. */
static bool is_busy(const struct fl_front_mqtt *m)
{
    return m->log.behind || (m->config.crew && fl_crew_busy(m->config.crew, m->config.worker));
}

static size_t take_bytes(void *self, struct fl_slice bytes)
{
    struct fl_mqtt_conn *c = self;
    struct fl_front_mqtt *m = c->mqtt;
    size_t taken = 0;

    if (!c->attached || c->ending)
        return bytes.size;
    if (fl_readings_full(m->readings) || is_busy(m))
        fl_broker_hold(c->attached);
    else
        taken = fl_mqtt_feed(c, bytes);
    fl_mqtt_touch(m);
    if (c->ending)
        return bytes.size;
    if (taken < bytes.size && fl_list_empty(&c->stalled))
        fl_list_push(&m->stalled, &c->stalled);
    return taken;
}

static size_t on_received(struct fl_stream *stream, struct fl_slice bytes)
{
    struct fl_mqtt_conn *c = fl_container_of(stream, struct fl_mqtt_conn, stream);
    const char *why = NULL;
    size_t taken = 0;

    if (!c->ws || !c->attached)
        return take_bytes(c, bytes);
    taken = fl_mqtt_ws_receive(c->ws, bytes, take_bytes, c, &why);
    if (why)
        fl_mqtt_end(c, why);
    else if (fl_mqtt_ws_must_write(c->ws))
        fl_loop_defer(c->mqtt->config.loop, &c->flush);
    return taken;
}

/* It is authenticated and at home. */
static void settle_in(struct fl_mqtt_conn *c, const char *id)
{
    struct fl_front_mqtt *m = c->mqtt;
    struct fl_context ctx = {0};

    c->device = fl_mqtt_device_named(m, id);
    if (!c->device) {
        free_conn(c, "out of memory");
        return;
    }
    m->tls12 += fl_tls_is_12(c->stream.ssl);
    fl_list_remove(&c->node);
    fl_list_push(&c->device->conns, &c->node);
    if (fl_broker_attach(m->broker, fl_slice_str(c->device->id), c, fl_mqtt_now(m), &c->attached,
                         &ctx) != FL_OK) {
        m->meter.counters.refused_device++;
        (void)tell_session(c, "refused", ctx.text);
        free_conn(c, ctx.text);
    }
    fl_mqtt_touch(m);
}

struct fl_front_mqtt_guest {
    struct fl_mqtt_conn *conn;
    char id[FL_NAME_MAX + 1];
};

static void hand_over(struct fl_mqtt_conn *c, unsigned to, const char *id)
{
    struct fl_front_mqtt *m = c->mqtt;
    struct fl_front_mqtt_guest *guest = calloc(1, sizeof *guest);

    if (!guest) {
        free_conn(c, "out of memory");
        return;
    }
    (void)fl_str_copy(guest->id, sizeof guest->id, id);
    guest->conn = c;
    fl_list_remove(&c->node);
    fl_stream_release(&c->stream);
    m->config.hand_over(m->config.self, to, guest);
}

void fl_front_mqtt_welcome(struct fl_front_mqtt *mqtt, struct fl_front_mqtt_guest *guest)
{
    struct fl_mqtt_conn *c = guest->conn;
    struct fl_context ctx = {0};

    c->mqtt = mqtt;
    if (c->ws)
        fl_mqtt_ws_move(c->ws, &mqtt->websockets);
    if (!fl_roster_admits(mqtt->config.roster, fl_slice_str(guest->id), fl_slice_str(c->serial)) ||
        (fl_tls_is_12(c->stream.ssl) &&
         !fl_roster_allows_tls12(mqtt->config.roster, fl_slice_str(guest->id))))
        free_conn(c, "it may not connect any more");
    else if (fl_stream_adopt(&c->stream, mqtt->config.loop, &ctx) != FL_OK)
        free_conn(c, ctx.text);
    else
        settle_in(c, guest->id);
    free(guest);
}

void fl_front_mqtt_turn_away(struct fl_front_mqtt_guest *guest)
{
    free_conn(guest->conn, "the front ends");
    free(guest);
}

static void on_opened(struct fl_stream *stream)
{
    struct fl_mqtt_conn *c = fl_container_of(stream, struct fl_mqtt_conn, stream);
    struct fl_front_mqtt *m = c->mqtt;
    const struct fl_cert_info *info = fl_tls_peer(stream->ssl);
    char id[FL_NAME_MAX + 1];
    unsigned home = 0;

    if (!info || !fl_str_copy(id, sizeof id, info->name)) {
        free_conn(c, "no certificate");
        return;
    }
    c->resumed = SSL_session_reused(stream->ssl) == 1;
    /* Of a WebSocket the HTTPS listener counts it. */
    m->meter.counters.handshakes_resumed += c->resumed && !c->ws;
    m->meter.counters.handshakes_full += !c->resumed && !c->ws;
    (void)fl_str_copy(c->serial, sizeof c->serial, info->serial);
    fl_tls_forget_peer(stream->ssl);
    home = fl_front_mqtt_home(m, fl_slice_str(id));
    if (home == m->config.worker)
        settle_in(c, id);
    else
        hand_over(c, home, id);
}

static void on_lost(struct fl_stream *stream, enum fl_error error, const char *why)
{
    struct fl_mqtt_conn *c = fl_container_of(stream, struct fl_mqtt_conn, stream);

    fl_log_device(FL_LOG_DEBUG, "mqtt", fl_slice_str(c->device ? c->device->id : ""), "%s: %s",
                  c->peer, why);
    if (!c->device)
        fl_meter_handshake(&c->mqtt->meter, error);
    free_conn(c, why);
}

static const struct fl_stream_handler stream_handler = {
    .opened = on_opened,
    .received = on_received,
    .writable = on_writable,
    .lost = on_lost,
};

/* A flood of connections that never finish their handshake pushes itself out, not those who are
 * in. */
static bool give_one_up(void *self)
{
    struct fl_front_mqtt *m = self;

    if (fl_list_empty(&m->strangers))
        return false;
    m->meter.counters.refused_displaced++;
    free_conn(fl_container_of(m->strangers.next, struct fl_mqtt_conn, node),
              "too many connections");
    return true;
}

static struct fl_mqtt_conn *make_conn(struct fl_front_mqtt *m, const char *peer)
{
    bool room =
        atomic_load_explicit(m->config.connections, memory_order_relaxed) < FL_LIMIT_CONNECTIONS ||
        give_one_up(m);
    size_t peer_room = strlen(peer) + 1;
    struct fl_mqtt_conn *c = room ? calloc(1, sizeof *c + peer_room) : NULL;

    m->meter.counters.accepted++;
    if (!c) {
        m->meter.counters.refused_full++;
        fl_log(FL_LOG_WARN, "mqtt", "%s: no room for another connection", peer);
        return NULL;
    }
    c->mqtt = m;
    c->flush.run = on_flush;
    fl_list_init(&c->stalled);
    (void)fl_str_copy(c->peer, peer_room, peer);
    return c;
}

static void on_accepted(void *self, const struct fl_accepted *accepted)
{
    struct fl_front_mqtt *m = self;
    struct fl_mqtt_conn *c = make_conn(m, accepted->peer);
    struct fl_context ctx = {0};

    if (!c) {
        (void)close(accepted->fd);
        return;
    }
    if (fl_stream_open(&c->stream, m->config.loop, accepted->fd, m->tls, &stream_handler, c->peer,
                       &ctx) != FL_OK) {
        fl_log(FL_LOG_ERROR, "mqtt", "%s", ctx.text);
        free(c);
        return;
    }
    fl_list_push(&m->strangers, &c->node);
    atomic_fetch_add_explicit(m->config.connections, 1, memory_order_relaxed);
    if (++m->arrivals >= STORM)
        fl_loop_set_timer(m->config.loop, &m->quiet, QUIET_MS);
}

void fl_front_mqtt_adopt(struct fl_front_mqtt *mqtt, struct fl_stream *stream, const char *peer)
{
    struct fl_mqtt_conn *c = make_conn(mqtt, peer);
    struct fl_context ctx = {0};

    if (!c)
        return;
    c->ws = malloc(sizeof *c->ws);
    if (!c->ws) {
        free(c);
        return;
    }
    fl_mqtt_ws_init(c->ws, &mqtt->websockets);
    if (fl_stream_move(stream, &c->stream, &stream_handler, c->peer, &ctx) != FL_OK) {
        fl_log(FL_LOG_ERROR, "mqtt", "%s", ctx.text);
        free(c->ws);
        free(c);
        return;
    }
    fl_list_push(&mqtt->strangers, &c->node);
    atomic_fetch_add_explicit(mqtt->config.connections, 1, memory_order_relaxed);
    on_opened(&c->stream);
}

/* --- readings and time --- */

void fl_front_mqtt_readings_done(struct fl_front_mqtt *mqtt, uint64_t batch, enum fl_error error)
{
    fl_meter_batch_done(&mqtt->meter, batch, fl_clock_monotonic_us());
    if (error)
        fl_log(FL_LOG_WARN, "readings", "the hub could not store a batch: %s",
               fl_error_words(error));
    fl_readings_done(mqtt->readings, batch, error);
    fl_front_mqtt_room(mqtt);
    fl_mqtt_touch(mqtt);
}

/* There may be room again for whoever waits; who still finds none waits again. */
void fl_front_mqtt_room(struct fl_front_mqtt *mqtt)
{
    FL_LIST_EACH(node, &mqtt->stalled)
    {
        fl_mqtt_resume(fl_container_of(node, struct fl_mqtt_conn, stalled));
    }
}

void fl_front_mqtt_note(struct fl_front_mqtt *mqtt, unsigned from,
                        const struct fl_broker_note *note)
{
    fl_broker_hear(mqtt->broker, from, note, fl_mqtt_now(mqtt));
    fl_mqtt_touch(mqtt);
}

void fl_front_mqtt_round(struct fl_front_mqtt *mqtt, bool busy)
{
    fl_mqtt_log_write(&mqtt->log);
    fl_broker_round(mqtt->broker, busy, fl_mqtt_now(mqtt));
}

unsigned fl_front_mqtt_home(const struct fl_front_mqtt *mqtt, struct fl_slice device)
{
    unsigned count = mqtt->config.crew ? fl_crew_count(mqtt->config.crew) : 1;

    /* The same in the next process, which reads from the log what was on its way between them. */
    return count == 1 ? 0 : fl_crc32c(0, device) % count;
}

static void on_after_round(struct fl_deferred *deferred)
{
    struct fl_front_mqtt *m = fl_container_of(deferred, struct fl_front_mqtt, after_round);
    fl_time_t next = fl_broker_next_timeout(m->broker);
    bool was_behind = false;

    fl_readings_flush(m->readings);
    was_behind = m->log.behind;
    fl_mqtt_log_write(&m->log);
    if (was_behind && !m->log.behind)
        fl_front_mqtt_room(m);
    if (next == FL_TIME_NEVER)
        fl_loop_stop_timer(m->config.loop, &m->tick);
    else
        fl_loop_set_timer(m->config.loop, &m->tick, next - fl_mqtt_now(m));
}

static void on_tick(struct fl_timer *timer)
{
    struct fl_front_mqtt *m = fl_container_of(timer, struct fl_front_mqtt, tick);

    fl_broker_tick(m->broker, fl_mqtt_now(m));
    fl_mqtt_touch(m);
}

/* Handshakes leave holes in the heap, whole pages of them: a thousand idle connections would go on
 * to cost what a thousand handshakes did. */
static void on_quiet(struct fl_timer *timer)
{
    struct fl_front_mqtt *m = fl_container_of(timer, struct fl_front_mqtt, quiet);

    m->arrivals = 0;
    (void)malloc_trim(HEAP_SLACK);
}

/* --- the module --- */

enum fl_error fl_front_mqtt_create(const struct fl_front_mqtt_config *config,
                                   struct fl_front_mqtt **mqtt, struct fl_context *ctx)
{
    struct fl_front_mqtt *m = calloc(1, sizeof *m);
    struct fl_broker_host broker_host = {0};
    struct fl_readings_host readings_host = {0};
    enum fl_error error = FL_OK;

    if (!m)
        return fl_fail(ctx, FL_ENOMEM, "mqtt: out of memory");
    m->config = *config;
    broker_host = fl_mqtt_broker_host(m);
    readings_host = fl_mqtt_readings_host(m);
    m->hub = 1;
    m->tick.fired = on_tick;
    m->quiet.fired = on_quiet;
    /* Buffers come and go each round: the heap's top must not. */
    (void)mallopt(M_TRIM_THRESHOLD, 4 * (int)HEAP_SLACK);
    (void)mallopt(M_TOP_PAD, (int)HEAP_SLACK);
    m->after_round.run = on_after_round;
    fl_list_init(&m->strangers);
    fl_list_init(&m->stalled);
    if (config->group) {
        unsigned share = FL_LIMIT_READINGS_UNCOMMITTED / fl_crew_count(config->crew);
        readings_host.uncommitted_max =
            share > FL_LIMIT_READINGS_WORKER ? share : FL_LIMIT_READINGS_WORKER;
    }
    error = fl_readings_create(&readings_host, &m->readings, ctx);
    if (!error)
        error = fl_broker_create(&broker_host, &m->broker, ctx);
    if (error) {
        fl_front_mqtt_free(m);
        return error;
    }
    fl_loop_measure(m->config.loop, &m->meter.counters.round);
    *mqtt = m;
    return FL_OK;
}

enum fl_error fl_front_mqtt_open(struct fl_front_mqtt *mqtt, int fd, SSL_CTX *tls,
                                 struct fl_context *ctx)
{
    const struct fl_listener_handler handler = {.accepted = on_accepted,
                                                .exhausted = give_one_up,
                                                .self = mqtt,
                                                .shared = mqtt->config.group != NULL};

    mqtt->tls = tls;
    return fl_listener_open(mqtt->config.loop, fd, &handler, &mqtt->listener, ctx);
}

void fl_front_mqtt_free(struct fl_front_mqtt *mqtt)
{
    if (!mqtt)
        return;
    fl_listener_close(mqtt->listener);
    FL_LIST_EACH(item, &mqtt->strangers)
    free_conn(fl_container_of(item, struct fl_mqtt_conn, node), "the front ends");
    for (struct fl_map_node *node = fl_map_first(&mqtt->devices); node;
         node = fl_map_first(&mqtt->devices)) {
        struct fl_mqtt_device *d = fl_container_of(node, struct fl_mqtt_device, node);

        /* With its last connection the device is freed, unless it is over its rate. */
        if (fl_list_empty(&d->conns))
            fl_mqtt_device_free(d);
        else
            free_conn(fl_container_of(d->conns.next, struct fl_mqtt_conn, node), "the front ends");
    }
    fl_loop_measure(mqtt->config.loop, NULL);
    fl_loop_stop_timer(mqtt->config.loop, &mqtt->tick);
    fl_loop_stop_timer(mqtt->config.loop, &mqtt->quiet);
    fl_mqtt_log_leave(&mqtt->log);
    fl_loop_undefer(&mqtt->after_round);
    fl_broker_free(mqtt->broker);
    fl_readings_free(mqtt->readings);
    fl_map_free(&mqtt->devices);
    fl_mqtt_ws_room_free(&mqtt->websockets);
    free(mqtt);
}

void fl_front_mqtt_publish(struct fl_front_mqtt *mqtt, const char *topic, const char *payload)
{
    const struct fl_broker_publish publish = {
        .topic = fl_slice_str(topic), .payload = fl_slice_str(payload), .retain = true};

    fl_broker_publish(mqtt->broker, &publish, fl_mqtt_now(mqtt));
}

void fl_front_mqtt_hub_down(struct fl_front_mqtt *mqtt)
{
    mqtt->hub++;
}

void fl_front_mqtt_hub_up(struct fl_front_mqtt *mqtt)
{
    for (struct fl_map_node *node = fl_map_next(&mqtt->devices, NULL); node;
         node = fl_map_next(&mqtt->devices, node)) {
        struct fl_mqtt_device *d = fl_container_of(node, struct fl_mqtt_device, node);

        FL_LIST_EACH(item, &d->conns)
        {
            fl_mqtt_tell_connected(fl_container_of(item, struct fl_mqtt_conn, node),
                                   "still connected");
        }
    }
    fl_readings_resend(mqtt->readings);
}

void fl_front_mqtt_stop(struct fl_front_mqtt *mqtt)
{
    fl_readings_flush(mqtt->readings);
    fl_mqtt_log_leave(&mqtt->log);
}
