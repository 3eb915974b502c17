/* SPDX-License-Identifier: Apache-2.0
 *
 * The server side of TLS 1.3, and of 1.2 while it is offered (fl_tls_offer_12): one fl_tls per
 * listener. A client certificate is verified by OpenSSL
 * against our two CAs and then judged by the host: in the handshake, so that a refusal is a proper
 * TLS alert, when a session is to be resumed, and again after every handshake, resumed or not.
 * Resumable sessions are kept here and never in tickets, so that those of one device can be
 * dropped. Connections of one fl_tls may be in several threads; set_trust and set_identity want
 * that none is in OpenSSL meanwhile. Opens no files: fl_tls_prepare loads what OpenSSL wants to
 * load, before the sandbox.
 */
#ifndef FL_IO_TLS_H
#define FL_IO_TLS_H

#include "codec/keep.h"
#include "trust/cert.h"

#include <openssl/ssl.h>

struct fl_tls;

struct fl_tls_host {
    /* May the holder of this certificate come in now, with TLS 1.2 when `tls12`? X509_V_OK, or the
     * X509_V_ERR_ whose alert is sent, with words in `ctx`. */
    int (*judge)(void *self, const struct fl_cert_info *info, bool tls12, struct fl_context *ctx);
    /* Someone was refused for the certificate they showed, or showed none. `info` is NULL when the
     * certificate was not one of ours. */
    void (*refused)(void *self, const char *peer, const struct fl_cert_info *info, bool resumed,
                    const char *words);
    void *self;
};

struct fl_tls_config {
    const char *name; /* "mqtt": sessions of one name are not resumed at another; at most 32 */
    const char *alpn; /* the one protocol that is agreed to; a client may also not ask */
    bool certificate_required;
    bool judges_ended; /* the host is asked about device certificates that have ended, too */
    struct fl_tls_host host;
};

/* Loads OpenSSL's configuration and random generator, ignores SIGPIPE. Once, before any other. */
FL_MUST_USE enum fl_error fl_tls_prepare(struct fl_context *ctx);

FL_MUST_USE enum fl_error fl_tls_create(const struct fl_tls_config *config, struct fl_tls **tls,
                                        struct fl_context *ctx);
void fl_tls_free(struct fl_tls *tls);
SSL_CTX *fl_tls_context(const struct fl_tls *tls);

/* Whose certificates are believed; DER. For connections to come. */
FL_MUST_USE enum fl_error fl_tls_set_trust(struct fl_tls *tls, struct fl_slice issuing,
                                           struct fl_slice root, struct fl_context *ctx);
/* What is shown to clients: `certificate` and then `issuing`; DER. For connections to come. */
FL_MUST_USE enum fl_error fl_tls_set_identity(struct fl_tls *tls, EVP_PKEY *key,
                                              struct fl_slice certificate, struct fl_slice issuing,
                                              struct fl_context *ctx);

/* Offers TLS 1.2 too, or not any more (the default): ECDHE and AEAD only, extended master secret
 * required (RFC 7627), no renegotiation, no tickets. For connections to come. Nothing older, ever.
 */
FL_MUST_USE enum fl_error fl_tls_offer_12(struct fl_tls *tls, bool offered, struct fl_context *ctx);
/* True if the connection has agreed to TLS 1.2. */
bool fl_tls_is_12(const SSL *ssl);

/* Forgets the resumable sessions of a device; returns how many there were. */
uint32_t fl_tls_drop(struct fl_tls *tls, struct fl_slice device);
/* The sessions that may be resumed outlive the process: see io/tls_sessions. Restored records that
 * are of another listener are ignored; after the last one, keep. */
void fl_tls_restore(struct fl_tls *tls, const struct fl_keep *record);
void fl_tls_keep(struct fl_tls *tls);
void fl_tls_log(struct fl_tls *tls, struct fl_buffer *to);
FL_MUST_USE bool fl_tls_walk(struct fl_tls *tls, size_t *bucket, size_t bytes);
size_t fl_tls_session_count(struct fl_tls *tls);

/* The certificate that this connection was judged by; NULL when it showed none. */
const struct fl_cert_info *fl_tls_peer(const SSL *ssl);
/* The same of a certificate that had ended and was let in all the same: fl_tls_peer knows nothing
 * of it, so that it is good for nothing but what asks for it here. */
const struct fl_cert_info *fl_tls_ended_peer(const SSL *ssl);
/* The owner has noted what it needs of the peer: from then on there is none. After the handshake.
 */
void fl_tls_forget_peer(SSL *ssl);

/* For io/stream: a server connection on `fd`; the judgement after the handshake (FL_EDENIED with
 * words); and telling the host of a handshake that failed: true if that was over a certificate. */
FL_MUST_USE enum fl_error fl_tls_accept(SSL_CTX *context, int fd, SSL **ssl,
                                        struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_tls_judge(SSL *ssl, const char *peer, struct fl_context *ctx);
bool fl_tls_refused(SSL *ssl, const char *peer, struct fl_context *ctx);

#endif
