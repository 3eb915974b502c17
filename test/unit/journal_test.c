/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/journal_model.h"

#include "base/crc32c.h"

static void begin(struct model *m)
{
    if (model_open(m) != FL_OK)
        fail_msg("%s", context.text);
    model_judge(m, 0);
}

static uint64_t append(struct model *m, size_t size, uint8_t what)
{
    uint8_t *bytes = malloc(size ? size : 1);
    uint64_t position = 0;

    assert_non_null(bytes);
    memset(bytes, what, size);
    if (fl_journal_append(m->journal, fl_slice(bytes, size), &position, &context) != FL_OK)
        fail_msg("%s", context.text);
    free(bytes);
    return position;
}

/* Positions that were replayed, and the first byte of each. */
struct seen {
    uint64_t positions[512];
    uint8_t first[512];
    size_t count;
};

static enum fl_error see(void *self, struct fl_slice records, uint64_t position,
                         struct fl_context *ctx)
{
    struct seen *seen = self;

    (void)ctx;
    assert_true(seen->count < 512);
    seen->positions[seen->count] = position;
    seen->first[seen->count++] = records.size ? records.data[0] : 0;
    return FL_OK;
}

static void again(struct model *m, struct seen *seen)
{
    fl_journal_close(m->journal);
    m->journal = NULL;
    memset(seen, 0, sizeof *seen);
    if (model_open(m) != FL_OK || fl_journal_replay(m->journal, see, seen, &context) != FL_OK)
        fail_msg("%s", context.text);
}

static void what_is_appended_is_replayed_in_order(void **state)
{
    struct model m;
    struct seen seen;
    (void)state;

    model_start(&m, 1, 1, 12, true);
    begin(&m);
    for (uint8_t i = 0; i < 40; i++)
        assert_int_equal(append(&m, i * 61U, (uint8_t)(i + 1)), i + 1U);
    again(&m, &seen);
    assert_int_equal(seen.count, 40);
    for (uint8_t i = 0; i < 40; i++) {
        assert_int_equal(seen.positions[i], i + 1U);
        assert_int_equal(seen.first[i], i ? i + 1 : 0);
    }
    assert_int_equal(append(&m, 5, 1), 41);
    model_finish(&m);
}

static void nothing_is_readable_on_disk(void **state)
{
    struct model m;
    uint8_t *bytes = calloc(1, MODEL_SEGMENT);
    size_t got = 0;
    size_t same = 0;
    (void)state;

    assert_non_null(bytes);
    model_start(&m, 1, 1, 12, true);
    begin(&m);
    (void)append(&m, 3000, 0x77);
    assert_ok(m.files.read(m.files.self, "log-0000000000000001.seg", 0, bytes, MODEL_SEGMENT, &got,
                           &context));
    assert_int_equal(got, MODEL_SEGMENT);
    for (size_t i = 0; i < got; i++)
        same += bytes[i] == 0x77;
    assert_true(same < 100);
    free(bytes);
    model_finish(&m);
}

static void limits_are_reached_and_said(void **state)
{
    struct model m;
    struct fl_journal *none = NULL;
    uint8_t *bytes = calloc(1, MODEL_SEGMENT);
    size_t most = 0;
    (void)state;

    assert_non_null(bytes);
    model_start(&m, 1, 1, 12, true);
    m.config.max_bytes = 5 * MODEL_SEGMENT;
    assert_int_equal(fl_journal_open(&m.config, &none, &context), FL_EINVAL);
    m.config.max_bytes = 12 * MODEL_SEGMENT;
    m.config.segment_bytes = MODEL_SEGMENT + 1;
    assert_int_equal(fl_journal_open(&m.config, &none, &context), FL_EINVAL);
    m.config.segment_bytes = MODEL_SEGMENT;
    assert_ok(model_open(&m));
    assert_int_equal(fl_journal_append(m.journal, fl_slice("x", 1), NULL, &context), FL_ESTATE);
    model_judge(&m, 0);
    assert_int_equal(fl_journal_replay(m.journal, model_visit, &m, &context), FL_ESTATE);
    most = fl_journal_append_max(m.journal);
    assert_ok(fl_journal_append(m.journal, fl_slice(bytes, most), NULL, &context));
    assert_int_equal(fl_journal_append(m.journal, fl_slice(bytes, most + 1), NULL, &context),
                     FL_ELIMIT);
    assert_int_equal(fl_journal_checkpoint_end(m.journal, NULL, &context), FL_ESTATE);
    free(bytes);
    model_finish(&m);
}

static void unsynced_bytes_in_memory_are_bounded(void **state)
{
    struct model m;
    uint64_t before = 0;
    enum fl_error error = FL_OK;
    uint8_t *bytes = calloc(1, 1 << 20);
    (void)state;

    assert_non_null(bytes);
    model_start(&m, 1, 1, 12, true);
    m.config.segment_bytes = 2 << 20;
    m.config.max_bytes = (uint64_t)400 << 20;
    begin(&m);
    while (error == FL_OK) {
        before = fl_journal_stats(m.journal).retained;
        error = fl_journal_append(m.journal, fl_slice(bytes, 1 << 20), NULL, &context);
    }
    assert_int_equal(error, FL_EBUSY);
    assert_true(before <= FL_LIMIT_JOURNAL_RETAINED && before > FL_LIMIT_JOURNAL_RETAINED / 2);
    assert_ok(fl_journal_sync(m.journal, &context));
    assert_int_equal(fl_journal_stats(m.journal).retained, 0);
    assert_ok(fl_journal_append(m.journal, fl_slice(bytes, 1 << 20), NULL, &context));
    free(bytes);
    model_finish(&m);
}

static void other_key_changes_nothing(void **state)
{
    struct model m;
    struct seen seen;
    struct fl_journal *none = NULL;
    (void)state;

    model_start(&m, 1, 1, 12, true);
    begin(&m);
    (void)append(&m, 100, 1);
    assert_ok(fl_journal_sync(m.journal, &context));
    fl_journal_close(m.journal);
    m.journal = NULL;
    m.config.key[31] ^= 1;
    assert_int_equal(fl_journal_open(&m.config, &none, &context), FL_EAUTH);
    assert_null(none);
    assert_contains(context.text, "written with another key");
    m.config.key[31] ^= 1;
    again(&m, &seen);
    assert_int_equal(seen.count, 1);
    model_finish(&m);
}

static void newer_version_is_refused(void **state)
{
    struct model m;
    struct fl_journal_header header = {.sequence = 3};
    uint8_t bytes[FL_JOURNAL_HEADER_SIZE];
    struct fl_journal *none = NULL;
    uint32_t crc = 0;
    (void)state;

    model_start(&m, 1, 1, 12, true);
    fl_journal_header_encode(&header, bytes);
    bytes[7] = '2';
    crc = fl_crc32c(0, fl_slice(bytes, FL_JOURNAL_HEADER_SIZE - 4));
    for (size_t i = 0; i < 4; i++)
        bytes[FL_JOURNAL_HEADER_SIZE - 4 + i] = (uint8_t)(crc >> (8 * i));
    assert_ok(m.files.write(m.files.self, "log-0000000000000003.seg", 0,
                            fl_slice(bytes, sizeof bytes), &context));
    assert_int_equal(fl_journal_open(&m.config, &none, &context), FL_EUNSUPPORTED);
    assert_contains(context.text, "newer program");
    model_finish(&m);
}

/* Synced, then a bit rots: exactly that block is lost, it is said where, the rest is replayed. */
static void damage_is_placed_and_loses_one_block(void **state)
{
    struct fl_journal_stats stats;
    struct model m;
    struct seen seen;
    (void)state;

    for (uint64_t offset = FL_JOURNAL_DATA + 3; offset < FL_JOURNAL_DATA + 5 * 1056; offset += 97) {
        model_start(&m, 1, 1, 12, true);
        begin(&m);
        for (uint8_t i = 0; i < 7; i++)
            (void)append(&m, 1008, (uint8_t)(i + 1));
        assert_int_equal(fl_journal_block_size(1008), 1056);
        assert_ok(fl_journal_sync(m.journal, &context));
        assert_ok(fl_journal_note(m.journal, &context));
        assert_ok(fl_journal_sync(m.journal, &context));
        fl_files_twin_rot(m.twin, "log-0000000000000001.seg", offset);
        again(&m, &seen);
        stats = fl_journal_stats(m.journal);
        assert_int_equal(seen.count, 6);
        assert_int_equal(stats.damaged, 1);
        assert_int_equal(stats.place_count, 1);
        assert_string_equal(stats.places[0].name, "log-0000000000000001.seg");
        assert_int_equal(stats.places[0].offset, offset - (offset - FL_JOURNAL_DATA) % 1056);
        assert_int_equal(stats.places[0].first, 1 + (offset - FL_JOURNAL_DATA) / 1056);
        assert_int_equal(stats.places[0].next, stats.places[0].first + 1);
        assert_int_equal(append(&m, 5, 1), 9);
        model_finish(&m);
    }
}

static void one_copy_of_a_header_is_enough(void **state)
{
    struct model m;
    struct seen seen;
    (void)state;

    for (uint64_t at = 0; at <= FL_JOURNAL_HEADER_STEP; at += FL_JOURNAL_HEADER_STEP) {
        model_start(&m, 1, 1, 12, true);
        begin(&m);
        (void)append(&m, 100, 1);
        assert_ok(fl_journal_sync(m.journal, &context));
        fl_files_twin_rot(m.twin, "log-0000000000000001.seg", at + 50);
        again(&m, &seen);
        assert_int_equal(seen.count, 1);
        assert_int_equal(fl_journal_stats(m.journal).unreadable, 0);
        model_finish(&m);
    }
}

static void missing_segment_is_damage_that_is_told(void **state)
{
    struct fl_journal_stats stats;
    struct model m;
    struct seen seen;
    (void)state;

    model_start(&m, 1, 1, 12, true);
    begin(&m);
    for (uint8_t i = 0; i < 20; i++)
        (void)append(&m, 2000, (uint8_t)(i + 1));
    assert_ok(fl_journal_sync(m.journal, &context));
    assert_ok(fl_journal_note(m.journal, &context));
    assert_ok(m.files.remove(m.files.self, "log-0000000000000002.seg", &context));
    again(&m, &seen);
    stats = fl_journal_stats(m.journal);
    assert_int_equal(stats.damaged, 20 - seen.count);
    assert_true(stats.damaged > 0);
    assert_string_equal(stats.places[0].name, "log-0000000000000001.seg");
    model_finish(&m);
}

static void checkpoint_frees_what_is_before_it_once_it_is_durable(void **state)
{
    struct model m;
    struct seen seen;
    uint64_t base = 0;
    (void)state;

    model_start(&m, 1, 1, 12, true);
    begin(&m);
    for (uint8_t i = 0; i < 12; i++)
        (void)append(&m, 2000, 1);
    assert_ok(fl_journal_checkpoint_begin(m.journal, &context));
    (void)append(&m, 100, 2);
    assert_ok(fl_journal_checkpoint_end(m.journal, NULL, &context));
    base = fl_journal_stats(m.journal).base;
    assert_int_equal(fl_journal_stats(m.journal).free, 0);
    assert_ok(fl_journal_sync(m.journal, &context));
    assert_true(fl_journal_stats(m.journal).free > 1);
    assert_true(fl_journal_stats(m.journal).base > base);
    again(&m, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.first[0], 2);
    model_finish(&m);
}

static void long_log_wants_a_checkpoint(void **state)
{
    struct model m;
    (void)state;

    model_start(&m, 1, 1, 100, true);
    begin(&m);
    assert_false(fl_journal_wants_checkpoint(m.journal));
    while (fl_journal_stats(m.journal).since_checkpoint <= 4 * MODEL_SEGMENT) {
        assert_false(fl_journal_wants_checkpoint(m.journal));
        (void)append(&m, 2000, 1);
    }
    assert_true(fl_journal_wants_checkpoint(m.journal));
    assert_ok(fl_journal_checkpoint_begin(m.journal, &context));
    assert_false(fl_journal_wants_checkpoint(m.journal));
    fl_journal_checkpoint_drop(m.journal);
    assert_true(fl_journal_wants_checkpoint(m.journal));
    model_finish(&m);
}

/* Without `retain`, a failed sync asks for a checkpoint and nothing counts as durable before it. */
static void failed_sync_without_retain_wants_everything_elsewhere(void **state)
{
    struct model m;
    uint64_t durable = 0;
    (void)state;

    model_start(&m, 1, 1, 30, false);
    begin(&m);
    (void)append(&m, 2000, 1);
    fl_files_twin_fail_syncs(m.twin, 1);
    assert_int_equal(fl_journal_sync(m.journal, &context), FL_EIO);
    assert_true(fl_journal_wants_checkpoint(m.journal));
    durable = fl_journal_stats(m.journal).durable;
    (void)append(&m, 2000, 1);
    assert_ok(fl_journal_sync(m.journal, &context));
    assert_int_equal(fl_journal_stats(m.journal).durable, durable);
    assert_ok(fl_journal_checkpoint_begin(m.journal, &context));
    (void)append(&m, 100, 2);
    assert_ok(fl_journal_checkpoint_end(m.journal, NULL, &context));
    assert_ok(fl_journal_sync(m.journal, &context));
    assert_int_equal(fl_journal_stats(m.journal).durable, fl_journal_stats(m.journal).last);
    assert_false(fl_journal_wants_checkpoint(m.journal));
    model_finish(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_replayed_in_order),
        cmocka_unit_test(nothing_is_readable_on_disk),
        cmocka_unit_test(limits_are_reached_and_said),
        cmocka_unit_test(unsynced_bytes_in_memory_are_bounded),
        cmocka_unit_test(other_key_changes_nothing),
        cmocka_unit_test(newer_version_is_refused),
        cmocka_unit_test(damage_is_placed_and_loses_one_block),
        cmocka_unit_test(one_copy_of_a_header_is_enough),
        cmocka_unit_test(missing_segment_is_damage_that_is_told),
        cmocka_unit_test(checkpoint_frees_what_is_before_it_once_it_is_durable),
        cmocka_unit_test(long_log_wants_a_checkpoint),
        cmocka_unit_test(failed_sync_without_retain_wants_everything_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
