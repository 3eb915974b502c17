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
#include "proto/mqtt_session.h"
#include "service/broker.h"
#include "service/topic_index.h"

struct fl_broker_message {
    uint32_t refs;
    uint32_t topic_size;
    uint32_t properties_size; /* those that travel with it, encoded */
    uint32_t payload_size;
    fl_time_t expires; /* monotonic, or FL_TIME_NEVER */
    uint8_t qos;
    bool retain;
    uint8_t bytes[]; /* topic, properties, payload */
};

/* A message on its way to one session. */
struct fl_broker_entry {
    struct fl_broker_message *message; /* NULL: the client has it */
    struct fl_broker_share *share;     /* it came by a shared subscription; counted there */
    uint32_t *ids;                     /* more than one subscription identifier: count, ids */
    uint32_t id;                       /* the only one, or 0 */
    uint16_t packet_id;                /* in a window 0: finished out of order */
    uint8_t qos;
    bool retain;
    bool dup;
    bool open;      /* counts in the client's receive maximum */
    bool releasing; /* QoS 2: PUBREC came, PUBCOMP did not */
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
    uint32_t entries; /* on their way by it */
    size_t key_size;
    uint8_t key[];
};

enum fl_broker_timer_kind { FL_BROKER_CONN, FL_BROKER_SESSION, FL_BROKER_RETAINED };

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
    uint32_t retained_count;
    size_t retained_bytes;
    size_t name_size;
    uint8_t name[];
};

struct fl_broker_subscription {
    struct fl_topic_entry in_index;
    struct fl_list in_session;
    struct fl_broker_session *session;
    struct fl_broker_share *share; /* or NULL: then it is in the index itself */
    struct fl_list in_share;
    uint32_t id;
    uint8_t qos;
    bool online; /* among the members of its share */
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
    uint16_t last_packet_id;
    uint32_t expiry_s;
    fl_time_t expires;
    struct fl_broker_message *will; /* delayed */
    fl_time_t will_due;
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
    uint32_t slot;
    bool output_told;
    bool close_told;
};

struct fl_broker_retained {
    struct fl_topic_entry in_index;
    struct fl_broker_message *message;
    struct fl_broker_device *owner; /* NULL: the hub itself */
    struct fl_broker_timer timer;
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
    struct fl_topic_index retained;
    size_t retained_bytes;
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
void fl_broker_touch(struct fl_broker_conn *conn); /* it may have something to tell the host */
void fl_broker_device_release(struct fl_broker *broker, struct fl_broker_device *device);
void fl_broker_end(struct fl_broker_conn *conn, uint8_t reason, const char *why);
void fl_broker_arm(struct fl_broker *broker, struct fl_broker_timer *timer, fl_time_t due);

/* broker_packets.c */
void fl_broker_handle(struct fl_broker_conn *conn, const struct fl_mqtt_packet *packet,
                      fl_time_t now);

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
void fl_broker_share_offline(struct fl_broker_subscription *subscription);
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
FL_MUST_USE bool fl_broker_received_ask(struct fl_broker_session *session, uint16_t packet_id);
/* Settles a receipt of this connection and what the session remembers with it. */
void fl_broker_receipt_settle(struct fl_broker_conn *conn, uint16_t sequence, uint8_t reason,
                              bool must_know);
void fl_broker_released(struct fl_broker_conn *conn, uint16_t packet_id);
/* The connection has gone. */
void fl_broker_received_pause(struct fl_broker_session *session);

/* broker_deliver.c */
/* Takes over `target->ids`. */
void fl_broker_deliver(struct fl_broker *broker, const struct fl_broker_target *target,
                       struct fl_broker_message *message, fl_time_t now);
/* Sends what the window and the output allow. */
void fl_broker_pump(struct fl_broker_session *session, fl_time_t now);
/* PUBACK, PUBREC or PUBCOMP. */
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
/* May this be retained, too? `device` is NULL for the hub itself. */
bool fl_broker_may_retain(const struct fl_broker *broker, const struct fl_broker_device *device,
                          const struct fl_broker_input *input);
/* `from` (or NULL) does not get it by subscriptions that exclude their own. */
void fl_broker_route(struct fl_broker *broker, const struct fl_broker_input *input,
                     struct fl_broker_device *device, const struct fl_broker_session *from,
                     fl_time_t now);
/* Asks the host and routes a will. */
void fl_broker_publish_will(struct fl_broker *broker, struct fl_broker_message *will,
                            struct fl_broker_device *device, fl_time_t now);
void fl_broker_send_retained(struct fl_broker *broker, struct fl_broker_subscription *subscription,
                             fl_time_t now);
void fl_broker_retained_remove(struct fl_broker *broker, struct fl_broker_retained *retained);

#endif
