/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries of a revocation list, as the signer reads them: never a crash, and what is read can be
 * written again as it was.
 */
#include "base/assert.h"
#include "trust/crl.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice rest = fl_slice(data, size);
    struct fl_buffer again = FL_BUFFER(FL_LIMIT_CRL_ENTRY);
    struct fl_crl_entry entry;

    for (;;) {
        const uint8_t *before = rest.data;

        if (fl_crl_next_entry(&rest, &entry) != FL_OK)
            break;
        fl_buffer_clear(&again);
        fl_assert(fl_crl_put_entry(&again, &entry) == FL_OK);
        fl_assert(memcmp(before, fl_buffer_slice(&again).data, again.size) == 0);
    }
    fl_buffer_free(&again);
    return 0;
}
