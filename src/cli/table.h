/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of text that fits a width. Cells are made harmless (cli/text) as they come in. When the
 * rows are wider than the width, the columns that may shrink do so, the widest first, and what was
 * cut ends in "…"; when that is not enough, columns that may go are left out from the right. A
 * width of 0 (a pipe) cuts nothing. It prints nothing but what fl_text_table_print is told to.
 */
#ifndef FL_CLI_TABLE_H
#define FL_CLI_TABLE_H

#include "base/buffer.h"

#define FL_TEXT_TABLE_COLUMNS 16

struct fl_text_column {
    const char *title;
    size_t shrink_to; /* 0: never cut */
    bool right;       /* numbers */
    bool may_go;
};

enum fl_text_style { FL_STYLE_NONE, FL_STYLE_GOOD, FL_STYLE_WARN, FL_STYLE_BAD, FL_STYLE_DIM };

struct fl_text_table {
    const struct fl_text_column *columns;
    size_t column_count;
    struct fl_text_cell {
        char *text;
        enum fl_text_style style;
    } * cells;
    size_t cell_count;
    size_t cell_capacity;
    bool failed; /* out of memory: fl_text_table_print says so */
};

void fl_text_table_init(struct fl_text_table *table, const struct fl_text_column *columns,
                        size_t count);
/* The next cell, row by row. */
void fl_text_table_cell(struct fl_text_table *table, enum fl_text_style style, const char *format,
                        ...) FL_PRINTF(3, 4);
size_t fl_text_table_rows(const struct fl_text_table *table);

/* Lines end in "\n" and have no trailing blanks. FL_ENOMEM. */
FL_MUST_USE enum fl_error fl_text_table_print(const struct fl_text_table *table, size_t width,
                                              bool color, struct fl_buffer *out);
void fl_text_table_free(struct fl_text_table *table);

/* The escape sequence that begins a style, "" for none; "\033[0m" ends it. */
const char *fl_style_on(enum fl_text_style style);

#endif
