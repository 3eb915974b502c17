/* SPDX-License-Identifier: Apache-2.0
 * Evidence: nonces, claims, what they are worth, and the end of that. */
#include "hub/hub_evidence.h"

#include "base/log.h"
#include "service/audit.h"
#include "service/endorsement.h"
#include "trust/statement.h"

#include <stdio.h>

#define TAG "evidence"
#define REVIEW_STEP 200 /* devices at once */
#define EXPIRE_STEP 100

/* --- answers --- */

static void answer(struct fl_hub *hub, uint64_t request, enum fl_error error, const char *detail,
                   uint32_t retry_after_s, struct fl_slice body)
{
    struct fl_msg msg = {.type = fl_msg_type_evidence_result};

    msg.as.evidence_result.request = request;
    msg.as.evidence_result.error = (uint32_t)error;
    msg.as.evidence_result.detail = fl_slice_str(detail);
    msg.as.evidence_result.retry_after_s = retry_after_s;
    msg.as.evidence_result.body = body;
    (void)hub->host.to_front(hub->host.self, &msg);
}

void fl_hub_evidence_answer(struct fl_hub *hub, uint64_t request, json_t *body)
{
    struct fl_buffer text = FL_BUFFER(16384);

    if (fl_document_text(body, &text, NULL) == FL_OK)
        answer(hub, request, FL_OK, "", 0, fl_buffer_slice(&text));
    else
        answer(hub, request, FL_ENOMEM, "out of memory", 0, fl_slice(NULL, 0));
    fl_buffer_free(&text);
    json_decref(body);
}

void fl_hub_evidence_refuse(struct fl_hub *hub, const struct fl_hub_asker *asker,
                            enum fl_error error, uint32_t retry_after_s,
                            const struct fl_context *ctx)
{
    fl_log(FL_LOG_WARN, TAG, "%.*s from %.*s refused: %s", FL_SLICE_ARGS(asker->device),
           FL_SLICE_ARGS(asker->peer), ctx->text);
    answer(hub, asker->request, error, ctx->text, retry_after_s, fl_slice(NULL, 0));
    fl_hub_audit_refusal(hub, asker->device, "evidence.refused",
                         json_pack("{s:s%, s:s}", "peer",
                                   asker->peer.size ? (const char *)asker->peer.data : "",
                                   asker->peer.size, "reason", ctx->text));
}

static bool lists(const char *serials, struct fl_slice serial)
{
    struct fl_slice rest = fl_slice_str(serials);
    struct fl_slice one = {0};
    bool more = serial.size > 0;

    while (more) {
        more = fl_slice_cut(&rest, ' ', &one);
        if (fl_slice_equal(one, serial))
            return true;
    }
    return false;
}

enum fl_error fl_hub_asker_check(struct fl_hub *hub, const struct fl_hub_asker *asker,
                                 struct fl_device *device, struct fl_posture *posture,
                                 struct fl_context *ctx)
{
    enum fl_error error = fl_registry_get(&hub->store, asker->device, device, ctx);

    if (!error)
        error = fl_posture_of(&hub->store, device, fl_hub_now(hub), posture, ctx);
    if (!error && !posture->may_connect)
        error = fl_fail(ctx, FL_EDENIED, "the device is %s: %s", fl_posture_name(posture->verdict),
                        posture->reason);
    if (!error && !lists(posture->serials, asker->serial))
        error = fl_fail(ctx, FL_EDENIED, "its certificate is not valid any more");
    return error;
}

json_t *fl_hub_pcr_list(uint32_t pcrs)
{
    json_t *list = json_array();

    for (int i = 0; i < FL_LIMIT_PCRS; i++)
        if (pcrs & 1U << i)
            (void)json_array_append_new(list, json_integer(i));
    return list;
}

/* --- nonces --- */

void fl_hub_evidence_nonce(struct fl_hub *hub, const struct fl_msg_evidence_nonce *request)
{
    struct fl_hub_asker asker = FL_HUB_ASKER(request);
    struct fl_device device = {0};
    struct fl_posture posture = {0};
    struct fl_context ctx = {0};
    struct fl_endorsement endorsement = {0};
    uint8_t nonce[FL_NONCE_SIZE];
    char hex[2 * FL_NONCE_SIZE + 1];
    fl_time_t wait_ms = 0;
    enum fl_error error = fl_hub_asker_check(hub, &asker, &device, &posture, &ctx);

    if (!error)
        error = fl_endorsement_get(&hub->store, device.id, &endorsement, &ctx);
    if (!error)
        error = fl_nonce_give(&hub->nonces, request->device, hub->random,
                              fl_clock_monotonic(hub->clock), nonce, &wait_ms, &ctx);
    if (error) {
        fl_hub_evidence_refuse(hub, &asker, error, (uint32_t)((wait_ms + 999) / 1000), &ctx);
        return;
    }
    fl_hex(hex, sizeof hex, fl_slice(nonce, sizeof nonce));
    fl_hub_evidence_answer(
        hub, asker.request,
        json_pack("{s:s, s:i, s:o, s:s}", "nonce", hex, "expires_in_s", FL_LIMIT_NONCE_MS / 1000,
                  "pcrs", fl_hub_pcr_list(posture.requirement.pcrs), "ak", endorsement.ak_name));
}

/* --- evidence --- */

static void note_claims(struct fl_evidence *e, const struct fl_msg_evidence *m)
{
    (void)fl_str_copy_slice(e->machine.agent, sizeof e->machine.agent, m->agent);
    (void)fl_str_copy_slice(e->machine.os, sizeof e->machine.os, m->os);
    (void)fl_str_copy_slice(e->machine.kernel, sizeof e->machine.kernel, m->kernel);
    (void)fl_str_copy_slice(e->machine.binary, sizeof e->machine.binary, m->binary);
    (void)fl_str_copy_slice(e->machine.boot, sizeof e->machine.boot, m->boot);
    e->machine.uptime_s = m->uptime_s;
}

static enum fl_error verify_claims(struct fl_hub *hub, const struct fl_msg_evidence *m,
                                   struct fl_buffer *text, struct fl_context *ctx)
{
    const struct fl_claims claims = {.device = m->device,
                                     .nonce = m->nonce,
                                     .agent = m->agent,
                                     .os = m->os,
                                     .kernel = m->kernel,
                                     .binary = m->binary,
                                     .boot = m->boot,
                                     .uptime_s = m->uptime_s};
    const struct fl_statement_signer signer = {.certificate = m->certificate,
                                               .issuing = fl_buffer_slice(&hub->issuing),
                                               .device = m->device,
                                               .serial = m->serial};
    /* First, so that no device has more verified than it has asked nonces for. */
    enum fl_error error =
        fl_nonce_take(&hub->nonces, m->device, m->nonce, fl_clock_monotonic(hub->clock), ctx);

    if (!error)
        error = fl_claims_text(&claims, text, ctx);
    return error ? error : fl_statement_verify(&signer, fl_buffer_slice(text), m->signature, ctx);
}

/* Every day's evidence of every device would bury the rest: what is written down is a change. */
static enum fl_error audit_change(struct fl_hub *hub, const struct fl_posture *before,
                                  const struct fl_evidence *after, const char *who,
                                  struct fl_context *ctx)
{
    fl_time_t now = fl_hub_now(hub);
    fl_time_t until = 0;
    uint8_t grades = fl_evidence_grades(after, &before->requirement, now, &until);
    struct fl_audit_entry entry = {.who = who,
                                   .what = after->refuted ? "evidence.refuted" : "evidence.accept",
                                   .object = after->device,
                                   .at = now};

    if (grades == before->grades && strcmp(after->words, before->evidence.words) == 0 &&
        !after->refuted == !before->evidence.refuted)
        return FL_OK;
    entry.detail =
        json_pack("{s:s, s:s}", "grade", fl_grade_name(after->grade), "words", after->words);
    return fl_audit_append(&hub->store, &entry, ctx);
}

enum fl_error fl_hub_evidence_reset(struct fl_hub *hub, const struct fl_device *device,
                                    const char *words, struct fl_context *ctx)
{
    struct fl_evidence e = {0};
    struct fl_requirement requirement = {0};
    enum fl_error error = fl_evidence_get(&hub->store, device->id, &e, ctx);

    if (error == FL_ENOTFOUND)
        return FL_OK;
    if (!error)
        error = fl_requirement_of(&hub->store, device->profile, &requirement, ctx);
    if (error)
        return error;
    memset(e.held, 0, sizeof e.held);
    e.grade = FL_GRADE_NONE;
    e.refuted = 0;
    e.quoted = 0;
    e.pcrs = (struct fl_pcrs){0};
    (void)fl_str_copy(e.words, sizeof e.words, words);
    return fl_evidence_put(&hub->store, &e, &requirement, fl_hub_now(hub), ctx);
}

static enum fl_error keep(struct fl_hub *hub, const struct fl_posture *before,
                          struct fl_evidence *e, struct fl_context *ctx)
{
    char who[FL_NAME_MAX + 8];
    enum fl_error error = fl_store_begin(&hub->store, ctx);

    if (error)
        return error;
    (void)snprintf(who, sizeof who, "device:%s", e->device);
    error = fl_evidence_put(&hub->store, e, &before->requirement, fl_hub_now(hub), ctx);
    if (!error)
        error = audit_change(hub, before, e, who, ctx);
    return fl_store_end(&hub->store, error, ctx);
}

/* What the device is told: what it is worth and when to come again. */
static json_t *verdict_of(const struct fl_evidence *e, const struct fl_requirement *requirement,
                          fl_time_t now)
{
    char text[FL_TIME_TEXT_MAX];
    fl_time_t until = 0;

    (void)fl_evidence_grades(e, requirement, now, &until);
    return json_pack(
        "{s:s, s:s, s:o, s:I}", "grade", fl_grade_name(e->grade), "words", e->words, "until",
        until == FL_TIME_NEVER ? json_null() : json_string(fl_time_format(until, text)), "next_s",
        (json_int_t)(fl_requirement_interval(requirement) / 1000));
}

static void judge_claims(struct fl_evidence *e, fl_time_t now)
{
    fl_evidence_accept(e, FL_GRADE_REPORTED, false, now);
    if (e->refuted)
        (void)fl_str_copy(e->words, sizeof e->words,
                          "self-reported, but its TPM quoted another boot than is accepted before: "
                          "only a good quote ends that");
    else
        (void)fl_str_copy(e->words, sizeof e->words,
                          "self-reported: signed by its own key, not proved by a TPM");
}

void fl_hub_evidence(struct fl_hub *hub, const struct fl_msg_evidence *request)
{
    struct fl_hub_asker asker = FL_HUB_ASKER(request);
    struct fl_buffer text = FL_BUFFER(4096);
    struct fl_device device = {0};
    struct fl_posture before = {0};
    struct fl_evidence evidence = {0};
    struct fl_context ctx = {0};
    fl_time_t until = 0;
    enum fl_error error = fl_hub_asker_check(hub, &asker, &device, &before, &ctx);

    if (!error)
        error = verify_claims(hub, request, &text, &ctx);
    if (!error) {
        evidence = before.evidence;
        note_claims(&evidence, request);
        if (request->quote.size)
            error = fl_hub_attest(hub, request, fl_buffer_slice(&text), &device, &before, &evidence,
                                  &ctx);
        else
            judge_claims(&evidence, fl_hub_now(hub));
    }
    if (!error)
        error = keep(hub, &before, &evidence, &ctx);
    if (error) {
        fl_hub_evidence_refuse(hub, &asker, error, 0, &ctx);
    } else {
        /* Before the answer, so that the device can do at once what it may do now. Evidence that
         * changes no right is no work for the front. */
        if (fl_evidence_grades(&evidence, &before.requirement, fl_hub_now(hub), &until) !=
            before.grades)
            (void)fl_hub_push_device(hub, &device, ++hub->last_seq);
        fl_hub_evidence_answer(hub, asker.request,
                               verdict_of(&evidence, &before.requirement, fl_hub_now(hub)));
    }
    fl_buffer_free(&text);
}

/* --- what time does --- */

/* One timer: what it ended is written down. The front is told in any case. */
static enum fl_error expire_one(struct fl_hub *hub, struct fl_device *device,
                                struct fl_context *ctx)
{
    fl_time_t now = fl_hub_now(hub);
    struct fl_posture posture = {0};
    struct fl_audit_entry entry = {.who = "timer", .what = "evidence.expired", .at = now};
    char id[FL_NAME_MAX + 1];
    enum fl_error error = fl_evidence_expire(&hub->store, now, id, ctx);

    if (error)
        return error;
    error = fl_registry_get(&hub->store, fl_slice_str(id), device, ctx);
    if (error == FL_ENOTFOUND)
        return FL_OK; /* it has gone in the meantime */
    if (!error)
        error = fl_posture_of(&hub->store, device, now, &posture, ctx);
    if (error || posture.verdict != FL_POSTURE_NARROWED)
        return error;
    entry.object = device->id;
    entry.detail = json_pack("{s:s}", "reason", posture.reason);
    return fl_audit_append(&hub->store, &entry, ctx);
}

static bool expire(struct fl_hub *hub)
{
    for (int i = 0; i < EXPIRE_STEP; i++) {
        struct fl_device device = {0};
        struct fl_context ctx = {0};
        enum fl_error error = fl_store_begin(&hub->store, &ctx);

        if (!error) {
            error = expire_one(hub, &device, &ctx);
            error = fl_store_end(&hub->store, error, &ctx);
        }
        if (error == FL_ENOTFOUND)
            return false;
        if (error) {
            fl_log(FL_LOG_ERROR, TAG, "the end of evidence cannot be recorded: %s", ctx.text);
            return false;
        }
        if (device.id[0])
            (void)fl_hub_push_device(hub, &device, ++hub->last_seq);
    }
    return true;
}

struct step {
    struct fl_hub *hub;
    size_t count;
};

static bool review_device(void *to, const struct fl_device *device)
{
    struct step *step = to;
    struct fl_hub *hub = step->hub;
    struct fl_evidence evidence = {0};
    struct fl_requirement requirement = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    (void)fl_str_copy(hub->review.after, sizeof hub->review.after, device->id);
    step->count++;
    if (strcmp(device->profile, hub->review.profile) != 0)
        return step->count < REVIEW_STEP;
    error = fl_requirement_of(&hub->store, device->profile, &requirement, &ctx);
    if (!error)
        error = fl_evidence_get(&hub->store, device->id, &evidence, &ctx);
    if (!error)
        error = fl_evidence_put(&hub->store, &evidence, &requirement, fl_hub_now(hub), &ctx);
    if (error && error != FL_ENOTFOUND)
        fl_log(FL_LOG_ERROR, TAG, "the evidence of %s cannot be weighed anew: %s", device->id,
               ctx.text);
    (void)fl_hub_push_device(hub, device, 0);
    return step->count < REVIEW_STEP;
}

/* A profile asks for other evidence than before. True: there is more to do. */
static bool review(struct fl_hub *hub)
{
    struct fl_hub_review *r = &hub->review;
    struct step step = {.hub = hub};
    struct fl_context ctx = {0};
    char after[FL_NAME_MAX + 1];
    enum fl_error error = FL_OK;

    if (!r->profile[0] &&
        fl_requirement_review(&hub->store, r->profile, &r->since, &ctx) != FL_OK) {
        r->profile[0] = '\0';
        return false;
    }
    (void)fl_str_copy(after, sizeof after, r->after);
    error = fl_store_begin(&hub->store, &ctx);
    if (!error) {
        error = fl_registry_each(&hub->store, fl_slice_str(after), review_device, &step, &ctx);
        if (!error && step.count < REVIEW_STEP)
            error = fl_requirement_reviewed(&hub->store, r->profile, r->since, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error) {
        fl_log(FL_LOG_ERROR, TAG, "profile %s: %s", r->profile, ctx.text);
        (void)fl_str_copy(r->after, sizeof r->after, after);
        return false;
    }
    if (step.count < REVIEW_STEP)
        *r = (struct fl_hub_review){0};
    return true;
}

bool fl_hub_tick_evidence(struct fl_hub *hub)
{
    bool more = expire(hub);

    return review(hub) || more;
}
