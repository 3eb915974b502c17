/* SPDX-License-Identifier: Apache-2.0
 *
 * The payload of a message on d/{device}/t/{stream}: a JSON number, an object of numbers, or
 * {"t":ms,"v":...} with either as "v". A number is one reading of the topic's stream; an object
 * gives one reading per member, whose stream is the member's name (the topic's last level then
 * names the group). Checked against the profile: unknown streams, values out of range, non-finite
 * numbers, a time outside `now` - 10 years to `now` + 1 hour are errors with words. Nothing is
 * kept: readings point into the given profile.
 */
#ifndef FL_CODEC_READING_H
#define FL_CODEC_READING_H

#include "base/store.h"
#include "codec/profile.h"

struct fl_reading_list {
    struct fl_reading items[FL_LIMIT_READINGS_PER_MESSAGE];
    size_t count;
    bool has_time; /* the message said when */
};

/* The stream level of a topic d/{device}/t/{stream...}: false if the topic is not one of readings.
 */
bool fl_reading_topic(struct fl_slice topic, struct fl_slice device, struct fl_slice *stream);

/* All or nothing: FL_EPARSE (not such JSON), FL_ENOTFOUND (no such stream), FL_EINVAL (range,
 * time), FL_ELIMIT. `now` stamps readings without a time. */
FL_MUST_USE enum fl_error fl_reading_parse(const struct fl_profile *profile, struct fl_slice device,
                                           struct fl_slice stream, struct fl_slice payload,
                                           fl_time_t now, struct fl_reading_list *list,
                                           struct fl_context *ctx);

#endif
