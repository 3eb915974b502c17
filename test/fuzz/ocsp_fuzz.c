/* SPDX-License-Identifier: Apache-2.0
 *
 * OCSP requests from anywhere: never a crash; what passes names one to a few serials of the one
 * authority. Its name and key are those of the corpus: hashes of nothing but zeros, so that
 * mutations come far.
 */
#include "base/assert.h"
#include "trust/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fl_ocsp_issuer issuer;
    struct fl_ocsp_question q;
    struct fl_context ctx = {0};
    size_t at = 0;

    if (fl_ocsp_read(fl_slice(data, size), &issuer, &q, &ctx) != FL_OK) {
        fl_assert(ctx.text[0] != 0);
        return 0;
    }
    fl_assert(q.count >= 1 && q.count <= FL_LIMIT_OCSP_IDS);
    for (size_t i = 0; i < q.count; i++) {
        fl_assert(q.serials[at] >= 1 && q.serials[at] <= FL_SERIAL_MAX && q.serials[at + 1] != 0);
        at += 1 + (size_t)q.serials[at];
    }
    fl_assert(at == q.serials_size);
    return 0;
}
