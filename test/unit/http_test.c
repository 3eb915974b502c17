/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "codec/http.h"

#include <stdio.h>
#include <stdlib.h>

static struct fl_http_head head;
static struct fl_context ctx;

static enum fl_error parse(const char *text)
{
    struct fl_http_scan scan = {0};

    ctx.text[0] = 0;
    return fl_http_head_parse(&scan, fl_slice_str(text), &head, &ctx);
}

/* Checks that the head is refused with that status and that the words say why. */
static void assert_refused(const char *text, int status, const char *words)
{
    assert_int_not_equal(parse(text), FL_OK);
    assert_int_equal(head.status, status);
    assert_contains(ctx.text, words);
}

static void assert_target_refused(const char *target, int status, const char *words)
{
    char text[16384];

    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
    assert_refused(text, status, words);
}

static void a_plain_request_is_read(void **state)
{
    (void)state;
    assert_ok(
        parse("GET /api/v1/devices?after=cam-01&limit=5 HTTP/1.1\r\nHost: hub.example:8443\r\n"
              "Authorization:  Bearer abc \r\nX-Empty:\r\n\r\nrest"));
    assert_slice_equal(head.method, "GET");
    assert_slice_equal(head.path, "/api/v1/devices");
    assert_slice_equal(head.query, "after=cam-01&limit=5");
    assert_slice_equal(fl_http_head_field(&head, "AUTHORIZATION"), "Bearer abc");
    assert_int_equal(fl_http_head_field(&head, "x-empty").size, 0);
    assert_int_equal(fl_http_head_field(&head, "absent").size, 0);
    assert_int_equal(head.field_count, 3);
    assert_true(head.keep_alive);
    assert_false(head.chunked);
    assert_int_equal(head.content_length, 0);
}

static void lists_are_looked_through_in_all_their_fields(void **state)
{
    (void)state;
    assert_ok(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive , UPGRADE\r\n"
                    "X-One: a\r\nx-one: b,c\r\nX-Empty:\r\n\r\n"));
    assert_true(fl_http_head_lists(&head, "connection", "upgrade"));
    assert_true(fl_http_head_lists(&head, "Connection", "Keep-Alive"));
    assert_true(fl_http_head_lists(&head, "X-ONE", "c"));
    assert_false(fl_http_head_lists(&head, "x-one", "b,c"));
    assert_false(fl_http_head_lists(&head, "connection", "grade"));
    assert_false(fl_http_head_lists(&head, "x-empty", "a"));
    assert_false(fl_http_head_lists(&head, "absent", "a"));
    assert_int_equal(fl_http_head_count(&head, "X-one"), 2);
    assert_int_equal(fl_http_head_count(&head, "x-empty"), 1);
    assert_int_equal(fl_http_head_count(&head, "absent"), 0);
}

static void a_head_that_drips_in_is_read_like_a_whole_one(void **state)
{
    const char *text = "\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    size_t size = strlen(text) - 3;
    struct fl_http_scan scan = {0};

    (void)state;
    for (size_t i = 0; i < size; i++)
        assert_int_equal(fl_http_head_parse(&scan, fl_slice(text, i), &head, NULL), FL_EMORE);
    assert_ok(fl_http_head_parse(&scan, fl_slice(text, size), &head, NULL));
    assert_int_equal(head.size, size);
    assert_int_equal(head.content_length, 3);
}

static void paths_are_decoded(void **state)
{
    (void)state;
    assert_ok(parse("GET /a%20b/%c3%A9/c%2Bd+e HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_slice_equal(head.path, "/a b/\xc3\xa9/c+d+e");
    assert_ok(parse("GET https://hub:8443/x?y HTTP/1.1\r\nHost: hub\r\n\r\n"));
    assert_slice_equal(head.path, "/x");
    assert_slice_equal(head.query, "y");
    assert_ok(parse("GET /...a/.b/c. HTTP/1.1\r\nHost: a\r\n\r\n"));
    /* RFC 6960 A.1: base64 */
    assert_ok(parse("GET /ocsp/MC8%2FMA%3D%3D HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_slice_equal(head.path, "/ocsp/MC8/MA==");
}

static void ambiguous_paths_are_refused(void **state)
{
    (void)state;
    assert_target_refused("/a/../b", 400, "segment");
    assert_target_refused("/a/%2e%2E/b", 400, "segment");
    assert_target_refused("/.", 400, "segment");
    assert_target_refused("/a%2fb", 400, "encoded slash");
    assert_target_refused("/a/ocsp/%2fb", 400, "encoded slash");
    assert_target_refused("/ocsp/%2f%5Cb", 400, "encoded slash");
    assert_target_refused("/a%5Cb", 400, "encoded slash");
    assert_target_refused("/a%00b", 400, "control");
    assert_target_refused("/a%0d%0ab", 400, "control");
    assert_target_refused("/a%zz", 400, "broken");
    assert_target_refused("/a%2", 400, "broken");
    assert_target_refused("/a%", 400, "broken");
    assert_target_refused("/a\"b", 400, "percent-encoded");
    assert_target_refused("/a\\b", 400, "percent-encoded");
    assert_target_refused("/\xc3\xa9", 400, "percent-encoded");
    assert_target_refused("/%c3%28", 400, "UTF-8");
    assert_target_refused("/a#b", 400, "percent-encoded");
    assert_target_refused("/a?b#c", 400, "percent-encoded");
    assert_target_refused("a", 400, "not a path");
    assert_target_refused("*", 400, "not a path");
    assert_target_refused("http://", 400, "not a path");
    assert_target_refused("http:///a", 400, "not a path");
    assert_target_refused("ftp://a/b", 400, "not a path");
}

static void malformed_request_lines_are_refused(void **state)
{
    (void)state;
    assert_refused("GET\r\n\r\n", 400, "request line");
    assert_refused("GET /\r\n\r\n", 400, "request line");
    assert_refused("GET  / HTTP/1.1\r\n\r\n", 400, "version");
    assert_refused("GET / HTTP/1.1 \r\n\r\n", 400, "version");
    assert_refused("G(T / HTTP/1.1\r\n\r\n", 400, "method");
    assert_refused(" GET / HTTP/1.1\r\n\r\n", 400, "method");
    assert_refused("ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\n\r\n", 501, "method");
    assert_refused("GET / http/1.1\r\n\r\n", 400, "version");
    assert_refused("GET / HTTP/1.x\r\n\r\n", 505, "HTTP/1.1");
    assert_refused("PRI * HTTP/2.0\r\n\r\n", 505, "HTTP/1.1");
    assert_refused("\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400, "empty lines");
}

static void line_ends_must_be_whole(void **state)
{
    (void)state;
    assert_refused("GET / HTTP/1.1\n", 400, "line feed");
    assert_refused("\n", 400, "line feed");
    assert_refused("GET / HTTP/1.1\r\nHost: a\n", 400, "line feed");
    assert_refused("GET / HTTP/1.1\r\nHost: a\rb", 400, "carriage return");
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\r\n", 400, "carriage return");
}

static void nul_is_refused_at_once(void **state)
{
    struct fl_http_scan scan = {0};

    (void)state;
    assert_int_equal(fl_http_head_parse(&scan, fl_slice("GET /\0", 6), &head, NULL), FL_EPARSE);
    assert_int_equal(head.status, 400);
}

static void smuggling_is_refused(void **state)
{
    static const struct {
        const char *fields;
        int status;
        const char *words;
    } table[] = {
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400, "both"},
        {"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", 400, "both"},
        {"Content-Length: 5\r\nContent-Length: 5\r\n", 400, "twice"},
        {"Content-Length: 5, 5\r\n", 400, "Content-Length"},
        {"Content-Length: +5\r\n", 400, "Content-Length"},
        {"Content-Length: -5\r\n", 400, "Content-Length"},
        {"Content-Length: 0x5\r\n", 400, "Content-Length"},
        {"Content-Length:\r\n", 400, "Content-Length"},
        {"Content-Length: 99999999999999999999999\r\n", 413, "too large"},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400, "twice"},
        {"Transfer-Encoding: chunked, chunked\r\n", 501, "Transfer-Encoding"},
        {"Transfer-Encoding: gzip, chunked\r\n", 501, "Transfer-Encoding"},
        {"Transfer-Encoding: xchunked\r\n", 501, "Transfer-Encoding"},
        {"Transfer-Encoding:\r\n", 501, "Transfer-Encoding"},
        {"Content-Length : 5\r\n", 400, "malformed header field"},
        {"X: a\r\n b\r\n", 400, "folded"},
        {"X: a\r\n\tb\r\n", 400, "folded"},
        {"no colon\r\n", 400, "malformed header field"},
        {": empty\r\n", 400, "malformed header field"},
        {"X: a\x01\r\n", 400, "control character"},
        {"X: a\x7f\r\n", 400, "control character"},
        {"Host: b\r\n", 400, "twice"},
        {"Authorization: a\r\nauthorization: b\r\n", 400, "twice"},
        {"Content-Type: a\r\nContent-type: b\r\n", 400, "twice"},
        {"Expect: the worst\r\n", 417, "expectation"},
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        (void)snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n", table[i].fields);
        assert_refused(text, table[i].status, table[i].words);
    }
    assert_refused("GET / HTTP/1.1\r\n\r\n", 400, "no Host");
    assert_refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host");
    assert_refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host");
    assert_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0");
}

static void connections_are_kept_as_the_client_asks(void **state)
{
    (void)state;
    assert_ok(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"));
    assert_false(head.keep_alive);
    assert_ok(parse("GET / HTTP/1.0\r\n\r\n"));
    assert_false(head.keep_alive);
    assert_ok(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    assert_true(head.keep_alive);
    assert_ok(parse("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n"));
    assert_true(head.expects_continue);
    assert_ok(parse("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"));
    assert_false(head.expects_continue);
    assert_ok(parse("PUT / HTTP/1.9\r\nHost: a\r\nContent-Length: 007\r\n\r\n"));
    assert_int_equal(head.content_length, 7);
}

static char *repeat(const char *start, char c, size_t count, const char *end)
{
    size_t before = strlen(start);
    char *text = calloc(1, before + count + strlen(end) + 1);

    assert_non_null(text);
    memcpy(text, start, before);
    memset(text + before, c, count);
    memcpy(text + before + count, end, strlen(end));
    return text;
}

static void long_requests_are_refused_by_their_limit(void **state)
{
    static const char rest[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
    char *text = NULL;

    (void)state;
    text = repeat("GET /", 'a', FL_LIMIT_HTTP_PATH - 1, rest);
    assert_ok(parse(text));
    free(text);
    text = repeat("GET /", 'a', FL_LIMIT_HTTP_PATH, rest);
    assert_refused(text, 414, "path is too long");
    free(text);
    text = repeat("GET /?", 'a', FL_LIMIT_HTTP_QUERY, rest);
    assert_ok(parse(text));
    free(text);
    text = repeat("GET /?", 'a', FL_LIMIT_HTTP_QUERY + 1, rest);
    assert_refused(text, 414, "query is too long");
    free(text);
    text = repeat("GET /?", 'a', FL_LIMIT_HTTP_TARGET - 1, rest);
    assert_refused(text, 414, "target is too long");
    free(text);
    /* Refused before it has ended. */
    text = repeat("GET /?", 'a', FL_LIMIT_HTTP_TARGET + 64, "");
    assert_refused(text, 414, "request line");
    free(text);
    text = repeat("GET / HTTP/1.1\r\nHost: a\r\nX: ", 'a', FL_LIMIT_HTTP_HEAD, "");
    assert_refused(text, 431, "too large");
    free(text);
}

static void the_number_of_fields_is_bounded(void **state)
{
    char text[4096] = "GET / HTTP/1.1\r\nHost: a\r\n";

    (void)state;
    for (int i = 1; i < FL_LIMIT_HTTP_HEADERS; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "X: %d\r\n", i);
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "\r\n");
    assert_ok(parse(text));
    (void)snprintf(text + strlen(text) - 2, 32, "X: one more\r\n\r\n");
    assert_refused(text, 431, "too many");
}

/* Reads a chunked body, whole or byte by byte, and gives what was left over. */
static enum fl_error read_chunked(const char *text, bool drip, struct fl_buffer *out, size_t *left)
{
    struct fl_http_body body = {0};
    struct fl_slice in = fl_slice_str(text);
    enum fl_error error = FL_EMORE;

    head = (struct fl_http_head){.chunked = true};
    fl_buffer_clear(out);
    fl_http_body_begin(&body, &head);
    ctx.text[0] = 0;
    while (error == FL_EMORE && in.size) {
        struct fl_slice part = fl_slice(in.data, drip ? 1 : in.size);
        size_t before = part.size;
        error = fl_http_body_read(&body, &part, out, &ctx);
        in = fl_slice_from(in, before - part.size);
    }
    *left = in.size;
    head.status = body.status;
    return error;
}

static void chunked_bodies_are_joined(void **state)
{
    struct fl_buffer out = FL_BUFFER(64);
    size_t left = 0;

    (void)state;
    for (int drip = 0; drip < 2; drip++) {
        assert_ok(
            read_chunked("5\r\nhello\r\n00A;x=\"y\"\r\n, world!!!\r\n0\r\nTrailer: x\r\n\r\nnext",
                         drip, &out, &left));
        assert_slice_equal(fl_buffer_slice(&out), "hello, world!!!");
        assert_int_equal(left, 4);
    }
    assert_int_equal(read_chunked("5\r\nhel", false, &out, &left), FL_EMORE);
    fl_buffer_free(&out);
}

static void malformed_chunks_are_refused(void **state)
{
    static const struct {
        const char *text;
        int status;
    } table[] = {
        {"\r\n", 400},       {";x\r\n", 400},
        {"g\r\n", 400},      {"-1\r\n", 400},
        {" 1\r\n", 400},     {"1\n", 400},
        {"1\rx", 400},       {"1\r\nab", 400},
        {"1\r\na\n", 400},   {"1;\x01\r\n", 400},
        {"0\r\nA\n", 400},   {"0x1\r\n", 400},
        {"100001\r\n", 413}, {"fffffffffffffffff", 413},
    };
    struct fl_buffer out = FL_BUFFER(64);
    size_t left = 0;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        enum fl_error error = read_chunked(table[i].text, false, &out, &left);
        assert_int_not_equal(error, FL_OK);
        assert_int_not_equal(error, FL_EMORE);
        assert_int_equal(head.status, table[i].status);
    }
    fl_buffer_free(&out);
}

static void bodies_are_bounded(void **state)
{
    struct fl_buffer out = FL_BUFFER(8);
    char *text = repeat("1;", 'x', FL_LIMIT_HTTP_CHUNK_LINE, "\r\n");
    size_t left = 0;

    (void)state;
    assert_int_equal(read_chunked(text, false, &out, &left), FL_EPARSE);
    free(text);
    text = repeat("0\r\nX: ", 'x', FL_LIMIT_HTTP_TRAILERS, "\r\n");
    assert_int_equal(read_chunked(text, false, &out, &left), FL_ELIMIT);
    assert_int_equal(head.status, 431);
    free(text);
    assert_int_equal(read_chunked("5\r\nhello\r\n4\r\nabcd", false, &out, &left), FL_ELIMIT);
    assert_int_equal(head.status, 413);
    assert_ok(parse("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n"));
    assert_refused("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", 413,
                   "too large");
    fl_buffer_free(&out);
}

static void a_body_of_known_length_ends_where_it_says(void **state)
{
    struct fl_buffer out = FL_BUFFER(64);
    struct fl_http_body body = {0};
    struct fl_slice in = fl_slice_str("abcdef");

    (void)state;
    head = (struct fl_http_head){.content_length = 4};
    fl_http_body_begin(&body, &head);
    assert_ok(fl_http_body_read(&body, &in, &out, NULL));
    assert_slice_equal(fl_buffer_slice(&out), "abcd");
    assert_slice_equal(in, "ef");
    assert_ok(fl_http_body_read(&body, &in, &out, NULL));
    assert_slice_equal(in, "ef");
    head.content_length = 0;
    fl_http_body_begin(&body, &head);
    assert_int_equal(body.state, FL_HTTP_BODY_DONE);
    fl_buffer_free(&out);
}

static void query_parameters_are_found_and_decoded(void **state)
{
    struct fl_buffer value = FL_BUFFER(64);
    struct fl_slice query =
        fl_slice_str("a=1&&b=x%20y%C3%A9&t=2026-11-22T07:00:00+01:00&flag&c=&d=1&d=2");

    (void)state;
    assert_ok(fl_http_query_get(query, "a", &value, &ctx));
    assert_slice_equal(fl_buffer_slice(&value), "1");
    assert_ok(fl_http_query_get(query, "b", &value, &ctx));
    assert_slice_equal(fl_buffer_slice(&value), "x y\xc3\xa9");
    assert_ok(fl_http_query_get(query, "t", &value, &ctx));
    assert_slice_equal(fl_buffer_slice(&value), "2026-11-22T07:00:00+01:00");
    assert_ok(fl_http_query_get(query, "flag", &value, &ctx));
    assert_int_equal(value.size, 0);
    assert_ok(fl_http_query_get(query, "c", &value, &ctx));
    assert_int_equal(fl_http_query_get(query, "e", &value, &ctx), FL_ENOTFOUND);
    assert_int_equal(fl_http_query_get(query, "d", &value, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "twice");
    assert_int_equal(fl_http_query_get(fl_slice_str("a=%"), "a", &value, &ctx), FL_EPARSE);
    assert_int_equal(fl_http_query_get(fl_slice_str("a=%00"), "a", &value, &ctx), FL_EPARSE);
    assert_int_equal(fl_http_query_get(fl_slice_str("a=%ff"), "a", &value, &ctx), FL_EPARSE);
    assert_int_equal(fl_http_query_get(fl_slice_str(""), "a", &value, &ctx), FL_ENOTFOUND);
    fl_buffer_free(&value);
}

static void credentials_are_taken_from_their_scheme(void **state)
{
    struct fl_buffer text = FL_BUFFER(64);
    struct fl_slice user = {0};
    struct fl_slice password = {0};

    (void)state;
    assert_ok(fl_http_basic(fl_slice_str("Basic Y2FtLTAxOmE6Yg=="), &text, &user, &password));
    assert_slice_equal(user, "cam-01");
    assert_slice_equal(password, "a:b");
    assert_int_equal(fl_http_basic(fl_slice_str(""), &text, &user, &password), FL_ENOTFOUND);
    assert_int_equal(fl_http_basic(fl_slice_str("Bearer x"), &text, &user, &password),
                     FL_ENOTFOUND);
    assert_int_equal(fl_http_basic(fl_slice_str("basic "), &text, &user, &password), FL_ENOTFOUND);
    assert_int_equal(fl_http_basic(fl_slice_str("basic !!!!"), &text, &user, &password), FL_EPARSE);
    assert_int_equal(fl_http_basic(fl_slice_str("basic Y2Ft"), &text, &user, &password), FL_EPARSE);
    assert_int_equal(fl_http_basic(fl_slice_str("basic AGE6Yg=="), &text, &user, &password),
                     FL_EPARSE);
    assert_ok(fl_http_bearer(fl_slice_str("bearer  fla1.x-_Y"), &user));
    assert_slice_equal(user, "fla1.x-_Y");
    assert_int_equal(fl_http_bearer(fl_slice_str("Bearer a b"), &user), FL_EPARSE);
    assert_int_equal(fl_http_bearer(fl_slice_str("Basic a"), &user), FL_ENOTFOUND);
    assert_true(fl_http_media_type_is(fl_slice_str("Application/JSON ; charset=utf-8"),
                                      "application/json"));
    assert_false(fl_http_media_type_is(fl_slice_str("application/jsonx"), "application/json"));
    fl_buffer_free(&text);
}

static void every_status_has_words(void **state)
{
    (void)state;
    assert_string_equal(fl_http_status_words(404), "Not Found");
    assert_string_equal(fl_http_status_words(499), "Error");
    assert_string_equal(fl_http_status_words(599), "Server Error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_read),
        cmocka_unit_test(lists_are_looked_through_in_all_their_fields),
        cmocka_unit_test(a_head_that_drips_in_is_read_like_a_whole_one),
        cmocka_unit_test(paths_are_decoded),
        cmocka_unit_test(ambiguous_paths_are_refused),
        cmocka_unit_test(malformed_request_lines_are_refused),
        cmocka_unit_test(line_ends_must_be_whole),
        cmocka_unit_test(nul_is_refused_at_once),
        cmocka_unit_test(smuggling_is_refused),
        cmocka_unit_test(connections_are_kept_as_the_client_asks),
        cmocka_unit_test(long_requests_are_refused_by_their_limit),
        cmocka_unit_test(the_number_of_fields_is_bounded),
        cmocka_unit_test(chunked_bodies_are_joined),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(bodies_are_bounded),
        cmocka_unit_test(a_body_of_known_length_ends_where_it_says),
        cmocka_unit_test(query_parameters_are_found_and_decoded),
        cmocka_unit_test(credentials_are_taken_from_their_scheme),
        cmocka_unit_test(every_status_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
