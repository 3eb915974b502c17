/* SPDX-License-Identifier: Apache-2.0
 *
 * A slice: bytes that someone else owns. Nothing here allocates or copies. A slice of size 0 may
 * have a NULL pointer. Slices are not terminated; text slices are UTF-8 where the producer says so.
 */
#ifndef FL_BASE_SLICE_H
#define FL_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fl_slice {
    const uint8_t *data;
    size_t size;
};

/* For printf("%.*s", FL_SLICE_ARGS(s)). */
#define FL_SLICE_ARGS(s) (int)(s).size, (s).size ? (const char *)(s).data : ""

static inline struct fl_slice fl_slice(const void *data, size_t size)
{
    return (struct fl_slice){.data = data, .size = size};
}

static inline struct fl_slice fl_slice_str(const char *text)
{
    return text ? fl_slice(text, strlen(text)) : fl_slice(NULL, 0);
}

static inline bool fl_slice_equal(struct fl_slice a, struct fl_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool fl_slice_is(struct fl_slice a, const char *text)
{
    return fl_slice_equal(a, fl_slice_str(text));
}

/* Byte order, then length: <0, 0, >0. */
int fl_slice_compare(struct fl_slice a, struct fl_slice b);

/* The rest after the first `count` bytes; `count` must not exceed the size. */
struct fl_slice fl_slice_from(struct fl_slice s, size_t count);

/* Splits at the first `byte`: `head` is before it, `*s` becomes what follows. False when there is
 * no such byte: then `head` is everything and `*s` is empty. */
bool fl_slice_cut(struct fl_slice *s, uint8_t byte, struct fl_slice *head);

/* Equality in constant time for equal sizes: for secrets and digests. */
bool fl_slice_equal_secret(struct fl_slice a, struct fl_slice b);

/* True if every byte sequence is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool fl_slice_is_utf8(struct fl_slice s);

#endif
