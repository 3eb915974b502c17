/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as what lies in a log's folder, mixed with its use, damage, faults and crashes: each
 * input is a list of steps. Whatever is found on disk, opening does not crash, positions ascend,
 * and only what was once appended comes back, unchanged.
 */
#include "proto/journal_disk.h"
#include "test/twin/files_twin.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 120
#define BLOCKS_MAX 512

struct run {
    struct fl_slice in;
    struct fl_files_twin *twin;
    struct fl_files files;
    struct fl_random random;
    struct fl_journal *journal;
    uint32_t sizes[BLOCKS_MAX]; /* of what was handed in, by its number */
    uint32_t count;
    uint64_t seed;
    uint64_t last;
    uint64_t refused;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static uint8_t take(struct run *r)
{
    uint8_t byte = 0;

    if (r->in.size > 0) {
        byte = r->in.data[0];
        r->in = fl_slice_from(r->in, 1);
    }
    return byte;
}

static struct fl_slice take_bytes(struct run *r)
{
    size_t size = take(r);
    struct fl_slice bytes = fl_slice(r->in.data, size < r->in.size ? size : r->in.size);

    r->in = fl_slice_from(r->in, bytes.size);
    return bytes;
}

static void fill(void *self, void *to, size_t size)
{
    struct run *r = self;

    for (size_t i = 0; i < size; i++) {
        r->seed = r->seed * 6364136223846793005U + 1442695040888963407U;
        ((uint8_t *)to)[i] = (uint8_t)(r->seed >> 56);
    }
}

/* Blocks carry their number and a filler that follows from it. */
static void append(struct run *r)
{
    uint8_t bytes[4 + 255 * 16];
    uint32_t size = 4 + take(r) * 16U;

    if (r->count == BLOCKS_MAX)
        return;
    memcpy(bytes, &r->count, 4);
    memset(bytes + 4, (int)(r->count & 0xFF), size - 4);
    r->sizes[r->count++] = size;
    r->refused += fl_journal_append(r->journal, fl_slice(bytes, size), NULL, NULL) != FL_OK;
}

static enum fl_error visit(void *self, struct fl_slice records, uint64_t position,
                           struct fl_context *ctx)
{
    struct run *r = self;
    uint32_t number = 0;

    (void)ctx;
    require(position > r->last);
    r->last = position;
    require(records.size >= 4);
    memcpy(&number, records.data, 4);
    require(number < r->count && records.size == r->sizes[number]);
    for (size_t i = 4; i < records.size; i++)
        require(records.data[i] == (number & 0xFF));
    return FL_OK;
}

static void reopen(struct run *r, uint8_t how)
{
    struct fl_journal_config config = {.files = &r->files,
                                       .random = &r->random,
                                       .segment_bytes = FL_JOURNAL_SEGMENT_MIN,
                                       .max_bytes = 10 * FL_JOURNAL_SEGMENT_MIN,
                                       .retain = how & 1};

    fl_journal_close(r->journal);
    r->journal = NULL;
    if (how & 2)
        fl_files_twin_restart(r->twin, how & 4 ? FL_TWIN_POWER : FL_TWIN_KILL);
    r->last = 0;
    if (fl_journal_open(&config, &r->journal, NULL) != FL_OK)
        return;
    require(fl_journal_replay(r->journal, visit, r, NULL) == FL_OK);
    require(r->last <= fl_journal_stats(r->journal).last);
}

static void damage(struct run *r)
{
    char name[FL_JOURNAL_NAME_MAX];
    uint64_t size = 0;
    uint64_t offset = 0;

    fl_journal_name(name, 1U + take(r) % 16);
    offset = (uint64_t)take(r) << 8 | take(r);
    if (r->files.size(r->files.self, name, &size, NULL) != FL_OK || offset >= size)
        return;
    switch (take(r) % 4) {
    case 0:
        (void)r->files.truncate(r->files.self, name, offset, NULL);
        break;
    case 1:
        (void)r->files.remove(r->files.self, name, NULL);
        break;
    case 2:
        (void)r->files.write(r->files.self, name, offset, take_bytes(r), NULL);
        break;
    default:
        fl_files_twin_rot(r->twin, name, offset);
        break;
    }
}

/* A header, and a block header that is valid for it, by someone without the key. */
static void forge(struct run *r)
{
    struct fl_journal_header header = {
        .sequence = 1U + take(r) % 16, .base = take(r), .base_block = take(r), .first = take(r)};
    struct fl_journal_block block = {.size = take(r) * 64U,
                                     .kind = take(r),
                                     .number = (uint64_t)take(r) << (take(r) % 57),
                                     .durable = (uint64_t)take(r) << (take(r) % 57)};
    char name[FL_JOURNAL_NAME_MAX];
    uint8_t bytes[FL_JOURNAL_HEADER_SIZE];
    uint8_t old[FL_JOURNAL_HEADER_SIZE] = {0};
    uint64_t offset = FL_JOURNAL_DATA + FL_JOURNAL_ALIGN * (uint64_t)take(r);
    size_t got = 0;

    fl_journal_name(name, header.sequence);
    if (take(r) % 2) {
        fl_journal_header_encode(&header, bytes);
        (void)r->files.write(r->files.self, name, 0, fl_slice(bytes, sizeof bytes), NULL);
    } else if (r->files.read(r->files.self, name, 0, old, sizeof old, &got, NULL) != FL_OK ||
               fl_journal_header_decode(old, &header) != FL_OK) {
        return;
    }
    fl_journal_block_encode(&block, &header, bytes);
    (void)r->files.write(r->files.self, name, offset, fl_slice(bytes, FL_JOURNAL_BLOCK_HEADER),
                         NULL);
}

static void step(struct run *r)
{
    uint8_t what = take(r);
    struct fl_journal_chore chore;

    if (!r->journal || what % 16 == 0) {
        reopen(r, take(r));
        if (!r->journal)
            damage(r);
        return;
    }
    switch (what % 16) {
    case 1:
        damage(r);
        break;
    case 2:
        forge(r);
        break;
    case 3:
        r->refused += fl_journal_sync(r->journal, NULL) != FL_OK;
        break;
    case 4:
        r->refused += fl_journal_checkpoint_begin(r->journal, NULL) != FL_OK;
        break;
    case 5:
        r->refused += fl_journal_checkpoint_end(r->journal, NULL, NULL) != FL_OK;
        break;
    case 6:
        if (fl_journal_chore(r->journal, &chore))
            fl_journal_chore_done(r->journal, &chore,
                                  fl_journal_chore_run(&r->files, &chore, NULL));
        break;
    case 7:
        fl_files_twin_fail_syncs(r->twin, take(r) % 3);
        break;
    case 8:
        fl_files_twin_space(r->twin, take(r) < 128 ? take(r) * 1024U : UINT64_MAX);
        break;
    case 9:
        fl_files_twin_crash_at(r->twin, take(r) % 8);
        break;
    default:
        append(r);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run r = {.in = fl_slice(data, size), .seed = 1};

    r.twin = fl_files_twin_new(1 + take(&r));
    r.files = fl_files_twin_files(r.twin);
    r.random = (struct fl_random){.fill = fill, .self = &r};
    reopen(&r, take(&r));
    for (int i = 0; i < STEPS_MAX && r.in.size > 0; i++)
        step(&r);
    fl_files_twin_crash_at(r.twin, 0);
    fl_files_twin_fail_syncs(r.twin, 0);
    reopen(&r, 2);
    fl_journal_close(r.journal);
    fl_files_twin_free(r.twin);
    return 0;
}
