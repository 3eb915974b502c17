/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/device_keys.h"

#include "base/log.h"

#define TAG "keys"

static void log_failure(struct fl_slice device, const char *what, const struct fl_context *text)
{
    char name[2 * FL_NAME_MAX];
    char words[sizeof text->text];

    fl_log(FL_LOG_WARN, TAG, "%s key of %s: %s", what, fl_str_printable(name, sizeof name, device),
           fl_str_printable(words, sizeof words, fl_slice_str(text->text)));
}

static enum fl_error get(struct fl_keystore *keystore, struct fl_signer_rate *rate,
                         const struct fl_msg_data_key *request, fl_time_t monotonic,
                         struct fl_signer_key_answer *answer)
{
    size_t before = fl_keystore_count(keystore);
    enum fl_error error = FL_OK;

    answer->result.request = request->request;
    answer->result.device = request->device;
    answer->result.generation = request->generation;
    if (!fl_signer_rate_take_of(rate, monotonic, FL_SIGNER_KEY_RATE, FL_SIGNER_KEY_BURST))
        return fl_fail(&answer->text, FL_EBUSY, "the signer is busy: over %d keys a second",
                       FL_SIGNER_KEY_RATE);
    error = fl_keystore_get(keystore, request->device, request->generation, request->create != 0,
                            answer->key, &answer->result.erased, &answer->text);
    if (error == FL_OK)
        answer->result.key = fl_slice(answer->key, sizeof answer->key);
    if (error == FL_OK && fl_keystore_count(keystore) > before)
        fl_log(FL_LOG_DEBUG, TAG, "made a key for %.*s", FL_SLICE_ARGS(request->device));
    /* That a key was destroyed is an answer, not a mishap. */
    if (error != FL_OK && error != FL_EEXPIRED)
        log_failure(request->device, "no", &answer->text);
    return error;
}

static enum fl_error erase(struct fl_keystore *keystore,
                           const struct fl_msg_data_key_erase *request,
                           struct fl_signer_key_answer *answer)
{
    enum fl_error error = FL_OK;

    answer->result.request = request->request;
    answer->result.device = request->device;
    if (!fl_name_valid(request->device))
        error = fl_fail(&answer->text, FL_EINVAL, "not a device's name");
    if (error == FL_OK)
        error =
            fl_keystore_destroy(keystore, request->device, &answer->result.erased, &answer->text);
    if (error == FL_OK)
        fl_log(FL_LOG_INFO, TAG, "destroyed the key of %.*s, generation %u",
               FL_SLICE_ARGS(request->device), answer->result.erased);
    else
        log_failure(request->device, "cannot destroy the", &answer->text);
    return error;
}

void fl_signer_answer_key(struct fl_keystore *keystore, struct fl_signer_rate *rate,
                          const struct fl_msg *request, fl_time_t monotonic,
                          struct fl_signer_key_answer *answer)
{
    enum fl_error error = FL_OK;

    *answer = (struct fl_signer_key_answer){0};
    if (request->type == fl_msg_type_data_key)
        error = get(keystore, rate, &request->as.data_key, monotonic, answer);
    else
        error = erase(keystore, &request->as.data_key_erase, answer);
    answer->result.error = (uint32_t)error;
    answer->result.detail = fl_slice_str(answer->text.text);
}
