/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/device_add.h"

#include "base/limits.h"
#include "cli/api.h"
#include "cli/file.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/qr.h"
#include "cli/text.h"

#include <strings.h>

static bool ends_in(const char *word, const char *ending)
{
    size_t size = strlen(word);
    size_t tail = strlen(ending);

    return size > tail && strcasecmp(word + size - tail, ending) == 0;
}

bool fl_device_is_qr_file(const char *word)
{
    return ends_in(word, ".png") || ends_in(word, ".svg");
}

static enum fl_error check_qr(struct fl_cli *cli, struct fl_context *ctx)
{
    const char *file = fl_cli_option(cli, "qr");

    if (file && *file && !fl_device_is_qr_file(file))
        return fl_cli_usage(cli, ctx, "--qr %s: the file's name must end in .png or .svg", file);
    return FL_OK;
}

static enum fl_error save_qr(const char *file, const char *token, struct fl_context *ctx)
{
    struct fl_qr qr = {0};
    struct fl_buffer image = FL_BUFFER(4L * 1024 * 1024);
    enum fl_error e = fl_qr_make(token, &qr, ctx);

    if (e == FL_OK) {
        e = ends_in(file, ".svg") ? fl_qr_svg(&qr, &image) : fl_qr_png(&qr, 8, &image);
        if (e != FL_OK)
            (void)fl_fail(ctx, e, "%s: cannot be drawn", file);
    }
    if (e == FL_OK) /* it is a secret while it is good */
        e = fl_file_write(file, 0600, fl_buffer_slice(&image), ctx);
    fl_qr_free(&qr);
    fl_buffer_free(&image);
    return e;
}

/* Drawn when asked for, or when a person looks at it and it fits. */
static void draw_qr(const struct fl_cli *cli, const char *token, struct fl_buffer *out)
{
    struct fl_qr qr = {0};
    const char *asked = fl_cli_option(cli, "qr");
    size_t side = 0;

    if (asked ? *asked != 0 : cli->width == 0)
        return;
    if (fl_qr_make(token, &qr, NULL) == FL_OK) {
        side = qr.size + 8;
        if (asked || side <= cli->width) {
            fl_buffer_append_byte(out, '\n');
            if (fl_qr_terminal(&qr, cli->color, out) != FL_OK)
                out->failed = true;
        }
    }
    fl_qr_free(&qr);
}

static enum fl_error show_token(struct fl_cli *cli, const json_t *answer, struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(1024UL * 1024);
    const char *id = fl_json_text(answer, "id");
    const char *token = fl_json_text(answer, "token");
    const char *file = fl_cli_option(cli, "qr");
    char moment[80];
    enum fl_error e = FL_OK;

    fl_list_moment(fl_json_text(answer, "expires"), moment, sizeof moment);
    fl_list_line(&out, "id", "%s", id);
    fl_list_line(&out, "token", "%s", token);
    fl_list_line(&out, "expires", "%s; good once", moment);
    fl_list_line(&out, "enrol at", "%s", fl_json_text(answer, "enrol"));
    if (file && *file)
        fl_list_line(&out, "QR code", "%s", file);
    draw_qr(cli, token, &out);
    fl_buffer_append_str(&out, "\nOn the device:\n  fairlead-agent enrol --token ");
    fl_text_safe(fl_slice_str(token), &out);
    fl_buffer_append_str(&out, " --dir ");
    fl_text_safe(fl_slice_str(id), &out);
    fl_buffer_append_byte(&out, '\n');
    e = fl_cli_write(cli, &out, ctx);
    fl_buffer_free(&out);
    return e;
}

static enum fl_error ask_token(struct fl_cli *cli, const char *path, json_t *request,
                               struct fl_context *ctx)
{
    struct fl_api api = {0};
    json_t *answer = NULL;
    const char *file = fl_cli_option(cli, "qr");
    enum fl_error e = fl_api_open(cli, &api, ctx);

    if (e == FL_OK)
        e = fl_api_call(&api, "POST", path, request, &answer, ctx);
    if (e == FL_OK) /* first, so that a file that cannot be written does not lose the token */
        e = cli->json ? fl_cli_write_json(cli, answer, ctx) : show_token(cli, answer, ctx);
    if (e == FL_OK && file && *file)
        e = save_qr(file, fl_json_text(answer, "token"), ctx);
    json_decref(answer);
    fl_api_close(&api);
    return e;
}

static enum fl_error add_ttl(struct fl_cli *cli, json_t *request, struct fl_context *ctx)
{
    int64_t ttl_s = 0;
    enum fl_error e = fl_cli_seconds(cli, "ttl", FL_LIMIT_TOKEN_TTL_S, &ttl_s, ctx);

    if (e == FL_OK && ttl_s && json_object_set_new(request, "ttl_s", json_integer(ttl_s)) != 0)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    return e;
}

enum fl_error fl_device_run_add(struct fl_cli *cli, struct fl_context *ctx)
{
    const char *profile = fl_cli_option(cli, "profile");
    const char *site = fl_cli_option(cli, "site");
    const char *ek_hash = fl_cli_option(cli, "ek-hash");
    json_t *request = json_object();
    enum fl_error e = fl_cli_name(cli, "device id", cli->operands[0], ctx);

    if (e == FL_OK)
        e = fl_cli_name(cli, "profile name", profile, ctx);
    if (e == FL_OK)
        e = check_qr(cli, ctx);
    if (e == FL_OK)
        e = add_ttl(cli, request, ctx);
    if (e == FL_OK && (json_object_set_new(request, "id", json_string(cli->operands[0])) != 0 ||
                       json_object_set_new(request, "profile", json_string(profile)) != 0 ||
                       (site && json_object_set_new(request, "site", json_string(site)) != 0)))
        e = fl_cli_usage(cli, ctx, "--site: is not UTF-8");
    if (e == FL_OK && ek_hash && json_object_set_new(request, "ek_hash", json_string(ek_hash)) != 0)
        e = fl_cli_usage(cli, ctx, "--ek-hash: is not UTF-8");
    if (e == FL_OK)
        e = ask_token(cli, "/api/v1/devices", request, ctx);
    json_decref(request);
    return e;
}

enum fl_error fl_device_run_token(struct fl_cli *cli, struct fl_context *ctx)
{
    char path[128];
    json_t *request = json_object();
    enum fl_error e = fl_cli_name(cli, "device id", cli->operands[0], ctx);

    if (e == FL_OK)
        e = check_qr(cli, ctx);
    if (e == FL_OK)
        e = add_ttl(cli, request, ctx);
    if (e == FL_OK) {
        (void)snprintf(path, sizeof path, "/api/v1/devices/%s/token", cli->operands[0]);
        e = ask_token(cli, path, request, ctx);
    }
    json_decref(request);
    return e;
}
