/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the body of evidence, or of an attestation key (by the first octet): refused with
 * words, or a message that can be sent to the hub.
 */
#include "front/evidence.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(enum fl_error error, const struct fl_msg *msg, const struct fl_context *ctx)
{
    struct fl_buffer frame = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_context why = {0};
    enum fl_error sent = FL_OK;

    if (error != FL_OK) {
        if (ctx->text[0] == '\0')
            abort();
        return;
    }
    /* Only a claim that is too long can keep it from being sent. */
    sent = fl_msg_encode(msg, &frame, &why);
    if (sent != FL_OK && (sent != FL_EINVAL || !strstr(why.text, "too long")))
        abort();
    fl_buffer_free(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice body = fl_slice(data, size);
    struct fl_msg msg = {.type = fl_msg_type_evidence};
    struct fl_evidence_bytes bytes = {0};
    struct fl_context ctx = {0};

    if (size == 0)
        return 0;
    body = fl_slice_from(body, 1);
    if (data[0] % 2) {
        check(fl_evidence_read(body, &msg.as.evidence, &bytes, &ctx), &msg, &ctx);
    } else {
        msg.type = fl_msg_type_evidence_key;
        check(fl_evidence_read_key(body, &msg.as.evidence_key, &bytes, &ctx), &msg, &ctx);
    }
    fl_evidence_free(&bytes);
    return 0;
}
