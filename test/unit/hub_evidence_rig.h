/* SPDX-License-Identifier: Apache-2.0
 *
 * A device in the hub's world that gives evidence, true or not, and what is to be seen of it.
 */
#ifndef FL_TEST_HUB_EVIDENCE_RIG_H
#define FL_TEST_HUB_EVIDENCE_RIG_H

#include "test/twin/hub_world.h"
#include "test/unit/tpm_rig.h"
#include "trust/cert.h"
#include "trust/statement.h"

#include <stdio.h>
#include <stdlib.h>

#define API "/api/v1"
#define HOUR INT64_C(3600000)

static const char profile[] = "profile guard {\n"
                              "version %u\n"
                              "publish d/{device}/t/#\n"
                              "publish d/{device}/video/# when attested\n"
                              "publish d/{device}/log/# when reported\n"
                              "require attested within %s\n"
                              "require reported within %s\n"
                              "%s}\n";

struct rig {
    struct tpm_rig tpm;
    struct fl_msg msg; /* EVIDENCE, as the front would send it */
    uint8_t nonce[FL_NONCE_SIZE];
    uint8_t signature[64];
    char serial[FL_LIMIT_SERIAL_HEX];
    struct fl_buffer certificate;
    struct fl_buffer attest;
    struct fl_buffer quote_signature;
    struct fl_buffer pcrs;
    struct fl_buffer replayed;
    EVP_PKEY *key;
    char device[FL_NAME_MAX + 1];
};

static inline void add_profile(struct hub_world *w, unsigned version, const char *attested,
                               const char *reported, const char *more)
{
    char text[1024];
    struct fl_buffer signed_text = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    json_t *body = NULL;
    char *body_text = NULL;

    (void)snprintf(text, sizeof text, profile, version, attested, reported, more);
    assert_ok(fl_profile_sign(fl_slice_str(text), w->profile_key, &signed_text, NULL));
    body = json_pack("{s:s}", "text", fl_buffer_str(&signed_text));
    body_text = json_dumps(body, 0);
    hub_call(w, "POST", API "/profiles", "", body_text);
    assert_int_equal(w->status, 201);
    free(body_text);
    json_decref(body);
    fl_buffer_free(&signed_text);
}

static inline void enrol(struct hub_world *w, struct rig *rig, const char *id)
{
    char token[FL_LIMIT_TOKEN_TEXT];
    struct fl_cert_info info = {0};

    *rig = (struct rig){.certificate = FL_BUFFER(FL_LIMIT_CERT),
                        .attest = FL_BUFFER(1024),
                        .quote_signature = FL_BUFFER(1024),
                        .pcrs = FL_BUFFER(1024),
                        .replayed = FL_BUFFER(1024)};
    rig_make(&rig->tpm);
    (void)fl_str_copy(rig->device, sizeof rig->device, id);
    hub_add(w, id, "guard", token);
    hub_enrol_with(w, id, token, "");
    assert_int_equal(w->enrol_error, FL_OK);
    assert_ok(fl_buffer_append_slice(&rig->certificate, fl_buffer_slice(&w->certificate)));
    assert_ok(fl_cert_read(fl_buffer_slice(&rig->certificate), &info, NULL));
    (void)fl_str_copy(rig->serial, sizeof rig->serial, info.serial);
    rig->key = w->device_key;
    w->device_key = NULL;
}

static inline void drop(struct rig *rig)
{
    rig_free(&rig->tpm);
    fl_buffer_free(&rig->certificate);
    fl_buffer_free(&rig->attest);
    fl_buffer_free(&rig->quote_signature);
    fl_buffer_free(&rig->pcrs);
    fl_buffer_free(&rig->replayed);
    EVP_PKEY_free(rig->key);
}

/* A hub whose profile asks for both grades, and a device of it. */
static inline void start_with(struct hub_world *w, struct rig *rig)
{
    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, rig, "g-1");
}

static inline void ask_nonce(struct hub_world *w, struct rig *rig)
{
    struct fl_msg msg = {.type = fl_msg_type_evidence_nonce};
    const char *hex = NULL;
    size_t size = 0;

    msg.as.evidence_nonce.device = fl_slice_str(rig->device);
    msg.as.evidence_nonce.serial = fl_slice_str(rig->serial);
    msg.as.evidence_nonce.peer = fl_slice_str("192.0.2.1:4711");
    fl_hub_from_front(&w->hub, &msg);
    if (w->evidence_error)
        return;
    hex = json_string_value(json_object_get(w->evidence, "nonce"));
    assert_ok(fl_unhex(rig->nonce, sizeof rig->nonce, fl_slice_str(hex), &size));
}

/* Claims with the nonce, signed: what can be changed before it is sent. */
static inline void prepare(struct rig *rig, struct fl_buffer *text)
{
    struct fl_msg_evidence *m = &rig->msg.as.evidence;
    struct fl_claims claims = {.device = fl_slice_str(rig->device),
                               .nonce = fl_slice(rig->nonce, sizeof rig->nonce),
                               .agent = fl_slice_str("an agent"),
                               .os = fl_slice_str("an os"),
                               .kernel = fl_slice_str("a kernel"),
                               .boot = fl_slice_str("boot-1"),
                               .uptime_s = 60};

    fl_buffer_clear(text);
    assert_ok(fl_claims_text(&claims, text, NULL));
    assert_ok(fl_statement_sign(rig->key, fl_buffer_slice(text), rig->signature, NULL));
    rig->msg = (struct fl_msg){.type = fl_msg_type_evidence};
    m->device = claims.device;
    m->serial = fl_slice_str(rig->serial);
    m->peer = fl_slice_str("192.0.2.1:4711");
    m->certificate = fl_buffer_slice(&rig->certificate);
    m->nonce = claims.nonce;
    m->agent = claims.agent;
    m->os = claims.os;
    m->kernel = claims.kernel;
    m->boot = claims.boot;
    m->uptime_s = claims.uptime_s;
    m->signature = fl_slice(rig->signature, sizeof rig->signature);
}

static inline void prepare_quote(struct rig *rig, EVP_PKEY *ak, uint32_t which)
{
    struct fl_buffer text = FL_BUFFER(4096);
    struct fl_msg_evidence *m = &rig->msg.as.evidence;
    uint8_t digest[FL_SHA256_SIZE];

    prepare(rig, &text);
    fl_sha256(fl_buffer_slice(&text), digest);
    rig_quote_by(&rig->tpm, ak, fl_slice(digest, sizeof digest), which, &rig->attest,
                 &rig->quote_signature);
    fl_buffer_clear(&rig->pcrs);
    fl_pcrs_put(&rig->tpm.pcrs, &rig->pcrs);
    m->quote = fl_buffer_slice(&rig->attest);
    m->quote_signature = fl_buffer_slice(&rig->quote_signature);
    m->pcrs = fl_buffer_slice(&rig->pcrs);
    fl_buffer_free(&text);
}

static inline void send(struct hub_world *w, struct rig *rig)
{
    fl_hub_from_front(&w->hub, &rig->msg);
}

static inline void give_report(struct hub_world *w, struct rig *rig)
{
    struct fl_buffer text = FL_BUFFER(4096);

    ask_nonce(w, rig);
    prepare(rig, &text);
    send(w, rig);
    fl_buffer_free(&text);
}

static inline void give_quote(struct hub_world *w, struct rig *rig)
{
    ask_nonce(w, rig);
    prepare_quote(rig, rig->tpm.ak, rig->tpm.pcrs.present);
    send(w, rig);
}

static inline const char *grade(const struct hub_world *w)
{
    const char *text = json_string_value(json_object_get(w->evidence, "grade"));

    return text ? text : "(none)";
}

static inline const char *words(const struct hub_world *w)
{
    const char *text = json_string_value(json_object_get(w->evidence, "words"));

    return text ? text : "(none)";
}

static inline void offer_key(struct hub_world *w, struct rig *rig)
{
    struct fl_msg msg = {.type = fl_msg_type_evidence_key};

    msg.as.evidence_key.device = fl_slice_str(rig->device);
    msg.as.evidence_key.serial = fl_slice_str(rig->serial);
    msg.as.evidence_key.peer = fl_slice_str("192.0.2.1:4711");
    msg.as.evidence_key.endorsement = fl_buffer_slice(&rig->tpm.ek_area);
    msg.as.evidence_key.attestation = fl_buffer_slice(&rig->tpm.ak_area);
    fl_hub_from_front(&w->hub, &msg);
}

static inline void prove(struct hub_world *w, struct rig *rig, struct fl_slice secret)
{
    struct fl_msg msg = {.type = fl_msg_type_evidence_proof};

    msg.as.evidence_proof.device = fl_slice_str(rig->device);
    msg.as.evidence_proof.serial = fl_slice_str(rig->serial);
    msg.as.evidence_proof.peer = fl_slice_str("192.0.2.1:4711");
    msg.as.evidence_proof.secret = secret;
    fl_hub_from_front(&w->hub, &msg);
}

/* What its TPM would find in the credential; that it does is tpm_attest_test's. */
static inline void find_secret(struct hub_world *w, const struct rig *rig, uint8_t secret[32])
{
    struct fl_map_node *node =
        fl_map_find(&w->hub.activations.by_device, fl_slice_str(rig->device));

    assert_non_null(node);
    memcpy(secret, fl_container_of(node, struct fl_activation, node)->secret, 32);
}

static inline void endorse(struct hub_world *w, struct rig *rig)
{
    uint8_t secret[32];

    offer_key(w, rig);
    assert_int_equal(w->evidence_error, FL_OK);
    find_secret(w, rig, secret);
    prove(w, rig, fl_slice(secret, sizeof secret));
    assert_int_equal(w->evidence_error, FL_OK);
}

static inline void accept_boot(struct hub_world *w, const struct rig *rig, const char *of)
{
    char path[128];
    char body[64];

    (void)snprintf(path, sizeof path, API "/devices/%s/reference", rig->device);
    (void)snprintf(body, sizeof body, "{\"change\":\"accept\",\"of\":\"%s\"}", of);
    hub_call(w, "POST", path, "", body);
    assert_int_equal(w->status, 200);
}

static inline size_t audited(struct hub_world *w, const char *what, const char *part)
{
    size_t count = 0;

    hub_call(w, "GET", API "/audit", "", "");
    assert_int_equal(w->status, 200);
    for (size_t i = 0; i < json_array_size(w->answer); i++) {
        const json_t *record = json_array_get(w->answer, i);
        char *detail = json_dumps(json_object_get(record, "detail"), 0);

        count += strcmp(json_string_value(json_object_get(record, "what")), what) == 0 &&
                 strstr(detail, part) != NULL;
        free(detail);
    }
    return count;
}

/* The last evidence was refused with these words, and that is in the audit log. */
static inline void refused(struct hub_world *w, enum fl_error error, const char *part)
{
    assert_int_equal(w->evidence_error, error);
    assert_contains(w->evidence_detail, part);
    assert_true(audited(w, "evidence.refused", part) > 0);
}

static inline void posture_is(struct hub_world *w, const struct rig *rig, const char *posture,
                              const char *part)
{
    char path[128];

    (void)snprintf(path, sizeof path, API "/devices/%s", rig->device);
    hub_call(w, "GET", path, "", "");
    assert_string_equal(hub_text(w, "posture"), posture);
    assert_contains(hub_text(w, "posture_reason"), part);
}

#endif
