/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker that is one of several: what the others want, what it tells them, and what must wait for
 * their answer.
 *
 * The first subscription to a filter here is told to all others, who then send each matching
 * publish here once; the last one gone is told when there is room for it. Notes are numbered;
 * TAKEN says up to which number the other has done everything. An acknowledgement of a publish that
 * crossed, or SUBACK of a filter that was just told, waits until nobody is behind its number.
 */
#include "service/broker_remote.h"

#include "base/assert.h"

#include <stdlib.h>

static uint64_t bit(unsigned broker)
{
    return (uint64_t)1 << broker;
}

static uint64_t everybody_else(const struct fl_broker_remote *remote)
{
    uint64_t all = remote->count == 64 ? UINT64_MAX : bit(remote->count) - 1;

    return all & ~bit(remote->self);
}

/* --- notes --- */

bool fl_broker_remote_post(struct fl_broker *broker, unsigned to, const struct fl_broker_note *note,
                           bool must)
{
    if (note->message) {
        fl_broker_message_cross(note->message);
        (void)fl_broker_message_ref(note->message);
    }
    if (note->name)
        (void)fl_broker_message_ref(note->name);
    if (!broker->host.post(broker->host.self, to, note, must)) {
        fl_assert(!must);
        fl_broker_note_free(note);
        return false;
    }
    if (note->answer)
        broker->remote->peers[to].sent = note->ticket;
    return true;
}

void fl_broker_note_free(const struct fl_broker_note *note)
{
    fl_broker_message_unref(note->message);
    fl_broker_message_unref(note->name);
}

/* --- interests --- */

struct fl_broker_interest *fl_broker_interest_find(const struct fl_broker *broker,
                                                   struct fl_slice filter)
{
    struct fl_map_node *node = fl_map_find(&broker->remote->interests, filter);

    return node ? fl_container_of(node, struct fl_broker_interest, by_name) : NULL;
}

void fl_broker_interest_touch(struct fl_broker *broker, struct fl_broker_interest *interest)
{
    if (interest->dirty)
        return;
    interest->dirty = true;
    interest->next_dirty = broker->remote->dirty;
    broker->remote->dirty = interest;
}

/* Takes over a reference of `name`, also when it fails. */
static struct fl_broker_interest *interest_new(struct fl_broker *broker,
                                               struct fl_broker_message *name)
{
    struct fl_broker_interest *interest = name ? calloc(1, sizeof *interest) : NULL;
    struct fl_slice inner = {0};

    if (!interest)
        goto fail;
    fl_list_init(&interest->in_matched);
    interest->name = name;
    interest->is_share = fl_mqtt_share_filter(fl_broker_message_topic(name), &inner);
    if (fl_map_add(&broker->remote->interests, &interest->by_name, fl_broker_message_topic(name)) !=
        FL_OK)
        goto fail;
    /* Not the bits that choose its bucket. */
    interest->home = (uint8_t)((interest->by_name.link.hash >> 40) % broker->remote->count);
    return interest;
fail:
    free(interest);
    fl_broker_message_unref(name);
    return NULL;
}

static void interest_free(struct fl_broker *broker, struct fl_broker_interest *interest)
{
    fl_broker_turns_free(broker, interest->turns);
    fl_topic_index_remove(&broker->remote->index, &interest->in_index);
    fl_list_remove(&interest->in_matched);
    fl_map_remove(&broker->remote->interests, &interest->by_name);
    fl_broker_message_unref(interest->name);
    free(interest);
}

static void interest_release(struct fl_broker *broker, struct fl_broker_interest *interest)
{
    if (!interest->locals && !interest->others && !interest->told && !interest->state_due &&
        !interest->turns && !interest->dirty)
        interest_free(broker, interest);
}

/* In the index when a publish here has to leave by it, or be given to a share. */
static enum fl_error place(struct fl_broker *broker, struct fl_broker_interest *interest)
{
    struct fl_slice filter = fl_broker_message_topic(interest->name);
    bool wanted = interest->others || (interest->is_share && interest->locals);

    if (!wanted)
        fl_topic_index_remove(&broker->remote->index, &interest->in_index);
    if (!wanted || interest->in_index.node)
        return FL_OK;
    if (interest->is_share && !fl_mqtt_share_filter(filter, &filter))
        return FL_EINVAL;
    return fl_topic_index_add(&broker->remote->index, filter, &interest->in_index);
}

enum fl_error fl_broker_remote_enter(struct fl_broker *broker, struct fl_slice filter)
{
    struct fl_broker_remote *remote = broker->remote;
    struct fl_broker_interest *interest = fl_broker_interest_find(broker, filter);
    const struct fl_broker_input name = {.topic = filter, .expires = FL_TIME_NEVER};
    struct fl_broker_note note = {.kind = FL_BROKER_NOTE_WANT, .answer = true};

    if (!interest) {
        struct fl_broker_message *text = fl_broker_message_new(broker, &name);
        if (text)
            fl_broker_message_cross(text);
        interest = interest_new(broker, text);
    }
    if (!interest)
        return FL_ENOMEM;
    interest->locals++;
    if (place(broker, interest) != FL_OK) {
        interest->locals--;
        interest_release(broker, interest);
        return FL_ENOMEM;
    }
    if (interest->told == everybody_else(remote))
        return FL_OK;
    note.name = interest->name;
    note.ticket = ++remote->ticket;
    interest->ticket = note.ticket;
    for (unsigned i = 0; i < remote->count; i++)
        if (everybody_else(remote) & ~interest->told & bit(i))
            (void)fl_broker_remote_post(broker, i, &note, true);
    interest->told = everybody_else(remote);
    return FL_OK;
}

void fl_broker_remote_exit(struct fl_broker *broker, struct fl_slice filter)
{
    struct fl_broker_interest *interest = fl_broker_interest_find(broker, filter);

    fl_assert(interest && interest->locals);
    if (--interest->locals)
        return;
    (void)place(broker, interest);
    fl_broker_interest_touch(broker, interest);
}

/* False: there was no room. */
static bool say_gone(struct fl_broker *broker, struct fl_broker_interest *interest)
{
    struct fl_broker_remote *remote = broker->remote;
    const struct fl_broker_note note = {.kind = FL_BROKER_NOTE_GONE, .name = interest->name};

    if (interest->locals)
        return true;
    for (unsigned i = 0; i < remote->count; i++)
        if (interest->told & bit(i) && fl_broker_remote_post(broker, i, &note, false))
            interest->told &= ~bit(i);
    return interest->told == 0;
}

/* What was heard is answered once what came of it is on stable storage: `last` is the batch that
 * holds it. After a batch that failed, only a checkpoint puts it there. */
static void look_at_log(const struct fl_broker_keep *keep, uint64_t last,
                        struct fl_broker_peer *peer)
{
    bool is_whole = !keep->lost && !keep->healed;

    if (peer->owed && !peer->held_batch) {
        peer->held_ticket = peer->heard;
        peer->held_batch = last + 1; /* 0 would be none */
        peer->owed = false;
    } else if (peer->owed) {
        peer->next_ticket = peer->heard;
        peer->next_batch = last + 1;
        peer->owed = false;
    }
    if (!is_whole || !peer->held_batch || peer->held_batch - 1 > keep->committed)
        return;
    peer->say = peer->held_ticket;
    peer->held_ticket = peer->next_ticket;
    peer->held_batch = peer->next_batch;
    peer->next_batch = 0;
    if (peer->held_batch && peer->held_batch - 1 <= keep->committed) {
        peer->say = peer->held_ticket;
        peer->held_batch = 0;
    }
}

void fl_broker_round(struct fl_broker *broker, bool busy, fl_time_t now)
{
    struct fl_broker_remote *remote = broker->remote;

    fl_broker_enter(broker);
    while (remote->dirty) {
        struct fl_broker_interest *interest = remote->dirty;
        remote->dirty = interest->next_dirty;
        interest->dirty = false;
        if (!fl_broker_turns_say(broker, interest, now) || !say_gone(broker, interest)) {
            fl_broker_interest_touch(broker, interest);
            break;
        }
        interest_release(broker, interest);
    }
    for (unsigned i = 0; i < remote->count; i++)
        look_at_log(&broker->keep, fl_broker_keep_last(broker), &remote->peers[i]);
    for (unsigned i = 0; i < remote->count && !busy; i++) {
        const struct fl_broker_note taken = {.kind = FL_BROKER_NOTE_TAKEN,
                                             .ticket = remote->peers[i].say};
        if (remote->peers[i].say && fl_broker_remote_post(broker, i, &taken, false))
            remote->peers[i].say = 0;
    }
    fl_broker_leave(broker);
}

/* --- what others say --- */

static void on_publish(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                       fl_time_t now)
{
    (void)from;
    fl_broker_route_here(broker, note->message, 0, now);
}

static void on_transit(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                       fl_time_t now)
{
    (void)from;
    fl_broker_route_here(broker, note->message, note->denied, now);
}

static void on_want(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                    fl_time_t now)
{
    struct fl_broker_interest *interest =
        fl_broker_interest_find(broker, fl_broker_message_topic(note->name));

    (void)now;
    if (!interest)
        interest = interest_new(broker, fl_broker_message_ref(note->name));
    if (interest)
        interest->others |= bit(from);
    if (interest && place(broker, interest) == FL_OK)
        return;
    /* Better too much than too little; of a share there is no such way. */
    broker->remote->all |= bit(from);
}

static void on_gone(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                    fl_time_t now)
{
    struct fl_broker_interest *interest =
        fl_broker_interest_find(broker, fl_broker_message_topic(note->name));

    if (!interest)
        return;
    interest->others &= ~bit(from);
    (void)place(broker, interest);
    if (interest->turns)
        fl_broker_turns_state(broker, interest, from, (struct fl_broker_members){0}, now);
    interest_release(broker, interest);
}

static void on_share(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                     fl_time_t now)
{
    struct fl_broker_interest *interest =
        fl_broker_interest_find(broker, fl_broker_message_topic(note->name));

    (void)from;
    if (interest)
        fl_broker_turns_deliver(broker, interest, note->message, note->denied, now);
    else
        broker->counts.dropped++;
}

static void on_turn(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                    fl_time_t now)
{
    (void)from;
    fl_broker_turns_take(broker, fl_broker_message_topic(note->name), note->message, note->denied,
                         now);
}

static void on_state(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                     fl_time_t now)
{
    struct fl_broker_interest *interest =
        fl_broker_interest_find(broker, fl_broker_message_topic(note->name));

    if (interest)
        fl_broker_turns_state(broker, interest, from,
                              (struct fl_broker_members){note->members, note->online}, now);
}

static void on_call(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                    fl_time_t now)
{
    (void)from;
    fl_broker_turns_call(broker, fl_broker_message_topic(note->name), now);
}

static void on_expiry(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                      fl_time_t now)
{
    (void)broker; /* whoever hears it asks for the next timeout anew */
    (void)from;
    (void)note;
    (void)now;
}

/* --- waiting for the others --- */

static bool is_taken(const struct fl_broker_remote *remote, uint64_t ticket)
{
    for (unsigned i = 0; i < remote->count; i++)
        if (remote->peers[i].taken < ticket && remote->peers[i].taken != remote->peers[i].sent)
            return false;
    return true;
}

static bool wait_for(struct fl_broker_remote *remote, struct fl_broker_waiter waiter)
{
    enum fl_error error = fl_buffer_append(&remote->waiters, &waiter, sizeof waiter);

    remote->waiters.failed = false;
    return error == FL_OK;
}

static size_t waiter_count(const struct fl_broker_remote *remote)
{
    return remote->waiters.size / sizeof(struct fl_broker_waiter);
}

static struct fl_broker_waiter waiter_at(const struct fl_broker_remote *remote, size_t index)
{
    struct fl_broker_waiter waiter;

    memcpy(&waiter, remote->waiters.data + remote->waiters.start + index * sizeof waiter,
           sizeof waiter);
    return waiter;
}

/* False: nobody's time has come. */
static bool next_waiter(struct fl_broker_remote *remote, struct fl_broker_waiter *waiter)
{
    if (waiter_count(remote) == 0)
        return false;
    *waiter = waiter_at(remote, 0);
    if (!is_taken(remote, waiter->ticket))
        return false;
    fl_buffer_consume(&remote->waiters, sizeof *waiter);
    return true;
}

static void answer_subscribe(struct fl_broker *broker, uint64_t token, fl_time_t now)
{
    struct fl_broker_conn *conn = fl_broker_conn_of(broker, token);
    struct fl_broker_answer *answer = conn ? conn->answer : NULL;
    struct fl_mqtt_packet packet = {.type = FL_MQTT_SUBSCRIBE};

    if (!answer)
        return;
    conn->answer = NULL;
    packet.as.subscribe.packet_id = answer->packet_id;
    packet.as.subscribe.filters = fl_slice(answer->filters, answer->filters_size);
    if (conn->session && conn->mqtt.phase == FL_MQTT_OPEN)
        fl_broker_subscribed(conn, &packet, answer->reasons, answer->send, answer->count, now);
    fl_broker_touch(conn);
    free(answer);
}

static void on_taken(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                     fl_time_t now)
{
    struct fl_broker_remote *remote = broker->remote;
    struct fl_broker_waiter waiter;

    remote->peers[from].taken = note->ticket;
    while (next_waiter(remote, &waiter)) {
        if (waiter.message) {
            fl_broker_message_unref(waiter.message);
            fl_broker_message_unref(waiter.name);
        } else if (waiter.subscribe) {
            answer_subscribe(broker, waiter.token, now);
        } else {
            fl_broker_settle(broker, waiter.token, 0, now);
        }
    }
}

void fl_broker_remote_await(struct fl_broker *broker, unsigned to,
                            const struct fl_broker_note *note)
{
    struct fl_broker_waiter waiter = {.ticket = note->ticket,
                                      .token = note->number,
                                      .to = (uint8_t)to,
                                      .message = fl_broker_message_ref(note->message)};

    if (note->name)
        waiter.name = fl_broker_message_ref(note->name);
    if (wait_for(broker->remote, waiter))
        return;
    /* Only a checkpoint meanwhile would need it. */
    fl_broker_message_unref(waiter.message);
    fl_broker_message_unref(waiter.name);
}

void fl_broker_remote_walk(struct fl_broker *broker)
{
    /* Who sent it may not have heard yet that it arrived, and writes down that it is in transit. */
    for (unsigned i = 0; i < broker->remote->count; i++)
        fl_broker_keep_arrived(broker, broker->remote->peers[i].arrived, broker->remote->self);
    for (size_t i = 0; i < waiter_count(broker->remote); i++) {
        const struct fl_broker_waiter waiter = waiter_at(broker->remote, i);
        struct fl_slice key =
            waiter.name ? fl_broker_message_topic(waiter.name) : fl_slice(NULL, 0);
        if (waiter.message)
            fl_broker_keep_transit_again(broker, waiter.token, key, waiter.to, waiter.message);
    }
}

void fl_broker_remote_resume(struct fl_broker *broker, struct fl_slice key, unsigned to,
                             uint64_t number, struct fl_broker_message *message, fl_time_t now)
{
    struct fl_broker_interest *interest = key.size ? fl_broker_interest_find(broker, key) : NULL;
    struct fl_broker_note note = {.kind = FL_BROKER_NOTE_TRANSIT, .message = message};

    if (key.size) {
        /* The share may have another home now: it begins its way anew. */
        fl_broker_keep_arrived(broker, number, FL_KEEP_LIES);
        if (interest)
            fl_broker_turns_resume(broker, interest, message, now);
        return;
    }
    /* Sessions may have another home now; that it arrived is noted where most of them are. */
    note.denied = bit(to);
    for (unsigned i = 0; i < broker->remote->count; i++) {
        note.number = to % broker->remote->count == i ? number : 0;
        if (i != broker->remote->self) {
            (void)fl_broker_remote_post(broker, i, &note, true);
            continue;
        }
        fl_broker_route_here(broker, message, note.denied, now);
        fl_broker_keep_arrived(broker, note.number, to);
    }
}

void fl_broker_remote_hold(struct fl_broker_conn *conn, uint16_t sequence, bool is_new)
{
    struct fl_broker_remote *remote = conn->broker->remote;
    struct fl_broker_waiter waiter = {.ticket = is_new ? remote->crossed : remote->ticket,
                                      .token = fl_broker_token(conn, sequence)};

    if (waiter.ticket == 0 || is_taken(remote, waiter.ticket) ||
        !fl_mqtt_session_receipt(&conn->mqtt, sequence))
        return;
    if (wait_for(remote, waiter))
        fl_mqtt_session_hold(&conn->mqtt, sequence);
    else /* without an answer it comes again */
        fl_broker_end(conn, FL_MQTT_SERVER_BUSY, "out of memory");
}

bool fl_broker_remote_hold_answer(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                                  const uint8_t *reasons, const bool *send, size_t count,
                                  fl_time_t now)
{
    struct fl_broker *broker = conn->broker;
    struct fl_broker_waiter waiter = {.token = fl_broker_token(conn, 0), .subscribe = true};
    struct fl_slice all = packet->as.subscribe.filters;
    struct fl_slice left = all;
    struct fl_mqtt_filter filter = {0};
    struct fl_broker_answer *answer = NULL;

    /* First, so that the home of a share counts the member before SUBACK. */
    fl_broker_session_arrive(broker, conn->session, now);
    while (fl_mqtt_next_filter(&left, FL_MQTT_SUBSCRIBE, &filter)) {
        const struct fl_broker_interest *interest = fl_broker_interest_find(broker, filter.filter);
        if (interest && interest->ticket > waiter.ticket)
            waiter.ticket = interest->ticket;
    }
    if (is_taken(broker->remote, waiter.ticket))
        return false;
    answer = calloc(1, sizeof *answer + all.size);
    if (!answer || !wait_for(broker->remote, waiter)) {
        free(answer);
        fl_broker_end(conn, FL_MQTT_SERVER_BUSY, "out of memory");
        return true;
    }
    answer->packet_id = packet->as.subscribe.packet_id;
    answer->count = count;
    answer->filters_size = all.size;
    memcpy(answer->reasons, reasons, count);
    memcpy(answer->send, send, count * sizeof *send);
    memcpy(answer->filters, all.data, all.size);
    conn->answer = answer;
    return true;
}

/* --- a publish that is routed here --- */

static void collect(void *self, struct fl_topic_entry *entry)
{
    struct fl_broker_remote *remote = self;
    struct fl_broker_interest *interest =
        fl_container_of(entry, struct fl_broker_interest, in_index);

    if (interest->is_share)
        fl_list_push(&remote->matched, &interest->in_matched);
    else
        remote->matched_by |= interest->others;
}

bool fl_broker_remote_match(struct fl_broker *broker, struct fl_slice topic)
{
    struct fl_broker_remote *remote = broker->remote;

    remote->crossed = 0;
    remote->matched_by = remote->all;
    fl_topic_index_match(&remote->index, topic, collect, remote);
    return remote->matched_by || !fl_list_empty(&remote->matched);
}

void fl_broker_remote_forget(struct fl_broker *broker)
{
    struct fl_broker_remote *remote = broker->remote;

    FL_LIST_EACH(at, &remote->matched)
    fl_list_remove(at);
    broker->counts.dropped++;
}

/* QoS 1 comes again when this process ends before its acknowledgement. QoS 2 does not: that it was
 * received is written down here, so where it still has to go must be, too. */
static void post_publish(struct fl_broker *broker, unsigned to, struct fl_broker_note *note)
{
    struct fl_slice key = note->name ? fl_broker_message_topic(note->name) : fl_slice(NULL, 0);

    note->number =
        note->message->qos == 2 ? fl_broker_keep_transit(broker, key, to, note->message) : 0;
    if (!fl_broker_remote_post(broker, to, note, note->answer)) {
        broker->counts.dropped++;
        return;
    }
    if (note->number)
        fl_broker_remote_await(broker, to, note);
    if (note->answer)
        broker->remote->crossed = note->ticket;
}

static void send_share(struct fl_broker *broker, struct fl_broker_interest *interest,
                       struct fl_broker_note *note, fl_time_t now)
{
    if (interest->home == broker->remote->self) {
        fl_broker_turns_deliver(broker, interest, note->message, 0, now);
        return;
    }
    note->kind = FL_BROKER_NOTE_SHARE;
    note->name = interest->name;
    post_publish(broker, interest->home, note);
}

void fl_broker_remote_send(struct fl_broker *broker, struct fl_broker_message *message,
                           fl_time_t now)
{
    struct fl_broker_remote *remote = broker->remote;
    struct fl_broker_note note = {.kind = FL_BROKER_NOTE_PUBLISH,
                                  .message = message,
                                  .ticket = ++remote->ticket,
                                  .answer = message->qos > 0};

    for (unsigned i = 0; i < remote->count; i++) {
        if (remote->matched_by & bit(i))
            post_publish(broker, i, &note);
    }
    FL_LIST_EACH(at, &remote->matched)
    {
        fl_list_remove(at);
        send_share(broker, fl_container_of(at, struct fl_broker_interest, in_matched), &note, now);
    }
}

/* --- the module --- */

typedef void hear(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                  fl_time_t now);

static hear *const hearers[FL_BROKER_NOTE_KINDS] = {
    [FL_BROKER_NOTE_PUBLISH] = on_publish, [FL_BROKER_NOTE_WANT] = on_want,
    [FL_BROKER_NOTE_GONE] = on_gone,       [FL_BROKER_NOTE_SHARE] = on_share,
    [FL_BROKER_NOTE_TURN] = on_turn,       [FL_BROKER_NOTE_BACK] = on_share,
    [FL_BROKER_NOTE_STATE] = on_state,     [FL_BROKER_NOTE_CALL] = on_call,
    [FL_BROKER_NOTE_TAKEN] = on_taken,     [FL_BROKER_NOTE_EXPIRY] = on_expiry,
    [FL_BROKER_NOTE_TRANSIT] = on_transit,
};

void fl_broker_hear(struct fl_broker *broker, unsigned from, const struct fl_broker_note *note,
                    fl_time_t now)
{
    struct fl_broker_peer *peer = &broker->remote->peers[from];
    struct fl_broker_note own = *note;

    fl_broker_enter(broker);
    /* What may be queued and written down is better this broker's own; else its body is written
     * for each session. */
    if (broker->keep.on && note->message && note->message->qos)
        own.message = fl_broker_message_copy(broker, note->message);
    if (!own.message)
        own.message = note->message;
    hearers[note->kind](broker, from, &own, now);
    if (note->number) {
        peer->arrived = note->number;
        fl_broker_keep_arrived(broker, note->number, broker->remote->self);
    }
    if (own.message != note->message)
        fl_broker_message_unref(own.message);
    if (note->answer) {
        peer->heard = note->ticket;
        peer->owed = true;
    }
    fl_broker_note_free(note);
    fl_broker_leave(broker);
}

bool fl_broker_remote_create(struct fl_broker *broker, struct fl_broker_group *group,
                             unsigned index)
{
    unsigned count = fl_broker_group_count(group);
    struct fl_broker_remote *remote =
        calloc(1, sizeof *remote + count * sizeof(struct fl_broker_peer));

    fl_assert(index < count);
    if (!remote)
        return false;
    remote->self = index;
    remote->count = count;
    remote->waiters = FL_BUFFER((size_t)FL_LIMIT_CONNECTIONS * FL_LIMIT_MQTT_INFLIGHT *
                                sizeof(struct fl_broker_waiter));
    fl_list_init(&remote->matched);
    broker->remote = remote;
    broker->group = group;
    return fl_topic_index_init(&remote->index) == FL_OK;
}

void fl_broker_remote_free(struct fl_broker *broker)
{
    struct fl_broker_remote *remote = broker->remote;

    for (struct fl_map_node *node = fl_map_first(&remote->interests); node;
         node = fl_map_first(&remote->interests))
        interest_free(broker, fl_container_of(node, struct fl_broker_interest, by_name));
    if (remote->index.root)
        fl_topic_index_free(&remote->index);
    fl_map_free(&remote->interests);
    for (size_t i = 0; i < waiter_count(remote); i++) {
        const struct fl_broker_waiter waiter = waiter_at(remote, i);
        fl_broker_message_unref(waiter.message);
        fl_broker_message_unref(waiter.name);
    }
    fl_buffer_free(&remote->waiters);
    free(remote);
}
