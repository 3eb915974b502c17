/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of MQTT 5, sans I/O: for the agent. One struct serves one connection after the
 * other: fl_mqtt_client_start begins each. Bytes from the wire go in by receive, which hands out
 * events; bytes for the wire stand in `out`, which the owner consumes; time is passed in.
 *
 * Nothing is remembered across connections: the owner (an outbox) publishes again what was not
 * acknowledged. A message from the server is acknowledged when the owner asks for the next event.
 */
#ifndef FL_PROTO_MQTT_CLIENT_H
#define FL_PROTO_MQTT_CLIENT_H

#include "base/time.h"
#include "proto/mqtt_framer.h"

/* Allowed moves: IDLE to CONNECTING, CONNECTING to OPEN or CLOSED, OPEN to CLOSED, and from
 * anywhere to CONNECTING by fl_mqtt_client_start. */
enum fl_mqtt_client_phase {
    FL_MQTT_CLIENT_IDLE,
    FL_MQTT_CLIENT_CONNECTING,
    FL_MQTT_CLIENT_OPEN,
    FL_MQTT_CLIENT_CLOSED, /* `out` may hold last words; then close the connection */
};

struct fl_mqtt_client_options {
    const char *client_id;
    uint16_t keep_alive_s; /* 0: none */
    uint32_t session_expiry_s;
    bool clean_start;
    uint32_t
        ack_timeout_ms; /* an acknowledgement that takes longer ends the connection; 0: never */
};

enum fl_mqtt_event_kind {
    FL_MQTT_EVENT_CONNECTED,    /* session_present */
    FL_MQTT_EVENT_ACKNOWLEDGED, /* of a publish: token, reason (0x80 and up: refused) */
    FL_MQTT_EVENT_SUBSCRIBED,   /* token, reason of the one filter */
    FL_MQTT_EVENT_MESSAGE,      /* topic, payload, qos, retain, dup */
};

struct fl_mqtt_event {
    enum fl_mqtt_event_kind kind;
    uint64_t token;
    uint8_t reason;
    uint8_t qos;
    bool session_present;
    bool retain;
    bool dup;
    struct fl_slice topic;
    struct fl_slice payload;
    struct fl_slice words; /* the server's reason string, if it gave one */
};

struct fl_mqtt_pending {
    enum fl_mqtt_type answer; /* PUBACK, SUBACK; 0: free */
    uint16_t packet_id;
    uint64_t token;
    fl_time_t sent_at;
};

struct fl_mqtt_client {
    enum fl_mqtt_client_phase phase;
    struct fl_mqtt_client_options options;
    char client_id[FL_LIMIT_MQTT_CLIENT_ID + 1];
    struct fl_mqtt_framer framer;
    struct fl_buffer out;
    fl_time_t started_at;
    fl_time_t keep_alive_ms;
    fl_time_t sent_at;   /* the last packet */
    fl_time_t pinged_at; /* an unanswered PINGREQ, or FL_TIME_NEVER */
    uint32_t server_packet_max;
    uint16_t server_receive_max;
    uint8_t server_qos_max;
    bool server_retains;
    uint16_t last_packet_id;
    uint16_t to_acknowledge; /* a message the owner is looking at; 0: none */
    uint32_t publishes_open;
    struct fl_mqtt_pending pending[FL_LIMIT_MQTT_INFLIGHT];
    uint8_t reason; /* why it is CLOSED: the server's or our reason code */
    bool by_server; /* the reason is the server's */
    char why[256];  /* in words, fit for a log */
};

/* FL_ELIMIT: the client id is too long. Free with fl_mqtt_client_free. */
FL_MUST_USE enum fl_error fl_mqtt_client_init(struct fl_mqtt_client *client,
                                              const struct fl_mqtt_client_options *options);
void fl_mqtt_client_free(struct fl_mqtt_client *client);

/* A new connection stands: forgets the one before and puts CONNECT into `out`. */
FL_MUST_USE enum fl_error fl_mqtt_client_start(struct fl_mqtt_client *client, fl_time_t now);

/* Takes bytes until there is an event; its slices live until the next call or the end of `bytes`.
 * FL_EMORE: all bytes were taken. FL_ECLOSED: the server refused or ended it; FL_EPARSE, FL_ELIMIT:
 * the server broke the protocol: see `reason` and `why`. Call it until it returns FL_EMORE: that
 * also acknowledges the last message. */
FL_MUST_USE enum fl_error fl_mqtt_client_receive(struct fl_mqtt_client *client,
                                                 struct fl_slice *bytes, fl_time_t now,
                                                 struct fl_mqtt_event *event);

struct fl_mqtt_message {
    struct fl_slice topic;
    struct fl_slice payload;
    uint8_t qos; /* 0 or 1 */
    bool retain;
    bool dup; /* it was sent before on another connection */
};

/* Puts a PUBLISH into `out`; with QoS 1 `token` comes back in an ACKNOWLEDGED event. FL_ESTATE: not
 * OPEN; FL_EBUSY: the window or the output is full, try after the next event or write; FL_ELIMIT:
 * larger than the server takes; FL_EINVAL: not a topic; FL_EUNSUPPORTED: the server does not take
 * this QoS or retained messages. */
FL_MUST_USE enum fl_error fl_mqtt_client_publish(struct fl_mqtt_client *client,
                                                 const struct fl_mqtt_message *message,
                                                 uint64_t token, fl_time_t now);
/* `token` comes back in a SUBSCRIBED event. Errors as above. */
FL_MUST_USE enum fl_error fl_mqtt_client_subscribe(struct fl_mqtt_client *client,
                                                   struct fl_slice filter, uint8_t qos,
                                                   uint64_t token, fl_time_t now);
/* Puts DISCONNECT into `out`; CLOSED. */
void fl_mqtt_client_stop(struct fl_mqtt_client *client, fl_time_t now);

fl_time_t fl_mqtt_client_next_timeout(const struct fl_mqtt_client *client); /* or FL_TIME_NEVER */
/* Pings when it is time. FL_ETIMEOUT: the server is silent; the client is CLOSED. */
FL_MUST_USE enum fl_error fl_mqtt_client_tick(struct fl_mqtt_client *client, fl_time_t now);

#endif
