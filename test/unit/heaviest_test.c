/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "service/heaviest.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMES 500

struct exact {
    char name[24];
    uint8_t place;
    uint64_t weight;
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return *state >> 33;
}

static void play(struct fl_heaviest *heaviest, struct exact *names, uint64_t seed, int steps)
{
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(names[i].name, sizeof names[i].name, "device-%d", i);
        names[i].place = (uint8_t)i;
    }
    for (int i = 0; i < steps; i++) {
        /* Few have much, most have little. */
        uint64_t roll = next_random(&seed) % 1000;
        uint64_t who = roll < 600 ? next_random(&seed) % 8 : next_random(&seed) % NAMES;
        uint64_t weight = 1 + next_random(&seed) % 20;

        names[who].weight += weight;
        fl_heaviest_add(heaviest, fl_slice_str(names[who].name), &names[who].place, weight, 1);
    }
}

static const struct exact *exact_of(const struct exact *names, const char *name)
{
    for (int i = 0; i < NAMES; i++)
        if (strcmp(names[i].name, name) == 0)
            return &names[i];
    fail_msg("%s was never counted", name);
    return NULL;
}

static void what_it_shows_is_within_its_error_of_an_exact_count(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fl_heaviest heaviest = {0};
        struct exact names[NAMES] = {0};
        struct fl_heavy top[FL_LIMIT_BUSIEST];
        size_t count = 0;
        uint64_t total = 0;

        play(&heaviest, names, seed, 20000);
        count = fl_heaviest_top(&heaviest, top);
        assert_int_equal(count, FL_LIMIT_BUSIEST);
        for (int i = 0; i < NAMES; i++)
            total += names[i].weight;
        assert_int_equal(heaviest.total, total);
        for (size_t i = 0; i < count; i++) {
            uint64_t truth = exact_of(names, top[i].name)->weight;

            assert_true(top[i].weight >= truth);
            assert_true(top[i].weight - top[i].error <= truth);
            assert_true(top[i].error <= total / FL_LIMIT_BUSIEST);
            assert_true(i == 0 || top[i - 1].weight >= top[i].weight);
        }
        /* Whoever has more than its share of the places is in it. */
        for (int i = 0; i < NAMES; i++) {
            bool in = false;

            for (size_t k = 0; k < count; k++)
                in |= strcmp(top[k].name, names[i].name) == 0;
            assert_true(in || names[i].weight <= total / FL_LIMIT_BUSIEST);
        }
    }
}

static void few_names_are_counted_exactly(void **state)
{
    struct fl_heaviest heaviest = {0};
    struct fl_heavy top[FL_LIMIT_BUSIEST];
    uint8_t places[FL_LIMIT_BUSIEST] = {0};

    (void)state;
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < FL_LIMIT_BUSIEST; i++) {
            char name[16];

            (void)snprintf(name, sizeof name, "n%d", i);
            fl_heaviest_add(&heaviest, fl_slice_str(name), &places[i], (uint64_t)i + 1, 2);
        }
    assert_int_equal(fl_heaviest_top(&heaviest, top), FL_LIMIT_BUSIEST);
    for (size_t i = 0; i < FL_LIMIT_BUSIEST; i++) {
        assert_int_equal(top[i].weight, 10 * (FL_LIMIT_BUSIEST - i));
        assert_int_equal(top[i].error, 0);
        assert_int_equal(top[i].other, 20);
    }
}

static void a_name_with_two_places_is_shown_once(void **state)
{
    struct fl_heaviest heaviest = {0};
    struct fl_heavy top[FL_LIMIT_BUSIEST];
    uint8_t first = 200;
    uint8_t second = 200;

    (void)state;
    fl_heaviest_add(&heaviest, fl_slice_str("a"), &first, 5, 0);
    fl_heaviest_add(&heaviest, fl_slice_str("b"), &second, 1, 0);
    second = 200; /* it went and came back, and remembers nothing */
    fl_heaviest_add(&heaviest, fl_slice_str("a"), &second, 7, 0);
    assert_int_equal(fl_heaviest_top(&heaviest, top), 2);
    assert_string_equal(top[0].name, "a");
    assert_int_equal(top[0].weight, 12);
    fl_heaviest_clear(&heaviest);
    assert_int_equal(fl_heaviest_top(&heaviest, top), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_shows_is_within_its_error_of_an_exact_count),
        cmocka_unit_test(few_names_are_counted_exactly),
        cmocka_unit_test(a_name_with_two_places_is_shown_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
