/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/msg.h"

#include "codec/fields.h"

#include <math.h>

#define HEADER_SIZE 6 /* u32 size, u16 type */

/* --- writing --- */

struct writer {
    struct fl_buffer *out;
    const char *bad; /* the first field that may not be sent */
};

static void put_uint(struct fl_buffer *out, uint64_t value, size_t size)
{
    uint8_t bytes[8];

    fl_put_le(bytes, value, size);
    (void)fl_buffer_append(out, bytes, size);
}

/* A NUL is well-formed UTF-8, but whoever keeps a text as a C string would see less of it than
 * whoever compares slices; no text of ours has one. */
static bool is_text(struct fl_slice s)
{
    return s.size == 0 || (!memchr(s.data, 0, s.size) && fl_slice_is_utf8(s));
}

static void put_slice(struct writer *w, const char *name, struct fl_slice s, size_t max, bool text)
{
    if (s.size > max || (text && !is_text(s))) {
        if (!w->bad)
            w->bad = name;
        return;
    }
    put_uint(w->out, s.size, 4);
    (void)fl_buffer_append_slice(w->out, s);
}

#define PUT_u8(name, max) put_uint(w->out, m->name, 1);
#define PUT_u32(name, max) put_uint(w->out, m->name, 4);
#define PUT_u64(name, max) put_uint(w->out, m->name, 8);
#define PUT_i64(name, max) put_uint(w->out, (uint64_t)m->name, 8);
#define PUT_str(name, max) put_slice(w, #name, m->name, (max), true);
#define PUT_bytes(name, max) put_slice(w, #name, m->name, (max), false);
#define PUT(kind, name, max) PUT_##kind(name, max)
#define WRITER(name, value, fields, from)                                                          \
    static void put_##name(struct writer *w, const struct fl_msg_##name *m)                        \
    {                                                                                              \
        fields(PUT)                                                                                \
    }
FL_MSGS(WRITER)

/* Takes back what was appended after `size` bytes; a buffer that had failed before stays so. */
static void truncate_to(struct fl_buffer *out, size_t size, bool failed)
{
    out->size = size;
    out->failed = failed;
}

enum fl_error fl_msg_encode(const struct fl_msg *msg, struct fl_buffer *out, struct fl_context *ctx)
{
    size_t before = out->size;
    bool failed = out->failed;
    struct writer w = {.out = out};
    size_t size = 0;

    put_uint(out, 0, 4);
    put_uint(out, (uint64_t)msg->type, 2);
    switch (msg->type) {
#define WRITE_CASE(name, value, fields, from)                                                      \
    case fl_msg_type_##name:                                                                       \
        put_##name(&w, &msg->as.name);                                                             \
        break;
        FL_MSGS(WRITE_CASE)
    }
    if (w.bad) {
        truncate_to(out, before, failed);
        return fl_fail(ctx, FL_EINVAL, "msg: %s: field '%s' is too long or not UTF-8 text",
                       fl_msg_name(msg->type), w.bad);
    }
    size = out->size - before;
    if (out->failed || size > FL_LIMIT_MSG) {
        truncate_to(out, before, failed);
        return fl_fail(ctx, FL_ELIMIT, "msg: %s: no room", fl_msg_name(msg->type));
    }
    fl_put_le32(out->data + out->start + before, (uint32_t)(size - 4));
    return FL_OK;
}

/* --- reading --- */

static struct fl_slice take_text(struct fl_fields *r, const char *name, size_t max)
{
    struct fl_slice text = fl_fields_bytes(r, name, max);

    if (r->bad || is_text(text))
        return text;
    r->bad = name;
    return fl_slice(NULL, 0);
}

#define TAKE_u8(name, max) m->name = (uint8_t)fl_fields_uint(r, #name, 1);
#define TAKE_u32(name, max) m->name = (uint32_t)fl_fields_uint(r, #name, 4);
#define TAKE_u64(name, max) m->name = fl_fields_uint(r, #name, 8);
#define TAKE_i64(name, max) m->name = (int64_t)fl_fields_uint(r, #name, 8);
#define TAKE_str(name, max) m->name = take_text(r, #name, (max));
#define TAKE_bytes(name, max) m->name = fl_fields_bytes(r, #name, (max));
#define TAKE(kind, name, max) TAKE_##kind(name, max)
#define READER(name, value, fields, from)                                                          \
    static void take_##name(struct fl_fields *r, struct fl_msg_##name *m)                          \
    {                                                                                              \
        fields(TAKE)                                                                               \
    }
FL_MSGS(READER)

/* NOLINTBEGIN(bugprone-branch-clone): generated from the table; neighbours may agree. */
static bool may_send(enum fl_msg_type type, enum fl_msg_from from)
{
    switch (type) {
#define FROM_CASE(name, value, fields, allowed)                                                    \
    case fl_msg_type_##name:                                                                       \
        return ((unsigned)(allowed) & (unsigned)from) != 0;
        FL_MSGS(FROM_CASE)
    }
    return false;
}
/* NOLINTEND(bugprone-branch-clone) */

static enum fl_error decode_body(struct fl_fields *r, struct fl_msg *msg, struct fl_context *ctx)
{
    switch (msg->type) {
#define READ_CASE(name, value, fields, from)                                                       \
    case fl_msg_type_##name:                                                                       \
        take_##name(r, &msg->as.name);                                                             \
        break;
        FL_MSGS(READ_CASE)
    }
    if (r->bad)
        return fl_fail(ctx, FL_EPARSE, "msg: %s: bad field '%s'", fl_msg_name(msg->type), r->bad);
    if (r->in.size)
        return fl_fail(ctx, FL_EPARSE, "msg: %s: %zu bytes too many", fl_msg_name(msg->type),
                       r->in.size);
    return FL_OK;
}

enum fl_error fl_msg_decode(struct fl_slice *in, enum fl_msg_from from, struct fl_msg *msg,
                            struct fl_context *ctx)
{
    struct fl_fields header = {.in = *in};
    struct fl_fields body = {0};
    size_t size = 0;
    unsigned type = 0;
    enum fl_error error = FL_OK;

    if (in->size < 4)
        return FL_EMORE;
    size = (size_t)fl_fields_uint(&header, "size", 4);
    if (size < HEADER_SIZE - 4 || size > FL_LIMIT_MSG - 4)
        return fl_fail(ctx, FL_EPARSE, "msg: frame of %zu bytes", size);
    if (header.in.size < size)
        return FL_EMORE;
    type = (unsigned)fl_fields_uint(&header, "type", 2);
    *msg = (struct fl_msg){.type = (enum fl_msg_type)type};
    if (strcmp(fl_msg_name(msg->type), "unknown") == 0)
        return fl_fail(ctx, FL_EPARSE, "msg: unknown type %u", type);
    if (!may_send(msg->type, from))
        return fl_fail(ctx, FL_EDENIED, "msg: '%s' is not for this sender", fl_msg_name(msg->type));
    body.in = fl_slice(header.in.data, size - 2);
    error = decode_body(&body, msg, ctx);
    if (error == FL_OK)
        *in = fl_slice_from(*in, size + 4);
    return error;
}

const char *fl_msg_name(enum fl_msg_type type)
{
    switch (type) {
#define NAME_CASE(name, value, fields, from)                                                       \
    case fl_msg_type_##name:                                                                       \
        return #name;
        FL_MSGS(NAME_CASE)
    }
    return "unknown";
}

/* --- readings --- */

enum fl_error fl_msg_put_reading(struct fl_buffer *out, const struct fl_reading *reading)
{
    size_t before = out->size;
    bool failed = out->failed;
    struct writer w = {.out = out};
    uint64_t bits = 0;

    if (!fl_name_valid(reading->device) || !fl_name_valid(reading->stream) ||
        !isfinite(reading->value))
        return FL_EINVAL;

    memcpy(&bits, &reading->value, sizeof bits);
    put_slice(&w, "device", reading->device, FL_NAME_MAX, true);
    put_slice(&w, "stream", reading->stream, FL_NAME_MAX, true);
    put_uint(out, (uint64_t)reading->t, 8);
    put_uint(out, bits, 8);
    put_uint(out, reading->message, 8);
    put_uint(out, reading->redelivery ? 1 : 0, 1);
    if (!out->failed)
        return FL_OK;
    truncate_to(out, before, failed);
    return FL_ELIMIT;
}

enum fl_error fl_msg_next_reading(struct fl_slice *records, struct fl_reading *reading)
{
    struct fl_fields r = {.in = *records};
    uint64_t bits = 0;
    uint64_t redelivery = 0;

    if (records->size == 0)
        return FL_ENOTFOUND;
    reading->device = take_text(&r, "device", FL_NAME_MAX);
    reading->stream = take_text(&r, "stream", FL_NAME_MAX);
    reading->t = (int64_t)fl_fields_uint(&r, "t", 8);
    bits = fl_fields_uint(&r, "value", 8);
    reading->message = fl_fields_uint(&r, "message", 8);
    redelivery = fl_fields_uint(&r, "redelivery", 1);
    memcpy(&reading->value, &bits, sizeof bits);
    if (r.bad || redelivery > 1 || !isfinite(reading->value) || !fl_name_valid(reading->device) ||
        !fl_name_valid(reading->stream))
        return FL_EPARSE;
    reading->redelivery = redelivery == 1;
    *records = r.in;
    return FL_OK;
}
