/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "proto/issuance.h"
#include "test/twin/files_twin.h"
#include "trust/issued_chain.h"
#include "trust/key.h"

#include <stdio.h>
#include <stdlib.h>

#define SEGMENT 2048 /* a few records a file */
#define RECORDS_MAX 512

struct world {
    struct fl_files_twin *twin;
    struct fl_files files;
    struct fl_issuance *log;
    struct fl_issuance_tail tail;
    struct fl_context ctx;
    uint8_t hashes[RECORDS_MAX][FL_ISSUED_HASH]; /* of what was committed, by number */
    uint64_t committed;
};

static void begin(struct world *w, uint64_t seed)
{
    *w = (struct world){.twin = fl_files_twin_new(seed)};
    w->files = fl_files_twin_files(w->twin);
}

static enum fl_error open_log(struct world *w, bool read_only)
{
    struct fl_issuance_config config = {
        .files = w->files, .segment_bytes = SEGMENT, .read_only = read_only, .now = 1000};

    fl_issuance_free(w->log);
    return fl_issuance_open(&config, &w->log, &w->tail, &w->ctx);
}

static void end(struct world *w)
{
    fl_issuance_free(w->log);
    fl_files_twin_free(w->twin);
}

static enum fl_error add(struct world *w, const char *subject)
{
    static const uint8_t serial[16] = {0x40, 1, 2};
    struct fl_issued record = {.kind = FL_ISSUED_DEVICE,
                               .at = 1000 + (fl_time_t)fl_issuance_last(w->log),
                               .not_before = 1,
                               .not_after = 2,
                               .serial = fl_slice(serial, sizeof serial),
                               .subject = fl_slice_str(subject),
                               .reason = fl_slice_str("token")};

    return fl_issuance_add(w->log, &record, &w->ctx);
}

static enum fl_error add_and_commit(struct world *w, const char *subject)
{
    enum fl_error error = add(w, subject);
    uint64_t seq = fl_issuance_last(w->log);
    uint8_t head[FL_ISSUED_HASH];

    fl_issuance_head(w->log, head);
    if (error == FL_OK)
        error = fl_issuance_commit(w->log, &w->ctx);
    if (error == FL_OK) {
        memcpy(w->hashes[seq], head, sizeof head);
        w->committed = seq;
    }
    return error;
}

/* A log with so many records of cam-01. */
static void begin_with(struct world *w, int count)
{
    begin(w, 1);
    assert_ok(open_log(w, false));
    for (int i = 0; i < count; i++)
        assert_ok(add_and_commit(w, "cam-01"));
}

/* Reads all of it in pages of `max` octets. Returns the last number, 0 when reading failed. */
static uint64_t read_all(struct world *w, size_t max, struct fl_issued_chain *chain)
{
    struct fl_issuance_place place = {0};
    struct fl_buffer page = FL_BUFFER((size_t)64 * 1024);
    uint64_t last = 0;

    *chain = (struct fl_issued_chain){0};
    for (;;) {
        struct fl_slice in;
        struct fl_issued record;

        fl_buffer_clear(&page);
        if (fl_issuance_page(w->log, &place, &page, max, &w->ctx) != FL_OK) {
            last = 0;
            break;
        }
        in = fl_buffer_slice(&page);
        if (in.size == 0)
            break;
        assert_true(in.size <= max);
        while (in.size) {
            assert_ok(fl_issued_decode(&in, &record));
            assert_ok(fl_issued_follow(chain, &record, NULL, &w->ctx));
            last = record.seq;
        }
        assert_int_equal(place.after, last);
    }
    fl_buffer_free(&page);
    return last;
}

static void a_record_is_the_same_after_writing_and_reading(void **state)
{
    uint8_t serial[20] = {1};
    struct fl_issued in = {.kind = FL_ISSUED_REFUSED,
                           .seq = 7,
                           .batch = 3,
                           .at = 12345,
                           .error = FL_EDENIED,
                           .unrecorded = 4,
                           .not_before = -1,
                           .not_after = 99,
                           .serial = fl_slice(serial, sizeof serial),
                           .subject = fl_slice_str("cam-01"),
                           .reason = fl_slice_str("renewal"),
                           .text = fl_slice_str("weak key")};
    struct fl_issued out = {0};
    struct fl_buffer frame = FL_BUFFER(FL_ISSUED_MAX);
    struct fl_slice bytes;
    (void)state;

    in.sha256[31] = 9;
    in.key[0] = 8;
    in.prev[5] = 7;
    in.issuer[7] = 6;
    assert_ok(fl_issued_encode(&in, &frame));
    assert_int_equal(frame.size % FL_ISSUED_ALIGN, 0);
    for (size_t size = 0; size < frame.size; size++) {
        bytes = fl_slice(frame.data, size);
        assert_int_equal(fl_issued_decode(&bytes, &out), FL_EMORE);
    }
    for (size_t at = 0; at < frame.size; at++) {
        frame.data[at] ^= 1;
        bytes = fl_buffer_slice(&frame);
        assert_int_not_equal(fl_issued_decode(&bytes, &out), FL_OK);
        frame.data[at] ^= 1;
    }
    bytes = fl_buffer_slice(&frame);
    assert_ok(fl_issued_decode(&bytes, &out));
    assert_int_equal(bytes.size, 0);
    assert_int_equal(out.kind, in.kind);
    assert_int_equal(out.seq, 7);
    assert_int_equal(out.batch, 3);
    assert_int_equal(out.error, FL_EDENIED);
    assert_int_equal(out.unrecorded, 4);
    assert_int_equal(out.not_before, -1);
    assert_slice_equal(out.subject, "cam-01");
    assert_slice_equal(out.text, "weak key");
    assert_memory_equal(out.prev, in.prev, sizeof in.prev);
    assert_true(fl_slice_equal(out.serial, in.serial));
    fl_buffer_free(&frame);
}

static void fields_over_their_bounds_are_refused_and_leave_the_buffer_alone(void **state)
{
    static char longest[FL_LIMIT_HOST + 1];
    static char reason[FL_LIMIT_ISSUED_REASON];
    static char text[FL_LIMIT_ISSUED_TEXT];
    static uint8_t signature[FL_ISSUED_SIGNATURE];
    struct fl_issued record = {.kind = FL_ISSUED_REFUSED, .seq = 1};
    struct fl_buffer out = FL_BUFFER(FL_ISSUED_MAX);
    (void)state;

    memset(longest, 'a', sizeof longest);
    memset(reason, 'r', sizeof reason);
    memset(text, 't', sizeof text);
    record.subject = fl_slice(longest, sizeof longest);
    assert_int_equal(fl_issued_encode(&record, &out), FL_ELIMIT);
    assert_int_equal(out.size, 0);
    /* The largest that there may be fits into what is promised. */
    record.subject = fl_slice(longest, FL_LIMIT_HOST);
    record.reason = fl_slice(reason, sizeof reason);
    record.text = fl_slice(text, sizeof text);
    record.serial = fl_slice(signature, 20);
    record.signature = fl_slice(signature, sizeof signature);
    assert_ok(fl_issued_encode(&record, &out));
    assert_true(out.size <= FL_ISSUED_MAX);
    assert_int_equal(fl_issued_encode(&record, &out), FL_ELIMIT);
    assert_false(out.failed);
    fl_buffer_free(&out);
}

static void what_is_committed_is_read_back_in_pages_over_many_files(void **state)
{
    struct world w;
    struct fl_issued_chain chain;
    struct fl_issuance_place place = {.after = 3, .offset = 77};
    struct fl_buffer page = FL_BUFFER(65536);
    struct fl_issued record;
    struct fl_slice in;
    (void)state;

    begin(&w, 1);
    assert_ok(open_log(&w, false));
    assert_int_equal(read_all(&w, 4096, &chain), 0);
    for (int i = 0; i < 100; i++)
        assert_ok(add_and_commit(&w, "cam-01"));
    assert_true(fl_files_twin_count(w.twin) > 5);
    assert_ok(open_log(&w, false));
    assert_int_equal(fl_issuance_last(w.log), 100);
    assert_int_equal(w.tail.octets, 0);
    for (size_t max = FL_ISSUED_MAX; max <= 65536; max *= 4) {
        assert_int_equal(read_all(&w, max, &chain), 100);
        assert_int_equal(chain.first, 1);
    }
    /* A wrong guess of the offset finds the record all the same. */
    assert_ok(fl_issuance_page(w.log, &place, &page, 2048, &w.ctx));
    in = fl_buffer_slice(&page);
    assert_ok(fl_issued_decode(&in, &record));
    assert_int_equal(record.seq, 4);
    /* From a time on: files from before are passed over, nothing later is. */
    place = (struct fl_issuance_place){.since = 1000 + 90};
    fl_buffer_clear(&page);
    assert_ok(fl_issuance_page(w.log, &place, &page, 2048, &w.ctx));
    in = fl_buffer_slice(&page);
    assert_ok(fl_issued_decode(&in, &record));
    assert_in_range(record.seq, 80, 91);
    assert_in_range(fl_issuance_before(w.log, 1), 89, 99);
    assert_int_equal(fl_issuance_before(w.log, 1000), 0);
    fl_buffer_free(&page);
    end(&w);
}

static void what_is_not_committed_is_not_read(void **state)
{
    struct world w;
    struct fl_issued_chain chain;
    (void)state;

    begin(&w, 1);
    assert_ok(open_log(&w, false));
    assert_ok(add_and_commit(&w, "a"));
    assert_ok(add(&w, "b"));
    assert_int_equal(read_all(&w, 4096, &chain), 1);
    assert_ok(fl_issuance_commit(w.log, &w.ctx));
    assert_int_equal(read_all(&w, 4096, &chain), 2);
    end(&w);
}

static void a_batch_that_could_not_be_written_is_written_with_the_next(void **state)
{
    struct world w;
    struct fl_issued_chain chain;
    (void)state;

    begin(&w, 5);
    assert_ok(open_log(&w, false));
    assert_ok(add_and_commit(&w, "a"));
    assert_ok(add(&w, "b"));
    fl_files_twin_fail_syncs(w.twin, 1);
    assert_int_equal(fl_issuance_commit(w.log, &w.ctx), FL_EIO);
    assert_contains(w.ctx.text, "the issuance log cannot be written");
    assert_true(fl_issuance_is_behind(w.log));
    assert_ok(add_and_commit(&w, "c"));
    assert_false(fl_issuance_is_behind(w.log));
    fl_files_twin_restart(w.twin, FL_TWIN_POWER);
    assert_ok(open_log(&w, false));
    assert_int_equal(read_all(&w, 4096, &chain), 3);
    /* A full disk, which gets room again. */
    fl_files_twin_space(w.twin, 0);
    assert_ok(add(&w, "d"));
    assert_int_equal(fl_issuance_commit(w.log, &w.ctx), FL_EFULL);
    fl_files_twin_space(w.twin, UINT64_MAX);
    assert_ok(fl_issuance_commit(w.log, &w.ctx));
    assert_int_equal(read_all(&w, 4096, &chain), 4);
    end(&w);
}

static void a_batch_is_bounded(void **state)
{
    struct world w;
    int added = 0;
    (void)state;

    begin(&w, 1);
    assert_ok(open_log(&w, false));
    while (add(&w, "cam-01") == FL_OK)
        added++;
    assert_in_range(added, FL_LIMIT_ISSUED_PENDING / FL_ISSUED_MAX, FL_LIMIT_ISSUED_PENDING / 128);
    assert_contains(w.ctx.text, "no room");
    assert_ok(fl_issuance_commit(w.log, &w.ctx));
    assert_ok(add(&w, "cam-01"));
    end(&w);
}

/* --- damage --- */

static void damage_among_synced_records_is_an_error_that_names_the_place(void **state)
{
    struct world w;
    struct fl_issued_chain chain;
    (void)state;

    begin_with(&w, 5);
    fl_files_twin_rot(w.twin, "issued-0000000000000001.seg", 300);
    assert_int_equal(open_log(&w, false), FL_EIO);
    assert_contains(w.ctx.text, "issued-0000000000000001.seg: what was written at octet ");
    assert_contains(w.ctx.text, "is damaged");
    /* To look at, it opens, and says the same when it is read. */
    assert_ok(open_log(&w, true));
    assert_int_equal(read_all(&w, 65536, &chain), 0);
    assert_contains(w.ctx.text, "is damaged");
    end(&w);
}

static void damage_of_an_older_file_is_found_by_reading(void **state)
{
    struct world w;
    struct fl_issued_chain chain;
    (void)state;

    begin_with(&w, 40);
    fl_files_twin_rot(w.twin, "issued-0000000000000001.seg", 300);
    assert_ok(open_log(&w, false));
    assert_int_equal(read_all(&w, 65536, &chain), 0);
    assert_contains(w.ctx.text, "issued-0000000000000001.seg");
    end(&w);
}

static void the_oldest_files_may_be_archived(void **state)
{
    struct world w;
    struct fl_issued_chain chain;
    (void)state;

    begin_with(&w, 40);
    assert_ok(w.files.remove(w.files.self, "issued-0000000000000001.seg", NULL));
    assert_ok(open_log(&w, false));
    assert_int_equal(read_all(&w, 65536, &chain), 40);
    assert_true(chain.first > 1);
    assert_ok(add_and_commit(&w, "cam-01"));
    end(&w);
}

static void a_torn_tail_is_cut_and_the_log_says_so(void **state)
{
    struct world w;
    struct fl_issued_chain chain;
    uint8_t half[100] = {'F', 'L', 'I', '1', 200};
    uint64_t size = 0;
    (void)state;

    begin(&w, 1);
    assert_ok(open_log(&w, false));
    assert_ok(add_and_commit(&w, "cam-01"));
    assert_ok(w.files.size(w.files.self, "issued-0000000000000001.seg", &size, NULL));
    assert_ok(w.files.write(w.files.self, "issued-0000000000000001.seg", size,
                            fl_slice(half, sizeof half), NULL));
    assert_ok(open_log(&w, true));
    assert_int_equal(w.tail.octets, sizeof half);
    assert_int_equal(read_all(&w, 65536, &chain), 1);
    assert_ok(open_log(&w, false));
    assert_int_equal(w.tail.octets, sizeof half);
    assert_int_equal(read_all(&w, 65536, &chain), 2);
    assert_ok(open_log(&w, false));
    assert_int_equal(w.tail.octets, 0);
    end(&w);
}

/* --- crashes --- */

static void check_kept(struct world *w, const char *when)
{
    struct fl_issued_chain chain = {0};
    struct fl_issuance_place place = {0};
    struct fl_buffer page = FL_BUFFER((size_t)256 * 1024);

    for (;;) {
        struct fl_issued record;
        struct fl_slice in;

        fl_buffer_clear(&page);
        if (fl_issuance_page(w->log, &place, &page, 65536, &w->ctx) != FL_OK)
            fail_msg("%s: %s", when, w->ctx.text);
        in = fl_buffer_slice(&page);
        if (in.size == 0)
            break;
        while (in.size) {
            assert_ok(fl_issued_decode(&in, &record));
            assert_ok(fl_issued_follow(&chain, &record, NULL, &w->ctx));
            if (record.seq > w->committed) /* kept although nobody was told; from now on it stays */
                memcpy(w->hashes[record.seq], chain.head, FL_ISSUED_HASH);
            assert_memory_equal(chain.head, w->hashes[record.seq], FL_ISSUED_HASH);
        }
    }
    if (chain.seq < w->committed)
        fail_msg("%s: %llu records of %llu", when, (unsigned long long)chain.seq,
                 (unsigned long long)w->committed);
    w->committed = chain.seq;
    fl_buffer_free(&page);
}

/* Batches of one to three records, every record's hash known once it is committed. */
static void work(struct world *w, int batches)
{
    for (int i = 0; i < batches; i++) {
        uint8_t heads[3][FL_ISSUED_HASH];
        uint64_t first = fl_issuance_last(w->log) + 1;
        int count = 1 + i % 3;

        for (int k = 0; k < count; k++) {
            if (add(w, "cam-01") != FL_OK)
                return;
            fl_issuance_head(w->log, heads[k]);
        }
        if (fl_issuance_commit(w->log, &w->ctx) != FL_OK)
            return;
        for (int k = 0; k < count; k++)
            memcpy(w->hashes[first + (uint64_t)k], heads[k], FL_ISSUED_HASH);
        w->committed = first + (uint64_t)count - 1;
    }
}

static void crash_at(uint64_t seed, uint64_t at, enum fl_files_twin_crash kind, uint64_t *torn)
{
    struct world w;
    char when[80];

    begin(&w, seed * 7919 + at);
    (void)snprintf(when, sizeof when, "seed %llu change %llu", (unsigned long long)seed,
                   (unsigned long long)at);
    fl_files_twin_crash_at(w.twin, at);
    if (open_log(&w, false) == FL_OK)
        work(&w, 14);
    for (uint64_t again = 1;; again++) { /* and at every change of the recovery */
        bool opened = false;

        fl_files_twin_restart(w.twin, kind);
        fl_files_twin_crash_at(w.twin, again);
        opened = open_log(&w, false) == FL_OK;
        *torn += w.tail.octets > 0;
        if (opened)
            break;
        if (again > 20)
            fail_msg("%s: %s", when, w.ctx.text);
    }
    fl_files_twin_crash_at(w.twin, 0);
    check_kept(&w, when);
    work(&w, 6);
    assert_ok(open_log(&w, false));
    check_kept(&w, when);
    end(&w);
}

static void whatever_is_cut_off_what_was_committed_is_there(void **state)
{
    uint64_t torn = 0;
    (void)state;

    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct world w;
        uint64_t changes = 0;

        begin(&w, seed);
        (void)fl_files_twin_changes(w.twin);
        assert_ok(open_log(&w, false));
        work(&w, 14);
        changes = fl_files_twin_changes(w.twin);
        end(&w);
        for (uint64_t at = 1; at <= changes; at++) {
            crash_at(seed, at, FL_TWIN_POWER, &torn);
            crash_at(seed, at, FL_TWIN_KILL, &torn);
        }
    }
    assert_true(torn > 20);
}

/* --- the chain --- */

static void a_checkpoint_is_signed_by_the_issuing_key_over_what_is_before_it(void **state)
{
    struct fl_issued record = {.kind = FL_ISSUED_CHECKPOINT, .seq = 5, .at = 77, .prev = {1, 2, 3}};
    struct fl_issued_chain chain = {.seq = 4, .head = {1, 2, 3}};
    struct fl_issued_chain before = chain;
    uint8_t signature[FL_ISSUED_SIGNATURE];
    struct fl_context ctx = {0};
    EVP_PKEY *key = NULL;
    EVP_PKEY *other = NULL;
    (void)state;

    assert_ok(fl_key_generate(&key, NULL));
    assert_ok(fl_key_generate(&other, NULL));
    assert_ok(fl_issued_sign(key, &record, signature, NULL));
    record.signature = fl_slice(signature, sizeof signature);
    assert_int_equal(fl_issued_follow(&chain, &record, other, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "issuing key");
    assert_memory_equal(&chain, &before, sizeof chain);
    record.at++;
    assert_int_equal(fl_issued_follow(&chain, &record, key, &ctx), FL_EAUTH);
    record.at--;
    assert_ok(fl_issued_follow(&chain, &record, key, &ctx));
    assert_int_equal(chain.signed_seq, 5);
    chain = before;
    record.prev[0] = 9;
    assert_int_equal(fl_issued_follow(&chain, &record, key, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "hash of the record before");
    record.prev[0] = 1;
    record.seq = 6;
    assert_int_equal(fl_issued_follow(&chain, &record, key, &ctx), FL_EPARSE);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_the_same_after_writing_and_reading),
        cmocka_unit_test(fields_over_their_bounds_are_refused_and_leave_the_buffer_alone),
        cmocka_unit_test(what_is_committed_is_read_back_in_pages_over_many_files),
        cmocka_unit_test(what_is_not_committed_is_not_read),
        cmocka_unit_test(a_batch_that_could_not_be_written_is_written_with_the_next),
        cmocka_unit_test(a_batch_is_bounded),
        cmocka_unit_test(damage_among_synced_records_is_an_error_that_names_the_place),
        cmocka_unit_test(damage_of_an_older_file_is_found_by_reading),
        cmocka_unit_test(the_oldest_files_may_be_archived),
        cmocka_unit_test(a_torn_tail_is_cut_and_the_log_says_so),
        cmocka_unit_test(whatever_is_cut_off_what_was_committed_is_there),
        cmocka_unit_test(a_checkpoint_is_signed_by_the_issuing_key_over_what_is_before_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
