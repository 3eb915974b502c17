/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "codec/keep.h"

#include <stdlib.h>

static const struct fl_keep_message a_message = {
    .id = 0x0102030405060708U,
    .expires = FL_TIME_NEVER,
    .qos = 2,
    .retain = 1,
    .topic = {(const uint8_t *)"a/b", 3},
    .properties = {(const uint8_t *)"\x01\x01", 2},
    .payload = {(const uint8_t *)"payload", 7},
};

static void put(struct fl_buffer *out, const struct fl_keep *record)
{
    assert_ok(fl_keep_encode(record, out));
}

/* One of each, with fields that differ. */
static void put_all(struct fl_buffer *out)
{
    const struct fl_slice key = fl_slice("dev\0client", 10);
    const struct fl_slice text = fl_slice_str("$share/g/a/#");
    const struct fl_keep records[] = {
        {.type = fl_keep_type_session,
         .as.session = {.id = 67, .whole = 1, .expiry_s = 60, .expires = -5, .key = key}},
        {.type = fl_keep_type_gone, .as.gone.session = 67},
        {.type = fl_keep_type_subscribe,
         .as.subscribe = {.session = 67, .subscription_id = 268435455, .qos = 2, .filter = text}},
        {.type = fl_keep_type_unsubscribe, .as.unsubscribe = {.session = 67, .filter = text}},
        {.type = fl_keep_type_message, .as.message = a_message},
        {.type = fl_keep_type_queue,
         .as.queue = {.session = 67, .seq = 9, .message = 131, .qos = 1, .share = text}},
        {.type = fl_keep_type_done, .as.done = {.session = 67, .seq = 9}},
        {.type = fl_keep_type_release, .as.release = {.session = 67, .seq = 9}},
        {.type = fl_keep_type_received, .as.received = {.session = 67, .packet_id = 65535}},
        {.type = fl_keep_type_released, .as.released = {.session = 67, .packet_id = 1}},
        {.type = fl_keep_type_will, .as.will = {.session = 67, .due = 5, .topic = text}},
        {.type = fl_keep_type_retain, .as.retain = {.topic = text, .payload = key}},
        {.type = fl_keep_type_unretain, .as.unretain.topic = text},
        {.type = fl_keep_type_transit, .as.transit = {.number = 3, .message = 131, .share = text}},
        {.type = fl_keep_type_arrived, .as.arrived.number = 3},
        {.type = fl_keep_type_tls_session, .as.tls_session = {.id = key, .device = text}},
        {.type = fl_keep_type_tls_gone, .as.tls_gone.id = key},
        {.type = fl_keep_type_testament,
         .as.testament = {.number = 195, .delay_s = 7, .key = key, .topic = text}},
        {.type = fl_keep_type_testament_gone, .as.testament_gone.number = 195},
    };

    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        put(out, &records[i]);
}

static void every_record_comes_back_as_it_was(void **state)
{
    struct fl_buffer out = FL_BUFFER(4096);
    struct fl_buffer again = FL_BUFFER(4096);
    struct fl_slice in = {0};
    struct fl_keep record;
    unsigned seen = 0;

    (void)state;
    put_all(&out);
    in = fl_buffer_slice(&out);
    while (fl_keep_decode(&in, &record, NULL) == FL_OK) {
        put(&again, &record);
        seen |= 1U << record.type;
        assert_non_null(fl_keep_name(record.type));
    }
    assert_int_equal(in.size, 0);
    assert_int_equal(seen, 0xFFFFE); /* types 1 to 19 */
    assert_int_equal(again.size, out.size);
    assert_memory_equal(fl_buffer_slice(&again).data, fl_buffer_slice(&out).data, out.size);
    fl_buffer_free(&out);
    fl_buffer_free(&again);
}

static void fields_keep_their_values(void **state)
{
    struct fl_buffer out = FL_BUFFER(4096);
    struct fl_slice in = {0};
    const struct fl_keep said = {.type = fl_keep_type_message, .as.message = a_message};
    struct fl_keep heard;

    (void)state;
    put(&out, &said);
    in = fl_buffer_slice(&out);
    assert_ok(fl_keep_decode(&in, &heard, NULL));
    assert_int_equal(heard.type, fl_keep_type_message);
    assert_int_equal(heard.as.message.id, a_message.id);
    assert_true(heard.as.message.expires == FL_TIME_NEVER);
    assert_int_equal(heard.as.message.qos, 2);
    assert_slice_equal(heard.as.message.topic, "a/b");
    assert_slice_equal(heard.as.message.payload, "payload");
    fl_buffer_free(&out);
}

static void a_record_cut_anywhere_is_refused_with_words(void **state)
{
    struct fl_buffer out = FL_BUFFER(4096);
    struct fl_keep record;

    (void)state;
    put_all(&out);
    for (size_t size = 1; size < out.size; size++) {
        uint8_t *copy = malloc(size); /* exactly as large, so that reading past it is seen */
        struct fl_slice in = fl_slice(copy, size);
        struct fl_context ctx = {0};
        enum fl_error error = FL_OK;

        assert_non_null(copy);
        memcpy(copy, fl_buffer_slice(&out).data, size);
        while (error == FL_OK)
            error = fl_keep_decode(&in, &record, &ctx);
        assert_true(error == FL_EPARSE || (error == FL_ENOTFOUND && in.size == 0));
        if (error == FL_EPARSE)
            assert_contains(ctx.text, "keep: ");
        free(copy);
    }
    fl_buffer_free(&out);
}

static void what_is_not_a_record_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *words;
    } cases[] = {
        {"\0\0\0\0", 4, "a record of 0 bytes"},
        {"\xff\xff\xff\xff\x01", 5, "bytes where 1 are left"},
        {"\x01\0\0\0\x00", 5, "unknown record type 0"},
        {"\x01\0\0\0\x14", 5, "unknown record type 20"},
        {"\x01\0\0\0\x02", 5, "gone: bad field 'session'"},
        {"\x0a\0\0\0\x02"
         "12345678x",
         14, "gone: 1 bytes too many"},
        {"\x12\0\0\0\x0d"
         "\1\0\0\0\0\0\0\0"
         "\xff\xff\xff\x7f"
         "abcde",
         22, "unretain: bad field 'topic'"},
    };
    struct fl_keep record;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fl_slice in = fl_slice(cases[i].bytes, cases[i].size);
        struct fl_context ctx = {0};

        assert_int_equal(fl_keep_decode(&in, &record, &ctx), FL_EPARSE);
        assert_contains(ctx.text, cases[i].words);
    }
}

static void what_does_not_fit_leaves_the_buffer_as_it_was(void **state)
{
    static uint8_t large[FL_LIMIT_MQTT_TOPIC + 1];
    struct fl_buffer out = FL_BUFFER(64);
    struct fl_keep record = {.type = fl_keep_type_unretain,
                             .as.unretain.topic = fl_slice(large, sizeof large)};

    (void)state;
    assert_int_equal(fl_keep_encode(&record, &out), FL_EINVAL);
    assert_int_equal(out.size, 0);
    record.as.unretain.topic = fl_slice(large, FL_LIMIT_MQTT_TOPIC);
    assert_int_equal(fl_keep_encode(&record, &out), FL_ELIMIT);
    assert_int_equal(out.size, 0);
    assert_false(out.failed);
    record.as.unretain.topic = fl_slice(large, 10);
    put(&out, &record);
    assert_int_equal(out.size, 4 + 1 + 8 + 4 + 10);
    fl_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_comes_back_as_it_was),
        cmocka_unit_test(fields_keep_their_values),
        cmocka_unit_test(a_record_cut_anywhere_is_refused_with_words),
        cmocka_unit_test(what_is_not_a_record_is_refused),
        cmocka_unit_test(what_does_not_fit_leaves_the_buffer_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
