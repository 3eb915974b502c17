/* SPDX-License-Identifier: Apache-2.0
 *
 * What the front says of devices' sessions, in memory: who is connected, from where, when last
 * seen; and how much of what was refused has been written to the audit log lately, so that a
 * device that keeps knocking cannot fill it.
 */
#ifndef FL_HUB_SESSION_TABLE_H
#define FL_HUB_SESSION_TABLE_H

#include "base/limits.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"

struct fl_session {
    struct fl_map_node node;
    char device[FL_NAME_MAX + 1];
    char peer[FL_LIMIT_ADDRESS + 1];
    fl_time_t last_seen; /* ms since the epoch; 0: never */
    uint32_t live;       /* sessions now */
    fl_time_t audit_window;
    uint32_t audited;    /* records in this window */
    uint32_t suppressed; /* not written since the last record */
};

struct fl_session_table {
    struct fl_map devices;
    size_t connected;
};

void fl_session_table_free(struct fl_session_table *table);
/* NULL: nothing is known. */
struct fl_session *fl_session_find(const struct fl_session_table *table, struct fl_slice device);
/* Makes it when there is none; NULL at FL_LIMIT_DEVICES or without memory. */
struct fl_session *fl_session_get(struct fl_session_table *table, struct fl_slice device);
void fl_session_connected(struct fl_session_table *table, struct fl_session *session,
                          struct fl_slice peer, fl_time_t at);
void fl_session_disconnected(struct fl_session_table *table, struct fl_session *session,
                             fl_time_t at);
/* The front has gone, and with it every session. */
void fl_session_all_gone(struct fl_session_table *table, fl_time_t at);
/* May one more refusal be written? At most FL_LIMIT_REFUSALS_AUDITED a minute and device. */
bool fl_session_may_audit(struct fl_session *session, fl_time_t now);

#endif
