/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/assert.h"

#include <stdlib.h>

static uint64_t seed[2];

void fl_map_seed(const uint8_t bytes[16])
{
    memcpy(seed, bytes, sizeof seed);
}

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

struct sip {
    uint64_t a, b, c, d;
};

static inline struct sip sip_round(struct sip v)
{
    v.a += v.b;
    v.b = rotate(v.b, 13) ^ v.a;
    v.a = rotate(v.a, 32);
    v.c += v.d;
    v.d = rotate(v.d, 16) ^ v.c;
    v.a += v.d;
    v.d = rotate(v.d, 21) ^ v.a;
    v.c += v.b;
    v.b = rotate(v.b, 17) ^ v.c;
    v.c = rotate(v.c, 32);
    return v;
}

/* The state goes by value, so that it stays in registers. */
static inline struct sip sip_word(struct sip v, uint64_t word)
{
    v.d ^= word;
    v = sip_round(sip_round(v));
    v.a ^= word;
    return v;
}

uint64_t fl_map_hash(struct fl_slice key)
{
    struct sip v = {seed[0] ^ 0x736f6d6570736575U, seed[1] ^ 0x646f72616e646f6dU,
                    seed[0] ^ 0x6c7967656e657261U, seed[1] ^ 0x7465646279746573U};
    uint64_t word = 0;
    size_t at = 0;

    for (; at + 8 <= key.size; at += 8) {
        memcpy(&word, key.data + at, 8);
        v = sip_word(v, word);
    }
    word = (uint64_t)key.size << 56;
    for (size_t i = 0; at + i < key.size; i++)
        word |= (uint64_t)key.data[at + i] << (8 * i);
    v = sip_word(v, word);
    v.c ^= 0xff;
    v = sip_round(sip_round(sip_round(sip_round(v))));
    return v.a ^ v.b ^ v.c ^ v.d;
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
    map->first = 0;
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
    size_t bucket = 0;

    if (find_hashed(map, key, hash))
        return FL_EEXISTS;
    if (map->count >= map->bucket_count && !grow(map) && map->bucket_count == 0)
        return FL_ENOMEM;
    bucket = hash & (map->bucket_count - 1);
    if (bucket < map->first)
        map->first = bucket;
    *node = (struct fl_map_node){.next = map->buckets[bucket], .key = key, .hash = hash};
    map->buckets[bucket] = node;
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

struct fl_map_node *fl_map_first(struct fl_map *map)
{
    while (map->first < map->bucket_count && !map->buckets[map->first])
        map->first++;
    return map->first < map->bucket_count ? map->buckets[map->first] : NULL;
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
