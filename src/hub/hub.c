/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/hub.h"

#include "base/log.h"
#include "hub/api.h"
#include "trust/key.h"

#include <stdlib.h>

#define TAG "hub"
#define SNAPSHOT_STEP 500                         /* devices at once */
#define SNAPSHOT_UNSENT ((size_t)4 * 1024 * 1024) /* bytes the front may be behind */
#define TICK_MS 1000
#define TICK_BUSY_MS 50
#define TICK_NOW_MS 1

void fl_hub_init(struct fl_hub *hub, struct fl_store store, const struct fl_clock *clock,
                 const struct fl_random *random, const struct fl_hub_host *host,
                 const struct fl_hub_config *config, const struct fl_profile_keys *keys)
{
    *hub = (struct fl_hub){.store = store,
                           .clock = clock,
                           .random = random,
                           .host = *host,
                           .config = *config,
                           .profile_keys = keys,
                           .started = fl_clock_monotonic(clock),
                           .issuing = FL_BUFFER(FL_LIMIT_CERT),
                           .root = FL_BUFFER(FL_LIMIT_CERT),
                           .front_key = FL_BUFFER(32),
                           .batches = FL_BUFFER(FL_LIMIT_BATCHES)};
    fl_enrolment_init(&hub->enrolment);
    hub->enrolment.renew_expired_ms = config->renew_expired_ms;
    fl_nonces_init(&hub->nonces);
    fl_activations_init(&hub->activations);
    fl_list_init(&hub->signs);
    fl_list_init(&hub->waits);
    fl_list_init(&hub->verifies);
    fl_list_init(&hub->log_reads);
    fl_list_init(&hub->waiting);
    fl_list_init(&hub->reads);
    fl_list_init(&hub->erases);
    fl_keyring_init(&hub->keyring);
    fl_hub_status_init(&hub->status);
}

void fl_hub_free(struct fl_hub *hub)
{
    fl_hub_forget_log_reads(hub, true);
    FL_LIST_EACH(node, &hub->signs)
    free(fl_container_of(node, struct fl_hub_sign, node));
    FL_LIST_EACH(node, &hub->waits)
    free(fl_container_of(node, struct fl_hub_wait, node));
    FL_LIST_EACH(node, &hub->verifies)
    fl_api_verify_free(fl_container_of(node, struct fl_hub_verify, node));
    FL_LIST_EACH(node, &hub->erases)
    free(fl_container_of(node, struct fl_hub_erase, node));
    fl_api_free_readings(hub);
    fl_hub_forget_batches(hub);
    fl_keyring_free(&hub->keyring);
    fl_hub_sweep_free(hub);
    fl_hub_status_free(&hub->status);
    fl_metrics_free(&hub->metrics);
    fl_enrolment_free(&hub->enrolment);
    fl_nonces_free(&hub->nonces);
    fl_activations_free(&hub->activations);
    fl_session_table_free(&hub->sessions);
    fl_buffer_free(&hub->issuing);
    fl_buffer_free(&hub->root);
    fl_buffer_free(&hub->front_key); /* wipes it */
    fl_buffer_free(&hub->batches);
    if (hub->store.ops)
        hub->store.ops->close(hub->store.self);
    hub->store = (struct fl_store){0};
}

bool fl_hub_has_signer(const struct fl_hub *hub)
{
    return fl_buffer_slice(&hub->root).size > 0;
}

/* --- front and signer come and go --- */

void fl_hub_front_up(struct fl_hub *hub)
{
    if (hub->front_up)
        fl_hub_front_down(hub);
    hub->front_up = true;
    fl_hub_start_snapshot(hub);
}

void fl_hub_front_down(struct fl_hub *hub)
{
    hub->front_up = false;
    hub->in_snapshot = false;
    /* What it sent and had not stored it will send again. */
    fl_hub_forget_batches(hub);
    fl_api_forget_readings(hub);
    fl_hub_forget_erasers(hub);
    fl_metrics_front_gone(&hub->metrics);
    fl_session_all_gone(&hub->sessions, fl_hub_now(hub));
    fl_hub_orphan_signs(hub);
    fl_hub_tick_waits(hub, true);
    fl_api_forget_verifies(hub);
    fl_hub_forget_log_reads(hub, false);
}

void fl_hub_signer_up(struct fl_hub *hub)
{
    if (hub->signer_up)
        fl_hub_signer_down(hub);
    hub->signer_up = true;
}

void fl_hub_signer_down(struct fl_hub *hub)
{
    hub->signer_up = false;
    hub->metrics.has_signer_usage = false;
    fl_hub_tick_signs(hub, true);
    fl_hub_tick_keys(hub, true);
    fl_hub_tick_erases(hub, true);
    fl_hub_tick_log_reads(hub, true);
    fl_hub_tick_status(hub, true);
}

static void signer_hello(struct fl_hub *hub, const struct fl_msg_signer_hello *hello)
{
    bool changed = !fl_slice_equal(hello->issuing, fl_buffer_slice(&hub->issuing)) ||
                   !fl_slice_equal(hello->root, fl_buffer_slice(&hub->root)) ||
                   !fl_slice_equal_secret(hello->front_key, fl_buffer_slice(&hub->front_key));

    if (!changed)
        return;
    fl_buffer_clear(&hub->issuing);
    fl_buffer_clear(&hub->root);
    fl_buffer_clear(&hub->front_key);
    (void)fl_buffer_append_slice(&hub->issuing, hello->issuing);
    (void)fl_buffer_append_slice(&hub->root, hello->root);
    (void)fl_buffer_append_slice(&hub->front_key, hello->front_key);
    fl_sha256(hello->root, hub->root_sha256);
    fl_hub_start_snapshot(hub);
}

void fl_hub_take_usage(const struct fl_msg_usage *msg, struct fl_usage *usage, bool *has)
{
    *usage = (struct fl_usage){.cpu_us = msg->cpu_us, .resident_bytes = msg->resident_bytes};
    *has = true;
}

void fl_hub_from_signer(struct fl_hub *hub, const struct fl_msg *msg)
{
    if (msg->type == fl_msg_type_signer_hello) {
        signer_hello(hub, &msg->as.signer_hello);
        fl_hub_catch_up(hub);
    } else if (msg->type == fl_msg_type_issued_page) {
        fl_hub_log_page(hub, &msg->as.issued_page);
    } else if (msg->type == fl_msg_type_sign_result) {
        fl_hub_sign_result(hub, &msg->as.sign_result);
    } else if (msg->type == fl_msg_type_data_key_result) {
        fl_hub_key_result(hub, &msg->as.data_key_result);
    } else if (msg->type == fl_msg_type_crl_part) {
        fl_hub_list_part(hub, msg->as.crl_part.der);
    } else if (msg->type == fl_msg_type_crl) {
        fl_hub_list(hub, &msg->as.crl);
    } else if (msg->type == fl_msg_type_usage) {
        fl_hub_take_usage(&msg->as.usage, &hub->metrics.signer_usage,
                          &hub->metrics.has_signer_usage);
    } else {
        fl_log(FL_LOG_WARN, TAG, "the signer sent '%s'", fl_msg_name(msg->type));
    }
}

/* --- what the front must know --- */

void fl_hub_push_profile(struct fl_hub *hub, const struct fl_profile_record *record)
{
    struct fl_msg msg = {.type = fl_msg_type_profile};

    msg.as.profile.name = fl_slice_str(record->name);
    msg.as.profile.text = fl_buffer_slice(&record->text);
    if (hub->front_up)
        (void)hub->host.to_front(hub->host.self, &msg);
}

bool fl_hub_push_device(struct fl_hub *hub, const struct fl_device *device, uint64_t seq)
{
    struct fl_msg msg = {.type = fl_msg_type_device};
    struct fl_posture posture = {0};
    struct fl_context ctx = {0};

    if (!hub->front_up || !fl_hub_has_signer(hub))
        return false;
    if (fl_posture_of(&hub->store, device, fl_hub_now(hub), &posture, &ctx) != FL_OK) {
        /* When in doubt the device stays out. */
        fl_log_device(FL_LOG_ERROR, TAG, fl_slice_str(device->id), "posture: %s", ctx.text);
        posture = (struct fl_posture){0};
        (void)fl_str_copy(posture.reason, sizeof posture.reason, "its records cannot be read");
    }
    msg.as.device.seq = seq;
    msg.as.device.id = fl_slice_str(device->id);
    msg.as.device.profile = fl_slice_str(device->profile);
    msg.as.device.may_connect = posture.may_connect ? 1 : 0;
    msg.as.device.reason = fl_slice_str(posture.reason);
    msg.as.device.credentials = fl_slice_str(posture.serials);
    if (posture.has_credential &&
        fl_enrolment_renews_ended(&hub->enrolment, device, &posture.credential, fl_hub_now(hub)))
        msg.as.device.renewable = fl_slice_str(posture.credential.serial);
    msg.as.device.grades = posture.grades;
    return hub->host.to_front(hub->host.self, &msg);
}

static bool push_one_profile(void *to, const struct fl_profile_record *record)
{
    fl_hub_push_profile(to, record);
    return true;
}

void fl_hub_start_snapshot(struct fl_hub *hub)
{
    char hosts[4096] = "";
    struct fl_msg msg = {.type = fl_msg_type_config};
    struct fl_context ctx = {0};

    if (!hub->front_up || !fl_hub_has_signer(hub))
        return;
    fl_hub_config_hosts(&hub->config, hosts, sizeof hosts);
    msg.as.config.hosts = fl_slice_str(hosts);
    msg.as.config.issuing = fl_buffer_slice(&hub->issuing);
    msg.as.config.root = fl_buffer_slice(&hub->root);
    msg.as.config.log_key = fl_buffer_slice(&hub->front_key);
    msg.as.config.durable_os = hub->config.durable_os;
    msg.as.config.log_bytes = hub->config.log_bytes;
    (void)hub->host.to_front(hub->host.self, &msg);
    fl_hub_tell_list(hub);
    if (fl_profile_store_each(&hub->store, push_one_profile, hub, &ctx) != FL_OK)
        fl_log(FL_LOG_ERROR, TAG, "snapshot: %s", ctx.text);
    hub->in_snapshot = true;
    hub->snapshot_after[0] = '\0';
    hub->snapshot_devices = 0;
    (void)fl_hub_pump_snapshot(hub);
}

struct step {
    struct fl_hub *hub;
    size_t count;
};

static bool push_one_device(void *to, const struct fl_device *device)
{
    struct step *step = to;

    (void)fl_hub_push_device(step->hub, device, 0);
    (void)fl_str_copy(step->hub->snapshot_after, sizeof step->hub->snapshot_after, device->id);
    return ++step->count < SNAPSHOT_STEP;
}

bool fl_hub_pump_snapshot(struct fl_hub *hub)
{
    struct step step = {.hub = hub};
    struct fl_msg end = {.type = fl_msg_type_snapshot_end};
    struct fl_context ctx = {0};
    char after[FL_NAME_MAX + 1];

    if (!hub->in_snapshot)
        return false;
    if (hub->host.front_unsent(hub->host.self) > SNAPSHOT_UNSENT)
        return true;
    (void)fl_str_copy(after, sizeof after, hub->snapshot_after);
    if (fl_registry_each(&hub->store, fl_slice_str(after), push_one_device, &step, &ctx) != FL_OK) {
        fl_log(FL_LOG_ERROR, TAG, "snapshot: %s", ctx.text);
        return true; /* again, at the next tick */
    }
    hub->snapshot_devices += step.count;
    if (step.count == SNAPSHOT_STEP)
        return true;
    end.as.snapshot_end.devices = hub->snapshot_devices;
    (void)hub->host.to_front(hub->host.self, &end);
    hub->in_snapshot = false;
    return false;
}

/* --- what time does --- */

/* Ends actions whose time has come: one transaction each, then the front is told. */
static void tick_actions(struct fl_hub *hub)
{
    for (int i = 0; i < 100; i++) {
        struct fl_outcome outcome = {0};
        struct fl_context ctx = {0};
        enum fl_error error = fl_store_begin(&hub->store, &ctx);

        if (error == FL_OK) {
            error = fl_action_expire(&hub->store, fl_hub_now(hub), &outcome, &ctx);
            error = fl_store_end(&hub->store, error, &ctx);
        }
        if (error == FL_ENOTFOUND)
            return;
        if (error != FL_OK) {
            fl_log(FL_LOG_ERROR, TAG, "an action cannot be ended: %s", ctx.text);
            return;
        }
        fl_log(FL_LOG_INFO, TAG, "action %llu (%s of %s) has ended",
               (unsigned long long)outcome.action.id, fl_action_kind_name(outcome.action.kind),
               outcome.device.id);
        (void)fl_hub_push_device(hub, &outcome.device, ++hub->last_seq);
        fl_hub_outcome_status(hub, &outcome);
    }
}

static void tick_credentials(struct fl_hub *hub)
{
    for (int i = 0; i < 100; i++) {
        struct fl_device device = {0};
        struct fl_context ctx = {0};
        enum fl_error found = FL_OK;
        enum fl_error error = fl_store_begin(&hub->store, &ctx);

        if (error == FL_OK) {
            found = fl_registry_expire(&hub->store, fl_hub_now(hub), &device, &ctx);
            error = fl_store_end(&hub->store, found == FL_ESTATE ? FL_OK : found, &ctx);
        }
        if (error == FL_ENOTFOUND)
            return;
        if (error != FL_OK) {
            fl_log(FL_LOG_ERROR, TAG, "a certificate's end cannot be recorded: %s", ctx.text);
            return;
        }
        if (found == FL_OK)
            (void)fl_hub_push_device(hub, &device, ++hub->last_seq);
    }
}

bool fl_hub_is_waiting(const struct fl_hub *hub)
{
    return hub->sign_count || hub->wait_count || hub->keyring.asked || hub->erase_count ||
           hub->log_read_count || fl_hub_status_waits(hub);
}

fl_time_t fl_hub_tick(struct fl_hub *hub)
{
    bool more = false;
    fl_time_t next = 0;

    tick_actions(hub);
    tick_credentials(hub);
    more = fl_hub_tick_evidence(hub);
    fl_hub_tick_signs(hub, false);
    fl_hub_tick_waits(hub, false);
    fl_hub_tick_keys(hub, false);
    fl_hub_tick_erases(hub, false);
    fl_hub_tick_log_reads(hub, false);
    fl_hub_tick_status(hub, false);
    more = fl_hub_sweep(hub) || more;
    more = fl_api_tick_verifies(hub) || more;
    more = fl_hub_pump_snapshot(hub) || more;
    more = fl_metrics_tick(hub) || more;
    if (more)
        return TICK_NOW_MS;
    if (fl_hub_is_waiting(hub))
        return TICK_BUSY_MS;
    /* Evidence ends when it ends, and not up to a second later. */
    next = fl_evidence_next(&hub->store);
    if (next != FL_TIME_NEVER && next - fl_hub_now(hub) < TICK_MS)
        return next > fl_hub_now(hub) ? next - fl_hub_now(hub) : TICK_NOW_MS;
    return TICK_MS;
}
