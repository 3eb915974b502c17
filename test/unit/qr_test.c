/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "cli/qr.h"
#include "cli/text.h"

#include <png.h>
#include <stdlib.h>

static const char token[] =
    "fl1.AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIz";

/* Reads a drawing of half blocks back: 1 is light. Returns the number of columns. */
static size_t read_blocks(const char *text, uint8_t *light, size_t *rows)
{
    size_t columns = 0;
    struct fl_slice rest = fl_slice_str(text);
    struct fl_slice line;

    *rows = 0;
    while (fl_slice_cut(&rest, '\n', &line)) {
        columns = fl_text_width(line);
        for (size_t x = 0; x < columns; x++) {
            size_t size = line.data[0] == ' ' ? 1 : 3;
            uint8_t block = size == 1 ? 0 : line.data[2];
            light[*rows * columns + x] = block == 0x80 || block == 0x88;
            light[(*rows + 1) * columns + x] = block == 0x84 || block == 0x88;
            line = fl_slice_from(line, size);
        }
        *rows += 2;
    }
    return columns;
}

static void the_terminal_shows_every_module_and_the_quiet_zone(void **state)
{
    struct fl_qr qr = {0};
    struct fl_context ctx = {0};
    struct fl_buffer out = FL_BUFFER(1 << 20);
    uint8_t *light = calloc(200, 200);
    size_t rows = 0;
    size_t columns = 0;
    (void)state;

    assert_ok(fl_qr_make(token, &qr, &ctx));
    assert_ok(fl_qr_terminal(&qr, false, &out));
    columns = read_blocks(fl_buffer_str(&out), light, &rows);
    assert_int_equal(columns, qr.size + 8);
    assert_true(rows >= qr.size + 8 && rows <= qr.size + 9);
    for (size_t y = 0; y < qr.size + 8; y++)
        for (size_t x = 0; x < columns; x++) {
            bool inside = y >= 4 && x >= 4 && y < qr.size + 4 && x < qr.size + 4;
            bool dark = inside && qr.dark[(y - 4) * qr.size + x - 4];
            assert_int_equal(light[y * columns + x], !dark);
        }
    free(light);
    fl_buffer_free(&out);
    fl_qr_free(&qr);
}

static void in_colour_it_is_black_on_white_on_any_terminal(void **state)
{
    struct fl_qr qr = {0};
    struct fl_buffer out = FL_BUFFER(1 << 20);
    (void)state;

    assert_ok(fl_qr_make("x", &qr, NULL));
    assert_ok(fl_qr_terminal(&qr, true, &out));
    assert_memory_equal(out.data + out.start, "\033[40;97m", 8);
    assert_contains(fl_buffer_str(&out), "\033[0m\n");
    fl_buffer_free(&out);
    fl_qr_free(&qr);
}

static void the_png_holds_the_same_modules(void **state)
{
    struct fl_qr qr = {0};
    struct fl_buffer out = FL_BUFFER(1 << 20);
    png_image image = {.version = PNG_IMAGE_VERSION};
    uint8_t *pixels = NULL;
    size_t side = 0;
    (void)state;

    assert_ok(fl_qr_make(token, &qr, NULL));
    assert_ok(fl_qr_png(&qr, 3, &out));
    assert_true(png_image_begin_read_from_memory(&image, out.data + out.start, out.size));
    side = (qr.size + 8) * 3;
    assert_int_equal(image.width, side);
    assert_int_equal(image.height, side);
    image.format = PNG_FORMAT_GRAY;
    pixels = malloc(PNG_IMAGE_SIZE(image));
    assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    for (size_t y = 0; y < qr.size; y++)
        for (size_t x = 0; x < qr.size; x++)
            assert_int_equal(pixels[(y * 3 + 13) * side + x * 3 + 13] == 0,
                             qr.dark[y * qr.size + x]);
    assert_int_equal(pixels[0], 255);
    free(pixels);
    fl_buffer_free(&out);
    fl_qr_free(&qr);
}

static void the_svg_starts_and_ends_as_one(void **state)
{
    struct fl_qr qr = {0};
    struct fl_buffer out = FL_BUFFER(1 << 20);
    const char *text = NULL;
    (void)state;

    assert_ok(fl_qr_make(token, &qr, NULL));
    assert_ok(fl_qr_svg(&qr, &out));
    text = fl_buffer_str(&out);
    assert_memory_equal(text, "<svg xmlns", 10);
    assert_contains(text, "M4 4h7v1h-7z"); /* the top of the first finder pattern */
    assert_string_equal(text + strlen(text) - 7, "</svg>\n");
    fl_buffer_free(&out);
    fl_qr_free(&qr);
}

static void too_much_text_is_refused_with_words(void **state)
{
    struct fl_qr qr = {0};
    struct fl_context ctx = {0};
    char text[4096];
    struct fl_buffer small = FL_BUFFER(64);
    (void)state;

    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 0;
    assert_int_equal(fl_qr_make(text, &qr, &ctx), FL_ELIMIT);
    assert_contains(ctx.text, "too long");
    text[2331] = 0;
    assert_ok(fl_qr_make(text, &qr, &ctx));
    assert_int_equal(fl_qr_png(&qr, 8, &small), FL_ENOMEM);
    fl_buffer_clear(&small);
    assert_int_equal(fl_qr_svg(&qr, &small), FL_ENOMEM);
    fl_buffer_free(&small);
    fl_qr_free(&qr);
    fl_qr_free(&qr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_terminal_shows_every_module_and_the_quiet_zone),
        cmocka_unit_test(in_colour_it_is_black_on_white_on_any_terminal),
        cmocka_unit_test(the_png_holds_the_same_modules),
        cmocka_unit_test(the_svg_starts_and_ends_as_one),
        cmocka_unit_test(too_much_text_is_refused_with_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
