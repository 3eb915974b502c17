/* SPDX-License-Identifier: Apache-2.0 */
#include "front/evidence.h"

#include "base/base64.h"
#include "codec/http.h"
#include "io/tls.h"
#include "trust/eventlog.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* --- bodies --- */

static enum fl_error open_json(struct fl_slice body, struct fl_evidence_bytes *bytes,
                               struct fl_context *ctx)
{
    json_error_t where = {0};
    char words[160];

    *bytes = (struct fl_evidence_bytes){0};
    bytes->json = json_loadb(body.size ? (const char *)body.data : "", body.size,
                             JSON_REJECT_DUPLICATES, &where);
    if (bytes->json)
        return FL_OK;
    return fl_fail(ctx, FL_EPARSE, "the body is not JSON: line %d, column %d: %s", where.line,
                   where.column, fl_str_printable(words, sizeof words, fl_slice_str(where.text)));
}

void fl_evidence_free(struct fl_evidence_bytes *bytes)
{
    for (size_t i = 0; i < bytes->count; i++)
        fl_buffer_free(&bytes->decoded[i]);
    json_decref(bytes->json);
    *bytes = (struct fl_evidence_bytes){0};
}

static struct fl_slice text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) ? fl_slice(json_string_value(value), json_string_length(value))
                                 : fl_slice(NULL, 0);
}

/* Every member is of `names`, so that nothing is taken for part of the evidence that is not. */
static enum fl_error only(json_t *object, const char *what, const char *const *names,
                          struct fl_context *ctx)
{
    const char *key = NULL;
    json_t *value = NULL;
    enum fl_error error =
        json_is_object(object) ? FL_OK : fl_fail(ctx, FL_EPARSE, "%s is not an object", what);

    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        char shown[64];

        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i])
            error = fl_fail(ctx, FL_EPARSE, "%s has no member '%s'", what,
                            fl_str_printable(shown, sizeof shown, fl_slice_str(key)));
    }
    return error;
}

/* The member in base64; empty when it is absent and may be. */
static enum fl_error take_bytes(struct fl_evidence_bytes *bytes, const json_t *object,
                                const char *name, size_t max, bool required, struct fl_slice *out,
                                struct fl_context *ctx)
{
    struct fl_slice text = text_of(object, name);
    struct fl_buffer *buffer = &bytes->decoded[bytes->count];
    enum fl_error error = FL_OK;

    *out = fl_slice(NULL, 0);
    if (text.size == 0)
        return required ? fl_fail(ctx, FL_EPARSE, "'%s' is missing: base64 text", name) : FL_OK;
    bytes->count++;
    *buffer = FL_BUFFER(max);
    error = fl_base64_decode(text, buffer);
    if (error == FL_ELIMIT)
        return fl_fail(ctx, FL_ELIMIT, "'%s' has more than %zu octets", name, max);
    if (error)
        return fl_fail(ctx, FL_EPARSE, "'%s' is not base64", name);
    *out = fl_buffer_slice(buffer);
    return FL_OK;
}

static enum fl_error take_claims(json_t *claims, struct fl_msg_evidence *evidence,
                                 struct fl_context *ctx)
{
    static const char *const names[] = {"agent", "os",       "kernel", "binary",
                                        "boot",  "uptime_s", NULL};
    const json_t *uptime = json_object_get(claims, "uptime_s");
    enum fl_error error = only(claims, "'claims'", names, ctx);

    if (!error && (!json_is_integer(uptime) || json_integer_value(uptime) < 0))
        error = fl_fail(ctx, FL_EPARSE, "'uptime_s' is not a number of seconds");
    if (error)
        return error;
    evidence->agent = text_of(claims, "agent");
    evidence->os = text_of(claims, "os");
    evidence->kernel = text_of(claims, "kernel");
    evidence->binary = text_of(claims, "binary");
    evidence->boot = text_of(claims, "boot");
    evidence->uptime_s = (uint64_t)json_integer_value(uptime);
    return FL_OK;
}

static enum fl_error take_nonce(struct fl_evidence_bytes *bytes, struct fl_slice text,
                                struct fl_slice *nonce, struct fl_context *ctx)
{
    struct fl_buffer *buffer = &bytes->decoded[bytes->count++];
    uint8_t octets[FL_NONCE_SIZE];
    size_t size = 0;

    *buffer = FL_BUFFER(sizeof octets);
    if (fl_unhex(octets, sizeof octets, text, &size) != FL_OK || size != FL_NONCE_SIZE)
        return fl_fail(ctx, FL_EPARSE, "'nonce' is not %d octets in hex", FL_NONCE_SIZE);
    (void)fl_buffer_append(buffer, octets, size);
    *nonce = fl_buffer_slice(buffer);
    return buffer->failed ? fl_fail(ctx, FL_ENOMEM, "out of memory") : FL_OK;
}

/* {"0": "hex", ...} */
static enum fl_error take_pcrs(struct fl_evidence_bytes *bytes, const json_t *object,
                               struct fl_slice *out, struct fl_context *ctx)
{
    struct fl_buffer *buffer = &bytes->decoded[bytes->count++];
    struct fl_pcrs pcrs = {0};
    char number[8];

    *buffer = FL_BUFFER(1024);
    if (!json_is_object(object))
        return fl_fail(ctx, FL_EPARSE, "'pcrs' is not an object of numbers and values in hex");
    for (unsigned i = 0; i < FL_LIMIT_PCRS; i++) {
        struct fl_slice text = {0};
        size_t size = 0;

        (void)snprintf(number, sizeof number, "%u", i);
        text = text_of(object, number);
        if (text.size == 0)
            continue;
        if (fl_unhex(pcrs.value[i], FL_PCR_SIZE, text, &size) != FL_OK || size != FL_PCR_SIZE)
            return fl_fail(ctx, FL_EPARSE, "PCR %u is not %d octets in hex", i, FL_PCR_SIZE);
        pcrs.present |= 1U << i;
    }
    fl_pcrs_put(&pcrs, buffer);
    *out = fl_buffer_slice(buffer);
    return buffer->failed ? fl_fail(ctx, FL_ENOMEM, "out of memory") : FL_OK;
}

/* The log says something or is no log; both are evidence, so it is the hub's to refuse. */
static enum fl_error take_log(struct fl_evidence_bytes *bytes, struct fl_slice log,
                              struct fl_msg_evidence *evidence)
{
    struct fl_buffer *buffer = &bytes->decoded[bytes->count++];
    struct fl_context problem = {0};
    struct fl_event_log replayed;

    *buffer = FL_BUFFER(1024);
    if (fl_event_log_replay(log, &replayed, &problem) != FL_OK) {
        (void)fl_buffer_append_str(buffer, problem.text);
        evidence->log_problem = fl_buffer_slice(buffer);
    } else {
        fl_pcrs_put(&replayed.pcrs, buffer);
        evidence->replayed = fl_buffer_slice(buffer);
        evidence->log_events = replayed.events;
    }
    return buffer->failed ? FL_ENOMEM : FL_OK;
}

static enum fl_error take_tpm(struct fl_evidence_bytes *bytes, json_t *tpm,
                              struct fl_msg_evidence *evidence, struct fl_context *ctx)
{
    static const char *const names[] = {"quote", "signature", "pcrs", "log", NULL};
    struct fl_slice log = {0};
    enum fl_error error = only(tpm, "'tpm'", names, ctx);

    if (!error)
        error = take_bytes(bytes, tpm, "quote", FL_LIMIT_QUOTE, true, &evidence->quote, ctx);
    if (!error)
        error = take_bytes(bytes, tpm, "signature", FL_LIMIT_QUOTE, true,
                           &evidence->quote_signature, ctx);
    if (!error)
        error = take_pcrs(bytes, json_object_get(tpm, "pcrs"), &evidence->pcrs, ctx);
    if (!error)
        error = take_bytes(bytes, tpm, "log", FL_LIMIT_EVENT_LOG, false, &log, ctx);
    if (!error && log.size)
        error = take_log(bytes, log, evidence);
    return error;
}

enum fl_error fl_evidence_read(struct fl_slice body, struct fl_msg_evidence *evidence,
                               struct fl_evidence_bytes *bytes, struct fl_context *ctx)
{
    static const char *const names[] = {"nonce", "claims", "certificate", "signature", "tpm", NULL};
    json_t *tpm = NULL;
    enum fl_error error = open_json(body, bytes, ctx);

    if (!error)
        error = only(bytes->json, "the body", names, ctx);
    if (!error)
        error = take_nonce(bytes, text_of(bytes->json, "nonce"), &evidence->nonce, ctx);
    if (!error)
        error = take_claims(json_object_get(bytes->json, "claims"), evidence, ctx);
    if (!error)
        error = take_bytes(bytes, bytes->json, "certificate", FL_LIMIT_CERT, true,
                           &evidence->certificate, ctx);
    if (!error)
        error = take_bytes(bytes, bytes->json, "signature", 64, true, &evidence->signature, ctx);
    tpm = error ? NULL : json_object_get(bytes->json, "tpm");
    return tpm ? take_tpm(bytes, tpm, evidence, ctx) : error;
}

enum fl_error fl_evidence_read_key(struct fl_slice body, struct fl_msg_evidence_key *key,
                                   struct fl_evidence_bytes *bytes, struct fl_context *ctx)
{
    static const char *const names[] = {"ek", "ak", NULL};
    enum fl_error error = open_json(body, bytes, ctx);

    if (!error)
        error = only(bytes->json, "the body", names, ctx);
    if (!error)
        error =
            take_bytes(bytes, bytes->json, "ek", FL_LIMIT_TPM_PUBLIC, true, &key->endorsement, ctx);
    if (!error)
        error =
            take_bytes(bytes, bytes->json, "ak", FL_LIMIT_TPM_PUBLIC, true, &key->attestation, ctx);
    return error;
}

/* --- requests --- */

static const struct fl_cert_info *asker(struct fl_http_exchange *exchange,
                                        const struct fl_http_request *request, bool has_body)
{
    const struct fl_cert_info *info = fl_tls_peer(request->tls);

    if (!info) {
        fl_http_problem(exchange, 401, NULL,
                        "evidence needs the device's certificate in the TLS handshake", NULL);
        return NULL;
    }
    if (has_body &&
        !fl_http_media_type_is(fl_http_header(request, "content-type"), "application/json")) {
        fl_http_problem(exchange, 415, NULL, "the body must be application/json", NULL);
        return NULL;
    }
    return info;
}

/* `number` is the message's request number. */
static void ask(struct fl_evidence_door *door, struct fl_http_exchange *exchange,
                struct fl_msg *msg, uint64_t *number)
{
    if (fl_pending_add(door->pending, exchange, number) != FL_OK) {
        fl_pending_unavailable(exchange);
        return;
    }
    if (!fl_link_send(door->link, msg))
        fl_pending_unavailable(fl_pending_take(door->pending, *number));
}

/* `error` is of reading the body. */
static void pass_on(struct fl_evidence_door *door, struct fl_http_exchange *exchange,
                    struct fl_msg *msg, uint64_t *number, enum fl_error error,
                    const struct fl_context *ctx)
{
    if (error)
        fl_http_problem(exchange, error == FL_ELIMIT ? 413 : 400, NULL, ctx->text, NULL);
    else
        ask(door, exchange, msg, number);
}

/* Each of the messages has the fields, and no type has them alone. */
#define SAY_WHO(m, info, request_)                                                                 \
    do {                                                                                           \
        (m).device = fl_slice_str((info)->name);                                                   \
        (m).serial = fl_slice_str((info)->serial);                                                 \
        (m).peer = fl_slice_str((request_)->peer);                                                 \
    } while (0)

void fl_evidence_nonce(struct fl_evidence_door *door, struct fl_http_exchange *exchange,
                       const struct fl_http_request *request)
{
    const struct fl_cert_info *info = asker(exchange, request, false);
    struct fl_msg msg = {.type = fl_msg_type_evidence_nonce};

    if (!info)
        return;
    SAY_WHO(msg.as.evidence_nonce, info, request);
    ask(door, exchange, &msg, &msg.as.evidence_nonce.request);
}

void fl_evidence_key(struct fl_evidence_door *door, struct fl_http_exchange *exchange,
                     const struct fl_http_request *request)
{
    const struct fl_cert_info *info = asker(exchange, request, true);
    struct fl_msg msg = {.type = fl_msg_type_evidence_key};
    struct fl_evidence_bytes bytes = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (!info)
        return;
    error = fl_evidence_read_key(request->body, &msg.as.evidence_key, &bytes, &ctx);
    SAY_WHO(msg.as.evidence_key, info, request);
    pass_on(door, exchange, &msg, &msg.as.evidence_key.request, error, &ctx);
    fl_evidence_free(&bytes);
}

void fl_evidence_proof(struct fl_evidence_door *door, struct fl_http_exchange *exchange,
                       const struct fl_http_request *request)
{
    static const char *const names[] = {"secret", NULL};
    const struct fl_cert_info *info = asker(exchange, request, true);
    struct fl_msg msg = {.type = fl_msg_type_evidence_proof};
    struct fl_evidence_bytes bytes = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (!info)
        return;
    error = open_json(request->body, &bytes, &ctx);
    if (!error)
        error = only(bytes.json, "the body", names, &ctx);
    if (!error)
        error =
            take_bytes(&bytes, bytes.json, "secret", 64, true, &msg.as.evidence_proof.secret, &ctx);
    SAY_WHO(msg.as.evidence_proof, info, request);
    pass_on(door, exchange, &msg, &msg.as.evidence_proof.request, error, &ctx);
    fl_evidence_free(&bytes);
}

void fl_evidence_take(struct fl_evidence_door *door, struct fl_http_exchange *exchange,
                      const struct fl_http_request *request)
{
    const struct fl_cert_info *info = asker(exchange, request, true);
    struct fl_msg msg = {.type = fl_msg_type_evidence};
    struct fl_evidence_bytes bytes = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (!info)
        return;
    error = fl_evidence_read(request->body, &msg.as.evidence, &bytes, &ctx);
    SAY_WHO(msg.as.evidence, info, request);
    pass_on(door, exchange, &msg, &msg.as.evidence.request, error, &ctx);
    fl_evidence_free(&bytes);
}

/* --- results --- */

static int status_of(enum fl_error error)
{
    static const struct {
        enum fl_error error;
        int status;
    } table[] = {
        {FL_EINVAL, 400},       {FL_EPARSE, 400},   {FL_ELIMIT, 413}, {FL_EAUTH, 403},
        {FL_EDENIED, 403},      {FL_EEXPIRED, 403}, {FL_ESTATE, 409}, {FL_ENOTFOUND, 403},
        {FL_EUNSUPPORTED, 400}, {FL_EBUSY, 429},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].error == error)
            return table[i].status;
    return 503;
}

void fl_evidence_result(struct fl_evidence_door *door, const struct fl_msg_evidence_result *result)
{
    struct fl_http_exchange *exchange = fl_pending_take(door->pending, result->request);
    struct fl_http_response response = {.status = 200,
                                        .content_type = "application/json",
                                        .body = result->body,
                                        .headers = "Cache-Control: no-store\r\n"};
    char headers[64] = "";
    char detail[513];
    int status = 200;

    if (!exchange)
        return;
    if (result->error == FL_OK) {
        fl_http_answer(exchange, &response);
        return;
    }
    status = status_of((enum fl_error)result->error);
    if (status == 429 || status == 503)
        (void)snprintf(headers, sizeof headers, "Retry-After: %u\r\n",
                       result->retry_after_s ? result->retry_after_s : 5);
    (void)fl_str_copy_slice(detail, sizeof detail, result->detail);
    fl_http_problem(exchange, status, NULL, detail, headers);
}
