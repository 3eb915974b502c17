/* SPDX-License-Identifier: Apache-2.0 */
#include "io/listen.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t make_address(const char *text, uint16_t port, union address *to)
{
    *to = (union address){0};
    if (inet_pton(AF_INET, text, &to->v4.sin_addr) == 1) {
        to->v4.sin_family = AF_INET;
        to->v4.sin_port = htons(port);
        return sizeof to->v4;
    }
    if (inet_pton(AF_INET6, text, &to->v6.sin6_addr) == 1) {
        to->v6.sin6_family = AF_INET6;
        to->v6.sin6_port = htons(port);
        return sizeof to->v6;
    }
    return 0;
}

static enum fl_error explain(const char *address, uint16_t port, int number, struct fl_context *ctx)
{
    const char *shown = address[0] ? address : "every address";

    switch (number) {
    case EADDRINUSE:
        return fl_fail(ctx, FL_EBUSY,
                       "port %u (%s) is in use: choose another in hub.conf, or see who has it with "
                       "'ss -ltnp sport = :%u'",
                       (unsigned)port, shown, (unsigned)port);
    case EACCES:
    case EPERM:
        return fl_fail(ctx, FL_EDENIED,
                       "port %u (%s) may only be bound by root: choose one over 1023 in hub.conf",
                       (unsigned)port, shown);
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return fl_fail(ctx, FL_EUNSUPPORTED, "this machine has no address %s (port %u)", shown,
                       (unsigned)port);
    default:
        return fl_fail(ctx, FL_EIO, "port %u (%s): %s", (unsigned)port, shown, strerror(number));
    }
}

/* 0 or errno. */
static int try_listen(const union address *address, socklen_t size, bool dual, int *fd)
{
    const int on = 1;
    const int v6_only = dual ? 0 : 1;
    int error = 0;
    int s = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (s < 0)
        return errno;
    /* Connections of a hub that ended a moment ago do not hold the port. */
    if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (address->any.sa_family == AF_INET6 &&
         setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) != 0) ||
        bind(s, &address->any, size) != 0 || listen(s, BACKLOG) != 0) {
        error = errno;
        (void)close(s);
        return error;
    }
    *fd = s;
    return 0;
}

enum fl_error fl_listen_tcp(const char *address, uint16_t port, int *fd, struct fl_context *ctx)
{
    union address to;
    bool every = address[0] == 0;
    socklen_t size = make_address(every ? "::" : address, port, &to);
    int error = 0;

    if (size == 0)
        return fl_fail(ctx, FL_EINVAL, "'%s' is not a numeric address", address);
    error = try_listen(&to, size, every, fd);
    if (every && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL)) {
        size = make_address("0.0.0.0", port, &to);
        error = try_listen(&to, size, false, fd);
    }
    return error == 0 ? FL_OK : explain(address, port, error, ctx);
}

static enum fl_error clear_the_way(const char *path, struct fl_context *ctx)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return errno == ENOENT ? FL_OK : fl_fail(ctx, FL_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return fl_fail(ctx, FL_EEXISTS, "%s: something that is no socket is in the way", path);
    if (unlink(path) != 0)
        return fl_fail(ctx, FL_EIO, "%s: replace: %s", path, strerror(errno));
    return FL_OK;
}

enum fl_error fl_listen_unix(const char *path, int *fd, struct fl_context *ctx)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    enum fl_error error = FL_OK;
    mode_t mask = 0;
    int s = -1;

    if (!fl_str_copy(to.sun_path, sizeof to.sun_path, path))
        return fl_fail(ctx, FL_ELIMIT,
                       "%s: longer than the %zu bytes a socket's path may have; use a shorter "
                       "directory",
                       path, sizeof to.sun_path - 1);
    error = clear_the_way(path, ctx);
    if (error != FL_OK)
        return error;
    s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0)
        return fl_fail(ctx, FL_EIO, "%s: %s", path, strerror(errno));
    mask = umask(0177); /* never open to others, not even for a moment */
    if (bind(s, (const struct sockaddr *)&to, sizeof to) != 0 || listen(s, BACKLOG) != 0) {
        error =
            fl_fail(ctx, errno == EACCES ? FL_EDENIED : FL_EIO, "%s: %s", path, strerror(errno));
        (void)close(s);
        s = -1;
    }
    (void)umask(mask);
    *fd = s;
    return error;
}
