/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/str.h"
#include "trust/seal.h"

static struct fl_context context;

static void unhex(uint8_t *to, size_t size, const char *text)
{
    size_t written = 0;

    assert_ok(fl_unhex(to, size, fl_slice_str(text), &written));
    assert_int_equal(written, size);
}

/* RFC 5869 takes an input of any size; ours are keys of 32 octets. Expected from
 * `openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:0b..0b -kdfopt hexsalt:000102..0c
 * -kdfopt info:label HKDF`. */
static void key_is_derived_as_hkdf_says(void **state)
{
    uint8_t secret[FL_SEAL_KEY];
    uint8_t salt[13];
    uint8_t expected[FL_SEAL_KEY];
    uint8_t key[FL_SEAL_KEY];
    (void)state;

    memset(secret, 0x0B, sizeof secret);
    for (size_t i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)i;
    unhex(expected, sizeof expected,
          "34d57fef9ca1c7f19cb3c0df3233b91d118d2901b181f8397347dc620b937595");
    assert_ok(fl_seal_derive(secret, fl_slice(salt, sizeof salt), "label", key, &context));
    assert_memory_equal(key, expected, sizeof key);
    assert_ok(fl_seal_derive(secret, fl_slice(salt, sizeof salt), "other", key, &context));
    assert_memory_not_equal(key, expected, sizeof key);
}

/* Test case 16 of the GCM specification (McGrew and Viega), with additional data. */
static void sealing_matches_the_known_answer(void **state)
{
    uint8_t key[FL_SEAL_KEY];
    uint8_t nonce[FL_SEAL_NONCE];
    uint8_t plain[60];
    uint8_t additional[20];
    uint8_t expected[76];
    uint8_t sealed[76];
    struct fl_seal *seal = NULL;
    (void)state;

    unhex(key, sizeof key, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    unhex(nonce, sizeof nonce, "cafebabefacedbaddecaf888");
    unhex(
        plain, sizeof plain,
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449"
        "a6b525b16aedf5aa0de657ba637b39");
    unhex(additional, sizeof additional, "feedfacedeadbeeffeedfacedeadbeefabaddad2");
    unhex(
        expected, sizeof expected,
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056"
        "828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
    assert_ok(fl_seal_new(key, &seal, &context));
    assert_ok(fl_seal_shut(seal, nonce, fl_slice(additional, sizeof additional),
                           fl_slice(plain, sizeof plain), sealed, &context));
    assert_memory_equal(sealed, expected, sizeof expected);
    fl_seal_free(seal);
}

static void only_the_same_key_nonce_and_bytes_open(void **state)
{
    uint8_t key[FL_SEAL_KEY] = {1};
    uint8_t nonce[FL_SEAL_NONCE] = {2};
    uint8_t sealed[5 + FL_SEAL_TAG];
    uint8_t opened[5] = {0};
    struct fl_slice additional = fl_slice_str("header");
    struct fl_slice all = fl_slice(sealed, sizeof sealed);
    struct fl_seal *seal = NULL;
    struct fl_seal *other = NULL;
    (void)state;

    assert_ok(fl_seal_new(key, &seal, &context));
    key[31] ^= 1;
    assert_ok(fl_seal_new(key, &other, &context));
    assert_ok(fl_seal_shut(seal, nonce, additional, fl_slice("plain", 5), sealed, &context));
    assert_ok(fl_seal_open(seal, nonce, additional, all, opened, &context));
    assert_memory_equal(opened, "plain", 5);
    assert_int_equal(fl_seal_open(other, nonce, additional, all, opened, &context), FL_EAUTH);
    assert_memory_equal(opened, "\0\0\0\0\0", 5);
    assert_int_equal(fl_seal_open(seal, nonce, fl_slice_str("Header"), all, opened, &context),
                     FL_EAUTH);
    nonce[11] ^= 1;
    assert_int_equal(fl_seal_open(seal, nonce, additional, all, opened, &context), FL_EAUTH);
    nonce[11] ^= 1;
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 0x40;
        assert_int_equal(fl_seal_open(seal, nonce, additional, all, opened, &context), FL_EAUTH);
        sealed[i] ^= 0x40;
        assert_int_equal(
            fl_seal_open(seal, nonce, additional, fl_slice(sealed, i), opened, &context), FL_EAUTH);
    }
    assert_ok(fl_seal_open(seal, nonce, additional, all, opened, &context));
    fl_seal_free(seal);
    fl_seal_free(other);
    fl_seal_free(NULL);
}

static void nothing_can_be_sealed_too(void **state)
{
    uint8_t key[FL_SEAL_KEY] = {1};
    uint8_t nonce[FL_SEAL_NONCE] = {2};
    uint8_t sealed[FL_SEAL_TAG];
    uint8_t opened[1];
    struct fl_seal *seal = NULL;
    (void)state;

    assert_ok(fl_seal_new(key, &seal, &context));
    assert_ok(fl_seal_shut(seal, nonce, fl_slice_str("header"), fl_slice(NULL, 0), sealed, NULL));
    assert_ok(fl_seal_open(seal, nonce, fl_slice_str("header"), fl_slice(sealed, sizeof sealed),
                           opened, NULL));
    sealed[0] ^= 1;
    assert_int_equal(fl_seal_open(seal, nonce, fl_slice_str("header"),
                                  fl_slice(sealed, sizeof sealed), opened, &context),
                     FL_EAUTH);
    fl_seal_free(seal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_is_derived_as_hkdf_says),
        cmocka_unit_test(sealing_matches_the_known_answer),
        cmocka_unit_test(only_the_same_key_nonce_and_bytes_open),
        cmocka_unit_test(nothing_can_be_sealed_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
