/* SPDX-License-Identifier: Apache-2.0 */
#include "service/device_key.h"

#include "service/audit.h"

#include <stdio.h>

/* Unfinished erasures are few and looked for often: each has a document of its own. */
#define ERASE "erase/"
#define ERASE_END "erase0" /* '0' comes after '/' */

static struct fl_slice erase_key(char to[sizeof ERASE + FL_NAME_MAX], struct fl_slice device)
{
    int size = snprintf(to, sizeof ERASE + FL_NAME_MAX, ERASE "%.*s", FL_SLICE_ARGS(device));

    return fl_slice(to, (size_t)size);
}

enum fl_error fl_device_key_get(const struct fl_store *store, struct fl_slice device,
                                struct fl_device_key *key, struct fl_context *ctx)
{
    json_t *document = NULL;
    enum fl_error error = fl_document_get(store, FL_TABLE_DATA_KEY, device, &document, ctx);

    *key = (struct fl_device_key){.generation = 1};
    if (error == FL_ENOTFOUND)
        return FL_OK;
    if (error != FL_OK)
        return error;
    key->generation = (uint32_t)fl_document_int(document, "generation", 1);
    key->made = json_is_true(json_object_get(document, "made"));
    key->erased = (uint32_t)fl_document_int(document, "erased", 0);
    key->erased_at = fl_document_int(document, "erased_at", 0);
    key->erasing = json_is_true(json_object_get(document, "erasing"));
    json_decref(document);
    return FL_OK;
}

static enum fl_error put(const struct fl_store *store, struct fl_slice device,
                         const struct fl_device_key *key, struct fl_context *ctx)
{
    json_t *document =
        json_pack("{s:I, s:b, s:I, s:I, s:b}", "generation", (json_int_t)key->generation, "made",
                  (int)key->made, "erased", (json_int_t)key->erased, "erased_at",
                  (json_int_t)key->erased_at, "erasing", (int)key->erasing);
    enum fl_error error = document
                              ? fl_document_put(store, FL_TABLE_DATA_KEY, device, document, ctx)
                              : fl_fail(ctx, FL_ENOMEM, "out of memory");

    json_decref(document);
    return error;
}

enum fl_error fl_device_key_made(const struct fl_store *store, struct fl_slice device,
                                 struct fl_context *ctx)
{
    struct fl_device_key key;
    enum fl_error error = fl_device_key_get(store, device, &key, ctx);

    if (error != FL_OK || key.made)
        return error;
    key.made = true;
    return put(store, device, &key, ctx);
}

static enum fl_error write_down(const struct fl_store *store, const char *who, const char *what,
                                struct fl_slice device, json_t *detail, fl_time_t now,
                                struct fl_context *ctx)
{
    char object[FL_NAME_MAX + 1];
    struct fl_audit_entry entry = {
        .who = who, .what = what, .object = object, .detail = detail, .at = now};

    (void)fl_str_copy_slice(object, sizeof object, device);
    return fl_audit_append(store, &entry, ctx);
}

static void forget_generations(struct fl_device_key *key, uint32_t erased)
{
    if (erased > key->erased)
        key->erased = erased;
    if (key->generation <= key->erased) {
        key->generation = key->erased + 1;
        key->made = false;
    }
}

enum fl_error fl_device_key_found_erased(const struct fl_store *store, struct fl_slice device,
                                         uint32_t erased, fl_time_t now, struct fl_context *ctx)
{
    struct fl_device_key key;
    enum fl_error error = fl_device_key_get(store, device, &key, ctx);

    if (error != FL_OK)
        return error;
    forget_generations(&key, erased);
    error = put(store, device, &key, ctx);
    if (error != FL_OK)
        return error;
    return write_down(store, "signer", "privacy.found_erased", device,
                      json_pack("{s:I}", "generation", (json_int_t)erased), now, ctx);
}

/* What the key is now, and what of the erasure is `left`. */
static enum fl_error put_erasure(const struct fl_store *store, struct fl_slice device,
                                 const struct fl_device_key *key, const char *left,
                                 struct fl_context *ctx)
{
    char name[sizeof ERASE + FL_NAME_MAX];
    json_t *document = json_pack("{s:s}", "left", left);
    enum fl_error error = put(store, device, key, ctx);

    if (error == FL_OK)
        error = fl_document_put(store, FL_TABLE_META, erase_key(name, device), document, ctx);
    json_decref(document);
    return error;
}

enum fl_error fl_device_key_erase_begin(const struct fl_store *store, struct fl_slice device,
                                        const struct fl_change *change, struct fl_context *ctx)
{
    struct fl_device_key key;
    enum fl_error error = fl_device_key_get(store, device, &key, ctx);

    if (error != FL_OK)
        return error;
    key.erasing = true;
    error = put_erasure(store, device, &key, "key", ctx);
    if (error != FL_OK)
        return error;
    return write_down(
        store, change->who, "privacy.erase", device,
        json_pack("{s:s, s:I}", "reason", change->reason, "generation", (json_int_t)key.generation),
        change->now, ctx);
}

enum fl_error fl_device_key_erased(const struct fl_store *store, struct fl_slice device,
                                   uint32_t erased, fl_time_t now, struct fl_context *ctx)
{
    struct fl_device_key key;
    enum fl_error error = fl_device_key_get(store, device, &key, ctx);

    if (error != FL_OK)
        return error;
    forget_generations(&key, erased);
    key.erasing = false;
    key.erased_at = now;
    error = put_erasure(store, device, &key, "readings", ctx);
    if (error != FL_OK)
        return error;
    return write_down(store, "signer", "privacy.erased", device,
                      json_pack("{s:I}", "generation", (json_int_t)key.erased), now, ctx);
}

enum fl_error fl_device_key_erase_end(const struct fl_store *store, struct fl_slice device,
                                      struct fl_context *ctx)
{
    char name[sizeof ERASE + FL_NAME_MAX];

    return fl_document_del(store, FL_TABLE_META, erase_key(name, device), ctx);
}

bool fl_device_key_is_erasing(const struct fl_store *store, struct fl_slice device)
{
    char name[sizeof ERASE + FL_NAME_MAX];
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_META, erase_key(name, device), &document, NULL);

    json_decref(document);
    return error != FL_ENOTFOUND;
}

struct visiting {
    fl_device_key_visit visit;
    void *to;
};

static bool visit_erasure(void *to, struct fl_slice key, struct fl_slice text)
{
    struct visiting *v = to;
    json_t *document = fl_document_parse(text);
    char left[16] = "";
    bool more = false;

    fl_document_str(document, "left", left, sizeof left);
    json_decref(document);
    more = v->visit(v->to, fl_slice_from(key, strlen(ERASE)), strcmp(left, "readings") == 0);
    return more;
}

enum fl_error fl_device_key_each_erasure(const struct fl_store *store, uint32_t limit,
                                         fl_device_key_visit visit, void *to,
                                         struct fl_context *ctx)
{
    struct visiting v = {.visit = visit, .to = to};

    return store->ops->scan(store->self, FL_TABLE_META, fl_slice_str(ERASE),
                            fl_slice_str(ERASE_END), false, limit, visit_erasure, &v, ctx);
}
