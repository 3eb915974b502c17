/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/line.h"

#include "agent/csv.h"

#include <jansson.h>
#include <math.h>

static enum fl_error json_time(const json_t *value, struct fl_line *line, struct fl_context *ctx)
{
    enum fl_error error = FL_EPARSE;

    if (json_is_string(value))
        error =
            fl_time_parse(fl_slice(json_string_value(value), json_string_length(value)), &line->t);
    else if (json_is_integer(value)) {
        line->t = json_integer_value(value);
        error = FL_OK;
    }
    line->has_time = error == FL_OK;
    return error ? fl_fail(ctx, FL_EPARSE,
                           "\"t\" must be whole milliseconds since the epoch or an RFC 3339 time")
                 : FL_OK;
}

static enum fl_error json_member(const char *name, size_t size, const json_t *value,
                                 struct fl_line *line, struct fl_context *ctx)
{
    char shown[80];
    struct fl_slice stream = fl_slice(name, size);

    if (fl_slice_is(stream, "t"))
        return json_time(value, line, ctx);
    if (!fl_name_valid(stream))
        return fl_fail(ctx, FL_EPARSE, "'%s' cannot name a stream (A-Z a-z 0-9 . _ -)",
                       fl_str_printable(shown, sizeof shown, stream));
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return fl_fail(ctx, FL_EPARSE, "the value of '%s' is not a number", name);
    if (line->count == FL_LIMIT_CSV_COLUMNS)
        return fl_fail(ctx, FL_ELIMIT, "more than %d streams", FL_LIMIT_CSV_COLUMNS);
    (void)fl_str_copy_slice(line->values[line->count].stream,
                            sizeof line->values[line->count].stream, stream);
    line->values[line->count++].value = json_number_value(value);
    return FL_OK;
}

static enum fl_error parse_json(struct fl_slice text, struct fl_line *line, struct fl_context *ctx)
{
    json_error_t why = {0};
    json_t *object = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &why);
    enum fl_error error = FL_OK;
    void *at = NULL;

    if (!object)
        return fl_fail(ctx, FL_EPARSE, "not a JSON object: %s", why.text);
    for (at = json_object_iter(object); at && !error; at = json_object_iter_next(object, at))
        error = json_member(json_object_iter_key(at), strlen(json_object_iter_key(at)),
                            json_object_iter_value(at), line, ctx);
    json_decref(object);
    return error;
}

static enum fl_error parse_words(struct fl_slice text, struct fl_line *line, struct fl_context *ctx)
{
    struct fl_slice stream = {0};
    char shown[80];

    (void)fl_slice_cut(&text, ' ', &stream);
    while (text.size && text.data[0] == ' ')
        text = fl_slice_from(text, 1);
    if (!fl_name_valid(stream))
        return fl_fail(ctx, FL_EPARSE, "'%s' cannot name a stream (A-Z a-z 0-9 . _ -)",
                       fl_str_printable(shown, sizeof shown, stream));
    if (fl_csv_number(text, false, &line->values[0].value) != FL_OK)
        return fl_fail(ctx, FL_EPARSE, "'%s' is not a number; a line is STREAM VALUE, or JSON",
                       fl_str_printable(shown, sizeof shown, text));
    (void)fl_str_copy_slice(line->values[0].stream, sizeof line->values[0].stream, stream);
    line->count = 1;
    return FL_OK;
}

enum fl_error fl_line_parse(struct fl_slice text, struct fl_line *line, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    line->count = 0;
    line->has_time = false;
    line->t = 0;
    if (text.size > FL_LIMIT_AGENT_LINE)
        return fl_fail(ctx, FL_ELIMIT, "a line of more than %d bytes", FL_LIMIT_AGENT_LINE);
    while (text.size && strchr(" \t\r", text.data[text.size - 1]) && text.data[text.size - 1])
        text.size--;
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = fl_slice_from(text, 1);
    if (text.size == 0 || text.data[0] == '#')
        return FL_OK;
    error = text.data[0] == '{' ? parse_json(text, line, ctx) : parse_words(text, line, ctx);
    if (error)
        line->count = 0;
    return error;
}
