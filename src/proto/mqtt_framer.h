/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes in pieces of any size -> packets one by one. A packet that is whole in what came is decoded
 * where it is; only the beginning of one is kept, never more than that packet.
 */
#ifndef FL_PROTO_MQTT_FRAMER_H
#define FL_PROTO_MQTT_FRAMER_H

#include "codec/mqtt.h"

struct fl_mqtt_framer {
    struct fl_buffer in;
    bool given; /* what is in `in` was handed out as a whole packet */
};

void fl_mqtt_framer_init(struct fl_mqtt_framer *framer);
void fl_mqtt_framer_free(struct fl_mqtt_framer *framer);

/* The first octet of the packet that comes next; there must be one. */
uint8_t fl_mqtt_framer_first(const struct fl_mqtt_framer *framer, struct fl_slice bytes);

/* The packet before is done with. */
void fl_mqtt_framer_release(struct fl_mqtt_framer *framer);

/* Takes bytes until one packet is whole; its slices live until the next call here or the end of
 * `bytes`. FL_EMORE: all bytes were taken. Otherwise as fl_mqtt_decode; packet->type is 0 when not
 * even that is known. */
FL_MUST_USE enum fl_error fl_mqtt_framer_next(struct fl_mqtt_framer *framer,
                                              const struct fl_mqtt_mode *mode,
                                              struct fl_slice *bytes, struct fl_mqtt_packet *packet,
                                              struct fl_mqtt_fault *fault);

#endif
