/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/keep.h"

#include "codec/fields.h"

#define HEADER_SIZE 5 /* u32 size, u8 type */

/* --- writing: once to count, once into room that is there --- */

struct writer {
    uint8_t *to; /* NULL: count only */
    size_t size;
    bool bad; /* a field over its maximum */
};

static inline void put_uint(struct writer *w, uint64_t value, size_t size)
{
    if (w->to)
        fl_put_le(w->to + w->size, value, size);
    w->size += size;
}

static inline void put_bytes(struct writer *w, struct fl_slice s, size_t max)
{
    put_uint(w, s.size, 4);
    if (s.size > max)
        w->bad = true;
    else if (w->to && s.size)
        memcpy(w->to + w->size, s.data, s.size);
    w->size += s.size;
}

#define PUT_u8(name, max) put_uint(w, m->name, 1);
#define PUT_u16(name, max) put_uint(w, m->name, 2);
#define PUT_u32(name, max) put_uint(w, m->name, 4);
#define PUT_u64(name, max) put_uint(w, m->name, 8);
#define PUT_i64(name, max) put_uint(w, (uint64_t)m->name, 8);
#define PUT_bytes(name, max) put_bytes(w, m->name, (max));
#define PUT(kind, name, max) PUT_##kind(name, max)
#define WRITER(name, value, fields)                                                                \
    static void put_##name(struct writer *w, const struct fl_keep_##name *m)                       \
    {                                                                                              \
        fields(PUT)                                                                                \
    }
FL_KEEPS(WRITER)

static void put_body(struct writer *w, const struct fl_keep *record)
{
    switch (record->type) {
#define WRITE_CASE(name, value, fields)                                                            \
    case fl_keep_type_##name:                                                                      \
        put_##name(w, &record->as.name);                                                           \
        break;
        FL_KEEPS(WRITE_CASE)
    }
}

enum fl_error fl_keep_encode(const struct fl_keep *record, struct fl_buffer *out)
{
    struct writer w = {0};
    bool failed = out->failed;

    put_body(&w, record);
    if (w.bad)
        return FL_EINVAL;
    w.to = fl_buffer_reserve(out, HEADER_SIZE + w.size);
    if (!w.to) {
        out->failed = failed;
        return FL_ELIMIT;
    }
    {
        size_t size = w.size + 1;

        w.size = 0;
        put_uint(&w, size, 4);
        put_uint(&w, (uint64_t)record->type, 1);
    }
    put_body(&w, record);
    fl_buffer_commit(out, w.size);
    return FL_OK;
}

/* --- reading --- */

#define TAKE_u8(name, max) m->name = (uint8_t)fl_fields_uint(r, #name, 1);
#define TAKE_u16(name, max) m->name = (uint16_t)fl_fields_uint(r, #name, 2);
#define TAKE_u32(name, max) m->name = (uint32_t)fl_fields_uint(r, #name, 4);
#define TAKE_u64(name, max) m->name = fl_fields_uint(r, #name, 8);
#define TAKE_i64(name, max) m->name = (int64_t)fl_fields_uint(r, #name, 8);
#define TAKE_bytes(name, max) m->name = fl_fields_bytes(r, #name, (max));
#define TAKE(kind, name, max) TAKE_##kind(name, max)
#define READER(name, value, fields)                                                                \
    static void take_##name(struct fl_fields *r, struct fl_keep_##name *m)                         \
    {                                                                                              \
        fields(TAKE)                                                                               \
    }
FL_KEEPS(READER)

const char *fl_keep_name(enum fl_keep_type type)
{
    switch (type) {
#define NAME_CASE(name, value, fields)                                                             \
    case fl_keep_type_##name:                                                                      \
        return #name;
        FL_KEEPS(NAME_CASE)
    }
    return NULL;
}

static void take_body(struct fl_fields *r, struct fl_keep *record)
{
    switch (record->type) {
#define READ_CASE(name, value, fields)                                                             \
    case fl_keep_type_##name:                                                                      \
        take_##name(r, &record->as.name);                                                          \
        break;
        FL_KEEPS(READ_CASE)
    }
}

enum fl_error fl_keep_decode(struct fl_slice *in, struct fl_keep *record, struct fl_context *ctx)
{
    struct fl_fields header = {.in = *in};
    struct fl_fields body = {0};
    size_t size = 0;
    unsigned type = 0;

    if (in->size == 0)
        return FL_ENOTFOUND;
    size = (size_t)fl_fields_uint(&header, "size", 4);
    if (header.bad || size == 0 || size > header.in.size)
        return fl_fail(ctx, FL_EPARSE, "keep: a record of %zu bytes where %zu are left", size,
                       header.in.size);
    *in = fl_slice_from(header.in, size);
    header.in.size = size;
    type = (unsigned)fl_fields_uint(&header, "type", 1);
    *record = (struct fl_keep){.type = (enum fl_keep_type)type};
    if (!fl_keep_name(record->type))
        return fl_fail(ctx, FL_EPARSE, "keep: unknown record type %u", type);
    body.in = header.in;
    take_body(&body, record);
    if (body.bad)
        return fl_fail(ctx, FL_EPARSE, "keep: %s: bad field '%s'", fl_keep_name(record->type),
                       body.bad);
    if (body.in.size)
        return fl_fail(ctx, FL_EPARSE, "keep: %s: %zu bytes too many", fl_keep_name(record->type),
                       body.in.size);
    return FL_OK;
}
