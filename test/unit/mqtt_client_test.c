/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker_rig.h"

#include "proto/mqtt_client.h"

/* A client engine on connection `index` of a rig: its bytes go to the broker and back. */
struct link {
    struct rig *rig;
    size_t index;
    struct fl_mqtt_client client;
    struct fl_buffer to_client;
    struct fl_buffer seen; /* messages received, each followed by ';' */
    uint64_t acknowledged; /* the last token */
    uint8_t ack_reason;
    uint8_t sub_reason;
    bool present;
    size_t connects;
};

static void link_init(struct link *link, struct rig *rig, size_t index, const char *id,
                      bool clean_start)
{
    struct fl_mqtt_client_options options = {
        .client_id = id,
        .keep_alive_s = 30,
        .session_expiry_s = 3600,
        .clean_start = clean_start,
    };

    *link = (struct link){
        .rig = rig,
        .index = index,
        .to_client = FL_BUFFER(64U << 20),
        .seen = FL_BUFFER(1U << 20),
    };
    assert_ok(fl_mqtt_client_init(&link->client, &options));
}

static void link_free(struct link *link)
{
    fl_mqtt_client_free(&link->client);
    fl_buffer_free(&link->to_client);
    fl_buffer_free(&link->seen);
}

static void take_event(struct link *link, const struct fl_mqtt_event *event)
{
    if (event->kind == FL_MQTT_EVENT_CONNECTED) {
        link->present = event->session_present;
        link->connects++;
    } else if (event->kind == FL_MQTT_EVENT_ACKNOWLEDGED) {
        link->acknowledged = event->token;
        link->ack_reason = event->reason;
    } else if (event->kind == FL_MQTT_EVENT_SUBSCRIBED) {
        link->sub_reason = event->reason;
    } else {
        assert_ok(fl_buffer_append_slice(&link->seen, event->payload));
        assert_ok(fl_buffer_append_byte(&link->seen, ';'));
    }
}

/* Moves bytes both ways in pieces until nothing moves. Returns how the client's last receive ended.
 */
static enum fl_error link_run(struct link *link, size_t piece)
{
    struct rig_client *peer = &link->rig->clients[link->index];
    enum fl_error error = FL_EMORE;
    struct fl_mqtt_event event;

    for (bool moved = true; moved;) {
        struct fl_slice out = fl_buffer_slice(&link->client.out);
        moved = false;
        if (out.size && peer->conn && !peer->closed) {
            size_t taken = rig_say(peer, fl_slice(out.data, out.size < piece ? out.size : piece));
            fl_buffer_consume(&link->client.out, taken);
            moved = taken > 0;
        }
        if (peer->heard.size) {
            size_t size = peer->heard.size < piece ? peer->heard.size : piece;
            struct fl_slice in = fl_slice(fl_buffer_slice(&peer->heard).data, size);
            while ((error = fl_mqtt_client_receive(&link->client, &in, link->rig->now, &event)) ==
                   FL_OK)
                take_event(link, &event);
            fl_buffer_consume(&peer->heard, size);
            moved = true;
        }
    }
    return error;
}

static void link_start(struct link *link, const char *identity)
{
    rig_attach(link->rig, link->index, identity);
    assert_ok(fl_mqtt_client_start(&link->client, link->rig->now));
}

static enum fl_error link_publish(struct link *link, const char *topic, const char *payload,
                                  uint64_t token)
{
    struct fl_mqtt_message message = {
        .topic = fl_slice_str(topic),
        .payload = fl_slice_str(payload),
        .qos = 1,
    };

    return fl_mqtt_client_publish(&link->client, &message, token, link->rig->now);
}

static int setup(void **state)
{
    struct rig *rig = malloc(sizeof *rig);

    assert_non_null(rig);
    rig_init(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    free(*state);
    return 0;
}

static void a_client_connects_subscribes_and_publishes_byte_by_byte(void **state)
{
    struct rig *rig = *state;
    struct link link;

    link_init(&link, rig, 0, "cam-01", true);
    link_start(&link, "cam-01");
    assert_int_equal(link_publish(&link, "a", "early", 1), FL_ESTATE);
    assert_int_equal(link_run(&link, 1), FL_EMORE);
    assert_int_equal(link.connects, 1);
    assert_ok(fl_mqtt_client_subscribe(&link.client, fl_slice_str("d/cam-01/#"), 1, 5, rig->now));
    link.sub_reason = 99;
    (void)link_run(&link, 1);
    assert_int_equal(link.sub_reason, 1);
    assert_ok(link_publish(&link, "d/cam-01/c/x", "on", 42));
    (void)link_run(&link, 1);
    assert_int_equal(link.acknowledged, 42);
    assert_int_equal(link.ack_reason, 0);
    assert_slice_equal(fl_buffer_slice(&link.seen), "on;");
    rig->deny = "no";
    assert_ok(link_publish(&link, "no", "x", 43));
    (void)link_run(&link, 3);
    assert_int_equal(link.acknowledged, 43);
    assert_int_equal(link.ack_reason, 0x87);
    fl_mqtt_client_stop(&link.client, rig->now);
    (void)link_run(&link, 100);
    assert_string_equal(rig->clients[0].why, "the client disconnected");
    link_free(&link);
}

static void the_window_of_the_server_is_respected(void **state)
{
    struct rig *rig = *state;
    struct link link;
    uint64_t sent = 0;

    rig->verdict = FL_BROKER_KEEP;
    link_init(&link, rig, 0, "cam-01", true);
    link_start(&link, "cam-01");
    (void)link_run(&link, 100);
    while (link_publish(&link, "a", "x", sent) == FL_OK)
        sent++;
    assert_int_equal(sent, FL_LIMIT_MQTT_INFLIGHT);
    (void)link_run(&link, 100);
    assert_false(rig->clients[0].closed);
    fl_broker_settle(rig->broker, rig->tokens[0], 0, rig->now);
    rig_flush(rig);
    (void)link_run(&link, 100);
    assert_ok(link_publish(&link, "a", "x", sent));
    assert_int_equal(link_publish(&link, "a", "x", sent), FL_EBUSY);
    link_free(&link);
}

static void a_refusal_is_told_with_its_reason(void **state)
{
    struct rig *rig = *state;
    struct link link;

    link_init(&link, rig, 0, "cam-01", true);
    link_start(&link, "cam-01");
    (void)link_run(&link, 100);
    assert_int_equal(
        fl_broker_cut(rig->broker, fl_slice_str("cam-01"), 0x98, "quarantined", false, rig->now),
        1);
    assert_int_equal(link_run(&link, 100), FL_ECLOSED);
    assert_int_equal(link.client.reason, 0x98);
    assert_true(link.client.by_server);
    assert_string_equal(link.client.why, "administrative action (0x98): quarantined");
    link_free(&link);
}

static void what_the_server_does_not_take_is_not_sent(void **state)
{
    struct rig *rig = *state;
    struct link link;
    static uint8_t large[FL_LIMIT_MQTT_PACKET];
    struct fl_mqtt_message message = {
        .topic = fl_slice_str("a"), .payload = fl_slice(large, sizeof large), .qos = 1};

    link_init(&link, rig, 0, "cam-01", true);
    link_start(&link, "cam-01");
    (void)link_run(&link, 1000);
    assert_int_equal(fl_mqtt_client_publish(&link.client, &message, 1, rig->now), FL_ELIMIT);
    message.topic = fl_slice_str("a/#");
    assert_int_equal(fl_mqtt_client_publish(&link.client, &message, 1, rig->now), FL_EINVAL);
    message.topic = fl_slice_str("a");
    message.payload.size = FL_LIMIT_MQTT_PACKET - 200;
    assert_ok(fl_mqtt_client_publish(&link.client, &message, 1, rig->now));
    assert_ok(fl_mqtt_client_publish(&link.client, &message, 2, rig->now));
    assert_int_equal(fl_mqtt_client_publish(&link.client, &message, 3, rig->now), FL_EBUSY);
    (void)link_run(&link, 100000);
    assert_int_equal(link.acknowledged, 2);
    link_free(&link);
}

static void silence_is_noticed_on_either_side(void **state)
{
    struct rig *rig = *state;
    struct link link;

    link_init(&link, rig, 0, "cam-01", true);
    link_start(&link, "cam-01");
    assert_int_equal(fl_mqtt_client_next_timeout(&link.client), rig->now + FL_LIMIT_HANDSHAKE_MS);
    (void)link_run(&link, 100);
    /* Pings keep it open for longer than the keep alive. */
    for (int i = 0; i < 5; i++) {
        rig->now = fl_mqtt_client_next_timeout(&link.client);
        assert_ok(fl_mqtt_client_tick(&link.client, rig->now));
        (void)link_run(&link, 100);
        fl_broker_tick(rig->broker, rig->now);
        assert_false(rig->clients[0].closed);
    }
    /* No answer: the client gives up. No ping: so does the broker. */
    rig->now += 30000;
    assert_ok(fl_mqtt_client_tick(&link.client, rig->now));
    rig->now += FL_LIMIT_HANDSHAKE_MS;
    assert_int_equal(fl_mqtt_client_tick(&link.client, rig->now), FL_ETIMEOUT);
    assert_contains(link.client.why, "no PINGRESP in time");
    rig->now += 5000;
    fl_broker_tick(rig->broker, rig->now);
    assert_true(rig->clients[0].closed);
    assert_string_equal(rig->clients[0].why, "keep alive timeout");
    link_free(&link);
}

static void a_server_that_breaks_the_protocol_is_left(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x30\x04\0\1a\0", 6},                      /* not CONNACK first */
        {"\x20\x03\0\0\0\x20\x03\0\0\0", 10},        /* CONNACK twice */
        {"\x20\x03\0\0\0\x40\2\0\1", 9},             /* PUBACK of nothing */
        {"\x20\x03\0\0\0\x90\4\0\1\0\0", 11},        /* SUBACK of nothing */
        {"\x20\x03\0\0\0\x34\6\0\1a\0\1\0", 13},     /* QoS 2 */
        {"\x20\x03\0\0\0\x30\7\0\1a\3\x23\0\1", 14}, /* topic alias */
        {"\x20\x03\0\0\0\xf0\0", 7},                 /* AUTH */
        {"HTTP/1.1 400", 12},
        {"\x20\x03\0\x81\0", 5}, /* refused */
    };
    struct fl_mqtt_client_options options = {.client_id = "cam-01"};
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fl_mqtt_client client;
        struct fl_mqtt_event event;
        struct fl_slice in = fl_slice(bad[i].bytes, bad[i].size);
        enum fl_error error = FL_OK;
        assert_ok(fl_mqtt_client_init(&client, &options));
        assert_ok(fl_mqtt_client_start(&client, 0));
        while (error == FL_OK)
            error = fl_mqtt_client_receive(&client, &in, 0, &event);
        assert_true(error == FL_EPARSE || error == FL_ECLOSED);
        assert_int_equal(client.phase, FL_MQTT_CLIENT_CLOSED);
        assert_true(client.why[0] != 0);
        assert_int_equal(fl_mqtt_client_receive(&client, &in, 0, &event), FL_ECLOSED);
        fl_mqtt_client_free(&client);
    }
}

static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 20) % limit;
}

/* What a publisher with an outbox does: sends 0, 1, 2, ... and after each loss again from the first
 * that was not acknowledged. */
struct outbox {
    struct link link;
    uint64_t next;
    uint64_t acknowledged; /* all below it */
};

static void outbox_step(struct outbox *box, uint64_t end)
{
    char payload[32];

    while (box->next < end) {
        (void)snprintf(payload, sizeof payload, "%llu", (unsigned long long)box->next);
        if (link_publish(&box->link, "seq", payload, box->next + 1) != FL_OK)
            break;
        box->next++;
    }
}

/* The connection may break at any byte in either direction. */
static void lose(struct link *link, const char *identity)
{
    size_t keep = link->client.out.size ? random_below((uint32_t)link->client.out.size + 1) : 0;
    struct rig_client *peer = &link->rig->clients[link->index];

    if (peer->conn && !peer->closed && keep)
        (void)rig_say(peer, fl_slice(fl_buffer_slice(&link->client.out).data, keep));
    rig_drop(peer);
    link_start(link, identity);
}

static void assert_in_order_at_least_once(struct fl_slice seen, uint64_t end)
{
    uint64_t expected = 0;
    struct fl_slice word = {0};

    while (fl_slice_cut(&seen, ';', &word)) {
        char text[32] = {0};
        uint64_t value = 0;
        memcpy(text, word.data, word.size);
        value = strtoull(text, NULL, 10);
        assert_true(value <= expected); /* again from before is fine, a gap is not */
        if (value == expected)
            expected++;
    }
    assert_int_equal(expected, end);
}

static void nothing_acknowledged_is_lost_when_connections_break_anywhere(void **state)
{
    struct rig *rig = *state;
    enum { MESSAGES = 300 };

    for (uint64_t run = 1; run <= 40; run++) {
        struct outbox box = {0};
        struct link reader;
        uint64_t rounds = 0;
        seed = run * 0x9E3779B97F4A7C15U;
        link_init(&box.link, rig, 0, "writer", false);
        link_init(&reader, rig, 1, "reader", false);
        link_start(&reader, "reader");
        (void)link_run(&reader, 1000);
        assert_ok(fl_mqtt_client_subscribe(&reader.client, fl_slice_str("seq"), 1, 1, rig->now));
        (void)link_run(&reader, 1000);
        link_start(&box.link, "writer");
        while (box.acknowledged < MESSAGES && ++rounds < 100000) {
            if (random_below(6) == 0) {
                lose(&box.link, "writer");
                box.next = box.acknowledged;
            }
            if (random_below(9) == 0)
                lose(&reader, "reader");
            (void)link_run(&box.link, 1 + random_below(300));
            outbox_step(&box, MESSAGES < box.next + 20 ? MESSAGES : box.next + 20);
            if (random_below(2))
                (void)link_run(&box.link, 1 + random_below(300));
            (void)link_run(&reader, 1 + random_below(300));
            if (box.link.acknowledged > box.acknowledged)
                box.acknowledged = box.link.acknowledged;
        }
        (void)link_run(&reader, 1000);
        assert_int_equal(box.acknowledged, MESSAGES);
        assert_in_order_at_least_once(fl_buffer_slice(&reader.seen), MESSAGES);
        link_free(&box.link);
        link_free(&reader);
        rig_drop(&rig->clients[0]);
        rig_drop(&rig->clients[1]);
        assert_int_equal(
            fl_broker_cut(rig->broker, fl_slice_str("reader"), 0x98, "", true, rig->now), 0);
        assert_int_equal(
            fl_broker_cut(rig->broker, fl_slice_str("writer"), 0x98, "", true, rig->now), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CLAIM(a_client_connects_subscribes_and_publishes_byte_by_byte),
        CLAIM(the_window_of_the_server_is_respected),
        CLAIM(a_refusal_is_told_with_its_reason),
        CLAIM(what_the_server_does_not_take_is_not_sent),
        CLAIM(silence_is_noticed_on_either_side),
        CLAIM(a_server_that_breaks_the_protocol_is_left),
        CLAIM(nothing_acknowledged_is_lost_when_connections_break_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
