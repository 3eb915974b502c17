/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/mqtt_alias.h"

#include <stdlib.h>

struct fl_mqtt_alias {
    uint8_t *topic;
    size_t size; /* 0: none */
};

void fl_mqtt_alias_free(struct fl_mqtt_alias_table *table)
{
    for (size_t i = 0; table->aliases && i < FL_LIMIT_MQTT_ALIASES; i++)
        free(table->aliases[i].topic);
    free(table->aliases);
    *table = (struct fl_mqtt_alias_table){0};
}

static bool set(struct fl_mqtt_alias_table *table, size_t index, struct fl_slice topic)
{
    uint8_t *copy = NULL;

    if (!table->aliases)
        table->aliases = calloc(FL_LIMIT_MQTT_ALIASES, sizeof table->aliases[0]);
    if (!table->aliases)
        return false;
    copy = realloc(table->aliases[index].topic, topic.size);
    if (!copy)
        return false;
    memcpy(copy, topic.data, topic.size);
    table->aliases[index] = (struct fl_mqtt_alias){.topic = copy, .size = topic.size};
    return true;
}

enum fl_error fl_mqtt_alias_resolve(struct fl_mqtt_alias_table *table, uint32_t alias,
                                    struct fl_slice *topic)
{
    if (alias == 0 || alias > FL_LIMIT_MQTT_ALIASES || topic->size > FL_LIMIT_MQTT_TOPIC)
        return FL_ELIMIT;
    if (topic->size)
        return set(table, alias - 1, *topic) ? FL_OK : FL_ENOMEM;
    if (!table->aliases || table->aliases[alias - 1].size == 0)
        return FL_ENOTFOUND;
    *topic = fl_slice(table->aliases[alias - 1].topic, table->aliases[alias - 1].size);
    return FL_OK;
}

uint16_t fl_mqtt_alias_of(const struct fl_mqtt_alias_table *table, struct fl_slice topic)
{
    for (uint16_t i = 0; i < table->count; i++) {
        const struct fl_mqtt_alias *alias = &table->aliases[i];
        if (fl_slice_equal(fl_slice(alias->topic, alias->size), topic))
            return (uint16_t)(i + 1);
    }
    return 0;
}

/* Without memory the alias stays free: the client has it for this topic, and may get it for
 * another. */
void fl_mqtt_alias_add(struct fl_mqtt_alias_table *table, struct fl_slice topic)
{
    if (set(table, table->count, topic))
        table->count++;
}
