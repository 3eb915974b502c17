/* SPDX-License-Identifier: Apache-2.0
 *
 * The small parts of the front that need no socket: refusals, the routes of HTTPS, and how bodies
 * are taken apart.
 */
#include "test/unit/unit.h"

#include "base/log.h"
#include "front/https.h"
#include "front/refusals.h"

#include <stdio.h>

struct told {
    bool hub_is_there;
    unsigned messages;
    unsigned sessions;
    uint32_t last_count;
    char last[128];
};

static bool on_send(void *self, const struct fl_msg *msg)
{
    struct told *t = self;
    struct fl_buffer frame = FL_BUFFER(FL_LIMIT_MSG);

    if (!t->hub_is_there)
        return false;
    assert_ok(fl_msg_encode(msg, &frame, NULL));
    fl_buffer_free(&frame);
    if (msg->type == fl_msg_type_session) {
        t->sessions++;
        return true;
    }
    t->messages++;
    t->last_count = msg->as.refused.count;
    (void)snprintf(t->last, sizeof t->last, "%.*s %.*s %.*s: %.*s",
                   FL_SLICE_ARGS(msg->as.refused.device), FL_SLICE_ARGS(msg->as.refused.what),
                   FL_SLICE_ARGS(msg->as.refused.topic), FL_SLICE_ARGS(msg->as.refused.reason));
    return true;
}

static void quiet(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)tag;
    (void)text;
}

static void like_refusals_are_counted_and_told_once_a_second(void **state)
{
    struct told t = {.hub_is_there = true};
    struct fl_link link = {.send = on_send, .self = &t};
    struct fl_refusals r = {.link = &link};
    struct fl_slice cam = fl_slice_str("cam-01");

    (void)state;
    for (int i = 0; i < 50; i++)
        fl_refusals_message(&r, cam, "publish", fl_slice_str("x/y"), "not in its profile");
    fl_refusals_message(&r, cam, "subscribe", fl_slice_str("x/y"), "not in its profile");
    assert_int_equal(t.messages, 2);
    assert_int_equal(t.last_count, 1);
    assert_true(fl_refusals_tick(&r));
    assert_int_equal(t.messages, 3);
    assert_int_equal(t.last_count, 49);
    assert_string_equal(t.last, "cam-01 publish x/y: not in its profile");
    assert_true(fl_refusals_tick(&r));
    assert_false(fl_refusals_tick(&r));
    assert_int_equal(t.messages, 3);
    fl_refusals_free(&r);
}

static void refusals_wait_for_the_hub(void **state)
{
    struct told t = {0};
    struct fl_link link = {.send = on_send, .self = &t};
    struct fl_refusals r = {.link = &link};

    (void)state;
    fl_refusals_message(&r, fl_slice_str("a"), "reading", fl_slice_str("t"), "out of range");
    assert_true(fl_refusals_tick(&r));
    t.hub_is_there = true;
    assert_true(fl_refusals_tick(&r));
    assert_int_equal(t.messages, 1);
    assert_int_equal(t.last_count, 1);
    fl_refusals_free(&r);
}

static void refusals_are_bounded(void **state)
{
    struct told t = {.hub_is_there = true};
    struct fl_link link = {.send = on_send, .self = &t};
    struct fl_refusals r = {.link = &link};
    struct fl_refused_session session = {.peer = "192.0.2.1:1", .reason = "unknown device"};
    char topic[32];

    (void)state;
    fl_log_set_writer(quiet);
    for (int i = 0; i < FL_LIMIT_REFUSALS + 100; i++) {
        (void)snprintf(topic, sizeof topic, "t/%d", i);
        fl_refusals_message(&r, fl_slice_str("a"), "publish", fl_slice_str(topic), "no");
    }
    assert_int_equal(t.messages, FL_LIMIT_REFUSALS);
    for (int i = 0; i < 3 * FL_LIMIT_REFUSED_SESSIONS; i++)
        fl_refusals_session(&r, &session);
    assert_int_equal(t.sessions, FL_LIMIT_REFUSED_SESSIONS);
    assert_int_equal(r.untold, 100 + 2 * FL_LIMIT_REFUSED_SESSIONS);
    (void)fl_refusals_tick(&r);
    fl_refusals_session(&r, &session);
    assert_int_equal(t.sessions, FL_LIMIT_REFUSED_SESSIONS + 1);
    fl_refusals_free(&r);
    fl_log_set_writer(NULL);
}

static bool is_route(const char *path, const char *allow)
{
    const char *allowed = NULL;

    if (!fl_https_route(fl_slice_str(path), &allowed))
        return false;
    return allow ? allowed && strcmp(allow, allowed) == 0 : !allowed;
}

static void only_the_hubs_own_pages_are_of_its_origin(void **state)
{
    static const struct {
        const char *origin;
        uint16_t port;
        bool is_own;
    } table[] = {
        {"https://hub.example:8443", 8443, true},
        {"https://HUB.example:8443", 8443, true},
        {"https://192.0.2.1:8443", 8443, true},
        {"https://[2001:db8::1]:8443", 8443, true},
        {"https://hub.example", 443, true},
        {"https://hub.example:443", 443, true},
        {"https://[2001:db8::1]", 443, true},
        {"https://hub.example", 8443, false},
        {"https://hub.example:8444", 8443, false},
        {"http://hub.example:8443", 8443, false},
        {"https://hub.example:", 8443, false},
        {"https://hub.example:08443", 8443, false},
        {"https://hub.example:8443/", 8443, false},
        {"https://hub.example:73979", 8443, false},
        {"https://hub.example:8443:8443", 8443, false},
        {"https://other.example:8443", 8443, false},
        {"https://hub.exampl:8443", 8443, false},
        {"https://hub.example.evil:8443", 8443, false},
        {"https://evil@hub.example:8443", 8443, false},
        {"https://hub.example 192.0.2.1:8443", 8443, false},
        {"https://[2001:db8::1", 443, false},
        {"https://[2001:db8::1]x", 443, false},
        {"https://[]:8443", 8443, false},
        {"https://:8443", 8443, false},
        {"https://", 443, false},
        {"null", 8443, false},
        {"", 8443, false},
        {"https://hub.example:0", 0, false}, /* its port is not known */
    };
    struct fl_mqtt_upgrade upgrade = {.hosts = "hub.example 192.0.2.1 2001:db8::1"};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        upgrade.port = table[i].port;
        if (fl_mqtt_upgrade_is_own(&upgrade, fl_slice_str(table[i].origin)) != table[i].is_own)
            fail_msg("'%s' at port %u", table[i].origin, table[i].port);
    }
}

static void only_est_mqtt_and_the_api_are_there(void **state)
{
    (void)state;
    assert_true(is_route("/.well-known/est/cacerts", "GET"));
    assert_true(is_route("/.well-known/est/csrattrs", "GET"));
    assert_true(is_route("/.well-known/est/simpleenroll", "POST"));
    assert_true(is_route("/.well-known/est/simplereenroll", "POST"));
    assert_true(is_route("/mqtt", "GET"));
    assert_false(is_route("/mqtt/", NULL));
    assert_true(is_route("/api/v1/devices", NULL));
    assert_true(is_route("/api/", NULL));
    assert_false(is_route("/", NULL));
    assert_false(is_route("/api", NULL));
    assert_false(is_route("/.well-known/est/cacerts/", NULL));
    assert_false(is_route("/.well-known/est/", NULL));
    assert_false(is_route("/.well-known/est/serverkeygen", NULL));
}

static void assert_csr(const char *body, const char *decoded)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_context ctx = {0};

    assert_ok(fl_est_decode_csr(fl_slice_str(body), &der, &ctx));
    assert_slice_equal(fl_buffer_slice(&der), decoded);
    fl_buffer_free(&der);
}

static void assert_not_csr(const char *body, const char *words)
{
    struct fl_buffer der = FL_BUFFER(64);
    struct fl_context ctx = {0};

    assert_int_not_equal(fl_est_decode_csr(fl_slice_str(body), &der, &ctx), FL_OK);
    assert_contains(ctx.text, words);
    fl_buffer_free(&der);
}

static void requests_are_forgiven_their_white_space_and_armour(void **state)
{
    (void)state;
    assert_csr("aGVsbG8=", "hello");
    assert_csr("\r\n aGVs\r\n\tbG8=\n", "hello");
    assert_csr(
        "-----BEGIN CERTIFICATE REQUEST-----\naGVs\nbG8=\n-----END CERTIFICATE REQUEST-----\n",
        "hello");
    assert_csr("-----BEGIN NEW CERTIFICATE REQUEST-----\r\naGVsbG8=\r\n-----END NEW CERTIFICATE "
               "REQUEST-----",
               "hello");
    assert_not_csr("", "empty");
    assert_not_csr("\x30\x82\x01\x02", "binary DER");
    assert_not_csr("-----BEGIN CERTIFICATE REQUEST-----\naGVsbG8=\n", "no end");
    assert_not_csr("-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----", "not a");
    assert_not_csr("-----BEGIN ", "not a");
    assert_not_csr("aGVsbG8", "not base64");
    assert_not_csr("{\"csr\":1}", "not base64");
    assert_not_csr("aGVsbG8haGVsbG8haGVsbG8haGVsbG8haGVsbG8haGVsbG8h"
                   "aGVsbG8haGVsbG8haGVsbG8haGVsbG8haGVsbG8haGVsbG8h",
                   "larger");
}

static void bodies_for_the_hub_are_json_of_our_own_writing(void **state)
{
    struct fl_buffer out = FL_BUFFER(256);
    struct fl_context ctx = {0};

    (void)state;
    assert_ok(fl_api_rewrite_json(fl_slice_str(" { \"id\" : \"cam-01\",\n \"ttl_s\": 60 } "), &out,
                                  &ctx));
    assert_slice_equal(fl_buffer_slice(&out), "{\"id\":\"cam-01\",\"ttl_s\":60}");
    assert_int_equal(fl_api_rewrite_json(fl_slice_str("{\"a\":1,\"a\":2}"), &out, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "duplicate");
    assert_int_equal(fl_api_rewrite_json(fl_slice_str("{\"a\":"), &out, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "line 1");
    assert_int_equal(fl_api_rewrite_json(fl_slice_str("{} x"), &out, &ctx), FL_EPARSE);
    assert_int_equal(fl_api_rewrite_json(fl_slice_str("\"\xff\""), &out, &ctx), FL_EPARSE);
    assert_int_equal(fl_api_rewrite_json(fl_slice_str("1"), &out, &ctx), FL_EPARSE);
    out.max = 4;
    fl_buffer_clear(&out);
    assert_int_equal(fl_api_rewrite_json(fl_slice_str("{\"a\":1}"), &out, &ctx), FL_ELIMIT);
    fl_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_refusals_are_counted_and_told_once_a_second),
        cmocka_unit_test(refusals_wait_for_the_hub),
        cmocka_unit_test(refusals_are_bounded),
        cmocka_unit_test(only_est_mqtt_and_the_api_are_there),
        cmocka_unit_test(only_the_hubs_own_pages_are_of_its_origin),
        cmocka_unit_test(requests_are_forgiven_their_white_space_and_armour),
        cmocka_unit_test(bodies_for_the_hub_are_json_of_our_own_writing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
