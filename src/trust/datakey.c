/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/datakey.h"

#include "base/base64.h"
#include "trust/der.h"
#include "trust/key.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>

#define PEM_TYPE "FAIRLEAD DATA KEY"

enum fl_error fl_datakey_to_pem(const uint8_t key[FL_DATAKEY_SIZE], struct fl_buffer *pem,
                                struct fl_context *ctx)
{
    (void)fl_buffer_append_str(pem, "-----BEGIN " PEM_TYPE "-----\n");
    (void)fl_base64_encode(fl_slice(key, FL_DATAKEY_SIZE), 64, pem);
    (void)fl_buffer_append_str(pem, "-----END " PEM_TYPE "-----\n");
    if (pem->failed)
        return fl_fail(ctx, FL_ELIMIT, "a data key in PEM does not fit");
    return FL_OK;
}

struct found {
    uint8_t *key;
    bool one;
    struct fl_context *ctx;
};

static enum fl_error take(void *to, struct fl_slice bytes)
{
    struct found *found = to;

    if (found->one)
        return fl_fail(found->ctx, FL_EPARSE, "more than one data key");
    if (bytes.size != FL_DATAKEY_SIZE)
        return fl_fail(found->ctx, FL_EPARSE, "a data key has %d octets, not %zu", FL_DATAKEY_SIZE,
                       bytes.size);
    memcpy(found->key, bytes.data, FL_DATAKEY_SIZE);
    found->one = true;
    return FL_OK;
}

enum fl_error fl_datakey_from_pem(struct fl_slice pem, uint8_t key[FL_DATAKEY_SIZE],
                                  struct fl_context *ctx)
{
    struct found found = {.key = key, .ctx = ctx};
    enum fl_error error = fl_der_each_pem(pem, PEM_TYPE, "data key", take, &found, ctx);

    if (error != FL_OK)
        explicit_bzero(key, FL_DATAKEY_SIZE);
    return error;
}

enum fl_error fl_datakey_derive(const uint8_t key[FL_DATAKEY_SIZE], const char *label,
                                uint8_t out[FL_DATAKEY_SIZE], struct fl_context *ctx)
{
    uint8_t copy[FL_DATAKEY_SIZE];
    struct fl_slice info = fl_slice_str(label);
    char digest[] = "SHA256";
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *kdf_ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    /* OpenSSL's parameters are not const, though it only reads these. */
    union {
        const uint8_t *in;
        void *out;
    } info_data = {.in = info.data};
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, copy, sizeof copy),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info_data.out, info.size),
        OSSL_PARAM_construct_end(),
    };
    enum fl_error error = FL_OK;

    memcpy(copy, key, sizeof copy);
    if (!kdf_ctx || EVP_KDF_derive(kdf_ctx, out, FL_DATAKEY_SIZE, params) != 1) {
        explicit_bzero(out, FL_DATAKEY_SIZE);
        error = fl_crypto_fail(ctx, "derive a key");
    }
    explicit_bzero(copy, sizeof copy);
    EVP_KDF_CTX_free(kdf_ctx);
    EVP_KDF_free(kdf);
    return error;
}
