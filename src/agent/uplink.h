/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of a reading from a sensor to the hub, sans I/O: into the durable outbox, out of it as a
 * QoS 1 PUBLISH on d/{device}/t/{stream}, and off the outbox only when the hub has acknowledged it.
 * Each reading has a time of its own, so that one sent twice (after a kill, a cut cable) is
 * recognised by the hub. In order: the oldest is sent first, and a connection that ends starts over
 * at the oldest that is owed. A reading that the hub refuses for what it is, is dropped with words
 * and counted; one refused for want of room is kept and tried again.
 */
#ifndef FL_AGENT_UPLINK_H
#define FL_AGENT_UPLINK_H

#include "base/limits.h"
#include "base/str.h"
#include "proto/mqtt_client.h"
#include "proto/outbox.h"

struct fl_uplink;

/* The outbox stays the caller's and must outlive the uplink. */
FL_MUST_USE enum fl_error fl_uplink_create(struct fl_outbox *outbox, const char *device,
                                           struct fl_uplink **uplink, struct fl_context *ctx);
void fl_uplink_free(struct fl_uplink *uplink); /* NULL is harmless */

/* Takes one reading. `t` in ms since the epoch; with `own_time` it is moved on by as little as
 * makes it later than the stream's last. It may be sent, and survives a power cut, after
 * fl_uplink_commit. FL_EINVAL: no such stream name or number; FL_ELIMIT: too many streams;
 * FL_EFULL, FL_EIO: the outbox. */
FL_MUST_USE enum fl_error fl_uplink_add(struct fl_uplink *uplink, const char *stream, fl_time_t t,
                                        bool own_time, double value, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_uplink_commit(struct fl_uplink *uplink, struct fl_context *ctx);

/* The connection, as with fl_mqtt_client; `now` is monotonic ms. After each call there may be bytes
 * in the output. An error of receive or tick: close the connection and call fl_uplink_lost. */
FL_MUST_USE enum fl_error fl_uplink_start(struct fl_uplink *uplink, fl_time_t now,
                                          struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_uplink_receive(struct fl_uplink *uplink, struct fl_slice bytes,
                                            fl_time_t now, struct fl_context *ctx);
void fl_uplink_pump(struct fl_uplink *uplink, fl_time_t now); /* sends what it may */
FL_MUST_USE enum fl_error fl_uplink_tick(struct fl_uplink *uplink, fl_time_t now,
                                         struct fl_context *ctx);
fl_time_t fl_uplink_next_timeout(const struct fl_uplink *uplink); /* or FL_TIME_NEVER */
struct fl_buffer *fl_uplink_output(struct fl_uplink *uplink);
void fl_uplink_stop(struct fl_uplink *uplink, fl_time_t now); /* DISCONNECT */
void fl_uplink_lost(struct fl_uplink *uplink);

bool fl_uplink_is_open(const struct fl_uplink *uplink);  /* the hub has accepted us */
bool fl_uplink_is_empty(const struct fl_uplink *uplink); /* every reading is settled */

struct fl_uplink_counts {
    uint64_t added; /* since the start of the process, as the others */
    uint64_t acknowledged;
    uint64_t refused; /* dropped because the hub does not want them */
    uint64_t retried; /* kept because the hub had no room */
    uint64_t waiting; /* owed now */
};
struct fl_uplink_counts fl_uplink_count(const struct fl_uplink *uplink);

/* How long to wait before the next attempt after `failures` in a row: doubles from half a second to
 * 30 s, less a random part of up to a half. Pure. */
fl_time_t fl_uplink_backoff(unsigned failures, uint32_t random);

/* A reading as it lies in the outbox. Decoding: FL_EPARSE. */
struct fl_record {
    char stream[FL_NAME_MAX + 1];
    fl_time_t t;
    double value;
};
enum fl_error fl_record_encode(const struct fl_record *record, struct fl_buffer *out);
FL_MUST_USE enum fl_error fl_record_decode(struct fl_slice bytes, struct fl_record *record);
/* {"t":1763800000000,"v":21.5}: the shortest digits that mean the same number. */
enum fl_error fl_record_to_json(const struct fl_record *record, struct fl_buffer *out);

#endif
