/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub weighs what a TPM says: each lie is refused with a reason and written down, what is true
 * and accepted opens rights.
 */
#include "test/unit/hub_evidence_rig.h"

static void only_an_accepted_boot_is_attested(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    const uint8_t both = FL_GRADE_BIT(FL_GRADE_REPORTED) | FL_GRADE_BIT(FL_GRADE_ATTESTED);

    start_with(w, &rig);
    endorse(w, &rig);
    give_quote(w, &rig);
    assert_string_equal(grade(w), "reported");
    assert_contains(words(w), "no boot state is accepted yet");
    assert_contains(words(w), "nothing has measured this boot");
    rig.tpm.pcrs.value[0][0] = 1;
    give_quote(w, &rig);
    assert_null(strstr(words(w), "nothing has measured"));
    accept_boot(w, &rig, "device");
    assert_int_equal(w->device_grades, both);
    posture_is(w, &rig, "ok", "");
    w->now += HOUR;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_ATTESTED));
    rig.tpm.clock += 5;
    give_quote(w, &rig);
    assert_string_equal(grade(w), "attested");
    assert_int_equal(w->device_grades, both);
    rig.tpm.pcrs.value[7][0] ^= 1;
    give_quote(w, &rig);
    assert_string_equal(grade(w), "none");
    assert_contains(words(w), "PCR 7 differs");
    assert_int_equal(w->device_grades, 0);
    posture_is(w, &rig, "narrowed", "refuted");
    assert_int_equal(audited(w, "evidence.refuted", "PCR 7 differs"), 1);
    /* Saying so itself does not help. */
    give_report(w, &rig);
    assert_int_equal(w->device_grades, 0);
    rig.tpm.pcrs.value[7][0] ^= 1;
    give_quote(w, &rig);
    assert_int_equal(w->device_grades, both);
    drop(&rig);
}

static void what_is_accepted_for_a_profile_holds_for_its_other_devices(void **state)
{
    struct hub_world *w = *state;
    struct rig a;
    struct rig b;

    start_with(w, &a);
    enrol(w, &b, "g-2");
    endorse(w, &a);
    endorse(w, &b);
    give_quote(w, &a);
    accept_boot(w, &a, "profile");
    give_quote(w, &b);
    assert_string_equal(grade(w), "attested");
    drop(&a);
    drop(&b);
}

static void a_quote_that_lies_is_refused(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    struct tpm_rig other;

    start_with(w, &rig);
    rig_make(&other);
    give_quote(w, &rig);
    refused(w, FL_ESTATE, "no attestation key of this device is endorsed");
    endorse(w, &rig);

    ask_nonce(w, &rig);
    prepare_quote(&rig, other.ak, 0xFF);
    send(w, &rig);
    refused(w, FL_EAUTH, "not signed by the attestation key that is on record");

    /* An old quote, which was over an old nonce, with new claims. */
    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0xFF);
    {
        struct fl_msg old = rig.msg;
        struct fl_buffer text = FL_BUFFER(4096);

        ask_nonce(w, &rig);
        prepare(&rig, &text);
        rig.msg.as.evidence.quote = old.as.evidence.quote;
        rig.msg.as.evidence.quote_signature = old.as.evidence.quote_signature;
        rig.msg.as.evidence.pcrs = old.as.evidence.pcrs;
        send(w, &rig);
        refused(w, FL_EAUTH, "not over these claims with this nonce");
        fl_buffer_free(&text);
    }

    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0x0F);
    send(w, &rig);
    refused(w, FL_EDENIED, "the quote is over PCRs 0-3, but 0-7 are asked for");

    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0xFF);
    rig.tpm.pcrs.value[2][5] ^= 4;
    fl_buffer_clear(&rig.pcrs);
    fl_pcrs_put(&rig.tpm.pcrs, &rig.pcrs);
    rig.msg.as.evidence.pcrs = fl_buffer_slice(&rig.pcrs);
    send(w, &rig);
    refused(w, FL_EAUTH, "not those that the TPM quoted");

    rig.tpm.magic = 0xFF544346U;
    give_quote(w, &rig);
    refused(w, FL_EPARSE, "not made by a TPM");
    rig.tpm.magic = 0xFF544347U;
    rig.tpm.type = 0x8017;
    give_quote(w, &rig);
    refused(w, FL_EPARSE, "no quote of PCRs");
    rig_free(&other);
    drop(&rig);
}

static void a_log_that_leads_elsewhere_is_refused(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    struct fl_pcrs replayed;

    start_with(w, &rig);
    endorse(w, &rig);
    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0xFF);
    replayed = rig.tpm.pcrs;
    replayed.value[5][31] ^= 1;
    fl_pcrs_put(&replayed, &rig.replayed);
    rig.msg.as.evidence.replayed = fl_buffer_slice(&rig.replayed);
    rig.msg.as.evidence.log_events = 12;
    send(w, &rig);
    refused(w, FL_EAUTH, "PCR 5 is another");
    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0xFF);
    rig.msg.as.evidence.log_problem = fl_slice_str("the event log: event 3: it ends too early");
    send(w, &rig);
    refused(w, FL_EPARSE, "event 3");
    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0xFF);
    fl_buffer_clear(&rig.replayed);
    fl_pcrs_put(&rig.tpm.pcrs, &rig.replayed);
    rig.msg.as.evidence.replayed = fl_buffer_slice(&rig.replayed);
    rig.msg.as.evidence.log_events = 12;
    send(w, &rig);
    assert_int_equal(w->evidence_error, FL_OK);
    drop(&rig);
}

static void counters_that_went_back_are_reported(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    start_with(w, &rig);
    endorse(w, &rig);
    w->now += 1000;
    give_quote(w, &rig);
    rig.tpm.clock += 100;
    rig.tpm.resets++;
    give_quote(w, &rig);
    assert_int_equal(audited(w, "evidence.counters-back", ""), 0);
    rig.tpm.clock -= 50;
    give_quote(w, &rig);
    assert_int_equal(w->evidence_error, FL_OK);
    assert_int_equal(audited(w, "evidence.counters-back", "copied back"), 1);
    drop(&rig);
}

static void a_key_is_endorsed_only_by_what_its_tpm_found(void **state)
{
    struct hub_world *w = *state;
    struct rig a;
    struct rig b;
    uint8_t secret[32];

    start_with(w, &a);
    enrol(w, &b, "g-2");
    prove(w, &a, fl_slice_str("a guess"));
    refused(w, FL_ESTATE, "no attestation key of this device is being endorsed");
    offer_key(w, &a);
    find_secret(w, &a, secret);
    secret[0] ^= 1;
    prove(w, &a, fl_slice(secret, sizeof secret));
    refused(w, FL_EAUTH, "does not live in the TPM");
    /* One attempt. */
    secret[0] ^= 1;
    prove(w, &a, fl_slice(secret, sizeof secret));
    refused(w, FL_ESTATE, "being endorsed");
    offer_key(w, &a);
    find_secret(w, &a, secret);
    w->monotonic += FL_LIMIT_NONCE_MS;
    prove(w, &a, fl_slice(secret, sizeof secret));
    refused(w, FL_EEXPIRED, "took more than 60 s");
    endorse(w, &a);
    /* The same TPM for another device. */
    fl_buffer_clear(&b.tpm.ek_area);
    assert_ok(fl_buffer_append_slice(&b.tpm.ek_area, fl_buffer_slice(&a.tpm.ek_area)));
    offer_key(w, &b);
    refused(w, FL_EDENIED, "this TPM is that of device g-1");
    drop(&a);
    drop(&b);
}

static void keys_that_could_leave_their_tpm_are_refused(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    start_with(w, &rig);
    /* Not restricted: it would sign anything, a made-up quote, too. */
    rig_area(rig.tpm.ak, RIG_AK_ATTRIBUTES & ~0x10000U, true, &rig.tpm.ak_area);
    offer_key(w, &rig);
    refused(w, FL_EDENIED, "that is no attestation key");
    rig_area(rig.tpm.ak, RIG_AK_ATTRIBUTES & ~0x2U, true, &rig.tpm.ak_area);
    offer_key(w, &rig);
    refused(w, FL_EDENIED, "that is no attestation key");
    rig_area(rig.tpm.ak, RIG_AK_ATTRIBUTES, true, &rig.tpm.ak_area);
    rig_area(rig.tpm.ek, RIG_EK_ATTRIBUTES | 0x40000U, false, &rig.tpm.ek_area);
    offer_key(w, &rig);
    refused(w, FL_EDENIED, "that is no endorsement key");
    drop(&rig);
}

static void an_operator_says_which_tpm_it_is(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    struct fl_tpm_public ek = {0};
    char hash[FL_EK_HASH_TEXT];
    char body[160];

    start_with(w, &rig);
    assert_ok(fl_tpm_public_read(fl_buffer_slice(&rig.tpm.ek_area), &ek, NULL));
    assert_ok(fl_tpm_ek_hash(&ek, hash, NULL));
    fl_tpm_public_free(&ek);
    hub_call(w, "POST", API "/devices/g-1/tpm", "",
             "{\"ek_hash\":\"ab00000000000000000000000000000000000000000000000000000000000000\"}");
    assert_int_equal(w->status, 200);
    offer_key(w, &rig);
    refused(w, FL_EDENIED, "not the TPM that is registered");
    (void)snprintf(body, sizeof body, "{\"ek_hash\":\"%s\"}", hash);
    hub_call(w, "POST", API "/devices/g-1/tpm", "", body);
    assert_int_equal(w->status, 200);
    endorse(w, &rig);
    hub_call(w, "GET", API "/devices/g-1/evidence", "", "");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(w->answer, "tpm"), "why")),
        "registered by an operator");
    hub_call(w, "POST", API "/devices/g-1/tpm", "", "{\"forget\":true,\"ek_hash\":\"00\"}");
    assert_int_equal(w->status, 400);
    hub_call(w, "POST", API "/devices/g-1/tpm", "", "{\"ek_hash\":\"no\"}");
    assert_int_equal(w->status, 400);
    give_quote(w, &rig);
    accept_boot(w, &rig, "device");
    assert_true(fl_grade_holds(w->device_grades, FL_GRADE_ATTESTED));
    hub_call(w, "POST", API "/devices/g-1/tpm", "", "{\"forget\":true}");
    assert_int_equal(w->status, 200);
    assert_int_equal(w->device_grades, 0);
    posture_is(w, &rig, "narrowed", "its TPM was replaced since");
    give_quote(w, &rig);
    refused(w, FL_ESTATE, "is endorsed");
    drop(&rig);
}

static void a_profile_may_ask_for_more_pcrs(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "measure 9 14\n");
    enrol(w, &rig, "g-1");
    endorse(w, &rig);
    give_quote(w, &rig);
    refused(w, FL_EDENIED, "but 0-7,9,14 are asked for");
    rig.tpm.pcrs.present |= 1U << 9 | 1U << 14;
    give_quote(w, &rig);
    assert_int_equal(w->evidence_error, FL_OK);
    assert_contains(words(w), "quotes PCRs 0-7,9,14");
    drop(&rig);
}

static void no_more_boots_are_accepted_than_the_limit(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    start_with(w, &rig);
    hub_call(w, "POST", API "/devices/g-1/reference", "", "{\"change\":\"accept\"}");
    assert_int_equal(w->status, 409);
    endorse(w, &rig);
    for (uint8_t i = 0; i < FL_LIMIT_REFERENCES; i++) {
        w->monotonic += FL_LIMIT_NONCE_MS;
        rig.tpm.pcrs.value[0][0] = i;
        give_quote(w, &rig);
        accept_boot(w, &rig, "device");
    }
    hub_call(w, "POST", API "/devices/g-1/reference", "", "{\"change\":\"accept\"}");
    assert_int_equal(w->status, 409);
    rig.tpm.pcrs.value[0][0] = 200;
    give_quote(w, &rig);
    hub_call(w, "POST", API "/devices/g-1/reference", "", "{\"change\":\"accept\"}");
    assert_int_not_equal(w->status, 200);
    assert_contains(hub_text(w, "detail"), "forget those that are not used");
    drop(&rig);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_world_open, hub_world_close)
    const struct CMUnitTest tests[] = {
        TEST(only_an_accepted_boot_is_attested),
        TEST(what_is_accepted_for_a_profile_holds_for_its_other_devices),
        TEST(a_quote_that_lies_is_refused),
        TEST(a_log_that_leads_elsewhere_is_refused),
        TEST(counters_that_went_back_are_reported),
        TEST(a_key_is_endorsed_only_by_what_its_tpm_found),
        TEST(keys_that_could_leave_their_tpm_are_refused),
        TEST(an_operator_says_which_tpm_it_is),
        TEST(a_profile_may_ask_for_more_pcrs),
        TEST(no_more_boots_are_accepted_than_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
