/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "codec/tss2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read can be written and is read again as the same key. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_buffer der = FL_BUFFER(16384);
    struct fl_buffer der_again = FL_BUFFER(16384);
    struct fl_buffer pem = FL_BUFFER(16384);
    struct fl_tss2_key key = {0};
    struct fl_tss2_key again = {0};
    struct fl_context ctx = {0};

    if (fl_tss2_from_pem(fl_slice(data, size), &der, &key, &ctx) == FL_OK) {
        fl_assert(fl_tss2_to_pem(&key, &pem, &ctx) == FL_OK);
        fl_assert(fl_tss2_from_pem(fl_buffer_slice(&pem), &der_again, &again, &ctx) == FL_OK);
        fl_assert(again.parent == key.parent);
        fl_assert(fl_slice_equal(again.public_area, key.public_area));
        fl_assert(fl_slice_equal(again.private_area, key.private_area));
    }
    fl_buffer_free(&pem);
    fl_buffer_free(&der_again);
    fl_buffer_free(&der);
    return 0;
}
