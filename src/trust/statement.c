/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/statement.h"

#include "trust/cert.h"
#include "trust/key.h"

#include <openssl/err.h>

enum fl_error fl_statement_sign(EVP_PKEY *key, struct fl_slice text, uint8_t signature[64],
                                struct fl_context *ctx)
{
    if (!fl_key_is_p256(key))
        return fl_fail(ctx, FL_EUNSUPPORTED, "evidence is signed with P-256 keys only");
    return fl_es256_sign(key, text, signature, ctx);
}

static bool is_issued_by(X509 *certificate, struct fl_slice issuing)
{
    X509 *issuer = NULL;
    bool good = fl_cert_x509(issuing, &issuer, NULL) == FL_OK &&
                X509_verify(certificate, X509_get0_pubkey(issuer)) == 1;

    ERR_clear_error();
    X509_free(issuer);
    return good;
}

enum fl_error fl_statement_verify(const struct fl_statement_signer *signer, struct fl_slice text,
                                  struct fl_slice signature, struct fl_context *ctx)
{
    struct fl_cert_info info = {0};
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    enum fl_error error = fl_cert_x509(signer->certificate, &certificate, ctx);

    if (!error)
        error = fl_cert_read_x509(certificate, &info, ctx);
    if (error)
        goto out;
    key = X509_get0_pubkey(certificate);
    if (info.kind != FL_CERT_DEVICE || !fl_slice_is(signer->device, info.name) ||
        !fl_slice_is(signer->serial, info.serial))
        error =
            fl_fail(ctx, FL_EAUTH, "the certificate is not the one that the device connected with");
    else if (!is_issued_by(certificate, signer->issuing))
        error = fl_fail(ctx, FL_EAUTH, "the certificate is not of the issuing CA of today: renew");
    else if (!fl_key_is_p256(key))
        error = fl_fail(ctx, FL_EUNSUPPORTED,
                        "evidence is signed with P-256 keys only: enrol with such a key");
    else if (signature.size != 64 || fl_es256_verify(key, text, signature.data) != FL_OK)
        error = fl_fail(ctx, FL_EAUTH,
                        "the signature over the claims is not by the key of the device's "
                        "certificate");
out:
    X509_free(certificate);
    return error;
}
