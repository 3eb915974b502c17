/* SPDX-License-Identifier: Apache-2.0 */
#include "test/twin/files_twin.h"

#include "base/assert.h"
#include "base/str.h"

#include <stdlib.h>

#define FILES_MAX 4096
#define SECTOR 64 /* what is torn: smaller than a real one, to tear small records, too */

enum kind { WRITE, TRUNCATE, REMOVE };

struct change {
    struct change *next;
    enum kind kind;
    uint64_t offset; /* or the new size */
    size_t size;
    uint8_t data[];
};

struct content {
    bool exists;
    uint8_t *data;
    size_t size;
};

struct file {
    char name[64];
    struct content live; /* what the program sees */
    struct content disk; /* what surely survives */
    struct change *changes;
    struct change **last;
};

struct fl_files_twin {
    struct file *files[FILES_MAX]; /* sorted by name */
    size_t count;
    uint64_t random;
    uint64_t changes;
    uint64_t crash_at;
    bool dead;
    uint64_t space;
    uint64_t failing_syncs;
    uint64_t failing_removes;
};

static uint64_t next_random(struct fl_files_twin *twin)
{
    twin->random ^= twin->random << 13;
    twin->random ^= twin->random >> 7;
    twin->random ^= twin->random << 17;
    return twin->random;
}

static bool chance(struct fl_files_twin *twin, unsigned in)
{
    return next_random(twin) % in == 0;
}

/* --- contents --- */

static void resize(struct content *c, size_t size)
{
    uint8_t *data = realloc(c->data, size ? size : 1);

    fl_assert(data);
    c->data = data;
    if (size > c->size)
        memset(c->data + c->size, 0, size - c->size);
    c->size = size;
}

static void put(struct content *c, uint64_t offset, const uint8_t *data, size_t size)
{
    c->exists = true;
    if (offset + size > c->size)
        resize(c, (size_t)offset + size);
    if (size)
        memcpy(c->data + offset, data, size);
}

static void clear(struct content *c)
{
    free(c->data);
    *c = (struct content){0};
}

static void copy(struct content *to, const struct content *from)
{
    clear(to);
    if (from->exists)
        put(to, 0, from->data, from->size);
}

static void apply(struct content *c, const struct change *change)
{
    switch (change->kind) {
    case WRITE:
        put(c, change->offset, change->data, change->size);
        break;
    case TRUNCATE:
        resize(c, (size_t)change->offset);
        break;
    case REMOVE:
        clear(c);
        break;
    }
}

static void forget_changes(struct file *file)
{
    while (file->changes) {
        struct change *next = file->changes->next;
        free(file->changes);
        file->changes = next;
    }
    file->last = &file->changes;
}

/* --- crashing --- */

/* What a power cut leaves of one unsynced write: each sector for itself. */
static void apply_torn(struct fl_files_twin *twin, struct content *c, const struct change *change)
{
    for (size_t at = 0; at < change->size; at += SECTOR) {
        size_t size = change->size - at < SECTOR ? change->size - at : SECTOR;
        uint8_t junk[SECTOR];

        switch (next_random(twin) % 4) {
        case 0: /* the file has grown, the data have not arrived */
            memset(junk, 0, sizeof junk);
            put(c, change->offset + at, junk, size);
            break;
        case 1:
            for (size_t i = 0; i < sizeof junk; i++)
                junk[i] = (uint8_t)next_random(twin);
            put(c, change->offset + at, junk, size);
            break;
        case 2:
            break;
        default:
            put(c, change->offset + at, change->data + at, size);
            break;
        }
    }
}

static void apply_after_power_cut(struct fl_files_twin *twin, struct file *file)
{
    uint64_t mood = next_random(twin) % 4;

    for (const struct change *c = file->changes; c; c = c->next) {
        bool kept = mood == 0 || (mood != 1 && chance(twin, 2));
        if (c->kind == REMOVE && !kept)
            break; /* the old file is back; what came after was another file */
        if (kept)
            apply(&file->disk, c);
        else if (c->kind == WRITE && mood == 2)
            apply_torn(twin, &file->disk, c);
    }
}

static void drop_absent(struct fl_files_twin *twin)
{
    size_t kept = 0;

    for (size_t i = 0; i < twin->count; i++) {
        struct file *file = twin->files[i];
        if (file->live.exists || file->disk.exists || file->changes) {
            twin->files[kept++] = file;
            continue;
        }
        clear(&file->live);
        clear(&file->disk);
        free(file);
    }
    twin->count = kept;
}

void fl_files_twin_restart(struct fl_files_twin *twin, enum fl_files_twin_crash kind)
{
    for (size_t i = 0; kind == FL_TWIN_POWER && i < twin->count; i++) {
        struct file *file = twin->files[i];
        apply_after_power_cut(twin, file);
        forget_changes(file);
        copy(&file->live, &file->disk);
    }
    drop_absent(twin);
    twin->dead = false;
    twin->crash_at = 0;
    twin->changes = 0;
}

/* Counts a change. True: it is the crash, and `*happens` says whether it still took place. */
static bool crashes(struct fl_files_twin *twin, bool *happens)
{
    *happens = true;
    twin->changes++;
    if (twin->changes != twin->crash_at)
        return false;
    twin->dead = true;
    *happens = chance(twin, 2);
    return true;
}

static enum fl_error dead(struct fl_context *ctx)
{
    return fl_fail(ctx, FL_EIO, "the power is off");
}

/* --- files --- */

static size_t place_of(const struct fl_files_twin *twin, const char *name)
{
    size_t at = 0;

    while (at < twin->count && strcmp(twin->files[at]->name, name) < 0)
        at++;
    return at;
}

static struct file *find(const struct fl_files_twin *twin, const char *name)
{
    size_t at = place_of(twin, name);

    return at < twin->count && strcmp(twin->files[at]->name, name) == 0 ? twin->files[at] : NULL;
}

static struct file *find_live(const struct fl_files_twin *twin, const char *name)
{
    struct file *file = find(twin, name);

    return file && file->live.exists ? file : NULL;
}

static struct file *find_or_add(struct fl_files_twin *twin, const char *name)
{
    struct file *file = find(twin, name);
    size_t at = place_of(twin, name);

    if (file)
        return file;
    fl_assert(twin->count < FILES_MAX);
    file = calloc(1, sizeof *file);
    fl_assert(file && fl_str_copy(file->name, sizeof file->name, name));
    file->last = &file->changes;
    memmove(twin->files + at + 1, twin->files + at, (twin->count - at) * sizeof *twin->files);
    twin->files[at] = file;
    twin->count++;
    return file;
}

static void change(struct file *file, enum kind kind, uint64_t offset, const uint8_t *data,
                   size_t size)
{
    struct change *c = calloc(1, sizeof *c + size);

    fl_assert(c);
    c->kind = kind;
    c->offset = offset;
    c->size = size;
    if (size)
        memcpy(c->data, data, size);
    *file->last = c;
    file->last = &c->next;
    apply(&file->live, c);
}

static uint64_t used(const struct fl_files_twin *twin)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < twin->count; i++)
        sum += twin->files[i]->live.size;
    return sum;
}

static enum fl_error twin_read(void *self, const char *name, uint64_t offset, void *to, size_t size,
                               size_t *got, struct fl_context *ctx)
{
    struct fl_files_twin *twin = self;
    const struct file *file = find_live(twin, name);

    *got = 0;
    if (twin->dead)
        return dead(ctx);
    if (!file)
        return FL_ENOTFOUND;
    if (offset < file->live.size) {
        size_t left = file->live.size - (size_t)offset;
        *got = left < size ? left : size;
        if (*got)
            memcpy(to, file->live.data + offset, *got);
    }
    return FL_OK;
}

static enum fl_error twin_write(void *self, const char *name, uint64_t offset, struct fl_slice data,
                                struct fl_context *ctx)
{
    struct fl_files_twin *twin = self;
    bool happens = false;
    bool crash = false;
    struct file *file = NULL;
    uint64_t growth = 0;
    size_t size = data.size;

    if (twin->dead)
        return dead(ctx);
    crash = crashes(twin, &happens);
    file = find_or_add(twin, name);
    growth = offset + size > file->live.size ? offset + size - file->live.size : 0;
    if (growth > 0 && used(twin) + growth > twin->space)
        size = (size_t)(next_random(twin) % (size + 1)); /* a part of it fits, or nothing */
    if (used(twin) > twin->space)
        size = 0;
    if (happens)
        change(file, WRITE, offset, data.data, size);
    if (crash)
        return dead(ctx);
    return size == data.size ? FL_OK : fl_fail(ctx, FL_EFULL, "no space");
}

static void lose_some(struct fl_files_twin *twin, struct file *file)
{
    struct change **at = &file->changes;

    while (*at) {
        struct change *c = *at;
        if (c->kind == WRITE && chance(twin, 2)) {
            *at = c->next;
            free(c);
        } else {
            at = &c->next;
        }
    }
    file->last = at;
}

static enum fl_error twin_sync(void *self, const char *name, struct fl_context *ctx)
{
    struct fl_files_twin *twin = self;
    bool happens = false;
    bool crash = false;
    struct file *file = find_live(twin, name);

    if (twin->dead)
        return dead(ctx);
    if (!file)
        return FL_ENOTFOUND;
    crash = crashes(twin, &happens);
    if (twin->failing_syncs > 0 && !crash) {
        /* As Linux does it: the pages count as clean now, still show what was written, and may
         * never reach the disk, whatever later syncs say. */
        twin->failing_syncs--;
        lose_some(twin, file);
        return fl_fail(ctx, FL_EIO, "the sync failed");
    }
    if (happens) {
        for (const struct change *c = file->changes; c; c = c->next)
            apply(&file->disk, c);
        forget_changes(file);
    }
    return crash ? dead(ctx) : FL_OK;
}

static enum fl_error twin_settle(void *self, const char *name, struct fl_context *ctx)
{
    struct fl_files_twin *twin = self;
    struct file *file = find_live(twin, name);
    enum fl_error error = twin_sync(self, name, ctx);

    if (error == FL_OK)
        copy(&file->live, &file->disk);
    return error;
}

static enum fl_error twin_allocate(void *self, const char *name, uint64_t size,
                                   struct fl_context *ctx)
{
    struct fl_files_twin *twin = self;
    const struct file *file = find_live(twin, name);
    uint64_t at = file ? file->live.size : 0;
    uint8_t *zeros = calloc(1, size > at ? size - at : 1);
    enum fl_error error = FL_OK;

    fl_assert(zeros);
    error = twin_write(self, name, at, fl_slice(zeros, size > at ? size - at : 0), ctx);
    free(zeros);
    return error;
}

static enum fl_error twin_rename(void *self, const char *from, const char *to,
                                 struct fl_context *ctx)
{
    struct fl_files_twin *twin = self;
    bool happens = false;
    bool crash = false;
    struct file *source = find_live(twin, from);
    struct file *target = NULL;

    if (twin->dead)
        return dead(ctx);
    if (!source)
        return FL_ENOTFOUND;
    crash = crashes(twin, &happens);
    if (happens) {
        target = find_or_add(twin, to);
        copy(&target->live, &source->live);
        copy(&target->disk, &source->live);
        forget_changes(target);
        clear(&source->live);
        clear(&source->disk);
        forget_changes(source);
        drop_absent(twin);
    }
    return crash ? dead(ctx) : FL_OK;
}

static enum fl_error twin_truncate(void *self, const char *name, uint64_t size,
                                   struct fl_context *ctx)
{
    struct fl_files_twin *twin = self;
    bool happens = false;
    bool crash = false;
    struct file *file = find_live(twin, name);

    if (twin->dead)
        return dead(ctx);
    if (!file)
        return FL_ENOTFOUND;
    crash = crashes(twin, &happens);
    if (happens)
        change(file, TRUNCATE, size, NULL, 0);
    return crash ? dead(ctx) : FL_OK;
}

static enum fl_error twin_remove(void *self, const char *name, struct fl_context *ctx)
{
    struct fl_files_twin *twin = self;
    bool happens = false;
    bool crash = false;
    struct file *file = find_live(twin, name);

    if (twin->dead)
        return dead(ctx);
    if (!file)
        return FL_ENOTFOUND;
    crash = crashes(twin, &happens);
    if (twin->failing_removes > 0 && !crash) {
        twin->failing_removes--;
        return fl_fail(ctx, FL_EIO, "the removal failed");
    }
    if (happens)
        change(file, REMOVE, 0, NULL, 0);
    return crash ? dead(ctx) : FL_OK;
}

static enum fl_error twin_size(void *self, const char *name, uint64_t *size, struct fl_context *ctx)
{
    struct fl_files_twin *twin = self;
    const struct file *file = find_live(twin, name);

    if (twin->dead)
        return dead(ctx);
    *size = file ? file->live.size : 0;
    return file ? FL_OK : FL_ENOTFOUND;
}

static enum fl_error twin_list(void *self, void (*visit)(void *to, const char *name), void *to,
                               struct fl_context *ctx)
{
    struct fl_files_twin *twin = self;

    if (twin->dead)
        return dead(ctx);
    for (size_t i = 0; i < twin->count; i++)
        if (twin->files[i]->live.exists)
            visit(to, twin->files[i]->name);
    return FL_OK;
}

/* --- the twin --- */

struct fl_files_twin *fl_files_twin_new(uint64_t seed)
{
    struct fl_files_twin *twin = calloc(1, sizeof *twin);

    fl_assert(twin);
    twin->random = seed * 0x9E3779B97F4A7C15U + 1;
    twin->space = UINT64_MAX;
    for (int i = 0; i < 8; i++)
        (void)next_random(twin);
    return twin;
}

void fl_files_twin_free(struct fl_files_twin *twin)
{
    if (!twin)
        return;
    for (size_t i = 0; i < twin->count; i++) {
        forget_changes(twin->files[i]);
        clear(&twin->files[i]->live);
        clear(&twin->files[i]->disk);
        free(twin->files[i]);
    }
    free(twin);
}

struct fl_files fl_files_twin_files(struct fl_files_twin *twin)
{
    return (struct fl_files){
        .read = twin_read,
        .write = twin_write,
        .sync = twin_sync,
        .settle = twin_settle,
        .allocate = twin_allocate,
        .rename = twin_rename,
        .truncate = twin_truncate,
        .remove = twin_remove,
        .size = twin_size,
        .list = twin_list,
        .self = twin,
    };
}

uint64_t fl_files_twin_changes(struct fl_files_twin *twin)
{
    uint64_t changes = twin->changes;

    twin->changes = 0;
    return changes;
}

void fl_files_twin_crash_at(struct fl_files_twin *twin, uint64_t change_number)
{
    twin->changes = 0;
    twin->crash_at = change_number;
}

void fl_files_twin_space(struct fl_files_twin *twin, uint64_t bytes)
{
    twin->space = bytes;
}

void fl_files_twin_fail_syncs(struct fl_files_twin *twin, uint64_t count)
{
    twin->failing_syncs = count;
}

void fl_files_twin_fail_removes(struct fl_files_twin *twin, uint64_t count)
{
    twin->failing_removes = count;
}

void fl_files_twin_rot(struct fl_files_twin *twin, const char *name, uint64_t offset)
{
    struct file *file = find_live(twin, name);

    fl_assert(file && offset < file->live.size);
    file->live.data[offset] ^= 0x10;
    if (offset < file->disk.size)
        file->disk.data[offset] ^= 0x10;
}

size_t fl_files_twin_count(const struct fl_files_twin *twin)
{
    size_t count = 0;

    for (size_t i = 0; i < twin->count; i++)
        count += twin->files[i]->live.exists;
    return count;
}
