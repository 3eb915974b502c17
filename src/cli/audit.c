/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "cli/audit_files.h"
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

/* --- verify --- */

/* No hub runs on the directory: its files say the same. */
static bool is_stopped(const struct fl_api *api, enum fl_error e)
{
    return api->local && (e == FL_ENOTFOUND || e == FL_ECLOSED) && !fl_cli_interrupted;
}

static void say_stopped(struct fl_cli *cli, struct fl_context *ctx)
{
    ctx->text[0] = 0;
    cli->hint[0] = 0;
    (void)fprintf(stderr, "the hub is not running: its files are read as they lie\n");
}

static enum fl_error judge(struct fl_cli *cli, const json_t *answer, struct fl_context *ctx)
{
    const json_t *issuance = json_object_get(answer, "issuance");
    const char *detail = fl_json_text(answer, "detail");
    long long broken_at = fl_json_int(answer, "broken_at");

    if (fl_json_true(answer, "valid"))
        return FL_OK;
    if (broken_at) {
        fl_cli_hint(cli,
                    "records up to %lld are as they were written; keep the database as evidence "
                    "and compare it with your last backup",
                    broken_at - 1);
        return fl_fail(ctx, FL_EAUTH, "the chain is broken at record %lld%s%s", broken_at,
                       detail[0] ? ": " : "", detail);
    }
    detail = fl_json_text(issuance, "detail");
    fl_cli_hint(cli, "keep DIR/keys/issued and the database as evidence; see "
                     "docs/operate/issuance-log.md");
    if (detail[0])
        return fl_fail(ctx, FL_EAUTH, "the issuance log is broken: %s", detail);
    return fl_fail(ctx, FL_EAUTH,
                   "issuance log and registry disagree: %lld certificates that this hub does not "
                   "know, %lld that the signer did not record",
                   (long long)fl_json_int(issuance, "unknown"),
                   (long long)fl_json_int(issuance, "missing"));
}

static void tell_issuance(const json_t *issuance, struct fl_buffer *out)
{
    long long older = fl_json_int(issuance, "older");
    const json_t *finding = NULL;
    size_t i = 0;

    fl_buffer_printf(out,
                     "%lld records in the issuance log, every one chained to the one before "
                     "it\n",
                     (long long)fl_json_int(issuance, "last") -
                         (long long)fl_json_int(issuance, "first") +
                         (fl_json_int(issuance, "last") > 0));
    fl_list_line(out, "records", "%lld to %lld", (long long)fl_json_int(issuance, "first"),
                 (long long)fl_json_int(issuance, "last"));
    fl_list_line(out, "certificates", "%lld of devices, %lld of the front; %lld requests refused",
                 (long long)fl_json_int(issuance, "devices"),
                 (long long)fl_json_int(issuance, "servers"),
                 (long long)fl_json_int(issuance, "refused"));
    fl_list_line(out, "signed", "up to record %lld, %s",
                 (long long)fl_json_int(issuance, "signed_to"),
                 fl_json_text(issuance, "signed_at")[0] ? fl_json_text(issuance, "signed_at")
                                                        : "no checkpoint yet");
    fl_list_line(out, "head", "%s", fl_json_text(issuance, "head"));
    if (older)
        fl_list_line(out, "older", "%lld certificates are from before its first record", older);
    json_array_foreach(json_object_get(issuance, "findings"), i, finding)
    {
        fl_text_safe(fl_slice_str(json_string_value(finding)), out);
        fl_buffer_append_byte(out, '\n');
    }
}

static enum fl_error tell(struct fl_cli *cli, const json_t *answer, struct fl_context *ctx)
{
    const json_t *issuance = json_object_get(answer, "issuance");
    struct fl_buffer out = FL_BUFFER(65536);
    enum fl_error e = FL_OK;

    if (!fl_json_int(answer, "broken_at")) {
        fl_buffer_printf(&out, "%lld records, every one chained to the one before it\n",
                         (long long)fl_json_int(answer, "records"));
        fl_list_line(&out, "head", "%s", fl_json_text(answer, "head"));
    }
    if (json_is_object(issuance) && !fl_json_text(issuance, "detail")[0])
        tell_issuance(issuance, &out);
    if (fl_json_true(answer, "valid"))
        fl_buffer_append_str(&out, "Keep the heads elsewhere: they show later that nothing was "
                                   "removed from the end.\n");
    e = fl_cli_write(cli, &out, ctx);
    fl_buffer_free(&out);
    return e;
}

static enum fl_error run_verify(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    json_t *answer = NULL;
    enum fl_error e = fl_api_open(cli, &api, ctx);

    if (e == FL_OK)
        e = fl_api_call(&api, "GET", "/api/v1/audit/verify", NULL, &answer, ctx);
    if (is_stopped(&api, e)) {
        say_stopped(cli, ctx);
        e = fl_audit_files_verify(api.directory, &answer, ctx);
    }
    if (e == FL_OK)
        e = cli->json ? fl_cli_write_json(cli, answer, ctx) : tell(cli, answer, ctx);
    if (e == FL_OK)
        e = judge(cli, answer, ctx);
    json_decref(answer);
    fl_api_close(&api);
    return e;
}

/* --- issued --- */

static const struct fl_text_column issued_columns[] = {
    {.title = "SEQ", .right = true},
    {.title = "AT"},
    {.title = "KIND"},
    {.title = "SUBJECT", .shrink_to = 10},
    {.title = "SERIAL", .shrink_to = 8},
    {.title = "UNTIL"},
    {.title = "REASON", .shrink_to = 10, .may_go = true},
};

static void issued_row(struct fl_text_table *table, const json_t *r)
{
    const char *detail = fl_json_text(r, "detail");

    fl_text_table_cell(table, FL_STYLE_NONE, "%lld", (long long)fl_json_int(r, "seq"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%.19s", fl_json_text(r, "at"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(r, "kind"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(r, "subject"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(r, "serial"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%.19s", fl_json_text(r, "not_after"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", detail[0] ? detail : fl_json_text(r, "reason"));
}

static const struct fl_cli_option issued_options[] = {
    {"since", "TIME", "not before this time, or this duration ago", NULL, false},
    {"device", "ID", "only certificates and refusals of this device", NULL, false},
    {"after", "SEQ", "only records after this one", NULL, false},
    {"limit", "N", "at most N", NULL, false},
    {0},
};

static enum fl_error
each_of_files(void *self, enum fl_error (*visit)(void *to, json_t *row, struct fl_context *ctx),
              void *to, struct fl_context *ctx)
{
    return fl_audit_files_issued(self, visit, to, ctx);
}

static enum fl_error read_issued(struct fl_cli *cli, struct fl_audit_files_query *query,
                                 struct fl_context *ctx)
{
    enum fl_error e = fl_cli_number(cli, "limit", UINT32_MAX, &query->limit, ctx);

    if (e == FL_OK)
        e = fl_cli_number(cli, "after", INT64_MAX, &query->after, ctx);
    if (e == FL_OK)
        e = fl_cli_moment(cli, "since", fl_cli_now(), &query->since, ctx);
    query->device = fl_cli_option(cli, "device");
    if (e == FL_OK && query->device)
        e = fl_cli_name(cli, "a device", query->device, ctx);
    return e;
}

static enum fl_error show_issued(struct fl_api *api, struct fl_audit_files_query *query,
                                 struct fl_context *ctx)
{
    static const struct fl_list_show show = {issued_columns,
                                             sizeof issued_columns / sizeof issued_columns[0],
                                             issued_row, "no such records"};
    const struct fl_list_rows files = {each_of_files, query};
    struct fl_buffer path = FL_BUFFER(4096);
    struct fl_api_list list = {.key = "seq", .limit = query->limit};
    char after[32] = "";
    char since[FL_TIME_TEXT_MAX] = "";
    json_t *health = NULL;
    enum fl_error e = fl_api_call(api, "GET", "/api/v1/health", NULL, &health, ctx);

    json_decref(health);
    if (is_stopped(api, e)) {
        say_stopped(api->cli, ctx);
        query->directory = api->directory;
        return fl_list_show_rows(api->cli, &files, &show, ctx);
    }
    if (query->since)
        fl_time_format(query->since, since);
    fl_buffer_append_str(&path, "/api/v1/issued");
    fl_api_query(&path, "device", query->device);
    fl_api_query(&path, "since", since[0] ? since : NULL);
    (void)snprintf(after, sizeof after, "%llu", (unsigned long long)query->after);
    list.first_after = query->after ? after : "";
    list.path = fl_buffer_str(&path);
    if (e == FL_OK)
        e = fl_list_show(api, &list, &show, ctx);
    fl_buffer_free(&path);
    return e;
}

static enum fl_error run_issued(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    struct fl_audit_files_query query = {0};
    enum fl_error e = read_issued(cli, &query, ctx);

    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK)
        e = show_issued(&api, &query, ctx);
    fl_api_close(&api);
    return e;
}

static const struct fl_cli_verb verbs[] = {
    {"audit", "show", "", "show who did what to what, and why", NULL, show_options, run_show, NULL},
    {"audit", "issued", "", "show what the signer signed and refused",
     "From the signer's own log, which it writes before a certificate leaves it. On a directory "
     "whose\nhub is not running, the files are read.",
     issued_options, run_issued, NULL},
    {"audit", "verify", "", "check that no record was changed or removed",
     "Both logs: what was done (audit) and what the signer issued; and that the registry has "
     "every\n"
     "certificate that the signer issued, and no other. On a directory whose hub is not running, "
     "the\nfiles are read. Exit code 1 when a chain is broken or the two disagree.",
     NULL, run_verify, NULL},
};
const struct fl_cli_verbs fl_cli_audit_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
