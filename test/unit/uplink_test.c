/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "agent/uplink.h"
#include "base/log.h"
#include "codec/mqtt.h"
#include "test/twin/files_twin.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A hub that acknowledges what it has stored and recognises what it has already. Which answer it
 * gives is a test's to say. */
#define STORED_MAX 4096

struct hub {
    char stored[STORED_MAX][96]; /* "topic payload" */
    size_t count;
    size_t duplicates;
    size_t received;
    uint8_t reason;         /* for every publish, when not 0 */
    const char *refused;    /* a part of the topics that get it; NULL: all */
    size_t silent_after;    /* publishes from then on are not acknowledged; 0: never */
    uint8_t connack_reason; /* 0: accepted */
    struct fl_buffer in;
    struct fl_buffer out;
};

static struct fl_files_twin *twin;
static struct fl_files files;
static struct fl_outbox *outbox;
static struct fl_uplink *uplink;
static struct hub hub;
static fl_time_t now;
static char last_log[1024];

static void note_log(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)snprintf(last_log, sizeof last_log, "%s: %s", tag, text);
}

static enum fl_error open_agent(void)
{
    struct fl_context ctx = {0};
    enum fl_error error = fl_outbox_open(&files, NULL, &outbox, &ctx);

    if (!error)
        error = fl_uplink_create(outbox, "cam-01", &uplink, &ctx);
    return error;
}

static void close_agent(void)
{
    fl_uplink_free(uplink);
    fl_outbox_close(outbox);
    uplink = NULL;
    outbox = NULL;
}

static int set_up(void **state)
{
    (void)state;
    twin = fl_files_twin_new(1);
    files = fl_files_twin_files(twin);
    memset(&hub, 0, sizeof hub);
    hub.in = FL_BUFFER(1 << 20);
    hub.out = FL_BUFFER(1 << 20);
    now = 1000000;
    last_log[0] = 0;
    fl_log_set_writer(note_log);
    return (int)open_agent();
}

static int tear_down(void **state)
{
    (void)state;
    close_agent();
    fl_files_twin_free(twin);
    fl_buffer_free(&hub.in);
    fl_buffer_free(&hub.out);
    fl_log_set_writer(NULL);
    return 0;
}

static void hub_answer(const struct fl_mqtt_packet *packet)
{
    assert_ok(fl_mqtt_encode(packet, FL_MQTT_5, 65536, &hub.out));
}

static void hub_publish(const struct fl_mqtt_packet *packet)
{
    char text[96];
    struct fl_mqtt_packet ack = {.type = FL_MQTT_PUBACK};

    (void)snprintf(text, sizeof text, "%.*s %.*s", FL_SLICE_ARGS(packet->as.publish.topic),
                   FL_SLICE_ARGS(packet->as.publish.payload));
    hub.received++;
    ack.as.ack.packet_id = packet->as.publish.packet_id;
    if (hub.reason && (!hub.refused || strstr(text, hub.refused))) {
        ack.as.ack.reason = hub.reason;
        hub_answer(&ack);
        return;
    }
    for (size_t i = 0; i < hub.count; i++) {
        if (strcmp(hub.stored[i], text) == 0) {
            hub.duplicates++;
            hub_answer(&ack);
            return;
        }
    }
    assert_true(hub.count < STORED_MAX);
    (void)snprintf(hub.stored[hub.count++], sizeof hub.stored[0], "%s", text);
    if (!hub.silent_after || hub.received < hub.silent_after)
        hub_answer(&ack);
}

static void hub_receive(void)
{
    struct fl_slice bytes = fl_buffer_slice(&hub.in);
    const struct fl_mqtt_mode mode = {.version = FL_MQTT_5, .packet_max = 65536};
    struct fl_mqtt_packet packet;
    struct fl_mqtt_fault fault = {0};
    size_t before = bytes.size;

    for (;;) {
        enum fl_error error = FL_OK;

        memset(&packet, 0, sizeof packet);
        error = fl_mqtt_decode(&bytes, &mode, &packet, &fault);
        if (error == FL_EMORE)
            break;
        assert_int_equal(error, FL_OK);
        if (packet.type == FL_MQTT_CONNECT) {
            struct fl_mqtt_packet ack = {.type = FL_MQTT_CONNACK};

            assert_slice_equal(packet.as.connect.client_id, "cam-01");
            ack.as.connack.reason = hub.connack_reason;
            hub_answer(&ack);
        } else if (packet.type == FL_MQTT_PUBLISH) {
            assert_int_equal(packet.as.publish.qos, 1);
            hub_publish(&packet);
        }
    }
    fl_buffer_consume(&hub.in, before - bytes.size);
}

/* Carries bytes both ways until nothing moves; FL_OK while the connection stands. */
static enum fl_error talk(void)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    for (int i = 0; i < 10000 && !error; i++) {
        struct fl_buffer *out = fl_uplink_output(uplink);

        if (out->size == 0 && hub.out.size == 0)
            break;
        assert_ok(fl_buffer_append_slice(&hub.in, fl_buffer_slice(out)));
        fl_buffer_consume(out, out->size);
        hub_receive();
        if (hub.out.size)
            error = fl_uplink_receive(uplink, fl_buffer_slice(&hub.out), now, &ctx);
        fl_buffer_clear(&hub.out);
    }
    return error;
}

static void connect_hub(void)
{
    struct fl_context ctx = {0};

    fl_buffer_clear(&hub.in);
    fl_buffer_clear(&hub.out);
    assert_ok(fl_uplink_start(uplink, now, &ctx));
}

static void add(const char *stream, fl_time_t t, double value)
{
    struct fl_context ctx = {0};

    if (fl_uplink_add(uplink, stream, t, true, value, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
}

static void commit(void)
{
    struct fl_context ctx = {0};

    if (fl_uplink_commit(uplink, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
}

/* --- The good way ------------------------------------------------------------------------------
 */

static void readings_reach_the_hub_in_order_and_leave_the_outbox(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++)
        add(i % 2 ? "motion" : "temperature", 1763800000000 + i, i);
    commit();
    connect_hub();
    assert_ok(talk());
    assert_int_equal(hub.count, 200);
    assert_string_equal(hub.stored[0], "d/cam-01/t/temperature {\"t\":1763800000000,\"v\":0}");
    assert_string_equal(hub.stored[199], "d/cam-01/t/motion {\"t\":1763800000199,\"v\":199}");
    assert_true(fl_uplink_is_empty(uplink));
    assert_true(fl_uplink_is_open(uplink));
    assert_int_equal(fl_uplink_count(uplink).acknowledged, 200);
}

static void nothing_is_sent_before_it_is_on_stable_storage(void **state)
{
    (void)state;
    connect_hub();
    assert_ok(talk());
    add("temperature", 1, 20);
    fl_uplink_pump(uplink, now);
    assert_int_equal(fl_uplink_output(uplink)->size, 0);
    assert_false(fl_uplink_is_empty(uplink));
    commit();
    fl_uplink_pump(uplink, now);
    assert_ok(talk());
    assert_int_equal(hub.count, 1);
    assert_true(fl_uplink_is_empty(uplink));
}

static void readings_of_one_stream_at_one_instant_get_times_of_their_own(void **state)
{
    (void)state;
    add("temperature", 1000, 20);
    add("temperature", 1000, 20);
    add("temperature", 900, 20);
    add("motion", 1000, 1);
    add("temperature", 2000, 20);
    commit();
    connect_hub();
    assert_ok(talk());
    assert_int_equal(hub.count, 5);
    assert_string_equal(hub.stored[1], "d/cam-01/t/temperature {\"t\":1001,\"v\":20}");
    assert_string_equal(hub.stored[2], "d/cam-01/t/temperature {\"t\":1002,\"v\":20}");
    assert_string_equal(hub.stored[3], "d/cam-01/t/motion {\"t\":1000,\"v\":1}");
    assert_string_equal(hub.stored[4], "d/cam-01/t/temperature {\"t\":2000,\"v\":20}");
}

static void a_time_that_the_source_gives_is_kept(void **state)
{
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(fl_uplink_add(uplink, "temperature", 5000, false, 1.5, &ctx));
    assert_ok(fl_uplink_add(uplink, "temperature", 4000, false, 1.25, &ctx));
    add("temperature", 3000, 1);
    commit();
    connect_hub();
    assert_ok(talk());
    assert_string_equal(hub.stored[0], "d/cam-01/t/temperature {\"t\":5000,\"v\":1.5}");
    assert_string_equal(hub.stored[1], "d/cam-01/t/temperature {\"t\":4000,\"v\":1.25}");
    assert_string_equal(hub.stored[2], "d/cam-01/t/temperature {\"t\":5001,\"v\":1}");
}

/* --- Cuts --------------------------------------------------------------------------------------
 */

static void what_was_not_acknowledged_is_sent_again_on_the_next_connection(void **state)
{
    (void)state;
    hub.silent_after = 10;
    for (int i = 0; i < 100; i++)
        add("temperature", 1000 + i, i);
    commit();
    connect_hub();
    assert_ok(talk());
    assert_int_equal(fl_uplink_count(uplink).acknowledged, 9);
    fl_uplink_lost(uplink);
    assert_false(fl_uplink_is_open(uplink));
    hub.silent_after = 0;
    connect_hub();
    assert_ok(talk());
    assert_int_equal(hub.count, 100);
    assert_true(hub.duplicates > 0);
    assert_int_equal(fl_uplink_count(uplink).acknowledged, 100);
    assert_true(fl_uplink_is_empty(uplink));
}

static void a_hub_that_never_answers_ends_the_connection(void **state)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;
    (void)state;

    hub.silent_after = 1;
    add("temperature", 1, 1);
    commit();
    connect_hub();
    assert_ok(talk());
    for (int i = 0; i < 100 && !error; i++) {
        fl_time_t due = fl_uplink_next_timeout(uplink);

        assert_true(due != FL_TIME_NEVER);
        now = due > now ? due : now + 1;
        error = fl_uplink_tick(uplink, now, &ctx);
    }
    assert_int_equal(error, FL_ETIMEOUT);
    assert_true(ctx.text[0] != 0);
    assert_int_equal(fl_uplink_count(uplink).waiting, 1);
}

static void a_hub_that_refuses_the_connection_says_why(void **state)
{
    (void)state;
    hub.connack_reason = FL_MQTT_NOT_AUTHORIZED;
    add("temperature", 1, 1);
    commit();
    connect_hub();
    assert_int_equal(talk(), FL_ECLOSED);
    assert_false(fl_uplink_is_open(uplink));
    assert_int_equal(fl_uplink_count(uplink).waiting, 1);
}

/* --- Refusals ----------------------------------------------------------------------------------
 */

static void a_reading_that_the_hub_does_not_want_blocks_no_other(void **state)
{
    static const uint8_t reasons[] = {FL_MQTT_NOT_AUTHORIZED, FL_MQTT_PAYLOAD_FORMAT,
                                      FL_MQTT_TOPIC_INVALID, FL_MQTT_PACKET_TOO_LARGE};
    (void)state;

    connect_hub();
    assert_ok(talk());
    /* PACKET_TOO_LARGE may not stand in a PUBACK: the last one is only about our own table. */
    for (size_t i = 0; i < sizeof reasons - 1; i++) {
        hub.reason = reasons[i];
        hub.refused = "poison";
        add("poison", 1, 1);
        add("temperature", (fl_time_t)(1000 + i), 1);
        commit();
        fl_uplink_pump(uplink, now);
        assert_ok(talk());
        assert_int_equal(hub.count, i + 1);
        assert_int_equal(fl_uplink_count(uplink).refused, i + 1);
        assert_true(fl_uplink_is_empty(uplink));
    }
    assert_contains(last_log, "poison");
    assert_contains(last_log, "not authorized"); /* said once for each stream */
}

static void a_reading_that_the_hub_has_no_room_for_is_kept_and_tried_again(void **state)
{
    struct fl_context ctx = {0};
    size_t received = 0;
    (void)state;

    hub.reason = FL_MQTT_QUOTA;
    for (int i = 0; i < 5; i++)
        add("temperature", 1000 + i, i);
    commit();
    connect_hub();
    assert_ok(talk());
    assert_contains(last_log, "quota exceeded");
    assert_int_equal(fl_uplink_count(uplink).waiting, 5);
    received = hub.received;
    /* not before the pause is over */
    fl_uplink_pump(uplink, now + 10);
    assert_int_equal(fl_uplink_output(uplink)->size, 0);
    for (int i = 0; i < 3; i++) {
        fl_time_t due = fl_uplink_next_timeout(uplink);

        assert_true(due > now && due <= now + 30000);
        now = due;
        if (i == 2)
            hub.reason = 0;
        assert_ok(fl_uplink_tick(uplink, now, &ctx));
        assert_ok(talk());
    }
    assert_true(hub.received > received);
    assert_int_equal(hub.count, 5);
    assert_int_equal(hub.duplicates, 0);
    assert_true(fl_uplink_is_empty(uplink));
    /* and no timer of the past is left to spin on */
    assert_true(fl_uplink_next_timeout(uplink) > now);
}

static void what_is_no_reading_is_not_taken(void **state)
{
    struct fl_context ctx = {0};
    char name[32];
    (void)state;

    assert_int_equal(fl_uplink_add(uplink, "a/b", 1, true, 1, &ctx), FL_EINVAL);
    assert_int_equal(fl_uplink_add(uplink, "", 1, true, 1, &ctx), FL_EINVAL);
    assert_int_equal(fl_uplink_add(uplink, "x", 1, true, (double)NAN, &ctx), FL_EINVAL);
    assert_int_equal(fl_uplink_add(uplink, "x", 1, true, HUGE_VAL, &ctx), FL_EINVAL);
    for (int i = 0; i < FL_LIMIT_AGENT_STREAMS; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        assert_ok(fl_uplink_add(uplink, name, 1, true, 1, &ctx));
    }
    assert_int_equal(fl_uplink_add(uplink, "one-more", 1, true, 1, &ctx), FL_ELIMIT);
    assert_ok(fl_uplink_add(uplink, "s7", 2, true, 1, &ctx));
}

static void a_damaged_record_blocks_no_other(void **state)
{
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(fl_outbox_append(outbox, fl_slice_str("not a record of ours"), NULL, &ctx));
    add("temperature", 1, 1);
    commit();
    connect_hub();
    assert_ok(talk());
    assert_int_equal(hub.count, 1);
    assert_int_equal(fl_uplink_count(uplink).refused, 1);
    assert_true(fl_uplink_is_empty(uplink));
}

static void a_full_disk_refuses_the_reading_and_passes(void **state)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;
    (void)state;

    fl_files_twin_space(twin, 4096);
    for (int i = 0; i < 1000 && !error; i++) {
        error = fl_uplink_add(uplink, "temperature", i, true, i, &ctx);
        if (!error)
            error = fl_uplink_commit(uplink, &ctx);
    }
    assert_int_equal(error, FL_EFULL);
    assert_contains(ctx.text, "outbox");
    fl_files_twin_space(twin, UINT64_MAX);
    add("temperature", 5000, 1);
    commit();
    connect_hub();
    assert_ok(talk());
    assert_true(fl_uplink_is_empty(uplink));
}

/* --- Killed at every step ----------------------------------------------------------------------
 */

#define RUN_READINGS 60
#define RUN_BATCH 7

/* Measures and sends; returns how many readings were surely synced when the crash came, or all. The
 * connection is cut now and then, too. */
static int work(int from)
{
    struct fl_context ctx = {0};
    int synced = from;

    for (int i = from; i < RUN_READINGS; i++) {
        if (fl_uplink_add(uplink, "temperature", 1000 + i, true, i, &ctx) != FL_OK)
            return synced;
        if (i % RUN_BATCH == RUN_BATCH - 1 || i == RUN_READINGS - 1) {
            if (fl_uplink_commit(uplink, &ctx) != FL_OK)
                return synced;
            synced = i + 1;
            if (i % (3 * RUN_BATCH) == RUN_BATCH - 1) {
                fl_uplink_lost(uplink);
                connect_hub();
            }
            fl_uplink_pump(uplink, now);
            if (talk() != FL_OK)
                return synced;
        }
    }
    return synced;
}

static bool stored(int value)
{
    char text[96];

    (void)snprintf(text, sizeof text, "d/cam-01/t/temperature {\"t\":%d,\"v\":%d}", 1000 + value,
                   value);
    for (size_t i = 0; i < hub.count; i++)
        if (strcmp(hub.stored[i], text) == 0)
            return true;
    return false;
}

static void restart_and_deliver(enum fl_files_twin_crash kind, uint64_t step, int synced)
{
    close_agent();
    fl_files_twin_restart(twin, kind);
    assert_int_equal(open_agent(), FL_OK);
    connect_hub();
    assert_int_equal(talk(), FL_OK);
    assert_true(fl_uplink_is_empty(uplink));
    for (int i = 0; i < synced; i++)
        if (!stored(i))
            fail_msg("crash at change %llu: reading %d of %d synced ones is lost",
                     (unsigned long long)step, i, synced);
}

static void crash_everywhere(enum fl_files_twin_crash kind)
{
    void *state = NULL;
    bool crashed = true;

    for (uint64_t step = 1; crashed; step++) {
        int synced = 0;

        assert_int_equal(tear_down(&state), 0);
        assert_int_equal(set_up(&state), 0);
        (void)fl_files_twin_changes(twin);
        fl_files_twin_crash_at(twin, step);
        connect_hub();
        (void)talk();
        synced = work(0);
        crashed = fl_files_twin_changes(twin) >= step;
        restart_and_deliver(kind, step, synced);
        /* and the rest of the readings after it, in order, each once */
        if (work((int)hub.count) != RUN_READINGS)
            fail_msg("crash at change %llu: the second run failed", (unsigned long long)step);
        for (int i = 0; i < RUN_READINGS; i++)
            assert_true(stored(i));
        assert_int_equal(hub.count, RUN_READINGS);
    }
}

static void no_synced_reading_is_lost_wherever_the_agent_is_killed(void **state)
{
    (void)state;
    crash_everywhere(FL_TWIN_KILL);
}

static void no_synced_reading_is_lost_wherever_the_power_goes(void **state)
{
    (void)state;
    crash_everywhere(FL_TWIN_POWER);
}

/* --- Small things ------------------------------------------------------------------------------
 */

static void a_record_comes_back_as_it_was_written(void **state)
{
    static const double values[] = {0, -0.0, 1, -1.5, 0.1, 1e300, -5e-324, 21.499999999999996};
    struct fl_buffer bytes = FL_BUFFER(256);
    struct fl_record read = {0};
    (void)state;

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct fl_record record = {.stream = "x", .t = -7, .value = values[i]};
        char *end = NULL;

        fl_buffer_clear(&bytes);
        assert_ok(fl_record_encode(&record, &bytes));
        assert_ok(fl_record_decode(fl_buffer_slice(&bytes), &read));
        assert_memory_equal(&read.value, &record.value, sizeof read.value);
        assert_int_equal(read.t, -7);
        for (size_t cut = 0; cut < bytes.size; cut++)
            assert_int_equal(fl_record_decode(fl_slice(bytes.data + bytes.start, cut), &read),
                             FL_EPARSE);
        fl_buffer_clear(&bytes);
        assert_ok(fl_record_to_json(&record, &bytes));
        assert_true(strtod(strstr(fl_buffer_str(&bytes), "\"v\":") + 4, &end) == values[i]);
        assert_string_equal(end, "}");
    }
    fl_buffer_clear(&bytes);
    assert_ok(fl_record_to_json(&(struct fl_record){.t = 5, .value = 0.1}, &bytes));
    assert_string_equal(fl_buffer_str(&bytes), "{\"t\":5,\"v\":0.1}");
    fl_buffer_free(&bytes);
}

static void pauses_double_up_to_half_a_minute_and_vary(void **state)
{
    (void)state;
    assert_int_equal(fl_uplink_backoff(0, 0), 500);
    assert_int_equal(fl_uplink_backoff(1, 0), 1000);
    assert_int_equal(fl_uplink_backoff(6, 0), 30000);
    assert_int_equal(fl_uplink_backoff(4000000000U, 0), 30000);
    for (uint32_t random = 0; random < 100000; random += 77) {
        fl_time_t wait = fl_uplink_backoff(3, random);

        assert_true(wait >= 2000 && wait <= 4000);
    }
}

int main(void)
{
#define UPLINK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        UPLINK_TEST(readings_reach_the_hub_in_order_and_leave_the_outbox),
        UPLINK_TEST(nothing_is_sent_before_it_is_on_stable_storage),
        UPLINK_TEST(readings_of_one_stream_at_one_instant_get_times_of_their_own),
        UPLINK_TEST(a_time_that_the_source_gives_is_kept),
        UPLINK_TEST(what_was_not_acknowledged_is_sent_again_on_the_next_connection),
        UPLINK_TEST(a_hub_that_never_answers_ends_the_connection),
        UPLINK_TEST(a_hub_that_refuses_the_connection_says_why),
        UPLINK_TEST(a_reading_that_the_hub_does_not_want_blocks_no_other),
        UPLINK_TEST(a_reading_that_the_hub_has_no_room_for_is_kept_and_tried_again),
        UPLINK_TEST(what_is_no_reading_is_not_taken),
        UPLINK_TEST(a_damaged_record_blocks_no_other),
        UPLINK_TEST(a_full_disk_refuses_the_reading_and_passes),
        UPLINK_TEST(no_synced_reading_is_lost_wherever_the_agent_is_killed),
        UPLINK_TEST(no_synced_reading_is_lost_wherever_the_power_goes),
        cmocka_unit_test(a_record_comes_back_as_it_was_written),
        cmocka_unit_test(pauses_double_up_to_half_a_minute_and_vary),
    };
    return cmocka_run_group_tests_name("uplink", tests, NULL, NULL);
}
