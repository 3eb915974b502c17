/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/outbox_model.h"

#include "base/crc32c.h"
#include "io/files.h"
#include "proto/outbox_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
