/* SPDX-License-Identifier: Apache-2.0 */
#include "front/https.h"

#include "io/tls.h"

#include <stdio.h>

static void cacerts(struct fl_https *h, struct fl_http_exchange *exchange,
                    const struct fl_http_request *request)
{
    fl_est_cacerts(&h->est, exchange, request);
}

static void csrattrs(struct fl_https *h, struct fl_http_exchange *exchange,
                     const struct fl_http_request *request)
{
    fl_est_csrattrs(&h->est, exchange, request);
}

static void enrol(struct fl_https *h, struct fl_http_exchange *exchange,
                  const struct fl_http_request *request)
{
    fl_est_enrol(&h->est, exchange, request);
}

static void reenrol(struct fl_https *h, struct fl_http_exchange *exchange,
                    const struct fl_http_request *request)
{
    fl_est_reenrol(&h->est, exchange, request);
}

static void api(struct fl_https *h, struct fl_http_exchange *exchange,
                const struct fl_http_request *request)
{
    fl_api_request(&h->api, exchange, request);
}

static const struct {
    const char *path;  /* ending in '/': everything under it */
    const char *allow; /* NULL: every method */
    fl_https_answer answer;
} routes[] = {
    {"/.well-known/est/cacerts", "GET", cacerts},
    {"/.well-known/est/csrattrs", "GET", csrattrs},
    {"/.well-known/est/simpleenroll", "POST", enrol},
    {"/.well-known/est/simplereenroll", "POST", reenrol},
    {"/api/", NULL, api},
    {"/metrics", "GET", api},
};

fl_https_answer fl_https_route(struct fl_slice path, const char **allow)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t size = strlen(routes[i].path);
        bool is_folder = routes[i].path[size - 1] == '/';

        if (path.size < size || memcmp(path.data, routes[i].path, size) != 0 ||
            (!is_folder && path.size != size))
            continue;
        *allow = routes[i].allow;
        return routes[i].answer;
    }
    return NULL;
}

static void on_request(void *self, struct fl_http_exchange *exchange,
                       const struct fl_http_request *request)
{
    const char *allow = NULL;
    fl_https_answer answer = fl_https_route(request->path, &allow);
    char header[64];

    ((struct fl_https *)self)->requests++;
    if (!answer) {
        fl_http_problem(exchange, 404, NULL, "nothing is here", NULL);
    } else if (allow && !fl_slice_is(request->method, allow)) {
        (void)snprintf(header, sizeof header, "Allow: %s\r\n", allow);
        fl_http_problem(exchange, 405, NULL, "not with this method", header);
    } else {
        answer(self, exchange, request);
    }
}

void fl_https_init(struct fl_https *https, struct fl_loop *loop, const struct fl_link *link)
{
    fl_pending_init(&https->pending, loop);
    fl_est_init(&https->est, link, &https->pending);
    https->api = (struct fl_api){.link = link, .pending = &https->pending};
}

enum fl_error fl_https_open(struct fl_https *https, struct fl_loop *loop, int fd, SSL_CTX *tls,
                            struct fl_context *ctx)
{
    const struct fl_http_handler handler = {.request = on_request, .self = https};

    return fl_http_server_open(loop, fd, tls, &handler, &https->server, ctx);
}

void fl_https_free(struct fl_https *https)
{
    fl_pending_free(&https->pending);
    fl_http_server_close(https->server);
    https->server = NULL;
    fl_est_free(&https->est);
}

struct cut {
    struct fl_slice device;
    bool (*stays)(void *self, struct fl_slice device, struct fl_slice serial);
    void *self;
};

static bool must_go(void *self, SSL *tls)
{
    const struct cut *cut = self;
    const struct fl_cert_info *info = fl_tls_peer(tls);

    return info && fl_slice_is(cut->device, info->name) &&
           !cut->stays(cut->self, cut->device, fl_slice_str(info->serial));
}

uint32_t fl_https_cut(struct fl_https *https, struct fl_slice device,
                      bool (*stays)(void *self, struct fl_slice device, struct fl_slice serial),
                      void *self)
{
    struct cut cut = {.device = device, .stays = stays, .self = self};

    return https->server ? fl_http_server_cut(https->server, must_go, &cut) : 0;
}
