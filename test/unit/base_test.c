/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/base64.h"
#include "base/buffer.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>

static void every_error_has_words(void **state)
{
    (void)state;
    for (int error = 0; error <= FL_EUNSUPPORTED; error++)
        assert_string_not_equal(fl_error_words((enum fl_error)error), "unknown error");
    assert_string_equal(fl_error_words((enum fl_error)999), "unknown error");
}

static void a_context_reads_from_the_outside_in(void **state)
{
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(fl_fail(&ctx, FL_ENOTFOUND, "plan %d", 7), FL_ENOTFOUND);
    assert_int_equal(fl_fail_in(&ctx, FL_ENOTFOUND, "rollout"), FL_ENOTFOUND);
    assert_string_equal(ctx.text, "rollout: plan 7");
    ctx.text[0] = 0;
    (void)fl_fail_in(&ctx, FL_EIO, "store");
    assert_string_equal(ctx.text, "store: input/output error");
    assert_int_equal(fl_fail_in(NULL, FL_EIO, "x"), FL_EIO);
}

static void a_buffer_never_exceeds_its_maximum(void **state)
{
    struct fl_buffer b = FL_BUFFER(10);
    (void)state;

    assert_ok(fl_buffer_append(&b, "0123456789", 10));
    assert_int_equal(fl_buffer_append(&b, "x", 1), FL_ELIMIT);
    assert_true(b.failed);
    assert_slice_equal(fl_buffer_slice(&b), "0123456789");
    fl_buffer_clear(&b);
    assert_ok(fl_buffer_printf(&b, "%d", 42));
    assert_slice_equal(fl_buffer_slice(&b), "42");
    assert_string_equal(fl_buffer_str(&b), "42");
    fl_buffer_free(&b);
}

static void a_buffer_is_a_queue_of_bytes(void **state)
{
    struct fl_buffer b = FL_BUFFER(100000);
    unsigned in = 0;
    unsigned out = 0;
    (void)state;

    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < round % 37; i++)
            assert_ok(fl_buffer_append_byte(&b, (uint8_t)in++));
        for (int i = 0; i < round % 31 && b.size; i++) {
            assert_int_equal(fl_buffer_slice(&b).data[0], (uint8_t)out++);
            fl_buffer_consume(&b, 1);
        }
    }
    assert_int_equal(b.size, in - out);
    fl_buffer_free(&b);
}

static void utf8_is_judged_as_rfc_3629_does(void **state)
{
    (void)state;
    assert_true(fl_slice_is_utf8(fl_slice_str("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80")));
    assert_false(fl_slice_is_utf8(fl_slice_str("\xC0\x80")));
    assert_false(fl_slice_is_utf8(fl_slice_str("\xED\xA0\x80")));
    assert_false(fl_slice_is_utf8(fl_slice_str("\xF4\x90\x80\x80")));
    assert_false(fl_slice_is_utf8(fl_slice("\xE2\x82", 2)));
}

static void names_are_safe_everywhere(void **state)
{
    char long_name[FL_NAME_MAX + 2];
    (void)state;

    memset(long_name, 'a', sizeof long_name);
    assert_true(fl_name_valid(fl_slice(long_name, FL_NAME_MAX)));
    assert_false(fl_name_valid(fl_slice(long_name, FL_NAME_MAX + 1)));
    assert_true(fl_name_valid(fl_slice_str("cam-01.north_2")));
    assert_false(fl_name_valid(fl_slice_str("")));
    assert_false(fl_name_valid(fl_slice_str("-x")));
    assert_false(fl_name_valid(fl_slice_str("a/b")));
    assert_false(fl_name_valid(fl_slice_str("a+b")));
}

static void strings_are_cut_between_characters(void **state)
{
    char to[5];
    (void)state;

    assert_false(fl_str_copy(to, sizeof to, "abc\xC3\xBC"));
    assert_string_equal(to, "abc");
    assert_true(fl_str_copy(to, sizeof to, "abcd"));
}

static void hostile_text_is_made_printable(void **state)
{
    char to[64];
    (void)state;
    assert_string_equal(fl_str_printable(to, sizeof to, fl_slice("a\x1b[2J\n\"", 7)),
                        "a\\x1b[2J\\x0a\\x22");
    assert_string_equal(fl_str_printable(to, sizeof to, fl_slice_str("\xFF")), "\\xff");
}

static void hexadecimal_goes_there_and_back(void **state)
{
    char text[16];
    uint8_t bytes[4];
    size_t size = 0;
    (void)state;

    fl_hex(text, sizeof text, fl_slice("\x01\xfe\x80", 3));
    assert_string_equal(text, "01fe80");
    assert_ok(fl_unhex(bytes, sizeof bytes, fl_slice_str("01FE80"), &size));
    assert_int_equal(size, 3);
    assert_int_equal(fl_unhex(bytes, sizeof bytes, fl_slice_str("0"), &size), FL_EPARSE);
    assert_int_equal(fl_unhex(bytes, sizeof bytes, fl_slice_str("0x"), &size), FL_EPARSE);
    assert_int_equal(fl_unhex(bytes, sizeof bytes, fl_slice_str("0011223344"), &size), FL_ELIMIT);
}

static void numbers_are_strict(void **state)
{
    uint64_t value = 0;
    (void)state;
    assert_ok(fl_str_to_u64(fl_slice_str("18446744073709551615"), UINT64_MAX, &value));
    assert_int_equal(fl_str_to_u64(fl_slice_str("18446744073709551616"), UINT64_MAX, &value),
                     FL_ELIMIT);
    assert_int_equal(fl_str_to_u64(fl_slice_str("01"), 9, &value), FL_EPARSE);
    assert_int_equal(fl_str_to_u64(fl_slice_str("-1"), 9, &value), FL_EPARSE);
    assert_int_equal(fl_str_to_u64(fl_slice_str("10"), 9, &value), FL_ELIMIT);
}

static void times_go_there_and_back(void **state)
{
    static const char *const texts[] = {"1970-01-01T00:00:00Z",     "2026-11-22T07:19:48.123Z",
                                        "2000-02-29T23:59:59.999Z", "0001-01-01T00:00:00Z",
                                        "9999-12-31T23:59:59.999Z", "1969-12-31T23:59:59.001Z"};
    char text[FL_TIME_TEXT_MAX];
    fl_time_t t = 0;
    (void)state;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_ok(fl_time_parse(fl_slice_str(texts[i]), &t));
        assert_string_equal(fl_time_format(t, text), texts[i]);
    }
    assert_ok(fl_time_parse(fl_slice_str("2026-11-22T08:19:48+01:00"), &t));
    assert_string_equal(fl_time_format(t, text), "2026-11-22T07:19:48Z");
    assert_int_equal(fl_time_parse(fl_slice_str("2026-02-30T00:00:00Z"), &t), FL_EPARSE);
    assert_int_equal(fl_time_parse(fl_slice_str("2026-02-03T00:00:00"), &t), FL_EPARSE);
    assert_int_equal(fl_time_parse(fl_slice_str("2026-02-03T00:00:00.Z"), &t), FL_EPARSE);
}

static void durations_read_like_speech(void **state)
{
    char text[FL_TIME_TEXT_MAX];
    fl_time_t d = 0;
    (void)state;

    assert_ok(fl_duration_parse(fl_slice_str("1h30m"), &d));
    assert_int_equal(d, 5400000);
    assert_string_equal(fl_duration_format(d, text), "1h30m");
    assert_ok(fl_duration_parse(fl_slice_str("250ms"), &d));
    assert_int_equal(d, 250);
    assert_int_equal(fl_duration_parse(fl_slice_str("5"), &d), FL_EPARSE);
    assert_int_equal(fl_duration_parse(fl_slice_str("1m1h"), &d), FL_EPARSE);
    assert_int_equal(fl_duration_parse(fl_slice_str("m"), &d), FL_EPARSE);
    assert_int_equal(fl_duration_parse(fl_slice_str("40000d"), &d), FL_ELIMIT);
    assert_int_equal(fl_duration_parse(fl_slice_str("-1s"), &d), FL_EPARSE);
}

static void base64_goes_there_and_back_at_every_length(void **state)
{
    uint8_t bytes[100];
    struct fl_buffer text = FL_BUFFER(1000);
    struct fl_buffer back = FL_BUFFER(1000);
    (void)state;

    for (size_t size = 0; size < sizeof bytes; size++) {
        bytes[size] = (uint8_t)(size * 37);
        fl_buffer_clear(&text);
        fl_buffer_clear(&back);
        assert_ok(fl_base64_encode(fl_slice(bytes, size), 64, &text));
        assert_ok(fl_base64_decode(fl_buffer_slice(&text), &back));
        assert_true(fl_slice_equal(fl_buffer_slice(&back), fl_slice(bytes, size)));
        fl_buffer_clear(&text);
        fl_buffer_clear(&back);
        assert_ok(fl_base64url_encode(fl_slice(bytes, size), &text));
        assert_ok(fl_base64url_decode(fl_buffer_slice(&text), &back));
        assert_true(fl_slice_equal(fl_buffer_slice(&back), fl_slice(bytes, size)));
    }
    fl_buffer_clear(&back);
    assert_int_equal(fl_base64_decode(fl_slice_str("AB=C"), &back), FL_EPARSE);
    assert_int_equal(fl_base64_decode(fl_slice_str("A"), &back), FL_EPARSE);
    assert_int_equal(fl_base64_decode(fl_slice_str("AB=="), &back), FL_EPARSE); /* spare bits */
    assert_int_equal(fl_base64url_decode(fl_slice_str("A+AA"), &back), FL_EPARSE);
    fl_buffer_free(&text);
    fl_buffer_free(&back);
}

static void the_heap_gives_timers_in_order(void **state)
{
    struct fl_heap heap = {0};
    struct fl_heap_node nodes[200] = {0};
    fl_time_t last = -1;
    size_t left = 0;
    (void)state;

    for (size_t i = 0; i < 200; i++)
        assert_ok(fl_heap_set(&heap, &nodes[i], (fl_time_t)(i * 7919 % 211)));
    for (size_t i = 0; i < 200; i += 3)
        fl_heap_remove(&heap, &nodes[i]);
    for (size_t i = 1; i < 200; i += 3)
        assert_ok(fl_heap_set(&heap, &nodes[i], (fl_time_t)(i * 31 % 97)));
    left = heap.count;
    while (fl_heap_first(&heap)) {
        struct fl_heap_node *first = fl_heap_first(&heap);
        assert_true(first->due >= last);
        last = first->due;
        fl_heap_remove(&heap, first);
        left--;
    }
    assert_int_equal(left, 0);
    fl_heap_free(&heap);
}

struct entry {
    struct fl_map_node node;
    char key[16];
};

static void the_map_finds_what_is_in_and_nothing_else(void **state)
{
    struct fl_map map = {0};
    struct entry *entries = calloc(1000, sizeof *entries);
    size_t walked = 0;
    (void)state;

    assert_non_null(entries);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(entries[i].key, sizeof entries[i].key, "k%d", i);
        assert_ok(fl_map_add(&map, &entries[i].node, fl_slice_str(entries[i].key)));
    }
    {
        struct entry twin = {0};
        assert_int_equal(fl_map_add(&map, &twin.node, fl_slice_str("k5")), FL_EEXISTS);
    }
    for (int i = 0; i < 1000; i += 2)
        fl_map_remove(&map, &entries[i].node);
    for (int i = 0; i < 1000; i++)
        assert_true((fl_map_find(&map, fl_slice_str(entries[i].key)) != NULL) == (i % 2 == 1));
    for (struct fl_map_node *n = fl_map_next(&map, NULL); n; n = fl_map_next(&map, n))
        walked++;
    assert_int_equal(walked, 500);
    fl_map_free(&map);
    free(entries);
}

static void add_all(struct fl_map *map, struct entry *entries, int from, int to)
{
    for (int i = from; i < to; i++) {
        (void)snprintf(entries[i].key, sizeof entries[i].key, "k%d", i);
        assert_ok(fl_map_add(map, &entries[i].node, fl_slice_str(entries[i].key)));
    }
}

static void a_map_is_emptied_from_its_first(void **state)
{
    struct fl_map map = {0};
    struct entry *entries = calloc(3000, sizeof *entries);
    struct fl_map_node *node = NULL;
    size_t taken = 0;
    size_t behind = 0;
    (void)state;

    assert_non_null(entries);
    assert_null(fl_map_first(&map));
    add_all(&map, entries, 0, 1000);
    for (; taken < 900; taken++)
        fl_map_remove(&map, fl_map_first(&map));
    /* What was emptied is not looked at again... */
    behind = map.first;
    assert_true(behind > map.bucket_count / 2);
    (void)fl_map_first(&map);
    assert_true(map.first >= behind);
    /* ...until something is there, be it in more buckets. */
    add_all(&map, entries, 1000, 1500);
    add_all(&map, entries, 1500, 3000);
    for (; (node = fl_map_first(&map)); taken++)
        fl_map_remove(&map, node);
    assert_int_equal(taken, 3000);
    assert_int_equal(map.count, 0);
    fl_map_free(&map);
    assert_null(fl_map_first(&map));
    free(entries);
}

static void the_hash_is_siphash_2_4(void **state)
{
    /* The first vectors of the reference implementation: key 00..0f, message 00..n-1. */
    uint8_t key[16];
    uint8_t message[8];
    (void)state;

    for (uint8_t i = 0; i < 16; i++)
        key[i] = i;
    for (uint8_t i = 0; i < 8; i++)
        message[i] = i;
    fl_map_seed(key);
    assert_true(fl_map_hash(fl_slice(message, 0)) == 0x726fdb47dd0e0e31U);
    assert_true(fl_map_hash(fl_slice(message, 1)) == 0x74f839c593dc67fdU);
    assert_true(fl_map_hash(fl_slice(message, 8)) == 0x93f5f5799a932462U);
    memset(key, 0, sizeof key);
    fl_map_seed(key);
}

struct item {
    struct fl_list node;
    int value;
};

static void a_list_keeps_order_and_forgives_double_removal(void **state)
{
    struct fl_list list;
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    int sum = 0;
    (void)state;

    fl_list_init(&list);
    for (int i = 0; i < 3; i++)
        fl_list_push(&list, &items[i].node);
    fl_list_remove(&items[1].node);
    fl_list_remove(&items[1].node);
    FL_LIST_EACH(node, &list) sum = sum * 10 + fl_container_of(node, struct item, node)->value;
    assert_int_equal(sum, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_words),
        cmocka_unit_test(a_context_reads_from_the_outside_in),
        cmocka_unit_test(a_buffer_never_exceeds_its_maximum),
        cmocka_unit_test(a_buffer_is_a_queue_of_bytes),
        cmocka_unit_test(utf8_is_judged_as_rfc_3629_does),
        cmocka_unit_test(names_are_safe_everywhere),
        cmocka_unit_test(strings_are_cut_between_characters),
        cmocka_unit_test(hostile_text_is_made_printable),
        cmocka_unit_test(hexadecimal_goes_there_and_back),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(times_go_there_and_back),
        cmocka_unit_test(durations_read_like_speech),
        cmocka_unit_test(base64_goes_there_and_back_at_every_length),
        cmocka_unit_test(the_heap_gives_timers_in_order),
        cmocka_unit_test(the_map_finds_what_is_in_and_nothing_else),
        cmocka_unit_test(a_map_is_emptied_from_its_first),
        cmocka_unit_test(the_hash_is_siphash_2_4),
        cmocka_unit_test(a_list_keeps_order_and_forgives_double_removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
