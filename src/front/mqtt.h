/* SPDX-License-Identifier: Apache-2.0
 *
 * The MQTT listener: TLS streams with a device's certificate, each fed to the broker and drained
 * from it once a round. Every publish, subscribe and delivery is authorised from the device's
 * profile as it is now; readings are checked and acknowledged only when the hub has them. While
 * there is no room for readings, connections are not read.
 */
#ifndef FL_FRONT_MQTT_H
#define FL_FRONT_MQTT_H

#include "base/world.h"
#include "front/meter.h"
#include "front/readings.h"
#include "front/refusals.h"
#include "front/roster.h"
#include "io/stream.h"

struct fl_front_mqtt;

struct fl_front_mqtt_config {
    struct fl_loop *loop;
    const struct fl_clock *clock;
    const struct fl_link *link;
    const struct fl_roster *roster;
    /* A refusal of a message; the owner's, as others tell theirs to it too. */
    void (*refused)(void *self, struct fl_slice device, const char *what, struct fl_slice topic,
                    const char *reason);
    void *self;
};

FL_MUST_USE enum fl_error fl_front_mqtt_create(const struct fl_front_mqtt_config *config,
                                               struct fl_front_mqtt **mqtt, struct fl_context *ctx);
void fl_front_mqtt_free(struct fl_front_mqtt *mqtt);

/* Takes over `fd`. */
FL_MUST_USE enum fl_error fl_front_mqtt_open(struct fl_front_mqtt *mqtt, int fd, SSL_CTX *tls,
                                             struct fl_context *ctx);

/* The hub has gone: what it was told of sessions it has forgotten. */
void fl_front_mqtt_hub_down(struct fl_front_mqtt *mqtt);
/* The hub is there (again): it is told who is connected, and gets what it has not stored. */
void fl_front_mqtt_hub_up(struct fl_front_mqtt *mqtt);
void fl_front_mqtt_readings_done(struct fl_front_mqtt *mqtt, uint64_t batch, enum fl_error error);

/* What is known of this device has changed: connections that may not be any more end now. `forget`:
 * its sessions too. Returns how many were ended. */
uint32_t fl_front_mqtt_recheck(struct fl_front_mqtt *mqtt, struct fl_slice device, const char *why,
                               bool forget);

/* What it has counted, as of now. */
struct fl_meter *fl_front_mqtt_meter(struct fl_front_mqtt *mqtt);

/* A retained message of the hub's own, to whoever may see it. */
void fl_front_mqtt_publish(struct fl_front_mqtt *mqtt, const char *topic, const char *payload);

/* The process ends: what was gathered is sent. */
void fl_front_mqtt_stop(struct fl_front_mqtt *mqtt);

#endif
