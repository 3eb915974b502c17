/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/session_table.h"

#include "base/list.h"

#include <stdlib.h>

#define AUDIT_WINDOW_MS 60000

static struct fl_session *of_node(struct fl_map_node *node)
{
    return node ? fl_container_of(node, struct fl_session, node) : NULL;
}

void fl_session_table_free(struct fl_session_table *table)
{
    struct fl_map_node *node = NULL;

    while ((node = fl_map_first(&table->devices))) {
        fl_map_remove(&table->devices, node);
        free(of_node(node));
    }
    fl_map_free(&table->devices);
    table->connected = 0;
}

struct fl_session *fl_session_find(const struct fl_session_table *table, struct fl_slice device)
{
    return of_node(fl_map_find(&table->devices, device));
}

struct fl_session *fl_session_get(struct fl_session_table *table, struct fl_slice device)
{
    struct fl_session *session = fl_session_find(table, device);

    if (session || table->devices.count >= FL_LIMIT_DEVICES)
        return session;
    session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    (void)fl_str_copy_slice(session->device, sizeof session->device, device);
    if (fl_map_add(&table->devices, &session->node, fl_slice_str(session->device)) == FL_OK)
        return session;
    free(session);
    return NULL;
}

void fl_session_connected(struct fl_session_table *table, struct fl_session *session,
                          struct fl_slice peer, fl_time_t at)
{
    if (session->live++ == 0)
        table->connected++;
    session->last_seen = at;
    (void)fl_str_copy_slice(session->peer, sizeof session->peer, peer);
}

void fl_session_disconnected(struct fl_session_table *table, struct fl_session *session,
                             fl_time_t at)
{
    if (session->live > 0 && --session->live == 0)
        table->connected--;
    session->last_seen = at;
}

void fl_session_all_gone(struct fl_session_table *table, fl_time_t at)
{
    for (struct fl_map_node *node = fl_map_next(&table->devices, NULL); node;
         node = fl_map_next(&table->devices, node)) {
        struct fl_session *session = of_node(node);

        if (session->live) {
            session->live = 0;
            session->last_seen = at;
        }
    }
    table->connected = 0;
}

bool fl_session_may_audit(struct fl_session *session, fl_time_t now)
{
    if (now - session->audit_window >= AUDIT_WINDOW_MS || now < session->audit_window) {
        session->audit_window = now;
        session->audited = 0;
    }
    if (session->audited >= FL_LIMIT_REFUSALS_AUDITED) {
        session->suppressed++;
        return false;
    }
    session->audited++;
    return true;
}
