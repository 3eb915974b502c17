/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_view.h"

#include "cli/json.h"

#include <math.h>

/* --- reading an answer --- */

static void read_histogram(const json_t *from, struct fl_histogram *to)
{
    const json_t *buckets = json_object_get(from, "buckets");

    *to = (struct fl_histogram){.sum_us = (uint64_t)fl_json_int(from, "sum_us")};
    for (size_t i = 0; i < FL_HISTOGRAM_BUCKETS; i++)
        to->buckets[i] = (uint64_t)json_integer_value(json_array_get(buckets, i));
}

static void read_counters(const json_t *from, const struct fl_counter *rows, size_t count, void *to)
{
    for (size_t i = 0; i < count; i++) {
        const struct fl_counter *row = &rows[i];
        uint8_t *at = (uint8_t *)to + row->offset;

        if (row->kind == FL_HISTOGRAM) {
            struct fl_histogram histogram;

            read_histogram(json_object_get(from, row->member), &histogram);
            memcpy(at, &histogram, sizeof histogram);
        } else {
            uint64_t number = (uint64_t)fl_json_int(from, row->member);

            memcpy(at, &number, sizeof number);
        }
    }
}

static void add_worker(struct fl_counters_worker *sum, const struct fl_counters_worker *one)
{
    uint64_t largest =
        sum->queue_largest > one->queue_largest ? sum->queue_largest : one->queue_largest;

    for (size_t at = 0; at < sizeof *sum; at += sizeof(uint64_t)) {
        uint64_t a = 0;
        uint64_t b = 0;

        memcpy(&a, (const uint8_t *)sum + at, sizeof a);
        memcpy(&b, (const uint8_t *)one + at, sizeof b);
        a += b;
        memcpy((uint8_t *)sum + at, &a, sizeof a);
    }
    sum->queue_largest = largest;
}

static void read_front(const json_t *front, struct fl_top_sample *s)
{
    const json_t *workers = json_object_get(front, "workers");
    const json_t *busiest = json_object_get(front, "busiest");
    const json_t *one = NULL;
    size_t i = 0;

    s->has_front = json_is_object(front);
    s->told_ms = fl_json_int(front, "told_ms");
    s->interval_ms = fl_json_int(front, "interval_ms");
    read_counters(json_object_get(front, "log"), fl_counters_log, fl_counters_log_count, &s->log);
    json_array_foreach(workers, i, one)
    {
        if (i == FL_LIMIT_WORKERS)
            break;
        read_counters(one, fl_counters_worker, fl_counters_worker_count, &s->workers[i]);
        add_worker(&s->all, &s->workers[i]);
        s->worker_count = i + 1;
    }
    json_array_foreach(busiest, i, one)
    {
        struct fl_busy *b = &s->busiest[i];

        if (i == sizeof s->busiest / sizeof s->busiest[0])
            break;
        (void)fl_str_copy(b->device, sizeof b->device, fl_json_text(one, "device"));
        b->by_bytes = strcmp(fl_json_text(one, "by"), "bytes") == 0;
        b->weight = (uint64_t)fl_json_int(one, b->by_bytes ? "bytes" : "messages");
        b->other = (uint64_t)fl_json_int(one, b->by_bytes ? "messages" : "bytes");
        b->over = (uint64_t)fl_json_int(one, "over");
        s->busiest_count = i + 1;
    }
}

enum fl_error fl_top_read(const json_t *load, struct fl_top_sample *sample, struct fl_context *ctx)
{
    const json_t *one = NULL;
    size_t i = 0;

    *sample = (struct fl_top_sample){0};
    if (!json_is_object(load) || !json_is_object(json_object_get(load, "commits")))
        return fl_fail(ctx, FL_EPARSE, "the hub's answer says nothing of its load");
    (void)fl_str_copy(sample->at, sizeof sample->at, fl_json_text(load, "at"));
    (void)fl_str_copy(sample->version, sizeof sample->version, fl_json_text(load, "version"));
    sample->uptime_ms = fl_json_int(load, "uptime_ms");
    read_histogram(json_object_get(load, "commits"), &sample->commits);
    sample->commits_failed = (uint64_t)fl_json_int(load, "commits_failed");
    sample->readings = (uint64_t)fl_json_int(load, "readings");
    read_front(json_object_get(load, "front"), sample);
    json_array_foreach(json_object_get(load, "processes"), i, one)
    {
        struct fl_top_process *p = &sample->processes[i];

        if (i == FL_TOP_PROCESSES)
            break;
        (void)fl_str_copy(p->name, sizeof p->name, fl_json_text(one, "name"));
        p->up = fl_json_true(one, "up");
        p->cpu_us = (uint64_t)fl_json_int(one, "cpu_us");
        p->resident_bytes = (uint64_t)fl_json_int(one, "resident_bytes");
        sample->process_count = i + 1;
    }
    return FL_OK;
}

/* --- what happened between two --- */

/* A counter that is smaller than it was began anew: a process was started again. */
static uint64_t grown(uint64_t later, uint64_t earlier)
{
    return later >= earlier ? later - earlier : later;
}

/* `to` is `later`, less `earlier` where it only grows. */
static void subtract(const struct fl_counter *rows, size_t count, const void *later,
                     const void *earlier, void *to)
{
    for (size_t i = 0; i < count; i++) {
        const struct fl_counter *row = &rows[i];
        uint8_t *at = (uint8_t *)to + row->offset;

        if (row->kind == FL_HISTOGRAM) {
            struct fl_histogram since = fl_histogram_since(fl_counter_histogram(later, row),
                                                           fl_counter_histogram(earlier, row));

            memcpy(at, &since, sizeof since);
        } else {
            uint64_t value = fl_counter_number(later, row);

            if (row->kind == FL_COUNTER)
                value = grown(value, fl_counter_number(earlier, row));
            memcpy(at, &value, sizeof value);
        }
    }
}

static struct fl_top_device *device_named(struct fl_top_view *view, const char *name)
{
    for (size_t i = 0; i < view->device_count; i++)
        if (strcmp(view->devices[i].name, name) == 0)
            return &view->devices[i];
    if (view->device_count == FL_LIMIT_BUSIEST)
        return NULL;
    (void)fl_str_copy(view->devices[view->device_count].name, FL_NAME_MAX + 1, name);
    return &view->devices[view->device_count++];
}

/* A device is in the list by its messages, by its bytes, or both; of both the larger is nearer to
 * the truth, as what is not weighed is counted only since it has its place. */
static void merge_busiest(const struct fl_top_sample *s, struct fl_top_view *view)
{
    double seconds = s->interval_ms > 0 ? (double)s->interval_ms / 1000 : 1;

    for (size_t i = 0; i < s->busiest_count; i++) {
        const struct fl_busy *b = &s->busiest[i];
        struct fl_top_device *d = device_named(view, b->device);
        double messages = (double)(b->by_bytes ? b->other : b->weight) / seconds;
        double bytes = (double)(b->by_bytes ? b->weight : b->other) / seconds;

        if (!d)
            continue;
        d->messages = fmax(d->messages, messages);
        d->bytes = fmax(d->bytes, bytes);
        d->about = d->about || b->over > 0;
    }
    for (size_t i = 1; i < view->device_count; i++) {
        struct fl_top_device one = view->devices[i];
        size_t at = i;

        for (; at > 0 && view->devices[at - 1].messages < one.messages; at--)
            view->devices[at] = view->devices[at - 1];
        view->devices[at] = one;
    }
}

void fl_top_between(const struct fl_top_sample *earlier, const struct fl_top_sample *later,
                    struct fl_top_view *view)
{
    bool same_hub = later->uptime_ms > earlier->uptime_ms;

    *view = (struct fl_top_view){.now = later};
    view->hub_seconds = same_hub ? (double)(later->uptime_ms - earlier->uptime_ms) / 1000 : 0;
    view->commits = fl_histogram_since(&later->commits, &earlier->commits);
    view->commits_failed = grown(later->commits_failed, earlier->commits_failed);
    view->readings = grown(later->readings, earlier->readings);
    if (later->has_front && earlier->has_front && same_hub && later->told_ms > earlier->told_ms)
        view->seconds = (double)(later->told_ms - earlier->told_ms) / 1000;
    subtract(fl_counters_worker, fl_counters_worker_count, &later->all, &earlier->all,
             &view->delta);
    subtract(fl_counters_log, fl_counters_log_count, &later->log, &earlier->log, &view->log);
    for (size_t i = 0; i < later->worker_count; i++) {
        view->rounds[i] = fl_histogram_since(&later->workers[i].round, &earlier->workers[i].round);
        if (view->seconds > 0)
            view->busy[i] = fmin((double)view->rounds[i].sum_us / 1e6 / view->seconds, 1);
    }
    for (size_t i = 0; i < later->process_count; i++) {
        uint64_t used = grown(later->processes[i].cpu_us, earlier->processes[i].cpu_us);
        bool is_front = strcmp(later->processes[i].name, "front") == 0;
        double seconds = is_front ? view->seconds : view->hub_seconds;

        /* The signer says so every ten seconds only. */
        view->cpu[i] = seconds > 0 && strcmp(later->processes[i].name, "signer") != 0
                           ? (double)used / 1e6 / seconds
                           : -1;
    }
    merge_busiest(later, view);
}

const char *fl_top_number(double value, char to[FL_TOP_NUMBER])
{
    static const char units[] = " kMGT";
    size_t unit = 0;

    while (value >= 999.5 && unit < sizeof units - 2) {
        value /= 1000;
        unit++;
    }
    if (unit == 0)
        (void)snprintf(to, FL_TOP_NUMBER, value < 9.95 && value > 0 ? "%.1f" : "%.0f", value);
    else
        (void)snprintf(to, FL_TOP_NUMBER, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
    return to;
}
