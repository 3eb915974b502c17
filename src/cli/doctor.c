/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor.h"

#include "cli/api.h"
#include "cli/file.h"
#include "cli/json.h"
#include "cli/list.h"
#include "cli/nouns.h"
#include "cli/text.h"

#include "base/limits.h"

#include <time.h>

static const char *const level_names[] = {"ok", "warn", "fail"};

void fl_doctor_found(struct fl_doctor *doctor, enum fl_doctor_level level, const char *check,
                     const char *todo, const char *format, ...)
{
    static const enum fl_text_style styles[] = {FL_STYLE_GOOD, FL_STYLE_WARN, FL_STYLE_BAD};
    char found[1024];
    struct fl_buffer safe = FL_BUFFER(8192);
    const char *text = NULL;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(found, sizeof found, format, args);
    va_end(args);
    doctor->counts[level]++;
    fl_text_table_cell(&doctor->table, styles[level], "%s", level_names[level]);
    fl_text_table_cell(&doctor->table, FL_STYLE_NONE, "%s", check);
    fl_text_table_cell(&doctor->table, FL_STYLE_NONE, "%s%s%s", found, todo ? "; " : "",
                       todo ? todo : "");
    fl_text_safe(fl_slice_str(found), &safe);
    text = fl_buffer_str(&safe);
    (void)json_array_append_new(doctor->rows,
                                json_pack("{s:s, s:s, s:s, s:s}", "check", check, "result",
                                          level_names[level], "found", text ? text : "", "todo",
                                          todo ? todo : ""));
    fl_buffer_free(&safe);
}

static double now_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

/* The audit log, and the signer's issuance log against the registry. */
static void judge_logs(struct fl_doctor *d, const json_t *answer, enum fl_error e,
                       const struct fl_context *ctx)
{
    const json_t *issuance = json_object_get(answer, "issuance");

    if (e != FL_OK || !json_is_object(issuance)) {
        fl_doctor_found(d, FL_DOCTOR_FAIL, "audit log", "see: fairlead audit verify", "%s",
                        e == FL_OK ? "the chain is broken" : ctx->text);
        return;
    }
    fl_doctor_found(d, FL_DOCTOR_OK, "audit log", NULL, "%lld records, the chain is whole",
                    (long long)fl_json_int(answer, "records"));
    if (fl_json_true(issuance, "valid"))
        fl_doctor_found(d, FL_DOCTOR_OK, "issuance log", NULL,
                        "%lld certificates of devices, as the registry has them",
                        (long long)fl_json_int(issuance, "devices"));
    else
        fl_doctor_found(d, FL_DOCTOR_FAIL, "issuance log", "see: fairlead audit verify", "%s",
                        fl_json_text(issuance, "detail")[0] ? fl_json_text(issuance, "detail")
                                                            : "it and the registry disagree");
}

/* What the hub says of itself over the door that verbs use. */
static void check_api(struct fl_doctor *d)
{
    struct fl_api api = {0};
    struct fl_context ctx = {0};
    json_t *health = NULL;
    json_t *audit = NULL;
    double start = 0;
    enum fl_error e = fl_api_open(d->cli, &api, &ctx);

    start = now_ms();
    if (e == FL_OK)
        e = fl_api_call(&api, "GET", "/api/v1/health", NULL, &health, &ctx);
    if (e != FL_OK) {
        fl_doctor_found(d, FL_DOCTOR_FAIL, "control", d->cli->hint[0] ? d->cli->hint : NULL, "%s",
                        ctx.text);
    } else {
        const char *version = fl_json_text(health, "version");
        bool same = strcmp(version, FL_VERSION) == 0;
        fl_doctor_found(d, same ? FL_DOCTOR_OK : FL_DOCTOR_WARN, "control",
                        same ? NULL : "install the same version of both",
                        "answered in %.1f ms: version %s%s, %lld devices, %lld connected",
                        now_ms() - start, version, same ? "" : " (this command is " FL_VERSION ")",
                        (long long)fl_json_int(health, "devices"),
                        (long long)fl_json_int(health, "connected"));
        e = fl_api_call(&api, "GET", "/api/v1/audit/verify", NULL, &audit, &ctx);
        judge_logs(d, audit, e, &ctx);
    }
    json_decref(health);
    json_decref(audit);
    fl_api_close(&api);
    d->cli->hint[0] = 0;
}

/* One GET to the front as a device would reach it; FL_OK only for a whole answer. */
static enum fl_error contact(struct fl_doctor *d, unsigned port, struct fl_context *ctx)
{
    char path[FL_CLI_PATH_MAX];
    char url[320];
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CHAIN);
    struct fl_http_client_options options = {.url = url, .connect_ms = 3000, .timeout_ms = 5000};
    const struct fl_http_call call = {.method = "GET", .path = "/api/v1/health"};
    struct fl_http_client *client = NULL;
    struct fl_http_reply reply = {0};
    bool is_v6 = strchr(d->host, ':') != NULL;
    enum fl_error e = fl_file_path(path, d->directory, "ca.pem", ctx);

    (void)snprintf(url, sizeof url, "https://%s%s%s:%u", is_v6 ? "[" : "", d->host,
                   is_v6 ? "]" : "", port);
    if (e == FL_OK)
        e = fl_file_read(path, &pem, ctx);
    options.ca_pem = fl_buffer_slice(&pem);
    if (e == FL_OK)
        e = fl_http_client_open(&options, &client, ctx);
    if (e == FL_OK)
        e = fl_http_client_call(client, &call, &reply, ctx);
    if (e == FL_OK && reply.status != 200)
        e = fl_fail(ctx, FL_EIO, "%s: status %d", url, reply.status);
    fl_http_client_close(client);
    fl_http_reply_free(&reply);
    fl_buffer_free(&pem);
    return e;
}

static const char *network_todo(enum fl_error e)
{
    if (e == FL_ENOTFOUND)
        return "devices must be able to resolve the first name in hub.conf";
    if (e == FL_EAUTH)
        return "another server has this port, or ca.pem is not this hub's";
    return "is the hub running, and does another program or a firewall have this port?";
}

static void check_front(struct fl_doctor *d)
{
    struct fl_context ctx = {0};
    enum fl_error e = FL_OK;

    if (!d->host[0] || !d->https_port || !d->mqtt_port)
        return; /* told already */
    e = contact(d, d->https_port, &ctx);
    if (e == FL_OK)
        fl_doctor_found(d, FL_DOCTOR_OK, "front, HTTPS", NULL,
                        "https://%s:%u answers with a certificate of this hub", d->host,
                        d->https_port);
    else
        fl_doctor_found(d, FL_DOCTOR_FAIL, "front, HTTPS", network_todo(e), "%s", ctx.text);
    /* MQTT: without a client certificate the right answer is to be turned away after the server has
     * shown its own. */
    ctx.text[0] = 0;
    e = contact(d, d->mqtt_port, &ctx);
    if (e == FL_OK || e == FL_ENOTFOUND || e == FL_ETIMEOUT || e == FL_EIO ||
        strstr(ctx.text, "nobody is listening") || strstr(ctx.text, "SSL certificate problem"))
        fl_doctor_found(d, FL_DOCTOR_FAIL, "front, MQTT", network_todo(e), "%s",
                        ctx.text[0] ? ctx.text : "does not ask for a certificate");
    else
        fl_doctor_found(d, FL_DOCTOR_OK, "front, MQTT", NULL,
                        "%s:%u listens and turns away who has no certificate", d->host,
                        d->mqtt_port);
}

static enum fl_error print_findings(struct fl_doctor *d, struct fl_context *ctx)
{
    struct fl_json_rows rows;
    enum fl_error e = FL_OK;

    if (!d->cli->json)
        return fl_cli_write_table(d->cli, &d->table, ctx);
    fl_json_rows_begin(&rows, d->cli);
    for (size_t i = 0; i < json_array_size(d->rows) && e == FL_OK; i++)
        e = fl_json_rows_add(&rows, json_array_get(d->rows, i), ctx);
    if (e == FL_OK)
        e = fl_json_rows_end(&rows, ctx);
    fl_json_rows_free(&rows);
    return e;
}

static enum fl_error run_doctor(struct fl_cli *cli, struct fl_context *ctx)
{
    static const struct fl_text_column columns[] = {
        {.title = "RESULT"}, {.title = "CHECK"}, {.title = "FOUND"}};
    struct fl_doctor d = {.cli = cli, .rows = json_array()};
    enum fl_error e = FL_OK;

    fl_text_table_init(&d.table, columns, 3);
    if (cli->hub && *cli->hub && !strstr(cli->hub, "://")) {
        d.directory = cli->hub;
        fl_doctor_check_files(&d);
    }
    check_api(&d);
    if (d.directory)
        check_front(&d);
    e = print_findings(&d, ctx);
    if (e == FL_OK && d.counts[FL_DOCTOR_FAIL] > 0)
        e = fl_fail(ctx, FL_ESTATE, "%zu of %zu checks failed", d.counts[FL_DOCTOR_FAIL],
                    d.counts[0] + d.counts[1] + d.counts[2]);
    json_decref(d.rows);
    fl_text_table_free(&d.table);
    return e;
}

static const struct fl_cli_verb verbs[] = {
    {"doctor", NULL, "", "check a hub and say what to do about what is not well",
     "With --hub DIR: configuration, permissions, certificates, disk, clock, and whether control\n"
     "and front answer as a device would see them. With a URL: only what can be seen from here.\n"
     "Exit code 1 when a check failed.",
     NULL, run_doctor, NULL},
};
const struct fl_cli_verbs fl_cli_doctor_verbs = {verbs, sizeof verbs / sizeof verbs[0]};
