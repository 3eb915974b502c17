/* SPDX-License-Identifier: Apache-2.0 */
#include "service/broker_internal.h"

#include "base/assert.h"

#include <stdlib.h>

#define KEY_MAX (FL_LIMIT_HOST + 1 + FL_LIMIT_MQTT_CLIENT_ID)

static struct fl_broker_entry *entry_at(const struct fl_broker_queue *queue, uint32_t index)
{
    return &queue->ring[(queue->first + index) & (queue->capacity - 1)];
}

static bool queue_push(struct fl_broker_queue *queue, const struct fl_broker_entry *entry)
{
    if (queue->count == queue->capacity) {
        uint32_t capacity = queue->capacity ? queue->capacity * 2 : 4;
        struct fl_broker_entry *ring = malloc(capacity * sizeof *ring);
        if (!ring)
            return false;
        for (uint32_t i = 0; i < queue->count; i++)
            ring[i] = *entry_at(queue, i);
        free(queue->ring);
        queue->ring = ring;
        queue->first = 0;
        queue->capacity = capacity;
    }
    queue->count++;
    *entry_at(queue, queue->count - 1) = *entry;
    return true;
}

static void queue_drop_first(struct fl_broker_queue *queue)
{
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    if (--queue->count == 0) {
        free(queue->ring);
        *queue = (struct fl_broker_queue){0};
    }
}

static void entry_free(struct fl_broker_entry *entry)
{
    fl_broker_message_unref(entry->message);
    free(entry->ids);
    *entry = (struct fl_broker_entry){0};
}

static void queue_free(struct fl_broker_queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++)
        entry_free(entry_at(queue, i));
    free(queue->ring);
    *queue = (struct fl_broker_queue){0};
}

static size_t cost(const struct fl_broker_entry *entry)
{
    return sizeof *entry + sizeof *entry->message + entry->message->topic_size +
           entry->message->properties_size + entry->message->payload_size;
}

/* Removes the waiting entry at `index`; what it refers to must have been moved or freed. */
static void waiting_remove(struct fl_broker_session *session, uint32_t index, size_t bytes,
                           uint8_t qos)
{
    struct fl_broker_queue *queue = &session->waiting;

    session->waiting_bytes -= bytes;
    session->waiting_qos0 -= qos == 0;
    for (; index > 0; index--)
        *entry_at(queue, index) = *entry_at(queue, index - 1);
    queue_drop_first(queue);
}

/* QoS 0 goes first: it promised nothing. */
static bool drop_waiting_qos0(struct fl_broker *broker, struct fl_broker_session *session)
{
    if (session->waiting_qos0 == 0)
        return false;
    for (uint32_t i = 0; i < session->waiting.count; i++) {
        struct fl_broker_entry *entry = entry_at(&session->waiting, i);
        if (entry->qos == 0) {
            size_t bytes = cost(entry);
            entry_free(entry);
            waiting_remove(session, i, bytes, 0);
            broker->counts.dropped++;
            return true;
        }
    }
    return false;
}

static void wait(struct fl_broker *broker, struct fl_broker_session *session,
                 struct fl_broker_entry *entry)
{
    size_t bytes = cost(entry);

    while (session->waiting.count >= FL_LIMIT_MQTT_QUEUE ||
           session->waiting_bytes + bytes > FL_LIMIT_MQTT_QUEUE_BYTES)
        if (entry->qos == 0 || !drop_waiting_qos0(broker, session))
            goto drop;
    if (!queue_push(&session->waiting, entry))
        goto drop;
    session->waiting_bytes += bytes;
    session->waiting_qos0 += entry->qos == 0;
    return;
drop:
    broker->counts.dropped++;
    entry_free(entry);
}

static bool is_online(const struct fl_broker_session *session)
{
    return session->conn && session->conn->mqtt.phase == FL_MQTT_OPEN;
}

static bool window_is_open(const struct fl_broker_session *session)
{
    return session->window.count < FL_LIMIT_MQTT_INFLIGHT &&
           session->window_open < session->conn->mqtt.peer_receive_max;
}

/* Writes the PUBLISH. False: it was not sent and never will be (expired, not allowed, too large).
 */
static bool write_entry(struct fl_broker_session *session, const struct fl_broker_entry *entry,
                        fl_time_t now)
{
    struct fl_broker_conn *conn = session->conn;
    struct fl_broker *broker = conn->broker;
    const struct fl_broker_message *message = entry->message;
    struct fl_mqtt_packet packet = {.type = FL_MQTT_PUBLISH};

    if (message->expires <= now) {
        broker->counts.dropped++;
        return false;
    }
    packet.as.publish.topic = fl_broker_message_topic(message);
    if (!broker->host.may(broker->host.self, conn->peer, FL_BROKER_RECEIVE,
                          packet.as.publish.topic)) {
        broker->counts.refused++;
        return false;
    }
    packet.as.publish.payload = fl_broker_message_payload(message);
    packet.as.publish.qos = entry->qos;
    packet.as.publish.retain = entry->retain;
    packet.as.publish.dup = entry->dup;
    packet.as.publish.packet_id = entry->packet_id;
    packet.as.publish.subscription_ids = entry->ids ? entry->ids + 1 : &entry->id;
    packet.as.publish.subscription_id_count = entry->ids ? entry->ids[0] : entry->id != 0;
    packet.properties.raw = fl_broker_message_properties(message);
    if (message->expires != FL_TIME_NEVER)
        FL_MQTT_SET(&packet.properties, message_expiry_s,
                    (uint32_t)((message->expires - now + 999) / 1000));
    if (fl_mqtt_session_send(&conn->mqtt, &packet) != FL_OK) {
        broker->counts.dropped++;
        return false;
    }
    broker->counts.delivered++;
    fl_broker_touch(conn);
    return true;
}

/* Takes over the entry. The window is open and the output has room. */
static void send_entry(struct fl_broker_session *session, struct fl_broker_entry *entry,
                       fl_time_t now)
{
    if (entry->qos) {
        session->last_packet_id = (uint16_t)(session->last_packet_id % UINT16_MAX + 1);
        entry->packet_id = session->last_packet_id;
        if (!queue_push(&session->window, entry)) {
            session->conn->broker->counts.dropped++;
            entry_free(entry);
            return;
        }
        if (write_entry(session, entry, now)) {
            session->window_sent++;
            session->window_open++;
            return;
        }
        session->window.count--;
        if (session->window.count == 0)
            queue_free(&session->window);
    } else {
        (void)write_entry(session, entry, now);
    }
    entry_free(entry);
}

/* Acknowledged entries leave when all before them have. */
static void window_advance(struct fl_broker_session *session)
{
    while (session->window.count && !entry_at(&session->window, 0)->message) {
        queue_drop_first(&session->window);
        if (session->window_sent)
            session->window_sent--;
    }
}

/* What the connection before this one left unacknowledged, in order and with its identifiers. */
static bool resend(struct fl_broker_session *session, fl_time_t now)
{
    while (session->window_sent < session->window.count) {
        struct fl_broker_entry *entry = entry_at(&session->window, session->window_sent);
        if (!fl_mqtt_session_has_room(&session->conn->mqtt) ||
            session->window_open >= session->conn->mqtt.peer_receive_max)
            return false;
        session->window_sent++;
        if (!entry->message)
            continue;
        entry->dup = true;
        if (write_entry(session, entry, now))
            session->window_open++;
        else
            entry_free(entry);
    }
    window_advance(session);
    return true;
}

void fl_broker_pump(struct fl_broker_session *session, fl_time_t now)
{
    if (!is_online(session) || !resend(session, now))
        return;
    while (session->waiting.count && fl_mqtt_session_has_room(&session->conn->mqtt)) {
        struct fl_broker_entry entry = *entry_at(&session->waiting, 0);
        if (entry.qos && !window_is_open(session))
            return;
        waiting_remove(session, 0, cost(&entry), entry.qos);
        send_entry(session, &entry, now);
    }
}

void fl_broker_deliver(struct fl_broker *broker, const struct fl_broker_target *target,
                       struct fl_broker_message *message, fl_time_t now)
{
    struct fl_broker_session *session = target->session;
    struct fl_broker_entry entry = {
        .message = fl_broker_message_ref(message),
        .ids = target->ids,
        .id = target->id,
        .qos = target->qos,
        .retain = target->retain,
    };

    if (!is_online(session) && entry.qos == 0) {
        entry_free(&entry);
        return;
    }
    if (is_online(session) && session->waiting.count == 0 &&
        session->window_sent == session->window.count &&
        fl_mqtt_session_has_room(&session->conn->mqtt) &&
        (entry.qos == 0 || window_is_open(session)))
        send_entry(session, &entry, now);
    else
        wait(broker, session, &entry);
}

void fl_broker_acknowledged(struct fl_broker_session *session, uint16_t packet_id, fl_time_t now)
{
    for (uint32_t i = 0; i < session->window.count; i++) {
        struct fl_broker_entry *entry = entry_at(&session->window, i);
        if (!entry->message || entry->packet_id != packet_id)
            continue;
        entry_free(entry);
        if (i < session->window_sent && session->window_open)
            session->window_open--;
        break;
    }
    window_advance(session);
    fl_broker_pump(session, now);
}

static struct fl_slice make_key(uint8_t to[KEY_MAX], const struct fl_broker_device *device,
                                struct fl_slice client_id)
{
    memcpy(to, device->name, device->name_size);
    to[device->name_size] = 0;
    if (client_id.size)
        memcpy(to + device->name_size + 1, client_id.data, client_id.size);
    return fl_slice(to, device->name_size + 1 + client_id.size);
}

struct fl_broker_session *fl_broker_session_find(struct fl_broker *broker,
                                                 const struct fl_broker_device *device,
                                                 struct fl_slice client_id)
{
    uint8_t key[KEY_MAX];
    struct fl_map_node *node = fl_map_find(&broker->sessions, make_key(key, device, client_id));

    return node ? fl_container_of(node, struct fl_broker_session, by_key) : NULL;
}

/* A device that makes up client identifiers loses its own oldest session, nobody else's. */
static bool make_room(struct fl_broker *broker, struct fl_broker_device *device, fl_time_t now)
{
    if (device->session_count >= FL_LIMIT_MQTT_DEVICE_SESSIONS) {
        struct fl_broker_session *oldest = NULL;
        FL_LIST_EACH(at, &device->sessions)
        {
            oldest = fl_container_of(at, struct fl_broker_session, in_device);
            if (!oldest->conn)
                break;
        }
        if (!oldest || oldest->conn)
            return false;
        oldest->expires = now;
        fl_broker_session_tick(broker, oldest, now);
    }
    return broker->sessions.count < FL_LIMIT_MQTT_SESSIONS;
}

enum fl_error fl_broker_session_create(struct fl_broker *broker, struct fl_broker_device *device,
                                       struct fl_slice client_id, fl_time_t now,
                                       struct fl_broker_session **session)
{
    uint8_t key[KEY_MAX];
    struct fl_slice name = make_key(key, device, client_id);
    struct fl_broker_session *made = NULL;

    if (!make_room(broker, device, now))
        return FL_ELIMIT;
    made = calloc(1, sizeof *made + name.size);
    if (!made)
        return FL_ENOMEM;
    memcpy(made->key, name.data, name.size);
    made->key_size = name.size;
    made->timer.kind = FL_BROKER_SESSION;
    made->expires = FL_TIME_NEVER;
    made->will_due = FL_TIME_NEVER;
    if (fl_heap_set(&broker->timers, &made->timer.node, FL_TIME_NEVER) != FL_OK) {
        free(made);
        return FL_ENOMEM;
    }
    if (fl_map_add(&broker->sessions, &made->by_key, fl_slice(made->key, name.size)) != FL_OK) {
        fl_heap_remove(&broker->timers, &made->timer.node);
        free(made);
        return FL_ENOMEM;
    }
    fl_list_init(&made->subscriptions);
    made->device = device;
    fl_list_push(&device->sessions, &made->in_device);
    device->session_count++;
    broker->counts.sessions++;
    *session = made;
    return FL_OK;
}

void fl_broker_session_destroy(struct fl_broker *broker, struct fl_broker_session *session)
{
    struct fl_broker_device *device = session->device;

    if (session->conn)
        session->conn->session = NULL;
    FL_LIST_EACH(at, &session->subscriptions)
    fl_broker_unsubscribe(broker, fl_container_of(at, struct fl_broker_subscription, in_session));
    queue_free(&session->window);
    queue_free(&session->waiting);
    fl_broker_message_unref(session->will);
    fl_heap_remove(&broker->timers, &session->timer.node);
    fl_map_remove(&broker->sessions, &session->by_key);
    fl_list_remove(&session->in_device);
    device->session_count--;
    broker->counts.sessions--;
    free(session);
    fl_broker_device_release(broker, device);
}

static void arm(struct fl_broker *broker, struct fl_broker_session *session)
{
    fl_broker_arm(broker, &session->timer,
                  session->expires < session->will_due ? session->expires : session->will_due);
}

/* Asks the host as for any other publish; the peer is still there. */
static bool will_is_allowed(struct fl_broker_conn *conn, const struct fl_broker_message *will)
{
    const struct fl_broker_host *host = &conn->broker->host;
    struct fl_broker_publish publish = {
        .topic = fl_broker_message_topic(will),
        .payload = fl_broker_message_payload(will),
        .qos = will->qos,
        .retain = will->retain,
    };
    uint8_t reason = FL_MQTT_NOT_AUTHORIZED;

    if (host->may(host->self, conn->peer, FL_BROKER_PUBLISH, publish.topic) &&
        host->publish(host->self, conn->peer, &publish, 0, &reason) != FL_BROKER_REFUSE)
        return true;
    conn->broker->counts.refused++;
    host->refused(host->self, conn->peer, "publish", publish.topic, fl_mqtt_reason_words(reason));
    return false;
}

void fl_broker_session_leave(struct fl_broker_conn *conn, bool with_will, fl_time_t now)
{
    struct fl_broker *broker = conn->broker;
    struct fl_broker_session *session = conn->session;
    struct fl_broker_message *will = conn->will;

    conn->will = NULL;
    conn->session = NULL;
    if (!session)
        goto out;
    session->conn = NULL;
    session->window_sent = 0;
    session->window_open = 0;
    while (drop_waiting_qos0(broker, session))
        ;
    session->expires = now + (fl_time_t)session->expiry_s * 1000;
    fl_list_remove(&session->in_device);
    fl_list_push(&session->device->sessions, &session->in_device);
    if (will && with_will && will_is_allowed(conn, will)) {
        session->will = will;
        session->will_due = now + conn->will_delay_ms;
        will = NULL;
    }
    fl_broker_session_tick(broker, session, now);
out:
    fl_broker_message_unref(will);
}

void fl_broker_session_tick(struct fl_broker *broker, struct fl_broker_session *session,
                            fl_time_t now)
{
    bool over = !session->conn && session->expires <= now;

    if (session->will && (over || session->will_due <= now)) {
        struct fl_broker_message *will = session->will;
        session->will = NULL;
        session->will_due = FL_TIME_NEVER;
        fl_broker_publish_will(broker, will, session->device, now);
        fl_broker_message_unref(will);
    }
    if (over)
        fl_broker_session_destroy(broker, session);
    else
        arm(broker, session);
}

struct fl_broker_subscription *fl_broker_subscription_find(struct fl_broker_session *session,
                                                           struct fl_slice filter)
{
    FL_LIST_EACH(at, &session->subscriptions)
    {
        struct fl_broker_subscription *subscription =
            fl_container_of(at, struct fl_broker_subscription, in_session);
        if (fl_slice_equal(fl_slice(subscription->filter, subscription->filter_size), filter))
            return subscription;
    }
    return NULL;
}

enum fl_error fl_broker_subscribe(struct fl_broker *broker, struct fl_broker_session *session,
                                  struct fl_slice filter,
                                  struct fl_broker_subscription **subscription)
{
    struct fl_broker_subscription *made = NULL;
    enum fl_error error = FL_OK;

    if (session->subscription_count >= FL_LIMIT_MQTT_SUBSCRIPTIONS)
        return FL_ELIMIT;
    made = calloc(1, sizeof *made + filter.size);
    if (!made)
        return FL_ENOMEM;
    memcpy(made->filter, filter.data, filter.size);
    made->filter_size = filter.size;
    made->session = session;
    error = fl_topic_index_add(&broker->subscriptions, filter, &made->in_index);
    if (error != FL_OK) {
        free(made);
        return error;
    }
    fl_list_push(&session->subscriptions, &made->in_session);
    session->subscription_count++;
    broker->counts.subscriptions++;
    *subscription = made;
    return FL_OK;
}

void fl_broker_unsubscribe(struct fl_broker *broker, struct fl_broker_subscription *subscription)
{
    fl_topic_index_remove(&broker->subscriptions, &subscription->in_index);
    fl_list_remove(&subscription->in_session);
    subscription->session->subscription_count--;
    broker->counts.subscriptions--;
    free(subscription);
}
