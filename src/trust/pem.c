/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"
#include "trust/cert.h"
#include "trust/der.h"
#include "trust/key.h"

#include <openssl/err.h>
#include <openssl/pem.h>

enum fl_error fl_cert_to_pem(struct fl_slice der, struct fl_buffer *pem, struct fl_context *ctx)
{
    (void)fl_buffer_append_str(pem, "-----BEGIN CERTIFICATE-----\n");
    (void)fl_base64_encode(der, 64, pem);
    (void)fl_buffer_append_str(pem, "-----END CERTIFICATE-----\n");
    if (pem->failed)
        return fl_fail(ctx, FL_ELIMIT, "a certificate in PEM does not fit");
    return FL_OK;
}

enum fl_error fl_der_each_pem(struct fl_slice pem, const char *type, const char *what,
                              enum fl_error (*visit)(void *to, struct fl_slice der), void *to,
                              struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    size_t count = 0;
    BIO *bio = NULL;

    if (pem.size > FL_LIMIT_CHAIN)
        return fl_fail(ctx, FL_ELIMIT, "over %d octets of PEM", FL_LIMIT_CHAIN);
    bio = fl_der_reader(pem);
    if (!bio)
        return fl_crypto_fail(ctx, "read PEM");
    while (error == FL_OK) {
        char *name = NULL;
        char *header = NULL;
        unsigned char *der = NULL;
        long size = 0;

        if (PEM_read_bio(bio, &name, &header, &der, &size) != 1) {
            if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
                error = fl_der_refuse(ctx, FL_EPARSE, "malformed PEM after %zu %ss", count, what);
            break;
        }
        if (strcmp(name, type) == 0) {
            count++;
            error = visit(to, fl_slice(der, (size_t)size));
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)size); /* may be a key that shares the file */
    }
    BIO_free(bio);
    ERR_clear_error();
    if (error == FL_OK && count == 0)
        return fl_fail(ctx, FL_EPARSE, "no %s in PEM", what);
    return error;
}

enum fl_error fl_cert_each_pem(struct fl_slice pem,
                               enum fl_error (*visit)(void *to, struct fl_slice der), void *to,
                               struct fl_context *ctx)
{
    return fl_der_each_pem(pem, PEM_STRING_X509, "certificate", visit, to, ctx);
}
