/* SPDX-License-Identifier: Apache-2.0
 * Erasing what a device has sent: its key is destroyed at the signer, and only then are the
 * readings deleted, which without the key are noise wherever copies of them are. */
#include "hub/hub.h"

#include "base/log.h"
#include "hub/api.h"
#include "service/device_key.h"

#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an intrusive list and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define TAG "erase"
#define ERASE_MS 5000
#define AT_ONCE 16 /* unfinished erasures looked at in one tick */

static void drop(struct fl_hub *hub, struct fl_hub_erase *erase)
{
    fl_list_remove(&erase->node);
    hub->erase_count--;
    free(erase);
}

static struct fl_hub_erase *find(struct fl_hub *hub, struct fl_slice device)
{
    FL_LIST_EACH(node, &hub->erases)
    {
        struct fl_hub_erase *erase = fl_container_of(node, struct fl_hub_erase, node);

        if (fl_slice_is(device, erase->device))
            return erase;
    }
    return NULL;
}

/* NULL: no memory, or the signer does not take it. */
static struct fl_hub_erase *tell_signer(struct fl_hub *hub, struct fl_slice device)
{
    struct fl_msg msg = {.type = fl_msg_type_data_key_erase};
    struct fl_hub_erase *erase = calloc(1, sizeof *erase);

    if (!erase)
        return NULL;
    msg.as.data_key_erase.request = ++hub->last_sign;
    msg.as.data_key_erase.device = device;
    if (!hub->signer_up || !hub->host.to_signer(hub->host.self, &msg)) {
        free(erase);
        return NULL;
    }
    erase->request = msg.as.data_key_erase.request;
    erase->give_up = fl_clock_monotonic(hub->clock) + ERASE_MS;
    erase->answered = true;
    (void)fl_str_copy_slice(erase->device, sizeof erase->device, device);
    fl_list_push(&hub->erases, &erase->node);
    hub->erase_count++;
    return erase;
}

void fl_hub_erase(struct fl_hub *hub, struct fl_api_caller caller, struct fl_slice device,
                  const struct fl_change *change)
{
    struct fl_hub_erase *erase = find(hub, device);
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (erase)
        error = fl_fail(&ctx, FL_EBUSY, "an erasure of this device is under way");
    else if (!hub->signer_up || !fl_hub_has_signer(hub))
        error = fl_fail(&ctx, FL_EBUSY, "the signer is away: nothing was erased, try again");
    if (error == FL_OK)
        error = fl_store_begin(&hub->store, &ctx);
    if (error == FL_OK) {
        error = fl_device_key_erase_begin(&hub->store, device, change, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error != FL_OK) {
        fl_api_problem(hub, caller, error, ctx.text);
        return;
    }
    /* From here on it will be done, whatever happens to this call or this process. */
    fl_hub_forget_key(hub, device);
    erase = tell_signer(hub, device);
    if (!erase) {
        fl_api_problem(hub, caller, FL_EBUSY,
                       "it is recorded, and will be done when the signer is back");
        return;
    }
    erase->caller = caller;
    erase->answered = false;
}

/* --- what comes back --- */

static enum fl_error record(struct fl_hub *hub, struct fl_slice device, uint32_t erased,
                            struct fl_device_key *key, struct fl_context *ctx)
{
    enum fl_error error = fl_store_begin(&hub->store, ctx);

    if (error != FL_OK)
        return error;
    error = fl_device_key_erased(&hub->store, device, erased, fl_hub_now(hub), ctx);
    if (error == FL_OK)
        error = fl_device_key_get(&hub->store, device, key, ctx);
    return fl_store_end(&hub->store, error, ctx);
}

bool fl_hub_erase_result(struct fl_hub *hub, const struct fl_msg_data_key_result *result)
{
    struct fl_hub_erase *erase = find(hub, result->device);
    struct fl_device_key key = {0};
    struct fl_context ctx = {0};
    enum fl_error error = (enum fl_error)result->error;

    if (!erase || erase->request != result->request)
        return false;
    if (error == FL_OK)
        error = record(hub, result->device, result->erased, &key, &ctx);
    else
        (void)fl_fail(&ctx, error, "the signer: %.*s", FL_SLICE_ARGS(result->detail));
    if (error == FL_OK)
        fl_log(FL_LOG_INFO, TAG, "%s: the key of generation %u is destroyed", erase->device,
               key.erased);
    else
        fl_log(FL_LOG_ERROR, TAG, "%s: %s; it is tried again", erase->device, ctx.text);
    if (!erase->answered && error == FL_OK)
        fl_api_answer(hub, erase->caller, 200,
                      json_pack("{s:s, s:I, s:o}", "device", erase->device, "generation",
                                (json_int_t)key.erased, "erased_at", fl_api_time(key.erased_at)));
    else if (!erase->answered)
        fl_api_problem(hub, erase->caller, error, ctx.text);
    drop(hub, erase);
    return true;
}

void fl_hub_forget_erasers(struct fl_hub *hub)
{
    FL_LIST_EACH(node, &hub->erases)
    {
        struct fl_hub_erase *erase = fl_container_of(node, struct fl_hub_erase, node);

        if (!erase->caller.exchange)
            erase->answered = true;
    }
}

/* --- what time does --- */

struct found {
    uint64_t id;
    bool one;
    uint32_t erased;
};

static bool first_erased(void *to, const struct fl_series *series)
{
    struct found *found = to;

    found->one = series->generation <= found->erased;
    found->id = series->id;
    return !found->one;
}

/* A step: FL_EMORE while there is more to delete. */
static enum fl_error delete_some(struct fl_hub *hub, struct fl_slice device, struct fl_context *ctx)
{
    struct fl_device_key key = {0};
    struct found found = {0};
    size_t deleted = 0;
    enum fl_error error = fl_device_key_get(&hub->store, device, &key, ctx);

    found.erased = key.erased;
    if (error == FL_OK)
        error = hub->store.ops->each_series(hub->store.self, device, 0, UINT32_MAX, first_erased,
                                            &found, ctx);
    if (error == FL_OK && found.one) {
        error = hub->store.ops->delete_readings(hub->store.self, found.id, FL_TIME_NEVER,
                                                FL_LIMIT_SWEEP_READINGS, &deleted, ctx);
        return error == FL_OK ? FL_EMORE : error;
    }
    if (error == FL_OK)
        error = fl_device_key_erase_end(&hub->store, device, ctx);
    if (error == FL_OK)
        fl_log(FL_LOG_INFO, TAG, "%.*s: its readings are deleted", FL_SLICE_ARGS(device));
    return error;
}

struct unfinished {
    char device[AT_ONCE][FL_NAME_MAX + 1];
    bool key_gone[AT_ONCE];
    size_t count;
};

static bool take_erasure(void *to, struct fl_slice device, bool key_gone)
{
    struct unfinished *u = to;

    (void)fl_str_copy_slice(u->device[u->count], sizeof u->device[0], device);
    u->key_gone[u->count] = key_gone;
    return ++u->count < AT_ONCE;
}

static void give_up(struct fl_hub *hub, bool signer_gone)
{
    fl_time_t now = fl_clock_monotonic(hub->clock);

    FL_LIST_EACH(node, &hub->erases)
    {
        struct fl_hub_erase *erase = fl_container_of(node, struct fl_hub_erase, node);

        if (!signer_gone && now < erase->give_up)
            continue;
        if (!erase->answered)
            fl_api_problem(hub, erase->caller, FL_EBUSY,
                           "the signer does not answer: the erasure is recorded, and will be done "
                           "when it is back");
        drop(hub, erase);
    }
}

void fl_hub_tick_erases(struct fl_hub *hub, bool signer_gone)
{
    struct unfinished u = {0};
    struct fl_context ctx = {0};

    give_up(hub, signer_gone);
    if (signer_gone)
        return;
    if (fl_device_key_each_erasure(&hub->store, AT_ONCE, take_erasure, &u, &ctx) != FL_OK)
        fl_log(FL_LOG_ERROR, TAG, "%s", ctx.text);
    for (size_t i = 0; i < u.count; i++) {
        struct fl_slice device = fl_slice_str(u.device[i]);
        enum fl_error error = FL_OK;

        if (u.key_gone[i])
            error = delete_some(hub, device, &ctx);
        else if (!find(hub, device))
            (void)tell_signer(hub, device);
        hub->erasing_more = hub->erasing_more || error == FL_EMORE;
        if (error != FL_OK && error != FL_EMORE)
            fl_log(FL_LOG_ERROR, TAG, "%s: %s", u.device[i], ctx.text);
    }
}
