/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a profile: it is refused with a place, or every promise of profile.h holds:
 * terminated texts, ordered ranges, a signature that covers exactly what is before its line, and no
 * right over another device's {device} topics.
 */
#include "codec/profile.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_filters(const struct fl_profile *profile, const char **filters, size_t count,
                          enum fl_profile_right right)
{
    struct fl_slice device = fl_slice_str("dev");

    require(count <= FL_LIMIT_PROFILE_TOPICS);
    for (size_t i = 0; i < count; i++) {
        struct fl_slice filter = fl_slice_str(filters[i]);
        require(filter.size > 0 && filter.data[0] != '$');
        /* A filter covers itself unless it names the device, whose name is never in braces. */
        require(fl_topic_covered(filters[i], device, filter) == !strchr(filters[i], '{'));
        (void)fl_profile_allows(profile, right, device, filter, FL_GRADE_BIT(FL_GRADE_REPORTED));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_profile profile = {0};
    struct fl_context ctx = {0};

    if (fl_profile_parse(fl_slice(data, size), "f", &profile, &ctx) != FL_OK) {
        require(ctx.text[0] == 'f' && ctx.text[1] == ':' && !profile.memory);
        return 0;
    }
    require(profile.version > 0 && fl_name_valid(fl_slice_str(profile.name)));
    check_filters(&profile, profile.publish, profile.publish_count, FL_RIGHT_PUBLISH);
    check_filters(&profile, profile.subscribe, profile.subscribe_count, FL_RIGHT_SUBSCRIBE);
    require(profile.stream_count <= FL_LIMIT_PROFILE_STREAMS);
    for (size_t i = 0; i < profile.stream_count; i++) {
        const struct fl_profile_stream *stream = &profile.streams[i];
        require(stream->min <= stream->max);
        require(fl_profile_stream(&profile, fl_slice_str(stream->name)) == stream);
    }
    if (profile.is_signed) {
        require(profile.signed_text.data == data && profile.signed_text.size < size);
        require(data[profile.signed_text.size] == 's');
        require(size - profile.signed_text.size <= 120);
    }
    fl_profile_free(&profile);
    return 0;
}
