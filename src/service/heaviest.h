/* SPDX-License-Identifier: Apache-2.0
 *
 * The heaviest of very many, in little memory: a space-saving sketch (Metwally, Agrawal, El Abbadi
 * 2005). It follows FL_LIMIT_BUSIEST names; one that is not followed takes the place of the
 * lightest and its weight, which is remembered as the error. So for every name: true weight <=
 * shown weight <= true weight + error, and whoever has more than total / FL_LIMIT_BUSIEST is in it.
 *
 * The caller keeps a number for each name, so that finding a place costs one comparison. Pure.
 */
#ifndef FL_SERVICE_HEAVIEST_H
#define FL_SERVICE_HEAVIEST_H

#include "base/limits.h"
#include "base/slice.h"
#include "base/str.h"

struct fl_heavy {
    char name[FL_NAME_MAX + 1];
    uint8_t name_size;
    uint64_t weight;
    uint64_t error; /* of `weight`, at most */
    uint64_t other; /* since it has its place */
};

struct fl_heaviest {
    uint64_t total;
    struct fl_heavy places[FL_LIMIT_BUSIEST];
};

/* `place` is the caller's number for this name: any value at first, then left alone. Names longer
 * than FL_NAME_MAX are cut. */
void fl_heaviest_add(struct fl_heaviest *heaviest, struct fl_slice name, uint8_t *place,
                     uint64_t weight, uint64_t other);

/* The heaviest first, without those of no weight; one name is there once. Returns how many. */
size_t fl_heaviest_top(const struct fl_heaviest *heaviest, struct fl_heavy to[FL_LIMIT_BUSIEST]);

/* A new interval. */
void fl_heaviest_clear(struct fl_heaviest *heaviest);

#endif
