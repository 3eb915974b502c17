/* SPDX-License-Identifier: Apache-2.0
 *
 * What one worker of the front counts (codec/counters), and the telling of it: about once a second
 * the counters of all workers and of the process go to the hub in one message. A worker alone
 * writes to its meter; to count is an increment. With several workers each hands a copy of its
 * meter to whoever tells.
 */
#ifndef FL_FRONT_METER_H
#define FL_FRONT_METER_H

#include "codec/counters.h"
#include "front/link.h"
#include "service/heaviest.h"

#define FL_METER_MS 1000

struct fl_meter {
    struct fl_counters_worker counters;
    struct fl_heaviest by_messages; /* of the interval */
    struct fl_heaviest by_bytes;
};

/* A connection ended before its handshake was done. */
void fl_meter_handshake(struct fl_meter *meter, enum fl_error error);
/* The broker refused something; `words` are those of an MQTT reason code. */
void fl_meter_refused(struct fl_meter *meter, const char *words);
/* A reading was refused. */
void fl_meter_reading(struct fl_meter *meter, enum fl_error error);

/* Sends everything; the busiest of the interval begin anew. */
void fl_meter_tell(const struct fl_link *link, const struct fl_counters_process *process,
                   struct fl_meter *const *workers, size_t count, uint32_t interval_ms);

#endif
