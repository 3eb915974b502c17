/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens from anywhere: never a crash, and what decodes has exactly one text.
 */
#include "base/assert.h"
#include "codec/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
    struct fl_token token = {0};
    struct fl_context ctx = {0};
    struct fl_slice in = fl_slice(data, size);

    if (fl_token_decode(in, &token, &ctx) != FL_OK) {
        fl_assert(ctx.text[0] != 0);
        return 0;
    }
    fl_assert(fl_token_encode(&token, &text) == FL_OK);
    fl_assert(text.size <= size);
    fl_assert(memmem(data, size, fl_buffer_slice(&text).data, text.size) != NULL);
    fl_buffer_free(&text);
    return 0;
}
