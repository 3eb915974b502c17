/* SPDX-License-Identifier: Apache-2.0 */
#include "front/front.h"

#include "base/log.h"
#include "io/clock.h"
#include "io/usage.h"

#include <stdio.h>
#include <unistd.h>

/* --- the hub --- */

static bool send_to_hub(void *self, const struct fl_msg *msg)
{
    struct fl_front *f = self;
    struct fl_context ctx = {0};

    if (!f->hub)
        return false;
    if (fl_channel_send(f->hub, msg, &ctx) == FL_OK)
        return true;
    fl_log(FL_LOG_ERROR, "front", "%s to the hub: %s", fl_msg_name(msg->type), ctx.text);
    return false;
}

static void fail(struct fl_front *f, const char *what, const struct fl_context *ctx)
{
    fl_log(FL_LOG_ERROR, "front", "%s", what);
    fl_child_failed(f->child, ctx->text);
}

/* --- counters --- */

static void tell_usage(struct fl_front *f)
{
    struct fl_usage usage = fl_usage_read();
    struct fl_msg msg = {.type = fl_msg_type_usage};

    msg.as.usage.cpu_us = usage.cpu_us;
    msg.as.usage.resident_bytes = usage.resident_bytes;
    (void)send_to_hub(f, &msg);
}

static void on_meter(struct fl_timer *timer)
{
    struct fl_front *f = fl_container_of(timer, struct fl_front, meter);
    struct fl_meter *meters[FL_LIMIT_WORKERS];
    struct fl_counters_worker all = {0};
    struct fl_keeper_status log = {0};
    size_t count = fl_workers_meters(f->workers, meters, &f->counters.refusals_untold);
    fl_time_t since = fl_loop_now(f->loop) - f->metered;

    for (size_t i = 0; i < count; i++)
        fl_counters_add(&all, &meters[i]->counters);

    f->counters.devices = f->roster.devices.count;
    f->counters.resumable = fl_tls_session_count(f->mqtt_tls);
    f->counters.https_handshakes = (uint64_t)SSL_CTX_sess_accept_good(fl_tls_context(f->https_tls));
    f->counters.https_requests = f->https.requests;
    fl_sys_tick(&f->sys, &f->roster, fl_workers_main(f->workers), &all, fl_loop_now(f->loop));
    if (f->hub) {
        if (f->keeper)
            fl_keeper_status(f->keeper, &log);
        fl_meter_tell(&f->link, &f->counters, &log.counters, meters, count,
                      since > 0 ? (uint32_t)since : 1);
        tell_usage(f);
    }
    f->metered = fl_loop_now(f->loop);
    fl_loop_set_timer(f->loop, &f->meter, FL_METER_MS);
}

/* --- refusals --- */

static void on_refused_peer(void *self, const char *peer, const struct fl_cert_info *info,
                            bool resumed, const char *words)
{
    const struct fl_front *f = self;
    struct fl_refused_session session = {.peer = peer, .reason = words, .resumed = resumed};

    if (info) {
        session.device = fl_slice_str(info->name);
        session.serial = fl_slice_str(info->serial);
    }
    session.at = fl_clock_now(f->clock);
    fl_workers_refused(f->workers, &session);
}

static int judge_tls12(const struct fl_front *f, int verdict, const struct fl_cert_info *info,
                       bool tls12, struct fl_context *ctx)
{
    if (verdict != X509_V_OK || !tls12 ||
        fl_roster_allows_tls12(&f->roster, fl_slice_str(info->name)))
        return verdict;
    (void)fl_fail(ctx, FL_EDENIED, "its profile does not allow TLS 1.2");
    return X509_V_ERR_APPLICATION_VERIFICATION; /* alert handshake_failure */
}

static int judge(void *self, const struct fl_cert_info *info, bool tls12, struct fl_context *ctx)
{
    const struct fl_front *f = self;
    int verdict = fl_roster_judge(&f->roster, info, fl_clock_now(f->clock), ctx);

    return judge_tls12(f, verdict, info, tls12, ctx);
}

/* Where certificates are renewed, one that has ended may come in when the hub says so. */
static int judge_ended(void *self, const struct fl_cert_info *info, bool tls12,
                       struct fl_context *ctx)
{
    const struct fl_front *f = self;
    int verdict = fl_roster_judge_ended(&f->roster, info, fl_clock_now(f->clock), ctx);

    return judge_tls12(f, verdict, info, tls12, ctx);
}

/* --- serving --- */

/* What was acknowledged before is there again before anyone can ask for it. */
static enum fl_error open_log(struct fl_front *f, struct fl_context *ctx)
{
    struct fl_keeper_config config = {
        .folder = f->log_folder,
        .durability = f->durable_os ? FL_DURABILITY_OS : FL_DURABILITY_DISK,
        .max_bytes = f->log_bytes,
        .members = fl_child_workers(f->child) + 1, /* and the TLS sessions */
        .random = fl_random_system(),
        .clock = f->clock,
    };
    enum fl_error error = FL_OK;

    memcpy(config.key, f->log_key, sizeof config.key);
    error = fl_keeper_open(&config, &f->keeper, ctx);
    explicit_bzero(config.key, sizeof config.key);
    f->tls_log.tls[0] = f->mqtt_tls;
    f->tls_log.tls[1] = f->https_tls;
    if (!error)
        error = fl_workers_keep(f->workers, f->keeper, ctx);
    return error ? error : fl_tls_log_begin(&f->tls_log, f->loop, f->keeper, ctx);
}

static void on_tls_session(void *self, const struct fl_keep *record)
{
    struct fl_front *f = self;

    fl_tls_log_restore(&f->tls_log, record);
}

static void on_broken(void *self, const char *words)
{
    struct fl_front *f = self;

    fl_child_failed(f->child, words);
}

/* It may be there or not, and come before or after the others. */
static void open_status(struct fl_front *f)
{
    struct fl_context ctx = {0};
    int fd = f->status_fd;

    if (fd < 0 || !f->serving)
        return;
    f->status_fd = -1;
    if (fl_status_open(&f->https.status, fd, &ctx) != FL_OK)
        fail(f, "the listener for status could not be opened", &ctx);
}

static void serve_if_possible(struct fl_front *f)
{
    struct fl_context ctx = {0};
    int mqtt_fd = f->mqtt_fd;
    int https_fd = f->https_fd;

    if (f->serving || !f->knows || !f->identity.has_certificate || mqtt_fd < 0 || https_fd < 0)
        return;
    f->serving = true;
    f->mqtt_fd = -1;
    f->https_fd = -1;
    if (open_log(f, &ctx) != FL_OK) {
        fail(f, "the log of sessions and messages cannot be read", &ctx);
        return;
    }
    if (fl_workers_open(f->workers, mqtt_fd, fl_tls_context(f->mqtt_tls), &ctx) != FL_OK ||
        fl_https_open(&f->https, f->loop, https_fd, fl_tls_context(f->https_tls),
                      fl_workers_main(f->workers), &ctx) != FL_OK) {
        fail(f, "the listeners could not be opened", &ctx);
        return;
    }
    open_status(f);
    fl_log(FL_LOG_INFO, "front", "serving MQTT and HTTPS");
    fl_child_ready(f->child);
}

static void on_certified(void *self, EVP_PKEY *key, struct fl_slice certificate)
{
    struct fl_front *f = self;
    struct fl_context ctx = {0};
    struct fl_slice issuing = fl_buffer_slice(&f->issuing);

    if (fl_tls_set_identity(f->mqtt_tls, key, certificate, issuing, &ctx) != FL_OK ||
        fl_tls_set_identity(f->https_tls, key, certificate, issuing, &ctx) != FL_OK) {
        fail(f, "the certificate from the hub is of no use", &ctx);
        return;
    }
    serve_if_possible(f);
}

/* --- what the hub says --- */

static bool admits(void *self, struct fl_slice device, struct fl_slice serial)
{
    const struct fl_front *f = self;

    return fl_roster_admits(&f->roster, device, serial);
}

static void on_checked(void *self, uint64_t seq, struct fl_slice device, const char *why,
                       struct fl_msg_applied applied)
{
    struct fl_front *f = self;
    struct fl_msg msg = {.type = fl_msg_type_applied, .as.applied = applied};

    if (applied.sessions_closed > 0)
        fl_log_device(FL_LOG_INFO, "front", device,
                      "closed %u connections, dropped %u resumptions: %s", applied.sessions_closed,
                      applied.resumptions_dropped, why);
    if (seq == 0)
        return;
    msg.as.applied.seq = seq;
    (void)send_to_hub(f, &msg);
}

/* Makes what the roster says of a device true for what it has open, and then says so: APPLIED, but
 * for seq 0. */
static void enforce(struct fl_front *f, uint64_t seq, struct fl_slice device, const char *why,
                    bool forget)
{
    struct fl_msg_applied applied = {0};

    /* Sessions that can still be resumed are few and cost the device one handshake: all go. */
    applied.resumptions_dropped =
        fl_tls_drop(f->mqtt_tls, device) + fl_tls_drop(f->https_tls, device);
    applied.sessions_closed = fl_https_cut(&f->https, device, admits, f);
    fl_workers_check(f->workers, seq, device, why, forget, applied);
}

/* TLS 1.2 is there while a profile asks for it, and for whose profile does. */
static enum fl_error enforce_tls(struct fl_front *f, struct fl_slice device, struct fl_context *ctx)
{
    bool offered = f->roster.tls12 > 0;
    enum fl_error error = fl_tls_offer_12(f->mqtt_tls, offered, ctx);

    if (!error)
        error = fl_tls_offer_12(f->https_tls, offered, ctx);
    fl_workers_check_tls(f->workers, device);
    return error;
}

static enum fl_error on_device(struct fl_front *f, const struct fl_msg *msg, struct fl_context *ctx)
{
    const struct fl_msg_device *m = &msg->as.device;
    enum fl_roster_change change = FL_ROSTER_SAME;
    char why[FL_LIMIT_REASON + 1];
    char printable[FL_LIMIT_REASON + 1];
    enum fl_error error = fl_roster_device(&f->roster, m, &change, ctx);

    if (error)
        return error;
    if (change == FL_ROSTER_CHANGED) {
        (void)fl_str_copy_slice(why, sizeof why, m->reason);
        enforce(f, m->seq, m->id,
                why[0] ? fl_str_printable(printable, sizeof printable, m->reason)
                       : "its credential is not valid any more",
                false);
    } else {
        on_checked(f, m->seq, m->id, "", (struct fl_msg_applied){0});
    }
    return enforce_tls(f, m->id, ctx);
}

static void on_forgotten(void *self, struct fl_slice device)
{
    enforce(self, 0, device, "the device is not known any more", true);
}

static enum fl_error on_device_gone(struct fl_front *f, const struct fl_msg *msg,
                                    struct fl_context *ctx)
{
    (void)ctx;
    fl_roster_gone(&f->roster, msg->as.device_gone.id);
    enforce(f, msg->as.device_gone.seq, msg->as.device_gone.id, "the device is not known any more",
            true);
    return FL_OK;
}

static enum fl_error on_config(struct fl_front *f, const struct fl_msg *msg, struct fl_context *ctx)
{
    const struct fl_msg_config *m = &msg->as.config;
    enum fl_error error = FL_OK;

    if (m->log_key.size != sizeof f->log_key)
        return fl_fail(ctx, FL_EINVAL, "a log key has %zu octets", sizeof f->log_key);
    memcpy(f->log_key, m->log_key.data, sizeof f->log_key);
    f->durable_os = m->durable_os != 0;
    f->log_bytes = m->log_bytes;
    fl_roster_snapshot_begin(&f->roster);
    fl_buffer_clear(&f->issuing);
    error = fl_buffer_append_slice(&f->issuing, m->issuing);
    if (!error)
        error = fl_tls_set_trust(f->mqtt_tls, m->issuing, m->root, ctx);
    if (!error)
        error = fl_tls_set_trust(f->https_tls, m->issuing, m->root, ctx);
    if (!error)
        error = fl_est_config(&f->https.est, m->issuing, m->root, ctx);
    if (!error)
        error = fl_status_config(&f->https.status, m->issuing, ctx);
    if (!error) {
        fl_identity_config(&f->identity, m);
        fl_https_config(&f->https, m->hosts);
    }
    return error;
}

static enum fl_error on_profile(struct fl_front *f, const struct fl_msg *msg,
                                struct fl_context *ctx)
{
    enum fl_error error = fl_roster_profile(&f->roster, &msg->as.profile, ctx);

    return error ? error : enforce_tls(f, fl_slice(NULL, 0), ctx);
}

static enum fl_error on_snapshot_end(struct fl_front *f, const struct fl_msg *msg,
                                     struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    fl_roster_snapshot_end(&f->roster, on_forgotten, f);
    error = enforce_tls(f, fl_slice(NULL, 0), ctx);
    if (error)
        return error;
    fl_log(FL_LOG_INFO, "front", "the hub named %llu devices",
           (unsigned long long)msg->as.snapshot_end.devices);
    f->knows = true;
    fl_workers_hub_up(f->workers);
    serve_if_possible(f);
    return FL_OK;
}

static enum fl_error on_server_cert(struct fl_front *f, const struct fl_msg *msg,
                                    struct fl_context *ctx)
{
    (void)ctx;
    fl_identity_answer(&f->identity, &msg->as.server_cert);
    return FL_OK;
}

static enum fl_error on_enrol_result(struct fl_front *f, const struct fl_msg *msg,
                                     struct fl_context *ctx)
{
    (void)ctx;
    fl_est_result(&f->https.est, &msg->as.enrol_result);
    return FL_OK;
}

static enum fl_error on_evidence_result(struct fl_front *f, const struct fl_msg *msg,
                                        struct fl_context *ctx)
{
    (void)ctx;
    fl_evidence_result(&f->https.evidence, &msg->as.evidence_result);
    return FL_OK;
}

static enum fl_error on_readings_done(struct fl_front *f, const struct fl_msg *msg,
                                      struct fl_context *ctx)
{
    (void)ctx;
    fl_workers_readings_done(f->workers, msg->as.readings_done.batch,
                             (enum fl_error)msg->as.readings_done.error);
    return FL_OK;
}

static enum fl_error on_api_response(struct fl_front *f, const struct fl_msg *msg,
                                     struct fl_context *ctx)
{
    (void)ctx;
    fl_api_response(&f->https.api, &msg->as.api_response);
    return FL_OK;
}

static enum fl_error on_crl_part(struct fl_front *f, const struct fl_msg *msg,
                                 struct fl_context *ctx)
{
    (void)ctx;
    return fl_status_part(&f->https.status, msg->as.crl_part.der);
}

static enum fl_error on_crl(struct fl_front *f, const struct fl_msg *msg, struct fl_context *ctx)
{
    (void)ctx;
    return fl_status_list(&f->https.status, &msg->as.crl);
}

static enum fl_error on_ocsp_answer(struct fl_front *f, const struct fl_msg *msg,
                                    struct fl_context *ctx)
{
    (void)ctx;
    fl_status_answer(&f->https.status, &msg->as.ocsp_answer);
    return FL_OK;
}

static enum fl_error on_ocsp_drop(struct fl_front *f, const struct fl_msg *msg,
                                  struct fl_context *ctx)
{
    (void)ctx;
    return fl_status_drop(&f->https.status, msg->as.ocsp_drop.serials);
}

static const struct {
    enum fl_msg_type type;
    bool changes; /* what all workers read */
    enum fl_error (*on)(struct fl_front *f, const struct fl_msg *msg, struct fl_context *ctx);
} from_hub[] = {
    {fl_msg_type_config, true, on_config},
    {fl_msg_type_profile, true, on_profile},
    {fl_msg_type_device, true, on_device},
    {fl_msg_type_device_gone, true, on_device_gone},
    {fl_msg_type_snapshot_end, true, on_snapshot_end},
    {fl_msg_type_server_cert, true, on_server_cert},
    {fl_msg_type_enrol_result, false, on_enrol_result},
    {fl_msg_type_evidence_result, false, on_evidence_result},
    {fl_msg_type_readings_done, false, on_readings_done},
    {fl_msg_type_api_response, false, on_api_response},
    {fl_msg_type_crl_part, false, on_crl_part},
    {fl_msg_type_crl, false, on_crl},
    {fl_msg_type_ocsp_answer, false, on_ocsp_answer},
    {fl_msg_type_ocsp_drop, false, on_ocsp_drop},
};

static void hub_away(struct fl_front *f)
{
    f->hub = NULL;
    fl_workers_hub_there(f->workers, false);
    fl_workers_hub_down(f->workers);
    fl_status_hub_away(&f->https.status);
    fl_pending_fail_all(&f->https.pending);
}

static void on_hub_message(void *self, struct fl_channel *channel, const struct fl_msg *msg, int fd)
{
    struct fl_front *f = self;
    struct fl_context ctx = {0};
    enum fl_error error = FL_EUNSUPPORTED;

    if (fd >= 0)
        (void)close(fd);
    for (size_t i = 0; i < sizeof from_hub / sizeof from_hub[0]; i++) {
        if (from_hub[i].type != msg->type)
            continue;
        if (from_hub[i].changes)
            fl_workers_change(f->workers);
        error = from_hub[i].on(f, msg, &ctx);
    }
    if (error == FL_OK)
        return;
    /* The hub's word cannot be made true: to go on would be to serve what nobody decided. */
    (void)fl_fail_in(&ctx, error, "%s", fl_msg_name(msg->type));
    if (f->hub == channel)
        hub_away(f);
    fl_channel_close(channel);
    fl_child_channel_lost(f->child, FL_FROM_HUB, ctx.text[0] ? ctx.text : fl_error_words(error));
}

static void on_hub_lost(void *self, struct fl_channel *channel, const char *why)
{
    struct fl_front *f = self;

    if (f->hub != channel)
        return;
    hub_away(f);
    fl_child_channel_lost(f->child, FL_FROM_HUB, why);
}

static void on_frames(void *self, struct fl_slice frames)
{
    const struct fl_front *f = self;
    struct fl_context ctx = {0};

    if (f->hub && fl_channel_send_frames(f->hub, frames, &ctx) != FL_OK)
        fl_log(FL_LOG_ERROR, "front", "to the hub: %s", ctx.text);
}

/* --- the child --- */

static enum fl_error make_tls(struct fl_front *f, const char *name, const char *alpn, bool required,
                              struct fl_tls **tls, struct fl_context *ctx)
{
    const struct fl_tls_config config = {
        .name = name,
        .alpn = alpn,
        .certificate_required = required,
        .judges_ended = !required,
        .host = {.judge = required ? judge : judge_ended, .refused = on_refused_peer, .self = f}};

    return fl_tls_create(&config, tls, ctx);
}

static enum fl_error start(void *self, struct fl_child *child, struct fl_loop *loop,
                           const char *dir, struct fl_context *ctx)
{
    struct fl_front *f = self;
    struct fl_workers_config workers = {.count = fl_child_workers(child),
                                        .loop = loop,
                                        .host = {.frames = on_frames,
                                                 .checked = on_checked,
                                                 .broken = on_broken,
                                                 .tls_session = on_tls_session,
                                                 .self = f}};
    enum fl_error error = FL_OK;

    (void)snprintf(f->log_folder, sizeof f->log_folder, "%s/broker", dir);
    f->child = child;
    f->loop = loop;
    f->clock = fl_clock_system();
    f->mqtt_fd = -1;
    f->https_fd = -1;
    f->status_fd = -1;
    f->link = (struct fl_link){.send = send_to_hub, .self = f};
    f->meter.fired = on_meter;
    f->metered = fl_loop_now(loop);
    f->issuing = FL_BUFFER(FL_LIMIT_CERT);
    fl_identity_init(&f->identity, loop, f->clock, &f->link);
    f->identity.certified = on_certified;
    f->identity.self = f;
    fl_https_init(&f->https, loop, f->clock, &f->link);
    f->https.roster = &f->roster;
    f->https.refused = on_refused_peer;
    f->https.self = f;
    workers.clock = f->clock;
    workers.link = &f->link;
    workers.roster = &f->roster;
    error = fl_tls_prepare(ctx);
    if (!error)
        error = make_tls(f, "mqtt", "mqtt", true, &f->mqtt_tls, ctx);
    if (!error)
        error = make_tls(f, "https", "http/1.1", false, &f->https_tls, ctx);
    if (!error)
        error = fl_workers_create(&workers, &f->workers, ctx);
    if (!error)
        fl_loop_set_timer(loop, &f->meter, FL_METER_MS);
    return error;
}

static enum fl_error take_listener(void *self, const char *name, int fd, struct fl_context *ctx)
{
    struct fl_front *f = self;
    const struct {
        const char *name;
        int *to;
        bool is_late; /* it came already and is in use */
    } known[] = {{"mqtt", &f->mqtt_fd, f->serving},
                 {"https", &f->https_fd, f->serving},
                 {"status", &f->status_fd, f->https.status.server != NULL}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i].name) != 0 || *known[i].to >= 0 || known[i].is_late)
            continue;
        *known[i].to = fd;
        open_status(f);
        serve_if_possible(f);
        return FL_OK;
    }
    (void)close(fd);
    return fl_fail(ctx, FL_ESTATE, "front: no use for a listener '%s'", name);
}

static enum fl_error take_channel(void *self, enum fl_msg_from peer, int fd, struct fl_context *ctx)
{
    struct fl_front *f = self;
    const struct fl_channel_handler handler = {
        .message = on_hub_message, .lost = on_hub_lost, .self = f};
    struct fl_channel *old = f->hub;
    enum fl_error error = FL_OK;

    if (peer != FL_FROM_HUB) {
        (void)close(fd);
        return fl_fail(ctx, FL_ESTATE, "front: no use for such a channel");
    }
    if (old)
        hub_away(f);
    fl_channel_close(old);
    error = fl_channel_open(f->loop, fd, FL_FROM_HUB, "hub", &handler, &f->hub, ctx);
    fl_workers_hub_there(f->workers, error == FL_OK);
    return error;
}

static void stop(void *self)
{
    struct fl_front *f = self;

    fl_workers_stop(f->workers);
    fl_tls_log_end(&f->tls_log);
    fl_child_done(f->child);
}

static void end(void *self)
{
    struct fl_front *f = self;

    fl_https_free(&f->https);
    fl_workers_free(f->workers);
    fl_tls_log_end(&f->tls_log);
    (void)fl_keeper_close(f->keeper);
    fl_channel_close(f->hub);
    fl_loop_stop_timer(f->loop, &f->meter);
    fl_identity_free(&f->identity);
    fl_tls_free(f->mqtt_tls);
    fl_tls_free(f->https_tls);
    fl_roster_free(&f->roster);
    fl_buffer_free(&f->issuing);
    explicit_bzero(f->log_key, sizeof f->log_key);
}

struct fl_child_program fl_front_program(struct fl_front *front)
{
    return (struct fl_child_program){.role = FL_FROM_FRONT,
                                     .start = start,
                                     .listen = take_listener,
                                     .channel = take_channel,
                                     .stop = stop,
                                     .end = end,
                                     .self = front};
}
