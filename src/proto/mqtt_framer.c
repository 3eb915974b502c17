/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/mqtt_framer.h"

/* A larger buffer than this is not kept for the next partial packet. */
#define KEEP_BYTES 1024

void fl_mqtt_framer_init(struct fl_mqtt_framer *framer)
{
    *framer = (struct fl_mqtt_framer){.in = FL_BUFFER(FL_LIMIT_MQTT_PACKET)};
}

void fl_mqtt_framer_free(struct fl_mqtt_framer *framer)
{
    fl_buffer_free(&framer->in);
    framer->given = false;
}

uint8_t fl_mqtt_framer_first(const struct fl_mqtt_framer *framer, struct fl_slice bytes)
{
    return framer->in.size && !framer->given ? fl_buffer_slice(&framer->in).data[0] : bytes.data[0];
}

void fl_mqtt_framer_release(struct fl_mqtt_framer *framer)
{
    if (!framer->given)
        return;
    framer->given = false;
    if (framer->in.capacity > KEEP_BYTES)
        fl_buffer_free(&framer->in);
    else
        fl_buffer_clear(&framer->in);
}

/* Moves what is missing of one packet from `bytes` into `in`. FL_OK: it is whole. */
static enum fl_error gather(struct fl_mqtt_framer *framer, const struct fl_mqtt_mode *mode,
                            struct fl_slice *bytes, struct fl_mqtt_fault *fault)
{
    for (;;) {
        size_t whole = 0;
        size_t want = framer->in.size + 1; /* one by one until the header says how many */
        enum fl_error error = fl_mqtt_peek(fl_buffer_slice(&framer->in), mode, &whole, fault);
        if (error == FL_OK)
            want = whole;
        else if (error != FL_EMORE)
            return error;
        if (error == FL_OK && framer->in.size == whole)
            return FL_OK;
        if (bytes->size == 0)
            return FL_EMORE;
        want -= framer->in.size;
        if (want > bytes->size)
            want = bytes->size;
        if (fl_buffer_append(&framer->in, bytes->data, want) != FL_OK) {
            *fault = (struct fl_mqtt_fault){FL_MQTT_SERVER_BUSY, "out of memory"};
            return FL_ENOMEM;
        }
        *bytes = fl_slice_from(*bytes, want);
    }
}

enum fl_error fl_mqtt_framer_next(struct fl_mqtt_framer *framer, const struct fl_mqtt_mode *mode,
                                  struct fl_slice *bytes, struct fl_mqtt_packet *packet,
                                  struct fl_mqtt_fault *fault)
{
    struct fl_slice in = {0};
    enum fl_error error = FL_OK;

    fl_mqtt_framer_release(framer);
    packet->type = (enum fl_mqtt_type)0;
    if (framer->in.size == 0) {
        error = fl_mqtt_decode(bytes, mode, packet, fault);
        if (error != FL_EMORE)
            return error;
    }
    error = gather(framer, mode, bytes, fault);
    if (error != FL_OK)
        return error;
    framer->given = true;
    in = fl_buffer_slice(&framer->in);
    return fl_mqtt_decode(&in, mode, packet, fault);
}
