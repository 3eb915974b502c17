/* SPDX-License-Identifier: Apache-2.0
 *
 * Enrolment: from a token to an identity, by EST (RFC 7030). First contact fetches the hub's CA
 * certificates from whoever answers and believes only the one whose hash is in the token; the
 * secret of the token goes out only to a server that proved itself under that root. What comes back
 * is checked before anything is written: our key, our id, a chain to the root.
 */
#ifndef FL_AGENT_ENROL_H
#define FL_AGENT_ENROL_H

#include "agent/self.h"
#include "codec/token.h"
#include "trust/cert.h"

/* Fills device, host, ports, cert, chain and ca of `identity`; its key members are the caller's.
 * `key` signs the request. `info` (may be NULL) is what was issued. Blocks; bounded by timeouts.
 * Errors say what to do: an expired or used token, a wrong clock, a hub that cannot be reached or
 * is not the one the token means. */
FL_MUST_USE enum fl_error fl_enrol(const struct fl_token *token, struct fl_slice token_text,
                                   EVP_PKEY *key, fl_time_t now, struct fl_self *identity,
                                   struct fl_cert_info *info, struct fl_context *ctx);

/* The judgements in it, each pure. */

/* Of a cacerts answer (base64 PKCS #7): the certificate of that hash into `root_pem`, the others
 * into `chain_pem`. FL_EAUTH: none has the hash. */
FL_MUST_USE enum fl_error fl_enrol_pick_root(struct fl_slice answer, const uint8_t sha256[32],
                                             struct fl_buffer *root_pem,
                                             struct fl_buffer *chain_pem, struct fl_context *ctx);

/* Of a simpleenroll answer: the device certificate for `key` and `device`, which must lead through
 * `chain_pem` to `root_pem` and be valid `now`. */
FL_MUST_USE enum fl_error fl_enrol_accept(struct fl_slice answer, EVP_PKEY *key, const char *device,
                                          struct fl_slice root_pem, struct fl_slice chain_pem,
                                          fl_time_t now, struct fl_buffer *cert_pem,
                                          struct fl_cert_info *info, struct fl_context *ctx);

/* What the hub says in an error: the detail of a problem document, or its text. */
void fl_enrol_words(struct fl_slice body, char to[256]);

/* May this token be used now, as far as we can know? Words for a token that is not for devices or
 * has expired. */
FL_MUST_USE enum fl_error fl_enrol_token(const struct fl_token *token, fl_time_t now,
                                         struct fl_context *ctx);

#endif
