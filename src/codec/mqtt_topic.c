/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/mqtt.h"

bool fl_mqtt_text_valid(struct fl_slice text)
{
    return (text.size == 0 || !memchr(text.data, 0, text.size)) && fl_slice_is_utf8(text);
}

bool fl_mqtt_topic_valid(struct fl_slice topic)
{
    return topic.size > 0 && topic.size <= UINT16_MAX && !memchr(topic.data, '+', topic.size) &&
           !memchr(topic.data, '#', topic.size) && fl_mqtt_text_valid(topic);
}

bool fl_mqtt_filter_valid(struct fl_slice filter)
{
    struct fl_slice rest = filter;
    struct fl_slice level = {0};
    bool more = true;

    if (filter.size == 0 || filter.size > UINT16_MAX || !fl_mqtt_text_valid(filter))
        return false;
    while (more) {
        more = fl_slice_cut(&rest, '/', &level);
        if (level.size == 0)
            continue;
        if (memchr(level.data, '+', level.size) && level.size > 1)
            return false;
        if (memchr(level.data, '#', level.size) && (level.size > 1 || more))
            return false;
    }
    return true;
}

bool fl_mqtt_filter_is_shared(struct fl_slice filter)
{
    return filter.size >= 7 && memcmp(filter.data, "$share/", 7) == 0;
}

bool fl_mqtt_share_filter(struct fl_slice shared, struct fl_slice *filter)
{
    struct fl_slice name = {0};

    if (!fl_mqtt_filter_is_shared(shared))
        return false;
    *filter = fl_slice_from(shared, 7);
    return fl_slice_cut(filter, '/', &name) && name.size > 0 &&
           !memchr(name.data, '+', name.size) && !memchr(name.data, '#', name.size) &&
           fl_mqtt_filter_valid(*filter);
}

size_t fl_mqtt_topic_levels(struct fl_slice topic)
{
    size_t levels = 1;

    for (size_t i = 0; i < topic.size; i++)
        levels += topic.data[i] == '/';
    return levels;
}

bool fl_mqtt_levels_match(struct fl_slice filter, struct fl_slice topic)
{
    struct fl_slice want = {0};
    struct fl_slice have = {0};
    bool more_want = true;
    bool more_have = true;

    for (;;) {
        more_want = fl_slice_cut(&filter, '/', &want);
        if (fl_slice_is(want, "#"))
            return true;
        more_have = fl_slice_cut(&topic, '/', &have);
        if (!fl_slice_is(want, "+") && !fl_slice_equal(want, have))
            return false;
        if (!more_have)
            return !more_want || fl_slice_is(filter, "#");
        if (!more_want)
            return false;
    }
}

bool fl_mqtt_topic_matches(struct fl_slice filter, struct fl_slice topic)
{
    if (filter.size && topic.size && topic.data[0] == '$' &&
        (filter.data[0] == '+' || filter.data[0] == '#'))
        return false;
    return fl_mqtt_levels_match(filter, topic);
}
