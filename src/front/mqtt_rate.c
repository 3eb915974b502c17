/* SPDX-License-Identifier: Apache-2.0 */
#include "front/mqtt_internal.h"

#include <stdlib.h>

#define PAUSE_MS 500         /* without a wait: what comes then is a new excess */
#define PIECE ((size_t)1024) /* of what is heard without room for it, which there may be again */

void fl_mqtt_device_free(struct fl_mqtt_device *d)
{
    fl_loop_stop_timer(d->mqtt->config.loop, &d->timer);
    fl_map_remove(&d->mqtt->devices, &d->node);
    free(d);
}

/* Its last connection has gone. What it has used of its rate is remembered, so that coming back is
 * no way around it. */
void fl_mqtt_device_leave(struct fl_mqtt_device *d)
{
    fl_time_t full_in = fl_rates_full_in(&d->rates, fl_mqtt_now(d->mqtt));

    if (d->limited)
        d->mqtt->meter.counters.limited_devices--;
    d->limited = false;
    if (full_in > 0)
        fl_loop_set_timer(d->mqtt->config.loop, &d->timer, full_in);
    else
        fl_mqtt_device_free(d);
}

void fl_mqtt_resume(struct fl_mqtt_conn *c)
{
    if (fl_list_empty(&c->stalled))
        return;
    fl_list_remove(&c->stalled);
    fl_stream_resume(&c->stream);
}

/* How long a client that is over its rate may be left unheard: a quarter of its keep alive, so that
 * its pings are answered before it gives up, whatever it sends. Then it is heard for a quarter of
 * that. 0: it does not ping. */
static fl_time_t patience_of(const struct fl_mqtt_conn *c)
{
    return c->attached ? fl_broker_keep_alive_ms(c->attached) / 6 : 0;
}

static bool must_be_heard(struct fl_mqtt_conn *c)
{
    fl_time_t patience = patience_of(c);
    fl_time_t waited = fl_mqtt_now(c->mqtt) - c->waits_since;

    return patience && c->waits_since && waited >= patience && waited < patience + patience / 4;
}

/* Acknowledgements that were withheld are what the device's rate has room for first. */
static void let_go(struct fl_mqtt_device *d)
{
    fl_time_t now = fl_mqtt_now(d->mqtt);
    bool some = d->withholds;

    while (some && fl_rates_wait(&d->rates, now) == 0) {
        some = false;
        FL_LIST_EACH(item, &d->conns)
        {
            struct fl_mqtt_conn *c = fl_container_of(item, struct fl_mqtt_conn, node);

            if (fl_rates_wait(&d->rates, now) > 0 || !c->attached ||
                !fl_broker_let_go(c->attached, now))
                continue;
            fl_rates_charge(&d->rates, 1, 0, now);
            some = true;
        }
    }
    d->withholds = some;
}

/* When the device's rate has room, or the first of its clients must be heard without. */
static void set_device_timer(struct fl_mqtt_device *d)
{
    fl_time_t now = fl_mqtt_now(d->mqtt);
    fl_time_t wait = fl_rates_wait(&d->rates, now);

    FL_LIST_EACH(item, &d->conns)
    {
        const struct fl_mqtt_conn *c = fl_container_of(item, struct fl_mqtt_conn, node);
        fl_time_t left = c->waits_since + patience_of(c) - now;

        if (c->waits_since && patience_of(c) && left > 0 && left < wait)
            wait = left;
    }
    fl_loop_set_timer(d->mqtt->config.loop, &d->timer, wait);
}

static void on_device_timer(struct fl_timer *timer)
{
    struct fl_mqtt_device *d = fl_container_of(timer, struct fl_mqtt_device, timer);

    if (fl_list_empty(&d->conns)) {
        fl_mqtt_device_leave(d);
        return;
    }
    if (d->limited)
        d->mqtt->meter.counters.limited_devices--;
    d->limited = false;
    let_go(d);
    FL_LIST_EACH(item, &d->conns)
    fl_mqtt_resume(fl_container_of(item, struct fl_mqtt_conn, node));
    if (d->withholds)
        set_device_timer(d);
}

struct fl_mqtt_device *fl_mqtt_device_named(struct fl_front_mqtt *m, const char *id)
{
    size_t room = strlen(id) + 1;
    struct fl_map_node *node = fl_map_find(&m->devices, fl_slice_str(id));
    struct fl_mqtt_device *d =
        node ? fl_container_of(node, struct fl_mqtt_device, node) : calloc(1, sizeof *d + room);

    if (!d || node)
        return d;
    d->mqtt = m;
    d->timer.fired = on_device_timer;
    fl_rates_set(&d->rates, NULL);
    fl_list_init(&d->conns);
    (void)fl_str_copy(d->id, room, id);
    if (fl_map_add(&m->devices, &d->node, fl_slice_str(d->id)) != FL_OK) {
        free(d);
        return NULL;
    }
    return d;
}

const struct fl_profile *fl_mqtt_profile_of(const struct fl_front_mqtt *m, struct fl_slice device)
{
    return fl_roster_profile_of(m->config.roster, device);
}

/* The same, remembered as long as it holds: asked for each message in and out. */
const struct fl_profile *fl_mqtt_rights_of(struct fl_mqtt_conn *c)
{
    const struct fl_roster *roster = c->mqtt->config.roster;

    if (c->epoch != roster->epoch) {
        c->profile = fl_mqtt_profile_of(c->mqtt, fl_slice_str(c->device->id));
        c->grades = fl_roster_grades_of(roster, fl_slice_str(c->device->id));
        c->epoch = roster->epoch;
    }
    return c->profile;
}

/* The device is over its rate: none of its connections is read until there is room. */
static void limit(struct fl_mqtt_conn *c)
{
    struct fl_front_mqtt *m = c->mqtt;
    struct fl_mqtt_device *d = c->device;
    fl_time_t now = fl_mqtt_now(m);
    enum fl_rates_limit what = fl_rates_begin_stretch(&d->rates, now);

    if (what != FL_RATES_NONE) {
        fl_meter_limited(&m->meter, what == FL_RATES_MESSAGES);
        m->config.refused(m->config.self, fl_slice_str(d->id), "rate", fl_slice(NULL, 0),
                          what == FL_RATES_MESSAGES ? "more messages than its profile's rate"
                                                    : "more bytes than its profile's rate");
    }
    if (!d->limited)
        m->meter.counters.limited_devices++;
    d->limited = true;
    if (c->waits_since == 0 || now > c->waited_until + PAUSE_MS ||
        now >= c->waits_since + patience_of(c))
        c->waits_since = now;
    c->waited_until = now + fl_rates_wait(&d->rates, now);
    set_device_timer(d);
    fl_broker_hold(c->attached);
}

/* The device's rate has no room, but the client must be heard: what is in these bytes is taken, and
 * costs its sender QoS 0 and the time of acknowledgements. */
static size_t hear(struct fl_mqtt_conn *c, struct fl_slice bytes)
{
    struct fl_front_mqtt *m = c->mqtt;
    uint64_t before = fl_broker_received(m->broker);
    size_t taken = 0;

    c->device->withholds = true;
    fl_broker_over_rate(c->attached, true);
    fl_broker_receive(c->attached, bytes, fl_mqtt_now(m), &taken);
    if (c->attached)
        fl_broker_over_rate(c->attached, false);
    /* Messages are charged when their acknowledgements are let go. */
    if (fl_broker_received(m->broker) > before)
        fl_rates_charge(&c->device->rates, 0, taken, fl_mqtt_now(m));
    set_device_timer(c->device);
    return taken;
}

/* Hands the broker what the device's rate has room for. Returns how much was taken. */
size_t fl_mqtt_feed(struct fl_mqtt_conn *c, struct fl_slice bytes)
{
    struct fl_front_mqtt *m = c->mqtt;
    struct fl_mqtt_device *d = c->device;
    uint64_t before = fl_broker_received(m->broker);
    uint64_t messages = 0;
    size_t taken = 0;

    if (d->rates_epoch != m->config.roster->epoch && fl_mqtt_rights_of(c))
        fl_rates_set(&d->rates, fl_mqtt_rights_of(c));
    d->rates_epoch = m->config.roster->epoch;
    let_go(d);
    while (taken < bytes.size && !c->ending) {
        size_t room = fl_rates_room(&d->rates, bytes.size - taken, fl_mqtt_now(m));
        size_t some = 0;

        if (room == 0 && must_be_heard(c)) {
            size_t piece = bytes.size - taken < PIECE ? bytes.size - taken : PIECE;

            some = hear(c, fl_slice(bytes.data + taken, piece));
            messages = fl_broker_received(m->broker) - before;
            taken += some;
            if (some < piece)
                break;
            continue;
        }
        if (room == 0) {
            limit(c);
            break;
        }
        fl_broker_receive(c->attached, fl_slice(bytes.data + taken, room), fl_mqtt_now(m), &some);
        fl_rates_charge(&d->rates, fl_broker_received(m->broker) - before - messages, some,
                        fl_mqtt_now(m));
        messages = fl_broker_received(m->broker) - before;
        taken += some;
        if (some < room)
            break;
    }
    m->meter.counters.bytes_in += taken;
    if (messages)
        fl_meter_busy(&m->meter, fl_slice_str(d->id), &d->places, messages, taken);
    return taken;
}
