/* SPDX-License-Identifier: Apache-2.0
 *
 * What must happen at a time, durable: an index in the meta table, ordered by time, one per prefix
 * ("due/", "end/"). Timers so survive a restart and nothing is scanned. Runs in the caller's
 * transaction.
 */
#ifndef FL_SERVICE_DUE_H
#define FL_SERVICE_DUE_H

#include "service/document.h"

#define FL_DUE_PREFIX_SIZE 4

/* `what` is at most FL_NAME_MAX octets; the same (at, what) is kept once. */
FL_MUST_USE enum fl_error fl_due_put(const struct fl_store *store, const char *prefix, fl_time_t at,
                                     struct fl_slice what, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_due_del(const struct fl_store *store, const char *prefix, fl_time_t at,
                                     struct fl_slice what, struct fl_context *ctx);

struct fl_due {
    fl_time_t at;
    uint8_t what[FL_NAME_MAX];
    size_t what_size;
};
/* The earliest. FL_ENOTFOUND: there is none. */
FL_MUST_USE enum fl_error fl_due_first(const struct fl_store *store, const char *prefix,
                                       struct fl_due *due, struct fl_context *ctx);

#endif
