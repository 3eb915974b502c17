/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client of MQTT 5 is told in words about what was refused.
 */
#include <stdio.h>

#include "test/unit/broker_rig.h"

#define WORDS "reading: 'temperature': 99 is out of range: -40 to 85"

static int set_up(void **state)
{
    static struct rig rig;

    rig_init(&rig);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_free(*state);
    return 0;
}

static struct rig_client *join_with(struct rig *rig, size_t index, uint32_t packet_max,
                                    uint32_t request_problem)
{
    struct rig_client *client = rig_attach(rig, index, "a");
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "a", true);

    if (packet_max)
        FL_MQTT_SET(&packet.properties, maximum_packet_size, packet_max);
    FL_MQTT_SET(&packet.properties, request_problem, request_problem);
    rig_send_connect(client, &packet);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    return client;
}

static void expect_refusal(struct rig_client *client, enum fl_mqtt_type type, uint16_t packet_id,
                           const char *words)
{
    struct fl_mqtt_packet packet;

    rig_expect(client, type, &packet);
    assert_int_equal(packet.as.ack.packet_id, packet_id);
    assert_int_equal(packet.as.ack.reason, FL_MQTT_PAYLOAD_FORMAT);
    assert_int_equal(FL_MQTT_HAS(&packet.properties, reason_string), words != NULL);
    if (words)
        assert_slice_equal(packet.properties.reason_string, words);
}

static void a_refused_publish_says_why(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = join_with(rig, 0, 0, 1);
    struct fl_mqtt_packet packet = rig_publish_packet("t", "99", 2);

    rig->verdict = FL_BROKER_REFUSE;
    rig->verdict_reason = FL_MQTT_PAYLOAD_FORMAT;
    rig->verdict_words = WORDS;
    rig_send_publish(client, "t", "99", 1);
    expect_refusal(client, FL_MQTT_PUBACK, 1, WORDS);
    packet.as.publish.qos = 2;
    rig_send(client, &packet);
    expect_refusal(client, FL_MQTT_PUBREC, 2, WORDS);
    rig_send_publish(client, "t", "99", 0);
    rig_expect_nothing(client);
    rig->verdict_words = NULL;
    rig_send_publish(client, "t", "99", 3);
    expect_refusal(client, FL_MQTT_PUBACK, 3, NULL);
}

static void words_belong_to_their_publish_in_its_place(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = join_with(rig, 0, 0, 1);
    struct fl_mqtt_packet packet;

    rig->verdict = FL_BROKER_KEEP;
    rig_send_publish(client, "t", "1", 1);
    rig->verdict = FL_BROKER_REFUSE;
    rig->verdict_reason = FL_MQTT_PAYLOAD_FORMAT;
    rig->verdict_words = "second";
    rig_send_publish(client, "t", "2", 2);
    rig->verdict_words = "third";
    rig_send_publish(client, "t", "3", 3);
    rig->verdict = FL_BROKER_KEEP;
    rig->verdict_words = "said, but not refused";
    rig_send_publish(client, "t", "4", 4);
    rig_expect_nothing(client);
    fl_broker_explain(rig->broker, rig->tokens[0], "first");
    fl_broker_settle(rig->broker, rig->tokens[0], FL_MQTT_PAYLOAD_FORMAT, rig->now);
    rig_flush(rig);
    expect_refusal(client, FL_MQTT_PUBACK, 1, "first");
    expect_refusal(client, FL_MQTT_PUBACK, 2, "second");
    expect_refusal(client, FL_MQTT_PUBACK, 3, "third");
    fl_broker_settle(rig->broker, rig->tokens[1], 0, rig->now);
    rig_expect(client, FL_MQTT_PUBACK, &packet);
    assert_int_equal(packet.as.ack.reason, 0);
    assert_false(FL_MQTT_HAS(&packet.properties, reason_string));
    /* What comes too late, and what was never answered, is forgotten. */
    fl_broker_explain(rig->broker, rig->tokens[1], "late");
    rig_send_publish(client, "t", "5", 5);
    rig_drop(client);
    fl_broker_explain(rig->broker, rig->tokens[2], "gone");
}

static void words_are_left_out_for_who_does_not_want_them_or_has_no_room(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = join_with(rig, 0, 0, 0);

    rig->verdict = FL_BROKER_REFUSE;
    rig->verdict_reason = FL_MQTT_PAYLOAD_FORMAT;
    rig->verdict_words = WORDS;
    rig_send_publish(client, "t", "99", 1);
    expect_refusal(client, FL_MQTT_PUBACK, 1, NULL);
    client = join_with(rig, 1, 60, 1); /* CONNACK fits, the words do not */
    rig_send_publish(client, "t", "99", 1);
    expect_refusal(client, FL_MQTT_PUBACK, 1, NULL);
    rig->verdict_words = "short";
    rig_send_publish(client, "t", "99", 2);
    expect_refusal(client, FL_MQTT_PUBACK, 2, "short");
    rig->verdict_words = "not \xff UTF-8";
    rig_send_publish(client, "t", "99", 3);
    expect_refusal(client, FL_MQTT_PUBACK, 3, NULL);
    assert_false(client->closed);
}

static void mqtt_3_1_1_has_no_words(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = &rig->clients[0];
    struct fl_mqtt_packet packet;

    (void)rig_join(rig, 0, "a", FL_MQTT_3, true);
    rig->verdict = FL_BROKER_REFUSE;
    rig->verdict_reason = FL_MQTT_PAYLOAD_FORMAT;
    rig->verdict_words = WORDS;
    rig_send_publish(client, "t", "99", 1);
    rig_expect(client, FL_MQTT_PUBACK, &packet);
    assert_int_equal(packet.as.ack.packet_id, 1);
    rig->deny = "x";
    assert_int_equal(rig_subscribe(client, "x", 0), 0x80);
}

static void long_words_are_cut(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = join_with(rig, 0, 0, 1);
    struct fl_mqtt_packet packet;
    char words[400];

    memset(words, 'w', sizeof words);
    words[sizeof words - 1] = 0;
    rig->verdict = FL_BROKER_REFUSE;
    rig->verdict_reason = FL_MQTT_PAYLOAD_FORMAT;
    rig->verdict_words = words;
    rig_send_publish(client, "t", "99", 1);
    rig_expect(client, FL_MQTT_PUBACK, &packet);
    assert_int_equal(packet.properties.reason_string.size, FL_LIMIT_REASON);
}

static void what_the_profile_forbids_is_said_so(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = join_with(rig, 0, 0, 1);
    struct fl_mqtt_packet packet = {.type = FL_MQTT_SUBSCRIBE, .as.subscribe.packet_id = 9};
    struct fl_mqtt_filter good = {.filter = fl_slice_str("y")};
    struct fl_mqtt_filter bad = {.filter = fl_slice_str("x")};
    struct fl_buffer filters = FL_BUFFER(100);

    rig->deny = "x";
    rig_send_publish(client, "x", "1", 1);
    rig_expect(client, FL_MQTT_PUBACK, &packet);
    assert_int_equal(packet.as.ack.reason, FL_MQTT_NOT_AUTHORIZED);
    assert_slice_equal(packet.properties.reason_string,
                       "the device's profile does not allow publishing to this topic");
    assert_ok(fl_mqtt_put_filter(&filters, FL_MQTT_SUBSCRIBE, &good));
    assert_ok(fl_mqtt_put_filter(&filters, FL_MQTT_SUBSCRIBE, &bad));
    packet = (struct fl_mqtt_packet){.type = FL_MQTT_SUBSCRIBE, .as.subscribe.packet_id = 9};
    packet.as.subscribe.filters = fl_buffer_slice(&filters);
    rig_send(client, &packet);
    rig_expect(client, FL_MQTT_SUBACK, &packet);
    assert_int_equal(packet.as.suback.reasons.data[0], 0);
    assert_int_equal(packet.as.suback.reasons.data[1], FL_MQTT_NOT_AUTHORIZED);
    assert_slice_equal(packet.properties.reason_string,
                       "filter 2: the device's profile does not allow subscribing to all it "
                       "matches");
    assert_int_equal(rig_subscribe(client, "y", 0), 0);
    fl_buffer_free(&filters);
    /* Where there is no room for words, the codes still come. */
    client = join_with(rig, 1, 60, 1);
    assert_int_equal(rig_subscribe(client, "x", 0), FL_MQTT_NOT_AUTHORIZED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WORDS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        WORDS_TEST(a_refused_publish_says_why),
        WORDS_TEST(words_belong_to_their_publish_in_its_place),
        WORDS_TEST(words_are_left_out_for_who_does_not_want_them_or_has_no_room),
        WORDS_TEST(mqtt_3_1_1_has_no_words),
        WORDS_TEST(long_words_are_cut),
        WORDS_TEST(what_the_profile_forbids_is_said_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
