/* SPDX-License-Identifier: Apache-2.0
 *
 * One renewal on the loop: makes the next key, asks for its certificate by EST simplereenroll over
 * mutual TLS with the present certificate (RFC 7030 4.2.2), and judges what comes as an enrolment
 * does. Both keys are proved: the present one by the handshake, the next one by the request's
 * signature. The CAs are fetched anew on the way, so that a hub with another issuing CA is
 * understood. It changes nothing on disk. A key that was made is kept for the next attempt.
 */
#ifndef FL_AGENT_RENEW_H
#define FL_AGENT_RENEW_H

#include "agent/key.h"
#include "agent/self.h"
#include "io/loop.h"
#include "trust/cert.h"

struct fl_renew;

struct fl_renew_handler {
    /* `next` and `key` go over to the handler; both are released and whole. */
    void (*issued)(void *self, struct fl_self *next, struct fl_agent_key *key,
                   const struct fl_cert_info *info);
    void (*failed)(void *self, const char *why, uint32_t retry_after_s); /* 0: not said */
    void *self;
};

FL_MUST_USE enum fl_error fl_renew_create(struct fl_loop *loop, const struct fl_clock *clock,
                                          const struct fl_renew_handler *handler,
                                          struct fl_renew **renew, struct fl_context *ctx);
void fl_renew_free(struct fl_renew *renew); /* NULL is harmless; a key made in a token goes, too */

/* Starts; `issued` or `failed` follows from the loop, never from within. `present` and its key must
 * stay until then. Harmless when it is under way. */
void fl_renew_begin(struct fl_renew *renew, const struct fl_self *present,
                    struct fl_agent_key *key);
bool fl_renew_is_busy(const struct fl_renew *renew);

#endif
