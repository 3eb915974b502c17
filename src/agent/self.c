/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/self.h"

#include "codec/conf.h"

#include <stdio.h>

enum { CONF_MAX = 4096 };

static const char conf_name[] = "agent.conf";

void fl_self_init(struct fl_self *identity)
{
    *identity = (struct fl_self){
        .key_pem = FL_BUFFER(FL_LIMIT_CERT),
        .cert_pem = FL_BUFFER(FL_LIMIT_CHAIN),
        .chain_pem = FL_BUFFER(FL_LIMIT_CHAIN),
        .ca_pem = FL_BUFFER(FL_LIMIT_CHAIN),
    };
}

void fl_self_free(struct fl_self *identity)
{
    fl_buffer_free(&identity->key_pem);
    fl_buffer_free(&identity->cert_pem);
    fl_buffer_free(&identity->chain_pem);
    fl_buffer_free(&identity->ca_pem);
}

/* --- agent.conf --------------------------------------------------------------------------------
 */

static void put_quoted(struct fl_buffer *text, const char *word)
{
    (void)fl_buffer_append_byte(text, '"');
    for (; *word; word++) {
        if (*word == '"' || *word == '\\')
            (void)fl_buffer_append_byte(text, '\\');
        (void)fl_buffer_append_byte(text, (uint8_t)*word);
    }
    (void)fl_buffer_append_byte(text, '"');
}

enum fl_error fl_self_to_conf(const struct fl_self *identity, struct fl_buffer *text,
                              struct fl_context *ctx)
{
    for (const char *c = identity->tcti; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7F)
            return fl_fail(ctx, FL_EINVAL, "a TCTI has printable ASCII characters only");
    (void)fl_buffer_append_str(text,
                               "# Written by fairlead-agent enrol. The hub may be moved: edit "
                               "host and ports here.\n");
    (void)fl_buffer_printf(text, "device  %s\n", identity->device);
    (void)fl_buffer_printf(text, "hub     \"%s\"\n", identity->host);
    (void)fl_buffer_printf(text, "mqtt    %u\n", identity->mqtt_port);
    (void)fl_buffer_printf(text, "https   %u\n", identity->https_port);
    if (identity->in_tpm) {
        (void)fl_buffer_append_str(text, "key     tpm ");
        put_quoted(text, identity->tcti);
        (void)fl_buffer_append_str(text, "\n");
    } else {
        (void)fl_buffer_append_str(text, "key     file\n");
    }
    return text->failed ? fl_fail(ctx, FL_ELIMIT, "%s: too large", conf_name) : FL_OK;
}

static const struct fl_conf_rule conf_rules[] = {
    {.name = "device", .words_min = 1, .words_max = 1, .required = true, .usage = "device ID"},
    {.name = "hub", .words_min = 1, .words_max = 1, .required = true, .usage = "hub HOST"},
    {.name = "mqtt", .words_min = 1, .words_max = 1, .required = true, .usage = "mqtt PORT"},
    {.name = "https", .words_min = 1, .words_max = 1, .required = true, .usage = "https PORT"},
    {.name = "key",
     .words_min = 1,
     .words_max = 2,
     .required = true,
     .usage = "key file, or key tpm TCTI"},
    {0},
};

static enum fl_error read_port(const struct fl_conf *conf, const char *name, uint16_t *port,
                               struct fl_context *ctx)
{
    uint64_t number = 0;
    enum fl_error error =
        fl_conf_u64(conf, fl_conf_find(conf->root, name), 1, 1, UINT16_MAX, &number, ctx);

    *port = (uint16_t)number;
    return error;
}

static enum fl_error read_host(const struct fl_conf *conf, struct fl_self *identity,
                               struct fl_context *ctx)
{
    const struct fl_conf_node *node = fl_conf_find(conf->root, "hub");
    struct fl_slice host = node->words[1].text;

    for (size_t i = 0; i < host.size; i++)
        if (host.data[i] <= ' ' || host.data[i] >= 0x7F)
            return fl_conf_fail(conf, node, 1, ctx, "not a host name or address");
    if (host.size == 0 || !fl_str_copy_slice(identity->host, sizeof identity->host, host))
        return fl_conf_fail(conf, node, 1, ctx, "a host has 1 to %d characters", FL_LIMIT_HOST);
    return FL_OK;
}

static enum fl_error read_key(const struct fl_conf *conf, struct fl_self *identity,
                              struct fl_context *ctx)
{
    const struct fl_conf_node *node = fl_conf_find(conf->root, "key");

    identity->in_tpm = fl_slice_is(node->words[1].text, "tpm");
    if (!identity->in_tpm && !fl_slice_is(node->words[1].text, "file"))
        return fl_conf_fail(conf, node, 1, ctx, "expected file, or tpm TCTI");
    if (identity->in_tpm != (node->word_count == 3))
        return fl_conf_fail(conf, node, 1, ctx, "expected key file, or key tpm TCTI");
    if (identity->in_tpm &&
        !fl_str_copy_slice(identity->tcti, sizeof identity->tcti, node->words[2].text))
        return fl_conf_fail(conf, node, 2, ctx, "a TCTI has at most %zu characters",
                            sizeof identity->tcti - 1);
    return FL_OK;
}

enum fl_error fl_self_from_conf(struct fl_slice text, struct fl_self *identity,
                                struct fl_context *ctx)
{
    struct fl_conf conf = {0};
    enum fl_error error = fl_conf_parse(text, conf_name, &conf, ctx);

    if (!error)
        error = fl_conf_check(&conf, conf.root, conf_rules, ctx);
    if (!error)
        error = fl_conf_name(&conf, fl_conf_find(conf.root, "device"), 1, identity->device, ctx);
    if (!error)
        error = read_host(&conf, identity, ctx);
    if (!error)
        error = read_port(&conf, "mqtt", &identity->mqtt_port, ctx);
    if (!error)
        error = read_port(&conf, "https", &identity->https_port, ctx);
    if (!error)
        error = read_key(&conf, identity, ctx);
    fl_conf_free(&conf);
    return error;
}

/* --- The folder --------------------------------------------------------------------------------
 */

static const char *const part_names[] = {"key.pem", "cert.pem", "chain.pem", "ca.pem"};

enum { PARTS = sizeof part_names / sizeof part_names[0] };

static const char *new_name(const char *name, char to[32])
{
    (void)snprintf(to, 32, "%s.new", name);
    return to;
}

/* Whole, and on stable storage when it returns. */
static enum fl_error write_file(const struct fl_files *files, const char *name,
                                struct fl_slice text, struct fl_context *ctx)
{
    enum fl_error error = files->write(files->self, name, 0, text, ctx);

    if (!error)
        error = files->truncate(files->self, name, text.size, ctx);
    if (!error)
        error = files->sync(files->self, name, ctx);
    return error;
}

static enum fl_error read_file(const struct fl_files *files, const char *name,
                               struct fl_buffer *text, struct fl_context *ctx)
{
    uint64_t size = 0;
    size_t got = 0;
    uint8_t *room = NULL;
    enum fl_error error = files->size(files->self, name, &size, ctx);

    if (error)
        return error;
    room = size <= text->max ? fl_buffer_reserve(text, (size_t)size) : NULL;
    if (!room)
        return fl_fail(ctx, FL_ELIMIT, "%s: %llu bytes are too many", name,
                       (unsigned long long)size);
    error = files->read(files->self, name, 0, room, (size_t)size, &got, ctx);
    if (!error)
        fl_buffer_commit(text, got);
    return error;
}

static bool is_there(const struct fl_files *files, const char *name)
{
    uint64_t size = 0;

    return files->size(files->self, name, &size, NULL) == FL_OK;
}

/* Carries out what agent.conf.new has decided; any number of times. */
static enum fl_error finish(const struct fl_files *files, struct fl_context *ctx)
{
    char fresh[32];
    enum fl_error error = FL_OK;

    if (!is_there(files, new_name(conf_name, fresh)))
        return FL_OK;
    for (size_t i = 0; i < PARTS && !error; i++)
        if (is_there(files, new_name(part_names[i], fresh)))
            error = files->rename(files->self, fresh, part_names[i], ctx);
    if (!error)
        error = files->rename(files->self, new_name(conf_name, fresh), conf_name, ctx);
    return error;
}

enum fl_error fl_self_save(const struct fl_files *files, const struct fl_self *identity,
                           struct fl_context *ctx)
{
    const struct fl_buffer *parts[] = {&identity->key_pem, &identity->cert_pem,
                                       &identity->chain_pem, &identity->ca_pem};
    struct fl_buffer conf = FL_BUFFER(CONF_MAX);
    char fresh[32];
    enum fl_error error = finish(files, ctx);

    if (!error)
        error = fl_self_to_conf(identity, &conf, ctx);
    for (size_t i = 0; i < PARTS && !error; i++)
        error = write_file(files, new_name(part_names[i], fresh), fl_buffer_slice(parts[i]), ctx);
    if (!error)
        error = write_file(files, "agent.conf.tmp", fl_buffer_slice(&conf), ctx);
    if (!error)
        error = files->rename(files->self, "agent.conf.tmp", new_name(conf_name, fresh), ctx);
    if (!error)
        error = finish(files, ctx);
    fl_buffer_free(&conf);
    return error ? fl_fail_in(ctx, error, "save the identity") : FL_OK;
}

enum fl_error fl_self_load(const struct fl_files *files, struct fl_self *identity,
                           struct fl_context *ctx)
{
    struct fl_buffer *parts[] = {&identity->key_pem, &identity->cert_pem, &identity->chain_pem,
                                 &identity->ca_pem};
    struct fl_buffer conf = FL_BUFFER(CONF_MAX);
    enum fl_error error = finish(files, ctx);

    if (!error && !is_there(files, conf_name))
        error = fl_fail(ctx, FL_ENOTFOUND,
                        "not enrolled: there is no agent.conf (fairlead-agent enrol makes it)");
    if (!error)
        error = read_file(files, conf_name, &conf, ctx);
    if (!error)
        error = fl_self_from_conf(fl_buffer_slice(&conf), identity, ctx);
    for (size_t i = 0; i < PARTS && !error; i++)
        error = read_file(files, part_names[i], parts[i], ctx);
    fl_buffer_free(&conf);
    return error;
}
