/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/csv.h"
#include "agent/sensor.h"

static const char usage[] =
    "a sensor is host[:INTERVAL], file:PATH[,stream=S][,speed=N|max][,original-time] or stdin";

static enum fl_error parse_host(struct fl_slice rest, struct fl_sensor_spec *spec,
                                struct fl_context *ctx)
{
    if (fl_duration_parse(rest, &spec->interval_ms) != FL_OK || spec->interval_ms < 100)
        return fl_fail(ctx, FL_EPARSE, "host: the interval must be like 5s, at least 100ms");
    return FL_OK;
}

static bool take_prefix(struct fl_slice *text, const char *prefix)
{
    size_t size = strlen(prefix);

    if (text->size < size || memcmp(text->data, prefix, size) != 0)
        return false;
    *text = fl_slice_from(*text, size);
    return true;
}

static enum fl_error parse_option(struct fl_slice option, struct fl_sensor_spec *spec,
                                  struct fl_context *ctx)
{
    char shown[80];

    if (fl_slice_is(option, "original-time")) {
        spec->original_time = true;
        return FL_OK;
    }
    if (take_prefix(&option, "stream=")) {
        if (fl_name_valid(option) && fl_str_copy_slice(spec->stream, sizeof spec->stream, option))
            return FL_OK;
        return fl_fail(ctx, FL_EPARSE, "file: '%s' cannot name a stream (A-Z a-z 0-9 . _ -)",
                       fl_str_printable(shown, sizeof shown, option));
    }
    if (take_prefix(&option, "speed=")) {
        if (fl_slice_is(option, "max")) {
            spec->speed = 0;
            return FL_OK;
        }
        if (fl_csv_number(option, false, &spec->speed) == FL_OK && spec->speed > 0 &&
            spec->speed <= 1e9)
            return FL_OK;
        return fl_fail(ctx, FL_EPARSE, "file: the speed is a number above 0, or max");
    }
    return fl_fail(ctx, FL_EPARSE, "file: unknown option '%s': stream=, speed= or original-time",
                   fl_str_printable(shown, sizeof shown, option));
}

static enum fl_error parse_file(struct fl_slice rest, struct fl_sensor_spec *spec,
                                struct fl_context *ctx)
{
    struct fl_slice part = {0};
    bool more = fl_slice_cut(&rest, ',', &part);
    enum fl_error error = FL_OK;

    spec->speed = 1;
    if (part.size == 0 || !fl_str_copy_slice(spec->path, sizeof spec->path, part))
        return fl_fail(ctx, FL_EPARSE, "file: a path of 1 to %zu bytes is needed; %s",
                       sizeof spec->path - 1, usage);
    while (more && !error) {
        more = fl_slice_cut(&rest, ',', &part);
        error = parse_option(part, spec, ctx);
    }
    return error;
}

enum fl_error fl_sensor_parse(const char *text, struct fl_sensor_spec *spec, struct fl_context *ctx)
{
    struct fl_slice rest = fl_slice_str(text);
    char shown[80];

    *spec = (struct fl_sensor_spec){.kind = FL_SENSOR_HOST};
    if (fl_slice_is(rest, "host"))
        return FL_OK;
    if (take_prefix(&rest, "host:"))
        return parse_host(rest, spec, ctx);
    spec->kind = FL_SENSOR_STDIN;
    if (fl_slice_is(rest, "stdin"))
        return FL_OK;
    spec->kind = FL_SENSOR_FILE;
    if (take_prefix(&rest, "file:"))
        return parse_file(rest, spec, ctx);
    return fl_fail(ctx, FL_EPARSE, "unknown sensor '%s': %s",
                   fl_str_printable(shown, sizeof shown, rest), usage);
}
