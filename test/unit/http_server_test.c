/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/limits.h"
#include "base/str.h"
#include "io/http_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A server on a Unix socket and its clients, all in one loop. */
struct world {
    struct fl_loop *loop;
    struct fl_http_server *server;
    struct sockaddr_un address;
    struct fl_http_exchange *waiting; /* "/later" */
    unsigned requests;
    unsigned upgraded;
    bool takes_upgraded; /* the new owner takes the stream, and echoes */
    struct fl_stream taken;
    char last[256]; /* "METHOD path?query body" of the last request */
    char got[1024 * 1024];
    size_t got_size;
    bool ended; /* the server has closed the last client read */
};

static void on_request(void *self, struct fl_http_exchange *exchange,
                       const struct fl_http_request *r)
{
    struct world *w = self;
    struct fl_http_response response = {
        .status = 200, .content_type = "text/plain", .body = fl_slice_str("hello\n")};

    w->requests++;
    assert_string_equal(r->peer, "local");
    assert_int_equal(r->peer_uid, getuid());
    (void)snprintf(w->last, sizeof w->last, "%.*s %.*s?%.*s %.*s", FL_SLICE_ARGS(r->method),
                   FL_SLICE_ARGS(r->path), FL_SLICE_ARGS(r->query), FL_SLICE_ARGS(r->body));
    if (fl_slice_is(r->path, "/later"))
        w->waiting = exchange;
    else if (fl_slice_is(r->path, "/problem"))
        fl_http_problem(exchange, 409, "Conflict", "a \"quoted\"\n\xff", "X-More: 1\r\n");
    else if (fl_slice_is(r->path, "/upgrade"))
        fl_http_answer(exchange, &(struct fl_http_response){.status = r->may_upgrade ? 101 : 400,
                                                            .headers = "Upgrade: echo\r\n"});
    else if (fl_slice_is(r->path, "/none"))
        fl_http_answer(exchange, &(struct fl_http_response){.status = 204});
    else if (fl_slice_is(r->path, "/huge")) {
        response.body.size = (size_t)FL_LIMIT_HTTP_RESPONSE + 1;
        response.body.data = calloc(1, response.body.size);
        fl_http_answer(exchange, &response);
        free((void *)(uintptr_t)response.body.data);
    } else
        fl_http_answer(exchange, &response);
}

/* --- the new owner of a connection that was upgraded --- */

static size_t on_received(struct fl_stream *stream, struct fl_slice bytes)
{
    struct fl_buffer out = FL_BUFFER(1024);

    assert_ok(fl_buffer_append_slice(&out, bytes));
    assert_ok(fl_stream_write(stream, &out));
    fl_buffer_free(&out);
    return bytes.size;
}

static void on_lost(struct fl_stream *stream, enum fl_error error, const char *why)
{
    (void)error;
    (void)why;
    fl_stream_close(stream);
}

static void on_upgraded(void *self, struct fl_stream *stream, const char *peer)
{
    static const struct fl_stream_handler handler = {.received = on_received, .lost = on_lost};
    struct world *w = self;

    assert_string_equal(peer, "local");
    w->upgraded++;
    if (w->takes_upgraded)
        assert_ok(fl_stream_move(stream, &w->taken, &handler, "local", NULL));
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct fl_http_handler handler = {.request = on_request, .upgraded = on_upgraded, .self = w};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_non_null(w);
    assert_ok(fl_loop_create(&w->loop, NULL));
    /* Bound to a free abstract address. */
    w->address.sun_family = AF_UNIX;
    assert_int_equal(bind(fd, (struct sockaddr *)&w->address, sizeof w->address.sun_family), 0);
    socklen_t size = sizeof w->address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&w->address, &size), 0);
    assert_int_equal(listen(fd, 100), 0);
    assert_ok(fl_http_server_open(w->loop, fd, NULL, &handler, &w->server, NULL));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    fl_stream_close(&w->taken);
    fl_http_server_close(w->server);
    if (w->waiting)
        fl_http_answer(w->waiting, &(struct fl_http_response){.status = 200});
    fl_loop_free(w->loop);
    free(w);
    return 0;
}

static int dial(struct world *w)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    /* An abstract address that the kernel chose is five characters behind a NUL. */
    assert_int_equal(
        connect(fd, (struct sockaddr *)&w->address, (socklen_t)(sizeof w->address.sun_family + 6)),
        0);
    return fd;
}

static void rounds(struct world *w, int count)
{
    for (int i = 0; i < count; i++)
        assert_ok(fl_loop_round(w->loop, 1, NULL));
}

static void say(struct world *w, int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    rounds(w, 4);
}

/* What the server has sent until now, in w->got. */
static const char *hear(struct world *w, int fd)
{
    ssize_t size = 0;

    w->got_size = 0;
    do {
        rounds(w, 1);
        size = recv(fd, w->got + w->got_size, sizeof w->got - 1 - w->got_size, 0);
        if (size > 0)
            w->got_size += (size_t)size;
    } while (size > 0);
    w->ended = size == 0 || errno == ECONNRESET;
    w->got[w->got_size] = 0;
    return w->got;
}

static void an_upgraded_connection_gets_a_new_owner(void **state)
{
    struct world *w = *state;
    int fd = dial(w);

    w->takes_upgraded = true;
    say(w, fd, "GET /upgrade HTTP/1.1\r\nHost: x\r\n\r\nearly");
    assert_contains(hear(w, fd), "HTTP/1.1 101 Switching Protocols\r\n");
    assert_contains(w->got, "Upgrade: echo\r\n\r\nearly");
    assert_null(strstr(w->got, "Content-Length"));
    say(w, fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(hear(w, fd), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    /* It is no connection of the server's any more. */
    fl_http_server_close(w->server);
    w->server = NULL;
    say(w, fd, "still here");
    assert_string_equal(hear(w, fd), "still here");
    assert_int_equal(w->upgraded, 1);
    (void)close(fd);
    rounds(w, 3);
    assert_int_equal(w->taken.state, FL_STREAM_CLOSED);
}

static void an_upgraded_connection_that_nobody_takes_is_closed(void **state)
{
    struct world *w = *state;
    int fd = dial(w);

    say(w, fd, "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_contains(hear(w, fd), "HTTP/1.1 101 ");
    assert_null(strstr(w->got, "Connection: close"));
    assert_int_equal(w->upgraded, 1);
    assert_true(w->ended);
    (void)close(fd);
}

static void only_a_get_of_http_1_1_without_a_body_may_upgrade(void **state)
{
    static const char *const requests[] = {
        "HEAD /upgrade HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /upgrade HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "GET /upgrade HTTP/1.0\r\n\r\n",
        "GET /upgrade HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int fd = dial(w);

        say(w, fd, requests[i]);
        assert_contains(hear(w, fd), "HTTP/1.1 400 ");
        (void)close(fd);
    }
    assert_int_equal(w->upgraded, 0);
}

static void a_request_is_answered_and_the_connection_kept(void **state)
{
    struct world *w = *state;
    int fd = dial(w);

    for (int i = 0; i < 3; i++) {
        say(w, fd, "GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_string_equal(w->last, "GET /a b?c=d ");
        assert_contains(hear(w, fd), "HTTP/1.1 200 OK\r\nDate: ");
        assert_contains(w->got, "\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n");
        assert_false(w->ended);
    }
    (void)close(fd);
}

static void requests_that_arrive_together_are_answered_in_order(void **state)
{
    struct world *w = *state;
    int fd = dial(w);

    say(w, fd,
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /later HTTP/1.1\r\nHost: x\r\n\r\n"
        "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(w->requests, 2);
    assert_contains(hear(w, fd), "hello\n");
    assert_non_null(w->waiting);
    fl_http_answer(w->waiting, &(struct fl_http_response){.status = 404});
    w->waiting = NULL;
    rounds(w, 4);
    assert_contains(hear(w, fd), "HTTP/1.1 404 Not Found\r\n");
    assert_contains(w->got, "Content-Length: 0\r\n\r\nHTTP/1.1 204 No Content\r\n");
    assert_int_equal(w->requests, 3);
    (void)close(fd);
}

static void bodies_come_whole_however_they_are_sent(void **state)
{
    struct world *w = *state;
    int fd = dial(w);

    say(w, fd, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_string_equal(hear(w, fd), "HTTP/1.1 100 Continue\r\n\r\n");
    say(w, fd, "he");
    say(w, fd, "llo");
    assert_string_equal(w->last, "POST /a? hello");
    assert_contains(hear(w, fd), "HTTP/1.1 200 OK\r\n");
    say(w, fd, "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    say(w, fd, "2\r\nde\r\n0\r\n\r\n");
    assert_string_equal(w->last, "POST /b? abcde");
    (void)close(fd);
}

static void head_is_answered_without_a_body(void **state)
{
    struct world *w = *state;
    int fd = dial(w);

    say(w, fd, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(w->last, "GET /a? ");
    assert_contains(hear(w, fd), "Content-Length: 6\r\n\r\n");
    assert_null(strstr(w->got, "hello"));
    (void)close(fd);
}

static void malformed_requests_get_an_answer_and_an_end(void **state)
{
    static const struct {
        const char *text;
        const char *status;
    } table[] = {
        {"GET / HTTP/1.1\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET /../etc HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
        {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "HTTP/1.1 505 "},
        {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", "HTTP/1.1 413 "},
        {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 "},
        {"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int fd = dial(w);
        say(w, fd, table[i].text);
        assert_contains(hear(w, fd), table[i].status);
        assert_contains(w->got, "Connection: close\r\n\r\n{\"type\":\"about:blank\"");
        assert_true(w->ended);
        (void)close(fd);
    }
    assert_int_equal(w->requests, 0);
}

static void an_endless_head_is_refused_by_its_limit(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    char line[1100];

    memset(line, 'a', sizeof line);
    memcpy(line, "X: ", 3);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    say(w, fd, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 16; i++)
        say(w, fd, line);
    assert_contains(hear(w, fd), "HTTP/1.1 431 ");
    (void)close(fd);
}

static void the_client_may_ask_for_the_end(void **state)
{
    struct world *w = *state;
    int fd = dial(w);

    say(w, fd, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_contains(hear(w, fd), "Connection: close\r\n\r\nhello\n");
    assert_true(w->ended);
    (void)close(fd);
}

static void problems_are_escaped(void **state)
{
    struct world *w = *state;
    int fd = dial(w);

    say(w, fd, "GET /problem HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_contains(hear(w, fd), "HTTP/1.1 409 Conflict\r\n");
    assert_contains(w->got, "X-More: 1\r\nContent-Type: application/problem+json\r\n");
    assert_contains(w->got, "{\"type\":\"about:blank\",\"title\":\"Conflict\",\"status\":409,"
                            "\"detail\":\"a \\\"quoted\\\"\\u000a\\u00ff\"}");
    (void)close(fd);
}

static void an_answer_over_its_limit_becomes_an_error(void **state)
{
    struct world *w = *state;
    int fd = dial(w);

    say(w, fd, "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_contains(hear(w, fd), "HTTP/1.1 500 ");
    assert_true(w->ended);
    (void)close(fd);
}

static void an_answer_to_someone_who_has_gone_is_harmless(void **state)
{
    struct world *w = *state;
    int fd = dial(w);

    say(w, fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)close(fd);
    rounds(w, 4);
    fl_http_answer(w->waiting, &(struct fl_http_response){.status = 200});
    w->waiting = NULL;
    rounds(w, 2);
    fd = dial(w);
    say(w, fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_contains(hear(w, fd), "hello");
    (void)close(fd);
}

static void a_large_answer_waits_for_a_slow_reader(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    size_t size = (size_t)900 * 1024;
    char *text = malloc(size);
    struct fl_http_response response = {.status = 200, .content_type = "text/plain"};

    assert_non_null(text);
    memset(text, 'x', size);
    response.body = fl_slice(text, size);
    say(w, fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    fl_http_answer(w->waiting, &response);
    w->waiting = NULL;
    free(text);
    rounds(w, 3);
    assert_contains(hear(w, fd), "Content-Length: 921600\r\n\r\nxxxx");
    assert_true(w->got_size > size && w->got_size < size + 200);
    say(w, fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_contains(hear(w, fd), "hello");
    (void)close(fd);
}

/* Room for both ends of many connections in this one process. */
static bool raise_descriptors(rlim_t want)
{
    struct rlimit limit = {0};

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur >= want)
        return true;
    limit.rlim_cur = want;
    if (limit.rlim_max < want)
        limit.rlim_max = want;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void the_quietest_connection_gives_way(void **state)
{
    struct world *w = *state;
    int *fds = calloc(FL_LIMIT_HTTP_CONNECTIONS + 2, sizeof *fds);

    assert_non_null(fds);
    if (!raise_descriptors(2 * FL_LIMIT_HTTP_CONNECTIONS + 64)) {
        free(fds);
        skip();
    }
    fds[0] = dial(w);
    fds[1] = dial(w);
    say(w, fds[0], "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"); /* now fds[1] is the quietest */
    for (int i = 2; i < FL_LIMIT_HTTP_CONNECTIONS + 1; i++) {
        fds[i] = dial(w);
        rounds(w, i % 16 == 0);
    }
    rounds(w, 4);
    assert_contains(hear(w, fds[0]), "hello");
    assert_false(w->ended);
    (void)hear(w, fds[1]);
    assert_true(w->ended);
    (void)hear(w, fds[2]);
    assert_false(w->ended);
    for (int i = 0; i < FL_LIMIT_HTTP_CONNECTIONS + 1; i++)
        (void)close(fds[i]);
    free(fds);
}

static void bodies_together_are_bounded(void **state)
{
    struct world *w = *state;
    int fds[FL_LIMIT_HTTP_BODIES / FL_LIMIT_HTTP_BODY + 1];
    int count = FL_LIMIT_HTTP_BODIES / FL_LIMIT_HTTP_BODY + 1;
    char chunk[65536] = "";
    int refused = 0;

    for (int i = 0; i < count; i++) {
        size_t sent = 0;

        fds[i] = dial(w);
        say(w, fds[i], "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
        while (sent < FL_LIMIT_HTTP_BODY - 1) {
            size_t left = FL_LIMIT_HTTP_BODY - 1 - sent;
            ssize_t size =
                send(fds[i], chunk, left < sizeof chunk ? left : sizeof chunk, MSG_NOSIGNAL);
            if (size < 0 && errno != EAGAIN)
                break;
            sent += size > 0 ? (size_t)size : 0;
            rounds(w, 1);
        }
    }
    for (int i = 0; i < count; i++) {
        refused += strstr(hear(w, fds[i]), "HTTP/1.1 503 ") != NULL;
        (void)close(fds[i]);
    }
    assert_int_equal(refused, 1);
    /* What they held is free again. */
    rounds(w, 8);
    fds[0] = dial(w);
    say(w, fds[0], "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_contains(hear(w, fds[0]), "hello");
    (void)close(fds[0]);
}

/* Out of descriptors, the server lets someone go instead of turning everyone away. */
static void without_descriptors_someone_gives_way(void **state)
{
    struct world *w = *state;
    struct rlimit before = {0};
    struct rlimit tight = {0};
    int quiet = dial(w);
    int next = -1;
    int top = 0;

    rounds(w, 2);
    next = dial(w);
    top = dup(next);
    (void)close(top);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)top; /* the next descriptor would be this one */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    rounds(w, 4);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    (void)hear(w, quiet);
    assert_true(w->ended);
    say(w, next, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_contains(hear(w, next), "hello");
    (void)close(quiet);
    (void)close(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        WORLD_TEST(a_request_is_answered_and_the_connection_kept),
        WORLD_TEST(an_upgraded_connection_gets_a_new_owner),
        WORLD_TEST(an_upgraded_connection_that_nobody_takes_is_closed),
        WORLD_TEST(only_a_get_of_http_1_1_without_a_body_may_upgrade),
        WORLD_TEST(requests_that_arrive_together_are_answered_in_order),
        WORLD_TEST(bodies_come_whole_however_they_are_sent),
        WORLD_TEST(head_is_answered_without_a_body),
        WORLD_TEST(malformed_requests_get_an_answer_and_an_end),
        WORLD_TEST(an_endless_head_is_refused_by_its_limit),
        WORLD_TEST(the_client_may_ask_for_the_end),
        WORLD_TEST(problems_are_escaped),
        WORLD_TEST(an_answer_over_its_limit_becomes_an_error),
        WORLD_TEST(an_answer_to_someone_who_has_gone_is_harmless),
        WORLD_TEST(a_large_answer_waits_for_a_slow_reader),
        WORLD_TEST(the_quietest_connection_gives_way),
        WORLD_TEST(bodies_together_are_bounded),
        WORLD_TEST(without_descriptors_someone_gives_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
