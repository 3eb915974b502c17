/* SPDX-License-Identifier: Apache-2.0 */
#include "service/profile_store.h"

#include "service/audit.h"
#include "service/requirement.h"

#include <stdio.h>

void fl_profile_record_free(struct fl_profile_record *record)
{
    fl_buffer_free(&record->text);
}

static enum fl_error from_json(const json_t *document, struct fl_profile_record *r,
                               struct fl_context *ctx)
{
    const char *text = json_string_value(json_object_get(document, "text"));

    *r = (struct fl_profile_record){.text = FL_BUFFER(FL_LIMIT_PROFILE_SIZE + 1)};
    fl_document_str(document, "name", r->name, sizeof r->name);
    fl_document_str(document, "key_id", r->key_id, sizeof r->key_id);
    r->version = (uint64_t)fl_document_int(document, "version", 0);
    r->added = fl_document_int(document, "added", 0);
    if (!text || fl_buffer_append_str(&r->text, text) != FL_OK)
        return fl_fail(ctx, FL_EPARSE, "the record of a profile is damaged");
    return FL_OK;
}

enum fl_error fl_profile_store_get(const struct fl_store *store, struct fl_slice name,
                                   struct fl_profile_record *record, struct fl_context *ctx)
{
    json_t *document = NULL;
    enum fl_error error = FL_ENOTFOUND;

    *record = (struct fl_profile_record){0};
    if (fl_name_valid(name))
        error = fl_document_get(store, FL_TABLE_PROFILE, name, &document, ctx);
    if (error == FL_ENOTFOUND)
        return fl_fail(ctx, FL_ENOTFOUND, "there is no profile of that name");
    if (error == FL_OK)
        error = from_json(document, record, ctx);
    json_decref(document);
    return error;
}

enum fl_error fl_profile_store_parse(const struct fl_profile_record *record,
                                     struct fl_profile *profile, struct fl_context *ctx)
{
    return fl_profile_parse(fl_buffer_slice(&record->text), record->name, profile, ctx);
}

static enum fl_error put_at(const struct fl_store *store, const char *key,
                            const struct fl_profile *profile, fl_time_t added, const char *state,
                            struct fl_slice text, struct fl_context *ctx)
{
    json_t *document =
        json_pack("{s:s, s:I, s:s, s:s, s:I, s:s%}", "name", profile->name, "version",
                  (json_int_t)profile->version, "key_id", profile->key_id, "state", state, "added",
                  (json_int_t)added, "text", (const char *)text.data, text.size);
    enum fl_error error = FL_OK;

    if (!document)
        return fl_fail(ctx, FL_EINVAL, "profile: the text is not UTF-8");
    error = fl_document_put(store, FL_TABLE_PROFILE, fl_slice_str(key), document, ctx);
    json_decref(document);
    return error;
}

/* Under "name@version", which is no profile name. */
static enum fl_error supersede(const struct fl_store *store, const struct fl_profile_record *old,
                               struct fl_context *ctx)
{
    char key[FL_NAME_MAX + 32];
    struct fl_profile profile = {.version = old->version};

    (void)fl_str_copy(profile.name, sizeof profile.name, old->name);
    (void)fl_str_copy(profile.key_id, sizeof profile.key_id, old->key_id);
    (void)snprintf(key, sizeof key, "%s@%020llu", old->name, (unsigned long long)old->version);
    return put_at(store, key, &profile, old->added, "superseded", fl_buffer_slice(&old->text), ctx);
}

static bool count_one(void *to, const struct fl_profile_record *record)
{
    size_t *count = to;

    (void)record;
    (*count)++;
    return true;
}

/* FL_OK: `profile` may come in. `*same`: it is in. */
static enum fl_error check_version(const struct fl_store *store, const struct fl_profile *profile,
                                   struct fl_slice text, bool *same, struct fl_context *ctx)
{
    struct fl_profile_record old = {0};
    size_t count = 0;
    enum fl_error error = fl_profile_store_get(store, fl_slice_str(profile->name), &old, NULL);

    *same = false;
    if (error == FL_ENOTFOUND) {
        error = fl_profile_store_each(store, count_one, &count, ctx);
        if (error == FL_OK && count >= FL_LIMIT_PROFILES)
            error =
                fl_fail(ctx, FL_ELIMIT, "there are %d profiles already", (int)FL_LIMIT_PROFILES);
    } else if (error == FL_OK) {
        *same = fl_slice_equal(fl_buffer_slice(&old.text), text);
        if (!*same && profile->version <= old.version)
            error = fl_fail(ctx, FL_ESTATE,
                            "profile %s has version %llu already: a changed profile needs a higher "
                            "one than that, this has %llu",
                            profile->name, (unsigned long long)old.version,
                            (unsigned long long)profile->version);
        else if (!*same)
            error = supersede(store, &old, ctx);
    }
    fl_profile_record_free(&old);
    return error;
}

enum fl_error fl_profile_store_add(const struct fl_store *store, const struct fl_profile_keys *keys,
                                   struct fl_slice text, const char *file,
                                   const struct fl_change *change, bool *added,
                                   char name[FL_NAME_MAX + 1], struct fl_context *ctx)
{
    struct fl_profile profile = {0};
    struct fl_audit_entry entry = {
        .who = change->who, .what = "profile.add", .object = name, .at = change->now};
    bool same = false;
    enum fl_error error = fl_profile_parse(text, file, &profile, ctx);

    *added = false;
    if (error != FL_OK)
        return error;
    (void)fl_str_copy(name, FL_NAME_MAX + 1, profile.name);
    error = fl_profile_verify(&profile, keys, ctx);
    if (error != FL_OK)
        error = fl_fail_in(ctx, error, "%s", file);
    else
        error = check_version(store, &profile, text, &same, ctx);
    if (error == FL_OK && !same)
        error = put_at(store, profile.name, &profile, change->now, "signed", text, ctx);
    if (error == FL_OK && !same)
        error = fl_requirement_put(store, &profile, change->now, ctx);
    if (error == FL_OK && !same) {
        *added = true;
        entry.detail = json_pack("{s:I, s:s}", "version", (json_int_t)profile.version, "key_id",
                                 profile.key_id);
        error = fl_audit_append(store, &entry, ctx);
    }
    fl_profile_free(&profile);
    return error;
}

struct each {
    fl_profile_visit visit;
    void *to;
};

static bool visit_document(void *to, struct fl_slice key, struct fl_slice text)
{
    struct each *each = to;
    struct fl_profile_record record = {0};
    json_t *document = NULL;
    bool go_on = true;

    if (!fl_name_valid(key)) /* a superseded one */
        return true;
    document = fl_document_parse(text);
    if (document && from_json(document, &record, NULL) == FL_OK)
        go_on = each->visit(each->to, &record);
    json_decref(document);
    fl_profile_record_free(&record);
    return go_on;
}

enum fl_error fl_profile_store_each(const struct fl_store *store, fl_profile_visit visit, void *to,
                                    struct fl_context *ctx)
{
    struct each each = {.visit = visit, .to = to};

    return store->ops->scan(store->self, FL_TABLE_PROFILE, fl_slice(NULL, 0), fl_slice(NULL, 0),
                            false, UINT32_MAX, visit_document, &each, ctx);
}
