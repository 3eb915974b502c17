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

struct fl_map_node {
    struct fl_map_node *next;
    struct fl_slice key;
    uint64_t hash;
};

struct fl_map {
    struct fl_map_node **buckets;
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

#endif
