/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/der.h"

#include "base/str.h"

#include "trust/key.h"

#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>

BIO *fl_der_reader(struct fl_slice bytes)
{
    /* An empty slice may have no pointer, which BIO_new_mem_buf would refuse. */
    if (bytes.size == 0)
        return BIO_new(BIO_s_mem());
    return bytes.size > INT_MAX ? NULL : BIO_new_mem_buf(bytes.data, (int)bytes.size);
}

enum fl_error fl_der_take(BIO *bio, struct fl_buffer *out, struct fl_context *ctx)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    enum fl_error error = FL_OK;

    if (size < 0)
        return fl_crypto_fail(ctx, "read a memory BIO");
    error = fl_buffer_append(out, data, (size_t)size);
    if (error != FL_OK)
        return fl_fail(ctx, error, "%ld bytes do not fit", size);
    return FL_OK;
}

enum fl_error fl_der_append(uint8_t *der, int size, const char *what, struct fl_buffer *out,
                            struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (size < 0)
        return fl_crypto_fail(ctx, what);
    error = fl_buffer_append(out, der, (size_t)size);
    OPENSSL_free(der);
    if (error != FL_OK)
        return fl_fail(ctx, error, "%s: %d bytes do not fit", what, size);
    return FL_OK;
}

enum fl_error fl_der_refuse(struct fl_context *ctx, enum fl_error error, const char *format, ...)
{
    char text[sizeof ctx->text];
    va_list args;

    ERR_clear_error();
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fl_fail(ctx, error, "%s", text);
}

enum fl_error fl_der_common_name(const X509_NAME *name, char *to, size_t size,
                                 struct fl_context *ctx)
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    unsigned char *utf8 = NULL;
    int length = 0;
    enum fl_error error = FL_OK;

    to[0] = 0;
    if (at < 0)
        return FL_OK;
    if (X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
        return fl_der_refuse(ctx, FL_EPARSE, "the subject has more than one common name");
    length = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (length < 0)
        return fl_der_refuse(ctx, FL_EPARSE, "the common name is not text");
    if (memchr(utf8, 0, (size_t)length) || !fl_slice_is_utf8(fl_slice(utf8, (size_t)length)))
        error = fl_der_refuse(ctx, FL_EPARSE, "the common name is not text");
    else if ((size_t)length >= size)
        error = fl_der_refuse(ctx, FL_EPARSE, "the common name is too long (%d octets)", length);
    else {
        memcpy(to, utf8, (size_t)length);
        to[length] = 0;
    }
    OPENSSL_free(utf8);
    return error;
}

enum fl_error fl_der_set_common_name(X509_NAME *name, const char *text, struct fl_context *ctx)
{
    if (strlen(text) > FL_CERT_CN_MAX)
        return fl_fail(ctx, FL_EINVAL, "a common name has at most %d octets", FL_CERT_CN_MAX);
    if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)text,
                                   -1, -1, 0) != 1)
        return fl_crypto_fail(ctx, "set the common name");
    return FL_OK;
}

const EVP_MD *fl_der_digest_for(const EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
}

enum fl_error fl_der_time(const ASN1_TIME *from, fl_time_t *to, struct fl_context *ctx)
{
    struct tm parts = {0};

    if (ASN1_TIME_to_tm(from, &parts) != 1)
        return fl_der_refuse(ctx, FL_EPARSE, "a certificate's time is malformed");
    *to = (fl_time_t)timegm(&parts) * 1000;
    return FL_OK;
}

enum fl_error fl_der_serial(const X509 *certificate, char to[FL_LIMIT_SERIAL_HEX],
                            struct fl_context *ctx)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    int size = ASN1_STRING_length(serial);

    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER || size < 1 || size > 20)
        return fl_der_refuse(ctx, FL_EPARSE, "a serial number is positive and of 1 to 20 octets");
    fl_hex(to, FL_LIMIT_SERIAL_HEX, fl_slice(ASN1_STRING_get0_data(serial), (size_t)size));
    return FL_OK;
}
