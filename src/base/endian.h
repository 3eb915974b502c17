/* SPDX-License-Identifier: Apache-2.0
 *
 * Words as octets of a file or a message: le, the least significant octet first; be, the most
 * significant first. Pointers need no alignment. The loops are what compilers turn into one move.
 */
#ifndef FL_BASE_ENDIAN_H
#define FL_BASE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

/* The lower `size` octets of it, 8 at most. */
static inline void fl_put_le(uint8_t *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t fl_get_le(const uint8_t *from, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

static inline void fl_put_le32(uint8_t to[4], uint32_t value)
{
    fl_put_le(to, value, 4);
}

static inline uint32_t fl_get_le32(const uint8_t from[4])
{
    return (uint32_t)fl_get_le(from, 4);
}

static inline void fl_put_le64(uint8_t to[8], uint64_t value)
{
    fl_put_le(to, value, 8);
}

static inline uint64_t fl_get_le64(const uint8_t from[8])
{
    return fl_get_le(from, 8);
}

static inline void fl_put_be64(uint8_t to[8], uint64_t value)
{
    for (size_t i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (56 - 8 * i));
}

static inline uint64_t fl_get_be64(const uint8_t from[8])
{
    uint64_t value = 0;

    for (size_t i = 0; i < 8; i++)
        value = value << 8 | from[i];
    return value;
}

#endif
