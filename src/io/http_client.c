/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_client.h"

#include "base/assert.h"
#include "base/base64.h"
#include "base/limits.h"
#include "base/str.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/un.h>

#define CONNECT_MS 10000L
#define TIMEOUT_MS 30000L
#define URL_MAX (FL_LIMIT_HOST + 32)
#define AUTHORIZATION_MAX 2048

struct fl_http_client {
    CURL *curl;
    char base[URL_MAX]; /* scheme and authority */
    char unix_socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char *authorization;    /* the header's whole line, or NULL */
    STACK_OF(X509) * roots; /* NULL: Unix socket, or first contact */
    STACK_OF(X509) * chain; /* NULL: no client certificate */
    EVP_PKEY *client_key;
    const volatile sig_atomic_t *cancel;
    bool first_contact;
    size_t body_max;
    struct fl_http_reply *reply; /* of the call in flight */
    bool body_over;
    char curl_error[CURL_ERROR_SIZE];
};

static void wipe_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static enum fl_error certificates(struct fl_slice pem, const char *what, STACK_OF(X509) * *out,
                                  struct fl_context *ctx)
{
    BIO *bio = NULL;
    X509 *certificate = NULL;

    if (pem.size == 0 || pem.size > FL_LIMIT_CHAIN)
        return fl_fail(ctx, FL_EPARSE, "%s: %s", what, pem.size ? "too long" : "empty");
    bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    *out = sk_X509_new_null();
    while (bio && *out && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        if (!sk_X509_push(*out, certificate))
            X509_free(certificate);
    BIO_free(bio);
    ERR_clear_error();
    if (sk_X509_num(*out) < 1)
        return fl_fail(ctx, FL_EPARSE, "%s: holds no PEM certificate", what);
    return FL_OK;
}

/* Called by libcurl for each new TLS context: trust exactly our roots and present our certificate.
 */
static CURLcode set_up_tls(CURL *curl, void *tls, void *self)
{
    struct fl_http_client *client = self;
    SSL_CTX *context = tls;
    X509_STORE *store = X509_STORE_new();

    (void)curl;
    if (!store)
        return CURLE_OUT_OF_MEMORY;
    for (int i = 0; i < sk_X509_num(client->roots); i++)
        if (!X509_STORE_add_cert(store, sk_X509_value(client->roots, i))) {
            X509_STORE_free(store);
            return CURLE_SSL_CACERT_BADFILE;
        }
    SSL_CTX_set_cert_store(context, store);
    if (!client->chain)
        return CURLE_OK;
    if (SSL_CTX_use_certificate(context, sk_X509_value(client->chain, 0)) != 1 ||
        SSL_CTX_use_PrivateKey(context, client->client_key) != 1)
        return CURLE_SSL_CERTPROBLEM;
    for (int i = 1; i < sk_X509_num(client->chain); i++)
        if (SSL_CTX_add1_chain_cert(context, sk_X509_value(client->chain, i)) != 1)
            return CURLE_SSL_CERTPROBLEM;
    return CURLE_OK;
}

static size_t on_body(char *data, size_t size, size_t count, void *self)
{
    struct fl_http_client *client = self;

    if (fl_buffer_append(&client->reply->body, data, size * count) != FL_OK) {
        client->body_over = true;
        return 0;
    }
    return size * count;
}

static int on_progress(void *self, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    const struct fl_http_client *client = self;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return client->cancel && *client->cancel;
}

/* What is the same for every call. A macro because curl_easy_setopt checks types by its arguments.
 */
#define SET(option, value) (curl_easy_setopt(client->curl, (option), (value)) == CURLE_OK)

static bool set_up_curl(struct fl_http_client *client, const struct fl_http_client_options *o)
{
    bool done = SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_PROXY, "") &&
                SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
                SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
                SET(CURLOPT_USERAGENT, "fairlead/" FL_VERSION) &&
                SET(CURLOPT_ERRORBUFFER, client->curl_error) &&
                SET(CURLOPT_CONNECTTIMEOUT_MS, o->connect_ms ? (long)o->connect_ms : CONNECT_MS) &&
                SET(CURLOPT_TIMEOUT_MS, o->timeout_ms ? (long)o->timeout_ms : TIMEOUT_MS) &&
                SET(CURLOPT_WRITEFUNCTION, on_body) && SET(CURLOPT_WRITEDATA, client) &&
                SET(CURLOPT_NOPROGRESS, 0L) && SET(CURLOPT_XFERINFOFUNCTION, on_progress) &&
                SET(CURLOPT_XFERINFODATA, client);

    if (o->unix_socket)
        return done && SET(CURLOPT_PROTOCOLS_STR, "http") &&
               SET(CURLOPT_UNIX_SOCKET_PATH, client->unix_socket);
    /* The system's roots are switched off here and, whatever libcurl's defaults, in set_up_tls. */
    done = done && SET(CURLOPT_PROTOCOLS_STR, "https") && SET(CURLOPT_CAINFO, NULL) &&
           SET(CURLOPT_CAPATH, NULL) && SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    if (client->first_contact)
        return done && SET(CURLOPT_SSL_VERIFYPEER, 0L) && SET(CURLOPT_SSL_VERIFYHOST, 0L);
    return done && SET(CURLOPT_SSL_VERIFYPEER, 1L) && SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
           SET(CURLOPT_SSL_CTX_FUNCTION, set_up_tls) && SET(CURLOPT_SSL_CTX_DATA, client);
}

static void global_init(void)
{
    fl_assert(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

/* "https://HOST[:PORT]": only characters of an authority without user information. */
static enum fl_error check_url(const char *url, struct fl_context *ctx)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_:[]";
    char shown[128];
    const char *host = url + 8;
    bool is_https = strncasecmp(url, "https://", 8) == 0;

    fl_str_printable(shown, sizeof shown, fl_slice(url, strlen(url)));
    if (!is_https)
        return fl_fail(ctx, FL_EINVAL, "%s: the address of a hub is https://HOST[:PORT]", shown);
    if (!*host || strlen(url) >= URL_MAX || host[strspn(host, allowed)])
        return fl_fail(ctx, FL_EINVAL, "%s: the address of a hub is https://HOST[:PORT]%s", shown,
                       strchr(host, '/') ? ", with nothing after it" : "");
    return FL_OK;
}

static enum fl_error copy_credential(struct fl_http_client *client,
                                     const struct fl_http_client_options *o, struct fl_context *ctx)
{
    char pair[AUTHORIZATION_MAX / 2];
    struct fl_buffer encoded = FL_BUFFER(AUTHORIZATION_MAX);
    struct fl_buffer line = FL_BUFFER(AUTHORIZATION_MAX);
    const char *text = NULL;
    int size = 0;

    fl_assert(!(o->bearer && o->user));
    if (!o->bearer && !o->user)
        return FL_OK;
    if (o->bearer) {
        fl_buffer_printf(&line, "Authorization: Bearer %s", o->bearer);
    } else {
        size = snprintf(pair, sizeof pair, "%s:%s", o->user, o->password ? o->password : "");
        if (size > 0 && (size_t)size < sizeof pair)
            fl_base64_encode(fl_slice(pair, (size_t)size), 0, &encoded);
        else
            line.failed = true;
        fl_buffer_printf(&line, "Authorization: Basic %.*s",
                         FL_SLICE_ARGS(fl_buffer_slice(&encoded)));
    }
    text = fl_buffer_str(&line);
    if (text && !line.failed && !encoded.failed && !strpbrk(text, "\r\n"))
        client->authorization = strdup(text);
    explicit_bzero(pair, sizeof pair);
    fl_buffer_free(&encoded);
    fl_buffer_free(&line);
    if (!client->authorization)
        return fl_fail(ctx, FL_EINVAL, "the credential is too long or holds a line break");
    return FL_OK;
}

static enum fl_error copy_target(struct fl_http_client *client,
                                 const struct fl_http_client_options *o, struct fl_context *ctx)
{
    enum fl_error e = FL_OK;

    fl_assert(!o->unix_socket != !o->url);
    fl_assert(!o->client_chain_pem.size == !o->client_key);
    fl_assert(!o->insecure_first_contact ||
              (o->url && !o->bearer && !o->user && !o->client_key && !o->ca_pem.size));
    if (o->unix_socket) {
        fl_assert(!o->client_key && !o->ca_pem.size);
        (void)fl_str_copy(client->base, sizeof client->base, "http://localhost");
        if (!fl_str_copy(client->unix_socket, sizeof client->unix_socket, o->unix_socket))
            return fl_fail(ctx, FL_ELIMIT, "%s: the path of a Unix socket has at most %zu octets",
                           o->unix_socket, sizeof client->unix_socket - 1);
        return FL_OK;
    }
    if ((e = check_url(o->url, ctx)) != FL_OK)
        return e;
    (void)fl_str_copy(client->base, sizeof client->base, o->url);
    if (!o->insecure_first_contact &&
        (e = certificates(o->ca_pem, "trusted roots", &client->roots, ctx)) != FL_OK)
        return e;
    if (o->client_key &&
        (e = certificates(o->client_chain_pem, "client certificate", &client->chain, ctx)) != FL_OK)
        return e;
    return FL_OK;
}

enum fl_error fl_http_client_open(const struct fl_http_client_options *options,
                                  struct fl_http_client **out, struct fl_context *ctx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct fl_http_client *client = NULL;
    enum fl_error e = FL_OK;
    CURL *curl = NULL;

    (void)pthread_once(&once, global_init);
    *out = NULL;
    client = calloc(1, sizeof *client);
    if (!client)
        return fl_fail(ctx, FL_ENOMEM, "http client: out of memory");
    client->client_key = options->client_key;
    client->cancel = options->cancel;
    client->first_contact = options->insecure_first_contact;
    client->body_max = options->body_max ? options->body_max : FL_LIMIT_HTTP_BODY;
    if ((e = copy_target(client, options, ctx)) != FL_OK ||
        (e = copy_credential(client, options, ctx)) != FL_OK)
        goto out;
    curl = client->curl = curl_easy_init();
    if (!curl) {
        e = fl_fail(ctx, FL_ENOMEM, "http client: out of memory");
        goto out;
    }
    e = set_up_curl(client, options) ? FL_OK : fl_fail(ctx, FL_EUNSUPPORTED, "libcurl refuses");
out:
    if (e != FL_OK)
        fl_http_client_close(client);
    else
        *out = client;
    return e;
}

void fl_http_client_close(struct fl_http_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    sk_X509_pop_free(client->roots, X509_free);
    sk_X509_pop_free(client->chain, X509_free);
    wipe_free(client->authorization);
    free(client);
}

static enum fl_error connect_error(struct fl_http_client *client, struct fl_context *ctx)
{
    const char *where = client->unix_socket[0] ? client->unix_socket : client->base;
    long number = 0;

    (void)curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &number);
    switch (number) {
    case ENOENT:
        return fl_fail(ctx, FL_ENOTFOUND, "%s: no such socket", where);
    case EACCES:
    case EPERM:
        return fl_fail(ctx, FL_EDENIED, "%s: not permitted", where);
    case ECONNREFUSED:
        return fl_fail(ctx, FL_ECLOSED, "%s: nobody is listening", where);
    default:
        return fl_fail(ctx, FL_EIO, "%s: %s", where,
                       number ? strerror((int)number) : client->curl_error);
    }
}

/* libcurl's codes that say enough by themselves. */
static const struct {
    CURLcode code;
    enum fl_error error;
    const char *words; /* NULL: libcurl's */
} code_errors[] = {
    {CURLE_COULDNT_RESOLVE_HOST, FL_ENOTFOUND, "no such host"},
    {CURLE_URL_MALFORMAT, FL_EINVAL, "the address of a hub is https://HOST[:PORT]"},
    {CURLE_OPERATION_TIMEDOUT, FL_ETIMEOUT, "no answer in time"},
    {CURLE_PEER_FAILED_VERIFICATION, FL_EAUTH, NULL},
    {CURLE_SSL_CERTPROBLEM, FL_EAUTH, "our certificate and key do not fit each other"},
    {CURLE_SSL_CACERT_BADFILE, FL_EPARSE, "a trusted root cannot be used"},
    {CURLE_GOT_NOTHING, FL_ECLOSED, "closed without an answer"},
    {CURLE_PARTIAL_FILE, FL_ECLOSED, "closed in the middle of the answer"},
    {CURLE_ABORTED_BY_CALLBACK, FL_ECLOSED, "cancelled"},
    {CURLE_UNSUPPORTED_PROTOCOL, FL_EPARSE, "the answer is not HTTP/1.1"},
    {CURLE_WEIRD_SERVER_REPLY, FL_EPARSE, "the answer is not HTTP/1.1"},
    {CURLE_OUT_OF_MEMORY, FL_ENOMEM, "out of memory"},
};

static enum fl_error call_error(struct fl_http_client *client, CURLcode code,
                                struct fl_context *ctx)
{
    const char *where = client->unix_socket[0] ? client->unix_socket : client->base;
    const char *said = client->curl_error[0] ? client->curl_error : curl_easy_strerror(code);
    enum fl_error e = FL_EIO;

    if (client->body_over)
        return fl_fail(ctx, FL_ELIMIT, "%s: the answer is longer than %zu octets", where,
                       client->body_max);
    if (code == CURLE_COULDNT_CONNECT)
        return connect_error(client, ctx);
    for (size_t i = 0; i < sizeof code_errors / sizeof code_errors[0]; i++)
        if (code_errors[i].code == code)
            return fl_fail(ctx, code_errors[i].error, "%s: %s", where,
                           code_errors[i].words ? code_errors[i].words : said);
    /* A TLS 1.3 server refuses our certificate after its own part of the handshake is over, so the
     * alert may come with the first read. */
    if (strstr(said, "alert") && (strstr(said, "certificate") || strstr(said, "unknown ca")))
        e = FL_EAUTH;
    else if (code == CURLE_SSL_CONNECT_ERROR)
        e = FL_ECRYPTO;
    else if (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR)
        e = FL_ECLOSED;
    return fl_fail(ctx, e, "%s: %s", where, said);
}

static bool add_header(struct curl_slist **headers, const char *name, const char *value)
{
    char line[256];
    struct curl_slist *more = NULL;
    int size = snprintf(line, sizeof line, "%s%s", name, value);

    if (size < 0 || (size_t)size >= sizeof line || strpbrk(line, "\r\n"))
        return false;
    more = curl_slist_append(*headers, line);
    if (!more)
        return false;
    *headers = more;
    return true;
}

static bool make_headers(const struct fl_http_client *client, const struct fl_http_call *call,
                         struct curl_slist **headers)
{
    struct curl_slist *more = NULL;

    /* No "Expect: 100-continue" and no form type: the hub's bodies are small and typed. */
    if (!add_header(headers, "Expect:", "") ||
        !add_header(headers, call->content_type ? "Content-Type: " : "Content-Type:",
                    call->content_type ? call->content_type : "") ||
        (call->accept && !add_header(headers, "Accept: ", call->accept)))
        return false;
    if (!client->authorization)
        return true;
    more = curl_slist_append(*headers, client->authorization);
    if (more)
        *headers = more;
    return more != NULL;
}

/* The method and the body. GET and HEAD have none. */
static bool set_method(struct fl_http_client *client, const struct fl_http_call *call)
{
    if (strcmp(call->method, "GET") == 0)
        return SET(CURLOPT_HTTPGET, 1L) && SET(CURLOPT_CUSTOMREQUEST, NULL);
    return SET(CURLOPT_POST, 1L) &&
           SET(CURLOPT_POSTFIELDS, call->body.size ? (const char *)call->body.data : "") &&
           SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size) &&
           SET(CURLOPT_CUSTOMREQUEST, call->method);
}

static void read_answer(struct fl_http_client *client, struct fl_http_reply *reply)
{
    long status = 0;
    char *type = NULL;
    curl_off_t retry_s = 0;

    (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(client->curl, CURLINFO_CONTENT_TYPE, &type);
    (void)curl_easy_getinfo(client->curl, CURLINFO_RETRY_AFTER, &retry_s);
    reply->status = (int)status;
    (void)fl_str_copy(reply->content_type, sizeof reply->content_type, type ? type : "");
    reply->retry_after_s = retry_s > 0 && retry_s < INT32_MAX ? (uint32_t)retry_s : 0;
}

enum fl_error fl_http_client_call(struct fl_http_client *client, const struct fl_http_call *call,
                                  struct fl_http_reply *reply, struct fl_context *ctx)
{
    struct curl_slist *headers = NULL;
    struct fl_buffer url = FL_BUFFER(64UL * 1024);
    enum fl_error e = FL_OK;
    CURLcode code = CURLE_OK;
    const char *text = NULL;

    fl_assert(call->path[0] == '/');
    fl_assert(!client->first_contact || strcmp(call->method, "GET") == 0);
    fl_buffer_free(&reply->body);
    *reply = (struct fl_http_reply){.body = FL_BUFFER(client->body_max)};
    client->reply = reply;
    client->body_over = false;
    client->curl_error[0] = 0;
    fl_buffer_printf(&url, "%s%s", client->base, call->path);
    text = fl_buffer_str(&url);
    if (!text || url.failed || !make_headers(client, call, &headers) || !set_method(client, call) ||
        !SET(CURLOPT_URL, text) || !SET(CURLOPT_HTTPHEADER, headers)) {
        e = fl_fail(ctx, FL_EINVAL, "%s: the request cannot be made", client->base);
        goto out;
    }
    code = curl_easy_perform(client->curl);
    if (code != CURLE_OK)
        e = call_error(client, code, ctx);
    else
        read_answer(client, reply);
out:
    (void)SET(CURLOPT_HTTPHEADER, NULL);
    (void)SET(CURLOPT_POSTFIELDS, NULL);
    client->reply = NULL;
    curl_slist_free_all(headers);
    fl_buffer_free(&url);
    return e;
}

void fl_http_reply_free(struct fl_http_reply *reply)
{
    fl_buffer_free(&reply->body);
    *reply = (struct fl_http_reply){0};
}

enum fl_error fl_url_escape(struct fl_slice text, struct fl_buffer *out)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    enum fl_error e = FL_OK;

    for (size_t i = 0; i < text.size && e == FL_OK; i++) {
        if (text.data[i] && strchr(plain, text.data[i]))
            e = fl_buffer_append_byte(out, text.data[i]);
        else
            e = fl_buffer_printf(out, "%%%02X", text.data[i]);
    }
    return e;
}
