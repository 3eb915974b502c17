/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "codec/http.h"
#include "io/clock.h"
#include "io/listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* waiting for a request -> HEAD -> BODY -> HANDLING -> ANSWERING -> waiting, FAREWELL, or UPGRADED
 * until the next round gives it to its new owner. */
#define STATES(X)                                                                                  \
    X(WAITING, 1U << HEAD | 1U << ANSWERING)                                                       \
    X(HEAD, 1U << BODY | 1U << HANDLING | 1U << ANSWERING)                                         \
    X(BODY, 1U << HANDLING | 1U << ANSWERING)                                                      \
    X(HANDLING, 1U << ANSWERING)                                                                   \
    X(ANSWERING, 1U << WAITING | 1U << FAREWELL | 1U << UPGRADED)                                  \
    X(UPGRADED, 0)                                                                                 \
    X(FAREWELL, 0)

enum state {
#define STATE_ENUM(name, next) name,
    STATES(STATE_ENUM)
#undef STATE_ENUM
};

static const unsigned next_states[] = {
#define STATE_NEXT(name, next) [name] = (next),
    STATES(STATE_NEXT)
#undef STATE_NEXT
};

struct fl_http_server {
    struct fl_loop *loop;
    SSL_CTX *tls;
    struct fl_http_handler handler;
    struct fl_listener *listener;
    size_t held;          /* bytes of bodies that are being received or handled */
    struct fl_list conns; /* who was last answered longest ago first */
    size_t count;
};

struct conn {
    struct fl_stream stream;
    struct fl_http_server *server;
    struct fl_list node;
    enum state state;
    struct fl_timer timer; /* of the request, of idling, of the answer's progress */
    struct fl_http_scan scan;
    struct fl_http_head *head; /* while there is a request */
    struct fl_http_body body;
    struct fl_buffer head_bytes;
    struct fl_buffer body_bytes;
    struct fl_buffer out;
    struct fl_http_exchange *exchange; /* while HANDLING */
    bool keep_alive;
    bool head_only;
    bool upgrades; /* it is answered with 101 */
    uint32_t uid;
    char peer[FL_LIMIT_ADDRESS];
};

struct fl_http_exchange {
    struct conn *conn; /* NULL when it has gone */
};

static void move_to(struct conn *c, enum state state)
{
    fl_assert((next_states[c->state] & 1U << state) != 0);
    c->state = state;
}

static void forget_request(struct conn *c)
{
    c->server->held -= c->body_bytes.size;
    free(c->head);
    c->head = NULL;
    c->scan = (struct fl_http_scan){0};
    fl_buffer_free(&c->head_bytes);
    fl_buffer_free(&c->body_bytes);
}

static void free_conn(struct conn *c)
{
    if (c->exchange)
        c->exchange->conn = NULL;
    forget_request(c);
    fl_stream_close(&c->stream);
    fl_loop_stop_timer(c->server->loop, &c->timer);
    fl_list_remove(&c->node);
    c->server->count--;
    fl_buffer_free(&c->out);
    free(c);
}

/* --- answering --- */

static void flush(struct conn *c)
{
    enum fl_error error = fl_stream_write(&c->stream, &c->out);

    if (error == FL_EMORE) {
        fl_loop_set_timer(c->server->loop, &c->timer, FL_LIMIT_HTTP_REQUEST_MS);
        return;
    }
    if (error || c->state != ANSWERING)
        return; /* when it has failed, `lost` follows */
    fl_buffer_free(&c->out);
    if (c->upgrades) {
        /* In a round of its own: whoever called may still hold on to the connection. */
        move_to(c, UPGRADED);
        fl_loop_set_timer(c->server->loop, &c->timer, 0);
        return;
    }
    if (!c->keep_alive) {
        move_to(c, FAREWELL);
        fl_loop_stop_timer(c->server->loop, &c->timer);
        fl_stream_finish(&c->stream);
        return;
    }
    move_to(c, WAITING);
    fl_list_remove(&c->node);
    fl_list_push(&c->server->conns, &c->node);
    fl_loop_set_timer(c->server->loop, &c->timer, FL_LIMIT_HTTP_IDLE_MS);
    fl_stream_resume(&c->stream);
}

static void append_date(struct fl_buffer *out)
{
    time_t now = (time_t)(fl_clock_now(fl_clock_system()) / 1000);
    struct tm parts = {0};
    char text[64] = "";

    /* RFC 9110 5.6.7; no locale is ever set, so names are English. */
    if (gmtime_r(&now, &parts) && strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts))
        (void)fl_buffer_printf(out, "Date: %s\r\n", text);
}

static void compose(struct conn *c, const struct fl_http_response *r)
{
    struct fl_buffer *out = &c->out;
    bool bodiless = r->status == 204 || r->status == 304 || c->upgrades;

    (void)fl_buffer_printf(out, "HTTP/1.1 %d %s\r\n", r->status, fl_http_status_words(r->status));
    append_date(out);
    if (r->headers)
        (void)fl_buffer_append_str(out, r->headers);
    if (r->content_type && !bodiless)
        (void)fl_buffer_printf(out, "Content-Type: %s\r\n", r->content_type);
    if (!bodiless)
        (void)fl_buffer_printf(out, "Content-Length: %zu\r\n", r->content_type ? r->body.size : 0);
    (void)fl_buffer_append_str(out,
                               c->keep_alive || c->upgrades ? "\r\n" : "Connection: close\r\n\r\n");
    if (r->content_type && !bodiless && !c->head_only)
        (void)fl_buffer_append_slice(out, r->body);
}

static void answer(struct conn *c, const struct fl_http_response *response)
{
    fl_assert(response->status != 101 || c->server->handler.upgraded);
    move_to(c, ANSWERING);
    forget_request(c);
    c->upgrades = response->status == 101;
    compose(c, response);
    if (c->out.failed) {
        fl_log(FL_LOG_ERROR, "http", "an answer of %zu bytes is too large", response->body.size);
        fl_buffer_clear(&c->out);
        c->keep_alive = false;
        c->upgrades = false;
        compose(c, &(struct fl_http_response){.status = 500});
    }
    flush(c);
}

static void append_json_text(struct fl_buffer *out, struct fl_slice text)
{
    bool utf8 = fl_slice_is_utf8(text);

    (void)fl_buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (c == '"' || c == '\\')
            (void)fl_buffer_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7F || (c >= 0x80 && !utf8))
            (void)fl_buffer_printf(out, "\\u%04x", c);
        else
            (void)fl_buffer_append_byte(out, c);
    }
    (void)fl_buffer_append_byte(out, '"');
}

static void compose_problem(struct fl_buffer *out, int status, const char *title,
                            const char *detail)
{
    (void)fl_buffer_append_str(out, "{\"type\":\"about:blank\",\"title\":");
    append_json_text(out, fl_slice_str(title ? title : fl_http_status_words(status)));
    (void)fl_buffer_printf(out, ",\"status\":%d,\"detail\":", status);
    append_json_text(out, fl_slice_str(detail));
    (void)fl_buffer_append_str(out, "}\n");
}

/* The server's own answer to a request that is malformed or too slow: then it closes. */
static void refuse(struct conn *c, int status, const char *detail)
{
    struct fl_buffer body = FL_BUFFER(4096);
    struct fl_http_response response = {.status = status,
                                        .content_type = "application/problem+json"};

    c->keep_alive = false;
    c->head_only = false;
    compose_problem(&body, status, NULL, detail);
    response.body = fl_buffer_slice(&body);
    fl_log(FL_LOG_DEBUG, "http", "%s: %d %s", c->peer, status, detail);
    answer(c, &response);
    fl_buffer_free(&body);
}

void fl_http_answer(struct fl_http_exchange *exchange, const struct fl_http_response *response)
{
    struct conn *c = exchange->conn;

    free(exchange);
    if (!c)
        return;
    c->exchange = NULL;
    answer(c, response);
}

void fl_http_problem(struct fl_http_exchange *exchange, int status, const char *title,
                     const char *detail, const char *headers)
{
    struct fl_buffer body = FL_BUFFER(16384);
    struct fl_http_response response = {
        .status = status, .content_type = "application/problem+json", .headers = headers};

    compose_problem(&body, status, title, detail);
    response.body = fl_buffer_slice(&body);
    fl_http_answer(exchange, &response);
    fl_buffer_free(&body);
}

/* --- requests --- */

static void handle(struct conn *c)
{
    struct fl_http_request request = {.peer = c->peer, .peer_uid = c->uid};
    struct fl_http_exchange *exchange = calloc(1, sizeof *exchange);

    if (!exchange) {
        refuse(c, 503, "out of memory");
        return;
    }
    move_to(c, HANDLING);
    fl_loop_stop_timer(c->server->loop, &c->timer);
    exchange->conn = c;
    c->exchange = exchange;
    c->keep_alive = c->head->keep_alive;
    c->head_only = fl_slice_is(c->head->method, "HEAD");
    request.method = c->head_only ? fl_slice_str("GET") : c->head->method;
    request.path = c->head->path;
    request.query = c->head->query;
    request.body = fl_buffer_slice(&c->body_bytes);
    request.tls = c->stream.ssl;
    request.may_upgrade = c->server->handler.upgraded && !c->head_only && c->head->minor >= 1 &&
                          fl_slice_is(c->head->method, "GET") && c->body_bytes.size == 0;
    request.head = c->head;
    c->server->handler.request(c->server->handler.self, exchange, &request);
}

struct fl_slice fl_http_header(const struct fl_http_request *request, const char *name)
{
    return fl_http_head_field(request->head, name);
}

size_t fl_http_header_count(const struct fl_http_request *request, const char *name)
{
    return fl_http_head_count(request->head, name);
}

bool fl_http_header_lists(const struct fl_http_request *request, const char *name,
                          const char *token)
{
    return fl_http_head_lists(request->head, name, token);
}

static void begin_body(struct conn *c)
{
    fl_http_body_begin(&c->body, c->head);
    if (c->body.state == FL_HTTP_BODY_DONE) {
        handle(c);
        return;
    }
    move_to(c, BODY);
    if (c->head->expects_continue) {
        (void)fl_buffer_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        flush(c);
    }
}

/* The head's slices point into head_bytes, which therefore keeps no byte of the body. */
static size_t receive_head(struct conn *c, struct fl_slice bytes)
{
    struct fl_context ctx = {0};
    size_t before = c->head_bytes.size;
    size_t room = c->head_bytes.max - before;
    size_t take = bytes.size < room ? bytes.size : room;
    enum fl_error error = FL_OK;

    if (!c->head)
        c->head = calloc(1, sizeof *c->head);
    if (!c->head || fl_buffer_append(&c->head_bytes, bytes.data, take) != FL_OK) {
        refuse(c, 503, "out of memory");
        return bytes.size;
    }
    error = fl_http_head_parse(&c->scan, fl_buffer_slice(&c->head_bytes), c->head, &ctx);
    if (error == FL_EMORE)
        return take;
    if (error) {
        refuse(c, c->head->status, ctx.text);
        return bytes.size;
    }
    take = c->head->size - before;
    c->head_bytes.size = c->head->size;
    begin_body(c);
    return take;
}

static size_t receive_body(struct conn *c, struct fl_slice bytes)
{
    struct fl_context ctx = {0};
    struct fl_slice rest = bytes;
    size_t before = c->body_bytes.size;
    enum fl_error error = fl_http_body_read(&c->body, &rest, &c->body_bytes, &ctx);

    c->server->held += c->body_bytes.size - before;
    if (c->server->held > FL_LIMIT_HTTP_BODIES)
        refuse(c, 503, "too many large requests at once");
    else if (error == FL_OK)
        handle(c);
    else if (error != FL_EMORE)
        refuse(c, c->body.status, ctx.text);
    return bytes.size - rest.size;
}

/* The connection cannot go away in here: only the loop's callbacks end it. */
static size_t on_received(struct fl_stream *stream, struct fl_slice bytes)
{
    struct conn *c = fl_container_of(stream, struct conn, stream);
    size_t taken = 0;

    while (taken < bytes.size) {
        struct fl_slice rest = fl_slice_from(bytes, taken);

        if (c->state == WAITING) {
            move_to(c, HEAD);
            fl_loop_set_timer(c->server->loop, &c->timer, FL_LIMIT_HTTP_REQUEST_MS);
        }
        if (c->state == HEAD)
            taken += receive_head(c, rest);
        else if (c->state == BODY)
            taken += receive_body(c, rest);
        else
            break;
    }
    return c->state == FAREWELL ? bytes.size : taken;
}

/* --- connections --- */

static void on_opened(struct fl_stream *stream)
{
    struct conn *c = fl_container_of(stream, struct conn, stream);

    fl_loop_set_timer(c->server->loop, &c->timer, FL_LIMIT_HTTP_IDLE_MS);
}

static void on_writable(struct fl_stream *stream)
{
    flush(fl_container_of(stream, struct conn, stream));
}

static void on_lost(struct fl_stream *stream, enum fl_error error, const char *why)
{
    struct conn *c = fl_container_of(stream, struct conn, stream);

    if (error != FL_ECLOSED)
        fl_log(FL_LOG_DEBUG, "http", "%s: %s", c->peer, why);
    free_conn(c);
}

static void on_timer(struct fl_timer *timer)
{
    struct conn *c = fl_container_of(timer, struct conn, timer);

    if (c->state == HEAD || c->state == BODY) {
        refuse(c, 408, "the request did not come within its time");
        return;
    }
    if (c->state == UPGRADED)
        c->server->handler.upgraded(c->server->handler.self, &c->stream, c->peer);
    free_conn(c); /* idle, an answer that is not read, or given away */
}

static const struct fl_stream_handler stream_handler = {
    .opened = on_opened,
    .received = on_received,
    .writable = on_writable,
    .lost = on_lost,
};

/* The connection that was quiet longest gives way: a flood of half-open ones must not lock everyone
 * else out. */
static bool give_one_up(void *self)
{
    struct fl_http_server *server = self;

    if (fl_list_empty(&server->conns))
        return false;
    free_conn(fl_container_of(server->conns.next, struct conn, node));
    return true;
}

static void on_accepted(void *self, const struct fl_accepted *accepted)
{
    struct fl_http_server *server = self;
    struct conn *c = NULL;
    struct fl_context ctx = {0};

    if (server->count >= FL_LIMIT_HTTP_CONNECTIONS)
        (void)give_one_up(server);
    c = calloc(1, sizeof *c);
    if (!c) {
        fl_log(FL_LOG_ERROR, "http", "out of memory for a connection");
        (void)close(accepted->fd);
        return;
    }
    c->server = server;
    c->timer.fired = on_timer;
    c->uid = accepted->uid;
    c->head_bytes = FL_BUFFER(FL_LIMIT_HTTP_HEAD + 1);
    c->body_bytes = FL_BUFFER(FL_LIMIT_HTTP_BODY);
    c->out = FL_BUFFER(FL_LIMIT_HTTP_RESPONSE);
    (void)fl_str_copy(c->peer, sizeof c->peer, accepted->peer);
    if (fl_stream_open(&c->stream, server->loop, accepted->fd, server->tls, &stream_handler,
                       c->peer, &ctx) != FL_OK) {
        fl_log(FL_LOG_ERROR, "http", "%s", ctx.text);
        free(c);
        return;
    }
    fl_list_push(&server->conns, &c->node);
    server->count++;
}

enum fl_error fl_http_server_open(struct fl_loop *loop, int listen_fd, SSL_CTX *tls,
                                  const struct fl_http_handler *handler,
                                  struct fl_http_server **server, struct fl_context *ctx)
{
    struct fl_http_server *s = calloc(1, sizeof *s);
    struct fl_listener_handler accept = {
        .accepted = on_accepted, .exhausted = give_one_up, .self = s};
    enum fl_error error = FL_OK;

    if (!s) {
        (void)close(listen_fd);
        return fl_fail(ctx, FL_ENOMEM, "http: out of memory");
    }
    s->loop = loop;
    s->tls = tls;
    s->handler = *handler;
    fl_list_init(&s->conns);
    error = fl_listener_open(loop, listen_fd, &accept, &s->listener, ctx);
    if (error) {
        free(s);
        return fl_fail_in(ctx, error, "http");
    }
    *server = s;
    return FL_OK;
}

void fl_http_server_close(struct fl_http_server *server)
{
    if (!server)
        return;
    fl_listener_close(server->listener);
    FL_LIST_EACH(node, &server->conns)
    free_conn(fl_container_of(node, struct conn, node));
    free(server);
}

uint32_t fl_http_server_cut(struct fl_http_server *server, bool (*which)(void *self, SSL *tls),
                            void *self)
{
    uint32_t count = 0;

    FL_LIST_EACH(node, &server->conns)
    {
        struct conn *c = fl_container_of(node, struct conn, node);

        if (c->stream.ssl && which(self, c->stream.ssl)) {
            free_conn(c);
            count++;
        }
    }
    return count;
}
