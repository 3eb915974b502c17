/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/journal_model.h"

struct tally {
    uint64_t cases;
    uint64_t torn;
    uint64_t checkpoints;
};

static void begin(struct model *m)
{
    if (model_open(m) != FL_OK) {
        m->dead = true;
        return;
    }
    model_judge(m, 0);
}

static uint64_t count_changes(uint64_t seed, int steps, struct tally *tally)
{
    struct model m;
    uint64_t changes = 0;

    model_start(&m, seed, seed, 12, true);
    begin(&m);
    (void)fl_files_twin_changes(m.twin);
    model_work(&m, steps);
    assert_false(m.dead);
    tally->checkpoints += m.checkpoints;
    changes = fl_files_twin_changes(m.twin);
    model_finish(&m);
    return changes;
}

/* Crash at change `at`, then at change `again` of the recovery; then work on, crash, look again.
 * False when the recovery had no such change. */
static bool crash_twice(uint64_t seed, int steps, uint64_t at, uint64_t again,
                        enum fl_files_twin_crash kind, struct tally *tally)
{
    struct model m;
    bool reached = true;
    uint64_t must = 0;

    model_start(&m, seed, seed * 1000003 + at * 31 + again, 12, true);
    begin(&m);
    fl_files_twin_crash_at(m.twin, at);
    model_work(&m, steps);
    must = model_crash(&m, kind);
    fl_files_twin_crash_at(m.twin, again);
    reached = model_open(&m) != FL_OK;
    if (reached) {
        fl_files_twin_restart(m.twin, kind);
        if (model_open(&m) != FL_OK)
            fail_msg("seed %llu change %llu again %llu: %s", (unsigned long long)seed,
                     (unsigned long long)at, (unsigned long long)again, context.text);
    }
    fl_files_twin_crash_at(m.twin, 0);
    tally->torn += fl_journal_stats(m.journal).torn > 0;
    model_judge(&m, must);
    model_work(&m, 25);
    assert_false(m.dead);
    must = model_crash(&m, kind);
    if (model_open(&m) != FL_OK)
        fail_msg("second life: %s", context.text);
    model_judge(&m, must);
    tally->cases++;
    model_finish(&m);
    return reached;
}

static void crash_everywhere(int steps, uint64_t first_seed, uint64_t seed_count,
                             enum fl_files_twin_crash kind, struct tally *tally)
{
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        uint64_t changes = count_changes(seed, steps, tally);
        for (uint64_t at = 1; at <= changes + 1; at++) {
            uint64_t again = 1;
            while (crash_twice(seed, steps, at, again, kind, tally))
                again += 1 + at % 3;
        }
    }
    print_message("%llu crashes, %llu of them with a torn end, %llu checkpoints in the work\n",
                  (unsigned long long)tally->cases, (unsigned long long)tally->torn,
                  (unsigned long long)tally->checkpoints);
}

static void nothing_synced_is_lost_wherever_the_power_goes(void **state)
{
    struct tally tally = {0};
    (void)state;

    crash_everywhere(140, 1, 3, FL_TWIN_POWER, &tally);
    assert_true(tally.cases > 500 && tally.torn > 20 && tally.checkpoints > 1);
}

static void nothing_appended_is_lost_wherever_it_is_killed(void **state)
{
    struct tally tally = {0};
    (void)state;

    crash_everywhere(140, 7, 2, FL_TWIN_KILL, &tally);
    assert_true(tally.cases > 300 && tally.checkpoints > 1);
}

static void many_lives_end_in_power_cuts(void **state)
{
    (void)state;

    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct model m;

        model_start(&m, seed, seed + 100, 12, true);
        begin(&m);
        for (int life = 0; life < 12; life++) {
            enum fl_files_twin_crash kind = seed % 4 ? FL_TWIN_POWER : FL_TWIN_KILL;
            uint64_t must = 0;

            fl_files_twin_crash_at(m.twin, 1 + model_random(&m) % 60);
            model_work(&m, 60);
            must = model_crash(&m, kind);
            if (model_open(&m) != FL_OK)
                fail_msg("seed %llu life %d: %s", (unsigned long long)seed, life, context.text);
            model_judge(&m, must);
        }
        model_finish(&m);
    }
}

/* A sync fails, memory shows what the disk does not have, and the power goes at any time after. */
static void failed_sync_takes_nothing_that_was_acknowledged(void **state)
{
    uint64_t rewrites = 0;
    (void)state;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct model m;
        uint64_t must = 0;

        model_start(&m, seed, seed + 500, 16, true);
        begin(&m);
        for (int i = 0; i < 8; i++) {
            model_work(&m, 12);
            fl_files_twin_fail_syncs(m.twin, model_random(&m) % 3);
            model_sync(&m);
            fl_files_twin_fail_syncs(m.twin, 0);
            m.durable = fl_journal_stats(m.journal).durable;
            m.dead = false;
        }
        rewrites += fl_journal_stats(m.journal).rewrites;
        must = model_crash(&m, seed % 2 ? FL_TWIN_POWER : FL_TWIN_KILL);
        if (seed % 2 == 0) /* killed, and then the power goes, too: memory showed too much */
            fl_files_twin_restart(m.twin, FL_TWIN_POWER);
        if (model_open(&m) != FL_OK)
            fail_msg("seed %llu: %s", (unsigned long long)seed, context.text);
        model_judge(&m, seed % 2 ? must : m.durable);
        model_finish(&m);
    }
    assert_true(rewrites > 20);
}

static void full_disk_at_any_byte_leaves_it_usable(void **state)
{
    uint64_t full = 0;
    (void)state;

    for (uint64_t space = 0; space <= 10 * MODEL_SEGMENT; space += 1777) {
        struct model m;
        uint64_t must = 0;
        uint64_t before = 0;

        model_start(&m, space + 3, space + 9, 12, true);
        begin(&m);
        fl_files_twin_space(m.twin, space);
        model_work(&m, 150);
        assert_false(m.dead);
        full += m.full;
        before = m.last;
        fl_files_twin_space(m.twin, UINT64_MAX);
        model_work(&m, 60);
        assert_true(m.last > before);
        must = model_crash(&m, FL_TWIN_POWER);
        assert_ok(model_open(&m));
        model_judge(&m, must);
        model_finish(&m);
    }
    assert_true(full > 100);
}

static void maximum_is_kept_and_checkpoints_free_it(void **state)
{
    struct model m;
    uint64_t must = 0;
    (void)state;

    model_start(&m, 5, 5, FL_JOURNAL_SEGMENTS_MIN, true);
    m.polite = true;
    begin(&m);
    for (int i = 0; i < 60; i++) {
        model_work(&m, 20);
        assert_true(fl_journal_stats(m.journal).bytes <= m.config.max_bytes);
    }
    assert_true(m.checkpoints > 5);
    assert_int_equal(m.full, 0);
    must = model_crash(&m, FL_TWIN_POWER);
    assert_ok(model_open(&m));
    model_judge(&m, must);
    model_finish(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_synced_is_lost_wherever_the_power_goes),
        cmocka_unit_test(nothing_appended_is_lost_wherever_it_is_killed),
        cmocka_unit_test(many_lives_end_in_power_cuts),
        cmocka_unit_test(failed_sync_takes_nothing_that_was_acknowledged),
        cmocka_unit_test(full_disk_at_any_byte_leaves_it_usable),
        cmocka_unit_test(maximum_is_kept_and_checkpoints_free_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
