/* SPDX-License-Identifier: Apache-2.0
 *
 * The measured-boot log of a PC's firmware, as the kernel gives it
 * (/sys/kernel/security/tpm0/binary_bios_measurements; TCG PC Client Platform Firmware Profile 1.05
 * section 10, crypto agile): replayed, so that it can be held against what the TPM quotes. What an
 * event means is not judged. Hostile bytes: bounded, no allocation, no I/O.
 */
#ifndef FL_TRUST_EVENTLOG_H
#define FL_TRUST_EVENTLOG_H

#include "codec/evidence.h"

struct fl_event_log {
    /* SHA-256; 0 to 7 always, the others when the log extends them. */
    struct fl_pcrs pcrs;
    uint32_t events; /* those that extend a PCR */
};

/* FL_EPARSE with the event and what is wrong; FL_EUNSUPPORTED: a log without SHA-256 (of SHA-1
 * only); FL_ELIMIT. */
FL_MUST_USE enum fl_error fl_event_log_replay(struct fl_slice bytes, struct fl_event_log *log,
                                              struct fl_context *ctx);

#endif
