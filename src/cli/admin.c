/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json.h"
#include "cli/list.h"
#include "cli/nouns.h"

static const struct fl_text_column columns[] = {
    {.title = "NAME", .shrink_to = 8},
    {.title = "CREATED"},
    {.title = "EXPIRES"},
    {.title = "LAST USED"},
};

static void list_row(struct fl_text_table *table, const json_t *p)
{
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(p, "name"));
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

static const struct fl_cli_verb verbs[] = {
    {"admin", "list", "", "list the administrators and when they were last here", NULL, NULL,
     run_list, NULL},
    {"admin", "remove", "NAME", "make an administrator's credential worthless", NULL, NULL,
     run_remove, NULL},
};
const struct fl_cli_verbs fl_cli_admin_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
