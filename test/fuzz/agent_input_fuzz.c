/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/csv.h"
#include "agent/line.h"
#include "base/assert.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *stream, double value)
{
    fl_assert(fl_name_valid(fl_slice_str(stream)));
    fl_assert(isfinite(value));
}

/* The first byte chooses: a CSV file, the same with a stream chosen, lines of standard input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_csv csv = {.fallback = "value"};
    struct fl_slice rest = fl_slice(data, size);
    struct fl_slice text = {0};
    uint8_t mode = 0;

    if (size == 0)
        return 0;
    mode = data[0] % 3;
    rest = fl_slice_from(rest, 1);
    if (mode == 1)
        (void)fl_str_copy(csv.stream, sizeof csv.stream, "a");
    while (rest.size) {
        struct fl_csv_row row = {0};
        struct fl_line line = {0};
        struct fl_context ctx = {0};

        (void)fl_slice_cut(&rest, '\n', &text);
        if (mode == 2) {
            if (fl_line_parse(text, &line, &ctx) != FL_OK)
                fl_assert(line.count == 0 && ctx.text[0]);
            for (size_t i = 0; i < line.count; i++)
                check(line.values[i].stream, line.values[i].value);
            continue;
        }
        if (fl_csv_line(&csv, text, &row, &ctx) != FL_OK)
            fl_assert(row.count == 0 && ctx.text[0]);
        for (size_t i = 0; i < row.count; i++)
            check(row.values[i].stream, row.values[i].value);
    }
    return 0;
}
