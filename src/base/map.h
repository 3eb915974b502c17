/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash map from bytes to caller-owned structs. The node lives in the caller's struct and points
 * at a key that the caller keeps unchanged while it is in. Keyed SipHash-2-4, so that hostile keys
 * cannot be made to collide; the seed is process-wide (fl_map_seed).
 */
#ifndef FL_BASE_MAP_H
#define FL_BASE_MAP_H

#include "base/error.h"
#include "base/slice.h"

struct fl_map_link {
    struct fl_map_link *next;
    uint64_t hash;
};

struct fl_map_node {
    struct fl_map_link link;
    struct fl_slice key;
};

struct fl_map {
    struct fl_map_link **buckets;
    size_t bucket_count;
    size_t count;
    size_t first; /* buckets below it are empty */
};

/* Call once at start with 16 random bytes; without it the seed is zero (tests). */
void fl_map_seed(const uint8_t seed[16]);
uint64_t fl_map_hash(struct fl_slice key);

/* FL_EEXISTS: the key is in; FL_ENOMEM. */
FL_MUST_USE enum fl_error fl_map_add(struct fl_map *map, struct fl_map_node *node,
                                     struct fl_slice key);
struct fl_map_node *fl_map_find(const struct fl_map *map, struct fl_slice key); /* or NULL */
void fl_map_remove(struct fl_map *map, struct fl_map_node *node);               /* it must be in */

/* Any node, or NULL. For taking all out, one after the other: that costs no more than a walk, where
 * beginning a walk again for each would be quadratic. */
struct fl_map_node *fl_map_first(struct fl_map *map);

/* Walks in no order: start with NULL; NULL at the end. The current node may be removed only after
 * its successor was taken. */
struct fl_map_node *fl_map_next(const struct fl_map *map, const struct fl_map_node *node);
void fl_map_free(struct fl_map *map); /* frees the buckets, not the nodes */

/* The nodes of one bucket, for a walk with pauses in which the map may change: buckets only ever
 * double, so going on with the next number meets each node that stays, some of them twice. */
struct fl_map_node *fl_map_in_bucket(const struct fl_map *map, size_t bucket); /* or NULL */
struct fl_map_node *fl_map_beside(const struct fl_map_node *node);             /* or NULL */

/* --- links --- */

/* Whether an equal one is in is the caller's business. FL_ENOMEM: only when the map is empty. */
FL_MUST_USE enum fl_error fl_map_add_link(struct fl_map *map, struct fl_map_link *link,
                                          uint64_t hash);
void fl_map_remove_link(struct fl_map *map, struct fl_map_link *link); /* it must be in */
/* Where those with this hash are, among others; on with `next`. */
static inline struct fl_map_link *fl_map_chain(const struct fl_map *map, uint64_t hash)
{
    return map->bucket_count ? map->buckets[hash & (map->bucket_count - 1)] : NULL;
}
struct fl_map_link *fl_map_next_link(const struct fl_map *map, const struct fl_map_link *link);

#endif
