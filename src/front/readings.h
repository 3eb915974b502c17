/* SPDX-License-Identifier: Apache-2.0
 *
 * Readings on their way to the hub. Good readings are stamped, gathered into batches, kept until
 * the hub says that they are on stable storage, and sent again when there is a new hub; only then
 * is the message they came in acknowledged. Bounded (`uncommitted_max`): whoever feeds
 * this stops reading from its senders while fl_readings_full. No I/O, no clock.
 */
#ifndef FL_FRONT_READINGS_H
#define FL_FRONT_READINGS_H

#include "base/buffer.h"
#include "codec/msg.h"
#include "codec/reading.h"

struct fl_readings_host {
    /* Sends a batch to the hub; false: it is away, fl_readings_resend comes later. */
    bool (*send)(void *self, uint64_t batch, struct fl_slice records);
    /* A message may be acknowledged, or may not: `error` is the hub's. */
    void (*settle)(void *self, uint64_t token, enum fl_error error);
    void *self;
    size_t uncommitted_max; /* 0: FL_LIMIT_READINGS_UNCOMMITTED */
};

/* The message that readings came in. */
struct fl_readings_origin {
    struct fl_slice topic;
    struct fl_slice payload;
    uint16_t packet_id;
    bool redelivery; /* MQTT DUP */
    bool wants_answer;
    uint64_t token; /* for settle, when it wants an answer */
};

struct fl_readings;

FL_MUST_USE enum fl_error fl_readings_create(const struct fl_readings_host *host,
                                             struct fl_readings **readings, struct fl_context *ctx);
void fl_readings_free(struct fl_readings *readings);

/* Takes all readings of one message into one batch. Those without a time of their own get one:
 * `now` (UTC), or later than the last such of their stream. FL_EBUSY: the bound is reached. */
FL_MUST_USE enum fl_error fl_readings_add(struct fl_readings *readings,
                                          struct fl_reading_list *list,
                                          const struct fl_readings_origin *origin, fl_time_t now);

/* Sends what was gathered; at the end of a loop round. */
void fl_readings_flush(struct fl_readings *readings);
/* Sends everything that is not committed, in order, to a new hub. */
void fl_readings_resend(struct fl_readings *readings);
/* The hub has answered. An unknown batch is ignored: an old hub answered it before. */
void fl_readings_done(struct fl_readings *readings, uint64_t batch, enum fl_error error);

bool fl_readings_full(const struct fl_readings *readings);
size_t fl_readings_uncommitted(const struct fl_readings *readings);

#endif
