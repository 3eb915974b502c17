/* SPDX-License-Identifier: Apache-2.0
 *
 * Which credentials are not good, for those who ask from outside: the entries of the hub's
 * revocation list, as an index in the meta table that the registry keeps up to date in the same
 * transaction as the credential. Reading it costs what is in it, not what was ever issued. It
 * decides nothing.
 */
#ifndef FL_SERVICE_STATUS_H
#define FL_SERVICE_STATUS_H

#include "service/registry.h"

/* Held and revoked ones are put in, issued ones taken out; one that has expired stays as it is
 * until fl_status_forget. In the caller's transaction. */
FL_MUST_USE enum fl_error fl_status_note(const struct fl_store *store,
                                         const struct fl_credential *credential,
                                         struct fl_context *ctx);

/* Appends every entry (trust/crl.h), in the order of their serials. FL_ELIMIT: `entries` is full.
 */
FL_MUST_USE enum fl_error fl_status_entries(const struct fl_store *store, struct fl_buffer *entries,
                                            struct fl_context *ctx);

/* Takes out those whose certificates ended before `before`, at most FL_LIMIT_STATUS_FORGET of them.
 * RFC 5280 3.3: one must have been in a list that was issued after its end. In a transaction. */
FL_MUST_USE enum fl_error fl_status_forget(const struct fl_store *store, fl_time_t before,
                                           size_t *count, struct fl_context *ctx);

/* The number for the next revocation list: over every one that it ever gave. The first time it also
 * makes the index, for a hub of an older version. In a transaction, which must be committed before
 * the number is used. */
FL_MUST_USE enum fl_error fl_status_next_number(const struct fl_store *store, fl_time_t now,
                                                uint64_t *number, struct fl_context *ctx);

#endif
