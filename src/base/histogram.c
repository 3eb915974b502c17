/* SPDX-License-Identifier: Apache-2.0 */
#include "base/histogram.h"

#define BOUNDS (FL_HISTOGRAM_BUCKETS - 1)

const uint32_t fl_histogram_bounds_us[BOUNDS] = {50,     100,    250,    500,     1000,
                                                 2500,   5000,   10000,  25000,   50000,
                                                 100000, 250000, 500000, 1000000, 5000000};

void fl_histogram_count(struct fl_histogram *histogram, uint64_t us)
{
    size_t i = 0;

    while (i < BOUNDS && us > fl_histogram_bounds_us[i])
        i++;
    histogram->buckets[i]++;
    histogram->sum_us += us;
}

uint64_t fl_histogram_total(const struct fl_histogram *histogram)
{
    uint64_t total = 0;

    for (size_t i = 0; i < FL_HISTOGRAM_BUCKETS; i++)
        total += histogram->buckets[i];
    return total;
}

struct fl_histogram fl_histogram_since(const struct fl_histogram *later,
                                       const struct fl_histogram *earlier)
{
    struct fl_histogram since = *later;

    if (later->sum_us < earlier->sum_us)
        return since;
    for (size_t i = 0; i < FL_HISTOGRAM_BUCKETS; i++) {
        if (later->buckets[i] < earlier->buckets[i])
            return *later;
        since.buckets[i] -= earlier->buckets[i];
    }
    since.sum_us -= earlier->sum_us;
    return since;
}

uint64_t fl_histogram_percentile_us(const struct fl_histogram *histogram, unsigned percent)
{
    uint64_t total = fl_histogram_total(histogram);
    uint64_t wanted = total / 100 * percent + (total % 100 * percent + 99) / 100;
    uint64_t below = 0;

    if (total == 0)
        return 0;
    if (wanted == 0)
        wanted = 1;
    for (size_t i = 0; i < BOUNDS; i++) {
        uint64_t here = histogram->buckets[i];
        uint64_t from = i ? fl_histogram_bounds_us[i - 1] : 0;

        if (below + here >= wanted)
            return from + (fl_histogram_bounds_us[i] - from) * (wanted - below) / here;
        below += here;
    }
    return fl_histogram_bounds_us[BOUNDS - 1];
}
