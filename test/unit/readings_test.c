/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "front/readings.h"
#include "front/stamps.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW ((fl_time_t)1795334400000)

struct world {
    struct fl_readings *readings;
    bool hub_is_there;
    unsigned sends;
    uint64_t last_batch;
    struct fl_buffer records; /* of the last batch */
    uint64_t settled[16];
    enum fl_error errors[16];
    size_t settled_count;
};

static bool on_send(void *self, uint64_t batch, struct fl_slice records)
{
    struct world *w = self;

    if (!w->hub_is_there)
        return false;
    w->sends++;
    w->last_batch = batch;
    fl_buffer_clear(&w->records);
    assert_ok(fl_buffer_append_slice(&w->records, records));
    return true;
}

static void on_settle(void *self, uint64_t token, enum fl_error error)
{
    struct world *w = self;

    if (w->settled_count < 16) {
        w->settled[w->settled_count] = token;
        w->errors[w->settled_count] = error;
    }
    w->settled_count++;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct fl_readings_host host = {.send = on_send, .settle = on_settle, .self = w};

    assert_non_null(w);
    assert_ok(fl_readings_create(&host, &w->readings, NULL));
    w->records = FL_BUFFER(FL_LIMIT_MSG);
    w->hub_is_there = true;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    fl_readings_free(w->readings);
    fl_buffer_free(&w->records);
    free(w);
    return 0;
}

static struct fl_reading_list list;

/* A message with `count` readings of stream "s". */
static enum fl_error add(struct world *w, size_t count, bool has_time, uint64_t token, bool dup)
{
    struct fl_readings_origin origin = {.topic = fl_slice_str("d/a/t/s"),
                                        .payload = fl_slice_str("1"),
                                        .packet_id = 7,
                                        .redelivery = dup,
                                        .wants_answer = token != 0,
                                        .token = token};

    list.count = count;
    list.has_time = has_time;
    for (size_t i = 0; i < count; i++)
        list.items[i] = (struct fl_reading){.device = fl_slice_str("a"),
                                            .stream = fl_slice_str("s"),
                                            .t = has_time ? 1000 : NOW,
                                            .value = 1};
    return fl_readings_add(w->readings, &list, &origin, NOW);
}

static struct fl_reading nth(struct world *w, size_t n)
{
    struct fl_slice records = fl_buffer_slice(&w->records);
    struct fl_reading reading = {0};

    for (size_t i = 0; i <= n; i++)
        assert_ok(fl_msg_next_reading(&records, &reading));
    return reading;
}

static void readings_of_one_round_go_in_one_batch(void **state)
{
    struct world *w = *state;

    assert_ok(add(w, 2, true, 11, false));
    assert_ok(add(w, 1, true, 12, false));
    assert_ok(add(w, 1, true, 0, false));
    assert_int_equal(w->sends, 0);
    fl_readings_flush(w->readings);
    fl_readings_flush(w->readings);
    assert_int_equal(w->sends, 1);
    assert_int_equal(fl_readings_uncommitted(w->readings), 4);
    assert_int_equal(nth(w, 3).t, 1000);
    assert_int_equal(nth(w, 3).message, 0);
}

static void a_message_is_settled_only_when_its_batch_is_stored(void **state)
{
    struct world *w = *state;

    assert_ok(add(w, 1, true, 11, false));
    fl_readings_flush(w->readings);
    assert_ok(add(w, 1, true, 12, false));
    fl_readings_flush(w->readings);
    assert_int_equal(w->settled_count, 0);
    fl_readings_done(w->readings, w->last_batch, FL_EFULL);
    assert_int_equal(w->settled_count, 1);
    assert_int_equal(w->settled[0], 12);
    assert_int_equal(w->errors[0], FL_EFULL);
    fl_readings_done(w->readings, w->last_batch, FL_OK); /* unknown now */
    fl_readings_done(w->readings, 999, FL_OK);
    assert_int_equal(w->settled_count, 1);
    fl_readings_done(w->readings, w->last_batch - 1, FL_OK);
    assert_int_equal(w->settled[1], 11);
    assert_int_equal(w->errors[1], FL_OK);
    assert_int_equal(fl_readings_uncommitted(w->readings), 0);
}

static void what_is_not_stored_is_sent_again_to_a_new_hub(void **state)
{
    struct world *w = *state;
    uint64_t first = 0;

    assert_ok(add(w, 1, true, 11, false));
    fl_readings_flush(w->readings);
    first = w->last_batch;
    w->hub_is_there = false;
    assert_ok(add(w, 1, true, 12, false));
    fl_readings_flush(w->readings);
    assert_int_equal(w->sends, 1);
    fl_readings_resend(w->readings);
    w->hub_is_there = true;
    fl_readings_resend(w->readings);
    assert_int_equal(w->sends, 3);
    assert_int_equal(w->last_batch, first + 1);
    fl_readings_done(w->readings, first, FL_OK);
    fl_readings_done(w->readings, first + 1, FL_OK);
    assert_int_equal(w->settled_count, 2);
}

static void times_given_here_strictly_increase_in_a_stream(void **state)
{
    struct world *w = *state;

    assert_ok(add(w, 2, false, 0, false));
    assert_ok(add(w, 1, false, 0, false));
    fl_readings_flush(w->readings);
    assert_int_equal(nth(w, 0).t, NOW);
    assert_int_equal(nth(w, 1).t, NOW + 1);
    assert_int_equal(nth(w, 2).t, NOW + 2);
}

static void remembered_streams_are_bounded(void **state)
{
    struct fl_stamps stamps = {0};
    struct fl_slice device = fl_slice_str("a");
    fl_time_t t = 0;
    char name[16];

    (void)state;
    for (int i = 0; i < FL_LIMIT_STAMPS; i++) {
        (void)snprintf(name, sizeof name, "s%d", i);
        assert_ok(fl_stamps_next(&stamps, device, fl_slice_str(name), NOW, &t));
        assert_true(t == NOW);
    }
    assert_int_equal(fl_stamps_next(&stamps, device, fl_slice_str("more"), NOW, &t), FL_EBUSY);
    assert_ok(fl_stamps_next(&stamps, device, fl_slice_str("s7"), NOW - 1, &t));
    assert_true(t == NOW + 1);
    assert_ok(fl_stamps_next(&stamps, device, fl_slice_str("more"), NOW + 1, &t));
    assert_int_equal(stamps.streams.count, 2);
    assert_ok(fl_stamps_next(&stamps, device, fl_slice_str("s7"), NOW, &t));
    assert_true(t == NOW + 2);
    fl_stamps_free(&stamps);
}

static void a_redelivered_message_is_known_by_its_content(void **state)
{
    struct world *w = *state;

    assert_ok(add(w, 1, false, 1, false));
    assert_ok(add(w, 1, false, 2, true));
    assert_ok(add(w, 1, true, 3, true));
    fl_readings_flush(w->readings);
    assert_true(nth(w, 0).message != 0);
    assert_false(nth(w, 0).redelivery);
    assert_true(nth(w, 1).redelivery);
    assert_true(nth(w, 0).message == nth(w, 1).message);
    assert_false(nth(w, 2).redelivery);
}

static void a_full_batch_is_followed_by_another(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 150; i++)
        assert_ok(add(w, FL_LIMIT_READINGS_PER_MESSAGE, true, 1, false));
    assert_true(w->sends >= 1);
    assert_true(w->records.size <= FL_LIMIT_MSG - 64);
    fl_readings_flush(w->readings);
    assert_int_equal(fl_readings_uncommitted(w->readings), 150 * FL_LIMIT_READINGS_PER_MESSAGE);
}

static void uncommitted_readings_are_bounded(void **state)
{
    struct world *w = *state;
    size_t taken = 0;
    bool was_full = false;

    w->hub_is_there = false;
    while (add(w, 200, true, 5, false) == FL_OK) {
        taken += 200;
        was_full |= fl_readings_full(w->readings);
    }
    assert_true(was_full);
    assert_true(taken <= FL_LIMIT_READINGS_UNCOMMITTED);
    assert_true(taken + 200 > FL_LIMIT_READINGS_UNCOMMITTED);
    assert_int_equal(add(w, 200, true, 5, false), FL_EBUSY);
    fl_readings_flush(w->readings);
    w->hub_is_there = true;
    fl_readings_resend(w->readings);
    for (uint64_t batch = 1; batch <= w->last_batch; batch++)
        fl_readings_done(w->readings, batch, FL_OK);
    assert_int_equal(w->settled_count, taken / 200);
    assert_false(fl_readings_full(w->readings));
    assert_ok(add(w, 200, true, 5, false));
}

/* One worker of several has a share of them. */
static void the_bound_may_be_smaller(void **state)
{
    struct world *w = *state;
    struct fl_readings_host host = {.send = on_send,
                                    .settle = on_settle,
                                    .self = w,
                                    .uncommitted_max = FL_LIMIT_READINGS_WORKER};
    size_t taken = 0;

    fl_readings_free(w->readings);
    assert_ok(fl_readings_create(&host, &w->readings, NULL));
    assert_false(fl_readings_full(w->readings));
    while (add(w, 200, true, 5, false) == FL_OK)
        taken += 200;
    assert_true(taken <= FL_LIMIT_READINGS_WORKER);
    assert_true(taken + 200 > FL_LIMIT_READINGS_WORKER);
    assert_true(fl_readings_full(w->readings));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        WORLD_TEST(readings_of_one_round_go_in_one_batch),
        WORLD_TEST(a_message_is_settled_only_when_its_batch_is_stored),
        WORLD_TEST(what_is_not_stored_is_sent_again_to_a_new_hub),
        WORLD_TEST(times_given_here_strictly_increase_in_a_stream),
        cmocka_unit_test(remembered_streams_are_bounded),
        WORLD_TEST(a_redelivered_message_is_known_by_its_content),
        WORLD_TEST(a_full_batch_is_followed_by_another),
        WORLD_TEST(uncommitted_readings_are_bounded),
        WORLD_TEST(the_bound_may_be_smaller),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
