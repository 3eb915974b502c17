/* SPDX-License-Identifier: Apache-2.0
 * Finding the route, checking the request, writing the answer. */
#include "hub/api.h"

#include "base/log.h"
#include "hub/api_check.h"
#include "service/principal.h"

#include <stdio.h>
#include <stdlib.h>

#define TAG "api"
#define LIST_BYTES ((size_t)900 * 1024) /* an answer fits one message to the front */

/* --- answers --- */

static void answer_text(struct fl_hub *hub, struct fl_api_caller caller, int status,
                        const char *content_type, const char *text)
{
    hub->host.answer(hub->host.self, caller, status, content_type, fl_slice_str(text));
}

void fl_api_problem_status(struct fl_hub *hub, struct fl_api_caller caller, int status,
                           const char *detail)
{
    static const struct {
        int status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},         {401, "Unauthorized"},
        {403, "Forbidden"},           {404, "Not Found"},
        {405, "Method Not Allowed"},  {409, "Conflict"},
        {413, "Content Too Large"},   {422, "Unprocessable Content"},
        {503, "Service Unavailable"}, {507, "Insufficient Storage"},
    };
    const char *title = "Internal Server Error";
    json_t *problem = NULL;
    char *text = NULL;

    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (titles[i].status == status)
            title = titles[i].title;
    problem = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title, "status",
                        status, "detail", detail);
    text = json_dumps(problem, JSON_COMPACT);
    answer_text(hub, caller, status, "application/problem+json", text ? text : "{}");
    free(text);
    json_decref(problem);
}

static int status_of(enum fl_error error)
{
    switch (error) {
    case FL_EINVAL:
    case FL_EPARSE:
    case FL_EMORE:
        return 400;
    case FL_EAUTH:
    case FL_EEXPIRED:
        return 401;
    case FL_EDENIED:
        return 403;
    case FL_ENOTFOUND:
        return 404;
    case FL_EEXISTS:
    case FL_ESTATE:
        return 409;
    case FL_ELIMIT:
        return 422;
    case FL_EBUSY:
    case FL_ETIMEOUT:
    case FL_ENOMEM:
    case FL_ECLOSED:
        return 503;
    case FL_EFULL:
        return 507;
    case FL_OK:
    case FL_EIO:
    case FL_ECRYPTO:
    case FL_EUNSUPPORTED:
        break;
    }
    return 500;
}

void fl_api_problem(struct fl_hub *hub, struct fl_api_caller caller, enum fl_error error,
                    const char *detail)
{
    fl_api_problem_status(hub, caller, status_of(error),
                          detail && detail[0] ? detail : fl_error_words(error));
}

void fl_api_fail(struct fl_api_call *call, enum fl_error error, const struct fl_context *ctx)
{
    if (status_of(error) >= 500)
        fl_log(FL_LOG_ERROR, TAG, "%s %s: %s", call->route->method, call->route->path, ctx->text);
    fl_api_problem(call->hub, call->caller, error, ctx->text);
}

void fl_api_answer(struct fl_hub *hub, struct fl_api_caller caller, int status, json_t *body)
{
    char *text = NULL;

    if (!body && status == 204) {
        hub->host.answer(hub->host.self, caller, 204, NULL, fl_slice(NULL, 0));
        return;
    }
    text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    if (text)
        answer_text(hub, caller, status, "application/json", text);
    else
        fl_api_problem(hub, caller, FL_ENOMEM, NULL);
    free(text);
}

void fl_api_answer_outcome(struct fl_hub *hub, struct fl_api_caller caller,
                           const struct fl_outcome *o, uint32_t sessions_closed, fl_time_t took_ms)
{
    json_t *effects = json_array();
    json_t *body = NULL;

    for (size_t i = 0; i < o->effect_count; i++)
        (void)json_array_append_new(effects, json_string(o->effects[i]));
    body =
        json_pack("{s:o, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:o}", "action",
                  o->action.id ? json_integer((json_int_t)o->action.id) : json_null(), "device",
                  o->device.id, "kind", o->verb, "state",
                  o->dry_run ? fl_action_state_name(FL_ACTION_PROPOSED)
                             : fl_action_state_name(o->action.state),
                  "reason", o->action.reason, "dry_run", (int)o->dry_run, "sessions_closed",
                  (json_int_t)sessions_closed, "took_ms", (json_int_t)took_ms, "effects", effects);
    if (body && o->action.until != FL_TIME_NEVER)
        (void)json_object_set_new(body, "until", fl_api_time(o->action.until));
    fl_api_answer(hub, caller, 200, body);
}

json_t *fl_api_time(fl_time_t t)
{
    char text[FL_TIME_TEXT_MAX];

    return json_string(fl_time_format(t, text));
}

/* --- lists --- */

void fl_api_list_init(struct fl_api_list *list, size_t limit)
{
    *list = (struct fl_api_list){.text = FL_BUFFER(LIST_BYTES + (size_t)64 * 1024), .limit = limit};
    (void)fl_buffer_append_byte(&list->text, '[');
}

bool fl_api_list_add_text(struct fl_api_list *list, const char *row)
{
    if (list->full || !row)
        return false;
    if (list->count)
        (void)fl_buffer_append_byte(&list->text, ',');
    (void)fl_buffer_append_str(&list->text, row);
    list->count++;
    list->full = list->count >= list->limit || fl_buffer_slice(&list->text).size >= LIST_BYTES;
    return !list->full && !list->text.failed;
}

bool fl_api_list_add(struct fl_api_list *list, json_t *row)
{
    char *text = json_dumps(row, JSON_COMPACT);
    bool more = fl_api_list_add_text(list, text);

    free(text);
    json_decref(row);
    return more;
}

void fl_api_list_answer(struct fl_api_call *call, struct fl_api_list *list, enum fl_error error,
                        const struct fl_context *ctx)
{
    (void)fl_buffer_append_byte(&list->text, ']');
    if (error != FL_OK)
        fl_api_fail(call, error, ctx);
    else if (list->text.failed)
        fl_api_problem(call->hub, call->caller, FL_ENOMEM, NULL);
    else
        call->hub->host.answer(call->hub->host.self, call->caller, 200, "application/json",
                               fl_buffer_slice(&list->text));
    fl_buffer_free(&list->text);
}

/* --- members --- */

const char *fl_api_str(const json_t *from, const char *name, const char *otherwise)
{
    const char *value = json_string_value(json_object_get(from, name));

    return value ? value : otherwise;
}

int64_t fl_api_int(const json_t *from, const char *name, int64_t otherwise)
{
    return fl_document_int(from, name, otherwise);
}

bool fl_api_bool(const json_t *from, const char *name)
{
    return json_is_true(json_object_get(from, name));
}

/* --- the way of a request --- */

/* Does the path fit the pattern? A {word} stands for one segment, which is not empty. */
static bool path_fits(const char *pattern, struct fl_slice path, struct fl_slice *segment)
{
    struct fl_slice rest = fl_slice_str(pattern);
    struct fl_slice part = {0};
    struct fl_slice given = {0};

    for (;;) {
        bool more_pattern = fl_slice_cut(&rest, '/', &part);
        bool more_path = fl_slice_cut(&path, '/', &given);

        if (part.size && part.data[0] == '{') {
            if (given.size == 0)
                return false;
            *segment = given;
        } else if (!fl_slice_equal(part, given)) {
            return false;
        }
        if (more_pattern != more_path)
            return false;
        if (!more_pattern)
            return true;
    }
}

/* NULL: none; `*other_method`: the path exists. */
static const struct fl_api_route *find_route(const struct fl_api_request *request,
                                             struct fl_slice *segment, bool *other_method)
{
    const struct fl_api_route *open = NULL;

    *other_method = false;
    for (const struct fl_api_route *r = fl_api_routes; r->method; r++) {
        struct fl_slice found = {0};

        if (!path_fits(r->path, request->path, &found))
            continue;
        *other_method = true;
        /* A fixed path wins over a {word}: it comes first in the table. */
        if (!open && fl_slice_is(request->method, r->method)) {
            open = r;
            *segment = found;
        }
    }
    return open;
}

static void note_use(struct fl_api_call *call, const char *name)
{
    struct fl_context ctx = {0};
    enum fl_error error = fl_store_begin(&call->hub->store, &ctx);

    if (error == FL_OK) {
        error = fl_principal_used(&call->hub->store, name, call->now, &ctx);
        error = fl_store_end(&call->hub->store, error, &ctx);
    }
    if (error != FL_OK)
        fl_log(FL_LOG_WARN, TAG, "last use of %s is not recorded: %s", name, ctx.text);
}

static enum fl_error authenticate(struct fl_api_call *call, const struct fl_api_request *request,
                                  struct fl_context *ctx)
{
    struct fl_principal principal = {0};
    bool touch = false;
    enum fl_error error = FL_OK;

    (void)fl_str_copy(call->who, sizeof call->who, "anyone");
    if (request->local) {
        (void)snprintf(call->who, sizeof call->who, "local:%u", request->uid);
        return FL_OK;
    }
    if (call->route->access == FL_API_OPEN)
        return FL_OK;
    if (request->bearer.size == 0)
        return fl_fail(ctx, FL_EAUTH,
                       "an administrator's credential is needed: Authorization: Bearer ...");
    error =
        fl_principal_check(&call->hub->store, request->bearer, call->now, &principal, &touch, ctx);
    if (error != FL_OK)
        return error;
    (void)fl_str_copy(call->who, sizeof call->who, principal.name);
    if (principal.metrics_only && call->route->access != FL_API_METRICS)
        return fl_fail(ctx, FL_EDENIED, "the credential of %s may read metrics and nothing else",
                       principal.name);
    if (touch)
        note_use(call, principal.name);
    return FL_OK;
}

void fl_api_call(struct fl_hub *hub, const struct fl_api_request *request)
{
    struct fl_api_call call = {.hub = hub, .caller = request->caller};
    struct fl_context ctx = {0};
    bool other_method = false;
    enum fl_error error = FL_OK;

    call.now = fl_hub_now(hub);
    call.started = fl_clock_monotonic(hub->clock);
    call.route = find_route(request, &call.segment, &other_method);
    if (!call.route) {
        fl_api_problem_status(hub, request->caller, other_method ? 405 : 404,
                              other_method ? "this is there, but not with this method"
                                           : "there is no such path: see /api/openapi.json");
        return;
    }
    error = authenticate(&call, request, &ctx);
    if (error == FL_OK)
        error = fl_api_check_query(call.route->query, request->query, &call.query, &ctx);
    if (error == FL_OK)
        error = fl_api_check_body(call.route->body, request->body, &call.body, &ctx);
    if (error == FL_OK)
        call.route->handle(&call);
    else
        fl_api_problem(hub, request->caller, error, ctx.text);
    json_decref(call.query);
    json_decref(call.body);
}
