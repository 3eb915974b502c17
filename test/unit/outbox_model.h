/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the outbox share: a model that knows what was appended, synced and
 * acknowledged, a run of random work, and the comparison of an outbox with the model.
 */
#ifndef FL_TEST_OUTBOX_MODEL_H
#define FL_TEST_OUTBOX_MODEL_H

#include "base/limits.h"
#include "proto/outbox.h"
#include "test/twin/files_twin.h"
#include "test/unit/unit.h"

#define RECORDS_MAX 4096
#define SIZE_MAX_SMALL 150

static struct fl_context context;

/* What the test knows: the life in which each number was last appended, and so its contents. */
struct model {
    struct fl_files_twin *twin;
    struct fl_files files;
    struct fl_outbox_options options;
    struct fl_outbox *outbox;
    uint64_t random;
    uint32_t life;
    uint32_t life_of[RECORDS_MAX];
    uint64_t appended; /* numbers up to this were tried */
    uint64_t synced;   /* up to this the outbox has promised */
    uint64_t acknowledged;
    bool dead;
};

static inline uint64_t next_random(struct model *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

static inline size_t contents(uint32_t life, uint64_t sequence, uint8_t to[SIZE_MAX_SMALL])
{
    uint64_t random = (sequence * 1000003 + life + 1) * 0x9E3779B97F4A7C15U;
    size_t size = (size_t)(random >> 33) % SIZE_MAX_SMALL;

    for (size_t i = 0; i < size; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        to[i] = (uint8_t)random;
    }
    return size;
}

static inline void start(struct model *m, uint64_t seed, uint64_t max_bytes, uint32_t segment_bytes)
{
    *m = (struct model){.twin = fl_files_twin_new(seed),
                        .options = {.max_bytes = max_bytes, .segment_bytes = segment_bytes},
                        .random = seed * 77 + 1};
    m->files = fl_files_twin_files(m->twin);
}

static inline enum fl_error open_outbox(struct model *m)
{
    context.text[0] = 0;
    return fl_outbox_open(&m->files, &m->options, &m->outbox, &context);
}

static inline void finish(struct model *m)
{
    fl_outbox_close(m->outbox);
    fl_files_twin_free(m->twin);
}

/* What a crashing process leaves: no orderly end. The memory is freed, the files are not touched.
 */
static inline void die(struct model *m, enum fl_files_twin_crash kind)
{
    fl_files_twin_crash_at(m->twin, 1);
    (void)m->files.write(m->files.self, "the-end", 0, fl_slice_str("x"), NULL);
    fl_outbox_close(m->outbox);
    m->outbox = NULL;
    fl_files_twin_restart(m->twin, kind);
    (void)m->files.remove(m->files.self, "the-end", NULL);
    m->life++;
    m->dead = false;
}

static inline enum fl_error append(struct model *m)
{
    uint8_t bytes[SIZE_MAX_SMALL];
    uint64_t expected = fl_outbox_stats(m->outbox).next;
    uint64_t sequence = 0;
    size_t size = contents(m->life, expected, bytes);
    enum fl_error error = FL_OK;

    assert_true(expected < RECORDS_MAX);
    m->life_of[expected] = m->life;
    m->appended = expected;
    error = fl_outbox_append(m->outbox, fl_slice(bytes, size), &sequence, &context);
    if (error == FL_OK)
        assert_int_equal(sequence, expected);
    return error;
}

static inline enum fl_error sync_all(struct model *m)
{
    enum fl_error error = fl_outbox_sync(m->outbox, &context);

    if (error == FL_OK)
        m->synced = fl_outbox_stats(m->outbox).durable - 1;
    return error;
}

static inline void check_contents(const struct model *m, uint64_t sequence,
                                  const struct fl_buffer *record)
{
    uint8_t bytes[SIZE_MAX_SMALL];
    size_t size = contents(m->life_of[sequence], sequence, bytes);

    assert_true(sequence <= m->appended);
    assert_int_equal(record->size, size);
    if (size)
        assert_memory_equal(fl_buffer_slice(record).data, bytes, size);
}

/* Reads all, checks order and contents; returns how many. */
static inline uint64_t read_all(struct model *m, uint64_t *first, uint64_t *last)
{
    struct fl_outbox_cursor cursor = {0};
    struct fl_buffer record = FL_BUFFER(FL_LIMIT_OUTBOX_RECORD);
    uint64_t sequence = 0;
    uint64_t count = 0;
    enum fl_error error = FL_OK;

    *first = *last = 0;
    while ((error = fl_outbox_read(m->outbox, &cursor, &sequence, &record, &context)) == FL_OK) {
        assert_true(sequence > *last);
        check_contents(m, sequence, &record);
        if (count++ == 0)
            *first = sequence;
        *last = sequence;
    }
    assert_int_equal(error, FL_ENOTFOUND);
    fl_buffer_free(&record);
    return count;
}

static inline enum fl_error acknowledge_some(struct model *m)
{
    uint64_t owed = m->synced > m->acknowledged ? m->synced - m->acknowledged : 0;
    uint64_t sequence = m->acknowledged + (owed ? 1 + next_random(m) % owed : 0);
    enum fl_error error = FL_OK;

    if (sequence > m->acknowledged)
        m->acknowledged = sequence;
    error = fl_outbox_acknowledge(m->outbox, sequence, &context);
    return error;
}

/* A run of everything an agent does; ends early when the power goes. */
static inline void work(struct model *m, int steps)
{
    for (int i = 0; i < steps && !m->dead; i++) {
        uint64_t choice = next_random(m) % 20;
        enum fl_error error = FL_OK;

        if (choice < 13)
            error = append(m);
        else if (choice < 17)
            error = sync_all(m);
        else
            error = acknowledge_some(m);
        m->dead = error != FL_OK;
        if (m->dead)
            assert_int_equal(error, FL_EIO);
    }
}

/* All that was synced and not acknowledged is there once and in order; nothing else is. */
static inline void check_recovered(struct model *m)
{
    struct fl_outbox_stats stats = fl_outbox_stats(m->outbox);
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t count = read_all(m, &first, &last);

    assert_int_equal(stats.damaged, 0);
    assert_int_equal(fl_outbox_stats(m->outbox).damaged, 0);
    assert_true(stats.durable > m->synced);
    assert_int_equal(stats.durable, stats.next);
    assert_int_equal(count, stats.durable - stats.first);
    if (count > 0) {
        assert_int_equal(first, stats.first);
        assert_int_equal(last, stats.durable - 1);
    }
    /* What is gone was acknowledged, or is reported. */
    if (stats.first - 1 > m->acknowledged)
        assert_true(stats.first - 1 - m->acknowledged <= stats.dropped);
    if (m->options.max_bytes)
        assert_true(stats.bytes <= m->options.max_bytes);
    m->synced = stats.durable - 1;
    m->appended = m->synced;
}

#endif
