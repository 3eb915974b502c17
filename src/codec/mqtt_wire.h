/* SPDX-License-Identifier: Apache-2.0
 *
 * The octets of MQTT's data types: what codec/mqtt.c and codec/mqtt_properties.c read and write
 * with. A reader remembers its first fault and fails from then on; a writer without memory only
 * counts.
 */
#ifndef FL_CODEC_MQTT_WIRE_H
#define FL_CODEC_MQTT_WIRE_H

#include "codec/mqtt.h"

struct fl_mqtt_reader {
    struct fl_slice left;
    struct fl_mqtt_fault fault; /* text is NULL while all is well */
};

/* Sets the fault and returns false. */
bool fl_mqtt_bad(struct fl_mqtt_reader *r, uint8_t reason, const char *text);
bool fl_mqtt_read_byte(struct fl_mqtt_reader *r, uint8_t *value);
bool fl_mqtt_read_two(struct fl_mqtt_reader *r, uint16_t *value);
bool fl_mqtt_read_four(struct fl_mqtt_reader *r, uint32_t *value);
bool fl_mqtt_read_vari(struct fl_mqtt_reader *r, uint32_t *value);
bool fl_mqtt_read_data(struct fl_mqtt_reader *r, struct fl_slice *value);
bool fl_mqtt_read_text(struct fl_mqtt_reader *r, struct fl_slice *value);
/* A length and that many octets. */
bool fl_mqtt_read_block(struct fl_mqtt_reader *r, struct fl_slice *block);

struct fl_mqtt_writer {
    uint8_t *at; /* NULL: only count */
    size_t size;
    bool failed; /* a text over 65535 octets, a number over 268435455 */
};

void fl_mqtt_write_byte(struct fl_mqtt_writer *w, uint32_t value);
void fl_mqtt_write_two(struct fl_mqtt_writer *w, uint32_t value);
void fl_mqtt_write_four(struct fl_mqtt_writer *w, uint32_t value);
void fl_mqtt_write_vari(struct fl_mqtt_writer *w, uint32_t value);
void fl_mqtt_write_data(struct fl_mqtt_writer *w, struct fl_slice value);
void fl_mqtt_write_raw(struct fl_mqtt_writer *w, struct fl_slice value);

/* The block with its length before it; `packet` adds a PUBLISH's subscription identifiers. */
void fl_mqtt_write_properties(struct fl_mqtt_writer *w, const struct fl_mqtt_packet *packet);
bool fl_mqtt_has_properties(const struct fl_mqtt_packet *packet);

#endif
