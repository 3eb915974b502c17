/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json.h"

#include "cli/text.h"

#include <stdio.h>
#include <stdlib.h>

const char *fl_number_format(double number, char to[FL_NUMBER_TEXT])
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(to, FL_NUMBER_TEXT, "%.*g", digits, number);
        if (digits == 17 || strtod(to, NULL) == number)
            break;
    }
    return to;
}

static void print_escape(uint32_t code, struct fl_buffer *out)
{
    static const char short_forms[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (const char *s = short_forms; *s; s += 2)
        if (code == (uint32_t)*s) {
            fl_buffer_printf(out, "\\%c", s[1]);
            return;
        }
    if (code > 0xFFFF)
        fl_buffer_printf(out, "\\u%04x\\u%04x", 0xD800U + ((code - 0x10000U) >> 10),
                         0xDC00U + ((code - 0x10000U) & 0x3FFU));
    else
        fl_buffer_printf(out, "\\u%04x", (unsigned)code);
}

static void print_string(struct fl_slice text, struct fl_buffer *out)
{
    fl_buffer_append_byte(out, '"');
    while (text.size > 0) {
        uint32_t code = 0;
        size_t size = 0;
        if (fl_text_is_harmful(text, &code, &size) || code == '"' || code == '\\')
            print_escape(code, out);
        else
            fl_buffer_append(out, text.data, size);
        text = fl_slice_from(text, size);
    }
    fl_buffer_append_byte(out, '"');
}

/* jansson bounds the depth of what it parses (2048), and so of this recursion. Its iterators want
 * an object that they could change. */
static void print_value(json_t *value, struct fl_buffer *out);

static void print_object(json_t *value, struct fl_buffer *out)
{
    bool more = false;

    fl_buffer_append_byte(out, '{');
    for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at)) {
        if (more)
            fl_buffer_append_str(out, ", ");
        more = true;
        print_string(fl_slice_str(json_object_iter_key(at)), out);
        fl_buffer_append_str(out, ": ");
        print_value(json_object_iter_value(at), out);
    }
    fl_buffer_append_byte(out, '}');
}

static void print_array(const json_t *value, struct fl_buffer *out)
{
    fl_buffer_append_byte(out, '[');
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i)
            fl_buffer_append_str(out, ", ");
        print_value(json_array_get(value, i), out);
    }
    fl_buffer_append_byte(out, ']');
}

static void print_value(json_t *value, struct fl_buffer *out)
{
    char number[FL_NUMBER_TEXT];

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        print_object(value, out);
        break;
    case JSON_ARRAY:
        print_array(value, out);
        break;
    case JSON_STRING:
        print_string(fl_slice(json_string_value(value), json_string_length(value)), out);
        break;
    case JSON_INTEGER:
        fl_buffer_printf(out, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        fl_buffer_append_str(out, fl_number_format(json_real_value(value), number));
        break;
    case JSON_TRUE:
        fl_buffer_append_str(out, "true");
        break;
    case JSON_FALSE:
        fl_buffer_append_str(out, "false");
        break;
    case JSON_NULL:
        fl_buffer_append_str(out, "null");
        break;
    }
}

enum fl_error fl_json_print(json_t *value, struct fl_buffer *out)
{
    print_value(value, out);
    return out->failed ? FL_ENOMEM : FL_OK;
}

const char *fl_json_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text ? text : "";
}

int64_t fl_json_int(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

double fl_json_number(const json_t *object, const char *member)
{
    return json_number_value(json_object_get(object, member));
}

bool fl_json_true(const json_t *object, const char *member)
{
    return json_is_true(json_object_get(object, member));
}
