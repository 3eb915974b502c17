/* SPDX-License-Identifier: Apache-2.0 */
#include "service/broker_remote.h"

#include "base/str.h"

#include <stdio.h>

static void refused(struct fl_broker_conn *conn, const char *what, struct fl_slice topic,
                    uint8_t reason)
{
    struct fl_broker *broker = conn->broker;

    broker->counts.refused++;
    broker->host.refused(broker->host.self, conn->peer, what, topic, fl_mqtt_reason_words(reason));
}

static bool may(struct fl_broker_conn *conn, enum fl_broker_right right, struct fl_slice topic)
{
    const struct fl_broker_host *host = &conn->broker->host;

    return host->may(host->self, conn->peer, right, topic);
}

/* "$SYS/..." is where a server speaks of itself: no client speaks there. */
static bool is_servers(struct fl_slice topic)
{
    return topic.size >= 5 && memcmp(topic.data, "$SYS/", 5) == 0;
}

static fl_time_t expiry_of(const struct fl_mqtt_properties *properties, fl_time_t now)
{
    return FL_MQTT_HAS(properties, message_expiry_s)
               ? now + (fl_time_t)properties->message_expiry_s * 1000
               : FL_TIME_NEVER;
}

/* Keeps the will with the connection. Returns 0 or the reason to refuse CONNECT. */
static uint8_t take_will(struct fl_broker_conn *conn, const struct fl_mqtt_will *will)
{
    struct fl_broker_input input = {
        .topic = will->topic,
        .payload = will->payload,
        .properties = will->properties,
        .qos = will->qos,
        .retain = will->retain,
    };
    struct fl_mqtt_properties properties;
    struct fl_mqtt_fault fault = {0};

    if (!will->present)
        return 0;
    if (!fl_broker_topic_fits(will->topic))
        return FL_MQTT_TOPIC_INVALID;
    if (is_servers(will->topic) || !may(conn, FL_BROKER_PUBLISH, will->topic))
        return FL_MQTT_NOT_AUTHORIZED;
    if (fl_mqtt_properties_decode(will->properties, FL_MQTT_WILL_BIT, false, &properties, &fault) !=
        FL_OK)
        return fault.reason;
    /* Its life begins when it is published: until then the time is a span. */
    input.expires = expiry_of(&properties, 0);
    conn->will_delay_ms = (fl_time_t)properties.will_delay_s * 1000;
    conn->will = fl_broker_message_new(conn->broker, &input);
    return conn->will ? 0 : FL_MQTT_SERVER_BUSY;
}

/* An empty client identifier gets the device's own name, or a new one when that is in use. */
static struct fl_slice assign_id(struct fl_broker_conn *conn, char *to, size_t size)
{
    struct fl_slice id = fl_slice(conn->device->name, conn->device->name_size);

    while (fl_broker_session_find(conn->broker, conn->device, id)) {
        int count = snprintf(to, size, "%.*s/~%llu",
                             FL_SLICE_ARGS(fl_slice(conn->device->name, conn->device->name_size)),
                             (unsigned long long)++conn->broker->assigned);
        id = fl_slice(to, (size_t)count);
    }
    return id;
}

static uint32_t session_expiry(const struct fl_mqtt_packet *packet)
{
    uint32_t expiry_s = packet->properties.session_expiry_s;

    if (packet->as.connect.version == FL_MQTT_3)
        return packet->as.connect.clean ? 0 : FL_LIMIT_MQTT_SESSION_EXPIRY_S;
    return expiry_s < FL_LIMIT_MQTT_SESSION_EXPIRY_S ? expiry_s : FL_LIMIT_MQTT_SESSION_EXPIRY_S;
}

static bool accept(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                   struct fl_slice id, bool present)
{
    struct fl_mqtt_packet connack = {.type = FL_MQTT_CONNACK};
    struct fl_mqtt_properties *say = &connack.properties;

    connack.as.connack.session_present = present;
    if (packet->as.connect.client_id.size == 0)
        FL_MQTT_SET(say, assigned_client_id, id);
    if (conn->session->expiry_s != packet->properties.session_expiry_s)
        FL_MQTT_SET(say, session_expiry_s, conn->session->expiry_s);
    FL_MQTT_SET(say, receive_maximum, FL_LIMIT_MQTT_INFLIGHT);
    FL_MQTT_SET(say, maximum_packet_size, FL_LIMIT_MQTT_PACKET);
    FL_MQTT_SET(say, topic_alias_maximum, FL_LIMIT_MQTT_ALIASES);
    if (conn->mqtt.version == FL_MQTT_5 &&
        packet->as.connect.keep_alive_s > FL_LIMIT_MQTT_KEEP_ALIVE_S)
        FL_MQTT_SET(say, server_keep_alive_s, FL_LIMIT_MQTT_KEEP_ALIVE_S);
    return fl_mqtt_session_accept(&conn->mqtt, packet, &connack) == FL_OK;
}

/* Gives the connection its session, an old or a new one. */
static enum fl_error join(struct fl_broker_conn *conn, struct fl_slice id, bool clean,
                          fl_time_t now, bool *present)
{
    struct fl_broker *broker = conn->broker;
    struct fl_broker_session *session = fl_broker_session_find(broker, conn->device, id);
    enum fl_error error = FL_OK;

    if (session && session->conn) {
        struct fl_broker_conn *old = session->conn;
        fl_broker_session_leave(old, true, now);
        fl_broker_end(old, FL_MQTT_TAKEN_OVER, "its session was taken over");
        session = fl_broker_session_find(broker, conn->device, id);
    }
    /* Not the client went but we did: whatever it asks for, it is back. */
    if (session && session->testament) {
        fl_broker_session_drop_will(broker, session);
        clean = clean || session->expiry_s == 0;
    }
    if (session && clean) {
        session->expires = now;
        fl_broker_session_tick(broker, session, now);
        session = NULL;
    }
    *present = session != NULL;
    if (!session)
        error = fl_broker_session_create(broker, conn->device, id, now, &session);
    if (error != FL_OK)
        return error;
    fl_broker_session_drop_will(broker, session);
    session->expires = FL_TIME_NEVER;
    fl_broker_arm(broker, &session->timer, FL_TIME_NEVER);
    session->conn = conn;
    conn->session = session;
    return FL_OK;
}

static void refuse_connect(struct fl_broker_conn *conn, struct fl_slice about, uint8_t reason,
                           const char *why)
{
    refused(conn, "connect", about, reason);
    fl_broker_end(conn, reason, why);
}

static void on_connect(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                       fl_time_t now)
{
    const struct fl_broker_host *host = &conn->broker->host;
    struct fl_slice id = packet->as.connect.client_id;
    char assigned[FL_LIMIT_HOST + 32];
    bool present = false;
    uint8_t reason = 0;
    enum fl_error error = FL_OK;

    if (FL_MQTT_HAS(&packet->properties, auth_method)) {
        refuse_connect(conn, id, FL_MQTT_BAD_AUTH_METHOD, "no enhanced authentication here");
        return;
    }
    if (id.size > FL_LIMIT_MQTT_CLIENT_ID ||
        (id.size == 0 && packet->as.connect.version == FL_MQTT_3 && !packet->as.connect.clean)) {
        refuse_connect(conn, id, FL_MQTT_CLIENT_ID_INVALID, "client identifier not acceptable");
        return;
    }
    reason = take_will(conn, &packet->as.connect.will);
    if (reason) {
        refuse_connect(conn, packet->as.connect.will.topic, reason, "will not acceptable");
        return;
    }
    if (conn->broker->keep.tight && session_expiry(packet)) {
        refuse_connect(conn, id, FL_MQTT_QUOTA, "no room to keep a session");
        return;
    }
    if (id.size == 0)
        id = assign_id(conn, assigned, sizeof assigned);
    error = join(conn, id, packet->as.connect.clean, now, &present);
    if (error != FL_OK) {
        refuse_connect(conn, id, error == FL_ELIMIT ? FL_MQTT_QUOTA : FL_MQTT_SERVER_BUSY,
                       "no room for another session");
        return;
    }
    conn->session->expiry_s = session_expiry(packet);
    fl_broker_keep_session(conn->broker, conn->session);
    fl_broker_keep_testament(conn->broker, conn->session);
    if (!accept(conn, packet, id, present)) {
        fl_broker_touch(conn);
        return;
    }
    fl_broker_arm(conn->broker, &conn->timer, fl_mqtt_session_deadline(&conn->mqtt));
    host->connected(host->self, conn->peer);
    fl_broker_session_arrive(conn->broker, conn->session, now);
    fl_broker_pump(conn->session, now);
}

/* What the broker itself refuses; 0: nothing. */
static uint8_t judge_publish(struct fl_broker_conn *conn, const struct fl_broker_input *input)
{
    if (!fl_broker_topic_fits(input->topic))
        return FL_MQTT_TOPIC_INVALID;
    if (is_servers(input->topic) || !may(conn, FL_BROKER_PUBLISH, input->topic))
        return FL_MQTT_NOT_AUTHORIZED;
    if (!fl_broker_may_retain(conn->broker, conn->device, input))
        return FL_MQTT_QUOTA;
    return 0;
}

/* The same for whoever develops the device. */
static const char *words_of(uint8_t reason)
{
    if (reason == FL_MQTT_NOT_AUTHORIZED)
        return "the device's profile does not allow publishing to this topic";
    if (reason == FL_MQTT_TOPIC_INVALID)
        return "the topic has more bytes or levels than the hub takes";
    return reason == FL_MQTT_QUOTA ? "the device has as many retained messages as it may"
                                   : fl_mqtt_reason_words(reason);
}

/* The receipt of a publish of QoS 1 or 2. False: there is nothing more to do with it. */
static bool take_receipt(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                         enum fl_broker_claim *claim, uint16_t *sequence)
{
    uint16_t packet_id = packet->as.publish.packet_id;
    uint8_t qos = packet->as.publish.qos;

    *claim = fl_broker_claim(conn, packet_id, qos);
    if (*claim == FL_BROKER_CLAIM_WAITS)
        return false;
    if (*claim == FL_BROKER_CLAIM_CLASH && conn->mqtt.version == FL_MQTT_3) {
        fl_broker_end(conn, FL_MQTT_PACKET_ID_IN_USE, "packet identifier in use");
        return false;
    }
    if (fl_mqtt_session_expect(&conn->mqtt, packet_id, qos, sequence) != FL_OK) {
        fl_broker_end(conn, FL_MQTT_SERVER_BUSY, "out of memory");
        return false;
    }
    if (*claim == FL_BROKER_CLAIM_CLASH)
        fl_mqtt_session_explain(&conn->mqtt, *sequence,
                                "the packet identifier is in use by another publish");
    if (*claim == FL_BROKER_CLAIM_CLASH || *claim == FL_BROKER_CLAIM_DONE) {
        fl_broker_receipt_settle(
            conn, *sequence, *claim == FL_BROKER_CLAIM_CLASH ? FL_MQTT_PACKET_ID_IN_USE : 0, false);
        return false;
    }
    /* Before anybody sees it: what cannot be remembered cannot be had exactly once. */
    if (qos == 2 && !fl_broker_received_ask(conn->broker, conn->session, packet_id)) {
        refused(conn, "publish", packet->as.publish.topic, FL_MQTT_QUOTA);
        fl_mqtt_session_explain(&conn->mqtt, *sequence,
                                "too many publishes of QoS 2 wait for PUBREL");
        fl_broker_receipt_settle(conn, *sequence, FL_MQTT_QUOTA, true);
        return false;
    }
    return true;
}

static void on_publish(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                       fl_time_t now)
{
    struct fl_broker *broker = conn->broker;
    struct fl_broker_input input = {
        .topic = packet->as.publish.topic,
        .payload = packet->as.publish.payload,
        .properties = packet->properties.raw,
        .expires = expiry_of(&packet->properties, now),
        .qos = packet->as.publish.qos,
        .retain = packet->as.publish.retain,
    };
    struct fl_broker_publish publish = {
        .topic = input.topic,
        .payload = input.payload,
        .qos = input.qos,
        .retain = input.retain,
        .dup = packet->as.publish.dup,
        .packet_id = packet->as.publish.packet_id,
    };
    enum fl_broker_verdict verdict = FL_BROKER_REFUSE;
    enum fl_broker_claim claim = FL_BROKER_CLAIM_NEW;
    uint16_t sequence = 0;
    uint8_t reason = 0;
    bool must_know = false;

    if (input.qos == 0 && conn->mqtt.withholds) {
        broker->counts.over_rate++;
        return;
    }
    broker->counts.received[input.qos]++;
    if (input.qos && !take_receipt(conn, packet, &claim, &sequence))
        return;
    reason = judge_publish(conn, &input);
    if (reason) {
        refused(conn, "publish", input.topic, reason);
        if (input.qos)
            fl_mqtt_session_explain(&conn->mqtt, sequence, words_of(reason));
    } else {
        reason = FL_MQTT_IMPLEMENTATION;
        verdict = broker->host.publish(broker->host.self, conn->peer, &publish,
                                       input.qos ? fl_broker_token(conn, sequence) : 0, &reason);
        if (verdict == FL_BROKER_REFUSE) {
            broker->counts.refused++;
        } else if (claim == FL_BROKER_CLAIM_NEW &&
                   !fl_broker_route(broker, &input, conn->device, conn->session, now)) {
            reason = FL_MQTT_QUOTA;
            verdict = FL_BROKER_REFUSE;
            must_know = true; /* nobody has it: it must come again */
            fl_broker_received_forget(broker, conn->session, publish.packet_id);
            refused(conn, "publish", input.topic, reason);
        }
    }
    if (broker->remote && input.qos && verdict != FL_BROKER_REFUSE)
        fl_broker_remote_hold(conn, sequence, claim == FL_BROKER_CLAIM_NEW);
    if (input.qos && verdict != FL_BROKER_KEEP)
        fl_broker_receipt_settle(conn, sequence, verdict == FL_BROKER_REFUSE ? reason : 0,
                                 must_know);
}

static void on_acknowledged(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                            fl_time_t now)
{
    fl_broker_acknowledged(conn->session, packet, now);
}

static void on_pubrel(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                      fl_time_t now)
{
    (void)now;
    fl_broker_released(conn, packet->as.ack.packet_id);
}

/* What is asked for: the filter, inside a share or not. False: not possible here. */
static bool topics_of(struct fl_slice filter, struct fl_slice *topics)
{
    *topics = filter;
    if (fl_mqtt_filter_is_shared(filter) && !fl_mqtt_share_filter(filter, topics))
        return false;
    return filter.size <= FL_LIMIT_MQTT_TOPIC && fl_broker_topic_fits(*topics);
}

/* One subscription. Returns the SUBACK's reason code; `send_retained` if its retained messages
 * are due. */
static uint8_t subscribe_one(struct fl_broker_conn *conn, const struct fl_mqtt_filter *filter,
                             uint32_t id, bool *send_retained)
{
    struct fl_broker_subscription *subscription = NULL;
    struct fl_slice topics = {0};
    bool known = false;
    enum fl_error error = FL_OK;

    if (!topics_of(filter->filter, &topics))
        return FL_MQTT_FILTER_INVALID;
    if (!may(conn, FL_BROKER_SUBSCRIBE, topics))
        return FL_MQTT_NOT_AUTHORIZED;
    subscription = fl_broker_subscription_find(conn->session, filter->filter);
    known = subscription != NULL;
    if (conn->broker->keep.tight && conn->session->log_id)
        return FL_MQTT_QUOTA;
    if (!known)
        error = fl_broker_subscribe(conn->broker, conn->session, filter->filter, &subscription);
    if (error != FL_OK)
        return error == FL_ELIMIT ? FL_MQTT_QUOTA : FL_MQTT_IMPLEMENTATION;
    subscription->id = id;
    subscription->qos = filter->qos;
    subscription->no_local = filter->no_local;
    subscription->retain_as_published = filter->retain_as_published;
    fl_broker_keep_subscribe(conn->broker, subscription);
    *send_retained = !subscription->share &&
                     (filter->retain_handling == 0 || (filter->retain_handling == 1 && !known));
    return subscription->qos;
}

static size_t count_filters(const struct fl_mqtt_packet *packet)
{
    struct fl_slice left = packet->as.subscribe.filters;
    struct fl_mqtt_filter filter = {0};
    size_t count = 0;

    while (fl_mqtt_next_filter(&left, packet->type, &filter))
        count++;
    return count;
}

/* Why the first filter that was refused was, for whoever develops the device; empty: none was. */
static void explain_subscribe(const uint8_t *reasons, size_t count, char *to, size_t size)
{
    size_t first = 0;

    to[0] = 0;
    while (first < count && reasons[first] < 0x80)
        first++;
    if (first == count)
        return;
    (void)snprintf(to, size, "filter %zu: %s", first + 1,
                   reasons[first] == FL_MQTT_NOT_AUTHORIZED
                       ? "the device's profile does not allow subscribing to all it matches"
                       : fl_mqtt_reason_words(reasons[first]));
}

static void answer_subscribe(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                             const uint8_t *reasons, size_t count)
{
    struct fl_mqtt_packet answer = {.type = packet->type == FL_MQTT_SUBSCRIBE ? FL_MQTT_SUBACK
                                                                              : FL_MQTT_UNSUBACK};
    char words[128] = "";

    answer.as.suback.packet_id = packet->as.subscribe.packet_id;
    answer.as.suback.reasons = fl_slice(reasons, count);
    if (packet->type == FL_MQTT_SUBSCRIBE && conn->mqtt.peer_wants_problems)
        explain_subscribe(reasons, count, words, sizeof words);
    if (words[0]) {
        FL_MQTT_SET(&answer.properties, reason_string, fl_slice_str(words));
        if (fl_mqtt_session_send(&conn->mqtt, &answer) == FL_OK)
            return;
        answer.properties.has = 0; /* without words it may fit what the client takes */
    }
    if (fl_mqtt_session_send(&conn->mqtt, &answer) != FL_OK)
        fl_broker_end(conn, FL_MQTT_PACKET_TOO_LARGE, "the answer is larger than the client takes");
}

static void on_subscribe(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                         fl_time_t now)
{
    struct fl_slice left = packet->as.subscribe.filters;
    struct fl_mqtt_filter filter = {0};
    uint8_t reasons[FL_LIMIT_MQTT_SUBSCRIPTIONS];
    bool send[FL_LIMIT_MQTT_SUBSCRIPTIONS] = {0};
    size_t count = 0;

    if (count_filters(packet) > FL_LIMIT_MQTT_SUBSCRIPTIONS) {
        fl_broker_end(conn, FL_MQTT_QUOTA, "too many filters in one packet");
        return;
    }
    while (fl_mqtt_next_filter(&left, packet->type, &filter)) {
        uint8_t reason =
            subscribe_one(conn, &filter, packet->properties.subscription_id, &send[count]);
        if (reason >= 0x80)
            refused(conn, "subscribe", filter.filter, reason);
        reasons[count++] =
            reason >= 0x80 && conn->mqtt.version == FL_MQTT_3 ? FL_MQTT_UNSPECIFIED : reason;
    }
    if (!conn->broker->remote ||
        !fl_broker_remote_hold_answer(conn, packet, reasons, send, count, now))
        fl_broker_subscribed(conn, packet, reasons, send, count, now);
}

void fl_broker_subscribed(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                          const uint8_t *reasons, const bool *send, size_t count, fl_time_t now)
{
    struct fl_slice left = packet->as.subscribe.filters;
    struct fl_mqtt_filter filter = {0};

    answer_subscribe(conn, packet, reasons, count);
    for (size_t i = 0; i < count && fl_mqtt_next_filter(&left, packet->type, &filter); i++) {
        struct fl_broker_subscription *subscription =
            send[i] ? fl_broker_subscription_find(conn->session, filter.filter) : NULL;
        if (subscription)
            fl_broker_send_retained(conn->broker, subscription, now);
    }
    fl_broker_session_arrive(conn->broker, conn->session, now);
}

static void on_unsubscribe(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                           fl_time_t now)
{
    struct fl_slice left = packet->as.subscribe.filters;
    struct fl_mqtt_filter filter = {0};
    uint8_t reasons[FL_LIMIT_MQTT_SUBSCRIPTIONS];
    size_t count = 0;

    (void)now;
    if (count_filters(packet) > FL_LIMIT_MQTT_SUBSCRIPTIONS) {
        fl_broker_end(conn, FL_MQTT_QUOTA, "too many filters in one packet");
        return;
    }
    while (fl_mqtt_next_filter(&left, packet->type, &filter)) {
        struct fl_broker_subscription *subscription =
            fl_broker_subscription_find(conn->session, filter.filter);
        reasons[count++] = subscription ? FL_MQTT_SUCCESS : FL_MQTT_NO_SUBSCRIPTION;
        if (subscription) {
            fl_broker_keep_unsubscribe(conn->broker, subscription);
            fl_broker_unsubscribe(conn->broker, subscription);
        }
    }
    answer_subscribe(conn, packet, reasons, count);
}

static void on_disconnect(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                          fl_time_t now)
{
    uint32_t expiry_s = packet->properties.session_expiry_s;

    (void)now;
    if (FL_MQTT_HAS(&packet->properties, session_expiry_s)) {
        if (conn->session->expiry_s == 0 && expiry_s != 0) {
            fl_broker_end(conn, FL_MQTT_PROTOCOL_ERROR, "session expiry was 0 in CONNECT");
            return;
        }
        conn->session->expiry_s =
            expiry_s < FL_LIMIT_MQTT_SESSION_EXPIRY_S ? expiry_s : FL_LIMIT_MQTT_SESSION_EXPIRY_S;
    }
    if (packet->as.end.reason == FL_MQTT_SUCCESS) {
        fl_broker_message_unref(conn->will);
        conn->will = NULL;
    }
    fl_mqtt_session_close(&conn->mqtt, "the client disconnected");
}

static void on_auth(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet, fl_time_t now)
{
    (void)packet;
    (void)now;
    fl_broker_end(conn, FL_MQTT_BAD_AUTH_METHOD, "no enhanced authentication here");
}

typedef void handler(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                     fl_time_t now);

/* The codec lets only a client's packets through, and the session answers PINGREQ. */
static handler *const handlers[FL_MQTT_TYPES] = {
    [FL_MQTT_CONNECT] = on_connect,       [FL_MQTT_PUBLISH] = on_publish,
    [FL_MQTT_PUBACK] = on_acknowledged,   [FL_MQTT_PUBREC] = on_acknowledged,
    [FL_MQTT_PUBREL] = on_pubrel,         [FL_MQTT_PUBCOMP] = on_acknowledged,
    [FL_MQTT_SUBSCRIBE] = on_subscribe,   [FL_MQTT_UNSUBSCRIBE] = on_unsubscribe,
    [FL_MQTT_DISCONNECT] = on_disconnect, [FL_MQTT_AUTH] = on_auth,
};

void fl_broker_handle(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                      fl_time_t now)
{
    handlers[packet->type](conn, packet, now);
}
