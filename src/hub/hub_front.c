/* SPDX-License-Identifier: Apache-2.0
 * What the front says: sessions, refusals, API calls. */
#include "hub/hub.h"

#include "base/log.h"
#include "hub/api.h"
#include "io/clock.h"
#include "service/audit.h"

#include <stdio.h>

#define TAG "hub"

/* --- sessions and refusals --- */

/* Refusals are evidence, but a device that keeps knocking must not fill the log. */
void fl_hub_audit_refusal(struct fl_hub *hub, struct fl_slice device, const char *what,
                          json_t *detail)
{
    char who[FL_NAME_MAX + 8];
    char object[FL_NAME_MAX + 1];
    struct fl_device known = {0};
    bool is_known = fl_registry_get(&hub->store, device, &known, NULL) == FL_OK;
    /* Names that nobody registered share one allowance. */
    struct fl_session *session =
        fl_session_get(&hub->sessions, is_known ? device : fl_slice(NULL, 0));
    struct fl_context ctx = {0};
    struct fl_audit_entry entry = {.who = who, .what = what, .object = object};
    enum fl_error error = FL_OK;

    entry.at = fl_hub_now(hub);
    if (!session || !fl_session_may_audit(session, entry.at)) {
        json_decref(detail);
        return;
    }
    if (session->suppressed)
        (void)json_object_set_new(detail, "not_recorded_before",
                                  json_integer((json_int_t)session->suppressed));
    session->suppressed = 0;
    (void)fl_str_copy_slice(object, sizeof object, device);
    (void)snprintf(who, sizeof who, "device:%s", object);
    entry.detail = detail;
    error = fl_store_begin(&hub->store, &ctx);
    if (error != FL_OK) {
        json_decref(detail);
    } else {
        error = fl_audit_append(&hub->store, &entry, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error != FL_OK)
        fl_log(FL_LOG_ERROR, TAG, "a refusal cannot be recorded: %s", ctx.text);
}

static json_t *text_of(struct fl_slice text)
{
    return json_stringn(text.size ? (const char *)text.data : "", text.size);
}

static void session_event(struct fl_hub *hub, const struct fl_msg_session *event)
{
    struct fl_session *session = NULL;

    if (fl_slice_is(event->event, "refused")) {
        fl_hub_audit_refusal(hub, event->device, "session.refused",
                             json_pack("{s:o, s:o, s:o}", "peer", text_of(event->peer), "serial",
                                       text_of(event->serial), "reason", text_of(event->reason)));
        return;
    }
    if (!fl_name_valid(event->device))
        return;
    session = fl_session_get(&hub->sessions, event->device);
    if (!session)
        return;
    if (fl_slice_is(event->event, "connected")) {
        fl_session_connected(&hub->sessions, session, event->peer, event->at);
        fl_hub_connected_with(hub, event);
    } else if (fl_slice_is(event->event, "disconnected")) {
        fl_session_disconnected(&hub->sessions, session, event->at);
    }
    fl_log_device(FL_LOG_DEBUG, TAG, fl_slice_str(session->device), "%.*s",
                  FL_SLICE_ARGS(event->event));
}

static void refused(struct fl_hub *hub, const struct fl_msg_refused *event)
{
    char what[32];

    /* Over its rate nothing was refused: it had to wait. */
    if (fl_slice_is(event->what, "rate"))
        (void)fl_str_copy(what, sizeof what, "rate.limited");
    else
        (void)snprintf(what, sizeof what, "%.*s.refused", FL_SLICE_ARGS(event->what));
    fl_hub_audit_refusal(hub, event->device, what,
                         json_pack("{s:o, s:o, s:I}", "topic", text_of(event->topic), "reason",
                                   text_of(event->reason), "count", (json_int_t)event->count));
}

/* --- the API, when it comes over HTTPS --- */

static void api_request(struct fl_hub *hub, const struct fl_msg_api_request *request)
{
    struct fl_api_request call = {.caller = {.request = request->request},
                                  .method = request->method,
                                  .path = request->path,
                                  .query = request->query,
                                  .body = request->body,
                                  .bearer = request->bearer};

    fl_api_call(hub, &call);
}

static void evidence(struct fl_hub *hub, const struct fl_msg *msg)
{
    if (msg->type == fl_msg_type_evidence_nonce)
        fl_hub_evidence_nonce(hub, &msg->as.evidence_nonce);
    else if (msg->type == fl_msg_type_evidence_key)
        fl_hub_evidence_key(hub, &msg->as.evidence_key);
    else if (msg->type == fl_msg_type_evidence_proof)
        fl_hub_evidence_proof(hub, &msg->as.evidence_proof);
    else
        fl_hub_evidence(hub, &msg->as.evidence);
}

static void counters(struct fl_hub *hub, const struct fl_msg_counters *said)
{
    if (fl_metrics_counters(&hub->metrics, said, fl_clock_monotonic(hub->clock)) != FL_OK)
        fl_log(FL_LOG_WARN, TAG, "the front's counters cannot be read");
}

void fl_hub_from_front(struct fl_hub *hub, const struct fl_msg *msg)
{
    switch (msg->type) {
    case fl_msg_type_readings:
        fl_hub_keep_batch(hub, &msg->as.readings);
        break;
    case fl_msg_type_session:
        session_event(hub, &msg->as.session);
        break;
    case fl_msg_type_refused:
        refused(hub, &msg->as.refused);
        break;
    case fl_msg_type_applied:
        fl_hub_applied(hub, &msg->as.applied);
        break;
    case fl_msg_type_enrol:
        fl_hub_enrol(hub, &msg->as.enrol);
        break;
    case fl_msg_type_evidence_nonce:
    case fl_msg_type_evidence:
    case fl_msg_type_evidence_key:
    case fl_msg_type_evidence_proof:
        evidence(hub, msg);
        break;
    case fl_msg_type_server_csr:
        fl_hub_server_csr(hub, &msg->as.server_csr);
        break;
    case fl_msg_type_api_request:
        api_request(hub, &msg->as.api_request);
        break;
    case fl_msg_type_ocsp_ask:
        fl_hub_ocsp_ask(hub, &msg->as.ocsp_ask);
        break;
    case fl_msg_type_counters:
        counters(hub, &msg->as.counters);
        break;
    case fl_msg_type_usage:
        fl_hub_take_usage(&msg->as.usage, &hub->metrics.front_usage, &hub->metrics.has_front_usage);
        break;
    case fl_msg_type_start:
    case fl_msg_type_channel:
    case fl_msg_type_listen:
    case fl_msg_type_ready:
    case fl_msg_type_lost:
    case fl_msg_type_config:
    case fl_msg_type_profile:
    case fl_msg_type_device:
    case fl_msg_type_device_gone:
    case fl_msg_type_snapshot_end:
    case fl_msg_type_server_cert:
    case fl_msg_type_enrol_result:
    case fl_msg_type_readings_done:
    case fl_msg_type_api_response:
    case fl_msg_type_usage_ask:
    case fl_msg_type_signer_hello:
    case fl_msg_type_sign:
    case fl_msg_type_sign_result:
    case fl_msg_type_data_key:
    case fl_msg_type_data_key_erase:
    case fl_msg_type_data_key_result:
    case fl_msg_type_issued_ask:
    case fl_msg_type_issued_page:
    case fl_msg_type_crl_entries:
    case fl_msg_type_crl_sign:
    case fl_msg_type_crl_part:
    case fl_msg_type_crl:
    case fl_msg_type_ocsp_answer:
    case fl_msg_type_ocsp_drop:
    case fl_msg_type_evidence_result:
        fl_log(FL_LOG_WARN, TAG, "the front sent '%s'", fl_msg_name(msg->type));
        break;
    }
}
