/* SPDX-License-Identifier: Apache-2.0
 * What the broker promised survives its process, and nothing is promised before it does. */
#include "test/unit/broker_log_rig.h"

/* Connects with a session that is kept and takes the CONNACK once it is committed. */
static bool join(struct log_rig *lr, size_t index, const char *identity)
{
    struct rig_client *client = rig_attach(&lr->rig, index, identity);
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, identity, false);

    rig_send_connect(client, &packet);
    log_rig_commit(lr);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    assert_int_equal(packet.as.connack.reason, 0);
    return packet.as.connack.session_present;
}

static void subscribe(struct log_rig *lr, size_t index, const char *filter, uint8_t qos)
{
    const struct fl_mqtt_filter one = {.filter = fl_slice_str(filter), .qos = qos};

    rig_send_subscribe(&lr->rig.clients[index], &one, 0);
    log_rig_commit(lr);
    assert_int_equal(rig_expect_suback(&lr->rig.clients[index]), qos);
}

/* Client 0 has been there, with a session that is kept, and went away. */
static void was_here(struct log_rig *lr, const char *identity, const char *filter, uint8_t qos)
{
    (void)join(lr, 0, identity);
    subscribe(lr, 0, filter, qos);
    rig_drop(&lr->rig.clients[0]);
}

static void publish(struct log_rig *lr, size_t index, const char *topic, const char *payload,
                    uint16_t packet_id)
{
    rig_send_publish(&lr->rig.clients[index], topic, payload, packet_id);
    log_rig_commit(lr);
    if (packet_id)
        rig_expect_puback(&lr->rig.clients[index], packet_id, 0);
}

static void nothing_is_acknowledged_before_it_is_on_stable_storage(void **state)
{
    struct log_rig lr;
    struct rig_client *writer = NULL;
    const struct fl_mqtt_filter filter = {.filter = fl_slice_str("a/#"), .qos = 1};

    (void)state;
    log_rig_init(&lr);
    (void)join(&lr, 0, "reader");
    rig_send_subscribe(&lr.rig.clients[0], &filter, 0);
    log_rig_write(&lr);
    rig_expect_nothing(&lr.rig.clients[0]);
    log_rig_commit(&lr);
    assert_int_equal(rig_expect_suback(&lr.rig.clients[0]), 1);

    (void)join(&lr, 1, "writer");
    writer = &lr.rig.clients[1];
    rig_send_publish(writer, "a/b", "one", 1);
    log_rig_write(&lr);
    rig_expect_nothing(writer);
    /* The subscriber need not wait: at worst it gets it again. */
    assert_int_equal(rig_expect_publish(&lr.rig.clients[0], "a/b", "one"), 1);
    log_rig_commit(&lr);
    rig_expect_puback(writer, 1, 0);
    log_rig_free(&lr);
}

static void a_writer_that_goes_on_is_answered_batch_by_batch(void **state)
{
    struct log_rig lr;
    struct rig_client *writer = NULL;
    uint64_t first = 0;

    (void)state;
    log_rig_init(&lr);
    (void)join(&lr, 0, "reader");
    subscribe(&lr, 0, "a", 1);
    (void)join(&lr, 1, "writer");
    writer = &lr.rig.clients[1];
    rig_send_publish(writer, "a", "one", 1);
    log_rig_write(&lr);
    first = lr.batch;
    rig_send_publish(writer, "a", "two", 2);
    log_rig_write(&lr);
    rig_send_publish(writer, "a", "three", 3);
    log_rig_write(&lr);
    rig_expect_nothing(writer);
    /* Only the first has come through: what came after it must not be said yet. */
    fl_broker_committed(lr.rig.broker, first, lr.rig.now);
    rig_flush(&lr.rig);
    rig_expect_puback(writer, 1, 0);
    rig_expect_nothing(writer);
    log_rig_commit(&lr);
    rig_expect_puback(writer, 2, 0);
    rig_expect_puback(writer, 3, 0);
    log_rig_free(&lr);
}

static void what_needs_no_log_is_answered_at_once(void **state)
{
    struct log_rig lr;

    (void)state;
    log_rig_init(&lr);
    assert_false(rig_join(&lr.rig, 0, "passer-by", FL_MQTT_5, true));
    assert_int_equal(rig_subscribe(&lr.rig.clients[0], "a", 1), 1);
    rig_send_publish(&lr.rig.clients[0], "a", "x", 9);
    (void)rig_expect_publish(&lr.rig.clients[0], "a", "x");
    rig_expect_puback(&lr.rig.clients[0], 9, 0);
    log_rig_write(&lr);
    assert_int_equal(lr.pending.size, 0);
    log_rig_free(&lr);
}

static void a_queue_survives_the_process(void **state)
{
    struct log_rig lr;

    (void)state;
    log_rig_init(&lr);
    was_here(&lr, "reader", "a/#", 2);
    (void)join(&lr, 1, "writer");
    publish(&lr, 1, "a/1", "one", 1);
    publish(&lr, 1, "a/2", "two", 2);
    publish(&lr, 1, "a/3", "not kept: QoS 0", 0);
    log_rig_crash(&lr);
    assert_true(join(&lr, 0, "reader"));
    assert_int_equal(rig_expect_publish(&lr.rig.clients[0], "a/1", "one"), 1);
    assert_int_equal(rig_expect_publish(&lr.rig.clients[0], "a/2", "two"), 2);
    rig_expect_nothing(&lr.rig.clients[0]);
    rig_ack(&lr.rig.clients[0], 1);
    log_rig_commit(&lr);
    log_rig_crash(&lr);
    /* What was acknowledged does not come again; the other one does, under the number it had. */
    assert_true(join(&lr, 0, "reader"));
    assert_int_equal(rig_expect_publish(&lr.rig.clients[0], "a/2", "two"), 2);
    rig_expect_nothing(&lr.rig.clients[0]);
    /* The subscription is there, and numbers go on. */
    (void)join(&lr, 1, "writer");
    publish(&lr, 1, "a/4", "four", 4);
    assert_int_equal(rig_expect_publish(&lr.rig.clients[0], "a/4", "four"), 3);
    log_rig_free(&lr);
}

static void what_was_not_committed_was_not_promised(void **state)
{
    struct log_rig lr;

    (void)state;
    log_rig_init(&lr);
    was_here(&lr, "reader", "a", 1);
    log_rig_commit(&lr);
    (void)join(&lr, 1, "writer");
    rig_send_publish(&lr.rig.clients[1], "a", "lost", 1);
    log_rig_write(&lr);
    rig_expect_nothing(&lr.rig.clients[1]);
    log_rig_crash(&lr);
    assert_true(join(&lr, 0, "reader"));
    rig_expect_nothing(&lr.rig.clients[0]);
    log_rig_free(&lr);
}

static void retained_messages_survive_and_expire(void **state)
{
    struct log_rig lr;
    struct fl_mqtt_packet packet = rig_publish_packet("r/short", "goes", 5);

    (void)state;
    log_rig_init(&lr);
    (void)join(&lr, 0, "writer");
    packet.as.publish.retain = true;
    FL_MQTT_SET(&packet.properties, message_expiry_s, 10);
    rig_send(&lr.rig.clients[0], &packet);
    packet = rig_publish_packet("r/long", "stays", 6);
    packet.as.publish.retain = true;
    rig_send(&lr.rig.clients[0], &packet);
    packet = rig_publish_packet("r/gone", "replaced", 7);
    packet.as.publish.retain = true;
    rig_send(&lr.rig.clients[0], &packet);
    packet = rig_publish_packet("r/gone", "", 8);
    packet.as.publish.retain = true;
    rig_send(&lr.rig.clients[0], &packet);
    log_rig_commit(&lr);
    log_rig_crash(&lr);
    lr.rig.now += 11000;
    log_rig_crash(&lr);
    (void)join(&lr, 0, "reader");
    subscribe(&lr, 0, "r/#", 1);
    (void)rig_expect_publish(&lr.rig.clients[0], "r/long", "stays");
    rig_expect_nothing(&lr.rig.clients[0]);
    log_rig_free(&lr);
}

static void exactly_once_holds_over_a_crash(void **state)
{
    struct log_rig lr;
    struct rig_client *reader = NULL;
    uint16_t id = 0;

    (void)state;
    log_rig_init(&lr);
    (void)join(&lr, 0, "reader");
    subscribe(&lr, 0, "a", 2);
    (void)join(&lr, 1, "writer");
    rig_send_exactly_once(&lr.rig.clients[1], "a", "one", 7, false);
    log_rig_commit(&lr);
    rig_expect_ack(&lr.rig.clients[1], FL_MQTT_PUBREC, 7, 0);
    id = rig_expect_publish(&lr.rig.clients[0], "a", "one");
    rig_say_ack(&lr.rig.clients[0], FL_MQTT_PUBREC, id, 0);
    log_rig_write(&lr);
    rig_expect_nothing(&lr.rig.clients[0]); /* PUBREL waits for the log as well */
    log_rig_commit(&lr);
    rig_expect_ack(&lr.rig.clients[0], FL_MQTT_PUBREL, id, 0);
    log_rig_crash(&lr);
    /* The writer did not hear PUBREC and says it again: nobody gets it twice. */
    (void)join(&lr, 1, "writer");
    rig_send_exactly_once(&lr.rig.clients[1], "a", "one", 7, true);
    log_rig_commit(&lr);
    rig_expect_ack(&lr.rig.clients[1], FL_MQTT_PUBREC, 7, 0);
    rig_say_ack(&lr.rig.clients[1], FL_MQTT_PUBREL, 7, 0);
    log_rig_commit(&lr);
    rig_expect_ack(&lr.rig.clients[1], FL_MQTT_PUBCOMP, 7, 0);
    /* The reader had said PUBREC: it hears PUBREL again and not the message. */
    assert_true(join(&lr, 0, "reader"));
    reader = &lr.rig.clients[0];
    rig_expect_ack(reader, FL_MQTT_PUBREL, id, 0);
    rig_expect_nothing(reader);
    rig_say_ack(reader, FL_MQTT_PUBCOMP, id, 0);
    log_rig_commit(&lr);
    log_rig_crash(&lr);
    assert_true(join(&lr, 0, "reader"));
    rig_expect_nothing(&lr.rig.clients[0]);
    /* The identifier 7 is free: the next one with it is a new one. */
    (void)join(&lr, 1, "writer");
    rig_send_exactly_once(&lr.rig.clients[1], "a", "two", 7, false);
    log_rig_commit(&lr);
    rig_expect_ack(&lr.rig.clients[1], FL_MQTT_PUBREC, 7, 0);
    assert_int_equal(rig_expect_publish(&lr.rig.clients[0], "a", "two"), id + 1);
    log_rig_free(&lr);
}

static void a_share_keeps_what_waits_for_its_members(void **state)
{
    struct log_rig lr;

    (void)state;
    log_rig_init(&lr);
    was_here(&lr, "worker", "$share/g/a", 1);
    (void)join(&lr, 1, "writer");
    publish(&lr, 1, "a", "one", 1);
    publish(&lr, 1, "a", "two", 2);
    log_rig_checkpoint(&lr, 1);
    log_rig_crash(&lr);
    assert_true(join(&lr, 0, "worker"));
    (void)rig_expect_publish(&lr.rig.clients[0], "a", "one");
    (void)rig_expect_publish(&lr.rig.clients[0], "a", "two");
    rig_ack(&lr.rig.clients[0], 1);
    log_rig_commit(&lr);
    log_rig_crash(&lr);
    assert_true(join(&lr, 0, "worker"));
    (void)rig_expect_publish(&lr.rig.clients[0], "a", "two");
    rig_expect_nothing(&lr.rig.clients[0]);
    log_rig_free(&lr);
}

static void sessions_end_when_their_time_is_over(void **state)
{
    struct log_rig lr;

    (void)state;
    log_rig_init(&lr);
    was_here(&lr, "reader", "a", 1);
    log_rig_commit(&lr);
    log_rig_crash(&lr);
    lr.rig.now += 3599 * 1000;
    log_rig_crash(&lr);
    assert_true(join(&lr, 0, "reader"));
    rig_drop(&lr.rig.clients[0]);
    log_rig_commit(&lr);
    lr.rig.now += 3601 * 1000; /* the process was away for that long */
    log_rig_crash(&lr);
    fl_broker_tick(lr.rig.broker, lr.rig.now);
    log_rig_commit(&lr);
    assert_false(join(&lr, 0, "reader"));
    log_rig_free(&lr);
}

static void a_delayed_will_is_said_after_a_crash(void **state)
{
    struct log_rig lr;
    struct rig_client *client = NULL;
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "mortal", false);
    struct fl_buffer will = FL_BUFFER(1024);

    (void)state;
    log_rig_init(&lr);
    client = rig_attach(&lr.rig, 0, "mortal");
    packet.as.connect.will.present = true;
    packet.as.connect.will.topic = fl_slice_str("w");
    packet.as.connect.will.payload = fl_slice_str("last");
    packet.as.connect.will.qos = 1;
    assert_ok(fl_buffer_append(&will, "\x18\0\0\0\x1e", 5)); /* delay 30 s */
    packet.as.connect.will.properties = fl_buffer_slice(&will);
    rig_send_connect(client, &packet);
    log_rig_commit(&lr);
    rig_drop(client);
    log_rig_commit(&lr);
    log_rig_crash(&lr);
    (void)join(&lr, 1, "heir");
    subscribe(&lr, 1, "w", 1);
    fl_broker_tick(lr.rig.broker, lr.rig.now + 29000);
    rig_flush(&lr.rig);
    rig_expect_nothing(&lr.rig.clients[1]);
    lr.rig.now += 31000;
    fl_broker_tick(lr.rig.broker, lr.rig.now);
    rig_flush(&lr.rig);
    (void)rig_expect_publish(&lr.rig.clients[1], "w", "last");
    fl_buffer_free(&will);
    log_rig_free(&lr);
}

static void a_checkpoint_holds_everything(void **state)
{
    struct log_rig lr;
    struct fl_mqtt_packet packet = rig_publish_packet("r/1", "kept", 1);
    char identity[16];

    (void)state;
    log_rig_init(&lr);
    for (size_t i = 0; i < 40; i++) {
        (void)snprintf(identity, sizeof identity, "reader-%zu", i);
        (void)join(&lr, i, identity);
        subscribe(&lr, i, "a/#", 1);
        rig_drop(&lr.rig.clients[i]);
    }
    (void)join(&lr, 50, "writer");
    packet.as.publish.retain = true;
    rig_send(&lr.rig.clients[50], &packet);
    log_rig_commit(&lr);
    rig_expect_puback(&lr.rig.clients[50], 1, 0);
    publish(&lr, 50, "a/1", "one", 2);
    log_rig_checkpoint(&lr, 100);
    publish(&lr, 50, "a/2", "two", 3);
    log_rig_crash(&lr);
    for (size_t i = 0; i < 40; i++) {
        (void)snprintf(identity, sizeof identity, "reader-%zu", i);
        assert_true(join(&lr, i, identity));
        (void)rig_expect_publish(&lr.rig.clients[i], "a/1", "one");
        (void)rig_expect_publish(&lr.rig.clients[i], "a/2", "two");
        rig_expect_nothing(&lr.rig.clients[i]);
    }
    subscribe(&lr, 0, "r/+", 0);
    (void)rig_expect_publish(&lr.rig.clients[0], "r/1", "kept");
    log_rig_free(&lr);
}

/* `value` NULL: taken back. */
static void retain(struct log_rig *lr, size_t number, const char *kind, const char *value)
{
    char topic[32];
    struct fl_mqtt_packet packet;

    (void)snprintf(topic, sizeof topic, "r/%zu/%s/state", number, kind);
    packet = rig_publish_packet(topic, value ? value : "", 0);
    packet.as.publish.retain = true;
    rig_send(&lr->rig.clients[0], &packet);
}

#define MOVING ((size_t)60)

static void a_checkpoint_meets_what_is_retained_while_others_come_and_go(void **state)
{
    struct log_rig lr;
    char topic[32];
    size_t steps = 0;

    (void)state;
    log_rig_init(&lr);
    (void)join(&lr, 0, "writer");
    for (size_t i = 0; i < MOVING; i++)
        retain(&lr, i, "old", "old");
    log_rig_commit(&lr);
    fl_buffer_clear(&lr.committed);
    fl_broker_checkpoint(lr.rig.broker);
    for (; !fl_broker_checkpoint_step(lr.rig.broker, 1); steps++) {
        log_rig_commit(&lr);
        if (steps >= MOVING / 3)
            continue;
        /* From the front, the middle and the end of whatever order it walks in. */
        retain(&lr, steps * 3, "old", NULL);
        retain(&lr, steps * 3, "new", "new");
    }
    assert_true(steps > MOVING / 3);
    log_rig_crash(&lr);
    (void)join(&lr, 1, "reader");
    for (size_t i = 0; i < MOVING; i++) {
        (void)snprintf(topic, sizeof topic, "r/%zu/#", i);
        subscribe(&lr, 1, topic, 0);
        (void)snprintf(topic, sizeof topic, "r/%zu/%s/state", i, i % 3 ? "old" : "new");
        (void)rig_expect_publish(&lr.rig.clients[1], topic, i % 3 ? "old" : "new");
        rig_expect_nothing(&lr.rig.clients[1]);
    }
    log_rig_free(&lr);
}

static void a_log_without_room_refuses_what_needs_it(void **state)
{
    struct log_rig lr;
    struct fl_mqtt_packet packet = rig_publish_packet("r", "x", 3);

    (void)state;
    log_rig_init(&lr);
    (void)join(&lr, 0, "reader");
    subscribe(&lr, 0, "a", 1);
    (void)join(&lr, 1, "writer");
    fl_broker_log_tight(lr.rig.broker, true);
    rig_send_publish(&lr.rig.clients[1], "a", "no room", 1);
    rig_expect_puback(&lr.rig.clients[1], 1, FL_MQTT_QUOTA);
    rig_expect_nothing(&lr.rig.clients[0]);
    rig_send_publish(&lr.rig.clients[1], "elsewhere", "needs none", 2);
    rig_expect_puback(&lr.rig.clients[1], 2, 0);
    packet.as.publish.retain = true;
    rig_send(&lr.rig.clients[1], &packet);
    rig_expect_puback(&lr.rig.clients[1], 3, FL_MQTT_QUOTA);
    rig_send_exactly_once(&lr.rig.clients[1], "a", "no room", 4, false);
    log_rig_commit(&lr);
    rig_expect_ack(&lr.rig.clients[1], FL_MQTT_PUBREC, 4, FL_MQTT_QUOTA);
    fl_broker_log_tight(lr.rig.broker, false);
    publish(&lr, 1, "a", "room again", 5);
    (void)rig_expect_publish(&lr.rig.clients[0], "a", "room again");
    log_rig_free(&lr);
}

static void a_batch_that_fails_ends_those_who_wait_for_it(void **state)
{
    struct log_rig lr;
    uint64_t batch = 0;

    (void)state;
    log_rig_init(&lr);
    (void)join(&lr, 0, "reader");
    subscribe(&lr, 0, "a", 1);
    (void)join(&lr, 1, "writer");
    (void)join(&lr, 2, "other");
    rig_send_publish(&lr.rig.clients[1], "a", "fails", 1);
    assert_true(fl_broker_log(lr.rig.broker, lr.rig.now, &batch).size > 0);
    fl_broker_log_taken(lr.rig.broker);
    lr.batch = batch;
    fl_broker_log_failed(lr.rig.broker, batch, lr.rig.now);
    rig_flush(&lr.rig);
    assert_true(lr.rig.clients[1].closed);
    assert_int_equal(lr.rig.clients[1].heard.size, lr.rig.clients[1].taken);
    assert_false(lr.rig.clients[2].closed);
    assert_true(fl_broker_log_lost(lr.rig.broker));
    /* Only a checkpoint makes the log whole again: without it the message would be missing. */
    rig_drop(&lr.rig.clients[1]);
    log_rig_checkpoint(&lr, 4096);
    assert_false(fl_broker_log_lost(lr.rig.broker));
    log_rig_crash(&lr);
    assert_true(join(&lr, 0, "reader"));
    (void)rig_expect_publish(&lr.rig.clients[0], "a", "fails");
    log_rig_free(&lr);
}

static void sessions_of_devices_that_are_not_known_any_more_end(void **state)
{
    struct log_rig lr;

    (void)state;
    log_rig_init(&lr);
    (void)join(&lr, 0, "stranger");
    subscribe(&lr, 0, "a", 1);
    log_rig_crash(&lr);
    assert_false(join(&lr, 0, "stranger"));
    log_rig_free(&lr);
}

static void a_session_that_is_to_end_leaves_the_log(void **state)
{
    struct log_rig lr;
    struct fl_mqtt_packet packet = rig_connect_packet(FL_MQTT_5, "reader", true);

    (void)state;
    log_rig_init(&lr);
    was_here(&lr, "reader", "a", 1);
    (void)rig_attach(&lr.rig, 0, "reader");
    rig_send_connect(&lr.rig.clients[0], &packet); /* clean, and ends with the connection */
    log_rig_commit(&lr);
    rig_expect(&lr.rig.clients[0], FL_MQTT_CONNACK, &packet);
    log_rig_crash(&lr);
    assert_false(join(&lr, 0, "reader"));
    log_rig_free(&lr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_acknowledged_before_it_is_on_stable_storage),
        cmocka_unit_test(a_writer_that_goes_on_is_answered_batch_by_batch),
        cmocka_unit_test(what_needs_no_log_is_answered_at_once),
        cmocka_unit_test(a_queue_survives_the_process),
        cmocka_unit_test(what_was_not_committed_was_not_promised),
        cmocka_unit_test(retained_messages_survive_and_expire),
        cmocka_unit_test(exactly_once_holds_over_a_crash),
        cmocka_unit_test(a_share_keeps_what_waits_for_its_members),
        cmocka_unit_test(sessions_end_when_their_time_is_over),
        cmocka_unit_test(a_delayed_will_is_said_after_a_crash),
        cmocka_unit_test(a_checkpoint_holds_everything),
        cmocka_unit_test(a_checkpoint_meets_what_is_retained_while_others_come_and_go),
        cmocka_unit_test(a_log_without_room_refuses_what_needs_it),
        cmocka_unit_test(a_batch_that_fails_ends_those_who_wait_for_it),
        cmocka_unit_test(sessions_of_devices_that_are_not_known_any_more_end),
        cmocka_unit_test(a_session_that_is_to_end_leaves_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
