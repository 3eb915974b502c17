/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device is after enrolment, in its folder: key.pem (a private key, the TSS2 key file of one
 * in a TPM, or the URI of one in a PKCS #11 token), cert.pem, chain.pem (the CAs between it and the
 * root), ca.pem (the root) and agent.conf, whose presence means enrolled.
 *
 * Saving replaces all of it or nothing, whenever the power goes: every file is written beside the
 * old one as NAME.new and synced, agent.conf.new last, which is the decision; then they are
 * renamed. Loading finishes a saving that was decided and interrupted.
 *
 * A renewal first stands beside it as the next identity (next-NAME, and next-ready, whose presence
 * means whole), and takes its place when the hub has accepted it.
 */
#ifndef FL_AGENT_SELF_H
#define FL_AGENT_SELF_H

#include "base/limits.h"
#include "base/str.h"
#include "base/world.h"
#include "trust/cert.h"

#define FL_RENEW_PERCENT 50 /* unless agent.conf says otherwise */

enum fl_key_place { FL_KEY_FILE, FL_KEY_TPM, FL_KEY_PKCS11 };

struct fl_self {
    char device[FL_NAME_MAX + 1];
    char host[FL_LIMIT_HOST + 1];
    uint16_t mqtt_port;
    uint16_t https_port;
    enum fl_key_place key_place;
    char key_where[FL_LIMIT_PKCS11_URI + 1]; /* the TCTI, or the URI as it was given */
    bool key_found;         /* the token had the key before us: it is kept, and not made anew */
    unsigned renew_percent; /* of the certificate's life, when renewing begins; 0: never */
    bool renew_same_key;
    struct fl_buffer key_pem;
    struct fl_buffer cert_pem;
    struct fl_buffer chain_pem;
    struct fl_buffer ca_pem;
};

void fl_self_init(struct fl_self *identity);
void fl_self_free(struct fl_self *identity); /* wipes */

FL_MUST_USE enum fl_error fl_self_save(const struct fl_files *files, const struct fl_self *identity,
                                       struct fl_context *ctx);
/* `identity` is initialised. FL_ENOTFOUND: not enrolled; FL_EPARSE: someone edited it badly. */
FL_MUST_USE enum fl_error fl_self_load(const struct fl_files *files, struct fl_self *identity,
                                       struct fl_context *ctx);

/* The next identity: `next` has the files, the rest comes from agent.conf. Loading: initialised;
 * FL_ENOTFOUND: there is none (half of one is nothing). */
FL_MUST_USE enum fl_error fl_self_next_save(const struct fl_files *files,
                                            const struct fl_self *next, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_self_next_load(const struct fl_files *files, struct fl_self *next,
                                            struct fl_context *ctx);
/* It takes the place of the present one: all of it or nothing. agent.conf stays as it is. */
FL_MUST_USE enum fl_error fl_self_next_promote(const struct fl_files *files,
                                               const struct fl_self *next, struct fl_context *ctx);
/* Harmless when there is none. */
FL_MUST_USE enum fl_error fl_self_next_remove(const struct fl_files *files, struct fl_context *ctx);

/* What cert.pem says; pure. False: it is not a device's certificate. */
bool fl_self_certificate(struct fl_slice cert_pem, struct fl_cert_info *info);

/* agent.conf as text; pure. */
FL_MUST_USE enum fl_error fl_self_to_conf(const struct fl_self *identity, struct fl_buffer *text,
                                          struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_self_from_conf(struct fl_slice text, struct fl_self *identity,
                                            struct fl_context *ctx);

#endif
