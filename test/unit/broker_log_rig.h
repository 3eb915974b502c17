/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's rig with a log: what the broker writes down is gathered in batches, committed when a
 * test says so, and read back by the next broker after a crash. Only what was committed survives.
 */
#ifndef FL_TEST_BROKER_LOG_RIG_H
#define FL_TEST_BROKER_LOG_RIG_H

#include "test/unit/broker_rig.h"

#define LOG_RIG_UTC 1795330800000 /* minus the monotonic time */

struct log_rig {
    struct rig rig;
    struct fl_buffer committed; /* records that survive */
    struct fl_buffer pending;   /* written, not on stable storage yet */
    uint64_t batch;             /* the last written */
};

static inline bool log_rig_known(void *self, struct fl_slice identity)
{
    (void)self;
    return !fl_slice_is(identity, "stranger");
}

/* A new process: reads what is there. */
static inline void log_rig_start(struct log_rig *lr)
{
    struct fl_slice in = fl_buffer_slice(&lr->committed);
    struct fl_keep record;
    struct fl_context ctx = {0};

    fl_broker_keep(lr->rig.broker, 3, LOG_RIG_UTC);
    while (in.size) {
        if (fl_keep_decode(&in, &record, &ctx) != FL_OK)
            fail_msg("the log: %s", ctx.text);
        assert_ok(fl_broker_restore(lr->rig.broker, &record, true, lr->rig.now));
    }
    fl_broker_restored(lr->rig.broker, log_rig_known, lr, lr->rig.now);
    fl_broker_resumed(lr->rig.broker);
}

static inline void log_rig_init(struct log_rig *lr)
{
    memset(lr, 0, sizeof *lr);
    rig_init(&lr->rig);
    lr->committed = FL_BUFFER(256U << 20);
    lr->pending = FL_BUFFER(256U << 20);
    log_rig_start(lr);
}

/* The end of a round: what was written down is on its way. */
static inline void log_rig_write(struct log_rig *lr)
{
    uint64_t batch = 0;
    struct fl_slice records = fl_broker_log(lr->rig.broker, lr->rig.now, &batch);

    if (records.size == 0)
        return;
    assert_ok(fl_buffer_append_slice(&lr->pending, records));
    fl_broker_log_taken(lr->rig.broker);
    lr->batch = batch;
}

static inline void log_rig_commit(struct log_rig *lr)
{
    log_rig_write(lr);
    assert_ok(fl_buffer_append_slice(&lr->committed, fl_buffer_slice(&lr->pending)));
    fl_buffer_clear(&lr->pending);
    fl_broker_committed(lr->rig.broker, lr->batch, lr->rig.now);
    rig_flush(&lr->rig);
}

/* The process dies and another begins; its clients are gone, and so is what was not committed. */
static inline void log_rig_crash(struct log_rig *lr)
{
    fl_broker_free(lr->rig.broker);
    for (size_t i = 0; i < RIG_CLIENTS; i++) {
        fl_buffer_free(&lr->rig.clients[i].heard);
        lr->rig.clients[i] = (struct rig_client){0};
    }
    fl_buffer_clear(&lr->pending);
    lr->batch = 0;
    lr->rig.token_count = 0;
    rig_make_broker(&lr->rig, NULL, 0, NULL);
    log_rig_start(lr);
}

/* Writes everything anew, a little at a time, and drops what was there before. */
static inline void log_rig_checkpoint(struct log_rig *lr, size_t step)
{
    log_rig_commit(lr);
    fl_buffer_clear(&lr->committed);
    fl_broker_checkpoint(lr->rig.broker);
    while (!fl_broker_checkpoint_step(lr->rig.broker, step))
        log_rig_commit(lr);
    log_rig_commit(lr);
}

/* A crash, perhaps right behind a checkpoint, after which the new process has had its first round.
 */
static inline void log_rig_restart(struct log_rig *lr, bool with_checkpoint)
{
    if (with_checkpoint)
        log_rig_checkpoint(lr, 10);
    log_rig_crash(lr);
    log_rig_commit(lr);
}

static inline void log_rig_free(struct log_rig *lr)
{
    log_rig_commit(lr);
    rig_free(&lr->rig);
    fl_buffer_free(&lr->committed);
    fl_buffer_free(&lr->pending);
}

#endif
