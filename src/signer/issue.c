/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/issue.h"

#include "base/log.h"
#include "trust/key.h"

/* Of whoever answers OCSP; clients know it by its key. */
#define OCSP_NAME "OCSP responder"

/* Into the ledger, and into what later requests are judged by. */
static enum fl_error write_down(struct fl_signer *signer, const struct fl_msg_sign *request,
                                const struct fl_cert_info *info, const uint8_t key[32],
                                fl_time_t now, struct fl_context *ctx)
{
    const struct fl_ledger_entry entry = {
        .certificate = info, .key = key, .reason = request->reason, .now = now};
    enum fl_error error = FL_OK;

    if (info->kind == FL_CERT_DEVICE)
        error = fl_history_note(signer->history, fl_slice_str(info->name), key, now, ctx);
    return error == FL_OK ? fl_ledger_issued(&signer->ledger, &entry, ctx) : error;
}

static enum fl_error issue(struct fl_signer *signer, const struct fl_msg_sign *request,
                           fl_time_t now, struct fl_signer_answer *answer)
{
    struct fl_csr_info csr = {0};
    struct fl_signer_grant grant = {0};
    struct fl_cert_info info = {0};
    struct fl_cert_request wanted = {0};
    enum fl_error error = fl_csr_check(request->csr, &csr, &answer->text);

    if (error == FL_OK)
        error =
            fl_signer_policy_judge(&signer->policy, request, csr.name, now, &grant, &answer->text);
    if (error == FL_OK && grant.kind == FL_CERT_DEVICE)
        error = fl_history_judge(signer->history, request->name, csr.spki_sha256, now,
                                 &answer->result.retry_after_s, &answer->text);
    if (error != FL_OK)
        goto out;
    wanted = (struct fl_cert_request){.kind = grant.kind,
                                      .name = grant.name,
                                      .not_before = grant.not_before,
                                      .not_after = grant.not_after,
                                      .subject_key = csr.key,
                                      .subject_spki = csr.spki,
                                      .issuer = signer->issuing,
                                      .issuer_key = signer->key};
    if (grant.kind == FL_CERT_SERVER) {
        wanted.hosts = signer->policy.hosts;
        wanted.host_count = signer->policy.host_count;
    }
    if (grant.kind == FL_CERT_OCSP)
        wanted.name = OCSP_NAME;
    if (grant.kind == FL_CERT_DEVICE)
        wanted.status_url = signer->policy.status_url;
    /* What was made is read: the answer says what is in the certificate. */
    error = fl_cert_issue_read(&wanted, &answer->certificate, &info, &answer->text);
    if (error == FL_OK)
        error = write_down(signer, request, &info, csr.spki_sha256, now, &answer->text);
    if (error == FL_OK) {
        (void)fl_str_copy(answer->serial, sizeof answer->serial, info.serial);
        answer->result.not_before = info.not_before;
        answer->result.not_after = info.not_after;
    }
out:
    fl_csr_info_free(&csr);
    return error;
}

static void log_answer(const struct fl_msg_sign *request, enum fl_error error,
                       const struct fl_signer_answer *answer)
{
    char kind[32];
    char name[2 * FL_NAME_MAX];
    char text[sizeof answer->text.text];
    char until[FL_TIME_TEXT_MAX];

    fl_str_printable(kind, sizeof kind, request->kind);
    fl_str_printable(name, sizeof name, request->name);
    if (error == FL_OK)
        fl_log(FL_LOG_INFO, "issue", "issued kind=%s name=%s serial=%s until=%s", kind, name,
               answer->serial, fl_time_format(answer->result.not_after, until));
    else
        fl_log(FL_LOG_WARN, "issue", "refused kind=%s name=%s: %s", kind, name,
               fl_str_printable(text, sizeof text, fl_slice_str(answer->text.text)));
}

void fl_signer_answer(struct fl_signer *signer, const struct fl_msg_sign *request, fl_time_t now,
                      fl_time_t monotonic, struct fl_signer_answer *answer)
{
    enum fl_error error = FL_OK;

    answer->result = (struct fl_msg_sign_result){.request = request->request};
    answer->text.text[0] = 0;
    answer->serial[0] = 0;
    answer->certificate.max = FL_LIMIT_CERT;
    fl_buffer_clear(&answer->certificate);
    if (!fl_signer_rate_take(&signer->rate, monotonic))
        error = fl_fail(&answer->text, FL_EBUSY, "the signer is busy: over %d requests a second",
                        FL_SIGNER_RATE);
    else
        error = fl_ledger_ready(&signer->ledger, &answer->text);
    if (error == FL_OK)
        error = issue(signer, request, now, answer);
    if (error != FL_OK) {
        fl_buffer_clear(&answer->certificate);
        answer->serial[0] = 0;
        fl_ledger_refused(&signer->ledger, request, error, answer->text.text, now, monotonic);
    }
    answer->result.error = (uint32_t)error;
    answer->result.detail = fl_slice_str(answer->text.text);
    answer->result.certificate = fl_buffer_slice(&answer->certificate);
    answer->result.serial = fl_slice_str(answer->serial);
    log_answer(request, error, answer);
}
