/* SPDX-License-Identifier: Apache-2.0
 *
 * A journal on failing files beside a model of it: an owner with a few keys, whose every change is
 * appended, and who writes checkpoints over many steps. The model remembers what each position
 * held, so that after any crash one can tell whether what is replayed is right: everything that had
 * to survive, in order, once, with its contents, and the owner's state as it was at that position.
 */
#ifndef FL_TEST_JOURNAL_MODEL_H
#define FL_TEST_JOURNAL_MODEL_H

#include "test/unit/unit.h"

#include "proto/journal.h"
#include "proto/journal_disk.h"
#include "test/twin/files_twin.h"

#include <stdlib.h>

#define MODEL_KEYS 24
#define MODEL_HISTORY 4096
#define MODEL_BLOCK 2600
#define MODEL_SEGMENT 16384

static struct fl_context context;

struct model_block {
    size_t size; /* 0: no records (marker, note, or never appended) */
    uint8_t *bytes;
};

struct model {
    struct fl_files_twin *twin;
    struct fl_files files;
    struct fl_random random;
    struct fl_journal *journal;
    struct fl_journal_config config;
    uint64_t seed;
    struct model_block history[MODEL_HISTORY];
    uint32_t values[MODEL_KEYS];
    uint64_t last;      /* successful appends, markers included */
    uint64_t attempted; /* last or last + 1 */
    uint64_t durable;   /* as told by the journal */
    size_t walked;      /* keys of the checkpoint under way */
    bool walking;
    bool dead;
    bool polite; /* appends nothing new while the log says that it is tight */
    uint64_t checkpoints;
    uint64_t full;
    /* Replay. */
    uint64_t replay_last;
    uint64_t replay_first;
    uint32_t replayed[MODEL_KEYS];
    bool any_replayed;
};

static inline uint64_t model_random(struct model *m)
{
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    return m->seed;
}

static inline void model_fill(void *self, void *to, size_t size)
{
    struct model *m = self;

    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)(model_random(m) >> 11);
}

static inline void model_start(struct model *m, uint64_t seed, uint64_t twin_seed,
                               uint64_t segments, bool retain)
{
    memset(m, 0, sizeof *m);
    m->seed = seed * 0x9E3779B97F4A7C15U + 7;
    m->twin = fl_files_twin_new(twin_seed);
    m->files = fl_files_twin_files(m->twin);
    m->random = (struct fl_random){.fill = model_fill, .self = m};
    m->config = (struct fl_journal_config){.files = &m->files,
                                           .random = &m->random,
                                           .segment_bytes = MODEL_SEGMENT,
                                           .max_bytes = segments * MODEL_SEGMENT,
                                           .retain = retain};
    memset(m->config.key, 0x5A, sizeof m->config.key);
}

static inline void model_finish(struct model *m)
{
    fl_journal_close(m->journal);
    m->journal = NULL;
    fl_files_twin_free(m->twin);
    for (size_t i = 0; i < MODEL_HISTORY; i++)
        free(m->history[i].bytes);
}

/* --- records: key and value, four octets each, then filler that starts with 0xFF --- */

static inline void model_put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof value);
}

static inline void model_apply(uint32_t values[MODEL_KEYS], struct fl_slice records)
{
    while (records.size >= 8 && records.data[0] != 0xFF) {
        uint32_t key = 0;
        uint32_t value = 0;

        memcpy(&key, records.data, 4);
        memcpy(&value, records.data + 4, 4);
        assert_true(key < MODEL_KEYS);
        values[key] = value;
        records = fl_slice_from(records, 8);
    }
}

static inline void model_remember(struct model *m, uint64_t position, struct fl_slice records)
{
    struct model_block *block = &m->history[position];

    assert_true(position < MODEL_HISTORY);
    free(block->bytes);
    *block = (struct model_block){.size = records.size};
    if (records.size) {
        block->bytes = malloc(records.size);
        assert_non_null(block->bytes);
        memcpy(block->bytes, records.data, records.size);
    }
}

/* Notes how a call that appends came out; `records` of size 0: a marker. */
static inline void model_after(struct model *m, enum fl_error error, uint64_t position,
                               struct fl_slice records)
{
    m->attempted = m->last + 1;
    model_remember(m, m->attempted, records);
    if (error == FL_OK) {
        assert_int_equal(position, m->attempted);
        m->last = position;
        model_apply(m->values, records);
        return;
    }
    if (error == FL_EFULL) {
        m->full++;
        m->attempted = m->last;
        return;
    }
    if (error != FL_EIO)
        fail_msg("append: %s", context.text);
    m->dead = true;
}

static inline void model_append(struct model *m)
{
    uint8_t bytes[MODEL_BLOCK];
    size_t size = 0;
    uint64_t position = 0;
    size_t count = 1 + model_random(m) % 3;
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < count; i++) {
        model_put32(bytes + size, (uint32_t)(model_random(m) % MODEL_KEYS));
        model_put32(bytes + size + 4, (uint32_t)model_random(m));
        size += 8;
    }
    if (model_random(m) % 2) {
        size_t filler = model_random(m) % (MODEL_BLOCK - 64);

        memset(bytes + size, 0xFF, filler);
        size += filler;
    }
    error = fl_journal_append(m->journal, fl_slice(bytes, size), &position, &context);
    model_after(m, error, position, fl_slice(bytes, size));
}

static inline void model_checkpoint(struct model *m)
{
    uint64_t position = 0;
    enum fl_error error = FL_OK;

    if (!m->walking) {
        error = fl_journal_checkpoint_begin(m->journal, &context);
        m->walking = error == FL_OK;
        m->walked = 0;
        m->dead = error == FL_EIO;
        m->full += error == FL_EFULL;
        if (error != FL_OK && error != FL_EFULL && error != FL_EIO)
            fail_msg("begin: %s", context.text);
        return;
    }
    if (m->walked < MODEL_KEYS) {
        uint8_t bytes[MODEL_KEYS * 8 + 700];
        size_t size = 0;

        for (size_t i = 0; i < 7 && m->walked + i < MODEL_KEYS; i++) {
            model_put32(bytes + size, (uint32_t)(m->walked + i));
            model_put32(bytes + size + 4, m->values[m->walked + i]);
            size += 8;
        }
        memset(bytes + size, 0xFF, 700);
        size += 700;
        error = fl_journal_append(m->journal, fl_slice(bytes, size), &position, &context);
        model_after(m, error, position, fl_slice(bytes, size));
        m->walked += error == FL_OK ? 7 : 0;
        return;
    }
    error = fl_journal_checkpoint_end(m->journal, &position, &context);
    model_after(m, error, position, fl_slice(NULL, 0));
    m->walking = error != FL_OK;
    m->checkpoints += error == FL_OK;
}

static inline void model_sync(struct model *m)
{
    enum fl_error error = fl_journal_sync(m->journal, &context);

    m->dead = error == FL_EIO && fl_journal_stats(m->journal).rewrites == 0 ? true : m->dead;
    if (error != FL_OK && error != FL_EIO && error != FL_EFULL)
        fail_msg("sync: %s", context.text);
    if (error == FL_OK && m->config.retain)
        assert_int_equal(fl_journal_stats(m->journal).durable, m->last);
}

static inline void model_chore(struct model *m)
{
    struct fl_journal_chore chore;
    enum fl_error error = FL_OK;

    if (!fl_journal_chore(m->journal, &chore))
        return;
    error = fl_journal_chore_run(&m->files, &chore, &context);
    fl_journal_chore_done(m->journal, &chore, error);
    m->dead = error == FL_EIO;
}

static inline void model_work(struct model *m, int steps)
{
    for (int i = 0; i < steps && !m->dead; i++) {
        uint64_t dice = model_random(m) % 100;

        if (dice < 12)
            model_sync(m);
        else if (dice < 22)
            model_chore(m);
        else if (dice < 40 && (m->walking || fl_journal_wants_checkpoint(m->journal) || dice < 24))
            model_checkpoint(m);
        else if (!m->polite || !fl_journal_is_tight(m->journal))
            model_append(m);
        m->durable = fl_journal_stats(m->journal).durable;
    }
}

/* --- crash, recovery and judgement --- */

static inline enum fl_error model_visit(void *self, struct fl_slice records, uint64_t position,
                                        struct fl_context *ctx)
{
    struct model *m = self;
    const struct model_block *block = &m->history[position];

    (void)ctx;
    assert_true(position > m->replay_last && position <= m->attempted);
    /* Nothing with records was left out since the one before. */
    for (uint64_t i = m->replay_last + 1; m->any_replayed && i < position; i++)
        assert_int_equal(m->history[i].size, 0);
    if (!m->any_replayed)
        m->replay_first = position;
    m->any_replayed = true;
    assert_int_equal(records.size, block->size);
    assert_memory_equal(records.data, block->bytes, block->size);
    model_apply(m->replayed, records);
    m->replay_last = position;
    return FL_OK;
}

static inline enum fl_error model_open(struct model *m)
{
    return fl_journal_open(&m->config, &m->journal, &context);
}

/* `must`: what had to survive. Afterwards the model continues from what was recovered. */
static inline void model_judge(struct model *m, uint64_t must)
{
    uint32_t values[MODEL_KEYS] = {0};
    struct fl_journal_stats stats;

    m->replay_last = 0;
    m->any_replayed = false;
    memset(m->replayed, 0, sizeof m->replayed);
    if (fl_journal_replay(m->journal, model_visit, m, &context) != FL_OK)
        fail_msg("replay: %s", context.text);
    stats = fl_journal_stats(m->journal);
    if (stats.last < must)
        fail_msg("recovered up to %llu, %llu had to survive", (unsigned long long)stats.last,
                 (unsigned long long)must);
    assert_true(stats.last <= m->attempted);
    assert_int_equal(stats.damaged, 0);
    for (uint64_t i = m->replay_last + 1; i <= stats.last; i++)
        assert_int_equal(m->history[i].size, 0);
    for (uint64_t i = 1; i <= stats.last; i++)
        model_apply(values, fl_slice(m->history[i].bytes, m->history[i].size));
    assert_memory_equal(values, m->replayed, sizeof values);
    memcpy(m->values, values, sizeof values);
    m->last = stats.last;
    m->attempted = stats.last;
    m->durable = stats.durable;
    m->walking = false;
    m->dead = false;
}

static inline uint64_t model_crash(struct model *m, enum fl_files_twin_crash kind)
{
    uint64_t must = kind == FL_TWIN_KILL ? m->last : m->durable;

    fl_journal_close(m->journal);
    m->journal = NULL;
    fl_files_twin_restart(m->twin, kind);
    return must;
}

#endif
