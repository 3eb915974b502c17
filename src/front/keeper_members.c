/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers: how they are woken, and checkpoints, which all of them write together.
 */
#include "front/keeper_internal.h"

#include "base/assert.h"
#include "base/log.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct fl_keeper_member *member_of(struct fl_list *node)
{
    return fl_container_of(node, struct fl_keeper_member, own.node);
}

/* One write until it has looked, whatever happens meanwhile. */
static void wake(struct fl_keeper_member *member)
{
    const uint64_t one = 1;

    if (member->own.woken)
        return;
    member->own.woken = true;
    fl_assert(write(member->own.watch.fd, &one, sizeof one) == sizeof one);
}

void fl_keeper_wait_for(struct fl_keeper_member *member, uint64_t ticket)
{
    if (member->own.first_waited == 0) {
        member->own.first_waited = ticket;
        member->own.keeper->waiting++;
    }
    member->own.last_waited = ticket;
}

void fl_keeper_wake_committed(struct fl_keeper *k, uint64_t committed)
{
    FL_LIST_EACH(node, &k->members)
    {
        struct fl_keeper_member *member = member_of(node);

        if (member->own.first_waited != 0 && member->own.first_waited <= committed)
            wake(member);
    }
}

void fl_keeper_wake_all(struct fl_keeper *k)
{
    FL_LIST_EACH(node, &k->members)
    {
        member_of(node)->own.tell_broken = true;
        wake(member_of(node));
    }
}

/* What a member is to be told now, taken under the mutex and told without it. */
struct news {
    uint64_t committed; /* 0: nothing */
    uint64_t generation;
    bool broken;
};

static struct news take_news(struct fl_keeper_member *member)
{
    struct fl_keeper *k = member->own.keeper;
    struct news news = {0};
    uint64_t committed = 0;

    fl_keeper_lock(k);
    member->own.woken = false;
    committed = k->committed;
    if (member->own.first_waited != 0 && member->own.first_waited <= committed) {
        news.committed = committed;
        member->own.first_waited = member->own.last_waited > committed ? committed + 1 : 0;
        k->waiting -= member->own.first_waited == 0;
    }
    if (member->own.tell_checkpoint)
        news.generation = member->own.walking;
    member->own.tell_checkpoint = false;
    news.broken = member->own.tell_broken && !member->own.told_broken;
    member->own.told_broken = member->own.told_broken || news.broken;
    fl_keeper_unlock(k);
    return news;
}

static void on_woken(struct fl_watch *watch, uint32_t events)
{
    struct fl_keeper_member *member = fl_container_of(watch, struct fl_keeper_member, own.watch);
    struct fl_keeper *k = member->own.keeper;
    uint64_t count = 0;
    struct news news;

    (void)events;
    /* Nothing to read is no news: the watch is also told that it can be written to. */
    if (read(watch->fd, &count, sizeof count) != sizeof count)
        return;
    news = take_news(member);
    if (news.committed)
        member->committed(member, news.committed);
    /* A callback may have left the keeper. */
    if (news.generation && member->own.keeper == k)
        member->checkpoint(member, news.generation);
    if (news.broken && member->own.keeper == k)
        member->broken(member, k->status.words);
}

/* --- joining and leaving --- */

static void drop_checkpoint(struct fl_keeper *k, fl_time_t again_in)
{
    if (k->walking == 0)
        return;
    fl_journal_checkpoint_drop(k->journal);
    k->records += k->records_then;
    k->records_then = 0;
    atomic_store_explicit(&k->walking, 0, memory_order_release);
    k->checkpoint_again_at = fl_clock_monotonic(&k->clock) + again_in;
    FL_LIST_EACH(node, &k->members)
    {
        member_of(node)->own.walking = 0;
        member_of(node)->own.tell_checkpoint = false;
    }
}

enum fl_error fl_keeper_join(struct fl_keeper *keeper, struct fl_keeper_member *member,
                             struct fl_loop *loop, struct fl_context *ctx)
{
    struct fl_keeper *k = keeper;
    enum fl_error error = FL_OK;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    memset(&member->own, 0, sizeof member->own);
    if (fd < 0)
        return fl_fail(ctx, FL_EIO, "keeper: no event descriptor: error %d", errno);
    member->own.loop = loop;
    member->own.watch.ready = on_woken;
    error = fl_loop_add(loop, &member->own.watch, fd, ctx);
    if (error != FL_OK) {
        (void)close(fd);
        return error;
    }
    fl_keeper_lock(k);
    if (k->member_count == FL_LIMIT_KEEPER_MEMBERS) {
        error = fl_fail(ctx, FL_ELIMIT, "keeper: more than %d members", FL_LIMIT_KEEPER_MEMBERS);
    } else {
        drop_checkpoint(k, 0);
        member->own.keeper = k;
        fl_list_push(&k->members, &member->own.node);
        k->member_count++;
        if (k->broken) {
            member->own.tell_broken = true;
            wake(member);
        }
        (void)pthread_cond_signal(&k->to_chores);
    }
    fl_keeper_unlock(k);
    if (error != FL_OK) {
        fl_loop_remove(loop, &member->own.watch);
        (void)close(fd);
    }
    return error;
}

void fl_keeper_leave(struct fl_keeper_member *member)
{
    struct fl_keeper *k = member->own.keeper;

    if (!k)
        return;
    fl_keeper_lock(k);
    drop_checkpoint(k, 0);
    fl_list_remove(&member->own.node);
    k->member_count--;
    k->waiting -= member->own.first_waited != 0;
    fl_keeper_unlock(k);
    fl_loop_remove(member->own.loop, &member->own.watch);
    (void)close(member->own.watch.fd);
    member->own.keeper = NULL;
}

/* --- checkpoints --- */

void fl_keeper_begin_checkpoint(struct fl_keeper *k)
{
    struct fl_context ctx = {0};

    if (fl_journal_checkpoint_begin(k->journal, &ctx) != FL_OK) {
        fl_log(FL_LOG_WARN, "keeper", "no checkpoint now: %s", ctx.text);
        k->checkpoint_again_at = fl_clock_monotonic(&k->clock) + KEEPER_AGAIN_MS;
        return;
    }
    k->want_checkpoint = false;
    k->records_then = k->records;
    k->records = 0;
    k->generation++;
    atomic_store_explicit(&k->walking, k->generation, memory_order_release);
    FL_LIST_EACH(node, &k->members)
    {
        struct fl_keeper_member *member = member_of(node);

        member->own.walking = k->generation;
        member->own.tell_checkpoint = true;
        wake(member);
    }
}

bool fl_keeper_has_many_records(const struct fl_keeper *k)
{
    return k->records > FL_LIMIT_LOG_REPLAY && k->records / 2 > k->records_walk;
}

void fl_keeper_count(struct fl_keeper *keeper, uint64_t records)
{
    if (records == 0)
        return;
    fl_keeper_lock(keeper);
    keeper->records += records;
    if (fl_keeper_has_many_records(keeper))
        (void)pthread_cond_signal(&keeper->to_chores);
    fl_keeper_unlock(keeper);
}

void fl_keeper_want_checkpoint(struct fl_keeper *keeper)
{
    fl_keeper_lock(keeper);
    keeper->want_checkpoint = true;
    (void)pthread_cond_signal(&keeper->to_chores);
    fl_keeper_unlock(keeper);
}

static void end_checkpoint(struct fl_keeper *k)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    while (!k->broken && fl_journal_must_wait(k->journal, 64))
        fl_keeper_wait_for_chore(k);
    if (k->broken)
        return;
    error = fl_journal_checkpoint_end(k->journal, NULL, &ctx);
    if (error != FL_OK) {
        fl_log(FL_LOG_WARN, "keeper", "a checkpoint could not be completed: %s", ctx.text);
        drop_checkpoint(k, KEEPER_AGAIN_MS);
        return;
    }
    atomic_store_explicit(&k->walking, 0, memory_order_release);
    k->status.counters.checkpoints++;
    k->records_walk = k->records;
    k->records_then = 0;
    (void)pthread_cond_signal(&k->to_sync);
}

void fl_keeper_walked(struct fl_keeper_member *member, uint64_t generation)
{
    struct fl_keeper *k = member->own.keeper;
    bool all = true;

    fl_keeper_lock(k);
    if (member->own.walking == generation && k->walking == generation) {
        member->own.walking = 0;
        FL_LIST_EACH(node, &k->members)
        all = all && member_of(node)->own.walking == 0;
        if (all)
            end_checkpoint(k);
    }
    fl_keeper_unlock(k);
}

void fl_keeper_walk_failed(struct fl_keeper_member *member, uint64_t generation)
{
    struct fl_keeper *k = member->own.keeper;

    fl_keeper_lock(k);
    if (member->own.walking == generation && k->walking == generation)
        drop_checkpoint(k, KEEPER_AGAIN_MS);
    fl_keeper_unlock(k);
}
