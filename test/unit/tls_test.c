/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/tls_rig.h"

/* --- claims --- */

static void a_known_device_comes_in(void **state)
{
    struct world *w = *state;

    connect_as(w, &device, false);
    assert_true(w->opened);
    assert_string_equal(w->got, "ping");
    assert_string_equal(w->seen_peer, "cam-01");
    assert_int_equal(w->judged, 2); /* in the handshake and after it */
    assert_int_equal(w->refused, 0);
    assert_true(w->lost);
    assert_int_equal(fl_tls_session_count(w->tls), 1);
}

static void a_session_is_resumed_and_judged_again(void **state)
{
    struct world *w = *state;

    connect_as(w, &device, false);
    for (int i = 0; i < 2 * FL_LIMIT_TLS_SESSIONS_DEVICE; i++) {
        connect_as(w, &device, true);
        assert_true(w->resumed);
        assert_true(w->was_resumed);
        assert_string_equal(w->seen_peer, "cam-01");
        assert_int_equal(w->judged, 2); /* when it was looked up and after the handshake */
    }
    assert_int_equal(fl_tls_session_count(w->tls), FL_LIMIT_TLS_SESSIONS_DEVICE);
}

static void revoked_device_cannot_resume_its_session(void **state)
{
    struct world *w = *state;

    connect_as(w, &device, false);
    w->verdict = X509_V_ERR_CERT_REVOKED;
    connect_as(w, &device, true);
    assert_false(w->opened);
    assert_int_equal(w->alert, SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED);
    assert_int_equal(w->refused, 1);
    assert_string_equal(w->refused_name, "cam-01");
    assert_string_equal(w->refused_words, "revoked by alice");
    /* Its session is gone, also when it is let in again. */
    assert_int_equal(fl_tls_session_count(w->tls), 0);
    w->verdict = X509_V_OK;
    connect_as(w, &device, true);
    assert_true(w->opened);
    assert_false(w->resumed);
}

static void dropped_sessions_are_not_resumed(void **state)
{
    struct world *w = *state;

    connect_as(w, &device, false);
    connect_as(w, &device, false);
    assert_int_equal(fl_tls_drop(w->tls, fl_slice_str("cam-02")), 0);
    assert_int_equal(fl_tls_drop(w->tls, fl_slice_str("cam-01")), 2);
    connect_as(w, &device, true);
    assert_true(w->opened);
    assert_false(w->resumed);
}

static void a_session_of_one_listener_is_not_resumed_at_another(void **state)
{
    struct world *w = *state;
    struct fl_tls *mqtt = w->tls;
    struct fl_tls *https = make_server(w, "https", false);

    connect_as(w, &device, false);
    w->tls = https;
    connect_as(w, &device, true);
    assert_false(w->resumed);
    assert_true(w->opened);
    fl_stream_close(&w->stream);
    fl_tls_free(https);
    w->tls = mqtt;
}

static void a_certificate_may_be_optional(void **state)
{
    struct world *w = *state;

    connect_as(w, NULL, false);
    assert_false(w->opened);
    assert_int_equal(w->alert, SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
    assert_int_equal(w->refused, 1);
    assert_string_equal(w->refused_words, "no client certificate");
    fl_stream_close(&w->stream);
    fl_tls_free(w->tls);
    w->tls = make_server(w, "https", false);
    connect_as(w, NULL, false);
    assert_true(w->opened);
    assert_string_equal(w->seen_peer, "");
    assert_int_equal(fl_tls_session_count(w->tls), 0);
}

static void each_bad_certificate_gets_its_alert(void **state)
{
    const struct {
        EVP_PKEY *issuer_key;
        X509 *issuer;
        enum fl_cert_kind kind;
        fl_time_t not_before;
        fl_time_t not_after;
        unsigned long alert;
        const char *words;
    } table[] = {
        {foreign.key, foreign.issuing, FL_CERT_DEVICE, -HOUR, HOUR, SSL_R_TLSV1_ALERT_UNKNOWN_CA,
         "unable to get local issuer certificate"},
        {NULL, NULL, FL_CERT_ROOT, -HOUR, HOUR, SSL_R_TLSV1_ALERT_UNKNOWN_CA, "self-signed"},
        {ours.key, ours.issuing, FL_CERT_DEVICE, -2 * HOUR, -HOUR,
         SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "expired"},
        {ours.key, ours.issuing, FL_CERT_DEVICE, HOUR, 2 * HOUR, SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
         "not yet valid"},
        {ours.key, ours.issuing, FL_CERT_SERVER, -HOUR, HOUR,
         SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "purpose"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct identity id = {0};

        issue(&id, table[i].kind, "cam-01", table[i].issuer_key, table[i].issuer,
              now() + table[i].not_before, now() + table[i].not_after);
        connect_as(w, &id, false);
        assert_false(w->opened);
        assert_int_equal(w->alert, table[i].alert);
        assert_int_equal(w->refused, 1);
        assert_contains(w->refused_words, table[i].words);
        assert_contains(w->lost_words, table[i].words);
        free_identity(&id);
    }
}

/* --- TLS 1.2 --- */

static void only_12(struct world *w)
{
    assert_int_equal(SSL_CTX_set_max_proto_version(w->client, TLS1_2_VERSION), 1);
}

static void tls_1_2_is_not_offered_unasked(void **state)
{
    struct world *w = *state;

    only_12(w);
    connect_as(w, &device, false);
    assert_false(w->opened);
    assert_int_equal(w->alert, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    assert_int_equal(w->judged, 0);
    assert_ok(fl_tls_offer_12(w->tls, true, NULL));
    connect_as(w, &device, false);
    assert_true(w->opened);
    assert_true(w->judged_12);
    /* Whoever can uses 1.3 all the same. */
    assert_int_equal(SSL_CTX_set_max_proto_version(w->client, TLS1_3_VERSION), 1);
    connect_as(w, &device, false);
    assert_true(w->opened);
    assert_false(w->judged_12);
    only_12(w);
    assert_ok(fl_tls_offer_12(w->tls, false, NULL));
    connect_as(w, &device, true);
    assert_false(w->opened);
    assert_int_equal(w->alert, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
}

static void nothing_older_than_1_2_is_ever_spoken(void **state)
{
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION};
    struct world *w = *state;

    assert_ok(fl_tls_offer_12(w->tls, true, NULL));
    SSL_CTX_set_security_level(w->client, 0);
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        assert_int_equal(SSL_CTX_set_min_proto_version(w->client, versions[i]), 1);
        assert_int_equal(SSL_CTX_set_max_proto_version(w->client, versions[i]), 1);
        connect_as(w, &device, false);
        assert_false(w->opened);
        assert_int_equal(w->alert, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    }
}

static void tls_1_2_has_ephemeral_keys_and_authenticated_encryption(void **state)
{
    static const struct {
        const char *suite;
        bool is_good;
    } table[] = {
        {"ECDHE-ECDSA-AES128-GCM-SHA256", true},
        {"ECDHE-ECDSA-AES256-GCM-SHA384", true},
        {"ECDHE-ECDSA-CHACHA20-POLY1305", true},
        {"ECDHE-ECDSA-AES128-CCM", true},
        {"ECDHE-ECDSA-AES256-CCM", true},
        {"ECDHE-ECDSA-AES128-CCM8", false},
        {"ECDHE-ECDSA-AES128-SHA256", false},
        {"ECDHE-ECDSA-AES128-SHA", false},
        {"ECDHE-RSA-AES128-GCM-SHA256", false},
        {"DHE-RSA-AES128-GCM-SHA256", false},
        {"AES128-GCM-SHA256", false},
        {"AES128-SHA", false},
        {"ECDHE-ECDSA-NULL-SHA", false},
        {"AECDH-AES128-SHA", false},
        {"PSK-AES128-GCM-SHA256", false},
    };
    struct world *w = *state;

    only_12(w);
    assert_ok(fl_tls_offer_12(w->tls, true, NULL));
    SSL_CTX_set_security_level(w->client, 0);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (SSL_CTX_set_cipher_list(w->client, table[i].suite) != 1)
            fail_msg("%s is not known to the client", table[i].suite);
        connect_as(w, &device, false);
        if (w->opened != table[i].is_good)
            fail_msg("%s", table[i].suite);
        if (!table[i].is_good && !strstr(table[i].suite, "PSK"))
            assert_int_equal(w->alert, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
    }
}

static void say_hello(struct world *w, const char *bytes, size_t size)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    fl_stream_close(&w->stream);
    w->stream = (struct fl_stream){0};
    w->opened = w->lost = false;
    w->refused = 0;
    w->refused_words[0] = 0;
    assert_ok(fl_stream_open(&w->stream, w->loop, fds[0], fl_tls_context(w->tls), &handler,
                             "peer:1", NULL));
    assert_int_equal(write(fds[1], bytes, size), size);
    for (int i = 0; i < 4; i++)
        assert_ok(fl_loop_round(w->loop, 1, NULL));
    (void)close(fds[1]);
}

static void tls_1_2_needs_the_extended_master_secret(void **state)
{
    struct world *w = *state;

    only_12(w);
    assert_ok(fl_tls_offer_12(w->tls, true, NULL));
    (void)SSL_CTX_set_options(w->client, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    connect_as(w, &device, false);
    assert_false(w->opened);
    assert_int_equal(w->alert, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
    assert_int_equal(w->refused, 1);
    assert_contains(w->refused_words, "extended master secret");
    assert_contains(w->lost_words, "extended master secret");
    /* A ClientHello that calls itself 1.0 and lists 1.2 alone is 1.2 too. */
    say_hello(w,
              "\x16\3\1\0\x4e\1\0\0\x4a\3\1"
              "0123456789abcdef0123456789abcdef"
              "\0\0\2\xc0\x2b\1\0\0\x1f"
              "\0\x0a\0\6\0\4\0\x1d\0\x17"
              "\0\x0d\0\4\0\2\4\3"
              "\0\x2b\0\3\2\3\3"
              "\0\x0b\0\2\1\0",
              83);
    assert_false(w->opened);
    assert_int_equal(w->refused, 1);
    assert_contains(w->refused_words, "extended master secret");
    /* TLS 1.3 has no need of it. */
    assert_int_equal(SSL_CTX_set_max_proto_version(w->client, TLS1_3_VERSION), 1);
    connect_as(w, &device, false);
    assert_true(w->opened);
}

static void a_session_of_1_2_is_kept_here_resumed_and_judged_again(void **state)
{
    struct world *w = *state;

    only_12(w);
    assert_ok(fl_tls_offer_12(w->tls, true, NULL));
    connect_as(w, &device, false);
    assert_false(SSL_SESSION_has_ticket(w->session));
    assert_int_equal(fl_tls_session_count(w->tls), 1);
    for (int i = 0; i < 3; i++) {
        connect_as(w, &device, true);
        assert_true(w->resumed);
        assert_true(w->was_resumed);
        assert_string_equal(w->seen_peer, "cam-01");
        assert_int_equal(w->judged, 2);
    }
    w->verdict = X509_V_ERR_CERT_REVOKED;
    connect_as(w, &device, true);
    assert_false(w->opened);
    assert_int_equal(w->alert, SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED);
    assert_int_equal(fl_tls_session_count(w->tls), 0);
    w->verdict = X509_V_OK;
    connect_as(w, &device, true);
    assert_true(w->opened);
    assert_false(w->resumed);
    assert_int_equal(fl_tls_drop(w->tls, fl_slice_str("cam-01")), 1);
    connect_as(w, &device, true);
    assert_true(w->opened);
    assert_false(w->resumed);
}

static void a_device_that_may_not_use_1_2_is_told_in_the_handshake(void **state)
{
    struct world *w = *state;

    only_12(w);
    assert_ok(fl_tls_offer_12(w->tls, true, NULL));
    connect_as(w, &device, false);
    assert_true(w->opened);
    w->refuses_12 = true;
    for (int resume = 0; resume < 2; resume++) {
        connect_as(w, &device, resume == 1);
        assert_false(w->opened);
        assert_int_equal(w->alert, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
        assert_int_equal(w->refused, 1);
        assert_string_equal(w->refused_name, "cam-01");
        assert_string_equal(w->refused_words, "not with TLS 1.2");
    }
}

static void tls_1_2_is_not_negotiated_anew(void **state)
{
    struct world *w = *state;

    only_12(w);
    assert_ok(fl_tls_offer_12(w->tls, true, NULL));
    w->renegotiates = true;
    connect_as(w, &device, false);
    assert_true(w->opened);
    assert_int_equal(w->alert, SSL_R_NO_RENEGOTIATION);
    assert_int_equal(w->judged, 2);
}

static void garbage_instead_of_a_handshake_ends_the_connection(void **state)
{
    struct world *w = *state;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_ok(fl_stream_open(&w->stream, w->loop, fds[0], fl_tls_context(w->tls), &handler,
                             "peer:1", NULL));
    assert_int_equal(write(fds[1], "GET / HTTP/1.1\r\n\r\n", 18), 18);
    for (int i = 0; i < 4; i++)
        assert_ok(fl_loop_round(w->loop, 1, NULL));
    assert_true(w->lost);
    assert_false(w->opened);
    assert_contains(w->lost_words, "TLS: ");
    assert_int_equal(w->refused, 0);
    (void)close(fds[1]);
}

/* The first words of its client are in OpenSSL with the end of the handshake: no event tells of
 * them any more, and still they are heard. */
static void a_stream_that_moves_to_another_loop_loses_nothing(void **state)
{
    struct world *w = *state;
    int fds[2];
    SSL *ssl = SSL_new(w->client);

    assert_ok(fl_loop_create(&w->home, NULL));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(SSL_use_certificate(ssl, device.certificate), 1);
    assert_int_equal(SSL_use_PrivateKey(ssl, device.key), 1);
    SSL_set_fd(ssl, fds[1]);
    SSL_set_connect_state(ssl);
    assert_ok(fl_stream_open(&w->stream, w->loop, fds[0], fl_tls_context(w->tls), &handler,
                             "peer:1", NULL));
    for (int i = 0; i < 10 && SSL_do_handshake(ssl) != 1; i++)
        assert_ok(fl_loop_round(w->loop, 1, NULL));
    assert_int_equal(SSL_write(ssl, "ping", 4), 4);
    for (int i = 0; i < 10; i++)
        assert_ok(fl_loop_round(w->loop, 1, NULL));
    assert_true(w->opened);
    assert_null(w->echo.data); /* nothing was taken here */
    assert_ok(fl_stream_adopt(&w->stream, w->home, NULL));
    for (int i = 0; i < 3; i++)
        assert_ok(fl_loop_round(w->home, 1, NULL));
    assert_int_equal(SSL_read(ssl, w->got, sizeof w->got - 1), 4);
    assert_string_equal(w->got, "ping");
    assert_int_equal(SSL_write(ssl, "pong", 4), 4);
    for (int i = 0; i < 3; i++)
        assert_ok(fl_loop_round(w->home, 1, NULL));
    assert_int_equal(SSL_read(ssl, w->got, sizeof w->got - 1), 4);
    assert_string_equal(w->got, "pong");
    (void)close(fds[1]);
    for (int i = 0; i < 3; i++)
        assert_ok(fl_loop_round(w->home, 1, NULL));
    assert_true(w->lost);
    SSL_free(ssl);
    fl_loop_free(w->home);
    w->home = NULL;
}

static void half_a_handshake_ends_when_its_time_is_over(void **state)
{
    struct world *w = *state;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_ok(fl_stream_open(&w->stream, w->loop, fds[0], fl_tls_context(w->tls), &handler,
                             "peer:1", NULL));
    assert_int_equal(write(fds[1], "\x16\3\1", 3), 3);
    for (int i = 0; i < 4; i++)
        assert_ok(fl_loop_round(w->loop, 1, NULL));
    assert_false(w->lost);
    assert_true(w->stream.timer.node.due - fl_loop_now(w->loop) <= FL_LIMIT_HANDSHAKE_MS);
    /* As the loop does when the time has come. */
    fl_loop_stop_timer(w->loop, &w->stream.timer);
    w->stream.timer.fired(&w->stream.timer);
    assert_true(w->lost);
    assert_contains(w->lost_words, "within 10 s");
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        WORLD_TEST(a_known_device_comes_in),
        WORLD_TEST(a_session_is_resumed_and_judged_again),
        WORLD_TEST(revoked_device_cannot_resume_its_session),
        WORLD_TEST(dropped_sessions_are_not_resumed),
        WORLD_TEST(a_session_of_one_listener_is_not_resumed_at_another),
        WORLD_TEST(a_certificate_may_be_optional),
        WORLD_TEST(each_bad_certificate_gets_its_alert),
        WORLD_TEST(tls_1_2_is_not_offered_unasked),
        WORLD_TEST(nothing_older_than_1_2_is_ever_spoken),
        WORLD_TEST(tls_1_2_has_ephemeral_keys_and_authenticated_encryption),
        WORLD_TEST(tls_1_2_needs_the_extended_master_secret),
        WORLD_TEST(a_session_of_1_2_is_kept_here_resumed_and_judged_again),
        WORLD_TEST(a_device_that_may_not_use_1_2_is_told_in_the_handshake),
        WORLD_TEST(tls_1_2_is_not_negotiated_anew),
        WORLD_TEST(garbage_instead_of_a_handshake_ends_the_connection),
        WORLD_TEST(half_a_handshake_ends_when_its_time_is_over),
        WORLD_TEST(a_stream_that_moves_to_another_loop_loses_nothing),
    };

    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
