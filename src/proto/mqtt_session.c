/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/mqtt_session.h"

#include "base/assert.h"
#include "base/str.h"

#include <stdlib.h>

/* Messages stop at half of the output's maximum: the rest is for answers, of which one packet
 * causes at most its own size. Input is not taken either beyond this mark. */
#define OUT_MARK (FL_LIMIT_MQTT_OUT / 2)

static const bool moves[4][4] = {
    [FL_MQTT_NEW] = {[FL_MQTT_CONNECTING] = true, [FL_MQTT_ENDED] = true},
    [FL_MQTT_CONNECTING] = {[FL_MQTT_OPEN] = true, [FL_MQTT_ENDED] = true},
    [FL_MQTT_OPEN] = {[FL_MQTT_ENDED] = true},
};

static void move_to(struct fl_mqtt_session *s, enum fl_mqtt_phase phase)
{
    fl_assert(moves[s->phase][phase]);
    s->phase = phase;
}

void fl_mqtt_session_init(struct fl_mqtt_session *s, fl_time_t now)
{
    *s = (struct fl_mqtt_session){
        .heard_at = now,
        .out = FL_BUFFER(FL_LIMIT_MQTT_OUT),
        .peer_packet_max = UINT32_MAX,
        .peer_receive_max = UINT16_MAX,
        .peer_wants_problems = true,
    };
    fl_mqtt_framer_init(&s->framer);
}

/* The words for this receipt, out of the list; NULL: none. */
static struct fl_mqtt_words *take_words(struct fl_mqtt_session *s, uint16_t sequence)
{
    struct fl_mqtt_words **at = &s->words;
    struct fl_mqtt_words *found = NULL;

    while (*at && (*at)->sequence != sequence)
        at = &(*at)->next;
    found = *at;
    if (found)
        *at = found->next;
    return found;
}

void fl_mqtt_session_free(struct fl_mqtt_session *s)
{
    fl_buffer_free(&s->out);
    fl_mqtt_framer_free(&s->framer);
    fl_mqtt_alias_free(&s->heard);
    fl_mqtt_alias_free(&s->told);
    free(s->receipts);
    s->receipts = NULL;
    while (s->words)
        free(take_words(s, s->words->sequence));
}

void fl_mqtt_session_close(struct fl_mqtt_session *s, const char *why)
{
    if (s->phase == FL_MQTT_ENDED)
        return;
    move_to(s, FL_MQTT_ENDED);
    s->why = why;
}

/* What a 3.1.1 CONNACK can say (section 3.2.2.3); 0: nothing fits, so nothing is said. */
static uint8_t return_code(uint8_t reason)
{
    static const struct {
        uint8_t reason;
        uint8_t code;
    } codes[] = {
        {FL_MQTT_UNSUPPORTED_VERSION, 1},
        {FL_MQTT_CLIENT_ID_INVALID, 2},
        {FL_MQTT_UNAVAILABLE, 3},
        {FL_MQTT_SERVER_BUSY, 3},
        {FL_MQTT_QUOTA, 3},
        {FL_MQTT_BAD_USER, 4},
        {FL_MQTT_BAD_AUTH_METHOD, 5},
        {FL_MQTT_NOT_AUTHORIZED, 5},
        {FL_MQTT_BANNED, 5},
        {FL_MQTT_QOS_UNSUPPORTED, 5},
        {FL_MQTT_TOPIC_INVALID, 5},
    };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].reason == reason)
            return codes[i].code;
    return 0;
}

/* With the reason in words if the client wants them and they fit its maximum packet size. */
static void last_words(struct fl_mqtt_session *s, struct fl_mqtt_packet *packet, const char *why)
{
    if (s->peer_wants_problems)
        FL_MQTT_SET(&packet->properties, reason_string, fl_slice_str(why));
    if (fl_mqtt_encode(packet, s->version, s->peer_packet_max, &s->out) == FL_OK)
        return;
    packet->properties.has = 0;
    if (fl_mqtt_encode(packet, s->version, s->peer_packet_max, &s->out) != FL_OK)
        s->out.failed = false; /* what was said before still goes out */
}

void fl_mqtt_session_end(struct fl_mqtt_session *s, uint8_t reason, const char *why)
{
    struct fl_mqtt_packet refusal = {.type = FL_MQTT_CONNACK};
    struct fl_mqtt_packet disconnect = {.type = FL_MQTT_DISCONNECT, .as.end.reason = reason};

    if (s->phase == FL_MQTT_ENDED)
        return;
    refusal.as.connack.reason = s->version == FL_MQTT_5 ? reason : return_code(reason);
    if (s->phase == FL_MQTT_OPEN && s->version == FL_MQTT_5)
        last_words(s, &disconnect, why);
    else if (s->phase != FL_MQTT_OPEN && s->version != FL_MQTT_ANY && refusal.as.connack.reason)
        last_words(s, &refusal, why);
    fl_mqtt_session_close(s, why);
}

bool fl_mqtt_session_has_room(const struct fl_mqtt_session *s)
{
    return s->phase == FL_MQTT_OPEN && s->out.size < OUT_MARK;
}

/* A topic that has an alias is not said again; one that gets one is said with it. */
static enum fl_error send_aliased(struct fl_mqtt_session *s, const struct fl_mqtt_packet *packet)
{
    struct fl_slice topic = packet->as.publish.topic;
    uint16_t known = fl_mqtt_alias_of(&s->told, topic);
    struct fl_mqtt_packet aliased = *packet;
    enum fl_error error = FL_OK;

    if (!known && (s->told.count >= s->peer_aliases || topic.size > FL_LIMIT_MQTT_TOPIC))
        return fl_mqtt_encode(packet, s->version, s->peer_packet_max, &s->out);
    FL_MQTT_SET(&aliased.properties, topic_alias, known ? known : s->told.count + 1U);
    if (known)
        aliased.as.publish.topic = fl_slice(NULL, 0);
    error = fl_mqtt_encode(&aliased, s->version, s->peer_packet_max, &s->out);
    if (known || error == FL_ENOMEM)
        return error;
    if (error != FL_OK) /* larger by the alias than the client takes */
        return fl_mqtt_encode(packet, s->version, s->peer_packet_max, &s->out);
    fl_mqtt_alias_add(&s->told, topic);
    return FL_OK;
}

enum fl_error fl_mqtt_session_send(struct fl_mqtt_session *s, const struct fl_mqtt_packet *packet)
{
    if (s->phase != FL_MQTT_OPEN)
        return FL_ESTATE;
    if (s->peer_aliases && packet->type == FL_MQTT_PUBLISH)
        return send_aliased(s, packet);
    return fl_mqtt_encode(packet, s->version, s->peer_packet_max, &s->out);
}

static bool is_receipted(uint8_t first)
{
    return first >> 4 == FL_MQTT_PUBLISH && (first & 6) != 0;
}

/* Must the packet that begins with `first` wait? */
static bool must_wait(struct fl_mqtt_session *s, uint8_t first)
{
    if (s->out.size >= OUT_MARK)
        return true;
    s->held = s->version == FL_MQTT_3 && is_receipted(first) &&
              s->receipt_count == FL_LIMIT_MQTT_INFLIGHT;
    return s->held;
}

/* A broken CONNECT is answered in its version as far as that was read. */
static enum fl_error fail(struct fl_mqtt_session *s, enum fl_error error,
                          const struct fl_mqtt_packet *packet, const struct fl_mqtt_fault *fault)
{
    if (s->phase == FL_MQTT_NEW && packet->type == FL_MQTT_CONNECT && packet->as.connect.version) {
        unsigned level = (unsigned)packet->as.connect.version;
        s->version = level >= FL_MQTT_5 ? FL_MQTT_5 : FL_MQTT_3;
    }
    fl_mqtt_session_end(s, fault->reason, fault->text);
    return error;
}

static enum fl_error resolve_alias(struct fl_mqtt_session *s, struct fl_mqtt_packet *packet)
{
    enum fl_error error =
        fl_mqtt_alias_resolve(&s->heard, packet->properties.topic_alias, &packet->as.publish.topic);

    if (error == FL_ELIMIT)
        fl_mqtt_session_end(s, FL_MQTT_TOPIC_ALIAS, "topic alias beyond what was announced");
    else if (error == FL_ENOTFOUND)
        fl_mqtt_session_end(s, FL_MQTT_PROTOCOL_ERROR, "a topic alias that has no topic");
    else if (error != FL_OK)
        fl_mqtt_session_end(s, FL_MQTT_SERVER_BUSY, "out of memory");
    return error;
}

static enum fl_error check_phase(struct fl_mqtt_session *s, struct fl_mqtt_packet *packet)
{
    if (packet->type == FL_MQTT_CONNECT) {
        if (s->phase != FL_MQTT_NEW) {
            fl_mqtt_session_end(s, FL_MQTT_PROTOCOL_ERROR, "a second CONNECT");
            return FL_EPARSE;
        }
        s->version = packet->as.connect.version;
        if (FL_MQTT_HAS(&packet->properties, maximum_packet_size))
            s->peer_packet_max = packet->properties.maximum_packet_size;
        if (FL_MQTT_HAS(&packet->properties, request_problem))
            s->peer_wants_problems = packet->properties.request_problem != 0;
        move_to(s, FL_MQTT_CONNECTING);
        return FL_OK;
    }
    if (packet->type == FL_MQTT_PUBLISH && packet->as.publish.qos &&
        s->receipt_count + s->unreleased >= FL_LIMIT_MQTT_INFLIGHT) {
        fl_mqtt_session_end(s, FL_MQTT_RECEIVE_MAXIMUM, "more publishes than receive maximum");
        return FL_ELIMIT;
    }
    if (packet->type == FL_MQTT_PUBLISH && FL_MQTT_HAS(&packet->properties, topic_alias))
        return resolve_alias(s, packet);
    return FL_OK;
}

enum fl_error fl_mqtt_session_receive(struct fl_mqtt_session *s, struct fl_slice *bytes,
                                      fl_time_t now, struct fl_mqtt_packet *packet)
{
    static const struct fl_mqtt_packet pong = {.type = FL_MQTT_PINGRESP};
    struct fl_mqtt_mode mode = {.packet_max = FL_LIMIT_MQTT_PACKET};
    struct fl_mqtt_fault fault = {0};
    enum fl_error error = FL_OK;

    while (s->phase != FL_MQTT_ENDED) {
        fl_mqtt_framer_release(&s->framer);
        if (bytes->size == 0)
            return FL_EMORE;
        if (s->held)
            s->heard_at = now;
        if (must_wait(s, fl_mqtt_framer_first(&s->framer, *bytes)))
            return FL_EBUSY;
        mode.version = s->version;
        error = fl_mqtt_framer_next(&s->framer, &mode, bytes, packet, &fault);
        if (error == FL_EMORE)
            return error;
        if (error != FL_OK)
            return fail(s, error, packet, &fault);
        s->heard_at = now;
        if (packet->type != FL_MQTT_PINGREQ)
            return check_phase(s, packet);
        if (fl_mqtt_session_send(s, &pong) != FL_OK)
            fl_mqtt_session_close(s, "PINGRESP cannot be sent");
    }
    return FL_ECLOSED;
}

enum fl_error fl_mqtt_session_accept(struct fl_mqtt_session *s,
                                     const struct fl_mqtt_packet *connect,
                                     const struct fl_mqtt_packet *connack)
{
    enum fl_error error = fl_mqtt_encode(connack, s->version, s->peer_packet_max, &s->out);
    uint32_t keep_alive_s = connect->as.connect.keep_alive_s;
    uint32_t aliases = connect->properties.topic_alias_maximum;

    if (error != FL_OK) {
        fl_mqtt_session_end(s, FL_MQTT_PACKET_TOO_LARGE, "CONNACK is larger than the client takes");
        return error;
    }
    if (FL_MQTT_HAS(&connect->properties, receive_maximum))
        s->peer_receive_max = (uint16_t)connect->properties.receive_maximum;
    if (FL_MQTT_HAS(&connack->properties, server_keep_alive_s))
        keep_alive_s = connack->properties.server_keep_alive_s;
    s->keep_alive_ms = (fl_time_t)keep_alive_s * 1500;
    s->peer_aliases = (uint16_t)(aliases < FL_LIMIT_MQTT_ALIASES ? aliases : FL_LIMIT_MQTT_ALIASES);
    move_to(s, FL_MQTT_OPEN);
    return FL_OK;
}

enum fl_error fl_mqtt_session_expect(struct fl_mqtt_session *s, uint16_t packet_id, uint8_t qos,
                                     uint16_t *sequence)
{
    fl_assert(s->receipt_count < FL_LIMIT_MQTT_INFLIGHT);
    if (!s->receipts)
        s->receipts = calloc(FL_LIMIT_MQTT_INFLIGHT, sizeof s->receipts[0]);
    if (!s->receipts)
        return FL_ENOMEM;
    *sequence = (uint16_t)(s->receipt_first + s->receipt_count);
    s->receipts[*sequence % FL_LIMIT_MQTT_INFLIGHT] =
        (struct fl_mqtt_receipt){.packet_id = packet_id, .qos = qos};
    s->receipt_count++;
    if (s->withholds || s->withheld)
        s->withheld++;
    return FL_OK;
}

const struct fl_mqtt_receipt *fl_mqtt_session_receipt(const struct fl_mqtt_session *s,
                                                      uint16_t sequence)
{
    const struct fl_mqtt_receipt *receipt = NULL;

    if ((uint16_t)(sequence - s->receipt_first) >= s->receipt_count)
        return NULL;
    receipt = &s->receipts[sequence % FL_LIMIT_MQTT_INFLIGHT];
    return receipt->settled ? NULL : receipt;
}

void fl_mqtt_session_hold(struct fl_mqtt_session *s, uint16_t sequence)
{
    fl_assert(fl_mqtt_session_receipt(s, sequence));
    s->receipts[sequence % FL_LIMIT_MQTT_INFLIGHT].holds++;
}

bool fl_mqtt_session_unhold(struct fl_mqtt_session *s, uint16_t sequence)
{
    struct fl_mqtt_receipt *receipt = &s->receipts[sequence % FL_LIMIT_MQTT_INFLIGHT];

    if (!fl_mqtt_session_receipt(s, sequence) || receipt->holds == 0)
        return false;
    receipt->holds--;
    return true;
}

const struct fl_mqtt_receipt *fl_mqtt_session_owes(const struct fl_mqtt_session *s,
                                                   uint16_t packet_id)
{
    for (uint16_t i = 0; i < s->receipt_count; i++) {
        const struct fl_mqtt_receipt *receipt =
            &s->receipts[(uint16_t)(s->receipt_first + i) % FL_LIMIT_MQTT_INFLIGHT];
        if (receipt->packet_id == packet_id)
            return receipt;
    }
    return NULL;
}

void fl_mqtt_session_explain(struct fl_mqtt_session *s, uint16_t sequence, const char *words)
{
    size_t size = strlen(words);
    struct fl_mqtt_words *kept = NULL;

    if (s->version != FL_MQTT_5 || !s->peer_wants_problems ||
        !fl_mqtt_session_receipt(s, sequence) || !fl_mqtt_text_valid(fl_slice_str(words)))
        return;
    size = size < FL_LIMIT_REASON ? size : FL_LIMIT_REASON;
    kept = malloc(sizeof *kept + size + 1);
    if (!kept)
        return; /* the reason code says it without words */
    (void)fl_str_copy(kept->text, size + 1, words);
    kept->sequence = sequence;
    kept->next = s->words;
    s->words = kept;
}

/* With the reason in words if they fit what the client takes. */
static enum fl_error send_refusal(struct fl_mqtt_session *s, struct fl_mqtt_packet *packet,
                                  uint16_t sequence)
{
    struct fl_mqtt_words *words = take_words(s, sequence);
    enum fl_error error = FL_ELIMIT;

    if (words && packet->as.ack.reason >= 0x80) {
        FL_MQTT_SET(&packet->properties, reason_string, fl_slice_str(words->text));
        error = fl_mqtt_session_send(s, packet);
        packet->properties.has = 0;
    }
    free(words);
    return error == FL_ELIMIT ? fl_mqtt_session_send(s, packet) : error;
}

/* False: the connection has ended over it. */
static bool send_receipt(struct fl_mqtt_session *s, const struct fl_mqtt_receipt *receipt)
{
    struct fl_mqtt_packet packet = {.type = receipt->qos == 2 ? FL_MQTT_PUBREC : FL_MQTT_PUBACK};
    uint16_t sequence = s->receipt_first;
    enum fl_error error = FL_OK;

    packet.as.ack.packet_id = receipt->packet_id;
    packet.as.ack.reason = receipt->reason;
    if (receipt->qos == 2 && receipt->reason < 0x80 && s->version == FL_MQTT_5)
        s->unreleased++;
    s->receipt_first++;
    s->receipt_count--;
    error = s->words ? send_refusal(s, &packet, sequence) : fl_mqtt_session_send(s, &packet);
    if (error == FL_OK)
        return true;
    fl_mqtt_session_close(s, "an acknowledgement cannot be sent");
    return false;
}

static void send_receipts(struct fl_mqtt_session *s)
{
    while (s->receipt_count > s->withheld &&
           s->receipts[s->receipt_first % FL_LIMIT_MQTT_INFLIGHT].settled)
        if (!send_receipt(s, &s->receipts[s->receipt_first % FL_LIMIT_MQTT_INFLIGHT]))
            return;
}

void fl_mqtt_session_settle(struct fl_mqtt_session *s, uint16_t sequence, uint8_t reason,
                            bool must_know)
{
    struct fl_mqtt_receipt *receipt = NULL;

    if (s->phase != FL_MQTT_OPEN || !fl_mqtt_session_receipt(s, sequence))
        return;
    receipt = &s->receipts[sequence % FL_LIMIT_MQTT_INFLIGHT];
    if (reason >= 0x80 && must_know && s->version == FL_MQTT_3) {
        fl_mqtt_session_close(s, "a message could not be kept");
        return;
    }
    receipt->settled = true;
    receipt->reason = reason;
    send_receipts(s);
}

void fl_mqtt_session_withhold(struct fl_mqtt_session *s, bool withholds)
{
    s->withholds = withholds;
}

bool fl_mqtt_session_let_go(struct fl_mqtt_session *s, fl_time_t now)
{
    if (s->withheld == 0 || s->phase != FL_MQTT_OPEN)
        return false;
    s->withheld--;
    s->heard_at = now; /* it may have waited for nothing else */
    send_receipts(s);
    return true;
}

void fl_mqtt_session_released(struct fl_mqtt_session *s)
{
    if (s->unreleased)
        s->unreleased--;
}

fl_time_t fl_mqtt_session_deadline(const struct fl_mqtt_session *s)
{
    if (s->phase == FL_MQTT_NEW || s->phase == FL_MQTT_CONNECTING)
        return s->heard_at + FL_LIMIT_HANDSHAKE_MS;
    if (s->phase == FL_MQTT_OPEN && s->keep_alive_ms && !s->held && s->withheld == 0)
        return s->heard_at + s->keep_alive_ms;
    return FL_TIME_NEVER;
}
