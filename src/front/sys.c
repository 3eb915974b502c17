/* SPDX-License-Identifier: Apache-2.0 */
#include "front/sys.h"

#include <stdio.h>

bool fl_sys_is_wanted(const struct fl_roster *roster)
{
    const struct fl_profile *profile = NULL;

    for (profile = fl_roster_next_profile(roster, NULL); profile;
         profile = fl_roster_next_profile(roster, profile))
        for (size_t i = 0; i < profile->subscribe_count; i++)
            if (strncmp(profile->subscribe[i], "$SYS/", 5) == 0)
                return true;
    return false;
}

static void say(struct fl_front_mqtt *mqtt, const char *topic, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    fl_front_mqtt_publish(mqtt, topic, text);
}

static void say_all(struct fl_sys *sys, struct fl_front_mqtt *mqtt,
                    const struct fl_counters_worker *c, fl_time_t now)
{
    char uptime[40];

    fl_front_mqtt_publish(mqtt, "$SYS/broker/version", "fairlead " FL_VERSION);
    (void)snprintf(uptime, sizeof uptime, "%lld seconds", (long long)((now - sys->started) / 1000));
    fl_front_mqtt_publish(mqtt, "$SYS/broker/uptime", uptime);
    say(mqtt, "$SYS/broker/clients/connected", c->connections);
    say(mqtt, "$SYS/broker/clients/total", c->sessions);
    say(mqtt, "$SYS/broker/subscriptions/count", c->subscriptions);
    say(mqtt, "$SYS/broker/retained messages/count", c->retained);
    say(mqtt, "$SYS/broker/store/messages/count", c->queued);
    say(mqtt, "$SYS/broker/store/messages/bytes", c->queued_bytes);
    say(mqtt, "$SYS/broker/publish/messages/received",
        c->received_qos0 + c->received_qos1 + c->received_qos2);
    say(mqtt, "$SYS/broker/publish/messages/sent", c->sent_qos0 + c->sent_qos1 + c->sent_qos2);
    say(mqtt, "$SYS/broker/publish/messages/dropped", c->dropped);
    say(mqtt, "$SYS/broker/bytes/received", c->bytes_in);
    say(mqtt, "$SYS/broker/bytes/sent", c->bytes_out);
}

void fl_sys_tick(struct fl_sys *sys, const struct fl_roster *roster, struct fl_front_mqtt *mqtt,
                 const struct fl_counters_worker *counters, fl_time_t now)
{
    if (sys->started == 0)
        sys->started = now;
    if (sys->epoch != roster->epoch)
        sys->wanted = fl_sys_is_wanted(roster);
    sys->epoch = roster->epoch;
    if (!sys->wanted || (sys->said && now - sys->said < FL_SYS_MS))
        return;
    sys->said = now;
    say_all(sys, mqtt, counters, now);
}
