/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as frames of a client: taken whole and taken in small pieces by an owner who takes
 * little at a time, they must mean the same.
 */
#include "base/assert.h"
#include "codec/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    struct fl_buffer data;
    struct fl_buffer controls;
    enum fl_error error;
    uint16_t code;
};

static void hear_some(struct fl_websocket *ws, struct fl_slice *in, size_t at_once, struct heard *h)
{
    struct fl_websocket_event event;

    while ((h->error = fl_websocket_next(ws, in, &event)) == FL_OK) {
        size_t count = event.bytes.size < at_once ? event.bytes.size : at_once;
        uint8_t *room = NULL;

        fl_assert(event.opcode == FL_WEBSOCKET_BINARY ||
                  event.bytes.size <= FL_WEBSOCKET_CONTROL_MAX);
        if (event.opcode != FL_WEBSOCKET_BINARY) {
            fl_assert(fl_buffer_append_byte(&h->controls, (uint8_t)event.opcode) == FL_OK);
            fl_assert(fl_buffer_append_slice(&h->controls, event.bytes) == FL_OK);
            h->code = event.code;
            continue;
        }
        fl_assert(count > 0);
        room = fl_buffer_reserve(&h->data, count);
        fl_assert(room);
        fl_websocket_unmask(ws, fl_slice(event.bytes.data, count), room);
        fl_buffer_commit(&h->data, count);
        fl_websocket_take(ws, in, count);
    }
    if (h->error == FL_EPARSE || h->error == FL_ELIMIT || h->error == FL_EUNSUPPORTED) {
        fl_assert(event.text && event.code >= FL_WEBSOCKET_PROTOCOL_ERROR);
        h->code = event.code;
    }
}

static struct heard hear(struct fl_slice all, size_t piece, size_t at_once)
{
    struct fl_websocket ws = {0};
    struct heard h = {.data = FL_BUFFER(all.size + 1),
                      .controls = FL_BUFFER(2 * all.size + 1),
                      .error = FL_EMORE};

    while (all.size > 0 && h.error == FL_EMORE) {
        struct fl_slice in = fl_slice(all.data, all.size < piece ? all.size : piece);

        all = fl_slice_from(all, in.size);
        hear_some(&ws, &in, at_once, &h);
        fl_assert(h.error != FL_EMORE || in.size == 0);
    }
    return h;
}

static void forget(struct heard *h)
{
    fl_buffer_free(&h->data);
    fl_buffer_free(&h->controls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice all = fl_slice(data, size);
    struct heard whole = hear(all, size + 1, size + 1);

    for (size_t piece = 1; piece <= 3; piece++) {
        struct heard pieces = hear(all, piece, 4 - piece);

        fl_assert(pieces.error == whole.error && pieces.code == whole.code);
        fl_assert(fl_slice_equal(fl_buffer_slice(&pieces.data), fl_buffer_slice(&whole.data)));
        fl_assert(
            fl_slice_equal(fl_buffer_slice(&pieces.controls), fl_buffer_slice(&whole.controls)));
        forget(&pieces);
    }
    forget(&whole);
    return 0;
}
