/* SPDX-License-Identifier: Apache-2.0 */
#include "front/status.h"

#include "base/base64.h"
#include "base/log.h"
#include "base/str.h"
#include "codec/http.h"
#include "trust/cert.h"
#include "trust/key.h"

#include <stdio.h>
#include <stdlib.h>

#define TAG "status"
#define OCSP_TYPE "application/ocsp-response"
/* Well below the time that a response or a list holds: what was revoked must not be good for long
 * in caches on the way (RFC 5019 6). */
#define CACHE "Cache-Control: max-age=60, public, no-transform, must-revalidate\r\n"
#define NO_CACHE "Cache-Control: no-store\r\n"

/* Questions to the hub about what is not kept, each of which costs it a signature. */
static const struct fl_rate ask_rate = {.amount = 1000, .burst = 1000, .period_ms = 1000};

struct kept {
    struct fl_map_node node;
    struct fl_list by_use;
    uint8_t key[1 + FL_OCSP_SERIAL]; /* which hash, u8 size, serial */
    size_t key_size;
    fl_time_t until;
    char headers[160];
    char etag[24];
    size_t size;
    uint8_t response[];
};

void fl_status_init(struct fl_status *s, struct fl_loop *loop, const struct fl_clock *clock,
                    const struct fl_link *link, struct fl_pending *pending)
{
    *s = (struct fl_status){.loop = loop, .clock = clock, .link = link, .pending = pending};
    s->list = FL_BUFFER(FL_LIMIT_CRL);
    s->coming = FL_BUFFER(FL_LIMIT_CRL);
    s->issuing = FL_BUFFER(FL_LIMIT_CERT);
    fl_list_init(&s->oldest_first);
}

static void forget(struct fl_status *s, struct kept *kept)
{
    fl_map_remove(&s->responses, &kept->node);
    fl_list_remove(&kept->by_use);
    free(kept);
}

static void forget_all(struct fl_status *s)
{
    while (!fl_list_empty(&s->oldest_first))
        forget(s, fl_container_of(s->oldest_first.next, struct kept, by_use));
}

void fl_status_free(struct fl_status *s)
{
    if (!s->loop)
        return;
    fl_http_server_close(s->server);
    s->server = NULL;
    forget_all(s);
    fl_map_free(&s->responses);
    fl_buffer_free(&s->list);
    fl_buffer_free(&s->coming);
    fl_buffer_free(&s->issuing);
}

/* --- what the hub says --- */

enum fl_error fl_status_config(struct fl_status *s, struct fl_slice issuing, struct fl_context *ctx)
{
    X509 *certificate = NULL;
    enum fl_error error = fl_cert_x509(issuing, &certificate, ctx);

    forget_all(s);
    fl_buffer_clear(&s->coming); /* of a channel that ended in between */
    fl_buffer_clear(&s->issuing);
    if (error == FL_OK)
        error = fl_ocsp_issuer(certificate, &s->issuer, ctx);
    if (error == FL_OK)
        error = fl_buffer_append_slice(&s->issuing, issuing);
    X509_free(certificate);
    return error;
}

enum fl_error fl_status_part(struct fl_status *s, struct fl_slice der)
{
    return fl_buffer_append_slice(&s->coming, der);
}

enum fl_error fl_status_list(struct fl_status *s, const struct fl_msg_crl *crl)
{
    struct fl_buffer old = s->list;

    if (crl->error != FL_OK || s->coming.size == 0)
        return FL_EINVAL;
    s->list = s->coming;
    s->coming = old;
    fl_buffer_clear(&s->coming);
    s->number = crl->number;
    return FL_OK;
}

static struct kept *find(const struct fl_status *s, bool sha256, struct fl_slice serial)
{
    uint8_t key[1 + FL_OCSP_SERIAL];
    struct fl_map_node *node = NULL;

    if (serial.size == 0 || serial.size > FL_OCSP_SERIAL)
        return NULL;
    key[0] = sha256;
    memcpy(key + 1, serial.data, serial.size);
    node = fl_map_find(&s->responses, fl_slice(key, 1 + serial.size));
    return node ? fl_container_of(node, struct kept, node) : NULL;
}

enum fl_error fl_status_drop(struct fl_status *s, struct fl_slice serials)
{
    if (serials.size == 0)
        forget_all(s);
    while (serials.size) {
        size_t size = 1 + (size_t)serials.data[0];

        if (size > serials.size || size > FL_OCSP_SERIAL)
            return FL_EPARSE;
        for (int sha256 = 0; sha256 < 2; sha256++) {
            struct kept *kept = find(s, sha256 == 1, fl_slice(serials.data, size));

            if (kept)
                forget(s, kept);
        }
        serials = fl_slice_from(serials, size);
    }
    return FL_OK;
}

static void keep(struct fl_status *s, const struct fl_msg_ocsp_answer *a)
{
    struct kept *kept = find(s, a->sha256 != 0, a->serials);
    uint8_t digest[FL_SHA256_SIZE];

    if (kept)
        forget(s, kept);
    if (a->serials.size < 2 || a->serials.size > FL_OCSP_SERIAL || a->response.size == 0)
        return;
    if (s->responses.count >= FL_LIMIT_OCSP_CACHE)
        forget(s, fl_container_of(s->oldest_first.next, struct kept, by_use));
    kept = calloc(1, sizeof *kept + a->response.size);
    if (!kept)
        return; /* asked again next time */
    kept->key[0] = a->sha256 != 0;
    memcpy(kept->key + 1, a->serials.data, a->serials.size);
    kept->key_size = 1 + a->serials.size;
    kept->until = a->this_update + (a->next_update - a->this_update) / 2;
    kept->size = a->response.size;
    memcpy(kept->response, a->response.data, kept->size);
    fl_sha256(a->response, digest);
    kept->etag[0] = '"';
    fl_hex(kept->etag + 1, 17, fl_slice(digest, 8));
    kept->etag[17] = '"';
    (void)snprintf(kept->headers, sizeof kept->headers, CACHE "ETag: %s\r\n", kept->etag);
    if (fl_map_add(&s->responses, &kept->node, fl_slice(kept->key, kept->key_size)) != FL_OK) {
        free(kept);
        return;
    }
    fl_list_push(&s->oldest_first, &kept->by_use);
}

void fl_status_hub_away(struct fl_status *s)
{
    s->waiting = 0;
    fl_buffer_clear(&s->coming);
}

/* --- answers --- */

static void answer_error(struct fl_http_exchange *exchange, enum fl_ocsp_status status)
{
    uint8_t der[FL_OCSP_ERROR_SIZE];
    struct fl_http_response response = {
        .status = 200, .content_type = OCSP_TYPE, .headers = NO_CACHE};

    fl_ocsp_error(status, der);
    response.body = fl_slice(der, sizeof der);
    fl_http_answer(exchange, &response);
}

void fl_status_answer(struct fl_status *s, const struct fl_msg_ocsp_answer *a)
{
    struct fl_http_exchange *exchange = fl_pending_take(s->pending, a->request);
    struct fl_http_response response = {.status = 200,
                                        .content_type = OCSP_TYPE,
                                        .body = a->response,
                                        .headers = a->keep ? CACHE : NO_CACHE};

    if (s->waiting)
        s->waiting--;
    if (a->error == FL_OK && a->keep)
        keep(s, a);
    if (!exchange)
        return;
    if (a->error == FL_OK)
        fl_http_answer(exchange, &response);
    else
        answer_error(exchange, a->error == FL_EBUSY ? FL_OCSP_TRY_LATER : FL_OCSP_INTERNAL_ERROR);
}

/* True, and 304 was answered, when whoever asks has it already. */
static bool has_it(struct fl_http_exchange *exchange, const struct fl_http_request *request,
                   const char *etag, const char *headers)
{
    struct fl_http_response response = {.status = 304, .headers = headers};

    if (!fl_http_header_lists(request, "if-none-match", etag))
        return false;
    fl_http_answer(exchange, &response);
    return true;
}

static struct kept *kept_for(struct fl_status *s, const struct fl_ocsp_question *q)
{
    struct kept *kept =
        q->count == 1 ? find(s, q->sha256, fl_slice(q->serials, q->serials_size)) : NULL;

    if (kept && kept->until <= fl_clock_now(s->clock)) {
        forget(s, kept);
        return NULL;
    }
    if (kept) {
        fl_list_remove(&kept->by_use);
        fl_list_push(&s->oldest_first, &kept->by_use);
    }
    return kept;
}

struct fl_slice fl_status_kept(struct fl_status *s, const struct fl_ocsp_question *question)
{
    const struct kept *kept = kept_for(s, question);

    return kept ? fl_slice(kept->response, kept->size) : fl_slice(NULL, 0);
}

static void ask_hub(struct fl_status *s, struct fl_http_exchange *exchange,
                    const struct fl_ocsp_question *q)
{
    struct fl_msg msg = {.type = fl_msg_type_ocsp_ask};
    fl_time_t now = fl_loop_now(s->loop);

    if (s->waiting >= FL_LIMIT_OCSP_ASKED || fl_token_bucket_level(&s->asks, &ask_rate, now) == 0 ||
        fl_pending_add(s->pending, exchange, &msg.as.ocsp_ask.request) != FL_OK) {
        answer_error(exchange, FL_OCSP_TRY_LATER);
        return;
    }
    fl_token_bucket_charge(&s->asks, &ask_rate, 1, now);
    msg.as.ocsp_ask.sha256 = q->sha256;
    msg.as.ocsp_ask.serials = fl_slice(q->serials, q->serials_size);
    if (fl_link_send(s->link, &msg))
        s->waiting++;
    else
        answer_error(fl_pending_take(s->pending, msg.as.ocsp_ask.request), FL_OCSP_TRY_LATER);
}

static void ocsp(struct fl_status *s, struct fl_http_exchange *exchange,
                 const struct fl_http_request *request, struct fl_slice der)
{
    struct fl_ocsp_question question;
    struct fl_context ctx = {0};
    const struct kept *kept = NULL;
    enum fl_error error = FL_EBUSY;

    if (s->issuing.size) /* else the hub has said nothing yet */
        error = fl_ocsp_read(der, &s->issuer, &question, &ctx);
    if (error != FL_OK) {
        fl_log(FL_LOG_DEBUG, TAG, "%s: %s", request->peer, ctx.text);
        answer_error(exchange, error == FL_EPARSE  ? FL_OCSP_MALFORMED
                               : error == FL_EBUSY ? FL_OCSP_TRY_LATER
                                                   : FL_OCSP_UNAUTHORIZED);
        return;
    }
    kept = kept_for(s, &question);
    if (!kept) {
        ask_hub(s, exchange, &question);
    } else if (!has_it(exchange, request, kept->etag, kept->headers)) {
        struct fl_http_response response = {.status = 200,
                                            .content_type = OCSP_TYPE,
                                            .body = fl_slice(kept->response, kept->size),
                                            .headers = kept->headers};

        fl_http_answer(exchange, &response);
    }
}

/* --- what is under which path --- */

static void ocsp_post(struct fl_status *s, struct fl_http_exchange *exchange,
                      const struct fl_http_request *request)
{
    if (!fl_http_media_type_is(fl_http_header(request, "content-type"),
                               "application/ocsp-request")) {
        fl_http_problem(exchange, 415, NULL, "the body must be application/ocsp-request", NULL);
        return;
    }
    ocsp(s, exchange, request, request->body);
}

/* RFC 6960 A.1: base64 of the request, percent-encoded, behind the path. */
static void ocsp_get(struct fl_status *s, struct fl_http_exchange *exchange,
                     const struct fl_http_request *request)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_OCSP_REQUEST);
    struct fl_slice text = fl_slice_from(request->path, sizeof FL_STATUS_OCSP_PATH);

    if (fl_base64_decode(text, &der) == FL_OK)
        ocsp(s, exchange, request, fl_buffer_slice(&der));
    else
        answer_error(exchange, FL_OCSP_MALFORMED);
    fl_buffer_free(&der);
}

static void list(struct fl_status *s, struct fl_http_exchange *exchange,
                 const struct fl_http_request *request)
{
    char etag[40];
    char headers[160];
    struct fl_http_response response = {.status = 200,
                                        .content_type = "application/pkix-crl",
                                        .body = fl_buffer_slice(&s->list),
                                        .headers = headers};

    if (s->list.size == 0) {
        fl_pending_unavailable(exchange);
        return;
    }
    (void)snprintf(etag, sizeof etag, "\"%llu\"", (unsigned long long)s->number);
    (void)snprintf(headers, sizeof headers, CACHE "ETag: %s\r\n", etag);
    if (!has_it(exchange, request, etag, headers))
        fl_http_answer(exchange, &response);
}

static void issuer(struct fl_status *s, struct fl_http_exchange *exchange,
                   const struct fl_http_request *request)
{
    struct fl_http_response response = {.status = 200,
                                        .content_type = "application/pkix-cert",
                                        .body = fl_buffer_slice(&s->issuing),
                                        .headers = CACHE};

    (void)request;
    if (s->issuing.size)
        fl_http_answer(exchange, &response);
    else
        fl_pending_unavailable(exchange);
}

static const struct {
    const char *path; /* ending in '/': everything under it */
    const char *allow;
    void (*answer)(struct fl_status *status, struct fl_http_exchange *exchange,
                   const struct fl_http_request *request);
} routes[] = {
    {FL_STATUS_OCSP_PATH, "POST", ocsp_post},
    {FL_STATUS_OCSP_PATH "/", "GET", ocsp_get},
    {FL_STATUS_CRL_PATH, "GET", list},
    {FL_STATUS_ISSUER_PATH, "GET", issuer},
};

bool fl_status_request(struct fl_status *s, struct fl_http_exchange *exchange,
                       const struct fl_http_request *request)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t size = strlen(routes[i].path);
        bool is_folder = routes[i].path[size - 1] == '/';
        char header[64];

        if (request->path.size < size || memcmp(request->path.data, routes[i].path, size) != 0 ||
            (!is_folder && request->path.size != size))
            continue;
        (void)snprintf(header, sizeof header, "Allow: %s\r\n", routes[i].allow);
        if (!fl_slice_is(request->method, routes[i].allow))
            fl_http_problem(exchange, 405, NULL, "not with this method", header);
        else
            routes[i].answer(s, exchange, request);
        return true;
    }
    return false;
}

static void on_plain(void *self, struct fl_http_exchange *exchange,
                     const struct fl_http_request *request)
{
    if (!fl_status_request(self, exchange, request))
        fl_http_problem(exchange, 404, NULL,
                        "only revocation lists and OCSP are here; the rest is at the HTTPS port",
                        NULL);
}

enum fl_error fl_status_open(struct fl_status *s, int fd, struct fl_context *ctx)
{
    const struct fl_http_handler handler = {.request = on_plain, .self = s};

    return fl_http_server_open(s->loop, fd, NULL, &handler, &s->server, ctx);
}
