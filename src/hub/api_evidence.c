/* SPDX-License-Identifier: Apache-2.0
 * Evidence of a device: what it gave, what that is worth, what it is held against; its TPM. */
#include "hub/hub_evidence.h"

#include "hub/api.h"
#include "service/endorsement.h"
#include "service/pcrs_json.h"

/* --- as the API shows it --- */

static enum fl_grade best_of(uint8_t grades)
{
    enum fl_grade best = FL_GRADE_NONE;

    for (enum fl_grade g = FL_GRADE_REPORTED; g < FL_GRADE_COUNT; g++)
        if (fl_grade_holds(grades, g))
            best = g;
    return best;
}

static const char *state_of(const struct fl_posture *p)
{
    if (!p->evidence.at)
        return "none";
    if (p->evidence.refuted)
        return "refuted";
    return best_of(p->grades) == FL_GRADE_NONE ? "stale" : "fresh";
}

static json_t *time_or_null(fl_time_t t)
{
    return t == 0 || t == FL_TIME_NEVER ? json_null() : fl_api_time(t);
}

json_t *fl_api_evidence(const struct fl_posture *p)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:s}", "state", state_of(p), "grade",
                     fl_grade_name(best_of(p->grades)), "at", time_or_null(p->evidence.at), "until",
                     time_or_null(p->evidence_until), "words", p->evidence.words);
}

static json_t *tpm_of(const struct fl_endorsement *e)
{
    if (!e->ek[0] && !e->registered[0])
        return json_null();
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "ek", e->ek, "registered", e->registered, "why",
                     fl_ek_basis_words(e->basis), "ak", e->ak_name, "since",
                     time_or_null(e->since));
}

static json_t *whole(const struct fl_posture *p, const struct fl_endorsement *e, json_t *device,
                     json_t *profile)
{
    const struct fl_evidence *v = &p->evidence;
    json_t *body = fl_api_evidence(p);
    json_t *rest =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:I, s:o, s:o, s:o}", "agent",
                  v->machine.agent, "os", v->machine.os, "kernel", v->machine.kernel, "binary",
                  v->machine.binary, "boot", v->machine.boot, "uptime_s",
                  (json_int_t)v->machine.uptime_s, "quoted", time_or_null(v->quoted), "pcrs",
                  fl_pcrs_to_json(&v->pcrs), "log_events", (json_int_t)v->log_events, "tpm",
                  tpm_of(e), "accepted_for_device", device, "accepted_for_profile", profile);

    (void)json_object_update(body, rest);
    json_decref(rest);
    return body;
}

static void answer_evidence(struct fl_api_call *call, const struct fl_device *device)
{
    const struct fl_store *store = &call->hub->store;
    struct fl_posture posture = {0};
    struct fl_endorsement endorsement = {0};
    struct fl_context ctx = {0};
    json_t *own = NULL;
    json_t *profile = NULL;
    enum fl_error error = fl_posture_of(store, device, call->now, &posture, &ctx);

    if (!error)
        error = fl_endorsement_get(store, device->id, &endorsement, &ctx);
    if (!error)
        error = fl_reference_list(store, FL_REFERENCE_DEVICE, device->id, &own, &ctx);
    if (!error)
        error = fl_reference_list(store, FL_REFERENCE_PROFILE, device->profile, &profile, &ctx);
    if (error) {
        json_decref(own);
        json_decref(profile);
        fl_api_fail(call, error, &ctx);
        return;
    }
    fl_api_answer(call->hub, call->caller, 200, whole(&posture, &endorsement, own, profile));
}

void fl_api_get_evidence(struct fl_api_call *call)
{
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_registry_get(&call->hub->store, call->segment, &device, &ctx);

    if (error)
        fl_api_fail(call, error, &ctx);
    else
        answer_evidence(call, &device);
}

/* --- boot states --- */

/* What the device quoted last is weighed anew; other devices of the profile come to it with their
 * next evidence. */
static enum fl_error weigh_anew(struct fl_hub *hub, const struct fl_device *device,
                                struct fl_posture *posture, struct fl_context *ctx)
{
    struct fl_evidence *e = &posture->evidence;
    struct fl_reference_judgement judgement = {0};
    fl_time_t came = e->at;
    enum fl_error error = FL_OK;

    if (!e->quoted)
        return FL_OK;
    error = fl_reference_judge(&hub->store, device->id, device->profile, &e->pcrs, &judgement, ctx);
    if (error)
        return error;
    e->held[FL_GRADE_ATTESTED] = 0;
    fl_hub_attest_judge(e, &judgement, e->quoted);
    e->at = came;
    return fl_evidence_put(&hub->store, e, &posture->requirement, fl_hub_now(hub), ctx);
}

static enum fl_error change_reference(struct fl_api_call *call, const struct fl_device *device,
                                      struct fl_posture *posture, struct fl_context *ctx)
{
    const struct fl_store *store = &call->hub->store;
    struct fl_change change = {
        .who = call->who, .reason = fl_api_str(call->body, "reason", ""), .now = call->now};
    bool forget = strcmp(fl_api_str(call->body, "change", ""), "forget") == 0;
    bool profile = strcmp(fl_api_str(call->body, "of", "device"), "profile") == 0;
    enum fl_reference_scope scope = profile ? FL_REFERENCE_PROFILE : FL_REFERENCE_DEVICE;
    const char *name = profile ? device->profile : device->id;

    if (forget)
        return fl_reference_forget(store, scope, name, &change, ctx);
    if (!posture->evidence.quoted)
        return fl_fail(ctx, FL_ESTATE, "device %s has quoted no boot state that could be accepted",
                       device->id);
    return fl_reference_accept(store, scope, name, &posture->evidence.pcrs, &change, ctx);
}

void fl_api_reference(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct fl_device device = {0};
    struct fl_posture posture = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_registry_get(&hub->store, call->segment, &device, &ctx);

    if (!error)
        error = fl_posture_of(&hub->store, &device, call->now, &posture, &ctx);
    if (!error)
        error = fl_store_begin(&hub->store, &ctx);
    if (!error) {
        error = change_reference(call, &device, &posture, &ctx);
        if (!error)
            error = weigh_anew(hub, &device, &posture, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error) {
        fl_api_fail(call, error, &ctx);
        return;
    }
    (void)fl_hub_push_device(hub, &device, ++hub->last_seq);
    answer_evidence(call, &device);
}

/* --- its TPM --- */

static enum fl_error change_tpm(struct fl_api_call *call, const struct fl_device *device,
                                struct fl_context *ctx)
{
    const struct fl_store *store = &call->hub->store;
    struct fl_change change = {
        .who = call->who, .reason = fl_api_str(call->body, "reason", ""), .now = call->now};
    const char *hash = fl_api_str(call->body, "ek_hash", "");
    bool forget = fl_api_bool(call->body, "forget");
    enum fl_error error = FL_OK;

    if (forget == (hash[0] != '\0'))
        return fl_fail(ctx, FL_EINVAL, "either 'ek_hash' or 'forget'");
    if (!forget)
        return fl_endorsement_register(store, device->id, hash, &change, ctx);
    error = fl_endorsement_forget(store, device->id, &change, ctx);
    return error ? error
                 : fl_hub_evidence_reset(call->hub, device, "its TPM was replaced since", ctx);
}

void fl_api_tpm(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_registry_get(&hub->store, call->segment, &device, &ctx);

    if (!error)
        error = fl_store_begin(&hub->store, &ctx);
    if (!error) {
        error = change_tpm(call, &device, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error) {
        fl_api_fail(call, error, &ctx);
        return;
    }
    (void)fl_hub_push_device(hub, &device, ++hub->last_seq);
    answer_evidence(call, &device);
}
