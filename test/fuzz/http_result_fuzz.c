/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary bytes as an HTTP response: read in one piece and octet by octet it comes out the same.
 */
#include "base/assert.h"
#include "codec/http_result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_http_result whole = {0};
    struct fl_http_result parts = {0};
    enum fl_error first = FL_OK;
    enum fl_error second = FL_EMORE;

    fl_http_result_begin(&whole, 1 << 16);
    fl_http_result_begin(&parts, 1 << 16);
    first = fl_http_result_read(&whole, fl_slice(data, size), NULL);
    for (size_t i = 0; i < size && second == FL_EMORE; i++)
        second = fl_http_result_read(&parts, fl_slice(data + i, 1), NULL);
    if (first == FL_OK) {
        fl_assert(second == FL_OK && whole.status == parts.status);
        fl_assert(fl_slice_equal(fl_buffer_slice(&whole.content), fl_buffer_slice(&parts.content)));
    }
    fl_http_result_free(&whole);
    fl_http_result_free(&parts);
    return 0;
}
