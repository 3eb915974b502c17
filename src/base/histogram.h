/* SPDX-License-Identifier: Apache-2.0
 *
 * How often something took how long: fixed buckets, microseconds, plain counts that only grow. All
 * histograms have the same bounds, so they can be added and shown together. One owner each: to
 * count is an increment, and whoever reports takes a copy.
 */
#ifndef FL_BASE_HISTOGRAM_H
#define FL_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define FL_HISTOGRAM_BUCKETS 16 /* the last one has no upper bound */

struct fl_histogram {
    uint64_t sum_us;
    uint64_t buckets[FL_HISTOGRAM_BUCKETS]; /* each its own count, not those below it too */
};

/* The upper bounds, inclusive, of all buckets but the last. */
extern const uint32_t fl_histogram_bounds_us[FL_HISTOGRAM_BUCKETS - 1];

void fl_histogram_count(struct fl_histogram *histogram, uint64_t us);
uint64_t fl_histogram_total(const struct fl_histogram *histogram);
/* `later` minus `earlier`, of the same histogram; all of `later` when it began anew in between. */
struct fl_histogram fl_histogram_since(const struct fl_histogram *later,
                                       const struct fl_histogram *earlier);
/* A time that `percent` of 100 were not longer than, straight between the bounds of its bucket; 0
 * when nothing was counted, the greatest bound when it is beyond that. */
uint64_t fl_histogram_percentile_us(const struct fl_histogram *histogram, unsigned percent);

#endif
