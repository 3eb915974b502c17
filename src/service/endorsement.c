/* SPDX-License-Identifier: Apache-2.0 */
#include "service/endorsement.h"

#include "base/str.h"
#include "service/audit.h"

#include <stdio.h>

#define KEY_PREFIX "tpm/"
#define EK_PREFIX "ek/"

static const char *const basis_names[FL_EK_BASIS_COUNT] = {
    [FL_EK_NONE] = "none",
    [FL_EK_FIRST_USE] = "first-use",
    [FL_EK_REGISTERED] = "registered",
};

static const char *const basis_words[FL_EK_BASIS_COUNT] = {
    [FL_EK_NONE] = "no TPM has proved itself",
    [FL_EK_FIRST_USE] = "believed on first use",
    [FL_EK_REGISTERED] = "registered by an operator",
};

const char *fl_ek_basis_words(enum fl_ek_basis basis)
{
    return basis_words[basis];
}

struct key {
    char text[80];
};

static struct fl_slice key_of(struct key *key, const char *prefix, const char *name)
{
    (void)snprintf(key->text, sizeof key->text, "%s%s", prefix, name);
    return fl_slice_str(key->text);
}

/* --- as documents --- */

enum fl_error fl_endorsement_get(const struct fl_store *store, const char *device,
                                 struct fl_endorsement *e, struct fl_context *ctx)
{
    struct key key;
    char basis[16];
    char ak[2 * FL_LIMIT_TPM_PUBLIC + 1];
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_META, key_of(&key, KEY_PREFIX, device), &document, ctx);

    *e = (struct fl_endorsement){0};
    (void)fl_str_copy(e->device, sizeof e->device, device);
    if (error != FL_OK)
        return error == FL_ENOTFOUND ? FL_OK : error;
    fl_document_str(document, "registered", e->registered, sizeof e->registered);
    fl_document_str(document, "ek", e->ek, sizeof e->ek);
    fl_document_str(document, "basis", basis, sizeof basis);
    fl_document_str(document, "ak", ak, sizeof ak);
    fl_document_str(document, "ak_name", e->ak_name, sizeof e->ak_name);
    e->basis = (enum fl_ek_basis)fl_name_index(basis_names, FL_EK_BASIS_COUNT, basis);
    e->since = fl_document_int(document, "since", 0);
    json_decref(document);
    if (e->basis == FL_EK_BASIS_COUNT ||
        fl_unhex(e->ak, sizeof e->ak, fl_slice_str(ak), &e->ak_size) != FL_OK)
        return fl_fail(ctx, FL_EPARSE, "the record of the TPM of device %s is damaged", device);
    return FL_OK;
}

static enum fl_error put(const struct fl_store *store, const struct fl_endorsement *e,
                         struct fl_context *ctx)
{
    struct key key;
    char ak[2 * FL_LIMIT_TPM_PUBLIC + 1];
    json_t *document = NULL;
    enum fl_error error = FL_OK;

    fl_hex(ak, sizeof ak, fl_slice(e->ak, e->ak_size));
    document = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "device", e->device, "registered",
                         e->registered, "ek", e->ek, "basis", basis_names[e->basis], "ak", ak,
                         "ak_name", e->ak_name, "since", (json_int_t)e->since);
    error =
        fl_document_put(store, FL_TABLE_META, key_of(&key, KEY_PREFIX, e->device), document, ctx);
    json_decref(document);
    return error;
}

/* --- whose TPM --- */

static enum fl_error owner_of(const struct fl_store *store, const char *ek_hash,
                              char device[FL_NAME_MAX + 1], struct fl_context *ctx)
{
    struct key key;
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_META, key_of(&key, EK_PREFIX, ek_hash), &document, ctx);

    device[0] = '\0';
    if (error == FL_OK)
        fl_document_str(document, "device", device, FL_NAME_MAX + 1);
    json_decref(document);
    return error == FL_ENOTFOUND ? FL_OK : error;
}

static enum fl_error claim(const struct fl_store *store, const char *ek_hash, const char *device,
                           struct fl_context *ctx)
{
    struct key key;
    json_t *document = json_pack("{s:s}", "device", device);
    enum fl_error error =
        fl_document_put(store, FL_TABLE_META, key_of(&key, EK_PREFIX, ek_hash), document, ctx);

    json_decref(document);
    return error;
}

static enum fl_error disclaim(const struct fl_store *store, const char *ek_hash,
                              struct fl_context *ctx)
{
    struct key key;

    return ek_hash[0] ? fl_document_del(store, FL_TABLE_META, key_of(&key, EK_PREFIX, ek_hash), ctx)
                      : FL_OK;
}

enum fl_error fl_endorsement_check(const struct fl_store *store, const struct fl_endorsement *e,
                                   const char *ek_hash, struct fl_context *ctx)
{
    char owner[FL_NAME_MAX + 1];
    enum fl_error error = owner_of(store, ek_hash, owner, ctx);

    if (error != FL_OK)
        return error;
    if (owner[0] && strcmp(owner, e->device) != 0)
        return fl_fail(ctx, FL_EDENIED, "this TPM is that of device %s", owner);
    if (e->registered[0] && strcmp(e->registered, ek_hash) != 0)
        return fl_fail(ctx, FL_EDENIED,
                       "this is not the TPM that is registered for the device (its EK is %.16s..., "
                       "registered is %.16s...)",
                       ek_hash, e->registered);
    if (e->ek[0] && strcmp(e->ek, ek_hash) != 0)
        return fl_fail(
            ctx, FL_EDENIED,
            "this is another TPM than the one the device had (its EK is %.16s..., before "
            "it was %.16s...); if it was replaced: fairlead device tpm %s --forget",
            ek_hash, e->ek, e->device);
    return FL_OK;
}

enum fl_error fl_endorsement_record(const struct fl_store *store, struct fl_endorsement *e,
                                    const char *ek_hash, struct fl_slice ak,
                                    const uint8_t ak_name[FL_TPM_NAME_SIZE],
                                    const struct fl_change *change, struct fl_context *ctx)
{
    struct fl_audit_entry entry = {
        .who = change->who, .what = "tpm.endorse", .object = e->device, .at = change->now};
    enum fl_error error = fl_endorsement_check(store, e, ek_hash, ctx);

    if (error == FL_OK && ak.size > sizeof e->ak)
        error = fl_fail(ctx, FL_ELIMIT, "the attestation key is too large");
    if (error != FL_OK)
        return error;
    (void)fl_str_copy(e->ek, sizeof e->ek, ek_hash);
    e->basis = e->registered[0] ? FL_EK_REGISTERED : FL_EK_FIRST_USE;
    memcpy(e->ak, ak.data, ak.size);
    e->ak_size = ak.size;
    fl_hex(e->ak_name, sizeof e->ak_name, fl_slice(ak_name, FL_TPM_NAME_SIZE));
    e->since = change->now;
    error = put(store, e, ctx);
    if (error == FL_OK)
        error = claim(store, ek_hash, e->device, ctx);
    if (error != FL_OK)
        return error;
    entry.detail = json_pack("{s:s, s:s, s:s}", "ek", e->ek, "ak", e->ak_name, "why",
                             fl_ek_basis_words(e->basis));
    return fl_audit_append(store, &entry, ctx);
}

/* --- what operators say --- */

static enum fl_error check_hash(const char *ek_hash, struct fl_context *ctx)
{
    uint8_t bytes[32];
    size_t size = 0;

    for (const char *at = ek_hash; *at; at++)
        if (*at >= 'A' && *at <= 'F')
            return fl_fail(ctx, FL_EINVAL, "an EK hash is written in small letters");
    if (fl_unhex(bytes, sizeof bytes, fl_slice_str(ek_hash), &size) != FL_OK || size != 32)
        return fl_fail(
            ctx, FL_EINVAL,
            "an EK hash is the SHA-256 of the endorsement key's SubjectPublicKeyInfo: 64 "
            "hex digits");
    return FL_OK;
}

enum fl_error fl_endorsement_register(const struct fl_store *store, const char *device,
                                      const char *ek_hash, const struct fl_change *change,
                                      struct fl_context *ctx)
{
    struct fl_endorsement e = {0};
    struct fl_audit_entry entry = {
        .who = change->who, .what = "tpm.register", .object = device, .at = change->now};
    char owner[FL_NAME_MAX + 1];
    enum fl_error error = check_hash(ek_hash, ctx);

    if (error == FL_OK)
        error = owner_of(store, ek_hash, owner, ctx);
    if (error == FL_OK && owner[0] && strcmp(owner, device) != 0)
        error = fl_fail(ctx, FL_EEXISTS, "this TPM is that of device %s", owner);
    if (error == FL_OK)
        error = fl_endorsement_get(store, device, &e, ctx);
    if (error == FL_OK && e.ek[0] && strcmp(e.ek, ek_hash) != 0)
        error = fl_fail(ctx, FL_ESTATE,
                        "device %s has shown another TPM already (EK %.16s...); if it was "
                        "replaced: fairlead device tpm %s --forget",
                        device, e.ek, device);
    if (error == FL_OK && e.registered[0] && strcmp(e.registered, ek_hash) != 0)
        error = disclaim(store, e.registered, ctx);
    if (error != FL_OK)
        return error;
    (void)fl_str_copy(e.registered, sizeof e.registered, ek_hash);
    if (e.ek[0])
        e.basis = FL_EK_REGISTERED;
    error = put(store, &e, ctx);
    if (error == FL_OK)
        error = claim(store, ek_hash, device, ctx);
    if (error != FL_OK)
        return error;
    entry.detail = json_pack("{s:s}", "ek", ek_hash);
    return fl_audit_append(store, &entry, ctx);
}

enum fl_error fl_endorsement_forget(const struct fl_store *store, const char *device,
                                    const struct fl_change *change, struct fl_context *ctx)
{
    struct fl_endorsement e = {0};
    struct fl_endorsement none = {0};
    struct fl_audit_entry entry = {
        .who = change->who, .what = "tpm.forget", .object = device, .at = change->now};
    enum fl_error error = fl_endorsement_get(store, device, &e, ctx);

    if (error == FL_OK)
        error = disclaim(store, e.registered, ctx);
    if (error == FL_OK && strcmp(e.registered, e.ek) != 0)
        error = disclaim(store, e.ek, ctx);
    if (error != FL_OK)
        return error;
    (void)fl_str_copy(none.device, sizeof none.device, device);
    error = put(store, &none, ctx);
    if (error != FL_OK)
        return error;
    entry.detail =
        json_pack("{s:s, s:s}", "ek", e.ek[0] ? e.ek : e.registered, "reason", change->reason);
    return fl_audit_append(store, &entry, ctx);
}
