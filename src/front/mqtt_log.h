/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's part in the front's log: takes what its broker has written down to the keeper at the
 * end of each round, before anything is sent, and tells the broker when that is on stable storage.
 * Walks the broker for checkpoints. Without a keeper nothing is kept, and all of it costs nothing.
 * One thread.
 */
#ifndef FL_FRONT_MQTT_LOG_H
#define FL_FRONT_MQTT_LOG_H

#include "front/keeper.h"
#include "service/broker.h"

#define FL_MQTT_LOG_TICKETS 64

struct fl_mqtt_log {
    struct fl_loop *loop;
    struct fl_broker *broker;
    struct fl_keeper *keeper; /* NULL: nothing is kept */
    struct fl_keeper_member member;
    struct fl_timer again;       /* the keeper was behind, or a walk goes on */
    void (*changed)(void *self); /* the end of a round has work to do */
    void (*broken)(void *self, const char *words);
    void *self;
    struct {
        uint64_t ticket;
        uint64_t batch;
    } waiting[FL_MQTT_LOG_TICKETS]; /* oldest first */
    size_t waiting_count;
    uint64_t counted; /* of the broker's records, by the keeper */
    uint64_t walking; /* generation of the checkpoint; 0: none */
    fl_time_t asked;  /* when a checkpoint was last wished for */
    bool joined;
    bool behind; /* the keeper takes nothing more now: nothing more should be read */
    bool failed; /* the last append did; said once */
};

/* `changed`, `broken` and `self` are set by the owner. Makes the broker keep: before it is
 * restored. `number` is the worker's. */
void fl_mqtt_log_begin(struct fl_mqtt_log *log, struct fl_loop *loop, struct fl_broker *broker,
                       struct fl_keeper *keeper, unsigned number, fl_time_t utc_offset);
/* In the worker's thread. */
FL_MUST_USE enum fl_error fl_mqtt_log_join(struct fl_mqtt_log *log, struct fl_context *ctx);
void fl_mqtt_log_leave(struct fl_mqtt_log *log);

/* Before output is sent. Not inside a call of the broker. */
void fl_mqtt_log_write(struct fl_mqtt_log *log);

#endif
