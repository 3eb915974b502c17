/* SPDX-License-Identifier: Apache-2.0
 *
 * One line of a CSV file of measurements at a time. The first column, or the one called timestamp,
 * time, date or t, says when; every other is a stream named by the header. Without a header, or
 * with the single header "value", there is one stream, named by the caller. The separator is ',',
 * ';' or a tab, whichever the first line has; with ';' a decimal comma is read. Empty cells, "NA"
 * and "NaN" are left out. Times: RFC 3339, "2014-07-10 00:15[:01[.5]]" (UTC), or a number: seconds
 * since the epoch, or milliseconds when it is 100 billion or more. Pure; nothing is allocated.
 */
#ifndef FL_AGENT_CSV_H
#define FL_AGENT_CSV_H

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

struct fl_csv {
    char stream[FL_NAME_MAX + 1]; /* the caller's: the only stream's name, or which column to take;
                                     empty: the columns' own names */
    char fallback[FL_NAME_MAX + 1]; /* the caller's: for a column without a name of its own */
    char separator;                 /* 0: the first line has not been seen */
    size_t columns;
    size_t time_column;
    char streams[FL_LIMIT_CSV_COLUMNS][FL_NAME_MAX + 1]; /* empty: not taken */
};

struct fl_csv_row {
    fl_time_t t; /* ms since the epoch */
    size_t count;
    struct {
        const char *stream; /* points into the fl_csv */
        double value;
    } values[FL_LIMIT_CSV_COLUMNS];
};

/* `csv` is zero-initialised but for the caller's members. A line comes without its "\n". `row`
 * stays empty for blank lines and the header. FL_EPARSE, FL_ELIMIT, FL_ENOTFOUND (no column of the
 * wanted name), with words; the next line may be good again. */
FL_MUST_USE enum fl_error fl_csv_line(struct fl_csv *csv, struct fl_slice line,
                                      struct fl_csv_row *row, struct fl_context *ctx);

/* Any of the forms above. */
FL_MUST_USE enum fl_error fl_csv_time(struct fl_slice text, fl_time_t *t);

/* A name made of `text`: what may not be in one becomes '_'; empty when nothing is left. */
void fl_csv_name(struct fl_slice text, char to[FL_NAME_MAX + 1]);

/* A finite decimal number and nothing else (no hexadecimal, no "inf"); `comma` also ends the whole
 * part. */
FL_MUST_USE enum fl_error fl_csv_number(struct fl_slice text, bool comma, double *value);

#endif
