/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/uplink.h"

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    KEEP_ALIVE_S = 60,
    ACK_MS = 30000,
    WINDOW = FL_LIMIT_MQTT_INFLIGHT,
    BACKOFF_MS = 500,
    BACKOFF_MAX_MS = 30000,
};

/* Where a reading in the window stands. WAITING: to be sent, again or for the first time. */
enum slot_state { SLOT_WAITING, SLOT_SENT, SLOT_SETTLED };

struct slot {
    enum slot_state state;
    bool sent_before;
    uint64_t sequence;
    struct fl_outbox_cursor at; /* where to read it again */
};

struct stream {
    struct fl_map_node node;
    char name[FL_NAME_MAX + 1];
    fl_time_t last_t;
    bool refusal_told;
};

struct fl_uplink {
    struct fl_outbox *outbox;
    char device[FL_NAME_MAX + 1];
    struct fl_mqtt_client client;
    struct fl_outbox_cursor cursor; /* behind the window */
    struct slot window[WINDOW];     /* a ring, oldest first */
    size_t first;
    size_t count;
    fl_time_t resume_at; /* the end of the pause after a refusal for want of room; 0: no pause */
    unsigned setbacks;   /* such refusals in a row */
    uint64_t acknowledged_to;
    struct fl_map streams;
    bool refusal_told; /* of a stream that only an earlier process has measured */
    struct fl_buffer record;
    struct fl_buffer payload;
    struct fl_uplink_counts counts;
};

static struct slot *slot_at(struct fl_uplink *u, size_t index)
{
    return &u->window[(u->first + index) % WINDOW];
}

fl_time_t fl_uplink_backoff(unsigned failures, uint32_t random)
{
    fl_time_t wait = BACKOFF_MS;

    for (unsigned i = 0; i < failures && wait < BACKOFF_MAX_MS; i++)
        wait *= 2;
    if (wait > BACKOFF_MAX_MS)
        wait = BACKOFF_MAX_MS;
    return wait - (fl_time_t)((uint64_t)random % (uint64_t)(wait / 2 + 1));
}

/* --- Life --------------------------------------------------------------------------------------
 */

enum fl_error fl_uplink_create(struct fl_outbox *outbox, const char *device,
                               struct fl_uplink **uplink, struct fl_context *ctx)
{
    struct fl_uplink *u = calloc(1, sizeof *u);
    const struct fl_mqtt_client_options options = {.client_id = device,
                                                   .keep_alive_s = KEEP_ALIVE_S,
                                                   .clean_start = true,
                                                   .ack_timeout_ms = ACK_MS};

    if (!u)
        return fl_fail(ctx, FL_ENOMEM, "uplink: out of memory");
    u->outbox = outbox;
    u->record = FL_BUFFER(FL_LIMIT_OUTBOX_RECORD);
    u->payload = FL_BUFFER(256);
    if (!fl_name_valid(fl_slice_str(device)) || !fl_str_copy(u->device, sizeof u->device, device) ||
        fl_mqtt_client_init(&u->client, &options) != FL_OK) {
        fl_uplink_free(u);
        return fl_fail(ctx, FL_EINVAL, "uplink: '%s' is not a device id", device);
    }
    *uplink = u;
    return FL_OK;
}

void fl_uplink_free(struct fl_uplink *uplink)
{
    if (!uplink)
        return;
    while (uplink->streams.count) {
        struct fl_map_node *node = fl_map_first(&uplink->streams);
        struct stream *stream = fl_container_of(node, struct stream, node);

        fl_map_remove(&uplink->streams, node);
        free(stream);
    }
    fl_map_free(&uplink->streams);
    fl_mqtt_client_free(&uplink->client);
    fl_buffer_free(&uplink->record);
    fl_buffer_free(&uplink->payload);
    free(uplink);
}

static struct stream *find_stream(const struct fl_uplink *u, const char *name)
{
    struct fl_map_node *node = fl_map_find(&u->streams, fl_slice_str(name));

    return node ? fl_container_of(node, struct stream, node) : NULL;
}

/* NULL: too many streams, or no memory. */
static struct stream *make_stream(struct fl_uplink *u, const char *name)
{
    struct stream *stream = find_stream(u, name);

    if (stream)
        return stream;
    if (u->streams.count >= FL_LIMIT_AGENT_STREAMS)
        return NULL;
    stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    (void)fl_str_copy(stream->name, sizeof stream->name, name);
    stream->last_t = INT64_MIN;
    if (fl_map_add(&u->streams, &stream->node, fl_slice_str(stream->name)) != FL_OK) {
        free(stream);
        return NULL;
    }
    return stream;
}

/* --- In ----------------------------------------------------------------------------------------
 */

enum fl_error fl_uplink_add(struct fl_uplink *uplink, const char *stream, fl_time_t t,
                            bool own_time, double value, struct fl_context *ctx)
{
    struct fl_record record = {.t = t, .value = value};
    struct stream *known = NULL;
    enum fl_error error = FL_OK;

    if (!fl_name_valid(fl_slice_str(stream)))
        return fl_fail(ctx, FL_EINVAL, "not a stream name (A-Z a-z 0-9 . _ -, at most %d)",
                       FL_NAME_MAX);
    if (!isfinite(value))
        return fl_fail(ctx, FL_EINVAL, "%s: not a number", stream);
    known = make_stream(uplink, stream);
    if (!known)
        return fl_fail(ctx, FL_ELIMIT, "%s: more than %d streams", stream, FL_LIMIT_AGENT_STREAMS);
    if (own_time && t <= known->last_t)
        record.t = known->last_t + 1;
    (void)fl_str_copy(record.stream, sizeof record.stream, stream);
    fl_buffer_clear(&uplink->record);
    error = fl_record_encode(&record, &uplink->record);
    if (!error)
        error = fl_outbox_append(uplink->outbox, fl_buffer_slice(&uplink->record), NULL, ctx);
    if (error)
        return fl_fail_in(ctx, error, "outbox");
    if (own_time || record.t > known->last_t)
        known->last_t = record.t;
    uplink->counts.added++;
    return FL_OK;
}

enum fl_error fl_uplink_commit(struct fl_uplink *uplink, struct fl_context *ctx)
{
    enum fl_error error = fl_outbox_sync(uplink->outbox, ctx);

    return error ? fl_fail_in(ctx, error, "outbox") : FL_OK;
}

/* --- Settling ----------------------------------------------------------------------------------
 */

/* Takes settled readings off the window's front and tells the outbox once. */
static void advance(struct fl_uplink *u)
{
    struct fl_context ctx = {0};
    uint64_t settled = 0;

    while (u->count && slot_at(u, 0)->state == SLOT_SETTLED) {
        settled = slot_at(u, 0)->sequence;
        u->first = (u->first + 1) % WINDOW;
        u->count--;
    }
    if (settled && fl_outbox_acknowledge(u->outbox, settled, &ctx) != FL_OK)
        fl_log(FL_LOG_WARN, "outbox",
               "cannot note what was acknowledged (it will be sent again): %s", ctx.text);
}

static void drop(struct fl_uplink *u, struct slot *slot, const char *stream, const char *why,
                 struct fl_slice words)
{
    struct stream *known = find_stream(u, stream);
    bool *told = known ? &known->refusal_told : &u->refusal_told;
    char shown[160];

    slot->state = SLOT_SETTLED;
    u->counts.refused++;
    if (*told)
        return;
    *told = true;
    fl_log(FL_LOG_WARN, "uplink",
           "a reading of '%s' is dropped: %s%s%s (later ones are only counted)", stream, why,
           words.size ? ": " : "", fl_str_printable(shown, sizeof shown, words));
}

/* Reads the slot's record again. False: it is no longer there. */
static bool reread(struct fl_uplink *u, const struct slot *slot)
{
    struct fl_outbox_cursor at = slot->at;
    uint64_t sequence = 0;

    fl_buffer_clear(&u->record);
    return fl_outbox_read(u->outbox, &at, &sequence, &u->record, NULL) == FL_OK &&
           sequence == slot->sequence;
}

/* What the hub will never take, however often it is sent. */
static bool is_final(uint8_t reason)
{
    return reason == FL_MQTT_NOT_AUTHORIZED || reason == FL_MQTT_PAYLOAD_FORMAT ||
           reason == FL_MQTT_TOPIC_INVALID || reason == FL_MQTT_PACKET_TOO_LARGE;
}

static void set_back(struct fl_uplink *u, struct slot *slot, const struct fl_mqtt_event *event,
                     fl_time_t now)
{
    char shown[160];

    slot->state = SLOT_WAITING;
    u->counts.retried++;
    if (now < u->resume_at)
        return; /* of the same window: one pause for all */
    u->resume_at = now + fl_uplink_backoff(++u->setbacks, 0);
    fl_log(FL_LOG_WARN, "uplink", "the hub cannot take readings now (%s%s%s); they are kept",
           fl_mqtt_reason_words(event->reason), event->words.size ? ": " : "",
           fl_str_printable(shown, sizeof shown, event->words));
}

static void acknowledged(struct fl_uplink *u, const struct fl_mqtt_event *event, fl_time_t now)
{
    struct slot *slot = NULL;
    struct fl_record record = {0};

    for (size_t i = 0; i < u->count && !slot; i++)
        if (slot_at(u, i)->sequence == event->token && slot_at(u, i)->state == SLOT_SENT)
            slot = slot_at(u, i);
    if (!slot)
        return;
    if (event->reason < FL_MQTT_UNSPECIFIED) {
        slot->state = SLOT_SETTLED;
        u->counts.acknowledged++;
        u->setbacks = 0;
    } else if (is_final(event->reason)) {
        if (!reread(u, slot) || fl_record_decode(fl_buffer_slice(&u->record), &record) != FL_OK)
            (void)fl_str_copy(record.stream, sizeof record.stream, "?");
        drop(u, slot, record.stream, fl_mqtt_reason_words(event->reason), event->words);
    } else {
        set_back(u, slot, event, now);
    }
}

/* --- Out ---------------------------------------------------------------------------------------
 */

/* True when the slot is dealt with; false when the client takes no more for now. */
static bool publish(struct fl_uplink *u, struct slot *slot, const struct fl_record *record,
                    fl_time_t now)
{
    char topic[2 * FL_NAME_MAX + 8];
    struct fl_mqtt_message message = {.qos = 1, .dup = slot->sent_before};
    enum fl_error error = FL_OK;

    (void)snprintf(topic, sizeof topic, "d/%s/t/%s", u->device, record->stream);
    fl_buffer_clear(&u->payload);
    (void)fl_record_to_json(record, &u->payload);
    message.topic = fl_slice_str(topic);
    message.payload = fl_buffer_slice(&u->payload);
    error = fl_mqtt_client_publish(&u->client, &message, slot->sequence, now);
    if (error == FL_OK) {
        slot->state = SLOT_SENT;
        slot->sent_before = true;
        return true;
    }
    if (error == FL_EBUSY || error == FL_ESTATE || error == FL_ENOMEM)
        return false;
    drop(u, slot, record->stream, fl_error_words(error), fl_slice(NULL, 0));
    return true;
}

/* Sends the slot's record, which is in u->record. */
static bool send_record(struct fl_uplink *u, struct slot *slot, fl_time_t now)
{
    struct fl_record record = {0};

    if (fl_record_decode(fl_buffer_slice(&u->record), &record) == FL_OK)
        return publish(u, slot, &record, now);
    drop(u, slot, "?", "its record in the outbox cannot be read", fl_slice(NULL, 0));
    return true;
}

/* Opens a slot for the outbox's next record; false when there is none. */
static bool take_next(struct fl_uplink *u)
{
    struct fl_context ctx = {0};
    struct slot slot = {.state = SLOT_WAITING, .at = u->cursor};
    enum fl_error error = FL_OK;

    fl_buffer_clear(&u->record);
    error = fl_outbox_read(u->outbox, &u->cursor, &slot.sequence, &u->record, &ctx);
    if (error && error != FL_ENOTFOUND)
        fl_log(FL_LOG_ERROR, "outbox", "%s", ctx.text);
    if (error)
        return false;
    u->window[(u->first + u->count++) % WINDOW] = slot;
    return true;
}

void fl_uplink_pump(struct fl_uplink *uplink, fl_time_t now)
{
    bool more = uplink->client.phase == FL_MQTT_CLIENT_OPEN && now >= uplink->resume_at;

    if (more)
        uplink->resume_at = 0;
    for (size_t i = 0; i < uplink->count && more; i++) {
        struct slot *slot = slot_at(uplink, i);

        if (slot->state != SLOT_WAITING)
            continue;
        if (reread(uplink, slot))
            more = send_record(uplink, slot, now);
        else
            slot->state = SLOT_SETTLED; /* dropped by the outbox, which counts it */
    }
    advance(uplink);
    while (more && uplink->count < WINDOW && take_next(uplink)) {
        more = send_record(uplink, slot_at(uplink, uplink->count - 1), now);
        if (uplink->count == WINDOW)
            advance(uplink); /* records that were dropped on the way make room */
    }
    advance(uplink);
}

/* --- The connection ----------------------------------------------------------------------------
 */

enum fl_error fl_uplink_start(struct fl_uplink *uplink, fl_time_t now, struct fl_context *ctx)
{
    enum fl_error error = fl_mqtt_client_start(&uplink->client, now);

    return error ? fl_fail(ctx, error, "MQTT: %s", fl_error_words(error)) : FL_OK;
}

static void handle(struct fl_uplink *u, const struct fl_mqtt_event *event, fl_time_t now)
{
    switch (event->kind) {
    case FL_MQTT_EVENT_CONNECTED:
        u->resume_at = 0;
        break;
    case FL_MQTT_EVENT_ACKNOWLEDGED:
        acknowledged(u, event, now);
        break;
    case FL_MQTT_EVENT_SUBSCRIBED: /* we subscribe to nothing yet */
    case FL_MQTT_EVENT_MESSAGE:
        break;
    }
}

enum fl_error fl_uplink_receive(struct fl_uplink *uplink, struct fl_slice bytes, fl_time_t now,
                                struct fl_context *ctx)
{
    struct fl_mqtt_event event = {0};
    enum fl_error error = FL_OK;

    while ((error = fl_mqtt_client_receive(&uplink->client, &bytes, now, &event)) == FL_OK)
        handle(uplink, &event, now);
    fl_uplink_pump(uplink, now);
    return error == FL_EMORE ? FL_OK : fl_fail(ctx, error, "%s", uplink->client.why);
}

enum fl_error fl_uplink_tick(struct fl_uplink *uplink, fl_time_t now, struct fl_context *ctx)
{
    enum fl_error error = fl_mqtt_client_tick(&uplink->client, now);

    if (error)
        return fl_fail(ctx, error, "%s", uplink->client.why);
    fl_uplink_pump(uplink, now);
    return FL_OK;
}

fl_time_t fl_uplink_next_timeout(const struct fl_uplink *uplink)
{
    fl_time_t due = fl_mqtt_client_next_timeout(&uplink->client);

    if (uplink->resume_at && uplink->client.phase == FL_MQTT_CLIENT_OPEN && uplink->resume_at < due)
        due = uplink->resume_at;
    return due;
}

struct fl_buffer *fl_uplink_output(struct fl_uplink *uplink)
{
    return &uplink->client.out;
}

void fl_uplink_stop(struct fl_uplink *uplink, fl_time_t now)
{
    fl_mqtt_client_stop(&uplink->client, now);
}

void fl_uplink_lost(struct fl_uplink *uplink)
{
    for (size_t i = 0; i < uplink->count; i++)
        if (slot_at(uplink, i)->state == SLOT_SENT)
            slot_at(uplink, i)->state = SLOT_WAITING;
    uplink->client.phase = FL_MQTT_CLIENT_CLOSED;
    fl_buffer_clear(&uplink->client.out);
}

bool fl_uplink_is_open(const struct fl_uplink *uplink)
{
    return uplink->client.phase == FL_MQTT_CLIENT_OPEN;
}

bool fl_uplink_is_empty(const struct fl_uplink *uplink)
{
    return fl_uplink_count(uplink).waiting == 0;
}

struct fl_uplink_counts fl_uplink_count(const struct fl_uplink *uplink)
{
    struct fl_uplink_counts counts = uplink->counts;
    struct fl_outbox_stats stats = fl_outbox_stats(uplink->outbox);

    counts.waiting = stats.next > stats.first ? stats.next - stats.first : 0;
    return counts;
}
