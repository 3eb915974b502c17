/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket frames (RFC 6455 section 5), the server's side, for MQTT (MQTT 5.0 section 6): what a
 * client sends is masked and binary, what is sent to it is neither masked nor fragmented. The
 * payload of data frames is handed on as it comes, whatever frames it is in: nothing is assembled,
 * so that a large frame costs no memory. Control frames are gathered here, 125 octets at most.
 * Pure: no I/O, no allocation, no cryptography (the handshake is front/mqtt_upgrade).
 */
#ifndef FL_CODEC_WEBSOCKET_H
#define FL_CODEC_WEBSOCKET_H

#include "base/buffer.h"
#include "base/limits.h"

enum fl_websocket_opcode {
    FL_WEBSOCKET_CONTINUATION = 0,
    FL_WEBSOCKET_TEXT = 1,
    FL_WEBSOCKET_BINARY = 2,
    FL_WEBSOCKET_CLOSE = 8,
    FL_WEBSOCKET_PING = 9,
    FL_WEBSOCKET_PONG = 10,
};

/* What a Close frame says (section 7.4.1). */
enum {
    FL_WEBSOCKET_NORMAL = 1000,
    FL_WEBSOCKET_PROTOCOL_ERROR = 1002,
    FL_WEBSOCKET_UNSUPPORTED = 1003,
    FL_WEBSOCKET_NO_CODE = 1005, /* never on the wire: the Close frame said nothing */
    FL_WEBSOCKET_NOT_UTF8 = 1007,
    FL_WEBSOCKET_TOO_LARGE = 1009,
};

#define FL_WEBSOCKET_CONTROL_MAX 125
#define FL_WEBSOCKET_HEADER_MAX 10 /* of a frame that is sent */

/* Zero-initialised: nothing has come yet. */
struct fl_websocket {
    uint64_t left; /* octets of the frame's payload that were not taken */
    bool in_frame;
    bool in_message; /* the last data frame was not the final one of its message */
    bool ended;      /* after a Close frame, or a refusal */
    uint8_t opcode;
    uint8_t mask[4];
    uint8_t mask_at; /* which of the four is next */
    uint8_t header_size;
    uint8_t control_size;
    uint8_t header[14];
    uint8_t control[FL_WEBSOCKET_CONTROL_MAX];
};

struct fl_websocket_event {
    /* BINARY: payload, wherever in its message. PING, PONG, CLOSE: such a frame, whole. */
    enum fl_websocket_opcode opcode;
    /* BINARY: still masked, at the front of `in`. Else unmasked; valid until the next call. */
    struct fl_slice bytes;
    uint16_t code;    /* CLOSE: what it says; a refusal: what the Close frame to send says */
    const char *text; /* a refusal: why */
};

/* Takes bytes off the front of `in` until there is an event. Payload stays in `in` until it is
 * taken by fl_websocket_take. FL_EMORE: all of `in` was taken. FL_EPARSE, FL_ELIMIT (a frame over
 * FL_LIMIT_WEBSOCKET_FRAME), FL_EUNSUPPORTED (text): refused, with code and text. FL_ECLOSED: the
 * connection has ended before; what still comes means nothing. */
FL_MUST_USE enum fl_error fl_websocket_next(struct fl_websocket *ws, struct fl_slice *in,
                                            struct fl_websocket_event *event);

/* Unmasks a beginning of the payload at the front of `in`; it is not taken by that. */
void fl_websocket_unmask(const struct fl_websocket *ws, struct fl_slice masked, uint8_t *to);
/* `count` octets of the payload at the front of `in` were dealt with; at most as many as the event
 * had. */
void fl_websocket_take(struct fl_websocket *ws, struct fl_slice *in, size_t count);

/* The header of a whole frame from a server; returns its size. */
size_t fl_websocket_header(enum fl_websocket_opcode opcode, size_t payload_size,
                           uint8_t to[FL_WEBSOCKET_HEADER_MAX]);
/* Appends a Close frame; `reason` is cut to what fits, never inside a UTF-8 sequence. On failure
 * the buffer is as it was. */
FL_MUST_USE enum fl_error fl_websocket_put_close(struct fl_buffer *out, uint16_t code,
                                                 const char *reason);

#endif
