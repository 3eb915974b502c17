/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/history.h"

#include "base/endian.h"
#include "base/map.h"

#include <stdlib.h>

enum { HOUR_S = 3600, DAY_S = 24 * 3600, FIRST_SLOTS = 1024 };

/* --- a table of 64-bit names and values: open addressing, at most half full --- */

struct slot {
    uint64_t name; /* 0: free */
    uint64_t value;
};

struct table {
    struct slot *slots;
    size_t size; /* a power of two */
    size_t count;
};

static struct slot *slot_of(const struct table *t, uint64_t name)
{
    size_t at = (size_t)name & (t->size - 1);

    while (t->slots[at].name && t->slots[at].name != name)
        at = (at + 1) & (t->size - 1);
    return &t->slots[at];
}

static bool grow(struct table *t)
{
    struct table larger = {.size = t->size ? 2 * t->size : FIRST_SLOTS, .count = t->count};

    larger.slots = calloc(larger.size, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < t->size; i++)
        if (t->slots[i].name)
            *slot_of(&larger, t->slots[i].name) = t->slots[i];
    free(t->slots);
    *t = larger;
    return true;
}

static bool put(struct table *t, uint64_t name, uint64_t value)
{
    struct slot *slot = NULL;

    if (2 * (t->count + 1) > t->size && !grow(t))
        return false;
    slot = slot_of(t, name);
    t->count += slot->name == 0;
    *slot = (struct slot){.name = name, .value = value};
    return true;
}

static bool get(const struct table *t, uint64_t name, uint64_t *value)
{
    const struct slot *slot = t->size ? slot_of(t, name) : NULL;

    if (!slot || !slot->name)
        return false;
    *value = slot->value;
    return true;
}

static void clear(struct table *t)
{
    if (t->size)
        memset(t->slots, 0, t->size * sizeof *t->slots);
    t->count = 0;
}

/* --- the history --- */

struct event {
    uint64_t device;
    uint64_t previous; /* number of the same device's one before, 0: none */
    int64_t at_s;
};

struct fl_history {
    struct event *events; /* a ring, by number */
    size_t room;
    uint64_t last;            /* number of the newest event; the first is 1 */
    struct table latest;      /* device: number of its newest event */
    struct table keys;        /* key: device */
    struct table keys_before; /* those not used since `keys` was begun */
};

enum fl_error fl_history_create(struct fl_history **history, struct fl_context *ctx)
{
    *history = calloc(1, sizeof **history);
    return *history ? FL_OK : fl_fail(ctx, FL_ENOMEM, "out of memory");
}

void fl_history_free(struct fl_history *h)
{
    if (!h)
        return;
    free(h->events);
    free(h->latest.slots);
    free(h->keys.slots);
    free(h->keys_before.slots);
    free(h);
}

/* 64 bits of a digest, and of a keyed hash: what collides by chance is one in 10^13 of a million.
 */
static uint64_t key_name(const uint8_t key[32])
{
    uint64_t name = fl_get_le64(key);

    return name ? name : 1;
}

static uint64_t device_name(struct fl_slice device)
{
    uint64_t name = fl_map_hash(device);

    return name ? name : 1;
}

/* --- events --- */

static const struct event *event_of(const struct fl_history *h, uint64_t number)
{
    if (number == 0 || number + FL_HISTORY_EVENTS <= h->last)
        return NULL;
    return &h->events[number % h->room];
}

static bool make_room(struct fl_history *h)
{
    size_t room = h->room ? 2 * h->room : FIRST_SLOTS;
    struct event *events = NULL;

    /* One more than are remembered, so that none has another's place. */
    if (h->last + 2 <= h->room || h->room > FL_HISTORY_EVENTS)
        return true;
    if (room > FL_HISTORY_EVENTS)
        room = FL_HISTORY_EVENTS + 1;
    events = realloc(h->events, room * sizeof *events); /* numbers below the old room keep theirs */
    if (!events)
        return false;
    h->events = events;
    h->room = room;
    return true;
}

/* Devices whose events are all forgotten leave it. */
static bool tidy(struct fl_history *h)
{
    uint64_t first = h->last > FL_HISTORY_EVENTS ? h->last - FL_HISTORY_EVENTS + 1 : 1;

    if (h->latest.count < 2 * (size_t)FL_HISTORY_EVENTS)
        return true;
    clear(&h->latest);
    for (uint64_t number = first; number <= h->last; number++)
        if (!put(&h->latest, h->events[number % h->room].device, number))
            return false;
    return true;
}

static bool note_event(struct fl_history *h, uint64_t device, int64_t at_s)
{
    struct event event = {.device = device, .at_s = at_s};

    if (!make_room(h) || !tidy(h))
        return false;
    if (!get(&h->latest, device, &event.previous))
        event.previous = 0;
    if (!put(&h->latest, device, h->last + 1))
        return false;
    h->last++;
    h->events[h->last % h->room] = event;
    return true;
}

static enum fl_error judge_rate(const struct fl_history *h, struct fl_slice device, int64_t now_s,
                                uint32_t *retry_after_s, struct fl_context *ctx)
{
    uint64_t name = device_name(device);
    uint64_t number = 0;
    const struct event *event = get(&h->latest, name, &number) ? event_of(h, number) : NULL;

    /* The n-th newest says whether there were n in the time before now. */
    for (int n = 1; event && n <= FL_HISTORY_DAY; n++) {
        int64_t window_s = n == FL_HISTORY_HOUR ? HOUR_S : DAY_S;
        int64_t left_s = event->at_s + window_s - now_s;

        if ((n == FL_HISTORY_HOUR || n == FL_HISTORY_DAY) && left_s > 0) {
            *retry_after_s = (uint32_t)(left_s < window_s ? left_s : window_s);
            return fl_fail(ctx, FL_EBUSY, "%.*s got %d certificates within %s: try again in %u s",
                           FL_SLICE_ARGS(device), n, n == FL_HISTORY_HOUR ? "an hour" : "a day",
                           *retry_after_s);
        }
        event = event_of(h, event->previous);
    }
    return FL_OK;
}

/* --- keys --- */

static bool note_key(struct fl_history *h, uint64_t key, uint64_t device)
{
    struct table before = h->keys_before;

    if (h->keys.count >= FL_HISTORY_KEYS) {
        h->keys_before = h->keys;
        h->keys = before;
        clear(&h->keys);
    }
    return put(&h->keys, key, device);
}

static bool owner_of(const struct fl_history *h, uint64_t key, uint64_t *device)
{
    return get(&h->keys, key, device) || get(&h->keys_before, key, device);
}

/* --- both --- */

enum fl_error fl_history_judge(struct fl_history *h, struct fl_slice device, const uint8_t key[32],
                               fl_time_t now, uint32_t *retry_after_s, struct fl_context *ctx)
{
    uint64_t owner = 0;

    *retry_after_s = 0;
    if (owner_of(h, key_name(key), &owner) && owner != device_name(device))
        return fl_fail(
            ctx, FL_EDENIED,
            "the public key is certified for another device already: %.*s needs a key of "
            "its own",
            FL_SLICE_ARGS(device));
    return judge_rate(h, device, now / 1000, retry_after_s, ctx);
}

enum fl_error fl_history_note(struct fl_history *h, struct fl_slice device, const uint8_t key[32],
                              fl_time_t at, struct fl_context *ctx)
{
    uint64_t name = device_name(device);

    if (!note_key(h, key_name(key), name) || !note_event(h, name, at / 1000))
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    return FL_OK;
}
