/* SPDX-License-Identifier: Apache-2.0 */
#include "front/readings.h"

#include "base/list.h"
#include "front/stamps.h"
#include "trust/key.h"

#include <stdlib.h>

/* One chunk of a connection's bytes is taken whole, so reading stops this much before the bound. */
#define FULL_MARGIN 8192
#define RECORDS_MAX (FL_LIMIT_MSG - 64)

struct batch {
    struct fl_list node;
    uint64_t id;
    struct fl_buffer records;
    struct fl_buffer tokens; /* array of uint64_t */
    size_t count;            /* of readings */
};

struct fl_readings {
    struct fl_readings_host host;
    struct fl_list batches; /* sent, or waiting for a hub; oldest first */
    struct batch *gathering;
    uint64_t next_id;
    size_t uncommitted;
    struct fl_stamps stamps;
};

enum fl_error fl_readings_create(const struct fl_readings_host *host, struct fl_readings **readings,
                                 struct fl_context *ctx)
{
    struct fl_readings *r = calloc(1, sizeof *r);

    if (!r)
        return fl_fail(ctx, FL_ENOMEM, "readings: out of memory");
    r->host = *host;
    if (r->host.uncommitted_max == 0)
        r->host.uncommitted_max = FL_LIMIT_READINGS_UNCOMMITTED;
    r->next_id = 1;
    fl_list_init(&r->batches);
    *readings = r;
    return FL_OK;
}

static void free_batch(struct batch *b)
{
    if (!b)
        return;
    fl_buffer_free(&b->records);
    fl_buffer_free(&b->tokens);
    free(b);
}

void fl_readings_free(struct fl_readings *readings)
{
    if (!readings)
        return;
    FL_LIST_EACH(node, &readings->batches)
    free_batch(fl_container_of(node, struct batch, node));
    free_batch(readings->gathering);
    fl_stamps_free(&readings->stamps);
    free(readings);
}

/* The same for the same message sent twice, whatever process received it. */
static uint64_t message_id(const struct fl_readings_origin *origin)
{
    const uint8_t id[2] = {(uint8_t)(origin->packet_id >> 8), (uint8_t)origin->packet_id};
    uint8_t digests[3][FL_SHA256_SIZE];
    uint64_t value = 0;

    fl_sha256(origin->topic, digests[0]);
    fl_sha256(origin->payload, digests[1]);
    memset(digests[2], 0, sizeof digests[2]);
    memcpy(digests[2], id, sizeof id);
    fl_sha256(fl_slice(digests, sizeof digests), digests[0]);
    memcpy(&value, digests[0], sizeof value);
    return value ? value : 1;
}

/* --- gathering --- */

static struct batch *batch_with_room(struct fl_readings *r, size_t records)
{
    if (r->gathering && r->gathering->records.size + records > RECORDS_MAX)
        fl_readings_flush(r);
    if (r->gathering)
        return r->gathering;
    r->gathering = calloc(1, sizeof *r->gathering);
    if (!r->gathering)
        return NULL;
    r->gathering->records = FL_BUFFER(RECORDS_MAX);
    r->gathering->tokens = FL_BUFFER(FL_LIMIT_READINGS_UNCOMMITTED * sizeof(uint64_t));
    return r->gathering;
}

static enum fl_error encode(struct fl_readings *r, struct fl_reading_list *list,
                            const struct fl_readings_origin *origin, fl_time_t now,
                            struct fl_buffer *records)
{
    uint64_t message = list->has_time ? 0 : message_id(origin);
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < list->count && !error; i++) {
        struct fl_reading *reading = &list->items[i];

        reading->message = message;
        reading->redelivery = message && origin->redelivery;
        if (!list->has_time)
            error = fl_stamps_next(&r->stamps, reading->device, reading->stream, now, &reading->t);
        if (!error)
            error = fl_msg_put_reading(records, reading);
    }
    return error;
}

enum fl_error fl_readings_add(struct fl_readings *readings, struct fl_reading_list *list,
                              const struct fl_readings_origin *origin, fl_time_t now)
{
    struct fl_buffer records = FL_BUFFER(RECORDS_MAX);
    struct batch *b = NULL;
    enum fl_error error = FL_OK;

    if (readings->uncommitted + list->count > readings->host.uncommitted_max)
        return FL_EBUSY;
    error = encode(readings, list, origin, now, &records);
    if (!error) {
        b = batch_with_room(readings, records.size);
        error = b ? FL_OK : FL_ENOMEM;
    }
    /* First room for the token: a batch never holds readings that nobody can settle. */
    if (!error && origin->wants_answer)
        error = fl_buffer_append(&b->tokens, &origin->token, sizeof origin->token);
    if (!error) {
        error = fl_buffer_append_slice(&b->records, fl_buffer_slice(&records));
        if (error && origin->wants_answer)
            b->tokens.size -= sizeof origin->token;
    }
    if (!error) {
        b->count += list->count;
        readings->uncommitted += list->count;
    }
    fl_buffer_free(&records);
    return error;
}

void fl_readings_flush(struct fl_readings *readings)
{
    struct batch *b = readings->gathering;

    if (!b)
        return;
    readings->gathering = NULL;
    b->id = readings->next_id++;
    fl_list_push(&readings->batches, &b->node);
    (void)readings->host.send(readings->host.self, b->id, fl_buffer_slice(&b->records));
}

void fl_readings_resend(struct fl_readings *readings)
{
    FL_LIST_EACH(node, &readings->batches)
    {
        struct batch *b = fl_container_of(node, struct batch, node);

        if (!readings->host.send(readings->host.self, b->id, fl_buffer_slice(&b->records)))
            return;
    }
}

void fl_readings_done(struct fl_readings *readings, uint64_t batch, enum fl_error error)
{
    FL_LIST_EACH(node, &readings->batches)
    {
        struct batch *b = fl_container_of(node, struct batch, node);

        if (b->id != batch)
            continue;
        fl_list_remove(&b->node);
        readings->uncommitted -= b->count;
        for (size_t at = 0; at < b->tokens.size; at += sizeof(uint64_t)) {
            uint64_t token = 0;

            memcpy(&token, b->tokens.data + b->tokens.start + at, sizeof token);
            readings->host.settle(readings->host.self, token, error);
        }
        free_batch(b);
        return;
    }
}

bool fl_readings_full(const struct fl_readings *readings)
{
    return readings->uncommitted + FULL_MARGIN > readings->host.uncommitted_max;
}

size_t fl_readings_uncommitted(const struct fl_readings *readings)
{
    return readings->uncommitted;
}
