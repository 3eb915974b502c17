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
                                  const struct fl_telemetry_seal *seal, struct fl_context *ctx)
{
    struct fl_reading readings[AT_ONCE];
    uint8_t sealed[AT_ONCE][FL_STORE_SEALED];
    size_t count = 0;
    enum fl_error next = FL_OK;
    enum fl_error error = FL_OK;

    while (next == FL_OK && error == FL_OK) {
        next = fl_msg_next_reading(&records, &readings[count]);
        if (next == FL_OK) {
            error = seal->seal(seal->to, &readings[count], sealed[count], ctx);
            readings[count].value = 0;
            readings[count].sealed = fl_slice(sealed[count], FL_STORE_SEALED);
            count++;
        }
        if (error != FL_OK)
            break;
        if (count == AT_ONCE || (next != FL_OK && count > 0)) {
            error = store->ops->append_readings(store->self, readings, count, ctx);
            count = 0;
        }
    }
    return error;
}
