/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/service_world.h"

static struct fl_outcome act(struct service_world *w, enum fl_action_kind kind, const char *id,
                             fl_time_t for_ms)
{
    struct fl_change change = by_alice(w, "because");
    struct fl_outcome o = {0};

    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_action_apply(&w->store, kind, fl_slice_str(id), for_ms, false, &change, &o, NULL));
    commit(w);
    return o;
}

static enum fl_error try_act(struct service_world *w, enum fl_action_kind kind, const char *id,
                             fl_time_t for_ms, struct fl_context *ctx)
{
    struct fl_change change = by_alice(w, "because");
    struct fl_outcome o = {0};
    enum fl_error error = FL_OK;

    assert_ok(fl_store_begin(&w->store, NULL));
    error = fl_action_apply(&w->store, kind, fl_slice_str(id), for_ms, false, &change, &o, ctx);
    return fl_store_end(&w->store, error, ctx);
}

static enum fl_error try_release(struct service_world *w, const char *id, struct fl_context *ctx)
{
    struct fl_change change = by_alice(w, "");
    struct fl_outcome o = {0};
    enum fl_error error = FL_OK;

    assert_ok(fl_store_begin(&w->store, NULL));
    error = fl_action_release(&w->store, fl_slice_str(id), false, &change, &o, ctx);
    return fl_store_end(&w->store, error, ctx);
}

static enum fl_error try_undo(struct service_world *w, uint64_t id, struct fl_context *ctx)
{
    struct fl_change change = by_alice(w, "");
    struct fl_outcome o = {0};
    enum fl_error error = FL_OK;

    assert_ok(fl_store_begin(&w->store, NULL));
    error = fl_action_undo(&w->store, id, false, &change, &o, ctx);
    return fl_store_end(&w->store, error, ctx);
}

static enum fl_error expire(struct service_world *w)
{
    struct fl_outcome o = {0};
    enum fl_error error = FL_OK;

    assert_ok(fl_store_begin(&w->store, NULL));
    error = fl_action_expire(&w->store, w->now, &o, NULL);
    return fl_store_end(&w->store, error, NULL);
}

static struct fl_action action_of(struct service_world *w, uint64_t id)
{
    struct fl_action action = {0};

    assert_ok(fl_action_get(&w->store, id, &action, NULL));
    return action;
}

static enum fl_credential_state credential_state(struct service_world *w, const char *serial)
{
    struct fl_credential c = {0};

    assert_ok(fl_credential_get(&w->store, serial, &c, NULL));
    return c.state;
}

static void quarantine_holds_the_credentials_until_release(void **state)
{
    struct service_world *w = *state;
    struct fl_outcome o = {0};

    add_active(w, "cam", "aa");
    assert_string_equal(posture_of(w, "cam"), "ok");
    o = act(w, FL_ACTION_QUARANTINE, "cam", 0);
    assert_int_equal(o.action.state, FL_ACTION_ACTIVE);
    assert_true(o.effect_count > 0);
    assert_string_equal(posture_of(w, "cam"), "quarantined");
    assert_int_equal(credential_state(w, "aa"), FL_CREDENTIAL_HELD);
    assert_ok(try_release(w, "cam", NULL));
    assert_string_equal(posture_of(w, "cam"), "ok");
    assert_int_equal(credential_state(w, "aa"), FL_CREDENTIAL_ISSUED);
    assert_int_equal(action_of(w, o.action.id).state, FL_ACTION_UNDONE);
    assert_string_equal(action_of(w, o.action.id).undone_by, "alice");
    assert_int_equal(try_release(w, "cam", NULL), FL_ESTATE);
    assert_int_equal(try_undo(w, o.action.id, NULL), FL_ESTATE);
    assert_false(check_audit(w).broken);
}

static void a_hold_is_about_credentials_and_can_be_released(void **state)
{
    struct service_world *w = *state;
    struct fl_outcome o = {0};
    struct fl_credential c = {0};

    add_active(w, "cam", "aa");
    o = act(w, FL_ACTION_HOLD, "cam", 0);
    assert_int_equal(o.device.state, FL_DEVICE_ACTIVE);
    assert_string_equal(posture_of(w, "cam"), "held");
    assert_ok(fl_credential_get(&w->store, "aa", &c, NULL));
    assert_int_equal(c.state, FL_CREDENTIAL_HELD);
    assert_int_equal(c.cause, FL_CRL_HOLD);
    assert_int_equal(c.since, w->now);
    assert_string_equal(c.reason, "because");
    assert_ok(try_release(w, "cam", NULL));
    assert_string_equal(posture_of(w, "cam"), "ok");
    assert_int_equal(credential_state(w, "aa"), FL_CREDENTIAL_ISSUED);
    assert_int_equal(action_of(w, o.action.id).state, FL_ACTION_UNDONE);
    assert_int_equal(try_release(w, "cam", NULL), FL_ESTATE);
    (void)act(w, FL_ACTION_HOLD, "cam", 0);
    assert_ok(try_undo(w, 2, NULL));
    assert_string_equal(posture_of(w, "cam"), "ok");
}

static void a_hold_with_a_limit_ends_by_itself_and_a_newer_one_replaces_it(void **state)
{
    struct service_world *w = *state;

    add_active(w, "cam", "aa");
    (void)act(w, FL_ACTION_HOLD, "cam", MINUTE);
    (void)act(w, FL_ACTION_HOLD, "cam", HOUR);
    assert_int_equal(action_of(w, 1).state, FL_ACTION_UNDONE);
    w->now += MINUTE;
    assert_int_equal(expire(w), FL_ENOTFOUND);
    assert_string_equal(posture_of(w, "cam"), "held");
    w->now += HOUR;
    assert_ok(expire(w));
    assert_string_equal(posture_of(w, "cam"), "ok");
    assert_true(device_of(w, "cam").until == FL_TIME_NEVER);
}

static void what_follows_a_hold_falls_back_to_it(void **state)
{
    static const enum fl_action_kind kinds[] = {FL_ACTION_QUARANTINE, FL_ACTION_REVOKE,
                                                FL_ACTION_RETIRE};
    struct service_world *w = *state;
    char id[8] = "cam-0";
    char serial[8] = "a0";

    for (size_t i = 0; i < 3; i++) {
        struct fl_outcome o = {0};

        id[4] = (char)('0' + i);
        serial[1] = (char)('0' + i);
        add_active(w, id, serial);
        (void)act(w, FL_ACTION_HOLD, id, HOUR);
        o = act(w, kinds[i], id, 0);
        assert_string_not_equal(posture_of(w, id), "held");
        assert_true(device_of(w, id).until == FL_TIME_NEVER);
        assert_ok(try_undo(w, o.action.id, NULL));
        assert_string_equal(posture_of(w, id), "held");
        assert_true(device_of(w, id).until == w->now + HOUR);
        assert_int_equal(credential_state(w, serial), FL_CREDENTIAL_HELD);
    }
    w->now += HOUR;
    for (size_t i = 0; i < 3; i++)
        assert_ok(expire(w));
    assert_string_equal(posture_of(w, "cam-0"), "ok");
    assert_string_equal(posture_of(w, "cam-2"), "ok");
}

static void a_hold_that_ends_under_a_quarantine_frees_nobody(void **state)
{
    struct service_world *w = *state;

    add_active(w, "cam", "aa");
    (void)act(w, FL_ACTION_HOLD, "cam", MINUTE);
    (void)act(w, FL_ACTION_QUARANTINE, "cam", 0);
    w->now += MINUTE;
    assert_ok(expire(w));
    assert_string_equal(posture_of(w, "cam"), "quarantined");
    assert_int_equal(credential_state(w, "aa"), FL_CREDENTIAL_HELD);
    assert_ok(try_release(w, "cam", NULL));
    assert_string_equal(posture_of(w, "cam"), "ok");
}

static void only_live_certificates_can_be_held(void **state)
{
    struct service_world *w = *state;
    struct fl_context ctx = {0};

    add_expected(w, "new");
    assert_int_equal(try_act(w, FL_ACTION_HOLD, "new", 0, &ctx), FL_ESTATE);
    assert_non_null(strstr(ctx.text, "no live certificate to hold"));
    add_active(w, "cam", "aa");
    (void)act(w, FL_ACTION_QUARANTINE, "cam", 0);
    assert_int_equal(try_act(w, FL_ACTION_HOLD, "cam", 0, &ctx), FL_ESTATE);
    assert_non_null(strstr(ctx.text, "held by that (action 1)"));
    (void)act(w, FL_ACTION_REVOKE, "cam", 0);
    assert_int_equal(try_act(w, FL_ACTION_HOLD, "cam", 0, &ctx), FL_ESTATE);
}

static void a_quarantine_with_a_limit_ends_by_itself(void **state)
{
    struct service_world *w = *state;
    fl_time_t due = 0;

    add_active(w, "cam", "aa");
    add_active(w, "meter", "bb");
    assert_ok(fl_action_next_due(&w->store, &due, NULL));
    assert_true(due == FL_TIME_NEVER);
    (void)act(w, FL_ACTION_QUARANTINE, "cam", HOUR);
    (void)act(w, FL_ACTION_QUARANTINE, "meter", MINUTE);
    assert_ok(fl_action_next_due(&w->store, &due, NULL));
    assert_true(due == NOON + MINUTE);
    assert_int_equal(expire(w), FL_ENOTFOUND);
    w->now += MINUTE;
    assert_ok(expire(w));
    assert_int_equal(expire(w), FL_ENOTFOUND);
    assert_string_equal(posture_of(w, "meter"), "ok");
    assert_string_equal(posture_of(w, "cam"), "quarantined");
    w->now += HOUR;
    assert_ok(expire(w));
    assert_int_equal(action_of(w, 1).state, FL_ACTION_EXPIRED);
    assert_string_equal(posture_of(w, "cam"), "ok");
}

static void a_second_quarantine_takes_the_place_of_the_first(void **state)
{
    struct service_world *w = *state;

    add_active(w, "cam", "aa");
    (void)act(w, FL_ACTION_QUARANTINE, "cam", MINUTE);
    (void)act(w, FL_ACTION_QUARANTINE, "cam", 0);
    assert_int_equal(action_of(w, 1).state, FL_ACTION_UNDONE);
    w->now += HOUR;
    assert_int_equal(expire(w), FL_ENOTFOUND);
    assert_string_equal(posture_of(w, "cam"), "quarantined");
    assert_ok(try_release(w, "cam", NULL));
    assert_string_equal(posture_of(w, "cam"), "ok");
}

static void an_undone_revocation_falls_back_to_the_quarantine_before_it(void **state)
{
    struct service_world *w = *state;

    add_active(w, "cam", "aa");
    (void)act(w, FL_ACTION_QUARANTINE, "cam", HOUR);
    (void)act(w, FL_ACTION_REVOKE, "cam", 0);
    assert_string_equal(posture_of(w, "cam"), "revoked");
    assert_int_equal(try_release(w, "cam", NULL), FL_ESTATE);
    assert_int_equal(try_undo(w, 1, NULL), FL_ESTATE);
    assert_ok(try_undo(w, 2, NULL));
    assert_string_equal(posture_of(w, "cam"), "quarantined");
    assert_int_equal(credential_state(w, "aa"), FL_CREDENTIAL_HELD);
    w->now += HOUR;
    assert_ok(expire(w));
    assert_string_equal(posture_of(w, "cam"), "ok");
}

static void a_quarantine_that_ends_under_a_revocation_frees_nobody(void **state)
{
    struct service_world *w = *state;

    add_active(w, "cam", "aa");
    (void)act(w, FL_ACTION_QUARANTINE, "cam", MINUTE);
    (void)act(w, FL_ACTION_REVOKE, "cam", 0);
    w->now += HOUR;
    assert_ok(expire(w));
    assert_string_equal(posture_of(w, "cam"), "revoked");
    assert_int_equal(credential_state(w, "aa"), FL_CREDENTIAL_REVOKED);
    assert_ok(try_undo(w, 2, NULL));
    assert_string_equal(posture_of(w, "cam"), "ok");
}

static void retirement_voids_the_token_and_can_be_undone(void **state)
{
    struct service_world *w = *state;
    struct fl_change change = by_alice(w, "");
    struct fl_device device = {0};
    uint8_t secret[16] = {1};
    fl_time_t expires = 0;
    json_t *token = NULL;

    add_active(w, "cam", "aa");
    device = device_of(w, "cam");
    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_enrolment_offer(&w->store, &device, 0, secret, &change, &expires, NULL));
    commit(w);
    (void)act(w, FL_ACTION_RETIRE, "cam", 0);
    assert_string_equal(posture_of(w, "cam"), "retired");
    assert_int_equal(fl_document_get(&w->store, FL_TABLE_TOKEN, fl_slice_str("cam"), &token, NULL),
                     FL_ENOTFOUND);
    assert_int_equal(try_act(w, FL_ACTION_REVOKE, "cam", 0, NULL), FL_ESTATE);
    assert_int_equal(try_act(w, FL_ACTION_QUARANTINE, "cam", 0, NULL), FL_ESTATE);
    assert_ok(try_undo(w, 1, NULL));
    assert_string_equal(posture_of(w, "cam"), "ok");
}

static void a_dry_run_decides_everything_and_writes_nothing(void **state)
{
    struct service_world *w = *state;
    struct fl_change change = by_alice(w, "rehearsal");
    struct fl_outcome o = {0};
    uint64_t writes = 0;

    add_active(w, "cam", "aa");
    writes = fl_store_twin_writes(&w->store);
    for (int kind = 0; kind < FL_ACTION_KIND_COUNT; kind++) {
        assert_ok(fl_action_apply(&w->store, (enum fl_action_kind)kind, fl_slice_str("cam"), 0,
                                  true, &change, &o, NULL));
        assert_int_equal(o.action.state, FL_ACTION_PROPOSED);
        assert_int_equal(o.action.id, 0);
        assert_true(o.effect_count > 0);
    }
    assert_int_equal(fl_store_twin_writes(&w->store), writes);
    assert_string_equal(posture_of(w, "cam"), "ok");
}

static void what_makes_no_sense_is_refused_with_words(void **state)
{
    struct service_world *w = *state;
    struct fl_context ctx = {0};

    add_expected(w, "new");
    add_active(w, "cam", "aa");
    assert_int_equal(try_act(w, FL_ACTION_QUARANTINE, "none", 0, &ctx), FL_ENOTFOUND);
    assert_contains(ctx.text, "none");
    assert_int_equal(try_act(w, FL_ACTION_QUARANTINE, "new", 0, &ctx), FL_ESTATE);
    assert_contains(ctx.text, "has not enrolled");
    assert_int_equal(try_act(w, FL_ACTION_REVOKE, "new", 0, &ctx), FL_ESTATE);
    assert_int_equal(try_act(w, FL_ACTION_REVOKE, "cam", HOUR, &ctx), FL_EINVAL);
    assert_int_equal(try_act(w, FL_ACTION_QUARANTINE, "cam", 366 * DAY, &ctx), FL_EINVAL);
    assert_int_equal(try_undo(w, 99, &ctx), FL_ENOTFOUND);
    (void)act(w, FL_ACTION_REVOKE, "cam", 0);
    assert_int_equal(try_act(w, FL_ACTION_REVOKE, "cam", 0, &ctx), FL_ESTATE);
}

static void a_certificate_that_expired_in_quarantine_stays_expired(void **state)
{
    struct service_world *w = *state;
    struct fl_device device = {0};

    add_active(w, "cam", "aa");
    (void)act(w, FL_ACTION_QUARANTINE, "cam", 0);
    w->now += 8 * DAY;
    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_registry_expire(&w->store, w->now, &device, NULL));
    assert_int_equal(fl_registry_expire(&w->store, w->now, &device, NULL), FL_ENOTFOUND);
    commit(w);
    assert_ok(try_release(w, "cam", NULL));
    assert_string_equal(posture_of(w, "cam"), "expired");
    assert_int_equal(credential_state(w, "aa"), FL_CREDENTIAL_EXPIRED);
}

/* Whatever write fails, the device, the action and the audit log tell the same story. */
static void change_and_audit_record_are_both_there_or_neither(void **state)
{
    struct service_world *w = *state;
    uint64_t records = 0;
    int failures = 0;

    for (uint64_t nth = 1;; nth++) {
        struct fl_context ctx = {0};
        char id[16];
        enum fl_error error = FL_OK;

        (void)snprintf(id, sizeof id, "cam-%u", (unsigned)nth);
        add_active(w, id, id);
        records = check_audit(w).records;
        fl_store_twin_fail(&w->store, nth, FL_EFULL);
        error = try_act(w, FL_ACTION_QUARANTINE, id, HOUR, &ctx);
        fl_store_twin_fail(&w->store, 0, FL_OK);
        assert_false(fl_store_twin_is_open(&w->store));
        assert_false(check_audit(w).broken);
        if (error == FL_OK) {
            assert_int_equal(check_audit(w).records, records + 1);
            assert_string_equal(posture_of(w, id), "quarantined");
            break;
        }
        failures++;
        assert_int_equal(error, FL_EFULL);
        assert_int_equal(check_audit(w).records, records);
        assert_string_equal(posture_of(w, id), "ok");
        assert_int_equal(credential_state(w, id), FL_CREDENTIAL_ISSUED);
    }
    assert_true(failures >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        service_test(quarantine_holds_the_credentials_until_release),
        service_test(a_hold_is_about_credentials_and_can_be_released),
        service_test(a_hold_with_a_limit_ends_by_itself_and_a_newer_one_replaces_it),
        service_test(what_follows_a_hold_falls_back_to_it),
        service_test(a_hold_that_ends_under_a_quarantine_frees_nobody),
        service_test(only_live_certificates_can_be_held),
        service_test(a_quarantine_with_a_limit_ends_by_itself),
        service_test(a_second_quarantine_takes_the_place_of_the_first),
        service_test(an_undone_revocation_falls_back_to_the_quarantine_before_it),
        service_test(a_quarantine_that_ends_under_a_revocation_frees_nobody),
        service_test(retirement_voids_the_token_and_can_be_undone),
        service_test(a_dry_run_decides_everything_and_writes_nothing),
        service_test(what_makes_no_sense_is_refused_with_words),
        service_test(a_certificate_that_expired_in_quarantine_stays_expired),
        service_test(change_and_audit_record_are_both_there_or_neither),
    };

    return cmocka_run_group_tests_name("action", tests, NULL, NULL);
}
