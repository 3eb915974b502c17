/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/enrol_verb.h"

#include "agent/enrol.h"
#include "agent/folder.h"
#include "agent/key.h"
#include "base/log.h"
#include "io/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

/* May this folder take the token's identity? */
static enum fl_error judge_folder(const struct fl_files *files,
                                  const struct fl_enrol_options *options,
                                  const struct fl_token *token, struct fl_context *ctx)
{
    struct fl_self old = {0};
    enum fl_error error = FL_OK;

    fl_self_init(&old);
    error = fl_self_load(files, &old, ctx);
    if (error == FL_ENOTFOUND || (error && options->again))
        error = FL_OK; /* new, or damaged: that is what --again is for */
    else if (!error && strcmp(old.device, token->id) != 0)
        error = fl_fail(ctx, FL_EEXISTS,
                        "%s belongs to '%s', the token is for '%s': use a folder for each device",
                        options->dir, old.device, token->id);
    else if (!error && !options->again)
        error = fl_fail(ctx, FL_EEXISTS,
                        "%s is enrolled as '%s' already; --again replaces its key and certificate",
                        options->dir, old.device);
    if (!error)
        ctx->text[0] = 0;
    fl_self_free(&old);
    return error;
}

static enum fl_error print_json(const struct fl_enrol_options *options,
                                const struct fl_self *identity, const struct fl_cert_info *info,
                                struct fl_context *ctx)
{
    char from[FL_TIME_TEXT_MAX];
    char until[FL_TIME_TEXT_MAX];
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:s, s:{s:s, s:s, s:s}}", "id", identity->device, "dir",
        options->dir, "hub", identity->host, "mqtt_port", (int)identity->mqtt_port, "https_port",
        (int)identity->https_port, "key", fl_agent_key_kind(identity), "certificate", "serial",
        info->serial, "not_before", fl_time_format(info->not_before, from), "not_after",
        fl_time_format(info->not_after, until));
    bool printed = object && json_dumpf(object, stdout, JSON_INDENT(2)) == 0 &&
                   fputc('\n', stdout) != EOF && fflush(stdout) == 0;

    json_decref(object);
    return printed ? FL_OK : fl_fail(ctx, FL_EIO, "the result cannot be printed");
}

static void print_words(const struct fl_enrol_options *options, const struct fl_self *identity,
                        const struct fl_cert_info *info)
{
    char until[FL_TIME_TEXT_MAX];

    (void)printf("%s is enrolled at %s: certificate %s, valid until %s, key in %s.\n",
                 identity->device, identity->host, info->serial,
                 fl_time_format(info->not_after, until), fl_agent_key_place_words(identity));
    (void)printf("Next: fairlead-agent run --dir %s --sensor host\n", options->dir);
}

/* What was there before: how it is renewed stays as it was told, a renewal that was begun and a key
 * in a token have no use any more. */
static enum fl_error replace(const struct fl_files *files, struct fl_self *identity,
                             struct fl_context *ctx)
{
    struct fl_self old = {0};
    enum fl_error error = FL_OK;
    bool had = false;

    fl_self_init(&old);
    had = fl_self_load(files, &old, NULL) == FL_OK;
    if (had) {
        identity->renew_percent = old.renew_percent;
        identity->renew_same_key = old.renew_same_key;
        /* What it found in the token is what it made itself before. */
        if (!old.key_found &&
            fl_slice_equal(fl_buffer_slice(&old.key_pem), fl_buffer_slice(&identity->key_pem)))
            identity->key_found = false;
    }
    error = fl_self_save(files, identity, ctx);
    if (!error)
        error = fl_self_next_remove(files, ctx);
    if (!error && had)
        fl_agent_key_retire(&old, identity);
    fl_self_free(&old);
    return error;
}

static enum fl_error enrol_into(const struct fl_enrol_options *options,
                                const struct fl_files *files, const struct fl_token *token,
                                struct fl_context *ctx)
{
    struct fl_self identity = {0};
    struct fl_agent_key key = {0};
    struct fl_cert_info info = {0};
    fl_time_t now = fl_clock_now(fl_clock_system());
    enum fl_error error = FL_OK;

    fl_self_init(&identity);
    error = fl_agent_key_make(options->key, &identity, &key, ctx);
    if (!error)
        error = fl_enrol(token, fl_slice_str(options->token), key.key, now, &identity, &info, ctx);
    if (!error)
        error = replace(files, &identity, ctx);
    if (!error && options->json)
        error = print_json(options, &identity, &info, ctx);
    else if (!error && !options->quiet)
        print_words(options, &identity, &info);
    fl_agent_key_free(&key);
    fl_self_free(&identity);
    return error;
}

enum fl_error fl_enrol_verb(const struct fl_enrol_options *options, struct fl_context *ctx)
{
    struct fl_token token = {0};
    struct fl_folder folder = {0};
    enum fl_error error = fl_token_decode(fl_slice_str(options->token), &token, ctx);

    if (!error)
        error = fl_enrol_token(&token, fl_clock_now(fl_clock_system()), ctx);
    if (error)
        return error;
    error = fl_folder_open(options->dir, true, &folder, ctx);
    if (!error)
        error = judge_folder(&folder.identity, options, &token, ctx);
    if (!error)
        error = enrol_into(options, &folder.identity, &token, ctx);
    fl_folder_close(&folder);
    explicit_bzero(&token, sizeof token);
    return error;
}
