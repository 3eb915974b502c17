/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/privacy.h"
#include "base/limits.h"
#include "base/str.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/nouns.h"
#include "cli/text.h"

#include <unistd.h>

/* --- show --- */

/* "90d: temperature, motion": the streams from `first` on that are kept as long as it is. Empty
 * when one before it was, and has named them. */
static void kept_alike(const json_t *streams, size_t first, struct fl_buffer *line)
{
    const char *keep = fl_json_text(json_array_get(streams, first), "keep");
    const char *between = strcmp(keep, "forever") == 0 ? "for ever: " : NULL;

    for (size_t i = 0; i < first; i++)
        if (strcmp(fl_json_text(json_array_get(streams, i), "keep"), keep) == 0)
            return;
    if (!between)
        fl_buffer_printf(line, "%s: ", keep);
    for (size_t i = first; i < json_array_size(streams); i++) {
        const json_t *stream = json_array_get(streams, i);

        if (strcmp(fl_json_text(stream, "keep"), keep) != 0)
            continue;
        fl_buffer_printf(line, "%s%s", between ? between : "", fl_json_text(stream, "name"));
        between = ", ";
    }
}

void fl_privacy_lines(struct fl_buffer *out, const json_t *privacy)
{
    const json_t *streams = json_object_get(privacy, "streams");
    const char *label = "kept";
    const char *erased_at = fl_json_text(privacy, "erased_at");
    char moment[80];

    for (size_t i = 0; i < json_array_size(streams); i++) {
        struct fl_buffer line = FL_BUFFER(64L * 1024);

        kept_alike(streams, i, &line);
        if (line.size) {
            fl_list_line(out, label, "%s", fl_buffer_str(&line));
            label = "";
        }
        fl_buffer_free(&line);
    }
    fl_list_line(out, "data key", "%s, generation %lld", fl_json_text(privacy, "key"),
                 (long long)fl_json_int(privacy, "generation"));
    if (fl_json_int(privacy, "streams_unsealed"))
        fl_list_line(out, "not sealed", "%lld streams of an older version; it is under way",
                     (long long)fl_json_int(privacy, "streams_unsealed"));
    if (fl_json_int(privacy, "erased") || erased_at[0]) {
        fl_list_moment(erased_at, moment, sizeof moment);
        fl_list_line(out, "erased", "%s",
                     erased_at[0] ? moment : "before this database was restored");
    }
    if (fl_json_int(privacy, "streams_erased"))
        fl_list_line(out, "", "%lld streams hold readings that nobody can open any more",
                     (long long)fl_json_int(privacy, "streams_erased"));
}

static enum fl_error call(struct fl_cli *cli, const char *method, const char *what, json_t *request,
                          json_t **answer, struct fl_context *ctx)
{
    struct fl_api api = {0};
    char path[128];
    enum fl_error e = fl_api_open(cli, &api, ctx);

    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/%s", cli->operands[0], what);
    if (e == FL_OK)
        e = fl_api_call(&api, method, path, request, answer, ctx);
    fl_api_close(&api);
    return e;
}

static enum fl_error run_show(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(1024L * 1024);
    json_t *privacy = NULL;
    enum fl_error e = fl_cli_name(cli, "device id", cli->operands[0], ctx);

    if (e == FL_OK)
        e = call(cli, "GET", "privacy", NULL, &privacy, ctx);
    if (e == FL_OK && cli->json) {
        e = fl_cli_write_json(cli, privacy, ctx);
    } else if (e == FL_OK) {
        fl_list_line(&out, "device", "%s", fl_json_text(privacy, "device"));
        fl_privacy_lines(&out, privacy);
        e = fl_cli_write(cli, &out, ctx);
    }
    json_decref(privacy);
    fl_buffer_free(&out);
    return e;
}

/* --- erase --- */

/* Only who reads the warning can answer it, so it is asked on a terminal or not at all. */
static enum fl_error confirm(struct fl_cli *cli, struct fl_context *ctx)
{
    char typed[FL_NAME_MAX + 2] = "";
    const char *device = cli->operands[0];

    if (fl_cli_option(cli, "yes"))
        return FL_OK;
    if (!isatty(STDIN_FILENO)) {
        fl_cli_hint(cli, "to erase without being asked: add --yes");
        return fl_cli_usage(cli, ctx, "this cannot be undone, and there is no terminal to ask on");
    }
    (void)fprintf(stderr,
                  "This destroys the data key of %s and everything that it has sent until now,\n"
                  "in this hub and in every backup of its database. It cannot be undone.\n"
                  "Type the device's id to go on: ",
                  device);
    if (!fgets(typed, sizeof typed, stdin))
        typed[0] = '\0';
    typed[strcspn(typed, "\n")] = '\0';
    if (strcmp(typed, device) != 0)
        return fl_fail(ctx, FL_EDENIED, "nothing was erased: that was not the device's id");
    return FL_OK;
}

static enum fl_error run_erase(struct fl_cli *cli, struct fl_context *ctx)
{
    const char *reason = fl_cli_option(cli, "reason");
    json_t *request = json_object();
    json_t *answer = NULL;
    enum fl_error e = fl_cli_name(cli, "device id", cli->operands[0], ctx);

    if (e == FL_OK && reason && strlen(reason) >= FL_LIMIT_REASON)
        e = fl_cli_usage(cli, ctx, "--reason: at most %d octets", FL_LIMIT_REASON - 1);
    if (e == FL_OK && reason && json_object_set_new(request, "reason", json_string(reason)) != 0)
        e = fl_cli_usage(cli, ctx, "--reason: is not UTF-8");
    if (e == FL_OK)
        e = confirm(cli, ctx);
    if (e == FL_OK)
        e = call(cli, "POST", "erase", request, &answer, ctx);
    if (e == FL_OK && cli->json)
        e = fl_cli_write_json(cli, answer, ctx);
    else if (e == FL_OK)
        (void)fprintf(cli->out,
                      "%s: what it has sent is erased, here and in every backup of the database.\n"
                      "Backups of keys/device-keys from before must be destroyed as well.\n",
                      cli->operands[0]);
    json_decref(answer);
    json_decref(request);
    return e;
}

static const struct fl_cli_option erase_options[] = {
    {"reason", "TEXT", "why; kept in the audit log", NULL, false},
    {"yes", NULL, "do not ask", NULL, false},
    {0},
};

static const struct fl_cli_verb verbs[] = {
    {"privacy", "show", "ID", "show what is kept of a device, and how long", NULL, NULL, run_show,
     NULL},
    {"privacy", "erase", "ID", "erase what a device has sent, for good",
     "Destroys the device's data key and deletes its readings: nobody can open them any more,\n"
     "backups of the database included. It cannot be undone. The device stays what it is, and\n"
     "what it sends from now on is kept under a new key.",
     erase_options, run_erase, NULL},
};
const struct fl_cli_verbs fl_cli_privacy_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
