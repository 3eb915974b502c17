/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/assert.h"
#include "base/list.h"

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
    struct fl_map_link **buckets = calloc(count, sizeof(struct fl_map_link *));

    if (!buckets)
        return false;
    for (size_t i = 0; i < map->bucket_count; i++) {
        struct fl_map_link *link = map->buckets[i];
        while (link) {
            struct fl_map_link *next = link->next;
            link->next = buckets[link->hash & (count - 1)];
            buckets[link->hash & (count - 1)] = link;
            link = next;
        }
    }
    free(map->buckets);
    map->buckets = buckets;
    map->bucket_count = count;
    map->first = 0;
    return true;
}

/* --- links --- */

enum fl_error fl_map_add_link(struct fl_map *map, struct fl_map_link *link, uint64_t hash)
{
    size_t bucket = 0;

    if (map->count >= map->bucket_count && !grow(map) && map->bucket_count == 0)
        return FL_ENOMEM;
    bucket = hash & (map->bucket_count - 1);
    if (bucket < map->first)
        map->first = bucket;
    *link = (struct fl_map_link){.next = map->buckets[bucket], .hash = hash};
    map->buckets[bucket] = link;
    map->count++;
    return FL_OK;
}

void fl_map_remove_link(struct fl_map *map, struct fl_map_link *link)
{
    struct fl_map_link **at = NULL;

    fl_assert(map->bucket_count > 0);
    at = &map->buckets[link->hash & (map->bucket_count - 1)];
    while (*at && *at != link)
        at = &(*at)->next;
    fl_assert(*at == link);
    *at = link->next;
    link->next = NULL;
    map->count--;
}

struct fl_map_link *fl_map_next_link(const struct fl_map *map, const struct fl_map_link *link)
{
    size_t bucket = 0;

    if (link) {
        if (link->next)
            return link->next;
        bucket = (link->hash & (map->bucket_count - 1)) + 1;
    }
    for (; bucket < map->bucket_count; bucket++)
        if (map->buckets[bucket])
            return map->buckets[bucket];
    return NULL;
}

/* --- nodes --- */

static struct fl_map_node *node_of(struct fl_map_link *link)
{
    return link ? fl_container_of(link, struct fl_map_node, link) : NULL;
}

static struct fl_map_node *find_hashed(const struct fl_map *map, struct fl_slice key, uint64_t hash)
{
    struct fl_map_link *link = fl_map_chain(map, hash);

    while (link && (link->hash != hash || !fl_slice_equal(node_of(link)->key, key)))
        link = link->next;
    return node_of(link);
}

enum fl_error fl_map_add(struct fl_map *map, struct fl_map_node *node, struct fl_slice key)
{
    uint64_t hash = fl_map_hash(key);

    if (find_hashed(map, key, hash))
        return FL_EEXISTS;
    node->key = key;
    return fl_map_add_link(map, &node->link, hash);
}

struct fl_map_node *fl_map_find(const struct fl_map *map, struct fl_slice key)
{
    return find_hashed(map, key, fl_map_hash(key));
}

void fl_map_remove(struct fl_map *map, struct fl_map_node *node)
{
    fl_map_remove_link(map, &node->link);
}

struct fl_map_node *fl_map_first(struct fl_map *map)
{
    while (map->first < map->bucket_count && !map->buckets[map->first])
        map->first++;
    return map->first < map->bucket_count ? node_of(map->buckets[map->first]) : NULL;
}

struct fl_map_node *fl_map_next(const struct fl_map *map, const struct fl_map_node *node)
{
    return node_of(fl_map_next_link(map, node ? &node->link : NULL));
}

struct fl_map_node *fl_map_in_bucket(const struct fl_map *map, size_t bucket)
{
    return bucket < map->bucket_count ? node_of(map->buckets[bucket]) : NULL;
}

struct fl_map_node *fl_map_beside(const struct fl_map_node *node)
{
    return node_of(node->link.next);
}

void fl_map_free(struct fl_map *map)
{
    free(map->buckets);
    *map = (struct fl_map){0};
}
