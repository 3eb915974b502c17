/* SPDX-License-Identifier: Apache-2.0
 *
 * The evidence of each device: what it said last, what that was worth, and until when. What holds
 * now is computed from the record, the profile's requirement and the time; the record is never
 * edited. Verbs that write run in the caller's transaction.
 */
#ifndef FL_SERVICE_EVIDENCE_H
#define FL_SERVICE_EVIDENCE_H

#include "codec/evidence.h"
#include "service/requirement.h"

#define FL_EVIDENCE_WORDS 384

struct fl_evidence {
    char device[FL_NAME_MAX + 1];
    enum fl_grade grade;            /* of what came last */
    fl_time_t at;                   /* when it came; 0: nothing ever did */
    fl_time_t held[FL_GRADE_COUNT]; /* when each grade was given last; 0: never, or refuted since */
    fl_time_t refuted;              /* when its TPM showed what it should not; 0: not since */
    fl_time_t due[FL_GRADE_COUNT];  /* the timers that are set; 0: none */
    char words[FL_EVIDENCE_WORDS];  /* why it is worth what it is */
    struct fl_machine machine;
    /* Of the last quote that its attestation key signed. */
    fl_time_t quoted; /* when; 0: never */
    struct fl_pcrs pcrs;
    uint64_t tpm_clock;
    uint32_t tpm_resets;
    uint32_t tpm_restarts;
    uint32_t log_events; /* 0: the PCRs came without a log */
};

/* FL_ENOTFOUND: it has given none; `evidence` is empty then. */
FL_MUST_USE enum fl_error fl_evidence_get(const struct fl_store *store, const char *device,
                                          struct fl_evidence *evidence, struct fl_context *ctx);
/* Sets the timers, too. */
FL_MUST_USE enum fl_error fl_evidence_put(const struct fl_store *store,
                                          struct fl_evidence *evidence,
                                          const struct fl_requirement *requirement, fl_time_t now,
                                          struct fl_context *ctx);

/* What was accepted now. `quoted`: its TPM said so; without that a device that was refuted only
 * stays so. */
void fl_evidence_accept(struct fl_evidence *evidence, enum fl_grade grade, bool quoted,
                        fl_time_t now);
/* What was proved now is not what it should be: nothing of before counts. */
void fl_evidence_refute(struct fl_evidence *evidence, fl_time_t now);

/* Bits of the grades that hold; `*until`: when the first of them ends. Pure. */
uint8_t fl_evidence_grades(const struct fl_evidence *evidence,
                           const struct fl_requirement *requirement, fl_time_t now,
                           fl_time_t *until);
/* False, with words, when a grade that the profile requires does not hold. Pure. */
bool fl_evidence_suffices(const struct fl_evidence *evidence,
                          const struct fl_requirement *requirement, fl_time_t now,
                          char words[FL_EVIDENCE_WORDS]);

/* The device for which a timer was set that is over. FL_ENOTFOUND: none. */
FL_MUST_USE enum fl_error fl_evidence_expire(const struct fl_store *store, fl_time_t now,
                                             char device[FL_NAME_MAX + 1], struct fl_context *ctx);
/* When the next is; FL_TIME_NEVER. */
fl_time_t fl_evidence_next(const struct fl_store *store);

#endif
