/* SPDX-License-Identifier: Apache-2.0 */
#include "io/child.h"

#include "base/log.h"
#include "base/map.h"
#include "io/clock.h"
#include "io/role.h"
#include "io/sandbox.h"
#include "io/usage.h"

#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct fl_child {
    const struct fl_child_program *program;
    const struct fl_role *role;
    struct fl_loop *loop;
    struct fl_channel *control;
    unsigned workers;
    bool started;
    bool ready;
    bool stopping;
    int status;
};

static void leave(struct fl_child *c, int status)
{
    c->status = status;
    fl_loop_stop(c->loop);
}

void fl_child_done(struct fl_child *child)
{
    leave(child, 0);
}

void fl_child_failed(struct fl_child *child, const char *why)
{
    fl_log(FL_LOG_ERROR, "child", "%s", why);
    leave(child, 1);
}

unsigned fl_child_workers(const struct fl_child *child)
{
    return child->workers;
}

static void stop(struct fl_child *c)
{
    if (c->stopping)
        return;
    c->stopping = true;
    if (c->started && c->program->stop)
        c->program->stop(c->program->self);
    else
        leave(c, 0);
}

static void send_to_parent(struct fl_child *c, const struct fl_msg *msg)
{
    struct fl_context ctx = {0};

    if (c->control && fl_channel_send(c->control, msg, &ctx) != FL_OK)
        fl_log(FL_LOG_ERROR, "child", "%s", ctx.text);
}

void fl_child_ready(struct fl_child *child)
{
    struct fl_msg msg = {.type = fl_msg_type_ready, .as.ready.pid = (uint32_t)getpid()};

    if (child->ready)
        return;
    child->ready = true;
    send_to_parent(child, &msg);
}

void fl_child_channel_lost(struct fl_child *child, enum fl_msg_from peer, const char *why)
{
    struct fl_msg msg = {.type = fl_msg_type_lost};

    fl_log(FL_LOG_WARN, "child", "channel to %s: %s", fl_role_of(peer)->name, why);
    msg.as.lost.peer = fl_slice_str(fl_role_of(peer)->peer);
    msg.as.lost.violation = strncmp(why, FL_CHANNEL_CLOSED, strlen(FL_CHANNEL_CLOSED)) != 0;
    msg.as.lost.why = fl_slice_str(why);
    send_to_parent(child, &msg);
}

/* --- what the parent says --- */

static enum fl_error start(struct fl_child *c, const struct fl_msg_start *msg,
                           struct fl_context *ctx)
{
    char dir[4097];
    enum fl_log_level level = FL_LOG_INFO;
    enum fl_log_format format = FL_LOG_TEXT;
    enum fl_error error = FL_OK;

    if (c->started)
        return fl_fail(ctx, FL_ESTATE, "started twice");
    if (!fl_str_copy_slice(dir, sizeof dir, msg->dir) || dir[0] != '/')
        return fl_fail(ctx, FL_EINVAL, "the hub directory must be an absolute path");
    if (!fl_role_log_level(msg->log_level, &level))
        return fl_fail(ctx, FL_EINVAL, "unknown log level");
    if (msg->workers < 1 || msg->workers > FL_LIMIT_WORKERS)
        return fl_fail(ctx, FL_EINVAL, "%u workers", msg->workers);
    c->workers = msg->workers;
    if (!fl_role_log_format(msg->log_format, &format))
        return fl_fail(ctx, FL_EINVAL, "unknown log format");
    fl_log_init(c->role->name, level);
    fl_log_set_format(format);
    fl_usage_open();
    error = fl_role_sandbox(c->role, dir, sizeof dir, ctx);
    if (error != FL_OK)
        return error;
    c->started = true;
    return c->program->start(c->program->self, c, c->loop, dir, ctx);
}

static enum fl_error listen_on(struct fl_child *c, struct fl_slice name, int fd,
                               struct fl_context *ctx)
{
    char text[17];

    if (!c->started || !c->program->listen) {
        (void)close(fd);
        return fl_fail(ctx, FL_ESTATE, "a listener that this process does not want");
    }
    (void)fl_str_copy_slice(text, sizeof text, name);
    return c->program->listen(c->program->self, text, fd, ctx);
}

static enum fl_error connect_to(struct fl_child *c, struct fl_slice name, int fd,
                                struct fl_context *ctx)
{
    const struct fl_role *peer = fl_role_named(name);

    if (!c->started || !c->program->channel || !peer || peer == c->role) {
        (void)close(fd);
        return fl_fail(ctx, FL_ESTATE, "a channel that this process does not want");
    }
    return c->program->channel(c->program->self, peer->from, fd, ctx);
}

static void on_message(void *self, struct fl_channel *channel, const struct fl_msg *msg, int fd)
{
    struct fl_child *c = self;
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;
    bool configured = c->started;

    (void)channel;
    if (c->stopping) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    if (msg->type == fl_msg_type_start)
        error = start(c, &msg->as.start, &ctx);
    else if (msg->type == fl_msg_type_listen)
        error = listen_on(c, msg->as.listen.name, fd, &ctx);
    else if (msg->type == fl_msg_type_channel)
        error = connect_to(c, msg->as.channel.peer, fd, &ctx);
    if (error == FL_OK)
        return;
    fl_log(FL_LOG_ERROR, "child", "%s", ctx.text[0] ? ctx.text : fl_error_words(error));
    c->stopping = true;
    leave(c, configured ? 1 : FL_ROLE_EXIT_CONFIG);
}

static void on_lost(void *self, struct fl_channel *channel, const char *why)
{
    struct fl_child *c = self;

    (void)channel;
    c->control = NULL;
    fl_log(FL_LOG_WARN, "child", "the parent is gone: %s", why);
    stop(c);
}

static void on_signal(void *self, int number)
{
    /* Ctrl-C and a closed terminal reach the whole group; the parent decides what they mean. */
    if (number == SIGTERM)
        stop(self);
}

/* --- main --- */

/* What libraries want from the file system they get before it is gone. */
static bool prepare_libraries(void)
{
    uint8_t seed[16];
    const struct fl_random *random = fl_random_system();

    random->fill(random->self, seed, sizeof seed);
    fl_map_seed(seed);
    return OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
                            NULL) == 1 &&
           RAND_bytes(seed, sizeof seed) == 1;
}

static enum fl_error run(struct fl_child *c, struct fl_context *ctx)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct fl_channel_handler handler = {.message = on_message, .lost = on_lost, .self = c};
    enum fl_error error = FL_OK;

    if (!prepare_libraries())
        return fl_fail(ctx, FL_ECRYPTO, "OpenSSL does not start");
    error = fl_loop_create(&c->loop, ctx);
    if (error == FL_OK)
        error = fl_loop_signals(c->loop, signals, sizeof signals / sizeof signals[0], on_signal, c,
                                ctx);
    if (error == FL_OK)
        error = fl_channel_open(c->loop, FL_ROLE_CONTROL_FD, FL_FROM_PARENT, "parent", &handler,
                                &c->control, ctx);
    if (error == FL_OK)
        error = fl_loop_run(c->loop, ctx);
    return error;
}

static bool started_by_the_hub(void)
{
    int domain = 0;
    socklen_t size = sizeof domain;

    return getsockopt(FL_ROLE_CONTROL_FD, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           domain == AF_UNIX;
}

int fl_child_main(const struct fl_child_program *program, int argc, char **argv)
{
    struct fl_child c = {.program = program, .role = fl_role_of(program->role)};
    struct fl_context ctx = {0};

    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("%s %s\n", c.role->program, FL_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)printf("%s: %s.\nPart of a hub; fairlead-hub starts it.\n", c.role->program,
                     c.role->purpose);
        return 0;
    }
    if (argc != 1 || !started_by_the_hub()) {
        (void)fprintf(stderr,
                      "%s: this program is started by fairlead-hub; run 'fairlead-hub DIR'\n",
                      c.role->program);
        return 2;
    }
    fl_log_init(c.role->name, FL_LOG_INFO);
    (void)signal(SIGPIPE, SIG_IGN);
    if (run(&c, &ctx) != FL_OK) {
        fl_log(FL_LOG_ERROR, "child", "%s", ctx.text);
        c.status = 1;
    }
    if (program->end && c.started)
        program->end(program->self);
    fl_channel_close(c.control);
    fl_loop_free(c.loop);
    /* Not exit(): what runs there (a sanitizer's leak check) does not live in the sandbox. */
    (void)fflush(NULL);
    _exit(c.status);
}
