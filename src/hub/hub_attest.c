/* SPDX-License-Identifier: Apache-2.0
 * Evidence of a TPM: the endorsement of its attestation key, and its quotes. */
#include "base/base64.h"
#include "base/log.h"
#include "hub/hub_evidence.h"
#include "service/audit.h"
#include "service/endorsement.h"
#include "service/reference.h"
#include "trust/key.h"
#include "trust/quote.h"

#include <stdio.h>

#define TAG "attest"

/* --- the attestation key --- */

static enum fl_error begin(struct fl_hub *hub, const struct fl_msg_evidence_key *m,
                           const struct fl_tpm_public *ek, const struct fl_tpm_public *ak,
                           const char *ek_hash, json_t **body, struct fl_context *ctx)
{
    struct fl_buffer blob = FL_BUFFER(512);
    struct fl_buffer sealed = FL_BUFFER(512);
    struct fl_buffer blob_text = FL_BUFFER(1024);
    struct fl_buffer sealed_text = FL_BUFFER(1024);
    struct fl_activation *a = NULL;
    enum fl_error error = fl_activation_begin(&hub->activations, m->device, hub->random,
                                              fl_clock_monotonic(hub->clock), &a, ctx);

    if (!error) {
        (void)fl_str_copy(a->ek, sizeof a->ek, ek_hash);
        memcpy(a->ak, m->attestation.data, m->attestation.size);
        a->ak_size = m->attestation.size;
        memcpy(a->ak_name, ak->name, sizeof a->ak_name);
        error = fl_tpm_credential_make(ek, ak->name, fl_slice(a->secret, sizeof a->secret), &blob,
                                       &sealed, ctx);
    }
    if (!error && (fl_base64_encode(fl_buffer_slice(&blob), 0, &blob_text) != FL_OK ||
                   fl_base64_encode(fl_buffer_slice(&sealed), 0, &sealed_text) != FL_OK))
        error = fl_fail(ctx, FL_ENOMEM, "out of memory");
    if (!error)
        *body = json_pack("{s:s, s:s}", "credential", fl_buffer_str(&blob_text), "sealed",
                          fl_buffer_str(&sealed_text));
    fl_buffer_free(&blob);
    fl_buffer_free(&sealed);
    fl_buffer_free(&blob_text);
    fl_buffer_free(&sealed_text);
    return error;
}

static enum fl_error ask_for_proof(struct fl_hub *hub, const struct fl_msg_evidence_key *m,
                                   const struct fl_device *device, json_t **body,
                                   struct fl_context *ctx)
{
    struct fl_tpm_public ek = {0};
    struct fl_tpm_public ak = {0};
    struct fl_endorsement endorsement = {0};
    char ek_hash[FL_EK_HASH_TEXT];
    enum fl_error error = fl_tpm_public_read(m->endorsement, &ek, ctx);

    if (!error)
        error = fl_tpm_public_is_ek(&ek, ctx);
    if (!error)
        error = fl_tpm_public_read(m->attestation, &ak, ctx);
    if (!error)
        error = fl_tpm_public_is_ak(&ak, ctx);
    if (!error)
        error = fl_tpm_ek_hash(&ek, ek_hash, ctx);
    if (!error)
        error = fl_endorsement_get(&hub->store, device->id, &endorsement, ctx);
    if (!error)
        error = fl_endorsement_check(&hub->store, &endorsement, ek_hash, ctx);
    if (!error)
        error = begin(hub, m, &ek, &ak, ek_hash, body, ctx);
    fl_tpm_public_free(&ek);
    fl_tpm_public_free(&ak);
    return error;
}

void fl_hub_evidence_key(struct fl_hub *hub, const struct fl_msg_evidence_key *request)
{
    struct fl_hub_asker asker = FL_HUB_ASKER(request);
    struct fl_device device = {0};
    struct fl_posture posture = {0};
    struct fl_context ctx = {0};
    json_t *body = NULL;
    fl_time_t wait_ms = 0;
    enum fl_error error = fl_hub_asker_check(hub, &asker, &device, &posture, &ctx);

    if (!error)
        error = fl_nonce_charge(&hub->nonces, request->device, fl_clock_monotonic(hub->clock),
                                &wait_ms, &ctx);
    if (!error)
        error = ask_for_proof(hub, request, &device, &body, &ctx);
    if (error)
        fl_hub_evidence_refuse(hub, &asker, error, (uint32_t)((wait_ms + 999) / 1000), &ctx);
    else
        fl_hub_evidence_answer(hub, asker.request, body);
}

static enum fl_error record(struct fl_hub *hub, const struct fl_activation *done,
                            struct fl_endorsement *endorsement, struct fl_context *ctx)
{
    char who[FL_NAME_MAX + 8];
    struct fl_change change = {.who = who, .reason = "", .now = fl_hub_now(hub)};
    enum fl_error error = fl_store_begin(&hub->store, ctx);

    if (error)
        return error;
    (void)snprintf(who, sizeof who, "device:%s", done->device);
    error = fl_endorsement_get(&hub->store, done->device, endorsement, ctx);
    if (!error)
        error =
            fl_endorsement_record(&hub->store, endorsement, done->ek,
                                  fl_slice(done->ak, done->ak_size), done->ak_name, &change, ctx);
    return fl_store_end(&hub->store, error, ctx);
}

void fl_hub_evidence_proof(struct fl_hub *hub, const struct fl_msg_evidence_proof *request)
{
    struct fl_hub_asker asker = FL_HUB_ASKER(request);
    struct fl_activation done = {0};
    struct fl_endorsement endorsement = {0};
    struct fl_device device = {0};
    struct fl_posture posture = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_hub_asker_check(hub, &asker, &device, &posture, &ctx);

    if (!error)
        error = fl_activation_prove(&hub->activations, request->device, request->secret,
                                    fl_clock_monotonic(hub->clock), &done, &ctx);
    if (!error)
        error = record(hub, &done, &endorsement, &ctx);
    if (error)
        fl_hub_evidence_refuse(hub, &asker, error, 0, &ctx);
    else
        fl_hub_evidence_answer(hub, asker.request,
                               json_pack("{s:s, s:s}", "ak", endorsement.ak_name, "words",
                                         fl_ek_basis_words(endorsement.basis)));
    explicit_bzero(&done, sizeof done);
}

/* --- quotes --- */

/* The PCRs that were sent are those that the TPM signed, and those that the log leads to. */
static enum fl_error check_pcrs(const struct fl_msg_evidence *m, const struct fl_quote *quote,
                                uint32_t wanted, struct fl_pcrs *pcrs, struct fl_context *ctx)
{
    struct fl_pcrs replayed = {0};
    uint8_t digest[32];
    char has[FL_PCRS_TEXT];
    char asked[FL_PCRS_TEXT];

    if (quote->pcrs != wanted)
        return fl_fail(ctx, FL_EDENIED, "the quote is over PCRs %s, but %s are asked for",
                       fl_pcrs_text(quote->pcrs, has), fl_pcrs_text(wanted, asked));
    if (fl_pcrs_take(m->pcrs, pcrs) != FL_OK || fl_pcrs_take(m->replayed, &replayed) != FL_OK)
        return fl_fail(ctx, FL_EPARSE, "the PCRs cannot be read");
    pcrs->present &= wanted;
    fl_quote_digest(pcrs, wanted, digest);
    if (pcrs->present != wanted || memcmp(digest, quote->digest, sizeof digest) != 0)
        return fl_fail(ctx, FL_EAUTH, "the PCRs that were sent are not those that the TPM quoted");
    if (m->log_problem.size)
        return fl_fail(ctx, FL_EPARSE, "%.*s", FL_SLICE_ARGS(m->log_problem));
    for (unsigned i = 0; i < FL_LIMIT_PCRS; i++)
        if (replayed.present & wanted & 1U << i &&
            memcmp(replayed.value[i], pcrs->value[i], FL_PCR_SIZE) != 0)
            return fl_fail(ctx, FL_EAUTH,
                           "the event log does not lead to what the TPM quotes: PCR %u is another",
                           i);
    return FL_OK;
}

static enum fl_error check_quote(const struct fl_msg_evidence *m, struct fl_slice text,
                                 const struct fl_endorsement *endorsement, struct fl_quote *quote,
                                 struct fl_context *ctx)
{
    struct fl_tpm_public ak = {0};
    uint8_t wanted[FL_SHA256_SIZE];
    enum fl_error error = fl_quote_read(m->quote, quote, ctx);

    if (!error)
        error = fl_tpm_public_read(fl_slice(endorsement->ak, endorsement->ak_size), &ak, ctx);
    if (!error)
        error = fl_quote_verify(m->quote, m->quote_signature, ak.key, ctx);
    fl_sha256(text, wanted);
    if (!error && !fl_slice_equal(quote->extra, fl_slice(wanted, sizeof wanted)))
        error = fl_fail(ctx, FL_EAUTH,
                        "the quote is not over these claims with this nonce: it is an old one, or "
                        "made for something else");
    fl_tpm_public_free(&ak);
    return error;
}

/* A TPM's counters only grow until it is cleared, which takes its attestation key along. With the
 * same key it is a state that was copied back, as one can with a software TPM. */
static bool went_back(const struct fl_evidence *before, const struct fl_quote *quote)
{
    return before->quoted &&
           (quote->resets < before->tpm_resets || quote->clock < before->tpm_clock ||
            (quote->resets == before->tpm_resets && quote->restarts < before->tpm_restarts));
}

static void report_counters(struct fl_hub *hub, const struct fl_evidence *before,
                            const struct fl_quote *quote)
{
    fl_log_device(FL_LOG_WARN, TAG, fl_slice_str(before->device),
                  "the counters of its TPM went back: was its state copied?");
    fl_hub_audit_refusal(
        hub, fl_slice_str(before->device), "evidence.counters-back",
        json_pack("{s:s, s:I, s:I, s:I, s:I}", "reason",
                  "the TPM's clock or its count of resets is lower than before: a state that was "
                  "copied back?",
                  "clock_before", (json_int_t)before->tpm_clock, "clock", (json_int_t)quote->clock,
                  "resets_before", (json_int_t)before->tpm_resets, "resets",
                  (json_int_t)quote->resets));
}

/* A TPM that nothing has told of this boot, as a software TPM is when it was just made. */
static const char *unmeasured(const struct fl_pcrs *pcrs)
{
    static const uint8_t empty[FL_PCR_SIZE];

    for (unsigned i = 0; i < FL_LIMIT_PCRS; i++)
        if (pcrs->present & 1U << i && memcmp(pcrs->value[i], empty, FL_PCR_SIZE) != 0)
            return "";
    return "; they are all empty: nothing has measured this boot";
}

void fl_hub_attest_judge(struct fl_evidence *e, const struct fl_reference_judgement *j,
                         fl_time_t now)
{
    char list[FL_PCRS_TEXT];
    char all[FL_PCRS_TEXT];

    (void)fl_pcrs_text(e->pcrs.present, all);
    if (j->verdict == FL_REFERENCE_DIFFERS) {
        fl_evidence_refute(e, now);
        (void)snprintf(e->words, sizeof e->words,
                       "its TPM quotes another boot than is accepted: PCR %s differ%s",
                       fl_pcrs_text(j->differs, list), strpbrk(list, ",-") ? "" : "s");
        return;
    }
    if (j->verdict == FL_REFERENCE_NONE) {
        fl_evidence_accept(e, FL_GRADE_REPORTED, true, now);
        (void)snprintf(e->words, sizeof e->words,
                       "its TPM quotes PCRs %s, but no boot state is accepted yet to hold them "
                       "against: fairlead device reference %s accept%s",
                       all, e->device, unmeasured(&e->pcrs));
        return;
    }
    fl_evidence_accept(e, FL_GRADE_ATTESTED, true, now);
    (void)snprintf(e->words, sizeof e->words, "its TPM quotes an accepted boot (PCRs %s%s)%s", all,
                   e->log_events ? ", with the log that leads to them" : ", without a log",
                   unmeasured(&e->pcrs));
}

enum fl_error fl_hub_attest(struct fl_hub *hub, const struct fl_msg_evidence *m,
                            struct fl_slice text, const struct fl_device *device,
                            const struct fl_posture *before, struct fl_evidence *e,
                            struct fl_context *ctx)
{
    struct fl_endorsement endorsement = {0};
    struct fl_reference_judgement judgement = {0};
    struct fl_quote quote = {0};
    struct fl_pcrs pcrs = {0};
    enum fl_error error = fl_endorsement_get(&hub->store, device->id, &endorsement, ctx);

    if (!error && endorsement.ak_size == 0)
        error = fl_fail(ctx, FL_ESTATE,
                        "no attestation key of this device is endorsed: its TPM must prove itself "
                        "first");
    if (!error)
        error = check_quote(m, text, &endorsement, &quote, ctx);
    if (!error)
        error = check_pcrs(m, &quote, before->requirement.pcrs, &pcrs, ctx);
    if (!error)
        error =
            fl_reference_judge(&hub->store, device->id, device->profile, &pcrs, &judgement, ctx);
    if (error)
        return error;
    if (endorsement.since <= before->evidence.quoted && went_back(&before->evidence, &quote))
        report_counters(hub, &before->evidence, &quote);
    e->quoted = fl_hub_now(hub);
    e->pcrs = pcrs;
    e->tpm_clock = quote.clock;
    e->tpm_resets = quote.resets;
    e->tpm_restarts = quote.restarts;
    e->log_events = m->log_events;
    fl_hub_attest_judge(e, &judgement, e->quoted);
    return FL_OK;
}
