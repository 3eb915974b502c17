/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls.h"

#include "base/limits.h"
#include "io/clock.h"
#include "io/tls_sessions.h"
#include "trust/key.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>

struct fl_tls {
    SSL_CTX *context;
    struct fl_tls_config config;
    struct fl_tls_sessions sessions;
    uint8_t alpn[32]; /* size and name */
    bool offers_12;
};

/* What of TLS 1.2 is as good as 1.3: ephemeral keys and authenticated encryption. Our certificates
 * are of P-256. */
#define CIPHERS_12                                                                                 \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"   \
    "ECDHE-ECDSA-AES128-CCM:ECDHE-ECDSA-AES256-CCM"

/* What is known of the other side of one connection. */
struct peer {
    struct fl_cert_info info;
    const X509 *read; /* the object that `info` was read from; only ever compared */
    bool known;       /* info is of a certificate of ours */
    bool refused;
    bool passed;
    bool ended;  /* passed, though its certificate had ended */
    char *words; /* why it was refused; may be NULL */
};

static int peer_index = -1;

enum fl_error fl_tls_prepare(struct fl_context *ctx)
{
    uint8_t byte = 0;

    if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CONFIG, NULL) != 1 ||
        RAND_bytes(&byte, 1) != 1)
        return fl_crypto_fail(ctx, "tls: prepare");
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return fl_fail(ctx, FL_EIO, "tls: ignore SIGPIPE");
    return FL_OK;
}

static struct fl_tls *tls_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static struct peer *peer_of(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, peer_index);
}

static void free_peer(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
                      void *argp)
{
    struct peer *peer = ptr;

    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    if (peer)
        free(peer->words);
    free(peer);
}

/* --- judging --- */

static int refuse(struct peer *peer, int verdict, const char *words)
{
    peer->refused = true;
    free(peer->words);
    peer->words = strdup(words);
    return verdict;
}

static const char *words_of(const struct peer *peer)
{
    return peer->words ? peer->words : "out of memory";
}

bool fl_tls_is_12(const SSL *ssl)
{
    return SSL_version(ssl) < TLS1_3_VERSION;
}

static int ask_host(const SSL *ssl, struct peer *peer)
{
    const struct fl_tls_host *host = &tls_of(ssl)->config.host;
    struct fl_context ctx = {0};
    int verdict = host->judge(host->self, &peer->info, fl_tls_is_12(ssl), &ctx);

    return verdict == X509_V_OK ? verdict : refuse(peer, verdict, ctx.text);
}

/* Reads the certificate anew and asks the host. */
static int judge(const SSL *ssl, struct peer *peer, X509 *certificate)
{
    struct fl_context ctx = {0};

    peer->known = false;
    if (fl_cert_read_x509(certificate, &peer->info, &ctx) != FL_OK)
        return refuse(peer, X509_V_ERR_CERT_REJECTED, ctx.text);
    if (peer->info.kind != FL_CERT_DEVICE)
        return refuse(peer, X509_V_ERR_CERT_REJECTED, "not a device's certificate");
    peer->known = true;
    peer->read = certificate;
    return ask_host(ssl, peer);
}

/* OpenSSL asks once for each certificate of the chain, the client's own last. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct peer *peer = peer_of(ssl);
    int verdict = X509_STORE_CTX_get_error(store);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);

    /* Only the end of the client's own certificate; its signature is verified by now. What the host
     * thinks of it is asked next: OpenSSL calls again. */
    if (!ok && verdict == X509_V_ERR_CERT_HAS_EXPIRED &&
        X509_STORE_CTX_get_error_depth(store) == 0 && tls_of(ssl)->config.judges_ended) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    if (!ok) {
        peer->known = leaf && fl_cert_read_x509(leaf, &peer->info, NULL) == FL_OK &&
                      verdict == X509_V_ERR_CERT_HAS_EXPIRED;
        (void)refuse(peer, verdict, X509_verify_cert_error_string(verdict));
        return 0;
    }
    if (X509_STORE_CTX_get_error_depth(store) > 0)
        return 1;
    verdict = judge(ssl, peer, leaf);
    X509_STORE_CTX_set_error(store, verdict);
    return verdict == X509_V_OK;
}

static void tell_refused(const SSL *ssl, const char *peer_name, struct peer *peer,
                         const char *words)
{
    const struct fl_tls_host *host = &tls_of(ssl)->config.host;

    host->refused(host->self, peer_name, peer->known ? &peer->info : NULL,
                  SSL_session_reused(ssl) == 1, words);
}

static void empty(STACK_OF(X509) * chain)
{
    while (sk_X509_num(chain) > 0)
        X509_free(sk_X509_pop(chain));
}

static void drop_key(EVP_PKEY *key)
{
    /* The type it has already: what it held is freed, and wiped. */
    (void)EVP_PKEY_set_type(key, EVP_PKEY_get_base_id(key));
    EVP_PKEY_free(key);
}

/* OpenSSL keeps with a connection what only its handshake needed: a third of what an idle one
 * costs. The client's certificates (what else it sent to complete its chain may be large) have been
 * read, and the keys of the key exchange should not outlive it anyway. */
static void drop_rest(SSL *ssl)
{
    EVP_PKEY *key = NULL;

    empty(SSL_get_peer_cert_chain(ssl));
    empty(SSL_get0_verified_chain(ssl));
    (void)fl_tls_session_shed(SSL_get_session(ssl));
    peer_of(ssl)->read = NULL;
    if (SSL_get_tmp_key(ssl, &key) == 1)
        drop_key(key);
    if (SSL_get_peer_tmp_key(ssl, &key) == 1)
        drop_key(key);
}

static bool has_ended(const struct fl_cert_info *info)
{
    return fl_clock_now(fl_clock_system()) >= info->not_after;
}

enum fl_error fl_tls_judge(SSL *ssl, const char *peer_name, struct fl_context *ctx)
{
    struct fl_tls *tls = tls_of(ssl);
    struct peer *peer = peer_of(ssl);
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    /* A resumed session has no certificate any more, but what it said, and only who showed one has
     * a session here. A handshake that falls back to a full one begins anew. */
    bool is_remembered = SSL_session_reused(ssl) == 1 && peer->known;

    peer->refused = false;
    if (!certificate && !is_remembered && !tls->config.certificate_required)
        return FL_OK;
    if (!certificate && !is_remembered)
        (void)refuse(peer, X509_V_ERR_CERT_REJECTED, "no certificate");
    else if (SSL_get_verify_result(ssl) != X509_V_OK)
        (void)refuse(peer, X509_V_ERR_CERT_REJECTED, "the certificate was not verified");
    else if (is_remembered || (peer->known && peer->read == certificate))
        (void)ask_host(ssl, peer); /* read when the session began, or in this handshake */
    else
        (void)judge(ssl, peer, certificate);
    if (peer->refused) {
        tell_refused(ssl, peer_name, peer, words_of(peer));
        return fl_fail(ctx, FL_EDENIED, "refused: %s", words_of(peer));
    }
    drop_rest(ssl);
    peer->passed = true;
    peer->ended = has_ended(&peer->info);
    return FL_OK;
}

bool fl_tls_refused(SSL *ssl, const char *peer_name, struct fl_context *ctx)
{
    struct peer *peer = peer_of(ssl);

    if (peer->refused) {
        (void)fl_fail(ctx, FL_EDENIED, "refused: %s", words_of(peer));
        tell_refused(ssl, peer_name, peer, words_of(peer));
        return true;
    }
    if (strstr(ctx->text, "peer did not return a certificate")) {
        tell_refused(ssl, peer_name, peer, "no client certificate");
        return true;
    }
    return false;
}

const struct fl_cert_info *fl_tls_peer(const SSL *ssl)
{
    const struct peer *peer = ssl ? peer_of(ssl) : NULL;

    return peer && peer->passed && !peer->ended ? &peer->info : NULL;
}

const struct fl_cert_info *fl_tls_ended_peer(const SSL *ssl)
{
    const struct peer *peer = ssl ? peer_of(ssl) : NULL;

    return peer && peer->passed && peer->ended ? &peer->info : NULL;
}

void fl_tls_forget_peer(SSL *ssl)
{
    struct peer *peer = peer_of(ssl);

    if (SSL_set_ex_data(ssl, peer_index, NULL) == 1 && peer) {
        free(peer->words);
        free(peer);
    }
}

/* --- resumption --- */

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct peer *peer = peer_of(ssl);

    /* Who showed no certificate gains nothing from resuming and costs us memory. That something is
     * known of the peer is not enough: it may be from a session that was not resumed after all. */
    if (!peer || peer->refused || !peer->known || has_ended(&peer->info) ||
        (SSL_session_reused(ssl) != 1 && !SSL_SESSION_get0_peer(session)))
        return 0;
    (void)!fl_tls_sessions_add(&tls_of(ssl)->sessions, session, &peer->info);
    return 0; /* the reference stays OpenSSL's */
}

static bool is_over_age(const SSL_SESSION *session)
{
    fl_time_t now_s = fl_clock_now(fl_clock_system()) / 1000;

    return now_s - SSL_SESSION_get_time(session) > FL_LIMIT_TLS_SESSION_S;
}

static SSL_SESSION *on_find_session(SSL *ssl, const unsigned char *id, int size, int *copy)
{
    struct fl_tls *tls = tls_of(ssl);
    struct fl_cert_info info;
    SSL_SESSION *session = fl_tls_sessions_find(&tls->sessions, fl_slice(id, (size_t)size), &info);
    struct fl_context ctx = {0};

    *copy = 0; /* the reference is OpenSSL's */
    if (!session)
        return NULL;
    /* Refused here, the client falls back to a full handshake and is told why by its alert. */
    if (is_over_age(session) || tls->config.host.judge(tls->config.host.self, &info,
                                                       fl_tls_is_12(ssl), &ctx) != X509_V_OK) {
        fl_tls_sessions_remove(&tls->sessions, fl_slice(id, (size_t)size));
        SSL_SESSION_free(session);
        return NULL;
    }
    peer_of(ssl)->info = info;
    peer_of(ssl)->known = true;
    peer_of(ssl)->read = NULL;
    return session;
}

static void on_remove_session(SSL_CTX *context, SSL_SESSION *session)
{
    struct fl_tls *tls = SSL_CTX_get_app_data(context);
    unsigned int size = 0;
    const unsigned char *id = SSL_SESSION_get_id(session, &size);

    fl_tls_sessions_remove(&tls->sessions, fl_slice(id, size));
}

uint32_t fl_tls_drop(struct fl_tls *tls, struct fl_slice device)
{
    return tls ? fl_tls_sessions_drop(&tls->sessions, device) : 0;
}

size_t fl_tls_session_count(struct fl_tls *tls)
{
    return fl_tls_sessions_count(&tls->sessions);
}

void fl_tls_restore(struct fl_tls *tls, const struct fl_keep *record)
{
    struct fl_slice listener = record->type == fl_keep_type_tls_session
                                   ? record->as.tls_session.listener
                                   : record->as.tls_gone.listener;

    if (fl_slice_is(listener, tls->config.name))
        fl_tls_sessions_restore(&tls->sessions, record);
}

void fl_tls_keep(struct fl_tls *tls)
{
    fl_tls_sessions_keep(&tls->sessions, tls->config.name);
}

void fl_tls_log(struct fl_tls *tls, struct fl_buffer *to)
{
    fl_tls_sessions_log(&tls->sessions, to);
}

bool fl_tls_walk(struct fl_tls *tls, size_t *bucket, size_t bytes)
{
    return fl_tls_sessions_walk(&tls->sessions, bucket, bytes);
}

/* --- contexts --- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                   const unsigned char *in, unsigned int in_size, void *self)
{
    const struct fl_tls *tls = self;
    unsigned char *chosen = NULL;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_size, tls->alpn, tls->alpn[0] + 1U, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Will it be TLS 1.2? Of older ones OpenSSL itself wants nothing. */
static bool comes_with_12(SSL *ssl)
{
    const unsigned char *versions = NULL;
    size_t size = 0;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &versions, &size) != 1)
        return SSL_client_hello_get0_legacy_version(ssl) >= TLS1_2_VERSION;
    /* One octet of size and versions of two octets each (RFC 8446 section 4.2.1). */
    for (size_t i = 1; i + 1 < size; i += 2)
        if (versions[i] == TLS1_3_VERSION >> 8 && versions[i + 1] == (TLS1_3_VERSION & 0xFF))
            return false;
    return true;
}

/* OpenSSL can use the extended master secret and cannot demand it. */
static int on_client_hello(SSL *ssl, int *alert, void *self)
{
    const struct fl_tls *tls = self;
    const unsigned char *data = NULL;
    size_t size = 0;

    if (!tls->offers_12 || !comes_with_12(ssl) ||
        SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_extended_master_secret, &data, &size) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    (void)refuse(peer_of(ssl), X509_V_ERR_APPLICATION_VERIFICATION,
                 "TLS 1.2 without the extended master secret (RFC 7627)");
    *alert = SSL_AD_HANDSHAKE_FAILURE;
    return SSL_CLIENT_HELLO_ERROR;
}

static void set_up_sessions(struct fl_tls *tls)
{
    SSL_CTX *context = tls->context;

    fl_tls_sessions_init(&tls->sessions, FL_LIMIT_TLS_SESSIONS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL |
                                                SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_set_timeout(context, FL_LIMIT_TLS_SESSION_S);
    SSL_CTX_sess_set_new_cb(context, on_new_session);
    SSL_CTX_sess_set_get_cb(context, on_find_session);
    SSL_CTX_sess_set_remove_cb(context, on_remove_session);
    SSL_CTX_set_app_data(context, tls);
}

static enum fl_error set_up(struct fl_tls *tls, struct fl_context *ctx)
{
    const struct fl_tls_config *config = &tls->config;
    SSL_CTX *context = tls->context;
    size_t alpn = strlen(config->alpn);
    int verify = SSL_VERIFY_PEER;

    if (config->certificate_required)
        verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    if (alpn + 1 > sizeof tls->alpn)
        return fl_fail(ctx, FL_EINVAL, "tls: protocol name");
    tls->alpn[0] = (uint8_t)alpn;
    memcpy(tls->alpn + 1, config->alpn, alpn);
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, CIPHERS_12) != 1 ||
        SSL_CTX_set1_groups_list(context, "X25519:P-256") != 1 ||
        SSL_CTX_set_session_id_context(context, (const unsigned char *)config->name,
                                       (unsigned int)strlen(config->name)) != 1 ||
        SSL_CTX_set_num_tickets(context, 1) != 1)
        return fl_crypto_fail(ctx, "tls: set up");
    /* A link that breaks off is no reason to forget its session; what is carried says by itself
     * whether it is whole. */
    (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    /* No SHA-1 and no short keys, however OpenSSL was built. */
    SSL_CTX_set_security_level(context, 2);
    SSL_CTX_set_max_cert_list(context, FL_LIMIT_CHAIN);
    SSL_CTX_set_verify_depth(context, 3);
    SSL_CTX_set_verify(context, verify, on_verify);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, tls);
    SSL_CTX_set_client_hello_cb(context, on_client_hello, tls);
    set_up_sessions(tls);
    return FL_OK;
}

enum fl_error fl_tls_create(const struct fl_tls_config *config, struct fl_tls **tls,
                            struct fl_context *ctx)
{
    struct fl_tls *t = calloc(1, sizeof *t);
    enum fl_error error = FL_OK;

    if (!t)
        return fl_fail(ctx, FL_ENOMEM, "tls: out of memory");
    if (peer_index < 0)
        peer_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_peer);
    t->config = *config;
    t->context = SSL_CTX_new(TLS_server_method());
    if (peer_index < 0 || !t->context)
        error = fl_crypto_fail(ctx, "tls: create");
    else
        error = set_up(t, ctx);
    if (error) {
        fl_tls_free(t);
        return error;
    }
    *tls = t;
    return FL_OK;
}

void fl_tls_free(struct fl_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    fl_tls_sessions_free(&tls->sessions);
    free(tls);
}

SSL_CTX *fl_tls_context(const struct fl_tls *tls)
{
    return tls->context;
}

enum fl_error fl_tls_set_trust(struct fl_tls *tls, struct fl_slice issuing, struct fl_slice root,
                               struct fl_context *ctx)
{
    const struct fl_slice ders[] = {issuing, root};
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    enum fl_error error = store && names ? FL_OK : fl_crypto_fail(ctx, "tls: set trust");

    for (size_t i = 0; !error && i < 2; i++) {
        X509 *certificate = NULL;
        X509_NAME *name = NULL;

        error = fl_cert_x509(ders[i], &certificate, ctx);
        if (error)
            break;
        name = X509_NAME_dup(X509_get_subject_name(certificate));
        if (X509_STORE_add_cert(store, certificate) != 1 || !name ||
            sk_X509_NAME_push(names, name) <= 0) {
            X509_NAME_free(name);
            error = fl_crypto_fail(ctx, "tls: set trust");
        }
        X509_free(certificate);
    }
    /* The issuing certificate is trusted in itself: to verify its signature by the root in every
     * handshake would prove nothing new. */
    if (!error && X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) != 1)
        error = fl_crypto_fail(ctx, "tls: set trust");
    if (error) {
        X509_STORE_free(store);
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return error;
    }
    SSL_CTX_set_cert_store(tls->context, store);
    SSL_CTX_set_client_CA_list(tls->context, names);
    return FL_OK;
}

enum fl_error fl_tls_set_identity(struct fl_tls *tls, EVP_PKEY *key, struct fl_slice certificate,
                                  struct fl_slice issuing, struct fl_context *ctx)
{
    X509 *leaf = NULL;
    X509 *issuer = NULL;
    STACK_OF(X509) *chain = sk_X509_new_null();
    enum fl_error error = fl_cert_x509(certificate, &leaf, ctx);

    if (!error)
        error = fl_cert_x509(issuing, &issuer, ctx);
    if (!error && (!chain || sk_X509_push(chain, issuer) <= 0))
        error = fl_crypto_fail(ctx, "tls: set identity");
    else if (!error)
        issuer = NULL; /* the chain's now */
    if (!error && SSL_CTX_use_cert_and_key(tls->context, leaf, key, chain, 1) != 1)
        error = fl_crypto_fail(ctx, "tls: set identity");
    sk_X509_pop_free(chain, X509_free);
    X509_free(issuer);
    X509_free(leaf);
    return error;
}

enum fl_error fl_tls_offer_12(struct fl_tls *tls, bool offered, struct fl_context *ctx)
{
    int oldest = offered ? TLS1_2_VERSION : TLS1_3_VERSION;

    if (SSL_CTX_set_min_proto_version(tls->context, oldest) != 1)
        return fl_crypto_fail(ctx, "tls: offer TLS 1.2");
    tls->offers_12 = offered;
    return FL_OK;
}

enum fl_error fl_tls_accept(SSL_CTX *context, int fd, SSL **ssl, struct fl_context *ctx)
{
    struct peer *peer = calloc(1, sizeof *peer);
    SSL *s = peer ? SSL_new(context) : NULL;

    if (!s || SSL_set_ex_data(s, peer_index, peer) != 1) {
        SSL_free(s);
        free(peer);
        return fl_crypto_fail(ctx, "tls: accept");
    }
    if (SSL_set_fd(s, fd) != 1) {
        SSL_free(s);
        return fl_crypto_fail(ctx, "tls: accept");
    }
    SSL_set_accept_state(s);
    *ssl = s;
    return FL_OK;
}
