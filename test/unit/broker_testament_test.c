/* SPDX-License-Identifier: Apache-2.0
 * The will of a client that was there when the process ended is said, unless the client comes back.
 */
#include "test/unit/broker_log_rig.h"

enum { READER, LEAVER };

static bool join(struct log_rig *lr, size_t index, const char *identity, uint32_t expiry_s,
                 bool clean, const char *will, uint32_t delay_s)
{
    struct rig_client *client = rig_attach(&lr->rig, index, identity);
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, identity, clean);
    uint8_t delay[5] = {0x18, (uint8_t)(delay_s >> 24), (uint8_t)(delay_s >> 16),
                        (uint8_t)(delay_s >> 8), (uint8_t)delay_s};

    FL_MQTT_SET(&packet.properties, session_expiry_s, expiry_s);
    packet.as.connect.keep_alive_s = 0;
    if (will) {
        packet.as.connect.will.present = true;
        packet.as.connect.will.topic = fl_slice_str("w");
        packet.as.connect.will.payload = fl_slice_str(will);
        packet.as.connect.will.qos = 1;
    }
    if (will && delay_s)
        packet.as.connect.will.properties = fl_slice(delay, sizeof delay);
    rig_send_connect(client, &packet);
    log_rig_commit(lr);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    assert_int_equal(packet.as.connack.reason, 0);
    return packet.as.connack.session_present;
}

static void start(struct log_rig *lr)
{
    const struct fl_mqtt_filter one = {.filter = fl_slice_str("w"), .qos = 1};

    log_rig_init(lr);
    (void)join(lr, READER, "reader", 7200, false, NULL, 0);
    rig_send_subscribe(&lr->rig.clients[READER], &one, 0);
    log_rig_commit(lr);
    assert_int_equal(rig_expect_suback(&lr->rig.clients[READER]), 1);
}

static void pass(struct log_rig *lr, fl_time_t ms)
{
    lr->rig.now += ms;
    fl_broker_tick(lr->rig.broker, lr->rig.now);
    rig_flush(&lr->rig);
    log_rig_commit(lr);
}

/* The reader comes and has heard `wanted`, or nothing when that is NULL. */
static void hears(struct log_rig *lr, const char *wanted)
{
    uint16_t id = 0;

    assert_true(join(lr, READER, "reader", 7200, false, NULL, 0));
    if (wanted) {
        id = rig_expect_publish(&lr->rig.clients[READER], "w", wanted);
        rig_ack(&lr->rig.clients[READER], id);
    }
    rig_expect_nothing(&lr->rig.clients[READER]);
    log_rig_commit(lr);
    rig_drop(&lr->rig.clients[READER]);
    log_rig_commit(lr);
}

static void said_once_after_the_grace(uint32_t expiry_s, bool with_checkpoint)
{
    struct log_rig lr;

    start(&lr);
    (void)join(&lr, LEAVER, "leaver", expiry_s, true, "gone", 0);
    log_rig_restart(&lr, with_checkpoint);
    pass(&lr, FL_LIMIT_MQTT_WILL_GRACE_MS - 1);
    assert_int_equal(lr.rig.wills, 0);
    pass(&lr, 1);
    assert_int_equal(lr.rig.wills, 1);
    hears(&lr, "gone");
    log_rig_restart(&lr, with_checkpoint);
    pass(&lr, 10 * FL_LIMIT_MQTT_WILL_GRACE_MS);
    assert_int_equal(lr.rig.wills, 1);
    hears(&lr, NULL);
    log_rig_free(&lr);
}

static void who_does_not_come_back_has_its_will_said_once(void **state)
{
    (void)state;
    said_once_after_the_grace(0, false);
    said_once_after_the_grace(0, true);
    said_once_after_the_grace(3600, false);
    said_once_after_the_grace(3600, true);
    said_once_after_the_grace(5, false); /* its session waits as long as its will */
}

static void who_comes_back_has_not_died(uint32_t expiry_s, bool clean)
{
    struct log_rig lr;

    start(&lr);
    (void)join(&lr, LEAVER, "leaver", expiry_s, true, "gone", 0);
    log_rig_restart(&lr, false);
    pass(&lr, FL_LIMIT_MQTT_WILL_GRACE_MS / 2);
    assert_int_equal(join(&lr, LEAVER, "leaver", expiry_s, clean, "new", 0), !clean && expiry_s);
    pass(&lr, 10 * FL_LIMIT_MQTT_WILL_GRACE_MS);
    assert_int_equal(lr.rig.wills, 0);
    /* Also when it all happens again; then the new one counts. */
    log_rig_restart(&lr, false);
    pass(&lr, FL_LIMIT_MQTT_WILL_GRACE_MS);
    assert_int_equal(lr.rig.wills, 1);
    hears(&lr, "new");
    log_rig_free(&lr);
}

static void who_comes_back_takes_its_will_back(void **state)
{
    (void)state;
    who_comes_back_has_not_died(0, true);
    who_comes_back_has_not_died(0, false);
    who_comes_back_has_not_died(3600, true);
    who_comes_back_has_not_died(3600, false);
}

static void another_crash_in_between_loses_nothing(void **state)
{
    struct log_rig lr;

    (void)state;
    for (int with_checkpoint = 0; with_checkpoint < 2; with_checkpoint++) {
        start(&lr);
        (void)join(&lr, LEAVER, "leaver", 0, true, "gone", 0);
        log_rig_restart(&lr, with_checkpoint);
        pass(&lr, FL_LIMIT_MQTT_WILL_GRACE_MS / 2);
        log_rig_restart(&lr, with_checkpoint);
        pass(&lr, FL_LIMIT_MQTT_WILL_GRACE_MS - 1);
        assert_int_equal(lr.rig.wills, 0);
        pass(&lr, 1);
        hears(&lr, "gone");
        log_rig_free(&lr);
    }
}

static void a_longer_delay_counts(void **state)
{
    struct log_rig lr;

    (void)state;
    start(&lr);
    (void)join(&lr, LEAVER, "leaver", 3600, true, "gone", 300);
    log_rig_restart(&lr, true);
    log_rig_restart(&lr, true);
    pass(&lr, 299999);
    assert_int_equal(lr.rig.wills, 0);
    pass(&lr, 1);
    hears(&lr, "gone");
    log_rig_free(&lr);
}

static void who_said_goodbye_or_was_cut_has_no_will(void **state)
{
    static const uint8_t goodbye[] = {0xe0, 0};
    struct log_rig lr;

    (void)state;
    start(&lr);
    (void)join(&lr, LEAVER, "leaver", 0, true, "gone", 0);
    rig_say(&lr.rig.clients[LEAVER], fl_slice(goodbye, sizeof goodbye));
    rig_drop(&lr.rig.clients[LEAVER]);
    log_rig_commit(&lr);
    (void)join(&lr, LEAVER, "leaver", 3600, true, "cut", 0);
    assert_int_equal(fl_broker_cut(lr.rig.broker, fl_slice_str("leaver"), FL_MQTT_NOT_AUTHORIZED,
                                   "revoked", true, lr.rig.now),
                     1);
    rig_drop(&lr.rig.clients[LEAVER]);
    log_rig_commit(&lr);
    (void)join(&lr, LEAVER, "stranger", 0, true, "unknown", 0);
    log_rig_restart(&lr, false);
    pass(&lr, 10 * FL_LIMIT_MQTT_WILL_GRACE_MS);
    assert_int_equal(lr.rig.wills, 0);
    hears(&lr, NULL);
    log_rig_free(&lr);
}

static void a_broken_connection_has_its_will_said_at_once_and_not_again(void **state)
{
    struct log_rig lr;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        start(&lr);
        (void)join(&lr, LEAVER, "leaver", i ? 3600 : 0, true, "gone", i == 2 ? 10 : 0);
        rig_drop(&lr.rig.clients[LEAVER]);
        log_rig_commit(&lr);
        pass(&lr, i == 2 ? 10000 : 0);
        assert_int_equal(lr.rig.wills, 1);
        log_rig_restart(&lr, false);
        pass(&lr, 10 * FL_LIMIT_MQTT_WILL_GRACE_MS);
        assert_int_equal(lr.rig.wills, 1);
        hears(&lr, "gone");
        log_rig_free(&lr);
    }
}

static void what_it_may_not_say_any_more_is_not_said(void **state)
{
    struct log_rig lr;

    (void)state;
    start(&lr);
    (void)join(&lr, LEAVER, "leaver", 0, true, "gone", 0);
    log_rig_restart(&lr, false);
    lr.rig.deny = "w";
    pass(&lr, FL_LIMIT_MQTT_WILL_GRACE_MS);
    assert_int_equal(lr.rig.wills, 1); /* it was asked */
    lr.rig.deny = NULL;
    hears(&lr, NULL);
    log_rig_free(&lr);
}

static void a_client_without_a_will_costs_nothing(void **state)
{
    struct log_rig lr;

    (void)state;
    log_rig_init(&lr);
    assert_false(rig_join(&lr.rig, LEAVER, "leaver", FL_MQTT_5, true));
    rig_drop(&lr.rig.clients[LEAVER]);
    log_rig_write(&lr);
    assert_int_equal(lr.pending.size, 0);
    log_rig_free(&lr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_come_back_has_its_will_said_once),
        cmocka_unit_test(who_comes_back_takes_its_will_back),
        cmocka_unit_test(another_crash_in_between_loses_nothing),
        cmocka_unit_test(a_longer_delay_counts),
        cmocka_unit_test(who_said_goodbye_or_was_cut_has_no_will),
        cmocka_unit_test(a_broken_connection_has_its_will_said_at_once_and_not_again),
        cmocka_unit_test(what_it_may_not_say_any_more_is_not_said),
        cmocka_unit_test(a_client_without_a_will_costs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
