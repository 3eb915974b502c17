/* SPDX-License-Identifier: Apache-2.0
 *
 * What is told to a client waits until what it is told of is on stable storage. The output of a
 * connection is held from where a promise was made, in the order of the promises; everybody else's
 * goes on.
 */
#include "service/broker_internal.h"

/* Marks that are behind us go. */
static void settle(struct fl_broker_conn *conn)
{
    uint64_t committed = conn->broker->keep.committed;

    if (conn->next_batch && conn->next_batch <= committed)
        conn->held_batch = conn->next_batch = 0;
    if (conn->held_batch && conn->held_batch <= committed && !conn->next_batch)
        conn->held_batch = 0;
    if (conn->held_batch && conn->held_batch <= committed && conn->held_bytes == 0) {
        conn->held_batch = conn->next_batch;
        conn->next_batch = 0;
    }
    if (!conn->held_batch)
        fl_list_remove(&conn->in_held);
}

static void hold(struct fl_broker_conn *conn, uint64_t batch, size_t said_before)
{
    settle(conn);
    if (!conn->held_batch) {
        conn->held_batch = batch;
        fl_list_push(&conn->broker->keep.held, &conn->in_held);
    } else if (conn->held_batch < batch && conn->next_batch < batch) {
        if (!conn->next_batch)
            conn->held_bytes = said_before;
        conn->next_batch = batch;
    }
}

void fl_broker_hold_output(struct fl_broker_conn *conn, uint64_t promises, size_t said_before)
{
    if (promises != conn->broker->keep.promises)
        hold(conn, conn->broker->keep.batch, said_before);
}

void fl_broker_hold_exact(struct fl_broker_conn *conn, size_t said_before)
{
    const struct fl_broker_keep *keep = &conn->broker->keep;
    uint64_t last = keep->log.size ? keep->batch : keep->batch - 1;

    if (last > keep->committed)
        hold(conn, last, said_before);
}

size_t fl_broker_output_ready(struct fl_broker_conn *conn)
{
    settle(conn);
    if (!conn->held_batch)
        return conn->mqtt.out.size;
    if (conn->next_batch && conn->held_batch <= conn->broker->keep.committed)
        return conn->held_bytes;
    return 0;
}

void fl_broker_output_sent(struct fl_broker_conn *conn, size_t bytes)
{
    conn->held_bytes -= bytes < conn->held_bytes ? bytes : conn->held_bytes;
    settle(conn);
}
