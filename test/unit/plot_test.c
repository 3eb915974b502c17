/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "cli/json.h"
#include "cli/plot.h"
#include "cli/text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define T0 1795332000000 /* 2026-11-22T07:20:00Z */

static char *sparkline(const struct fl_plot_point *points, size_t count, size_t width)
{
    struct fl_buffer out = FL_BUFFER(65536);
    char *text = NULL;

    assert_ok(fl_plot_sparkline(points, count, width, &out));
    text = strdup(fl_buffer_str(&out));
    fl_buffer_free(&out);
    return text;
}

static void a_ramp_climbs_all_eight_blocks(void **state)
{
    struct fl_plot_point points[8];
    char *text = NULL;
    (void)state;

    for (size_t i = 0; i < 8; i++)
        points[i] = (struct fl_plot_point){T0 + (fl_time_t)i * 1000, (double)i};
    text = sparkline(points, 8, 8);
    assert_string_equal(text, "▁▂▃▄▅▆▇█");
    free(text);
}

static void a_gap_is_seen_as_a_gap(void **state)
{
    const struct fl_plot_point points[] = {{T0 + 9000, 2}, {T0, 1}, {T0 + 1000, 1}};
    char *text = NULL;
    (void)state;

    text = sparkline(points, 3, 5);
    assert_string_equal(text, "▁   █");
    free(text);
}

static void one_value_is_a_line_in_the_middle(void **state)
{
    const struct fl_plot_point points[] = {{T0, 5}, {T0 + 1, 5}};
    char *text = NULL;
    (void)state;

    text = sparkline(points, 1, 3);
    assert_string_equal(text, "▄  ");
    free(text);
    text = sparkline(points, 2, 2);
    assert_string_equal(text, "▄▄");
    free(text);
    text = sparkline(points, 0, 2);
    assert_string_equal(text, "");
    free(text);
}

static void extreme_values_do_not_overflow(void **state)
{
    const struct fl_plot_point points[] = {{INT64_MIN, -DBL_MAX}, {INT64_MAX, DBL_MAX}};
    struct fl_buffer out = FL_BUFFER(65536);
    char *text = NULL;
    (void)state;

    text = sparkline(points, 2, 2);
    assert_string_equal(text, "▁█");
    free(text);
    assert_ok(fl_plot_print(points, 2, 40, 8, &out));
    assert_contains(fl_buffer_str(&out), "too far apart");
    fl_buffer_free(&out);
}

static void every_line_of_a_plot_is_of_its_width(void **state)
{
    struct fl_plot_point points[500];
    (void)state;

    for (size_t i = 0; i < 500; i++)
        points[i] = (struct fl_plot_point){T0 + (fl_time_t)i * 1000, 20 + 5 * sin((double)i / 20)};
    for (size_t width = 24; width <= 200; width += 16)
        for (size_t height = 5; height < 30; height += 6) {
            struct fl_buffer out = FL_BUFFER(1 << 20);
            struct fl_slice rest;
            struct fl_slice line;
            size_t lines = 0;
            assert_ok(fl_plot_print(points, 500, width, height, &out));
            rest = fl_buffer_slice(&out);
            while (fl_slice_cut(&rest, '\n', &line)) {
                assert_true(fl_text_width(line) <= width);
                lines++;
            }
            assert_int_equal(lines, height);
            assert_int_equal(rest.size, 0);
            fl_buffer_free(&out);
        }
}

static void a_plot_has_round_labels_and_its_times(void **state)
{
    const struct fl_plot_point points[] = {{T0, 19.7}, {T0 + 30000, 22.1}, {T0 + 60000, 24.9}};
    struct fl_buffer out = FL_BUFFER(65536);
    const char *text = NULL;
    (void)state;

    assert_ok(fl_plot_print(points, 3, 40, 12, &out));
    text = fl_buffer_str(&out);
    assert_contains(text, "18 ┤");
    assert_contains(text, "26 ┤");
    assert_contains(text, " 07:20:00 ");
    assert_contains(text, " 07:21:00\n");
    fl_buffer_free(&out);
}

static void tiny_and_negative_ranges_are_labelled_truly(void **state)
{
    const struct fl_plot_point tiny[] = {{T0, -0.0012}, {T0 + 90000000, 0.0009}};
    const struct fl_plot_point level[] = {{T0, 0}, {T0 + 1000, 0}};
    struct fl_buffer out = FL_BUFFER(65536);
    (void)state;

    assert_ok(fl_plot_print(tiny, 2, 60, 10, &out));
    assert_contains(fl_buffer_str(&out), "-0.002 ┤");
    assert_contains(fl_buffer_str(&out), " 0.000 ┤");
    assert_contains(fl_buffer_str(&out), "2026-11-22 07:20:00");
    fl_buffer_clear(&out);
    assert_ok(fl_plot_print(level, 2, 40, 6, &out));
    assert_contains(fl_buffer_str(&out), "0 ┤");
    assert_null(strstr(fl_buffer_str(&out), "-0 "));
    fl_buffer_free(&out);
}

static void numbers_are_as_short_as_can_be_and_exact(void **state)
{
    char text[FL_NUMBER_TEXT];
    static const double numbers[] = {21.3,    0.1 + 0.2,           -40, 1e300, 5e-324,
                                     1.0 / 3, 123456789012345680.0};
    (void)state;

    assert_string_equal(fl_number_format(21.3, text), "21.3");
    assert_string_equal(fl_number_format(-40, text), "-40");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_true(strtod(fl_number_format(numbers[i], text), NULL) == numbers[i]);
}

static void json_is_printed_in_order_and_harmless(void **state)
{
    const char *text = "{\"b\": [1, 21.3, true, false, null], \"a\": \"x\\u001b[\\\"\\\\\\n°"
                       "\\u202e\\u009b\\ud83d\\udea2\", \"c\": {}}";
    json_t *value = json_loads(text, 0, NULL);
    json_t *again = NULL;
    struct fl_buffer out = FL_BUFFER(4096);
    (void)state;

    assert_ok(fl_json_print(value, &out));
    assert_string_equal(fl_buffer_str(&out),
                        "{\"b\": [1, 21.3, true, false, null], \"a\": \"x\\u001b[\\\"\\\\\\n°"
                        "\\u202e\\u009b🚢\", \"c\": {}}");
    again = json_loads(fl_buffer_str(&out), 0, NULL);
    assert_true(json_equal(value, again));
    json_decref(value);
    json_decref(again);
    fl_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ramp_climbs_all_eight_blocks),
        cmocka_unit_test(a_gap_is_seen_as_a_gap),
        cmocka_unit_test(one_value_is_a_line_in_the_middle),
        cmocka_unit_test(extreme_values_do_not_overflow),
        cmocka_unit_test(every_line_of_a_plot_is_of_its_width),
        cmocka_unit_test(a_plot_has_round_labels_and_its_times),
        cmocka_unit_test(tiny_and_negative_ranges_are_labelled_truly),
        cmocka_unit_test(numbers_are_as_short_as_can_be_and_exact),
        cmocka_unit_test(json_is_printed_in_order_and_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
