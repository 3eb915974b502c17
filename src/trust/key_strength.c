/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/der.h"
#include "trust/key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <sodium.h>

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 4096, RSA_EXPONENT_BITS_MAX = 64 };

static enum fl_error judge_ec(EVP_PKEY *key, struct fl_context *ctx)
{
    char group[64] = "";
    int is_explicit = 0;
    EVP_PKEY_CTX *check = NULL;
    int valid = 0;

    /* Parameters written out in full may be a forged curve that merely shares its public point. */
    if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                               &is_explicit) == 1 &&
        is_explicit)
        return fl_der_refuse(ctx, FL_EDENIED, "the key gives its curve by parameters, not by name");
    if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 ||
        (strcmp(group, SN_X9_62_prime256v1) != 0 && strcmp(group, SN_secp384r1) != 0))
        return fl_der_refuse(ctx, FL_EDENIED, "a key on curve %.40s: use P-256 or P-384",
                             group[0] ? group : "unknown");
    /* The point at infinity is on every curve, and anyone can sign for it. */
    check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    valid = check ? EVP_PKEY_public_check_quick(check) : 0;
    EVP_PKEY_CTX_free(check);
    if (valid != 1)
        return fl_der_refuse(ctx, FL_EDENIED, "the key is not a point on its curve");
    return FL_OK;
}

static enum fl_error judge_rsa(EVP_PKEY *key, struct fl_context *ctx)
{
    BIGNUM *n = NULL;
    BIGNUM *e = NULL;
    int bits = EVP_PKEY_get_bits(key);
    enum fl_error error = FL_OK;

    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
        return fl_der_refuse(ctx, FL_EDENIED, "an RSA key of %d bits: %d to %d are accepted", bits,
                             RSA_BITS_MIN, RSA_BITS_MAX);
    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) != 1 ||
        EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
        error = fl_crypto_fail(ctx, "read an RSA key");
    else if (!BN_is_odd(n))
        error = fl_der_refuse(ctx, FL_EDENIED, "the RSA modulus is even");
    else if (!BN_is_odd(e) || BN_num_bits(e) < 17 || BN_num_bits(e) > RSA_EXPONENT_BITS_MAX)
        error =
            fl_der_refuse(ctx, FL_EDENIED, "the RSA exponent must be odd, from 65537 to 64 bits");
    BN_free(e);
    BN_free(n);
    return error;
}

static enum fl_error judge_ed25519(EVP_PKEY *key, struct fl_context *ctx)
{
    uint8_t point[32];
    size_t size = sizeof point;

    /* OpenSSL takes any 32 octets; a point of small order would let anyone sign for it. */
    if (EVP_PKEY_get_raw_public_key(key, point, &size) != 1 || size != sizeof point ||
        crypto_core_ed25519_is_valid_point(point) != 1)
        return fl_der_refuse(ctx, FL_EDENIED, "the key is not a sound Ed25519 point");
    return FL_OK;
}

enum fl_error fl_key_judge(EVP_PKEY *key, struct fl_context *ctx)
{
    if (EVP_PKEY_is_a(key, "EC"))
        return judge_ec(key, ctx);
    if (EVP_PKEY_is_a(key, "RSA"))
        return judge_rsa(key, ctx);
    if (EVP_PKEY_is_a(key, "ED25519"))
        return judge_ed25519(key, ctx);
    return fl_der_refuse(ctx, FL_EDENIED,
                         "unknown kind of key: use EC P-256, P-384, Ed25519 or RSA");
}
