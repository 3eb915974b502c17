/* SPDX-License-Identifier: Apache-2.0 */
#include "front/https.h"

#include "base/str.h"
#include "codec/http.h"
#include "io/tls.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

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

static void evidence_nonce(struct fl_https *h, struct fl_http_exchange *exchange,
                           const struct fl_http_request *request)
{
    fl_evidence_nonce(&h->evidence, exchange, request);
}

static void evidence_key(struct fl_https *h, struct fl_http_exchange *exchange,
                         const struct fl_http_request *request)
{
    fl_evidence_key(&h->evidence, exchange, request);
}

static void evidence_proof(struct fl_https *h, struct fl_http_exchange *exchange,
                           const struct fl_http_request *request)
{
    fl_evidence_proof(&h->evidence, exchange, request);
}

static void evidence(struct fl_https *h, struct fl_http_exchange *exchange,
                     const struct fl_http_request *request)
{
    fl_evidence_take(&h->evidence, exchange, request);
}

static void api(struct fl_https *h, struct fl_http_exchange *exchange,
                const struct fl_http_request *request)
{
    fl_api_request(&h->api, exchange, request);
}

static void websocket(struct fl_https *h, struct fl_http_exchange *exchange,
                      const struct fl_http_request *request)
{
    fl_mqtt_upgrade_answer(&h->upgrade, exchange, request);
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
    {"/.well-known/fairlead/evidence/nonce", "POST", evidence_nonce},
    {"/.well-known/fairlead/evidence/key", "POST", evidence_key},
    {"/.well-known/fairlead/evidence/proof", "POST", evidence_proof},
    {"/.well-known/fairlead/evidence", "POST", evidence},
    {"/mqtt", "GET", websocket},
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

/* Whose profile must allow TLS 1.2 for this request: the certificate's device, or the one that the
 * token is said to be for. False: nobody's; what the request lacks it is told elsewhere. */
static bool asker_of(fl_https_answer answer, const struct fl_http_request *request,
                     struct fl_cert_info *asker)
{
    const struct fl_cert_info *info = fl_tls_peer(request->tls);
    struct fl_buffer text = FL_BUFFER(FL_NAME_MAX + 1 + FL_LIMIT_TOKEN_TEXT);
    struct fl_slice device = {0};
    struct fl_slice token = {0};
    bool found = info != NULL;

    if (info)
        *asker = *info;
    if (answer == enrol) {
        *asker = (struct fl_cert_info){0};
        found = fl_http_basic(fl_http_header(request, "authorization"), &text, &device, &token) ==
                    FL_OK &&
                fl_name_valid(device) && fl_str_copy_slice(asker->name, sizeof asker->name, device);
    }
    fl_buffer_free(&text);
    return found;
}

/* TLS 1.2 is for devices whose profile allows it, and for what is public; administrators and their
 * programs are no devices. */
static bool refuses_tls12(const struct fl_https *h, fl_https_answer answer,
                          struct fl_http_exchange *exchange, const struct fl_http_request *request)
{
    struct fl_cert_info asker = {0};
    bool has_asker = false;

    if (!request->tls || !fl_tls_is_12(request->tls) || answer == cacerts || answer == csrattrs)
        return false;
    has_asker = answer != api && asker_of(answer, request, &asker);
    if (answer != api &&
        (!has_asker || fl_roster_allows_tls12(h->roster, fl_slice_str(asker.name))))
        return false;
    h->refused(h->self, request->peer, has_asker ? &asker : NULL,
               SSL_session_reused(request->tls) == 1,
               has_asker ? "its profile does not allow TLS 1.2" : "the API with TLS 1.2");
    fl_http_problem(exchange, 403, NULL,
                    "TLS 1.2 is only for devices whose profile says 'tls 1.2': connect with TLS "
                    "1.3",
                    NULL);
    return true;
}

static void on_request(void *self, struct fl_http_exchange *exchange,
                       const struct fl_http_request *request)
{
    const char *allow = NULL;
    fl_https_answer answer = fl_https_route(request->path, &allow);
    char header[64];

    ((struct fl_https *)self)->requests++;
    if (fl_status_request(&((struct fl_https *)self)->status, exchange, request))
        return;
    if (!answer) {
        fl_http_problem(exchange, 404, NULL, "nothing is here", NULL);
    } else if (allow && !fl_slice_is(request->method, allow)) {
        (void)snprintf(header, sizeof header, "Allow: %s\r\n", allow);
        fl_http_problem(exchange, 405, NULL, "not with this method", header);
    } else if (!refuses_tls12(self, answer, exchange, request)) {
        answer(self, exchange, request);
    }
}

static void on_upgraded(void *self, struct fl_stream *stream, const char *peer)
{
    const struct fl_https *https = self;

    fl_front_mqtt_adopt(https->mqtt, stream, peer);
}

/* 0: not a TCP socket; then no page's origin is the hub's. */
static uint16_t port_of(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (getsockname(fd, (struct sockaddr *)(void *)&address, &size) != 0)
        return 0;
    memcpy(&v4, &address, sizeof v4);
    memcpy(&v6, &address, sizeof v6);
    if (address.ss_family == AF_INET)
        return ntohs(v4.sin_port);
    return address.ss_family == AF_INET6 ? ntohs(v6.sin6_port) : 0;
}

void fl_https_init(struct fl_https *https, struct fl_loop *loop, const struct fl_clock *clock,
                   const struct fl_link *link)
{
    fl_pending_init(&https->pending, loop);
    fl_status_init(&https->status, loop, clock, link, &https->pending);
    fl_est_init(&https->est, link, &https->pending);
    https->evidence = (struct fl_evidence_door){.link = link, .pending = &https->pending};
    https->api = (struct fl_api){.link = link, .pending = &https->pending};
}

void fl_https_config(struct fl_https *https, struct fl_slice hosts)
{
    (void)fl_str_copy_slice(https->upgrade.hosts, sizeof https->upgrade.hosts, hosts);
}

enum fl_error fl_https_open(struct fl_https *https, struct fl_loop *loop, int fd, SSL_CTX *tls,
                            struct fl_front_mqtt *mqtt, struct fl_context *ctx)
{
    const struct fl_http_handler handler = {
        .request = on_request, .upgraded = on_upgraded, .self = https};

    https->mqtt = mqtt;
    https->upgrade.port = port_of(fd);
    return fl_http_server_open(loop, fd, tls, &handler, &https->server, ctx);
}

void fl_https_free(struct fl_https *https)
{
    fl_pending_free(&https->pending);
    fl_status_free(&https->status);
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
