/* SPDX-License-Identifier: Apache-2.0
 *
 * Readings as a picture in text: a sparkline of one row, and a plot with axes drawn in Braille dots
 * (two by four to a character). Points need no order; both divide the time between the first and
 * the last into equal slots. A slot without points stays empty: a gap is seen as a gap. Pure.
 */
#ifndef FL_CLI_PLOT_H
#define FL_CLI_PLOT_H

#include "base/buffer.h"
#include "base/time.h"

#define FL_PLOT_WIDTH_MAX 400
#define FL_PLOT_HEIGHT_MAX 100

struct fl_plot_point {
    fl_time_t t;  /* ms since the epoch */
    double value; /* finite */
};

/* The mean of each slot as one of eight blocks. Width 1 to FL_PLOT_WIDTH_MAX. */
enum fl_error fl_plot_sparkline(const struct fl_plot_point *points, size_t count, size_t width,
                                struct fl_buffer *out);

/* A plot of `width` columns and `height` rows in all, its axes included (at least 24 by 5). Each
 * slot shows everything between its least and its greatest value, joined to its neighbours. */
enum fl_error fl_plot_print(const struct fl_plot_point *points, size_t count, size_t width,
                            size_t height, struct fl_buffer *out);

#endif
