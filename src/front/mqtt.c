/* SPDX-License-Identifier: Apache-2.0 */
#include "front/mqtt.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "codec/mqtt.h"
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

struct fl_front_mqtt {
    struct fl_front_mqtt_config config;
    struct fl_broker *broker;
    struct fl_readings *readings;
    struct fl_listener *listener;
    SSL_CTX *tls;
    struct fl_timer tick;
    struct fl_timer quiet;          /* nobody has come for a while, after many did */
    uint32_t arrivals;              /* since memory was last given back */
    struct fl_deferred after_round; /* send readings, set the tick */
    struct fl_map devices;          /* struct device, of those with connections */
    struct fl_list strangers;       /* struct conn, no certificate seen yet; oldest first */
    struct fl_list stalled;         /* struct conn, with bytes that could not be taken */
    size_t tls12;                   /* of its connections, authenticated with TLS 1.2 */
    uint64_t hub;                   /* which hub it is: grows when one goes */
    struct fl_mqtt_log log;
    struct fl_meter meter;
    struct fl_reading_list parsed; /* too large for a stack */
    struct fl_mqtt_ws_room websockets;
};

struct device {
    struct fl_map_node node;
    struct fl_front_mqtt *mqtt;
    struct fl_list conns;
    struct fl_rates rates;
    uint64_t rates_epoch;  /* of the roster, when they were looked up */
    struct fl_timer timer; /* its rate has room again; without connections: it may be forgotten */
    bool limited;          /* it waits for that */
    struct fl_meter_places places;
    char id[FL_NAME_MAX + 1];
};

struct conn {
    struct fl_stream stream;
    struct fl_front_mqtt *mqtt;
    struct fl_list node; /* among the strangers, its device's connections, or no one's */
    struct fl_list stalled;
    struct device *device;            /* once authenticated */
    struct fl_broker_conn *attached;  /* NULL before and after */
    const struct fl_profile *profile; /* as the roster gave it at its epoch */
    uint64_t epoch;
    struct fl_deferred flush;
    struct fl_mqtt_ws *ws; /* NULL: MQTT as it is */
    bool connected;
    uint64_t told; /* the hub that knows of it; it counts, so each is told once */
    bool resumed;
    bool tls_over; /* it came with a TLS that its device may not have any more: it ends */
    bool ending;   /* send what is left, then end */
    char *why;     /* it is ending; NULL: no memory for the words */
    char serial[FL_LIMIT_SERIAL_HEX];
    char peer[FL_LIMIT_ADDRESS];
};

static fl_time_t now(const struct fl_front_mqtt *m)
{
    return fl_loop_now(m->config.loop);
}

static fl_time_t utc(const struct fl_front_mqtt *m)
{
    return fl_clock_now(m->config.clock);
}

/* Something happened that the end of the round must deal with. */
static void touch(struct fl_front_mqtt *m)
{
    fl_loop_defer(m->config.loop, &m->after_round);
}

/* --- connections --- */

static bool tell_session(const struct conn *c, const char *event, const char *reason)
{
    struct fl_msg msg = {.type = fl_msg_type_session};
    struct fl_msg_session *s = &msg.as.session;

    s->device = fl_slice_str(c->device->id);
    s->event = fl_slice_str(event);
    s->at = utc(c->mqtt);
    s->peer = fl_slice_str(c->peer);
    s->serial = fl_slice_str(c->serial);
    s->resumed = c->resumed ? 1 : 0;
    s->reason = fl_slice_str(reason);
    return fl_link_send(c->mqtt->config.link, &msg);
}

static void tell_connected(struct conn *c, const char *reason)
{
    if (c->connected && c->told != c->mqtt->hub && tell_session(c, "connected", reason))
        c->told = c->mqtt->hub;
}

static void free_device(struct device *d)
{
    fl_loop_stop_timer(d->mqtt->config.loop, &d->timer);
    fl_map_remove(&d->mqtt->devices, &d->node);
    free(d);
}

/* Its last connection has gone. What it has used of its rate is remembered, so that coming back is
 * no way around it. */
static void leave_device(struct device *d)
{
    fl_time_t full_in = fl_rates_full_in(&d->rates, now(d->mqtt));

    if (d->limited)
        d->mqtt->meter.counters.limited_devices--;
    d->limited = false;
    if (full_in > 0)
        fl_loop_set_timer(d->mqtt->config.loop, &d->timer, full_in);
    else
        free_device(d);
}

static void resume(struct conn *c)
{
    if (fl_list_empty(&c->stalled))
        return;
    fl_list_remove(&c->stalled);
    fl_stream_resume(&c->stream);
}

static void on_device_timer(struct fl_timer *timer)
{
    struct device *d = fl_container_of(timer, struct device, timer);

    if (fl_list_empty(&d->conns)) {
        leave_device(d);
        return;
    }
    if (d->limited)
        d->mqtt->meter.counters.limited_devices--;
    d->limited = false;
    FL_LIST_EACH(item, &d->conns)
    resume(fl_container_of(item, struct conn, node));
}

static struct device *device_named(struct fl_front_mqtt *m, const char *id)
{
    struct fl_map_node *node = fl_map_find(&m->devices, fl_slice_str(id));
    struct device *d = node ? fl_container_of(node, struct device, node) : calloc(1, sizeof *d);

    if (!d || node)
        return d;
    d->mqtt = m;
    d->timer.fired = on_device_timer;
    fl_rates_set(&d->rates, NULL);
    fl_list_init(&d->conns);
    (void)fl_str_copy(d->id, sizeof d->id, id);
    if (fl_map_add(&m->devices, &d->node, fl_slice_str(d->id)) != FL_OK) {
        free(d);
        return NULL;
    }
    return d;
}

static void detach(struct conn *c, const char *why)
{
    struct fl_broker_conn *attached = c->attached;

    if (!attached)
        return;
    fl_broker_detach(attached, now(c->mqtt));
    c->attached = NULL;
    if (c->connected && c->told == c->mqtt->hub)
        (void)tell_session(c, "disconnected", why);
    c->connected = false;
    touch(c->mqtt);
}

static void free_conn(struct conn *c, const char *why)
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
        leave_device(c->device);
    atomic_fetch_sub_explicit(m->config.connections, 1, memory_order_relaxed);
    if (c->ws)
        fl_mqtt_ws_free(c->ws);
    free(c->ws);
    free(c->why);
    free(c);
}

static void end(struct conn *c, const char *why)
{
    if (!c->ending)
        c->why = strdup(why);
    c->ending = true;
    fl_loop_defer(c->mqtt->config.loop, &c->flush);
}

/* All that is sent goes through here, and only what may be sent now: what it tells of is on stable
 * storage. */
static enum fl_error send_output(struct conn *c)
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

static void flush(struct conn *c)
{
    enum fl_error error = FL_OK;

    if (!c->attached)
        return;
    if (c->tls_over)
        end(c, "its profile does not allow TLS 1.2 any more");
    fl_mqtt_log_write(&c->mqtt->log);
    error = send_output(c);
    if (error == FL_ENOMEM)
        end(c, "out of memory");
    if (c->ending) {
        const char *why = c->why ? c->why : "ended";

        /* Who does not read loses the farewell, not the order of things. */
        if (c->ws)
            fl_mqtt_ws_end(c->ws, &c->stream, why);
        detach(c, why);
        fl_stream_finish(&c->stream);
    } else if (error == FL_OK && fl_broker_output(c->attached)->size == 0) {
        /* Of what is held back the broker tells when it may be sent: until then no round spins. */
        fl_broker_drained(c->attached, now(c->mqtt));
        resume(c);
    }
}

static void on_flush(struct fl_deferred *deferred)
{
    flush(fl_container_of(deferred, struct conn, flush));
}

static void on_writable(struct fl_stream *stream)
{
    flush(fl_container_of(stream, struct conn, stream));
}

static const struct fl_profile *profile_of(const struct fl_front_mqtt *m, struct fl_slice device)
{
    return fl_roster_profile_of(m->config.roster, device);
}

/* The same, remembered as long as it holds: asked for each message in and out. */
static const struct fl_profile *rights_of(struct conn *c)
{
    const struct fl_roster *roster = c->mqtt->config.roster;

    if (c->epoch != roster->epoch) {
        c->profile = profile_of(c->mqtt, fl_slice_str(c->device->id));
        c->epoch = roster->epoch;
    }
    return c->profile;
}

/* The device is over its rate: none of its connections is read until there is room. */
static void limit(struct conn *c)
{
    struct fl_front_mqtt *m = c->mqtt;
    struct device *d = c->device;
    enum fl_rates_limit what = fl_rates_begin_stretch(&d->rates, now(m));

    if (what != FL_RATES_NONE) {
        fl_meter_limited(&m->meter, what == FL_RATES_MESSAGES);
        m->config.refused(m->config.self, fl_slice_str(d->id), "rate", fl_slice(NULL, 0),
                          what == FL_RATES_MESSAGES ? "more messages than its profile's rate"
                                                    : "more bytes than its profile's rate");
    }
    if (!d->limited)
        m->meter.counters.limited_devices++;
    d->limited = true;
    fl_loop_set_timer(m->config.loop, &d->timer, fl_rates_wait(&d->rates, now(m)));
    fl_broker_hold(c->attached);
}

/* Hands the broker what the device's rate has room for. Returns how much was taken. */
static size_t feed(struct conn *c, struct fl_slice bytes)
{
    struct fl_front_mqtt *m = c->mqtt;
    struct device *d = c->device;
    uint64_t before = fl_broker_received(m->broker);
    uint64_t messages = 0;
    size_t taken = 0;

    if (d->rates_epoch != m->config.roster->epoch && rights_of(c))
        fl_rates_set(&d->rates, rights_of(c));
    d->rates_epoch = m->config.roster->epoch;
    while (taken < bytes.size && !c->ending) {
        size_t room = fl_rates_room(&d->rates, bytes.size - taken, now(m));
        size_t some = 0;

        if (room == 0) {
            limit(c);
            break;
        }
        fl_broker_receive(c->attached, fl_slice(bytes.data + taken, room), now(m), &some);
        fl_rates_charge(&d->rates, fl_broker_received(m->broker) - before - messages, some, now(m));
        messages = fl_broker_received(m->broker) - before;
        taken += some;
        if (some < room)
            break;
    }
    m->meter.counters.bytes_in += taken;
    if (messages)
        fl_meter_busy(&m->meter, fl_slice_str(d->id), &d->places, messages, taken);
    return taken;
}

/* What it would have to say to other workers finds no room, or the log is behind. */
static bool is_busy(const struct fl_front_mqtt *m)
{
    return m->log.behind || (m->config.crew && fl_crew_busy(m->config.crew, m->config.worker));
}

static size_t take_bytes(void *self, struct fl_slice bytes)
{
    struct conn *c = self;
    struct fl_front_mqtt *m = c->mqtt;
    size_t taken = 0;

    if (!c->attached || c->ending)
        return bytes.size;
    if (fl_readings_full(m->readings) || is_busy(m))
        fl_broker_hold(c->attached);
    else
        taken = feed(c, bytes);
    touch(m);
    if (c->ending)
        return bytes.size;
    if (taken < bytes.size && fl_list_empty(&c->stalled))
        fl_list_push(&m->stalled, &c->stalled);
    return taken;
}

static size_t on_received(struct fl_stream *stream, struct fl_slice bytes)
{
    struct conn *c = fl_container_of(stream, struct conn, stream);
    const char *why = NULL;
    size_t taken = 0;

    if (!c->ws || !c->attached)
        return take_bytes(c, bytes);
    taken = fl_mqtt_ws_receive(c->ws, bytes, take_bytes, c, &why);
    if (why)
        end(c, why);
    else if (fl_mqtt_ws_must_write(c->ws))
        fl_loop_defer(c->mqtt->config.loop, &c->flush);
    return taken;
}

/* It is authenticated and at home. */
static void settle_in(struct conn *c, const char *id)
{
    struct fl_front_mqtt *m = c->mqtt;
    struct fl_context ctx = {0};

    c->device = device_named(m, id);
    if (!c->device) {
        free_conn(c, "out of memory");
        return;
    }
    m->tls12 += fl_tls_is_12(c->stream.ssl);
    fl_list_remove(&c->node);
    fl_list_push(&c->device->conns, &c->node);
    if (fl_broker_attach(m->broker, fl_slice_str(c->device->id), c, now(m), &c->attached, &ctx) !=
        FL_OK) {
        m->meter.counters.refused_device++;
        (void)tell_session(c, "refused", ctx.text);
        free_conn(c, ctx.text);
    }
    touch(m);
}

struct fl_front_mqtt_guest {
    struct conn *conn;
    char id[FL_NAME_MAX + 1];
};

static void hand_over(struct conn *c, unsigned to, const char *id)
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
    struct conn *c = guest->conn;
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
    struct conn *c = fl_container_of(stream, struct conn, stream);
    struct fl_front_mqtt *m = c->mqtt;
    const struct fl_cert_info *info = fl_tls_peer(stream->ssl);
    char id[FL_NAME_MAX + 1];
    unsigned home = 0;

    if (!info || !fl_str_copy(id, sizeof id, info->name)) {
        free_conn(c, "no certificate");
        return;
    }
    c->resumed = SSL_session_reused(stream->ssl) == 1;
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
    struct conn *c = fl_container_of(stream, struct conn, stream);

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
    free_conn(fl_container_of(m->strangers.next, struct conn, node), "too many connections");
    return true;
}

static struct conn *make_conn(struct fl_front_mqtt *m, const char *peer)
{
    bool room =
        atomic_load_explicit(m->config.connections, memory_order_relaxed) < FL_LIMIT_CONNECTIONS ||
        give_one_up(m);
    struct conn *c = room ? calloc(1, sizeof *c) : NULL;

    m->meter.counters.accepted++;
    if (!c) {
        m->meter.counters.refused_full++;
        fl_log(FL_LOG_WARN, "mqtt", "%s: no room for another connection", peer);
        return NULL;
    }
    c->mqtt = m;
    c->flush.run = on_flush;
    fl_list_init(&c->stalled);
    (void)fl_str_copy(c->peer, sizeof c->peer, peer);
    return c;
}

static void on_accepted(void *self, const struct fl_accepted *accepted)
{
    struct fl_front_mqtt *m = self;
    struct conn *c = make_conn(m, accepted->peer);
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
    struct conn *c = make_conn(mqtt, peer);
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

/* --- what the broker asks --- */

static bool may(void *self, void *peer, enum fl_broker_right right, struct fl_slice topic)
{
    struct conn *c = peer;
    struct fl_slice device = fl_slice_str(c->device->id);
    const struct fl_profile *profile = rights_of(c);

    (void)self;
    return profile &&
           fl_profile_allows(profile,
                             right == FL_BROKER_PUBLISH ? FL_RIGHT_PUBLISH : FL_RIGHT_SUBSCRIBE,
                             device, topic);
}

static void refused(void *self, void *peer, const char *what, struct fl_slice topic,
                    const char *reason)
{
    struct fl_front_mqtt *m = self;
    const struct conn *c = peer;

    fl_meter_refused(&m->meter, reason);
    m->config.refused(m->config.self, fl_slice_str(c->device->id), what, topic, reason);
}

static uint8_t reason_of(enum fl_error error)
{
    if (error == FL_OK)
        return FL_MQTT_SUCCESS;
    if (error == FL_ENOTFOUND || error == FL_EDENIED)
        return FL_MQTT_NOT_AUTHORIZED;
    if (error == FL_EPARSE || error == FL_EINVAL || error == FL_ELIMIT)
        return FL_MQTT_PAYLOAD_FORMAT;
    return error == FL_EFULL || error == FL_EBUSY ? FL_MQTT_QUOTA : FL_MQTT_UNSPECIFIED;
}

static enum fl_error take_readings(struct fl_front_mqtt *m, struct fl_slice device,
                                   struct fl_slice stream, const struct fl_broker_publish *publish,
                                   uint64_t token, struct fl_context *ctx)
{
    const struct fl_profile *profile = profile_of(m, device);
    const struct fl_readings_origin origin = {.topic = publish->topic,
                                              .payload = publish->payload,
                                              .packet_id = publish->packet_id,
                                              .redelivery = publish->dup,
                                              .wants_answer = publish->qos > 0 && token != 0,
                                              .token = token};
    enum fl_error error = FL_OK;

    if (!profile)
        return fl_fail(ctx, FL_EDENIED, "no profile");
    error = fl_reading_parse(profile, device, stream, publish->payload, utc(m), &m->parsed, ctx);
    if (error)
        return error;
    error = fl_readings_add(m->readings, &m->parsed, &origin, utc(m));
    if (error)
        (void)fl_fail(ctx, error, "no room until the hub has stored what is waiting");
    touch(m);
    return error;
}

/* A publish that the device may say: FL_OK, and `*kept` when the hub is to store it first. */
static enum fl_error take(struct fl_front_mqtt *m, struct fl_slice device,
                          const struct fl_broker_publish *publish, uint64_t token, bool *kept)
{
    struct fl_context ctx = {0};
    struct fl_slice stream = {0};
    enum fl_error error = FL_OK;

    *kept = false;
    if (!fl_reading_topic(publish->topic, device, &stream))
        return FL_OK;
    /* An empty retained message only takes a retained one back (MQTT 5.0 section 3.3.1.3). */
    if (publish->retain && publish->payload.size == 0)
        return FL_OK;
    error = take_readings(m, device, stream, publish, token, &ctx);
    *kept = !error && publish->qos > 0 && token != 0;
    if (error) {
        fl_meter_reading(&m->meter, error);
        m->config.refused(m->config.self, device, "reading", publish->topic, ctx.text);
        fl_broker_explain(m->broker, token, ctx.text);
    }
    return error;
}

static enum fl_broker_verdict on_publish(void *self, void *peer,
                                         const struct fl_broker_publish *publish, uint64_t token,
                                         uint8_t *reason)
{
    const struct conn *c = peer;
    bool kept = false;
    enum fl_error error = take(self, fl_slice_str(c->device->id), publish, token, &kept);

    if (error) {
        *reason = reason_of(error);
        return FL_BROKER_REFUSE;
    }
    return kept ? FL_BROKER_KEEP : FL_BROKER_ROUTE;
}

/* The device may have been cut off, or its profile changed, since it left its will. */
static bool on_will(void *self, struct fl_slice identity, const struct fl_broker_publish *will)
{
    struct fl_front_mqtt *m = self;
    const struct fl_profile *profile = profile_of(m, identity);
    bool kept = false;

    if (!profile || !fl_profile_allows(profile, FL_RIGHT_PUBLISH, identity, will->topic)) {
        m->meter.counters.refused_unauthorized++;
        m->config.refused(m->config.self, identity, "publish", will->topic, "not authorized");
        return false;
    }
    return take(self, identity, will, 0, &kept) == FL_OK;
}

static void on_output(void *self, void *peer)
{
    struct conn *c = peer;

    (void)self;
    fl_loop_defer(c->mqtt->config.loop, &c->flush);
}

static void on_connected(void *self, void *peer)
{
    struct conn *c = peer;

    (void)self;
    c->connected = true;
    tell_connected(c, "");
}

static void on_close(void *self, void *peer, const char *why)
{
    (void)self;
    end(peer, why);
}

/* --- readings and time --- */

static bool send_batch(void *self, uint64_t batch, struct fl_slice records)
{
    struct fl_front_mqtt *m = self;
    struct fl_msg msg = {.type = fl_msg_type_readings};

    fl_meter_batch_sent(&m->meter, batch, fl_clock_monotonic_us());
    msg.as.readings.batch = batch | (uint64_t)m->config.worker << FL_FRONT_MQTT_BATCH_BITS;
    msg.as.readings.records = records;
    return fl_link_send(m->config.link, &msg);
}

static void settle(void *self, uint64_t token, enum fl_error error)
{
    struct fl_front_mqtt *m = self;
    struct fl_context ctx = {0};

    if (error) {
        (void)fl_fail(&ctx, error, "the hub could not store it: %s", fl_error_words(error));
        fl_broker_explain(m->broker, token, ctx.text);
    }
    fl_broker_settle(m->broker, token, reason_of(error), now(m));
}

void fl_front_mqtt_readings_done(struct fl_front_mqtt *mqtt, uint64_t batch, enum fl_error error)
{
    fl_meter_batch_done(&mqtt->meter, batch, fl_clock_monotonic_us());
    if (error)
        fl_log(FL_LOG_WARN, "readings", "the hub could not store a batch: %s",
               fl_error_words(error));
    fl_readings_done(mqtt->readings, batch, error);
    fl_front_mqtt_room(mqtt);
    touch(mqtt);
}

/* There may be room again for whoever waits; who still finds none waits again. */
void fl_front_mqtt_room(struct fl_front_mqtt *mqtt)
{
    FL_LIST_EACH(node, &mqtt->stalled)
    {
        resume(fl_container_of(node, struct conn, stalled));
    }
}

static bool on_post(void *self, unsigned to, const struct fl_broker_note *note, bool must)
{
    const struct fl_front_mqtt *m = self;

    return fl_crew_post(m->config.crew, m->config.worker, to, note, must);
}

void fl_front_mqtt_note(struct fl_front_mqtt *mqtt, unsigned from,
                        const struct fl_broker_note *note)
{
    fl_broker_hear(mqtt->broker, from, note, now(mqtt));
    touch(mqtt);
}

void fl_front_mqtt_round(struct fl_front_mqtt *mqtt, bool busy)
{
    fl_mqtt_log_write(&mqtt->log);
    fl_broker_round(mqtt->broker, busy, now(mqtt));
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
        fl_loop_set_timer(m->config.loop, &m->tick, next - now(m));
}

static void on_tick(struct fl_timer *timer)
{
    struct fl_front_mqtt *m = fl_container_of(timer, struct fl_front_mqtt, tick);

    fl_broker_tick(m->broker, now(m));
    touch(m);
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
    const struct fl_broker_host broker_host = {.may = may,
                                               .publish = on_publish,
                                               .will = on_will,
                                               .refused = refused,
                                               .output = on_output,
                                               .connected = on_connected,
                                               .close = on_close,
                                               .self = m,
                                               .group = config->group,
                                               .index = config->worker,
                                               .post = on_post};
    struct fl_readings_host readings_host = {.send = send_batch, .settle = settle, .self = m};
    enum fl_error error = FL_OK;

    if (!m)
        return fl_fail(ctx, FL_ENOMEM, "mqtt: out of memory");
    m->config = *config;
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
    free_conn(fl_container_of(item, struct conn, node), "the front ends");
    for (struct fl_map_node *node = fl_map_next(&mqtt->devices, NULL); node;
         node = fl_map_next(&mqtt->devices, NULL)) {
        struct device *d = fl_container_of(node, struct device, node);

        /* With its last connection the device is freed, unless it is over its rate. */
        if (fl_list_empty(&d->conns))
            free_device(d);
        else
            free_conn(fl_container_of(d->conns.next, struct conn, node), "the front ends");
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

struct fl_meter *fl_front_mqtt_meter(struct fl_front_mqtt *mqtt)
{
    struct fl_counters_worker *c = &mqtt->meter.counters;
    struct fl_broker_counts counts = {0};

    fl_broker_count(mqtt->broker, &counts);
    fl_meter_sample(&mqtt->meter, &counts);
    c->handshaking = 0;
    FL_LIST_EACH(item, &mqtt->strangers)
    c->handshaking++;
    c->held = 0;
    FL_LIST_EACH(item, &mqtt->stalled)
    c->held++;
    c->readings_waiting = fl_readings_uncommitted(mqtt->readings);
    return &mqtt->meter;
}

void fl_front_mqtt_publish(struct fl_front_mqtt *mqtt, const char *topic, const char *payload)
{
    const struct fl_broker_publish publish = {
        .topic = fl_slice_str(topic), .payload = fl_slice_str(payload), .retain = true};

    fl_broker_publish(mqtt->broker, &publish, now(mqtt));
}

void fl_front_mqtt_hub_down(struct fl_front_mqtt *mqtt)
{
    mqtt->hub++;
}

void fl_front_mqtt_hub_up(struct fl_front_mqtt *mqtt)
{
    for (struct fl_map_node *node = fl_map_next(&mqtt->devices, NULL); node;
         node = fl_map_next(&mqtt->devices, node)) {
        struct device *d = fl_container_of(node, struct device, node);

        FL_LIST_EACH(item, &d->conns)
        {
            tell_connected(fl_container_of(item, struct conn, node), "still connected");
        }
    }
    fl_readings_resend(mqtt->readings);
}

uint32_t fl_front_mqtt_recheck(struct fl_front_mqtt *mqtt, struct fl_slice device, const char *why,
                               bool forget)
{
    struct fl_map_node *node = fl_map_find(&mqtt->devices, device);
    struct device *d = node ? fl_container_of(node, struct device, node) : NULL;
    uint32_t count = 0;
    bool any_stays = false;

    if (!d)
        return fl_broker_cut(mqtt->broker, device, FL_MQTT_ADMINISTRATIVE, why, forget, now(mqtt));
    FL_LIST_EACH(item, &d->conns)
    {
        const struct conn *c = fl_container_of(item, struct conn, node);
        any_stays |= c->attached && !c->ending &&
                     fl_roster_admits(mqtt->config.roster, device, fl_slice_str(c->serial));
    }
    if (!any_stays)
        return fl_broker_cut(mqtt->broker, device, FL_MQTT_ADMINISTRATIVE, why, forget, now(mqtt));
    /* Only a credential is gone: those who came with another stay. */
    FL_LIST_EACH(item, &d->conns)
    {
        struct conn *c = fl_container_of(item, struct conn, node);
        if (c->ending || fl_roster_admits(mqtt->config.roster, device, fl_slice_str(c->serial)))
            continue;
        end(c, why);
        count++;
    }
    return count;
}

void fl_front_mqtt_recheck_tls(struct fl_front_mqtt *mqtt, struct fl_slice device)
{
    struct fl_map_node *node =
        device.size ? fl_map_find(&mqtt->devices, device) : fl_map_next(&mqtt->devices, NULL);

    while (node && mqtt->tls12 > 0) {
        struct device *d = fl_container_of(node, struct device, node);
        bool allowed = fl_roster_allows_tls12(mqtt->config.roster, fl_slice_str(d->id));

        FL_LIST_EACH(item, &d->conns)
        {
            struct conn *c = fl_container_of(item, struct conn, node);

            c->tls_over = !allowed && fl_tls_is_12(c->stream.ssl);
            if (c->tls_over)
                fl_loop_defer(mqtt->config.loop, &c->flush);
        }
        node = device.size ? NULL : fl_map_next(&mqtt->devices, node);
    }
}

void fl_front_mqtt_stop(struct fl_front_mqtt *mqtt)
{
    fl_readings_flush(mqtt->readings);
    fl_mqtt_log_leave(&mqtt->log);
}

/* --- the log --- */

static void on_log_changed(void *self)
{
    touch(self);
}

static void on_log_broken(void *self, const char *words)
{
    const struct fl_front_mqtt *m = self;

    m->config.broken(m->config.self, words);
}

void fl_front_mqtt_keep(struct fl_front_mqtt *mqtt, struct fl_keeper *keeper)
{
    mqtt->log.changed = on_log_changed;
    mqtt->log.broken = on_log_broken;
    mqtt->log.self = mqtt;
    fl_mqtt_log_begin(&mqtt->log, mqtt->config.loop, mqtt->broker, keeper, mqtt->config.worker,
                      utc(mqtt) - now(mqtt));
}

enum fl_error fl_front_mqtt_restore(struct fl_front_mqtt *mqtt, const struct fl_keep *record)
{
    struct fl_slice rest = record->as.session.key;
    struct fl_slice identity = {0};
    bool mine = true;

    if (record->type == fl_keep_type_session) {
        (void)fl_slice_cut(&rest, 0, &identity);
        mine = fl_front_mqtt_home(mqtt, identity) == mqtt->config.worker;
    } else if (record->type >= fl_keep_type_retain) {
        mine = mqtt->config.worker == 0;
    }
    return fl_broker_restore(mqtt->broker, record, mine, now(mqtt));
}

static bool is_known(void *self, struct fl_slice identity)
{
    const struct fl_front_mqtt *m = self;

    return fl_roster_knows(m->config.roster, identity);
}

void fl_front_mqtt_restored(struct fl_front_mqtt *mqtt)
{
    fl_broker_restored(mqtt->broker, is_known, mqtt, now(mqtt));
}

void fl_front_mqtt_resumed(struct fl_front_mqtt *mqtt)
{
    fl_broker_resumed(mqtt->broker);
    fl_mqtt_log_write(&mqtt->log);
}

enum fl_error fl_front_mqtt_join_log(struct fl_front_mqtt *mqtt, struct fl_context *ctx)
{
    enum fl_error error = fl_mqtt_log_join(&mqtt->log, ctx);

    touch(mqtt); /* timers of what was read back */
    return error;
}
