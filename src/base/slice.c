/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include "base/assert.h"

int fl_slice_compare(struct fl_slice a, struct fl_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;

    if (order != 0)
        return order;
    return a.size == b.size ? 0 : (a.size < b.size ? -1 : 1);
}

struct fl_slice fl_slice_from(struct fl_slice s, size_t count)
{
    fl_assert(count <= s.size);
    return s.data ? fl_slice(s.data + count, s.size - count) : s;
}

bool fl_slice_cut(struct fl_slice *s, uint8_t byte, struct fl_slice *head)
{
    const uint8_t *at = s->size ? memchr(s->data, byte, s->size) : NULL;

    *head = *s;
    if (!at) {
        *s = fl_slice_from(*s, s->size);
        return false;
    }
    head->size = (size_t)(at - s->data);
    *s = fl_slice_from(*s, head->size + 1);
    return true;
}

bool fl_slice_equal_secret(struct fl_slice a, struct fl_slice b)
{
    volatile uint8_t difference = 0;

    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        difference = (uint8_t)(difference | (a.data[i] ^ b.data[i]));
    return difference == 0;
}

/* Length of the well-formed sequence at `p`, 0 if there is none. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    uint8_t low = 0x80;
    uint8_t high = 0xBF;
    size_t size = 0;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        size = 2;
    else if (p[0] >= 0xE0 && p[0] <= 0xEF)
        size = 3;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        size = 4;
    if (size == 0 || size > left)
        return 0;
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return size;
}

bool fl_slice_is_utf8(struct fl_slice s)
{
    for (size_t at = 0; at < s.size;) {
        size_t size = utf8_sequence(s.data + at, s.size - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}
