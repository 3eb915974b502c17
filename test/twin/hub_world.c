/* SPDX-License-Identifier: Apache-2.0 */
#include "test/twin/hub_world.h"

#include "trust/cert.h"
#include "trust/crl.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define YEAR_MS (365 * DAY_MS)

static const uint8_t master[FL_DATAKEY_SIZE] = {7};

static const char camera[] = "profile camera {\n"
                             "    title \"Camera\"\n    vendor \"V\"\n    model M\n    version 1\n"
                             "    publish d/{device}/t/#\n    subscribe d/{device}/c/#\n"
                             "    stream temperature {\n        unit \"C\"\n        range -40 85\n"
                             "    }\n}\n";

static fl_time_t clock_now(void *self)
{
    return ((struct hub_world *)self)->now;
}

static fl_time_t clock_monotonic(void *self)
{
    return ((struct hub_world *)self)->monotonic;
}

static void random_fill(void *self, void *to, size_t size)
{
    memset(to, ++((struct hub_world *)self)->next_random, size);
}

/* --- the fake front --- */

static void hear_device(struct hub_world *w, const struct fl_msg_device *device)
{
    (void)fl_str_copy_slice(w->device, sizeof w->device, device->id);
    (void)fl_str_copy_slice(w->device_credentials, sizeof w->device_credentials,
                            device->credentials);
    (void)fl_str_copy_slice(w->device_reason, sizeof w->device_reason, device->reason);
    w->device_may_connect = device->may_connect;
    w->to_confirm = device->seq;
    w->device_grades = device->grades;
}

void hub_front_confirms(struct hub_world *w)
{
    struct fl_msg applied = {.type = fl_msg_type_applied};

    if (w->to_confirm == 0)
        return;
    applied.as.applied.seq = w->to_confirm;
    applied.as.applied.sessions_closed = w->sessions_closed;
    w->to_confirm = 0;
    w->monotonic += 3;
    fl_hub_from_front(&w->hub, &applied);
}

static void hear_answer(struct hub_world *w, int status, struct fl_slice content_type,
                        struct fl_slice body)
{
    w->status = status;
    w->answers++;
    json_decref(w->answer);
    fl_buffer_clear(&w->text);
    (void)fl_buffer_append_slice(&w->text, body);
    w->answer = body.size ? json_loadb((const char *)body.data, body.size, 0, NULL) : NULL;
    (void)fl_str_copy_slice(w->content_type, sizeof w->content_type, content_type);
}

static bool to_front(void *self, const struct fl_msg *msg)
{
    struct hub_world *w = self;
    struct fl_buffer frame = FL_BUFFER(FL_LIMIT_MSG);

    /* Everything the hub says must be sayable. */
    assert_ok(fl_msg_encode(msg, &frame, NULL));
    fl_buffer_free(&frame);
    w->counts[msg->type]++;
    if (msg->type == fl_msg_type_config) {
        (void)fl_str_copy_slice(w->log_key, sizeof w->log_key, msg->as.config.log_key);
    } else if (msg->type == fl_msg_type_enrol_result) {
        w->enrol_error = msg->as.enrol_result.error;
        (void)fl_str_copy_slice(w->enrol_detail, sizeof w->enrol_detail,
                                msg->as.enrol_result.detail);
        fl_buffer_clear(&w->certificate);
        (void)fl_buffer_append_slice(&w->certificate, msg->as.enrol_result.certificate);
    } else if (msg->type == fl_msg_type_evidence_result) {
        const struct fl_msg_evidence_result *r = &msg->as.evidence_result;

        w->evidence_error = r->error;
        (void)fl_str_copy_slice(w->evidence_detail, sizeof w->evidence_detail, r->detail);
        json_decref(w->evidence);
        w->evidence =
            r->body.size ? json_loadb((const char *)r->body.data, r->body.size, 0, NULL) : NULL;
    } else if (msg->type == fl_msg_type_readings_done) {
        w->readings_error = msg->as.readings_done.error;
    } else if (msg->type == fl_msg_type_crl_part) {
        assert_ok(fl_buffer_append_slice(&w->list_coming, msg->as.crl_part.der));
    } else if (msg->type == fl_msg_type_crl) {
        struct fl_buffer old = w->list;

        w->list = w->list_coming;
        w->list_coming = old;
        fl_buffer_clear(&w->list_coming);
        w->list_number = msg->as.crl.number;
    } else if (msg->type == fl_msg_type_ocsp_answer) {
        w->ocsp_error = msg->as.ocsp_answer.error;
        w->ocsp_keep = msg->as.ocsp_answer.keep != 0;
        fl_buffer_clear(&w->ocsp);
        (void)fl_buffer_append_slice(&w->ocsp, msg->as.ocsp_answer.response);
    } else if (msg->type == fl_msg_type_ocsp_drop) {
        fl_buffer_clear(&w->dropped);
        (void)fl_buffer_append_slice(&w->dropped, msg->as.ocsp_drop.serials);
    } else if (msg->type == fl_msg_type_api_response) {
        hear_answer(w, (int)msg->as.api_response.status, msg->as.api_response.content_type,
                    msg->as.api_response.body);
    }
    return true;
}

/* The hub is in the middle of something: the front confirms later. */
static bool to_front_and_hear(void *self, const struct fl_msg *msg)
{
    (void)to_front(self, msg);
    if (msg->type == fl_msg_type_device)
        hear_device(self, &msg->as.device);
    return true;
}

static size_t front_unsent(void *self)
{
    return ((struct hub_world *)self)->front_unsent;
}

static void answer(void *self, struct fl_api_caller caller, int status, const char *content_type,
                   struct fl_slice body)
{
    (void)caller;
    hear_answer(self, status, fl_slice_str(content_type), body);
}

/* --- the fake signer --- */

static void note_key_request(struct hub_world *w, const struct fl_msg *msg)
{
    struct hub_world_keys *keys = &w->keys_asked;
    bool is_erase = msg->type == fl_msg_type_data_key_erase;
    struct fl_slice device = is_erase ? msg->as.data_key_erase.device : msg->as.data_key.device;
    struct fl_msg *kept = NULL;

    assert_true(keys->count < sizeof keys->messages / sizeof keys->messages[0]);
    kept = &keys->messages[keys->count];
    *kept = *msg;
    (void)fl_str_copy_slice(keys->devices[keys->count], sizeof keys->devices[0], device);
    keys->count++;
    w->key_requests++;
}

static void answer_key(struct hub_world *w, const struct fl_msg *msg, const char *name)
{
    struct fl_msg reply = {.type = fl_msg_type_data_key_result};
    struct fl_msg_data_key_result *r = &reply.as.data_key_result;
    struct fl_context ctx = {0};
    uint8_t key[FL_DATAKEY_SIZE];
    enum fl_error error = FL_OK;

    r->device = fl_slice_str(name);
    if (msg->type == fl_msg_type_data_key_erase) {
        r->request = msg->as.data_key_erase.request;
        error = fl_keystore_destroy(w->keystore, r->device, &r->erased, &ctx);
    } else {
        r->request = msg->as.data_key.request;
        r->generation = msg->as.data_key.generation;
        error = fl_keystore_get(w->keystore, r->device, r->generation, msg->as.data_key.create, key,
                                &r->erased, &ctx);
        if (error == FL_OK)
            r->key = fl_slice(key, sizeof key);
    }
    r->error = (uint32_t)error;
    r->detail = fl_slice_str(ctx.text);
    fl_hub_from_signer(&w->hub, &reply);
}

/* An answer may lead to the next question. */
void hub_answer_keys(struct hub_world *w)
{
    while (w->keys_asked.count > 0) {
        struct hub_world_keys asked = w->keys_asked;

        w->keys_asked.count = 0;
        for (size_t i = 0; i < asked.count; i++)
            answer_key(w, &asked.messages[i], asked.devices[i]);
    }
}

static void answer_log(struct hub_world *w, const struct fl_msg_issued_ask *ask)
{
    struct fl_msg reply = {.type = fl_msg_type_issued_page};
    struct fl_issuance_place place = {
        .after = ask->after, .offset = ask->offset, .since = ask->since};
    struct fl_buffer page = FL_BUFFER(FL_LIMIT_ISSUED_PAGE);
    struct fl_context ctx = {0};

    reply.as.issued_page.request = ask->request;
    reply.as.issued_page.error =
        (uint32_t)fl_issuance_page(w->log, &place, &page, FL_LIMIT_ISSUED_PAGE, &ctx);
    reply.as.issued_page.detail = fl_slice_str(ctx.text);
    reply.as.issued_page.after = place.after;
    reply.as.issued_page.offset = place.offset;
    reply.as.issued_page.records = fl_buffer_slice(&page);
    fl_hub_from_signer(&w->hub, &reply);
    fl_buffer_free(&page);
}

void hub_log(struct hub_world *w, struct fl_issued *record)
{
    record->at = w->now;
    assert_ok(fl_issuance_add(w->log, record, NULL));
    assert_ok(fl_issuance_commit(w->log, NULL));
}

static void log_certificate(struct hub_world *w, const struct fl_cert_info *info,
                            struct fl_slice request)
{
    struct fl_csr_info csr = {0};
    uint8_t serial[20];
    struct fl_issued record = {.kind = FL_ISSUED_DEVICE,
                               .not_before = info->not_before,
                               .not_after = info->not_after,
                               .subject = fl_slice_str(info->name)};
    size_t size = 0;

    assert_ok(fl_unhex(serial, sizeof serial, fl_slice_str(info->serial), &size));
    record.serial = fl_slice(serial, size);
    memcpy(record.sha256, info->sha256, sizeof record.sha256);
    assert_ok(fl_csr_check(request, &csr, NULL));
    memcpy(record.key, csr.spki_sha256, sizeof record.key);
    fl_csr_info_free(&csr);
    hub_log(w, &record);
}

static void issue(struct hub_world *w, enum fl_cert_kind kind, const char *name,
                  struct fl_slice csr, uint32_t validity_s, struct fl_buffer *der)
{
    struct fl_csr_info info = {0};
    struct fl_cert_request request = {.kind = kind,
                                      .name = name,
                                      .not_before = w->now,
                                      .not_after = w->now + (fl_time_t)validity_s * 1000,
                                      .issuer = w->ca,
                                      .issuer_key = w->ca_key};

    assert_ok(fl_csr_check(csr, &info, NULL));
    request.subject_key = info.key;
    assert_ok(fl_cert_issue(&request, der, NULL));
    fl_csr_info_free(&info);
}

/* The hub is in the middle of asking: its answer comes with the next call of hub_answer_list. */
static void certify_responder(struct hub_world *w, const struct fl_msg_sign *sign)
{
    fl_buffer_clear(&w->responder_der);
    issue(w, FL_CERT_OCSP, "OCSP responder", sign->csr, sign->validity_s, &w->responder_der);
    w->responder_asked = sign->request;
    w->responder_until = w->now + (fl_time_t)sign->validity_s * 1000;
}

static void answer_responder(struct hub_world *w)
{
    struct fl_msg msg = {.type = fl_msg_type_sign_result};

    msg.as.sign_result.request = w->responder_asked;
    msg.as.sign_result.certificate = fl_buffer_slice(&w->responder_der);
    msg.as.sign_result.not_after = w->responder_until;
    w->responder_asked = 0;
    fl_hub_from_signer(&w->hub, &msg);
}

void hub_answer_list(struct hub_world *w)
{
    struct fl_msg part = {.type = fl_msg_type_crl_part};
    struct fl_msg end = {.type = fl_msg_type_crl};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CRL);
    struct fl_crl_request request = {.issuer = w->ca,
                                     .issuer_key = w->ca_key,
                                     .number = w->crl_number,
                                     .this_update = w->now,
                                     .next_update = w->now + DAY_MS,
                                     .entries = fl_buffer_slice(&w->crl_signing)};

    if (w->responder_asked)
        answer_responder(w);
    if (!w->crl_asked)
        return;
    assert_ok(fl_crl_make(&request, &der, NULL));
    end.as.crl.request = w->crl_asked;
    end.as.crl.number = w->crl_number;
    end.as.crl.this_update = request.this_update;
    end.as.crl.next_update = request.next_update;
    w->crl_asked = 0;
    part.as.crl_part.der = fl_buffer_slice(&der);
    fl_hub_from_signer(&w->hub, &part);
    fl_hub_from_signer(&w->hub, &end);
    fl_buffer_free(&der);
}

static bool to_signer(void *self, const struct fl_msg *msg)
{
    struct hub_world *w = self;

    if (msg->type == fl_msg_type_issued_ask) {
        if (!w->signer_is_silent)
            answer_log(w, &msg->as.issued_ask);
        return true;
    }

    if (msg->type == fl_msg_type_data_key || msg->type == fl_msg_type_data_key_erase) {
        note_key_request(w, msg);
        return true;
    }
    if (msg->type == fl_msg_type_usage_ask) {
        struct fl_msg usage = {.type = fl_msg_type_usage};

        usage.as.usage.cpu_us = 1500000;
        usage.as.usage.resident_bytes = 4096000;
        fl_hub_from_signer(&w->hub, &usage);
        return true;
    }
    if (msg->type == fl_msg_type_crl_entries) {
        assert_ok(fl_buffer_append_slice(&w->crl_entries, msg->as.crl_entries.entries));
        return true;
    }
    if (msg->type == fl_msg_type_crl_sign) {
        struct fl_buffer old = w->crl_signing;

        w->crl_signing = w->crl_entries;
        w->crl_entries = old;
        fl_buffer_clear(&w->crl_entries);
        w->crl_asked = msg->as.crl_sign.request;
        w->crl_number = msg->as.crl_sign.number;
        w->crl_requests++;
        return true;
    }
    assert_int_equal(msg->type, fl_msg_type_sign);
    if (fl_slice_is(msg->as.sign.kind, "ocsp")) {
        certify_responder(w, &msg->as.sign);
        return true;
    }
    w->sign = *msg;
    w->sign_requests++;
    fl_buffer_clear(&w->sign_csr);
    (void)fl_buffer_append_slice(&w->sign_csr, msg->as.sign.csr);
    (void)fl_str_copy_slice(w->sign_name, sizeof w->sign_name, msg->as.sign.name);
    return true;
}

void hub_answer_sign(struct hub_world *w)
{
    struct fl_cert_info info = {0};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_msg msg = {.type = fl_msg_type_sign_result};

    issue(w, FL_CERT_DEVICE, w->sign_name, fl_buffer_slice(&w->sign_csr),
          w->sign.as.sign.validity_s, &der);
    assert_ok(fl_cert_read(fl_buffer_slice(&der), &info, NULL));
    log_certificate(w, &info, fl_buffer_slice(&w->sign_csr));
    msg.as.sign_result.request = w->sign.as.sign.request;
    msg.as.sign_result.certificate = fl_buffer_slice(&der);
    msg.as.sign_result.serial = fl_slice_str(info.serial);
    fl_hub_from_signer(&w->hub, &msg);
    fl_buffer_free(&der);
}

/* --- the world --- */

static void make_ca(struct hub_world *w)
{
    struct fl_cert_request request = {.kind = FL_CERT_ISSUING,
                                      .name = "test issuing",
                                      .not_before = w->now - YEAR_MS,
                                      .not_after = w->now + YEAR_MS};
    struct fl_cert_request root = {.kind = FL_CERT_ROOT,
                                   .name = "test root",
                                   .not_before = w->now - YEAR_MS,
                                   .not_after = w->now + YEAR_MS};
    struct fl_buffer root_der = FL_BUFFER(FL_LIMIT_CERT);
    EVP_PKEY *root_key = NULL;
    X509 *root_cert = NULL;

    assert_ok(fl_key_generate(&root_key, NULL));
    root.subject_key = root_key;
    root.issuer_key = root_key;
    assert_ok(fl_cert_issue(&root, &root_der, NULL));
    assert_ok(fl_cert_x509(fl_buffer_slice(&root_der), &root_cert, NULL));
    assert_ok(fl_key_generate(&w->ca_key, NULL));
    request.subject_key = w->ca_key;
    request.issuer = root_cert;
    request.issuer_key = root_key;
    w->ca_der = FL_BUFFER(FL_LIMIT_CERT);
    assert_ok(fl_cert_issue(&request, &w->ca_der, NULL));
    assert_ok(fl_cert_x509(fl_buffer_slice(&w->ca_der), &w->ca, NULL));
    X509_free(root_cert);
    EVP_PKEY_free(root_key);
    fl_buffer_free(&root_der);
}

static void make_profile_key(struct hub_world *w)
{
    struct fl_buffer pem = FL_BUFFER(4096);

    assert_ok(fl_key_generate(&w->profile_key, NULL));
    assert_ok(fl_key_public_pem(w->profile_key, &pem, NULL));
    assert_ok(fl_profile_keys_load(fl_buffer_slice(&pem), &w->keys, NULL));
    fl_buffer_free(&pem);
}

int hub_world_open(void **state)
{
    struct hub_world *w = calloc(1, sizeof *w);
    struct fl_hub_config config = {.host_count = 1, .https.port = 8443, .mqtt.port = 8883};
    struct fl_hub_host host = {.to_front = to_front_and_hear,
                               .to_signer = to_signer,
                               .front_unsent = front_unsent,
                               .answer = answer,
                               .self = w};
    struct fl_issuance_config log = {0};
    struct fl_issuance_tail tail;

    w->now = HUB_NOON;
    w->monotonic = 1000;
    w->clock = (struct fl_clock){.now = clock_now, .monotonic = clock_monotonic, .self = w};
    w->random = (struct fl_random){.fill = random_fill, .self = w};
    w->sign_csr = FL_BUFFER(FL_LIMIT_CSR);
    w->text = FL_BUFFER(FL_LIMIT_MSG);
    w->certificate = FL_BUFFER(FL_LIMIT_CERT);
    w->responder_der = FL_BUFFER(FL_LIMIT_CERT);
    w->crl_entries = FL_BUFFER((size_t)FL_LIMIT_CRL_ENTRIES * FL_LIMIT_CRL_ENTRY);
    w->crl_signing = FL_BUFFER(w->crl_entries.max);
    w->list = FL_BUFFER(FL_LIMIT_CRL);
    w->list_coming = FL_BUFFER(FL_LIMIT_CRL);
    w->ocsp = FL_BUFFER(FL_LIMIT_OCSP_RESPONSE);
    w->dropped = FL_BUFFER(FL_MSG_PART);
    make_ca(w);
    make_profile_key(w);
    w->key_disk = fl_files_twin_new(1);
    w->key_files = fl_files_twin_files(w->key_disk);
    assert_ok(w->key_files.write(w->key_files.self, FL_KEYSTORE_FILE, 0, fl_slice_str(""), NULL));
    assert_ok(fl_keystore_open(&w->key_files, &w->random, master, &w->keystore, NULL));
    w->log_disk = fl_files_twin_new(2);
    log.files = fl_files_twin_files(w->log_disk);
    assert_ok(fl_issuance_open(&log, &w->log, &tail, NULL));
    (void)fl_str_copy(config.hosts[0], sizeof config.hosts[0], "hub.example.net");
    fl_hub_init(&w->hub, fl_store_twin_create(), &w->clock, &w->random, &host, &config, &w->keys);
    *state = w;
    return 0;
}

int hub_world_close(void **state)
{
    struct hub_world *w = *state;

    fl_hub_free(&w->hub);
    fl_buffer_free(&w->responder_der);
    fl_buffer_free(&w->crl_entries);
    fl_buffer_free(&w->crl_signing);
    fl_buffer_free(&w->list);
    fl_buffer_free(&w->list_coming);
    fl_buffer_free(&w->ocsp);
    fl_buffer_free(&w->dropped);
    fl_profile_keys_free(&w->keys);
    fl_keystore_free(w->keystore);
    fl_files_twin_free(w->key_disk);
    fl_issuance_free(w->log);
    fl_files_twin_free(w->log_disk);
    EVP_PKEY_free(w->profile_key);
    EVP_PKEY_free(w->ca_key);
    X509_free(w->ca);
    fl_buffer_free(&w->ca_der);
    fl_buffer_free(&w->sign_csr);
    fl_buffer_free(&w->certificate);
    fl_buffer_free(&w->text);
    json_decref(w->answer);
    json_decref(w->evidence);
    EVP_PKEY_free(w->device_key);
    free(w);
    return 0;
}

void hub_world_start(struct hub_world *w)
{
    struct fl_msg hello = {.type = fl_msg_type_signer_hello};
    struct fl_change change = {.who = "test", .reason = "", .now = w->now};
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    char name[FL_NAME_MAX + 1];
    bool added = false;

    assert_ok(fl_profile_sign(fl_slice_str(camera), w->profile_key, &text, NULL));
    assert_ok(fl_store_begin(&w->hub.store, NULL));
    assert_ok(fl_profile_store_add(&w->hub.store, &w->keys, fl_buffer_slice(&text), "camera",
                                   &change, &added, name, NULL));
    assert_ok(fl_store_end(&w->hub.store, FL_OK, NULL));
    fl_buffer_free(&text);
    fl_hub_front_up(&w->hub);
    fl_hub_signer_up(&w->hub);
    hello.as.signer_hello.issuing = fl_buffer_slice(&w->ca_der);
    hello.as.signer_hello.root = fl_buffer_slice(&w->ca_der);
    hello.as.signer_hello.front_key = fl_slice_str(HUB_WORLD_FRONT_KEY);
    fl_hub_from_signer(&w->hub, &hello);
    hub_settle_list(w);
}

void hub_settle_list(struct hub_world *w)
{
    fl_hub_tick_status(&w->hub, false);
    hub_answer_list(w);
    w->monotonic += 1000;
    fl_hub_tick_status(&w->hub, false);
    hub_answer_list(w);
    w->monotonic += 1000;
}

static void call(struct hub_world *w, struct fl_api_request *request, const char *method,
                 const char *path, const char *body)
{
    size_t before = w->answers;

    request->method = fl_slice_str(method);
    request->path = fl_slice_str(path);
    request->body = fl_slice_str(body);
    fl_api_call(&w->hub, request);
    if (!w->keys_are_silent)
        hub_answer_keys(w);
    if (!w->front_is_deaf)
        hub_front_confirms(w);
    assert_in_range(w->answers, before, before + 1);
}

void hub_call(struct hub_world *w, const char *method, const char *path, const char *query,
              const char *body)
{
    struct fl_api_request request = {
        .caller.exchange = w, .query = fl_slice_str(query), .local = true, .uid = 1000};

    call(w, &request, method, path, body);
}

void hub_call_with(struct hub_world *w, const char *bearer, const char *method, const char *path,
                   const char *body)
{
    struct fl_api_request request = {.caller.request = 5, .bearer = fl_slice_str(bearer)};

    call(w, &request, method, path, body);
}

const char *hub_text(const struct hub_world *w, const char *member)
{
    const char *text = json_string_value(json_object_get(w->answer, member));

    return text ? text : "";
}

void hub_enrol_with(struct hub_world *w, const char *id, const char *token, const char *serial)
{
    EVP_PKEY *key = NULL;
    struct fl_buffer csr = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_msg msg = {.type = fl_msg_type_enrol};
    uint64_t asked = w->sign_requests;

    assert_ok(fl_key_generate(&key, NULL));
    assert_ok(fl_csr_create(key, id, &csr, NULL));
    msg.as.enrol.request = 9;
    msg.as.enrol.device = fl_slice_str(id);
    msg.as.enrol.token = fl_slice_str(token);
    msg.as.enrol.serial = fl_slice_str(serial);
    msg.as.enrol.peer = fl_slice_str("192.0.2.1:4711");
    msg.as.enrol.csr = fl_buffer_slice(&csr);
    fl_hub_from_front(&w->hub, &msg);
    if (w->sign_requests > asked && !w->signer_is_silent)
        hub_answer_sign(w);
    fl_buffer_free(&csr);
    EVP_PKEY_free(w->device_key);
    w->device_key = key;
}

void hub_add(struct hub_world *w, const char *id, const char *profile,
             char token[FL_LIMIT_TOKEN_TEXT])
{
    char body[256];

    (void)snprintf(body, sizeof body, "{\"id\":\"%s\",\"profile\":\"%s\"}", id, profile);
    hub_call(w, "POST", "/api/v1/devices", "", body);
    assert_int_equal(w->status, 201);
    (void)fl_str_copy(token, FL_LIMIT_TOKEN_TEXT, hub_text(w, "token"));
}

void hub_enrol(struct hub_world *w, const char *id)
{
    char token[FL_LIMIT_TOKEN_TEXT];

    hub_add(w, id, "camera", token);
    hub_enrol_with(w, id, token, "");
    assert_int_equal(w->enrol_error, FL_OK);
}

void hub_readings(struct hub_world *w, uint64_t batch, const char *device, double first,
                  size_t count)
{
    struct fl_buffer records = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_msg msg = {.type = fl_msg_type_readings};

    for (size_t i = 0; i < count; i++) {
        struct fl_reading reading = {.device = fl_slice_str(device),
                                     .stream = fl_slice_str("temperature"),
                                     .t = w->now + (fl_time_t)i,
                                     .value = first + (double)i};

        assert_ok(fl_msg_put_reading(&records, &reading));
    }
    msg.as.readings.batch = batch;
    msg.as.readings.records = fl_buffer_slice(&records);
    fl_hub_from_front(&w->hub, &msg);
    fl_buffer_free(&records);
    if (!w->keys_are_silent)
        hub_answer_keys(w);
}
