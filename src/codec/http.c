/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/http.h"

#include "base/base64.h"
#include "base/str.h"

#include <strings.h>

static bool is_alphanumeric(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_alphanumeric_or(uint8_t c, const char *others)
{
    return is_alphanumeric(c) || (c && strchr(others, c));
}

/* RFC 9110 5.6.2 */
static bool is_token_char(uint8_t c)
{
    return is_alphanumeric_or(c, "!#$%&'*+-.^_`|~");
}

static bool is_token(struct fl_slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (!is_token_char(s.data[i]))
            return false;
    return s.size > 0;
}

static bool equal_ignoring_case(struct fl_slice s, const char *text)
{
    return s.size == strlen(text) &&
           (s.size == 0 || strncasecmp((const char *)s.data, text, s.size) == 0);
}

static struct fl_slice trim(struct fl_slice s)
{
    while (s.size && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = fl_slice_from(s, 1);
    while (s.size && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t'))
        s.size--;
    return s;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static enum fl_error refuse(struct fl_http_head *head, int status, struct fl_context *ctx,
                            const char *words)
{
    enum fl_error error = FL_EPARSE;

    if (status == 413 || status == 414 || status == 431)
        error = FL_ELIMIT;
    else if (status >= 500 || status == 417)
        error = FL_EUNSUPPORTED;
    head->status = status;
    return fl_fail(ctx, error, "http: %s", words);
}

/* --- where the head ends --- */

static enum fl_error end_of_line(struct fl_http_scan *scan, struct fl_slice in,
                                 struct fl_http_head *head, struct fl_context *ctx)
{
    bool empty = scan->at - scan->line == 1;

    if (scan->at == scan->line || in.data[scan->at - 1] != '\r')
        return refuse(head, 400, ctx, "line feed without carriage return");
    scan->at++;
    scan->line = scan->at;
    if (!empty) {
        scan->lines++;
        return FL_EMORE;
    }
    if (scan->lines > 0) {
        head->size = scan->at;
        return FL_OK;
    }
    /* One empty line before a request is forgiven (RFC 9112 2.2). */
    if (scan->start > 0)
        return refuse(head, 400, ctx, "empty lines where a request was expected");
    scan->start = scan->at;
    return FL_EMORE;
}

/* Looks at every byte once, so that a client that errs is told at once and not when it gives up. */
static enum fl_error find_end(struct fl_http_scan *scan, struct fl_slice in,
                              struct fl_http_head *head, struct fl_context *ctx)
{
    while (scan->at < in.size) {
        uint8_t c = in.data[scan->at];

        if (scan->lines == 0 && scan->at - scan->start > FL_LIMIT_HTTP_TARGET + 32)
            return refuse(head, 414, ctx, "request line is too long");
        if (scan->at >= FL_LIMIT_HTTP_HEAD)
            return refuse(head, 431, ctx, "header fields are too large");
        if (c == '\n') {
            enum fl_error error = end_of_line(scan, in, head, ctx);
            if (error != FL_EMORE)
                return error;
            continue;
        }
        if (scan->at > scan->line && in.data[scan->at - 1] == '\r')
            return refuse(head, 400, ctx, "carriage return without line feed");
        if (c == 0)
            return refuse(head, 400, ctx, "NUL in the header");
        scan->at++;
    }
    return FL_EMORE;
}

/* --- the request line --- */

/* RFC 3986 pchar and '/', without '%'. */
static bool is_path_char(uint8_t c)
{
    return is_alphanumeric_or(c, "-._~!$&'()*+,;=:@/");
}

/* RFC 6960 A.1: base64 in a path, in which a slash is no border and is percent-encoded. */
static bool may_encode_slash(struct fl_slice raw)
{
    static const char ocsp[] = "/ocsp/";

    return raw.size >= sizeof ocsp - 1 && memcmp(raw.data, ocsp, sizeof ocsp - 1) == 0;
}

static enum fl_error decode_path_byte(struct fl_slice raw, size_t *at, uint8_t *byte,
                                      struct fl_http_head *head, struct fl_context *ctx)
{
    int high = 0;
    int low = 0;

    if (raw.data[*at] != '%') {
        *byte = raw.data[*at];
        *at += 1;
        return is_path_char(*byte) ? FL_OK
                                   : refuse(head, 400, ctx,
                                            "path has a character that must be "
                                            "percent-encoded");
    }
    if (raw.size - *at < 3)
        return refuse(head, 400, ctx, "path has a broken percent-encoding");
    high = hex_value(raw.data[*at + 1]);
    low = hex_value(raw.data[*at + 2]);
    if (high < 0 || low < 0)
        return refuse(head, 400, ctx, "path has a broken percent-encoding");
    *byte = (uint8_t)(high << 4 | low);
    *at += 3;
    if (*byte < 0x20 || *byte == 0x7F)
        return refuse(head, 400, ctx, "path has an encoded control character");
    if ((*byte == '/' && !may_encode_slash(raw)) || *byte == '\\')
        return refuse(head, 400, ctx, "path has an encoded slash");
    return FL_OK;
}

static bool has_dot_segment(struct fl_slice path)
{
    struct fl_slice rest = path;
    struct fl_slice segment = {0};
    bool more = true;

    while (more) {
        more = fl_slice_cut(&rest, '/', &segment);
        if (fl_slice_is(segment, ".") || fl_slice_is(segment, ".."))
            return true;
    }
    return false;
}

static enum fl_error parse_path(struct fl_slice raw, struct fl_http_head *head,
                                struct fl_context *ctx)
{
    size_t size = 0;

    for (size_t at = 0; at < raw.size;) {
        uint8_t byte = 0;
        enum fl_error error = decode_path_byte(raw, &at, &byte, head, ctx);

        if (error)
            return error;
        if (size == sizeof head->path_text)
            return refuse(head, 414, ctx, "path is too long");
        head->path_text[size++] = byte;
    }
    head->path = fl_slice(head->path_text, size);
    if (!fl_slice_is_utf8(head->path))
        return refuse(head, 400, ctx, "path is not UTF-8");
    if (has_dot_segment(head->path))
        return refuse(head, 400, ctx, "path has a \".\" or \"..\" segment");
    return FL_OK;
}

/* Absolute form (RFC 9112 3.2.2) is reduced to its path; Host decides nothing here. */
static struct fl_slice strip_authority(struct fl_slice target)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(schemes[i]);
        struct fl_slice rest = {0};
        const uint8_t *slash = NULL;

        if (target.size < size || !equal_ignoring_case(fl_slice(target.data, size), schemes[i]))
            continue;
        rest = fl_slice_from(target, size);
        slash = rest.size ? memchr(rest.data, '/', rest.size) : NULL;
        if (!slash || slash == rest.data)
            return fl_slice(NULL, 0);
        return fl_slice_from(rest, (size_t)(slash - rest.data));
    }
    return target;
}

static enum fl_error parse_target(struct fl_slice target, struct fl_http_head *head,
                                  struct fl_context *ctx)
{
    struct fl_slice path = {0};

    if (target.size > FL_LIMIT_HTTP_TARGET)
        return refuse(head, 414, ctx, "request target is too long");
    target = strip_authority(target);
    if (target.size == 0 || target.data[0] != '/')
        return refuse(head, 400, ctx, "request target is not a path");
    (void)fl_slice_cut(&target, '?', &path);
    head->query = target;
    if (head->query.size > FL_LIMIT_HTTP_QUERY)
        return refuse(head, 414, ctx, "query is too long");
    for (size_t i = 0; i < head->query.size; i++)
        if (head->query.data[i] <= 0x20 || head->query.data[i] >= 0x7F ||
            head->query.data[i] == '#')
            return refuse(head, 400, ctx, "query has a character that must be percent-encoded");
    return parse_path(path, head, ctx);
}

static enum fl_error parse_request_line(struct fl_slice line, struct fl_http_head *head,
                                        struct fl_context *ctx)
{
    struct fl_slice target = {0};

    if (!fl_slice_cut(&line, ' ', &head->method) || !fl_slice_cut(&line, ' ', &target))
        return refuse(head, 400, ctx, "malformed request line");
    if (!is_token(head->method))
        return refuse(head, 400, ctx, "malformed method");
    if (head->method.size > FL_LIMIT_HTTP_METHOD)
        return refuse(head, 501, ctx, "unknown method");
    if (line.size != 8 || memcmp(line.data, "HTTP/", 5) != 0 || line.data[6] != '.')
        return refuse(head, 400, ctx, "malformed protocol version");
    if (line.data[5] != '1' || line.data[7] < '0' || line.data[7] > '9')
        return refuse(head, 505, ctx, "only HTTP/1.1 is spoken here");
    head->minor = line.data[7] == '0' ? 0 : 1;
    head->keep_alive = head->minor == 1;
    return parse_target(target, head, ctx);
}

/* --- fields --- */

static enum fl_error on_host(struct fl_http_head *head, struct fl_slice value,
                             struct fl_context *ctx)
{
    for (size_t i = 0; i < value.size; i++)
        if (!is_alphanumeric_or(value.data[i], "-._~:[]%"))
            return refuse(head, 400, ctx, "malformed Host");
    return FL_OK;
}

static enum fl_error on_content_length(struct fl_http_head *head, struct fl_slice value,
                                       struct fl_context *ctx)
{
    uint64_t length = 0;
    enum fl_error error = FL_OK;

    while (value.size > 1 && value.data[0] == '0')
        value = fl_slice_from(value, 1);
    error = fl_str_to_u64(value, FL_LIMIT_HTTP_BODY, &length);
    if (error == FL_ELIMIT)
        return refuse(head, 413, ctx, "body is too large");
    if (error)
        return refuse(head, 400, ctx, "malformed Content-Length");
    head->content_length = length;
    return FL_OK;
}

static enum fl_error on_transfer_encoding(struct fl_http_head *head, struct fl_slice value,
                                          struct fl_context *ctx)
{
    if (!equal_ignoring_case(value, "chunked"))
        return refuse(head, 501, ctx, "unknown Transfer-Encoding");
    if (head->minor == 0)
        return refuse(head, 400, ctx, "Transfer-Encoding in HTTP/1.0");
    head->chunked = true;
    return FL_OK;
}

static enum fl_error on_connection(struct fl_http_head *head, struct fl_slice value,
                                   struct fl_context *ctx)
{
    struct fl_slice option = {0};
    bool more = true;

    (void)ctx;
    while (more) {
        more = fl_slice_cut(&value, ',', &option);
        option = trim(option);
        if (equal_ignoring_case(option, "close"))
            head->keep_alive = false;
        else if (equal_ignoring_case(option, "keep-alive") && head->minor == 0)
            head->keep_alive = true;
    }
    return FL_OK;
}

static enum fl_error on_expect(struct fl_http_head *head, struct fl_slice value,
                               struct fl_context *ctx)
{
    if (!equal_ignoring_case(value, "100-continue"))
        return refuse(head, 417, ctx, "unknown expectation");
    head->expects_continue = head->minor == 1;
    return FL_OK;
}

/* The fields that steer the reading, and those of which two would be a contradiction. */
static const struct {
    const char *name;
    bool once;
    enum fl_error (*on)(struct fl_http_head *head, struct fl_slice value, struct fl_context *ctx);
} known_fields[] = {
    {"host", true, on_host},
    {"content-length", true, on_content_length},
    {"transfer-encoding", true, on_transfer_encoding},
    {"connection", false, on_connection},
    {"expect", true, on_expect},
    {"authorization", true, NULL},
    {"content-type", true, NULL},
};

static bool has_field(const struct fl_http_head *head, const char *name)
{
    for (size_t i = 0; i < head->field_count; i++)
        if (equal_ignoring_case(head->fields[i].name, name))
            return true;
    return false;
}

static enum fl_error parse_field(struct fl_slice line, struct fl_http_head *head,
                                 struct fl_context *ctx)
{
    struct fl_http_field field = {0};

    if (line.data[0] == ' ' || line.data[0] == '\t')
        return refuse(head, 400, ctx, "folded header field");
    if (!fl_slice_cut(&line, ':', &field.name) || !is_token(field.name))
        return refuse(head, 400, ctx, "malformed header field");
    field.value = trim(line);
    for (size_t i = 0; i < field.value.size; i++)
        if ((field.value.data[i] < 0x20 && field.value.data[i] != '\t') ||
            field.value.data[i] == 0x7F)
            return refuse(head, 400, ctx, "control character in a header field");
    for (size_t i = 0; i < sizeof known_fields / sizeof known_fields[0]; i++) {
        enum fl_error error = FL_OK;

        if (!equal_ignoring_case(field.name, known_fields[i].name))
            continue;
        if (known_fields[i].once && has_field(head, known_fields[i].name))
            return refuse(head, 400, ctx, "a header field is there twice");
        if (known_fields[i].on)
            error = known_fields[i].on(head, field.value, ctx);
        if (error)
            return error;
    }
    if (head->field_count == FL_LIMIT_HTTP_HEADERS)
        return refuse(head, 431, ctx, "too many header fields");
    head->fields[head->field_count++] = field;
    return FL_OK;
}

/* `lines` ends with the empty line; every line ends with CR LF, which find_end has seen. */
static struct fl_slice next_line(struct fl_slice *lines)
{
    struct fl_slice line = {0};

    (void)fl_slice_cut(lines, '\n', &line);
    if (line.size)
        line.size--;
    return line;
}

enum fl_error fl_http_head_parse(struct fl_http_scan *scan, struct fl_slice in,
                                 struct fl_http_head *head, struct fl_context *ctx)
{
    struct fl_slice lines = {0};
    struct fl_slice line = {0};
    enum fl_error error = FL_OK;

    head->size = 0;
    head->status = 400;
    error = find_end(scan, in, head, ctx);
    if (error)
        return error;
    lines = fl_slice_from(fl_slice(in.data, head->size), scan->start);
    head->field_count = 0;
    head->content_length = 0;
    head->chunked = false;
    head->expects_continue = false;
    error = parse_request_line(next_line(&lines), head, ctx);
    for (line = next_line(&lines); !error && line.size; line = next_line(&lines))
        error = parse_field(line, head, ctx);
    if (error)
        return error;
    if (head->chunked && has_field(head, "content-length"))
        return refuse(head, 400, ctx, "both Content-Length and Transfer-Encoding");
    if (head->minor == 1 && !has_field(head, "host"))
        return refuse(head, 400, ctx, "no Host");
    return FL_OK;
}

struct fl_slice fl_http_head_field(const struct fl_http_head *head, const char *name)
{
    for (size_t i = 0; i < head->field_count; i++)
        if (equal_ignoring_case(head->fields[i].name, name))
            return head->fields[i].value;
    return fl_slice(NULL, 0);
}

size_t fl_http_head_count(const struct fl_http_head *head, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < head->field_count; i++)
        count += equal_ignoring_case(head->fields[i].name, name);
    return count;
}

bool fl_http_head_lists(const struct fl_http_head *head, const char *name, const char *token)
{
    for (size_t i = 0; i < head->field_count; i++) {
        struct fl_slice list = head->fields[i].value;
        struct fl_slice one = {0};
        bool more = equal_ignoring_case(head->fields[i].name, name);

        while (more) {
            more = fl_slice_cut(&list, ',', &one);
            if (equal_ignoring_case(trim(one), token))
                return true;
        }
    }
    return false;
}

/* --- the body --- */

void fl_http_body_begin(struct fl_http_body *body, const struct fl_http_head *head)
{
    *body = (struct fl_http_body){.state = FL_HTTP_BODY_LENGTH, .left = head->content_length};
    if (head->chunked)
        body->state = FL_HTTP_BODY_CHUNK_LINE;
    else if (body->left == 0)
        body->state = FL_HTTP_BODY_DONE;
}

static enum fl_error refuse_body(struct fl_http_body *body, int status, struct fl_context *ctx,
                                 const char *words)
{
    body->status = status;
    return fl_fail(ctx, status == 400 ? FL_EPARSE : FL_ELIMIT, "http: %s", words);
}

static enum fl_error chunk_line_end(struct fl_http_body *body, struct fl_context *ctx)
{
    if (body->digits == 0)
        return refuse_body(body, 400, ctx, "chunk without a size");
    if (body->left > FL_LIMIT_HTTP_BODY)
        return refuse_body(body, 413, ctx, "body is too large");
    body->state = body->left ? FL_HTTP_BODY_CHUNK : FL_HTTP_BODY_TRAILER;
    body->line = 0;
    body->digits = 0;
    body->in_extension = false;
    return FL_EMORE;
}

/* RFC 9112 7.1: hexadecimal digits, then extensions, which are read over. */
static enum fl_error chunk_line_byte(struct fl_http_body *body, uint8_t c, struct fl_context *ctx)
{
    int digit = hex_value(c);

    if (++body->line > FL_LIMIT_HTTP_CHUNK_LINE)
        return refuse_body(body, 400, ctx, "chunk line is too long");
    if (body->in_extension)
        return c < 0x20 && c != '\t' ? refuse_body(body, 400, ctx,
                                                   "control character in a chunk "
                                                   "extension")
                                     : FL_EMORE;
    if (c == ';' && body->digits > 0) {
        body->in_extension = true;
        return FL_EMORE;
    }
    if (digit < 0)
        return refuse_body(body, 400, ctx, "malformed chunk size");
    if (++body->digits > 16 || body->left > FL_LIMIT_HTTP_BODY)
        return refuse_body(body, 413, ctx, "body is too large");
    body->left = body->left * 16 + (uint64_t)digit;
    return FL_EMORE;
}

static enum fl_error trailer_byte(struct fl_http_body *body, uint8_t c, struct fl_context *ctx)
{
    body->line++;
    if (++body->trailer > FL_LIMIT_HTTP_TRAILERS)
        return refuse_body(body, 431, ctx, "trailers are too large");
    if (c < 0x20 && c != '\t')
        return refuse_body(body, 400, ctx, "control character in a trailer");
    return FL_EMORE;
}

static enum fl_error line_end(struct fl_http_body *body, struct fl_context *ctx)
{
    if (body->state == FL_HTTP_BODY_CHUNK_LINE)
        return chunk_line_end(body, ctx);
    if (body->state == FL_HTTP_BODY_CHUNK_END) {
        body->state = FL_HTTP_BODY_CHUNK_LINE;
        return FL_EMORE;
    }
    if (body->line > 0) {
        body->line = 0;
        return FL_EMORE;
    }
    body->state = FL_HTTP_BODY_DONE;
    return FL_OK;
}

/* One byte of the framing, not of the content. */
static enum fl_error framing_byte(struct fl_http_body *body, uint8_t c, struct fl_context *ctx)
{
    if (body->after_cr) {
        body->after_cr = false;
        return c == '\n' ? line_end(body, ctx)
                         : refuse_body(body, 400, ctx, "carriage return without line feed");
    }
    if (c == '\r') {
        body->after_cr = true;
        return FL_EMORE;
    }
    if (body->state == FL_HTTP_BODY_CHUNK_LINE)
        return chunk_line_byte(body, c, ctx);
    if (body->state == FL_HTTP_BODY_TRAILER)
        return trailer_byte(body, c, ctx);
    return refuse_body(body, 400, ctx, "chunk is longer than its size");
}

static enum fl_error content_bytes(struct fl_http_body *body, struct fl_slice *in,
                                   struct fl_buffer *out, struct fl_context *ctx)
{
    size_t count = in->size < body->left ? in->size : (size_t)body->left;

    if (fl_buffer_append(out, in->data, count) != FL_OK)
        return refuse_body(body, 413, ctx, "body is too large");
    *in = fl_slice_from(*in, count);
    body->left -= count;
    if (body->left > 0)
        return FL_EMORE;
    if (body->state == FL_HTTP_BODY_CHUNK) {
        body->state = FL_HTTP_BODY_CHUNK_END;
        return FL_EMORE;
    }
    body->state = FL_HTTP_BODY_DONE;
    return FL_OK;
}

enum fl_error fl_http_body_read(struct fl_http_body *body, struct fl_slice *in,
                                struct fl_buffer *out, struct fl_context *ctx)
{
    enum fl_error error = FL_EMORE;

    if (body->state == FL_HTTP_BODY_DONE)
        return FL_OK;
    while (in->size > 0 && error == FL_EMORE) {
        if (body->state == FL_HTTP_BODY_LENGTH || body->state == FL_HTTP_BODY_CHUNK) {
            error = content_bytes(body, in, out, ctx);
            continue;
        }
        error = framing_byte(body, in->data[0], ctx);
        *in = fl_slice_from(*in, 1);
    }
    return error;
}

/* --- queries --- */

static enum fl_error decode_parameter(struct fl_slice raw, struct fl_buffer *out,
                                      struct fl_context *ctx)
{
    for (size_t i = 0; i < raw.size; i++) {
        uint8_t byte = raw.data[i];

        if (byte == '%') {
            int high = raw.size - i >= 3 ? hex_value(raw.data[i + 1]) : -1;
            int low = raw.size - i >= 3 ? hex_value(raw.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return fl_fail(ctx, FL_EPARSE, "query: broken percent-encoding");
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (byte < 0x20 || byte == 0x7F)
            return fl_fail(ctx, FL_EPARSE, "query: control character");
        if (fl_buffer_append_byte(out, byte) != FL_OK)
            return fl_fail(ctx, FL_EPARSE, "query: parameter is too long");
    }
    if (!fl_slice_is_utf8(fl_buffer_slice(out)))
        return fl_fail(ctx, FL_EPARSE, "query: not UTF-8");
    return FL_OK;
}

enum fl_error fl_http_query_next(struct fl_slice *query, struct fl_buffer *name,
                                 struct fl_buffer *value, struct fl_context *ctx)
{
    struct fl_slice pair = {0};
    struct fl_slice raw_name = {0};
    enum fl_error error = FL_OK;

    fl_buffer_clear(name);
    fl_buffer_clear(value);
    while (query->size > 0 && pair.size == 0)
        (void)fl_slice_cut(query, '&', &pair);
    if (pair.size == 0)
        return FL_ENOTFOUND;
    if (!fl_slice_cut(&pair, '=', &raw_name))
        pair = fl_slice(NULL, 0);
    error = decode_parameter(raw_name, name, ctx);
    return error ? error : decode_parameter(pair, value, ctx);
}

enum fl_error fl_http_query_get(struct fl_slice query, const char *name, struct fl_buffer *value,
                                struct fl_context *ctx)
{
    struct fl_buffer found_name = FL_BUFFER(FL_LIMIT_HTTP_QUERY);
    struct fl_buffer found = FL_BUFFER(FL_LIMIT_HTTP_QUERY);
    enum fl_error error = FL_OK;
    bool seen = false;

    fl_buffer_clear(value);
    while (!error) {
        error = fl_http_query_next(&query, &found_name, &found, ctx);
        if (error || !fl_slice_is(fl_buffer_slice(&found_name), name))
            continue;
        if (seen)
            error = fl_fail(ctx, FL_EPARSE, "query: '%s' is there twice", name);
        else
            error = fl_buffer_append_slice(value, fl_buffer_slice(&found));
        seen = true;
    }
    fl_buffer_free(&found_name);
    fl_buffer_free(&found);
    return error == FL_ENOTFOUND && seen ? FL_OK : error;
}

/* --- credentials and words --- */

/* The rest after "scheme" and spaces, or false. */
static bool of_scheme(struct fl_slice authorization, const char *scheme, struct fl_slice *rest)
{
    struct fl_slice name = {0};

    *rest = trim(authorization);
    if (!fl_slice_cut(rest, ' ', &name) || !equal_ignoring_case(name, scheme))
        return false;
    *rest = trim(*rest);
    return true;
}

enum fl_error fl_http_basic(struct fl_slice authorization, struct fl_buffer *text,
                            struct fl_slice *user, struct fl_slice *password)
{
    struct fl_slice encoded = {0};
    struct fl_slice decoded = {0};

    if (!of_scheme(authorization, "basic", &encoded))
        return FL_ENOTFOUND;
    fl_buffer_clear(text);
    if (encoded.size == 0 || fl_base64_decode(encoded, text) != FL_OK)
        return FL_EPARSE;
    decoded = fl_buffer_slice(text);
    if (!fl_slice_is_utf8(decoded) ||
        (decoded.size && memchr(decoded.data, 0, decoded.size) != NULL))
        return FL_EPARSE;
    if (!fl_slice_cut(&decoded, ':', user))
        return FL_EPARSE;
    *password = decoded;
    return FL_OK;
}

enum fl_error fl_http_bearer(struct fl_slice authorization, struct fl_slice *token)
{
    if (!of_scheme(authorization, "bearer", token))
        return FL_ENOTFOUND;
    /* RFC 6750 2.1 */
    for (size_t i = 0; i < token->size; i++)
        if (!is_alphanumeric_or(token->data[i], "-._~+/="))
            return FL_EPARSE;
    return token->size ? FL_OK : FL_EPARSE;
}

bool fl_http_media_type_is(struct fl_slice value, const char *type)
{
    struct fl_slice name = {0};

    (void)fl_slice_cut(&value, ';', &name);
    return equal_ignoring_case(trim(name), type);
}

const char *fl_http_status_words(int status)
{
    static const struct {
        int status;
        const char *words;
    } table[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].status == status)
            return table[i].words;
    return status < 500 ? "Error" : "Server Error";
}
