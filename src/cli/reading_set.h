/* SPDX-License-Identifier: Apache-2.0
 *
 * Readings in memory, for what needs them all at once: tables, plots, the newest N. Compact (32
 * octets each) and bounded by FL_READING_SET_MAX. They come in any order; a device that was cut off
 * sends old ones late.
 */
#ifndef FL_CLI_READING_SET_H
#define FL_CLI_READING_SET_H

#include "base/limits.h"
#include "base/str.h"
#include "cli/plot.h"

#include <jansson.h>

#define FL_READING_SET_MAX 2000000
#define FL_READING_SET_STREAMS FL_LIMIT_PROFILE_STREAMS

struct fl_reading_item {
    struct fl_plot_point point;
    int64_t position;
    uint32_t stream;
};

struct fl_reading_set {
    struct fl_reading_item *items;
    size_t count;
    size_t capacity;
    char (*streams)[FL_NAME_MAX + 1];
    size_t stream_count;
    size_t unreadable; /* rows without a value: erased, or damaged */
};

/* One row of the API; one without a value is only counted. FL_EPARSE: not a reading; FL_ELIMIT: too
 * many readings or streams. */
FL_MUST_USE enum fl_error fl_reading_set_add(struct fl_reading_set *set, const json_t *row,
                                             struct fl_context *ctx);
/* By time, and by the order of storing within one millisecond. */
void fl_reading_set_order(struct fl_reading_set *set);
/* Drops all but the last `count`. */
void fl_reading_set_keep(struct fl_reading_set *set, size_t count);
void fl_reading_set_free(struct fl_reading_set *set);

/* The points of one stream, in the set's order; `to` has room for `set->count`. */
size_t fl_reading_set_points(const struct fl_reading_set *set, size_t stream,
                             struct fl_plot_point *to);

struct fl_reading_summary {
    size_t count;
    double min;
    double mean;
    double max;
    double last; /* of the set's order */
};
struct fl_reading_summary fl_reading_summarise(const struct fl_plot_point *points, size_t count);

#endif
