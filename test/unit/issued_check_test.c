/* SPDX-License-Identifier: Apache-2.0 */
#include "service/issued_check.h"
#include "test/twin/hub_world.h"
#include "trust/issued_chain.h"

#include <stdio.h>

#define API "/api/v1"

static const json_t *verify(struct hub_world *w)
{
    hub_call(w, "GET", API "/audit/verify", "", "");
    assert_int_equal(w->status, 200);
    return json_object_get(w->answer, "issuance");
}

static int64_t number(const json_t *of, const char *name)
{
    return json_integer_value(json_object_get(of, name));
}

static const char *finding(const json_t *issuance, size_t index)
{
    const char *text =
        json_string_value(json_array_get(json_object_get(issuance, "findings"), index));

    return text ? text : "";
}

static bool is_valid(struct hub_world *w)
{
    return json_is_true(json_object_get(w->answer, "valid"));
}

/* A certificate that the hub never asked for. */
static void log_stranger(struct hub_world *w, const char *device)
{
    static const uint8_t serial[16] = {0x41, 0xfe};
    struct fl_issued record = {.kind = FL_ISSUED_DEVICE,
                               .not_before = w->now,
                               .not_after = w->now + 1000000,
                               .subject = fl_slice_str(device),
                               .serial = fl_slice(serial, sizeof serial)};

    hub_log(w, &record);
}

static void log_and_registry_agree(void **state)
{
    struct hub_world *w = *state;
    const json_t *issuance = NULL;

    hub_world_start(w);
    issuance = verify(w);
    assert_true(is_valid(w));
    assert_int_equal(number(issuance, "last"), 0);
    hub_enrol(w, "cam-01");
    hub_enrol(w, "cam-02");
    issuance = verify(w);
    assert_true(is_valid(w));
    assert_int_equal(number(issuance, "devices"), 2);
    assert_int_equal(number(issuance, "last"), 2);
    assert_int_equal(number(issuance, "older"), 0);
}

static void a_certificate_that_the_hub_does_not_know_is_an_alarm(void **state)
{
    struct hub_world *w = *state;
    const json_t *issuance = NULL;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    log_stranger(w, "cam-09");
    issuance = verify(w);
    assert_false(is_valid(w));
    assert_int_equal(number(issuance, "unknown"), 1);
    assert_contains(finding(issuance, 0), "ALARM: the signer issued certificate 41fe");
    assert_contains(finding(issuance, 0), "for cam-09 at ");
    assert_contains(finding(issuance, 0), "this hub does not know it");
}

/* It keeps up at every start of the signer and once an hour: what it does not know it revokes. */
static void what_is_unknown_is_revoked_and_told(void **state)
{
    struct hub_world *w = *state;
    struct fl_credential credential = {0};
    const json_t *last = NULL;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    log_stranger(w, "cam-09");
    w->monotonic += INT64_C(3600) * 1000 + 1;
    (void)fl_hub_tick(&w->hub);
    assert_ok(
        fl_credential_get(&w->hub.store, "41fe0000000000000000000000000000", &credential, NULL));
    assert_int_equal(credential.state, FL_CREDENTIAL_REVOKED);
    assert_string_equal(credential.device, "cam-09");
    (void)verify(w);
    assert_true(is_valid(w));
    hub_call(w, "GET", API "/audit", "", "");
    last = json_array_get(w->answer, json_array_size(w->answer) - 1);
    assert_string_equal(json_string_value(json_object_get(last, "what")), "credential.unclaimed");
}

static void a_certificate_nobody_waited_for_is_known(void **state)
{
    struct hub_world *w = *state;
    char token[FL_LIMIT_TOKEN_TEXT];

    hub_world_start(w);
    hub_add(w, "cam-01", "camera", token);
    w->signer_is_silent = true;
    hub_enrol_with(w, "cam-01", token, "");
    fl_hub_front_up(&w->hub); /* the one that asked is gone */
    hub_answer_sign(w);
    w->signer_is_silent = false;
    assert_int_equal(number(verify(w), "devices"), 1);
    assert_true(is_valid(w));
}

static void a_credential_that_the_signer_did_not_record_is_an_alarm(void **state)
{
    struct hub_world *w = *state;
    const json_t *issuance = NULL;
    struct fl_credential forged = {.state = FL_CREDENTIAL_ISSUED,
                                   .serial = "4200000000000000000000000000ff00",
                                   .device = "cam-01",
                                   .key = "0011223344556677"};

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    forged.not_before = w->now;
    forged.not_after = w->now + 1000;
    assert_ok(fl_credential_put(&w->hub.store, &forged, NULL));
    issuance = verify(w);
    assert_false(is_valid(w));
    assert_int_equal(number(issuance, "missing"), 1);
    assert_contains(
        finding(issuance, 0),
        "ALARM: certificate 4200000000000000000000000000ff00 of cam-01 is in this hub's "
        "registry and not in the issuance log");
    /* One from long before the log began is not its business. */
    forged.not_before = w->now - 3600 * 1000;
    assert_ok(fl_credential_put(&w->hub.store, &forged, NULL));
    issuance = verify(w);
    assert_true(is_valid(w));
    assert_int_equal(number(issuance, "older"), 1);
}

static void a_credential_that_says_something_else_is_an_alarm(void **state)
{
    struct hub_world *w = *state;
    struct fl_device device = {0};
    struct fl_credential credential = {0};
    const json_t *issuance = NULL;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    assert_ok(fl_registry_get(&w->hub.store, fl_slice_str("cam-01"), &device, NULL));
    assert_ok(fl_credential_get(&w->hub.store, device.last_serial, &credential, NULL));
    (void)fl_str_copy(credential.device, sizeof credential.device, "cam-02");
    assert_ok(fl_credential_put(&w->hub.store, &credential, NULL));
    issuance = verify(w);
    assert_false(is_valid(w));
    assert_contains(finding(issuance, 0), "is another one in this hub's registry");
}

/* --- the log changed --- */

static void start_log_anew(struct hub_world *w)
{
    struct fl_issuance_config config = {0};
    struct fl_issuance_tail tail;

    fl_issuance_free(w->log);
    fl_files_twin_free(w->log_disk);
    w->log_disk = fl_files_twin_new(3);
    config.files = fl_files_twin_files(w->log_disk);
    assert_ok(fl_issuance_open(&config, &w->log, &tail, NULL));
}

static void a_log_that_lost_its_end_is_noticed(void **state)
{
    struct hub_world *w = *state;
    const json_t *issuance = NULL;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    hub_enrol(w, "cam-02");
    fl_hub_catch_up(&w->hub);
    start_log_anew(w);
    issuance = verify(w);
    assert_false(is_valid(w));
    assert_string_equal(json_string_value(json_object_get(issuance, "detail")),
                        "it ends with record 0, and this hub has seen record 2: its end was "
                        "removed");
    /* Written anew up to there, it is another one. */
    log_stranger(w, "cam-01");
    log_stranger(w, "cam-02");
    issuance = verify(w);
    assert_false(is_valid(w));
    assert_contains(json_string_value(json_object_get(issuance, "detail")),
                    "record 2 is not the one that this hub saw: the log was written anew");
}

/* A database from a backup, and a log whose oldest files were archived since. */
static void it_keeps_up_with_a_log_that_begins_later_than_it_has_seen(void **state)
{
    struct hub_world *w = *state;
    struct fl_issued_seen seen = {.seq = 1};
    struct fl_files files;
    char name[32];

    hub_world_start(w);
    for (int i = 0; i < 3; i++)
        log_stranger(w, "cam-01");
    /* What would be the second file, had the first one been full: without the first two records. */
    files = fl_files_twin_files(w->log_disk);
    (void)snprintf(name, sizeof name, "issued-%016x.seg", 1);
    {
        uint8_t bytes[4096];
        size_t got = 0;
        struct fl_slice in;
        struct fl_issued record;

        assert_ok(files.read(files.self, name, 0, bytes, sizeof bytes, &got, NULL));
        in = fl_slice(bytes, got);
        assert_ok(fl_issued_decode(&in, &record));
        assert_ok(fl_issued_decode(&in, &record));
        assert_ok(files.remove(files.self, name, NULL));
        (void)snprintf(name, sizeof name, "issued-%016x.seg", 3);
        assert_ok(files.write(files.self, name, 0, in, NULL));
        assert_ok(files.sync(files.self, name, NULL));
    }
    fl_issuance_free(w->log);
    {
        struct fl_issuance_config config = {.files = files};
        struct fl_issuance_tail tail;

        assert_ok(fl_issuance_open(&config, &w->log, &tail, NULL));
    }
    seen.head[0] = 7;
    assert_ok(fl_issued_seen_put(&w->hub.store, &seen, NULL));
    fl_hub_catch_up(&w->hub);
    assert_ok(fl_issued_seen_get(&w->hub.store, &seen, NULL));
    assert_int_equal(seen.seq, 3);
}

static void a_checkpoint_of_another_key_is_noticed(void **state)
{
    struct hub_world *w = *state;
    uint8_t signature[FL_ISSUED_SIGNATURE];
    struct fl_issued record = {
        .kind = FL_ISSUED_CHECKPOINT, .seq = 1, .signature = fl_slice(signature, sizeof signature)};
    const json_t *issuance = NULL;

    hub_world_start(w);
    record.at = w->now;
    assert_ok(fl_issued_sign(w->ca_key, &record, signature, NULL));
    hub_log(w, &record);
    issuance = verify(w);
    assert_true(is_valid(w));
    assert_int_equal(number(issuance, "signed_to"), 1);
    record.seq = 2;
    fl_issuance_head(w->log, record.prev);
    assert_ok(fl_issued_sign(w->profile_key, &record, signature, NULL));
    hub_log(w, &record);
    issuance = verify(w);
    assert_false(is_valid(w));
    assert_contains(json_string_value(json_object_get(issuance, "detail")),
                    "record 2: its signature is not the issuing key's");
}

static void a_damaged_log_is_a_finding_and_an_absent_signer_is_none(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    for (int i = 0; i < 3; i++)
        log_stranger(w, "cam-01");
    fl_files_twin_rot(w->log_disk, "issued-0000000000000001.seg", 20);
    assert_contains(json_string_value(json_object_get(verify(w), "detail")), "is damaged");
    assert_false(is_valid(w));
    w->signer_is_silent = true;
    w->answers = 0;
    hub_call(w, "GET", API "/audit/verify", "", "");
    hub_call(w, "GET", API "/issued", "", "");
    assert_int_equal(w->answers, 0);
    w->monotonic += 10001;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->answers, 2);
    assert_int_equal(w->status, 503);
    fl_hub_signer_down(&w->hub);
    hub_call(w, "GET", API "/issued", "", "");
    assert_int_equal(w->status, 503);
}

static void records_are_shown_by_device_and_time(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    w->now += 60000;
    hub_enrol(w, "cam-02");
    for (int i = 0; i < 1500; i++)
        log_stranger(w, "cam-03");
    hub_call(w, "GET", API "/issued", "device=cam-02", "");
    assert_int_equal(json_array_size(w->answer), 1);
    assert_int_equal(number(json_array_get(w->answer, 0), "seq"), 2);
    hub_call(w, "GET", API "/issued", "", "");
    assert_int_equal(json_array_size(w->answer), 1000);
    hub_call(w, "GET", API "/issued", "after=1000", "");
    assert_int_equal(json_array_size(w->answer), 502);
    hub_call(w, "GET", API "/issued", "since=2026-11-22T12:00:30Z&limit=1", "");
    assert_int_equal(number(json_array_get(w->answer, 0), "seq"), 2);
}

#define check_unit(name) cmocka_unit_test_setup_teardown(name, hub_world_open, hub_world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        check_unit(log_and_registry_agree),
        check_unit(a_certificate_that_the_hub_does_not_know_is_an_alarm),
        check_unit(what_is_unknown_is_revoked_and_told),
        check_unit(a_certificate_nobody_waited_for_is_known),
        check_unit(a_credential_that_the_signer_did_not_record_is_an_alarm),
        check_unit(a_credential_that_says_something_else_is_an_alarm),
        check_unit(a_log_that_lost_its_end_is_noticed),
        check_unit(it_keeps_up_with_a_log_that_begins_later_than_it_has_seen),
        check_unit(a_checkpoint_of_another_key_is_noticed),
        check_unit(a_damaged_log_is_a_finding_and_an_absent_signer_is_none),
        check_unit(records_are_shown_by_device_and_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
