/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the payload of a telemetry message: refused with words, or readings that the profile
 * allows, every one.
 */
#include "codec/reading.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1795330800000LL

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct fl_profile *profile(void)
{
    static struct fl_profile parsed;

    if (!parsed.memory)
        require(
            fl_profile_parse(fl_slice_str("profile p {\nversion 1\nstream a {\nrange -40 85\n}\n"
                                          "stream b\nstream t\nstream v\n}\n"),
                             "p", &parsed, NULL) == FL_OK);
    return &parsed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fl_reading_list list;
    struct fl_context ctx = {0};
    struct fl_slice stream = fl_slice_str("a");

    (void)fl_reading_topic(fl_slice(data, size), fl_slice_str("dev"), &stream);
    stream = fl_slice_str("a");
    if (fl_reading_parse(profile(), fl_slice_str("dev"), stream, fl_slice(data, size), NOW, &list,
                         &ctx) != FL_OK) {
        require(list.count == 0 && ctx.text[0] && fl_slice_is_utf8(fl_slice_str(ctx.text)));
        return 0;
    }
    require(list.count > 0 && list.count <= FL_LIMIT_READINGS_PER_MESSAGE);
    for (size_t i = 0; i < list.count; i++) {
        const struct fl_profile_stream *known = fl_profile_stream(profile(), list.items[i].stream);
        require(known && isfinite(list.items[i].value));
        require(list.items[i].value >= known->min && list.items[i].value <= known->max);
        require(list.has_time || list.items[i].t == NOW);
    }
    return 0;
}
