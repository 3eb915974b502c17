/* SPDX-License-Identifier: Apache-2.0
 *
 * Readings in buckets of time, which the hub makes (every= of the API): a table, JSON, CSV, or the
 * points of a plot whose range has more readings than one page.
 */
#ifndef FL_CLI_READING_EVERY_H
#define FL_CLI_READING_EVERY_H

#include "cli/api.h"
#include "cli/reading_set.h"

/* `reading show ID --every DURATION`. `from` is a time of the API, or NULL. */
FL_MUST_USE enum fl_error fl_reading_show_every(struct fl_api *api, const char *from,
                                                struct fl_context *ctx);

/* The least and the greatest value of every bucket between the first and the last reading, as
 * points of `set`: enough for `columns` columns. FL_EMORE: they fit one page, take them as they
 * are. */
FL_MUST_USE enum fl_error fl_reading_plot_points(struct fl_api *api, const char *from,
                                                 size_t columns, struct fl_reading_set *set,
                                                 struct fl_context *ctx);

#endif
