/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "agent/csv.h"
#include "agent/host.h"
#include "agent/line.h"
#include "agent/sensor.h"

#include <stdio.h>

/* --- CSV ---------------------------------------------------------------------------------------
 */

static enum fl_error feed(struct fl_csv *csv, const char *line, struct fl_csv_row *row,
                          struct fl_context *ctx)
{
    ctx->text[0] = 0;
    return fl_csv_line(csv, fl_slice_str(line), row, ctx);
}

static fl_time_t ms(const char *text)
{
    fl_time_t t = 0;

    assert_ok(fl_time_parse(fl_slice_str(text), &t));
    return t;
}

static void a_timestamp_and_value_file_is_one_stream(void **state)
{
    struct fl_csv csv = {.fallback = "machine_temperature"};
    struct fl_csv_row row = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(feed(&csv, "timestamp,value\r", &row, &ctx));
    assert_int_equal(row.count, 0);
    assert_ok(feed(&csv, "2013-12-02 21:15:00,73.967322\r", &row, &ctx));
    assert_int_equal(row.count, 1);
    assert_int_equal(row.t, ms("2013-12-02T21:15:00Z"));
    assert_string_equal(row.values[0].stream, "machine_temperature");
    assert_true(row.values[0].value == 73.967322);
}

static void the_header_names_the_streams(void **state)
{
    struct fl_csv csv = {0};
    struct fl_csv_row row = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(feed(&csv, "\xEF\xBB\xBF\"Temperature (C)\";Date;load 1;note", &row, &ctx));
    assert_ok(feed(&csv, "\"21,5\"; 2026-11-22T07:00:00+01:00 ;-3e2;NA", &row, &ctx));
    assert_int_equal(row.t, ms("2026-11-22T06:00:00Z"));
    assert_int_equal(row.count, 2);
    assert_string_equal(row.values[0].stream, "Temperature_C");
    assert_true(row.values[0].value == 21.5);
    assert_string_equal(row.values[1].stream, "load_1");
    assert_true(row.values[1].value == -300);
    assert_ok(feed(&csv, "", &row, &ctx));
    assert_int_equal(row.count, 0);
}

static void one_stream_may_be_chosen(void **state)
{
    struct fl_csv csv = {.stream = "b"};
    struct fl_csv_row row = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(feed(&csv, "t\ta\tb", &row, &ctx));
    assert_ok(feed(&csv, "1763800000\t1\t2", &row, &ctx));
    assert_int_equal(row.t, 1763800000000);
    assert_int_equal(row.count, 1);
    assert_string_equal(row.values[0].stream, "b");

    csv = (struct fl_csv){.stream = "nowhere"};
    assert_int_equal(feed(&csv, "t,a,b", &row, &ctx), FL_ENOTFOUND);
    assert_contains(ctx.text, "nowhere");

    csv = (struct fl_csv){.stream = "mine"};
    assert_ok(feed(&csv, "1763800000123.4,7", &row, &ctx)); /* no header */
    assert_int_equal(row.t, 1763800000123);
    assert_string_equal(row.values[0].stream, "mine");
}

static void times_are_read_in_every_usual_form(void **state)
{
    static const struct {
        const char *text;
        const char *means;
    } good[] = {
        {"2014-07-10 00:15:01", "2014-07-10T00:15:01Z"},
        {"2014-07-10 00:15", "2014-07-10T00:15:00Z"},
        {"2014-07-10 00:15:01.250", "2014-07-10T00:15:01.250Z"},
        {"2014-07-10T00:15:01", "2014-07-10T00:15:01Z"},
        {"2014-07-10 00:15:01+02:00", "2014-07-09T22:15:01Z"},
        {"2014-07-10T00:15:01-02:00", "2014-07-10T02:15:01Z"},
        {"0", "1970-01-01T00:00:00Z"},
        {"1404951301", "2014-07-10T00:15:01Z"},
        {"1404951301.5", "2014-07-10T00:15:01.500Z"},
        {"1404951301250", "2014-07-10T00:15:01.250Z"},
    };
    static const char *const bad[] = {"",
                                      "now",
                                      "2014-07-10",
                                      "2014-13-10 00:15",
                                      "10/07/2014 00:15",
                                      "2014-07-10 00:15:",
                                      "1e99",
                                      "-",
                                      "0x10",
                                      "nan",
                                      "2014-07-10 0:15:01"};
    fl_time_t t = 0;
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (fl_csv_time(fl_slice_str(good[i].text), &t) != FL_OK)
            fail_msg("%s", good[i].text);
        assert_int_equal(t, ms(good[i].means));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (fl_csv_time(fl_slice_str(bad[i]), &t) == FL_OK)
            fail_msg("'%s' was taken", bad[i]);
}

static void a_bad_line_is_told_and_the_next_is_read(void **state)
{
    static const char *const bad[][2] = {
        {"yesterday,1,2", "not a time"},
        {"1763800000,1", "2 columns where the first line has 3"},
        {"1763800000,1,2,3", "4 columns"},
        {"1763800000,abc,2", "'abc' is not a number"},
        {"1763800000,1,0x10", "not a number"},
        {"1763800000,1,inf", "not a number"},
        {"1763800000,1,1e999", "not a number"},
        {"1763800000,\"1,2", "quote"},
        {"1763800000,\"1\"x,2", "quote"},
    };
    struct fl_csv csv = {0};
    struct fl_csv_row row = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(feed(&csv, "t,a,b", &row, &ctx));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(feed(&csv, bad[i][0], &row, &ctx), FL_EPARSE);
        assert_contains(ctx.text, bad[i][1]);
        assert_int_equal(row.count, 0);
        assert_ok(feed(&csv, "1763800000,1,2", &row, &ctx));
        assert_int_equal(row.count, 2);
    }
}

static void a_file_that_cannot_be_understood_is_told_so(void **state)
{
    struct fl_csv csv = {0};
    struct fl_csv_row row = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(feed(&csv, "hello", &row, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "one column");
    assert_int_equal(feed(&csv, "1763800000,1,2", &row, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "without a header");
    assert_int_equal(feed(&csv, "time,!,?", &row, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "names no stream");
}

static void a_csv_line_has_its_bounds(void **state)
{
    static char text[FL_LIMIT_AGENT_LINE + 2];
    struct fl_csv csv = {0};
    struct fl_csv_row row = {0};
    struct fl_context ctx = {0};
    size_t size = 1;
    (void)state;

    memset(text, ' ', sizeof text);
    memcpy(text, "t,a", 3);
    assert_ok(fl_csv_line(&csv, fl_slice(text, FL_LIMIT_AGENT_LINE), &row, &ctx));
    assert_int_equal(fl_csv_line(&csv, fl_slice(text, FL_LIMIT_AGENT_LINE + 1), &row, &ctx),
                     FL_ELIMIT);
    csv = (struct fl_csv){0};
    for (int i = 1; i < FL_LIMIT_CSV_COLUMNS; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, ",c%d", i);
    assert_ok(fl_csv_line(&csv, fl_slice(text, size), &row, &ctx));
    csv = (struct fl_csv){0};
    size += (size_t)snprintf(text + size, sizeof text - size, ",more");
    assert_int_equal(fl_csv_line(&csv, fl_slice(text, size), &row, &ctx), FL_ELIMIT);
}

/* --- Standard input ----------------------------------------------------------------------------
 */

static enum fl_error parse(const char *text, struct fl_line *line, struct fl_context *ctx)
{
    ctx->text[0] = 0;
    return fl_line_parse(fl_slice_str(text), line, ctx);
}

static void a_line_is_a_stream_and_a_value_or_json(void **state)
{
    struct fl_line line = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(parse("  temperature   -21.5 \r", &line, &ctx));
    assert_int_equal(line.count, 1);
    assert_false(line.has_time);
    assert_string_equal(line.values[0].stream, "temperature");
    assert_true(line.values[0].value == -21.5);
    assert_ok(parse("{\"temperature\": 20, \"humidity\": 0.5, \"t\": 1763800000000}", &line, &ctx));
    assert_int_equal(line.count, 2);
    assert_true(line.has_time);
    assert_int_equal(line.t, 1763800000000);
    assert_ok(parse("{\"t\": \"2026-11-22T07:00:00Z\", \"x\": 1}", &line, &ctx));
    assert_int_equal(line.t, ms("2026-11-22T07:00:00Z"));
    assert_ok(parse("# a remark", &line, &ctx));
    assert_int_equal(line.count, 0);
    assert_ok(parse("", &line, &ctx));
    assert_ok(parse("{}", &line, &ctx));
    assert_int_equal(line.count, 0);
}

static void a_line_that_is_neither_is_refused_whole(void **state)
{
    static const char *const bad[] = {"temperature",
                                      "temperature warm",
                                      "temperature 1 2",
                                      "a/b 1",
                                      "x nan",
                                      "x inf",
                                      "x 0x1",
                                      "{",
                                      "{\"x\": 1} {\"x\": 2}",
                                      "{\"x\": 1, \"x\": 2}",
                                      "{\"x\": \"1\"}",
                                      "{\"x\": null}",
                                      "{\"a b\": 1}",
                                      "{\"x\": 1, \"t\": 1.5}",
                                      "{\"x\": 1, \"t\": \"now\"}",
                                      "{\"x\": 1e999}",
                                      "[1]",
                                      "\xFF\xFE 1"};
    struct fl_line line = {0};
    struct fl_context ctx = {0};
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(bad[i], &line, &ctx) != FL_EPARSE)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(line.count, 0);
        assert_true(ctx.text[0] != 0);
    }
}

static void a_line_has_its_bounds(void **state)
{
    static char text[FL_LIMIT_AGENT_LINE + 2];
    struct fl_line line = {0};
    struct fl_context ctx = {0};
    struct fl_buffer json = FL_BUFFER(sizeof text);
    (void)state;

    memset(text, ' ', sizeof text);
    memcpy(text, "x 1", 3);
    assert_ok(fl_line_parse(fl_slice(text, FL_LIMIT_AGENT_LINE), &line, &ctx));
    assert_int_equal(fl_line_parse(fl_slice(text, FL_LIMIT_AGENT_LINE + 1), &line, &ctx),
                     FL_ELIMIT);
    assert_ok(fl_buffer_append_str(&json, "{\"s0\":0"));
    for (int i = 1; i < FL_LIMIT_CSV_COLUMNS; i++)
        assert_ok(fl_buffer_printf(&json, ",\"s%d\":%d", i, i));
    assert_ok(fl_buffer_append_str(&json, "}"));
    assert_ok(fl_line_parse(fl_buffer_slice(&json), &line, &ctx));
    assert_int_equal(line.count, FL_LIMIT_CSV_COLUMNS);
    json.size--;
    assert_ok(fl_buffer_append_str(&json, ",\"more\":1}"));
    assert_int_equal(fl_line_parse(fl_buffer_slice(&json), &line, &ctx), FL_ELIMIT);
    fl_buffer_free(&json);
}

/* --- This machine ------------------------------------------------------------------------------
 */

static void the_texts_of_proc_are_read(void **state)
{
    double one = 0;
    double two = 0;
    (void)state;

    assert_ok(fl_host_load(fl_slice_str("0.52 1.25 0.59 1/467 12345\n"), &one, &two));
    assert_true(one == 0.52 && two == 1.25);
    assert_int_equal(fl_host_load(fl_slice_str("0.52"), &one, &two), FL_EPARSE);
    assert_int_equal(fl_host_load(fl_slice_str("a b c"), &one, &two), FL_EPARSE);
    assert_ok(fl_host_memory(fl_slice_str("MemTotal:       8000 kB\nMemFree:  1 kB\n"
                                          "MemAvailable:   2000 kB\n"),
                             &one));
    assert_true(one == 75);
    assert_int_equal(fl_host_memory(fl_slice_str("MemTotal: 8000 kB\n"), &one), FL_EPARSE);
    assert_int_equal(fl_host_memory(fl_slice_str("MemTotal: 1 kB\nMemAvailable: 2 kB\n"), &one),
                     FL_EPARSE);
    assert_int_equal(fl_host_memory(fl_slice(NULL, 0), &one), FL_EPARSE);
    assert_ok(fl_host_network(
        fl_slice_str("Inter-|   Receive                            |  Transmit\n"
                     " face |bytes    packets errs drop fifo frame compressed multicast|bytes\n"
                     "    lo: 999 9 0 0 0 0 0 0 999 9 0 0 0 0 0 0\n"
                     "  eth0: 100 1 0 0 0 0 0 0 10 1 0 0 0 0 0 0\n"
                     " wlan0:200 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n"),
        &one, &two));
    assert_true(one == 300 && two == 30);
    assert_int_equal(fl_host_network(fl_slice_str("  eth0: 100 1 0\n"), &one, &two), FL_EPARSE);
    assert_int_equal(fl_host_network(fl_slice_str("nothing\n"), &one, &two), FL_EPARSE);
}

static void count_measure(void *to, const char *stream, double value)
{
    size_t *count = to;

    assert_true(fl_name_valid(fl_slice_str(stream)));
    assert_true(value >= -273);
    ++*count;
}

static void this_machine_can_be_measured(void **state)
{
    size_t count = 0;
    (void)state;

    fl_host_measure("", count_measure, &count);
    assert_true(count >= 3);
    count = 0;
    fl_host_measure("/nowhere", count_measure, &count);
    assert_int_equal(count, 0);
}

/* --- What a sensor is --------------------------------------------------------------------------
 */

static void a_sensor_is_read_from_its_text(void **state)
{
    struct fl_sensor_spec spec = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(fl_sensor_parse("host", &spec, &ctx));
    assert_int_equal(spec.interval_ms, 0);
    assert_ok(fl_sensor_parse("host:250ms", &spec, &ctx));
    assert_int_equal(spec.interval_ms, 250);
    assert_ok(fl_sensor_parse("stdin", &spec, &ctx));
    assert_int_equal(spec.kind, FL_SENSOR_STDIN);
    assert_ok(fl_sensor_parse("file:/a b/c.csv,stream=x,speed=60,original-time", &spec, &ctx));
    assert_string_equal(spec.path, "/a b/c.csv");
    assert_string_equal(spec.stream, "x");
    assert_true(spec.speed == 60 && spec.original_time);
    assert_ok(fl_sensor_parse("file:c.csv", &spec, &ctx));
    assert_true(spec.speed == 1 && !spec.original_time && !spec.stream[0]);
    assert_ok(fl_sensor_parse("file:c.csv,speed=max", &spec, &ctx));
    assert_true(spec.speed == 0);
}

static void a_wrong_sensor_is_told_what_there_is(void **state)
{
    static const char *const bad[] = {"",
                                      "hosts",
                                      "host:",
                                      "host:5",
                                      "host:1ms",
                                      "file:",
                                      "file:,speed=1",
                                      "file:x,speed=0",
                                      "file:x,speed=-1",
                                      "file:x,speed=fast",
                                      "file:x,stream=a/b",
                                      "file:x,stream=",
                                      "file:x,loop",
                                      "stdin:x"};
    struct fl_sensor_spec spec = {0};
    struct fl_context ctx = {0};
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ctx.text[0] = 0;
        if (fl_sensor_parse(bad[i], &spec, &ctx) != FL_EPARSE)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(ctx.text[0] != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timestamp_and_value_file_is_one_stream),
        cmocka_unit_test(the_header_names_the_streams),
        cmocka_unit_test(one_stream_may_be_chosen),
        cmocka_unit_test(times_are_read_in_every_usual_form),
        cmocka_unit_test(a_bad_line_is_told_and_the_next_is_read),
        cmocka_unit_test(a_file_that_cannot_be_understood_is_told_so),
        cmocka_unit_test(a_csv_line_has_its_bounds),
        cmocka_unit_test(a_line_is_a_stream_and_a_value_or_json),
        cmocka_unit_test(a_line_that_is_neither_is_refused_whole),
        cmocka_unit_test(a_line_has_its_bounds),
        cmocka_unit_test(the_texts_of_proc_are_read),
        cmocka_unit_test(this_machine_can_be_measured),
        cmocka_unit_test(a_sensor_is_read_from_its_text),
        cmocka_unit_test(a_wrong_sensor_is_told_what_there_is),
    };
    return cmocka_run_group_tests_name("agent_input", tests, NULL, NULL);
}
