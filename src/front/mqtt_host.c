/* SPDX-License-Identifier: Apache-2.0 */
#include "front/mqtt_internal.h"

#include "base/log.h"
#include "codec/mqtt.h"
#include "io/clock.h"

static bool may(void *self, void *peer, enum fl_broker_right right, struct fl_slice topic)
{
    struct fl_mqtt_conn *c = peer;
    struct fl_slice device = fl_slice_str(c->device->id);
    const struct fl_profile *profile = fl_mqtt_rights_of(c);

    (void)self;
    return profile &&
           fl_profile_allows(profile,
                             right == FL_BROKER_PUBLISH ? FL_RIGHT_PUBLISH : FL_RIGHT_SUBSCRIBE,
                             device, topic, c->grades);
}

/* What is refused for want of evidence is told as that, to the hub and to whoever reads its log. */
static const char *words_of(struct fl_mqtt_conn *c, const char *what, struct fl_slice topic,
                            const char *reason)
{
    const struct fl_profile *profile = fl_mqtt_rights_of(c);
    enum fl_profile_right right =
        strcmp(what, "publish") == 0 ? FL_RIGHT_PUBLISH : FL_RIGHT_SUBSCRIBE;
    enum fl_grade lacks = FL_GRADE_NONE;

    if (profile && strcmp(reason, fl_mqtt_reason_words(FL_MQTT_NOT_AUTHORIZED)) == 0)
        lacks = fl_profile_lacks(profile, right, fl_slice_str(c->device->id), topic);
    if (lacks == FL_GRADE_ATTESTED)
        return "not without fresh attested evidence";
    return lacks == FL_GRADE_REPORTED ? "not without fresh reported evidence" : reason;
}

static void refused(void *self, void *peer, const char *what, struct fl_slice topic,
                    const char *reason)
{
    struct fl_front_mqtt *m = self;
    struct fl_mqtt_conn *c = peer;

    fl_meter_refused(&m->meter, reason);
    m->config.refused(m->config.self, fl_slice_str(c->device->id), what, topic,
                      words_of(c, what, topic, reason));
}

static uint8_t reason_of(enum fl_error error)
{
    if (error == FL_OK)
        return FL_MQTT_SUCCESS;
    if (error == FL_ENOTFOUND || error == FL_EDENIED)
        return FL_MQTT_NOT_AUTHORIZED;
    if (error == FL_EPARSE || error == FL_EINVAL || error == FL_ELIMIT)
        return FL_MQTT_PAYLOAD_FORMAT;
    return error == FL_EFULL || error == FL_EBUSY ? FL_MQTT_QUOTA : FL_MQTT_UNSPECIFIED;
}

static enum fl_error take_readings(struct fl_front_mqtt *m, struct fl_slice device,
                                   struct fl_slice stream, const struct fl_broker_publish *publish,
                                   uint64_t token, struct fl_context *ctx)
{
    const struct fl_profile *profile = fl_mqtt_profile_of(m, device);
    const struct fl_readings_origin origin = {.topic = publish->topic,
                                              .payload = publish->payload,
                                              .packet_id = publish->packet_id,
                                              .redelivery = publish->dup,
                                              .wants_answer = publish->qos > 0 && token != 0,
                                              .token = token};
    enum fl_error error = FL_OK;

    if (!profile)
        return fl_fail(ctx, FL_EDENIED, "no profile");
    error = fl_reading_parse(profile, device, stream, publish->payload, fl_mqtt_utc(m), &m->parsed,
                             ctx);
    if (error)
        return error;
    error = fl_readings_add(m->readings, &m->parsed, &origin, fl_mqtt_utc(m));
    if (error)
        (void)fl_fail(ctx, error, "no room until the hub has stored what is waiting");
    fl_mqtt_touch(m);
    return error;
}

/* A publish that the device may say: FL_OK, and `*kept` when the hub is to store it first. */
static enum fl_error take(struct fl_front_mqtt *m, struct fl_slice device,
                          const struct fl_broker_publish *publish, uint64_t token, bool *kept)
{
    struct fl_context ctx = {0};
    struct fl_slice stream = {0};
    enum fl_error error = FL_OK;

    *kept = false;
    if (!fl_reading_topic(publish->topic, device, &stream))
        return FL_OK;
    /* An empty retained message only takes a retained one back (MQTT 5.0 section 3.3.1.3). */
    if (publish->retain && publish->payload.size == 0)
        return FL_OK;
    error = take_readings(m, device, stream, publish, token, &ctx);
    *kept = !error && publish->qos > 0 && token != 0;
    if (error) {
        fl_meter_reading(&m->meter, error);
        m->config.refused(m->config.self, device, "reading", publish->topic, ctx.text);
        fl_broker_explain(m->broker, token, ctx.text);
    }
    return error;
}

static enum fl_broker_verdict on_publish(void *self, void *peer,
                                         const struct fl_broker_publish *publish, uint64_t token,
                                         uint8_t *reason)
{
    const struct fl_mqtt_conn *c = peer;
    bool kept = false;
    enum fl_error error = take(self, fl_slice_str(c->device->id), publish, token, &kept);

    if (error) {
        *reason = reason_of(error);
        return FL_BROKER_REFUSE;
    }
    return kept ? FL_BROKER_KEEP : FL_BROKER_ROUTE;
}

/* The device may have been cut off, or its profile changed, since it left its will. */
static bool on_will(void *self, struct fl_slice identity, const struct fl_broker_publish *will)
{
    struct fl_front_mqtt *m = self;
    const struct fl_profile *profile = fl_mqtt_profile_of(m, identity);
    bool kept = false;

    uint8_t grades = fl_roster_grades_of(m->config.roster, identity);

    if (!profile || !fl_profile_allows(profile, FL_RIGHT_PUBLISH, identity, will->topic, grades)) {
        m->meter.counters.refused_unauthorized++;
        m->config.refused(m->config.self, identity, "publish", will->topic, "not authorized");
        return false;
    }
    return take(self, identity, will, 0, &kept) == FL_OK;
}

static void on_output(void *self, void *peer)
{
    struct fl_mqtt_conn *c = peer;

    (void)self;
    fl_loop_defer(c->mqtt->config.loop, &c->flush);
}

static void on_connected(void *self, void *peer)
{
    struct fl_mqtt_conn *c = peer;

    (void)self;
    c->connected = true;
    fl_mqtt_tell_connected(c, "");
}

static void on_close(void *self, void *peer, const char *why)
{
    (void)self;
    fl_mqtt_end(peer, why);
}

static bool send_batch(void *self, uint64_t batch, struct fl_slice records)
{
    struct fl_front_mqtt *m = self;
    struct fl_msg msg = {.type = fl_msg_type_readings};

    fl_meter_batch_sent(&m->meter, batch, fl_clock_monotonic_us());
    msg.as.readings.batch = batch | (uint64_t)m->config.worker << FL_FRONT_MQTT_BATCH_BITS;
    msg.as.readings.records = records;
    return fl_link_send(m->config.link, &msg);
}

static void settle(void *self, uint64_t token, enum fl_error error)
{
    struct fl_front_mqtt *m = self;
    struct fl_context ctx = {0};

    if (error) {
        (void)fl_fail(&ctx, error, "the hub could not store it: %s", fl_error_words(error));
        fl_broker_explain(m->broker, token, ctx.text);
    }
    fl_broker_settle(m->broker, token, reason_of(error), fl_mqtt_now(m));
}

static bool on_post(void *self, unsigned to, const struct fl_broker_note *note, bool must)
{
    const struct fl_front_mqtt *m = self;

    return fl_crew_post(m->config.crew, m->config.worker, to, note, must);
}

struct fl_broker_host fl_mqtt_broker_host(struct fl_front_mqtt *m)
{
    return (struct fl_broker_host){.may = may,
                                   .publish = on_publish,
                                   .will = on_will,
                                   .refused = refused,
                                   .output = on_output,
                                   .connected = on_connected,
                                   .close = on_close,
                                   .self = m,
                                   .group = m->config.group,
                                   .index = m->config.worker,
                                   .post = on_post};
}

struct fl_readings_host fl_mqtt_readings_host(struct fl_front_mqtt *m)
{
    return (struct fl_readings_host){.send = send_batch, .settle = settle, .self = m};
}
