/* SPDX-License-Identifier: Apache-2.0
 *
 * Every packet of MQTT 3.1.1 and 5.0, both directions: bytes <-> values. Pure: no allocation but in
 * the output buffer, no clock. Decoded texts are slices of the input. Decoding is strict: what the
 * specifications call malformed or a protocol error is refused with the reason code that MQTT 5
 * gives it. What a session or a server allows beyond that (states, limits of topics) is not judged
 * here.
 */
#ifndef FL_CODEC_MQTT_H
#define FL_CODEC_MQTT_H

#include "base/buffer.h"
#include "base/limits.h"

enum fl_mqtt_version { FL_MQTT_ANY = 0, FL_MQTT_3 = 4, FL_MQTT_5 = 5 }; /* ANY: before CONNECT */

enum fl_mqtt_type {
    FL_MQTT_CONNECT = 1,
    FL_MQTT_CONNACK = 2,
    FL_MQTT_PUBLISH = 3,
    FL_MQTT_PUBACK = 4,
    FL_MQTT_PUBREC = 5,
    FL_MQTT_PUBREL = 6,
    FL_MQTT_PUBCOMP = 7,
    FL_MQTT_SUBSCRIBE = 8,
    FL_MQTT_SUBACK = 9,
    FL_MQTT_UNSUBSCRIBE = 10,
    FL_MQTT_UNSUBACK = 11,
    FL_MQTT_PINGREQ = 12,
    FL_MQTT_PINGRESP = 13,
    FL_MQTT_DISCONNECT = 14,
    FL_MQTT_AUTH = 15,
};
#define FL_MQTT_TYPES 16
#define FL_MQTT_BIT(type) (1U << (type))
#define FL_MQTT_WILL_BIT 1U /* the will's properties, inside CONNECT */

#define FL_MQTT_ACKS_                                                                              \
    (FL_MQTT_BIT(FL_MQTT_PUBACK) | FL_MQTT_BIT(FL_MQTT_PUBREC) | FL_MQTT_BIT(FL_MQTT_PUBREL) |     \
     FL_MQTT_BIT(FL_MQTT_PUBCOMP))
#define FL_MQTT_SUBACKS_ (FL_MQTT_BIT(FL_MQTT_SUBACK) | FL_MQTT_BIT(FL_MQTT_UNSUBACK))
#define FL_MQTT_RECEIPTS_ (FL_MQTT_BIT(FL_MQTT_PUBACK) | FL_MQTT_BIT(FL_MQTT_PUBREC))
#define FL_MQTT_ENDS_ (FL_MQTT_BIT(FL_MQTT_CONNACK) | FL_MQTT_BIT(FL_MQTT_DISCONNECT))
#define FL_MQTT_MESSAGES_ (FL_MQTT_BIT(FL_MQTT_PUBLISH) | FL_MQTT_WILL_BIT)

/* name, value, words, the packets it may stand in (MQTT 5.0 section 2.4). */
#define FL_MQTT_REASONS(R)                                                                         \
    R(SUCCESS, 0x00, "success",                                                                    \
      FL_MQTT_ENDS_ | FL_MQTT_ACKS_ | FL_MQTT_SUBACKS_ | FL_MQTT_BIT(FL_MQTT_AUTH))                \
    R(GRANTED_QOS_1, 0x01, "granted QoS 1", FL_MQTT_BIT(FL_MQTT_SUBACK))                           \
    R(GRANTED_QOS_2, 0x02, "granted QoS 2", FL_MQTT_BIT(FL_MQTT_SUBACK))                           \
    R(DISCONNECT_WITH_WILL, 0x04, "disconnect with will", FL_MQTT_BIT(FL_MQTT_DISCONNECT))         \
    R(NO_SUBSCRIBERS, 0x10, "no matching subscribers", FL_MQTT_RECEIPTS_)                          \
    R(NO_SUBSCRIPTION, 0x11, "no subscription existed", FL_MQTT_BIT(FL_MQTT_UNSUBACK))             \
    R(CONTINUE_AUTH, 0x18, "continue authentication", FL_MQTT_BIT(FL_MQTT_AUTH))                   \
    R(REAUTHENTICATE, 0x19, "re-authenticate", FL_MQTT_BIT(FL_MQTT_AUTH))                          \
    R(UNSPECIFIED, 0x80, "unspecified error",                                                      \
      FL_MQTT_ENDS_ | FL_MQTT_RECEIPTS_ | FL_MQTT_SUBACKS_)                                        \
    R(MALFORMED, 0x81, "malformed packet", FL_MQTT_ENDS_)                                          \
    R(PROTOCOL_ERROR, 0x82, "protocol error", FL_MQTT_ENDS_)                                       \
    R(IMPLEMENTATION, 0x83, "implementation specific error",                                       \
      FL_MQTT_ENDS_ | FL_MQTT_RECEIPTS_ | FL_MQTT_SUBACKS_)                                        \
    R(UNSUPPORTED_VERSION, 0x84, "unsupported protocol version", FL_MQTT_BIT(FL_MQTT_CONNACK))     \
    R(CLIENT_ID_INVALID, 0x85, "client identifier not valid", FL_MQTT_BIT(FL_MQTT_CONNACK))        \
    R(BAD_USER, 0x86, "bad user name or password", FL_MQTT_BIT(FL_MQTT_CONNACK))                   \
    R(NOT_AUTHORIZED, 0x87, "not authorized",                                                      \
      FL_MQTT_ENDS_ | FL_MQTT_RECEIPTS_ | FL_MQTT_SUBACKS_)                                        \
    R(UNAVAILABLE, 0x88, "server unavailable", FL_MQTT_BIT(FL_MQTT_CONNACK))                       \
    R(SERVER_BUSY, 0x89, "server busy", FL_MQTT_ENDS_)                                             \
    R(BANNED, 0x8A, "banned", FL_MQTT_BIT(FL_MQTT_CONNACK))                                        \
    R(SHUTTING_DOWN, 0x8B, "server shutting down", FL_MQTT_BIT(FL_MQTT_DISCONNECT))                \
    R(BAD_AUTH_METHOD, 0x8C, "bad authentication method", FL_MQTT_ENDS_)                           \
    R(KEEP_ALIVE, 0x8D, "keep alive timeout", FL_MQTT_BIT(FL_MQTT_DISCONNECT))                     \
    R(TAKEN_OVER, 0x8E, "session taken over", FL_MQTT_BIT(FL_MQTT_DISCONNECT))                     \
    R(FILTER_INVALID, 0x8F, "topic filter invalid",                                                \
      FL_MQTT_SUBACKS_ | FL_MQTT_BIT(FL_MQTT_DISCONNECT))                                          \
    R(TOPIC_INVALID, 0x90, "topic name invalid", FL_MQTT_ENDS_ | FL_MQTT_RECEIPTS_)                \
    R(PACKET_ID_IN_USE, 0x91, "packet identifier in use", FL_MQTT_RECEIPTS_ | FL_MQTT_SUBACKS_)    \
    R(PACKET_ID_NOT_FOUND, 0x92, "packet identifier not found",                                    \
      FL_MQTT_BIT(FL_MQTT_PUBREL) | FL_MQTT_BIT(FL_MQTT_PUBCOMP))                                  \
    R(RECEIVE_MAXIMUM, 0x93, "receive maximum exceeded", FL_MQTT_BIT(FL_MQTT_DISCONNECT))          \
    R(TOPIC_ALIAS, 0x94, "topic alias invalid", FL_MQTT_BIT(FL_MQTT_DISCONNECT))                   \
    R(PACKET_TOO_LARGE, 0x95, "packet too large", FL_MQTT_ENDS_)                                   \
    R(RATE_TOO_HIGH, 0x96, "message rate too high", FL_MQTT_BIT(FL_MQTT_DISCONNECT))               \
    R(QUOTA, 0x97, "quota exceeded",                                                               \
      FL_MQTT_ENDS_ | FL_MQTT_RECEIPTS_ | FL_MQTT_BIT(FL_MQTT_SUBACK))                             \
    R(ADMINISTRATIVE, 0x98, "administrative action", FL_MQTT_BIT(FL_MQTT_DISCONNECT))              \
    R(PAYLOAD_FORMAT, 0x99, "payload format invalid", FL_MQTT_ENDS_ | FL_MQTT_RECEIPTS_)           \
    R(RETAIN_UNSUPPORTED, 0x9A, "retain not supported", FL_MQTT_ENDS_)                             \
    R(QOS_UNSUPPORTED, 0x9B, "QoS not supported", FL_MQTT_ENDS_)                                   \
    R(USE_ANOTHER_SERVER, 0x9C, "use another server", FL_MQTT_ENDS_)                               \
    R(SERVER_MOVED, 0x9D, "server moved", FL_MQTT_ENDS_)                                           \
    R(SHARED_UNSUPPORTED, 0x9E, "shared subscriptions not supported",                              \
      FL_MQTT_BIT(FL_MQTT_SUBACK) | FL_MQTT_BIT(FL_MQTT_DISCONNECT))                               \
    R(CONNECTION_RATE, 0x9F, "connection rate exceeded", FL_MQTT_ENDS_)                            \
    R(CONNECT_TIME, 0xA0, "maximum connect time", FL_MQTT_BIT(FL_MQTT_DISCONNECT))                 \
    R(SUBSCRIPTION_IDS, 0xA1, "subscription identifiers not supported",                            \
      FL_MQTT_BIT(FL_MQTT_SUBACK) | FL_MQTT_BIT(FL_MQTT_DISCONNECT))                               \
    R(WILDCARDS, 0xA2, "wildcard subscriptions not supported",                                     \
      FL_MQTT_BIT(FL_MQTT_SUBACK) | FL_MQTT_BIT(FL_MQTT_DISCONNECT))

enum fl_mqtt_reason {
#define FL_MQTT_REASON_ENUM(name, value, words, packets) FL_MQTT_##name = (value),
    FL_MQTT_REASONS(FL_MQTT_REASON_ENUM)
#undef FL_MQTT_REASON_ENUM
};
const char *fl_mqtt_reason_words(uint8_t reason); /* never NULL */

#define FL_MQTT_AUTHS_                                                                             \
    (FL_MQTT_BIT(FL_MQTT_CONNECT) | FL_MQTT_BIT(FL_MQTT_CONNACK) | FL_MQTT_BIT(FL_MQTT_AUTH))
#define FL_MQTT_OPENS_ (FL_MQTT_BIT(FL_MQTT_CONNECT) | FL_MQTT_BIT(FL_MQTT_CONNACK))

/* name, id, kind, packets (MQTT 5.0 table 2-4). User properties are not values here: see `raw`. */
#define FL_MQTT_PROPERTIES(P)                                                                      \
    P(payload_format, 0x01, byte, FL_MQTT_MESSAGES_)                                               \
    P(message_expiry_s, 0x02, four, FL_MQTT_MESSAGES_)                                             \
    P(content_type, 0x03, text, FL_MQTT_MESSAGES_)                                                 \
    P(response_topic, 0x08, text, FL_MQTT_MESSAGES_)                                               \
    P(correlation_data, 0x09, data, FL_MQTT_MESSAGES_)                                             \
    P(subscription_id, 0x0B, vari, FL_MQTT_BIT(FL_MQTT_PUBLISH) | FL_MQTT_BIT(FL_MQTT_SUBSCRIBE))  \
    P(session_expiry_s, 0x11, four, FL_MQTT_OPENS_ | FL_MQTT_BIT(FL_MQTT_DISCONNECT))              \
    P(assigned_client_id, 0x12, text, FL_MQTT_BIT(FL_MQTT_CONNACK))                                \
    P(server_keep_alive_s, 0x13, two, FL_MQTT_BIT(FL_MQTT_CONNACK))                                \
    P(auth_method, 0x15, text, FL_MQTT_AUTHS_)                                                     \
    P(auth_data, 0x16, data, FL_MQTT_AUTHS_)                                                       \
    P(request_problem, 0x17, byte, FL_MQTT_BIT(FL_MQTT_CONNECT))                                   \
    P(will_delay_s, 0x18, four, FL_MQTT_WILL_BIT)                                                  \
    P(request_response, 0x19, byte, FL_MQTT_BIT(FL_MQTT_CONNECT))                                  \
    P(response_information, 0x1A, text, FL_MQTT_BIT(FL_MQTT_CONNACK))                              \
    P(server_reference, 0x1C, text, FL_MQTT_ENDS_)                                                 \
    P(reason_string, 0x1F, text,                                                                   \
      FL_MQTT_ENDS_ | FL_MQTT_ACKS_ | FL_MQTT_SUBACKS_ | FL_MQTT_BIT(FL_MQTT_AUTH))                \
    P(receive_maximum, 0x21, two, FL_MQTT_OPENS_)                                                  \
    P(topic_alias_maximum, 0x22, two, FL_MQTT_OPENS_)                                              \
    P(topic_alias, 0x23, two, FL_MQTT_BIT(FL_MQTT_PUBLISH))                                        \
    P(maximum_qos, 0x24, byte, FL_MQTT_BIT(FL_MQTT_CONNACK))                                       \
    P(retain_available, 0x25, byte, FL_MQTT_BIT(FL_MQTT_CONNACK))                                  \
    P(maximum_packet_size, 0x27, four, FL_MQTT_OPENS_)                                             \
    P(wildcard_available, 0x28, byte, FL_MQTT_BIT(FL_MQTT_CONNACK))                                \
    P(subscription_ids_available, 0x29, byte, FL_MQTT_BIT(FL_MQTT_CONNACK))                        \
    P(shared_available, 0x2A, byte, FL_MQTT_BIT(FL_MQTT_CONNACK))

enum fl_mqtt_property {
    FL_MQTT_USER_PROPERTY = 0x26,
#define FL_MQTT_PROPERTY_ENUM(name, id, kind, packets) fl_mqtt_has_##name = (id),
    FL_MQTT_PROPERTIES(FL_MQTT_PROPERTY_ENUM)
#undef FL_MQTT_PROPERTY_ENUM
};

#define FL_MQTT_C_byte uint32_t
#define FL_MQTT_C_two uint32_t
#define FL_MQTT_C_four uint32_t
#define FL_MQTT_C_vari uint32_t
#define FL_MQTT_C_text struct fl_slice
#define FL_MQTT_C_data struct fl_slice

struct fl_mqtt_properties {
    uint64_t has; /* bit `id` is set when the property is there */
#define FL_MQTT_PROPERTY_MEMBER(name, id, kind, packets) FL_MQTT_C_##kind name;
    FL_MQTT_PROPERTIES(FL_MQTT_PROPERTY_MEMBER)
#undef FL_MQTT_PROPERTY_MEMBER
    /* Decoded: the whole block, user properties too. Encoded: copied verbatim after the others
     * (already encoded properties: user properties, what a broker forwards). */
    struct fl_slice raw;
};
#define FL_MQTT_HAS(properties, name) (((properties)->has >> fl_mqtt_has_##name & 1U) != 0)
#define FL_MQTT_SET(properties, name, value)                                                       \
    ((properties)->has |= (uint64_t)1 << fl_mqtt_has_##name, (properties)->name = (value))

struct fl_mqtt_will {
    bool present;
    bool retain;
    uint8_t qos;
    struct fl_slice topic;
    struct fl_slice payload;
    struct fl_slice properties; /* a block checked already: fl_mqtt_properties_decode; MQTT 5 */
};

struct fl_mqtt_packet {
    enum fl_mqtt_type type;
    struct fl_mqtt_properties properties;
    union {
        struct {
            enum fl_mqtt_version version;
            bool clean;
            bool has_user;
            bool has_password;
            uint16_t keep_alive_s;
            struct fl_slice client_id;
            struct fl_slice user;
            struct fl_slice password;
            struct fl_mqtt_will will;
        } connect;
        struct {
            bool session_present;
            uint8_t reason; /* 3.1.1: the return code, 0 to 5 */
        } connack;
        struct {
            bool dup;
            bool retain;
            uint8_t qos;
            uint16_t packet_id; /* 0 with QoS 0 */
            struct fl_slice topic;
            struct fl_slice payload;
            const uint32_t *subscription_ids; /* encoding only: as many as are to be written */
            size_t subscription_id_count;
        } publish;
        struct {
            uint16_t packet_id;
            uint8_t reason;
        } ack; /* PUBACK PUBREC PUBREL PUBCOMP */
        struct {
            uint16_t packet_id;
            struct fl_slice filters; /* fl_mqtt_next_filter; encoding: fl_mqtt_put_filter */
        } subscribe;                 /* UNSUBSCRIBE too */
        struct {
            uint16_t packet_id;
            struct fl_slice reasons; /* one octet for each filter; none in a 3.1.1 UNSUBACK */
        } suback;                    /* UNSUBACK too */
        struct {
            uint8_t reason;
        } end; /* DISCONNECT AUTH */
    } as;
};

struct fl_mqtt_filter {
    struct fl_slice filter;
    uint8_t qos;
    bool no_local;
    bool retain_as_published;
    uint8_t retain_handling;
};

/* Why a packet was refused. */
struct fl_mqtt_fault {
    uint8_t reason; /* MQTT 5 reason code */
    const char *text;
};

struct fl_mqtt_mode {
    enum fl_mqtt_version version;
    bool from_server;    /* who sends what is decoded */
    uint32_t packet_max; /* the whole packet, header too */
};

/* The size of the packet at the front of `in`, as soon as its header is there: FL_EMORE before.
 * What the header alone proves wrong is refused as fl_mqtt_decode does. */
FL_MUST_USE enum fl_error fl_mqtt_peek(struct fl_slice in, const struct fl_mqtt_mode *mode,
                                       size_t *packet_size, struct fl_mqtt_fault *fault);

/* Takes one packet off the front of `in`. FL_EMORE: not all there yet, `in` unchanged. FL_EPARSE:
 * malformed or a protocol error; FL_ELIMIT: too large; FL_EUNSUPPORTED: CONNECT of another protocol
 * level, which is in out->as.connect.version as a number. With version FL_MQTT_ANY only CONNECT is
 * taken. */
FL_MUST_USE enum fl_error fl_mqtt_decode(struct fl_slice *in, const struct fl_mqtt_mode *mode,
                                         struct fl_mqtt_packet *out, struct fl_mqtt_fault *fault);

/* Appends one packet. FL_ELIMIT: larger than `packet_max` or than the buffer allows; FL_EINVAL:
 * cannot be said in MQTT (a text over 65535 octets). On failure the buffer is as it was. CONNECT is
 * encoded for its own version. */
FL_MUST_USE enum fl_error fl_mqtt_encode(const struct fl_mqtt_packet *packet,
                                         enum fl_mqtt_version version, size_t packet_max,
                                         struct fl_buffer *out);

/* Walks the filters of a decoded SUBSCRIBE or UNSUBSCRIBE; false at the end. */
bool fl_mqtt_next_filter(struct fl_slice *filters, enum fl_mqtt_type type,
                         struct fl_mqtt_filter *filter);
FL_MUST_USE enum fl_error fl_mqtt_put_filter(struct fl_buffer *filters, enum fl_mqtt_type type,
                                             const struct fl_mqtt_filter *filter);

/* A block of properties without its length. `packets` is one FL_MQTT_BIT or FL_MQTT_WILL_BIT. */
FL_MUST_USE enum fl_error fl_mqtt_properties_decode(struct fl_slice block, unsigned packets,
                                                    bool from_server,
                                                    struct fl_mqtt_properties *out,
                                                    struct fl_mqtt_fault *fault);
/* Walks the user properties of a checked block; false at the end. */
bool fl_mqtt_next_user(struct fl_slice *block, struct fl_slice *name, struct fl_slice *value);
/* Appends those properties of a checked PUBLISH or will block that travel with the message
 * unchanged: all but message expiry, topic alias, subscription identifier and will delay. */
FL_MUST_USE enum fl_error fl_mqtt_put_forwarded(struct fl_slice block, struct fl_buffer *out);

/* Rules of topics (MQTT 5.0 section 4.7): no U+0000, at least one character, at most 65535 octets;
 * a name has no wildcard, a filter has them only as whole levels and '#' last. UTF-8 too. */
bool fl_mqtt_topic_valid(struct fl_slice topic);
bool fl_mqtt_filter_valid(struct fl_slice filter);
bool fl_mqtt_filter_is_shared(struct fl_slice filter); /* begins with "$share/" */
/* "$share/NAME/FILTER" -> FILTER; false: not of that form (section 4.8.2). */
FL_MUST_USE bool fl_mqtt_share_filter(struct fl_slice shared, struct fl_slice *filter);
size_t fl_mqtt_topic_levels(struct fl_slice topic); /* at least 1 */
bool fl_mqtt_topic_matches(struct fl_slice filter, struct fl_slice topic);
/* The same for what follows a level that both have: a '$' is nothing special there. */
bool fl_mqtt_levels_match(struct fl_slice filter, struct fl_slice topic);
bool fl_mqtt_text_valid(struct fl_slice text); /* UTF-8 without U+0000 */

#endif
