/* SPDX-License-Identifier: Apache-2.0
 *
 * One accepted connection as a stream of bytes in a loop, with TLS or without. The stream lives in
 * its owner's struct and owns the descriptor. Bytes are read into a buffer that all streams of a
 * thread share;
 * what its owner does not take yet waits here and reading pauses, so that a slow consumer slows its
 * own sender only. The owner keeps what is to be written and hands it in until it is gone.
 *
 * Any handler may close the stream and free its owner.
 */
#ifndef FL_IO_STREAM_H
#define FL_IO_STREAM_H

#include "base/buffer.h"
#include "io/loop.h"

#include <openssl/ssl.h>

struct fl_stream;

struct fl_stream_handler {
    /* The TLS handshake is done and the peer judged (io/tls); at once without TLS. */
    void (*opened)(struct fl_stream *stream);
    /* Returns how many bytes were taken. When it is fewer, the rest is offered again after
     * fl_stream_resume, and nothing further is read until then. */
    size_t (*received)(struct fl_stream *stream, struct fl_slice bytes);
    /* After fl_stream_write gave FL_EMORE: there is room again. */
    void (*writable)(struct fl_stream *stream);
    /* Closed by the other side, failed, refused or too slow in its handshake. The owner calls
     * fl_stream_close. FL_ECLOSED: an orderly end; of a handshake: FL_EDENIED (the certificate, or
     * that there was none), FL_ETIMEOUT, FL_EAUTH. */
    void (*lost)(struct fl_stream *stream, enum fl_error error, const char *why);
};

struct fl_stream {
    struct fl_loop *loop;
    const struct fl_stream_handler *handler;
    const char *peer; /* for whoever refuses it; the owner's */
    SSL *ssl;
    struct fl_watch watch;
    struct fl_timer timer; /* of the handshake, then of the farewell */
    struct fl_deferred read_on;
    struct fl_buffer rest; /* received, not taken */
    bool *gone;            /* set when it is closed inside a handler */
    enum { FL_STREAM_CLOSED, FL_STREAM_HANDSHAKE, FL_STREAM_OPEN, FL_STREAM_FAREWELL } state;
    bool paused;
    bool resumed;   /* since the last `received` began */
    bool blocked;   /* a write waits for room */
    bool drained;   /* the last read found less than it had room for */
    bool ended;     /* the other side sends no more */
    int failed;     /* errno of a failed write; -1: of TLS */
    size_t dropped; /* bytes read and dropped during the farewell */
};

/* Takes over `fd`, also when it fails. `tls` NULL: none. `opened` comes from the loop, never from
 * inside this call. `stream` is zero-initialised. */
FL_MUST_USE enum fl_error fl_stream_open(struct fl_stream *stream, struct fl_loop *loop, int fd,
                                         SSL_CTX *tls, const struct fl_stream_handler *handler,
                                         const char *peer, struct fl_context *ctx);

/* Moves an open stream to the loop of another thread: taken out of the one inside `opened`, as the
 * last thing that thread does with it, and put into the other. Nothing that has arrived is lost;
 * `opened` does not come again. When adopting fails the owner closes it. */
void fl_stream_release(struct fl_stream *stream);
FL_MUST_USE enum fl_error fl_stream_adopt(struct fl_stream *stream, struct fl_loop *loop,
                                          struct fl_context *ctx);

void fl_stream_pause(struct fl_stream *stream);
void fl_stream_resume(struct fl_stream *stream);

/* Writes from the front of `out` and consumes what is written. FL_EMORE: the rest when `writable`
 * says so. FL_ECLOSED: the connection has failed, `lost` says why later. */
FL_MUST_USE enum fl_error fl_stream_write(struct fl_stream *stream, struct fl_buffer *out);
/* The same for at most the first `most` bytes. */
FL_MUST_USE enum fl_error fl_stream_write_some(struct fl_stream *stream, struct fl_buffer *out,
                                               size_t most);

/* Hands an open connection to another owner, who keeps it in `to` (zero-initialised): what was
 * received and not taken is offered to `handler` from the loop, never from inside this call; `from`
 * is closed. Not inside a handler of `from`. On failure both are, and the connection is gone. */
FL_MUST_USE enum fl_error fl_stream_move(struct fl_stream *from, struct fl_stream *to,
                                         const struct fl_stream_handler *handler, const char *peer,
                                         struct fl_context *ctx);

/* Says that nothing more comes, and drops what still arrives until the other side has ended too
 * (`lost`) or a second has passed: what was written before is not destroyed by a reset. */
void fl_stream_finish(struct fl_stream *stream);

/* At once; harmless when closed. Calls no handler. */
void fl_stream_close(struct fl_stream *stream);

#endif
