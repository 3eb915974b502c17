/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificate revocation lists (RFC 5280 5, version 2): made and signed, from entries that travel
 * between processes as
 *     u8 size of the serial | serial | u8 reason | i64 when, ms since the epoch (little endian)
 * No I/O, no clock: times come in as arguments.
 */
#ifndef FL_TRUST_CRL_H
#define FL_TRUST_CRL_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/time.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#define FL_SERIAL_MAX 20 /* octets; RFC 5280 4.1.2.2 */

/* RFC 5280 5.3.1; the values are the standard's. Only these are ever said. */
enum fl_crl_reason {
    FL_CRL_UNSPECIFIED = 0, /* said by saying nothing */
    FL_CRL_SUPERSEDED = 4,
    FL_CRL_CESSATION = 5, /* cessationOfOperation: its device is retired */
    FL_CRL_HOLD = 6,      /* certificateHold: it may become good again */
};

struct fl_crl_entry {
    uint8_t serial[FL_SERIAL_MAX]; /* the magnitude, big endian, without leading zeros */
    uint8_t serial_size;           /* 1 to FL_SERIAL_MAX */
    enum fl_crl_reason reason;
    fl_time_t at; /* when it was revoked */
};

/* FL_ELIMIT: the buffer is full. */
FL_MUST_USE enum fl_error fl_crl_put_entry(struct fl_buffer *out, const struct fl_crl_entry *entry);
/* FL_ENOTFOUND: no more. FL_EPARSE: malformed: a serial of no or too many octets or with a leading
 * zero, a reason that is none of the above, a time before 1970 or after 9999. */
FL_MUST_USE enum fl_error fl_crl_next_entry(struct fl_slice *entries, struct fl_crl_entry *entry);

struct fl_crl_request {
    X509 *issuer;
    EVP_PKEY *issuer_key;
    uint64_t number; /* RFC 5280 5.2.3; over every one before */
    fl_time_t this_update;
    fl_time_t next_update;
    struct fl_slice entries; /* in any order; each serial once */
};

/* Appends DER. Extensions: authority key identifier, number; of an entry: its reason. FL_EPARSE:
 * an entry is malformed; FL_EINVAL: the times; FL_ELIMIT: `der` is full. */
FL_MUST_USE enum fl_error fl_crl_make(const struct fl_crl_request *request, struct fl_buffer *der,
                                      struct fl_context *ctx);

#endif
