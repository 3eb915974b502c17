/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests from anywhere: never a crash; what passes has a key and a clean name.
 */
#include "base/assert.h"
#include "trust/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_csr_info info = {0};
    struct fl_context ctx = {0};

    if (fl_csr_check(fl_slice(data, size), &info, &ctx) == FL_OK) {
        fl_assert(info.key != NULL);
        fl_assert(fl_slice_is_utf8(fl_slice_str(info.name)));
        fl_csr_info_free(&info);
    } else {
        fl_assert(info.key == NULL && ctx.text[0] != 0);
    }
    return 0;
}
