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

static struct fl_broker_counts counts_of(struct rig *rig)
{
    struct fl_broker_counts counts;

    fl_broker_count(rig->broker, &counts);
    return counts;
}

static void publish_from_hub(struct rig *rig, const char *topic, const char *payload, uint8_t qos)
{
    struct fl_broker_publish publish = {
        .topic = fl_slice_str(topic), .payload = fl_slice_str(payload), .qos = qos};

    fl_broker_publish(rig->broker, &publish, rig->now);
    rig_flush(rig);
}

static void publish_retained(struct rig_client *client, const char *topic, const char *payload)
{
    struct fl_mqtt_packet packet = rig_publish_packet(topic, payload, 0);

    packet.as.publish.retain = true;
    rig_send(client, &packet);
}

static void disconnect(struct rig_client *client, uint8_t reason)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_DISCONNECT, .as.end.reason = reason};

    rig_send(client, &packet);
    assert_true(client->closed);
    rig_drop(client);
}

static void a_persistent_session_gets_what_it_missed_in_order(void **state)
{
    static const enum fl_mqtt_version both[] = {FL_MQTT_3, FL_MQTT_5};
    struct rig *rig = *state;
    char text[16];

    for (size_t v = 0; v < 2; v++) {
        const char *name = v ? "five" : "three";
        uint16_t first = 0;
        struct fl_mqtt_packet packet;
        assert_false(rig_join(rig, 0, name, both[v], false));
        assert_int_equal(rig_subscribe(&rig->clients[0], "c", 1), 1);
        publish_from_hub(rig, "c", "unacknowledged", 1);
        first = rig_expect_publish(&rig->clients[0], "c", "unacknowledged");
        publish_from_hub(rig, "c", "acknowledged", 1);
        rig_ack(&rig->clients[0], rig_expect_publish(&rig->clients[0], "c", "acknowledged"));
        rig_drop(&rig->clients[0]);
        publish_from_hub(rig, "c", "lost", 0);
        for (int i = 0; i < 100; i++) {
            (void)snprintf(text, sizeof text, "%d", i);
            publish_from_hub(rig, "c", text, 1);
        }
        assert_true(rig_join(rig, 0, name, both[v], false));
        rig_expect(&rig->clients[0], FL_MQTT_PUBLISH, &packet);
        assert_true(packet.as.publish.dup);
        assert_int_equal(packet.as.publish.packet_id, first);
        assert_slice_equal(packet.as.publish.payload, "unacknowledged");
        rig_ack(&rig->clients[0], first);
        for (int i = 0; i < 100; i++) {
            (void)snprintf(text, sizeof text, "%d", i);
            rig_ack(&rig->clients[0], rig_expect_publish(&rig->clients[0], "c", text));
        }
        rig_expect_nothing(&rig->clients[0]);
        rig_drop(&rig->clients[0]);
    }
}

static void the_window_of_the_client_is_respected(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_attach(rig, 0, "cam-01");
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "cam-01", true);
    uint16_t ids[3];

    FL_MQTT_SET(&packet.properties, receive_maximum, 2);
    rig_send_connect(client, &packet);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    assert_int_equal(rig_subscribe(client, "c", 1), 1);
    for (int i = 0; i < 3; i++)
        publish_from_hub(rig, "c", "x", 1);
    ids[0] = rig_expect_publish(client, "c", "x");
    ids[1] = rig_expect_publish(client, "c", "x");
    rig_expect_nothing(client);
    rig_ack(client, ids[1]); /* out of order is fine */
    ids[2] = rig_expect_publish(client, "c", "x");
    rig_ack(client, ids[2]);
    rig_ack(client, ids[2]);
    rig_ack(client, 999);
    rig_ack(client, ids[0]);
    assert_false(client->closed);
}

/* Publishes `count` messages and returns how many are sent ahead of any answer. */
static int sent_ahead(struct rig *rig, struct rig_client *client, int count, const char *payload)
{
    struct fl_mqtt_packet packet;
    int sent = 0;

    for (int i = 0; i < count; i++)
        publish_from_hub(rig, "c", payload, 1);
    while (rig_next(client, &packet) == FL_OK)
        sent++;
    return sent;
}

static void more_small_messages_than_large_are_sent_ahead(void **state)
{
    struct rig *rig = *state;
    static char large[FL_LIMIT_MQTT_SMALL + 2];

    memset(large, 'x', sizeof large - 1);
    rig_join(rig, 0, "cam-01", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[0], "c", 1), 1);
    assert_int_equal(sent_ahead(rig, &rig->clients[0], FL_LIMIT_MQTT_INFLIGHT + 8, large),
                     FL_LIMIT_MQTT_INFLIGHT);
    rig_join(rig, 1, "cam-02", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[1], "c", 1), 1);
    assert_int_equal(sent_ahead(rig, &rig->clients[1], FL_LIMIT_MQTT_WINDOW_SMALL + 8, "x"),
                     FL_LIMIT_MQTT_WINDOW_SMALL);
}

static void a_queue_is_bounded_and_qos_0_goes_first(void **state)
{
    struct rig *rig = *state;
    static uint8_t large[100000];
    struct fl_broker_publish publish = {
        .topic = fl_slice_str("c"), .payload = fl_slice(large, sizeof large), .qos = 1};

    rig_join(rig, 0, "cam-01", FL_MQTT_5, false);
    assert_int_equal(rig_subscribe(&rig->clients[0], "c", 1), 1);
    rig_drop(&rig->clients[0]);
    for (int i = 0; i < FL_LIMIT_MQTT_QUEUE + 5; i++)
        publish_from_hub(rig, "c", "x", 1);
    assert_int_equal(counts_of(rig).dropped, 5);
    rig_join(rig, 0, "cam-01", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[0], "c", 1), 1);
    rig_drop(&rig->clients[0]);
    rig_join(rig, 0, "cam-01", FL_MQTT_5, false);
    assert_int_equal(rig_subscribe(&rig->clients[0], "c", 1), 1);
    rig_drop(&rig->clients[0]);
    for (int i = 0; i < FL_LIMIT_MQTT_QUEUE_BYTES / 100000 + 5; i++)
        fl_broker_publish(rig->broker, &publish, rig->now);
    assert_true(counts_of(rig).dropped >= 10);
    /* A client that does not read: its output, then its queue fill; QoS 1 displaces QoS 0. */
    rig_join(rig, 1, "slow", FL_MQTT_5, false);
    assert_int_equal(rig_subscribe(&rig->clients[1], "s", 1), 1);
    rig->clients[1].stalled = true;
    publish.topic = fl_slice_str("s");
    publish.qos = 0;
    for (int i = 0; i < 60; i++)
        fl_broker_publish(rig->broker, &publish, rig->now);
    assert_true(fl_broker_output(rig->clients[1].conn)->size <= FL_LIMIT_MQTT_OUT);
    publish_from_hub(rig, "s", "important", 1);
    rig->clients[1].stalled = false;
    rig_output(rig, &rig->clients[1]);
    rig_flush(rig);
    for (;;) {
        struct fl_mqtt_packet packet;
        rig_expect(&rig->clients[1], FL_MQTT_PUBLISH, &packet);
        if (packet.as.publish.qos == 1)
            break;
    }
    rig_expect_nothing(&rig->clients[1]);
}

static void what_a_client_cannot_take_is_not_sent_to_it(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_attach(rig, 0, "cam-01");
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "cam-01", true);

    FL_MQTT_SET(&packet.properties, maximum_packet_size, 60);
    rig_send_connect(client, &packet);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    assert_int_equal(rig_subscribe(client, "c", 1), 1);
    publish_from_hub(rig, "c", "012345678901234567890123456789012345678901234567890123456789", 1);
    publish_from_hub(rig, "c", "small", 1);
    rig_expect_publish(client, "c", "small");
    rig->deny_receive = true;
    publish_from_hub(rig, "c", "secret", 1);
    rig_expect_nothing(client);
    assert_int_equal(counts_of(rig).refused, 1);
    assert_int_equal(counts_of(rig).dropped, 1);
}

static void a_session_ends_when_its_time_is_over(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet = {.type = FL_MQTT_DISCONNECT};

    rig_join(rig, 0, "cam-01", FL_MQTT_5, false);
    rig_drop(&rig->clients[0]);
    rig->now += 3600 * 1000 - 1;
    fl_broker_tick(rig->broker, rig->now);
    assert_true(rig_join(rig, 0, "cam-01", FL_MQTT_5, false));
    FL_MQTT_SET(&packet.properties, session_expiry_s, 10);
    rig_send(&rig->clients[0], &packet);
    rig_drop(&rig->clients[0]);
    assert_int_equal(fl_broker_next_timeout(rig->broker), rig->now + 10000);
    rig->now += 10000;
    fl_broker_tick(rig->broker, rig->now);
    assert_int_equal(counts_of(rig).sessions, 0);
    rig_join(rig, 0, "cam-01", FL_MQTT_5, true);
    rig_send(&rig->clients[0], &packet); /* expiry was 0 */
    rig_expect(&rig->clients[0], FL_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.as.end.reason, 0x82);
    rig_drop(&rig->clients[0]);
    assert_int_equal(counts_of(rig).sessions, 0);
    rig_join(rig, 0, "old", FL_MQTT_3, true);
    disconnect(&rig->clients[0], 0);
    assert_int_equal(counts_of(rig).sessions, 0);
}

static void join_with_will(struct rig *rig, uint32_t delay_s, bool clean)
{
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "cam-01", clean);
    uint8_t delay[] = {0x18, 0, 0, 0, (uint8_t)delay_s};

    packet.as.connect.will = (struct fl_mqtt_will){
        .present = true,
        .qos = 1,
        .topic = fl_slice_str("gone"),
        .payload = fl_slice_str("!"),
        .properties = fl_slice(delay, delay_s ? sizeof delay : 0),
    };
    rig_send_connect(rig_attach(rig, 1, "cam-01"), &packet);
    rig_expect(&rig->clients[1], FL_MQTT_CONNACK, &packet);
}

static void a_will_is_said_only_when_the_device_could_not(void **state)
{
    struct rig *rig = *state;
    struct rig_client *watcher = &rig->clients[0];

    rig_join(rig, 0, "watcher", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(watcher, "gone", 0), 0);
    join_with_will(rig, 0, true);
    disconnect(&rig->clients[1], 0);
    rig_expect_nothing(watcher);
    join_with_will(rig, 0, true);
    rig_drop(&rig->clients[1]);
    rig_expect_publish(watcher, "gone", "!");
    assert_int_equal(rig->wills, 1); /* the host was asked */
    join_with_will(rig, 0, true);
    disconnect(&rig->clients[1], 4);
    rig_expect_publish(watcher, "gone", "!");
    join_with_will(rig, 0, true);
    rig->now += 90001;
    fl_broker_tick(rig->broker, rig->now);
    assert_string_equal(rig->clients[1].why, "keep alive timeout");
    rig_drop(&rig->clients[1]);
    assert_int_equal(rig->wills, 3);
}

static void a_delayed_will_waits_for_the_device_to_return(void **state)
{
    struct rig *rig = *state;
    struct rig_client *watcher = &rig->clients[0];

    rig_join(rig, 0, "watcher", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(watcher, "gone", 0), 0);
    join_with_will(rig, 20, false);
    rig_drop(&rig->clients[1]);
    rig->now += 19999;
    fl_broker_tick(rig->broker, rig->now);
    rig_expect_nothing(watcher);
    assert_true(rig_join(rig, 1, "cam-01", FL_MQTT_5, false));
    rig->now += 30000;
    fl_broker_tick(rig->broker, rig->now);
    rig_expect_nothing(watcher);
    rig_drop(&rig->clients[1]);
    join_with_will(rig, 20, false);
    rig_drop(&rig->clients[1]);
    rig->now += 20000;
    fl_broker_tick(rig->broker, rig->now);
    rig_expect_publish(watcher, "gone", "!");
    join_with_will(rig, 20, false);
    rig_drop(&rig->clients[1]);
    rig->deny = "gone"; /* the host is asked when it is said, not when it was left */
    rig->now += 20000;
    fl_broker_tick(rig->broker, rig->now);
    rig_expect_nothing(watcher);
    assert_int_equal(counts_of(rig).refused, 1);
    rig->deny = NULL;
    join_with_will(rig, 20, true); /* its session ends with the connection: so at once */
    rig_drop(&rig->clients[1]);
    rig_expect_publish(watcher, "gone", "!");
}

static void a_will_that_may_not_be_said_is_refused_at_once(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_3, "cam-01", true);

    rig->deny = "gone";
    packet.as.connect.will.present = true;
    packet.as.connect.will.topic = fl_slice_str("gone");
    rig_send_connect(rig_attach(rig, 0, "cam-01"), &packet);
    rig_expect(&rig->clients[0], FL_MQTT_CONNACK, &packet);
    assert_int_equal(packet.as.connack.reason, 5);
    assert_true(rig->clients[0].closed);
    assert_string_equal(rig->refused, "connect gone: not authorized");
}

static void a_will_has_the_qos_it_was_given(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet;

    rig_join(rig, 0, "watcher", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[0], "gone", 2), 2);
    for (size_t i = 1; i <= 2; i++) {
        packet = rig_connect_packet(i == 1 ? FL_MQTT_5 : FL_MQTT_3, "cam-01", true);
        packet.as.connect.will =
            (struct fl_mqtt_will){.present = true, .qos = 2, .topic = fl_slice_str("gone")};
        rig_send_connect(rig_attach(rig, i, "cam-01"), &packet);
        rig_expect(&rig->clients[i], FL_MQTT_CONNACK, &packet);
        assert_int_equal(packet.as.connack.reason, 0);
        rig_drop(&rig->clients[i]);
        rig_expect(&rig->clients[0], FL_MQTT_PUBLISH, &packet);
        assert_int_equal(packet.as.publish.qos, 2);
    }
    rig_expect_nothing(&rig->clients[0]);
}

static void a_retained_message_meets_later_subscribers(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet;
    struct fl_mqtt_filter filter = {.filter = fl_slice_str("r/+"), .qos = 1};

    rig_join(rig, 0, "a", FL_MQTT_5, true);
    rig_join(rig, 1, "b", FL_MQTT_5, true);
    publish_retained(&rig->clients[0], "r/1", "old");
    publish_retained(&rig->clients[0], "r/1", "new");
    publish_retained(&rig->clients[0], "r/2", "other");
    publish_retained(&rig->clients[0], "r/2", "");
    assert_int_equal(counts_of(rig).retained, 1);
    assert_int_equal(rig_subscribe_with(&rig->clients[1], &filter, 7), 1);
    rig_expect(&rig->clients[1], FL_MQTT_PUBLISH, &packet);
    assert_slice_equal(packet.as.publish.payload, "new");
    assert_true(packet.as.publish.retain);
    assert_int_equal(packet.properties.subscription_id, 7);
    filter.retain_handling = 1; /* only when the subscription is new */
    assert_int_equal(rig_subscribe_with(&rig->clients[1], &filter, 0), 1);
    rig_expect_nothing(&rig->clients[1]);
    filter.filter = fl_slice_str("r/1");
    filter.retain_handling = 2;
    filter.retain_as_published = true;
    assert_int_equal(rig_subscribe_with(&rig->clients[1], &filter, 0), 1);
    rig_expect_nothing(&rig->clients[1]);
    publish_retained(&rig->clients[0], "r/1", "live");
    rig_expect(&rig->clients[1], FL_MQTT_PUBLISH, &packet);
    assert_true(packet.as.publish.retain);
    publish_retained(&rig->clients[0], "r/9", "live");
    rig_expect(&rig->clients[1], FL_MQTT_PUBLISH, &packet);
    assert_false(packet.as.publish.retain);
}

static void messages_expire_where_they_wait(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet = rig_publish_packet("e", "x", 3);

    rig_join(rig, 0, "a", FL_MQTT_5, false);
    rig_join(rig, 1, "b", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[0], "e", 1), 1);
    rig_drop(&rig->clients[0]);
    FL_MQTT_SET(&packet.properties, message_expiry_s, 10);
    packet.as.publish.retain = true;
    rig_send(&rig->clients[1], &packet);
    rig->now += 4000;
    rig_join(rig, 2, "c", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[2], "e", 0), 0);
    rig_expect(&rig->clients[2], FL_MQTT_PUBLISH, &packet);
    assert_int_equal(packet.properties.message_expiry_s, 6);
    rig->now += 6000;
    fl_broker_tick(rig->broker, rig->now);
    assert_int_equal(counts_of(rig).retained, 0);
    assert_true(rig_join(rig, 0, "a", FL_MQTT_5, false));
    rig_expect_nothing(&rig->clients[0]);
}

static void one_device_cannot_fill_the_retained_store(void **state)
{
    struct rig *rig = *state;
    char topic[32];
    struct fl_mqtt_packet packet;

    rig_join(rig, 0, "a", FL_MQTT_5, true);
    for (int i = 0; i < FL_LIMIT_MQTT_DEVICE_RETAINED; i++) {
        (void)snprintf(topic, sizeof topic, "r/%d", i);
        publish_retained(&rig->clients[0], topic, "x");
    }
    packet = rig_publish_packet("r/more", "x", 8);
    packet.as.publish.retain = true;
    rig_send(&rig->clients[0], &packet);
    rig_expect_puback(&rig->clients[0], 8, 0x97);
    packet = rig_publish_packet("r/7", "again", 9);
    packet.as.publish.retain = true;
    rig_send(&rig->clients[0], &packet);
    rig_expect_puback(&rig->clients[0], 9, 0);
    rig_join(rig, 1, "b", FL_MQTT_5, true);
    publish_retained(&rig->clients[1], "s/1", "x");
    assert_int_equal(counts_of(rig).retained, FL_LIMIT_MQTT_DEVICE_RETAINED + 1);
}

static void overlapping_subscriptions_give_one_copy_with_all_identifiers(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = &rig->clients[0];
    struct fl_mqtt_filter filter = {.filter = fl_slice_str("a/+"), .qos = 0};
    struct fl_mqtt_packet packet;

    rig_join(rig, 0, "a", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe_with(client, &filter, 3), 0);
    filter.filter = fl_slice_str("a/#");
    filter.qos = 2;
    assert_int_equal(rig_subscribe_with(client, &filter, 4), 2);
    filter.filter = fl_slice_str("#");
    assert_int_equal(rig_subscribe_with(client, &filter, 200), 2);
    publish_from_hub(rig, "a/b", "x", 1);
    rig_expect(client, FL_MQTT_PUBLISH, &packet);
    assert_int_equal(packet.as.publish.qos, 1);
    assert_int_equal(packet.properties.raw.size, 2 + 2 + 3);
    rig_expect_nothing(client);
    filter.filter = fl_slice_str("own");
    filter.no_local = true;
    rig_drop(client);
    rig_join(rig, 0, "a", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe_with(client, &filter, 0), 2);
    rig_send_publish(client, "own", "x", 0);
    rig_expect_nothing(client);
}

static uint8_t unsubscribe(struct rig_client *client, const char *filter)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_UNSUBSCRIBE};
    struct fl_mqtt_filter one = {.filter = fl_slice_str(filter)};
    struct fl_buffer filters = FL_BUFFER(1000);

    assert_ok(fl_mqtt_put_filter(&filters, FL_MQTT_UNSUBSCRIBE, &one));
    packet.as.subscribe.packet_id = 5;
    packet.as.subscribe.filters = fl_buffer_slice(&filters);
    rig_send(client, &packet);
    fl_buffer_free(&filters);
    rig_expect(client, FL_MQTT_UNSUBACK, &packet);
    return client->version == FL_MQTT_5 ? packet.as.suback.reasons.data[0] : 0;
}

static void subscriptions_are_bounded_and_can_be_taken_back(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = &rig->clients[0];
    struct fl_mqtt_packet packet = {.type = FL_MQTT_SUBSCRIBE};
    struct fl_mqtt_filter filter = {.filter = fl_slice_str("x")};
    struct fl_buffer bomb = FL_BUFFER(1U << 20);
    char deep[80];
    char text[32];

    rig_join(rig, 0, "a", FL_MQTT_5, true);
    for (int i = 0; i < FL_LIMIT_MQTT_SUBSCRIPTIONS; i++) {
        (void)snprintf(text, sizeof text, "f/%d", i);
        assert_int_equal(rig_subscribe(client, text, 0), 0);
    }
    assert_int_equal(rig_subscribe(client, "f/more", 0), 0x97);
    assert_int_equal(unsubscribe(client, "f/3"), 0);
    assert_int_equal(unsubscribe(client, "f/3"), 0x11);
    assert_int_equal(rig_subscribe(client, "f/more", 0), 0);
    publish_from_hub(rig, "f/3", "x", 0);
    rig_expect_nothing(client);
    memset(deep, '/', sizeof deep);
    deep[FL_LIMIT_MQTT_TOPIC_LEVELS] = 0;
    assert_int_equal(rig_subscribe(client, deep, 0), 0x8F);
    rig_send_publish(client, deep, "x", 4);
    rig_expect_puback(client, 4, 0x90);
    for (int i = 0; i <= FL_LIMIT_MQTT_SUBSCRIPTIONS; i++)
        assert_ok(fl_mqtt_put_filter(&bomb, FL_MQTT_SUBSCRIBE, &filter));
    packet.as.subscribe.packet_id = 9;
    packet.as.subscribe.filters = fl_buffer_slice(&bomb);
    rig_send(client, &packet);
    fl_buffer_free(&bomb);
    rig_expect(client, FL_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.as.end.reason, 0x97);
    rig_drop(client);
    assert_int_equal(counts_of(rig).subscriptions, 0);
}

static void enhanced_authentication_is_refused(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet = {.type = FL_MQTT_AUTH, .as.end.reason = 0x19};

    rig_join(rig, 0, "d", FL_MQTT_5, true);
    rig_send(&rig->clients[0], &packet);
    rig_expect(&rig->clients[0], FL_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.as.end.reason, 0x8C);
}

static void send_alias(struct rig_client *client, const char *topic, uint32_t alias)
{
    struct fl_mqtt_packet packet = rig_publish_packet(topic, topic, 0);

    FL_MQTT_SET(&packet.properties, topic_alias, alias);
    rig_send(client, &packet);
}

static void a_client_may_name_topics_by_alias(void **state)
{
    static const struct {
        const char *topic;
        uint32_t alias;
        uint8_t reason;
    } bad[] = {{"a", FL_LIMIT_MQTT_ALIASES + 1, 0x94},
               {"", FL_LIMIT_MQTT_ALIASES + 1, 0x94},
               {"", 1, 0x82},
               {"a", 65535, 0x94}};
    struct rig *rig = *state;
    struct rig_client *client = &rig->clients[1];
    struct fl_mqtt_packet packet;
    char longest[FL_LIMIT_MQTT_TOPIC + 2];

    rig_join(rig, 0, "reader", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[0], "#", 0), 0);
    rig_join(rig, 1, "writer", FL_MQTT_5, true);
    send_alias(client, "one", 1);
    send_alias(client, "last", FL_LIMIT_MQTT_ALIASES);
    send_alias(client, "", 1);
    send_alias(client, "two", 1);
    send_alias(client, "", 1);
    send_alias(client, "", FL_LIMIT_MQTT_ALIASES);
    rig_expect_publish(&rig->clients[0], "one", "one");
    rig_expect_publish(&rig->clients[0], "last", "last");
    rig_expect_publish(&rig->clients[0], "one", "");
    rig_expect_publish(&rig->clients[0], "two", "two");
    rig_expect_publish(&rig->clients[0], "two", "");
    rig_expect_publish(&rig->clients[0], "last", "");
    rig->deny = "secret";
    send_alias(client, "secret", 2); /* named all the same */
    send_alias(client, "", 2);
    assert_string_equal(rig->refused, "publish secret: not authorized");
    assert_int_equal(rig->refusals, 2);
    rig_drop(client);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rig_join(rig, 1, "writer", FL_MQTT_5, false);
        send_alias(client, bad[i].topic, bad[i].alias);
        rig_expect(client, FL_MQTT_DISCONNECT, &packet);
        assert_int_equal(packet.as.end.reason, bad[i].reason);
        rig_drop(client);
    }
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    rig_join(rig, 1, "writer", FL_MQTT_5, true);
    send_alias(client, longest, 1);
    rig_expect(client, FL_MQTT_DISCONNECT, &packet);
    rig_expect_nothing(&rig->clients[0]);
}

/* Returns the alias; the topic must be there, or not. */
static uint32_t hear_alias(struct rig_client *client, const char *topic)
{
    struct fl_mqtt_packet packet;

    rig_expect(client, FL_MQTT_PUBLISH, &packet);
    assert_slice_equal(packet.as.publish.topic, topic);
    return FL_MQTT_HAS(&packet.properties, topic_alias) ? packet.properties.topic_alias : 0;
}

static void a_client_that_allows_it_is_told_topics_by_alias(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_attach(rig, 0, "reader");
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "reader", false);

    FL_MQTT_SET(&packet.properties, topic_alias_maximum, 2);
    FL_MQTT_SET(&packet.properties, maximum_packet_size, 60);
    rig_send_connect(client, &packet);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    assert_int_equal(packet.properties.topic_alias_maximum, FL_LIMIT_MQTT_ALIASES);
    assert_int_equal(rig_subscribe(client, "#", 1), 1);
    publish_from_hub(rig, "large", "0123456789012345678901234567890123456789012345678", 0);
    assert_int_equal(hear_alias(client, "large"), 0); /* fits without an alias only */
    publish_from_hub(rig, "a", "1", 0);
    publish_from_hub(rig, "b", "1", 1);
    publish_from_hub(rig, "c", "1", 0);
    publish_from_hub(rig, "b", "2", 0);
    publish_from_hub(rig, "a", "2", 0);
    assert_int_equal(hear_alias(client, "a"), 1);
    assert_int_equal(hear_alias(client, "b"), 2);
    assert_int_equal(hear_alias(client, "c"), 0);
    assert_int_equal(hear_alias(client, ""), 2);
    assert_int_equal(hear_alias(client, ""), 1);
    rig_drop(client); /* aliases end with the connection */
    assert_true(rig_join(rig, 0, "reader", FL_MQTT_5, false));
    assert_int_equal(hear_alias(client, "b"), 0);
}

static void a_long_keep_alive_is_shortened_and_told(void **state)
{
    struct rig *rig = *state;

    for (size_t i = 0; i < 3; i++) {
        struct fl_mqtt_packet packet = rig_connect_packet(i ? FL_MQTT_5 : FL_MQTT_3, "", true);
        packet.as.connect.keep_alive_s = i == 1 ? FL_LIMIT_MQTT_KEEP_ALIVE_S : 120;
        rig_send_connect(rig_attach(rig, i, "cam-01"), &packet);
        rig_expect(&rig->clients[i], FL_MQTT_CONNACK, &packet);
        assert_int_equal(FL_MQTT_HAS(&packet.properties, server_keep_alive_s), i == 2);
        if (i == 2)
            assert_int_equal(packet.properties.server_keep_alive_s, FL_LIMIT_MQTT_KEEP_ALIVE_S);
    }
    rig->now += FL_LIMIT_MQTT_KEEP_ALIVE_S * 1500;
    fl_broker_tick(rig->broker, rig->now);
    assert_false(rig->clients[0].closed); /* 3.1.1 cannot be told */
    assert_true(rig->clients[1].closed && rig->clients[2].closed);
    rig->now += 90000;
    fl_broker_tick(rig->broker, rig->now);
    assert_true(rig->clients[0].closed);
}

static void properties_travel_as_they_were_given(void **state)
{
    /* payload format, content type, response topic, correlation data, user properties in order */
    static const char block[] = "\x01\x01\x03\0\4text\x08\0\5reply\x09\0\2\0\xFF"
                                "\x26\0\1b\0\0012\x26\0\1a\0\0011\x26\0\1b\0\0010";
    struct rig *rig = *state;
    struct fl_mqtt_packet packet = rig_publish_packet("p", "x", 0);

    rig_join(rig, 0, "reader", FL_MQTT_5, true);
    rig_join(rig, 1, "writer", FL_MQTT_5, true);
    rig_join(rig, 2, "old", FL_MQTT_3, true);
    assert_int_equal(rig_subscribe(&rig->clients[0], "p", 0), 0);
    assert_int_equal(rig_subscribe(&rig->clients[2], "p", 0), 0);
    packet.properties.raw = fl_slice(block, sizeof block - 1);
    packet.as.publish.retain = true;
    rig_send(&rig->clients[1], &packet);
    for (int i = 0; i < 2; i++) {
        rig_expect(&rig->clients[0], FL_MQTT_PUBLISH, &packet);
        assert_int_equal(packet.properties.raw.size, sizeof block - 1);
        assert_memory_equal(packet.properties.raw.data, block, sizeof block - 1);
        if (i == 0) /* and again as retained */
            assert_int_equal(rig_subscribe(&rig->clients[0], "+", 0), 0);
    }
    rig_expect_publish(&rig->clients[2], "p", "x");
}

static void what_begins_with_a_dollar_is_only_for_who_asks_by_name_and_may(void **state)
{
    struct rig *rig = *state;

    rig_join(rig, 0, "curious", FL_MQTT_5, true);
    assert_int_equal(rig_subscribe(&rig->clients[0], "#", 0), 0);
    assert_int_equal(rig_subscribe(&rig->clients[0], "+/broker/#", 0), 0);
    assert_int_equal(rig_subscribe(&rig->clients[0], "$share/g/#", 0), 0);
    rig->deny = "$SYS";
    assert_int_equal(rig_subscribe(&rig->clients[0], "$SYS/#", 0), 0x87);
    assert_int_equal(rig_subscribe(&rig->clients[0], "$share/g/$SYS/#", 0), 0x87);
    publish_from_hub(rig, "$SYS/broker/uptime", "1", 0);
    rig_expect_nothing(&rig->clients[0]);
    rig->deny = NULL;
    assert_int_equal(rig_subscribe(&rig->clients[0], "$SYS/#", 0), 0);
    publish_from_hub(rig, "$SYS/broker/uptime", "2", 0);
    rig_expect_publish(&rig->clients[0], "$SYS/broker/uptime", "2");
    rig_send_publish(&rig->clients[0], "$SYS/broker/uptime", "mine", 3);
    rig_expect_puback(&rig->clients[0], 3, 0x87); /* it is the server's, whatever the host says */
    rig_expect_nothing(&rig->clients[0]);
}

static void a_connection_that_says_nothing_ends(void **state)
{
    struct rig *rig = *state;

    rig_attach(rig, 0, "cam-01");
    rig_say(&rig->clients[0], fl_slice_str("\x10"));
    rig->now = fl_broker_next_timeout(rig->broker);
    fl_broker_tick(rig->broker, rig->now);
    assert_string_equal(rig->clients[0].why, "no CONNECT in time");
}

static void a_client_that_the_host_does_not_read_is_not_called_silent(void **state)
{
    struct rig *rig = *state;

    rig_join(rig, 0, "cam-01", FL_MQTT_5, true);
    fl_broker_hold(rig->clients[0].conn);
    rig->now += 1000000;
    fl_broker_tick(rig->broker, rig->now);
    assert_false(rig->clients[0].closed);
    (void)rig_say(&rig->clients[0], fl_slice("\xc0\0", 2));
    rig->now += 89999;
    fl_broker_tick(rig->broker, rig->now);
    assert_false(rig->clients[0].closed);
    rig->now += 100000;
    fl_broker_tick(rig->broker, rig->now);
    assert_true(rig->clients[0].closed);
}

static void one_device_cannot_have_all_sessions(void **state)
{
    struct rig *rig = *state;
    struct fl_mqtt_packet packet;
    struct fl_broker_conn *conn = NULL;
    char id[32];

    for (int i = 0; i < FL_LIMIT_MQTT_DEVICE_SESSIONS + 3; i++) {
        (void)snprintf(id, sizeof id, "id-%d", i);
        packet = rig_connect_packet(FL_MQTT_5, id, false);
        rig_send_connect(rig_attach(rig, 0, "cam-01"), &packet);
        assert_true(rig->clients[0].connected);
        rig_drop(&rig->clients[0]);
    }
    assert_int_equal(counts_of(rig).sessions, FL_LIMIT_MQTT_DEVICE_SESSIONS);
    for (size_t i = 0; i < FL_LIMIT_MQTT_DEVICE_SESSIONS; i++)
        rig_attach(rig, i, "cam-01");
    assert_int_equal(
        fl_broker_attach(rig->broker, fl_slice_str("cam-01"), rig, rig->now, &conn, NULL),
        FL_ELIMIT);
    rig_join(rig, FL_LIMIT_MQTT_DEVICE_SESSIONS, "cam-02", FL_MQTT_5, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CLAIM(a_persistent_session_gets_what_it_missed_in_order),
        CLAIM(the_window_of_the_client_is_respected),
        CLAIM(more_small_messages_than_large_are_sent_ahead),
        CLAIM(a_queue_is_bounded_and_qos_0_goes_first),
        CLAIM(what_a_client_cannot_take_is_not_sent_to_it),
        CLAIM(a_session_ends_when_its_time_is_over),
        CLAIM(a_will_is_said_only_when_the_device_could_not),
        CLAIM(a_delayed_will_waits_for_the_device_to_return),
        CLAIM(a_will_that_may_not_be_said_is_refused_at_once),
        CLAIM(a_will_has_the_qos_it_was_given),
        CLAIM(a_retained_message_meets_later_subscribers),
        CLAIM(messages_expire_where_they_wait),
        CLAIM(one_device_cannot_fill_the_retained_store),
        CLAIM(overlapping_subscriptions_give_one_copy_with_all_identifiers),
        CLAIM(subscriptions_are_bounded_and_can_be_taken_back),
        CLAIM(enhanced_authentication_is_refused),
        CLAIM(a_client_may_name_topics_by_alias),
        CLAIM(a_client_that_allows_it_is_told_topics_by_alias),
        CLAIM(a_long_keep_alive_is_shortened_and_told),
        CLAIM(properties_travel_as_they_were_given),
        CLAIM(what_begins_with_a_dollar_is_only_for_who_asks_by_name_and_may),
        CLAIM(a_connection_that_says_nothing_ends),
        CLAIM(a_client_that_the_host_does_not_read_is_not_called_silent),
        CLAIM(one_device_cannot_have_all_sessions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
