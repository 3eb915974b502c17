/* SPDX-License-Identifier: Apache-2.0
 *
 * Boot states (PCR values) that are good, for a device or for all of a profile: what a quote is
 * held against. Until releases bring them, an operator accepts what a device shows. Verbs that
 * write run in the caller's transaction.
 */
#ifndef FL_SERVICE_REFERENCE_H
#define FL_SERVICE_REFERENCE_H

#include "codec/evidence.h"
#include "service/document.h"

enum fl_reference_scope { FL_REFERENCE_DEVICE, FL_REFERENCE_PROFILE };

/* `pcrs` is good from now on. FL_EEXISTS: it is already; FL_ELIMIT: FL_LIMIT_REFERENCES are. */
FL_MUST_USE enum fl_error fl_reference_accept(const struct fl_store *store,
                                              enum fl_reference_scope scope, const char *name,
                                              const struct fl_pcrs *pcrs,
                                              const struct fl_change *change,
                                              struct fl_context *ctx);
/* None is good any more. FL_ENOTFOUND: none was. */
FL_MUST_USE enum fl_error fl_reference_forget(const struct fl_store *store,
                                              enum fl_reference_scope scope, const char *name,
                                              const struct fl_change *change,
                                              struct fl_context *ctx);
/* As the API shows them: an array; NULL: out of memory. */
FL_MUST_USE enum fl_error fl_reference_list(const struct fl_store *store,
                                            enum fl_reference_scope scope, const char *name,
                                            json_t **list, struct fl_context *ctx);

enum fl_reference_verdict { FL_REFERENCE_NONE, FL_REFERENCE_GOOD, FL_REFERENCE_DIFFERS };
struct fl_reference_judgement {
    enum fl_reference_verdict verdict;
    uint32_t differs; /* PCRs, as bits, against the nearest good state */
};
/* The device's own come first; only when it has none, those of its profile count. */
FL_MUST_USE enum fl_error fl_reference_judge(const struct fl_store *store, const char *device,
                                             const char *profile, const struct fl_pcrs *pcrs,
                                             struct fl_reference_judgement *judgement,
                                             struct fl_context *ctx);

#endif
