/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/init_make.h"

#include "cli/init_dir.h"
#include "cli/shipped.h"
#include "trust/cert.h"
#include "trust/datakey.h"
#include "trust/profile_sign.h"
#include "trust/token_check.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS ((fl_time_t)3600 * 1000)
#define DAY_MS (24 * HOUR_MS)
#define ROOT_LIFE (7305 * DAY_MS)    /* 20 years */
#define ISSUING_LIFE (1826 * DAY_MS) /* 5 years */
#define TOKEN_LIFE DAY_MS

enum { SECRET = 0600, PUBLIC = 0644 };

/* Everything while it is made. */
struct making {
    const struct fl_init_options *options;
    struct fl_init_result *result;
    struct fl_init_dir dir;
    fl_time_t now;
    EVP_PKEY *root_key;
    EVP_PKEY *issuing_key;
    EVP_PKEY *profile_key;
    X509 *root;
    struct fl_buffer root_der;
    struct fl_buffer issuing_der;
    struct fl_context *ctx;
};

/* Writes the text and frees it. */
static enum fl_error put(struct making *m, const char *name, unsigned mode, struct fl_buffer *text)
{
    enum fl_error error = FL_OK;

    if (text->failed)
        error = fl_fail(m->ctx, FL_ENOMEM, "%s: out of memory", name);
    else
        error = fl_init_dir_file(&m->dir, name, mode, fl_buffer_slice(text), m->ctx);
    fl_buffer_free(text);
    return error;
}

static enum fl_error put_key(struct making *m, const char *name, EVP_PKEY *key,
                             const char *passphrase)
{
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CERT);
    enum fl_error error = fl_key_to_pem(key, passphrase, &pem, m->ctx);

    if (error == FL_OK)
        return put(m, name, SECRET, &pem);
    fl_buffer_free(&pem);
    return fl_fail_in(m->ctx, error, "%s", name);
}

static enum fl_error put_certificate(struct making *m, const char *name, struct fl_slice der)
{
    struct fl_buffer pem = FL_BUFFER((size_t)2 * FL_LIMIT_CERT);
    enum fl_error error = fl_cert_to_pem(der, &pem, m->ctx);

    if (error == FL_OK)
        return put(m, name, PUBLIC, &pem);
    fl_buffer_free(&pem);
    return error;
}

static enum fl_error put_folders(struct making *m)
{
    static const struct {
        const char *name;
        unsigned mode;
    } folders[] = {{"keys", 0700},  {"keys/issued", 0700}, {"operator", 0700}, {"profiles", 0755},
                   {"state", 0700}, {"broker", 0700},      {"run", 0755}};
    enum fl_error error = FL_OK;

    for (size_t i = 0; error == FL_OK && i < sizeof folders / sizeof folders[0]; i++)
        error = fl_init_dir_folder(&m->dir, folders[i].name, folders[i].mode, m->ctx);
    return error;
}

/* One of the two authorities. Its name carries the beginning of its key's id, so that the roots of
 * two hubs in one trust store can be told apart. */
static enum fl_error make_authority(struct making *m, enum fl_cert_kind kind, EVP_PKEY *key,
                                    struct fl_buffer *der)
{
    char id[FL_KEY_ID_TEXT];
    char name[64];
    struct fl_cert_request request = {
        .kind = kind,
        .name = name,
        .not_before = m->now - HOUR_MS, /* for devices whose clock is a little behind */
        .not_after = m->now + (kind == FL_CERT_ROOT ? ROOT_LIFE : ISSUING_LIFE),
        .subject_key = key,
        .issuer = m->root,
        .issuer_key = m->root_key,
    };

    if (fl_key_id(key, id) != FL_OK)
        return fl_crypto_fail(m->ctx, "name a key");
    (void)snprintf(name, sizeof name, "Fairlead %s %.8s", kind == FL_CERT_ROOT ? "root" : "issuing",
                   id);
    return fl_cert_issue(&request, der, m->ctx);
}

static enum fl_error make_authorities(struct making *m)
{
    uint8_t digest[FL_SHA256_SIZE];
    enum fl_error error = fl_key_generate(&m->root_key, m->ctx);

    if (error == FL_OK)
        error = fl_key_generate(&m->issuing_key, m->ctx);
    if (error == FL_OK)
        error = make_authority(m, FL_CERT_ROOT, m->root_key, &m->root_der);
    if (error == FL_OK)
        error = fl_cert_x509(fl_buffer_slice(&m->root_der), &m->root, m->ctx);
    if (error == FL_OK)
        error = make_authority(m, FL_CERT_ISSUING, m->issuing_key, &m->issuing_der);
    if (error == FL_OK) {
        fl_sha256(fl_buffer_slice(&m->root_der), digest);
        fl_hex(m->result->root_sha256, sizeof m->result->root_sha256,
               fl_slice(digest, sizeof digest));
    }
    return error;
}

static enum fl_error put_authorities(struct making *m)
{
    enum fl_error error = put_key(m, "keys/root.key", m->root_key, m->options->root_passphrase);

    if (error == FL_OK)
        error = put_key(m, "keys/issuing.key", m->issuing_key, NULL);
    if (error == FL_OK)
        error = put_certificate(m, "keys/root.pem", fl_buffer_slice(&m->root_der));
    if (error == FL_OK)
        error = put_certificate(m, "keys/issuing.pem", fl_buffer_slice(&m->issuing_der));
    if (error == FL_OK)
        error = put_certificate(m, "ca.pem", fl_buffer_slice(&m->root_der));
    return error;
}

static enum fl_error put_data_key(struct making *m, const struct fl_random *random)
{
    uint8_t key[FL_DATAKEY_SIZE];
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_buffer none = FL_BUFFER(1);
    enum fl_error error = FL_OK;

    random->fill(random->self, key, sizeof key);
    error = fl_datakey_to_pem(key, &pem, m->ctx);
    explicit_bzero(key, sizeof key);
    if (error == FL_OK)
        error = put(m, "keys/data.key", SECRET, &pem);
    fl_buffer_free(&pem);
    /* Empty: the signer begins it. */
    if (error == FL_OK)
        error = put(m, "keys/device-keys", SECRET, &none);
    return error;
}

static enum fl_error put_profile(struct making *m, const struct fl_shipped *shipped)
{
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    char name[128];
    enum fl_error error =
        fl_profile_sign(fl_slice(shipped->begin, (size_t)(shipped->end - shipped->begin)),
                        m->profile_key, &text, m->ctx);

    (void)snprintf(name, sizeof name, "profiles/%s", shipped->file);
    if (error == FL_OK)
        return put(m, name, PUBLIC, &text);
    fl_buffer_free(&text);
    return fl_fail_in(m->ctx, error, "%s", name);
}

static enum fl_error put_profiles(struct making *m)
{
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CERT);
    enum fl_error error = fl_key_generate(&m->profile_key, m->ctx);

    if (error == FL_OK && fl_key_id(m->profile_key, m->result->profile_key) != FL_OK)
        error = fl_crypto_fail(m->ctx, "name the profile key");
    if (error == FL_OK)
        error = put_key(m, "operator/profile.key", m->profile_key, NULL);
    if (error == FL_OK)
        error = fl_key_public_pem(m->profile_key, &pem, m->ctx);
    if (error == FL_OK)
        error = put(m, "profile-keys.pem", PUBLIC, &pem);
    for (size_t i = 0; error == FL_OK && i < fl_shipped_profile_count; i++)
        error = put_profile(m, &fl_shipped_profiles[i]);
    fl_buffer_free(&pem);
    return error;
}

static const char conf_head[] =
    "# The hub's configuration. After a change: fairlead-hub --check DIR, then start the hub "
    "anew.\n"
    "\n"
    "# Names and addresses under which devices reach this hub. The first goes into enrolment\n"
    "# tokens, all go into the server's certificate.\n"
    "host  ";
static const char conf_ports[] = "\n\n# A port, or an address and a port. Without an address: "
                                 "every address of this machine, or\n"
                                 "# only loopback when the hosts above are loopback.\n"
                                 "mqtt   %u\n"
                                 "https  %u\n"
                                 "\n"
                                 "# error, warn, info or debug\n"
                                 "log    info\n";

static enum fl_error put_conf(struct making *m)
{
    struct fl_buffer text = FL_BUFFER((size_t)16 * 1024);

    (void)fl_buffer_append_str(&text, conf_head);
    for (size_t i = 0; i < m->options->host_count; i++)
        (void)fl_buffer_printf(&text, " %s", m->options->hosts[i]);
    (void)fl_buffer_printf(&text, conf_ports, m->options->mqtt_port, m->options->https_port);
    return put(m, "hub.conf", PUBLIC, &text);
}

static enum fl_error put_admin(struct making *m, const uint8_t secret[FL_TOKEN_SECRET_SIZE])
{
    uint8_t digest[FL_SHA256_SIZE];
    char hex[2 * FL_SHA256_SIZE + 1];
    char expires[FL_TIME_TEXT_MAX];
    struct fl_buffer text = FL_BUFFER(4096);
    json_t *record = NULL;
    char *dumped = NULL;

    fl_token_check_hash(secret, digest);
    fl_hex(hex, sizeof hex, fl_slice(digest, sizeof digest));
    record = json_pack("{s:s, s:s, s:s}", "sha256", hex, "expires",
                       fl_time_format(m->result->token_expires, expires), "name", FL_INIT_ADMIN);
    dumped = record ? json_dumps(record, JSON_COMPACT) : NULL;
    json_decref(record);
    if (!dumped)
        return fl_fail(m->ctx, FL_ENOMEM, "state/first-admin: out of memory");
    (void)fl_buffer_printf(&text, "%s\n", dumped);
    free(dumped);
    return put(m, "state/first-admin", SECRET, &text);
}

static enum fl_error make_token(struct making *m, const struct fl_random *random)
{
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
    struct fl_token token = {.kind = FL_TOKEN_PRINCIPAL,
                             .id = FL_INIT_ADMIN,
                             .expires = m->now + TOKEN_LIFE,
                             .https_port = m->options->https_port,
                             .mqtt_port = m->options->mqtt_port};
    enum fl_error error = FL_OK;

    m->result->token_expires = token.expires;
    random->fill(random->self, token.secret, sizeof token.secret);
    fl_sha256(fl_buffer_slice(&m->root_der), token.root_sha256);
    (void)fl_str_copy(token.host, sizeof token.host, m->options->hosts[0]);
    error = fl_token_encode(&token, &text);
    if (error == FL_OK)
        (void)fl_str_copy_slice(m->result->token, sizeof m->result->token, fl_buffer_slice(&text));
    else
        (void)fl_fail(m->ctx, error, "the first administrator's token cannot be made");
    if (error == FL_OK)
        error = put_admin(m, token.secret);
    fl_buffer_free(&text);
    explicit_bzero(&token, sizeof token);
    return error;
}

static enum fl_error make_all(struct making *m, const char *path, const struct fl_random *random)
{
    enum fl_error error = fl_init_dir_open(&m->dir, path, m->ctx);

    if (error == FL_OK)
        error = put_folders(m);
    if (error == FL_OK)
        error = make_authorities(m);
    if (error == FL_OK)
        error = put_authorities(m);
    if (error == FL_OK)
        error = put_data_key(m, random);
    if (error == FL_OK)
        error = put_profiles(m);
    if (error == FL_OK)
        error = put_conf(m);
    if (error == FL_OK)
        error = make_token(m, random);
    if (error == FL_OK)
        error = fl_init_dir_publish(&m->dir, "hub.conf", m->ctx);
    fl_init_dir_discard(&m->dir);
    return error;
}

enum fl_error fl_init_make(const char *path, const struct fl_init_options *options,
                           const struct fl_clock *clock, const struct fl_random *random,
                           struct fl_init_result *result, struct fl_context *ctx)
{
    struct making m = {.options = options,
                       .result = result,
                       .now = fl_clock_now(clock) / 1000 * 1000,
                       .root_der = FL_BUFFER(FL_LIMIT_CERT),
                       .issuing_der = FL_BUFFER(FL_LIMIT_CERT),
                       .ctx = ctx};
    enum fl_error error = FL_OK;

    *result = (struct fl_init_result){0};
    error = make_all(&m, path, random);
    if (error == FL_OK)
        (void)fl_str_copy(result->place, sizeof result->place, m.dir.place);
    else
        explicit_bzero(result, sizeof *result);
    fl_buffer_free(&m.issuing_der);
    fl_buffer_free(&m.root_der);
    X509_free(m.root);
    EVP_PKEY_free(m.profile_key);
    EVP_PKEY_free(m.issuing_key);
    EVP_PKEY_free(m.root_key);
    return error;
}
