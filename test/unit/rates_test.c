/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "front/rates.h"

#include <stdio.h>
#include <stdlib.h>

static struct fl_profile profile_with(const char *rates)
{
    struct fl_profile profile = {0};
    struct fl_context ctx = {0};
    char text[1024];

    (void)snprintf(text, sizeof text, "profile x {\n    version 1\n%s\n}\n", rates);
    if (fl_profile_parse(fl_slice_str(text), "x.profile", &profile, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    return profile;
}

static void refused(const char *rate, const char *words)
{
    struct fl_profile profile = {0};
    struct fl_context ctx = {0};
    char text[1024];

    (void)snprintf(text, sizeof text, "profile x {\n    version 1\n%s\n}\n", rate);
    assert_int_equal(fl_profile_parse(fl_slice_str(text), "x.profile", &profile, &ctx), FL_EPARSE);
    assert_contains(ctx.text, words);
}

static void a_profile_says_how_fast(void **state)
{
    struct fl_profile p =
        profile_with("rate messages 100/s burst 250\nrate bytes 64k/min burst 1M");

    (void)state;
    assert_int_equal(p.rate_messages.amount, 100);
    assert_int_equal(p.rate_messages.burst, 250);
    assert_int_equal(p.rate_messages.period_ms, 1000);
    assert_int_equal(p.rate_bytes.amount, 65536);
    assert_int_equal(p.rate_bytes.burst, 1048576);
    assert_int_equal(p.rate_bytes.period_ms, 60000);
    fl_profile_free(&p);
    p = profile_with("rate messages 5/h");
    assert_int_equal(p.rate_messages.burst, 10);
    assert_int_equal(p.rate_messages.period_ms, 3600000);
    assert_int_equal(p.rate_bytes.amount, FL_LIMIT_RATE_BYTES);
    fl_profile_free(&p);
    p = profile_with("");
    assert_int_equal(p.rate_messages.amount, FL_LIMIT_RATE_MESSAGES);
    assert_int_equal(p.rate_messages.burst, FL_LIMIT_RATE_MESSAGES_BURST);
    fl_profile_free(&p);
    p = profile_with("rate bytes 4095M/s");
    assert_int_equal(p.rate_bytes.burst, UINT32_MAX);
    fl_profile_free(&p);
}

static void what_is_wrong_with_a_rate_is_said(void **state)
{
    (void)state;
    refused("rate messages 0/s", "3:15: a rate of messages");
    refused("rate messages 100", "a rate of messages");
    refused("rate messages 100/d", "a rate of messages");
    refused("rate messages 1k/s", "a rate of messages");
    refused("rate messages -1/s", "a rate of messages");
    refused("rate bytes 4096M/s", "a rate of bytes");
    refused("rate bytes k/s", "a rate of bytes");
    refused("rate bytes 1k/s burst", "write: rate messages");
    refused("rate bytes 1k/s bursts 2k", "write: rate messages");
    refused("rate bytes 1k/s burst 0", "a burst is a number");
    refused("rate things 1/s", "of messages or of bytes");
    refused("rate messages 1/s\nrate messages 2/s", "a second time");
    refused("rate messages", "rate messages NUMBER/s");
}

/* Takes all the room there is, in pieces of `size` bytes with a message in every `each` bytes.
 * Returns how many messages that were. */
static uint64_t take(struct fl_rates *r, fl_time_t now, size_t size, size_t each)
{
    uint64_t taken = 0;

    for (size_t room = fl_rates_room(r, size, now); room; room = fl_rates_room(r, size, now)) {
        assert_true(room <= size);
        fl_rates_charge(r, room / each, room, now);
        taken += room / each;
    }
    return taken;
}

static void over_time_a_device_gets_its_rate_and_its_burst(void **state)
{
    struct fl_profile p = profile_with("rate messages 100/s burst 200\nrate bytes 1M/s");
    struct fl_rates r = {0};
    uint64_t messages = 0;

    (void)state;
    fl_rates_set(&r, &p);
    for (fl_time_t now = 1; now <= 10000; now += 1)
        messages += take(&r, now, 16384, 20);
    /* 200 at once and 100 a second, in messages of 20 bytes, and what one piece may be over. */
    assert_in_range(messages, 1190, 1220);
    assert_true(fl_rates_wait(&r, 10000) > 0);
    assert_true(fl_rates_full_in(&r, 10000) > 1500);
    fl_profile_free(&p);
}

static void the_nearer_limit_counts_and_a_stretch_is_one(void **state)
{
    struct fl_profile p = profile_with("rate messages 1000/s\nrate bytes 1k/s burst 1k");
    struct fl_rates r = {0};

    (void)state;
    fl_rates_set(&r, &p);
    (void)take(&r, 1, 4096, 100);
    assert_int_equal(fl_rates_begin_stretch(&r, 1), FL_RATES_BYTES);
    assert_int_equal(fl_rates_begin_stretch(&r, 2), FL_RATES_NONE);
    assert_int_equal(fl_rates_begin_stretch(&r, 1 + FL_RATES_STRETCH_MS), FL_RATES_NONE);
    (void)take(&r, 3 + 2 * FL_RATES_STRETCH_MS, 4096, 100);
    assert_int_equal(fl_rates_begin_stretch(&r, 3 + 2 * FL_RATES_STRETCH_MS), FL_RATES_BYTES);
    fl_profile_free(&p);
}

static void a_new_profile_begins_with_a_full_burst(void **state)
{
    struct fl_profile slow = profile_with("rate messages 1/h burst 1");
    struct fl_profile fast = profile_with("rate messages 100/s burst 7");
    struct fl_rates r = {0};

    (void)state;
    fl_rates_set(&r, &slow);
    fl_rates_charge(&r, 50, 0, 1);
    assert_true(fl_rates_wait(&r, 1) > 3600000);
    fl_rates_set(&r, &slow); /* the same again changes nothing */
    assert_true(fl_rates_wait(&r, 1) > 3600000);
    fl_rates_set(&r, &fast);
    assert_int_equal(fl_rates_wait(&r, 1), 0);
    fl_rates_set(&r, NULL);
    assert_int_equal(r.messages_rate.amount, FL_LIMIT_RATE_MESSAGES);
    fl_profile_free(&slow);
    fl_profile_free(&fast);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_profile_says_how_fast),
        cmocka_unit_test(what_is_wrong_with_a_rate_is_said),
        cmocka_unit_test(over_time_a_device_gets_its_rate_and_its_burst),
        cmocka_unit_test(the_nearer_limit_counts_and_a_stretch_is_one),
        cmocka_unit_test(a_new_profile_begins_with_a_full_burst),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
