/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/evidence.h"

#include "base/limits.h"
#include "cli/json.h"
#include "cli/list.h"

const struct fl_cli_option fl_evidence_reference_options[] = {
    {"for-profile", NULL, "for all devices of its profile, not only for this one", NULL, false},
    {"reason", "TEXT", "why; kept in the audit log", NULL, false},
    {0},
};

const struct fl_cli_option fl_evidence_tpm_options[] = {
    {"ek-hash", "HASH", "SHA-256 of its endorsement key, 64 hex digits", NULL, false},
    {"forget", NULL, "it was replaced: the next one is believed on first use", NULL, false},
    {"reason", "TEXT", "why; kept in the audit log", NULL, false},
    {0},
};

void fl_evidence_lines(struct fl_buffer *out, const json_t *evidence)
{
    char moment[80];
    const char *state = fl_json_text(evidence, "state");
    const char *until = fl_json_text(evidence, "until");

    if (!json_is_object(evidence))
        return;
    fl_list_line(out, "evidence", "%s%s%s", state, strcmp(state, "fresh") == 0 ? ", " : "",
                 strcmp(state, "fresh") == 0 ? fl_json_text(evidence, "grade") : "");
    if (strcmp(state, "none") == 0)
        return;
    fl_list_line(out, "", "%s", fl_json_text(evidence, "words"));
    fl_list_moment(fl_json_text(evidence, "at"), moment, sizeof moment);
    fl_list_line(out, "given", "%s", moment);
    if (until[0]) {
        fl_list_moment(until, moment, sizeof moment);
        fl_list_line(out, "counts until", "%s", moment);
    }
}

static void tpm_lines(struct fl_buffer *out, const json_t *tpm)
{
    if (!json_is_object(tpm)) {
        fl_list_line(out, "tpm", "none is known");
        return;
    }
    fl_list_line(out, "tpm", "%s", fl_json_text(tpm, "why"));
    fl_list_line(out, "ek hash", "%s",
                 fl_json_text(tpm, fl_json_text(tpm, "ek")[0] ? "ek" : "registered"));
    fl_list_line(out, "ak name", "%s", fl_json_text(tpm, "ak"));
}

static void pcr_lines(struct fl_buffer *out, const json_t *pcrs)
{
    char name[16];

    for (int i = 0; i < FL_LIMIT_PCRS; i++) {
        const char *value = NULL;

        (void)snprintf(name, sizeof name, "%d", i);
        value = fl_json_text(pcrs, name);
        (void)snprintf(name, sizeof name, "pcr %d", i);
        if (value[0])
            fl_list_line(out, name, "%s", value);
    }
}

static enum fl_error write_evidence(struct fl_cli *cli, const json_t *e, struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(65536);
    enum fl_error error = FL_OK;

    fl_evidence_lines(&out, e);
    if (strcmp(fl_json_text(e, "state"), "none") != 0) {
        fl_list_line(&out, "agent", "%s", fl_json_text(e, "agent"));
        fl_list_line(&out, "its program", "sha256 %s", fl_json_text(e, "binary"));
        fl_list_line(&out, "system", "%s", fl_json_text(e, "os"));
        fl_list_line(&out, "kernel", "%s", fl_json_text(e, "kernel"));
        fl_list_line(&out, "boot id", "%s", fl_json_text(e, "boot"));
    }
    tpm_lines(&out, json_object_get(e, "tpm"));
    pcr_lines(&out, json_object_get(e, "pcrs"));
    fl_list_line(&out, "accepted", "boots: %zu for this device, %zu for its profile",
                 json_array_size(json_object_get(e, "accepted_for_device")),
                 json_array_size(json_object_get(e, "accepted_for_profile")));
    error = fl_cli_write(cli, &out, ctx);
    fl_buffer_free(&out);
    return error;
}

/* Calls what is under the device and shows the evidence that is answered. */
static enum fl_error call(struct fl_cli *cli, const char *method, const char *what, json_t *body,
                          struct fl_context *ctx)
{
    struct fl_api api = {0};
    char path[160];
    json_t *answer = NULL;
    enum fl_error e = fl_cli_name(cli, "device id", cli->operands[0], ctx);

    if (e == FL_OK)
        e = fl_api_open(cli, &api, ctx);
    if (e == FL_OK) {
        (void)snprintf(path, sizeof path, "/api/v1/devices/%s/%s", cli->operands[0], what);
        e = fl_api_call(&api, method, path, body, &answer, ctx);
    }
    if (e == FL_OK)
        e = cli->json ? fl_cli_write_json(cli, answer, ctx) : write_evidence(cli, answer, ctx);
    json_decref(answer);
    fl_api_close(&api);
    return e;
}

enum fl_error fl_evidence_run_show(struct fl_cli *cli, struct fl_context *ctx)
{
    return call(cli, "GET", "evidence", NULL, ctx);
}

static enum fl_error add_reason(struct fl_cli *cli, json_t *body, struct fl_context *ctx)
{
    const char *reason = fl_cli_option(cli, "reason");

    if (reason && strlen(reason) >= FL_LIMIT_REASON)
        return fl_cli_usage(cli, ctx, "--reason: at most %d octets", FL_LIMIT_REASON - 1);
    if (reason && json_object_set_new(body, "reason", json_string(reason)) != 0)
        return fl_cli_usage(cli, ctx, "--reason: is not UTF-8");
    return FL_OK;
}

enum fl_error fl_evidence_run_reference(struct fl_cli *cli, struct fl_context *ctx)
{
    const char *change = cli->operands[1];
    json_t *body = NULL;
    enum fl_error e = FL_OK;

    if (strcmp(change, "accept") != 0 && strcmp(change, "forget") != 0)
        return fl_cli_usage(cli, ctx, "CHANGE is accept or forget");
    body = json_pack("{s:s, s:s}", "change", change, "of",
                     fl_cli_option(cli, "for-profile") ? "profile" : "device");
    e = add_reason(cli, body, ctx);
    if (e == FL_OK)
        e = call(cli, "POST", "reference", body, ctx);
    json_decref(body);
    return e;
}

enum fl_error fl_evidence_run_tpm(struct fl_cli *cli, struct fl_context *ctx)
{
    const char *hash = fl_cli_option(cli, "ek-hash");
    bool forget = fl_cli_option(cli, "forget") != NULL;
    json_t *body = NULL;
    enum fl_error e = FL_OK;

    if (forget == (hash != NULL))
        return fl_cli_usage(cli, ctx, "it needs either --ek-hash HASH or --forget");
    body = forget ? json_pack("{s:b}", "forget", 1) : json_pack("{s:s}", "ek_hash", hash);
    e = body ? add_reason(cli, body, ctx) : fl_cli_usage(cli, ctx, "--ek-hash: is not UTF-8");
    if (e == FL_OK)
        e = call(cli, "POST", "tpm", body, ctx);
    json_decref(body);
    return e;
}
