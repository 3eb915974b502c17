/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/reading_seal.h"

#include "base/endian.h"
#include "base/str.h"
#include "trust/key.h"

#include <openssl/err.h>
#include <stdlib.h>

#define TAG_SIZE 16
#define VALUE_SIZE 8
#define SIV_KEY (2 * FL_DATAKEY_SIZE) /* RFC 5297 section 2.2: one half for S2V, one for CTR */

/* Setting a key up costs three times what a value does, so each direction keeps a context with the
 * key in it, of which every value takes a copy. A context takes 2 KB: that for opening is made when
 * something is opened, and the copy is emptied after each use. */
struct fl_reading_seal {
    EVP_CIPHER_CTX *sealing;
    EVP_CIPHER_CTX *opening;
    EVP_CIPHER_CTX *work;
    uint8_t key[SIV_KEY];
};

static bool set_up(const uint8_t key[SIV_KEY], bool sealing, EVP_CIPHER_CTX **with_key)
{
    EVP_CIPHER *siv = NULL;
    bool good = false;

    if (*with_key)
        return true;
    siv = EVP_CIPHER_fetch(NULL, "AES-256-SIV", NULL);
    *with_key = EVP_CIPHER_CTX_new();
    good = siv && *with_key && EVP_CipherInit_ex2(*with_key, siv, key, NULL, sealing, NULL) == 1;
    if (!good) {
        EVP_CIPHER_CTX_free(*with_key);
        *with_key = NULL;
    }
    EVP_CIPHER_free(siv);
    return good;
}

static enum fl_error begin(struct fl_reading_seal *s, struct fl_context *ctx)
{
    s->work = EVP_CIPHER_CTX_new();
    return s->work && set_up(s->key, true, &s->sealing) ? FL_OK
                                                        : fl_crypto_fail(ctx, "AES-256-SIV");
}

enum fl_error fl_reading_seal_create(const uint8_t key[FL_DATAKEY_SIZE],
                                     struct fl_reading_seal **seal, struct fl_context *ctx)
{
    uint8_t both[SIV_KEY];
    enum fl_error error = fl_datakey_derive(key, "fairlead reading mac 1", both, ctx);

    *seal = NULL;
    if (error == FL_OK)
        error = fl_datakey_derive(key, "fairlead reading enc 1", both + FL_DATAKEY_SIZE, ctx);
    if (error == FL_OK) {
        *seal = calloc(1, sizeof **seal);
        error = *seal ? FL_OK : fl_fail(ctx, FL_ENOMEM, "out of memory");
    }
    if (error == FL_OK && *seal) {
        memcpy((*seal)->key, both, sizeof both);
        error = begin(*seal, ctx);
    }
    explicit_bzero(both, sizeof both);
    if (error != FL_OK) {
        fl_reading_seal_free(*seal);
        *seal = NULL;
    }
    return error;
}

void fl_reading_seal_free(struct fl_reading_seal *seal)
{
    if (!seal)
        return;
    EVP_CIPHER_CTX_free(seal->sealing); /* these wipe the key */
    EVP_CIPHER_CTX_free(seal->opening);
    EVP_CIPHER_CTX_free(seal->work);
    explicit_bzero(seal, sizeof *seal);
    free(seal);
}

/* The time, of fixed size, and then the stream: no two pairs read the same. */
static bool associate(EVP_CIPHER_CTX *work, struct fl_slice stream, fl_time_t t)
{
    uint8_t bound[8 + FL_NAME_MAX];
    int size = 0;

    fl_put_be64(bound, (uint64_t)t);
    memcpy(bound + 8, stream.data, stream.size);
    return EVP_CipherUpdate(work, NULL, &size, bound, (int)(8 + stream.size)) == 1;
}

enum fl_error fl_reading_seal_value(struct fl_reading_seal *seal, struct fl_slice stream,
                                    fl_time_t t, double value, uint8_t sealed[FL_READING_SEAL_SIZE],
                                    struct fl_context *ctx)
{
    uint8_t plain[VALUE_SIZE];
    uint64_t bits = 0;
    int size = 0;
    /* Zero has two signs and is stored once. */
    double one_zero = value + 0.0;
    bool good = false;

    if (!fl_name_valid(stream))
        return fl_fail(ctx, FL_EINVAL, "seal: not a stream name");
    memcpy(&bits, &one_zero, sizeof bits);
    fl_put_be64(plain, bits);
    good = EVP_CIPHER_CTX_copy(seal->work, seal->sealing) == 1 &&
           associate(seal->work, stream, t) &&
           EVP_EncryptUpdate(seal->work, sealed + TAG_SIZE, &size, plain, sizeof plain) == 1 &&
           size == VALUE_SIZE &&
           EVP_EncryptFinal_ex(seal->work, sealed + TAG_SIZE + VALUE_SIZE, &size) == 1 &&
           EVP_CIPHER_CTX_ctrl(seal->work, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, sealed) == 1;
    (void)EVP_CIPHER_CTX_reset(seal->work);
    explicit_bzero(plain, sizeof plain);
    return good ? FL_OK : fl_crypto_fail(ctx, "seal a value");
}

enum fl_error fl_reading_seal_open(struct fl_reading_seal *seal, struct fl_slice stream,
                                   fl_time_t t, struct fl_slice sealed, double *value,
                                   struct fl_context *ctx)
{
    uint8_t tag[TAG_SIZE];
    uint8_t plain[VALUE_SIZE + TAG_SIZE]; /* room as for any block */
    uint64_t bits = 0;
    int size = 0;
    bool good = false;

    *value = 0;
    if (!fl_name_valid(stream) || sealed.size != FL_READING_SEAL_SIZE)
        return fl_fail(ctx, FL_EAUTH, "a sealed value is malformed");
    memcpy(tag, sealed.data, sizeof tag);
    good = set_up(seal->key, false, &seal->opening) &&
           EVP_CIPHER_CTX_copy(seal->work, seal->opening) == 1 &&
           EVP_CIPHER_CTX_ctrl(seal->work, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
           associate(seal->work, stream, t) &&
           EVP_DecryptUpdate(seal->work, plain, &size, sealed.data + TAG_SIZE, VALUE_SIZE) == 1 &&
           size == VALUE_SIZE && EVP_DecryptFinal_ex(seal->work, plain + VALUE_SIZE, &size) == 1;
    (void)EVP_CIPHER_CTX_reset(seal->work);
    if (!good) {
        ERR_clear_error();
        return fl_fail(ctx, FL_EAUTH, "a sealed value does not open: it was changed, or moved");
    }
    bits = fl_get_be64(plain);
    memcpy(value, &bits, sizeof bits);
    explicit_bzero(plain, sizeof plain);
    return FL_OK;
}
