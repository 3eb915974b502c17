/* SPDX-License-Identifier: Apache-2.0 */
#include "io/loop.h"

#include "base/assert.h"
#include "io/clock.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EVENTS_PER_ROUND 256
/* Deferred work may defer more (a commit fills a channel, which then wants flushing). That runs in
 * the same round up to this depth; beyond it, work that defers itself again waits its turn behind
 * the sockets. */
#define DEFERRED_PASSES 4

struct fl_loop {
    int epoll_fd;
    bool stopping;
    fl_time_t now;
    /* By descriptor. An event carries the descriptor and the watch's generation, so a removed watch
     * is recognised without touching its memory, which may be gone. */
    struct fl_watch **watches;
    size_t watch_room;
    uint64_t generation;
    struct fl_heap timers;
    struct fl_list deferred;
    struct fl_loop_guard guard;
    struct fl_histogram *rounds; /* where they are counted, or NULL */
    struct {
        struct fl_watch watch;
        void (*caught)(void *self, int signal);
        void *self;
        sigset_t mask_before;
    } signals;
};

enum fl_error fl_loop_create(struct fl_loop **loop, struct fl_context *ctx)
{
    struct fl_loop *l = calloc(1, sizeof *l);

    if (!l)
        return fl_fail(ctx, FL_ENOMEM, "loop: out of memory");
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0) {
        enum fl_error error = fl_fail(ctx, FL_EIO, "loop: epoll: %s", strerror(errno));
        free(l);
        return error;
    }
    l->signals.watch.fd = -1;
    fl_list_init(&l->deferred);
    l->now = fl_clock_monotonic(fl_clock_system());
    *loop = l;
    return FL_OK;
}

void fl_loop_free(struct fl_loop *loop)
{
    if (!loop)
        return;
    if (loop->signals.watch.added) {
        fl_loop_remove(loop, &loop->signals.watch);
        (void)close(loop->signals.watch.fd);
        (void)pthread_sigmask(SIG_SETMASK, &loop->signals.mask_before, NULL);
    }
    while (!fl_list_empty(&loop->deferred))
        fl_loop_undefer(fl_container_of(loop->deferred.next, struct fl_deferred, node));
    (void)close(loop->epoll_fd);
    fl_heap_free(&loop->timers);
    free(loop->watches);
    free(loop);
}

/* --- descriptors --- */

static enum fl_error make_room(struct fl_loop *loop, size_t fd, struct fl_context *ctx)
{
    size_t room = loop->watch_room ? loop->watch_room : 64;
    struct fl_watch **watches = NULL;

    if (fd < loop->watch_room)
        return FL_OK;
    while (room <= fd)
        room *= 2;
    watches = realloc(loop->watches, room * sizeof(struct fl_watch *));
    if (!watches)
        return fl_fail(ctx, FL_ENOMEM, "loop: out of memory");
    memset(watches + loop->watch_room, 0, (room - loop->watch_room) * sizeof(struct fl_watch *));
    loop->watches = watches;
    loop->watch_room = room;
    return FL_OK;
}

static enum fl_error add(struct fl_loop *loop, struct fl_watch *watch, int fd, uint32_t events,
                         struct fl_context *ctx)
{
    struct epoll_event event = {.events = events};
    enum fl_error error = FL_OK;

    fl_assert(!watch->added);
    if (fd < 0)
        return fl_fail(ctx, FL_EINVAL, "loop: descriptor %d", fd);
    error = make_room(loop, (size_t)fd, ctx);
    if (error != FL_OK)
        return error;
    fl_assert(!loop->watches[fd]);
    loop->generation++;
    event.data.u64 = (loop->generation << 32) | (uint32_t)fd;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return fl_fail(ctx, errno == ENOSPC ? FL_ELIMIT : FL_EIO, "loop: watch descriptor %d: %s",
                       fd, strerror(errno));
    watch->fd = fd;
    watch->added = true;
    watch->generation = loop->generation;
    loop->watches[fd] = watch;
    return FL_OK;
}

enum fl_error fl_loop_add(struct fl_loop *loop, struct fl_watch *watch, int fd,
                          struct fl_context *ctx)
{
    return add(loop, watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, ctx);
}

enum fl_error fl_loop_add_shared(struct fl_loop *loop, struct fl_watch *watch, int fd,
                                 struct fl_context *ctx)
{
    return add(loop, watch, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, ctx);
}

void fl_loop_remove(struct fl_loop *loop, struct fl_watch *watch)
{
    if (!watch->added)
        return;
    fl_assert(loop->watches[watch->fd] == watch);
    /* Fails only when the descriptor was closed already, which removed it too. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    loop->watches[watch->fd] = NULL;
    watch->added = false;
}

static void deliver(struct fl_loop *loop, const struct epoll_event *event)
{
    size_t fd = (uint32_t)event->data.u64;
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    struct fl_watch *watch = fd < loop->watch_room ? loop->watches[fd] : NULL;

    if (watch && (uint32_t)watch->generation == generation)
        watch->ready(watch, event->events);
}

/* --- timers and deferred work --- */

void fl_loop_set_timer(struct fl_loop *loop, struct fl_timer *timer, fl_time_t in_ms)
{
    fl_time_t due = FL_TIME_NEVER;

    if (in_ms < 0)
        in_ms = 0;
    if (in_ms < FL_TIME_NEVER - loop->now)
        due = loop->now + in_ms;
    fl_assert(fl_heap_set(&loop->timers, &timer->node, due) == FL_OK);
}

void fl_loop_stop_timer(struct fl_loop *loop, struct fl_timer *timer)
{
    fl_heap_remove(&loop->timers, &timer->node);
}

/* At most as many as were set when the round began: a timer that sets itself to now again fires in
 * the next round. */
static void fire_timers(struct fl_loop *loop)
{
    for (size_t left = loop->timers.count; left > 0; left--) {
        struct fl_heap_node *first = fl_heap_first(&loop->timers);
        struct fl_timer *timer = NULL;

        if (!first || first->due > loop->now)
            break;
        timer = fl_container_of(first, struct fl_timer, node);
        fl_heap_remove(&loop->timers, first);
        timer->fired(timer);
    }
}

void fl_loop_defer(struct fl_loop *loop, struct fl_deferred *deferred)
{
    if (!deferred->node.next)
        fl_list_push(&loop->deferred, &deferred->node);
}

void fl_loop_undefer(struct fl_deferred *deferred)
{
    if (!deferred->node.next)
        return;
    fl_list_remove(&deferred->node);
    deferred->node = (struct fl_list){0};
}

static void run_deferred(struct fl_loop *loop)
{
    for (int pass = 0; pass < DEFERRED_PASSES && !fl_list_empty(&loop->deferred); pass++) {
        struct fl_list marker;

        /* What is deferred from now on comes behind the marker and belongs to the next pass. */
        fl_list_push(&loop->deferred, &marker);
        while (loop->deferred.next != &marker) {
            struct fl_deferred *d = fl_container_of(loop->deferred.next, struct fl_deferred, node);
            fl_loop_undefer(d);
            d->run(d);
        }
        fl_list_remove(&marker);
    }
}

/* --- rounds --- */

void fl_loop_set_guard(struct fl_loop *loop, const struct fl_loop_guard *guard)
{
    loop->guard = *guard;
}

fl_time_t fl_loop_now(const struct fl_loop *loop)
{
    return loop->now;
}

static int wait_time(const struct fl_loop *loop, fl_time_t wait_ms)
{
    const struct fl_heap_node *first = fl_heap_first(&loop->timers);

    if (!fl_list_empty(&loop->deferred) || wait_ms < 0)
        return 0;
    if (first) {
        fl_time_t now = fl_clock_monotonic(fl_clock_system());
        fl_time_t until = first->due > now ? first->due - now : 0;
        if (until < wait_ms)
            wait_ms = until;
    }
    return wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
}

void fl_loop_measure(struct fl_loop *loop, struct fl_histogram *rounds)
{
    loop->rounds = rounds;
}

enum fl_error fl_loop_round(struct fl_loop *loop, fl_time_t wait_ms, struct fl_context *ctx)
{
    struct epoll_event events[EVENTS_PER_ROUND];
    const struct fl_loop_guard *guard = &loop->guard;
    bool measured = loop->rounds != NULL;
    int count = 0;
    int failure = 0;
    uint64_t woke_us = 0;

    if (guard->leave && !guard->leave(guard->self))
        wait_ms = 0;
    wait_ms = wait_time(loop, wait_ms);
    if (guard->unlock)
        guard->unlock(guard->self);
    count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, (int)wait_ms);
    failure = count < 0 ? errno : 0;
    woke_us = measured ? fl_clock_monotonic_us() : 0;
    if (guard->lock)
        guard->lock(guard->self);
    if (failure && failure != EINTR)
        return fl_fail(ctx, FL_EIO, "loop: epoll: %s", strerror(failure));
    loop->now = fl_clock_monotonic(fl_clock_system());
    if (guard->enter)
        guard->enter(guard->self);
    for (int i = 0; i < count; i++)
        deliver(loop, &events[i]);
    fire_timers(loop);
    run_deferred(loop);
    if (loop->rounds && woke_us)
        fl_histogram_count(loop->rounds, fl_clock_monotonic_us() - woke_us);
    return FL_OK;
}

enum fl_error fl_loop_run(struct fl_loop *loop, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    while (!loop->stopping && error == FL_OK)
        error = fl_loop_round(loop, FL_TIME_NEVER, ctx);
    loop->stopping = false;
    return error;
}

void fl_loop_stop(struct fl_loop *loop)
{
    loop->stopping = true;
}

/* --- signals --- */

static void signal_ready(struct fl_watch *watch, uint32_t events)
{
    struct fl_loop *loop = fl_container_of(watch, struct fl_loop, signals.watch);
    struct signalfd_siginfo info;

    (void)events;
    while (watch->added && read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info)
        loop->signals.caught(loop->signals.self, (int)info.ssi_signo);
}

enum fl_error fl_loop_signals(struct fl_loop *loop, const int *signals, size_t count,
                              void (*caught)(void *self, int signal), void *self,
                              struct fl_context *ctx)
{
    sigset_t set;
    enum fl_error error = FL_OK;
    int fd = -1;

    fl_assert(!loop->signals.watch.added);
    (void)sigemptyset(&set);
    for (size_t i = 0; i < count; i++) {
        if (sigaddset(&set, signals[i]) != 0)
            return fl_fail(ctx, FL_EINVAL, "loop: signal %d", signals[i]);
    }
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return fl_fail(ctx, FL_EIO, "loop: signalfd: %s", strerror(errno));
    if (pthread_sigmask(SIG_BLOCK, &set, &loop->signals.mask_before) != 0) {
        (void)close(fd);
        return fl_fail(ctx, FL_EIO, "loop: block signals");
    }
    loop->signals.watch.ready = signal_ready;
    loop->signals.caught = caught;
    loop->signals.self = self;
    error = fl_loop_add(loop, &loop->signals.watch, fd, ctx);
    if (error != FL_OK) {
        (void)pthread_sigmask(SIG_SETMASK, &loop->signals.mask_before, NULL);
        (void)close(fd);
    }
    return error;
}
