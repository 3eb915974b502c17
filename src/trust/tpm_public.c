/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/tpm_public.h"

#include "base/str.h"
#include "trust/key.h"
#include "trust/tpm_wire.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

enum {
    FIXED_TPM = 0x2,
    FIXED_PARENT = 0x10,
    TPM_MADE_IT = 0x20, /* sensitiveDataOrigin */
    RESTRICTED = 0x10000,
    DECRYPT = 0x20000,
    SIGN = 0x40000,
    RSA_BITS = 2048,
    RSA_EXPONENT = 65537,
    P256_SIZE = 32,
};

struct area {
    uint16_t type;
    uint16_t name_algorithm;
    uint32_t attributes;
    uint16_t symmetric_bits;
    uint16_t scheme;
    uint16_t scheme_hash;
    uint16_t curve;
    uint16_t rsa_bits;
    uint32_t rsa_exponent;
    struct fl_slice x; /* or the modulus */
    struct fl_slice y;
};

static void read_symmetric(struct fl_fields *f, struct area *a)
{
    uint16_t algorithm = fl_tpm_u16(f, "symmetric");

    if (algorithm == FL_TPM_ALG_NULL)
        return;
    a->symmetric_bits = fl_tpm_u16(f, "symmetric bits");
    (void)fl_tpm_u16(f, "symmetric mode");
    if (algorithm != FL_TPM_ALG_AES && !f->bad)
        f->bad = "symmetric";
}

static void read_scheme(struct fl_fields *f, struct area *a)
{
    a->scheme = fl_tpm_u16(f, "scheme");
    if (a->scheme != FL_TPM_ALG_NULL)
        a->scheme_hash = fl_tpm_u16(f, "scheme hash");
}

static void read_ecc(struct fl_fields *f, struct area *a)
{
    a->curve = fl_tpm_u16(f, "curve");
    if (fl_tpm_u16(f, "kdf") != FL_TPM_ALG_NULL)
        (void)fl_tpm_u16(f, "kdf hash");
    a->x = fl_tpm_sized(f, "x", P256_SIZE);
    a->y = fl_tpm_sized(f, "y", P256_SIZE);
}

static void read_rsa(struct fl_fields *f, struct area *a)
{
    a->rsa_bits = fl_tpm_u16(f, "key bits");
    a->rsa_exponent = fl_tpm_u32(f, "exponent");
    a->x = fl_tpm_sized(f, "modulus", RSA_BITS / 8);
}

static enum fl_error read_area(struct fl_slice bytes, struct area *a, struct fl_context *ctx)
{
    struct fl_fields f = {.in = bytes};

    *a = (struct area){0};
    a->type = fl_tpm_u16(&f, "type");
    a->name_algorithm = fl_tpm_u16(&f, "name algorithm");
    a->attributes = fl_tpm_u32(&f, "attributes");
    (void)fl_tpm_sized(&f, "policy", 64);
    if (!f.bad && a->type != FL_TPM_ALG_ECC && a->type != FL_TPM_ALG_RSA)
        return fl_fail(ctx, FL_EUNSUPPORTED, "a TPM key that is neither ECC nor RSA");
    read_symmetric(&f, a);
    read_scheme(&f, a);
    if (a->type == FL_TPM_ALG_ECC)
        read_ecc(&f, a);
    else
        read_rsa(&f, a);
    if (f.bad)
        return fl_fail(ctx, FL_EPARSE, "a TPM's public key is malformed at '%s'", f.bad);
    if (f.in.size)
        return fl_fail(ctx, FL_EPARSE, "a TPM's public key has %zu octets too many", f.in.size);
    if (a->name_algorithm != FL_TPM_ALG_SHA256)
        return fl_fail(ctx, FL_EUNSUPPORTED, "a TPM key whose name is not of SHA-256");
    if (a->type == FL_TPM_ALG_ECC && (a->curve != FL_TPM_P256 || !a->x.size || !a->y.size))
        return fl_fail(ctx, FL_EUNSUPPORTED, "a TPM key that is not on P-256");
    if (a->type == FL_TPM_ALG_RSA && (a->rsa_bits != RSA_BITS || a->x.size != RSA_BITS / 8 ||
                                      (a->rsa_exponent != 0 && a->rsa_exponent != RSA_EXPONENT)))
        return fl_fail(ctx, FL_EUNSUPPORTED, "a TPM's RSA key that is not of 2048 bits");
    return FL_OK;
}

/* --- as a key of OpenSSL --- */

static EVP_PKEY *to_evp(const struct area *a)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *make =
        EVP_PKEY_CTX_new_from_name(NULL, a->type == FL_TPM_ALG_ECC ? "EC" : "RSA", NULL);
    BIGNUM *n = a->type == FL_TPM_ALG_RSA ? BN_bin2bn(a->x.data, (int)a->x.size, NULL) : NULL;
    /* Until OSSL_PARAM_BLD_to_param has copied it. */
    uint8_t point[1 + 2 * P256_SIZE] = {POINT_CONVERSION_UNCOMPRESSED};
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    bool good = build && make;

    if (good && a->type == FL_TPM_ALG_ECC && a->x.data && a->y.data) {
        memcpy(point + 1 + P256_SIZE - a->x.size, a->x.data, a->x.size);
        memcpy(point + sizeof point - a->y.size, a->y.data, a->y.size);
        good =
            OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
            OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point);
    } else {
        good = good && n && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
               OSSL_PARAM_BLD_push_uint(build, OSSL_PKEY_PARAM_RSA_E, RSA_EXPONENT);
    }
    params = good ? OSSL_PARAM_BLD_to_param(build) : NULL;
    if (!params || EVP_PKEY_fromdata_init(make) != 1 ||
        EVP_PKEY_fromdata(make, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(make);
    BN_free(n);
    ERR_clear_error();
    return key;
}

enum fl_error fl_tpm_public_read(struct fl_slice bytes, struct fl_tpm_public *key,
                                 struct fl_context *ctx)
{
    struct area a;
    enum fl_error error = FL_OK;

    *key = (struct fl_tpm_public){0};
    if (bytes.size > FL_LIMIT_TPM_PUBLIC)
        return fl_fail(ctx, FL_ELIMIT, "a TPM's public key has at most %d octets",
                       FL_LIMIT_TPM_PUBLIC);
    error = read_area(bytes, &a, ctx);
    if (error)
        return error;
    key->key = to_evp(&a);
    if (!key->key)
        return fl_fail(ctx, FL_EPARSE, "a TPM's public key is not one (not on its curve?)");
    key->is_ecc = a.type == FL_TPM_ALG_ECC;
    key->attributes = a.attributes;
    key->key_bits = a.symmetric_bits;
    key->name[1] = FL_TPM_ALG_SHA256;
    fl_sha256(bytes, key->name + 2);
    /* What an AK signs with is part of the key. */
    if (a.scheme != FL_TPM_ALG_NULL && a.scheme_hash != FL_TPM_ALG_SHA256) {
        fl_tpm_public_free(key);
        return fl_fail(ctx, FL_EUNSUPPORTED, "a TPM key that signs with another hash than SHA-256");
    }
    return FL_OK;
}

void fl_tpm_public_free(struct fl_tpm_public *key)
{
    EVP_PKEY_free(key->key);
    key->key = NULL;
}

enum fl_error fl_tpm_public_is_ek(const struct fl_tpm_public *key, struct fl_context *ctx)
{
    const uint32_t must = FIXED_TPM | FIXED_PARENT | TPM_MADE_IT | RESTRICTED | DECRYPT;

    if ((key->attributes & must) != must || key->attributes & SIGN ||
        (key->key_bits != 128 && key->key_bits != 256))
        return fl_fail(ctx, FL_EDENIED,
                       "that is no endorsement key: one only decrypts and never leaves its TPM");
    return FL_OK;
}

enum fl_error fl_tpm_public_is_ak(const struct fl_tpm_public *key, struct fl_context *ctx)
{
    const uint32_t must = FIXED_TPM | FIXED_PARENT | TPM_MADE_IT | RESTRICTED | SIGN;

    if ((key->attributes & must) != must || key->attributes & DECRYPT)
        return fl_fail(ctx, FL_EDENIED,
                       "that is no attestation key: one signs only what its TPM made (restricted), "
                       "and never leaves it");
    if (!key->is_ecc)
        return fl_fail(ctx, FL_EUNSUPPORTED, "attestation keys are on P-256");
    return FL_OK;
}

enum fl_error fl_tpm_ek_hash(const struct fl_tpm_public *ek, char hash[FL_EK_HASH_TEXT],
                             struct fl_context *ctx)
{
    unsigned char *der = NULL;
    uint8_t digest[FL_SHA256_SIZE];
    int size = i2d_PUBKEY(ek->key, &der);

    if (size <= 0)
        return fl_crypto_fail(ctx, "an endorsement key");
    fl_sha256(fl_slice(der, (size_t)size), digest);
    OPENSSL_free(der);
    fl_hex(hash, FL_EK_HASH_TEXT, fl_slice(digest, sizeof digest));
    return FL_OK;
}
