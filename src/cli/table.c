/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include "base/assert.h"
#include "cli/text.h"

#include <stdio.h>
#include <stdlib.h>

#define GAP 2
#define CELL_MAX 4096
#define GONE SIZE_MAX

void fl_text_table_init(struct fl_text_table *table, const struct fl_text_column *columns,
                        size_t count)
{
    fl_assert(count > 0 && count <= FL_TEXT_TABLE_COLUMNS);
    *table = (struct fl_text_table){.columns = columns, .column_count = count};
}

void fl_text_table_free(struct fl_text_table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i].text);
    free(table->cells);
    *table = (struct fl_text_table){0};
}

static bool grow(struct fl_text_table *table)
{
    size_t capacity = table->cell_capacity ? 2 * table->cell_capacity : 64;
    struct fl_text_cell *cells = NULL;

    if (table->cell_count < table->cell_capacity)
        return true;
    cells = reallocarray(table->cells, capacity, sizeof *cells);
    if (!cells)
        return false;
    table->cells = cells;
    table->cell_capacity = capacity;
    return true;
}

void fl_text_table_cell(struct fl_text_table *table, enum fl_text_style style, const char *format,
                        ...)
{
    char raw[CELL_MAX];
    struct fl_buffer safe = FL_BUFFER(8L * CELL_MAX);
    const char *text = NULL;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    fl_text_safe(fl_slice_str(raw), &safe);
    text = fl_buffer_str(&safe);
    if (!text || safe.failed || !grow(table)) {
        table->failed = true;
    } else {
        struct fl_text_cell *cell = &table->cells[table->cell_count];
        *cell = (struct fl_text_cell){.text = strdup(text), .style = style};
        if (cell->text)
            table->cell_count++;
        else
            table->failed = true;
    }
    fl_buffer_free(&safe);
}

size_t fl_text_table_rows(const struct fl_text_table *table)
{
    return table->cell_count / table->column_count;
}

const char *fl_style_on(enum fl_text_style style)
{
    static const char *const on[] = {
        [FL_STYLE_NONE] = "",          [FL_STYLE_GOOD] = "\033[32m", [FL_STYLE_WARN] = "\033[33m",
        [FL_STYLE_BAD] = "\033[1;31m", [FL_STYLE_DIM] = "\033[2m",
    };

    return on[style];
}

static size_t total(const size_t *widths, size_t count)
{
    size_t sum = 0;

    for (size_t i = 0; i < count; i++)
        if (widths[i] != GONE)
            sum += widths[i] + (sum ? GAP : 0);
    return sum;
}

/* The widest column that may still shrink, or NULL. */
static size_t *widest(const struct fl_text_table *table, size_t *widths)
{
    size_t *found = NULL;

    for (size_t i = 0; i < table->column_count; i++) {
        size_t least = table->columns[i].shrink_to;
        if (least && widths[i] != GONE && widths[i] > least && (!found || widths[i] > *found))
            found = &widths[i];
    }
    return found;
}

static void fit(const struct fl_text_table *table, size_t width, size_t *widths)
{
    size_t *column = NULL;

    while (total(widths, table->column_count) > width && (column = widest(table, widths)) != NULL)
        (*column)--;
    for (size_t i = table->column_count; i-- > 0 && total(widths, table->column_count) > width;)
        if (table->columns[i].may_go)
            widths[i] = GONE;
}

struct row_print {
    struct fl_buffer *out;
    bool color;
    bool first;
    size_t pending; /* blanks owed before the next visible text */
};

static void blanks(struct fl_buffer *out, size_t count)
{
    while (count-- > 0)
        fl_buffer_append_byte(out, ' ');
}

static void print_cell(struct row_print *row, const char *text, enum fl_text_style style,
                       size_t width, bool right)
{
    struct fl_slice whole = fl_slice_str(text);
    size_t needs = fl_text_width(whole);
    bool cut = needs > width;
    struct fl_slice shown = cut && width > 0 ? fl_text_head(whole, width - 1) : whole;
    size_t used = cut ? fl_text_width(shown) + 1 : needs;
    bool styled = row->color && style != FL_STYLE_NONE;

    row->pending += row->first ? 0 : GAP;
    row->first = false;
    if (right)
        row->pending += width - used;
    if (used > 0) {
        blanks(row->out, row->pending);
        row->pending = 0;
        if (styled)
            fl_buffer_append_str(row->out, fl_style_on(style));
        fl_buffer_append_slice(row->out, shown);
        if (cut)
            fl_buffer_append_str(row->out, "\xE2\x80\xA6");
        if (styled)
            fl_buffer_append_str(row->out, "\033[0m");
    }
    if (!right)
        row->pending += width - used;
}

enum fl_error fl_text_table_print(const struct fl_text_table *table, size_t width, bool color,
                                  struct fl_buffer *out)
{
    size_t widths[FL_TEXT_TABLE_COLUMNS] = {0};
    size_t count = table->column_count;
    size_t rows = fl_text_table_rows(table);

    fl_assert(table->failed || table->cell_count % count == 0);
    for (size_t c = 0; c < count; c++) {
        widths[c] = fl_text_width(fl_slice_str(table->columns[c].title));
        for (size_t r = 0; r < rows; r++) {
            size_t needs = fl_text_width(fl_slice_str(table->cells[r * count + c].text));
            widths[c] = needs > widths[c] ? needs : widths[c];
        }
    }
    if (width)
        fit(table, width, widths);
    for (size_t r = 0; r <= rows; r++) {
        struct row_print row = {.out = out, .color = color, .first = true};
        for (size_t c = 0; c < count; c++) {
            const struct fl_text_cell *cell = r ? &table->cells[(r - 1) * count + c] : NULL;
            if (widths[c] != GONE)
                print_cell(&row, cell ? cell->text : table->columns[c].title,
                           cell ? cell->style : FL_STYLE_DIM, widths[c], table->columns[c].right);
        }
        fl_buffer_append_byte(out, '\n');
    }
    return table->failed || out->failed ? FL_ENOMEM : FL_OK;
}
