/* SPDX-License-Identifier: Apache-2.0
 * The hub's revocation list and OCSP, with a fake signer that really signs. */
#include "test/twin/hub_world.h"

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define API "/api/v1"
#define HOUR_MS INT64_C(3600000)

#define hub_unit(test) cmocka_unit_test_setup_teardown(test, hub_world_open, hub_world_close)

static X509_CRL *list_of(const struct hub_world *w)
{
    const unsigned char *at = fl_buffer_slice(&w->list).data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)w->list.size);

    assert_non_null(crl);
    assert_int_equal(X509_CRL_verify(crl, w->ca_key), 1);
    return crl;
}

static int listed(const struct hub_world *w)
{
    X509_CRL *crl = list_of(w);
    int count = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));

    X509_CRL_free(crl);
    return count > 0 ? count : 0;
}

static void act(struct hub_world *w, const char *id, const char *verb, const char *body)
{
    char path[128];

    (void)snprintf(path, sizeof path, API "/devices/%s/%s", id, verb);
    hub_call(w, "POST", path, "", body);
    assert_int_equal(w->status, 200);
}

static void a_list_is_there_from_the_start_and_says_who_is_revoked(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    assert_int_equal(listed(w), 0);
    assert_int_equal(w->list_number, 1);
    hub_enrol(w, "cam-01");
    hub_enrol(w, "cam-02");
    hub_settle_list(w);
    assert_int_equal(w->list_number, 1); /* nothing to say */
    act(w, "cam-01", "revoke", "");
    act(w, "cam-02", "hold", "");
    hub_settle_list(w);
    assert_int_equal(w->list_number, 2);
    assert_int_equal(listed(w), 2);
    act(w, "cam-02", "release", "");
    hub_settle_list(w);
    assert_int_equal(listed(w), 1);
    assert_int_equal(w->list_number, 3);
}

static void a_storm_shares_lists(void **state)
{
    struct hub_world *w = *state;
    char id[16];

    hub_world_start(w);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(id, sizeof id, "cam-%02d", i);
        hub_enrol(w, id);
    }
    hub_settle_list(w);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(id, sizeof id, "cam-%02d", i);
        act(w, id, "revoke", "");
        w->monotonic += 2; /* hub_call's front takes another 3 */
        (void)fl_hub_tick(&w->hub);
        hub_answer_list(w);
    }
    hub_settle_list(w);
    assert_int_equal(listed(w), 50);
    assert_in_range(w->list_number, 3, 5);
}

static void a_new_front_gets_the_list_at_once(void **state)
{
    struct hub_world *w = *state;
    size_t before = 0;

    hub_world_start(w);
    fl_hub_front_down(&w->hub);
    before = w->counts[fl_msg_type_crl];
    fl_hub_front_up(&w->hub);
    assert_int_equal(w->counts[fl_msg_type_crl], before + 1);
}

static void a_list_is_renewed_long_before_it_is_too_old(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    w->now += 8 * HOUR_MS - 10000;
    hub_settle_list(w);
    assert_int_equal(w->list_number, 1);
    w->now += 10000;
    hub_settle_list(w);
    assert_int_equal(w->list_number, 2);
    w->now -= 9 * HOUR_MS; /* the clock was set right */
    hub_settle_list(w);
    assert_int_equal(w->list_number, 3);
}

/* RFC 5280 3.3 */
static void an_expired_certificate_leaves_after_one_more_list(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    act(w, "cam-01", "revoke", "");
    hub_settle_list(w);
    w->now += 8 * 24 * HOUR_MS;
    hub_settle_list(w);
    assert_int_equal(listed(w), 1);
    w->now += 8 * HOUR_MS;
    hub_settle_list(w);
    assert_int_equal(listed(w), 0);
}

static void a_silent_or_refusing_signer_is_asked_again_and_no_number_is_used_twice(void **state)
{
    struct hub_world *w = *state;
    struct fl_msg refusal = {.type = fl_msg_type_crl};

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    act(w, "cam-01", "revoke", "");
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->crl_number, 2);
    w->monotonic += 20000;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->crl_number, 3);
    refusal.as.crl.request = w->crl_asked;
    refusal.as.crl.error = FL_EBUSY;
    fl_hub_from_signer(&w->hub, &refusal);
    w->monotonic += 1000;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->crl_number, 4);
    assert_int_equal(w->list_number, 1);
    hub_answer_list(w);
    assert_int_equal(w->list_number, 4);
    assert_int_equal(listed(w), 1);
}

static void a_list_that_comes_too_late_is_not_taken_for_the_next(void **state)
{
    struct hub_world *w = *state;
    struct fl_msg part = {.type = fl_msg_type_crl_part};
    struct fl_msg end = {.type = fl_msg_type_crl};

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    act(w, "cam-01", "revoke", "");
    (void)fl_hub_tick(&w->hub);
    end.as.crl.request = w->crl_asked;
    end.as.crl.number = w->crl_number;
    w->monotonic += 20000;
    (void)fl_hub_tick(&w->hub);
    part.as.crl_part.der = fl_slice_str("an old list");
    fl_hub_from_signer(&w->hub, &part);
    fl_hub_from_signer(&w->hub, &end);
    hub_answer_list(w);
    assert_int_equal(listed(w), 1);
}

static void a_full_disk_means_no_new_list_and_the_next_one_comes(void **state)
{
    struct hub_world *w = *state;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    act(w, "cam-01", "revoke", "");
    fl_store_twin_fail(&w->hub.store, 1, FL_EFULL);
    fl_hub_tick_status(&w->hub, false);
    hub_answer_list(w);
    assert_int_equal(w->list_number, 1);
    w->monotonic += 1000;
    hub_settle_list(w);
    assert_int_equal(listed(w), 1);
}

/* --- OCSP --- */

static const char *serial_of(struct hub_world *w, const char *id)
{
    char path[128];

    (void)snprintf(path, sizeof path, API "/devices/%s", id);
    hub_call(w, "GET", path, "", "");
    return json_string_value(json_object_get(json_object_get(w->answer, "credential"), "serial"));
}

static size_t wire_serial(const char *hex, uint8_t to[21])
{
    size_t size = 0;

    assert_ok(fl_unhex(to + 1, 20, fl_slice_str(hex), &size));
    to[0] = (uint8_t)size;
    return size + 1;
}

/* V_OCSP_CERTSTATUS_, and the reason. */
static int status_of(struct hub_world *w, const char *hex, int *reason)
{
    struct fl_msg msg = {.type = fl_msg_type_ocsp_ask};
    uint8_t serial[21];
    const unsigned char *at = NULL;
    OCSP_RESPONSE *response = NULL;
    OCSP_BASICRESP *basic = NULL;
    int status = -1;

    msg.as.ocsp_ask.sha256 = 1;
    msg.as.ocsp_ask.serials = fl_slice(serial, wire_serial(hex, serial));
    w->ocsp_error = 99;
    fl_hub_from_front(&w->hub, &msg);
    assert_int_equal(w->ocsp_error, FL_OK);
    at = fl_buffer_slice(&w->ocsp).data;
    response = d2i_OCSP_RESPONSE(NULL, &at, (long)w->ocsp.size);
    assert_non_null(response);
    basic = OCSP_response_get1_basic(response);
    assert_non_null(basic);
    assert_int_equal(OCSP_resp_count(basic), 1);
    *reason = -1;
    status = OCSP_single_get0_status(OCSP_resp_get0(basic, 0), reason, NULL, NULL, NULL);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return status;
}

static void ocsp_says_what_is_so_now(void **state)
{
    struct hub_world *w = *state;
    char serial[FL_LIMIT_SERIAL_HEX];
    int reason = 0;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    (void)fl_str_copy(serial, sizeof serial, serial_of(w, "cam-01"));
    assert_int_equal(status_of(w, serial, &reason), V_OCSP_CERTSTATUS_GOOD);
    assert_true(w->ocsp_keep);
    act(w, "cam-01", "hold", "");
    assert_int_equal(status_of(w, serial, &reason), V_OCSP_CERTSTATUS_REVOKED);
    assert_int_equal(reason, OCSP_REVOKED_STATUS_CERTIFICATEHOLD);
    act(w, "cam-01", "release", "");
    assert_int_equal(status_of(w, serial, &reason), V_OCSP_CERTSTATUS_GOOD);
    act(w, "cam-01", "revoke", "");
    assert_int_equal(status_of(w, serial, &reason), V_OCSP_CERTSTATUS_REVOKED);
    assert_int_equal(reason, -1);
    act(w, "cam-01", "retire", "");
    assert_int_equal(status_of(w, "0badcafe", &reason), V_OCSP_CERTSTATUS_UNKNOWN);
    assert_false(w->ocsp_keep);
}

static void of_what_has_expired_nothing_is_said(void **state)
{
    struct hub_world *w = *state;
    char serial[FL_LIMIT_SERIAL_HEX];
    int reason = 0;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    (void)fl_str_copy(serial, sizeof serial, serial_of(w, "cam-01"));
    act(w, "cam-01", "hold", "");
    w->now += 8 * 24 * HOUR_MS;
    (void)fl_hub_tick(&w->hub);
    hub_settle_list(w);
    assert_int_equal(status_of(w, serial, &reason), V_OCSP_CERTSTATUS_UNKNOWN);
}

static void a_renewal_under_way_does_not_get_a_held_device_out(void **state)
{
    struct hub_world *w = *state;
    char serial[FL_LIMIT_SERIAL_HEX];

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    (void)fl_str_copy(serial, sizeof serial, serial_of(w, "cam-01"));
    w->signer_is_silent = true;
    hub_enrol_with(w, "cam-01", "", serial);
    act(w, "cam-01", "hold", "");
    hub_answer_sign(w);
    assert_int_equal(w->enrol_error, FL_EDENIED);
    assert_contains(w->enrol_detail, "its certificate is held");
    assert_false(w->device_may_connect);
    act(w, "cam-01", "release", "");
    hub_enrol_with(w, "cam-01", "", serial);
    hub_answer_sign(w);
    assert_int_equal(w->enrol_error, FL_OK);
}

static void what_was_said_is_taken_back_when_it_changes(void **state)
{
    struct hub_world *w = *state;
    uint8_t serial[21];
    size_t size = 0;

    hub_world_start(w);
    hub_enrol(w, "cam-01");
    size = wire_serial(serial_of(w, "cam-01"), serial);
    assert_true(fl_slice_equal(fl_buffer_slice(&w->dropped), fl_slice(serial, size)));
    hub_settle_list(w);
    fl_buffer_clear(&w->dropped);
    act(w, "cam-01", "hold", "");
    hub_settle_list(w);
    assert_true(fl_slice_equal(fl_buffer_slice(&w->dropped), fl_slice(serial, size)));
    fl_buffer_clear(&w->dropped);
    act(w, "cam-01", "revoke", ""); /* another reason */
    hub_settle_list(w);
    assert_true(fl_slice_equal(fl_buffer_slice(&w->dropped), fl_slice(serial, size)));
}

static void without_a_certificate_it_says_later(void **state)
{
    struct hub_world *w = *state;
    struct fl_msg msg = {.type = fl_msg_type_ocsp_ask};
    int reason = 0;

    hub_world_start(w);
    w->now += 25 * HOUR_MS;
    msg.as.ocsp_ask.serials = fl_slice("\1\5", 2);
    fl_hub_from_front(&w->hub, &msg);
    assert_int_equal(w->ocsp_error, FL_EBUSY);
    hub_settle_list(w);
    assert_int_equal(status_of(w, "05", &reason), V_OCSP_CERTSTATUS_UNKNOWN);
}

static void a_front_that_asks_for_nonsense_is_told_so(void **state)
{
    struct hub_world *w = *state;
    struct fl_msg msg = {.type = fl_msg_type_ocsp_ask};

    hub_world_start(w);
    msg.as.ocsp_ask.serials = fl_slice("\5\5", 2);
    fl_hub_from_front(&w->hub, &msg);
    assert_int_equal(w->ocsp_error, FL_EPARSE);
    msg.as.ocsp_ask.serials = fl_slice("\1\5\1\5\1\5\1\5\1\5", 10);
    fl_hub_from_front(&w->hub, &msg);
    assert_int_equal(w->ocsp_error, FL_EPARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hub_unit(a_list_is_there_from_the_start_and_says_who_is_revoked),
        hub_unit(a_storm_shares_lists),
        hub_unit(a_new_front_gets_the_list_at_once),
        hub_unit(a_list_is_renewed_long_before_it_is_too_old),
        hub_unit(an_expired_certificate_leaves_after_one_more_list),
        hub_unit(a_silent_or_refusing_signer_is_asked_again_and_no_number_is_used_twice),
        hub_unit(a_list_that_comes_too_late_is_not_taken_for_the_next),
        hub_unit(a_full_disk_means_no_new_list_and_the_next_one_comes),
        hub_unit(ocsp_says_what_is_so_now),
        hub_unit(of_what_has_expired_nothing_is_said),
        hub_unit(a_renewal_under_way_does_not_get_a_held_device_out),
        hub_unit(what_was_said_is_taken_back_when_it_changes),
        hub_unit(without_a_certificate_it_says_later),
        hub_unit(a_front_that_asks_for_nonsense_is_told_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
