/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device says of itself, as the text that its key signs and its TPM quotes over:
 *
 *     fairlead-evidence 1
 *     device cam-01
 *     nonce 9c3f...                 32 octets from the hub, in hex
 *     agent fairlead-agent 0.1.0
 *     os Debian GNU/Linux 12 (bookworm)
 *     kernel Linux 6.18.1 x86_64
 *     binary 5d1c...                SHA-256 of the agent's program, in hex; may be empty
 *     boot 0c9a1f6e-...             the kernel's boot id; may be empty
 *     uptime 86400                  seconds
 *
 * Each line ends in a line feed. The text itself never travels: both sides write it from the same
 * claims, so there is nothing to parse and one text only for one set of claims. Pure.
 */
#ifndef FL_CODEC_EVIDENCE_H
#define FL_CODEC_EVIDENCE_H

#include "base/buffer.h"
#include "base/limits.h"

#define FL_NONCE_SIZE 32

struct fl_claims {
    struct fl_slice device;
    struct fl_slice nonce; /* FL_NONCE_SIZE octets */
    struct fl_slice agent;
    struct fl_slice os;
    struct fl_slice kernel;
    struct fl_slice binary; /* 64 hex digits, or empty */
    struct fl_slice boot;
    uint64_t uptime_s;
};

/* What a machine says of itself, kept. */
struct fl_machine {
    char agent[FL_LIMIT_CLAIM + 1];
    char os[FL_LIMIT_CLAIM + 1];
    char kernel[FL_LIMIT_CLAIM + 1];
    char binary[65];
    char boot[FL_LIMIT_CLAIM + 1];
    uint64_t uptime_s;
};

/* FL_EINVAL: the claim that is too long, or not UTF-8, or has control characters. */
FL_MUST_USE enum fl_error fl_claims_text(const struct fl_claims *claims, struct fl_buffer *out,
                                         struct fl_context *ctx);

/* PCRs of one bank (SHA-256), by number. */
#define FL_PCR_SIZE 32
struct fl_pcrs {
    uint32_t present; /* bits */
    uint8_t value[FL_LIMIT_PCRS][FL_PCR_SIZE];
};

/* As they travel between processes: u8 number and FL_PCR_SIZE octets each, rising. FL_EPARSE. */
void fl_pcrs_put(const struct fl_pcrs *pcrs, struct fl_buffer *out);
FL_MUST_USE enum fl_error fl_pcrs_take(struct fl_slice in, struct fl_pcrs *pcrs);

/* "0-7,14" */
#define FL_PCRS_TEXT 96
const char *fl_pcrs_text(uint32_t bits, char to[FL_PCRS_TEXT]);

#endif
