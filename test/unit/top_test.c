/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "cli/text.h"
#include "cli/top_view.h"

#include <stdlib.h>

static struct fl_top_sample earlier;
static struct fl_top_sample later;
static struct fl_top_view view;

static json_t *load(int uptime_ms, int told_ms, int received, const char *device)
{
    json_t *front = json_pack(
        "{s:i, s:i, s:{s:i, s:i, s:i, s:i, s:{s:i, s:[i,i,i,i,i,i,i]}}, "
        "s:[{s:i, s:i, s:{s:i, s:[i,i]}}, {s:i}], s:[{s:s, s:s, s:i, s:i, s:i}, "
        "{s:s, s:s, s:i, s:i, s:i}]}",
        "told_ms", told_ms, "interval_ms", 1000, "log", "appends", received, "append_bytes",
        received * 100, "bytes", 250, "limit", 1000, "commit", "sum_us", received * 20, "buckets",
        0, 0, 0, 0, 0, received, 0, "workers", "received_qos1", received, "queued", 5, "round",
        "sum_us", received * 1000, "buckets", received, 0, "received_qos1", received, "busiest",
        "device", device, "by", "messages", "messages", 40, "bytes", 10, "over", 3, "device",
        device, "by", "bytes", "messages", 2, "bytes", 900, "over", 0);

    return json_pack(
        "{s:s, s:s, s:i, s:i, s:{s:i, s:[i]}, s:i, s:i, s:o, s:[{s:s, s:b, s:i, s:i}]}", "at",
        "2026-11-22T12:00:00Z", "version", "0.1.0", "uptime_ms", uptime_ms, "connected", 1,
        "commits", "sum_us", 100, "buckets", received, "commits_failed", 0, "readings", received,
        "front", front, "processes", "name", "front", "up", 1, "cpu_us", received * 500,
        "resident_bytes", 4096);
}

static void take(struct fl_top_sample *to, json_t *from)
{
    struct fl_context ctx = {0};

    assert_ok(fl_top_read(from, to, &ctx));
    json_decref(from);
}

static void rates_are_over_the_time_that_the_front_says(void **state)
{
    (void)state;
    take(&earlier, load(10000, 9500, 100, "cam-01"));
    take(&later, load(12000, 11500, 300, "cam-01"));
    fl_top_between(&earlier, &later, &view);
    assert_true(view.seconds > 1.99 && view.seconds < 2.01);
    assert_int_equal(view.delta.received_qos1, 400); /* of two workers */
    assert_int_equal(view.delta.queued, 5);
    assert_int_equal(view.log.appends, 200);
    assert_int_equal(view.log.bytes, 250);
    assert_int_equal(fl_histogram_total(&view.log.commit), 200);
    assert_int_equal(view.readings, 200);
    assert_true(view.busy[0] > 0.099 && view.busy[0] < 0.101);
    assert_true(view.cpu[0] > 0.049 && view.cpu[0] < 0.051);
    assert_int_equal(view.device_count, 1);
    assert_true(view.devices[0].messages == 40 && view.devices[0].bytes == 900);
    assert_true(view.devices[0].about);
}

static void the_log_has_a_line_and_an_object(void **state)
{
    struct fl_buffer out = FL_BUFFER(65536);
    json_t *json = NULL;
    const json_t *log = NULL;

    (void)state;
    take(&earlier, load(10000, 9500, 100, "cam-01"));
    take(&later, load(12000, 11500, 300, "cam-01"));
    fl_top_between(&earlier, &later, &view);
    fl_top_page(&view, 100, 0, false, &out);
    assert_contains(fl_buffer_str(&out),
                    "log           /s  100  bytes  10k  commit p50  1.8 ms  p99  2.5 ms"
                    "  % full   25\n");
    json = fl_top_json(&view);
    log = json_object_get(json, "log");
    assert_int_equal(json_integer_value(json_object_get(log, "bytes")), 250);
    assert_true(json_real_value(json_object_get(json_object_get(log, "per_second"), "appends")) ==
                100);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(log, "commits"), "count")),
                     200);
    json_decref(json);
    fl_buffer_free(&out);
}

static void a_front_or_a_hub_that_began_anew_is_not_a_negative_rate(void **state)
{
    (void)state;
    take(&earlier, load(10000, 9500, 300, "cam-01"));
    take(&later, load(11000, 10500, 20, "cam-01"));
    fl_top_between(&earlier, &later, &view);
    assert_int_equal(view.delta.received_qos1, 40);
    take(&later, load(500, 400, 20, "cam-01"));
    fl_top_between(&earlier, &later, &view);
    assert_true(view.seconds == 0 && view.hub_seconds == 0);
}

static void what_is_not_an_answer_is_refused_and_a_front_that_is_away_is_shown(void **state)
{
    json_t *nothing = json_pack("{s:s}", "at", "x");
    json_t *away = load(1000, 900, 1, "cam-01");
    struct fl_buffer out = FL_BUFFER(65536);
    struct fl_context ctx = {0};

    (void)state;
    assert_int_equal(fl_top_read(nothing, &later, &ctx), FL_EPARSE);
    json_decref(nothing);
    (void)json_object_set_new(away, "front", json_null());
    take(&later, away);
    fl_top_between(&later, &later, &view);
    fl_top_page(&view, 80, 0, false, &out);
    assert_contains(fl_buffer_str(&out), "the front is away");
    fl_buffer_free(&out);
}

static void a_page_fits_every_window(void **state)
{
    (void)state;
    take(&earlier, load(10000, 9500, 100, "cam-01"));
    take(&later, load(12000, 11500, 2000000,
                      "a-very-long-name-of-a-device-that-somebody-really-gave-to-it-01"));
    fl_top_between(&earlier, &later, &view);
    for (size_t width = 1; width < 130; width += 3)
        for (size_t height = 1; height < 30; height += 4) {
            struct fl_buffer out = FL_BUFFER(65536);
            struct fl_slice rest = {0};
            struct fl_slice line = {0};
            size_t lines = 0;

            fl_top_page(&view, width, height, false, &out);
            rest = fl_buffer_slice(&out);
            while (fl_slice_cut(&rest, '\n', &line)) {
                lines++;
                assert_true(fl_text_width(line) <= width);
            }
            assert_true(lines <= height && rest.size == 0);
            fl_buffer_free(&out);
        }
}

static void colour_is_only_there_when_it_is_asked_for(void **state)
{
    struct fl_buffer plain = FL_BUFFER(65536);
    struct fl_buffer coloured = FL_BUFFER(65536);

    (void)state;
    fl_top_page(&view, 80, 0, false, &plain);
    fl_top_page(&view, 80, 0, true, &coloured);
    assert_null(strchr(fl_buffer_str(&plain), '\033'));
    assert_non_null(strchr(fl_buffer_str(&coloured), '\033'));
    fl_buffer_free(&plain);
    fl_buffer_free(&coloured);
}

static void numbers_take_four_columns(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},      {0.04, "0.0"},   {1, "1.0"},     {9.96, "10"},
                 {999, "999"},  {999.6, "1.0k"}, {12345, "12k"}, {999499, "999k"},
                 {1e6, "1.0M"}, {2.5e9, "2.5G"}, {9e12, "9.0T"}, {999999, "1.0M"}};
    char text[FL_TOP_NUMBER];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(fl_top_number(cases[i].value, text), cases[i].text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_over_the_time_that_the_front_says),
        cmocka_unit_test(the_log_has_a_line_and_an_object),
        cmocka_unit_test(a_front_or_a_hub_that_began_anew_is_not_a_negative_rate),
        cmocka_unit_test(what_is_not_an_answer_is_refused_and_a_front_that_is_away_is_shown),
        cmocka_unit_test(a_page_fits_every_window),
        cmocka_unit_test(colour_is_only_there_when_it_is_asked_for),
        cmocka_unit_test(numbers_take_four_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
