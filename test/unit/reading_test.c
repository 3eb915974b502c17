/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/reading.h"

#include "test/unit/unit.h"

#include <stdio.h>

#define NOW 1795330800000LL /* 2026-11-22 */
#define HOUR (3600 * 1000LL)

static struct fl_context context;
static struct fl_profile profile;
static struct fl_reading_list list;

static int set_up(void **state)
{
    (void)state;
    return fl_profile_parse(fl_slice_str("profile camera {\nversion 1\nstream temperature {\n"
                                         "unit C\nrange -40 85\n}\nstream motion {\nrange 0 1\n}\n"
                                         "stream free\nstream v\n}\n"),
                            "p", &profile, &context) == FL_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fl_profile_free(&profile);
    return 0;
}

static enum fl_error parse_bytes(const char *stream, const void *payload, size_t size)
{
    context.text[0] = 0;
    return fl_reading_parse(&profile, fl_slice_str("cam-01"), fl_slice_str(stream),
                            fl_slice(payload, size), NOW, &list, &context);
}

static enum fl_error parse(const char *stream, const char *payload)
{
    return parse_bytes(stream, payload, strlen(payload));
}

static void refused(enum fl_error error, const char *stream, const char *payload,
                    const char *message)
{
    if (parse(stream, payload) != error)
        fail_msg("%s: not refused as %s: '%s'", payload, fl_error_words(error), context.text);
    assert_contains(context.text, message);
    assert_int_equal(list.count, 0);
    assert_false(list.has_time);
}

static void expect(size_t index, const char *stream, double value, fl_time_t t)
{
    const struct fl_reading *reading = &list.items[index];

    assert_slice_equal(reading->device, "cam-01");
    assert_slice_equal(reading->stream, stream);
    assert_true(reading->value == value);
    assert_true(reading->t == t);
    assert_int_equal(reading->message, 0);
    assert_false(reading->redelivery);
}

static void a_number_is_a_reading_of_the_topics_stream(void **state)
{
    (void)state;
    assert_ok(parse("temperature", "21.5"));
    assert_int_equal(list.count, 1);
    assert_false(list.has_time);
    expect(0, "temperature", 21.5, NOW);
    assert_ok(parse("temperature", " -40\n"));
    expect(0, "temperature", -40, NOW);
    assert_ok(parse("temperature", "8.5e1"));
    expect(0, "temperature", 85, NOW);
}

static void an_object_is_a_reading_of_each_member(void **state)
{
    (void)state;
    assert_ok(parse("group", "{\"temperature\":20,\"motion\":1}"));
    assert_int_equal(list.count, 2);
    expect(0, "temperature", 20, NOW);
    expect(1, "motion", 1, NOW);
    assert_ok(parse("group", "{\"v\":7}"));
    expect(0, "v", 7, NOW);
    assert_ok(parse("a/b", "{\"v\":7}"));
}

static void a_message_can_say_when(void **state)
{
    (void)state;
    assert_ok(parse("temperature", "{\"t\":1795330000000,\"v\":20}"));
    assert_int_equal(list.count, 1);
    assert_true(list.has_time);
    expect(0, "temperature", 20, 1795330000000);
    assert_ok(parse("x", "{\"v\":{\"motion\":0,\"temperature\":1},\"t\":1795330000001}"));
    assert_int_equal(list.count, 2);
    expect(0, "motion", 0, 1795330000001);
    expect(1, "temperature", 1, 1795330000001);
}

static void times_far_from_now_are_refused(void **state)
{
    char text[128];
    (void)state;

    (void)snprintf(text, sizeof text, "{\"t\":%lld,\"v\":20}", NOW + HOUR);
    assert_ok(parse("temperature", text));
    (void)snprintf(text, sizeof text, "{\"t\":%lld,\"v\":20}", NOW + HOUR + 1);
    refused(FL_EINVAL, "temperature", text, "is more than an hour ahead");
    (void)snprintf(text, sizeof text, "{\"t\":%lld,\"v\":20}", NOW - 3653 * 24 * HOUR);
    assert_ok(parse("temperature", text));
    (void)snprintf(text, sizeof text, "{\"t\":%lld,\"v\":20}", NOW - 3653 * 24 * HOUR - 1);
    refused(FL_EINVAL, "temperature", text, "or ten years behind");
    /* Seconds where milliseconds belong. */
    refused(FL_EINVAL, "temperature", "{\"t\":1795330800,\"v\":1}",
            "(1970-01-21T18:42:10.800Z) is more than");
    refused(FL_EINVAL, "temperature", "{\"t\":1e300,\"v\":1}", "(a time) is more than");
    refused(FL_EINVAL, "temperature", "{\"t\":1795330800000.5,\"v\":1}", "whole milliseconds");
    refused(FL_EPARSE, "temperature", "{\"t\":\"now\",\"v\":1}",
            "'t': expected a number, not a text");
}

static void values_that_the_profile_does_not_know_are_refused(void **state)
{
    (void)state;
    refused(FL_ENOTFOUND, "smell", "1", "reading: the profile 'camera' has no stream 'smell'");
    refused(FL_ENOTFOUND, "", "1", "has no stream ''");
    refused(FL_ENOTFOUND, "a/b", "1", "has no stream 'a/b'");
    refused(FL_ENOTFOUND, "x", "{\"temperature\":1,\"sm\\nell\":1}", "has no stream 'sm\\x0aell'");
    refused(FL_ENOTFOUND, "x", "{\"t\":1,\"motion\":1}", "(a time goes with its value");
    refused(FL_EINVAL, "temperature", "85.1",
            "reading: 'temperature': 85.1 is out of range: -40 to 85 C");
    refused(FL_EINVAL, "motion", "-1", "'motion': -1 is out of range: 0 to 1");
    refused(FL_EINVAL, "x", "{\"motion\":1,\"temperature\":-41}", "is out of range");
}

static void only_numbers_are_values(void **state)
{
    (void)state;
    refused(FL_EPARSE, "temperature", "true", "expected a number, not true (send 1)");
    refused(FL_EPARSE, "temperature", "false", "not false (send 0)");
    refused(FL_EPARSE, "temperature", "null", "not null (leave it out)");
    refused(FL_EPARSE, "temperature", "\"20\"", "not a text");
    refused(FL_EPARSE, "temperature", "{\"temperature\":{\"v\":1}}", "not an object");
    refused(FL_EPARSE, "temperature", "{\"t\":1795330000000,\"v\":{\"v\":{}}}",
            "nested too deeply");
    refused(FL_EPARSE, "temperature", "[1]", "reading: byte 1: a list is not a reading");
    refused(FL_EPARSE, "temperature", "{}", "an object without numbers");
    refused(FL_EPARSE, "temperature", "{\"t\":1795330000000,\"v\":{}}",
            "an object without numbers");
}

static void what_is_not_json_is_refused_with_its_place(void **state)
{
    (void)state;
    refused(FL_EPARSE, "temperature", "", "an empty message");
    refused(FL_EPARSE, "temperature", "2 1", "reading: byte ");
    refused(FL_EPARSE, "temperature", "21,5", "reading: byte ");
    refused(FL_EPARSE, "temperature", "0x10", "reading: byte ");
    refused(FL_EPARSE, "temperature", "NaN", "reading: byte ");
    refused(FL_EPARSE, "temperature", "1e999", "reading: byte ");
    refused(FL_EPARSE, "temperature", "-Infinity", "reading: byte ");
    refused(FL_EPARSE, "temperature", "{\"motion\":1,\"motion\":0}", "duplicate");
    refused(FL_EPARSE, "temperature", "{\"motion\":1", "reading: byte ");
    refused(FL_EPARSE, "temperature", "\"\xFF\"", "reading: byte ");
    refused(FL_EPARSE, "temperature", "{\"a\\u0000\":1}", "reading: byte ");
    refused(FL_EPARSE, "temperature", "\"\\\"[\\", "reading: byte ");
    assert_int_equal(parse_bytes("temperature", "1\0", 2), FL_EPARSE);
    assert_string_equal(context.text, "reading: byte 2: a NUL");
    assert_int_equal(parse_bytes("temperature", "{\"a\\\0\":1}", 8), FL_EPARSE);
    assert_string_equal(context.text, "reading: byte 5: a NUL");
}

static void counters_over_any_integer_are_numbers_too(void **state)
{
    (void)state;
    assert_ok(parse("free", "18446744073709551616"));
    expect(0, "free", 18446744073709551616.0, NOW);
}

static void every_limit_is_reached_and_not_passed(void **state)
{
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_READINGS_PAYLOAD + 2);
    struct fl_buffer conf = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    struct fl_profile large = {0};
    (void)state;

    while (text.size < FL_LIMIT_READINGS_PAYLOAD - 1)
        assert_ok(fl_buffer_append_byte(&text, ' '));
    assert_ok(fl_buffer_append_byte(&text, '1'));
    assert_ok(parse_bytes("free", text.data, text.size));
    assert_ok(fl_buffer_append_byte(&text, '1'));
    assert_int_equal(parse_bytes("free", text.data, text.size), FL_ELIMIT);
    assert_contains(context.text, "65537 bytes: at most 65536");

    fl_buffer_clear(&text);
    assert_ok(fl_buffer_append_str(&conf, "profile large {\nversion 1\n"));
    for (int i = 0; i < FL_LIMIT_READINGS_PER_MESSAGE; i++) {
        assert_ok(fl_buffer_printf(&conf, "stream s%d\n", i));
        assert_ok(fl_buffer_printf(&text, "%s\"s%d\":%d", i ? "," : "{", i, i));
    }
    assert_ok(fl_buffer_append_str(&conf, "}\n"));
    assert_ok(fl_profile_parse(fl_buffer_slice(&conf), "large", &large, &context));
    assert_ok(fl_buffer_append_byte(&text, '}'));
    assert_ok(fl_reading_parse(&large, fl_slice_str("d"), fl_slice_str("x"), fl_buffer_slice(&text),
                               NOW, &list, &context));
    assert_int_equal(list.count, FL_LIMIT_READINGS_PER_MESSAGE);
    text.size--;
    assert_ok(fl_buffer_append_str(&text, ",\"more\":1}"));
    assert_int_equal(fl_reading_parse(&large, fl_slice_str("d"), fl_slice_str("x"),
                                      fl_buffer_slice(&text), NOW, &list, &context),
                     FL_ELIMIT);
    assert_contains(context.text, "257 numbers: at most 256");
    fl_profile_free(&large);
    fl_buffer_free(&conf);
    fl_buffer_free(&text);
}

static bool topic(const char *text, struct fl_slice *stream)
{
    return fl_reading_topic(fl_slice_str(text), fl_slice_str("cam-01"), stream);
}

static void only_a_devices_own_telemetry_topics_are_readings(void **state)
{
    struct fl_slice stream = {0};
    (void)state;

    assert_true(topic("d/cam-01/t/temperature", &stream));
    assert_slice_equal(stream, "temperature");
    assert_true(topic("d/cam-01/t/a/b", &stream));
    assert_slice_equal(stream, "a/b");
    assert_true(topic("d/cam-01/t/", &stream));
    assert_int_equal(stream.size, 0);
    assert_false(topic("d/cam-01/t", &stream));
    assert_false(topic("d/cam-02/t/temperature", &stream));
    assert_false(topic("d/cam-01/c/temperature", &stream));
    assert_false(topic("x/cam-01/t/temperature", &stream));
    assert_false(topic("/d/cam-01/t/x", &stream));
    assert_false(topic("d/cam-01", &stream));
    assert_false(topic("d", &stream));
    assert_false(topic("", &stream));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_a_reading_of_the_topics_stream),
        cmocka_unit_test(an_object_is_a_reading_of_each_member),
        cmocka_unit_test(a_message_can_say_when),
        cmocka_unit_test(times_far_from_now_are_refused),
        cmocka_unit_test(values_that_the_profile_does_not_know_are_refused),
        cmocka_unit_test(only_numbers_are_values),
        cmocka_unit_test(what_is_not_json_is_refused_with_its_place),
        cmocka_unit_test(counters_over_any_integer_are_numbers_too),
        cmocka_unit_test(every_limit_is_reached_and_not_passed),
        cmocka_unit_test(only_a_devices_own_telemetry_topics_are_readings),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
