/* SPDX-License-Identifier: Apache-2.0
 *
 * Real threads, each with a loop of its own; run under TSan, too.
 */
#include "test/unit/keeper_rig.h"

static void quiet(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)tag;
    (void)text;
}

/* Two lives in one folder; the second finds what the first wrote and goes on. */
static void live_twice(enum fl_durability durability, uint64_t goal)
{
    struct rig r;
    struct rig_judge judge;

    rig_start(&r, durability);
    rig_open(&r, &judge);
    rig_run(&r, goal);
    assert_true(r.closed_well);
    assert_true(r.status.counters.checkpoints > 0);
    assert_int_equal(r.status.counters.sync_failures, 0);
    assert_true(r.status.journal.bytes <= r.config.max_bytes);
    rig_open(&r, &judge);
    rig_compare(&r, &judge);
    rig_run(&r, 2 * goal);
    assert_true(r.closed_well);
    rig_open(&r, &judge);
    rig_compare(&r, &judge);
    assert_true(fl_keeper_close(r.keeper));
    rig_finish(&r);
}

static void workers_share_a_log_that_the_disk_keeps(void **state)
{
    (void)state;
    live_twice(FL_DURABILITY_DISK, 400);
}

static void workers_share_a_log_that_the_kernel_keeps(void **state)
{
    (void)state;
    live_twice(FL_DURABILITY_OS, 1500);
}

static void commits_are_grouped_and_timed(void **state)
{
    struct rig r;
    struct rig_judge judge;
    uint64_t timed = 0;
    (void)state;

    rig_start(&r, FL_DURABILITY_DISK);
    rig_open(&r, &judge);
    rig_run(&r, 300);
    timed = fl_histogram_total(&r.status.counters.commit);
    assert_true(r.status.counters.appends >= RIG_WORKERS * 300);
    assert_true(timed >= RIG_WORKERS * 300 && timed <= r.status.counters.appends);
    assert_true(r.status.counters.syncs < r.status.counters.appends);
    assert_true(r.status.counters.append_bytes > 0 && r.status.counters.refused == 0);
    assert_int_equal(r.status.counters.bytes, r.status.journal.bytes);
    assert_true(r.status.counters.bytes <= r.status.counters.limit);
    rig_finish(&r);
}

/* Reading back takes as long as there are records, however small. */
static void many_records_make_a_checkpoint(void **state)
{
    (void)state;
    for (uint64_t records_each = 0; records_each <= FL_LIMIT_LOG_REPLAY;
         records_each += FL_LIMIT_LOG_REPLAY / 1000) {
        struct rig r;
        struct rig_judge judge;

        rig_start(&r, FL_DURABILITY_OS);
        r.config.segment_bytes = 0; /* as usual, so that bytes are no reason */
        r.config.max_bytes = 0;
        for (size_t i = 0; i < RIG_WORKERS; i++) {
            r.workers[i].records_each = records_each;
            r.workers[i].walks_wanted = records_each != 0;
        }
        rig_open(&r, &judge);
        rig_run(&r, 1500);
        if (records_each == 0)
            assert_int_equal(r.status.counters.checkpoints, 0);
        else
            assert_in_range(r.status.counters.checkpoints, 1, RIG_WORKERS * 1500);
        rig_open(&r, &judge);
        rig_compare(&r, &judge);
        assert_true(fl_keeper_close(r.keeper));
        rig_finish(&r);
        if (records_each)
            return;
    }
}

static void os_commits_at_once(void **state)
{
    struct rig r;
    struct rig_judge judge;
    uint64_t ticket = 0;
    (void)state;

    rig_start(&r, FL_DURABILITY_OS);
    rig_open(&r, &judge);
    assert_ok(fl_keeper_append(r.keeper, NULL, fl_slice("x", 1), &ticket, NULL));
    assert_int_equal(fl_keeper_committed(r.keeper), ticket);
    assert_true(fl_keeper_close(r.keeper));
    rig_finish(&r);
}

static void limits_are_said(void **state)
{
    struct rig r;
    struct rig_judge judge;
    struct fl_context ctx = {0};
    uint8_t *large = calloc(1, 65536);
    uint64_t ticket = 0;
    size_t most = 0;
    enum fl_error error = FL_OK;
    (void)state;

    assert_non_null(large);
    rig_start(&r, FL_DURABILITY_OS);
    r.config.max_bytes = FL_JOURNAL_SEGMENTS_MIN * 65536;
    rig_open(&r, &judge);
    most = fl_keeper_append_max(r.keeper);
    assert_int_equal(fl_keeper_append(r.keeper, NULL, fl_slice(large, most + 1), &ticket, &ctx),
                     FL_ELIMIT);
    assert_false(fl_keeper_is_tight(r.keeper));
    for (int i = 0; i < 100 && error == FL_OK; i++)
        error = fl_keeper_append(r.keeper, NULL, fl_slice(large, most), &ticket, &ctx);
    assert_int_equal(error, FL_EFULL);
    assert_contains(ctx.text, "kept for a checkpoint");
    assert_true(fl_keeper_is_tight(r.keeper));
    assert_false(fl_keeper_is_broken(r.keeper));
    assert_true(fl_keeper_close(r.keeper));
    free(large);
    rig_finish(&r);
}

static void other_key_opens_nothing(void **state)
{
    struct rig r;
    struct rig_judge judge;
    struct fl_context ctx = {0};
    (void)state;

    rig_start(&r, FL_DURABILITY_DISK);
    rig_open(&r, &judge);
    rig_run(&r, 20);
    r.config.key[0] ^= 1;
    assert_int_equal(fl_keeper_open(&r.config, &r.keeper, &ctx), FL_EAUTH);
    assert_null(r.keeper);
    assert_contains(ctx.text, "another key");
    r.config.key[0] ^= 1;
    rig_open(&r, &judge);
    rig_compare(&r, &judge);
    assert_true(fl_keeper_close(r.keeper));
    rig_finish(&r);
}

/* --- failing disks: the twin behind a lock, as several threads use it --- */

static pthread_mutex_t twin_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fl_files twin_files;
static uint64_t failing; /* syncs of segments in use; that of a new one is a chore's */

#define LOCKED(call)                                                                               \
    do {                                                                                           \
        enum fl_error locked_error;                                                                \
        (void)pthread_mutex_lock(&twin_lock);                                                      \
        locked_error = (call);                                                                     \
        (void)pthread_mutex_unlock(&twin_lock);                                                    \
        return locked_error;                                                                       \
    } while (0)

static enum fl_error locked_read(void *self, const char *name, uint64_t offset, void *to,
                                 size_t size, size_t *got, struct fl_context *ctx)
{
    LOCKED(twin_files.read(self, name, offset, to, size, got, ctx));
}

static enum fl_error locked_write(void *self, const char *name, uint64_t offset,
                                  struct fl_slice data, struct fl_context *ctx)
{
    LOCKED(twin_files.write(self, name, offset, data, ctx));
}

static enum fl_error sync_or_fail(void *self, const char *name, struct fl_context *ctx)
{
    char magic[4] = {0};
    size_t got = 0;

    if (failing > 0 && twin_files.read(self, name, 0, magic, sizeof magic, &got, ctx) == FL_OK &&
        memcmp(magic, "FLJN", sizeof magic) == 0) {
        failing--;
        fl_files_twin_fail_syncs(self, 1);
    }
    return twin_files.sync(self, name, ctx);
}

static enum fl_error locked_sync(void *self, const char *name, struct fl_context *ctx)
{
    LOCKED(sync_or_fail(self, name, ctx));
}

static void fail_syncs(uint64_t count)
{
    (void)pthread_mutex_lock(&twin_lock);
    failing = count;
    (void)pthread_mutex_unlock(&twin_lock);
}

static enum fl_error locked_settle(void *self, const char *name, struct fl_context *ctx)
{
    LOCKED(twin_files.settle(self, name, ctx));
}

static enum fl_error locked_allocate(void *self, const char *name, uint64_t size,
                                     struct fl_context *ctx)
{
    LOCKED(twin_files.allocate(self, name, size, ctx));
}

static enum fl_error locked_rename(void *self, const char *from, const char *to,
                                   struct fl_context *ctx)
{
    LOCKED(twin_files.rename(self, from, to, ctx));
}

static enum fl_error locked_remove(void *self, const char *name, struct fl_context *ctx)
{
    LOCKED(twin_files.remove(self, name, ctx));
}

static enum fl_error locked_size(void *self, const char *name, uint64_t *size,
                                 struct fl_context *ctx)
{
    LOCKED(twin_files.size(self, name, size, ctx));
}

static enum fl_error locked_list(void *self, void (*visit)(void *to, const char *name), void *to,
                                 struct fl_context *ctx)
{
    LOCKED(twin_files.list(self, visit, to, ctx));
}

static struct fl_files lock_twin(struct fl_files_twin *twin)
{
    twin_files = fl_files_twin_files(twin);
    return (struct fl_files){.read = locked_read,
                             .write = locked_write,
                             .sync = locked_sync,
                             .settle = locked_settle,
                             .allocate = locked_allocate,
                             .rename = locked_rename,
                             .truncate = twin_files.truncate,
                             .remove = locked_remove,
                             .size = locked_size,
                             .list = locked_list,
                             .self = twin_files.self};
}

/* On the twin, which lives as long as the rig. */
static void open_on_twin(struct rig *r, struct rig_judge *judge, struct fl_files_twin *twin)
{
    static struct fl_files files;

    files = lock_twin(twin);
    rig_start(r, FL_DURABILITY_DISK);
    r->config.files = &files;
    rig_open(r, judge);
}

static void one_failed_sync_loses_nothing(void **state)
{
    (void)state;

    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct rig r;
        struct rig_judge judge;
        struct fl_files_twin *twin = fl_files_twin_new(seed);

        open_on_twin(&r, &judge, twin);
        fail_syncs(2);
        rig_run(&r, 60);
        assert_true(r.closed_well);
        assert_true(r.status.counters.sync_failures > 0);
        fl_files_twin_restart(twin, FL_TWIN_POWER);
        rig_open(&r, &judge);
        rig_compare(&r, &judge);
        assert_true(fl_keeper_close(r.keeper));
        fl_files_twin_free(twin);
        rig_finish(&r);
    }
}

static void disk_that_keeps_failing_is_told_to_all_and_nothing_is_committed(void **state)
{
    struct rig r;
    struct rig_judge judge;
    struct fl_context ctx = {0};
    struct fl_files_twin *twin = fl_files_twin_new(9);
    uint64_t ticket = 0;
    (void)state;

    open_on_twin(&r, &judge, twin);
    assert_ok(fl_keeper_append(r.keeper, NULL, fl_slice("x", 1), &ticket, &ctx));
    fail_syncs(UINT64_MAX);
    for (size_t i = 0; i < RIG_WORKERS; i++)
        r.workers[i].number = 0;
    rig_run(&r, 1000000);
    assert_true(r.status.broken);
    assert_contains(r.status.words, "the sync failed");
    assert_false(r.closed_well);
    for (size_t i = 0; i < RIG_WORKERS; i++)
        assert_true(r.workers[i].broken);
    fail_syncs(0);
    fl_files_twin_free(twin);
    rig_finish(&r);
}

static void broken_keeper_takes_nothing(void **state)
{
    struct rig r;
    struct rig_judge judge;
    struct fl_context ctx = {0};
    struct fl_files_twin *twin = fl_files_twin_new(11);
    uint64_t ticket = 0;
    (void)state;

    open_on_twin(&r, &judge, twin);
    fail_syncs(UINT64_MAX);
    /* Nobody waits: it is synced after a while all the same. */
    assert_ok(fl_keeper_append(r.keeper, NULL, fl_slice("x", 1), &ticket, &ctx));
    while (!fl_keeper_is_broken(r.keeper))
        (void)usleep(1000);
    assert_true(fl_keeper_committed(r.keeper) < ticket);
    assert_int_equal(fl_keeper_append(r.keeper, NULL, fl_slice("x", 1), &ticket, &ctx), FL_EIO);
    assert_contains(ctx.text, "keeper: ");
    assert_false(fl_keeper_close(r.keeper));
    fail_syncs(0);
    fl_files_twin_free(twin);
    rig_finish(&r);
}

static int silence(void **state)
{
    (void)state;
    fl_log_set_writer(quiet);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_share_a_log_that_the_disk_keeps),
        cmocka_unit_test(workers_share_a_log_that_the_kernel_keeps),
        cmocka_unit_test(commits_are_grouped_and_timed),
        cmocka_unit_test(many_records_make_a_checkpoint),
        cmocka_unit_test(os_commits_at_once),
        cmocka_unit_test(limits_are_said),
        cmocka_unit_test(other_key_opens_nothing),
        cmocka_unit_test(one_failed_sync_loses_nothing),
        cmocka_unit_test(disk_that_keeps_failing_is_told_to_all_and_nothing_is_committed),
        cmocka_unit_test(broken_keeper_takes_nothing),
    };
    return cmocka_run_group_tests(tests, silence, NULL);
}
