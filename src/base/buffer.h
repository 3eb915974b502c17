/* SPDX-License-Identifier: Apache-2.0
 *
 * A buffer: bytes that it owns, with a maximum that it never exceeds. Bytes are appended at the end
 * and consumed from the front. A failed append sets `failed` and leaves the contents as they were,
 * so a caller may append many times and check once. Zero-initialised except for `max` is ready for
 * use.
 */
#ifndef FL_BASE_BUFFER_H
#define FL_BASE_BUFFER_H

#include "base/error.h"
#include "base/slice.h"

struct fl_buffer {
    uint8_t *data; /* allocation; the live bytes are data[start .. start+size) */
    size_t start;
    size_t size;
    size_t capacity;
    size_t max; /* FL_ELIMIT beyond this */
    bool failed;
};

#define FL_BUFFER(max_bytes)                                                                       \
    (struct fl_buffer)                                                                             \
    {                                                                                              \
        .max = (max_bytes)                                                                         \
    }

void fl_buffer_init(struct fl_buffer *b, size_t max);
void fl_buffer_free(struct fl_buffer *b);  /* also wipes; `max` stays */
void fl_buffer_clear(struct fl_buffer *b); /* keeps the allocation, resets `failed` */

static inline struct fl_slice fl_buffer_slice(const struct fl_buffer *b)
{
    return b->size ? fl_slice(b->data + b->start, b->size) : fl_slice(NULL, 0);
}

/* Room for `count` more bytes at the end; NULL (and `failed`) when over the maximum or out of
 * memory. The bytes count only after fl_buffer_commit. */
uint8_t *fl_buffer_reserve(struct fl_buffer *b, size_t count);
void fl_buffer_commit(struct fl_buffer *b, size_t count);

enum fl_error fl_buffer_append(struct fl_buffer *b, const void *data, size_t size);
enum fl_error fl_buffer_append_slice(struct fl_buffer *b, struct fl_slice s);
enum fl_error fl_buffer_append_str(struct fl_buffer *b, const char *text);
enum fl_error fl_buffer_append_byte(struct fl_buffer *b, uint8_t byte);
enum fl_error fl_buffer_printf(struct fl_buffer *b, const char *format, ...) FL_PRINTF(2, 3);

/* Drops `count` bytes from the front; `count` must not exceed the size. */
void fl_buffer_consume(struct fl_buffer *b, size_t count);

/* The contents as a terminated string (the terminator does not count in `size`); NULL on failure.
 */
const char *fl_buffer_str(struct fl_buffer *b);

#endif
