/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/api.h"

#include "base/limits.h"
#include "base/str.h"
#include "cli/file.h"
#include "cli/json.h"
#include "cli/login_store.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_MAX (32UL * 1024 * 1024)
#define SOCKET "run/hub.sock"

static bool is_url(const char *hub)
{
    return strstr(hub, "://") != NULL;
}

static enum fl_error no_hub(struct fl_cli *cli, struct fl_context *ctx, enum fl_error e)
{
    fl_cli_hint(cli, "on the hub's machine: fairlead --hub DIR ... or FAIRLEAD_HUB=DIR");
    if (e == FL_EBUSY)
        fl_cli_hint(cli, "from elsewhere: fairlead --hub https://HOST:PORT ...");
    else
        fl_cli_hint(cli, "from elsewhere: fairlead login --token TOKEN, once\n"
                         "a new hub: fairlead init DIR");
    return ctx->text[0] ? e : fl_fail(ctx, e, "no hub is named");
}

enum fl_error fl_api_directory(struct fl_cli *cli, const char **directory, struct fl_context *ctx)
{
    if (!cli->hub || !*cli->hub || is_url(cli->hub)) {
        cli->usage = true;
        fl_cli_hint(cli, "name the hub's directory: --hub DIR or FAIRLEAD_HUB=DIR");
        return fl_fail(ctx, FL_EINVAL, "this works on a hub's own files, on its machine");
    }
    *directory = cli->hub;
    return FL_OK;
}

/* Why `path` cannot be used by whoever runs this. */
static void permission_hint(struct fl_cli *cli, const char *path)
{
    struct stat st = {0};
    struct passwd entry = {0};
    struct passwd *owner = NULL;
    char names[4096];

    if (stat(path, &st) != 0 && stat(cli->hub, &st) != 0) {
        fl_cli_hint(cli, "run this as the user who runs the hub");
        return;
    }
    if (getpwuid_r(st.st_uid, &entry, names, sizeof names, &owner) == 0 && owner)
        fl_cli_hint(cli, "it belongs to the user %s: run this as %s (sudo -u %s fairlead ...)",
                    owner->pw_name, owner->pw_name, owner->pw_name);
    else
        fl_cli_hint(cli, "it belongs to the user with the number %u: run this as that user or root",
                    (unsigned)st.st_uid);
    fl_cli_hint(cli, "or log in over the network: fairlead login --token TOKEN");
}

static enum fl_error check_directory(struct fl_cli *cli, struct fl_context *ctx)
{
    char conf[FL_CLI_PATH_MAX];
    struct stat st = {0};
    enum fl_error e = FL_OK;

    if (stat(cli->hub, &st) != 0) {
        int number = errno;
        if (number == EACCES)
            permission_hint(cli, cli->hub);
        else if (strchr(cli->hub, ':') || strchr(cli->hub, '.'))
            fl_cli_hint(cli, "the address of a hub elsewhere starts with https://");
        if (number == ENOENT)
            fl_cli_hint(cli, "to make a new hub there: fairlead init %s", cli->hub);
        return fl_file_fail(ctx, cli->hub, number);
    }
    e = fl_file_path(conf, cli->hub, "hub.conf", ctx);
    if (e != FL_OK)
        return e;
    if (!S_ISDIR(st.st_mode) || (stat(conf, &st) != 0 && errno == ENOENT)) {
        fl_cli_hint(cli, "--hub takes the directory that was given to: fairlead init DIR");
        return fl_fail(ctx, FL_ENOTFOUND, "%s: is not a hub's directory (no hub.conf in it)",
                       cli->hub);
    }
    return FL_OK;
}

static enum fl_error open_local(struct fl_cli *cli, struct fl_api *api, struct fl_context *ctx)
{
    char path[FL_CLI_PATH_MAX];
    struct fl_http_client_options options = {
        .unix_socket = path, .body_max = BODY_MAX, .cancel = &fl_cli_interrupted};
    enum fl_error e = check_directory(cli, ctx);

    if (e != FL_OK)
        return e;
    api->local = true;
    (void)fl_str_copy(api->directory, sizeof api->directory, cli->hub);
    e = fl_file_path(path, cli->hub, SOCKET, ctx);
    if (e == FL_OK)
        e = fl_http_client_open(&options, &api->client, ctx);
    if (e == FL_ELIMIT)
        fl_cli_hint(cli, "use a shorter path: change into the directory and give --hub .");
    return e;
}

static enum fl_error open_login(struct fl_cli *cli, struct fl_api *api,
                                const struct fl_login *login, struct fl_context *ctx)
{
    struct fl_http_client_options options = {.url = login->url,
                                             .ca_pem = fl_slice_str(login->ca_pem),
                                             .bearer = login->credential,
                                             .body_max = BODY_MAX,
                                             .cancel = &fl_cli_interrupted};
    fl_time_t expires = 0;

    (void)fl_str_copy(api->url, sizeof api->url, login->url);
    if (fl_time_parse(fl_slice_str(login->expires), &expires) == FL_OK && expires <= fl_cli_now()) {
        fl_cli_hint(cli, "log in again: fairlead login --token TOKEN");
        return fl_fail(ctx, FL_EEXPIRED, "%s: the credential of %s expired at %s", login->url,
                       login->name, login->expires);
    }
    return fl_http_client_open(&options, &api->client, ctx);
}

static enum fl_error open_remote(struct fl_cli *cli, struct fl_api *api, struct fl_context *ctx)
{
    struct fl_login login = {0};
    char url[FL_LIMIT_HOST + 32];
    enum fl_error e = FL_OK;

    if (!cli->hub || !*cli->hub) {
        e = fl_login_only(&login, ctx);
        if (e == FL_ENOTFOUND || e == FL_EBUSY)
            return no_hub(cli, ctx, e);
    } else {
        e = fl_login_url(cli->hub, url, ctx);
        if (e != FL_OK) {
            cli->usage = true;
            return e;
        }
        e = fl_login_load(url, &login, ctx);
        if (e == FL_ENOTFOUND) {
            fl_cli_hint(cli, "log in once: fairlead login %s --token TOKEN", url);
            return fl_fail(ctx, e, "%s: you have not logged in there", url);
        }
    }
    if (e == FL_OK)
        e = open_login(cli, api, &login, ctx);
    fl_login_wipe(&login);
    return e;
}

enum fl_error fl_api_open(struct fl_cli *cli, struct fl_api *api, struct fl_context *ctx)
{
    *api = (struct fl_api){.cli = cli};
    if (cli->hub && *cli->hub && !is_url(cli->hub))
        return open_local(cli, api, ctx);
    return open_remote(cli, api, ctx);
}

void fl_api_close(struct fl_api *api)
{
    fl_http_client_close(api->client);
    api->client = NULL;
}

/* What to do when there was no answer. */
static enum fl_error no_answer(struct fl_api *api, enum fl_error e, struct fl_context *ctx)
{
    struct fl_cli *cli = api->cli;
    char path[FL_CLI_PATH_MAX];

    if (fl_cli_interrupted) {
        ctx->text[0] = 0;
        return FL_ECLOSED;
    }
    if (!api->local) {
        if (e == FL_EAUTH)
            fl_cli_hint(cli, "whoever answers there is not the hub that you logged in to, or it "
                             "has a new root\nif the hub was made anew: fairlead login --token "
                             "TOKEN with a token of the new one");
        else
            fl_cli_hint(cli, "is the hub running, and does a firewall let port %s through?",
                        strrchr(api->url, ':') + 1);
        return e;
    }
    if (e == FL_EDENIED && fl_file_path(path, api->directory, SOCKET, NULL) == FL_OK) {
        permission_hint(cli, path);
    } else if (e == FL_ENOTFOUND || e == FL_ECLOSED) {
        fl_cli_hint(cli, "start it: fairlead-hub %s", api->directory);
        return fl_fail(ctx, e, "the hub of %s is not running", api->directory);
    } else if (e == FL_ETIMEOUT) {
        fl_cli_hint(cli, "look at the hub's log, and at: fairlead --hub %s doctor", api->directory);
    }
    return e;
}

static enum fl_error status_error(int status)
{
    static const struct {
        int status;
        enum fl_error error;
    } errors[] = {
        {400, FL_EINVAL}, {401, FL_EAUTH},    {403, FL_EDENIED},  {404, FL_ENOTFOUND},
        {409, FL_ESTATE}, {410, FL_EEXPIRED}, {413, FL_ELIMIT},   {422, FL_EINVAL},
        {429, FL_EBUSY},  {503, FL_EBUSY},    {504, FL_ETIMEOUT}, {507, FL_EFULL},
    };

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].status == status)
            return errors[i].error;
    return FL_EIO;
}

static enum fl_error problem(struct fl_api *api, const struct fl_http_reply *reply,
                             const json_t *answer, struct fl_context *ctx)
{
    const char *title = fl_json_text(answer, "title");
    const char *detail = fl_json_text(answer, "detail");
    enum fl_error e = status_error(reply->status);

    if (reply->status == 401)
        fl_cli_hint(api->cli, "the credential was removed or has expired: fairlead login --token "
                              "TOKEN");
    else if (reply->status == 429 || reply->status == 503)
        fl_cli_hint(api->cli, "try again in %u s", reply->retry_after_s ? reply->retry_after_s : 1);
    else if (reply->status == 404 && strncmp(api->cli->verb->noun, "device", 6) == 0)
        fl_cli_hint(api->cli, "the devices that there are: fairlead device list");
    if (detail[0])
        return fl_fail(ctx, e, "%s", detail);
    if (title[0])
        return fl_fail(ctx, e, "%s", title);
    return fl_fail(ctx, e, "the hub answered with status %d", reply->status);
}

static enum fl_error read_answer(struct fl_api *api, const struct fl_http_reply *reply,
                                 json_t **answer, struct fl_context *ctx)
{
    struct fl_slice body = fl_buffer_slice(&reply->body);
    json_error_t wrong = {0};
    enum fl_error e = FL_OK;

    if (body.size > 0)
        *answer = json_loadb((const char *)body.data, body.size,
                             JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &wrong);
    if (reply->status < 200 || reply->status > 299) {
        e = problem(api, reply, *answer, ctx);
        json_decref(*answer);
        *answer = NULL;
        return e;
    }
    if (body.size > 0 && !*answer)
        return fl_fail(ctx, FL_EPARSE, "the hub's answer is not JSON: %s", wrong.text);
    return FL_OK;
}

enum fl_error fl_api_call(struct fl_api *api, const char *method, const char *path, json_t *request,
                          json_t **answer, struct fl_context *ctx)
{
    struct fl_http_call call = {.method = method, .path = path, .accept = "application/json"};
    struct fl_http_reply reply = {0};
    char *body = request ? json_dumps(request, JSON_COMPACT) : NULL;
    enum fl_error e = FL_OK;

    *answer = NULL;
    if (request && !body)
        return fl_fail(ctx, FL_EINVAL, "the request is not UTF-8");
    if (body) {
        call.body = fl_slice_str(body);
        call.content_type = "application/json";
    }
    e = fl_http_client_call(api->client, &call, &reply, ctx);
    if (e != FL_OK)
        e = no_answer(api, e, ctx);
    else
        e = read_answer(api, &reply, answer, ctx);
    fl_http_reply_free(&reply);
    if (body)
        explicit_bzero(body, strlen(body));
    free(body);
    return e;
}

/* The position after a row, as text for `after=`. */
static bool row_key(const json_t *row, const char *key, char *to, size_t size)
{
    const json_t *value = json_object_get(row, key);

    if (json_is_integer(value))
        return snprintf(to, size, "%lld", (long long)json_integer_value(value)) > 0;
    return json_is_string(value) && fl_str_copy(to, size, json_string_value(value));
}

static enum fl_error visit_page(const struct fl_api_list *list, const json_t *rows, size_t *seen,
                                char *after, size_t size, struct fl_context *ctx)
{
    size_t count = json_array_size(rows);
    enum fl_error e = FL_OK;

    for (size_t i = 0; i < count && e == FL_OK && (!list->limit || *seen < list->limit); i++) {
        e = list->visit(list->to, json_array_get(rows, i), ctx);
        (*seen)++;
    }
    if (e == FL_OK && count > 0 &&
        !row_key(json_array_get(rows, count - 1), list->key, after, size))
        return fl_fail(ctx, FL_EPARSE, "the hub's answer has no \"%s\"", list->key);
    return e;
}

enum fl_error fl_api_each(struct fl_api *api, const struct fl_api_list *list,
                          struct fl_context *ctx)
{
    char after[256] = "";
    char before[256] = "";
    size_t seen = 0;
    enum fl_error e = FL_OK;

    (void)fl_str_copy(after, sizeof after, list->first_after ? list->first_after : "");
    for (;;) {
        struct fl_buffer path = FL_BUFFER(16384);
        json_t *rows = NULL;
        size_t count = 0;
        fl_buffer_append_str(&path, list->path);
        fl_api_query(&path, "after", after[0] ? after : NULL);
        e = path.failed ? FL_ENOMEM
                        : fl_api_call(api, "GET", fl_buffer_str(&path), NULL, &rows, ctx);
        fl_buffer_free(&path);
        if (e == FL_OK && !json_is_array(rows))
            e = fl_fail(ctx, FL_EPARSE, "the hub's answer is not an array");
        count = json_array_size(rows);
        if (e == FL_OK)
            e = visit_page(list, rows, &seen, after, sizeof after, ctx);
        json_decref(rows);
        if (e != FL_OK || count == 0 || list->one_page || (list->limit && seen >= list->limit))
            return e;
        if (strcmp(after, before) == 0) /* a hub that repeats a page would be asked for ever */
            return fl_fail(ctx, FL_EPARSE, "the hub's pages do not advance");
        memcpy(before, after, sizeof before);
    }
}

void fl_api_segment(struct fl_buffer *path, const char *segment)
{
    fl_url_escape(fl_slice_str(segment), path);
}

void fl_api_query(struct fl_buffer *path, const char *name, const char *value)
{
    struct fl_slice so_far = fl_buffer_slice(path);

    if (!value)
        return;
    fl_buffer_append_byte(path, so_far.size && memchr(so_far.data, '?', so_far.size) ? '&' : '?');
    fl_buffer_printf(path, "%s=", name);
    fl_url_escape(fl_slice_str(value), path);
}
