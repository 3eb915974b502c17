/* SPDX-License-Identifier: Apache-2.0
 *
 * What there is to see of a hub: the counters its front tells each second, what it counts itself,
 * what its processes use, and a census of devices and actions. The census walks the store in small
 * steps, only while somebody looks, so that a scrape of a large fleet costs no more than one of a
 * small one. Shown as Prometheus text and as JSON by hub/api_metrics.
 */
#ifndef FL_HUB_METRICS_H
#define FL_HUB_METRICS_H

#include "codec/counters.h"
#include "codec/msg.h"
#include "io/usage.h"
#include "service/action_record.h"
#include "service/posture.h"

#define FL_METRICS_BUSIEST ((size_t)2 * FL_LIMIT_BUSIEST)
#define FL_METRICS_WATCHED_MS 60000 /* a look counts as somebody looking for so long */
#define FL_METRICS_CENSUS_MS 10000  /* between two censuses */

struct fl_hub;

struct fl_census {
    uint64_t states[FL_DEVICE_STATE_COUNT];
    uint64_t postures[FL_POSTURE_COUNT];
    uint64_t actions[FL_ACTION_STATE_COUNT];
};

struct fl_metrics {
    /* What the front told last; `has_front`: since it is up. */
    struct fl_counters_process front;
    struct fl_counters_log log;
    struct fl_counters_worker *workers;
    size_t worker_count;
    fl_time_t told; /* monotonic: when */
    struct fl_busy busiest[FL_METRICS_BUSIEST];
    size_t busiest_count;
    struct fl_usage front_usage;
    struct fl_usage signer_usage;
    uint32_t interval_ms;
    bool has_front;
    bool has_front_usage;
    bool has_signer_usage;

    /* The census. */
    bool has_census;
    bool under_way;
    bool at_actions;
    char after[FL_NAME_MAX + 1];
    struct fl_census census;
    struct fl_census counting; /* the one under way */
    uint64_t after_action;
    fl_time_t counted; /* monotonic: when the last one ended */
    fl_time_t looked;  /* monotonic; 0: never */

    /* What the hub counts itself. */
    struct fl_histogram commits; /* of readings */
    struct fl_histogram rounds;
    uint64_t commits_failed;
    uint64_t readings; /* handed to the store and committed */
};

void fl_metrics_free(struct fl_metrics *metrics);

/* FL_EPARSE: not what a front of this version says; nothing is changed. `now` is monotonic. */
FL_MUST_USE enum fl_error fl_metrics_counters(struct fl_metrics *metrics,
                                              const struct fl_msg_counters *msg, fl_time_t now);
void fl_metrics_front_gone(struct fl_metrics *metrics);

/* Somebody looks. The first time a small fleet is counted at once. */
void fl_metrics_look(struct fl_hub *hub);
/* The next step of a census, when one is due; true: more to do. */
bool fl_metrics_tick(struct fl_hub *hub);

#endif
