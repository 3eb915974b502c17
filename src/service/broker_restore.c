/* SPDX-License-Identifier: Apache-2.0
 *
 * Records read back from the log become sessions, messages on their way and retained messages
 * again. While restoring, everything on its way to a session lies in its window, in the order of
 * its numbers; in the end what was never sent moves to where things wait.
 */
#include "base/endian.h"
#include "service/broker_remote.h"

#include <stdlib.h>

#define NUMBERS_MASK ((uint64_t)63)
#define NUMBER_MAX ((uint64_t)1 << 62) /* the next ones must not wrap around */
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

/* New numbers are higher than any that was ever given. */
static void note_id(struct fl_broker *broker, uint64_t number)
{
    if ((number | NUMBERS_MASK) > (broker->keep.last_id | NUMBERS_MASK))
        broker->keep.last_id = (number & ~NUMBERS_MASK) | (broker->keep.last_id & NUMBERS_MASK);
}

static struct numbered *add(struct fl_map *map, uint64_t number)
{
    struct numbered *made = calloc(1, sizeof *made);

    if (!made)
        return NULL;
    made->number = number;
    if (fl_map_add(map, &made->node, fl_slice(&made->number, sizeof made->number)) != FL_OK) {
        free(made);
        return NULL;
    }
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

enum fl_error fl_broker_restore_body(struct fl_broker *broker, const struct fl_broker_input *input,
                                     struct fl_broker_message **message)
{
    if (!fl_mqtt_topic_valid(input->topic) || !fl_broker_topic_fits(input->topic) ||
        input->qos > 2 || !is_block(input->properties))
        return FL_ENOTFOUND;
    *message = fl_broker_message_new(broker, input);
    return *message ? FL_OK : FL_ENOMEM;
}

fl_time_t fl_broker_restore_span(fl_time_t span)
{
    /* Longer than MQTT can say: it is none. */
    return span < 0 || span > (fl_time_t)UINT32_MAX * 1000 ? FL_TIME_NEVER : span;
}

/* --- sessions --- */

static void end_session(struct fl_broker *broker, struct numbered *numbered, fl_time_t now)
{
    if (numbered->session)
        fl_broker_session_destroy(broker, numbered->session, now);
    drop(&broker->keep.sessions, numbered);
}

/* All of it follows, also what could not be read before for want of a body. */
static void forget_queue(struct fl_broker_session *session)
{
    fl_broker_queue_free(&session->window);
    free(session->received);
    session->received = NULL;
    session->received_count = 0;
    session->received_capacity = 0;
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
    *made = add(&broker->keep.sessions, record->id);
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
        identity.size > FL_LIMIT_HOST || client_id.size > FL_LIMIT_MQTT_CLIENT_ID || !record->id ||
        record->expiry_s == 0) /* those that end with their connection are not written down */
        return FL_OK;
    /* Of one that is not known, a later record says all. One that is known is whole already. */
    if (!numbered && !record->whole)
        return FL_OK;
    if (!numbered)
        error = make_session(broker, record, identity, client_id, now, &numbered);
    if (error)
        return error == FL_ELIMIT ? FL_OK : error;
    session = numbered->session;
    if (record->whole)
        forget_queue(session);
    session->home = record->home < FL_LIMIT_WORKERS ? record->home : 0;
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
    struct fl_broker_input input = INPUT_OF(record);
    struct fl_broker_session *session = session_of(broker, record->session);
    struct fl_broker_message *will = NULL;
    enum fl_error error = FL_ENOTFOUND;

    (void)now;
    input.expires = fl_broker_restore_span(input.expires);
    if (session)
        error = fl_broker_restore_body(broker, &input, &will);
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
    error = fl_broker_restore_body(broker, &input, &message);
    if (error)
        return error == FL_ENOMEM ? error : FL_OK;
    message->log_id = record->id;
    numbered = add(&broker->keep.messages, record->id);
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
    uint32_t *to = NULL;

    if (count == 1)
        entry->id = fl_get_le32(ids.data);
    if (count < 2)
        return true;
    to = malloc((count + 1) * sizeof *to);
    if (!to)
        return false;
    to[0] = count;
    for (uint32_t i = 0; i < count; i++)
        to[i + 1] = fl_get_le32(ids.data + (size_t)4 * i);
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

/* A topic whose retained message was taken back: an older one may still come. */
struct forgotten {
    struct fl_map_node node;
    uint64_t version;
    size_t size;
    uint8_t topic[];
};

static struct forgotten *forgotten_of(const struct fl_broker *broker, struct fl_slice topic)
{
    struct fl_map_node *node = fl_map_find(&broker->keep.forgotten, topic);

    return node ? fl_container_of(node, struct forgotten, node) : NULL;
}

static enum fl_error on_retain(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    const struct fl_keep_retain *record = &keep->as.retain;
    struct fl_broker_input input = INPUT_OF(record);
    const struct forgotten *forgotten = forgotten_of(broker, record->topic);
    struct fl_broker_device *owner = NULL;
    struct fl_broker_message *message = NULL;
    enum fl_error error = FL_OK;

    if (forgotten && forgotten->version > record->version)
        return FL_OK;
    input.expires = to_monotonic(broker, record->expires);
    if (input.expires <= now)
        input.payload = fl_slice(NULL, 0); /* over: there is none any more */
    error = fl_broker_restore_body(broker, &input, &message);
    if (error == FL_OK && record->owner.size) {
        owner = fl_broker_device_get(broker, record->owner);
        error = owner ? FL_OK : FL_ENOMEM;
    }
    if (error == FL_OK) {
        message->version = record->version;
        error = fl_broker_group_restore(broker, message, owner);
    }
    if (owner)
        fl_broker_device_release(broker, owner);
    fl_broker_message_unref(message);
    return error == FL_ENOMEM ? error : FL_OK;
}

static enum fl_error on_unretain(struct fl_broker *broker, const struct fl_keep *keep,
                                 fl_time_t now)
{
    const struct fl_keep_unretain *record = &keep->as.unretain;
    struct forgotten *forgotten = forgotten_of(broker, record->topic);

    (void)now;
    if (!fl_broker_topic_fits(record->topic))
        return FL_OK;
    if (!forgotten) {
        forgotten = calloc(1, sizeof *forgotten + record->topic.size);
        if (!forgotten)
            return FL_ENOMEM;
        forgotten->size = record->topic.size;
        if (forgotten->size)
            memcpy(forgotten->topic, record->topic.data, forgotten->size);
        if (fl_map_add(&broker->keep.forgotten, &forgotten->node,
                       fl_slice(forgotten->topic, forgotten->size)) != FL_OK) {
            free(forgotten);
            return FL_ENOMEM;
        }
    }
    if (record->version > forgotten->version)
        forgotten->version = record->version;
    fl_broker_group_forget(broker, record->topic, record->version);
    return FL_OK;
}

/* What lay with a share, or was between brokers, goes on in the end, in the order of the numbers.
 */
struct lying {
    struct fl_map_node node;
    uint64_t number;
    uint8_t to;
    struct fl_broker_message *message;
    size_t key_size;
    uint8_t key[];
};

static struct lying *lying_of(const struct fl_broker *broker, uint64_t number)
{
    struct fl_map_node *node = fl_map_find(&broker->keep.transit, fl_slice(&number, sizeof number));

    return node ? fl_container_of(node, struct lying, node) : NULL;
}

static void lying_free(struct fl_broker *broker, struct lying *lying)
{
    fl_map_remove(&broker->keep.transit, &lying->node);
    fl_broker_message_unref(lying->message);
    free(lying);
}

static enum fl_error on_transit(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    const struct fl_keep_transit *record = &keep->as.transit;
    const struct numbered *body = find(&broker->keep.messages, record->message);
    struct lying *made = NULL;
    struct fl_slice inner = {0};

    (void)now;
    if (!body || !record->number || lying_of(broker, record->number) ||
        (record->to >= FL_LIMIT_WORKERS && record->to != FL_KEEP_LIES) ||
        (record->to == FL_KEEP_LIES && record->share.size == 0) ||
        (record->share.size && !fl_mqtt_share_filter(record->share, &inner)))
        return FL_OK;
    made = calloc(1, sizeof *made + record->share.size);
    if (!made)
        return FL_ENOMEM;
    made->number = record->number;
    made->to = record->to;
    made->key_size = record->share.size;
    if (made->key_size)
        memcpy(made->key, record->share.data, record->share.size);
    if (fl_map_add(&broker->keep.transit, &made->node,
                   fl_slice(&made->number, sizeof made->number)) != FL_OK) {
        free(made);
        return FL_ENOMEM;
    }
    made->message = fl_broker_message_ref(body->message);
    return FL_OK;
}

static enum fl_error on_arrived(struct fl_broker *broker, const struct fl_keep *keep, fl_time_t now)
{
    const struct fl_keep_arrived *record = &keep->as.arrived;
    struct lying *lying = lying_of(broker, record->number);
    unsigned from = record->number & NUMBERS_MASK;

    (void)now;
    if (record->to == FL_KEEP_LIES && lying)
        lying_free(broker, lying);
    if (record->to >= FL_LIMIT_WORKERS)
        return FL_OK;
    /* That it left may be read later than that it arrived. */
    if (!broker->keep.arrived)
        broker->keep.arrived = calloc(FL_LIMIT_WORKERS, sizeof broker->keep.arrived[0]);
    if (!broker->keep.arrived)
        return FL_ENOMEM;
    if (record->number > broker->keep.arrived[from][record->to])
        broker->keep.arrived[from][record->to] = record->number;
    return FL_OK;
}

static int by_number(const void *a, const void *b)
{
    const struct lying *first = *(struct lying *const *)a;
    const struct lying *second = *(struct lying *const *)b;

    return first->number < second->number ? -1 : first->number > second->number;
}

/* Of a broker that is alone. */
static void resume(struct fl_broker *broker, const struct lying *lying, fl_time_t now)
{
    struct fl_map_node *node = fl_map_find(&broker->shares, fl_slice(lying->key, lying->key_size));

    fl_broker_keep_arrived(broker, lying->number, lying->to);
    if (lying->key_size == 0)
        fl_broker_route_here(broker, lying->message, (uint64_t)1 << lying->to, now);
    else if (node)
        fl_broker_share_deliver(broker, fl_container_of(node, struct fl_broker_share, by_key),
                                lying->message, now);
}

static bool has_arrived(const struct fl_broker *broker, const struct lying *lying)
{
    return lying->to != FL_KEEP_LIES && broker->keep.arrived &&
           broker->keep.arrived[lying->number & NUMBERS_MASK][lying->to] >= lying->number;
}

static bool resume_all(struct fl_broker *broker, fl_time_t now)
{
    size_t count = broker->keep.transit.count;
    struct lying **all = count ? malloc(count * sizeof(struct lying *)) : NULL;
    size_t i = 0;

    if (!all)
        return count == 0;
    for (struct fl_map_node *node = fl_map_next(&broker->keep.transit, NULL); node;
         node = fl_map_next(&broker->keep.transit, node))
        all[i++] = fl_container_of(node, struct lying, node);
    qsort(all, count, sizeof(struct lying *), by_number);
    for (i = 0; i < count; i++) {
        if (has_arrived(broker, all[i])) {
            lying_free(broker, all[i]);
            continue;
        }
        if (broker->remote)
            fl_broker_remote_resume(broker, fl_slice(all[i]->key, all[i]->key_size), all[i]->to,
                                    all[i]->number, all[i]->message, now);
        else
            resume(broker, all[i], now);
        lying_free(broker, all[i]);
    }
    free(all);
    return true;
}

/* --- all of it --- */

/* The number that a record gave to something, or 0. */
static uint64_t number_given(const struct fl_keep *record)
{
    if (record->type == fl_keep_type_session)
        return record->as.session.id;
    if (record->type == fl_keep_type_message)
        return record->as.message.id;
    if (record->type == fl_keep_type_transit)
        return record->as.transit.number;
    if (record->type == fl_keep_type_testament)
        return record->as.testament.number;
    return record->type == fl_keep_type_arrived ? record->as.arrived.number : 0;
}

enum fl_error fl_broker_restore(struct fl_broker *broker, const struct fl_keep *record, bool mine,
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
        [fl_keep_type_transit] = on_transit,
        [fl_keep_type_arrived] = on_arrived,
        [fl_keep_type_testament] = fl_broker_restore_testament,
        [fl_keep_type_testament_gone] = fl_broker_restore_testament_gone,
    };

    if (number_given(record) > NUMBER_MAX)
        return FL_OK; /* no broker ever came so far */
    /* What another broker has read must not be given again either. */
    note_id(broker, number_given(record));
    if (record->type >= sizeof on / sizeof on[0] || !on[record->type])
        return FL_OK; /* not a broker's */
    return mine ? on[record->type](broker, record, now) : FL_OK;
}

void fl_broker_restore_end(struct fl_broker *broker)
{
    struct fl_map *const maps[] = {&broker->keep.sessions, &broker->keep.messages};

    for (size_t i = 0; i < 2; i++) {
        for (struct fl_map_node *node = fl_map_first(maps[i]); node; node = fl_map_first(maps[i]))
            drop(maps[i], fl_container_of(node, struct numbered, node));
        fl_map_free(maps[i]);
    }
    for (struct fl_map_node *node = fl_map_first(&broker->keep.transit); node;
         node = fl_map_first(&broker->keep.transit))
        lying_free(broker, fl_container_of(node, struct lying, node));
    fl_map_free(&broker->keep.transit);
    fl_broker_testaments_free(broker);
    free(broker->keep.arrived);
    broker->keep.arrived = NULL;
    for (struct fl_map_node *node = fl_map_first(&broker->keep.forgotten); node;
         node = fl_map_first(&broker->keep.forgotten)) {
        fl_map_remove(&broker->keep.forgotten, node);
        free(fl_container_of(node, struct forgotten, node));
    }
    fl_map_free(&broker->keep.forgotten);
}

/* What was never sent is the end of the window: it waits instead. */
static bool settle(struct fl_broker *broker, struct fl_broker_session *session)
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
    fl_broker_count_waiting(broker, session, 0, 0);
    fl_broker_received_pause(session);
    return fits;
}

void fl_broker_restored(struct fl_broker *broker,
                        bool (*known)(void *self, struct fl_slice identity), void *self,
                        fl_time_t now)
{
    struct fl_map_node *next = NULL;

    broker->keep.restoring = false;
    fl_broker_enter(broker);
    fl_broker_testaments_resume(broker, now);
    for (struct fl_map_node *node = fl_map_next(&broker->sessions, NULL); node; node = next) {
        struct fl_broker_session *session = fl_container_of(node, struct fl_broker_session, by_key);

        next = fl_map_next(&broker->sessions, node);
        if (!settle(broker, session) ||
            (known && !known(self, fl_slice(session->device->name, session->device->name_size)))) {
            fl_broker_session_destroy(broker, session, now);
            continue;
        }
        if (session->expires == FL_TIME_NEVER)
            session->expires = now + (fl_time_t)session->expiry_s * 1000;
        fl_broker_arm(broker, &session->timer,
                      session->expires < session->will_due ? session->expires : session->will_due);
    }
    if (!resume_all(broker, now))
        broker->counts.dropped += broker->keep.transit.count;
    fl_broker_restore_end(broker);
    fl_broker_leave(broker);
}

void fl_broker_resumed(struct fl_broker *broker)
{
    for (struct fl_map_node *node = fl_map_next(&broker->sessions, NULL); node;
         node = fl_map_next(&broker->sessions, node)) {
        struct fl_broker_session *session = fl_container_of(node, struct fl_broker_session, by_key);

        if (session->home == broker->host.index)
            continue;
        session->home = (uint8_t)broker->host.index;
        fl_broker_keep_session(broker, session);
    }
}
