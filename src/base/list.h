/* SPDX-License-Identifier: Apache-2.0
 *
 * An intrusive, circular, doubly linked list. The node lives in the caller's struct; nothing
 * allocates.
 */
#ifndef FL_BASE_LIST_H
#define FL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct fl_list {
    struct fl_list *next;
    struct fl_list *prev;
};

/* The struct of `type` whose `member` is `node`. */
#define fl_container_of(node, type, member)                                                        \
    ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Safe against removal of the current node. */
/* NOLINTBEGIN(bugprone-macro-parentheses): `node` names a variable. */
#define FL_LIST_EACH(node, list)                                                                   \
    for (struct fl_list *node = (list)->next, *node##_next = node->next; node != (list);           \
         node = node##_next, node##_next = node->next)
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void fl_list_init(struct fl_list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool fl_list_empty(const struct fl_list *list)
{
    return list->next == list;
}

static inline void fl_list_push(struct fl_list *list, struct fl_list *node) /* at the end */
{
    node->next = list;
    node->prev = list->prev;
    list->prev->next = node;
    list->prev = node;
}

/* Leaves the node linked to itself, so removing twice is harmless. */
static inline void fl_list_remove(struct fl_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    fl_list_init(node);
}

#endif
