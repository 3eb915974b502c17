/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/service_world.h"

#include "codec/token.h"

static struct fl_enrolment book;

static int open_book(void **state)
{
    fl_enrolment_init(&book);
    return service_world_open(state);
}

static int close_book(void **state)
{
    fl_enrolment_free(&book);
    return service_world_close(state);
}

/* The text of a token with a secret of `seed`s. */
static void token_text(const char *id, uint8_t seed, char *to, size_t size)
{
    struct fl_token token = {.kind = FL_TOKEN_DEVICE, .https_port = 8443, .mqtt_port = 8883};
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);

    memset(token.secret, seed, sizeof token.secret);
    (void)fl_str_copy(token.id, sizeof token.id, id);
    (void)fl_str_copy(token.host, sizeof token.host, "localhost");
    assert_ok(fl_token_encode(&token, &text));
    assert_true(fl_str_copy_slice(to, size, fl_buffer_slice(&text)));
    fl_buffer_free(&text);
}

static void offer(struct service_world *w, const char *id, uint8_t seed)
{
    struct fl_change change = by_alice(w, "");
    struct fl_device device = device_of(w, id);
    uint8_t secret[16];
    fl_time_t expires = 0;

    memset(secret, seed, sizeof secret);
    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_enrolment_offer(&w->store, &device, 0, secret, &change, &expires, NULL));
    commit(w);
    assert_true(expires == w->now + 15 * MINUTE);
}

static uint32_t retry_after_s;

static enum fl_error begin_from(struct service_world *w, const char *id, const char *token,
                                const char *serial, const char *peer, struct fl_context *ctx)
{
    struct fl_enrolment_request request = {.device = fl_slice_str(id),
                                           .token = fl_slice_str(token),
                                           .serial = fl_slice_str(serial),
                                           .peer = fl_slice_str(peer)};
    struct fl_device device = {0};

    return fl_enrolment_begin(&book, &w->store, &request, w->now, &device, &retry_after_s, ctx);
}

static enum fl_error begin(struct service_world *w, const char *id, const char *token)
{
    return begin_from(w, id, token, "", "192.0.2.1:4711", NULL);
}

/* `renewed`: the certificate that asked; NULL: a token did. */
static enum fl_error finish(struct service_world *w, const char *renewed, const char *id,
                            const char *serial)
{
    struct fl_credential c = credential_for(w, id, serial);
    struct fl_device device = {0};
    enum fl_error error = FL_OK;

    fl_enrolment_end(&book, fl_slice_str(id));
    assert_ok(fl_store_begin(&w->store, NULL));
    error = fl_enrolment_finish(&w->store, renewed, &c, "192.0.2.1:4711", w->now, &device, NULL);
    return fl_store_end(&w->store, error, NULL);
}

static void a_token_enrols_once(void **state)
{
    struct service_world *w = *state;
    char token[256];

    add_expected(w, "cam");
    offer(w, "cam", 7);
    token_text("cam", 7, token, sizeof token);
    assert_ok(begin(w, "cam", token));
    /* Not used up by trying: only by a certificate. */
    fl_enrolment_end(&book, fl_slice_str("cam"));
    assert_ok(begin(w, "cam", token));
    assert_int_equal(begin(w, "cam", token), FL_EBUSY);
    assert_ok(finish(w, NULL, "cam", "aa"));
    assert_string_equal(posture_of(w, "cam"), "ok");
    assert_int_equal(begin(w, "cam", token), FL_ESTATE);
    assert_false(check_audit(w).broken);
}

static void a_token_is_for_one_device_and_a_while(void **state)
{
    struct service_world *w = *state;
    char token[256];
    char wrong[256];

    add_expected(w, "cam");
    add_expected(w, "other");
    offer(w, "cam", 7);
    token_text("cam", 7, token, sizeof token);
    token_text("cam", 8, wrong, sizeof wrong);
    assert_int_equal(begin(w, "other", token), FL_EDENIED);
    assert_int_equal(begin(w, "cam", wrong), FL_EAUTH);
    assert_int_equal(begin(w, "cam", "rubbish"), FL_EPARSE);
    assert_int_equal(begin(w, "cam", ""), FL_EAUTH);
    assert_int_equal(begin(w, "not a name", token), FL_EINVAL);
    w->now += 15 * MINUTE;
    assert_int_equal(begin_from(w, "cam", token, "", "192.0.2.9:1", NULL), FL_EEXPIRED);
}

static void a_newer_token_voids_the_older(void **state)
{
    struct service_world *w = *state;
    char token[256];

    add_expected(w, "cam");
    offer(w, "cam", 7);
    offer(w, "cam", 8);
    token_text("cam", 7, token, sizeof token);
    assert_int_equal(begin(w, "cam", token), FL_EAUTH);
    token_text("cam", 8, token, sizeof token);
    assert_ok(begin(w, "cam", token));
}

static void failures_are_limited_per_device_and_per_address(void **state)
{
    struct service_world *w = *state;
    char token[256];
    char peer[64];

    add_expected(w, "cam");
    add_expected(w, "other");
    offer(w, "cam", 7);
    offer(w, "other", 7);
    for (int i = 0; i < FL_LIMIT_ENROL_FAILURES_ADDRESS; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "nobody-%d", i);
        assert_int_equal(begin(w, name, "rubbish"), FL_EPARSE);
    }
    token_text("other", 7, token, sizeof token);
    assert_int_equal(begin(w, "other", token), FL_EBUSY);
    assert_in_range(retry_after_s, 1, 60);
    assert_ok(begin_from(w, "other", token, "", "[2001:db8::1]:4711", NULL));
    fl_enrolment_end(&book, fl_slice_str("other"));
    for (int i = 0; i < FL_LIMIT_ENROL_FAILURES; i++) {
        (void)snprintf(peer, sizeof peer, "192.0.2.%d:1", 10 + i);
        assert_int_equal(begin_from(w, "cam", "rubbish", "", peer, NULL), FL_EPARSE);
    }
    token_text("cam", 7, token, sizeof token);
    assert_int_equal(begin_from(w, "cam", token, "", "192.0.2.99:1", NULL), FL_EBUSY);
    w->now += FL_LIMIT_ENROL_WINDOW_MS;
    assert_ok(begin(w, "cam", token));
    /* A clock that is set back locks nobody out for longer than a window. */
    w->now -= DAY;
    assert_int_equal(begin_from(w, "cam", "rubbish", "", "192.0.2.10:1", NULL), FL_EBUSY);
    assert_in_range(retry_after_s, 1, 60);
}

static void the_memory_of_failures_is_bounded(void **state)
{
    struct service_world *w = *state;
    char peer[64];

    for (unsigned i = 0; i < FL_LIMIT_ENROL_TRACKED + 10; i++) {
        (void)snprintf(peer, sizeof peer, "10.%u.%u.%u:1", i >> 16, (i >> 8) & 255, i & 255);
        w->now += FL_LIMIT_ENROL_WINDOW_MS;
        assert_int_equal(begin_from(w, "nobody", "x", "", peer, NULL), FL_EPARSE);
    }
    assert_int_equal(book.attempts.count, FL_LIMIT_ENROL_TRACKED);
}

static void enrolments_in_flight_are_bounded(void **state)
{
    struct service_world *w = *state;
    char id[16];
    char peer[64];
    char token[256];

    for (int i = 0; i <= FL_LIMIT_ENROL_IN_FLIGHT; i++) {
        (void)snprintf(id, sizeof id, "d-%d", i);
        (void)snprintf(peer, sizeof peer, "10.0.0.%d:1", i);
        add_expected(w, id);
        offer(w, id, 1);
        token_text(id, 1, token, sizeof token);
        assert_int_equal(begin_from(w, id, token, "", peer, NULL),
                         i < FL_LIMIT_ENROL_IN_FLIGHT ? FL_OK : FL_EBUSY);
    }
}

static void a_live_certificate_renews_and_the_old_one_stays(void **state)
{
    struct service_world *w = *state;
    struct fl_posture posture = {0};
    struct fl_device device = {0};
    struct fl_credential c = {0};
    static const char *const serials[] = {"bb", "cc", "dd", "ee"};

    add_active(w, "cam", "aa");
    add_active(w, "other", "ff");
    assert_int_equal(begin_from(w, "cam", "", "ff", "192.0.2.1:1", NULL), FL_EAUTH);
    assert_int_equal(begin_from(w, "cam", "", "00", "192.0.2.1:1", NULL), FL_EAUTH);
    for (size_t i = 0; i < 4; i++) {
        assert_ok(begin_from(w, "cam", "", i ? serials[i - 1] : "aa", "192.0.2.2:1", NULL));
        assert_ok(finish(w, i ? serials[i - 1] : "aa", "cam", serials[i]));
    }
    device = device_of(w, "cam");
    assert_ok(fl_posture_of(&w->store, &device, w->now, &posture, NULL));
    assert_string_equal(posture.serials, "bb cc dd ee");
    assert_ok(fl_credential_get(&w->store, "aa", &c, NULL));
    assert_int_equal(c.state, FL_CREDENTIAL_REVOKED);
    assert_int_equal(begin_from(w, "cam", "", "aa", "192.0.2.3:1", NULL), FL_EDENIED);
    w->now += 8 * DAY;
    assert_int_equal(begin_from(w, "cam", "", "ee", "192.0.2.4:1", NULL), FL_EEXPIRED);
}

static const char *live(struct service_world *w, const char *id)
{
    static struct fl_posture posture;
    struct fl_device device = device_of(w, id);

    assert_ok(fl_posture_of(&w->store, &device, w->now, &posture, NULL));
    return posture.serials;
}

static enum fl_error connect_with(struct service_world *w, const char *serial)
{
    struct fl_device device = device_of(w, "cam");
    enum fl_error error = FL_OK;

    assert_ok(fl_store_begin(&w->store, NULL));
    error = fl_enrolment_connected(&w->store, serial, "192.0.2.1:4711", w->now, &device, NULL);
    return fl_store_end(&w->store, error, NULL);
}

static void renew(struct service_world *w, const char *by, const char *serial)
{
    assert_ok(begin_from(w, "cam", "", by, "192.0.2.2:1", NULL));
    assert_ok(finish(w, by, "cam", serial));
}

/* A device whose answers are lost asks again and again with the one that it has. */
static void the_certificate_that_asks_is_never_the_one_that_gives_way(void **state)
{
    struct service_world *w = *state;
    char serial[3] = "b0";

    add_active(w, "cam", "aa");
    for (int i = 0; i < 9; i++, serial[1]++)
        renew(w, "aa", serial);
    assert_string_equal(live(w, "cam"), "aa b6 b7 b8");
}

static void the_first_connection_with_a_new_certificate_retires_the_old_ones(void **state)
{
    struct service_world *w = *state;
    struct fl_credential c = {0};
    uint64_t records = 0;

    add_active(w, "cam", "aa");
    renew(w, "aa", "bb");
    renew(w, "aa", "cc");
    records = check_audit(w).records;
    assert_int_equal(connect_with(w, "aa"), FL_ENOTFOUND);
    assert_int_equal(connect_with(w, "zz"), FL_ENOTFOUND);
    assert_string_equal(live(w, "cam"), "aa bb cc");
    /* The answer with cc may be on its way: only what is older goes. */
    assert_ok(connect_with(w, "bb"));
    assert_string_equal(live(w, "cam"), "bb cc");
    assert_int_equal(check_audit(w).records, records + 1);
    assert_ok(fl_credential_get(&w->store, "aa", &c, NULL));
    assert_int_equal(c.state, FL_CREDENTIAL_REVOKED);
    assert_string_equal(c.reason, "superseded by bb");
    assert_int_equal(begin_from(w, "cam", "", "aa", "192.0.2.3:1", NULL), FL_EDENIED);
    assert_int_equal(connect_with(w, "bb"), FL_ENOTFOUND);
    assert_ok(connect_with(w, "cc"));
    assert_string_equal(live(w, "cam"), "cc");
    assert_false(check_audit(w).broken);
}

static void a_retirement_is_written_whole_or_not_at_all(void **state)
{
    struct service_world *w = *state;
    uint64_t nth = 1;

    add_active(w, "cam", "aa");
    renew(w, "aa", "bb");
    for (;; nth++) {
        enum fl_error error = FL_OK;

        fl_store_twin_fail(&w->store, nth, FL_EIO);
        error = connect_with(w, "bb");
        fl_store_twin_fail(&w->store, 0, FL_OK);
        assert_string_equal(live(w, "cam"), error == FL_OK ? "bb" : "aa bb");
        if (error == FL_OK)
            break;
    }
    assert_true(nth > 3);
}

static void an_ended_certificate_renews_only_where_the_hub_is_told_to(void **state)
{
    struct service_world *w = *state;
    struct fl_device device = {0};
    fl_time_t end = 0;
    struct fl_credential c = {0};

    add_active(w, "cam", "aa");
    renew(w, "aa", "bb");
    assert_ok(fl_credential_get(&w->store, "bb", &c, NULL));
    end = c.not_after;
    w->now = end;
    assert_int_equal(begin_from(w, "cam", "", "bb", "192.0.2.4:1", NULL), FL_EEXPIRED);
    book.renew_expired_ms = 7 * DAY;
    /* Only the newest one, and only for a while. */
    assert_int_equal(begin_from(w, "cam", "", "aa", "192.0.2.5:1", NULL), FL_EEXPIRED);
    w->now = end + 7 * DAY;
    assert_int_equal(begin_from(w, "cam", "", "bb", "192.0.2.6:1", NULL), FL_EEXPIRED);
    w->now = end + 7 * DAY - 1;
    /* The sweep has found both ended: the device has none that is live. */
    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_registry_expire(&w->store, w->now, &device, NULL));
    assert_ok(fl_registry_expire(&w->store, w->now, &device, NULL));
    commit(w);
    assert_int_equal(device_of(w, "cam").serial_count, 0);
    assert_ok(begin_from(w, "cam", "", "bb", "192.0.2.7:1", NULL));
    assert_ok(finish(w, "bb", "cam", "cc"));
    assert_string_equal(live(w, "cam"), "cc");
    assert_int_equal(begin_from(w, "cam", "", "bb", "192.0.2.8:1", NULL), FL_EEXPIRED);
    book.renew_expired_ms = 0;
}

static void who_is_cut_off_does_not_come_back_by_an_ended_certificate(void **state)
{
    struct service_world *w = *state;
    struct fl_device device = {0};
    struct fl_credential c = {0};

    book.renew_expired_ms = 7 * DAY;
    add_active(w, "held", "aa");
    add_active(w, "gone", "bb");
    device = device_of(w, "held");
    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_device_move(&device, FL_DEVICE_QUARANTINED, w->now, NULL));
    assert_ok(fl_registry_move_credentials(
        &w->store, &device,
        &(struct fl_credential_change){.next = FL_CREDENTIAL_HELD, .reason = "", .now = NOON},
        NULL));
    assert_ok(fl_registry_put(&w->store, &device, NULL));
    device = device_of(w, "gone");
    assert_ok(fl_registry_move_credentials(
        &w->store, &device,
        &(struct fl_credential_change){
            .next = FL_CREDENTIAL_REVOKED, .reason = "stolen", .now = NOON},
        NULL));
    assert_ok(fl_registry_put(&w->store, &device, NULL));
    commit(w);
    assert_ok(fl_credential_get(&w->store, "aa", &c, NULL));
    w->now = c.not_after + DAY;
    assert_int_equal(begin_from(w, "held", "", "aa", "192.0.2.4:1", NULL), FL_EDENIED);
    assert_int_equal(begin_from(w, "gone", "", "bb", "192.0.2.5:1", NULL), FL_EDENIED);
    book.renew_expired_ms = 0;
}

static void enrolling_again_revokes_what_was_there(void **state)
{
    struct service_world *w = *state;
    char token[256];
    struct fl_credential c = {0};

    add_active(w, "cam", "aa");
    offer(w, "cam", 7);
    token_text("cam", 7, token, sizeof token);
    assert_ok(begin(w, "cam", token));
    assert_ok(finish(w, NULL, "cam", "bb"));
    assert_ok(fl_credential_get(&w->store, "aa", &c, NULL));
    assert_int_equal(c.state, FL_CREDENTIAL_REVOKED);
    assert_int_equal(device_of(w, "cam").serial_count, 1);
}

static void who_was_cut_off_meanwhile_gets_no_certificate(void **state)
{
    struct service_world *w = *state;
    struct fl_change change = by_alice(w, "");
    struct fl_outcome o = {0};
    char token[256];

    add_active(w, "cam", "aa");
    offer(w, "cam", 7);
    token_text("cam", 7, token, sizeof token);
    assert_ok(begin(w, "cam", token));
    assert_ok(fl_store_begin(&w->store, NULL));
    assert_ok(fl_action_apply(&w->store, FL_ACTION_QUARANTINE, fl_slice_str("cam"), 0, false,
                              &change, &o, NULL));
    commit(w);
    assert_int_equal(finish(w, NULL, "cam", "bb"), FL_EDENIED);
    assert_int_equal(begin(w, "cam", token), FL_EDENIED);
    assert_int_equal(begin_from(w, "cam", "", "aa", "192.0.2.2:1", NULL), FL_EDENIED);
}

static void a_failed_write_leaves_the_token_good(void **state)
{
    struct service_world *w = *state;
    char token[256];
    uint64_t nth = 1;

    add_expected(w, "cam");
    offer(w, "cam", 7);
    token_text("cam", 7, token, sizeof token);
    for (;; nth++) {
        uint64_t records = check_audit(w).records;
        enum fl_error error = FL_OK;

        assert_ok(begin(w, "cam", token));
        fl_store_twin_fail(&w->store, nth, FL_EIO);
        error = finish(w, NULL, "cam", "aa");
        fl_store_twin_fail(&w->store, 0, FL_OK);
        assert_int_equal(check_audit(w).records, error == FL_OK ? records + 1 : records);
        assert_string_equal(posture_of(w, "cam"), error == FL_OK ? "ok" : "expected");
        if (error == FL_OK)
            break;
    }
    assert_true(nth > 5);
}

#define book_test(name) cmocka_unit_test_setup_teardown(name, open_book, close_book)

int main(void)
{
    const struct CMUnitTest tests[] = {
        book_test(a_token_enrols_once),
        book_test(a_token_is_for_one_device_and_a_while),
        book_test(a_newer_token_voids_the_older),
        book_test(failures_are_limited_per_device_and_per_address),
        book_test(the_memory_of_failures_is_bounded),
        book_test(enrolments_in_flight_are_bounded),
        book_test(a_live_certificate_renews_and_the_old_one_stays),
        book_test(the_certificate_that_asks_is_never_the_one_that_gives_way),
        book_test(the_first_connection_with_a_new_certificate_retires_the_old_ones),
        book_test(a_retirement_is_written_whole_or_not_at_all),
        book_test(an_ended_certificate_renews_only_where_the_hub_is_told_to),
        book_test(who_is_cut_off_does_not_come_back_by_an_ended_certificate),
        book_test(enrolling_again_revokes_what_was_there),
        book_test(who_was_cut_off_meanwhile_gets_no_certificate),
        book_test(a_failed_write_leaves_the_token_good),
    };

    return cmocka_run_group_tests_name("enrolment", tests, NULL, NULL);
}
