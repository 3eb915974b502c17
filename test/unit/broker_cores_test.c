/* SPDX-License-Identifier: Apache-2.0
 *
 * What brokers of one group promise together: claims, each with notes that are on their way for as
 * long as it takes to go wrong. Seeds are printed when one fails.
 */
#include <stdio.h>
#include <stdlib.h>

#include "service/broker_internal.h"
#include "test/unit/cores_rig.h"

struct world {
    struct cores cores;
    uint64_t seed;
    uint64_t state;
};

static struct world *world_new(unsigned count, size_t slots)
{
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    cores_init(&world->cores, count, slots);
    return world;
}

static void world_free(struct world *world)
{
    cores_free(&world->cores);
    free(world);
}

static uint32_t below(struct world *world, uint32_t limit)
{
    world->state ^= world->state << 13;
    world->state ^= world->state >> 7;
    world->state ^= world->state << 17;
    return (uint32_t)(world->state >> 20) % limit;
}

static void seed(struct world *world, uint64_t value)
{
    world->seed = value;
    world->state = value * 0x9E3779B97F4A7C15U;
}

/* A little of what is on its way arrives. */
static void drift(struct world *world)
{
    for (unsigned i = 0; i < world->cores.count; i++) {
        unsigned from = below(world, world->cores.count);
        if (from != i && below(world, 2))
            (void)core_hear(&world->cores.core[i], from, 1 + below(world, 2));
        if (below(world, 2))
            core_round(&world->cores.core[i]);
    }
}

static struct rig_client *join(struct world *world, unsigned core, size_t index)
{
    char name[16];

    (void)snprintf(name, sizeof name, "dev-%zu", index);
    (void)rig_join(&world->cores.core[core].rig, index, name, FL_MQTT_5, true);
    return &world->cores.core[core].rig.clients[index];
}

static void ask_with(struct rig_client *client, const char *filter, uint8_t qos, uint16_t packet_id)
{
    struct fl_mqtt_filter one = {.filter = fl_slice_str(filter), .qos = qos};
    struct fl_mqtt_packet packet = {.type = FL_MQTT_SUBSCRIBE};
    struct fl_buffer filters = FL_BUFFER(100);

    assert_ok(fl_mqtt_put_filter(&filters, FL_MQTT_SUBSCRIBE, &one));
    packet.as.subscribe.packet_id = packet_id;
    packet.as.subscribe.filters = fl_buffer_slice(&filters);
    rig_send(client, &packet);
    fl_buffer_free(&filters);
}

static void ask(struct rig_client *client, const char *filter, uint8_t qos)
{
    ask_with(client, filter, qos, 1);
}

static void take_back(struct rig_client *client, const char *filter)
{
    struct fl_mqtt_filter one = {.filter = fl_slice_str(filter)};
    struct fl_mqtt_packet packet = {.type = FL_MQTT_UNSUBSCRIBE};
    struct fl_buffer filters = FL_BUFFER(100);

    assert_ok(fl_mqtt_put_filter(&filters, FL_MQTT_UNSUBSCRIBE, &one));
    packet.as.subscribe.packet_id = 2;
    packet.as.subscribe.filters = fl_buffer_slice(&filters);
    rig_send(client, &packet);
    fl_buffer_free(&filters);
}

static void expect_suback(struct rig_client *client)
{
    struct fl_mqtt_packet packet;

    rig_expect(client, FL_MQTT_SUBACK, &packet);
    assert_true(packet.as.suback.reasons.data[0] < 0x80);
}

static void expect_payload(struct rig_client *client, const char *payload)
{
    struct fl_mqtt_packet packet;

    rig_expect(client, FL_MQTT_PUBLISH, &packet);
    assert_slice_equal(packet.as.publish.payload, payload);
}

static void say_retained(struct rig_client *client, const char *topic, const char *payload)
{
    struct fl_mqtt_packet packet = rig_publish_packet(topic, payload, 0);

    packet.as.publish.retain = true;
    rig_send(client, &packet);
}

static void suback_waits_for_the_others_and_a_publish_after_it_arrives(void **state)
{
    struct world *world = world_new(3, 8);
    struct rig_client *reader = join(world, 0, 0);
    struct rig_client *writer = join(world, 2, 1);

    (void)state;
    ask(reader, "a/+", 0);
    rig_expect_nothing(reader);
    assert_true(core_hear(&world->cores.core[1], 0, 1));
    core_round(&world->cores.core[1]);
    assert_true(core_hear(&world->cores.core[0], 1, 1));
    rig_expect_nothing(reader); /* one of the two has not said so yet */
    assert_true(core_hear(&world->cores.core[2], 0, 1));
    core_round(&world->cores.core[2]);
    assert_true(core_hear(&world->cores.core[0], 2, 1));
    expect_suback(reader);
    rig_send_publish(writer, "a/b", "x", 0);
    cores_settle(&world->cores);
    expect_payload(reader, "x");
    /* The others know it now: nobody else waits for it. */
    reader = join(world, 0, 2);
    ask(reader, "a/+", 0);
    expect_suback(reader);
    world_free(world);
}

static void what_comes_after_a_held_subscribe_waits_for_it(void **state)
{
    struct world *world = world_new(2, 8);
    struct rig_client *reader = join(world, 0, 0);
    struct fl_slice ping = fl_slice("\xC0\0", 2);
    struct fl_mqtt_packet packet;

    (void)state;
    ask(reader, "a", 0);
    assert_int_equal(rig_say(reader, ping), 0);
    rig_expect_nothing(reader);
    cores_settle(&world->cores);
    expect_suback(reader);
    assert_int_equal(rig_say(reader, ping), ping.size);
    rig_expect(reader, FL_MQTT_PINGRESP, &packet);
    /* Who goes while it is held takes it along. */
    ask(reader, "b", 0);
    rig_drop(reader);
    cores_settle(&world->cores);
    world_free(world);
}

static void an_acknowledgement_waits_until_the_others_have_the_message(void **state)
{
    struct world *world = world_new(2, 8);
    struct rig_client *reader = join(world, 0, 0);
    struct rig_client *writer = join(world, 1, 1);
    struct fl_mqtt_packet packet;

    (void)state;
    ask(reader, "a", 1);
    cores_settle(&world->cores);
    expect_suback(reader);
    rig_send_publish(writer, "a", "1", 7);
    rig_send_publish(writer, "b", "nobody wants it", 8);
    rig_expect_nothing(writer); /* in order, so the second waits for the first */
    assert_true(core_hear(&world->cores.core[0], 1, 1));
    expect_payload(reader, "1");
    rig_expect_nothing(writer);
    core_round(&world->cores.core[0]);
    cores_settle(&world->cores);
    for (uint16_t id = 7; id <= 8; id++) {
        rig_expect(writer, FL_MQTT_PUBACK, &packet);
        assert_int_equal(packet.as.ack.packet_id, id);
    }
    rig_send_publish(writer, "b", "x", 9);
    rig_expect(writer, FL_MQTT_PUBACK, &packet);
    world_free(world);
}

/* Both must have it: the host, and the other broker. */
static void and_until_the_host_has_settled_it(void **state)
{
    struct world *world = world_new(2, 8);
    struct rig *rig = &world->cores.core[1].rig;
    struct rig_client *reader = join(world, 0, 0);
    struct rig_client *writer = join(world, 1, 1);
    struct fl_mqtt_packet packet;

    (void)state;
    rig->verdict = FL_BROKER_KEEP;
    ask(reader, "a", 1);
    cores_settle(&world->cores);
    rig_send_publish(writer, "a", "1", 7);
    cores_settle(&world->cores);
    rig_expect_nothing(writer);
    fl_broker_settle(rig->broker, rig->tokens[0], 0, rig->now);
    rig_expect(writer, FL_MQTT_PUBACK, &packet);
    rig_send_publish(writer, "a", "2", 8);
    fl_broker_settle(rig->broker, rig->tokens[1], 0, rig->now);
    rig_expect_nothing(writer);
    cores_settle(&world->cores);
    rig_expect(writer, FL_MQTT_PUBACK, &packet);
    assert_int_equal(packet.as.ack.reason, 0);
    /* A failure of the host waits for nobody. */
    rig_send_publish(writer, "a", "3", 9);
    fl_broker_settle(rig->broker, rig->tokens[2], 0x97, rig->now);
    rig_expect(writer, FL_MQTT_PUBACK, &packet);
    assert_int_equal(packet.as.ack.reason, 0x97);
    cores_settle(&world->cores);
    world_free(world);
}

static void only_who_wants_it_is_sent_it(void **state)
{
    struct world *world = world_new(3, 8);
    struct rig_client *reader = join(world, 0, 0);
    struct rig_client *writer = join(world, 2, 1);

    (void)state;
    ask(reader, "a", 0);
    cores_settle(&world->cores);
    rig_send_publish(writer, "a", "1", 0);
    rig_send_publish(writer, "b", "2", 0);
    assert_false(core_hear(&world->cores.core[1], 2, 9));
    assert_true(core_hear(&world->cores.core[0], 2, 1));
    assert_false(core_hear(&world->cores.core[0], 2, 9));
    take_back(reader, "a");
    cores_settle(&world->cores);
    rig_send_publish(writer, "a", "3", 0);
    assert_false(core_hear(&world->cores.core[0], 2, 9));
    world_free(world);
}

static void random_words(struct world *world, char *to, size_t size, bool filter)
{
    static const char *const levels[] = {"a", "b", "", "$s", "cc", "+", "#"};
    uint32_t count = 1 + below(world, 4);
    size_t used = 0;

    to[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t pick = below(world, filter ? 7 : 5);
        if (pick == 6 && i + 1 < count)
            pick = 5;
        used += (size_t)snprintf(to + used, size - used, "%s%s", i ? "/" : "", levels[pick]);
    }
    if (to[0] == 0)
        (void)snprintf(to, size, "a");
}

/* Subscriptions come and go at all brokers; each publish, wherever, reaches just those that a plain
 * list of them says. */
static void who_wants_it_gets_it_as_a_plain_list_says(void **state)
{
    enum { READERS = 9, CORES = 3 };
    (void)state;
    for (uint64_t run = 1; run <= 10; run++) {
        struct world *world = world_new(CORES, 8);
        struct rig_client *readers[READERS];
        struct rig_client *writers[CORES];
        char filters[READERS][64] = {{0}};

        seed(world, run);
        for (size_t i = 0; i < READERS; i++)
            readers[i] = join(world, (unsigned)(i % CORES), i);
        for (unsigned i = 0; i < CORES; i++)
            writers[i] = join(world, i, READERS + i);
        for (int step = 0; step < 300; step++) {
            size_t who = below(world, READERS);
            char topic[64];

            if (filters[who][0])
                take_back(readers[who], filters[who]);
            filters[who][0] = 0;
            if (below(world, 4)) {
                random_words(world, filters[who], sizeof filters[who], true);
                ask(readers[who], filters[who], 0);
            }
            cores_settle(&world->cores);
            for (size_t i = 0; i < READERS; i++) {
                fl_buffer_clear(&readers[i]->heard);
                readers[i]->taken = 0;
            }
            random_words(world, topic, sizeof topic, false);
            rig_send_publish(writers[below(world, CORES)], topic, "x", 0);
            cores_settle(&world->cores);
            for (size_t i = 0; i < READERS; i++) {
                struct fl_mqtt_packet packet;
                bool wants = filters[i][0] &&
                             fl_mqtt_topic_matches(fl_slice_str(filters[i]), fl_slice_str(topic));
                if ((rig_next(readers[i], &packet) == FL_OK) != wants)
                    fail_msg("seed %llu: %s on %s: %d", (unsigned long long)run, filters[i], topic,
                             wants);
            }
        }
        world_free(world);
    }
}

static void retained_messages_are_one_store(void **state)
{
    struct world *world = world_new(2, 8);
    struct rig_client *writer = join(world, 1, 1);
    struct rig_client *reader = NULL;
    struct fl_broker_counts counts;

    (void)state;
    say_retained(writer, "r", "here");
    cores_settle(&world->cores);
    reader = join(world, 0, 0);
    ask(reader, "r", 0);
    cores_settle(&world->cores);
    expect_suback(reader);
    expect_payload(reader, "here");
    fl_broker_count(world->cores.core[0].rig.broker, &counts);
    assert_int_equal(counts.retained, 1);
    fl_broker_count(world->cores.core[1].rig.broker, &counts);
    assert_int_equal(counts.retained, 0); /* counted once */
    world_free(world);
}

/* What was on its way while a subscription read a newer value from the store is not said after it.
 */
static void a_retained_value_is_not_followed_by_an_older_one(void **state)
{
    struct world *world = world_new(2, 8);
    struct rig_client *writer = join(world, 1, 1);
    struct rig_client *first = join(world, 0, 0);
    struct rig_client *second = join(world, 0, 2);

    (void)state;
    ask(first, "r", 0);
    cores_settle(&world->cores);
    expect_suback(first);
    say_retained(writer, "r", "1");
    say_retained(writer, "r", "2");
    ask(second, "r", 0); /* known to the others: at once */
    expect_suback(second);
    expect_payload(second, "2");
    cores_settle(&world->cores);
    rig_expect_nothing(second);
    expect_payload(first, "1");
    expect_payload(first, "2");
    say_retained(writer, "r", "3");
    cores_settle(&world->cores);
    expect_payload(second, "3");
    world_free(world);
}

static void check_values(struct world *world, struct rig_client *client, unsigned *last)
{
    struct fl_mqtt_packet packet;

    while (rig_next(client, &packet) == FL_OK) {
        char text[16] = {0};
        unsigned value = 0;
        if (packet.type != FL_MQTT_PUBLISH)
            continue;
        memcpy(text, packet.as.publish.payload.data, packet.as.publish.payload.size);
        value = (unsigned)strtoul(text, NULL, 10);
        if (value < *last)
            fail_msg("seed %llu: %u after %u", (unsigned long long)world->seed, value, *last);
        *last = value;
    }
}

static void retained_values_never_go_back_in_disorder(void **state)
{
    (void)state;
    for (uint64_t run = 1; run <= 40; run++) {
        struct world *world = world_new(3, 4);
        struct rig_client *writer = join(world, 0, 0);
        unsigned last[3] = {0};
        unsigned value = 0;

        seed(world, run);
        for (int i = 0; i < 600; i++) {
            size_t who = below(world, 3);
            struct rig_client *reader = &world->cores.core[who].rig.clients[who + 1];
            char text[16];
            (void)snprintf(text, sizeof text, "%u", value + 1);
            if (below(world, 2)) {
                value++;
                say_retained(writer, "r", text);
            } else if (!reader->conn) {
                (void)join(world, (unsigned)who, who + 1);
                last[who] = 0;
                ask(reader, below(world, 2) ? "r" : "#", 0);
            } else if (below(world, 8) == 0) {
                rig_drop(reader);
            } else {
                check_values(world, reader, &last[who]);
            }
            drift(world);
        }
        cores_settle(&world->cores);
        for (size_t who = 0; who < 3; who++)
            if (world->cores.core[who].rig.clients[who + 1].conn)
                check_values(world, &world->cores.core[who].rig.clients[who + 1], &last[who]);
        world_free(world);
    }
}

static void a_retained_message_of_any_broker_expires(void **state)
{
    struct world *world = world_new(2, 8);
    struct rig_client *writer = join(world, 1, 1);
    struct fl_mqtt_packet packet = rig_publish_packet("r", "x", 0);
    struct fl_broker_counts counts;

    (void)state;
    packet.as.publish.retain = true;
    FL_MQTT_SET(&packet.properties, message_expiry_s, 10);
    rig_send(writer, &packet);
    assert_true(core_hear(&world->cores.core[0], 1, 1)); /* so that the first looks at its timer */
    assert_int_equal(fl_broker_next_timeout(world->cores.core[0].rig.broker),
                     world->cores.core[0].rig.now + 10000);
    fl_broker_tick(world->cores.core[0].rig.broker, world->cores.core[0].rig.now + 10000);
    fl_broker_count(world->cores.core[0].rig.broker, &counts);
    assert_int_equal(counts.retained, 0);
    world_free(world);
}

/* Full towards each other, both still hear; so both get room. */
static void brokers_that_are_full_towards_each_other_go_on(void **state)
{
    enum { EACH = 60 };
    struct world *world = world_new(2, 1);
    unsigned acknowledged[2] = {0};
    unsigned delivered[2] = {0};
    struct fl_mqtt_packet packet;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        ask(join(world, i, i), i ? "to/1" : "to/0", 1);
        cores_settle(&world->cores);
        expect_suback(&world->cores.core[i].rig.clients[i]);
        (void)join(world, i, 2 + i);
    }
    for (uint16_t n = 1; n <= EACH; n++)
        for (unsigned i = 0; i < 2; i++)
            rig_send_publish(&world->cores.core[i].rig.clients[2 + i], i ? "to/0" : "to/1", "x", n);
    assert_true(core_is_busy(&world->cores.core[0]) && core_is_busy(&world->cores.core[1]));
    /* QoS 0 finds no room, and is counted. */
    rig_send_publish(&world->cores.core[0].rig.clients[2], "to/1", "y", 0);
    cores_settle(&world->cores);
    for (unsigned i = 0; i < 2; i++) {
        struct fl_broker_counts counts;
        while (rig_next(&world->cores.core[i].rig.clients[2 + i], &packet) == FL_OK)
            acknowledged[i] += packet.type == FL_MQTT_PUBACK;
        while (rig_next(&world->cores.core[i].rig.clients[i], &packet) == FL_OK)
            delivered[i] += packet.type == FL_MQTT_PUBLISH;
        assert_int_equal(acknowledged[i], EACH);
        assert_int_equal(delivered[i], EACH);
        fl_broker_count(world->cores.core[i].rig.broker, &counts);
        assert_int_equal(counts.dropped, i == 0 ? 1 : 0);
        assert_false(core_is_busy(&world->cores.core[i]));
    }
    world_free(world);
}

static unsigned heard_by(struct rig_client *client)
{
    struct fl_mqtt_packet packet;
    unsigned count = 0;

    while (rig_next(client, &packet) == FL_OK)
        if (packet.type == FL_MQTT_PUBLISH) {
            uint16_t id = packet.as.publish.packet_id;
            count++;
            if (id)
                rig_say_ack(client, FL_MQTT_PUBACK, id, 0);
        }
    return count;
}

static void members_everywhere_take_turns(void **state)
{
    struct world *world = world_new(3, 8);
    static const unsigned at[] = {0, 1, 1, 2};
    struct rig_client *writer = join(world, 2, 9);
    unsigned total = 0;

    (void)state;
    for (size_t m = 0; m < 4; m++) {
        ask(join(world, at[m], m), "$share/g/s", 1);
        cores_settle(&world->cores);
        expect_suback(&world->cores.core[at[m]].rig.clients[m]);
    }
    for (uint16_t i = 1; i <= 40; i++) {
        rig_send_publish(writer, "s", "x", i);
        cores_settle(&world->cores);
    }
    for (size_t m = 0; m < 4; m++) {
        unsigned count = heard_by(&world->cores.core[at[m]].rig.clients[m]);
        assert_int_equal(count, 10);
        total += count;
    }
    assert_int_equal(total, 40);
    world_free(world);
}

static void what_a_member_did_not_acknowledge_goes_to_one_elsewhere(void **state)
{
    struct world *world = world_new(3, 8);
    struct rig_client *gone = join(world, 0, 0);
    struct rig_client *stays = NULL;
    struct rig_client *writer = join(world, 2, 9);
    struct fl_mqtt_packet packet;

    (void)state;
    ask(gone, "$share/g/s", 1);
    cores_settle(&world->cores);
    rig_send_publish(writer, "s", "x", 1);
    cores_settle(&world->cores);
    rig_expect(writer, FL_MQTT_PUBACK, &packet);
    stays = join(world, 1, 1);
    ask(stays, "$share/g/s", 1);
    cores_settle(&world->cores);
    expect_suback(stays);
    rig_expect_nothing(stays);
    rig_drop(gone); /* a clean session: it is over */
    cores_settle(&world->cores);
    expect_payload(stays, "x");
    world_free(world);
}

/* The absent keep their session, and still give back what others can have. */
static void who_is_away_gives_back_what_one_elsewhere_can_have(void **state)
{
    struct world *world = world_new(3, 8);
    struct rig_client *stays = join(world, 1, 1);
    struct rig_client *gone = NULL;
    struct rig_client *writer = join(world, 2, 9);

    (void)state;
    world->cores.core[1].rig.deny_receive = true;
    (void)rig_join(&world->cores.core[0].rig, 0, "dev-0", FL_MQTT_5, false);
    gone = &world->cores.core[0].rig.clients[0];
    ask(gone, "$share/g/s", 1);
    ask(stays, "$share/g/s", 1);
    cores_settle(&world->cores);
    expect_suback(stays);
    rig_send_publish(writer, "s", "x", 1);
    cores_settle(&world->cores);
    expect_suback(gone);
    expect_payload(gone, "x"); /* and does not acknowledge it */
    world->cores.core[1].rig.deny_receive = false;
    rig_drop(gone);
    cores_settle(&world->cores);
    expect_payload(stays, "x");
    world_free(world);
}

static void a_message_for_a_share_with_nobody_there_waits_at_its_home(void **state)
{
    struct world *world = world_new(3, 8);
    struct rig_client *writer = join(world, 2, 9);
    struct rig_client *member = NULL;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        (void)rig_join(&world->cores.core[i].rig, i, i ? "dev-1" : "dev-0", FL_MQTT_5, false);
        ask(&world->cores.core[i].rig.clients[i], "$share/g/s", 1);
        cores_settle(&world->cores);
        rig_drop(&world->cores.core[i].rig.clients[i]);
    }
    cores_settle(&world->cores);
    for (uint16_t i = 1; i <= 5; i++)
        rig_send_publish(writer, "s", "x", i);
    cores_settle(&world->cores);
    (void)rig_join(&world->cores.core[1].rig, 1, "dev-1", FL_MQTT_5, false);
    member = &world->cores.core[1].rig.clients[1];
    cores_settle(&world->cores);
    assert_int_equal(heard_by(member), 5);
    world_free(world);
}

static void who_may_not_have_it_passes_it_on(void **state)
{
    struct world *world = world_new(2, 8);
    struct rig_client *writer = join(world, 0, 9);
    struct rig_client *members[2];
    struct fl_broker_counts counts[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        members[i] = join(world, i, i);
        ask(members[i], "$share/g/s", 1);
        cores_settle(&world->cores);
        expect_suback(members[i]);
    }
    world->cores.core[0].rig.deny_receive = true;
    for (uint16_t i = 1; i <= 6; i++)
        rig_send_publish(writer, "s", "x", i);
    cores_settle(&world->cores);
    assert_int_equal(heard_by(members[1]), 6);
    world->cores.core[1].rig.deny_receive = true;
    rig_send_publish(writer, "s", "x", 7);
    cores_settle(&world->cores);
    assert_int_equal(heard_by(members[0]) + heard_by(members[1]), 0);
    for (unsigned i = 0; i < 2; i++)
        fl_broker_count(world->cores.core[i].rig.broker, &counts[i]);
    assert_int_equal(counts[0].refused + counts[1].refused, 1);
    world_free(world);
}

static void sessions_are_bounded_for_all_together(void **state)
{
    struct fl_broker_group *group = NULL;

    (void)state;
    assert_ok(fl_broker_group_create(FL_LIMIT_WORKERS, &group, NULL));
    for (int i = 0; i < FL_LIMIT_MQTT_SESSIONS; i++)
        assert_true(fl_broker_group_session(group));
    assert_false(fl_broker_group_session(group));
    fl_broker_group_session_gone(group);
    assert_true(fl_broker_group_session(group));
    fl_broker_group_free(group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suback_waits_for_the_others_and_a_publish_after_it_arrives),
        cmocka_unit_test(what_comes_after_a_held_subscribe_waits_for_it),
        cmocka_unit_test(an_acknowledgement_waits_until_the_others_have_the_message),
        cmocka_unit_test(and_until_the_host_has_settled_it),
        cmocka_unit_test(only_who_wants_it_is_sent_it),
        cmocka_unit_test(who_wants_it_gets_it_as_a_plain_list_says),
        cmocka_unit_test(retained_messages_are_one_store),
        cmocka_unit_test(a_retained_value_is_not_followed_by_an_older_one),
        cmocka_unit_test(retained_values_never_go_back_in_disorder),
        cmocka_unit_test(a_retained_message_of_any_broker_expires),
        cmocka_unit_test(brokers_that_are_full_towards_each_other_go_on),
        cmocka_unit_test(members_everywhere_take_turns),
        cmocka_unit_test(what_a_member_did_not_acknowledge_goes_to_one_elsewhere),
        cmocka_unit_test(who_is_away_gives_back_what_one_elsewhere_can_have),
        cmocka_unit_test(a_message_for_a_share_with_nobody_there_waits_at_its_home),
        cmocka_unit_test(who_may_not_have_it_passes_it_on),
        cmocka_unit_test(sessions_are_bounded_for_all_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
