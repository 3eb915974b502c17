/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/pki.h"

#include "trust/crl.h"

#include <openssl/x509v3.h>

static struct pki pki;

static int set_up(void **state)
{
    (void)state;
    pki_make(&pki);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pki_free(&pki);
    return 0;
}

static struct fl_crl_request request_of(const struct fl_buffer *entries)
{
    return (struct fl_crl_request){.issuer = pki.issuing,
                                   .issuer_key = pki.issuing_key,
                                   .number = 7,
                                   .this_update = PKI_NOW,
                                   .next_update = PKI_NOW + PKI_DAY,
                                   .entries = fl_buffer_slice(entries)};
}

static void put(struct fl_buffer *entries, uint8_t first, enum fl_crl_reason reason)
{
    struct fl_crl_entry entry = {
        .serial = {first, 0xF0, 3}, .serial_size = 3, .reason = reason, .at = PKI_NOW - 1000};

    assert_ok(fl_crl_put_entry(entries, &entry));
}

static long reason_of(X509_CRL *crl, uint8_t first)
{
    const uint8_t octets[] = {first, 0xF0, 3};
    BIGNUM *number = BN_bin2bn(octets, sizeof octets, NULL);
    ASN1_INTEGER *serial = BN_to_ASN1_INTEGER(number, NULL);
    X509_REVOKED *revoked = NULL;
    ASN1_ENUMERATED *reason = NULL;
    long value = -1;

    if (X509_CRL_get0_by_serial(crl, &revoked, serial) > 0) {
        reason = X509_REVOKED_get_ext_d2i(revoked, NID_crl_reason, NULL, NULL);
        value = reason ? ASN1_ENUMERATED_get(reason) : 0;
    }
    ASN1_ENUMERATED_free(reason);
    ASN1_INTEGER_free(serial);
    BN_free(number);
    return value;
}

static void a_list_says_what_is_revoked_and_why(void **state)
{
    struct fl_buffer entries = FL_BUFFER(1024);
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CRL);
    struct fl_crl_request request;
    const unsigned char *at = NULL;
    X509_CRL *crl = NULL;
    ASN1_INTEGER *number = NULL;
    AUTHORITY_KEYID *authority = NULL;
    (void)state;

    put(&entries, 0x91, FL_CRL_HOLD); /* a serial whose first bit is set stays positive */
    put(&entries, 0x11, FL_CRL_UNSPECIFIED);
    put(&entries, 0x41, FL_CRL_SUPERSEDED);
    request = request_of(&entries);
    assert_ok(fl_crl_make(&request, &der, NULL));
    at = fl_buffer_slice(&der).data;
    crl = d2i_X509_CRL(NULL, &at, (long)der.size);
    assert_non_null(crl);
    assert_int_equal(X509_CRL_verify(crl, pki.issuing_key), 1);
    assert_int_equal(X509_CRL_get_version(crl), X509_CRL_VERSION_2);
    number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    assert_int_equal(ASN1_INTEGER_get(number), 7);
    authority = X509_CRL_get_ext_d2i(crl, NID_authority_key_identifier, NULL, NULL);
    assert_int_equal(ASN1_OCTET_STRING_cmp(authority->keyid, X509_get0_subject_key_id(pki.issuing)),
                     0);
    assert_int_equal(reason_of(crl, 0x91), 6);
    assert_int_equal(reason_of(crl, 0x11), 0);
    assert_int_equal(reason_of(crl, 0x41), 4);
    assert_int_equal(reason_of(crl, 0x42), -1);
    AUTHORITY_KEYID_free(authority);
    ASN1_INTEGER_free(number);
    X509_CRL_free(crl);
    fl_buffer_free(&der);
    fl_buffer_free(&entries);
}

static void a_list_may_be_empty_but_not_endless_or_over_before_it_begins(void **state)
{
    struct fl_buffer none = FL_BUFFER(16);
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CRL);
    struct fl_buffer small = FL_BUFFER(64);
    struct fl_crl_request request = request_of(&none);
    (void)state;

    assert_ok(fl_crl_make(&request, &der, NULL));
    assert_int_equal(fl_crl_make(&request, &small, NULL), FL_ELIMIT);
    request.next_update = request.this_update;
    assert_int_equal(fl_crl_make(&request, &der, NULL), FL_EINVAL);
    request.next_update = INT64_MAX;
    assert_int_equal(fl_crl_make(&request, &der, NULL), FL_EINVAL);
    fl_buffer_free(&small);
    fl_buffer_free(&der);
}

static void entries_that_are_none_are_refused(void **state)
{
    static const struct {
        uint8_t size;
        uint8_t bytes[12];
    } wrong[] = {
        {1, {0}},                                           /* no serial */
        {1, {21}},                                          /* too long a one */
        {10, {1, 5, 0, 0, 0, 0, 0, 0, 0, 0}},               /* cut off */
        {11, {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},            /* zero */
        {12, {2, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0}},         /* a leading zero */
        {11, {1, 5, 2, 0, 0, 0, 0, 0, 0, 0, 0}},            /* no reason of ours */
        {11, {1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0x80}},         /* before 1970 */
        {11, {1, 5, 0, 255, 255, 255, 255, 255, 255, 1, 0}} /* after 9999 */
    };
    struct fl_crl_entry entry;
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct fl_buffer entries = FL_BUFFER(64);
        struct fl_buffer der = FL_BUFFER(FL_LIMIT_CRL);
        struct fl_slice in = fl_slice(wrong[i].bytes, wrong[i].size);
        struct fl_crl_request request;

        assert_int_equal(fl_crl_next_entry(&in, &entry), FL_EPARSE);
        assert_ok(fl_buffer_append(&entries, wrong[i].bytes, wrong[i].size));
        request = request_of(&entries);
        assert_int_equal(fl_crl_make(&request, &der, NULL), FL_EPARSE);
        fl_buffer_free(&der);
        fl_buffer_free(&entries);
    }
}

static void entries_come_out_as_they_went_in(void **state)
{
    struct fl_buffer entries = FL_BUFFER(1024);
    struct fl_crl_entry entry = {
        .serial_size = FL_SERIAL_MAX, .reason = FL_CRL_CESSATION, .at = PKI_NOW};
    struct fl_crl_entry again;
    struct fl_slice rest = {0};
    (void)state;

    memset(entry.serial, 0xAB, sizeof entry.serial);
    assert_ok(fl_crl_put_entry(&entries, &entry));
    assert_int_equal(entries.size, FL_LIMIT_CRL_ENTRY);
    rest = fl_buffer_slice(&entries);
    assert_ok(fl_crl_next_entry(&rest, &again));
    assert_memory_equal(again.serial, entry.serial, FL_SERIAL_MAX);
    assert_int_equal(again.reason, FL_CRL_CESSATION);
    assert_int_equal(again.at, PKI_NOW);
    assert_int_equal(fl_crl_next_entry(&rest, &again), FL_ENOTFOUND);
    fl_buffer_free(&entries);
}

/* The greatest list fits into what carries it. */
static void the_limit_of_entries_fits_the_limit_of_octets(void **state)
{
    struct fl_buffer entries = FL_BUFFER((size_t)FL_LIMIT_CRL_ENTRIES * FL_LIMIT_CRL_ENTRY);
    struct fl_buffer der = FL_BUFFER(FL_LIMIT_CRL);
    struct fl_crl_request request;
    (void)state;

    for (uint32_t i = 0; i < FL_LIMIT_CRL_ENTRIES; i++) {
        /* As our serials are: 16 octets, positive. */
        struct fl_crl_entry entry = {
            .serial = {0x40, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i},
            .serial_size = 16,
            .reason = FL_CRL_HOLD,
            .at = PKI_NOW};

        assert_ok(fl_crl_put_entry(&entries, &entry));
    }
    request = request_of(&entries);
    assert_ok(fl_crl_make(&request, &der, NULL));
    fl_buffer_free(&der);
    fl_buffer_free(&entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_says_what_is_revoked_and_why),
        cmocka_unit_test(a_list_may_be_empty_but_not_endless_or_over_before_it_begins),
        cmocka_unit_test(entries_that_are_none_are_refused),
        cmocka_unit_test(entries_come_out_as_they_went_in),
        cmocka_unit_test(the_limit_of_entries_fits_the_limit_of_octets),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
