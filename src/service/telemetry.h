/* SPDX-License-Identifier: Apache-2.0
 *
 * Readings on their way into the store: the records of a READINGS message, which the front has
 * checked against the profile, sealed under their devices' data keys. A malformed batch is refused
 * as a whole and before anything of it is written.
 */
#ifndef FL_SERVICE_TELEMETRY_H
#define FL_SERVICE_TELEMETRY_H

#include "base/limits.h"
#include "base/store.h"

/* FL_EPARSE: a record is malformed. */
FL_MUST_USE enum fl_error fl_telemetry_check(struct fl_slice records, size_t *readings,
                                             struct fl_context *ctx);
/* Inside the caller's transaction; `records` passed the check. Each value is sealed first. */
struct fl_telemetry_seal {
    fl_store_seal seal;
    void *to;
};
FL_MUST_USE enum fl_error fl_telemetry_append(const struct fl_store *store, struct fl_slice records,
                                              const struct fl_telemetry_seal *seal,
                                              struct fl_context *ctx);

#endif
