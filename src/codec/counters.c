/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/counters.h"

#include "base/endian.h"

#define COUNTER(m, metric, labels, words)                                                          \
    {#m, metric, labels, words, FL_COUNTER, offsetof(struct S, m)},
#define GAUGE(m, metric, labels, words)                                                            \
    {#m, metric, labels, words, FL_GAUGE, offsetof(struct S, m)},
#define HISTOGRAM(m, metric, labels, words)                                                        \
    {#m, metric, labels, words, FL_HISTOGRAM, offsetof(struct S, m)},

#define S fl_counters_worker
const struct fl_counter fl_counters_worker[] = {FL_COUNTERS_WORKER(COUNTER, GAUGE, HISTOGRAM)};
#undef S
const size_t fl_counters_worker_count = sizeof fl_counters_worker / sizeof fl_counters_worker[0];

#define S fl_counters_process
const struct fl_counter fl_counters_process[] = {FL_COUNTERS_PROCESS(COUNTER, GAUGE, HISTOGRAM)};
#undef S
const size_t fl_counters_process_count = sizeof fl_counters_process / sizeof fl_counters_process[0];

#define S fl_counters_log
const struct fl_counter fl_counters_log[] = {FL_COUNTERS_LOG(COUNTER, GAUGE, HISTOGRAM)};
#undef S
const size_t fl_counters_log_count = sizeof fl_counters_log / sizeof fl_counters_log[0];

uint64_t fl_counter_number(const void *counters, const struct fl_counter *row)
{
    uint64_t value = 0;

    memcpy(&value, (const uint8_t *)counters + row->offset, sizeof value);
    return value;
}

const struct fl_histogram *fl_counter_histogram(const void *counters, const struct fl_counter *row)
{
    return (const void *)((const uint8_t *)counters + row->offset);
}

static enum fl_error put_word(struct fl_buffer *out, uint64_t word)
{
    uint8_t bytes[8];

    fl_put_le64(bytes, word);
    return fl_buffer_append(out, bytes, sizeof bytes);
}

static uint64_t take_word(struct fl_slice *in)
{
    uint64_t word = fl_get_le64(in->data);

    *in = fl_slice_from(*in, sizeof word);
    return word;
}

enum fl_error fl_counters_put(const void *counters, size_t size, struct fl_buffer *out)
{
    enum fl_error error = FL_OK;

    for (size_t at = 0; at < size && !error; at += sizeof(uint64_t)) {
        uint64_t word = 0;

        memcpy(&word, (const uint8_t *)counters + at, sizeof word);
        error = put_word(out, word);
    }
    return error;
}

enum fl_error fl_counters_next(struct fl_slice *in, void *counters, size_t size)
{
    if (in->size == 0)
        return FL_ENOTFOUND;
    if (in->size < size)
        return FL_EPARSE;
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t word = take_word(in);

        memcpy((uint8_t *)counters + at, &word, sizeof word);
    }
    return FL_OK;
}

enum fl_error fl_busy_put(const struct fl_busy *busy, struct fl_buffer *out)
{
    struct fl_slice device = fl_slice_str(busy->device);

    (void)fl_buffer_append_byte(out, (uint8_t)device.size);
    (void)fl_buffer_append_slice(out, device);
    (void)fl_buffer_append_byte(out, busy->by_bytes ? 1 : 0);
    (void)put_word(out, busy->weight);
    (void)put_word(out, busy->over);
    return put_word(out, busy->other);
}

enum fl_error fl_busy_next(struct fl_slice *in, struct fl_busy *busy)
{
    size_t size = 0;
    struct fl_slice device = {0};

    if (in->size == 0)
        return FL_ENOTFOUND;
    size = in->data[0];
    if (in->size < 2 + size + 3 * sizeof(uint64_t))
        return FL_EPARSE;
    device = fl_slice(in->data + 1, size);
    if (!fl_name_valid(device) || in->data[1 + size] > 1)
        return FL_EPARSE;
    (void)fl_str_copy_slice(busy->device, sizeof busy->device, device);
    busy->by_bytes = in->data[1 + size] == 1;
    *in = fl_slice_from(*in, 2 + size);
    busy->weight = take_word(in);
    busy->over = take_word(in);
    busy->other = take_word(in);
    return FL_OK;
}
