/* SPDX-License-Identifier: Apache-2.0
 *
 * An API call from bytes: "METHOD PATH?QUERY", a newline, the body. Local, so that every handler is
 * reached; the store is fresh each time. Exactly one answer, and it is JSON or empty.
 */
#include "base/assert.h"
#include "base/log.h"
#include "hub/api.h"
#include "test/twin/store_twin.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t answers;

static fl_time_t clock_now(void *self)
{
    (void)self;
    return INT64_C(1795348800000);
}

static void random_fill(void *self, void *to, size_t size)
{
    (void)self;
    memset(to, 7, size);
}

static bool to_process(void *self, const struct fl_msg *msg)
{
    (void)self;
    (void)msg;
    return false;
}

static size_t front_unsent(void *self)
{
    (void)self;
    return 0;
}

static void answer(void *self, struct fl_api_caller caller, int status, const char *content_type,
                   struct fl_slice body)
{
    (void)self;
    (void)caller;
    answers++;
    fl_assert(status >= 200 && status < 600);
    if (content_type) {
        json_t *json = json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, NULL);

        fl_assert(json);
        json_decref(json);
    }
}

static void quiet(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)tag;
    (void)text;
}

static void add_device(struct fl_hub *hub)
{
    struct fl_device device = {
        .id = "cam-01", .profile = "camera", .state = FL_DEVICE_ACTIVE, .until = FL_TIME_NEVER};
    struct fl_credential c = {.serial = "aa",
                              .device = "cam-01",
                              .not_after = INT64_C(1895348800000),
                              .key = "0123456789abcdef"};

    fl_assert(fl_registry_attach(&hub->store, &device, &c, "", NULL) == FL_OK);
    fl_assert(fl_registry_put(&hub->store, &device, NULL) == FL_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fl_hub hub;
    static const struct fl_clock clock = {.now = clock_now, .monotonic = clock_now};
    static const struct fl_random random = {.fill = random_fill};
    static const struct fl_hub_host host = {.to_front = to_process,
                                            .to_signer = to_process,
                                            .front_unsent = front_unsent,
                                            .answer = answer};
    static const struct fl_profile_keys keys;
    struct fl_hub_config config = {.hosts = {"localhost"}, .host_count = 1, .https.port = 8443};
    struct fl_api_request request = {.caller.exchange = &hub, .local = true, .uid = 1};
    struct fl_slice rest = fl_slice(data, size);
    struct fl_slice line = {0};

    fl_log_set_writer(quiet);
    (void)fl_slice_cut(&rest, '\n', &line);
    request.body = rest;
    (void)fl_slice_cut(&line, ' ', &request.method);
    (void)fl_slice_cut(&line, '?', &request.path);
    request.query = line;
    fl_hub_init(&hub, fl_store_twin_create(), &clock, &random, &host, &config, &keys);
    fl_assert(fl_buffer_append_str(&hub.root, "a root certificate") == FL_OK);
    add_device(&hub);
    answers = 0;
    fl_api_call(&hub, &request);
    for (int i = 0; i < 3; i++)
        (void)fl_hub_tick(&hub);
    fl_assert(answers == 1);
    fl_hub_free(&hub);
    return 0;
}
