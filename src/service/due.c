/* SPDX-License-Identifier: Apache-2.0 */
#include "service/due.h"

#include "base/assert.h"

struct due_key {
    uint8_t bytes[FL_DUE_PREFIX_SIZE + 8 + FL_NAME_MAX];
};

static struct fl_slice key_of(struct due_key *key, const char *prefix, fl_time_t at,
                              struct fl_slice what)
{
    struct fl_key8 time = fl_key8((uint64_t)at);

    fl_assert(strlen(prefix) == FL_DUE_PREFIX_SIZE && what.size <= FL_NAME_MAX);
    memcpy(key->bytes, prefix, FL_DUE_PREFIX_SIZE);
    memcpy(key->bytes + FL_DUE_PREFIX_SIZE, time.bytes, 8);
    if (what.size)
        memcpy(key->bytes + FL_DUE_PREFIX_SIZE + 8, what.data, what.size);
    return fl_slice(key->bytes, FL_DUE_PREFIX_SIZE + 8 + what.size);
}

enum fl_error fl_due_put(const struct fl_store *store, const char *prefix, fl_time_t at,
                         struct fl_slice what, struct fl_context *ctx)
{
    struct due_key key;

    return store->ops->put(store->self, FL_TABLE_META, key_of(&key, prefix, at, what),
                           fl_slice_str("{}"), ctx);
}

enum fl_error fl_due_del(const struct fl_store *store, const char *prefix, fl_time_t at,
                         struct fl_slice what, struct fl_context *ctx)
{
    struct due_key key;

    return fl_document_del(store, FL_TABLE_META, key_of(&key, prefix, at, what), ctx);
}

static bool take_first(void *to, struct fl_slice key, struct fl_slice document)
{
    struct fl_due *due = to;
    uint64_t at = 0;

    (void)document;
    if (key.size < FL_DUE_PREFIX_SIZE + 8 || key.size > sizeof(struct due_key))
        return true;
    for (size_t i = 0; i < 8; i++)
        at = at << 8 | key.data[FL_DUE_PREFIX_SIZE + i];
    due->at = (fl_time_t)at;
    due->what_size = key.size - FL_DUE_PREFIX_SIZE - 8;
    memcpy(due->what, key.data + FL_DUE_PREFIX_SIZE + 8, due->what_size);
    return false;
}

enum fl_error fl_due_first(const struct fl_store *store, const char *prefix, struct fl_due *due,
                           struct fl_context *ctx)
{
    uint8_t until[FL_DUE_PREFIX_SIZE];
    enum fl_error error = FL_OK;

    memcpy(until, prefix, sizeof until);
    until[sizeof until - 1]++;
    *due = (struct fl_due){.at = FL_TIME_NEVER};
    error = store->ops->scan(store->self, FL_TABLE_META, fl_slice_str(prefix),
                             fl_slice(until, sizeof until), false, 2, take_first, due, ctx);
    if (error == FL_OK && due->what_size == 0)
        return FL_ENOTFOUND;
    return error;
}
