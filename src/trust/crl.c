/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/crl.h"

#include "base/assert.h"
#include "base/endian.h"
#include "trust/der.h"
#include "trust/key.h"

#include <openssl/x509v3.h>
#include <string.h>

#define TIME_MAX INT64_C(253402300799999) /* the end of the year 9999, in ms */

enum { ENTRY_MAX = 1 + FL_SERIAL_MAX + 1 + 8 };

static bool is_reason(uint8_t reason)
{
    return reason == FL_CRL_UNSPECIFIED || reason == FL_CRL_SUPERSEDED ||
           reason == FL_CRL_CESSATION || reason == FL_CRL_HOLD;
}

/* --- entries on their way --- */

enum fl_error fl_crl_put_entry(struct fl_buffer *out, const struct fl_crl_entry *entry)
{
    uint8_t bytes[ENTRY_MAX];
    size_t size = 1 + (size_t)entry->serial_size;

    fl_assert(entry->serial_size >= 1 && entry->serial_size <= FL_SERIAL_MAX);
    bytes[0] = entry->serial_size;
    memcpy(bytes + 1, entry->serial, entry->serial_size);
    bytes[size] = (uint8_t)entry->reason;
    fl_put_le64(bytes + size + 1, (uint64_t)entry->at);
    return fl_buffer_append(out, bytes, size + 9);
}

enum fl_error fl_crl_next_entry(struct fl_slice *entries, struct fl_crl_entry *entry)
{
    const uint8_t *at = entries->data;
    size_t size = 0;
    uint64_t when = 0;

    *entry = (struct fl_crl_entry){0};
    if (entries->size == 0)
        return FL_ENOTFOUND;
    size = at[0];
    if (size < 1 || size > FL_SERIAL_MAX || entries->size < size + 10)
        return FL_EPARSE;
    when = fl_get_le64(at + size + 2);
    if (at[1] == 0 || !is_reason(at[size + 1]) || when > TIME_MAX)
        return FL_EPARSE;
    memcpy(entry->serial, at + 1, size);
    entry->serial_size = (uint8_t)size;
    entry->reason = (enum fl_crl_reason)at[size + 1];
    entry->at = (fl_time_t)when;
    *entries = fl_slice_from(*entries, size + 10);
    return FL_OK;
}

/* --- the list --- */

static enum fl_error set_number(X509_CRL *crl, uint64_t number, struct fl_context *ctx)
{
    ASN1_INTEGER *value = ASN1_INTEGER_new();
    bool good = value && ASN1_INTEGER_set_uint64(value, number) == 1 &&
                X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, X509V3_ADD_DEFAULT) == 1;

    ASN1_INTEGER_free(value);
    return good ? FL_OK : fl_crypto_fail(ctx, "number a revocation list");
}

static enum fl_error set_authority(X509_CRL *crl, X509 *issuer, struct fl_context *ctx)
{
    const ASN1_OCTET_STRING *theirs = X509_get0_subject_key_id(issuer);
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    bool good = false;

    if (authority && theirs)
        authority->keyid = ASN1_OCTET_STRING_dup(theirs);
    good = authority && authority->keyid &&
           X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, authority, 0,
                                 X509V3_ADD_DEFAULT) == 1;
    AUTHORITY_KEYID_free(authority);
    return good ? FL_OK : fl_crypto_fail(ctx, "name the key of a revocation list");
}

static bool set_times(X509_CRL *crl, const struct fl_crl_request *request)
{
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)(request->this_update / 1000));
    ASN1_TIME *until = ASN1_TIME_set(NULL, (time_t)(request->next_update / 1000));
    bool good = from && until && X509_CRL_set1_lastUpdate(crl, from) == 1 &&
                X509_CRL_set1_nextUpdate(crl, until) == 1;

    ASN1_TIME_free(until);
    ASN1_TIME_free(from);
    return good;
}

/* RFC 5280 5.3.1: unspecified is said by leaving the reason out. */
static bool set_reason(X509_REVOKED *revoked, enum fl_crl_reason reason)
{
    ASN1_ENUMERATED *value = NULL;
    bool good = false;

    if (reason == FL_CRL_UNSPECIFIED)
        return true;
    value = ASN1_ENUMERATED_new();
    good = value && ASN1_ENUMERATED_set(value, reason) == 1 &&
           X509_REVOKED_add1_ext_i2d(revoked, NID_crl_reason, value, 0, X509V3_ADD_DEFAULT) == 1;
    ASN1_ENUMERATED_free(value);
    return good;
}

static enum fl_error add_entry(X509_CRL *crl, const struct fl_crl_entry *entry,
                               struct fl_context *ctx)
{
    BIGNUM *number = BN_bin2bn(entry->serial, entry->serial_size, NULL);
    ASN1_INTEGER *serial = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)(entry->at / 1000));
    X509_REVOKED *revoked = X509_REVOKED_new();
    bool good = serial && at && revoked && X509_REVOKED_set_serialNumber(revoked, serial) == 1 &&
                X509_REVOKED_set_revocationDate(revoked, at) == 1 &&
                set_reason(revoked, entry->reason) && X509_CRL_add0_revoked(crl, revoked) == 1;

    if (!good)
        X509_REVOKED_free(revoked);
    ASN1_TIME_free(at);
    ASN1_INTEGER_free(serial);
    BN_free(number);
    return good ? FL_OK : fl_crypto_fail(ctx, "add to a revocation list");
}

static enum fl_error add_entries(X509_CRL *crl, struct fl_slice entries, struct fl_context *ctx)
{
    struct fl_crl_entry entry;
    enum fl_error error = FL_OK;

    for (;;) {
        error = fl_crl_next_entry(&entries, &entry);
        if (error == FL_ENOTFOUND)
            break;
        if (error != FL_OK)
            return fl_fail(ctx, error, "an entry of a revocation list is malformed");
        error = add_entry(crl, &entry, ctx);
        if (error != FL_OK)
            return error;
    }
    return X509_CRL_sort(crl) == 1 ? FL_OK : fl_crypto_fail(ctx, "sort a revocation list");
}

enum fl_error fl_crl_make(const struct fl_crl_request *request, struct fl_buffer *der,
                          struct fl_context *ctx)
{
    X509_CRL *crl = NULL;
    uint8_t *bytes = NULL;
    enum fl_error error = FL_OK;

    if (request->this_update < 0 || request->this_update >= request->next_update ||
        request->next_update > TIME_MAX)
        return fl_fail(ctx, FL_EINVAL, "a revocation list must end after it begins");
    crl = X509_CRL_new();
    if (!crl || X509_CRL_set_version(crl, X509_CRL_VERSION_2) != 1 ||
        X509_CRL_set_issuer_name(crl, X509_get_subject_name(request->issuer)) != 1 ||
        !set_times(crl, request))
        error = fl_crypto_fail(ctx, "make a revocation list");
    if (error == FL_OK)
        error = set_authority(crl, request->issuer, ctx);
    if (error == FL_OK)
        error = set_number(crl, request->number, ctx);
    if (error == FL_OK)
        error = add_entries(crl, request->entries, ctx);
    if (error == FL_OK &&
        X509_CRL_sign(crl, request->issuer_key, fl_der_digest_for(request->issuer_key)) <= 0)
        error = fl_crypto_fail(ctx, "sign a revocation list");
    if (error == FL_OK) {
        int size = i2d_X509_CRL(crl, &bytes);

        error = fl_der_append(bytes, size, "encode a revocation list", der, ctx);
    }
    X509_CRL_free(crl);
    return error;
}
