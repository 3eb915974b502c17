/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/websocket.h"

#include "base/assert.h"
#include "base/str.h"

#define FIN 0x80U
#define RESERVED 0x70U
#define OPCODE 0x0FU
#define MASKED 0x80U
#define SIZE 0x7FU
#define SIZE_IN_TWO 126U
#define SIZE_IN_EIGHT 127U

static bool is_control(uint8_t opcode)
{
    return opcode >= FL_WEBSOCKET_CLOSE;
}

static enum fl_error refuse(struct fl_websocket *ws, struct fl_websocket_event *event,
                            uint16_t code, const char *text)
{
    ws->ended = true;
    event->code = code;
    event->text = text;
    if (code == FL_WEBSOCKET_TOO_LARGE)
        return FL_ELIMIT;
    return code == FL_WEBSOCKET_UNSUPPORTED ? FL_EUNSUPPORTED : FL_EPARSE;
}

/* What is wrong with the first two octets of a frame, or NULL (section 5.2). */
static const char *start_problem(const struct fl_websocket *ws)
{
    uint8_t opcode = ws->header[0] & OPCODE;
    bool final = (ws->header[0] & FIN) != 0;

    if ((ws->header[0] & RESERVED) != 0)
        return "reserved bits are set, but no extension was agreed to";
    if ((ws->header[1] & MASKED) == 0)
        return "a client's frame is not masked";
    if (opcode > FL_WEBSOCKET_PONG || (opcode > FL_WEBSOCKET_BINARY && !is_control(opcode)))
        return "a frame of an unknown kind";
    if (is_control(opcode) && !final)
        return "a control frame in fragments";
    if (is_control(opcode))
        return (ws->header[1] & SIZE) > FL_WEBSOCKET_CONTROL_MAX ? "a control frame over 125 octets"
                                                                 : NULL;
    if (opcode == FL_WEBSOCKET_CONTINUATION)
        return ws->in_message ? NULL : "a continuation of no message";
    return ws->in_message ? "a message within a message" : NULL;
}

static size_t header_size(const struct fl_websocket *ws)
{
    unsigned size = ws->header[1] & SIZE;

    if (ws->header_size < 2)
        return 2;
    return 2 + (size == SIZE_IN_EIGHT ? 8U : size == SIZE_IN_TWO ? 2U : 0U) + sizeof ws->mask;
}

/* The payload's size, and what is wrong with how it is written, or NULL. */
static const char *read_size(const struct fl_websocket *ws, uint64_t *size)
{
    size_t octets = ws->header_size - 2U - sizeof ws->mask;
    uint64_t value = 0;

    *size = ws->header[1] & SIZE;
    if (octets == 0)
        return NULL;
    for (size_t i = 0; i < octets; i++)
        value = value << 8 | ws->header[2 + i];
    *size = value;
    if (value < SIZE_IN_TWO || (octets == 8 && value <= UINT16_MAX))
        return "a frame's size is not written in the shortest form";
    return value >> 63 ? "a frame's size has its first bit set" : NULL;
}

static enum fl_error read_header(struct fl_websocket *ws, struct fl_slice *in,
                                 struct fl_websocket_event *event)
{
    const char *problem = NULL;

    while (ws->header_size < header_size(ws)) {
        if (in->size == 0)
            return FL_EMORE;
        ws->header[ws->header_size++] = in->data[0];
        *in = fl_slice_from(*in, 1);
        if (ws->header_size != 2)
            continue;
        problem = start_problem(ws);
        if (problem)
            return refuse(ws, event, FL_WEBSOCKET_PROTOCOL_ERROR, problem);
        if ((ws->header[0] & OPCODE) == FL_WEBSOCKET_TEXT)
            return refuse(ws, event, FL_WEBSOCKET_UNSUPPORTED,
                          "a text frame: MQTT is sent in binary frames");
    }
    problem = read_size(ws, &ws->left);
    if (problem)
        return refuse(ws, event, FL_WEBSOCKET_PROTOCOL_ERROR, problem);
    if (ws->left > FL_LIMIT_WEBSOCKET_FRAME)
        return refuse(ws, event, FL_WEBSOCKET_TOO_LARGE, "a frame over 1 MiB");
    memcpy(ws->mask, ws->header + ws->header_size - sizeof ws->mask, sizeof ws->mask);
    ws->mask_at = 0;
    ws->opcode = ws->header[0] & OPCODE;
    if (!is_control(ws->opcode))
        ws->in_message = (ws->header[0] & FIN) == 0;
    ws->control_size = 0;
    ws->header_size = 0;
    ws->in_frame = true;
    return FL_OK;
}

/* Codes that may be on the wire (section 7.4), registered ones and those of libraries and
 * applications. */
static bool is_close_code(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static enum fl_error take_close(struct fl_websocket *ws, struct fl_websocket_event *event)
{
    struct fl_slice reason = event->bytes;

    event->code = FL_WEBSOCKET_NO_CODE;
    ws->ended = true;
    if (reason.size == 0)
        return FL_OK;
    if (reason.size == 1)
        return refuse(ws, event, FL_WEBSOCKET_PROTOCOL_ERROR, "a Close frame with half a code");
    event->code = (uint16_t)(reason.data[0] << 8 | reason.data[1]);
    if (!is_close_code(event->code))
        return refuse(ws, event, FL_WEBSOCKET_PROTOCOL_ERROR,
                      "a Close frame with a code that is none");
    event->bytes = fl_slice_from(reason, 2);
    if (!fl_slice_is_utf8(event->bytes))
        return refuse(ws, event, FL_WEBSOCKET_NOT_UTF8, "a Close frame whose reason is not UTF-8");
    return FL_OK;
}

static enum fl_error take_control(struct fl_websocket *ws, struct fl_slice *in,
                                  struct fl_websocket_event *event)
{
    size_t size = in->size < ws->left ? in->size : (size_t)ws->left;

    fl_websocket_unmask(ws, fl_slice(in->data, size), ws->control + ws->control_size);
    ws->control_size = (uint8_t)(ws->control_size + size);
    fl_websocket_take(ws, in, size);
    if (ws->left > 0)
        return FL_EMORE;
    ws->in_frame = false;
    event->opcode = (enum fl_websocket_opcode)ws->opcode;
    event->bytes = fl_slice(ws->control, ws->control_size);
    return ws->opcode == FL_WEBSOCKET_CLOSE ? take_close(ws, event) : FL_OK;
}

enum fl_error fl_websocket_next(struct fl_websocket *ws, struct fl_slice *in,
                                struct fl_websocket_event *event)
{
    *event = (struct fl_websocket_event){0};
    while (!ws->ended) {
        enum fl_error error = ws->in_frame ? FL_OK : read_header(ws, in, event);

        if (error)
            return error;
        if (is_control(ws->opcode))
            return take_control(ws, in, event);
        ws->in_frame = ws->left > 0;
        if (!ws->in_frame)
            continue;
        if (in->size == 0)
            return FL_EMORE;
        event->opcode = FL_WEBSOCKET_BINARY;
        event->bytes = fl_slice(in->data, in->size < ws->left ? in->size : (size_t)ws->left);
        return FL_OK;
    }
    return FL_ECLOSED;
}

void fl_websocket_unmask(const struct fl_websocket *ws, struct fl_slice masked, uint8_t *to)
{
    uint8_t mask[8];
    uint64_t wide = 0;
    uint64_t octets = 0;
    size_t i = 0;

    for (size_t j = 0; j < sizeof mask; j++)
        mask[j] = ws->mask[(ws->mask_at + j) % sizeof ws->mask];
    memcpy(&wide, mask, sizeof wide);
    for (; i + sizeof octets <= masked.size; i += sizeof octets) {
        memcpy(&octets, masked.data + i, sizeof octets);
        octets ^= wide;
        memcpy(to + i, &octets, sizeof octets);
    }
    for (; i < masked.size; i++)
        to[i] = masked.data[i] ^ mask[i % sizeof mask];
}

void fl_websocket_take(struct fl_websocket *ws, struct fl_slice *in, size_t count)
{
    fl_assert(ws->in_frame && count <= ws->left && count <= in->size);
    ws->left -= count;
    ws->mask_at = (uint8_t)((ws->mask_at + count) % sizeof ws->mask);
    *in = fl_slice_from(*in, count);
}

size_t fl_websocket_header(enum fl_websocket_opcode opcode, size_t payload_size,
                           uint8_t to[FL_WEBSOCKET_HEADER_MAX])
{
    size_t octets = payload_size < SIZE_IN_TWO ? 0 : payload_size <= UINT16_MAX ? 2 : 8;

    to[0] = (uint8_t)(FIN | (unsigned)opcode);
    to[1] = octets == 8 ? SIZE_IN_EIGHT : octets == 2 ? SIZE_IN_TWO : (uint8_t)payload_size;
    for (size_t i = 0; i < octets; i++)
        to[2 + i] = (uint8_t)((uint64_t)payload_size >> 8 * (octets - 1 - i));
    return 2 + octets;
}

enum fl_error fl_websocket_put_close(struct fl_buffer *out, uint16_t code, const char *reason)
{
    uint8_t frame[2 + FL_WEBSOCKET_CONTROL_MAX];
    char text[FL_WEBSOCKET_CONTROL_MAX - 1];
    size_t size = 0;

    (void)fl_str_copy(text, sizeof text, reason);
    size = fl_slice_is_utf8(fl_slice_str(text)) ? strlen(text) : 0;
    (void)fl_websocket_header(FL_WEBSOCKET_CLOSE, 2 + size, frame);
    frame[2] = (uint8_t)(code >> 8);
    frame[3] = (uint8_t)code;
    memcpy(frame + 4, text, size);
    return fl_buffer_append(out, frame, 4 + size);
}
