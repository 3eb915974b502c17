/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/qr.h"

#include "base/assert.h"

#include <errno.h>
#include <png.h>
#include <qrencode.h>
#include <stdlib.h>

#define QUIET 4

enum fl_error fl_qr_make(const char *text, struct fl_qr *qr, struct fl_context *ctx)
{
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    enum fl_error e = FL_OK;
    size_t count = 0;

    *qr = (struct fl_qr){0};
    if (!code)
        return errno == ERANGE ? fl_fail(ctx, FL_ELIMIT, "QR code: the text is too long")
                               : fl_fail(ctx, FL_EINVAL, "QR code: cannot be made of this text");
    qr->size = (size_t)code->width;
    count = qr->size * qr->size;
    qr->dark = malloc(count);
    if (qr->dark)
        for (size_t i = 0; i < count; i++)
            qr->dark[i] = code->data[i] & 1;
    else
        e = fl_fail(ctx, FL_ENOMEM, "QR code: out of memory");
    QRcode_free(code);
    return e;
}

void fl_qr_free(struct fl_qr *qr)
{
    if (qr->dark)
        explicit_bzero(qr->dark, qr->size * qr->size); /* it may be a token */
    free(qr->dark);
    *qr = (struct fl_qr){0};
}

/* A module by its place with the quiet zone; outside everything is light. */
static bool is_dark(const struct fl_qr *qr, size_t row, size_t column)
{
    if (row < QUIET || column < QUIET || row >= qr->size + QUIET || column >= qr->size + QUIET)
        return false;
    return qr->dark[(row - QUIET) * qr->size + column - QUIET] != 0;
}

enum fl_error fl_qr_terminal(const struct fl_qr *qr, bool color, struct fl_buffer *out)
{
    /* Upper light, lower light: of light blocks on dark ground. */
    static const char *const blocks[2][2] = {{" ", "\xE2\x96\x84"},
                                             {"\xE2\x96\x80", "\xE2\x96\x88"}};
    size_t side = qr->size + 2L * QUIET;

    for (size_t row = 0; row < side; row += 2) {
        if (color)
            fl_buffer_append_str(out, "\033[40;97m");
        for (size_t column = 0; column < side; column++)
            fl_buffer_append_str(
                out,
                blocks[!is_dark(qr, row, column)][row + 1 < side && !is_dark(qr, row + 1, column)]);
        fl_buffer_append_str(out, color ? "\033[0m\n" : "\n");
    }
    return out->failed ? FL_ENOMEM : FL_OK;
}

enum fl_error fl_qr_svg(const struct fl_qr *qr, struct fl_buffer *out)
{
    size_t side = qr->size + 2L * QUIET;

    fl_buffer_printf(out,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %zu %zu\" "
                     "width=\"%zu\" height=\"%zu\" shape-rendering=\"crispEdges\">\n"
                     "<path fill=\"#fff\" d=\"M0 0h%zuv%zuH0z\"/>\n<path d=\"",
                     side, side, 8 * side, 8 * side, side, side);
    for (size_t row = 0; row < side; row++)
        for (size_t column = 0; column < side; column++) {
            size_t run = 0;
            while (is_dark(qr, row, column + run))
                run++;
            if (run)
                fl_buffer_printf(out, "M%zu %zuh%zuv1h-%zuz", column, row, run, run);
            column += run;
        }
    fl_buffer_append_str(out, "\"/>\n</svg>\n");
    return out->failed ? FL_ENOMEM : FL_OK;
}

static void png_out(png_structp png, png_bytep data, png_size_t size)
{
    fl_buffer_append(png_get_io_ptr(png), data, size);
}

static void png_flushed(png_structp png)
{
    (void)png;
}

/* One scan line: a bit for each pixel, 1 is white. */
static void scan_line(const struct fl_qr *qr, size_t row, size_t module_pixels, uint8_t *line)
{
    size_t pixels = (qr->size + 2L * QUIET) * module_pixels;

    for (size_t x = 0; x < pixels; x++) {
        uint8_t bit = (uint8_t)(0x80U >> (x % 8));
        if (is_dark(qr, row, x / module_pixels))
            line[x / 8] &= (uint8_t)~bit;
        else
            line[x / 8] |= bit;
    }
}

enum fl_error fl_qr_png(const struct fl_qr *qr, size_t module_pixels, struct fl_buffer *out)
{
    size_t side = qr->size + 2L * QUIET;
    png_uint_32 pixels = (png_uint_32)(side * module_pixels);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    uint8_t *line = calloc(1, pixels / 8 + 1);

    fl_assert(module_pixels > 0 && module_pixels <= 64);
    if (!info || !line) {
        png_destroy_write_struct(&png, &info);
        free(line);
        return FL_ENOMEM;
    }
    if (setjmp(png_jmpbuf(png))) { /* how libpng reports */
        png_destroy_write_struct(&png, &info);
        free(line);
        return FL_EIO;
    }
    png_set_write_fn(png, out, png_out, png_flushed);
    png_set_IHDR(png, info, pixels, pixels, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (size_t y = 0; y < pixels; y++) {
        scan_line(qr, y / module_pixels, module_pixels, line);
        png_write_row(png, line);
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    free(line);
    return out->failed ? FL_ENOMEM : FL_OK;
}
