/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared subscriptions: each message goes to one member, in turn. A member that cannot take it now
 * is passed over while another can. Nothing lies with members that are away while another is there:
 * what was not sent to them, and what of QoS 1 they did not acknowledge, goes on. When nobody is
 * there it waits with the share itself. In a group of brokers it waits at the share's home
 * (broker_turns.c), and what nobody here can take goes back there.
 */
#include "service/broker_remote.h"

#include <stdlib.h>

/* How many members are looked at for one that can take a message at once. */
#define TRIES 8

static struct fl_broker_share *share_new(struct fl_broker *broker, struct fl_slice key,
                                         struct fl_slice inner)
{
    struct fl_broker_share *share = calloc(1, sizeof *share + key.size);

    if (!share)
        return NULL;
    memcpy(share->key, key.data, key.size);
    share->key_size = key.size;
    fl_list_init(&share->in_matched);
    fl_list_init(&share->online);
    fl_list_init(&share->offline);
    if (fl_topic_index_add(&broker->shared, inner, &share->in_index) != FL_OK) {
        free(share);
        return NULL;
    }
    if (fl_map_add(&broker->shares, &share->by_key, fl_slice(share->key, key.size)) != FL_OK) {
        fl_topic_index_remove(&broker->shared, &share->in_index);
        free(share);
        return NULL;
    }
    return share;
}

static void free_unused(struct fl_broker_share *share)
{
    if (share->members == 0 && share->entries == 0)
        free(share);
}

void fl_broker_share_unref(struct fl_broker_share *share)
{
    share->entries--;
    free_unused(share);
}

enum fl_error fl_broker_share_enter(struct fl_broker *broker,
                                    struct fl_broker_subscription *subscription,
                                    struct fl_slice inner)
{
    struct fl_slice key = fl_slice(subscription->filter, subscription->filter_size);
    struct fl_map_node *node = fl_map_find(&broker->shares, key);
    struct fl_broker_share *share = node ? fl_container_of(node, struct fl_broker_share, by_key)
                                         : share_new(broker, key, inner);

    if (!share)
        return FL_ENOMEM;
    share->members++;
    subscription->share = share;
    if (subscription->session->log_id) {
        subscription->lasting = true;
        share->lasting++;
        fl_broker_group_lasts(broker->group, true);
    }
    fl_list_push(&share->offline, &subscription->in_share);
    if (broker->remote)
        fl_broker_remote_share(broker, share, 0);
    return FL_OK;
}

void fl_broker_share_leave(struct fl_broker *broker, struct fl_broker_subscription *subscription)
{
    struct fl_broker_share *share = subscription->share;

    fl_list_remove(&subscription->in_share);
    subscription->share = NULL;
    share->online_count -= subscription->online;
    share->members--;
    if (subscription->lasting) {
        share->lasting--;
        fl_broker_group_lasts(broker->group, false);
    }
    if (broker->remote)
        fl_broker_remote_share(broker, share, 0);
    if (share->members)
        return;
    fl_topic_index_remove(&broker->shared, &share->in_index);
    fl_map_remove(&broker->shares, &share->by_key);
    broker->counts.dropped += share->waiting.count;
    fl_broker_queue_free(&share->waiting);
    share->waiting_bytes = 0;
    free_unused(share);
}

/* The first that may and can take it, else the first that may. */
static struct fl_broker_subscription *pick(struct fl_broker *broker, struct fl_broker_share *share,
                                           const struct fl_broker_message *message)
{
    struct fl_slice topic = fl_broker_message_topic(message);
    struct fl_broker_subscription *first = NULL;
    unsigned tries = 0;

    FL_LIST_EACH(at, &share->online)
    {
        struct fl_broker_subscription *member =
            fl_container_of(at, struct fl_broker_subscription, in_share);
        const struct fl_broker_conn *conn = member->session->conn;
        if (!conn || !broker->host.may(broker->host.self, conn->peer, FL_BROKER_RECEIVE, topic))
            continue;
        if (!first)
            first = member;
        if (fl_broker_is_ready(member->session, message,
                               message->qos < member->qos ? message->qos : member->qos))
            return member;
        if (++tries == TRIES)
            break;
    }
    return first;
}

/* With the share until a member comes. */
static void hold(struct fl_broker *broker, struct fl_broker_share *share,
                 struct fl_broker_message *message)
{
    struct fl_broker_entry entry = {.message = message, .qos = message->qos};
    size_t bytes = fl_broker_entry_cost(&entry);

    if (message->qos == 0)
        return;
    if (share->members == 0 || share->waiting.count >= FL_LIMIT_MQTT_QUEUE ||
        share->waiting_bytes + bytes > FL_LIMIT_MQTT_QUEUE_BYTES ||
        !fl_broker_queue_push(&share->waiting, &entry)) {
        broker->counts.dropped++;
        return;
    }
    (void)fl_broker_message_ref(message);
    share->waiting_bytes += bytes;
    fl_broker_entry_at(&share->waiting, share->waiting.count - 1)->seq = fl_broker_keep_transit(
        broker, fl_slice(share->key, share->key_size), FL_KEEP_LIES, message);
}

void fl_broker_share_deliver(struct fl_broker *broker, struct fl_broker_share *share,
                             struct fl_broker_message *message, fl_time_t now)
{
    struct fl_broker_subscription *member = pick(broker, share, message);
    struct fl_broker_target target = {.share = share};

    if (!member && broker->remote) {
        fl_broker_remote_back(broker, share, message, now);
        return;
    }
    if (!member && !fl_list_empty(&share->online)) {
        broker->counts.refused++; /* none of those who are there may have it */
        return;
    }
    if (!member) {
        hold(broker, share, message);
        return;
    }
    fl_list_remove(&member->in_share);
    fl_list_push(&share->online, &member->in_share);
    target.session = member->session;
    target.id = member->id;
    target.qos = message->qos < member->qos ? message->qos : member->qos;
    target.retain = message->retain && member->retain_as_published;
    fl_broker_deliver(broker, &target, message, now);
}

void fl_broker_share_reclaim(struct fl_broker *broker, struct fl_broker_share *share, fl_time_t now)
{
    FL_LIST_EACH(at, &share->offline)
    {
        struct fl_broker_subscription *member =
            fl_container_of(at, struct fl_broker_subscription, in_share);
        if (share->entries == 0)
            break;
        if (!member->session->conn)
            fl_broker_delivery_reclaim(broker, member->session, false, now);
    }
}

void fl_broker_share_online(struct fl_broker *broker, struct fl_broker_subscription *subscription,
                            fl_time_t now)
{
    struct fl_broker_share *share = subscription->share;
    struct fl_broker_queue waiting = {0};

    fl_list_remove(&subscription->in_share);
    fl_list_push(&share->online, &subscription->in_share);
    subscription->online = true;
    share->online_count++;
    fl_broker_share_reclaim(broker, share, now);
    if (broker->remote)
        fl_broker_remote_share(broker, share, now);
    waiting = share->waiting;
    share->waiting = (struct fl_broker_queue){0};
    share->waiting_bytes = 0;
    while (waiting.count) {
        struct fl_broker_entry *entry = fl_broker_entry_at(&waiting, 0);
        fl_broker_keep_arrived(broker, entry->seq, FL_KEEP_LIES);
        fl_broker_share_deliver(broker, share, entry->message, now);
        fl_broker_entry_free(entry);
        fl_broker_queue_drop_first(&waiting);
    }
}

void fl_broker_share_offline(struct fl_broker *broker, struct fl_broker_subscription *subscription,
                             fl_time_t now)
{
    struct fl_broker_share *share = subscription->share;

    subscription->online = false;
    share->online_count--;
    fl_list_remove(&subscription->in_share);
    fl_list_push(&share->offline, &subscription->in_share);
    if (broker->remote)
        fl_broker_remote_share(broker, share, now);
}
