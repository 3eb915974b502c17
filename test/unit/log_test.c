/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/log.h"

#include <jansson.h>
#include <stdlib.h>

static struct fl_log_line a_line(const char *text, size_t size)
{
    return (struct fl_log_line){.time_ms = 1700000000000,
                                .process = "front",
                                .level = FL_LOG_WARN,
                                .tag = "tls",
                                .device = fl_slice_str("cam-17"),
                                .text = fl_slice(text, size)};
}

/* The one object of one line, or the test fails. */
static json_t *parse(const char *text, size_t size)
{
    json_t *object = NULL;

    assert_true(size > 0);
    assert_int_equal(text[size - 1], '\n');
    assert_null(memchr(text, '\n', size - 1));
    object = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(object);
    return object;
}

static const char *member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void a_line_is_one_object_with_everything_in_it(void **state)
{
    char out[2048];
    struct fl_log_line line = a_line("hello", 5);
    json_t *object = parse(out, fl_log_json(&line, out, sizeof out));

    (void)state;
    assert_string_equal(member(object, "time"), "2023-11-14T22:13:20.000Z");
    assert_string_equal(member(object, "level"), "warn");
    assert_string_equal(member(object, "process"), "front");
    assert_string_equal(member(object, "tag"), "tls");
    assert_string_equal(member(object, "device"), "cam-17");
    assert_string_equal(member(object, "message"), "hello");
    json_decref(object);
    line.time_ms += 7;
    line.device = fl_slice(NULL, 0);
    object = parse(out, fl_log_json(&line, out, sizeof out));
    assert_string_equal(member(object, "time"), "2023-11-14T22:13:20.007Z");
    assert_null(json_object_get(object, "device"));
    json_decref(object);
}

static void controls_and_quotes_come_back_as_they_were(void **state)
{
    static const char text[] = "a\"b\\c\nd\te\x01\x7F \xC3\xA9 \xF0\x9F\x98\x80";
    char out[2048];
    struct fl_log_line line = a_line(text, sizeof text - 1);
    size_t size = fl_log_json(&line, out, sizeof out);
    json_t *object = parse(out, size);

    (void)state;
    assert_string_equal(member(object, "message"), text);
    for (size_t i = 0; i + 1 < size; i++)
        assert_true((unsigned char)out[i] >= 0x20 && out[i] != 0x7F);
    json_decref(object);
}

static void what_is_not_utf8_is_shown_and_does_no_harm(void **state)
{
    static const char text[] = "x\xFF\xC3(\xED\xA0\x80\xC3";
    char out[2048];
    struct fl_log_line line = a_line(text, sizeof text - 1);
    json_t *object = parse(out, fl_log_json(&line, out, sizeof out));

    (void)state;
    assert_string_equal(member(object, "message"), "x\\xff\\xc3(\\xed\\xa0\\x80\\xc3");
    json_decref(object);
}

static void a_text_that_does_not_fit_is_cut_and_the_object_is_whole(void **state)
{
    char text[2000];
    char out[2 * FL_LOG_JSON_MIN];

    (void)state;
    memset(text, 0x01, sizeof text);
    for (size_t size = FL_LOG_JSON_MIN; size < sizeof out; size += 1) {
        struct fl_log_line line = a_line(text, sizeof text);
        size_t used = fl_log_json(&line, out, size);

        assert_true(used <= size);
        json_decref(parse(out, used));
    }
}

static char heard[2048];

static void listen(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)snprintf(heard, sizeof heard, "%s|%s", tag, text);
}

static void text_about_a_device_begins_with_its_name(void **state)
{
    (void)state;
    fl_log_set_writer(listen);
    fl_log_device(FL_LOG_ERROR, "front", fl_slice_str("cam-17"), "closed %d", 3);
    assert_string_equal(heard, "front|cam-17: closed 3");
    fl_log_device(FL_LOG_ERROR, "front", fl_slice(NULL, 0), "closed");
    assert_string_equal(heard, "front|closed");
    fl_log_set_writer(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_object_with_everything_in_it),
        cmocka_unit_test(controls_and_quotes_come_back_as_they_were),
        cmocka_unit_test(what_is_not_utf8_is_shown_and_does_no_harm),
        cmocka_unit_test(a_text_that_does_not_fit_is_cut_and_the_object_is_whole),
        cmocka_unit_test(text_about_a_device_begins_with_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
