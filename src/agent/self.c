/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/self.h"

#include "codec/conf.h"
#include "trust/key.h"

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
        .renew_percent = FL_RENEW_PERCENT,
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

static const char *const key_places[] = {"file", "tpm", "pkcs11"};

enum { KEY_PLACES = sizeof key_places / sizeof key_places[0] };

enum fl_error fl_self_to_conf(const struct fl_self *identity, struct fl_buffer *text,
                              struct fl_context *ctx)
{
    for (const char *c = identity->key_where; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7F)
            return fl_fail(ctx, FL_EINVAL,
                           "a TCTI or PKCS #11 URI has printable ASCII characters only");
    (void)fl_buffer_append_str(text,
                               "# Written by fairlead-agent enrol. The hub may be moved: edit "
                               "host and ports here.\n"
                               "# How and when the certificate is renewed: "
                               "man fairlead-agent.\n");
    (void)fl_buffer_printf(text, "device  %s\n", identity->device);
    (void)fl_buffer_printf(text, "hub     \"%s\"\n", identity->host);
    (void)fl_buffer_printf(text, "mqtt    %u\n", identity->mqtt_port);
    (void)fl_buffer_printf(text, "https   %u\n", identity->https_port);
    (void)fl_buffer_printf(text, "key     %s", key_places[identity->key_place]);
    if (identity->key_place != FL_KEY_FILE) {
        (void)fl_buffer_append_byte(text, ' ');
        put_quoted(text, identity->key_where);
    }
    (void)fl_buffer_append_str(text, identity->key_found ? " found\n" : "\n");
    if (identity->renew_percent)
        (void)fl_buffer_printf(text, "renew-at   %u%%\n", identity->renew_percent);
    else
        (void)fl_buffer_append_str(text, "renew-at   never\n");
    (void)fl_buffer_printf(text, "renew-key  %s\n", identity->renew_same_key ? "same" : "new");
    return text->failed ? fl_fail(ctx, FL_ELIMIT, "%s: too large", conf_name) : FL_OK;
}

static const struct fl_conf_rule conf_rules[] = {
    {.name = "device", .words_min = 1, .words_max = 1, .required = true, .usage = "device ID"},
    {.name = "hub", .words_min = 1, .words_max = 1, .required = true, .usage = "hub HOST"},
    {.name = "mqtt", .words_min = 1, .words_max = 1, .required = true, .usage = "mqtt PORT"},
    {.name = "https", .words_min = 1, .words_max = 1, .required = true, .usage = "https PORT"},
    {.name = "key",
     .words_min = 1,
     .words_max = 3,
     .required = true,
     .usage = "key file, key tpm TCTI, or key pkcs11 URI [found]"},
    {.name = "renew-at",
     .words_min = 1,
     .words_max = 1,
     .usage = "renew-at PERCENT% (of the certificate's life), or renew-at never"},
    {.name = "renew-key", .words_min = 1, .words_max = 1, .usage = "renew-key new, or same"},
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

    size_t place = 0;

    while (place < KEY_PLACES && !fl_slice_is(node->words[1].text, key_places[place]))
        place++;
    if (place == KEY_PLACES)
        return fl_conf_fail(conf, node, 1, ctx, "expected file, tpm TCTI, or pkcs11 URI");
    identity->key_place = (enum fl_key_place)place;
    identity->key_found = node->word_count == 4;
    if ((identity->key_place == FL_KEY_FILE) != (node->word_count == 2) ||
        (identity->key_found &&
         (identity->key_place != FL_KEY_PKCS11 || !fl_slice_is(node->words[3].text, "found"))))
        return fl_conf_fail(conf, node, 1, ctx,
                            "expected key file, key tpm TCTI, or key pkcs11 URI [found]");
    if (node->word_count > 2 &&
        !fl_str_copy_slice(identity->key_where, sizeof identity->key_where, node->words[2].text))
        return fl_conf_fail(conf, node, 2, ctx, "over %zu characters",
                            sizeof identity->key_where - 1);
    return FL_OK;
}

static enum fl_error read_renewal(const struct fl_conf *conf, struct fl_self *identity,
                                  struct fl_context *ctx)
{
    const struct fl_conf_node *at = fl_conf_find(conf->root, "renew-at");
    const struct fl_conf_node *key = fl_conf_find(conf->root, "renew-key");
    struct fl_slice text = at ? at->words[1].text : fl_slice(NULL, 0);
    uint64_t percent = 0;

    identity->renew_percent = at ? 0 : FL_RENEW_PERCENT;
    if (at && !fl_slice_is(text, "never")) {
        if (text.size && text.data[text.size - 1] == '%')
            text.size--;
        if (fl_str_to_u64(text, FL_LIMIT_RENEW_PERCENT, &percent) != FL_OK || percent == 0)
            return fl_conf_fail(conf, at, 1, ctx, "expected 1%% to %d%%, or never",
                                FL_LIMIT_RENEW_PERCENT);
        identity->renew_percent = (unsigned)percent;
    }
    identity->renew_same_key = key && fl_slice_is(key->words[1].text, "same");
    if (key && !identity->renew_same_key && !fl_slice_is(key->words[1].text, "new"))
        return fl_conf_fail(conf, key, 1, ctx, "expected new or same");
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
    if (!error)
        error = read_renewal(&conf, identity, ctx);
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

/* Each part as prefix, name, suffix. */
static enum fl_error write_parts(const struct fl_files *files, const char *prefix,
                                 const struct fl_self *identity, const char *suffix,
                                 struct fl_context *ctx)
{
    const struct fl_buffer *parts[] = {&identity->key_pem, &identity->cert_pem,
                                       &identity->chain_pem, &identity->ca_pem};
    char name[32];
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < PARTS && !error; i++) {
        (void)snprintf(name, sizeof name, "%s%s%s", prefix, part_names[i], suffix);
        error = write_file(files, name, fl_buffer_slice(parts[i]), ctx);
    }
    return error;
}

static enum fl_error read_parts(const struct fl_files *files, const char *prefix,
                                struct fl_self *identity, struct fl_context *ctx)
{
    struct fl_buffer *parts[] = {&identity->key_pem, &identity->cert_pem, &identity->chain_pem,
                                 &identity->ca_pem};
    char name[32];
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < PARTS && !error; i++) {
        (void)snprintf(name, sizeof name, "%s%s", prefix, part_names[i]);
        error = read_file(files, name, parts[i], ctx);
    }
    return error;
}

/* The files of `identity` and this agent.conf, in place of what is there. */
static enum fl_error replace(const struct fl_files *files, const struct fl_self *identity,
                             struct fl_slice conf, struct fl_context *ctx)
{
    char fresh[32];
    enum fl_error error = write_parts(files, "", identity, ".new", ctx);

    if (!error)
        error = write_file(files, "agent.conf.tmp", conf, ctx);
    if (!error)
        error = files->rename(files->self, "agent.conf.tmp", new_name(conf_name, fresh), ctx);
    return error ? error : finish(files, ctx);
}

enum fl_error fl_self_save(const struct fl_files *files, const struct fl_self *identity,
                           struct fl_context *ctx)
{
    struct fl_buffer conf = FL_BUFFER(CONF_MAX);
    enum fl_error error = finish(files, ctx);

    if (!error)
        error = fl_self_to_conf(identity, &conf, ctx);
    if (!error)
        error = replace(files, identity, fl_buffer_slice(&conf), ctx);
    fl_buffer_free(&conf);
    return error ? fl_fail_in(ctx, error, "save the identity") : FL_OK;
}

static enum fl_error load_conf(const struct fl_files *files, struct fl_self *identity,
                               struct fl_context *ctx)
{
    struct fl_buffer conf = FL_BUFFER(CONF_MAX);
    enum fl_error error = read_file(files, conf_name, &conf, ctx);

    if (!error)
        error = fl_self_from_conf(fl_buffer_slice(&conf), identity, ctx);
    fl_buffer_free(&conf);
    return error;
}

enum fl_error fl_self_load(const struct fl_files *files, struct fl_self *identity,
                           struct fl_context *ctx)
{
    enum fl_error error = finish(files, ctx);

    if (!error && !is_there(files, conf_name))
        error = fl_fail(ctx, FL_ENOTFOUND,
                        "not enrolled: there is no agent.conf (fairlead-agent enrol makes it)");
    if (!error)
        error = load_conf(files, identity, ctx);
    return error ? error : read_parts(files, "", identity, ctx);
}

static enum fl_error read_first(void *to, struct fl_slice der)
{
    enum fl_error error = fl_cert_read(der, to, NULL);

    return error ? error : FL_ECLOSED; /* ends the walk */
}

bool fl_self_certificate(struct fl_slice cert_pem, struct fl_cert_info *info)
{
    return fl_cert_each_pem(cert_pem, read_first, info, NULL) == FL_ECLOSED &&
           info->kind == FL_CERT_DEVICE;
}

/* --- The next identity ------------------------------------------------------------------------
 */

static const char next_ready[] = "next-ready";

/* What next-ready says: a digest of the files, because a removal may be undone by a power cut, and
 * then files of two renewals stand side by side. */
static void digest_of(const struct fl_self *next, char text[2 * FL_SHA256_SIZE + 1])
{
    const struct fl_buffer *parts[] = {&next->key_pem, &next->cert_pem, &next->chain_pem,
                                       &next->ca_pem};
    uint8_t each[PARTS][FL_SHA256_SIZE];
    uint8_t all[FL_SHA256_SIZE];

    for (size_t i = 0; i < PARTS; i++)
        fl_sha256(fl_buffer_slice(parts[i]), each[i]);
    fl_sha256(fl_slice(each, sizeof each), all);
    fl_hex(text, 2 * FL_SHA256_SIZE + 1, fl_slice(all, sizeof all));
}

static enum fl_error remove_file(const struct fl_files *files, const char *name,
                                 struct fl_context *ctx)
{
    return is_there(files, name) ? files->remove(files->self, name, ctx) : FL_OK;
}

/* What says that it is whole goes first. */
enum fl_error fl_self_next_remove(const struct fl_files *files, struct fl_context *ctx)
{
    char name[32];
    enum fl_error error = remove_file(files, next_ready, ctx);

    for (size_t i = 0; i < PARTS && !error; i++) {
        (void)snprintf(name, sizeof name, "next-%s", part_names[i]);
        error = remove_file(files, name, ctx);
    }
    return error ? fl_fail_in(ctx, error, "forget the next identity") : FL_OK;
}

enum fl_error fl_self_next_save(const struct fl_files *files, const struct fl_self *next,
                                struct fl_context *ctx)
{
    char digest[2 * FL_SHA256_SIZE + 1];
    enum fl_error error = fl_self_next_remove(files, ctx);

    digest_of(next, digest);
    if (!error)
        error = write_parts(files, "next-", next, "", ctx);
    if (!error)
        error = write_file(files, "next-ready.tmp", fl_slice_str(digest), ctx);
    if (!error)
        error = files->rename(files->self, "next-ready.tmp", next_ready, ctx);
    return error ? fl_fail_in(ctx, error, "save the next identity") : FL_OK;
}

enum fl_error fl_self_next_load(const struct fl_files *files, struct fl_self *next,
                                struct fl_context *ctx)
{
    struct fl_buffer ready = FL_BUFFER(CONF_MAX);
    char digest[2 * FL_SHA256_SIZE + 1];
    enum fl_error error = FL_OK;

    if (!is_there(files, next_ready))
        return FL_ENOTFOUND;
    error = read_file(files, next_ready, &ready, ctx);
    if (!error)
        error = load_conf(files, next, ctx);
    if (!error)
        error = read_parts(files, "next-", next, ctx);
    digest_of(next, digest);
    if (!error && !fl_slice_is(fl_buffer_slice(&ready), digest))
        error = FL_ENOTFOUND;
    fl_buffer_free(&ready);
    return error;
}

enum fl_error fl_self_next_promote(const struct fl_files *files, const struct fl_self *next,
                                   struct fl_context *ctx)
{
    struct fl_buffer conf = FL_BUFFER(CONF_MAX);
    enum fl_error error = finish(files, ctx);

    if (!error)
        error = read_file(files, conf_name, &conf, ctx);
    if (!error)
        error = replace(files, next, fl_buffer_slice(&conf), ctx);
    if (!error)
        error = fl_self_next_remove(files, ctx);
    fl_buffer_free(&conf);
    return error ? fl_fail_in(ctx, error, "save the renewed identity") : FL_OK;
}
