/* SPDX-License-Identifier: Apache-2.0 */
#include "front/keeper.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/str.h"
#include "front/keeper_internal.h"
#include "io/clock.h"

#include <stdlib.h>

void fl_keeper_lock(struct fl_keeper *k)
{
    fl_assert(pthread_mutex_lock(&k->mutex) == 0);
}

void fl_keeper_unlock(struct fl_keeper *k)
{
    fl_assert(pthread_mutex_unlock(&k->mutex) == 0);
}

/* --- opening --- */

static enum fl_error open_files(const struct fl_keeper_config *config, struct fl_keeper *k,
                                struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < KEEPER_USERS && error == FL_OK; i++) {
        if (config->files) {
            k->files[i] = *config->files;
            continue;
        }
        error = fl_files_open(config->folder, &k->folders[i], ctx);
        k->files[i] = fl_files_of(&k->folders[i]);
    }
    return error;
}

static bool make_locks(struct fl_keeper *k)
{
    pthread_condattr_t monotonic;
    bool made = pthread_condattr_init(&monotonic) == 0;

    made = made && pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
           pthread_cond_init(&k->to_sync, &monotonic) == 0 &&
           pthread_cond_init(&k->to_chores, &monotonic) == 0 &&
           pthread_cond_init(&k->chore_done, NULL) == 0 && pthread_mutex_init(&k->mutex, NULL) == 0;
    (void)pthread_condattr_destroy(&monotonic);
    k->has_mutex = made;
    return made;
}

static void tell_found(const struct fl_keeper *k)
{
    struct fl_journal_stats s = fl_journal_stats(k->journal);
    size_t places = s.place_count < FL_JOURNAL_PLACES ? s.place_count : FL_JOURNAL_PLACES;

    fl_log(FL_LOG_INFO, "keeper",
           "the log has %llu blocks up to %llu, from segment %llu on (%llu bytes in %llu files)",
           (unsigned long long)s.recovered, (unsigned long long)s.last, (unsigned long long)s.base,
           (unsigned long long)s.bytes, (unsigned long long)s.segments);
    if (s.torn)
        fl_log(FL_LOG_WARN, "keeper",
               "%llu blocks behind the end were never on stable storage and are dropped",
               (unsigned long long)s.torn);
    if (s.unreadable)
        fl_log(FL_LOG_ERROR, "keeper",
               "%llu segments have no readable header; they are kept until the next checkpoint",
               (unsigned long long)s.unreadable);
    for (size_t i = 0; i < places; i++)
        fl_log(FL_LOG_ERROR, "keeper",
               "the log is damaged: %s: blocks %llu to %llu, from offset %llu on, cannot be read; "
               "what they said is lost",
               s.places[i].name, (unsigned long long)s.places[i].first,
               (unsigned long long)s.places[i].next - 1, (unsigned long long)s.places[i].offset);
    if (s.damaged)
        fl_log(FL_LOG_ERROR, "keeper", "the log is damaged: %llu blocks in %zu places are lost",
               (unsigned long long)s.damaged, s.place_count);
}

static void destroy(struct fl_keeper *k)
{
    fl_journal_close(k->journal);
    for (size_t i = 0; i < KEEPER_USERS; i++)
        fl_files_close(&k->folders[i]);
    if (k->has_mutex) {
        (void)pthread_cond_destroy(&k->to_sync);
        (void)pthread_cond_destroy(&k->to_chores);
        (void)pthread_cond_destroy(&k->chore_done);
        (void)pthread_mutex_destroy(&k->mutex);
    }
    free(k);
}

enum fl_error fl_keeper_open(const struct fl_keeper_config *config, struct fl_keeper **keeper,
                             struct fl_context *ctx)
{
    struct fl_keeper *k = calloc(1, sizeof *k);
    struct fl_journal_config journal = {.random = config->random,
                                        .segment_bytes = config->segment_bytes,
                                        .max_bytes = config->max_bytes,
                                        .retain = config->durability == FL_DURABILITY_DISK};
    enum fl_error error = FL_OK;

    *keeper = NULL;
    if (!k)
        return fl_fail(ctx, FL_ENOMEM, "keeper: out of memory");
    k->durability = config->durability;
    k->clock = *config->clock;
    k->member_count_wanted = config->members;
    fl_list_init(&k->members);
    if (!make_locks(k))
        error = fl_fail(ctx, FL_ENOMEM, "keeper: no locks");
    if (error == FL_OK)
        error = open_files(config, k, ctx);
    journal.files = &k->files[KEEPER_ENGINE];
    memcpy(journal.key, config->key, sizeof journal.key);
    if (error == FL_OK)
        error = fl_journal_open(&journal, &k->journal, ctx);
    explicit_bzero(journal.key, sizeof journal.key);
    if (error != FL_OK) {
        destroy(k);
        return error;
    }
    tell_found(k);
    k->committed = fl_journal_stats(k->journal).last;
    *keeper = k;
    return FL_OK;
}

enum fl_error fl_keeper_replay(struct fl_keeper *keeper, fl_journal_visit_fn visit, void *self,
                               struct fl_context *ctx)
{
    enum fl_error error = fl_journal_replay(keeper->journal, visit, self, ctx);

    if (error != FL_OK)
        return error;
    fl_keeper_note_tight(keeper);
    return fl_keeper_start(keeper, ctx);
}

/* Nobody else is there any more. The note makes the difference between a torn end and damage plain
 * to the next start. */
static bool end_orderly(struct fl_keeper *k)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (!k->started)
        return true;
    if (k->broken)
        return false;
    error = fl_journal_sync(k->journal, &ctx);
    if (error == FL_OK && fl_journal_sequence(k->journal))
        error = fl_journal_note(k->journal, &ctx);
    if (error == FL_OK)
        error = fl_journal_sync(k->journal, &ctx);
    /* No room for the note: what counts is synced. */
    if (error == FL_OK || error == FL_EFULL)
        return true;
    fl_log(FL_LOG_ERROR, "keeper", "at the end: %s", ctx.text);
    return false;
}

bool fl_keeper_close(struct fl_keeper *keeper)
{
    bool committed = true;

    if (!keeper)
        return true;
    fl_assert(keeper->member_count == 0);
    fl_keeper_stop(keeper);
    committed = end_orderly(keeper);
    destroy(keeper);
    return committed;
}

/* --- state that others look at --- */

uint64_t fl_keeper_committed(const struct fl_keeper *keeper)
{
    return atomic_load_explicit(&keeper->committed, memory_order_acquire);
}

bool fl_keeper_is_tight(const struct fl_keeper *keeper)
{
    return atomic_load_explicit(&keeper->tight, memory_order_relaxed);
}

bool fl_keeper_is_broken(const struct fl_keeper *keeper)
{
    return atomic_load_explicit(&keeper->broken, memory_order_acquire);
}

uint64_t fl_keeper_walking(const struct fl_keeper *keeper)
{
    return atomic_load_explicit(&keeper->walking, memory_order_acquire);
}

size_t fl_keeper_append_max(const struct fl_keeper *keeper)
{
    return fl_journal_append_max(keeper->journal);
}

void fl_keeper_note_tight(struct fl_keeper *k)
{
    bool tight = fl_journal_is_tight(k->journal);

    if (tight != k->tight)
        fl_log(tight ? FL_LOG_WARN : FL_LOG_INFO, "keeper",
               tight
                   ? "the log is nearly full: new work is refused until a checkpoint has made room"
                   : "the log has room again");
    atomic_store_explicit(&k->tight, tight, memory_order_relaxed);
}

void fl_keeper_status(struct fl_keeper *keeper, struct fl_keeper_status *status)
{
    fl_keeper_lock(keeper);
    *status = keeper->status;
    status->journal = fl_journal_stats(keeper->journal);
    status->broken = keeper->broken;
    status->counters.bytes = status->journal.bytes;
    status->counters.limit = status->journal.max_bytes;
    status->counters.since_checkpoint = status->journal.since_checkpoint;
    status->counters.since_checkpoint_records = keeper->records;
    status->counters.tight = keeper->tight;
    fl_keeper_unlock(keeper);
}

void fl_keeper_break(struct fl_keeper *k, const char *words)
{
    if (k->broken)
        return;
    (void)fl_str_copy(k->status.words, sizeof k->status.words, words);
    fl_log(FL_LOG_ERROR, "keeper", "the log cannot be kept: %s", words);
    atomic_store_explicit(&k->broken, true, memory_order_release);
    fl_keeper_wake_all(k);
    (void)pthread_cond_broadcast(&k->to_sync);
    (void)pthread_cond_broadcast(&k->to_chores);
    (void)pthread_cond_broadcast(&k->chore_done);
}

/* --- appending and committing --- */

void fl_keeper_commit(struct fl_keeper *k, uint64_t position)
{
    uint64_t now_us = fl_clock_monotonic_us();

    if (position <= k->committed)
        return;
    atomic_store_explicit(&k->committed, position, memory_order_release);
    while (k->timed_count > 0 && k->timed[k->timed_first].ticket <= position) {
        fl_histogram_count(&k->status.counters.commit, now_us - k->timed[k->timed_first].at_us);
        k->timed_first = (k->timed_first + 1) % KEEPER_TIMED;
        k->timed_count--;
    }
    fl_keeper_wake_committed(k, position);
}

/* Beyond KEEPER_TIMED some are not measured. What nobody waits for is not either: it is synced when
 * it suits. */
static void begin_timing(struct fl_keeper *k, uint64_t ticket)
{
    size_t at = (k->timed_first + k->timed_count) % KEEPER_TIMED;

    if (k->timed_count == KEEPER_TIMED)
        return;
    k->timed[at].ticket = ticket;
    k->timed[at].at_us = fl_clock_monotonic_us();
    k->timed_count++;
}

void fl_keeper_wait_for_chore(struct fl_keeper *k)
{
    fl_assert(pthread_cond_wait(&k->chore_done, &k->mutex) == 0);
}

static void after_append(struct fl_keeper *k, struct fl_keeper_member *member, uint64_t ticket)
{
    if (member)
        begin_timing(k, ticket);
    if (k->durability == FL_DURABILITY_OS) {
        fl_keeper_commit(k, ticket);
        return;
    }
    if (k->unsynced_since == 0)
        k->unsynced_since = fl_clock_monotonic(&k->clock);
    if (member)
        fl_keeper_wait_for(member, ticket);
    if (k->waiting > 0)
        (void)pthread_cond_signal(&k->to_sync);
}

enum fl_error fl_keeper_append(struct fl_keeper *keeper, struct fl_keeper_member *member,
                               struct fl_slice records, uint64_t *ticket, struct fl_context *ctx)
{
    struct fl_keeper *k = keeper;
    uint64_t sequence = 0;
    uint64_t position = 0;
    enum fl_error error = FL_OK;

    fl_keeper_lock(k);
    sequence = fl_journal_sequence(k->journal);
    while (!k->broken && fl_journal_must_wait(k->journal, records.size))
        fl_keeper_wait_for_chore(k);
    error = k->broken ? fl_fail(ctx, FL_EIO, "keeper: %s", k->status.words)
                      : fl_journal_append(k->journal, records, &position, ctx);
    if (error == FL_OK) {
        k->status.counters.appends++;
        k->status.counters.append_bytes += records.size;
        after_append(k, member, position);
        *ticket = position;
    } else {
        k->status.counters.refused++;
    }
    if (error == FL_EIO && !k->broken && ctx)
        (void)fl_str_copy(k->status.words, sizeof k->status.words, ctx->text);
    if (sequence != fl_journal_sequence(k->journal) || error == FL_EFULL) {
        fl_keeper_note_tight(k);
        (void)pthread_cond_signal(&k->to_chores);
        (void)pthread_cond_signal(&k->to_sync);
    }
    fl_keeper_unlock(k);
    return error;
}
