/* SPDX-License-Identifier: Apache-2.0 */
#include "service/telemetry.h"

#include "codec/msg.h"

#define AT_ONCE 256

enum fl_error fl_telemetry_check(struct fl_slice records, size_t *readings, struct fl_context *ctx)
{
    struct fl_reading reading = {0};
    enum fl_error error = FL_OK;

    *readings = 0;
    while ((error = fl_msg_next_reading(&records, &reading)) == FL_OK)
        (*readings)++;
    if (error != FL_ENOTFOUND)
        return fl_fail(ctx, FL_EPARSE, "telemetry: reading %zu of the batch is malformed",
                       *readings + 1);
    return FL_OK;
}

enum fl_error fl_telemetry_append(const struct fl_store *store, struct fl_slice records,
                                  struct fl_context *ctx)
{
    struct fl_reading readings[AT_ONCE];
    size_t count = 0;
    enum fl_error next = FL_OK;
    enum fl_error error = FL_OK;

    while (next == FL_OK && error == FL_OK) {
        next = fl_msg_next_reading(&records, &readings[count]);
        if (next == FL_OK)
            count++;
        if (count == AT_ONCE || (next != FL_OK && count > 0)) {
            error = store->ops->append_readings(store->self, readings, count, ctx);
            count = 0;
        }
    }
    return error;
}
