/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/str.h"
#include "proto/renewal.h"
#include "test/twin/clock_twin.h"

#include <stdio.h>

#define MINUTE ((fl_time_t)60 * 1000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define START ((fl_time_t)1763800000 * 1000)

static fl_time_t due_of(const char *who, fl_time_t life)
{
    struct fl_renewal r = {0};

    fl_renewal_plan(&r, 50, fl_slice_str(who), START, START, START + life);
    return r.due - START;
}

static void a_fleet_spreads_between_a_half_and_two_thirds_of_the_life(void **state)
{
    enum { FLEET = 10000, SLOTS = 100 };
    unsigned slots[SLOTS] = {0};
    fl_time_t life = 7 * DAY;
    (void)state;

    for (int i = 0; i < FLEET; i++) {
        char who[32];
        fl_time_t due = 0;

        (void)snprintf(who, sizeof who, "cam-%05d", i);
        due = due_of(who, life);
        assert_true(due >= life / 2 && due < life * 2 / 3);
        assert_int_equal(due, due_of(who, life)); /* after a restart, too */
        slots[(due - life / 2) * SLOTS / (life / 6)]++;
    }
    for (int i = 0; i < SLOTS; i++)
        assert_in_range(slots[i], FLEET / SLOTS / 3, FLEET / SLOTS * 3);
    /* The shortest and the longest life. */
    assert_true(due_of("a", HOUR) >= HOUR / 2 && due_of("a", HOUR) < HOUR * 2 / 3);
    assert_true(due_of("a", 30 * DAY) >= 15 * DAY && due_of("a", 30 * DAY) < 20 * DAY);
}

/* A device over 30 days with a hub that is away as `away` says; the machine's timers fire late. */
struct life {
    struct fl_clock_twin clock;
    struct fl_random_twin random;
    struct fl_renewal renewal;
    fl_time_t life;
    unsigned renewed;
    unsigned asked;
    fl_time_t expired_for; /* ms with an ended certificate */
    bool (*away)(fl_time_t now);
};

static uint32_t random_of(struct life *l)
{
    uint32_t random = 0;

    l->random.random.fill(l->random.random.self, &random, sizeof random);
    return random;
}

static void renewed(struct life *l)
{
    char who[48];

    (void)snprintf(who, sizeof who, "cam-01 %u", l->renewed++);
    fl_renewal_plan(&l->renewal, 50, fl_slice_str(who), l->clock.now, l->clock.now - 5 * MINUTE,
                    l->clock.now + l->life);
}

static void live(struct life *l, fl_time_t for_ms, uint64_t seed)
{
    fl_time_t end = START + for_ms;

    fl_clock_twin_init(&l->clock, START);
    fl_random_twin_init(&l->random, seed);
    renewed(l);
    l->renewed = 0;
    while (l->clock.now < end) {
        fl_time_t again = 0;
        enum fl_renewal_verdict v =
            fl_renewal_judge(&l->renewal, l->clock.now, l->clock.monotonic, &again);

        assert_true(again > 0);
        if (v == FL_RENEWAL_NOW || v == FL_RENEWAL_EXPIRED) {
            l->asked++;
            if (!l->away(l->clock.now))
                renewed(l);
            else
                (void)fl_renewal_failed(&l->renewal, l->clock.now, l->clock.monotonic, 0,
                                        random_of(l));
            continue;
        }
        assert_int_equal(v, FL_RENEWAL_WAIT);
        if (l->clock.now >= l->renewal.not_after)
            l->expired_for += again;
        fl_clock_twin_advance(&l->clock, again + random_of(l) % 1000);
    }
}

static bool never_away(fl_time_t now)
{
    (void)now;
    return false;
}

static bool always_away(fl_time_t now)
{
    (void)now;
    return true;
}

/* Away for every second half of a day. */
static bool away_at_night(fl_time_t now)
{
    return now % DAY >= DAY / 2;
}

static void over_thirty_days_a_certificate_never_ends(void **state)
{
    static const fl_time_t lives[] = {HOUR, DAY, 7 * DAY, 30 * DAY};
    (void)state;

    for (size_t i = 0; i < sizeof lives / sizeof lives[0]; i++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct life l = {.life = lives[i], .away = never_away};

            live(&l, 30 * DAY, seed);
            assert_int_equal(l.expired_for, 0);
            assert_int_equal(l.asked, l.renewed);
            assert_in_range(l.renewed, 30 * DAY * 3 / 2 / lives[i] - (lives[i] == 30 * DAY),
                            30 * DAY * 2 / lives[i]);
        }
}

static void a_hub_away_at_night_is_asked_seldom_and_in_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct life l = {.life = 2 * DAY, .away = away_at_night};

        live(&l, 30 * DAY, seed);
        assert_int_equal(l.expired_for, 0);
        assert_in_range(l.renewed, 20, 30);
        assert_true(l.asked < l.renewed * 40); /* in 12 hours: 7 doublings, then hourly */
    }
}

static void a_hub_that_stays_away_is_asked_about_hourly(void **state)
{
    struct life l = {.life = 7 * DAY, .away = always_away};
    (void)state;

    live(&l, 30 * DAY, 7);
    assert_int_equal(l.renewed, 0);
    assert_true(l.expired_for > 22 * DAY);
    assert_in_range(l.asked, 24 * 24, 30 * 24 * 2);
}

static void pauses_double_have_chance_in_them_and_heed_the_hub(void **state)
{
    struct fl_renewal r = {0};
    fl_time_t again = 0;
    (void)state;

    fl_renewal_plan(&r, 50, fl_slice_str("a"), START, START, START + 7 * DAY);
    assert_int_equal(fl_renewal_failed(&r, START, 1000, 0, 0), MINUTE / 2);
    assert_int_equal(fl_renewal_failed(&r, START, 1000, 0, 0), MINUTE);
    assert_in_range(fl_renewal_failed(&r, START, 1000, 0, UINT32_MAX), MINUTE - 1, MINUTE + 1);
    assert_int_equal(fl_renewal_failed(&r, START, 1000, 2 * HOUR, 0), HOUR);
    assert_int_equal(fl_renewal_failed(&r, START, 1000, 10 * MINUTE, 0), 10 * MINUTE);
    for (int i = 0; i < 100; i++)
        assert_true(fl_renewal_failed(&r, START, 1000, 0, (uint32_t)i << 25) <= HOUR);
    /* Less is left: it asks more often. */
    assert_int_equal(fl_renewal_failed(&r, START + 7 * DAY - 8 * MINUTE, 1000, 0, 0), MINUTE);
    assert_int_equal(fl_renewal_judge(&r, START + 4 * DAY + 16 * HOUR, 1000 + MINUTE - 1, &again),
                     FL_RENEWAL_WAIT);
    assert_int_equal(again, 1);
    assert_int_equal(fl_renewal_judge(&r, START + 4 * DAY + 16 * HOUR, 1000 + MINUTE, &again),
                     FL_RENEWAL_NOW);
}

static void a_clock_that_cannot_be_right_renews_nothing(void **state)
{
    struct fl_renewal r = {0};
    fl_time_t again = 0;
    const fl_time_t year_2106 = (fl_time_t)UINT32_MAX * 1000;
    (void)state;

    fl_renewal_plan(&r, 50, fl_slice_str("a"), START, START - 5 * MINUTE, START + 7 * DAY);
    assert_int_equal(fl_renewal_judge(&r, 0, 0, &again), FL_RENEWAL_CLOCK);
    assert_int_equal(again, MINUTE);
    assert_int_equal(fl_renewal_judge(&r, INT64_MIN / 2, 0, &again), FL_RENEWAL_CLOCK);
    assert_int_equal(fl_renewal_judge(&r, year_2106, 0, &again), FL_RENEWAL_CLOCK);
    assert_int_equal(fl_renewal_judge(&r, START - 2 * DAY, 0, &again), FL_RENEWAL_CLOCK);
    /* A clock that is an hour slow, and one that comes right, do their work. */
    assert_int_equal(fl_renewal_judge(&r, START - HOUR, 0, &again), FL_RENEWAL_WAIT);
    assert_int_equal(fl_renewal_judge(&r, START + 5 * DAY, 0, &again), FL_RENEWAL_NOW);
    assert_int_equal(fl_renewal_judge(&r, START + 40 * DAY, 0, &again), FL_RENEWAL_EXPIRED);
}

static void never_is_never_and_now_is_now(void **state)
{
    struct fl_renewal r = {0};
    fl_time_t again = 0;
    (void)state;

    fl_renewal_plan(&r, 0, fl_slice_str("a"), START, START, START + 7 * DAY);
    assert_int_equal(fl_renewal_judge(&r, START + 7 * DAY - 1, 0, &again), FL_RENEWAL_WAIT);
    fl_renewal_hurry(&r, START);
    assert_int_equal(fl_renewal_judge(&r, START, 0, &again), FL_RENEWAL_NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fleet_spreads_between_a_half_and_two_thirds_of_the_life),
        cmocka_unit_test(over_thirty_days_a_certificate_never_ends),
        cmocka_unit_test(a_hub_away_at_night_is_asked_seldom_and_in_time),
        cmocka_unit_test(a_hub_that_stays_away_is_asked_about_hourly),
        cmocka_unit_test(pauses_double_have_chance_in_them_and_heed_the_hub),
        cmocka_unit_test(a_clock_that_cannot_be_right_renews_nothing),
        cmocka_unit_test(never_is_never_and_now_is_now),
    };

    return cmocka_run_group_tests_name("renewal", tests, NULL, NULL);
}
