/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link.h"

#include "base/limits.h"
#include "base/str.h"
#include "trust/cert.h"
#include "trust/key.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum link_state { LINK_CLOSED, LINK_WAITING, LINK_TCP, LINK_TLS, LINK_UP };

enum { TCP_MS = 10000, READ_SIZE = 16384 };

struct fl_link {
    struct fl_loop *loop;
    struct fl_link_handler handler;
    char host[FL_LIMIT_HOST + 1];
    uint16_t port;
    enum link_state state;
    SSL_CTX *tls;
    SSL *ssl;
    SSL_SESSION *session;
    int fd;
    struct fl_watch watch;
    struct fl_timer timer; /* start, then the time that connecting may take */
    struct fl_deferred flush;
    struct addrinfo *addresses;
    struct addrinfo *address; /* the one being tried */
    struct fl_buffer out;
    char why[256]; /* the last address's failure */
    bool refused;  /* the last connection failed by our certificate or key */
};

static struct fl_link *of_timer(struct fl_timer *timer)
{
    return fl_container_of(timer, struct fl_link, timer);
}

/* --- Ending ------------------------------------------------------------------------------------
 */

static void close_socket(struct fl_link *link)
{
    fl_loop_stop_timer(link->loop, &link->timer);
    fl_loop_remove(link->loop, &link->watch);
    fl_loop_undefer(&link->flush);
    /* Without this OpenSSL takes a connection that was cut for a bad session and would not resume
     * it. */
    if (link->ssl)
        SSL_set_shutdown(link->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(link->ssl);
    link->ssl = NULL;
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
}

static void forget(struct fl_link *link)
{
    close_socket(link);
    if (link->addresses)
        freeaddrinfo(link->addresses);
    link->addresses = NULL;
    link->address = NULL;
    fl_buffer_clear(&link->out);
    link->state = LINK_CLOSED;
    ERR_clear_error();
}

static void fail(struct fl_link *link, const char *why)
{
    char copy[1024];

    (void)fl_str_copy(copy, sizeof copy, why);
    forget(link);
    link->handler.down(link->handler.self, copy);
}

/* An alert in the words of the standard and what a person makes of it. */
static const struct {
    int reason;
    bool over_us; /* our certificate is what it does not like */
    const char *words;
} alerts[] = {
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, true,
     "the hub refused us: this device's certificate is revoked"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, true,
     "the hub refused us: this device's certificate has expired (or a clock is wrong)"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, true, "the hub refused us: certificate unknown"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, true, "the hub refused us: bad certificate"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, true,
     "the hub refused us: it does not know the CA of this device's certificate"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, true, "the hub refused us: access denied"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, true, "the hub refused us: it got no certificate"},
    {SSL_R_TLSV1_ALERT_INTERNAL_ERROR, false, "the hub refused us: internal error"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, false, "the hub refused us: handshake failure"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, false, "the other side does not speak TLS 1.3"},
    {SSL_R_WRONG_VERSION_NUMBER, false, "the other side does not speak TLS"},
};

static void fail_tls(struct fl_link *link, int code)
{
    unsigned long number = ERR_peek_error();
    const char *data = NULL;
    int flags = 0;
    int reason = ERR_GET_REASON(number);
    long verdict = SSL_get_verify_result(link->ssl);
    char why[512] = "";

    (void)ERR_peek_error_data(&data, &flags);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        (void)snprintf(why, sizeof why, "the hub's certificate: %s",
                       X509_verify_cert_error_string(verdict));
    for (size_t i = 0; !why[0] && number && i < sizeof alerts / sizeof alerts[0]; i++)
        if (ERR_GET_LIB(number) == ERR_LIB_SSL && alerts[i].reason == reason) {
            (void)fl_str_copy(why, sizeof why, alerts[i].words);
            link->refused = alerts[i].over_us;
        }
    if (!why[0] && number && ERR_GET_LIB(number) == ERR_LIB_USER && data && *data) {
        (void)fl_str_copy(why, sizeof why, data); /* the TPM's or token's words */
        link->refused = true;
    }
    if (!why[0] && number && reason != SSL_R_UNEXPECTED_EOF_WHILE_READING)
        (void)snprintf(why, sizeof why, "TLS: %s", ERR_reason_error_string(number));
    if (!why[0] && code == SSL_ERROR_SYSCALL && errno)
        (void)snprintf(why, sizeof why, "connection lost: %s", strerror(errno));
    if (!why[0])
        (void)fl_str_copy(why, sizeof why,
                          link->state == LINK_UP ? "the hub closed the connection"
                                                 : "the hub closed the connection during the "
                                                   "TLS handshake");
    fail(link, why);
}

/* --- Bytes -------------------------------------------------------------------------------------
 */

/* True while the connection lives. */
static bool write_out(struct fl_link *link)
{
    bool wrote = false;

    while (link->state == LINK_UP && link->out.size) {
        struct fl_slice all = fl_buffer_slice(&link->out);
        size_t done = 0;
        int code = 0;

        ERR_clear_error();
        errno = 0;
        if (SSL_write_ex(link->ssl, all.data, all.size, &done) == 1) {
            fl_buffer_consume(&link->out, done);
            wrote = true;
            continue;
        }
        code = SSL_get_error(link->ssl, 0);
        if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
            return true;
        fail_tls(link, code);
        return false;
    }
    if (wrote && link->state == LINK_UP && link->out.size == 0)
        link->handler.drained(link->handler.self);
    return link->state == LINK_UP;
}

static void flush(struct fl_deferred *deferred)
{
    (void)write_out(fl_container_of(deferred, struct fl_link, flush));
}

static void read_in(struct fl_link *link)
{
    while (link->state == LINK_UP) {
        uint8_t bytes[READ_SIZE];
        size_t got = 0;
        int code = 0;

        ERR_clear_error();
        errno = 0;
        if (SSL_read_ex(link->ssl, bytes, sizeof bytes, &got) == 1) {
            link->handler.received(link->handler.self, fl_slice(bytes, got));
            continue;
        }
        code = SSL_get_error(link->ssl, 0);
        if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE)
            fail_tls(link, code);
        return;
    }
}

static void shake_hands(struct fl_link *link)
{
    int done = 0;
    int code = 0;

    ERR_clear_error();
    errno = 0;
    done = SSL_do_handshake(link->ssl);
    if (done == 1) {
        fl_loop_stop_timer(link->loop, &link->timer);
        link->state = LINK_UP;
        link->handler.up(link->handler.self, SSL_session_reused(link->ssl) == 1);
        return;
    }
    code = SSL_get_error(link->ssl, done);
    if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE)
        fail_tls(link, code);
}

/* --- Connecting --------------------------------------------------------------------------------
 */

static void try_address(struct fl_link *link);

static void next_address(struct fl_link *link, int number)
{
    char shown[INET6_ADDRSTRLEN] = "?";
    char why[1024];

    (void)getnameinfo(link->address->ai_addr, link->address->ai_addrlen, shown, sizeof shown, NULL,
                      0, NI_NUMERICHOST);
    (void)snprintf(link->why, sizeof link->why, "%s: %s", shown, strerror(number));
    close_socket(link);
    link->address = link->address->ai_next;
    if (link->address) {
        try_address(link);
        return;
    }
    (void)snprintf(why, sizeof why, "no connection to %s port %u (%s)", link->host, link->port,
                   link->why);
    fail(link, why);
}

static bool is_address(const char *host)
{
    struct in6_addr any;

    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static bool name_the_hub(struct fl_link *link)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(link->ssl);

    if (is_address(link->host))
        return X509_VERIFY_PARAM_set1_ip_asc(param, link->host) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, link->host, 0) == 1 &&
           SSL_set_tlsext_host_name(link->ssl, link->host) == 1;
}

static void start_tls(struct fl_link *link)
{
    link->ssl = SSL_new(link->tls);
    if (!link->ssl || SSL_set_fd(link->ssl, link->fd) != 1 || !name_the_hub(link)) {
        fail(link, "TLS: out of memory");
        return;
    }
    SSL_set_app_data(link->ssl, (char *)link);
    SSL_set_connect_state(link->ssl);
    if (link->session)
        (void)SSL_set_session(link->ssl, link->session);
    link->state = LINK_TLS;
    fl_loop_set_timer(link->loop, &link->timer, FL_LIMIT_HANDSHAKE_MS);
    shake_hands(link);
}

static void tcp_ready(struct fl_link *link)
{
    int number = 0;
    socklen_t size = sizeof number;
    struct sockaddr_storage peer = {0};
    socklen_t peer_size = sizeof peer;

    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0)
        number = errno;
    if (number) {
        next_address(link, number);
        return;
    }
    /* The first event comes before there is a connection or a failure. */
    if (getpeername(link->fd, (struct sockaddr *)&peer, &peer_size) == 0)
        start_tls(link);
}

static void ready(struct fl_watch *watch, uint32_t events)
{
    struct fl_link *link = fl_container_of(watch, struct fl_link, watch);

    (void)events;
    if (link->state == LINK_TCP)
        tcp_ready(link);
    else if (link->state == LINK_TLS)
        shake_hands(link);
    if (link->state == LINK_UP)
        read_in(link);
    if (link->state == LINK_UP)
        (void)write_out(link);
}

static void try_address(struct fl_link *link)
{
    const struct addrinfo *a = link->address;
    struct fl_context ctx = {0};
    int yes = 1;

    link->state = LINK_TCP;
    link->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) {
        next_address(link, errno);
        return;
    }
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fl_loop_set_timer(link->loop, &link->timer, TCP_MS);
    if (connect(link->fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS) {
        next_address(link, errno);
        return;
    }
    if (fl_loop_add(link->loop, &link->watch, link->fd, &ctx) != FL_OK)
        fail(link, ctx.text);
}

static void look_up(struct fl_link *link)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[8];
    char why[512];
    int code = 0;

    (void)snprintf(port, sizeof port, "%u", link->port);
    /* "localhost" is the loopback whatever a resolver or a missing /etc/hosts says (RFC 6761). */
    code = getaddrinfo(strcasecmp(link->host, "localhost") == 0 ? NULL : link->host, port, &hints,
                       &link->addresses);
    if (code) {
        link->addresses = NULL;
        (void)snprintf(why, sizeof why, "cannot find the hub %s: %s", link->host,
                       code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
        fail(link, why);
        return;
    }
    link->address = link->addresses;
    try_address(link);
}

static void fired(struct fl_timer *timer)
{
    struct fl_link *link = of_timer(timer);

    if (link->state == LINK_WAITING)
        look_up(link);
    else if (link->state == LINK_TCP)
        next_address(link, ETIMEDOUT);
    else if (link->state == LINK_TLS)
        fail(link, "the hub did not finish the TLS handshake in time");
}

void fl_link_connect(struct fl_link *link)
{
    link->state = LINK_WAITING;
    link->refused = false;
    fl_loop_set_timer(link->loop, &link->timer, 0);
}

void fl_link_send(struct fl_link *link, struct fl_slice bytes)
{
    if (link->state != LINK_UP)
        return;
    if (fl_buffer_append_slice(&link->out, bytes) != FL_OK) {
        fail(link, "too much is waiting to be sent");
        return;
    }
    fl_loop_defer(link->loop, &link->flush);
}

bool fl_link_was_refused(const struct fl_link *link)
{
    return link->refused;
}

size_t fl_link_unsent(const struct fl_link *link)
{
    return link->out.size;
}

void fl_link_close(struct fl_link *link)
{
    size_t done = 0;

    if (link->state == LINK_UP) {
        if (link->out.size)
            (void)SSL_write_ex(link->ssl, fl_buffer_slice(&link->out).data, link->out.size, &done);
        (void)SSL_shutdown(link->ssl);
    }
    forget(link);
}

/* --- Life --------------------------------------------------------------------------------------
 */

static int new_session(SSL *ssl, SSL_SESSION *session)
{
    struct fl_link *link = (void *)SSL_get_app_data(ssl);

    SSL_SESSION_free(link->session);
    link->session = session;
    return 1;
}

struct adding {
    struct fl_link *link;
    enum { ADD_ROOT, ADD_OWN, ADD_CHAIN } as;
    int count;
    struct fl_context *ctx;
};

static enum fl_error add_certificate(void *to, struct fl_slice der)
{
    struct adding *a = to;
    X509 *certificate = NULL;
    int added = 0;
    enum fl_error error = fl_cert_x509(der, &certificate, a->ctx);

    if (error)
        return error;
    if (a->as == ADD_ROOT)
        added = X509_STORE_add_cert(SSL_CTX_get_cert_store(a->link->tls), certificate);
    else if (a->as == ADD_OWN)
        added = SSL_CTX_use_certificate(a->link->tls, certificate);
    else
        added = SSL_CTX_add1_chain_cert(a->link->tls, certificate) != 0;
    X509_free(certificate);
    a->count++;
    return added == 1 ? FL_OK : fl_crypto_fail(a->ctx, "certificate");
}

static enum fl_error load_identity(struct fl_link *link, const struct fl_link_options *options,
                                   struct fl_context *ctx)
{
    struct adding roots = {.link = link, .as = ADD_ROOT, .ctx = ctx};
    struct adding own = {.link = link, .as = ADD_OWN, .ctx = ctx};
    struct adding chain = {.link = link, .as = ADD_CHAIN, .ctx = ctx};
    enum fl_error error = fl_cert_each_pem(options->ca_pem, add_certificate, &roots, ctx);

    if (error || roots.count == 0)
        return fl_fail_in(ctx, error ? error : FL_EPARSE, "ca.pem");
    error = fl_cert_each_pem(options->cert_pem, add_certificate, &own, ctx);
    if (error || own.count == 0)
        return fl_fail_in(ctx, error ? error : FL_EPARSE, "cert.pem");
    if (options->chain_pem.size)
        error = fl_cert_each_pem(options->chain_pem, add_certificate, &chain, ctx);
    if (error)
        return fl_fail_in(ctx, error, "chain.pem");
    if (SSL_CTX_use_PrivateKey(link->tls, options->key) != 1 ||
        SSL_CTX_check_private_key(link->tls) != 1)
        return fl_crypto_fail(ctx, "key.pem does not belong to cert.pem");
    return FL_OK;
}

static enum fl_error make_tls(struct fl_link *link, const struct fl_link_options *options,
                              struct fl_context *ctx)
{
    link->tls = SSL_CTX_new(TLS_client_method());
    if (!link->tls || SSL_CTX_set_min_proto_version(link->tls, TLS1_3_VERSION) != 1)
        return fl_crypto_fail(ctx, "TLS");
    (void)SSL_CTX_set_mode(link->tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                          SSL_MODE_RELEASE_BUFFERS);
    /* A connection that is cut must not spoil the session; MQTT packets say themselves whether they
     * are whole. */
    (void)SSL_CTX_set_options(link->tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_verify(link->tls, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_session_cache_mode(link->tls,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(link->tls, new_session);
    return load_identity(link, options, ctx);
}

enum fl_error fl_link_create(struct fl_loop *loop, const struct fl_link_options *options,
                             const struct fl_link_handler *handler, struct fl_link **link,
                             struct fl_context *ctx)
{
    struct fl_link *made = calloc(1, sizeof *made);
    enum fl_error error = FL_OK;

    if (!made)
        return fl_fail(ctx, FL_ENOMEM, "link: out of memory");
    made->loop = loop;
    made->handler = *handler;
    made->port = options->port;
    made->fd = -1;
    made->watch.ready = ready;
    made->timer.fired = fired;
    made->flush.run = flush;
    made->out = FL_BUFFER(FL_LIMIT_MQTT_OUT);
    if (!fl_str_copy(made->host, sizeof made->host, options->host))
        error = fl_fail(ctx, FL_EINVAL, "the hub's host name is too long");
    if (!error)
        error = make_tls(made, options, ctx);
    if (error)
        fl_link_free(made);
    else
        *link = made;
    return error;
}

void fl_link_free(struct fl_link *link)
{
    if (!link)
        return;
    forget(link);
    SSL_SESSION_free(link->session);
    SSL_CTX_free(link->tls);
    fl_buffer_free(&link->out);
    free(link);
}
