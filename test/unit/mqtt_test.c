/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "codec/mqtt.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

struct bad_case {
    enum fl_mqtt_version version;
    bool from_server;
    const char *hex;
    uint8_t reason;
};

#define C false
#define S true
#define CONNECT5 "00044d5154540502003c"

static const struct bad_case bad_cases[] = {
    /* the fixed header */
    {FL_MQTT_ANY, C, "3000", 0x82},
    {FL_MQTT_ANY, C, "16030100", 0x81}, /* a TLS record: wrong flags */
    {FL_MQTT_5, C, "0000", 0x81},
    {FL_MQTT_3, C, "f000", 0x81},
    {FL_MQTT_5, C, "2000", 0x82},
    {FL_MQTT_5, S, "1000", 0x82},
    {FL_MQTT_3, S, "e000", 0x82},
    {FL_MQTT_5, C, "80050001000161", 0x81},
    {FL_MQTT_5, C, "60020001", 0x81},
    {FL_MQTT_5, C, "c100", 0x81},
    {FL_MQTT_5, C, "c08000", 0x81},
    {FL_MQTT_5, C, "30ffffffff01", 0x81},
    {FL_MQTT_5, C, "30ffffff7f", 0x95},
    {FL_MQTT_3, C, "c00100", 0x81},
    /* CONNECT */
    {FL_MQTT_ANY, C, "100c00044d5154580402003c0000", 0x81},
    {FL_MQTT_ANY, C, "100c00044d5154540602003c0000", 0x84},
    {FL_MQTT_ANY, C, "100e00064d514973647003020 03c0000", 0x84},
    {FL_MQTT_ANY, C, "100c00044d5154540403003c0000", 0x81}, /* reserved flag */
    {FL_MQTT_ANY, C, "100e00044d5154540442003c00000000", 0x81},
    {FL_MQTT_ANY, C, "100c00044d515454040a003c0000", 0x81},              /* will QoS, no will */
    {FL_MQTT_ANY, C, "101200044d515454041e003c00000001610001 62", 0x81}, /* will QoS 3 */
    {FL_MQTT_ANY, C, "101000044d5154540406003c000000000000", 0x81},      /* no will topic */
    {FL_MQTT_ANY, C, "100d00044d5154540402003c000000", 0x81},            /* too long */
    {FL_MQTT_ANY, C, "100a00044d5154540402003c", 0x81},
    {FL_MQTT_ANY, C, "100e00044d5154540402003c00026100", 0x81}, /* U+0000 */
    {FL_MQTT_ANY, C, "100e00044d5154540402003c0002c080", 0x81},
    {FL_MQTT_ANY, C, "1010" CONNECT5 "0321000000 00", 0x82}, /* receive maximum 0 */
    {FL_MQTT_ANY, C, "1012" CONNECT5 "052700000000 0000", 0x82},
    {FL_MQTT_ANY, C, "1013" CONNECT5 "062100012100010000", 0x82}, /* twice */
    {FL_MQTT_ANY, C, "100f" CONNECT5 "0217020000", 0x82},
    {FL_MQTT_ANY, C, "100f" CONNECT5 "0224010000", 0x81}, /* not of CONNECT */
    {FL_MQTT_ANY, C, "100f" CONNECT5 "027f010000", 0x81},
    {FL_MQTT_ANY, C, "1011" CONNECT5 "04160001610000", 0x82}, /* data, no method */
    {FL_MQTT_ANY, C, "100f" CONNECT5 "8200 170100", 0x81},
    /* PUBLISH */
    {FL_MQTT_5, C, "3600", 0x81},
    {FL_MQTT_3, C, "3803000161", 0x81}, /* DUP with QoS 0 */
    {FL_MQTT_3, C, "30020000", 0x82},
    {FL_MQTT_3, C, "300300012b", 0x81},
    {FL_MQTT_3, C, "3005000361 2f23", 0x81},
    {FL_MQTT_3, C, "32050001610000", 0x82},
    {FL_MQTT_5, C, "3007000161032300 00", 0x94},
    {FL_MQTT_5, C, "3006000161020b01", 0x82},
    {FL_MQTT_5, S, "3006000161020b00", 0x82},
    {FL_MQTT_5, C, "300800016104080001 2b", 0x82},
    {FL_MQTT_5, C, "3006000161020102", 0x82},
    {FL_MQTT_5, C, "300300036100", 0x81},
    /* acknowledgements */
    {FL_MQTT_5, C, "40020000", 0x82},
    {FL_MQTT_3, C, "4003000100", 0x81},
    {FL_MQTT_5, C, "4003000101", 0x82},
    {FL_MQTT_5, C, "6203000187", 0x82},
    {FL_MQTT_5, C, "4001 00", 0x81},
    /* SUBSCRIBE, UNSUBSCRIBE */
    {FL_MQTT_3, C, "82020001", 0x82},
    {FL_MQTT_3, C, "8206000000016100", 0x82},
    {FL_MQTT_3, C, "8206000100016103", 0x82},
    {FL_MQTT_3, C, "8206000100016104", 0x81},
    {FL_MQTT_5, C, "820700010000016140", 0x81},
    {FL_MQTT_5, C, "820700010000016130", 0x82},
    {FL_MQTT_3, C, "82070001000261 2300", 0x81},
    {FL_MQTT_3, C, "8208000100032b 612f00", 0x81},
    {FL_MQTT_3, C, "8209000100 04232f61 6200", 0x81},
    {FL_MQTT_3, C, "8205000100 0000", 0x81},
    {FL_MQTT_5, C, "8210000100000a24736861 72652f672f6104", 0x82},
    {FL_MQTT_5, C, "8209000 1020b00000161 00", 0x82},
    {FL_MQTT_3, C, "a2020001", 0x82},
    {FL_MQTT_3, C, "82050001000161", 0x81},
    /* DISCONNECT, AUTH, and a server's packets */
    {FL_MQTT_3, C, "e00100", 0x81},
    {FL_MQTT_5, C, "e00101", 0x82},
    {FL_MQTT_5, S, "e00104", 0x82},
    {FL_MQTT_5, S, "e007000511000000 01", 0x82},
    {FL_MQTT_5, C, "e006 00041c000161", 0x82},
    {FL_MQTT_5, C, "f00187", 0x82},
    {FL_MQTT_3, S, "20020200", 0x81},
    {FL_MQTT_3, S, "20020105", 0x82},
    {FL_MQTT_3, S, "20020006", 0x82},
    {FL_MQTT_5, S, "2003000100", 0x82},
    {FL_MQTT_3, S, "9003000103", 0x82},
    {FL_MQTT_5, S, "9003000100", 0x82},
    {FL_MQTT_3, S, "b003000100", 0x81},
};

static size_t unhex(const char *text, uint8_t *to, size_t size)
{
    char tight[256];
    size_t used = 0;
    size_t written = 0;

    for (; *text; text++)
        if (*text != ' ')
            tight[used++] = *text;
    assert_true(used < sizeof tight);
    assert_ok(fl_unhex(to, size, fl_slice(tight, used), &written));
    return written;
}

static void every_malformed_packet_is_refused_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        const struct bad_case *bad = &bad_cases[i];
        struct fl_mqtt_mode mode = {bad->version, bad->from_server, FL_LIMIT_MQTT_PACKET};
        struct fl_mqtt_packet packet;
        struct fl_mqtt_fault fault = {0};
        uint8_t bytes[128];
        size_t size = unhex(bad->hex, bytes, sizeof bytes);
        uint8_t *exact = malloc(size);
        struct fl_slice in = fl_slice(exact, size);
        enum fl_error error = FL_OK;

        assert_non_null(exact);
        memcpy(exact, bytes, size);
        error = fl_mqtt_decode(&in, &mode, &packet, &fault);
        if (error == FL_OK || error == FL_EMORE || fault.reason != bad->reason)
            fail_msg("%s: error %d, reason %02x (%s)", bad->hex, error, fault.reason,
                     fault.text ? fault.text : "none");
        assert_non_null(fault.text);
        assert_int_equal(in.size, size);
        free(exact);
    }
}

static void a_packet_is_not_taken_before_its_last_byte(void **state)
{
    static const uint8_t packet5[] = {0x32, 0x0B, 0, 3, 'a', '/', 'b', 0, 7, 0, 'x', 'y', 'z'};
    struct fl_mqtt_mode mode = {FL_MQTT_5, false, FL_LIMIT_MQTT_PACKET};
    struct fl_mqtt_packet packet;
    struct fl_mqtt_fault fault = {0};
    (void)state;

    for (size_t size = 0; size <= sizeof packet5; size++) {
        uint8_t exact[sizeof packet5];
        struct fl_slice in = fl_slice(exact, size);
        size_t whole = 0;
        memcpy(exact, packet5, size);
        assert_int_equal(fl_mqtt_peek(in, &mode, &whole, &fault), size < 2 ? FL_EMORE : FL_OK);
        assert_int_equal(fl_mqtt_decode(&in, &mode, &packet, &fault),
                         size < sizeof packet5 ? FL_EMORE : FL_OK);
        if (size < sizeof packet5)
            continue;
        assert_slice_equal(packet.as.publish.topic, "a/b");
        assert_slice_equal(packet.as.publish.payload, "xyz");
        assert_int_equal(packet.as.publish.packet_id, 7);
        assert_int_equal(whole, size);
    }
}

static void a_connect_of_mqtt_5_says_all_it_says(void **state)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_CONNECT};
    struct fl_mqtt_packet back;
    struct fl_mqtt_mode mode = {FL_MQTT_ANY, false, FL_LIMIT_MQTT_PACKET};
    struct fl_mqtt_properties will;
    struct fl_mqtt_fault fault = {0};
    struct fl_buffer out = FL_BUFFER(4096);
    struct fl_slice in = {0};
    static const uint8_t delay[] = {0x18, 0, 0, 0, 9};
    (void)state;

    packet.as.connect.version = FL_MQTT_5;
    packet.as.connect.client_id = fl_slice_str("cam-01");
    packet.as.connect.keep_alive_s = 77;
    packet.as.connect.has_user = true;
    packet.as.connect.user = fl_slice_str("someone");
    packet.as.connect.has_password = true;
    packet.as.connect.password = fl_slice("\0\1", 2);
    packet.as.connect.will = (struct fl_mqtt_will){
        .present = true,
        .retain = true,
        .qos = 1,
        .topic = fl_slice_str("d/cam-01/t/gone"),
        .payload = fl_slice_str("bye"),
        .properties = fl_slice(delay, sizeof delay),
    };
    FL_MQTT_SET(&packet.properties, session_expiry_s, 3600);
    FL_MQTT_SET(&packet.properties, receive_maximum, 10);
    FL_MQTT_SET(&packet.properties, auth_method, fl_slice_str("SCRAM"));
    assert_ok(fl_mqtt_encode(&packet, FL_MQTT_5, FL_LIMIT_MQTT_PACKET, &out));
    in = fl_buffer_slice(&out);
    assert_ok(fl_mqtt_decode(&in, &mode, &back, &fault));
    assert_int_equal(in.size, 0);
    assert_int_equal(back.as.connect.version, FL_MQTT_5);
    assert_slice_equal(back.as.connect.client_id, "cam-01");
    assert_slice_equal(back.as.connect.user, "someone");
    assert_int_equal(back.as.connect.password.size, 2);
    assert_int_equal(back.as.connect.keep_alive_s, 77);
    assert_false(back.as.connect.clean);
    assert_true(back.as.connect.will.retain);
    assert_int_equal(back.as.connect.will.qos, 1);
    assert_slice_equal(back.as.connect.will.topic, "d/cam-01/t/gone");
    assert_ok(fl_mqtt_properties_decode(back.as.connect.will.properties, FL_MQTT_WILL_BIT, false,
                                        &will, &fault));
    assert_int_equal(will.will_delay_s, 9);
    assert_true(FL_MQTT_HAS(&back.properties, session_expiry_s));
    assert_int_equal(back.properties.session_expiry_s, 3600);
    assert_int_equal(back.properties.receive_maximum, 10);
    assert_slice_equal(back.properties.auth_method, "SCRAM");
    fl_buffer_free(&out);
}

static void a_forwarded_message_keeps_only_what_travels_with_it(void **state)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_PUBLISH};
    struct fl_mqtt_packet back;
    struct fl_mqtt_mode mode = {FL_MQTT_5, true, FL_LIMIT_MQTT_PACKET};
    struct fl_mqtt_fault fault = {0};
    struct fl_buffer out = FL_BUFFER(4096);
    struct fl_buffer forwarded = FL_BUFFER(4096);
    struct fl_slice in = {0};
    struct fl_slice name = {0};
    struct fl_slice value = {0};
    static const uint32_t ids[] = {1, 268435455};
    static const uint8_t user[] = {0x26, 0, 1, 'k', 0, 1, 'v'};
    (void)state;

    packet.as.publish.topic = fl_slice_str("a");
    packet.as.publish.subscription_ids = ids;
    packet.as.publish.subscription_id_count = 2;
    packet.properties.raw = fl_slice(user, sizeof user);
    FL_MQTT_SET(&packet.properties, content_type, fl_slice_str("text"));
    FL_MQTT_SET(&packet.properties, message_expiry_s, 5);
    FL_MQTT_SET(&packet.properties, topic_alias, 3);
    assert_ok(fl_mqtt_encode(&packet, FL_MQTT_5, FL_LIMIT_MQTT_PACKET, &out));
    in = fl_buffer_slice(&out);
    assert_ok(fl_mqtt_decode(&in, &mode, &back, &fault));
    assert_int_equal(back.properties.subscription_id, 268435455);
    assert_ok(fl_mqtt_put_forwarded(back.properties.raw, &forwarded));
    assert_ok(fl_mqtt_properties_decode(fl_buffer_slice(&forwarded), FL_MQTT_BIT(FL_MQTT_PUBLISH),
                                        false, &back.properties, &fault));
    assert_false(FL_MQTT_HAS(&back.properties, message_expiry_s));
    assert_false(FL_MQTT_HAS(&back.properties, topic_alias));
    assert_false(FL_MQTT_HAS(&back.properties, subscription_id));
    assert_slice_equal(back.properties.content_type, "text");
    in = back.properties.raw;
    assert_true(fl_mqtt_next_user(&in, &name, &value));
    assert_slice_equal(name, "k");
    assert_slice_equal(value, "v");
    assert_false(fl_mqtt_next_user(&in, &name, &value));
    fl_buffer_free(&forwarded);
    fl_buffer_free(&out);
}

static void the_properties_of_a_packet_are_bounded(void **state)
{
    static uint8_t user[FL_LIMIT_MQTT_PROPERTIES + 16];
    struct fl_mqtt_properties out;
    struct fl_mqtt_fault fault = {0};
    size_t size = 0;
    (void)state;

    for (; size + 5 <= FL_LIMIT_MQTT_PROPERTIES; size += 5)
        user[size] = FL_MQTT_USER_PROPERTY;
    assert_ok(fl_mqtt_properties_decode(fl_slice(user, size), FL_MQTT_BIT(FL_MQTT_PUBLISH), false,
                                        &out, &fault));
    user[size] = FL_MQTT_USER_PROPERTY;
    assert_int_equal(fl_mqtt_properties_decode(fl_slice(user, size + 5),
                                               FL_MQTT_BIT(FL_MQTT_PUBLISH), false, &out, &fault),
                     FL_ELIMIT);
    assert_int_equal(fault.reason, 0x95);
}

static void a_packet_that_is_too_large_is_not_encoded_in_part(void **state)
{
    struct fl_mqtt_packet packet = {.type = FL_MQTT_PUBLISH};
    static uint8_t large[70000];
    struct fl_buffer out = FL_BUFFER(100);
    (void)state;

    packet.as.publish.topic = fl_slice_str("a");
    packet.as.publish.payload = fl_slice(large, 90);
    assert_int_equal(fl_mqtt_encode(&packet, FL_MQTT_3, 94, &out), FL_ELIMIT);
    assert_ok(fl_mqtt_encode(&packet, FL_MQTT_3, 95, &out));
    assert_int_equal(fl_mqtt_encode(&packet, FL_MQTT_3, 95, &out), FL_ELIMIT);
    assert_int_equal(out.size, 95);
    assert_false(out.failed);
    packet.as.publish.topic = fl_slice(large, 65536);
    assert_int_equal(fl_mqtt_encode(&packet, FL_MQTT_3, 100000, &out), FL_EINVAL);
    fl_buffer_free(&out);
}

static void topics_and_filters_follow_the_specification(void **state)
{
    static const struct {
        const char *filter, *topic;
        bool matches;
    } cases[] = {
        {"a/b", "a/b", true},     {"a/b", "a/b/c", false},    {"a/+", "a/b", true},
        {"a/+", "a", false},      {"a/+", "a/", true},        {"a/#", "a", true},
        {"a/#", "a/b/c", true},   {"#", "a/b", true},         {"#", "$SYS/a", false},
        {"+/a", "$SYS/a", false}, {"$SYS/#", "$SYS/a", true}, {"+", "/a", false},
        {"+/+", "/a", true},      {"/+", "/a", true},         {"a/+/c", "a//c", true},
        {"a/b/#", "a", false},    {"+/#", "a", true},         {"A/b", "a/b", false},
        {"a/+/+", "a/b", false},  {"a", "a/", false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (fl_mqtt_topic_matches(fl_slice_str(cases[i].filter), fl_slice_str(cases[i].topic)) !=
            cases[i].matches)
            fail_msg("%s and %s", cases[i].filter, cases[i].topic);
    assert_false(fl_mqtt_filter_valid(fl_slice_str("")));
    assert_false(fl_mqtt_filter_valid(fl_slice_str("a+/b")));
    assert_false(fl_mqtt_filter_valid(fl_slice_str("a/#/b")));
    assert_true(fl_mqtt_filter_valid(fl_slice_str("/+/#")));
    assert_false(fl_mqtt_topic_valid(fl_slice("a\0b", 3)));
    assert_int_equal(fl_mqtt_topic_levels(fl_slice_str("/a/")), 3);
}

static void every_reason_has_words(void **state)
{
    (void)state;
    assert_string_equal(fl_mqtt_reason_words(0x87), "not authorized");
    assert_string_equal(fl_mqtt_reason_words(0x7F), "unknown reason");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_malformed_packet_is_refused_with_its_reason),
        cmocka_unit_test(a_packet_is_not_taken_before_its_last_byte),
        cmocka_unit_test(a_connect_of_mqtt_5_says_all_it_says),
        cmocka_unit_test(a_forwarded_message_keeps_only_what_travels_with_it),
        cmocka_unit_test(the_properties_of_a_packet_are_bounded),
        cmocka_unit_test(a_packet_that_is_too_large_is_not_encoded_in_part),
        cmocka_unit_test(topics_and_filters_follow_the_specification),
        cmocka_unit_test(every_reason_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
