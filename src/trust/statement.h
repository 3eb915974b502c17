/* SPDX-License-Identifier: Apache-2.0
 *
 * A device's signature over its claims (codec/evidence.h): ES256 by the key of its certificate.
 */
#ifndef FL_TRUST_STATEMENT_H
#define FL_TRUST_STATEMENT_H

#include "base/buffer.h"
#include "codec/evidence.h"

#include <openssl/evp.h>

/* `text` is what fl_claims_text wrote. */
FL_MUST_USE enum fl_error fl_statement_sign(EVP_PKEY *key, struct fl_slice text,
                                            uint8_t signature[64], struct fl_context *ctx);

struct fl_statement_signer {
    struct fl_slice certificate; /* DER, as the device sent it */
    struct fl_slice issuing;     /* DER, of the hub */
    struct fl_slice device;      /* of the certificate that it showed in the handshake */
    struct fl_slice serial;
};

/* FL_EAUTH with words: the certificate is not the issuing CA's, not this device's, not the one it
 * connected with, or the signature is not by its key. FL_EUNSUPPORTED: a key that is not P-256. */
FL_MUST_USE enum fl_error fl_statement_verify(const struct fl_statement_signer *signer,
                                              struct fl_slice text, struct fl_slice signature,
                                              struct fl_context *ctx);

#endif
