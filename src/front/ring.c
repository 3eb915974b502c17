/* SPDX-License-Identifier: Apache-2.0 */
#include "front/ring.h"

#include "base/assert.h"

#include <stdlib.h>

enum fl_error fl_ring_init(struct fl_ring *ring, size_t slots, struct fl_context *ctx)
{
    fl_assert(slots && (slots & (slots - 1)) == 0);
    ring->slots = malloc(slots * sizeof ring->slots[0]);
    if (!ring->slots)
        return fl_fail(ctx, FL_ENOMEM, "ring: out of memory");
    ring->mask = slots - 1;
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
    atomic_init(&ring->starved, false);
    return FL_OK;
}

void fl_ring_free(struct fl_ring *ring)
{
    struct fl_broker_note note;

    if (!ring->slots)
        return;
    (void)fl_ring_publish(ring);
    while (fl_ring_pop(ring, &note))
        fl_broker_note_free(&note);
    for (size_t i = 0; i < ring->over_count; i++)
        fl_broker_note_free(&ring->over[(ring->over_first + i) & (ring->over_capacity - 1)]);
    free(ring->over);
    free(ring->slots);
    ring->slots = NULL;
}

static bool push(struct fl_ring *ring, const struct fl_broker_note *note)
{
    size_t tail = ring->next;

    if (tail - ring->seen_head > ring->mask)
        ring->seen_head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (tail - ring->seen_head > ring->mask) {
        /* Said before looking once more: the consumer pops first and asks then, so one of the two
         * sees the other. */
        atomic_store(&ring->starved, true);
        ring->seen_head = atomic_load(&ring->head);
        if (tail - ring->seen_head > ring->mask)
            return false;
    }
    ring->slots[tail & ring->mask] = *note;
    ring->next = tail + 1;
    return true;
}

bool fl_ring_publish(struct fl_ring *ring)
{
    if (ring->next == atomic_load_explicit(&ring->tail, memory_order_relaxed))
        return false;
    atomic_store(&ring->tail, ring->next);
    return true;
}

static void keep(struct fl_ring *ring, const struct fl_broker_note *note)
{
    if (ring->over_count == ring->over_capacity) {
        size_t capacity = ring->over_capacity ? ring->over_capacity * 2 : 64;
        struct fl_broker_note *over = malloc(capacity * sizeof *over);
        fl_assert(over);
        for (size_t i = 0; i < ring->over_count; i++)
            over[i] = ring->over[(ring->over_first + i) & (ring->over_capacity - 1)];
        free(ring->over);
        ring->over = over;
        ring->over_first = 0;
        ring->over_capacity = capacity;
    }
    ring->over[(ring->over_first + ring->over_count) & (ring->over_capacity - 1)] = *note;
    ring->over_count++;
}

bool fl_ring_push(struct fl_ring *ring, const struct fl_broker_note *note, bool must)
{
    if (ring->over_count == 0 && push(ring, note))
        return true;
    if (must)
        keep(ring, note);
    return must;
}

bool fl_ring_spill(struct fl_ring *ring)
{
    while (ring->over_count) {
        if (!push(ring, &ring->over[ring->over_first]))
            return false;
        ring->over_first = (ring->over_first + 1) & (ring->over_capacity - 1);
        ring->over_count--;
    }
    free(ring->over);
    ring->over = NULL;
    ring->over_capacity = 0;
    ring->over_first = 0;
    return true;
}

bool fl_ring_empty(struct fl_ring *ring)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (head == ring->seen_tail)
        ring->seen_tail = atomic_load(&ring->tail);
    return head == ring->seen_tail;
}

bool fl_ring_pop(struct fl_ring *ring, struct fl_broker_note *note)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (head == ring->seen_tail)
        ring->seen_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head == ring->seen_tail)
        return false;
    *note = ring->slots[head & ring->mask];
    atomic_store(&ring->head, head + 1);
    return true;
}

bool fl_ring_starved(struct fl_ring *ring)
{
    return atomic_load(&ring->starved) && atomic_exchange(&ring->starved, false);
}
