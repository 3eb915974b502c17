/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/token_bucket.h"

static const struct fl_rate ten = {.amount = 10, .burst = 30, .period_ms = 1000};

static void a_new_bucket_holds_its_burst(void **state)
{
    struct fl_token_bucket bucket = {0};

    (void)state;
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 5000), 30);
    fl_token_bucket_charge(&bucket, &ten, 29, 5000);
    assert_int_equal(fl_token_bucket_wait(&bucket, &ten, 5000), 0);
    fl_token_bucket_charge(&bucket, &ten, 1, 5000);
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 5000), 0);
    assert_int_equal(fl_token_bucket_wait(&bucket, &ten, 5000), 100);
}

static void it_fills_at_its_rate_and_not_beyond_its_burst(void **state)
{
    struct fl_token_bucket bucket = {0};

    (void)state;
    fl_token_bucket_charge(&bucket, &ten, 30, 0);
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 99), 0);
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 100), 1);
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 1000), 10);
    assert_int_equal(fl_token_bucket_full_in(&bucket, &ten, 1000), 2000);
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 3000), 30);
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 3000000), 30);
    assert_int_equal(fl_token_bucket_full_in(&bucket, &ten, 3000000), 0);
}

static void a_debt_is_waited_for(void **state)
{
    struct fl_token_bucket bucket = {0};

    (void)state;
    fl_token_bucket_charge(&bucket, &ten, 80, 0);
    assert_int_equal(fl_token_bucket_wait(&bucket, &ten, 0), 5100);
    assert_int_equal(fl_token_bucket_wait(&bucket, &ten, 5099), 1);
    assert_int_equal(fl_token_bucket_wait(&bucket, &ten, 5100), 0);
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 5100), 1);
}

static void nothing_is_lost_to_rounding(void **state)
{
    const struct fl_rate odd = {.amount = 7, .burst = 1, .period_ms = 60000};
    struct fl_token_bucket bucket = {0};
    fl_time_t now = 0;
    int taken = 0;

    (void)state;
    /* Looked at every millisecond for an hour, it gives seven a minute. */
    for (; now < 3600000; now++)
        if (fl_token_bucket_wait(&bucket, &odd, now) == 0) {
            fl_token_bucket_charge(&bucket, &odd, 1, now);
            taken++;
        }
    assert_in_range(taken, 7 * 60, 7 * 60 + 1);
}

static void extremes_do_not_overflow(void **state)
{
    const struct fl_rate huge = {.amount = FL_RATE_AMOUNT_MAX,
                                 .burst = FL_RATE_AMOUNT_MAX,
                                 .period_ms = FL_RATE_PERIOD_MAX_MS};
    const struct fl_rate tiny = {.amount = 1, .burst = 1, .period_ms = FL_RATE_PERIOD_MAX_MS};
    struct fl_token_bucket bucket = {0};

    (void)state;
    fl_token_bucket_charge(&bucket, &huge, UINT64_MAX, 0);
    assert_true(fl_token_bucket_wait(&bucket, &huge, 0) > 0);
    assert_int_equal(fl_token_bucket_level(&bucket, &huge, FL_TIME_NEVER), FL_RATE_AMOUNT_MAX);
    bucket = (struct fl_token_bucket){0};
    fl_token_bucket_charge(&bucket, &tiny, UINT64_MAX, 0);
    assert_true(fl_token_bucket_wait(&bucket, &tiny, 0) > FL_RATE_PERIOD_MAX_MS);
    /* The profile changed: the old debt is no reason to fall over. */
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 1), 0);
}

static void time_that_goes_back_gives_nothing(void **state)
{
    struct fl_token_bucket bucket = {0};

    (void)state;
    fl_token_bucket_charge(&bucket, &ten, 30, 1000);
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 500), 0);
    assert_int_equal(fl_token_bucket_level(&bucket, &ten, 600), 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_bucket_holds_its_burst),
        cmocka_unit_test(it_fills_at_its_rate_and_not_beyond_its_burst),
        cmocka_unit_test(a_debt_is_waited_for),
        cmocka_unit_test(nothing_is_lost_to_rounding),
        cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(time_that_goes_back_gives_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
