/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/key.h"

#include "base/str.h"
#include "trust/der.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/sha.h>

/* scrypt's cost: 16 MB and some 100 ms. OpenSSL itself refuses to read files that want over 32 MB.
 */
enum { SCRYPT_N = 16384, SCRYPT_R = 8, SCRYPT_P = 2 };

enum fl_error fl_crypto_fail(struct fl_context *ctx, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *words = ERR_reason_error_string(code);

    ERR_clear_error();
    return fl_fail(ctx, FL_ECRYPTO, "%s: %s", what, words ? words : "failed");
}

void fl_sha256(struct fl_slice in, uint8_t out[FL_SHA256_SIZE])
{
    static const uint8_t nothing[1];

    (void)SHA256(in.size ? in.data : nothing, in.size, out);
}

enum fl_error fl_key_generate(EVP_PKEY **key, struct fl_context *ctx)
{
    *key = EVP_EC_gen("P-256");
    if (!*key)
        return fl_crypto_fail(ctx, "make a key");
    return FL_OK;
}

/* PBES2 with scrypt; OpenSSL's own PEM writer knows only PBKDF2. */
static int write_sealed(BIO *bio, EVP_PKEY *key, const char *passphrase)
{
    PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(key);
    X509_ALGOR *scheme =
        PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 0, NULL, SCRYPT_N, SCRYPT_R, SCRYPT_P);
    X509_SIG *sealed = NULL;
    int done = 0;

    if (plain && scheme)
        sealed = PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), plain, scheme);
    if (sealed) {
        scheme = NULL; /* belongs to `sealed` now */
        done = PEM_write_bio_PKCS8(bio, sealed);
    }
    X509_SIG_free(sealed);
    X509_ALGOR_free(scheme);
    PKCS8_PRIV_KEY_INFO_free(plain);
    return done;
}

enum fl_error fl_key_to_pem(EVP_PKEY *key, const char *passphrase, struct fl_buffer *pem,
                            struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    BIO *bio = NULL;
    int done = 0;

    if (passphrase && (passphrase[0] == 0 || strlen(passphrase) >= PEM_BUFSIZE))
        return fl_fail(ctx, FL_EINVAL, "a passphrase has 1 to %d octets", PEM_BUFSIZE - 1);
    bio = BIO_new(BIO_s_mem());
    if (!bio)
        return fl_crypto_fail(ctx, "write a key");
    done = passphrase ? write_sealed(bio, key, passphrase)
                      : PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    error = done == 1 ? fl_der_take(bio, pem, ctx) : fl_crypto_fail(ctx, "write a key");
    BIO_free(bio); /* a memory BIO wipes its bytes */
    return error;
}

struct asked {
    const char *passphrase;
    bool was_asked;
};

static int give_passphrase(char *to, int size, int writing, void *u)
{
    struct asked *asked = u;
    size_t length = asked->passphrase ? strlen(asked->passphrase) : 0;

    (void)writing;
    asked->was_asked = true;
    if (length == 0 || length > (size_t)size)
        return -1;
    memcpy(to, asked->passphrase, length);
    return (int)length;
}

enum fl_error fl_key_from_pem(struct fl_slice pem, const char *passphrase, EVP_PKEY **key,
                              struct fl_context *ctx)
{
    struct asked asked = {.passphrase = passphrase};
    BIO *bio = fl_der_reader(pem);

    *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &asked) : NULL;
    BIO_free(bio);
    if (!*key && asked.was_asked)
        return fl_der_refuse(ctx, FL_EAUTH, "%s",
                             passphrase ? "the passphrase does not open the key"
                                        : "the key is sealed with a passphrase");
    if (!*key)
        return fl_der_refuse(ctx, FL_EPARSE, "not a private key in PEM");
    ERR_clear_error();
    return FL_OK;
}

enum fl_error fl_key_public_pem(EVP_PKEY *key, struct fl_buffer *pem, struct fl_context *ctx)
{
    BIO *bio = BIO_new(BIO_s_mem());
    enum fl_error error = FL_OK;

    if (bio && PEM_write_bio_PUBKEY(bio, key) == 1)
        error = fl_der_take(bio, pem, ctx);
    else
        error = fl_crypto_fail(ctx, "write a public key");
    BIO_free(bio);
    return error;
}

enum fl_error fl_key_public_from_pem(struct fl_slice pem, EVP_PKEY **key, struct fl_context *ctx)
{
    BIO *bio = fl_der_reader(pem);

    *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (!*key)
        return fl_der_refuse(ctx, FL_EPARSE, "not a public key in PEM");
    ERR_clear_error();
    return FL_OK;
}

enum fl_error fl_key_id(EVP_PKEY *key, char id[FL_KEY_ID_TEXT])
{
    uint8_t digest[FL_SHA256_SIZE];
    uint8_t *der = NULL;
    int size = i2d_PUBKEY(key, &der);

    if (size < 0) {
        ERR_clear_error();
        return FL_ECRYPTO;
    }
    fl_sha256(fl_slice(der, (size_t)size), digest);
    OPENSSL_free(der);
    fl_hex(id, FL_KEY_ID_TEXT, fl_slice(digest, 8));
    return FL_OK;
}

bool fl_key_is_p256(const EVP_PKEY *key)
{
    char group[64];

    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

/* OpenSSL's ECDSA signatures are DER; ES256 is the two numbers side by side. */
static bool der_to_raw(const uint8_t *der, size_t size, uint8_t out[64])
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)size);
    bool done = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, 32) == 32 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + 32, 32) == 32;

    ECDSA_SIG_free(pair);
    return done;
}

enum fl_error fl_es256_sign(EVP_PKEY *key, struct fl_slice message, uint8_t out[64],
                            struct fl_context *ctx)
{
    uint8_t der[128];
    size_t size = sizeof der;
    EVP_MD_CTX *md = NULL;
    enum fl_error error = FL_OK;

    if (!fl_key_is_p256(key))
        return fl_fail(ctx, FL_EINVAL, "ES256 needs a key on P-256");
    md = EVP_MD_CTX_new();
    if (!md || EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(md, der, &size, message.data, message.size) != 1 ||
        !der_to_raw(der, size, out))
        error = fl_crypto_fail(ctx, "sign");
    EVP_MD_CTX_free(md);
    return error;
}

/* The DER form of r || s; the size or -1. */
static int raw_to_der(const uint8_t raw[64], uint8_t **der)
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, 32, NULL);
    BIGNUM *s = BN_bin2bn(raw + 32, 32, NULL);
    int size = -1;

    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = NULL; /* both belong to the pair now */
        s = NULL;
        size = i2d_ECDSA_SIG(pair, der);
    }
    BN_free(s);
    BN_free(r);
    ECDSA_SIG_free(pair);
    return size;
}

enum fl_error fl_es256_verify(EVP_PKEY *key, struct fl_slice message, const uint8_t signature[64])
{
    enum fl_error error = FL_EAUTH;
    uint8_t *der = NULL;
    EVP_MD_CTX *md = NULL;
    int size = 0;

    if (!fl_key_is_p256(key))
        return FL_EAUTH;
    size = raw_to_der(signature, &der);
    md = EVP_MD_CTX_new();
    if (size > 0 && md && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestVerify(md, der, (size_t)size, message.data, message.size) == 1)
        error = FL_OK;
    EVP_MD_CTX_free(md);
    OPENSSL_free(der);
    ERR_clear_error();
    return error;
}
