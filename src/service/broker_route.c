/* SPDX-License-Identifier: Apache-2.0 */
#include "service/broker_internal.h"

#include <stdlib.h>

bool fl_broker_topic_fits(struct fl_slice topic)
{
    return topic.size <= FL_LIMIT_MQTT_TOPIC &&
           fl_mqtt_topic_levels(topic) <= FL_LIMIT_MQTT_TOPIC_LEVELS;
}

static size_t retained_cost(const struct fl_broker_message *message)
{
    return sizeof *message + message->topic_size + message->properties_size + message->payload_size;
}

static struct fl_broker_retained *retained_find(const struct fl_broker *broker,
                                                struct fl_slice topic)
{
    struct fl_topic_entry *entry = fl_topic_index_first(&broker->retained, topic);

    return entry ? fl_container_of(entry, struct fl_broker_retained, in_index) : NULL;
}

bool fl_broker_may_retain(const struct fl_broker *broker, const struct fl_broker_device *device,
                          const struct fl_broker_input *input)
{
    size_t bytes = sizeof(struct fl_broker_message) + input->topic.size + input->properties.size +
                   input->payload.size;
    const struct fl_broker_retained *old = NULL;
    size_t old_bytes = 0;
    size_t own_bytes = 0;
    uint32_t old_count = 0;
    uint32_t own_count = 0;

    if (!input->retain || input->payload.size == 0)
        return true;
    old = retained_find(broker, input->topic);
    if (old) {
        old_count = 1;
        old_bytes = retained_cost(old->message);
        own_count = old->owner == device;
        own_bytes = own_count ? old_bytes : 0;
    }
    if (broker->counts.retained - old_count >= FL_LIMIT_MQTT_RETAINED ||
        broker->retained_bytes - old_bytes + bytes > FL_LIMIT_MQTT_RETAINED_BYTES)
        return false;
    return !device ||
           (device->retained_count - own_count < FL_LIMIT_MQTT_DEVICE_RETAINED &&
            device->retained_bytes - own_bytes + bytes <= FL_LIMIT_MQTT_DEVICE_RETAINED_BYTES);
}

void fl_broker_retained_remove(struct fl_broker *broker, struct fl_broker_retained *retained)
{
    size_t cost = retained_cost(retained->message);

    broker->retained_bytes -= cost;
    broker->counts.retained--;
    if (retained->owner) {
        retained->owner->retained_bytes -= cost;
        retained->owner->retained_count--;
        fl_broker_device_release(broker, retained->owner);
    }
    fl_topic_index_remove(&broker->retained, &retained->in_index);
    fl_heap_remove(&broker->timers, &retained->timer.node);
    fl_broker_message_unref(retained->message);
    free(retained);
}

static bool retained_store(struct fl_broker *broker, struct fl_broker_message *message,
                           struct fl_broker_device *device)
{
    struct fl_broker_retained *retained = calloc(1, sizeof *retained);

    if (!retained)
        return false;
    retained->timer.kind = FL_BROKER_RETAINED;
    if (message->expires != FL_TIME_NEVER &&
        fl_heap_set(&broker->timers, &retained->timer.node, message->expires) != FL_OK) {
        free(retained);
        return false;
    }
    if (fl_topic_index_add(&broker->retained, fl_broker_message_topic(message),
                           &retained->in_index) != FL_OK) {
        fl_heap_remove(&broker->timers, &retained->timer.node);
        free(retained);
        return false;
    }
    retained->message = fl_broker_message_ref(message);
    retained->owner = device;
    fl_broker_keep_retain(broker, retained);
    broker->retained_bytes += retained_cost(message);
    broker->counts.retained++;
    if (device) {
        device->retained_bytes += retained_cost(message);
        device->retained_count++;
    }
    return true;
}

void fl_broker_retain(struct fl_broker *broker, const struct fl_broker_input *input,
                      struct fl_broker_message *message, struct fl_broker_device *device)
{
    struct fl_broker_retained *old = retained_find(broker, input->topic);
    bool fits = fl_broker_may_retain(broker, device, input);
    bool stored = false;

    /* An old value is not true any more, also when the new one cannot be kept. */
    if (old)
        fl_broker_retained_remove(broker, old);
    if (input->payload.size) {
        stored = fits && retained_store(broker, message, device);
        broker->counts.dropped += !stored;
    }
    if (old && !stored)
        fl_broker_keep_unretain(broker, input->topic);
}

struct collect {
    struct fl_broker *broker;
    const struct fl_broker_session *from;
    bool retain;
};

static struct fl_broker_target *target_for(struct fl_broker *broker,
                                           struct fl_broker_session *session)
{
    if (session->mark == broker->mark)
        return &broker->targets[session->target];
    if (broker->target_count == broker->target_capacity) {
        size_t capacity = broker->target_capacity ? broker->target_capacity * 2 : 64;
        struct fl_broker_target *targets =
            realloc(broker->targets, capacity * sizeof broker->targets[0]);
        if (!targets)
            return NULL;
        broker->targets = targets;
        broker->target_capacity = capacity;
    }
    session->mark = broker->mark;
    session->target = broker->target_count;
    broker->targets[broker->target_count] = (struct fl_broker_target){.session = session};
    return &broker->targets[broker->target_count++];
}

/* A session gets one copy, with the highest QoS of its matching subscriptions and all of their
 * identifiers. */
static void collect_target(void *self, struct fl_topic_entry *entry)
{
    struct collect *collect = self;
    struct fl_broker_subscription *subscription =
        fl_container_of(entry, struct fl_broker_subscription, in_index);
    struct fl_broker_target *target = NULL;

    if (subscription->no_local && subscription->session == collect->from)
        return;
    target = target_for(collect->broker, subscription->session);
    if (!target || (subscription->id && !fl_broker_target_add_id(target, subscription->id))) {
        collect->broker->counts.dropped++;
        return;
    }
    if (subscription->qos > target->qos)
        target->qos = subscription->qos;
    if (subscription->retain_as_published && collect->retain)
        target->retain = true;
}

/* A share gets a copy of its own, whatever else its members subscribe to. */
static void collect_share(void *self, struct fl_topic_entry *entry)
{
    const struct collect *collect = self;
    struct fl_broker_share *share = fl_container_of(entry, struct fl_broker_share, in_index);

    fl_list_push(&collect->broker->matched, &share->in_matched);
}

static void deliver_all(struct fl_broker *broker, struct fl_broker_message *message, fl_time_t now)
{
    for (size_t i = 0; i < broker->target_count; i++) {
        struct fl_broker_target *target = &broker->targets[i];
        if (target->qos > message->qos)
            target->qos = message->qos;
        fl_broker_deliver(broker, target, message, now);
    }
    FL_LIST_EACH(at, &broker->matched)
    {
        fl_list_remove(at);
        fl_broker_share_deliver(broker, fl_container_of(at, struct fl_broker_share, in_matched),
                                message, now);
    }
}

static void forget_targets(struct fl_broker *broker)
{
    for (size_t i = 0; i < broker->target_count; i++)
        free(broker->targets[i].ids);
    FL_LIST_EACH(at, &broker->matched)
    fl_list_remove(at);
}

bool fl_broker_route(struct fl_broker *broker, const struct fl_broker_input *input,
                     struct fl_broker_device *device, const struct fl_broker_session *from,
                     fl_time_t now)
{
    struct collect collect = {.broker = broker, .from = from, .retain = input->retain};
    struct fl_broker_message *message = NULL;

    broker->mark++;
    broker->target_count = 0;
    fl_topic_index_match(&broker->subscriptions, input->topic, collect_target, &collect);
    if (broker->shares.count)
        fl_topic_index_match(&broker->shared, input->topic, collect_share, &collect);
    if (broker->target_count == 0 && fl_list_empty(&broker->matched) && !input->retain)
        return true;
    if (!fl_broker_keep_has_room(broker, input)) {
        forget_targets(broker);
        return false;
    }
    message = fl_broker_message_new(broker, input);
    if (!message) {
        forget_targets(broker);
        broker->counts.dropped += broker->target_count;
        return false;
    }
    deliver_all(broker, message, now);
    if (input->retain)
        fl_broker_retain(broker, input, message, device);
    fl_broker_message_unref(message);
    return true;
}

void fl_broker_publish_will(struct fl_broker *broker, struct fl_broker_message *will,
                            struct fl_broker_device *device, fl_time_t now)
{
    struct fl_broker_input input = {
        .topic = fl_broker_message_topic(will),
        .payload = fl_broker_message_payload(will),
        .properties = fl_broker_message_properties(will),
        .expires = will->expires == FL_TIME_NEVER ? FL_TIME_NEVER : now + will->expires,
        .qos = will->qos,
        .retain = will->retain,
    };
    struct fl_broker_publish publish = {
        .topic = input.topic,
        .payload = input.payload,
        .qos = input.qos,
        .retain = input.retain,
    };

    if (!broker->host.will(broker->host.self, fl_slice(device->name, device->name_size), &publish))
        broker->counts.refused++;
    else if (!fl_broker_route(broker, &input, device, NULL, now))
        broker->counts.dropped++;
}

struct retained_send {
    struct fl_broker *broker;
    struct fl_broker_subscription *subscription;
    fl_time_t now;
};

static void send_one_retained(void *self, struct fl_topic_entry *entry)
{
    struct retained_send *send = self;
    struct fl_broker_message *message =
        fl_container_of(entry, struct fl_broker_retained, in_index)->message;
    struct fl_broker_target target = {
        .session = send->subscription->session,
        .id = send->subscription->id,
        .qos = message->qos < send->subscription->qos ? message->qos : send->subscription->qos,
        .retain = true,
    };

    fl_broker_deliver(send->broker, &target, message, send->now);
}

void fl_broker_send_retained(struct fl_broker *broker, struct fl_broker_subscription *subscription,
                             fl_time_t now)
{
    struct retained_send send = {.broker = broker, .subscription = subscription, .now = now};

    fl_topic_index_search(&broker->retained,
                          fl_slice(subscription->filter, subscription->filter_size),
                          send_one_retained, &send);
}
