/* SPDX-License-Identifier: Apache-2.0
 * Requests are made by OpenSSL's own functions, responses are read by them. */
#include "test/unit/pki.h"

#include "trust/ocsp.h"

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

static struct pki pki;
static struct fl_ocsp_issuer issuer;

static int set_up(void **state)
{
    (void)state;
    pki_make(&pki);
    assert_ok(fl_ocsp_issuer(pki.issuing, &issuer, NULL));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pki_free(&pki);
    return 0;
}

static ASN1_INTEGER *serial_of(const char *hex)
{
    BIGNUM *number = NULL;
    ASN1_INTEGER *serial = NULL;

    assert_true(BN_hex2bn(&number, hex) > 0);
    serial = BN_to_ASN1_INTEGER(number, NULL);
    BN_free(number);
    return serial;
}

static void ask(OCSP_REQUEST *request, const EVP_MD *md, X509 *about, const char *hex)
{
    ASN1_INTEGER *serial = serial_of(hex);
    OCSP_CERTID *id =
        OCSP_cert_id_new(md, X509_get_subject_name(about), X509_get0_pubkey_bitstr(about), serial);

    assert_non_null(OCSP_request_add0_id(request, id));
    ASN1_INTEGER_free(serial);
}

static enum fl_error read(OCSP_REQUEST *request, struct fl_ocsp_question *q, struct fl_context *ctx)
{
    unsigned char *der = NULL;
    int size = i2d_OCSP_REQUEST(request, &der);
    enum fl_error error = FL_OK;

    assert_true(size > 0);
    error = fl_ocsp_read(fl_slice(der, (size_t)size), &issuer, q, ctx);
    OPENSSL_free(der);
    OCSP_REQUEST_free(request);
    return error;
}

static enum fl_error read_one(const EVP_MD *md, X509 *about, const char *hex,
                              struct fl_ocsp_question *q)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();

    ask(request, md, about, hex);
    return read(request, q, NULL);
}

static void a_request_names_serials_of_the_authority(void **state)
{
    struct fl_ocsp_question q;
    (void)state;

    assert_ok(read_one(EVP_sha1(), pki.issuing, "8badcafe", &q));
    assert_int_equal(q.count, 1);
    assert_false(q.sha256);
    assert_int_equal(q.serials_size, 5);
    assert_memory_equal(q.serials, "\x04\x8b\xad\xca\xfe", 5);
    assert_ok(read_one(EVP_sha256(), pki.issuing, "01", &q));
    assert_true(q.sha256);
    assert_int_equal(read_one(EVP_sha1(), pki.root, "01", &q), FL_EDENIED);
    assert_int_equal(read_one(EVP_sha384(), pki.issuing, "01", &q), FL_EDENIED);
    assert_int_equal(read_one(EVP_sha1(), pki.issuing, "00", &q), FL_EPARSE);
    assert_int_equal(read_one(EVP_sha1(), pki.issuing, "-01", &q), FL_EPARSE);
    assert_ok(read_one(EVP_sha1(), pki.issuing, "7fffffffffffffffffffffffffffffffffffffff", &q));
    assert_int_equal(
        read_one(EVP_sha1(), pki.issuing, "7fffffffffffffffffffffffffffffffffffffffff", &q),
        FL_EPARSE);
}

static void a_request_is_about_a_few_at_most(void **state)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    struct fl_ocsp_question q;
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(read(request, &q, NULL), FL_EPARSE);
    for (int count = FL_LIMIT_OCSP_IDS; count <= FL_LIMIT_OCSP_IDS + 1; count++) {
        request = OCSP_REQUEST_new();
        for (int i = 0; i < count; i++)
            ask(request, EVP_sha1(), pki.issuing, "7fffffffffffffffffffffffffffffffffffffff");
        assert_int_equal(read(request, &q, &ctx), count > FL_LIMIT_OCSP_IDS ? FL_EDENIED : FL_OK);
    }
    assert_non_null(strstr(ctx.text, "at most 4"));
    request = OCSP_REQUEST_new();
    ask(request, EVP_sha1(), pki.issuing, "01");
    ask(request, EVP_sha256(), pki.issuing, "02");
    assert_int_equal(read(request, &q, &ctx), FL_EDENIED);
}

static void a_nonce_is_ignored_and_what_is_critical_refused(void **state)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    struct fl_ocsp_question q;
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *critical = NULL;
    (void)state;

    ask(request, EVP_sha1(), pki.issuing, "01");
    assert_int_equal(OCSP_request_add1_nonce(request, NULL, 16), 1);
    assert_ok(read(request, &q, NULL));
    request = OCSP_REQUEST_new();
    ask(request, EVP_sha1(), pki.issuing, "01");
    assert_int_equal(ASN1_OCTET_STRING_set(value, (const unsigned char *)"\5\0", 2), 1);
    critical = X509_EXTENSION_create_by_NID(NULL, NID_id_pkix_OCSP_CrlID, 1, value);
    assert_int_equal(OCSP_REQUEST_add_ext(request, critical, -1), 1);
    assert_int_equal(read(request, &q, NULL), FL_EPARSE);
    X509_EXTENSION_free(critical);
    ASN1_OCTET_STRING_free(value);
}

static void what_is_no_request_is_malformed(void **state)
{
    static const uint8_t zeros[FL_LIMIT_OCSP_REQUEST + 1];
    struct fl_ocsp_question q;
    struct fl_context ctx = {0};
    (void)state;

    assert_int_equal(fl_ocsp_read(fl_slice(NULL, 0), &issuer, &q, &ctx), FL_EPARSE);
    assert_int_equal(fl_ocsp_read(fl_slice_str("hello"), &issuer, &q, &ctx), FL_EPARSE);
    assert_int_equal(fl_ocsp_read(fl_slice(zeros, sizeof zeros), &issuer, &q, &ctx), FL_EPARSE);
    assert_int_equal(fl_ocsp_read(fl_slice("\x30\x03\x30\x01\x00!", 6), &issuer, &q, &ctx),
                     FL_EPARSE);
}

/* --- responses --- */

static X509 *responder(void)
{
    struct fl_cert_request request = pki_request(&pki, FL_CERT_OCSP, "OCSP responder");
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CERT);
    X509 *certificate = NULL;

    assert_ok(fl_cert_issue(&request, &der, NULL));
    assert_ok(fl_cert_x509(fl_buffer_slice(&der), &certificate, NULL));
    fl_buffer_free(&der);
    return certificate;
}

static void assert_status(OCSP_BASICRESP *basic, const char *hex, int status, int reason)
{
    ASN1_INTEGER *serial = serial_of(hex);
    OCSP_CERTID *id = OCSP_cert_id_new(EVP_sha1(), X509_get_subject_name(pki.issuing),
                                       X509_get0_pubkey_bitstr(pki.issuing), serial);
    int found = -1;
    int why = -1;

    assert_int_equal(OCSP_resp_find_status(basic, id, &found, &why, NULL, NULL, NULL), 1);
    assert_int_equal(found, status);
    assert_int_equal(why, reason);
    OCSP_CERTID_free(id);
    ASN1_INTEGER_free(serial);
}

static void a_response_says_of_each_what_it_is(void **state)
{
    const struct fl_ocsp_single singles[] = {
        {.serial = fl_slice("\x01", 1), .verdict = FL_OCSP_GOOD},
        {.serial = fl_slice("\x8b\xad", 2),
         .verdict = FL_OCSP_REVOKED,
         .reason = FL_CRL_HOLD,
         .at = PKI_NOW},
        {.serial = fl_slice("\x03", 1), .verdict = FL_OCSP_REVOKED, .at = PKI_NOW},
        {.serial = fl_slice("\x04", 1), .verdict = FL_OCSP_UNKNOWN}};
    struct fl_ocsp_reply reply = {.issuer = pki.issuing,
                                  .responder = responder(),
                                  .responder_key = pki.key,
                                  .this_update = PKI_NOW,
                                  .next_update = PKI_NOW + 3600000,
                                  .singles = singles,
                                  .count = 4};
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_OCSP_RESPONSE);
    struct fl_buffer small = FL_BUFFER(64);
    const unsigned char *at = NULL;
    OCSP_RESPONSE *response = NULL;
    OCSP_BASICRESP *basic = NULL;
    X509_STORE *store = X509_STORE_new();
    X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
    STACK_OF(X509) *untrusted = sk_X509_new_null();
    (void)state;

    assert_int_equal(fl_ocsp_respond(&reply, &small, NULL), FL_ELIMIT);
    assert_ok(fl_ocsp_respond(&reply, &der, NULL));
    at = fl_buffer_slice(&der).data;
    response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.size);
    assert_non_null(response);
    assert_int_equal(OCSP_response_status(response), OCSP_RESPONSE_STATUS_SUCCESSFUL);
    basic = OCSP_response_get1_basic(response);
    assert_status(basic, "01", V_OCSP_CERTSTATUS_GOOD, -1);
    assert_status(basic, "8bad", V_OCSP_CERTSTATUS_REVOKED, OCSP_REVOKED_STATUS_CERTIFICATEHOLD);
    assert_status(basic, "03", V_OCSP_CERTSTATUS_REVOKED, -1);
    assert_status(basic, "04", V_OCSP_CERTSTATUS_UNKNOWN, -1);
    /* Whoever trusts the root accepts the responder for what the issuing authority gave it. */
    X509_VERIFY_PARAM_set_time(param, (time_t)(PKI_NOW / 1000) + 60);
    assert_int_equal(X509_STORE_add_cert(store, pki.root), 1);
    assert_true(sk_X509_push(untrusted, pki.issuing) > 0);
    assert_int_equal(OCSP_basic_verify(basic, untrusted, store, 0), 1);
    sk_X509_free(untrusted);
    X509_STORE_free(store);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    X509_free(reply.responder);
    fl_buffer_free(&small);
    fl_buffer_free(&der);
}

static void an_error_is_a_response_too(void **state)
{
    uint8_t der[FL_OCSP_ERROR_SIZE];
    const unsigned char *at = der;
    OCSP_RESPONSE *response = NULL;
    (void)state;

    fl_ocsp_error(FL_OCSP_UNAUTHORIZED, der);
    response = d2i_OCSP_RESPONSE(NULL, &at, sizeof der);
    assert_non_null(response);
    assert_int_equal(OCSP_response_status(response), OCSP_RESPONSE_STATUS_UNAUTHORIZED);
    OCSP_RESPONSE_free(response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_names_serials_of_the_authority),
        cmocka_unit_test(a_request_is_about_a_few_at_most),
        cmocka_unit_test(a_nonce_is_ignored_and_what_is_critical_refused),
        cmocka_unit_test(what_is_no_request_is_malformed),
        cmocka_unit_test(a_response_says_of_each_what_it_is),
        cmocka_unit_test(an_error_is_a_response_too),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
