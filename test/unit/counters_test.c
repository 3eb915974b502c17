/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "codec/counters.h"
#include "front/meter.h"

#include <stdio.h>
#include <stdlib.h>

static void check_table(const struct fl_counter *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct fl_counter *row = &rows[i];
        bool first = i == 0 || strcmp(rows[i - 1].metric, row->metric) != 0;
        size_t size = strlen(row->metric);
        bool total = size > 6 && strcmp(row->metric + size - 6, "_total") == 0;

        /* One metric stands together, says once what it is, and its rows differ in their labels. */
        assert_true(first == (row->words[0] != '\0'));
        for (size_t k = 0; k < i; k++) {
            bool same = strcmp(rows[k].metric, row->metric) == 0;

            assert_false(same && first);
            assert_false(same && strcmp(rows[k].labels, row->labels) == 0);
            assert_false(same && rows[k].kind != row->kind);
        }
        assert_true(total == (row->kind == FL_COUNTER));
    }
}

static void the_tables_make_a_proper_exposition(void **state)
{
    (void)state;
    check_table(fl_counters_worker, fl_counters_worker_count);
    check_table(fl_counters_process, fl_counters_process_count);
    check_table(fl_counters_log, fl_counters_log_count);
    for (size_t i = 0; i < fl_counters_worker_count; i++)
        for (size_t k = 0; k < fl_counters_process_count; k++)
            assert_string_not_equal(fl_counters_worker[i].metric, fl_counters_process[k].metric);
    /* They fit the message, with as many workers as there may be. */
    assert_true(sizeof(struct fl_counters_worker) <= 4096);
    assert_true(sizeof(struct fl_counters_process) <= 4096);
    assert_true(sizeof(struct fl_counters_log) <= 4096);
}

static void counters_come_back_as_they_went(void **state)
{
    struct fl_counters_worker all[3];
    struct fl_counters_worker back;
    struct fl_buffer out = FL_BUFFER(65536);
    struct fl_slice in = {0};

    (void)state;
    for (size_t i = 0; i < sizeof all; i++)
        ((uint8_t *)all)[i] = (uint8_t)(i * 7);
    for (int i = 0; i < 3; i++)
        assert_ok(fl_counters_put(&all[i], sizeof all[i], &out));
    in = fl_buffer_slice(&out);
    for (int i = 0; i < 3; i++) {
        assert_ok(fl_counters_next(&in, &back, sizeof back));
        assert_memory_equal(&back, &all[i], sizeof back);
    }
    assert_int_equal(fl_counters_next(&in, &back, sizeof back), FL_ENOTFOUND);
    in = fl_buffer_slice(&out);
    in.size--;
    assert_ok(fl_counters_next(&in, &back, sizeof back));
    assert_ok(fl_counters_next(&in, &back, sizeof back));
    assert_int_equal(fl_counters_next(&in, &back, sizeof back), FL_EPARSE);
    fl_buffer_free(&out);
}

static void the_busiest_come_back_and_nonsense_does_not(void **state)
{
    static const struct fl_busy one = {
        .device = "cam-01", .by_bytes = true, .weight = UINT64_MAX, .over = 3, .other = 9};
    struct fl_busy back = {0};
    struct fl_buffer out = FL_BUFFER(256);
    struct fl_slice in = {0};

    (void)state;
    assert_ok(fl_busy_put(&one, &out));
    in = fl_buffer_slice(&out);
    assert_ok(fl_busy_next(&in, &back));
    assert_memory_equal(&back, &one, sizeof back);
    assert_int_equal(fl_busy_next(&in, &back), FL_ENOTFOUND);
    for (size_t size = 1; size < out.size; size++) {
        in = fl_slice(fl_buffer_slice(&out).data, size);
        assert_int_equal(fl_busy_next(&in, &back), FL_EPARSE);
    }
    out.data[1] = '/';
    in = fl_buffer_slice(&out);
    assert_int_equal(fl_busy_next(&in, &back), FL_EPARSE);
    fl_buffer_free(&out);
}

struct heard {
    size_t messages;
    size_t workers;
    size_t busiest;
    struct fl_counters_log log;
};

static bool hear(void *self, const struct fl_msg *msg)
{
    struct heard *heard = self;
    struct fl_slice in = msg->as.counters.busiest;
    struct fl_slice log = msg->as.counters.log;
    struct fl_busy busy;
    struct fl_buffer frame = FL_BUFFER(FL_LIMIT_MSG);

    heard->messages++;
    assert_int_equal(msg->type, fl_msg_type_counters);
    assert_ok(fl_msg_encode(msg, &frame, NULL));
    heard->workers = msg->as.counters.workers.size / sizeof(struct fl_counters_worker);
    heard->busiest = 0;
    assert_ok(fl_counters_next(&log, &heard->log, sizeof heard->log));
    while (fl_busy_next(&in, &busy) == FL_OK)
        heard->busiest++;
    assert_int_equal(in.size, 0);
    fl_buffer_free(&frame);
    return true;
}

static void many_workers_with_long_names_fit_one_message(void **state)
{
    struct heard heard = {0};
    const struct fl_link link = {.send = hear, .self = &heard};
    struct fl_counters_process process = {0};
    struct fl_counters_log log = {.appends = 9};
    struct fl_meter *meters = calloc(FL_LIMIT_WORKERS, sizeof *meters);
    struct fl_meter *workers[FL_LIMIT_WORKERS];

    (void)state;
    assert_non_null(meters);
    for (int i = 0; i < FL_LIMIT_WORKERS; i++) {
        workers[i] = &meters[i];
        for (int k = 0; k < FL_LIMIT_BUSIEST; k++) {
            char name[FL_NAME_MAX + 1];
            uint8_t place = 255;

            memset(name, 'a', sizeof name);
            (void)snprintf(name, sizeof name, "%020d%020d%024d", i, k, 0);
            fl_heaviest_add(&meters[i].by_messages, fl_slice_str(name), &place, 5, 1);
            place = 255;
            fl_heaviest_add(&meters[i].by_bytes, fl_slice_str(name), &place, 5, 1);
        }
    }
    fl_meter_tell(&link, &process, &log, workers, FL_LIMIT_WORKERS, 1000);
    assert_int_equal(heard.messages, 1);
    assert_int_equal(heard.workers, FL_LIMIT_WORKERS);
    assert_int_equal(heard.log.appends, 9);
    assert_in_range(heard.busiest, 100, 2 * FL_LIMIT_WORKERS * FL_LIMIT_BUSIEST);
    fl_meter_tell(&link, &process, &log, workers, 1, 1000);
    assert_int_equal(heard.busiest, 0); /* a new interval */
    free(meters);
}

static void refusals_are_counted_by_their_reason(void **state)
{
    struct fl_meter m = {0};

    (void)state;
    fl_meter_refused(&m, "not authorized");
    fl_meter_refused(&m, "quota exceeded");
    fl_meter_refused(&m, "something else");
    fl_meter_reading(&m, FL_EINVAL);
    fl_meter_reading(&m, FL_EPARSE);
    fl_meter_reading(&m, FL_ENOTFOUND);
    fl_meter_reading(&m, FL_EBUSY);
    fl_meter_handshake(&m, FL_EDENIED);
    fl_meter_handshake(&m, FL_ETIMEOUT);
    fl_meter_handshake(&m, FL_EAUTH);
    assert_int_equal(m.counters.refused_unauthorized, 1);
    assert_int_equal(m.counters.refused_quota, 2);
    assert_int_equal(m.counters.refused_other, 1);
    assert_int_equal(m.counters.refused_range, 1);
    assert_int_equal(m.counters.refused_malformed, 1);
    assert_int_equal(m.counters.refused_stream, 1);
    assert_int_equal(m.counters.handshakes_refused, 1);
    assert_int_equal(m.counters.handshakes_late, 1);
    assert_int_equal(m.counters.handshakes_failed, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_make_a_proper_exposition),
        cmocka_unit_test(counters_come_back_as_they_went),
        cmocka_unit_test(the_busiest_come_back_and_nonsense_does_not),
        cmocka_unit_test(many_workers_with_long_names_fit_one_message),
        cmocka_unit_test(refusals_are_counted_by_their_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
