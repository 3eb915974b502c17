/* SPDX-License-Identifier: Apache-2.0
 *
 * The WebSocket framing of one MQTT connection, between its stream and the broker: unmasks what
 * comes, answers Ping and Close, and packs what goes into few large frames. It holds no payload
 * that comes (what the broker does not take stays in the stream) and at most one frame that goes.
 */
#ifndef FL_FRONT_MQTT_WS_H
#define FL_FRONT_MQTT_WS_H

#include "codec/websocket.h"
#include "io/stream.h"

#define FL_MQTT_WS_PIECE ((size_t)16 * 1024)

/* What the connections of one loop share; zero-initialised. */
struct fl_mqtt_ws_room {
    struct fl_buffer spare;          /* for the next frame; the last one written whole left it */
    uint8_t plain[FL_MQTT_WS_PIECE]; /* unmasked; the broker copies what it keeps */
};

void fl_mqtt_ws_room_free(struct fl_mqtt_ws_room *room); /* what it holds */

struct fl_mqtt_ws {
    struct fl_mqtt_ws_room *room;
    struct fl_websocket frames;
    struct fl_buffer out; /* frames on their way; empty while idle */
    bool pong_due;
    uint8_t pong_size;
    uint8_t pong[FL_WEBSOCKET_CONTROL_MAX]; /* for the newest Ping: older ones need none */
    uint16_t close_code;                    /* what the Close frame will say */
};

/* `room` lives longer. */
void fl_mqtt_ws_init(struct fl_mqtt_ws *ws, struct fl_mqtt_ws_room *room);
/* From now on it is at another loop, with that one's room. */
void fl_mqtt_ws_move(struct fl_mqtt_ws *ws, struct fl_mqtt_ws_room *room);
void fl_mqtt_ws_free(struct fl_mqtt_ws *ws); /* what it holds */

/* Bytes from the wire. MQTT's are handed to `take`, which returns how many it took. Returns how
 * many bytes of the wire are done with: all, unless `take` took less. `*end`: why the connection
 * must end (a Close frame, or one that was refused), else untouched. */
size_t fl_mqtt_ws_receive(struct fl_mqtt_ws *ws, struct fl_slice bytes,
                          size_t (*take)(void *self, struct fl_slice bytes), void *self,
                          const char **end);
/* A Pong waits to be sent by fl_mqtt_ws_write. */
bool fl_mqtt_ws_must_write(const struct fl_mqtt_ws *ws);

/* Frames and writes up to `most` octets from the front of `out`; consumes what is framed. As
 * fl_stream_write (FL_OK when all of that is written), and FL_ENOMEM: the connection must end. */
FL_MUST_USE enum fl_error fl_mqtt_ws_write(struct fl_mqtt_ws *ws, struct fl_stream *stream,
                                           struct fl_buffer *out, size_t most);

/* The last frame: Close, with the reason in words. Who does not read loses it. */
void fl_mqtt_ws_end(struct fl_mqtt_ws *ws, struct fl_stream *stream, const char *why);

#endif
