/* SPDX-License-Identifier: Apache-2.0
 *
 * QoS 2 from a client: exactly once. The session remembers the packet identifier from the moment
 * the publish is routed until PUBREL, over connections: a repetition is never routed again. Whether
 * the host keeps it is asked again when the connection broke before the host had said so.
 */
#include "service/broker_internal.h"

#include <stdlib.h>

/* Identifiers are mostly released in their order, so the one looked for is near the front. */
static struct fl_broker_received *find(const struct fl_broker_session *session, uint16_t packet_id)
{
    for (uint32_t i = 0; i < session->received_count; i++)
        if (session->received[i].packet_id == packet_id)
            return &session->received[i];
    return NULL;
}

static void forget(struct fl_broker *broker, struct fl_broker_session *session,
                   struct fl_broker_received *received)
{
    size_t index = (size_t)(received - session->received);

    fl_broker_keep_released(broker, session, received->packet_id);
    session->received_count--;
    memmove(received, received + 1, (session->received_count - index) * sizeof *received);
    if (session->received_count)
        return;
    free(session->received);
    session->received = NULL;
    session->received_capacity = 0;
}

void fl_broker_received_forget(struct fl_broker *broker, struct fl_broker_session *session,
                               uint16_t packet_id)
{
    struct fl_broker_received *received = find(session, packet_id);

    if (received)
        forget(broker, session, received);
}

enum fl_broker_claim fl_broker_claim(const struct fl_broker_conn *conn, uint16_t packet_id,
                                     uint8_t qos)
{
    static const enum fl_broker_claim again[] = {
        [FL_BROKER_ASKED] = FL_BROKER_CLAIM_WAITS,
        [FL_BROKER_ROUTED] = FL_BROKER_CLAIM_AGAIN,
        [FL_BROKER_RECEIVED] = FL_BROKER_CLAIM_DONE,
    };
    const struct fl_broker_received *received =
        conn->session->received_count ? find(conn->session, packet_id) : NULL;
    const struct fl_mqtt_receipt *owed = NULL;

    if (qos == 1)
        return received ? FL_BROKER_CLAIM_CLASH : FL_BROKER_CLAIM_NEW;
    if (received)
        return again[received->state];
    owed = fl_mqtt_session_owes(&conn->mqtt, packet_id);
    if (!owed)
        return FL_BROKER_CLAIM_NEW;
    return owed->qos == 2 ? FL_BROKER_CLAIM_WAITS : FL_BROKER_CLAIM_CLASH;
}

bool fl_broker_received_ask(struct fl_broker *broker, struct fl_broker_session *session,
                            uint16_t packet_id)
{
    struct fl_broker_received *received = find(session, packet_id);

    if (!received && session->received_count == session->received_capacity) {
        uint32_t capacity = session->received_capacity ? session->received_capacity * 2 : 8;
        if (session->received_count >= FL_LIMIT_MQTT_UNRELEASED)
            return false;
        received = realloc(session->received, capacity * sizeof *received);
        if (!received)
            return false;
        session->received = received;
        session->received_capacity = capacity;
        received = NULL;
    }
    if (!received) {
        received = &session->received[session->received_count++];
        fl_broker_keep_received(broker, session, packet_id);
    }
    *received = (struct fl_broker_received){.packet_id = packet_id, .state = FL_BROKER_ASKED};
    return true;
}

void fl_broker_receipt_settle(struct fl_broker_conn *conn, uint16_t sequence, uint8_t reason,
                              bool must_know)
{
    const struct fl_mqtt_receipt *receipt = fl_mqtt_session_receipt(&conn->mqtt, sequence);
    struct fl_broker_received *received = NULL;

    if (!receipt || (reason < 0x80 && fl_mqtt_session_unhold(&conn->mqtt, sequence)))
        return;
    if (receipt->qos == 2 && conn->session)
        received = find(conn->session, receipt->packet_id);
    if (received && reason < 0x80) {
        received->state = FL_BROKER_RECEIVED;
        received->here = true;
    } else if (received && must_know && conn->mqtt.version == FL_MQTT_3) {
        received->state = FL_BROKER_ROUTED; /* it ends the connection, so that it comes again */
    } else if (received) {
        forget(conn->broker, conn->session, received); /* its PUBREC frees the identifier */
    }
    fl_mqtt_session_settle(&conn->mqtt, sequence, reason, must_know);
}

void fl_broker_released(struct fl_broker_conn *conn, uint16_t packet_id)
{
    struct fl_broker_received *received = find(conn->session, packet_id);
    struct fl_mqtt_packet packet = {.type = FL_MQTT_PUBCOMP};

    packet.as.ack.packet_id = packet_id;
    if (received && received->state == FL_BROKER_RECEIVED) {
        if (received->here)
            fl_mqtt_session_released(&conn->mqtt);
        forget(conn->broker, conn->session, received);
    } else {
        packet.as.ack.reason = FL_MQTT_PACKET_ID_NOT_FOUND;
    }
    if (fl_mqtt_session_send(&conn->mqtt, &packet) != FL_OK)
        fl_mqtt_session_close(&conn->mqtt, "PUBCOMP cannot be sent");
}

void fl_broker_received_pause(struct fl_broker_session *session)
{
    for (uint32_t i = 0; i < session->received_count; i++) {
        session->received[i].here = false;
        if (session->received[i].state == FL_BROKER_ASKED)
            session->received[i].state = FL_BROKER_ROUTED;
    }
}
