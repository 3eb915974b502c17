/* SPDX-License-Identifier: Apache-2.0
 *
 * A QR code of a text: drawn in a terminal (UTF-8 half blocks, two modules to a character), or as
 * the bytes of a PNG or an SVG. Error correction M, the quiet zone of four modules that the
 * standard asks for. Pure but for the memory of the code.
 */
#ifndef FL_CLI_QR_H
#define FL_CLI_QR_H

#include "base/buffer.h"

struct fl_qr {
    size_t size;   /* modules on a side, without the quiet zone */
    uint8_t *dark; /* size * size, row by row: 1 is dark */
};

/* FL_ELIMIT: more text than a code holds (2331 octets). */
FL_MUST_USE enum fl_error fl_qr_make(const char *text, struct fl_qr *qr, struct fl_context *ctx);
void fl_qr_free(struct fl_qr *qr);

/* With `color` black on white by escape sequences; without, light modules are drawn, which is right
 * on a dark terminal; most readers take the inverse too. */
FL_MUST_USE enum fl_error fl_qr_terminal(const struct fl_qr *qr, bool color, struct fl_buffer *out);
FL_MUST_USE enum fl_error fl_qr_png(const struct fl_qr *qr, size_t module_pixels,
                                    struct fl_buffer *out);
FL_MUST_USE enum fl_error fl_qr_svg(const struct fl_qr *qr, struct fl_buffer *out);

#endif
