/* SPDX-License-Identifier: Apache-2.0
 *
 * The data plane: takes the hub's word, opens the listeners once it can serve them, and makes every
 * word about a device true at once, for live sessions too. It holds no key but the one it made
 * itself, no database and no files.
 */
#ifndef FL_FRONT_FRONT_H
#define FL_FRONT_FRONT_H

#include "front/https.h"
#include "front/identity.h"
#include "front/sys.h"
#include "front/tls_log.h"
#include "front/workers.h"
#include "io/child.h"
#include "io/tls.h"

#define FL_FRONT_LOG_KEY 32

struct fl_front {
    struct fl_child *child;
    struct fl_loop *loop;
    const struct fl_clock *clock;
    struct fl_channel *hub; /* NULL: away */
    struct fl_link link;
    struct fl_roster roster;
    struct fl_timer meter; /* each second: what was counted */
    fl_time_t metered;     /* when it was told last; the loop's time */
    struct fl_counters_process counters;
    struct fl_sys sys;
    struct fl_identity identity;
    struct fl_tls *mqtt_tls;
    struct fl_tls *https_tls;
    struct fl_workers *workers;
    struct fl_https https;
    int mqtt_fd; /* until it is opened; -1: none yet */
    int https_fd;
    int status_fd;                     /* plain HTTP; only when hub.conf wants it */
    struct fl_buffer issuing;          /* DER */
    uint8_t log_key[FL_FRONT_LOG_KEY]; /* of the log on disk; all there once `knows` */
    bool durable_os;                   /* hub.conf: durability os */
    uint64_t log_bytes;
    char log_folder[4200];    /* as this process sees it */
    struct fl_keeper *keeper; /* NULL: not opened yet */
    struct fl_tls_log tls_log;
    bool knows; /* a snapshot was whole */
    bool serving;
};

/* `front` is zero-initialised and at home in static memory. */
struct fl_child_program fl_front_program(struct fl_front *front);

#endif
