/* SPDX-License-Identifier: Apache-2.0
 *
 * Many clients in disorder, from a seed: writers that number their messages, drop and start again
 * from the first unacknowledged, or with QoS 2 go on where they were; readers with persistent
 * sessions that drop, stall and acknowledge late and out of order; members of one share; noise.
 * What was written with QoS 2 must be read exactly once. With one broker, and with several whose
 * clients are mixed and whose notes to each other are on their way for a while, through tiny rings.
 * The same with a log, of which a part is always not on stable storage yet, and a process that
 * dies. A failure prints its seed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "service/broker_internal.h"
#include "test/unit/cores_log_rig.h"

enum {
    WRITERS = 6,
    EXACT = 3 /* and those after it write with QoS 2 */,
    READERS = 5,
    NOISE = 3,
    MEMBERS = 3,
    FIRST_MEMBER = WRITERS + READERS + NOISE,
    MESSAGES = 60,
    STEPS = 12000,
    LATE = 64,
    RUNS = 20,
    SLOTS = 4
};

enum stage { UNSENT, SENT, RELEASED, DONE };

struct writer {
    enum stage stages[MESSAGES]; /* QoS 2 */
    unsigned next;
    unsigned acknowledged; /* all below */
    unsigned base;         /* packet identifier 1 of this connection is this message */
};

struct reader {
    unsigned expected[WRITERS];
    uint16_t late[LATE]; /* not acknowledged yet */
    size_t late_count;
    uint16_t held[LATE]; /* QoS 2, had and not released */
    size_t held_count;
};

struct sim {
    struct cores_log log;
    bool mortal; /* the brokers have a log, and die now and then */
    unsigned crashes;
    struct writer writers[WRITERS];
    struct reader readers[READERS];
    struct reader members[MEMBERS];
    unsigned shared[WRITERS][MESSAGES]; /* how often a member got it */
    uint64_t seed;
    uint64_t state;
};

static uint32_t below(struct sim *sim, uint32_t limit)
{
    sim->state ^= sim->state << 13;
    sim->state ^= sim->state >> 7;
    sim->state ^= sim->state << 17;
    return (uint32_t)(sim->state >> 20) % limit;
}

static enum fl_mqtt_version version_of(size_t index)
{
    return index % 2 ? FL_MQTT_3 : FL_MQTT_5;
}

static struct rig_client *client_of(struct sim *sim, size_t index)
{
    return &sim->log.cores.core[index % sim->log.cores.count].rig.clients[index];
}

/* Who is connected to a broker that cannot get rid of what it has to say is not read. */
static bool is_heard(struct sim *sim, size_t index)
{
    return !core_is_busy(&sim->log.cores.core[index % sim->log.cores.count]);
}

/* What is said to a client and between brokers waits for the log, some of it more than once. */
static void settle_cores(struct sim *sim)
{
    cores_settle(&sim->log.cores);
    for (int i = 0; sim->mortal && i < 4; i++) {
        cores_log_commit(&sim->log);
        cores_settle(&sim->log.cores);
    }
}

static void commit(struct sim *sim)
{
    if (sim->mortal)
        cores_log_commit(&sim->log);
}

static void join(struct sim *sim, size_t index, bool clean)
{
    struct rig *rig = &sim->log.cores.core[index % sim->log.cores.count].rig;
    char name[16];

    struct rig_client *client = NULL;
    struct fl_mqtt_packet packet;

    (void)snprintf(name, sizeof name, "dev-%zu", index);
    client = rig_attach(rig, index, name);
    packet = rig_connect_packet(version_of(index), name, clean);
    rig_send_connect(client, &packet);
    commit(sim);
    rig_expect(client, FL_MQTT_CONNACK, &packet);
    assert_int_equal(packet.as.connack.reason, 0);
}

static void write_one(struct sim *sim, size_t w, unsigned number, bool dup)
{
    struct writer *writer = &sim->writers[w];
    char topic[16];
    char payload[16];

    (void)snprintf(topic, sizeof topic, "s/%zu/x", w);
    (void)snprintf(payload, sizeof payload, "%u", number);
    if (w >= EXACT)
        rig_send_exactly_once(client_of(sim, w), topic, payload, (uint16_t)(number + 1), dup);
    else
        rig_send_publish(client_of(sim, w), topic, payload, (uint16_t)(number - writer->base + 1));
}

static void exact_hear(struct sim *sim, size_t w, const struct fl_mqtt_packet *packet)
{
    struct writer *writer = &sim->writers[w];
    enum stage *stage = NULL;

    assert_in_range(packet->as.ack.packet_id, 1, MESSAGES);
    /* Released, and the connection or the process ended before that was heard. */
    if (!sim->mortal || packet->type != FL_MQTT_PUBCOMP ||
        packet->as.ack.reason != FL_MQTT_PACKET_ID_NOT_FOUND)
        assert_int_equal(packet->as.ack.reason, 0);
    stage = &writer->stages[packet->as.ack.packet_id - 1];
    if (packet->type == FL_MQTT_PUBREC) {
        assert_true(*stage == SENT || *stage == RELEASED);
        *stage = RELEASED;
        rig_say_ack(client_of(sim, w), FL_MQTT_PUBREL, packet->as.ack.packet_id, 0);
    } else {
        assert_int_equal(packet->type, FL_MQTT_PUBCOMP);
        assert_int_equal(*stage, RELEASED);
        *stage = DONE;
        while (writer->acknowledged < MESSAGES && writer->stages[writer->acknowledged] == DONE)
            writer->acknowledged++;
    }
}

static void writer_hear(struct sim *sim, size_t w)
{
    struct writer *writer = &sim->writers[w];
    struct fl_mqtt_packet packet;

    while (rig_next(client_of(sim, w), &packet) == FL_OK) {
        if (w >= EXACT) {
            exact_hear(sim, w, &packet);
            continue;
        }
        assert_int_equal(packet.type, FL_MQTT_PUBACK);
        assert_int_equal(packet.as.ack.reason, 0);
        /* In order: each acknowledges the next. */
        assert_int_equal(writer->base + packet.as.ack.packet_id - 1, writer->acknowledged);
        writer->acknowledged++;
    }
}

/* Says again what was not finished, in the order it was said. */
static void exact_return(struct sim *sim, size_t w)
{
    struct writer *writer = &sim->writers[w];

    join(sim, w, false);
    for (unsigned i = 0; i < writer->next; i++)
        if (writer->stages[i] == SENT)
            write_one(sim, w, i, true);
        else if (writer->stages[i] == RELEASED)
            rig_say_ack(client_of(sim, w), FL_MQTT_PUBREL, (uint16_t)(i + 1), 0);
}

static void writer_step(struct sim *sim, size_t w)
{
    struct writer *writer = &sim->writers[w];
    struct rig_client *client = client_of(sim, w);

    if (!client->conn && w >= EXACT) {
        exact_return(sim, w);
    } else if (!client->conn) {
        join(sim, w, true);
        writer->next = writer->base = writer->acknowledged;
    } else if (below(sim, 12) == 0) {
        writer_hear(sim, w);
        rig_drop(client);
    } else if (below(sim, 20) == 0) {
        rig_drop(client); /* with what it did not hear */
    } else if (writer->next < MESSAGES && writer->next < writer->acknowledged + 15 &&
               is_heard(sim, w)) {
        writer->stages[writer->next] = SENT;
        write_one(sim, w, writer->next, false);
        writer->next++;
    } else {
        writer_hear(sim, w);
    }
}

static uint16_t *held_at(struct reader *reader, uint16_t id)
{
    for (size_t i = 0; i < reader->held_count; i++)
        if (reader->held[i] == id)
            return &reader->held[i];
    return NULL;
}

static void read_message(struct sim *sim, struct reader *reader,
                         const struct fl_mqtt_packet *packet)
{
    char text[16] = {0};
    size_t w = 0;
    unsigned value = 0;

    assert_int_equal(packet->type, FL_MQTT_PUBLISH);
    if (packet->as.publish.qos == 2 && held_at(reader, packet->as.publish.packet_id))
        return; /* had it */
    w = (size_t)(packet->as.publish.topic.data[2] - '0');
    memcpy(text, packet->as.publish.payload.data, packet->as.publish.payload.size);
    value = (unsigned)strtoul(text, NULL, 10);
    assert_int_equal(packet->as.publish.qos, w >= EXACT ? 2 : 1);
    if (value > reader->expected[w] || (w >= EXACT && value != reader->expected[w]))
        fail_msg("seed %llu: writer %zu: %u came, %u was next", (unsigned long long)sim->seed, w,
                 value, reader->expected[w]);
    if (value == reader->expected[w])
        reader->expected[w]++;
    if (w >= EXACT) {
        assert_true(reader->held_count < LATE);
        reader->held[reader->held_count++] = packet->as.publish.packet_id;
    }
}

/* PUBACK, or for what is held PUBREC. */
static void reader_ack(struct rig_client *client, struct reader *reader, uint16_t id)
{
    rig_say_ack(client, held_at(reader, id) ? FL_MQTT_PUBREC : FL_MQTT_PUBACK, id, 0);
}

static void reader_release(struct rig_client *client, struct reader *reader, uint16_t id)
{
    uint16_t *held = held_at(reader, id);

    if (held)
        *held = reader->held[--reader->held_count];
    rig_say_ack(client, FL_MQTT_PUBCOMP, id, 0);
}

static void reader_hear(struct sim *sim, size_t r, bool at_once)
{
    struct reader *reader = &sim->readers[r];
    struct rig_client *client = client_of(sim, WRITERS + r);
    struct fl_mqtt_packet packet;

    while (rig_next(client, &packet) == FL_OK) {
        if (packet.type == FL_MQTT_PUBREL) {
            reader_release(client, reader, packet.as.ack.packet_id);
            continue;
        }
        read_message(sim, reader, &packet);
        if (!at_once && below(sim, 3) == 0 && reader->late_count < LATE)
            reader->late[reader->late_count++] = packet.as.publish.packet_id;
        else
            reader_ack(client, reader, packet.as.publish.packet_id);
    }
    while (reader->late_count && (at_once || below(sim, 2))) {
        size_t pick = below(sim, (uint32_t)reader->late_count);
        uint16_t id = reader->late[pick];
        reader->late[pick] = reader->late[--reader->late_count];
        reader_ack(client, reader, id);
    }
}

static void reader_step(struct sim *sim, size_t r)
{
    struct rig_client *client = client_of(sim, WRITERS + r);

    if (!client->conn) {
        join(sim, WRITERS + r, false);
    } else if (below(sim, 8) == 0) {
        rig_drop(client); /* what it heard and did not read is gone with it */
        sim->readers[r].late_count = 0;
    } else {
        reader_hear(sim, r, false);
    }
}

static void member_hear(struct sim *sim, size_t m)
{
    struct reader *member = &sim->members[m];
    struct rig_client *client = client_of(sim, FIRST_MEMBER + m);
    struct fl_mqtt_packet packet;

    while (rig_next(client, &packet) == FL_OK) {
        char text[16] = {0};
        uint16_t id = packet.as.publish.packet_id;
        if (packet.type == FL_MQTT_PUBREL) {
            reader_release(client, member, packet.as.ack.packet_id);
            continue;
        }
        assert_int_equal(packet.type, FL_MQTT_PUBLISH);
        if (!held_at(member, id)) {
            memcpy(text, packet.as.publish.payload.data, packet.as.publish.payload.size);
            sim->shared[packet.as.publish.topic.data[2] - '0'][strtoul(text, NULL, 10)]++;
            if (packet.as.publish.qos == 2)
                member->held[member->held_count++] = id;
        }
        reader_ack(client, member, id);
    }
}

static void member_step(struct sim *sim, size_t m)
{
    struct rig_client *client = client_of(sim, FIRST_MEMBER + m);

    if (!client->conn)
        join(sim, FIRST_MEMBER + m, false);
    else if (below(sim, 6) == 0)
        rig_drop(client);
    else
        member_hear(sim, m);
}

static void finish_share(struct sim *sim)
{
    for (int round = 0; round < 20; round++)
        for (size_t m = 0; m < MEMBERS; m++) {
            if (!client_of(sim, FIRST_MEMBER + m)->conn)
                join(sim, FIRST_MEMBER + m, false);
            settle_cores(sim);
            member_hear(sim, m);
        }
    for (size_t w = 0; w < WRITERS; w++)
        for (size_t i = 0; i < MESSAGES; i++)
            if (sim->shared[w][i] == 0 || (w >= EXACT && sim->shared[w][i] != 1))
                fail_msg("seed %llu: the share got message %zu of writer %zu %u times",
                         (unsigned long long)sim->seed, i, w, sim->shared[w][i]);
}

/* While its last SUBACK is held up, nothing more is taken. */
static void say_maybe(struct rig_client *client, const struct fl_mqtt_packet *packet)
{
    struct fl_buffer bytes = FL_BUFFER(1000);

    assert_ok(fl_mqtt_encode(packet, client->version, 1000, &bytes));
    (void)rig_say(client, fl_buffer_slice(&bytes));
    fl_buffer_free(&bytes);
}

static void noise_step(struct sim *sim, size_t n)
{
    static const char *const words[] = {"s/#", "+/0/x", "a/b", "#", "s/1/+"};
    struct rig_client *client = client_of(sim, WRITERS + READERS + n);
    uint8_t junk[8];

    if (!client->conn) {
        join(sim, WRITERS + READERS + n, below(sim, 2) != 0);
        fl_buffer_clear(&client->heard);
        client->taken = 0;
    } else if (client->closed || below(sim, 5) == 0) {
        rig_drop(client);
    } else if (below(sim, 2)) {
        struct fl_mqtt_filter filter = {.filter = fl_slice_str(words[below(sim, 5)]), .qos = 1};
        struct fl_mqtt_packet packet = {.type = FL_MQTT_SUBSCRIBE};
        struct fl_buffer filters = FL_BUFFER(100);
        assert_ok(fl_mqtt_put_filter(&filters, FL_MQTT_SUBSCRIBE, &filter));
        packet.as.subscribe.packet_id = 1;
        packet.as.subscribe.filters = fl_buffer_slice(&filters);
        say_maybe(client, &packet);
        fl_buffer_free(&filters);
    } else {
        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (uint8_t)below(sim, 256);
        (void)rig_say(client, fl_slice(junk, sizeof junk));
    }
}

static void settle_some(struct sim *sim, size_t keep)
{
    for (unsigned i = 0; i < sim->log.cores.count; i++) {
        struct rig *rig = &sim->log.cores.core[i].rig;
        while (rig->token_count > keep) {
            size_t pick = below(sim, (uint32_t)rig->token_count);
            uint64_t token = rig->tokens[pick];
            rig->tokens[pick] = rig->tokens[--rig->token_count];
            fl_broker_settle(rig->broker, token, 0, rig->now);
            rig_flush(rig);
        }
    }
}

/* What is counted of queues as they grow and shrink is what a walk over all of them finds. */
static void check_queues(const struct fl_broker *broker, const struct fl_broker_counts *counts)
{
    uint64_t queued = 0;
    uint64_t bytes = 0;
    uint64_t largest = 0;

    for (const struct fl_map_node *node = fl_map_next(&broker->sessions, NULL); node;
         node = fl_map_next(&broker->sessions, node)) {
        const struct fl_broker_session *session =
            (const void *)((const char *)node - offsetof(struct fl_broker_session, by_key));

        queued += session->waiting.count;
        bytes += session->waiting_bytes;
        if (session->waiting.count > largest)
            largest = session->waiting.count;
    }
    assert_int_equal(counts->queued, queued);
    assert_int_equal(counts->queued_bytes, bytes);
    assert_true(counts->queue_largest >= largest && counts->queue_largest <= 2 * largest);
}

static void check_counts(struct sim *sim)
{
    uint64_t connections = 0;
    uint64_t sessions = 0;
    uint64_t subscriptions = 0;

    for (unsigned c = 0; c < sim->log.cores.count; c++) {
        struct fl_broker_counts counts;
        for (size_t i = 0; i < RIG_CLIENTS; i++)
            connections += sim->log.cores.core[c].rig.clients[i].conn != NULL;
        fl_broker_count(sim->log.cores.core[c].rig.broker, &counts);
        connections -= counts.connections;
        sessions += counts.sessions;
        subscriptions += counts.subscriptions;
        check_queues(sim->log.cores.core[c].rig.broker, &counts);
    }
    assert_int_equal(connections, 0);
    assert_true(sessions <= FIRST_MEMBER + MEMBERS);
    assert_true(subscriptions >= READERS);
}

static bool all_written(struct sim *sim)
{
    for (size_t w = 0; w < WRITERS; w++)
        if (sim->writers[w].acknowledged < MESSAGES)
            return false;
    return true;
}

/* A few notes arrive, a few brokers end a round. */
static void pass_time(struct sim *sim)
{
    struct cores *cores = &sim->log.cores;
    fl_time_t now = cores->core[0].rig.now + below(sim, 20);

    for (unsigned i = 0; i < cores->count; i++) {
        struct core *core = &cores->core[i];
        unsigned from = below(sim, cores->count);
        core->rig.now = now;
        fl_broker_tick(core->rig.broker, now);
        rig_flush(&core->rig);
        if (from != i && below(sim, 2))
            (void)core_hear(core, from, 1 + below(sim, 3));
        if (below(sim, 2))
            core_round(core);
    }
}

static void step(struct sim *sim)
{
    uint32_t what = below(sim, FIRST_MEMBER + MEMBERS + 1);

    if (what < WRITERS)
        writer_step(sim, what);
    else if (what < WRITERS + READERS)
        reader_step(sim, what - WRITERS);
    else if (what < WRITERS + READERS + NOISE)
        noise_step(sim, what - WRITERS - READERS);
    else if (what < FIRST_MEMBER + MEMBERS)
        member_step(sim, what - FIRST_MEMBER);
    else
        settle_some(sim, below(sim, 8));
    pass_time(sim);
}

/* Everybody comes back and reads to the end. */
static void finish(struct sim *sim)
{
    for (size_t r = 0; r < READERS; r++) {
        rig_drop(client_of(sim, WRITERS + r));
        sim->readers[r].late_count = 0;
        join(sim, WRITERS + r, false);
        settle_cores(sim);
        for (int round = 0; round < 100; round++) {
            commit(sim);
            reader_hear(sim, r, true);
        }
        for (size_t w = 0; w < WRITERS; w++)
            if (sim->readers[r].expected[w] != MESSAGES)
                fail_msg("seed %llu: reader %zu has %u of writer %zu",
                         (unsigned long long)sim->seed, r, sim->readers[r].expected[w], w);
    }
}

static void subscribe(struct sim *sim, size_t index, const char *filter)
{
    struct rig_client *client = client_of(sim, index);
    struct fl_mqtt_filter one = {.filter = fl_slice_str(filter), .qos = 2};
    struct fl_mqtt_packet packet = {.type = FL_MQTT_SUBSCRIBE};
    struct fl_buffer filters = FL_BUFFER(100);

    assert_ok(fl_mqtt_put_filter(&filters, FL_MQTT_SUBSCRIBE, &one));
    packet.as.subscribe.packet_id = 1;
    packet.as.subscribe.filters = fl_buffer_slice(&filters);
    rig_send(client, &packet);
    fl_buffer_free(&filters);
    settle_cores(sim);
    rig_expect(client, FL_MQTT_SUBACK, &packet);
    assert_int_equal(packet.as.suback.reasons.data[0], 2);
}

/* What the log and the process do meanwhile. */
static void fate(struct sim *sim)
{
    uint32_t what = below(sim, 400);

    if (what < 130) {
        cores_log_commit(&sim->log);
    } else if (what < 260) {
        cores_log_write(&sim->log, what % sim->log.cores.count);
    } else if (what == 398) {
        cores_log_checkpoint(&sim->log, 1 + below(sim, 5000));
    } else if (what == 399) {
        cores_log_crash(&sim->log);
        for (size_t r = 0; r < READERS; r++)
            sim->readers[r].late_count = 0;
        sim->crashes++;
    }
}

static void begin(struct sim *sim, unsigned brokers, uint64_t seed, bool mortal)
{
    *sim = (struct sim){.seed = seed, .state = seed * 0x9E3779B97F4A7C15U, .mortal = mortal};
    if (mortal)
        cores_log_init(&sim->log, brokers, SLOTS);
    else
        cores_init(&sim->log.cores, brokers, SLOTS);
    for (unsigned i = 0; i < brokers; i++)
        sim->log.cores.core[i].rig.verdict = (i + seed) % 3 ? FL_BROKER_KEEP : FL_BROKER_ROUTE;
    for (size_t r = 0; r < READERS; r++) {
        join(sim, WRITERS + r, false);
        subscribe(sim, WRITERS + r, "s/#");
    }
    for (size_t m = 0; m < MEMBERS; m++) {
        join(sim, FIRST_MEMBER + m, false);
        subscribe(sim, FIRST_MEMBER + m, "$share/g/s/#");
    }
}

static void run(struct sim *sim, unsigned brokers, uint64_t seed, bool mortal)
{
    begin(sim, brokers, seed, mortal);
    for (int i = 0; i < STEPS && !all_written(sim); i++) {
        step(sim);
        if (mortal)
            fate(sim);
        if (i % 50 == 0)
            check_counts(sim);
    }
    for (int round = 0; round < 200 && !all_written(sim); round++)
        for (size_t w = 0; w < WRITERS; w++) {
            settle_some(sim, 0);
            settle_cores(sim);
            if (client_of(sim, w)->conn)
                writer_hear(sim, w);
        }
    if (!all_written(sim))
        fail_msg("seed %llu: not all was acknowledged", (unsigned long long)sim->seed);
    finish(sim);
    finish_share(sim);
    if (mortal)
        cores_log_free(&sim->log);
    else
        cores_free(&sim->log.cores);
}

static void run_all(unsigned brokers, bool mortal)
{
    struct sim *sim = malloc(sizeof *sim);
    unsigned crashes = 0;

    assert_non_null(sim);
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        run(sim, brokers, seed, mortal);
        crashes += sim->crashes;
    }
    assert_true(!mortal || crashes > RUNS);
    free(sim);
}

static void acknowledged_messages_reach_persistent_subscribers_in_order(void **state)
{
    (void)state;
    run_all(1, false);
}

static void and_so_they_do_through_two_brokers(void **state)
{
    (void)state;
    run_all(2, false);
}

static void and_through_three(void **state)
{
    (void)state;
    run_all(3, false);
}

static void the_same_over_crashes_and_checkpoints(void **state)
{
    (void)state;
    run_all(1, true);
}

static void and_through_two_brokers_that_crash(void **state)
{
    (void)state;
    run_all(2, true);
}

static void and_through_three_that_crash(void **state)
{
    (void)state;
    run_all(3, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_messages_reach_persistent_subscribers_in_order),
        cmocka_unit_test(and_so_they_do_through_two_brokers),
        cmocka_unit_test(and_through_three),
        cmocka_unit_test(the_same_over_crashes_and_checkpoints),
        cmocka_unit_test(and_through_two_brokers_that_crash),
        cmocka_unit_test(and_through_three_that_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
