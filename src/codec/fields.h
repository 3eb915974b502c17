/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the fields of a frame one behind the other, as codec/msg and codec/keep write them: words
 * little endian, octets behind a u32 that counts them (trust/tpm_wire.h has a TPM's, big endian).
 * The first field that does not fit is noted, and all behind it read as 0 or as nothing.
 */
#ifndef FL_CODEC_FIELDS_H
#define FL_CODEC_FIELDS_H

#include "base/endian.h"
#include "base/slice.h"

struct fl_fields {
    struct fl_slice in; /* what is left */
    const char *bad;    /* the first field that does not fit, or NULL */
};

/* So many octets; points into what is read. */
static inline struct fl_slice fl_fields_take(struct fl_fields *f, const char *name, size_t size)
{
    struct fl_slice bytes = {0};

    if (f->bad || f->in.size < size) {
        if (!f->bad)
            f->bad = name;
        return bytes;
    }
    bytes = fl_slice(f->in.data, size);
    f->in = fl_slice_from(f->in, size);
    return bytes;
}

static inline uint64_t fl_fields_uint(struct fl_fields *f, const char *name, size_t size)
{
    struct fl_slice bytes = fl_fields_take(f, name, size);

    return bytes.size ? fl_get_le(bytes.data, bytes.size) : 0;
}

/* Points into what is read. */
static inline struct fl_slice fl_fields_bytes(struct fl_fields *f, const char *name, size_t max)
{
    size_t size = (size_t)fl_fields_uint(f, name, 4);

    if (size > max && !f->bad)
        f->bad = name;
    return fl_fields_take(f, name, size);
}

#endif
