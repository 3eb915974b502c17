/* SPDX-License-Identifier: Apache-2.0 */
#include "service/document.h"

#include <stdlib.h>

#define DOCUMENT_MAX ((size_t)256 * 1024)

enum fl_error fl_store_begin(const struct fl_store *store, struct fl_context *ctx)
{
    return store->ops->begin(store->self, ctx);
}

enum fl_error fl_store_end(const struct fl_store *store, enum fl_error error,
                           struct fl_context *ctx)
{
    if (error == FL_OK)
        return store->ops->commit(store->self, ctx);
    store->ops->rollback(store->self);
    return error;
}

json_t *fl_document_parse(struct fl_slice text)
{
    json_t *document = json_loadb(text.size ? (const char *)text.data : "", text.size,
                                  JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(document))
        return document;
    json_decref(document);
    return NULL;
}

enum fl_error fl_document_get(const struct fl_store *store, enum fl_table table,
                              struct fl_slice key, json_t **document, struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(DOCUMENT_MAX);
    enum fl_error error = store->ops->get(store->self, table, key, &text, ctx);

    *document = NULL;
    if (error == FL_OK) {
        *document = fl_document_parse(fl_buffer_slice(&text));
        if (!*document)
            error = fl_fail(ctx, FL_EPARSE, "store: a document is damaged");
    }
    fl_buffer_free(&text);
    return error;
}

enum fl_error fl_document_text(const json_t *document, struct fl_buffer *out,
                               struct fl_context *ctx)
{
    char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    enum fl_error error = FL_OK;

    if (!text)
        return fl_fail(ctx, FL_ENOMEM, "document: out of memory");
    error = fl_buffer_append_str(out, text);
    free(text);
    return error;
}

enum fl_error fl_document_put(const struct fl_store *store, enum fl_table table,
                              struct fl_slice key, const json_t *document, struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(DOCUMENT_MAX);
    enum fl_error error = fl_document_text(document, &text, ctx);

    if (error == FL_OK)
        error = store->ops->put(store->self, table, key, fl_buffer_slice(&text), ctx);
    fl_buffer_free(&text);
    return error;
}

enum fl_error fl_document_del(const struct fl_store *store, enum fl_table table,
                              struct fl_slice key, struct fl_context *ctx)
{
    return store->ops->del(store->self, table, key, ctx);
}

void fl_document_str(const json_t *document, const char *name, char *to, size_t size)
{
    const char *value = json_string_value(json_object_get(document, name));

    (void)fl_str_copy(to, size, value ? value : "");
}

int64_t fl_document_int(const json_t *document, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(document, name);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

size_t fl_name_index(const char *const *names, size_t count, const char *name)
{
    size_t i = 0;

    while (i < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

struct fl_key8 fl_key8(uint64_t number)
{
    struct fl_key8 key = {0};

    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    return key;
}
