/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put(struct fl_buffer *out, char c, size_t wrap, size_t *column)
{
    (void)fl_buffer_append_byte(out, (uint8_t)c);
    *column += 1;
    if (wrap && *column == wrap) {
        (void)fl_buffer_append_byte(out, '\n');
        *column = 0;
    }
}

static enum fl_error encode(struct fl_slice in, const char *alphabet, bool pad, size_t wrap,
                            struct fl_buffer *out)
{
    size_t column = 0;

    for (size_t i = 0; i < in.size; i += 3) {
        size_t left = in.size - i;
        uint32_t bits = (uint32_t)in.data[i] << 16;

        if (left > 1)
            bits |= (uint32_t)in.data[i + 1] << 8;
        if (left > 2)
            bits |= in.data[i + 2];
        put(out, alphabet[bits >> 18], wrap, &column);
        put(out, alphabet[bits >> 12 & 63], wrap, &column);
        if (left > 1 || pad)
            put(out, left > 1 ? alphabet[bits >> 6 & 63] : '=', wrap, &column);
        if (left > 2 || pad)
            put(out, left > 2 ? alphabet[bits & 63] : '=', wrap, &column);
    }
    if (wrap && column)
        (void)fl_buffer_append_byte(out, '\n');
    return out->failed ? FL_ELIMIT : FL_OK;
}

static int value_of(uint8_t c, const char *alphabet)
{
    const char *at = c ? memchr(alphabet, c, 64) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum fl_error decode(struct fl_slice text, const char *alphabet, bool padded,
                            struct fl_buffer *out)
{
    uint32_t bits = 0;
    size_t count = 0;
    size_t padding = 0;

    for (size_t i = 0; i < text.size; i++) {
        int value = 0;

        if (padded && is_space(text.data[i]))
            continue;
        if (padded && text.data[i] == '=') {
            padding++;
            continue;
        }
        value = value_of(text.data[i], alphabet);
        if (value < 0 || padding > 0)
            return FL_EPARSE;
        bits = bits << 6 | (uint32_t)value;
        count++;
        if (count % 4 == 0) {
            const uint8_t bytes[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
            (void)fl_buffer_append(out, bytes, 3);
            bits = 0;
        }
    }
    if (count % 4 == 1 || (padded ? (count + padding) % 4 != 0 || padding > 2 : false))
        return FL_EPARSE;
    if (count % 4 == 2) {
        if (bits & 15) /* bits that decode to nothing must be zero: one text, one value */
            return FL_EPARSE;
        (void)fl_buffer_append_byte(out, (uint8_t)(bits >> 4));
    } else if (count % 4 == 3) {
        if (bits & 3)
            return FL_EPARSE;
        (void)fl_buffer_append_byte(out, (uint8_t)(bits >> 10));
        (void)fl_buffer_append_byte(out, (uint8_t)(bits >> 2));
    }
    return out->failed ? FL_ELIMIT : FL_OK;
}

enum fl_error fl_base64_encode(struct fl_slice in, size_t wrap, struct fl_buffer *out)
{
    return encode(in, standard, true, wrap, out);
}

enum fl_error fl_base64_decode(struct fl_slice text, struct fl_buffer *out)
{
    return decode(text, standard, true, out);
}

enum fl_error fl_base64url_encode(struct fl_slice in, struct fl_buffer *out)
{
    return encode(in, url, false, 0, out);
}

enum fl_error fl_base64url_decode(struct fl_slice text, struct fl_buffer *out)
{
    return decode(text, url, false, out);
}
