/* SPDX-License-Identifier: Apache-2.0 */
#include "service/principal.h"

#include "base/base64.h"
#include "service/audit.h"
#include "service/token_record.h"

#include <stdio.h>

#define PREFIX "flp."
#define TOUCH_MS 60000

static void from_json(const json_t *document, struct fl_principal *p)
{
    *p = (struct fl_principal){0};
    fl_document_str(document, "name", p->name, sizeof p->name);
    p->created = fl_document_int(document, "created", 0);
    p->expires = fl_document_int(document, "expires", 0);
    p->last_used = fl_document_int(document, "last_used", 0);
    p->metrics_only = json_is_true(json_object_get(document, "metrics_only"));
}

const char *fl_principal_role(const struct fl_principal *principal)
{
    return principal->metrics_only ? "metrics" : "admin";
}

static enum fl_error check_name(const char *name, struct fl_context *ctx)
{
    if (fl_name_valid(fl_slice_str(name)))
        return FL_OK;
    return fl_fail(ctx, FL_EINVAL,
                   "a principal's name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or "
                   "digit");
}

/* FL_EEXISTS when there is such a principal. */
static enum fl_error check_free(const struct fl_store *store, const char *name,
                                struct fl_context *ctx)
{
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_PRINCIPAL, fl_slice_str(name), &document, ctx);

    json_decref(document);
    if (error == FL_ENOTFOUND)
        return FL_OK;
    if (error == FL_OK)
        return fl_fail(ctx, FL_EEXISTS, "there is a principal %s already", name);
    return error;
}

static bool count_one(void *to, const struct fl_principal *principal)
{
    size_t *count = to;

    (void)principal;
    (*count)++;
    return true;
}

static enum fl_error check_room(const struct fl_store *store, struct fl_context *ctx)
{
    size_t count = 0;
    enum fl_error error = fl_principal_each(store, count_one, &count, ctx);

    if (error == FL_OK && count >= FL_LIMIT_PRINCIPALS)
        return fl_fail(ctx, FL_ELIMIT, "there are %d principals already", (int)FL_LIMIT_PRINCIPALS);
    return error;
}

enum fl_error fl_principal_invite(const struct fl_store *store, const char *name, bool metrics_only,
                                  uint32_t ttl_s, const uint8_t secret[16],
                                  const struct fl_change *change, fl_time_t *expires,
                                  struct fl_context *ctx)
{
    char at[FL_TIME_TEXT_MAX];
    struct fl_token_record record = {.kind = FL_TOKEN_PRINCIPAL, .metrics_only = metrics_only};
    struct fl_audit_entry entry = {
        .who = change->who, .what = "principal.invite", .object = name, .at = change->now};
    enum fl_error error = check_name(name, ctx);

    if (error == FL_OK)
        error = check_free(store, name, ctx);
    if (error == FL_OK && ttl_s > FL_LIMIT_TOKEN_TTL_S)
        error =
            fl_fail(ctx, FL_EINVAL, "a token lives at most %d days", FL_LIMIT_TOKEN_TTL_S / 86400);
    if (error != FL_OK)
        return error;
    *expires =
        change->now + (fl_time_t)(ttl_s ? ttl_s : (uint32_t)FL_LIMIT_TOKEN_TTL_DEFAULT_S) * 1000;
    record.expires = *expires;
    (void)fl_str_copy(record.id, sizeof record.id, name);
    fl_token_check_hash(secret, record.sha256);
    error = fl_token_record_put(store, &record, ctx);
    if (error != FL_OK)
        return error;
    entry.detail = json_pack("{s:s, s:s}", "expires", fl_time_format(*expires, at), "role",
                             metrics_only ? "metrics" : "admin");
    return fl_audit_append(store, &entry, ctx);
}

/* {"sha256": hex of the token's secret, "expires": RFC 3339, "name": who may be claimed} */
static bool read_invitation(struct fl_slice text, struct fl_token_record *record)
{
    json_t *document = fl_document_parse(text);
    char hash[2 * FL_SHA256_SIZE + 1];
    char expires[FL_TIME_TEXT_MAX];
    size_t size = 0;
    bool good = document != NULL;

    *record = (struct fl_token_record){.kind = FL_TOKEN_PRINCIPAL};
    fl_document_str(document, "sha256", hash, sizeof hash);
    fl_document_str(document, "expires", expires, sizeof expires);
    fl_document_str(document, "name", record->id, sizeof record->id);
    json_decref(document);
    good = good && fl_name_valid(fl_slice_str(record->id)) &&
           fl_time_parse(fl_slice_str(expires), &record->expires) == FL_OK;
    return good &&
           fl_unhex(record->sha256, sizeof record->sha256, fl_slice_str(hash), &size) == FL_OK &&
           size == FL_SHA256_SIZE;
}

enum fl_error fl_principal_import(const struct fl_store *store, struct fl_slice text, fl_time_t now,
                                  bool *used, struct fl_context *ctx)
{
    struct fl_token_record known = {0};
    struct fl_token_record record = {0};
    struct fl_audit_entry entry = {
        .who = "hub", .what = "principal.invite", .object = record.id, .at = now};
    enum fl_error error = FL_OK;

    *used = false;
    if (!read_invitation(text, &record))
        return fl_fail(ctx, FL_EPARSE, "it does not say who may be claimed with which token");
    error = fl_token_record_get(store, FL_TOKEN_PRINCIPAL, fl_slice_str(record.id), &known, ctx);
    if (error == FL_OK && memcmp(known.sha256, record.sha256, sizeof known.sha256) == 0) {
        *used = known.used;
        return FL_OK;
    }
    if (error != FL_OK && error != FL_ENOTFOUND)
        return error;
    error = fl_token_record_put(store, &record, ctx);
    return error == FL_OK ? fl_audit_append(store, &entry, ctx) : error;
}

static enum fl_error write_new(const struct fl_store *store, const struct fl_principal *p,
                               struct fl_slice secret, struct fl_context *ctx)
{
    uint8_t digest[FL_SHA256_SIZE];
    char hash[2 * FL_SHA256_SIZE + 1];
    json_t *document = NULL;
    enum fl_error error = FL_OK;

    fl_sha256(secret, digest);
    fl_hex(hash, sizeof hash, fl_slice(digest, sizeof digest));
    document = json_pack("{s:s, s:s, s:b, s:I, s:I, s:I}", "name", p->name, "sha256", hash,
                         "metrics_only", (int)p->metrics_only, "created", (json_int_t)p->created,
                         "expires", (json_int_t)p->expires, "last_used", (json_int_t)0);
    error = fl_document_put(store, FL_TABLE_PRINCIPAL, fl_slice_str(p->name), document, ctx);
    json_decref(document);
    return error;
}

static enum fl_error credential_text(const char *name, struct fl_slice secret,
                                     char credential[FL_PRINCIPAL_TEXT])
{
    struct fl_buffer text = FL_BUFFER(FL_PRINCIPAL_TEXT);
    enum fl_error error = FL_OK;

    (void)fl_buffer_printf(&text, PREFIX "%s.", name);
    (void)fl_base64url_encode(secret, &text);
    if (text.failed || !fl_str_copy_slice(credential, FL_PRINCIPAL_TEXT, fl_buffer_slice(&text)))
        error = FL_ENOMEM;
    fl_buffer_free(&text);
    return error;
}

enum fl_error fl_principal_claim(const struct fl_store *store, struct fl_slice token,
                                 const char *name, const uint8_t secret[FL_PRINCIPAL_SECRET_SIZE],
                                 fl_time_t now, struct fl_principal *p,
                                 char credential[FL_PRINCIPAL_TEXT], struct fl_context *ctx)
{
    struct fl_slice bytes = fl_slice(secret, FL_PRINCIPAL_SECRET_SIZE);
    struct fl_token_record record = {0};
    struct fl_token claimed = {0};
    struct fl_audit_entry entry = {
        .who = p->name, .what = "principal.claim", .object = p->name, .at = now};
    enum fl_error error = check_name(name, ctx);

    if (error == FL_OK)
        error = fl_token_decode(token, &claimed, ctx);
    if (error == FL_OK)
        error = fl_token_record_check(store, FL_TOKEN_PRINCIPAL, fl_slice_str(claimed.id), token,
                                      now, &record, ctx);
    if (error == FL_OK)
        error = check_free(store, name, ctx);
    if (error == FL_OK)
        error = check_room(store, ctx);
    if (error != FL_OK)
        return error;
    *p = (struct fl_principal){.created = now, .metrics_only = record.metrics_only};
    p->expires =
        now +
        (fl_time_t)(p->metrics_only ? FL_LIMIT_PRINCIPAL_METRICS_S : FL_LIMIT_PRINCIPAL_S) * 1000;
    (void)fl_str_copy(p->name, sizeof p->name, name);
    record.used = true;
    error = credential_text(name, bytes, credential);
    if (error == FL_OK)
        error = fl_token_record_put(store, &record, ctx);
    if (error == FL_OK)
        error = write_new(store, p, bytes, ctx);
    return error == FL_OK ? fl_audit_append(store, &entry, ctx) : error;
}

/* --- checking --- */

static bool split(struct fl_slice credential, struct fl_slice *name, struct fl_slice *secret)
{
    struct fl_slice prefix = fl_slice_str(PREFIX);
    size_t dot = credential.size;

    if (credential.size <= prefix.size ||
        !fl_slice_equal(fl_slice(credential.data, prefix.size), prefix))
        return false;
    /* A name may have dots in it, base64url has none. */
    while (dot > prefix.size && credential.data[dot - 1] != '.')
        dot--;
    if (dot == prefix.size)
        return false;
    *name = fl_slice(credential.data + prefix.size, dot - 1 - prefix.size);
    *secret = fl_slice_from(credential, dot);
    return fl_name_valid(*name);
}

static bool matches(const json_t *document, struct fl_slice text)
{
    struct fl_buffer secret = FL_BUFFER(64);
    uint8_t digest[FL_SHA256_SIZE];
    char hash[2 * FL_SHA256_SIZE + 1];
    char stored[2 * FL_SHA256_SIZE + 1];
    bool good = fl_base64url_decode(text, &secret) == FL_OK &&
                fl_buffer_slice(&secret).size == FL_PRINCIPAL_SECRET_SIZE;

    if (good) {
        fl_sha256(fl_buffer_slice(&secret), digest);
        fl_hex(hash, sizeof hash, fl_slice(digest, sizeof digest));
        fl_document_str(document, "sha256", stored, sizeof stored);
        good = fl_slice_equal_secret(fl_slice_str(hash), fl_slice_str(stored));
    }
    fl_buffer_free(&secret);
    return good;
}

enum fl_error fl_principal_check(const struct fl_store *store, struct fl_slice credential,
                                 fl_time_t now, struct fl_principal *principal, bool *touch,
                                 struct fl_context *ctx)
{
    struct fl_slice name = {0};
    struct fl_slice secret = {0};
    json_t *document = NULL;
    enum fl_error error = FL_ENOTFOUND;

    *touch = false;
    if (split(credential, &name, &secret))
        error = fl_document_get(store, FL_TABLE_PRINCIPAL, name, &document, ctx);
    if (error == FL_ENOTFOUND || (error == FL_OK && !matches(document, secret)))
        error = fl_fail(ctx, FL_EAUTH, "no such credential");
    if (error == FL_OK) {
        from_json(document, principal);
        *touch = now - principal->last_used >= TOUCH_MS;
        if (principal->expires <= now)
            error = fl_fail(ctx, FL_EEXPIRED, "the credential of %s has expired", principal->name);
    }
    json_decref(document);
    return error;
}

enum fl_error fl_principal_used(const struct fl_store *store, const char *name, fl_time_t now,
                                struct fl_context *ctx)
{
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_PRINCIPAL, fl_slice_str(name), &document, ctx);

    if (error == FL_OK && json_object_set_new(document, "last_used", json_integer(now)) != 0)
        error = fl_fail(ctx, FL_ENOMEM, "out of memory");
    if (error == FL_OK)
        error = fl_document_put(store, FL_TABLE_PRINCIPAL, fl_slice_str(name), document, ctx);
    json_decref(document);
    return error;
}

enum fl_error fl_principal_remove(const struct fl_store *store, struct fl_slice name,
                                  const struct fl_change *change, struct fl_context *ctx)
{
    char text[FL_NAME_MAX + 1];
    struct fl_audit_entry entry = {
        .who = change->who, .what = "principal.remove", .object = text, .at = change->now};
    json_t *document = NULL;
    enum fl_error error = FL_ENOTFOUND;

    (void)fl_str_copy_slice(text, sizeof text, name);
    if (fl_name_valid(name))
        error = fl_document_get(store, FL_TABLE_PRINCIPAL, name, &document, ctx);
    json_decref(document);
    if (error == FL_ENOTFOUND)
        return fl_fail(ctx, FL_ENOTFOUND, "there is no principal of that name");
    if (error == FL_OK)
        error = fl_document_del(store, FL_TABLE_PRINCIPAL, name, ctx);
    return error == FL_OK ? fl_audit_append(store, &entry, ctx) : error;
}

struct each {
    fl_principal_visit visit;
    void *to;
};

static bool visit_document(void *to, struct fl_slice key, struct fl_slice text)
{
    struct each *each = to;
    struct fl_principal p;
    json_t *document = fl_document_parse(text);
    bool go_on = true;

    (void)key;
    if (document) {
        from_json(document, &p);
        go_on = each->visit(each->to, &p);
    }
    json_decref(document);
    return go_on;
}

enum fl_error fl_principal_each(const struct fl_store *store, fl_principal_visit visit, void *to,
                                struct fl_context *ctx)
{
    struct each each = {.visit = visit, .to = to};

    return store->ops->scan(store->self, FL_TABLE_PRINCIPAL, fl_slice(NULL, 0), fl_slice(NULL, 0),
                            false, UINT32_MAX, visit_document, &each, ctx);
}
