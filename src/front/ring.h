/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded, lock-free queue of broker notes from one thread to one other. When it is full, a note
 * that need not arrive is refused; one that must waits at its producer, in order, until there is
 * room. Nothing here blocks or wakes anybody: the consumer asks whether the producer starves for
 * room, and tells it when there is some.
 */
#ifndef FL_FRONT_RING_H
#define FL_FRONT_RING_H

#include "service/broker_group.h"

#include <stdatomic.h>
#include <stddef.h>

#define FL_RING_LINE 64 /* of a cache: what one thread writes is not beside what the other does */

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): lines of a cache */
struct fl_ring {
    struct fl_broker_note *slots;
    size_t mask;
    /* the producer's */
    _Alignas(FL_RING_LINE) atomic_size_t tail;
    size_t next; /* what is between the two is not published yet */
    size_t seen_head;
    struct fl_broker_note *over; /* a ring as well; its capacity is a power of two */
    size_t over_first;
    size_t over_count;
    size_t over_capacity;
    /* the consumer's */
    _Alignas(FL_RING_LINE) atomic_size_t head;
    size_t seen_tail;
    /* both's, seldom */
    _Alignas(FL_RING_LINE) atomic_bool starved;
};

/* `slots`: a power of two. `ring` is zero-initialised. */
FL_MUST_USE enum fl_error fl_ring_init(struct fl_ring *ring, size_t slots, struct fl_context *ctx);
/* And the notes in it. When neither thread uses it any more. */
void fl_ring_free(struct fl_ring *ring);

/* The producer's. Push takes the note over when it returns true, which it does with `must`; a
 * process without memory for it ends. Spill moves what waits as far as there is room; true: nothing
 * waits any more. */
FL_MUST_USE bool fl_ring_push(struct fl_ring *ring, const struct fl_broker_note *note, bool must);
bool fl_ring_spill(struct fl_ring *ring);
/* The consumer sees what was pushed until now; so a round's notes leave together, and after what
 * they depend on was written down. True: there was something. */
bool fl_ring_publish(struct fl_ring *ring);

/* The consumer's. */
FL_MUST_USE bool fl_ring_pop(struct fl_ring *ring, struct fl_broker_note *note);
bool fl_ring_empty(struct fl_ring *ring);
/* Did the producer find no room since this was asked last? Asked after popping. */
bool fl_ring_starved(struct fl_ring *ring);

#endif
