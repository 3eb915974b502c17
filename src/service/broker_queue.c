/* SPDX-License-Identifier: Apache-2.0 */
#include "service/broker_internal.h"

#include <stdlib.h>

struct fl_broker_entry *fl_broker_entry_at(const struct fl_broker_queue *queue, uint32_t index)
{
    return &queue->ring[(queue->first + index) & (queue->capacity - 1)];
}

bool fl_broker_queue_push(struct fl_broker_queue *queue, const struct fl_broker_entry *entry)
{
    if (queue->count == queue->capacity) {
        uint32_t capacity = queue->capacity ? queue->capacity * 2 : 4;
        struct fl_broker_entry *ring = malloc(capacity * sizeof *ring);
        if (!ring)
            return false;
        for (uint32_t i = 0; i < queue->count; i++)
            ring[i] = *fl_broker_entry_at(queue, i);
        free(queue->ring);
        queue->ring = ring;
        queue->first = 0;
        queue->capacity = capacity;
    }
    queue->count++;
    *fl_broker_entry_at(queue, queue->count - 1) = *entry;
    return true;
}

void fl_broker_queue_drop_first(struct fl_broker_queue *queue)
{
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    if (--queue->count == 0) {
        free(queue->ring);
        *queue = (struct fl_broker_queue){0};
    }
}

void fl_broker_entry_free(struct fl_broker_entry *entry)
{
    fl_broker_message_unref(entry->message);
    if (entry->share)
        fl_broker_share_unref(entry->share);
    if (!entry->lent)
        free(entry->ids);
    *entry =
        (struct fl_broker_entry){.seq = entry->seq}; /* a place in a window stays in its order */
}

void fl_broker_queue_free(struct fl_broker_queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++)
        fl_broker_entry_free(fl_broker_entry_at(queue, i));
    free(queue->ring);
    *queue = (struct fl_broker_queue){0};
}

size_t fl_broker_entry_cost(const struct fl_broker_entry *entry)
{
    return sizeof *entry + sizeof *entry->message + entry->message->topic_size +
           entry->message->properties_size + entry->message->payload_size;
}
