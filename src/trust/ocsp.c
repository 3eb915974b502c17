/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/ocsp.h"

#include "trust/der.h"
#include "trust/key.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <string.h>

static const struct {
    int nid;
    size_t size;
} hashes[2] = {{NID_sha1, 20}, {NID_sha256, 32}};

static const EVP_MD *digest_of(bool sha256)
{
    return sha256 ? EVP_sha256() : EVP_sha1();
}

enum fl_error fl_ocsp_issuer(X509 *issuer, struct fl_ocsp_issuer *to, struct fl_context *ctx)
{
    const ASN1_BIT_STRING *key = X509_get0_pubkey_bitstr(issuer);

    *to = (struct fl_ocsp_issuer){0};
    for (size_t i = 0; i < 2; i++)
        if (!key ||
            X509_NAME_digest(X509_get_subject_name(issuer), digest_of(i == 1), to->name[i], NULL) !=
                1 ||
            EVP_Digest(ASN1_STRING_get0_data(key), (size_t)ASN1_STRING_length(key), to->key[i],
                       NULL, digest_of(i == 1), NULL) != 1)
            return fl_crypto_fail(ctx, "name an authority");
    return FL_OK;
}

/* --- requests --- */

static bool is_octets(const ASN1_OCTET_STRING *string, const uint8_t *octets, size_t size)
{
    return ASN1_STRING_length(string) == (int)size &&
           memcmp(ASN1_STRING_get0_data(string), octets, size) == 0;
}

static enum fl_error read_id(OCSP_CERTID *id, const struct fl_ocsp_issuer *issuer,
                             struct fl_ocsp_question *q, struct fl_context *ctx)
{
    ASN1_OCTET_STRING *name = NULL;
    ASN1_OCTET_STRING *key = NULL;
    ASN1_OBJECT *hash = NULL;
    ASN1_INTEGER *serial = NULL;
    size_t which = 0;
    size_t size = 0;

    if (OCSP_id_get0_info(&name, &hash, &key, &serial, id) != 1)
        return fl_der_refuse(ctx, FL_EPARSE, "a certificate that is asked about has no name");
    which = OBJ_obj2nid(hash) == hashes[1].nid ? 1 : 0;
    if (OBJ_obj2nid(hash) != hashes[which].nid ||
        !is_octets(name, issuer->name[which], hashes[which].size) ||
        !is_octets(key, issuer->key[which], hashes[which].size))
        return fl_der_refuse(ctx, FL_EDENIED, "it asks about another authority");
    if (q->count && q->sha256 != (which == 1))
        return fl_der_refuse(ctx, FL_EDENIED, "it names the authority in two ways");
    size = (size_t)ASN1_STRING_length(serial);
    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER || size < 1 || size > FL_SERIAL_MAX ||
        ASN1_STRING_get0_data(serial)[0] == 0)
        return fl_der_refuse(ctx, FL_EPARSE, "a serial number is positive and of 1 to %d octets",
                             FL_SERIAL_MAX);
    q->sha256 = which == 1;
    q->serials[q->serials_size] = (uint8_t)size;
    memcpy(q->serials + q->serials_size + 1, ASN1_STRING_get0_data(serial), size);
    q->serials_size += size + 1;
    q->count++;
    return FL_OK;
}

/* RFC 6960 4.4: an extension that is not known is ignored unless it is critical. */
static bool has_critical(OCSP_REQUEST *request)
{
    if (OCSP_REQUEST_get_ext_by_critical(request, 1, -1) >= 0)
        return true;
    for (int i = 0; i < OCSP_request_onereq_count(request); i++)
        if (OCSP_ONEREQ_get_ext_by_critical(OCSP_request_onereq_get0(request, i), 1, -1) >= 0)
            return true;
    return false;
}

static enum fl_error read_request(OCSP_REQUEST *request, const struct fl_ocsp_issuer *issuer,
                                  struct fl_ocsp_question *q, struct fl_context *ctx)
{
    int count = OCSP_request_onereq_count(request);
    enum fl_error error = FL_OK;

    if (count < 1)
        return fl_der_refuse(ctx, FL_EPARSE, "it asks about no certificate");
    if (count > FL_LIMIT_OCSP_IDS)
        return fl_der_refuse(ctx, FL_EDENIED, "it asks about %d certificates: at most %d", count,
                             FL_LIMIT_OCSP_IDS);
    if (has_critical(request))
        return fl_der_refuse(ctx, FL_EPARSE, "a critical extension that is not known");
    for (int i = 0; i < count && error == FL_OK; i++)
        error = read_id(OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, i)), issuer, q, ctx);
    return error;
}

enum fl_error fl_ocsp_read(struct fl_slice der, const struct fl_ocsp_issuer *issuer,
                           struct fl_ocsp_question *q, struct fl_context *ctx)
{
    const unsigned char *at = der.data;
    OCSP_REQUEST *request = NULL;
    enum fl_error error = FL_OK;

    *q = (struct fl_ocsp_question){0};
    if (der.size == 0 || der.size > FL_LIMIT_OCSP_REQUEST)
        return fl_der_refuse(ctx, FL_EPARSE, "a request of %zu octets: 1 to %d are read", der.size,
                             FL_LIMIT_OCSP_REQUEST);
    request = d2i_OCSP_REQUEST(NULL, &at, (long)der.size);
    if (!request || at != der.data + der.size)
        error = fl_der_refuse(ctx, FL_EPARSE, "not an OCSP request");
    else
        error = read_request(request, issuer, q, ctx);
    OCSP_REQUEST_free(request);
    return error;
}

/* --- responses --- */

void fl_ocsp_error(enum fl_ocsp_status status, uint8_t to[FL_OCSP_ERROR_SIZE])
{
    const uint8_t der[FL_OCSP_ERROR_SIZE] = {0x30, 3, 0x0A, 1, (uint8_t)status};

    memcpy(to, der, sizeof der);
}

static ASN1_INTEGER *serial_of(struct fl_slice octets)
{
    BIGNUM *number = BN_bin2bn(octets.data, (int)octets.size, NULL);
    ASN1_INTEGER *serial = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;

    BN_free(number);
    return serial;
}

static bool add_single(OCSP_BASICRESP *basic, const struct fl_ocsp_reply *reply,
                       const struct fl_ocsp_single *single)
{
    static const int verdicts[] = {[FL_OCSP_GOOD] = V_OCSP_CERTSTATUS_GOOD,
                                   [FL_OCSP_REVOKED] = V_OCSP_CERTSTATUS_REVOKED,
                                   [FL_OCSP_UNKNOWN] = V_OCSP_CERTSTATUS_UNKNOWN};
    ASN1_INTEGER *serial = serial_of(single->serial);
    OCSP_CERTID *id =
        serial ? OCSP_cert_id_new(digest_of(reply->sha256), X509_get_subject_name(reply->issuer),
                                  X509_get0_pubkey_bitstr(reply->issuer), serial)
               : NULL;
    ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)(single->at / 1000));
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)(reply->this_update / 1000));
    ASN1_TIME *until = ASN1_TIME_set(NULL, (time_t)(reply->next_update / 1000));
    /* RFC 5280 5.3.1: unspecified is said by leaving the reason out. */
    int reason = single->reason == FL_CRL_UNSPECIFIED ? -1 : (int)single->reason;
    bool good = id && at && from && until &&
                OCSP_basic_add1_status(basic, id, verdicts[single->verdict], reason, at, from,
                                       until) != NULL;

    ASN1_TIME_free(until);
    ASN1_TIME_free(from);
    ASN1_TIME_free(at);
    OCSP_CERTID_free(id);
    ASN1_INTEGER_free(serial);
    return good;
}

enum fl_error fl_ocsp_respond(const struct fl_ocsp_reply *reply, struct fl_buffer *der,
                              struct fl_context *ctx)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_RESPONSE *response = NULL;
    uint8_t *bytes = NULL;
    bool good = basic != NULL;
    enum fl_error error = FL_OK;

    for (size_t i = 0; good && i < reply->count; i++)
        good = add_single(basic, reply, &reply->singles[i]);
    /* By key: a name would be the same for every responder there ever was. */
    good = good &&
           OCSP_basic_sign(basic, reply->responder, reply->responder_key,
                           fl_der_digest_for(reply->responder_key), NULL, OCSP_RESPID_KEY) == 1;
    response = good ? OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic) : NULL;
    if (response) {
        int size = i2d_OCSP_RESPONSE(response, &bytes);

        error = fl_der_append(bytes, size, "encode an OCSP response", der, ctx);
    } else {
        error = fl_crypto_fail(ctx, "make an OCSP response");
    }
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    return error;
}
