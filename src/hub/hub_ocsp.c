/* SPDX-License-Identifier: Apache-2.0
 * OCSP: the responder's own certificate, and answers to what the front asks. */
#include "hub/hub.h"

#include "base/log.h"
#include "trust/cert.h"
#include "trust/key.h"
#include "trust/ocsp.h"

#define TAG "ocsp"
#define RESPONDER_S (24 * 3600)
#define RETRY_MS 2000
#define HOLDS_MS ((fl_time_t)3600 * 1000)
#define BACKDATE_MS ((fl_time_t)60 * 1000) /* for clients whose clock is a little behind */

void fl_responder_free(struct fl_responder *r)
{
    EVP_PKEY_free(r->key);
    EVP_PKEY_free(r->asked_for);
    X509_free(r->certificate);
    *r = (struct fl_responder){0};
}

/* --- its certificate --- */

void fl_hub_tick_responder(struct fl_hub *hub)
{
    struct fl_responder *r = &hub->status.responder;
    struct fl_buffer csr = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (r->asked_for || fl_clock_monotonic(hub->clock) < r->ask_again ||
        (r->certificate && fl_hub_now(hub) < r->renew))
        return;
    r->ask_again = fl_clock_monotonic(hub->clock) + RETRY_MS;
    error = fl_key_generate(&r->asked_for, &ctx);
    if (error == FL_OK)
        error = fl_csr_create(r->asked_for, hub->config.hosts[0], &csr, &ctx);
    if (error == FL_OK)
        fl_hub_sign_responder(hub, fl_buffer_slice(&csr), RESPONDER_S);
    else
        fl_log(FL_LOG_ERROR, TAG, "%s", ctx.text);
    fl_buffer_free(&csr);
}

void fl_hub_responder_result(struct fl_hub *hub, enum fl_error error, struct fl_slice certificate,
                             fl_time_t not_after)
{
    struct fl_responder *r = &hub->status.responder;
    EVP_PKEY *key = r->asked_for;
    X509 *x509 = NULL;
    struct fl_context ctx = {0};

    r->asked_for = NULL;
    if (error == FL_OK)
        error = fl_cert_x509(certificate, &x509, &ctx);
    if (error == FL_OK && (!key || X509_check_private_key(x509, key) != 1))
        error = fl_fail(&ctx, FL_EAUTH, "the signer certified another key");
    if (error != FL_OK) {
        if (ctx.text[0])
            fl_log(FL_LOG_ERROR, TAG, "%s", ctx.text);
        X509_free(x509);
        EVP_PKEY_free(key);
        return; /* again, at a later tick */
    }
    X509_free(r->certificate);
    EVP_PKEY_free(r->key);
    r->certificate = x509;
    r->key = key;
    r->not_after = not_after;
    r->renew = not_after - (fl_time_t)RESPONDER_S * 1000 / 2;
}

/* --- answers --- */

/* What the hub never issued to a device it does not know, and of what has expired it says nothing
 * any more: that one was held at its end would be lost. */
static enum fl_error judge(struct fl_hub *hub, struct fl_slice serial,
                           struct fl_ocsp_single *single, struct fl_context *ctx)
{
    char hex[FL_LIMIT_SERIAL_HEX];
    struct fl_credential c = {0};
    enum fl_error error = FL_OK;

    fl_hex(hex, sizeof hex, serial);
    error = fl_credential_get(&hub->store, hex, &c, ctx);
    *single = (struct fl_ocsp_single){.serial = serial, .verdict = FL_OCSP_UNKNOWN};
    if (error == FL_ENOTFOUND || (error == FL_OK && c.state == FL_CREDENTIAL_EXPIRED))
        return FL_OK;
    if (error != FL_OK)
        return error;
    single->verdict = FL_OCSP_GOOD;
    if (c.state == FL_CREDENTIAL_HELD || c.state == FL_CREDENTIAL_REVOKED) {
        single->verdict = FL_OCSP_REVOKED;
        single->reason = c.cause;
        single->at = c.since;
    }
    return FL_OK;
}

static enum fl_error judge_all(struct fl_hub *hub, const struct fl_msg_ocsp_ask *ask,
                               struct fl_ocsp_single singles[FL_LIMIT_OCSP_IDS], size_t *count,
                               struct fl_context *ctx)
{
    struct fl_slice rest = ask->serials;
    enum fl_error error = FL_OK;

    for (*count = 0; rest.size && error == FL_OK; (*count)++) {
        size_t size = rest.data[0];

        if (size < 1 || size > FL_SERIAL_MAX || rest.size < 1 + size || *count == FL_LIMIT_OCSP_IDS)
            return fl_fail(ctx, FL_EPARSE, "the front asked for what is no serial");
        error = judge(hub, fl_slice(rest.data + 1, size), &singles[*count], ctx);
        rest = fl_slice_from(rest, 1 + size);
    }
    return error;
}

void fl_hub_ocsp_ask(struct fl_hub *hub, const struct fl_msg_ocsp_ask *ask)
{
    const struct fl_responder *r = &hub->status.responder;
    struct fl_ocsp_single singles[FL_LIMIT_OCSP_IDS] = {0};
    struct fl_ocsp_reply reply = {.sha256 = ask->sha256 != 0,
                                  .responder = r->certificate,
                                  .responder_key = r->key,
                                  .this_update = fl_hub_now(hub) - BACKDATE_MS,
                                  .next_update = fl_hub_now(hub) + HOLDS_MS,
                                  .singles = singles};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_OCSP_RESPONSE);
    struct fl_msg msg = {.type = fl_msg_type_ocsp_answer};
    struct fl_context ctx = {0};
    enum fl_error error = FL_EBUSY;

    if (reply.next_update > r->not_after)
        reply.next_update = r->not_after;
    if (r->certificate && fl_hub_now(hub) < r->not_after)
        error = judge_all(hub, ask, singles, &reply.count, &ctx);
    if (error == FL_OK)
        error = fl_cert_x509(fl_buffer_slice(&hub->issuing), &reply.issuer, &ctx);
    if (error == FL_OK)
        error = fl_ocsp_respond(&reply, &der, &ctx);
    if (error != FL_OK && error != FL_EBUSY)
        fl_log(FL_LOG_ERROR, TAG, "%s", ctx.text);
    msg.as.ocsp_answer.request = ask->request;
    msg.as.ocsp_answer.error = (uint32_t)error;
    msg.as.ocsp_answer.sha256 = ask->sha256;
    msg.as.ocsp_answer.serials = ask->serials;
    msg.as.ocsp_answer.keep =
        error == FL_OK && reply.count == 1 && singles[0].verdict != FL_OCSP_UNKNOWN;
    if (error == FL_OK)
        msg.as.ocsp_answer.response = fl_buffer_slice(&der);
    msg.as.ocsp_answer.this_update = reply.this_update;
    msg.as.ocsp_answer.next_update = reply.next_update;
    (void)hub->host.to_front(hub->host.self, &msg);
    X509_free(reply.issuer);
    fl_buffer_free(&der);
}
