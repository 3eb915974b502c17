/* SPDX-License-Identifier: Apache-2.0 */
#include "service/broker_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

static void put(struct fl_broker_message *message, size_t at, struct fl_slice part)
{
    if (part.size)
        memcpy(message->bytes + at, part.data, part.size);
}

struct fl_broker_message *fl_broker_message_new(struct fl_broker *broker,
                                                const struct fl_broker_input *input)
{
    struct fl_broker_message *message = NULL;
    struct fl_slice properties = {0};

    if (input->properties.size) {
        fl_buffer_clear(&broker->scratch);
        if (fl_mqtt_put_forwarded(input->properties, &broker->scratch) != FL_OK)
            return NULL;
        properties = fl_buffer_slice(&broker->scratch);
    }
    message = malloc(sizeof *message + input->topic.size + properties.size + input->payload.size);
    if (!message)
        return NULL;
    atomic_init(&message->refs, 1);
    message->topic_size = (uint32_t)input->topic.size;
    message->properties_size = (uint32_t)properties.size;
    message->payload_size = (uint32_t)input->payload.size;
    message->expires = input->expires;
    message->log_id = 0;
    message->log_period = 0;
    message->version = 0;
    message->crossed = false;
    message->owner = broker->remote ? (uint8_t)broker->host.index : 0;
    message->qos = input->qos;
    message->retain = input->retain;
    put(message, 0, input->topic);
    put(message, input->topic.size, properties);
    put(message, input->topic.size + properties.size, input->payload);
    return message;
}

void fl_broker_message_cross(struct fl_broker_message *message)
{
    if (!message->crossed)
        message->crossed = true;
}

/* Counting so that other threads may count too costs; most messages stay with one. */
struct fl_broker_message *fl_broker_message_ref(struct fl_broker_message *message)
{
    if (message->crossed)
        (void)atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
    else
        atomic_store_explicit(&message->refs,
                              atomic_load_explicit(&message->refs, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    return message;
}

void fl_broker_message_unref(struct fl_broker_message *message)
{
    uint32_t refs = 0;

    if (!message)
        return;
    if (message->crossed) {
        refs = atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel);
    } else {
        refs = atomic_load_explicit(&message->refs, memory_order_relaxed);
        atomic_store_explicit(&message->refs, refs - 1, memory_order_relaxed);
    }
    if (refs == 1)
        free(message);
}

struct fl_slice fl_broker_message_topic(const struct fl_broker_message *message)
{
    return fl_slice(message->bytes, message->topic_size);
}

struct fl_slice fl_broker_message_properties(const struct fl_broker_message *message)
{
    return fl_slice(message->bytes + message->topic_size, message->properties_size);
}

struct fl_slice fl_broker_message_payload(const struct fl_broker_message *message)
{
    return fl_slice(message->bytes + message->topic_size + message->properties_size,
                    message->payload_size);
}

struct fl_broker_message *fl_broker_message_copy(const struct fl_broker *broker,
                                                 const struct fl_broker_message *message)
{
    size_t size =
        sizeof *message + message->topic_size + message->properties_size + message->payload_size;
    struct fl_broker_message *copy = malloc(size);

    if (!copy)
        return NULL;
    atomic_init(&copy->refs, 1);
    copy->topic_size = message->topic_size;
    copy->properties_size = message->properties_size;
    copy->payload_size = message->payload_size;
    copy->expires = message->expires;
    copy->version = message->version;
    copy->log_id = 0;
    copy->log_period = 0;
    copy->qos = message->qos;
    copy->retain = message->retain;
    copy->crossed = false;
    copy->owner = (uint8_t)broker->host.index;
    memcpy(copy->bytes, message->bytes, size - sizeof *message);
    return copy;
}

/* The second identifier and those after it live in an array with its length in front. */
bool fl_broker_target_add_id(struct fl_broker_target *target, uint32_t id)
{
    uint32_t count = target->ids ? target->ids[0] : 1;
    uint32_t *ids = NULL;

    if (target->id == 0) {
        target->id = id;
        return true;
    }
    ids = malloc((count + 2) * sizeof *ids);
    if (!ids)
        return false;
    ids[1] = target->id;
    if (target->ids)
        memcpy(ids, target->ids, (count + 1) * sizeof *ids);
    ids[0] = count + 1;
    ids[count + 1] = id;
    free(target->ids);
    target->ids = ids;
    return true;
}
