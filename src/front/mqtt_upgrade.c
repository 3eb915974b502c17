/* SPDX-License-Identifier: Apache-2.0 */
#include "front/mqtt_upgrade.h"

#include "base/str.h"
#include "io/tls.h"
#include "trust/ws_accept.h"

#include <stdio.h>
#include <strings.h>

#define SCHEME "https://"
#define SCHEME_SIZE (sizeof SCHEME - 1)
#define HTTPS_PORT 443

static bool is_host(struct fl_slice hosts, struct fl_slice host)
{
    struct fl_slice one = {0};
    bool more = host.size > 0;

    while (more) {
        more = fl_slice_cut(&hosts, ' ', &one);
        if (one.size == host.size &&
            strncasecmp((const char *)one.data, (const char *)host.data, host.size) == 0)
            return true;
    }
    return false;
}

/* "host", "host:1", "[::1]", "[::1]:1". */
static bool split(struct fl_slice authority, struct fl_slice *host, uint64_t *port)
{
    const uint8_t *end = NULL;
    bool is_bracketed = authority.size > 0 && authority.data[0] == '[';

    *port = HTTPS_PORT;
    if (!is_bracketed) {
        if (!fl_slice_cut(&authority, ':', host))
            return true;
        return fl_str_to_u64(authority, UINT16_MAX, port) == FL_OK;
    }
    end = memchr(authority.data, ']', authority.size);
    if (!end)
        return false;
    *host = fl_slice(authority.data + 1, (size_t)(end - authority.data) - 1);
    authority = fl_slice_from(authority, host->size + 2);
    if (authority.size == 0)
        return true;
    return authority.data[0] == ':' &&
           fl_str_to_u64(fl_slice_from(authority, 1), UINT16_MAX, port) == FL_OK;
}

bool fl_mqtt_upgrade_is_own(const struct fl_mqtt_upgrade *upgrade, struct fl_slice origin)
{
    struct fl_slice host = {0};
    uint64_t port = 0;

    if (origin.size < SCHEME_SIZE || memcmp(origin.data, SCHEME, SCHEME_SIZE) != 0)
        return false;
    return split(fl_slice_from(origin, SCHEME_SIZE), &host, &port) && port != 0 &&
           port == upgrade->port && is_host(fl_slice_str(upgrade->hosts), host);
}

/* What keeps the request from being an upgrade to MQTT, or NULL. */
static const char *problem_of(const struct fl_http_request *request)
{
    if (!request->may_upgrade)
        return "a WebSocket begins with a GET of HTTP/1.1 without a body";
    if (!fl_http_header_lists(request, "connection", "upgrade"))
        return "the header 'Connection: Upgrade' is missing";
    if (fl_http_header_count(request, "sec-websocket-key") != 1)
        return "exactly one header Sec-WebSocket-Key is needed";
    if (!fl_http_header_lists(request, "sec-websocket-protocol", "mqtt"))
        return "the only protocol spoken here is 'mqtt': send 'Sec-WebSocket-Protocol: mqtt'";
    return NULL;
}

static void accept(struct fl_http_exchange *exchange, const struct fl_http_request *request)
{
    char key[FL_WS_ACCEPT_SIZE];
    char headers[256];
    struct fl_context ctx = {0};
    enum fl_error error = fl_ws_accept(fl_http_header(request, "sec-websocket-key"), key, &ctx);

    if (error) {
        fl_http_problem(exchange, error == FL_EPARSE ? 400 : 503, NULL, ctx.text, NULL);
        return;
    }
    (void)snprintf(headers, sizeof headers,
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                   "Sec-WebSocket-Protocol: mqtt\r\n",
                   key);
    fl_http_answer(exchange, &(struct fl_http_response){.status = 101, .headers = headers});
}

void fl_mqtt_upgrade_answer(const struct fl_mqtt_upgrade *upgrade,
                            struct fl_http_exchange *exchange,
                            const struct fl_http_request *request)
{
    size_t origins = fl_http_header_count(request, "origin");
    const char *problem = NULL;

    if (!fl_tls_peer(request->tls)) {
        fl_http_problem(exchange, 401, NULL,
                        "MQTT over WebSocket is for devices: connect with the device's certificate "
                        "in the TLS handshake, as on the MQTT port",
                        NULL);
        return;
    }
    if (origins > 1 ||
        (origins == 1 && !fl_mqtt_upgrade_is_own(upgrade, fl_http_header(request, "origin")))) {
        fl_http_problem(exchange, 403, NULL,
                        "a page of another origin may not use this device's certificate; a client "
                        "that is no browser leaves the header Origin out",
                        NULL);
        return;
    }
    if (!fl_http_header_lists(request, "upgrade", "websocket")) {
        fl_http_problem(exchange, 426, NULL,
                        "here MQTT is spoken over WebSocket (RFC 6455): send 'Upgrade: websocket'",
                        "Upgrade: websocket\r\nConnection: Upgrade\r\n");
        return;
    }
    if (!fl_slice_is(fl_http_header(request, "sec-websocket-version"), "13")) {
        fl_http_problem(exchange, 426, NULL, "the only version of WebSocket spoken here is 13",
                        "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\n");
        return;
    }
    problem = problem_of(request);
    if (problem)
        fl_http_problem(exchange, 400, NULL, problem, NULL);
    else
        accept(exchange, request);
}
