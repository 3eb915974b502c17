/* SPDX-License-Identifier: Apache-2.0
 * Devices: listing, adding, showing, tokens; and how the hub itself is. */
#include "hub/api.h"

#include "hub/api_token.h"
#include "hub/suggest.h"
#include "service/endorsement.h"

#include <stdio.h>

void fl_api_get_health(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct fl_context ctx = {0};
    uint64_t devices = 0;
    enum fl_error error = fl_registry_count(&hub->store, &devices, &ctx);
    fl_time_t uptime_ms = call->started - hub->started;

    if (error != FL_OK) {
        fl_api_fail(call, error, &ctx);
        return;
    }
    fl_api_answer(hub, call->caller, 200,
                  json_pack("{s:s, s:s, s:I, s:I, s:I}", "status",
                            hub->front_up && hub->signer_up ? "ok" : "degraded", "version",
                            FL_VERSION, "devices", (json_int_t)devices, "connected",
                            (json_int_t)hub->sessions.connected, "uptime_s",
                            (json_int_t)(uptime_ms / 1000)));
}

void fl_api_get_openapi(struct fl_api_call *call)
{
    fl_api_answer(call->hub, call->caller, 200, fl_api_openapi());
}

/* --- a device as the API shows it --- */

static json_t *credential_of(const struct fl_posture *p)
{
    const struct fl_credential *c = &p->credential;

    if (!p->has_credential)
        return json_null();
    return json_pack("{s:s, s:s, s:o, s:o, s:s}", "serial", c->serial, "state",
                     fl_credential_state_name(c->state), "not_before", fl_api_time(c->not_before),
                     "not_after", fl_api_time(c->not_after), "key", c->key);
}

json_t *fl_api_device(const struct fl_hub *hub, const struct fl_device *d, struct fl_posture *p)
{
    const struct fl_session *session = fl_session_find(&hub->sessions, fl_slice_str(d->id));
    bool is_live = session && session->live;
    json_t *body = NULL;

    if (fl_posture_of(&hub->store, d, fl_hub_now(hub), p, NULL) != FL_OK)
        return NULL;
    body = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
                     d->id, "profile", d->profile, "site", d->site, "state",
                     fl_device_state_name(d->state), "posture", fl_posture_name(p->verdict),
                     "posture_reason", p->reason, "connected", (int)is_live, "peer",
                     is_live ? json_string(session->peer) : json_null(), "last_seen",
                     session && session->last_seen ? fl_api_time(session->last_seen) : json_null(),
                     "since", fl_api_time(d->since), "created", fl_api_time(d->created),
                     "credential", credential_of(p), "evidence", fl_api_evidence(p));
    if (body && d->until != FL_TIME_NEVER)
        (void)json_object_set_new(body, "until", fl_api_time(d->until));
    return body;
}

static void answer_device(struct fl_api_call *call, const struct fl_device *device)
{
    struct fl_posture posture = {0};
    json_t *body = fl_api_device(call->hub, device, &posture);

    if (body)
        fl_api_answer(call->hub, call->caller, 200, body);
    else
        fl_api_problem(call->hub, call->caller, FL_EIO, "the device's records cannot be read");
}

void fl_api_get_device(struct fl_api_call *call)
{
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_registry_get(&call->hub->store, call->segment, &device, &ctx);

    if (error == FL_OK)
        answer_device(call, &device);
    else
        fl_api_fail(call, error, &ctx);
}

/* --- the list --- */

struct listing {
    struct fl_api_call *call;
    struct fl_api_list list;
    const char *state;
    const char *posture;
    const char *profile;
    const char *site;
};

static bool is_asked(const char *wanted, const char *is)
{
    return !wanted || strcmp(wanted, is) == 0;
}

static bool list_device(void *to, const struct fl_device *device)
{
    struct listing *l = to;
    struct fl_posture posture = {0};
    json_t *row = NULL;

    if (!is_asked(l->state, fl_device_state_name(device->state)) ||
        !is_asked(l->profile, device->profile) || !is_asked(l->site, device->site))
        return true;
    row = fl_api_device(l->call->hub, device, &posture);
    if (!row || !is_asked(l->posture, fl_posture_name(posture.verdict))) {
        json_decref(row);
        return true;
    }
    return fl_api_list_add(&l->list, row);
}

void fl_api_list_devices(struct fl_api_call *call)
{
    const char *after = fl_api_str(call->query, "after", "");
    struct listing l = {.call = call,
                        .state = fl_api_str(call->query, "state", NULL),
                        .posture = fl_api_str(call->query, "posture", NULL),
                        .profile = fl_api_str(call->query, "profile", NULL),
                        .site = fl_api_str(call->query, "site", NULL)};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    fl_api_list_init(&l.list, (size_t)fl_api_int(call->query, "limit", FL_LIMIT_PAGE));
    error = fl_registry_each(&call->hub->store, fl_slice_str(after), list_device, &l, &ctx);
    fl_api_list_answer(call, &l.list, error, &ctx);
}

/* --- adding --- */

struct names {
    char known[512];
    struct fl_suggestion best;
};

static bool collect_name(void *to, const struct fl_profile_record *record)
{
    struct names *names = to;
    size_t used = strlen(names->known);

    (void)snprintf(names->known + used, sizeof names->known - used, "%s%s", used ? ", " : "",
                   record->name);
    fl_suggest(&names->best, record->name);
    return true;
}

/* 422 with what there is instead. */
static void no_such_profile(struct fl_api_call *call, const char *profile)
{
    struct names names = {.best = {.wanted = profile}};
    char detail[1024];

    if (fl_profile_store_each(&call->hub->store, collect_name, &names, NULL) != FL_OK)
        names.known[0] = '\0';
    (void)snprintf(detail, sizeof detail, "there is no profile %s%s%s%s; known: %s", profile,
                   names.best.found[0] ? " (did you mean " : "", names.best.found,
                   names.best.found[0] ? "?)" : "", names.known[0] ? names.known : "none yet");
    fl_api_problem_status(call->hub, call->caller, 422, detail);
}

static enum fl_error add_device(struct fl_api_call *call, const uint8_t secret[16],
                                struct fl_device *device, fl_time_t *expires,
                                struct fl_context *ctx)
{
    struct fl_change change = {.who = call->who, .reason = "", .now = call->now};
    const struct fl_store *store = &call->hub->store;
    enum fl_error error = fl_store_begin(store, ctx);

    if (error != FL_OK)
        return error;
    error = fl_registry_add(store, fl_api_str(call->body, "id", ""),
                            fl_api_str(call->body, "profile", ""),
                            fl_api_str(call->body, "site", ""), &change, device, ctx);
    if (error == FL_OK)
        error = fl_enrolment_offer(store, device, (uint32_t)fl_api_int(call->body, "ttl_s", 0),
                                   secret, &change, expires, ctx);
    if (error == FL_OK && fl_api_str(call->body, "ek_hash", NULL))
        error = fl_endorsement_register(store, device->id, fl_api_str(call->body, "ek_hash", ""),
                                        &change, ctx);
    return fl_store_end(store, error, ctx);
}

void fl_api_add_device(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    const char *profile = fl_api_str(call->body, "profile", "");
    struct fl_profile_record record = {0};
    struct fl_api_token token = {.kind = FL_TOKEN_DEVICE};
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_profile_store_get(&hub->store, fl_slice_str(profile), &record, &ctx);

    fl_profile_record_free(&record);
    if (error == FL_ENOTFOUND) {
        no_such_profile(call, profile);
        return;
    }
    if (error == FL_OK)
        error = fl_api_token_new(hub, &token, &ctx);
    if (error == FL_OK)
        error = add_device(call, token.secret, &device, &token.expires, &ctx);
    if (error == FL_OK)
        error = fl_api_token_write(hub, device.id, &token, &ctx);
    if (error != FL_OK) {
        fl_api_fail(call, error, &ctx);
        return;
    }
    (void)fl_hub_push_device(hub, &device, ++hub->last_seq);
    fl_api_answer(hub, call->caller, 201,
                  json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "id", device.id, "profile",
                            device.profile, "site", device.site, "state",
                            fl_device_state_name(device.state), "token", token.text, "expires",
                            fl_api_time(token.expires), "enrol", token.url));
}

void fl_api_new_token(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct fl_change change = {.who = call->who, .reason = "", .now = call->now};
    struct fl_api_token token = {.kind = FL_TOKEN_DEVICE};
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_registry_get(&hub->store, call->segment, &device, &ctx);

    if (error == FL_OK)
        error = fl_api_token_new(hub, &token, &ctx);
    if (error == FL_OK)
        error = fl_store_begin(&hub->store, &ctx);
    if (error == FL_OK) {
        error =
            fl_enrolment_offer(&hub->store, &device, (uint32_t)fl_api_int(call->body, "ttl_s", 0),
                               token.secret, &change, &token.expires, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error == FL_OK)
        error = fl_api_token_write(hub, device.id, &token, &ctx);
    if (error != FL_OK) {
        fl_api_fail(call, error, &ctx);
        return;
    }
    fl_api_answer(hub, call->caller, 200,
                  json_pack("{s:s, s:s, s:o, s:s}", "id", device.id, "token", token.text, "expires",
                            fl_api_time(token.expires), "enrol", token.url));
}
