/* SPDX-License-Identifier: Apache-2.0
 *
 * The chain that the records of the issuance log make: each holds the number after, and the hash
 * of, the one before; a checkpoint holds the issuing key's signature over the chain up to it.
 * Whoever removes or changes a record before the last checkpoint must forge that signature; whoever
 * cuts the log off must hope that nobody kept a later head. Pure.
 */
#ifndef FL_TRUST_ISSUED_CHAIN_H
#define FL_TRUST_ISSUED_CHAIN_H

#include "codec/issued.h"

#include <openssl/evp.h>

/* Zero-initialised, the first record that follows is believed about the number and the hash before
 * it: the log may begin in the middle, its oldest files archived. */
struct fl_issued_chain {
    uint64_t seq;                 /* of the last record; 0: none followed yet */
    uint8_t head[FL_ISSUED_HASH]; /* its hash */
    uint64_t first;               /* the first that followed */
    uint64_t signed_seq;          /* of the last checkpoint; 0: none */
    fl_time_t signed_at;
};

/* `record` must be as fl_issued_decode gave it. With `issuer` (public half is enough) a
 * checkpoint's signature is verified; NULL: not. FL_EPARSE: another number was due; FL_EAUTH: it
 * does not hold the hash of the record before, or the signature is not the issuing key's. */
FL_MUST_USE enum fl_error fl_issued_follow(struct fl_issued_chain *chain,
                                           const struct fl_issued *record, EVP_PKEY *issuer,
                                           struct fl_context *ctx);

/* Of a checkpoint with its seq, at and prev. */
FL_MUST_USE enum fl_error fl_issued_sign(EVP_PKEY *issuer, const struct fl_issued *record,
                                         uint8_t signature[FL_ISSUED_SIGNATURE],
                                         struct fl_context *ctx);

#endif
