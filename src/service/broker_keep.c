/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written down of sessions and messages while they come and go, and all of it again for a
 * checkpoint. Only what outlives a connection: sessions with an expiry, what is on its way to them
 * with QoS 1 or 2, and retained messages.
 */
#include "service/broker_remote.h"

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

/* Its body, once in each period of the log; of another broker's message each time. Returns its
 * number. */
static uint64_t put_message(struct fl_broker *broker, struct fl_broker_message *message)
{
    struct fl_keep record = {.type = fl_keep_type_message};
    bool is_own = message->owner == broker->host.index;

    if (is_own && message->log_period == broker->keep.period)
        return message->log_id;
    record.as.message.id = is_own && message->log_id ? message->log_id : new_id(broker);
    BODY(record.as.message, message, to_utc(broker, message->expires));
    put(broker, &record, PROMISE);
    if (is_own) {
        message->log_id = record.as.message.id;
        message->log_period = broker->keep.period;
    }
    return record.as.message.id;
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
    record.as.session.home = session->home;
    record.as.session.key = fl_slice(session->key, session->key_size);
    put(broker, &record, PROMISE);
    if (!session->will || session->conn || session->testament)
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

/* --- wills of clients that are there --- */

static void put_testament(struct fl_broker *broker, const struct fl_broker_session *session)
{
    const struct fl_broker_message *will = session->conn ? session->conn->will : session->will;
    struct fl_keep record = {.type = fl_keep_type_testament};

    if (!will)
        return;
    record.as.testament.number = session->testament;
    record.as.testament.delay_s = session->will_delay_s;
    record.as.testament.key = fl_slice(session->key, session->key_size);
    BODY(record.as.testament, will, will->expires);
    put(broker, &record, PROMISE);
}

void fl_broker_keep_testament(struct fl_broker *broker, struct fl_broker_session *session)
{
    fl_broker_keep_testament_gone(broker, session);
    if (!is_on(broker) || !session->conn->will || broker->keep.tight)
        return;
    session->testament = new_id(broker);
    session->will_delay_s = (uint32_t)(session->conn->will_delay_ms / 1000);
    put_testament(broker, session);
}

void fl_broker_keep_testament_gone(struct fl_broker *broker, struct fl_broker_session *session)
{
    struct fl_keep record = {.type = fl_keep_type_testament_gone,
                             .as.testament_gone.number = session->testament};

    if (is_on(broker) && session->testament)
        put(broker, &record, NOTE);
    session->testament = 0;
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

    if (is_on(broker) && entry->lent)
        fl_broker_keep_arrived(broker, entry->number, FL_KEEP_LIES);
    if (!is_on(broker) || !session->log_id || !entry->qos)
        return;
    record.as.done.session = session->log_id;
    record.as.done.seq = entry->seq;
    put(broker, &record, NOTE);
}

void fl_broker_keep_lent(struct fl_broker *broker, const struct fl_broker_session *session,
                         struct fl_broker_entry *entry)
{
    /* With a share where nobody's session lasts nobody is left to have it. */
    if (!is_on(broker) || session->log_id || !entry->share ||
        !(entry->share->lasting || (broker->remote && fl_broker_group_lasting(broker->group))))
        return;
    entry->number =
        fl_broker_keep_transit(broker, key_of(entry->share), FL_KEEP_LIES, entry->message);
    entry->lent = true;
}

void fl_broker_keep_returned(struct fl_broker *broker, struct fl_broker_entry *entry)
{
    if (!entry->lent)
        return;
    fl_broker_keep_arrived(broker, entry->number, FL_KEEP_LIES);
    entry->lent = false;
    entry->ids = NULL;
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

void fl_broker_keep_retain(struct fl_broker *broker, const struct fl_broker_message *message,
                           struct fl_slice owner)
{
    struct fl_keep record = {.type = fl_keep_type_retain};

    if (!is_on(broker))
        return;
    record.as.retain.version = message->version;
    record.as.retain.owner = owner;
    BODY(record.as.retain, message, to_utc(broker, message->expires));
    put(broker, &record, PROMISE);
}

void fl_broker_keep_unretain(struct fl_broker *broker, struct fl_slice topic, uint64_t version)
{
    struct fl_keep record = {.type = fl_keep_type_unretain,
                             .as.unretain = {.version = version, .topic = topic}};

    if (is_on(broker))
        put(broker, &record, PROMISE);
}

void fl_broker_keep_transit_again(struct fl_broker *broker, uint64_t number, struct fl_slice key,
                                  unsigned to, struct fl_broker_message *message)
{
    struct fl_keep record = {.type = fl_keep_type_transit};

    if (!is_on(broker) || !number)
        return;
    record.as.transit.number = number;
    record.as.transit.message = put_message(broker, message);
    record.as.transit.to = (uint8_t)to;
    record.as.transit.share = key;
    put(broker, &record, PROMISE);
}

uint64_t fl_broker_keep_transit(struct fl_broker *broker, struct fl_slice key, unsigned to,
                                struct fl_broker_message *message)
{
    uint64_t number = is_on(broker) && message->qos ? new_id(broker) : 0;

    fl_broker_keep_transit_again(broker, number, key, to, message);
    return number;
}

void fl_broker_keep_arrived(struct fl_broker *broker, uint64_t number, unsigned to)
{
    struct fl_keep record = {.type = fl_keep_type_arrived,
                             .as.arrived = {.number = number, .to = (uint8_t)to}};

    if (is_on(broker) && number)
        put(broker, &record, NOTE);
}

bool fl_broker_keep_has_room(const struct fl_broker *broker, const struct fl_broker_input *input,
                             bool crosses)
{
    const struct fl_broker_keep *keep = &broker->keep;

    if (!is_on(broker) || (!keep->tight && !keep->lost && !keep->healed))
        return true;
    if (input->retain || (input->qos && (crosses || !fl_list_empty(&broker->matched))))
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

uint64_t fl_broker_keep_last(const struct fl_broker *broker)
{
    return broker->keep.log.size ? broker->keep.batch : broker->keep.batch - 1;
}

bool fl_broker_log_lost(const struct fl_broker *broker)
{
    return broker->keep.lost || broker->keep.healed == UINT64_MAX;
}

/* --- checkpoints --- */

void fl_broker_checkpoint(struct fl_broker *broker)
{
    struct fl_broker_keep *keep = &broker->keep;

    keep->period++;
    if (keep->lost)
        keep->healed = UINT64_MAX;
    keep->lost = false;
    keep->walk.at = FL_BROKER_SESSIONS;
    keep->walk.bucket = 0;
}

static void walk_queue(struct fl_broker *broker, struct fl_slice key,
                       const struct fl_broker_queue *waiting)
{
    for (uint32_t i = 0; i < waiting->count; i++) {
        const struct fl_broker_entry *entry = fl_broker_entry_at(waiting, i);
        fl_broker_keep_transit_again(broker, entry->seq, key, FL_KEEP_LIES, entry->message);
    }
}

static void walk_lent(struct fl_broker *broker, const struct fl_broker_queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++) {
        const struct fl_broker_entry *entry = fl_broker_entry_at(queue, i);
        if (entry->lent && entry->message)
            fl_broker_keep_transit_again(broker, entry->number, key_of(entry->share), FL_KEEP_LIES,
                                         entry->message);
    }
}

static bool walk_session(struct fl_broker *broker, size_t bucket)
{
    if (bucket >= broker->sessions.bucket_count)
        return false;
    for (struct fl_map_node *node = fl_map_in_bucket(&broker->sessions, bucket); node;
         node = fl_map_beside(node)) {
        struct fl_broker_session *session = fl_container_of(node, struct fl_broker_session, by_key);
        if (session->log_id)
            fl_broker_keep_whole(broker, session);
        walk_lent(broker, &session->window);
        walk_lent(broker, &session->waiting);
        if (session->testament)
            put_testament(broker, session);
    }
    return true;
}

static bool walk_share(struct fl_broker *broker, size_t bucket)
{
    if (bucket >= broker->shares.bucket_count)
        return false;
    for (struct fl_map_node *node = fl_map_in_bucket(&broker->shares, bucket); node;
         node = fl_map_beside(node)) {
        const struct fl_broker_share *share = fl_container_of(node, struct fl_broker_share, by_key);
        walk_queue(broker, key_of(share), &share->waiting);
    }
    return true;
}

static bool walk_turns(struct fl_broker *broker, size_t bucket)
{
    const struct fl_map *interests = broker->remote ? &broker->remote->interests : NULL;

    if (bucket == 0 && broker->remote)
        fl_broker_remote_walk(broker);
    if (!interests || bucket >= interests->bucket_count)
        return false;
    for (struct fl_map_node *node = fl_map_in_bucket(interests, bucket); node;
         node = fl_map_beside(node)) {
        const struct fl_broker_interest *interest =
            fl_container_of(node, struct fl_broker_interest, by_name);
        if (interest->turns)
            walk_queue(broker, fl_broker_message_topic(interest->name), &interest->turns->waiting);
    }
    return true;
}

/* The store is one for all: the first broker writes it. */
static bool walk_retained(struct fl_broker *broker, size_t bucket)
{
    return broker->host.index == 0 && fl_broker_group_walk(broker, bucket == 0);
}

/* Buckets only ever double: going on at the same place after that, each node is still met, some
 * twice, which is harmless. What came since the beginning is in the log anyway. */
bool fl_broker_checkpoint_step(struct fl_broker *broker, size_t bytes)
{
    static bool (*const walks[])(struct fl_broker * broker, size_t bucket) = {
        [FL_BROKER_SESSIONS] = walk_session,
        [FL_BROKER_SHARES] = walk_share,
        [FL_BROKER_TURNS] = walk_turns,
        [FL_BROKER_RETAINEDS] = walk_retained,
    };
    struct fl_broker_keep *keep = &broker->keep;
    size_t until = keep->log.size + bytes;

    while (keep->walk.at != FL_BROKER_NO_WALK && keep->log.size < until) {
        if (walks[keep->walk.at](broker, keep->walk.bucket++))
            continue;
        keep->walk.bucket = 0;
        keep->walk.at =
            keep->walk.at == FL_BROKER_RETAINEDS ? FL_BROKER_NO_WALK : keep->walk.at + 1;
    }
    if (keep->walk.at == FL_BROKER_NO_WALK && keep->healed == UINT64_MAX)
        keep->healed = keep->batch;
    return keep->walk.at == FL_BROKER_NO_WALK;
}
