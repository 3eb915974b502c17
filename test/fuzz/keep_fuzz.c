/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of any kind, in any order, read back by a broker: whatever they say, it stays within its
 * bounds, its clients are served, and a checkpoint of what it made of them reads back.
 */
#include "base/assert.h"
#include "codec/mqtt.h"
#include "test/twin/quiet_host.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool will(void *self, struct fl_slice identity, const struct fl_broker_publish *message)
{
    (void)self;
    fl_assert(identity.size && fl_mqtt_topic_valid(message->topic));
    return true;
}

static struct fl_broker *made(void)
{
    struct fl_broker_host host = fl_quiet_host();
    struct fl_broker *broker = NULL;

    host.will = will;
    fl_assert(fl_broker_create(&host, &broker, NULL) == FL_OK);
    fl_broker_keep(broker, 1, 1000000);
    return broker;
}

/* Everybody whose session may be there comes and takes what waits. */
static void join(struct fl_broker *broker, const char *name)
{
    static int peer;
    struct fl_mqtt_packet packet = {.type = FL_MQTT_CONNECT};
    struct fl_buffer bytes = FL_BUFFER(1024);
    struct fl_broker_conn *conn = NULL;
    size_t taken = 0;

    packet.as.connect.version = FL_MQTT_5;
    packet.as.connect.client_id = fl_slice_str(name);
    FL_MQTT_SET(&packet.properties, session_expiry_s, 1000);
    fl_assert(fl_mqtt_encode(&packet, FL_MQTT_5, 1024, &bytes) == FL_OK);
    fl_assert(fl_broker_attach(broker, fl_slice_str(name), &peer, 50, &conn, NULL) == FL_OK);
    fl_broker_receive(conn, fl_buffer_slice(&bytes), 50, &taken);
    fl_buffer_free(&bytes);
    fl_broker_detach(conn, 60);
}

/* Just below the bound on numbers a broker's own next ones would be over it. At one a nanosecond
 * nobody comes here in seventy years. */
static bool is_near_the_end(const struct fl_keep *record)
{
    const uint64_t near = (uint64_t)1 << 61;
    const uint64_t end = (uint64_t)1 << 62;
    uint64_t number = 0;

    if (record->type == fl_keep_type_session)
        number = record->as.session.id;
    else if (record->type == fl_keep_type_message)
        number = record->as.message.id;
    else if (record->type == fl_keep_type_transit)
        number = record->as.transit.number;
    else if (record->type == fl_keep_type_testament)
        number = record->as.testament.number;
    else if (record->type == fl_keep_type_arrived)
        number = record->as.arrived.number;
    return number > near && number <= end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice in = fl_slice(data, size);
    struct fl_broker *broker = made();
    struct fl_broker *next = NULL;
    struct fl_broker_counts before;
    struct fl_broker_counts after;
    struct fl_keep record;
    uint64_t batch = 0;

    while (fl_keep_decode(&in, &record, NULL) == FL_OK)
        fl_assert(is_near_the_end(&record) ||
                  fl_broker_restore(broker, &record, true, 10) == FL_OK);
    fl_broker_restored(broker, NULL, NULL, 10);
    fl_broker_resumed(broker);
    fl_broker_tick(broker, 40);
    join(broker, "a");
    join(broker, "b");
    (void)fl_broker_log(broker, 60, &batch);
    fl_broker_log_taken(broker);
    fl_broker_committed(broker, batch, 60);

    fl_broker_tick(broker, 60); /* what expired is not counted */
    fl_broker_count(broker, &before);
    fl_broker_checkpoint(broker);
    fl_assert(fl_broker_checkpoint_step(broker, SIZE_MAX / 2));
    in = fl_broker_log(broker, 60, &batch);
    next = made();
    while (in.size) {
        fl_assert(fl_keep_decode(&in, &record, NULL) == FL_OK);
        fl_assert(fl_broker_restore(next, &record, true, 60) == FL_OK);
    }
    fl_broker_restored(next, NULL, NULL, 60);
    fl_broker_count(next, &after);
    fl_assert(after.sessions == before.sessions && after.retained == before.retained &&
              after.subscriptions == before.subscriptions);
    fl_broker_log_taken(broker);
    fl_broker_free(broker);
    fl_broker_free(next);
    return 0;
}
