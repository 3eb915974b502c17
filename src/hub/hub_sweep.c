/* SPDX-License-Identifier: Apache-2.0
 * In the background, some rows at a time: readings that were kept as long as their profile says are
 * deleted, and those that an older version stored as they were are sealed. */
#include "hub/hub.h"

#include "base/log.h"
#include "service/device_key.h"

#define TAG "sweep"
#define SEAL_AGAIN_MS 60000
#define SWEEP_AGAIN_MS 10000
#define SEALED_LOG 100000

struct item {
    uint64_t id;
    char device[FL_NAME_MAX + 1];
    char stream[FL_NAME_MAX + 1];
    uint32_t generation;
};

struct items {
    struct item at[FL_LIMIT_SWEEP_SERIES];
    size_t count;
};

static bool take(void *to, const struct fl_series *series)
{
    struct items *items = to;
    struct item *item = &items->at[items->count++];

    item->id = series->id;
    item->generation = series->generation;
    (void)fl_str_copy_slice(item->device, sizeof item->device, series->device);
    (void)fl_str_copy_slice(item->stream, sizeof item->stream, series->stream);
    return items->count < FL_LIMIT_SWEEP_SERIES;
}

static enum fl_error next_series(struct fl_hub *hub, uint64_t after, struct items *items,
                                 struct fl_context *ctx)
{
    items->count = 0;
    return hub->store.ops->each_series(hub->store.self, fl_slice(NULL, 0), after,
                                       FL_LIMIT_SWEEP_SERIES, take, items, ctx);
}

/* --- retention --- */

static void forget_profile(struct fl_hub_sweep *sweep)
{
    fl_profile_free(&sweep->profile);
    fl_profile_record_free(&sweep->record);
    sweep->profile_name[0] = '\0';
}

void fl_hub_sweep_free(struct fl_hub *hub)
{
    forget_profile(&hub->sweep);
}

/* Series of one model come together, so the last profile is most often the next one too. */
static const struct fl_profile *profile_of(struct fl_hub *hub, const char *device)
{
    struct fl_hub_sweep *sweep = &hub->sweep;
    struct fl_device found = {0};

    if (fl_registry_get(&hub->store, fl_slice_str(device), &found, NULL) != FL_OK)
        return NULL;
    if (sweep->profile_name[0] && strcmp(sweep->profile_name, found.profile) == 0)
        return &sweep->profile;
    forget_profile(sweep);
    if (fl_profile_store_get(&hub->store, fl_slice_str(found.profile), &sweep->record, NULL) !=
            FL_OK ||
        fl_profile_store_parse(&sweep->record, &sweep->profile, NULL) != FL_OK) {
        forget_profile(sweep);
        return NULL;
    }
    (void)fl_str_copy(sweep->profile_name, sizeof sweep->profile_name, found.profile);
    return &sweep->profile;
}

/* True: there is more to do at once. */
static bool expire(struct fl_hub *hub, struct fl_context *ctx)
{
    struct fl_hub_sweep *sweep = &hub->sweep;
    static struct items items; /* large, and of one call only */
    uint32_t left = FL_LIMIT_SWEEP_READINGS;
    enum fl_error error = FL_OK;

    if (fl_clock_monotonic(hub->clock) < sweep->again)
        return false;
    error = next_series(hub, sweep->after, &items, ctx);

    for (size_t i = 0; error == FL_OK && i < items.count; i++) {
        const struct fl_profile *profile = profile_of(hub, items.at[i].device);
        fl_time_t keep =
            profile ? fl_profile_keep(profile, fl_slice_str(items.at[i].stream)) : FL_TIME_NEVER;
        size_t deleted = 0;

        if (keep != FL_TIME_NEVER)
            error = hub->store.ops->delete_readings(hub->store.self, items.at[i].id,
                                                    fl_hub_now(hub) - keep, left, &deleted, ctx);
        sweep->expired += deleted;
        left -= (uint32_t)deleted;
        if (left == 0)
            return true;
        if (error == FL_OK)
            sweep->after = items.at[i].id;
    }
    if (error != FL_OK) {
        fl_log(FL_LOG_ERROR, TAG, "readings that are too old cannot be deleted: %s", ctx->text);
        return false;
    }
    /* The next round may find another version of the profile. */
    if (items.count < FL_LIMIT_SWEEP_SERIES) {
        sweep->after = 0;
        sweep->again = fl_clock_monotonic(hub->clock) + SWEEP_AGAIN_MS;
        forget_profile(sweep);
    }
    return false;
}

/* --- sealing what is not --- */

static enum fl_error seal_one(void *to, struct fl_reading *reading, uint8_t *sealed,
                              struct fl_context *ctx)
{
    struct fl_hub_key *key = to;

    reading->generation = key->generation;
    return fl_reading_seal_value(key->seal, reading->stream, reading->t, reading->value, sealed,
                                 ctx);
}

static bool seal_series(struct fl_hub *hub, const struct item *item, struct fl_context *ctx)
{
    struct fl_hub_sweep *sweep = &hub->sweep;
    struct fl_hub_key *key = NULL;
    size_t sealed = 0;
    uint64_t before = 0;
    enum fl_error error = FL_OK;

    if (fl_device_key_is_erasing(&hub->store, fl_slice_str(item->device)))
        error = fl_fail(ctx, FL_EBUSY, "they are being erased");
    else
        error = fl_hub_key(hub, fl_slice_str(item->device), &key, ctx);
    if (error == FL_EMORE)
        return false; /* the next tick finds it there */
    if (error == FL_OK)
        error = hub->store.ops->seal_readings(hub->store.self, item->id, FL_LIMIT_SWEEP_READINGS,
                                              seal_one, key, &sealed, ctx);
    if (error != FL_OK) {
        fl_log(FL_LOG_WARN, TAG, "readings of %s are not sealed yet: %s", item->device, ctx->text);
        sweep->seal_found = true;
        sweep->seal_after = item->id;
        return true;
    }
    before = sweep->sealed;
    sweep->sealed += sealed;
    if (sweep->sealed / SEALED_LOG != before / SEALED_LOG || before == 0)
        fl_log(FL_LOG_INFO, TAG, "sealing readings of an older version: %llu so far",
               (unsigned long long)sweep->sealed);
    return true;
}

static void end_of_round(struct fl_hub *hub)
{
    struct fl_hub_sweep *sweep = &hub->sweep;

    sweep->seal_after = 0;
    if (sweep->seal_found) {
        sweep->seal_found = false;
        sweep->seal_again = fl_clock_monotonic(hub->clock) + SEAL_AGAIN_MS;
        return;
    }
    sweep->all_sealed = true;
    if (sweep->sealed)
        fl_log(FL_LOG_INFO, TAG, "every reading is sealed now: %llu of an older version were not",
               (unsigned long long)sweep->sealed);
}

static bool seal(struct fl_hub *hub, struct fl_context *ctx)
{
    struct fl_hub_sweep *sweep = &hub->sweep;
    static struct items items;
    enum fl_error error = FL_OK;

    if (sweep->all_sealed || !hub->signer_up || !fl_hub_has_signer(hub) ||
        fl_clock_monotonic(hub->clock) < sweep->seal_again)
        return false;
    error = next_series(hub, sweep->seal_after, &items, ctx);
    if (error != FL_OK) {
        fl_log(FL_LOG_ERROR, TAG, "%s", ctx->text);
        return false;
    }
    for (size_t i = 0; i < items.count; i++) {
        if (items.at[i].generation == 0)
            return seal_series(hub, &items.at[i], ctx);
        sweep->seal_after = items.at[i].id;
    }
    if (items.count < FL_LIMIT_SWEEP_SERIES)
        end_of_round(hub);
    return !sweep->all_sealed;
}

bool fl_hub_sweep(struct fl_hub *hub)
{
    struct fl_context ctx = {0};
    bool more = hub->erasing_more;

    hub->erasing_more = false;
    more = expire(hub, &ctx) || more;
    return seal(hub, &ctx) || more;
}
