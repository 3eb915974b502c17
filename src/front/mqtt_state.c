/* SPDX-License-Identifier: Apache-2.0 */
#include "front/mqtt_internal.h"

#include "codec/mqtt.h"
#include "io/tls.h"

uint32_t fl_front_mqtt_recheck(struct fl_front_mqtt *mqtt, struct fl_slice device, const char *why,
                               bool forget)
{
    struct fl_map_node *node = fl_map_find(&mqtt->devices, device);
    struct fl_mqtt_device *d = node ? fl_container_of(node, struct fl_mqtt_device, node) : NULL;
    uint32_t count = 0;
    bool any_stays = false;

    if (!d)
        return fl_broker_cut(mqtt->broker, device, FL_MQTT_ADMINISTRATIVE, why, forget,
                             fl_mqtt_now(mqtt));
    FL_LIST_EACH(item, &d->conns)
    {
        const struct fl_mqtt_conn *c = fl_container_of(item, struct fl_mqtt_conn, node);
        any_stays |= c->attached && !c->ending &&
                     fl_roster_admits(mqtt->config.roster, device, fl_slice_str(c->serial));
    }
    if (!any_stays)
        return fl_broker_cut(mqtt->broker, device, FL_MQTT_ADMINISTRATIVE, why, forget,
                             fl_mqtt_now(mqtt));
    /* Only a credential is gone: those who came with another stay. */
    FL_LIST_EACH(item, &d->conns)
    {
        struct fl_mqtt_conn *c = fl_container_of(item, struct fl_mqtt_conn, node);
        if (c->ending || fl_roster_admits(mqtt->config.roster, device, fl_slice_str(c->serial)))
            continue;
        fl_mqtt_end(c, why);
        count++;
    }
    return count;
}

void fl_front_mqtt_recheck_tls(struct fl_front_mqtt *mqtt, struct fl_slice device)
{
    struct fl_map_node *node =
        device.size ? fl_map_find(&mqtt->devices, device) : fl_map_next(&mqtt->devices, NULL);

    while (node && mqtt->tls12 > 0) {
        struct fl_mqtt_device *d = fl_container_of(node, struct fl_mqtt_device, node);
        bool allowed = fl_roster_allows_tls12(mqtt->config.roster, fl_slice_str(d->id));

        FL_LIST_EACH(item, &d->conns)
        {
            struct fl_mqtt_conn *c = fl_container_of(item, struct fl_mqtt_conn, node);

            c->tls_over = !allowed && fl_tls_is_12(c->stream.ssl);
            if (c->tls_over)
                fl_loop_defer(mqtt->config.loop, &c->flush);
        }
        node = device.size ? NULL : fl_map_next(&mqtt->devices, node);
    }
}

static void on_log_changed(void *self)
{
    fl_mqtt_touch(self);
}

static void on_log_broken(void *self, const char *words)
{
    const struct fl_front_mqtt *m = self;

    m->config.broken(m->config.self, words);
}

void fl_front_mqtt_keep(struct fl_front_mqtt *mqtt, struct fl_keeper *keeper)
{
    mqtt->log.changed = on_log_changed;
    mqtt->log.broken = on_log_broken;
    mqtt->log.self = mqtt;
    fl_mqtt_log_begin(&mqtt->log, mqtt->config.loop, mqtt->broker, keeper, mqtt->config.worker,
                      fl_mqtt_utc(mqtt) - fl_mqtt_now(mqtt));
}

/* `key` as of a session: the identity, a NUL, the client identifier. */
static bool is_home_of(const struct fl_front_mqtt *mqtt, struct fl_slice key)
{
    struct fl_slice identity = {0};

    (void)fl_slice_cut(&key, 0, &identity);
    return fl_front_mqtt_home(mqtt, identity) == mqtt->config.worker;
}

enum fl_error fl_front_mqtt_restore(struct fl_front_mqtt *mqtt, const struct fl_keep *record)
{
    bool mine = true;

    if (record->type == fl_keep_type_session)
        mine = is_home_of(mqtt, record->as.session.key);
    else if (record->type == fl_keep_type_testament)
        mine = is_home_of(mqtt, record->as.testament.key);
    else if (record->type >= fl_keep_type_retain && record->type <= fl_keep_type_arrived)
        mine = mqtt->config.worker == 0;
    return fl_broker_restore(mqtt->broker, record, mine, fl_mqtt_now(mqtt));
}

static bool is_known(void *self, struct fl_slice identity)
{
    const struct fl_front_mqtt *m = self;

    return fl_roster_knows(m->config.roster, identity);
}

void fl_front_mqtt_restored(struct fl_front_mqtt *mqtt)
{
    fl_broker_restored(mqtt->broker, is_known, mqtt, fl_mqtt_now(mqtt));
}

void fl_front_mqtt_resumed(struct fl_front_mqtt *mqtt)
{
    fl_broker_resumed(mqtt->broker);
    fl_mqtt_log_write(&mqtt->log);
}

enum fl_error fl_front_mqtt_join_log(struct fl_front_mqtt *mqtt, struct fl_context *ctx)
{
    enum fl_error error = fl_mqtt_log_join(&mqtt->log, ctx);

    fl_mqtt_touch(mqtt); /* timers of what was read back */
    return error;
}

struct fl_meter *fl_front_mqtt_meter(struct fl_front_mqtt *mqtt)
{
    struct fl_counters_worker *c = &mqtt->meter.counters;
    struct fl_broker_counts counts = {0};

    fl_broker_count(mqtt->broker, &counts);
    fl_meter_sample(&mqtt->meter, &counts);
    c->handshaking = 0;
    FL_LIST_EACH(item, &mqtt->strangers)
    c->handshaking++;
    c->held = 0;
    FL_LIST_EACH(item, &mqtt->stalled)
    c->held++;
    c->readings_waiting = fl_readings_uncommitted(mqtt->readings);
    return &mqtt->meter;
}
