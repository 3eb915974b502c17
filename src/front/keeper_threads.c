/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's two threads. One syncs, so that no worker ever waits for a disk; as it syncs for all
 * who wait and they gather meanwhile, the commits group themselves. The other makes segments ahead
 * of time, which may take long, and begins checkpoints.
 */
#include "front/keeper_internal.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

static fl_time_t now_of(const struct fl_keeper *k)
{
    return fl_clock_monotonic(&k->clock);
}

/* At most so long: what nobody signals must be looked at, too. */
static void wait_a_while(struct fl_keeper *k, pthread_cond_t *condition)
{
    struct timespec until;
    int result = 0;

    fl_assert(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_sec += KEEPER_PATIENCE_MS / 1000;
    result = pthread_cond_timedwait(condition, &k->mutex, &until);
    fl_assert(result == 0 || result == ETIMEDOUT);
}

/* --- syncing --- */

static bool find_unsynced(struct fl_keeper *k, struct fl_journal_unsynced *unsynced)
{
    bool only_closed = k->durability == FL_DURABILITY_OS;

    if (!only_closed && k->waiting == 0 &&
        (k->unsynced_since == 0 || now_of(k) < k->unsynced_since + KEEPER_PATIENCE_MS))
        only_closed = true;
    return fl_journal_unsynced(k->journal, only_closed, unsynced);
}

static void sync_failed(struct fl_keeper *k, const char *words)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    k->status.counters.sync_failures++;
    k->failures++;
    fl_log(FL_LOG_ERROR, "keeper", "%s; %s", words,
           k->durability == FL_DURABILITY_DISK ? "what it should have kept is written again"
                                               : "a checkpoint will write everything elsewhere");
    (void)fl_str_copy(k->status.words, sizeof k->status.words, words);
    if (k->failures == KEEPER_TRIES) {
        fl_keeper_break(k, words);
        return;
    }
    while (k->chore)
        fl_keeper_wait_for_chore(k);
    error = fl_journal_sync_failed(k->journal, &ctx);
    if (error != FL_OK)
        fl_keeper_break(k, ctx.text);
    fl_keeper_note_tight(k);
    (void)pthread_cond_signal(&k->to_chores);
}

static void sync_once(struct fl_keeper *k, const struct fl_journal_unsynced *unsynced)
{
    const struct fl_files *files = &k->files[KEEPER_SYNC];
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;
    struct fl_journal_unsynced more;

    k->unsynced_since = 0;
    fl_keeper_unlock(k);
    for (size_t i = 0; i < unsynced->count && error == FL_OK; i++)
        error = files->sync(files->self, unsynced->names[i], &ctx);
    fl_keeper_lock(k);
    k->status.counters.syncs++;
    if (error != FL_OK) {
        k->unsynced_since = now_of(k);
        sync_failed(k, ctx.text);
        return;
    }
    k->failures = 0;
    fl_journal_synced(k->journal, unsynced);
    if (k->durability == FL_DURABILITY_DISK)
        fl_keeper_commit(k, fl_journal_stats(k->journal).durable);
    if (k->unsynced_since == 0 && fl_journal_unsynced(k->journal, false, &more))
        k->unsynced_since = now_of(k);
    fl_keeper_note_tight(k);
    (void)pthread_cond_signal(&k->to_chores); /* segments may have become free */
}

static void *sync_main(void *self)
{
    struct fl_keeper *k = self;
    struct fl_journal_unsynced unsynced;

    fl_keeper_lock(k);
    while (!k->stopping && !k->broken) {
        if (find_unsynced(k, &unsynced))
            sync_once(k, &unsynced);
        else
            wait_a_while(k, &k->to_sync);
    }
    fl_keeper_unlock(k);
    return NULL;
}

/* --- chores --- */

static void do_chore(struct fl_keeper *k, const struct fl_journal_chore *chore)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    k->chore = true;
    fl_keeper_unlock(k);
    error = fl_journal_chore_run(&k->files[KEEPER_CHORES], chore, &ctx);
    fl_keeper_lock(k);
    k->chore = false;
    fl_journal_chore_done(k->journal, chore, error);
    if (error != FL_OK) {
        fl_log(FL_LOG_WARN, "keeper", "%s; tried again in %d seconds", ctx.text,
               KEEPER_AGAIN_MS / 1000);
        k->chore_again_at = now_of(k) + KEEPER_AGAIN_MS;
    }
    fl_keeper_note_tight(k);
    (void)pthread_cond_broadcast(&k->chore_done);
}

static bool checkpoint_is_due(const struct fl_keeper *k)
{
    return k->walking == 0 && k->member_count == k->member_count_wanted && k->member_count > 0 &&
           now_of(k) >= k->checkpoint_again_at &&
           (k->want_checkpoint || fl_keeper_has_many_records(k) ||
            fl_journal_wants_checkpoint(k->journal));
}

static void *chore_main(void *self)
{
    struct fl_keeper *k = self;
    struct fl_journal_chore chore;

    fl_keeper_lock(k);
    while (!k->stopping && !k->broken) {
        if (checkpoint_is_due(k))
            fl_keeper_begin_checkpoint(k);
        else if (now_of(k) >= k->chore_again_at && fl_journal_chore(k->journal, &chore))
            do_chore(k, &chore);
        else
            wait_a_while(k, &k->to_chores);
    }
    fl_keeper_unlock(k);
    return NULL;
}

/* --- both --- */

enum fl_error fl_keeper_start(struct fl_keeper *k, struct fl_context *ctx)
{
    sigset_t all;
    sigset_t before;
    int result = 0;

    /* Signals are for the loops. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&k->sync_thread, NULL, sync_main, k);
    if (result == 0) {
        k->started = true;
        result = pthread_create(&k->chore_thread, NULL, chore_main, k);
        if (result != 0) {
            k->chore_thread = k->sync_thread;
            fl_keeper_stop(k);
            k->started = false;
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        return fl_fail(ctx, FL_ENOMEM, "keeper: no thread: error %d", result);
    return FL_OK;
}

void fl_keeper_stop(struct fl_keeper *k)
{
    if (!k->started)
        return;
    fl_keeper_lock(k);
    k->stopping = true;
    (void)pthread_cond_broadcast(&k->to_sync);
    (void)pthread_cond_broadcast(&k->to_chores);
    fl_keeper_unlock(k);
    fl_assert(pthread_join(k->sync_thread, NULL) == 0);
    if (!pthread_equal(k->sync_thread, k->chore_thread))
        fl_assert(pthread_join(k->chore_thread, NULL) == 0);
}
