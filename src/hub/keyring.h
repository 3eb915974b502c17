/* SPDX-License-Identifier: Apache-2.0
 *
 * The devices' data keys that the hub has in memory, each as the seal made of it, at most
 * FL_LIMIT_DATA_KEYS: the one used longest ago gives way and is wiped. It also remembers which keys
 * were asked for and have not come.
 */
#ifndef FL_HUB_KEYRING_H
#define FL_HUB_KEYRING_H

#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "trust/reading_seal.h"

struct fl_hub_key {
    struct fl_map_node node;
    struct fl_list order; /* by use */
    uint32_t generation;
    uint64_t request;             /* not 0: asked for */
    fl_time_t give_up;            /* monotonic */
    struct fl_reading_seal *seal; /* NULL: not there */
    enum fl_error failed;         /* why it will not come */
    char words[160];
    char device[FL_NAME_MAX + 1];
};

struct fl_keyring {
    struct fl_map map;
    struct fl_list order; /* the first was used longest ago */
    size_t asked;
    uint64_t dropped; /* keys, since the start */
};

void fl_keyring_init(struct fl_keyring *ring);
void fl_keyring_free(struct fl_keyring *ring); /* wipes every key */

/* NULL: none. What is found counts as used. */
struct fl_hub_key *fl_keyring_find(struct fl_keyring *ring, struct fl_slice device);
/* A new entry without a key; NULL: no memory, or every entry is waiting for its key. */
struct fl_hub_key *fl_keyring_add(struct fl_keyring *ring, struct fl_slice device);
void fl_keyring_drop(struct fl_keyring *ring, struct fl_hub_key *key);

#endif
