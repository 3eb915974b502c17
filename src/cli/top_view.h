/* SPDX-License-Identifier: Apache-2.0
 *
 * What `fairlead top` shows: two answers of /api/v1/load and what happened between them, as
 * numbers, as a page of text that fits a window, and as JSON. Pure.
 */
#ifndef FL_CLI_TOP_VIEW_H
#define FL_CLI_TOP_VIEW_H

#include "base/time.h"
#include "codec/counters.h"

#include <jansson.h>

#define FL_TOP_PROCESSES 4

struct fl_top_process {
    char name[16];
    bool up;
    uint64_t cpu_us;
    uint64_t resident_bytes;
};

/* One answer. */
struct fl_top_sample {
    char at[FL_TIME_TEXT_MAX];
    char version[32];
    int64_t uptime_ms; /* of the hub */
    int64_t told_ms;   /* when the front told its counters, in the hub's uptime */
    int64_t interval_ms;
    bool has_front;
    size_t worker_count;
    struct fl_counters_worker workers[FL_LIMIT_WORKERS];
    struct fl_counters_worker all; /* their sum */
    struct fl_counters_log log;
    struct fl_histogram commits;
    uint64_t commits_failed;
    uint64_t readings;
    struct fl_top_process processes[FL_TOP_PROCESSES];
    size_t process_count;
    struct fl_busy busiest[(size_t)2 * FL_LIMIT_BUSIEST];
    size_t busiest_count;
};

/* FL_EPARSE: not an answer of a hub. What is missing in it counts as 0. */
FL_MUST_USE enum fl_error fl_top_read(const json_t *load, struct fl_top_sample *sample,
                                      struct fl_context *ctx);

struct fl_top_device {
    char name[FL_NAME_MAX + 1];
    double messages; /* a second */
    double bytes;
    bool about; /* some of it may be others' */
};

/* What happened between two. Rates are per second. */
struct fl_top_view {
    const struct fl_top_sample *now;
    struct fl_counters_worker delta; /* of what only grows */
    struct fl_counters_log log;      /* the same of the log */
    double seconds;                  /* it took at the front; 0: nothing new was told */
    double hub_seconds;
    struct fl_histogram commits;
    uint64_t commits_failed;
    uint64_t readings;
    double busy[FL_LIMIT_WORKERS]; /* of each worker, 0 to 1 */
    struct fl_histogram rounds[FL_LIMIT_WORKERS];
    double cpu[FL_TOP_PROCESSES]; /* of one processor; below 0: not known */
    struct fl_top_device devices[FL_LIMIT_BUSIEST];
    size_t device_count;
};

void fl_top_between(const struct fl_top_sample *earlier, const struct fl_top_sample *later,
                    struct fl_top_view *view);

/* At most `height` lines of at most `width` columns; 0: no bound. */
void fl_top_page(const struct fl_top_view *view, size_t width, size_t height, bool color,
                 struct fl_buffer *out);
json_t *fl_top_json(const struct fl_top_view *view);

/* "1.2k", "930", "4.5M": at most five columns. */
#define FL_TOP_NUMBER 16
const char *fl_top_number(double value, char to[FL_TOP_NUMBER]);

#endif
