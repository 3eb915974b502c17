/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer to a WebSocket key (RFC 6455 section 4.2.2): it shows that the server understood the
 * request, and nothing more. No secret and no identity rests on it, so SHA-1 does no harm here.
 */
#ifndef FL_TRUST_WS_ACCEPT_H
#define FL_TRUST_WS_ACCEPT_H

#include "base/buffer.h"

#define FL_WS_ACCEPT_SIZE 29 /* 28 characters and the terminator */

/* FL_EPARSE: the key is not 16 octets in base64. */
FL_MUST_USE enum fl_error fl_ws_accept(struct fl_slice key, char accept[FL_WS_ACCEPT_SIZE],
                                       struct fl_context *ctx);

#endif
