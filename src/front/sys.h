/* SPDX-License-Identifier: Apache-2.0
 *
 * $SYS: the broker's own numbers as retained messages, as other brokers have them, for devices
 * whose profile subscribes to them. Nothing is published while no profile does. Who may see which
 * is decided as for every other topic, and a leading wildcard never matches them.
 */
#ifndef FL_FRONT_SYS_H
#define FL_FRONT_SYS_H

#include "codec/counters.h"
#include "front/mqtt.h"

#define FL_SYS_MS 10000

struct fl_sys {
    fl_time_t said; /* the loop's time; 0: never */
    fl_time_t started;
    uint64_t epoch; /* of the roster, when `wanted` was found out */
    bool wanted;
};

/* Call about once a second; says something every FL_SYS_MS. */
void fl_sys_tick(struct fl_sys *sys, const struct fl_roster *roster, struct fl_front_mqtt *mqtt,
                 const struct fl_counters_worker *counters, fl_time_t now);

/* True if a profile of the roster subscribes to topics below $SYS/. */
bool fl_sys_is_wanted(const struct fl_roster *roster);

#endif
