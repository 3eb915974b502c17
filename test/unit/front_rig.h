/* SPDX-License-Identifier: Apache-2.0
 *
 * A front as it really runs: forked, sandboxed, with its control channel. The test is its parent,
 * its hub and its clients, all in one loop.
 */
#ifndef FL_TEST_FRONT_RIG_H
#define FL_TEST_FRONT_RIG_H

#include "test/unit/pki.h"

#include "front/front.h"
#include "io/clock.h"
#include "io/role.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEARD_MAX 65536

static unsigned rig_workers = 1; /* of the fronts to come */

struct rig {
    struct pki pki;
    struct fl_loop *loop;
    struct fl_channel *control;
    struct fl_channel *hub;
    pid_t pid;
    char dir[64];
    char broker[80]; /* where its log is */
    uint16_t mqtt_port;
    uint16_t https_port;
    bool ready;
    bool stores; /* answers READINGS by itself */
    /* what the front has said to the hub */
    unsigned batches;
    uint64_t last_batch;
    struct fl_buffer records;
    unsigned applied;
    struct fl_msg_applied last_applied;
    char sessions[4096]; /* "connected cam-01 0 \n" ... */
    char refused[4096];  /* "publish cam-01 topic: reason\n" ... */
    unsigned enrols;
    uint64_t enrol_request;
    char enrol[512]; /* "device token serial" */
    struct fl_buffer csr;
    unsigned api_requests;
    uint64_t api_request;
    char api[1024];
    /* one device */
    EVP_PKEY *key;
    X509 *certificate;
    char serial[FL_LIMIT_SERIAL_HEX];
    SSL_CTX *client;
    SSL_SESSION *session;
};

struct client {
    int fd;
    SSL *ssl;
    uint8_t heard[HEARD_MAX];
    size_t heard_size;
    bool ended;
    unsigned long alert;
};

static inline void turn(struct rig *r)
{
    assert_ok(fl_loop_round(r->loop, 2, NULL));
}

/* Turns the loop until the condition holds; sanitizers on a busy machine are slow. */
#define WAIT_FOR(r, condition)                                                                     \
    do {                                                                                           \
        fl_time_t wait_until = fl_clock_monotonic(fl_clock_system()) + 20000;                      \
        while (!(condition)) {                                                                     \
            turn(r);                                                                               \
            if (fl_clock_monotonic(fl_clock_system()) > wait_until)                                \
                fail_msg("never came true: %s", #condition);                                       \
        }                                                                                          \
    } while (0)

/* --- the hub's side --- */

static inline void rig_send(struct rig *r, const struct fl_msg *msg)
{
    assert_ok(fl_channel_send(r->hub, msg, NULL));
}

static inline void rig_issue(struct rig *r, enum fl_cert_kind kind, const char *name, EVP_PKEY *key,
                             struct fl_buffer *der)
{
    const char *const hosts[] = {"localhost", "127.0.0.1"};
    fl_time_t now = fl_clock_now(fl_clock_system());
    struct fl_cert_request request = pki_request(&r->pki, kind, name);

    if (kind == FL_CERT_SERVER) {
        request.hosts = hosts;
        request.host_count = 2;
    }
    request.not_before = now - 60000;
    request.not_after = now + PKI_DAY;
    request.subject_key = key;
    assert_ok(fl_cert_issue(&request, der, NULL));
}

static inline void rig_certify(struct rig *r, struct fl_slice csr)
{
    struct fl_csr_info info = {0};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_msg msg = {.type = fl_msg_type_server_cert};

    assert_ok(fl_csr_check(csr, &info, NULL));
    assert_string_equal(info.name, "localhost");
    rig_issue(r, FL_CERT_SERVER, "localhost", info.key, &der);
    msg.as.server_cert.certificate = fl_buffer_slice(&der);
    msg.as.server_cert.not_after = fl_clock_now(fl_clock_system()) + PKI_DAY;
    rig_send(r, &msg);
    fl_csr_info_free(&info);
    fl_buffer_free(&der);
}

static inline void rig_note(char *to, size_t size, const char *format, ...) FL_PRINTF(3, 4);
static inline void rig_note(char *to, size_t size, const char *format, ...)
{
    size_t used = strlen(to);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(to + used, size - used, format, args);
    va_end(args);
}

static inline void rig_done(struct rig *r, uint64_t batch, enum fl_error error)
{
    struct fl_msg msg = {.type = fl_msg_type_readings_done};

    msg.as.readings_done.batch = batch;
    msg.as.readings_done.error = (uint32_t)error;
    rig_send(r, &msg);
}

static inline void rig_on_readings(struct rig *r, const struct fl_msg_readings *m)
{
    r->batches++;
    r->last_batch = m->batch;
    fl_buffer_clear(&r->records);
    assert_ok(fl_buffer_append_slice(&r->records, m->records));
    if (r->stores)
        rig_done(r, m->batch, FL_OK);
}

static inline void rig_on_request(struct rig *r, const struct fl_msg *msg)
{
    const struct fl_msg_enrol *e = &msg->as.enrol;
    const struct fl_msg_api_request *a = &msg->as.api_request;

    if (msg->type == fl_msg_type_enrol) {
        r->enrols++;
        r->enrol_request = e->request;
        (void)snprintf(r->enrol, sizeof r->enrol, "%.*s %.*s %.*s", FL_SLICE_ARGS(e->device),
                       FL_SLICE_ARGS(e->token), FL_SLICE_ARGS(e->serial));
        fl_buffer_clear(&r->csr);
        assert_ok(fl_buffer_append_slice(&r->csr, e->csr));
    } else if (msg->type == fl_msg_type_api_request) {
        r->api_requests++;
        r->api_request = a->request;
        (void)snprintf(r->api, sizeof r->api, "%.*s %.*s?%.*s [%.*s] %.*s",
                       FL_SLICE_ARGS(a->method), FL_SLICE_ARGS(a->path), FL_SLICE_ARGS(a->query),
                       FL_SLICE_ARGS(a->bearer), FL_SLICE_ARGS(a->body));
    }
}

static inline void rig_on_hub_message(void *self, struct fl_channel *channel,
                                      const struct fl_msg *msg, int fd)
{
    struct rig *r = self;
    const struct fl_msg_session *s = &msg->as.session;
    const struct fl_msg_refused *f = &msg->as.refused;

    (void)channel;
    assert_int_equal(fd, -1);
    if (msg->type == fl_msg_type_server_csr) {
        rig_certify(r, msg->as.server_csr.csr);
    } else if (msg->type == fl_msg_type_readings) {
        rig_on_readings(r, &msg->as.readings);
    } else if (msg->type == fl_msg_type_applied) {
        r->applied++;
        r->last_applied = msg->as.applied;
    } else if (msg->type == fl_msg_type_session) {
        rig_note(r->sessions, sizeof r->sessions, "%.*s %.*s %u %.*s\n", FL_SLICE_ARGS(s->event),
                 FL_SLICE_ARGS(s->device), s->resumed, FL_SLICE_ARGS(s->reason));
    } else if (msg->type == fl_msg_type_refused) {
        rig_note(r->refused, sizeof r->refused, "%.*s %.*s %.*s: %.*s\n", FL_SLICE_ARGS(f->what),
                 FL_SLICE_ARGS(f->device), FL_SLICE_ARGS(f->topic), FL_SLICE_ARGS(f->reason));
    } else {
        rig_on_request(r, msg);
    }
}

static inline void rig_on_hub_lost(void *self, struct fl_channel *channel, const char *why)
{
    struct rig *r = self;

    (void)why;
    if (r->hub == channel)
        r->hub = NULL;
}

static inline void rig_device(struct rig *r, uint64_t seq, const char *id, bool may_connect,
                              const char *credentials)
{
    struct fl_msg msg = {.type = fl_msg_type_device};
    struct fl_msg_device *d = &msg.as.device;

    d->seq = seq;
    d->id = fl_slice_str(id);
    d->profile = fl_slice_str("camera");
    d->may_connect = may_connect ? 1 : 0;
    d->reason = fl_slice_str(may_connect ? "" : "revoked: stolen");
    d->credentials = fl_slice_str(credentials);
    rig_send(r, &msg);
}

static inline void rig_snapshot(struct rig *r)
{
    static const char profile[] = "profile camera {\n    title \"Camera\"\n    vendor \"V\"\n"
                                  "    model M\n    version 1\n    publish d/{device}/t/#\n"
                                  "    publish d/{device}/s\n    subscribe d/{device}/c/#\n"
                                  "    subscribe d/{device}/s\n"
                                  "    stream temperature {\n        range -40 85\n    }\n"
                                  "    support-until 2031-12-31\n}\n";
    struct fl_msg msg = {.type = fl_msg_type_config};

    msg.as.config.hosts = fl_slice_str("localhost 127.0.0.1");
    msg.as.config.issuing = fl_buffer_slice(&r->pki.issuing_der);
    msg.as.config.root = fl_buffer_slice(&r->pki.root_der);
    msg.as.config.log_key = fl_slice_str("a key of the log: 32 octets long");
    rig_send(r, &msg);
    msg = (struct fl_msg){.type = fl_msg_type_profile};
    msg.as.profile.name = fl_slice_str("camera");
    msg.as.profile.text = fl_slice_str(profile);
    rig_send(r, &msg);
    rig_device(r, 0, "cam-01", true, r->serial);
    msg = (struct fl_msg){.type = fl_msg_type_snapshot_end, .as.snapshot_end.devices = 1};
    rig_send(r, &msg);
}

/* A new hub: a new channel and a snapshot on it. */
static inline void rig_connect_hub(struct rig *r)
{
    const struct fl_channel_handler handler = {
        .message = rig_on_hub_message, .lost = rig_on_hub_lost, .self = r};
    struct fl_msg msg = {.type = fl_msg_type_channel, .as.channel.peer = fl_slice_str("hub")};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_ok(fl_channel_send_fd(r->control, &msg, fds[1], NULL));
    (void)close(fds[1]);
    assert_ok(fl_channel_open(r->loop, fds[0], FL_FROM_FRONT, "front", &handler, &r->hub, NULL));
    rig_snapshot(r);
}

static inline void rig_lose_hub(struct rig *r)
{
    fl_channel_close(r->hub);
    r->hub = NULL;
    for (int i = 0; i < 20; i++)
        turn(r);
}

/* --- the parent's side --- */

static inline void rig_on_control(void *self, struct fl_channel *channel, const struct fl_msg *msg,
                                  int fd)
{
    struct rig *r = self;

    (void)channel;
    (void)fd;
    r->ready |= msg->type == fl_msg_type_ready;
}

static inline void rig_on_control_lost(void *self, struct fl_channel *channel, const char *why)
{
    struct rig *r = self;

    (void)channel;
    (void)why;
    r->control = NULL;
}

static inline uint16_t rig_listen(struct rig *r, const char *name)
{
    struct fl_msg msg = {.type = fl_msg_type_listen, .as.listen.name = fl_slice_str(name)};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_ok(fl_channel_send_fd(r->control, &msg, fd, NULL));
    (void)close(fd);
    return ntohs(address.sin_port);
}

static inline _Noreturn void rig_be_front(int fd)
{
    static struct fl_front front;
    const struct fl_child_program program = fl_front_program(&front);
    char name[] = "fairlead-front";
    char *argv[] = {name, NULL};

    if (fd != FL_ROLE_CONTROL_FD)
        (void)dup2(fd, FL_ROLE_CONTROL_FD);
    (void)close_range(4, ~0U, 0);
    _exit(fl_child_main(&program, 1, argv));
}

static inline int rig_on_session(SSL *ssl, SSL_SESSION *session)
{
    struct rig *r = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    SSL_SESSION_free(r->session);
    r->session = session;
    return 1;
}

static inline void rig_make_device(struct rig *r)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_cert_info info = {0};

    assert_ok(fl_key_generate(&r->key, NULL));
    rig_issue(r, FL_CERT_DEVICE, "cam-01", r->key, &der);
    assert_ok(fl_cert_x509(fl_buffer_slice(&der), &r->certificate, NULL));
    assert_ok(fl_cert_read(fl_buffer_slice(&der), &info, NULL));
    (void)fl_str_copy(r->serial, sizeof r->serial, info.serial);
    fl_buffer_free(&der);
    r->client = SSL_CTX_new(TLS_client_method());
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(r->client), r->pki.root), 1);
    SSL_CTX_set_verify(r->client, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(r->client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(r->client, rig_on_session);
    SSL_CTX_set_app_data(r->client, r);
}

static inline int rig_set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    const struct fl_channel_handler handler = {
        .message = rig_on_control, .lost = rig_on_control_lost, .self = r};
    struct fl_msg msg = {.type = fl_msg_type_start};
    int fds[2];

    assert_non_null(r);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(r->dir, sizeof r->dir, "/tmp/fl_front_XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    (void)chmod(r->dir, 0755);
    (void)snprintf(r->broker, sizeof r->broker, "%s/broker", r->dir);
    assert_int_equal(mkdir(r->broker, 0700), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(r->broker, fl_role_of(FL_FROM_FRONT)->uid, (gid_t)-1), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0)
        rig_be_front(fds[1]);
    (void)close(fds[1]);
    pki_make(&r->pki);
    r->records = FL_BUFFER(FL_LIMIT_MSG);
    r->csr = FL_BUFFER(FL_LIMIT_CSR);
    r->stores = true;
    rig_make_device(r);
    assert_ok(fl_loop_create(&r->loop, NULL));
    assert_ok(
        fl_channel_open(r->loop, fds[0], FL_FROM_FRONT, "front", &handler, &r->control, NULL));
    msg.as.start.dir = fl_slice_str(r->dir);
    msg.as.start.log_level = fl_slice_str("error");
    msg.as.start.workers = rig_workers;
    assert_ok(fl_channel_send(r->control, &msg, NULL));
    r->mqtt_port = rig_listen(r, "mqtt");
    r->https_port = rig_listen(r, "https");
    rig_connect_hub(r);
    WAIT_FOR(r, r->ready);
    *state = r;
    return 0;
}

static inline void rig_remove_log(const struct rig *r)
{
    DIR *folder = opendir(r->broker);
    const struct dirent *entry = NULL;

    assert_non_null(folder);
    while ((entry = readdir(folder)))
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    (void)closedir(folder);
    (void)rmdir(r->broker);
}

static inline int rig_tear_down(void **state)
{
    struct rig *r = *state;
    int status = 0;

    (void)kill(r->pid, SIGTERM);
    (void)waitpid(r->pid, &status, 0);
    fl_channel_close(r->hub);
    fl_channel_close(r->control);
    fl_loop_free(r->loop);
    SSL_SESSION_free(r->session);
    SSL_CTX_free(r->client);
    X509_free(r->certificate);
    EVP_PKEY_free(r->key);
    fl_buffer_free(&r->records);
    fl_buffer_free(&r->csr);
    pki_free(&r->pki);
    rig_remove_log(r);
    (void)rmdir(r->dir);
    free(r);
    /* A sanitizer's report ends it otherwise. */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

/* --- clients --- */

static inline void client_turn(struct rig *r, struct client *c)
{
    int result = 0;

    turn(r);
    if (c->ended)
        return;
    ERR_clear_error();
    result = SSL_do_handshake(c->ssl);
    if (result == 1)
        result =
            SSL_read(c->ssl, c->heard + c->heard_size, (int)(sizeof c->heard - 1 - c->heard_size));
    if (result > 0) {
        c->heard_size += (size_t)result;
        return;
    }
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return;
    case SSL_ERROR_SSL:
        c->alert = (unsigned long)ERR_GET_REASON(ERR_peek_error());
        break;
    default:
        break;
    }
    c->ended = true;
}

static inline struct client *client_open(struct rig *r, uint16_t port, bool with_certificate,
                                         bool resume)
{
    struct client *c = calloc(1, sizeof *c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    assert_non_null(c);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
    c->ssl = SSL_new(r->client);
    if (with_certificate) {
        assert_int_equal(SSL_use_certificate(c->ssl, r->certificate), 1);
        assert_int_equal(SSL_use_PrivateKey(c->ssl, r->key), 1);
    }
    if (resume)
        assert_int_equal(SSL_set_session(c->ssl, r->session), 1);
    assert_int_equal(SSL_set1_host(c->ssl, "localhost"), 1);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    WAIT_FOR(r, (client_turn(r, c), c->ended || SSL_is_init_finished(c->ssl)));
    return c;
}

static inline void client_close(struct client *c)
{
    if (!c->ended)
        (void)SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    (void)close(c->fd);
    free(c);
}

static inline void client_say(struct client *c, const void *bytes, size_t size)
{
    assert_int_equal(SSL_write(c->ssl, bytes, (int)size), size);
}

/* --- MQTT 5 by hand, so that a mistake of the codec cannot hide behind its twin --- */

static inline void mqtt_connect(struct rig *r, struct client *c)
{
    static const uint8_t packet[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 5, 0x02, 0, 60, 0, 0, 0};

    client_say(c, packet, sizeof packet);
    WAIT_FOR(r, (client_turn(r, c), c->heard_size > 4 || c->ended));
    assert_int_equal(c->heard[0], 0x20);
    assert_int_equal(c->heard[3], 0); /* success */
    c->heard_size = 0;
}

static inline void mqtt_publish(struct client *c, const char *topic, const char *payload,
                                uint8_t packet_id)
{
    uint8_t packet[256] = {0x32, 0, 0};
    size_t topic_size = strlen(topic);
    size_t size = 4;

    packet[3] = (uint8_t)topic_size;
    memcpy(packet + size, topic, topic_size);
    size += topic_size;
    packet[size++] = 0;
    packet[size++] = packet_id;
    packet[size++] = 0; /* no properties */
    memcpy(packet + size, payload, strlen(payload));
    size += strlen(payload);
    packet[1] = (uint8_t)(size - 2);
    client_say(c, packet, size);
}

static inline struct client *device_open(struct rig *r)
{
    struct client *c = client_open(r, r->mqtt_port, true, false);

    mqtt_connect(r, c);
    return c;
}

#endif
