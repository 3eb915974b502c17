/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/outbox.h"

#include "base/assert.h"
#include "proto/outbox_disk.h"

#include <stdlib.h>

#define SEGMENT_MIN 256
#define SEGMENTS_MIN 4 /* that max_bytes must hold, so that dropping one always makes room */
#define RECORD_HEADER FL_OUTBOX_RECORD_HEADER_SIZE

struct segment {
    uint64_t first;
    uint64_t end;   /* one past its last record */
    uint64_t bytes; /* its size; where the next record goes in the last one */
};

/* Only the last segment is written to, and whatever is before it is on stable storage: a segment is
 * synced before the next one is begun. So after a crash only the last one can be torn. */
struct fl_outbox {
    struct fl_files files;
    uint64_t max_bytes;
    uint32_t segment_bytes;
    struct segment segments[FL_LIMIT_OUTBOX_SEGMENTS];
    size_t count;
    bool sealed; /* the last segment takes no more records */
    uint64_t bytes;
    uint64_t first;
    uint64_t durable;
    uint64_t durable_bytes; /* of the last segment */
    uint64_t next;
    uint64_t
        end; /* one past the newest record that is there: below `next` when numbers were given up */
    uint64_t oldest_end; /* the same, of what was before the oldest segment when it was opened */
    uint64_t dropped;
    uint64_t damaged;
    uint64_t torn_bytes;
    struct fl_outbox_slot noted; /* the newest slot written */
    struct fl_outbox_slot kept;  /* the newest slot known to be on stable storage */
    unsigned kept_at;            /* which of the two that is: the other is written next */
    struct fl_buffer scratch;
};

static struct segment *last_segment(struct fl_outbox *o)
{
    return o->count ? &o->segments[o->count - 1] : NULL;
}

static enum fl_error sync_name(struct fl_outbox *o, const char *name, struct fl_context *ctx)
{
    return o->files.sync(o->files.self, name, ctx);
}

static enum fl_error remove_segment_file(struct fl_outbox *o, uint64_t first,
                                         struct fl_context *ctx)
{
    char name[FL_OUTBOX_NAME_MAX];
    enum fl_error error = FL_OK;

    fl_outbox_name(name, first);
    error = o->files.remove(o->files.self, name, ctx);
    return error == FL_ENOTFOUND ? FL_OK : error;
}

/* --- the cursor file --- */

static bool is_noted(const struct fl_outbox *o, const struct fl_outbox_slot *slot)
{
    return slot->first == o->first && slot->dropped == o->dropped && slot->damaged == o->damaged;
}

/* Into the slot that is not the one known to be safe: whatever a crash does to it, one remains. */
static enum fl_error note_cursor(struct fl_outbox *o, struct fl_context *ctx)
{
    uint8_t bytes[FL_OUTBOX_SLOT_SIZE];
    struct fl_outbox_slot slot = {.generation = o->noted.generation + 1,
                                  .first = o->first,
                                  .dropped = o->dropped,
                                  .damaged = o->damaged};
    enum fl_error error = FL_OK;

    if (o->noted.generation > 0 && is_noted(o, &o->noted))
        return FL_OK;
    fl_outbox_slot_encode(&slot, bytes);
    error = o->files.write(o->files.self, FL_OUTBOX_CURSOR,
                           (uint64_t)(o->kept_at ^ 1) * FL_OUTBOX_SLOT_STEP,
                           fl_slice(bytes, sizeof bytes), ctx);
    if (error == FL_OK)
        o->noted = slot;
    return fl_fail_in(ctx, error, "outbox: note what is acknowledged");
}

static enum fl_error keep_cursor(struct fl_outbox *o, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (o->kept.generation > 0 && is_noted(o, &o->kept))
        return FL_OK;
    error = note_cursor(o, ctx);
    if (error != FL_OK)
        return error;
    error = sync_name(o, FL_OUTBOX_CURSOR, ctx);
    if (error != FL_OK) {
        /* Nobody knows what the disk has of it: write it again before relying on it. */
        o->noted.first = 0;
        return fl_fail_in(ctx, error, "outbox: keep what is acknowledged");
    }
    o->kept = o->noted;
    o->kept_at ^= 1;
    return FL_OK;
}

static enum fl_error load_cursor(struct fl_outbox *o, struct fl_context *ctx)
{
    uint8_t bytes[FL_OUTBOX_SLOT_SIZE];
    struct fl_outbox_slot slot = {0};
    enum fl_error error = FL_OK;

    o->kept_at = 1;
    for (unsigned i = 0; i < 2; i++) {
        size_t got = 0;
        error = o->files.read(o->files.self, FL_OUTBOX_CURSOR, (uint64_t)i * FL_OUTBOX_SLOT_STEP,
                              bytes, sizeof bytes, &got, ctx);
        if (error == FL_ENOTFOUND)
            return FL_OK;
        if (error != FL_OK)
            return fl_fail_in(ctx, error, "outbox: read what is acknowledged");
        if (got == sizeof bytes && fl_outbox_slot_decode(bytes, &slot) &&
            slot.generation > o->kept.generation) {
            o->kept = slot;
            o->kept_at = i;
        }
    }
    o->noted = o->kept;
    o->first = o->kept.first;
    o->dropped = o->kept.dropped;
    o->damaged = o->kept.damaged;
    /* After kill -9 the newest slot may be in the page cache only. */
    error = sync_name(o, FL_OUTBOX_CURSOR, ctx);
    return fl_fail_in(ctx, error, "outbox: keep what is acknowledged");
}

/* --- segments --- */

/* Removes the segments that owe nothing. First the cursor is made safe: without it a missing
 * segment would look like damage. */
static enum fl_error remove_done(struct fl_outbox *o, struct fl_context *ctx)
{
    size_t done = 0;
    enum fl_error error = FL_OK;

    while (done + 1 < o->count && o->segments[done].end <= o->first)
        done++;
    if (done == 0)
        return FL_OK;
    error = keep_cursor(o, ctx);
    for (size_t i = 0; i < done && error == FL_OK; i++) {
        error = remove_segment_file(o, o->segments[0].first, ctx);
        if (error != FL_OK)
            return fl_fail_in(ctx, error, "outbox: remove a segment");
        o->bytes -= o->segments[0].bytes;
        o->count--;
        memmove(o->segments, o->segments + 1, o->count * sizeof *o->segments);
    }
    return error;
}

/* The oldest segment, which is not the last, gives way; what it owed is counted. */
static enum fl_error drop_oldest(struct fl_outbox *o, struct fl_context *ctx)
{
    const struct segment *oldest = &o->segments[0];
    uint64_t from = oldest->first > o->first ? oldest->first : o->first;

    if (from < oldest->end)
        o->dropped += oldest->end - from;
    if (o->first < oldest->end) /* also when it is empty and begins behind a gap */
        o->first = oldest->end;
    return remove_done(o, ctx);
}

/* After a write or sync that failed: no byte is added to this segment any more, since what is
 * behind its end is unknown. One without records goes away, so that no two segments share a first
 * number. */
static void seal(struct fl_outbox *o)
{
    struct segment *last = last_segment(o);
    char name[FL_OUTBOX_NAME_MAX];

    fl_assert(last);
    o->sealed = true;
    fl_outbox_name(name, last->first);
    (void)o->files.truncate(o->files.self, name, last->bytes, NULL);
    if (last->first == last->end && remove_segment_file(o, last->first, NULL) == FL_OK) {
        o->bytes -= last->bytes;
        o->count--;
    }
}

static enum fl_error start_segment(struct fl_outbox *o, struct fl_context *ctx)
{
    struct segment *last = last_segment(o);
    struct fl_outbox_header header = {.first = o->next, .previous_end = last ? last->end : o->next};
    uint8_t bytes[FL_OUTBOX_HEADER_SIZE];
    char name[FL_OUTBOX_NAME_MAX];
    enum fl_error error = FL_OK;

    /* A file of this name is what is left of one that could not be written, nor removed. */
    error = remove_segment_file(o, header.first, ctx);
    if (error == FL_OK && last && last->first == header.first) {
        o->bytes -= last->bytes;
        o->count--;
    }
    if (error == FL_OK && o->count == FL_LIMIT_OUTBOX_SEGMENTS)
        error = drop_oldest(o, ctx);
    if (error != FL_OK)
        return fl_fail_in(ctx, error, "outbox: make room for a segment");
    fl_outbox_header_encode(&header, bytes);
    fl_outbox_name(name, header.first);
    error = o->files.write(o->files.self, name, 0, fl_slice(bytes, sizeof bytes), ctx);
    if (error != FL_OK) {
        (void)remove_segment_file(o, header.first, NULL);
        return fl_fail_in(ctx, error, "outbox: begin a segment");
    }
    o->segments[o->count++] =
        (struct segment){.first = o->next, .end = o->next, .bytes = sizeof bytes};
    o->bytes += sizeof bytes;
    o->durable_bytes = sizeof bytes;
    o->sealed = false;
    return FL_OK;
}

/* --- appending --- */

enum fl_error fl_outbox_sync(struct fl_outbox *o, struct fl_context *ctx)
{
    struct segment *last = last_segment(o);
    char name[FL_OUTBOX_NAME_MAX];
    enum fl_error error = FL_OK;

    if (o->durable == o->next)
        return FL_OK;
    fl_outbox_name(name, last->first);
    error = sync_name(o, name, ctx);
    if (error == FL_OK) {
        o->durable = o->next;
        o->durable_bytes = last->bytes;
        return FL_OK;
    }
    /* Numbers are not given twice, so the next segment begins behind the lost ones. */
    o->dropped += o->next - o->durable;
    if (o->first == o->durable)
        o->first = o->next;
    o->end = o->durable;
    last->end = o->durable;
    o->bytes -= last->bytes - o->durable_bytes;
    last->bytes = o->durable_bytes;
    o->durable = o->next;
    seal(o);
    return fl_fail_in(ctx, error, "outbox: sync");
}

static enum fl_error make_room(struct fl_outbox *o, uint64_t need, struct fl_context *ctx)
{
    struct segment *last = last_segment(o);
    enum fl_error error = FL_OK;

    if (!last || o->sealed || last->bytes + need > o->segment_bytes) {
        error = fl_outbox_sync(o, ctx);
        if (error == FL_OK)
            error = start_segment(o, ctx);
    }
    while (error == FL_OK && o->bytes + need > o->max_bytes && o->count > 1)
        error = drop_oldest(o, ctx);
    return error;
}

enum fl_error fl_outbox_append(struct fl_outbox *o, struct fl_slice record, uint64_t *sequence,
                               struct fl_context *ctx)
{
    uint8_t header[RECORD_HEADER];
    char name[FL_OUTBOX_NAME_MAX];
    struct segment *last = NULL;
    uint64_t need = RECORD_HEADER + record.size;
    enum fl_error error = FL_OK;

    if (record.size > FL_LIMIT_OUTBOX_RECORD || FL_OUTBOX_HEADER_SIZE + need > o->segment_bytes)
        return fl_fail(ctx, FL_ELIMIT, "outbox: a record of %zu bytes", record.size);
    fl_buffer_clear(&o->scratch);
    fl_outbox_record_encode(o->next, record, header);
    (void)fl_buffer_append(&o->scratch, header, sizeof header);
    (void)fl_buffer_append_slice(&o->scratch, record);
    if (o->scratch.failed)
        return fl_fail(ctx, FL_ENOMEM, "outbox: out of memory");
    error = make_room(o, need, ctx);
    if (error != FL_OK)
        return error;
    last = last_segment(o);
    /* A failed sync in make_room gives numbers up. */
    fl_assert(last && o->next == last->end);
    fl_outbox_name(name, last->first);
    error = o->files.write(o->files.self, name, last->bytes, fl_buffer_slice(&o->scratch), ctx);
    if (error != FL_OK) {
        error = fl_fail_in(ctx, error, "outbox: append");
        seal(o);
        return error;
    }
    last->bytes += need;
    o->bytes += need;
    last->end++;
    if (sequence)
        *sequence = o->next;
    o->next++;
    o->end = o->next;
    return FL_OK;
}

/* --- reading --- */

/* The storage lost the records of this segment from `sequence` on. */
static void count_damage(struct fl_outbox *o, struct segment *segment, uint64_t sequence)
{
    o->damaged += segment->end - sequence;
    segment->end = sequence;
    if (segment == last_segment(o)) {
        o->sealed = true;
        o->end = sequence;
        o->durable = o->next;
        o->durable_bytes = segment->bytes;
    }
}

static enum fl_error read_bytes(struct fl_outbox *o, const struct segment *segment, uint64_t offset,
                                void *to, size_t size, struct fl_context *ctx)
{
    char name[FL_OUTBOX_NAME_MAX];
    size_t got = 0;
    enum fl_error error = FL_OK;

    fl_outbox_name(name, segment->first);
    error = o->files.read(o->files.self, name, offset, to, size, &got, ctx);
    if (error == FL_ENOTFOUND || (error == FL_OK && got < size))
        return FL_EPARSE;
    return fl_fail_in(ctx, error, "outbox: read");
}

/* FL_EPARSE: there is no such valid record here. `*offset` moves behind it. */
static enum fl_error read_record(struct fl_outbox *o, const struct segment *segment,
                                 uint64_t sequence, uint64_t *offset, struct fl_buffer *record,
                                 struct fl_context *ctx)
{
    uint8_t header[RECORD_HEADER];
    uint32_t size = 0;
    uint8_t *to = NULL;
    enum fl_error error = read_bytes(o, segment, *offset, header, sizeof header, ctx);

    if (error != FL_OK)
        return error;
    size = fl_outbox_record_size(header);
    if (size > FL_LIMIT_OUTBOX_RECORD || fl_outbox_record_sequence(header) != sequence)
        return FL_EPARSE;
    fl_buffer_clear(record);
    to = fl_buffer_reserve(record, size ? size : 1);
    if (!to)
        return fl_fail(ctx, FL_ENOMEM, "outbox: no room for a record of %u bytes", size);
    error = read_bytes(o, segment, *offset + RECORD_HEADER, to, size, ctx);
    if (error != FL_OK)
        return error;
    if (!fl_outbox_record_valid(header, sequence, fl_slice(to, size)))
        return FL_EPARSE;
    fl_buffer_commit(record, size);
    *offset += RECORD_HEADER + size;
    return FL_OK;
}

/* Where record `sequence` of this segment begins, by walking over the headers before it. */
static enum fl_error find_offset(struct fl_outbox *o, const struct segment *segment,
                                 uint64_t sequence, uint64_t *offset, struct fl_context *ctx)
{
    uint8_t header[RECORD_HEADER];

    *offset = FL_OUTBOX_HEADER_SIZE;
    for (uint64_t at = segment->first; at < sequence; at++) {
        enum fl_error error = read_bytes(o, segment, *offset, header, sizeof header, ctx);
        if (error != FL_OK)
            return error;
        if (fl_outbox_record_sequence(header) != at)
            return FL_EPARSE;
        *offset += RECORD_HEADER + fl_outbox_record_size(header);
    }
    return FL_OK;
}

/* The first segment with a record of at least `*sequence`, which becomes that record's number. */
static struct segment *find_segment(struct fl_outbox *o, uint64_t *sequence)
{
    for (size_t i = 0; i < o->count; i++) {
        struct segment *segment = &o->segments[i];
        if (segment->end <= *sequence || segment->end == segment->first)
            continue;
        if (*sequence < segment->first)
            *sequence = segment->first;
        return segment;
    }
    return NULL;
}

enum fl_error fl_outbox_read(struct fl_outbox *o, struct fl_outbox_cursor *cursor,
                             uint64_t *sequence, struct fl_buffer *record, struct fl_context *ctx)
{
    for (;;) {
        uint64_t number = cursor->next > o->first ? cursor->next : o->first;
        struct segment *segment = find_segment(o, &number);
        uint64_t offset = cursor->offset;
        enum fl_error error = FL_OK;

        if (!segment || number >= o->durable)
            return FL_ENOTFOUND;
        if (cursor->segment != segment->first || cursor->next != number || offset == 0)
            error = find_offset(o, segment, number, &offset, ctx);
        if (error == FL_OK)
            error = read_record(o, segment, number, &offset, record, ctx);
        if (error == FL_EPARSE) {
            count_damage(o, segment, number);
            continue;
        }
        if (error != FL_OK)
            return error;
        *cursor = (struct fl_outbox_cursor){
            .next = number + 1, .segment = segment->first, .offset = offset};
        *sequence = number;
        return FL_OK;
    }
}

enum fl_error fl_outbox_acknowledge(struct fl_outbox *o, uint64_t sequence, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (sequence >= o->durable)
        sequence = o->durable - 1;
    if (sequence >= o->first)
        o->first = sequence + 1;
    error = note_cursor(o, ctx);
    if (error == FL_OK)
        error = remove_done(o, ctx);
    return error;
}

struct fl_outbox_stats fl_outbox_stats(const struct fl_outbox *o)
{
    return (struct fl_outbox_stats){
        .first = o->first,
        .durable = o->durable,
        .next = o->next,
        .bytes = o->bytes,
        .segments = o->count,
        .dropped = o->dropped,
        .damaged = o->damaged,
        .torn_bytes = o->torn_bytes,
    };
}

/* --- opening --- */

struct names {
    struct fl_outbox *outbox;
    bool too_many;
};

static void visit_name(void *to, const char *name)
{
    struct names *names = to;
    struct fl_outbox *o = names->outbox;
    uint64_t first = 0;

    if (!fl_outbox_name_parse(name, &first))
        return;
    if (o->count == FL_LIMIT_OUTBOX_SEGMENTS)
        names->too_many = true;
    else
        o->segments[o->count++].first = first; /* the names come in the order of the numbers */
}

static enum fl_error load_size(struct fl_outbox *o, struct segment *segment, struct fl_context *ctx)
{
    char name[FL_OUTBOX_NAME_MAX];
    enum fl_error error = FL_OK;

    fl_outbox_name(name, segment->first);
    error = o->files.size(o->files.self, name, &segment->bytes, ctx);
    return fl_fail_in(ctx, error, "outbox: size of a segment");
}

/* The header of segment `i`: it says where the one before ends. FL_EPARSE: it has none. */
static enum fl_error load_header(struct fl_outbox *o, size_t i, struct fl_context *ctx)
{
    struct segment *segment = &o->segments[i];
    struct fl_outbox_header header = {0};
    uint8_t bytes[FL_OUTBOX_HEADER_SIZE];
    uint64_t end = 0;
    enum fl_error error = read_bytes(o, segment, 0, bytes, sizeof bytes, ctx);

    if (error == FL_OK)
        error = fl_outbox_header_decode(bytes, &header);
    if (error == FL_EUNSUPPORTED)
        return fl_fail(ctx, error, "outbox: it was written by a newer version");
    if (error == FL_OK && header.first != segment->first)
        error = FL_EPARSE;
    if (error != FL_OK)
        return error;
    segment->end = segment->first;
    end = header.previous_end < segment->first ? header.previous_end : segment->first;
    if (i == 0)
        o->oldest_end = end;
    else
        o->segments[i - 1].end = end > o->segments[i - 1].first ? end : o->segments[i - 1].first;
    return FL_OK;
}

/* Without a valid header a segment was begun and not synced, or it is damaged. Its name says where
 * it begins, and each record proves itself, so it is read like the others but not written to. */
static enum fl_error load_headers(struct fl_outbox *o, struct fl_context *ctx)
{
    for (size_t i = 0; i < o->count; i++) {
        enum fl_error error = load_size(o, &o->segments[i], ctx);
        if (error == FL_OK)
            error = load_header(o, i, ctx);
        if (error == FL_EPARSE) {
            if (i == 0)
                o->oldest_end = o->segments[0].first;
            else
                o->segments[i - 1].end = o->segments[i].first;
            o->segments[i].end = o->segments[i].first;
            o->sealed = i + 1 == o->count;
        } else if (error != FL_OK) {
            return error;
        }
    }
    return FL_OK;
}

/* Cuts what a crash has torn off the last segment, and makes what is left as safe as it looks:
 * after kill -9 it may be in the page cache only. Then records can be added behind it. */
static enum fl_error recover_last(struct fl_outbox *o, struct fl_context *ctx)
{
    struct segment *last = &o->segments[o->count - 1];
    uint64_t offset = FL_OUTBOX_HEADER_SIZE;
    char name[FL_OUTBOX_NAME_MAX];
    enum fl_error error = FL_OK;

    last->end = last->first;
    while (error == FL_OK) {
        error = read_record(o, last, last->end, &offset, &o->scratch, ctx);
        last->end += error == FL_OK;
    }
    if (error != FL_EPARSE)
        return error;
    fl_outbox_name(name, last->first);
    error = FL_OK;
    if (last->bytes > offset) {
        o->torn_bytes += last->bytes - offset;
        error = o->files.truncate(o->files.self, name, offset, ctx);
    }
    last->bytes = offset;
    o->durable_bytes = offset;
    if (error == FL_OK)
        error = sync_name(o, name, ctx);
    return fl_fail_in(ctx, error, "outbox: recover");
}

static enum fl_error recover(struct fl_outbox *o, struct fl_context *ctx)
{
    struct names names = {.outbox = o};
    enum fl_error error = o->files.list(o->files.self, visit_name, &names, ctx);

    if (error != FL_OK)
        return fl_fail_in(ctx, error, "outbox: list the segments");
    if (names.too_many)
        return fl_fail(ctx, FL_ELIMIT, "outbox: more than %d segments", FL_LIMIT_OUTBOX_SEGMENTS);
    error = load_cursor(o, ctx);
    if (error == FL_OK)
        error = load_headers(o, ctx);
    if (error == FL_OK && o->count > 0)
        error = recover_last(o, ctx);
    if (error != FL_OK)
        return error;
    for (size_t i = 0; i < o->count; i++)
        o->bytes += o->segments[i].bytes;
    o->next = o->count ? o->segments[o->count - 1].end : 1;
    if (o->first == 0)
        o->first = o->count ? o->segments[0].first : 1;
    if (o->count && o->first < o->segments[0].first) {
        if (o->first < o->oldest_end)
            o->damaged += o->oldest_end - o->first;
        o->first = o->segments[0].first;
    }
    /* The numbers up to the cursor were given once: they are not given again. */
    o->end = o->next;
    if (o->next < o->first) {
        o->next = o->first;
        o->sealed = true;
        if (o->count == 0)
            o->end = o->next;
    }
    o->durable = o->next;
    error = keep_cursor(o, ctx);
    return error == FL_OK ? remove_done(o, ctx) : error;
}

enum fl_error fl_outbox_open(const struct fl_files *files, const struct fl_outbox_options *options,
                             struct fl_outbox **outbox, struct fl_context *ctx)
{
    struct fl_outbox *o = NULL;
    uint32_t segment_bytes = FL_LIMIT_OUTBOX_SEGMENT;
    uint64_t max_bytes = FL_LIMIT_OUTBOX_BYTES;
    enum fl_error error = FL_OK;

    *outbox = NULL;
    if (options && options->segment_bytes)
        segment_bytes = options->segment_bytes;
    if (options && options->max_bytes)
        max_bytes = options->max_bytes;
    if (segment_bytes < SEGMENT_MIN || segment_bytes > FL_LIMIT_OUTBOX_SEGMENT ||
        max_bytes > FL_LIMIT_OUTBOX_BYTES || max_bytes / SEGMENTS_MIN < segment_bytes)
        return fl_fail(ctx, FL_EINVAL,
                       "outbox: at most %llu bytes in segments of %u: expected segments from %d to "
                       "%d bytes, at least %d of them, together at most %d",
                       (unsigned long long)max_bytes, segment_bytes, SEGMENT_MIN,
                       FL_LIMIT_OUTBOX_SEGMENT, SEGMENTS_MIN, FL_LIMIT_OUTBOX_BYTES);
    o = calloc(1, sizeof *o);
    if (!o)
        return fl_fail(ctx, FL_ENOMEM, "outbox: out of memory");
    o->files = *files;
    o->segment_bytes = segment_bytes;
    o->max_bytes = max_bytes;
    fl_buffer_init(&o->scratch, RECORD_HEADER + FL_LIMIT_OUTBOX_RECORD);
    error = recover(o, ctx);
    if (error != FL_OK) {
        fl_buffer_free(&o->scratch);
        free(o);
        return error;
    }
    *outbox = o;
    return FL_OK;
}

void fl_outbox_close(struct fl_outbox *o)
{
    if (!o)
        return;
    (void)keep_cursor(o, NULL);
    fl_buffer_free(&o->scratch);
    free(o);
}
