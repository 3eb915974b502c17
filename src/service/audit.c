/* SPDX-License-Identifier: Apache-2.0 */
#include "service/audit.h"

#include "trust/key.h"

#include <stdio.h>

#define RECORD_MAX ((size_t)64 * 1024)

static const char no_hash[FL_AUDIT_HASH_TEXT] =
    "0000000000000000000000000000000000000000000000000000000000000000";

static struct fl_slice head_key(void)
{
    return fl_slice_str("audit");
}

/* The last record's number and hash; 0 and zeros for an empty log. */
static enum fl_error read_head(const struct fl_store *store, uint64_t *seq,
                               char hash[FL_AUDIT_HASH_TEXT], struct fl_context *ctx)
{
    json_t *head = NULL;
    enum fl_error error = fl_document_get(store, FL_TABLE_META, head_key(), &head, ctx);

    *seq = 0;
    (void)fl_str_copy(hash, FL_AUDIT_HASH_TEXT, no_hash);
    if (error == FL_ENOTFOUND)
        return FL_OK;
    if (error == FL_OK) {
        *seq = (uint64_t)fl_document_int(head, "seq", 0);
        fl_document_str(head, "hash", hash, FL_AUDIT_HASH_TEXT);
    }
    json_decref(head);
    return error;
}

/* Of the record without its member `hash`. */
static enum fl_error hash_record(const json_t *record, char hash[FL_AUDIT_HASH_TEXT],
                                 struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(RECORD_MAX);
    uint8_t digest[FL_SHA256_SIZE];
    enum fl_error error = fl_document_text(record, &text, ctx);

    if (error == FL_OK) {
        fl_sha256(fl_buffer_slice(&text), digest);
        fl_hex(hash, FL_AUDIT_HASH_TEXT, fl_slice(digest, sizeof digest));
    }
    fl_buffer_free(&text);
    return error;
}

static enum fl_error write_record(const struct fl_store *store, uint64_t seq, json_t *record,
                                  struct fl_context *ctx)
{
    char hash[FL_AUDIT_HASH_TEXT];
    struct fl_key8 key = fl_key8(seq);
    json_t *head = NULL;
    enum fl_error error = hash_record(record, hash, ctx);

    if (error != FL_OK)
        return error;
    if (json_object_set_new(record, "hash", json_string(hash)) != 0)
        return fl_fail(ctx, FL_ENOMEM, "audit: out of memory");
    error = fl_document_put(store, FL_TABLE_AUDIT, fl_key8_slice(&key), record, ctx);
    head = json_pack("{s:I, s:s}", "seq", (json_int_t)seq, "hash", hash);
    if (error == FL_OK)
        error = fl_document_put(store, FL_TABLE_META, head_key(), head, ctx);
    json_decref(head);
    return error;
}

enum fl_error fl_audit_append(const struct fl_store *store, const struct fl_audit_entry *entry,
                              struct fl_context *ctx)
{
    char at[FL_TIME_TEXT_MAX];
    char prev[FL_AUDIT_HASH_TEXT];
    uint64_t seq = 0;
    json_t *detail = entry->detail ? entry->detail : json_object();
    json_t *record = NULL;
    json_int_t number = 0;
    enum fl_error error = read_head(store, &seq, prev, ctx);

    if (error != FL_OK) {
        json_decref(detail);
        return error;
    }
    number = (json_int_t)++seq;
    record = json_pack("{s:I, s:s, s:s, s:s, s:s, s:o, s:s}", "seq", number, "at",
                       fl_time_format(entry->at, at), "who", entry->who, "what", entry->what,
                       "object", entry->object, "detail", detail, "prev", prev);
    if (!record)
        return fl_fail(ctx, FL_EINVAL, "audit: the record is not UTF-8 or there is no memory");
    error = write_record(store, seq, record, ctx);
    json_decref(record);
    return error;
}

/* --- checking --- */

struct walk {
    struct fl_audit_check *check;
    uint32_t seen;
    enum fl_error error;
};

static bool broken(struct fl_audit_check *check, const char *why)
{
    check->broken = true;
    check->done = true;
    check->broken_at = check->records + 1;
    (void)snprintf(check->detail, sizeof check->detail, "record %llu: %s",
                   (unsigned long long)check->broken_at, why);
    return false;
}

static bool check_record(struct fl_audit_check *check, struct fl_slice key, json_t *record,
                         enum fl_error *error)
{
    struct fl_key8 expected = fl_key8(check->records + 1);
    char stated[FL_AUDIT_HASH_TEXT];
    char prev[FL_AUDIT_HASH_TEXT];
    char actual[FL_AUDIT_HASH_TEXT];

    if (!record)
        return broken(check, "not a JSON object");
    if (!fl_slice_equal(key, fl_key8_slice(&expected)))
        return broken(check, "missing");
    if (fl_document_int(record, "seq", 0) != (int64_t)(check->records + 1))
        return broken(check, "its number is another one");
    fl_document_str(record, "hash", stated, sizeof stated);
    fl_document_str(record, "prev", prev, sizeof prev);
    (void)json_object_del(record, "hash");
    *error = hash_record(record, actual, NULL);
    if (*error != FL_OK)
        return false;
    if (strcmp(prev, check->head) != 0)
        return broken(check, "it does not follow the record before it");
    if (strcmp(actual, stated) != 0)
        return broken(check, "it was changed");
    check->records++;
    (void)fl_str_copy(check->head, sizeof check->head, actual);
    return true;
}

static bool visit_record(void *to, struct fl_slice key, struct fl_slice text)
{
    struct walk *walk = to;
    json_t *record = fl_document_parse(text);
    bool go_on = check_record(walk->check, key, record, &walk->error);

    json_decref(record);
    walk->seen++;
    return go_on;
}

enum fl_error fl_audit_check_step(const struct fl_store *store, uint32_t records,
                                  struct fl_audit_check *check, struct fl_context *ctx)
{
    struct walk walk = {.check = check};
    struct fl_key8 from = fl_key8(check->records + 1);
    char hash[FL_AUDIT_HASH_TEXT];
    uint64_t seq = 0;
    enum fl_error error = FL_OK;

    if (check->done)
        return FL_OK;
    if (check->records == 0)
        (void)fl_str_copy(check->head, sizeof check->head, no_hash);
    error = store->ops->scan(store->self, FL_TABLE_AUDIT, fl_key8_slice(&from), fl_slice(NULL, 0),
                             false, records, visit_record, &walk, ctx);
    if (error == FL_OK)
        error = walk.error;
    if (error != FL_OK || check->done || walk.seen == records)
        return error;
    error = read_head(store, &seq, hash, ctx);
    if (error != FL_OK)
        return error;
    check->done = true;
    if (seq != check->records || strcmp(hash, check->head) != 0)
        (void)broken(check, "missing: the log is shorter than its head says");
    return FL_OK;
}

enum fl_error fl_audit_count(const struct fl_store *store, uint64_t *records,
                             struct fl_context *ctx)
{
    char hash[FL_AUDIT_HASH_TEXT];

    return read_head(store, records, hash, ctx);
}
