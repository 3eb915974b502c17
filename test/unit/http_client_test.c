/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/limits.h"
#include "io/http_client.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A server of one connection in a thread: what it answers is given, what it was asked is kept. */
struct server {
    pthread_t thread;
    pthread_t asker;
    int fd;
    SSL_CTX *tls;
    const char *answer;               /* NULL: reads and never answers */
    volatile sig_atomic_t *interrupt; /* set once it was asked */
    char asked[8192];
    char client_name[64]; /* CN of the client's certificate */
    char address[128];    /* socket path or URL */
};

/* As a person interrupts: a signal, in the thread that asks. */
static volatile sig_atomic_t *interrupt_sets;

static void on_interrupt(int number)
{
    (void)number;
    *interrupt_sets = 1;
}

static ssize_t server_read(SSL *ssl, int fd, char *to, size_t size)
{
    return ssl ? SSL_read(ssl, to, (int)size) : read(fd, to, size);
}

static void server_ask(struct server *s, SSL *ssl, int fd)
{
    size_t used = 0;
    ssize_t got = 0;
    const char *body = NULL;
    const char *length = NULL;

    while (used + 1 < sizeof s->asked &&
           (got = server_read(ssl, fd, s->asked + used, sizeof s->asked - 1 - used)) > 0) {
        used += (size_t)got;
        s->asked[used] = 0;
        body = strstr(s->asked, "\r\n\r\n");
        length = strstr(s->asked, "Content-Length: ");
        if (body && (!length || strlen(body + 4) >= strtoul(length + 16, NULL, 10)))
            break;
    }
    if (s->interrupt)
        (void)pthread_kill(s->asker, SIGUSR1);
    if (!s->answer) {
        (void)server_read(ssl, fd, s->asked, sizeof s->asked); /* until the client gives up */
        return;
    }
    if (ssl)
        (void)SSL_write(ssl, s->answer, (int)strlen(s->answer));
    else
        (void)send(fd, s->answer, strlen(s->answer), MSG_NOSIGNAL);
}

static void *server_main(void *self)
{
    struct server *s = self;
    SSL *ssl = NULL;
    X509 *peer = NULL;
    int fd = accept(s->fd, NULL, NULL);

    if (s->tls) {
        ssl = SSL_new(s->tls);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1) {
            peer = SSL_get1_peer_certificate(ssl);
            if (peer)
                X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName,
                                          s->client_name, sizeof s->client_name);
            X509_free(peer);
            server_ask(s, ssl, fd);
            SSL_shutdown(ssl);
        } else { /* let the alert arrive before what the client has sent causes a reset */
            shutdown(fd, SHUT_WR);
            while (read(fd, s->asked, sizeof s->asked) > 0)
                ;
            s->asked[0] = 0;
        }
        SSL_free(ssl);
    } else {
        server_ask(s, NULL, fd);
    }
    close(fd);
    return NULL;
}

static void start_unix(struct server *s, const char *answer, volatile sig_atomic_t *interrupt)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    *s = (struct server){.answer = answer, .interrupt = interrupt, .asker = pthread_self()};
    interrupt_sets = interrupt;
    (void)signal(SIGUSR1, on_interrupt);
    snprintf(s->address, sizeof s->address, "/tmp/fl-http-client-%d.sock", (int)getpid());
    memcpy(at.sun_path, s->address, strlen(s->address) + 1);
    unlink(s->address);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void start_tls(struct server *s, SSL_CTX *tls, const char *host)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;

    *s = (struct server){.answer = "HTTP/1.1 204 No Content\r\n\r\n", .tls = tls};
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
    snprintf(s->address, sizeof s->address, "https://%s:%u", host, ntohs(at.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void stop(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->fd);
    if (!s->tls)
        unlink(s->address);
}

static const struct fl_http_call get = {.method = "GET", .path = "/x"};

static enum fl_error call_unix(const char *answer, struct fl_http_client_options options,
                               struct fl_http_reply *reply, struct fl_context *ctx)
{
    struct server server;
    struct fl_http_client *client = NULL;
    enum fl_error e = FL_OK;

    start_unix(&server, answer, NULL);
    options.unix_socket = server.address;
    assert_ok(fl_http_client_open(&options, &client, ctx));
    e = fl_http_client_call(client, &get, reply, ctx);
    fl_http_client_close(client);
    stop(&server);
    return e;
}

static void a_whole_answer_arrives_whatever_its_status(void **state)
{
    struct fl_http_reply reply = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(call_unix("HTTP/1.1 202 Accepted\r\nContent-Type: text/plain; a=b\r\n"
                        "Retry-After: 7\r\nContent-Length: 5\r\n\r\nhello",
                        (struct fl_http_client_options){0}, &reply, &ctx));
    assert_int_equal(reply.status, 202);
    assert_string_equal(reply.content_type, "text/plain; a=b");
    assert_int_equal(reply.retry_after_s, 7);
    assert_slice_equal(fl_buffer_slice(&reply.body), "hello");
    fl_http_reply_free(&reply);
    assert_ok(call_unix("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
                        (struct fl_http_client_options){0}, &reply, &ctx));
    assert_int_equal(reply.status, 503);
    assert_int_equal(reply.retry_after_s, 0);
    assert_string_equal(reply.content_type, "");
    fl_http_reply_free(&reply);
}

static void a_redirect_is_an_answer_and_is_not_followed(void **state)
{
    struct fl_http_reply reply = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(call_unix("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n"
                        "Content-Length: 0\r\n\r\n",
                        (struct fl_http_client_options){0}, &reply, &ctx));
    assert_int_equal(reply.status, 302);
    fl_http_reply_free(&reply);
}

static void the_request_carries_method_body_types_and_credential(void **state)
{
    struct server server;
    struct fl_http_client *client = NULL;
    struct fl_http_reply reply = {0};
    struct fl_context ctx = {0};
    const struct fl_http_call call = {.method = "POST",
                                      .path = "/a?b=c",
                                      .content_type = "application/json",
                                      .accept = "text/x",
                                      .body = fl_slice("{ }\n", 4)};
    (void)state;

    start_unix(&server, "HTTP/1.1 204 No Content\r\n\r\n", NULL);
    assert_ok(fl_http_client_open(&(struct fl_http_client_options){.unix_socket = server.address,
                                                                   .user = "cam-01",
                                                                   .password = "secret"},
                                  &client, &ctx));
    assert_ok(fl_http_client_call(client, &call, &reply, &ctx));
    fl_http_client_close(client);
    stop(&server);
    assert_contains(server.asked, "POST /a?b=c HTTP/1.1\r\n");
    assert_contains(server.asked, "Content-Type: application/json\r\n");
    assert_contains(server.asked, "Accept: text/x\r\n");
    assert_contains(server.asked, "Content-Length: 4\r\n");
    assert_contains(server.asked, "Authorization: Basic Y2FtLTAxOnNlY3JldA==\r\n");
    assert_null(strstr(server.asked, "Expect"));
    fl_http_reply_free(&reply);
}

static void every_method_is_sent_as_it_is(void **state)
{
    struct server server;
    struct fl_http_client *client = NULL;
    struct fl_http_reply reply = {0};
    struct fl_context ctx = {0};
    (void)state;

    start_unix(&server, "HTTP/1.1 204 No Content\r\n\r\n", NULL);
    assert_ok(fl_http_client_open(
        &(struct fl_http_client_options){.unix_socket = server.address, .bearer = "abc"}, &client,
        &ctx));
    assert_ok(fl_http_client_call(
        client, &(struct fl_http_call){.method = "DELETE", .path = "/api/x"}, &reply, &ctx));
    fl_http_client_close(client);
    stop(&server);
    assert_contains(server.asked, "DELETE /api/x HTTP/1.1\r\n");
    assert_contains(server.asked, "Authorization: Bearer abc\r\n");
    assert_null(strstr(server.asked, "Content-Type"));
    fl_http_reply_free(&reply);
}

static void bad_answers_have_their_own_errors(void **state)
{
    static const struct {
        const char *answer;
        enum fl_error error;
        const char *words;
    } cases[] = {
        {"", FL_ECLOSED, "closed without an answer"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", FL_ECLOSED, "in the middle"},
        {"SSH-2.0-OpenSSH_9.2\r\n", FL_EPARSE, "not HTTP"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n123456789012345678901234567890123",
         FL_ELIMIT, "longer than 32 octets"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fl_http_reply reply = {0};
        struct fl_context ctx = {0};
        assert_int_equal(call_unix(cases[i].answer, (struct fl_http_client_options){.body_max = 32},
                                   &reply, &ctx),
                         cases[i].error);
        assert_contains(ctx.text, cases[i].words);
        fl_http_reply_free(&reply);
    }
}

static void a_silent_server_costs_only_the_given_time(void **state)
{
    struct fl_http_reply reply = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(
        call_unix(NULL, (struct fl_http_client_options){.timeout_ms = 100}, &reply, &ctx),
        FL_ETIMEOUT);
    assert_contains(ctx.text, "no answer in time");
    fl_http_reply_free(&reply);
}

static void a_signal_ends_the_call_in_flight(void **state)
{
    volatile sig_atomic_t cancel = 0;
    struct server server;
    struct fl_http_client *client = NULL;
    struct fl_http_reply reply = {0};
    struct fl_context ctx = {0};
    (void)state;

    start_unix(&server, NULL, &cancel);
    assert_ok(fl_http_client_open(
        &(struct fl_http_client_options){.unix_socket = server.address, .cancel = &cancel}, &client,
        &ctx));
    assert_int_equal(fl_http_client_call(client, &get, &reply, &ctx), FL_ECLOSED);
    assert_contains(ctx.text, "cancelled");
    fl_http_client_close(client);
    stop(&server);
    fl_http_reply_free(&reply);
}

static enum fl_error call_once(const struct fl_http_client_options *options, struct fl_context *ctx)
{
    struct fl_http_client *client = NULL;
    struct fl_http_reply reply = {0};
    enum fl_error e = fl_http_client_open(options, &client, ctx);

    if (e == FL_OK)
        e = fl_http_client_call(client, &get, &reply, ctx);
    fl_http_reply_free(&reply);
    fl_http_client_close(client);
    return e;
}

static void a_socket_that_is_not_there_says_so(void **state)
{
    struct server server;
    struct fl_context ctx = {0};
    char path[200];
    (void)state;

    assert_int_equal(call_once(&(struct fl_http_client_options){.unix_socket = "/nowhere/s"}, &ctx),
                     FL_ENOTFOUND);
    assert_string_equal(ctx.text, "/nowhere/s: no such socket");
    memset(path, 'a', sizeof path);
    path[sizeof path - 1] = 0;
    assert_int_equal(call_once(&(struct fl_http_client_options){.unix_socket = path}, &ctx),
                     FL_ELIMIT);
    /* A socket whose owner has gone. */
    start_unix(&server, "", NULL);
    assert_int_equal(
        call_once(&(struct fl_http_client_options){.unix_socket = server.address}, &ctx),
        FL_ECLOSED);
    pthread_join(server.thread, NULL);
    close(server.fd);
    assert_int_equal(
        call_once(&(struct fl_http_client_options){.unix_socket = server.address}, &ctx),
        FL_ECLOSED);
    assert_contains(ctx.text, "nobody is listening");
    unlink(server.address);
}

static void only_the_address_of_a_hub_is_an_address(void **state)
{
    static const char *const bad[] = {
        "",
        "hub",
        "http://hub",
        "https://",
        "https://hub/x",
        "ftp://hub",
        "https://u@hub",
        "https://h?x",
        "https://h h",
        "https://h\r\nX: y",
        "file:///etc/passwd",
        "https://\xC3\xA9",
    };
    struct fl_context ctx = {0};
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(call_once(&(struct fl_http_client_options){.url = bad[i],
                                                                    .insecure_first_contact = true},
                                   &ctx),
                         FL_EINVAL);
        assert_contains(ctx.text, "https://HOST[:PORT]");
    }
}

static void trust_and_credentials_must_make_sense(void **state)
{
    struct fl_context ctx = {0};
    char bearer[4096];
    (void)state;

    assert_int_equal(call_once(&(struct fl_http_client_options){.url = "https://h"}, &ctx),
                     FL_EPARSE);
    assert_int_equal(call_once(&(struct fl_http_client_options){.url = "https://h",
                                                                .ca_pem = fl_slice_str("no PEM")},
                               &ctx),
                     FL_EPARSE);
    assert_contains(ctx.text, "no PEM certificate");
    assert_int_equal(
        call_once(&(struct fl_http_client_options){.unix_socket = "/s", .bearer = "a\r\nX: y"},
                  &ctx),
        FL_EINVAL);
    memset(bearer, 'a', sizeof bearer);
    bearer[sizeof bearer - 1] = 0;
    assert_int_equal(
        call_once(&(struct fl_http_client_options){.unix_socket = "/s", .bearer = bearer}, &ctx),
        FL_EINVAL);
}

static void urls_are_escaped(void **state)
{
    struct fl_buffer out = FL_BUFFER(64);
    (void)state;

    assert_ok(fl_url_escape(fl_slice("a-Z_0.~/?&%\0\xC3", 13), &out));
    assert_slice_equal(fl_buffer_slice(&out), "a-Z_0.~%2F%3F%26%25%00%C3");
    fl_buffer_free(&out);
}

/* ---- TLS: a tiny certificate authority of its own, so that this test needs nothing above it. */

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char pem[4096];
};

static void add_extension(X509 *to, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension = NULL;

    X509V3_set_ctx(&context, issuer, to, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    X509_add_ext(to, extension, -1);
    X509_EXTENSION_free(extension);
}

static struct identity make(const char *name, const char *alt, const struct identity *issuer)
{
    struct identity made = {.key = EVP_EC_gen("P-256"), .certificate = X509_new()};
    X509 *c = made.certificate;
    BIO *bio = BIO_new(BIO_s_mem());
    int size = 0;

    X509_set_version(c, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c), issuer ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(c), -60);
    X509_gmtime_adj(X509_getm_notAfter(c), 3600);
    X509_set_pubkey(c, made.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(c, X509_get_subject_name(issuer ? issuer->certificate : c));
    add_extension(c, issuer ? issuer->certificate : c, NID_basic_constraints,
                  issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (alt)
        add_extension(c, issuer ? issuer->certificate : c, NID_subject_alt_name, alt);
    assert_true(X509_sign(c, issuer ? issuer->key : made.key, EVP_sha256()) > 0);
    PEM_write_bio_X509(bio, c);
    size = BIO_read(bio, made.pem, sizeof made.pem - 1);
    made.pem[size] = 0;
    BIO_free(bio);
    return made;
}

static void unmake(struct identity *made)
{
    EVP_PKEY_free(made->key);
    X509_free(made->certificate);
}

struct pki {
    struct identity root, server, other_root, client;
    SSL_CTX *tls;
};

static int set_up_pki(void **state)
{
    struct pki *pki = calloc(1, sizeof *pki);

    pki->root = make("root", NULL, NULL);
    pki->server = make("127.0.0.1", "IP:127.0.0.1", &pki->root);
    pki->other_root = make("other", NULL, NULL);
    pki->client = make("cam-01", NULL, &pki->root);
    pki->tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(pki->tls, pki->server.certificate);
    SSL_CTX_use_PrivateKey(pki->tls, pki->server.key);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(pki->tls), pki->root.certificate);
    *state = pki;
    return 0;
}

static int tear_down_pki(void **state)
{
    struct pki *pki = *state;

    SSL_CTX_free(pki->tls);
    unmake(&pki->root);
    unmake(&pki->server);
    unmake(&pki->other_root);
    unmake(&pki->client);
    free(pki);
    return 0;
}

static enum fl_error call_tls(struct pki *pki, const char *host,
                              struct fl_http_client_options options, struct server *server,
                              struct fl_context *ctx)
{
    enum fl_error e = FL_OK;

    start_tls(server, pki->tls, host);
    options.url = server->address;
    e = call_once(&options, ctx);
    stop(server);
    return e;
}

static void a_server_of_the_given_root_is_believed_and_no_other(void **state)
{
    struct pki *pki = *state;
    struct server server;
    struct fl_context ctx = {0};
    struct fl_http_client_options options = {.ca_pem = fl_slice_str(pki->root.pem)};

    assert_ok(call_tls(pki, "127.0.0.1", options, &server, &ctx));
    assert_string_equal(server.client_name, "");
    options.ca_pem = fl_slice_str(pki->other_root.pem);
    assert_int_equal(call_tls(pki, "127.0.0.1", options, &server, &ctx), FL_EAUTH);
    assert_string_equal(server.asked, "");
}

static void a_server_of_another_name_is_not_believed(void **state)
{
    struct pki *pki = *state;
    struct server server;
    struct fl_context ctx = {0};
    struct fl_http_client_options options = {.ca_pem = fl_slice_str(pki->root.pem),
                                             .bearer = "secret"};

    assert_int_equal(call_tls(pki, "localhost", options, &server, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "localhost");
    assert_string_equal(server.asked, "");
}

static void the_first_contact_needs_no_root(void **state)
{
    struct pki *pki = *state;
    struct server server;
    struct fl_context ctx = {0};

    assert_ok(call_tls(pki, "localhost",
                       (struct fl_http_client_options){.insecure_first_contact = true}, &server,
                       &ctx));
    assert_null(strstr(server.asked, "Authorization"));
}

static void tls_below_1_3_is_refused(void **state)
{
    struct pki *pki = *state;
    struct server server;
    struct fl_context ctx = {0};

    SSL_CTX_set_max_proto_version(pki->tls, TLS1_2_VERSION);
    assert_int_equal(
        call_tls(pki, "127.0.0.1",
                 (struct fl_http_client_options){.ca_pem = fl_slice_str(pki->root.pem)}, &server,
                 &ctx),
        FL_ECRYPTO);
}

static void the_client_certificate_is_presented(void **state)
{
    struct pki *pki = *state;
    struct server server;
    struct fl_context ctx = {0};
    struct fl_http_client_options options = {.ca_pem = fl_slice_str(pki->root.pem),
                                             .client_chain_pem = fl_slice_str(pki->client.pem),
                                             .client_key = pki->client.key};

    SSL_CTX_set_verify(pki->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    assert_ok(call_tls(pki, "127.0.0.1", options, &server, &ctx));
    assert_string_equal(server.client_name, "cam-01");
    options.client_key = pki->server.key;
    assert_int_equal(call_tls(pki, "127.0.0.1", options, &server, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "do not fit");
}

static void a_server_that_wants_a_certificate_refuses_with_words(void **state)
{
    struct pki *pki = *state;
    struct server server;
    struct fl_context ctx = {0};

    SSL_CTX_set_verify(pki->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    assert_int_equal(
        call_tls(pki, "127.0.0.1",
                 (struct fl_http_client_options){.ca_pem = fl_slice_str(pki->root.pem)}, &server,
                 &ctx),
        FL_EAUTH);
    assert_contains(ctx.text, "certificate");
}

#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up_pki, tear_down_pki)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer_arrives_whatever_its_status),
        cmocka_unit_test(a_redirect_is_an_answer_and_is_not_followed),
        cmocka_unit_test(the_request_carries_method_body_types_and_credential),
        cmocka_unit_test(every_method_is_sent_as_it_is),
        cmocka_unit_test(bad_answers_have_their_own_errors),
        cmocka_unit_test(a_silent_server_costs_only_the_given_time),
        cmocka_unit_test(a_signal_ends_the_call_in_flight),
        cmocka_unit_test(a_socket_that_is_not_there_says_so),
        cmocka_unit_test(only_the_address_of_a_hub_is_an_address),
        cmocka_unit_test(trust_and_credentials_must_make_sense),
        cmocka_unit_test(urls_are_escaped),
        TLS_TEST(a_server_of_the_given_root_is_believed_and_no_other),
        TLS_TEST(a_server_of_another_name_is_not_believed),
        TLS_TEST(the_first_contact_needs_no_root),
        TLS_TEST(tls_below_1_3_is_refused),
        TLS_TEST(the_client_certificate_is_presented),
        TLS_TEST(a_server_that_wants_a_certificate_refuses_with_words),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
