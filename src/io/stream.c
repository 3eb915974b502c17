/* SPDX-License-Identifier: Apache-2.0 */
#include "io/stream.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "io/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE ((size_t)16 * 1024)    /* one TLS record */
#define READ_AT_ONCE ((size_t)64 * 1024) /* then the others have their turn */
#define WRITE_SIZE ((size_t)16 * 1024)
#define LINES_PER_SECOND 10
#define FAREWELL_MS 1000
#define FAREWELL_BYTES ((size_t)1024 * 1024)

/* One loop a thread, and `received` never reads another stream: one buffer serves them all. */
static _Thread_local uint8_t shared[READ_SIZE];

/* --- failing --- */

static void lose(struct fl_stream *s, enum fl_error error, const char *why)
{
    fl_loop_stop_timer(s->loop, &s->timer);
    fl_loop_undefer(&s->read_on);
    fl_loop_remove(s->loop, &s->watch);
    s->handler->lost(s, error, why);
}

/* The words of a failed read, write or handshake. */
static enum fl_error failure(struct fl_stream *s, int result, int saved_errno,
                             struct fl_context *ctx)
{
    unsigned long code = 0;

    if (!s->ssl)
        return result == 0 ? fl_fail(ctx, FL_ECLOSED, "closed by the other side")
                           : fl_fail(ctx, FL_EIO, "%s", strerror(saved_errno));
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_ZERO_RETURN:
        return fl_fail(ctx, FL_ECLOSED, "closed by the other side");
    case SSL_ERROR_SYSCALL:
        return fl_fail(ctx, FL_EIO, "%s", saved_errno ? strerror(saved_errno) : "connection ended");
    default:
        break;
    }
    code = ERR_get_error();
    if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        (void)fl_fail(ctx, FL_EIO, "connection ended without a TLS close");
    else
        (void)fl_fail(ctx, FL_EIO, "TLS: %s", code ? ERR_reason_error_string(code) : "failed");
    ERR_clear_error();
    return FL_EIO;
}

static bool wants_more(const struct fl_stream *s, int result, int saved_errno)
{
    int error = 0;

    if (!s->ssl)
        return result < 0 && (saved_errno == EAGAIN || saved_errno == EINTR);
    error = SSL_get_error(s->ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* --- opening --- */

/* What went wrong in a handshake is for the operator, but anyone can make one go wrong. */
static void log_failure(const struct fl_stream *s, const char *why)
{
    static _Thread_local fl_time_t second;
    static _Thread_local unsigned lines;
    fl_time_t now = fl_loop_now(s->loop) / 1000;

    if (now != second)
        lines = 0;
    second = now;
    if (lines++ < LINES_PER_SECOND)
        fl_log(FL_LOG_INFO, "tls", "%s: no handshake: %s", s->peer, why);
}

static void opened(struct fl_stream *s)
{
    fl_loop_stop_timer(s->loop, &s->timer);
    s->state = FL_STREAM_OPEN;
    /* What came with the handshake's last bytes is in OpenSSL's buffer already. */
    fl_loop_defer(s->loop, &s->read_on);
    s->handler->opened(s);
}

static void shake_hands(struct fl_stream *s)
{
    struct fl_context ctx = {0};
    int result = 0;

    if (!s->ssl) {
        opened(s);
        return;
    }
    ERR_clear_error();
    errno = 0;
    result = SSL_do_handshake(s->ssl);
    if (result == 1) {
        enum fl_error error = fl_tls_judge(s->ssl, s->peer, &ctx);
        if (error)
            lose(s, error, ctx.text);
        else
            opened(s);
        return;
    }
    if (wants_more(s, result, errno))
        return;
    (void)failure(s, result, errno, &ctx);
    if (fl_tls_refused(s->ssl, s->peer, &ctx)) {
        lose(s, FL_EDENIED, ctx.text);
    } else {
        log_failure(s, ctx.text);
        lose(s, FL_EAUTH, ctx.text);
    }
}

/* --- reading --- */

/* Offers bytes to the owner. False: paused or gone. */
static bool offer(struct fl_stream *s, struct fl_slice bytes)
{
    bool gone = false;
    size_t taken = 0;

    /* cppcheck-suppress autoVariables; it is taken back, or the stream has gone */
    s->gone = &gone;
    s->resumed = false;
    taken = s->handler->received(s, bytes);
    if (gone)
        return false;
    s->gone = NULL;
    if (taken == bytes.size) {
        if (bytes.data != shared)
            fl_buffer_free(&s->rest);
        return s->state == FL_STREAM_OPEN && !s->paused;
    }
    s->paused = true;
    if (bytes.data != shared) {
        fl_buffer_consume(&s->rest, taken);
    } else if (fl_buffer_append_slice(&s->rest, fl_slice_from(bytes, taken)) != FL_OK) {
        lose(s, FL_ENOMEM, "out of memory");
        return false;
    }
    if (s->resumed)
        fl_stream_resume(s);
    return false;
}

/* What a read of the socket gave tells whether another is worth a system call. */
static long on_bio(BIO *bio, int operation, const char *data, size_t size, int argi, long argl,
                   int result, size_t *done)
{
    struct fl_stream *s = (struct fl_stream *)BIO_get_callback_arg(bio);

    (void)data;
    (void)argi;
    (void)argl;
    if (operation == (BIO_CB_READ | BIO_CB_RETURN))
        s->drained = result <= 0 || *done < size;
    return result;
}

/* True when nothing can be left to read: the socket is edge-triggered, what comes later says so.
 * The end of the other side is one of the things that are left. */
static bool is_read_out(const struct fl_stream *s)
{
    return s->ssl && s->drained && !s->ended && !SSL_has_pending(s->ssl);
}

static int read_some(struct fl_stream *s, int *saved_errno)
{
    int result = 0;

    errno = 0;
    if (s->ssl) {
        ERR_clear_error();
        result = SSL_read(s->ssl, shared, (int)sizeof shared);
    } else {
        result = (int)recv(s->watch.fd, shared, sizeof shared, 0);
    }
    *saved_errno = errno;
    return result;
}

static void read_on(struct fl_stream *s)
{
    struct fl_context ctx = {0};
    int saved_errno = 0;

    if (s->rest.size && !offer(s, fl_buffer_slice(&s->rest)))
        return;
    for (size_t done = 0; done < READ_AT_ONCE;) {
        int result = read_some(s, &saved_errno);

        if (result > 0) {
            done += (size_t)result;
            if (!offer(s, fl_slice(shared, (size_t)result)) || is_read_out(s))
                return;
        } else if (saved_errno == EINTR && !s->ssl) {
            continue;
        } else if (wants_more(s, result, saved_errno)) {
            return;
        } else {
            enum fl_error error = failure(s, result, saved_errno, &ctx);
            lose(s, error, ctx.text);
            return;
        }
    }
    fl_loop_defer(s->loop, &s->read_on);
}

static void bid_farewell(struct fl_stream *s)
{
    for (;;) {
        /* Past the TLS: only its end matters now. */
        ssize_t result = recv(s->watch.fd, shared, sizeof shared, 0);

        if (result > 0) {
            s->dropped += (size_t)result;
            if (s->dropped <= FAREWELL_BYTES)
                continue;
        } else if (result < 0 && errno == EINTR) {
            continue;
        } else if (result < 0 && errno == EAGAIN) {
            return;
        }
        lose(s, FL_ECLOSED, "closed");
        return;
    }
}

static void on_read_on(struct fl_deferred *deferred)
{
    struct fl_stream *s = fl_container_of(deferred, struct fl_stream, read_on);

    if (s->failed)
        lose(s, FL_EIO, s->failed > 0 ? strerror(s->failed) : "TLS: write failed");
    else if (s->state == FL_STREAM_OPEN && !s->paused)
        read_on(s);
}

static void on_ready(struct fl_watch *watch, uint32_t events)
{
    struct fl_stream *s = fl_container_of(watch, struct fl_stream, watch);
    bool gone = false;

    s->drained = false;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        s->ended = true;
    if (s->state == FL_STREAM_HANDSHAKE) {
        shake_hands(s);
        return;
    }
    if (s->state == FL_STREAM_FAREWELL) {
        bid_farewell(s);
        return;
    }
    if (s->blocked && (events & EPOLLOUT) != 0) {
        s->blocked = false;
        s->gone = &gone;
        s->handler->writable(s);
        if (gone)
            return;
        s->gone = NULL;
    }
    /* A paused stream reads nothing, but that the other side is gone for good ends it. */
    if (s->paused && (events & (EPOLLHUP | EPOLLERR)) != 0)
        lose(s, FL_ECLOSED, "closed by the other side");
    else if (s->state == FL_STREAM_OPEN && !s->paused)
        read_on(s);
}

static void on_timer(struct fl_timer *timer)
{
    struct fl_stream *s = fl_container_of(timer, struct fl_stream, timer);
    struct fl_context ctx = {0};

    if (s->state == FL_STREAM_HANDSHAKE) {
        (void)fl_fail(&ctx, FL_ETIMEOUT, "no TLS handshake within %d s",
                      FL_LIMIT_HANDSHAKE_MS / 1000);
        log_failure(s, ctx.text);
        lose(s, FL_ETIMEOUT, ctx.text);
    } else {
        lose(s, FL_ECLOSED, "closed");
    }
}

static void set_up(struct fl_stream *s, struct fl_loop *loop,
                   const struct fl_stream_handler *handler, const char *peer)
{
    s->loop = loop;
    s->handler = handler;
    s->peer = peer;
    s->watch.ready = on_ready;
    s->timer.fired = on_timer;
    s->read_on.run = on_read_on;
}

static void listen_to_bio(struct fl_stream *s)
{
    if (!s->ssl)
        return;
    BIO_set_callback_ex(SSL_get_rbio(s->ssl), on_bio);
    BIO_set_callback_arg(SSL_get_rbio(s->ssl), (char *)s);
}

enum fl_error fl_stream_open(struct fl_stream *stream, struct fl_loop *loop, int fd, SSL_CTX *tls,
                             const struct fl_stream_handler *handler, const char *peer,
                             struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    set_up(stream, loop, handler, peer);
    stream->rest = FL_BUFFER(READ_SIZE);
    if (tls)
        error = fl_tls_accept(tls, fd, &stream->ssl, ctx);
    listen_to_bio(stream);
    if (!error)
        error = fl_loop_add(loop, &stream->watch, fd, ctx);
    if (error) {
        SSL_free(stream->ssl);
        stream->ssl = NULL;
        (void)close(fd);
        return error;
    }
    stream->state = FL_STREAM_HANDSHAKE;
    fl_loop_set_timer(loop, &stream->timer, FL_LIMIT_HANDSHAKE_MS);
    return FL_OK;
}

void fl_stream_release(struct fl_stream *stream)
{
    fl_loop_stop_timer(stream->loop, &stream->timer);
    fl_loop_undefer(&stream->read_on);
    fl_loop_remove(stream->loop, &stream->watch);
}

enum fl_error fl_stream_adopt(struct fl_stream *stream, struct fl_loop *loop,
                              struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    stream->loop = loop;
    stream->drained = false;
    error = fl_loop_add(loop, &stream->watch, stream->watch.fd, ctx);
    /* What came with the handshake is in OpenSSL already: no event tells of it. */
    if (!error)
        fl_loop_defer(loop, &stream->read_on);
    return error;
}

enum fl_error fl_stream_move(struct fl_stream *from, struct fl_stream *to,
                             const struct fl_stream_handler *handler, const char *peer,
                             struct fl_context *ctx)
{
    int fd = from->watch.fd;
    enum fl_error error = FL_OK;

    fl_assert(from->state == FL_STREAM_OPEN && !from->gone);
    set_up(to, from->loop, handler, peer);
    to->state = FL_STREAM_OPEN;
    to->ssl = from->ssl;
    to->rest = from->rest;
    to->blocked = from->blocked;
    to->ended = from->ended;
    to->failed = from->failed;
    listen_to_bio(to);
    fl_loop_stop_timer(from->loop, &from->timer);
    fl_loop_undefer(&from->read_on);
    fl_loop_remove(from->loop, &from->watch);
    from->ssl = NULL;
    from->rest = FL_BUFFER(READ_SIZE);
    from->state = FL_STREAM_CLOSED;
    error = fl_loop_add(to->loop, &to->watch, fd, ctx);
    if (error) {
        to->watch.fd = fd;
        fl_stream_close(to);
        return error;
    }
    /* What has come is there already, and no event will say so. */
    fl_loop_defer(to->loop, &to->read_on);
    return FL_OK;
}

void fl_stream_pause(struct fl_stream *stream)
{
    stream->paused = true;
}

void fl_stream_resume(struct fl_stream *stream)
{
    stream->resumed = true;
    if (!stream->paused)
        return;
    stream->paused = false;
    if (stream->state == FL_STREAM_OPEN)
        fl_loop_defer(stream->loop, &stream->read_on);
}

enum fl_error fl_stream_write(struct fl_stream *stream, struct fl_buffer *out)
{
    return fl_stream_write_some(stream, out, out->size);
}

enum fl_error fl_stream_write_some(struct fl_stream *stream, struct fl_buffer *out, size_t most)
{
    if (stream->state != FL_STREAM_OPEN || !stream->watch.added || stream->failed)
        return FL_ECLOSED;
    while (most > 0) {
        struct fl_slice bytes = fl_buffer_slice(out);
        size_t size = most < WRITE_SIZE ? most : WRITE_SIZE;
        int result = 0;

        errno = 0;
        if (stream->ssl) {
            ERR_clear_error();
            result = SSL_write(stream->ssl, bytes.data, (int)size);
        } else {
            result = (int)send(stream->watch.fd, bytes.data, size, MSG_NOSIGNAL);
        }
        if (result > 0) {
            fl_buffer_consume(out, (size_t)result);
            most -= (size_t)result;
            continue;
        }
        if (!stream->ssl && errno == EINTR)
            continue;
        if (wants_more(stream, result, errno)) {
            stream->blocked = true;
            return FL_EMORE;
        }
        stream->failed = errno ? errno : -1;
        fl_loop_defer(stream->loop, &stream->read_on);
        return FL_ECLOSED;
    }
    return FL_OK;
}

void fl_stream_finish(struct fl_stream *stream)
{
    if (stream->state != FL_STREAM_OPEN || !stream->watch.added)
        return;
    if (stream->ssl) {
        ERR_clear_error();
        (void)SSL_shutdown(stream->ssl);
        ERR_clear_error();
    }
    (void)shutdown(stream->watch.fd, SHUT_WR);
    stream->state = FL_STREAM_FAREWELL;
    fl_loop_set_timer(stream->loop, &stream->timer, FAREWELL_MS);
}

void fl_stream_close(struct fl_stream *stream)
{
    if (stream->state == FL_STREAM_CLOSED)
        return;
    if (stream->gone)
        *stream->gone = true;
    stream->gone = NULL;
    fl_loop_stop_timer(stream->loop, &stream->timer);
    fl_loop_undefer(&stream->read_on);
    fl_loop_remove(stream->loop, &stream->watch);
    if (stream->ssl && stream->state == FL_STREAM_OPEN) {
        ERR_clear_error();
        (void)SSL_shutdown(stream->ssl);
    }
    ERR_clear_error();
    SSL_free(stream->ssl);
    stream->ssl = NULL;
    fl_buffer_free(&stream->rest);
    (void)close(stream->watch.fd);
    stream->state = FL_STREAM_CLOSED;
}
