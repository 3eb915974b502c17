/* SPDX-License-Identifier: Apache-2.0
 *
 * The world as small tables of functions: clock, random, files. Declared here, implemented in io/,
 * and each with a fault-injecting twin in test/. Modules get them from their caller and never reach
 * around them.
 */
#ifndef FL_BASE_WORLD_H
#define FL_BASE_WORLD_H

#include "base/buffer.h"
#include "base/time.h"

struct fl_clock {
    fl_time_t (*now)(void *self);       /* ms since the epoch, UTC; may jump */
    fl_time_t (*monotonic)(void *self); /* ms since some start; never goes back */
    void *self;
};

struct fl_random {
    /* Fills all of it with bytes fit for keys; does not return otherwise. */
    void (*fill)(void *self, void *to, size_t size);
    void *self;
};

static inline fl_time_t fl_clock_now(const struct fl_clock *clock)
{
    return clock->now(clock->self);
}

static inline fl_time_t fl_clock_monotonic(const struct fl_clock *clock)
{
    return clock->monotonic(clock->self);
}

/* A folder of files, for what must survive a power cut: the agent's outbox, slots, state. Names are
 * plain file names. What fl_file_sync returned FL_OK for is on stable storage; anything after may
 * be lost, torn or reordered. */
struct fl_files {
    /* Up to `size` bytes from `offset`; fewer at the end of the file. FL_ENOTFOUND. */
    enum fl_error (*read)(void *self, const char *name, uint64_t offset, void *to, size_t size,
                          size_t *got, struct fl_context *ctx);
    /* Writes at `offset`, making the file when it is not there. FL_EFULL: no space. */
    enum fl_error (*write)(void *self, const char *name, uint64_t offset, struct fl_slice data,
                           struct fl_context *ctx);
    /* The file's data and its name in the folder reach stable storage. */
    enum fl_error (*sync)(void *self, const char *name, struct fl_context *ctx);
    /* As sync, and from now on `read` gives what storage holds: after a failed sync memory may show
     * what never got there. For recovery, before the file is read. FL_ENOTFOUND. */
    enum fl_error (*settle)(void *self, const char *name, struct fl_context *ctx);
    /* The file is at least `size` bytes long and has the space for them, made when it is not there;
     * what is new reads as zeros. Writes within it need no space later. FL_EFULL: the file may be
     * longer than it was, with some of the space. */
    enum fl_error (*allocate)(void *self, const char *name, uint64_t size, struct fl_context *ctx);
    /* Atomic replacement of `to`; durable when it returns. */
    enum fl_error (*rename)(void *self, const char *from, const char *to, struct fl_context *ctx);
    enum fl_error (*truncate)(void *self, const char *name, uint64_t size, struct fl_context *ctx);
    enum fl_error (*remove)(void *self, const char *name, struct fl_context *ctx);
    /* FL_ENOTFOUND. */
    enum fl_error (*size)(void *self, const char *name, uint64_t *size, struct fl_context *ctx);
    /* Every name once, in byte order. */
    enum fl_error (*list)(void *self, void (*visit)(void *to, const char *name), void *to,
                          struct fl_context *ctx);
    void *self;
};

#endif
