/* SPDX-License-Identifier: Apache-2.0
 * TPM2_MakeCredential without a TPM: the constructions are the TPM's (Part 1), what they are built
 * of is OpenSSL's: KDFa is its KBKDF, KDFe its single step KDF. */
#include "trust/key.h"
#include "trust/tpm_public.h"
#include "trust/tpm_wire.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#define SEED_SIZE 32
#define P256_SIZE 32
#define SECRET_MAX 32
#define LABEL "IDENTITY" /* with its terminator on the wire */

static void *unconst(const void *data)
{
    return (void *)(uintptr_t)data;
}

static bool derive(const char *kind, OSSL_PARAM *params, uint8_t *out, size_t size)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, kind, NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    bool good = ctx && EVP_KDF_derive(ctx, out, size, params) == 1;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return good;
}

static OSSL_PARAM octets(const char *name, struct fl_slice bytes)
{
    return OSSL_PARAM_construct_octet_string(name, unconst(bytes.data), bytes.size);
}

static OSSL_PARAM text(const char *name, const char *value)
{
    return OSSL_PARAM_construct_utf8_string(name, unconst(value), 0);
}

/* Part 1 11.4.10.2, with SHA-256. */
static bool kdfa(const uint8_t seed[SEED_SIZE], const char *label, struct fl_slice context,
                 uint8_t *out, size_t size)
{
    OSSL_PARAM params[7];
    size_t n = 0;

    params[n++] = text(OSSL_KDF_PARAM_MODE, "counter");
    params[n++] = text(OSSL_KDF_PARAM_MAC, "HMAC");
    params[n++] = text(OSSL_KDF_PARAM_DIGEST, "SHA256");
    params[n++] = octets(OSSL_KDF_PARAM_KEY, fl_slice(seed, SEED_SIZE));
    params[n++] = octets(OSSL_KDF_PARAM_SALT, fl_slice_str(label));
    if (context.size)
        params[n++] = octets(OSSL_KDF_PARAM_INFO, context);
    params[n] = OSSL_PARAM_construct_end();
    return derive("KBKDF", params, out, size);
}

/* Part 1 11.4.10.3, with SHA-256. */
static bool kdfe(const uint8_t z[P256_SIZE], const uint8_t party_u[P256_SIZE],
                 const uint8_t party_v[P256_SIZE], uint8_t seed[SEED_SIZE])
{
    uint8_t info[sizeof LABEL + (size_t)2 * P256_SIZE];
    OSSL_PARAM params[4];

    memcpy(info, LABEL, sizeof LABEL);
    memcpy(info + sizeof LABEL, party_u, P256_SIZE);
    memcpy(info + sizeof LABEL + P256_SIZE, party_v, P256_SIZE);
    params[0] = text(OSSL_KDF_PARAM_DIGEST, "SHA256");
    params[1] = octets(OSSL_KDF_PARAM_KEY, fl_slice(z, P256_SIZE));
    params[2] = octets(OSSL_KDF_PARAM_INFO, fl_slice(info, sizeof info));
    params[3] = OSSL_PARAM_construct_end();
    return derive("SSKDF", params, seed, SEED_SIZE);
}

/* --- the seed, for the endorsement key --- */

static bool coordinates(EVP_PKEY *key, uint8_t x[P256_SIZE], uint8_t y[P256_SIZE])
{
    BIGNUM *bx = NULL;
    BIGNUM *by = NULL;
    bool good = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &bx) == 1 &&
                EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &by) == 1 &&
                BN_bn2binpad(bx, x, P256_SIZE) == P256_SIZE &&
                BN_bn2binpad(by, y, P256_SIZE) == P256_SIZE;

    BN_free(bx);
    BN_free(by);
    return good;
}

static bool exchange(EVP_PKEY *own, EVP_PKEY *other, uint8_t z[P256_SIZE])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
    size_t size = P256_SIZE;
    bool good = ctx && EVP_PKEY_derive_init(ctx) == 1 &&
                EVP_PKEY_derive_set_peer(ctx, other) == 1 && EVP_PKEY_derive(ctx, z, &size) == 1 &&
                size == P256_SIZE;

    EVP_PKEY_CTX_free(ctx);
    return good;
}

static bool seed_by_ecdh(EVP_PKEY *ek, uint8_t seed[SEED_SIZE], struct fl_buffer *sealed)
{
    EVP_PKEY *ephemeral = EVP_EC_gen("P-256");
    struct fl_buffer point = FL_BUFFER(128);
    uint8_t z[P256_SIZE];
    uint8_t x[P256_SIZE];
    uint8_t y[P256_SIZE];
    uint8_t ek_x[P256_SIZE];
    uint8_t ek_y[P256_SIZE];
    bool good = ephemeral && exchange(ephemeral, ek, z) && coordinates(ephemeral, x, y) &&
                coordinates(ek, ek_x, ek_y) && kdfe(z, x, ek_x, seed);

    fl_tpm_put(&point, fl_slice(x, good ? sizeof x : 0));
    fl_tpm_put(&point, fl_slice(y, good ? sizeof y : 0));
    fl_tpm_put(sealed, fl_buffer_slice(&point));
    explicit_bzero(z, sizeof z);
    fl_buffer_free(&point);
    EVP_PKEY_free(ephemeral);
    return good;
}

static bool seed_by_oaep(EVP_PKEY *ek, uint8_t seed[SEED_SIZE], struct fl_buffer *sealed)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(ek, NULL);
    void *label = OPENSSL_memdup(LABEL, sizeof LABEL);
    uint8_t out[256];
    size_t size = sizeof out;
    bool labelled = false;
    bool good = ctx && label && RAND_bytes(seed, SEED_SIZE) == 1 &&
                EVP_PKEY_encrypt_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
                EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
                EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;

    labelled = good && EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label, sizeof LABEL) == 1;
    if (!labelled)
        OPENSSL_free(label);
    good = labelled && EVP_PKEY_encrypt(ctx, out, &size, seed, SEED_SIZE) == 1;
    fl_tpm_put(sealed, fl_slice(out, good ? size : 0));
    EVP_PKEY_CTX_free(ctx);
    return good;
}

/* --- the blob --- */

static bool encrypt(const struct fl_tpm_public *ek, const uint8_t seed[SEED_SIZE],
                    struct fl_slice ak_name, struct fl_slice plain, uint8_t *out)
{
    static const uint8_t iv[16];
    size_t key_size = ek->key_bits / 8;
    uint8_t key[32];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int size = 0;
    bool good =
        ctx && key_size <= sizeof key && kdfa(seed, "STORAGE", ak_name, key, key_size) &&
        EVP_EncryptInit_ex(ctx, key_size == 32 ? EVP_aes_256_cfb128() : EVP_aes_128_cfb128(), NULL,
                           key, iv) == 1 &&
        EVP_EncryptUpdate(ctx, out, &size, plain.data, (int)plain.size) == 1 &&
        (size_t)size == plain.size;

    explicit_bzero(key, sizeof key);
    EVP_CIPHER_CTX_free(ctx);
    return good;
}

static bool authenticate(const uint8_t seed[SEED_SIZE], struct fl_slice message, uint8_t mac[32])
{
    uint8_t key[32];
    size_t size = 0;
    bool good = kdfa(seed, "INTEGRITY", fl_slice(NULL, 0), key, sizeof key) &&
                EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, sizeof key, message.data,
                          message.size, mac, 32, &size) != NULL &&
                size == 32;

    explicit_bzero(key, sizeof key);
    return good;
}

static bool make_blob(const struct fl_tpm_public *ek, const uint8_t seed[SEED_SIZE],
                      struct fl_slice ak_name, struct fl_slice secret, struct fl_buffer *blob)
{
    struct fl_buffer plain = FL_BUFFER(64);
    struct fl_buffer message = FL_BUFFER(128);
    struct fl_buffer object = FL_BUFFER(256);
    uint8_t sealed[64];
    uint8_t mac[32] = {0};
    size_t size = 0;
    bool good = false;

    fl_tpm_put(&plain, secret);
    size = fl_buffer_slice(&plain).size;
    good = encrypt(ek, seed, ak_name, fl_buffer_slice(&plain), sealed);
    (void)fl_buffer_append(&message, sealed, good ? size : 0);
    (void)fl_buffer_append_slice(&message, ak_name);
    good = good && authenticate(seed, fl_buffer_slice(&message), mac);
    fl_tpm_put(&object, fl_slice(mac, sizeof mac));
    (void)fl_buffer_append(&object, sealed, good ? size : 0);
    fl_tpm_put(blob, fl_buffer_slice(&object));
    good = good && !plain.failed && !message.failed && !object.failed && !blob->failed;
    fl_buffer_free(&plain);
    fl_buffer_free(&message);
    fl_buffer_free(&object);
    return good;
}

enum fl_error fl_tpm_credential_make(const struct fl_tpm_public *ek,
                                     const uint8_t ak_name[FL_TPM_NAME_SIZE],
                                     struct fl_slice secret, struct fl_buffer *blob,
                                     struct fl_buffer *sealed, struct fl_context *ctx)
{
    uint8_t seed[SEED_SIZE];
    bool good = secret.size > 0 && secret.size <= SECRET_MAX;

    good = good &&
           (ek->is_ecc ? seed_by_ecdh(ek->key, seed, sealed) : seed_by_oaep(ek->key, seed, sealed));
    good = good && make_blob(ek, seed, fl_slice(ak_name, FL_TPM_NAME_SIZE), secret, blob);
    explicit_bzero(seed, sizeof seed);
    if (good && !sealed->failed)
        return FL_OK;
    return fl_crypto_fail(ctx, "make a credential for a TPM");
}
