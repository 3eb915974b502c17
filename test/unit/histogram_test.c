/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/histogram.h"

static void a_bound_is_inclusive_and_the_last_bucket_has_none(void **state)
{
    struct fl_histogram h = {0};

    (void)state;
    for (size_t i = 0; i < FL_HISTOGRAM_BUCKETS - 1; i++) {
        fl_histogram_count(&h, fl_histogram_bounds_us[i]);
        assert_int_equal(h.buckets[i], 1);
        fl_histogram_count(&h, (uint64_t)fl_histogram_bounds_us[i] + 1);
        assert_int_equal(h.buckets[i + 1], 1);
        h.buckets[i + 1] = 0;
    }
    fl_histogram_count(&h, UINT32_MAX);
    assert_int_equal(h.buckets[FL_HISTOGRAM_BUCKETS - 1], 1);
}

static void percentiles_lie_in_their_bucket(void **state)
{
    struct fl_histogram h = {0};

    (void)state;
    assert_int_equal(fl_histogram_percentile_us(&h, 50), 0);
    for (int i = 0; i < 90; i++)
        fl_histogram_count(&h, 700);
    for (int i = 0; i < 10; i++)
        fl_histogram_count(&h, 40000);
    assert_int_equal(fl_histogram_total(&h), 100);
    assert_in_range(fl_histogram_percentile_us(&h, 50), 500, 1000);
    assert_in_range(fl_histogram_percentile_us(&h, 90), 500, 1000);
    assert_in_range(fl_histogram_percentile_us(&h, 91), 25000, 50000);
    assert_int_equal(fl_histogram_percentile_us(&h, 100), 50000);
    fl_histogram_count(&h, 60000000);
    assert_int_equal(fl_histogram_percentile_us(&h, 100), 5000000);
}

static void what_came_since_is_a_difference_and_after_a_new_beginning_all_of_it(void **state)
{
    struct fl_histogram earlier = {0};
    struct fl_histogram later = {0};
    struct fl_histogram since = {0};

    (void)state;
    fl_histogram_count(&earlier, 10);
    later = earlier;
    fl_histogram_count(&later, 10);
    fl_histogram_count(&later, 3000);
    since = fl_histogram_since(&later, &earlier);
    assert_int_equal(fl_histogram_total(&since), 2);
    assert_int_equal(since.sum_us, 3010);
    since = fl_histogram_since(&earlier, &later);
    assert_int_equal(fl_histogram_total(&since), 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_is_inclusive_and_the_last_bucket_has_none),
        cmocka_unit_test(percentiles_lie_in_their_bucket),
        cmocka_unit_test(what_came_since_is_a_difference_and_after_a_new_beginning_all_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
