/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/assert.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 1024
#define LINE_MAX (TEXT_MAX + 512 + 6 * TEXT_MAX) /* every octet escaped */
#define DEVICE_MAX 300
#define TAIL 4 /* what ends the object: a quote, a brace, the end of the line */

static struct {
    const char *process;
    enum fl_log_level level;
    enum fl_log_format format;
    void (*writer)(enum fl_log_level, const char *, const char *);
} log_state = {.process = "fairlead", .level = FL_LOG_INFO};

static const char *const names[] = {"error", "warn", "info", "debug"};

void fl_log_init(const char *process, enum fl_log_level level)
{
    log_state.process = process;
    log_state.level = level;
}

void fl_log_set_format(enum fl_log_format format)
{
    log_state.format = format;
}

void fl_log_set_writer(void (*writer)(enum fl_log_level, const char *, const char *))
{
    log_state.writer = writer;
}

/* --- as JSON --- */

/* The octets of the character that `text` begins with; 0: it is not UTF-8. */
static size_t character(struct fl_slice text)
{
    uint8_t lead = text.data[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    return size <= text.size && fl_slice_is_utf8(fl_slice(text.data, size)) ? size : 0;
}

/* Writes one character in at most 6 octets (8 of a stray one); returns how many. */
static size_t escape(struct fl_slice text, size_t size, char to[9])
{
    uint8_t c = text.data[0];

    if (size == 0)
        return (size_t)snprintf(to, 9, "\\\\x%02x", c);
    if (c == '"' || c == '\\')
        return (size_t)snprintf(to, 9, "\\%c", c);
    if (c < 0x20 || c == 0x7F)
        return (size_t)snprintf(to, 9, "\\u%04x", c);
    memcpy(to, text.data, size);
    return size;
}

static size_t put_text(char *to, size_t room, struct fl_slice text)
{
    size_t used = 0;

    while (text.size) {
        char escaped[9];
        size_t size = character(text);
        size_t count = escape(text, size, escaped);

        if (used + count > room)
            break;
        memcpy(to + used, escaped, count);
        used += count;
        text = fl_slice_from(text, size ? size : 1);
    }
    return used;
}

/* RFC 3339 with milliseconds, also when there are none. */
static const char *stamp(int64_t time_ms, char to[FL_TIME_TEXT_MAX])
{
    (void)fl_time_format(time_ms, to);
    if (time_ms % 1000 == 0)
        (void)snprintf(to + strlen(to) - 1, 6, ".000Z");
    return to;
}

size_t fl_log_json(const struct fl_log_line *line, char *to, size_t size)
{
    char when[FL_TIME_TEXT_MAX];
    struct fl_slice device =
        fl_slice(line->device.data, line->device.size < 64 ? line->device.size : 64);
    size_t used = (size_t)snprintf(
        to, size, "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"tag\":\"%s\"",
        stamp(line->time_ms, when), names[line->level], line->process, line->tag);

    if (device.size) {
        used += (size_t)snprintf(to + used, size - used, ",\"device\":\"");
        used += put_text(to + used, size - used - TAIL, device);
        to[used++] = '"';
    }
    used += (size_t)snprintf(to + used, size - used, ",\"message\":\"");
    used += put_text(to + used, size - used - TAIL, line->text);
    used += (size_t)snprintf(to + used, size - used, "\"}\n");
    return used;
}

/* --- one line --- */

static size_t as_text(const struct fl_log_line *line, char *to, size_t size)
{
    char when[FL_TIME_TEXT_MAX];
    int used = snprintf(to, size, "%s %s %s %s: %.*s%s%.*s\n", fl_time_format(line->time_ms, when),
                        line->process, names[line->level], line->tag, FL_SLICE_ARGS(line->device),
                        line->device.size ? ": " : "", FL_SLICE_ARGS(line->text));

    if (used < (int)size)
        return used > 0 ? (size_t)used : 0;
    to[size - 1] = '\n';
    return size;
}

static void write_line(enum fl_log_level level, const char *tag, struct fl_slice device,
                       const char *text)
{
    char out[LINE_MAX];
    struct timespec now = {0};
    struct fl_log_line line = {.process = log_state.process,
                               .level = level,
                               .tag = tag,
                               .device = device,
                               .text = fl_slice_str(text)};
    size_t size = 0;

    if (log_state.writer) {
        char both[TEXT_MAX + DEVICE_MAX];

        (void)snprintf(both, sizeof both, "%.*s%s%s", FL_SLICE_ARGS(device),
                       device.size ? ": " : "", text);
        log_state.writer(level, tag, both);
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    line.time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    size = log_state.format == FL_LOG_JSON ? fl_log_json(&line, out, sizeof out)
                                           : as_text(&line, out, sizeof out);
    /* One write per line, so that lines of several processes do not mix. A log that cannot be
     * written has nobody to tell. */
    if (write(STDERR_FILENO, out, size) < 0)
        return;
}

FL_PRINTF(4, 0)
static void write_words(enum fl_log_level level, const char *tag, struct fl_slice device,
                        const char *format, va_list args)
{
    char text[TEXT_MAX];

    if (level > log_state.level)
        return;
    (void)vsnprintf(text, sizeof text, format, args);
    write_line(level, tag, device, text);
}

void fl_log(enum fl_log_level level, const char *tag, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_words(level, tag, fl_slice(NULL, 0), format, args);
    va_end(args);
}

void fl_log_device(enum fl_log_level level, const char *tag, struct fl_slice device,
                   const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_words(level, tag, device, format, args);
    va_end(args);
}

void fl_assert_failed(const char *expression, const char *file, int line)
{
    fl_log(FL_LOG_ERROR, "assert", "%s:%d: %s", file, line, expression);
    abort();
}
