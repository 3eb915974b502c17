/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "io/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct fl_context ctx;

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 address = {0};
    socklen_t size = sizeof address;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin6_port); /* at the same place in both families */
}

static int connects(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = 0;

    to.sin_port = htons(port);
    result = connect(s, (struct sockaddr *)&to, sizeof to);
    (void)close(s);
    return result;
}

static void every_address_is_one_socket(void **state)
{
    int fd = -1;

    (void)state;
    assert_ok(fl_listen_tcp("", 0, &fd, &ctx));
    assert_int_equal(connects(port_of(fd)), 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    (void)close(fd);
}

static void port_in_use_is_named_with_a_hint(void **state)
{
    int fd = -1;
    int other = -1;
    char text[64];

    (void)state;
    assert_ok(fl_listen_tcp("127.0.0.1", 0, &fd, &ctx));
    assert_int_equal(fl_listen_tcp("127.0.0.1", port_of(fd), &other, &ctx), FL_EBUSY);
    (void)snprintf(text, sizeof text, "port %u (127.0.0.1) is in use", (unsigned)port_of(fd));
    assert_contains(ctx.text, text);
    assert_contains(ctx.text, "ss -ltnp");
    assert_int_equal(fl_listen_tcp("", port_of(fd), &other, &ctx), FL_EBUSY);
    (void)close(fd);
}

static void foreign_address_is_refused(void **state)
{
    int fd = -1;

    (void)state;
    assert_int_equal(fl_listen_tcp("192.0.2.77", 1, &fd, &ctx), FL_EUNSUPPORTED);
    assert_contains(ctx.text, "no address 192.0.2.77");
    assert_int_equal(fl_listen_tcp("hub.example.net", 1, &fd, &ctx), FL_EINVAL);
}

static void unix_socket_is_private_and_replaces_a_stale_one(void **state)
{
    char dir[] = "/tmp/fl_listen_XXXXXX";
    char path[64];
    struct stat status;
    int fd = -1;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/hub.sock", dir);
    assert_ok(fl_listen_unix(path, &fd, &ctx));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    (void)close(fd); /* as after kill -9: the name stays */
    assert_ok(fl_listen_unix(path, &fd, &ctx));
    (void)close(fd);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void what_is_no_socket_is_left_alone(void **state)
{
    char dir[] = "/tmp/fl_listen_XXXXXX";
    char path[64];
    int fd = -1;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/hub.sock", dir);
    (void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(fl_listen_unix(path, &fd, &ctx), FL_EEXISTS);
    assert_contains(ctx.text, "in the way");
    assert_int_equal(access(path, F_OK), 0);
    (void)unlink(path);
    assert_int_equal(symlink("/tmp/elsewhere", path), 0);
    assert_int_equal(fl_listen_unix(path, &fd, &ctx), FL_EEXISTS);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void path_beyond_the_limit_is_refused(void **state)
{
    char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
    int fd = -1;

    (void)state;
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    assert_int_equal(fl_listen_unix(path, &fd, &ctx), FL_ELIMIT);
    assert_contains(ctx.text, "107 bytes");
    assert_int_not_equal(fl_listen_unix("/nowhere/hub.sock", &fd, &ctx), FL_OK);
    assert_contains(ctx.text, "/nowhere/hub.sock: No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_is_one_socket),
        cmocka_unit_test(port_in_use_is_named_with_a_hint),
        cmocka_unit_test(foreign_address_is_refused),
        cmocka_unit_test(unix_socket_is_private_and_replaces_a_stale_one),
        cmocka_unit_test(what_is_no_socket_is_left_alone),
        cmocka_unit_test(path_beyond_the_limit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
