/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/csv.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

enum { EPOCH_MS_FROM = 100000000 }; /* times 1000: a number from here on is milliseconds */

static struct fl_slice trim(struct fl_slice s)
{
    while (s.size && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = fl_slice_from(s, 1);
    while (s.size &&
           (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t' || s.data[s.size - 1] == '\r'))
        s.size--;
    return s;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

enum fl_error fl_csv_number(struct fl_slice text, bool comma, double *value)
{
    char copy[64];
    size_t digits = 0;
    char *end = NULL;

    if (text.size == 0 || text.size >= sizeof copy)
        return FL_EPARSE;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (comma && c == ',')
            c = '.';
        if (!is_digit(c) && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E')
            return FL_EPARSE;
        digits += is_digit(c);
        copy[i] = (char)c;
    }
    copy[text.size] = 0;
    *value = strtod(copy, &end);
    return digits && *end == 0 && isfinite(*value) ? FL_OK : FL_EPARSE;
}

/* "2014-07-10 00:15[:01[.5]]" as RFC 3339; the parser there judges the rest. */
static enum fl_error plain_time(struct fl_slice text, fl_time_t *t)
{
    static const char no_seconds[] = {':', '0', '0'};
    char copy[40];
    size_t size = text.size;

    if (size < 16 || size > 30 || (text.data[10] != ' ' && text.data[10] != 'T'))
        return FL_EPARSE;
    memcpy(copy, text.data, size);
    copy[10] = 'T';
    if (size == 16) {
        memcpy(copy + size, no_seconds, sizeof no_seconds);
        size += sizeof no_seconds;
    }
    /* What has a zone is taken as it is. */
    if (!memchr(copy + 10, 'Z', size - 10) && !memchr(copy + 10, '+', size - 10) &&
        !memchr(copy + 10, '-', size - 10))
        copy[size++] = 'Z';
    return fl_time_parse(fl_slice(copy, size), t);
}

enum fl_error fl_csv_time(struct fl_slice text, fl_time_t *t)
{
    double number = 0;

    if (fl_csv_number(text, false, &number) != FL_OK)
        return plain_time(text, t);
    if (fabs(number) < (double)EPOCH_MS_FROM * 1000)
        number *= 1000;
    if (fabs(number) > 253402300799999.0) /* the end of the year 9999 */
        return FL_EPARSE;
    *t = (fl_time_t)llround(number);
    return FL_OK;
}

void fl_csv_name(struct fl_slice text, char to[FL_NAME_MAX + 1])
{
    size_t size = 0;

    for (size_t i = 0; i < text.size && size < FL_NAME_MAX; i++) {
        char c = (char)text.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit((uint8_t)c);

        if (plain || (size && strchr("._-", c) && c))
            to[size++] = c;
        else if (size && to[size - 1] != '_')
            to[size++] = '_';
    }
    while (size && to[size - 1] == '_')
        size--;
    to[size] = 0;
}

/* The next field of the line; quotes around it are taken off. */
static enum fl_error take_field(struct fl_slice *line, char separator, struct fl_slice *field,
                                bool *last)
{
    struct fl_slice inside = trim(*line);

    if (inside.size && inside.data[0] == '"') {
        inside = fl_slice_from(inside, 1);
        if (!memchr(inside.data, '"', inside.size))
            return FL_EPARSE;
        (void)fl_slice_cut(&inside, '"', field);
        *line = inside;
        *last = !fl_slice_cut(line, (uint8_t)separator, &inside);
        return trim(inside).size ? FL_EPARSE : FL_OK;
    }
    *last = !fl_slice_cut(line, (uint8_t)separator, field);
    *field = trim(*field);
    return FL_OK;
}

static enum fl_error split(struct fl_slice line, char separator,
                           struct fl_slice fields[FL_LIMIT_CSV_COLUMNS], size_t *count,
                           struct fl_context *ctx)
{
    bool last = false;

    *count = 0;
    while (!last) {
        if (*count == FL_LIMIT_CSV_COLUMNS)
            return fl_fail(ctx, FL_ELIMIT, "more than %d columns", FL_LIMIT_CSV_COLUMNS);
        if (take_field(&line, separator, &fields[*count], &last) != FL_OK)
            return fl_fail(ctx, FL_EPARSE, "column %zu: a quote is not closed", *count + 1);
        ++*count;
    }
    return FL_OK;
}

static char find_separator(struct fl_slice line)
{
    static const char candidates[] = {';', '\t', ','};

    for (size_t i = 0; i < sizeof candidates; i++)
        if (line.size && memchr(line.data, candidates[i], line.size))
            return candidates[i];
    return ',';
}

static bool is_time_name(struct fl_slice name)
{
    static const char *const names[] = {"timestamp", "time", "date", "datetime", "t"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (name.size == strlen(names[i]) &&
            strncasecmp((const char *)name.data, names[i], name.size) == 0)
            return true;
    return false;
}

/* A first line that already is data: the streams have no names but the caller's. */
static enum fl_error no_header(struct fl_csv *csv, struct fl_context *ctx)
{
    if (csv->columns != 2)
        return fl_fail(ctx, FL_EPARSE,
                       "%zu columns without a header: the first line must name them", csv->columns);
    (void)fl_str_copy(csv->streams[1], sizeof csv->streams[1],
                      csv->stream[0] ? csv->stream : csv->fallback);
    return FL_OK;
}

static enum fl_error name_columns(struct fl_csv *csv, const struct fl_slice *fields,
                                  struct fl_context *ctx)
{
    size_t taken = 0;

    for (size_t i = 0; i < csv->columns; i++)
        if (is_time_name(fields[i])) {
            csv->time_column = i;
            break;
        }
    for (size_t i = 0; i < csv->columns; i++) {
        char *name = csv->streams[i];

        if (i == csv->time_column)
            continue;
        fl_csv_name(fields[i], name);
        if (csv->columns == 2 && (csv->stream[0] || !name[0] || strcmp(name, "value") == 0))
            (void)fl_str_copy(name, sizeof csv->streams[i],
                              csv->stream[0] ? csv->stream : csv->fallback);
        else if (csv->stream[0] && strcmp(name, csv->stream) != 0)
            name[0] = 0;
        taken += name[0] != 0;
    }
    if (taken == 0 && csv->stream[0])
        return fl_fail(ctx, FL_ENOTFOUND, "the header has no column '%s'", csv->stream);
    return taken ? FL_OK : fl_fail(ctx, FL_EPARSE, "the header names no stream");
}

static enum fl_error first_line(struct fl_csv *csv, const struct fl_slice *fields, bool *header,
                                struct fl_context *ctx)
{
    fl_time_t t = 0;
    enum fl_error error = FL_OK;

    *header = fl_csv_time(fields[0], &t) != FL_OK;
    if (csv->columns < 2)
        error = fl_fail(ctx, FL_EPARSE, "one column: a time and a value are needed");
    else
        error = *header ? name_columns(csv, fields, ctx) : no_header(csv, ctx);
    if (error)
        csv->separator = 0;
    return error;
}

static bool is_missing(struct fl_slice cell)
{
    return cell.size == 0 ||
           (cell.size == 2 && strncasecmp((const char *)cell.data, "na", 2) == 0) ||
           (cell.size == 3 && strncasecmp((const char *)cell.data, "nan", 3) == 0);
}

static enum fl_error read_cells(const struct fl_csv *csv, const struct fl_slice *fields,
                                struct fl_csv_row *row, struct fl_context *ctx)
{
    char shown[80];

    if (fl_csv_time(fields[csv->time_column], &row->t) != FL_OK)
        return fl_fail(ctx, FL_EPARSE, "column %zu: '%s' is not a time", csv->time_column + 1,
                       fl_str_printable(shown, sizeof shown, fields[csv->time_column]));
    for (size_t i = 0; i < csv->columns; i++) {
        double value = 0;

        if (!csv->streams[i][0] || is_missing(fields[i]))
            continue;
        if (fl_csv_number(fields[i], csv->separator == ';', &value) != FL_OK)
            return fl_fail(ctx, FL_EPARSE, "column %zu: '%s' is not a number", i + 1,
                           fl_str_printable(shown, sizeof shown, fields[i]));
        row->values[row->count].stream = csv->streams[i];
        row->values[row->count++].value = value;
    }
    return FL_OK;
}

enum fl_error fl_csv_line(struct fl_csv *csv, struct fl_slice line, struct fl_csv_row *row,
                          struct fl_context *ctx)
{
    struct fl_slice fields[FL_LIMIT_CSV_COLUMNS] = {{0}};
    bool first = csv->separator == 0;
    bool header = false;
    size_t count = 0;
    enum fl_error error = FL_OK;

    row->count = 0;
    if (first && line.size >= 3 && memcmp(line.data, "\xEF\xBB\xBF", 3) == 0)
        line = fl_slice_from(line, 3);
    if (trim(line).size == 0)
        return FL_OK;
    if (line.size > FL_LIMIT_AGENT_LINE)
        return fl_fail(ctx, FL_ELIMIT, "a line of more than %d bytes", FL_LIMIT_AGENT_LINE);
    if (first)
        csv->separator = find_separator(line);
    error = split(line, csv->separator, fields, &count, ctx);
    if (!error && first) {
        csv->columns = count;
        error = first_line(csv, fields, &header, ctx);
        if (error || header)
            return error;
    }
    if (error) {
        csv->separator = first ? 0 : csv->separator;
        return error;
    }
    if (count != csv->columns)
        return fl_fail(ctx, FL_EPARSE, "%zu columns where the first line has %zu", count,
                       csv->columns);
    error = read_cells(csv, fields, row, ctx);
    if (error)
        row->count = 0;
    return error;
}
