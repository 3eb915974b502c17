/* SPDX-License-Identifier: Apache-2.0 */
#include "service/broker_remote.h"

#include "base/assert.h"

#include <stdlib.h>

#define GENERATION_MASK 0xFFFFFFU
#define NO_SLOT UINT32_MAX
#define SPARE_MAX ((size_t)128 * 1024)

static bool join_group(struct fl_broker *broker, const struct fl_broker_host *host)
{
    if (host->group)
        return fl_broker_remote_create(broker, host->group, host->index);
    return fl_broker_group_create(1, &broker->group, NULL) == FL_OK;
}

enum fl_error fl_broker_create(const struct fl_broker_host *host, struct fl_broker **broker,
                               struct fl_context *ctx)
{
    struct fl_broker *made = calloc(1, sizeof *made);

    if (!made || fl_topic_index_init(&made->subscriptions) != FL_OK ||
        fl_topic_index_init(&made->shared) != FL_OK || !join_group(made, host)) {
        fl_broker_free(made);
        return fl_fail(ctx, FL_ENOMEM, "broker: out of memory");
    }
    made->host = *host;
    made->scratch = FL_BUFFER(FL_LIMIT_MQTT_PROPERTIES);
    made->spare = FL_BUFFER(FL_LIMIT_MQTT_OUT);
    made->keep.log = FL_BUFFER(FL_LIMIT_BROKER_LOG);
    made->keep.batch = 1;
    made->keep.period = 1;
    fl_list_init(&made->keep.held);
    made->free_slot = NO_SLOT;
    fl_list_init(&made->notify);
    fl_list_init(&made->matched);
    *broker = made;
    return FL_OK;
}

static void conn_free(struct fl_broker_conn *conn)
{
    struct fl_broker *broker = conn->broker;
    struct fl_broker_device *device = conn->device;
    struct fl_broker_slot *slot = &broker->slots[conn->slot];

    slot->conn = NULL;
    slot->generation = slot->generation == GENERATION_MASK ? 1 : slot->generation + 1;
    slot->next_free = broker->free_slot;
    broker->free_slot = conn->slot;
    fl_list_remove(&conn->in_notify);
    fl_list_remove(&conn->in_held);
    fl_list_remove(&conn->in_device);
    fl_heap_remove(&broker->timers, &conn->timer.node);
    fl_broker_message_unref(conn->will);
    fl_mqtt_session_free(&conn->mqtt);
    free(conn->answer);
    free(conn);
    device->conn_count--;
    broker->counts.connections--;
    fl_broker_device_release(broker, device);
}

void fl_broker_free(struct fl_broker *broker)
{
    struct fl_map_node *node = NULL;
    struct fl_map_node *next = NULL;

    if (!broker)
        return;
    broker->keep.on = false; /* what is kept stays kept */
    for (uint32_t i = 0; i < broker->slot_count; i++)
        if (broker->slots[i].conn) {
            if (broker->slots[i].conn->session)
                broker->slots[i].conn->session->conn = NULL;
            conn_free(broker->slots[i].conn);
        }
    for (node = fl_map_next(&broker->sessions, NULL); node; node = next) {
        next = fl_map_next(&broker->sessions, node);
        fl_broker_session_destroy(broker, fl_container_of(node, struct fl_broker_session, by_key),
                                  0);
    }
    if (broker->subscriptions.root)
        fl_topic_index_free(&broker->subscriptions);
    if (broker->shared.root)
        fl_topic_index_free(&broker->shared);
    if (broker->remote)
        fl_broker_remote_free(broker);
    else
        fl_broker_group_free(broker->group); /* its own */
    fl_map_free(&broker->shares);
    fl_map_free(&broker->sessions);
    fl_map_free(&broker->devices);
    fl_heap_free(&broker->timers);
    fl_buffer_free(&broker->scratch);
    fl_buffer_free(&broker->spare);
    fl_buffer_free(&broker->keep.log);
    fl_broker_restore_end(broker);
    free(broker->targets);
    free(broker->slots);
    free(broker);
}

void fl_broker_arm(struct fl_broker *broker, struct fl_broker_timer *timer, fl_time_t due)
{
    enum fl_error error = FL_OK;

    /* It is in since its owner was made, and moving one that is in cannot fail. */
    fl_assert(timer->node.position != 0);
    error = fl_heap_set(&broker->timers, &timer->node, due);
    fl_assert(error == FL_OK);
}

void fl_broker_touch(struct fl_broker_conn *conn)
{
    bool output = conn->mqtt.out.size && !conn->output_told;
    bool close = conn->mqtt.phase == FL_MQTT_ENDED && !conn->close_told;

    if ((output || close) && fl_list_empty(&conn->in_notify))
        fl_list_push(&conn->broker->notify, &conn->in_notify);
}

void fl_broker_end(struct fl_broker_conn *conn, uint8_t reason, const char *why)
{
    fl_mqtt_session_end(&conn->mqtt, reason, why);
    fl_broker_touch(conn);
}

/* One thing at a time, and the connection back in the list first when there is another: the host
 * may detach it within the call. */
static void tell_one(struct fl_broker_conn *conn)
{
    const struct fl_broker_host *host = &conn->broker->host;

    fl_list_remove(&conn->in_notify);
    if (conn->mqtt.out.size && !conn->output_told) {
        conn->output_told = true;
        fl_broker_touch(conn);
        host->output(host->self, conn->peer);
    } else if (conn->mqtt.phase == FL_MQTT_ENDED && !conn->close_told) {
        conn->close_told = true;
        host->close(host->self, conn->peer, conn->mqtt.why ? conn->mqtt.why : "ended");
    }
}

static void tell(struct fl_broker *broker)
{
    while (!fl_list_empty(&broker->notify))
        tell_one(fl_container_of(broker->notify.next, struct fl_broker_conn, in_notify));
}

/* Every verb is between these two. The host is told at the end, when all is consistent, and may
 * then call any verb; inside it may only settle. */
void fl_broker_enter(struct fl_broker *broker)
{
    fl_assert(broker->depth == 0);
    broker->depth = 1;
}

void fl_broker_leave(struct fl_broker *broker)
{
    broker->depth = 0;
    if (broker->telling)
        return;
    broker->telling = true;
    tell(broker);
    broker->telling = false;
}

struct fl_broker_device *fl_broker_device_get(struct fl_broker *broker, struct fl_slice identity)
{
    struct fl_map_node *node = fl_map_find(&broker->devices, identity);
    struct fl_broker_device *device = NULL;

    if (node)
        return fl_container_of(node, struct fl_broker_device, by_name);
    device = calloc(1, sizeof *device + identity.size);
    if (!device)
        return NULL;
    fl_list_init(&device->conns);
    fl_list_init(&device->sessions);
    memcpy(device->name, identity.data, identity.size);
    device->name_size = identity.size;
    if (fl_map_add(&broker->devices, &device->by_name, fl_slice(device->name, identity.size)) !=
        FL_OK) {
        free(device);
        return NULL;
    }
    return device;
}

void fl_broker_device_release(struct fl_broker *broker, struct fl_broker_device *device)
{
    if (device->conn_count || device->session_count)
        return;
    fl_map_remove(&broker->devices, &device->by_name);
    free(device);
}

static bool slot_get(struct fl_broker *broker, uint32_t *slot)
{
    if (broker->free_slot == NO_SLOT) {
        uint32_t count = broker->slot_count ? broker->slot_count * 2 : 16;
        struct fl_broker_slot *slots = realloc(broker->slots, count * sizeof broker->slots[0]);
        if (!slots)
            return false;
        for (uint32_t i = count; i > broker->slot_count; i--) {
            slots[i - 1] = (struct fl_broker_slot){.generation = 1, .next_free = broker->free_slot};
            broker->free_slot = i - 1;
        }
        broker->slots = slots;
        broker->slot_count = count;
    }
    *slot = broker->free_slot;
    broker->free_slot = broker->slots[*slot].next_free;
    return true;
}

enum fl_error fl_broker_attach(struct fl_broker *broker, struct fl_slice identity, void *peer,
                               fl_time_t now, struct fl_broker_conn **conn, struct fl_context *ctx)
{
    struct fl_broker_device *device = NULL;
    struct fl_broker_conn *made = NULL;

    fl_assert(broker->depth == 0);
    if (identity.size == 0 || identity.size > FL_LIMIT_HOST ||
        memchr(identity.data, 0, identity.size))
        return fl_fail(ctx, FL_EINVAL, "broker: not an identity");
    device = fl_broker_device_get(broker, identity);
    if (!device)
        return fl_fail(ctx, FL_ENOMEM, "broker: out of memory");
    if (device->conn_count >= FL_LIMIT_MQTT_DEVICE_SESSIONS ||
        broker->counts.connections >= FL_LIMIT_CONNECTIONS) {
        fl_broker_device_release(broker, device);
        return fl_fail(ctx, FL_ELIMIT, "broker: too many connections");
    }
    made = calloc(1, sizeof *made);
    if (made)
        made->timer.kind = FL_BROKER_CONN;
    if (!made || !slot_get(broker, &made->slot) ||
        fl_heap_set(&broker->timers, &made->timer.node, now + FL_LIMIT_HANDSHAKE_MS) != FL_OK) {
        free(made);
        fl_broker_device_release(broker, device);
        return fl_fail(ctx, FL_ENOMEM, "broker: out of memory");
    }
    made->broker = broker;
    made->device = device;
    made->peer = peer;
    fl_mqtt_session_init(&made->mqtt, now);
    fl_list_init(&made->in_notify);
    fl_list_init(&made->in_held);
    fl_list_push(&device->conns, &made->in_device);
    broker->slots[made->slot].conn = made;
    device->conn_count++;
    broker->counts.connections++;
    *conn = made;
    return FL_OK;
}

void fl_broker_detach(struct fl_broker_conn *conn, fl_time_t now)
{
    struct fl_broker *broker = conn->broker;

    fl_broker_enter(broker);
    fl_broker_session_leave(conn, true, now);
    conn_free(conn);
    fl_broker_leave(broker);
}

void fl_broker_receive(struct fl_broker_conn *conn, struct fl_slice bytes, fl_time_t now,
                       size_t *taken)
{
    struct fl_broker *broker = conn->broker;
    struct fl_slice left = bytes;
    struct fl_mqtt_packet packet;
    uint64_t promises = broker->keep.promises;
    size_t said_before = conn->mqtt.out.size;
    enum fl_error error = FL_EMORE;

    fl_broker_enter(broker);
    while (!conn->answer) {
        error = fl_mqtt_session_receive(&conn->mqtt, &left, now, &packet);
        if (error)
            break;
        fl_broker_handle(conn, &packet, now);
    }
    if (error && error != FL_EMORE && error != FL_EBUSY && error != FL_ECLOSED)
        broker->counts.violations++;
    if (conn->answer)
        conn->mqtt.held = true;
    *taken = conn->mqtt.phase == FL_MQTT_ENDED ? bytes.size : bytes.size - left.size;
    fl_broker_hold_output(conn, promises, said_before);
    fl_broker_touch(conn);
    fl_broker_leave(broker);
}

void fl_broker_hold(struct fl_broker_conn *conn)
{
    conn->mqtt.held = true;
}

void fl_broker_over_rate(struct fl_broker_conn *conn, bool over)
{
    fl_mqtt_session_withhold(&conn->mqtt, over);
}

bool fl_broker_let_go(struct fl_broker_conn *conn, fl_time_t now)
{
    bool some = false;

    fl_broker_enter(conn->broker);
    some = fl_mqtt_session_let_go(&conn->mqtt, now);
    if (some)
        fl_broker_touch(conn);
    fl_broker_leave(conn->broker);
    return some;
}

fl_time_t fl_broker_keep_alive_ms(const struct fl_broker_conn *conn)
{
    return conn->mqtt.phase == FL_MQTT_OPEN ? conn->mqtt.keep_alive_ms : 0;
}

struct fl_buffer *fl_broker_output(struct fl_broker_conn *conn)
{
    return &conn->mqtt.out;
}

/* An idle connection keeps no output buffer, and a busy one needs a large one each round: one is
 * handed on, grown already. */
static void take_back(struct fl_broker *broker, struct fl_buffer *out)
{
    if (out->capacity > broker->spare.capacity && out->capacity <= SPARE_MAX) {
        struct fl_buffer larger = *out;

        *out = broker->spare;
        broker->spare = larger;
        fl_buffer_clear(&broker->spare);
    }
    fl_buffer_free(out);
}

void fl_broker_drained(struct fl_broker_conn *conn, fl_time_t now)
{
    struct fl_broker *broker = conn->broker;

    fl_broker_enter(broker);
    conn->output_told = false;
    if (conn->mqtt.out.size == 0 && conn->mqtt.out.data)
        take_back(broker, &conn->mqtt.out);
    if (conn->session)
        fl_broker_pump(conn->session, now);
    fl_broker_touch(conn);
    fl_broker_leave(broker);
}

uint64_t fl_broker_token(const struct fl_broker_conn *conn, uint16_t sequence)
{
    return (uint64_t)conn->slot << 40 | (uint64_t)conn->broker->slots[conn->slot].generation << 16 |
           sequence;
}

struct fl_broker_conn *fl_broker_conn_of(const struct fl_broker *broker, uint64_t token)
{
    uint64_t slot = token >> 40;

    if (slot >= broker->slot_count ||
        broker->slots[slot].generation != (token >> 16 & GENERATION_MASK))
        return NULL;
    return broker->slots[slot].conn;
}

void fl_broker_explain(struct fl_broker *broker, uint64_t token, const char *words)
{
    struct fl_broker_conn *conn = fl_broker_conn_of(broker, token);

    if (conn)
        fl_mqtt_session_explain(&conn->mqtt, (uint16_t)token, words);
}

void fl_broker_settle(struct fl_broker *broker, uint64_t token, uint8_t reason, fl_time_t now)
{
    struct fl_broker_conn *conn = fl_broker_conn_of(broker, token);
    bool inside = broker->depth != 0;

    (void)now;
    if (!conn)
        return;
    if (!inside)
        fl_broker_enter(broker);
    fl_broker_receipt_settle(conn, (uint16_t)token, reason, true);
    fl_broker_touch(conn);
    if (!inside)
        fl_broker_leave(broker);
}

static void cut_conn(struct fl_broker_conn *conn, uint8_t reason, const char *why, fl_time_t now)
{
    /* DISCONNECT from us: the device said nothing, so nothing is said in its name. */
    fl_broker_message_unref(conn->will);
    conn->will = NULL;
    fl_broker_session_leave(conn, false, now);
    fl_broker_end(conn, reason, why);
}

uint32_t fl_broker_cut(struct fl_broker *broker, struct fl_slice identity, uint8_t reason,
                       const char *why, bool forget, fl_time_t now)
{
    struct fl_map_node *node = fl_map_find(&broker->devices, identity);
    struct fl_broker_device *device =
        node ? fl_container_of(node, struct fl_broker_device, by_name) : NULL;
    uint32_t cut = 0;

    if (!device)
        return 0;
    fl_broker_enter(broker);
    device->conn_count++; /* holds it to the end */
    FL_LIST_EACH(at, &device->conns)
    {
        struct fl_broker_conn *conn = fl_container_of(at, struct fl_broker_conn, in_device);
        if (conn->mqtt.phase == FL_MQTT_ENDED)
            continue;
        cut_conn(conn, reason, why, now);
        cut++;
    }
    FL_LIST_EACH(at, &device->sessions)
    {
        struct fl_broker_session *session =
            fl_container_of(at, struct fl_broker_session, in_device);
        fl_broker_session_drop_will(broker, session);
        if (forget)
            fl_broker_session_destroy(broker, session, now);
    }
    device->conn_count--;
    fl_broker_device_release(broker, device);
    broker->depth = 0;
    /* At once, also from inside another telling: `why` is the caller's. */
    tell(broker);
    return cut;
}

void fl_broker_publish(struct fl_broker *broker, const struct fl_broker_publish *publish,
                       fl_time_t now)
{
    struct fl_broker_input input = {
        .topic = publish->topic,
        .payload = publish->payload,
        .expires = FL_TIME_NEVER,
        .qos = publish->qos,
        .retain = publish->retain,
    };

    if (!fl_mqtt_topic_valid(input.topic) || !fl_broker_topic_fits(input.topic) ||
        input.payload.size > FL_LIMIT_MQTT_PACKET || input.qos > 2) {
        broker->counts.refused++;
        return;
    }
    fl_broker_enter(broker);
    if (!fl_broker_route(broker, &input, NULL, NULL, now))
        broker->counts.dropped++;
    fl_broker_leave(broker);
}

/* Tells the host again of output that may be sent now. */
static void release_held(struct fl_broker *broker)
{
    FL_LIST_EACH(at, &broker->keep.held)
    {
        struct fl_broker_conn *conn = fl_container_of(at, struct fl_broker_conn, in_held);

        if (fl_broker_output_ready(conn) == 0)
            continue;
        conn->output_told = false;
        fl_broker_touch(conn);
    }
}

void fl_broker_committed(struct fl_broker *broker, uint64_t batch, fl_time_t now)
{
    (void)now;
    if (batch <= broker->keep.committed)
        return;
    fl_broker_enter(broker);
    broker->keep.committed = batch;
    if (broker->keep.healed <= batch)
        broker->keep.healed = 0;
    release_held(broker);
    fl_broker_leave(broker);
}

void fl_broker_log_failed(struct fl_broker *broker, uint64_t batch, fl_time_t now)
{
    (void)now;
    fl_broker_enter(broker);
    broker->keep.lost = true;
    broker->keep.period++; /* bodies that went with it must be written again */
    FL_LIST_EACH(at, &broker->keep.held)
    {
        struct fl_broker_conn *conn = fl_container_of(at, struct fl_broker_conn, in_held);

        if (conn->held_batch < batch && conn->next_batch < batch)
            continue;
        /* Nothing of it may be said, not even why. */
        fl_buffer_clear(&conn->mqtt.out);
        conn->held_batch = conn->next_batch = 0;
        fl_list_remove(&conn->in_held);
        fl_mqtt_session_close(&conn->mqtt, "what it said could not be kept");
        fl_broker_touch(conn);
    }
    if (batch > broker->keep.committed)
        broker->keep.committed = batch;
    release_held(broker);
    fl_broker_leave(broker);
}

fl_time_t fl_broker_next_timeout(const struct fl_broker *broker)
{
    const struct fl_heap_node *first = fl_heap_first(&broker->timers);
    fl_time_t retained = fl_broker_retained_due(broker);

    return first && first->due < retained ? first->due : retained;
}

/* Keep alive is looked at when the timer is due, not at every packet. */
static void conn_tick(struct fl_broker_conn *conn, fl_time_t now)
{
    fl_time_t deadline = fl_mqtt_session_deadline(&conn->mqtt);

    if ((conn->mqtt.held || conn->mqtt.withheld) && conn->mqtt.keep_alive_ms &&
        conn->mqtt.phase == FL_MQTT_OPEN)
        deadline = now + conn->mqtt.keep_alive_ms;
    fl_broker_arm(conn->broker, &conn->timer, deadline > now ? deadline : FL_TIME_NEVER);
    if (deadline > now)
        return;
    if (conn->mqtt.phase == FL_MQTT_OPEN)
        fl_broker_end(conn, FL_MQTT_KEEP_ALIVE, "keep alive timeout");
    else
        fl_mqtt_session_close(&conn->mqtt, "no CONNECT in time");
    fl_broker_touch(conn);
}

void fl_broker_tick(struct fl_broker *broker, fl_time_t now)
{
    fl_broker_enter(broker);
    for (;;) {
        struct fl_heap_node *node = fl_heap_first(&broker->timers);
        struct fl_broker_timer *timer = NULL;
        if (!node || node->due > now)
            break;
        timer = fl_container_of(node, struct fl_broker_timer, node);
        if (timer->kind == FL_BROKER_CONN)
            conn_tick(fl_container_of(timer, struct fl_broker_conn, timer), now);
        else
            fl_broker_session_tick(broker, fl_container_of(timer, struct fl_broker_session, timer),
                                   now);
    }
    fl_broker_retained_tick(broker, now);
    fl_broker_leave(broker);
}

void fl_broker_count(const struct fl_broker *broker, struct fl_broker_counts *counts)
{
    *counts = broker->counts;
    counts->retained = fl_broker_retained_count(broker);
    counts->retained_bytes = fl_broker_retained_bytes(broker);
    for (unsigned i = 1; i < FL_BROKER_QUEUE_CLASSES; i++)
        if (broker->queues[i])
            counts->queue_largest = (1U << i) - 1;
}

uint64_t fl_broker_kept(const struct fl_broker *broker)
{
    return broker->counts.kept;
}

uint64_t fl_broker_received(const struct fl_broker *broker)
{
    const uint64_t *by_qos = broker->counts.received;

    return by_qos[0] + by_qos[1] + by_qos[2];
}
