/* SPDX-License-Identifier: Apache-2.0 */
#include "service/broker_remote.h"

#include "base/assert.h"

#include <stdlib.h>

#define KEY_MAX (FL_LIMIT_HOST + 1 + FL_LIMIT_MQTT_CLIENT_ID)

static struct fl_slice make_key(uint8_t to[KEY_MAX], const struct fl_broker_device *device,
                                struct fl_slice client_id)
{
    memcpy(to, device->name, device->name_size);
    to[device->name_size] = 0;
    if (client_id.size)
        memcpy(to + device->name_size + 1, client_id.data, client_id.size);
    return fl_slice(to, device->name_size + 1 + client_id.size);
}

struct fl_broker_session *fl_broker_session_find(struct fl_broker *broker,
                                                 const struct fl_broker_device *device,
                                                 struct fl_slice client_id)
{
    uint8_t key[KEY_MAX];
    struct fl_map_node *node = fl_map_find(&broker->sessions, make_key(key, device, client_id));

    return node ? fl_container_of(node, struct fl_broker_session, by_key) : NULL;
}

/* A device that makes up client identifiers loses its own oldest session, nobody else's. */
static bool make_room(struct fl_broker *broker, struct fl_broker_device *device, fl_time_t now)
{
    if (device->session_count >= FL_LIMIT_MQTT_DEVICE_SESSIONS) {
        struct fl_broker_session *oldest = NULL;
        FL_LIST_EACH(at, &device->sessions)
        {
            oldest = fl_container_of(at, struct fl_broker_session, in_device);
            if (!oldest->conn)
                break;
        }
        if (!oldest || oldest->conn)
            return false;
        oldest->expires = now;
        fl_broker_session_tick(broker, oldest, now);
    }
    return fl_broker_group_session(broker->group);
}

enum fl_error fl_broker_session_create(struct fl_broker *broker, struct fl_broker_device *device,
                                       struct fl_slice client_id, fl_time_t now,
                                       struct fl_broker_session **session)
{
    uint8_t key[KEY_MAX];
    struct fl_slice name = make_key(key, device, client_id);
    struct fl_broker_session *made = NULL;

    if (!make_room(broker, device, now))
        return FL_ELIMIT;
    made = calloc(1, sizeof *made + name.size);
    if (!made)
        goto fail;
    memcpy(made->key, name.data, name.size);
    made->key_size = name.size;
    made->home = (uint8_t)broker->host.index;
    made->timer.kind = FL_BROKER_SESSION;
    made->expires = FL_TIME_NEVER;
    made->will_due = FL_TIME_NEVER;
    if (fl_heap_set(&broker->timers, &made->timer.node, FL_TIME_NEVER) != FL_OK)
        goto fail;
    if (fl_map_add(&broker->sessions, &made->by_key, fl_slice(made->key, name.size)) != FL_OK) {
        fl_heap_remove(&broker->timers, &made->timer.node);
        goto fail;
    }
    fl_list_init(&made->subscriptions);
    made->device = device;
    fl_list_push(&device->sessions, &made->in_device);
    device->session_count++;
    broker->counts.sessions++;
    *session = made;
    return FL_OK;
fail:
    fl_broker_group_session_gone(broker->group);
    free(made);
    return FL_ENOMEM;
}

/* Its shared subscriptions take their turns, or not any more. */
static void set_online(struct fl_broker *broker, struct fl_broker_session *session, bool online,
                       fl_time_t now)
{
    if (session->shared_count == 0)
        return;
    FL_LIST_EACH(at, &session->subscriptions)
    {
        struct fl_broker_subscription *subscription =
            fl_container_of(at, struct fl_broker_subscription, in_session);
        if (!subscription->share || subscription->online == online)
            continue;
        if (online)
            fl_broker_share_online(broker, subscription, now);
        else
            fl_broker_share_offline(broker, subscription, now);
    }
}

void fl_broker_session_arrive(struct fl_broker *broker, struct fl_broker_session *session,
                              fl_time_t now)
{
    set_online(broker, session, true, now);
}

void fl_broker_session_destroy(struct fl_broker *broker, struct fl_broker_session *session,
                               fl_time_t now)
{
    struct fl_broker_device *device = session->device;

    fl_broker_keep_gone(broker, session);
    fl_broker_keep_testament_gone(broker, session);
    if (session->conn)
        session->conn->session = NULL;
    FL_LIST_EACH(at, &session->subscriptions)
    fl_broker_unsubscribe(broker, fl_container_of(at, struct fl_broker_subscription, in_session));
    fl_broker_delivery_reclaim(broker, session, true, now);
    fl_broker_delivery_free(broker, session);
    free(session->received);
    fl_broker_message_unref(session->will);
    fl_heap_remove(&broker->timers, &session->timer.node);
    fl_map_remove(&broker->sessions, &session->by_key);
    fl_list_remove(&session->in_device);
    device->session_count--;
    broker->counts.sessions--;
    fl_broker_group_session_gone(broker->group);
    free(session);
    fl_broker_device_release(broker, device);
}

static void arm(struct fl_broker *broker, struct fl_broker_session *session)
{
    fl_broker_arm(broker, &session->timer,
                  session->expires < session->will_due ? session->expires : session->will_due);
}

static void say_will(struct fl_broker *broker, struct fl_broker_session *session, fl_time_t now)
{
    struct fl_broker_message *will = session->will;

    session->will = NULL;
    session->will_due = FL_TIME_NEVER;
    fl_broker_publish_will(broker, will, session->device, now);
    fl_broker_message_unref(will);
    fl_broker_keep_testament_gone(broker, session);
}

void fl_broker_session_leave(struct fl_broker_conn *conn, bool with_will, fl_time_t now)
{
    struct fl_broker *broker = conn->broker;
    struct fl_broker_session *session = conn->session;
    struct fl_broker_message *will = conn->will;

    conn->will = NULL;
    conn->session = NULL;
    if (!session)
        goto out;
    session->conn = NULL;
    fl_broker_delivery_pause(broker, session);
    fl_broker_received_pause(session);
    set_online(broker, session, false, now);
    fl_broker_delivery_reclaim(broker, session, false, now);
    session->expires = now + (fl_time_t)session->expiry_s * 1000;
    fl_list_remove(&session->in_device);
    fl_list_push(&session->device->sessions, &session->in_device);
    if (will && with_will) {
        session->will = will;
        session->will_due = now + conn->will_delay_ms;
        will = NULL;
    }
    /* What becomes of its will is written together with this. */
    fl_broker_keep_testament_gone(broker, session);
    if (session->will && session->will_due <= now)
        say_will(broker, session, now);
    if (session->expires > now)
        fl_broker_keep_session(broker, session);
    fl_broker_session_tick(broker, session, now);
out:
    fl_broker_message_unref(will);
}

void fl_broker_session_drop_will(struct fl_broker *broker, struct fl_broker_session *session)
{
    fl_broker_message_unref(session->will);
    session->will = NULL;
    session->will_due = FL_TIME_NEVER;
    fl_broker_keep_testament_gone(broker, session);
}

void fl_broker_session_tick(struct fl_broker *broker, struct fl_broker_session *session,
                            fl_time_t now)
{
    bool over = !session->conn && session->expires <= now;

    if (session->will && (over || session->will_due <= now)) {
        say_will(broker, session, now);
        if (!over)
            fl_broker_keep_session(broker, session); /* takes it back from the log */
    }
    if (over)
        fl_broker_session_destroy(broker, session, now);
    else
        arm(broker, session);
}

struct fl_broker_subscription *fl_broker_subscription_find(struct fl_broker_session *session,
                                                           struct fl_slice filter)
{
    FL_LIST_EACH(at, &session->subscriptions)
    {
        struct fl_broker_subscription *subscription =
            fl_container_of(at, struct fl_broker_subscription, in_session);
        if (fl_slice_equal(fl_slice(subscription->filter, subscription->filter_size), filter))
            return subscription;
    }
    return NULL;
}

enum fl_error fl_broker_subscribe(struct fl_broker *broker, struct fl_broker_session *session,
                                  struct fl_slice filter,
                                  struct fl_broker_subscription **subscription)
{
    struct fl_broker_subscription *made = NULL;
    struct fl_slice inner = {0};
    enum fl_error error = FL_OK;

    if (session->subscription_count >= FL_LIMIT_MQTT_SUBSCRIPTIONS)
        return FL_ELIMIT;
    made = calloc(1, sizeof *made + filter.size);
    if (!made)
        return FL_ENOMEM;
    memcpy(made->filter, filter.data, filter.size);
    made->filter_size = filter.size;
    made->session = session;
    if (broker->remote && fl_broker_remote_enter(broker, filter) != FL_OK) {
        free(made);
        return FL_ENOMEM;
    }
    if (fl_mqtt_share_filter(filter, &inner))
        error = fl_broker_share_enter(broker, made, inner);
    else
        error = fl_topic_index_add(&broker->subscriptions, filter, &made->in_index);
    if (error != FL_OK) {
        if (broker->remote)
            fl_broker_remote_exit(broker, filter);
        free(made);
        return error;
    }
    fl_list_push(&session->subscriptions, &made->in_session);
    session->subscription_count++;
    session->shared_count += made->share != NULL;
    broker->counts.subscriptions++;
    *subscription = made;
    return FL_OK;
}

void fl_broker_unsubscribe(struct fl_broker *broker, struct fl_broker_subscription *subscription)
{
    subscription->session->shared_count -= subscription->share != NULL;
    if (subscription->share)
        fl_broker_share_leave(broker, subscription);
    else
        fl_topic_index_remove(&broker->subscriptions, &subscription->in_index);
    fl_list_remove(&subscription->in_session);
    subscription->session->subscription_count--;
    broker->counts.subscriptions--;
    if (broker->remote)
        fl_broker_remote_exit(broker, fl_slice(subscription->filter, subscription->filter_size));
    free(subscription);
}
