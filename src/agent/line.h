/* SPDX-License-Identifier: Apache-2.0
 *
 * What a program writes to the agent's standard input, a line at a time: "STREAM VALUE", or a JSON
 * object of numbers whose members are streams; in it "t" may say when, as milliseconds since the
 * epoch or RFC 3339 text. Blank lines and lines that start with '#' say nothing. Pure.
 */
#ifndef FL_AGENT_LINE_H
#define FL_AGENT_LINE_H

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

struct fl_line {
    bool has_time;
    fl_time_t t; /* ms since the epoch, when it has one */
    size_t count;
    struct {
        char stream[FL_NAME_MAX + 1];
        double value;
    } values[FL_LIMIT_CSV_COLUMNS];
};

/* FL_EPARSE, FL_ELIMIT with words; then nothing of the line counts. */
FL_MUST_USE enum fl_error fl_line_parse(struct fl_slice text, struct fl_line *line,
                                        struct fl_context *ctx);

#endif
