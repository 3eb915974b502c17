/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "trust/datakey.h"

static const uint8_t key[FL_DATAKEY_SIZE] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

static void a_key_comes_back_from_its_pem(void **state)
{
    struct fl_buffer pem = FL_BUFFER(1024);
    uint8_t read[FL_DATAKEY_SIZE] = {0};
    (void)state;

    assert_ok(fl_datakey_to_pem(key, &pem, NULL));
    assert_ok(fl_datakey_from_pem(fl_buffer_slice(&pem), read, NULL));
    assert_memory_equal(read, key, sizeof key);
    fl_buffer_free(&pem);
}

static void refused(const char *text, const char *words)
{
    struct fl_context ctx = {0};
    uint8_t read[FL_DATAKEY_SIZE];
    static const uint8_t wiped[FL_DATAKEY_SIZE];

    memset(read, 'x', sizeof read);
    assert_int_equal(fl_datakey_from_pem(fl_slice_str(text), read, &ctx), FL_EPARSE);
    assert_contains(ctx.text, words);
    assert_memory_equal(read, wiped, sizeof read);
}

static void what_is_no_key_is_refused_and_leaves_nothing(void **state)
{
    struct fl_buffer two = FL_BUFFER(4096);
    (void)state;

    refused("", "no data key");
    refused("-----BEGIN FAIRLEAD DATA KEY-----\nAAAA\n-----END FAIRLEAD DATA KEY-----\n",
            "32 octets, not 3");
    refused("-----BEGIN FAIRLEAD DATA KEY-----\nAAAA\n", "malformed PEM");
    refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no data key");
    assert_ok(fl_datakey_to_pem(key, &two, NULL));
    assert_ok(fl_datakey_to_pem(key, &two, NULL));
    refused(fl_buffer_str(&two), "more than one");
    fl_buffer_free(&two);
}

/* The same from outside: openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:0001...0a00...
 * -kdfopt info:"fairlead front log 1" HKDF */
static void a_derived_key_is_that_of_rfc_5869(void **state)
{
    static const uint8_t expected[FL_DATAKEY_SIZE] = {
        0xdf, 0xb2, 0x72, 0xd8, 0x7f, 0x6c, 0x4c, 0xb7, 0xd2, 0xb8, 0x78,
        0x29, 0xdc, 0xae, 0xec, 0x26, 0x33, 0xaa, 0xfd, 0xef, 0x5c, 0x32,
        0x09, 0x13, 0xf0, 0x5a, 0x25, 0xbe, 0x6a, 0x56, 0x70, 0x33};
    uint8_t out[FL_DATAKEY_SIZE];
    uint8_t other[FL_DATAKEY_SIZE];
    (void)state;

    assert_ok(fl_datakey_derive(key, FL_DATAKEY_FRONT_LOG, out, NULL));
    assert_memory_equal(out, expected, sizeof out);
    assert_ok(fl_datakey_derive(key, "fairlead front log 2", other, NULL));
    assert_memory_not_equal(out, other, sizeof out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_comes_back_from_its_pem),
        cmocka_unit_test(what_is_no_key_is_refused_and_leaves_nothing),
        cmocka_unit_test(a_derived_key_is_that_of_rfc_5869),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
