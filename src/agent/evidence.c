/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/evidence.h"

#include "agent/claims.h"
#include "base/base64.h"
#include "io/files.h"
#include "io/http_client.h"
#include "io/tpm_attest.h"
#include "trust/cert.h"
#include "trust/key.h"
#include "trust/statement.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#define BASE "/.well-known/fairlead/evidence"
#define EVENT_LOG "/sys/kernel/security/tpm0/binary_bios_measurements"
#define NEXT_MAX_S ((json_int_t)24 * 3600)
#define NOT_ENDORSED 409

struct giving {
    const struct fl_self *identity;
    struct fl_agent_key *key;
    const char *log; /* NULL: the kernel's, if it is that of this TPM */
    struct fl_http_client *client;
    struct fl_machine machine;
    uint8_t nonce[FL_NONCE_SIZE];
    uint32_t pcrs;
    bool is_endorsed; /* the hub knows an attestation key of this device */
};

/* --- talking to the hub --- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

/* `*status` is the hub's; `*answer` its JSON, of whatever status. */
static enum fl_error post(struct giving *g, const char *path, json_t *body, int *status,
                          json_t **answer, struct fl_context *ctx)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct fl_http_call call = {.method = "POST",
                                .path = path,
                                .content_type = body ? "application/json" : NULL,
                                .body = fl_slice_str(text)};
    struct fl_http_reply reply = {0};
    enum fl_error error = fl_http_client_call(g->client, &call, &reply, ctx);
    struct fl_slice bytes = fl_buffer_slice(&reply.body);

    fl_agent_key_release(g->key); /* the handshake may have signed */
    *status = reply.status;
    *answer = NULL;
    if (!error && bytes.size)
        *answer = json_loadb((const char *)bytes.data, bytes.size, 0, NULL);
    if (!error && reply.status == 404)
        error = fl_fail(ctx, FL_EUNSUPPORTED, "the hub takes no evidence: is it an older version?");
    else if (!error && (reply.status != 200 || !*answer) && reply.status != NOT_ENDORSED)
        error = fl_fail(ctx, reply.status == 429 ? FL_EBUSY : FL_EDENIED, "the hub says: %.400s",
                        text_of(*answer, "detail")[0] ? text_of(*answer, "detail")
                                                      : "nothing that can be understood");
    fl_http_reply_free(&reply);
    free(text);
    return error;
}

static json_t *base64_of(struct fl_slice bytes)
{
    struct fl_buffer text = FL_BUFFER(bytes.size / 3 * 4 + 16);
    json_t *value = NULL;

    if (fl_base64_encode(bytes, 0, &text) == FL_OK)
        value =
            json_stringn((const char *)fl_buffer_slice(&text).data, fl_buffer_slice(&text).size);
    fl_buffer_free(&text);
    return value;
}

static enum fl_error ask_nonce(struct giving *g, struct fl_context *ctx)
{
    json_t *answer = NULL;
    const json_t *pcrs = NULL;
    int status = 0;
    size_t size = 0;
    enum fl_error error = post(g, BASE "/nonce", NULL, &status, &answer, ctx);

    if (!error && (status != 200 ||
                   fl_unhex(g->nonce, sizeof g->nonce, fl_slice_str(text_of(answer, "nonce")),
                            &size) != FL_OK ||
                   size != FL_NONCE_SIZE))
        error = fl_fail(ctx, FL_EPARSE, "the hub's nonce cannot be read");
    pcrs = error ? NULL : json_object_get(answer, "pcrs");
    g->is_endorsed = !error && text_of(answer, "ak")[0] != '\0';
    g->pcrs = 0;
    for (size_t i = 0; i < json_array_size(pcrs); i++) {
        json_int_t pcr = json_integer_value(json_array_get(pcrs, i));

        if (pcr >= 0 && pcr < FL_LIMIT_PCRS)
            g->pcrs |= 1U << pcr;
    }
    json_decref(answer);
    return error;
}

/* --- the TPM's part --- */

/* The kernel's log is that of the machine's own TPM. Without one (firmware that keeps none) the
 * PCRs go alone; one that was asked for must be there. */
static enum fl_error add_log(const struct giving *g, json_t *tpm, struct fl_context *ctx)
{
    const char *path = g->log ? g->log : EVENT_LOG;
    struct fl_buffer log = FL_BUFFER(FL_LIMIT_EVENT_LOG);
    bool own = strncmp(g->identity->key_where, "device:", 7) == 0;
    int fd = g->log || own ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    enum fl_error error = FL_OK;
    ssize_t got = 1;

    if (fd < 0)
        return g->log ? fl_fail(ctx, FL_ENOTFOUND, "%s: %s", path, strerror(errno)) : FL_OK;
    while (got > 0) {
        uint8_t *room = fl_buffer_reserve(&log, 4096);

        got = room ? read(fd, room, 4096) : -1;
        if (got > 0)
            fl_buffer_commit(&log, (size_t)got);
    }
    (void)close(fd);
    if (got < 0)
        error = fl_fail(ctx, FL_EIO, "%s cannot be read, or has more than %d octets", path,
                        FL_LIMIT_EVENT_LOG);
    else if (fl_buffer_slice(&log).size)
        (void)json_object_set_new(tpm, "log", base64_of(fl_buffer_slice(&log)));
    fl_buffer_free(&log);
    return error;
}

static enum fl_error quote(struct giving *g, struct fl_slice text, json_t *body,
                           struct fl_context *ctx)
{
    uint8_t digest[FL_SHA256_SIZE];
    struct fl_buffer attest = FL_BUFFER(FL_LIMIT_QUOTE);
    struct fl_buffer signature = FL_BUFFER(FL_LIMIT_QUOTE);
    struct fl_tpm_attest *tpm = NULL;
    struct fl_pcrs pcrs = {0};
    json_t *part = NULL;
    json_t *values = json_object();
    enum fl_error error = fl_tpm_attest_open(g->identity->key_where, &tpm, ctx);

    fl_sha256(text, digest);
    if (!error)
        error = fl_tpm_attest_quote(tpm, g->pcrs, fl_slice(digest, sizeof digest), &attest,
                                    &signature, &pcrs, ctx);
    fl_tpm_attest_close(tpm);
    for (unsigned i = 0; !error && i < FL_LIMIT_PCRS; i++) {
        char number[8];
        char hex[2 * FL_PCR_SIZE + 1];

        if (!(pcrs.present & 1U << i))
            continue;
        (void)snprintf(number, sizeof number, "%u", i);
        fl_hex(hex, sizeof hex, fl_slice(pcrs.value[i], FL_PCR_SIZE));
        (void)json_object_set_new(values, number, json_string(hex));
    }
    if (!error) {
        part = json_pack("{s:o, s:o, s:O}", "quote", base64_of(fl_buffer_slice(&attest)),
                         "signature", base64_of(fl_buffer_slice(&signature)), "pcrs", values);
        error = add_log(g, part, ctx);
        (void)json_object_set_new(body, "tpm", part);
    }
    json_decref(values);
    fl_buffer_free(&attest);
    fl_buffer_free(&signature);
    return error;
}

static enum fl_error decode(const json_t *answer, const char *name, struct fl_buffer *out,
                            struct fl_context *ctx)
{
    if (fl_base64_decode(fl_slice_str(text_of(answer, name)), out) == FL_OK &&
        fl_buffer_slice(out).size)
        return FL_OK;
    return fl_fail(ctx, FL_EPARSE, "the hub's '%s' cannot be read", name);
}

static enum fl_error prove(struct giving *g, struct fl_tpm_attest *tpm, const json_t *challenge,
                           struct fl_context *ctx)
{
    struct fl_buffer credential = FL_BUFFER(1024);
    struct fl_buffer sealed = FL_BUFFER(1024);
    struct fl_buffer secret = FL_BUFFER(64);
    json_t *body = NULL;
    json_t *answer = NULL;
    int status = 0;
    enum fl_error error = decode(challenge, "credential", &credential, ctx);

    if (!error)
        error = decode(challenge, "sealed", &sealed, ctx);
    if (!error)
        error = fl_tpm_attest_activate(tpm, fl_buffer_slice(&credential), fl_buffer_slice(&sealed),
                                       &secret, ctx);
    fl_tpm_attest_close(tpm);
    if (!error) {
        body = json_pack("{s:o}", "secret", base64_of(fl_buffer_slice(&secret)));
        error = post(g, BASE "/proof", body, &status, &answer, ctx);
    }
    if (!error && status != 200)
        error = fl_fail(ctx, FL_ESTATE, "the hub says: %.400s", text_of(answer, "detail"));
    json_decref(body);
    json_decref(answer);
    fl_buffer_free(&credential);
    fl_buffer_free(&sealed);
    fl_buffer_free(&secret);
    return error;
}

/* The hub does not know the attestation key yet. */
static enum fl_error endorse(struct giving *g, struct fl_context *ctx)
{
    struct fl_buffer ek = FL_BUFFER(FL_LIMIT_TPM_PUBLIC);
    struct fl_buffer ak = FL_BUFFER(FL_LIMIT_TPM_PUBLIC);
    struct fl_tpm_attest *tpm = NULL;
    json_t *body = NULL;
    json_t *answer = NULL;
    int status = 0;
    enum fl_error error = fl_tpm_attest_open(g->identity->key_where, &tpm, ctx);

    if (!error)
        error = fl_tpm_attest_keys(tpm, &ek, &ak, ctx);
    fl_tpm_attest_close(tpm);
    tpm = NULL;
    if (!error) {
        body = json_pack("{s:o, s:o}", "ek", base64_of(fl_buffer_slice(&ek)), "ak",
                         base64_of(fl_buffer_slice(&ak)));
        error = post(g, BASE "/key", body, &status, &answer, ctx);
    }
    if (!error && status != 200)
        error = fl_fail(ctx, FL_ESTATE, "the hub says: %.400s", text_of(answer, "detail"));
    if (!error)
        error = fl_tpm_attest_open(g->identity->key_where, &tpm, ctx);
    if (!error)
        error = prove(g, tpm, answer, ctx);
    json_decref(body);
    json_decref(answer);
    fl_buffer_free(&ek);
    fl_buffer_free(&ak);
    return fl_fail_in(ctx, error, "endorse the TPM's attestation key");
}

/* --- the whole --- */

static enum fl_error first_only(void *to, struct fl_slice der)
{
    json_t **value = to;

    if (!*value)
        *value = base64_of(der);
    return FL_OK;
}

static enum fl_error add_certificate(const struct giving *g, json_t *body, struct fl_context *ctx)
{
    json_t *value = NULL;
    enum fl_error error =
        fl_cert_each_pem(fl_buffer_slice(&g->identity->cert_pem), first_only, &value, ctx);

    if (!error && json_object_set_new(body, "certificate", value) != 0)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    return error;
}

static enum fl_error make_body(struct giving *g, json_t **body, struct fl_context *ctx)
{
    const struct fl_machine *m = &g->machine;
    const struct fl_claims claims = {.device = fl_slice_str(g->identity->device),
                                     .nonce = fl_slice(g->nonce, sizeof g->nonce),
                                     .agent = fl_slice_str(m->agent),
                                     .os = fl_slice_str(m->os),
                                     .kernel = fl_slice_str(m->kernel),
                                     .binary = fl_slice_str(m->binary),
                                     .boot = fl_slice_str(m->boot),
                                     .uptime_s = m->uptime_s};
    struct fl_buffer text = FL_BUFFER(4096);
    uint8_t signature[64];
    char nonce[2 * FL_NONCE_SIZE + 1];
    enum fl_error error = fl_claims_text(&claims, &text, ctx);

    if (!error)
        error = fl_statement_sign(g->key->key, fl_buffer_slice(&text), signature, ctx);
    fl_agent_key_release(g->key);
    fl_hex(nonce, sizeof nonce, claims.nonce);
    if (!error)
        *body = json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:I}, s:o}", "nonce", nonce, "claims",
                          "agent", m->agent, "os", m->os, "kernel", m->kernel, "binary", m->binary,
                          "boot", m->boot, "uptime_s", (json_int_t)m->uptime_s, "signature",
                          base64_of(fl_slice(signature, sizeof signature)));
    if (!error && !*body)
        error = fl_fail(ctx, FL_ENOMEM, "out of memory");
    if (!error)
        error = add_certificate(g, *body, ctx);
    if (!error && g->identity->key_place == FL_KEY_TPM)
        error = quote(g, fl_buffer_slice(&text), *body, ctx);
    fl_buffer_free(&text);
    return error;
}

static enum fl_error give_once(struct giving *g, int *status, json_t **answer,
                               struct fl_context *ctx)
{
    json_t *body = NULL;
    enum fl_error error = make_body(g, &body, ctx);

    *answer = NULL;
    if (!error)
        error = post(g, BASE, body, status, answer, ctx);
    json_decref(body);
    return error;
}

static enum fl_error open_client(struct giving *g, struct fl_buffer *chain, struct fl_context *ctx)
{
    char url[FL_LIMIT_HOST + 32];
    bool six = strchr(g->identity->host, ':') != NULL;
    struct fl_http_client_options options = {
        .url = url, .ca_pem = fl_buffer_slice(&g->identity->ca_pem), .client_key = g->key->key};

    (void)snprintf(url, sizeof url, "https://%s%s%s:%u", six ? "[" : "", g->identity->host,
                   six ? "]" : "", g->identity->https_port);
    (void)fl_buffer_append_slice(chain, fl_buffer_slice(&g->identity->cert_pem));
    (void)fl_buffer_append_slice(chain, fl_buffer_slice(&g->identity->chain_pem));
    options.client_chain_pem = fl_buffer_slice(chain);
    return fl_http_client_open(&options, &g->client, ctx);
}

static void read_verdict(const json_t *answer, struct fl_evidence_verdict *verdict)
{
    json_int_t next = json_integer_value(json_object_get(answer, "next_s"));

    (void)fl_str_copy(verdict->grade, sizeof verdict->grade, text_of(answer, "grade"));
    (void)fl_str_printable(verdict->words, sizeof verdict->words,
                           fl_slice_str(text_of(answer, "words")));
    (void)fl_str_copy(verdict->until, sizeof verdict->until, text_of(answer, "until"));
    verdict->next_s = (uint32_t)(next > 0 && next < NEXT_MAX_S ? next : NEXT_MAX_S);
}

enum fl_error fl_evidence_give(const struct fl_self *identity, struct fl_agent_key *key,
                               const char *log, struct fl_evidence_verdict *verdict,
                               struct fl_context *ctx)
{
    struct giving g = {.identity = identity, .key = key, .log = log};
    struct fl_buffer chain = FL_BUFFER((size_t)2 * FL_LIMIT_CHAIN);
    json_t *answer = NULL;
    int status = 0;
    enum fl_error error = open_client(&g, &chain, ctx);

    *verdict = (struct fl_evidence_verdict){0};
    fl_machine_read(&g.machine);
    if (!error)
        error = ask_nonce(&g, ctx);
    if (!error && !g.is_endorsed && identity->key_place == FL_KEY_TPM)
        error = endorse(&g, ctx);
    if (!error)
        error = give_once(&g, &status, &answer, ctx);
    if (!error && status != 200)
        error = fl_fail(ctx, FL_ESTATE, "the hub says: %.400s", text_of(answer, "detail"));
    if (!error)
        read_verdict(answer, verdict);
    json_decref(answer);
    fl_http_client_close(g.client);
    fl_buffer_free(&chain);
    return fl_fail_in(ctx, error, "evidence to %s", identity->host);
}

static enum fl_error print(const struct fl_evidence_verdict *v, bool json, struct fl_context *ctx)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:i}", "grade", v->grade, "words", v->words,
                               "until", v->until, "next_s", (int)v->next_s);
    bool good = object != NULL;

    if (good && json)
        good = json_dumpf(object, stdout, JSON_COMPACT) == 0 && puts("") != EOF;
    else if (good)
        good =
            printf("%s%s%s: %s\n", v->grade, v->until[0] ? " until " : "", v->until, v->words) > 0;
    json_decref(object);
    good = fflush(stdout) == 0 && good;
    return good ? FL_OK : fl_fail(ctx, FL_EIO, "the result cannot be printed");
}

enum fl_error fl_evidence_verb(const char *dir, const char *log, bool json, struct fl_context *ctx)
{
    struct fl_files_folder folder = {0};
    struct fl_files files = {0};
    struct fl_self identity = {0};
    struct fl_agent_key key = {0};
    struct fl_evidence_verdict verdict = {0};
    enum fl_error error = fl_files_open(dir, &folder, ctx);

    if (error)
        return error;
    files = fl_files_of(&folder);
    fl_self_init(&identity);
    error = fl_self_load(&files, &identity, ctx);
    if (!error)
        error = fl_agent_key_load(&identity, &key, ctx);
    fl_agent_key_release(&key);
    if (!error)
        error = fl_evidence_give(&identity, &key, log, &verdict, ctx);
    if (!error)
        error = print(&verdict, json, ctx);
    fl_agent_key_free(&key);
    fl_self_free(&identity);
    fl_files_close(&folder);
    return error;
}
