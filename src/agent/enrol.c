/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/enrol.h"

#include "base/base64.h"
#include "io/http_client.h"

#include <ctype.h>
#include <stdio.h>

struct enrolment {
    const struct fl_token *token;
    char url[FL_LIMIT_HOST + 32];
    char password[FL_LIMIT_TOKEN_TEXT + 1];
    EVP_PKEY *key;
    fl_time_t now;
    struct fl_self *identity;
    struct fl_cert_info *info;
};

static enum fl_error refused(const struct fl_http_reply *reply, const char *device,
                             struct fl_context *ctx)
{
    char words[256];

    fl_enrol_words(fl_buffer_slice(&reply->body), words);
    if (reply->status == 401)
        return fl_fail(
            ctx, FL_EAUTH,
            "the hub refused the token for '%s' (%s): a token is good once and for a short "
            "time; ask for a new one",
            device, words);
    if (reply->status == 429)
        return fl_fail(ctx, FL_EBUSY, "the hub has had too many failed attempts; try again in %u s",
                       reply->retry_after_s ? reply->retry_after_s : 60);
    if (reply->status == 202)
        return fl_fail(ctx, FL_ESTATE,
                       "the hub wants a person to approve this request; try again in %u s",
                       reply->retry_after_s);
    return fl_fail(ctx, FL_EDENIED, "the hub refused the enrolment (HTTP %d: %s)", reply->status,
                   words);
}

static enum fl_error first_contact(struct enrolment *e, struct fl_context *ctx)
{
    const struct fl_http_client_options options = {
        .url = e->url, .insecure_first_contact = true, .body_max = FL_LIMIT_CHAIN};
    const struct fl_http_call call = {.method = "GET", .path = "/.well-known/est/cacerts"};
    struct fl_http_client *client = NULL;
    struct fl_http_reply reply = {0};
    enum fl_error error = fl_http_client_open(&options, &client, ctx);

    if (!error)
        error = fl_http_client_call(client, &call, &reply, ctx);
    if (!error && reply.status != 200)
        error = fl_fail(ctx, FL_EIO, "it does not give its CA certificates (HTTP %d): is it a hub?",
                        reply.status);
    if (!error)
        error = fl_enrol_pick_root(fl_buffer_slice(&reply.body), e->token->root_sha256,
                                   &e->identity->ca_pem, &e->identity->chain_pem, ctx);
    fl_http_reply_free(&reply);
    fl_http_client_close(client);
    return error;
}

static enum fl_error make_request(struct enrolment *e, struct fl_buffer *body,
                                  struct fl_context *ctx)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CSR);
    enum fl_error error = fl_csr_create(e->key, e->token->id, &der, ctx);

    if (!error)
        error = fl_base64_encode(fl_buffer_slice(&der), 64, body);
    fl_buffer_free(&der);
    return error;
}

static enum fl_error ask(struct enrolment *e, struct fl_context *ctx)
{
    struct fl_http_client_options options = {.url = e->url,
                                             .ca_pem = fl_buffer_slice(&e->identity->ca_pem),
                                             .user = e->token->id,
                                             .password = e->password,
                                             .body_max = FL_LIMIT_CHAIN};
    struct fl_http_call call = {.method = "POST",
                                .path = "/.well-known/est/simpleenroll",
                                .content_type = "application/pkcs10"};
    struct fl_buffer body = FL_BUFFER((size_t)2 * FL_LIMIT_CSR);
    struct fl_http_client *client = NULL;
    struct fl_http_reply reply = {0};
    enum fl_error error = make_request(e, &body, ctx);

    if (!error)
        error = fl_http_client_open(&options, &client, ctx);
    if (!error) {
        call.body = fl_buffer_slice(&body);
        error = fl_http_client_call(client, &call, &reply, ctx);
    }
    if (!error && reply.status != 200)
        error = refused(&reply, e->token->id, ctx);
    if (!error)
        error = fl_enrol_accept(fl_buffer_slice(&reply.body), e->key, e->token->id,
                                fl_buffer_slice(&e->identity->ca_pem),
                                fl_buffer_slice(&e->identity->chain_pem), e->now,
                                &e->identity->cert_pem, e->info, ctx);
    fl_http_reply_free(&reply);
    fl_http_client_close(client);
    fl_buffer_free(&body);
    return error;
}

/* The password is the token as it was given, without the white space around it. */
static bool copy_password(struct enrolment *e, struct fl_slice text)
{
    while (text.size && isspace(text.data[0]))
        text = fl_slice_from(text, 1);
    while (text.size && isspace(text.data[text.size - 1]))
        text.size--;
    return fl_str_copy_slice(e->password, sizeof e->password, text);
}

enum fl_error fl_enrol(const struct fl_token *token, struct fl_slice token_text, EVP_PKEY *key,
                       fl_time_t now, struct fl_self *identity, struct fl_cert_info *info,
                       struct fl_context *ctx)
{
    struct fl_cert_info unwanted = {0};
    struct enrolment e = {.token = token,
                          .key = key,
                          .now = now,
                          .identity = identity,
                          .info = info ? info : &unwanted};
    bool six = strchr(token->host, ':') != NULL;
    enum fl_error error = fl_enrol_token(token, now, ctx);

    if (error)
        return error;
    (void)snprintf(e.url, sizeof e.url, "https://%s%s%s:%u", six ? "[" : "", token->host,
                   six ? "]" : "", token->https_port);
    if (!copy_password(&e, token_text))
        return fl_fail(ctx, FL_ELIMIT, "the token is too long");
    (void)fl_str_copy(identity->device, sizeof identity->device, token->id);
    (void)fl_str_copy(identity->host, sizeof identity->host, token->host);
    identity->https_port = token->https_port;
    identity->mqtt_port = token->mqtt_port;
    error = first_contact(&e, ctx);
    if (error)
        error = fl_fail_in(ctx, error, "first contact with %s", e.url);
    else
        error = fl_fail_in(ctx, ask(&e, ctx), "enrolment at %s", e.url);
    explicit_bzero(e.password, sizeof e.password);
    return error;
}
