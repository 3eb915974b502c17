/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/plot.h"

#include "base/assert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS_MAX (2 * FL_PLOT_WIDTH_MAX)
#define LABEL_MAX 24

struct slot {
    size_t count;
    double min;
    double max;
    double mean;
};

struct extent {
    fl_time_t first;
    fl_time_t last;
    double min;
    double max;
};

static struct extent measure(const struct fl_plot_point *points, size_t count)
{
    struct extent x = {points[0].t, points[0].t, points[0].value, points[0].value};

    for (size_t i = 1; i < count; i++) {
        x.first = points[i].t < x.first ? points[i].t : x.first;
        x.last = points[i].t > x.last ? points[i].t : x.last;
        x.min = fmin(x.min, points[i].value);
        x.max = fmax(x.max, points[i].value);
    }
    return x;
}

static void divide(const struct fl_plot_point *points, size_t count, const struct extent *x,
                   struct slot *slots, size_t slot_count)
{
    double span = (double)x->last - (double)x->first;

    fl_assert(slot_count > 0);
    for (size_t i = 0; i < slot_count; i++)
        slots[i] = (struct slot){0};
    for (size_t i = 0; i < count; i++) {
        double part = span > 0 ? ((double)points[i].t - (double)x->first) / span : 0.0;
        size_t at = (size_t)(part * (double)slot_count);
        struct slot *s = &slots[at < slot_count ? at : slot_count - 1];
        double value = points[i].value;
        s->min = s->count ? fmin(s->min, value) : value;
        s->max = s->count ? fmax(s->max, value) : value;
        s->count++;
        s->mean += (value - s->mean) / (double)s->count;
    }
}

enum fl_error fl_plot_sparkline(const struct fl_plot_point *points, size_t count, size_t width,
                                struct fl_buffer *out)
{
    struct slot slots[FL_PLOT_WIDTH_MAX];
    struct extent x = {0};
    double span = 0;

    fl_assert(width > 0 && width <= FL_PLOT_WIDTH_MAX);
    if (count == 0)
        return FL_OK;
    x = measure(points, count);
    divide(points, count, &x, slots, width);
    span = x.max / 2 - x.min / 2; /* halves: the difference of two finite numbers may not be one */
    for (size_t i = 0; i < width; i++) {
        unsigned level = 3;
        if (slots[i].count == 0) {
            fl_buffer_append_byte(out, ' ');
            continue;
        }
        if (span > 0)
            level = (unsigned)fmin(7, 8 * ((slots[i].mean / 2 - x.min / 2) / span));
        fl_buffer_append(out, (const uint8_t[]){0xE2, 0x96, (uint8_t)(0x81 + level)}, 3);
    }
    return out->failed ? FL_ENOMEM : FL_OK;
}

/* The vertical axis: lines at multiples of `step`, which is 1, 2 or 5 times a power of ten. */
struct axis {
    double low;
    double high;
    double step;
    int decimals;
};

static struct axis make_axis(const struct extent *x, size_t rows)
{
    struct axis a = {0};
    double span = x->max - x->min;
    double magnitude = 0;
    double rough = 0;

    if (!(span > 0)) /* a level line: give it room */
        span = fabs(x->max) > 0 ? fabs(x->max) * 0.1 : 1;
    rough = span / (rows > 3 ? (double)rows / 3 : 1);
    magnitude = pow(10, floor(log10(rough)));
    a.step = rough / magnitude > 5   ? 10 * magnitude
             : rough / magnitude > 2 ? 5 * magnitude
             : rough / magnitude > 1 ? 2 * magnitude
                                     : magnitude;
    a.low = floor(x->min / a.step) * a.step;
    a.high = ceil(x->max / a.step) * a.step;
    if (!(a.high > a.low))
        a.high = a.low + a.step;
    a.decimals = a.step >= 1 ? 0 : (int)fmin(12, ceil(-log10(a.step) - 1e-9));
    return a;
}

/* Dots of the Braille block, by row and column within a character. */
static const uint8_t dot_bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};

struct canvas {
    size_t columns;
    size_t rows;
    uint8_t *cells;
};

static void draw_line(struct canvas *c, size_t x, size_t from, size_t to)
{
    for (size_t y = from < to ? from : to; y <= (from < to ? to : from); y++)
        c->cells[y / 4 * c->columns + x / 2] |= dot_bits[y % 4][x % 2];
}

static size_t dot_row(const struct axis *a, size_t rows, double value)
{
    double part = (value - a->low) / (a->high - a->low);
    double row = (1 - part) * (double)(4 * rows - 1);

    return (size_t)lround(fmax(0, fmin(row, (double)(4 * rows - 1))));
}

/* A straight line between the means of two slots, column by column. */
static void join(struct canvas *c, const struct axis *a, const struct slot *slots, size_t from,
                 size_t to)
{
    size_t last = dot_row(a, c->rows, slots[from].mean);

    for (size_t i = from + 1; i <= to; i++) {
        double part = (double)(i - from) / (double)(to - from);
        double value = slots[from].mean + part * (slots[to].mean - slots[from].mean);
        size_t row = dot_row(a, c->rows, value);
        draw_line(c, i, last, row);
        last = row;
    }
}

/* Slots are joined over as many empty ones as the usual distance of the points explains; what is
 * further apart is a gap. */
static void draw(struct canvas *c, const struct axis *a, const struct slot *slots, size_t points)
{
    size_t slot_count = 2 * c->columns;
    size_t reach = 1 + 2 * slot_count / points;
    size_t last = SIZE_MAX;

    for (size_t i = 0; i < slot_count; i++) {
        if (!slots[i].count)
            continue;
        draw_line(c, i, dot_row(a, c->rows, slots[i].max), dot_row(a, c->rows, slots[i].min));
        if (last != SIZE_MAX && i - last <= reach)
            join(c, a, slots, last, i);
        last = i;
    }
}

/* The label of a row, if a line of the axis falls into it. */
static bool row_label(const struct axis *a, size_t rows, size_t row, char label[LABEL_MAX])
{
    size_t lines = (size_t)lround(fmin(1000, (a->high - a->low) / a->step));

    for (size_t i = 0; i <= lines; i++) {
        double value = a->low + (double)i * a->step;
        if (dot_row(a, rows, value) / 4 == row) {
            if (fabs(value) < a->step / 2)
                value = 0; /* not -0 */
            if (fabs(value) >= 1e9)
                (void)snprintf(label, LABEL_MAX, "%.4g", value);
            else
                (void)snprintf(label, LABEL_MAX, "%.*f", a->decimals, value);
            return true;
        }
    }
    label[0] = 0;
    return false;
}

/* "2026-11-22 07:19:48", or only the time when both ends are of one day. */
static void time_label(fl_time_t t, bool one_day, char label[FL_TIME_TEXT_MAX])
{
    char text[FL_TIME_TEXT_MAX];

    fl_time_format(t - t % 1000, text);
    text[10] = ' ';
    text[19] = 0;
    (void)snprintf(label, FL_TIME_TEXT_MAX, "%s", one_day ? text + 11 : text);
}

static void print_time_axis(const struct extent *x, size_t margin, size_t columns,
                            struct fl_buffer *out)
{
    char first[FL_TIME_TEXT_MAX];
    char last[FL_TIME_TEXT_MAX];
    bool one_day = x->first / 86400000 == x->last / 86400000;
    size_t room = 0;

    time_label(x->first, one_day, first);
    time_label(x->last, one_day, last);
    fl_buffer_printf(out, "%*s \xE2\x94\x94", (int)margin, "");
    for (size_t i = 0; i < columns; i++)
        fl_buffer_append_str(out, "\xE2\x94\x80");
    room = columns > strlen(first) + 1 ? columns - strlen(first) : 0;
    if (room > strlen(last))
        fl_buffer_printf(out, "\n%*s  %s%*s\n", (int)margin, "", first, (int)room, last);
    else
        fl_buffer_printf(out, "\n%*s  %s\n", (int)margin, "", first);
}

static size_t label_width(const struct axis *a, size_t rows)
{
    size_t margin = 0;
    char label[LABEL_MAX];

    for (size_t r = 0; r < rows; r++)
        if (row_label(a, rows, r, label) && strlen(label) > margin)
            margin = strlen(label);
    return margin;
}

enum fl_error fl_plot_print(const struct fl_plot_point *points, size_t count, size_t width,
                            size_t height, struct fl_buffer *out)
{
    struct slot slots[SLOTS_MAX];
    struct canvas c = {.rows = height - 2};
    struct extent x = {0};
    struct axis a = {0};
    size_t margin = 0;
    char label[LABEL_MAX];

    fl_assert(width >= 24 && width <= FL_PLOT_WIDTH_MAX && height >= 5 &&
              height <= FL_PLOT_HEIGHT_MAX);
    if (count == 0)
        return FL_OK;
    x = measure(points, count);
    if (!isfinite((x.max - x.min) * 4) || !isfinite(x.max * 4) || !isfinite(x.min * 4))
        return fl_buffer_append_str(out, "(the values are too far apart to be drawn)\n");
    a = make_axis(&x, c.rows);
    margin = label_width(&a, c.rows);
    c.columns = width > margin + 4 ? width - margin - 2 : 2;
    c.cells = calloc(c.rows, c.columns);
    if (!c.cells)
        return FL_ENOMEM;
    divide(points, count, &x, slots, 2 * c.columns);
    draw(&c, &a, slots, count);
    for (size_t r = 0; r < c.rows; r++) {
        bool marked = row_label(&a, c.rows, r, label);
        fl_buffer_printf(out, "%*s %s", (int)margin, label,
                         marked ? "\xE2\x94\xA4" : "\xE2\x94\x82");
        for (size_t i = 0; i < c.columns; i++) {
            uint8_t cell = c.cells[r * c.columns + i];
            fl_buffer_append(out,
                             (const uint8_t[]){0xE2, (uint8_t)(0xA0 | cell >> 6),
                                               (uint8_t)(0x80 | (cell & 0x3F))},
                             3);
        }
        fl_buffer_append_byte(out, '\n');
    }
    print_time_axis(&x, margin, c.columns, out);
    free(c.cells);
    return out->failed ? FL_ENOMEM : FL_OK;
}
