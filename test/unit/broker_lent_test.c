/* SPDX-License-Identifier: Apache-2.0
 * What a share gave to a member whose session ends with its connection is not lost with the
 * process, as long as another member's session lasts. */
#include "test/unit/broker_log_rig.h"

enum { WRITER, WORKER, PASSER };

static bool join(struct log_rig *lr, size_t index, const char *identity, bool clean,
                 uint16_t receive_maximum)
{
    struct rig_client *client = rig_attach(&lr->rig, index, identity);
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, identity, clean);

    if (receive_maximum)
        FL_MQTT_SET(&packet.properties, receive_maximum, receive_maximum);
    rig_send_connect(client, &packet);
    log_rig_commit(lr);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    return packet.as.connack.session_present;
}

static void subscribe(struct log_rig *lr, size_t index)
{
    const struct fl_mqtt_filter one = {.filter = fl_slice_str("$share/g/a"), .qos = 2};

    rig_send_subscribe(&lr->rig.clients[index], &one, 0);
    log_rig_commit(lr);
    assert_int_equal(rig_expect_suback(&lr->rig.clients[index]), 2);
}

/* One with a session that lasts was here; one that passes by is, and takes its turns. */
static void start(struct log_rig *lr, bool lasting, uint16_t receive_maximum)
{
    log_rig_init(lr);
    if (lasting) {
        (void)join(lr, WORKER, "worker", false, 0);
        subscribe(lr, WORKER);
        rig_drop(&lr->rig.clients[WORKER]);
    }
    (void)join(lr, PASSER, "passer", true, receive_maximum);
    subscribe(lr, PASSER);
    (void)join(lr, WRITER, "writer", true, 0);
    log_rig_commit(lr);
}

static void publish(struct log_rig *lr, const char *payload, uint8_t qos, uint16_t packet_id)
{
    struct fl_mqtt_packet packet = rig_publish_packet("a", payload, packet_id);

    packet.as.publish.qos = qos;
    rig_send(&lr->rig.clients[WRITER], &packet);
    log_rig_commit(lr);
}

/* The one whose session lasted comes and gets that, or nothing when it is NULL. */
static void worker_gets(struct log_rig *lr, const char *payload)
{
    assert_true(join(lr, WORKER, "worker", false, 0));
    log_rig_commit(lr);
    if (payload)
        (void)rig_expect_publish(&lr->rig.clients[WORKER], "a", payload);
    rig_expect_nothing(&lr->rig.clients[WORKER]);
}

static void what_a_passer_by_had_goes_to_who_stays(void **state)
{
    struct log_rig lr;

    (void)state;
    for (int with_checkpoint = 0; with_checkpoint < 2; with_checkpoint++)
        for (int crashes = 1; crashes < 3; crashes++) {
            start(&lr, true, 0);
            rig_send_publish(&lr.rig.clients[WRITER], "a", "one", 1);
            log_rig_write(&lr);
            rig_expect_nothing(&lr.rig.clients[WRITER]); /* it is a promise */
            log_rig_commit(&lr);
            rig_expect_puback(&lr.rig.clients[WRITER], 1, 0);
            (void)rig_expect_publish(&lr.rig.clients[PASSER], "a", "one");
            for (int i = 0; i < crashes; i++)
                log_rig_restart(&lr, with_checkpoint);
            worker_gets(&lr, "one");
            log_rig_free(&lr);
        }
}

static void what_it_acknowledged_goes_to_nobody(void **state)
{
    struct log_rig lr;
    uint16_t id = 0;

    (void)state;
    for (int with_checkpoint = 0; with_checkpoint < 2; with_checkpoint++) {
        start(&lr, true, 0);
        publish(&lr, "one", 1, 1);
        id = rig_expect_publish(&lr.rig.clients[PASSER], "a", "one");
        rig_ack(&lr.rig.clients[PASSER], id);
        log_rig_commit(&lr);
        log_rig_restart(&lr, with_checkpoint);
        worker_gets(&lr, NULL);
        log_rig_free(&lr);
    }
}

/* MQTT 5.0 section 4.8.2: what QoS 2 has begun with one is never another's. */
static void qos_2_that_was_sent_is_gone_and_what_waited_is_not(void **state)
{
    struct log_rig lr;
    struct fl_mqtt_packet packet;

    (void)state;
    for (int with_checkpoint = 0; with_checkpoint < 2; with_checkpoint++) {
        start(&lr, true, 1);
        publish(&lr, "one", 2, 1);
        publish(&lr, "two", 2, 2);
        (void)rig_expect_publish(&lr.rig.clients[PASSER], "a", "one");
        rig_expect_nothing(&lr.rig.clients[PASSER]);
        log_rig_restart(&lr, with_checkpoint);
        worker_gets(&lr, "two");
        log_rig_free(&lr);
    }
    /* What waited is sent only when it is written that it is nobody else's. */
    start(&lr, true, 1);
    publish(&lr, "one", 2, 1);
    publish(&lr, "two", 2, 2);
    rig_expect(&lr.rig.clients[PASSER], FL_MQTT_PUBLISH, &packet);
    rig_say_ack(&lr.rig.clients[PASSER], FL_MQTT_PUBREC, packet.as.publish.packet_id, 0);
    rig_expect_ack(&lr.rig.clients[PASSER], FL_MQTT_PUBREL, packet.as.publish.packet_id, 0);
    rig_say_ack(&lr.rig.clients[PASSER], FL_MQTT_PUBCOMP, packet.as.publish.packet_id, 0);
    rig_expect_nothing(&lr.rig.clients[PASSER]);
    log_rig_commit(&lr);
    (void)rig_expect_publish(&lr.rig.clients[PASSER], "a", "two");
    log_rig_restart(&lr, false);
    worker_gets(&lr, NULL);
    log_rig_free(&lr);
}

static void who_leaves_in_order_gives_back_what_it_had(void **state)
{
    struct log_rig lr;

    (void)state;
    start(&lr, true, 0);
    publish(&lr, "one", 1, 1);
    rig_drop(&lr.rig.clients[PASSER]);
    log_rig_commit(&lr);
    log_rig_restart(&lr, true);
    worker_gets(&lr, "one");
    log_rig_free(&lr);
}

static void among_passers_by_nothing_is_written(void **state)
{
    struct log_rig lr;

    (void)state;
    start(&lr, false, 0);
    rig_send_publish(&lr.rig.clients[WRITER], "a", "one", 1);
    log_rig_write(&lr);
    assert_int_equal(lr.pending.size, 0);
    rig_expect_puback(&lr.rig.clients[WRITER], 1, 0);
    log_rig_free(&lr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_passer_by_had_goes_to_who_stays),
        cmocka_unit_test(what_it_acknowledged_goes_to_nobody),
        cmocka_unit_test(qos_2_that_was_sent_is_gone_and_what_waited_is_not),
        cmocka_unit_test(who_leaves_in_order_gives_back_what_it_had),
        cmocka_unit_test(among_passers_by_nothing_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
