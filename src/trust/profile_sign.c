/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/profile_sign.h"

#include "base/base64.h"
#include "trust/der.h"

#include <openssl/pem.h>

#define STATEMENT "signature"

/* A statement of this name at the start of any line: also one that is not the last, which the
 * parser would refuse after we had signed it. */
static bool has_signature(struct fl_slice text)
{
    struct fl_slice line = {0};
    bool more = true;

    while (more) {
        more = fl_slice_cut(&text, '\n', &line);
        while (line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t'))
            line = fl_slice_from(line, 1);
        if (line.size > sizeof STATEMENT - 1 &&
            memcmp(line.data, STATEMENT, sizeof STATEMENT - 1) == 0 &&
            (line.data[sizeof STATEMENT - 1] == ' ' || line.data[sizeof STATEMENT - 1] == '\t'))
            return true;
    }
    return false;
}

enum fl_error fl_profile_sign(struct fl_slice text, EVP_PKEY *key, struct fl_buffer *out,
                              struct fl_context *ctx)
{
    struct fl_buffer covered = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    uint8_t signature[64];
    char id[FL_KEY_ID_TEXT];
    enum fl_error error = FL_OK;

    if (text.size == 0)
        return fl_fail(ctx, FL_EINVAL, "an empty profile");
    if (has_signature(text))
        return fl_fail(ctx, FL_EEXISTS, "the profile is signed already");
    (void)fl_buffer_append_slice(&covered, text);
    if (text.data[text.size - 1] != '\n')
        (void)fl_buffer_append_byte(&covered, '\n');
    if (covered.failed) {
        error = fl_fail(ctx, FL_ELIMIT, "a profile has at most %d octets", FL_LIMIT_PROFILE_SIZE);
        goto out;
    }
    error = fl_es256_sign(key, fl_buffer_slice(&covered), signature, ctx);
    if (error == FL_OK && fl_key_id(key, id) != FL_OK)
        error = fl_crypto_fail(ctx, "name the key");
    if (error != FL_OK)
        goto out;
    (void)fl_buffer_append_slice(out, fl_buffer_slice(&covered));
    (void)fl_buffer_printf(out, STATEMENT " ES256 %s ", id);
    (void)fl_base64url_encode(fl_slice(signature, sizeof signature), out);
    (void)fl_buffer_append_byte(out, '\n');
    if (out->failed)
        error = fl_fail(ctx, FL_ELIMIT, "a signed profile has at most %zu octets", out->max);
out:
    fl_buffer_free(&covered);
    return error;
}

struct loading {
    struct fl_profile_keys *keys;
    struct fl_context *ctx;
};

static enum fl_error load_key(void *to, struct fl_slice der)
{
    struct loading *loading = to;
    struct fl_profile_keys *keys = loading->keys;
    const unsigned char *at = der.data;
    EVP_PKEY *key = NULL;

    if (keys->count == FL_LIMIT_PROFILE_KEYS)
        return fl_fail(loading->ctx, FL_ELIMIT, "more than %d profile keys", FL_LIMIT_PROFILE_KEYS);
    key = d2i_PUBKEY(NULL, &at, (long)der.size);
    if (!key || !fl_key_is_p256(key) || at != der.data + der.size ||
        fl_key_judge(key, NULL) != FL_OK || fl_key_id(key, keys->items[keys->count].id) != FL_OK) {
        EVP_PKEY_free(key);
        return fl_der_refuse(loading->ctx, FL_EPARSE, "profile key %zu is not a key on P-256",
                             keys->count + 1);
    }
    keys->items[keys->count++].key = key;
    return FL_OK;
}

enum fl_error fl_profile_keys_load(struct fl_slice pem, struct fl_profile_keys *keys,
                                   struct fl_context *ctx)
{
    struct loading loading = {.keys = keys, .ctx = ctx};
    enum fl_error error = FL_OK;

    *keys = (struct fl_profile_keys){0};
    error = fl_der_each_pem(pem, PEM_STRING_PUBLIC, "public key", load_key, &loading, ctx);
    if (error != FL_OK)
        fl_profile_keys_free(keys);
    return error;
}

void fl_profile_keys_free(struct fl_profile_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        EVP_PKEY_free(keys->items[i].key);
    *keys = (struct fl_profile_keys){0};
}

enum fl_error fl_profile_verify(const struct fl_profile *profile,
                                const struct fl_profile_keys *keys, struct fl_context *ctx)
{
    bool known = false;

    if (!profile->is_signed)
        return fl_fail(ctx, FL_EAUTH,
                       "profile '%s' is not signed (sign it with `fairlead profile sign`)",
                       profile->name);
    for (size_t i = 0; i < keys->count; i++) {
        if (strcmp(keys->items[i].id, profile->key_id) != 0)
            continue;
        known = true;
        if (fl_es256_verify(keys->items[i].key, profile->signed_text, profile->signature) == FL_OK)
            return FL_OK;
    }
    if (!known)
        return fl_fail(ctx, FL_EAUTH,
                       "profile '%s' is signed with key %s, which is not in profile-keys.pem",
                       profile->name, profile->key_id);
    return fl_fail(ctx, FL_EAUTH,
                   "profile '%s' was changed after it was signed with key %s (its signature does "
                   "not match)",
                   profile->name, profile->key_id);
}
