/* SPDX-License-Identifier: Apache-2.0 */
#include "service/broker_internal.h"

static unsigned class_of(uint32_t count)
{
    return 32U - (unsigned)__builtin_clz(count);
}

/* The queue of a session grew or shrank: it had `before` messages. */
void fl_broker_count_waiting(struct fl_broker *broker, const struct fl_broker_session *session,
                             uint32_t before, size_t bytes_before)
{
    if (before)
        broker->queues[class_of(before)]--;
    if (session->waiting.count)
        broker->queues[class_of(session->waiting.count)]++;
    broker->counts.queued += session->waiting.count - (uint64_t)before;
    broker->counts.queued_bytes += session->waiting_bytes - (uint64_t)bytes_before;
}

/* Removes the waiting entry at `index`; what it refers to must have been moved or freed. */
static void waiting_remove(struct fl_broker *broker, struct fl_broker_session *session,
                           uint32_t index, size_t bytes, uint8_t qos)
{
    struct fl_broker_queue *queue = &session->waiting;

    session->waiting_bytes -= bytes;
    session->waiting_qos0 -= qos == 0;
    for (; index > 0; index--)
        *fl_broker_entry_at(queue, index) = *fl_broker_entry_at(queue, index - 1);
    fl_broker_queue_drop_first(queue);
    fl_broker_count_waiting(broker, session, queue->count + 1, session->waiting_bytes + bytes);
}

/* QoS 0 goes first: it promised nothing. */
static bool drop_waiting_qos0(struct fl_broker *broker, struct fl_broker_session *session)
{
    if (session->waiting_qos0 == 0)
        return false;
    for (uint32_t i = 0; i < session->waiting.count; i++) {
        struct fl_broker_entry *entry = fl_broker_entry_at(&session->waiting, i);
        if (entry->qos == 0) {
            size_t bytes = fl_broker_entry_cost(entry);
            fl_broker_entry_free(entry);
            waiting_remove(broker, session, i, bytes, 0);
            broker->counts.dropped++;
            return true;
        }
    }
    return false;
}

static void wait(struct fl_broker *broker, struct fl_broker_session *session,
                 struct fl_broker_entry *entry)
{
    size_t bytes = fl_broker_entry_cost(entry);

    while (session->waiting.count >= FL_LIMIT_MQTT_QUEUE ||
           session->waiting_bytes + bytes > FL_LIMIT_MQTT_QUEUE_BYTES)
        if (entry->qos == 0 || !drop_waiting_qos0(broker, session))
            goto drop;
    if (!fl_broker_queue_push(&session->waiting, entry))
        goto drop;
    session->waiting_bytes += bytes;
    session->waiting_qos0 += entry->qos == 0;
    fl_broker_count_waiting(broker, session, session->waiting.count - 1,
                            session->waiting_bytes - bytes);
    return;
drop:
    broker->counts.dropped++;
    fl_broker_keep_done(broker, session, entry);
    fl_broker_entry_free(entry);
}

static bool is_online(const struct fl_broker_session *session)
{
    return session->conn && session->conn->mqtt.phase == FL_MQTT_OPEN;
}

static bool window_is_open(const struct fl_broker_session *session,
                           const struct fl_broker_message *message)
{
    bool is_small = message->payload_size + message->properties_size <= FL_LIMIT_MQTT_SMALL;
    uint32_t most = is_small ? FL_LIMIT_MQTT_WINDOW_SMALL : FL_LIMIT_MQTT_INFLIGHT;

    return session->window.count < most &&
           session->window_open < session->conn->mqtt.peer_receive_max &&
           (session->window.count == 0 ||
            session->last_seq - fl_broker_entry_at(&session->window, 0)->seq < UINT16_MAX - 1);
}

/* One after the other and never 0, so that a session that was read back from the log has those its
 * client knows. Two that are in use never meet: see window_is_open. */
uint16_t fl_broker_packet_id(uint64_t seq)
{
    return (uint16_t)((seq - 1) % UINT16_MAX + 1);
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
    bool has_ids = !entry->lent && entry->ids;
    size_t said_before = 0;

    /* What was sent once is finished: the client may have it already. */
    if (message->expires <= now && !entry->dup) {
        broker->counts.dropped++;
        return false;
    }
    packet.as.publish.topic = fl_broker_message_topic(message);
    if (!broker->host.may(broker->host.self, conn->peer, FL_BROKER_RECEIVE,
                          packet.as.publish.topic)) {
        broker->counts.refused++;
        broker->counts.undelivered++;
        return false;
    }
    packet.as.publish.payload = fl_broker_message_payload(message);
    packet.as.publish.qos = entry->qos;
    packet.as.publish.retain = entry->retain;
    packet.as.publish.dup = entry->dup;
    packet.as.publish.packet_id = entry->packet_id;
    packet.as.publish.subscription_ids = has_ids ? entry->ids + 1 : &entry->id;
    packet.as.publish.subscription_id_count = has_ids ? entry->ids[0] : entry->id != 0;
    packet.properties.raw = fl_broker_message_properties(message);
    if (message->expires != FL_TIME_NEVER)
        FL_MQTT_SET(&packet.properties, message_expiry_s,
                    message->expires > now ? (uint32_t)((message->expires - now + 999) / 1000) : 0);
    if (!conn->mqtt.out.data && broker->spare.data) {
        conn->mqtt.out = broker->spare;
        broker->spare = FL_BUFFER(broker->spare.max);
    }
    said_before = conn->mqtt.out.size;
    if (fl_mqtt_session_send(&conn->mqtt, &packet) != FL_OK) {
        broker->counts.dropped++;
        return false;
    }
    if (entry->qos == 2 && session->log_id)
        fl_broker_hold_exact(conn, said_before);
    broker->counts.delivered[entry->qos]++;
    fl_broker_touch(conn);
    return true;
}

/* Takes over the entry. The window is open and the output has room. */
static void send_entry(struct fl_broker_session *session, struct fl_broker_entry *entry,
                       fl_time_t now)
{
    if (entry->qos) {
        entry->packet_id = fl_broker_packet_id(entry->seq);
        if (entry->qos == 2 && entry->lent) {
            /* From here on it is this client's and nobody else's (MQTT 5.0 section 4.8.2). */
            fl_broker_keep_returned(session->conn->broker, entry);
            fl_broker_hold_exact(session->conn, session->conn->mqtt.out.size);
        }
        if (!fl_broker_queue_push(&session->window, entry)) {
            session->conn->broker->counts.dropped++;
            fl_broker_keep_done(session->conn->broker, session, entry);
            fl_broker_entry_free(entry);
            return;
        }
        if (write_entry(session, entry, now)) {
            fl_broker_entry_at(&session->window, session->window.count - 1)->open = true;
            session->window_sent++;
            session->window_open++;
            return;
        }
        session->window.count--;
        if (session->window.count == 0)
            fl_broker_queue_free(&session->window);
        fl_broker_keep_done(session->conn->broker, session, entry);
    } else {
        (void)write_entry(session, entry, now);
    }
    fl_broker_entry_free(entry);
}

/* Acknowledged entries leave when all before them have. */
void fl_broker_window_advance(struct fl_broker_session *session)
{
    while (session->window.count && fl_broker_entry_at(&session->window, 0)->packet_id == 0) {
        fl_broker_queue_drop_first(&session->window);
        if (session->window_sent)
            session->window_sent--;
    }
}

static void send_release(struct fl_broker_session *session, uint16_t packet_id, uint8_t reason)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_PUBREL};

    packet.as.ack.packet_id = packet_id;
    packet.as.ack.reason = reason;
    if (fl_mqtt_session_send(&session->conn->mqtt, &packet) != FL_OK)
        fl_mqtt_session_close(&session->conn->mqtt, "PUBREL cannot be sent");
    fl_broker_touch(session->conn);
}

/* What the connection before this one left unfinished, in order and with its identifiers. */
static bool resend(struct fl_broker_session *session, fl_time_t now)
{
    while (session->window_sent < session->window.count) {
        struct fl_broker_entry *entry = fl_broker_entry_at(&session->window, session->window_sent);
        if (!fl_mqtt_session_has_room(&session->conn->mqtt) ||
            (entry->message && session->window_open >= session->conn->mqtt.peer_receive_max))
            return false;
        session->window_sent++;
        if (entry->releasing)
            send_release(session, entry->packet_id, 0);
        if (!entry->message)
            continue;
        entry->dup = true;
        entry->open = write_entry(session, entry, now);
        if (entry->open) {
            session->window_open++;
        } else {
            fl_broker_keep_done(session->conn->broker, session, entry);
            fl_broker_entry_free(entry);
        }
    }
    fl_broker_window_advance(session);
    return true;
}

void fl_broker_pump(struct fl_broker_session *session, fl_time_t now)
{
    if (!is_online(session) || !resend(session, now))
        return;
    while (session->waiting.count && fl_mqtt_session_has_room(&session->conn->mqtt)) {
        struct fl_broker_entry entry = *fl_broker_entry_at(&session->waiting, 0);
        if (entry.qos && !window_is_open(session, entry.message))
            return;
        waiting_remove(session->conn->broker, session, 0, fl_broker_entry_cost(&entry), entry.qos);
        send_entry(session, &entry, now);
    }
}

bool fl_broker_is_ready(const struct fl_broker_session *session,
                        const struct fl_broker_message *message, uint8_t qos)
{
    return is_online(session) && session->waiting.count == 0 &&
           session->window_sent == session->window.count &&
           fl_mqtt_session_has_room(&session->conn->mqtt) &&
           (qos == 0 || window_is_open(session, message));
}

void fl_broker_deliver(struct fl_broker *broker, const struct fl_broker_target *target,
                       struct fl_broker_message *message, fl_time_t now)
{
    struct fl_broker_session *session = target->session;
    struct fl_broker_entry entry = {
        .message = fl_broker_message_ref(message),
        .share = target->share,
        .ids = target->ids,
        .id = target->id,
        .qos = target->qos,
        .retain = target->retain,
    };
    bool is_ready = false;

    if (entry.share)
        entry.share->entries++;
    if (!is_online(session) && entry.qos == 0) {
        fl_broker_entry_free(&entry);
        return;
    }
    if (entry.qos)
        entry.seq = ++session->last_seq;
    is_ready = fl_broker_is_ready(session, message, entry.qos);
    fl_broker_keep_queue(broker, session, &entry);
    if (entry.qos == 1 || (entry.qos == 2 && !is_ready))
        fl_broker_keep_lent(broker, session, &entry);
    if (is_ready)
        send_entry(session, &entry, now);
    else
        wait(broker, session, &entry);
}

/* Its place in the client's receive maximum is free again. */
static void close_entry(struct fl_broker_session *session, struct fl_broker_entry *entry)
{
    if (entry->open && session->window_open)
        session->window_open--;
    entry->open = false;
}

/* The numbers in a queue grow. */
struct fl_broker_entry *fl_broker_entry_of_seq(const struct fl_broker_queue *queue, uint64_t seq)
{
    uint32_t from = 0;
    uint32_t until = queue->count;

    while (from < until) {
        uint32_t middle = from + (until - from) / 2;
        struct fl_broker_entry *entry = fl_broker_entry_at(queue, middle);
        if (entry->seq == seq)
            return entry;
        if (entry->seq < seq)
            from = middle + 1;
        else
            until = middle;
    }
    return NULL;
}

static struct fl_broker_entry *window_find(const struct fl_broker_session *session,
                                           uint16_t packet_id)
{
    for (uint32_t i = 0; i < session->window.count; i++) {
        struct fl_broker_entry *entry = fl_broker_entry_at(&session->window, i);
        if (entry->packet_id == packet_id)
            return entry;
    }
    return NULL;
}

static void finish(struct fl_broker_session *session, struct fl_broker_entry *entry)
{
    close_entry(session, entry);
    fl_broker_keep_done(session->conn->broker, session, entry);
    fl_broker_entry_free(entry);
    fl_broker_window_advance(session);
}

static void puback(struct fl_broker_session *session, struct fl_broker_entry *entry,
                   const struct fl_mqtt_packet *packet)
{
    (void)packet;
    if (!entry)
        return;
    if (entry->qos == 1)
        finish(session, entry);
    else
        fl_broker_end(session->conn, FL_MQTT_PROTOCOL_ERROR, "PUBACK of a QoS 2 message");
}

static void pubrec(struct fl_broker_session *session, struct fl_broker_entry *entry,
                   const struct fl_mqtt_packet *packet)
{
    uint16_t packet_id = packet->as.ack.packet_id;

    if (entry && entry->qos != 2) {
        fl_broker_end(session->conn, FL_MQTT_PROTOCOL_ERROR, "PUBREC of a QoS 1 message");
    } else if (packet->as.ack.reason >= 0x80) {
        if (entry)
            finish(session, entry);
    } else if (entry) {
        /* The client has it: the message itself is not needed any more. */
        fl_broker_message_unref(entry->message);
        entry->message = NULL;
        entry->releasing = true;
        fl_broker_keep_release(session->conn->broker, session, entry);
        send_release(session, packet_id, 0);
    } else {
        send_release(session, packet_id, FL_MQTT_PACKET_ID_NOT_FOUND);
    }
}

static void pubcomp(struct fl_broker_session *session, struct fl_broker_entry *entry,
                    const struct fl_mqtt_packet *packet)
{
    (void)packet;
    if (!entry)
        return;
    if (entry->releasing)
        finish(session, entry);
    else
        fl_broker_end(session->conn, FL_MQTT_PROTOCOL_ERROR, "PUBCOMP before PUBREC");
}

void fl_broker_acknowledged(struct fl_broker_session *session, const struct fl_mqtt_packet *packet,
                            fl_time_t now)
{
    struct fl_broker_entry *entry = window_find(session, packet->as.ack.packet_id);

    if (packet->type == FL_MQTT_PUBACK)
        puback(session, entry, packet);
    else if (packet->type == FL_MQTT_PUBREC)
        pubrec(session, entry, packet);
    else
        pubcomp(session, entry, packet);
    fl_broker_pump(session, now);
}

void fl_broker_delivery_pause(struct fl_broker *broker, struct fl_broker_session *session)
{
    session->window_sent = 0;
    session->window_open = 0;
    for (uint32_t i = 0; i < session->window.count; i++)
        fl_broker_entry_at(&session->window, i)->open = false;
    while (drop_waiting_qos0(broker, session))
        ;
}

/* Takes over the entry. */
static void pass_on(struct fl_broker *broker, const struct fl_broker_session *session,
                    struct fl_broker_entry *entry, fl_time_t now)
{
    struct fl_broker_entry moved = *entry;

    fl_broker_keep_done(broker, session, entry);
    *entry = (struct fl_broker_entry){.seq = entry->seq};
    fl_broker_share_deliver(broker, moved.share, moved.message, now);
    fl_broker_entry_free(&moved);
}

/* The queue itself is the caller's now, or gone. */
static void forget_waiting(struct fl_broker *broker, struct fl_broker_session *session)
{
    uint32_t count = session->waiting.count;
    size_t bytes = session->waiting_bytes;

    session->waiting = (struct fl_broker_queue){0};
    session->waiting_bytes = 0;
    session->waiting_qos0 = 0;
    fl_broker_count_waiting(broker, session, count, bytes);
}

void fl_broker_delivery_reclaim(struct fl_broker *broker, struct fl_broker_session *session,
                                bool all, fl_time_t now)
{
    struct fl_broker_queue waiting = session->waiting;

    if (broker->keep.restoring)
        return; /* where it went, the next records say */
    for (uint32_t i = 0; i < session->window.count; i++) {
        struct fl_broker_entry *entry = fl_broker_entry_at(&session->window, i);
        if (entry->share && entry->qos == 1 &&
            (all || entry->share->elsewhere || !fl_list_empty(&entry->share->online)))
            pass_on(broker, session, entry, now);
    }
    fl_broker_window_advance(session);
    forget_waiting(broker, session);
    while (waiting.count) {
        struct fl_broker_entry *entry = fl_broker_entry_at(&waiting, 0);
        if (entry->share && (entry->share->members || (all && broker->remote)))
            pass_on(broker, session, entry, now);
        else
            wait(broker, session, entry);
        fl_broker_queue_drop_first(&waiting);
    }
}

void fl_broker_delivery_free(struct fl_broker *broker, struct fl_broker_session *session)
{
    struct fl_broker_queue waiting = session->waiting;

    fl_broker_queue_free(&session->window);
    forget_waiting(broker, session);
    fl_broker_queue_free(&waiting);
}
