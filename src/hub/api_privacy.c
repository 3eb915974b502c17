/* SPDX-License-Identifier: Apache-2.0
 * What the hub keeps of a device, how long, and its erasure. */
#include "hub/api.h"

#include "service/device_key.h"

void fl_api_erase(struct fl_api_call *call)
{
    struct fl_change change = {
        .who = call->who, .reason = fl_api_str(call->body, "reason", ""), .now = call->now};
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_registry_get(&call->hub->store, call->segment, &device, &ctx);

    if (error == FL_OK)
        fl_hub_erase(call->hub, call->caller, call->segment, &change);
    else
        fl_api_fail(call, error, &ctx);
}

json_t *fl_api_keep(fl_time_t keep_ms)
{
    char text[FL_TIME_TEXT_MAX];

    return keep_ms == FL_TIME_NEVER ? json_string("forever")
                                    : json_string(fl_duration_format(keep_ms, text));
}

static json_t *streams_of(const struct fl_store *store, const char *profile_name)
{
    struct fl_profile_record record = {0};
    struct fl_profile profile = {0};
    json_t *streams = json_array();

    if (fl_profile_store_get(store, fl_slice_str(profile_name), &record, NULL) == FL_OK &&
        fl_profile_store_parse(&record, &profile, NULL) == FL_OK) {
        for (size_t i = 0; i < profile.stream_count; i++)
            (void)json_array_append_new(streams,
                                        json_pack("{s:s, s:o}", "name", profile.streams[i].name,
                                                  "keep", fl_api_keep(profile.streams[i].keep_ms)));
        fl_profile_free(&profile);
    }
    fl_profile_record_free(&record);
    return streams;
}

struct counting {
    size_t unsealed;
    size_t erased;
    uint32_t up_to;
};

static bool count_series(void *to, const struct fl_series *series)
{
    struct counting *c = to;

    if (series->generation == 0)
        c->unsealed++;
    else if (series->generation <= c->up_to)
        c->erased++;
    return true;
}

void fl_api_get_privacy(struct fl_api_call *call)
{
    const struct fl_store *store = &call->hub->store;
    struct fl_device device = {0};
    struct fl_device_key key = {0};
    struct counting counting = {0};
    struct fl_context ctx = {0};
    const char *state = "none";
    enum fl_error error = fl_registry_get(store, call->segment, &device, &ctx);

    if (error == FL_OK)
        error = fl_device_key_get(store, call->segment, &key, &ctx);
    counting.up_to = key.erased;
    if (error == FL_OK)
        error = store->ops->each_series(store->self, call->segment, 0, UINT32_MAX, count_series,
                                        &counting, &ctx);
    if (error != FL_OK) {
        fl_api_fail(call, error, &ctx);
        return;
    }
    if (key.erasing)
        state = "erasing";
    else if (key.made)
        state = "made";
    fl_api_answer(
        call->hub, call->caller, 200,
        json_pack("{s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:o}", "device", device.id, "key", state,
                  "generation", (json_int_t)key.generation, "erased", (json_int_t)key.erased,
                  "erased_at", key.erased_at ? fl_api_time(key.erased_at) : json_null(),
                  "streams_erased", (json_int_t)counting.erased, "streams_unsealed",
                  (json_int_t)counting.unsealed, "streams", streams_of(store, device.profile)));
}
