/* SPDX-License-Identifier: Apache-2.0
 *
 * The MQTT broker as an engine: bytes of authenticated connections in, bytes out, routing between.
 * It owns sessions, subscriptions, retained messages and queues; it knows no socket, no clock and
 * no profile: its host feeds it, drains it, and answers what a device may do. One broker serves one
 * loop; several in one process make a group (service/broker_group.h).
 *
 * A connection is a protocol machine (proto/mqtt_session) that the host attaches to an
 * authenticated identity. Sessions belong to their identity: client identifiers are free, and those
 * of one device never meet another's. An empty one becomes the identity itself, or, when that is in
 * use, the identity, "/~" and a number.
 */
#ifndef FL_SERVICE_BROKER_H
#define FL_SERVICE_BROKER_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/time.h"
#include "codec/keep.h"
#include "service/broker_group.h"

struct fl_broker_conn;

enum fl_broker_right { FL_BROKER_PUBLISH, FL_BROKER_SUBSCRIBE, FL_BROKER_RECEIVE };

struct fl_broker_publish {
    struct fl_slice topic;
    struct fl_slice payload;
    uint8_t qos;
    bool retain;
    bool dup;
    uint16_t packet_id; /* 0 with QoS 0 */
};

enum fl_broker_verdict {
    FL_BROKER_ROUTE,  /* route it; acknowledge at once */
    FL_BROKER_KEEP,   /* route it; the host acknowledges later by fl_broker_settle */
    FL_BROKER_REFUSE, /* do not route; acknowledge with `reason` (MQTT 5) or just acknowledge
                         (3.1.1) */
};

/* output and close may call any verb but fl_broker_free. Inside the others the host may call
 * fl_broker_settle and fl_broker_explain and nothing else. `peer` must be valid until
 * fl_broker_detach has returned. */
struct fl_broker_host {
    /* May this connection's device do this now? Asked for every publish, subscribe and delivery. */
    bool (*may)(void *self, void *peer, enum fl_broker_right right, struct fl_slice topic);
    /* An authorised publish. `*reason` is an MQTT 5 reason code for REFUSE. `token` is for
     * fl_broker_settle and stays harmless after the connection has gone. */
    enum fl_broker_verdict (*publish)(void *self, void *peer,
                                      const struct fl_broker_publish *publish, uint64_t token,
                                      uint8_t *reason);
    /* A will is due, maybe long after its connection has gone: may the device still say it? The
     * host takes it as it takes a publish, with nothing to settle, and tells a refusal itself. */
    bool (*will)(void *self, struct fl_slice identity, const struct fl_broker_publish *will);
    /* Something was refused by the broker or by `may`: "publish", "subscribe", "connect"; for the
     * audit. What the host's own publish refused is not told again; a delivery that may not be is
     * only counted. */
    void (*refused)(void *self, void *peer, const char *what, struct fl_slice topic,
                    const char *reason);
    /* fl_broker_output has bytes. Called at most once until it is drained. */
    void (*output)(void *self, void *peer);
    /* CONNECT was accepted. */
    void (*connected)(void *self, void *peer);
    /* The host must send what is left in fl_broker_output, close the connection and call
     * fl_broker_detach. `why` is for the log. */
    void (*close)(void *self, void *peer, const char *why);
    void *self;
    /* Of a broker in a group: which of them it is, and how it speaks to broker `to`. False: there
     * is no room and the note need not arrive; it stays the caller's. What must arrive is always
     * taken. Only notes it, calls nothing. */
    struct fl_broker_group *group; /* NULL: it is alone */
    unsigned index;
    bool (*post)(void *self, unsigned to, const struct fl_broker_note *note, bool must);
};

FL_MUST_USE enum fl_error fl_broker_create(const struct fl_broker_host *host,
                                           struct fl_broker **broker, struct fl_context *ctx);
void fl_broker_free(struct fl_broker *broker);

/* `identity` is the authenticated device id; `peer` is handed back in host calls. `now` is
 * monotonic ms here and below. */
FL_MUST_USE enum fl_error fl_broker_attach(struct fl_broker *broker, struct fl_slice identity,
                                           void *peer, fl_time_t now, struct fl_broker_conn **conn,
                                           struct fl_context *ctx);
/* The connection has gone. Without a DISCONNECT before it the will is published. */
void fl_broker_detach(struct fl_broker_conn *conn, fl_time_t now);

/* Bytes from the wire; takes all of them, except that it stops at a limit (too much unacknowledged
 * or unsent): then `*taken` is less than the size and the host offers the rest after the next
 * fl_broker_drained or fl_broker_settle. The rest is the host's: nothing of it was seen. */
void fl_broker_receive(struct fl_broker_conn *conn, struct fl_slice bytes, fl_time_t now,
                       size_t *taken);
/* Bytes of this connection wait with the host, which cannot offer them yet: until the next
 * fl_broker_receive the client's silence is not held against its keep alive. */
void fl_broker_hold(struct fl_broker_conn *conn);
/* It is over its rate, and yet its client has to be heard, as it may ping: until this is taken back
 * its publishes of QoS 0 are dropped and counted, and acknowledgements of the others are withheld.
 */
void fl_broker_over_rate(struct fl_broker_conn *conn, bool over);
/* Lets the oldest acknowledgement go that is withheld. False: none is. */
bool fl_broker_let_go(struct fl_broker_conn *conn, fl_time_t now);
/* One and a half times what the client promised; 0: it promised nothing. */
fl_time_t fl_broker_keep_alive_ms(const struct fl_broker_conn *conn);
/* Bytes for the wire; the host consumes (fl_buffer_consume) what it has written, then calls
 * drained. */
struct fl_buffer *fl_broker_output(struct fl_broker_conn *conn);
void fl_broker_drained(struct fl_broker_conn *conn, fl_time_t now);

/* Acknowledges a kept publish with an MQTT 5 reason code (0: success; with 3.1.1 a failure closes
 * the connection, so that the client sends again). */
void fl_broker_settle(struct fl_broker *broker, uint64_t token, uint8_t reason, fl_time_t now);

/* What the client of a publish that is not settled yet is told besides the reason code, should it
 * be refused: for whoever develops the device. From inside `publish` too; MQTT 5. */
void fl_broker_explain(struct fl_broker *broker, uint64_t token, const char *words);

/* Ends the device's live connections now, with DISCONNECT `reason` (MQTT 5); its will is not
 * published. `forget`: its sessions and queues go too. Returns how many connections were ended. */
uint32_t fl_broker_cut(struct fl_broker *broker, struct fl_slice identity, uint8_t reason,
                       const char *why, bool forget, fl_time_t now);

/* A message from the hub itself (commands); not authorised against any device. */
void fl_broker_publish(struct fl_broker *broker, const struct fl_broker_publish *publish,
                       fl_time_t now);

/* --- what outlives the process ---
 *
 * Sessions that outlive their connection, with what is on its way to them, and retained messages
 * are written down as records (codec/keep), which the host commits to stable storage. What a client
 * is told of them waits until then: fl_broker_output_ready. */

/* From now on. Before the first fl_broker_attach. `number` tells brokers with one log apart (0 to
 * 63); `utc_offset` is UTC minus the monotonic time, ms. */
void fl_broker_keep(struct fl_broker *broker, unsigned number, fl_time_t utc_offset);
/* Makes one record true again; in the order they were written, before the first attach. Every
 * broker of a group is given all of them; `mine` is true for SESSION at the broker that the
 * session's device is at, for TRANSIT, ARRIVED, RETAIN and UNRETAIN at the first, and for the
 * others always. FL_ENOMEM; a record that fits nothing is ignored. */
FL_MUST_USE enum fl_error fl_broker_restore(struct fl_broker *broker, const struct fl_keep *record,
                                            bool mine, fl_time_t now);
/* All records have come. Sessions of identities that are not `known` (any more) end. */
void fl_broker_restored(struct fl_broker *broker,
                        bool (*known)(void *self, struct fl_slice identity), void *self,
                        fl_time_t now);

/* After that has been said to every broker of the group, what they had to say to each other has
 * been heard, and nothing else: sessions are here for good. A broker that is alone needs it, too.
 */
void fl_broker_resumed(struct fl_broker *broker);

/* What has been written down since the last call, to be committed under the number `*batch`. At the
 * end of each round, before output is sent. Empty: nothing. It stays until fl_broker_log_taken. */
struct fl_slice fl_broker_log(struct fl_broker *broker, fl_time_t now, uint64_t *batch);
void fl_broker_log_taken(struct fl_broker *broker);
/* All batches up to this one are on stable storage: `output` is called where something waited. */
void fl_broker_committed(struct fl_broker *broker, uint64_t batch, fl_time_t now);
/* This batch will never be: connections that wait for it are ended, so that their clients say again
 * what was not acknowledged. */
void fl_broker_log_failed(struct fl_broker *broker, uint64_t batch, fl_time_t now);
/* `tight`: the log has no room; what would need it is refused (0x97) until this changes. */
void fl_broker_log_tight(struct fl_broker *broker, bool tight);
/* True after something could not be written down: the records are whole again only after a
 * checkpoint. */
bool fl_broker_log_lost(const struct fl_broker *broker);
/* Begins to write down everything as it is, so that older records can go; `step` goes on for about
 * so many bytes and returns true when all has been written. */
void fl_broker_checkpoint(struct fl_broker *broker);
FL_MUST_USE bool fl_broker_checkpoint_step(struct fl_broker *broker, size_t bytes);

/* How much of fl_broker_output may be sent now; and how much of it was. */
size_t fl_broker_output_ready(struct fl_broker_conn *conn);
void fl_broker_output_sent(struct fl_broker_conn *conn, size_t bytes);

/* Keep alive, CONNECT timeout, session and will expiry. */
fl_time_t fl_broker_next_timeout(const struct fl_broker *broker); /* or FL_TIME_NEVER */
void fl_broker_tick(struct fl_broker *broker, fl_time_t now);

struct fl_broker_counts {
    uint64_t connections;
    uint64_t sessions;
    uint64_t subscriptions;
    uint64_t retained;
    uint64_t retained_bytes;
    uint64_t received[3]; /* PUBLISH packets by QoS, since the start */
    uint64_t delivered[3];
    uint64_t refused;     /* deliveries too */
    uint64_t undelivered; /* deliveries that were refused */
    uint64_t dropped;     /* queue full, QoS 0 first */
    uint64_t over_rate;   /* dropped at once, QoS 0 of who is over its rate */
    uint64_t violations;  /* connections ended for what they sent */
    uint64_t queued;      /* messages that wait in the queues of sessions */
    uint64_t queued_bytes;
    uint64_t queue_largest; /* rounded up to a power of two less one */
    uint64_t kept;          /* records written to the log */
};
void fl_broker_count(const struct fl_broker *broker, struct fl_broker_counts *counts);
/* PUBLISH packets of any QoS since the start. */
uint64_t fl_broker_received(const struct fl_broker *broker);
/* Records written to the log since the start. */
uint64_t fl_broker_kept(const struct fl_broker *broker);

#endif
