/* SPDX-License-Identifier: Apache-2.0
 *
 * A sealed value from anywhere: it opens only if sealing what comes out gives the same octets.
 */
#include "base/assert.h"
#include "trust/reading_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[FL_DATAKEY_SIZE] = {3};
    struct fl_slice sealed =
        fl_slice(data, size < FL_READING_SEAL_SIZE ? size : FL_READING_SEAL_SIZE);
    struct fl_slice stream = fl_slice_from(fl_slice(data, size), sealed.size);
    uint8_t again[FL_READING_SEAL_SIZE];
    struct fl_reading_seal *seal = NULL;
    double value = 0;

    fl_assert(fl_reading_seal_create(key, &seal, NULL) == FL_OK);
    if (fl_reading_seal_open(seal, stream, 7, sealed, &value, NULL) == FL_OK) {
        fl_assert(fl_reading_seal_value(seal, stream, 7, value, again, NULL) == FL_OK);
        fl_assert(memcmp(again, sealed.data, sizeof again) == 0);
    }
    fl_reading_seal_free(seal);
    return 0;
}
