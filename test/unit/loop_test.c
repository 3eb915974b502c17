/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "io/clock.h"
#include "io/loop.h"
#include "test/twin/clock_twin.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    struct fl_loop *loop;
    struct fl_context ctx;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    assert_ok(fl_loop_create(&w->loop, &w->ctx));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    fl_loop_free(w->loop);
    free(w);
    return 0;
}

/* A watch that counts its calls, and may remove, free or replace another. */
struct probe {
    struct fl_watch watch;
    struct fl_loop *loop;
    int calls;
    uint32_t events;
    struct probe *removes;
    int readds_fd; /* the removed one comes back with another handler on this descriptor */
    int ends[2];
};

static void probe_ready(struct fl_watch *watch, uint32_t events)
{
    struct probe *p = fl_container_of(watch, struct probe, watch);

    p->calls++;
    p->events |= events;
    if (p->removes) {
        fl_loop_remove(p->loop, &p->removes->watch);
        if (p->readds_fd)
            assert_ok(fl_loop_add(p->loop, &p->removes->watch, p->removes->ends[0], NULL));
        p->removes = NULL;
    }
}

static void probe_open(struct world *w, struct probe *p)
{
    *p = (struct probe){.watch = {.ready = probe_ready}, .loop = w->loop};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->ends), 0);
    assert_ok(fl_loop_add(w->loop, &p->watch, p->ends[0], &w->ctx));
}

static void probe_close(struct world *w, struct probe *p)
{
    fl_loop_remove(w->loop, &p->watch);
    (void)close(p->ends[0]);
    (void)close(p->ends[1]);
}

static void round_now(struct world *w)
{
    assert_ok(fl_loop_round(w->loop, 0, &w->ctx));
}

static void readiness_is_told_once_per_edge(void **state)
{
    struct world *w = *state;
    struct probe p;

    probe_open(w, &p);
    round_now(w);
    assert_int_equal(p.calls, 1);
    assert_int_equal(p.events, EPOLLOUT);
    round_now(w);
    assert_int_equal(p.calls, 1);
    assert_int_equal(write(p.ends[1], "x", 1), 1);
    round_now(w);
    round_now(w);
    assert_int_equal(p.calls, 2);
    assert_true(p.events & EPOLLIN);
    (void)shutdown(p.ends[1], SHUT_RDWR);
    round_now(w);
    assert_true(p.events & EPOLLHUP);
    probe_close(w, &p);
}

static void removed_watch_gets_no_event_that_was_already_fetched(void **state)
{
    struct world *w = *state;
    struct probe a;
    struct probe b;

    probe_open(w, &a);
    probe_open(w, &b);
    a.removes = &b; /* both are writable: both events are in the first round's batch */
    b.removes = &a;
    round_now(w);
    assert_int_equal(a.calls + b.calls, 1);
    round_now(w);
    assert_int_equal(a.calls + b.calls, 1);
    probe_close(w, &a);
    probe_close(w, &b);
}

static void readded_watch_does_not_get_its_predecessors_event(void **state)
{
    struct world *w = *state;
    struct probe a;
    struct probe b;

    probe_open(w, &a);
    probe_open(w, &b);
    a.removes = &b;
    b.removes = &a;
    a.readds_fd = b.readds_fd = 1;
    round_now(w);
    assert_int_equal(a.calls + b.calls, 1);
    a.removes = b.removes = NULL;
    round_now(w);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    probe_close(w, &a);
    probe_close(w, &b);
}

static void freed_watch_is_never_touched(void **state)
{
    struct world *w = *state;
    struct probe *p = calloc(1, sizeof *p);

    assert_non_null(p);
    probe_open(w, p);
    probe_close(w, p);
    fl_loop_remove(w->loop, &p->watch); /* twice is harmless */
    free(p);
    round_now(w);
}

static void what_cannot_be_watched_is_refused(void **state)
{
    struct world *w = *state;
    struct fl_watch watch = {.ready = probe_ready};
    char path[] = "/tmp/fl_loop_test_XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(fl_loop_add(w->loop, &watch, -1, &w->ctx), FL_EINVAL);
    assert_int_equal(fl_loop_add(w->loop, &watch, fd, &w->ctx), FL_EIO);
    assert_contains(w->ctx.text, "Operation not permitted");
    assert_false(watch.added);
    (void)unlink(path);
    (void)close(fd);
    assert_int_equal(fl_loop_add(w->loop, &watch, fd, &w->ctx), FL_EIO);
}

struct ticker {
    struct fl_timer timer;
    struct fl_loop *loop;
    int calls;
    fl_time_t again_ms; /* -1: no */
    struct fl_timer *stops;
    int *order;
    int at;
};

static void tick(struct fl_timer *timer)
{
    struct ticker *t = fl_container_of(timer, struct ticker, timer);

    t->calls++;
    if (t->order)
        t->at = ++*t->order;
    if (t->stops)
        fl_loop_stop_timer(t->loop, t->stops);
    if (t->again_ms >= 0)
        fl_loop_set_timer(t->loop, timer, t->again_ms);
}

static struct ticker ticker(struct world *w)
{
    return (struct ticker){.timer = {.fired = tick}, .loop = w->loop, .again_ms = -1};
}

static void timers_fire_once_and_in_order(void **state)
{
    struct world *w = *state;
    struct ticker late = ticker(w);
    struct ticker early = ticker(w);
    int order = 0;

    late.order = early.order = &order;
    fl_loop_set_timer(w->loop, &late.timer, 12);
    fl_loop_set_timer(w->loop, &early.timer, 40);
    fl_loop_set_timer(w->loop, &early.timer, 6); /* moved */
    for (int i = 0; i < 20 && !late.calls; i++)
        assert_ok(fl_loop_round(w->loop, 100, &w->ctx));
    assert_int_equal(early.calls, 1);
    assert_int_equal(late.calls, 1);
    assert_int_equal(early.at, 1);
    assert_int_equal(late.at, 2);
}

static void timer_stopped_by_another_does_not_fire(void **state)
{
    struct world *w = *state;
    struct ticker a = ticker(w);
    struct ticker b = ticker(w);

    a.stops = &b.timer;
    b.stops = &a.timer;
    fl_loop_set_timer(w->loop, &a.timer, 0);
    fl_loop_set_timer(w->loop, &b.timer, -5); /* the past is now */
    round_now(w);
    round_now(w);
    assert_int_equal(a.calls + b.calls, 1);
}

static void timer_that_sets_itself_to_now_does_not_hold_the_loop(void **state)
{
    struct world *w = *state;
    struct ticker t = ticker(w);

    t.again_ms = 0;
    fl_loop_set_timer(w->loop, &t.timer, 0);
    round_now(w);
    round_now(w);
    assert_int_equal(t.calls, 2);
    fl_loop_stop_timer(w->loop, &t.timer);
    fl_loop_stop_timer(w->loop, &t.timer);
}

static void timer_in_the_far_future_does_not_overflow(void **state)
{
    struct world *w = *state;
    struct ticker t = ticker(w);

    fl_loop_set_timer(w->loop, &t.timer, FL_TIME_NEVER);
    round_now(w);
    assert_int_equal(t.calls, 0);
    assert_true(t.timer.node.due == FL_TIME_NEVER);
    fl_loop_stop_timer(w->loop, &t.timer);
}

struct job {
    struct fl_deferred deferred;
    struct fl_loop *loop;
    int calls;
    struct job *defers;
    struct job *undefers;
};

static void job_run(struct fl_deferred *deferred)
{
    struct job *j = fl_container_of(deferred, struct job, deferred);

    j->calls++;
    if (j->defers)
        fl_loop_defer(j->loop, &j->defers->deferred);
    if (j->undefers)
        fl_loop_undefer(&j->undefers->deferred);
}

static struct job job(struct world *w)
{
    return (struct job){.deferred = {.run = job_run}, .loop = w->loop};
}

static void deferring_twice_runs_once(void **state)
{
    struct world *w = *state;
    struct job j = job(w);

    fl_loop_defer(w->loop, &j.deferred);
    fl_loop_defer(w->loop, &j.deferred);
    assert_ok(fl_loop_round(w->loop, 60000, &w->ctx)); /* does not wait */
    round_now(w);
    assert_int_equal(j.calls, 1);
}

static void deferred_work_may_defer_more_for_the_same_round(void **state)
{
    struct world *w = *state;
    struct job a = job(w);
    struct job b = job(w);

    a.defers = &b;
    fl_loop_defer(w->loop, &a.deferred);
    round_now(w);
    assert_int_equal(b.calls, 1);
}

static void undeferred_work_does_not_run(void **state)
{
    struct world *w = *state;
    struct job a = job(w);
    struct job b = job(w);

    a.undefers = &b;
    fl_loop_defer(w->loop, &a.deferred);
    fl_loop_defer(w->loop, &b.deferred);
    fl_loop_undefer(&b.deferred);
    fl_loop_defer(w->loop, &b.deferred);
    round_now(w);
    fl_loop_undefer(&b.deferred);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 0);
}

static void work_that_defers_itself_does_not_starve_sockets(void **state)
{
    struct world *w = *state;
    struct job j = job(w);
    struct probe p;

    j.defers = &j;
    probe_open(w, &p);
    fl_loop_defer(w->loop, &j.deferred);
    round_now(w);
    assert_true(j.calls >= 1 && j.calls < 10);
    assert_int_equal(p.calls, 1);
    round_now(w);
    assert_true(j.calls >= 2);
    fl_loop_undefer(&j.deferred);
    probe_close(w, &p);
}

static int caught_signal;

static void caught(void *self, int signal)
{
    caught_signal = signal;
    fl_loop_stop(self);
}

static void signal_is_an_event_and_stops_the_loop(void **state)
{
    struct world *w = *state;
    static const int signals[] = {SIGUSR1, SIGUSR2};

    assert_ok(fl_loop_signals(w->loop, signals, 2, caught, w->loop, &w->ctx));
    assert_int_equal(raise(SIGUSR2), 0);
    assert_ok(fl_loop_run(w->loop, &w->ctx));
    assert_int_equal(caught_signal, SIGUSR2);
}

static void clocks_tell_a_plausible_time_and_do_not_go_back(void **state)
{
    const struct fl_clock *clock = fl_clock_system();
    fl_time_t before = fl_clock_monotonic(clock);

    (void)state;
    assert_true(fl_clock_now(clock) > 1600000000000); /* 2020 */
    assert_true(fl_clock_monotonic(clock) >= before);
}

static void random_bytes_fill_all_of_it(void **state)
{
    const struct fl_random *random = fl_random_system();
    uint8_t bytes[4096] = {0};
    unsigned seen = 0;

    (void)state;
    random->fill(random->self, bytes, sizeof bytes);
    for (size_t i = sizeof bytes - 64; i < sizeof bytes; i++)
        seen += bytes[i] != 0;
    assert_true(seen > 32);
}

static void twins_do_as_they_are_told(void **state)
{
    struct fl_clock_twin clock;
    struct fl_random_twin random;
    uint8_t a[13];
    uint8_t b[13];

    (void)state;
    fl_clock_twin_init(&clock, 1000);
    fl_clock_twin_advance(&clock, 5);
    fl_clock_twin_jump(&clock, -900);
    assert_int_equal(fl_clock_now(&clock.clock), 105);
    assert_int_equal(fl_clock_monotonic(&clock.clock), 5);
    fl_random_twin_init(&random, 7);
    random.random.fill(random.random.self, a, sizeof a);
    random.random.fill(random.random.self, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    fl_random_twin_init(&random, 7);
    random.random.fill(random.random.self, b, sizeof b);
    assert_memory_equal(a, b, sizeof a);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(readiness_is_told_once_per_edge),
        CASE(removed_watch_gets_no_event_that_was_already_fetched),
        CASE(readded_watch_does_not_get_its_predecessors_event),
        CASE(freed_watch_is_never_touched),
        CASE(what_cannot_be_watched_is_refused),
        CASE(timers_fire_once_and_in_order),
        CASE(timer_stopped_by_another_does_not_fire),
        CASE(timer_that_sets_itself_to_now_does_not_hold_the_loop),
        CASE(timer_in_the_far_future_does_not_overflow),
        CASE(deferring_twice_runs_once),
        CASE(deferred_work_may_defer_more_for_the_same_round),
        CASE(undeferred_work_does_not_run),
        CASE(work_that_defers_itself_does_not_starve_sockets),
        CASE(signal_is_an_event_and_stops_the_loop),
        cmocka_unit_test(clocks_tell_a_plausible_time_and_do_not_go_back),
        cmocka_unit_test(random_bytes_fill_all_of_it),
        cmocka_unit_test(twins_do_as_they_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
