/* SPDX-License-Identifier: Apache-2.0
 * The devices' data keys: asking the signer, what waits for its answers. */
#include "hub/hub.h"

#include "base/log.h"
#include "hub/api.h"
#include "service/device_key.h"

#include <stdio.h>
#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an intrusive list and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define TAG "keys"
#define KEY_MS 5000

/* --- asking --- */

static enum fl_error ask(struct fl_hub *hub, struct fl_hub_key *key, bool create,
                         struct fl_context *ctx)
{
    struct fl_msg msg = {.type = fl_msg_type_data_key};

    msg.as.data_key.request = ++hub->last_sign;
    msg.as.data_key.device = fl_slice_str(key->device);
    msg.as.data_key.generation = key->generation;
    msg.as.data_key.create = create ? 1 : 0;
    if (!hub->signer_up || !hub->host.to_signer(hub->host.self, &msg))
        return fl_fail(ctx, FL_EBUSY, "the signer is away");
    if (!key->request)
        hub->keyring.asked++;
    key->request = msg.as.data_key.request;
    key->give_up = fl_clock_monotonic(hub->clock) + KEY_MS;
    return FL_OK;
}

enum fl_error fl_hub_key(struct fl_hub *hub, struct fl_slice device, struct fl_hub_key **key,
                         struct fl_context *ctx)
{
    struct fl_hub_key *found = fl_keyring_find(&hub->keyring, device);
    struct fl_device_key record;
    enum fl_error error = FL_OK;

    *key = NULL;
    if (found && found->seal) {
        *key = found;
        return FL_OK;
    }
    if (found)
        return found->failed ? fl_fail(ctx, found->failed, "%s", found->words) : FL_EMORE;
    error = fl_device_key_get(&hub->store, device, &record, ctx);
    if (error == FL_OK && record.erasing)
        error = fl_fail(ctx, FL_EBUSY, "its readings are being erased");
    if (error != FL_OK)
        return error;
    found = fl_keyring_add(&hub->keyring, device);
    if (!found)
        return fl_fail(ctx, FL_EBUSY, "too many keys are asked for at once");
    found->generation = record.generation;
    error = ask(hub, found, !record.made, ctx);
    if (error == FL_OK)
        return FL_EMORE;
    fl_keyring_drop(&hub->keyring, found);
    return error;
}

void fl_hub_forget_key(struct fl_hub *hub, struct fl_slice device)
{
    struct fl_hub_key *key = fl_keyring_find(&hub->keyring, device);

    if (!key)
        return;
    if (!key->request) {
        key->request = UINT64_MAX; /* so that it stays until the end of this */
        hub->keyring.asked++;
    }
    hub->keyring.dropped++;
    key->failed = FL_EBUSY;
    (void)fl_str_copy(key->words, sizeof key->words, "its readings are being erased");
    fl_reading_seal_free(key->seal);
    key->seal = NULL;
    fl_hub_resume(hub);
    fl_keyring_drop(&hub->keyring, key);
}

/* --- what waits --- */

/* Everything that needs a key which is not there is tried again, and either goes on, fails or waits
 * on. */
void fl_hub_resume(struct fl_hub *hub)
{
    fl_hub_resume_batches(hub);
    fl_api_resume_readings(hub);
}

static void fail_key(struct fl_hub *hub, struct fl_hub_key *key, enum fl_error error,
                     const char *words)
{
    key->failed = error;
    (void)fl_str_copy(key->words, sizeof key->words, words);
    fl_hub_resume(hub);
    fl_keyring_drop(&hub->keyring, key);
}

/* --- answers --- */

static enum fl_error note(struct fl_hub *hub, struct fl_slice device, uint32_t erased,
                          struct fl_context *ctx)
{
    enum fl_error error = fl_store_begin(&hub->store, ctx);

    if (error != FL_OK)
        return error;
    error = erased ? fl_device_key_found_erased(&hub->store, device, erased, fl_hub_now(hub), ctx)
                   : fl_device_key_made(&hub->store, device, ctx);
    return fl_store_end(&hub->store, error, ctx);
}

/* This database is a copy from before an erasure. What the key sealed is lost, as it was meant to
 * be; what comes from now on gets the next one. */
static void key_was_erased(struct fl_hub *hub, struct fl_hub_key *key, uint32_t erased)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    fl_log(FL_LOG_WARN, TAG, "%s: generation %u of its key was destroyed; this database is older",
           key->device, erased);
    error = note(hub, fl_slice_str(key->device), erased, &ctx);
    key->generation = erased + 1;
    if (error == FL_OK)
        error = ask(hub, key, true, &ctx);
    if (error != FL_OK)
        fail_key(hub, key, error, ctx.text);
}

void fl_hub_key_result(struct fl_hub *hub, const struct fl_msg_data_key_result *result)
{
    struct fl_map_node *node = fl_map_find(&hub->keyring.map, result->device);
    struct fl_hub_key *key = node ? fl_container_of(node, struct fl_hub_key, node) : NULL;
    struct fl_context ctx = {0};
    enum fl_error error = (enum fl_error)result->error;

    if (fl_hub_erase_result(hub, result) || !key || key->request != result->request)
        return; /* or it came too late */
    if (error == FL_EEXPIRED && result->erased >= key->generation) {
        key_was_erased(hub, key, result->erased);
        return;
    }
    if (error != FL_OK)
        (void)fl_fail(&ctx, error, "%.*s", FL_SLICE_ARGS(result->detail));
    /* To who asked for readings, it is not the device that was not found. */
    if (error == FL_ENOTFOUND)
        error = FL_EIO;
    else if (result->key.size != FL_DATAKEY_SIZE || result->generation != key->generation)
        error = fl_fail(&ctx, FL_EPARSE, "the signer answered with another key");
    if (error == FL_OK)
        error = fl_reading_seal_create(result->key.data, &key->seal, &ctx);
    if (error == FL_OK)
        error = note(hub, result->device, 0, &ctx);
    if (error == FL_OK) {
        key->request = 0;
        hub->keyring.asked--;
        fl_hub_resume(hub);
        return;
    }
    fl_log(FL_LOG_ERROR, TAG, "no key for %s: %s", key->device, ctx.text);
    fail_key(hub, key, error, ctx.text);
}

void fl_hub_tick_keys(struct fl_hub *hub, bool signer_gone)
{
    fl_time_t now = fl_clock_monotonic(hub->clock);

    if (hub->keyring.asked == 0)
        return;
    FL_LIST_EACH(node, &hub->keyring.order)
    {
        struct fl_hub_key *key = fl_container_of(node, struct fl_hub_key, order);

        if (key->request && (signer_gone || now >= key->give_up))
            key->failed = FL_EBUSY;
    }
    /* All at once, so that one pass over what waits is enough. */
    FL_LIST_EACH(node, &hub->keyring.order)
    {
        struct fl_hub_key *key = fl_container_of(node, struct fl_hub_key, order);

        if (key->failed)
            (void)fl_str_copy(key->words, sizeof key->words,
                              signer_gone ? "the signer has gone away"
                                          : "the signer does not answer");
    }
    fl_hub_resume(hub);
    FL_LIST_EACH(node, &hub->keyring.order)
    {
        struct fl_hub_key *key = fl_container_of(node, struct fl_hub_key, order);

        if (key->failed)
            fl_keyring_drop(&hub->keyring, key);
    }
}
