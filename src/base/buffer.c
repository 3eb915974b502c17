/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

void fl_buffer_init(struct fl_buffer *b, size_t max)
{
    *b = FL_BUFFER(max);
}

void fl_buffer_free(struct fl_buffer *b)
{
    if (!b)
        return;
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    free(b->data);
    *b = FL_BUFFER(b->max);
}

void fl_buffer_clear(struct fl_buffer *b)
{
    b->start = 0;
    b->size = 0;
    b->failed = false;
}

static bool grow(struct fl_buffer *b, size_t need)
{
    size_t capacity = b->capacity ? b->capacity : 256;
    uint8_t *data = NULL;

    while (capacity < need)
        capacity *= 2;
    data = malloc(capacity);
    if (!data)
        return false;
    if (b->data && b->size)
        memcpy(data, b->data + b->start, b->size);
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    free(b->data);
    b->data = data;
    b->capacity = capacity;
    b->start = 0;
    return true;
}

uint8_t *fl_buffer_reserve(struct fl_buffer *b, size_t count)
{
    if (b->failed || count > b->max || b->size > b->max - count) {
        b->failed = true;
        return NULL;
    }
    if (b->start + b->size + count > b->capacity) {
        /* Moving is cheaper than growing while at least half of the allocation is consumed space.
         */
        if (b->data && b->size + count <= b->capacity && b->start >= b->capacity / 2) {
            memmove(b->data, b->data + b->start, b->size);
            b->start = 0;
        } else if (!grow(b, b->size + count)) {
            b->failed = true;
            return NULL;
        }
    }
    if (!b->data && !grow(b, 1)) {
        b->failed = true;
        return NULL;
    }
    return b->data + b->start + b->size;
}

void fl_buffer_commit(struct fl_buffer *b, size_t count)
{
    fl_assert(b->start + b->size + count <= b->capacity);
    b->size += count;
}

enum fl_error fl_buffer_append(struct fl_buffer *b, const void *data, size_t size)
{
    uint8_t *room = fl_buffer_reserve(b, size);

    if (!room)
        return b->size + size > b->max ? FL_ELIMIT : FL_ENOMEM;
    if (size)
        memcpy(room, data, size);
    fl_buffer_commit(b, size);
    return FL_OK;
}

enum fl_error fl_buffer_append_slice(struct fl_buffer *b, struct fl_slice s)
{
    return fl_buffer_append(b, s.data, s.size);
}

enum fl_error fl_buffer_append_str(struct fl_buffer *b, const char *text)
{
    return fl_buffer_append(b, text, strlen(text));
}

enum fl_error fl_buffer_append_byte(struct fl_buffer *b, uint8_t byte)
{
    return fl_buffer_append(b, &byte, 1);
}

enum fl_error fl_buffer_printf(struct fl_buffer *b, const char *format, ...)
{
    va_list args;
    uint8_t *room = NULL;
    int size = 0;

    va_start(args, format);
    size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0) {
        b->failed = true;
        return FL_EINVAL;
    }
    room = fl_buffer_reserve(b, (size_t)size + 1);
    if (!room)
        return FL_ELIMIT;
    va_start(args, format);
    (void)vsnprintf((char *)room, (size_t)size + 1, format, args);
    va_end(args);
    fl_buffer_commit(b, (size_t)size);
    return FL_OK;
}

void fl_buffer_consume(struct fl_buffer *b, size_t count)
{
    fl_assert(count <= b->size);
    b->start += count;
    b->size -= count;
    if (b->size == 0)
        b->start = 0;
}

const char *fl_buffer_str(struct fl_buffer *b)
{
    uint8_t *room = fl_buffer_reserve(b, 1);

    if (!room)
        return NULL;
    *room = 0;
    return (const char *)b->data + b->start;
}
