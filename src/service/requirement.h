/* SPDX-License-Identifier: Apache-2.0
 *
 * What the profile in force asks of evidence, kept beside the profile so that a posture can be
 * computed without reading the profile each time. Verbs that write run in the caller's transaction.
 */
#ifndef FL_SERVICE_REQUIREMENT_H
#define FL_SERVICE_REQUIREMENT_H

#include "codec/profile.h"
#include "service/document.h"

struct fl_requirement {
    fl_time_t within_ms[FL_GRADE_COUNT]; /* 0: not required */
    uint32_t pcrs;
};

/* A profile that asks for nothing, and one that is not known, have no requirement. */
FL_MUST_USE enum fl_error fl_requirement_of(const struct fl_store *store, const char *profile,
                                            struct fl_requirement *requirement,
                                            struct fl_context *ctx);
/* Keeps what the profile says. When that is another than before, its devices are to be looked at
 * again: fl_requirement_review. */
FL_MUST_USE enum fl_error fl_requirement_put(const struct fl_store *store,
                                             const struct fl_profile *profile, fl_time_t now,
                                             struct fl_context *ctx);

/* The profile whose devices are to be looked at again. FL_ENOTFOUND: none. */
FL_MUST_USE enum fl_error fl_requirement_review(const struct fl_store *store,
                                                char profile[FL_NAME_MAX + 1], fl_time_t *since,
                                                struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_requirement_reviewed(const struct fl_store *store, const char *profile,
                                                  fl_time_t since, struct fl_context *ctx);

/* How long evidence of this grade counts. */
fl_time_t fl_requirement_within(const struct fl_requirement *requirement, enum fl_grade grade);
/* When the device should give evidence again, in ms: well before it ends. */
fl_time_t fl_requirement_interval(const struct fl_requirement *requirement);

#endif
