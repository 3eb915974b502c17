/* SPDX-License-Identifier: Apache-2.0 */
#include "service/topic_index.h"

#include "base/assert.h"
#include "codec/mqtt.h"

#include <stdlib.h>

/* All nodes are in one hash map, by parent and level: a node needs no table of its own, and a level
 * is found in one look-up however many siblings it has.
 *
 * A node stands for one level; without children it may stand for all that is left of its words, so
 * that a topic of its own costs one node and not one for each level. When other words want to go on
 * below its first level, it is pushed down and an ordinary node takes its place. The way back, when
 * they have gone, is not taken: it saves nothing that words which come again would not cost. */
struct fl_topic_node {
    struct fl_map_link in_map;
    struct fl_topic_node *parent;
    struct fl_topic_node *children; /* "#" is the first of them, then "+" */
    struct fl_topic_node *sibling;
    struct fl_topic_node **back; /* what points to it among its siblings */
    struct fl_topic_entry *entries;
    uint16_t size;
    bool has_hash; /* a child "#" */
    bool has_plus; /* one that is or begins with "+" */
    uint8_t words[];
};

struct walk {
    const struct fl_topic_index *index;
    fl_topic_visit *visit;
    void *self;
};

static struct fl_topic_node *node_of(struct fl_map_link *link)
{
    return fl_container_of(link, struct fl_topic_node, in_map);
}

static struct fl_slice words_of(const struct fl_topic_node *node)
{
    return fl_slice(node->words, node->size);
}

static uint64_t hash_of(const struct fl_topic_node *parent, struct fl_slice level)
{
    uintptr_t above = (uintptr_t)parent;
    uint8_t key[sizeof above + FL_LIMIT_MQTT_TOPIC];

    memcpy(key, &above, sizeof above);
    if (level.size)
        memcpy(key + sizeof above, level.data, level.size);
    return fl_map_hash(fl_slice(key, sizeof above + level.size));
}

static bool begins_with(const struct fl_topic_node *node, struct fl_slice level)
{
    return node->size >= level.size &&
           (level.size == 0 || memcmp(node->words, level.data, level.size) == 0) &&
           (node->size == level.size || node->words[level.size] == '/');
}

/* The child that is this level or begins with it. */
static struct fl_topic_node *find(const struct fl_topic_index *index,
                                  const struct fl_topic_node *parent, struct fl_slice level)
{
    uint64_t hash = 0;
    struct fl_map_link *link = NULL;

    if (!parent->children || level.size > FL_LIMIT_MQTT_TOPIC)
        return NULL;
    hash = hash_of(parent, level);
    for (link = fl_map_chain(&index->nodes, hash); link; link = link->next)
        if (link->hash == hash && node_of(link)->parent == parent &&
            begins_with(node_of(link), level))
            return node_of(link);
    return NULL;
}

/* --- children --- */

static struct fl_topic_node *hash_child(const struct fl_topic_node *node)
{
    return node->has_hash ? node->children : NULL;
}

static struct fl_topic_node *plus_child(const struct fl_topic_node *node)
{
    if (!node->has_plus)
        return NULL;
    return node->has_hash ? node->children->sibling : node->children;
}

static void link_child(struct fl_topic_node *parent, struct fl_topic_node *node)
{
    struct fl_topic_node **at = &parent->children;
    bool is_hash = fl_slice_is(words_of(node), "#");
    bool is_plus = begins_with(node, fl_slice_str("+"));

    if (parent->has_hash)
        at = &(*at)->sibling;
    if (parent->has_plus && !is_hash)
        at = &(*at)->sibling;
    parent->has_hash = parent->has_hash || is_hash;
    parent->has_plus = parent->has_plus || is_plus;
    node->parent = parent;
    node->back = at;
    node->sibling = *at;
    if (node->sibling)
        node->sibling->back = &node->sibling;
    *at = node;
}

static void unlink_child(struct fl_topic_node *node)
{
    struct fl_topic_node *parent = node->parent;

    if (node == plus_child(parent))
        parent->has_plus = false;
    else if (node == hash_child(parent))
        parent->has_hash = false;
    *node->back = node->sibling;
    if (node->sibling)
        node->sibling->back = node->back;
}

static struct fl_topic_node *node_new(struct fl_slice words)
{
    size_t size = offsetof(struct fl_topic_node, words) + words.size; /* without padding */
    struct fl_topic_node *node = NULL;

    node = calloc(1, size > sizeof *node ? size : sizeof *node);
    if (!node)
        return NULL;
    node->size = (uint16_t)words.size;
    if (words.size)
        memcpy(node->words, words.data, words.size);
    return node;
}

static struct fl_topic_node *add_child(struct fl_topic_index *index, struct fl_topic_node *parent,
                                       struct fl_slice words, struct fl_slice level)
{
    struct fl_topic_node *node = node_new(words);

    if (!node)
        return NULL;
    if (fl_map_add_link(&index->nodes, &node->in_map, hash_of(parent, level)) != FL_OK) {
        free(node);
        return NULL;
    }
    link_child(parent, node);
    return node;
}

/* Puts an ordinary node for the first level in the place of `node`, which goes on below it with the
 * rest of its words. Entries stay with their node. */
static struct fl_topic_node *push_down(struct fl_topic_index *index, struct fl_topic_node *node,
                                       struct fl_slice level)
{
    struct fl_topic_node *parent = node->parent;
    struct fl_topic_node *between = NULL;
    struct fl_slice rest = fl_slice_from(words_of(node), level.size + 1);
    struct fl_slice first = {0};

    between = node_new(level);
    if (!between)
        return NULL;
    unlink_child(node);
    fl_map_remove_link(&index->nodes, &node->in_map);
    memmove(node->words, rest.data, rest.size);
    node->size = (uint16_t)rest.size;
    rest = words_of(node);
    (void)fl_slice_cut(&rest, '/', &first);
    /* There are buckets: the node was in one. */
    fl_assert(fl_map_add_link(&index->nodes, &between->in_map, hash_of(parent, level)) == FL_OK);
    fl_assert(fl_map_add_link(&index->nodes, &node->in_map, hash_of(between, first)) == FL_OK);
    link_child(parent, between);
    link_child(between, node);
    return between;
}

/* Frees the node and its ancestors as far as nothing is stored there. */
static void prune(struct fl_topic_index *index, struct fl_topic_node *node)
{
    while (node->parent && !node->entries && !node->children) {
        struct fl_topic_node *parent = node->parent;
        unlink_child(node);
        fl_map_remove_link(&index->nodes, &node->in_map);
        free(node);
        node = parent;
    }
}

/* --- entries: a ring without a head --- */

static void add_entry(struct fl_topic_node *node, struct fl_topic_entry *entry)
{
    entry->node = node;
    if (node->entries)
        fl_list_push(&node->entries->link, &entry->link); /* behind the last */
    else
        fl_list_init(&entry->link);
    if (!node->entries)
        node->entries = entry;
}

static struct fl_topic_entry *entry_after(const struct fl_topic_entry *entry)
{
    return fl_container_of(entry->link.next, struct fl_topic_entry, link);
}

static void remove_entry(struct fl_topic_entry *entry)
{
    struct fl_topic_node *node = entry->node;

    if (node->entries == entry)
        node->entries = fl_list_empty(&entry->link) ? NULL : entry_after(entry);
    fl_list_remove(&entry->link);
    entry->node = NULL;
}

static void visit_entries(const struct walk *walk, const struct fl_topic_node *node)
{
    struct fl_topic_entry *entry = node->entries;
    struct fl_topic_entry *last =
        entry ? fl_container_of(entry->link.prev, struct fl_topic_entry, link) : NULL;

    while (entry) {
        struct fl_topic_entry *next = entry == last ? NULL : entry_after(entry);
        walk->visit(walk->self, entry);
        entry = next;
    }
}

/* --- the index --- */

enum fl_error fl_topic_index_init(struct fl_topic_index *index)
{
    *index = (struct fl_topic_index){.root = node_new(fl_slice(NULL, 0))};
    return index->root ? FL_OK : FL_ENOMEM;
}

void fl_topic_index_free(struct fl_topic_index *index)
{
    struct fl_map_link *at = fl_map_next_link(&index->nodes, NULL);

    while (at) {
        struct fl_map_link *next = fl_map_next_link(&index->nodes, at);
        free(node_of(at));
        at = next;
    }
    fl_map_free(&index->nodes);
    free(index->root);
    *index = (struct fl_topic_index){0};
}

/* The node of these words, made when there is none. NULL: no memory. */
static struct fl_topic_node *node_for(struct fl_topic_index *index, struct fl_slice words)
{
    struct fl_topic_node *node = index->root;
    bool more = true;

    while (more) {
        struct fl_slice all = words;
        struct fl_slice level = {0};
        struct fl_topic_node *child = NULL;

        more = fl_slice_cut(&words, '/', &level);
        child = find(index, node, level);
        if (child && fl_slice_equal(words_of(child), all))
            return child;
        if (!child) {
            child = add_child(index, node, all, level);
            more = false;
        } else if (child->size > level.size) {
            child = push_down(index, child, level);
        }
        if (!child) {
            prune(index, node);
            return NULL;
        }
        node = child;
    }
    return node;
}

enum fl_error fl_topic_index_add(struct fl_topic_index *index, struct fl_slice words,
                                 struct fl_topic_entry *entry)
{
    struct fl_topic_node *node = NULL;

    if (words.size > FL_LIMIT_MQTT_TOPIC ||
        fl_mqtt_topic_levels(words) > FL_LIMIT_MQTT_TOPIC_LEVELS)
        return FL_ELIMIT;
    node = node_for(index, words);
    if (!node)
        return FL_ENOMEM;
    add_entry(node, entry);
    return FL_OK;
}

void fl_topic_index_remove(struct fl_topic_index *index, struct fl_topic_entry *entry)
{
    struct fl_topic_node *node = entry->node;

    if (!node)
        return;
    remove_entry(entry);
    prune(index, node);
}

struct fl_topic_entry *fl_topic_index_first(const struct fl_topic_index *index,
                                            struct fl_slice words)
{
    const struct fl_topic_node *node = index->root;
    struct fl_slice level = {0};
    bool more = true;

    while (more) {
        struct fl_slice all = words;

        more = fl_slice_cut(&words, '/', &level);
        node = find(index, node, level);
        if (!node || fl_slice_equal(words_of(node), all))
            break;
        if (node->size > level.size)
            return NULL; /* it goes on with other words */
    }
    return node ? node->entries : NULL;
}

static void match(const struct walk *walk, const struct fl_topic_node *node, struct fl_slice rest,
                  bool more);

/* The first level of `node`, of so many octets, has been found to match. */
static void match_below(const struct walk *walk, const struct fl_topic_node *node, size_t first,
                        struct fl_slice rest, bool more)
{
    struct fl_slice filter = {0};

    if (node->size == first) {
        match(walk, node, rest, more);
        return;
    }
    filter = fl_slice_from(words_of(node), first + 1);
    if (more ? fl_mqtt_levels_match(filter, rest) : fl_slice_is(filter, "#"))
        visit_entries(walk, node);
}

/* Recursion is as deep as the tree: FL_LIMIT_MQTT_TOPIC_LEVELS. */
static void match(const struct walk *walk, const struct fl_topic_node *node, struct fl_slice rest,
                  bool more)
{
    bool reserved =
        node == walk->index->root && rest.size && rest.data[0] == '$'; /* no wildcard matches it */
    const struct fl_topic_node *child = NULL;
    struct fl_slice level = {0};

    if (node->has_hash && !reserved)
        visit_entries(walk, hash_child(node));
    if (!more) {
        visit_entries(walk, node);
        return;
    }
    more = fl_slice_cut(&rest, '/', &level);
    child = find(walk->index, node, level);
    if (child)
        match_below(walk, child, level.size, rest, more);
    if (node->has_plus && !reserved)
        match_below(walk, plus_child(node), 1, rest, more);
}

void fl_topic_index_match(const struct fl_topic_index *index, struct fl_slice topic,
                          fl_topic_visit *visit, void *self)
{
    struct walk walk = {.index = index, .visit = visit, .self = self};

    match(&walk, index->root, topic, true);
}

static bool hidden(const struct walk *walk, const struct fl_topic_node *child)
{
    return child->parent == walk->index->root && child->size && child->words[0] == '$';
}

static void visit_all(const struct walk *walk, const struct fl_topic_node *node)
{
    visit_entries(walk, node);
    for (const struct fl_topic_node *child = node->children; child; child = child->sibling)
        if (!hidden(walk, child))
            visit_all(walk, child);
}

static void search(const struct walk *walk, const struct fl_topic_node *node, struct fl_slice rest,
                   bool more);

static void search_below(const struct walk *walk, const struct fl_topic_node *node,
                         struct fl_slice rest, bool more)
{
    struct fl_slice topic = words_of(node);
    struct fl_slice level = {0};

    if (!fl_slice_cut(&topic, '/', &level))
        search(walk, node, rest, more);
    else if (more && fl_mqtt_levels_match(rest, topic))
        visit_entries(walk, node);
}

static void search(const struct walk *walk, const struct fl_topic_node *node, struct fl_slice rest,
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
        for (const struct fl_topic_node *child = node->children; child; child = child->sibling)
            if (!hidden(walk, child))
                search_below(walk, child, rest, more);
    } else {
        const struct fl_topic_node *child = find(walk->index, node, level);
        if (child)
            search_below(walk, child, rest, more);
    }
}

void fl_topic_index_search(const struct fl_topic_index *index, struct fl_slice filter,
                           fl_topic_visit *visit, void *self)
{
    struct walk walk = {.index = index, .visit = visit, .self = self};

    search(&walk, index->root, filter, true);
}
