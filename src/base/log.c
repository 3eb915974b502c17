/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/assert.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct {
    const char *process;
    enum fl_log_level level;
    void (*writer)(enum fl_log_level, const char *, const char *);
} log_state = {.process = "fairlead", .level = FL_LOG_INFO};

void fl_log_init(const char *process, enum fl_log_level level)
{
    log_state.process = process;
    log_state.level = level;
}

void fl_log_set_writer(void (*writer)(enum fl_log_level, const char *, const char *))
{
    log_state.writer = writer;
}

void fl_log(enum fl_log_level level, const char *tag, const char *format, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char text[1024];
    char line[1200];
    char when[FL_TIME_TEXT_MAX];
    struct timespec now = {0};
    va_list args;
    int size = 0;

    if (level > log_state.level)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (log_state.writer) {
        log_state.writer(level, tag, text);
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    size = snprintf(line, sizeof line, "%s %s %s %s: %s\n",
                    fl_time_format((fl_time_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, when),
                    log_state.process, names[level], tag, text);
    if (size >= (int)sizeof line) {
        size = (int)sizeof line;
        line[size - 1] = '\n';
    }
    /* One write per line, so that lines of several processes do not mix. A log that cannot be
     * written has nobody to tell. */
    if (write(STDERR_FILENO, line, (size_t)size) < 0)
        return;
}

void fl_assert_failed(const char *expression, const char *file, int line)
{
    fl_log(FL_LOG_ERROR, "assert", "%s:%d: %s", file, line, expression);
    abort();
}
