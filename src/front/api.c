/* SPDX-License-Identifier: Apache-2.0 */
#include "front/api.h"

#include "base/str.h"
#include "codec/http.h"

#include <jansson.h>
#include <stdlib.h>

#define BODY_MAX ((size_t)FL_LIMIT_MSG - 16384)
#define BEARER_MAX 512
#define ASK_FOR_CREDENTIAL "WWW-Authenticate: Bearer realm=\"fairlead\"\r\n"

static int append(const char *data, size_t size, void *to)
{
    return fl_buffer_append(to, data, size) == FL_OK ? 0 : -1;
}

enum fl_error fl_api_rewrite_json(struct fl_slice body, struct fl_buffer *out,
                                  struct fl_context *ctx)
{
    json_error_t where = {0};
    json_t *json = json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, &where);
    enum fl_error error = FL_OK;

    if (!json) {
        char words[160];
        return fl_fail(ctx, FL_EPARSE, "the body is not JSON: line %d, column %d: %s", where.line,
                       where.column,
                       fl_str_printable(words, sizeof words, fl_slice_str(where.text)));
    }
    if (json_dump_callback(json, append, out, JSON_COMPACT) != 0)
        error = fl_fail(ctx, FL_ELIMIT, "the body is too large");
    json_decref(json);
    return error;
}

/* Answers and returns false when the body is not for the hub. */
static bool take_body(struct fl_http_exchange *exchange, const struct fl_http_request *request,
                      struct fl_buffer *body)
{
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (request->body.size == 0)
        return true;
    if (!fl_http_media_type_is(fl_http_header(request, "content-type"), "application/json")) {
        fl_http_problem(exchange, 415, NULL, "the body must be application/json", NULL);
        return false;
    }
    error = fl_api_rewrite_json(request->body, body, &ctx);
    if (error)
        fl_http_problem(exchange, error == FL_ELIMIT ? 413 : 400, NULL, ctx.text, NULL);
    return error == FL_OK;
}

static bool take_credential(struct fl_http_exchange *exchange,
                            const struct fl_http_request *request, struct fl_slice *bearer)
{
    struct fl_slice authorization = fl_http_header(request, "authorization");

    if (authorization.size == 0)
        return true;
    if (fl_http_bearer(authorization, bearer) == FL_OK && bearer->size <= BEARER_MAX)
        return true;
    fl_http_problem(exchange, 401, NULL, "the Authorization header is not 'Bearer CREDENTIAL'",
                    ASK_FOR_CREDENTIAL);
    return false;
}

void fl_api_request(struct fl_api *api, struct fl_http_exchange *exchange,
                    const struct fl_http_request *request)
{
    struct fl_buffer body = FL_BUFFER(BODY_MAX);
    struct fl_msg msg = {.type = fl_msg_type_api_request};
    struct fl_msg_api_request *m = &msg.as.api_request;

    if (!take_credential(exchange, request, &m->bearer) || !take_body(exchange, request, &body))
        goto out;
    if (fl_pending_add(api->pending, exchange, &m->request) != FL_OK) {
        fl_pending_unavailable(exchange);
        goto out;
    }
    m->method = request->method;
    m->path = request->path;
    m->query = request->query;
    m->peer = fl_slice_str(request->peer);
    m->body = fl_buffer_slice(&body);
    if (!fl_link_send(api->link, &msg))
        fl_pending_unavailable(fl_pending_take(api->pending, m->request));
out:
    fl_buffer_free(&body);
}

/* A header value of the hub's must not become a header of its own. */
static bool is_plain(struct fl_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] >= 0x7F)
            return false;
    return true;
}

void fl_api_response(struct fl_api *api, const struct fl_msg_api_response *response)
{
    struct fl_http_exchange *exchange = fl_pending_take(api->pending, response->request);
    char content_type[129];
    struct fl_http_response answer = {.status = (int)response->status,
                                      .body = response->body,
                                      .headers = "Cache-Control: no-store\r\n"};

    if (!exchange)
        return;
    if (response->status < 200 || response->status > 599 || !is_plain(response->content_type)) {
        fl_http_problem(exchange, 500, NULL, "the hub's answer was not one", NULL);
        return;
    }
    if (response->status == 401)
        answer.headers = "Cache-Control: no-store\r\n" ASK_FOR_CREDENTIAL;
    if (response->content_type.size) {
        (void)fl_str_copy_slice(content_type, sizeof content_type, response->content_type);
        answer.content_type = content_type;
    }
    fl_http_answer(exchange, &answer);
}
