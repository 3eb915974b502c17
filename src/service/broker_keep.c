/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written down of sessions and messages while they come and go, and all of it again for a
 * checkpoint. Only what outlives a connection: sessions with an expiry, what is on its way to them
 * with QoS 1 or 2, and retained messages.
 */
#include "service/broker_internal.h"

#define NUMBERS 6 /* bits of a number that tell brokers apart */

/* --- writing --- */

/* A record without which an answer would promise too much. */
enum weight { NOTE, PROMISE };

static void put(struct fl_broker *broker, const struct fl_keep *record, enum weight weight)
{
    struct fl_broker_keep *keep = &broker->keep;

    if (fl_keep_encode(record, &keep->log) != FL_OK)
        keep->failed_batch = keep->batch;
    else
        broker->counts.kept++;
    keep->promises += weight == PROMISE;
}

static bool is_on(const struct fl_broker *broker)
{
    return broker->keep.on && !broker->keep.restoring;
}

static uint64_t new_id(struct fl_broker *broker)
{
    broker->keep.last_id += (uint64_t)1 << NUMBERS;
    return broker->keep.last_id;
}

static fl_time_t to_utc(const struct fl_broker *broker, fl_time_t monotonic)
{
    return monotonic == FL_TIME_NEVER ? FL_TIME_NEVER : monotonic + broker->keep.utc_offset;
}

#define BODY(to, message, when)                                                                    \
    do {                                                                                           \
        (to).expires = (when);                                                                     \
        (to).qos = (message)->qos;                                                                 \
        (to).retain = (message)->retain;                                                           \
        (to).topic = fl_broker_message_topic(message);                                             \
        (to).properties = fl_broker_message_properties(message);                                   \
        (to).payload = fl_broker_message_payload(message);                                         \
    } while (0)

/* Its body, once in each period of the log. Returns its number. */
static uint64_t put_message(struct fl_broker *broker, struct fl_broker_message *message)
{
    struct fl_keep record = {.type = fl_keep_type_message};

    if (message->log_period == broker->keep.period)
        return message->log_id;
    if (!message->log_id)
        message->log_id = new_id(broker);
    message->log_period = broker->keep.period;
    record.as.message.id = message->log_id;
    BODY(record.as.message, message, to_utc(broker, message->expires));
    put(broker, &record, PROMISE);
    return message->log_id;
}

static void put_session(struct fl_broker *broker, const struct fl_broker_session *session,
                        bool whole)
{
    struct fl_keep record = {.type = fl_keep_type_session};

    record.as.session.id = session->log_id;
    record.as.session.whole = whole;
    record.as.session.expiry_s = session->expiry_s;
    record.as.session.expires = session->conn ? FL_TIME_NEVER : to_utc(broker, session->expires);
    record.as.session.last_seq = session->last_seq;
    record.as.session.key = fl_slice(session->key, session->key_size);
    put(broker, &record, PROMISE);
    if (!session->will || session->conn)
        return;
    record = (struct fl_keep){.type = fl_keep_type_will};
    record.as.will.session = session->log_id;
    record.as.will.due = to_utc(broker, session->will_due);
    BODY(record.as.will, session->will, session->will->expires);
    put(broker, &record, NOTE);
}

static void put_subscription(struct fl_broker *broker, const struct fl_broker_subscription *s)
{
    struct fl_keep record = {.type = fl_keep_type_subscribe};

    record.as.subscribe.session = s->session->log_id;
    record.as.subscribe.subscription_id = s->id;
    record.as.subscribe.qos = s->qos;
    record.as.subscribe.flags = (uint8_t)((s->no_local ? FL_KEEP_NO_LOCAL : 0) |
                                          (s->retain_as_published ? FL_KEEP_AS_PUBLISHED : 0));
    record.as.subscribe.filter = fl_slice(s->filter, s->filter_size);
    put(broker, &record, PROMISE);
}

static struct fl_slice key_of(const struct fl_broker_share *share)
{
    return share ? fl_slice(share->key, share->key_size) : fl_slice(NULL, 0);
}

static void put_entry(struct fl_broker *broker, const struct fl_broker_session *session,
                      const struct fl_broker_entry *entry, bool sent)
{
    struct fl_keep record = {.type = fl_keep_type_queue};
    struct fl_keep_queue *queue = &record.as.queue;
    uint8_t ids[4 * FL_LIMIT_MQTT_SUBSCRIPTIONS];
    const uint32_t *from = entry->ids ? entry->ids + 1 : &entry->id;
    size_t count = entry->ids ? entry->ids[0] : entry->id != 0;

    for (size_t i = 0; i < count && i < FL_LIMIT_MQTT_SUBSCRIPTIONS; i++)
        for (size_t byte = 0; byte < 4; byte++)
            ids[4 * i + byte] = (uint8_t)(from[i] >> (8 * byte));
    queue->session = session->log_id;
    queue->seq = entry->seq;
    queue->message = entry->message ? put_message(broker, entry->message) : 0;
    queue->qos = entry->qos;
    queue->flags =
        (uint8_t)((entry->retain ? FL_KEEP_RETAINED : 0) | (sent || entry->dup ? FL_KEEP_SENT : 0) |
                  (entry->releasing ? FL_KEEP_RELEASING : 0));
    queue->ids = fl_slice(ids, 4 * count);
    queue->share = key_of(entry->share);
    put(broker, &record, PROMISE);
}

static void put_received(struct fl_broker *broker, const struct fl_broker_session *session,
                         uint16_t packet_id)
{
    struct fl_keep record = {.type = fl_keep_type_received};

    record.as.received.session = session->log_id;
    record.as.received.packet_id = packet_id;
    put(broker, &record, PROMISE);
}

/* --- sessions --- */

void fl_broker_keep_whole(struct fl_broker *broker, struct fl_broker_session *session)
{
    put_session(broker, session, true);
    FL_LIST_EACH(at, &session->subscriptions)
    put_subscription(broker, fl_container_of(at, struct fl_broker_subscription, in_session));
    for (uint32_t i = 0; i < session->window.count; i++) {
        const struct fl_broker_entry *entry = fl_broker_entry_at(&session->window, i);
        if (entry->packet_id)
            put_entry(broker, session, entry, true);
    }
    for (uint32_t i = 0; i < session->waiting.count; i++) {
        const struct fl_broker_entry *entry = fl_broker_entry_at(&session->waiting, i);
        if (entry->qos)
            put_entry(broker, session, entry, false);
    }
    for (uint32_t i = 0; i < session->received_count; i++)
        put_received(broker, session, session->received[i].packet_id);
}

void fl_broker_keep_session(struct fl_broker *broker, struct fl_broker_session *session)
{
    if (!is_on(broker))
        return;
    if (session->expiry_s == 0) {
        fl_broker_keep_gone(broker, session);
    } else if (session->log_id) {
        put_session(broker, session, false);
    } else {
        session->log_id = new_id(broker);
        fl_broker_keep_whole(broker, session);
    }
}

void fl_broker_keep_gone(struct fl_broker *broker, struct fl_broker_session *session)
{
    struct fl_keep record = {.type = fl_keep_type_gone, .as.gone.session = session->log_id};

    if (is_on(broker) && session->log_id)
        put(broker, &record, PROMISE);
    session->log_id = 0;
}

void fl_broker_keep_subscribe(struct fl_broker *broker,
                              const struct fl_broker_subscription *subscription)
{
    if (is_on(broker) && subscription->session->log_id)
        put_subscription(broker, subscription);
}

void fl_broker_keep_unsubscribe(struct fl_broker *broker,
                                const struct fl_broker_subscription *subscription)
{
    struct fl_keep record = {.type = fl_keep_type_unsubscribe};

    if (!is_on(broker) || !subscription->session->log_id)
        return;
    record.as.unsubscribe.session = subscription->session->log_id;
    record.as.unsubscribe.filter = fl_slice(subscription->filter, subscription->filter_size);
    put(broker, &record, PROMISE);
}

/* --- messages on their way --- */

void fl_broker_keep_queue(struct fl_broker *broker, const struct fl_broker_session *session,
                          const struct fl_broker_entry *entry)
{
    if (is_on(broker) && session->log_id && entry->qos)
        put_entry(broker, session, entry, false);
}

void fl_broker_keep_done(struct fl_broker *broker, const struct fl_broker_session *session,
                         const struct fl_broker_entry *entry)
{
    struct fl_keep record = {.type = fl_keep_type_done};

    if (!is_on(broker) || !session->log_id || !entry->qos)
        return;
    record.as.done.session = session->log_id;
    record.as.done.seq = entry->seq;
    put(broker, &record, NOTE);
}

void fl_broker_keep_release(struct fl_broker *broker, const struct fl_broker_session *session,
                            const struct fl_broker_entry *entry)
{
    struct fl_keep record = {.type = fl_keep_type_release};

    if (!is_on(broker) || !session->log_id)
        return;
    record.as.release.session = session->log_id;
    record.as.release.seq = entry->seq;
    put(broker, &record, PROMISE);
}

void fl_broker_keep_received(struct fl_broker *broker, const struct fl_broker_session *session,
                             uint16_t packet_id)
{
    if (is_on(broker) && session->log_id)
        put_received(broker, session, packet_id);
}

void fl_broker_keep_released(struct fl_broker *broker, const struct fl_broker_session *session,
                             uint16_t packet_id)
{
    struct fl_keep record = {.type = fl_keep_type_released};

    if (!is_on(broker) || !session->log_id)
        return;
    record.as.released.session = session->log_id;
    record.as.released.packet_id = packet_id;
    put(broker, &record, PROMISE);
}

/* --- retained messages and shares --- */

void fl_broker_keep_retain(struct fl_broker *broker, const struct fl_broker_retained *retained)
{
    struct fl_keep record = {.type = fl_keep_type_retain};
    const struct fl_broker_message *message = retained->message;

    if (!is_on(broker))
        return;
    if (retained->owner)
        record.as.retain.owner = fl_slice(retained->owner->name, retained->owner->name_size);
    BODY(record.as.retain, message, to_utc(broker, message->expires));
    put(broker, &record, PROMISE);
}

void fl_broker_keep_unretain(struct fl_broker *broker, struct fl_slice topic)
{
    struct fl_keep record = {.type = fl_keep_type_unretain, .as.unretain.topic = topic};

    if (is_on(broker))
        put(broker, &record, PROMISE);
}

void fl_broker_keep_share_queue(struct fl_broker *broker, const struct fl_broker_share *share,
                                const struct fl_broker_entry *entry)
{
    struct fl_keep record = {.type = fl_keep_type_share_queue};

    if (!is_on(broker))
        return;
    record.as.share_queue.seq = entry->seq;
    record.as.share_queue.message = put_message(broker, entry->message);
    record.as.share_queue.share = key_of(share);
    put(broker, &record, PROMISE);
}

void fl_broker_keep_share_done(struct fl_broker *broker, const struct fl_broker_share *share,
                               const struct fl_broker_entry *entry)
{
    struct fl_keep record = {.type = fl_keep_type_share_done};

    if (!is_on(broker))
        return;
    record.as.share_done.seq = entry->seq;
    record.as.share_done.share = key_of(share);
    put(broker, &record, NOTE);
}

bool fl_broker_keep_has_room(const struct fl_broker *broker, const struct fl_broker_input *input)
{
    if (!broker->keep.tight || !is_on(broker))
        return true;
    if (input->retain || (input->qos && !fl_list_empty(&broker->matched)))
        return false;
    for (size_t i = 0; i < broker->target_count; i++)
        if (broker->targets[i].session->log_id && broker->targets[i].qos && input->qos)
            return false;
    return true;
}

/* --- the host's part --- */

void fl_broker_keep(struct fl_broker *broker, unsigned number, fl_time_t utc_offset)
{
    struct fl_broker_keep *keep = &broker->keep;

    keep->on = true;
    keep->restoring = true;
    keep->last_id = number;
    keep->utc_offset = utc_offset;
}

struct fl_slice fl_broker_log(struct fl_broker *broker, fl_time_t now, uint64_t *batch)
{
    struct fl_broker_keep *keep = &broker->keep;

    *batch = keep->batch;
    if (keep->failed_batch == *batch) {
        fl_buffer_clear(&keep->log);
        keep->batch++;
        fl_broker_log_failed(broker, *batch, now);
    } else if (keep->log.size) {
        keep->batch++;
    }
    return fl_buffer_slice(&keep->log);
}

void fl_broker_log_taken(struct fl_broker *broker)
{
    struct fl_buffer *log = &broker->keep.log;

    if (log->capacity > FL_LIMIT_MQTT_OUT)
        fl_buffer_free(log);
    fl_buffer_clear(log);
}

void fl_broker_log_tight(struct fl_broker *broker, bool tight)
{
    broker->keep.tight = tight;
}

bool fl_broker_log_lost(const struct fl_broker *broker)
{
    return broker->keep.lost;
}

/* --- checkpoints --- */

void fl_broker_checkpoint(struct fl_broker *broker)
{
    struct fl_broker_keep *keep = &broker->keep;

    keep->period++;
    keep->lost = false;
    keep->walk.at = FL_BROKER_SESSIONS;
    keep->walk.bucket = 0;
}

static void walk_share(struct fl_broker *broker, const struct fl_broker_share *share)
{
    for (uint32_t i = 0; i < share->waiting.count; i++)
        fl_broker_keep_share_queue(broker, share, fl_broker_entry_at(&share->waiting, i));
}

static void walk_retained(void *self, struct fl_topic_entry *entry)
{
    fl_broker_keep_retain(self, fl_container_of(entry, struct fl_broker_retained, in_index));
}

static void walk_node(struct fl_broker *broker, struct fl_map_node *node)
{
    struct fl_broker_session *session = NULL;

    switch (broker->keep.walk.at) {
    case FL_BROKER_SESSIONS:
        session = fl_container_of(node, struct fl_broker_session, by_key);
        if (session->log_id)
            fl_broker_keep_whole(broker, session);
        break;
    case FL_BROKER_SHARES:
        walk_share(broker, fl_container_of(node, struct fl_broker_share, by_key));
        break;
    case FL_BROKER_RETAINEDS:
        fl_topic_index_at(node, walk_retained, broker);
        break;
    case FL_BROKER_NO_WALK:
        break;
    }
}

/* Buckets only ever double: going on at the same place after that, each node is still met, some
 * twice, which is harmless. What came since the beginning is in the log anyway. */
bool fl_broker_checkpoint_step(struct fl_broker *broker, size_t bytes)
{
    struct fl_broker_keep *keep = &broker->keep;
    const struct fl_map *maps[] = {[FL_BROKER_SESSIONS] = &broker->sessions,
                                   [FL_BROKER_SHARES] = &broker->shares,
                                   [FL_BROKER_RETAINEDS] = &broker->retained.nodes};
    size_t until = keep->log.size + bytes;

    while (keep->walk.at != FL_BROKER_NO_WALK && keep->log.size < until) {
        const struct fl_map *map = maps[keep->walk.at];

        if (keep->walk.bucket < map->bucket_count) {
            struct fl_map_node *node = map->buckets[keep->walk.bucket++];
            for (; node; node = node->next)
                walk_node(broker, node);
            continue;
        }
        keep->walk.bucket = 0;
        keep->walk.at =
            keep->walk.at == FL_BROKER_RETAINEDS ? FL_BROKER_NO_WALK : keep->walk.at + 1;
    }
    return keep->walk.at == FL_BROKER_NO_WALK;
}
