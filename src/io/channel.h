/* SPDX-License-Identifier: Apache-2.0
 *
 * codec/msg over a Unix stream socket between two of our processes, in a loop. Writes are gathered
 * and flushed at the end of the round. A malformed or forbidden message ends the channel loudly:
 * `lost` is called with words, nothing more is delivered. Also the control socket between parent
 * and child, on which descriptors travel beside messages: only the parent may send them, and only
 * with CHANNEL and LISTEN; any other descriptor ends the channel too.
 */
#ifndef FL_IO_CHANNEL_H
#define FL_IO_CHANNEL_H

#include "codec/msg.h"
#include "io/loop.h"

struct fl_channel;

/* How `why` begins when the other side closed the channel or died; anything else is a violation or
 * a failure. */
#define FL_CHANNEL_CLOSED "closed by the other side"

struct fl_channel_handler {
    /* The message's slices live until it returns. `fd` is -1 or a descriptor that came with the
     * message and is now the receiver's. May close the channel. */
    void (*message)(void *self, struct fl_channel *channel, const struct fl_msg *msg, int fd);
    /* Closed by the other side, or ended for a violation; `channel` is freed after it returns. All
     * whole messages that the other side sent before were delivered. Never called from inside
     * fl_channel_send or fl_channel_close. */
    void (*lost)(void *self, struct fl_channel *channel, const char *why);
    void *self;
};

/* Takes over `fd`, also when it fails. `from` is who is on the other side, `name` is for the log
 * and is copied. */
FL_MUST_USE enum fl_error fl_channel_open(struct fl_loop *loop, int fd, enum fl_msg_from from,
                                          const char *name,
                                          const struct fl_channel_handler *handler,
                                          struct fl_channel **channel, struct fl_context *ctx);
/* Queues it. FL_ELIMIT: FL_LIMIT_CHANNEL_QUEUE is unsent; FL_EINVAL: see fl_msg_encode; FL_ECLOSED:
 * the other side is gone, `lost` comes soon. */
FL_MUST_USE enum fl_error fl_channel_send(struct fl_channel *channel, const struct fl_msg *msg,
                                          struct fl_context *ctx);
/* With a descriptor, which stays the caller's (the channel sends a duplicate). FL_ELIMIT: more than
 * FL_LIMIT_CHANNEL_FDS wait. */
FL_MUST_USE enum fl_error fl_channel_send_fd(struct fl_channel *channel, const struct fl_msg *msg,
                                             int fd, struct fl_context *ctx);
/* The same of frames that are encoded already (fl_msg_encode), by another thread. */
FL_MUST_USE enum fl_error fl_channel_send_frames(struct fl_channel *channel, struct fl_slice frames,
                                                 struct fl_context *ctx);
size_t fl_channel_unsent(const struct fl_channel *channel);
/* Without calling `lost`; NULL is harmless; safe inside a callback. What is queued is written as
 * far as the socket takes it at once. */
void fl_channel_close(struct fl_channel *channel);

#endif
