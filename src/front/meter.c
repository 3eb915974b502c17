/* SPDX-License-Identifier: Apache-2.0 */
#include "front/meter.h"

#include "base/assert.h"
#include "codec/mqtt.h"

#define BUSIEST_BYTES ((size_t)16384)

void fl_meter_busy(struct fl_meter *meter, struct fl_slice device, struct fl_meter_places *places,
                   uint64_t messages, uint64_t bytes)
{
    fl_heaviest_add(&meter->by_messages, device, &places->by_messages, messages, bytes);
    fl_heaviest_add(&meter->by_bytes, device, &places->by_bytes, bytes, messages);
}

void fl_meter_batch_sent(struct fl_meter *meter, uint64_t batch, uint64_t now_us)
{
    meter->sent[batch % FL_METER_BATCHES].id = batch;
    meter->sent[batch % FL_METER_BATCHES].at_us = now_us;
}

void fl_meter_batch_done(struct fl_meter *meter, uint64_t batch, uint64_t now_us)
{
    if (meter->sent[batch % FL_METER_BATCHES].id == batch)
        fl_histogram_count(&meter->counters.batch,
                           now_us - meter->sent[batch % FL_METER_BATCHES].at_us);
    /* What two hubs answer is measured once. */
    meter->sent[batch % FL_METER_BATCHES].id = 0;
}

void fl_meter_limited(struct fl_meter *meter, bool messages)
{
    if (messages)
        meter->counters.limited_messages++;
    else
        meter->counters.limited_bytes++;
}

void fl_meter_sample(struct fl_meter *meter, const struct fl_broker_counts *counts)
{
    struct fl_counters_worker *c = &meter->counters;

    c->connections = counts->connections;
    c->sessions = counts->sessions;
    c->subscriptions = counts->subscriptions;
    c->retained = counts->retained;
    c->retained_bytes = counts->retained_bytes;
    c->received_qos0 = counts->received[0];
    c->received_qos1 = counts->received[1];
    c->received_qos2 = counts->received[2];
    c->sent_qos0 = counts->delivered[0];
    c->sent_qos1 = counts->delivered[1];
    c->sent_qos2 = counts->delivered[2];
    c->dropped = counts->dropped;
    c->limited_dropped = counts->over_rate;
    c->refused_delivery = counts->undelivered;
    c->protocol_errors = counts->violations;
    c->queued = counts->queued;
    c->queued_bytes = counts->queued_bytes;
    c->queue_largest = counts->queue_largest;
}

void fl_meter_handshake(struct fl_meter *meter, enum fl_error error)
{
    if (error == FL_EDENIED)
        meter->counters.handshakes_refused++;
    else if (error == FL_ETIMEOUT)
        meter->counters.handshakes_late++;
    else
        meter->counters.handshakes_failed++;
}

void fl_meter_refused(struct fl_meter *meter, const char *words)
{
    struct fl_counters_worker *c = &meter->counters;

    if (strcmp(words, fl_mqtt_reason_words(FL_MQTT_NOT_AUTHORIZED)) == 0)
        c->refused_unauthorized++;
    else if (strcmp(words, fl_mqtt_reason_words(FL_MQTT_QUOTA)) == 0)
        c->refused_quota++;
    else if (strcmp(words, fl_mqtt_reason_words(FL_MQTT_TOPIC_INVALID)) == 0 ||
             strcmp(words, fl_mqtt_reason_words(FL_MQTT_FILTER_INVALID)) == 0 ||
             strcmp(words, fl_mqtt_reason_words(FL_MQTT_CLIENT_ID_INVALID)) == 0)
        c->refused_malformed++;
    else
        c->refused_other++;
}

void fl_meter_reading(struct fl_meter *meter, enum fl_error error)
{
    struct fl_counters_worker *c = &meter->counters;

    if (error == FL_EINVAL)
        c->refused_range++;
    else if (error == FL_EPARSE || error == FL_ELIMIT)
        c->refused_malformed++;
    else if (error == FL_ENOTFOUND)
        c->refused_stream++;
    else if (error == FL_EDENIED)
        c->refused_unauthorized++;
    else if (error == FL_EBUSY || error == FL_EFULL)
        c->refused_quota++;
    else
        c->refused_other++;
}

static void put_busiest(const struct fl_heaviest *heaviest, bool by_bytes, struct fl_buffer *out)
{
    struct fl_heavy top[FL_LIMIT_BUSIEST];
    size_t count = fl_heaviest_top(heaviest, top);

    for (size_t i = 0; i < count; i++) {
        struct fl_busy busy = {.by_bytes = by_bytes,
                               .weight = top[i].weight,
                               .over = top[i].error,
                               .other = top[i].other};
        size_t before = out->size;

        (void)fl_str_copy(busy.device, sizeof busy.device, top[i].name);
        if (fl_busy_put(&busy, out) == FL_OK)
            continue;
        /* Many workers may have more than one message holds: the lightest are left out. */
        out->size = before;
        out->failed = false;
        return;
    }
}

void fl_meter_tell(const struct fl_link *link, const struct fl_counters_process *process,
                   const struct fl_counters_log *log, struct fl_meter *const *workers, size_t count,
                   uint32_t interval_ms)
{
    struct fl_msg msg = {.type = fl_msg_type_counters};
    struct fl_buffer own = FL_BUFFER(sizeof *process);
    struct fl_buffer of_log = FL_BUFFER(sizeof *log);
    struct fl_buffer all = FL_BUFFER(count * sizeof(struct fl_counters_worker));
    struct fl_buffer busiest = FL_BUFFER(BUSIEST_BYTES);

    enum fl_error error = fl_counters_put(process, sizeof *process, &own);

    if (!error)
        error = fl_counters_put(log, sizeof *log, &of_log);
    fl_assert(count <= FL_LIMIT_WORKERS);
    for (size_t i = 0; i < count; i++) {
        if (!error)
            error = fl_counters_put(&workers[i]->counters, sizeof workers[i]->counters, &all);
        put_busiest(&workers[i]->by_messages, false, &busiest);
        put_busiest(&workers[i]->by_bytes, true, &busiest);
        fl_heaviest_clear(&workers[i]->by_messages);
        fl_heaviest_clear(&workers[i]->by_bytes);
    }
    msg.as.counters.interval_ms = interval_ms;
    msg.as.counters.process = fl_buffer_slice(&own);
    msg.as.counters.log = fl_buffer_slice(&of_log);
    msg.as.counters.workers = fl_buffer_slice(&all);
    msg.as.counters.busiest = fl_buffer_slice(&busiest);
    if (!error)
        (void)fl_link_send(link, &msg);
    fl_buffer_free(&own);
    fl_buffer_free(&of_log);
    fl_buffer_free(&all);
    fl_buffer_free(&busiest);
}

void fl_counters_add(struct fl_counters_worker *to, const struct fl_counters_worker *more)
{
    uint64_t sums[sizeof *to / sizeof(uint64_t)]; /* all that it is made of */
    uint64_t addends[sizeof *to / sizeof(uint64_t)];

    memcpy(sums, to, sizeof sums);
    memcpy(addends, more, sizeof addends);
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        sums[i] += addends[i];
    memcpy(to, sums, sizeof sums);
}
