/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/mqtt_wire.h"

#define VARI_MAX 268435455U

bool fl_mqtt_bad(struct fl_mqtt_reader *r, uint8_t reason, const char *text)
{
    if (!r->fault.text)
        r->fault = (struct fl_mqtt_fault){.reason = reason, .text = text};
    return false;
}

static bool short_of(struct fl_mqtt_reader *r, size_t count)
{
    if (r->left.size >= count)
        return false;
    (void)fl_mqtt_bad(r, FL_MQTT_MALFORMED, "the packet ends inside a field");
    return true;
}

bool fl_mqtt_read_byte(struct fl_mqtt_reader *r, uint8_t *value)
{
    if (short_of(r, 1))
        return false;
    *value = r->left.data[0];
    r->left = fl_slice_from(r->left, 1);
    return true;
}

bool fl_mqtt_read_two(struct fl_mqtt_reader *r, uint16_t *value)
{
    if (short_of(r, 2))
        return false;
    *value = (uint16_t)(r->left.data[0] << 8 | r->left.data[1]);
    r->left = fl_slice_from(r->left, 2);
    return true;
}

bool fl_mqtt_read_four(struct fl_mqtt_reader *r, uint32_t *value)
{
    const uint8_t *p = r->left.data;

    if (short_of(r, 4))
        return false;
    *value = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    r->left = fl_slice_from(r->left, 4);
    return true;
}

bool fl_mqtt_read_vari(struct fl_mqtt_reader *r, uint32_t *value)
{
    uint8_t byte = 0;
    uint32_t sum = 0;

    for (unsigned i = 0; i < 4; i++) {
        if (!fl_mqtt_read_byte(r, &byte))
            return false;
        sum |= (uint32_t)(byte & 0x7F) << (7 * i);
        if (byte & 0x80)
            continue;
        if (i > 0 && byte == 0)
            return fl_mqtt_bad(r, FL_MQTT_MALFORMED, "a number is not in its shortest form");
        *value = sum;
        return true;
    }
    return fl_mqtt_bad(r, FL_MQTT_MALFORMED, "a number has more than four octets");
}

bool fl_mqtt_read_data(struct fl_mqtt_reader *r, struct fl_slice *value)
{
    uint16_t size = 0;

    if (!fl_mqtt_read_two(r, &size) || short_of(r, size))
        return false;
    *value = fl_slice(r->left.data, size);
    r->left = fl_slice_from(r->left, size);
    return true;
}

bool fl_mqtt_read_text(struct fl_mqtt_reader *r, struct fl_slice *value)
{
    if (!fl_mqtt_read_data(r, value))
        return false;
    return fl_mqtt_text_valid(*value) ||
           fl_mqtt_bad(r, FL_MQTT_MALFORMED, "a text is not UTF-8 or contains U+0000");
}

bool fl_mqtt_read_block(struct fl_mqtt_reader *r, struct fl_slice *block)
{
    uint32_t size = 0;

    if (!fl_mqtt_read_vari(r, &size) || short_of(r, size))
        return false;
    *block = fl_slice(r->left.data, size);
    r->left = fl_slice_from(r->left, size);
    return true;
}

void fl_mqtt_write_raw(struct fl_mqtt_writer *w, struct fl_slice value)
{
    if (w->at && value.size)
        memcpy(w->at + w->size, value.data, value.size);
    w->size += value.size;
}

void fl_mqtt_write_byte(struct fl_mqtt_writer *w, uint32_t value)
{
    if (w->at)
        w->at[w->size] = (uint8_t)value;
    w->size++;
}

void fl_mqtt_write_two(struct fl_mqtt_writer *w, uint32_t value)
{
    fl_mqtt_write_byte(w, value >> 8);
    fl_mqtt_write_byte(w, value);
}

void fl_mqtt_write_four(struct fl_mqtt_writer *w, uint32_t value)
{
    fl_mqtt_write_two(w, value >> 16);
    fl_mqtt_write_two(w, value);
}

void fl_mqtt_write_vari(struct fl_mqtt_writer *w, uint32_t value)
{
    if (value > VARI_MAX)
        w->failed = true;
    while (value >= 0x80) {
        fl_mqtt_write_byte(w, (value & 0x7F) | 0x80);
        value >>= 7;
    }
    fl_mqtt_write_byte(w, value);
}

void fl_mqtt_write_data(struct fl_mqtt_writer *w, struct fl_slice value)
{
    if (value.size > UINT16_MAX) {
        w->failed = true;
        return;
    }
    fl_mqtt_write_two(w, (uint32_t)value.size);
    fl_mqtt_write_raw(w, value);
}

enum kind { NONE, KIND_byte, KIND_two, KIND_four, KIND_vari, KIND_text, KIND_data, KIND_pair };

struct property {
    enum kind kind;
    unsigned packets;
    size_t offset; /* of the value in struct fl_mqtt_properties */
};

#define PROPERTIES_END 0x2B
#define ALL_PACKETS                                                                                \
    (FL_MQTT_WILL_BIT | (0xFFFFU & ~(FL_MQTT_BIT(FL_MQTT_PINGREQ) | FL_MQTT_BIT(FL_MQTT_PINGRESP))))

static const struct property properties[PROPERTIES_END] = {
    [FL_MQTT_USER_PROPERTY] = {KIND_pair, ALL_PACKETS, 0},
#define PROPERTY_ROW(name, id, kind, packets)                                                      \
    [id] = {KIND_##kind, (packets), offsetof(struct fl_mqtt_properties, name)},
    FL_MQTT_PROPERTIES(PROPERTY_ROW)
#undef PROPERTY_ROW
};

static const struct property *property_of(uint32_t id)
{
    return id < PROPERTIES_END && properties[id].kind != NONE ? &properties[id] : NULL;
}

/* Reads one value; numbers into `number`, the rest into `text` and, for pairs, `value`. */
static bool read_value(struct fl_mqtt_reader *r, enum kind kind, uint32_t *number,
                       struct fl_slice *text, struct fl_slice *value)
{
    uint8_t byte = 0;
    uint16_t two = 0;
    bool ok = true;

    if (kind == KIND_byte) {
        ok = fl_mqtt_read_byte(r, &byte);
        *number = byte;
    } else if (kind == KIND_two) {
        ok = fl_mqtt_read_two(r, &two);
        *number = two;
    } else if (kind == KIND_four) {
        ok = fl_mqtt_read_four(r, number);
    } else if (kind == KIND_vari) {
        ok = fl_mqtt_read_vari(r, number);
    } else if (kind == KIND_text) {
        ok = fl_mqtt_read_text(r, text);
    } else if (kind == KIND_data) {
        ok = fl_mqtt_read_data(r, text);
    } else {
        ok = fl_mqtt_read_text(r, text) && fl_mqtt_read_text(r, value);
    }
    return ok;
}

/* What the specification says of the values beyond their types. */
static bool check_value(struct fl_mqtt_reader *r, uint32_t id, enum kind kind, uint32_t number,
                        struct fl_slice text)
{
    if (kind == KIND_byte && number > 1)
        return fl_mqtt_bad(r, FL_MQTT_PROTOCOL_ERROR, "a property must be 0 or 1");
    if (id == fl_mqtt_has_topic_alias && number == 0)
        return fl_mqtt_bad(r, FL_MQTT_TOPIC_ALIAS, "topic alias 0");
    if (number == 0 && (id == fl_mqtt_has_receive_maximum ||
                        id == fl_mqtt_has_maximum_packet_size || id == fl_mqtt_has_subscription_id))
        return fl_mqtt_bad(r, FL_MQTT_PROTOCOL_ERROR, "a property must not be 0");
    if (id == fl_mqtt_has_response_topic && !fl_mqtt_topic_valid(text))
        return fl_mqtt_bad(r, FL_MQTT_PROTOCOL_ERROR, "the response topic is not a topic name");
    return true;
}

/* Who may send it, and how often. */
static bool check_place(struct fl_mqtt_reader *r, uint32_t id, unsigned packet, bool from_server,
                        uint64_t has)
{
    bool publish = packet == FL_MQTT_BIT(FL_MQTT_PUBLISH);
    bool disconnect = packet == FL_MQTT_BIT(FL_MQTT_DISCONNECT);

    if (id == fl_mqtt_has_subscription_id && publish && !from_server)
        return fl_mqtt_bad(r, FL_MQTT_PROTOCOL_ERROR, "a client sent a subscription identifier");
    if (disconnect && ((id == fl_mqtt_has_session_expiry_s && from_server) ||
                       (id == fl_mqtt_has_server_reference && !from_server)))
        return fl_mqtt_bad(r, FL_MQTT_PROTOCOL_ERROR, "a property of the other side");
    if (id != FL_MQTT_USER_PROPERTY && has >> id & 1 &&
        !(id == fl_mqtt_has_subscription_id && publish))
        return fl_mqtt_bad(r, FL_MQTT_PROTOCOL_ERROR, "a property is there twice");
    return true;
}

static bool read_property(struct fl_mqtt_reader *r, unsigned packet, bool from_server,
                          struct fl_mqtt_properties *out)
{
    uint32_t id = 0;
    uint32_t number = 0;
    struct fl_slice text = {0};
    struct fl_slice value = {0};
    const struct property *property = NULL;
    uint8_t *field = NULL;

    if (!fl_mqtt_read_vari(r, &id))
        return false;
    property = property_of(id);
    if (!property || !(property->packets & packet))
        return fl_mqtt_bad(r, FL_MQTT_MALFORMED, "a property does not belong in this packet");
    if (!check_place(r, id, packet, from_server, out->has) ||
        !read_value(r, property->kind, &number, &text, &value) ||
        !check_value(r, id, property->kind, number, text))
        return false;
    out->has |= (uint64_t)1 << id;
    field = (uint8_t *)out + property->offset;
    if (property->kind == KIND_text || property->kind == KIND_data)
        memcpy(field, &text, sizeof text);
    else if (property->kind != KIND_pair)
        memcpy(field, &number, sizeof number);
    return true;
}

enum fl_error fl_mqtt_properties_decode(struct fl_slice block, unsigned packets, bool from_server,
                                        struct fl_mqtt_properties *out, struct fl_mqtt_fault *fault)
{
    struct fl_mqtt_reader r = {.left = block};

    *out = (struct fl_mqtt_properties){.raw = block};
    if (block.size > FL_LIMIT_MQTT_PROPERTIES)
        (void)fl_mqtt_bad(&r, FL_MQTT_PACKET_TOO_LARGE, "the properties are too large");
    while (!r.fault.text && r.left.size)
        if (!read_property(&r, packets, from_server, out))
            break;
    if (!r.fault.text && FL_MQTT_HAS(out, auth_data) && !FL_MQTT_HAS(out, auth_method))
        (void)fl_mqtt_bad(&r, FL_MQTT_PROTOCOL_ERROR, "authentication data without a method");
    *fault = r.fault;
    if (!r.fault.text)
        return FL_OK;
    return r.fault.reason == FL_MQTT_PACKET_TOO_LARGE ? FL_ELIMIT : FL_EPARSE;
}

/* The next property of a checked block: its id, and all its octets. */
static bool next_property(struct fl_slice *block, uint32_t *id, struct fl_slice *octets,
                          struct fl_slice *name, struct fl_slice *value)
{
    struct fl_mqtt_reader r = {.left = *block};
    const struct property *property = NULL;
    uint32_t number = 0;

    if (block->size == 0 || !fl_mqtt_read_vari(&r, id))
        return false;
    property = property_of(*id);
    if (!property || !read_value(&r, property->kind, &number, name, value))
        return false;
    *octets = fl_slice(block->data, block->size - r.left.size);
    *block = r.left;
    return true;
}

bool fl_mqtt_next_user(struct fl_slice *block, struct fl_slice *name, struct fl_slice *value)
{
    uint32_t id = 0;
    struct fl_slice octets = {0};

    while (next_property(block, &id, &octets, name, value))
        if (id == FL_MQTT_USER_PROPERTY)
            return true;
    return false;
}

enum fl_error fl_mqtt_put_forwarded(struct fl_slice block, struct fl_buffer *out)
{
    uint32_t id = 0;
    struct fl_slice octets = {0};
    struct fl_slice name = {0};
    struct fl_slice value = {0};
    enum fl_error error = FL_OK;

    while (error == FL_OK && next_property(&block, &id, &octets, &name, &value))
        if (id != fl_mqtt_has_message_expiry_s && id != fl_mqtt_has_topic_alias &&
            id != fl_mqtt_has_subscription_id && id != fl_mqtt_has_will_delay_s)
            error = fl_buffer_append_slice(out, octets);
    return error;
}

static void write_value(struct fl_mqtt_writer *w, const struct property *property,
                        const struct fl_mqtt_properties *values)
{
    const uint8_t *field = (const uint8_t *)values + property->offset;
    uint32_t number = 0;
    struct fl_slice text = {0};

    if (property->kind == KIND_text || property->kind == KIND_data) {
        memcpy(&text, field, sizeof text);
        fl_mqtt_write_data(w, text);
        return;
    }
    memcpy(&number, field, sizeof number);
    if (property->kind == KIND_byte)
        fl_mqtt_write_byte(w, number);
    else if (property->kind == KIND_two)
        fl_mqtt_write_two(w, number);
    else if (property->kind == KIND_four)
        fl_mqtt_write_four(w, number);
    else
        fl_mqtt_write_vari(w, number);
}

static void write_block(struct fl_mqtt_writer *w, const struct fl_mqtt_packet *packet)
{
    const struct fl_mqtt_properties *values = &packet->properties;
    uint64_t left = values->has & ~((uint64_t)1 << FL_MQTT_USER_PROPERTY);

    while (left) {
        unsigned id = (unsigned)__builtin_ctzll(left);
        const struct property *property = property_of(id);
        left &= left - 1;
        if (!property) {
            w->failed = true;
            return;
        }
        fl_mqtt_write_byte(w, id);
        write_value(w, property, values);
    }
    fl_mqtt_write_raw(w, values->raw);
    if (packet->type != FL_MQTT_PUBLISH)
        return;
    for (size_t i = 0; i < packet->as.publish.subscription_id_count; i++) {
        fl_mqtt_write_byte(w, fl_mqtt_has_subscription_id);
        fl_mqtt_write_vari(w, packet->as.publish.subscription_ids[i]);
    }
}

bool fl_mqtt_has_properties(const struct fl_mqtt_packet *packet)
{
    return (packet->properties.has & ~((uint64_t)1 << FL_MQTT_USER_PROPERTY)) != 0 ||
           packet->properties.raw.size != 0 ||
           (packet->type == FL_MQTT_PUBLISH && packet->as.publish.subscription_id_count != 0);
}

void fl_mqtt_write_properties(struct fl_mqtt_writer *w, const struct fl_mqtt_packet *packet)
{
    struct fl_mqtt_writer count = {0};

    if (!fl_mqtt_has_properties(packet)) {
        fl_mqtt_write_byte(w, 0);
        return;
    }
    write_block(&count, packet);
    if (count.failed || count.size > VARI_MAX) {
        w->failed = true;
        return;
    }
    fl_mqtt_write_vari(w, (uint32_t)count.size);
    write_block(w, packet);
}
