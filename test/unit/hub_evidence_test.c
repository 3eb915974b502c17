/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub weighs evidence: each lie is refused with a reason and written down, what is true opens
 * rights, and its end is told to the front.
 */
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

static void add_profile(struct hub_world *w, unsigned version, const char *attested,
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

static void enrol(struct hub_world *w, struct rig *rig, const char *id)
{
    char body[256];
    char token[FL_LIMIT_TOKEN_TEXT];
    struct fl_cert_info info = {0};

    *rig = (struct rig){.certificate = FL_BUFFER(FL_LIMIT_CERT),
                        .attest = FL_BUFFER(1024),
                        .quote_signature = FL_BUFFER(1024),
                        .pcrs = FL_BUFFER(1024),
                        .replayed = FL_BUFFER(1024)};
    rig_make(&rig->tpm);
    (void)fl_str_copy(rig->device, sizeof rig->device, id);
    (void)snprintf(body, sizeof body, "{\"id\":\"%s\",\"profile\":\"guard\"}", id);
    hub_call(w, "POST", API "/devices", "", body);
    assert_int_equal(w->status, 201);
    (void)fl_str_copy(token, sizeof token, hub_text(w, "token"));
    hub_enrol_with(w, id, token, "");
    assert_int_equal(w->enrol_error, FL_OK);
    assert_ok(fl_buffer_append_slice(&rig->certificate, fl_buffer_slice(&w->certificate)));
    assert_ok(fl_cert_read(fl_buffer_slice(&rig->certificate), &info, NULL));
    (void)fl_str_copy(rig->serial, sizeof rig->serial, info.serial);
    rig->key = w->device_key;
    w->device_key = NULL;
}

static void drop(struct rig *rig)
{
    rig_free(&rig->tpm);
    fl_buffer_free(&rig->certificate);
    fl_buffer_free(&rig->attest);
    fl_buffer_free(&rig->quote_signature);
    fl_buffer_free(&rig->pcrs);
    fl_buffer_free(&rig->replayed);
    EVP_PKEY_free(rig->key);
}

static void ask_nonce(struct hub_world *w, struct rig *rig)
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
static void prepare(struct rig *rig, struct fl_buffer *text)
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

static void prepare_quote(struct rig *rig, EVP_PKEY *ak, uint32_t which)
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

static void send(struct hub_world *w, struct rig *rig)
{
    fl_hub_from_front(&w->hub, &rig->msg);
}

static void give_report(struct hub_world *w, struct rig *rig)
{
    struct fl_buffer text = FL_BUFFER(4096);

    ask_nonce(w, rig);
    prepare(rig, &text);
    send(w, rig);
    fl_buffer_free(&text);
}

static void give_quote(struct hub_world *w, struct rig *rig)
{
    ask_nonce(w, rig);
    prepare_quote(rig, rig->tpm.ak, rig->tpm.pcrs.present);
    send(w, rig);
}

static const char *grade(const struct hub_world *w)
{
    const char *text = json_string_value(json_object_get(w->evidence, "grade"));

    return text ? text : "(none)";
}

static const char *words(const struct hub_world *w)
{
    const char *text = json_string_value(json_object_get(w->evidence, "words"));

    return text ? text : "(none)";
}

static void offer_key(struct hub_world *w, struct rig *rig)
{
    struct fl_msg msg = {.type = fl_msg_type_evidence_key};

    msg.as.evidence_key.device = fl_slice_str(rig->device);
    msg.as.evidence_key.serial = fl_slice_str(rig->serial);
    msg.as.evidence_key.peer = fl_slice_str("192.0.2.1:4711");
    msg.as.evidence_key.endorsement = fl_buffer_slice(&rig->tpm.ek_area);
    msg.as.evidence_key.attestation = fl_buffer_slice(&rig->tpm.ak_area);
    fl_hub_from_front(&w->hub, &msg);
}

static void prove(struct hub_world *w, struct rig *rig, struct fl_slice secret)
{
    struct fl_msg msg = {.type = fl_msg_type_evidence_proof};

    msg.as.evidence_proof.device = fl_slice_str(rig->device);
    msg.as.evidence_proof.serial = fl_slice_str(rig->serial);
    msg.as.evidence_proof.peer = fl_slice_str("192.0.2.1:4711");
    msg.as.evidence_proof.secret = secret;
    fl_hub_from_front(&w->hub, &msg);
}

/* What its TPM would find in the credential; that it does is tpm_attest_test's. */
static void find_secret(struct hub_world *w, const struct rig *rig, uint8_t secret[32])
{
    struct fl_map_node *node =
        fl_map_find(&w->hub.activations.by_device, fl_slice_str(rig->device));

    assert_non_null(node);
    memcpy(secret, fl_container_of(node, struct fl_activation, node)->secret, 32);
}

static void endorse(struct hub_world *w, struct rig *rig)
{
    uint8_t secret[32];

    offer_key(w, rig);
    assert_int_equal(w->evidence_error, FL_OK);
    find_secret(w, rig, secret);
    prove(w, rig, fl_slice(secret, sizeof secret));
    assert_int_equal(w->evidence_error, FL_OK);
}

static void accept_boot(struct hub_world *w, const struct rig *rig, const char *of)
{
    char path[128];
    char body[64];

    (void)snprintf(path, sizeof path, API "/devices/%s/reference", rig->device);
    (void)snprintf(body, sizeof body, "{\"change\":\"accept\",\"of\":\"%s\"}", of);
    hub_call(w, "POST", path, "", body);
    assert_int_equal(w->status, 200);
}

static size_t audited(struct hub_world *w, const char *what, const char *part)
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
static void refused(struct hub_world *w, enum fl_error error, const char *part)
{
    assert_int_equal(w->evidence_error, error);
    assert_contains(w->evidence_detail, part);
    assert_true(audited(w, "evidence.refused", part) > 0);
}

static void posture_is(struct hub_world *w, const struct rig *rig, const char *posture,
                       const char *part)
{
    char path[128];

    (void)snprintf(path, sizeof path, API "/devices/%s", rig->device);
    hub_call(w, "GET", path, "", "");
    assert_string_equal(hub_text(w, "posture"), posture);
    assert_contains(hub_text(w, "posture_reason"), part);
}

/* --- reported --- */

static void what_is_reported_opens_what_needs_a_report_and_ends_by_itself(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    assert_int_equal(w->device_grades, 0);
    posture_is(w, &rig, "narrowed", "it has given none");
    give_report(w, &rig);
    assert_string_equal(grade(w), "reported");
    assert_int_equal(json_integer_value(json_object_get(w->evidence, "next_s")), 1200);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    posture_is(w, &rig, "narrowed", "what it gave is only reported: self-reported");
    w->now += HOUR - 500;
    assert_true(fl_hub_tick(&w->hub) <= 500);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    w->now += 500;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, 0);
    assert_int_equal(audited(w, "evidence.expired", "reported evidence"), 1);
    /* It comes back with the next. */
    give_report(w, &rig);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    drop(&rig);
}

static void evidence_outlives_a_restart_of_the_front(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    give_report(w, &rig);
    fl_hub_front_down(&w->hub);
    w->device_grades = 0;
    fl_hub_front_up(&w->hub);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    drop(&rig);
}

static void a_nonce_is_good_once_for_one_device_and_a_minute(void **state)
{
    struct hub_world *w = *state;
    struct rig a;
    struct rig b;
    struct fl_buffer text = FL_BUFFER(4096);

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &a, "g-1");
    enrol(w, &b, "g-2");
    give_report(w, &a);
    send(w, &a);
    refused(w, FL_EAUTH, "evidence cannot be sent twice");
    ask_nonce(w, &a);
    memcpy(b.nonce, a.nonce, sizeof b.nonce);
    prepare(&b, &text);
    send(w, &b);
    refused(w, FL_EAUTH, "not the one that this device was given last");
    prepare(&a, &text);
    w->monotonic += FL_LIMIT_NONCE_MS;
    send(w, &a);
    refused(w, FL_EEXPIRED, "older than 60 s");
    fl_buffer_free(&text);
    drop(&a);
    drop(&b);
}

static void what_is_not_signed_by_the_device_is_refused(void **state)
{
    struct hub_world *w = *state;
    struct rig a;
    struct rig b;
    struct fl_buffer text = FL_BUFFER(4096);

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &a, "g-1");
    enrol(w, &b, "g-2");
    ask_nonce(w, &a);
    prepare(&a, &text);
    a.msg.as.evidence.os = fl_slice_str("another os");
    send(w, &a);
    refused(w, FL_EAUTH, "signature over the claims");
    /* Each attempt costs a nonce. */
    prepare(&a, &text);
    send(w, &a);
    refused(w, FL_EAUTH, "it was used already");
    ask_nonce(w, &a);
    prepare(&a, &text);
    a.msg.as.evidence.certificate = fl_buffer_slice(&b.certificate);
    send(w, &a);
    refused(w, FL_EAUTH, "not the one that the device connected with");
    ask_nonce(w, &a);
    prepare(&a, &text);
    a.msg.as.evidence.boot = fl_slice_str("two\nlines");
    send(w, &a);
    refused(w, FL_EINVAL, "one line of text");
    fl_buffer_free(&text);
    drop(&a);
    drop(&b);
}

static void who_enrols_anew_has_proved_nothing_yet(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    char token[FL_LIMIT_TOKEN_TEXT];

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    give_report(w, &rig);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    hub_enrol_with(w, "g-1", "", rig.serial);
    assert_int_equal(w->enrol_error, FL_OK);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    hub_call(w, "POST", API "/devices/g-1/token", "", "{}");
    (void)fl_str_copy(token, sizeof token, hub_text(w, "token"));
    hub_enrol_with(w, "g-1", token, "");
    assert_int_equal(w->enrol_error, FL_OK);
    assert_int_equal(w->device_grades, 0);
    posture_is(w, &rig, "narrowed", "it has enrolled anew since");
    drop(&rig);
}

static void evidence_that_changes_no_right_is_no_work_for_the_front(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    size_t told = 0;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    give_report(w, &rig);
    told = w->counts[fl_msg_type_device];
    w->now += HOUR / 2;
    give_report(w, &rig);
    assert_int_equal(w->counts[fl_msg_type_device], told);
    /* And yet it counts for longer. */
    w->now += HOUR / 2;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    drop(&rig);
}

static void a_flood_of_keys_waits(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    for (int i = 0; i < FL_LIMIT_NONCES_DEVICE; i++) {
        offer_key(w, &rig);
        assert_int_equal(w->evidence_error, FL_OK);
    }
    offer_key(w, &rig);
    refused(w, FL_EBUSY, "in a minute");
    drop(&rig);
}

static void a_device_that_may_not_connect_gives_no_evidence(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    hub_call(w, "POST", API "/devices/g-1/quarantine", "", "{}");
    ask_nonce(w, &rig);
    refused(w, FL_EDENIED, "quarantined");
    hub_call(w, "POST", API "/devices/g-1/release", "", "{}");
    (void)fl_str_copy(rig.serial, sizeof rig.serial, "0123");
    ask_nonce(w, &rig);
    refused(w, FL_EDENIED, "certificate is not valid any more");
    drop(&rig);
}

static void a_profile_that_asks_for_other_evidence_is_true_at_once(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    give_report(w, &rig);
    w->now += HOUR / 2;
    add_profile(w, 2, "24h", "20m", "");
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, 0);
    add_profile(w, 3, "24h", "2h", "");
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_REPORTED));
    w->now += HOUR + HOUR / 2;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, 0);
    drop(&rig);
}

/* --- attested --- */

static void only_an_accepted_boot_is_attested(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    const uint8_t both = FL_GRADE_BIT(FL_GRADE_REPORTED) | FL_GRADE_BIT(FL_GRADE_ATTESTED);

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    endorse(w, &rig);
    give_quote(w, &rig);
    assert_string_equal(grade(w), "reported");
    assert_contains(words(w), "no boot state is accepted yet");
    assert_contains(words(w), "nothing has measured this boot");
    rig.tpm.pcrs.value[0][0] = 1;
    give_quote(w, &rig);
    assert_null(strstr(words(w), "nothing has measured"));
    accept_boot(w, &rig, "device");
    assert_int_equal(w->device_grades, both);
    posture_is(w, &rig, "ok", "");
    w->now += HOUR;
    (void)fl_hub_tick(&w->hub);
    assert_int_equal(w->device_grades, FL_GRADE_BIT(FL_GRADE_ATTESTED));
    rig.tpm.clock += 5;
    give_quote(w, &rig);
    assert_string_equal(grade(w), "attested");
    assert_int_equal(w->device_grades, both);
    rig.tpm.pcrs.value[7][0] ^= 1;
    give_quote(w, &rig);
    assert_string_equal(grade(w), "none");
    assert_contains(words(w), "PCR 7 differs");
    assert_int_equal(w->device_grades, 0);
    posture_is(w, &rig, "narrowed", "refuted");
    assert_int_equal(audited(w, "evidence.refuted", "PCR 7 differs"), 1);
    /* Saying so itself does not help. */
    give_report(w, &rig);
    assert_int_equal(w->device_grades, 0);
    rig.tpm.pcrs.value[7][0] ^= 1;
    give_quote(w, &rig);
    assert_int_equal(w->device_grades, both);
    drop(&rig);
}

static void what_is_accepted_for_a_profile_holds_for_its_other_devices(void **state)
{
    struct hub_world *w = *state;
    struct rig a;
    struct rig b;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &a, "g-1");
    enrol(w, &b, "g-2");
    endorse(w, &a);
    endorse(w, &b);
    give_quote(w, &a);
    accept_boot(w, &a, "profile");
    give_quote(w, &b);
    assert_string_equal(grade(w), "attested");
    drop(&a);
    drop(&b);
}

static void a_quote_that_lies_is_refused(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    struct tpm_rig other;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    rig_make(&other);
    give_quote(w, &rig);
    refused(w, FL_ESTATE, "no attestation key of this device is endorsed");
    endorse(w, &rig);

    ask_nonce(w, &rig);
    prepare_quote(&rig, other.ak, 0xFF);
    send(w, &rig);
    refused(w, FL_EAUTH, "not signed by the attestation key that is on record");

    /* An old quote, which was over an old nonce, with new claims. */
    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0xFF);
    {
        struct fl_msg old = rig.msg;
        struct fl_buffer text = FL_BUFFER(4096);

        ask_nonce(w, &rig);
        prepare(&rig, &text);
        rig.msg.as.evidence.quote = old.as.evidence.quote;
        rig.msg.as.evidence.quote_signature = old.as.evidence.quote_signature;
        rig.msg.as.evidence.pcrs = old.as.evidence.pcrs;
        send(w, &rig);
        refused(w, FL_EAUTH, "not over these claims with this nonce");
        fl_buffer_free(&text);
    }

    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0x0F);
    send(w, &rig);
    refused(w, FL_EDENIED, "the quote is over PCRs 0-3, but 0-7 are asked for");

    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0xFF);
    rig.tpm.pcrs.value[2][5] ^= 4;
    fl_buffer_clear(&rig.pcrs);
    fl_pcrs_put(&rig.tpm.pcrs, &rig.pcrs);
    rig.msg.as.evidence.pcrs = fl_buffer_slice(&rig.pcrs);
    send(w, &rig);
    refused(w, FL_EAUTH, "not those that the TPM quoted");

    rig.tpm.magic = 0xFF544346U;
    give_quote(w, &rig);
    refused(w, FL_EPARSE, "not made by a TPM");
    rig.tpm.magic = 0xFF544347U;
    rig.tpm.type = 0x8017;
    give_quote(w, &rig);
    refused(w, FL_EPARSE, "no quote of PCRs");
    rig_free(&other);
    drop(&rig);
}

static void a_log_that_leads_elsewhere_is_refused(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    struct fl_pcrs replayed;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    endorse(w, &rig);
    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0xFF);
    replayed = rig.tpm.pcrs;
    replayed.value[5][31] ^= 1;
    fl_pcrs_put(&replayed, &rig.replayed);
    rig.msg.as.evidence.replayed = fl_buffer_slice(&rig.replayed);
    rig.msg.as.evidence.log_events = 12;
    send(w, &rig);
    refused(w, FL_EAUTH, "PCR 5 is another");
    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0xFF);
    rig.msg.as.evidence.log_problem = fl_slice_str("the event log: event 3: it ends too early");
    send(w, &rig);
    refused(w, FL_EPARSE, "event 3");
    ask_nonce(w, &rig);
    prepare_quote(&rig, rig.tpm.ak, 0xFF);
    fl_buffer_clear(&rig.replayed);
    fl_pcrs_put(&rig.tpm.pcrs, &rig.replayed);
    rig.msg.as.evidence.replayed = fl_buffer_slice(&rig.replayed);
    rig.msg.as.evidence.log_events = 12;
    send(w, &rig);
    assert_int_equal(w->evidence_error, FL_OK);
    drop(&rig);
}

static void counters_that_went_back_are_reported(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    endorse(w, &rig);
    w->now += 1000;
    give_quote(w, &rig);
    rig.tpm.clock += 100;
    rig.tpm.resets++;
    give_quote(w, &rig);
    assert_int_equal(audited(w, "evidence.counters-back", ""), 0);
    rig.tpm.clock -= 50;
    give_quote(w, &rig);
    assert_int_equal(w->evidence_error, FL_OK);
    assert_int_equal(audited(w, "evidence.counters-back", "copied back"), 1);
    drop(&rig);
}

static void a_key_is_endorsed_only_by_what_its_tpm_found(void **state)
{
    struct hub_world *w = *state;
    struct rig a;
    struct rig b;
    uint8_t secret[32];

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &a, "g-1");
    enrol(w, &b, "g-2");
    prove(w, &a, fl_slice_str("a guess"));
    refused(w, FL_ESTATE, "no attestation key of this device is being endorsed");
    offer_key(w, &a);
    find_secret(w, &a, secret);
    secret[0] ^= 1;
    prove(w, &a, fl_slice(secret, sizeof secret));
    refused(w, FL_EAUTH, "does not live in the TPM");
    /* One attempt. */
    secret[0] ^= 1;
    prove(w, &a, fl_slice(secret, sizeof secret));
    refused(w, FL_ESTATE, "being endorsed");
    offer_key(w, &a);
    find_secret(w, &a, secret);
    w->monotonic += FL_LIMIT_NONCE_MS;
    prove(w, &a, fl_slice(secret, sizeof secret));
    refused(w, FL_EEXPIRED, "took more than 60 s");
    endorse(w, &a);
    /* The same TPM for another device. */
    fl_buffer_clear(&b.tpm.ek_area);
    assert_ok(fl_buffer_append_slice(&b.tpm.ek_area, fl_buffer_slice(&a.tpm.ek_area)));
    offer_key(w, &b);
    refused(w, FL_EDENIED, "this TPM is that of device g-1");
    drop(&a);
    drop(&b);
}

static void keys_that_could_leave_their_tpm_are_refused(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    /* Not restricted: it would sign anything, a made-up quote, too. */
    rig_area(rig.tpm.ak, RIG_AK_ATTRIBUTES & ~0x10000U, true, &rig.tpm.ak_area);
    offer_key(w, &rig);
    refused(w, FL_EDENIED, "that is no attestation key");
    rig_area(rig.tpm.ak, RIG_AK_ATTRIBUTES & ~0x2U, true, &rig.tpm.ak_area);
    offer_key(w, &rig);
    refused(w, FL_EDENIED, "that is no attestation key");
    rig_area(rig.tpm.ak, RIG_AK_ATTRIBUTES, true, &rig.tpm.ak_area);
    rig_area(rig.tpm.ek, RIG_EK_ATTRIBUTES | 0x40000U, false, &rig.tpm.ek_area);
    offer_key(w, &rig);
    refused(w, FL_EDENIED, "that is no endorsement key");
    drop(&rig);
}

static void an_operator_says_which_tpm_it_is(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;
    struct fl_tpm_public ek = {0};
    char hash[FL_EK_HASH_TEXT];
    char body[160];

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    assert_ok(fl_tpm_public_read(fl_buffer_slice(&rig.tpm.ek_area), &ek, NULL));
    assert_ok(fl_tpm_ek_hash(&ek, hash, NULL));
    fl_tpm_public_free(&ek);
    hub_call(w, "POST", API "/devices/g-1/tpm", "",
             "{\"ek_hash\":\"ab00000000000000000000000000000000000000000000000000000000000000\"}");
    assert_int_equal(w->status, 200);
    offer_key(w, &rig);
    refused(w, FL_EDENIED, "not the TPM that is registered");
    (void)snprintf(body, sizeof body, "{\"ek_hash\":\"%s\"}", hash);
    hub_call(w, "POST", API "/devices/g-1/tpm", "", body);
    assert_int_equal(w->status, 200);
    endorse(w, &rig);
    hub_call(w, "GET", API "/devices/g-1/evidence", "", "");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(w->answer, "tpm"), "why")),
        "registered by an operator");
    hub_call(w, "POST", API "/devices/g-1/tpm", "", "{\"forget\":true,\"ek_hash\":\"00\"}");
    assert_int_equal(w->status, 400);
    hub_call(w, "POST", API "/devices/g-1/tpm", "", "{\"ek_hash\":\"no\"}");
    assert_int_equal(w->status, 400);
    give_quote(w, &rig);
    accept_boot(w, &rig, "device");
    assert_true(fl_grade_holds(w->device_grades, FL_GRADE_ATTESTED));
    hub_call(w, "POST", API "/devices/g-1/tpm", "", "{\"forget\":true}");
    assert_int_equal(w->status, 200);
    assert_int_equal(w->device_grades, 0);
    posture_is(w, &rig, "narrowed", "its TPM was replaced since");
    give_quote(w, &rig);
    refused(w, FL_ESTATE, "is endorsed");
    drop(&rig);
}

static void a_profile_may_ask_for_more_pcrs(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "measure 9 14\n");
    enrol(w, &rig, "g-1");
    endorse(w, &rig);
    give_quote(w, &rig);
    refused(w, FL_EDENIED, "but 0-7,9,14 are asked for");
    rig.tpm.pcrs.present |= 1U << 9 | 1U << 14;
    give_quote(w, &rig);
    assert_int_equal(w->evidence_error, FL_OK);
    assert_contains(words(w), "quotes PCRs 0-7,9,14");
    drop(&rig);
}

static void no_more_boots_are_accepted_than_the_limit(void **state)
{
    struct hub_world *w = *state;
    struct rig rig;

    hub_world_start(w);
    add_profile(w, 1, "24h", "1h", "");
    enrol(w, &rig, "g-1");
    hub_call(w, "POST", API "/devices/g-1/reference", "", "{\"change\":\"accept\"}");
    assert_int_equal(w->status, 409);
    endorse(w, &rig);
    for (uint8_t i = 0; i < FL_LIMIT_REFERENCES; i++) {
        w->monotonic += FL_LIMIT_NONCE_MS;
        rig.tpm.pcrs.value[0][0] = i;
        give_quote(w, &rig);
        accept_boot(w, &rig, "device");
    }
    hub_call(w, "POST", API "/devices/g-1/reference", "", "{\"change\":\"accept\"}");
    assert_int_equal(w->status, 409);
    rig.tpm.pcrs.value[0][0] = 200;
    give_quote(w, &rig);
    hub_call(w, "POST", API "/devices/g-1/reference", "", "{\"change\":\"accept\"}");
    assert_int_not_equal(w->status, 200);
    assert_contains(hub_text(w, "detail"), "forget those that are not used");
    drop(&rig);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hub_world_open, hub_world_close)
    const struct CMUnitTest tests[] = {
        TEST(what_is_reported_opens_what_needs_a_report_and_ends_by_itself),
        TEST(evidence_outlives_a_restart_of_the_front),
        TEST(a_nonce_is_good_once_for_one_device_and_a_minute),
        TEST(what_is_not_signed_by_the_device_is_refused),
        TEST(who_enrols_anew_has_proved_nothing_yet),
        TEST(evidence_that_changes_no_right_is_no_work_for_the_front),
        TEST(a_flood_of_keys_waits),
        TEST(a_device_that_may_not_connect_gives_no_evidence),
        TEST(a_profile_that_asks_for_other_evidence_is_true_at_once),
        TEST(only_an_accepted_boot_is_attested),
        TEST(what_is_accepted_for_a_profile_holds_for_its_other_devices),
        TEST(a_quote_that_lies_is_refused),
        TEST(a_log_that_leads_elsewhere_is_refused),
        TEST(counters_that_went_back_are_reported),
        TEST(a_key_is_endorsed_only_by_what_its_tpm_found),
        TEST(keys_that_could_leave_their_tpm_are_refused),
        TEST(an_operator_says_which_tpm_it_is),
        TEST(a_profile_may_ask_for_more_pcrs),
        TEST(no_more_boots_are_accepted_than_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
