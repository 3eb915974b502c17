/* SPDX-License-Identifier: Apache-2.0 */
#include "service/requirement.h"

#include "service/due.h"

#include <stdio.h>

#define KEY_PREFIX "require/"
#define REVIEW_PREFIX "rvw/"
#define INTERVAL_MIN_MS 1000

struct key {
    char text[sizeof KEY_PREFIX + FL_NAME_MAX];
};

static struct fl_slice key_of(struct key *key, const char *profile)
{
    (void)snprintf(key->text, sizeof key->text, KEY_PREFIX "%s", profile);
    return fl_slice_str(key->text);
}

enum fl_error fl_requirement_of(const struct fl_store *store, const char *profile,
                                struct fl_requirement *requirement, struct fl_context *ctx)
{
    struct key key;
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_META, key_of(&key, profile), &document, ctx);

    *requirement = (struct fl_requirement){.pcrs = FL_PCRS_ALWAYS};
    for (enum fl_grade g = FL_GRADE_REPORTED; error == FL_OK && g < FL_GRADE_COUNT; g++)
        requirement->within_ms[g] = fl_document_int(document, fl_grade_name(g), 0);
    if (error == FL_OK)
        requirement->pcrs = (uint32_t)fl_document_int(document, "pcrs", FL_PCRS_ALWAYS);
    json_decref(document);
    return error == FL_ENOTFOUND ? FL_OK : error;
}

static bool is_same(const struct fl_requirement *a, const struct fl_requirement *b)
{
    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT; g++)
        if (a->within_ms[g] != b->within_ms[g])
            return false;
    return a->pcrs == b->pcrs;
}

enum fl_error fl_requirement_put(const struct fl_store *store, const struct fl_profile *profile,
                                 fl_time_t now, struct fl_context *ctx)
{
    struct fl_requirement before = {0};
    struct fl_requirement after = {.pcrs = profile->pcrs};
    struct key key;
    json_t *document = NULL;
    enum fl_error error = fl_requirement_of(store, profile->name, &before, ctx);

    memcpy(after.within_ms, profile->within_ms, sizeof after.within_ms);
    if (error != FL_OK || is_same(&before, &after))
        return error;
    document = json_pack("{s:I}", "pcrs", (json_int_t)after.pcrs);
    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT; g++)
        (void)json_object_set_new(document, fl_grade_name(g), json_integer(after.within_ms[g]));
    error = fl_document_put(store, FL_TABLE_META, key_of(&key, profile->name), document, ctx);
    json_decref(document);
    if (error == FL_OK)
        error = fl_due_put(store, REVIEW_PREFIX, now, fl_slice_str(profile->name), ctx);
    return error;
}

enum fl_error fl_requirement_review(const struct fl_store *store, char profile[FL_NAME_MAX + 1],
                                    fl_time_t *since, struct fl_context *ctx)
{
    struct fl_due due = {0};
    enum fl_error error = fl_due_first(store, REVIEW_PREFIX, &due, ctx);

    if (error != FL_OK)
        return error;
    (void)fl_str_copy_slice(profile, FL_NAME_MAX + 1, fl_slice(due.what, due.what_size));
    *since = due.at;
    return FL_OK;
}

enum fl_error fl_requirement_reviewed(const struct fl_store *store, const char *profile,
                                      fl_time_t since, struct fl_context *ctx)
{
    return fl_due_del(store, REVIEW_PREFIX, since, fl_slice_str(profile), ctx);
}

fl_time_t fl_requirement_within(const struct fl_requirement *requirement, enum fl_grade grade)
{
    fl_time_t within = requirement->within_ms[grade];

    return within ? within : (fl_time_t)FL_LIMIT_EVIDENCE_S * 1000;
}

fl_time_t fl_requirement_interval(const struct fl_requirement *requirement)
{
    fl_time_t shortest = (fl_time_t)FL_LIMIT_EVIDENCE_S * 1000;

    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT; g++)
        if (requirement->within_ms[g] && requirement->within_ms[g] < shortest)
            shortest = requirement->within_ms[g];
    /* Two attempts may fail before anything is lost. */
    return shortest / 3 > INTERVAL_MIN_MS ? shortest / 3 : INTERVAL_MIN_MS;
}
