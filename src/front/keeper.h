/* SPDX-License-Identifier: Apache-2.0
 *
 * The front's log (proto/journal), shared by its worker threads. A worker gathers the records of a
 * loop round, appends them in one go and gets a ticket; what it wants to acknowledge waits until
 * `committed` has reached the ticket. With `os` that is at once: the bytes are with the kernel and
 * survive the process. With `disk` one thread of the keeper's syncs for all who wait (group commit)
 * and wakes each waiting worker at most once for a sync.
 *
 * A ticket that was given is never taken back: after a sync that failed the bytes are written again
 * elsewhere and are committed later. When that fails, too, the keeper is broken: nothing more is
 * committed, every member is told, and the process must end and let recovery decide. All functions
 * may be called from any thread but where it says otherwise; see docs/design/keeper.md.
 */
#ifndef FL_FRONT_KEEPER_H
#define FL_FRONT_KEEPER_H

#include "codec/counters.h"
#include "io/loop.h"
#include "proto/journal.h"

enum fl_durability { FL_DURABILITY_OS, FL_DURABILITY_DISK };

struct fl_keeper;

struct fl_keeper_config {
    const char *folder; /* as this process sees it, "/broker"; exists and is the keeper's alone */
    const struct fl_files *files; /* instead of the folder, for tests: safe in any thread */
    size_t members;               /* checkpoints begin only while exactly so many have joined */
    uint8_t key[FL_SEAL_KEY];
    enum fl_durability durability;
    uint64_t max_bytes;     /* as fl_journal_config */
    uint32_t segment_bytes; /* as fl_journal_config */
    const struct fl_random *random;
    const struct fl_clock *clock;
};

/* One worker. The caller's, zero-initialised but for the calls and `self`; they are made in the
 * worker's loop, and it may call the keeper from them. */
struct fl_keeper_member {
    /* Everything up to `committed` is. Made while the member waits for a ticket, once for a sync at
     * most; that ticket may be higher still. */
    void (*committed)(struct fl_keeper_member *member, uint64_t committed);
    /* Walk your own state and append all of it, in as many rounds as it takes; then
     * fl_keeper_walked with this generation. A higher one replaces one not finished. */
    void (*checkpoint)(struct fl_keeper_member *member, uint64_t generation);
    /* The keeper is broken: acknowledge nothing more. Once. */
    void (*broken)(struct fl_keeper_member *member, const char *words);
    void *self;

    struct { /* the keeper's */
        struct fl_keeper *keeper;
        struct fl_loop *loop;
        struct fl_watch watch;
        struct fl_list node;
        uint64_t first_waited; /* 0: none; lowest and highest ticket not told yet */
        uint64_t last_waited;
        uint64_t walking; /* generation it owes; 0: none */
        bool tell_checkpoint;
        bool tell_broken;
        bool told_broken;
        bool woken; /* its event is set and not taken yet */
    } own;
};

struct fl_keeper_status {
    struct fl_journal_stats journal;
    bool broken;
    char words[512];                 /* why broken, or what failed last; empty: nothing */
    struct fl_counters_log counters; /* since the start */
};

/* Opens the folder and the log, and says in the log what recovery found. Errors of fl_files_open
 * and fl_journal_open. */
FL_MUST_USE enum fl_error fl_keeper_open(const struct fl_keeper_config *config,
                                         struct fl_keeper **keeper, struct fl_context *ctx);
/* As fl_journal_replay, once, before the first append and in one thread; then starts the keeper's
 * two threads. FL_ENOMEM: no thread. */
FL_MUST_USE enum fl_error fl_keeper_replay(struct fl_keeper *keeper, fl_journal_visit_fn visit,
                                           void *self, struct fl_context *ctx);
/* In one thread, after all members left. Commits what was appended, notes the orderly end, ends the
 * thread. False: something could not be committed (the words are in the log). NULL: true. */
bool fl_keeper_close(struct fl_keeper *keeper);

/* In the member's thread. FL_ELIMIT: FL_LIMIT_KEEPER_MEMBERS; FL_EIO: no event descriptor. */
FL_MUST_USE enum fl_error fl_keeper_join(struct fl_keeper *keeper, struct fl_keeper_member *member,
                                         struct fl_loop *loop, struct fl_context *ctx);
/* In the member's thread. Joining and leaving drop a checkpoint that is under way: it would miss
 * somebody's state. Leaving twice is harmless. */
void fl_keeper_leave(struct fl_keeper_member *member);

/* Writes the records as one block; they are replayed together. `ticket` is higher than all before.
 * With a `member` its `committed` is called when the ticket is; not when it is committed already on
 * return, as with `os` always. FL_EFULL: no space; FL_EBUSY: the disk is behind; FL_ELIMIT: over
 * fl_keeper_append_max; FL_EIO: broken, or this write failed. After any error nothing was taken and
 * the caller must not acknowledge. */
FL_MUST_USE enum fl_error fl_keeper_append(struct fl_keeper *keeper,
                                           struct fl_keeper_member *member, struct fl_slice records,
                                           uint64_t *ticket, struct fl_context *ctx);
size_t fl_keeper_append_max(const struct fl_keeper *keeper);
/* Tickets up to this one are committed. Atomic, cheap. */
uint64_t fl_keeper_committed(const struct fl_keeper *keeper);
/* Refuse new work, in words: the log is near its limits. Atomic, cheap. */
bool fl_keeper_is_tight(const struct fl_keeper *keeper);
bool fl_keeper_is_broken(const struct fl_keeper *keeper);

/* --- checkpoints: the keeper begins them by itself when the log has grown --- */

/* So many records were appended, or read back: beyond FL_LIMIT_LOG_REPLAY, and twice what the last
 * checkpoint took, another one begins, so that a restart does not take long. */
void fl_keeper_count(struct fl_keeper *keeper, uint64_t records);
/* Begins one soon, with all members. */
void fl_keeper_want_checkpoint(struct fl_keeper *keeper);
/* The member's whole state as of its `checkpoint` call or later has been appended. The last member
 * completes the checkpoint. Harmless when `generation` is not the current one any more. */
void fl_keeper_walked(struct fl_keeper_member *member, uint64_t generation);
/* The generation that is being walked; 0: none (finished or dropped: stop walking). Atomic. */
uint64_t fl_keeper_walking(const struct fl_keeper *keeper);
/* It could not be (no space): the checkpoint is dropped and tried again later. */
void fl_keeper_walk_failed(struct fl_keeper_member *member, uint64_t generation);

void fl_keeper_status(struct fl_keeper *keeper, struct fl_keeper_status *status);

#endif
