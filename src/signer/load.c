/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "codec/conf.h"
#include "io/clock.h"
#include "signer/issue.h"
#include "trust/key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 4096, PATH_SIZE = 4096 + 64, HISTORY_FILES = 16, HISTORY_PAGE = 1024 * 1024 };

static enum fl_error read_all(int fd, struct fl_buffer *out, struct fl_context *ctx)
{
    for (;;) {
        size_t left = out->max - out->size;
        uint8_t *room = fl_buffer_reserve(out, left < CHUNK ? left : CHUNK);
        ssize_t got = 0;

        if (!room)
            return fl_fail(ctx, FL_ENOMEM, "out of memory");
        if (left == 0)
            return fl_fail(ctx, FL_ELIMIT, "%zu octets or more", out->max);
        do
            got = read(fd, room, left < CHUNK ? left : CHUNK);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return fl_fail(ctx, FL_EIO, "%s", strerror(errno));
        if (got == 0)
            return FL_OK;
        fl_buffer_commit(out, (size_t)got);
    }
}

/* A `secret` file must not be readable by others: then it is a secret no longer. */
static enum fl_error read_file(const char *dir, const char *name, bool secret,
                               struct fl_buffer *out, struct fl_context *ctx)
{
    char path[PATH_SIZE];
    struct stat stat = {0};
    enum fl_error error = FL_OK;
    int fd = -1;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fl_fail(ctx, errno == ENOENT ? FL_ENOTFOUND : FL_EIO, "%s: %s", name,
                       strerror(errno));
    if (fstat(fd, &stat) != 0)
        error = fl_fail(ctx, FL_EIO, "%s", strerror(errno));
    else if (!S_ISREG(stat.st_mode))
        error = fl_fail(ctx, FL_EINVAL, "not a file");
    else if (secret && (stat.st_mode & 077) != 0)
        error = fl_fail(ctx, FL_EDENIED,
                        "others can read this key (mode %03o): treat it as stolen, or chmod 600",
                        (unsigned)stat.st_mode & 0777U);
    else
        error = read_all(fd, out, ctx);
    (void)close(fd);
    return fl_fail_in(ctx, error, "%s", name);
}

static enum fl_error first_certificate(void *to, struct fl_slice der)
{
    struct fl_buffer *out = to;

    return out->size > 0 ? FL_EEXISTS : fl_buffer_append_slice(out, der);
}

static enum fl_error read_certificate(const char *dir, const char *name, enum fl_cert_kind kind,
                                      struct fl_buffer *der, struct fl_cert_info *info,
                                      struct fl_context *ctx)
{
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CHAIN);
    enum fl_error error = read_file(dir, name, false, &pem, ctx);

    if (error == FL_OK) {
        error = fl_cert_each_pem(fl_buffer_slice(&pem), first_certificate, der, ctx);
        if (error == FL_EEXISTS)
            error = fl_fail(ctx, FL_EPARSE, "more than one certificate");
        if (error == FL_OK)
            error = fl_cert_read(fl_buffer_slice(der), info, ctx);
        if (error == FL_OK && info->kind != kind)
            error = fl_fail(ctx, FL_EINVAL, "not a certificate of the right kind");
        (void)fl_fail_in(ctx, error, "%s", name);
    }
    fl_buffer_free(&pem);
    return error;
}

static enum fl_error signed_by(X509 *certificate, X509 *issuer, struct fl_context *ctx)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);

    if (!key || X509_verify(certificate, key) != 1) {
        ERR_clear_error();
        return fl_fail(ctx, FL_EAUTH, "keys/issuing.pem is not signed by keys/root.pem");
    }
    return FL_OK;
}

static enum fl_error load_certificates(struct fl_signer *signer, const char *dir, fl_time_t now,
                                       struct fl_context *ctx)
{
    struct fl_cert_info issuing = {0};
    struct fl_cert_info root = {0};
    X509 *root_x509 = NULL;
    char until[FL_TIME_TEXT_MAX];
    enum fl_error error = read_certificate(dir, "keys/issuing.pem", FL_CERT_ISSUING,
                                           &signer->issuing_der, &issuing, ctx);

    if (error == FL_OK)
        error = read_certificate(dir, "keys/root.pem", FL_CERT_ROOT, &signer->root_der, &root, ctx);
    if (error == FL_OK)
        error = fl_cert_x509(fl_buffer_slice(&signer->issuing_der), &signer->issuing, ctx);
    if (error == FL_OK)
        error = fl_cert_x509(fl_buffer_slice(&signer->root_der), &root_x509, ctx);
    if (error == FL_OK)
        error = signed_by(signer->issuing, root_x509, ctx);
    if (error == FL_OK && now >= issuing.not_after)
        error = fl_fail(ctx, FL_EEXPIRED, "keys/issuing.pem expired at %s",
                        fl_time_format(issuing.not_after, until));
    X509_free(root_x509);
    signer->policy.issuing_from = issuing.not_before;
    signer->policy.issuing_until = issuing.not_after;
    return error;
}

static enum fl_error load_key(struct fl_signer *signer, const char *dir, struct fl_context *ctx)
{
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CERT);
    enum fl_error error = read_file(dir, "keys/issuing.key", true, &pem, ctx);

    if (error == FL_OK) {
        error = fl_key_from_pem(fl_buffer_slice(&pem), NULL, &signer->key, ctx);
        (void)fl_fail_in(ctx, error, "keys/issuing.key");
    }
    fl_buffer_free(&pem); /* wipes it */
    if (error == FL_OK && X509_check_private_key(signer->issuing, signer->key) != 1) {
        ERR_clear_error();
        error = fl_fail(ctx, FL_EINVAL, "keys/issuing.key is not the key of keys/issuing.pem");
    }
    return error;
}

static enum fl_error load_data_key(struct fl_signer *signer, const char *dir,
                                   struct fl_context *ctx)
{
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CERT);
    enum fl_error error = read_file(dir, "keys/data.key", true, &pem, ctx);

    if (error == FL_OK) {
        error = fl_datakey_from_pem(fl_buffer_slice(&pem), signer->data_key, ctx);
        (void)fl_fail_in(ctx, error, "keys/data.key");
    }
    fl_buffer_free(&pem); /* wipes it */
    if (error == FL_OK)
        error = fl_datakey_derive(signer->data_key, FL_DATAKEY_FRONT_LOG, signer->front_key, ctx);
    return error;
}

static enum fl_error load_device_keys(struct fl_signer *signer, const char *dir,
                                      struct fl_context *ctx)
{
    char path[PATH_SIZE];
    enum fl_error error = FL_OK;

    (void)snprintf(path, sizeof path, "%s/keys", dir);
    error = fl_files_open(path, &signer->keys, ctx);
    if (error != FL_OK)
        return error;
    signer->files = fl_files_of(&signer->keys);
    return fl_keystore_open(&signer->files, fl_random_system(), signer->data_key, &signer->keystore,
                            ctx);
}

static enum fl_error remember(struct fl_history *history, struct fl_slice frames,
                              struct fl_context *ctx)
{
    struct fl_issued record = {0};
    enum fl_error error = FL_OK;

    while (error == FL_OK && fl_issued_decode(&frames, &record) == FL_OK)
        if (record.kind == FL_ISSUED_DEVICE)
            error = fl_history_note(history, record.subject, record.key, record.at, ctx);
    return error;
}

/* The newest files of the log hold more than is remembered. */
static enum fl_error load_history(struct fl_signer *signer, struct fl_context *ctx)
{
    struct fl_issuance *log = signer->ledger.log;
    struct fl_issuance_place place = {.after = fl_issuance_before(log, HISTORY_FILES)};
    struct fl_buffer page = FL_BUFFER(HISTORY_PAGE);
    enum fl_error error = fl_history_create(&signer->history, ctx);

    while (error == FL_OK) {
        fl_buffer_clear(&page);
        error = fl_issuance_page(log, &place, &page, HISTORY_PAGE, ctx);
        if (error != FL_OK || page.size == 0)
            break;
        error = remember(signer->history, fl_buffer_slice(&page), ctx);
    }
    fl_buffer_free(&page);
    return fl_fail_in(ctx, error, FL_LEDGER_FOLDER);
}

static enum fl_error add_hosts(struct fl_signer *signer, const struct fl_conf *conf,
                               const struct fl_conf_node *line, struct fl_context *ctx)
{
    for (uint32_t i = 1; i < line->word_count; i++) {
        struct fl_slice word = line->words[i].text;
        char host[FL_LIMIT_HOST + 1];

        if (signer->policy.host_count == FL_LIMIT_HOSTS)
            return fl_conf_fail(conf, line, i, ctx, "more than %d hosts", FL_LIMIT_HOSTS);
        if (!fl_str_copy_slice(host, sizeof host, word) || !fl_host_valid(host) ||
            strlen(host) != word.size)
            return fl_conf_fail(conf, line, i, ctx, "neither a DNS name nor an address");
        signer->host_text[signer->policy.host_count] = strdup(host);
        if (!signer->host_text[signer->policy.host_count])
            return fl_fail(ctx, FL_ENOMEM, "out of memory");
        signer->policy.host_count++;
    }
    return FL_OK;
}

static enum fl_error read_status_url(struct fl_signer *signer, const struct fl_conf *conf,
                                     const struct fl_conf_node *line, struct fl_context *ctx)
{
    if (line->word_count != 2 ||
        !fl_str_copy_slice(signer->status_url, sizeof signer->status_url, line->words[1].text) ||
        !fl_status_url_valid(signer->status_url))
        return fl_conf_fail(conf, line, 0, ctx,
                            "write status-url http://HOST:PORT, without a path");
    signer->policy.status_url = signer->status_url;
    return FL_OK;
}

/* The hub reads and checks all of hub.conf; the signer believes nobody else about what stands in a
 * certificate: the names of a server, and where to ask for the status of a device's. */
static enum fl_error load_conf(struct fl_signer *signer, const char *dir, struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_CONF_SIZE);
    struct fl_conf conf = {0};
    enum fl_error error = read_file(dir, "hub.conf", false, &text, ctx);

    if (error == FL_OK)
        error = fl_conf_parse(fl_buffer_slice(&text), "hub.conf", &conf, ctx);
    if (error == FL_OK) {
        const struct fl_conf_node *line = fl_conf_find(conf.root, "host");

        error = line ? add_hosts(signer, &conf, line, ctx) : FL_OK;
        if (error == FL_OK && signer->policy.host_count == 0)
            error = fl_fail(ctx, FL_EPARSE, "hub.conf: no host (add a line: host NAME)");
        line = fl_conf_find(conf.root, "status-url");
        if (error == FL_OK && line)
            error = read_status_url(signer, &conf, line, ctx);
    }
    fl_conf_free(&conf);
    fl_buffer_free(&text);
    signer->policy.hosts = (const char *const *)signer->host_text;
    return error;
}

/* The root key has no business on this machine once the hub is made; here it is one break-in away.
 */
static void warn_of_root_key(const char *dir)
{
    char path[PATH_SIZE];

    (void)snprintf(path, sizeof path, "%s/keys/root.key", dir);
    if (access(path, R_OK) == 0)
        fl_log(FL_LOG_WARN, "issue", "keys/root.key is within the signer's reach: take it offline");
}

enum fl_error fl_signer_load(struct fl_signer *signer, const char *dir, fl_time_t now,
                             struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    *signer = (struct fl_signer){.issuing_der = FL_BUFFER(FL_LIMIT_CERT),
                                 .root_der = FL_BUFFER(FL_LIMIT_CERT),
                                 .crl_entries =
                                     FL_BUFFER((size_t)FL_LIMIT_CRL_ENTRIES * FL_LIMIT_CRL_ENTRY)};
    error = load_certificates(signer, dir, now, ctx);
    if (error == FL_OK)
        error = load_key(signer, dir, ctx);
    if (error == FL_OK)
        error = load_data_key(signer, dir, ctx);
    if (error == FL_OK)
        error = load_conf(signer, dir, ctx);
    if (error == FL_OK)
        error = load_device_keys(signer, dir, ctx);
    if (error == FL_OK)
        error = fl_ledger_open(&signer->ledger, dir, signer->key, now, ctx);
    if (error == FL_OK)
        error = load_history(signer, ctx);
    if (error == FL_OK)
        warn_of_root_key(dir);
    return error;
}

void fl_signer_free(struct fl_signer *signer)
{
    for (size_t i = 0; i < FL_LIMIT_HOSTS; i++)
        free(signer->host_text[i]);
    fl_history_free(signer->history);
    fl_ledger_close(&signer->ledger);
    fl_keystore_free(signer->keystore);
    fl_files_close(&signer->keys);
    EVP_PKEY_free(signer->key);
    X509_free(signer->issuing);
    fl_buffer_free(&signer->issuing_der);
    fl_buffer_free(&signer->root_der);
    fl_buffer_free(&signer->crl_entries);
    explicit_bzero(signer, sizeof *signer);
}
