/* SPDX-License-Identifier: Apache-2.0
 * The page of `fairlead top`, and the same as JSON. */
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/top_view.h"

#include <math.h>

#define TITLE 12

struct page {
    struct fl_buffer *out;
    size_t width; /* 0: no bound */
    size_t height;
    size_t column;
    size_t row;
    bool color;
};

/* Appends to the line as much as fits. */
static void put(struct page *p, enum fl_text_style style, const char *format, ...) FL_PRINTF(3, 4);

static void put(struct page *p, enum fl_text_style style, const char *format, ...)
{
    char text[256];
    struct fl_slice fits = {0};
    const char *on = p->color ? fl_style_on(style) : "";
    va_list args;

    if (p->height && p->row >= p->height)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fits = fl_slice_str(text);
    if (p->width)
        fits = fl_text_head(fits, p->width > p->column ? p->width - p->column : 0);
    if (fits.size == 0)
        return;
    p->column += fl_text_width(fits);
    (void)fl_buffer_append_str(p->out, on);
    (void)fl_buffer_append_slice(p->out, fits);
    if (on[0])
        (void)fl_buffer_append_str(p->out, "\033[0m");
}

static void end_line(struct page *p)
{
    if (!p->height || p->row < p->height)
        (void)fl_buffer_append_byte(p->out, '\n');
    p->row++;
    p->column = 0;
}

static void title(struct page *p, const char *name)
{
    put(p, FL_STYLE_DIM, "%-*s", TITLE, name);
}

/* "  name value", the value right-aligned in four. */
static void number(struct page *p, const char *name, double value, enum fl_text_style style)
{
    char text[FL_TOP_NUMBER];

    put(p, FL_STYLE_NONE, "  %s ", name);
    put(p, style, "%4s", fl_top_number(value, text));
}

static double rate(const struct fl_top_view *v, uint64_t count)
{
    return v->seconds > 0 ? (double)count / v->seconds : 0;
}

static void rate_of(struct page *p, const struct fl_top_view *v, const char *name, uint64_t count,
                    enum fl_text_style when_any)
{
    number(p, name, rate(v, count), count ? when_any : FL_STYLE_NONE);
}

static void time_of(struct page *p, const char *name, const struct fl_histogram *of,
                    unsigned percent)
{
    uint64_t us = fl_histogram_percentile_us(of, percent);

    put(p, FL_STYLE_NONE, "  %s ", name);
    if (fl_histogram_total(of) == 0)
        put(p, FL_STYLE_DIM, "   -   ");
    else if (us < 10000)
        put(p, FL_STYLE_NONE, "%4.1f ms", (double)us / 1000);
    else
        put(p, FL_STYLE_NONE, "%4.0f ms", (double)us / 1000);
}

static void put_head(struct page *p, const struct fl_top_view *v)
{
    char uptime[FL_TIME_TEXT_MAX];

    put(p, FL_STYLE_GOOD, "fairlead %s", v->now->version);
    put(p, FL_STYLE_NONE, "   up %s   %s",
        fl_duration_format(v->now->uptime_ms / 1000 * 1000, uptime), v->now->at);
    if (!v->now->has_front)
        put(p, FL_STYLE_BAD, "   the front is away");
    end_line(p);
    end_line(p);
}

static void put_traffic(struct page *p, const struct fl_top_view *v)
{
    const struct fl_counters_worker *d = &v->delta;

    title(p, "messages in");
    number(p, "/s", rate(v, d->received_qos0 + d->received_qos1 + d->received_qos2), FL_STYLE_NONE);
    rate_of(p, v, "QoS 0", d->received_qos0, FL_STYLE_NONE);
    rate_of(p, v, "QoS 1", d->received_qos1, FL_STYLE_NONE);
    rate_of(p, v, "QoS 2", d->received_qos2, FL_STYLE_NONE);
    rate_of(p, v, "bytes", d->bytes_in, FL_STYLE_NONE);
    end_line(p);
    title(p, "messages out");
    number(p, "/s", rate(v, d->sent_qos0 + d->sent_qos1 + d->sent_qos2), FL_STYLE_NONE);
    rate_of(p, v, "QoS 0", d->sent_qos0, FL_STYLE_NONE);
    rate_of(p, v, "QoS 1", d->sent_qos1, FL_STYLE_NONE);
    rate_of(p, v, "QoS 2", d->sent_qos2, FL_STYLE_NONE);
    rate_of(p, v, "bytes", d->bytes_out, FL_STYLE_NONE);
    end_line(p);
}

static void put_connections(struct page *p, const struct fl_top_view *v)
{
    const struct fl_counters_worker *d = &v->delta;

    title(p, "connections");
    number(p, "now", (double)d->connections, FL_STYLE_NONE);
    rate_of(p, v, "new/s", d->accepted, FL_STYLE_NONE);
    number(p, "held", (double)d->held, d->held ? FL_STYLE_WARN : FL_STYLE_NONE);
    rate_of(p, v, "refused/s", d->refused_full + d->refused_displaced + d->refused_device,
            FL_STYLE_BAD);
    end_line(p);
    title(p, "handshakes/s");
    rate_of(p, v, "full", d->handshakes_full, FL_STYLE_NONE);
    rate_of(p, v, "resumed", d->handshakes_resumed, FL_STYLE_NONE);
    rate_of(p, v, "certificate", d->handshakes_refused, FL_STYLE_BAD);
    rate_of(p, v, "late", d->handshakes_late, FL_STYLE_WARN);
    rate_of(p, v, "tls", d->handshakes_failed, FL_STYLE_WARN);
    end_line(p);
    title(p, "sessions");
    number(p, "all", (double)d->sessions, FL_STYLE_NONE);
    number(p, "subscriptions", (double)d->subscriptions, FL_STYLE_NONE);
    number(p, "retained", (double)d->retained, FL_STYLE_NONE);
    end_line(p);
}

static void put_log(struct page *p, const struct fl_top_view *v)
{
    const struct fl_counters_log *d = &v->log;
    double full = d->limit ? 100 * (double)d->bytes / (double)d->limit : 0;

    title(p, "log");
    rate_of(p, v, "/s", d->appends, FL_STYLE_NONE);
    rate_of(p, v, "bytes", d->append_bytes, FL_STYLE_NONE);
    time_of(p, "commit p50", &d->commit, 50);
    time_of(p, "p99", &d->commit, 99);
    number(p, "% full", full, d->tight ? FL_STYLE_BAD : FL_STYLE_NONE);
    if (d->sync_failures)
        number(p, "failed", (double)d->sync_failures, FL_STYLE_BAD);
    if (d->refused)
        rate_of(p, v, "refused/s", d->refused, FL_STYLE_BAD);
    end_line(p);
}

static void put_waiting(struct page *p, const struct fl_top_view *v)
{
    const struct fl_counters_worker *d = &v->delta;

    title(p, "queues");
    number(p, "messages", (double)d->queued, FL_STYLE_NONE);
    number(p, "bytes", (double)d->queued_bytes, FL_STYLE_NONE);
    number(p, "largest", (double)d->queue_largest, FL_STYLE_NONE);
    rate_of(p, v, "dropped/s", d->dropped, FL_STYLE_BAD);
    end_line(p);
    title(p, "readings");
    number(p, "stored/s", v->hub_seconds > 0 ? (double)v->readings / v->hub_seconds : 0,
           FL_STYLE_NONE);
    number(p, "waiting", (double)d->readings_waiting, FL_STYLE_NONE);
    time_of(p, "batch p50", &d->batch, 50);
    time_of(p, "p99", &d->batch, 99);
    end_line(p);
    title(p, "commits");
    number(p, "/s",
           v->hub_seconds > 0 ? (double)fl_histogram_total(&v->commits) / v->hub_seconds : 0,
           FL_STYLE_NONE);
    time_of(p, "p50", &v->commits, 50);
    time_of(p, "p99", &v->commits, 99);
    if (v->commits_failed)
        number(p, "failed", (double)v->commits_failed, FL_STYLE_BAD);
    end_line(p);
}

static void put_refusals(struct page *p, const struct fl_top_view *v)
{
    const struct fl_counters_worker *d = &v->delta;
    const struct {
        const char *name;
        uint64_t count;
        enum fl_text_style style;
    } kinds[] = {
        {"rights", d->refused_unauthorized, FL_STYLE_BAD},
        {"range", d->refused_range, FL_STYLE_WARN},
        {"malformed", d->refused_malformed + d->protocol_errors, FL_STYLE_WARN},
        {"stream", d->refused_stream, FL_STYLE_WARN},
        {"quota", d->refused_quota, FL_STYLE_WARN},
        {"delivery", d->refused_delivery, FL_STYLE_WARN},
        {"other", d->refused_other, FL_STYLE_WARN},
    };

    title(p, "refusals/s");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].count)
            rate_of(p, v, kinds[i].name, kinds[i].count, kinds[i].style);
    if (p->column == TITLE)
        put(p, FL_STYLE_NONE, "  none");
    end_line(p);
    title(p, "over rate");
    number(p, "devices", (double)d->limited_devices,
           d->limited_devices ? FL_STYLE_WARN : FL_STYLE_NONE);
    rate_of(p, v, "messages/s", d->limited_messages, FL_STYLE_WARN);
    rate_of(p, v, "bytes/s", d->limited_bytes, FL_STYLE_WARN);
    rate_of(p, v, "dropped/s", d->limited_dropped, FL_STYLE_WARN);
    end_line(p);
}

static void put_machine(struct page *p, const struct fl_top_view *v)
{
    char text[FL_TOP_NUMBER];

    for (size_t i = 0; i < v->now->worker_count; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "worker %zu", i);
        title(p, name);
        put(p, FL_STYLE_NONE, "  busy ");
        put(p,
            v->busy[i] > 0.9   ? FL_STYLE_BAD
            : v->busy[i] > 0.6 ? FL_STYLE_WARN
                               : FL_STYLE_NONE,
            "%4.1f %%", 100 * v->busy[i]);
        time_of(p, "round p99", &v->rounds[i], 99);
        end_line(p);
    }
    title(p, "processes");
    for (size_t i = 0; i < v->now->process_count; i++) {
        const struct fl_top_process *process = &v->now->processes[i];

        put(p, process->up ? FL_STYLE_NONE : FL_STYLE_BAD, "  %s", process->name);
        if (!process->up)
            put(p, FL_STYLE_BAD, " away");
        if (process->up && v->cpu[i] >= 0)
            put(p, FL_STYLE_NONE, " %.1f %%", 100 * v->cpu[i]);
        if (process->up && process->resident_bytes)
            put(p, FL_STYLE_NONE, " %sB", fl_top_number((double)process->resident_bytes, text));
    }
    end_line(p);
}

static void put_devices(struct page *p, const struct fl_top_view *v)
{
    size_t name = 24;

    for (size_t i = 0; i < v->device_count; i++)
        if (strlen(v->devices[i].name) > name)
            name = strlen(v->devices[i].name);
    if (p->width && name + 20 > p->width)
        name = p->width > 36 ? p->width - 20 : 16;
    end_line(p);
    put(p, FL_STYLE_DIM, "%-*s %8s %8s", (int)name, "BUSIEST DEVICES", "MSG/S", "BYTES/S");
    end_line(p);
    for (size_t i = 0; i < v->device_count; i++) {
        const struct fl_top_device *d = &v->devices[i];
        char messages[FL_TOP_NUMBER];
        char bytes[FL_TOP_NUMBER];

        put(p, FL_STYLE_NONE, "%-*.*s %8s %8s%s", (int)name, (int)name, d->name,
            fl_top_number(d->messages, messages), fl_top_number(d->bytes, bytes),
            d->about ? " ~" : "");
        end_line(p);
    }
    if (v->device_count == 0) {
        put(p, FL_STYLE_DIM, "nobody sends");
        end_line(p);
    }
}

void fl_top_page(const struct fl_top_view *view, size_t width, size_t height, bool color,
                 struct fl_buffer *out)
{
    struct page p = {.out = out, .width = width, .height = height, .color = color};

    put_head(&p, view);
    put_traffic(&p, view);
    put_connections(&p, view);
    put_waiting(&p, view);
    put_log(&p, view);
    put_refusals(&p, view);
    put_machine(&p, view);
    put_devices(&p, view);
}

/* --- JSON --- */

/* Two decimals are enough for a rate. */
static json_t *round_off(double value)
{
    return json_real(round(value * 100) / 100);
}

static json_t *latency(const struct fl_histogram *h)
{
    return json_pack("{s:I, s:I, s:I}", "count", (json_int_t)fl_histogram_total(h), "p50_us",
                     (json_int_t)fl_histogram_percentile_us(h, 50), "p99_us",
                     (json_int_t)fl_histogram_percentile_us(h, 99));
}

static void split_rows(const struct fl_top_view *v, const struct fl_counter *rows, size_t count,
                       const void *delta, json_t *rates, json_t *now)
{
    for (size_t i = 0; i < count; i++) {
        const struct fl_counter *row = &rows[i];

        if (row->kind == FL_COUNTER)
            (void)json_object_set_new(rates, row->member,
                                      round_off(rate(v, fl_counter_number(delta, row))));
        else if (row->kind == FL_GAUGE)
            (void)json_object_set_new(now, row->member,
                                      json_integer((json_int_t)fl_counter_number(delta, row)));
    }
}

json_t *fl_top_json(const struct fl_top_view *v)
{
    json_t *rates = json_object();
    json_t *now = json_object();
    json_t *log_rates = json_object();
    json_t *log = json_object();
    json_t *workers = json_array();
    json_t *processes = json_array();
    json_t *devices = json_array();

    split_rows(v, fl_counters_worker, fl_counters_worker_count, &v->delta, rates, now);
    split_rows(v, fl_counters_log, fl_counters_log_count, &v->log, log_rates, log);
    (void)json_object_set_new(log, "commits", latency(&v->log.commit));
    (void)json_object_set_new(log, "per_second", log_rates);
    for (size_t i = 0; i < v->now->worker_count; i++)
        (void)json_array_append_new(
            workers, json_pack("{s:o, s:I}", "busy", round_off(100 * v->busy[i]), "round_p99_us",
                               (json_int_t)fl_histogram_percentile_us(&v->rounds[i], 99)));
    for (size_t i = 0; i < v->now->process_count; i++)
        (void)json_array_append_new(
            processes,
            json_pack("{s:s, s:b, s:o, s:I}", "name", v->now->processes[i].name, "up",
                      (int)v->now->processes[i].up, "cpu",
                      v->cpu[i] < 0 ? json_null() : round_off(100 * v->cpu[i]), "resident_bytes",
                      (json_int_t)v->now->processes[i].resident_bytes));
    for (size_t i = 0; i < v->device_count; i++)
        (void)json_array_append_new(
            devices, json_pack("{s:s, s:o, s:o, s:b}", "device", v->devices[i].name, "messages",
                               round_off(v->devices[i].messages), "bytes",
                               round_off(v->devices[i].bytes), "about", (int)v->devices[i].about));
    return json_pack("{s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "at",
                     v->now->at, "seconds", round_off(v->seconds), "front", (int)v->now->has_front,
                     "per_second", rates, "now", now, "readings_per_second",
                     round_off(v->hub_seconds > 0 ? (double)v->readings / v->hub_seconds : 0),
                     "commits", latency(&v->commits), "batches", latency(&v->delta.batch), "log",
                     log, "workers", workers, "processes", processes, "busiest", devices);
}
