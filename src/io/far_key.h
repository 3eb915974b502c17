/* SPDX-License-Identifier: Apache-2.0
 *
 * A P-256 key whose private half is somewhere else (a TPM, a PKCS #11 token) as an EVP_PKEY that
 * signs CSRs, certificates and TLS handshakes by calling whoever holds it.
 */
#ifndef FL_IO_FAR_KEY_H
#define FL_IO_FAR_KEY_H

#include "base/error.h"
#include "base/slice.h"

#include <openssl/evp.h>

enum {
    FL_P256_SIZE = 32, /* a coordinate, a half of a signature, a SHA-256 digest */
    FL_P256_SIGNATURE = 64,
};

struct fl_far_signer {
    /* ECDSA over a SHA-256 digest: r || s, FL_P256_SIGNATURE octets. */
    enum fl_error (*sign)(void *self, const uint8_t *digest, uint8_t *signature,
                          struct fl_context *ctx);
    /* Told after each signature: words for the failure (OpenSSL passes none on), or "". */
    void (*signed_with)(void *self, const char *failure);
    void (*free)(void *self); /* with the last copy of the EVP_PKEY */
    void *self;
};

/* `x` and `y`: the public point, big-endian. On failure `signer->self` stays the caller's.
 * FL_ECRYPTO: not a point of the curve. */
FL_MUST_USE enum fl_error fl_far_key(const struct fl_far_signer *signer, struct fl_slice x,
                                     struct fl_slice y, EVP_PKEY **key, struct fl_context *ctx);

#endif
