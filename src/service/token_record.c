/* SPDX-License-Identifier: Apache-2.0 */
#include "service/token_record.h"

struct token_key {
    char text[FL_NAME_MAX + 2];
};

/* Devices under their id, principals under "@name", which is no device id. */
static struct fl_slice key_of(struct token_key *key, enum fl_token_kind kind, struct fl_slice id)
{
    size_t lead = kind == FL_TOKEN_PRINCIPAL ? 1 : 0;

    key->text[0] = '@';
    if (id.size > FL_NAME_MAX)
        id.size = FL_NAME_MAX;
    if (id.size)
        memcpy(key->text + lead, id.data, id.size);
    return fl_slice(key->text, id.size + lead);
}

enum fl_error fl_token_record_get(const struct fl_store *store, enum fl_token_kind kind,
                                  struct fl_slice id, struct fl_token_record *record,
                                  struct fl_context *ctx)
{
    struct token_key key;
    char hash[2 * FL_SHA256_SIZE + 1];
    size_t size = 0;
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_TOKEN, key_of(&key, kind, id), &document, ctx);

    if (error != FL_OK)
        return error;
    *record = (struct fl_token_record){.kind = kind};
    fl_document_str(document, "id", record->id, sizeof record->id);
    fl_document_str(document, "sha256", hash, sizeof hash);
    record->expires = fl_document_int(document, "expires", 0);
    record->metrics_only = json_is_true(json_object_get(document, "metrics_only"));
    record->used = json_is_true(json_object_get(document, "used"));
    json_decref(document);
    error = fl_unhex(record->sha256, sizeof record->sha256, fl_slice_str(hash), &size);
    if (error != FL_OK || size != FL_SHA256_SIZE)
        return fl_fail(ctx, FL_EPARSE, "the record of a token is damaged");
    return FL_OK;
}

enum fl_error fl_token_record_put(const struct fl_store *store,
                                  const struct fl_token_record *record, struct fl_context *ctx)
{
    struct token_key key;
    char hash[2 * FL_SHA256_SIZE + 1];
    json_t *document = NULL;
    enum fl_error error = FL_OK;

    fl_hex(hash, sizeof hash, fl_slice(record->sha256, sizeof record->sha256));
    document = json_pack("{s:s, s:s, s:I, s:b}", "id", record->id, "sha256", hash, "expires",
                         (json_int_t)record->expires, "used", (int)record->used);
    if (document && record->metrics_only &&
        json_object_set_new(document, "metrics_only", json_true()) != 0) {
        json_decref(document);
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    }
    error = fl_document_put(store, FL_TABLE_TOKEN,
                            key_of(&key, record->kind, fl_slice_str(record->id)), document, ctx);
    json_decref(document);
    return error;
}

enum fl_error fl_token_record_check(const struct fl_store *store, enum fl_token_kind kind,
                                    struct fl_slice id, struct fl_slice text, fl_time_t now,
                                    struct fl_token_record *record, struct fl_context *ctx)
{
    struct fl_token token = {0};
    enum fl_error error = fl_token_decode(text, &token, ctx);
    bool found = false;

    if (error != FL_OK)
        return error;
    error = fl_token_record_get(store, kind, id, record, ctx);
    found = error == FL_OK;
    if (found || error == FL_ENOTFOUND)
        error = fl_token_check(found ? record : NULL, &token, kind, id, now, ctx);
    return error;
}
