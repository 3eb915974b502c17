/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bucket.h"

#include <stdlib.h>

void fl_bucket_init(struct fl_bucket_set *set, fl_time_t every_ms,
                    void (*out)(void *to, const struct fl_bucket *bucket), void *to)
{
    *set = (struct fl_bucket_set){.every_ms = every_ms, .out = out, .to = to};
}

void fl_bucket_free(struct fl_bucket_set *set)
{
    free(set->buckets);
    *set = (struct fl_bucket_set){0};
}

void fl_bucket_end(struct fl_bucket_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        set->out(set->to, &set->buckets[i]);
    set->count = 0;
}

/* Towards the past also before the epoch. */
static fl_time_t begin_of(fl_time_t t, fl_time_t every_ms)
{
    fl_time_t over = t % every_ms;

    return over < 0 ? t - over - every_ms : t - over;
}

/* The stream's place, in the order of names; made when it is not there. */
static struct fl_bucket *place(struct fl_bucket_set *set, struct fl_slice stream, fl_time_t t)
{
    size_t at = 0;
    struct fl_bucket *grown = NULL;

    while (at < set->count && fl_slice_compare(fl_slice_str(set->buckets[at].stream), stream) < 0)
        at++;
    if (at < set->count && fl_slice_is(stream, set->buckets[at].stream))
        return &set->buckets[at];
    if (set->count == FL_LIMIT_BUCKET_STREAMS)
        return NULL;
    if (set->count == set->room) {
        size_t room = set->room ? 2 * set->room : 8;

        grown = realloc(set->buckets, room * sizeof *grown);
        if (!grown)
            return NULL;
        set->buckets = grown;
        set->room = room;
    }
    memmove(set->buckets + at + 1, set->buckets + at, (set->count - at) * sizeof *set->buckets);
    set->count++;
    set->buckets[at] = (struct fl_bucket){.t = t};
    (void)fl_str_copy_slice(set->buckets[at].stream, sizeof set->buckets[at].stream, stream);
    return &set->buckets[at];
}

enum fl_error fl_bucket_add(struct fl_bucket_set *set, struct fl_slice stream, fl_time_t t,
                            double value)
{
    fl_time_t begin = begin_of(t, set->every_ms);
    struct fl_bucket *b = NULL;

    if (set->count && set->buckets[0].t != begin)
        fl_bucket_end(set);
    b = place(set, stream, begin);
    if (!b) {
        set->full = true;
        return FL_ELIMIT;
    }
    if (b->count == 0)
        b->min = b->max = b->first = value;
    if (value < b->min)
        b->min = value;
    if (value > b->max)
        b->max = value;
    b->last = value;
    b->count++;
    /* The running mean stays finite where a sum would not. */
    b->mean += value / (double)b->count - b->mean / (double)b->count;
    return FL_OK;
}
