/* SPDX-License-Identifier: Apache-2.0 */
#include "base/endian.h"
#include "proto/segment.h"
#include "test/unit/unit.h"

static void names_come_back(void **state)
{
    static const uint64_t numbers[] = {1, 255, 1U << 31, (uint64_t)1 << 63, UINT64_MAX};
    char name[FL_SEGMENT_NAME_MAX];
    uint64_t number = 0;

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        fl_segment_name(name, "log-", numbers[i]);
        assert_true(fl_segment_name_parse(name, "log-", &number));
        assert_true(number == numbers[i]);
        assert_false(fl_segment_name_parse(name, "outbox-", &number));
    }
    fl_segment_name(name, "log-", 26);
    assert_string_equal(name, "log-000000000000001a.seg");
}

static void what_is_no_name_is_not_taken_for_one(void **state)
{
    static const char *const names[] = {
        "",
        "log-",
        "log-0000000000000000.seg", /* 0 */
        "log-000000000000001A.seg", /* not as it is written */
        "log-00000000000000g1.seg",
        "log-000000000000001.seg",
        "log-000000000000001a.seq",
        "log-000000000000001a.seg~",
        "lag-000000000000001a.seg",
    };
    uint64_t number = 0;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_false(fl_segment_name_parse(names[i], "log-", &number));
}

static void words_have_their_order(void **state)
{
    static const uint8_t octets[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xf8};
    uint8_t to[8];

    (void)state;
    assert_true(fl_get_le64(octets) == 0xf807060504030201U);
    assert_true(fl_get_be64(octets) == 0x01020304050607f8U);
    assert_true(fl_get_le32(octets + 4) == 0xf8070605U);
    assert_true(fl_get_le(octets, 3) == 0x030201U);
    fl_put_le64(to, 0xf807060504030201U);
    assert_memory_equal(to, octets, 8);
    fl_put_be64(to, 0x01020304050607f8U);
    assert_memory_equal(to, octets, 8);
    memset(to, 0xaa, sizeof to);
    fl_put_le32(to, 0x04030201U);
    assert_memory_equal(to, octets, 4);
    assert_int_equal(to[4], 0xaa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_back),
        cmocka_unit_test(what_is_no_name_is_not_taken_for_one),
        cmocka_unit_test(words_have_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
