/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/api.h"
#include "cli/file.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/nouns.h"
#include "cli/text.h"

#include "base/str.h"
#include "codec/profile.h"
#include "trust/key.h"
#include "trust/profile_sign.h"

#include <stdlib.h>

static enum fl_error load(struct fl_cli *cli, struct fl_buffer *text, struct fl_profile *profile,
                          struct fl_context *ctx)
{
    const char *file = cli->operands[0];
    enum fl_error e = fl_file_read(file, text, ctx);

    if (e == FL_OK)
        e = fl_profile_parse(fl_buffer_slice(text), file, profile, ctx);
    return e;
}

static enum fl_error print_object(struct fl_cli *cli, json_t *object, struct fl_context *ctx)
{
    enum fl_error e =
        object ? fl_cli_write_json(cli, object, ctx) : fl_fail(ctx, FL_ENOMEM, "out of memory");

    json_decref(object);
    return e;
}

static enum fl_error run_lint(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    struct fl_buffer out = FL_BUFFER(8192);
    struct fl_profile p = {0};
    enum fl_error e = load(cli, &text, &p, ctx);
    struct fl_context ignored = {0};

    if (e != FL_OK && cli->json && ctx->text[0])
        (void)print_object(
            cli,
            json_pack("{s:s, s:b, s:s}", "file", cli->operands[0], "valid", 0, "error", ctx->text),
            &ignored); /* the error itself is what is returned */
    if (e == FL_OK && cli->json)
        e = print_object(cli,
                         json_pack("{s:s, s:b, s:s, s:I, s:b}", "file", cli->operands[0], "valid",
                                   1, "name", p.name, "version", (json_int_t)p.version, "signed",
                                   p.is_signed),
                         ctx);
    else if (e == FL_OK) {
        fl_text_safe(fl_slice_str(cli->operands[0]), &out);
        fl_buffer_printf(&out, ": right: profile %s version %llu, %zu streams, %s\n", p.name,
                         (unsigned long long)p.version, p.stream_count,
                         p.is_signed ? "signed" : "not signed");
        e = fl_cli_write(cli, &out, ctx);
    }
    fl_profile_free(&p);
    fl_buffer_free(&text);
    fl_buffer_free(&out);
    return e;
}

/* --key, or the key that `fairlead init` made in the hub's directory. */
static enum fl_error key_path(struct fl_cli *cli, char path[FL_CLI_PATH_MAX],
                              struct fl_context *ctx)
{
    const char *key = fl_cli_option(cli, "key");
    const char *directory = NULL;
    enum fl_error e = FL_OK;

    if (key) {
        if (!fl_str_copy(path, FL_CLI_PATH_MAX, key))
            return fl_cli_usage(cli, ctx, "--key: the path is too long");
        return FL_OK;
    }
    e = fl_api_directory(cli, &directory, ctx);
    if (e != FL_OK) {
        cli->hint[0] = 0;
        fl_cli_hint(cli, "name the key: --key FILE, or the hub whose operator/profile.key it is: "
                         "--hub DIR");
        return fl_cli_usage(cli, ctx, "which key is to sign?");
    }
    return fl_file_path(path, directory, "operator/profile.key", ctx);
}

static enum fl_error load_key(struct fl_cli *cli, EVP_PKEY **key, struct fl_context *ctx)
{
    char path[FL_CLI_PATH_MAX];
    struct fl_buffer pem = FL_BUFFER(65536);
    const char *passphrase = getenv("FAIRLEAD_PASSPHRASE");
    enum fl_error e = key_path(cli, path, ctx);

    if (e == FL_OK)
        e = fl_file_read(path, &pem, ctx);
    if (e == FL_OK) {
        e = fl_key_from_pem(fl_buffer_slice(&pem), passphrase, key, ctx);
        if (e == FL_EAUTH)
            fl_cli_hint(cli, "give its passphrase in FAIRLEAD_PASSPHRASE");
        e = fl_fail_in(ctx, e, "%s", path);
    }
    fl_buffer_free(&pem);
    return e;
}

static enum fl_error write_signed(struct fl_cli *cli, const struct fl_profile *p,
                                  struct fl_slice text, EVP_PKEY *key, struct fl_context *ctx)
{
    /* Signing anew is signing what the old signature covered, or everything. */
    struct fl_slice plain = p->is_signed ? p->signed_text : text;
    struct fl_buffer made = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    struct fl_buffer out = FL_BUFFER(8192);
    char id[FL_KEY_ID_TEXT] = "";
    bool to_stdout = strcmp(cli->operands[0], "-") == 0;
    enum fl_error e = fl_profile_sign(plain, key, &made, ctx);

    if (e == FL_OK && fl_key_id(key, id) != FL_OK)
        e = fl_fail(ctx, FL_ECRYPTO, "the key has no id");
    if (e == FL_OK && to_stdout)
        e = fl_cli_write(cli, &made, ctx);
    else if (e == FL_OK)
        e = fl_file_write(cli->operands[0], 0644, fl_buffer_slice(&made), ctx);
    if (e == FL_OK && !to_stdout && cli->json)
        e = print_object(
            cli,
            json_pack("{s:s, s:s, s:s}", "file", cli->operands[0], "name", p->name, "key_id", id),
            ctx);
    else if (e == FL_OK && !to_stdout) {
        fl_text_safe(fl_slice_str(cli->operands[0]), &out);
        fl_buffer_printf(&out, ": signed with the key %s\n", id);
        e = fl_cli_write(cli, &out, ctx);
    }
    fl_buffer_free(&made);
    fl_buffer_free(&out);
    return e;
}

static enum fl_error run_sign(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    struct fl_profile profile = {0};
    EVP_PKEY *key = NULL;
    enum fl_error e = load(cli, &text, &profile, ctx);

    if (e == FL_OK)
        e = load_key(cli, &key, ctx);
    if (e == FL_OK)
        e = write_signed(cli, &profile, fl_buffer_slice(&text), key, ctx);
    EVP_PKEY_free(key);
    fl_profile_free(&profile);
    fl_buffer_free(&text);
    return e;
}

static enum fl_error send_profile(struct fl_cli *cli, struct fl_slice text, struct fl_context *ctx)
{
    struct fl_api api = {0};
    struct fl_buffer out = FL_BUFFER(8192);
    json_t *request = json_pack("{s:s%}", "text", (const char *)text.data, (size_t)text.size);
    json_t *answer = NULL;
    enum fl_error e = FL_OK;

    if (!request)
        return fl_fail(ctx, FL_EPARSE, "%s: is not UTF-8", cli->operands[0]);
    e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK)
        e = fl_api_call(&api, "POST", "/api/v1/profiles", request, &answer, ctx);
    if (e == FL_OK && cli->json) {
        e = fl_cli_write_json(cli, answer, ctx);
    } else if (e == FL_OK) {
        fl_buffer_printf(&out, "the hub has the profile ");
        fl_text_safe(fl_slice_str(fl_json_text(answer, "name")), &out);
        fl_buffer_printf(&out, " version %lld\n", (long long)fl_json_int(answer, "version"));
        e = fl_cli_write(cli, &out, ctx);
    }
    json_decref(request);
    json_decref(answer);
    fl_buffer_free(&out);
    fl_api_close(&api);
    return e;
}

static enum fl_error run_add(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    struct fl_profile profile = {0};
    enum fl_error e = load(cli, &text, &profile, ctx);

    if (e == FL_OK && !profile.is_signed) {
        fl_cli_hint(cli, "sign it first: fairlead profile sign %s", cli->operands[0]);
        e = fl_fail(ctx, FL_EAUTH, "%s: is not signed", cli->operands[0]);
    }
    if (e == FL_OK)
        e = send_profile(cli, fl_buffer_slice(&text), ctx);
    fl_profile_free(&profile);
    fl_buffer_free(&text);
    return e;
}

static const struct fl_text_column columns[] = {
    {.title = "NAME", .shrink_to = 8},
    {.title = "VERSION", .right = true},
    {.title = "STATE"},
    {.title = "STREAMS", .right = true},
    {.title = "TITLE", .shrink_to = 10},
    {.title = "SUPPORT UNTIL", .may_go = true},
    {.title = "SIGNED BY", .may_go = true},
};

static void list_row(struct fl_text_table *table, const json_t *p)
{
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(p, "name"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%lld", (long long)fl_json_int(p, "version"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(p, "state"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%zu", json_array_size(json_object_get(p, "streams")));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(p, "title"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%.10s", fl_json_text(p, "support_until"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(p, "key_id"));
}

static enum fl_error run_list(struct fl_cli *cli, struct fl_context *ctx)
{
    static const struct fl_list_show show = {
        columns, sizeof columns / sizeof columns[0], list_row,
        "no profiles yet; to add one: fairlead profile add FILE"};
    struct fl_api api = {0};
    struct fl_api_list list = {.path = "/api/v1/profiles", .key = "name", .one_page = true};
    enum fl_error e = fl_api_open(cli, &api, ctx);

    if (e == FL_OK)
        e = fl_list_show(&api, &list, &show, ctx);
    fl_api_close(&api);
    return e;
}

/* On a terminal made harmless; into a file or a pipe byte for byte, so that the signature holds. */
static void plain_text(const struct fl_cli *cli, const char *text, struct fl_buffer *out)
{
    struct fl_slice rest = fl_slice_str(text);
    struct fl_slice line;

    if (!cli->width) {
        fl_buffer_append_slice(out, rest);
        return;
    }
    while (rest.size > 0) {
        bool more = fl_slice_cut(&rest, '\n', &line);
        fl_text_safe(line, out);
        if (more)
            fl_buffer_append_byte(out, '\n');
    }
}

static enum fl_error run_show(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    struct fl_buffer out = FL_BUFFER(8L * FL_LIMIT_PROFILE_SIZE);
    char path[128];
    json_t *profile = NULL;
    enum fl_error e = fl_cli_name(cli, "profile name", cli->operands[0], ctx);

    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK) {
        (void)snprintf(path, sizeof path, "/api/v1/profiles/%s", cli->operands[0]);
        e = fl_api_call(&api, "GET", path, NULL, &profile, ctx);
    }
    if (e == FL_OK && cli->json) {
        e = fl_cli_write_json(cli, profile, ctx);
    } else if (e == FL_OK) {
        plain_text(cli, fl_json_text(profile, "text"), &out);
        e = fl_cli_write(cli, &out, ctx);
    }
    json_decref(profile);
    fl_buffer_free(&out);
    fl_api_close(&api);
    return e;
}

static const struct fl_cli_option sign_options[] = {
    {"key", "FILE", "the signing key (DIR/operator/profile.key of --hub DIR)", NULL, false},
    {0},
};

static const struct fl_cli_verb verbs[] = {
    {"profile", "lint", "FILE", "check a profile; errors name file, line and column", NULL, NULL,
     run_lint, NULL},
    {"profile", "sign", "FILE", "add a signature as the last line, or replace it",
     "The file is replaced; - reads stdin and writes stdout. The passphrase of a sealed key comes\n"
     "from FAIRLEAD_PASSPHRASE.",
     sign_options, run_sign, NULL},
    {"profile", "add", "FILE", "give a signed profile to the hub", NULL, NULL, run_add, NULL},
    {"profile", "list", "", "list the hub's profiles", NULL, NULL, run_list, NULL},
    {"profile", "show", "NAME", "print a profile as it was signed", NULL, NULL, run_show, NULL},
};
const struct fl_cli_verbs fl_cli_profile_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
