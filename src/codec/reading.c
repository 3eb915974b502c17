/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/reading.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

#define DEPTH_MAX 2 /* {"t":..., "v":{...}} */
#define PAST_MS (3653LL * 24 * 3600 * 1000)
#define FUTURE_MS (3600LL * 1000)

bool fl_reading_topic(struct fl_slice topic, struct fl_slice device, struct fl_slice *stream)
{
    struct fl_slice level = {0};

    if (!fl_slice_cut(&topic, '/', &level) || !fl_slice_is(level, "d") ||
        !fl_slice_cut(&topic, '/', &level) || !fl_slice_equal(level, device) ||
        !fl_slice_cut(&topic, '/', &level) || !fl_slice_is(level, "t"))
        return false;
    *stream = topic;
    return true;
}

struct reader {
    const struct fl_profile *profile;
    struct fl_slice device;
    fl_time_t t;
    struct fl_reading_list *list;
    struct fl_context *ctx;
};

/* Arrays are in no reading, and nothing is nested deeper than DEPTH_MAX: found before the JSON
 * library spends stack or memory on it. */
static enum fl_error check_shape(struct fl_slice payload, struct fl_context *ctx)
{
    bool in_string = false;
    bool escaped = false;
    int depth = 0;

    for (size_t i = 0; i < payload.size; i++) {
        uint8_t c = payload.data[i];
        if (c == 0) /* the JSON library would skip it after a number */
            return fl_fail(ctx, FL_EPARSE, "reading: byte %zu: a NUL", i + 1);
        if (in_string) {
            in_string = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            continue;
        }
        in_string = c == '"';
        if (c == '[')
            return fl_fail(ctx, FL_EPARSE, "reading: byte %zu: a list is not a reading", i + 1);
        depth += c == '{' ? 1 : (c == '}' ? -1 : 0);
        if (depth > DEPTH_MAX)
            return fl_fail(ctx, FL_EPARSE, "reading: byte %zu: nested too deeply", i + 1);
    }
    return FL_OK;
}

static enum fl_error fail_kind(struct fl_context *ctx, const char *what, const json_t *value)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object",     [JSON_ARRAY] = "a list",
        [JSON_STRING] = "a text",        [JSON_INTEGER] = "a number",
        [JSON_REAL] = "a number",        [JSON_TRUE] = "true (send 1)",
        [JSON_FALSE] = "false (send 0)", [JSON_NULL] = "null (leave it out)"};

    return fl_fail(ctx, FL_EPARSE, "reading: '%s': expected a number, not %s", what,
                   kinds[json_typeof(value)]);
}

static enum fl_error add(const struct reader *r, struct fl_slice name, const json_t *number)
{
    const struct fl_profile_stream *stream = fl_profile_stream(r->profile, name);
    char safe[FL_CONF_SHOWN];
    double value = 0;

    if (!json_is_number(number))
        return fail_kind(r->ctx, fl_conf_shown(safe, name), number);
    value = json_number_value(number);
    if (!stream)
        return fl_fail(
            r->ctx, FL_ENOTFOUND, "reading: the profile '%s' has no stream '%s'%s",
            r->profile->name, fl_conf_shown(safe, name),
            fl_slice_is(name, "t") ? " (a time goes with its value: {\"t\":ms,\"v\":...})" : "");
    if (!isfinite(value))
        return fl_fail(r->ctx, FL_EINVAL, "reading: '%s': not a finite number", stream->name);
    if (value < stream->min || value > stream->max)
        return fl_fail(r->ctx, FL_EINVAL, "reading: '%s': %g is out of range: %g to %g%s%s",
                       stream->name, value, stream->min, stream->max, stream->unit[0] ? " " : "",
                       stream->unit);
    r->list->items[r->list->count++] = (struct fl_reading){
        .device = r->device, .stream = fl_slice_str(stream->name), .t = r->t, .value = value};
    return FL_OK;
}

static enum fl_error add_members(const struct reader *r, json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL;

    if (json_object_size(object) == 0)
        return fl_fail(r->ctx, FL_EPARSE, "reading: an object without numbers");
    if (json_object_size(object) > FL_LIMIT_READINGS_PER_MESSAGE)
        return fl_fail(r->ctx, FL_ELIMIT, "reading: %zu numbers: at most %d in one message",
                       json_object_size(object), FL_LIMIT_READINGS_PER_MESSAGE);
    json_object_foreach(object, name, value)
    {
        enum fl_error error = add(r, fl_slice_str(name), value);
        if (error != FL_OK)
            return error;
    }
    return FL_OK;
}

static enum fl_error read_time(struct reader *r, const json_t *time)
{
    double ms = 0;
    double now = (double)r->t;

    if (!json_is_number(time))
        return fail_kind(r->ctx, "t", time);
    ms = json_number_value(time);
    if (!isfinite(ms) || floor(ms) != ms)
        return fl_fail(r->ctx, FL_EINVAL,
                       "reading: 't': expected whole milliseconds since 1970-01-01");
    if (ms < now - (double)PAST_MS || ms > now + (double)FUTURE_MS) {
        char text[FL_TIME_TEXT_MAX] = "a time";
        if (fabs(ms) < 1e15)
            (void)fl_time_format((fl_time_t)ms, text);
        return fl_fail(r->ctx, FL_EINVAL,
                       "reading: 't': %.0f (%s) is more than an hour ahead or ten years behind: "
                       "expected milliseconds since 1970-01-01",
                       ms, text);
    }
    r->t = (fl_time_t)ms;
    r->list->has_time = true;
    return FL_OK;
}

static enum fl_error read_value(struct reader *r, struct fl_slice stream, json_t *root)
{
    json_t *time = json_object_get(root, "t");
    json_t *value = json_object_get(root, "v");
    enum fl_error error = FL_OK;

    if (json_object_size(root) == 2 && time && value) {
        error = read_time(r, time);
        if (error != FL_OK)
            return error;
        root = value;
    }
    return json_is_object(root) ? add_members(r, root) : add(r, stream, root);
}

enum fl_error fl_reading_parse(const struct fl_profile *profile, struct fl_slice device,
                               struct fl_slice stream, struct fl_slice payload, fl_time_t now,
                               struct fl_reading_list *list, struct fl_context *ctx)
{
    struct reader r = {.profile = profile, .device = device, .t = now, .list = list, .ctx = ctx};
    json_error_t where = {0};
    json_t *root = NULL;
    enum fl_error error = FL_OK;

    list->count = 0;
    list->has_time = false;
    if (payload.size > FL_LIMIT_READINGS_PAYLOAD)
        return fl_fail(ctx, FL_ELIMIT, "reading: %zu bytes: at most %d", payload.size,
                       FL_LIMIT_READINGS_PAYLOAD);
    if (payload.size == 0)
        return fl_fail(ctx, FL_EPARSE, "reading: an empty message");
    error = check_shape(payload, ctx);
    if (error != FL_OK)
        return error;
    /* Whole numbers as doubles: a counter over 2^63 is a number, too. */
    root = json_loadb((const char *)payload.data, payload.size,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &where);
    if (!root) {
        char safe[2 * JSON_ERROR_TEXT_LENGTH];
        return fl_fail(ctx, FL_EPARSE, "reading: byte %d: %s", where.position,
                       fl_str_printable(safe, sizeof safe, fl_slice_str(where.text)));
    }
    error = read_value(&r, stream, root);
    if (error != FL_OK) {
        list->count = 0;
        list->has_time = false;
    }
    json_decref(root);
    return error;
}
