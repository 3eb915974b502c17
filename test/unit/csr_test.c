/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/pki.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* A request made by hand; `extensions` in OpenSSL's configuration syntax, by pairs. */
struct handmade {
    EVP_PKEY *key;
    const char *digest;
    const char *name;
    size_t name_size; /* 0: all of it */
    const char *second_name;
    int nid[2];
    const char *value[2];
    bool twice; /* the attribute with extensions, two times */
};

static void add_name(X509_REQ *request, const char *text, size_t size)
{
    if (text)
        assert_int_equal(X509_NAME_add_entry_by_NID(
                             X509_REQ_get_subject_name(request), NID_commonName, V_ASN1_UTF8STRING,
                             (const unsigned char *)text, size ? (int)size : -1, -1, 0),
                         1);
}

static void add_extensions(X509_REQ *request, const struct handmade *made)
{
    STACK_OF(X509_EXTENSION) *wanted = sk_X509_EXTENSION_new_null();

    for (size_t i = 0; i < 2 && made->value[i]; i++)
        assert_true(sk_X509_EXTENSION_push(
                        wanted, X509V3_EXT_conf_nid(NULL, NULL, made->nid[i], made->value[i])) > 0);
    if (sk_X509_EXTENSION_num(wanted) > 0)
        assert_int_equal(X509_REQ_add_extensions(request, wanted), 1);
    if (made->twice)
        assert_int_equal(X509_REQ_add_extensions_nid(request, wanted, NID_ms_ext_req), 1);
    sk_X509_EXTENSION_pop_free(wanted, X509_EXTENSION_free);
}

static struct fl_buffer make(const struct handmade *made)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CSR + 1024);
    X509_REQ *request = X509_REQ_new();
    unsigned char *bytes = NULL;
    int size = 0;

    assert_int_equal(X509_REQ_set_version(request, X509_REQ_VERSION_1), 1);
    add_name(request, made->name, made->name_size);
    add_name(request, made->second_name, 0);
    assert_int_equal(X509_REQ_set_pubkey(request, made->key), 1);
    add_extensions(request, made);
    assert_true(X509_REQ_sign(request, made->key,
                              made->digest ? EVP_get_digestbyname(made->digest) : NULL) > 0);
    size = i2d_X509_REQ(request, &bytes);
    assert_true(size > 0);
    assert_ok(fl_buffer_append(&der, bytes, (size_t)size));
    OPENSSL_free(bytes);
    X509_REQ_free(request);
    return der;
}

static enum fl_error check(struct fl_slice der, struct fl_context *ctx)
{
    struct fl_csr_info info = {0};
    enum fl_error error = fl_csr_check(der, &info, ctx);

    if (error == FL_OK)
        assert_non_null(info.key);
    else
        assert_null(info.key);
    fl_csr_info_free(&info);
    return error;
}

/* Makes, checks, frees the key. */
static enum fl_error check_made(struct handmade made, struct fl_context *ctx)
{
    struct fl_buffer der = make(&made);
    enum fl_error error = check(fl_buffer_slice(&der), ctx);

    fl_buffer_free(&der);
    EVP_PKEY_free(made.key);
    return error;
}

static void our_own_request_passes(void **state)
{
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_csr_info info = {0};
    EVP_PKEY *key = NULL;
    char id[FL_KEY_ID_TEXT];
    char spki[17];
    (void)state;

    assert_ok(fl_key_generate(&key, NULL));
    assert_ok(fl_csr_create(key, "cam-01", &der, NULL));
    assert_ok(fl_csr_check(fl_buffer_slice(&der), &info, NULL));
    assert_string_equal(info.name, "cam-01");
    assert_int_equal(EVP_PKEY_eq(key, info.key), 1);
    assert_ok(fl_key_id(key, id));
    fl_hex(spki, sizeof spki, fl_slice(info.spki_sha256, 8));
    assert_string_equal(spki, id);
    fl_csr_info_free(&info);
    EVP_PKEY_free(key);
    fl_buffer_free(&der);
}

static void every_strong_kind_of_key_can_ask(void **state)
{
    struct fl_context ctx = {0};
    EVP_PKEY *keys[] = {EVP_EC_gen("P-256"), EVP_EC_gen("P-384"),
                        EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_RSA_gen(2048)};
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        struct fl_buffer der = FL_BUFFER(FL_LIMIT_CSR);

        assert_ok(fl_csr_create(keys[i], NULL, &der, &ctx));
        assert_ok(check(fl_buffer_slice(&der), &ctx));
        fl_buffer_free(&der);
        EVP_PKEY_free(keys[i]);
    }
    assert_ok(check_made((struct handmade){.key = EVP_EC_gen("P-256"), .digest = "SHA512"}, &ctx));
}

static void weak_keys_are_refused(void **state)
{
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(
        check_made((struct handmade){.key = EVP_RSA_gen(1024), .digest = "SHA256"}, &ctx),
        FL_EDENIED);
    assert_contains(ctx.text, "1024 bits");
    assert_int_equal(
        check_made((struct handmade){.key = EVP_EC_gen("P-224"), .digest = "SHA256"}, &ctx),
        FL_EDENIED);
    assert_contains(ctx.text, "P-256");
    assert_int_equal(
        check_made((struct handmade){.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED448")}, &ctx),
        FL_EDENIED);
}

static EVP_PKEY *with_explicit_curve(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *making = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);

    assert_int_equal(EVP_PKEY_keygen_init(making), 1);
    assert_int_equal(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(making, NID_X9_62_prime256v1), 1);
    assert_int_equal(EVP_PKEY_CTX_set_ec_param_enc(making, OPENSSL_EC_EXPLICIT_CURVE), 1);
    assert_int_equal(EVP_PKEY_generate(making, &key), 1);
    EVP_PKEY_CTX_free(making);
    return key;
}

static void a_curve_given_by_parameters_is_refused(void **state)
{
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(
        check_made((struct handmade){.key = with_explicit_curve(), .digest = "SHA256"}, &ctx),
        FL_EDENIED);
    assert_contains(ctx.text, "by parameters");
}

static void old_digests_are_refused(void **state)
{
    static const char *digests[] = {"SHA1", "MD5", "SHA224"};
    struct fl_context ctx = {0};
    (void)state;

    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++) {
        assert_int_equal(
            check_made((struct handmade){.key = EVP_RSA_gen(2048), .digest = digests[i]}, &ctx),
            FL_EDENIED);
        assert_contains(ctx.text, "use SHA-256");
    }
}

static void a_request_without_proof_is_refused(void **state)
{
    struct handmade made = {.key = EVP_EC_gen("P-256"), .digest = "SHA256", .name = "cam-01"};
    struct fl_buffer der = make(&made);
    struct fl_context ctx = {0};
    uint8_t *bytes = der.data + der.start;
    uint8_t *name = memmem(bytes, der.size, "cam-01", 6);
    (void)state;

    /* The signature is the last thing in it. */
    bytes[der.size - 1] ^= 1;
    assert_int_equal(check(fl_buffer_slice(&der), &ctx), FL_EAUTH);
    assert_contains(ctx.text, "proof of possession");
    bytes[der.size - 1] ^= 1;
    assert_ok(check(fl_buffer_slice(&der), &ctx));
    /* Someone else's request with another name in it. */
    name[5] = '2';
    assert_int_equal(check(fl_buffer_slice(&der), &ctx), FL_EAUTH);
    EVP_PKEY_free(made.key);
    fl_buffer_free(&der);
}

static void a_request_for_an_authority_is_refused(void **state)
{
    struct handmade made = {.key = EVP_EC_gen("P-256"),
                            .digest = "SHA256",
                            .nid = {NID_basic_constraints, NID_key_usage},
                            .value = {"critical,CA:TRUE"}};
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(check_made(made, &ctx), FL_EDENIED);
    assert_contains(ctx.text, "CA certificate");
    made.key = EVP_EC_gen("P-256");
    made.nid[0] = NID_key_usage;
    made.value[0] = "digitalSignature,keyCertSign";
    assert_int_equal(check_made(made, &ctx), FL_EDENIED);
    made.key = EVP_EC_gen("P-256");
    made.nid[0] = NID_basic_constraints;
    made.value[0] = "CA:FALSE";
    made.value[1] = "digitalSignature";
    assert_ok(check_made(made, &ctx));
}

static void doubled_extensions_are_refused(void **state)
{
    struct handmade made = {.key = EVP_EC_gen("P-256"),
                            .digest = "SHA256",
                            .nid = {NID_key_usage, NID_key_usage},
                            .value = {"digitalSignature", "keyCertSign"}};
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(check_made(made, &ctx), FL_EPARSE);
    made.key = EVP_EC_gen("P-256");
    made.value[1] = NULL;
    made.twice = true;
    assert_int_equal(check_made(made, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "more than once");
}

static void malformed_extensions_are_refused(void **state)
{
    struct handmade made = {.key = EVP_EC_gen("P-256"),
                            .digest = "SHA256",
                            .nid = {NID_basic_constraints},
                            .value = {"DER:0500"}};
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(check_made(made, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "malformed");
}

static void strange_names_are_refused(void **state)
{
    struct handmade made = {.key = EVP_EC_gen("P-256"), .digest = "SHA256"};
    struct fl_context ctx = {0};
    (void)state;

    made.name = "cam-01";
    made.second_name = "cam-02";
    assert_int_equal(check_made(made, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "more than one");
    made.second_name = NULL;
    made.key = EVP_EC_gen("P-256");
    made.name = "cam-01\0x";
    made.name_size = 8;
    assert_int_equal(check_made(made, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "not text");
    made.key = EVP_EC_gen("P-256");
    made.name = NULL;
    made.name_size = 0;
    assert_ok(check_made(made, &ctx));
}

static void what_is_no_request_is_refused(void **state)
{
    static uint8_t huge[FL_LIMIT_CSR + 1];
    struct handmade made = {.key = EVP_EC_gen("P-256"), .digest = "SHA256", .name = "cam-01"};
    struct fl_buffer der = make(&made);
    struct fl_context ctx = {0};
    (void)state;

    for (size_t size = 0; size < der.size; size++)
        assert_int_equal(check(fl_slice(der.data, size), &ctx), FL_EPARSE);
    assert_ok(fl_buffer_append_byte(&der, 0));
    assert_int_equal(check(fl_buffer_slice(&der), &ctx), FL_EPARSE);
    assert_contains(ctx.text, "octets follow");
    assert_int_equal(check(fl_slice(huge, sizeof huge), &ctx), FL_EPARSE);
    assert_contains(ctx.text, "at most");
    assert_int_equal(check(fl_slice(huge, sizeof huge - 1), &ctx), FL_EPARSE);
    assert_contains(ctx.text, "not a PKCS #10 request");
    EVP_PKEY_free(made.key);
    fl_buffer_free(&der);
}

static void a_certificate_is_no_request(void **state)
{
    struct pki pki;
    (void)state;

    pki_make(&pki);
    assert_int_equal(check(fl_buffer_slice(&pki.root_der), NULL), FL_EPARSE);
    pki_free(&pki);
}

static void requests_of_the_openssl_command_pass(void **state)
{
    static const char *const options[] = {"ec -pkeyopt ec_paramgen_curve:P-256", "ed25519",
                                          "rsa:2048"};
    char command[512];
    uint8_t bytes[4096];
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        FILE *pipe = NULL;
        size_t size = 0;

        (void)snprintf(command, sizeof command,
                       "openssl req -new -newkey %s -nodes -keyout /dev/null -subj /CN=cam-01 "
                       "-addext subjectAltName=DNS:x -outform DER 2>/dev/null",
                       options[i]);
        pipe = popen(command, "r");
        assert_non_null(pipe);
        size = fread(bytes, 1, sizeof bytes, pipe);
        assert_int_equal(pclose(pipe), 0);
        assert_ok(check(fl_slice(bytes, size), NULL));
    }
}

/* Whoever may not certify one key for two devices must not be told it in two forms. */
static void a_key_has_one_name_in_whatever_form(void **state)
{
    struct fl_buffer usual = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_buffer compressed = FL_BUFFER(FL_LIMIT_CSR);
    struct fl_csr_info a = {0};
    struct fl_csr_info b = {0};
    EVP_PKEY *key = NULL;
    (void)state;

    assert_ok(fl_key_generate(&key, NULL));
    assert_ok(fl_csr_create(key, "cam-01", &usual, NULL));
    assert_int_equal(
        EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                       OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_COMPRESSED),
        1);
    assert_ok(fl_csr_create(key, "cam-01", &compressed, NULL));
    assert_true(usual.size > compressed.size + 25);
    assert_ok(fl_csr_check(fl_buffer_slice(&usual), &a, NULL));
    assert_ok(fl_csr_check(fl_buffer_slice(&compressed), &b, NULL));
    assert_non_null(a.spki);
    assert_null(b.spki);
    assert_memory_equal(a.spki_sha256, b.spki_sha256, sizeof a.spki_sha256);
    fl_csr_info_free(&a);
    fl_csr_info_free(&b);
    EVP_PKEY_free(key);
    fl_buffer_free(&usual);
    fl_buffer_free(&compressed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_request_passes),
        cmocka_unit_test(a_key_has_one_name_in_whatever_form),
        cmocka_unit_test(every_strong_kind_of_key_can_ask),
        cmocka_unit_test(weak_keys_are_refused),
        cmocka_unit_test(a_curve_given_by_parameters_is_refused),
        cmocka_unit_test(old_digests_are_refused),
        cmocka_unit_test(a_request_without_proof_is_refused),
        cmocka_unit_test(a_request_for_an_authority_is_refused),
        cmocka_unit_test(doubled_extensions_are_refused),
        cmocka_unit_test(malformed_extensions_are_refused),
        cmocka_unit_test(strange_names_are_refused),
        cmocka_unit_test(what_is_no_request_is_refused),
        cmocka_unit_test(a_certificate_is_no_request),
        cmocka_unit_test(requests_of_the_openssl_command_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
