/* SPDX-License-Identifier: Apache-2.0 */
#include "service/topic_index.h"

#include <stdlib.h>

/* All nodes are in one hash map, by parent and level: a node needs no table of its own, and a level
 * is found in one look-up however many siblings it has. */
struct fl_topic_node {
    struct fl_map_node in_map;
    struct fl_topic_node *parent;
    struct fl_topic_node *plus; /* the child "+" */
    struct fl_topic_node *hash; /* the child "#" */
    struct fl_list children;
    struct fl_list sibling;
    struct fl_list entries;
    uint8_t key[]; /* the parent's address, then the level */
};

#define KEY_HEAD sizeof(struct fl_topic_node *)

struct walk {
    const struct fl_topic_index *index;
    fl_topic_visit *visit;
    void *self;
};

static struct fl_slice level_of(const struct fl_topic_node *node)
{
    return fl_slice_from(node->in_map.key, KEY_HEAD);
}

static struct fl_topic_node *find(const struct fl_topic_index *index,
                                  const struct fl_topic_node *parent, struct fl_slice level)
{
    uint8_t key[KEY_HEAD + FL_LIMIT_MQTT_TOPIC];
    struct fl_map_node *node = NULL;

    if (level.size > FL_LIMIT_MQTT_TOPIC)
        return NULL;
    memcpy(key, &parent, KEY_HEAD);
    if (level.size)
        memcpy(key + KEY_HEAD, level.data, level.size);
    node = fl_map_find(&index->nodes, fl_slice(key, KEY_HEAD + level.size));
    return node ? fl_container_of(node, struct fl_topic_node, in_map) : NULL;
}

static struct fl_topic_node *node_new(const struct fl_topic_node *parent, struct fl_slice level)
{
    struct fl_topic_node *node = calloc(1, sizeof *node + KEY_HEAD + level.size);

    if (!node)
        return NULL;
    fl_list_init(&node->children);
    fl_list_init(&node->sibling);
    fl_list_init(&node->entries);
    memcpy(node->key, &parent, KEY_HEAD);
    if (level.size)
        memcpy(node->key + KEY_HEAD, level.data, level.size);
    return node;
}

static struct fl_topic_node *add_child(struct fl_topic_index *index, struct fl_topic_node *parent,
                                       struct fl_slice level)
{
    struct fl_topic_node *node = node_new(parent, level);

    if (!node)
        return NULL;
    if (fl_map_add(&index->nodes, &node->in_map, fl_slice(node->key, KEY_HEAD + level.size)) !=
        FL_OK) {
        free(node);
        return NULL;
    }
    node->parent = parent;
    fl_list_push(&parent->children, &node->sibling);
    if (fl_slice_is(level, "+"))
        parent->plus = node;
    else if (fl_slice_is(level, "#"))
        parent->hash = node;
    return node;
}

/* Frees the node and its ancestors as far as nothing is stored there. */
static void prune(struct fl_topic_index *index, struct fl_topic_node *node)
{
    while (node->parent && fl_list_empty(&node->entries) && fl_list_empty(&node->children)) {
        struct fl_topic_node *parent = node->parent;
        if (parent->plus == node)
            parent->plus = NULL;
        if (parent->hash == node)
            parent->hash = NULL;
        fl_list_remove(&node->sibling);
        fl_map_remove(&index->nodes, &node->in_map);
        free(node);
        node = parent;
    }
}

enum fl_error fl_topic_index_init(struct fl_topic_index *index)
{
    *index = (struct fl_topic_index){.root = node_new(NULL, fl_slice(NULL, 0))};
    return index->root ? FL_OK : FL_ENOMEM;
}

void fl_topic_index_free(struct fl_topic_index *index)
{
    struct fl_map_node *at = fl_map_next(&index->nodes, NULL);

    while (at) {
        struct fl_map_node *next = fl_map_next(&index->nodes, at);
        free(fl_container_of(at, struct fl_topic_node, in_map));
        at = next;
    }
    fl_map_free(&index->nodes);
    free(index->root);
    *index = (struct fl_topic_index){0};
}

enum fl_error fl_topic_index_add(struct fl_topic_index *index, struct fl_slice words,
                                 struct fl_topic_entry *entry)
{
    struct fl_topic_node *node = index->root;
    struct fl_slice level = {0};
    size_t levels = 0;
    bool more = true;

    if (words.size > FL_LIMIT_MQTT_TOPIC)
        return FL_ELIMIT;
    while (more) {
        struct fl_topic_node *child = NULL;
        more = fl_slice_cut(&words, '/', &level);
        if (++levels > FL_LIMIT_MQTT_TOPIC_LEVELS) {
            prune(index, node);
            return FL_ELIMIT;
        }
        child = find(index, node, level);
        if (!child)
            child = add_child(index, node, level);
        if (!child) {
            prune(index, node);
            return FL_ENOMEM;
        }
        node = child;
    }
    entry->node = node;
    fl_list_push(&node->entries, &entry->link);
    return FL_OK;
}

void fl_topic_index_remove(struct fl_topic_index *index, struct fl_topic_entry *entry)
{
    if (!entry->node)
        return;
    fl_list_remove(&entry->link);
    prune(index, entry->node);
    entry->node = NULL;
}

static void visit_entries(const struct walk *walk, struct fl_topic_node *node)
{
    FL_LIST_EACH(at, &node->entries)
    walk->visit(walk->self, fl_container_of(at, struct fl_topic_entry, link));
}

struct fl_topic_entry *fl_topic_index_first(const struct fl_topic_index *index,
                                            struct fl_slice words)
{
    const struct fl_topic_node *node = index->root;
    struct fl_slice level = {0};
    bool more = true;

    while (more && node) {
        more = fl_slice_cut(&words, '/', &level);
        node = find(index, node, level);
    }
    if (!node || fl_list_empty(&node->entries))
        return NULL;
    return fl_container_of(node->entries.next, struct fl_topic_entry, link);
}

/* Recursion is as deep as the tree: FL_LIMIT_MQTT_TOPIC_LEVELS. */
static void match(const struct walk *walk, struct fl_topic_node *node, struct fl_slice rest,
                  bool more)
{
    bool reserved =
        node == walk->index->root && rest.size && rest.data[0] == '$'; /* no wildcard matches it */
    struct fl_topic_node *child = NULL;
    struct fl_slice level = {0};

    if (node->hash && !reserved)
        visit_entries(walk, node->hash);
    if (!more) {
        visit_entries(walk, node);
        return;
    }
    more = fl_slice_cut(&rest, '/', &level);
    child = find(walk->index, node, level);
    if (child)
        match(walk, child, rest, more);
    if (node->plus && !reserved)
        match(walk, node->plus, rest, more);
}

void fl_topic_index_match(const struct fl_topic_index *index, struct fl_slice topic,
                          fl_topic_visit *visit, void *self)
{
    struct walk walk = {.index = index, .visit = visit, .self = self};

    match(&walk, index->root, topic, true);
}

static bool hidden(const struct walk *walk, const struct fl_topic_node *parent,
                   const struct fl_topic_node *child)
{
    struct fl_slice level = level_of(child);

    return parent == walk->index->root && level.size && level.data[0] == '$';
}

static void visit_all(const struct walk *walk, struct fl_topic_node *node)
{
    visit_entries(walk, node);
    FL_LIST_EACH(at, &node->children)
    {
        struct fl_topic_node *child = fl_container_of(at, struct fl_topic_node, sibling);
        if (!hidden(walk, node, child))
            visit_all(walk, child);
    }
}

static void search(const struct walk *walk, struct fl_topic_node *node, struct fl_slice rest,
                   bool more)
{
    struct fl_slice level = {0};

    if (!more) {
        visit_entries(walk, node);
        return;
    }
    more = fl_slice_cut(&rest, '/', &level);
    if (fl_slice_is(level, "#")) {
        visit_all(walk, node);
    } else if (fl_slice_is(level, "+")) {
        FL_LIST_EACH(at, &node->children)
        {
            struct fl_topic_node *child = fl_container_of(at, struct fl_topic_node, sibling);
            if (!hidden(walk, node, child))
                search(walk, child, rest, more);
        }
    } else {
        struct fl_topic_node *child = find(walk->index, node, level);
        if (child)
            search(walk, child, rest, more);
    }
}

void fl_topic_index_search(const struct fl_topic_index *index, struct fl_slice filter,
                           fl_topic_visit *visit, void *self)
{
    struct walk walk = {.index = index, .visit = visit, .self = self};

    search(&walk, index->root, filter, true);
}

void fl_topic_index_at(struct fl_map_node *node, fl_topic_visit *visit, void *self)
{
    struct fl_topic_node *at = fl_container_of(node, struct fl_topic_node, in_map);

    FL_LIST_EACH(entry, &at->entries)
    visit(self, fl_container_of(entry, struct fl_topic_entry, link));
}

void fl_topic_index_each(const struct fl_topic_index *index, fl_topic_visit *visit, void *self)
{
    struct fl_map_node *at = fl_map_next(&index->nodes, NULL);

    for (; at; at = fl_map_next(&index->nodes, at)) {
        struct fl_topic_node *node = fl_container_of(at, struct fl_topic_node, in_map);
        FL_LIST_EACH(entry, &node->entries)
        visit(self, fl_container_of(entry, struct fl_topic_entry, link));
    }
}
