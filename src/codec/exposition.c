/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/exposition.h"

#include <stdio.h>

static void put_escaped(struct fl_buffer *out, struct fl_slice text, bool quotes)
{
    if (!fl_slice_is_utf8(text)) {
        (void)fl_buffer_append_str(out, "?");
        return;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (c == '\\')
            (void)fl_buffer_append_str(out, "\\\\");
        else if (c == '\n')
            (void)fl_buffer_append_str(out, "\\n");
        else if (c == '"' && quotes)
            (void)fl_buffer_append_str(out, "\\\"");
        else
            (void)fl_buffer_append_byte(out, c);
    }
}

void fl_exposition_family(struct fl_buffer *out, const char *name, const char *type,
                          const char *help)
{
    (void)fl_buffer_printf(out, "# HELP %s ", name);
    put_escaped(out, fl_slice_str(help), false);
    (void)fl_buffer_printf(out, "\n# TYPE %s %s\n", name, type);
}

static void put_name(struct fl_buffer *out, const char *name, const char *suffix,
                     const char *labels)
{
    (void)fl_buffer_printf(out, "%s%s", name, suffix);
    if (labels[0])
        (void)fl_buffer_printf(out, "{%s}", labels);
    (void)fl_buffer_append_byte(out, ' ');
}

void fl_exposition_number(struct fl_buffer *out, const char *name, const char *labels,
                          uint64_t value)
{
    put_name(out, name, "", labels);
    (void)fl_buffer_printf(out, "%llu\n", (unsigned long long)value);
}

/* Whole numbers all the way: no double stands between what was counted and what is shown. */
static void put_seconds(struct fl_buffer *out, uint64_t us)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%llu.%06llu", (unsigned long long)(us / 1000000),
                        (unsigned long long)(us % 1000000));

    while (text[size - 1] == '0')
        size--;
    if (text[size - 1] == '.')
        size--;
    (void)fl_buffer_append(out, text, (size_t)size);
}

void fl_exposition_time(struct fl_buffer *out, const char *name, const char *labels, uint64_t us)
{
    put_name(out, name, "", labels);
    put_seconds(out, us);
    (void)fl_buffer_append_byte(out, '\n');
}

void fl_exposition_histogram(struct fl_buffer *out, const char *name, const char *labels,
                             const struct fl_histogram *histogram)
{
    uint64_t below = 0;

    for (size_t i = 0; i < FL_HISTOGRAM_BUCKETS; i++) {
        below += histogram->buckets[i];
        (void)fl_buffer_printf(out, "%s_bucket{%s%sle=\"", name, labels, labels[0] ? "," : "");
        if (i < FL_HISTOGRAM_BUCKETS - 1)
            put_seconds(out, fl_histogram_bounds_us[i]);
        else
            (void)fl_buffer_append_str(out, "+Inf");
        (void)fl_buffer_printf(out, "\"} %llu\n", (unsigned long long)below);
    }
    put_name(out, name, "_sum", labels);
    put_seconds(out, histogram->sum_us);
    (void)fl_buffer_append_byte(out, '\n');
    put_name(out, name, "_count", labels);
    (void)fl_buffer_printf(out, "%llu\n", (unsigned long long)below);
}

void fl_exposition_label(struct fl_buffer *labels, const char *name, struct fl_slice value)
{
    (void)fl_buffer_printf(labels, "%s%s=\"", labels->size ? "," : "", name);
    put_escaped(labels, value, true);
    (void)fl_buffer_append_byte(labels, '"');
}
