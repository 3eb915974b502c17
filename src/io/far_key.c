/* SPDX-License-Identifier: Apache-2.0 */
/* EC_KEY_METHOD is how a foreign signer comes under EVP without a provider of its own; OpenSSL 3
 * calls it deprecated and keeps it. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "io/far_key.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <stdlib.h>

/* Behind an EC_KEY; shared by its copies. */
struct holder {
    struct fl_far_signer signer;
    unsigned references;
};

static void ex_free(void *parent, void *item, CRYPTO_EX_DATA *data, int index, long argl,
                    void *argp)
{
    struct holder *holder = item;

    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    if (!holder || --holder->references > 0)
        return;
    holder->signer.free(holder->signer.self);
    free(holder);
}

static int ex_dup(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **item, int index, long argl,
                  void *argp)
{
    struct holder *holder = *item;

    (void)to, (void)from, (void)index, (void)argl, (void)argp;
    if (holder)
        holder->references++;
    return 1;
}

static int ex_index(void)
{
    static int index = -1;

    if (index < 0)
        index = EC_KEY_get_ex_new_index(0, NULL, NULL, ex_dup, ex_free);
    return index;
}

static ECDSA_SIG *to_ecdsa(const uint8_t *signature)
{
    BIGNUM *r = BN_bin2bn(signature, FL_P256_SIZE, NULL);
    BIGNUM *s = BN_bin2bn(signature + FL_P256_SIZE, FL_P256_SIZE, NULL);
    ECDSA_SIG *made = ECDSA_SIG_new();

    if (made && r && s && ECDSA_SIG_set0(made, r, s))
        return made;
    ECDSA_SIG_free(made);
    BN_free(r);
    BN_free(s);
    return NULL;
}

static ECDSA_SIG *sign_for_openssl(const unsigned char *bytes, int size, const BIGNUM *k_inverse,
                                   const BIGNUM *r, EC_KEY *ec)
{
    const struct holder *holder = EC_KEY_get_ex_data(ec, ex_index());
    uint8_t signature[FL_P256_SIGNATURE] = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    (void)k_inverse, (void)r;
    if (!holder)
        return NULL;
    if (size == FL_P256_SIZE)
        error = holder->signer.sign(holder->signer.self, bytes, signature, &ctx);
    else
        error =
            fl_fail(&ctx, FL_EUNSUPPORTED, "this key signs SHA-256 digests, not %d octets", size);
    holder->signer.signed_with(holder->signer.self, error ? ctx.text : "");
    if (error) {
        ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "%s", ctx.text);
        return NULL;
    }
    return to_ecdsa(signature);
}

static const EC_KEY_METHOD *method(void)
{
    static EC_KEY_METHOD *made;
    int (*sign)(int, const unsigned char *, int, unsigned char *, unsigned int *, const BIGNUM *,
                const BIGNUM *, EC_KEY *) = NULL;

    if (made)
        return made;
    made = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    if (!made)
        return NULL;
    EC_KEY_METHOD_get_sign(made, &sign, NULL, NULL);
    EC_KEY_METHOD_set_sign(made, sign, NULL, sign_for_openssl);
    return made;
}

static EC_KEY *to_ec_key(struct fl_slice x, struct fl_slice y)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    BIGNUM *bx = BN_bin2bn(x.data, (int)x.size, NULL);
    BIGNUM *by = BN_bin2bn(y.data, (int)y.size, NULL);
    bool made = ec && bx && by && method() && EC_KEY_set_method(ec, method()) == 1 &&
                EC_KEY_set_public_key_affine_coordinates(ec, bx, by) == 1;

    BN_free(bx);
    BN_free(by);
    if (made)
        return ec;
    EC_KEY_free(ec);
    return NULL;
}

enum fl_error fl_far_key(const struct fl_far_signer *signer, struct fl_slice x, struct fl_slice y,
                         EVP_PKEY **key, struct fl_context *ctx)
{
    struct holder *holder = calloc(1, sizeof *holder);
    EC_KEY *ec = x.size <= FL_P256_SIZE && y.size <= FL_P256_SIZE ? to_ec_key(x, y) : NULL;
    EVP_PKEY *made = EVP_PKEY_new();

    /* Once it is in the EC_KEY, the holder and `self` go with that; so that comes last. */
    if (holder && ec && made) {
        *holder = (struct holder){.signer = *signer, .references = 1};
        if (EVP_PKEY_set1_EC_KEY(made, ec) == 1 &&
            EC_KEY_set_ex_data(ec, ex_index(), holder) == 1) {
            EC_KEY_free(ec);
            *key = made;
            return FL_OK;
        }
    }
    EVP_PKEY_free(made);
    EC_KEY_free(ec);
    free(holder);
    ERR_clear_error();
    return fl_fail(ctx, FL_ECRYPTO, "OpenSSL does not take the key's public point");
}
