/* SPDX-License-Identifier: Apache-2.0 */
#include "service/broker_remote.h"

#include <stdlib.h>

bool fl_broker_topic_fits(struct fl_slice topic)
{
    return topic.size <= FL_LIMIT_MQTT_TOPIC &&
           fl_mqtt_topic_levels(topic) <= FL_LIMIT_MQTT_TOPIC_LEVELS;
}

struct collect {
    struct fl_broker *broker;
    const struct fl_broker_session *from;
    uint64_t version; /* of the retained store, when another broker routed it */
    uint64_t homes;   /* not 0: only sessions that were there */
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
    if (collect->homes && !(collect->homes >> subscription->session->home & 1))
        return;
    /* It was on its way while this subscription read the store, and found it or what replaced it.
     */
    if (collect->version && collect->version <= subscription->retained_seen)
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

static void match_here(struct fl_broker *broker, struct fl_slice topic, struct collect *collect)
{
    broker->mark++;
    broker->target_count = 0;
    fl_topic_index_match(&broker->subscriptions, topic, collect_target, collect);
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
    bool crosses = false;

    match_here(broker, input->topic, &collect);
    if (broker->remote)
        crosses = fl_broker_remote_match(broker, input->topic);
    else if (broker->shares.count)
        fl_topic_index_match(&broker->shared, input->topic, collect_share, &collect);
    if (broker->target_count == 0 && fl_list_empty(&broker->matched) && !input->retain && !crosses)
        return true;
    if (fl_broker_keep_has_room(broker, input, crosses))
        message = fl_broker_message_new(broker, input);
    if (!message) {
        forget_targets(broker);
        if (crosses)
            fl_broker_remote_forget(broker);
        return false;
    }
    if (input->retain)
        fl_broker_retain(broker, input, message, device);
    deliver_all(broker, message, now);
    if (crosses)
        fl_broker_remote_send(broker, message, now);
    fl_broker_message_unref(message);
    return true;
}

void fl_broker_route_here(struct fl_broker *broker, struct fl_broker_message *message,
                          uint64_t homes, fl_time_t now)
{
    struct collect collect = {
        .broker = broker, .version = message->version, .homes = homes, .retain = message->retain};

    match_here(broker, fl_broker_message_topic(message), &collect);
    deliver_all(broker, message, now);
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
