/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/softhsm_rig.h"

#include "base/limits.h"
#include "io/pkcs11.h"
#include "trust/cert.h"
#include "trust/key.h"

static struct fl_pkcs11 *open_token(const char *uri)
{
    struct fl_context ctx = {0};
    struct fl_pkcs11 *token = NULL;

    if (fl_pkcs11_open(uri, &token, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    return token;
}

static EVP_PKEY *create_key(struct fl_pkcs11 *token, struct fl_buffer *uri)
{
    struct fl_context ctx = {0};
    EVP_PKEY *key = NULL;

    if (fl_pkcs11_key_create(token, uri, &key, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    return key;
}

/* Signs with `key`, checks with its public half alone. */
static bool signs(EVP_PKEY *key)
{
    struct fl_slice message = fl_slice_str("a message");
    struct fl_buffer pem = FL_BUFFER(4096);
    EVP_PKEY *bare = NULL;
    uint8_t signature[64];
    bool good = false;

    assert_ok(fl_key_public_pem(key, &pem, NULL));
    assert_ok(fl_key_public_from_pem(fl_buffer_slice(&pem), &bare, NULL));
    good = fl_es256_sign(key, message, signature, NULL) == FL_OK;
    if (good)
        assert_ok(fl_es256_verify(bare, message, signature));
    EVP_PKEY_free(bare);
    fl_buffer_free(&pem);
    return good;
}

/* A key made for the one test that calls it: everything it leaves is destroyed. */
struct fixture {
    struct fl_pkcs11 *token;
    struct fl_buffer uri;
    EVP_PKEY *key;
};

static struct fixture make(void)
{
    struct fixture f = {.token = open_token(softhsm.uri),
                        .uri = FL_BUFFER(FL_LIMIT_PKCS11_URI + 1)};

    f.key = create_key(f.token, &f.uri);
    return f;
}

static void destroy(const char *uri)
{
    struct fl_context ctx = {0};
    struct fl_pkcs11 *token = open_token(uri);

    if (fl_pkcs11_key_destroy(token, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    fl_pkcs11_close(token);
}

static void unmake(struct fixture *f)
{
    EVP_PKEY_free(f->key);
    fl_pkcs11_close(f->token);
    destroy(fl_buffer_str(&f->uri));
    fl_buffer_free(&f->uri);
}

static void a_key_made_in_the_token_signs(void **state)
{
    struct fixture f = make();
    (void)state;

    assert_true(signs(f.key));
    assert_string_equal(fl_pkcs11_last_failure(f.token), "");
    assert_contains(fl_buffer_str(&f.uri), "object=cam-01");
    assert_contains(fl_buffer_str(&f.uri), "id=%");
    assert_contains(fl_buffer_str(&f.uri), "pin-source=file%3A");
    assert_contains(fl_buffer_str(&f.uri), "module-path=");
    unmake(&f);
}

static void a_key_is_found_again_by_its_uri_and_only_that_one(void **state)
{
    struct fixture one = make();
    struct fixture two = make();
    struct fl_buffer uri = FL_BUFFER(FL_LIMIT_PKCS11_URI + 1);
    struct fl_context ctx = {0};
    struct fl_pkcs11 *token = open_token(fl_buffer_str(&one.uri));
    EVP_PKEY *found = NULL;
    (void)state;

    assert_string_not_equal(fl_buffer_str(&one.uri), fl_buffer_str(&two.uri));
    assert_ok(fl_pkcs11_key_load(token, &uri, &found, &ctx));
    assert_int_equal(EVP_PKEY_eq(found, one.key), 1);
    assert_int_not_equal(EVP_PKEY_eq(found, two.key), 1);
    assert_string_equal(fl_buffer_str(&uri), fl_buffer_str(&one.uri));
    assert_true(signs(found));
    EVP_PKEY_free(found);
    found = NULL;
    fl_pkcs11_close(token);
    /* By the label alone there are two. */
    assert_int_equal(fl_pkcs11_key_load(one.token, NULL, &found, &ctx), FL_EEXISTS);
    assert_contains(ctx.text, "more than one");
    assert_null(found);
    unmake(&two);
    assert_ok(fl_pkcs11_key_load(one.token, NULL, &found, &ctx));
    EVP_PKEY_free(found);
    fl_buffer_free(&uri);
    unmake(&one);
}

static void what_is_not_there_is_said_with_words(void **state)
{
    struct fl_context ctx = {0};
    struct fl_pkcs11 *token = open_token(softhsm.uri);
    struct fl_pkcs11 *other = NULL;
    EVP_PKEY *key = NULL;
    char text[512];
    (void)state;

    assert_int_equal(fl_pkcs11_key_load(token, NULL, &key, &ctx), FL_ENOTFOUND);
    assert_contains(ctx.text, "no private key 'cam-01'");
    assert_int_equal(fl_pkcs11_key_destroy(token, &ctx), FL_ENOTFOUND);
    fl_pkcs11_close(token);
    (void)snprintf(text, sizeof text, "pkcs11:token=elsewhere?module-path=%s", SOFTHSM_MODULE);
    assert_int_equal(fl_pkcs11_open(text, &other, &ctx), FL_ENOTFOUND);
    assert_contains(ctx.text, "'elsewhere'");
    assert_contains(ctx.text, "there are 'fairlead'");
    assert_int_equal(fl_pkcs11_open("pkcs11:token=x?module-path=/nowhere.so", &other, &ctx),
                     FL_ENOTFOUND);
    assert_contains(ctx.text, "/nowhere.so");
    assert_null(other);
}

static void a_token_is_found_through_the_registered_modules_too(void **state)
{
    char text[512];
    struct fl_pkcs11 *token = NULL;
    struct fl_context ctx = {0};
    EVP_PKEY *key = NULL;
    struct fl_buffer uri = FL_BUFFER(FL_LIMIT_PKCS11_URI + 1);
    (void)state;

    (void)snprintf(text, sizeof text, "pkcs11:token=fairlead;object=reg?pin-source=%s",
                   softhsm.pin_file);
    if (fl_pkcs11_open(text, &token, &ctx) != FL_OK)
        fail_msg("%s", ctx.text);
    key = create_key(token, &uri);
    assert_true(signs(key));
    EVP_PKEY_free(key);
    fl_pkcs11_close(token);
    destroy(fl_buffer_str(&uri));
    fl_buffer_free(&uri);
}

static void bad_uris_are_refused(void **state)
{
    static const char *const bad[] = {"pkcs11", "pkcs11:token=%zz", "pkcs11:token",
                                      "pkcs11:colour=red",

                                      "file:/x"};
    struct fl_pkcs11 *token = NULL;
    struct fl_context ctx = {0};
    char long_one[FL_LIMIT_PKCS11_URI + 2] = "pkcs11:token=";
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (fl_pkcs11_open(bad[i], &token, &ctx) != FL_EPARSE)
            fail_msg("%s", bad[i]);
        assert_contains(ctx.text, "pkcs11:token=NAME");
    }
    memset(long_one + 13, 'x', sizeof long_one - 14);
    assert_int_equal(fl_pkcs11_open(long_one, &token, &ctx), FL_ELIMIT);
    assert_null(token);
    assert_null(fl_pkcs11_uri("file"));
    assert_string_equal(fl_pkcs11_uri("pkcs11:token=x"), "pkcs11:token=x");
    assert_true(fl_pkcs11_uri_has_pin("pkcs11:token=x?pin-value=1234"));
    assert_false(fl_pkcs11_uri_has_pin("pkcs11:token=x?pin-source=file:/pin"));
}

static void a_key_needs_a_label_and_is_not_made_twice(void **state)
{
    struct fixture f = make();
    struct fl_pkcs11 *same = open_token(fl_buffer_str(&f.uri));
    struct fl_pkcs11 *nameless = NULL;
    struct fl_buffer uri = FL_BUFFER(FL_LIMIT_PKCS11_URI + 1);
    EVP_PKEY *key = NULL;
    struct fl_context ctx = {0};
    char text[512];
    (void)state;

    assert_int_equal(fl_pkcs11_key_create(same, &uri, &key, &ctx), FL_EEXISTS);
    fl_pkcs11_close(same);
    (void)snprintf(text, sizeof text, "pkcs11:token=fairlead?module-path=%s&pin-source=%s",
                   SOFTHSM_MODULE, softhsm.pin_file);
    nameless = open_token(text);
    assert_int_equal(fl_pkcs11_key_create(nameless, &uri, &key, &ctx), FL_EINVAL);
    assert_contains(ctx.text, "object=NAME");
    fl_pkcs11_close(nameless);
    assert_null(key);
    fl_buffer_free(&uri);
    unmake(&f);
}

static void two_tokens_of_one_label_are_too_many(void **state)
{
    struct fl_pkcs11 *token = NULL;
    struct fl_context ctx = {0};
    char text[256];
    (void)state;

    softhsm_add_token("twin");
    softhsm_add_token("twin");
    (void)snprintf(text, sizeof text, "pkcs11:token=twin?module-path=%s", SOFTHSM_MODULE);
    assert_int_equal(fl_pkcs11_open(text, &token, &ctx), FL_EEXISTS);
    assert_contains(ctx.text, "2 tokens");
}

static void the_pin_is_read_from_a_file_that_only_its_owner_reads(void **state)
{
    struct fl_pkcs11 *token = NULL;
    struct fl_context ctx = {0};
    char text[600];
    (void)state;

    softhsm_write(softhsm.pin_file, "pin-of-the-user\n", 0644);
    assert_int_equal(fl_pkcs11_open(softhsm.uri, &token, &ctx), FL_EDENIED);
    assert_contains(ctx.text, "chmod 600");
    softhsm_write(softhsm.pin_file, "\n", 0600);
    assert_int_equal(fl_pkcs11_open(softhsm.uri, &token, &ctx), FL_EPARSE);
    assert_int_equal(unlink(softhsm.pin_file), 0);
    assert_int_equal(fl_pkcs11_open(softhsm.uri, &token, &ctx), FL_ENOTFOUND);
    assert_contains(ctx.text, softhsm.pin_file);
    softhsm_write(softhsm.pin_file, "pin-of-the-user", 0600);
    (void)snprintf(text, sizeof text, "%s&pin-source=|cat%%20/etc/pin", softhsm.no_pin);
    assert_int_equal(fl_pkcs11_open(text, &token, &ctx), FL_EUNSUPPORTED);
    assert_null(token);
    (void)snprintf(text, sizeof text, "%s&pin-value=pin-of-the-user", softhsm.no_pin);
    token = open_token(text);
    fl_pkcs11_close(token);
}

static void without_a_pin_no_key_is_made(void **state)
{
    struct fl_pkcs11 *token = open_token(softhsm.no_pin);
    struct fl_buffer uri = FL_BUFFER(FL_LIMIT_PKCS11_URI + 1);
    EVP_PKEY *key = NULL;
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(fl_pkcs11_key_create(token, &uri, &key, &ctx), FL_EAUTH);
    assert_contains(ctx.text, "pin-source=file:");
    fl_pkcs11_close(token);
    fl_buffer_free(&uri);
}

/* Only once: tokens lock themselves after a few. */
static void a_wrong_pin_is_tried_once(void **state)
{
    struct fixture f = make();
    (void)state;

    assert_true(signs(f.key));
    fl_pkcs11_release(f.token);
    softhsm_write(softhsm.pin_file, "guess", 0600);
    assert_false(signs(f.key));
    assert_contains(fl_pkcs11_last_failure(f.token), "PIN is wrong");
    /* The right one would do, but it is not looked at before somebody opens the token again. */
    softhsm_write(softhsm.pin_file, "pin-of-the-user\n", 0600);
    assert_false(signs(f.key));
    unmake(&f);
}

static void a_token_taken_out_is_said_and_used_again_when_it_is_back(void **state)
{
    struct fixture f = make();
    struct fl_context ctx = {0};
    struct fl_pkcs11 *other = NULL;
    (void)state;

    assert_true(signs(f.key));
    softhsm_unplug(true);
    fl_pkcs11_release(f.token);
    assert_false(signs(f.key));
    assert_contains(fl_pkcs11_last_failure(f.token), "token 'fairlead': not there");
    assert_int_equal(fl_pkcs11_open(softhsm.uri, &other, &ctx), FL_ENOTFOUND);
    softhsm_unplug(false);
    assert_true(signs(f.key));
    assert_string_equal(fl_pkcs11_last_failure(f.token), "");
    unmake(&f);
}

static void a_session_that_ends_in_use_is_opened_again(void **state)
{
    struct fixture f = make();
    struct fixture g = make();
    (void)state;

    /* Two handles on one token: neither disturbs the other. */
    assert_true(signs(f.key));
    fl_pkcs11_release(g.token);
    assert_true(signs(f.key));
    assert_true(signs(g.key));
    fl_pkcs11_release(f.token);
    fl_pkcs11_release(g.token);
    assert_true(signs(g.key));
    assert_true(signs(f.key));
    unmake(&g);
    unmake(&f);
}

static void a_destroyed_key_no_longer_signs(void **state)
{
    struct fixture f = make();
    (void)state;

    destroy(fl_buffer_str(&f.uri));
    assert_false(signs(f.key));
    assert_contains(fl_pkcs11_last_failure(f.token), "no private key");
    EVP_PKEY_free(f.key);
    fl_pkcs11_close(f.token);
    fl_buffer_free(&f.uri);
}

static void a_key_outlives_the_handle_it_was_loaded_through(void **state)
{
    struct fixture f = make();
    (void)state;

    fl_pkcs11_close(f.token);
    f.token = NULL;
    assert_true(signs(f.key));
    unmake(&f);
}

static void a_token_key_makes_a_request_that_proves_it(void **state)
{
    struct fixture f = make();
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_csr_info info = {0};
    struct fl_context ctx = {0};
    (void)state;

    assert_ok(fl_csr_create(f.key, "cam-01", &der, &ctx));
    assert_ok(fl_csr_check(fl_buffer_slice(&der), &info, &ctx));
    assert_int_equal(EVP_PKEY_eq(info.key, f.key), 1);
    fl_csr_info_free(&info);
    fl_buffer_free(&der);
    unmake(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_made_in_the_token_signs),
        cmocka_unit_test(a_key_is_found_again_by_its_uri_and_only_that_one),
        cmocka_unit_test(what_is_not_there_is_said_with_words),
        cmocka_unit_test(a_token_is_found_through_the_registered_modules_too),
        cmocka_unit_test(bad_uris_are_refused),
        cmocka_unit_test(a_key_needs_a_label_and_is_not_made_twice),
        cmocka_unit_test(two_tokens_of_one_label_are_too_many),
        cmocka_unit_test(the_pin_is_read_from_a_file_that_only_its_owner_reads),
        cmocka_unit_test(without_a_pin_no_key_is_made),
        cmocka_unit_test(a_wrong_pin_is_tried_once),
        cmocka_unit_test(a_token_taken_out_is_said_and_used_again_when_it_is_back),
        cmocka_unit_test(a_session_that_ends_in_use_is_opened_again),
        cmocka_unit_test(a_destroyed_key_no_longer_signs),
        cmocka_unit_test(a_key_outlives_the_handle_it_was_loaded_through),
        cmocka_unit_test(a_token_key_makes_a_request_that_proves_it),
    };

    if (!softhsm_is_installed()) {
        (void)printf("skipped: SoftHSM 2 is not installed (tools/setup installs it)\n");
        return 0;
    }
    return cmocka_run_group_tests_name("pkcs11", tests, softhsm_set_up, softhsm_tear_down);
}
