/* SPDX-License-Identifier: Apache-2.0 */
#include "service/action_record.h"

#include "service/due.h"

static const char *const kind_names[FL_ACTION_KIND_COUNT] = {
    [FL_ACTION_QUARANTINE] = "quarantine",
    [FL_ACTION_REVOKE] = "revoke",
    [FL_ACTION_RETIRE] = "retire",
    [FL_ACTION_HOLD] = "hold",
};

static const char *const state_names[FL_ACTION_STATE_COUNT] = {
    [FL_ACTION_PROPOSED] = "proposed",
    [FL_ACTION_ACTIVE] = "active",
    [FL_ACTION_UNDONE] = "undone",
    [FL_ACTION_EXPIRED] = "expired",
};

const char *fl_action_kind_name(enum fl_action_kind kind)
{
    return kind_names[kind];
}

const char *fl_action_state_name(enum fl_action_state state)
{
    return state_names[state];
}

enum fl_action_state fl_action_state_of(const char *name)
{
    return (enum fl_action_state)fl_name_index(state_names, FL_ACTION_STATE_COUNT, name);
}

/* --- the index of ends --- */

#define DUE_PREFIX "due/"

static enum fl_error index_end(const struct fl_store *store, const struct fl_action *action,
                               struct fl_context *ctx)
{
    struct fl_key8 id = fl_key8(action->id);

    if (action->until == FL_TIME_NEVER)
        return FL_OK;
    if (action->state == FL_ACTION_ACTIVE)
        return fl_due_put(store, DUE_PREFIX, action->until, fl_key8_slice(&id), ctx);
    return fl_due_del(store, DUE_PREFIX, action->until, fl_key8_slice(&id), ctx);
}

enum fl_error fl_action_record_first_due(const struct fl_store *store, fl_time_t *due, uint64_t *id,
                                         struct fl_context *ctx)
{
    struct fl_due first = {0};
    enum fl_error error = fl_due_first(store, DUE_PREFIX, &first, ctx);

    *due = first.at;
    *id = 0;
    for (size_t i = 0; i < first.what_size && i < 8; i++)
        *id = *id << 8 | first.what[i];
    return error;
}

/* --- documents --- */

enum fl_error fl_action_record_put(const struct fl_store *store, const struct fl_action *a,
                                   struct fl_context *ctx)
{
    struct fl_key8 key = fl_key8(a->id);
    json_t *serials = json_array();
    json_t *document = NULL;
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < a->serial_count; i++)
        (void)json_array_append_new(serials, json_string(a->serials[i]));
    document =
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:o}", "id",
                  (json_int_t)a->id, "device", a->device, "kind", kind_names[a->kind], "state",
                  state_names[a->state], "reason", a->reason, "by", a->by, "at", (json_int_t)a->at,
                  "undone_by", a->undone_by, "before", fl_device_state_name(a->before), "previous",
                  (json_int_t)a->previous, "credentials", serials);
    if (!document)
        return fl_fail(ctx, FL_EINVAL, "action: a text is not UTF-8");
    if (a->until != FL_TIME_NEVER)
        (void)json_object_set_new(document, "until", json_integer(a->until));
    error = fl_document_put(store, FL_TABLE_ACTION, fl_key8_slice(&key), document, ctx);
    json_decref(document);
    return error == FL_OK ? index_end(store, a, ctx) : error;
}

static bool from_json(const json_t *document, struct fl_action *a)
{
    char text[16];
    const json_t *serials = json_object_get(document, "credentials");

    *a = (struct fl_action){0};
    a->id = (uint64_t)fl_document_int(document, "id", 0);
    fl_document_str(document, "device", a->device, sizeof a->device);
    fl_document_str(document, "reason", a->reason, sizeof a->reason);
    fl_document_str(document, "by", a->by, sizeof a->by);
    fl_document_str(document, "undone_by", a->undone_by, sizeof a->undone_by);
    a->at = fl_document_int(document, "at", 0);
    a->until = fl_document_int(document, "until", FL_TIME_NEVER);
    a->previous = (uint64_t)fl_document_int(document, "previous", 0);
    fl_document_str(document, "kind", text, sizeof text);
    a->kind = (enum fl_action_kind)fl_name_index(kind_names, FL_ACTION_KIND_COUNT, text);
    fl_document_str(document, "state", text, sizeof text);
    a->state = fl_action_state_of(text);
    fl_document_str(document, "before", text, sizeof text);
    a->before = fl_device_state_of(text);
    if (a->kind == FL_ACTION_KIND_COUNT || a->state == FL_ACTION_STATE_COUNT ||
        a->before == FL_DEVICE_STATE_COUNT || json_array_size(serials) > FL_LIMIT_DEVICE_CERTS)
        return false;
    for (a->serial_count = 0; a->serial_count < json_array_size(serials); a->serial_count++) {
        const char *serial = json_string_value(json_array_get(serials, a->serial_count));

        (void)fl_str_copy(a->serials[a->serial_count], sizeof a->serials[0], serial ? serial : "");
    }
    return true;
}

enum fl_error fl_action_get(const struct fl_store *store, uint64_t id, struct fl_action *action,
                            struct fl_context *ctx)
{
    struct fl_key8 key = fl_key8(id);
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_ACTION, fl_key8_slice(&key), &document, ctx);

    if (error == FL_ENOTFOUND)
        return fl_fail(ctx, FL_ENOTFOUND, "there is no action %llu", (unsigned long long)id);
    if (error == FL_OK && !from_json(document, action))
        error =
            fl_fail(ctx, FL_EPARSE, "the record of action %llu is damaged", (unsigned long long)id);
    json_decref(document);
    return error;
}

static bool take_key(void *to, struct fl_slice key, struct fl_slice document)
{
    uint64_t *id = to;

    (void)document;
    for (size_t i = 0; i < key.size && i < 8; i++)
        *id = *id << 8 | key.data[i];
    return false;
}

enum fl_error fl_action_record_next_id(const struct fl_store *store, uint64_t *id,
                                       struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    *id = 0;
    error = store->ops->scan(store->self, FL_TABLE_ACTION, fl_slice(NULL, 0), fl_slice(NULL, 0),
                             true, 1, take_key, id, ctx);
    (*id)++;
    return error;
}

struct each {
    fl_action_visit visit;
    void *to;
};

static bool visit_document(void *to, struct fl_slice key, struct fl_slice text)
{
    struct each *each = to;
    struct fl_action action;
    json_t *document = fl_document_parse(text);
    bool good = document && from_json(document, &action);

    (void)key;
    json_decref(document);
    return !good || each->visit(each->to, &action);
}

enum fl_error fl_action_each(const struct fl_store *store, uint64_t after, fl_action_visit visit,
                             void *to, struct fl_context *ctx)
{
    struct each each = {.visit = visit, .to = to};
    struct fl_key8 from = fl_key8(after + 1);

    return store->ops->scan(store->self, FL_TABLE_ACTION, fl_key8_slice(&from), fl_slice(NULL, 0),
                            false, UINT32_MAX, visit_document, &each, ctx);
}
