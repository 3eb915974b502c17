/* SPDX-License-Identifier: Apache-2.0 */
#include "front/mqtt_log.h"

#include "base/log.h"

#define STEP_BYTES ((size_t)1024 * 1024) /* of a walk, in one round */
#define AGAIN_MS 2
#define ASK_MS 1000

/* --- what is on stable storage --- */

static void settle(struct fl_mqtt_log *log, uint64_t committed)
{
    uint64_t batch = 0;
    size_t done = 0;

    while (done < log->waiting_count && log->waiting[done].ticket <= committed)
        batch = log->waiting[done++].batch;
    if (done == 0)
        return;
    log->waiting_count -= done;
    for (size_t i = 0; i < log->waiting_count; i++)
        log->waiting[i] = log->waiting[i + done];
    fl_broker_committed(log->broker, batch, fl_loop_now(log->loop));
}

static void on_committed(struct fl_keeper_member *member, uint64_t committed)
{
    struct fl_mqtt_log *log = member->self;

    settle(log, committed);
    log->changed(log->self);
}

/* --- checkpoints --- */

static void on_checkpoint(struct fl_keeper_member *member, uint64_t generation)
{
    struct fl_mqtt_log *log = member->self;

    log->walking = generation;
    fl_broker_checkpoint(log->broker);
    log->changed(log->self);
}

static void on_broken(struct fl_keeper_member *member, const char *words)
{
    struct fl_mqtt_log *log = member->self;

    log->broken(log->self, words);
}

/* After something was lost only a checkpoint makes the log whole again. */
static void heal(struct fl_mqtt_log *log)
{
    fl_time_t now = fl_loop_now(log->loop);

    if (!fl_broker_log_lost(log->broker) || log->walking || now - log->asked < ASK_MS)
        return;
    log->asked = now;
    fl_keeper_want_checkpoint(log->keeper);
    fl_loop_set_timer(log->loop, &log->again, ASK_MS);
}

/* --- writing --- */

static void note(struct fl_mqtt_log *log, uint64_t ticket, uint64_t batch)
{
    size_t at = log->waiting_count;

    /* With very many on their way the last ones are settled together. */
    if (at == FL_MQTT_LOG_TICKETS)
        at--;
    else
        log->waiting_count++;
    log->waiting[at].ticket = ticket;
    log->waiting[at].batch = batch;
}

/* False: the keeper is behind; the records stay where they are. */
static bool append(struct fl_mqtt_log *log)
{
    struct fl_context ctx = {0};
    uint64_t batch = 0;
    uint64_t ticket = 0;
    struct fl_slice records = fl_broker_log(log->broker, fl_loop_now(log->loop), &batch);
    enum fl_error error = FL_OK;

    if (records.size == 0)
        return true;
    error =
        fl_keeper_append(log->keeper, log->joined ? &log->member : NULL, records, &ticket, &ctx);
    if (error == FL_EBUSY)
        return false;
    fl_broker_log_taken(log->broker);
    if (error == FL_OK) {
        log->failed = false;
        note(log, ticket, batch);
        fl_keeper_count(log->keeper, fl_broker_kept(log->broker) - log->counted);
        log->counted = fl_broker_kept(log->broker);
        return true;
    }
    if (!log->failed)
        fl_log(FL_LOG_ERROR, "log", "not written, and nothing that needs it is acknowledged: %s",
               ctx.text);
    log->failed = true;
    fl_broker_log_failed(log->broker, batch, fl_loop_now(log->loop));
    if (log->walking)
        fl_keeper_walk_failed(&log->member, log->walking);
    log->walking = 0;
    return true;
}

void fl_mqtt_log_write(struct fl_mqtt_log *log)
{
    bool walked = false;

    if (!log->keeper)
        return;
    fl_broker_log_tight(log->broker, fl_keeper_is_tight(log->keeper));
    if (log->walking && fl_keeper_walking(log->keeper) != log->walking)
        log->walking = 0; /* dropped; another will begin */
    if (log->walking && !log->behind)
        walked = fl_broker_checkpoint_step(log->broker, STEP_BYTES);
    log->behind = !append(log);
    settle(log, fl_keeper_committed(log->keeper));
    if (log->walking && walked && !log->behind) {
        fl_keeper_walked(&log->member, log->walking);
        log->walking = 0;
    }
    if (log->walking || log->behind)
        fl_loop_set_timer(log->loop, &log->again, AGAIN_MS);
    heal(log);
}

static void on_again(struct fl_timer *timer)
{
    struct fl_mqtt_log *log = fl_container_of(timer, struct fl_mqtt_log, again);

    log->changed(log->self);
}

/* --- the module --- */

void fl_mqtt_log_begin(struct fl_mqtt_log *log, struct fl_loop *loop, struct fl_broker *broker,
                       struct fl_keeper *keeper, unsigned number, fl_time_t utc_offset)
{
    log->loop = loop;
    log->broker = broker;
    log->keeper = keeper;
    log->again.fired = on_again;
    log->asked = fl_loop_now(loop) - ASK_MS;
    log->member = (struct fl_keeper_member){
        .committed = on_committed, .checkpoint = on_checkpoint, .broken = on_broken, .self = log};
    fl_broker_keep(broker, number, utc_offset);
}

enum fl_error fl_mqtt_log_join(struct fl_mqtt_log *log, struct fl_context *ctx)
{
    enum fl_error error = fl_keeper_join(log->keeper, &log->member, log->loop, ctx);

    log->joined = error == FL_OK;
    return error;
}

void fl_mqtt_log_leave(struct fl_mqtt_log *log)
{
    if (!log->keeper)
        return;
    fl_mqtt_log_write(log);
    fl_loop_stop_timer(log->loop, &log->again);
    if (log->joined)
        fl_keeper_leave(&log->member);
    log->joined = false;
    log->keeper = NULL;
}
