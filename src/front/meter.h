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
#include "service/broker.h"
#include "service/heaviest.h"

#define FL_METER_MS 1000

#define FL_METER_BATCHES 256

/* A device's places among the busiest; zero-initialised it has none. */
struct fl_meter_places {
    uint8_t by_messages;
    uint8_t by_bytes;
};

struct fl_meter {
    struct fl_counters_worker counters;
    struct fl_heaviest by_messages; /* of the interval */
    struct fl_heaviest by_bytes;
    struct {
        uint64_t id;
        uint64_t at_us;
    } sent[FL_METER_BATCHES]; /* the last batches, for how long the hub takes */
};

/* A device has sent so much in one piece. */
void fl_meter_busy(struct fl_meter *meter, struct fl_slice device, struct fl_meter_places *places,
                   uint64_t messages, uint64_t bytes);
/* A batch of readings goes to the hub, maybe again; it is on stable storage. */
void fl_meter_batch_sent(struct fl_meter *meter, uint64_t batch, uint64_t now_us);
void fl_meter_batch_done(struct fl_meter *meter, uint64_t batch, uint64_t now_us);
/* A device came over its rate, of messages or of bytes. */
void fl_meter_limited(struct fl_meter *meter, bool messages);
/* What the broker counts. */
void fl_meter_sample(struct fl_meter *meter, const struct fl_broker_counts *counts);

/* A connection ended before its handshake was done. */
void fl_meter_handshake(struct fl_meter *meter, enum fl_error error);
/* The broker refused something; `words` are those of an MQTT reason code. */
void fl_meter_refused(struct fl_meter *meter, const char *words);
/* A reading was refused. */
void fl_meter_reading(struct fl_meter *meter, enum fl_error error);

/* Adds up what several workers counted. */
void fl_counters_add(struct fl_counters_worker *to, const struct fl_counters_worker *more);

/* Sends everything; the busiest of the interval begin anew. */
void fl_meter_tell(const struct fl_link *link, const struct fl_counters_process *process,
                   const struct fl_counters_log *log, struct fl_meter *const *workers, size_t count,
                   uint32_t interval_ms);

#endif
