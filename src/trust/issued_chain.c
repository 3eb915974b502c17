/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/issued_chain.h"

#include "base/endian.h"
#include "trust/key.h"

#define LABEL "fairlead issuance checkpoint 1"

enum { MESSAGE = sizeof LABEL + 8 + 8 + FL_ISSUED_HASH };

static void message_of(const struct fl_issued *record, uint8_t to[MESSAGE])
{
    memcpy(to, LABEL, sizeof LABEL);
    fl_put_le64(to + sizeof LABEL, record->seq);
    fl_put_le64(to + sizeof LABEL + 8, (uint64_t)record->at);
    memcpy(to + sizeof LABEL + 16, record->prev, FL_ISSUED_HASH);
}

enum fl_error fl_issued_sign(EVP_PKEY *issuer, const struct fl_issued *record,
                             uint8_t signature[FL_ISSUED_SIGNATURE], struct fl_context *ctx)
{
    uint8_t message[MESSAGE];

    message_of(record, message);
    return fl_es256_sign(issuer, fl_slice(message, sizeof message), signature, ctx);
}

static enum fl_error check_signature(const struct fl_issued *record, EVP_PKEY *issuer,
                                     struct fl_context *ctx)
{
    uint8_t message[MESSAGE];

    message_of(record, message);
    if (record->signature.size != FL_ISSUED_SIGNATURE ||
        (issuer && fl_es256_verify(issuer, fl_slice(message, sizeof message),
                                   record->signature.data) != FL_OK))
        return fl_fail(ctx, FL_EAUTH, "its signature is not the issuing key's");
    return FL_OK;
}

enum fl_error fl_issued_follow(struct fl_issued_chain *chain, const struct fl_issued *record,
                               EVP_PKEY *issuer, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (chain->seq && record->seq != chain->seq + 1)
        return fl_fail(ctx, FL_EPARSE, "record %llu follows record %llu",
                       (unsigned long long)record->seq, (unsigned long long)chain->seq);
    if (chain->seq && memcmp(record->prev, chain->head, FL_ISSUED_HASH) != 0)
        return fl_fail(ctx, FL_EAUTH, "it does not hold the hash of the record before it");
    if (record->kind == FL_ISSUED_CHECKPOINT)
        error = check_signature(record, issuer, ctx);
    if (error != FL_OK)
        return error;
    if (record->kind == FL_ISSUED_CHECKPOINT) {
        chain->signed_seq = record->seq;
        chain->signed_at = record->at;
    }
    if (!chain->seq)
        chain->first = record->seq;
    chain->seq = record->seq;
    fl_sha256(record->body, chain->head);
    return FL_OK;
}
