/* SPDX-License-Identifier: Apache-2.0
 * Actions: what is done to a device, rehearsed, timed until the front has made it true, undone. */
#include "hub/api.h"

#include <stdio.h>

/* What the front would do; known only from what it reported. */
static void foresee(const struct fl_hub *hub, struct fl_outcome *o)
{
    const struct fl_session *session = fl_session_find(&hub->sessions, fl_slice_str(o->device.id));

    if (!session || !session->live || o->effect_count == FL_OUTCOME_EFFECTS)
        return;
    (void)snprintf(o->effects[o->effect_count++], sizeof o->effects[0],
                   "close %u live session%s (from %s)", session->live,
                   session->live == 1 ? "" : "s", session->peer);
}

enum verb { VERB_QUARANTINE, VERB_HOLD, VERB_REVOKE, VERB_RETIRE, VERB_RELEASE, VERB_UNDO };

static enum fl_error decide(struct fl_api_call *call, enum verb verb, bool dry_run,
                            struct fl_outcome *o, struct fl_context *ctx)
{
    const struct fl_store *store = &call->hub->store;
    struct fl_change change = {
        .who = call->who, .reason = fl_api_str(call->body, "reason", ""), .now = call->now};
    fl_time_t for_ms = (fl_time_t)fl_api_int(call->body, "for_s", 0) * 1000;
    uint64_t id = 0;

    switch (verb) {
    case VERB_QUARANTINE:
        return fl_action_apply(store, FL_ACTION_QUARANTINE, call->segment, for_ms, dry_run, &change,
                               o, ctx);
    case VERB_HOLD:
        return fl_action_apply(store, FL_ACTION_HOLD, call->segment, for_ms, dry_run, &change, o,
                               ctx);
    case VERB_REVOKE:
        return fl_action_apply(store, FL_ACTION_REVOKE, call->segment, 0, dry_run, &change, o, ctx);
    case VERB_RETIRE:
        return fl_action_apply(store, FL_ACTION_RETIRE, call->segment, 0, dry_run, &change, o, ctx);
    case VERB_RELEASE:
        return fl_action_release(store, call->segment, dry_run, &change, o, ctx);
    case VERB_UNDO:
        if (fl_str_to_u64(call->segment, INT64_MAX, &id) != FL_OK)
            return fl_fail(ctx, FL_EINVAL, "an action is named by its number");
        return fl_action_undo(store, id, dry_run, &change, o, ctx);
    }
    return FL_EINVAL;
}

static void act(struct fl_api_call *call, enum verb verb)
{
    struct fl_hub *hub = call->hub;
    bool dry_run = fl_api_bool(call->body, "dry_run");
    struct fl_outcome outcome = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (dry_run) {
        error = decide(call, verb, true, &outcome, &ctx);
    } else {
        error = fl_store_begin(&hub->store, &ctx);
        if (error == FL_OK) {
            error = decide(call, verb, false, &outcome, &ctx);
            error = fl_store_end(&hub->store, error, &ctx);
        }
    }
    if (error != FL_OK) {
        fl_api_fail(call, error, &ctx);
    } else if (dry_run) {
        if (verb != VERB_RELEASE && verb != VERB_UNDO)
            foresee(hub, &outcome);
        fl_api_answer_outcome(hub, call->caller, &outcome, 0,
                              fl_clock_monotonic(hub->clock) - call->started);
    } else {
        fl_hub_answer_applied(hub, call->caller, call->started, &outcome);
    }
}

void fl_api_quarantine(struct fl_api_call *call)
{
    act(call, VERB_QUARANTINE);
}

void fl_api_hold(struct fl_api_call *call)
{
    act(call, VERB_HOLD);
}

void fl_api_release(struct fl_api_call *call)
{
    act(call, VERB_RELEASE);
}

void fl_api_revoke(struct fl_api_call *call)
{
    act(call, VERB_REVOKE);
}

void fl_api_retire(struct fl_api_call *call)
{
    act(call, VERB_RETIRE);
}

void fl_api_undo(struct fl_api_call *call)
{
    act(call, VERB_UNDO);
}

/* --- the list --- */

json_t *fl_api_action(const struct fl_action *a)
{
    json_t *body = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:o}", "id", (json_int_t)a->id,
                             "device", a->device, "kind", fl_action_kind_name(a->kind), "state",
                             fl_action_state_name(a->state), "reason", a->reason, "by", a->by, "at",
                             fl_api_time(a->at));

    if (body && a->until != FL_TIME_NEVER)
        (void)json_object_set_new(body, "until", fl_api_time(a->until));
    if (body && a->undone_by[0])
        (void)json_object_set_new(body, "undone_by", json_string(a->undone_by));
    return body;
}

struct listing {
    struct fl_api_list list;
    const char *state;
    const char *device;
};

static bool list_action(void *to, const struct fl_action *action)
{
    struct listing *l = to;

    if (l->state && strcmp(l->state, fl_action_state_name(action->state)) != 0)
        return true;
    if (l->device && strcmp(l->device, action->device) != 0)
        return true;
    return fl_api_list_add(&l->list, fl_api_action(action));
}

void fl_api_list_actions(struct fl_api_call *call)
{
    struct listing l = {.state = fl_api_str(call->query, "state", NULL),
                        .device = fl_api_str(call->query, "device", NULL)};
    uint64_t after = (uint64_t)fl_api_int(call->query, "after", 0);
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    fl_api_list_init(&l.list, (size_t)fl_api_int(call->query, "limit", FL_LIMIT_PAGE));
    if (after < INT64_MAX)
        error = fl_action_each(&call->hub->store, after, list_action, &l, &ctx);
    fl_api_list_answer(call, &l.list, error, &ctx);
}
