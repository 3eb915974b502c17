/* SPDX-License-Identifier: Apache-2.0 */
#include "front/mqtt_ws.h"

/* With its header one TLS record. */
#define FRAME_MAX ((size_t)16 * 1024 - FL_WEBSOCKET_HEADER_MAX)
#define OUT_MAX ((size_t)32 * 1024) /* a frame, a Pong and a Close frame */

void fl_mqtt_ws_room_free(struct fl_mqtt_ws_room *room)
{
    fl_buffer_free(&room->spare);
}

void fl_mqtt_ws_init(struct fl_mqtt_ws *ws, struct fl_mqtt_ws_room *room)
{
    *ws = (struct fl_mqtt_ws){.out = FL_BUFFER(OUT_MAX), .close_code = FL_WEBSOCKET_NORMAL};
    fl_mqtt_ws_move(ws, room);
}

void fl_mqtt_ws_move(struct fl_mqtt_ws *ws, struct fl_mqtt_ws_room *room)
{
    room->spare.max = OUT_MAX;
    ws->room = room;
}

void fl_mqtt_ws_free(struct fl_mqtt_ws *ws)
{
    fl_buffer_free(&ws->out);
}

static void take_control(struct fl_mqtt_ws *ws, const struct fl_websocket_event *event,
                         const char **end)
{
    if (event->opcode == FL_WEBSOCKET_PING) {
        ws->pong_due = true;
        ws->pong_size = (uint8_t)event->bytes.size;
        if (event->bytes.size)
            memcpy(ws->pong, event->bytes.data, event->bytes.size);
    } else if (event->opcode == FL_WEBSOCKET_CLOSE) {
        if (event->code != FL_WEBSOCKET_NO_CODE)
            ws->close_code = event->code;
        *end = "the client closed the WebSocket";
    }
}

size_t fl_mqtt_ws_receive(struct fl_mqtt_ws *ws, struct fl_slice bytes,
                          size_t (*take)(void *self, struct fl_slice bytes), void *self,
                          const char **end)
{
    struct fl_slice in = bytes;
    struct fl_websocket_event event;
    enum fl_error error = FL_OK;

    while ((error = fl_websocket_next(&ws->frames, &in, &event)) == FL_OK) {
        uint8_t *plain = ws->room->plain;
        size_t size = event.bytes.size < FL_MQTT_WS_PIECE ? event.bytes.size : FL_MQTT_WS_PIECE;
        size_t taken = 0;

        if (event.opcode != FL_WEBSOCKET_BINARY) {
            take_control(ws, &event, end);
            continue;
        }
        fl_websocket_unmask(&ws->frames, fl_slice(event.bytes.data, size), plain);
        taken = take(self, fl_slice(plain, size));
        fl_websocket_take(&ws->frames, &in, taken);
        if (taken < size)
            return bytes.size - in.size;
    }
    if (error != FL_EMORE && error != FL_ECLOSED) {
        ws->close_code = event.code;
        *end = event.text;
    }
    return bytes.size;
}

bool fl_mqtt_ws_must_write(const struct fl_mqtt_ws *ws)
{
    return ws->pong_due;
}

static void swap_spare(struct fl_mqtt_ws *ws)
{
    struct fl_buffer mine = ws->out;

    ws->out = ws->room->spare;
    ws->room->spare = mine;
}

/* The buffer has room for it: a frame is packed only when nothing is left of the last one. */
static void pack(struct fl_mqtt_ws *ws, enum fl_websocket_opcode opcode, const uint8_t *payload,
                 size_t size)
{
    uint8_t header[FL_WEBSOCKET_HEADER_MAX];
    size_t header_size = fl_websocket_header(opcode, size, header);
    uint8_t *to = NULL;

    if (!ws->out.data)
        swap_spare(ws);
    to = fl_buffer_reserve(&ws->out, header_size + size);
    if (!to)
        return;
    memcpy(to, header, header_size);
    memcpy(to + header_size, payload, size);
    fl_buffer_commit(&ws->out, header_size + size);
}

enum fl_error fl_mqtt_ws_write(struct fl_mqtt_ws *ws, struct fl_stream *stream,
                               struct fl_buffer *out, size_t most)
{
    enum fl_error error = fl_stream_write(stream, &ws->out);

    while (!error && (ws->pong_due || (out->size > 0 && most > 0))) {
        struct fl_slice payload = fl_buffer_slice(out);
        size_t size = payload.size < most ? payload.size : most;

        if (ws->pong_due)
            pack(ws, FL_WEBSOCKET_PONG, ws->pong, ws->pong_size);
        ws->pong_due = false;
        size = size < FRAME_MAX ? size : FRAME_MAX;
        if (payload.data && size > 0)
            pack(ws, FL_WEBSOCKET_BINARY, payload.data, size);
        if (ws->out.failed)
            return FL_ENOMEM;
        fl_buffer_consume(out, size);
        most -= size;
        error = fl_stream_write(stream, &ws->out);
    }
    if (!error && ws->out.data) {
        fl_buffer_clear(&ws->out);
        if (!ws->room->spare.data)
            swap_spare(ws);
        fl_buffer_free(&ws->out);
    }
    return error;
}

void fl_mqtt_ws_end(struct fl_mqtt_ws *ws, struct fl_stream *stream, const char *why)
{
    if (fl_websocket_put_close(&ws->out, ws->close_code, why) == FL_OK)
        (void)!fl_stream_write(stream, &ws->out);
}
