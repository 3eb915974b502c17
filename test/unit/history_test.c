/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/endian.h"
#include "signer/history.h"

#include <stdio.h>

#define NOW INT64_C(1795348800000)
#define MINUTE ((fl_time_t)60 * 1000)
#define HOUR (60 * MINUTE)

static struct fl_history *history;
static struct fl_context context;
static uint32_t retry_after_s;

static int set_up(void **state)
{
    (void)state;
    assert_ok(fl_history_create(&history, NULL));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fl_history_free(history);
    return 0;
}

static const uint8_t *key(uint64_t number)
{
    static uint8_t bytes[32];

    fl_put_le64(bytes, number * UINT64_C(0x9E3779B97F4A7C15)); /* spread, as a digest is */
    return bytes;
}

static enum fl_error ask(const char *device, uint64_t number, fl_time_t now)
{
    context.text[0] = 0;
    return fl_history_judge(history, fl_slice_str(device), key(number), now, &retry_after_s,
                            &context);
}

static void got(const char *device, uint64_t number, fl_time_t at)
{
    assert_ok(fl_history_note(history, fl_slice_str(device), key(number), at, NULL));
}

static void ten_an_hour_and_no_more(void **state)
{
    (void)state;
    for (int i = 0; i < FL_HISTORY_HOUR; i++) {
        assert_ok(ask("cam-01", 1, NOW + i * MINUTE));
        got("cam-01", 1, NOW + i * MINUTE);
    }
    assert_int_equal(ask("cam-01", 1, NOW + 10 * MINUTE), FL_EBUSY);
    assert_int_equal(retry_after_s, 50 * 60);
    assert_contains(context.text, "cam-01 got 10 certificates within an hour");
    assert_ok(ask("cam-02", 2, NOW + 10 * MINUTE)); /* another device is not held up */
    assert_int_equal(ask("cam-01", 1, NOW + HOUR - 1000), FL_EBUSY);
    assert_ok(ask("cam-01", 1, NOW + HOUR));
    got("cam-01", 1, NOW + HOUR);
    assert_int_equal(ask("cam-01", 1, NOW + HOUR), FL_EBUSY);
    assert_ok(ask("cam-01", 1, NOW + HOUR + MINUTE));
}

static void forty_a_day_and_no_more(void **state)
{
    (void)state;
    for (int i = 0; i < FL_HISTORY_DAY; i++) {
        assert_ok(ask("cam-01", 1, NOW + i * 10 * MINUTE));
        got("cam-01", 1, NOW + i * 10 * MINUTE);
    }
    assert_int_equal(ask("cam-01", 1, NOW + 8 * HOUR), FL_EBUSY);
    assert_contains(context.text, "40 certificates within a day");
    assert_int_equal(retry_after_s, 16 * 3600);
    assert_ok(ask("cam-01", 1, NOW + 24 * HOUR));
}

static void a_clock_that_goes_back_opens_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < FL_HISTORY_HOUR; i++)
        got("cam-01", 1, NOW);
    assert_int_equal(ask("cam-01", 1, NOW - 5 * HOUR), FL_EBUSY);
    assert_int_equal(retry_after_s, 3600);
}

static void a_key_is_one_devices(void **state)
{
    (void)state;
    assert_ok(ask("cam-01", 7, NOW));
    got("cam-01", 7, NOW);
    assert_ok(ask("cam-01", 7, NOW));
    assert_int_equal(ask("cam-02", 7, NOW), FL_EDENIED);
    assert_contains(context.text, "certified for another device already: cam-02 needs a key of its "
                                  "own");
    assert_ok(ask("cam-02", 8, NOW));
    assert_ok(ask("cam-01", 9, NOW)); /* a new key for the same device */
}

/* A key in use is remembered over any number of others; one that is not is forgotten first. */
static void memory_is_bounded_and_what_is_used_stays(void **state)
{
    char device[32];
    (void)state;

    got("used", 1, NOW);
    got("unused", 2, NOW);
    for (uint64_t i = 10; i < 10 + UINT64_C(3) * FL_HISTORY_KEYS; i++) {
        (void)snprintf(device, sizeof device, "d-%llu", (unsigned long long)i);
        got(device, i, NOW);
        if (i % 100000 == 0)
            got("used", 1, NOW - 25 * HOUR);
    }
    assert_int_equal(ask("other", 1, NOW), FL_EDENIED);
    assert_ok(ask("other", 2, NOW));
    /* The newest events count, whatever came before. */
    for (int i = 0; i < FL_HISTORY_HOUR; i++)
        got("last", 5, NOW);
    assert_int_equal(ask("last", 5, NOW), FL_EBUSY);
}

#define history_unit(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        history_unit(ten_an_hour_and_no_more),
        history_unit(forty_a_day_and_no_more),
        history_unit(a_clock_that_goes_back_opens_nothing),
        history_unit(a_key_is_one_devices),
        history_unit(memory_is_bounded_and_what_is_used_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
