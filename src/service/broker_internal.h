/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of the broker, shared by its files: broker.c (verbs, timers), broker_packets.c
 * (what a client says), broker_received.c (QoS 2 from a client), broker_deliver.c (windows and
 * queues to a client), broker_queue.c, broker_share.c (shared subscriptions), broker_session.c,
 * broker_message.c, broker_route.c (routing, retained). A message is one allocation that queues,
 * windows and the retained store share by reference; a session outlives its connection; a device
 * groups what one identity has here.
 */
#ifndef FL_SERVICE_BROKER_INTERNAL_H
#define FL_SERVICE_BROKER_INTERNAL_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "codec/keep.h"
#include "proto/mqtt_session.h"
#include "service/broker.h"
#include "service/topic_index.h"

struct fl_broker_message {
    _Atomic uint32_t refs;
    uint32_t topic_size;
    uint32_t properties_size; /* those that travel with it, encoded */
    uint32_t payload_size;
    fl_time_t expires;   /* monotonic, or FL_TIME_NEVER */
    uint64_t version;    /* of the retained store, when it went there */
    uint64_t log_id;     /* in the log of the one broker that has it with a log; 0: not yet */
    uint32_t log_period; /* in which its body was last written there */
    uint8_t qos;
    bool retain;
    bool crossed;    /* other threads may have it too */
    uint8_t owner;   /* the broker that made it: only that one touches log_id and log_period */
    uint8_t bytes[]; /* topic, properties, payload */
};

/* A message on its way to one session. */
struct fl_broker_entry {
    struct fl_broker_message *message; /* NULL: the client has it */
    struct fl_broker_share *share;     /* it came by a shared subscription; counted there */
    union {
        uint32_t *ids;   /* more than one subscription identifier: count, ids; NULL: not */
        uint64_t number; /* `lent`: it lies with the share in the log, under this number */
    };
    uint64_t seq;       /* QoS 1 and 2: its number in the session, or in the share */
    uint32_t id;        /* the only one, or 0 */
    uint16_t packet_id; /* in a window 0: finished out of order */
    uint8_t qos;
    bool retain;
    bool dup;
    bool open;      /* counts in the client's receive maximum */
    bool releasing; /* QoS 2: PUBREC came, PUBCOMP did not */
    bool lent;      /* by the share to a session that ends with its connection */
};

/* A QoS 2 publish from the client, from its first PUBLISH to its PUBREL. */
enum fl_broker_received_state {
    FL_BROKER_ASKED,   /* routed; the host has it and has not settled yet */
    FL_BROKER_ROUTED,  /* routed; what the host said of it is lost: it will be asked again */
    FL_BROKER_RECEIVED /* PUBREC is due or sent */
};

struct fl_broker_received {
    uint16_t packet_id;
    uint8_t state;
    bool here; /* its PUBREC is of this connection */
};

/* 0, 1, 2 to 3, 4 to 7 ... messages waiting. */
#define FL_BROKER_QUEUE_CLASSES 16

/* A ring. Its capacity is a power of two. */
struct fl_broker_queue {
    struct fl_broker_entry *ring;
    uint32_t first;
    uint32_t count;
    uint32_t capacity;
};

/* One "$share/name/filter": its members take turns. */
struct fl_broker_share {
    struct fl_topic_entry in_index; /* under the filter; while there are members */
    struct fl_map_node by_key;
    struct fl_list in_matched;
    struct fl_list online; /* members whose client is there; whose turn it is first */
    struct fl_list offline;
    struct fl_broker_queue waiting; /* for the first who comes */
    size_t waiting_bytes;
    uint32_t members;
    uint32_t online_count;
    uint32_t entries; /* on their way by it */
    uint32_t lasting; /* members whose sessions outlive their connections */
    bool elsewhere;   /* members at other brokers are there to take what lies here */
    size_t key_size;
    uint8_t key[];
};

enum fl_broker_timer_kind { FL_BROKER_CONN, FL_BROKER_SESSION };

struct fl_broker_timer {
    struct fl_heap_node node;
    enum fl_broker_timer_kind kind;
};

struct fl_broker_device {
    struct fl_map_node by_name;
    struct fl_list conns;
    struct fl_list sessions; /* longest without a connection first */
    uint32_t conn_count;
    uint32_t session_count;
    size_t name_size;
    uint8_t name[];
};

struct fl_broker_subscription {
    struct fl_topic_entry in_index;
    struct fl_list in_session;
    struct fl_broker_session *session;
    struct fl_broker_share *share; /* or NULL: then it is in the index itself */
    struct fl_list in_share;
    uint64_t retained_seen; /* its retained messages were those of this version of the store */
    uint32_t id;
    uint8_t qos;
    bool online;  /* among the members of its share */
    bool lasting; /* of a share, and counts there */
    bool no_local;
    bool retain_as_published;
    size_t filter_size;
    uint8_t filter[];
};

struct fl_broker_session {
    struct fl_map_node by_key;
    struct fl_broker_device *device;
    struct fl_list in_device;
    struct fl_broker_conn *conn; /* NULL while its client is away */
    struct fl_list subscriptions;
    uint32_t subscription_count;
    uint32_t shared_count;          /* of them */
    struct fl_broker_queue window;  /* QoS 1 and 2, with packet identifiers, unfinished */
    struct fl_broker_queue waiting; /* not sent yet */
    uint32_t window_sent;           /* of the window, from its front, sent on this connection */
    uint32_t window_open;           /* what counts in the client's receive maximum */
    uint32_t waiting_qos0;
    size_t waiting_bytes;
    struct fl_broker_received *received; /* in the order they came; made when needed */
    uint32_t received_count;
    uint32_t received_capacity;
    uint64_t last_seq; /* of what was queued for it; packet identifiers follow from it */
    uint64_t log_id;   /* it is kept under this number; 0: it ends with its connection */
    uint8_t home;      /* the broker that has it; while restoring: that had it */
    uint32_t expiry_s;
    fl_time_t expires;
    struct fl_broker_message *will; /* delayed */
    fl_time_t will_due;
    uint64_t testament;    /* its client's will is in the log under this number; 0: it is not */
    uint32_t will_delay_s; /* of that */
    struct fl_broker_timer timer;
    uint64_t mark; /* the routing that has it as target number `target` */
    size_t target;
    size_t key_size;
    uint8_t key[]; /* identity, 0, client id */
};

struct fl_broker_conn {
    struct fl_mqtt_session mqtt;
    struct fl_broker *broker;
    struct fl_broker_device *device;
    struct fl_list in_device;
    struct fl_broker_session *session;
    void *peer;
    struct fl_broker_message *will;
    fl_time_t will_delay_ms;
    struct fl_broker_timer timer;
    struct fl_list in_notify;
    struct fl_list in_held; /* its output waits for the log */
    /* What may be said only after a batch of the log is on stable storage: what is in the output
     * up to held_bytes after held_batch, all of it when next_batch is 0; the rest after next_batch.
     */
    uint64_t held_batch; /* 0: nothing is held */
    uint64_t next_batch;
    size_t held_bytes;
    struct fl_broker_answer *answer; /* SUBACK that the other brokers hold up */
    uint32_t slot;
    bool output_told;
    bool close_told;
};

/* What outlives the process (broker_keep.c). */
struct fl_broker_keep {
    bool on;
    bool tight;      /* the log has no room: nothing new is promised */
    bool lost;       /* something could not be written: only a checkpoint helps */
    uint64_t healed; /* the batch that ends that checkpoint; 0: nothing is to be healed */
    bool restoring;  /* what is done now was read from the log */
    struct fl_buffer log;
    uint64_t batch;        /* the one that is open; the first is 1 */
    uint64_t committed;    /* all up to this one */
    uint64_t failed_batch; /* it is not whole */
    uint64_t promises;     /* grows when something was written that an answer depends on */
    uint64_t last_id;      /* of sessions and messages */
    uint32_t period; /* grows with each checkpoint: bodies from before must be written again */
    fl_time_t utc_offset;
    struct fl_list held; /* connections */
    struct {
        enum fl_broker_walk {
            FL_BROKER_NO_WALK,
            FL_BROKER_SESSIONS,
            FL_BROKER_SHARES,
            FL_BROKER_TURNS,
            FL_BROKER_RETAINEDS
        } at;
        size_t bucket;
    } walk;
    struct fl_map sessions; /* while restoring: by their number */
    struct fl_map messages;
    struct fl_map forgotten;               /* topics whose retained message was taken back */
    struct fl_map transit;                 /* what lies with shares or was between brokers */
    struct fl_map testaments;              /* wills of clients that were there */
    uint64_t (*arrived)[FL_LIMIT_WORKERS]; /* from, to: up to this number */
};

struct fl_broker_target {
    struct fl_broker_session *session;
    struct fl_broker_share *share; /* by which it comes to the session, or NULL */
    uint32_t *ids;
    uint32_t id;
    uint8_t qos;
    bool retain;
};

struct fl_broker_slot {
    struct fl_broker_conn *conn;
    uint32_t generation; /* 24 bits, never 0 */
    uint32_t next_free;
};

struct fl_broker {
    struct fl_broker_host host;
    struct fl_map devices;
    struct fl_map sessions;
    struct fl_topic_index subscriptions;
    struct fl_topic_index shared;
    struct fl_map shares;
    struct fl_list matched; /* shares that get what is being routed */
    struct fl_broker_group *group;
    struct fl_broker_remote *remote; /* NULL: it is alone, and the group is its own */
    struct fl_heap timers;
    struct fl_list notify; /* connections about which the host is to be told something */
    struct fl_broker_slot *slots;
    uint32_t slot_count;
    uint32_t free_slot;
    struct fl_broker_target *targets;
    size_t target_count;
    size_t target_capacity;
    uint64_t mark;
    uint64_t assigned; /* client identifiers made so far */
    struct fl_buffer scratch;
    struct fl_buffer spare; /* an allocation for the next output; the last one drained left it */
    struct fl_broker_counts counts;
    struct fl_broker_keep keep;
    uint32_t queues[FL_BROKER_QUEUE_CLASSES]; /* sessions whose queue has so many bits */
    unsigned depth;                           /* inside a verb: the host may only settle */
    bool telling;
};

/* What a publish is, however it came. */
struct fl_broker_input {
    struct fl_slice topic;
    struct fl_slice payload;
    struct fl_slice properties; /* a checked block as the client sent it */
    fl_time_t expires;
    uint8_t qos;
    bool retain;
};

/* broker.c */
/* Every verb is between these two: see there. */
void fl_broker_enter(struct fl_broker *broker);
void fl_broker_leave(struct fl_broker *broker);
/* The connection of a token, or NULL when it has gone. */
struct fl_broker_conn *fl_broker_conn_of(const struct fl_broker *broker, uint64_t token);
uint64_t fl_broker_token(const struct fl_broker_conn *conn, uint16_t sequence);
void fl_broker_touch(struct fl_broker_conn *conn); /* it may have something to tell the host */
void fl_broker_device_release(struct fl_broker *broker, struct fl_broker_device *device);
void fl_broker_end(struct fl_broker_conn *conn, uint8_t reason, const char *why);
void fl_broker_arm(struct fl_broker *broker, struct fl_broker_timer *timer, fl_time_t due);
struct fl_broker_device *fl_broker_device_get(struct fl_broker *broker, struct fl_slice identity);

/* broker_packets.c */
void fl_broker_handle(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                      fl_time_t now);
/* Says SUBACK and sends the retained messages of the filters for which `send` is set. */
void fl_broker_subscribed(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                          const uint8_t *reasons, const bool *send, size_t count, fl_time_t now);

/* broker_session.c */
struct fl_broker_session *fl_broker_session_find(struct fl_broker *broker,
                                                 const struct fl_broker_device *device,
                                                 struct fl_slice client_id);
/* FL_ELIMIT: too many. */
FL_MUST_USE enum fl_error fl_broker_session_create(struct fl_broker *broker,
                                                   struct fl_broker_device *device,
                                                   struct fl_slice client_id, fl_time_t now,
                                                   struct fl_broker_session **session);
/* Without its will; the connection, if any, loses it. */
void fl_broker_session_destroy(struct fl_broker *broker, struct fl_broker_session *session,
                               fl_time_t now);
/* Its client is there and has been told so. */
void fl_broker_session_arrive(struct fl_broker *broker, struct fl_broker_session *session,
                              fl_time_t now);
/* The connection leaves its session; the session waits, or ends when it does not outlive it. */
void fl_broker_session_leave(struct fl_broker_conn *conn, bool with_will, fl_time_t now);
void fl_broker_session_tick(struct fl_broker *broker, struct fl_broker_session *session,
                            fl_time_t now);
/* It will not be said. */
void fl_broker_session_drop_will(struct fl_broker *broker, struct fl_broker_session *session);

/* broker_queue.c */
struct fl_broker_entry *fl_broker_entry_at(const struct fl_broker_queue *queue, uint32_t index);
FL_MUST_USE bool fl_broker_queue_push(struct fl_broker_queue *queue,
                                      const struct fl_broker_entry *entry);
void fl_broker_queue_drop_first(struct fl_broker_queue *queue); /* it was moved or freed */
void fl_broker_queue_free(struct fl_broker_queue *queue);
void fl_broker_entry_free(struct fl_broker_entry *entry);
size_t fl_broker_entry_cost(const struct fl_broker_entry *entry);

/* broker_share.c */
/* Makes the subscription a member of its share, which is away at first. */
FL_MUST_USE enum fl_error fl_broker_share_enter(struct fl_broker *broker,
                                                struct fl_broker_subscription *subscription,
                                                struct fl_slice inner);
void fl_broker_share_leave(struct fl_broker *broker, struct fl_broker_subscription *subscription);
/* Its client is there: it takes its turns, and what waited or lay with members that are away. */
void fl_broker_share_online(struct fl_broker *broker, struct fl_broker_subscription *subscription,
                            fl_time_t now);
void fl_broker_share_offline(struct fl_broker *broker, struct fl_broker_subscription *subscription,
                             fl_time_t now);
/* Gives away what lies with members that are away. */
void fl_broker_share_reclaim(struct fl_broker *broker, struct fl_broker_share *share,
                             fl_time_t now);
/* To the member whose turn it is. */
void fl_broker_share_deliver(struct fl_broker *broker, struct fl_broker_share *share,
                             struct fl_broker_message *message, fl_time_t now);
void fl_broker_share_unref(struct fl_broker_share *share);

/* broker_received.c */
/* Takes a PUBLISH of QoS 1 or 2 (not its routing): see there. */
enum fl_broker_claim {
    FL_BROKER_CLAIM_NEW,
    FL_BROKER_CLAIM_AGAIN, /* routed before: only ask the host and acknowledge */
    FL_BROKER_CLAIM_DONE,  /* only acknowledge */
    FL_BROKER_CLAIM_WAITS, /* say nothing: it is acknowledged when it is settled */
    FL_BROKER_CLAIM_CLASH, /* the identifier belongs to another exchange */
};
enum fl_broker_claim fl_broker_claim(const struct fl_broker_conn *conn, uint16_t packet_id,
                                     uint8_t qos);
/* Remembers a QoS 2 publish that the host is about to see. False: no room for more. */
FL_MUST_USE bool fl_broker_received_ask(struct fl_broker *broker, struct fl_broker_session *session,
                                        uint16_t packet_id);
/* Settles a receipt of this connection and what the session remembers with it. */
void fl_broker_receipt_settle(struct fl_broker_conn *conn, uint16_t sequence, uint8_t reason,
                              bool must_know);
void fl_broker_released(struct fl_broker_conn *conn, uint16_t packet_id);
/* As if it had never come. */
void fl_broker_received_forget(struct fl_broker *broker, struct fl_broker_session *session,
                               uint16_t packet_id);
/* The connection has gone. */
void fl_broker_received_pause(struct fl_broker_session *session);

/* broker_deliver.c */
/* Takes over `target->ids`. */
void fl_broker_deliver(struct fl_broker *broker, const struct fl_broker_target *target,
                       struct fl_broker_message *message, fl_time_t now);
/* Sends what the window and the output allow. */
void fl_broker_pump(struct fl_broker_session *session, fl_time_t now);
/* PUBACK, PUBREC or PUBCOMP. */
/* The session's queue was so long before; counts the change. */
void fl_broker_count_waiting(struct fl_broker *broker, const struct fl_broker_session *session,
                             uint32_t before, size_t bytes_before);
/* The packet identifier that goes with a number in a session. */
uint16_t fl_broker_packet_id(uint64_t seq);
/* What is finished at the front of the window leaves. */
void fl_broker_window_advance(struct fl_broker_session *session);
struct fl_broker_entry *fl_broker_entry_of_seq(const struct fl_broker_queue *queue, uint64_t seq);
void fl_broker_acknowledged(struct fl_broker_session *session, const struct fl_mqtt_packet *packet,
                            fl_time_t now);
/* Would the message be sent at once? */
bool fl_broker_is_ready(const struct fl_broker_session *session,
                        const struct fl_broker_message *message, uint8_t qos);
/* The connection has gone: QoS 0 goes with it. */
void fl_broker_delivery_pause(struct fl_broker *broker, struct fl_broker_session *session);
/* The client is away: gives what came by shares to other members. What was sent goes only when one
 * of them is there or the session is over (`all`); QoS 2 that was sent never. */
void fl_broker_delivery_reclaim(struct fl_broker *broker, struct fl_broker_session *session,
                                bool all, fl_time_t now);
void fl_broker_delivery_free(struct fl_broker *broker, struct fl_broker_session *session);

/* broker_session.c again */
struct fl_broker_subscription *fl_broker_subscription_find(struct fl_broker_session *session,
                                                           struct fl_slice filter);
FL_MUST_USE enum fl_error fl_broker_subscribe(struct fl_broker *broker,
                                              struct fl_broker_session *session,
                                              struct fl_slice filter,
                                              struct fl_broker_subscription **subscription);
void fl_broker_unsubscribe(struct fl_broker *broker, struct fl_broker_subscription *subscription);

/* broker_keep.c: each writes nothing when nothing is kept. */
/* The session as it is, without what belongs to it; all of it when it was not kept before. */
void fl_broker_keep_session(struct fl_broker *broker, struct fl_broker_session *session);
void fl_broker_keep_whole(struct fl_broker *broker, struct fl_broker_session *session);
void fl_broker_keep_gone(struct fl_broker *broker, struct fl_broker_session *session);
/* Its client has come, maybe with a will; the will has been said, will never be, or is kept with
 * the session. */
void fl_broker_keep_testament(struct fl_broker *broker, struct fl_broker_session *session);
void fl_broker_keep_testament_gone(struct fl_broker *broker, struct fl_broker_session *session);
void fl_broker_keep_subscribe(struct fl_broker *broker,
                              const struct fl_broker_subscription *subscription);
void fl_broker_keep_unsubscribe(struct fl_broker *broker,
                                const struct fl_broker_subscription *subscription);
void fl_broker_keep_queue(struct fl_broker *broker, const struct fl_broker_session *session,
                          const struct fl_broker_entry *entry);
/* It is finished, or lies elsewhere now. */
void fl_broker_keep_done(struct fl_broker *broker, const struct fl_broker_session *session,
                         const struct fl_broker_entry *entry);
/* A share gives it to a session that ends with its connection: if that is when the process ends,
 * it lies with the share again. */
void fl_broker_keep_lent(struct fl_broker *broker, const struct fl_broker_session *session,
                         struct fl_broker_entry *entry);
/* Not any more. */
void fl_broker_keep_returned(struct fl_broker *broker, struct fl_broker_entry *entry);
void fl_broker_keep_release(struct fl_broker *broker, const struct fl_broker_session *session,
                            const struct fl_broker_entry *entry);
void fl_broker_keep_received(struct fl_broker *broker, const struct fl_broker_session *session,
                             uint16_t packet_id);
void fl_broker_keep_released(struct fl_broker *broker, const struct fl_broker_session *session,
                             uint16_t packet_id);
void fl_broker_keep_retain(struct fl_broker *broker, const struct fl_broker_message *message,
                           struct fl_slice owner);
void fl_broker_keep_unretain(struct fl_broker *broker, struct fl_slice topic, uint64_t version);
/* It lies with the share `key` (`to` FL_KEEP_LIES), or is on its way to the broker `to`, from now
 * on. Returns its number; 0: it is not kept. */
uint64_t fl_broker_keep_transit(struct fl_broker *broker, struct fl_slice key, unsigned to,
                                struct fl_broker_message *message);
void fl_broker_keep_arrived(struct fl_broker *broker, uint64_t number, unsigned to);
/* For a checkpoint: the same again. */
void fl_broker_keep_transit_again(struct fl_broker *broker, uint64_t number, struct fl_slice key,
                                  unsigned to, struct fl_broker_message *message);
/* False: routing to the targets that were found, and with `crosses` to other brokers, would promise
 * something that the log has no room for. */
bool fl_broker_keep_has_room(const struct fl_broker *broker, const struct fl_broker_input *input,
                             bool crosses);
/* The last batch that holds what was done until now. */
uint64_t fl_broker_keep_last(const struct fl_broker *broker);

/* broker_restore.c */
void fl_broker_restore_end(struct fl_broker *broker); /* frees what restoring needed */
/* FL_ENOTFOUND: not a message. */
FL_MUST_USE enum fl_error fl_broker_restore_body(struct fl_broker *broker,
                                                 const struct fl_broker_input *input,
                                                 struct fl_broker_message **message);
/* Of a will, whose life begins when it is published. */
fl_time_t fl_broker_restore_span(fl_time_t span);

/* broker_testament.c */
FL_MUST_USE enum fl_error fl_broker_restore_testament(struct fl_broker *broker,
                                                      const struct fl_keep *keep, fl_time_t now);
FL_MUST_USE enum fl_error fl_broker_restore_testament_gone(struct fl_broker *broker,
                                                           const struct fl_keep *keep,
                                                           fl_time_t now);
void fl_broker_testaments_resume(struct fl_broker *broker, fl_time_t now);
void fl_broker_testaments_free(struct fl_broker *broker);

/* broker_hold.c */
/* When something was promised to this connection since `promises`, what it was told since then
 * waits: all of its output but the first `said_before` bytes. */
void fl_broker_hold_output(struct fl_broker_conn *conn, uint64_t promises, size_t said_before);
/* A message of QoS 2 is being sent. Its client remembers the packet identifier, so that the message
 * must not be forgotten and another get the same one: it waits for all that was written down. */
void fl_broker_hold_exact(struct fl_broker_conn *conn, size_t said_before);

/* broker_message.c */
struct fl_broker_message *fl_broker_message_new(struct fl_broker *broker,
                                                const struct fl_broker_input *input);
struct fl_broker_message *fl_broker_message_ref(struct fl_broker_message *message);
void fl_broker_message_unref(struct fl_broker_message *message);
struct fl_slice fl_broker_message_topic(const struct fl_broker_message *message);
struct fl_slice fl_broker_message_properties(const struct fl_broker_message *message);
struct fl_slice fl_broker_message_payload(const struct fl_broker_message *message);
/* One more subscription identifier for the copy to this target. */
bool fl_broker_target_add_id(struct fl_broker_target *target, uint32_t id);

/* broker_route.c */
/* True if `topic` is within the limits of a broker. */
bool fl_broker_topic_fits(struct fl_slice topic);
/* `from` (or NULL) does not get it by subscriptions that exclude their own. */
/* False: it was not, since the log has no room for what it would promise. */
FL_MUST_USE bool fl_broker_route(struct fl_broker *broker, const struct fl_broker_input *input,
                                 struct fl_broker_device *device,
                                 const struct fl_broker_session *from, fl_time_t now);
/* Asks the host and routes a will. */
void fl_broker_publish_will(struct fl_broker *broker, struct fl_broker_message *will,
                            struct fl_broker_device *device, fl_time_t now);
/* Among the sessions here, what another broker routed. `homes` not 0: only those that were at one
 * of these brokers, one bit each. */
void fl_broker_route_here(struct fl_broker *broker, struct fl_broker_message *message,
                          uint64_t homes, fl_time_t now);

/* broker_group.c: the store of retained messages, one for all brokers of the group */
/* May this be retained, too? `device` is NULL for the hub itself. */
bool fl_broker_may_retain(const struct fl_broker *broker, const struct fl_broker_device *device,
                          const struct fl_broker_input *input);
/* Before anybody gets the message: who then finds it in the store is not sent an older one. */
void fl_broker_retain(struct fl_broker *broker, const struct fl_broker_input *input,
                      struct fl_broker_message *message, const struct fl_broker_device *device);
/* Read back from the log: the newest version stays. */
FL_MUST_USE enum fl_error fl_broker_group_restore(struct fl_broker *broker,
                                                  struct fl_broker_message *message,
                                                  const struct fl_broker_device *device);
void fl_broker_group_forget(struct fl_broker *broker, struct fl_slice topic, uint64_t version);
/* Writes down one of the messages that were retained when the walk began; each that stays is met,
 * whatever comes and goes between the calls. False: that was all. One walk at a time. */
bool fl_broker_group_walk(struct fl_broker *broker, bool begins);
void fl_broker_send_retained(struct fl_broker *broker, struct fl_broker_subscription *subscription,
                             fl_time_t now);
/* The first broker of the group lets them expire. */
fl_time_t fl_broker_retained_due(const struct fl_broker *broker);
void fl_broker_retained_tick(struct fl_broker *broker, fl_time_t now);
uint64_t fl_broker_retained_count(const struct fl_broker *broker);
uint64_t fl_broker_retained_bytes(const struct fl_broker *broker);
unsigned fl_broker_group_count(const struct fl_broker_group *group); /* of brokers */
/* One session more for the whole group. False: that would be one too many. */
FL_MUST_USE bool fl_broker_group_session(struct fl_broker_group *group);
void fl_broker_group_session_gone(struct fl_broker_group *group);
/* A member of a share whose session outlives its connection has come, or gone; is there any? */
void fl_broker_group_lasts(struct fl_broker_group *group, bool more);
bool fl_broker_group_lasting(const struct fl_broker_group *group);

/* broker_message.c again: from now on other threads may have it too. */
void fl_broker_message_cross(struct fl_broker_message *message);
/* One of this broker's own; NULL: no memory. */
struct fl_broker_message *fl_broker_message_copy(const struct fl_broker *broker,
                                                 const struct fl_broker_message *message);

#endif
