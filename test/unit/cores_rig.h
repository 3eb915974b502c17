/* SPDX-License-Identifier: Apache-2.0
 *
 * Several brokers of one group, joined by real rings in one thread: what one says to another stays
 * on its way until the test lets it arrive.
 */
#ifndef FL_TEST_CORES_RIG_H
#define FL_TEST_CORES_RIG_H

#include "test/unit/broker_rig.h"

#include "base/list.h"
#include "front/ring.h"

#define CORES_MAX 4

struct cores;

struct core {
    struct rig rig;
    struct cores *cores;
    unsigned index;
    bool seen_over; /* had to keep notes that did not fit */
    void (*before_publish)(struct core *core);
};

struct cores {
    unsigned count;
    struct fl_broker_group *group; /* NULL with one: it is alone */
    struct core core[CORES_MAX];
    struct fl_ring rings[CORES_MAX][CORES_MAX]; /* from, to */
};

static inline bool core_post(void *self, unsigned to, const struct fl_broker_note *note, bool must)
{
    struct core *core = fl_container_of(self, struct core, rig);
    struct fl_ring *ring = &core->cores->rings[core->index][to];
    bool taken = fl_ring_push(ring, note, must);

    core->seen_over |= ring->over_count > 0;
    return taken;
}

static inline bool core_is_busy(struct core *core)
{
    for (unsigned to = 0; to < core->cores->count; to++)
        if (core->cores->rings[core->index][to].over_count)
            return true;
    return false;
}

/* The end of a round: as the front's workers do it. */
static inline void core_round(struct core *core)
{
    bool busy = false;

    if (core->before_publish)
        core->before_publish(core);
    if (!core->cores->group)
        return;
    for (unsigned to = 0; to < core->cores->count; to++)
        if (to != core->index && !fl_ring_spill(&core->cores->rings[core->index][to]))
            busy = true;
    fl_broker_round(core->rig.broker, busy, core->rig.now);
    for (unsigned to = 0; to < core->cores->count; to++)
        if (to != core->index)
            (void)fl_ring_publish(&core->cores->rings[core->index][to]);
    rig_flush(&core->rig);
}

/* At most `most` notes of one other arrive. True: some did. */
static inline bool core_hear(struct core *core, unsigned from, unsigned most)
{
    struct fl_broker_note note;
    bool any = false;

    if (!core->cores->core[from].before_publish)
        (void)fl_ring_publish(&core->cores->rings[from][core->index]);

    for (; most && fl_ring_pop(&core->cores->rings[from][core->index], &note); most--) {
        fl_broker_hear(core->rig.broker, from, &note, core->rig.now);
        any = true;
    }
    rig_flush(&core->rig);
    return any;
}

static inline void cores_init(struct cores *cores, unsigned count, size_t slots)
{
    *cores = (struct cores){.count = count};
    if (count > 1)
        assert_ok(fl_broker_group_create(count, &cores->group, NULL));
    for (unsigned i = 0; i < count; i++) {
        cores->core[i].cores = cores;
        cores->core[i].index = i;
        rig_init_in(&cores->core[i].rig, cores->group, i, core_post);
        for (unsigned to = 0; to < count; to++)
            if (to != i)
                assert_ok(fl_ring_init(&cores->rings[i][to], slots, NULL));
    }
}

/* Everything arrives, until there is nothing more to say. */
static inline void cores_settle(struct cores *cores)
{
    bool again = cores->group != NULL;

    for (unsigned rounds = 0; again; rounds++) {
        again = false;
        assert_true(rounds < 100000); /* or they go on for ever */
        for (unsigned to = 0; to < cores->count; to++)
            for (unsigned from = 0; from < cores->count; from++)
                if (from != to)
                    again |= core_hear(&cores->core[to], from, 1000);
        for (unsigned i = 0; i < cores->count; i++) {
            core_round(&cores->core[i]);
            again |= core_is_busy(&cores->core[i]);
            for (unsigned to = 0; to < cores->count; to++)
                again |= i != to && !fl_ring_empty(&cores->rings[i][to]);
        }
    }
}

static inline void cores_free(struct cores *cores)
{
    for (unsigned i = 0; i < cores->count; i++)
        rig_free(&cores->core[i].rig);
    for (unsigned i = 0; i < cores->count; i++)
        for (unsigned to = 0; to < cores->count; to++)
            fl_ring_free(&cores->rings[i][to]);
    fl_broker_group_free(cores->group);
}

#endif
