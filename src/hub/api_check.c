/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/api_check.h"

#include <stdlib.h>

#define TEXT_MAX 4096

static const struct fl_api_field *field_of(const struct fl_api_field *fields, const char *name)
{
    for (const struct fl_api_field *f = fields; f && f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

static const struct fl_api_schema *schema_of(const char *name)
{
    const struct fl_api_schema *s = fl_api_schemas;

    while (s->name && strcmp(s->name, name) != 0)
        s++;
    return s;
}

/* --- values --- */

static enum fl_error check_string(const struct fl_api_field *f, const char *text,
                                  struct fl_context *ctx)
{
    size_t max = f->max ? (size_t)f->max : TEXT_MAX;
    fl_time_t t = 0;

    if (!text)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    if (f->type == FL_API_NAME && !fl_name_valid(fl_slice_str(text)))
        return fl_fail(ctx, FL_EINVAL,
                       "%s: a name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or "
                       "digit",
                       f->name);
    if (f->type == FL_API_TIME && fl_time_parse(fl_slice_str(text), &t) != FL_OK)
        return fl_fail(ctx, FL_EINVAL, "%s: a time is like 2026-11-22T07:19:48Z", f->name);
    if (f->type == FL_API_STRING && strlen(text) > max)
        return fl_fail(ctx, FL_EINVAL, "%s: at most %zu octets", f->name, max);
    for (const char *const *v = f->values; v && *v; v++)
        if (strcmp(*v, text) == 0)
            return FL_OK;
    return f->values ? fl_fail(ctx, FL_EINVAL, "%s: not one of its values (see /api/openapi.json)",
                               f->name)
                     : FL_OK;
}

static enum fl_error check_integer(const struct fl_api_field *f, int64_t value,
                                   struct fl_context *ctx)
{
    if (value < f->min || (f->max && value > f->max))
        return fl_fail(ctx, FL_EINVAL, "%s: from %lld to %lld", f->name, (long long)f->min,
                       (long long)(f->max ? f->max : INT64_MAX));
    return FL_OK;
}

static enum fl_error check_elements(const struct fl_api_field *f, const json_t *array,
                                    struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < json_array_size(array) && error == FL_OK; i++) {
        const json_t *element = json_array_get(array, i);

        if (f->type == FL_API_STRINGS && !json_is_string(element))
            error = fl_fail(ctx, FL_EINVAL, "%s: holds strings only", f->name);
        else if (f->type == FL_API_OBJECTS)
            error = fl_api_check_object(schema_of(f->schema)->fields, element, ctx);
    }
    return error;
}

static enum fl_error wrong_type(const struct fl_api_field *f, const char *words,
                                struct fl_context *ctx)
{
    return fl_fail(ctx, FL_EINVAL, "%s: must be %s", f->name, words);
}

static enum fl_error check_value(const struct fl_api_field *f, const json_t *value,
                                 struct fl_context *ctx)
{
    if (f->nullable && json_is_null(value))
        return FL_OK;
    switch (f->type) {
    case FL_API_STRING:
    case FL_API_NAME:
    case FL_API_TIME:
        if (!json_is_string(value))
            return wrong_type(f, "a string", ctx);
        return check_string(f, json_string_value(value), ctx);
    case FL_API_INTEGER:
        if (!json_is_integer(value))
            return wrong_type(f, "a whole number", ctx);
        return check_integer(f, json_integer_value(value), ctx);
    case FL_API_NUMBER:
        return json_is_number(value) ? FL_OK : wrong_type(f, "a number", ctx);
    case FL_API_BOOLEAN:
        return json_is_boolean(value) ? FL_OK : wrong_type(f, "true or false", ctx);
    case FL_API_OBJECT:
        if (!json_is_object(value))
            return wrong_type(f, "an object", ctx);
        return f->schema ? fl_api_check_object(schema_of(f->schema)->fields, value, ctx) : FL_OK;
    case FL_API_STRINGS:
    case FL_API_OBJECTS:
        if (!json_is_array(value))
            return wrong_type(f, "an array", ctx);
        return check_elements(f, value, ctx);
    }
    return FL_EINVAL;
}

enum fl_error fl_api_check_object(const struct fl_api_field *fields, const json_t *object,
                                  struct fl_context *ctx)
{
    char shown[64];
    enum fl_error error = FL_OK;
    const char *name = NULL;
    json_t *value = NULL;
    void *at = json_object_iter((json_t *)(uintptr_t)object);

    if (!json_is_object(object))
        return fl_fail(ctx, FL_EINVAL, "a JSON object is needed");
    for (; at && error == FL_OK; at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
        const struct fl_api_field *f = NULL;

        name = json_object_iter_key(at);
        value = json_object_iter_value(at);
        f = field_of(fields, name);
        if (!f)
            return fl_fail(ctx, FL_EINVAL, "'%s' is not known here",
                           fl_str_printable(shown, sizeof shown, fl_slice_str(name)));
        error = check_value(f, value, ctx);
    }
    for (const struct fl_api_field *f = fields; f && f->name && error == FL_OK; f++)
        if (f->required && !json_object_get(object, f->name))
            error = fl_fail(ctx, FL_EINVAL, "'%s' is missing", f->name);
    return error;
}

/* --- bodies --- */

enum fl_error fl_api_check_body(const struct fl_api_field *fields, struct fl_slice body,
                                json_t **checked, struct fl_context *ctx)
{
    json_error_t where = {0};

    *checked = NULL;
    if (!fields && body.size)
        return fl_fail(ctx, FL_EINVAL, "this takes no body");
    if (!fields)
        return FL_OK;
    *checked = body.size
                   ? json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, &where)
                   : json_object();
    if (!*checked)
        return fl_fail(ctx, FL_EPARSE, "the body is not JSON: line %d, column %d: %s", where.line,
                       where.column, where.text);
    return fl_api_check_object(fields, *checked, ctx);
}

/* --- queries --- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Percent-decodes into a terminated text; false: malformed, too long or not UTF-8. */
static bool decode(struct fl_slice in, char *to, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < in.size; i++) {
        int c = in.data[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < in.size ? hex_digit(in.data[i + 1]) : -1;
            int low = i + 2 < in.size ? hex_digit(in.data[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c == 0 || used + 1 >= size)
            return false;
        to[used++] = (char)c;
    }
    to[used] = '\0';
    return fl_slice_is_utf8(fl_slice(to, used));
}

static enum fl_error take_parameter(const struct fl_api_field *fields, struct fl_slice parameter,
                                    json_t *checked, struct fl_context *ctx)
{
    char name[64];
    char value[512];
    struct fl_slice head = {0};
    const struct fl_api_field *f = NULL;
    uint64_t number = 0;
    json_t *json = NULL;

    (void)fl_slice_cut(&parameter, '=', &head);
    if (!decode(head, name, sizeof name) || !decode(parameter, value, sizeof value))
        return fl_fail(ctx, FL_EINVAL, "the query is malformed");
    f = field_of(fields, name);
    if (!f)
        return fl_fail(ctx, FL_EINVAL, "the query has a parameter that is not known here");
    if (json_object_get(checked, name))
        return fl_fail(ctx, FL_EINVAL, "%s: given twice", f->name);
    if (f->type != FL_API_INTEGER)
        json = json_string(value);
    else if (fl_str_to_u64(fl_slice_str(value), INT64_MAX, &number) == FL_OK)
        json = json_integer((json_int_t)number);
    else
        return wrong_type(f, "a whole number", ctx);
    if (json_object_set_new(checked, f->name, json) != 0)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    return FL_OK;
}

enum fl_error fl_api_check_query(const struct fl_api_field *fields, struct fl_slice query,
                                 json_t **checked, struct fl_context *ctx)
{
    struct fl_slice parameter = {0};
    bool more = query.size > 0;
    enum fl_error error = FL_OK;

    *checked = json_object();
    if (!fields && query.size)
        return fl_fail(ctx, FL_EINVAL, "this takes no query");
    while (more && error == FL_OK) {
        more = fl_slice_cut(&query, '&', &parameter);
        if (parameter.size)
            error = take_parameter(fields, parameter, *checked, ctx);
    }
    return error == FL_OK ? fl_api_check_object(fields, *checked, ctx) : error;
}
