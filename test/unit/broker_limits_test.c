/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounds of a whole broker, reached: beyond them it refuses and goes on.
 */
#include <stdio.h>
#include <stdlib.h>

#include "test/twin/quiet_host.h"
#include "test/unit/broker_rig.h"

static struct fl_broker *quiet_broker(void)
{
    struct fl_broker_host host = fl_quiet_host();
    struct fl_broker *broker = NULL;

    host.publish = rig_publish;
    host.will = rig_will;
    assert_ok(fl_broker_create(&host, &broker, NULL));
    return broker;
}

static struct fl_broker_counts counts_of(const struct fl_broker *broker)
{
    struct fl_broker_counts counts;

    fl_broker_count(broker, &counts);
    return counts;
}

static void connections_are_bounded(void **state)
{
    struct fl_broker *broker = quiet_broker();
    struct fl_broker_conn *conn = NULL;
    char name[32];
    (void)state;

    for (int i = 0; i < FL_LIMIT_CONNECTIONS; i++) {
        (void)snprintf(name, sizeof name, "d%d", i / FL_LIMIT_MQTT_DEVICE_SESSIONS);
        assert_ok(fl_broker_attach(broker, fl_slice_str(name), name, 0, &conn, NULL));
    }
    assert_int_equal(fl_broker_attach(broker, fl_slice_str("one-more"), name, 0, &conn, NULL),
                     FL_ELIMIT);
    fl_broker_free(broker);
}

static void sessions_are_bounded(void **state)
{
    struct fl_broker *broker = quiet_broker();
    struct fl_broker_conn *conn = NULL;
    char name[32];
    char hello[64];
    size_t taken = 0;
    (void)state;

    for (int i = 0; i <= FL_LIMIT_MQTT_SESSIONS; i++) {
        int size = 0;
        (void)snprintf(name, sizeof name, "d%d", i / FL_LIMIT_MQTT_DEVICE_SESSIONS);
        assert_ok(fl_broker_attach(broker, fl_slice_str(name), name, 0, &conn, NULL));
        (void)memcpy(hello, "\x10\x14\0\4MQTT\4\0\0\x3c\0\x08", 14); /* a session that stays */
        size = snprintf(hello + 14, sizeof hello - 14, "%08d", i);
        fl_broker_receive(conn, fl_slice(hello, 14 + (size_t)size), 0, &taken);
        if (i == FL_LIMIT_MQTT_SESSIONS) {
            assert_memory_equal(fl_buffer_slice(fl_broker_output(conn)).data, "\x20\2\0\3", 4);
        }
        fl_broker_detach(conn, 0);
    }
    assert_int_equal(counts_of(broker).sessions, FL_LIMIT_MQTT_SESSIONS);
    fl_broker_free(broker);
}

static void retained_messages_are_bounded(void **state)
{
    struct fl_broker *broker = quiet_broker();
    char topic[32];
    struct fl_broker_publish publish = {.payload = fl_slice_str("x"), .retain = true};
    (void)state;

    for (int i = 0; i < FL_LIMIT_MQTT_RETAINED + 2; i++) {
        (void)snprintf(topic, sizeof topic, "r/%d", i);
        publish.topic = fl_slice_str(topic);
        fl_broker_publish(broker, &publish, 0);
    }
    assert_int_equal(counts_of(broker).retained, FL_LIMIT_MQTT_RETAINED);
    assert_int_equal(counts_of(broker).dropped, 2);
    fl_broker_free(broker);
}

static void the_bytes_of_retained_messages_are_bounded(void **state)
{
    struct fl_broker *broker = quiet_broker();
    char topic[32];
    uint8_t *large = calloc(1, FL_LIMIT_MQTT_PACKET);
    struct fl_broker_publish publish = {.payload = fl_slice(large, FL_LIMIT_MQTT_PACKET),
                                        .retain = true};
    (void)state;

    assert_non_null(large);
    for (int i = 0; i < FL_LIMIT_MQTT_RETAINED_BYTES / FL_LIMIT_MQTT_PACKET + 1; i++) {
        (void)snprintf(topic, sizeof topic, "r/%d", i);
        publish.topic = fl_slice_str(topic);
        fl_broker_publish(broker, &publish, 0);
    }
    assert_true(counts_of(broker).dropped > 0);
    assert_true(counts_of(broker).retained * FL_LIMIT_MQTT_PACKET <= FL_LIMIT_MQTT_RETAINED_BYTES);
    fl_broker_free(broker);
    free(large);
}

/* Its pings are answered, and yet it sends no faster: QoS 0 is dropped, and what is acknowledged
 * later comes later. */
static void who_is_over_its_rate_is_heard(void **state)
{
    static const uint8_t ping[] = {0xc0, 0};
    struct fl_mqtt_packet packet;
    struct rig *rig = calloc(1, sizeof *rig);
    struct rig_client *writer = NULL;
    struct rig_client *reader = NULL;
    (void)state;

    assert_non_null(rig);
    rig_init(rig);
    writer = &rig->clients[0];
    reader = &rig->clients[1];
    assert_false(rig_join(rig, 0, "writer", FL_MQTT_5, true));
    assert_false(rig_join(rig, 1, "reader", FL_MQTT_5, true));
    assert_int_equal(rig_subscribe(reader, "t", 1), 1);
    fl_broker_over_rate(writer->conn, true);
    rig_send_publish(writer, "t", "dropped", 0);
    rig_send_publish(writer, "t", "one", 1);
    rig_send_publish(writer, "t", "two", 2);
    rig_say(writer, fl_slice(ping, sizeof ping));
    rig_expect(writer, FL_MQTT_PINGRESP, &packet);
    rig_expect_nothing(writer);
    (void)rig_expect_publish(reader, "t", "one");
    (void)rig_expect_publish(reader, "t", "two");
    assert_int_equal(counts_of(rig->broker).over_rate, 1);
    assert_int_equal(fl_broker_received(rig->broker), 2);
    fl_broker_over_rate(writer->conn, false);
    rig_expect_nothing(writer);
    assert_true(fl_broker_let_go(writer->conn, rig->now));
    rig_flush(rig);
    rig_expect_puback(writer, 1, 0);
    rig_expect_nothing(writer);
    /* What comes now stands behind it. */
    rig_send_publish(writer, "t", "three", 3);
    rig_expect_nothing(writer);
    assert_true(fl_broker_let_go(writer->conn, rig->now));
    rig_flush(rig);
    assert_true(fl_broker_let_go(writer->conn, rig->now));
    rig_flush(rig);
    rig_expect_puback(writer, 2, 0);
    rig_expect_puback(writer, 3, 0);
    assert_false(fl_broker_let_go(writer->conn, rig->now));
    rig_send_publish(writer, "t", "four", 4);
    rig_expect_puback(writer, 4, 0);
    rig_free(rig);
    free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_bounded),
        cmocka_unit_test(sessions_are_bounded),
        cmocka_unit_test(retained_messages_are_bounded),
        cmocka_unit_test(the_bytes_of_retained_messages_are_bounded),
        cmocka_unit_test(who_is_over_its_rate_is_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
