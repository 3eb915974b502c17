/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/metrics.h"

#include "base/log.h"
#include "hub/hub.h"

#include <stdlib.h>

#define TAG "metrics"
#define STEP ((size_t)100) /* devices or actions at once */

void fl_metrics_free(struct fl_metrics *metrics)
{
    free(metrics->workers);
    metrics->workers = NULL;
}

/* --- what the front says --- */

static enum fl_error read_workers(struct fl_slice in, struct fl_counters_worker **workers,
                                  size_t *count)
{
    size_t size = sizeof **workers;

    *count = in.size / size;
    if (in.size % size != 0 || *count == 0 || *count > FL_LIMIT_WORKERS)
        return FL_EPARSE;
    *workers = calloc(*count, size);
    if (!*workers)
        return FL_ENOMEM;
    for (size_t i = 0; i < *count; i++) {
        enum fl_error error = fl_counters_next(&in, &(*workers)[i], size);

        if (error) {
            free(*workers);
            return error;
        }
    }
    return FL_OK;
}

static bool read_busiest(struct fl_slice in, struct fl_busy busiest[FL_METRICS_BUSIEST],
                         size_t *count)
{
    struct fl_busy more;
    enum fl_error error = FL_OK;

    *count = 0;
    while (error == FL_OK) {
        error = fl_busy_next(&in, *count < FL_METRICS_BUSIEST ? &busiest[*count] : &more);
        if (error == FL_OK && *count < FL_METRICS_BUSIEST)
            (*count)++;
    }
    return error == FL_ENOTFOUND;
}

enum fl_error fl_metrics_counters(struct fl_metrics *metrics, const struct fl_msg_counters *msg,
                                  fl_time_t now)
{
    struct fl_counters_process front = {0};
    struct fl_counters_log log = {0};
    struct fl_counters_worker *workers = NULL;
    struct fl_busy busiest[FL_METRICS_BUSIEST];
    size_t busiest_count = 0;
    size_t count = 0;
    struct fl_slice process = msg->process;
    struct fl_slice of_log = msg->log;
    enum fl_error error = FL_OK;

    if (fl_counters_next(&process, &front, sizeof front) != FL_OK || process.size != 0 ||
        fl_counters_next(&of_log, &log, sizeof log) != FL_OK || of_log.size != 0 ||
        !read_busiest(msg->busiest, busiest, &busiest_count))
        return FL_EPARSE;
    error = read_workers(msg->workers, &workers, &count);
    if (error)
        return error;
    free(metrics->workers);
    metrics->workers = workers;
    metrics->worker_count = count;
    metrics->front = front;
    metrics->log = log;
    memcpy(metrics->busiest, busiest, busiest_count * sizeof busiest[0]);
    metrics->busiest_count = busiest_count;
    metrics->interval_ms = msg->interval_ms;
    metrics->told = now;
    metrics->has_front = true;
    return FL_OK;
}

void fl_metrics_front_gone(struct fl_metrics *metrics)
{
    metrics->has_front = false;
    metrics->has_front_usage = false;
}

/* --- the census --- */

struct step {
    struct fl_hub *hub;
    size_t count;
    size_t most;
};

static bool count_device(void *to, const struct fl_device *device)
{
    struct step *step = to;
    struct fl_hub *hub = step->hub;
    struct fl_posture posture = {0};

    hub->metrics.counting.states[device->state]++;
    if (fl_posture_of(&hub->store, device, fl_hub_now(hub), &posture, NULL) == FL_OK)
        hub->metrics.counting.postures[posture.verdict]++;
    (void)fl_str_copy(hub->metrics.after, sizeof hub->metrics.after, device->id);
    return ++step->count < step->most;
}

static bool count_action(void *to, const struct fl_action *action)
{
    struct step *step = to;

    step->hub->metrics.counting.actions[action->state]++;
    step->hub->metrics.after_action = action->id;
    return ++step->count < step->most;
}

static void take_step(struct fl_hub *hub, size_t most)
{
    struct fl_metrics *m = &hub->metrics;
    struct step step = {.hub = hub, .most = most};
    char after[FL_NAME_MAX + 1];
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    (void)fl_str_copy(after, sizeof after, m->after);
    if (m->at_actions)
        error = fl_action_each(&hub->store, m->after_action, count_action, &step, &ctx);
    else
        error = fl_registry_each(&hub->store, fl_slice_str(after), count_device, &step, &ctx);
    if (error != FL_OK) {
        fl_log(FL_LOG_ERROR, TAG, "devices cannot be counted: %s", ctx.text);
        m->under_way = false; /* and again later */
        m->counted = fl_clock_monotonic(hub->clock);
        return;
    }
    if (step.count == most)
        return;
    if (!m->at_actions) {
        m->at_actions = true;
        return;
    }
    m->census = m->counting;
    m->has_census = true;
    m->under_way = false;
    m->counted = fl_clock_monotonic(hub->clock);
}

static void begin(struct fl_metrics *m)
{
    m->counting = (struct fl_census){0};
    m->under_way = true;
    m->at_actions = false;
    m->after[0] = '\0';
    m->after_action = 0;
}

static void ask_signer(struct fl_hub *hub)
{
    struct fl_msg msg = {.type = fl_msg_type_usage_ask};

    if (hub->signer_up)
        (void)hub->host.to_signer(hub->host.self, &msg);
}

void fl_metrics_look(struct fl_hub *hub)
{
    struct fl_metrics *m = &hub->metrics;

    m->looked = fl_clock_monotonic(hub->clock);
    if (!m->has_signer_usage)
        ask_signer(hub);
    if (m->has_census || m->under_way)
        return;
    begin(m);
    take_step(hub, 2 * STEP);
    if (m->under_way && m->at_actions)
        take_step(hub, 2 * STEP);
}

bool fl_metrics_tick(struct fl_hub *hub)
{
    struct fl_metrics *m = &hub->metrics;
    fl_time_t now = fl_clock_monotonic(hub->clock);

    if (m->looked == 0 || now - m->looked > FL_METRICS_WATCHED_MS)
        return false;
    if (!m->under_way && now - m->counted >= FL_METRICS_CENSUS_MS) {
        begin(m);
        ask_signer(hub);
    }
    if (m->under_way)
        take_step(hub, STEP);
    return m->under_way;
}
