/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "trust/ws_accept.h"

static void the_key_of_the_rfc_gets_its_answer(void **state)
{
    char accept[FL_WS_ACCEPT_SIZE] = "";

    (void)state;
    assert_ok(fl_ws_accept(fl_slice_str("dGhlIHNhbXBsZSBub25jZQ=="), accept, NULL));
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void what_is_not_a_key_is_refused(void **state)
{
    static const char *const keys[] = {"",
                                       "dGhlIHNhbXBsZSBub25jZQ",
                                       "dGhlIHNhbXBsZSBub25jZTE=",
                                       "dGhlIHNhbXBsZSBub25jZTEx",
                                       "dGhlIHNhbXBsZSBub25j\r\nZQ",
                                       "!!!!!!!!!!!!!!!!!!!!!!==",
                                       "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ=="};
    char accept[FL_WS_ACCEPT_SIZE] = "";

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct fl_context ctx = {0};

        assert_int_equal(fl_ws_accept(fl_slice_str(keys[i]), accept, &ctx), FL_EPARSE);
        assert_non_null(strstr(ctx.text, "16 octets"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_of_the_rfc_gets_its_answer),
        cmocka_unit_test(what_is_not_a_key_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
