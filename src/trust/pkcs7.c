/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/cert.h"
#include "trust/der.h"
#include "trust/key.h"

#include <openssl/err.h>
#include <openssl/pkcs7.h>

enum fl_error fl_pkcs7_wrap(const struct fl_slice *certificates, size_t count,
                            struct fl_buffer *der, struct fl_context *ctx)
{
    PKCS7 *bag = PKCS7_new();
    uint8_t *bytes = NULL;
    int size = 0;
    enum fl_error error = FL_OK;

    /* "Degenerate": signed data without content and without signers. */
    if (!bag || PKCS7_set_type(bag, NID_pkcs7_signed) != 1) {
        error = fl_crypto_fail(ctx, "make PKCS #7");
        goto out;
    }
    bag->d.sign->contents->type = OBJ_nid2obj(NID_pkcs7_data);
    for (size_t i = 0; i < count; i++) {
        X509 *certificate = NULL;

        error = fl_cert_x509(certificates[i], &certificate, ctx);
        if (error == FL_OK && PKCS7_add_certificate(bag, certificate) != 1)
            error = fl_crypto_fail(ctx, "add a certificate to PKCS #7");
        X509_free(certificate);
        if (error != FL_OK)
            goto out;
    }
    size = i2d_PKCS7(bag, &bytes);
    error = fl_der_append(bytes, size, "encode PKCS #7", der, ctx);
out:
    PKCS7_free(bag);
    return error;
}

static enum fl_error visit_one(X509 *certificate,
                               enum fl_error (*visit)(void *to, struct fl_slice der), void *to,
                               struct fl_context *ctx)
{
    uint8_t *bytes = NULL;
    int size = i2d_X509(certificate, &bytes);
    enum fl_error error = FL_OK;

    if (size < 0)
        return fl_crypto_fail(ctx, "encode a certificate");
    error = visit(to, fl_slice(bytes, (size_t)size));
    OPENSSL_free(bytes);
    return error;
}

enum fl_error fl_pkcs7_each(struct fl_slice der,
                            enum fl_error (*visit)(void *to, struct fl_slice der), void *to,
                            struct fl_context *ctx)
{
    const unsigned char *at = der.data;
    const STACK_OF(X509) *all = NULL;
    PKCS7 *bag = NULL;
    enum fl_error error = FL_OK;

    if (der.size > FL_LIMIT_CHAIN)
        return fl_fail(ctx, FL_ELIMIT, "over %d octets of PKCS #7", FL_LIMIT_CHAIN);
    bag = der.size ? d2i_PKCS7(NULL, &at, (long)der.size) : NULL;
    if (!bag || at != der.data + der.size || !PKCS7_type_is_signed(bag) || !bag->d.sign)
        error = fl_der_refuse(ctx, FL_EPARSE, "not PKCS #7 with certificates");
    else if (sk_X509_num(bag->d.sign->cert) <= 0)
        error = fl_der_refuse(ctx, FL_EPARSE, "no certificate in PKCS #7");
    else
        all = bag->d.sign->cert;
    for (int i = 0; error == FL_OK && all && i < sk_X509_num(all); i++)
        error = visit_one(sk_X509_value(all, i), visit, to, ctx);
    PKCS7_free(bag);
    ERR_clear_error();
    return error;
}
