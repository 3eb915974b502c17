/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <stdlib.h>

static void place(struct fl_heap *heap, size_t at, struct fl_heap_node *node)
{
    heap->nodes[at] = node;
    node->position = at + 1;
}

static void sift_up(struct fl_heap *heap, size_t at)
{
    struct fl_heap_node *node = heap->nodes[at];

    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (heap->nodes[parent]->due <= node->due)
            break;
        place(heap, at, heap->nodes[parent]);
        at = parent;
    }
    place(heap, at, node);
}

static void sift_down(struct fl_heap *heap, size_t at)
{
    struct fl_heap_node *node = heap->nodes[at];

    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->nodes[child + 1]->due < heap->nodes[child]->due)
            child++;
        if (node->due <= heap->nodes[child]->due)
            break;
        place(heap, at, heap->nodes[child]);
        at = child;
    }
    place(heap, at, node);
}

enum fl_error fl_heap_set(struct fl_heap *heap, struct fl_heap_node *node, fl_time_t due)
{
    if (node->position) {
        size_t at = node->position - 1;
        node->due = due;
        sift_up(heap, at);
        sift_down(heap, node->position - 1);
        return FL_OK;
    }
    if (heap->count == heap->capacity) {
        size_t capacity = heap->capacity ? heap->capacity * 2 : 16;
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is meant. */
        struct fl_heap_node **nodes = realloc(heap->nodes, capacity * sizeof(heap->nodes[0]));
        if (!nodes)
            return FL_ENOMEM;
        heap->nodes = nodes;
        heap->capacity = capacity;
    }
    node->due = due;
    place(heap, heap->count, node);
    heap->count++;
    sift_up(heap, heap->count - 1);
    return FL_OK;
}

void fl_heap_remove(struct fl_heap *heap, struct fl_heap_node *node)
{
    size_t at = node->position - 1;
    struct fl_heap_node *last = NULL;

    if (!node->position)
        return;
    node->position = 0;
    heap->count--;
    if (at == heap->count)
        return;
    last = heap->nodes[heap->count];
    place(heap, at, last);
    sift_up(heap, at);
    sift_down(heap, last->position - 1);
}

struct fl_heap_node *fl_heap_first(const struct fl_heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}

void fl_heap_free(struct fl_heap *heap)
{
    free(heap->nodes);
    *heap = (struct fl_heap){0};
}
