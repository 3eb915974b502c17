/* SPDX-License-Identifier: Apache-2.0
 *
 * Real threads: notes and mail between them, waking up, and the lock of what all read. Assertions
 * are made by the main thread; the others count.
 */
#include "test/unit/unit.h"

#include "front/crew.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { WORKERS = 4, PINGS = 3000, CHANGES = 300 };

struct world {
    struct fl_loop *loop;
    struct fl_crew *crew;
    atomic_uint heard[WORKERS];   /* notes */
    atomic_uint letters[WORKERS]; /* mail */
    atomic_uint disorder;
    atomic_uint unread;
    uint64_t last[WORKERS][WORKERS]; /* of the notes from one to the other; the other's */
    uint64_t said[WORKERS];
    unsigned shared[2]; /* always equal, but while the main thread changes them */
    atomic_uint torn;
    atomic_bool talk;
};

static void on_note(void *self, unsigned worker, unsigned from, const struct fl_broker_note *note)
{
    struct world *w = self;

    if (note->ticket <= w->last[from][worker])
        atomic_fetch_add(&w->disorder, 1);
    w->last[from][worker] = note->ticket;
    atomic_fetch_add(&w->heard[worker], 1);
}

static void on_mail(void *self, unsigned worker, struct fl_mail *mail)
{
    struct world *w = self;

    atomic_fetch_add(&w->letters[worker], 1);
    free(mail);
}

static void on_unread(void *self, struct fl_mail *mail)
{
    struct world *w = self;

    atomic_fetch_add(&w->unread, 1);
    free(mail);
}

static void on_room(void *self, unsigned worker)
{
    (void)self;
    (void)worker;
}

/* Each says something to each, more than fits in a ring, and looks at what is shared. */
static void on_round(void *self, unsigned worker, bool busy)
{
    struct world *w = self;

    if (w->shared[0] != w->shared[1])
        atomic_fetch_add(&w->torn, 1);
    if (!atomic_load(&w->talk) || busy || w->said[worker] >= PINGS)
        return;
    for (int i = 0; i < 1000 && w->said[worker] < PINGS; i++) {
        struct fl_broker_note note = {.kind = FL_BROKER_NOTE_TAKEN, .ticket = ++w->said[worker]};
        for (unsigned to = 0; to < WORKERS; to++)
            if (to != worker)
                (void)fl_crew_post(w->crew, worker, to, &note, true);
    }
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct fl_crew_host host = {.note = on_note,
                                .mail = on_mail,
                                .room = on_room,
                                .round = on_round,
                                .unread = on_unread,
                                .self = w};

    assert_non_null(w);
    assert_ok(fl_loop_create(&w->loop, NULL));
    assert_ok(fl_crew_create(WORKERS, w->loop, &host, &w->crew, NULL));
    assert_ok(fl_crew_start(w->crew, NULL));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    fl_crew_stop(w->crew);
    fl_crew_free(w->crew);
    fl_loop_free(w->loop);
    free(w);
    return 0;
}

static void send_letter(struct world *w, unsigned to)
{
    struct fl_mail *mail = calloc(1, sizeof *mail);

    assert_non_null(mail);
    mail->size_bytes = 100;
    fl_crew_mail(w->crew, to, mail);
}

static void mail_wakes_who_sleeps(void **state)
{
    struct world *w = *state;

    for (unsigned i = 1; i <= 50; i++)
        for (unsigned to = 0; to < WORKERS; to++) {
            send_letter(w, to);
            while (atomic_load(&w->letters[to]) < i)
                assert_ok(fl_loop_round(w->loop, to == 0 ? 1000 : 0, NULL));
            assert_int_equal(fl_crew_mail_bytes(w->crew, to), 0);
        }
}

static bool all_heard(struct world *w)
{
    for (unsigned i = 0; i < WORKERS; i++)
        if (atomic_load(&w->heard[i]) < (WORKERS - 1) * PINGS)
            return false;
    return true;
}

/* All rings are full at once: still all hear everything, in its order. */
static void nobody_waits_for_ever_when_all_have_much_to_say(void **state)
{
    struct world *w = *state;

    atomic_store(&w->talk, true);
    for (unsigned to = 1; to < WORKERS; to++)
        send_letter(w, to); /* to begin */
    while (!all_heard(w))
        assert_ok(fl_loop_round(w->loop, 100, NULL));
    assert_int_equal(atomic_load(&w->disorder), 0);
    assert_false(fl_crew_busy(w->crew, 0));
}

static void nobody_sees_a_change_that_is_half_made(void **state)
{
    struct world *w = *state;

    for (unsigned i = 1; i <= CHANGES; i++) {
        for (unsigned to = 1; to < WORKERS; to++)
            send_letter(w, to);
        fl_crew_change_begin(w->crew);
        w->shared[0] = i;
        for (volatile int spin = 0; spin < 1000; spin++)
            ;
        w->shared[1] = i;
        fl_crew_change_end(w->crew);
        assert_ok(fl_loop_round(w->loop, 0, NULL));
    }
    assert_int_equal(atomic_load(&w->torn), 0);
}

static void what_was_sent_before_the_end_is_read_and_what_comes_after_is_given_back(void **state)
{
    struct world *w = *state;

    for (unsigned to = 1; to < WORKERS; to++)
        send_letter(w, to);
    fl_crew_stop(w->crew);
    for (unsigned to = 1; to < WORKERS; to++)
        assert_int_equal(atomic_load(&w->letters[to]), 1);
    for (unsigned to = 0; to < WORKERS; to++)
        send_letter(w, to);
    fl_crew_read(w->crew);
    assert_int_equal(atomic_load(&w->letters[0]), 1);
    fl_crew_discard(w->crew);
    assert_int_equal(atomic_load(&w->unread), WORKERS - 1);
}

static void one_alone_costs_nothing(void **state)
{
    struct world w = {0};
    struct fl_crew_host host = {.round = on_round, .self = &w};

    (void)state;
    assert_ok(fl_loop_create(&w.loop, NULL));
    assert_ok(fl_crew_create(1, w.loop, &host, &w.crew, NULL));
    assert_ok(fl_crew_start(w.crew, NULL));
    w.shared[0] = 1; /* a round would see it */
    assert_ok(fl_loop_round(w.loop, 0, NULL));
    assert_int_equal(atomic_load(&w.torn), 0);
    assert_true(fl_crew_loop(w.crew, 0) == w.loop);
    fl_crew_stop(w.crew);
    fl_crew_free(w.crew);
    fl_loop_free(w.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mail_wakes_who_sleeps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_waits_for_ever_when_all_have_much_to_say, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nobody_sees_a_change_that_is_half_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_was_sent_before_the_end_is_read_and_what_comes_after_is_given_back, set_up,
            tear_down),
        cmocka_unit_test(one_alone_costs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
