/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/nouns.h"
#include "cli/text.h"

static const struct fl_text_column columns[] = {
    {.title = "SEQ", .right = true},     {.title = "AT"},
    {.title = "WHO", .shrink_to = 8},    {.title = "WHAT", .shrink_to = 10},
    {.title = "OBJECT", .shrink_to = 8}, {.title = "DETAIL", .shrink_to = 10, .may_go = true},
};

static void show_row(struct fl_text_table *table, const json_t *r)
{
    struct fl_buffer detail = FL_BUFFER(65536);
    json_t *members = json_object_get(r, "detail");
    const char *text = "";

    if (json_object_size(members) > 0) {
        (void)fl_json_print(members, &detail); /* too long: shown as nothing */
        text = fl_buffer_str(&detail);
    }
    fl_text_table_cell(table, FL_STYLE_NONE, "%lld", (long long)fl_json_int(r, "seq"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%.19s", fl_json_text(r, "at"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(r, "who"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(r, "what"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(r, "object"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", text ? text : "");
    fl_buffer_free(&detail);
}

static const struct fl_cli_option show_options[] = {
    {"after", "SEQ", "only records after this one", NULL, false},
    {"limit", "N", "at most N", NULL, false},
    {0},
};

static enum fl_error run_show(struct fl_cli *cli, struct fl_context *ctx)
{
    static const struct fl_list_show show = {columns, sizeof columns / sizeof columns[0], show_row,
                                             "no records"};
    struct fl_api api = {0};
    struct fl_api_list list = {.path = "/api/v1/audit", .key = "seq"};
    char after[32] = "";
    uint64_t number = 0;
    uint64_t limit = 0;
    enum fl_error e = fl_cli_number(cli, "limit", UINT32_MAX, &limit, ctx);

    if (e == FL_OK)
        e = fl_cli_number(cli, "after", INT64_MAX, &number, ctx);
    if (number)
        (void)snprintf(after, sizeof after, "%llu", (unsigned long long)number);
    list.first_after = after;
    list.limit = limit;
    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK)
        e = fl_list_show(&api, &list, &show, ctx);
    fl_api_close(&api);
    return e;
}

static enum fl_error judge(struct fl_cli *cli, const json_t *answer, struct fl_context *ctx)
{
    const char *detail = fl_json_text(answer, "detail");
    long long broken_at = fl_json_int(answer, "broken_at");

    if (fl_json_true(answer, "valid"))
        return FL_OK;
    fl_cli_hint(cli,
                "records up to %lld are as they were written; keep the database as evidence "
                "and compare it with your last backup",
                broken_at - 1);
    return fl_fail(ctx, FL_EAUTH, "the chain is broken at record %lld%s%s", broken_at,
                   detail[0] ? ": " : "", detail);
}

static enum fl_error run_verify(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    json_t *answer = NULL;
    struct fl_buffer out = FL_BUFFER(65536);
    enum fl_error e = fl_api_open(cli, &api, ctx);

    if (e == FL_OK)
        e = fl_api_call(&api, "GET", "/api/v1/audit/verify", NULL, &answer, ctx);
    if (e == FL_OK && cli->json)
        e = fl_cli_write_json(cli, answer, ctx);
    if (e == FL_OK)
        e = judge(cli, answer, ctx);
    if (e == FL_OK && !cli->json) {
        fl_buffer_printf(&out, "%lld records, every one chained to the one before it\n",
                         (long long)fl_json_int(answer, "records"));
        fl_list_line(&out, "head", "%s", fl_json_text(answer, "head"));
        fl_buffer_append_str(&out, "Keep the head elsewhere: it shows later that nothing was "
                                   "removed from the end.\n");
        e = fl_cli_write(cli, &out, ctx);
    }
    json_decref(answer);
    fl_buffer_free(&out);
    fl_api_close(&api);
    return e;
}

static const struct fl_cli_verb verbs[] = {
    {"audit", "show", "", "show who did what to what, and why", NULL, show_options, run_show, NULL},
    {"audit", "verify", "", "check that no record was changed or removed",
     "Exit code 1 when the chain of hashes is broken.", NULL, run_verify, NULL},
};
const struct fl_cli_verbs fl_cli_audit_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
