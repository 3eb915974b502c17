/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and digests, on top of OpenSSL: making, writing, reading, naming, signing. No I/O: PEM goes
 * in and out as bytes. EVP_PKEY objects belong to the caller (EVP_PKEY_free). Private bytes are
 * wiped after use.
 */
#ifndef FL_TRUST_KEY_H
#define FL_TRUST_KEY_H

#include "base/buffer.h"

#include <openssl/evp.h>

#define FL_SHA256_SIZE 32
#define FL_KEY_ID_TEXT 17 /* 16 hex digits and the terminator */

void fl_sha256(struct fl_slice in, uint8_t out[FL_SHA256_SIZE]);

FL_MUST_USE enum fl_error fl_key_generate(EVP_PKEY **key, struct fl_context *ctx); /* P-256 */

/* PKCS #8 PEM; with a passphrase encrypted (PBES2, scrypt, AES-256-CBC). */
FL_MUST_USE enum fl_error fl_key_to_pem(EVP_PKEY *key, const char *passphrase,
                                        struct fl_buffer *pem, struct fl_context *ctx);
/* FL_EAUTH: it is encrypted and the passphrase (NULL: none) does not open it. */
FL_MUST_USE enum fl_error fl_key_from_pem(struct fl_slice pem, const char *passphrase,
                                          EVP_PKEY **key, struct fl_context *ctx);
/* SubjectPublicKeyInfo PEM. */
FL_MUST_USE enum fl_error fl_key_public_pem(EVP_PKEY *key, struct fl_buffer *pem,
                                            struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_key_public_from_pem(struct fl_slice pem, EVP_PKEY **key,
                                                 struct fl_context *ctx);

/* Hex of the first 8 octets of the SHA-256 of the SubjectPublicKeyInfo (DER). */
FL_MUST_USE enum fl_error fl_key_id(EVP_PKEY *key, char id[FL_KEY_ID_TEXT]);

/* FL_EDENIED with words unless the public half is strong: EC P-256 or P-384 by name, Ed25519, RSA
 * 2048-4096 with an odd exponent of at least 65537. */
FL_MUST_USE enum fl_error fl_key_judge(EVP_PKEY *key, struct fl_context *ctx);

bool fl_key_is_p256(const EVP_PKEY *key);

/* ES256 (ECDSA P-256 with SHA-256) as r || s, 64 octets. Verify: FL_EAUTH when it does not match.
 */
FL_MUST_USE enum fl_error fl_es256_sign(EVP_PKEY *key, struct fl_slice message, uint8_t out[64],
                                        struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_es256_verify(EVP_PKEY *key, struct fl_slice message,
                                          const uint8_t signature[64]);

/* "what: words of OpenSSL's oldest queued error"; clears the queue. Returns FL_ECRYPTO. */
enum fl_error fl_crypto_fail(struct fl_context *ctx, const char *what);

#endif
