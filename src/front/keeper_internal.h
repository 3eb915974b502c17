/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside front/keeper: what keeper.c (opening, appending), keeper_threads.c (syncing, chores) and
 * keeper_members.c (workers, checkpoints) share. Everything is under `mutex` but the atomics and
 * what is constant after fl_keeper_replay.
 */
#ifndef FL_FRONT_KEEPER_INTERNAL_H
#define FL_FRONT_KEEPER_INTERNAL_H

#include "front/keeper.h"
#include "io/files.h"

#include <pthread.h>
#include <stdatomic.h>

#define KEEPER_TIMED 4096       /* appends whose time until the commit is measured at once */
#define KEEPER_TRIES 3          /* failed syncs in a row until the keeper is broken */
#define KEEPER_PATIENCE_MS 1000 /* until what nobody waits for is synced */
#define KEEPER_AGAIN_MS 5000    /* until a checkpoint or a chore that failed is tried again */

enum keeper_user { KEEPER_ENGINE, KEEPER_SYNC, KEEPER_CHORES, KEEPER_USERS };

struct fl_keeper {
    struct fl_clock clock;
    size_t member_count_wanted;
    struct fl_files_folder folders[KEEPER_USERS]; /* one each: they are not thread-safe */
    struct fl_files files[KEEPER_USERS];

    pthread_mutex_t mutex;
    pthread_cond_t to_sync; /* something to do for each of the two threads */
    pthread_cond_t to_chores;
    pthread_cond_t chore_done;
    pthread_t sync_thread;
    pthread_t chore_thread;
    enum fl_durability durability;
    unsigned failures; /* of syncs, in a row */
    bool has_mutex;
    bool started;
    bool stopping;
    bool chore; /* is being done */
    bool want_checkpoint;

    struct fl_journal *journal;
    fl_time_t chore_again_at;
    fl_time_t unsynced_since; /* 0: nothing is */

    struct fl_list members;
    size_t member_count;
    size_t waiting; /* members with a ticket that is not committed */
    uint64_t generation;
    fl_time_t checkpoint_again_at;
    uint64_t records;      /* since the last complete checkpoint, or the one under way, began */
    uint64_t records_walk; /* of them, until the last complete one had ended */
    uint64_t records_then; /* before the one under way began: they count again if it is dropped */

    struct {
        uint64_t ticket;
        uint64_t at_us;
    } timed[KEEPER_TIMED]; /* a ring */
    size_t timed_first;
    size_t timed_count;
    struct fl_keeper_status status; /* without `journal` */

    _Atomic uint64_t committed;
    _Atomic uint64_t walking; /* generation; 0: none */
    _Atomic bool tight;
    _Atomic bool broken;
};

void fl_keeper_lock(struct fl_keeper *k);
void fl_keeper_unlock(struct fl_keeper *k);

/* All with the mutex held. */
void fl_keeper_note_tight(struct fl_keeper *k);
void fl_keeper_commit(struct fl_keeper *k, uint64_t position); /* counts, wakes */
void fl_keeper_break(struct fl_keeper *k, const char *words);
void fl_keeper_wait_for_chore(struct fl_keeper *k);
void fl_keeper_wake_committed(struct fl_keeper *k, uint64_t committed);
void fl_keeper_wake_all(struct fl_keeper *k); /* to be told that it is broken */
void fl_keeper_wait_for(struct fl_keeper_member *member, uint64_t ticket);
void fl_keeper_begin_checkpoint(struct fl_keeper *k);
bool fl_keeper_has_many_records(const struct fl_keeper *k);

FL_MUST_USE enum fl_error fl_keeper_start(struct fl_keeper *k, struct fl_context *ctx);
void fl_keeper_stop(struct fl_keeper *k); /* without the mutex */

#endif
