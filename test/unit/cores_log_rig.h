/* SPDX-License-Identifier: Apache-2.0
 *
 * Brokers of one group with one log: what they write down is gathered in the order of their rounds
 * and committed when a test says so. A crash ends them all; only what was committed is read back.
 */
#ifndef FL_TEST_CORES_LOG_RIG_H
#define FL_TEST_CORES_LOG_RIG_H

#include "test/unit/cores_rig.h"

#define CORES_LOG_UTC 1795330800000 /* minus the monotonic time */

struct cores_log {
    struct cores cores;
    size_t slots;
    struct fl_buffer committed; /* records that survive */
    struct fl_buffer pending;   /* written, not on stable storage yet */
    uint64_t batch[CORES_MAX];  /* the last written of each */
};

/* A device is always at the same broker, by what its name ends with. */
static inline unsigned cores_log_home(const struct cores_log *cl, struct fl_slice identity)
{
    unsigned number = 0;
    struct fl_slice head = {0};

    (void)fl_slice_cut(&identity, '-', &head);
    for (size_t i = 0; i < identity.size; i++)
        number = number * 10 + (unsigned)(identity.data[i] - '0');
    return number % cl->cores.count;
}

/* As the front does it: sessions to their home, what is one for all to the first. */
static inline void cores_log_restore(struct cores_log *cl, const struct fl_keep *record)
{
    bool is_testament = record->type == fl_keep_type_testament;
    bool is_keyed = record->type == fl_keep_type_session || is_testament;
    bool is_for_all = !is_keyed && (record->type < fl_keep_type_retain ||
                                    record->type == fl_keep_type_testament_gone);
    struct fl_slice rest = is_testament ? record->as.testament.key : record->as.session.key;
    struct fl_slice identity = {0};
    unsigned home = 0;

    if (is_keyed) {
        (void)fl_slice_cut(&rest, 0, &identity);
        home = cores_log_home(cl, identity);
    }
    for (unsigned i = 0; i < cl->cores.count; i++)
        assert_ok(fl_broker_restore(cl->cores.core[i].rig.broker, record, is_for_all || i == home,
                                    cl->cores.core[i].rig.now));
}

static inline void cores_log_write(struct cores_log *cl, unsigned index);

/* What one says to another leaves after the records of its round. */
static inline void cores_log_before_publish(struct core *core)
{
    cores_log_write(fl_container_of(core->cores, struct cores_log, cores), core->index);
}

static inline void cores_log_start(struct cores_log *cl)
{
    struct fl_slice in = fl_buffer_slice(&cl->committed);
    struct fl_keep record;
    struct fl_context ctx = {0};

    for (unsigned i = 0; i < cl->cores.count; i++)
        fl_broker_keep(cl->cores.core[i].rig.broker, i, CORES_LOG_UTC);
    for (unsigned i = 0; i < cl->cores.count; i++)
        cl->cores.core[i].before_publish = cores_log_before_publish;
    while (in.size) {
        if (fl_keep_decode(&in, &record, &ctx) != FL_OK)
            fail_msg("the log: %s", ctx.text);
        cores_log_restore(cl, &record);
    }
    cores_settle(&cl->cores);
    for (unsigned i = cl->cores.count; i-- > 0;)
        fl_broker_restored(cl->cores.core[i].rig.broker, NULL, NULL, cl->cores.core[i].rig.now);
    cores_settle(&cl->cores);
    for (unsigned i = 0; i < cl->cores.count; i++)
        fl_broker_resumed(cl->cores.core[i].rig.broker);
}

static inline void cores_log_init(struct cores_log *cl, unsigned count, size_t slots)
{
    memset(cl, 0, sizeof *cl);
    cl->slots = slots;
    cl->committed = FL_BUFFER(256U << 20);
    cl->pending = FL_BUFFER(256U << 20);
    cores_init(&cl->cores, count, slots);
    cores_log_start(cl);
}

/* The end of a round of one of them: what it wrote down is on its way. */
static inline void cores_log_write(struct cores_log *cl, unsigned index)
{
    struct rig *rig = &cl->cores.core[index].rig;
    uint64_t batch = 0;
    struct fl_slice records = fl_broker_log(rig->broker, rig->now, &batch);

    if (records.size == 0)
        return;
    assert_ok(fl_buffer_append_slice(&cl->pending, records));
    fl_broker_log_taken(rig->broker);
    cl->batch[index] = batch;
}

static inline void cores_log_commit(struct cores_log *cl)
{
    for (unsigned i = 0; i < cl->cores.count; i++)
        cores_log_write(cl, i);
    assert_ok(fl_buffer_append_slice(&cl->committed, fl_buffer_slice(&cl->pending)));
    fl_buffer_clear(&cl->pending);
    for (unsigned i = 0; i < cl->cores.count; i++) {
        fl_broker_committed(cl->cores.core[i].rig.broker, cl->batch[i], cl->cores.core[i].rig.now);
        rig_flush(&cl->cores.core[i].rig);
    }
}

static inline void cores_log_checkpoint(struct cores_log *cl, size_t step)
{
    cores_log_commit(cl);
    fl_buffer_clear(&cl->committed);
    for (unsigned i = 0; i < cl->cores.count; i++) {
        fl_broker_checkpoint(cl->cores.core[i].rig.broker);
        while (!fl_broker_checkpoint_step(cl->cores.core[i].rig.broker, step))
            cores_log_commit(cl);
    }
    cores_log_commit(cl);
}

static inline void cores_log_crash(struct cores_log *cl)
{
    struct cores *cores = &cl->cores;
    enum fl_broker_verdict verdicts[CORES_MAX];
    fl_time_t now = cores->core[0].rig.now;
    unsigned count = cores->count;

    for (unsigned i = 0; i < count; i++) {
        verdicts[i] = cores->core[i].rig.verdict;
        fl_broker_free(cores->core[i].rig.broker);
        for (size_t c = 0; c < RIG_CLIENTS; c++)
            fl_buffer_free(&cores->core[i].rig.clients[c].heard);
    }
    for (unsigned i = 0; i < count; i++)
        for (unsigned to = 0; to < count; to++)
            fl_ring_free(&cores->rings[i][to]);
    fl_broker_group_free(cores->group);
    fl_buffer_clear(&cl->pending);
    memset(cl->batch, 0, sizeof cl->batch);
    cores_init(cores, count, cl->slots);
    for (unsigned i = 0; i < count; i++) {
        cores->core[i].rig.verdict = verdicts[i];
        cores->core[i].rig.now = now;
    }
    cores_log_start(cl);
}

static inline void cores_log_free(struct cores_log *cl)
{
    cores_log_commit(cl);
    cores_free(&cl->cores);
    fl_buffer_free(&cl->committed);
    fl_buffer_free(&cl->pending);
}

#endif
