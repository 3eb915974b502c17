/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/reading_set.h"

#include "cli/json.h"

#include <math.h>
#include <stdlib.h>

static bool grow(struct fl_reading_set *set)
{
    size_t capacity = set->capacity ? 2 * set->capacity : 1024;
    struct fl_reading_item *items = NULL;

    if (set->count < set->capacity)
        return true;
    items = reallocarray(set->items, capacity, sizeof *items);
    if (!items)
        return false;
    set->items = items;
    set->capacity = capacity;
    return true;
}

static enum fl_error find_stream(struct fl_reading_set *set, const char *name, uint32_t *index,
                                 struct fl_context *ctx)
{
    for (size_t i = 0; i < set->stream_count; i++)
        if (strcmp(set->streams[i], name) == 0) {
            *index = (uint32_t)i;
            return FL_OK;
        }
    if (!set->streams)
        set->streams = calloc(FL_READING_SET_STREAMS, sizeof set->streams[0]);
    if (!set->streams)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    if (set->stream_count == FL_READING_SET_STREAMS)
        return fl_fail(ctx, FL_ELIMIT, "readings of more than %d streams; choose with --stream",
                       FL_READING_SET_STREAMS);
    *index = (uint32_t)set->stream_count;
    (void)fl_str_copy(set->streams[set->stream_count++], sizeof set->streams[0], name);
    return FL_OK;
}

enum fl_error fl_reading_set_add(struct fl_reading_set *set, const json_t *row,
                                 struct fl_context *ctx)
{
    struct fl_reading_item item = {.point = {.value = fl_json_number(row, "value")},
                                   .position = fl_json_int(row, "position")};
    enum fl_error e = FL_OK;

    if (fl_json_text(row, "state")[0]) {
        set->unreadable++;
        return FL_OK;
    }
    if (!json_is_number(json_object_get(row, "value")) || !isfinite(item.point.value) ||
        fl_time_parse(fl_slice_str(fl_json_text(row, "t")), &item.point.t) != FL_OK)
        return fl_fail(ctx, FL_EPARSE, "the hub's answer holds something that is not a reading");
    if (set->count == FL_READING_SET_MAX)
        return fl_fail(ctx, FL_ELIMIT, "more than %d readings; choose with --since or --stream",
                       FL_READING_SET_MAX);
    e = find_stream(set, fl_json_text(row, "stream"), &item.stream, ctx);
    if (e == FL_OK && !grow(set))
        e = fl_fail(ctx, FL_ENOMEM, "out of memory");
    if (e == FL_OK)
        set->items[set->count++] = item;
    return e;
}

static int compare(const void *a, const void *b)
{
    const struct fl_reading_item *x = a;
    const struct fl_reading_item *y = b;

    if (x->point.t != y->point.t)
        return x->point.t < y->point.t ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

void fl_reading_set_order(struct fl_reading_set *set)
{
    if (set->count > 1)
        qsort(set->items, set->count, sizeof *set->items, compare);
}

void fl_reading_set_keep(struct fl_reading_set *set, size_t count)
{
    if (set->count <= count)
        return;
    memmove(set->items, set->items + (set->count - count), count * sizeof *set->items);
    set->count = count;
}

void fl_reading_set_free(struct fl_reading_set *set)
{
    free(set->items);
    free(set->streams);
    *set = (struct fl_reading_set){0};
}

size_t fl_reading_set_points(const struct fl_reading_set *set, size_t stream,
                             struct fl_plot_point *to)
{
    size_t count = 0;

    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].stream == stream)
            to[count++] = set->items[i].point;
    return count;
}

struct fl_reading_summary fl_reading_summarise(const struct fl_plot_point *points, size_t count)
{
    struct fl_reading_summary s = {.count = count};

    for (size_t i = 0; i < count; i++) {
        double value = points[i].value;
        s.min = i ? fmin(s.min, value) : value;
        s.max = i ? fmax(s.max, value) : value;
        s.mean += value / (double)count; /* a sum of large values might overflow */
        s.last = value;
    }
    return s;
}
