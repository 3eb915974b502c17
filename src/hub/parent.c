/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/parent.h"

#include "base/assert.h"
#include "base/log.h"
#include "hub/config.h"
#include "hub/dir.h"
#include "hub/listeners.h"
#include "io/channel.h"
#include "io/role.h"
#include "io/spawn.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 5000
/* A process that lived this long starts its next backoff from the first step. */
#define SETTLED_MS 10000
/* How long a process may take to end when asked to. */
#define END_MS 5000
/* A second wish to end after this long means at once. */
#define AGAIN_MS 500
/* Between the end of a process's control channel and its death. */
#define GRACE_MS 1000
/* Before the hub was ever ready: deaths after which trying again is hopeless. */
#define CONFIG_FAILURES_MAX 3
#define EARLY_DEATHS_MAX 10

enum process_state { DOWN, STARTING, READY, ENDING };

static const struct {
    const char *name;
    unsigned next; /* allowed, one bit for each state */
} states[] = {
    [DOWN] = {"down", 1U << STARTING},
    [STARTING] = {"starting", 1U << DOWN | 1U << READY | 1U << ENDING},
    [READY] = {"ready", 1U << DOWN | 1U << ENDING},
    [ENDING] = {"ending", 1U << DOWN},
};

struct parent;

struct process {
    struct parent *parent;
    const struct fl_role *role;
    enum process_state state;
    pid_t pid;
    fl_time_t started_at;
    fl_time_t backoff_ms;
    int early_deaths;
    int config_failures;
    struct fl_channel *control;
    struct fl_timer timer; /* DOWN: start again; otherwise: patience is over */
};

struct parent {
    struct fl_loop *loop;
    char dir[FL_HUB_DIR_MAX];
    char programs[FL_HUB_DIR_MAX]; /* the folder of the other programs */
    struct fl_hub_config config;
    struct fl_hub_listeners listeners;
    struct process processes[FL_ROLE_COUNT]; /* as fl_roles */
    bool announced;                          /* "ready" was written */
    bool stopping;
    fl_time_t stopping_at;
    enum fl_error error; /* why it gave up */
    struct fl_context *ctx;
};

/* Which processes speak with each other. */
static const enum fl_msg_from pairs[][2] = {{FL_FROM_HUB, FL_FROM_SIGNER},
                                            {FL_FROM_HUB, FL_FROM_FRONT}};
#define PAIR_COUNT (sizeof pairs / sizeof pairs[0])

static struct process *process_of(struct parent *p, enum fl_msg_from from)
{
    return &p->processes[fl_role_of(from) - fl_roles];
}

static void move(struct process *process, enum process_state to)
{
    fl_assert(states[process->state].next & (1U << to));
    fl_log(FL_LOG_DEBUG, "hub", "%s: %s, was %s", process->role->name, states[to].name,
           states[process->state].name);
    process->state = to;
}

static bool is_up(const struct process *process)
{
    return process->state == STARTING || process->state == READY;
}

static void start(struct process *process);
static void stop_next(struct parent *p);

static void stop_all(struct parent *p)
{
    if (p->stopping)
        return;
    p->stopping = true;
    p->stopping_at = fl_loop_now(p->loop);
    for (size_t i = 0; i < FL_ROLE_COUNT; i++)
        fl_loop_stop_timer(p->loop, &p->processes[i].timer);
    stop_next(p);
}

static void give_up(struct parent *p, enum fl_error error)
{
    if (p->error == FL_OK)
        p->error = error;
    stop_all(p);
}

/* --- talking to a process --- */

/* A process that does not take what it is sent, or sends what it must not, is replaced. */
static void kill_process(struct process *process, const char *why)
{
    if (process->pid <= 0)
        return;
    fl_log(FL_LOG_ERROR, "hub", "%s (process %d) is killed: %s", process->role->name,
           (int)process->pid, why);
    (void)kill(process->pid, SIGKILL);
}

static void tell(struct process *process, const struct fl_msg *msg, int fd)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_ECLOSED;

    if (process->control)
        error = fd >= 0 ? fl_channel_send_fd(process->control, msg, fd, &ctx)
                        : fl_channel_send(process->control, msg, &ctx);
    if (error != FL_OK && error != FL_ECLOSED)
        kill_process(process, ctx.text);
}

static void announce(struct parent *p)
{
    for (size_t i = 0; i < FL_ROLE_COUNT; i++)
        if (p->processes[i].state != READY)
            return;
    if (p->announced)
        return;
    p->announced = true;
    fl_log(FL_LOG_INFO, "hub", "ready");
    if (write(STDOUT_FILENO, "ready\n", 6) != 6)
        fl_log(FL_LOG_WARN, "hub", "standard output: %s", strerror(errno));
}

/* Nonsense on a channel: one of the two is wrong, and both need a new channel. The one that is more
 * exposed to the outside is replaced, whoever complained; so a taken-over front cannot use this to
 * stop control. */
static void channel_lost(struct process *process, const struct fl_msg_lost *lost)
{
    const struct fl_role *peer = fl_role_named(lost->peer);
    char text[520];
    char why[600];

    if (!peer || peer == process->role) {
        kill_process(process, "it lost a channel that it never had");
        return;
    }
    if (!lost->violation)
        return; /* the other side ended; its death is seen here too */
    (void)snprintf(why, sizeof why, "%s says of its channel to %s: %s", process->role->name,
                   peer->name, fl_str_printable(text, sizeof text, lost->why));
    kill_process(peer > process->role ? process_of(process->parent, peer->from) : process, why);
}

static void on_message(void *self, struct fl_channel *channel, const struct fl_msg *msg, int fd)
{
    struct process *process = self;
    struct parent *p = process->parent;

    (void)channel;
    (void)fd; /* children cannot send any */
    if (p->stopping)
        return;
    if (msg->type == fl_msg_type_ready) {
        if (process->state == STARTING) {
            move(process, READY);
            announce(p);
        }
    } else if (msg->type == fl_msg_type_lost) {
        channel_lost(process, &msg->as.lost);
    } else {
        kill_process(process, "a message that is not for the parent");
    }
}

static void on_lost(void *self, struct fl_channel *channel, const char *why)
{
    struct process *process = self;

    (void)channel;
    process->control = NULL;
    if (process->parent->stopping)
        return;
    if (strncmp(why, FL_CHANNEL_CLOSED, strlen(FL_CHANNEL_CLOSED)) != 0)
        kill_process(process, why);
    else /* usually it has died; if not, it cannot be led any more */
        fl_loop_set_timer(process->parent->loop, &process->timer, GRACE_MS);
}

/* --- starting --- */

static void hand_out_listeners(struct process *process)
{
    struct fl_hub_listeners *l = &process->parent->listeners;

    for (size_t i = 0; i < l->count; i++) {
        struct fl_msg msg = {.type = fl_msg_type_listen};

        if (l->list[i].to != process->role->from)
            continue;
        msg.as.listen.name = fl_slice_str(l->list[i].name);
        tell(process, &msg, l->list[i].fd);
    }
}

static void connect_pair(struct process *a, struct process *b)
{
    struct fl_msg to_a = {.type = fl_msg_type_channel,
                          .as.channel.peer = fl_slice_str(b->role->peer)};
    struct fl_msg to_b = {.type = fl_msg_type_channel,
                          .as.channel.peer = fl_slice_str(a->role->peer)};
    int fds[2] = {-1, -1};

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
        kill_process(a, strerror(errno)); /* its successor gets another try */
        return;
    }
    tell(a, &to_a, fds[0]);
    tell(b, &to_b, fds[1]);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void hand_out_channels(struct process *process)
{
    struct parent *p = process->parent;

    for (size_t i = 0; i < PAIR_COUNT; i++) {
        struct process *a = process_of(p, pairs[i][0]);
        struct process *b = process_of(p, pairs[i][1]);

        if ((a == process || b == process) && is_up(a) && is_up(b))
            connect_pair(a, b);
    }
}

static enum fl_error open_control(struct process *process, int fd, struct fl_context *ctx)
{
    struct fl_channel_handler handler = {.message = on_message, .lost = on_lost, .self = process};

    return fl_channel_open(process->parent->loop, fd, process->role->from, process->role->name,
                           &handler, &process->control, ctx);
}

static enum fl_error launch(struct process *process, struct fl_context *ctx)
{
    char path[FL_HUB_DIR_MAX + 64];
    int fds[2] = {-1, -1};
    enum fl_error error = FL_OK;

    (void)snprintf(path, sizeof path, "%s/%s", process->parent->programs, process->role->program);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return fl_fail(ctx, FL_ELIMIT, "start %s: %s", process->role->program, strerror(errno));
    error = fl_spawn(path, fds[1], &process->pid, ctx);
    (void)close(fds[1]);
    if (error != FL_OK) {
        (void)close(fds[0]);
        return error;
    }
    error = open_control(process, fds[0], ctx);
    if (error != FL_OK)
        kill_process(process, ctx->text);
    return FL_OK; /* it runs; SIGCHLD takes care of the rest */
}

static void retry_later(struct process *process)
{
    fl_loop_set_timer(process->parent->loop, &process->timer, process->backoff_ms);
    process->backoff_ms =
        process->backoff_ms * 2 < BACKOFF_MAX_MS ? process->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void start(struct process *process)
{
    struct parent *p = process->parent;
    struct fl_msg msg = {.type = fl_msg_type_start};
    struct fl_context ctx = {0};
    enum fl_error error = launch(process, &ctx);

    if (error != FL_OK && !p->announced) {
        give_up(p, fl_fail(p->ctx, error, "%s", ctx.text));
        return;
    }
    if (error != FL_OK) {
        fl_log(FL_LOG_ERROR, "hub", "%s", ctx.text);
        retry_later(process);
        return;
    }
    move(process, STARTING);
    process->started_at = fl_loop_now(p->loop);
    fl_log(FL_LOG_INFO, "hub", "%s started (process %d)", process->role->name, (int)process->pid);
    msg.as.start.dir = fl_slice_str(p->dir);
    msg.as.start.log_level = fl_slice_str(fl_role_log_level_name(p->config.log));
    msg.as.start.workers = p->config.workers;
    msg.as.start.log_format = fl_slice_str(fl_role_log_format_name(p->config.log_format));
    tell(process, &msg, -1);
    hand_out_listeners(process);
    hand_out_channels(process);
}

/* --- ending --- */

static void ask_to_end(struct process *process)
{
    fl_log(FL_LOG_DEBUG, "hub", "%s is asked to end", process->role->name);
    if (process->state != ENDING)
        move(process, ENDING);
    (void)kill(process->pid, SIGTERM);
    fl_loop_set_timer(process->parent->loop, &process->timer, END_MS);
}

/* The front first, so that what it has accepted still finds a control process; then control, which
 * may still need the signer; then the signer. */
static void stop_next(struct parent *p)
{
    for (size_t i = FL_ROLE_COUNT; i > 0; i--) {
        struct process *process = &p->processes[i - 1];

        if (process->state == DOWN)
            continue;
        ask_to_end(process);
        return;
    }
    fl_loop_stop(p->loop);
}

static void on_timer(struct fl_timer *timer)
{
    struct process *process = fl_container_of(timer, struct process, timer);

    if (process->state == ENDING)
        kill_process(process, "it did not end when asked to");
    else if (process->state != DOWN)
        kill_process(process, "it closed its control channel");
    else if (!process->parent->stopping)
        start(process);
}

static void log_death(const struct process *process, int status)
{
    enum fl_log_level level = process->parent->stopping ? FL_LOG_INFO : FL_LOG_ERROR;

    if (WIFSIGNALED(status))
        fl_log(level, "hub", "%s (process %d) died of signal %d (%s)%s", process->role->name,
               (int)process->pid, WTERMSIG(status), strsignal(WTERMSIG(status)),
               WTERMSIG(status) == SIGSYS ? ": a system call that its sandbox forbids" : "");
    else
        fl_log(level, "hub", "%s (process %d) ended with status %d", process->role->name,
               (int)process->pid, WEXITSTATUS(status));
}

/* True when starting it again has no prospect. */
static bool is_hopeless(struct process *process, int status)
{
    struct parent *p = process->parent;
    bool config = WIFEXITED(status) && WEXITSTATUS(status) == FL_ROLE_EXIT_CONFIG;

    if (p->announced)
        return false;
    process->early_deaths++;
    process->config_failures += config;
    return process->config_failures >= CONFIG_FAILURES_MAX ||
           process->early_deaths >= EARLY_DEATHS_MAX;
}

static void died(struct process *process, int status)
{
    struct parent *p = process->parent;
    bool settled = fl_loop_now(p->loop) - process->started_at >= SETTLED_MS;

    log_death(process, status);
    process->pid = 0;
    fl_channel_close(process->control);
    process->control = NULL;
    fl_loop_stop_timer(p->loop, &process->timer);
    move(process, DOWN);
    if (p->stopping) {
        stop_next(p);
        return;
    }
    if (is_hopeless(process, status)) {
        give_up(p,
                fl_fail(p->ctx, FL_ESTATE, "%s cannot start (%d times); its last log line says why",
                        process->role->name, process->early_deaths));
        return;
    }
    if (settled)
        process->backoff_ms = BACKOFF_FIRST_MS;
    retry_later(process);
}

static void reap(struct parent *p)
{
    for (size_t i = 0; i < FL_ROLE_COUNT; i++) {
        struct process *process = &p->processes[i];
        int status = 0;

        if (process->pid > 0 && waitpid(process->pid, &status, WNOHANG) == process->pid)
            died(process, status);
    }
}

static void on_signal(void *self, int number)
{
    struct parent *p = self;

    if (number == SIGCHLD) {
        reap(p);
        return;
    }
    if (p->stopping) {
        /* Some senders signal a process and then its group: that is one wish, not impatience. */
        if (fl_loop_now(p->loop) - p->stopping_at < AGAIN_MS)
            return;
        for (size_t i = 0; i < FL_ROLE_COUNT; i++)
            kill_process(&p->processes[i], "asked to end a second time");
        return;
    }
    fl_log(FL_LOG_INFO, "hub", "asked to end (%s)", strsignal(number));
    stop_all(p);
}

/* --- all of it --- */

/* Beside this program, or where a distribution puts helper programs. */
static enum fl_error find_programs(char to[FL_HUB_DIR_MAX], struct fl_context *ctx)
{
    static const char *const places[] = {"", "/../libexec/fairlead"};
    char self[FL_HUB_DIR_MAX] = {0};
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = size > 0 ? strrchr(self, '/') : NULL;

    if (!slash)
        return fl_fail(ctx, FL_ENOTFOUND, "cannot tell where this program is (/proc not mounted?)");
    *slash = 0;
    for (size_t i = 0; i < 2; i++) {
        char path[FL_HUB_DIR_MAX + 64];

        if (snprintf(to, FL_HUB_DIR_MAX, "%s%s", self, places[i]) >= FL_HUB_DIR_MAX)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", to, fl_roles[0].program);
        if (access(path, X_OK) == 0)
            return FL_OK;
    }
    return fl_fail(ctx, FL_ENOTFOUND, "%s is neither in %s nor in %s%s", fl_roles[0].program, self,
                   self, places[1]);
}

static void harden(void)
{
    const struct rlimit no_core = {0, 0};

    if (setrlimit(RLIMIT_CORE, &no_core) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fl_log(FL_LOG_WARN, "hub", "harden: %s", strerror(errno));
    (void)signal(SIGPIPE, SIG_IGN);
}

static enum fl_error supervise(struct parent *p)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    enum fl_error error = fl_loop_create(&p->loop, p->ctx);

    if (error == FL_OK)
        error = fl_loop_signals(p->loop, signals, sizeof signals / sizeof signals[0], on_signal, p,
                                p->ctx);
    for (size_t i = 0; i < FL_ROLE_COUNT; i++)
        p->processes[i] = (struct process){.parent = p,
                                           .role = &fl_roles[i],
                                           .backoff_ms = BACKOFF_FIRST_MS,
                                           .timer.fired = on_timer};
    for (size_t i = 0; i < FL_ROLE_COUNT && error == FL_OK && !p->stopping; i++)
        start(&p->processes[i]);
    if (error == FL_OK)
        error = fl_loop_run(p->loop, p->ctx);
    for (size_t i = 0; i < FL_ROLE_COUNT; i++)
        fl_channel_close(p->processes[i].control);
    fl_loop_free(p->loop);
    return error == FL_OK ? p->error : error;
}

enum fl_error fl_hub_run(const char *dir, struct fl_context *ctx)
{
    struct parent *p = calloc(1, sizeof *p);
    enum fl_error error = FL_OK;
    int lock = -1;

    if (!p)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    p->ctx = ctx;
    fl_log_init("hub", FL_LOG_INFO);
    error = fl_hub_dir_resolve(dir, p->dir, ctx);
    if (error == FL_OK)
        error = fl_hub_config_read(p->dir, &p->config, ctx);
    if (error == FL_OK)
        error = fl_hub_dir_check(p->dir, ctx);
    if (error == FL_OK)
        error = find_programs(p->programs, ctx);
    if (error != FL_OK)
        goto out;
    fl_log_init("hub", p->config.log);
    fl_log_set_format(p->config.log_format);
    harden();
    error = fl_hub_dir_lock(p->dir, &lock, ctx);
    if (error == FL_OK)
        error = fl_hub_listeners_tcp(&p->listeners, &p->config, ctx);
    if (error == FL_OK)
        error = fl_hub_listeners_local(&p->listeners, p->dir, ctx);
    if (error == FL_OK)
        error = fl_hub_dir_make(p->dir, ctx);
    if (error == FL_OK)
        error = fl_hub_dir_own(p->dir, ctx);
    if (error == FL_OK)
        error = supervise(p);
    fl_hub_listeners_close(&p->listeners);
    if (lock >= 0)
        (void)close(lock);
out:
    free(p);
    return error;
}

enum fl_error fl_hub_check(const char *dir, struct fl_context *ctx)
{
    static struct fl_hub_config config;
    struct fl_hub_listeners listeners = {0};
    char path[FL_HUB_DIR_MAX];
    bool runs = false;
    enum fl_error error = FL_OK;

    fl_log_init("hub", FL_LOG_WARN);
    error = fl_hub_dir_resolve(dir, path, ctx);
    if (error == FL_OK)
        error = fl_hub_config_read(path, &config, ctx);
    if (error == FL_OK)
        error = fl_hub_dir_check(path, ctx);
    if (error == FL_OK)
        error = fl_hub_dir_in_use(path, &runs, ctx);
    if (error == FL_OK && !runs) {
        error = fl_hub_listeners_tcp(&listeners, &config, ctx);
        fl_hub_listeners_close(&listeners);
    }
    return error;
}
