/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/base64.h"
#include "trust/profile_sign.h"

#include <openssl/ec.h>
#include <stdio.h>

static const char camera[] = "profile camera {\n    title \"Indoor camera\"\n}\n";

static EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = NULL;

    assert_ok(fl_key_generate(&key, NULL));
    return key;
}

static struct fl_profile_keys keys_of(EVP_PKEY *const *keys, size_t count)
{
    struct fl_buffer pem = FL_BUFFER(64 * 1024);
    struct fl_profile_keys set = {0};

    for (size_t i = 0; i < count; i++)
        assert_ok(fl_key_public_pem(keys[i], &pem, NULL));
    assert_ok(fl_profile_keys_load(fl_buffer_slice(&pem), &set, NULL));
    assert_int_equal(set.count, count);
    fl_buffer_free(&pem);
    return set;
}

/* What fl_profile_parse finds in a signed text: the signature is its last line. */
static struct fl_profile signed_profile(struct fl_slice text)
{
    struct fl_profile profile = {.name = "camera", .is_signed = true};
    struct fl_buffer raw = FL_BUFFER(64);
    size_t start = text.size - 1;
    char line[256];
    char encoded[128];

    while (start > 0 && text.data[start - 1] != '\n')
        start--;
    assert_true(fl_str_copy_slice(line, sizeof line, fl_slice_from(text, start)));
    assert_int_equal(sscanf(line, "signature ES256 %16s %127s", profile.key_id, encoded), 2);
    assert_ok(fl_base64url_decode(fl_slice_str(encoded), &raw));
    assert_int_equal(raw.size, 64);
    memcpy(profile.signature, fl_buffer_slice(&raw).data, 64);
    profile.signed_text = fl_slice(text.data, start);
    fl_buffer_free(&raw);
    return profile;
}

static void a_signed_profile_verifies_with_its_key(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    EVP_PKEY *keys[3] = {make_key(), make_key(), make_key()};
    struct fl_profile_keys set = keys_of(keys, 3);
    struct fl_profile profile = {0};
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        fl_buffer_clear(&out);
        assert_ok(fl_profile_sign(fl_slice_str(camera), keys[i], &out, NULL));
        profile = signed_profile(fl_buffer_slice(&out));
        assert_slice_equal(profile.signed_text, camera);
        assert_ok(fl_profile_verify(&profile, &set, NULL));
    }
    fl_profile_keys_free(&set);
    for (size_t i = 0; i < 3; i++)
        EVP_PKEY_free(keys[i]);
    fl_buffer_free(&out);
}

static void a_missing_last_newline_is_added_before_the_signature(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    EVP_PKEY *key = make_key();
    struct fl_profile_keys set = keys_of(&key, 1);
    struct fl_profile profile = {0};
    (void)state;

    assert_ok(fl_profile_sign(fl_slice(camera, strlen(camera) - 1), key, &out, NULL));
    profile = signed_profile(fl_buffer_slice(&out));
    assert_slice_equal(profile.signed_text, camera);
    assert_ok(fl_profile_verify(&profile, &set, NULL));
    fl_profile_keys_free(&set);
    EVP_PKEY_free(key);
    fl_buffer_free(&out);
}

static void every_way_not_to_be_valid_has_its_words(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    EVP_PKEY *key = make_key();
    EVP_PKEY *other = make_key();
    struct fl_profile_keys set = keys_of(&key, 1);
    struct fl_profile profile = {.name = "camera"};
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(fl_profile_verify(&profile, &set, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "not signed");

    assert_ok(fl_profile_sign(fl_slice_str(camera), other, &out, NULL));
    profile = signed_profile(fl_buffer_slice(&out));
    assert_int_equal(fl_profile_verify(&profile, &set, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "not in profile-keys.pem");
    assert_contains(ctx.text, profile.key_id);

    fl_buffer_clear(&out);
    assert_ok(fl_profile_sign(fl_slice_str(camera), key, &out, NULL));
    out.data[3] ^= 1;
    profile = signed_profile(fl_buffer_slice(&out));
    assert_int_equal(fl_profile_verify(&profile, &set, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "changed after it was signed");

    fl_profile_keys_free(&set);
    EVP_PKEY_free(other);
    EVP_PKEY_free(key);
    fl_buffer_free(&out);
}

static void a_profile_is_signed_once(void **state)
{
    struct fl_buffer out = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    struct fl_buffer again = FL_BUFFER(FL_LIMIT_PROFILE_SIZE);
    EVP_PKEY *key = make_key();
    (void)state;

    assert_ok(fl_profile_sign(fl_slice_str(camera), key, &out, NULL));
    assert_int_equal(fl_profile_sign(fl_buffer_slice(&out), key, &again, NULL), FL_EEXISTS);
    assert_int_equal(fl_profile_sign(fl_slice_str("x\n \tsignature\tES256"), key, &again, NULL),
                     FL_EEXISTS);
    assert_ok(
        fl_profile_sign(fl_slice_str("title \"a signature \"\nsignatures 1\n"), key, &again, NULL));
    EVP_PKEY_free(key);
    fl_buffer_free(&again);
    fl_buffer_free(&out);
}

static void what_cannot_be_signed_is_refused(void **state)
{
    static uint8_t large[FL_LIMIT_PROFILE_SIZE + 1];
    struct fl_buffer out = FL_BUFFER(2 * FL_LIMIT_PROFILE_SIZE);
    struct fl_buffer tiny = FL_BUFFER(sizeof camera);
    EVP_PKEY *key = make_key();
    EVP_PKEY *p384 = EVP_EC_gen("P-384");
    (void)state;

    memset(large, '\n', sizeof large);
    assert_int_equal(fl_profile_sign(fl_slice(NULL, 0), key, &out, NULL), FL_EINVAL);
    assert_int_equal(fl_profile_sign(fl_slice_str(camera), p384, &out, NULL), FL_EINVAL);
    assert_int_equal(fl_profile_sign(fl_slice(large, sizeof large), key, &out, NULL), FL_ELIMIT);
    assert_ok(fl_profile_sign(fl_slice(large, sizeof large - 1), key, &out, NULL));
    assert_int_equal(fl_profile_sign(fl_slice_str(camera), key, &tiny, NULL), FL_ELIMIT);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(key);
    fl_buffer_free(&tiny);
    fl_buffer_free(&out);
}

static void a_key_file_is_read_whole_or_not_at_all(void **state)
{
    struct fl_buffer pem = FL_BUFFER(64 * 1024);
    struct fl_profile_keys set = {0};
    struct fl_context ctx = {0};
    EVP_PKEY *key = make_key();
    EVP_PKEY *p384 = EVP_EC_gen("P-384");
    (void)state;

    assert_int_equal(fl_profile_keys_load(fl_slice_str("# nothing\n"), &set, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "no public key");
    assert_ok(fl_key_public_pem(key, &pem, NULL));
    assert_ok(fl_key_public_pem(p384, &pem, NULL));
    assert_int_equal(fl_profile_keys_load(fl_buffer_slice(&pem), &set, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "key 2 is not a key on P-256");
    assert_int_equal(set.count, 0);
    fl_buffer_clear(&pem);
    assert_ok(fl_key_public_pem(key, &pem, NULL));
    assert_ok(fl_buffer_append_str(&pem, "-----BEGIN PUBLIC KEY-----\nAAAA\n"));
    assert_int_equal(fl_profile_keys_load(fl_buffer_slice(&pem), &set, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "malformed PEM after 1 public keys");
    fl_buffer_clear(&pem);
    for (int i = 0; i < FL_LIMIT_PROFILE_KEYS; i++)
        assert_ok(fl_key_public_pem(key, &pem, NULL));
    assert_ok(fl_profile_keys_load(fl_buffer_slice(&pem), &set, &ctx));
    assert_int_equal(set.count, FL_LIMIT_PROFILE_KEYS);
    fl_profile_keys_free(&set);
    assert_ok(fl_key_public_pem(key, &pem, NULL));
    assert_int_equal(fl_profile_keys_load(fl_buffer_slice(&pem), &set, &ctx), FL_ELIMIT);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(key);
    fl_buffer_free(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_profile_verifies_with_its_key),
        cmocka_unit_test(a_missing_last_newline_is_added_before_the_signature),
        cmocka_unit_test(every_way_not_to_be_valid_has_its_words),
        cmocka_unit_test(a_profile_is_signed_once),
        cmocka_unit_test(what_cannot_be_signed_is_refused),
        cmocka_unit_test(a_key_file_is_read_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
