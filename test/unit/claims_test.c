/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "agent/claims.h"

#include <stdio.h>

static void the_name_of_the_system_is_found(void **state)
{
    char os[FL_LIMIT_CLAIM + 1];

    (void)state;
    assert_true(
        fl_machine_os(fl_slice_str("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nX=1"), os));
    assert_string_equal(os, "Debian GNU/Linux 12");
    assert_true(fl_machine_os(fl_slice_str("PRETTY_NAME=Plain"), os));
    assert_string_equal(os, "Plain");
    assert_false(fl_machine_os(fl_slice_str("NOT_PRETTY_NAME=x\n"), os));
    assert_false(fl_machine_os(fl_slice_str("PRETTY_NAME=\"\""), os));
    assert_false(fl_machine_os(fl_slice_str(""), os));
    assert_true(fl_machine_os(fl_slice_str("PRETTY_NAME=a\033b"), os));
    assert_null(strchr(os, 27));
    for (size_t i = 0; i < 4; i++) {
        char text[256];

        (void)snprintf(text, sizeof text, "PRETTY_NAME=%.*s%s%s%s", (int)i, "xxx",
                       "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ", "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ",
                       "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ");
        assert_true(fl_machine_os(fl_slice_str(text), os));
        assert_true(fl_slice_is_utf8(fl_slice_str(os)));
    }
}

static void what_this_machine_says_is_one_text(void **state)
{
    struct fl_machine m;
    struct fl_buffer text = FL_BUFFER(4096);
    static const uint8_t nonce[FL_NONCE_SIZE];
    struct fl_claims claims = {.device = fl_slice_str("d"), .nonce = fl_slice(nonce, sizeof nonce)};

    (void)state;
    fl_machine_read(&m);
    assert_int_equal(strlen(m.binary), 64);
    assert_true(strncmp(m.kernel, "Linux ", 6) == 0);
    assert_int_equal(strlen(m.boot), 36);
    claims.agent = fl_slice_str(m.agent);
    claims.os = fl_slice_str(m.os);
    claims.kernel = fl_slice_str(m.kernel);
    claims.binary = fl_slice_str(m.binary);
    claims.boot = fl_slice_str(m.boot);
    assert_ok(fl_claims_text(&claims, &text, NULL));
    fl_buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_of_the_system_is_found),
        cmocka_unit_test(what_this_machine_says_is_one_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
