/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker_rig.h"

enum { WRITER, READER, SPARE };

static const enum fl_mqtt_version both[] = {FL_MQTT_3, FL_MQTT_5};

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

static void settle(struct rig *rig, size_t token, uint8_t reason)
{
    fl_broker_settle(rig->broker, rig->tokens[token], reason, rig->now);
    rig_flush(rig);
}

static void back(struct rig *rig, size_t index, const char *name, enum fl_mqtt_version version)
{
    rig_drop(&rig->clients[index]);
    assert_true(rig_join(rig, index, name, version, false));
}

static uint16_t hear(struct rig_client *client, const char *payload, bool dup)
{
    struct fl_mqtt_packet packet;

    rig_expect(client, FL_MQTT_PUBLISH, &packet);
    assert_slice_equal(packet.as.publish.payload, payload);
    assert_int_equal(packet.as.publish.qos, 2);
    assert_int_equal(packet.as.publish.dup, dup);
    return packet.as.publish.packet_id;
}

static void a_message_goes_through_all_four_steps_both_ways(void **state)
{
    struct rig *rig = *state;

    for (size_t from = 0; from < 2; from++)
        for (size_t to = 0; to < 2; to++) {
            uint16_t id = 0;
            rig_join(rig, WRITER, "writer", both[from], true);
            rig_join(rig, READER, "reader", both[to], true);
            assert_int_equal(rig_subscribe(&rig->clients[READER], "a", 2), 2);
            rig_send_exactly_once(&rig->clients[WRITER], "a", "x", 9, false);
            rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 9, 0);
            rig_say_ack(&rig->clients[WRITER], FL_MQTT_PUBREL, 9, 0);
            rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBCOMP, 9, 0);
            id = hear(&rig->clients[READER], "x", false);
            rig_say_ack(&rig->clients[READER], FL_MQTT_PUBREC, id, 0);
            rig_expect_ack(&rig->clients[READER], FL_MQTT_PUBREL, id, 0);
            rig_say_ack(&rig->clients[READER], FL_MQTT_PUBCOMP, id, 0);
            rig_expect_nothing(&rig->clients[WRITER]);
            rig_expect_nothing(&rig->clients[READER]);
            rig_drop(&rig->clients[WRITER]);
            rig_drop(&rig->clients[READER]);
        }
}

static void a_publish_said_again_before_its_release_is_routed_once(void **state)
{
    struct rig *rig = *state;

    for (size_t v = 0; v < 2; v++) {
        const char *name = v ? "five" : "three";
        rig_join(rig, WRITER, name, both[v], false);
        rig_join(rig, READER, "reader", FL_MQTT_5, true);
        assert_int_equal(rig_subscribe(&rig->clients[READER], "a", 0), 0);
        rig_send_exactly_once(&rig->clients[WRITER], "a", "one", 1, false);
        rig_expect_publish(&rig->clients[READER], "a", "one");
        for (int i = 0; i < 3; i++) {
            back(rig, WRITER, name, both[v]);
            rig_send_exactly_once(&rig->clients[WRITER], "a", "one", 1, true);
            rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 1, 0);
            rig_send_exactly_once(&rig->clients[WRITER], "a", "one", 1, false);
            rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 1, 0);
        }
        rig_expect_nothing(&rig->clients[READER]);
        back(rig, WRITER, name, both[v]);
        rig_say_ack(&rig->clients[WRITER], FL_MQTT_PUBREL, 1, 0);
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBCOMP, 1, 0);
        rig_send_exactly_once(&rig->clients[WRITER], "a", "two", 1, false);
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 1, 0);
        rig_expect_publish(&rig->clients[READER], "a", "two");
        rig_drop(&rig->clients[WRITER]);
        rig_drop(&rig->clients[READER]);
    }
    assert_int_equal(rig->published, 4);
}

static void a_release_of_nothing_is_answered_in_the_words_of_the_version(void **state)
{
    struct rig *rig = *state;

    for (size_t v = 0; v < 2; v++) {
        rig_join(rig, WRITER, "writer", both[v], true);
        rig_say_ack(&rig->clients[WRITER], FL_MQTT_PUBREL, 5, 0);
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBCOMP, 5, v ? 0x92 : 0);
        rig_say_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 6, 0);
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREL, 6, v ? 0x92 : 0);
        rig_say_ack(&rig->clients[WRITER], FL_MQTT_PUBCOMP, 7, 0);
        rig_say_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 8, v ? 0x80 : 0);
        if (!v)
            rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREL, 8, 0);
        rig_expect_nothing(&rig->clients[WRITER]);
        assert_false(rig->clients[WRITER].closed);
        rig_drop(&rig->clients[WRITER]);
    }
}

static void a_kept_publish_is_received_when_it_is_settled(void **state)
{
    struct rig *rig = *state;

    rig->verdict = FL_BROKER_KEEP;
    for (size_t v = 0; v < 2; v++) {
        rig->token_count = 0;
        rig_join(rig, WRITER, "writer", both[v], true);
        rig_send_exactly_once(&rig->clients[WRITER], "a", "x", 1, false);
        rig_send_publish(&rig->clients[WRITER], "a", "y", 2);
        rig_send_exactly_once(&rig->clients[WRITER], "a", "x", 1, true); /* impatient */
        rig_expect_nothing(&rig->clients[WRITER]);
        assert_int_equal(rig->token_count, 2);
        settle(rig, 1, 0);
        rig_expect_nothing(&rig->clients[WRITER]);
        settle(rig, 0, 0);
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 1, 0);
        rig_expect_puback(&rig->clients[WRITER], 2, 0);
        settle(rig, 0, 0x80); /* the first word counts */
        rig_send_exactly_once(&rig->clients[WRITER], "a", "x", 1, true);
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 1, 0);
        assert_int_equal(rig->token_count, 2);
        rig_drop(&rig->clients[WRITER]);
    }
}

static void a_connection_lost_before_the_host_kept_it_asks_again_and_routes_once(void **state)
{
    struct rig *rig = *state;

    rig->verdict = FL_BROKER_KEEP;
    rig_join(rig, READER, "reader", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[READER], "a", 0), 0);
    for (size_t v = 0; v < 2; v++) {
        const char *name = v ? "five" : "three";
        rig->token_count = 0;
        rig_join(rig, WRITER, name, both[v], false);
        rig_send_exactly_once(&rig->clients[WRITER], "a", "x", 1, false);
        back(rig, WRITER, name, both[v]);
        settle(rig, 0, 0); /* too late: the connection it would tell has gone */
        rig_expect_nothing(&rig->clients[WRITER]);
        rig_say_ack(&rig->clients[WRITER], FL_MQTT_PUBREL, 1, 0); /* it cannot know that */
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBCOMP, 1, v ? 0x92 : 0);
        rig_send_exactly_once(&rig->clients[WRITER], "a", "x", 1, true);
        assert_int_equal(rig->token_count, 2);
        settle(rig, 1, 0);
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 1, 0);
        rig_expect_publish(&rig->clients[READER], "a", "x");
        rig_expect_nothing(&rig->clients[READER]);
        rig_drop(&rig->clients[WRITER]);
    }
}

static void what_the_host_could_not_keep_is_told_or_asked_for_again(void **state)
{
    struct rig *rig = *state;

    rig->verdict = FL_BROKER_KEEP;
    rig_join(rig, READER, "reader", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[READER], "a", 0), 0);
    rig_join(rig, WRITER, "five", FL_MQTT_5, false);
    rig_send_exactly_once(&rig->clients[WRITER], "a", "x", 1, false);
    settle(rig, 0, 0x97);
    rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 1, 0x97);
    rig_expect_publish(&rig->clients[READER], "a", "x");
    rig_send_exactly_once(&rig->clients[WRITER], "a", "new", 1, false); /* free again */
    rig_expect_publish(&rig->clients[READER], "a", "new");
    rig_join(rig, SPARE, "three", FL_MQTT_3, false);
    rig_send_exactly_once(&rig->clients[SPARE], "a", "z", 1, false);
    rig_expect_publish(&rig->clients[READER], "a", "z");
    settle(rig, 2, 0x97);
    assert_true(rig->clients[SPARE].closed);
    back(rig, SPARE, "three", FL_MQTT_3);
    rig_send_exactly_once(&rig->clients[SPARE], "a", "z", 1, true);
    settle(rig, 3, 0);
    rig_expect_ack(&rig->clients[SPARE], FL_MQTT_PUBREC, 1, 0);
    rig_expect_nothing(&rig->clients[READER]);
}

static void a_refused_publish_frees_its_identifier(void **state)
{
    struct rig *rig = *state;

    rig->deny = "no";
    for (size_t v = 0; v < 2; v++) {
        rig_join(rig, WRITER, "writer", both[v], true);
        rig_send_exactly_once(&rig->clients[WRITER], "no", "x", 1, false);
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 1, v ? 0x87 : 0);
        rig->verdict = FL_BROKER_REFUSE;
        rig->verdict_reason = 0x99;
        rig_send_exactly_once(&rig->clients[WRITER], "yes", "x", 1, false);
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 1, v ? 0x99 : 0);
        rig->verdict = FL_BROKER_ROUTE;
        rig_send_exactly_once(&rig->clients[WRITER], "yes", "x", 1, false);
        rig_expect_ack(&rig->clients[WRITER], FL_MQTT_PUBREC, 1, 0);
        rig_drop(&rig->clients[WRITER]);
    }
    assert_int_equal(rig->published, 4);
}

static void an_identifier_in_use_by_another_exchange_is_refused(void **state)
{
    struct rig *rig = *state;

    rig->verdict = FL_BROKER_KEEP;
    for (size_t v = 0; v < 2; v++) {
        struct rig_client *client = &rig->clients[WRITER];
        rig->token_count = 0;
        rig_join(rig, WRITER, "writer", both[v], true);
        rig_send_exactly_once(client, "a", "x", 1, false);
        settle(rig, 0, 0);
        rig_expect_ack(client, FL_MQTT_PUBREC, 1, 0);
        rig_send_publish(client, "a", "y", 1);
        if (v) {
            rig_expect_puback(client, 1, 0x91);
            rig_send_publish(client, "a", "y", 2);
            rig_send_exactly_once(client, "a", "x", 2, false);
            settle(rig, 1, 0);
            rig_expect_puback(client, 2, 0);
            rig_expect_ack(client, FL_MQTT_PUBREC, 2, 0x91);
        }
        assert_int_equal(client->closed, !v);
        rig_drop(client);
    }
}

static void the_receive_maximum_counts_until_the_exchange_is_over(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = &rig->clients[WRITER];
    struct fl_mqtt_packet packet;

    rig_join(rig, WRITER, "five", FL_MQTT_5, false);
    for (uint16_t id = 1; id <= FL_LIMIT_MQTT_INFLIGHT; id++) {
        rig_send_exactly_once(client, "a", "x", id, false);
        rig_expect_ack(client, FL_MQTT_PUBREC, id, 0);
    }
    rig_say_ack(client, FL_MQTT_PUBREL, 3, 0);
    rig_expect_ack(client, FL_MQTT_PUBCOMP, 3, 0);
    rig_send_publish(client, "a", "x", 3); /* the place that 3 had */
    rig_expect_puback(client, 3, 0);
    back(rig, WRITER, "five", FL_MQTT_5); /* a new connection has its whole maximum */
    for (uint16_t id = 101; id <= 100 + FL_LIMIT_MQTT_INFLIGHT; id++) {
        rig_send_exactly_once(client, "a", "x", id, false);
        rig_expect_ack(client, FL_MQTT_PUBREC, id, 0);
    }
    rig_say_ack(client, FL_MQTT_PUBREL, 4, 0); /* of the connection before: makes no room here */
    rig_expect_ack(client, FL_MQTT_PUBCOMP, 4, 0);
    assert_false(client->closed);
    rig_send_publish(client, "a", "x", 99);
    rig_expect(client, FL_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.as.end.reason, 0x93);
}

static void publishes_never_released_are_bounded(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = &rig->clients[WRITER];

    rig_join(rig, WRITER, "three", FL_MQTT_3, false);
    for (uint16_t id = 1; id <= FL_LIMIT_MQTT_UNRELEASED; id++) {
        rig_send_exactly_once(client, "a", "x", id, false);
        rig_expect_ack(client, FL_MQTT_PUBREC, id, 0);
    }
    rig_send_exactly_once(client, "a", "x", 9999, false);
    assert_true(client->closed);
    assert_int_equal(rig->published, FL_LIMIT_MQTT_UNRELEASED);
    rig_drop(client);
    assert_true(rig_join(rig, WRITER, "three", FL_MQTT_5, false));
    rig_send_exactly_once(client, "a", "x", 9999, false);
    rig_expect_ack(client, FL_MQTT_PUBREC, 9999, 0x97);
    rig_say_ack(client, FL_MQTT_PUBREL, 7, 0);
    rig_expect_ack(client, FL_MQTT_PUBCOMP, 7, 0);
    rig_send_exactly_once(client, "a", "x", 9999, false);
    rig_expect_ack(client, FL_MQTT_PUBREC, 9999, 0);
}

static void a_delivery_goes_on_where_the_connection_broke(void **state)
{
    struct rig *rig = *state;

    rig_join(rig, WRITER, "writer", FL_MQTT_5, true);
    for (size_t v = 0; v < 2; v++) {
        const char *name = v ? "five" : "three";
        struct rig_client *client = &rig->clients[READER];
        uint16_t first = 0;
        uint16_t second = 0;
        rig_join(rig, READER, name, both[v], false);
        assert_int_equal(rig_subscribe(client, "a", 2), 2);
        rig_send_exactly_once(&rig->clients[WRITER], "a", "1", (uint16_t)(10 + v), false);
        rig_send_exactly_once(&rig->clients[WRITER], "a", "2", (uint16_t)(20 + v), false);
        first = hear(client, "1", false);
        second = hear(client, "2", false);
        back(rig, READER, name, both[v]);
        assert_int_equal(hear(client, "1", true), first);
        assert_int_equal(hear(client, "2", true), second);
        rig_say_ack(client, FL_MQTT_PUBREC, first, 0);
        rig_expect_ack(client, FL_MQTT_PUBREL, first, 0);
        back(rig, READER, name, both[v]);
        rig_expect_ack(client, FL_MQTT_PUBREL, first, 0);
        assert_int_equal(hear(client, "2", true), second);
        rig_say_ack(client, FL_MQTT_PUBREC, first, 0); /* said again, answered again */
        rig_expect_ack(client, FL_MQTT_PUBREL, first, 0);
        rig_say_ack(client, FL_MQTT_PUBCOMP, first, 0);
        rig_say_ack(client, FL_MQTT_PUBREC, second, v ? 0x80 : 0);
        if (!v) {
            rig_expect_ack(client, FL_MQTT_PUBREL, second, 0);
            rig_say_ack(client, FL_MQTT_PUBCOMP, second, 0);
        }
        back(rig, READER, name, both[v]);
        rig_expect_nothing(client);
        rig_drop(client);
    }
}

static void the_clients_window_holds_releases_too(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_attach(rig, READER, "reader");
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "reader", true);
    uint16_t id = 0;

    FL_MQTT_SET(&packet.properties, receive_maximum, 1);
    rig_send_connect(client, &packet);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    assert_int_equal(rig_subscribe(client, "a", 2), 2);
    rig_join(rig, WRITER, "writer", FL_MQTT_5, true);
    rig_send_exactly_once(&rig->clients[WRITER], "a", "1", 1, false);
    rig_send_exactly_once(&rig->clients[WRITER], "a", "2", 2, false);
    id = hear(client, "1", false);
    rig_say_ack(client, FL_MQTT_PUBREC, id, 0);
    rig_expect_ack(client, FL_MQTT_PUBREL, id, 0);
    rig_expect_nothing(client);
    rig_say_ack(client, FL_MQTT_PUBCOMP, id, 0);
    id = hear(client, "2", false);
    rig_say_ack(client, FL_MQTT_PUBREC, id, 0x83); /* refused: over */
    rig_send_exactly_once(&rig->clients[WRITER], "a", "3", 3, false);
    hear(client, "3", false);
}

static void a_step_of_the_wrong_exchange_ends_the_connection(void **state)
{
    static const struct {
        uint8_t qos;
        enum fl_mqtt_type type;
    } wrong[] = {
        {1, FL_MQTT_PUBREC}, {1, FL_MQTT_PUBCOMP}, {2, FL_MQTT_PUBACK}, {2, FL_MQTT_PUBCOMP}};
    struct rig *rig = *state;
    struct fl_mqtt_packet packet;

    rig_join(rig, WRITER, "writer", FL_MQTT_5, true);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct rig_client *client = &rig->clients[READER];
        rig_join(rig, READER, "reader", FL_MQTT_5, true);
        assert_int_equal(rig_subscribe(client, "a", wrong[i].qos), wrong[i].qos);
        rig_send_exactly_once(&rig->clients[WRITER], "a", "x", (uint16_t)(i + 1), false);
        rig_expect(client, FL_MQTT_PUBLISH, &packet);
        rig_say_ack(client, wrong[i].type, packet.as.publish.packet_id, 0);
        rig_expect(client, FL_MQTT_DISCONNECT, &packet);
        assert_int_equal(packet.as.end.reason, 0x82);
        rig_drop(client);
    }
}

static void a_delivery_that_has_begun_does_not_expire(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = &rig->clients[READER];
    struct fl_mqtt_packet packet = rig_publish_packet("a", "begun", 1);

    rig_join(rig, READER, "reader", FL_MQTT_5, false);
    rig_join(rig, WRITER, "writer", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(client, "a", 2), 2);
    packet.as.publish.qos = 2;
    FL_MQTT_SET(&packet.properties, message_expiry_s, 1);
    rig_send(&rig->clients[WRITER], &packet);
    hear(client, "begun", false);
    rig_drop(client);
    packet.as.publish.packet_id = 2;
    packet.as.publish.payload = fl_slice_str("waits");
    rig_send(&rig->clients[WRITER], &packet);
    rig->now += 1001;
    back(rig, READER, "reader", FL_MQTT_5);
    rig_expect(client, FL_MQTT_PUBLISH, &packet);
    assert_slice_equal(packet.as.publish.payload, "begun");
    assert_int_equal(packet.properties.message_expiry_s, 0);
    rig_expect_nothing(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CLAIM(a_message_goes_through_all_four_steps_both_ways),
        CLAIM(a_publish_said_again_before_its_release_is_routed_once),
        CLAIM(a_release_of_nothing_is_answered_in_the_words_of_the_version),
        CLAIM(a_kept_publish_is_received_when_it_is_settled),
        CLAIM(a_connection_lost_before_the_host_kept_it_asks_again_and_routes_once),
        CLAIM(what_the_host_could_not_keep_is_told_or_asked_for_again),
        CLAIM(a_refused_publish_frees_its_identifier),
        CLAIM(an_identifier_in_use_by_another_exchange_is_refused),
        CLAIM(the_receive_maximum_counts_until_the_exchange_is_over),
        CLAIM(publishes_never_released_are_bounded),
        CLAIM(a_delivery_goes_on_where_the_connection_broke),
        CLAIM(the_clients_window_holds_releases_too),
        CLAIM(a_step_of_the_wrong_exchange_ends_the_connection),
        CLAIM(a_delivery_that_has_begun_does_not_expire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
