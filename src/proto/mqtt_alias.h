/* SPDX-License-Identifier: Apache-2.0
 *
 * The topic aliases of one connection (MQTT 5.0 section 3.3.2.3.4): what the client has named, and
 * what we have named to it. Bounded: FL_LIMIT_MQTT_ALIASES each way; nothing is allocated before
 * the first. Ours are given to the first topics and stay: a table that changed with every topic
 * would cost more than it saves.
 */
#ifndef FL_PROTO_MQTT_ALIAS_H
#define FL_PROTO_MQTT_ALIAS_H

#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"

struct fl_mqtt_alias_table {
    struct fl_mqtt_alias *aliases; /* FL_LIMIT_MQTT_ALIASES, made when needed */
    uint16_t count;                /* of those in use from the front */
};

void fl_mqtt_alias_free(struct fl_mqtt_alias_table *table);

/* The client's: with a topic the alias gets it, without one it stands for what it got. FL_ELIMIT:
 * no such alias, or a topic longer than FL_LIMIT_MQTT_TOPIC; FL_ENOTFOUND: it has no topic;
 * FL_ENOMEM. The topic lives until its alias gets another. */
FL_MUST_USE enum fl_error fl_mqtt_alias_resolve(struct fl_mqtt_alias_table *table, uint32_t alias,
                                                struct fl_slice *topic);

/* Ours: the alias of a topic, or 0. */
uint16_t fl_mqtt_alias_of(const struct fl_mqtt_alias_table *table, struct fl_slice topic);
/* The topic has the next alias from now on; it must be less than FL_LIMIT_MQTT_ALIASES so far. */
void fl_mqtt_alias_add(struct fl_mqtt_alias_table *table, struct fl_slice topic);

#endif
