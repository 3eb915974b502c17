/* SPDX-License-Identifier: Apache-2.0
 *
 * What the brokers of a group share: the store of retained messages. The lock is held to look and
 * to change, never while anything is sent. Each change has a version: what is still on its way from
 * another broker is known as older than what a new subscription found here.
 */
#include "service/broker_remote.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an array and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* What one identity retains. */
struct owner {
    struct fl_map_node by_name;
    uint32_t count;
    size_t bytes;
    uint8_t name[];
};

/* There are many: it fits what malloc gives for 56 bytes. */
struct retained {
    struct fl_topic_entry in_index;
    struct fl_broker_message *message;
    struct owner *owner;   /* NULL: the hub itself */
    struct expiry *expiry; /* NULL: it does not expire */
    uint32_t place;        /* among all */
};

struct expiry {
    struct fl_heap_node node;
    struct retained *retained;
};

struct fl_broker_group {
    unsigned count;
    atomic_uint sessions;
    atomic_uint lasting;  /* members of shares whose sessions outlive their connections */
    pthread_mutex_t lock; /* of what follows */
    struct fl_topic_index index;
    struct fl_map owners;
    struct fl_heap expiries;
    struct retained **all; /* as many as `retained` says, in no order */
    size_t all_capacity;
    size_t unwritten; /* of all, at the front: the walk has not come to them */
    size_t bytes;
    uint64_t version;
    atomic_size_t retained;
    _Atomic fl_time_t due; /* when the first expires */
};

enum fl_error fl_broker_group_create(unsigned count, struct fl_broker_group **group,
                                     struct fl_context *ctx)
{
    struct fl_broker_group *made = calloc(1, sizeof *made);

    fl_assert(count >= 1 && count <= FL_LIMIT_WORKERS);
    if (!made || pthread_mutex_init(&made->lock, NULL) != 0) {
        free(made);
        return fl_fail(ctx, FL_ENOMEM, "broker: out of memory");
    }
    made->count = count;
    atomic_init(&made->sessions, 0);
    atomic_init(&made->lasting, 0);
    atomic_init(&made->retained, 0);
    atomic_init(&made->due, FL_TIME_NEVER);
    if (fl_topic_index_init(&made->index) != FL_OK) {
        fl_broker_group_free(made);
        return fl_fail(ctx, FL_ENOMEM, "broker: out of memory");
    }
    *group = made;
    return FL_OK;
}

static size_t cost(const struct fl_broker_message *message)
{
    return sizeof *message + message->topic_size + message->properties_size + message->payload_size;
}

static struct retained *find(const struct fl_broker_group *group, struct fl_slice topic)
{
    struct fl_topic_entry *entry = fl_topic_index_first(&group->index, topic);

    return entry ? fl_container_of(entry, struct retained, in_index) : NULL;
}

static struct owner *owner_of(const struct fl_broker_group *group,
                              const struct fl_broker_device *device)
{
    struct fl_map_node *node =
        device ? fl_map_find(&group->owners, fl_slice(device->name, device->name_size)) : NULL;

    return node ? fl_container_of(node, struct owner, by_name) : NULL;
}

static struct owner *owner_get(struct fl_broker_group *group, const struct fl_broker_device *device)
{
    struct owner *owner = owner_of(group, device);

    if (owner)
        return owner;
    owner = calloc(1, sizeof *owner + device->name_size);
    if (!owner)
        return NULL;
    memcpy(owner->name, device->name, device->name_size);
    if (fl_map_add(&group->owners, &owner->by_name, fl_slice(owner->name, device->name_size)) !=
        FL_OK) {
        free(owner);
        return NULL;
    }
    return owner;
}

static void owner_release(struct fl_broker_group *group, struct owner *owner)
{
    if (!owner || owner->count)
        return;
    fl_map_remove(&group->owners, &owner->by_name);
    free(owner);
}

static void note_due(struct fl_broker_group *group)
{
    const struct fl_heap_node *first = fl_heap_first(&group->expiries);

    atomic_store_explicit(&group->due, first ? first->due : FL_TIME_NEVER, memory_order_relaxed);
}

static void count(struct fl_broker_group *group, const struct fl_broker_message *message,
                  struct owner *owner)
{
    size_t bytes = cost(message);

    group->bytes += bytes;
    atomic_fetch_add_explicit(&group->retained, 1, memory_order_relaxed);
    if (!owner)
        return;
    owner->bytes += bytes;
    owner->count++;
}

static void uncount(struct fl_broker_group *group, const struct fl_broker_message *message,
                    struct owner *owner)
{
    size_t bytes = cost(message);

    group->bytes -= bytes;
    atomic_fetch_sub_explicit(&group->retained, 1, memory_order_relaxed);
    if (!owner)
        return;
    owner->bytes -= bytes;
    owner->count--;
    owner_release(group, owner);
}

static size_t count_of(const struct fl_broker_group *group)
{
    return atomic_load_explicit(&group->retained, memory_order_relaxed);
}

/* Call before it is counted. */
static bool list(struct fl_broker_group *group, struct retained *retained)
{
    size_t at = count_of(group);

    if (at == group->all_capacity) {
        size_t capacity = at ? at * 2 : 16;
        struct retained **all = realloc(group->all, capacity * sizeof(struct retained *));
        if (!all)
            return false;
        group->all = all;
        group->all_capacity = capacity;
    }
    retained->place = (uint32_t)at;
    group->all[at] = retained;
    return true;
}

/* Call after it is uncounted. The last one takes its place: nearer to the front, so that a walk
 * which has not come to it still does. */
static void unlist(struct fl_broker_group *group, const struct retained *retained)
{
    size_t left = count_of(group);
    struct retained *last = group->all[left];

    last->place = retained->place;
    group->all[last->place] = last;
    if (group->unwritten > left)
        group->unwritten = left;
}

static void free_retained(struct fl_broker_group *group, struct retained *retained)
{
    if (retained->expiry)
        fl_heap_remove(&group->expiries, &retained->expiry->node);
    free(retained->expiry);
    fl_broker_message_unref(retained->message);
    free(retained);
}

static void drop(struct fl_broker_group *group, struct retained *retained)
{
    uncount(group, retained->message, retained->owner);
    unlist(group, retained);
    fl_topic_index_remove(&group->index, &retained->in_index);
    free_retained(group, retained);
}

void fl_broker_group_free(struct fl_broker_group *group)
{
    struct fl_map_node *next = NULL;

    if (!group)
        return;
    for (size_t i = 0; i < count_of(group); i++)
        free_retained(group, group->all[i]);
    free(group->all);
    if (group->index.root)
        fl_topic_index_free(&group->index);
    for (struct fl_map_node *node = fl_map_next(&group->owners, NULL); node; node = next) {
        next = fl_map_next(&group->owners, node);
        free(fl_container_of(node, struct owner, by_name));
    }
    fl_map_free(&group->owners);
    fl_heap_free(&group->expiries);
    (void)pthread_mutex_destroy(&group->lock);
    free(group);
}

unsigned fl_broker_group_count(const struct fl_broker_group *group)
{
    return group->count;
}

/* --- sessions --- */

bool fl_broker_group_session(struct fl_broker_group *group)
{
    if (atomic_fetch_add_explicit(&group->sessions, 1, memory_order_relaxed) <
        FL_LIMIT_MQTT_SESSIONS)
        return true;
    fl_broker_group_session_gone(group);
    return false;
}

void fl_broker_group_lasts(struct fl_broker_group *group, bool more)
{
    if (more)
        (void)atomic_fetch_add_explicit(&group->lasting, 1, memory_order_relaxed);
    else
        (void)atomic_fetch_sub_explicit(&group->lasting, 1, memory_order_relaxed);
}

bool fl_broker_group_lasting(const struct fl_broker_group *group)
{
    return atomic_load_explicit(&group->lasting, memory_order_relaxed) > 0;
}

void fl_broker_group_session_gone(struct fl_broker_group *group)
{
    (void)atomic_fetch_sub_explicit(&group->sessions, 1, memory_order_relaxed);
}

/* --- retaining --- */

static bool fits(const struct fl_broker_group *group, const struct fl_broker_device *device,
                 const struct fl_broker_input *input)
{
    size_t bytes = sizeof(struct fl_broker_message) + input->topic.size + input->properties.size +
                   input->payload.size;
    const struct owner *owner = owner_of(group, device);
    const struct retained *old = find(group, input->topic);
    size_t old_bytes = old ? cost(old->message) : 0;
    bool is_own = owner && old && old->owner == owner;

    if (count_of(group) - (old ? 1 : 0) >= FL_LIMIT_MQTT_RETAINED ||
        group->bytes - old_bytes + bytes > FL_LIMIT_MQTT_RETAINED_BYTES)
        return false;
    return !owner ||
           (owner->count - is_own < FL_LIMIT_MQTT_DEVICE_RETAINED &&
            owner->bytes - (is_own ? old_bytes : 0) + bytes <= FL_LIMIT_MQTT_DEVICE_RETAINED_BYTES);
}

bool fl_broker_may_retain(const struct fl_broker *broker, const struct fl_broker_device *device,
                          const struct fl_broker_input *input)
{
    bool may = true;

    if (!input->retain || input->payload.size == 0)
        return true;
    (void)pthread_mutex_lock(&broker->group->lock);
    may = fits(broker->group, device, input);
    (void)pthread_mutex_unlock(&broker->group->lock);
    return may;
}

static bool expire(struct fl_broker_group *group, struct retained *retained, fl_time_t due)
{
    if (due == FL_TIME_NEVER)
        return true;
    retained->expiry = calloc(1, sizeof *retained->expiry);
    if (!retained->expiry)
        return false;
    retained->expiry->retained = retained;
    return fl_heap_set(&group->expiries, &retained->expiry->node, due) == FL_OK;
}

static bool store(struct fl_broker_group *group, struct fl_broker_message *message,
                  const struct fl_broker_device *device)
{
    struct owner *owner = device ? owner_get(group, device) : NULL;
    struct retained *retained = device && !owner ? NULL : calloc(1, sizeof *retained);

    if (!retained) {
        owner_release(group, owner);
        return false;
    }
    if (group->count > 1)
        fl_broker_message_cross(message);
    retained->message = fl_broker_message_ref(message);
    retained->owner = owner;
    if (!list(group, retained) || !expire(group, retained, message->expires) ||
        fl_topic_index_add(&group->index, fl_broker_message_topic(message), &retained->in_index) !=
            FL_OK) {
        free_retained(group, retained);
        owner_release(group, owner);
        return false;
    }
    count(group, message, owner);
    return true;
}

void fl_broker_retain(struct fl_broker *broker, const struct fl_broker_input *input,
                      struct fl_broker_message *message, const struct fl_broker_device *device)
{
    struct fl_broker_group *group = broker->group;
    struct retained *old = NULL;
    fl_time_t due = atomic_load_explicit(&group->due, memory_order_relaxed);
    bool kept = true;
    bool had = false;

    (void)pthread_mutex_lock(&group->lock);
    kept = input->payload.size == 0 || fits(group, device, input);
    old = find(group, input->topic);
    message->version = ++group->version;
    /* An old value is not true any more, also when the new one cannot be kept. */
    had = old != NULL;
    if (old)
        drop(group, old);
    if (input->payload.size)
        kept = kept && store(group, message, device);
    note_due(group);
    (void)pthread_mutex_unlock(&group->lock);
    if (!kept)
        broker->counts.dropped++;
    if (kept && input->payload.size)
        fl_broker_keep_retain(broker, message,
                              device ? fl_slice(device->name, device->name_size)
                                     : fl_slice(NULL, 0));
    else if (had)
        fl_broker_keep_unretain(broker, input->topic, message->version);
    if (broker->remote && broker->remote->self && message->expires < due) {
        const struct fl_broker_note note = {.kind = FL_BROKER_NOTE_EXPIRY};
        /* Lost it costs memory for a while: nobody is sent what has expired. */
        (void)fl_broker_remote_post(broker, 0, &note, false);
    }
}

/* --- what outlives the process --- */

enum fl_error fl_broker_group_restore(struct fl_broker *broker, struct fl_broker_message *message,
                                      const struct fl_broker_device *device)
{
    struct fl_broker_group *group = broker->group;
    struct retained *old = NULL;
    enum fl_error error = FL_OK;

    (void)pthread_mutex_lock(&group->lock);
    old = find(group, fl_broker_message_topic(message));
    if (message->version > group->version)
        group->version = message->version;
    if (!old || old->message->version < message->version) {
        if (old)
            drop(group, old);
        if (message->payload_size && !store(group, message, device))
            error = FL_ENOMEM;
        note_due(group);
    }
    (void)pthread_mutex_unlock(&group->lock);
    return error;
}

void fl_broker_group_forget(struct fl_broker *broker, struct fl_slice topic, uint64_t version)
{
    struct fl_broker_group *group = broker->group;
    struct retained *old = NULL;

    (void)pthread_mutex_lock(&group->lock);
    old = find(group, topic);
    if (version > group->version)
        group->version = version;
    if (old && old->message->version < version)
        drop(group, old);
    note_due(group);
    (void)pthread_mutex_unlock(&group->lock);
}

bool fl_broker_group_walk(struct fl_broker *broker, bool begins)
{
    struct fl_broker_group *group = broker->group;
    bool is_one = false;

    (void)pthread_mutex_lock(&group->lock);
    if (begins)
        group->unwritten = count_of(group);
    is_one = group->unwritten > 0;
    if (is_one) {
        const struct retained *retained = group->all[--group->unwritten];

        fl_broker_keep_retain(broker, retained->message,
                              retained->owner ? retained->owner->by_name.key : fl_slice(NULL, 0));
    }
    (void)pthread_mutex_unlock(&group->lock);
    return is_one;
}

/* --- finding --- */

struct found {
    struct fl_broker_message **messages;
    size_t count;
    size_t capacity;
    size_t missed;
};

static void collect(void *self, struct fl_topic_entry *entry)
{
    struct found *found = self;

    if (found->count == found->capacity) {
        size_t capacity = found->capacity ? found->capacity * 2 : 16;
        struct fl_broker_message **messages =
            realloc(found->messages, capacity * sizeof(struct fl_broker_message *));
        if (!messages) {
            found->missed++;
            return;
        }
        found->messages = messages;
        found->capacity = capacity;
    }
    found->messages[found->count++] =
        fl_broker_message_ref(fl_container_of(entry, struct retained, in_index)->message);
}

void fl_broker_send_retained(struct fl_broker *broker, struct fl_broker_subscription *subscription,
                             fl_time_t now)
{
    struct fl_broker_group *group = broker->group;
    struct found found = {0};

    (void)pthread_mutex_lock(&group->lock);
    fl_topic_index_search(&group->index, fl_slice(subscription->filter, subscription->filter_size),
                          collect, &found);
    subscription->retained_seen = group->version;
    (void)pthread_mutex_unlock(&group->lock);
    for (size_t i = 0; i < found.count; i++) {
        struct fl_broker_message *message = found.messages[i];
        struct fl_broker_target target = {
            .session = subscription->session,
            .id = subscription->id,
            .qos = message->qos < subscription->qos ? message->qos : subscription->qos,
            .retain = true,
        };
        fl_broker_deliver(broker, &target, message, now);
        fl_broker_message_unref(message);
    }
    broker->counts.dropped += found.missed;
    free(found.messages);
}

/* --- expiring --- */

fl_time_t fl_broker_retained_due(const struct fl_broker *broker)
{
    if (broker->remote && broker->remote->self)
        return FL_TIME_NEVER;
    return atomic_load_explicit(&broker->group->due, memory_order_relaxed);
}

void fl_broker_retained_tick(struct fl_broker *broker, fl_time_t now)
{
    struct fl_broker_group *group = broker->group;
    struct fl_heap_node *first = NULL;

    if (fl_broker_retained_due(broker) > now)
        return;
    (void)pthread_mutex_lock(&group->lock);
    for (first = fl_heap_first(&group->expiries); first && first->due <= now;
         first = fl_heap_first(&group->expiries))
        drop(group, fl_container_of(first, struct expiry, node)->retained);
    note_due(group);
    (void)pthread_mutex_unlock(&group->lock);
}

uint64_t fl_broker_retained_count(const struct fl_broker *broker)
{
    if (broker->remote && broker->remote->self)
        return 0;
    return atomic_load_explicit(&broker->group->retained, memory_order_relaxed);
}

uint64_t fl_broker_retained_bytes(const struct fl_broker *broker)
{
    uint64_t bytes = 0;

    if (broker->remote && broker->remote->self)
        return 0;
    (void)pthread_mutex_lock(&broker->group->lock);
    bytes = broker->group->bytes;
    (void)pthread_mutex_unlock(&broker->group->lock);
    return bytes;
}
