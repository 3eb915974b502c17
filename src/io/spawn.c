/* SPDX-License-Identifier: Apache-2.0 */
#include "io/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_FD 3
#define REPORT_FD 4

/* What a sanitizer's user has set goes on to the children; all else is left behind. */
static const char *const kept_variables[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"};
#define KEPT_COUNT (sizeof kept_variables / sizeof kept_variables[0])
#define VARIABLE_MAX 512

struct environment {
    char texts[KEPT_COUNT][VARIABLE_MAX];
    char path[32];
    char *list[KEPT_COUNT + 2];
};

static void make_environment(struct environment *e)
{
    size_t count = 0;

    (void)snprintf(e->path, sizeof e->path, "PATH=/usr/bin:/bin");
    e->list[count++] = e->path;
    for (size_t i = 0; i < KEPT_COUNT; i++) {
        const char *value = getenv(kept_variables[i]);
        int size = 0;

        if (!value)
            continue;
        size = snprintf(e->texts[i], VARIABLE_MAX, "%s=%s", kept_variables[i], value);
        if (size > 0 && size < VARIABLE_MAX)
            e->list[count++] = e->texts[i];
    }
    e->list[count] = NULL;
}

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); /* fails for those that cannot be changed */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Moves descriptors into place; both are first moved out of the way of the places. */
static int place_descriptors(int fd, int report)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd_copy = fcntl(fd, F_DUPFD_CLOEXEC, REPORT_FD + 1);
    int report_copy = fcntl(report, F_DUPFD_CLOEXEC, REPORT_FD + 1);

    if (null < 0 || fd_copy < 0 || report_copy < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || dup2(fd_copy, CHILD_FD) < 0 ||
        dup3(report_copy, REPORT_FD, O_CLOEXEC) < 0)
        return -1;
    return close_range(REPORT_FD + 1, ~0U, 0);
}

static _Noreturn void become(const char *path, int fd, int report, pid_t parent,
                             struct environment *environment)
{
    const char *slash = strrchr(path, '/');
    char name[64];
    char *argv[] = {name, NULL};
    int error = 0;

    (void)snprintf(name, sizeof name, "%s", slash ? slash + 1 : path);
    reset_signals();
    /* What a terminal or a service manager sends to the parent's group is for the parent to hear;
     * it ends its children in order. */
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
        _exit(1);
    if (place_descriptors(fd, report) == 0)
        (void)execve(path, argv, environment->list);
    error = errno;
    if (write(REPORT_FD, &error, sizeof error) != (ssize_t)sizeof error)
        _exit(126);
    _exit(127);
}

enum fl_error fl_spawn(const char *path, int fd, pid_t *pid, struct fl_context *ctx)
{
    struct environment environment = {0};
    int report[2] = {-1, -1};
    int error = 0;
    pid_t parent = getpid();
    pid_t child = -1;
    ssize_t got = 0;

    make_environment(&environment);
    if (pipe2(report, O_CLOEXEC) != 0)
        return fl_fail(ctx, FL_ELIMIT, "start %s: %s", path, strerror(errno));
    child = fork();
    if (child == 0)
        become(path, fd, report[1], parent, &environment);
    error = errno;
    (void)close(report[1]);
    if (child < 0) {
        (void)close(report[0]);
        return fl_fail(ctx, FL_ELIMIT, "start %s: %s", path, strerror(error));
    }
    do {
        got = read(report[0], &error, sizeof error);
    } while (got < 0 && errno == EINTR);
    (void)close(report[0]);
    if (got == (ssize_t)sizeof error) { /* otherwise exec has closed the pipe */
        (void)waitpid(child, NULL, 0);
        return fl_fail(ctx, error == ENOENT ? FL_ENOTFOUND : FL_EDENIED, "start %s: %s", path,
                       strerror(error));
    }
    *pid = child;
    return FL_OK;
}
