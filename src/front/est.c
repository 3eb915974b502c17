/* SPDX-License-Identifier: Apache-2.0 */
#include "front/est.h"

#include "base/base64.h"
#include "codec/http.h"
#include "io/tls.h"
#include "trust/cert.h"

#include <stdio.h>

#define LINE 64
#define BASE64_HEADER "Content-Transfer-Encoding: base64\r\n"
#define ASK_FOR_TOKEN "WWW-Authenticate: Basic realm=\"fairlead enrolment\", charset=\"UTF-8\"\r\n"

void fl_est_init(struct fl_est *est, const struct fl_link *link, struct fl_pending *pending)
{
    *est = (struct fl_est){.link = link, .pending = pending};
    est->cacerts = FL_BUFFER((size_t)4 * FL_LIMIT_CERT);
}

void fl_est_free(struct fl_est *est)
{
    fl_buffer_free(&est->cacerts);
}

static enum fl_error wrap(const struct fl_slice *certificates, size_t count, struct fl_buffer *out,
                          struct fl_context *ctx)
{
    struct fl_buffer der = FL_BUFFER((size_t)3 * FL_LIMIT_CERT);
    enum fl_error error = fl_pkcs7_wrap(certificates, count, &der, ctx);

    fl_buffer_clear(out);
    if (!error)
        error = fl_base64_encode(fl_buffer_slice(&der), LINE, out);
    fl_buffer_free(&der);
    return fl_fail_in(ctx, error, "est");
}

enum fl_error fl_est_config(struct fl_est *est, struct fl_slice issuing, struct fl_slice root,
                            struct fl_context *ctx)
{
    const struct fl_slice certificates[] = {issuing, root};

    return wrap(certificates, 2, &est->cacerts, ctx);
}

void fl_est_cacerts(struct fl_est *est, struct fl_http_exchange *exchange,
                    const struct fl_http_request *request)
{
    struct fl_http_response response = {.status = 200,
                                        .content_type = "application/pkcs7-mime",
                                        .body = fl_buffer_slice(&est->cacerts),
                                        .headers = BASE64_HEADER};

    (void)request;
    fl_http_answer(exchange, &response);
}

void fl_est_csrattrs(struct fl_est *est, struct fl_http_exchange *exchange,
                     const struct fl_http_request *request)
{
    /* SEQUENCE { SEQUENCE { id-ecPublicKey, SET { prime256v1 } }, ecdsa-with-SHA256 } */
    static const uint8_t attributes[] = {0x30, 0x21, 0x30, 0x15, 0x06, 0x07, 0x2A, 0x86, 0x48,
                                         0xCE, 0x3D, 0x02, 0x01, 0x31, 0x0A, 0x06, 0x08, 0x2A,
                                         0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x06, 0x08,
                                         0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02};
    struct fl_buffer body = FL_BUFFER(256);
    struct fl_http_response response = {
        .status = 200, .content_type = "application/csrattrs", .headers = BASE64_HEADER};

    (void)est;
    (void)request;
    (void)fl_base64_encode(fl_slice(attributes, sizeof attributes), LINE, &body);
    response.body = fl_buffer_slice(&body);
    fl_http_answer(exchange, &response);
    fl_buffer_free(&body);
}

/* --- requests --- */

/* What stands between "-----BEGIN ...-----" and "-----END"; the whole when there is no armour. */
static enum fl_error strip_armour(struct fl_slice *body, struct fl_context *ctx)
{
    static const char begin[] = "-----BEGIN ";
    static const char end[] = "-----END ";
    const uint8_t *at = memmem(body->data, body->size, begin, sizeof begin - 1);
    struct fl_slice label = {0};

    if (!at)
        return FL_OK;
    *body = fl_slice_from(*body, (size_t)(at - body->data) + sizeof begin - 1);
    (void)fl_slice_cut(body, '\n', &label);
    if (!memmem(label.data, label.size, "CERTIFICATE REQUEST-----", 24))
        return fl_fail(ctx, FL_EPARSE, "the PEM block is not a CERTIFICATE REQUEST");
    at = body->size ? memmem(body->data, body->size, end, sizeof end - 1) : NULL;
    if (!at)
        return fl_fail(ctx, FL_EPARSE, "the PEM block has no end");
    body->size = (size_t)(at - body->data);
    return FL_OK;
}

enum fl_error fl_est_decode_csr(struct fl_slice body, struct fl_buffer *der, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (body.size == 0)
        return fl_fail(ctx, FL_EPARSE,
                       "the body is empty: a PKCS #10 request in base64 belongs "
                       "there");
    if (body.data[0] == 0x30 && body.size > 1 && body.data[1] >= 0x80)
        return fl_fail(ctx, FL_EPARSE,
                       "the request is binary DER: send it in base64 (RFC 8951), for instance "
                       "'openssl req -outform DER ... | openssl base64'");
    error = strip_armour(&body, ctx);
    if (error)
        return error;
    error = fl_base64_decode(body, der);
    if (error == FL_ELIMIT)
        return fl_fail(ctx, error, "the request is larger than %d bytes", FL_LIMIT_CSR);
    if (error)
        return fl_fail(ctx, FL_EPARSE, "the body is not base64");
    return FL_OK;
}

/* Checks the request and asks the hub; answers at once when it is not worth asking. */
static void ask(struct fl_est *est, struct fl_http_exchange *exchange,
                const struct fl_http_request *request, struct fl_msg_enrol *enrol)
{
    struct fl_context ctx = {0};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_csr_info info = {0};
    struct fl_msg msg = {.type = fl_msg_type_enrol};
    enum fl_error error = fl_est_decode_csr(request->body, &der, &ctx);

    if (!error)
        error = fl_csr_check(fl_buffer_slice(&der), &info, &ctx);
    if (error) {
        fl_http_problem(exchange, error == FL_ELIMIT ? 413 : 400, NULL, ctx.text, NULL);
        goto out;
    }
    error = fl_pending_add(est->pending, exchange, &enrol->request);
    if (error) {
        fl_pending_unavailable(exchange);
        goto out;
    }
    enrol->peer = fl_slice_str(request->peer);
    enrol->csr = fl_buffer_slice(&der);
    msg.as.enrol = *enrol;
    if (!fl_link_send(est->link, &msg))
        fl_pending_unavailable(fl_pending_take(est->pending, enrol->request));
out:
    fl_csr_info_free(&info);
    fl_buffer_free(&der);
}

void fl_est_enrol(struct fl_est *est, struct fl_http_exchange *exchange,
                  const struct fl_http_request *request)
{
    struct fl_buffer text = FL_BUFFER(FL_NAME_MAX + 1 + FL_LIMIT_TOKEN_TEXT);
    struct fl_msg_enrol enrol = {0};
    enum fl_error error =
        fl_http_basic(fl_http_header(request, "authorization"), &text, &enrol.device, &enrol.token);

    if (error == FL_ENOTFOUND)
        fl_http_problem(exchange, 401, NULL,
                        "enrolment needs the device id and its token (HTTP Basic)", ASK_FOR_TOKEN);
    else if (error || !fl_name_valid(enrol.device) || enrol.token.size == 0 ||
             enrol.token.size > FL_LIMIT_TOKEN_TEXT)
        fl_http_problem(exchange, 401, NULL,
                        "the credentials are not a device id and an enrolment token",
                        ASK_FOR_TOKEN);
    else
        ask(est, exchange, request, &enrol);
    fl_buffer_free(&text);
}

void fl_est_reenrol(struct fl_est *est, struct fl_http_exchange *exchange,
                    const struct fl_http_request *request)
{
    const struct fl_cert_info *info = fl_tls_peer(request->tls);
    struct fl_msg_enrol enrol = {0};

    if (!info) /* the hub allows some that have ended, and judges them itself */
        info = fl_tls_ended_peer(request->tls);

    if (!info) {
        fl_http_problem(exchange, 401, NULL,
                        "reenrolment needs the device's present certificate in the TLS handshake",
                        NULL);
        return;
    }
    enrol.device = fl_slice_str(info->name);
    enrol.serial = fl_slice_str(info->serial);
    ask(est, exchange, request, &enrol);
}

/* --- results --- */

static int status_of(enum fl_error error)
{
    /* The request was judged before the hub was asked: what it cannot parse is the token. */
    static const struct {
        enum fl_error error;
        int status;
    } table[] = {
        {FL_EINVAL, 400},  {FL_EPARSE, 401},       {FL_ELIMIT, 400},  {FL_ENOTFOUND, 401},
        {FL_EAUTH, 401},   {FL_EEXPIRED, 401},     {FL_EDENIED, 403}, {FL_ESTATE, 403},
        {FL_EEXISTS, 403}, {FL_EUNSUPPORTED, 400}, {FL_EBUSY, 429},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].error == error)
            return table[i].status;
    return 503;
}

static void answer_refusal(struct fl_http_exchange *exchange,
                           const struct fl_msg_enrol_result *result)
{
    int status = status_of((enum fl_error)result->error);
    char headers[128] = "";
    char detail[513];

    if (status == 401)
        (void)fl_str_copy(headers, sizeof headers, ASK_FOR_TOKEN);
    else if (status == 429 || status == 503)
        (void)snprintf(headers, sizeof headers, "Retry-After: %u\r\n",
                       result->retry_after_s ? result->retry_after_s : 5);
    (void)fl_str_copy_slice(detail, sizeof detail, result->detail);
    fl_http_problem(exchange, status, NULL, detail, headers);
}

void fl_est_result(struct fl_est *est, const struct fl_msg_enrol_result *result)
{
    struct fl_http_exchange *exchange = fl_pending_take(est->pending, result->request);
    struct fl_buffer body = FL_BUFFER((size_t)2 * FL_LIMIT_CERT);
    struct fl_http_response response = {.status = 200,
                                        .content_type =
                                            "application/pkcs7-mime; smime-type=certs-only",
                                        .headers = BASE64_HEADER};
    struct fl_context ctx = {0};

    if (!exchange)
        return;
    if (result->error != FL_OK) {
        answer_refusal(exchange, result);
        return;
    }
    if (wrap(&result->certificate, 1, &body, &ctx) == FL_OK) {
        response.body = fl_buffer_slice(&body);
        fl_http_answer(exchange, &response);
    } else {
        fl_http_problem(exchange, 500, NULL, ctx.text, NULL);
    }
    fl_buffer_free(&body);
}
