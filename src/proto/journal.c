/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/journal.h"

#include "base/assert.h"
#include "proto/journal_internal.h"

#include <stdlib.h>

#define SYNC_TRIES 3

/* --- opening --- */

static enum fl_error check_config(const struct fl_journal_config *config, struct fl_journal *j,
                                  struct fl_context *ctx)
{
    j->segment_bytes = config->segment_bytes ? config->segment_bytes : FL_LIMIT_JOURNAL_SEGMENT;
    j->max_bytes = config->max_bytes
                       ? config->max_bytes
                       : (uint64_t)j->segment_bytes * FL_LIMIT_JOURNAL_SEGMENTS_DEFAULT;
    if (j->segment_bytes < FL_JOURNAL_SEGMENT_MIN || j->segment_bytes > JOURNAL_FILE_MAX ||
        j->segment_bytes % 4096 != 0)
        return fl_fail(ctx, FL_EINVAL, "journal: segments of %u bytes: give %u to %llu, by 4096",
                       j->segment_bytes, (unsigned)FL_JOURNAL_SEGMENT_MIN,
                       (unsigned long long)JOURNAL_FILE_MAX);
    if (j->max_bytes / j->segment_bytes < FL_JOURNAL_SEGMENTS_MIN)
        return fl_fail(
            ctx, FL_EINVAL, "journal: at most %llu bytes: %u segments of %u are the least",
            (unsigned long long)j->max_bytes, (unsigned)FL_JOURNAL_SEGMENTS_MIN, j->segment_bytes);
    if (j->max_bytes / j->segment_bytes > FL_LIMIT_JOURNAL_SEGMENTS)
        return fl_fail(ctx, FL_EINVAL, "journal: at most %llu bytes: that is more than %d segments",
                       (unsigned long long)j->max_bytes, FL_LIMIT_JOURNAL_SEGMENTS);
    return FL_OK;
}

enum fl_error fl_journal_open(const struct fl_journal_config *config, struct fl_journal **journal,
                              struct fl_context *ctx)
{
    struct fl_journal *j = calloc(1, sizeof *j);
    enum fl_error error = FL_OK;

    *journal = NULL;
    if (!j)
        return fl_fail(ctx, FL_ENOMEM, "journal: out of memory");
    j->files = *config->files;
    j->random = *config->random;
    j->retain = config->retain;
    memcpy(j->key, config->key, sizeof j->key);
    error = check_config(config, j, ctx);
    fl_buffer_init(&j->scratch, j->segment_bytes);
    fl_buffer_init(&j->retained, FL_LIMIT_JOURNAL_RETAINED);
    if (error == FL_OK)
        error = fl_journal_recover(j, ctx);
    if (error != FL_OK) {
        fl_journal_close(j);
        return error;
    }
    *journal = j;
    return FL_OK;
}

void fl_journal_close(struct fl_journal *journal)
{
    if (!journal)
        return;
    fl_seal_free(journal->seal);
    fl_buffer_free(&journal->scratch);
    fl_buffer_free(&journal->retained);
    free(journal->segments);
    explicit_bzero(journal->key, sizeof journal->key);
    free(journal);
}

/* --- appending --- */

size_t fl_journal_append_max(const struct fl_journal *journal)
{
    return (size_t)(journal->segment_bytes - FL_JOURNAL_DATA - FL_JOURNAL_BLOCK_HEADER -
                    FL_SEAL_TAG - FL_JOURNAL_ALIGN);
}

/* The block as it goes to disk, in `scratch`. */
static enum fl_error encode(struct fl_journal *j, const struct fl_journal_block *block,
                            struct fl_slice text, struct fl_context *ctx)
{
    const struct fl_journal_header *segment = &fl_journal_current(j)->header;
    size_t size = (size_t)fl_journal_block_size(text.size);
    uint8_t nonce[FL_SEAL_NONCE];
    uint8_t binding[FL_JOURNAL_BINDING];
    uint8_t *to = NULL;
    enum fl_error error = FL_OK;

    fl_buffer_clear(&j->scratch);
    to = fl_buffer_reserve(&j->scratch, size);
    if (!to)
        return fl_fail(ctx, FL_ENOMEM, "journal: out of memory");
    memset(to + size - FL_JOURNAL_ALIGN, 0, FL_JOURNAL_ALIGN);
    fl_journal_block_encode(block, segment, to);
    fl_journal_nonce(block->number - segment->first, nonce);
    fl_journal_binding(to, segment->sequence, binding);
    error = fl_seal_shut(j->seal, nonce, fl_slice(binding, sizeof binding), text,
                         to + FL_JOURNAL_BLOCK_HEADER, ctx);
    if (error == FL_OK)
        fl_buffer_commit(&j->scratch, size);
    return error;
}

/* Into the segment that is written to, which has room. Whatever goes wrong once bytes may have
 * reached the file ends the segment: what is there must not be written over with the same nonce. */
static enum fl_error write_block(struct fl_journal *j, enum fl_journal_kind kind, uint64_t number,
                                 struct fl_slice text, struct fl_context *ctx)
{
    struct journal_segment *segment = fl_journal_current(j);
    const struct fl_journal_block block = {
        .size = (uint32_t)text.size, .kind = kind, .number = number, .durable = j->durable};
    char name[FL_JOURNAL_NAME_MAX];
    enum fl_error error = encode(j, &block, text, ctx);

    if (error != FL_OK)
        return error;
    fl_journal_name(name, segment->sequence);
    error = j->files.write(j->files.self, name, j->offset, fl_buffer_slice(&j->scratch), ctx);
    if (error != FL_OK) {
        j->spoiled = true;
        return fl_fail_in(ctx, error, "journal");
    }
    j->offset += j->scratch.size;
    segment->last = number;
    return FL_OK;
}

static bool fits(const struct fl_journal *j, size_t text)
{
    return j->writing && !j->spoiled && j->offset + fl_journal_block_size(text) <= j->segment_bytes;
}

static enum fl_error put_again(struct fl_journal *j, struct fl_context *ctx);

/* Room for what commit_kept() puts there. */
static enum fl_error room_to_keep(struct fl_journal *j, struct fl_slice text,
                                  struct fl_context *ctx)
{
    const size_t size = sizeof(struct journal_kept) + text.size;

    if (!j->retain)
        return FL_OK;
    if (j->retained.size + size > j->retained.max)
        return fl_fail(ctx, FL_EBUSY, "journal: %zu bytes wait for the disk", j->retained.size);
    if (!fl_buffer_reserve(&j->retained, size)) {
        j->retained.failed = false;
        return fl_fail(ctx, FL_ENOMEM, "journal: out of memory");
    }
    return FL_OK;
}

static void commit_kept(struct fl_journal *j, enum fl_journal_kind kind, uint64_t number,
                        struct fl_slice text)
{
    const struct journal_kept kept = {
        .number = number, .size = (uint32_t)text.size, .kind = (uint32_t)kind};

    if (!j->retain)
        return;
    fl_assert(fl_buffer_append(&j->retained, &kept, sizeof kept) == FL_OK &&
              fl_buffer_append_slice(&j->retained, text) == FL_OK);
}

enum fl_error fl_journal_put(struct fl_journal *j, enum fl_journal_kind kind, struct fl_slice text,
                             uint64_t *number, struct fl_context *ctx)
{
    uint64_t next = j->last + 1;
    bool reserve = kind != FL_JOURNAL_RECORDS || j->pending.sequence != 0;
    enum fl_error error = FL_OK;

    if (!j->replayed)
        return fl_fail(ctx, FL_ESTATE, "journal: not read yet");
    if (text.size > fl_journal_append_max(j))
        return fl_fail(ctx, FL_ELIMIT, "journal: %zu bytes at once: at most %zu", text.size,
                       fl_journal_append_max(j));
    if (j->rewriting)
        error = put_again(j, ctx);
    if (error == FL_OK)
        error = room_to_keep(j, text, ctx);
    if (error == FL_OK && !fits(j, text.size))
        error = fl_journal_roll(j, next, reserve, ctx);
    if (error == FL_OK)
        error = write_block(j, kind, next, text, ctx);
    if (error != FL_OK)
        return error;
    commit_kept(j, kind, next, text);
    j->last = next;
    j->since_checkpoint += j->scratch.size;
    if (j->pending.sequence)
        j->pending.size += j->scratch.size;
    if (number)
        *number = next;
    return FL_OK;
}

enum fl_error fl_journal_append(struct fl_journal *journal, struct fl_slice records,
                                uint64_t *position, struct fl_context *ctx)
{
    return fl_journal_put(journal, FL_JOURNAL_RECORDS, records, position, ctx);
}

bool fl_journal_must_wait(const struct fl_journal *journal, size_t size)
{
    return journal->chore && !fits(journal, size);
}

enum fl_error fl_journal_note(struct fl_journal *journal, struct fl_context *ctx)
{
    return fl_journal_put(journal, FL_JOURNAL_NOTE, fl_slice(NULL, 0), NULL, ctx);
}

/* --- syncing --- */

bool fl_journal_unsynced(struct fl_journal *journal, bool closed_only,
                         struct fl_journal_unsynced *unsynced)
{
    const struct fl_journal *j = journal;
    uint64_t known = j->tainted ? j->synced : j->durable;

    memset(unsynced, 0, sizeof *unsynced);
    unsynced->attempt = j->attempt;
    unsynced->position = known;
    /* A checkpoint that waits to be durable is worth a sync of everything. */
    if (j->ended.sequence)
        closed_only = false;
    for (size_t i = 0; i < j->count && unsynced->count < FL_JOURNAL_SYNCS; i++) {
        const struct journal_segment *segment = &j->segments[i];
        bool open = j->writing && !j->spoiled && segment->last == j->last;

        if (segment->state != JOURNAL_LIVE || segment->last <= known ||
            segment->sequence <= j->tainted)
            continue;
        if (open && closed_only)
            break;
        fl_journal_name(unsynced->names[unsynced->count++], segment->sequence);
        unsynced->position = segment->last;
    }
    return unsynced->count > 0;
}

static void release_kept(struct fl_journal *j)
{
    struct journal_kept kept;

    while (j->retained.size > 0) {
        memcpy(&kept, fl_buffer_slice(&j->retained).data, sizeof kept);
        if (kept.number > j->durable)
            return;
        fl_buffer_consume(&j->retained, sizeof kept + kept.size);
    }
}

void fl_journal_synced(struct fl_journal *journal, const struct fl_journal_unsynced *unsynced)
{
    struct fl_journal *j = journal;

    if (unsynced->attempt != j->attempt || unsynced->count == 0)
        return;
    if (unsynced->position > j->synced)
        j->synced = unsynced->position;
    /* After a failed sync nothing is sure until a checkpoint has put everything elsewhere. */
    if (j->tainted && j->ended.sequence > j->tainted && j->synced >= j->ended.marker)
        j->tainted = 0;
    if (j->tainted)
        return;
    j->durable = j->synced;
    release_kept(j);
    if (j->ended.sequence && j->durable >= j->ended.marker) {
        j->base = j->ended;
        j->ended = (struct journal_base){0};
        fl_journal_free_segments(j);
    }
}

/* All that is retained, into new segments. */
static enum fl_error put_again(struct fl_journal *j, struct fl_context *ctx)
{
    struct fl_slice rest = fl_buffer_slice(&j->retained);
    struct journal_kept kept;
    enum fl_error error = FL_OK;

    if (rest.size > 0)
        error = fl_journal_roll(j, j->durable + 1, true, ctx);
    /* What older segments hold of it is void from here on. */
    for (size_t i = 0; error == FL_OK && rest.size > 0 && i + 1 < j->count; i++)
        if (j->segments[i].last > j->durable)
            j->segments[i].last = j->durable;
    while (error == FL_OK && rest.size > 0) {
        struct fl_slice text;

        memcpy(&kept, rest.data, sizeof kept);
        text = fl_slice(rest.data + sizeof kept, kept.size);
        rest = fl_slice_from(rest, sizeof kept + kept.size);
        if (!fits(j, text.size))
            error = fl_journal_roll(j, kept.number, true, ctx);
        if (error == FL_OK)
            error = write_block(j, (enum fl_journal_kind)kept.kind, kept.number, text, ctx);
    }
    if (error != FL_OK)
        return error;
    j->rewriting = false;
    j->rewrites++;
    return FL_OK;
}

enum fl_error fl_journal_sync_failed(struct fl_journal *journal, struct fl_context *ctx)
{
    struct fl_journal *j = journal;

    j->attempt++;
    j->spoiled = true;
    if (!j->retain) {
        j->tainted = j->writing ? fl_journal_current(j)->sequence : 0;
        j->must_checkpoint = true;
        /* One that began before does not cover what the failed file holds. */
        j->pending = (struct journal_base){0};
        j->ended = (struct journal_base){0};
        return FL_OK;
    }
    j->rewriting = true;
    return put_again(j, ctx);
}

enum fl_error fl_journal_sync(struct fl_journal *journal, struct fl_context *ctx)
{
    struct fl_journal_unsynced unsynced;
    enum fl_error error = FL_OK;
    int tries = 0;

    if (journal->rewriting)
        error = put_again(journal, ctx);
    while (error == FL_OK && fl_journal_unsynced(journal, false, &unsynced)) {
        enum fl_error synced = FL_OK;

        for (size_t i = 0; i < unsynced.count && synced == FL_OK; i++)
            synced = journal->files.sync(journal->files.self, unsynced.names[i], ctx);
        if (synced == FL_OK) {
            fl_journal_synced(journal, &unsynced);
            continue;
        }
        error = fl_journal_sync_failed(journal, ctx);
        if (error == FL_OK && (!journal->retain || ++tries == SYNC_TRIES))
            return fl_fail_in(ctx, synced, "journal");
    }
    return error;
}
