/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker_rig.h"

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

static const enum fl_mqtt_version both[] = {FL_MQTT_3, FL_MQTT_5};

static void a_message_reaches_its_subscribers_in_either_version(void **state)
{
    struct rig *rig = *state;

    for (size_t from = 0; from < 2; from++)
        for (size_t to = 0; to < 2; to++) {
            uint16_t id = 0;
            rig_join(rig, 0, "cam-01", both[from], true);
            rig_join(rig, 1, "hub-x", both[to], true);
            assert_int_equal(rig_subscribe(&rig->clients[1], "d/+/t/#", 1), 1);
            rig_send_publish(&rig->clients[0], "d/cam-01/t/temperature", "21.5", 0);
            assert_int_equal(rig_expect_publish(&rig->clients[1], "d/cam-01/t/temperature", "21.5"),
                             0);
            rig_send_publish(&rig->clients[0], "d/cam-01/t/temperature", "21.6", 9);
            rig_expect_puback(&rig->clients[0], 9, 0);
            id = rig_expect_publish(&rig->clients[1], "d/cam-01/t/temperature", "21.6");
            assert_int_not_equal(id, 0);
            rig_ack(&rig->clients[1], id);
            rig_expect_nothing(&rig->clients[0]);
            rig_expect_nothing(&rig->clients[1]);
            rig_drop(&rig->clients[0]);
            rig_drop(&rig->clients[1]);
        }
}

static void connack_says_what_this_broker_can(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_attach(rig, 0, "cam-01");
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "", true);

    FL_MQTT_SET(&packet.properties, session_expiry_s, UINT32_MAX);
    rig_send_connect(client, &packet);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    assert_slice_equal(packet.properties.assigned_client_id, "cam-01");
    assert_int_equal(packet.properties.session_expiry_s, FL_LIMIT_MQTT_SESSION_EXPIRY_S);
    assert_int_equal(packet.properties.receive_maximum, FL_LIMIT_MQTT_INFLIGHT);
    assert_int_equal(packet.properties.maximum_packet_size, FL_LIMIT_MQTT_PACKET);
    assert_false(FL_MQTT_HAS(&packet.properties, maximum_qos));      /* all there are */
    assert_false(FL_MQTT_HAS(&packet.properties, shared_available)); /* they are */
    client = rig_attach(rig, 1, "cam-01");
    packet = rig_connect_packet(FL_MQTT_5, "", true);
    rig_send_connect(client, &packet);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    assert_slice_equal(packet.properties.assigned_client_id, "cam-01/~1");
    assert_false(rig->clients[0].closed);
}

static void a_bad_connect_is_refused_with_the_reason(void **state)
{
    static const struct {
        enum fl_mqtt_version version;
        const char *hex;
        size_t size;
        uint8_t reason; /* of CONNACK; 0: none is sent */
    } cases[] = {
        {FL_MQTT_5, "\x10\x0d\0\4MQTT\5\2\0\0\0\0\0", 15, 0},             /* fine */
        {FL_MQTT_3, "\x10\x0c\0\4MQTT\4\0\0\0\0\0", 14, 2},               /* empty id, not clean */
        {FL_MQTT_3, "\x10\x0c\0\4MQTT\3\2\0\0\0\0", 14, 1},               /* level 3 */
        {FL_MQTT_5, "\x10\x0c\0\4MQTT\6\2\0\0\0\0", 14, 0x84},            /* level 6 */
        {FL_MQTT_5, "\x10\x11\0\4MQTT\5\2\0\0\4\x15\0\1x\0\0", 19, 0x8C}, /* enhanced auth */
        {FL_MQTT_5, "\x10\x0d\0\4MQTT\5\3\0\0\0\0\0", 15, 0x81},          /* reserved flag */
        {FL_MQTT_5, "\x10\x10\0\4MQTT\5\2\0\0\3\x21\0\0\0\0", 18, 0x82},
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig_client *client = rig_attach(rig, 0, "cam-01");
        struct fl_mqtt_packet packet;
        client->version = cases[i].version;
        assert_int_equal(rig_say(client, fl_slice(cases[i].hex, cases[i].size)), cases[i].size);
        rig_expect(client, FL_MQTT_CONNACK, &packet);
        assert_int_equal(packet.as.connack.reason, cases[i].reason);
        assert_int_equal(client->closed, cases[i].reason != 0);
        rig_drop(client);
    }
}

static void bytes_that_are_not_mqtt_end_the_connection_without_an_answer(void **state)
{
    static const char *const garbage[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", "\x30\x02xx"};
    struct rig *rig = *state;

    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        struct rig_client *client = rig_attach(rig, 0, "cam-01");
        rig_say(client, fl_slice_str(garbage[i]));
        assert_true(client->closed);
        assert_int_equal(client->heard.size, 0);
        rig_drop(client);
    }
}

static void a_client_identifier_of_one_device_never_meets_anothers(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "shared", true);

    rig_send_connect(rig_attach(rig, 0, "cam-01"), &packet);
    rig_send_connect(rig_attach(rig, 1, "cam-02"), &packet);
    assert_true(rig->clients[0].connected && rig->clients[1].connected);
    assert_false(rig->clients[0].closed);
}

static void a_session_is_taken_over_by_the_same_client(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet;

    assert_false(rig_join(rig, 0, "cam-01", FL_MQTT_5, false));
    assert_int_equal(rig_subscribe(&rig->clients[0], "a", 1), 1);
    assert_true(rig_join(rig, 1, "cam-01", FL_MQTT_5, false));
    rig_expect(&rig->clients[0], FL_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.as.end.reason, 0x8E);
    assert_true(rig->clients[0].closed);
    rig_drop(&rig->clients[0]);
    rig_join(rig, 2, "other", FL_MQTT_5, true);
    rig_send_publish(&rig->clients[2], "a", "x", 0);
    rig_expect_publish(&rig->clients[1], "a", "x");
}

static void a_refused_publish_is_told_and_not_routed(void **state)
{
    struct rig *rig = *state;

    rig_join(rig, 0, "cam-01", FL_MQTT_5, true);
    rig_join(rig, 1, "cam-02", FL_MQTT_3, true);
    assert_int_equal(rig_subscribe(&rig->clients[1], "#", 0), 0);
    rig->deny = "d/other";
    rig_send_publish(&rig->clients[0], "d/other/t/x", "1", 5);
    rig_expect_puback(&rig->clients[0], 5, 0x87);
    assert_string_equal(rig->refused, "publish d/other/t/x: not authorized");
    rig_send_publish(&rig->clients[1], "d/other/t/x", "1", 5);
    rig_expect_puback(&rig->clients[1], 5, 0);
    assert_int_equal(rig->published, 0);
    assert_int_equal(rig_subscribe(&rig->clients[0], "d/other/#", 0), 0x87);
    assert_int_equal(rig_subscribe(&rig->clients[1], "d/other/#", 0), 0x80);
    assert_string_equal(rig->refused, "subscribe d/other/#: not authorized");
    rig->verdict = FL_BROKER_REFUSE;
    rig->verdict_reason = 0x99;
    rig_send_publish(&rig->clients[0], "d/x", "1", 6);
    rig_expect_puback(&rig->clients[0], 6, 0x99);
    rig_expect_nothing(&rig->clients[1]);
}

static void a_kept_publish_is_acknowledged_when_it_is_settled_and_in_order(void **state)
{
    struct rig *rig = *state;

    rig_join(rig, 0, "cam-01", FL_MQTT_5, true);
    rig->verdict = FL_BROKER_KEEP;
    for (uint16_t id = 1; id <= 3; id++)
        rig_send_publish(&rig->clients[0], "a", "x", id);
    rig_expect_nothing(&rig->clients[0]);
    fl_broker_settle(rig->broker, rig->tokens[1], 0, rig->now);
    rig_flush(rig);
    rig_expect_nothing(&rig->clients[0]);
    fl_broker_settle(rig->broker, rig->tokens[0], 0, rig->now);
    rig_flush(rig);
    rig_expect_puback(&rig->clients[0], 1, 0);
    rig_expect_puback(&rig->clients[0], 2, 0);
    fl_broker_settle(rig->broker, rig->tokens[0], 0, rig->now);
    fl_broker_settle(rig->broker, rig->tokens[2], 0x97, rig->now);
    rig_flush(rig);
    rig_expect_puback(&rig->clients[0], 3, 0x97);
    rig_expect_nothing(&rig->clients[0]);
}

static void a_late_settle_is_harmless(void **state)
{
    struct rig *rig = *state;

    rig_join(rig, 0, "cam-01", FL_MQTT_3, true);
    rig->verdict = FL_BROKER_KEEP;
    rig_send_publish(&rig->clients[0], "a", "x", 1);
    rig_drop(&rig->clients[0]);
    rig_join(rig, 0, "cam-01", FL_MQTT_3, true);
    rig_send_publish(&rig->clients[0], "a", "y", 1);
    fl_broker_settle(rig->broker, rig->tokens[0], 0, rig->now);
    fl_broker_settle(rig->broker, UINT64_MAX, 0, rig->now);
    fl_broker_settle(rig->broker, 0, 0, rig->now);
    rig_flush(rig);
    rig_expect_nothing(&rig->clients[0]);
    fl_broker_settle(rig->broker, rig->tokens[1], 0x80, rig->now); /* could not be kept */
    assert_true(rig->clients[0].closed);
    rig_expect_nothing(&rig->clients[0]);
}

static void unacknowledged_publishes_hold_the_client_back(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet;
    struct fl_buffer bytes = FL_BUFFER(1U << 20);
    size_t taken = 0;

    rig->verdict = FL_BROKER_KEEP;
    for (uint16_t id = 1; id <= FL_LIMIT_MQTT_INFLIGHT + 1; id++) {
        packet = rig_publish_packet("a", "x", id);
        assert_ok(fl_mqtt_encode(&packet, FL_MQTT_3, 1000, &bytes));
    }
    rig_join(rig, 0, "cam-01", FL_MQTT_3, true);
    taken = rig_say(&rig->clients[0], fl_buffer_slice(&bytes));
    assert_int_equal(rig->token_count, FL_LIMIT_MQTT_INFLIGHT);
    assert_int_equal(taken, bytes.size / (FL_LIMIT_MQTT_INFLIGHT + 1) * FL_LIMIT_MQTT_INFLIGHT);
    rig->now += 1000000; /* its silence is our doing */
    fl_broker_tick(rig->broker, rig->now);
    assert_false(rig->clients[0].closed);
    fl_broker_settle(rig->broker, rig->tokens[0], 0, rig->now);
    rig_flush(rig);
    fl_buffer_consume(&bytes, taken);
    assert_int_equal(rig_say(&rig->clients[0], fl_buffer_slice(&bytes)), bytes.size);
    assert_int_equal(rig->token_count, FL_LIMIT_MQTT_INFLIGHT + 1);
    fl_buffer_free(&bytes);
    /* In MQTT 5 the client was told its window. */
    rig->token_count = 0;
    rig_join(rig, 1, "cam-02", FL_MQTT_5, true);
    for (uint16_t id = 1; id <= FL_LIMIT_MQTT_INFLIGHT + 1; id++)
        rig_send_publish(&rig->clients[1], "a", "x", id);
    rig_expect(&rig->clients[1], FL_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.as.end.reason, 0x93);
}

static void a_cut_device_is_gone_at_once_and_says_no_will(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "cam-01", false);
    struct fl_broker_counts counts;

    packet.as.connect.will = (struct fl_mqtt_will){
        .present = true, .topic = fl_slice_str("gone"), .payload = fl_slice_str("!")};
    rig_join(rig, 0, "watcher", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[0], "gone", 0), 0);
    rig_send_connect(rig_attach(rig, 1, "cam-01"), &packet);
    rig_attach(rig, 2, "cam-01"); /* not yet connected */
    assert_int_equal(
        fl_broker_cut(rig->broker, fl_slice_str("cam-01"), 0x98, "revoked", true, rig->now), 2);
    assert_true(rig->clients[1].closed && rig->clients[2].closed);
    assert_string_equal(rig->clients[1].why, "revoked");
    rig_expect(&rig->clients[1], FL_MQTT_CONNACK, &packet);
    rig_expect(&rig->clients[1], FL_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.as.end.reason, 0x98);
    assert_int_equal(fl_broker_cut(rig->broker, fl_slice_str("cam-01"), 0x98, "", true, rig->now),
                     0);
    rig_drop(&rig->clients[1]);
    rig_drop(&rig->clients[2]);
    rig_expect_nothing(&rig->clients[0]);
    fl_broker_count(rig->broker, &counts);
    assert_int_equal(counts.sessions, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CLAIM(a_message_reaches_its_subscribers_in_either_version),
        CLAIM(connack_says_what_this_broker_can),
        CLAIM(a_bad_connect_is_refused_with_the_reason),
        CLAIM(bytes_that_are_not_mqtt_end_the_connection_without_an_answer),
        CLAIM(a_client_identifier_of_one_device_never_meets_anothers),
        CLAIM(a_session_is_taken_over_by_the_same_client),
        CLAIM(a_refused_publish_is_told_and_not_routed),
        CLAIM(a_kept_publish_is_acknowledged_when_it_is_settled_and_in_order),
        CLAIM(a_late_settle_is_harmless),
        CLAIM(unacknowledged_publishes_hold_the_client_back),
        CLAIM(a_cut_device_is_gone_at_once_and_says_no_will),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
