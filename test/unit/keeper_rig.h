/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers in threads of their own that share a keeper. Each numbers its records and keeps a few
 * values; its checkpoint is the number and the values. A judge reads the log again and compares.
 */
#ifndef FL_TEST_KEEPER_RIG_H
#define FL_TEST_KEEPER_RIG_H

#include "test/unit/unit.h"

#include "base/log.h"
#include "front/keeper.h"
#include "io/clock.h"
#include "test/twin/files_twin.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RIG_WORKERS 4
#define RIG_VALUES 16
#define RIG_WINDOW 6 /* records ahead of their commit */

struct rig_record {
    uint32_t worker;
    uint32_t is_checkpoint;
    uint64_t number; /* of this record; in a checkpoint: of the last one before it */
    uint32_t values[RIG_VALUES];
    uint8_t filler[1200];
};

struct rig_worker {
    struct fl_keeper *keeper;
    struct fl_keeper_member member;
    struct fl_loop *loop;
    struct fl_timer timer;
    struct fl_deferred more;
    pthread_t thread;
    uint32_t id;
    uint64_t goal;
    uint64_t number;
    uint32_t values[RIG_VALUES];
    uint64_t tickets[RIG_WINDOW];
    size_t waiting;
    uint64_t last_ticket;
    uint64_t walk; /* generation to be walked at the end of this round */
    uint64_t walks;
    uint64_t walks_wanted; /* it does not finish before */
    uint64_t refused;
    uint64_t records_each; /* as if an append were so many */
    bool finished;
    bool broken;
    bool wrong; /* a promise of the keeper was not kept */
};

struct rig {
    struct fl_keeper *keeper;
    struct rig_worker workers[RIG_WORKERS];
    struct fl_keeper_config config;
    char folder[64];
    struct fl_keeper_status status;
    bool closed_well;
};

/* --- a worker --- */

static _Atomic unsigned rig_finished; /* workers */

/* They stay until all have finished: a checkpoint needs every one of them. */
static inline void rig_done(struct rig_worker *w)
{
    if (w->number == w->goal && w->waiting == 0 && w->walks >= w->walks_wanted && !w->finished) {
        w->finished = true;
        rig_finished++;
    }
    if ((rig_finished == RIG_WORKERS && w->walk == 0) || w->broken)
        fl_loop_stop(w->loop);
    else if (w->finished)
        fl_loop_set_timer(w->loop, &w->timer, 2);
}

static inline void rig_walk(struct rig_worker *w)
{
    struct rig_record record = {.worker = w->id, .is_checkpoint = 1, .number = w->number};
    struct fl_context ctx = {0};
    uint64_t ticket = 0;

    memcpy(record.values, w->values, sizeof record.values);
    if (fl_keeper_append(w->keeper, NULL, fl_slice(&record, sizeof record), &ticket, &ctx) == FL_OK)
        fl_keeper_walked(&w->member, w->walk);
    else
        fl_keeper_walk_failed(&w->member, w->walk);
    w->walk = 0;
    w->walks++;
}

static inline void rig_work(struct rig_worker *w)
{
    while (w->number < w->goal && w->waiting < RIG_WINDOW && !w->broken) {
        struct rig_record record = {.worker = w->id, .number = w->number + 1};
        struct fl_context ctx = {0};
        uint64_t ticket = 0;
        size_t key = (size_t)(w->number % RIG_VALUES);
        enum fl_error error = FL_OK;

        memcpy(record.values, w->values, sizeof record.values);
        record.values[key] = (uint32_t)(w->number * 7919 + w->id);
        if (!fl_keeper_is_tight(w->keeper))
            error = fl_keeper_append(w->keeper, &w->member,
                                     fl_slice(&record, sizeof record - (w->number % 1000)), &ticket,
                                     &ctx);
        if (ticket == 0) {
            w->wrong = w->wrong || (error != FL_OK && error != FL_EFULL && error != FL_EBUSY &&
                                    error != FL_EIO);
            w->refused++;
            fl_loop_set_timer(w->loop, &w->timer, 2);
            return;
        }
        fl_keeper_count(w->keeper, w->records_each);
        w->wrong = w->wrong || ticket <= w->last_ticket;
        w->last_ticket = ticket;
        w->values[key] = record.values[key];
        w->number++;
        if (ticket > fl_keeper_committed(w->keeper))
            w->tickets[w->waiting++] = ticket;
        else if (w->number % 8 == 0) { /* nothing to wait for: give others a turn */
            fl_loop_set_timer(w->loop, &w->timer, 0);
            return;
        }
    }
}

static inline void rig_round(struct rig_worker *w)
{
    if (w->walk)
        rig_walk(w);
    rig_work(w);
    rig_done(w);
}

static inline void rig_on_timer(struct fl_timer *timer)
{
    rig_round(fl_container_of(timer, struct rig_worker, timer));
}

static inline void rig_on_more(struct fl_deferred *deferred)
{
    rig_round(fl_container_of(deferred, struct rig_worker, more));
}

static inline void rig_on_committed(struct fl_keeper_member *member, uint64_t committed)
{
    struct rig_worker *w = member->self;
    size_t kept = 0;

    for (size_t i = 0; i < w->waiting; i++)
        if (w->tickets[i] > committed)
            w->tickets[kept++] = w->tickets[i];
    w->waiting = kept;
    w->wrong = w->wrong || committed > fl_keeper_committed(w->keeper);
    fl_loop_defer(w->loop, &w->more);
}

static inline void rig_on_checkpoint(struct fl_keeper_member *member, uint64_t generation)
{
    struct rig_worker *w = member->self;

    w->walk = generation;
    fl_loop_defer(w->loop, &w->more);
}

static inline void rig_on_broken(struct fl_keeper_member *member, const char *words)
{
    struct rig_worker *w = member->self;

    w->broken = words[0] != 0;
    rig_done(w);
}

static inline void *rig_main(void *self)
{
    struct rig_worker *w = self;
    struct fl_context ctx = {0};

    if (fl_loop_create(&w->loop, &ctx) != FL_OK ||
        fl_keeper_join(w->keeper, &w->member, w->loop, &ctx) != FL_OK) {
        w->wrong = true;
        return NULL;
    }
    w->timer.fired = rig_on_timer;
    w->more.run = rig_on_more;
    fl_loop_defer(w->loop, &w->more);
    if (fl_loop_run(w->loop, &ctx) != FL_OK)
        w->wrong = true;
    fl_keeper_leave(&w->member);
    fl_keeper_leave(&w->member);
    fl_loop_stop_timer(w->loop, &w->timer);
    fl_loop_undefer(&w->more);
    fl_loop_free(w->loop);
    return NULL;
}

/* --- the rig --- */

static inline void rig_start(struct rig *r, enum fl_durability durability)
{
    memset(r, 0, sizeof *r);
    (void)snprintf(r->folder, sizeof r->folder, "/tmp/fl_keeper_XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    r->config = (struct fl_keeper_config){.folder = r->folder,
                                          .durability = durability,
                                          .members = RIG_WORKERS,
                                          .segment_bytes = 65536,
                                          .max_bytes = 32 * 65536,
                                          .random = fl_random_system(),
                                          .clock = fl_clock_system()};
    memset(r->config.key, 0xA5, sizeof r->config.key);
}

struct rig_judge {
    struct rig *rig;
    uint64_t numbers[RIG_WORKERS];
    uint32_t values[RIG_WORKERS][RIG_VALUES];
    bool seen[RIG_WORKERS];
};

static inline enum fl_error rig_visit(void *self, struct fl_slice records, uint64_t position,
                                      struct fl_context *ctx)
{
    struct rig_judge *judge = self;
    struct rig_record record = {0};

    (void)position;
    (void)ctx;
    assert_true(records.size <= sizeof record);
    memcpy(&record, records.data, records.size);
    assert_true(record.worker < RIG_WORKERS);
    /* One by one, from where the checkpoint or the beginning of the log stands. */
    if (record.is_checkpoint && judge->seen[record.worker])
        assert_int_equal(record.number, judge->numbers[record.worker]);
    else if (!record.is_checkpoint && judge->seen[record.worker])
        assert_int_equal(record.number, judge->numbers[record.worker] + 1);
    judge->seen[record.worker] = true;
    judge->numbers[record.worker] = record.number;
    memcpy(judge->values[record.worker], record.values, sizeof record.values);
    return FL_OK;
}

static inline void rig_open(struct rig *r, struct rig_judge *judge)
{
    struct fl_context ctx = {0};

    memset(judge, 0, sizeof *judge);
    judge->rig = r;
    if (fl_keeper_open(&r->config, &r->keeper, &ctx) != FL_OK ||
        fl_keeper_replay(r->keeper, rig_visit, judge, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
}

/* All workers, from where they were, until each has written `goal` records in all. */
static inline void rig_run(struct rig *r, uint64_t goal)
{
    rig_finished = 0;
    for (uint32_t i = 0; i < RIG_WORKERS; i++) {
        struct rig_worker *w = &r->workers[i];

        w->keeper = r->keeper;
        w->id = i;
        w->goal = goal;
        w->waiting = 0;
        w->finished = false;
        w->walk = 0;
        w->last_ticket = 0;
        w->member = (struct fl_keeper_member){.committed = rig_on_committed,
                                              .checkpoint = rig_on_checkpoint,
                                              .broken = rig_on_broken,
                                              .self = w};
        assert_int_equal(pthread_create(&w->thread, NULL, rig_main, w), 0);
    }
    for (size_t i = 0; i < RIG_WORKERS; i++) {
        assert_int_equal(pthread_join(r->workers[i].thread, NULL), 0);
        assert_false(r->workers[i].wrong);
    }
    fl_keeper_status(r->keeper, &r->status);
    r->closed_well = fl_keeper_close(r->keeper);
    r->keeper = NULL;
}

static inline void rig_compare(const struct rig *r, const struct rig_judge *judge)
{
    for (size_t i = 0; i < RIG_WORKERS; i++) {
        assert_int_equal(judge->numbers[i], r->workers[i].number);
        assert_memory_equal(judge->values[i], r->workers[i].values, sizeof judge->values[i]);
    }
}

static inline void rig_finish(struct rig *r)
{
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", r->folder);
    assert_int_equal(system(command), 0);
}

#endif
