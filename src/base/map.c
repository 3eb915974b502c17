/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/assert.h"

#include <stdlib.h>

static uint64_t seed[2];

void fl_map_seed(const uint8_t bytes[16])
{
    memcpy(seed, bytes, sizeof seed);
}

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

uint64_t fl_map_hash(struct fl_slice key)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575U, seed[1] ^ 0x646f72616e646f6dU,
                     seed[0] ^ 0x6c7967656e657261U, seed[1] ^ 0x7465646279746573U};
    uint64_t word = 0;
    size_t at = 0;

    for (; at + 8 <= key.size; at += 8) {
        memcpy(&word, key.data + at, 8);
        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)key.size << 56;
    for (size_t i = 0; at + i < key.size; i++)
        word |= (uint64_t)key.data[at + i] << (8 * i);
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static bool grow(struct fl_map *map)
{
    size_t count = map->bucket_count ? map->bucket_count * 2 : 16;
    struct fl_map_node **buckets = calloc(count, sizeof(struct fl_map_node *));

    if (!buckets)
        return false;
    for (size_t i = 0; i < map->bucket_count; i++) {
        struct fl_map_node *node = map->buckets[i];
        while (node) {
            struct fl_map_node *next = node->next;
            node->next = buckets[node->hash & (count - 1)];
            buckets[node->hash & (count - 1)] = node;
            node = next;
        }
    }
    free(map->buckets);
    map->buckets = buckets;
    map->bucket_count = count;
    return true;
}

static struct fl_map_node *find_hashed(const struct fl_map *map, struct fl_slice key, uint64_t hash)
{
    struct fl_map_node *node =
        map->bucket_count ? map->buckets[hash & (map->bucket_count - 1)] : NULL;

    while (node && (node->hash != hash || !fl_slice_equal(node->key, key)))
        node = node->next;
    return node;
}

enum fl_error fl_map_add(struct fl_map *map, struct fl_map_node *node, struct fl_slice key)
{
    uint64_t hash = fl_map_hash(key);
    struct fl_map_node **bucket = NULL;

    if (find_hashed(map, key, hash))
        return FL_EEXISTS;
    if (map->count >= map->bucket_count && !grow(map) && map->bucket_count == 0)
        return FL_ENOMEM;
    bucket = &map->buckets[hash & (map->bucket_count - 1)];
    *node = (struct fl_map_node){.next = *bucket, .key = key, .hash = hash};
    *bucket = node;
    map->count++;
    return FL_OK;
}

struct fl_map_node *fl_map_find(const struct fl_map *map, struct fl_slice key)
{
    return find_hashed(map, key, fl_map_hash(key));
}

void fl_map_remove(struct fl_map *map, struct fl_map_node *node)
{
    struct fl_map_node **link = NULL;

    fl_assert(map->bucket_count > 0);
    link = &map->buckets[node->hash & (map->bucket_count - 1)];
    while (*link && *link != node)
        link = &(*link)->next;
    fl_assert(*link == node);
    *link = node->next;
    node->next = NULL;
    map->count--;
}

struct fl_map_node *fl_map_next(const struct fl_map *map, const struct fl_map_node *node)
{
    size_t bucket = 0;

    if (node) {
        if (node->next)
            return node->next;
        bucket = (node->hash & (map->bucket_count - 1)) + 1;
    }
    for (; bucket < map->bucket_count; bucket++)
        if (map->buckets[bucket])
            return map->buckets[bucket];
    return NULL;
}

void fl_map_free(struct fl_map *map)
{
    free(map->buckets);
    *map = (struct fl_map){0};
}
