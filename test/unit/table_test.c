/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "cli/table.h"
#include "cli/text.h"

#include <stdlib.h>

static const struct fl_text_column columns[] = {
    {.title = "ID"},
    {.title = "REASON", .shrink_to = 4},
    {.title = "COUNT", .right = true, .may_go = true},
};

static void expect(struct fl_text_table *table, size_t width, bool color, const char *text)
{
    struct fl_buffer out = FL_BUFFER(65536);

    assert_ok(fl_text_table_print(table, width, color, &out));
    assert_string_equal(fl_buffer_str(&out), text);
    fl_buffer_free(&out);
}

static void set_up(struct fl_text_table *table)
{
    fl_text_table_init(table, columns, 3);
    fl_text_table_cell(table, FL_STYLE_NONE, "cam-01");
    fl_text_table_cell(table, FL_STYLE_BAD, "lost in the harbour");
    fl_text_table_cell(table, FL_STYLE_NONE, "%d", 7);
    fl_text_table_cell(table, FL_STYLE_NONE, "m");
    fl_text_table_cell(table, FL_STYLE_NONE, "%s", "");
    fl_text_table_cell(table, FL_STYLE_NONE, "%d", 12345);
}

static void columns_line_up_and_lines_end_with_text(void **state)
{
    struct fl_text_table table;
    (void)state;

    set_up(&table);
    assert_int_equal(fl_text_table_rows(&table), 2);
    expect(&table, 0, false,
           "ID      REASON               COUNT\n"
           "cam-01  lost in the harbour      7\n"
           "m                            12345\n");
    fl_text_table_free(&table);
}

static void what_is_too_wide_is_cut_with_a_mark(void **state)
{
    struct fl_text_table table;
    (void)state;

    set_up(&table);
    expect(&table, 25, false,
           "ID      REASON      COUNT\n"
           "cam-01  lost in t…      7\n"
           "m                   12345\n");
    fl_text_table_free(&table);
}

static void columns_go_only_when_cutting_is_not_enough(void **state)
{
    struct fl_text_table table;
    (void)state;

    set_up(&table);
    expect(&table, 14, false,
           "ID      REA…\n"
           "cam-01  los…\n"
           "m\n");
    /* Too narrow for what may not go: it is printed anyway. */
    expect(&table, 3, false,
           "ID      REA…\n"
           "cam-01  los…\n"
           "m\n");
    fl_text_table_free(&table);
}

static void colour_takes_no_columns(void **state)
{
    struct fl_text_table table;
    (void)state;

    set_up(&table);
    expect(&table, 0, true,
           "\033[2mID\033[0m      \033[2mREASON\033[0m               \033[2mCOUNT\033[0m\n"
           "cam-01  \033[1;31mlost in the harbour\033[0m      7\n"
           "m                            12345\n");
    fl_text_table_free(&table);
}

static void an_empty_table_is_its_titles(void **state)
{
    struct fl_text_table table;
    (void)state;

    fl_text_table_init(&table, columns, 3);
    expect(&table, 0, false, "ID  REASON  COUNT\n");
    fl_text_table_free(&table);
}

static void hostile_cells_cannot_leave_their_place(void **state)
{
    struct fl_text_table table;
    (void)state;

    fl_text_table_init(&table, columns, 1);
    fl_text_table_cell(&table, FL_STYLE_NONE, "%s", "a\033[2J\nb\r");
    expect(&table, 0, false, "ID\na\\x1b[2J\\x0ab\\x0d\n");
    fl_text_table_free(&table);
}

static void check_safe(const char *in, const char *out)
{
    struct fl_buffer safe = FL_BUFFER(1024);

    assert_ok(fl_text_safe(fl_slice_str(in), &safe));
    assert_string_equal(fl_buffer_str(&safe), out);
    fl_buffer_free(&safe);
}

static void what_hides_or_reorders_text_is_shown(void **state)
{
    (void)state;
    check_safe("21 °C \"quoted\" 日本", "21 °C \"quoted\" 日本");
    check_safe("\xC2\x9B"
               "31m",
               "\\x9b31m");                                /* C1 CSI */
    check_safe("gpj\xE2\x80\xAE.exe", "gpj\\u{202E}.exe"); /* right-to-left override */
    check_safe("a\xE2\x80\x8B"
               "b",
               "a\\u{200B}b");                     /* zero width */
    check_safe("\xFF\xC3", "\\xff\\xc3");          /* not UTF-8 */
    check_safe("\xED\xA0\x80", "\\xed\\xa0\\x80"); /* a surrogate */
    check_safe("\xF3\xA0\x81\x81", "\\u{E0041}");  /* a tag character */
}

static void width_is_in_columns(void **state)
{
    (void)state;
    assert_int_equal(fl_text_width(fl_slice_str("°C")), 2);
    assert_int_equal(fl_text_width(fl_slice_str("日本")), 4);
    assert_int_equal(fl_text_width(fl_slice_str("e\xCC\x81")), 1);
    assert_int_equal(fl_text_width(fl_slice_str("🚢")), 2);
    assert_int_equal(fl_text_width(fl_slice(NULL, 0)), 0);
    assert_slice_equal(fl_text_head(fl_slice_str("日本語"), 5), "日本");
    assert_slice_equal(fl_text_head(fl_slice_str("e\xCC\x81x"), 1), "e\xCC\x81");
    assert_slice_equal(fl_text_head(fl_slice_str("abc"), 9), "abc");
    assert_slice_equal(fl_text_head(fl_slice_str("abc"), 0), "");
}

static void a_buffer_that_is_full_is_reported(void **state)
{
    struct fl_text_table table;
    struct fl_buffer out = FL_BUFFER(10);
    (void)state;

    set_up(&table);
    assert_int_equal(fl_text_table_print(&table, 0, false, &out), FL_ENOMEM);
    fl_buffer_free(&out);
    fl_text_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_line_up_and_lines_end_with_text),
        cmocka_unit_test(what_is_too_wide_is_cut_with_a_mark),
        cmocka_unit_test(columns_go_only_when_cutting_is_not_enough),
        cmocka_unit_test(colour_takes_no_columns),
        cmocka_unit_test(an_empty_table_is_its_titles),
        cmocka_unit_test(hostile_cells_cannot_leave_their_place),
        cmocka_unit_test(what_hides_or_reorders_text_is_shown),
        cmocka_unit_test(width_is_in_columns),
        cmocka_unit_test(a_buffer_that_is_full_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
