/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/cert.h"

#include "base/assert.h"
#include "trust/der.h"
#include "trust/key.h"
#include "trust/names.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* What each kind of certificate is made of; the reader (cert_read.c) insists on the same. */
static const struct {
    int path_length; /* -1: not a CA */
    int extended_usage;
    bool self_signed;
} kinds[] = {
    [FL_CERT_DEVICE] = {-1, NID_client_auth, false},
    [FL_CERT_SERVER] = {-1, NID_server_auth, false},
    [FL_CERT_ISSUING] = {0, NID_undef, false},
    [FL_CERT_ROOT] = {1, NID_undef, true},
    [FL_CERT_OCSP] = {-1, NID_OCSP_sign, false},
};

#define TIME_MAX 253402300799 /* the last second of the year 9999, in seconds */

enum { SERIAL_SIZE = 16, KEY_IDENTIFIER_SIZE = 20 };

static enum fl_error set_serial(X509 *certificate, struct fl_context *ctx)
{
    uint8_t serial[SERIAL_SIZE];
    BIGNUM *number = NULL;
    enum fl_error error = FL_OK;

    if (RAND_bytes(serial, sizeof serial) != 1)
        return fl_crypto_fail(ctx, "draw a serial number");
    /* Positive, and always the same length. */
    serial[0] = (uint8_t)((serial[0] & 0x7F) | 0x40);
    number = BN_bin2bn(serial, sizeof serial, NULL);
    if (!number || !BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)))
        error = fl_crypto_fail(ctx, "set a serial number");
    BN_free(number);
    return error;
}

static enum fl_error set_validity(X509 *certificate, const struct fl_cert_request *request,
                                  struct fl_context *ctx)
{
    time_t from = (time_t)(request->not_before / 1000);
    time_t until = (time_t)(request->not_after / 1000);

    if (from >= until)
        return fl_fail(ctx, FL_EINVAL, "a certificate must end after it begins");
    if (from < 0 || until > TIME_MAX)
        return fl_fail(ctx, FL_EINVAL, "a certificate's times are out of range");
    if (!ASN1_TIME_set(X509_getm_notBefore(certificate), from) ||
        !ASN1_TIME_set(X509_getm_notAfter(certificate), until))
        return fl_der_refuse(ctx, FL_EINVAL, "a certificate's times are out of range");
    if (request->issuer &&
        ASN1_TIME_compare(X509_get0_notAfter(request->issuer), X509_get0_notAfter(certificate)) < 0)
        return fl_der_refuse(ctx, FL_EINVAL, "a certificate may not outlive its issuer");
    return FL_OK;
}

static enum fl_error add_extension(X509 *certificate, int nid, void *value, bool critical,
                                   struct fl_context *ctx)
{
    if (!value || X509_add1_ext_i2d(certificate, nid, value, critical, X509V3_ADD_DEFAULT) != 1)
        return fl_crypto_fail(ctx, OBJ_nid2sn(nid));
    return FL_OK;
}

static enum fl_error add_constraints(X509 *certificate, int path_length, struct fl_context *ctx)
{
    BASIC_CONSTRAINTS *basic = BASIC_CONSTRAINTS_new();
    enum fl_error error = FL_OK;

    if (basic && path_length >= 0) {
        basic->ca = 0xFF;
        basic->pathlen = ASN1_INTEGER_new();
        if (!basic->pathlen || ASN1_INTEGER_set(basic->pathlen, path_length) != 1)
            error = fl_crypto_fail(ctx, "set a path length");
    }
    if (error == FL_OK)
        error = add_extension(certificate, NID_basic_constraints, basic, true, ctx);
    BASIC_CONSTRAINTS_free(basic);
    return error;
}

static enum fl_error add_usage(X509 *certificate, bool authority, int extended,
                               struct fl_context *ctx)
{
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    EXTENDED_KEY_USAGE *purposes = EXTENDED_KEY_USAGE_new();
    enum fl_error error = FL_OK;
    int set = 0;

    if (usage && authority) /* keyCertSign, cRLSign */
        set = ASN1_BIT_STRING_set_bit(usage, 5, 1) && ASN1_BIT_STRING_set_bit(usage, 6, 1);
    else if (usage) /* digitalSignature */
        set = ASN1_BIT_STRING_set_bit(usage, 0, 1);
    error = set ? add_extension(certificate, NID_key_usage, usage, true, ctx)
                : fl_crypto_fail(ctx, "key usage");
    if (error == FL_OK && extended != NID_undef) {
        if (!purposes || sk_ASN1_OBJECT_push(purposes, OBJ_nid2obj(extended)) <= 0)
            error = fl_crypto_fail(ctx, "extended key usage");
        else
            error = add_extension(certificate, NID_ext_key_usage, purposes, false, ctx);
    }
    EXTENDED_KEY_USAGE_free(purposes);
    ASN1_BIT_STRING_free(usage);
    return error;
}

/* RFC 7093: 160 bits of the SHA-256 of the public key. */
static enum fl_error add_key_identifiers(X509 *certificate, X509 *issuer, struct fl_context *ctx)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ASN1_OCTET_STRING *own = ASN1_OCTET_STRING_new();
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    const ASN1_OCTET_STRING *theirs = issuer ? X509_get0_subject_key_id(issuer) : NULL;
    enum fl_error error = FL_OK;

    if (!own || !authority || X509_pubkey_digest(certificate, EVP_sha256(), digest, &size) != 1 ||
        ASN1_OCTET_STRING_set(own, digest, KEY_IDENTIFIER_SIZE) != 1) {
        error = fl_crypto_fail(ctx, "key identifier");
        goto out;
    }
    error = add_extension(certificate, NID_subject_key_identifier, own, false, ctx);
    if (error != FL_OK || !issuer)
        goto out;
    authority->keyid = theirs ? ASN1_OCTET_STRING_dup(theirs) : NULL;
    if (authority->keyid)
        error = add_extension(certificate, NID_authority_key_identifier, authority, false, ctx);
    else
        error = fl_fail(ctx, FL_EINVAL, "the issuer has no key identifier");
out:
    AUTHORITY_KEYID_free(authority);
    ASN1_OCTET_STRING_free(own);
    return error;
}

static enum fl_error add_names(X509 *certificate, const struct fl_cert_request *request,
                               struct fl_context *ctx)
{
    GENERAL_NAMES *names = NULL;
    bool has_subject = X509_NAME_entry_count(X509_get_subject_name(certificate)) > 0;
    enum fl_error error = FL_OK;

    if (request->kind != FL_CERT_DEVICE && request->kind != FL_CERT_SERVER)
        return FL_OK;
    names = GENERAL_NAMES_new();
    if (!names)
        return fl_crypto_fail(ctx, "names");
    if (request->kind == FL_CERT_DEVICE)
        error = fl_names_add_device(names, request->name, ctx);
    for (size_t i = 0; error == FL_OK && request->kind == FL_CERT_SERVER && i < request->host_count;
         i++)
        error = fl_names_add_host(names, request->hosts[i], ctx);
    if (error == FL_OK)
        error = add_extension(certificate, NID_subject_alt_name, names, !has_subject, ctx);
    GENERAL_NAMES_free(names);
    return error;
}

/* RFC 6960 4.2.2.2.1: whoever trusts the responder need not ask whether its certificate is good. It
 * is short-lived instead. */
static enum fl_error add_no_check(X509 *certificate, struct fl_context *ctx)
{
    ASN1_NULL *nothing = ASN1_NULL_new();
    enum fl_error error = add_extension(certificate, NID_id_pkix_OCSP_noCheck, nothing, false, ctx);

    ASN1_NULL_free(nothing);
    return error;
}

static GENERAL_NAME *url_name(const char *base, const char *path)
{
    char url[FL_LIMIT_STATUS_URL + sizeof FL_STATUS_ISSUER_PATH];
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    int size = snprintf(url, sizeof url, "%s%s", base, path);

    if (!name || !text || size < 0 || (size_t)size >= sizeof url ||
        ASN1_STRING_set(text, url, size) != 1) {
        ASN1_IA5STRING_free(text);
        GENERAL_NAME_free(name);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, GEN_URI, text);
    return name;
}

static bool add_access(AUTHORITY_INFO_ACCESS *all, int method, const char *base, const char *path)
{
    ACCESS_DESCRIPTION *one = ACCESS_DESCRIPTION_new();
    GENERAL_NAME *where = url_name(base, path);

    if (!one || !where || sk_ACCESS_DESCRIPTION_push(all, one) <= 0) {
        GENERAL_NAME_free(where);
        ACCESS_DESCRIPTION_free(one);
        return false;
    }
    ASN1_OBJECT_free(one->method);
    one->method = OBJ_nid2obj(method);
    GENERAL_NAME_free(one->location);
    one->location = where;
    return true;
}

static bool add_point(CRL_DIST_POINTS *all, const char *base)
{
    DIST_POINT *point = DIST_POINT_new();
    DIST_POINT_NAME *name = DIST_POINT_NAME_new();
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *url = url_name(base, FL_STATUS_CRL_PATH);

    if (!point || !name || !names || !url || sk_GENERAL_NAME_push(names, url) <= 0) {
        GENERAL_NAME_free(url);
        goto failed;
    }
    name->type = 0; /* fullName */
    name->name.fullname = names;
    names = NULL;
    point->distpoint = name;
    name = NULL;
    if (sk_DIST_POINT_push(all, point) > 0)
        return true;
failed:
    GENERAL_NAMES_free(names);
    DIST_POINT_NAME_free(name);
    DIST_POINT_free(point);
    return false;
}

/* Where to ask whether this certificate is good. */
static enum fl_error add_status(X509 *certificate, const char *base, struct fl_context *ctx)
{
    AUTHORITY_INFO_ACCESS *access = AUTHORITY_INFO_ACCESS_new();
    CRL_DIST_POINTS *points = CRL_DIST_POINTS_new();
    enum fl_error error = FL_OK;

    if (!access || !points || !add_point(points, base) ||
        !add_access(access, NID_ad_OCSP, base, FL_STATUS_OCSP_PATH) ||
        !add_access(access, NID_ad_ca_issuers, base, FL_STATUS_ISSUER_PATH))
        error = fl_crypto_fail(ctx, "say where the status of a certificate is");
    if (error == FL_OK)
        error = add_extension(certificate, NID_crl_distribution_points, points, false, ctx);
    if (error == FL_OK)
        error = add_extension(certificate, NID_info_access, access, false, ctx);
    CRL_DIST_POINTS_free(points);
    AUTHORITY_INFO_ACCESS_free(access);
    return error;
}

/* The request comes from our own code, but a signer must not depend on that. */
static enum fl_error check_request(const struct fl_cert_request *request, struct fl_context *ctx)
{
    char shown[FL_NAME_MAX + 1];

    fl_assert(request->name && request->subject_key && request->issuer_key);
    if (kinds[request->kind].self_signed != !request->issuer)
        return fl_fail(ctx, FL_EINVAL, "only a root certificate has no issuer");
    if (request->kind == FL_CERT_DEVICE && !fl_name_valid(fl_slice_str(request->name)))
        return fl_fail(ctx, FL_EINVAL, "'%s' is not a device id",
                       fl_str_printable(shown, sizeof shown, fl_slice_str(request->name)));
    if (request->kind == FL_CERT_SERVER &&
        (request->host_count == 0 || request->host_count > FL_LIMIT_HOSTS ||
         strcmp(request->hosts[0], request->name) != 0))
        return fl_fail(ctx, FL_EINVAL, "a server has 1 to %d hosts and the name of the first",
                       FL_LIMIT_HOSTS);
    if (request->kind == FL_CERT_SERVER && !fl_host_valid(request->name))
        return fl_fail(ctx, FL_EINVAL, "'%s' is neither a DNS name nor an address",
                       fl_str_printable(shown, sizeof shown, fl_slice_str(request->name)));
    if (request->issuer && X509_check_private_key(request->issuer, request->issuer_key) != 1)
        return fl_der_refuse(ctx, FL_EINVAL, "the issuer's key is not that of its certificate");
    /* fl_csr_check has judged what it gives in this form. */
    return request->subject_spki ? FL_OK : fl_key_judge(request->subject_key, ctx);
}

static enum fl_error set_subject(X509 *certificate, const struct fl_cert_request *request,
                                 struct fl_context *ctx)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    enum fl_error error = FL_OK;

    /* A host too long for a common name is in the alternative names only. */
    if (request->kind != FL_CERT_SERVER || strlen(request->name) <= FL_CERT_CN_MAX)
        error = fl_der_set_common_name(subject, request->name, ctx);
    if (error == FL_OK &&
        X509_set_issuer_name(certificate, request->issuer ? X509_get_subject_name(request->issuer)
                                                          : subject) != 1)
        error = fl_crypto_fail(ctx, "set the issuer");
    return error;
}

/* X509_set_pubkey encodes the key and decodes what it encoded, which costs more than the signature.
 */
static bool set_public_key(X509 *certificate, const struct fl_cert_request *request)
{
    ASN1_OBJECT *algorithm = NULL;
    const unsigned char *point = NULL;
    unsigned char *copy = NULL;
    int size = 0;

    if (!request->subject_spki)
        return X509_set_pubkey(certificate, request->subject_key) == 1;
    if (X509_PUBKEY_get0_param(&algorithm, &point, &size, NULL, request->subject_spki) != 1)
        return false;
    copy = OPENSSL_memdup(point, (size_t)size);
    if (copy &&
        X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(certificate), OBJ_dup(algorithm), V_ASN1_OBJECT,
                               OBJ_nid2obj(NID_X9_62_prime256v1), copy, size) == 1)
        return true;
    OPENSSL_free(copy);
    return false;
}

/* Kind and name were just written; the rest is read from what was signed. */
static enum fl_error describe(X509 *certificate, const struct fl_cert_request *request,
                              struct fl_slice der, struct fl_cert_info *info,
                              struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    *info = (struct fl_cert_info){.kind = request->kind};
    (void)fl_str_copy(info->name, sizeof info->name, request->name);
    fl_sha256(der, info->sha256);
    error = fl_der_serial(certificate, info->serial, ctx);
    if (error == FL_OK)
        error = fl_der_time(X509_get0_notBefore(certificate), &info->not_before, ctx);
    if (error == FL_OK)
        error = fl_der_time(X509_get0_notAfter(certificate), &info->not_after, ctx);
    return error;
}

enum fl_error fl_cert_issue(const struct fl_cert_request *request, struct fl_buffer *der,
                            struct fl_context *ctx)
{
    return fl_cert_issue_read(request, der, NULL, ctx);
}

enum fl_error fl_cert_issue_read(const struct fl_cert_request *request, struct fl_buffer *der,
                                 struct fl_cert_info *info, struct fl_context *ctx)
{
    enum fl_error error = check_request(request, ctx);
    int path_length = kinds[request->kind].path_length;
    X509 *certificate = NULL;
    uint8_t *bytes = NULL;
    size_t before = der->size;

    if (error != FL_OK)
        return error;
    certificate = X509_new();
    if (!certificate || X509_set_version(certificate, X509_VERSION_3) != 1 ||
        !set_public_key(certificate, request))
        error = fl_crypto_fail(ctx, "make a certificate");
    if (error == FL_OK)
        error = set_serial(certificate, ctx);
    if (error == FL_OK)
        error = set_validity(certificate, request, ctx);
    if (error == FL_OK)
        error = set_subject(certificate, request, ctx);
    if (error == FL_OK)
        error = add_constraints(certificate, path_length, ctx);
    if (error == FL_OK)
        error = add_usage(certificate, path_length >= 0, kinds[request->kind].extended_usage, ctx);
    if (error == FL_OK)
        error = add_key_identifiers(certificate, request->issuer, ctx);
    if (error == FL_OK)
        error = add_names(certificate, request, ctx);
    if (error == FL_OK && request->kind == FL_CERT_OCSP)
        error = add_no_check(certificate, ctx);
    if (error == FL_OK && request->kind == FL_CERT_DEVICE && request->status_url)
        error = add_status(certificate, request->status_url, ctx);
    if (error == FL_OK &&
        X509_sign(certificate, request->issuer_key, fl_der_digest_for(request->issuer_key)) <= 0)
        error = fl_crypto_fail(ctx, "sign a certificate");
    if (error == FL_OK) {
        int size = i2d_X509(certificate, &bytes);

        error = fl_der_append(bytes, size, "encode a certificate", der, ctx);
    }
    if (error == FL_OK && info)
        error =
            describe(certificate, request, fl_slice_from(fl_buffer_slice(der), before), info, ctx);
    X509_free(certificate);
    return error;
}
