/* SPDX-License-Identifier: Apache-2.0 */
#include "front/tls_log.h"

#include "base/log.h"

#define GATHER_MS 200
#define WALK_MS 5
#define STEP_BYTES ((size_t)1024 * 1024)

/* --- writing --- */

/* False: it is still to be written. */
static bool append(struct fl_tls_log *log)
{
    struct fl_context ctx = {0};
    uint64_t ticket = 0;
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < FL_TLS_LOG_LISTENERS; i++)
        fl_tls_log(log->tls[i], &log->records);
    if (log->records.size == 0)
        return true;
    error = fl_keeper_append(log->keeper, NULL, fl_buffer_slice(&log->records), &ticket, &ctx);
    if (error == FL_EBUSY)
        return false;
    if (error)
        fl_log(FL_LOG_WARN, "log", "TLS sessions are not kept: %s", ctx.text);
    fl_buffer_free(&log->records);
    log->records.failed = false;
    if (error && log->walking) {
        fl_keeper_walk_failed(&log->member, log->walking);
        log->walking = 0;
    }
    return true;
}

/* True: everything was written down. */
static bool walk(struct fl_tls_log *log)
{
    while (log->listener < FL_TLS_LOG_LISTENERS) {
        if (!fl_tls_walk(log->tls[log->listener], &log->bucket, STEP_BYTES))
            return false;
        log->listener++;
        log->bucket = 0;
    }
    return true;
}

static void on_timer(struct fl_timer *timer)
{
    struct fl_tls_log *log = fl_container_of(timer, struct fl_tls_log, timer);
    bool walked = false;

    if (log->walking && fl_keeper_walking(log->keeper) != log->walking)
        log->walking = 0; /* dropped; another will begin */
    if (log->walking)
        walked = walk(log);
    if (append(log) && walked && log->walking) {
        fl_keeper_walked(&log->member, log->walking);
        log->walking = 0;
    }
    fl_loop_set_timer(log->loop, &log->timer, log->walking ? WALK_MS : GATHER_MS);
}

/* --- as a member of the keeper --- */

static void on_committed(struct fl_keeper_member *member, uint64_t committed)
{
    (void)member; /* nobody waits */
    (void)committed;
}

static void on_checkpoint(struct fl_keeper_member *member, uint64_t generation)
{
    struct fl_tls_log *log = member->self;

    log->walking = generation;
    log->listener = 0;
    log->bucket = 0;
    fl_loop_set_timer(log->loop, &log->timer, WALK_MS);
}

static void on_broken(struct fl_keeper_member *member, const char *words)
{
    (void)member; /* the workers end the process */
    (void)words;
}

/* --- the module --- */

void fl_tls_log_restore(struct fl_tls_log *log, const struct fl_keep *record)
{
    for (size_t i = 0; i < FL_TLS_LOG_LISTENERS; i++)
        fl_tls_restore(log->tls[i], record);
}

enum fl_error fl_tls_log_begin(struct fl_tls_log *log, struct fl_loop *loop,
                               struct fl_keeper *keeper, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    log->loop = loop;
    log->keeper = keeper;
    log->records = FL_BUFFER(FL_LIMIT_TLS_LOG);
    log->timer.fired = on_timer;
    log->member = (struct fl_keeper_member){
        .committed = on_committed, .checkpoint = on_checkpoint, .broken = on_broken, .self = log};
    error = fl_keeper_join(keeper, &log->member, loop, ctx);
    if (error) {
        log->keeper = NULL;
        return error;
    }
    for (size_t i = 0; i < FL_TLS_LOG_LISTENERS; i++)
        fl_tls_keep(log->tls[i]);
    fl_loop_set_timer(loop, &log->timer, GATHER_MS);
    return FL_OK;
}

void fl_tls_log_end(struct fl_tls_log *log)
{
    if (!log->keeper)
        return;
    (void)append(log);
    fl_loop_stop_timer(log->loop, &log->timer);
    fl_keeper_leave(&log->member);
    fl_buffer_free(&log->records);
    log->keeper = NULL;
}
