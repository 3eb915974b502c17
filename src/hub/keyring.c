/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/keyring.h"

#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an intrusive list and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

void fl_keyring_init(struct fl_keyring *ring)
{
    *ring = (struct fl_keyring){0};
    fl_list_init(&ring->order);
}

void fl_keyring_free(struct fl_keyring *ring)
{
    FL_LIST_EACH(node, &ring->order)
    fl_keyring_drop(ring, fl_container_of(node, struct fl_hub_key, order));
    fl_map_free(&ring->map);
}

struct fl_hub_key *fl_keyring_find(struct fl_keyring *ring, struct fl_slice device)
{
    struct fl_map_node *node = fl_map_find(&ring->map, device);
    struct fl_hub_key *key = node ? fl_container_of(node, struct fl_hub_key, node) : NULL;

    if (key) {
        fl_list_remove(&key->order);
        fl_list_push(&ring->order, &key->order);
    }
    return key;
}

/* One that is waited for is not dropped: its answer would find nobody. */
static bool make_room(struct fl_keyring *ring)
{
    if (ring->map.count < FL_LIMIT_DATA_KEYS)
        return true;
    FL_LIST_EACH(node, &ring->order)
    {
        struct fl_hub_key *key = fl_container_of(node, struct fl_hub_key, order);

        if (key->request)
            continue;
        fl_keyring_drop(ring, key);
        return true;
    }
    return false;
}

struct fl_hub_key *fl_keyring_add(struct fl_keyring *ring, struct fl_slice device)
{
    struct fl_hub_key *key = make_room(ring) ? calloc(1, sizeof *key) : NULL;

    if (!key)
        return NULL;
    (void)fl_str_copy_slice(key->device, sizeof key->device, device);
    if (fl_map_add(&ring->map, &key->node, fl_slice_str(key->device)) != FL_OK) {
        free(key);
        return NULL;
    }
    fl_list_push(&ring->order, &key->order);
    return key;
}

void fl_keyring_drop(struct fl_keyring *ring, struct fl_hub_key *key)
{
    if (key->request)
        ring->asked--;
    if (key->seal)
        ring->dropped++;
    fl_map_remove(&ring->map, &key->node);
    fl_list_remove(&key->order);
    fl_reading_seal_free(key->seal);
    free(key);
}
