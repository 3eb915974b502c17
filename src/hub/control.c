/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/control.h"

#include "base/log.h"
#include "hub/api.h"
#include "hub/control_files.h"
#include "io/child.h"
#include "io/clock.h"
#include "io/http_server.h"
#include "io/store_sqlite.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAG "control"

struct control {
    struct fl_child *child;
    struct fl_loop *loop;
    struct fl_channel *front;
    struct fl_channel *signer;
    struct fl_http_server *local;
    struct fl_timer timer;
    struct fl_deferred flush;
    struct fl_deferred drop_front;
    fl_time_t due; /* of the timer, in the loop's time; 0: not set */
    struct fl_profile_keys keys;
    char dir[4200];
    uint64_t claims_seen;
    bool started;
    struct fl_hub hub;
};

/* --- what the engine asks of its process --- */

static bool send_on(struct fl_channel *channel, const struct fl_msg *msg)
{
    struct fl_context ctx = {0};

    if (!channel)
        return false;
    if (fl_channel_send(channel, msg, &ctx) == FL_OK)
        return true;
    fl_log(FL_LOG_ERROR, TAG, "%s", ctx.text);
    return false;
}

/* A front that does not read would miss what it must know: it gets a new channel and a snapshot.
 * At the end of the round, because the engine is in the middle of something. */
static bool to_front(void *self, const struct fl_msg *msg)
{
    struct control *c = self;

    if (send_on(c->front, msg))
        return true;
    if (c->front)
        fl_loop_defer(c->loop, &c->drop_front);
    return false;
}

static bool to_signer(void *self, const struct fl_msg *msg)
{
    return send_on(((struct control *)self)->signer, msg);
}

static size_t front_unsent(void *self)
{
    const struct control *c = self;

    return c->front ? fl_channel_unsent(c->front) : 0;
}

static void answer(void *self, struct fl_api_caller caller, int status, const char *content_type,
                   struct fl_slice body)
{
    struct fl_msg msg = {.type = fl_msg_type_api_response};
    struct fl_http_response response = {
        .status = status, .content_type = content_type, .body = body};

    if (caller.exchange) {
        fl_http_answer(caller.exchange, &response);
        return;
    }
    msg.as.api_response.request = caller.request;
    msg.as.api_response.status = (uint32_t)status;
    msg.as.api_response.content_type = fl_slice_str(content_type);
    msg.as.api_response.body = body;
    (void)to_front(self, &msg);
}

static uint64_t size_of(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && info.st_size > 0 ? (uint64_t)info.st_size : 0;
}

/* The database and its write-ahead log. */
static uint64_t store_bytes(void *self)
{
    const struct control *c = self;
    char path[4300];
    uint64_t size = 0;

    (void)snprintf(path, sizeof path, "%s/state/hub.db", c->dir);
    size = size_of(path);
    (void)snprintf(path, sizeof path, "%s/state/hub.db-wal", c->dir);
    return size + size_of(path);
}

/* --- time --- */

static void arm(struct control *c, fl_time_t in_ms)
{
    fl_time_t due = fl_loop_now(c->loop) + in_ms;

    if (c->due != 0 && c->due <= due)
        return;
    c->due = due;
    fl_loop_set_timer(c->loop, &c->timer, in_ms);
}

/* Something came in that may have a deadline or more to do. */
static void stir(struct control *c)
{
    const struct fl_hub *hub = &c->hub;

    if (hub->in_snapshot || hub->verify_count || hub->metrics.under_way)
        arm(c, 1);
    else if (fl_hub_is_waiting(hub))
        arm(c, 50);
}

static void timer_fired(struct fl_timer *timer)
{
    struct control *c = fl_container_of(timer, struct control, timer);

    c->due = 0;
    if (c->claims_seen != c->hub.claims) {
        c->claims_seen = c->hub.claims;
        fl_control_load_first_admin(c->dir, &c->hub.store, fl_hub_now(&c->hub));
    }
    arm(c, fl_hub_tick(&c->hub));
}

static void run_flush(struct fl_deferred *deferred)
{
    fl_hub_flush(&fl_container_of(deferred, struct control, flush)->hub);
}

/* --- front and signer --- */

static void become_ready(struct control *c)
{
    if (c->local && fl_hub_has_signer(&c->hub))
        fl_child_ready(c->child);
}

static void front_message(void *self, struct fl_channel *channel, const struct fl_msg *msg, int fd)
{
    struct control *c = self;

    (void)channel;
    if (fd >= 0)
        (void)close(fd);
    fl_hub_from_front(&c->hub, msg);
    if (msg->type == fl_msg_type_readings)
        fl_loop_defer(c->loop, &c->flush);
    stir(c);
}

static void front_lost(void *self, struct fl_channel *channel, const char *why)
{
    struct control *c = self;

    if (channel != c->front)
        return;
    c->front = NULL;
    fl_hub_front_down(&c->hub);
    fl_child_channel_lost(c->child, FL_FROM_FRONT, why);
}

static void signer_message(void *self, struct fl_channel *channel, const struct fl_msg *msg, int fd)
{
    struct control *c = self;

    (void)channel;
    if (fd >= 0)
        (void)close(fd);
    fl_hub_from_signer(&c->hub, msg);
    fl_loop_defer(c->loop, &c->flush); /* readings may have got the key they waited for */
    become_ready(c);
    stir(c);
}

static void signer_lost(void *self, struct fl_channel *channel, const char *why)
{
    struct control *c = self;

    if (channel != c->signer)
        return;
    c->signer = NULL;
    fl_hub_signer_down(&c->hub);
    fl_child_channel_lost(c->child, FL_FROM_SIGNER, why);
}

static void run_drop_front(struct fl_deferred *deferred)
{
    struct control *c = fl_container_of(deferred, struct control, drop_front);
    struct fl_channel *front = c->front;

    if (!front)
        return;
    front_lost(c, front, "it does not take what it is told");
    fl_channel_close(front);
}

static enum fl_error connected(void *self, enum fl_msg_from peer, int fd, struct fl_context *ctx)
{
    struct control *c = self;
    bool is_front = peer == FL_FROM_FRONT;
    struct fl_channel **slot = is_front ? &c->front : &c->signer;
    struct fl_channel_handler handler = {.message = is_front ? front_message : signer_message,
                                         .lost = is_front ? front_lost : signer_lost,
                                         .self = c};
    enum fl_error error = FL_OK;

    fl_channel_close(*slot);
    *slot = NULL;
    error = fl_channel_open(c->loop, fd, peer, is_front ? "front" : "signer", &handler, slot, ctx);
    if (error != FL_OK)
        return error;
    if (is_front)
        fl_hub_front_up(&c->hub);
    else
        fl_hub_signer_up(&c->hub);
    stir(c);
    return FL_OK;
}

/* --- the local door --- */

static void local_request(void *self, struct fl_http_exchange *exchange,
                          const struct fl_http_request *request)
{
    struct control *c = self;
    struct fl_api_request call = {.caller = {.exchange = exchange},
                                  .method = request->method,
                                  .path = request->path,
                                  .query = request->query,
                                  .body = request->body,
                                  .local = true,
                                  .uid = request->peer_uid};

    fl_api_call(&c->hub, &call);
    stir(c);
}

static enum fl_error listening(void *self, const char *name, int fd, struct fl_context *ctx)
{
    struct control *c = self;
    struct fl_http_handler handler = {.request = local_request, .self = c};
    enum fl_error error = FL_OK;

    if (strcmp(name, "local") != 0 || c->local) {
        (void)close(fd);
        return fl_fail(ctx, FL_ESTATE, "control: a listener '%s' is not expected", name);
    }
    error = fl_http_server_open(c->loop, fd, NULL, &handler, &c->local, ctx);
    if (error == FL_OK)
        become_ready(c);
    return error;
}

/* --- start and end --- */

static enum fl_error start(void *self, struct fl_child *child, struct fl_loop *loop,
                           const char *dir, struct fl_context *ctx)
{
    struct control *c = self;
    struct fl_hub_host host = {.to_front = to_front,
                               .to_signer = to_signer,
                               .front_unsent = front_unsent,
                               .answer = answer,
                               .store_bytes = store_bytes,
                               .self = c};
    struct fl_hub_config config = {0};
    struct fl_store store = {0};
    char path[4300];
    enum fl_error error = FL_OK;

    c->child = child;
    c->loop = loop;
    c->timer.fired = timer_fired;
    c->flush.run = run_flush;
    c->drop_front.run = run_drop_front;
    (void)fl_str_copy(c->dir, sizeof c->dir, dir);
    error = fl_hub_config_read(dir, &config, ctx);
    if (error == FL_OK)
        error = fl_control_load_keys(dir, &c->keys, ctx);
    (void)snprintf(path, sizeof path, "%s/state/hub.db", dir);
    if (error == FL_OK)
        error = fl_store_sqlite_open(path, NULL, &store, ctx);
    if (error != FL_OK)
        return error;
    fl_hub_init(&c->hub, store, fl_clock_system(), fl_random_system(), &host, &config, &c->keys);
    c->started = true;
    fl_loop_measure(loop, &c->hub.metrics.rounds);
    fl_control_load_first_admin(dir, &c->hub.store, fl_hub_now(&c->hub));
    fl_control_load_profiles(dir, &c->hub.store, &c->keys, fl_hub_now(&c->hub));
    arm(c, 1);
    return FL_OK;
}

static void stop(void *self)
{
    struct control *c = self;

    if (c->started)
        fl_hub_flush(&c->hub);
    fl_child_done(c->child);
}

static void end(void *self)
{
    struct control *c = self;

    fl_loop_measure(c->loop, NULL);
    fl_http_server_close(c->local);
    fl_channel_close(c->front);
    fl_channel_close(c->signer);
    if (c->started)
        fl_hub_free(&c->hub);
    fl_profile_keys_free(&c->keys);
}

int fl_control_main(int argc, char **argv)
{
    static struct control control;
    struct fl_child_program program = {.role = FL_FROM_HUB,
                                       .start = start,
                                       .listen = listening,
                                       .channel = connected,
                                       .stop = stop,
                                       .end = end,
                                       .self = &control};

    return fl_child_main(&program, argc, argv);
}
