/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of front/mqtt, in four files: mqtt.c (connections and the module), mqtt_rate.c (what
 * a device may send, and how fast), mqtt_host.c (what the broker asks), mqtt_state.c (what was
 * decided or kept elsewhere is made true here).
 */
#ifndef FL_FRONT_MQTT_INTERNAL_H
#define FL_FRONT_MQTT_INTERNAL_H

#include "front/mqtt.h"
#include "front/mqtt_ws.h"
#include "front/rates.h"
#include "io/listener.h"
#include "service/broker.h"

struct fl_front_mqtt {
    struct fl_front_mqtt_config config;
    struct fl_broker *broker;
    struct fl_readings *readings;
    struct fl_listener *listener;
    SSL_CTX *tls;
    struct fl_timer tick;
    struct fl_timer quiet;          /* nobody has come for a while, after many did */
    uint32_t arrivals;              /* since memory was last given back */
    struct fl_deferred after_round; /* send readings, set the tick */
    struct fl_map devices;          /* struct fl_mqtt_device, of those with connections */
    struct fl_list strangers;       /* struct fl_mqtt_conn, no certificate seen yet; oldest first */
    struct fl_list stalled;         /* struct fl_mqtt_conn, with bytes that could not be taken */
    size_t tls12;                   /* of its connections, authenticated with TLS 1.2 */
    uint64_t hub;                   /* which hub it is: grows when one goes */
    struct fl_mqtt_log log;
    struct fl_meter meter;
    struct fl_reading_list parsed; /* too large for a stack */
    struct fl_mqtt_ws_room websockets;
};

struct fl_mqtt_device {
    struct fl_map_node node;
    struct fl_front_mqtt *mqtt;
    struct fl_list conns;
    struct fl_rates rates;
    uint64_t rates_epoch;  /* of the roster, when they were looked up */
    struct fl_timer timer; /* its rate has room again; without connections: it may be forgotten */
    bool limited;          /* it waits for that */
    bool withholds;        /* maybe acknowledgements, from its clients */
    struct fl_meter_places places;
    char id[];
};

struct fl_mqtt_conn {
    struct fl_stream stream;
    struct fl_front_mqtt *mqtt;
    struct fl_list node; /* among the strangers, its device's connections, or no one's */
    struct fl_list stalled;
    struct fl_mqtt_device *device;    /* once authenticated */
    struct fl_broker_conn *attached;  /* NULL before and after */
    const struct fl_profile *profile; /* as the roster gave it at its epoch */
    uint8_t grades;                   /* the same */
    uint64_t epoch;
    struct fl_deferred flush;
    fl_time_t waits_since;  /* for its device's rate, without a pause to speak of */
    fl_time_t waited_until; /* about, when it had to wait last */
    struct fl_mqtt_ws *ws;  /* NULL: MQTT as it is */
    bool connected;
    uint64_t told; /* the hub that knows of it; it counts, so each is told once */
    bool resumed;
    bool tls_over; /* it came with a TLS that its device may not have any more: it ends */
    bool ending;   /* send what is left, then end */
    char *why;     /* it is ending; NULL: no memory for the words */
    char serial[FL_LIMIT_SERIAL_HEX];
    char peer[];
};

static inline fl_time_t fl_mqtt_now(const struct fl_front_mqtt *m)
{
    return fl_loop_now(m->config.loop);
}

static inline fl_time_t fl_mqtt_utc(const struct fl_front_mqtt *m)
{
    return fl_clock_now(m->config.clock);
}

/* Something happened that the end of the round must deal with. */
static inline void fl_mqtt_touch(struct fl_front_mqtt *m)
{
    fl_loop_defer(m->config.loop, &m->after_round);
}

/* mqtt.c */
void fl_mqtt_end(struct fl_mqtt_conn *c, const char *why); /* what is left is sent first */
void fl_mqtt_tell_connected(struct fl_mqtt_conn *c, const char *reason);

/* mqtt_rate.c */
struct fl_mqtt_device *fl_mqtt_device_named(struct fl_front_mqtt *m, const char *id);
void fl_mqtt_device_free(struct fl_mqtt_device *d);
/* Its last connection has gone. */
void fl_mqtt_device_leave(struct fl_mqtt_device *d);
void fl_mqtt_resume(struct fl_mqtt_conn *c);
const struct fl_profile *fl_mqtt_profile_of(const struct fl_front_mqtt *m, struct fl_slice device);
/* The same, remembered as long as it holds: asked for each message in and out. */
const struct fl_profile *fl_mqtt_rights_of(struct fl_mqtt_conn *c);
/* Hands the broker what the device's rate has room for. Returns how much was taken. */
size_t fl_mqtt_feed(struct fl_mqtt_conn *c, struct fl_slice bytes);

/* mqtt_host.c */
struct fl_broker_host fl_mqtt_broker_host(struct fl_front_mqtt *m);
struct fl_readings_host fl_mqtt_readings_host(struct fl_front_mqtt *m);

#endif
