/* SPDX-License-Identifier: Apache-2.0
 *
 * Between OpenSSL's objects and our buffers. Private to src/trust: other layers have no use for it.
 */
#ifndef FL_TRUST_DER_H
#define FL_TRUST_DER_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/time.h"

#include <openssl/bio.h>
#include <openssl/x509.h>

/* A memory BIO that reads from `bytes`, which must outlive it; NULL without memory. */
BIO *fl_der_reader(struct fl_slice bytes);

/* Appends what was written into a memory BIO. */
FL_MUST_USE enum fl_error fl_der_take(BIO *bio, struct fl_buffer *out, struct fl_context *ctx);

/* Appends `size` bytes that an i2d function allocated (negative: it failed) and frees them. */
FL_MUST_USE enum fl_error fl_der_append(uint8_t *der, int size, const char *what,
                                        struct fl_buffer *out, struct fl_context *ctx);

/* fl_fail that empties OpenSSL's error queue too: for input that is wrong in a way that we say
 * better than OpenSSL does. */
enum fl_error fl_der_refuse(struct fl_context *ctx, enum fl_error error, const char *format, ...)
    FL_PRINTF(3, 4);

/* The only common name of `name` as UTF-8 text; empty when there is none. FL_EPARSE: several, too
 * long for `size`, or with a NUL in it. */
FL_MUST_USE enum fl_error fl_der_common_name(const X509_NAME *name, char *to, size_t size,
                                             struct fl_context *ctx);

/* Makes `name` the one common name; FL_CERT_CN_MAX octets at most (RFC 5280, ub-common-name). */
#define FL_CERT_CN_MAX 64
FL_MUST_USE enum fl_error fl_der_set_common_name(X509_NAME *name, const char *text,
                                                 struct fl_context *ctx);

FL_MUST_USE enum fl_error fl_der_time(const ASN1_TIME *from, fl_time_t *to, struct fl_context *ctx);
/* The serial number in hex. */
FL_MUST_USE enum fl_error fl_der_serial(const X509 *certificate, char to[FL_LIMIT_SERIAL_HEX],
                                        struct fl_context *ctx);

/* The digest that goes with a signing key: none for Ed25519, else SHA-256. */
const EVP_MD *fl_der_digest_for(const EVP_PKEY *key);

/* Visits every block of `type` in a PEM text as DER; `what` is the word for one in messages.
 * FL_EPARSE: there is none, or a block is malformed; FL_ELIMIT: over FL_LIMIT_CHAIN. */
FL_MUST_USE enum fl_error fl_der_each_pem(struct fl_slice pem, const char *type, const char *what,
                                          enum fl_error (*visit)(void *to, struct fl_slice der),
                                          void *to, struct fl_context *ctx);

#endif
