/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

struct range {
    uint32_t first;
    uint32_t last;
};

/* Controls, and format characters that hide or reorder what is around them. */
static const struct range harmful[] = {
    {0x0000, 0x001F}, {0x007F, 0x009F}, {0x061C, 0x061C}, {0x180E, 0x180E}, {0x200B, 0x200F},
    {0x2028, 0x202E}, {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE0FFF},
};

static const struct range combining[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F},
    {0x0900, 0x0902}, {0x0E31, 0x0E31}, {0x0E34, 0x0E3A}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF},
    {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F},
};

static const struct range wide[] = {
    {0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},   {0xAC00, 0xD7A3},
    {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},
    {0x1F300, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD},
};

#define IN(code, ranges) in_ranges((code), (ranges), sizeof(ranges) / sizeof(ranges)[0])

static bool in_ranges(uint32_t code, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

/* One character; false when the octets are not UTF-8, and then `size` is 1. */
static bool decode(struct fl_slice text, uint32_t *code, size_t *size)
{
    uint8_t first = text.data[0];
    size_t count = first < 0x80 ? 1 : (first < 0xE0 ? 2 : (first < 0xF0 ? 3 : 4));

    *code = first;
    *size = 1;
    if (count > text.size || !fl_slice_is_utf8(fl_slice(text.data, count)))
        return false;
    if (count > 1)
        *code = first & (0xFFU >> (count + 1));
    for (size_t i = 1; i < count; i++)
        *code = *code << 6 | (text.data[i] & 0x3FU);
    *size = count;
    return true;
}

bool fl_text_is_harmful(struct fl_slice text, uint32_t *code, size_t *size)
{
    return !decode(text, code, size) || IN(*code, harmful);
}

enum fl_error fl_text_safe(struct fl_slice text, struct fl_buffer *out)
{
    enum fl_error e = FL_OK;

    while (text.size > 0 && e == FL_OK) {
        uint32_t code = 0;
        size_t size = 0;
        if (!fl_text_is_harmful(text, &code, &size))
            e = fl_buffer_append(out, text.data, size);
        else if (code > 0xFF)
            e = fl_buffer_printf(out, "\\u{%X}", (unsigned)code);
        else
            e = fl_buffer_printf(out, "\\x%02x", (unsigned)code);
        text = fl_slice_from(text, size);
    }
    return e;
}

static size_t columns(uint32_t code)
{
    return IN(code, combining) ? 0 : (IN(code, wide) ? 2 : 1);
}

size_t fl_text_width(struct fl_slice text)
{
    size_t width = 0;

    while (text.size > 0) {
        uint32_t code = 0;
        size_t size = 0;
        (void)decode(text, &code, &size);
        width += columns(code);
        text = fl_slice_from(text, size);
    }
    return width;
}

struct fl_slice fl_text_head(struct fl_slice text, size_t width)
{
    struct fl_slice rest = text;
    size_t used = 0;

    while (rest.size > 0) {
        uint32_t code = 0;
        size_t size = 0;
        (void)decode(rest, &code, &size);
        used += columns(code);
        if (used > width)
            break;
        rest = fl_slice_from(rest, size);
    }
    return fl_slice(text.data, text.size - rest.size);
}
