/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests over every message type are generated from the table in codec/msg.h, so a new message is
 * tested from its first day.
 */
#include "test/unit/unit.h"

#include "codec/msg.h"
#include "test/twin/clock_twin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct fl_random_twin dice;
static uint8_t pool[FL_LIMIT_MSG];

static uint64_t roll(void)
{
    uint64_t value = 0;

    dice.random.fill(dice.random.self, &value, sizeof value);
    return value;
}

/* --- one generated message, field by field --- */

enum fill { EMPTY, SMALL, FULL };

static struct fl_slice some(size_t max, enum fill fill)
{
    size_t size = fill == EMPTY ? 0 : (fill == FULL ? max : (size_t)(roll() % 9));

    return fl_slice(pool, size < max ? size : max);
}

#define FILL_u8(name, max) m->name = (uint8_t)roll();
#define FILL_u32(name, max) m->name = (uint32_t)roll();
#define FILL_u64(name, max) m->name = roll();
#define FILL_i64(name, max) m->name = (int64_t)roll();
#define FILL_str(name, max) m->name = some((max), fill);
#define FILL_bytes(name, max) m->name = some((max), fill);
#define FILL(kind, name, max) FILL_##kind(name, max)

#define SAME_u8(name) assert_int_equal(a->name, b->name);
#define SAME_u32(name) assert_int_equal(a->name, b->name);
#define SAME_u64(name) assert_true(a->name == b->name);
#define SAME_i64(name) assert_true(a->name == b->name);
#define SAME_str(name) assert_true(fl_slice_equal(a->name, b->name));
#define SAME_bytes(name) assert_true(fl_slice_equal(a->name, b->name));
#define SAME(kind, name, max) SAME_##kind(name)

#define FUNCTIONS(type, value, fields, from)                                                       \
    static void fill_##type(struct fl_msg_##type *m, enum fill fill)                               \
    {                                                                                              \
        (void)fill;                                                                                \
        fields(FILL)                                                                               \
    }                                                                                              \
    static void same_##type(const struct fl_msg_##type *a, const struct fl_msg_##type *b)          \
    {                                                                                              \
        fields(SAME)                                                                               \
    }
FL_MSGS(FUNCTIONS)

static const struct {
    enum fl_msg_type type;
    const char *name;
    unsigned from;
} types[] = {
#define ROW(type, value, fields, from) {fl_msg_type_##type, #type, (from)},
    FL_MSGS(ROW)
#undef ROW
};
#define TYPE_COUNT (sizeof types / sizeof types[0])

static struct fl_msg generate(enum fl_msg_type type, enum fill fill)
{
    struct fl_msg msg = {.type = type};

    switch (type) {
#define FILL_CASE(name, value, fields, from)                                                       \
    case fl_msg_type_##name:                                                                       \
        fill_##name(&msg.as.name, fill);                                                           \
        break;
        FL_MSGS(FILL_CASE)
#undef FILL_CASE
    }
    return msg;
}

static void assert_same(const struct fl_msg *a, const struct fl_msg *b)
{
    assert_int_equal(a->type, b->type);
    switch (a->type) {
#define SAME_CASE(name, value, fields, from)                                                       \
    case fl_msg_type_##name:                                                                       \
        same_##name(&a->as.name, &b->as.name);                                                     \
        break;
        FL_MSGS(SAME_CASE)
#undef SAME_CASE
    }
}

static enum fl_msg_from one_sender(unsigned from)
{
    return (enum fl_msg_from)(from & (~from + 1U));
}

static int set_up(void **state)
{
    (void)state;
    fl_random_twin_init(&dice, 20261122);
    memset(pool, 'a', sizeof pool);
    return 0;
}

/* --- claims --- */

static void every_message_comes_back_as_it_was(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_context ctx = {0};

    (void)state;
    for (size_t i = 0; i < TYPE_COUNT * 3; i++) {
        struct fl_msg msg = generate(types[i / 3].type, (enum fill)(i % 3));
        struct fl_msg back;
        struct fl_slice in = {0};

        fl_buffer_clear(&out);
        assert_ok(fl_msg_encode(&msg, &out, &ctx));
        in = fl_buffer_slice(&out);
        assert_ok(fl_msg_decode(&in, one_sender(types[i / 3].from), &back, &ctx));
        assert_int_equal(in.size, 0);
        assert_same(&msg, &back);
        assert_string_equal(fl_msg_name(msg.type), types[i / 3].name);
    }
    fl_buffer_free(&out);
}

static void every_message_is_refused_from_every_wrong_sender(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_context ctx = {0};

    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct fl_msg msg = generate(types[i].type, SMALL);

        fl_buffer_clear(&out);
        assert_ok(fl_msg_encode(&msg, &out, &ctx));
        for (unsigned from = 1; from <= FL_FROM_SIGNER; from *= 2) {
            struct fl_slice in = fl_buffer_slice(&out);
            enum fl_error error = fl_msg_decode(&in, (enum fl_msg_from)from, &msg, &ctx);

            assert_int_equal(error, (types[i].from & from) ? FL_OK : FL_EDENIED);
        }
    }
    fl_buffer_free(&out);
}

static void every_prefix_asks_for_more(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_context ctx = {0};

    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct fl_msg msg = generate(types[i].type, SMALL);

        fl_buffer_clear(&out);
        assert_ok(fl_msg_encode(&msg, &out, &ctx));
        for (size_t size = 0; size < out.size; size++) {
            struct fl_slice in = fl_slice(out.data + out.start, size);

            assert_int_equal(fl_msg_decode(&in, one_sender(types[i].from), &msg, &ctx), FL_EMORE);
            assert_int_equal(in.size, size);
        }
    }
    fl_buffer_free(&out);
}

/* The frame says it is complete, but a field is cut or there is one byte too many. */
static void every_message_of_a_wrong_length_is_refused(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_context ctx = {0};

    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct fl_msg msg = generate(types[i].type, SMALL);
        size_t whole = 0;

        fl_buffer_clear(&out);
        assert_ok(fl_msg_encode(&msg, &out, &ctx));
        assert_ok(fl_buffer_append_byte(&out, 0));
        whole = out.size - 1;
        for (size_t size = 6; size <= whole + 1; size++) {
            struct fl_slice in = fl_slice(out.data, size);

            if (size == whole)
                continue;
            out.data[0] = (uint8_t)(size - 4);
            out.data[1] = (uint8_t)((size - 4) >> 8);
            assert_int_equal(fl_msg_decode(&in, one_sender(types[i].from), &msg, &ctx), FL_EPARSE);
            assert_contains(ctx.text, types[i].name);
        }
    }
    fl_buffer_free(&out);
}

static struct fl_msg device(const char *id, const char *reason)
{
    return (struct fl_msg){
        .type = fl_msg_type_device,
        .as.device = {.id = fl_slice_str(id), .reason = fl_slice_str(reason), .may_connect = 1}};
}

static void field_over_its_maximum_is_named(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_context ctx = {0};
    struct fl_msg msg = device("cam", "");

    (void)state;
    msg.as.device.reason = fl_slice(pool, FL_LIMIT_REASON + 1);
    assert_ok(fl_buffer_append_str(&out, "before"));
    assert_int_equal(fl_msg_encode(&msg, &out, &ctx), FL_EINVAL);
    assert_contains(ctx.text, "device: field 'reason'");
    assert_slice_equal(fl_buffer_slice(&out), "before");
    msg.as.device.reason = fl_slice(pool, FL_LIMIT_REASON);
    assert_ok(fl_msg_encode(&msg, &out, &ctx));
    fl_buffer_free(&out);
}

/* Takes the bytes of `good` in an encoded message for `bad` of the same length. */
static enum fl_error decode_with(const char *good, const char *bad, size_t size,
                                 struct fl_context *ctx)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_msg msg = device("cam", good);
    struct fl_slice in = {0};
    uint8_t *found = NULL;
    enum fl_error error = FL_OK;

    assert_ok(fl_msg_encode(&msg, &out, ctx));
    found = memmem(out.data, out.size, good, size);
    assert_non_null(found);
    memcpy(found, bad, size);
    in = fl_buffer_slice(&out);
    error = fl_msg_decode(&in, FL_FROM_HUB, &msg, ctx);
    fl_buffer_free(&out);
    return error;
}

static void text_that_is_not_text_is_refused(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_context ctx = {0};
    struct fl_msg msg = device("cam", "\xff");

    (void)state;
    assert_int_equal(fl_msg_encode(&msg, &out, &ctx), FL_EINVAL);
    msg.as.device.reason = fl_slice("a\0b", 3);
    assert_int_equal(fl_msg_encode(&msg, &out, &ctx), FL_EINVAL);
    assert_int_equal(decode_with("because", "bec\xc0\x80se", 7, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "device: bad field 'reason'");
    assert_int_equal(decode_with("because", "bec\0use", 7, &ctx), FL_EPARSE);
    assert_ok(decode_with("because", "bec\xc3\xa4se", 7, &ctx));
    fl_buffer_free(&out);
}

static void lengths_that_lie_are_refused(void **state)
{
    static const uint8_t over[] = {0x12, 0, 0, 0, 22, 0, 0xff, 0xff, 0xff, 0xff, 1,
                                   2,    3, 4, 5, 6,  7, 8,    9,    10,   11,   12};
    static const uint8_t frames[][6] = {{0xff, 0xff, 0xff, 0xff, 4, 0},
                                        {0, 0, 0, 0x80, 4, 0},
                                        {1, 0, 0, 0, 4, 0},
                                        {0, 0, 0, 0, 4, 0},
                                        {2, 0, 0, 0, 0, 0},
                                        {2, 0, 0, 0, 4, 1}};
    struct fl_slice in = fl_slice(over, sizeof over);
    struct fl_context ctx = {0};
    struct fl_msg msg;

    (void)state;
    assert_int_equal(fl_msg_decode(&in, FL_FROM_FRONT, &msg, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "server_csr: bad field 'csr'");
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        in = fl_slice(frames[i], sizeof frames[i]);
        assert_int_equal(fl_msg_decode(&in, FL_FROM_FRONT, &msg, &ctx), FL_EPARSE);
        assert_int_equal(in.size, sizeof frames[i]);
    }
}

static void full_buffer_is_left_as_it_was(void **state)
{
    struct fl_buffer out = FL_BUFFER(64);
    struct fl_context ctx = {0};
    struct fl_msg msg = device("cam", "it was seen where it should not be, twice");

    (void)state;
    assert_ok(fl_buffer_append_str(&out, "before"));
    assert_int_equal(fl_msg_encode(&msg, &out, &ctx), FL_ELIMIT);
    assert_slice_equal(fl_buffer_slice(&out), "before");
    msg = device("cam", "");
    assert_ok(fl_msg_encode(&msg, &out, &ctx));
    out.failed = true; /* by its owner, before */
    assert_int_equal(fl_msg_encode(&msg, &out, &ctx), FL_ELIMIT);
    assert_true(out.failed);
    fl_buffer_free(&out);
}

static struct fl_reading reading(const char *name, double value)
{
    return (struct fl_reading){.device = fl_slice_str(name),
                               .stream = fl_slice_str("temperature"),
                               .t = 1732260000123,
                               .value = value,
                               .message = 7,
                               .redelivery = true};
}

static void readings_come_back_as_they_were(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_reading back;
    struct fl_slice in = {0};

    (void)state;
    for (int i = 0; i < 100; i++) {
        struct fl_reading r = reading("cam-01", i / 8.0 - 5);
        r.t = i;
        r.redelivery = i % 2 != 0;
        assert_ok(fl_msg_put_reading(&out, &r));
    }
    in = fl_buffer_slice(&out);
    for (int i = 0; i < 100; i++) {
        assert_ok(fl_msg_next_reading(&in, &back));
        assert_slice_equal(back.device, "cam-01");
        assert_slice_equal(back.stream, "temperature");
        assert_true(back.value == i / 8.0 - 5 && back.t == i && back.message == 7);
        assert_int_equal(back.redelivery, i % 2);
    }
    assert_int_equal(fl_msg_next_reading(&in, &back), FL_ENOTFOUND);
    fl_buffer_free(&out);
}

static void reading_that_would_be_refused_is_not_written(void **state)
{
    static const char *const names[] = {"", "a/b", "-a", "a b", "\xff", "../x"};
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_reading r = reading("cam-01", (double)NAN);

    (void)state;
    assert_int_equal(fl_msg_put_reading(&out, &r), FL_EINVAL);
    r.value = (double)INFINITY;
    assert_int_equal(fl_msg_put_reading(&out, &r), FL_EINVAL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        r = reading(names[i], 1);
        assert_int_equal(fl_msg_put_reading(&out, &r), FL_EINVAL);
    }
    assert_int_equal(out.size, 0);
    fl_buffer_free(&out);
    out = FL_BUFFER(20);
    r = reading("cam-01", 1);
    assert_int_equal(fl_msg_put_reading(&out, &r), FL_ELIMIT);
    assert_int_equal(out.size, 0);
    fl_buffer_free(&out);
}

static void malformed_readings_are_refused(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_MSG);
    struct fl_reading r = reading("cam-01", 1);
    struct fl_slice in = {0};

    (void)state;
    assert_ok(fl_msg_put_reading(&out, &r));
    for (size_t size = 1; size < out.size; size++) {
        in = fl_slice(out.data, size);
        assert_int_equal(fl_msg_next_reading(&in, &r), FL_EPARSE);
        assert_int_equal(in.size, size);
    }
    in = fl_buffer_slice(&out);
    out.data[out.size - 1] = 2; /* redelivery */
    assert_int_equal(fl_msg_next_reading(&in, &r), FL_EPARSE);
    out.data[out.size - 1] = 1;
    memset(out.data + out.size - 17, 0xff, 8); /* value: not a number */
    assert_int_equal(fl_msg_next_reading(&in, &r), FL_EPARSE);
    memset(out.data + out.size - 17, 0, 8);
    assert_ok(fl_msg_next_reading(&in, &r));
    out.data[4] = '/'; /* device */
    in = fl_buffer_slice(&out);
    assert_int_equal(fl_msg_next_reading(&in, &r), FL_EPARSE);
    fl_buffer_free(&out);
}

static void values_on_the_wire_are_distinct_and_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(types[i].type, types[j].type);
    assert_string_equal(fl_msg_name((enum fl_msg_type)0), "unknown");
    assert_string_equal(fl_msg_name((enum fl_msg_type)65535), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_message_comes_back_as_it_was, set_up),
        cmocka_unit_test_setup(every_message_is_refused_from_every_wrong_sender, set_up),
        cmocka_unit_test_setup(every_prefix_asks_for_more, set_up),
        cmocka_unit_test_setup(every_message_of_a_wrong_length_is_refused, set_up),
        cmocka_unit_test_setup(field_over_its_maximum_is_named, set_up),
        cmocka_unit_test_setup(text_that_is_not_text_is_refused, set_up),
        cmocka_unit_test_setup(lengths_that_lie_are_refused, set_up),
        cmocka_unit_test_setup(full_buffer_is_left_as_it_was, set_up),
        cmocka_unit_test_setup(readings_come_back_as_they_were, set_up),
        cmocka_unit_test_setup(reading_that_would_be_refused_is_not_written, set_up),
        cmocka_unit_test_setup(malformed_readings_are_refused, set_up),
        cmocka_unit_test_setup(values_on_the_wire_are_distinct_and_known, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
