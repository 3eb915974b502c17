/* SPDX-License-Identifier: Apache-2.0
 *
 * One line per event on stderr. As text, for a person:
 *     2026-11-22T07:19:48.123Z front warn tls: text key=value
 * or as a JSON object, for a program:
 *     {"time":"2026-11-22T07:19:48.123Z","level":"warn","process":"front","tag":"tls",
 *      "device":"cam-17","message":"..."}            (on one line; `device` when there is one)
 * The caller passes only printable text (fl_str_printable for anything from outside); as JSON
 * everything is escaped. Never logs secrets. The writer is a hook, so pure modules can log and
 * tests can listen; by default it writes to stderr.
 */
#ifndef FL_BASE_LOG_H
#define FL_BASE_LOG_H

#include "base/error.h"
#include "base/slice.h"

enum fl_log_level { FL_LOG_ERROR, FL_LOG_WARN, FL_LOG_INFO, FL_LOG_DEBUG };
enum fl_log_format { FL_LOG_TEXT, FL_LOG_JSON };

/* `process` names the process in every line and must outlive it. */
void fl_log_init(const char *process, enum fl_log_level level);
void fl_log_set_format(enum fl_log_format format);
void fl_log(enum fl_log_level level, const char *tag, const char *format, ...) FL_PRINTF(3, 4);
/* About one device: as text "DEVICE: text". */
void fl_log_device(enum fl_log_level level, const char *tag, struct fl_slice device,
                   const char *format, ...) FL_PRINTF(4, 5);

/* For tests; NULL goes back to stderr. */
void fl_log_set_writer(void (*writer)(enum fl_log_level level, const char *tag, const char *text));

/* What one line is made of. */
struct fl_log_line {
    int64_t time_ms; /* since the epoch */
    const char *process;
    enum fl_log_level level;
    const char *tag;
    struct fl_slice device; /* may be empty */
    struct fl_slice text;
};
/* The line as JSON with its end of line; text that does not fit is cut, the object is always whole.
 * Controls are escaped, what is not UTF-8 is shown as "\\xNN". `size` is at least FL_LOG_JSON_MIN
 * plus the process and the tag. Returns the length. */
#define FL_LOG_JSON_MIN 768
size_t fl_log_json(const struct fl_log_line *line, char *to, size_t size);

#endif
