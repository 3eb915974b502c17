/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run_parts.h"

#include "base/log.h"
#include "io/clock.h"

#define TAG "renew"

enum { PROMOTE_AGAIN_MS = 60000 }; /* the disk would not take it */

static fl_time_t now_utc(void)
{
    return fl_clock_now(fl_clock_system());
}

/* --- The plan ----------------------------------------------------------------------------------
 */

static void plan(struct run *r, const struct fl_cert_info *info, fl_time_t since)
{
    struct run_renewal *n = &r->renewal;
    char who[FL_NAME_MAX + FL_LIMIT_SERIAL_HEX + 1];
    char until[FL_TIME_TEXT_MAX];
    char at[FL_TIME_TEXT_MAX];

    (void)fl_str_copy(n->serial, sizeof n->serial, info->serial);
    (void)snprintf(who, sizeof who, "%s %s", r->identity.device, info->serial);
    fl_renewal_plan(&n->plan, r->identity.renew_percent, fl_slice_str(who), since, info->not_before,
                    info->not_after);
    if (n->plan.due == FL_TIME_NEVER)
        fl_log(FL_LOG_INFO, TAG,
               "certificate %s is valid until %s and is not renewed (agent.conf: renew-at never)",
               info->serial, fl_time_format(info->not_after, until));
    else
        fl_log(FL_LOG_INFO, TAG, "certificate %s is valid until %s; it is renewed from %s",
               info->serial, fl_time_format(info->not_after, until),
               fl_time_format(n->plan.due, at));
}

static void look_again(struct run *r, fl_time_t in_ms)
{
    fl_loop_set_timer(r->loop, &r->renewal.timer, in_ms);
}

static void tell_expired(struct run *r)
{
    char until[FL_TIME_TEXT_MAX];
    char now[FL_TIME_TEXT_MAX];

    fl_log(
        FL_LOG_ERROR, TAG,
        "the certificate ended at %s (this machine's clock says %s), and the hub does not "
        "renew it (its hub.conf: renew-expired). Readings go on into the outbox. What helps: on "
        "the hub 'fairlead device token %s', then here 'fairlead-agent enrol --again --token TOKEN "
        "--dir %s', which keeps the outbox",
        fl_time_format(r->renewal.plan.not_after, until), fl_time_format(now_utc(), now),
        r->identity.device, r->options->dir);
}

static void tell_clock(struct run *r)
{
    char from[FL_TIME_TEXT_MAX];
    char until[FL_TIME_TEXT_MAX];
    char now[FL_TIME_TEXT_MAX];

    if (!r->renewal.clock_told)
        fl_log(FL_LOG_ERROR, TAG,
               "this machine's clock says %s, which cannot be: the certificate is valid from %s "
               "until %s. Nothing is renewed, and nothing thrown away, before the clock is set",
               fl_time_format(now_utc(), now), fl_time_format(r->renewal.plan.not_before, from),
               fl_time_format(r->renewal.plan.not_after, until));
    r->renewal.clock_told = true;
    if (r->options->renew)
        fl_run_end(r, FL_ESTATE, "this machine's clock cannot be right: set it first");
}

/* --- The next identity -------------------------------------------------------------------------
 */

static void forget_next(struct run *r)
{
    struct run_renewal *n = &r->renewal;

    fl_agent_key_free(&n->next_key);
    fl_self_free(&n->next);
    fl_self_init(&n->next);
    n->has_next = false;
    n->try_next = false;
}

/* It does not work: on disk and in a token nothing stays of it. */
static void drop_next(struct run *r)
{
    struct fl_context ctx = {0};

    if (fl_self_next_remove(&r->folder.identity, &ctx) != FL_OK)
        fl_log(FL_LOG_WARN, TAG, "%s", ctx.text);
    fl_agent_key_free(&r->renewal.next_key);
    fl_agent_key_retire(&r->renewal.next, &r->identity);
    forget_next(r);
}

static void again_later(struct run *r, const char *why, uint32_t retry_after_s)
{
    struct run_renewal *n = &r->renewal;
    uint32_t random = 0;
    fl_time_t pause = 0;
    char text[FL_TIME_TEXT_MAX];

    fl_random_system()->fill(fl_random_system()->self, &random, sizeof random);
    pause = fl_renewal_failed(&n->plan, now_utc(), fl_loop_now(r->loop),
                              (fl_time_t)retry_after_s * 1000, random);
    fl_log(FL_LOG_WARN, TAG, "%s: not renewed: %s; next attempt in %s", r->identity.device, why,
           fl_duration_format(pause / 1000 * 1000, text));
    if (now_utc() >= n->plan.not_after)
        tell_expired(r);
    look_again(r, pause);
    if (r->options->renew)
        fl_run_end(r, FL_EDENIED, why);
}

static void issued(void *self, struct fl_self *next, struct fl_agent_key *key,
                   const struct fl_cert_info *info)
{
    struct run *r = self;
    struct run_renewal *n = &r->renewal;
    struct fl_context ctx = {0};
    char until[FL_TIME_TEXT_MAX];

    n->next = *next;
    n->next_key = *key;
    if (fl_self_next_save(&r->folder.identity, &n->next, &ctx) != FL_OK) {
        drop_next(r);
        again_later(r, ctx.text, 0);
        return;
    }
    n->has_next = true;
    n->try_next = true;
    n->next_since = now_utc();
    fl_log(FL_LOG_INFO, TAG, "certificate %s, valid until %s, is issued; connecting with it",
           info->serial, fl_time_format(info->not_after, until));
    fl_run_reconnect(r);
}

static void failed(void *self, const char *why, uint32_t retry_after_s)
{
    again_later(self, why, retry_after_s);
}

/* The hub has accepted it: the one before has had its day. */
static void promote(struct run *r)
{
    struct run_renewal *n = &r->renewal;
    struct fl_cert_info info = {0};
    struct fl_context ctx = {0};

    if (fl_self_next_promote(&r->folder.identity, &n->next, &ctx) != FL_OK) {
        /* It stands beside the one before, and the next start goes on with it. */
        fl_log(FL_LOG_ERROR, TAG, "%s; trying again", ctx.text);
        look_again(r, PROMOTE_AGAIN_MS);
        if (r->options->renew)
            fl_run_end(r, FL_EIO, ctx.text);
        return;
    }
    fl_agent_key_free(&r->key);
    fl_agent_key_retire(&r->identity, &n->next);
    fl_self_free(&r->identity);
    r->identity = n->next;
    r->key = n->next_key;
    n->next_key = (struct fl_agent_key){0};
    fl_self_init(&n->next);
    n->has_next = false;
    n->try_next = false;
    n->linked_next = false; /* the link is for the present identity now */
    fl_log(FL_LOG_INFO, TAG, "%s is renewed: the hub has accepted the new certificate",
           r->identity.device);
    fl_witness_hurry(&r->witness); /* by the new key */
    if (fl_self_certificate(fl_buffer_slice(&r->identity.cert_pem), &info))
        plan(r, &info, n->next_since > info.not_before ? n->next_since : info.not_before);
    look_again(r, 0);
    if (r->options->renew)
        fl_run_end(r, FL_OK, "");
}

void fl_run_renew_opened(struct run *r)
{
    struct run_renewal *n = &r->renewal;

    if (!n->has_next)
        return;
    if (n->linked_next) {
        promote(r);
        return;
    }
    drop_next(r);
    again_later(r, "the hub does not accept the new certificate, but still the one before", 0);
}

void fl_run_renew_failed(struct run *r, bool refused, const char *why)
{
    struct run_renewal *n = &r->renewal;
    char until[FL_TIME_TEXT_MAX];

    if (!n->has_next)
        return;
    if (!refused) {
        if (r->options->renew)
            fl_run_end(r, FL_ECLOSED,
                       "the new certificate is issued but could not be tried; the next start "
                       "tries it");
        return;
    }
    if (!n->try_next) {
        n->try_next = true;
        fl_log(FL_LOG_WARN, TAG, "the certificate before is refused, too (%s)", why);
        if (r->options->renew)
            fl_run_end(r, FL_EDENIED, why);
    } else if (now_utc() < n->plan.not_after) {
        n->try_next = false;
        fl_log(FL_LOG_WARN, TAG,
               "the new certificate is refused (%s): going back to the one before, valid until %s",
               why, fl_time_format(n->plan.not_after, until));
    }
}

/* --- When --------------------------------------------------------------------------------------
 */

static void timer_fired(struct fl_timer *timer)
{
    struct run_renewal *n = fl_container_of(timer, struct run_renewal, timer);
    struct run *r = fl_container_of(n, struct run, renewal);
    fl_time_t again = 0;
    enum fl_renewal_verdict verdict = FL_RENEWAL_WAIT;

    if (fl_renew_is_busy(n->exchange))
        return;
    verdict = fl_renewal_judge(&n->plan, now_utc(), fl_loop_now(r->loop), &again);
    if (n->has_next) {
        if (n->linked_next && fl_uplink_is_open(r->uplink))
            promote(r); /* the disk would not take it before */
        else
            look_again(r, again);
        return;
    }
    if (verdict == FL_RENEWAL_CLOCK) {
        look_again(r, again);
        tell_clock(r);
        return;
    }
    n->clock_told = false;
    if (verdict == FL_RENEWAL_WAIT) {
        look_again(r, again);
        return;
    }
    fl_log(FL_LOG_INFO, TAG, "%s: asking for the next certificate", r->identity.device);
    fl_renew_begin(n->exchange, &r->identity, &r->key);
}

void fl_run_renew_hurry(struct run *r)
{
    if (r->renewal.has_next || fl_renew_is_busy(r->renewal.exchange)) {
        fl_log(FL_LOG_INFO, TAG, "asked to renew now: it is under way");
        return;
    }
    fl_log(FL_LOG_INFO, TAG, "asked to renew now");
    fl_renewal_hurry(&r->renewal.plan, now_utc());
    look_again(r, 0);
}

/* --- Start and end -----------------------------------------------------------------------------
 */

/* One that was issued and not yet accepted when the agent ended. */
static void load_next(struct run *r)
{
    struct run_renewal *n = &r->renewal;
    struct fl_context ctx = {0};
    struct fl_cert_info info = {0};
    enum fl_error error = fl_self_next_load(&r->folder.identity, &n->next, &ctx);

    if (!error &&
        fl_slice_equal(fl_buffer_slice(&n->next.cert_pem), fl_buffer_slice(&r->identity.cert_pem)))
        error = FL_ENOTFOUND; /* it has taken its place */
    if (!error && !fl_self_certificate(fl_buffer_slice(&n->next.cert_pem), &info))
        error = fl_fail(&ctx, FL_EPARSE, "next-cert.pem is damaged");
    if (error) {
        if (error != FL_ENOTFOUND)
            fl_log(FL_LOG_WARN, TAG, "a renewal that was begun cannot be used: %s", ctx.text);
        drop_next(r);
        return;
    }
    /* A TPM or token may be away for a while: it stays on disk for the next start. */
    error = fl_agent_key_load(&n->next, &n->next_key, &ctx);
    fl_agent_key_release(&n->next_key);
    if (error) {
        fl_log(FL_LOG_WARN, TAG, "a renewal that was begun cannot be used now: %s", ctx.text);
        forget_next(r);
        return;
    }
    n->has_next = true;
    n->try_next = true;
    n->next_since = info.not_before;
    fl_log(FL_LOG_INFO, TAG, "certificate %s was issued before and is tried now", info.serial);
}

enum fl_error fl_run_renew_start(struct run *r, struct fl_context *ctx)
{
    const struct fl_renew_handler handler = {.issued = issued, .failed = failed, .self = r};
    struct fl_cert_info info = {0};
    enum fl_error error = FL_OK;

    fl_self_init(&r->renewal.next);
    r->renewal.timer.fired = timer_fired;
    if (!fl_self_certificate(fl_buffer_slice(&r->identity.cert_pem), &info))
        return fl_fail(ctx, FL_EPARSE, "cert.pem is not a device's certificate");
    error = fl_renew_create(r->loop, fl_clock_system(), &handler, &r->renewal.exchange, ctx);
    if (error)
        return error;
    plan(r, &info, info.not_before);
    load_next(r);
    if (r->options->renew)
        fl_renewal_hurry(&r->renewal.plan, now_utc());
    look_again(r, 0);
    return FL_OK;
}

void fl_run_renew_close(struct run *r)
{
    fl_renew_free(r->renewal.exchange);
    fl_agent_key_free(&r->renewal.next_key);
    fl_self_free(&r->renewal.next);
}
