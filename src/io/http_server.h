/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 (RFC 9112) for our two listeners: HTTPS at the front and a Unix socket at the hub. It
 * accepts, runs TLS, parses strictly (codec/http), bounds everything (FL_LIMIT_HTTP_*), answers
 * malformed requests by itself, and hands whole requests to one handler, which answers now or
 * later. One request at a time per connection; keep-alive; no pipelined concurrency.
 */
#ifndef FL_IO_HTTP_SERVER_H
#define FL_IO_HTTP_SERVER_H

#include "base/buffer.h"
#include "io/stream.h"

struct fl_http_request {
    struct fl_slice method; /* "GET", also for HEAD, whose answer is sent without its body */
    struct fl_slice path;   /* percent-decoded, starts with '/', no NUL, no "." or ".." segments */
    struct fl_slice query;  /* as on the wire, without '?' */
    struct fl_slice body;
    SSL *tls;          /* NULL on a Unix socket */
    const char *peer;  /* "192.0.2.1:4711" or "local" */
    uint32_t peer_uid; /* of a Unix socket's other side */
    bool may_upgrade;  /* it may be answered with 101: a GET of HTTP/1.1 without a body */
    const void *head;  /* for fl_http_header */
};

/* Names without regard to case; empty when absent. */
struct fl_slice fl_http_header(const struct fl_http_request *request, const char *name);
/* How often it is there; whether the lists of that name have this token. */
size_t fl_http_header_count(const struct fl_http_request *request, const char *name);
bool fl_http_header_lists(const struct fl_http_request *request, const char *name,
                          const char *token);

/* An exchange stays valid until it is answered; answering one whose connection has gone is
 * harmless. */
struct fl_http_exchange;

struct fl_http_response {
    int status;
    const char *content_type; /* NULL: no body */
    struct fl_slice body;
    const char *headers; /* further ones, each "Name: value\r\n", or NULL */
};

struct fl_http_handler {
    /* The request's slices live until it returns. It must lead to exactly one fl_http_answer. */
    void (*request)(void *self, struct fl_http_exchange *exchange,
                    const struct fl_http_request *request);
    /* 101 was answered and sent: the connection speaks another protocol now. Its new owner takes
     * the stream inside (fl_stream_move), or it is closed. NULL: no request may upgrade. */
    void (*upgraded)(void *self, struct fl_stream *stream, const char *peer);
    void *self;
};

struct fl_http_server;

/* Takes over `listen_fd`, also when it fails. `tls` NULL: no TLS (Unix socket). */
FL_MUST_USE enum fl_error fl_http_server_open(struct fl_loop *loop, int listen_fd, SSL_CTX *tls,
                                              const struct fl_http_handler *handler,
                                              struct fl_http_server **server,
                                              struct fl_context *ctx);
/* NULL is harmless; exchanges that are still open may be answered after it, to nobody. */
void fl_http_server_close(struct fl_http_server *server);

/* Closes at once the TLS connections for which `which` says so; returns how many. */
uint32_t fl_http_server_cut(struct fl_http_server *server, bool (*which)(void *self, SSL *tls),
                            void *self);

void fl_http_answer(struct fl_http_exchange *exchange, const struct fl_http_response *response);
/* RFC 9457 problem details: {"type":"about:blank","title":...,"status":...,"detail":...}. */
void fl_http_problem(struct fl_http_exchange *exchange, int status, const char *title,
                     const char *detail, const char *headers);

#endif
