/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/issuance.h"

#include "proto/segment.h"
#include "trust/issued_chain.h"

#include <stdlib.h>

#define PREFIX "issued-"

/* A batch is not split over files, so one may be over the bound by as much. */
enum { FILE_MAX = FL_LIMIT_ISSUED_SEGMENT + FL_LIMIT_ISSUED_PENDING + FL_ISSUED_MAX };

struct fl_issuance {
    struct fl_files files;
    uint64_t segment_bytes;
    uint64_t *firsts; /* of each file, rising */
    size_t count;
    size_t capacity;
    uint64_t offset;              /* committed octets of the last file */
    struct fl_issued_chain chain; /* with what is in the batch */
    uint64_t durable;             /* the last committed record */
    struct fl_buffer batch;
    bool behind;
};

/* --- the files that there are --- */

static enum fl_error add_file(struct fl_issuance *log, uint64_t first)
{
    if (log->count == log->capacity) {
        size_t capacity = log->capacity ? 2 * log->capacity : 16;
        uint64_t *firsts = realloc(log->firsts, capacity * sizeof *firsts);

        if (!firsts)
            return FL_ENOMEM;
        log->firsts = firsts;
        log->capacity = capacity;
    }
    log->firsts[log->count++] = first;
    return FL_OK;
}

struct listing {
    struct fl_issuance *log;
    enum fl_error error;
};

/* Names come in the order of their numbers. */
static void list_file(void *to, const char *name)
{
    struct listing *listing = to;
    uint64_t first = 0;

    if (listing->error == FL_OK && fl_segment_name_parse(name, PREFIX, &first))
        listing->error = add_file(listing->log, first);
}

static void name_of(const struct fl_issuance *log, size_t index, char name[FL_SEGMENT_NAME_MAX])
{
    fl_segment_name(name, PREFIX, log->firsts[index]);
}

/* --- the end of the log --- */

struct scan {
    struct fl_issued_chain chain;
    uint64_t size; /* of the file */
    uint64_t end;  /* of the records that follow each other */
    uint32_t whole_beyond;
    bool damaged; /* a record that was synced is not whole */
};

/* What is behind the first place that is no record. A write that a power cut interrupts may leave
 * later records of its batch whole; they say that the damaged one was not synced. */
static void look_beyond(struct fl_slice rest, struct scan *scan)
{
    struct fl_issued record = {0};

    while (rest.size >= FL_ISSUED_HEADER) {
        if (fl_issued_decode(&rest, &record) != FL_OK) {
            rest = fl_slice_from(rest, FL_ISSUED_ALIGN);
            continue;
        }
        if (record.seq <= scan->chain.seq)
            continue;
        scan->whole_beyond++;
        scan->damaged = scan->damaged || record.batch > scan->chain.seq + 1;
    }
}

static enum fl_error read_whole(struct fl_issuance *log, const char *name, struct fl_buffer *bytes,
                                struct fl_context *ctx)
{
    uint64_t size = 0;
    size_t got = 0;
    uint8_t *room = NULL;
    enum fl_error error = log->files.size(log->files.self, name, &size, ctx);

    if (error != FL_OK || size == 0)
        return error;
    if (size > FILE_MAX)
        return fl_fail(ctx, FL_EIO, "%s: %llu octets are more than this hub writes into a file",
                       name, (unsigned long long)size);
    room = fl_buffer_reserve(bytes, (size_t)size);
    if (!room)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    error = log->files.read(log->files.self, name, 0, room, (size_t)size, &got, ctx);
    fl_buffer_commit(bytes, got);
    return error;
}

static enum fl_error scan_file(struct fl_issuance *log, size_t index, struct scan *scan,
                               struct fl_context *ctx)
{
    struct fl_buffer bytes = FL_BUFFER(FILE_MAX);
    char name[FL_SEGMENT_NAME_MAX];
    struct fl_issued record = {0};
    struct fl_slice in = {0};
    enum fl_error error = FL_OK;

    name_of(log, index, name);
    error = read_whole(log, name, &bytes, ctx);
    in = fl_buffer_slice(&bytes);
    scan->size = in.size;
    while (error == FL_OK && fl_issued_decode(&in, &record) == FL_OK) {
        if (!scan->chain.seq && record.seq != log->firsts[index])
            error = fl_fail(ctx, FL_EAUTH, "it begins with record %llu",
                            (unsigned long long)record.seq);
        else
            error = fl_issued_follow(&scan->chain, &record, NULL, ctx);
        scan->end = scan->size - in.size;
    }
    error = fl_fail_in(ctx, error, "%s", name);
    if (error == FL_OK && !scan->chain.seq)
        scan->chain.seq = log->firsts[index] - 1;
    if (error == FL_OK)
        look_beyond(in, scan);
    fl_buffer_free(&bytes);
    return error;
}

static enum fl_error damage(const struct fl_issuance *log, size_t index, uint64_t offset,
                            struct fl_context *ctx)
{
    char name[FL_SEGMENT_NAME_MAX];

    name_of(log, index, name);
    return fl_fail(ctx, FL_EIO,
                   "%s: what was written at octet %llu is damaged: keep the file as evidence and "
                   "restore it from a backup",
                   name, (unsigned long long)offset);
}

/* The last file may have been made and nothing written into it: then the one before it has the last
 * record, and nothing may be wrong with that. */
static enum fl_error find_end(struct fl_issuance *log, struct scan *scan, struct fl_context *ctx)
{
    struct scan before = {0};
    size_t last = log->count - 1;
    enum fl_error error = scan_file(log, last, scan, ctx);

    if (error == FL_OK && scan->end == 0 && last == 0 && log->firsts[0] != 1)
        return fl_fail(ctx, FL_EIO, "record %llu is missing: restore keys/issued from a backup",
                       (unsigned long long)log->firsts[0] - 1);
    if (error != FL_OK || scan->end > 0 || last == 0)
        return error;
    error = scan_file(log, last - 1, &before, ctx);
    if (error == FL_OK && before.end != before.size)
        error = damage(log, last - 1, before.end, ctx);
    if (error == FL_OK && before.chain.seq + 1 != log->firsts[last])
        error = fl_fail(ctx, FL_EIO, "record %llu is missing: restore keys/issued from a backup",
                        (unsigned long long)before.chain.seq + 1);
    scan->chain = before.chain;
    return error;
}

static enum fl_error repair(struct fl_issuance *log, const struct scan *scan, fl_time_t now,
                            struct fl_context *ctx)
{
    struct fl_issued record = {.kind = FL_ISSUED_REPAIRED, .at = now};
    struct fl_context text = {0};
    char name[FL_SEGMENT_NAME_MAX];
    enum fl_error error = FL_OK;

    name_of(log, log->count - 1, name);
    (void)fl_fail(&text, FL_EIO,
                  "cut off %llu octets of an interrupted write, %u whole records among them, whose "
                  "certificates never left",
                  (unsigned long long)(scan->size - scan->end), scan->whole_beyond);
    record.text = fl_slice_str(text.text);
    error = log->files.truncate(log->files.self, name, scan->end, ctx);
    if (error == FL_OK)
        error = log->files.sync(log->files.self, name, ctx);
    if (error == FL_OK)
        error = fl_issuance_add(log, &record, ctx);
    if (error == FL_OK)
        error = fl_issuance_commit(log, ctx);
    return error;
}

static enum fl_error open_end(struct fl_issuance *log, const struct fl_issuance_config *config,
                              struct fl_issuance_tail *tail, struct fl_context *ctx)
{
    struct scan scan = {0};
    char name[FL_SEGMENT_NAME_MAX];
    enum fl_error error = FL_OK;

    if (log->count == 0)
        return FL_OK;
    name_of(log, log->count - 1, name);
    /* What memory shows after a failed sync may not be on disk. */
    if (!config->read_only)
        error = log->files.settle(log->files.self, name, ctx);
    if (error == FL_OK)
        error = find_end(log, &scan, ctx);
    if (error == FL_OK && scan.damaged && !config->read_only)
        error = damage(log, log->count - 1, scan.end, ctx);
    if (error != FL_OK)
        return error;
    log->chain = scan.chain;
    /* Reading goes on as far as the damage, and says so. */
    log->durable = scan.chain.seq + scan.damaged;
    log->offset = scan.damaged ? scan.size : scan.end;
    if (scan.damaged || scan.end == scan.size)
        return FL_OK;
    *tail = (struct fl_issuance_tail){.octets = scan.size - scan.end, .records = scan.whole_beyond};
    return config->read_only ? FL_OK : repair(log, &scan, config->now, ctx);
}

enum fl_error fl_issuance_open(const struct fl_issuance_config *config, struct fl_issuance **log,
                               struct fl_issuance_tail *tail, struct fl_context *ctx)
{
    struct fl_issuance *l = calloc(1, sizeof *l);
    struct listing listing = {.log = l};
    enum fl_error error = FL_OK;

    *log = NULL;
    *tail = (struct fl_issuance_tail){0};
    if (!l)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    l->files = config->files;
    l->segment_bytes = config->segment_bytes ? config->segment_bytes : FL_LIMIT_ISSUED_SEGMENT;
    l->batch = FL_BUFFER(FL_LIMIT_ISSUED_PENDING);
    error = l->files.list(l->files.self, list_file, &listing, ctx);
    if (error == FL_OK && listing.error != FL_OK)
        error = fl_fail(ctx, listing.error, "out of memory");
    if (error == FL_OK)
        error = open_end(l, config, tail, ctx);
    if (error != FL_OK)
        fl_issuance_free(l);
    else
        *log = l;
    return error;
}

void fl_issuance_free(struct fl_issuance *log)
{
    if (!log)
        return;
    fl_buffer_free(&log->batch);
    free(log->firsts);
    free(log);
}

/* --- writing --- */

static enum fl_error begin_batch(struct fl_issuance *log, struct fl_context *ctx)
{
    if (log->count && log->offset < log->segment_bytes)
        return FL_OK;
    if (log->count == FL_LIMIT_ISSUED_SEGMENTS)
        return fl_fail(
            ctx, FL_EFULL,
            "the issuance log has %d files: move the oldest of keys/issued to an archive",
            FL_LIMIT_ISSUED_SEGMENTS);
    if (add_file(log, log->chain.seq + 1) != FL_OK)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    log->offset = 0;
    return FL_OK;
}

enum fl_error fl_issuance_add(struct fl_issuance *log, struct fl_issued *record,
                              struct fl_context *ctx)
{
    struct fl_slice frame = {0};
    struct fl_issued again = {0};
    size_t before = log->batch.size;
    enum fl_error error = before ? FL_OK : begin_batch(log, ctx);

    if (error != FL_OK)
        return error;
    record->seq = log->chain.seq + 1;
    record->batch = log->durable + 1;
    memcpy(record->prev, log->chain.head, FL_ISSUED_HASH);
    error = fl_issued_encode(record, &log->batch);
    if (error != FL_OK)
        return fl_fail(ctx, error, "the issuance log has no room in this batch");
    frame = fl_slice_from(fl_buffer_slice(&log->batch), before);
    error = fl_issued_decode(&frame, &again);
    if (error == FL_OK)
        error = fl_issued_follow(&log->chain, &again, NULL, ctx);
    if (error != FL_OK)
        log->batch.size = before;
    return error;
}

enum fl_error fl_issuance_commit(struct fl_issuance *log, struct fl_context *ctx)
{
    char name[FL_SEGMENT_NAME_MAX];
    enum fl_error error = FL_OK;

    if (log->batch.size == 0)
        return FL_OK;
    name_of(log, log->count - 1, name);
    error = log->files.write(log->files.self, name, log->offset, fl_buffer_slice(&log->batch), ctx);
    if (error == FL_OK)
        error = log->files.sync(log->files.self, name, ctx);
    log->behind = error != FL_OK;
    if (error != FL_OK)
        return fl_fail_in(ctx, error, "the issuance log cannot be written");
    log->offset += log->batch.size;
    log->durable = log->chain.seq;
    fl_buffer_clear(&log->batch);
    return FL_OK;
}

bool fl_issuance_is_behind(const struct fl_issuance *log)
{
    return log->behind;
}

uint64_t fl_issuance_last(const struct fl_issuance *log)
{
    return log->chain.seq;
}

uint64_t fl_issuance_signed(const struct fl_issuance *log)
{
    return log->chain.signed_seq;
}

void fl_issuance_head(const struct fl_issuance *log, uint8_t head[FL_ISSUED_HASH])
{
    memcpy(head, log->chain.head, FL_ISSUED_HASH);
}

/* --- reading --- */

uint64_t fl_issuance_before(const struct fl_issuance *log, size_t back)
{
    if (log->count == 0 || back == 0)
        return log->durable;
    return log->firsts[back < log->count ? log->count - back : 0] - 1;
}

/* The file that has the record behind `after`; `count` when there is none. */
static size_t file_behind(const struct fl_issuance *log, uint64_t after)
{
    size_t low = 0;
    size_t high = log->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (log->firsts[middle] <= after + 1)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : 0;
}

/* FL_EMORE: nothing is in it. */
static enum fl_error begin_of(struct fl_issuance *log, size_t index, fl_time_t *at,
                              struct fl_context *ctx)
{
    uint8_t bytes[FL_ISSUED_MAX];
    char name[FL_SEGMENT_NAME_MAX];
    struct fl_issued record = {0};
    struct fl_slice in = {0};
    size_t got = 0;
    enum fl_error error = FL_OK;

    name_of(log, index, name);
    error = log->files.read(log->files.self, name, 0, bytes, sizeof bytes, &got, ctx);
    in = fl_slice(bytes, got);
    if (error == FL_OK && fl_issued_decode(&in, &record) != FL_OK)
        error = FL_EMORE;
    *at = record.at;
    return error;
}

/* Moves to the last file that began before `since`. A clock that went back may hide some. */
static enum fl_error pass_over(struct fl_issuance *log, struct fl_issuance_place *place,
                               struct fl_context *ctx)
{
    size_t low = file_behind(log, place->after);
    size_t high = log->count;

    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        fl_time_t at = 0;
        enum fl_error error = begin_of(log, middle, &at, ctx);

        if (error != FL_OK && error != FL_EMORE)
            return error;
        if (error == FL_OK && at < place->since)
            low = middle;
        else
            high = middle;
    }
    if (log->count && log->firsts[low] - 1 > place->after) {
        place->after = log->firsts[low] - 1;
        place->offset = 0;
    }
    return FL_OK;
}

/* Appends the frames of `in` that are wanted. Returns how many octets of it are done with. */
static size_t take_frames(struct fl_slice in, struct fl_issuance_place *place,
                          struct fl_buffer *out)
{
    struct fl_slice rest = in;
    struct fl_issued record = {0};

    for (;;) {
        struct fl_slice before = rest;

        if (fl_issued_decode(&rest, &record) != FL_OK)
            return in.size - before.size;
        if (record.seq <= place->after)
            continue;
        if (fl_buffer_append_slice(out, fl_slice(before.data, before.size - rest.size)) != FL_OK) {
            out->failed = false; /* full: what is in it is whole */
            return in.size - before.size;
        }
        place->after = record.seq;
    }
}

/* A guess is good when the record that is due begins there. */
static enum fl_error judge_guess(struct fl_issuance *log, const char *name, uint64_t end,
                                 struct fl_issuance_place *place, struct fl_context *ctx)
{
    uint8_t bytes[FL_ISSUED_MAX];
    struct fl_issued record = {0};
    struct fl_slice in = {0};
    size_t got = 0;
    enum fl_error error = FL_OK;

    if (place->offset == 0)
        return FL_OK;
    if (place->offset < end)
        error =
            log->files.read(log->files.self, name, place->offset, bytes, sizeof bytes, &got, ctx);
    in = fl_slice(bytes, got);
    if (fl_issued_decode(&in, &record) != FL_OK || record.seq != place->after + 1)
        place->offset = 0;
    return error;
}

static enum fl_error read_part(struct fl_issuance *log, size_t index, uint64_t end,
                               struct fl_issuance_place *place, struct fl_buffer *out,
                               struct fl_context *ctx)
{
    size_t size = out->max + FL_ISSUED_MAX;
    uint8_t *bytes = malloc(size);
    char name[FL_SEGMENT_NAME_MAX];
    enum fl_error error = bytes ? FL_OK : fl_fail(ctx, FL_ENOMEM, "out of memory");

    name_of(log, index, name);
    if (error == FL_OK)
        error = judge_guess(log, name, end, place, ctx);
    while (error == FL_OK && out->size == 0 && place->offset < end) {
        size_t left = end - place->offset < size ? (size_t)(end - place->offset) : size;
        size_t got = 0;
        size_t done = 0;

        error = log->files.read(log->files.self, name, place->offset, bytes, left, &got, ctx);
        if (error == FL_OK)
            done = take_frames(fl_slice(bytes, got), place, out);
        if (error == FL_OK && done == 0)
            error = damage(log, index, place->offset, ctx);
        place->offset += done;
    }
    free(bytes);
    return error;
}

enum fl_error fl_issuance_page(struct fl_issuance *log, struct fl_issuance_place *place,
                               struct fl_buffer *out, size_t max, struct fl_context *ctx)
{
    struct fl_buffer page = FL_BUFFER(max);
    enum fl_error error = FL_OK;

    if (place->since > 0)
        error = pass_over(log, place, ctx);
    place->since = 0;
    while (error == FL_OK && page.size == 0 && place->after < log->durable) {
        size_t index = file_behind(log, place->after);
        bool is_last = index + 1 == log->count;
        char name[FL_SEGMENT_NAME_MAX];
        uint64_t end = log->offset;

        name_of(log, index, name);
        if (!is_last)
            error = log->files.size(log->files.self, name, &end, ctx);
        if (error == FL_OK)
            error = read_part(log, index, end, place, &page, ctx);
        if (error != FL_OK || page.size || is_last)
            break;
        /* A file ended before the next one begins: the next page says which record is missing. */
        place->after = log->firsts[index + 1] - 1;
        place->offset = 0;
    }
    if (error == FL_OK)
        error = fl_buffer_append_slice(out, fl_buffer_slice(&page));
    fl_buffer_free(&page);
    return error;
}
