/* SPDX-License-Identifier: Apache-2.0
 *
 * Text for a terminal: made harmless, measured in columns, cut to fit. Harmless means that whatever
 * a device, a file or a hub sent can neither move the cursor nor reorder or hide other text:
 * controls (C0, C1, DEL), line breaks, bidirectional and zero-width characters and non-UTF-8 are
 * shown as \xNN or \u{NNNN}. Pure.
 */
#ifndef FL_CLI_TEXT_H
#define FL_CLI_TEXT_H

#include "base/buffer.h"

/* Appends `text` made harmless. */
enum fl_error fl_text_safe(struct fl_slice text, struct fl_buffer *out);

/* The terminal columns that well-formed UTF-8 takes: combining marks none, East Asian wide two. */
size_t fl_text_width(struct fl_slice text);

/* The longest head of `text` that takes at most `width` columns; whole characters. */
struct fl_slice fl_text_head(struct fl_slice text, size_t width);

/* True if the next character of `text` must be shown as an escape; `size` is its length in octets.
 * `text` must not be empty. */
bool fl_text_is_harmful(struct fl_slice text, uint32_t *code, size_t *size);

#endif
