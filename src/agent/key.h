/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's key wherever it lives: in key.pem, or in a TPM with key.pem holding what the TPM
 * wrapped.
 */
#ifndef FL_AGENT_KEY_H
#define FL_AGENT_KEY_H

#include "agent/self.h"
#include "io/tpm.h"

struct fl_agent_key {
    EVP_PKEY *key;
    struct fl_tpm *tpm; /* NULL: a file's key */
};

/* Makes one: `where` is "file" or "tpm:TCTI". Fills the identity's key members. */
FL_MUST_USE enum fl_error fl_agent_key_make(const char *where, struct fl_self *identity,
                                            struct fl_agent_key *key, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_agent_key_load(const struct fl_self *identity,
                                            struct fl_agent_key *key, struct fl_context *ctx);
void fl_agent_key_free(struct fl_agent_key *key); /* harmless when zero-initialised or freed */

#endif
