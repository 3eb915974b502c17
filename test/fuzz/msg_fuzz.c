/* SPDX-License-Identifier: Apache-2.0
 *
 * The first byte says who sends (as a bit set of one), the rest is what comes over the channel.
 * What is decoded must encode to the same bytes again, and its slices must lie inside the input.
 */
#include "codec/msg.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_records(struct fl_slice records)
{
    struct fl_reading reading;
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);

    for (;;) {
        struct fl_slice before = records;
        if (fl_msg_next_reading(&records, &reading) != FL_OK)
            break;
        fl_buffer_clear(&out);
        if (fl_msg_put_reading(&out, &reading) != FL_OK ||
            !fl_slice_equal(fl_buffer_slice(&out),
                            fl_slice(before.data, before.size - records.size)))
            abort();
    }
    fl_buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice in = fl_slice(data, size);
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    enum fl_msg_from from = FL_FROM_PARENT;

    if (size == 0)
        return 0;
    from = (enum fl_msg_from)(1U << (data[0] % 4));
    in = fl_slice_from(in, 1);
    for (;;) {
        struct fl_msg msg;
        struct fl_context ctx = {0};
        struct fl_slice before = in;
        enum fl_error error = fl_msg_decode(&in, from, &msg, &ctx);

        if (error != FL_OK) {
            if (in.size != before.size || (error != FL_EMORE && ctx.text[0] == 0))
                abort();
            break;
        }
        fl_buffer_clear(&out);
        if (fl_msg_encode(&msg, &out, &ctx) != FL_OK ||
            !fl_slice_equal(fl_buffer_slice(&out), fl_slice(before.data, before.size - in.size)))
            abort();
        if (msg.type == fl_msg_type_readings)
            read_records(msg.as.readings.records);
    }
    fl_buffer_free(&out);
    return 0;
}
