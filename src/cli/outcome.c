/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/outcome.h"

#include "cli/json.h"
#include "cli/list.h"
#include "cli/text.h"

static void effects(const json_t *outcome, struct fl_buffer *out)
{
    const json_t *list = json_object_get(outcome, "effects");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        fl_buffer_append_str(out, "  - ");
        fl_text_safe(fl_slice_str(text), out);
        fl_buffer_append_byte(out, '\n');
    }
}

/* "cam-01: quarantine, until 2026-11-22T08:19:48Z (in 1h)". */
static void headline(const json_t *outcome, bool dry_run, struct fl_buffer *out)
{
    const char *until = fl_json_text(outcome, "until");
    const char *reason = fl_json_text(outcome, "reason");
    struct fl_buffer line = FL_BUFFER(4096);
    char moment[80];

    fl_buffer_printf(&line, "%s: %s%s", fl_json_text(outcome, "device"),
                     dry_run ? "a rehearsal; nothing was changed. It would " : "",
                     fl_json_text(outcome, "kind"));
    if (until[0]) {
        fl_list_moment(until, moment, sizeof moment);
        fl_buffer_printf(&line, ", until %s", moment);
    }
    if (reason[0])
        fl_buffer_printf(&line, " (%s)", reason);
    fl_text_safe(fl_buffer_slice(&line), out);
    fl_buffer_append_byte(out, '\n');
    fl_buffer_free(&line);
}

static enum fl_error show(struct fl_cli *cli, const json_t *outcome, struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(256UL * 1024);
    bool dry_run = fl_json_true(outcome, "dry_run");
    long long closed = fl_json_int(outcome, "sessions_closed");
    const char *state = fl_json_text(outcome, "state");
    const char *kind = fl_json_text(outcome, "kind");
    char took[FL_NUMBER_TEXT];
    enum fl_error e = FL_OK;

    headline(outcome, dry_run, &out);
    effects(outcome, &out);
    if (!dry_run) {
        fl_number_format(fl_json_number(outcome, "took_ms"), took);
        fl_buffer_printf(&out, "  %lld live session%s closed; done in %s ms\n", closed,
                         closed == 1 ? "" : "s", took);
    }
    if (!dry_run && strcmp(state, "active") == 0 &&
        (strcmp(kind, "quarantine") == 0 || strcmp(kind, "hold") == 0))
        fl_buffer_printf(&out, "  to undo it: fairlead action undo %lld\n",
                         (long long)fl_json_int(outcome, "action"));
    e = fl_cli_write(cli, &out, ctx);
    fl_buffer_free(&out);
    return e;
}

enum fl_error fl_outcome_call(struct fl_api *api, const char *path, json_t *request,
                              struct fl_context *ctx)
{
    json_t *outcome = NULL;
    enum fl_error e = fl_api_call(api, "POST", path, request, &outcome, ctx);

    if (e == FL_OK && api->cli->json)
        e = fl_cli_write_json(api->cli, outcome, ctx);
    else if (e == FL_OK)
        e = show(api->cli, outcome, ctx);
    json_decref(outcome);
    return e;
}
