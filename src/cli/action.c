/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "base/str.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/nouns.h"
#include "cli/outcome.h"

static const struct fl_text_column columns[] = {
    {.title = "ACTION", .right = true},
    {.title = "DEVICE", .shrink_to = 8},
    {.title = "KIND"},
    {.title = "STATE"},
    {.title = "AT"},
    {.title = "UNTIL", .may_go = true},
    {.title = "BY", .shrink_to = 6},
    {.title = "REASON", .shrink_to = 8, .may_go = true},
};

static void list_row(struct fl_text_table *table, const json_t *a)
{
    const char *state = fl_json_text(a, "state");
    enum fl_text_style style = strcmp(state, "active") == 0 ? FL_STYLE_WARN : FL_STYLE_NONE;

    fl_text_table_cell(table, FL_STYLE_NONE, "%lld", (long long)fl_json_int(a, "id"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(a, "device"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(a, "kind"));
    fl_text_table_cell(table, style, "%s", state);
    fl_text_table_cell(table, FL_STYLE_NONE, "%.19s", fl_json_text(a, "at"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%.19s", fl_json_text(a, "until"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(a, "by"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(a, "reason"));
}

static const struct fl_cli_option list_options[] = {
    {"state", "STATE", "only active, undone or expired ones", NULL, false},
    {"limit", "N", "at most N", NULL, false},
    {0},
};

static enum fl_error run_list(struct fl_cli *cli, struct fl_context *ctx)
{
    static const struct fl_list_show show = {columns, sizeof columns / sizeof columns[0], list_row,
                                             "no actions"};
    struct fl_api api = {0};
    struct fl_buffer path = FL_BUFFER(4096);
    struct fl_api_list list = {.key = "id"};
    uint64_t limit = 0;
    enum fl_error e = fl_cli_number(cli, "limit", UINT32_MAX, &limit, ctx);

    fl_buffer_append_str(&path, "/api/v1/actions");
    fl_api_query(&path, "state", fl_cli_option(cli, "state"));
    list.path = fl_buffer_str(&path);
    list.limit = limit;
    if (e == FL_OK && path.failed)
        e = fl_cli_usage(cli, ctx, "the filter is too long");
    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK)
        e = fl_list_show(&api, &list, &show, ctx);
    fl_api_close(&api);
    fl_buffer_free(&path);
    return e;
}

static const struct fl_cli_option undo_options[] = {
    {"reason", "TEXT", "why; kept in the audit log", NULL, false},
    {0},
};

static enum fl_error run_undo(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    char path[96];
    uint64_t id = 0;
    const char *reason = fl_cli_option(cli, "reason");
    json_t *request = json_object();
    enum fl_error e = FL_OK;

    if (fl_str_to_u64(fl_slice_str(cli->operands[0]), INT64_MAX, &id) != FL_OK) {
        fl_cli_hint(cli, "the actions that there are: fairlead action list");
        e = fl_cli_usage(cli, ctx, "an action is named by its number");
    }
    if (e == FL_OK && reason && json_object_set_new(request, "reason", json_string(reason)) != 0)
        e = fl_cli_usage(cli, ctx, "--reason: is not UTF-8");
    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK) {
        (void)snprintf(path, sizeof path, "/api/v1/actions/%llu/undo", (unsigned long long)id);
        e = fl_outcome_call(&api, path, request, ctx);
    }
    json_decref(request);
    fl_api_close(&api);
    return e;
}

static const struct fl_cli_verb verbs[] = {
    {"action", "list", "", "list what was done to devices", NULL, list_options, run_list, NULL},
    {"action", "undo", "ACTION", "undo an action", NULL, undo_options, run_undo, NULL},
};
const struct fl_cli_verbs fl_cli_action_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
