/* SPDX-License-Identifier: Apache-2.0
 *
 * The text format that Prometheus scrapes, version 0.0.4: a metric's HELP and TYPE once, then its
 * samples. Whoever writes gives all samples of one metric before the next metric. Label values and
 * help are escaped here. A failure stays in the buffer. Pure.
 */
#ifndef FL_CODEC_EXPOSITION_H
#define FL_CODEC_EXPOSITION_H

#include "base/buffer.h"
#include "base/histogram.h"

#define FL_EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* `type` is "counter", "gauge" or "histogram". */
void fl_exposition_family(struct fl_buffer *out, const char *name, const char *type,
                          const char *help);

/* `labels` are written by fl_exposition_label, or are "". */
void fl_exposition_number(struct fl_buffer *out, const char *name, const char *labels,
                          uint64_t value);
/* Microseconds, shown as seconds. */
void fl_exposition_time(struct fl_buffer *out, const char *name, const char *labels, uint64_t us);
/* NAME_bucket with le, NAME_sum, NAME_count; in seconds. */
void fl_exposition_histogram(struct fl_buffer *out, const char *name, const char *labels,
                             const struct fl_histogram *histogram);

/* Appends name="value", after a comma when there is something before it. */
void fl_exposition_label(struct fl_buffer *labels, const char *name, struct fl_slice value);

#endif
