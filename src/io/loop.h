/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread's event loop: raw epoll, edge-triggered, timers in a heap, work deferred to the end of
 * a round. Handlers live in the caller's structs. A handler may remove itself or any other during a
 * callback: an event already fetched for a removed handler is not delivered. Time is monotonic
 * milliseconds, read once a round.
 */
#ifndef FL_IO_LOOP_H
#define FL_IO_LOOP_H

#include "base/heap.h"
#include "base/histogram.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct fl_loop;

struct fl_watch {
    /* `events` are EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as they came. */
    void (*ready)(struct fl_watch *watch, uint32_t events);
    int fd;
    bool added;
    uint64_t generation; /* of the loop, to drop stale events */
};

struct fl_timer {
    void (*fired)(struct fl_timer *timer); /* once; set it again to repeat */
    struct fl_heap_node node;
};

/* Runs once at the end of the round in which it was deferred; deferring twice is once. Where writes
 * are gathered and committed. */
struct fl_deferred {
    void (*run)(struct fl_deferred *deferred);
    struct fl_list node; /* zero-initialised: not deferred */
};

FL_MUST_USE enum fl_error fl_loop_create(struct fl_loop **loop, struct fl_context *ctx);
void fl_loop_free(struct fl_loop *loop);

/* Edge-triggered, for reading and writing at once: read and write until EAGAIN. The fd stays the
 * caller's; remove the watch before closing it. */
FL_MUST_USE enum fl_error fl_loop_add(struct fl_loop *loop, struct fl_watch *watch, int fd,
                                      struct fl_context *ctx);
void fl_loop_remove(struct fl_loop *loop, struct fl_watch *watch);
/* Of a listening socket that loops of other threads watch too: one of them is woken, not all. */
FL_MUST_USE enum fl_error fl_loop_add_shared(struct fl_loop *loop, struct fl_watch *watch, int fd,
                                             struct fl_context *ctx);

/* `in_ms` from this round's time; moves a timer that is set. Never fails: the heap's room is taken
 * when the first timer is set and a process without memory for it ends. */
void fl_loop_set_timer(struct fl_loop *loop, struct fl_timer *timer, fl_time_t in_ms);
void fl_loop_stop_timer(struct fl_loop *loop, struct fl_timer *timer);
void fl_loop_defer(struct fl_loop *loop, struct fl_deferred *deferred);
void fl_loop_undefer(struct fl_deferred *deferred);

/* What is between rounds: `leave` is called before the loop waits (false: there is more to do, it
 * must not), `enter` after it has waited and before any handler. Between `unlock` and `lock` the
 * loop touches nothing of its own, so that whoever holds what they guard may use its timers. */
struct fl_loop_guard {
    bool (*leave)(void *self);
    void (*unlock)(void *self);
    void (*lock)(void *self);
    void (*enter)(void *self);
    void *self;
};
void fl_loop_set_guard(struct fl_loop *loop, const struct fl_loop_guard *guard);

fl_time_t fl_loop_now(const struct fl_loop *loop); /* monotonic ms of this round */

/* From now on the time of each round, from waking up to waiting again, is counted in `rounds`,
 * which is the caller's. NULL: not any more. */
void fl_loop_measure(struct fl_loop *loop, struct fl_histogram *rounds);

/* Signals as events: blocks them and calls back in the loop. At most one call per loop. */
FL_MUST_USE enum fl_error fl_loop_signals(struct fl_loop *loop, const int *signals, size_t count,
                                          void (*caught)(void *self, int signal), void *self,
                                          struct fl_context *ctx);

/* Until fl_loop_stop. fl_loop_round: one round, waiting at most `wait_ms` (tests). */
FL_MUST_USE enum fl_error fl_loop_run(struct fl_loop *loop, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_loop_round(struct fl_loop *loop, fl_time_t wait_ms,
                                        struct fl_context *ctx);
void fl_loop_stop(struct fl_loop *loop);

#endif
