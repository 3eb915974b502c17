/* SPDX-License-Identifier: Apache-2.0
 *
 * One server end of TLS in a loop and one client end, with certificates of our authority and of a
 * foreign one. What the host is asked and told, and how the connection looks inside, is noted.
 */
#ifndef FL_TEST_TLS_RIG_H
#define FL_TEST_TLS_RIG_H

#include "test/unit/unit.h"

#include "io/clock.h"
#include "io/stream.h"
#include "io/tls.h"
#include "trust/key.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOUR ((fl_time_t)3600 * 1000)

struct authority {
    EVP_PKEY *root_key;
    EVP_PKEY *key;
    X509 *root;
    X509 *issuing;
    struct fl_buffer root_der;
    struct fl_buffer der;
};

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    struct fl_buffer der;
};

static struct authority ours;
static struct authority foreign;
static struct identity server;
static struct identity device;

static inline fl_time_t now(void)
{
    return fl_clock_now(fl_clock_system());
}

static inline void issue(struct identity *id, enum fl_cert_kind kind, const char *name,
                         EVP_PKEY *issuer_key, X509 *issuer, fl_time_t not_before,
                         fl_time_t not_after)
{
    const char *const hosts[] = {name};
    struct fl_cert_request request = {.kind = kind,
                                      .name = name,
                                      .not_before = not_before,
                                      .not_after = not_after,
                                      .issuer = issuer};

    assert_ok(fl_key_generate(&id->key, NULL));
    if (kind == FL_CERT_SERVER) {
        request.hosts = hosts;
        request.host_count = 1;
    }
    request.subject_key = id->key;
    request.issuer_key = issuer_key ? issuer_key : id->key;
    id->der = FL_BUFFER(FL_LIMIT_CERT);
    assert_ok(fl_cert_issue(&request, &id->der, NULL));
    assert_ok(fl_cert_x509(fl_buffer_slice(&id->der), &id->certificate, NULL));
}

static inline void free_identity(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->certificate);
    fl_buffer_free(&id->der);
    *id = (struct identity){0};
}

static inline void make_authority(struct authority *a, const char *name)
{
    struct identity root = {0};
    struct identity issuing = {0};

    issue(&root, FL_CERT_ROOT, name, NULL, NULL, now() - HOUR, now() + 48 * HOUR);
    issue(&issuing, FL_CERT_ISSUING, name, root.key, root.certificate, now() - HOUR,
          now() + 24 * HOUR);
    *a = (struct authority){.root_key = root.key,
                            .key = issuing.key,
                            .root = root.certificate,
                            .issuing = issuing.certificate,
                            .root_der = root.der,
                            .der = issuing.der};
}

static inline void free_authority(struct authority *a)
{
    EVP_PKEY_free(a->root_key);
    EVP_PKEY_free(a->key);
    X509_free(a->root);
    X509_free(a->issuing);
    fl_buffer_free(&a->root_der);
    fl_buffer_free(&a->der);
}

static inline int set_up_group(void **state)
{
    (void)state;
    assert_ok(fl_tls_prepare(NULL));
    make_authority(&ours, "Ours");
    make_authority(&foreign, "Foreign");
    issue(&server, FL_CERT_SERVER, "localhost", ours.key, ours.issuing, now() - HOUR, now() + HOUR);
    issue(&device, FL_CERT_DEVICE, "cam-01", ours.key, ours.issuing, now() - HOUR, now() + HOUR);
    return 0;
}

static inline int tear_down_group(void **state)
{
    (void)state;
    free_authority(&ours);
    free_authority(&foreign);
    free_identity(&server);
    free_identity(&device);
    return 0;
}

/* --- one server end and one client end --- */

struct world {
    struct fl_loop *loop;
    struct fl_loop *home; /* where the stream is moved to, or NULL */
    struct fl_tls *tls;
    SSL_CTX *client;
    SSL_SESSION *session; /* the last one the client was given */
    int verdict;          /* of the host */
    unsigned judged;
    bool judged_12;
    bool refuses_12;
    bool renegotiates; /* the client, once it is in */
    unsigned refused;
    char refused_name[FL_LIMIT_HOST + 1];
    char refused_words[256];
    struct fl_stream stream;
    bool opened;
    bool lost;
    bool was_resumed;
    bool holds_certificate; /* the server's connection, when it was opened */
    bool holds_key;         /* of the key exchange */
    uint8_t fragment;       /* what the client asked for, as an idle connection knows it */
    char lost_words[256];
    char seen_peer[FL_LIMIT_HOST + 1];
    struct fl_buffer echo;
    /* the client's view */
    char got[64];
    unsigned long alert;
    bool resumed;
};

static inline int judge(void *self, const struct fl_cert_info *info, bool tls12,
                        struct fl_context *ctx)
{
    struct world *w = self;

    w->judged++;
    w->judged_12 = tls12;
    if (tls12 && w->refuses_12) {
        (void)fl_fail(ctx, FL_EDENIED, "not with TLS 1.2");
        return X509_V_ERR_APPLICATION_VERIFICATION;
    }
    assert_string_equal(info->name, "cam-01");
    if (w->verdict != X509_V_OK)
        (void)fl_fail(ctx, FL_EDENIED, "revoked by alice");
    return w->verdict;
}

static inline void refused(void *self, const char *peer, const struct fl_cert_info *info,
                           bool resumed, const char *words)
{
    struct world *w = self;

    (void)resumed;
    assert_string_equal(peer, "peer:1");
    w->refused++;
    (void)fl_str_copy(w->refused_name, sizeof w->refused_name, info ? info->name : "");
    (void)fl_str_copy(w->refused_words, sizeof w->refused_words, words);
}

static inline bool holds_key(EVP_PKEY *key)
{
    uint8_t bytes[256];
    size_t size = sizeof bytes;
    bool holds = EVP_PKEY_get_raw_public_key(key, bytes, &size) == 1;

    EVP_PKEY_free(key);
    return holds;
}

static inline void look_inside(struct world *w, SSL *ssl)
{
    EVP_PKEY *key = NULL;

    w->holds_certificate = SSL_get0_peer_certificate(ssl) ||
                           sk_X509_num(SSL_get_peer_cert_chain(ssl)) > 0 ||
                           sk_X509_num(SSL_get0_verified_chain(ssl)) > 0;
    w->holds_key = false;
    if (SSL_get_tmp_key(ssl, &key) == 1)
        w->holds_key = holds_key(key);
    if (SSL_get_peer_tmp_key(ssl, &key) == 1)
        w->holds_key = holds_key(key) || w->holds_key;
    w->fragment = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl));
}

static inline void on_opened(struct fl_stream *stream)
{
    struct world *w = fl_container_of(stream, struct world, stream);
    const struct fl_cert_info *info = fl_tls_peer(stream->ssl);

    if (w->home)
        fl_stream_release(stream);
    w->opened = true;
    w->was_resumed = SSL_session_reused(stream->ssl) == 1;
    look_inside(w, stream->ssl);
    (void)fl_str_copy(w->seen_peer, sizeof w->seen_peer, info ? info->name : "");
}

static inline size_t on_received(struct fl_stream *stream, struct fl_slice bytes)
{
    struct world *w = fl_container_of(stream, struct world, stream);

    assert_ok(fl_buffer_append_slice(&w->echo, bytes));
    (void)!fl_stream_write(stream, &w->echo);
    return bytes.size;
}

static inline void on_writable(struct fl_stream *stream)
{
    struct world *w = fl_container_of(stream, struct world, stream);

    (void)!fl_stream_write(stream, &w->echo);
}

static inline void on_lost(struct fl_stream *stream, enum fl_error error, const char *why)
{
    struct world *w = fl_container_of(stream, struct world, stream);

    (void)error;
    w->lost = true;
    (void)fl_str_copy(w->lost_words, sizeof w->lost_words, why);
    fl_stream_close(stream);
}

static const struct fl_stream_handler handler = {on_opened, on_received, on_writable, on_lost};

static inline int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct world *w = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    SSL_SESSION_free(w->session);
    w->session = session;
    return 1;
}

static inline struct fl_tls *make_server(struct world *w, const char *name, bool required)
{
    struct fl_tls_config config = {.name = name,
                                   .alpn = "mqtt",
                                   .certificate_required = required,
                                   .host = {.judge = judge, .refused = refused, .self = w}};
    struct fl_tls *tls = NULL;

    assert_ok(fl_tls_create(&config, &tls, NULL));
    assert_ok(
        fl_tls_set_trust(tls, fl_buffer_slice(&ours.der), fl_buffer_slice(&ours.root_der), NULL));
    assert_ok(fl_tls_set_identity(tls, server.key, fl_buffer_slice(&server.der),
                                  fl_buffer_slice(&ours.der), NULL));
    return tls;
}

static inline int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    assert_ok(fl_loop_create(&w->loop, NULL));
    w->tls = make_server(w, "mqtt", true);
    w->echo = FL_BUFFER(1024 * 1024);
    w->client = SSL_CTX_new(TLS_client_method());
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(w->client), ours.root), 1);
    SSL_CTX_set_verify(w->client, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(w->client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(w->client, on_new_session);
    SSL_CTX_set_app_data(w->client, w);
    *state = w;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *w = *state;

    fl_stream_close(&w->stream);
    SSL_SESSION_free(w->session);
    SSL_CTX_free(w->client);
    fl_tls_free(w->tls);
    fl_buffer_free(&w->echo);
    fl_loop_free(w->loop);
    free(w);
    return 0;
}

static inline void drive(struct world *w, SSL *ssl)
{
    bool said = false;

    for (int i = 0; i < 30 && !w->alert && (!w->got[0] || w->renegotiates); i++) {
        int result = 0;

        ERR_clear_error();
        result = SSL_do_handshake(ssl);
        if (result == 1 && !said)
            said = SSL_write(ssl, "ping", 4) == 4;
        if (result == 1 && w->got[0] && !SSL_renegotiate_pending(ssl))
            assert_int_equal(SSL_renegotiate(ssl), 1);
        else if (result == 1)
            result = SSL_read(ssl, w->got, sizeof w->got - 1);
        if (result <= 0 && SSL_get_error(ssl, result) == SSL_ERROR_SSL)
            w->alert = (unsigned long)ERR_GET_REASON(ERR_peek_error());
        else if (result == 0)
            break;
        assert_ok(fl_loop_round(w->loop, 1, NULL));
    }
}

/* A connection of a client that shows `who` (NULL: nothing) and may offer its session. */
static inline void connect_as(struct world *w, const struct identity *who, bool resume)
{
    int fds[2];
    SSL *ssl = SSL_new(w->client);
    struct fl_stream empty = {0};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (who) {
        assert_int_equal(SSL_use_certificate(ssl, who->certificate), 1);
        assert_int_equal(SSL_use_PrivateKey(ssl, who->key), 1);
    }
    if (resume)
        assert_int_equal(SSL_set_session(ssl, w->session), 1);
    SSL_set_fd(ssl, fds[1]);
    SSL_set_connect_state(ssl);
    fl_stream_close(&w->stream);
    w->stream = empty;
    w->opened = w->lost = w->resumed = w->was_resumed = false;
    w->alert = 0;
    w->refused = w->judged = 0;
    w->seen_peer[0] = w->got[0] = w->refused_name[0] = w->refused_words[0] = 0;
    memset(w->got, 0, sizeof w->got);
    assert_ok(fl_stream_open(&w->stream, w->loop, fds[0], fl_tls_context(w->tls), &handler,
                             "peer:1", NULL));
    drive(w, ssl);
    w->resumed = SSL_session_reused(ssl) == 1;
    (void)SSL_shutdown(ssl);
    SSL_free(ssl);
    (void)close(fds[1]);
    for (int i = 0; i < 4; i++)
        assert_ok(fl_loop_round(w->loop, 1, NULL));
    ERR_clear_error();
}

#endif
