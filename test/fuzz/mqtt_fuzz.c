/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as packets of either side and version. What decodes must encode, and decode again to
 * the same bytes.
 */
#include "base/assert.h"
#include "codec/mqtt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct fl_mqtt_packet *packet)
{
    struct fl_slice name = {0};
    struct fl_slice value = {0};
    struct fl_slice left = packet->properties.raw;
    struct fl_mqtt_filter filter = {0};
    struct fl_buffer forwarded = FL_BUFFER(FL_LIMIT_MQTT_PROPERTIES);

    while (fl_mqtt_next_user(&left, &name, &value))
        fl_assert(fl_mqtt_text_valid(name) && fl_mqtt_text_valid(value));
    fl_assert(fl_mqtt_put_forwarded(packet->properties.raw, &forwarded) == FL_OK);
    fl_assert(forwarded.size <= packet->properties.raw.size);
    fl_buffer_free(&forwarded);
    if (packet->type != FL_MQTT_SUBSCRIBE && packet->type != FL_MQTT_UNSUBSCRIBE)
        return;
    left = packet->as.subscribe.filters;
    while (fl_mqtt_next_filter(&left, packet->type, &filter))
        fl_assert(fl_mqtt_filter_valid(filter.filter));
    fl_assert(left.size == 0);
}

/* The raw block is all of the properties in their own order: encoding that alone is exact. */
static void round_trip(const struct fl_mqtt_packet *packet, const struct fl_mqtt_mode *mode)
{
    struct fl_buffer first = FL_BUFFER(FL_LIMIT_MQTT_PACKET);
    struct fl_buffer second = FL_BUFFER(FL_LIMIT_MQTT_PACKET);
    struct fl_mqtt_packet again = *packet;
    struct fl_mqtt_fault fault = {0};
    struct fl_slice in = {0};

    again.properties.has = 0;
    fl_assert(fl_mqtt_encode(&again, mode->version, mode->packet_max, &first) == FL_OK);
    in = fl_buffer_slice(&first);
    fl_assert(fl_mqtt_decode(&in, mode, &again, &fault) == FL_OK);
    fl_assert(in.size == 0 && again.type == packet->type);
    fl_assert(again.properties.has == packet->properties.has);
    again.properties.has = 0;
    fl_assert(fl_mqtt_encode(&again, mode->version, mode->packet_max, &second) == FL_OK);
    fl_assert(fl_slice_equal(fl_buffer_slice(&first), fl_buffer_slice(&second)));
    fl_buffer_free(&second);
    fl_buffer_free(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum fl_mqtt_version versions[] = {FL_MQTT_ANY, FL_MQTT_3, FL_MQTT_5, FL_MQTT_5};
    struct fl_mqtt_mode mode = {.packet_max = FL_LIMIT_MQTT_PACKET};
    struct fl_slice in = fl_slice(data, size);

    if (size == 0)
        return 0;
    mode.version = versions[data[0] & 3];
    mode.from_server = (data[0] & 4) != 0;
    in = fl_slice_from(in, 1);
    while (in.size) {
        struct fl_mqtt_packet packet;
        struct fl_mqtt_fault fault = {0};
        size_t before = in.size;
        size_t whole = 0;
        enum fl_error error = fl_mqtt_decode(&in, &mode, &packet, &fault);
        fl_assert((error == FL_OK || error == FL_EMORE) == (fault.text == NULL));
        if (error != FL_OK)
            break;
        fl_assert(fl_mqtt_peek(fl_slice(in.data - (before - in.size), before), &mode, &whole,
                               &fault) == FL_OK);
        fl_assert(whole == before - in.size);
        walk(&packet);
        if (packet.type == FL_MQTT_CONNECT)
            mode.version = packet.as.connect.version;
        round_trip(&packet, &mode);
    }
    return 0;
}
