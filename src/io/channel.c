/* SPDX-License-Identifier: Apache-2.0 */
#include "io/channel.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_SIZE ((size_t)64 * 1024)
/* Read at most this much before other sockets get their turn. */
#define READ_TURN ((size_t)1024 * 1024)
/* An idle channel does not keep a buffer that a burst has grown beyond this. */
#define KEEP_CAPACITY ((size_t)1024 * 1024)

/* A descriptor that goes with the byte at `at` of the output. */
struct outgoing_fd {
    size_t at;
    int fd;
};

struct fl_channel {
    struct fl_loop *loop;
    struct fl_watch watch;
    struct fl_deferred work; /* flush, and the next turn of reading */
    struct fl_channel_handler handler;
    enum fl_msg_from from;
    char name[32];
    struct fl_buffer in;
    struct fl_buffer out;
    struct outgoing_fd out_fds[FL_LIMIT_CHANNEL_FDS];
    size_t out_fd_count;
    int in_fds[FL_LIMIT_CHANNEL_FDS];
    size_t in_fd_count;
    bool reading;     /* the socket may have more */
    bool write_ended; /* the other side takes no more; what it sent is still read */
    bool in_callback;
    bool closed;
};

static bool carries_fd(enum fl_msg_type type)
{
    return type == fl_msg_type_channel || type == fl_msg_type_listen;
}

/* --- the end --- */

static void forget_out_fds(struct fl_channel *c)
{
    for (size_t i = 0; i < c->out_fd_count; i++)
        (void)close(c->out_fds[i].fd);
    c->out_fd_count = 0;
}

static void release(struct fl_channel *c)
{
    c->closed = true;
    fl_loop_undefer(&c->work);
    if (c->watch.added) {
        fl_loop_remove(c->loop, &c->watch);
        (void)close(c->watch.fd);
    }
    forget_out_fds(c);
    for (size_t i = 0; i < c->in_fd_count; i++)
        (void)close(c->in_fds[i]);
    c->in_fd_count = 0;
    if (c->in_callback)
        return; /* the caller of the callback frees it */
    fl_buffer_free(&c->in);
    fl_buffer_free(&c->out);
    free(c);
}

static void lose(struct fl_channel *c, const char *why)
{
    c->in_callback = true;
    c->handler.lost(c->handler.self, c, why);
    c->in_callback = false;
    release(c);
}

static void violated(struct fl_channel *c, const char *why)
{
    fl_log(FL_LOG_ERROR, "channel", "%s: %s; the channel is ended", c->name, why);
    lose(c, why);
}

/* --- writing --- */

/* Bytes before the next descriptor; those after it start a write of their own. */
static size_t next_write_size(const struct fl_channel *c, bool *with_fd)
{
    size_t next = 0;

    *with_fd = c->out_fd_count > 0 && c->out_fds[0].at == 0;
    next = *with_fd ? 1 : 0;
    return next < c->out_fd_count ? c->out_fds[next].at : c->out.size;
}

static void sent(struct fl_channel *c, size_t size, bool with_fd)
{
    if (with_fd) {
        (void)close(c->out_fds[0].fd);
        c->out_fd_count--;
        memmove(c->out_fds, c->out_fds + 1, c->out_fd_count * sizeof c->out_fds[0]);
    }
    for (size_t i = 0; i < c->out_fd_count; i++)
        c->out_fds[i].at -= size;
    fl_buffer_consume(&c->out, size);
    if (c->out.size == 0 && c->out.capacity > KEEP_CAPACITY)
        fl_buffer_free(&c->out);
}

static ssize_t write_once(struct fl_channel *c, bool *with_fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = c->out.data + c->out.start};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    iov.iov_len = next_write_size(c, with_fd);
    if (*with_fd) {
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof control.space;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &c->out_fds[0].fd, sizeof(int));
    }
    return sendmsg(c->watch.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void flush(struct fl_channel *c)
{
    while (c->out.size > 0 && !c->write_ended) {
        bool with_fd = false;
        ssize_t size = write_once(c, &with_fd);

        if (size > 0) {
            sent(c, (size_t)size, with_fd);
            continue;
        }
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        /* The other side is gone or takes nothing any more. What it sent before is still read,
         * then the channel is lost. */
        if (errno != EPIPE && errno != ECONNRESET)
            fl_log(FL_LOG_ERROR, "channel", "%s: write: %s", c->name, strerror(errno));
        c->write_ended = true;
        (void)shutdown(c->watch.fd, SHUT_WR);
    }
}

static enum fl_error queue(struct fl_channel *c, const struct fl_msg *msg, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (c->closed || c->write_ended)
        return fl_fail(ctx, FL_ECLOSED, "channel %s: the other side is gone", c->name);
    error = fl_msg_encode(msg, &c->out, ctx);
    if (error != FL_OK)
        return fl_fail_in(ctx, error, "channel %s", c->name);
    fl_loop_defer(c->loop, &c->work);
    return FL_OK;
}

enum fl_error fl_channel_send(struct fl_channel *channel, const struct fl_msg *msg,
                              struct fl_context *ctx)
{
    if (carries_fd(msg->type))
        return fl_fail(ctx, FL_EINVAL, "channel %s: '%s' needs a descriptor", channel->name,
                       fl_msg_name(msg->type));
    return queue(channel, msg, ctx);
}

enum fl_error fl_channel_send_fd(struct fl_channel *channel, const struct fl_msg *msg, int fd,
                                 struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    size_t at = channel->out.size;
    int copy = -1;

    if (!carries_fd(msg->type))
        return fl_fail(ctx, FL_EINVAL, "channel %s: '%s' carries no descriptor", channel->name,
                       fl_msg_name(msg->type));
    if (channel->out_fd_count == FL_LIMIT_CHANNEL_FDS)
        return fl_fail(ctx, FL_ELIMIT, "channel %s: too many descriptors wait", channel->name);
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return fl_fail(ctx, errno == EBADF ? FL_EINVAL : FL_ELIMIT,
                       "channel %s: duplicate descriptor %d: %s", channel->name, fd,
                       strerror(errno));
    error = queue(channel, msg, ctx);
    if (error != FL_OK) {
        (void)close(copy);
        return error;
    }
    channel->out_fds[channel->out_fd_count] = (struct outgoing_fd){.at = at, .fd = copy};
    channel->out_fd_count++;
    return FL_OK;
}

enum fl_error fl_channel_send_frames(struct fl_channel *channel, struct fl_slice frames,
                                     struct fl_context *ctx)
{
    if (channel->closed || channel->write_ended)
        return fl_fail(ctx, FL_ECLOSED, "channel %s: the other side is gone", channel->name);
    if (fl_buffer_append_slice(&channel->out, frames) != FL_OK) {
        channel->out.failed = false; /* what is in it is whole */
        return fl_fail(ctx, FL_ELIMIT, "channel %s: full", channel->name);
    }
    fl_loop_defer(channel->loop, &channel->work);
    return FL_OK;
}

size_t fl_channel_unsent(const struct fl_channel *channel)
{
    return channel->out.size;
}

/* --- reading --- */

/* Keeps what fits; false when there was more, which is closed. */
static bool keep_fds(struct fl_channel *c, struct msghdr *msg)
{
    bool fitted = !(msg->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
        size_t size = h->cmsg_len - CMSG_LEN(0);

        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
            int fd = -1;

            memcpy(&fd, CMSG_DATA(h) + at, sizeof fd);
            if (c->in_fd_count < FL_LIMIT_CHANNEL_FDS) {
                c->in_fds[c->in_fd_count++] = fd;
            } else {
                (void)close(fd);
                fitted = false;
            }
        }
    }
    return fitted;
}

/* As recvmsg; descriptors are kept aside in their order. Whoever may not send any gets no room for
 * them, so the kernel drops them and says so. */
static ssize_t read_once(struct fl_channel *c, uint8_t *to, size_t size, bool *fds_fitted)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(FL_LIMIT_CHANNEL_FDS * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = to, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t got = 0;

    if (c->from == FL_FROM_PARENT) {
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof control.space;
    }
    got = recvmsg(c->watch.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    *fds_fitted = got < 0 || keep_fds(c, &msg);
    return got;
}

static int take_fd(struct fl_channel *c)
{
    int fd = c->in_fds[0];

    c->in_fd_count--;
    memmove(c->in_fds, c->in_fds + 1, c->in_fd_count * sizeof c->in_fds[0]);
    return fd;
}

/* Delivers the whole messages that are there; false: the channel is gone. */
static bool deliver(struct fl_channel *c)
{
    for (;;) {
        struct fl_context ctx = {0};
        struct fl_msg msg;
        struct fl_slice in = fl_buffer_slice(&c->in);
        enum fl_error error = fl_msg_decode(&in, c->from, &msg, &ctx);
        int fd = -1;

        if (error == FL_EMORE)
            return true;
        if (error == FL_OK && carries_fd(msg.type)) {
            if (c->in_fd_count == 0)
                error = fl_fail(&ctx, FL_EPARSE, "msg: '%s' came without its descriptor",
                                fl_msg_name(msg.type));
            else
                fd = take_fd(c);
        }
        if (error != FL_OK) {
            violated(c, ctx.text);
            return false;
        }
        c->in_callback = true;
        c->handler.message(c->handler.self, c, &msg, fd);
        c->in_callback = false;
        if (c->closed) {
            release(c);
            return false;
        }
        fl_buffer_consume(&c->in, c->in.size - in.size);
    }
}

static void ended(struct fl_channel *c, ssize_t got)
{
    if (got < 0 && errno != ECONNRESET)
        lose(c, strerror(errno));
    else if (c->in.size > 0)
        violated(c, FL_CHANNEL_CLOSED " in the middle of a message");
    else
        lose(c, FL_CHANNEL_CLOSED);
}

/* One recvmsg and what it brought. False: nothing more to read now, or the channel is gone. */
static bool read_some(struct fl_channel *c, size_t *turn)
{
    uint8_t *room = fl_buffer_reserve(&c->in, READ_SIZE);
    bool fds_fitted = true;
    ssize_t got = 0;

    if (!room) {
        violated(c, "out of memory");
        return false;
    }
    got = read_once(c, room, READ_SIZE, &fds_fitted);
    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        c->reading = false;
        if (c->write_ended)
            lose(c, "the other side takes no more");
        return false;
    }
    if (got <= 0) {
        ended(c, got);
        return false;
    }
    fl_buffer_commit(&c->in, (size_t)got);
    *turn += (size_t)got;
    if (!fds_fitted) {
        violated(c, "descriptors that were not asked for");
        return false;
    }
    if (!deliver(c))
        return false;
    if (c->in.size == 0 && c->in_fd_count > 0) {
        violated(c, "a descriptor without its message");
        return false;
    }
    if (c->in.size == 0 && c->in.capacity > KEEP_CAPACITY)
        fl_buffer_free(&c->in);
    return true;
}

/* The channel may be gone afterwards. */
static void read_turn(struct fl_channel *c)
{
    size_t turn = 0;

    c->reading = true;
    while (turn < READ_TURN) {
        if (!read_some(c, &turn))
            return;
    }
    fl_loop_defer(c->loop, &c->work);
}

static void channel_ready(struct fl_watch *watch, uint32_t events)
{
    struct fl_channel *c = fl_container_of(watch, struct fl_channel, watch);

    if (events & EPOLLOUT)
        flush(c);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || c->write_ended)
        read_turn(c);
}

static void channel_work(struct fl_deferred *deferred)
{
    struct fl_channel *c = fl_container_of(deferred, struct fl_channel, work);

    flush(c);
    if (c->reading || c->write_ended)
        read_turn(c);
}

/* --- open and close --- */

static bool is_unix_stream(int fd)
{
    int domain = 0;
    int type = 0;
    socklen_t size = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

enum fl_error fl_channel_open(struct fl_loop *loop, int fd, enum fl_msg_from from, const char *name,
                              const struct fl_channel_handler *handler, struct fl_channel **channel,
                              struct fl_context *ctx)
{
    struct fl_channel *c = calloc(1, sizeof *c);
    enum fl_error error = FL_OK;

    if (!c) {
        error = fl_fail(ctx, FL_ENOMEM, "channel %s: out of memory", name);
        goto out;
    }
    c->loop = loop;
    c->watch.ready = channel_ready;
    c->work.run = channel_work;
    c->handler = *handler;
    c->from = from;
    (void)fl_str_copy(c->name, sizeof c->name, name);
    fl_buffer_init(&c->in, FL_LIMIT_MSG + READ_SIZE);
    fl_buffer_init(&c->out, FL_LIMIT_CHANNEL_QUEUE);
    if (!is_unix_stream(fd)) {
        error = fl_fail(ctx, FL_EINVAL, "channel %s: descriptor %d is not a Unix stream socket",
                        name, fd);
        goto out;
    }
    error = fl_loop_add(loop, &c->watch, fd, ctx);
    if (error != FL_OK)
        goto out;
    *channel = c;
    return FL_OK;
out:
    free(c);
    if (fd >= 0)
        (void)close(fd);
    return error;
}

void fl_channel_close(struct fl_channel *channel)
{
    if (!channel || channel->closed)
        return;
    flush(channel);
    release(channel);
}
