/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <stdio.h>

bool fl_str_copy(char *to, size_t size, const char *from)
{
    return fl_str_copy_slice(to, size, fl_slice_str(from));
}

bool fl_str_copy_slice(char *to, size_t size, struct fl_slice from)
{
    size_t count = from.size < size - 1 ? from.size : size - 1;

    if (count < from.size)
        while (count > 0 && (from.data[count] & 0xC0) == 0x80)
            count--;
    if (from.data && count)
        memcpy(to, from.data, count);
    to[count] = 0;
    return count == from.size;
}

void fl_hex(char *to, size_t size, struct fl_slice s)
{
    static const char digits[] = "0123456789abcdef";
    size_t count = 0;

    for (; count < s.size && 2 * count + 2 < size; count++) {
        to[2 * count] = digits[s.data[count] >> 4];
        to[2 * count + 1] = digits[s.data[count] & 15];
    }
    to[2 * count] = 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum fl_error fl_unhex(uint8_t *to, size_t size, struct fl_slice text, size_t *written)
{
    *written = 0;
    if (text.size % 2)
        return FL_EPARSE;
    if (text.size / 2 > size)
        return FL_ELIMIT;
    for (size_t i = 0; i < text.size; i += 2) {
        int high = hex_digit(text.data[i]);
        int low = hex_digit(text.data[i + 1]);
        if (high < 0 || low < 0)
            return FL_EPARSE;
        to[i / 2] = (uint8_t)(high << 4 | low);
    }
    *written = text.size / 2;
    return FL_OK;
}

enum fl_error fl_str_to_u64(struct fl_slice text, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;

    if (text.size == 0 || (text.size > 1 && text.data[0] == '0'))
        return FL_EPARSE;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9)
            return FL_EPARSE;
        if (sum > (UINT64_MAX - digit) / 10)
            return FL_ELIMIT;
        sum = sum * 10 + digit;
    }
    if (sum > max)
        return FL_ELIMIT;
    *value = sum;
    return FL_OK;
}

static bool is_alphanumeric(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool fl_name_valid(struct fl_slice name)
{
    if (name.size == 0 || name.size > FL_NAME_MAX || !is_alphanumeric(name.data[0]))
        return false;
    for (size_t i = 1; i < name.size; i++)
        if (!is_alphanumeric(name.data[i]) && name.data[i] != '.' && name.data[i] != '_' &&
            name.data[i] != '-')
            return false;
    return true;
}

const char *fl_str_printable(char *to, size_t size, struct fl_slice from)
{
    size_t used = 0;
    bool utf8 = fl_slice_is_utf8(from);

    for (size_t i = 0; i < from.size && used + 5 < size; i++) {
        uint8_t c = from.data[i];
        if (c >= 0x20 && c != 0x7F && c != '"' && c != '\\' && (c < 0x80 || utf8))
            to[used++] = (char)c;
        else
            used += (size_t)snprintf(to + used, size - used, "\\x%02x", c);
    }
    to[used] = 0;
    return to;
}
