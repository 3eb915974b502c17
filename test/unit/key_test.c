/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/str.h"
#include "trust/key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = NULL;

    assert_ok(fl_key_generate(&key, NULL));
    return key;
}

static void sha256_gives_the_known_answers(void **state)
{
    uint8_t digest[FL_SHA256_SIZE];
    char text[65];
    (void)state;

    fl_sha256(fl_slice_str("abc"), digest);
    fl_hex(text, sizeof text, fl_slice(digest, sizeof digest));
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    fl_sha256(fl_slice(NULL, 0), digest);
    fl_hex(text, sizeof text, fl_slice(digest, sizeof digest));
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void a_key_survives_the_way_through_pem(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    EVP_PKEY *key = make_key();
    EVP_PKEY *back = NULL;
    (void)state;

    assert_ok(fl_key_to_pem(key, NULL, &pem, NULL));
    assert_contains(fl_buffer_str(&pem), "-----BEGIN PRIVATE KEY-----");
    assert_ok(fl_key_from_pem(fl_buffer_slice(&pem), NULL, &back, NULL));
    assert_int_equal(EVP_PKEY_eq(key, back), 1);
    EVP_PKEY_free(back);
    /* An unsealed key opens with a passphrase too: there is nothing to open. */
    assert_ok(fl_key_from_pem(fl_buffer_slice(&pem), "unused", &back, NULL));
    EVP_PKEY_free(back);
    EVP_PKEY_free(key);
    fl_buffer_free(&pem);
}

static void a_sealed_key_opens_only_with_its_passphrase(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    struct fl_context ctx = {0};
    EVP_PKEY *key = make_key();
    EVP_PKEY *back = NULL;
    (void)state;

    assert_ok(fl_key_to_pem(key, "correct horse", &pem, NULL));
    assert_contains(fl_buffer_str(&pem), "-----BEGIN ENCRYPTED PRIVATE KEY-----");
    assert_int_equal(fl_key_from_pem(fl_buffer_slice(&pem), NULL, &back, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "sealed");
    assert_null(back);
    assert_int_equal(fl_key_from_pem(fl_buffer_slice(&pem), "wrong horse", &back, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "does not open");
    assert_int_equal(fl_key_from_pem(fl_buffer_slice(&pem), "", &back, &ctx), FL_EAUTH);
    assert_ok(fl_key_from_pem(fl_buffer_slice(&pem), "correct horse", &back, NULL));
    assert_int_equal(EVP_PKEY_eq(key, back), 1);
    EVP_PKEY_free(back);
    EVP_PKEY_free(key);
    fl_buffer_free(&pem);
}

static void a_passphrase_has_bounds(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    EVP_PKEY *key = make_key();
    char passphrase[1025];
    (void)state;

    memset(passphrase, 'x', sizeof passphrase);
    passphrase[1024] = 0;
    assert_int_equal(fl_key_to_pem(key, passphrase, &pem, NULL), FL_EINVAL);
    assert_int_equal(fl_key_to_pem(key, "", &pem, NULL), FL_EINVAL);
    EVP_PKEY_free(key);
    fl_buffer_free(&pem);
}

static void a_key_that_does_not_fit_is_an_error(void **state)
{
    struct fl_buffer pem = FL_BUFFER(32);
    EVP_PKEY *key = make_key();
    (void)state;

    assert_int_equal(fl_key_to_pem(key, NULL, &pem, NULL), FL_ELIMIT);
    EVP_PKEY_free(key);
    fl_buffer_free(&pem);
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *texts[] = {
        "",
        "hello",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEA",
    };
    EVP_PKEY *key = NULL;
    (void)state;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(fl_key_from_pem(fl_slice_str(texts[i]), NULL, &key, NULL), FL_EPARSE);
        assert_null(key);
        assert_int_equal(fl_key_public_from_pem(fl_slice_str(texts[i]), &key, NULL), FL_EPARSE);
        assert_null(key);
    }
}

static void a_public_key_has_the_id_of_its_private_key(void **state)
{
    struct fl_buffer pem = FL_BUFFER(4096);
    EVP_PKEY *key = make_key();
    EVP_PKEY *public_key = NULL;
    char id[FL_KEY_ID_TEXT];
    char public_id[FL_KEY_ID_TEXT];
    (void)state;

    assert_ok(fl_key_public_pem(key, &pem, NULL));
    assert_contains(fl_buffer_str(&pem), "-----BEGIN PUBLIC KEY-----");
    assert_ok(fl_key_public_from_pem(fl_buffer_slice(&pem), &public_key, NULL));
    assert_ok(fl_key_id(key, id));
    assert_ok(fl_key_id(public_key, public_id));
    assert_int_equal(strlen(id), 16);
    assert_string_equal(id, public_id);
    EVP_PKEY_free(public_key);
    EVP_PKEY_free(key);
    fl_buffer_free(&pem);
}

static void a_signature_matches_its_message_and_key_only(void **state)
{
    struct fl_slice message = fl_slice_str("profile camera {}");
    EVP_PKEY *key = make_key();
    EVP_PKEY *other = make_key();
    uint8_t signature[64];
    (void)state;

    /* Several, because r and s are shorter than 32 octets now and then. */
    for (int i = 0; i < 64; i++) {
        assert_ok(fl_es256_sign(key, message, signature, NULL));
        assert_ok(fl_es256_verify(key, message, signature));
    }
    assert_int_equal(fl_es256_verify(other, message, signature), FL_EAUTH);
    assert_int_equal(fl_es256_verify(key, fl_slice_str("profile camera { }"), signature), FL_EAUTH);
    for (size_t i = 0; i < sizeof signature; i++) {
        signature[i] ^= 1;
        assert_int_equal(fl_es256_verify(key, message, signature), FL_EAUTH);
        signature[i] ^= 1;
    }
    EVP_PKEY_free(other);
    EVP_PKEY_free(key);
}

static void signatures_of_zeros_and_of_the_largest_numbers_are_refused(void **state)
{
    EVP_PKEY *key = make_key();
    uint8_t signature[64] = {0};
    (void)state;

    assert_int_equal(fl_es256_verify(key, fl_slice_str("x"), signature), FL_EAUTH);
    memset(signature, 0xFF, sizeof signature);
    assert_int_equal(fl_es256_verify(key, fl_slice_str("x"), signature), FL_EAUTH);
    EVP_PKEY_free(key);
}

static void es256_takes_only_p256(void **state)
{
    EVP_PKEY *p384 = EVP_EC_gen("P-384");
    uint8_t signature[64] = {0};
    (void)state;

    assert_int_equal(fl_es256_sign(p384, fl_slice_str("x"), signature, NULL), FL_EINVAL);
    assert_int_equal(fl_es256_verify(p384, fl_slice_str("x"), signature), FL_EAUTH);
    EVP_PKEY_free(p384);
}

static enum fl_error judge_and_free(EVP_PKEY *key, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    assert_non_null(key);
    error = fl_key_judge(key, ctx);
    EVP_PKEY_free(key);
    return error;
}

static EVP_PKEY *rsa_with_exponent(unsigned long exponent)
{
    EVP_PKEY_CTX *making = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *e = BN_new();
    EVP_PKEY *key = NULL;

    assert_int_equal(BN_set_word(e, exponent), 1);
    assert_int_equal(EVP_PKEY_keygen_init(making), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(making, 2048), 1);
    assert_int_equal(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(making, e), 1);
    assert_int_equal(EVP_PKEY_generate(making, &key), 1);
    BN_free(e);
    EVP_PKEY_CTX_free(making);
    return key;
}

static void strong_keys_pass_and_weak_ones_do_not(void **state)
{
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(judge_and_free(EVP_EC_gen("P-256"), &ctx));
    assert_ok(judge_and_free(EVP_EC_gen("P-384"), &ctx));
    assert_ok(judge_and_free(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &ctx));
    assert_ok(judge_and_free(EVP_RSA_gen(2048), &ctx));
    assert_int_equal(judge_and_free(EVP_EC_gen("P-224"), &ctx), FL_EDENIED);
    assert_contains(ctx.text, "P-256");
    assert_int_equal(judge_and_free(EVP_EC_gen("secp256k1"), &ctx), FL_EDENIED);
    assert_int_equal(judge_and_free(EVP_RSA_gen(1024), &ctx), FL_EDENIED);
    assert_contains(ctx.text, "1024 bits");
    assert_int_equal(judge_and_free(rsa_with_exponent(3), &ctx), FL_EDENIED);
    assert_contains(ctx.text, "exponent");
    assert_int_equal(judge_and_free(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), &ctx), FL_EDENIED);
    assert_int_equal(judge_and_free(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), &ctx), FL_EDENIED);
    assert_contains(ctx.text, "unknown kind");
}

static void an_ed25519_point_of_small_order_is_refused(void **state)
{
    uint8_t identity[32] = {1};
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(
        judge_and_free(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, identity, 32), &ctx),
        FL_EDENIED);
    assert_contains(ctx.text, "sound");
}

static void the_openssl_command_reads_our_sealed_key(void **state)
{
    char path[] = "/tmp/fl-key-XXXXXX";
    char command[256];
    struct fl_buffer pem = FL_BUFFER(4096);
    EVP_PKEY *key = make_key();
    int fd = mkstemp(path);
    (void)state;

    assert_true(fd >= 0);
    assert_ok(fl_key_to_pem(key, "secret words", &pem, NULL));
    assert_int_equal(write(fd, fl_buffer_slice(&pem).data, pem.size), pem.size);
    assert_int_equal(close(fd), 0);
    (void)snprintf(command, sizeof command,
                   "openssl pkey -in %s -passin 'pass:secret words' -noout -check >/dev/null 2>&1",
                   path);
    assert_int_equal(system(command), 0);
    (void)snprintf(command, sizeof command,
                   "openssl pkey -in %s -passin pass:wrong -noout >/dev/null 2>&1", path);
    assert_int_not_equal(system(command), 0);
    assert_int_equal(unlink(path), 0);
    EVP_PKEY_free(key);
    fl_buffer_free(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_known_answers),
        cmocka_unit_test(a_key_survives_the_way_through_pem),
        cmocka_unit_test(a_sealed_key_opens_only_with_its_passphrase),
        cmocka_unit_test(a_passphrase_has_bounds),
        cmocka_unit_test(a_key_that_does_not_fit_is_an_error),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(a_public_key_has_the_id_of_its_private_key),
        cmocka_unit_test(a_signature_matches_its_message_and_key_only),
        cmocka_unit_test(signatures_of_zeros_and_of_the_largest_numbers_are_refused),
        cmocka_unit_test(es256_takes_only_p256),
        cmocka_unit_test(strong_keys_pass_and_weak_ones_do_not),
        cmocka_unit_test(an_ed25519_point_of_small_order_is_refused),
        cmocka_unit_test(the_openssl_command_reads_our_sealed_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
