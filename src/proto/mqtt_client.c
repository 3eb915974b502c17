/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/mqtt_client.h"

#include "base/assert.h"
#include "base/str.h"

#include <stdio.h>

#define ANSWER_MS FL_LIMIT_HANDSHAKE_MS /* CONNACK, PINGRESP */
#define NO_TYPE ((enum fl_mqtt_type)0)

static const bool moves[4][4] = {
    [FL_MQTT_CLIENT_IDLE] = {[FL_MQTT_CLIENT_CONNECTING] = true},
    [FL_MQTT_CLIENT_CONNECTING] = {[FL_MQTT_CLIENT_CONNECTING] = true,
                                   [FL_MQTT_CLIENT_OPEN] = true,
                                   [FL_MQTT_CLIENT_CLOSED] = true},
    [FL_MQTT_CLIENT_OPEN] = {[FL_MQTT_CLIENT_CONNECTING] = true, [FL_MQTT_CLIENT_CLOSED] = true},
    [FL_MQTT_CLIENT_CLOSED] = {[FL_MQTT_CLIENT_CONNECTING] = true},
};

static void move_to(struct fl_mqtt_client *client, enum fl_mqtt_client_phase phase)
{
    fl_assert(moves[client->phase][phase]);
    client->phase = phase;
}

enum fl_error fl_mqtt_client_init(struct fl_mqtt_client *client,
                                  const struct fl_mqtt_client_options *options)
{
    *client = (struct fl_mqtt_client){
        .options = *options,
        .out = FL_BUFFER(FL_LIMIT_MQTT_OUT),
        .pinged_at = FL_TIME_NEVER,
    };
    fl_mqtt_framer_init(&client->framer);
    if (!fl_str_copy(client->client_id, sizeof client->client_id, options->client_id))
        return FL_ELIMIT;
    client->options.client_id = client->client_id;
    return FL_OK;
}

void fl_mqtt_client_free(struct fl_mqtt_client *client)
{
    if (!client)
        return;
    fl_mqtt_framer_free(&client->framer);
    fl_buffer_free(&client->out);
}

static void set_why(struct fl_mqtt_client *client, uint8_t reason, bool by_server,
                    struct fl_slice words)
{
    char text[160];

    client->reason = reason;
    client->by_server = by_server;
    (void)snprintf(client->why, sizeof client->why, "%s (0x%02x)%s%s", fl_mqtt_reason_words(reason),
                   reason, words.size ? ": " : "", fl_str_printable(text, sizeof text, words));
}

/* Our last words, if we may speak. */
static enum fl_error end(struct fl_mqtt_client *client, enum fl_error error, uint8_t reason,
                         const char *why)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_DISCONNECT, .as.end.reason = reason};

    set_why(client, reason, false, fl_slice_str(why));
    if (client->phase == FL_MQTT_CLIENT_OPEN &&
        fl_mqtt_encode(&packet, FL_MQTT_5, client->server_packet_max, &client->out) != FL_OK)
        client->out.failed = false; /* what was said before still goes out */
    move_to(client, FL_MQTT_CLIENT_CLOSED);
    return error;
}

static enum fl_error say(struct fl_mqtt_client *client, const struct fl_mqtt_packet *packet,
                         fl_time_t now)
{
    enum fl_error error =
        fl_mqtt_encode(packet, FL_MQTT_5, client->server_packet_max, &client->out);

    if (error == FL_OK)
        client->sent_at = now;
    return error;
}

enum fl_error fl_mqtt_client_start(struct fl_mqtt_client *client, fl_time_t now)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_CONNECT};

    move_to(client, FL_MQTT_CLIENT_CONNECTING);
    fl_mqtt_framer_free(&client->framer);
    fl_buffer_clear(&client->out);
    memset(client->pending, 0, sizeof client->pending);
    client->publishes_open = 0;
    client->to_acknowledge = 0;
    client->pinged_at = FL_TIME_NEVER;
    client->started_at = now;
    client->keep_alive_ms = (fl_time_t)client->options.keep_alive_s * 1000;
    client->server_packet_max = UINT32_MAX;
    client->reason = 0;
    client->why[0] = 0;
    packet.as.connect.version = FL_MQTT_5;
    packet.as.connect.client_id = fl_slice_str(client->client_id);
    packet.as.connect.clean = client->options.clean_start;
    packet.as.connect.keep_alive_s = client->options.keep_alive_s;
    if (client->options.session_expiry_s)
        FL_MQTT_SET(&packet.properties, session_expiry_s, client->options.session_expiry_s);
    FL_MQTT_SET(&packet.properties, receive_maximum, FL_LIMIT_MQTT_INFLIGHT);
    FL_MQTT_SET(&packet.properties, maximum_packet_size, FL_LIMIT_MQTT_PACKET);
    return say(client, &packet, now);
}

static struct fl_mqtt_pending *find_pending(struct fl_mqtt_client *client, enum fl_mqtt_type answer,
                                            uint16_t packet_id)
{
    for (size_t i = 0; i < FL_LIMIT_MQTT_INFLIGHT; i++)
        if (client->pending[i].answer == answer &&
            (answer == NO_TYPE || client->pending[i].packet_id == packet_id))
            return &client->pending[i];
    return NULL;
}

static uint16_t next_packet_id(struct fl_mqtt_client *client)
{
    bool used = true;

    while (used) {
        client->last_packet_id = (uint16_t)(client->last_packet_id % UINT16_MAX + 1);
        used = find_pending(client, FL_MQTT_PUBACK, client->last_packet_id) ||
               find_pending(client, FL_MQTT_SUBACK, client->last_packet_id);
    }
    return client->last_packet_id;
}

/* Every on_* returns FL_OK with an event, FL_EMORE when there is none to hand out, or the end. */

static enum fl_error on_connack(struct fl_mqtt_client *client, const struct fl_mqtt_packet *packet,
                                fl_time_t now, struct fl_mqtt_event *event)
{
    const struct fl_mqtt_properties *said = &packet->properties;

    (void)now;
    if (client->phase != FL_MQTT_CLIENT_CONNECTING)
        return end(client, FL_EPARSE, FL_MQTT_PROTOCOL_ERROR, "a second CONNACK");
    if (packet->as.connack.reason) {
        set_why(client, packet->as.connack.reason, true, said->reason_string);
        move_to(client, FL_MQTT_CLIENT_CLOSED);
        return FL_ECLOSED;
    }
    client->server_packet_max =
        FL_MQTT_HAS(said, maximum_packet_size) ? said->maximum_packet_size : UINT32_MAX;
    client->server_receive_max =
        FL_MQTT_HAS(said, receive_maximum) ? (uint16_t)said->receive_maximum : UINT16_MAX;
    client->server_qos_max = FL_MQTT_HAS(said, maximum_qos) ? (uint8_t)said->maximum_qos : 2;
    client->server_retains = !FL_MQTT_HAS(said, retain_available) || said->retain_available;
    if (FL_MQTT_HAS(said, server_keep_alive_s))
        client->keep_alive_ms = (fl_time_t)said->server_keep_alive_s * 1000;
    move_to(client, FL_MQTT_CLIENT_OPEN);
    *event = (struct fl_mqtt_event){
        .kind = FL_MQTT_EVENT_CONNECTED,
        .session_present = packet->as.connack.session_present,
    };
    return FL_OK;
}

static enum fl_error on_publish(struct fl_mqtt_client *client, const struct fl_mqtt_packet *packet,
                                fl_time_t now, struct fl_mqtt_event *event)
{
    (void)now;
    if (packet->as.publish.qos > 1)
        return end(client, FL_EPARSE, FL_MQTT_QOS_UNSUPPORTED, "QoS 2 was not subscribed to");
    if (packet->as.publish.topic.size == 0 || FL_MQTT_HAS(&packet->properties, topic_alias))
        return end(client, FL_EPARSE, FL_MQTT_TOPIC_ALIAS, "a topic alias, but none is taken");
    client->to_acknowledge = packet->as.publish.packet_id;
    *event = (struct fl_mqtt_event){
        .kind = FL_MQTT_EVENT_MESSAGE,
        .topic = packet->as.publish.topic,
        .payload = packet->as.publish.payload,
        .qos = packet->as.publish.qos,
        .retain = packet->as.publish.retain,
        .dup = packet->as.publish.dup,
    };
    return FL_OK;
}

static enum fl_error on_puback(struct fl_mqtt_client *client, const struct fl_mqtt_packet *packet,
                               fl_time_t now, struct fl_mqtt_event *event)
{
    struct fl_mqtt_pending *pending =
        find_pending(client, FL_MQTT_PUBACK, packet->as.ack.packet_id);

    (void)now;
    if (!pending)
        return end(client, FL_EPARSE, FL_MQTT_PROTOCOL_ERROR, "PUBACK of nothing");
    *event = (struct fl_mqtt_event){
        .kind = FL_MQTT_EVENT_ACKNOWLEDGED,
        .token = pending->token,
        .reason = packet->as.ack.reason,
        .words = packet->properties.reason_string,
    };
    *pending = (struct fl_mqtt_pending){0};
    client->publishes_open--;
    return FL_OK;
}

static enum fl_error on_suback(struct fl_mqtt_client *client, const struct fl_mqtt_packet *packet,
                               fl_time_t now, struct fl_mqtt_event *event)
{
    struct fl_mqtt_pending *pending =
        find_pending(client, FL_MQTT_SUBACK, packet->as.suback.packet_id);

    (void)now;
    if (!pending || packet->as.suback.reasons.size != 1)
        return end(client, FL_EPARSE, FL_MQTT_PROTOCOL_ERROR, "SUBACK of something else");
    *event = (struct fl_mqtt_event){
        .kind = FL_MQTT_EVENT_SUBSCRIBED,
        .token = pending->token,
        .reason = packet->as.suback.reasons.data[0],
        .words = packet->properties.reason_string,
    };
    *pending = (struct fl_mqtt_pending){0};
    return FL_OK;
}

static enum fl_error on_pingresp(struct fl_mqtt_client *client, const struct fl_mqtt_packet *packet,
                                 fl_time_t now, struct fl_mqtt_event *event)
{
    (void)packet;
    (void)now;
    (void)event;
    client->pinged_at = FL_TIME_NEVER;
    return FL_EMORE;
}

static enum fl_error on_disconnect(struct fl_mqtt_client *client,
                                   const struct fl_mqtt_packet *packet, fl_time_t now,
                                   struct fl_mqtt_event *event)
{
    (void)now;
    (void)event;
    set_why(client, packet->as.end.reason, true, packet->properties.reason_string);
    move_to(client, FL_MQTT_CLIENT_CLOSED);
    return FL_ECLOSED;
}

typedef enum fl_error handler(struct fl_mqtt_client *client, const struct fl_mqtt_packet *packet,
                              fl_time_t now, struct fl_mqtt_event *event);

/* What is not here was never asked for. */
static handler *const handlers[FL_MQTT_TYPES] = {
    [FL_MQTT_CONNACK] = on_connack,   [FL_MQTT_PUBLISH] = on_publish,
    [FL_MQTT_PUBACK] = on_puback,     [FL_MQTT_SUBACK] = on_suback,
    [FL_MQTT_PINGRESP] = on_pingresp, [FL_MQTT_DISCONNECT] = on_disconnect,
};

static enum fl_error handle(struct fl_mqtt_client *client, const struct fl_mqtt_packet *packet,
                            fl_time_t now, struct fl_mqtt_event *event)
{
    if (!handlers[packet->type])
        return end(client, FL_EPARSE, FL_MQTT_PROTOCOL_ERROR, "a packet nobody asked for");
    if (client->phase == FL_MQTT_CLIENT_CONNECTING && packet->type != FL_MQTT_CONNACK)
        return end(client, FL_EPARSE, FL_MQTT_PROTOCOL_ERROR, "the first packet is not CONNACK");
    return handlers[packet->type](client, packet, now, event);
}

/* The owner has done with the message before. */
static enum fl_error acknowledge(struct fl_mqtt_client *client, fl_time_t now)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_PUBACK};

    if (!client->to_acknowledge || client->phase != FL_MQTT_CLIENT_OPEN)
        return FL_OK;
    packet.as.ack.packet_id = client->to_acknowledge;
    client->to_acknowledge = 0;
    if (say(client, &packet, now) == FL_OK)
        return FL_OK;
    return end(client, FL_ELIMIT, FL_MQTT_QUOTA, "the server reads too slowly");
}

enum fl_error fl_mqtt_client_receive(struct fl_mqtt_client *client, struct fl_slice *bytes,
                                     fl_time_t now, struct fl_mqtt_event *event)
{
    struct fl_mqtt_mode mode = {FL_MQTT_5, true, FL_LIMIT_MQTT_PACKET};
    struct fl_mqtt_fault fault = {0};
    struct fl_mqtt_packet packet;
    enum fl_error error = acknowledge(client, now);

    while (error == FL_OK || error == FL_EMORE) {
        if (client->phase != FL_MQTT_CLIENT_CONNECTING && client->phase != FL_MQTT_CLIENT_OPEN)
            return FL_ECLOSED;
        fl_mqtt_framer_release(&client->framer);
        if (bytes->size == 0)
            return FL_EMORE;
        error = fl_mqtt_framer_next(&client->framer, &mode, bytes, &packet, &fault);
        if (error == FL_EMORE)
            return error;
        if (error != FL_OK)
            return end(client, error, fault.reason, fault.text);
        error = handle(client, &packet, now, event);
        if (error == FL_OK)
            return FL_OK;
    }
    return error;
}

static enum fl_error check_publish(const struct fl_mqtt_client *client,
                                   const struct fl_mqtt_message *message)
{
    if (client->phase != FL_MQTT_CLIENT_OPEN)
        return FL_ESTATE;
    if (!fl_mqtt_topic_valid(message->topic) || message->qos > 1)
        return FL_EINVAL;
    if (message->qos > client->server_qos_max || (message->retain && !client->server_retains))
        return FL_EUNSUPPORTED;
    if (message->qos && client->publishes_open >= client->server_receive_max)
        return FL_EBUSY;
    if (message->topic.size + message->payload.size + 16 > FL_LIMIT_MQTT_OUT)
        return FL_ELIMIT;
    if (client->out.size + message->topic.size + message->payload.size + 16 >
            FL_LIMIT_MQTT_OUT / 2 &&
        client->out.size)
        return FL_EBUSY;
    return FL_OK;
}

enum fl_error fl_mqtt_client_publish(struct fl_mqtt_client *client,
                                     const struct fl_mqtt_message *message, uint64_t token,
                                     fl_time_t now)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_PUBLISH};
    struct fl_mqtt_pending *pending = NULL;
    enum fl_error error = check_publish(client, message);

    if (error != FL_OK)
        return error;
    if (message->qos) {
        pending = find_pending(client, NO_TYPE, 0);
        if (!pending)
            return FL_EBUSY;
        packet.as.publish.packet_id = next_packet_id(client);
    }
    packet.as.publish.topic = message->topic;
    packet.as.publish.payload = message->payload;
    packet.as.publish.qos = message->qos;
    packet.as.publish.retain = message->retain;
    packet.as.publish.dup = message->qos && message->dup;
    error = say(client, &packet, now);
    if (error != FL_OK || !pending)
        return error;
    *pending = (struct fl_mqtt_pending){
        .answer = FL_MQTT_PUBACK,
        .packet_id = packet.as.publish.packet_id,
        .token = token,
        .sent_at = now,
    };
    client->publishes_open++;
    return FL_OK;
}

enum fl_error fl_mqtt_client_subscribe(struct fl_mqtt_client *client, struct fl_slice filter,
                                       uint8_t qos, uint64_t token, fl_time_t now)
{
    struct fl_mqtt_filter one = {.filter = filter, .qos = qos};
    struct fl_mqtt_packet packet = {.type = FL_MQTT_SUBSCRIBE};
    struct fl_mqtt_pending *pending = find_pending(client, NO_TYPE, 0);
    struct fl_buffer filters = FL_BUFFER(UINT16_MAX + 3);
    enum fl_error error = FL_OK;

    if (client->phase != FL_MQTT_CLIENT_OPEN)
        return FL_ESTATE;
    if (!fl_mqtt_filter_valid(filter) || qos > 1)
        return FL_EINVAL;
    if (!pending || client->out.size > FL_LIMIT_MQTT_OUT / 2)
        return FL_EBUSY;
    error = fl_mqtt_put_filter(&filters, FL_MQTT_SUBSCRIBE, &one);
    packet.as.subscribe.packet_id = next_packet_id(client);
    packet.as.subscribe.filters = fl_buffer_slice(&filters);
    if (error == FL_OK)
        error = say(client, &packet, now);
    fl_buffer_free(&filters);
    if (error != FL_OK)
        return error;
    *pending = (struct fl_mqtt_pending){
        .answer = FL_MQTT_SUBACK,
        .packet_id = packet.as.subscribe.packet_id,
        .token = token,
        .sent_at = now,
    };
    return FL_OK;
}

void fl_mqtt_client_stop(struct fl_mqtt_client *client, fl_time_t now)
{
    if (client->phase != FL_MQTT_CLIENT_OPEN && client->phase != FL_MQTT_CLIENT_CONNECTING)
        return;
    if (acknowledge(client, now) == FL_OK)
        (void)end(client, FL_OK, FL_MQTT_SUCCESS, "stopped");
}

/* The oldest unanswered packet is not the first of the array: they are answered in any order. */
static fl_time_t answers_due(const struct fl_mqtt_client *client)
{
    fl_time_t due = FL_TIME_NEVER;

    for (size_t i = 0; client->options.ack_timeout_ms && i < FL_LIMIT_MQTT_INFLIGHT; i++)
        if (client->pending[i].answer != NO_TYPE &&
            client->pending[i].sent_at + client->options.ack_timeout_ms < due)
            due = client->pending[i].sent_at + client->options.ack_timeout_ms;
    return due;
}

fl_time_t fl_mqtt_client_next_timeout(const struct fl_mqtt_client *client)
{
    fl_time_t due = FL_TIME_NEVER;

    if (client->phase == FL_MQTT_CLIENT_CONNECTING)
        return client->started_at + ANSWER_MS;
    if (client->phase != FL_MQTT_CLIENT_OPEN)
        return FL_TIME_NEVER;
    due = answers_due(client);
    if (client->pinged_at != FL_TIME_NEVER && client->pinged_at + ANSWER_MS < due)
        due = client->pinged_at + ANSWER_MS;
    if (client->pinged_at == FL_TIME_NEVER && client->keep_alive_ms &&
        client->sent_at + client->keep_alive_ms < due)
        due = client->sent_at + client->keep_alive_ms;
    return due;
}

enum fl_error fl_mqtt_client_tick(struct fl_mqtt_client *client, fl_time_t now)
{
    static const struct fl_mqtt_packet ping = {.type = FL_MQTT_PINGREQ};

    if (fl_mqtt_client_next_timeout(client) > now)
        return FL_OK;
    if (client->phase == FL_MQTT_CLIENT_CONNECTING)
        return end(client, FL_ETIMEOUT, FL_MQTT_UNSPECIFIED, "no CONNACK in time");
    if (answers_due(client) <= now)
        return end(client, FL_ETIMEOUT, FL_MQTT_UNSPECIFIED, "no acknowledgement in time");
    if (client->pinged_at != FL_TIME_NEVER)
        return end(client, FL_ETIMEOUT, FL_MQTT_UNSPECIFIED, "no PINGRESP in time");
    if (say(client, &ping, now) != FL_OK)
        return end(client, FL_ETIMEOUT, FL_MQTT_UNSPECIFIED, "the server reads too slowly");
    client->pinged_at = now;
    return FL_OK;
}
