/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/seal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>

#define SIZE_MAX_SEALED ((size_t)1 << 30)

struct fl_seal {
    EVP_CIPHER_CTX *shut; /* each with the key set, so that a text costs only its nonce */
    EVP_CIPHER_CTX *open;
};

enum fl_error fl_seal_derive(const uint8_t secret[FL_SEAL_KEY], struct fl_slice salt,
                             const char *label, uint8_t to[FL_SEAL_KEY], struct fl_context *ctx)
{
    uint8_t key[FL_SEAL_KEY];
    uint8_t salt_bytes[64];
    char info[64];
    char digest[] = "SHA256";
    const struct fl_slice name = fl_slice_str(label);
    OSSL_PARAM params[5];
    EVP_KDF *kdf = NULL;
    EVP_KDF_CTX *derivation = NULL;
    enum fl_error error = FL_OK;

    if (salt.size > sizeof salt_bytes || name.size > sizeof info)
        return fl_fail(ctx, FL_ELIMIT, "seal: the salt or the label is too long");
    /* OSSL_PARAM takes what it only reads as if it could write there. */
    memcpy(key, secret, sizeof key);
    if (name.size)
        memcpy(info, name.data, name.size);
    if (salt.size)
        memcpy(salt_bytes, salt.data, salt.size);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, sizeof key);
    params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt_bytes, salt.size);
    params[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, name.size);
    params[4] = OSSL_PARAM_construct_end();
    kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    derivation = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    if (!derivation || EVP_KDF_derive(derivation, to, FL_SEAL_KEY, params) != 1)
        error = fl_fail(ctx, FL_ECRYPTO, "seal: the key could not be derived");
    EVP_KDF_CTX_free(derivation);
    EVP_KDF_free(kdf);
    OPENSSL_cleanse(key, sizeof key);
    return error;
}

enum fl_error fl_seal_new(const uint8_t key[FL_SEAL_KEY], struct fl_seal **seal,
                          struct fl_context *ctx)
{
    struct fl_seal *s = calloc(1, sizeof *s);

    *seal = NULL;
    if (!s)
        return fl_fail(ctx, FL_ENOMEM, "seal: out of memory");
    s->shut = EVP_CIPHER_CTX_new();
    s->open = EVP_CIPHER_CTX_new();
    if (!s->shut || !s->open ||
        EVP_EncryptInit_ex(s->shut, EVP_aes_256_gcm(), NULL, key, NULL) != 1 ||
        EVP_DecryptInit_ex(s->open, EVP_aes_256_gcm(), NULL, key, NULL) != 1) {
        fl_seal_free(s);
        return fl_fail(ctx, FL_ECRYPTO, "seal: AES-256-GCM is not to be had");
    }
    *seal = s;
    return FL_OK;
}

void fl_seal_free(struct fl_seal *seal)
{
    if (!seal)
        return;
    EVP_CIPHER_CTX_free(seal->shut);
    EVP_CIPHER_CTX_free(seal->open);
    free(seal);
}

enum fl_error fl_seal_shut(struct fl_seal *seal, const uint8_t nonce[FL_SEAL_NONCE],
                           struct fl_slice additional, struct fl_slice plain, uint8_t *to,
                           struct fl_context *ctx)
{
    int size = 0;
    int last = 0;

    if (plain.size > SIZE_MAX_SEALED || additional.size > SIZE_MAX_SEALED)
        return fl_fail(ctx, FL_ELIMIT, "seal: %zu bytes are too many", plain.size);
    if (EVP_EncryptInit_ex(seal->shut, NULL, NULL, NULL, nonce) != 1 ||
        (additional.size &&
         EVP_EncryptUpdate(seal->shut, NULL, &size, additional.data, (int)additional.size) != 1) ||
        (plain.size &&
         EVP_EncryptUpdate(seal->shut, to, &size, plain.data, (int)plain.size) != 1) ||
        EVP_EncryptFinal_ex(seal->shut, to + plain.size, &last) != 1 ||
        EVP_CIPHER_CTX_ctrl(seal->shut, EVP_CTRL_AEAD_GET_TAG, FL_SEAL_TAG, to + plain.size) != 1)
        return fl_fail(ctx, FL_ECRYPTO, "seal: sealing failed");
    return FL_OK;
}

enum fl_error fl_seal_open(struct fl_seal *seal, const uint8_t nonce[FL_SEAL_NONCE],
                           struct fl_slice additional, struct fl_slice sealed, uint8_t *to,
                           struct fl_context *ctx)
{
    uint8_t tag[FL_SEAL_TAG];
    uint8_t none[16]; /* the cipher wants a place, also for nothing */
    size_t plain_size = 0;
    int size = 0;
    int last = 0;

    if (sealed.size < FL_SEAL_TAG)
        return fl_fail(ctx, FL_EAUTH, "seal: too short to be sealed");
    if (sealed.size > SIZE_MAX_SEALED || additional.size > SIZE_MAX_SEALED)
        return fl_fail(ctx, FL_ELIMIT, "seal: %zu bytes are too many", sealed.size);
    plain_size = sealed.size - FL_SEAL_TAG;
    memcpy(tag, sealed.data + plain_size, sizeof tag);
    if (EVP_DecryptInit_ex(seal->open, NULL, NULL, NULL, nonce) != 1 ||
        (additional.size &&
         EVP_DecryptUpdate(seal->open, NULL, &size, additional.data, (int)additional.size) != 1) ||
        (plain_size &&
         EVP_DecryptUpdate(seal->open, to, &size, sealed.data, (int)plain_size) != 1) ||
        EVP_CIPHER_CTX_ctrl(seal->open, EVP_CTRL_AEAD_SET_TAG, FL_SEAL_TAG, tag) != 1) {
        OPENSSL_cleanse(to, plain_size);
        return fl_fail(ctx, FL_ECRYPTO, "seal: opening failed");
    }
    if (EVP_DecryptFinal_ex(seal->open, none, &last) != 1) {
        OPENSSL_cleanse(to, plain_size);
        return fl_fail(ctx, FL_EAUTH, "seal: another key, or changed bytes");
    }
    return FL_OK;
}
