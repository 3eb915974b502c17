/* SPDX-License-Identifier: Apache-2.0
 * Readings from the front: all batches of a loop round in one transaction, sealed under their
 * devices' data keys; a batch whose keys are not all there waits for them. */
#include "hub/hub.h"

#include "base/log.h"
#include "io/clock.h"
#include "service/telemetry.h"

#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an intrusive list and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define TAG "hub"
#define BATCH_HEAD 12
#define FLUSH_BYTES ((size_t)4 * 1024 * 1024)

/* A batch that waits for a key. */
struct waiting {
    struct fl_list node;
    uint64_t batch;
    size_t size;
    size_t left; /* bytes of records whose keys were not looked for yet */
    uint8_t records[];
};

static void readings_done(struct fl_hub *hub, uint64_t batch, enum fl_error error,
                          const char *detail)
{
    struct fl_msg msg = {.type = fl_msg_type_readings_done};

    msg.as.readings_done.batch = batch;
    msg.as.readings_done.error = (uint32_t)error;
    msg.as.readings_done.detail = fl_slice_str(detail);
    (void)hub->host.to_front(hub->host.self, &msg);
}

/* --- keys --- */

/* FL_OK: every record's key is there; FL_EMORE: `rest` begins with one whose key is not. */
static enum fl_error find_keys(struct fl_hub *hub, struct fl_slice *rest, struct fl_context *ctx)
{
    char last[FL_NAME_MAX + 1] = "";
    struct fl_slice next = *rest;
    struct fl_reading reading = {0};
    struct fl_hub_key *key = NULL;

    while (fl_msg_next_reading(&next, &reading) == FL_OK) {
        enum fl_error error = FL_OK;

        if (!fl_slice_is(reading.device, last))
            error = fl_hub_key(hub, reading.device, &key, ctx);
        if (error != FL_OK)
            return error;
        (void)fl_str_copy_slice(last, sizeof last, reading.device);
        *rest = next;
    }
    return FL_OK;
}

/* To the front, a key that does not come is a hub that is busy: the device sends again, and nothing
 * is lost, until an operator has put it right. */
static enum fl_error to_front(enum fl_error error)
{
    return error == FL_OK || error == FL_EFULL || error == FL_EMORE || error == FL_EPARSE
               ? error
               : FL_EBUSY;
}

/* The other keys that the batch lacks are asked for too, so that they come together. */
static void ask_for_rest(struct fl_hub *hub, struct fl_slice rest)
{
    struct fl_reading reading = {0};
    struct fl_hub_key *key = NULL;

    while (fl_msg_next_reading(&rest, &reading) == FL_OK)
        (void)!fl_hub_key(hub, reading.device, &key, NULL);
}

static enum fl_error seal_one(void *to, struct fl_reading *reading, uint8_t *sealed,
                              struct fl_context *ctx)
{
    struct fl_hub *hub = to;
    struct fl_hub_key *key = fl_keyring_find(&hub->keyring, reading->device);

    if (!key || !key->seal)
        return fl_fail(ctx, FL_EBUSY, "the key went away");
    reading->generation = key->generation;
    return fl_reading_seal_value(key->seal, reading->stream, reading->t, reading->value, sealed,
                                 ctx);
}

/* --- batches --- */

static enum fl_error gather(struct fl_hub *hub, uint64_t batch, struct fl_slice records)
{
    size_t count = 0;
    uint32_t size = (uint32_t)records.size;

    if (hub->batches.size == 0)
        hub->keys_dropped = hub->keyring.dropped;
    if (!fl_buffer_reserve(&hub->batches, BATCH_HEAD + size)) {
        hub->batches.failed = false;
        return FL_ENOMEM;
    }
    (void)fl_buffer_append(&hub->batches, &batch, sizeof batch);
    (void)fl_buffer_append(&hub->batches, &size, sizeof size);
    (void)fl_buffer_append_slice(&hub->batches, records);
    hub->batch_count++;
    if (fl_telemetry_check(records, &count, NULL) == FL_OK)
        hub->batch_readings += count;
    if (fl_buffer_slice(&hub->batches).size > FLUSH_BYTES)
        fl_hub_flush(hub);
    return FL_OK;
}

static void let_wait(struct fl_hub *hub, uint64_t batch, struct fl_slice records,
                     struct fl_slice rest)
{
    struct waiting *w = NULL;

    if (hub->waiting_bytes + records.size > FL_LIMIT_BATCHES ||
        hub->waiting_count == FL_LIMIT_BATCHES_WAITING) {
        readings_done(hub, batch, FL_EBUSY, "too many readings wait for their devices' keys");
        return;
    }
    w = malloc(sizeof *w + records.size);
    if (!w) {
        readings_done(hub, batch, FL_ENOMEM, "out of memory");
        return;
    }
    *w = (struct waiting){.batch = batch, .size = records.size, .left = rest.size};
    memcpy(w->records, records.data, records.size);
    fl_list_push(&hub->waiting, &w->node);
    hub->waiting_bytes += w->size;
    hub->waiting_count++;
    ask_for_rest(hub, rest);
}

static void drop_waiting(struct fl_hub *hub, struct waiting *w)
{
    fl_list_remove(&w->node);
    hub->waiting_bytes -= w->size;
    hub->waiting_count--;
    free(w);
}

void fl_hub_forget_batches(struct fl_hub *hub)
{
    fl_buffer_clear(&hub->batches);
    hub->batch_count = 0;
    FL_LIST_EACH(node, &hub->waiting)
    drop_waiting(hub, fl_container_of(node, struct waiting, node));
}

void fl_hub_resume_batches(struct fl_hub *hub)
{
    FL_LIST_EACH(node, &hub->waiting)
    {
        struct waiting *w = fl_container_of(node, struct waiting, node);
        struct fl_slice records = fl_slice(w->records, w->size);
        struct fl_slice rest = fl_slice(w->records + w->size - w->left, w->left);
        struct fl_context ctx = {0};
        enum fl_error error = find_keys(hub, &rest, &ctx);

        w->left = rest.size;
        if (error == FL_EMORE)
            continue;
        if (error == FL_OK)
            error = gather(hub, w->batch, records);
        if (error != FL_OK)
            readings_done(hub, w->batch, to_front(error),
                          ctx.text[0] ? ctx.text : fl_error_words(error));
        drop_waiting(hub, w);
    }
}

void fl_hub_keep_batch(struct fl_hub *hub, const struct fl_msg_readings *readings)
{
    struct fl_slice rest = readings->records;
    size_t count = 0;
    struct fl_context ctx = {0};
    enum fl_error error = fl_telemetry_check(readings->records, &count, &ctx);

    if (error != FL_OK)
        fl_log(FL_LOG_ERROR, TAG, "%s", ctx.text);
    else
        error = find_keys(hub, &rest, &ctx);
    if (error == FL_OK)
        error = gather(hub, readings->batch, readings->records);
    if (error == FL_EMORE)
        let_wait(hub, readings->batch, readings->records, rest);
    else if (error != FL_OK)
        readings_done(hub, readings->batch, to_front(error),
                      ctx.text[0] ? ctx.text : fl_error_words(error));
}

static bool next_batch(struct fl_slice *in, uint64_t *batch, struct fl_slice *records)
{
    uint32_t size = 0;

    if (in->size < BATCH_HEAD)
        return false;
    memcpy(batch, in->data, sizeof *batch);
    memcpy(&size, in->data + sizeof *batch, sizeof size);
    *records = fl_slice(in->data + BATCH_HEAD, size);
    *in = fl_slice_from(*in, BATCH_HEAD + size);
    return true;
}

/* A key may have given way, or been erased, since the batch came: then that batch is not stored.
 * Looked for again before anything is written, so that it costs the others nothing. */
static bool has_keys(struct fl_hub *hub, struct fl_slice records)
{
    struct fl_reading reading = {0};

    if (hub->keys_dropped == hub->keyring.dropped)
        return true;
    while (fl_msg_next_reading(&records, &reading) == FL_OK) {
        const struct fl_hub_key *key = fl_keyring_find(&hub->keyring, reading.device);

        if (!key || !key->seal)
            return false;
    }
    return true;
}

static enum fl_error store_batches(struct fl_hub *hub, struct fl_slice in, struct fl_context *ctx)
{
    struct fl_telemetry_seal seal = {.seal = seal_one, .to = hub};
    struct fl_slice records = {0};
    uint64_t batch = 0;
    enum fl_error error = fl_store_begin(&hub->store, ctx);

    if (error != FL_OK)
        return error;
    while (error == FL_OK && next_batch(&in, &batch, &records))
        if (has_keys(hub, records))
            error = fl_telemetry_append(&hub->store, records, &seal, ctx);
    return fl_store_end(&hub->store, error, ctx);
}

void fl_hub_flush(struct fl_hub *hub)
{
    struct fl_slice in = fl_buffer_slice(&hub->batches);
    struct fl_slice records = {0};
    uint64_t batch = 0;
    uint64_t began_us = fl_clock_monotonic_us();
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (in.size == 0)
        return;
    error = store_batches(hub, in, &ctx);
    if (error != FL_OK) {
        hub->metrics.commits_failed++;
        fl_log(FL_LOG_ERROR, TAG, "readings cannot be stored: %s", ctx.text);
    } else {
        hub->metrics.readings += hub->batch_readings;
        fl_histogram_count(&hub->metrics.commits, fl_clock_monotonic_us() - began_us);
        fl_log(FL_LOG_DEBUG, TAG, "one commit: %zu batches, %zu octets of readings",
               hub->batch_count, in.size);
    }
    while (next_batch(&in, &batch, &records)) {
        if (error == FL_OK && !has_keys(hub, records))
            readings_done(hub, batch, FL_EBUSY, "a device's key went away");
        else
            readings_done(hub, batch, error, ctx.text);
    }
    fl_buffer_clear(&hub->batches);
    hub->batch_count = 0;
    hub->batch_readings = 0;
}
