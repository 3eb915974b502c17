/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "codec/exposition.h"

static void labels_and_help_are_escaped(void **state)
{
    struct fl_buffer out = FL_BUFFER(4096);
    struct fl_buffer labels = FL_BUFFER(4096);

    (void)state;
    fl_exposition_label(&labels, "a", fl_slice_str("x\"y\\z\nend"));
    fl_exposition_label(&labels, "b", fl_slice_str("\xC3\xA9"));
    fl_exposition_label(&labels, "c", fl_slice_str("\xFF"));
    assert_string_equal(fl_buffer_str(&labels), "a=\"x\\\"y\\\\z\\nend\",b=\"\xC3\xA9\",c=\"?\"");
    fl_exposition_family(&out, "m", "gauge", "a \"b\" \\ c\nd");
    fl_exposition_number(&out, "m", fl_buffer_str(&labels), UINT64_MAX);
    fl_exposition_number(&out, "m", "", 0);
    assert_string_equal(fl_buffer_str(&out),
                        "# HELP m a \"b\" \\\\ c\\nd\n# TYPE m gauge\n"
                        "m{a=\"x\\\"y\\\\z\\nend\",b=\"\xC3\xA9\",c=\"?\"} 18446744073709551615\n"
                        "m 0\n");
    fl_buffer_free(&out);
    fl_buffer_free(&labels);
}

static void times_are_exact_seconds(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {{0, "t 0\n"},         {1, "t 0.000001\n"},
                 {50, "t 0.00005\n"},  {1500000, "t 1.5\n"},
                 {10000000, "t 10\n"}, {UINT64_MAX, "t 18446744073709.551615\n"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fl_buffer out = FL_BUFFER(4096);

        fl_exposition_time(&out, "t", "", cases[i].us);
        assert_string_equal(fl_buffer_str(&out), cases[i].text);
        fl_buffer_free(&out);
    }
}

static void a_histogram_adds_up(void **state)
{
    struct fl_histogram h = {0};
    struct fl_buffer out = FL_BUFFER(65536);

    (void)state;
    fl_histogram_count(&h, 40);
    fl_histogram_count(&h, 400);
    fl_histogram_count(&h, 90000000);
    fl_exposition_histogram(&out, "h", "w=\"0\"", &h);
    assert_contains(fl_buffer_str(&out), "h_bucket{w=\"0\",le=\"0.00005\"} 1\n");
    assert_contains(fl_buffer_str(&out), "h_bucket{w=\"0\",le=\"0.00025\"} 1\n");
    assert_contains(fl_buffer_str(&out), "h_bucket{w=\"0\",le=\"0.0005\"} 2\n");
    assert_contains(fl_buffer_str(&out), "h_bucket{w=\"0\",le=\"5\"} 2\n");
    assert_contains(fl_buffer_str(&out), "h_bucket{w=\"0\",le=\"+Inf\"} 3\n");
    assert_contains(fl_buffer_str(&out), "h_sum{w=\"0\"} 90.00044\nh_count{w=\"0\"} 3\n");
    fl_buffer_free(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_and_help_are_escaped),
        cmocka_unit_test(times_are_exact_seconds),
        cmocka_unit_test(a_histogram_adds_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
