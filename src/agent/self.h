/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device is after enrolment, in its folder: key.pem (a private key, or the TSS2 key file of
 * one in a TPM), cert.pem, chain.pem (the CAs between it and the root), ca.pem (the root) and
 * agent.conf, whose presence means enrolled.
 *
 * Saving replaces all of it or nothing, whenever the power goes: every file is written beside the
 * old one as NAME.new and synced, agent.conf.new last, which is the decision; then they are
 * renamed. Loading finishes a saving that was decided and interrupted.
 */
#ifndef FL_AGENT_SELF_H
#define FL_AGENT_SELF_H

#include "base/limits.h"
#include "base/str.h"
#include "base/world.h"

struct fl_self {
    char device[FL_NAME_MAX + 1];
    char host[FL_LIMIT_HOST + 1];
    uint16_t mqtt_port;
    uint16_t https_port;
    bool in_tpm;
    char tcti[512];
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

/* agent.conf as text; pure. */
FL_MUST_USE enum fl_error fl_self_to_conf(const struct fl_self *identity, struct fl_buffer *text,
                                          struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_self_from_conf(struct fl_slice text, struct fl_self *identity,
                                            struct fl_context *ctx);

#endif
