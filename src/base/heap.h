/* SPDX-License-Identifier: Apache-2.0
 *
 * A binary heap of timers, earliest first. The node lives in the caller's struct; the heap owns
 * only its array of pointers. A zero-initialised node is not in any heap.
 */
#ifndef FL_BASE_HEAP_H
#define FL_BASE_HEAP_H

#include "base/error.h"
#include "base/time.h"

struct fl_heap_node {
    fl_time_t due;
    size_t position; /* 1-based; 0: not in a heap */
};

struct fl_heap {
    struct fl_heap_node **nodes;
    size_t count;
    size_t capacity;
};

/* Puts the node in, or moves it when it is in already. FL_ENOMEM only when it was not in. */
FL_MUST_USE enum fl_error fl_heap_set(struct fl_heap *heap, struct fl_heap_node *node,
                                      fl_time_t due);
void fl_heap_remove(struct fl_heap *heap, struct fl_heap_node *node); /* harmless when not in */
struct fl_heap_node *fl_heap_first(const struct fl_heap *heap);       /* NULL when empty */
void fl_heap_free(struct fl_heap *heap);

#endif
