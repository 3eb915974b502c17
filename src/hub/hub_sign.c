/* SPDX-License-Identifier: Apache-2.0
 * Certificates: what the front asks for, the signer issues and the hub records. */
#include "hub/hub.h"

#include "base/log.h"
#include "trust/cert.h"

#include <stdio.h>
#include <stdlib.h>

#define TAG "enrol"
#define SIGN_MS 5000
#define SERVER_LIFE_S (7 * 24 * 3600)
#define DEVICE_LIFE_S (7 * 24 * 3600)
#define RETRY_S 2

/* --- answers to the front --- */

struct verdict {
    enum fl_error error;
    const char *detail;
    uint32_t retry_after_s;
    struct fl_slice certificate;
    fl_time_t not_after;
};

static void answer_enrol(struct fl_hub *hub, uint64_t request, const struct verdict *v)
{
    struct fl_msg msg = {.type = fl_msg_type_enrol_result};

    msg.as.enrol_result.request = request;
    msg.as.enrol_result.error = (uint32_t)v->error;
    msg.as.enrol_result.detail = fl_slice_str(v->detail);
    msg.as.enrol_result.retry_after_s = v->retry_after_s;
    msg.as.enrol_result.certificate = v->certificate;
    (void)hub->host.to_front(hub->host.self, &msg);
}

static void answer_server(struct fl_hub *hub, const struct verdict *v)
{
    struct fl_msg msg = {.type = fl_msg_type_server_cert};

    msg.as.server_cert.error = (uint32_t)v->error;
    msg.as.server_cert.detail = fl_slice_str(v->detail);
    msg.as.server_cert.certificate = v->certificate;
    msg.as.server_cert.not_after = v->not_after;
    (void)hub->host.to_front(hub->host.self, &msg);
}

static bool is_for_device(const struct fl_hub_sign *sign)
{
    return !sign->server && !sign->responder;
}

/* Takes the pending certificate out of the books and tells who waits for it. */
static void conclude(struct fl_hub *hub, struct fl_hub_sign *sign, const struct verdict *v)
{
    fl_list_remove(&sign->node);
    hub->sign_count--;
    if (is_for_device(sign))
        fl_enrolment_end(&hub->enrolment, fl_slice_str(sign->device));
    if (v->error != FL_OK)
        fl_log(FL_LOG_WARN, TAG, "%s: %s",
               sign->responder ? "OCSP responder's certificate"
               : sign->server  ? "server certificate"
                               : sign->device,
               v->detail);
    if (sign->responder)
        fl_hub_responder_result(hub, v->error, v->certificate, v->not_after);
    else if (!sign->orphan && sign->server)
        answer_server(hub, v);
    else if (!sign->orphan)
        answer_enrol(hub, sign->front_request, v);
    free(sign);
}

/* --- asking the signer --- */

/* What the signer writes down beside the certificate. */
static const char *reason_of(const struct fl_hub_sign *sign)
{
    if (sign->server)
        return "the front's certificate";
    if (sign->responder)
        return "the OCSP responder's certificate";
    return sign->renewal ? "renewal" : "enrolment by token";
}

static bool ask_signer(struct fl_hub *hub, const struct fl_hub_sign *sign, const char *name,
                       uint32_t validity_s, struct fl_slice csr)
{
    struct fl_msg msg = {.type = fl_msg_type_sign};

    msg.as.sign.request = sign->id;
    msg.as.sign.kind = fl_slice_str(sign->responder ? "ocsp" : sign->server ? "server" : "device");
    msg.as.sign.name = fl_slice_str(name);
    msg.as.sign.validity_s = validity_s;
    msg.as.sign.csr = csr;
    msg.as.sign.reason = fl_slice_str(reason_of(sign));
    return hub->signer_up && hub->host.to_signer(hub->host.self, &msg);
}

static struct fl_hub_sign *new_sign(struct fl_hub *hub)
{
    struct fl_hub_sign *sign = calloc(1, sizeof *sign);

    if (!sign)
        return NULL;
    sign->id = ++hub->last_sign;
    sign->give_up = fl_clock_monotonic(hub->clock) + SIGN_MS;
    fl_list_push(&hub->signs, &sign->node);
    hub->sign_count++;
    return sign;
}

static uint32_t life_of(const struct fl_hub *hub, const struct fl_device *device)
{
    struct fl_profile_record record = {0};
    struct fl_profile profile = {0};
    uint32_t life_s = DEVICE_LIFE_S;

    if (fl_profile_store_get(&hub->store, fl_slice_str(device->profile), &record, NULL) == FL_OK &&
        fl_profile_store_parse(&record, &profile, NULL) == FL_OK) {
        if (profile.certificate_life_s)
            life_s = profile.certificate_life_s;
        fl_profile_free(&profile);
    }
    fl_profile_record_free(&record);
    return life_s;
}

void fl_hub_enrol(struct fl_hub *hub, const struct fl_msg_enrol *request)
{
    static const struct verdict away = {
        .error = FL_EBUSY, .detail = "the signer is away", .retry_after_s = RETRY_S};
    static const struct verdict no_memory = {.error = FL_ENOMEM, .detail = "out of memory"};
    struct fl_enrolment_request asked = {.device = request->device,
                                         .token = request->token,
                                         .serial = request->serial,
                                         .peer = request->peer};
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    struct verdict v = {0};
    struct fl_hub_sign *sign = NULL;

    v.error = fl_enrolment_begin(&hub->enrolment, &hub->store, &asked, fl_hub_now(hub), &device,
                                 &v.retry_after_s, &ctx);
    if (v.error != FL_OK) {
        v.detail = ctx.text;
        fl_log(FL_LOG_WARN, TAG, "%.*s from %.*s refused: %s", FL_SLICE_ARGS(request->device),
               FL_SLICE_ARGS(request->peer), ctx.text);
        answer_enrol(hub, request->request, &v);
        fl_hub_audit_refusal(hub, request->device, "enrol.refused",
                             json_pack("{s:s%, s:s}", "peer", (const char *)request->peer.data,
                                       request->peer.size, "reason", ctx.text));
        return;
    }
    sign = new_sign(hub);
    if (!sign) {
        fl_enrolment_end(&hub->enrolment, request->device);
        answer_enrol(hub, request->request, &no_memory);
        return;
    }
    sign->renewal = request->token.size == 0;
    sign->front_request = request->request;
    (void)fl_str_copy(sign->device, sizeof sign->device, device.id);
    (void)fl_str_copy_slice(sign->peer, sizeof sign->peer, request->peer);
    (void)fl_str_copy_slice(sign->serial, sizeof sign->serial, request->serial);
    if (!ask_signer(hub, sign, sign->device, life_of(hub, &device), request->csr))
        conclude(hub, sign, &away);
}

void fl_hub_server_csr(struct fl_hub *hub, const struct fl_msg_server_csr *request)
{
    static const struct verdict away = {.error = FL_EBUSY, .detail = "the signer is away"};
    static const struct verdict no_memory = {.error = FL_ENOMEM, .detail = "out of memory"};
    struct fl_hub_sign *sign = new_sign(hub);

    if (!sign) {
        answer_server(hub, &no_memory);
        return;
    }
    sign->server = true;
    if (!ask_signer(hub, sign, hub->config.hosts[0], SERVER_LIFE_S, request->csr))
        conclude(hub, sign, &away);
}

void fl_hub_sign_responder(struct fl_hub *hub, struct fl_slice csr, uint32_t validity_s)
{
    static const struct verdict away = {.error = FL_EBUSY, .detail = "the signer is away"};
    struct fl_hub_sign *sign = new_sign(hub);

    if (!sign) {
        fl_hub_responder_result(hub, FL_ENOMEM, fl_slice(NULL, 0), 0);
        return;
    }
    sign->responder = true;
    if (!ask_signer(hub, sign, hub->config.hosts[0], validity_s, csr))
        conclude(hub, sign, &away);
}

/* --- what the signer answers --- */

/* The signer is trusted to issue, not to be obeyed blindly: what is recorded is what the
 * certificate says. */
static enum fl_error read_credential(const struct fl_hub_sign *sign, struct fl_slice certificate,
                                     fl_time_t now, struct fl_credential *c, struct fl_context *ctx)
{
    struct fl_cert_info info = {0};
    X509 *x509 = NULL;
    enum fl_error error = fl_cert_read(certificate, &info, ctx);

    if (error == FL_OK && (info.kind != FL_CERT_DEVICE || strcmp(info.name, sign->device) != 0))
        error = fl_fail(ctx, FL_EAUTH, "the signer issued a certificate for something else");
    if (error == FL_OK)
        error = fl_cert_x509(certificate, &x509, ctx);
    if (error == FL_OK)
        error = fl_key_id(X509_get0_pubkey(x509), c->key);
    X509_free(x509);
    (void)fl_str_copy(c->serial, sizeof c->serial, info.serial);
    (void)fl_str_copy(c->device, sizeof c->device, sign->device);
    c->state = FL_CREDENTIAL_ISSUED;
    c->since = now;
    c->not_before = info.not_before;
    c->not_after = info.not_after;
    return error;
}

static enum fl_error record_credential(struct fl_hub *hub, const struct fl_hub_sign *sign,
                                       const struct fl_credential *c, struct fl_device *device,
                                       struct fl_context *ctx)
{
    enum fl_error error = fl_store_begin(&hub->store, ctx);

    if (error != FL_OK)
        return error;
    error = fl_enrolment_finish(&hub->store, sign->renewal ? sign->serial : NULL, c, sign->peer,
                                fl_hub_now(hub), device, ctx);
    if (error == FL_OK && !sign->renewal)
        error = fl_hub_evidence_reset(hub, device, "it has enrolled anew since", ctx);
    return fl_store_end(&hub->store, error, ctx);
}

static void device_issued(struct fl_hub *hub, struct fl_hub_sign *sign,
                          const struct fl_msg_sign_result *result)
{
    struct fl_credential c = {0};
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    struct verdict v = {.certificate = result->certificate, .detail = ""};

    /* Nobody would get it: the token stays good for another try. */
    if (sign->orphan) {
        fl_hub_unclaimed(hub, result->certificate);
        conclude(hub, sign, &v);
        return;
    }
    v.error = read_credential(sign, result->certificate, fl_hub_now(hub), &c, &ctx);
    if (v.error == FL_OK)
        v.error = record_credential(hub, sign, &c, &device, &ctx);
    if (v.error != FL_OK) {
        v.certificate = fl_slice(NULL, 0);
        v.detail = ctx.text;
    } else {
        fl_log_device(FL_LOG_INFO, TAG, fl_slice_str(device.id), "has certificate %s", c.serial);
        /* Before the answer, so that the device can connect as soon as it has it. */
        (void)fl_hub_push_device(hub, &device, ++hub->last_seq);
        fl_hub_status_changed(hub, c.serial); /* and others may have been replaced */
    }
    conclude(hub, sign, &v);
}

/* The first connection with a renewed certificate ends the ones before it. */
void fl_hub_connected_with(struct fl_hub *hub, const struct fl_msg_session *event)
{
    char serial[FL_LIMIT_SERIAL_HEX];
    char peer[FL_LIMIT_ADDRESS + 1];
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    (void)fl_str_copy_slice(serial, sizeof serial, event->serial);
    (void)fl_str_copy_slice(peer, sizeof peer, event->peer);
    /* Nearly always there is one certificate and nothing to do. */
    if (fl_registry_get(&hub->store, event->device, &device, NULL) != FL_OK ||
        device.serial_count < 2 || strcmp(device.serials[0], serial) == 0)
        return;
    error = fl_store_begin(&hub->store, &ctx);
    if (error == FL_OK) {
        error = fl_enrolment_connected(&hub->store, serial, peer, fl_hub_now(hub), &device, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error == FL_ENOTFOUND)
        return;
    if (error != FL_OK) {
        fl_log(FL_LOG_ERROR, TAG, "%s: the certificates before %s cannot be retired: %s", device.id,
               serial, ctx.text);
        return;
    }
    fl_log_device(FL_LOG_INFO, TAG, fl_slice_str(device.id),
                  "connected with certificate %s; those before it are retired", serial);
    (void)fl_hub_push_device(hub, &device, ++hub->last_seq);
    fl_hub_status_changed(hub, serial);
}

void fl_hub_sign_result(struct fl_hub *hub, const struct fl_msg_sign_result *result)
{
    struct fl_hub_sign *sign = NULL;
    char detail[513];
    struct verdict v = {.detail = detail};

    FL_LIST_EACH(node, &hub->signs)
    if (fl_container_of(node, struct fl_hub_sign, node)->id == result->request)
        sign = fl_container_of(node, struct fl_hub_sign, node);
    if (!sign) { /* it came too late */
        if (result->certificate.size)
            fl_hub_unclaimed(hub, result->certificate);
        return;
    }
    (void)fl_str_copy_slice(detail, sizeof detail, result->detail);
    v.error = (enum fl_error)result->error;
    v.retry_after_s = result->retry_after_s;
    if (v.error != FL_OK) {
        conclude(hub, sign, &v);
    } else if (!is_for_device(sign)) {
        v.certificate = result->certificate;
        v.not_after = result->not_after;
        conclude(hub, sign, &v);
    } else {
        device_issued(hub, sign, result);
    }
}

void fl_hub_tick_signs(struct fl_hub *hub, bool signer_gone)
{
    fl_time_t now = fl_clock_monotonic(hub->clock);

    FL_LIST_EACH(node, &hub->signs)
    {
        struct fl_hub_sign *sign = fl_container_of(node, struct fl_hub_sign, node);
        struct verdict v = {.error = FL_EBUSY, .retry_after_s = RETRY_S};

        v.detail = signer_gone ? "the signer has gone away" : "the signer does not answer";
        if (signer_gone || now >= sign->give_up)
            conclude(hub, sign, &v);
    }
}

void fl_hub_orphan_signs(struct fl_hub *hub)
{
    FL_LIST_EACH(node, &hub->signs)
    fl_container_of(node, struct fl_hub_sign, node)->orphan = true;
}
