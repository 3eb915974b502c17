/* SPDX-License-Identifier: Apache-2.0
 *
 * What a TPM sends, made with OpenSSL's keys, so that every lie about it can be told: public areas,
 * quotes, PCRs. The real thing (swtpm) is in tpm_attest_test and the system tests.
 */
#ifndef FL_TEST_TPM_RIG_H
#define FL_TEST_TPM_RIG_H

#include "test/unit/unit.h"

#include "codec/evidence.h"
#include "trust/key.h"
#include "trust/quote.h"
#include "trust/tpm_wire.h"

#include <openssl/core_names.h>

#define RIG_AK_ATTRIBUTES 0x50072U /* as io/tpm_attest makes it */
#define RIG_EK_ATTRIBUTES 0x300B2U

struct tpm_rig {
    EVP_PKEY *ek;
    EVP_PKEY *ak;
    struct fl_buffer ek_area;
    struct fl_buffer ak_area;
    struct fl_pcrs pcrs;
    uint64_t clock;
    uint32_t resets;
    uint32_t restarts;
    uint32_t magic;
    uint16_t type;
};

static inline void rig_put(struct fl_buffer *out, uint64_t value, size_t size)
{
    for (size_t i = size; i > 0; i--)
        assert_ok(fl_buffer_append_byte(out, (uint8_t)(value >> (8 * (i - 1)))));
}

static inline void rig_put_coordinate(struct fl_buffer *out, EVP_PKEY *key, const char *name)
{
    BIGNUM *n = NULL;
    uint8_t bytes[32];

    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
    assert_int_equal(BN_bn2binpad(n, bytes, sizeof bytes), sizeof bytes);
    BN_free(n);
    fl_tpm_put(out, fl_slice(bytes, sizeof bytes));
}

/* TPMT_PUBLIC of a P-256 key. */
static inline void rig_area(EVP_PKEY *key, uint32_t attributes, bool signs, struct fl_buffer *out)
{
    fl_buffer_clear(out);
    rig_put(out, FL_TPM_ALG_ECC, 2);
    rig_put(out, FL_TPM_ALG_SHA256, 2);
    rig_put(out, attributes, 4);
    rig_put(out, 0, 2);
    if (signs) {
        rig_put(out, FL_TPM_ALG_NULL, 2);
        rig_put(out, FL_TPM_ALG_ECDSA, 2);
        rig_put(out, FL_TPM_ALG_SHA256, 2);
    } else {
        rig_put(out, FL_TPM_ALG_AES, 2);
        rig_put(out, 128, 2);
        rig_put(out, 0x43, 2);
        rig_put(out, FL_TPM_ALG_NULL, 2);
    }
    rig_put(out, FL_TPM_P256, 2);
    rig_put(out, FL_TPM_ALG_NULL, 2);
    rig_put_coordinate(out, key, OSSL_PKEY_PARAM_EC_PUB_X);
    rig_put_coordinate(out, key, OSSL_PKEY_PARAM_EC_PUB_Y);
}

static inline void rig_make(struct tpm_rig *rig)
{
    *rig = (struct tpm_rig){.ek_area = FL_BUFFER(1024),
                            .ak_area = FL_BUFFER(1024),
                            .pcrs.present = 0xFF,
                            .clock = 1000,
                            .resets = 3,
                            .magic = 0xFF544347U,
                            .type = 0x8018};
    assert_ok(fl_key_generate(&rig->ek, NULL));
    assert_ok(fl_key_generate(&rig->ak, NULL));
    rig_area(rig->ek, RIG_EK_ATTRIBUTES, false, &rig->ek_area);
    rig_area(rig->ak, RIG_AK_ATTRIBUTES, true, &rig->ak_area);
}

static inline void rig_free(struct tpm_rig *rig)
{
    EVP_PKEY_free(rig->ek);
    EVP_PKEY_free(rig->ak);
    fl_buffer_free(&rig->ek_area);
    fl_buffer_free(&rig->ak_area);
}

/* Over the PCRs `which`, signed by `key`. */
static inline void rig_quote_by(const struct tpm_rig *rig, EVP_PKEY *key, struct fl_slice extra,
                                uint32_t which, struct fl_buffer *attest,
                                struct fl_buffer *signature)
{
    uint8_t digest[32];
    uint8_t raw[64];

    fl_buffer_clear(attest);
    fl_buffer_clear(signature);
    fl_quote_digest(&rig->pcrs, which, digest);
    rig_put(attest, rig->magic, 4);
    rig_put(attest, rig->type, 2);
    fl_tpm_put(attest, fl_slice_str("a name"));
    fl_tpm_put(attest, extra);
    rig_put(attest, rig->clock, 8);
    rig_put(attest, rig->resets, 4);
    rig_put(attest, rig->restarts, 4);
    rig_put(attest, 1, 1);
    rig_put(attest, 7, 8);
    rig_put(attest, 1, 4);
    rig_put(attest, FL_TPM_ALG_SHA256, 2);
    rig_put(attest, 3, 1);
    for (unsigned i = 0; i < 3; i++)
        rig_put(attest, which >> (8 * i) & 0xFF, 1);
    fl_tpm_put(attest, fl_slice(digest, sizeof digest));
    assert_ok(fl_es256_sign(key, fl_buffer_slice(attest), raw, NULL));
    rig_put(signature, FL_TPM_ALG_ECDSA, 2);
    rig_put(signature, FL_TPM_ALG_SHA256, 2);
    fl_tpm_put(signature, fl_slice(raw, 32));
    fl_tpm_put(signature, fl_slice(raw + 32, 32));
}

#endif
