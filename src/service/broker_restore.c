/* SPDX-License-Identifier: Apache-2.0
 *
 * Records read back from the log become sessions, messages on their way and retained messages
 * again. While restoring, everything on its way to a session lies in its window, in the order of
 * its numbers; in the end what was never sent moves to where things wait.
 */
#include "service/broker_internal.h"

#include <stdlib.h>

#define NUMBERS_MASK ((uint64_t)63)
#define FAR ((fl_time_t)1 << 60)

/* A session or a message by its number in the log. */
struct numbered {
    struct fl_map_node node;
    uint64_t number;
    struct fl_broker_session *session;
    struct fl_broker_message *message;
};

static struct numbered *find(const struct fl_map *map, uint64_t number)
{
    struct fl_map_node *node = fl_map_find(map, fl_slice(&number, sizeof number));

    return node ? fl_container_of(node, struct numbered, node) : NULL;
}

static struct numbered *add(struct fl_broker *broker, struct fl_map *map, uint64_t number)
{
    struct numbered *made = calloc(1, sizeof *made);

    if (!made)
        return NULL;
    made->number = number;
    if (fl_map_add(map, &made->node, fl_slice(&made->number, sizeof made->number)) != FL_OK) {
        free(made);
        return NULL;
    }
    if ((number | NUMBERS_MASK) > (broker->keep.last_id | NUMBERS_MASK))
        broker->keep.last_id = (number & ~NUMBERS_MASK) | (broker->keep.last_id & NUMBERS_MASK);
    return made;
}

static void drop(struct fl_map *map, struct numbered *numbered)
{
    fl_map_remove(map, &numbered->node);
    fl_broker_message_unref(numbered->message);
    free(numbered);
}

static struct fl_broker_session *session_of(const struct fl_broker *broker, uint64_t number)
{
    const struct numbered *found = find(&broker->keep.sessions, number);

    return found ? found->session : NULL;
}

static fl_time_t to_monotonic(const struct fl_broker *broker, fl_time_t utc)
{
    /* The far past and the far future stay what they are. */
    if (utc < -FAR || utc > FAR)
        return utc < 0 ? 0 : FL_TIME_NEVER;
    return utc - broker->keep.utc_offset;
}

/* --- bodies --- */

static bool is_block(struct fl_slice properties)
{
    struct fl_mqtt_properties decoded;
    struct fl_mqtt_fault fault = {0};

    return properties.size == 0 ||
           fl_mqtt_properties_decode(properties, FL_MQTT_BIT(FL_MQTT_PUBLISH), false, &decoded,
                                     &fault) == FL_OK;
}

#define INPUT_OF(body)                                                                             \
    {                                                                                              \
        .topic = (body)->topic, .payload = (body)->payload, .properties = (body)->properties,      \
        .expires = (body)->expires, .qos = (body)->qos, .retain = (body)->retain,                  \
    }

/* FL_ENOTFOUND: not a message. */
static enum fl_error body_of(struct fl_broker *broker, const struct fl_broker_input *input,
                             struct fl_broker_message **message)
{
    if (!fl_mqtt_topic_valid(input->topic) || !fl_broker_topic_fits(input->topic) ||
        input->qos > 2 || !is_block(input->properties))
        return FL_ENOTFOUND;
    *message = fl_broker_message_new(broker, input);
    return *message ? FL_OK : FL_ENOMEM;
}

/* --- sessions --- */

static void end_session(struct fl_broker *broker, struct numbered *numbered, fl_time_t now)
{
    if (numbered->session)
        fl_broker_session_destroy(broker, numbered->session, now);
    drop(&broker->keep.sessions, numbered);
}

static enum fl_error make_session(struct fl_broker *broker, const struct fl_keep_session *record,
                                  struct fl_slice identity, struct fl_slice client_id,
                                  fl_time_t now, struct numbered **made)
{
    struct fl_broker_device *device = fl_broker_device_get(broker, identity);
    struct fl_broker_session *old = NULL;
    enum fl_error error = FL_OK;

    if (!device)
        return FL_ENOMEM;
    device->conn_count++; /* holds it */
    old = fl_broker_session_find(broker, device, client_id);
    if (old && find(&broker->keep.sessions, old->log_id))
        end_session(broker, find(&broker->keep.sessions, old->log_id), now);
    *made = add(broker, &broker->keep.sessions, record->id);
    error = *made ? fl_broker_session_create(broker, device, client_id, now, &(*made)->session)
                  : FL_ENOMEM;
    if (error == FL_OK)
        (*made)->session->log_id = record->id;
    else if (*made)
        drop(&broker->keep.sessions, *made);
    device->conn_count--;
    fl_broker_device_release(broker, device);
    return error;
}

static enum fl_error on_session(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    const struct fl_keep_session *record = &keep->as.session;
    struct numbered *numbered = find(&broker->keep.sessions, record->id);
    struct fl_slice client_id = record->key;
    struct fl_slice identity = {0};
    struct fl_broker_session *session = NULL;
    enum fl_error error = FL_OK;

    if (!fl_slice_cut(&client_id, 0, &identity) || identity.size == 0 ||
        identity.size > FL_LIMIT_HOST || client_id.size > FL_LIMIT_MQTT_CLIENT_ID || !record->id)
        return FL_OK;
    /* Of one that is not known, a later record says all. One that is known is whole already. */
    if (!numbered && !record->whole)
        return FL_OK;
    if (!numbered)
        error = make_session(broker, record, identity, client_id, now, &numbered);
    if (error)
        return error == FL_ELIMIT ? FL_OK : error;
    session = numbered->session;
    session->expiry_s = record->expiry_s < FL_LIMIT_MQTT_SESSION_EXPIRY_S
                            ? record->expiry_s
                            : FL_LIMIT_MQTT_SESSION_EXPIRY_S;
    session->expires = to_monotonic(broker, record->expires);
    if (record->last_seq > session->last_seq)
        session->last_seq = record->last_seq;
    fl_broker_message_unref(session->will);
    session->will = NULL;
    session->will_due = FL_TIME_NEVER;
    /* Its client came: what lay there may have been sent. */
    for (uint32_t i = 0; session->expires == FL_TIME_NEVER && i < session->window.count; i++)
        fl_broker_entry_at(&session->window, i)->dup = true;
    return FL_OK;
}

static enum fl_error on_gone(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    struct numbered *numbered = find(&broker->keep.sessions, keep->as.gone.session);

    if (numbered)
        end_session(broker, numbered, now);
    return FL_OK;
}

static enum fl_error on_subscribe(struct fl_broker *broker, const struct fl_keep *keep,
                                  fl_time_t now)
{
    const struct fl_keep_subscribe *record = &keep->as.subscribe;
    struct fl_broker_session *session = session_of(broker, record->session);
    struct fl_broker_subscription *subscription = NULL;
    enum fl_error error = FL_OK;

    (void)now;
    if (!session || record->filter.size == 0 || record->qos > 2)
        return FL_OK;
    subscription = fl_broker_subscription_find(session, record->filter);
    if (!subscription)
        error = fl_broker_subscribe(broker, session, record->filter, &subscription);
    if (error)
        return error == FL_ENOMEM ? error : FL_OK;
    subscription->id = record->subscription_id;
    subscription->qos = record->qos;
    subscription->no_local = (record->flags & FL_KEEP_NO_LOCAL) != 0;
    subscription->retain_as_published = (record->flags & FL_KEEP_AS_PUBLISHED) != 0;
    return FL_OK;
}

static enum fl_error on_unsubscribe(struct fl_broker *broker, const struct fl_keep *keep,
                                    fl_time_t now)
{
    struct fl_broker_session *session = session_of(broker, keep->as.unsubscribe.session);
    struct fl_broker_subscription *subscription =
        session ? fl_broker_subscription_find(session, keep->as.unsubscribe.filter) : NULL;

    (void)now;
    if (subscription)
        fl_broker_unsubscribe(broker, subscription);
    return FL_OK;
}

static enum fl_error on_will(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    const struct fl_keep_will *record = &keep->as.will;
    const struct fl_broker_input input = INPUT_OF(record);
    struct fl_broker_session *session = session_of(broker, record->session);
    struct fl_broker_message *will = NULL;
    enum fl_error error = session ? body_of(broker, &input, &will) : FL_ENOTFOUND;

    (void)now;
    if (error)
        return error == FL_ENOMEM ? error : FL_OK;
    fl_broker_message_unref(session->will);
    session->will = will;
    session->will_due = to_monotonic(broker, record->due);
    return FL_OK;
}

/* --- messages on their way --- */

static enum fl_error on_message(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    const struct fl_keep_message *record = &keep->as.message;
    struct fl_broker_input input = INPUT_OF(record);
    struct numbered *numbered = find(&broker->keep.messages, record->id);
    struct fl_broker_message *message = NULL;
    enum fl_error error = FL_OK;

    (void)now;
    if (numbered || !record->id)
        return FL_OK; /* the same body again, for a checkpoint */
    input.expires = to_monotonic(broker, record->expires);
    error = body_of(broker, &input, &message);
    if (error)
        return error == FL_ENOMEM ? error : FL_OK;
    message->log_id = record->id;
    numbered = add(broker, &broker->keep.messages, record->id);
    if (!numbered) {
        fl_broker_message_unref(message);
        return FL_ENOMEM;
    }
    numbered->message = message;
    return FL_OK;
}

static bool take_ids(struct fl_broker_entry *entry, struct fl_slice ids)
{
    uint32_t count = (uint32_t)(ids.size / 4);
    uint32_t *to = count > 1 ? malloc((count + 1) * sizeof *to) : NULL;

    if (count > 1 && !to)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = ids.data + (size_t)4 * i;
        uint32_t id =
            (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        if (to)
            to[i + 1] = id;
        else
            entry->id = id;
    }
    if (to)
        to[0] = count;
    entry->ids = to;
    return true;
}

static enum fl_error on_queue(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    const struct fl_keep_queue *record = &keep->as.queue;
    struct fl_broker_session *session = session_of(broker, record->session);
    const struct numbered *body = find(&broker->keep.messages, record->message);
    bool releasing = (record->flags & FL_KEEP_RELEASING) != 0;
    const struct fl_broker_subscription *by = NULL;
    struct fl_broker_entry entry = {
        .seq = record->seq,
        .packet_id = fl_broker_packet_id(record->seq),
        .qos = record->qos,
        .retain = (record->flags & FL_KEEP_RETAINED) != 0,
        .releasing = releasing,
    };

    (void)now;
    if (!session || record->seq == 0 || record->qos == 0 || record->qos > 2 ||
        (releasing ? record->qos != 2 : !body) ||
        session->window.count >= FL_LIMIT_BROKER_RESTORED ||
        (session->window.count &&
         fl_broker_entry_at(&session->window, session->window.count - 1)->seq >= record->seq))
        return FL_OK;
    entry.dup = (record->flags & FL_KEEP_SENT) != 0 || session->expires == FL_TIME_NEVER;
    if (!take_ids(&entry, record->ids))
        return FL_ENOMEM;
    if (body && !releasing)
        entry.message = fl_broker_message_ref(body->message);
    if (record->share.size)
        by = fl_broker_subscription_find(session, record->share);
    if (by && by->share) {
        entry.share = by->share;
        entry.share->entries++;
    }
    if (!fl_broker_queue_push(&session->window, &entry)) {
        fl_broker_entry_free(&entry);
        return FL_ENOMEM;
    }
    if (record->seq > session->last_seq)
        session->last_seq = record->seq;
    return FL_OK;
}

static enum fl_error on_done(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    struct fl_broker_session *session = session_of(broker, keep->as.done.session);
    struct fl_broker_entry *entry =
        session ? fl_broker_entry_of_seq(&session->window, keep->as.done.seq) : NULL;

    (void)now;
    if (!entry)
        return FL_OK;
    fl_broker_entry_free(entry);
    fl_broker_window_advance(session);
    return FL_OK;
}

static enum fl_error on_release(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    const struct fl_broker_session *session = session_of(broker, keep->as.release.session);
    struct fl_broker_entry *entry =
        session ? fl_broker_entry_of_seq(&session->window, keep->as.release.seq) : NULL;

    (void)now;
    if (!entry || entry->qos != 2)
        return FL_OK;
    fl_broker_message_unref(entry->message);
    entry->message = NULL;
    entry->releasing = true;
    entry->dup = true;
    return FL_OK;
}

static enum fl_error on_received(struct fl_broker *broker, const struct fl_keep *keep,
                                 fl_time_t now)
{
    struct fl_broker_session *session = session_of(broker, keep->as.received.session);

    (void)now;
    if (!session || keep->as.received.packet_id == 0 ||
        session->received_count >= FL_LIMIT_MQTT_UNRELEASED)
        return FL_OK;
    return fl_broker_received_ask(broker, session, keep->as.received.packet_id) ? FL_OK : FL_ENOMEM;
}

static enum fl_error on_released(struct fl_broker *broker, const struct fl_keep *keep,
                                 fl_time_t now)
{
    struct fl_broker_session *session = session_of(broker, keep->as.released.session);

    (void)now;
    if (session)
        fl_broker_received_forget(broker, session, keep->as.released.packet_id);
    return FL_OK;
}

/* --- retained messages and shares --- */

static enum fl_error on_retain(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    const struct fl_keep_retain *record = &keep->as.retain;
    struct fl_broker_input input = INPUT_OF(record);
    struct fl_broker_device *owner = NULL;
    struct fl_broker_message *message = NULL;
    enum fl_error error = FL_OK;

    input.expires = to_monotonic(broker, record->expires);
    if (input.expires <= now)
        input.payload = fl_slice(NULL, 0); /* over: there is none any more */
    error = body_of(broker, &input, &message);
    if (error == FL_OK && record->owner.size) {
        owner = fl_broker_device_get(broker, record->owner);
        error = owner ? FL_OK : FL_ENOMEM;
    }
    if (error == FL_OK) {
        if (owner)
            owner->conn_count++;
        fl_broker_retain(broker, &input, message, owner);
        if (owner) {
            owner->conn_count--;
            fl_broker_device_release(broker, owner);
        }
    }
    fl_broker_message_unref(message);
    return error == FL_ENOMEM ? error : FL_OK;
}

static enum fl_error on_unretain(struct fl_broker *broker, const struct fl_keep *keep,
                                 fl_time_t now)
{
    const struct fl_broker_input input = {.topic = keep->as.unretain.topic, .retain = true};

    (void)now;
    if (fl_broker_topic_fits(input.topic))
        fl_broker_retain(broker, &input, NULL, NULL);
    return FL_OK;
}

static struct fl_broker_share *share_of(const struct fl_broker *broker, struct fl_slice key)
{
    struct fl_map_node *node = fl_map_find(&broker->shares, key);

    return node ? fl_container_of(node, struct fl_broker_share, by_key) : NULL;
}

static enum fl_error on_share_queue(struct fl_broker *broker, const struct fl_keep *keep,
                                    fl_time_t now)
{
    const struct fl_keep_share_queue *record = &keep->as.share_queue;
    struct fl_broker_share *share = share_of(broker, record->share);
    const struct numbered *body = find(&broker->keep.messages, record->message);
    struct fl_broker_entry entry = {.seq = record->seq};

    (void)now;
    if (!share || !body || share->waiting.count >= FL_LIMIT_MQTT_QUEUE ||
        record->seq <= share->last_seq)
        return FL_OK;
    entry.message = fl_broker_message_ref(body->message);
    entry.qos = body->message->qos;
    if (!fl_broker_queue_push(&share->waiting, &entry)) {
        fl_broker_entry_free(&entry);
        return FL_ENOMEM;
    }
    share->last_seq = record->seq;
    share->waiting_bytes += fl_broker_entry_cost(&entry);
    return FL_OK;
}

static enum fl_error on_share_done(struct fl_broker *broker, const struct fl_keep *keep,
                                   fl_time_t now)
{
    struct fl_broker_share *share = share_of(broker, keep->as.share_done.share);

    (void)now;
    /* They are taken in their order. */
    while (share && share->waiting.count &&
           fl_broker_entry_at(&share->waiting, 0)->seq <= keep->as.share_done.seq) {
        struct fl_broker_entry *entry = fl_broker_entry_at(&share->waiting, 0);

        share->waiting_bytes -= fl_broker_entry_cost(entry);
        fl_broker_entry_free(entry);
        fl_broker_queue_drop_first(&share->waiting);
    }
    return FL_OK;
}

/* --- all of it --- */

enum fl_error fl_broker_restore(struct fl_broker *broker, const struct fl_keep *record,
                                fl_time_t now)
{
    static enum fl_error (*const on[])(struct fl_broker * broker, const struct fl_keep *keep,
                                       fl_time_t now) = {
        [fl_keep_type_session] = on_session,
        [fl_keep_type_gone] = on_gone,
        [fl_keep_type_subscribe] = on_subscribe,
        [fl_keep_type_unsubscribe] = on_unsubscribe,
        [fl_keep_type_message] = on_message,
        [fl_keep_type_queue] = on_queue,
        [fl_keep_type_done] = on_done,
        [fl_keep_type_release] = on_release,
        [fl_keep_type_received] = on_received,
        [fl_keep_type_released] = on_released,
        [fl_keep_type_will] = on_will,
        [fl_keep_type_retain] = on_retain,
        [fl_keep_type_unretain] = on_unretain,
        [fl_keep_type_share_queue] = on_share_queue,
        [fl_keep_type_share_done] = on_share_done,
    };

    return on[record->type](broker, record, now);
}

void fl_broker_restore_end(struct fl_broker *broker)
{
    struct fl_map *const maps[] = {&broker->keep.sessions, &broker->keep.messages};

    for (size_t i = 0; i < 2; i++) {
        for (struct fl_map_node *node = fl_map_next(maps[i], NULL); node;
             node = fl_map_next(maps[i], NULL))
            drop(maps[i], fl_container_of(node, struct numbered, node));
        fl_map_free(maps[i]);
    }
}

/* What was never sent is the end of the window: it waits instead. */
static bool settle(struct fl_broker_session *session)
{
    struct fl_broker_queue all = session->window;
    bool fits = true;

    session->window = (struct fl_broker_queue){0};
    while (all.count) {
        struct fl_broker_entry entry = *fl_broker_entry_at(&all, 0);
        bool sent = entry.dup || entry.packet_id == 0 || entry.releasing;
        struct fl_broker_queue *to =
            sent && session->waiting.count == 0 ? &session->window : &session->waiting;

        fl_broker_queue_drop_first(&all);
        if (to == &session->waiting && !entry.message)
            continue;
        fits = fl_broker_queue_push(to, &entry) && fits;
        if (to == &session->waiting)
            session->waiting_bytes += fl_broker_entry_cost(&entry);
    }
    fl_broker_received_pause(session);
    return fits;
}

void fl_broker_restored(struct fl_broker *broker,
                        bool (*known)(void *self, struct fl_slice identity), void *self,
                        fl_time_t now)
{
    struct fl_map_node *next = NULL;

    fl_broker_restore_end(broker);
    broker->keep.restoring = false;
    for (struct fl_map_node *node = fl_map_next(&broker->sessions, NULL); node; node = next) {
        struct fl_broker_session *session = fl_container_of(node, struct fl_broker_session, by_key);

        next = fl_map_next(&broker->sessions, node);
        if (!settle(session) ||
            (known && !known(self, fl_slice(session->device->name, session->device->name_size)))) {
            fl_broker_session_destroy(broker, session, now);
            continue;
        }
        if (session->expires == FL_TIME_NEVER)
            session->expires = now + (fl_time_t)session->expiry_s * 1000;
        fl_broker_arm(broker, &session->timer,
                      session->expires < session->will_due ? session->expires : session->will_due);
    }
}
