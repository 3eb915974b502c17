/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/revocations.h"

#include "base/log.h"
#include "trust/crl.h"

enum fl_error fl_signer_take_entries(struct fl_signer *signer, struct fl_slice entries)
{
    return fl_buffer_append_slice(&signer->crl_entries, entries);
}

static enum fl_error make(struct fl_signer *signer, const struct fl_msg_crl_sign *request,
                          fl_time_t now, struct fl_signer_list *answer)
{
    struct fl_crl_request wanted = {.issuer = signer->issuing,
                                    .issuer_key = signer->key,
                                    .number = request->number,
                                    .this_update = now,
                                    .next_update = now + request->validity_s * (fl_time_t)1000,
                                    .entries = fl_buffer_slice(&signer->crl_entries)};
    enum fl_error error = fl_signer_policy_judge_crl(&signer->policy, request, signer->crl_number,
                                                     now, &answer->text);

    if (error == FL_OK)
        error = fl_crl_make(&wanted, &answer->der, &answer->text);
    if (error != FL_OK)
        return error;
    signer->crl_number = request->number;
    answer->result.number = request->number;
    answer->result.this_update = wanted.this_update;
    answer->result.next_update = wanted.next_update;
    return FL_OK;
}

void fl_signer_answer_crl(struct fl_signer *signer, const struct fl_msg_crl_sign *request,
                          fl_time_t now, fl_time_t monotonic, struct fl_signer_list *answer)
{
    char until[FL_TIME_TEXT_MAX];
    enum fl_error error = FL_OK;

    answer->result = (struct fl_msg_crl){.request = request->request};
    answer->text.text[0] = 0;
    answer->der.max = FL_LIMIT_CRL;
    fl_buffer_clear(&answer->der);
    if (!fl_signer_rate_take_of(&signer->crl_rate, monotonic, FL_SIGNER_CRL_RATE,
                                FL_SIGNER_CRL_BURST))
        error = fl_fail(&answer->text, FL_EBUSY, "the signer is busy: over %d lists a second",
                        FL_SIGNER_CRL_RATE);
    else
        error = make(signer, request, now, answer);
    fl_buffer_clear(&signer->crl_entries);
    answer->result.error = (uint32_t)error;
    answer->result.detail = fl_slice_str(answer->text.text);
    if (error == FL_OK) {
        fl_log(FL_LOG_INFO, "crl", "signed revocation list number=%llu until=%s",
               (unsigned long long)request->number,
               fl_time_format(answer->result.next_update, until));
        return;
    }
    fl_buffer_clear(&answer->der);
    fl_log(FL_LOG_WARN, "crl", "refused revocation list number=%llu: %s",
           (unsigned long long)request->number, answer->text.text);
}
