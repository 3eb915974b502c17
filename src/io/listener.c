/* SPDX-License-Identifier: Apache-2.0 */
#include "io/listener.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_AT_ONCE 64
#define EXHAUSTED_WAIT_MS 200
#define WARN_MS 1000

struct fl_listener {
    struct fl_loop *loop;
    struct fl_watch watch;
    struct fl_timer again; /* the next portion, or the end of a pause */
    struct fl_listener_handler handler;
    fl_time_t warned; /* monotonic */
};

static void name_peer(const struct sockaddr_storage *address, char to[FL_LIMIT_ADDRESS])
{
    char text[INET6_ADDRSTRLEN] = "?";

    if (address->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        (void)inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
        (void)snprintf(to, FL_LIMIT_ADDRESS, "%s:%u", text, ntohs(in.sin_port));
    } else if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof in);
        (void)inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
        if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr))
            (void)snprintf(to, FL_LIMIT_ADDRESS, "%s:%u", strrchr(text, ':') + 1,
                           ntohs(in.sin6_port));
        else
            (void)snprintf(to, FL_LIMIT_ADDRESS, "[%s]:%u", text, ntohs(in.sin6_port));
    } else {
        (void)snprintf(to, FL_LIMIT_ADDRESS, "local");
    }
}

static void describe(struct fl_accepted *accepted, const struct sockaddr_storage *address)
{
    struct ucred credentials = {.uid = (uid_t)-1};
    socklen_t size = sizeof credentials;
    int on = 1;

    name_peer(address, accepted->peer);
    if (address->ss_family == AF_UNIX &&
        getsockopt(accepted->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        credentials.uid = (uid_t)-1;
    accepted->uid = credentials.uid;
    /* Answers are written whole: waiting for more to send only delays them. */
    if (address->ss_family != AF_UNIX)
        (void)setsockopt(accepted->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* True when a connection was given up for the next. */
static bool on_exhausted(struct fl_listener *l, int error)
{
    fl_time_t now = fl_loop_now(l->loop);
    struct pollfd waiting = {.fd = l->watch.fd, .events = POLLIN};

    /* The kernel looks for a free descriptor first and only then whether anyone is there. */
    if (poll(&waiting, 1, 0) == 0)
        return false;
    if (now - l->warned >= WARN_MS) {
        fl_log(FL_LOG_WARN, "listener", "cannot accept all connections: %s", strerror(error));
        l->warned = now;
    }
    if (l->handler.exhausted && l->handler.exhausted(l->handler.self))
        return true;
    fl_loop_set_timer(l->loop, &l->again, EXHAUSTED_WAIT_MS);
    return false;
}

/* True when there may be more. */
static bool accept_one(struct fl_listener *l)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    struct fl_accepted accepted = {0};

    accepted.fd = accept4(l->watch.fd, (struct sockaddr *)(void *)&address, &size,
                          SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted.fd >= 0) {
        describe(&accepted, &address);
        l->handler.accepted(l->handler.self, &accepted);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        return on_exhausted(l, errno);
    /* A connection that was aborted while it waited is no reason to stop. */
    return errno == ECONNABORTED || errno == EINTR || errno == EPROTO || errno == EPERM;
}

static void accept_some(struct fl_listener *l)
{
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++)
        if (!accept_one(l))
            return;
    fl_loop_set_timer(l->loop, &l->again, 0);
}

static void on_ready(struct fl_watch *watch, uint32_t events)
{
    (void)events;
    accept_some(fl_container_of(watch, struct fl_listener, watch));
}

static void on_again(struct fl_timer *timer)
{
    accept_some(fl_container_of(timer, struct fl_listener, again));
}

enum fl_error fl_listener_open(struct fl_loop *loop, int fd,
                               const struct fl_listener_handler *handler,
                               struct fl_listener **listener, struct fl_context *ctx)
{
    struct fl_listener *l = calloc(1, sizeof *l);
    enum fl_error error = FL_OK;
    int flags = fcntl(fd, F_GETFL);

    if (!l || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        error = fl_fail(ctx, l ? FL_EIO : FL_ENOMEM, "listener: %s",
                        l ? strerror(errno) : "out of memory");
        goto out;
    }
    l->loop = loop;
    l->watch.ready = on_ready;
    l->again.fired = on_again;
    l->handler = *handler;
    l->warned = -WARN_MS;
    error = handler->shared ? fl_loop_add_shared(loop, &l->watch, fd, ctx)
                            : fl_loop_add(loop, &l->watch, fd, ctx);
out:
    if (error) {
        free(l);
        (void)close(fd);
        return error;
    }
    *listener = l;
    return FL_OK;
}

void fl_listener_close(struct fl_listener *listener)
{
    if (!listener)
        return;
    fl_loop_stop_timer(listener->loop, &listener->again);
    fl_loop_remove(listener->loop, &listener->watch);
    (void)close(listener->watch.fd);
    free(listener);
}
