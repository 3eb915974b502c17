/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "codec/http_result.h"

static enum fl_error read_all(struct fl_http_result *r, const char *text, size_t step,
                              struct fl_context *ctx)
{
    enum fl_error error = FL_EMORE;
    struct fl_slice left = fl_slice_str(text);

    fl_http_result_begin(r, 100);
    while (left.size && error == FL_EMORE) {
        size_t size = step < left.size ? step : left.size;

        error = fl_http_result_read(r, fl_slice(left.data, size), ctx);
        left = fl_slice_from(left, size);
    }
    return error;
}

static void a_response_is_read_however_it_is_cut(void **state)
{
    static const char text[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length:  5 \r\n"
        "\r\nhello";
    (void)state;

    for (size_t step = 1; step <= sizeof text; step++) {
        struct fl_http_result r = {0};
        struct fl_context ctx = {0};

        assert_ok(read_all(&r, text, step, &ctx));
        assert_int_equal(r.status, 200);
        assert_false(r.closes);
        assert_slice_equal(fl_buffer_slice(&r.content), "hello");
        fl_http_result_free(&r);
    }
}

static void chunks_retries_and_interim_answers_are_understood(void **state)
{
    struct fl_http_result r = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(read_all(&r,
                       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Service Unavailable\r\n"
                       "Retry-After: 7\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
                       3, &ctx));
    assert_int_equal(r.status, 503);
    assert_int_equal(r.retry_after_s, 7);
    assert_true(r.closes);
    assert_slice_equal(fl_buffer_slice(&r.content), "abcde");
    fl_http_result_free(&r);
    assert_ok(read_all(&r, "HTTP/1.1 204\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n",
                       100, &ctx));
    assert_int_equal(r.retry_after_s, 0);
    assert_int_equal(r.content.size, 0);
    fl_http_result_free(&r);
}

static void what_is_left_over_stays(void **state)
{
    struct fl_http_result r = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(read_all(&r, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP", 100, &ctx));
    assert_slice_equal(fl_buffer_slice(&r.in), "HTTP");
    fl_http_result_free(&r);
}

static void nonsense_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum fl_error error;
    } bad[] = {
        {"SSH-2.0-OpenSSH\r\n\r\n", FL_EPARSE},
        {"HTTP/2 200 OK\r\n\r\n", FL_EPARSE},
        {"HTTP/1.1 099 x\r\nContent-Length: 1\r\n\r\n", FL_EPARSE},
        {"HTTP/1.1 2000\r\nContent-Length: 1\r\n\r\n", FL_EPARSE},
        {"HTTP/1.1 200 OK\r\n\r\n", FL_EUNSUPPORTED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", FL_EPARSE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", FL_EPARSE},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", FL_EPARSE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", FL_EPARSE},
        {"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", FL_EPARSE},
        {"HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\n", FL_EPARSE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", FL_ELIMIT},
    };
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fl_http_result r = {0};
        struct fl_context ctx = {0};
        enum fl_error error = read_all(&r, bad[i].text, 1000, &ctx);

        if (error != bad[i].error)
            fail_msg("%s: %s, %s", bad[i].text, fl_error_words(error), ctx.text);
        assert_true(ctx.text[0]);
        fl_http_result_free(&r);
    }
}

static void a_head_without_end_is_refused(void **state)
{
    struct fl_http_result r = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_EMORE;
    (void)state;

    fl_http_result_begin(&r, FL_LIMIT_HTTP_HEAD);
    for (int i = 0; i < FL_LIMIT_HTTP_HEAD && error == FL_EMORE; i++)
        error = fl_http_result_read(&r, fl_slice_str("x: y\r\n"), &ctx);
    assert_int_equal(error, FL_ELIMIT);
    fl_http_result_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_is_read_however_it_is_cut),
        cmocka_unit_test(chunks_retries_and_interim_answers_are_understood),
        cmocka_unit_test(what_is_left_over_stays),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_head_without_end_is_refused),
    };

    return cmocka_run_group_tests_name("http_result", tests, NULL, NULL);
}
