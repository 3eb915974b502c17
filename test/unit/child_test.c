/* SPDX-License-Identifier: Apache-2.0
 *
 * The test is the parent: it forks a process that runs fl_child_main for real, sandbox included,
 * and speaks to it over its control channel.
 */
#include "test/unit/unit.h"

#include "io/child.h"
#include "io/role.h"
#include "io/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the program under test --- */

static struct {
    struct fl_child *child;
    struct fl_channel *peer;
    struct fl_loop *loop;
    bool fails;
    bool slow_end;
} program_state;

static enum fl_error program_start(void *self, struct fl_child *child, struct fl_loop *loop,
                                   const char *dir, struct fl_context *ctx)
{
    char path[200];

    (void)self;
    program_state.child = child;
    program_state.loop = loop;
    if (program_state.fails)
        return fl_fail(ctx, FL_EPARSE, "nothing to work with");
    (void)snprintf(path, sizeof path, "%s/state/file", dir);
    if (open(path, O_RDONLY | O_CLOEXEC) >= 0 || (errno != EPERM && errno != EACCES))
        return fl_fail(ctx, FL_EDENIED, "the sandbox does not hold");
    return FL_OK;
}

static enum fl_error program_listen(void *self, const char *name, int fd, struct fl_context *ctx)
{
    (void)self;
    (void)ctx;
    if (strcmp(name, "mqtt") == 0)
        fl_child_ready(program_state.child);
    fl_child_ready(program_state.child); /* once is enough */
    (void)close(fd);
    return FL_OK;
}

static void program_message(void *self, struct fl_channel *channel, const struct fl_msg *msg,
                            int fd)
{
    (void)self;
    (void)channel;
    (void)msg;
    (void)fd;
}

static void program_lost(void *self, struct fl_channel *channel, const char *why)
{
    (void)self;
    (void)channel;
    program_state.peer = NULL;
    fl_child_channel_lost(program_state.child, FL_FROM_HUB, why);
}

static enum fl_error program_channel(void *self, enum fl_msg_from peer, int fd,
                                     struct fl_context *ctx)
{
    struct fl_channel_handler handler = {.message = program_message, .lost = program_lost};

    (void)self;
    fl_channel_close(program_state.peer);
    return fl_channel_open(program_state.loop, fd, peer, "hub", &handler, &program_state.peer, ctx);
}

static void program_stop(void *self)
{
    (void)self;
    if (!program_state.slow_end)
        fl_child_done(program_state.child);
}

static void program_end(void *self)
{
    (void)self;
    fl_channel_close(program_state.peer);
}

static const struct fl_child_program program = {.role = FL_FROM_FRONT,
                                                .start = program_start,
                                                .listen = program_listen,
                                                .channel = program_channel,
                                                .stop = program_stop,
                                                .end = program_end};

/* --- the parent --- */

struct world {
    struct fl_loop *loop;
    struct fl_channel *control;
    struct fl_context ctx;
    pid_t pid;
    char dir[64];
    int ready;
    int lost_messages;
    bool violation;
    char why[200];
    bool gone;
};

static void on_message(void *self, struct fl_channel *channel, const struct fl_msg *msg, int fd)
{
    struct world *w = self;

    (void)channel;
    (void)fd;
    w->ready += msg->type == fl_msg_type_ready && msg->as.ready.pid == (uint32_t)w->pid;
    if (msg->type == fl_msg_type_lost) {
        w->lost_messages++;
        w->violation = msg->as.lost.violation == 1;
        assert_slice_equal(msg->as.lost.peer, "hub"); /* as CHANNEL names it */
        (void)fl_str_copy_slice(w->why, sizeof w->why, msg->as.lost.why);
    }
}

static void on_lost(void *self, struct fl_channel *channel, const char *why)
{
    struct world *w = self;

    (void)channel;
    (void)why;
    w->control = NULL;
    w->gone = true;
}

static _Noreturn void be_child(int fd)
{
    char name[] = "test";
    char *argv[] = {name, NULL};

    if (fd != FL_ROLE_CONTROL_FD)
        (void)dup2(fd, FL_ROLE_CONTROL_FD);
    (void)close_range(4, ~0U, 0);
    _exit(fl_child_main(&program, 1, argv));
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct fl_channel_handler handler = {.message = on_message, .lost = on_lost, .self = w};
    char path[80];
    int fds[2];

    assert_non_null(w);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/fl_child_XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)chmod(w->dir, 0755);
    (void)snprintf(path, sizeof path, "%s/state", w->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/broker", w->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/state/file", w->dir);
    (void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    w->pid = fork();
    assert_true(w->pid >= 0);
    if (w->pid == 0)
        be_child(fds[1]);
    (void)close(fds[1]);
    assert_ok(fl_loop_create(&w->loop, &w->ctx));
    assert_ok(
        fl_channel_open(w->loop, fds[0], FL_FROM_FRONT, "front", &handler, &w->control, &w->ctx));
    *state = w;
    return 0;
}

static int failing_set_up(void **state)
{
    program_state.fails = true;
    return set_up(state);
}

static int slow_set_up(void **state)
{
    program_state.slow_end = true;
    return set_up(state);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char path[80];

    (void)snprintf(path, sizeof path, "%s/state/file", w->dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/state", w->dir);
    (void)rmdir(path);
    (void)snprintf(path, sizeof path, "%s/broker", w->dir);
    (void)rmdir(path);
    (void)rmdir(w->dir);
    fl_channel_close(w->control);
    fl_loop_free(w->loop);
    if (w->pid > 0) {
        (void)kill(w->pid, SIGKILL);
        (void)waitpid(w->pid, NULL, 0);
    }
    program_state.fails = program_state.slow_end = false;
    free(w);
    return 0;
}

static void send_start(struct world *w, const char *level)
{
    struct fl_msg msg = {.type = fl_msg_type_start};

    msg.as.start.dir = fl_slice_str(w->dir);
    msg.as.start.log_level = fl_slice_str(level);
    msg.as.start.workers = 1;
    assert_ok(fl_channel_send(w->control, &msg, &w->ctx));
}

static void send_listener(struct world *w)
{
    struct fl_msg msg = {.type = fl_msg_type_listen, .as.listen.name = fl_slice_str("mqtt")};

    assert_ok(fl_channel_send_fd(w->control, &msg, 0, &w->ctx));
}

static int send_channel(struct world *w, const char *peer)
{
    struct fl_msg msg = {.type = fl_msg_type_channel, .as.channel.peer = fl_slice_str(peer)};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_ok(fl_channel_send_fd(w->control, &msg, fds[0], &w->ctx));
    (void)close(fds[0]);
    return fds[1];
}

/* Rounds until `*what`, or for five seconds. */
static void until(struct world *w, const int *what)
{
    for (int i = 0; i < 500 && !*what; i++)
        assert_ok(fl_loop_round(w->loop, 10, &w->ctx));
}

static int exit_status(struct world *w)
{
    int status = 0;

    for (int i = 0; i < 500 && !w->gone; i++)
        assert_ok(fl_loop_round(w->loop, 10, &w->ctx));
    assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
    w->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int status_of(pid_t pid, const char *name)
{
    char path[64];
    char line[256];
    int value = -1;
    FILE *file = NULL;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = (int)strtol(line + strlen(name), NULL, 10);
    (void)fclose(file);
    return value;
}

/* --- claims --- */

static void started_child_is_sandboxed_ready_once_and_ends_on_sigterm(void **state)
{
    struct world *w = *state;

    send_start(w, "error");
    send_listener(w);
    until(w, &w->ready);
    assert_ok(fl_loop_round(w->loop, 20, &w->ctx));
    assert_int_equal(w->ready, 1);
    assert_int_equal(status_of(w->pid, "Seccomp:\t"), 2);
    assert_int_equal(status_of(w->pid, "NoNewPrivs:\t"), 1);
    if (geteuid() == 0)
        assert_int_equal(status_of(w->pid, "Uid:\t"), 61403);
    assert_int_equal(kill(w->pid, SIGINT), 0); /* is the parent's business */
    assert_int_equal(kill(w->pid, SIGTERM), 0);
    assert_int_equal(exit_status(w), 0);
}

static void child_ends_when_its_parent_is_gone(void **state)
{
    struct world *w = *state;

    send_start(w, "error");
    assert_ok(fl_loop_round(w->loop, 0, &w->ctx));
    fl_channel_close(w->control);
    w->control = NULL;
    w->gone = true;
    assert_int_equal(exit_status(w), 0);
}

static void child_that_never_finishes_can_be_killed(void **state)
{
    struct world *w = *state;

    send_start(w, "error");
    send_listener(w);
    until(w, &w->ready);
    (void)kill(w->pid, SIGTERM);
    for (int i = 0; i < 10; i++)
        assert_ok(fl_loop_round(w->loop, 10, &w->ctx));
    assert_false(w->gone);
    (void)kill(w->pid, SIGKILL);
    assert_int_equal(exit_status(w), -SIGKILL);
}

static void failed_start_is_a_configuration_failure(void **state)
{
    struct world *w = *state;

    send_start(w, "error");
    assert_int_equal(exit_status(w), FL_ROLE_EXIT_CONFIG);
}

static void unknown_log_level_is_a_configuration_failure(void **state)
{
    struct world *w = *state;

    send_start(w, "loud");
    assert_int_equal(exit_status(w), FL_ROLE_EXIT_CONFIG);
}

static void listener_before_start_is_refused(void **state)
{
    struct world *w = *state;

    send_listener(w);
    assert_int_equal(exit_status(w), FL_ROLE_EXIT_CONFIG);
}

static void channel_to_nobody_is_refused(void **state)
{
    struct world *w = *state;

    send_start(w, "error");
    (void)close(send_channel(w, "stranger"));
    assert_int_equal(exit_status(w), 1);
}

static void channel_to_itself_is_refused(void **state)
{
    struct world *w = *state;

    send_start(w, "error");
    (void)close(send_channel(w, "front"));
    assert_int_equal(exit_status(w), 1);
}

static void violation_of_a_peer_is_reported_and_survived(void **state)
{
    struct world *w = *state;
    int peer = -1;

    send_start(w, "error");
    peer = send_channel(w, "hub");
    assert_int_equal(write(peer, "\x05\0\0\0\xff\xff\0\0\0", 9), 9);
    until(w, &w->lost_messages);
    assert_true(w->violation);
    assert_contains(w->why, "unknown type");
    (void)close(peer);
    w->lost_messages = 0;
    peer = send_channel(w, "hub");
    (void)close(peer);
    until(w, &w->lost_messages);
    assert_false(w->violation);
    (void)kill(w->pid, SIGTERM);
    assert_int_equal(exit_status(w), 0);
}

static void garbage_from_the_parent_ends_the_child(void **state)
{
    struct world *w = *state;
    struct fl_msg msg = {.type = fl_msg_type_applied}; /* not the parent's to send */

    assert_ok(fl_channel_send(w->control, &msg, &w->ctx));
    assert_int_equal(exit_status(w), 0);
}

static void program_is_not_started_by_hand(void **state)
{
    char name[] = "fairlead-front";
    char help[] = "--help";
    char *argv[] = {name, help, NULL};
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        (void)dup2(open("/dev/null", O_WRONLY), 2);
        (void)dup2(2, 1);
        (void)close(3);
        if (fl_child_main(&program, 2, argv) != 0)
            _exit(1);
        _exit(fl_child_main(&program, 1, argv) == 2 ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void spawned_program_has_only_what_it_was_given(void **state)
{
    struct fl_context ctx = {0};
    int fds[2];
    int status = 0;
    pid_t pid = -1;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    (void)fcntl(0, F_DUPFD, 20); /* inheritable, must not arrive */
    assert_ok(fl_spawn("/bin/true", fds[0], &pid, &ctx));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(fl_spawn("/nowhere/fairlead-front", fds[0], &pid, &ctx), FL_ENOTFOUND);
    assert_contains(ctx.text, "/nowhere/fairlead-front: No such file");
    assert_int_equal(fl_spawn("/etc/passwd", fds[0], &pid, &ctx), FL_EDENIED);
    assert_contains(ctx.text, "Permission denied");
    (void)close(fds[0]);
    (void)close(fds[1]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(started_child_is_sandboxed_ready_once_and_ends_on_sigterm),
        CASE(child_ends_when_its_parent_is_gone),
        cmocka_unit_test_setup_teardown(child_that_never_finishes_can_be_killed, slow_set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(failed_start_is_a_configuration_failure, failing_set_up,
                                        tear_down),
        CASE(unknown_log_level_is_a_configuration_failure),
        CASE(listener_before_start_is_refused),
        CASE(channel_to_nobody_is_refused),
        CASE(channel_to_itself_is_refused),
        CASE(violation_of_a_peer_is_reported_and_survived),
        CASE(garbage_from_the_parent_ends_the_child),
        cmocka_unit_test(program_is_not_started_by_hand),
        cmocka_unit_test(spawned_program_has_only_what_it_was_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
