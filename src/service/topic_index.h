/* SPDX-License-Identifier: Apache-2.0
 *
 * A tree of topics, a node for each level that is shared and one for what is not, for both
 * questions of a broker: which of the stored filters match this topic (subscriptions), and which of
 * the stored topics does this filter match (retained messages). Entries live in the caller's
 * structs; many may share one place. Not for untrusted depth: at most FL_LIMIT_MQTT_TOPIC_LEVELS
 * levels go in.
 */
#ifndef FL_SERVICE_TOPIC_INDEX_H
#define FL_SERVICE_TOPIC_INDEX_H

#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"

struct fl_topic_node;

struct fl_topic_entry {
    struct fl_list link;
    struct fl_topic_node *node; /* NULL: in no index */
};

struct fl_topic_index {
    struct fl_map nodes; /* links */
    struct fl_topic_node *root;
};

FL_MUST_USE enum fl_error fl_topic_index_init(struct fl_topic_index *index);
void fl_topic_index_free(struct fl_topic_index *index); /* the entries are the caller's */

/* FL_ELIMIT: too long or too deep; FL_ENOMEM. */
FL_MUST_USE enum fl_error fl_topic_index_add(struct fl_topic_index *index, struct fl_slice words,
                                             struct fl_topic_entry *entry);
void fl_topic_index_remove(struct fl_topic_index *index, struct fl_topic_entry *entry);

/* An entry stored under exactly these words, or NULL. */
struct fl_topic_entry *fl_topic_index_first(const struct fl_topic_index *index,
                                            struct fl_slice words);

/* Must not change the index. */
typedef void fl_topic_visit(void *self, struct fl_topic_entry *entry);

/* Every entry stored under a filter that matches `topic`. */
void fl_topic_index_match(const struct fl_topic_index *index, struct fl_slice topic,
                          fl_topic_visit *visit, void *self);
/* Every entry stored under a topic that `filter` matches. */
void fl_topic_index_search(const struct fl_topic_index *index, struct fl_slice filter,
                           fl_topic_visit *visit, void *self);

#endif
