/* SPDX-License-Identifier: Apache-2.0
 *
 * Accepts connections from a listening socket, TCP or Unix, in a loop. A flood is taken in
 * portions, so that connections that are there already get their turn; when the process is out of
 * descriptors, accepting pauses and the rest waits in the kernel's queue.
 */
#ifndef FL_IO_LISTENER_H
#define FL_IO_LISTENER_H

#include "base/limits.h"
#include "io/loop.h"

struct fl_accepted {
    int fd;                      /* non-blocking, close-on-exec; the receiver's */
    char peer[FL_LIMIT_ADDRESS]; /* "192.0.2.1:4711", "[2001:db8::1]:4711" or "local" */
    uint32_t uid;                /* of a Unix socket's other side */
};

struct fl_listener_handler {
    /* Must not close the listener. */
    void (*accepted)(void *self, const struct fl_accepted *accepted);
    /* The process is out of descriptors: true when one was given up, so that the next may come in.
     * NULL: never. */
    bool (*exhausted)(void *self);
    void *self;
    bool shared; /* loops of other threads accept from the socket too */
};

struct fl_listener;

/* Takes over `fd`, also when it fails. */
FL_MUST_USE enum fl_error fl_listener_open(struct fl_loop *loop, int fd,
                                           const struct fl_listener_handler *handler,
                                           struct fl_listener **listener, struct fl_context *ctx);
void fl_listener_close(struct fl_listener *listener); /* NULL is harmless */

#endif
