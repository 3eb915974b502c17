/* SPDX-License-Identifier: Apache-2.0
 *
 * `fairlead-agent evidence`: gives evidence of this device to its hub, once: what it is, signed by
 * its key, and with a TPM a quote of how it was booted. Blocks; bounded by timeouts, but for a TPM
 * that does not answer.
 */
#ifndef FL_AGENT_EVIDENCE_H
#define FL_AGENT_EVIDENCE_H

#include "agent/key.h"
#include "agent/self.h"

struct fl_evidence_verdict {
    char grade[16]; /* what the hub makes of it */
    char words[512];
    char until[FL_TIME_TEXT_MAX]; /* empty: it counts for nothing */
    uint32_t next_s;              /* when to give it again */
};

/* `log`: where the boot log is; NULL: the kernel's, for a key in a TPM of this machine (device:).
 * FL_EUNSUPPORTED: the hub takes no evidence (an older version). */
FL_MUST_USE enum fl_error fl_evidence_give(const struct fl_self *identity, struct fl_agent_key *key,
                                           const char *log, struct fl_evidence_verdict *verdict,
                                           struct fl_context *ctx);

/* The verb: prints one line, of JSON if `json`. */
FL_MUST_USE enum fl_error fl_evidence_verb(const char *dir, const char *log, bool json,
                                           struct fl_context *ctx);

#endif
