/* SPDX-License-Identifier: Apache-2.0 */
#include "service/reference.h"

#include "service/audit.h"
#include "service/pcrs_json.h"

#include <stdio.h>

static const char *const prefixes[] = {
    [FL_REFERENCE_DEVICE] = "reference/d/",
    [FL_REFERENCE_PROFILE] = "reference/p/",
};

struct key {
    char text[80];
};

static struct fl_slice key_of(struct key *key, enum fl_reference_scope scope, const char *name)
{
    (void)snprintf(key->text, sizeof key->text, "%s%s", prefixes[scope], name);
    return fl_slice_str(key->text);
}

/* Of FL_LIMIT_PCRS at most; the nearest decides what is told. */
static unsigned count_bits(uint32_t bits)
{
    unsigned count = 0;

    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

static uint32_t difference(const struct fl_pcrs *a, const struct fl_pcrs *b)
{
    uint32_t differs = a->present ^ b->present;

    for (unsigned i = 0; i < FL_LIMIT_PCRS; i++)
        if (a->present & b->present & 1U << i && memcmp(a->value[i], b->value[i], FL_PCR_SIZE) != 0)
            differs |= 1U << i;
    return differs;
}

enum fl_error fl_reference_list(const struct fl_store *store, enum fl_reference_scope scope,
                                const char *name, json_t **list, struct fl_context *ctx)
{
    struct key key;
    json_t *document = NULL;
    json_t *states = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_META, key_of(&key, scope, name), &document, ctx);

    states = json_object_get(document, "states");
    *list = json_is_array(states) ? json_incref(states) : json_array();
    json_decref(document);
    return error == FL_ENOTFOUND ? FL_OK : error;
}

static enum fl_error put(const struct fl_store *store, enum fl_reference_scope scope,
                         const char *name, json_t *states, struct fl_context *ctx)
{
    struct key key;
    json_t *document = json_pack("{s:O}", "states", states);
    enum fl_error error =
        fl_document_put(store, FL_TABLE_META, key_of(&key, scope, name), document, ctx);

    json_decref(document);
    return error;
}

static void compare(const json_t *states, const struct fl_pcrs *pcrs,
                    struct fl_reference_judgement *judgement)
{
    size_t i = 0;
    const json_t *state = NULL;

    for (i = 0; i < json_array_size(states); i++) {
        struct fl_pcrs good;
        uint32_t differs = 0;

        state = json_array_get(states, i);
        fl_pcrs_from_json(json_object_get(state, "pcrs"), &good);
        differs = difference(pcrs, &good);
        if (judgement->verdict == FL_REFERENCE_NONE ||
            count_bits(differs) < count_bits(judgement->differs))
            judgement->differs = differs;
        judgement->verdict = judgement->differs ? FL_REFERENCE_DIFFERS : FL_REFERENCE_GOOD;
    }
}

enum fl_error fl_reference_judge(const struct fl_store *store, const char *device,
                                 const char *profile, const struct fl_pcrs *pcrs,
                                 struct fl_reference_judgement *judgement, struct fl_context *ctx)
{
    json_t *states = NULL;
    enum fl_error error = fl_reference_list(store, FL_REFERENCE_DEVICE, device, &states, ctx);

    *judgement = (struct fl_reference_judgement){0};
    if (error == FL_OK)
        compare(states, pcrs, judgement);
    json_decref(states);
    if (error != FL_OK || judgement->verdict != FL_REFERENCE_NONE)
        return error;
    error = fl_reference_list(store, FL_REFERENCE_PROFILE, profile, &states, ctx);
    if (error == FL_OK)
        compare(states, pcrs, judgement);
    json_decref(states);
    return error;
}

static const char *scope_word(enum fl_reference_scope scope)
{
    return scope == FL_REFERENCE_DEVICE ? "device" : "profile";
}

static enum fl_error audit(const struct fl_store *store, const char *what,
                           enum fl_reference_scope scope, const char *name,
                           const struct fl_pcrs *pcrs, const struct fl_change *change,
                           struct fl_context *ctx)
{
    struct fl_audit_entry entry = {
        .who = change->who, .what = what, .object = name, .at = change->now};

    entry.detail = json_pack("{s:s, s:s}", "of", scope_word(scope), "reason", change->reason);
    if (pcrs)
        (void)json_object_set_new(entry.detail, "pcrs", fl_pcrs_to_json(pcrs));
    return fl_audit_append(store, &entry, ctx);
}

enum fl_error fl_reference_accept(const struct fl_store *store, enum fl_reference_scope scope,
                                  const char *name, const struct fl_pcrs *pcrs,
                                  const struct fl_change *change, struct fl_context *ctx)
{
    struct fl_reference_judgement judgement = {0};
    char at[FL_TIME_TEXT_MAX];
    json_t *states = NULL;
    enum fl_error error = fl_reference_list(store, scope, name, &states, ctx);

    if (error == FL_OK)
        compare(states, pcrs, &judgement);
    if (error == FL_OK && judgement.verdict == FL_REFERENCE_GOOD)
        error = fl_fail(ctx, FL_EEXISTS, "this boot state is accepted for %s %s already",
                        scope_word(scope), name);
    if (error == FL_OK && json_array_size(states) >= FL_LIMIT_REFERENCES)
        error = fl_fail(ctx, FL_ELIMIT,
                        "%d boot states are accepted for %s %s: forget those that are not used any "
                        "more",
                        FL_LIMIT_REFERENCES, scope_word(scope), name);
    if (error == FL_OK) {
        (void)json_array_append_new(states, json_pack("{s:s, s:s, s:o}", "at",
                                                      fl_time_format(change->now, at), "who",
                                                      change->who, "pcrs", fl_pcrs_to_json(pcrs)));
        error = put(store, scope, name, states, ctx);
    }
    if (error == FL_OK)
        error = audit(store, "reference.accept", scope, name, pcrs, change, ctx);
    json_decref(states);
    return error;
}

enum fl_error fl_reference_forget(const struct fl_store *store, enum fl_reference_scope scope,
                                  const char *name, const struct fl_change *change,
                                  struct fl_context *ctx)
{
    json_t *states = NULL;
    json_t *none = NULL;
    enum fl_error error = fl_reference_list(store, scope, name, &states, ctx);

    if (error == FL_OK && json_array_size(states) == 0)
        error = fl_fail(ctx, FL_ENOTFOUND, "no boot state is accepted for %s %s", scope_word(scope),
                        name);
    if (error == FL_OK) {
        none = json_array();
        error = put(store, scope, name, none, ctx);
    }
    if (error == FL_OK)
        error = audit(store, "reference.forget", scope, name, NULL, change, ctx);
    json_decref(none);
    json_decref(states);
    return error;
}
