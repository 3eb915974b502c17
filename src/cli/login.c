/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/api.h"
#include "cli/file.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/login_store.h"
#include "cli/nouns.h"

#include "base/base64.h"
#include "codec/token.h"
#include "trust/cert.h"
#include "trust/key.h"

/* From the command line, or "-": from stdin, so that it is not in the list of processes. */
static enum fl_error read_token(struct fl_cli *cli, struct fl_token *token, struct fl_buffer *text,
                                struct fl_context *ctx)
{
    const char *word = fl_cli_option(cli, "token");
    enum fl_error e = FL_OK;

    if (strcmp(word, "-") == 0)
        e = fl_file_read("-", text, ctx);
    else if (fl_buffer_append_str(text, word) != FL_OK)
        e = fl_fail(ctx, FL_ELIMIT, "--token: too long");
    while (text->size > 0 && strchr("\r\n \t", text->data[text->start + text->size - 1]))
        text->size--;
    if (e == FL_OK)
        e = fl_token_decode(fl_buffer_slice(text), token, ctx);
    if (e == FL_OK && token->kind != FL_TOKEN_PRINCIPAL) {
        fl_cli_hint(cli, "on the device: fairlead-agent enrol --token TOKEN --dir DIR");
        e = fl_fail(ctx, FL_EINVAL, "this token enrols the device %s; it is not for a person",
                    token->id);
    }
    return e;
}

/* Looks for the root whose hash the token carries. */
struct search {
    const uint8_t *sha256;
    struct fl_buffer *pem;
    struct fl_context *ctx;
};

static enum fl_error visit_certificate(void *to, struct fl_slice der)
{
    struct search *s = to;
    uint8_t digest[FL_SHA256_SIZE];

    fl_sha256(der, digest);
    if (s->pem->size > 0 || memcmp(digest, s->sha256, sizeof digest) != 0)
        return FL_OK;
    return fl_cert_to_pem(der, s->pem, s->ctx);
}

/* The first contact: nothing that comes back is believed but the certificate of the known hash. */
static enum fl_error fetch_root(struct fl_cli *cli, const char *url, const struct fl_token *token,
                                struct fl_buffer *pem, struct fl_context *ctx)
{
    const struct fl_http_client_options options = {.url = url, .insecure_first_contact = true};
    const struct fl_http_call call = {.method = "GET", .path = "/.well-known/est/cacerts"};
    struct search search = {.sha256 = token->root_sha256, .pem = pem, .ctx = ctx};
    struct fl_http_client *client = NULL;
    struct fl_http_reply reply = {0};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CHAIN);
    enum fl_error e = fl_http_client_open(&options, &client, ctx);

    if (e == FL_OK)
        e = fl_http_client_call(client, &call, &reply, ctx);
    if (e != FL_OK)
        fl_cli_hint(cli, "is the hub running, and does a firewall let its HTTPS port through?");
    if (e == FL_OK &&
        (reply.status != 200 || fl_base64_decode(fl_buffer_slice(&reply.body), &der) != FL_OK ||
         fl_pkcs7_each(fl_buffer_slice(&der), visit_certificate, &search, ctx) != FL_OK))
        e = fl_fail(ctx, FL_EPARSE, "%s: whoever answers there is not a hub", url);
    if (e == FL_OK && pem->size == 0) {
        fl_cli_hint(cli, "do not go on: either the token is of another hub, or someone stands "
                         "between you and yours");
        e = fl_fail(ctx, FL_EAUTH, "%s: does not show the root certificate that the token names",
                    url);
    }
    fl_http_client_close(client);
    fl_http_reply_free(&reply);
    fl_buffer_free(&der);
    return e;
}

/* The address: as typed, or as the token says. */
static enum fl_error find_url(struct fl_cli *cli, const struct fl_token *token,
                              char url[FL_LIMIT_HOST + 32], struct fl_context *ctx)
{
    char typed[FL_LIMIT_HOST + 32];
    bool is_v6 = strchr(token->host, ':') != NULL;
    enum fl_error e = FL_OK;

    if (cli->operand_count > 0) {
        e = fl_login_url(cli->operands[0], url, ctx);
        cli->usage = e != FL_OK;
        return e;
    }
    (void)snprintf(typed, sizeof typed, "https://%s%s%s:%u", is_v6 ? "[" : "", token->host,
                   is_v6 ? "]" : "", token->https_port);
    return fl_login_url(typed, url, ctx);
}

static enum fl_error claim(struct fl_cli *cli, struct fl_login *login, const char *token,
                           struct fl_context *ctx)
{
    struct fl_api api = {.cli = cli};
    const struct fl_http_client_options options = {.url = login->url,
                                                   .ca_pem = fl_slice_str(login->ca_pem)};
    json_t *request = json_pack("{s:s, s:s}", "token", token, "name", login->name);
    json_t *answer = NULL;
    enum fl_error e = FL_OK;

    (void)fl_str_copy(api.url, sizeof api.url, login->url);
    e = fl_http_client_open(&options, &api.client, ctx);
    if (e == FL_OK)
        e = fl_api_call(&api, "POST", "/api/v1/principals/claim", request, &answer, ctx);
    if (e == FL_EAUTH) {
        cli->hint[0] = 0;
        fl_cli_hint(cli, "a token is good once and for a short time");
    }
    if (e == FL_OK &&
        (!fl_str_copy(login->credential, sizeof login->credential,
                      fl_json_text(answer, "credential")) ||
         !fl_str_copy(login->expires, sizeof login->expires, fl_json_text(answer, "expires")) ||
         !login->credential[0]))
        e = fl_fail(ctx, FL_EPARSE, "%s: the answer holds no credential", login->url);
    json_decref(request);
    json_decref(answer);
    fl_api_close(&api);
    return e;
}

static enum fl_error say_done(struct fl_cli *cli, const struct fl_login *login,
                              struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(8192);
    char moment[80];
    json_t *object = NULL;
    enum fl_error e = FL_OK;

    if (cli->json) {
        object = json_pack("{s:s, s:s, s:s}", "url", login->url, "name", login->name, "expires",
                           login->expires);
        e = object ? fl_cli_write_json(cli, object, ctx) : fl_fail(ctx, FL_ENOMEM, "out of memory");
    } else {
        fl_list_moment(login->expires, moment, sizeof moment);
        fl_buffer_printf(&out, "You are %s at %s.\n", login->name, login->url);
        fl_list_line(&out, "expires", "%s", moment);
        fl_buffer_printf(&out, "Go on with: fairlead --hub %s device list\n", login->url);
        e = fl_cli_write(cli, &out, ctx);
    }
    json_decref(object);
    fl_buffer_free(&out);
    return e;
}

static enum fl_error run_login(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_token token = {0};
    struct fl_login login = {0};
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
    struct fl_buffer pem = FL_BUFFER(sizeof login.ca_pem - 1);
    const char *name = fl_cli_option(cli, "name");
    enum fl_error e = name ? fl_cli_name(cli, "name", name, ctx) : FL_OK;

    if (e == FL_OK)
        e = read_token(cli, &token, &text, ctx);
    if (e == FL_OK)
        e = find_url(cli, &token, login.url, ctx);
    if (e == FL_OK)
        e = fetch_root(cli, login.url, &token, &pem, ctx);
    if (e == FL_OK) {
        (void)fl_str_copy_slice(login.ca_pem, sizeof login.ca_pem, fl_buffer_slice(&pem));
        (void)fl_str_copy(login.name, sizeof login.name, name ? name : token.id);
        e = claim(cli, &login, fl_buffer_str(&text), ctx);
    }
    if (e == FL_OK)
        e = fl_login_save(&login, ctx);
    if (e == FL_OK)
        e = say_done(cli, &login, ctx);
    explicit_bzero(&token, sizeof token);
    fl_login_wipe(&login);
    fl_buffer_free(&text);
    fl_buffer_free(&pem);
    return e;
}

static const struct fl_cli_option options[] = {
    {"token", "TOKEN", "the one-time token; - reads it from stdin", NULL, true},
    {"name", "NAME", "your name in the audit log (the token's)", NULL, false},
    {0},
};

static const struct fl_cli_verb verbs[] = {
    {"login", NULL, "[URL]", "claim an administrator's credential, for use from this machine",
     "The token says where the hub is and which root certificate it must show; give URL when it "
     "is\n"
     "reached at another address from here. The credential is kept in ~/.config/fairlead (0600).",
     options, run_login, NULL},
};
const struct fl_cli_verbs fl_cli_login_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
