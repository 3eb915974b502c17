/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/token.h"

#include "base/base64.h"

#define PREFIX "fl1."
#define PREFIX_SIZE (sizeof PREFIX - 1)
/* kind, secret, root, expiry, sizes of id and host, two ports, CRC. */
#define FIXED_SIZE (1 + FL_TOKEN_SECRET_SIZE + 32 + 8 + 1 + 1 + 2 + 2 + 4)
#define BYTES_MAX (FIXED_SIZE + FL_NAME_MAX + FL_LIMIT_HOST)

static uint32_t crc32_of(struct fl_slice s) /* the one of IEEE 802.3, zip and PNG */
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < s.size; i++) {
        crc ^= s.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320U : 0);
    }
    return ~crc;
}

static void put_number(struct fl_buffer *out, uint64_t value, unsigned size)
{
    for (unsigned i = size; i-- > 0;)
        (void)fl_buffer_append_byte(out, (uint8_t)(value >> (8 * i)));
}

static uint64_t take_number(struct fl_slice *in, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | in->data[i];
    *in = fl_slice_from(*in, size);
    return value;
}

/* A host is read by people and put into URLs: letters, digits, and what names and addresses need.
 */
static bool host_valid(struct fl_slice host)
{
    if (host.size == 0 || host.size > FL_LIMIT_HOST)
        return false;
    for (size_t i = 0; i < host.size; i++) {
        uint8_t c = host.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == ':'))
            return false;
    }
    return true;
}

static bool valid(const struct fl_token *token)
{
    return (token->kind == FL_TOKEN_DEVICE || token->kind == FL_TOKEN_PRINCIPAL) &&
           fl_name_valid(fl_slice_str(token->id)) && host_valid(fl_slice_str(token->host)) &&
           token->https_port != 0 && token->mqtt_port != 0;
}

enum fl_error fl_token_encode(const struct fl_token *token, struct fl_buffer *text)
{
    struct fl_buffer bytes = FL_BUFFER(BYTES_MAX);
    enum fl_error error = FL_OK;

    if (!valid(token))
        return FL_EINVAL;
    put_number(&bytes, (uint64_t)token->kind, 1);
    (void)fl_buffer_append(&bytes, token->secret, sizeof token->secret);
    (void)fl_buffer_append(&bytes, token->root_sha256, sizeof token->root_sha256);
    put_number(&bytes, (uint64_t)token->expires, 8);
    put_number(&bytes, strlen(token->id), 1);
    (void)fl_buffer_append_str(&bytes, token->id);
    put_number(&bytes, strlen(token->host), 1);
    (void)fl_buffer_append_str(&bytes, token->host);
    put_number(&bytes, token->https_port, 2);
    put_number(&bytes, token->mqtt_port, 2);
    put_number(&bytes, crc32_of(fl_buffer_slice(&bytes)), 4);
    (void)fl_buffer_append_str(text, PREFIX);
    error = bytes.failed ? FL_ENOMEM : fl_base64url_encode(fl_buffer_slice(&bytes), text);
    fl_buffer_free(&bytes);
    return error;
}

static bool take_text(struct fl_slice *in, size_t leave, char *to, size_t size)
{
    size_t count = 0;
    struct fl_slice text = {0};

    if (in->size < leave + 1)
        return false;
    count = (size_t)take_number(in, 1);
    if (in->size < leave + count || count >= size)
        return false;
    text = fl_slice(in->data, count);
    *in = fl_slice_from(*in, count);
    return !(count && memchr(text.data, 0, count)) && fl_str_copy_slice(to, size, text);
}

/* The CRC was right, so a failure here is not a typing mistake. */
static enum fl_error take_fields(struct fl_slice in, struct fl_token *token, struct fl_context *ctx)
{
    uint64_t kind = take_number(&in, 1);

    if (kind != FL_TOKEN_DEVICE && kind != FL_TOKEN_PRINCIPAL)
        return fl_fail(ctx, FL_EPARSE, "a token of a later version of Fairlead");
    token->kind = kind == FL_TOKEN_DEVICE ? FL_TOKEN_DEVICE : FL_TOKEN_PRINCIPAL;
    memcpy(token->secret, in.data, sizeof token->secret);
    in = fl_slice_from(in, sizeof token->secret);
    memcpy(token->root_sha256, in.data, sizeof token->root_sha256);
    in = fl_slice_from(in, sizeof token->root_sha256);
    token->expires = (fl_time_t)take_number(&in, 8);
    if (!take_text(&in, 1 + 4, token->id, sizeof token->id) ||
        !take_text(&in, 4, token->host, sizeof token->host) || in.size != 4)
        return fl_fail(ctx, FL_EPARSE, "the token is damaged");
    token->https_port = (uint16_t)take_number(&in, 2);
    token->mqtt_port = (uint16_t)take_number(&in, 2);
    if (!valid(token))
        return fl_fail(ctx, FL_EPARSE, "the token is damaged");
    return FL_OK;
}

static enum fl_error take_bytes(struct fl_slice bytes, struct fl_token *token,
                                struct fl_context *ctx)
{
    struct fl_slice crc = {0};

    if (bytes.size < FIXED_SIZE)
        return fl_fail(ctx, FL_EPARSE, "the token is cut short: copy all of it");
    crc = fl_slice_from(bytes, bytes.size - 4);
    bytes.size -= 4;
    if (take_number(&crc, 4) != crc32_of(bytes))
        return fl_fail(ctx, FL_EPARSE,
                       "the token is mistyped or cut short: copy it again, all of it");
    return take_fields(bytes, token, ctx);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct fl_slice trim(struct fl_slice text)
{
    while (text.size > 0 && is_space(text.data[0]))
        text = fl_slice_from(text, 1);
    while (text.size > 0 && is_space(text.data[text.size - 1]))
        text.size--;
    return text;
}

enum fl_error fl_token_decode(struct fl_slice text, struct fl_token *token, struct fl_context *ctx)
{
    struct fl_buffer bytes = FL_BUFFER(BYTES_MAX);
    enum fl_error error = FL_OK;

    *token = (struct fl_token){0};
    text = trim(text);
    if (text.size == 0)
        return fl_fail(ctx, FL_EPARSE, "the token is empty");
    if (text.size > FL_LIMIT_TOKEN_TEXT)
        return fl_fail(ctx, FL_EPARSE, "too long for a token");
    if (text.size < PREFIX_SIZE || memcmp(text.data, "fl", 2) != 0)
        return fl_fail(ctx, FL_EPARSE, "not a token: one begins with \"" PREFIX "\"");
    if (memcmp(text.data, PREFIX, PREFIX_SIZE) != 0) {
        bool later = text.data[2] >= '2' && text.data[2] <= '9' && text.data[3] == '.';
        return fl_fail(ctx, FL_EPARSE, "%s",
                       later ? "a token of a later version of Fairlead"
                             : "not a token: one begins with \"" PREFIX "\"");
    }
    error = fl_base64url_decode(fl_slice_from(text, PREFIX_SIZE), &bytes);
    if (error == FL_ELIMIT)
        error = fl_fail(ctx, FL_EPARSE, "too long for a token");
    else if (error != FL_OK)
        error = fl_fail(ctx, FL_EPARSE,
                        "the token is mistyped or cut short: copy it again, all of "
                        "it");
    else
        error = take_bytes(fl_buffer_slice(&bytes), token, ctx);
    if (error != FL_OK)
        explicit_bzero(token, sizeof *token);
    fl_buffer_free(&bytes);
    return error;
}
