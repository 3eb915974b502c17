/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "front/ring.h"

#include <pthread.h>

enum { MANY = 200000 };

static struct fl_broker_note numbered(uint64_t number)
{
    return (struct fl_broker_note){.kind = FL_BROKER_NOTE_TAKEN, .ticket = number};
}

static void notes_come_in_their_order(void **state)
{
    struct fl_ring ring = {0};
    struct fl_broker_note note;
    uint64_t in = 0;
    uint64_t out = 0;

    (void)state;
    assert_ok(fl_ring_init(&ring, 4, NULL));
    assert_true(fl_ring_empty(&ring));
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < round % 5; i++) {
            note = numbered(in++);
            assert_true(fl_ring_push(&ring, &note, false));
        }
        assert_true(fl_ring_empty(&ring)); /* not yet to be seen */
        assert_false(fl_ring_pop(&ring, &note));
        assert_int_equal(fl_ring_publish(&ring), round % 5 != 0);
        while (fl_ring_pop(&ring, &note))
            assert_int_equal(note.ticket, out++);
    }
    assert_int_equal(in, out);
    assert_true(fl_ring_empty(&ring));
    fl_ring_free(&ring);
}

static void a_full_ring_refuses_what_need_not_arrive_and_keeps_what_must(void **state)
{
    struct fl_ring ring = {0};
    struct fl_broker_note note;
    uint64_t out = 0;

    (void)state;
    assert_ok(fl_ring_init(&ring, 2, NULL));
    for (uint64_t i = 0; i < 2; i++) {
        note = numbered(i);
        assert_true(fl_ring_push(&ring, &note, false));
        (void)fl_ring_publish(&ring);
    }
    assert_false(fl_ring_starved(&ring));
    note = numbered(2);
    assert_false(fl_ring_push(&ring, &note, false));
    assert_true(fl_ring_starved(&ring));
    assert_false(fl_ring_starved(&ring)); /* once */
    for (uint64_t i = 2; i < 200; i++) {
        note = numbered(i);
        assert_true(fl_ring_push(&ring, &note, true));
        (void)fl_ring_publish(&ring);
    }
    assert_int_equal(ring.over_count, 198);
    assert_false(fl_ring_spill(&ring));
    while (out < 200) {
        (void)fl_ring_publish(&ring);
        while (fl_ring_pop(&ring, &note))
            assert_int_equal(note.ticket, out++);
        /* What waits goes first, also when there is room. */
        if (ring.over_count) {
            note = numbered(1000);
            assert_false(fl_ring_push(&ring, &note, false));
        }
        (void)fl_ring_spill(&ring);
        (void)fl_ring_publish(&ring);
    }
    assert_true(fl_ring_spill(&ring));
    assert_int_equal(ring.over_count, 0);
    fl_ring_free(&ring);
}

static void what_was_not_heard_is_freed_with_the_ring(void **state)
{
    struct fl_ring ring = {0};

    (void)state;
    assert_ok(fl_ring_init(&ring, 2, NULL));
    for (uint64_t i = 0; i < 5; i++) {
        struct fl_broker_note note = numbered(i);
        assert_true(fl_ring_push(&ring, &note, true));
        (void)fl_ring_publish(&ring);
    }
    fl_ring_free(&ring);
    fl_ring_free(&ring); /* harmless */
}

static void *produce(void *self)
{
    struct fl_ring *ring = self;

    for (uint64_t i = 0; i < MANY;) {
        struct fl_broker_note note = numbered(i);
        /* Now and then what must arrive, and then there is no more before it has left. */
        if (!fl_ring_spill(ring)) {
            (void)fl_ring_publish(ring);
            continue;
        }
        i += fl_ring_push(ring, &note, i % 7 == 0);
        (void)fl_ring_publish(ring);
    }
    while (!fl_ring_spill(ring))
        (void)fl_ring_publish(ring);
    (void)fl_ring_publish(ring);
    return NULL;
}

static void two_threads_lose_nothing_and_keep_the_order(void **state)
{
    struct fl_ring ring = {0};
    struct fl_broker_note note;
    pthread_t thread;

    (void)state;
    assert_ok(fl_ring_init(&ring, 64, NULL));
    assert_int_equal(pthread_create(&thread, NULL, produce, &ring), 0);
    for (uint64_t out = 0; out < MANY;) {
        if (!fl_ring_pop(&ring, &note)) {
            (void)fl_ring_starved(&ring);
            continue;
        }
        assert_int_equal(note.ticket, out++);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(fl_ring_empty(&ring));
    fl_ring_free(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_come_in_their_order),
        cmocka_unit_test(a_full_ring_refuses_what_need_not_arrive_and_keeps_what_must),
        cmocka_unit_test(what_was_not_heard_is_freed_with_the_ring),
        cmocka_unit_test(two_threads_lose_nothing_and_keep_the_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
