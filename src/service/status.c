/* SPDX-License-Identifier: Apache-2.0 */
#include "service/status.h"

#include "base/log.h"

#define PREFIX "crl/" /* of the index: PREFIX, serial in hex */
#define PREFIX_END "crl0"
#define NUMBER_KEY "crl"

struct key {
    char text[sizeof PREFIX + FL_LIMIT_SERIAL_HEX];
};

static struct fl_slice key_of(struct key *key, const char *serial)
{
    memcpy(key->text, PREFIX, sizeof PREFIX);
    (void)fl_str_copy(key->text + sizeof PREFIX - 1, FL_LIMIT_SERIAL_HEX, serial);
    return fl_slice_str(key->text);
}

enum fl_error fl_status_note(const struct fl_store *store, const struct fl_credential *c,
                             struct fl_context *ctx)
{
    struct key key;
    json_t *document = NULL;
    enum fl_error error = FL_OK;

    if (c->state == FL_CREDENTIAL_EXPIRED)
        return FL_OK;
    if (c->state == FL_CREDENTIAL_ISSUED)
        return fl_document_del(store, FL_TABLE_META, key_of(&key, c->serial), ctx);
    document = json_pack("{s:I, s:i, s:I}", "at", (json_int_t)c->since, "cause", (int)c->cause,
                         "not_after", (json_int_t)c->not_after);
    if (!document)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    error = fl_document_put(store, FL_TABLE_META, key_of(&key, c->serial), document, ctx);
    json_decref(document);
    return error;
}

/* --- reading it --- */

static enum fl_error scan(const struct fl_store *store, fl_store_visit visit, void *to,
                          struct fl_context *ctx)
{
    return store->ops->scan(store->self, FL_TABLE_META, fl_slice_str(PREFIX),
                            fl_slice_str(PREFIX_END), false, UINT32_MAX, visit, to, ctx);
}

struct collecting {
    struct fl_buffer *entries;
    enum fl_error error;
};

static bool collect(void *to, struct fl_slice key, struct fl_slice text)
{
    struct collecting *c = to;
    struct fl_slice serial = fl_slice_from(key, sizeof PREFIX - 1);
    struct fl_crl_entry entry = {0};
    json_t *document = fl_document_parse(text);
    size_t size = 0;
    bool good = document && fl_unhex(entry.serial, sizeof entry.serial, serial, &size) == FL_OK &&
                size > 0 && entry.serial[0] != 0;

    if (good) {
        entry.serial_size = (uint8_t)size;
        entry.reason = (enum fl_crl_reason)fl_document_int(document, "cause", FL_CRL_UNSPECIFIED);
        entry.at = fl_document_int(document, "at", 0);
        c->error = fl_crl_put_entry(c->entries, &entry);
    } else {
        /* One record that is damaged must not keep the others from being told. */
        fl_log(FL_LOG_ERROR, "status", "the record of revoked certificate %.*s is damaged",
               FL_SLICE_ARGS(serial));
    }
    json_decref(document);
    return c->error == FL_OK;
}

enum fl_error fl_status_entries(const struct fl_store *store, struct fl_buffer *entries,
                                struct fl_context *ctx)
{
    struct collecting c = {.entries = entries};
    enum fl_error error = scan(store, collect, &c, ctx);

    if (error == FL_OK && c.error != FL_OK)
        error = fl_fail(ctx, c.error, "more than %d certificates are revoked",
                        (int)FL_LIMIT_CRL_ENTRIES);
    return error;
}

/* --- what has expired --- */

struct forgetting {
    fl_time_t before;
    struct key keys[FL_LIMIT_STATUS_FORGET];
    size_t count;
};

static bool choose(void *to, struct fl_slice key, struct fl_slice text)
{
    struct forgetting *f = to;
    json_t *document = fl_document_parse(text);

    if (document && fl_document_int(document, "not_after", FL_TIME_NEVER) < f->before &&
        fl_str_copy_slice(f->keys[f->count].text, sizeof f->keys[0].text, key))
        f->count++;
    json_decref(document);
    return f->count < FL_LIMIT_STATUS_FORGET;
}

enum fl_error fl_status_forget(const struct fl_store *store, fl_time_t before, size_t *count,
                               struct fl_context *ctx)
{
    struct forgetting f = {.before = before};
    enum fl_error error = scan(store, choose, &f, ctx);

    for (size_t i = 0; i < f.count && error == FL_OK; i++)
        error = fl_document_del(store, FL_TABLE_META, fl_slice_str(f.keys[i].text), ctx);
    *count = f.count;
    return error;
}

/* --- the number --- */

struct making {
    const struct fl_store *store;
    fl_time_t now;
    struct fl_buffer serials; /* terminated, one behind the other */
};

static bool choose_old(void *to, struct fl_slice key, struct fl_slice text)
{
    struct making *m = to;
    char state[16] = "";
    json_t *document = fl_document_parse(text);
    bool good = true;

    if (document)
        fl_document_str(document, "state", state, sizeof state);
    if ((strcmp(state, "held") == 0 || strcmp(state, "revoked") == 0) &&
        fl_document_int(document, "not_after", 0) > m->now)
        good = fl_buffer_append_slice(&m->serials, key) == FL_OK &&
               fl_buffer_append(&m->serials, "", 1) == FL_OK;
    json_decref(document);
    return good;
}

/* What was revoked before there was an index; when that was nobody wrote down. */
static enum fl_error make_index(const struct fl_store *store, fl_time_t now, struct fl_context *ctx)
{
    struct making m = {.store = store, .now = now};
    enum fl_error error = FL_OK;
    const char *at = NULL;

    m.serials = FL_BUFFER((size_t)FL_LIMIT_CRL_ENTRIES * FL_LIMIT_SERIAL_HEX);
    error = store->ops->scan(store->self, FL_TABLE_CREDENTIAL, fl_slice(NULL, 0), fl_slice(NULL, 0),
                             false, UINT32_MAX, choose_old, &m, ctx);
    at = (const char *)fl_buffer_slice(&m.serials).data;
    for (size_t used = 0; at && used < m.serials.size && error == FL_OK;
         used += strlen(at + used) + 1) {
        struct fl_credential c = {0};

        error = fl_credential_get(store, at + used, &c, ctx);
        if (error == FL_OK && c.since == 0) {
            c.since = now;
            c.cause = c.state == FL_CREDENTIAL_HELD ? FL_CRL_HOLD : FL_CRL_UNSPECIFIED;
            error = fl_credential_put(store, &c, ctx);
        }
    }
    fl_buffer_free(&m.serials);
    return error;
}

enum fl_error fl_status_next_number(const struct fl_store *store, fl_time_t now, uint64_t *number,
                                    struct fl_context *ctx)
{
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_META, fl_slice_str(NUMBER_KEY), &document, ctx);

    *number = 1;
    if (error == FL_ENOTFOUND)
        error = make_index(store, now, ctx);
    else if (error == FL_OK)
        *number = (uint64_t)fl_document_int(document, "number", 0) + 1;
    json_decref(document);
    if (error != FL_OK)
        return error;
    document = json_pack("{s:I}", "number", (json_int_t)*number);
    if (!document)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    error = fl_document_put(store, FL_TABLE_META, fl_slice_str(NUMBER_KEY), document, ctx);
    json_decref(document);
    return error;
}
