/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims, PCRs, nonces, activations and what evidence is worth when: the parts without a hub.
 */
#include "codec/evidence.h"
#include "service/activation.h"
#include "service/nonce.h"
#include "test/twin/clock_twin.h"
#include "test/unit/service_world.h"

static struct fl_random_twin dice;

/* --- claims --- */

static struct fl_claims claims(void)
{
    static const uint8_t nonce[FL_NONCE_SIZE] = {0xAB};

    return (struct fl_claims){.device = fl_slice_str("cam-01"),
                              .nonce = fl_slice(nonce, sizeof nonce),
                              .agent = fl_slice_str("fairlead-agent 0.1.0"),
                              .os = fl_slice_str("Debian"),
                              .kernel = fl_slice_str("Linux"),
                              .uptime_s = 7};
}

static void claims_are_one_text(void **state)
{
    struct fl_claims c = claims();
    struct fl_buffer text = FL_BUFFER(4096);

    (void)state;
    assert_ok(fl_claims_text(&c, &text, NULL));
    assert_string_equal(fl_buffer_str(&text),
                        "fairlead-evidence 1\ndevice cam-01\nnonce "
                        "ab00000000000000000000000000000000000000000000000000000000000000\n"
                        "agent fairlead-agent 0.1.0\nos Debian\nkernel Linux\nbinary \nboot \n"
                        "uptime 7\n");
    fl_buffer_free(&text);
}

static void a_claim_that_could_be_another_is_refused(void **state)
{
    struct fl_buffer text = FL_BUFFER(4096);
    struct fl_context ctx = {0};
    struct fl_claims c = claims();
    char longest[FL_LIMIT_CLAIM + 2];

    (void)state;
    c.os = fl_slice_str("Debian\nkernel other");
    assert_int_equal(fl_claims_text(&c, &text, &ctx), FL_EINVAL);
    assert_contains(ctx.text, "claim 'os'");
    c = claims();
    c.boot = fl_slice_str("\xff");
    assert_int_equal(fl_claims_text(&c, &text, NULL), FL_EINVAL);
    c = claims();
    c.binary = fl_slice_str("abcd");
    assert_int_equal(fl_claims_text(&c, &text, NULL), FL_EINVAL);
    c = claims();
    c.nonce.size = 31;
    assert_int_equal(fl_claims_text(&c, &text, NULL), FL_EINVAL);
    c = claims();
    c.device = fl_slice_str("../x");
    assert_int_equal(fl_claims_text(&c, &text, NULL), FL_EINVAL);
    c = claims();
    memset(longest, 'x', sizeof longest);
    c.kernel = fl_slice(longest, FL_LIMIT_CLAIM);
    assert_ok(fl_claims_text(&c, &text, NULL));
    c.kernel.size++;
    assert_int_equal(fl_claims_text(&c, &text, NULL), FL_EINVAL);
    fl_buffer_free(&text);
}

static void pcrs_come_back_as_they_went(void **state)
{
    struct fl_pcrs pcrs = {.present = 1U << 0 | 1U << 7 | 1U << 23};
    struct fl_pcrs back;
    struct fl_buffer bytes = FL_BUFFER(1024);
    char text[FL_PCRS_TEXT];
    uint8_t twice[2 * (1 + FL_PCR_SIZE)] = {5};

    (void)state;
    memset(pcrs.value[7], 7, FL_PCR_SIZE);
    fl_pcrs_put(&pcrs, &bytes);
    assert_ok(fl_pcrs_take(fl_buffer_slice(&bytes), &back));
    assert_memory_equal(&back, &pcrs, sizeof pcrs);
    assert_int_equal(fl_pcrs_take(fl_slice(bytes.data + bytes.start, bytes.size - 1), &back),
                     FL_EPARSE);
    twice[1 + FL_PCR_SIZE] = 5;
    assert_int_equal(fl_pcrs_take(fl_slice(twice, sizeof twice), &back), FL_EPARSE);
    twice[1 + FL_PCR_SIZE] = 24;
    assert_int_equal(fl_pcrs_take(fl_slice(twice, sizeof twice), &back), FL_EPARSE);
    assert_string_equal(fl_pcrs_text(0xFF | 1U << 9 | 3U << 22, text), "0-7,9,22-23");
    assert_string_equal(fl_pcrs_text(0x555555, text), "0,2,4,6,8,10,12,14,16,18,20,22");
    fl_buffer_free(&bytes);
}

/* --- nonces --- */

static void nonces_are_bounded_and_do_not_stay_for_ever(void **state)
{
    struct fl_nonces nonces;
    uint8_t nonce[FL_NONCE_SIZE];
    char id[32];
    fl_time_t wait = 0;
    struct fl_context ctx = {0};

    (void)state;
    fl_nonces_init(&nonces);
    for (int i = 0; i < FL_LIMIT_NONCES; i++) {
        (void)snprintf(id, sizeof id, "d-%d", i);
        assert_ok(fl_nonce_give(&nonces, fl_slice_str(id), &dice.random, 1000, nonce, &wait, NULL));
    }
    assert_int_equal(
        fl_nonce_give(&nonces, fl_slice_str("more"), &dice.random, 1001, nonce, &wait, &ctx),
        FL_EBUSY);
    assert_true(wait > 0);
    /* Who is in may ask again, and after a minute all that was not used is forgotten. */
    assert_ok(fl_nonce_give(&nonces, fl_slice_str("d-5"), &dice.random, 1002, nonce, &wait, NULL));
    assert_ok(fl_nonce_give(&nonces, fl_slice_str("more"), &dice.random, 1000 + FL_LIMIT_NONCE_MS,
                            nonce, &wait, NULL));
    assert_int_equal(nonces.by_device.count, 2);
    fl_nonces_free(&nonces);
}

static void a_device_that_asks_too_often_waits(void **state)
{
    struct fl_nonces nonces;
    uint8_t nonce[FL_NONCE_SIZE];
    fl_time_t wait = 0;
    fl_time_t now = 1000;
    struct fl_slice id = fl_slice_str("d");

    (void)state;
    fl_nonces_init(&nonces);
    for (int i = 0; i < FL_LIMIT_NONCES_DEVICE; i++, now += 1000)
        assert_ok(fl_nonce_give(&nonces, id, &dice.random, now, nonce, &wait, NULL));
    assert_int_equal(fl_nonce_give(&nonces, id, &dice.random, now, nonce, &wait, NULL), FL_EBUSY);
    assert_int_equal(wait, FL_LIMIT_NONCE_MS - FL_LIMIT_NONCES_DEVICE * 1000);
    /* The last one it got is good all the same. */
    assert_ok(fl_nonce_take(&nonces, id, fl_slice(nonce, sizeof nonce), now, NULL));
    assert_ok(fl_nonce_give(&nonces, id, &dice.random, now + wait, nonce, &wait, NULL));
    fl_nonces_free(&nonces);
}

static void activations_are_bounded(void **state)
{
    struct fl_activations all;
    struct fl_activation *a = NULL;
    char id[32];

    (void)state;
    fl_activations_init(&all);
    for (int i = 0; i < FL_LIMIT_ACTIVATIONS; i++) {
        (void)snprintf(id, sizeof id, "d-%d", i);
        assert_ok(fl_activation_begin(&all, fl_slice_str(id), &dice.random, 1000, &a, NULL));
    }
    assert_int_equal(fl_activation_begin(&all, fl_slice_str("x"), &dice.random, 1001, &a, NULL),
                     FL_EBUSY);
    assert_ok(fl_activation_begin(&all, fl_slice_str("d-5"), &dice.random, 1001, &a, NULL));
    assert_ok(fl_activation_begin(&all, fl_slice_str("x"), &dice.random, 1000 + FL_LIMIT_NONCE_MS,
                                  &a, NULL));
    assert_int_equal(all.by_device.count, 2);
    fl_activations_free(&all);
}

/* --- what it is worth --- */

static void each_grade_has_its_own_end(void **state)
{
    struct fl_evidence e = {.device = "d"};
    struct fl_requirement r = {.within_ms = {0, HOUR, DAY}};
    char words[FL_EVIDENCE_WORDS];
    fl_time_t until = 0;

    (void)state;
    assert_int_equal(fl_evidence_grades(&e, &r, NOON, &until), 0);
    assert_true(until == FL_TIME_NEVER);
    assert_false(fl_evidence_suffices(&e, &r, NOON, words));
    assert_contains(words, "it has given none");
    fl_evidence_accept(&e, FL_GRADE_ATTESTED, true, NOON);
    assert_int_equal(fl_evidence_grades(&e, &r, NOON, &until), 6);
    assert_true(until == NOON + HOUR);
    assert_true(fl_evidence_suffices(&e, &r, NOON, words));
    assert_int_equal(fl_evidence_grades(&e, &r, NOON + HOUR, &until), 4);
    assert_true(until == NOON + DAY);
    assert_false(fl_evidence_suffices(&e, &r, NOON + HOUR, words));
    assert_contains(words, "reported evidence within 1h: the last is of 2026-11-22T12:00:00Z");
    assert_int_equal(fl_evidence_grades(&e, &r, NOON + DAY, &until), 0);
    fl_evidence_refute(&e, NOON + MINUTE);
    assert_int_equal(fl_evidence_grades(&e, &r, NOON + MINUTE, &until), 0);
    fl_evidence_accept(&e, FL_GRADE_REPORTED, false, NOON + 2 * MINUTE);
    assert_int_equal(fl_evidence_grades(&e, &r, NOON + 2 * MINUTE, &until), 0);
    fl_evidence_accept(&e, FL_GRADE_ATTESTED, true, NOON + 3 * MINUTE);
    assert_int_equal(fl_evidence_grades(&e, &r, NOON + 3 * MINUTE, &until), 6);
}

static void a_record_comes_back_whole_and_keeps_one_timer_for_each_end(void **state)
{
    struct service_world *w = *state;
    struct fl_requirement r = {.within_ms = {0, HOUR, DAY}};
    struct fl_evidence e = {.device = "d",
                            .words = "why",
                            .machine.os = "an os",
                            .log_events = 9,
                            .tpm_clock = 5,
                            .tpm_resets = 6,
                            .tpm_restarts = 7,
                            .quoted = 8};
    struct fl_evidence back;
    char id[FL_NAME_MAX + 1];

    e.pcrs.present = 3;
    memset(e.pcrs.value[1], 1, FL_PCR_SIZE);
    fl_evidence_accept(&e, FL_GRADE_ATTESTED, true, NOON);
    for (int i = 0; i < 3; i++) {
        assert_ok(fl_store_begin(&w->store, NULL));
        assert_ok(fl_evidence_put(&w->store, &e, &r, NOON, NULL));
        commit(w);
    }
    assert_ok(fl_evidence_get(&w->store, "d", &back, NULL));
    assert_memory_equal(&back, &e, sizeof e);
    assert_true(fl_evidence_next(&w->store) == NOON + HOUR);
    assert_int_equal(fl_evidence_expire(&w->store, NOON + HOUR - 1, id, NULL), FL_ENOTFOUND);
    assert_ok(fl_evidence_expire(&w->store, NOON + HOUR, id, NULL));
    assert_string_equal(id, "d");
    assert_true(fl_evidence_next(&w->store) == NOON + DAY);
    /* Both end together: one timer, and it can be taken back. */
    r.within_ms[FL_GRADE_REPORTED] = DAY;
    assert_ok(fl_evidence_put(&w->store, &e, &r, NOON, NULL));
    assert_ok(fl_evidence_put(&w->store, &e, &r, NOON, NULL));
    assert_true(fl_evidence_next(&w->store) == NOON + DAY);
    fl_evidence_refute(&e, NOON);
    assert_ok(fl_evidence_put(&w->store, &e, &r, NOON, NULL));
    assert_true(fl_evidence_next(&w->store) == FL_TIME_NEVER);
    assert_int_equal(fl_evidence_get(&w->store, "other", &back, NULL), FL_ENOTFOUND);
}

static int seed(void **state)
{
    (void)state;
    fl_random_twin_init(&dice, 1);
    return 0;
}

int main(void)
{
#define WITH_STORE(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, service_world_open, service_world_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_are_one_text),
        cmocka_unit_test(a_claim_that_could_be_another_is_refused),
        cmocka_unit_test(pcrs_come_back_as_they_went),
        cmocka_unit_test(nonces_are_bounded_and_do_not_stay_for_ever),
        cmocka_unit_test(a_device_that_asks_too_often_waits),
        cmocka_unit_test(activations_are_bounded),
        cmocka_unit_test(each_grade_has_its_own_end),
        WITH_STORE(a_record_comes_back_whole_and_keeps_one_timer_for_each_end),
    };

    return cmocka_run_group_tests(tests, seed, NULL);
}
