/* SPDX-License-Identifier: Apache-2.0
 *
 * A blocking HTTP/1.1 client for the command line and the agent, on libcurl: over a Unix socket, or
 * HTTPS (TLS 1.3 or later) where only the given root certificates are trusted, never the system's.
 * No redirects, no proxies, no cookies, no environment. Everything is bounded: the body by
 * `body_max`, the time by `timeout_ms`. A client keeps its connection between calls and belongs to
 * one thread. Credentials are copied in and wiped by fl_http_client_close.
 */
#ifndef FL_IO_HTTP_CLIENT_H
#define FL_IO_HTTP_CLIENT_H

#include "base/buffer.h"

#include <openssl/evp.h>
#include <signal.h>

struct fl_http_client;

/* Exactly one of `unix_socket` and `url`; everything is copied but `client_key` and `cancel`, which
 * must outlive the client. */
struct fl_http_client_options {
    const char *unix_socket; /* path of a socket: no TLS, and the caller trusts its owner */
    const char *url;         /* "https://HOST[:PORT]", nothing after it; IPv6 in brackets */

    /* HTTPS: the roots to trust. Required unless insecure_first_contact. */
    struct fl_slice ca_pem;

    /* At most one of these two; they are sent with every call. */
    const char *bearer;
    const char *user; /* HTTP Basic */
    const char *password;

    /* Mutual TLS: the chain, leaf first, and its key (file or TPM). Both or neither. */
    struct fl_slice client_chain_pem;
    EVP_PKEY *client_key;

    /* Believes whoever answers. For one purpose: fetching /.well-known/est/cacerts before the root
     * is known, whose hash the caller then compares with a token's before believing a byte of it.
     * Asserted: HTTPS, GET only, with no credential and no client certificate. */
    bool insecure_first_contact;

    size_t body_max;     /* 0: FL_LIMIT_HTTP_BODY */
    uint32_t connect_ms; /* 0: 10 s; TCP and TLS */
    uint32_t timeout_ms; /* 0: 30 s; one whole call */

    /* When it becomes non-zero (a signal handler) the call in flight ends with FL_ECLOSED. */
    const volatile sig_atomic_t *cancel;
};

/* FL_EINVAL: a URL that is not of the form above, with words. FL_EPARSE: PEM without certificates.
 */
FL_MUST_USE enum fl_error fl_http_client_open(const struct fl_http_client_options *options,
                                              struct fl_http_client **client,
                                              struct fl_context *ctx);
void fl_http_client_close(struct fl_http_client *client); /* NULL is harmless */

struct fl_http_call {
    const char *method;       /* "GET", "POST", "DELETE", ... */
    const char *path;         /* with its query, percent-encoded, starts with '/' */
    const char *content_type; /* NULL: none */
    const char *accept;       /* NULL: anything */
    struct fl_slice body;
};

/* The caller frees it with fl_http_reply_free; zero-initialised or from an earlier call on entry.
 */
struct fl_http_reply {
    int status;
    char content_type[128]; /* as sent, with its parameters; empty when absent */
    uint32_t retry_after_s; /* 0 when absent or a date */
    struct fl_buffer body;
};

/* FL_OK whenever there is a whole answer, whatever its status. Otherwise, with words:
 * FL_ENOTFOUND    no such socket, or the host name does not resolve
 * FL_EDENIED      the socket's permissions
 * FL_ECLOSED      refused, reset, ended early, or cancelled
 * FL_EAUTH        the server's certificate is not of the given roots, not of this name, or expired;
 *                 or the server refused ours
 * FL_ECRYPTO      no TLS 1.3 in common, or not TLS at all
 * FL_ETIMEOUT, FL_ELIMIT (the body), FL_EPARSE (not HTTP), FL_EIO (anything else) */
FL_MUST_USE enum fl_error fl_http_client_call(struct fl_http_client *client,
                                              const struct fl_http_call *call,
                                              struct fl_http_reply *reply, struct fl_context *ctx);
void fl_http_reply_free(struct fl_http_reply *reply);

/* Appends `text` percent-encoded for one segment of a path or one value of a query (RFC 3986:
 * everything but the unreserved characters). */
enum fl_error fl_url_escape(struct fl_slice text, struct fl_buffer *out);

#endif
