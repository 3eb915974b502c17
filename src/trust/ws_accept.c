/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/ws_accept.h"

#include "base/base64.h"
#include "base/str.h"
#include "trust/key.h"

#include <openssl/evp.h>

#define KEY_TEXT_SIZE 24 /* 16 octets in base64 */

enum fl_error fl_ws_accept(struct fl_slice key, char accept[FL_WS_ACCEPT_SIZE],
                           struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(128);
    struct fl_buffer answer = FL_BUFFER(FL_WS_ACCEPT_SIZE);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    enum fl_error error = FL_EPARSE;

    if (key.size == KEY_TEXT_SIZE)
        error = fl_base64_decode(key, &text);
    if (error || text.size != 16) {
        fl_buffer_free(&text);
        return fl_fail(ctx, FL_EPARSE, "a WebSocket key is 16 octets in base64");
    }
    fl_buffer_clear(&text);
    (void)fl_buffer_append_slice(&text, key);
    error = fl_buffer_append_str(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    if (!error &&
        EVP_Digest(fl_buffer_slice(&text).data, text.size, digest, &size, EVP_sha1(), NULL) != 1)
        error = fl_crypto_fail(ctx, "WebSocket key");
    if (!error)
        error = fl_base64_encode(fl_slice(digest, size), 0, &answer);
    if (!error)
        (void)fl_str_copy_slice(accept, FL_WS_ACCEPT_SIZE, fl_buffer_slice(&answer));
    fl_buffer_free(&answer);
    fl_buffer_free(&text);
    return error;
}
