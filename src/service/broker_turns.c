/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared subscriptions whose members are at several brokers. Each share has a home, which every
 * broker computes alike; who routes a publish sends it there. The home gives each broker as many
 * turns as it has members online, and that broker gives it to the member whose turn it is
 * (broker_share.c). Exactly one broker has a message at any time: what nobody there can have goes
 * back to the home and on to the next, and when nobody is online anywhere it waits at the home.
 *
 * Brokers tell the home how many members they have and how many are online. Notes of one broker
 * come in their order, and it says what has changed before it gives anything back, so the home
 * never offers it the same again for what it knew before.
 */
#include "service/broker_remote.h"

#include <stdlib.h>

static uint64_t bit(unsigned broker)
{
    return (uint64_t)1 << broker;
}

static struct fl_broker_share *share_named(const struct fl_broker *broker, struct fl_slice name)
{
    struct fl_map_node *node = fl_map_find(&broker->shares, name);

    return node ? fl_container_of(node, struct fl_broker_share, by_key) : NULL;
}

/* --- at the home --- */

void fl_broker_turns_free(struct fl_broker *broker, struct fl_broker_turns *turns)
{
    if (!turns)
        return;
    broker->counts.dropped += turns->waiting.count;
    fl_broker_queue_free(&turns->waiting);
    free(turns);
}

/* Until a member comes online. */
static void hold(struct fl_broker *broker, struct fl_broker_turns *turns, struct fl_slice key,
                 struct fl_broker_message *message)
{
    struct fl_broker_entry entry = {.message = message, .qos = message->qos};
    size_t bytes = fl_broker_entry_cost(&entry);

    if (message->qos == 0)
        return;
    if (turns->members == 0 || turns->waiting.count >= FL_LIMIT_MQTT_QUEUE ||
        turns->waiting_bytes + bytes > FL_LIMIT_MQTT_QUEUE_BYTES ||
        !fl_broker_queue_push(&turns->waiting, &entry)) {
        broker->counts.dropped++;
        return;
    }
    (void)fl_broker_message_ref(message);
    turns->waiting_bytes += bytes;
    fl_broker_entry_at(&turns->waiting, turns->waiting.count - 1)->seq =
        fl_broker_keep_transit(broker, key, FL_KEEP_LIES, message);
}

/* To another broker. With a log it is in transit until that one has written down what came of it.
 */
static void pass(struct fl_broker *broker, unsigned to, struct fl_broker_note *note)
{
    note->number =
        fl_broker_keep_transit(broker, fl_broker_message_topic(note->name), to, note->message);
    if (note->number) {
        note->ticket = ++broker->remote->ticket;
        note->answer = true;
    }
    if (!fl_broker_remote_post(broker, to, note, note->message->qos > 0))
        broker->counts.dropped++;
    else if (note->number)
        fl_broker_remote_await(broker, to, note);
}

/* The broker whose turn it is, or -1. */
static int pick(const struct fl_broker *broker, struct fl_broker_turns *turns, uint64_t denied)
{
    uint64_t online = 0;
    uint64_t turn = 0;

    for (unsigned i = 0; i < broker->remote->count; i++)
        online += denied & bit(i) ? 0 : turns->at[i].online;
    if (online == 0)
        return -1;
    turn = turns->turn++ % online;
    for (unsigned i = 0; i < broker->remote->count; i++) {
        if (denied & bit(i))
            continue;
        if (turn < turns->at[i].online)
            return (int)i;
        turn -= turns->at[i].online;
    }
    return -1;
}

void fl_broker_turns_deliver(struct fl_broker *broker, struct fl_broker_interest *interest,
                             struct fl_broker_message *message, uint64_t denied, fl_time_t now)
{
    struct fl_broker_turns *turns = interest->turns;
    struct fl_broker_note note = {
        .kind = FL_BROKER_NOTE_TURN, .message = message, .name = interest->name, .denied = denied};
    int at = turns ? pick(broker, turns, denied) : -1;

    if (!turns) {
        broker->counts.dropped++; /* it has no members any more */
        return;
    }
    if (at < 0 && turns->online) {
        broker->counts.refused++; /* none of those who are there may have it */
    } else if (at < 0) {
        hold(broker, turns, fl_broker_message_topic(interest->name), message);
    } else if ((unsigned)at == broker->remote->self) {
        fl_broker_turns_take(broker, fl_broker_message_topic(interest->name), message, denied, now);
    } else {
        pass(broker, (unsigned)at, &note);
    }
}

static void deliver_waiting(struct fl_broker *broker, struct fl_broker_interest *interest,
                            fl_time_t now)
{
    struct fl_broker_queue waiting = interest->turns->waiting;

    interest->turns->waiting = (struct fl_broker_queue){0};
    interest->turns->waiting_bytes = 0;
    while (waiting.count) {
        struct fl_broker_entry *entry = fl_broker_entry_at(&waiting, 0);
        fl_broker_keep_arrived(broker, entry->seq, FL_KEEP_LIES);
        fl_broker_turns_deliver(broker, interest, entry->message, 0, now);
        fl_broker_entry_free(entry);
        fl_broker_queue_drop_first(&waiting);
    }
}

void fl_broker_turns_state(struct fl_broker *broker, struct fl_broker_interest *interest,
                           unsigned at, struct fl_broker_members now_there, fl_time_t now)
{
    struct fl_broker_turns *turns = interest->turns;
    struct fl_broker_members before = {0};

    if (!turns && now_there.members) {
        turns = calloc(1, sizeof *turns + broker->remote->count * sizeof turns->at[0]);
        interest->turns = turns;
    }
    if (!turns)
        return;
    before = turns->at[at];
    turns->members += (uint64_t)now_there.members - before.members;
    turns->online += (uint64_t)now_there.online - before.online;
    turns->at[at] = now_there;
    if (turns->members == 0) {
        interest->turns = NULL;
        fl_broker_turns_free(broker, turns);
        return;
    }
    for (unsigned i = 0; i < broker->remote->count && turns->online; i++)
        if (turns->at[i].members > turns->at[i].online)
            turns->call |= bit(i);
    if (turns->call)
        fl_broker_interest_touch(broker, interest);
    if (now_there.online > before.online)
        deliver_waiting(broker, interest, now);
}

/* --- where members are --- */

static bool say_state(struct fl_broker *broker, struct fl_broker_interest *interest, bool must,
                      fl_time_t now)
{
    struct fl_broker_members here = {interest->members, interest->online};
    struct fl_broker_note note = {.kind = FL_BROKER_NOTE_STATE,
                                  .name = interest->name,
                                  .members = here.members,
                                  .online = here.online,
                                  .answer = true};

    if (!interest->state_due)
        return true;
    if (interest->home == broker->remote->self) {
        interest->state_due = false;
        fl_broker_turns_state(broker, interest, broker->remote->self, here, now);
        return true;
    }
    note.ticket = ++broker->remote->ticket;
    if (!fl_broker_remote_post(broker, interest->home, &note, must))
        return false;
    interest->ticket = note.ticket;
    interest->state_due = false;
    return true;
}

void fl_broker_turns_take(struct fl_broker *broker, struct fl_slice name,
                          struct fl_broker_message *message, uint64_t denied, fl_time_t now)
{
    struct fl_broker_share *share = share_named(broker, name);
    uint64_t before = broker->remote->denied;
    struct fl_broker_interest *interest = NULL;
    struct fl_broker_note note = {
        .kind = FL_BROKER_NOTE_BACK, .message = message, .denied = denied};

    if (share) {
        broker->remote->denied = denied;
        fl_broker_share_deliver(broker, share, message, now);
        broker->remote->denied = before;
        return;
    }
    interest = fl_broker_interest_find(broker, name);
    if (!interest || interest->home == broker->remote->self) {
        broker->counts.dropped++; /* the last member has gone, everywhere */
        return;
    }
    (void)say_state(broker, interest, true, now);
    note.name = interest->name;
    pass(broker, interest->home, &note);
}

void fl_broker_remote_share(struct fl_broker *broker, const struct fl_broker_share *share,
                            fl_time_t now)
{
    struct fl_broker_interest *interest =
        fl_broker_interest_find(broker, fl_slice(share->key, share->key_size));
    bool more = false;

    if (!interest ||
        (interest->members == share->members && interest->online == share->online_count))
        return;
    more = share->online_count > interest->online;
    interest->members = share->members;
    interest->online = share->online_count;
    interest->state_due = true;
    /* Who comes has asked for it, and may be told by SUBACK that it is so. Many may go at once. */
    if (more || interest->home == broker->remote->self)
        (void)say_state(broker, interest, true, now);
    else
        fl_broker_interest_touch(broker, interest);
}

void fl_broker_remote_back(struct fl_broker *broker, const struct fl_broker_share *share,
                           struct fl_broker_message *message, fl_time_t now)
{
    struct fl_broker_interest *interest =
        fl_broker_interest_find(broker, fl_slice(share->key, share->key_size));
    struct fl_broker_note note = {
        .kind = FL_BROKER_NOTE_BACK, .message = message, .denied = broker->remote->denied};

    if (!fl_list_empty(&share->online))
        note.denied |= bit(broker->remote->self);
    if (!interest) {
        broker->counts.dropped++;
        return;
    }
    if (interest->home == broker->remote->self) {
        fl_broker_turns_deliver(broker, interest, message, note.denied, now);
        return;
    }
    (void)say_state(broker, interest, true, now);
    note.name = interest->name;
    pass(broker, interest->home, &note);
}

void fl_broker_turns_call(struct fl_broker *broker, struct fl_slice name, fl_time_t now)
{
    struct fl_broker_share *share = share_named(broker, name);

    if (!share)
        return;
    share->elsewhere = true;
    fl_broker_share_reclaim(broker, share, now);
    share->elsewhere = false;
}

bool fl_broker_turns_say(struct fl_broker *broker, struct fl_broker_interest *interest,
                         fl_time_t now)
{
    const struct fl_broker_note call = {.kind = FL_BROKER_NOTE_CALL, .name = interest->name};
    bool all = say_state(broker, interest, false, now);

    for (unsigned i = 0; interest->turns && i < broker->remote->count; i++) {
        if (!(interest->turns->call & bit(i)))
            continue;
        if (i == broker->remote->self) {
            interest->turns->call &= ~bit(i);
            fl_broker_turns_call(broker, fl_broker_message_topic(interest->name), now);
        } else if (fl_broker_remote_post(broker, i, &call, false)) {
            interest->turns->call &= ~bit(i);
        } else {
            all = false;
        }
    }
    return all;
}

void fl_broker_turns_resume(struct fl_broker *broker, struct fl_broker_interest *interest,
                            struct fl_broker_message *message, fl_time_t now)
{
    struct fl_broker_note note = {
        .kind = FL_BROKER_NOTE_SHARE, .message = message, .name = interest->name};

    if (interest->home == broker->remote->self)
        fl_broker_turns_deliver(broker, interest, message, 0, now);
    else
        pass(broker, interest->home, &note);
}
