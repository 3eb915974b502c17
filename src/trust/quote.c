/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/quote.h"

#include "trust/key.h"
#include "trust/tpm_wire.h"

#define GENERATED 0xFF544347U /* TPM_GENERATED_VALUE: only a TPM signs what begins so */
#define ATTEST_QUOTE 0x8018U
#define NAME_MAX_SIZE 68
#define BANKS_MAX 16
#define P256_SIZE 32

/* The one selection, of the SHA-256 bank. */
static void read_selection(struct fl_fields *f, struct fl_quote *quote)
{
    uint32_t banks = fl_tpm_u32(f, "banks");

    if (banks > BANKS_MAX && !f->bad)
        f->bad = "banks";
    for (uint32_t i = 0; i < banks && !f->bad; i++) {
        uint16_t bank = fl_tpm_u16(f, "bank");
        size_t size = (size_t)fl_tpm_uint(f, "selection", 1);
        struct fl_slice bits = fl_fields_take(f, "selection", size <= 4 ? size : SIZE_MAX);
        uint32_t which = 0;

        for (size_t k = 0; k < bits.size; k++)
            which |= (uint32_t)bits.data[k] << (8 * k);
        if (which >> FL_LIMIT_PCRS || (which && bank != FL_TPM_ALG_SHA256) ||
            (which && quote->pcrs)) {
            if (!f->bad)
                f->bad = "selection (the PCRs of one bank, SHA-256, are quoted)";
            return;
        }
        quote->pcrs |= which;
    }
}

enum fl_error fl_quote_read(struct fl_slice attest, struct fl_quote *quote, struct fl_context *ctx)
{
    struct fl_fields f = {.in = attest};
    struct fl_slice digest = {0};

    *quote = (struct fl_quote){0};
    if (fl_tpm_u32(&f, "magic") != GENERATED)
        return fl_fail(ctx, FL_EPARSE,
                       "the quote was not made by a TPM (TPM_GENERATED is missing)");
    if (fl_tpm_u16(&f, "type") != ATTEST_QUOTE)
        return fl_fail(ctx, FL_EPARSE, "what the TPM signed is no quote of PCRs");
    quote->signer = fl_tpm_sized(&f, "signer", NAME_MAX_SIZE);
    quote->extra = fl_tpm_sized(&f, "extra data", 64);
    quote->clock = fl_tpm_uint(&f, "clock", 8);
    quote->resets = fl_tpm_u32(&f, "resets");
    quote->restarts = fl_tpm_u32(&f, "restarts");
    (void)fl_tpm_uint(&f, "safe", 1);
    (void)fl_tpm_uint(&f, "firmware", 8);
    read_selection(&f, quote);
    digest = fl_tpm_sized(&f, "digest", sizeof quote->digest);
    if (!f.bad && (digest.size != sizeof quote->digest || f.in.size))
        f.bad = f.in.size ? "its end: something follows" : "digest";
    if (f.bad)
        return fl_fail(ctx, FL_EPARSE, "the quote is malformed at '%s'", f.bad);
    memcpy(quote->digest, digest.data, sizeof quote->digest);
    return FL_OK;
}

enum fl_error fl_quote_verify(struct fl_slice attest, struct fl_slice signature, EVP_PKEY *ak,
                              struct fl_context *ctx)
{
    struct fl_fields f = {.in = signature};
    uint16_t scheme = fl_tpm_u16(&f, "scheme");
    uint16_t hash = fl_tpm_u16(&f, "hash");
    struct fl_slice r = fl_tpm_sized(&f, "r", P256_SIZE);
    struct fl_slice s = fl_tpm_sized(&f, "s", P256_SIZE);
    uint8_t raw[2 * P256_SIZE] = {0};

    if (f.bad || f.in.size || scheme != FL_TPM_ALG_ECDSA || hash != FL_TPM_ALG_SHA256)
        return fl_fail(ctx, FL_EPARSE,
                       "the quote's signature is malformed: it is to be ECDSA with SHA-256");
    memcpy(raw + P256_SIZE - r.size, r.data ? r.data : raw, r.size);
    memcpy(raw + sizeof raw - s.size, s.data ? s.data : raw, s.size);
    if (fl_es256_verify(ak, attest, raw) != FL_OK)
        return fl_fail(ctx, FL_EAUTH,
                       "the quote is not signed by the attestation key that is on record");
    return FL_OK;
}

void fl_quote_digest(const struct fl_pcrs *pcrs, uint32_t which, uint8_t digest[32])
{
    uint8_t all[FL_LIMIT_PCRS * FL_PCR_SIZE];
    size_t size = 0;

    for (unsigned i = 0; i < FL_LIMIT_PCRS; i++) {
        if (!(which & 1U << i))
            continue;
        memcpy(all + size, pcrs->value[i], FL_PCR_SIZE);
        size += FL_PCR_SIZE;
    }
    fl_sha256(fl_slice(all, size), digest);
}
