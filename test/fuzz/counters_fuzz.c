/* SPDX-License-Identifier: Apache-2.0
 *
 * What a front might say it has counted: never a crash, and what is taken is written as it came.
 */
#include "base/assert.h"
#include "codec/counters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice in = fl_slice(data, size);
    struct fl_buffer out = FL_BUFFER(1024 * 1024);
    struct fl_counters_process process;
    struct fl_busy busy;

    while (fl_busy_next(&in, &busy) == FL_OK)
        fl_assert(fl_busy_put(&busy, &out) == FL_OK);
    fl_assert(out.size == size - in.size);
    fl_assert(out.size == 0 || memcmp(fl_buffer_slice(&out).data, data, out.size) == 0);
    fl_buffer_clear(&out);
    in = fl_slice(data, size);
    while (fl_counters_next(&in, &process, sizeof process) == FL_OK)
        fl_assert(fl_counters_put(&process, sizeof process, &out) == FL_OK);
    fl_assert(out.size == 0 || memcmp(fl_buffer_slice(&out).data, data, out.size) == 0);
    fl_buffer_free(&out);
    return 0;
}
