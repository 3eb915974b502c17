/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sensor.h"

#include "agent/csv.h"
#include "agent/host.h"
#include "agent/line.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LINES_PER_ROUND = 256, /* then the link gets its turn */
    READ_SIZE = 16384,
    COMPLAINTS_MAX = 5, /* about bad lines, in full; the rest is counted */
};

struct fl_sensor {
    struct fl_sensor_spec spec;
    struct fl_sensor_sink sink;
    struct fl_loop *loop;
    const struct fl_clock *clock;
    struct fl_timer timer;
    struct fl_watch watch;
    bool once;
    bool ended;

    /* file, stdin */
    int fd;
    bool at_end;
    bool overlong; /* the line being read is too long: its rest is passed over */
    struct fl_buffer pending;
    uint64_t lines;
    uint64_t bad;
    struct fl_csv csv;
    struct fl_csv_row row; /* read, not due yet, when its count is not 0 */
    bool started;
    fl_time_t first_t;    /* the file's time of the first row */
    fl_time_t started_at; /* our time then, ms since the epoch */
    fl_time_t started_on; /* the same, monotonic */
};

static struct fl_sensor *of_timer(struct fl_timer *timer)
{
    return fl_container_of(timer, struct fl_sensor, timer);
}

static void end(struct fl_sensor *s)
{
    if (s->ended)
        return;
    s->ended = true;
    fl_loop_stop_timer(s->loop, &s->timer);
    fl_loop_remove(s->loop, &s->watch);
    if (s->bad)
        fl_log(FL_LOG_WARN, "sensor", "%s: %llu of %llu lines could not be read",
               s->spec.kind == FL_SENSOR_FILE ? s->spec.path : "stdin", (unsigned long long)s->bad,
               (unsigned long long)s->lines);
    s->sink.ended(s->sink.self);
}

/* --- This machine ------------------------------------------------------------------------------
 */

struct measuring {
    struct fl_sensor *sensor;
    fl_time_t t;
    bool more;
};

static void host_value(void *to, const char *stream, double value)
{
    struct measuring *m = to;

    if (m->more)
        m->more = m->sensor->sink.reading(m->sensor->sink.self, stream, m->t, true, value);
}

static void host_fired(struct fl_timer *timer)
{
    struct fl_sensor *s = of_timer(timer);
    struct measuring m = {.sensor = s, .t = fl_clock_now(s->clock), .more = true};

    fl_host_measure("", host_value, &m);
    s->sink.batch(s->sink.self);
    if (s->once || !m.more)
        end(s);
    else
        fl_loop_set_timer(s->loop, &s->timer, s->spec.interval_ms);
}

/* --- Lines -------------------------------------------------------------------------------------
 */

static const char *source_name(const struct fl_sensor *s)
{
    return s->spec.kind == FL_SENSOR_FILE ? s->spec.path : "stdin";
}

static void complain(struct fl_sensor *s, const struct fl_context *why)
{
    if (++s->bad <= COMPLAINTS_MAX)
        fl_log(FL_LOG_WARN, "sensor", "%s:%llu: %s%s", source_name(s), (unsigned long long)s->lines,
               why->text, s->bad == COMPLAINTS_MAX ? " (further such lines are only counted)" : "");
}

/* Whether a read would not wait: standard input may be a terminal that others share, so its mode is
 * left alone. */
static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) != 0;
}

/* True when bytes came or the end was found. */
static bool fill(struct fl_sensor *s)
{
    uint8_t *room = NULL;
    ssize_t got = 0;

    if (s->at_end || !readable(s->fd))
        return false;
    room = fl_buffer_reserve(&s->pending, READ_SIZE);
    if (!room)
        return false;
    got = read(s->fd, room, READ_SIZE);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (got < 0)
        fl_log(FL_LOG_ERROR, "sensor", "%s: %s", source_name(s), strerror(errno));
    if (got > 0)
        fl_buffer_commit(&s->pending, (size_t)got);
    s->at_end = got <= 0;
    return true;
}

/* The next whole line, without "\n"; the last one may lack it. False: none yet, or no more. It
 * stays in the buffer: consume `taken` bytes when it is dealt with. */
static bool next_line(struct fl_sensor *s, struct fl_slice *line, size_t *taken)
{
    for (;;) {
        struct fl_slice all = fl_buffer_slice(&s->pending);
        const uint8_t *newline = all.size ? memchr(all.data, '\n', all.size) : NULL;
        struct fl_context why = {0};

        if (newline || (s->at_end && all.size)) {
            *line = fl_slice(all.data, newline ? (size_t)(newline - all.data) : all.size);
            *taken = line->size + (newline ? 1 : 0);
            if (!s->overlong)
                return true;
            s->overlong = false;
            fl_buffer_consume(&s->pending, *taken);
            continue;
        }
        if (all.size > FL_LIMIT_AGENT_LINE) {
            if (!s->overlong) {
                s->lines++;
                (void)fl_fail(&why, FL_ELIMIT, "a line of more than %d bytes", FL_LIMIT_AGENT_LINE);
                complain(s, &why);
            }
            s->overlong = true;
            fl_buffer_consume(&s->pending, all.size);
        }
        if (!fill(s))
            return false;
    }
}

/* --- A file ------------------------------------------------------------------------------------
 */

/* Reads on until there is a row with values; false at the end of the file. */
static bool next_row(struct fl_sensor *s)
{
    struct fl_slice line = {0};
    size_t taken = 0;

    while (next_line(s, &line, &taken)) {
        struct fl_context why = {0};
        enum fl_error error = FL_OK;

        s->lines++;
        error = fl_csv_line(&s->csv, line, &s->row, &why);
        fl_buffer_consume(&s->pending, taken);
        if (error)
            complain(s, &why);
        else if (s->row.count)
            return true;
        /* Without its first line nothing of the file can be understood. */
        if (error && s->csv.separator == 0)
            return false;
    }
    return false;
}

/* Milliseconds from the start of the replay to this row; rows from before the first are due at
 * once. */
static fl_time_t row_offset(const struct fl_sensor *s)
{
    double offset = (double)s->row.t - (double)s->first_t;

    if (s->spec.speed <= 0 || offset <= 0)
        return 0;
    return (fl_time_t)fmin(offset / s->spec.speed, 1e15);
}

static bool send_row(struct fl_sensor *s)
{
    fl_time_t t = s->started_at + row_offset(s);
    bool more = true;

    if (s->spec.original_time)
        t = s->row.t;
    else if (s->spec.speed <= 0)
        t = fl_clock_now(s->clock);
    for (size_t i = 0; i < s->row.count && more; i++)
        more = s->sink.reading(s->sink.self, s->row.values[i].stream, t, !s->spec.original_time,
                               s->row.values[i].value);
    s->row.count = 0;
    return more;
}

static void file_fired(struct fl_timer *timer)
{
    struct fl_sensor *s = of_timer(timer);
    fl_time_t wait = 0;
    bool more = true;
    int sent = 0;

    while (more && sent < LINES_PER_ROUND && wait <= 0) {
        if (s->row.count == 0 && !next_row(s)) {
            more = false;
            break;
        }
        if (!s->started) {
            s->started = true;
            s->first_t = s->row.t;
            s->started_at = fl_clock_now(s->clock);
            s->started_on = fl_clock_monotonic(s->clock);
        }
        wait = s->started_on + row_offset(s) - fl_clock_monotonic(s->clock);
        if (wait > 0)
            break;
        more = send_row(s);
        sent++;
    }
    if (sent)
        s->sink.batch(s->sink.self);
    if (!more)
        end(s);
    else
        fl_loop_set_timer(s->loop, &s->timer, wait > 0 ? wait : 0);
}

/* --- Standard input ----------------------------------------------------------------------------
 */

static bool send_line(struct fl_sensor *s, struct fl_slice text)
{
    struct fl_line line = {0};
    struct fl_context why = {0};
    fl_time_t now = fl_clock_now(s->clock);
    bool more = true;

    s->lines++;
    if (fl_line_parse(text, &line, &why) != FL_OK)
        complain(s, &why);
    for (size_t i = 0; i < line.count && more; i++)
        more = s->sink.reading(s->sink.self, line.values[i].stream, line.has_time ? line.t : now,
                               !line.has_time, line.values[i].value);
    return more;
}

static void stdin_fired(struct fl_timer *timer)
{
    struct fl_sensor *s = of_timer(timer);
    struct fl_slice line = {0};
    size_t taken = 0;
    int sent = 0;
    bool more = true;

    while (more && sent < LINES_PER_ROUND && next_line(s, &line, &taken)) {
        more = send_line(s, line);
        fl_buffer_consume(&s->pending, taken);
        sent++;
    }
    if (sent)
        s->sink.batch(s->sink.self);
    if (!more || (s->at_end && s->pending.size == 0))
        end(s);
    else if (sent == LINES_PER_ROUND || !s->watch.added)
        fl_loop_set_timer(s->loop, &s->timer, sent ? 0 : 100);
}

static void stdin_ready(struct fl_watch *watch, uint32_t events)
{
    struct fl_sensor *s = fl_container_of(watch, struct fl_sensor, watch);

    (void)events;
    if (!s->ended)
        stdin_fired(&s->timer);
}

/* --- Life --------------------------------------------------------------------------------------
 */

/* "/data/temperature.csv" names its stream "temperature". */
static void name_from_path(struct fl_sensor *s)
{
    const char *slash = strrchr(s->spec.path, '/');
    struct fl_slice name = fl_slice_str(slash ? slash + 1 : s->spec.path);
    struct fl_slice stem = {0};

    (void)fl_slice_cut(&name, '.', &stem);
    fl_csv_name(stem, s->csv.fallback);
    if (!s->csv.fallback[0])
        (void)fl_str_copy(s->csv.fallback, sizeof s->csv.fallback, "value");
    (void)fl_str_copy(s->csv.stream, sizeof s->csv.stream, s->spec.stream);
}

static enum fl_error open_file(struct fl_sensor *s, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    name_from_path(s);
    s->timer.fired = file_fired;
    s->fd = open(s->spec.path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (s->fd >= 0)
        return FL_OK;
    error = errno == ENOENT ? FL_ENOTFOUND : errno == EACCES ? FL_EDENIED : FL_EIO;
    return fl_fail(ctx, error, "sensor file: %s: %s", s->spec.path, strerror(errno));
}

/* A terminal or pipe is watched; a plain file, which epoll refuses, is always ready. */
static enum fl_error open_stdin(struct fl_sensor *s, struct fl_context *ctx)
{
    s->timer.fired = stdin_fired;
    s->watch.ready = stdin_ready;
    s->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    if (s->fd < 0)
        return fl_fail(ctx, FL_ENOTFOUND, "sensor stdin: standard input is closed");
    if (fl_loop_add(s->loop, &s->watch, s->fd, ctx) != FL_OK) {
        s->watch.added = false;
        if (ctx)
            ctx->text[0] = 0;
    }
    return FL_OK;
}

enum fl_error fl_sensor_open(struct fl_loop *loop, const struct fl_clock *clock,
                             const struct fl_sensor_spec *spec, bool once,
                             const struct fl_sensor_sink *sink, struct fl_sensor **sensor,
                             struct fl_context *ctx)
{
    struct fl_sensor *s = calloc(1, sizeof *s);
    enum fl_error error = FL_OK;

    if (!s)
        return fl_fail(ctx, FL_ENOMEM, "sensor: out of memory");
    s->spec = *spec;
    s->sink = *sink;
    s->loop = loop;
    s->clock = clock;
    s->once = once;
    s->fd = -1;
    s->pending = FL_BUFFER((size_t)FL_LIMIT_AGENT_LINE + (size_t)2 * READ_SIZE);
    s->timer.fired = host_fired;
    if (spec->kind == FL_SENSOR_FILE)
        error = open_file(s, ctx);
    else if (spec->kind == FL_SENSOR_STDIN)
        error = open_stdin(s, ctx);
    if (error) {
        fl_sensor_close(s);
        return error;
    }
    fl_loop_set_timer(loop, &s->timer, 0);
    *sensor = s;
    return FL_OK;
}

void fl_sensor_close(struct fl_sensor *sensor)
{
    if (!sensor)
        return;
    fl_loop_stop_timer(sensor->loop, &sensor->timer);
    fl_loop_remove(sensor->loop, &sensor->watch);
    if (sensor->fd >= 0)
        (void)close(sensor->fd);
    fl_buffer_free(&sensor->pending);
    free(sensor);
}
