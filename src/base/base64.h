/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64 (RFC 4648): the standard alphabet with padding, and base64url without padding. Decoding is
 * strict but for ASCII white space, which the standard form skips (EST clients wrap lines, RFC
 * 8951).
 */
#ifndef FL_BASE_BASE64_H
#define FL_BASE_BASE64_H

#include "base/buffer.h"

/* `wrap` is a line length (0: one line); lines end in "\n", the last too when wrapped. */
enum fl_error fl_base64_encode(struct fl_slice in, size_t wrap, struct fl_buffer *out);
FL_MUST_USE enum fl_error fl_base64_decode(struct fl_slice text, struct fl_buffer *out);

enum fl_error fl_base64url_encode(struct fl_slice in, struct fl_buffer *out);
FL_MUST_USE enum fl_error fl_base64url_decode(struct fl_slice text, struct fl_buffer *out);

#endif
