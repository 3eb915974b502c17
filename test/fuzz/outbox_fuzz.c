/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as what lies in an outbox's folder, mixed with its use, crashes and faults: each input
 * is a list of steps. Whatever is found on disk, reading gives ascending numbers within the bounds
 * the outbox states, opening does not crash, and what is appended and synced can be read.
 */
#include "base/limits.h"
#include "proto/outbox.h"
#include "proto/outbox_disk.h"
#include "test/twin/files_twin.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 200

struct run {
    struct fl_slice in;
    struct fl_files_twin *twin;
    struct fl_files files;
    struct fl_outbox *outbox;
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

static void put(struct run *r, const char *name, uint64_t offset, struct fl_slice bytes)
{
    (void)r->files.write(r->files.self, name, offset, bytes, NULL);
}

static void put_header(struct run *r, const char *name, uint64_t first)
{
    struct fl_outbox_header header = {.first = first, .previous_end = take(r)};
    uint8_t bytes[FL_OUTBOX_HEADER_SIZE];

    fl_outbox_header_encode(&header, bytes);
    put(r, name, 0, fl_slice(bytes, sizeof bytes));
}

static void put_record(struct run *r, const char *name)
{
    uint8_t header[FL_OUTBOX_RECORD_HEADER_SIZE];
    uint64_t sequence = take(r);
    uint64_t offset = 0;
    struct fl_slice contents = take_bytes(r);

    (void)r->files.size(r->files.self, name, &offset, NULL);
    fl_outbox_record_encode(sequence, contents, header);
    put(r, name, offset, fl_slice(header, sizeof header));
    put(r, name, offset + sizeof header, contents);
}

static void put_slot(struct run *r)
{
    struct fl_outbox_slot slot = {.generation = take(r), .first = take(r), .dropped = take(r)};
    uint8_t bytes[FL_OUTBOX_SLOT_SIZE];

    fl_outbox_slot_encode(&slot, bytes);
    put(r, FL_OUTBOX_CURSOR, take(r) % 2 ? FL_OUTBOX_SLOT_STEP : 0, fl_slice(bytes, sizeof bytes));
}

static void change_disk(struct run *r)
{
    uint8_t what = take(r);
    uint64_t first = 1 + what / 16;
    char name[FL_OUTBOX_NAME_MAX];

    fl_outbox_name(name, first);
    switch (what % 6) {
    case 0:
        put_header(r, name, first);
        break;
    case 1:
        put_record(r, name);
        break;
    case 2:
        put_slot(r);
        break;
    case 3: {
        uint64_t offset = take(r);
        put(r, what & 64 ? FL_OUTBOX_CURSOR : name, offset, take_bytes(r));
        break;
    }
    case 4:
        (void)r->files.truncate(r->files.self, name, take(r), NULL);
        break;
    default:
        (void)r->files.remove(r->files.self, name, NULL);
        break;
    }
}

static void read_some(struct run *r, unsigned count)
{
    struct fl_outbox_cursor cursor = {.next = take(r) % 8};
    struct fl_buffer record = FL_BUFFER(FL_LIMIT_OUTBOX_RECORD);
    uint64_t last = 0;
    uint64_t sequence = 0;

    for (unsigned i = 0; i < count; i++) {
        struct fl_outbox_stats stats;
        if (fl_outbox_read(r->outbox, &cursor, &sequence, &record, NULL) != FL_OK)
            break;
        stats = fl_outbox_stats(r->outbox);
        require(sequence > last && sequence >= stats.first && sequence < stats.durable);
        last = sequence;
    }
    fl_buffer_free(&record);
}

/* A record that was appended and synced is the last one to be read. */
static void append_and_look(struct run *r)
{
    struct fl_buffer record = FL_BUFFER(FL_LIMIT_OUTBOX_RECORD);
    struct fl_outbox_cursor cursor = {0};
    struct fl_slice bytes = take_bytes(r);
    uint64_t sequence = 0;
    uint64_t found = 0;

    if (fl_outbox_append(r->outbox, bytes, &sequence, NULL) == FL_OK &&
        fl_outbox_sync(r->outbox, NULL) == FL_OK) {
        cursor.next = sequence;
        require(fl_outbox_read(r->outbox, &cursor, &found, &record, NULL) == FL_OK);
        require(found == sequence && fl_slice_equal(fl_buffer_slice(&record), bytes));
        require(fl_outbox_read(r->outbox, &cursor, &found, &record, NULL) == FL_ENOTFOUND);
    }
    fl_buffer_free(&record);
}

static void use(struct run *r, uint8_t step)
{
    struct fl_outbox_stats stats;

    switch (step % 8) {
    case 0:
        append_and_look(r);
        break;
    case 1:
        (void)!fl_outbox_append(r->outbox, take_bytes(r), NULL, NULL);
        break;
    case 2:
        (void)!fl_outbox_sync(r->outbox, NULL);
        break;
    case 3:
        read_some(r, take(r));
        break;
    case 4:
        (void)!fl_outbox_acknowledge(r->outbox, take(r), NULL);
        break;
    case 5:
        fl_files_twin_space(r->twin, step & 64 ? UINT64_MAX : 100U * take(r));
        break;
    case 6:
        fl_files_twin_fail_syncs(r->twin, step & 64 ? 1 : 0);
        break;
    default:
        fl_outbox_close(r->outbox);
        r->outbox = NULL;
        if (step & 64)
            fl_files_twin_restart(r->twin, step & 128 ? FL_TWIN_POWER : FL_TWIN_KILL);
        return;
    }
    stats = fl_outbox_stats(r->outbox);
    require(stats.first <= stats.durable && stats.durable <= stats.next);
    require(stats.segments <= FL_LIMIT_OUTBOX_SEGMENTS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run r = {.in = fl_slice(data, size)};
    const struct fl_outbox_options options = {.max_bytes = 2048, .segment_bytes = 512};

    r.twin = fl_files_twin_new(size + 1);
    r.files = fl_files_twin_files(r.twin);
    for (int i = 0; i < STEPS_MAX && r.in.size > 0; i++) {
        uint8_t step = take(&r);
        if (r.outbox)
            use(&r, step);
        else if (step % 4 > 0)
            change_disk(&r);
        else if (fl_outbox_open(&r.files, &options, &r.outbox, NULL) != FL_OK)
            require(!r.outbox);
    }
    fl_outbox_close(r.outbox);
    fl_files_twin_free(r.twin);
    return 0;
}
