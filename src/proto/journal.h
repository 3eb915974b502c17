/* SPDX-License-Identifier: Apache-2.0
 *
 * An append-only, encrypted log of what a process must not forget, in preallocated segment files.
 * Each append is one block, sealed with AES-256-GCM and numbered over the whole log; positions
 * count blocks. Reading it back gives every block once and in order, from the latest complete
 * checkpoint. What was appended survives the process at once, and power cuts once its position is
 * synced.
 *
 * The engine never syncs what it appends: it says which files to sync and is told when it is done,
 * so that another thread can do it with a `struct fl_files` of its own. The same holds for chores
 * (making the next segment, removing old ones). Not thread-safe, no clock. Format, rules of
 * recovery and why: docs/design/journal.md.
 */
#ifndef FL_PROTO_JOURNAL_H
#define FL_PROTO_JOURNAL_H

#include "base/limits.h"
#include "base/world.h"
#include "proto/segment.h"
#include "trust/seal.h"

#define FL_JOURNAL_SEGMENT_MIN 16384
#define FL_JOURNAL_SEGMENTS_MIN 6 /* max_bytes is at least so many segments */
#define FL_JOURNAL_NAME_MAX FL_SEGMENT_NAME_MAX
#define FL_JOURNAL_PLACES 8 /* of damage, told one by one; the rest is counted */
#define FL_JOURNAL_SYNCS 8  /* files named at a time */

struct fl_journal;

struct fl_journal_config {
    const struct fl_files *files; /* both outlive the journal */
    const struct fl_random *random;
    uint8_t key[FL_SEAL_KEY];
    uint32_t segment_bytes; /* a multiple of 4096; 0: FL_LIMIT_JOURNAL_SEGMENT */
    uint64_t max_bytes;     /* on disk; 0: FL_LIMIT_JOURNAL_SEGMENTS_DEFAULT segments */
    /* Keep in memory what is not synced yet, so that it can be written again elsewhere after a sync
     * that failed. Without it a failed sync asks for a checkpoint. */
    bool retain;
};

struct fl_journal_place {
    char name[FL_JOURNAL_NAME_MAX]; /* file where reading went wrong, or after which it goes on */
    uint64_t offset;                /* in it: where the first missing block should begin */
    uint64_t first;                 /* blocks that are missing: [first, next) */
    uint64_t next;
};

struct fl_journal_stats {
    uint64_t last;    /* position of the last append; 0: none ever */
    uint64_t durable; /* blocks up to this position are known to be on stable storage */
    uint64_t base;    /* sequence number of the first segment a restart needs */
    uint64_t bytes;   /* on disk, free segments included */
    uint64_t max_bytes;
    uint64_t segments;         /* files, free ones included */
    uint64_t free;             /* of them, to be used again */
    uint64_t since_checkpoint; /* bytes */
    uint64_t checkpoint_bytes; /* that the last complete checkpoint took */
    uint64_t retained;         /* bytes in memory for `retain` */
    uint64_t rewrites;         /* times unsynced blocks were written again */
    /* Of recovery. */
    uint64_t recovered;  /* blocks found */
    uint64_t damaged;    /* blocks that were on stable storage once and cannot be read now */
    uint64_t torn;       /* blocks begun behind the end: never synced, dropped */
    uint64_t unreadable; /* segments without a readable header */
    struct fl_journal_place places[FL_JOURNAL_PLACES]; /* of `damaged` */
    size_t place_count;                                /* all; at most FL_JOURNAL_PLACES kept */
};

/* Opens and checks what is there; changes nothing on disk (it syncs). FL_EINVAL: config; FL_EAUTH:
 * written with another key; FL_EUNSUPPORTED: by a newer version; FL_ELIMIT: too many files;
 * FL_ENOMEM, FL_EIO. */
FL_MUST_USE enum fl_error fl_journal_open(const struct fl_journal_config *config,
                                          struct fl_journal **journal, struct fl_context *ctx);
void fl_journal_close(struct fl_journal *journal); /* writes nothing; NULL is harmless */

/* Every append since the beginning of the latest complete checkpoint, in order: `position` is the
 * one that its append gave. Records of a checkpoint that never ended are among them, as records of
 * any kind. Must be called once before the first append. Damage does not end it: it is counted and
 * placed in the stats (and was found by the open). An error of `visit` ends it and is returned. */
typedef enum fl_error (*fl_journal_visit_fn)(void *self, struct fl_slice records, uint64_t position,
                                             struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_journal_replay(struct fl_journal *journal, fl_journal_visit_fn visit,
                                            void *self, struct fl_context *ctx);

/* One block. `position` (may be NULL): it is on stable storage when stats.durable has reached this.
 * FL_EFULL: no space, or over max_bytes; FL_EBUSY: FL_LIMIT_JOURNAL_RETAINED bytes wait for syncs,
 * or the next segment is being made by a chore; FL_ELIMIT: more than fl_journal_append_max;
 * FL_ESTATE: not replayed. After any error the log is as it was and further appends are possible;
 * only after FL_EIO a restart before the next append may find the failed block after all. */
FL_MUST_USE enum fl_error fl_journal_append(struct fl_journal *journal, struct fl_slice records,
                                            uint64_t *position, struct fl_context *ctx);
size_t fl_journal_append_max(const struct fl_journal *journal);
/* No room for much more: the owner should refuse new work, in words, and go on with what ends old
 * work. What is left is kept for a checkpoint. */
bool fl_journal_is_tight(const struct fl_journal *journal);
/* True when an append of `size` must begin a segment while a chore makes it: wait for the chore. */
bool fl_journal_must_wait(const struct fl_journal *journal, size_t size);

/* --- checkpoints --- */

/* The log has grown so much since the last one that reading it back would take long. */
bool fl_journal_wants_checkpoint(const struct fl_journal *journal);
/* Begins a segment; the owner then appends its whole live state by ordinary appends, among others
 * and over any time. Beginning again drops the one that was begun. FL_EFULL and others of append.
 */
FL_MUST_USE enum fl_error fl_journal_checkpoint_begin(struct fl_journal *journal,
                                                      struct fl_context *ctx);
/* The state is complete. Once this position is synced, older segments are free. FL_ESTATE: none was
 * begun; errors of append, after which it can be tried again. */
FL_MUST_USE enum fl_error fl_journal_checkpoint_end(struct fl_journal *journal, uint64_t *position,
                                                    struct fl_context *ctx);
/* Gives up the one that was begun; what was appended for it stays, as records like any. */
void fl_journal_checkpoint_drop(struct fl_journal *journal);

/* --- what must be synced --- */

struct fl_journal_unsynced {
    char names[FL_JOURNAL_SYNCS][FL_JOURNAL_NAME_MAX];
    size_t count;      /* 0: nothing */
    uint64_t position; /* durable once all of them are synced */
    uint64_t attempt;  /* for fl_journal_synced */
};

/* `closed_only`: only segments that get no further appends. True when there is something. */
bool fl_journal_unsynced(struct fl_journal *journal, bool closed_only,
                         struct fl_journal_unsynced *unsynced);
/* They were synced after they were named. */
void fl_journal_synced(struct fl_journal *journal, const struct fl_journal_unsynced *unsynced);
/* A sync of one of them failed, and nobody knows what storage holds of it. With `retain` what is
 * not durable is written again into a new segment, now, and named by the next fl_journal_unsynced.
 * An error: that failed, too (FL_EIO, FL_EFULL); it may be tried again. */
FL_MUST_USE enum fl_error fl_journal_sync_failed(struct fl_journal *journal,
                                                 struct fl_context *ctx);
/* Syncs all of it here and now, with the journal's own files: for one thread. */
FL_MUST_USE enum fl_error fl_journal_sync(struct fl_journal *journal, struct fl_context *ctx);
/* Notes in the log what is durable, so that a later reader can tell damage from a torn end. One
 * more block; for an orderly end, between two syncs. */
FL_MUST_USE enum fl_error fl_journal_note(struct fl_journal *journal, struct fl_context *ctx);

/* --- chores --- */

struct fl_journal_chore {
    enum { FL_JOURNAL_MAKE, FL_JOURNAL_RECYCLE, FL_JOURNAL_REMOVE } kind;
    char from[FL_JOURNAL_NAME_MAX]; /* RECYCLE, REMOVE */
    char to[FL_JOURNAL_NAME_MAX];   /* MAKE, RECYCLE */
    uint64_t size;
};

/* True: `chore` is to be done now, elsewhere; the journal leaves its files alone until it is told.
 * At most one at a time. */
bool fl_journal_chore(struct fl_journal *journal, struct fl_journal_chore *chore);
/* Does it, with any `files` of the same folder; touches no journal. FL_EFULL, FL_EIO. */
FL_MUST_USE enum fl_error fl_journal_chore_run(const struct fl_files *files,
                                               const struct fl_journal_chore *chore,
                                               struct fl_context *ctx);
void fl_journal_chore_done(struct fl_journal *journal, const struct fl_journal_chore *chore,
                           enum fl_error result);

/* Of the segment that is written to; 0: none yet. Changes when there is something for chores. */
uint64_t fl_journal_sequence(const struct fl_journal *journal);
struct fl_journal_stats fl_journal_stats(const struct fl_journal *journal);

#endif
