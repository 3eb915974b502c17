/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/front_rig.h"

#include "base/base64.h"

/* --- MQTT --- */

static struct fl_reading reading_of(struct rig *r)
{
    struct fl_slice records = fl_buffer_slice(&r->records);
    struct fl_reading reading = {0};

    assert_ok(fl_msg_next_reading(&records, &reading));
    return reading;
}

static void a_reading_is_acknowledged_only_when_it_is_stored(void **state)
{
    struct rig *r = *state;
    struct client *c = NULL;

    r->stores = false;
    c = device_open(r);
    WAIT_FOR(r, strstr(r->sessions, "connected cam-01 0") != NULL);
    mqtt_publish(c, "d/cam-01/t/temperature", "21.5", 7);
    WAIT_FOR(r, r->batches == 1);
    assert_slice_equal(reading_of(r).device, "cam-01");
    assert_slice_equal(reading_of(r).stream, "temperature");
    assert_true(reading_of(r).value == 21.5);
    for (int i = 0; i < 20; i++)
        client_turn(r, c);
    assert_int_equal(c->heard_size, 0);
    rig_done(r, r->last_batch, FL_OK);
    WAIT_FOR(r, (client_turn(r, c), c->heard_size >= 4));
    assert_int_equal(c->heard[0], 0x40);
    assert_int_equal(c->heard[3], 7);
    assert_true(c->heard[1] == 2 || c->heard[4] == 0);
    client_close(c);
    WAIT_FOR(r, strstr(r->sessions, "disconnected cam-01") != NULL);
}

static void a_reading_that_cannot_be_stored_is_not_acknowledged_as_success(void **state)
{
    struct rig *r = *state;
    struct client *c = NULL;

    r->stores = false;
    c = device_open(r);
    mqtt_publish(c, "d/cam-01/t/temperature", "21.5", 7);
    WAIT_FOR(r, r->batches == 1);
    rig_done(r, r->last_batch, FL_EFULL);
    WAIT_FOR(r, (client_turn(r, c), c->heard_size >= 5));
    assert_int_equal(c->heard[0], 0x40);
    assert_int_equal(c->heard[4], 0x97);
    client_close(c);
}

static void what_the_profile_does_not_allow_is_refused(void **state)
{
    static const struct {
        const char *topic;
        const char *payload;
        uint8_t reason;
        const char *told;
    } table[] = {
        {"d/cam-02/t/temperature", "1", 0x87, "publish cam-01 d/cam-02/t/temperature: "},
        {"elsewhere", "1", 0x87, "publish cam-01 elsewhere: "},
        {"d/cam-01/t/temperature", "850", 0x99, "reading cam-01 d/cam-01/t/temperature: "},
        {"d/cam-01/t/unknown", "1", 0x87, "reading cam-01 d/cam-01/t/unknown: "},
        {"d/cam-01/t/temperature", "{\"x", 0x99, "reading cam-01 d/cam-01/t/temperature: "},
    };
    struct rig *r = *state;
    struct client *c = device_open(r);

    for (uint8_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        c->heard_size = 0;
        mqtt_publish(c, table[i].topic, table[i].payload, (uint8_t)(i + 1));
        WAIT_FOR(r, (client_turn(r, c), c->heard_size >= 5 || c->ended));
        assert_int_equal(c->heard[0], 0x40);
        assert_int_equal(c->heard[4], table[i].reason);
        WAIT_FOR(r, strstr(r->refused, table[i].told) != NULL);
    }
    assert_int_equal(r->batches, 0);
    client_close(c);
}

static void other_topics_are_routed(void **state)
{
    static const uint8_t subscribe[] = {0x82, 16,  0,   1,   0,   0,   10,  'd', '/',
                                        'c',  'a', 'm', '-', '0', '1', '/', 's', 0};
    struct rig *r = *state;
    struct client *c = device_open(r);

    client_say(c, subscribe, sizeof subscribe);
    WAIT_FOR(r, (client_turn(r, c), c->heard_size >= 6));
    assert_int_equal(c->heard[0], 0x90);
    assert_int_equal(c->heard[5], 0);
    c->heard_size = 0;
    mqtt_publish(c, "d/cam-01/s", "hello", 9);
    WAIT_FOR(r, (client_turn(r, c), c->heard_size >= 24));
    assert_non_null(memmem(c->heard, c->heard_size, "hello", 5));
    assert_int_equal(r->batches, 0);
    client_close(c);
}

/* --- cut off --- */

static void a_device_that_may_not_is_off_at_once_and_cannot_come_back(void **state)
{
    struct rig *r = *state;
    struct client *c = device_open(r);
    fl_time_t began = 0;

    WAIT_FOR(r, (client_turn(r, c), r->session != NULL));
    began = fl_clock_monotonic(fl_clock_system());
    rig_device(r, 5, "cam-01", false, r->serial);
    WAIT_FOR(r, (client_turn(r, c), c->ended && r->applied == 1));
    assert_true(fl_clock_monotonic(fl_clock_system()) - began < 1000);
    assert_true(c->heard_size >= 3);
    assert_int_equal(c->heard[0], 0xE0);
    assert_int_equal(c->heard[2], 0x98);
    assert_int_equal(r->last_applied.seq, 5);
    assert_int_equal(r->last_applied.sessions_closed, 1);
    assert_int_equal(r->last_applied.resumptions_dropped, 1);
    client_close(c);
    for (int resume = 0; resume < 2; resume++) {
        r->sessions[0] = 0;
        c = client_open(r, r->mqtt_port, true, resume == 1);
        WAIT_FOR(r, (client_turn(r, c), c->ended));
        assert_int_equal(c->alert, SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED);
        WAIT_FOR(r, strstr(r->sessions, "refused cam-01") != NULL);
        assert_contains(r->sessions, "revoked: stolen");
        client_close(c);
    }
    rig_device(r, 6, "cam-01", true, r->serial);
    WAIT_FOR(r, r->applied == 2);
    c = device_open(r);
    client_close(c);
}

static void a_forgotten_device_is_cut_off_too(void **state)
{
    struct rig *r = *state;
    struct client *c = device_open(r);
    struct fl_msg msg = {.type = fl_msg_type_device_gone};

    msg.as.device_gone.seq = 9;
    msg.as.device_gone.id = fl_slice_str("cam-01");
    rig_send(r, &msg);
    WAIT_FOR(r, (client_turn(r, c), c->ended && r->applied == 1));
    assert_int_equal(r->last_applied.sessions_closed, 1);
    client_close(c);
    c = client_open(r, r->mqtt_port, true, false);
    WAIT_FOR(r, (client_turn(r, c), c->ended));
    assert_int_equal(c->alert, SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN);
    client_close(c);
}

static void a_session_is_resumed(void **state)
{
    struct rig *r = *state;
    struct client *c = device_open(r);

    WAIT_FOR(r, (client_turn(r, c), r->session != NULL));
    client_close(c);
    c = client_open(r, r->mqtt_port, true, true);
    mqtt_connect(r, c);
    assert_true(SSL_session_reused(c->ssl));
    WAIT_FOR(r, strstr(r->sessions, "connected cam-01 1") != NULL);
    client_close(c);
}

static void only_connections_with_a_revoked_credential_end(void **state)
{
    struct rig *r = *state;
    struct client *old = device_open(r);
    struct client *new = NULL;
    char both[100];
    char old_serial[FL_LIMIT_SERIAL_HEX];

    (void)fl_str_copy(old_serial, sizeof old_serial, r->serial);
    SSL_CTX_free(r->client);
    X509_free(r->certificate);
    EVP_PKEY_free(r->key);
    rig_make_device(r);
    (void)snprintf(both, sizeof both, "%s %s", old_serial, r->serial);
    rig_device(r, 1, "cam-01", true, both);
    WAIT_FOR(r, r->applied == 1);
    assert_int_equal(r->last_applied.sessions_closed, 0);
    new = client_open(r, r->mqtt_port, true, false);
    /* Another client id, so that it does not take the old session over. */
    client_say(new, "\x10\x0e\0\4MQTT\5\2\0\x3c\0\0\1x", 16);
    WAIT_FOR(r, (client_turn(r, new), new->heard_size > 4));
    rig_device(r, 2, "cam-01", true, r->serial);
    WAIT_FOR(r, (client_turn(r, old), old->ended && r->applied == 2));
    assert_int_equal(r->last_applied.sessions_closed, 1);
    new->heard_size = 0;
    mqtt_publish(new, "d/cam-01/t/temperature", "3", 3);
    WAIT_FOR(r, (client_turn(r, new), new->heard_size >= 4));
    assert_int_equal(new->heard[0], 0x40);
    client_close(old);
    client_close(new);
}

/* --- the hub goes away --- */

static void readings_wait_for_a_new_hub_and_devices_stay(void **state)
{
    struct rig *r = *state;
    struct client *c = NULL;

    r->stores = false;
    c = device_open(r);
    mqtt_publish(c, "d/cam-01/t/temperature", "1", 1);
    WAIT_FOR(r, r->batches == 1);
    rig_lose_hub(r);
    mqtt_publish(c, "d/cam-01/t/temperature", "2", 2);
    for (int i = 0; i < 20; i++)
        client_turn(r, c);
    assert_int_equal(c->heard_size, 0);
    assert_false(c->ended);
    r->sessions[0] = 0;
    r->stores = true;
    rig_connect_hub(r);
    WAIT_FOR(r, (client_turn(r, c), c->heard_size >= 8));
    assert_int_equal(c->heard[0], 0x40);
    assert_int_equal(r->batches, 3);
    assert_contains(r->sessions, "connected cam-01");
    client_close(c);
}

/* --- HTTPS --- */

static const char *ask(struct rig *r, struct client *c, const char *request)
{
    c->heard_size = 0;
    client_say(c, request, strlen(request));
    WAIT_FOR(r, (client_turn(r, c), c->heard[c->heard_size] = 0,
                 c->ended || strstr((char *)c->heard, "\r\n\r\n") != NULL || r->hub == NULL ||
                     r->enrols + r->api_requests > 0));
    return (const char *)c->heard;
}

static const char *hear(struct rig *r, struct client *c)
{
    WAIT_FOR(r, (client_turn(r, c), c->heard[c->heard_size] = 0,
                 c->ended || strstr((char *)c->heard, "\r\n\r\n") != NULL));
    return (const char *)c->heard;
}

static void est_tells_its_certificates_and_attributes(void **state)
{
    struct rig *r = *state;
    struct client *c = client_open(r, r->https_port, false, false);

    assert_contains(ask(r, c, "GET /.well-known/est/cacerts HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                    "HTTP/1.1 200 OK\r\n");
    assert_contains((char *)c->heard, "Content-Type: application/pkcs7-mime\r\n");
    assert_contains((char *)c->heard, "\r\n\r\nMII");
    assert_contains(ask(r, c, "GET /.well-known/est/csrattrs HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                    "MCEwFQYHKoZIzj0CATEKBggqhkjOPQMBBwYIKoZIzj0EAwI=");
    assert_contains(ask(r, c, "POST /.well-known/est/cacerts HTTP/1.1\r\nHost: a\r\n\r\n"),
                    "HTTP/1.1 405 ");
    assert_contains((char *)c->heard, "Allow: GET\r\n");
    assert_contains(ask(r, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 404 ");
    client_close(c);
}

static void say_enrol(struct rig *r, struct client *c, const char *path, const char *authorization)
{
    struct fl_buffer csr = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_buffer text = FL_BUFFER(2 * FL_LIMIT_CSR);
    struct fl_buffer request = FL_BUFFER(4 * FL_LIMIT_CSR);

    assert_ok(fl_csr_create(r->key, "cam-01", &csr, NULL));
    assert_ok(fl_base64_encode(fl_buffer_slice(&csr), 64, &text));
    assert_ok(fl_buffer_printf(&request,
                               "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n"
                               "Content-Type: application/pkcs10\r\n%s\r\n",
                               path, text.size, authorization));
    assert_ok(fl_buffer_append_slice(&request, fl_buffer_slice(&text)));
    c->heard_size = 0;
    client_say(c, fl_buffer_slice(&request).data, request.size);
    fl_buffer_free(&csr);
    fl_buffer_free(&text);
    fl_buffer_free(&request);
}

static void answer_enrol(struct rig *r, enum fl_error error, const char *detail)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_msg msg = {.type = fl_msg_type_enrol_result};

    msg.as.enrol_result.request = r->enrol_request;
    msg.as.enrol_result.error = (uint32_t)error;
    msg.as.enrol_result.detail = fl_slice_str(detail);
    msg.as.enrol_result.retry_after_s = error == FL_EBUSY ? 30 : 0;
    if (error == FL_OK) {
        rig_issue(r, FL_CERT_DEVICE, "cam-01", r->key, &der);
        msg.as.enrol_result.certificate = fl_buffer_slice(&der);
    }
    rig_send(r, &msg);
    fl_buffer_free(&der);
}

static void enrolment_asks_for_a_token_and_the_hub_decides(void **state)
{
    static const char authorization[] = "Authorization: Basic Y2FtLTAxOmZsMS50b2tlbg==\r\n";
    static const struct {
        enum fl_error error;
        const char *status;
    } table[] = {
        {FL_OK, "HTTP/1.1 200 OK\r\n"}, {FL_EAUTH, "HTTP/1.1 401 "}, {FL_EDENIED, "HTTP/1.1 403 "},
        {FL_EBUSY, "HTTP/1.1 429 "},    {FL_EIO, "HTTP/1.1 503 "},   {FL_EPARSE, "HTTP/1.1 401 "},
    };
    struct rig *r = *state;
    struct client *c = client_open(r, r->https_port, false, false);

    say_enrol(r, c, "/.well-known/est/simpleenroll", "");
    assert_contains(hear(r, c), "HTTP/1.1 401 ");
    assert_contains((char *)c->heard, "WWW-Authenticate: Basic realm=");
    assert_int_equal(r->enrols, 0);
    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
        say_enrol(r, c, "/.well-known/est/simpleenroll", authorization);
        WAIT_FOR(r, (client_turn(r, c), r->enrols == i + 1));
        assert_string_equal(r->enrol, "cam-01 fl1.token ");
        answer_enrol(r, table[i].error, "the hub's words");
        assert_contains(hear(r, c), table[i].status);
        if (table[i].error == FL_OK)
            assert_contains((char *)c->heard,
                            "Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n");
        else
            assert_contains((char *)c->heard, "the hub's words");
        if (table[i].error == FL_EBUSY)
            assert_contains((char *)c->heard, "Retry-After: 30\r\n");
    }
    client_close(c);
}

static void reenrolment_needs_the_certificate(void **state)
{
    struct rig *r = *state;
    struct client *c = client_open(r, r->https_port, false, false);
    char expected[100];

    say_enrol(r, c, "/.well-known/est/simplereenroll", "");
    assert_contains(hear(r, c), "HTTP/1.1 401 ");
    client_close(c);
    c = client_open(r, r->https_port, true, false);
    say_enrol(r, c, "/.well-known/est/simplereenroll", "");
    WAIT_FOR(r, (client_turn(r, c), r->enrols == 1));
    (void)snprintf(expected, sizeof expected, "cam-01  %s", r->serial);
    assert_string_equal(r->enrol, expected);
    answer_enrol(r, FL_OK, "");
    assert_contains(hear(r, c), "HTTP/1.1 200 OK\r\n");
    /* Cut off, its HTTPS connection ends too. */
    rig_device(r, 3, "cam-01", false, r->serial);
    WAIT_FOR(r, (client_turn(r, c), c->ended && r->applied == 1));
    assert_int_equal(r->last_applied.sessions_closed, 1);
    client_close(c);
}

/* The device's certificate ended yesterday. */
static void let_it_end(struct rig *r)
{
    struct fl_cert_request request = pki_request(&r->pki, FL_CERT_DEVICE, "cam-01");
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    struct fl_cert_info info = {0};

    request.not_after = fl_clock_now(fl_clock_system()) - 1000;
    request.not_before = request.not_after - PKI_DAY;
    request.subject_key = r->key;
    X509_free(r->certificate);
    assert_ok(fl_cert_issue(&request, &der, NULL));
    assert_ok(fl_cert_x509(fl_buffer_slice(&der), &r->certificate, NULL));
    assert_ok(fl_cert_read(fl_buffer_slice(&der), &info, NULL));
    (void)fl_str_copy(r->serial, sizeof r->serial, info.serial);
    fl_buffer_free(&der);
}

static void tell_renewable(struct rig *r, uint64_t seq, const char *credentials,
                           const char *renewable)
{
    struct fl_msg msg = {.type = fl_msg_type_device};
    struct fl_msg_device *d = &msg.as.device;
    unsigned before = r->applied;

    d->seq = seq;
    d->id = fl_slice_str("cam-01");
    d->profile = fl_slice_str("camera");
    d->may_connect = credentials[0] ? 1 : 0;
    d->reason = fl_slice_str("its certificate expired");
    d->credentials = fl_slice_str(credentials);
    d->renewable = fl_slice_str(renewable);
    rig_send(r, &msg);
    WAIT_FOR(r, r->applied == before + 1);
}

static void expect_expired(struct rig *r, uint16_t port)
{
    struct client *c = client_open(r, port, true, false);

    WAIT_FOR(r, (client_turn(r, c), c->ended));
    assert_int_equal(c->alert, SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED);
    client_close(c);
}

static void an_ended_certificate_comes_in_only_when_the_hub_says_so(void **state)
{
    struct rig *r = *state;

    let_it_end(r);
    tell_renewable(r, 2, "", "");
    expect_expired(r, r->https_port);
    expect_expired(r, r->mqtt_port);
    tell_renewable(r, 3, "", "00112233445566778899aabbccddeeff");
    expect_expired(r, r->https_port);
    /* It may come as an old one beside a live one. */
    tell_renewable(r, 4, "00112233445566778899aabbccddeeff", "");
    expect_expired(r, r->https_port);
    tell_renewable(r, 5, "", r->serial);
    expect_expired(r, r->mqtt_port);
}

static void an_ended_certificate_asks_for_the_next_one_and_is_good_for_nothing_else(void **state)
{
    struct rig *r = *state;
    struct client *c = NULL;
    char expected[100];

    let_it_end(r);
    tell_renewable(r, 2, "", r->serial);
    c = client_open(r, r->https_port, true, false);
    assert_false(c->ended);
    assert_contains(ask(r, c,
                        "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Protocol: mqtt\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
                    "HTTP/1.1 401 ");
    say_enrol(r, c, "/.well-known/est/simplereenroll", "");
    WAIT_FOR(r, (client_turn(r, c), r->enrols == 1));
    (void)snprintf(expected, sizeof expected, "cam-01  %s", r->serial);
    assert_string_equal(r->enrol, expected);
    /* As the hub does: the device as it is now, then the answer on the same connection. */
    tell_renewable(r, 3, "00112233445566778899aabbccddeeff", "");
    answer_enrol(r, FL_OK, "");
    assert_contains(hear(r, c), "HTTP/1.1 200 OK\r\n");
    client_close(c);
    expect_expired(r, r->https_port);
    tell_renewable(r, 4, "", r->serial);
    c = client_open(r, r->https_port, true, true);
    assert_int_equal(SSL_session_reused(c->ssl), 0);
    client_close(c);
}

static void api_calls_are_passed_to_the_hub_and_back(void **state)
{
    struct rig *r = *state;
    struct client *c = client_open(r, r->https_port, false, false);
    struct fl_msg msg = {.type = fl_msg_type_api_response};

    assert_contains(ask(r, c,
                        "POST /api/v1/devices HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                        "Content-Type: application/json\r\n\r\n{\"a"),
                    "HTTP/1.1 400 ");
    assert_contains(ask(r, c,
                        "GET /api/v1/devices HTTP/1.1\r\nHost: a\r\n"
                        "Authorization: Basic YTpi\r\n\r\n"),
                    "HTTP/1.1 401 ");
    assert_contains(ask(r, c,
                        "POST /api/v1/devices HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                        "Content-Type: text/plain\r\n\r\n{}"),
                    "HTTP/1.1 415 ");
    assert_int_equal(r->api_requests, 0);
    (void)ask(r, c,
              "POST /api/v1/devices?x=%20 HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n"
              "Authorization: Bearer secret\r\nContent-Type: application/json\r\n\r\n"
              "{ \"id\" : 1 }");
    WAIT_FOR(r, (client_turn(r, c), r->api_requests == 1));
    assert_string_equal(r->api, "POST /api/v1/devices?x=%20 [secret] {\"id\":1}");
    msg.as.api_response.request = r->api_request;
    msg.as.api_response.status = 201;
    msg.as.api_response.content_type = fl_slice_str("application/json");
    msg.as.api_response.body = fl_slice_str("{\"id\":1}");
    rig_send(r, &msg);
    assert_contains(hear(r, c), "HTTP/1.1 201 Created\r\n");
    assert_contains((char *)c->heard, "\r\n\r\n{\"id\":1}");
    rig_lose_hub(r);
    assert_contains(ask(r, c, "GET /api/v1/health HTTP/1.1\r\nHost: a\r\n\r\n"), "");
    assert_contains(hear(r, c), "HTTP/1.1 503 ");
    assert_contains((char *)c->heard, "Retry-After: ");
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
        RIG_TEST(a_reading_is_acknowledged_only_when_it_is_stored),
        RIG_TEST(a_reading_that_cannot_be_stored_is_not_acknowledged_as_success),
        RIG_TEST(what_the_profile_does_not_allow_is_refused),
        RIG_TEST(other_topics_are_routed),
        RIG_TEST(a_device_that_may_not_is_off_at_once_and_cannot_come_back),
        RIG_TEST(a_forgotten_device_is_cut_off_too),
        RIG_TEST(a_session_is_resumed),
        RIG_TEST(only_connections_with_a_revoked_credential_end),
        RIG_TEST(readings_wait_for_a_new_hub_and_devices_stay),
        RIG_TEST(est_tells_its_certificates_and_attributes),
        RIG_TEST(enrolment_asks_for_a_token_and_the_hub_decides),
        RIG_TEST(reenrolment_needs_the_certificate),
        RIG_TEST(an_ended_certificate_comes_in_only_when_the_hub_says_so),
        RIG_TEST(an_ended_certificate_asks_for_the_next_one_and_is_good_for_nothing_else),
        RIG_TEST(api_calls_are_passed_to_the_hub_and_back),
    };

    static const unsigned workers[] = {1, 2, 4};
    int failed = 0;

    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++) {
        rig_workers = workers[i];
        print_message("with %u workers\n", rig_workers);
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
