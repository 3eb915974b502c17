/* SPDX-License-Identifier: Apache-2.0 */
#include "test/twin/quiet_host.h"

static bool may(void *self, void *peer, enum fl_broker_right right, struct fl_slice topic)
{
    (void)self;
    (void)peer;
    (void)right;
    (void)topic;
    return true;
}

static enum fl_broker_verdict publish(void *self, void *peer,
                                      const struct fl_broker_publish *message, uint64_t token,
                                      uint8_t *reason)
{
    (void)self;
    (void)peer;
    (void)message;
    (void)token;
    (void)reason;
    return FL_BROKER_ROUTE;
}

static bool will(void *self, struct fl_slice identity, const struct fl_broker_publish *message)
{
    (void)self;
    (void)identity;
    (void)message;
    return true;
}

static void refused(void *self, void *peer, const char *what, struct fl_slice topic,
                    const char *reason)
{
    (void)self;
    (void)peer;
    (void)what;
    (void)topic;
    (void)reason;
}

static void told(void *self, void *peer)
{
    (void)self;
    (void)peer;
}

static void closed(void *self, void *peer, const char *why)
{
    (void)self;
    (void)peer;
    (void)why;
}

struct fl_broker_host fl_quiet_host(void)
{
    return (struct fl_broker_host){.may = may,
                                   .publish = publish,
                                   .will = will,
                                   .refused = refused,
                                   .output = told,
                                   .connected = told,
                                   .close = closed};
}
