/* SPDX-License-Identifier: Apache-2.0
 *
 * Readings in buckets of time: of each stream in each bucket how many there were, the least, the
 * greatest, the mean, the first and the last. One pass: readings go in by time, buckets come out by
 * time and then stream, as soon as a reading of a later bucket is seen. Buckets begin at whole
 * multiples of their length since the epoch, in UTC. Pure.
 */
#ifndef FL_SERVICE_BUCKET_H
#define FL_SERVICE_BUCKET_H

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

struct fl_bucket {
    char stream[FL_NAME_MAX + 1];
    fl_time_t t; /* where it begins */
    uint64_t count;
    double min;
    double max;
    double mean;
    double first;
    double last;
};

struct fl_bucket_set {
    fl_time_t every_ms;
    void (*out)(void *to, const struct fl_bucket *bucket);
    void *to;
    struct fl_bucket *buckets; /* of the time being, by stream */
    size_t count;
    size_t room;
    bool full; /* over FL_LIMIT_BUCKET_STREAMS, or out of memory */
};

void fl_bucket_init(struct fl_bucket_set *set, fl_time_t every_ms,
                    void (*out)(void *to, const struct fl_bucket *bucket), void *to);
/* `t` is not before that of the call before. FL_ELIMIT: it is not in. */
FL_MUST_USE enum fl_error fl_bucket_add(struct fl_bucket_set *set, struct fl_slice stream,
                                        fl_time_t t, double value);
void fl_bucket_end(struct fl_bucket_set *set); /* gives out what is there */
void fl_bucket_free(struct fl_bucket_set *set);

#endif
