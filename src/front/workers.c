/* SPDX-License-Identifier: Apache-2.0 */
#include "front/workers.h"

#include "base/assert.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct worker {
    struct fl_workers *all;
    unsigned index;
    struct fl_loop *loop;
    struct fl_front_mqtt *mqtt;
    struct fl_link link; /* to the hub, by way of worker 0 */
    struct fl_refusals refusals;
    struct fl_timer second; /* while there are refusals to count */
    uint64_t hub;           /* which hub it is: grows when one goes */
};

struct fl_workers {
    struct fl_workers_config config;
    struct fl_crew *crew;
    struct fl_broker_group *group; /* NULL: there is only one */
    atomic_uint connections;
    atomic_bool hub_there;
    bool changing;
    bool stopped;
    struct fl_deferred change_end;
    struct fl_meter *meters; /* copies of what the others counted, one for each worker */
    uint64_t *untold;
    uint64_t replayed; /* records of the log */
    struct worker workers[];
};

/* Whose thread this is. TLS tells of refusals without saying where. */
static _Thread_local struct worker *here;

enum kind {
    OPEN,
    LOG,
    GUEST,
    CHECK,
    CHECK_TLS,
    CHECKED,
    METER,
    METERED,
    FRAMES,
    HUB_DOWN,
    HUB_UP,
    DONE,
    FLUSH
};

struct letter {
    struct fl_mail mail;
    enum kind kind;
    int fd;
    SSL_CTX *tls;
    struct fl_front_mqtt_guest *guest;
    uint64_t number; /* seq of a check, a batch, or which hub frames are for */
    enum fl_error error;
    bool forget;
    unsigned seq; /* of a worker */
    struct fl_msg_applied applied;
    char device[FL_NAME_MAX + 1];
    char why[FL_LIMIT_REASON + 1];
    size_t size;
    uint8_t bytes[];
};

static struct letter *letter_new(enum kind kind, size_t size)
{
    struct letter *letter = calloc(1, sizeof *letter + size);

    /* What the hub decided must come true: without memory for it another process has to. */
    fl_assert(letter);
    letter->kind = kind;
    letter->fd = -1;
    letter->size = size;
    letter->mail.size_bytes = sizeof *letter + size;
    return letter;
}

static void post(struct fl_workers *w, unsigned to, struct letter *letter)
{
    fl_crew_mail(w->crew, to, &letter->mail);
}

/* --- refusals --- */

static void busy_refusing(struct worker *worker)
{
    if (worker->second.node.position == 0)
        fl_loop_set_timer(worker->loop, &worker->second, 1000);
}

static void on_second(struct fl_timer *timer)
{
    struct worker *worker = fl_container_of(timer, struct worker, second);

    if (fl_refusals_tick(&worker->refusals))
        busy_refusing(worker);
}

static void on_refused(void *self, struct fl_slice device, const char *what, struct fl_slice topic,
                       const char *reason)
{
    struct worker *worker = self;

    fl_refusals_message(&worker->refusals, device, what, topic, reason);
    busy_refusing(worker);
}

void fl_workers_refused(struct fl_workers *workers, const struct fl_refused_session *session)
{
    struct worker *worker = here ? here : &workers->workers[0];

    fl_refusals_session(&worker->refusals, session);
    busy_refusing(worker);
}

/* --- to the hub --- */

static bool send_by_main(void *self, const struct fl_msg *msg)
{
    struct worker *worker = self;
    struct fl_workers *w = worker->all;
    struct fl_buffer frame = FL_BUFFER(FL_LIMIT_MSG + 16);
    struct fl_context ctx = {0};
    struct letter *letter = NULL;

    if (!atomic_load(&w->hub_there) || fl_crew_mail_bytes(w->crew, 0) > FL_LIMIT_CHANNEL_QUEUE)
        return false;
    if (fl_msg_encode(msg, &frame, &ctx) != FL_OK) {
        fl_log(FL_LOG_ERROR, "front", "%s to the hub: %s", fl_msg_name(msg->type), ctx.text);
        fl_buffer_free(&frame);
        return false;
    }
    letter = letter_new(FRAMES, frame.size);
    letter->number = worker->hub;
    memcpy(letter->bytes, frame.data + frame.start, frame.size);
    fl_buffer_free(&frame);
    post(w, 0, letter);
    return true;
}

/* --- mail --- */

static void hand_over(void *self, unsigned to, struct fl_front_mqtt_guest *guest)
{
    struct worker *worker = self;
    struct letter *letter = letter_new(GUEST, 0);

    letter->guest = guest;
    post(worker->all, to, letter);
}

static void open_here(struct worker *worker, int fd, SSL_CTX *tls)
{
    struct fl_context ctx = {0};

    /* The others accept: this one only has no connections of its own making. */
    if (fl_front_mqtt_open(worker->mqtt, fd, tls, &ctx) != FL_OK)
        fl_log(FL_LOG_ERROR, "front", "worker %u does not accept: %s", worker->index, ctx.text);
}

/* It goes on with the log on its own thread. */
static void join_log(struct worker *worker)
{
    struct fl_context ctx = {0};

    if (fl_front_mqtt_join_log(worker->mqtt, &ctx) == FL_OK)
        return;
    /* Its devices would never be answered: a new process serves them. */
    fl_log(FL_LOG_ERROR, "front", "worker %u: %s", worker->index, ctx.text);
    abort();
}

static void on_broken(void *self, const char *words)
{
    const struct worker *worker = self;

    /* Each worker is told; the process ends once. */
    if (worker->index == 0)
        worker->all->config.host.broken(worker->all->config.host.self, words);
}

/* A copy goes to the main thread; the busiest of the next second begin anew. */
static void meter_here(struct worker *worker, struct letter *letter)
{
    struct fl_meter *meter = fl_front_mqtt_meter(worker->mqtt);

    memcpy(letter->bytes, meter, sizeof *meter);
    fl_heaviest_clear(&meter->by_messages);
    fl_heaviest_clear(&meter->by_bytes);
    letter->number = worker->refusals.untold_ever;
    letter->forget = false;
    letter->seq = worker->index;
    letter->kind = METERED;
    post(worker->all, 0, letter);
}

static void metered(struct fl_workers *w, const struct letter *letter)
{
    memcpy(&w->meters[letter->seq], letter->bytes, sizeof w->meters[0]);
    w->untold[letter->seq] = letter->number;
}

static void check_here(struct worker *worker, struct letter *letter)
{
    letter->applied.sessions_closed += fl_front_mqtt_recheck(
        worker->mqtt, fl_slice_str(letter->device), letter->why, letter->forget);
    letter->kind = CHECKED;
    post(worker->all, 0, letter);
}

static void checked(struct fl_workers *w, const struct letter *letter)
{
    w->config.host.checked(w->config.host.self, letter->number, fl_slice_str(letter->device),
                           letter->why, letter->applied);
}

static void frames(struct fl_workers *w, const struct letter *letter)
{
    /* What was told to a hub that has gone is told anew to the next one. */
    if (letter->number == w->workers[0].hub)
        w->config.host.frames(w->config.host.self, fl_slice(letter->bytes, letter->size));
}

static void on_mail(void *self, unsigned index, struct fl_mail *mail)
{
    struct fl_workers *w = self;
    struct worker *worker = &w->workers[index];
    struct letter *letter = fl_container_of(mail, struct letter, mail);

    here = worker;
    switch (letter->kind) {
    case OPEN:
        open_here(worker, letter->fd, letter->tls);
        break;
    case LOG:
        join_log(worker);
        break;
    case GUEST:
        fl_front_mqtt_welcome(worker->mqtt, letter->guest);
        break;
    case CHECK:
        check_here(worker, letter);
        return;
    case CHECK_TLS:
        fl_front_mqtt_recheck_tls(worker->mqtt, fl_slice_str(letter->device));
        break;
    case METER:
        meter_here(worker, letter);
        return;
    case METERED:
        metered(w, letter);
        break;
    case CHECKED:
        checked(w, letter);
        break;
    case FRAMES:
        frames(w, letter);
        break;
    case HUB_DOWN:
        worker->hub++;
        fl_front_mqtt_hub_down(worker->mqtt);
        break;
    case HUB_UP:
        fl_front_mqtt_hub_up(worker->mqtt);
        break;
    case DONE:
        fl_front_mqtt_readings_done(worker->mqtt, letter->number, letter->error);
        break;
    case FLUSH:
        fl_front_mqtt_stop(worker->mqtt);
        break;
    }
    free(letter);
}

static void on_unread(void *self, struct fl_mail *mail)
{
    struct fl_workers *w = self;
    struct letter *letter = fl_container_of(mail, struct letter, mail);

    if (letter->kind == OPEN)
        (void)close(letter->fd);
    if (letter->kind == GUEST)
        fl_front_mqtt_turn_away(letter->guest);
    if (letter->kind == FRAMES)
        frames(w, letter);
    free(letter);
}

static void on_note(void *self, unsigned index, unsigned from, const struct fl_broker_note *note)
{
    struct fl_workers *w = self;

    fl_front_mqtt_note(w->workers[index].mqtt, from, note);
}

static void on_room(void *self, unsigned index)
{
    struct fl_workers *w = self;

    fl_front_mqtt_room(w->workers[index].mqtt);
}

static void on_round(void *self, unsigned index, bool busy)
{
    struct fl_workers *w = self;

    here = &w->workers[index];
    fl_front_mqtt_round(w->workers[index].mqtt, busy);
}

/* --- what the hub says --- */

static void on_change_end(struct fl_deferred *deferred)
{
    struct fl_workers *w = fl_container_of(deferred, struct fl_workers, change_end);

    w->changing = false;
    fl_crew_change_end(w->crew);
}

void fl_workers_change(struct fl_workers *workers)
{
    if (workers->changing || workers->stopped)
        return;
    workers->changing = true;
    fl_crew_change_begin(workers->crew);
    fl_loop_defer(workers->config.loop, &workers->change_end);
}

void fl_workers_hub_there(struct fl_workers *workers, bool is_there)
{
    atomic_store(&workers->hub_there, is_there);
}

void fl_workers_hub_down(struct fl_workers *workers)
{
    workers->workers[0].hub++;
    fl_front_mqtt_hub_down(workers->workers[0].mqtt);
    for (unsigned i = 1; i < workers->config.count; i++)
        post(workers, i, letter_new(HUB_DOWN, 0));
}

void fl_workers_hub_up(struct fl_workers *workers)
{
    fl_front_mqtt_hub_up(workers->workers[0].mqtt);
    for (unsigned i = 1; i < workers->config.count; i++)
        post(workers, i, letter_new(HUB_UP, 0));
}

void fl_workers_readings_done(struct fl_workers *workers, uint64_t batch, enum fl_error error)
{
    uint64_t index = batch >> FL_FRONT_MQTT_BATCH_BITS;
    uint64_t number = batch & (((uint64_t)1 << FL_FRONT_MQTT_BATCH_BITS) - 1);
    struct letter *letter = NULL;

    if (index == 0)
        fl_front_mqtt_readings_done(workers->workers[0].mqtt, number, error);
    if (index == 0 || index >= workers->config.count)
        return;
    letter = letter_new(DONE, 0);
    letter->number = number;
    letter->error = error;
    post(workers, (unsigned)index, letter);
}

void fl_workers_check(struct fl_workers *workers, uint64_t seq, struct fl_slice device,
                      const char *why, bool forget, struct fl_msg_applied applied)
{
    unsigned home = fl_front_mqtt_home(workers->workers[0].mqtt, device);
    struct letter *letter = letter_new(CHECK, 0);

    letter->number = seq;
    letter->forget = forget;
    letter->applied = applied;
    (void)fl_str_copy_slice(letter->device, sizeof letter->device, device);
    (void)fl_str_copy(letter->why, sizeof letter->why, why);
    if (home) {
        post(workers, home, letter);
        return;
    }
    letter->applied.sessions_closed += fl_front_mqtt_recheck(
        workers->workers[0].mqtt, fl_slice_str(letter->device), letter->why, forget);
    checked(workers, letter);
    free(letter);
}

void fl_workers_check_tls(struct fl_workers *workers, struct fl_slice device)
{
    fl_front_mqtt_recheck_tls(workers->workers[0].mqtt, device);
    for (unsigned i = 1; i < workers->config.count; i++) {
        struct letter *letter = letter_new(CHECK_TLS, 0);

        (void)fl_str_copy_slice(letter->device, sizeof letter->device, device);
        post(workers, i, letter);
    }
}

size_t fl_workers_meters(struct fl_workers *workers, struct fl_meter *meters[FL_LIMIT_WORKERS],
                         uint64_t *untold)
{
    meters[0] = fl_front_mqtt_meter(workers->workers[0].mqtt);
    *untold = workers->workers[0].refusals.untold_ever;
    for (unsigned i = 1; i < workers->config.count; i++) {
        meters[i] = &workers->meters[i];
        *untold += workers->untold[i];
        post(workers, i, letter_new(METER, sizeof(struct fl_meter)));
    }
    return workers->config.count;
}

struct fl_front_mqtt *fl_workers_main(struct fl_workers *workers)
{
    return workers->workers[0].mqtt;
}

/* --- the module --- */

static enum fl_error worker_init(struct fl_workers *w, unsigned index, struct fl_context *ctx)
{
    struct worker *worker = &w->workers[index];
    struct fl_front_mqtt_config mqtt = {.clock = w->config.clock,
                                        .roster = w->config.roster,
                                        .refused = on_refused,
                                        .broken = on_broken,
                                        .self = worker,
                                        .crew = w->crew,
                                        .group = w->group,
                                        .worker = index,
                                        .connections = &w->connections,
                                        .hand_over = hand_over};

    worker->all = w;
    worker->index = index;
    worker->loop = fl_crew_loop(w->crew, index);
    worker->link = index ? (struct fl_link){.send = send_by_main, .self = worker} : *w->config.link;
    worker->refusals.link = &worker->link;
    worker->second.fired = on_second;
    worker->hub = 1;
    mqtt.loop = worker->loop;
    mqtt.link = &worker->link;
    return fl_front_mqtt_create(&mqtt, &worker->mqtt, ctx);
}

enum fl_error fl_workers_create(const struct fl_workers_config *config, struct fl_workers **workers,
                                struct fl_context *ctx)
{
    struct fl_workers *w = calloc(1, sizeof *w + config->count * sizeof w->workers[0]);
    const struct fl_crew_host crew = {.note = on_note,
                                      .mail = on_mail,
                                      .room = on_room,
                                      .round = on_round,
                                      .unread = on_unread,
                                      .self = w};
    enum fl_error error = FL_OK;

    if (w) {
        w->meters = calloc(config->count, sizeof w->meters[0]);
        w->untold = calloc(config->count, sizeof w->untold[0]);
    }
    if (!w || !w->meters || !w->untold) {
        if (w) {
            free(w->meters);
            free(w->untold);
        }
        free(w);
        return fl_fail(ctx, FL_ENOMEM, "workers: out of memory");
    }
    w->config = *config;
    w->change_end.run = on_change_end;
    atomic_init(&w->connections, 0);
    atomic_init(&w->hub_there, false);
    error = fl_crew_create(config->count, config->loop, &crew, &w->crew, ctx);
    if (!error && config->count > 1)
        error = fl_broker_group_create(config->count, &w->group, ctx);
    for (unsigned i = 0; i < config->count && !error; i++)
        error = worker_init(w, i, ctx);
    if (!error)
        error = fl_crew_start(w->crew, ctx);
    if (error) {
        fl_workers_free(w);
        return error;
    }
    here = &w->workers[0];
    *workers = w;
    return FL_OK;
}

enum fl_error fl_workers_open(struct fl_workers *workers, int fd, SSL_CTX *tls,
                              struct fl_context *ctx)
{
    for (unsigned i = 1; i < workers->config.count; i++) {
        struct letter *letter = NULL;
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

        if (copy < 0) {
            (void)close(fd);
            return fl_fail(ctx, FL_EIO, "workers: duplicate descriptor: %s", strerror(errno));
        }
        letter = letter_new(OPEN, 0);
        letter->fd = copy;
        letter->tls = tls;
        post(workers, i, letter);
    }
    return fl_front_mqtt_open(workers->workers[0].mqtt, fd, tls, ctx);
}

/* --- the log --- */

static enum fl_error on_block(void *self, struct fl_slice records, uint64_t position,
                              struct fl_context *ctx)
{
    struct fl_workers *w = self;
    struct fl_keep record;
    enum fl_error error = FL_OK;

    (void)position;
    for (;; w->replayed++) {
        error = fl_keep_decode(&records, &record, ctx);
        if (error == FL_ENOTFOUND)
            return FL_OK;
        if (!error &&
            (record.type == fl_keep_type_tls_session || record.type == fl_keep_type_tls_gone)) {
            w->config.host.tls_session(w->config.host.self, &record);
            continue;
        }
        for (unsigned i = 0; i < w->config.count && !error; i++)
            error = fl_front_mqtt_restore(w->workers[i].mqtt, &record);
        if (error == FL_ENOMEM)
            return fl_fail(ctx, error, "log: out of memory while it is read");
        if (error)
            return error;
    }
}

enum fl_error fl_workers_keep(struct fl_workers *workers, struct fl_keeper *keeper,
                              struct fl_context *ctx)
{
    bool changing = workers->changing;
    enum fl_error error = FL_OK;

    if (!changing)
        fl_crew_change_begin(workers->crew);
    for (unsigned i = 0; i < workers->config.count; i++)
        fl_front_mqtt_keep(workers->workers[i].mqtt, keeper);
    error = fl_keeper_replay(keeper, on_block, workers, ctx);
    if (!error)
        fl_keeper_count(keeper, workers->replayed);
    if (!error) {
        fl_crew_exchange(workers->crew);
        for (unsigned i = workers->config.count; i-- > 0;)
            fl_front_mqtt_restored(workers->workers[i].mqtt);
        fl_crew_exchange(workers->crew);
        for (unsigned i = 0; i < workers->config.count; i++)
            fl_front_mqtt_resumed(workers->workers[i].mqtt);
    }
    here = &workers->workers[0];
    if (!changing)
        fl_crew_change_end(workers->crew);
    for (unsigned i = 1; i < workers->config.count && !error; i++)
        post(workers, i, letter_new(LOG, 0));
    if (!error)
        error = fl_front_mqtt_join_log(workers->workers[0].mqtt, ctx);
    return error;
}

static void stop_others(struct fl_workers *w)
{
    if (w->changing) {
        fl_loop_undefer(&w->change_end);
        on_change_end(&w->change_end);
    }
    if (!w->stopped && w->crew)
        fl_crew_stop(w->crew);
    w->stopped = true;
}

void fl_workers_stop(struct fl_workers *workers)
{
    fl_front_mqtt_stop(workers->workers[0].mqtt);
    for (unsigned i = 1; i < workers->config.count; i++)
        post(workers, i, letter_new(FLUSH, 0));
    stop_others(workers);
    fl_crew_read(workers->crew);
}

void fl_workers_free(struct fl_workers *workers)
{
    if (!workers)
        return;
    stop_others(workers);
    if (workers->crew)
        fl_crew_discard(workers->crew); /* guests, while their hosts are there */
    for (unsigned i = 0; i < workers->config.count; i++) {
        struct worker *worker = &workers->workers[i];
        if (!worker->all)
            continue;
        fl_front_mqtt_free(worker->mqtt);
        fl_loop_stop_timer(worker->loop, &worker->second);
        fl_refusals_free(&worker->refusals);
    }
    fl_crew_free(workers->crew);
    fl_broker_group_free(workers->group);
    free(workers->meters);
    free(workers->untold);
    free(workers);
}
