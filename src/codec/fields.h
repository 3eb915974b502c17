/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the fields of a frame one behind the other, as codec/msg and codec/keep write them: words
 * little endian, octets behind a u32 that counts them. The first field that does not fit is noted,
 * and all behind it read as 0 or as nothing.
 */
#ifndef FL_CODEC_FIELDS_H
#define FL_CODEC_FIELDS_H

#include "base/endian.h"
#include "base/slice.h"

struct fl_fields {
    struct fl_slice in; /* what is left */
    const char *bad;    /* the first field that does not fit, or NULL */
};

static inline uint64_t fl_fields_uint(struct fl_fields *f, const char *name, size_t size)
{
    uint64_t value = 0;

    if (f->in.size < size) {
        if (!f->bad)
            f->bad = name;
        return 0;
    }
    value = fl_get_le(f->in.data, size);
    f->in = fl_slice_from(f->in, size);
    return value;
}

/* Points into what is read. */
static inline struct fl_slice fl_fields_bytes(struct fl_fields *f, const char *name, size_t max)
{
    size_t size = (size_t)fl_fields_uint(f, name, 4);
    struct fl_slice bytes = {0};

    if (f->bad)
        return bytes;
    if (size > max || size > f->in.size) {
        f->bad = name;
        return bytes;
    }
    bytes = fl_slice(f->in.data, size);
    f->in = fl_slice_from(f->in, size);
    return bytes;
}

#endif
