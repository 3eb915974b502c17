/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker_rig.h"

enum { A, B, C, WRITER };

static const char *const names[] = {"a", "b", "c"};

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

static void publish(struct rig *rig, const char *payload, uint8_t qos)
{
    struct fl_broker_publish message = {
        .topic = fl_slice_str("job"), .payload = fl_slice_str(payload), .qos = qos};

    fl_broker_publish(rig->broker, &message, rig->now);
    rig_flush(rig);
}

static void publish_numbers(struct rig *rig, int first, int last)
{
    char text[16];

    for (int i = first; i <= last; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        publish(rig, text, 1);
    }
}

/* A member with a session that stays. */
static struct rig_client *member(struct rig *rig, size_t index, uint8_t qos)
{
    (void)rig_join(rig, index, names[index], FL_MQTT_5, false);
    assert_int_equal(rig_subscribe(&rig->clients[index], "$share/g/job", qos), qos);
    return &rig->clients[index];
}

static uint16_t hear(struct rig_client *client, const char *payload)
{
    return rig_expect_publish(client, "job", payload);
}

static struct fl_broker_counts counts_of(struct rig *rig)
{
    struct fl_broker_counts counts;

    fl_broker_count(rig->broker, &counts);
    return counts;
}

static void members_take_turns(void **state)
{
    struct rig *rig = *state;

    for (size_t i = A; i <= C; i++)
        (void)member(rig, i, 1);
    publish_numbers(rig, 1, 7);
    rig_ack(&rig->clients[A], hear(&rig->clients[A], "1"));
    rig_ack(&rig->clients[B], hear(&rig->clients[B], "2"));
    rig_ack(&rig->clients[C], hear(&rig->clients[C], "3"));
    rig_ack(&rig->clients[A], hear(&rig->clients[A], "4"));
    rig_ack(&rig->clients[B], hear(&rig->clients[B], "5"));
    rig_ack(&rig->clients[C], hear(&rig->clients[C], "6"));
    rig_ack(&rig->clients[A], hear(&rig->clients[A], "7"));
    for (size_t i = A; i <= C; i++)
        rig_expect_nothing(&rig->clients[i]);
}

static void groups_and_plain_subscriptions_do_not_disturb_each_other(void **state)
{
    struct rig *rig = *state;

    (void)member(rig, A, 0);
    (void)member(rig, B, 0);
    rig_join(rig, C, "c", FL_MQTT_3, true); /* 3.1.1 may share too */
    assert_int_equal(rig_subscribe(&rig->clients[C], "$share/h/+", 0), 0);
    assert_int_equal(rig_subscribe(&rig->clients[A], "job", 0), 0);
    publish(rig, "1", 0);
    publish(rig, "2", 0);
    /* A has its own copy of each, and its turn in the group. */
    for (int i = 0; i < 3; i++) {
        struct fl_mqtt_packet packet;
        rig_expect(&rig->clients[A], FL_MQTT_PUBLISH, &packet);
    }
    rig_expect_nothing(&rig->clients[A]);
    hear(&rig->clients[B], "2");
    rig_expect_nothing(&rig->clients[B]);
    hear(&rig->clients[C], "1");
    hear(&rig->clients[C], "2");
}

static void a_busy_member_is_passed_over(void **state)
{
    struct rig *rig = *state;
    struct rig_client *busy = rig_attach(rig, A, "a");
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "a", true);

    FL_MQTT_SET(&packet.properties, receive_maximum, 1);
    rig_send_connect(busy, &packet);
    rig_expect(busy, FL_MQTT_CONNACK, &packet);
    assert_int_equal(rig_subscribe(busy, "$share/g/job", 1), 1);
    (void)member(rig, B, 1);
    publish_numbers(rig, 1, 3);
    hear(busy, "1");
    rig_ack(&rig->clients[B], hear(&rig->clients[B], "2"));
    rig_ack(&rig->clients[B], hear(&rig->clients[B], "3"));
    rig_expect_nothing(busy);
}

static void a_member_that_went_holds_nothing_back(void **state)
{
    struct rig *rig = *state;

    (void)member(rig, A, 1);
    (void)member(rig, B, 1);
    publish_numbers(rig, 1, 4); /* A: 1, 3; B: 2, 4 */
    rig_drop(&rig->clients[A]);
    rig_ack(&rig->clients[B], hear(&rig->clients[B], "2"));
    rig_ack(&rig->clients[B], hear(&rig->clients[B], "4"));
    rig_ack(&rig->clients[B], hear(&rig->clients[B], "1"));
    rig_ack(&rig->clients[B], hear(&rig->clients[B], "3"));
    publish_numbers(rig, 5, 6);
    rig_ack(&rig->clients[B], hear(&rig->clients[B], "5"));
    rig_ack(&rig->clients[B], hear(&rig->clients[B], "6"));
    assert_true(rig_join(rig, A, "a", FL_MQTT_5, false));
    rig_expect_nothing(&rig->clients[A]);
    publish_numbers(rig, 7, 8);
    hear(&rig->clients[B], "7");
    hear(&rig->clients[A], "8");
}

static void what_came_while_all_were_away_goes_to_the_first_who_returns(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet;
    uint16_t id = 0;

    (void)member(rig, A, 1);
    (void)member(rig, B, 1);
    rig_drop(&rig->clients[B]);
    publish_numbers(rig, 1, 1);
    id = hear(&rig->clients[A], "1");
    rig_drop(&rig->clients[A]); /* 1 is not acknowledged */
    publish_numbers(rig, 2, 3);
    publish(rig, "lost", 0);
    assert_true(rig_join(rig, A, "a", FL_MQTT_5, false));
    rig_expect(&rig->clients[A], FL_MQTT_PUBLISH, &packet); /* nobody else had come: resent */
    assert_true(packet.as.publish.dup);
    assert_int_equal(packet.as.publish.packet_id, id);
    hear(&rig->clients[A], "2");
    hear(&rig->clients[A], "3");
    rig_expect_nothing(&rig->clients[A]);
    rig_drop(&rig->clients[A]);
    assert_true(rig_join(rig, B, "b", FL_MQTT_5, false));
    hear(&rig->clients[B], "1");
    hear(&rig->clients[B], "2");
    hear(&rig->clients[B], "3");
    rig_expect_nothing(&rig->clients[B]);
    assert_true(rig_join(rig, A, "a", FL_MQTT_5, false));
    rig_expect_nothing(&rig->clients[A]);
}

static void a_session_that_ends_leaves_its_share_to_the_others(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet;

    (void)member(rig, A, 2);
    (void)member(rig, B, 2);
    publish(rig, "begun", 2);
    publish_numbers(rig, 1, 1);
    rig_expect(&rig->clients[A], FL_MQTT_PUBLISH, &packet);
    hear(&rig->clients[B], "1");
    rig_drop(&rig->clients[B]);
    hear(&rig->clients[A], "1");
    rig_drop(&rig->clients[A]);
    rig_join(rig, A, "a", FL_MQTT_5, true); /* A's session is over, B's is away */
    rig_drop(&rig->clients[A]);
    assert_true(rig_join(rig, B, "b", FL_MQTT_5, false));
    hear(&rig->clients[B], "1"); /* QoS 2 that had begun is nobody else's */
    rig_expect_nothing(&rig->clients[B]);
    assert_int_equal(fl_broker_cut(rig->broker, fl_slice_str("b"), 0x98, "", true, rig->now), 1);
    rig_drop(&rig->clients[B]);
    publish_numbers(rig, 2, 2);
    assert_int_equal(counts_of(rig).subscriptions, 0);
    assert_int_equal(counts_of(rig).sessions, 0);
}

static void what_waits_for_a_share_is_bounded(void **state)
{
    struct rig *rig = *state;

    (void)member(rig, A, 1);
    rig_drop(&rig->clients[A]);
    publish_numbers(rig, 1, FL_LIMIT_MQTT_QUEUE + 5);
    assert_int_equal(counts_of(rig).dropped, 5);
    assert_true(rig_join(rig, A, "a", FL_MQTT_5, false));
    for (int i = 1; i <= FL_LIMIT_MQTT_QUEUE; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        rig_ack(&rig->clients[A], hear(&rig->clients[A], text));
    }
    rig_expect_nothing(&rig->clients[A]);
}

static void the_right_to_a_share_is_the_right_to_its_topics(void **state)
{
    static const char *const wrong[] = {"$share/g",   "$share//job", "$share/g/",
                                        "$share/+/a", "$share/#",    "$share/a#/b"};
    struct rig *rig = *state;

    rig->deny = "secret";
    rig_join(rig, A, "a", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[A], "$share/g/secret", 1), 0x87);
    assert_string_equal(rig->refused, "subscribe $share/g/secret: not authorized");
    assert_int_equal(rig_subscribe(&rig->clients[A], "$share/secret/job", 1), 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct fl_slice inner = {0};
        assert_false(fl_mqtt_share_filter(fl_slice_str(wrong[i]), &inner));
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(rig_subscribe(&rig->clients[A], wrong[i], 1), 0x8F);
    rig->deny_receive = true;
    publish(rig, "x", 1);
    rig_expect_nothing(&rig->clients[A]);
    assert_int_equal(counts_of(rig).refused, 5);
}

static void a_share_gets_no_retained_messages(void **state)
{
    struct rig *rig = *state;
    struct fl_broker_publish message = {
        .topic = fl_slice_str("job"), .payload = fl_slice_str("x"), .retain = true};

    fl_broker_publish(rig->broker, &message, rig->now);
    (void)member(rig, A, 1);
    rig_expect_nothing(&rig->clients[A]);
    fl_broker_publish(rig->broker, &message, rig->now);
    rig_flush(rig);
    hear(&rig->clients[A], "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CLAIM(members_take_turns),
        CLAIM(groups_and_plain_subscriptions_do_not_disturb_each_other),
        CLAIM(a_busy_member_is_passed_over),
        CLAIM(a_member_that_went_holds_nothing_back),
        CLAIM(what_came_while_all_were_away_goes_to_the_first_who_returns),
        CLAIM(a_session_that_ends_leaves_its_share_to_the_others),
        CLAIM(what_waits_for_a_share_is_bounded),
        CLAIM(the_right_to_a_share_is_the_right_to_its_topics),
        CLAIM(a_share_gets_no_retained_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
