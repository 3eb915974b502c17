/* SPDX-License-Identifier: Apache-2.0
 *
 * What the hub remembers of a one-time token, and the verdict over a presented one. Stored is the
 * SHA-256 of the secret, never the secret: 128 random bits need no salt and no slow hash, and a
 * stolen database enrols nobody. Pure: the caller keeps the record, marks it used in the same
 * transaction that records the new credential, and counts failures.
 */
#ifndef FL_TRUST_TOKEN_CHECK_H
#define FL_TRUST_TOKEN_CHECK_H

#include "codec/token.h"
#include "trust/key.h"

struct fl_token_record {
    enum fl_token_kind kind;
    uint8_t sha256[FL_SHA256_SIZE]; /* fl_token_check_hash of the secret */
    fl_time_t expires;              /* ms since the epoch; not valid from then on */
    bool used;
    bool metrics_only;        /* of a principal: what is claimed with it */
    char id[FL_NAME_MAX + 1]; /* the device or principal it is for */
};

void fl_token_check_hash(const uint8_t secret[FL_TOKEN_SECRET_SIZE], uint8_t out[FL_SHA256_SIZE]);

/* May `token`, presented as `id`, be honoured? `record` is what is stored for `id`, or NULL when
 * there is nothing. The secret is compared in constant time and before the rest, so that only its
 * holder learns what became of it.
 * FL_EDENIED  it is for another device or for another purpose
 * FL_EAUTH    no such token (or replaced by a newer one)
 * FL_ESTATE   used already
 * FL_EEXPIRED */
FL_MUST_USE enum fl_error fl_token_check(const struct fl_token_record *record,
                                         const struct fl_token *token, enum fl_token_kind kind,
                                         struct fl_slice id, fl_time_t now, struct fl_context *ctx);

#endif
