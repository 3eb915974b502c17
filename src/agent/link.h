/* SPDX-License-Identifier: Apache-2.0
 *
 * One TLS 1.3 connection to the hub on a loop: finds the host, connects to its addresses one after
 * the other, authenticates both ways, carries bytes. The server must be the host it was called by,
 * under the given root and nothing else. The last session ticket is kept, so that the next
 * connection resumes. Every failure is told once, with words for a person: name resolution,
 * refusal, the certificate's fault, the alert that the server sent. Looking up a name blocks.
 */
#ifndef FL_AGENT_LINK_H
#define FL_AGENT_LINK_H

#include "base/buffer.h"
#include "io/loop.h"

#include <openssl/evp.h>

struct fl_link;

struct fl_link_options {
    const char *host; /* DNS name, IPv4 or IPv6 without brackets */
    uint16_t port;
    struct fl_slice ca_pem;    /* the roots to trust */
    struct fl_slice cert_pem;  /* ours */
    struct fl_slice chain_pem; /* between ours and the root; may be empty */
    EVP_PKEY *key;             /* stays the caller's */
};

struct fl_link_handler {
    /* Our side of the handshake is done. The server's verdict over our certificate comes later: it
     * shows as bytes or as `down`. */
    void (*up)(void *self, bool resumed);
    /* May close the link. */
    void (*received)(void *self, struct fl_slice bytes);
    /* Everything given to fl_link_send is written. */
    void (*drained)(void *self);
    void (*down)(void *self, const char *why);
    void *self;
};

/* Everything is copied but `loop` and what the handler points to. FL_EINVAL, FL_EPARSE,
 * FL_ECRYPTO: PEM, or a key that does not belong to the certificate. */
FL_MUST_USE enum fl_error fl_link_create(struct fl_loop *loop,
                                         const struct fl_link_options *options,
                                         const struct fl_link_handler *handler,
                                         struct fl_link **link, struct fl_context *ctx);
void fl_link_free(struct fl_link *link); /* NULL is harmless */

/* Starts; `up` or `down` follows from the loop. It must not be connected. */
void fl_link_connect(struct fl_link *link);
/* Queues bytes; written at the end of the round. */
void fl_link_send(struct fl_link *link, struct fl_slice bytes);
/* Did the last connection fail by our certificate (an alert of the hub) or our key (it does not
 * sign)? */
bool fl_link_was_refused(const struct fl_link *link);
size_t fl_link_unsent(const struct fl_link *link);
/* Without calling `down`; what is queued is offered to the socket once. Harmless when closed. */
void fl_link_close(struct fl_link *link);

#endif
