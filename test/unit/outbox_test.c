/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/outbox.h"

#include "base/crc32c.h"
#include "io/files.h"
#include "proto/outbox_disk.h"
#include "test/twin/files_twin.h"
#include "test/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static uint64_t next_random(struct model *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

static size_t contents(uint32_t life, uint64_t sequence, uint8_t to[SIZE_MAX_SMALL])
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

static void start(struct model *m, uint64_t seed, uint64_t max_bytes, uint32_t segment_bytes)
{
    *m = (struct model){.twin = fl_files_twin_new(seed),
                        .options = {.max_bytes = max_bytes, .segment_bytes = segment_bytes},
                        .random = seed * 77 + 1};
    m->files = fl_files_twin_files(m->twin);
}

static enum fl_error open_outbox(struct model *m)
{
    context.text[0] = 0;
    return fl_outbox_open(&m->files, &m->options, &m->outbox, &context);
}

static void finish(struct model *m)
{
    fl_outbox_close(m->outbox);
    fl_files_twin_free(m->twin);
}

/* What a crashing process leaves: no orderly end. The memory is freed, the files are not touched.
 */
static void die(struct model *m, enum fl_files_twin_crash kind)
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

static enum fl_error append(struct model *m)
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

static enum fl_error sync_all(struct model *m)
{
    enum fl_error error = fl_outbox_sync(m->outbox, &context);

    if (error == FL_OK)
        m->synced = fl_outbox_stats(m->outbox).durable - 1;
    return error;
}

static void check_contents(const struct model *m, uint64_t sequence, const struct fl_buffer *record)
{
    uint8_t bytes[SIZE_MAX_SMALL];
    size_t size = contents(m->life_of[sequence], sequence, bytes);

    assert_true(sequence <= m->appended);
    assert_int_equal(record->size, size);
    if (size)
        assert_memory_equal(fl_buffer_slice(record).data, bytes, size);
}

/* Reads all, checks order and contents; returns how many. */
static uint64_t read_all(struct model *m, uint64_t *first, uint64_t *last)
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

static enum fl_error acknowledge_some(struct model *m)
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
static void work(struct model *m, int steps)
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
static void check_recovered(struct model *m)
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

static uint64_t count_changes(uint64_t seed, uint64_t max_bytes, uint32_t segment_bytes, int steps)
{
    struct model m;
    uint64_t changes = 0;

    start(&m, seed, max_bytes, segment_bytes);
    (void)fl_files_twin_changes(m.twin);
    assert_ok(open_outbox(&m));
    work(&m, steps);
    assert_false(m.dead);
    fl_outbox_close(m.outbox);
    changes = fl_files_twin_changes(m.twin);
    m.outbox = NULL;
    finish(&m);
    return changes;
}

struct tally {
    uint64_t cases;
    uint64_t torn;
};

/* Crash at change `at`, then at change `again` of the recovery; then work on, crash, look again.
 * False when the recovery had no such change. */
static bool crash_twice(uint64_t seed, uint64_t max_bytes, uint32_t segment_bytes, int steps,
                        uint64_t at, uint64_t again, enum fl_files_twin_crash kind,
                        struct tally *tally)
{
    struct model m;
    bool reached = true;

    start(&m, seed, max_bytes, segment_bytes);
    m.twin = (fl_files_twin_free(m.twin), fl_files_twin_new(seed * 1000003 + at * 31 + again));
    m.files = fl_files_twin_files(m.twin);
    fl_files_twin_crash_at(m.twin, at);
    if (open_outbox(&m) == FL_OK)
        work(&m, steps);
    fl_outbox_close(m.outbox);
    m.outbox = NULL;
    fl_files_twin_restart(m.twin, kind);
    m.life++;

    fl_files_twin_crash_at(m.twin, again);
    reached = open_outbox(&m) != FL_OK;
    if (reached) {
        fl_files_twin_restart(m.twin, kind);
        if (open_outbox(&m) != FL_OK)
            fail_msg("seed %llu change %llu again %llu: %s", (unsigned long long)seed,
                     (unsigned long long)at, (unsigned long long)again, context.text);
    }
    fl_files_twin_crash_at(m.twin, 0);
    check_recovered(&m);
    tally->torn += fl_outbox_stats(m.outbox).torn_bytes > 0;
    m.dead = false;
    work(&m, 30);
    die(&m, kind);
    assert_ok(open_outbox(&m));
    check_recovered(&m);
    tally->cases++;
    finish(&m);
    return reached;
}

static void crash_everywhere(uint64_t max_bytes, uint32_t segment_bytes, int steps,
                             uint64_t seed_count, enum fl_files_twin_crash kind,
                             struct tally *tally)
{
    for (uint64_t seed = 1; seed <= seed_count; seed++) {
        uint64_t changes = count_changes(seed, max_bytes, segment_bytes, steps);
        for (uint64_t at = 1; at <= changes + 1; at++) {
            uint64_t again = 1;
            while (crash_twice(seed, max_bytes, segment_bytes, steps, at, again, kind, tally))
                again++;
        }
    }
}

static void nothing_synced_is_lost_wherever_the_power_goes(void **state)
{
    struct tally tally = {0};
    (void)state;

    crash_everywhere(1 << 20, 512, 150, 2, FL_TWIN_POWER, &tally);
    assert_true(tally.cases > 1000 && tally.torn > 10);
    print_message("%llu crashes by power cut, %llu of them with a torn tail\n",
                  (unsigned long long)tally.cases, (unsigned long long)tally.torn);
}

static void nothing_synced_is_lost_wherever_it_is_killed(void **state)
{
    struct tally tally = {0};
    (void)state;

    crash_everywhere(1 << 20, 512, 150, 1, FL_TWIN_KILL, &tally);
    print_message("%llu crashes by kill\n", (unsigned long long)tally.cases);
}

static void what_is_dropped_is_counted_wherever_the_power_goes(void **state)
{
    struct tally tally = {0};
    (void)state;

    crash_everywhere(2048, 512, 150, 2, FL_TWIN_POWER, &tally);
    print_message("%llu crashes of a full outbox\n", (unsigned long long)tally.cases);
}

static void records_come_back_in_order_and_once(void **state)
{
    struct model m;
    uint64_t first = 0;
    uint64_t last = 0;
    (void)state;

    start(&m, 1, 0, 512);
    assert_ok(open_outbox(&m));
    assert_int_equal(read_all(&m, &first, &last), 0);
    for (int i = 0; i < 100; i++)
        assert_ok(append(&m));
    /* Only what is on stable storage is given out: whole segments so far. */
    assert_int_equal(read_all(&m, &first, &last), fl_outbox_stats(m.outbox).durable - 1);
    assert_ok(sync_all(&m));
    assert_int_equal(read_all(&m, &first, &last), 100);
    assert_ok(fl_outbox_acknowledge(m.outbox, 40, &context));
    assert_int_equal(read_all(&m, &first, &last), 60);
    assert_int_equal(first, 41);
    assert_ok(fl_outbox_acknowledge(m.outbox, 7, &context));
    assert_int_equal(fl_outbox_stats(m.outbox).first, 41);
    fl_outbox_close(m.outbox);
    assert_ok(open_outbox(&m));
    assert_int_equal(read_all(&m, &first, &last), 60);
    finish(&m);
}

static void a_cursor_goes_on_where_it_stood_and_over_what_is_gone(void **state)
{
    struct model m;
    struct fl_outbox_cursor cursor = {0};
    struct fl_outbox_cursor copy = {0};
    struct fl_buffer record = FL_BUFFER(FL_LIMIT_OUTBOX_RECORD);
    uint64_t sequence = 0;
    (void)state;

    start(&m, 1, 0, 512);
    assert_ok(open_outbox(&m));
    assert_int_equal(fl_outbox_read(m.outbox, &cursor, &sequence, &record, &context), FL_ENOTFOUND);
    for (int i = 0; i < 50; i++)
        assert_ok(append(&m));
    assert_ok(sync_all(&m));
    for (uint64_t i = 1; i <= 10; i++) {
        assert_ok(fl_outbox_read(m.outbox, &cursor, &sequence, &record, &context));
        assert_int_equal(sequence, i);
    }
    copy = cursor;
    assert_ok(fl_outbox_read(m.outbox, &copy, &sequence, &record, &context));
    assert_ok(fl_outbox_read(m.outbox, &cursor, &sequence, &record, &context));
    assert_int_equal(sequence, 11);
    assert_ok(fl_outbox_acknowledge(m.outbox, 30, &context));
    assert_ok(fl_outbox_read(m.outbox, &cursor, &sequence, &record, &context));
    assert_int_equal(sequence, 31);
    check_contents(&m, 31, &record);
    /* A number alone is enough to stand somewhere. */
    cursor = (struct fl_outbox_cursor){.next = 45};
    assert_ok(fl_outbox_read(m.outbox, &cursor, &sequence, &record, &context));
    check_contents(&m, 45, &record);
    cursor = (struct fl_outbox_cursor){.next = 51};
    assert_int_equal(fl_outbox_read(m.outbox, &cursor, &sequence, &record, &context), FL_ENOTFOUND);
    assert_ok(append(&m));
    assert_int_equal(fl_outbox_read(m.outbox, &cursor, &sequence, &record, &context), FL_ENOTFOUND);
    assert_ok(sync_all(&m));
    assert_ok(fl_outbox_read(m.outbox, &cursor, &sequence, &record, &context));
    assert_int_equal(sequence, 51);
    fl_buffer_free(&record);
    finish(&m);
}

static void acknowledged_segments_are_removed_and_numbers_go_on(void **state)
{
    struct model m;
    (void)state;

    start(&m, 1, 0, 512);
    assert_ok(open_outbox(&m));
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 20; i++)
            assert_ok(append(&m));
        assert_ok(sync_all(&m));
        assert_true(fl_outbox_stats(m.outbox).segments > 1);
        assert_ok(fl_outbox_acknowledge(m.outbox, UINT64_MAX, &context));
        assert_int_equal(fl_outbox_stats(m.outbox).segments, 1);
        assert_int_equal(fl_files_twin_count(m.twin), 2); /* and the cursor */
        assert_int_equal(fl_outbox_stats(m.outbox).next, 20U * (unsigned)round + 21);
        die(&m, FL_TWIN_POWER);
        assert_ok(open_outbox(&m));
    }
    assert_int_equal(fl_outbox_stats(m.outbox).first, 201);
    assert_int_equal(fl_outbox_stats(m.outbox).dropped, 0);
    finish(&m);
}

static void the_oldest_gives_way_and_is_counted(void **state)
{
    struct model m;
    struct fl_outbox_stats stats;
    uint64_t first = 0;
    uint64_t last = 0;
    (void)state;

    start(&m, 1, 2048, 512);
    assert_ok(open_outbox(&m));
    for (int i = 0; i < 200; i++) {
        assert_ok(append(&m));
        assert_true(fl_outbox_stats(m.outbox).bytes <= 2048);
    }
    assert_ok(sync_all(&m));
    stats = fl_outbox_stats(m.outbox);
    assert_true(stats.dropped > 100);
    assert_int_equal(stats.first, stats.dropped + 1);
    assert_int_equal(read_all(&m, &first, &last), 200 - stats.dropped);
    assert_int_equal(last, 200);
    die(&m, FL_TWIN_POWER);
    assert_ok(open_outbox(&m));
    assert_int_equal(fl_outbox_stats(m.outbox).dropped, stats.dropped);
    finish(&m);
}

static void a_full_disk_changes_nothing_and_passes(void **state)
{
    struct model m;
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t refused = 0;
    (void)state;

    start(&m, 3, 0, 512);
    assert_ok(open_outbox(&m));
    for (int i = 0; i < 10; i++)
        assert_ok(append(&m));
    assert_ok(sync_all(&m));
    for (uint64_t space = 600; space < 2400; space += 7) {
        enum fl_error error = FL_OK;
        uint64_t next = fl_outbox_stats(m.outbox).next;
        fl_files_twin_space(m.twin, space);
        error = append(&m);
        assert_true(error == FL_OK || error == FL_EFULL);
        assert_int_equal(fl_outbox_stats(m.outbox).next, next + (error == FL_OK));
        refused += error != FL_OK;
        assert_ok(sync_all(&m));
    }
    assert_true(refused > 50);
    fl_files_twin_space(m.twin, UINT64_MAX);
    assert_ok(append(&m));
    assert_ok(sync_all(&m));
    assert_int_equal(read_all(&m, &first, &last), fl_outbox_stats(m.outbox).next - 1);
    die(&m, FL_TWIN_POWER);
    assert_ok(open_outbox(&m));
    check_recovered(&m);
    finish(&m);
}

static void a_failed_sync_gives_up_what_it_could_not_keep(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct model m;
        struct fl_outbox_stats before;
        struct fl_outbox_stats after;
        uint64_t first = 0;
        uint64_t last = 0;

        start(&m, seed, 0, 512);
        assert_ok(open_outbox(&m));
        for (uint64_t i = 0; i < seed % 12; i++)
            assert_ok(append(&m));
        assert_ok(sync_all(&m));
        assert_ok(append(&m));
        assert_ok(append(&m));
        before = fl_outbox_stats(m.outbox);
        fl_files_twin_fail_syncs(m.twin, 1);
        fl_files_twin_fail_removes(m.twin, seed % 3);
        assert_int_equal(fl_outbox_sync(m.outbox, &context), FL_EIO);
        assert_string_equal(context.text, "outbox: sync: the sync failed");
        after = fl_outbox_stats(m.outbox);
        fl_files_twin_fail_removes(m.twin, 0);
        assert_int_equal(after.dropped, before.next - before.durable);
        assert_int_equal(after.next, before.next);
        assert_int_equal(read_all(&m, &first, &last), before.durable - 1);
        /* New records go on behind the gap, and the gap is no damage, now or later. */
        assert_ok(append(&m));
        assert_ok(append(&m));
        assert_ok(sync_all(&m));
        assert_int_equal(read_all(&m, &first, &last), before.durable + 1);
        assert_int_equal(last, after.next + 1);
        assert_int_equal(fl_outbox_stats(m.outbox).damaged, 0);
        fl_outbox_close(m.outbox);
        assert_ok(open_outbox(&m));
        assert_int_equal(read_all(&m, &first, &last), before.durable + 1);
        assert_int_equal(fl_outbox_stats(m.outbox).damaged, 0);
        assert_int_equal(fl_outbox_stats(m.outbox).dropped, after.dropped);
        die(&m, FL_TWIN_POWER);
        assert_ok(open_outbox(&m));
        assert_int_equal(read_all(&m, &first, &last), before.durable + 1);
        finish(&m);
    }
}

static void what_rots_is_noticed_and_counted(void **state)
{
    struct model m;
    char name[FL_OUTBOX_NAME_MAX];
    struct fl_outbox_stats stats;
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t count = 0;
    (void)state;

    start(&m, 1, 0, 512);
    assert_ok(open_outbox(&m));
    for (int i = 0; i < 100; i++)
        assert_ok(append(&m));
    assert_ok(sync_all(&m));
    fl_outbox_name(name, 1);
    fl_files_twin_rot(m.twin, name, 33);
    count = read_all(&m, &first, &last);
    stats = fl_outbox_stats(m.outbox);
    assert_true(stats.damaged > 0);
    assert_int_equal(count + stats.damaged, 100);
    assert_int_equal(first, stats.damaged + 1);
    /* In the last segment, too; and writing goes on. */
    assert_ok(append(&m));
    assert_ok(sync_all(&m));
    for (uint64_t i = 1; i <= 100; i++) {
        uint64_t size = 0;
        fl_outbox_name(name, i);
        if (m.files.size(m.files.self, name, &size, NULL) == FL_OK)
            first = i;
    }
    fl_outbox_name(name, first);
    fl_files_twin_rot(m.twin, name, 40);
    count = read_all(&m, &first, &last);
    assert_int_equal(count + fl_outbox_stats(m.outbox).damaged, 101);
    assert_ok(append(&m));
    assert_ok(sync_all(&m));
    assert_int_equal(read_all(&m, &first, &last), count + 1);
    assert_int_equal(last, 102);
    finish(&m);
}

static void damaged_segments_give_way_like_others(void **state)
{
    struct model m;
    char name[FL_OUTBOX_NAME_MAX];
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t size = 0;
    int spoiled = 0;
    (void)state;

    start(&m, 1, 2048, 512);
    assert_ok(open_outbox(&m));
    for (int i = 0; i < 20; i++)
        assert_ok(append(&m));
    assert_ok(sync_all(&m));
    for (uint64_t i = 1; i <= 20 && spoiled < 2; i++) {
        fl_outbox_name(name, i);
        if (m.files.size(m.files.self, name, &size, NULL) != FL_OK)
            continue;
        fl_files_twin_rot(m.twin, name, 33);
        spoiled++;
    }
    (void)read_all(&m, &first, &last);
    for (int i = 0; i < 100; i++)
        assert_ok(append(&m));
    assert_ok(sync_all(&m));
    (void)read_all(&m, &first, &last);
    assert_int_equal(last, 120);
    assert_true(fl_outbox_stats(m.outbox).bytes <= 2048);
    finish(&m);
}

static void a_lost_header_loses_no_record(void **state)
{
    (void)state;
    for (uint64_t which = 1; which <= 100; which++) {
        struct model m;
        char name[FL_OUTBOX_NAME_MAX];
        uint64_t size = 0;
        uint64_t first = 0;
        uint64_t last = 0;

        start(&m, 1, 0, 512);
        assert_ok(open_outbox(&m));
        for (int i = 0; i < 100; i++)
            assert_ok(append(&m));
        assert_ok(sync_all(&m));
        fl_outbox_name(name, which);
        if (m.files.size(m.files.self, name, &size, NULL) == FL_OK) {
            fl_files_twin_rot(m.twin, name, 8);
            die(&m, FL_TWIN_POWER);
            assert_ok(open_outbox(&m));
            assert_int_equal(read_all(&m, &first, &last), 100);
            assert_ok(append(&m));
            assert_ok(sync_all(&m));
            assert_int_equal(read_all(&m, &first, &last), 101);
        }
        finish(&m);
    }
}

static void missing_segments_are_damage_not_silence(void **state)
{
    struct model m;
    char name[FL_OUTBOX_NAME_MAX];
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t count = 0;
    (void)state;

    start(&m, 1, 0, 512);
    assert_ok(open_outbox(&m));
    for (int i = 0; i < 100; i++)
        assert_ok(append(&m));
    assert_ok(sync_all(&m));
    fl_outbox_name(name, 1);
    fl_outbox_close(m.outbox);
    assert_ok(m.files.remove(m.files.self, name, &context));
    assert_ok(open_outbox(&m));
    count = read_all(&m, &first, &last);
    assert_int_equal(count + fl_outbox_stats(m.outbox).damaged, 100);
    /* While it is open. */
    fl_outbox_name(name, first);
    assert_ok(m.files.remove(m.files.self, name, &context));
    count = read_all(&m, &first, &last);
    assert_int_equal(count + fl_outbox_stats(m.outbox).damaged, 100);
    fl_outbox_close(m.outbox);
    /* All of them: the numbers go on all the same. */
    for (uint64_t i = 1; i <= 100; i++) {
        fl_outbox_name(name, i);
        (void)m.files.remove(m.files.self, name, NULL);
    }
    assert_ok(open_outbox(&m));
    assert_ok(fl_outbox_acknowledge(m.outbox, 100, &context));
    finish(&m);
}

static void numbers_go_on_though_every_segment_is_gone(void **state)
{
    struct model m;
    char name[FL_OUTBOX_NAME_MAX];
    uint64_t first = 0;
    uint64_t last = 0;
    (void)state;

    start(&m, 1, 0, 512);
    assert_ok(open_outbox(&m));
    assert_ok(append(&m));
    assert_ok(append(&m));
    assert_ok(sync_all(&m));
    assert_ok(fl_outbox_acknowledge(m.outbox, 2, &context));
    fl_outbox_close(m.outbox);
    fl_outbox_name(name, 1);
    /* Torn down to its header: the cursor knows more than the segment. */
    assert_ok(m.files.truncate(m.files.self, name, 32, &context));
    assert_ok(open_outbox(&m));
    assert_int_equal(fl_outbox_stats(m.outbox).next, 3);
    assert_ok(append(&m));
    assert_ok(sync_all(&m));
    assert_int_equal(read_all(&m, &first, &last), 1);
    assert_int_equal(first, 3);
    fl_outbox_close(m.outbox);
    assert_ok(open_outbox(&m));
    assert_int_equal(read_all(&m, &first, &last), 1);
    assert_int_equal(fl_outbox_stats(m.outbox).damaged, 0);
    finish(&m);
}

static void other_files_are_left_alone_and_a_newer_format_is_refused(void **state)
{
    static const char *const others[] = {"outbox-000000000000000A.seg", "outbox-1.seg",
                                         "outbox-0000000000000000.seg", "a.csv",
                                         "outbox-000000000000000g.seg"};
    struct model m;
    uint8_t header[FL_OUTBOX_HEADER_SIZE];
    char name[FL_OUTBOX_NAME_MAX];
    uint32_t crc = 0;
    (void)state;

    start(&m, 1, 0, 512);
    for (size_t i = 0; i < 5; i++)
        assert_ok(m.files.write(m.files.self, others[i], 0, fl_slice_str("x"), &context));
    assert_ok(open_outbox(&m));
    assert_ok(append(&m));
    assert_ok(sync_all(&m));
    fl_outbox_close(m.outbox);
    assert_int_equal(fl_files_twin_count(m.twin), 7);
    fl_outbox_header_encode(&(struct fl_outbox_header){.first = 1, .previous_end = 1}, header);
    header[7] = '2';
    crc = fl_crc32c(0, fl_slice(header, 24));
    for (int i = 0; i < 4; i++)
        header[24 + i] = (uint8_t)(crc >> (8 * i));
    fl_outbox_name(name, 1);
    assert_ok(m.files.write(m.files.self, name, 0, fl_slice(header, sizeof header), &context));
    assert_int_equal(open_outbox(&m), FL_EUNSUPPORTED);
    assert_string_equal(context.text, "outbox: it was written by a newer version");
    finish(&m);
}

static void every_limit_is_reached_and_not_passed(void **state)
{
    static uint8_t large[FL_LIMIT_OUTBOX_RECORD + 1];
    struct model m;
    struct fl_buffer record = FL_BUFFER(FL_LIMIT_OUTBOX_RECORD);
    struct fl_outbox_cursor cursor = {0};
    uint64_t sequence = 0;
    char name[FL_OUTBOX_NAME_MAX];
    (void)state;

    start(&m, 1, 0, 0);
    assert_ok(open_outbox(&m));
    memset(large, 'x', sizeof large);
    assert_ok(fl_outbox_append(m.outbox, fl_slice(large, FL_LIMIT_OUTBOX_RECORD), NULL, &context));
    assert_int_equal(fl_outbox_append(m.outbox, fl_slice(large, sizeof large), NULL, &context),
                     FL_ELIMIT);
    assert_ok(fl_outbox_sync(m.outbox, &context));
    assert_ok(fl_outbox_sync(m.outbox, &context));
    assert_ok(fl_outbox_read(m.outbox, &cursor, &sequence, &record, &context));
    assert_int_equal(record.size, FL_LIMIT_OUTBOX_RECORD);
    record.max = 10;
    fl_buffer_free(&record);
    cursor = (struct fl_outbox_cursor){0};
    assert_int_equal(fl_outbox_read(m.outbox, &cursor, &sequence, &record, &context), FL_ENOMEM);
    fl_buffer_free(&record);
    finish(&m);

    start(&m, 1, 1024, 256);
    assert_ok(open_outbox(&m));
    assert_ok(fl_outbox_append(m.outbox, fl_slice(large, 256 - 48), NULL, &context));
    assert_int_equal(fl_outbox_append(m.outbox, fl_slice(large, 256 - 47), NULL, &context),
                     FL_ELIMIT);
    fl_outbox_close(m.outbox);
    for (uint64_t i = 0; i < FL_LIMIT_OUTBOX_SEGMENTS - 1; i++) {
        fl_outbox_name(name, 100 + i);
        assert_ok(m.files.write(m.files.self, name, 0, fl_slice_str("x"), &context));
    }
    assert_ok(open_outbox(&m));
    fl_outbox_close(m.outbox);
    fl_outbox_name(name, 90);
    assert_ok(m.files.write(m.files.self, name, 0, fl_slice_str("x"), &context));
    assert_int_equal(open_outbox(&m), FL_ELIMIT);
    finish(&m);
}

static void a_new_segment_finds_room_among_many(void **state)
{
    struct model m;
    char name[FL_OUTBOX_NAME_MAX];
    (void)state;

    start(&m, 1, 1 << 20, 512);
    for (uint64_t i = 0; i < FL_LIMIT_OUTBOX_SEGMENTS; i++) {
        struct fl_outbox_header header = {.first = 1 + i, .previous_end = 1 + i};
        uint8_t bytes[FL_OUTBOX_HEADER_SIZE];
        fl_outbox_header_encode(&header, bytes);
        fl_outbox_name(name, 1 + i);
        assert_ok(m.files.write(m.files.self, name, 0, fl_slice(bytes, sizeof bytes), &context));
    }
    assert_ok(open_outbox(&m));
    for (int i = 0; i < 20; i++)
        assert_ok(append(&m));
    assert_ok(sync_all(&m));
    assert_true(fl_outbox_stats(m.outbox).segments <= FL_LIMIT_OUTBOX_SEGMENTS);
    finish(&m);
}

static void foolish_options_are_refused(void **state)
{
    static const struct fl_outbox_options bad[] = {
        {.segment_bytes = 255},
        {.segment_bytes = FL_LIMIT_OUTBOX_SEGMENT + 1},
        {.max_bytes = 2047, .segment_bytes = 512},
        {.max_bytes = (uint64_t)FL_LIMIT_OUTBOX_BYTES + 1},
    };
    struct model m;
    (void)state;

    start(&m, 1, 0, 0);
    for (size_t i = 0; i < 4; i++) {
        m.options = bad[i];
        assert_int_equal(open_outbox(&m), FL_EINVAL);
        assert_null(m.outbox);
    }
    finish(&m);
    fl_outbox_close(NULL);
}

static void an_outbox_works_in_a_real_folder(void **state)
{
    char path[] = "/tmp/fl-outbox-XXXXXX";
    char command[64];
    struct fl_files_folder folder = {0};
    struct fl_files files;
    struct fl_outbox *outbox = NULL;
    struct fl_outbox_cursor cursor = {0};
    struct fl_buffer record = FL_BUFFER(FL_LIMIT_OUTBOX_RECORD);
    uint64_t sequence = 0;
    (void)state;

    assert_non_null(mkdtemp(path));
    assert_ok(fl_files_open(path, &folder, &context));
    files = fl_files_of(&folder);
    for (int life = 0; life < 5; life++) {
        assert_ok(fl_outbox_open(&files, NULL, &outbox, &context));
        for (int i = 0; i < 100; i++)
            assert_ok(fl_outbox_append(outbox, fl_slice_str("21.5"), &sequence, &context));
        assert_int_equal(sequence, 100U * (unsigned)life + 100);
        assert_ok(fl_outbox_sync(outbox, &context));
        assert_ok(fl_outbox_read(outbox, &cursor, &sequence, &record, &context));
        assert_slice_equal(fl_buffer_slice(&record), "21.5");
        assert_int_equal(sequence, 50U * (unsigned)life + 1);
        cursor = (struct fl_outbox_cursor){0};
        assert_ok(fl_outbox_acknowledge(outbox, 50U * (unsigned)life + 50, &context));
        fl_outbox_close(outbox);
    }
    fl_files_close(&folder);
    fl_buffer_free(&record);
    (void)snprintf(command, sizeof command, "rm -r %s", path);
    assert_int_equal(system(command), 0);
}

static void the_checksum_is_crc32c(void **state)
{
    (void)state;
    assert_int_equal(fl_crc32c(0, fl_slice_str("123456789")), 0xE3069283);
    assert_int_equal(fl_crc32c(fl_crc32c(0, fl_slice_str("1234")), fl_slice_str("56789")),
                     0xE3069283);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back_in_order_and_once),
        cmocka_unit_test(a_cursor_goes_on_where_it_stood_and_over_what_is_gone),
        cmocka_unit_test(acknowledged_segments_are_removed_and_numbers_go_on),
        cmocka_unit_test(the_oldest_gives_way_and_is_counted),
        cmocka_unit_test(a_full_disk_changes_nothing_and_passes),
        cmocka_unit_test(a_failed_sync_gives_up_what_it_could_not_keep),
        cmocka_unit_test(what_rots_is_noticed_and_counted),
        cmocka_unit_test(damaged_segments_give_way_like_others),
        cmocka_unit_test(a_lost_header_loses_no_record),
        cmocka_unit_test(missing_segments_are_damage_not_silence),
        cmocka_unit_test(numbers_go_on_though_every_segment_is_gone),
        cmocka_unit_test(other_files_are_left_alone_and_a_newer_format_is_refused),
        cmocka_unit_test(every_limit_is_reached_and_not_passed),
        cmocka_unit_test(a_new_segment_finds_room_among_many),
        cmocka_unit_test(foolish_options_are_refused),
        cmocka_unit_test(an_outbox_works_in_a_real_folder),
        cmocka_unit_test(the_checksum_is_crc32c),
        cmocka_unit_test(nothing_synced_is_lost_wherever_the_power_goes),
        cmocka_unit_test(nothing_synced_is_lost_wherever_it_is_killed),
        cmocka_unit_test(what_is_dropped_is_counted_wherever_the_power_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
