/* SPDX-License-Identifier: Apache-2.0
 *
 * Evidence of devices over HTTPS with their certificate, under /.well-known/fairlead/evidence: a
 * nonce, the endorsement of a TPM's attestation key, the evidence itself. What comes is JSON, which
 * is taken apart here, as is the event log of a measured boot: the hub gets claims and PCRs. What
 * they are worth the hub decides.
 */
#ifndef FL_FRONT_EVIDENCE_H
#define FL_FRONT_EVIDENCE_H

#include "codec/evidence.h"
#include "front/link.h"
#include "front/pending.h"

struct fl_evidence_door {
    const struct fl_link *link;
    struct fl_pending *pending;
};

void fl_evidence_nonce(struct fl_evidence_door *door, struct fl_http_exchange *exchange,
                       const struct fl_http_request *request);
void fl_evidence_key(struct fl_evidence_door *door, struct fl_http_exchange *exchange,
                     const struct fl_http_request *request);
void fl_evidence_proof(struct fl_evidence_door *door, struct fl_http_exchange *exchange,
                       const struct fl_http_request *request);
void fl_evidence_take(struct fl_evidence_door *door, struct fl_http_exchange *exchange,
                      const struct fl_http_request *request);
void fl_evidence_result(struct fl_evidence_door *door, const struct fl_msg_evidence_result *result);

/* A body as a message; its slices point into `bytes`, which is free again with fl_evidence_free.
 * For the fuzzer, too. */
struct fl_evidence_bytes {
    void *json;
    struct fl_buffer decoded[9];
    size_t count;
};
FL_MUST_USE enum fl_error fl_evidence_read(struct fl_slice body, struct fl_msg_evidence *evidence,
                                           struct fl_evidence_bytes *bytes, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_evidence_read_key(struct fl_slice body,
                                               struct fl_msg_evidence_key *key,
                                               struct fl_evidence_bytes *bytes,
                                               struct fl_context *ctx);
void fl_evidence_free(struct fl_evidence_bytes *bytes);

#endif
