/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery: what of the files counts, where it ends, where replay begins. The rules are in
 * docs/design/journal.md.
 */
#include "proto/journal_internal.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#define CANDIDATES 16 /* complete checkpoints considered: the latest ones */

/* --- the files --- */

struct listing {
    struct fl_journal *j;
    enum fl_error error;
    struct fl_context *ctx;
};

static void on_name(void *to, const char *name)
{
    struct listing *l = to;
    struct journal_segment segment = {.state = JOURNAL_FREE};

    if (l->error == FL_OK && fl_journal_name_parse(name, &segment.sequence))
        l->error = fl_journal_add_segment(l->j, &segment, l->ctx);
}

static enum fl_error read_at(struct fl_journal *j, const char *name, uint64_t offset, uint8_t *to,
                             size_t size, struct fl_context *ctx)
{
    size_t got = 0;
    enum fl_error error = j->files.read(j->files.self, name, offset, to, size, &got, ctx);

    memset(to + got, 0, size - got);
    return error == FL_OK
               ? FL_OK
               : fl_fail_in(ctx, error, "journal: at offset %llu", (unsigned long long)offset);
}

static bool blank(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* What the two copies say together. */
static enum fl_error judge(struct fl_journal *j, struct journal_segment *segment,
                           const uint8_t *first, const uint8_t *second, struct fl_context *ctx)
{
    const uint8_t *const copies[] = {first, second};
    bool other = false;

    for (size_t i = 0; i < 2; i++) {
        enum fl_error error = fl_journal_header_decode(copies[i], &segment->header);

        if (error == FL_EUNSUPPORTED)
            return fl_fail(ctx, error,
                           "journal: segment %llu is of another version of the format: it was "
                           "written by a newer program",
                           (unsigned long long)segment->sequence);
        if (error == FL_OK && segment->header.sequence == segment->sequence) {
            segment->state = JOURNAL_LIVE;
            return FL_OK;
        }
        other = other || error == FL_OK;
    }
    /* An earlier use of the file, or none: no header of its own was ever written. */
    if (!other &&
        !(blank(first, FL_JOURNAL_HEADER_SIZE) && blank(second, FL_JOURNAL_HEADER_SIZE))) {
        segment->state = JOURNAL_UNREADABLE;
        j->found.unreadable++;
    }
    return FL_OK;
}

static enum fl_error read_header(struct fl_journal *j, struct journal_segment *segment,
                                 struct fl_context *ctx)
{
    uint8_t first[FL_JOURNAL_HEADER_SIZE];
    uint8_t second[FL_JOURNAL_HEADER_SIZE];
    char name[FL_JOURNAL_NAME_MAX];
    enum fl_error error = FL_OK;

    fl_journal_name(name, segment->sequence);
    error = j->files.settle(j->files.self, name, ctx);
    if (error == FL_OK)
        error = j->files.size(j->files.self, name, &segment->size, ctx);
    if (error != FL_OK)
        return fl_fail_in(ctx, error, "journal");
    if (segment->size > JOURNAL_FILE_MAX) {
        segment->state = JOURNAL_UNREADABLE;
        j->found.unreadable++;
        return FL_OK;
    }
    error = read_at(j, name, 0, first, sizeof first, ctx);
    if (error == FL_OK)
        error = read_at(j, name, FL_JOURNAL_HEADER_STEP, second, sizeof second, ctx);
    return error == FL_OK ? judge(j, segment, first, second, ctx) : error;
}

/* Whether the header was written with our key. */
static enum fl_error check_key(struct fl_journal *j, const struct fl_journal_header *header,
                               struct fl_context *ctx)
{
    struct fl_seal *seal = NULL;
    uint8_t bytes[FL_JOURNAL_HEADER_SIZE];
    uint8_t nonce[FL_SEAL_NONCE];
    uint8_t nothing[1];
    enum fl_error error = fl_journal_derive(j, header, &seal, ctx);

    memset(nonce, 0xFF, sizeof nonce);
    fl_journal_header_encode(header, bytes);
    if (error == FL_OK)
        error = fl_seal_open(seal, nonce, fl_slice(bytes, FL_JOURNAL_HEADER_SIGNED),
                             fl_slice(header->check, sizeof header->check), nothing, ctx);
    fl_seal_free(seal);
    return error;
}

static enum fl_error check_keys(struct fl_journal *j, struct fl_context *ctx)
{
    uint64_t ours = 0;
    uint64_t others = 0;

    for (size_t i = 0; i < j->count; i++) {
        struct journal_segment *segment = &j->segments[i];
        enum fl_error error = FL_OK;

        if (segment->state != JOURNAL_LIVE)
            continue;
        error = check_key(j, &segment->header, ctx);
        if (error != FL_OK && error != FL_EAUTH)
            return error;
        ours += error == FL_OK;
        if (error == FL_EAUTH) {
            others++;
            j->found.unreadable++;
            segment->state = JOURNAL_UNREADABLE;
        }
    }
    if (others > 0 && ours == 0)
        return fl_fail(ctx, FL_EAUTH,
                       "journal: the log was written with another key (%llu segments): nothing was "
                       "changed; give the key back, or move the log away to begin a new one",
                       (unsigned long long)others);
    return FL_OK;
}

/* --- one segment's blocks --- */

struct reader {
    struct fl_journal *j;
    const struct journal_segment *segment;
    struct fl_seal *seal;
    uint8_t *image;
    uint8_t *text; /* of the block that was opened last */
    size_t room;   /* of both */
    struct fl_journal_walk walk;
};

static void reader_end(struct reader *r)
{
    fl_seal_free(r->seal);
    if (r->text)
        explicit_bzero(r->text, r->room);
    free(r->image);
    free(r->text);
    *r = (struct reader){0};
}

static enum fl_error reader_begin(struct reader *r, struct fl_journal *j,
                                  const struct journal_segment *segment, struct fl_context *ctx)
{
    char name[FL_JOURNAL_NAME_MAX];
    enum fl_error error = FL_OK;

    if (segment->size > r->room) {
        reader_end(r);
        r->image = malloc((size_t)segment->size);
        r->text = malloc((size_t)segment->size);
        r->room = (size_t)segment->size;
        if (!r->image || !r->text)
            return fl_fail(ctx, FL_ENOMEM, "journal: out of memory");
    }
    r->j = j;
    r->segment = segment;
    fl_seal_free(r->seal);
    error = fl_journal_derive(j, &segment->header, &r->seal, ctx);
    fl_journal_name(name, segment->sequence);
    if (error == FL_OK)
        error = read_at(j, name, 0, r->image, (size_t)segment->size, ctx);
    r->walk = (struct fl_journal_walk){.image = fl_slice(r->image, (size_t)segment->size),
                                       .segment = &segment->header};
    return error;
}

/* Opens the block at the walk's offset into `text`. */
static bool reader_open(struct reader *r, const struct fl_journal_block *block)
{
    const uint8_t *at = r->image + r->walk.offset;
    uint8_t nonce[FL_SEAL_NONCE];
    uint8_t binding[FL_JOURNAL_BINDING];

    fl_journal_nonce(block->number - r->segment->header.first, nonce);
    fl_journal_binding(at, r->segment->sequence, binding);
    return fl_seal_open(r->seal, nonce, fl_slice(binding, sizeof binding),
                        fl_slice(at + FL_JOURNAL_BLOCK_HEADER, block->size + FL_SEAL_TAG), r->text,
                        NULL) == FL_OK;
}

/* The next block that opens, with its text in r->text; `offset` is where it lies. */
static bool reader_next(struct reader *r, struct fl_journal_block *block, uint64_t *offset)
{
    while (fl_journal_walk(&r->walk, block)) {
        *offset = r->walk.offset;
        if (reader_open(r, block)) {
            r->walk.offset += fl_journal_block_size(block->size);
            r->walk.number = block->number + 1;
            return true;
        }
        r->walk.offset += FL_JOURNAL_ALIGN;
    }
    return false;
}

/* --- first look: what is claimed --- */

struct claims {
    uint64_t durable;
    struct journal_base bases[CANDIDATES]; /* in the order of the log */
    size_t count;
};

static void add_base(struct claims *c, const struct journal_base *base)
{
    if (c->count == CANDIDATES) {
        memmove(c->bases, c->bases + 1, (CANDIDATES - 1) * sizeof *base);
        c->count--;
    }
    c->bases[c->count++] = *base;
}

/* A block that opened. */
static void claim(const struct reader *r, struct claims *c, const struct fl_journal_block *block)
{
    struct journal_base base = {.marker = block->number};

    if (block->durable > c->durable)
        c->durable = block->durable;
    if (block->kind != FL_JOURNAL_CHECKPOINT || block->number >= r->segment->bound ||
        block->size != FL_JOURNAL_CHECKPOINT_SIZE)
        return;
    fl_journal_checkpoint_decode(r->text, &base.sequence, &base.block, &base.size);
    add_base(c, &base);
}

static enum fl_error read_claims(struct fl_journal *j, uint64_t from, struct claims *c,
                                 struct fl_context *ctx)
{
    struct reader r = {0};
    struct fl_journal_block block;
    uint64_t offset = 0;
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < j->count && error == FL_OK; i++) {
        if (j->segments[i].state != JOURNAL_LIVE || j->segments[i].sequence < from)
            continue;
        error = reader_begin(&r, j, &j->segments[i], ctx);
        while (error == FL_OK && reader_next(&r, &block, &offset))
            claim(&r, c, &block);
    }
    reader_end(&r);
    return error;
}

/* --- second look: what is there, from a base on --- */

struct pass {
    struct fl_journal *j;
    struct journal_base base;
    uint64_t durable;  /* as claimed */
    uint64_t expected; /* number of the next block */
    bool ended;        /* at a block that was never synced */
    uint64_t since;    /* bytes behind the base's last block */
    struct fl_journal_stats found;
    /* Where the last good block ended. */
    uint64_t sequence;
    uint64_t offset;
    /* Replay only. */
    uint64_t last;
    fl_journal_visit_fn visit;
    void *self;
};

static void damaged(struct pass *p, uint64_t next)
{
    struct fl_journal_stats *found = &p->found;

    if (found->place_count < FL_JOURNAL_PLACES) {
        struct fl_journal_place *place = &found->places[found->place_count];

        fl_journal_name(place->name, p->sequence);
        place->offset = p->offset;
        place->first = p->expected;
        place->next = next;
    }
    found->place_count++;
    found->damaged += next - p->expected;
}

/* One block that opened, at `offset` of `segment`. */
static enum fl_error pass_block(struct pass *p, const struct reader *r,
                                const struct fl_journal_block *block, uint64_t offset,
                                struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (block->number > p->expected) {
        p->ended = p->expected > p->durable;
        if (p->ended)
            return FL_OK;
        damaged(p, block->number);
    }
    if (p->visit && block->kind == FL_JOURNAL_RECORDS)
        error = p->visit(p->self, fl_slice(r->text, block->size), block->number, ctx);
    p->expected = block->number + 1;
    p->sequence = r->segment->sequence;
    p->offset = offset + fl_journal_block_size(block->size);
    p->found.recovered++;
    if (block->number > p->base.marker)
        p->since += fl_journal_block_size(block->size);
    return error;
}

static enum fl_error pass_segment(struct pass *p, struct reader *r, struct journal_segment *segment,
                                  struct fl_context *ctx)
{
    struct fl_journal_block block;
    uint64_t offset = 0;
    enum fl_error error = reader_begin(r, p->j, segment, ctx);

    segment->last = 0;
    while (error == FL_OK && !p->ended && reader_next(r, &block, &offset)) {
        if (block.number >= segment->bound || block.number > p->last)
            break;
        if (block.number < p->expected)
            continue;
        error = pass_block(p, r, &block, offset, ctx);
        if (!p->ended)
            segment->last = block.number;
    }
    return error;
}

static enum fl_error run_pass(struct pass *p, struct fl_context *ctx)
{
    struct reader r = {0};
    enum fl_error error = FL_OK;

    p->expected = p->base.block;
    p->sequence = p->base.sequence;
    p->offset = FL_JOURNAL_DATA;
    for (size_t i = 0; i < p->j->count && error == FL_OK && !p->ended; i++) {
        struct journal_segment *segment = &p->j->segments[i];

        if (segment->state == JOURNAL_LIVE && segment->sequence >= p->base.sequence)
            error = pass_segment(p, &r, segment, ctx);
    }
    reader_end(&r);
    /* Blocks known to have been durable, with nothing readable behind them. */
    if (error == FL_OK && !p->visit && p->expected <= p->durable) {
        damaged(p, p->durable + 1);
        p->expected = p->durable + 1;
    }
    return error;
}

/* --- third: what is dropped --- */

static enum fl_error count_torn(struct fl_journal *j, struct fl_context *ctx)
{
    struct reader r = {0};
    struct fl_journal_block block;
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < j->count && error == FL_OK; i++) {
        const struct journal_segment *segment = &j->segments[i];

        if (segment->state != JOURNAL_LIVE || segment->bound <= j->last + 1)
            continue;
        error = reader_begin(&r, j, segment, ctx);
        r.walk.number = j->last + 1;
        while (error == FL_OK && fl_journal_walk(&r.walk, &block) &&
               block.number < segment->bound) {
            j->found.torn++;
            r.walk.offset += FL_JOURNAL_ALIGN;
        }
    }
    reader_end(&r);
    return error;
}

/* --- all of it --- */

/* The newest checkpoint that is complete, or what the newest header knew of. */
static enum fl_error choose(struct fl_journal *j, const struct claims *c,
                            const struct journal_base *known, struct fl_context *ctx)
{
    struct pass pass = {0};
    enum fl_error error = FL_OK;

    for (size_t i = c->count + 1; i-- > 0 && error == FL_OK;) {
        pass = (struct pass){.j = j,
                             .base = i > 0 ? c->bases[i - 1] : *known,
                             .durable = c->durable,
                             .last = UINT64_MAX,
                             .found = j->found};
        if (pass.base.sequence < known->sequence)
            continue;
        error = run_pass(&pass, ctx);
        /* Its end may be there and what is before it torn: then it never was durable, and what it
         * would have replaced is still there. */
        if (error == FL_OK && pass.expected > pass.base.marker)
            break;
    }
    if (error != FL_OK)
        return error;
    j->base = pass.base;
    j->found = pass.found;
    j->last = pass.expected - 1;
    j->since_checkpoint = pass.since;
    return FL_OK;
}

/* The base that the newest header states, and from which number on older blocks are void. */
static bool know_headers(struct fl_journal *j, struct journal_base *known)
{
    uint64_t bound = UINT64_MAX;
    bool any = false;

    for (size_t i = j->count; i-- > 0;) {
        struct journal_segment *segment = &j->segments[i];

        if (segment->state != JOURNAL_LIVE)
            continue;
        segment->bound = bound;
        if (segment->header.first < bound)
            bound = segment->header.first;
        if (!any)
            *known = (struct journal_base){.sequence = segment->header.base,
                                           .block = segment->header.base_block};
        any = true;
    }
    return any;
}

enum fl_error fl_journal_recover(struct fl_journal *j, struct fl_context *ctx)
{
    struct listing listing = {.j = j, .ctx = ctx};
    struct journal_base known = {0};
    struct claims claims = {0};
    enum fl_error error = j->files.list(j->files.self, on_name, &listing, ctx);

    if (error == FL_OK)
        error = listing.error;
    for (size_t i = 0; i < j->count && error == FL_OK; i++)
        error = read_header(j, &j->segments[i], ctx);
    if (error == FL_OK)
        error = check_keys(j, ctx);
    if (error != FL_OK || !know_headers(j, &known))
        return error;
    error = read_claims(j, known.sequence, &claims, ctx);
    if (error == FL_OK)
        error = choose(j, &claims, &known, ctx);
    if (error == FL_OK)
        error = count_torn(j, ctx);
    /* It was read from storage. */
    j->durable = j->last;
    j->synced = j->last;
    fl_journal_free_segments(j);
    return error;
}

enum fl_error fl_journal_replay(struct fl_journal *journal, fl_journal_visit_fn visit, void *self,
                                struct fl_context *ctx)
{
    struct fl_journal *j = journal;
    struct pass pass = {.j = j,
                        .base = j->base,
                        .durable = UINT64_MAX,
                        .last = j->last,
                        .visit = visit,
                        .self = self};
    enum fl_error error = FL_OK;

    if (j->replayed)
        return fl_fail(ctx, FL_ESTATE, "journal: read already");
    if (j->base.sequence)
        error = run_pass(&pass, ctx);
    j->replayed = error == FL_OK;
    return error;
}
