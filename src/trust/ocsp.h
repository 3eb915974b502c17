/* SPDX-License-Identifier: Apache-2.0
 *
 * OCSP (RFC 6960) as RFC 5019 profiles it, on top of OpenSSL: requests read, responses made and
 * signed. One issuing authority, asked about by its name and key (SHA-1 or SHA-256). Nonces and
 * signatures of requests are ignored, as RFC 5019 2.1.1 and 4 allow, so that a response can serve
 * everyone who asks until it ends. No I/O, no clock.
 */
#ifndef FL_TRUST_OCSP_H
#define FL_TRUST_OCSP_H

#include "trust/crl.h"

#define FL_OCSP_SERIAL (1 + FL_SERIAL_MAX) /* u8 size, octets */

/* How the issuing authority is named in requests. */
struct fl_ocsp_issuer {
    uint8_t name[2][32]; /* SHA-1, SHA-256 of the name, DER */
    uint8_t key[2][32];  /* and of the public key's bits */
};
FL_MUST_USE enum fl_error fl_ocsp_issuer(X509 *issuer, struct fl_ocsp_issuer *to,
                                         struct fl_context *ctx);

struct fl_ocsp_question {
    bool sha256; /* of how it names the authority; else SHA-1 */
    size_t count;
    uint8_t serials[FL_LIMIT_OCSP_IDS * FL_OCSP_SERIAL]; /* u8 size, octets, of each */
    size_t serials_size;
};

/* FL_EPARSE: answer malformedRequest; FL_EDENIED: unauthorized (of another authority, named by
 * another hash, over FL_LIMIT_OCSP_IDS). */
FL_MUST_USE enum fl_error fl_ocsp_read(struct fl_slice der, const struct fl_ocsp_issuer *issuer,
                                       struct fl_ocsp_question *question, struct fl_context *ctx);

/* RFC 6960 4.2.1: OCSPResponseStatus. */
enum fl_ocsp_status {
    FL_OCSP_MALFORMED = 1,
    FL_OCSP_INTERNAL_ERROR = 2,
    FL_OCSP_TRY_LATER = 3,
    FL_OCSP_UNAUTHORIZED = 6,
};
#define FL_OCSP_ERROR_SIZE 5
/* An error response; it is not signed. */
void fl_ocsp_error(enum fl_ocsp_status status, uint8_t to[FL_OCSP_ERROR_SIZE]);

enum fl_ocsp_verdict { FL_OCSP_GOOD, FL_OCSP_REVOKED, FL_OCSP_UNKNOWN };

struct fl_ocsp_single {
    struct fl_slice serial;
    enum fl_ocsp_verdict verdict;
    enum fl_crl_reason reason; /* when revoked */
    fl_time_t at;
};

struct fl_ocsp_reply {
    X509 *issuer;
    bool sha256;
    X509 *responder;
    EVP_PKEY *responder_key;
    fl_time_t this_update;
    fl_time_t next_update;
    const struct fl_ocsp_single *singles;
    size_t count;
};

/* Appends a successful response, DER, with the responder's certificate in it. */
FL_MUST_USE enum fl_error fl_ocsp_respond(const struct fl_ocsp_reply *reply, struct fl_buffer *der,
                                          struct fl_context *ctx);

#endif
