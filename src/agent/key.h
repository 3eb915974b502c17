/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's key wherever it lives: in key.pem, in a TPM with key.pem holding what the TPM
 * wrapped, or in a PKCS #11 token with key.pem holding the URI of just that key.
 */
#ifndef FL_AGENT_KEY_H
#define FL_AGENT_KEY_H

#include "agent/self.h"
#include "io/pkcs11.h"
#include "io/tpm.h"

struct fl_agent_key {
    EVP_PKEY *key;
    struct fl_tpm *tpm;      /* or */
    struct fl_pkcs11 *token; /* or neither: a file's key */
};

/* FL_EINVAL with words unless `where` is "file", "tpm:TCTI" or a PKCS #11 URI without its PIN. */
FL_MUST_USE enum fl_error fl_agent_key_where(const char *where, struct fl_context *ctx);

/* For an enrolment. In a token the one key that the URI means is used; where there is none, or more
 * than one, another is made. Fills the identity's key members. */
FL_MUST_USE enum fl_error fl_agent_key_make(const char *where, struct fl_self *identity,
                                            struct fl_agent_key *key, struct fl_context *ctx);
/* For a renewal of `current`: another key in the same place, or the same one where the identity
 * says so. `next` (initialised) gets everything of `current` but its certificates. */
FL_MUST_USE enum fl_error fl_agent_key_next(const struct fl_self *current, struct fl_self *next,
                                            struct fl_agent_key *key, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_agent_key_load(const struct fl_self *identity,
                                            struct fl_agent_key *key, struct fl_context *ctx);
/* Lets go of TPM or token until the key signs again. */
void fl_agent_key_release(struct fl_agent_key *key);
void fl_agent_key_free(struct fl_agent_key *key); /* harmless when zero-initialised or freed */

/* The key of `identity` is not used any more, that of `other` is: one that we made in a token is
 * destroyed there. Words of what goes wrong are logged; nothing depends on it. */
void fl_agent_key_retire(const struct fl_self *identity, const struct fl_self *other);

/* "file", "tpm", "pkcs11"; "key.pem", "the TPM", "the token". */
const char *fl_agent_key_kind(const struct fl_self *identity);
const char *fl_agent_key_place_words(const struct fl_self *identity);

#endif
