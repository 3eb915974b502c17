/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker with a fake host and clients that speak bytes, for the broker's tests. What the broker
 * says to a client is gathered in the client's `heard`, and expect() takes it off packet by packet.
 */
#ifndef FL_TEST_BROKER_RIG_H
#define FL_TEST_BROKER_RIG_H

#include "test/unit/unit.h"

#include "codec/mqtt.h"
#include "service/broker.h"

#include <stdio.h>

#define RIG_CLIENTS (FL_LIMIT_MQTT_DEVICE_SESSIONS + 16)
#define RIG_TOKENS 256

struct rig_client {
    struct rig *rig;
    struct fl_broker_conn *conn;
    enum fl_mqtt_version version;
    struct fl_buffer heard;
    size_t taken; /* of `heard`, by the last expect */
    bool drained; /* the broker is to be told */
    bool stalled; /* does not read */
    bool closed;
    bool connected;
    char why[128];
};

struct rig {
    struct fl_broker *broker;
    struct rig_client clients[RIG_CLIENTS];
    fl_time_t now;
    enum fl_broker_verdict verdict;
    uint8_t verdict_reason;
    const char *verdict_words; /* or NULL */
    uint64_t tokens[RIG_TOKENS];
    size_t token_count;
    size_t published;
    size_t wills;
    size_t asked_to_receive;
    const char *deny; /* topics and filters with this beginning */
    bool deny_receive;
    char refused[256]; /* the last */
    size_t refusals;
};

static inline bool rig_may(void *self, void *peer, enum fl_broker_right right,
                           struct fl_slice topic)
{
    struct rig *rig = self;
    size_t size = rig->deny ? strlen(rig->deny) : 0;

    assert_non_null(peer);
    if (right == FL_BROKER_RECEIVE) {
        rig->asked_to_receive++;
        return !rig->deny_receive;
    }
    return !rig->deny || topic.size < size || memcmp(topic.data, rig->deny, size) != 0;
}

static inline enum fl_broker_verdict rig_publish(void *self, void *peer,
                                                 const struct fl_broker_publish *publish,
                                                 uint64_t token, uint8_t *reason)
{
    struct rig *rig = self;

    assert_non_null(peer);
    assert_true((publish->qos == 0) == (publish->packet_id == 0) || token == 0);
    rig->published++;
    if (rig->verdict == FL_BROKER_REFUSE)
        *reason = rig->verdict_reason;
    if (rig->verdict_words)
        fl_broker_explain(rig->broker, token, rig->verdict_words);
    if (rig->verdict == FL_BROKER_KEEP && token && rig->token_count < RIG_TOKENS)
        rig->tokens[rig->token_count++] = token;
    return rig->verdict;
}

static inline bool rig_will(void *self, struct fl_slice identity,
                            const struct fl_broker_publish *will)
{
    struct rig *rig = self;
    size_t size = rig->deny ? strlen(rig->deny) : 0;

    assert_true(identity.size > 0);
    rig->wills++;
    return !rig->deny || will->topic.size < size || memcmp(will->topic.data, rig->deny, size) != 0;
}

static inline void rig_refused(void *self, void *peer, const char *what, struct fl_slice topic,
                               const char *reason)
{
    struct rig *rig = self;

    assert_non_null(peer);
    (void)snprintf(rig->refused, sizeof rig->refused, "%s %.*s: %s", what, FL_SLICE_ARGS(topic),
                   reason);
    rig->refusals++;
}

static inline void rig_output(void *self, void *peer)
{
    struct rig_client *client = peer;
    struct fl_buffer *out = fl_broker_output(client->conn);
    size_t ready = fl_broker_output_ready(client->conn);

    (void)self;
    assert_true(out->size > 0);
    if (client->stalled || ready == 0)
        return;
    assert_ok(fl_buffer_append_slice(&client->heard, fl_slice(out->data + out->start, ready)));
    fl_buffer_consume(out, ready);
    fl_broker_output_sent(client->conn, ready);
    client->drained = true;
}

static inline void rig_connected(void *self, void *peer)
{
    struct rig_client *client = peer;

    (void)self;
    client->connected = true;
}

static inline void rig_close(void *self, void *peer, const char *why)
{
    struct rig_client *client = peer;

    (void)self;
    assert_false(client->closed);
    client->closed = true;
    (void)snprintf(client->why, sizeof client->why, "%s", why);
}

/* As one of a group, or with NULLs alone. */
static inline void rig_make_broker(struct rig *rig, struct fl_broker_group *group, unsigned index,
                                   bool (*post)(void *self, unsigned to,
                                                const struct fl_broker_note *note, bool must))
{
    struct fl_broker_host host = {
        .may = rig_may,
        .publish = rig_publish,
        .will = rig_will,
        .refused = rig_refused,
        .output = rig_output,
        .connected = rig_connected,
        .close = rig_close,
        .self = rig,
        .group = group,
        .index = index,
        .post = group ? post : NULL,
    };

    assert_ok(fl_broker_create(&host, &rig->broker, NULL));
}

static inline void rig_init_in(struct rig *rig, struct fl_broker_group *group, unsigned index,
                               bool (*post)(void *self, unsigned to,
                                            const struct fl_broker_note *note, bool must))
{
    *rig = (struct rig){.now = 1000000};
    rig_make_broker(rig, group, index, post);
}

static inline void rig_init(struct rig *rig)
{
    *rig = (struct rig){.now = 1000000};
    rig_make_broker(rig, NULL, 0, NULL);
}

/* Tells the broker what was written, until nothing more comes. */
static inline void rig_flush(struct rig *rig)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < RIG_CLIENTS; i++) {
            struct rig_client *client = &rig->clients[i];
            if (!client->conn || !client->drained)
                continue;
            client->drained = false;
            again = true;
            fl_broker_drained(client->conn, rig->now);
        }
    }
}

static inline void rig_drop(struct rig_client *client)
{
    struct fl_broker_conn *conn = client->conn;

    if (!conn)
        return;
    fl_broker_detach(conn, client->rig->now);
    client->conn = NULL;
    fl_buffer_free(&client->heard);
    rig_flush(client->rig);
}

static inline void rig_free(struct rig *rig)
{
    struct fl_broker_counts counts;

    for (size_t i = 0; i < RIG_CLIENTS; i++)
        rig_drop(&rig->clients[i]);
    fl_broker_count(rig->broker, &counts);
    assert_int_equal(counts.connections, 0);
    fl_broker_free(rig->broker);
}

static inline struct rig_client *rig_attach(struct rig *rig, size_t index, const char *identity)
{
    struct rig_client *client = &rig->clients[index];

    assert_null(client->conn);
    *client = (struct rig_client){.rig = rig, .heard = FL_BUFFER(64U << 20)};
    assert_ok(fl_broker_attach(rig->broker, fl_slice_str(identity), client, rig->now, &client->conn,
                               NULL));
    return client;
}

static inline size_t rig_say(struct rig_client *client, struct fl_slice bytes)
{
    size_t taken = 0;

    fl_broker_receive(client->conn, bytes, client->rig->now, &taken);
    rig_flush(client->rig);
    return taken;
}

static inline void rig_send(struct rig_client *client, const struct fl_mqtt_packet *packet)
{
    struct fl_buffer bytes = FL_BUFFER(1U << 20);

    assert_ok(fl_mqtt_encode(packet, client->version, 1U << 20, &bytes));
    assert_int_equal(rig_say(client, fl_buffer_slice(&bytes)), bytes.size);
    fl_buffer_free(&bytes);
}

/* The next packet the client heard; its slices live until the next call. FL_EMORE: none. */
static inline enum fl_error rig_next(struct rig_client *client, struct fl_mqtt_packet *packet)
{
    struct fl_mqtt_mode mode = {client->version, true, 1U << 20};
    struct fl_mqtt_fault fault = {0};
    struct fl_slice in = {0};
    enum fl_error error = FL_OK;

    fl_buffer_consume(&client->heard, client->taken);
    client->taken = 0;
    in = fl_buffer_slice(&client->heard);
    error = fl_mqtt_decode(&in, &mode, packet, &fault);
    if (fault.text)
        fail_msg("the broker sent: %s", fault.text);
    if (error == FL_OK)
        client->taken = client->heard.size - in.size;
    return error;
}

static inline void rig_expect(struct rig_client *client, enum fl_mqtt_type type,
                              struct fl_mqtt_packet *packet)
{
    assert_ok(rig_next(client, packet));
    assert_int_equal(packet->type, type);
}

static inline void rig_expect_nothing(struct rig_client *client)
{
    struct fl_mqtt_packet packet;

    assert_int_equal(rig_next(client, &packet), FL_EMORE);
    assert_int_equal(client->heard.size, 0);
}

static inline struct fl_mqtt_packet rig_connect_packet(enum fl_mqtt_version version, const char *id,
                                                       bool clean)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_CONNECT};

    packet.as.connect.version = version;
    packet.as.connect.client_id = fl_slice_str(id);
    packet.as.connect.clean = clean;
    packet.as.connect.keep_alive_s = 60;
    if (version == FL_MQTT_5 && !clean)
        FL_MQTT_SET(&packet.properties, session_expiry_s, 3600);
    return packet;
}

static inline void rig_send_connect(struct rig_client *client, const struct fl_mqtt_packet *packet)
{
    client->version = packet->as.connect.version;
    rig_send(client, packet);
}

/* Attaches and connects; true if a session was present. */
static inline bool rig_join(struct rig *rig, size_t index, const char *identity,
                            enum fl_mqtt_version version, bool clean)
{
    struct rig_client *client = rig_attach(rig, index, identity);
    struct fl_mqtt_packet packet = rig_connect_packet(version, identity, clean);

    rig_send_connect(client, &packet);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    assert_int_equal(packet.as.connack.reason, 0);
    assert_true(client->connected);
    return packet.as.connack.session_present;
}

static inline void rig_send_subscribe(struct rig_client *client,
                                      const struct fl_mqtt_filter *filter, uint32_t id)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_SUBSCRIBE};
    struct fl_buffer filters = FL_BUFFER(1U << 20);

    assert_ok(fl_mqtt_put_filter(&filters, FL_MQTT_SUBSCRIBE, filter));
    packet.as.subscribe.packet_id = 77;
    packet.as.subscribe.filters = fl_buffer_slice(&filters);
    if (id)
        FL_MQTT_SET(&packet.properties, subscription_id, id);
    rig_send(client, &packet);
    fl_buffer_free(&filters);
}

/* The SUBACK's code. */
static inline uint8_t rig_expect_suback(struct rig_client *client)
{
    struct fl_mqtt_packet packet;

    rig_expect(client, FL_MQTT_SUBACK, &packet);
    assert_int_equal(packet.as.suback.packet_id, 77);
    assert_int_equal(packet.as.suback.reasons.size, 1);
    return packet.as.suback.reasons.data[0];
}

static inline uint8_t rig_subscribe_with(struct rig_client *client,
                                         const struct fl_mqtt_filter *filter, uint32_t id)
{
    rig_send_subscribe(client, filter, id);
    return rig_expect_suback(client);
}

static inline uint8_t rig_subscribe(struct rig_client *client, const char *filter, uint8_t qos)
{
    struct fl_mqtt_filter one = {.filter = fl_slice_str(filter), .qos = qos};

    return rig_subscribe_with(client, &one, 0);
}

static inline struct fl_mqtt_packet rig_publish_packet(const char *topic, const char *payload,
                                                       uint16_t packet_id)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_PUBLISH};

    packet.as.publish.topic = fl_slice_str(topic);
    packet.as.publish.payload = fl_slice_str(payload);
    packet.as.publish.qos = packet_id ? 1 : 0;
    packet.as.publish.packet_id = packet_id;
    return packet;
}

/* With QoS 1 when there is a packet identifier; the acknowledgement is left to the caller. */
static inline void rig_send_publish(struct rig_client *client, const char *topic,
                                    const char *payload, uint16_t packet_id)
{
    struct fl_mqtt_packet packet = rig_publish_packet(topic, payload, packet_id);

    rig_send(client, &packet);
}

static inline void rig_expect_puback(struct rig_client *client, uint16_t packet_id, uint8_t reason)
{
    struct fl_mqtt_packet packet;

    rig_expect(client, FL_MQTT_PUBACK, &packet);
    assert_int_equal(packet.as.ack.packet_id, packet_id);
    assert_int_equal(packet.as.ack.reason, reason);
}

/* Returns the packet identifier. */
static inline uint16_t rig_expect_publish(struct rig_client *client, const char *topic,
                                          const char *payload)
{
    struct fl_mqtt_packet packet;

    rig_expect(client, FL_MQTT_PUBLISH, &packet);
    assert_slice_equal(packet.as.publish.topic, topic);
    assert_slice_equal(packet.as.publish.payload, payload);
    return packet.as.publish.packet_id;
}

/* PUBREC, PUBREL, PUBCOMP. */
static inline void rig_say_ack(struct rig_client *client, enum fl_mqtt_type type,
                               uint16_t packet_id, uint8_t reason)
{
    struct fl_mqtt_packet packet = {
        .type = type, .as.ack.packet_id = packet_id, .as.ack.reason = reason};

    rig_send(client, &packet);
}

static inline void rig_expect_ack(struct rig_client *client, enum fl_mqtt_type type,
                                  uint16_t packet_id, uint8_t reason)
{
    struct fl_mqtt_packet packet;

    rig_expect(client, type, &packet);
    assert_int_equal(packet.as.ack.packet_id, packet_id);
    assert_int_equal(packet.as.ack.reason, reason);
}

static inline void rig_send_exactly_once(struct rig_client *client, const char *topic,
                                         const char *payload, uint16_t packet_id, bool dup)
{
    struct fl_mqtt_packet packet = rig_publish_packet(topic, payload, packet_id);

    packet.as.publish.qos = 2;
    packet.as.publish.dup = dup;
    rig_send(client, &packet);
}

static inline void rig_ack(struct rig_client *client, uint16_t packet_id)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_PUBACK, .as.ack.packet_id = packet_id};

    rig_send(client, &packet);
}

#endif
