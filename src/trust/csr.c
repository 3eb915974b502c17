/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/cert.h"
#include "trust/der.h"
#include "trust/key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

enum { P256_POINT = 65 };

enum fl_error fl_csr_create(EVP_PKEY *key, const char *name, struct fl_buffer *der,
                            struct fl_context *ctx)
{
    X509_REQ *request = X509_REQ_new();
    uint8_t *bytes = NULL;
    int size = 0;
    enum fl_error error = FL_OK;

    if (!request || X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_pubkey(request, key) != 1) {
        error = fl_crypto_fail(ctx, "make a request");
        goto out;
    }
    /* A host may be longer than a common name: the issuer knows the hosts anyway. */
    if (name && name[0] && strlen(name) <= FL_CERT_CN_MAX)
        error = fl_der_set_common_name(X509_REQ_get_subject_name(request), name, ctx);
    if (error != FL_OK)
        goto out;
    if (X509_REQ_sign(request, key, fl_der_digest_for(key)) <= 0) {
        error = fl_crypto_fail(ctx, "sign a request");
        goto out;
    }
    size = i2d_X509_REQ(request, &bytes);
    error = fl_der_append(bytes, size, "encode a request", der, ctx);
out:
    X509_REQ_free(request);
    return error;
}

/* At most one attribute with requested extensions, in either of the two forms in use. */
static enum fl_error only_one_extension_request(const X509_REQ *request, bool *any,
                                                struct fl_context *ctx)
{
    static const int nids[] = {NID_ext_req, NID_ms_ext_req};
    size_t count = 0;

    for (size_t i = 0; i < sizeof nids / sizeof nids[0]; i++)
        for (int at = -1; (at = X509_REQ_get_attr_by_NID(request, nids[i], at)) >= 0;)
            count++;
    *any = count > 0;
    if (count > 1)
        return fl_der_refuse(ctx, FL_EPARSE, "the request asks for extensions more than once");
    return FL_OK;
}

/* We copy no extension, but a request for a CA certificate is an attack or a grave mistake: say so
 * instead of issuing something else. */
static enum fl_error no_authority(X509_REQ *request, struct fl_context *ctx)
{
    STACK_OF(X509_EXTENSION) *wanted = NULL;
    BASIC_CONSTRAINTS *basic = NULL;
    ASN1_BIT_STRING *usage = NULL;
    bool any = false;
    int basic_state = 0;
    int usage_state = 0;
    enum fl_error error = only_one_extension_request(request, &any, ctx);

    if (error != FL_OK || !any)
        return error;
    wanted = X509_REQ_get_extensions(request);
    if (!wanted)
        return fl_der_refuse(ctx, FL_EPARSE, "the requested extensions are malformed");
    basic = X509V3_get_d2i(wanted, NID_basic_constraints, &basic_state, NULL);
    usage = X509V3_get_d2i(wanted, NID_key_usage, &usage_state, NULL);
    /* -1: absent; anything else without a value is malformed or there twice. */
    if ((!basic && basic_state != -1) || (!usage && usage_state != -1))
        error = fl_der_refuse(ctx, FL_EPARSE, "the requested extensions are malformed");
    else if ((basic && basic->ca) || (usage && ASN1_BIT_STRING_get_bit(usage, 5)))
        error = fl_der_refuse(ctx, FL_EDENIED, "the request is for a CA certificate");
    ASN1_BIT_STRING_free(usage);
    BASIC_CONSTRAINTS_free(basic);
    sk_X509_EXTENSION_pop_free(wanted, X509_EXTENSION_free);
    return error;
}

static enum fl_error prove(X509_REQ *request, EVP_PKEY *key, struct fl_context *ctx)
{
    int digest = NID_undef;

    if (OBJ_find_sigid_algs(X509_REQ_get_signature_nid(request), &digest, NULL) != 1)
        return fl_der_refuse(ctx, FL_EAUTH, "the request is signed in an unknown way");
    if (digest != NID_undef && digest != NID_sha256 && digest != NID_sha384 && digest != NID_sha512)
        return fl_der_refuse(ctx, FL_EDENIED, "the request is signed with %s: use SHA-256",
                             OBJ_nid2sn(digest));
    if (X509_REQ_verify(request, key) != 1)
        return fl_der_refuse(ctx, FL_EAUTH,
                             "the request's signature does not match its key (no proof of "
                             "possession)");
    return FL_OK;
}

/* P-256 by name and an uncompressed point: what nearly every request has. Reading the request has
 * seen to it that the point is on the curve. */
static bool is_usual(X509_PUBKEY *spki)
{
    ASN1_OBJECT *algorithm = NULL;
    X509_ALGOR *parameters = NULL;
    const void *curve = NULL;
    const unsigned char *point = NULL;
    int type = V_ASN1_UNDEF;
    int size = 0;

    if (X509_PUBKEY_get0_param(&algorithm, &point, &size, &parameters, spki) != 1)
        return false;
    X509_ALGOR_get0(NULL, &type, &curve, parameters);
    return OBJ_obj2nid(algorithm) == NID_X9_62_id_ecPublicKey && type == V_ASN1_OBJECT &&
           OBJ_obj2nid(curve) == NID_X9_62_prime256v1 && size == P256_POINT &&
           point[0] == POINT_CONVERSION_UNCOMPRESSED;
}

/* A key must have one name, whatever form the request has it in. */
static enum fl_error digest_key(X509_REQ *request, EVP_PKEY *key, struct fl_csr_info *info,
                                struct fl_context *ctx)
{
    X509_PUBKEY *spki = X509_REQ_get_X509_PUBKEY(request);
    uint8_t *der = NULL;
    int size = -1;

    if (is_usual(spki)) {
        info->spki = X509_PUBKEY_dup(spki);
        size = info->spki ? i2d_X509_PUBKEY(spki, &der) : -1;
    } else if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
               EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                              OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED)) {
        size = i2d_PUBKEY(key, &der);
    }
    if (size < 0)
        return fl_crypto_fail(ctx, "encode a public key");
    fl_sha256(fl_slice(der, (size_t)size), info->spki_sha256);
    OPENSSL_free(der);
    return FL_OK;
}

void fl_csr_info_free(struct fl_csr_info *info)
{
    EVP_PKEY_free(info->key);
    X509_PUBKEY_free(info->spki);
    info->key = NULL;
    info->spki = NULL;
}

enum fl_error fl_csr_check(struct fl_slice der, struct fl_csr_info *info, struct fl_context *ctx)
{
    const unsigned char *at = der.data;
    X509_REQ *request = NULL;
    EVP_PKEY *key = NULL;
    enum fl_error error = FL_OK;

    *info = (struct fl_csr_info){0};
    if (der.size > FL_LIMIT_CSR)
        return fl_der_refuse(ctx, FL_EPARSE, "a request of %zu octets: at most %d are read",
                             der.size, FL_LIMIT_CSR);
    request = der.size ? d2i_X509_REQ(NULL, &at, (long)der.size) : NULL;
    if (!request)
        return fl_der_refuse(ctx, FL_EPARSE, "not a PKCS #10 request");
    if (at != der.data + der.size) {
        error = fl_der_refuse(ctx, FL_EPARSE, "octets follow the request");
        goto out;
    }
    key = X509_REQ_get_pubkey(request);
    if (!key) {
        error =
            fl_der_refuse(ctx, FL_EDENIED, "unreadable key: use EC P-256, P-384, Ed25519 or RSA");
        goto out;
    }
    /* Strength before proof: verifying with a monstrous key is work for an attacker to give us. */
    if (!is_usual(X509_REQ_get_X509_PUBKEY(request)))
        error = fl_key_judge(key, ctx);
    if (error == FL_OK)
        error = prove(request, key, ctx);
    if (error == FL_OK)
        error = no_authority(request, ctx);
    if (error == FL_OK)
        error = fl_der_common_name(X509_REQ_get_subject_name(request), info->name,
                                   sizeof info->name, ctx);
    if (error == FL_OK)
        error = digest_key(request, key, info, ctx);
out:
    if (error == FL_OK)
        info->key = key;
    else
        EVP_PKEY_free(key);
    if (error != FL_OK)
        fl_csr_info_free(info);
    X509_REQ_free(request);
    ERR_clear_error();
    return error;
}
