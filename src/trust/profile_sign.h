/* SPDX-License-Identifier: Apache-2.0
 *
 * The signature of a profile (codec/profile.h): `signature ES256 KEYID BASE64URL` as the last line,
 * over every byte before it. Signing adds the line, verifying judges a parsed profile against the
 * public keys of DIR/profile-keys.pem. A signature says who vouches for the profile; whether the
 * profile makes sense is for fl_profile_parse, which the caller runs first in both cases. No I/O.
 */
#ifndef FL_TRUST_PROFILE_SIGN_H
#define FL_TRUST_PROFILE_SIGN_H

#include "codec/profile.h"
#include "trust/key.h"

/* Appends the text, a newline when it does not end in one, and the signature line. The text must
 * not have a signature: to sign again, hand in the `signed_text` of the parsed profile.
 * FL_EEXISTS: it has one; FL_EINVAL: it is empty, or the key is not on P-256. */
FL_MUST_USE enum fl_error fl_profile_sign(struct fl_slice text, EVP_PKEY *key,
                                          struct fl_buffer *out, struct fl_context *ctx);

struct fl_profile_keys {
    struct {
        EVP_PKEY *key;
        char id[FL_KEY_ID_TEXT];
    } items[FL_LIMIT_PROFILE_KEYS];
    size_t count;
};

/* Every PUBLIC KEY of a PEM file. FL_EPARSE: malformed, none in it, or one that is not on P-256;
 * FL_ELIMIT: more than FL_LIMIT_PROFILE_KEYS. On failure `keys` is empty. */
FL_MUST_USE enum fl_error fl_profile_keys_load(struct fl_slice pem, struct fl_profile_keys *keys,
                                               struct fl_context *ctx);
void fl_profile_keys_free(struct fl_profile_keys *keys);

/* FL_EAUTH, with words that say which: not signed, signed with a key that is not among `keys`, or a
 * signature that does not match (the text was changed after it was signed). */
FL_MUST_USE enum fl_error fl_profile_verify(const struct fl_profile *profile,
                                            const struct fl_profile_keys *keys,
                                            struct fl_context *ctx);

#endif
