/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "cli/file.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/nouns.h"
#include "cli/text.h"

#include <string.h>

static const struct fl_text_column columns[] = {
    {.title = "NAME", .shrink_to = 8},
    {.title = "MAY"},
    {.title = "CREATED"},
    {.title = "EXPIRES"},
    {.title = "LAST USED"},
};

static void list_row(struct fl_text_table *table, const json_t *p)
{
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(p, "name"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s",
                       strcmp(fl_json_text(p, "role"), "metrics") == 0 ? "read metrics" : "all");
    fl_text_table_cell(table, FL_STYLE_NONE, "%.19s", fl_json_text(p, "created"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%.19s", fl_json_text(p, "expires"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%.19s", fl_json_text(p, "last_used"));
}

static enum fl_error run_list(struct fl_cli *cli, struct fl_context *ctx)
{
    static const struct fl_list_show show = {columns, sizeof columns / sizeof columns[0], list_row,
                                             "no administrator has claimed a credential yet"};
    struct fl_api api = {0};
    struct fl_api_list list = {.path = "/api/v1/principals", .key = "name", .one_page = true};
    enum fl_error e = fl_api_open(cli, &api, ctx);

    if (e == FL_OK)
        e = fl_list_show(&api, &list, &show, ctx);
    fl_api_close(&api);
    return e;
}

static enum fl_error run_remove(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    char path[128];
    json_t *answer = NULL;
    const char *name = cli->operands[0];
    struct fl_buffer out = FL_BUFFER(1024);
    enum fl_error e = fl_cli_name(cli, "name", name, ctx);

    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK) {
        (void)snprintf(path, sizeof path, "/api/v1/principals/%s", name);
        e = fl_api_call(&api, "DELETE", path, NULL, &answer, ctx);
    }
    if (e == FL_OK) {
        fl_buffer_printf(&out, cli->json ? "{\"removed\": \"%s\"}\n" : "%s can no longer sign in\n",
                         name);
        e = fl_cli_write(cli, &out, ctx);
    }
    json_decref(answer);
    fl_buffer_free(&out);
    fl_api_close(&api);
    return e;
}

/* Asks for a token with which NAME can be claimed in that role. */
static enum fl_error invite(struct fl_api *api, const char *role, json_t **answer,
                            struct fl_context *ctx)
{
    struct fl_cli *cli = api->cli;
    int64_t ttl_s = FL_LIMIT_TOKEN_TTL_DEFAULT_S;
    json_t *request = NULL;
    enum fl_error e = FL_OK;

    if (strcmp(role, "admin") == 0)
        e = fl_cli_seconds(cli, "ttl", FL_LIMIT_TOKEN_TTL_S, &ttl_s, ctx);
    if (e != FL_OK)
        return e;
    request = json_pack("{s:s, s:s, s:I}", "name", cli->operands[0], "role", role, "ttl_s",
                        (json_int_t)ttl_s);
    e = fl_api_call(api, "POST", "/api/v1/principals", request, answer, ctx);
    json_decref(request);
    return e;
}

static enum fl_error run_invite(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    json_t *answer = NULL;
    struct fl_buffer out = FL_BUFFER(8192);
    enum fl_error e = fl_cli_name(cli, "name", cli->operands[0], ctx);

    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK)
        e = invite(&api, "admin", &answer, ctx);
    if (e == FL_OK && cli->json) {
        e = fl_cli_write_json(cli, answer, ctx);
    } else if (e == FL_OK) {
        (void)fl_buffer_printf(&out,
                               "until %.19s, once, on their machine:\n  fairlead login --token ",
                               fl_json_text(answer, "expires"));
        (void)fl_text_safe(fl_slice_str(fl_json_text(answer, "token")), &out);
        (void)fl_buffer_append_byte(&out, '\n');
        e = fl_cli_write(cli, &out, ctx);
    }
    json_decref(answer);
    fl_buffer_free(&out);
    fl_api_close(&api);
    return e;
}

static enum fl_error claim(struct fl_api *api, const json_t *invitation, json_t **answer,
                           struct fl_context *ctx)
{
    json_t *request = json_pack("{s:s, s:s}", "name", api->cli->operands[0], "token",
                                fl_json_text(invitation, "token"));
    enum fl_error e = fl_api_call(api, "POST", "/api/v1/principals/claim", request, answer, ctx);

    json_decref(request);
    return e;
}

static enum fl_error show_credential(struct fl_cli *cli, json_t *claimed, struct fl_context *ctx)
{
    const char *credential = fl_json_text(claimed, "credential");
    const char *file = fl_cli_option(cli, "out");
    struct fl_buffer out = FL_BUFFER(8192);
    enum fl_error e = FL_OK;

    if (file) {
        e = fl_file_write(file, 0600, fl_slice_str(credential), ctx);
        if (e == FL_OK)
            (void)json_object_del(claimed, "credential");
    }
    if (e == FL_OK && cli->json) {
        e = fl_cli_write_json(cli, claimed, ctx);
    } else if (e == FL_OK) {
        (void)fl_text_safe(fl_slice_str(file ? file : credential), &out);
        (void)fl_buffer_append_str(&out, "\n");
        if (!file)
            (void)fprintf(stderr, "shown once; good until %.10s, for GET /metrics only\n",
                          fl_json_text(claimed, "expires"));
        e = fl_cli_write(cli, &out, ctx);
    }
    fl_buffer_free(&out);
    return e;
}

static enum fl_error run_metrics(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    json_t *invitation = NULL;
    json_t *claimed = NULL;
    enum fl_error e = fl_cli_name(cli, "name", cli->operands[0], ctx);

    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK)
        e = invite(&api, "metrics", &invitation, ctx);
    if (e == FL_OK)
        e = claim(&api, invitation, &claimed, ctx);
    if (e == FL_OK)
        e = show_credential(cli, claimed, ctx);
    json_decref(invitation);
    json_decref(claimed);
    fl_api_close(&api);
    return e;
}

static const struct fl_cli_option invite_options[] = {
    {"ttl", "DURATION", "how long the token is good; 15m", NULL, false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct fl_cli_option metrics_options[] = {
    {"out", "FILE", "write the credential to a file that only you can read", NULL, false},
    {NULL, NULL, NULL, NULL, false},
};

static const struct fl_cli_verb verbs[] = {
    {"admin", "list", "", "list the administrators and when they were last here", NULL, NULL,
     run_list, NULL},
    {"admin", "invite", "NAME", "print a token with which someone becomes an administrator", NULL,
     invite_options, run_invite, NULL},
    {"admin", "metrics", "NAME", "make a credential that may read metrics and nothing else",
     "For a program, Prometheus for example: it is good for a year. 'admin remove NAME' ends it.",
     metrics_options, run_metrics, NULL},
    {"admin", "remove", "NAME", "make an administrator's credential worthless", NULL, NULL,
     run_remove, NULL},
};
const struct fl_cli_verbs fl_cli_admin_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
