/* SPDX-License-Identifier: Apache-2.0
 *
 * A data key file from anywhere: never a crash; what is taken for a key comes back from its PEM,
 * and what is refused leaves only zeroes.
 */
#include "base/assert.h"
#include "trust/datakey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zeroes[FL_DATAKEY_SIZE];
    struct fl_buffer pem = FL_BUFFER(4096);
    uint8_t key[FL_DATAKEY_SIZE];
    uint8_t again[FL_DATAKEY_SIZE];

    memset(key, 'x', sizeof key);
    if (fl_datakey_from_pem(fl_slice(data, size), key, NULL) == FL_OK) {
        fl_assert(fl_datakey_to_pem(key, &pem, NULL) == FL_OK);
        fl_assert(fl_datakey_from_pem(fl_buffer_slice(&pem), again, NULL) == FL_OK);
        fl_assert(memcmp(key, again, sizeof key) == 0);
    } else {
        fl_assert(memcmp(key, zeroes, sizeof key) == 0);
    }
    fl_buffer_free(&pem);
    return 0;
}
