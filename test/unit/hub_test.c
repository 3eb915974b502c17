/* SPDX-License-Identifier: Apache-2.0 */
#include "service/audit.h"
#include "test/twin/hub_world.h"

#include <stdio.h>

#define API "/api/v1"

static uint64_t audit_records(struct hub_world *w)
{
    hub_call(w, "GET", API "/audit/verify", "", "");
    assert_int_equal(w->status, 200);
    assert_true(json_is_true(json_object_get(w->answer, "valid")));
    return (uint64_t)json_integer_value(json_object_get(w->answer, "records"));
}

static void session(struct hub_world *w, const char *id, const char *event)
{
    struct fl_msg msg = {.type = fl_msg_type_session};

    msg.as.session.device = fl_slice_str(id);
    msg.as.session.event = fl_slice_str(event);
    msg.as.session.at = w->now;
    msg.as.session.peer = fl_slice_str("192.0.2.1:4711");
    msg.as.session.reason = fl_slice_str("test");
    fl_hub_from_front(&w->hub, &msg);
}

/* --- the front learns everything --- */

static void the_front_gets_everything_once_the_signer_is_there(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    assert_int_equal(w->counts[fl_msg_type_config], 1);
    assert_string_equal(w->log_key, HUB_WORLD_FRONT_KEY);
    assert_int_equal(w->counts[fl_msg_type_profile], 1);
    assert_int_equal(w->counts[fl_msg_type_snapshot_end], 1);
    hub_enrol(w, "cam-01");
    fl_hub_front_down(&w->hub);
    w->counts[fl_msg_type_device] = 0;
    fl_hub_front_up(&w->hub);
    assert_int_equal(w->counts[fl_msg_type_config], 2);
    assert_int_equal(w->counts[fl_msg_type_device], 1);
    assert_int_equal(w->counts[fl_msg_type_snapshot_end], 2);
}

static void a_large_fleet_is_named_in_steps_and_waits_for_a_slow_front(void **state)
{
    struct hub_world *w = *state;
    int rounds = 0;

    hub_world_start(w);
    for (int i = 0; i < 1200; i++) {
        struct fl_device device = {.state = FL_DEVICE_EXPECTED, .until = FL_TIME_NEVER};

        (void)snprintf(device.id, sizeof device.id, "d-%04d", i);
        (void)fl_str_copy(device.profile, sizeof device.profile, "camera");
        assert_ok(fl_registry_put(&w->hub.store, &device, NULL));
    }
    w->counts[fl_msg_type_device] = 0;
    fl_hub_front_up(&w->hub);
    assert_true(w->hub.in_snapshot);
    w->front_unsent = 100 * 1024 * 1024;
    for (int i = 0; i < 5; i++)
        assert_int_equal(fl_hub_tick(&w->hub), 1);
    assert_int_equal(w->counts[fl_msg_type_device], 500);
    w->front_unsent = 0;
    while (w->hub.in_snapshot && rounds++ < 10)
        (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->counts[fl_msg_type_device], 1200);
}

/* --- enrolment --- */

static void a_device_enrols_and_may_connect(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    assert_string_equal(w->device, "cam-01");
    assert_true(w->device_may_connect);
    assert_true(w->device_credentials[0] != '\0');
    assert_true(fl_buffer_slice(&w->certificate).size > 0);
    assert_int_equal(w->sign.as.sign.validity_s, 7 * 24 * 3600);
    hub_call(w, "GET", API "/devices/cam-01", "", "");
    assert_string_equal(hub_text(w, "state"), "active");
    assert_string_equal(hub_text(w, "posture"), "ok");
}

static void a_silent_or_absent_signer_leaves_the_token_good(void **state)
{
    struct hub_world *w = *state;
    char token[FL_LIMIT_TOKEN_TEXT];

    hub_world_start(w);
    hub_add(w, "cam-01", "camera", token);
    w->signer_is_silent = true;
    hub_enrol_with(w, "cam-01", token, "");
    assert_int_equal(w->counts[fl_msg_type_enrol_result], 0);
    hub_enrol_with(w, "cam-01", token, "");
    assert_int_equal(w->enrol_error, FL_EBUSY);
    w->monotonic += 5001;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->counts[fl_msg_type_enrol_result], 2);
    assert_contains(w->enrol_detail, "does not answer");
    hub_answer_sign(w); /* too late */
    assert_int_equal(w->counts[fl_msg_type_enrol_result], 2);
    fl_hub_signer_down(&w->hub);
    hub_enrol_with(w, "cam-01", token, "");
    assert_int_equal(w->enrol_error, FL_EBUSY);
    assert_contains(w->enrol_detail, "away");
    fl_hub_signer_up(&w->hub);
    w->signer_is_silent = false;
    hub_enrol_with(w, "cam-01", token, "");
    assert_int_equal(w->enrol_error, FL_OK);
}

static void a_front_that_dies_in_mid_enrolment_costs_no_token(void **state)
{
    struct hub_world *w = *state;
    char token[FL_LIMIT_TOKEN_TEXT];

    hub_world_start(w);
    hub_add(w, "cam-01", "camera", token);
    w->signer_is_silent = true;
    hub_enrol_with(w, "cam-01", token, "");
    fl_hub_front_up(&w->hub);
    hub_answer_sign(w);
    assert_int_equal(w->counts[fl_msg_type_enrol_result], 0);
    w->signer_is_silent = false;
    hub_enrol_with(w, "cam-01", token, "");
    assert_int_equal(w->enrol_error, FL_OK);
}

static void a_certificate_for_something_else_is_not_recorded(void **state)
{
    struct hub_world *w = *state;
    char token[FL_LIMIT_TOKEN_TEXT];

    hub_world_start(w);
    hub_add(w, "cam-01", "camera", token);
    w->signer_is_silent = true;
    hub_enrol_with(w, "cam-01", token, "");
    (void)fl_str_copy(w->sign_name, sizeof w->sign_name, "cam-02");
    hub_answer_sign(w);
    assert_int_equal(w->enrol_error, FL_EAUTH);
    hub_call(w, "GET", API "/devices/cam-01", "", "");
    assert_string_equal(hub_text(w, "state"), "expected");
}

static void a_full_disk_at_enrolment_is_told_and_recovered_from(void **state)
{
    struct hub_world *w = *state;
    char token[FL_LIMIT_TOKEN_TEXT];

    hub_world_start(w);
    hub_add(w, "cam-01", "camera", token);
    fl_store_twin_fail(&w->hub.store, 3, FL_EFULL);
    hub_enrol_with(w, "cam-01", token, "");
    assert_int_equal(w->enrol_error, FL_EFULL);
    assert_int_equal(fl_buffer_slice(&w->certificate).size, 0);
    hub_enrol_with(w, "cam-01", token, "");
    assert_int_equal(w->enrol_error, FL_OK);
}

static void a_refused_enrolment_is_in_the_audit_log_within_bounds(void **state)
{
    struct hub_world *w = *state;
    uint64_t before = 0;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    before = audit_records(w);
    hub_enrol_with(w, "cam-01", "fl1.rubbish", "");
    assert_int_equal(audit_records(w), before + 1);
    for (int i = 0; i < 100; i++)
        session(w, "cam-01", "refused");
    assert_int_equal(audit_records(w), before + FL_LIMIT_REFUSALS_AUDITED);
    w->now += 60000;
    session(w, "cam-01", "refused");
    assert_int_equal(audit_records(w), before + FL_LIMIT_REFUSALS_AUDITED + 1);
    /* Names that nobody registered share one allowance. */
    for (int i = 0; i < 100; i++) {
        char id[16];

        (void)snprintf(id, sizeof id, "x-%d", i);
        session(w, id, "refused");
    }
    assert_int_equal(audit_records(w), before + 2 * FL_LIMIT_REFUSALS_AUDITED + 1);
    assert_int_equal(w->hub.sessions.devices.count, 2);
}

static void a_server_certificate_is_passed_on(void **state)
{
    struct hub_world *w = *state;
    struct fl_msg msg = {.type = fl_msg_type_server_csr};

    hub_world_start(w);
    msg.as.server_csr.csr = fl_slice_str("csr");
    fl_hub_from_front(&w->hub, &msg);
    assert_string_equal(w->sign_name, "hub.example.net");
    fl_hub_signer_down(&w->hub);
    assert_int_equal(w->counts[fl_msg_type_server_cert], 1);
}

/* --- readings --- */

static void batches_of_a_round_are_one_transaction(void **state)
{
    struct hub_world *w = *state;
    uint64_t writes = 0;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 9, "cam-01", 1, 1); /* its key is made */
    fl_hub_flush(&w->hub);
    w->now += 1000;
    w->counts[fl_msg_type_readings_done] = 0;
    writes = fl_store_twin_writes(&w->hub.store);
    for (uint64_t i = 1; i <= 3; i++)
        hub_readings(w, i, "cam-01", (double)i * 10, 5);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 0);
    fl_hub_flush(&w->hub);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 3);
    assert_int_equal(w->readings_error, FL_OK);
    assert_int_equal(fl_store_twin_writes(&w->hub.store), writes + 4);
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_int_equal(json_array_size(w->answer), 16);
}

static void a_full_disk_refuses_readings_and_the_hub_goes_on(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 1, "cam-01", 1, 5);
    hub_readings(w, 2, "cam-01", 20, 5);
    fl_store_twin_fail(&w->hub.store, 3, FL_EFULL);
    fl_hub_flush(&w->hub);
    assert_int_equal(w->readings_error, FL_EFULL);
    assert_int_equal(w->counts[fl_msg_type_readings_done], 2);
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_int_equal(json_array_size(w->answer), 0);
    hub_readings(w, 1, "cam-01", 1, 5);
    fl_hub_flush(&w->hub);
    assert_int_equal(w->readings_error, FL_OK);
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_int_equal(json_array_size(w->answer), 5);
}

static void a_long_round_is_committed_in_between(void **state)
{
    struct hub_world *w = *state;
    struct fl_buffer records = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_reading reading = {
        .device = fl_slice_str("cam-01"), .stream = fl_slice_str("temperature"), .t = HUB_NOON};
    struct fl_msg msg = {.type = fl_msg_type_readings};

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    /* The same reading again and again: stored once, however long the batch. */
    while (fl_buffer_slice(&records).size < FL_LIMIT_MSG - 1000)
        assert_ok(fl_msg_put_reading(&records, &reading));
    msg.as.readings.records = fl_buffer_slice(&records);
    for (uint64_t i = 1; i <= 5; i++) {
        msg.as.readings.batch = i;
        fl_hub_from_front(&w->hub, &msg);
        hub_answer_keys(w);
    }
    assert_int_equal(w->counts[fl_msg_type_readings_done], 5);
    assert_int_equal(w->readings_error, FL_OK);
    fl_buffer_free(&records);
    hub_call(w, "GET", API "/devices/cam-01/readings", "", "");
    assert_int_equal(json_array_size(w->answer), 1);
}

static void changes_waiting_for_the_front_are_bounded(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    w->front_is_deaf = true;
    w->answers = 0;
    for (int i = 0; i < FL_LIMIT_PENDING_API; i++)
        hub_call(w, "POST", API "/devices/cam-01/quarantine", "", "{\"for_s\":60}");
    assert_int_equal(w->answers, 0);
    hub_call(w, "POST", API "/devices/cam-01/quarantine", "", "{\"for_s\":60}");
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->hub.wait_count, FL_LIMIT_PENDING_API);
}

static void a_malformed_batch_harms_no_other(void **state)
{
    struct hub_world *w = *state;
    struct fl_msg msg = {.type = fl_msg_type_readings};

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_readings(w, 1, "cam-01", 1, 5);
    msg.as.readings.batch = 2;
    msg.as.readings.records = fl_slice_str("rubbish");
    fl_hub_from_front(&w->hub, &msg);
    assert_int_equal(w->readings_error, FL_EPARSE);
    fl_hub_flush(&w->hub);
    assert_int_equal(w->readings_error, FL_OK);
}

/* --- cutting off --- */

static void revocation_is_answered_when_the_front_has_made_it_true(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    session(w, "cam-01", "connected");
    hub_call(w, "POST", API "/devices/cam-01/revoke", "", "{\"dry_run\":true}");
    assert_string_equal(hub_text(w, "state"), "proposed");
    w->front_is_deaf = true;
    w->sessions_closed = 1;
    w->answers = 0;
    hub_call(w, "POST", API "/devices/cam-01/revoke", "", "{\"reason\":\"stolen\"}");
    assert_int_equal(w->answers, 0);
    assert_false(w->device_may_connect);
    assert_contains(w->device_reason, "stolen");
    hub_front_confirms(w);
    assert_int_equal(w->answers, 1);
    assert_int_equal(json_integer_value(json_object_get(w->answer, "sessions_closed")), 1);
    assert_int_equal(json_integer_value(json_object_get(w->answer, "took_ms")), 3);
}

static void a_front_that_does_not_confirm_is_named(void **state)
{
    struct hub_world *w = *state;
    const char *last = NULL;
    const json_t *effects = NULL;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    w->front_is_deaf = true;
    hub_call(w, "POST", API "/devices/cam-01/quarantine", "", "{\"for_s\":60}");
    w->monotonic += 900;
    (void)fl_hub_tick(&w->hub);
    effects = json_object_get(w->answer, "effects");
    last = json_string_value(json_array_get(effects, json_array_size(effects) - 1));
    assert_contains(last, "NOT CONFIRMED");
    hub_front_confirms(w); /* too late to be told, and harmless */
    fl_hub_front_down(&w->hub);
    hub_call(w, "POST", API "/devices/cam-01/release", "", "");
    effects = json_object_get(w->answer, "effects");
    last = json_string_value(json_array_get(effects, json_array_size(effects) - 1));
    assert_contains(last, "away");
}

static void a_quarantine_ends_by_the_clock_and_the_front_is_told(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_call(w, "POST", API "/devices/cam-01/quarantine", "", "{\"for_s\":60}");
    assert_int_equal(w->status, 200);
    assert_false(w->device_may_connect);
    (void)fl_hub_tick(&w->hub);
    assert_false(w->device_may_connect);
    w->now += 60000;
    (void)fl_hub_tick(&w->hub);
    assert_true(w->device_may_connect);
    w->now += (fl_time_t)8 * 24 * 3600 * 1000;
    (void)fl_hub_tick(&w->hub);
    assert_false(w->device_may_connect);
    assert_contains(w->device_reason, "expired");
}

static void sessions_are_counted_and_die_with_the_front(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    session(w, "cam-01", "connected");
    session(w, "cam-01", "connected");
    session(w, "cam-01", "disconnected");
    hub_call(w, "GET", API "/devices/cam-01", "", "");
    assert_true(json_is_true(json_object_get(w->answer, "connected")));
    assert_string_equal(hub_text(w, "peer"), "192.0.2.1:4711");
    hub_call(w, "GET", API "/health", "", "");
    assert_string_equal(hub_text(w, "status"), "ok");
    assert_int_equal(json_integer_value(json_object_get(w->answer, "connected")), 1);
    fl_hub_front_down(&w->hub);
    hub_call(w, "GET", API "/health", "", "");
    assert_string_equal(hub_text(w, "status"), "degraded");
    assert_int_equal(json_integer_value(json_object_get(w->answer, "connected")), 0);
}

static void an_answer_for_a_front_that_died_is_not_given_to_its_successor(void **state)
{
    struct hub_world *w = *state;
    char credential[128];

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_call(w, "POST", API "/principals", "", "{\"name\":\"alice\"}");
    {
        char body[FL_LIMIT_TOKEN_TEXT + 64];

        (void)snprintf(body, sizeof body, "{\"name\":\"alice\",\"token\":\"%s\"}",
                       hub_text(w, "token"));
        hub_call(w, "POST", API "/principals/claim", "", body);
    }
    (void)fl_str_copy(credential, sizeof credential, hub_text(w, "credential"));
    w->front_is_deaf = true;
    w->answers = 0;
    hub_call_with(w, credential, "POST", API "/devices/cam-01/revoke", "");
    assert_int_equal(w->hub.wait_count, 1);
    fl_hub_front_up(&w->hub);
    assert_int_equal(w->hub.wait_count, 0);
    assert_int_equal(w->answers, 0);
}

#define hub_unit(name) cmocka_unit_test_setup_teardown(name, hub_world_open, hub_world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        hub_unit(the_front_gets_everything_once_the_signer_is_there),
        hub_unit(a_large_fleet_is_named_in_steps_and_waits_for_a_slow_front),
        hub_unit(a_device_enrols_and_may_connect),
        hub_unit(a_silent_or_absent_signer_leaves_the_token_good),
        hub_unit(a_front_that_dies_in_mid_enrolment_costs_no_token),
        hub_unit(a_certificate_for_something_else_is_not_recorded),
        hub_unit(a_full_disk_at_enrolment_is_told_and_recovered_from),
        hub_unit(a_refused_enrolment_is_in_the_audit_log_within_bounds),
        hub_unit(a_server_certificate_is_passed_on),
        hub_unit(batches_of_a_round_are_one_transaction),
        hub_unit(a_full_disk_refuses_readings_and_the_hub_goes_on),
        hub_unit(a_long_round_is_committed_in_between),
        hub_unit(changes_waiting_for_the_front_are_bounded),
        hub_unit(a_malformed_batch_harms_no_other),
        hub_unit(revocation_is_answered_when_the_front_has_made_it_true),
        hub_unit(a_front_that_does_not_confirm_is_named),
        hub_unit(a_quarantine_ends_by_the_clock_and_the_front_is_told),
        hub_unit(sessions_are_counted_and_die_with_the_front),
        hub_unit(an_answer_for_a_front_that_died_is_not_given_to_its_successor),
    };

    return cmocka_run_group_tests_name("hub", tests, NULL, NULL);
}
