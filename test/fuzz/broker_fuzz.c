/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile bytes into attached connections, beside a well-behaved subscriber: whatever they are, the
 * broker stays within its bounds and the subscriber's session stays up. The first byte of a chunk
 * says which connection gets it and what else happens.
 */
#include "base/assert.h"
#include "codec/mqtt.h"
#include "test/twin/quiet_host.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONNS 3

struct peer {
    struct fl_broker_conn *conn;
    bool output;
    bool closed;
};

struct world {
    struct fl_broker *broker;
    struct peer peers[CONNS];
    uint64_t token;
    unsigned verdicts;
    fl_time_t now;
};

static bool may(void *self, void *peer, enum fl_broker_right right, struct fl_slice topic)
{
    (void)self;
    (void)peer;
    (void)right;
    return topic.size == 0 || topic.data[0] != 'x';
}

static enum fl_broker_verdict publish(void *self, void *peer,
                                      const struct fl_broker_publish *message, uint64_t token,
                                      uint8_t *reason)
{
    struct world *world = self;

    (void)peer;
    fl_assert(fl_mqtt_topic_valid(message->topic) && message->qos <= 2);
    *reason = FL_MQTT_QUOTA;
    if (token)
        world->token = token;
    if (message->payload.size % 2)
        fl_broker_explain(world->broker, token, "no");
    return (enum fl_broker_verdict)(world->verdicts++ % 3);
}

static bool will(void *self, struct fl_slice identity, const struct fl_broker_publish *message)
{
    (void)self;
    fl_assert(identity.size && fl_mqtt_topic_valid(message->topic));
    return message->qos != 1;
}

static void output(void *self, void *peer)
{
    (void)self;
    ((struct peer *)peer)->output = true;
}

static void ended(void *self, void *peer, const char *why)
{
    (void)self;
    fl_assert(why && !((struct peer *)peer)->closed);
    ((struct peer *)peer)->closed = true;
}

static void attach(struct world *world, size_t index)
{
    static const char *const names[CONNS] = {"victim", "evil", "evil"};

    world->peers[index] = (struct peer){0};
    fl_assert(fl_broker_attach(world->broker, fl_slice_str(names[index]), &world->peers[index],
                               world->now, &world->peers[index].conn, NULL) == FL_OK);
}

static void drain(struct world *world)
{
    for (size_t i = 0; i < CONNS; i++) {
        struct fl_buffer *out = fl_broker_output(world->peers[i].conn);
        fl_assert(out->size <= FL_LIMIT_MQTT_OUT);
        if (!world->peers[i].output)
            continue;
        world->peers[i].output = false;
        fl_buffer_consume(out, out->size);
        fl_broker_drained(world->peers[i].conn, world->now);
    }
}

static void say(struct world *world, size_t index, struct fl_slice bytes)
{
    size_t taken = 0;

    fl_broker_receive(world->peers[index].conn, bytes, world->now, &taken);
    fl_assert(taken <= bytes.size);
}

static void step(struct world *world, uint8_t op)
{
    if (op & 0x08)
        drain(world);
    if (op & 0x10)
        fl_broker_settle(world->broker, world->token, op & 0x20 ? 0x80 : 0, world->now);
    if (op & 0x40) {
        drain(world);
        world->now += 60000;
        say(world, 0, fl_slice("\xc0\0", 2));
        fl_broker_tick(world->broker, world->now);
    }
    if (op == 0xFF)
        (void)fl_broker_cut(world->broker, fl_slice_str("evil"), FL_MQTT_ADMINISTRATIVE, "cut",
                            true, world->now);
    for (size_t i = 1; i < CONNS; i++)
        if (world->peers[i].closed) {
            fl_broker_detach(world->peers[i].conn, world->now);
            attach(world, i);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char hello[] = "\x10\x14\0\4MQTT\5\2\0\x3c\0\0\7victim1"
                                "\x82\x07\0\1\0\0\1#\1";
    struct world world = {.now = 1000};
    struct fl_broker_host host = fl_quiet_host();
    struct fl_slice in = fl_slice(data, size);

    host.may = may;
    host.publish = publish;
    host.will = will;
    host.output = output;
    host.close = ended;
    host.self = &world;
    if (size > 65536 || fl_broker_create(&host, &world.broker, NULL) != FL_OK)
        return 0;
    for (size_t i = 0; i < CONNS; i++)
        attach(&world, i);
    say(&world, 0, fl_slice(hello, sizeof hello - 1));
    fl_assert(!world.peers[0].closed);
    while (in.size >= 2) {
        uint8_t op = in.data[0];
        size_t count = in.data[1];
        in = fl_slice_from(in, 2);
        if (count > in.size)
            count = in.size;
        say(&world, 1 + (op & 1), fl_slice(in.data, count));
        in = fl_slice_from(in, count);
        step(&world, op);
    }
    fl_assert(!world.peers[0].closed);
    for (size_t i = 0; i < CONNS; i++)
        fl_broker_detach(world.peers[i].conn, world.now);
    fl_broker_free(world.broker);
    return 0;
}
