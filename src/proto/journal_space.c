/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/journal_internal.h"

#include "base/assert.h"

#include <stdlib.h>

#define FREE_KEPT 4 /* free segments that are never given back to the file system */

/* --- the table of segments --- */

struct journal_segment *fl_journal_segment(struct fl_journal *j, uint64_t sequence)
{
    for (size_t i = j->count; i-- > 0;)
        if (j->segments[i].sequence == sequence)
            return &j->segments[i];
    return NULL;
}

struct journal_segment *fl_journal_current(struct fl_journal *j)
{
    for (size_t i = j->count; i-- > 0;)
        if (j->segments[i].state == JOURNAL_LIVE)
            return &j->segments[i];
    fl_assert_failed("a segment is written to", __FILE__, __LINE__);
}

enum fl_error fl_journal_add_segment(struct fl_journal *j, const struct journal_segment *segment,
                                     struct fl_context *ctx)
{
    if (j->count == FL_LIMIT_JOURNAL_SEGMENTS)
        return fl_fail(ctx, FL_ELIMIT, "journal: more than %d segments", FL_LIMIT_JOURNAL_SEGMENTS);
    if (j->count == j->capacity) {
        size_t capacity = j->capacity ? 2 * j->capacity : 16;
        void *segments = realloc(j->segments, capacity * sizeof *j->segments);

        if (!segments)
            return fl_fail(ctx, FL_ENOMEM, "journal: out of memory");
        j->segments = segments;
        j->capacity = capacity;
    }
    fl_assert(j->count == 0 || j->segments[j->count - 1].sequence < segment->sequence);
    j->segments[j->count++] = *segment;
    return FL_OK;
}

static void drop_segment(struct fl_journal *j, uint64_t sequence)
{
    struct journal_segment *segment = fl_journal_segment(j, sequence);
    size_t at = 0;

    fl_assert(segment);
    at = (size_t)(segment - j->segments);
    memmove(segment, segment + 1, (j->count - at - 1) * sizeof *segment);
    j->count--;
}

static uint64_t next_sequence(const struct fl_journal *j)
{
    return j->count ? j->segments[j->count - 1].sequence + 1 : 1;
}

static struct journal_segment *ready_segment(const struct fl_journal *j)
{
    return j->count && j->segments[j->count - 1].state == JOURNAL_READY ? &j->segments[j->count - 1]
                                                                        : NULL;
}

struct tally {
    uint64_t bytes;
    uint64_t free;
    uint64_t used; /* live and unreadable segments */
};

static struct tally tally(const struct fl_journal *j)
{
    struct tally t = {0};

    for (size_t i = 0; i < j->count; i++) {
        const struct journal_segment *segment = &j->segments[i];

        t.bytes += segment->size;
        t.free += segment->state == JOURNAL_FREE;
        t.used += segment->state == JOURNAL_LIVE || segment->state == JOURNAL_UNREADABLE;
    }
    return t;
}

void fl_journal_free_segments(struct fl_journal *j)
{
    for (size_t i = 0; i < j->count && j->segments[i].sequence < j->base.sequence; i++)
        if (j->segments[i].state != JOURNAL_READY)
            j->segments[i].state = JOURNAL_FREE;
}

/* --- space --- */

/* Segments that a checkpoint will take, kept from everything else. */
static uint64_t reserved(const struct fl_journal *j)
{
    uint64_t size = j->base.size + j->base.size / 4;
    uint64_t segments = 2 + (size + j->segment_bytes - 1) / j->segment_bytes;
    uint64_t half = j->max_bytes / j->segment_bytes / 2;

    return segments < half ? segments : half;
}

static uint64_t available(const struct fl_journal *j)
{
    uint64_t all = j->max_bytes / j->segment_bytes;
    uint64_t used = tally(j).used;

    return all > used ? all - used : 0;
}

bool fl_journal_is_tight(const struct fl_journal *journal)
{
    return (journal->full && !ready_segment(journal)) ||
           available(journal) <= reserved(journal) + 1;
}

/* The size of a checkpoint includes what was appended beside it, so one that was made in full
 * traffic may be far larger than the state. When room is short, one made in quiet shows what is
 * true. */
bool fl_journal_wants_checkpoint(const struct fl_journal *journal)
{
    const struct fl_journal *j = journal;
    uint64_t enough = 2 * j->base.size;

    if (!j->replayed || !j->base.sequence || j->pending.sequence || j->ended.sequence)
        return false;
    if (j->must_checkpoint)
        return true;
    if (enough < 4 * (uint64_t)j->segment_bytes)
        enough = 4 * (uint64_t)j->segment_bytes;
    if (j->since_checkpoint > enough)
        return true;
    return (fl_journal_is_tight(j) || available(j) <= reserved(j) + 2) &&
           (!j->base.tight || j->since_checkpoint > j->base.size / 4 + j->segment_bytes);
}

/* --- chores --- */

static bool surplus(const struct fl_journal *j, const struct journal_segment *segment)
{
    struct tally t = tally(j);

    return segment->state == JOURNAL_FREE &&
           (segment->size != j->segment_bytes || t.free > FREE_KEPT + 2 * t.used ||
            t.bytes > j->max_bytes);
}

bool fl_journal_chore(struct fl_journal *journal, struct fl_journal_chore *chore)
{
    struct fl_journal *j = journal;
    const struct journal_segment *free_one = NULL;
    const struct journal_segment *unwanted = NULL;
    bool found = false;

    *chore = (struct fl_journal_chore){.size = j->segment_bytes};
    if (j->chore || !j->replayed)
        return false;
    for (size_t i = j->count; i-- > 0;) {
        if (j->segments[i].state == JOURNAL_FREE && j->segments[i].size == j->segment_bytes)
            free_one = &j->segments[i];
        if (surplus(j, &j->segments[i]))
            unwanted = &j->segments[i];
    }
    if (!ready_segment(j)) {
        fl_journal_name(chore->to, next_sequence(j));
        chore->kind = free_one ? FL_JOURNAL_RECYCLE : FL_JOURNAL_MAKE;
        if (free_one)
            fl_journal_name(chore->from, free_one->sequence);
        found = free_one || tally(j).bytes + j->segment_bytes <= j->max_bytes;
    }
    if (!found && unwanted) {
        chore->kind = FL_JOURNAL_REMOVE;
        fl_journal_name(chore->from, unwanted->sequence);
        found = true;
    }
    j->chore = found;
    return found;
}

enum fl_error fl_journal_chore_run(const struct fl_files *files,
                                   const struct fl_journal_chore *chore, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    switch (chore->kind) {
    case FL_JOURNAL_REMOVE:
        error = files->remove(files->self, chore->from, ctx);
        break;
    case FL_JOURNAL_RECYCLE:
        error = files->rename(files->self, chore->from, chore->to, ctx);
        break;
    case FL_JOURNAL_MAKE:
        error = files->allocate(files->self, chore->to, chore->size, ctx);
        if (error == FL_OK)
            error = files->sync(files->self, chore->to, ctx);
        /* Half a segment is of no use to anyone; the space may be. */
        if (error != FL_OK)
            (void)files->remove(files->self, chore->to, NULL);
        break;
    }
    return fl_fail_in(ctx, error, "journal");
}

void fl_journal_chore_done(struct fl_journal *journal, const struct fl_journal_chore *chore,
                           enum fl_error result)
{
    struct fl_journal *j = journal;
    struct journal_segment made = {.state = JOURNAL_READY, .size = chore->size};
    uint64_t from = 0;

    j->chore = false;
    if (chore->kind != FL_JOURNAL_REMOVE)
        j->full = result != FL_OK;
    if (result != FL_OK)
        return;
    if (chore->kind != FL_JOURNAL_MAKE) {
        fl_assert(fl_journal_name_parse(chore->from, &from));
        drop_segment(j, from);
    }
    if (chore->kind != FL_JOURNAL_REMOVE) {
        fl_assert(fl_journal_name_parse(chore->to, &made.sequence));
        /* Without memory for it it is found again by the next start, and made again until then. */
        j->full = fl_journal_add_segment(j, &made, NULL) != FL_OK;
    }
}

/* --- rolling --- */

enum fl_error fl_journal_derive(struct fl_journal *j, const struct fl_journal_header *header,
                                struct fl_seal **seal, struct fl_context *ctx)
{
    uint8_t key[FL_SEAL_KEY];
    enum fl_error error = fl_seal_derive(j->key, fl_slice(header->salt, sizeof header->salt),
                                         "fairlead log segment", key, ctx);

    *seal = NULL;
    if (error == FL_OK)
        error = fl_seal_new(key, seal, ctx);
    explicit_bzero(key, sizeof key);
    return error;
}

static enum fl_error make_ready(struct fl_journal *j, struct fl_context *ctx)
{
    struct fl_journal_chore chore;
    enum fl_error error = FL_OK;

    if (j->chore)
        return fl_fail(ctx, FL_EBUSY, "journal: the next segment is being made");
    while (error == FL_OK && !ready_segment(j)) {
        if (!fl_journal_chore(j, &chore))
            return fl_fail(ctx, FL_EFULL, "journal: it has reached its maximum of %llu bytes",
                           (unsigned long long)j->max_bytes);
        error = fl_journal_chore_run(&j->files, &chore, ctx);
        fl_journal_chore_done(j, &chore, error);
    }
    return error;
}

/* Both copies in one write. The key is new each time, so that trying again after a failed write
 * uses no nonce twice. */
static enum fl_error write_header(struct fl_journal *j, struct fl_journal_header *header,
                                  struct fl_seal **seal, struct fl_context *ctx)
{
    uint8_t bytes[FL_JOURNAL_HEADER_STEP + FL_JOURNAL_HEADER_SIZE] = {0};
    uint8_t nonce[FL_SEAL_NONCE];
    char name[FL_JOURNAL_NAME_MAX];
    enum fl_error error = FL_OK;

    j->random.fill(j->random.self, header->salt, sizeof header->salt);
    error = fl_journal_derive(j, header, seal, ctx);
    if (error != FL_OK)
        return error;
    memset(nonce, 0xFF, sizeof nonce);
    fl_journal_header_encode(header, bytes);
    error = fl_seal_shut(*seal, nonce, fl_slice(bytes, FL_JOURNAL_HEADER_SIGNED), fl_slice(NULL, 0),
                         header->check, ctx);
    if (error != FL_OK)
        return error;
    fl_journal_header_encode(header, bytes);
    memcpy(bytes + FL_JOURNAL_HEADER_STEP, bytes, FL_JOURNAL_HEADER_SIZE);
    fl_journal_name(name, header->sequence);
    error = j->files.write(j->files.self, name, 0, fl_slice(bytes, sizeof bytes), ctx);
    return fl_fail_in(ctx, error, "journal");
}

enum fl_error fl_journal_roll(struct fl_journal *j, uint64_t first, bool reserve,
                              struct fl_context *ctx)
{
    struct fl_journal_header header = {
        .base = j->base.sequence, .base_block = j->base.block, .first = first};
    struct journal_segment *segment = NULL;
    struct fl_seal *seal = NULL;
    enum fl_error error = FL_OK;

    if (!reserve && available(j) <= reserved(j))
        return fl_fail(ctx, FL_EFULL,
                       "journal: %llu bytes at most: the rest is kept for a checkpoint",
                       (unsigned long long)j->max_bytes);
    error = make_ready(j, ctx);
    if (error != FL_OK)
        return error;
    segment = ready_segment(j);
    fl_assert(segment);
    header.sequence = segment->sequence;
    if (!j->base.sequence) {
        header.base = header.sequence;
        header.base_block = first;
    }
    /* Once the header may be there, blocks in older segments may be void after a restart. */
    j->spoiled = true;
    error = write_header(j, &header, &seal, ctx);
    if (error != FL_OK) {
        fl_seal_free(seal);
        return error;
    }
    segment->state = JOURNAL_LIVE;
    segment->header = header;
    if (!j->base.sequence)
        j->base = (struct journal_base){.sequence = header.base, .block = header.base_block};
    fl_seal_free(j->seal);
    j->seal = seal;
    j->offset = FL_JOURNAL_DATA;
    j->writing = true;
    j->spoiled = false;
    return FL_OK;
}

/* --- checkpoints --- */

enum fl_error fl_journal_checkpoint_begin(struct fl_journal *journal, struct fl_context *ctx)
{
    struct fl_journal *j = journal;
    bool tight = false;
    enum fl_error error = FL_OK;

    if (!j->replayed)
        return fl_fail(ctx, FL_ESTATE, "journal: not read yet");
    j->pending = (struct journal_base){0};
    tight = fl_journal_is_tight(j);
    if (!j->writing || j->spoiled || j->offset > FL_JOURNAL_DATA)
        error = fl_journal_roll(j, j->last + 1, true, ctx);
    if (error != FL_OK)
        return error;
    j->pending.sequence = fl_journal_current(j)->sequence;
    j->pending.block = j->last + 1;
    j->pending.tight = tight;
    return FL_OK;
}

enum fl_error fl_journal_checkpoint_end(struct fl_journal *journal, uint64_t *position,
                                        struct fl_context *ctx)
{
    struct fl_journal *j = journal;
    struct journal_base ended = j->pending;
    uint8_t text[FL_JOURNAL_CHECKPOINT_SIZE];
    enum fl_error error = FL_OK;

    if (!ended.sequence)
        return fl_fail(ctx, FL_ESTATE, "journal: no checkpoint was begun");
    fl_journal_checkpoint_encode(ended.sequence, ended.block, ended.size, text);
    error =
        fl_journal_put(j, FL_JOURNAL_CHECKPOINT, fl_slice(text, sizeof text), &ended.marker, ctx);
    if (error != FL_OK)
        return error;
    j->pending = (struct journal_base){0};
    j->ended = ended;
    j->since_checkpoint = 0;
    j->must_checkpoint = false;
    if (position)
        *position = ended.marker;
    return FL_OK;
}

void fl_journal_checkpoint_drop(struct fl_journal *journal)
{
    journal->pending = (struct journal_base){0};
}

uint64_t fl_journal_sequence(const struct fl_journal *journal)
{
    for (size_t i = journal->count; journal->writing && i-- > 0;)
        if (journal->segments[i].state == JOURNAL_LIVE)
            return journal->segments[i].sequence;
    return 0;
}

struct fl_journal_stats fl_journal_stats(const struct fl_journal *journal)
{
    const struct fl_journal *j = journal;
    struct fl_journal_stats stats = j->found;
    struct tally t = tally(j);

    stats.last = j->last;
    stats.durable = j->durable;
    stats.base = j->base.sequence;
    stats.bytes = t.bytes;
    stats.max_bytes = j->max_bytes;
    stats.segments = j->count;
    stats.free = t.free;
    stats.since_checkpoint = j->since_checkpoint;
    stats.checkpoint_bytes = j->base.size;
    stats.retained = j->retained.size;
    stats.rewrites = j->rewrites;
    return stats;
}
