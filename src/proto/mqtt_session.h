/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's side of one MQTT connection, sans I/O: framing, the order CONNECT first and once,
 * keep alive, what the client can take, topic aliases (unseen by the owner), acknowledgements of
 * its publishes in their order, and the way a connection ends. It answers PINGREQ itself and hands
 * every other packet to its owner, who knows sessions, topics and rights. Bytes go in by receive,
 * come out in `out`, time is passed in.
 */
#ifndef FL_PROTO_MQTT_SESSION_H
#define FL_PROTO_MQTT_SESSION_H

#include "base/time.h"
#include "proto/mqtt_alias.h"
#include "proto/mqtt_framer.h"

/* Allowed moves: NEW to CONNECTING or ENDED, CONNECTING to OPEN or ENDED, OPEN to ENDED. */
enum fl_mqtt_phase {
    FL_MQTT_NEW,        /* waits for CONNECT */
    FL_MQTT_CONNECTING, /* CONNECT was handed out; accept or refuse it */
    FL_MQTT_OPEN,
    FL_MQTT_ENDED, /* nothing is taken or said any more; `out` may hold last words */
};

/* The answer owed to a PUBLISH of QoS 1 (PUBACK) or 2 (PUBREC). */
struct fl_mqtt_receipt {
    uint16_t packet_id;
    uint8_t qos;
    uint8_t reason;
    uint8_t holds; /* how many must say yes before the last one settles it */
    bool settled;
};

/* Why a publish is refused, until its receipt leaves. */
struct fl_mqtt_words {
    struct fl_mqtt_words *next;
    uint16_t sequence;
    char text[];
};

struct fl_mqtt_session {
    enum fl_mqtt_phase phase;
    enum fl_mqtt_version version;
    struct fl_buffer out;
    struct fl_mqtt_framer framer;
    fl_time_t keep_alive_ms; /* one and a half times what the client said; 0: off */
    fl_time_t heard_at;
    uint32_t peer_packet_max;
    uint16_t peer_receive_max;
    uint16_t peer_aliases; /* how many of ours it takes */
    struct fl_mqtt_alias_table heard;
    struct fl_mqtt_alias_table told;
    bool peer_wants_problems; /* reason strings */
    bool held; /* its bytes wait for us, so its silence is not its fault; nor while withheld > 0 */
    uint16_t receipt_first; /* sequence number of the oldest open receipt */
    uint16_t receipt_count;
    uint16_t withheld;   /* of the newest receipts: they do not leave before they are let go */
    bool withholds;      /* and so those to come */
    uint16_t unreleased; /* MQTT 5: PUBREC sent and PUBREL not yet come, on this connection */
    struct fl_mqtt_receipt *receipts; /* a ring of FL_LIMIT_MQTT_INFLIGHT, made when needed */
    struct fl_mqtt_words *words;      /* of receipts that are refusals; NULL nearly always */
    const char *why;                  /* it ended; for the log */
};

void fl_mqtt_session_init(struct fl_mqtt_session *s, fl_time_t now);
void fl_mqtt_session_free(struct fl_mqtt_session *s);

/* Takes bytes off `bytes` until one packet for the owner is whole; its slices live until the next
 * call or the end of `bytes`. FL_EMORE: all bytes were taken. FL_EBUSY: bytes are left that must
 * wait until output is drained or receipts are settled. Anything else: the connection has ended. */
FL_MUST_USE enum fl_error fl_mqtt_session_receive(struct fl_mqtt_session *s, struct fl_slice *bytes,
                                                  fl_time_t now, struct fl_mqtt_packet *packet);

/* The answer to CONNECT. `connack` needs the session_present flag and its properties, of which
 * the server keep alive is heeded here; what the client said of itself is taken from `connect`. */
FL_MUST_USE enum fl_error fl_mqtt_session_accept(struct fl_mqtt_session *s,
                                                 const struct fl_mqtt_packet *connect,
                                                 const struct fl_mqtt_packet *connack);

/* Ends it: a refusing CONNACK, or DISCONNECT (MQTT 5), with an MQTT 5 reason code. */
void fl_mqtt_session_end(struct fl_mqtt_session *s, uint8_t reason, const char *why);
/* Ends it without a word, as after the client's DISCONNECT. */
void fl_mqtt_session_close(struct fl_mqtt_session *s, const char *why);

/* Queues a packet. FL_ELIMIT: larger than the client takes, or the output is full. */
FL_MUST_USE enum fl_error fl_mqtt_session_send(struct fl_mqtt_session *s,
                                               const struct fl_mqtt_packet *packet);
/* True while it is wise to add messages to the output. */
bool fl_mqtt_session_has_room(const struct fl_mqtt_session *s);

/* A PUBLISH of QoS 1 or 2 was taken and is to be acknowledged: returns its sequence number.
 * Receipts leave in the order of the publishes, each when it and all before it are settled. */
FL_MUST_USE enum fl_error fl_mqtt_session_expect(struct fl_mqtt_session *s, uint16_t packet_id,
                                                 uint8_t qos, uint16_t *sequence);
/* The receipt with this number while it is not settled, or NULL. */
const struct fl_mqtt_receipt *fl_mqtt_session_receipt(const struct fl_mqtt_session *s,
                                                      uint16_t sequence);
/* One more must say yes. The receipt is not settled. */
void fl_mqtt_session_hold(struct fl_mqtt_session *s, uint16_t sequence);
/* One has said yes. True: it was not the last, so it is not to be settled yet. */
bool fl_mqtt_session_unhold(struct fl_mqtt_session *s, uint16_t sequence);
/* A receipt with this packet identifier that has not left yet, or NULL. */
const struct fl_mqtt_receipt *fl_mqtt_session_owes(const struct fl_mqtt_session *s,
                                                   uint16_t packet_id);
/* Harmless when there is no such receipt (any more). With 3.1.1, which has no words for it, a
 * failure to keep a message ends the connection if `must_know`. */
void fl_mqtt_session_settle(struct fl_mqtt_session *s, uint16_t sequence, uint8_t reason,
                            bool must_know);
/* What a receipt that is not settled yet will say if it is a refusal: at most FL_LIMIT_REASON
 * octets of UTF-8. Nothing happens when the client does not want to know or cannot be told (3.1.1).
 */
void fl_mqtt_session_explain(struct fl_mqtt_session *s, uint16_t sequence, const char *words);
/* From now on receipts are withheld, or not any more: each that was, and each that comes while one
 * still is, leaves only after it was let go. So a client that must be heard is slowed down all the
 * same: it has only so many publishes under way. */
void fl_mqtt_session_withhold(struct fl_mqtt_session *s, bool withholds);
/* The oldest one that is withheld may leave. False: none is. */
bool fl_mqtt_session_let_go(struct fl_mqtt_session *s, fl_time_t now);
/* PUBREL came for a publish that this connection acknowledged by PUBREC: its place in the receive
 * maximum is free again. */
void fl_mqtt_session_released(struct fl_mqtt_session *s);

/* When the client must have been heard of, or FL_TIME_NEVER. */
fl_time_t fl_mqtt_session_deadline(const struct fl_mqtt_session *s);

#endif
