/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of a broker that is one of a group: what the others want (broker_remote.c) and the
 * homes of shares (broker_turns.c). Everything here belongs to one broker and its thread; only
 * messages and names are seen by several.
 */
#ifndef FL_SERVICE_BROKER_REMOTE_H
#define FL_SERVICE_BROKER_REMOTE_H

#include "service/broker_internal.h"

/* A filter, or "$share/name/filter", that somebody in the group has subscribed to. */
struct fl_broker_interest {
    struct fl_map_node by_name;
    struct fl_topic_entry in_index; /* while others have it; of a share while anybody has */
    struct fl_broker_interest *next_dirty;
    struct fl_list in_matched;
    struct fl_broker_message *name; /* its topic is the filter; the others have it too */
    uint64_t others;                /* brokers that have it, one bit each */
    uint64_t told;                  /* brokers that think that we have it */
    uint32_t locals;                /* subscriptions here */
    uint64_t ticket;                /* of what was last said about it */
    struct fl_broker_turns *turns;  /* this is the home of the share */
    uint32_t members;               /* of the share, here, */
    uint32_t online;                /* and of those */
    bool is_share;
    bool dirty;     /* something is to be said at the end of the round */
    bool state_due; /* its home does not know `members` and `online` */
    uint8_t home;
};

struct fl_broker_members {
    uint32_t members;
    uint32_t online;
};

/* A share at its home: whose turn it is. */
struct fl_broker_turns {
    uint64_t members;
    uint64_t online;
    uint64_t turn;
    uint64_t call; /* brokers that are to give back what lies with absent members */
    struct fl_broker_queue waiting;
    size_t waiting_bytes;
    struct fl_broker_members at[];
};

struct fl_broker_peer {
    uint64_t sent;  /* the last ticket that wanted an answer */
    uint64_t taken; /* the last ticket that it answered */
    uint64_t heard; /* its last ticket that wants an answer */
    bool owed;      /* and was not looked at yet */
    /* With a log: what it said up to a ticket is kept once a batch is committed. */
    uint64_t held_ticket;
    uint64_t held_batch;
    uint64_t next_ticket;
    uint64_t next_batch;
    uint64_t say;     /* the ticket to be answered now; 0: none */
    uint64_t arrived; /* the last number of a message in transit from it */
};

/* What waits until the others have taken everything up to `ticket`. */
struct fl_broker_waiter {
    uint64_t ticket;
    uint64_t token; /* of a connection; with a message its number in the log */
    bool subscribe;
    uint8_t to;                        /* with a message: the broker */
    struct fl_broker_message *message; /* in transit */
    struct fl_broker_message *name;    /* of the share it is for, or NULL */
};

struct fl_broker_answer {
    uint16_t packet_id;
    size_t count;
    size_t filters_size;
    uint8_t reasons[FL_LIMIT_MQTT_SUBSCRIPTIONS];
    bool send[FL_LIMIT_MQTT_SUBSCRIPTIONS];
    uint8_t filters[];
};

struct fl_broker_remote {
    unsigned self;
    unsigned count;
    uint64_t ticket; /* of the last note */
    struct fl_map interests;
    struct fl_topic_index index;
    struct fl_broker_interest *dirty;
    /* Of what is being routed: */
    struct fl_list matched;   /* shares */
    uint64_t matched_by;      /* other brokers */
    uint64_t crossed;         /* ticket of the publish, when its acknowledgement must wait; or 0 */
    uint64_t denied;          /* brokers none of whose members may have it */
    uint64_t all;             /* brokers that get everything: no memory for what they wanted */
    struct fl_buffer waiters; /* struct fl_broker_waiter; first come, first served */
    struct fl_broker_peer peers[];
};

/* broker_remote.c */
FL_MUST_USE bool fl_broker_remote_create(struct fl_broker *broker, struct fl_broker_group *group,
                                         unsigned index);
void fl_broker_remote_free(struct fl_broker *broker);
/* A subscription to the filter begins and ends. FL_ENOMEM. */
FL_MUST_USE enum fl_error fl_broker_remote_enter(struct fl_broker *broker, struct fl_slice filter);
void fl_broker_remote_exit(struct fl_broker *broker, struct fl_slice filter);
/* Who else gets a publish on this topic; true if anybody. Then either send or forget follows. */
bool fl_broker_remote_match(struct fl_broker *broker, struct fl_slice topic);
void fl_broker_remote_send(struct fl_broker *broker, struct fl_broker_message *message,
                           fl_time_t now);
void fl_broker_remote_forget(struct fl_broker *broker);
/* The receipt of the publish that was just routed, or (not `is_new`) was routed before, waits until
 * the others have it. */
void fl_broker_remote_hold(struct fl_broker_conn *conn, uint16_t sequence, bool is_new);
/* True: SUBACK waits until the others know the filters, and fl_broker_subscribed comes then. */
bool fl_broker_remote_hold_answer(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                                  const uint8_t *reasons, const bool *send, size_t count,
                                  fl_time_t now);
/* The message of the note is in transit until the note is answered. */
void fl_broker_remote_await(struct fl_broker *broker, unsigned to,
                            const struct fl_broker_note *note);
/* Gives away what was in transit when the last process ended. */
void fl_broker_remote_resume(struct fl_broker *broker, struct fl_slice key, unsigned to,
                             uint64_t number, struct fl_broker_message *message, fl_time_t now);
/* For a checkpoint: writes down what waits so. */
void fl_broker_remote_walk(struct fl_broker *broker);
/* The rest is for broker_turns.c and broker_group.c. */
struct fl_broker_interest *fl_broker_interest_find(const struct fl_broker *broker,
                                                   struct fl_slice filter);
void fl_broker_interest_touch(struct fl_broker *broker, struct fl_broker_interest *interest);
/* Takes references of its own. False: there was no room; never with `must`. */
bool fl_broker_remote_post(struct fl_broker *broker, unsigned to, const struct fl_broker_note *note,
                           bool must);

/* broker_turns.c */
/* How many members the share has here, and how many of them are online, may have changed. */
void fl_broker_remote_share(struct fl_broker *broker, const struct fl_broker_share *share,
                            fl_time_t now);
/* Nobody here can have it (now). */
void fl_broker_remote_back(struct fl_broker *broker, const struct fl_broker_share *share,
                           struct fl_broker_message *message, fl_time_t now);
void fl_broker_turns_resume(struct fl_broker *broker, struct fl_broker_interest *interest,
                            struct fl_broker_message *message, fl_time_t now);
void fl_broker_turns_free(struct fl_broker *broker, struct fl_broker_turns *turns);
/* At the home: to a member, wherever. */
void fl_broker_turns_deliver(struct fl_broker *broker, struct fl_broker_interest *interest,
                             struct fl_broker_message *message, uint64_t denied, fl_time_t now);
void fl_broker_turns_state(struct fl_broker *broker, struct fl_broker_interest *interest,
                           unsigned at, struct fl_broker_members now_there, fl_time_t now);
/* At a broker with members: what its home says. */
void fl_broker_turns_take(struct fl_broker *broker, struct fl_slice name,
                          struct fl_broker_message *message, uint64_t denied, fl_time_t now);
void fl_broker_turns_call(struct fl_broker *broker, struct fl_slice name, fl_time_t now);
/* Says what is due about a share. False: there was no room for all of it. */
bool fl_broker_turns_say(struct fl_broker *broker, struct fl_broker_interest *interest,
                         fl_time_t now);

#endif
