/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/uplink.h"

#include "base/endian.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* u8 version | i64 t | f64 value as its bits | stream name, all big endian */
enum { RECORD_VERSION = 1, RECORD_HEAD = 17 };

enum fl_error fl_record_encode(const struct fl_record *record, struct fl_buffer *out)
{
    uint8_t head[RECORD_HEAD] = {RECORD_VERSION};
    uint64_t bits = 0;

    memcpy(&bits, &record->value, sizeof bits);
    fl_put_be64(head + 1, (uint64_t)record->t);
    fl_put_be64(head + 9, bits);
    (void)fl_buffer_append(out, head, sizeof head);
    return fl_buffer_append_str(out, record->stream);
}

enum fl_error fl_record_decode(struct fl_slice bytes, struct fl_record *record)
{
    uint64_t bits = 0;
    struct fl_slice name = {0};

    if (bytes.size <= RECORD_HEAD || bytes.data[0] != RECORD_VERSION)
        return FL_EPARSE;
    name = fl_slice_from(bytes, RECORD_HEAD);
    if (!fl_name_valid(name) || !fl_str_copy_slice(record->stream, sizeof record->stream, name))
        return FL_EPARSE;
    record->t = (fl_time_t)fl_get_be64(bytes.data + 1);
    bits = fl_get_be64(bytes.data + 9);
    memcpy(&record->value, &bits, sizeof bits);
    return isfinite(record->value) ? FL_OK : FL_EPARSE;
}

enum fl_error fl_record_to_json(const struct fl_record *record, struct fl_buffer *out)
{
    char number[40];

    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(number, sizeof number, "%.*g", digits, record->value);
        if (strtod(number, NULL) == record->value)
            break;
    }
    return fl_buffer_printf(out, "{\"t\":%" PRId64 ",\"v\":%s}", record->t, number);
}
