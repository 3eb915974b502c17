/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing bytes at rest: AES-256-GCM (NIST SP 800-38D) under a key that HKDF-SHA256 (RFC 5869)
 * derives, both by OpenSSL. The caller owns the nonces: one must never be used twice with one key,
 * also not for a second try after a write that failed. No I/O, no thread safety.
 */
#ifndef FL_TRUST_SEAL_H
#define FL_TRUST_SEAL_H

#include "base/error.h"
#include "base/slice.h"

#define FL_SEAL_KEY 32   /* octets */
#define FL_SEAL_NONCE 12 /* octets */
#define FL_SEAL_TAG 16   /* octets by which the sealed text is longer than the plain one */

struct fl_seal;

/* `label` says what the key is for; different labels give independent keys. FL_ECRYPTO. */
FL_MUST_USE enum fl_error fl_seal_derive(const uint8_t secret[FL_SEAL_KEY], struct fl_slice salt,
                                         const char *label, uint8_t to[FL_SEAL_KEY],
                                         struct fl_context *ctx);

/* The key is copied. FL_ENOMEM, FL_ECRYPTO. */
FL_MUST_USE enum fl_error fl_seal_new(const uint8_t key[FL_SEAL_KEY], struct fl_seal **seal,
                                      struct fl_context *ctx);
void fl_seal_free(struct fl_seal *seal); /* wipes; NULL is harmless */

/* Seals `plain` and binds `additional` to it. `to` has room for plain.size + FL_SEAL_TAG and does
 * not overlap. FL_ELIMIT: over 2^30 bytes; FL_ECRYPTO. */
FL_MUST_USE enum fl_error fl_seal_shut(struct fl_seal *seal, const uint8_t nonce[FL_SEAL_NONCE],
                                       struct fl_slice additional, struct fl_slice plain,
                                       uint8_t *to, struct fl_context *ctx);
/* The other way; `to` has room for sealed.size - FL_SEAL_TAG, which may be 0. FL_EAUTH: another
 * key or nonce, or changed bytes; then `to` holds nothing of the text. */
FL_MUST_USE enum fl_error fl_seal_open(struct fl_seal *seal, const uint8_t nonce[FL_SEAL_NONCE],
                                       struct fl_slice additional, struct fl_slice sealed,
                                       uint8_t *to, struct fl_context *ctx);

#endif
