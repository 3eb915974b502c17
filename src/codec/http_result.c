/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/http_result.h"

#include "base/str.h"

#include <strings.h>

void fl_http_result_begin(struct fl_http_result *result, size_t content_max)
{
    *result = (struct fl_http_result){
        .content = FL_BUFFER(content_max),
        .in = FL_BUFFER(content_max + FL_LIMIT_HTTP_HEAD),
    };
}

void fl_http_result_free(struct fl_http_result *result)
{
    fl_buffer_free(&result->content);
    fl_buffer_free(&result->in);
}

struct fields {
    uint64_t length;
    bool has_length;
    bool chunked;
};

static struct fl_slice trim(struct fl_slice text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = fl_slice_from(text, 1);
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static bool is_word(struct fl_slice text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

static enum fl_error read_field(struct fl_http_result *r, struct fields *f, struct fl_slice name,
                                struct fl_slice value, struct fl_context *ctx)
{
    uint64_t number = 0;

    if (is_word(name, "content-length")) {
        if (f->has_length || f->chunked || fl_str_to_u64(value, SIZE_MAX, &f->length) != FL_OK)
            return fl_fail(ctx, FL_EPARSE, "the answer's Content-Length is ambiguous");
        f->has_length = true;
    } else if (is_word(name, "transfer-encoding")) {
        if (f->has_length || f->chunked || !is_word(value, "chunked"))
            return fl_fail(ctx, FL_EPARSE, "the answer's Transfer-Encoding is ambiguous");
        f->chunked = true;
    } else if (is_word(name, "retry-after")) {
        if (fl_str_to_u64(value, UINT32_MAX, &number) == FL_OK)
            r->retry_after_s = (uint32_t)number;
    } else if (is_word(name, "connection")) {
        r->closes = r->closes || is_word(value, "close");
    }
    return FL_OK;
}

/* "HTTP/1.1 200 OK"; the words may be missing. */
static enum fl_error read_status(struct fl_http_result *r, struct fl_slice line,
                                 struct fl_context *ctx)
{
    const char *text = (const char *)line.data;
    uint64_t status = 0;

    if (line.size < 12 || memcmp(text, "HTTP/1.", 7) != 0 || (text[7] != '0' && text[7] != '1') ||
        text[8] != ' ' || (line.size > 12 && text[12] != ' ') ||
        fl_str_to_u64(fl_slice(text + 9, 3), 599, &status) != FL_OK || status < 100)
        return fl_fail(ctx, FL_EPARSE, "the answer is not HTTP/1.1");
    r->status = (int)status;
    r->closes = text[7] == '0';
    return FL_OK;
}

static enum fl_error read_head(struct fl_http_result *r, struct fl_slice head,
                               struct fl_context *ctx)
{
    struct fl_http_head shape = {0};
    struct fields f = {0};
    struct fl_slice line = {0};
    struct fl_slice name = {0};
    enum fl_error error = FL_OK;

    for (bool first = true; head.size && !error; first = false) {
        (void)fl_slice_cut(&head, '\n', &line);
        if (line.size == 0 || line.data[line.size - 1] != '\r')
            return fl_fail(ctx, FL_EPARSE, "a line of the answer's head has no CR LF");
        line.size--;
        if (first) {
            error = read_status(r, line, ctx);
        } else if (fl_slice_cut(&line, ':', &name)) {
            error = read_field(r, &f, name, trim(line), ctx);
        } else {
            error = fl_fail(ctx, FL_EPARSE, "a line of the answer's head is no field");
        }
    }
    if (error)
        return error;
    if (r->status >= 200 && r->status != 204 && r->status != 304 && !f.has_length && !f.chunked)
        return fl_fail(ctx, FL_EUNSUPPORTED, "the answer does not say how long it is");
    if (f.length > r->content.max)
        return fl_fail(ctx, FL_ELIMIT, "the answer has %llu octets, over %zu",
                       (unsigned long long)f.length, r->content.max);
    shape.content_length = r->status < 200 || r->status == 204 || r->status == 304 ? 0 : f.length;
    shape.chunked = f.chunked;
    fl_http_body_begin(&r->body, &shape);
    r->has_head = r->status >= 200;
    return FL_OK;
}

static enum fl_error take_head(struct fl_http_result *r, struct fl_context *ctx)
{
    struct fl_slice all = fl_buffer_slice(&r->in);
    const uint8_t *end = all.size ? memmem(all.data, all.size, "\r\n\r\n", 4) : NULL;
    size_t size = end ? (size_t)(end - all.data) + 2 : all.size;
    enum fl_error error = FL_OK;

    if (size > FL_LIMIT_HTTP_HEAD)
        return fl_fail(ctx, FL_ELIMIT, "the answer's head is longer than %d octets",
                       FL_LIMIT_HTTP_HEAD);
    if (!end)
        return FL_EMORE;
    error = read_head(r, fl_slice(all.data, size), ctx);
    if (!error)
        fl_buffer_consume(&r->in, size + 2);
    return error;
}

enum fl_error fl_http_result_read(struct fl_http_result *result, struct fl_slice bytes,
                                  struct fl_context *ctx)
{
    struct fl_slice rest = {0};
    size_t before = 0;
    enum fl_error error = fl_buffer_append_slice(&result->in, bytes);

    if (error)
        return fl_fail(ctx, error, "the answer is too long");
    while (!result->has_head) {
        error = take_head(result, ctx);
        if (error)
            return error;
    }
    rest = fl_buffer_slice(&result->in);
    before = rest.size;
    error = fl_http_body_read(&result->body, &rest, &result->content, ctx);
    fl_buffer_consume(&result->in, before - rest.size);
    return error;
}
