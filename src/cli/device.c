/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/limits.h"
#include "base/str.h"
#include "cli/device_add.h"
#include "cli/evidence.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/nouns.h"
#include "cli/outcome.h"
#include "cli/privacy.h"

static enum fl_text_style posture_style(const char *posture)
{
    static const struct {
        const char *posture;
        enum fl_text_style style;
    } styles[] = {
        {"ok", FL_STYLE_GOOD},       {"quarantined", FL_STYLE_WARN}, {"revoked", FL_STYLE_BAD},
        {"narrowed", FL_STYLE_WARN}, {"expired", FL_STYLE_WARN},     {"retired", FL_STYLE_DIM},
        {"expected", FL_STYLE_DIM},  {"held", FL_STYLE_WARN},
    };

    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++)
        if (strcmp(styles[i].posture, posture) == 0)
            return styles[i].style;
    return FL_STYLE_NONE;
}

static const struct fl_text_column list_columns[] = {
    {.title = "ID", .shrink_to = 8},
    {.title = "PROFILE", .shrink_to = 8},
    {.title = "STATE"},
    {.title = "POSTURE"},
    {.title = "CONNECTED"},
    {.title = "SITE", .shrink_to = 6, .may_go = true},
    {.title = "LAST SEEN", .may_go = true},
    {.title = "CERTIFICATE", .may_go = true},
};

static void list_row(struct fl_text_table *table, const json_t *d)
{
    const json_t *credential = json_object_get(d, "credential");
    const char *posture = fl_json_text(d, "posture");
    const char *until = fl_json_text(credential, "not_after");
    bool connected = fl_json_true(d, "connected");

    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(d, "id"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(d, "profile"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(d, "state"));
    fl_text_table_cell(table, posture_style(posture), "%s", posture);
    fl_text_table_cell(table, connected ? FL_STYLE_GOOD : FL_STYLE_DIM, "%s",
                       connected ? "yes" : "no");
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", fl_json_text(d, "site"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%.19s", fl_json_text(d, "last_seen"));
    fl_text_table_cell(table, FL_STYLE_NONE, "%s%s%.10s", fl_json_text(credential, "state"),
                       until[0] ? " to " : "", until);
}

static const struct fl_cli_option list_options[] = {
    {"state", "STATE", "only expected, active, quarantined or retired ones", NULL, false},
    {"profile", "PROFILE", "only those of a profile", NULL, false},
    {"site", "SITE", "only those of a site", NULL, false},
    {"limit", "N", "at most N", NULL, false},
    {0},
};

static enum fl_error run_list(struct fl_cli *cli, struct fl_context *ctx)
{
    static const struct fl_list_show show = {
        list_columns, sizeof list_columns / sizeof list_columns[0], list_row,
        "no such devices; to add one: fairlead device add ID --profile PROFILE"};
    static const char *const filters[] = {"state", "profile", "site"};
    struct fl_api api = {0};
    struct fl_buffer path = FL_BUFFER(4096);
    struct fl_api_list list = {.key = "id"};
    uint64_t limit = 0;
    enum fl_error e = fl_cli_number(cli, "limit", FL_LIMIT_DEVICES, &limit, ctx);

    fl_buffer_append_str(&path, "/api/v1/devices");
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        fl_api_query(&path, filters[i], fl_cli_option(cli, filters[i]));
    list.path = fl_buffer_str(&path);
    list.limit = limit;
    if (e == FL_OK && path.failed)
        e = fl_cli_usage(cli, ctx, "the filters are too long");
    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK)
        e = fl_list_show(&api, &list, &show, ctx);
    fl_api_close(&api);
    fl_buffer_free(&path);
    return e;
}

static void show_credential(struct fl_buffer *out, const json_t *credential)
{
    char moment[80];

    if (!json_is_object(credential)) {
        fl_list_line(out, "certificate", "none yet");
        return;
    }
    fl_list_moment(fl_json_text(credential, "not_after"), moment, sizeof moment);
    fl_list_line(out, "certificate", "%s, serial %s", fl_json_text(credential, "state"),
                 fl_json_text(credential, "serial"));
    fl_list_line(out, "valid until", "%s", moment);
    fl_list_line(out, "key", "%s", fl_json_text(credential, "key"));
}

static enum fl_error show_device(struct fl_cli *cli, const json_t *d, const json_t *privacy,
                                 struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(65536);
    const char *reason = fl_json_text(d, "posture_reason");
    const char *peer = fl_json_text(d, "peer");
    bool connected = fl_json_true(d, "connected");
    char moment[80];
    enum fl_error e = FL_OK;

    fl_list_line(&out, "id", "%s", fl_json_text(d, "id"));
    fl_list_line(&out, "profile", "%s", fl_json_text(d, "profile"));
    fl_list_line(&out, "site", "%s", fl_json_text(d, "site"));
    fl_list_moment(fl_json_text(d, "since"), moment, sizeof moment);
    fl_list_line(&out, "state", "%s since %s", fl_json_text(d, "state"), moment);
    if (fl_json_text(d, "until")[0]) {
        fl_list_moment(fl_json_text(d, "until"), moment, sizeof moment);
        fl_list_line(&out, "until", "%s", moment);
    }
    fl_list_line(&out, "posture", "%s%s%s", fl_json_text(d, "posture"), reason[0] ? ": " : "",
                 reason);
    fl_list_line(&out, "connected", "%s%s%s", connected ? "yes" : "no",
                 connected && peer[0] ? ", from " : "", connected ? peer : "");
    fl_list_moment(fl_json_text(d, "last_seen"), moment, sizeof moment);
    fl_list_line(&out, "last seen", "%s", moment);
    fl_list_moment(fl_json_text(d, "created"), moment, sizeof moment);
    fl_list_line(&out, "created", "%s", moment);
    show_credential(&out, json_object_get(d, "credential"));
    fl_evidence_lines(&out, json_object_get(d, "evidence"));
    if (privacy)
        fl_privacy_lines(&out, privacy);
    e = fl_cli_write(cli, &out, ctx);
    fl_buffer_free(&out);
    return e;
}

static enum fl_error run_show(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    char path[128];
    json_t *device = NULL;
    json_t *privacy = NULL;
    struct fl_context ignored = {0};
    enum fl_error e = fl_cli_name(cli, "device id", cli->operands[0], ctx);

    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK) {
        (void)snprintf(path, sizeof path, "/api/v1/devices/%s", cli->operands[0]);
        e = fl_api_call(&api, "GET", path, NULL, &device, ctx);
    }
    if (e == FL_OK && !cli->json) {
        (void)snprintf(path, sizeof path, "/api/v1/devices/%s/privacy", cli->operands[0]);
        /* A hub of an older version does not know; the rest is still worth showing. */
        if (fl_api_call(&api, "GET", path, NULL, &privacy, &ignored) != FL_OK)
            privacy = NULL;
        cli->hint[0] = 0;
    }
    if (e == FL_OK)
        e = cli->json ? fl_cli_write_json(cli, device, ctx)
                      : show_device(cli, device, privacy, ctx);
    json_decref(privacy);
    json_decref(device);
    fl_api_close(&api);
    return e;
}

/* quarantine, hold, release, revoke and retire are one call under five names. */
static const struct fl_cli_option timed_options[] = {
    {"for", "DURATION", "ends by itself after this (90s, 15m, 1h30m, 7d)", NULL, false},
    {"reason", "TEXT", "why; kept in the audit log", NULL, false},
    {"dry-run", NULL, "say what would happen and do nothing", NULL, false},
    {0},
};

static const struct fl_cli_option change_options[] = {
    {"reason", "TEXT", "why; kept in the audit log", NULL, false},
    {"dry-run", NULL, "say what would happen and do nothing", NULL, false},
    {0},
};

static enum fl_error run_change(struct fl_cli *cli, struct fl_context *ctx)
{
    struct fl_api api = {0};
    char path[160];
    json_t *request = json_object();
    int64_t for_s = 0;
    const char *reason = fl_cli_option(cli, "reason");
    enum fl_error e = fl_cli_name(cli, "device id", cli->operands[0], ctx);

    if (e == FL_OK && cli->verb->options == timed_options)
        e = fl_cli_seconds(cli, "for", FL_LIMIT_ACTION_S, &for_s, ctx);
    if (e == FL_OK && reason && strlen(reason) >= FL_LIMIT_REASON)
        e = fl_cli_usage(cli, ctx, "--reason: at most %d octets", FL_LIMIT_REASON - 1);
    if (e == FL_OK &&
        ((for_s && json_object_set_new(request, "for_s", json_integer(for_s)) != 0) ||
         (reason && json_object_set_new(request, "reason", json_string(reason)) != 0) ||
         (fl_cli_option(cli, "dry-run") &&
          json_object_set_new(request, "dry_run", json_true()) != 0)))
        e = fl_cli_usage(cli, ctx, "--reason: is not UTF-8");
    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK) {
        (void)snprintf(path, sizeof path, "/api/v1/devices/%s/%s", cli->operands[0],
                       cli->verb->verb);
        e = fl_outcome_call(&api, path, request, ctx);
    }
    json_decref(request);
    fl_api_close(&api);
    return e;
}

static const struct fl_cli_option add_options[] = {
    {"profile", "PROFILE", "what it may do ; see: fairlead profile list", NULL, true},
    {"site", "SITE", "where it is", NULL, false},
    {"ek-hash", "HASH", "its TPM: SHA-256 of the endorsement key, 64 hex digits", NULL, false},
    {"ttl", "DURATION", "how long the token is good (15m)", NULL, false},
    {"qr", "[FILE]", "a QR code of the token, drawn or into FILE.png or FILE.svg",
     fl_device_is_qr_file, false},
    {0},
};

static const struct fl_cli_option token_options[] = {
    {"ttl", "DURATION", "how long the token is good (15m)", NULL, false},
    {"qr", "[FILE]", "a QR code of the token, drawn or into FILE.png or FILE.svg",
     fl_device_is_qr_file, false},
    {0},
};

static const struct fl_cli_verb verbs[] = {
    {"device", "add", "ID", "make a device known and print its enrolment token",
     "The token is good once, for this device, until it expires. It tells the device where the\n"
     "hub is and which root certificate it must show, so the first contact is authenticated.",
     add_options, fl_device_run_add, NULL},
    {"device", "token", "ID", "print a new enrolment token; the old one is void", NULL,
     token_options, fl_device_run_token, NULL},
    {"device", "list", "", "list the devices", NULL, list_options, run_list, NULL},
    {"device", "show", "ID", "show one device", NULL, NULL, run_show, NULL},
    {"device", "evidence", "ID", "show what a device proved of itself, and its TPM", NULL, NULL,
     fl_evidence_run_show, NULL},
    {"device", "reference", "ID CHANGE", "accept the boot that a device's TPM quotes, or forget",
     "CHANGE is accept: what it quoted last is good from now on, or forget: nothing is good any\n"
     "more. Quotes are held against the boots accepted for the device or, when there are none,\n"
     "against those accepted for its profile. See them with: fairlead device evidence ID",
     fl_evidence_reference_options, fl_evidence_run_reference, NULL},
    {"device", "tpm", "ID", "say which TPM a device has, or that it was replaced", NULL,
     fl_evidence_tpm_options, fl_evidence_run_tpm, NULL},
    {"device", "quarantine", "ID", "cut a device off for a time; it can be undone",
     "Closes its live sessions, refuses full and resumed handshakes, and prints the time from the\n"
     "request to the last session closed. Without --for it lasts until: fairlead device release.",
     timed_options, run_change, NULL},
    {"device", "hold", "ID", "hold a device's certificates; it can be undone",
     "Closes its live sessions and refuses its certificates, here and wherever the hub's "
     "revocation\n"
     "list or OCSP is asked, until they are released. Unlike a quarantine it is about the keys: "
     "with\n"
     "a new token the device may enrol anew meanwhile, and is back with a new key.",
     timed_options, run_change, NULL},
    {"device", "release", "ID", "end a quarantine or a hold", NULL, change_options, run_change,
     NULL},
    {"device", "revoke", "ID", "revoke a device's certificates for good",
     "Closes its live sessions and refuses its certificates for ever. To let it back in it must\n"
     "enrol anew: fairlead device token.",
     change_options, run_change, NULL},
    {"device", "retire", "ID", "end a device's life: revoked, and its name is not used again", NULL,
     change_options, run_change, NULL},
};
const struct fl_cli_verbs fl_cli_device_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
