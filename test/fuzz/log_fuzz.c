/* SPDX-License-Identifier: Apache-2.0
 *
 * A log line of anything is one JSON object on one line, whole however little room there is.
 */
#include "base/assert.h"
#include "base/log.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[4096];
    size_t split = size > 0 ? data[0] % size : 0;
    size_t room = FL_LOG_JSON_MIN + (size > 1 ? (size_t)data[1] * 13 : 0);
    struct fl_log_line line = {.time_ms = (int64_t)size * 1001,
                               .process = "front",
                               .level = FL_LOG_INFO,
                               .tag = "fuzz",
                               .device = fl_slice(data, split),
                               .text = fl_slice(data + split, size - split)};
    size_t used = fl_log_json(&line, out, room < sizeof out ? room : sizeof out);
    json_t *object = NULL;

    fl_assert(used <= room && out[used - 1] == '\n');
    for (size_t i = 0; i + 1 < used; i++)
        fl_assert((unsigned char)out[i] >= 0x20 && out[i] != 0x7F);
    object = json_loadb(out, used, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    fl_assert(json_is_object(object));
    fl_assert(json_is_string(json_object_get(object, "message")));
    json_decref(object);
    return 0;
}
