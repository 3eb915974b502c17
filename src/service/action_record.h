/* SPDX-License-Identifier: Apache-2.0
 *
 * Actions as documents, and the index of those that end by themselves ("due/" keys of the meta
 * table, ordered by time), so that timers survive a restart without a scan.
 */
#ifndef FL_SERVICE_ACTION_RECORD_H
#define FL_SERVICE_ACTION_RECORD_H

#include "service/action.h"

FL_MUST_USE enum fl_error fl_action_record_next_id(const struct fl_store *store, uint64_t *id,
                                                   struct fl_context *ctx);
/* Writes the action and keeps the index true. */
FL_MUST_USE enum fl_error fl_action_record_put(const struct fl_store *store,
                                               const struct fl_action *action,
                                               struct fl_context *ctx);
/* FL_ENOTFOUND: none ends by itself. */
FL_MUST_USE enum fl_error fl_action_record_first_due(const struct fl_store *store, fl_time_t *due,
                                                     uint64_t *id, struct fl_context *ctx);

#endif
