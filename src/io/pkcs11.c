/* SPDX-License-Identifier: Apache-2.0 */
#include "io/pkcs11.h"

#include "base/limits.h"
#include "base/str.h"
#include "io/far_key.h"
#include "io/pkcs11_parts.h"

#include <openssl/rand.h>
#include <stdlib.h>

enum {
    ID_SIZE = 16, /* of an id that we choose */
    ID_MAX = 64,  /* of one that somebody else chose */
    LABEL_MAX = 128,
    POINT_SIZE = FL_P256_SIGNATURE + 1,
    DER_OCTETS = 0x04, /* the tag, and what stands before an uncompressed point, too */
};

/* The curve: OBJECT IDENTIFIER prime256v1, as CKA_EC_PARAMS has it. */
static CK_BYTE p256_name[] = {0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07};

/* Behind an EVP_PKEY. What finds it again when the token was out: its label and id. */
struct token_key {
    struct fl_pkcs11 *token;
    CK_OBJECT_HANDLE handle;
    uint64_t opened; /* the opening that `handle` belongs to; 0: none */
    CK_BYTE label[LABEL_MAX];
    CK_ULONG label_size;
    CK_BYTE id[ID_MAX];
    CK_ULONG id_size;
};

/* --- Finding ---------------------------------------------------------------------------------- */

static enum fl_error want_from_uri(struct fl_pkcs11 *token, struct token_key *want,
                                   struct fl_context *ctx)
{
    const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(token->uri, CKA_LABEL);
    const CK_ATTRIBUTE *id = p11_kit_uri_get_attribute(token->uri, CKA_ID);

    if ((label && label->ulValueLen > LABEL_MAX) || (id && id->ulValueLen > ID_MAX))
        return fl_fail(ctx, FL_ELIMIT,
                       "a key in a token has a label of at most %d and an id of at most %d octets",
                       LABEL_MAX, ID_MAX);
    if (label && label->ulValueLen) {
        want->label_size = label->ulValueLen;
        memcpy(want->label, label->pValue, want->label_size);
    }
    if (id && id->ulValueLen) {
        want->id_size = id->ulValueLen;
        memcpy(want->id, id->pValue, want->id_size);
    }
    return FL_OK;
}

/* One object of the class that fits; FL_ENOTFOUND, FL_EEXISTS without words. */
static enum fl_error find_one(struct fl_pkcs11 *token, CK_SESSION_HANDLE session,
                              CK_OBJECT_CLASS class, struct token_key *want,
                              CK_OBJECT_HANDLE *handle, struct fl_context *ctx)
{
    CK_FUNCTION_LIST *p11 = token->module;
    CK_ATTRIBUTE wanted[3] = {{CKA_CLASS, &class, sizeof class}};
    CK_OBJECT_HANDLE found[2] = {0};
    CK_ULONG count = 1;
    CK_RV rv = CKR_OK;

    if (want->label_size)
        wanted[count++] = (CK_ATTRIBUTE){CKA_LABEL, want->label, want->label_size};
    if (want->id_size)
        wanted[count++] = (CK_ATTRIBUTE){CKA_ID, want->id, want->id_size};
    rv = p11->C_FindObjectsInit(session, wanted, count);
    if (rv != CKR_OK)
        return fl_pkcs11_fail(token, rv, "look for the key", ctx);
    count = 0;
    rv = p11->C_FindObjects(session, found, 2, &count);
    (void)p11->C_FindObjectsFinal(session);
    if (rv != CKR_OK)
        return fl_pkcs11_fail(token, rv, "look for the key", ctx);
    *handle = found[0];
    return count == 1 ? FL_OK : count ? FL_EEXISTS : FL_ENOTFOUND;
}

static enum fl_error find_private(struct token_key *key, struct fl_context *ctx)
{
    struct fl_pkcs11 *token = key->token;
    char label[LABEL_MAX * 4 + 1];
    struct fl_slice of = fl_slice(key->label, key->label_size);
    enum fl_error error = FL_OK;

    if (ctx)
        ctx->text[0] = 0;
    error = find_one(token, token->session, CKO_PRIVATE_KEY, key, &key->handle, ctx);
    key->opened = error ? 0 : token->opened;
    if (error == FL_EEXISTS)
        return fl_fail(ctx, error,
                       "token '%s': more than one private key fits the URI: say which, with "
                       "object=LABEL and id=%%..",
                       token->name);
    if (error == FL_ENOTFOUND && ctx && !ctx->text[0])
        return fl_fail(ctx, error, "token '%s': no private key '%s'%s in it (or it needs the PIN)",
                       token->name, fl_str_printable(label, sizeof label, of),
                       key->id_size ? " of that id" : "");
    return error;
}

static bool read_attribute(struct fl_pkcs11 *token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                           CK_BYTE *to, CK_ULONG *size)
{
    CK_ATTRIBUTE attribute = {type, to, *size};

    *size = 0;
    if (token->module->C_GetAttributeValue(token->session, object, &attribute, 1) != CKR_OK ||
        attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION)
        return false;
    *size = attribute.ulValueLen;
    return *size > 0;
}

/* CKA_EC_POINT is an OCTET STRING with the point in it; some modules leave the wrapping out. */
static bool read_point(struct fl_pkcs11 *token, CK_OBJECT_HANDLE object, uint8_t *x, uint8_t *y)
{
    CK_BYTE bytes[POINT_SIZE + 2];
    CK_ULONG size = sizeof bytes;
    const CK_BYTE *at = bytes;

    if (!read_attribute(token, object, CKA_EC_POINT, bytes, &size))
        return false;
    if (size == POINT_SIZE + 2 && at[0] == DER_OCTETS && at[1] == POINT_SIZE)
        at += 2;
    else if (size != POINT_SIZE)
        return false;
    if (at[0] != DER_OCTETS)
        return false;
    memcpy(x, at + 1, FL_P256_SIZE);
    memcpy(y, at + 1 + FL_P256_SIZE, FL_P256_SIZE);
    return true;
}

/* --- Signing ---------------------------------------------------------------------------------- */

static enum fl_error sign_once(struct token_key *key, const uint8_t *digest, uint8_t *signature,
                               struct fl_context *ctx)
{
    struct fl_pkcs11 *token = key->token;
    CK_MECHANISM ecdsa = {CKM_ECDSA, NULL, 0};
    CK_BYTE input[FL_P256_SIZE];
    CK_ULONG size = FL_P256_SIGNATURE;
    enum fl_error error = fl_pkcs11_attach(token, ctx);
    CK_RV rv = CKR_OK;

    if (!error && key->opened != token->opened)
        error = find_private(key, ctx);
    if (error)
        return error;
    memcpy(input, digest, sizeof input);
    rv = token->module->C_SignInit(token->session, &ecdsa, key->handle);
    if (rv == CKR_OK)
        rv = token->module->C_Sign(token->session, input, sizeof input, signature, &size);
    if (rv != CKR_OK)
        return fl_pkcs11_fail(token, rv, "sign", ctx);
    return size == FL_P256_SIGNATURE
               ? FL_OK
               : fl_fail(ctx, FL_ECRYPTO, "token '%s': its signature has %lu octets", token->name,
                         size);
}

/* A token that was out, a reader that was restarted, a session that another program ended: one
 * fresh start repairs that. A wrong PIN is not tried again (see log_in). */
static enum fl_error sign_far(void *self, const uint8_t *digest, uint8_t *signature,
                              struct fl_context *ctx)
{
    struct token_key *key = self;
    bool was_open = key->token->module != NULL;
    enum fl_error error = sign_once(key, digest, signature, ctx);

    if (error && was_open) {
        fl_pkcs11_release(key->token);
        error = sign_once(key, digest, signature, ctx);
    }
    /* Whoever puts the token back shall find it looked for, not remembered. */
    if (error)
        fl_pkcs11_release(key->token);
    return error;
}

static void signed_with(void *self, const char *failure)
{
    struct token_key *key = self;

    (void)fl_str_copy(key->token->failure, sizeof key->token->failure, failure);
}

static void key_free(void *self)
{
    struct token_key *key = self;

    fl_pkcs11_close(key->token);
    free(key);
}

/* --- Keys ------------------------------------------------------------------------------------- */

static struct token_key *key_new(struct fl_pkcs11 *token)
{
    struct token_key *key = calloc(1, sizeof *key);

    if (!key)
        return NULL;
    key->token = token;
    token->references++;
    return key;
}

/* Owns `key` when it succeeds. */
static enum fl_error to_evp(struct token_key *key, CK_OBJECT_HANDLE public_key, EVP_PKEY **evp,
                            struct fl_context *ctx)
{
    const struct fl_far_signer signer = {
        .sign = sign_far, .signed_with = signed_with, .free = key_free, .self = key};
    uint8_t x[FL_P256_SIZE];
    uint8_t y[FL_P256_SIZE];

    if (!read_point(key->token, public_key, x, y))
        return fl_fail(ctx, FL_EUNSUPPORTED, "token '%s': the key's public point cannot be read",
                       key->token->name);
    return fl_fail_in(ctx,
                      fl_far_key(&signer, fl_slice(x, sizeof x), fl_slice(y, sizeof y), evp, ctx),
                      "token '%s'", key->token->name);
}

/* The token's URI with the label and id of just this key. */
static enum fl_error write_uri(struct token_key *key, struct fl_buffer *uri, struct fl_context *ctx)
{
    P11KitUri *of = key->token->uri;
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE attributes[] = {{CKA_CLASS, &class, sizeof class},
                                 {CKA_LABEL, key->label, key->label_size},
                                 {CKA_ID, key->id, key->id_size}};
    CK_ULONG count = 0;
    CK_ATTRIBUTE *before = p11_kit_uri_get_attributes(of, &count);
    P11KitUri *keep = p11_kit_uri_new();
    char *text = NULL;
    enum fl_error error = FL_OK;
    bool made = keep && p11_kit_uri_set_attributes(keep, before, count) == P11_KIT_URI_OK &&
                p11_kit_uri_set_attributes(of, attributes, 3) == P11_KIT_URI_OK &&
                p11_kit_uri_format(of, P11_KIT_URI_FOR_ANY, &text) == P11_KIT_URI_OK;

    if (keep) {
        before = p11_kit_uri_get_attributes(keep, &count);
        made = p11_kit_uri_set_attributes(of, before, count) == P11_KIT_URI_OK && made;
    }
    p11_kit_uri_free(keep);
    if (!made || fl_buffer_append_str(uri, text) != FL_OK)
        error = fl_fail(ctx, FL_ELIMIT, "token '%s': the key's URI cannot be written",
                        key->token->name);
    free(text);
    return error;
}

static enum fl_error load_key(struct token_key *key, struct fl_buffer *uri, EVP_PKEY **evp,
                              struct fl_context *ctx)
{
    struct fl_pkcs11 *token = key->token;
    CK_BYTE curve[sizeof p256_name];
    CK_OBJECT_HANDLE public_key = 0;
    enum fl_error error = want_from_uri(token, key, ctx);

    if (!error)
        error = fl_pkcs11_attach(token, ctx);
    if (!error)
        error = find_private(key, ctx);
    if (error)
        return error;
    key->label_size = sizeof key->label;
    key->id_size = sizeof key->id;
    (void)read_attribute(token, key->handle, CKA_LABEL, key->label, &key->label_size);
    (void)read_attribute(token, key->handle, CKA_ID, key->id, &key->id_size);
    if (!read_attribute(token, key->handle, CKA_EC_PARAMS, curve, &(CK_ULONG){sizeof curve}) ||
        memcmp(curve, p256_name, sizeof curve) != 0)
        return fl_fail(ctx, FL_EUNSUPPORTED, "token '%s': the key is not an EC key on P-256",
                       token->name);
    /* The public half is an object of its own; some modules show the point on the private one. */
    if (find_one(token, token->session, CKO_PUBLIC_KEY, key, &public_key, NULL) != FL_OK)
        public_key = key->handle;
    if (uri)
        error = write_uri(key, uri, ctx);
    return error ? error : to_evp(key, public_key, evp, ctx);
}

enum fl_error fl_pkcs11_key_load(struct fl_pkcs11 *token, struct fl_buffer *uri, EVP_PKEY **key,
                                 struct fl_context *ctx)
{
    struct token_key *made = key_new(token);
    enum fl_error error = FL_OK;

    if (!made)
        return fl_fail(ctx, FL_ENOMEM, "PKCS #11: out of memory");
    error = load_key(made, uri, key, ctx);
    if (error)
        key_free(made);
    return error;
}

static CK_RV generate(struct token_key *key, CK_SESSION_HANDLE session,
                      CK_OBJECT_HANDLE *public_key)
{
    CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE public_half[] = {
        {CKA_EC_PARAMS, p256_name, sizeof p256_name},
        {CKA_TOKEN, &yes, sizeof yes},
        {CKA_PRIVATE, &no, sizeof no},
        {CKA_VERIFY, &yes, sizeof yes},
        {CKA_LABEL, key->label, key->label_size},
        {CKA_ID, key->id, key->id_size},
    };
    CK_ATTRIBUTE private_half[] = {
        {CKA_TOKEN, &yes, sizeof yes},     {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_SENSITIVE, &yes, sizeof yes}, {CKA_EXTRACTABLE, &no, sizeof no},
        {CKA_SIGN, &yes, sizeof yes},      {CKA_LABEL, key->label, key->label_size},
        {CKA_ID, key->id, key->id_size},
    };

    return key->token->module->C_GenerateKeyPair(
        session, &mechanism, public_half, sizeof public_half / sizeof public_half[0], private_half,
        sizeof private_half / sizeof private_half[0], public_key, &key->handle);
}

static enum fl_error create_key(struct token_key *key, struct fl_buffer *uri, EVP_PKEY **evp,
                                struct fl_context *ctx)
{
    struct fl_pkcs11 *token = key->token;
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE public_key = 0;
    enum fl_error error = want_from_uri(token, key, ctx);
    CK_RV rv = CKR_OK;

    if (!error && !key->label_size)
        error = fl_fail(ctx, FL_EINVAL,
                        "a key that is made needs a label: add object=NAME to the PKCS #11 URI");
    if (!error)
        error = fl_pkcs11_attach(token, ctx);
    if (error)
        return error;
    if (key->id_size) {
        if (find_one(token, token->session, CKO_PRIVATE_KEY, key, &key->handle, ctx) !=
            FL_ENOTFOUND)
            return fl_fail(ctx, FL_EEXISTS, "token '%s': a key of that label and id is in it",
                           token->name);
    } else if (RAND_bytes(key->id, ID_SIZE) != 1) {
        return fl_fail(ctx, FL_ECRYPTO, "no random bytes");
    }
    key->id_size = key->id_size ? key->id_size : ID_SIZE;
    error = fl_pkcs11_session(token, true, &session, ctx);
    if (error)
        return error;
    rv = generate(key, session, &public_key);
    key->opened = token->opened;
    if (rv != CKR_OK)
        error = fl_pkcs11_fail(token, rv, "make a key", ctx);
    if (!error)
        error = write_uri(key, uri, ctx);
    if (!error)
        error = to_evp(key, public_key, evp, ctx);
    if (error && rv == CKR_OK) {
        (void)token->module->C_DestroyObject(session, key->handle);
        (void)token->module->C_DestroyObject(session, public_key);
    }
    (void)token->module->C_CloseSession(session);
    return error;
}

enum fl_error fl_pkcs11_key_create(struct fl_pkcs11 *token, struct fl_buffer *uri, EVP_PKEY **key,
                                   struct fl_context *ctx)
{
    struct token_key *made = key_new(token);
    enum fl_error error = FL_OK;

    if (!made)
        return fl_fail(ctx, FL_ENOMEM, "PKCS #11: out of memory");
    error = create_key(made, uri, key, ctx);
    if (error)
        key_free(made);
    return error;
}

enum fl_error fl_pkcs11_key_destroy(struct fl_pkcs11 *token, struct fl_context *ctx)
{
    struct token_key key = {.token = token};
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE public_key = 0;
    enum fl_error error = want_from_uri(token, &key, ctx);
    CK_RV rv = CKR_OK;

    if (!error)
        error = fl_pkcs11_attach(token, ctx);
    if (!error)
        error = find_private(&key, ctx);
    if (!error)
        error = fl_pkcs11_session(token, true, &session, ctx);
    if (error)
        return error;
    rv = token->module->C_DestroyObject(session, key.handle);
    if (rv == CKR_OK && find_one(token, session, CKO_PUBLIC_KEY, &key, &public_key, NULL) == FL_OK)
        rv = token->module->C_DestroyObject(session, public_key);
    (void)token->module->C_CloseSession(session);
    return rv == CKR_OK ? FL_OK : fl_pkcs11_fail(token, rv, "destroy the key", ctx);
}
