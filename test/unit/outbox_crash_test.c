/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/outbox_model.h"

static uint64_t count_changes(uint64_t seed, uint64_t max_bytes, uint32_t segment_bytes, int steps)
{
    struct model m;
    uint64_t changes = 0;

    start(&m, seed, max_bytes, segment_bytes);
    (void)fl_files_twin_changes(m.twin);
    assert_ok(open_outbox(&m));
    work(&m, steps);
    assert_false(m.dead);
    fl_outbox_close(m.outbox);
    changes = fl_files_twin_changes(m.twin);
    m.outbox = NULL;
    finish(&m);
    return changes;
}

struct tally {
    uint64_t cases;
    uint64_t torn;
};

/* Crash at change `at`, then at change `again` of the recovery; then work on, crash, look again.
 * False when the recovery had no such change. */
static bool crash_twice(uint64_t seed, uint64_t max_bytes, uint32_t segment_bytes, int steps,
                        uint64_t at, uint64_t again, enum fl_files_twin_crash kind,
                        struct tally *tally)
{
    struct model m;
    bool reached = true;

    start(&m, seed, max_bytes, segment_bytes);
    m.twin = (fl_files_twin_free(m.twin), fl_files_twin_new(seed * 1000003 + at * 31 + again));
    m.files = fl_files_twin_files(m.twin);
    fl_files_twin_crash_at(m.twin, at);
    if (open_outbox(&m) == FL_OK)
        work(&m, steps);
    fl_outbox_close(m.outbox);
    m.outbox = NULL;
    fl_files_twin_restart(m.twin, kind);
    m.life++;

    fl_files_twin_crash_at(m.twin, again);
    reached = open_outbox(&m) != FL_OK;
    if (reached) {
        fl_files_twin_restart(m.twin, kind);
        if (open_outbox(&m) != FL_OK)
            fail_msg("seed %llu change %llu again %llu: %s", (unsigned long long)seed,
                     (unsigned long long)at, (unsigned long long)again, context.text);
    }
    fl_files_twin_crash_at(m.twin, 0);
    check_recovered(&m);
    tally->torn += fl_outbox_stats(m.outbox).torn_bytes > 0;
    m.dead = false;
    work(&m, 30);
    die(&m, kind);
    assert_ok(open_outbox(&m));
    check_recovered(&m);
    tally->cases++;
    finish(&m);
    return reached;
}

static void crash_everywhere(uint64_t max_bytes, uint32_t segment_bytes, int steps,
                             uint64_t seed_count, enum fl_files_twin_crash kind,
                             struct tally *tally)
{
    for (uint64_t seed = 1; seed <= seed_count; seed++) {
        uint64_t changes = count_changes(seed, max_bytes, segment_bytes, steps);
        for (uint64_t at = 1; at <= changes + 1; at++) {
            uint64_t again = 1;
            while (crash_twice(seed, max_bytes, segment_bytes, steps, at, again, kind, tally))
                again++;
        }
    }
}

static void nothing_synced_is_lost_wherever_the_power_goes(void **state)
{
    struct tally tally = {0};
    (void)state;

    crash_everywhere(1 << 20, 512, 150, 2, FL_TWIN_POWER, &tally);
    assert_true(tally.cases > 1000 && tally.torn > 10);
    print_message("%llu crashes by power cut, %llu of them with a torn tail\n",
                  (unsigned long long)tally.cases, (unsigned long long)tally.torn);
}

static void nothing_synced_is_lost_wherever_it_is_killed(void **state)
{
    struct tally tally = {0};
    (void)state;

    crash_everywhere(1 << 20, 512, 150, 1, FL_TWIN_KILL, &tally);
    print_message("%llu crashes by kill\n", (unsigned long long)tally.cases);
}

static void what_is_dropped_is_counted_wherever_the_power_goes(void **state)
{
    struct tally tally = {0};
    (void)state;

    crash_everywhere(2048, 512, 150, 2, FL_TWIN_POWER, &tally);
    print_message("%llu crashes of a full outbox\n", (unsigned long long)tally.cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_synced_is_lost_wherever_the_power_goes),
        cmocka_unit_test(nothing_synced_is_lost_wherever_it_is_killed),
        cmocka_unit_test(what_is_dropped_is_counted_wherever_the_power_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
