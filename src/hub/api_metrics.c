/* SPDX-License-Identifier: Apache-2.0
 * What there is to see: /metrics for Prometheus, /api/v1/load for `fairlead top`. */
#include "hub/api.h"

#include "codec/exposition.h"
#include "service/audit.h"

#include <stdio.h>

#define TEXT_MAX ((size_t)900 * 1024) /* an answer fits one message to the front */

static const char *type_name(enum fl_counter_kind kind)
{
    static const char *const names[] = {
        [FL_COUNTER] = "counter", [FL_GAUGE] = "gauge", [FL_HISTOGRAM] = "histogram"};

    return names[kind];
}

/* --- the front's tables --- */

static void put_row(struct fl_buffer *out, const char *name, const char *worker,
                    const struct fl_counter *row, const void *counters)
{
    struct fl_buffer labels = FL_BUFFER(256);
    const char *text = NULL;

    (void)fl_buffer_append_str(&labels, row->labels);
    if (worker)
        fl_exposition_label(&labels, "worker", fl_slice_str(worker));
    text = fl_buffer_str(&labels);
    if (!text)
        out->failed = true;
    else if (row->kind == FL_HISTOGRAM)
        fl_exposition_histogram(out, name, text, fl_counter_histogram(counters, row));
    else
        fl_exposition_number(out, name, text, fl_counter_number(counters, row));
    fl_buffer_free(&labels);
}

/* A table of counters of which there are one or, for each worker, one under a label of its own. */
struct shown {
    const char *prefix;
    const struct fl_counter *rows;
    size_t count;
    const void *one;
    const struct fl_counters_worker *workers; /* or these; NULL: `one` */
    size_t worker_count;
};

/* The rows of one metric, from `at` on. Returns the row behind them. */
static size_t put_metric(struct fl_buffer *out, const struct shown *shown, size_t at)
{
    const struct fl_counter *rows = &shown->rows[at];
    char name[96];
    char number[24];
    size_t same = 0;

    (void)snprintf(name, sizeof name, "%s%s", shown->prefix, rows[0].metric);
    while (at + same < shown->count && strcmp(rows[same].metric, rows[0].metric) == 0)
        same++;
    fl_exposition_family(out, name, type_name(rows[0].kind), rows[0].words);
    for (size_t i = 0; i < shown->worker_count; i++) {
        (void)snprintf(number, sizeof number, "%zu", i);
        for (size_t k = 0; k < same; k++)
            put_row(out, name, number, &rows[k], &shown->workers[i]);
    }
    for (size_t k = 0; !shown->workers && k < same; k++)
        put_row(out, name, NULL, &rows[k], shown->one);
    return at + same;
}

static void put_table(struct fl_buffer *out, const struct shown *shown)
{
    for (size_t at = 0; at < shown->count;)
        at = put_metric(out, shown, at);
}

static void put_front(struct fl_buffer *out, const struct fl_metrics *m)
{
    const struct shown workers = {.prefix = "fairlead_front_",
                                  .rows = fl_counters_worker,
                                  .count = fl_counters_worker_count,
                                  .workers = m->workers,
                                  .worker_count = m->worker_count};
    const struct shown process = {.prefix = "fairlead_front_",
                                  .rows = fl_counters_process,
                                  .count = fl_counters_process_count,
                                  .one = &m->front};
    const struct shown log = {.prefix = "fairlead_log_",
                              .rows = fl_counters_log,
                              .count = fl_counters_log_count,
                              .one = &m->log};

    if (!m->has_front)
        return;
    put_table(out, &workers);
    put_table(out, &process);
    put_table(out, &log);
}

/* --- the hub's own --- */

static void put_labelled(struct fl_buffer *out, const char *name, const char *label,
                         const char *value, uint64_t number)
{
    struct fl_buffer labels = FL_BUFFER(256);

    fl_exposition_label(&labels, label, fl_slice_str(value));
    if (labels.failed)
        out->failed = true;
    else
        fl_exposition_number(out, name, fl_buffer_str(&labels), number);
    fl_buffer_free(&labels);
}

static void put_one(struct fl_buffer *out, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    fl_exposition_family(out, name, type, help);
    fl_exposition_number(out, name, "", value);
}

static void put_census(struct fl_buffer *out, const struct fl_metrics *m)
{
    const struct fl_census *c = &m->census;

    if (!m->has_census)
        return;
    fl_exposition_family(out, "fairlead_hub_devices", "gauge", "Devices by state");
    for (int i = 0; i < FL_DEVICE_STATE_COUNT; i++)
        put_labelled(out, "fairlead_hub_devices", "state",
                     fl_device_state_name((enum fl_device_state)i), c->states[i]);
    fl_exposition_family(out, "fairlead_hub_postures", "gauge", "Devices by posture");
    for (int i = 0; i < FL_POSTURE_COUNT; i++)
        put_labelled(out, "fairlead_hub_postures", "posture",
                     fl_posture_name((enum fl_posture_verdict)i), c->postures[i]);
    put_one(out, "fairlead_hub_actions_active", "gauge", "Actions that are active now",
            c->actions[FL_ACTION_ACTIVE]);
}

static enum fl_error put_hub(struct fl_buffer *out, const struct fl_hub *hub,
                             struct fl_context *ctx)
{
    const struct fl_metrics *m = &hub->metrics;
    uint64_t records = 0;
    enum fl_error error = fl_audit_count(&hub->store, &records, ctx);

    if (error != FL_OK)
        return error;
    fl_exposition_family(out, "fairlead_build_info", "gauge", "The version that runs");
    put_labelled(out, "fairlead_build_info", "version", FL_VERSION, 1);
    put_one(out, "fairlead_hub_uptime_seconds", "gauge", "Since the control process started",
            (uint64_t)(fl_clock_monotonic(hub->clock) - hub->started) / 1000);
    put_one(out, "fairlead_hub_connected_devices", "gauge", "Devices with a session now",
            hub->sessions.connected);
    put_census(out, m);
    fl_exposition_family(out, "fairlead_hub_commit_seconds", "histogram",
                         "Storing the readings of one round, until they are on stable storage");
    fl_exposition_histogram(out, "fairlead_hub_commit_seconds", "", &m->commits);
    put_one(out, "fairlead_hub_commits_failed_total", "counter",
            "Times that readings could not be stored", m->commits_failed);
    put_one(out, "fairlead_hub_readings_total", "counter",
            "Readings that were handed in and are stored", m->readings);
    if (hub->host.store_bytes)
        put_one(out, "fairlead_hub_store_bytes", "gauge",
                "The database and its write-ahead log on disk",
                hub->host.store_bytes(hub->host.self));
    put_one(out, "fairlead_hub_audit_records", "gauge", "Records of the audit log", records);
    fl_exposition_family(out, "fairlead_hub_round_seconds", "histogram",
                         "Work of one round of the control process's loop");
    fl_exposition_histogram(out, "fairlead_hub_round_seconds", "", &m->rounds);
    return FL_OK;
}

/* --- the processes --- */

struct process {
    const char *name;
    bool up;
    bool known;
    struct fl_usage usage;
};

static void list_processes(const struct fl_hub *hub, struct process processes[3])
{
    const struct fl_metrics *m = &hub->metrics;

    processes[0] = (struct process){"front", hub->front_up, m->has_front_usage, m->front_usage};
    processes[1] = (struct process){"control", true, true, fl_usage_read()};
    processes[2] = (struct process){"signer", hub->signer_up, m->has_signer_usage, m->signer_usage};
}

static void put_processes(struct fl_buffer *out, const struct fl_hub *hub)
{
    struct process processes[3];

    list_processes(hub, processes);
    fl_exposition_family(out, "fairlead_process_up", "gauge", "The process is there");
    for (int i = 0; i < 3; i++)
        put_labelled(out, "fairlead_process_up", "process", processes[i].name, processes[i].up);
    fl_exposition_family(out, "fairlead_process_cpu_seconds_total", "counter",
                         "CPU time of the process");
    for (int i = 0; i < 3; i++) {
        char label[32];

        (void)snprintf(label, sizeof label, "process=\"%s\"", processes[i].name);
        if (processes[i].known)
            fl_exposition_time(out, "fairlead_process_cpu_seconds_total", label,
                               processes[i].usage.cpu_us);
    }
    fl_exposition_family(out, "fairlead_process_resident_bytes", "gauge", "Memory of the process");
    for (int i = 0; i < 3; i++)
        if (processes[i].known)
            put_labelled(out, "fairlead_process_resident_bytes", "process", processes[i].name,
                         processes[i].usage.resident_bytes);
}

void fl_api_get_metrics(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct fl_buffer out = FL_BUFFER(TEXT_MAX);
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    fl_metrics_look(hub);
    error = put_hub(&out, hub, &ctx);
    put_processes(&out, hub);
    put_front(&out, &hub->metrics);
    if (error == FL_OK && out.failed)
        error = fl_fail(&ctx, FL_ENOMEM, "the metrics do not fit");
    if (error == FL_OK)
        hub->host.answer(hub->host.self, call->caller, 200, FL_EXPOSITION_TYPE,
                         fl_buffer_slice(&out));
    else
        fl_api_fail(call, error, &ctx);
    fl_buffer_free(&out);
}

/* --- as JSON --- */

static json_t *histogram_json(const struct fl_histogram *h)
{
    json_t *buckets = json_array();

    for (size_t i = 0; i < FL_HISTOGRAM_BUCKETS; i++)
        (void)json_array_append_new(buckets, json_integer((json_int_t)h->buckets[i]));
    return json_pack("{s:I, s:o}", "sum_us", (json_int_t)h->sum_us, "buckets", buckets);
}

static json_t *counters_json(const void *counters, const struct fl_counter *rows, size_t count)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++) {
        json_t *value = rows[i].kind == FL_HISTOGRAM
                            ? histogram_json(fl_counter_histogram(counters, &rows[i]))
                            : json_integer((json_int_t)fl_counter_number(counters, &rows[i]));

        (void)json_object_set_new(object, rows[i].member, value);
    }
    return object;
}

static json_t *front_json(const struct fl_hub *hub)
{
    const struct fl_metrics *m = &hub->metrics;
    json_t *workers = json_array();
    json_t *busiest = json_array();

    if (!m->has_front) {
        json_decref(workers);
        json_decref(busiest);
        return json_null();
    }
    for (size_t i = 0; i < m->worker_count; i++)
        (void)json_array_append_new(
            workers, counters_json(&m->workers[i], fl_counters_worker, fl_counters_worker_count));
    for (size_t i = 0; i < m->busiest_count; i++) {
        const struct fl_busy *b = &m->busiest[i];

        (void)json_array_append_new(
            busiest, json_pack("{s:s, s:s, s:I, s:I, s:I}", "device", b->device, "by",
                               b->by_bytes ? "bytes" : "messages", "messages",
                               (json_int_t)(b->by_bytes ? b->other : b->weight), "bytes",
                               (json_int_t)(b->by_bytes ? b->weight : b->other), "over",
                               (json_int_t)b->over));
    }
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "interval_ms", (json_int_t)m->interval_ms,
                     "told_ms", (json_int_t)(m->told - hub->started), "process",
                     counters_json(&m->front, fl_counters_process, fl_counters_process_count),
                     "log", counters_json(&m->log, fl_counters_log, fl_counters_log_count),
                     "workers", workers, "busiest", busiest);
}

static json_t *processes_json(const struct fl_hub *hub)
{
    struct process processes[3];
    json_t *array = json_array();

    list_processes(hub, processes);
    for (int i = 0; i < 3; i++)
        (void)json_array_append_new(
            array, json_pack("{s:s, s:b, s:I, s:I}", "name", processes[i].name, "up",
                             (int)processes[i].up, "cpu_us", (json_int_t)processes[i].usage.cpu_us,
                             "resident_bytes", (json_int_t)processes[i].usage.resident_bytes));
    return array;
}

void fl_api_get_load(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    const struct fl_metrics *m = &hub->metrics;

    fl_metrics_look(hub);
    fl_api_answer(hub, call->caller, 200,
                  json_pack("{s:o, s:s, s:I, s:I, s:o, s:I, s:I, s:o, s:o}", "at",
                            fl_api_time(call->now), "version", FL_VERSION, "uptime_ms",
                            (json_int_t)(call->started - hub->started), "connected",
                            (json_int_t)hub->sessions.connected, "commits",
                            histogram_json(&m->commits), "commits_failed",
                            (json_int_t)m->commits_failed, "readings", (json_int_t)m->readings,
                            "front", front_json(hub), "processes", processes_json(hub)));
}
