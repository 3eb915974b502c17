/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/mqtt_wire.h"

#include "base/assert.h"

#define BODY_MAX 268435455U

struct reason_row {
    const char *words;
    unsigned packets;
};

static const struct reason_row reasons[256] = {
#define REASON_ROW(name, value, words, packets) [value] = {words, packets},
    FL_MQTT_REASONS(REASON_ROW)
#undef REASON_ROW
};

const char *fl_mqtt_reason_words(uint8_t reason)
{
    return reasons[reason].words ? reasons[reason].words : "unknown reason";
}

static bool malformed(struct fl_mqtt_reader *r, const char *text)
{
    return fl_mqtt_bad(r, FL_MQTT_MALFORMED, text);
}

static bool check_reason(struct fl_mqtt_reader *r, enum fl_mqtt_type type, uint8_t reason)
{
    return reasons[reason].packets & FL_MQTT_BIT(type) ||
           fl_mqtt_bad(r, FL_MQTT_PROTOCOL_ERROR, "a reason code that this packet cannot have");
}

static bool read_packet_id(struct fl_mqtt_reader *r, uint16_t *id)
{
    if (!fl_mqtt_read_two(r, id))
        return false;
    return *id != 0 || fl_mqtt_bad(r, FL_MQTT_PROTOCOL_ERROR, "packet identifier 0");
}

static bool read_properties(struct fl_mqtt_reader *r, unsigned packet, bool from_server,
                            struct fl_mqtt_properties *out)
{
    struct fl_slice block = {0};

    return fl_mqtt_read_block(r, &block) &&
           fl_mqtt_properties_decode(block, packet, from_server, out, &r->fault) == FL_OK;
}

struct decoding {
    struct fl_mqtt_reader r;
    enum fl_mqtt_version version;
    bool from_server;
    uint8_t flags;
    enum fl_error error; /* FL_EUNSUPPORTED */
    struct fl_mqtt_packet *out;
};

static bool properties_of(struct decoding *d)
{
    return d->version != FL_MQTT_5 ||
           read_properties(&d->r, FL_MQTT_BIT(d->out->type), d->from_server, &d->out->properties);
}

static bool read_topic(struct fl_mqtt_reader *r, struct fl_slice *topic)
{
    if (!fl_mqtt_read_text(r, topic))
        return false;
    return topic->size == 0 || fl_mqtt_topic_valid(*topic) ||
           malformed(r, "a topic name with a wildcard");
}

static bool decode_will(struct decoding *d, uint8_t flags)
{
    struct fl_mqtt_will *will = &d->out->as.connect.will;
    struct fl_mqtt_properties properties;

    will->present = (flags & 0x04) != 0;
    will->qos = flags >> 3 & 3;
    will->retain = (flags & 0x20) != 0;
    if (!will->present)
        return (will->qos == 0 && !will->retain) || malformed(&d->r, "will flags without a will");
    if (will->qos == 3)
        return malformed(&d->r, "will QoS 3");
    if (d->version == FL_MQTT_5) {
        if (!read_properties(&d->r, FL_MQTT_WILL_BIT, d->from_server, &properties))
            return false;
        will->properties = properties.raw;
    }
    if (!read_topic(&d->r, &will->topic))
        return false;
    if (will->topic.size == 0)
        return malformed(&d->r, "an empty will topic");
    return fl_mqtt_read_data(&d->r, &will->payload);
}

static bool decode_connect(struct decoding *d)
{
    struct fl_slice protocol = {0};
    uint8_t level = 0;
    uint8_t flags = 0;

    if (!fl_mqtt_read_data(&d->r, &protocol) || !fl_mqtt_read_byte(&d->r, &level))
        return false;
    if (!fl_slice_is(protocol, "MQTT") && !fl_slice_is(protocol, "MQIsdp"))
        return malformed(&d->r, "not the protocol name \"MQTT\"");
    d->version = level == 5 ? FL_MQTT_5 : FL_MQTT_3;
    d->out->as.connect.version = (enum fl_mqtt_version)level;
    if ((level != 4 && level != 5) || protocol.size != 4) {
        d->error = FL_EUNSUPPORTED;
        return fl_mqtt_bad(&d->r, FL_MQTT_UNSUPPORTED_VERSION, "unsupported protocol version");
    }
    if (!fl_mqtt_read_byte(&d->r, &flags))
        return false;
    if (flags & 1)
        return malformed(&d->r, "the reserved flag of CONNECT is set");
    d->out->as.connect.clean = (flags & 0x02) != 0;
    d->out->as.connect.has_user = (flags & 0x80) != 0;
    d->out->as.connect.has_password = (flags & 0x40) != 0;
    if (d->version == FL_MQTT_3 && (flags & 0xC0) == 0x40)
        return malformed(&d->r, "a password without a user name");
    if (!fl_mqtt_read_two(&d->r, &d->out->as.connect.keep_alive_s) || !properties_of(d) ||
        !fl_mqtt_read_text(&d->r, &d->out->as.connect.client_id) || !decode_will(d, flags))
        return false;
    if ((flags & 0x80) && !fl_mqtt_read_text(&d->r, &d->out->as.connect.user))
        return false;
    return !(flags & 0x40) || fl_mqtt_read_data(&d->r, &d->out->as.connect.password);
}

static bool decode_connack(struct decoding *d)
{
    uint8_t flags = 0;
    uint8_t reason = 0;

    if (!fl_mqtt_read_byte(&d->r, &flags) || !fl_mqtt_read_byte(&d->r, &reason))
        return false;
    d->out->as.connack.session_present = flags & 1;
    d->out->as.connack.reason = reason;
    if (flags > 1)
        return malformed(&d->r, "a reserved flag of CONNACK is set");
    if (flags == 1 && reason != 0)
        return fl_mqtt_bad(&d->r, FL_MQTT_PROTOCOL_ERROR, "a refusal with a session present");
    if (d->version == FL_MQTT_3)
        return reason <= 5 || fl_mqtt_bad(&d->r, FL_MQTT_PROTOCOL_ERROR, "unknown return code");
    return check_reason(&d->r, FL_MQTT_CONNACK, reason) && properties_of(d);
}

static bool decode_publish(struct decoding *d)
{
    struct fl_mqtt_packet *out = d->out;

    out->as.publish.dup = (d->flags & 8) != 0;
    out->as.publish.retain = (d->flags & 1) != 0;
    out->as.publish.qos = d->flags >> 1 & 3;
    if (out->as.publish.qos == 3)
        return malformed(&d->r, "QoS 3");
    if (out->as.publish.qos == 0 && out->as.publish.dup)
        return malformed(&d->r, "DUP with QoS 0");
    if (!read_topic(&d->r, &out->as.publish.topic) ||
        (out->as.publish.qos && !read_packet_id(&d->r, &out->as.publish.packet_id)) ||
        !properties_of(d))
        return false;
    if (out->as.publish.topic.size == 0 && !FL_MQTT_HAS(&out->properties, topic_alias))
        return fl_mqtt_bad(&d->r, FL_MQTT_PROTOCOL_ERROR, "no topic");
    out->as.publish.payload = d->r.left;
    d->r.left = fl_slice(NULL, 0);
    return true;
}

static bool decode_ack(struct decoding *d)
{
    if (!read_packet_id(&d->r, &d->out->as.ack.packet_id))
        return false;
    if (d->version == FL_MQTT_3 || d->r.left.size == 0)
        return true;
    if (!fl_mqtt_read_byte(&d->r, &d->out->as.ack.reason) ||
        !check_reason(&d->r, d->out->type, d->out->as.ack.reason))
        return false;
    return d->r.left.size == 0 || properties_of(d);
}

static bool read_filter(struct decoding *d, bool subscribe)
{
    struct fl_slice filter = {0};
    uint8_t options = 0;

    if (!fl_mqtt_read_text(&d->r, &filter))
        return false;
    if (!fl_mqtt_filter_valid(filter))
        return malformed(&d->r, "not a topic filter");
    if (!subscribe)
        return true;
    if (!fl_mqtt_read_byte(&d->r, &options))
        return false;
    if (options & (d->version == FL_MQTT_5 ? 0xC0 : 0xFC))
        return malformed(&d->r, "a reserved subscription option is set");
    if ((options & 3) == 3)
        return fl_mqtt_bad(&d->r, FL_MQTT_PROTOCOL_ERROR, "subscription to QoS 3");
    if ((options & 0x30) == 0x30)
        return fl_mqtt_bad(&d->r, FL_MQTT_PROTOCOL_ERROR, "retain handling 3");
    if ((options & 4) && fl_mqtt_filter_is_shared(filter))
        return fl_mqtt_bad(&d->r, FL_MQTT_PROTOCOL_ERROR, "no local with a shared subscription");
    return true;
}

static bool decode_subscribe(struct decoding *d)
{
    if (!read_packet_id(&d->r, &d->out->as.subscribe.packet_id) || !properties_of(d))
        return false;
    d->out->as.subscribe.filters = d->r.left;
    if (d->r.left.size == 0)
        return fl_mqtt_bad(&d->r, FL_MQTT_PROTOCOL_ERROR, "no topic filter");
    while (d->r.left.size)
        if (!read_filter(d, d->out->type == FL_MQTT_SUBSCRIBE))
            return false;
    return true;
}

static bool decode_suback(struct decoding *d)
{
    if (!read_packet_id(&d->r, &d->out->as.suback.packet_id) || !properties_of(d))
        return false;
    if (d->version == FL_MQTT_3 && d->out->type == FL_MQTT_UNSUBACK)
        return true;
    d->out->as.suback.reasons = d->r.left;
    if (d->r.left.size == 0)
        return fl_mqtt_bad(&d->r, FL_MQTT_PROTOCOL_ERROR, "no reason codes");
    for (size_t i = 0; i < d->r.left.size; i++) {
        uint8_t reason = d->r.left.data[i];
        if (!check_reason(&d->r, d->out->type, reason))
            return false;
        if (d->version == FL_MQTT_3 && reason > 2 && reason != 0x80)
            return fl_mqtt_bad(&d->r, FL_MQTT_PROTOCOL_ERROR, "unknown return code");
    }
    d->r.left = fl_slice(NULL, 0);
    return true;
}

static bool decode_ping(struct decoding *d)
{
    (void)d;
    return true;
}

static bool decode_end(struct decoding *d)
{
    if (d->version == FL_MQTT_3 || d->r.left.size == 0)
        return true;
    if (!fl_mqtt_read_byte(&d->r, &d->out->as.end.reason) ||
        !check_reason(&d->r, d->out->type, d->out->as.end.reason))
        return false;
    if (d->out->as.end.reason == FL_MQTT_DISCONNECT_WITH_WILL && d->from_server)
        return fl_mqtt_bad(&d->r, FL_MQTT_PROTOCOL_ERROR, "a reason code of the other side");
    return d->r.left.size == 0 || properties_of(d);
}

enum { FROM_CLIENT = 1, FROM_SERVER = 2, FROM_BOTH = 3 };

struct type_row {
    bool (*decode)(struct decoding *d);
    uint8_t flags; /* that it must have; PUBLISH has its own */
    uint8_t from;
};

static const struct type_row types[FL_MQTT_TYPES] = {
    [FL_MQTT_CONNECT] = {decode_connect, 0, FROM_CLIENT},
    [FL_MQTT_CONNACK] = {decode_connack, 0, FROM_SERVER},
    [FL_MQTT_PUBLISH] = {decode_publish, 0, FROM_BOTH},
    [FL_MQTT_PUBACK] = {decode_ack, 0, FROM_BOTH},
    [FL_MQTT_PUBREC] = {decode_ack, 0, FROM_BOTH},
    [FL_MQTT_PUBREL] = {decode_ack, 2, FROM_BOTH},
    [FL_MQTT_PUBCOMP] = {decode_ack, 0, FROM_BOTH},
    [FL_MQTT_SUBSCRIBE] = {decode_subscribe, 2, FROM_CLIENT},
    [FL_MQTT_SUBACK] = {decode_suback, 0, FROM_SERVER},
    [FL_MQTT_UNSUBSCRIBE] = {decode_subscribe, 2, FROM_CLIENT},
    [FL_MQTT_UNSUBACK] = {decode_suback, 0, FROM_SERVER},
    [FL_MQTT_PINGREQ] = {decode_ping, 0, FROM_CLIENT},
    [FL_MQTT_PINGRESP] = {decode_ping, 0, FROM_SERVER},
    [FL_MQTT_DISCONNECT] = {decode_end, 0, FROM_BOTH},
    [FL_MQTT_AUTH] = {decode_end, 0, FROM_BOTH},
};

static enum fl_error refuse(struct fl_mqtt_fault *fault, enum fl_error error, uint8_t reason,
                            const char *text)
{
    *fault = (struct fl_mqtt_fault){.reason = reason, .text = text};
    return error;
}

static enum fl_error check_first(uint8_t first, const struct fl_mqtt_mode *mode,
                                 struct fl_mqtt_fault *fault)
{
    unsigned type = first >> 4;
    uint8_t flags = first & 15;

    if (mode->version == FL_MQTT_ANY && type != FL_MQTT_CONNECT)
        return refuse(fault, FL_EPARSE, FL_MQTT_PROTOCOL_ERROR, "the first packet is not CONNECT");
    if (!types[type].decode || (type == FL_MQTT_AUTH && mode->version != FL_MQTT_5))
        return refuse(fault, FL_EPARSE, FL_MQTT_MALFORMED, "a packet type that does not exist");
    if (!(types[type].from & (mode->from_server ? FROM_SERVER : FROM_CLIENT)) ||
        (type == FL_MQTT_DISCONNECT && mode->from_server && mode->version == FL_MQTT_3))
        return refuse(fault, FL_EPARSE, FL_MQTT_PROTOCOL_ERROR, "a packet of the other side");
    if (type != FL_MQTT_PUBLISH && flags != types[type].flags)
        return refuse(fault, FL_EPARSE, FL_MQTT_MALFORMED, "wrong flags in the fixed header");
    if (type == FL_MQTT_PUBLISH && (flags & 6) == 6)
        return refuse(fault, FL_EPARSE, FL_MQTT_MALFORMED, "QoS 3");
    return FL_OK;
}

static enum fl_error read_head(struct fl_slice in, const struct fl_mqtt_mode *mode,
                               size_t *head_size, size_t *body_size, struct fl_mqtt_fault *fault)
{
    enum fl_error error = FL_OK;
    size_t size = 0;
    size_t at = 1;

    *fault = (struct fl_mqtt_fault){0};
    if (in.size == 0)
        return FL_EMORE;
    error = check_first(in.data[0], mode, fault);
    if (error != FL_OK)
        return error;
    for (;; at++) {
        if (at > 4)
            return refuse(fault, FL_EPARSE, FL_MQTT_MALFORMED,
                          "the remaining length has more than four octets");
        if (at >= in.size)
            return FL_EMORE;
        size |= (size_t)(in.data[at] & 0x7F) << (7 * (at - 1));
        if (!(in.data[at] & 0x80))
            break;
    }
    if (at > 1 && in.data[at] == 0 && mode->version == FL_MQTT_5)
        return refuse(fault, FL_EPARSE, FL_MQTT_MALFORMED,
                      "the remaining length is not in its shortest form");
    *head_size = at + 1;
    *body_size = size;
    if (*head_size + size > mode->packet_max)
        return refuse(fault, FL_ELIMIT, FL_MQTT_PACKET_TOO_LARGE, "the packet is too large");
    return FL_OK;
}

enum fl_error fl_mqtt_peek(struct fl_slice in, const struct fl_mqtt_mode *mode, size_t *packet_size,
                           struct fl_mqtt_fault *fault)
{
    size_t head = 0;
    size_t body = 0;
    enum fl_error error = read_head(in, mode, &head, &body, fault);

    *packet_size = head + body;
    return error;
}

enum fl_error fl_mqtt_decode(struct fl_slice *in, const struct fl_mqtt_mode *mode,
                             struct fl_mqtt_packet *out, struct fl_mqtt_fault *fault)
{
    size_t head = 0;
    size_t body = 0;
    enum fl_error error = read_head(*in, mode, &head, &body, fault);
    struct decoding d = {.version = mode->version, .from_server = mode->from_server, .out = out};

    if (error != FL_OK)
        return error;
    if (in->size < head + body)
        return FL_EMORE;
    *out = (struct fl_mqtt_packet){.type = (enum fl_mqtt_type)(in->data[0] >> 4)};
    d.flags = in->data[0] & 15;
    d.r.left = fl_slice(in->data + head, body);
    d.error = FL_EPARSE;
    if (types[out->type].decode(&d) && d.r.left.size == 0) {
        *in = fl_slice_from(*in, head + body);
        return FL_OK;
    }
    (void)malformed(&d.r, "the packet is longer than its fields");
    *fault = d.r.fault;
    return fault->reason == FL_MQTT_PACKET_TOO_LARGE ? FL_ELIMIT : d.error;
}

bool fl_mqtt_next_filter(struct fl_slice *filters, enum fl_mqtt_type type,
                         struct fl_mqtt_filter *filter)
{
    struct fl_mqtt_reader r = {.left = *filters};
    uint8_t options = 0;

    *filter = (struct fl_mqtt_filter){0};
    if (filters->size == 0 || !fl_mqtt_read_data(&r, &filter->filter) ||
        (type == FL_MQTT_SUBSCRIBE && !fl_mqtt_read_byte(&r, &options)))
        return false;
    filter->qos = options & 3;
    filter->no_local = (options & 4) != 0;
    filter->retain_as_published = (options & 8) != 0;
    filter->retain_handling = options >> 4 & 3;
    *filters = r.left;
    return true;
}

static void write_filter(struct fl_mqtt_writer *w, enum fl_mqtt_type type,
                         const struct fl_mqtt_filter *filter)
{
    fl_mqtt_write_data(w, filter->filter);
    if (type == FL_MQTT_SUBSCRIBE)
        fl_mqtt_write_byte(w, (uint32_t)(filter->qos | filter->no_local << 2 |
                                         filter->retain_as_published << 3 |
                                         filter->retain_handling << 4));
}

enum fl_error fl_mqtt_put_filter(struct fl_buffer *filters, enum fl_mqtt_type type,
                                 const struct fl_mqtt_filter *filter)
{
    struct fl_mqtt_writer w = {0};

    write_filter(&w, type, filter);
    if (w.failed)
        return FL_EINVAL;
    w.at = fl_buffer_reserve(filters, w.size);
    if (!w.at)
        return FL_ELIMIT;
    w.size = 0;
    write_filter(&w, type, filter);
    fl_buffer_commit(filters, w.size);
    return FL_OK;
}

static void write_connect(struct fl_mqtt_writer *w, const struct fl_mqtt_packet *p)
{
    const struct fl_mqtt_will *will = &p->as.connect.will;
    unsigned flags = (unsigned)(p->as.connect.clean << 1 | will->present << 2 | will->qos << 3 |
                                will->retain << 5 | p->as.connect.has_password << 6 |
                                p->as.connect.has_user << 7);

    fl_mqtt_write_data(w, fl_slice_str("MQTT"));
    fl_mqtt_write_byte(w, (uint32_t)p->as.connect.version);
    fl_mqtt_write_byte(w, flags);
    fl_mqtt_write_two(w, p->as.connect.keep_alive_s);
    if (p->as.connect.version == FL_MQTT_5)
        fl_mqtt_write_properties(w, p);
    fl_mqtt_write_data(w, p->as.connect.client_id);
    if (will->present) {
        if (p->as.connect.version == FL_MQTT_5) {
            fl_mqtt_write_vari(w, (uint32_t)will->properties.size);
            fl_mqtt_write_raw(w, will->properties);
        }
        fl_mqtt_write_data(w, will->topic);
        fl_mqtt_write_data(w, will->payload);
    }
    if (p->as.connect.has_user)
        fl_mqtt_write_data(w, p->as.connect.user);
    if (p->as.connect.has_password)
        fl_mqtt_write_data(w, p->as.connect.password);
}

static void write_publish(struct fl_mqtt_writer *w, const struct fl_mqtt_packet *p,
                          enum fl_mqtt_version version)
{
    fl_mqtt_write_data(w, p->as.publish.topic);
    if (p->as.publish.qos)
        fl_mqtt_write_two(w, p->as.publish.packet_id);
    if (version == FL_MQTT_5)
        fl_mqtt_write_properties(w, p);
    fl_mqtt_write_raw(w, p->as.publish.payload);
}

/* A reason code and properties, both left out when they say nothing. */
static void write_reason(struct fl_mqtt_writer *w, const struct fl_mqtt_packet *p, uint8_t reason,
                         enum fl_mqtt_version version)
{
    bool more = fl_mqtt_has_properties(p);

    if (version != FL_MQTT_5 || (reason == 0 && !more))
        return;
    fl_mqtt_write_byte(w, reason);
    if (more)
        fl_mqtt_write_properties(w, p);
}

static void write_body(struct fl_mqtt_writer *w, const struct fl_mqtt_packet *p,
                       enum fl_mqtt_version version)
{
    if (p->type == FL_MQTT_PUBLISH) {
        write_publish(w, p, version);
    } else if (p->type == FL_MQTT_CONNECT) {
        write_connect(w, p);
    } else if (p->type == FL_MQTT_CONNACK) {
        fl_mqtt_write_byte(w, p->as.connack.session_present);
        fl_mqtt_write_byte(w, p->as.connack.reason);
        if (version == FL_MQTT_5)
            fl_mqtt_write_properties(w, p);
    } else if (FL_MQTT_BIT(p->type) & FL_MQTT_ACKS_) {
        fl_mqtt_write_two(w, p->as.ack.packet_id);
        write_reason(w, p, p->as.ack.reason, version);
    } else if (p->type == FL_MQTT_SUBSCRIBE || p->type == FL_MQTT_UNSUBSCRIBE) {
        fl_mqtt_write_two(w, p->as.subscribe.packet_id);
        if (version == FL_MQTT_5)
            fl_mqtt_write_properties(w, p);
        fl_mqtt_write_raw(w, p->as.subscribe.filters);
    } else if (p->type == FL_MQTT_SUBACK || p->type == FL_MQTT_UNSUBACK) {
        fl_mqtt_write_two(w, p->as.suback.packet_id);
        if (version == FL_MQTT_5)
            fl_mqtt_write_properties(w, p);
        if (version == FL_MQTT_5 || p->type == FL_MQTT_SUBACK)
            fl_mqtt_write_raw(w, p->as.suback.reasons);
    } else if (p->type == FL_MQTT_DISCONNECT || p->type == FL_MQTT_AUTH) {
        write_reason(w, p, p->as.end.reason, version);
    }
}

static uint8_t first_byte(const struct fl_mqtt_packet *p)
{
    unsigned flags = types[p->type].flags;

    if (p->type == FL_MQTT_PUBLISH)
        flags = (unsigned)(p->as.publish.dup << 3 | p->as.publish.qos << 1 | p->as.publish.retain);
    return (uint8_t)((unsigned)p->type << 4 | flags);
}

enum fl_error fl_mqtt_encode(const struct fl_mqtt_packet *packet, enum fl_mqtt_version version,
                             size_t packet_max, struct fl_buffer *out)
{
    struct fl_mqtt_writer w = {0};
    size_t body = 0;
    size_t total = 0;

    fl_assert(packet->type >= FL_MQTT_CONNECT && packet->type <= FL_MQTT_AUTH);
    write_body(&w, packet, version);
    body = w.size;
    if (w.failed)
        return FL_EINVAL;
    total = 1 + (body < 128U ? 1U : body < 16384U ? 2U : body < 2097152U ? 3U : 4U) + body;
    if (body > BODY_MAX || total > packet_max || out->size > out->max ||
        total > out->max - out->size)
        return FL_ELIMIT;
    w = (struct fl_mqtt_writer){.at = fl_buffer_reserve(out, total)};
    if (!w.at)
        return FL_ENOMEM;
    fl_mqtt_write_byte(&w, first_byte(packet));
    fl_mqtt_write_vari(&w, (uint32_t)body);
    write_body(&w, packet, version);
    fl_assert(w.size == total);
    fl_buffer_commit(out, total);
    return FL_OK;
}
