/* SPDX-License-Identifier: Apache-2.0
 *
 * Wills of clients that were there when the process ended. A client may come back and never know;
 * one that does not has its will said, after a while in which it could. Until then the will is its
 * session's, also of a session that would have ended with its connection: that one is there for
 * its will only, and is nothing to return to.
 */
#include "service/broker_internal.h"

#include <stdlib.h>

struct testament {
    struct fl_map_node node;
    uint64_t number;
    uint32_t delay_s;
    struct fl_broker_message *will;
    size_t key_size;
    uint8_t key[];
};

static struct testament *find(const struct fl_broker *broker, uint64_t number)
{
    struct fl_map_node *node =
        fl_map_find(&broker->keep.testaments, fl_slice(&number, sizeof number));

    return node ? fl_container_of(node, struct testament, node) : NULL;
}

static void drop(struct fl_broker *broker, struct testament *testament)
{
    fl_map_remove(&broker->keep.testaments, &testament->node);
    fl_broker_message_unref(testament->will);
    free(testament);
}

enum fl_error fl_broker_restore_testament(struct fl_broker *broker, const struct fl_keep *keep,
                                          fl_time_t now)
{
    const struct fl_keep_testament *record = &keep->as.testament;
    struct fl_broker_input input = {.topic = record->topic,
                                    .payload = record->payload,
                                    .properties = record->properties,
                                    .expires = fl_broker_restore_span(record->expires),
                                    .qos = record->qos,
                                    .retain = record->retain};
    struct testament *made = NULL;
    enum fl_error error = FL_OK;

    (void)now;
    if (!record->number || find(broker, record->number) ||
        broker->keep.testaments.count >= FL_LIMIT_MQTT_SESSIONS)
        return FL_OK;
    made = calloc(1, sizeof *made + record->key.size);
    if (!made)
        return FL_ENOMEM;
    made->number = record->number;
    made->delay_s = record->delay_s;
    made->key_size = record->key.size;
    if (made->key_size)
        memcpy(made->key, record->key.data, made->key_size);
    error = fl_broker_restore_body(broker, &input, &made->will);
    if (!error)
        error = fl_map_add(&broker->keep.testaments, &made->node,
                           fl_slice(&made->number, sizeof made->number));
    if (!error)
        return FL_OK;
    fl_broker_message_unref(made->will);
    free(made);
    return error == FL_ENOTFOUND ? FL_OK : FL_ENOMEM;
}

enum fl_error fl_broker_restore_testament_gone(struct fl_broker *broker, const struct fl_keep *keep,
                                               fl_time_t now)
{
    struct testament *testament = find(broker, keep->as.testament_gone.number);

    (void)now;
    if (testament)
        drop(broker, testament);
    return FL_OK;
}

/* The session of that client, or one made for the will. NULL: there is no room for one. */
static struct fl_broker_session *heir(struct fl_broker *broker, const struct testament *testament,
                                      fl_time_t now)
{
    struct fl_slice client_id = fl_slice(testament->key, testament->key_size);
    struct fl_slice identity = {0};
    struct fl_broker_device *device = NULL;
    struct fl_broker_session *session = NULL;

    if (!fl_slice_cut(&client_id, 0, &identity) || identity.size == 0 ||
        identity.size > FL_LIMIT_HOST || client_id.size > FL_LIMIT_MQTT_CLIENT_ID)
        return NULL;
    device = fl_broker_device_get(broker, identity);
    if (!device)
        return NULL;
    device->conn_count++; /* holds it */
    session = fl_broker_session_find(broker, device, client_id);
    if (!session && fl_broker_session_create(broker, device, client_id, now, &session) == FL_OK)
        session->expires = now;
    device->conn_count--;
    fl_broker_device_release(broker, device);
    return session;
}

static void bequeath(struct fl_broker *broker, struct testament *testament, fl_time_t now)
{
    struct fl_broker_session *session = heir(broker, testament, now);
    fl_time_t delay = (fl_time_t)testament->delay_s * 1000;

    /* Of two the one that was written later counts; the other's client had come back. */
    if (!session || session->testament > testament->number) {
        struct fl_broker_session nobody = {.testament = testament->number};

        fl_broker_keep_testament_gone(broker, &nobody);
        return;
    }
    fl_broker_session_drop_will(broker, session);
    session->testament = testament->number;
    session->will_delay_s = testament->delay_s;
    session->will = fl_broker_message_ref(testament->will);
    session->will_due =
        now + (delay > FL_LIMIT_MQTT_WILL_GRACE_MS ? delay : FL_LIMIT_MQTT_WILL_GRACE_MS);
    if (session->expires == FL_TIME_NEVER)
        session->expires = now + (fl_time_t)session->expiry_s * 1000;
    /* It had no time to come back. */
    if (session->expires < now + FL_LIMIT_MQTT_WILL_GRACE_MS)
        session->expires = now + FL_LIMIT_MQTT_WILL_GRACE_MS;
}

void fl_broker_testaments_resume(struct fl_broker *broker, fl_time_t now)
{
    for (struct fl_map_node *node = fl_map_next(&broker->keep.testaments, NULL); node;
         node = fl_map_next(&broker->keep.testaments, node))
        bequeath(broker, fl_container_of(node, struct testament, node), now);
}

void fl_broker_testaments_free(struct fl_broker *broker)
{
    for (struct fl_map_node *node = fl_map_first(&broker->keep.testaments); node;
         node = fl_map_first(&broker->keep.testaments))
        drop(broker, fl_container_of(node, struct testament, node));
    fl_map_free(&broker->keep.testaments);
}
