/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/witness.h"

#include "base/log.h"
#include "base/str.h"
#include "io/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAG "evidence"

enum {
    TAKES_MS_MAX = 120000,
    RETRY_MIN_MS = 2000,
    RETRY_MAX_MS = 15 * 60 * 1000,
    NEXT_MIN_S = 1,
};

extern char **environ;

static fl_time_t jitter(fl_time_t pause)
{
    uint32_t random = 0;

    fl_random_system()->fill(fl_random_system()->self, &random, sizeof random);
    return pause - pause * (fl_time_t)(random % 256) / 1024;
}

static void come_again(struct fl_witness *w, fl_time_t pause)
{
    fl_loop_set_timer(w->loop, &w->timer, jitter(pause));
}

/* --- what it said --- */

static void take_verdict(struct fl_witness *w, const json_t *verdict)
{
    const char *grade = json_string_value(json_object_get(verdict, "grade"));
    const char *words = json_string_value(json_object_get(verdict, "words"));
    json_int_t next = json_integer_value(json_object_get(verdict, "next_s"));

    w->failures = 0;
    w->failure_told = false;
    if (grade && strcmp(w->told, grade) != 0)
        fl_log(FL_LOG_INFO, TAG, "the hub calls this device %s: %s", grade, words ? words : "");
    (void)fl_str_copy(w->told, sizeof w->told, grade ? grade : "");
    come_again(w, (next > NEXT_MIN_S ? next : NEXT_MIN_S) * (fl_time_t)1000);
}

static void failed(struct fl_witness *w, const char *why)
{
    fl_time_t pause = RETRY_MIN_MS;
    char text[FL_TIME_TEXT_MAX];

    for (unsigned i = 0; i < w->failures && pause < RETRY_MAX_MS; i++)
        pause *= 2;
    if (pause > RETRY_MAX_MS)
        pause = RETRY_MAX_MS;
    w->failures++;
    fl_log(w->failure_told ? FL_LOG_DEBUG : FL_LOG_WARN, TAG, "%s; next attempt in about %s", why,
           fl_duration_format(pause, text));
    w->failure_told = true;
    come_again(w, pause);
}

/* The child prints its verdict on one line, or says on standard error what is wrong. */
static void finished(struct fl_witness *w)
{
    int status = 0;
    json_t *verdict = NULL;

    fl_loop_remove(w->loop, &w->watch);
    (void)close(w->fd);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    w->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        verdict = json_loadb(w->output, w->output_size, 0, NULL);
    if (json_is_object(verdict))
        take_verdict(w, verdict);
    else
        failed(w, "no evidence could be given (see above)");
    json_decref(verdict);
}

static void readable(struct fl_watch *watch, uint32_t events)
{
    struct fl_witness *w = fl_container_of(watch, struct fl_witness, watch);
    ssize_t got = 0;

    (void)events;
    for (;;) {
        char rest[512];
        size_t room = sizeof w->output - w->output_size;

        got = read(w->fd, room ? w->output + w->output_size : rest, room ? room : sizeof rest);
        if (got > 0 && room)
            w->output_size += (size_t)got;
        if (got == 0 || (got < 0 && errno != EINTR))
            break;
    }
    if (got == 0 || errno != EAGAIN)
        finished(w);
}

/* --- starting it --- */

static bool start(struct fl_witness *w, int ends[2])
{
    char *arguments[] = {(char[]){"fairlead-agent"},
                         (char[]){"evidence"},
                         (char[]){"--json"},
                         (char[]){"--dir"},
                         NULL,
                         NULL};
    char dir[4096];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    bool good = false;

    if (!fl_str_copy(dir, sizeof dir, w->dir))
        return false;
    arguments[4] = dir;
    (void)sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return false;
    if (posix_spawnattr_init(&attributes) == 0) {
        /* The loop blocks the signals that it handles; the child must not. */
        good =
            posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) == 0 &&
            posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) ==
                0 &&
            posix_spawnattr_setsigmask(&attributes, &none) == 0 &&
            posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK) == 0 &&
            posix_spawn(&w->pid, "/proc/self/exe", &actions, &attributes, arguments, environ) == 0;
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return good;
}

static void begin(struct fl_witness *w)
{
    int ends[2] = {-1, -1};
    struct fl_context ctx = {0};

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        failed(w, "no pipe for it");
        return;
    }
    w->output_size = 0;
    w->fd = ends[0];
    if (!start(w, ends)) {
        w->pid = 0;
        (void)close(ends[0]);
        (void)close(ends[1]);
        failed(w, "no process for it");
        return;
    }
    (void)close(ends[1]);
    w->watch.ready = readable;
    if (fl_loop_add(w->loop, &w->watch, w->fd, &ctx) != FL_OK) {
        (void)kill(w->pid, SIGKILL);
        finished(w);
        return;
    }
    fl_loop_set_timer(w->loop, &w->timer, TAKES_MS_MAX);
}

static void timer_fired(struct fl_timer *timer)
{
    struct fl_witness *w = fl_container_of(timer, struct fl_witness, timer);

    if (w->pid) {
        fl_log(FL_LOG_WARN, TAG, "hub or TPM do not answer");
        (void)kill(w->pid, SIGKILL); /* its pipe ends with it */
        return;
    }
    begin(w);
}

void fl_witness_init(struct fl_witness *witness, struct fl_loop *loop, const char *dir)
{
    *witness = (struct fl_witness){.loop = loop, .dir = dir, .fd = -1};
    witness->timer.fired = timer_fired;
}

void fl_witness_hurry(struct fl_witness *witness)
{
    if (!witness->pid)
        fl_loop_set_timer(witness->loop, &witness->timer, 0);
}

void fl_witness_end(struct fl_witness *witness)
{
    if (!witness->loop)
        return;
    fl_loop_stop_timer(witness->loop, &witness->timer);
    if (witness->pid) {
        (void)kill(witness->pid, SIGKILL);
        fl_loop_remove(witness->loop, &witness->watch);
        (void)close(witness->fd);
        while (waitpid(witness->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    *witness = (struct fl_witness){0};
}
