/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/cert.h"
#include "trust/der.h"
#include "trust/key.h"
#include "trust/names.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum fl_error fl_cert_x509(struct fl_slice der, X509 **certificate, struct fl_context *ctx)
{
    const unsigned char *at = der.data;

    *certificate = NULL;
    if (der.size > FL_LIMIT_CERT)
        return fl_der_refuse(ctx, FL_EPARSE, "a certificate of %zu octets: at most %d are read",
                             der.size, FL_LIMIT_CERT);
    *certificate = der.size ? d2i_X509(NULL, &at, (long)der.size) : NULL;
    if (!*certificate)
        return fl_der_refuse(ctx, FL_EPARSE, "not a certificate");
    if (at != der.data + der.size) {
        X509_free(*certificate);
        *certificate = NULL;
        return fl_der_refuse(ctx, FL_EPARSE, "octets follow the certificate");
    }
    return FL_OK;
}

/* The one purpose of an end certificate, or NID_undef. */
static int only_purpose(X509 *certificate)
{
    EXTENDED_KEY_USAGE *purposes = X509_get_ext_d2i(certificate, NID_ext_key_usage, NULL, NULL);
    int nid = NID_undef;

    if (sk_ASN1_OBJECT_num(purposes) == 1)
        nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(purposes, 0));
    EXTENDED_KEY_USAGE_free(purposes);
    return nid;
}

static enum fl_error read_kind(X509 *certificate, enum fl_cert_kind *kind, struct fl_context *ctx)
{
    uint32_t flags = X509_get_extension_flags(certificate);
    long path_length = X509_get_pathlen(certificate);
    int purpose = NID_undef;

    if (flags & EXFLAG_INVALID || X509_get_version(certificate) != X509_VERSION_3)
        return fl_der_refuse(ctx, FL_EPARSE, "a certificate with malformed extensions");
    if (flags & EXFLAG_CA) {
        bool self_issued = (flags & EXFLAG_SI) != 0;

        if (!(X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) ||
            path_length != (self_issued ? 1 : 0))
            return fl_der_refuse(ctx, FL_EPARSE,
                                 "neither a root nor an issuing certificate of "
                                 "this kind");
        *kind = self_issued ? FL_CERT_ROOT : FL_CERT_ISSUING;
        return FL_OK;
    }
    purpose = only_purpose(certificate);
    if (purpose == NID_client_auth)
        *kind = FL_CERT_DEVICE;
    else if (purpose == NID_server_auth)
        *kind = FL_CERT_SERVER;
    else if (purpose == NID_OCSP_sign)
        *kind = FL_CERT_OCSP;
    else
        return fl_der_refuse(
            ctx, FL_EPARSE, "a certificate for neither a device nor a server (extended key usage)");
    return FL_OK;
}

static enum fl_error read_name(X509 *certificate, struct fl_cert_info *info, struct fl_context *ctx)
{
    GENERAL_NAMES *names = NULL;
    char common_name[FL_LIMIT_HOST + 1];
    enum fl_error error = fl_der_common_name(X509_get_subject_name(certificate), common_name,
                                             sizeof common_name, ctx);

    if (error != FL_OK)
        return error;
    if (info->kind == FL_CERT_ROOT || info->kind == FL_CERT_ISSUING || info->kind == FL_CERT_OCSP) {
        (void)fl_str_copy(info->name, sizeof info->name, common_name);
        return FL_OK;
    }
    names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    if (!names)
        return fl_der_refuse(ctx, FL_EPARSE, "a certificate without alternative names");
    if (info->kind == FL_CERT_SERVER) {
        error = fl_names_read_server(names, common_name, info->name, sizeof info->name, ctx);
        if (error == FL_OK && common_name[0])
            (void)fl_str_copy(info->name, sizeof info->name, common_name);
    } else {
        error = fl_names_read_device(names, info->name, sizeof info->name, ctx);
        if (error == FL_OK && strcmp(info->name, common_name) != 0)
            error = fl_der_refuse(ctx, FL_EPARSE,
                                  "a device certificate's names disagree: the common name is not "
                                  "'%s'",
                                  info->name);
    }
    GENERAL_NAMES_free(names);
    return error;
}

enum fl_error fl_cert_read_x509(X509 *certificate, struct fl_cert_info *info,
                                struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    *info = (struct fl_cert_info){0};
    error = read_kind(certificate, &info->kind, ctx);
    if (error == FL_OK)
        error = read_name(certificate, info, ctx);
    if (error == FL_OK)
        error = fl_der_serial(certificate, info->serial, ctx);
    if (error == FL_OK)
        error = fl_der_time(X509_get0_notBefore(certificate), &info->not_before, ctx);
    if (error == FL_OK)
        error = fl_der_time(X509_get0_notAfter(certificate), &info->not_after, ctx);
    if (error == FL_OK && X509_digest(certificate, EVP_sha256(), info->sha256, NULL) != 1)
        error = fl_crypto_fail(ctx, "digest a certificate");
    ERR_clear_error();
    return error;
}

enum fl_error fl_cert_read(struct fl_slice der, struct fl_cert_info *info, struct fl_context *ctx)
{
    X509 *certificate = NULL;
    enum fl_error error = fl_cert_x509(der, &certificate, ctx);

    if (error != FL_OK)
        return error;
    error = fl_cert_read_x509(certificate, info, ctx);
    X509_free(certificate);
    return error;
}
