/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "codec/websocket.h"

#include "base/str.h"

#include <stdlib.h>

/* What a stream of frames came to. */
struct heard {
    struct fl_buffer data;
    struct fl_buffer controls; /* opcode, size, bytes */
    enum fl_error error;       /* FL_EMORE: all was good */
    uint16_t code;             /* of a refusal, or of the Close frame */
    bool closed;
    const char *text;
};

static void hear(struct fl_websocket *ws, struct fl_slice in, size_t at_once, struct heard *h)
{
    struct fl_websocket_event event;
    uint8_t plain[64];

    while ((h->error = fl_websocket_next(ws, &in, &event)) == FL_OK) {
        size_t count = event.bytes.size < at_once ? event.bytes.size : at_once;

        if (event.opcode == FL_WEBSOCKET_BINARY) {
            count = count < sizeof plain ? count : sizeof plain;
            fl_websocket_unmask(ws, fl_slice(event.bytes.data, count), plain);
            assert_ok(fl_buffer_append(&h->data, plain, count));
            fl_websocket_take(ws, &in, count);
            continue;
        }
        assert_ok(fl_buffer_append_byte(&h->controls, (uint8_t)event.opcode));
        assert_ok(fl_buffer_append_byte(&h->controls, (uint8_t)event.bytes.size));
        assert_ok(fl_buffer_append_slice(&h->controls, event.bytes));
        h->closed |= event.opcode == FL_WEBSOCKET_CLOSE;
        h->code = event.code;
    }
    if (h->error != FL_EMORE && h->error != FL_ECLOSED) {
        h->code = event.code;
        h->text = event.text;
    }
}

static struct heard hear_all(struct fl_slice in, size_t piece, size_t at_once)
{
    struct fl_websocket ws = {0};
    struct heard h = {.data = FL_BUFFER(1 << 20), .controls = FL_BUFFER(1 << 16)};

    h.error = FL_EMORE;
    for (size_t at = 0; at < in.size && h.error == FL_EMORE; at += piece) {
        size_t size = in.size - at < piece ? in.size - at : piece;
        /* Its own allocation, so that a byte too far is seen. */
        uint8_t *copy = malloc(size);

        assert_non_null(copy);
        memcpy(copy, in.data + at, size);
        hear(&ws, fl_slice(copy, size), at_once, &h);
        free(copy);
    }
    return h;
}

static void forget(struct heard *h)
{
    fl_buffer_free(&h->data);
    fl_buffer_free(&h->controls);
}

static void put_frame(struct fl_buffer *out, uint8_t first, const void *payload, size_t size)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t header[FL_WEBSOCKET_HEADER_MAX];
    size_t header_size = fl_websocket_header(FL_WEBSOCKET_BINARY, size, header);

    header[0] = first;
    header[1] |= 0x80;
    assert_ok(fl_buffer_append(out, header, header_size));
    assert_ok(fl_buffer_append(out, mask, 4));
    for (size_t i = 0; i < size; i++)
        assert_ok(fl_buffer_append_byte(out, ((const uint8_t *)payload)[i] ^ mask[i % 4]));
}

static size_t from_hex(const char *hex, uint8_t *to, size_t size)
{
    size_t count = 0;

    assert_ok(fl_unhex(to, size, fl_slice_str(hex), &count));
    return count;
}

static void the_example_of_the_rfc_is_understood(void **state)
{
    /* RFC 6455 section 5.7, "Hello", but as a binary message. */
    uint8_t bytes[64];
    size_t size = from_hex("828537fa213d7f9f4d5158", bytes, sizeof bytes);
    struct heard h = hear_all(fl_slice(bytes, size), size, size);

    (void)state;
    assert_int_equal(h.error, FL_EMORE);
    assert_slice_equal(fl_buffer_slice(&h.data), "Hello");
    forget(&h);
}

static void malformed_frames_are_refused_with_their_code(void **state)
{
    static const struct {
        const char *hex;
        uint16_t code;
        enum fl_error error;
    } table[] = {
        {"8205", 1002, FL_EPARSE}, /* not masked */
        {"c280", 1002, FL_EPARSE}, /* reserved bits, each of them */
        {"a280", 1002, FL_EPARSE},
        {"9280", 1002, FL_EPARSE},
        {"f280", 1002, FL_EPARSE},
        {"8380", 1002, FL_EPARSE}, /* kinds that are none */
        {"8780", 1002, FL_EPARSE},
        {"8b80", 1002, FL_EPARSE},
        {"8f80", 1002, FL_EPARSE},
        {"8180", 1003, FL_EUNSUPPORTED}, /* text */
        {"0180", 1003, FL_EUNSUPPORTED},
        {"0980", 1002, FL_EPARSE}, /* control frames in fragments */
        {"0880", 1002, FL_EPARSE},
        {"89fe", 1002, FL_EPARSE}, /* and too large */
        {"8aff", 1002, FL_EPARSE},
        {"88fe", 1002, FL_EPARSE},
        {"8080", 1002, FL_EPARSE}, /* a continuation of nothing */
        {"0080", 1002, FL_EPARSE},
        {"0280000000008280", 1002, FL_EPARSE}, /* a message within a message */
        {"0280000000000280", 1002, FL_EPARSE},
        {"028000000000808000000000"
         "8080",
         1002, FL_EPARSE},                     /* a continuation after the end */
        {"82fe007d00000000", 1002, FL_EPARSE}, /* sizes in more octets than needed */
        {"82fe000000000000", 1002, FL_EPARSE},
        {"82ff000000000000ffff00000000", 1002, FL_EPARSE},
        {"82ff000000000000000000000000", 1002, FL_EPARSE},
        {"82ff800000000001000000000000", 1002, FL_EPARSE}, /* the first bit */
        {"82ff000000000010000100000000", 1009, FL_ELIMIT}, /* 1 MiB and one */
        {"82ff7fffffffffffffff00000000", 1009, FL_ELIMIT},
        {"888100000000ff", 1002, FL_EPARSE},   /* a Close frame with half a code */
        {"88820000000003e7", 1002, FL_EPARSE}, /* 999 */
        {"88820000000003ec", 1002, FL_EPARSE}, /* 1004, 1005, 1006, 1015: not on the wire */
        {"88820000000003ed", 1002, FL_EPARSE},
        {"88820000000003ee", 1002, FL_EPARSE},
        {"88820000000003f7", 1002, FL_EPARSE},
        {"8882000000000bb7", 1002, FL_EPARSE}, /* 2999 */
        {"888200000000ffff", 1002, FL_EPARSE},
        {"88840000000003e8c328", 1007, FL_EPARSE}, /* not UTF-8 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint8_t bytes[64];
        size_t size = from_hex(table[i].hex, bytes, sizeof bytes);

        for (size_t piece = 1; piece <= size; piece++) {
            struct heard h = hear_all(fl_slice(bytes, size), piece, 64);

            if (h.error != table[i].error || h.code != table[i].code || !h.text)
                fail_msg("%s in pieces of %zu: %d, code %u", table[i].hex, piece, (int)h.error,
                         h.code);
            forget(&h);
        }
    }
}

static void after_a_refusal_or_a_close_nothing_counts(void **state)
{
    struct fl_websocket ws = {0};
    struct fl_websocket_event event;
    struct fl_slice in = fl_slice("\x82\x05", 2);

    (void)state;
    assert_int_equal(fl_websocket_next(&ws, &in, &event), FL_EPARSE);
    in = fl_slice("\x82\x80\0\0\0\0", 6);
    assert_int_equal(fl_websocket_next(&ws, &in, &event), FL_ECLOSED);
    ws = (struct fl_websocket){0};
    in = fl_slice("\x88\x80\0\0\0\0\x82\x05", 8);
    assert_ok(fl_websocket_next(&ws, &in, &event));
    assert_int_equal(event.opcode, FL_WEBSOCKET_CLOSE);
    assert_int_equal(event.code, FL_WEBSOCKET_NO_CODE);
    assert_int_equal(fl_websocket_next(&ws, &in, &event), FL_ECLOSED);
}

static void close_codes_of_applications_are_understood(void **state)
{
    static const uint16_t codes[] = {1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct fl_buffer out = FL_BUFFER(64);
        uint8_t payload[4] = {(uint8_t)(codes[i] >> 8), (uint8_t)codes[i], 'b', 'y'};
        struct heard h;

        put_frame(&out, 0x88, payload, sizeof payload);
        h = hear_all(fl_buffer_slice(&out), 100, 100);
        assert_int_equal(h.error, FL_ECLOSED);
        assert_true(h.closed);
        assert_int_equal(h.code, codes[i]);
        forget(&h);
        fl_buffer_free(&out);
    }
}

/* A message in fragments with control frames between them, frames of every form of size, empty
 * ones. */
static void put_mixture(struct fl_buffer *out, struct fl_buffer *data)
{
    static uint8_t payload[70000];

    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 256);
    put_frame(out, 0x02, payload, 3);
    put_frame(out, 0x89, "ping", 4);
    put_frame(out, 0x00, payload + 3, 200);
    put_frame(out, 0x8A, NULL, 0);
    put_frame(out, 0x00, NULL, 0);
    put_frame(out, 0x80, payload + 203, 1);
    put_frame(out, 0x82, NULL, 0);
    put_frame(out, 0x82, payload + 204, 125);
    put_frame(out, 0x82, payload + 329, 126);
    put_frame(out, 0x89, payload, FL_WEBSOCKET_CONTROL_MAX);
    assert_ok(fl_buffer_append(data, payload, 455));
}

static void frames_cut_anywhere_mean_the_same(void **state)
{
    struct fl_buffer out = FL_BUFFER(1 << 20);
    struct fl_buffer data = FL_BUFFER(1 << 20);
    struct heard whole;

    (void)state;
    put_mixture(&out, &data);
    whole = hear_all(fl_buffer_slice(&out), out.size, out.size);
    assert_int_equal(whole.error, FL_EMORE);
    assert_true(fl_slice_equal(fl_buffer_slice(&whole.data), fl_buffer_slice(&data)));
    assert_int_equal(whole.controls.size, 2 + 4 + 2 + 2 + FL_WEBSOCKET_CONTROL_MAX);
    for (size_t cut = 1; cut < out.size; cut++) {
        struct fl_websocket ws = {0};
        struct heard h = {.data = FL_BUFFER(1 << 20), .controls = FL_BUFFER(1 << 16)};
        struct fl_slice all = fl_buffer_slice(&out);

        hear(&ws, fl_slice(all.data, cut), cut % 9 + 1, &h);
        assert_int_equal(h.error, FL_EMORE);
        hear(&ws, fl_slice_from(all, cut), all.size, &h);
        assert_int_equal(h.error, FL_EMORE);
        assert_true(fl_slice_equal(fl_buffer_slice(&h.data), fl_buffer_slice(&data)));
        assert_true(fl_slice_equal(fl_buffer_slice(&h.controls), fl_buffer_slice(&whole.controls)));
        forget(&h);
    }
    for (size_t piece = 1; piece < 20; piece++) {
        struct heard h = hear_all(fl_buffer_slice(&out), piece, 3);

        assert_true(fl_slice_equal(fl_buffer_slice(&h.data), fl_buffer_slice(&data)));
        assert_true(fl_slice_equal(fl_buffer_slice(&h.controls), fl_buffer_slice(&whole.controls)));
        forget(&h);
    }
    forget(&whole);
    fl_buffer_free(&out);
    fl_buffer_free(&data);
}

static void a_frame_of_the_largest_size_is_taken(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_WEBSOCKET_FRAME + 64);
    uint8_t *payload = calloc(1, FL_LIMIT_WEBSOCKET_FRAME);
    struct heard h;

    (void)state;
    assert_non_null(payload);
    put_frame(&out, 0x82, payload, FL_LIMIT_WEBSOCKET_FRAME);
    h = hear_all(fl_buffer_slice(&out), 16384, 16384);
    assert_int_equal(h.error, FL_EMORE);
    assert_int_equal(h.data.size, FL_LIMIT_WEBSOCKET_FRAME);
    forget(&h);
    fl_buffer_free(&out);
    free(payload);
}

static void headers_have_the_shortest_form(void **state)
{
    static const struct {
        size_t size;
        const char *hex;
    } table[] = {
        {0, "8200"},
        {125, "827d"},
        {126, "827e007e"},
        {65535, "827effff"},
        {65536, "827f0000000000010000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint8_t header[FL_WEBSOCKET_HEADER_MAX];
        uint8_t expected[FL_WEBSOCKET_HEADER_MAX];
        size_t size = from_hex(table[i].hex, expected, sizeof expected);

        assert_int_equal(fl_websocket_header(FL_WEBSOCKET_BINARY, table[i].size, header), size);
        assert_memory_equal(header, expected, size);
    }
}

static void a_close_frame_says_why_as_far_as_it_fits(void **state)
{
    struct fl_buffer out = FL_BUFFER(256);
    char reason[200];

    (void)state;
    assert_ok(fl_websocket_put_close(&out, 1002, "no"));
    assert_slice_equal(fl_buffer_slice(&out), "\x88\x04\x03\xeano");
    fl_buffer_clear(&out);
    memset(reason, 'x', sizeof reason);
    memcpy(reason + 122, "\xc3\xa9", 2); /* would be cut in two */
    reason[sizeof reason - 1] = 0;
    assert_ok(fl_websocket_put_close(&out, 1000, reason));
    assert_int_equal(out.size, 2 + 2 + 122);
    assert_int_equal(fl_buffer_slice(&out).data[1], 124);
    assert_true(fl_slice_is_utf8(fl_slice_from(fl_buffer_slice(&out), 4)));
    fl_buffer_clear(&out);
    assert_ok(fl_websocket_put_close(&out, 1000, "\xff\xfe"));
    assert_int_equal(out.size, 4);
    fl_buffer_free(&out);
    out = FL_BUFFER(5);
    assert_int_equal(fl_websocket_put_close(&out, 1000, "no"), FL_ELIMIT);
    assert_int_equal(out.size, 0);
    fl_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc_is_understood),
        cmocka_unit_test(malformed_frames_are_refused_with_their_code),
        cmocka_unit_test(after_a_refusal_or_a_close_nothing_counts),
        cmocka_unit_test(close_codes_of_applications_are_understood),
        cmocka_unit_test(frames_cut_anywhere_mean_the_same),
        cmocka_unit_test(a_frame_of_the_largest_size_is_taken),
        cmocka_unit_test(headers_have_the_shortest_form),
        cmocka_unit_test(a_close_frame_says_why_as_far_as_it_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
