/* SPDX-License-Identifier: Apache-2.0
 *
 * The MQTT connections of one worker: TLS streams with a device's certificate, from a listener of
 * its own or with WebSocket framing from HTTPS, each fed to the broker and drained from it once a
 * round. All connections of a device are at one worker, its home: who comes in elsewhere is handed
 * over as soon as its name is known. Every publish, subscribe and delivery is authorised from the
 * device's profile as it is now; readings are checked and acknowledged only when the hub has them.
 * While there is no room for readings, connections are not read.
 */
#ifndef FL_FRONT_MQTT_H
#define FL_FRONT_MQTT_H

#include "base/world.h"
#include "front/crew.h"
#include "front/meter.h"
#include "front/mqtt_log.h"
#include "front/readings.h"
#include "front/refusals.h"
#include "front/roster.h"
#include "io/stream.h"

#include <stdatomic.h>

struct fl_front_mqtt;

/* A connection on its way to its home. */
struct fl_front_mqtt_guest;

struct fl_front_mqtt_config {
    struct fl_loop *loop;
    const struct fl_clock *clock;
    const struct fl_link *link;
    const struct fl_roster *roster;
    /* A refusal of a message; the owner's, as others tell theirs to it too. */
    void (*refused)(void *self, struct fl_slice device, const char *what, struct fl_slice topic,
                    const char *reason);
    /* The log is broken: nothing more will be acknowledged, and the process must end. */
    void (*broken)(void *self, const char *words);
    void *self;
    /* Of several workers; zero and NULL when there is only one. */
    struct fl_crew *crew;
    struct fl_broker_group *group;
    unsigned worker;
    atomic_uint *connections; /* of all workers */
    /* Carries the connection to fl_front_mqtt_welcome of worker `to`. */
    void (*hand_over)(void *self, unsigned to, struct fl_front_mqtt_guest *guest);
};

FL_MUST_USE enum fl_error fl_front_mqtt_create(const struct fl_front_mqtt_config *config,
                                               struct fl_front_mqtt **mqtt, struct fl_context *ctx);
void fl_front_mqtt_free(struct fl_front_mqtt *mqtt);

/* Takes over `fd`. */
FL_MUST_USE enum fl_error fl_front_mqtt_open(struct fl_front_mqtt *mqtt, int fd, SSL_CTX *tls,
                                             struct fl_context *ctx);

/* The worker that all connections of this device are at. */
unsigned fl_front_mqtt_home(const struct fl_front_mqtt *mqtt, struct fl_slice device);
void fl_front_mqtt_welcome(struct fl_front_mqtt *mqtt, struct fl_front_mqtt_guest *guest);
/* Nobody will welcome it any more. */
void fl_front_mqtt_turn_away(struct fl_front_mqtt_guest *guest);

/* From the crew: see there. */
void fl_front_mqtt_note(struct fl_front_mqtt *mqtt, unsigned from,
                        const struct fl_broker_note *note);
void fl_front_mqtt_room(struct fl_front_mqtt *mqtt);
void fl_front_mqtt_round(struct fl_front_mqtt *mqtt, bool busy);

/* Takes over an open TLS stream whose client has shown a certificate and speaks WebSocket from now
 * on (front/mqtt_upgrade); from there on it is a connection like any other. Without room for it the
 * stream stays the caller's. */
void fl_front_mqtt_adopt(struct fl_front_mqtt *mqtt, struct fl_stream *stream, const char *peer);

/* The hub has gone: what it was told of sessions it has forgotten. */
void fl_front_mqtt_hub_down(struct fl_front_mqtt *mqtt);
/* The hub is there (again): it is told who is connected, and gets what it has not stored. */
void fl_front_mqtt_hub_up(struct fl_front_mqtt *mqtt);
/* A batch's number has the number of its worker in the bits above these. */
#define FL_FRONT_MQTT_BATCH_BITS 56
void fl_front_mqtt_readings_done(struct fl_front_mqtt *mqtt, uint64_t batch, enum fl_error error);

/* What is known of this device has changed: connections that may not be any more end now. `forget`:
 * its sessions too. Returns how many were ended. */
uint32_t fl_front_mqtt_recheck(struct fl_front_mqtt *mqtt, struct fl_slice device, const char *why,
                               bool forget);

/* --- the log; the first four by the main thread while nobody else works --- */

/* The broker keeps what outlives it, in this log. */
void fl_front_mqtt_keep(struct fl_front_mqtt *mqtt, struct fl_keeper *keeper);
/* See fl_broker_restore, fl_broker_restored and fl_broker_resumed. */
FL_MUST_USE enum fl_error fl_front_mqtt_restore(struct fl_front_mqtt *mqtt,
                                                const struct fl_keep *record);
void fl_front_mqtt_restored(struct fl_front_mqtt *mqtt);
void fl_front_mqtt_resumed(struct fl_front_mqtt *mqtt);
/* On the worker's own thread, before it accepts anyone. */
FL_MUST_USE enum fl_error fl_front_mqtt_join_log(struct fl_front_mqtt *mqtt,
                                                 struct fl_context *ctx);
/* Ends connections with TLS 1.2 of this device (an empty name: of all) whose profile does not allow
 * it any more. */
void fl_front_mqtt_recheck_tls(struct fl_front_mqtt *mqtt, struct fl_slice device);
/* What it has counted, as of now. */
struct fl_meter *fl_front_mqtt_meter(struct fl_front_mqtt *mqtt);

/* A retained message of the hub's own, to whoever may see it. */
void fl_front_mqtt_publish(struct fl_front_mqtt *mqtt, const char *topic, const char *payload);

/* The process ends: what was gathered is sent. */
void fl_front_mqtt_stop(struct fl_front_mqtt *mqtt);

#endif
