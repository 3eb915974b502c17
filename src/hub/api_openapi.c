/* SPDX-License-Identifier: Apache-2.0
 * The OpenAPI 3.0 document, written from the tables that the router works by. */
#include "hub/api.h"

#include <stdio.h>

static json_t *reference(const char *schema)
{
    char path[64];

    (void)snprintf(path, sizeof path, "#/components/schemas/%s", schema);
    return json_pack("{s:s}", "$ref", path);
}

static json_t *string_of(const struct fl_api_field *f)
{
    json_t *s = json_pack("{s:s}", "type", "string");

    if (f->type == FL_API_NAME)
        (void)json_object_set_new(s, "pattern", json_string("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"));
    if (f->type == FL_API_TIME)
        (void)json_object_set_new(s, "format", json_string("date-time"));
    if (f->max)
        (void)json_object_set_new(s, "maxLength", json_integer(f->max));
    if (f->values) {
        json_t *values = json_array();

        for (const char *const *v = f->values; *v; v++)
            (void)json_array_append_new(values, json_string(*v));
        (void)json_object_set_new(s, "enum", values);
    }
    return s;
}

static json_t *integer_of(const struct fl_api_field *f)
{
    json_t *s = json_pack("{s:s, s:s, s:I}", "type", "integer", "format", "int64", "minimum",
                          (json_int_t)f->min);

    if (f->max && f->max != INT64_MAX)
        (void)json_object_set_new(s, "maximum", json_integer(f->max));
    return s;
}

static json_t *type_of(const struct fl_api_field *f)
{
    switch (f->type) {
    case FL_API_STRING:
    case FL_API_NAME:
    case FL_API_TIME:
        return string_of(f);
    case FL_API_INTEGER:
        return integer_of(f);
    case FL_API_NUMBER:
        return json_pack("{s:s}", "type", "number");
    case FL_API_BOOLEAN:
        return json_pack("{s:s}", "type", "boolean");
    case FL_API_OBJECT:
        /* OpenAPI 3.0 lets nothing stand beside $ref. */
        if (f->schema && f->nullable)
            return json_pack("{s:[o]}", "allOf", reference(f->schema));
        return f->schema ? reference(f->schema) : json_pack("{s:s}", "type", "object");
    case FL_API_STRINGS:
        return json_pack("{s:s, s:{s:s}}", "type", "array", "items", "type", "string");
    case FL_API_OBJECTS:
        return json_pack("{s:s, s:o}", "type", "array", "items", reference(f->schema));
    }
    return NULL;
}

static json_t *field_schema(const struct fl_api_field *f)
{
    json_t *s = type_of(f);

    if (f->nullable)
        (void)json_object_set_new(s, "nullable", json_true());
    if (f->words && !json_object_get(s, "$ref"))
        (void)json_object_set_new(s, "description", json_string(f->words));
    return s;
}

static json_t *object_schema(const struct fl_api_field *fields)
{
    json_t *properties = json_object();
    json_t *required = json_array();
    json_t *s = NULL;

    for (const struct fl_api_field *f = fields; f->name; f++) {
        (void)json_object_set_new(properties, f->name, field_schema(f));
        if (f->required)
            (void)json_array_append_new(required, json_string(f->name));
    }
    s = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties,
                  "additionalProperties", 0);
    if (json_array_size(required))
        (void)json_object_set(s, "required", required);
    json_decref(required);
    return s;
}

/* --- operations --- */

static void add_path_parameter(json_t *parameters, const char *path)
{
    char name[32] = "";
    const char *open = strchr(path, '{');

    if (!open)
        return;
    (void)fl_str_copy_slice(name, sizeof name, fl_slice(open + 1, strcspn(open + 1, "}")));
    (void)json_array_append_new(parameters,
                                json_pack("{s:s, s:s, s:b, s:{s:s}}", "name", name, "in", "path",
                                          "required", 1, "schema", "type", "string"));
}

static json_t *parameters_of(const struct fl_api_route *r)
{
    json_t *parameters = json_array();

    add_path_parameter(parameters, r->path);
    for (const struct fl_api_field *f = r->query; f && f->name; f++)
        (void)json_array_append_new(
            parameters, json_pack("{s:s, s:s, s:b, s:o}", "name", f->name, "in", "query",
                                  "required", (int)f->required, "schema", field_schema(f)));
    return parameters;
}

static json_t *response(const struct fl_api_route *r)
{
    bool is_text = r->schema && strchr(r->schema, '/');
    const char *media = is_text ? r->schema : "application/json";
    json_t *schema = r->schema && !is_text
                         ? reference(r->schema)
                         : json_pack("{s:s}", "type", is_text ? "string" : "object");

    if (r->list)
        schema = json_pack("{s:s, s:o}", "type", "array", "items", schema);
    if (r->status == 204) {
        json_decref(schema);
        return json_pack("{s:s}", "description", "Done");
    }
    return json_pack("{s:s, s:{s:{s:o}}}", "description", r->words, "content", media, "schema",
                     schema);
}

static json_t *operation(const struct fl_api_route *r)
{
    char status[8];
    json_t *responses = json_object();
    json_t *o = NULL;

    (void)snprintf(status, sizeof status, "%d", r->status);
    (void)json_object_set_new(responses, status, response(r));
    (void)json_object_set_new(responses, "default",
                              json_pack("{s:s, s:{s:{s:o}}}", "description", "Problem details",
                                        "content", "application/problem+json", "schema",
                                        reference("Problem")));
    o = json_pack("{s:s, s:o, s:o}", "summary", r->words, "parameters", parameters_of(r),
                  "responses", responses);
    if (r->body)
        (void)json_object_set_new(o, "requestBody",
                                  json_pack("{s:{s:{s:o}}}", "content", "application/json",
                                            "schema", object_schema(r->body)));
    if (r->access == FL_API_OPEN)
        (void)json_object_set_new(o, "security", json_array());
    return o;
}

static void method_name(const char *method, char to[16])
{
    size_t i = 0;

    for (; i < 15 && method[i]; i++)
        to[i] = (char)(method[i] - 'A' + 'a');
    to[i] = '\0';
}

json_t *fl_api_openapi(void)
{
    json_t *paths = json_object();
    json_t *schemas = json_object();

    for (const struct fl_api_route *r = fl_api_routes; r->method; r++) {
        char method[16];
        json_t *path = json_object_get(paths, r->path);

        if (!path) {
            (void)json_object_set_new(paths, r->path, json_object());
            path = json_object_get(paths, r->path);
        }
        method_name(r->method, method);
        (void)json_object_set_new(path, method, operation(r));
    }
    for (const struct fl_api_schema *s = fl_api_schemas; s->name; s++)
        (void)json_object_set_new(schemas, s->name, object_schema(s->fields));
    return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o, s:{s:{s:s, s:s}}}, s:[{s:[]}]}", "openapi",
                     "3.0.3", "info", "title", "Fairlead hub", "version", FL_VERSION, "paths",
                     paths, "components", "schemas", schemas, "securitySchemes", "credential",
                     "type", "http", "scheme", "bearer", "security", "credential");
}
