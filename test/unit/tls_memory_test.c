/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/tls_rig.h"

#include "io/tls_sessions.h"

static void a_session_that_was_not_resumed_gives_nobody_its_name(void **state)
{
    struct world *w = *state;

    fl_tls_free(w->tls);
    w->tls = make_server(w, "https", false);
    connect_as(w, &device, false);
    assert_string_equal(w->seen_peer, "cam-01");
    assert_int_equal(fl_tls_session_count(w->tls), 1);
    /* The session is of AES-256: it is found, judged and does not fit. */
    assert_int_equal(SSL_CTX_set_ciphersuites(w->client, "TLS_AES_128_GCM_SHA256"), 1);
    connect_as(w, NULL, true);
    assert_int_equal(w->judged, 1);
    assert_true(w->opened);
    assert_false(w->resumed);
    assert_string_equal(w->seen_peer, "");
    assert_int_equal(fl_tls_session_count(w->tls), 1);
    /* Nor is what the client was given then worth anything. */
    connect_as(w, NULL, true);
    assert_true(w->opened);
    assert_false(w->resumed);
    assert_string_equal(w->seen_peer, "");
    /* Where a certificate is demanded, it is refused. */
    fl_stream_close(&w->stream);
    fl_tls_free(w->tls);
    w->tls = make_server(w, "mqtt", true);
    assert_int_equal(SSL_CTX_set_ciphersuites(w->client, "TLS_AES_256_GCM_SHA384"), 1);
    connect_as(w, &device, false);
    assert_int_equal(SSL_CTX_set_ciphersuites(w->client, "TLS_AES_128_GCM_SHA256"), 1);
    connect_as(w, NULL, true);
    assert_false(w->opened);
    assert_string_equal(w->refused_words, "no client certificate");
}

static void an_open_connection_holds_nothing_of_its_handshake(void **state)
{
    struct world *w = *state;

    assert_ok(fl_tls_offer_12(w->tls, true, NULL));
    assert_int_equal(
        SSL_CTX_set_tlsext_max_fragment_length(w->client, TLSEXT_max_fragment_length_512), 1);
    for (int version = TLS1_3_VERSION; version >= TLS1_2_VERSION; version--) {
        assert_int_equal(SSL_CTX_set_max_proto_version(w->client, version), 1);
        for (int again = 0; again < 3; again++) {
            connect_as(w, &device, again > 0);
            assert_int_equal(w->was_resumed, again > 0);
            assert_string_equal(w->seen_peer, "cam-01");
            assert_string_equal(w->got, "ping");
            assert_false(w->holds_certificate);
            assert_false(w->holds_key);
            assert_int_equal(w->fragment, TLSEXT_max_fragment_length_512);
        }
    }
}

static void a_session_loses_its_certificate_and_nothing_else(void **state)
{
    struct world *w = *state;
    SSL_SESSION *whole = NULL;
    unsigned char secrets[2][64];
    unsigned char *bytes[2] = {NULL, NULL};
    int sizes[2];
    unsigned size = 0;

    /* The client's own, with the server's certificate. */
    connect_as(w, &device, false);
    assert_non_null(SSL_SESSION_get0_peer(w->session));
    whole = SSL_SESSION_dup(w->session);
    assert_true(fl_tls_session_shed(w->session));
    assert_null(SSL_SESSION_get0_peer(w->session));
    assert_int_equal(SSL_SESSION_get_time(whole), SSL_SESSION_get_time(w->session));
    assert_int_equal(SSL_SESSION_get_timeout(whole), SSL_SESSION_get_timeout(w->session));
    assert_int_equal(SSL_SESSION_get_protocol_version(w->session), TLS1_3_VERSION);
    assert_ptr_equal(SSL_SESSION_get0_cipher(whole), SSL_SESSION_get0_cipher(w->session));
    size = (unsigned)SSL_SESSION_get_master_key(whole, secrets[0], sizeof secrets[0]);
    assert_int_equal(SSL_SESSION_get_master_key(w->session, secrets[1], sizeof secrets[1]), size);
    assert_memory_equal(secrets[0], secrets[1], size);
    sizes[0] = i2d_SSL_SESSION(whole, &bytes[0]);
    sizes[1] = i2d_SSL_SESSION(w->session, &bytes[1]);
    assert_true(sizes[1] > 0 && sizes[1] < sizes[0] - (int)server.der.size);
    assert_true(sizes[1] > sizes[0] - (int)server.der.size - 16);
    /* Without one there is nothing to do, and it is still good for resuming. */
    assert_true(fl_tls_session_shed(w->session));
    connect_as(w, &device, true);
    assert_true(w->resumed);
    SSL_SESSION_free(whole);
    OPENSSL_free(bytes[0]);
    OPENSSL_free(bytes[1]);
}

#define WORLD_TEST(claim) cmocka_unit_test_setup_teardown(claim, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_session_that_was_not_resumed_gives_nobody_its_name),
        WORLD_TEST(an_open_connection_holds_nothing_of_its_handshake),
        WORLD_TEST(a_session_loses_its_certificate_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
