/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates, PKCS #7 and PEM from anywhere, each reader on the same bytes: never a crash; a
 * device certificate that passes has a valid id.
 */
#include "base/assert.h"
#include "trust/cert.h"
#include "trust/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum fl_error visit(void *to, struct fl_slice der)
{
    struct fl_cert_info info = {0};
    size_t *count = to;

    *count += 1;
    (void)!fl_cert_read(der, &info, NULL);
    return FL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice in = fl_slice(data, size);
    struct fl_cert_info info = {0};
    struct fl_context ctx = {0};
    EVP_PKEY *key = NULL;
    size_t count = 0;

    if (fl_cert_read(in, &info, &ctx) == FL_OK) {
        fl_assert(info.serial[0] != 0);
        fl_assert(info.kind != FL_CERT_DEVICE || fl_name_valid(fl_slice_str(info.name)));
    } else {
        fl_assert(ctx.text[0] != 0);
    }
    if (fl_pkcs7_each(in, visit, &count, NULL) == FL_OK)
        fl_assert(count > 0);
    count = 0;
    if (fl_cert_each_pem(in, visit, &count, NULL) == FL_OK)
        fl_assert(count > 0);
    if (fl_key_public_from_pem(in, &key, NULL) == FL_OK)
        (void)!fl_key_judge(key, NULL);
    EVP_PKEY_free(key);
    return 0;
}
