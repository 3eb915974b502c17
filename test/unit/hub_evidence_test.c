/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub weighs what a device says of itself: what it opens, when that ends, what is refused.
 */
#include "test/unit/hub_evidence_rig.h"

static void what_is_reported_opens_what_needs_a_report_and_ends_by_itself(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    start_with(w, &rig);
    assert_int_equal(w->device_grades, 0);
    posture_is(w, &rig, "narrowed", "it has given none");
    give_report(w, &rig);
    assert_string_equal(grade(w), "reported");
    assert_int_equal(json_integer_value(json_object_get(w->evidence, "next_s")), 1200);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    posture_is(w, &rig, "narrowed", "what it gave is only reported: self-reported");
    w->now += HOUR - 500;
    assert_true(fl_hub_tick(&w->hub) <= 500);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    w->now += 500;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, 0);
    assert_int_equal(audited(w, "evidence.expired", "reported evidence"), 1);
    /* It comes back with the next. */
    give_report(w, &rig);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    drop(&rig);
}

static void evidence_outlives_a_restart_of_the_front(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    start_with(w, &rig);
    give_report(w, &rig);
    fl_hub_front_down(&w->hub);
    w->device_grades = 0;
    fl_hub_front_up(&w->hub);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    drop(&rig);
}

static void a_nonce_is_good_once_for_one_device_and_a_minute(void **state)
{
    struct hub_world *w = *state;
    struct rig a;
    struct rig b;
    struct fl_buffer text = FL_BUFFER(4096);

    start_with(w, &a);
    enrol(w, &b, "g-2");
    give_report(w, &a);
    send(w, &a);
    refused(w, FL_EAUTH, "evidence cannot be sent twice");
    ask_nonce(w, &a);
    memcpy(b.nonce, a.nonce, sizeof b.nonce);
    prepare(&b, &text);
    send(w, &b);
    refused(w, FL_EAUTH, "not the one that this device was given last");
    prepare(&a, &text);
    w->monotonic += FL_LIMIT_NONCE_MS;
    send(w, &a);
    refused(w, FL_EEXPIRED, "older than 60 s");
    fl_buffer_free(&text);
    drop(&a);
    drop(&b);
}

static void what_is_not_signed_by_the_device_is_refused(void **state)
{
    struct hub_world *w = *state;
    struct rig a;
    struct rig b;
    struct fl_buffer text = FL_BUFFER(4096);

    start_with(w, &a);
    enrol(w, &b, "g-2");
    ask_nonce(w, &a);
    prepare(&a, &text);
    a.msg.as.evidence.os = fl_slice_str("another os");
    send(w, &a);
    refused(w, FL_EAUTH, "signature over the claims");
    /* Each attempt costs a nonce. */
    prepare(&a, &text);
    send(w, &a);
    refused(w, FL_EAUTH, "it was used already");
    ask_nonce(w, &a);
    prepare(&a, &text);
    a.msg.as.evidence.certificate = fl_buffer_slice(&b.certificate);
    send(w, &a);
    refused(w, FL_EAUTH, "not the one that the device connected with");
    ask_nonce(w, &a);
    prepare(&a, &text);
    a.msg.as.evidence.boot = fl_slice_str("two\nlines");
    send(w, &a);
    refused(w, FL_EINVAL, "one line of text");
    fl_buffer_free(&text);
    drop(&a);
    drop(&b);
}

static void who_enrols_anew_has_proved_nothing_yet(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    char token[FL_LIMIT_TOKEN_TEXT];

    start_with(w, &rig);
    give_report(w, &rig);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    hub_enrol_with(w, "g-1", "", rig.serial);
    assert_int_equal(w->enrol_error, FL_OK);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    hub_call(w, "POST", API "/devices/g-1/token", "", "{}");
    (void)fl_str_copy(token, sizeof token, hub_text(w, "token"));
    hub_enrol_with(w, "g-1", token, "");
    assert_int_equal(w->enrol_error, FL_OK);
    assert_int_equal(w->device_grades, 0);
    posture_is(w, &rig, "narrowed", "it has enrolled anew since");
    drop(&rig);
}

static void evidence_that_changes_no_right_is_no_work_for_the_front(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    size_t told = 0;

    start_with(w, &rig);
    give_report(w, &rig);
    told = w->counts[fl_msg_type_device];
    w->now += HOUR / 2;
    give_report(w, &rig);
    assert_int_equal(w->counts[fl_msg_type_device], told);
    /* And yet it counts for longer. */
    w->now += HOUR / 2;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    drop(&rig);
}

static void a_flood_of_keys_waits(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    start_with(w, &rig);
    for (int i = 0; i < FL_LIMIT_NONCES_DEVICE; i++) {
        offer_key(w, &rig);
        assert_int_equal(w->evidence_error, FL_OK);
    }
    offer_key(w, &rig);
    refused(w, FL_EBUSY, "in a minute");
    drop(&rig);
}

static void a_device_that_may_not_connect_gives_no_evidence(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    start_with(w, &rig);
    hub_call(w, "POST", API "/devices/g-1/quarantine", "", "{}");
    ask_nonce(w, &rig);
    refused(w, FL_EDENIED, "quarantined");
    hub_call(w, "POST", API "/devices/g-1/release", "", "{}");
    (void)fl_str_copy(rig.serial, sizeof rig.serial, "0123");
    ask_nonce(w, &rig);
    refused(w, FL_EDENIED, "certificate is not valid any more");
    drop(&rig);
}

static void a_profile_that_asks_for_other_evidence_is_true_at_once(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    start_with(w, &rig);
    give_report(w, &rig);
    w->now += HOUR / 2;
    add_profile(w, 2, "24h", "20m", "");
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, 0);
    add_profile(w, 3, "24h", "2h", "");
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    w->now += HOUR + HOUR / 2;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, 0);
    drop(&rig);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_world_open, hub_world_close)
    const struct CMUnitTest tests[] = {
        TEST(what_is_reported_opens_what_needs_a_report_and_ends_by_itself),
        TEST(evidence_outlives_a_restart_of_the_front),
        TEST(a_nonce_is_good_once_for_one_device_and_a_minute),
        TEST(what_is_not_signed_by_the_device_is_refused),
        TEST(who_enrols_anew_has_proved_nothing_yet),
        TEST(evidence_that_changes_no_right_is_no_work_for_the_front),
        TEST(a_flood_of_keys_waits),
        TEST(a_device_that_may_not_connect_gives_no_evidence),
        TEST(a_profile_that_asks_for_other_evidence_is_true_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
