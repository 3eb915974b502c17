/* SPDX-License-Identifier: Apache-2.0
 *
 * What hub_evidence.c (evidence as a whole) and hub_attest.c (that of a TPM) share.
 */
#ifndef FL_HUB_HUB_EVIDENCE_H
#define FL_HUB_HUB_EVIDENCE_H

#include "hub/hub.h"
#include "service/reference.h"

/* Who asks, by the certificate it showed. */
struct fl_hub_asker {
    uint64_t request;
    struct fl_slice device;
    struct fl_slice serial;
    struct fl_slice peer;
};

/* Of any of the messages EVIDENCE_*. */
#define FL_HUB_ASKER(m)                                                                            \
    {                                                                                              \
        .request = (m)->request, .device = (m)->device, .serial = (m)->serial, .peer = (m)->peer   \
    }

/* FL_EDENIED unless the device may connect with this certificate. `posture` is as of now. */
FL_MUST_USE enum fl_error fl_hub_asker_check(struct fl_hub *hub, const struct fl_hub_asker *asker,
                                             struct fl_device *device, struct fl_posture *posture,
                                             struct fl_context *ctx);
/* `body` is taken over. */
void fl_hub_evidence_answer(struct fl_hub *hub, uint64_t request, json_t *body);
/* Tells the device and writes it down. */
void fl_hub_evidence_refuse(struct fl_hub *hub, const struct fl_hub_asker *asker,
                            enum fl_error error, uint32_t retry_after_s,
                            const struct fl_context *ctx);
json_t *fl_hub_pcr_list(uint32_t pcrs);

/* The quote in the evidence, over `text`: into `e`, with what it is worth. */
FL_MUST_USE enum fl_error fl_hub_attest(struct fl_hub *hub, const struct fl_msg_evidence *m,
                                        struct fl_slice text, const struct fl_device *device,
                                        const struct fl_posture *before, struct fl_evidence *e,
                                        struct fl_context *ctx);
/* What its PCRs, quoted at `now`, are worth. */
void fl_hub_attest_judge(struct fl_evidence *e, const struct fl_reference_judgement *judgement,
                         fl_time_t now);

#endif
