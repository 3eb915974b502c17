/* SPDX-License-Identifier: Apache-2.0
 *
 * What a broker writes down so that it outlives the process: sessions, subscriptions, messages on
 * their way, retained messages. A record is
 *     u32 size of the rest | u8 type | fields in the order below
 * little endian; bytes are u32 size and the bytes. Decoding is strict: an unknown type, a short or
 * long record, a field over its maximum is FL_EPARSE. Decoded slices point into the input. Pure: no
 * I/O, no allocation.
 *
 * Records are read in the order they were written. One about a session that is not known is
 * ignored: either it has ended, or a later record says all of it.
 */
#ifndef FL_CODEC_KEEP_H
#define FL_CODEC_KEEP_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/time.h"

/* Fields: F(kind, name, maximum). Kinds: u8 u16 u32 u64 i64 (maximum unused), bytes. Times are ms
 * since the epoch, UTC. */

/* `key` is the identity, a NUL, the client identifier. `expires` is FL_TIME_NEVER while its client
 * is there. `whole`: all that belongs to it follows. Takes back its will. */
#define FL_KEEP_SESSION(F)                                                                         \
    F(u64, id, 0)                                                                                  \
    F(u8, whole, 0)                                                                                \
    F(u32, expiry_s, 0)                                                                            \
    F(i64, expires, 0)                                                                             \
    F(u64, last_seq, 0)                                                                            \
    F(u8, home, 0) /* the broker that has it */                                                    \
    F(bytes, key, FL_LIMIT_HOST + 1 + FL_LIMIT_MQTT_CLIENT_ID)
#define FL_KEEP_GONE(F) F(u64, session, 0)
#define FL_KEEP_SUBSCRIBE(F)                                                                       \
    F(u64, session, 0)                                                                             \
    F(u32, subscription_id, 0)                                                                     \
    F(u8, qos, 0)                                                                                  \
    F(u8, flags, 0) /* FL_KEEP_NO_LOCAL, FL_KEEP_AS_PUBLISHED */                                   \
    F(bytes, filter, FL_LIMIT_MQTT_TOPIC)
#define FL_KEEP_UNSUBSCRIBE(F) F(u64, session, 0) F(bytes, filter, FL_LIMIT_MQTT_TOPIC)
#define FL_KEEP_BODY(F)                                                                            \
    F(i64, expires, 0)                                                                             \
    F(u8, qos, 0)                                                                                  \
    F(u8, retain, 0)                                                                               \
    F(bytes, topic, FL_LIMIT_MQTT_TOPIC)                                                           \
    F(bytes, properties, FL_LIMIT_MQTT_PROPERTIES)                                                 \
    F(bytes, payload, FL_LIMIT_MQTT_PACKET)
/* A message that QUEUE and TRANSIT name. */
#define FL_KEEP_MESSAGE(F) F(u64, id, 0) FL_KEEP_BODY(F)
/* On its way to a session; its packet identifier follows from `seq`. */
#define FL_KEEP_QUEUE(F)                                                                           \
    F(u64, session, 0)                                                                             \
    F(u64, seq, 0)                                                                                 \
    F(u64, message, 0) /* 0: the client has it, FL_KEEP_RELEASING */                               \
    F(u8, qos, 0)                                                                                  \
    F(u8, flags, 0)                                                                                \
    F(bytes, ids, 4UL * FL_LIMIT_MQTT_SUBSCRIPTIONS) /* subscription identifiers, u32 each */      \
    F(bytes, share, FL_LIMIT_MQTT_TOPIC)             /* the filter it came by, or empty */
#define FL_KEEP_DONE(F) F(u64, session, 0) F(u64, seq, 0)
#define FL_KEEP_RELEASE(F) F(u64, session, 0) F(u64, seq, 0)
/* QoS 2 from the client. */
#define FL_KEEP_RECEIVED(F) F(u64, session, 0) F(u16, packet_id, 0)
#define FL_KEEP_RELEASED(F) F(u64, session, 0) F(u16, packet_id, 0)
/* Delayed; `expires` is a span that begins when it is published. */
#define FL_KEEP_WILL(F) F(u64, session, 0) F(i64, due, 0) FL_KEEP_BODY(F)
/* Of two about one topic the higher `version` counts, in whatever order they come. */
#define FL_KEEP_RETAIN(F) F(u64, version, 0) F(bytes, owner, FL_LIMIT_HOST) FL_KEEP_BODY(F)
#define FL_KEEP_UNRETAIN(F) F(u64, version, 0) F(bytes, topic, FL_LIMIT_MQTT_TOPIC)
/* On its way from one broker (the low 6 bits of `number`) to the broker `to`, for the sessions
 * there or for a member of a share; or, with FL_KEEP_LIES, it lies with the share, since no member
 * is there. `number` is no other's and grows with each that a broker gives. */
#define FL_KEEP_TRANSIT(F)                                                                         \
    F(u64, number, 0)                                                                              \
    F(u64, message, 0)                                                                             \
    F(u8, to, 0)                                                                                   \
    F(bytes, share, FL_LIMIT_MQTT_TOPIC) /* or empty */
/* This one and all before it that went from the same broker to the broker `to`; with FL_KEEP_LIES
 * only this one. What came of it is written together with this. */
#define FL_KEEP_ARRIVED(F) F(u64, number, 0) F(u8, to, 0)

/* A TLS session that may be resumed at the listener `listener`, in OpenSSL's own form, and the
 * certificate that it began with. Not the broker's. */
#define FL_KEEP_TLS_SESSION(F)                                                                     \
    F(bytes, listener, 32)                                                                         \
    F(bytes, id, 32)                                                                               \
    F(bytes, session, FL_LIMIT_CHAIN)                                                              \
    F(bytes, device, FL_LIMIT_HOST)                                                                \
    F(u8, kind, 0) /* enum fl_cert_kind */                                                         \
    F(i64, not_before, 0)                                                                          \
    F(i64, not_after, 0)                                                                           \
    F(bytes, serial, FL_LIMIT_SERIAL_HEX)                                                          \
    F(bytes, sha256, 32)
#define FL_KEEP_TLS_GONE(F) F(bytes, listener, 32) F(bytes, id, 32)

/* The will of a client that is there, whether its session outlives the connection or not: it is
 * said if the process dies and the client does not come back. `key` as of SESSION; `expires` as of
 * WILL. */
#define FL_KEEP_TESTAMENT(F)                                                                       \
    F(u64, number, 0)                                                                              \
    F(u32, delay_s, 0)                                                                             \
    F(bytes, key, FL_LIMIT_HOST + 1 + FL_LIMIT_MQTT_CLIENT_ID)                                     \
    FL_KEEP_BODY(F)
/* It has been said, or never will be. */
#define FL_KEEP_TESTAMENT_GONE(F) F(u64, number, 0)

enum {
    FL_KEEP_NO_LOCAL = 1, /* of SUBSCRIBE */
    FL_KEEP_AS_PUBLISHED = 2,

    FL_KEEP_RETAINED = 1, /* of QUEUE */
    FL_KEEP_SENT = 2,
    FL_KEEP_RELEASING = 4,

    FL_KEEP_LIES = 255, /* as a broker */
};

/* name, value on the disk, fields. Values are append only. */
#define FL_KEEPS(K)                                                                                \
    K(session, 1, FL_KEEP_SESSION)                                                                 \
    K(gone, 2, FL_KEEP_GONE)                                                                       \
    K(subscribe, 3, FL_KEEP_SUBSCRIBE)                                                             \
    K(unsubscribe, 4, FL_KEEP_UNSUBSCRIBE)                                                         \
    K(message, 5, FL_KEEP_MESSAGE)                                                                 \
    K(queue, 6, FL_KEEP_QUEUE)                                                                     \
    K(done, 7, FL_KEEP_DONE)                                                                       \
    K(release, 8, FL_KEEP_RELEASE)                                                                 \
    K(received, 9, FL_KEEP_RECEIVED)                                                               \
    K(released, 10, FL_KEEP_RELEASED)                                                              \
    K(will, 11, FL_KEEP_WILL)                                                                      \
    K(retain, 12, FL_KEEP_RETAIN)                                                                  \
    K(unretain, 13, FL_KEEP_UNRETAIN)                                                              \
    K(transit, 14, FL_KEEP_TRANSIT)                                                                \
    K(arrived, 15, FL_KEEP_ARRIVED)                                                                \
    K(tls_session, 16, FL_KEEP_TLS_SESSION)                                                        \
    K(tls_gone, 17, FL_KEEP_TLS_GONE)                                                              \
    K(testament, 18, FL_KEEP_TESTAMENT)                                                            \
    K(testament_gone, 19, FL_KEEP_TESTAMENT_GONE)

enum fl_keep_type {
#define FL_KEEP_ENUM(name, value, fields) fl_keep_type_##name = (value),
    FL_KEEPS(FL_KEEP_ENUM)
#undef FL_KEEP_ENUM
};

#define FL_KEEP_C_u8 uint8_t
#define FL_KEEP_C_u16 uint16_t
#define FL_KEEP_C_u32 uint32_t
#define FL_KEEP_C_u64 uint64_t
#define FL_KEEP_C_i64 int64_t
#define FL_KEEP_C_bytes struct fl_slice
#define FL_KEEP_MEMBER(kind, name, max) FL_KEEP_C_##kind name;
#define FL_KEEP_STRUCT(name, value, fields)                                                        \
    struct fl_keep_##name {                                                                        \
        fields(FL_KEEP_MEMBER)                                                                     \
    };
FL_KEEPS(FL_KEEP_STRUCT)
#undef FL_KEEP_STRUCT
#undef FL_KEEP_MEMBER

struct fl_keep {
    enum fl_keep_type type;
    union {
#define FL_KEEP_IN_UNION(name, value, fields) struct fl_keep_##name name;
        FL_KEEPS(FL_KEEP_IN_UNION)
#undef FL_KEEP_IN_UNION
    } as;
};

/* Appends one record. FL_EINVAL: a field is over its maximum; FL_ELIMIT: the buffer is full. On
 * failure the buffer is as it was. */
FL_MUST_USE enum fl_error fl_keep_encode(const struct fl_keep *record, struct fl_buffer *out);

/* Takes one record off the front of `in`. FL_ENOTFOUND: there is none. FL_EPARSE: not one of
 * these, with words. */
FL_MUST_USE enum fl_error fl_keep_decode(struct fl_slice *in, struct fl_keep *record,
                                         struct fl_context *ctx);

const char *fl_keep_name(enum fl_keep_type type);

#endif
