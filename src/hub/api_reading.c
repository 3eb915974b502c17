/* SPDX-License-Identifier: Apache-2.0
 * Readings of one device. */
#include "hub/api.h"

#include <stdio.h>
#include <stdlib.h>

#define LIMIT_DEFAULT 1000

/* The shortest decimal that reads back as the same number. */
static void format_value(double value, char *to, size_t size)
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(to, size, "%.*g", digits, value);
        if (!(strtod(to, NULL) < value) && !(strtod(to, NULL) > value))
            return;
    }
}

/* Written by hand: ten thousand rows, whose texts are all plain names and numbers. */
static bool list_reading(void *to, uint64_t position, const struct fl_reading *r)
{
    char row[256];
    char t[FL_TIME_TEXT_MAX];
    char value[40];

    format_value(r->value, value, sizeof value);
    (void)snprintf(
        row, sizeof row, "{\"t\":\"%s\",\"stream\":\"%.*s\",\"value\":%s,\"position\":%llu}",
        fl_time_format(r->t, t), FL_SLICE_ARGS(r->stream), value, (unsigned long long)position);
    return fl_api_list_add_text(to, row);
}

static enum fl_error read_query(const struct fl_api_call *call, struct fl_reading_query *q,
                                struct fl_context *ctx)
{
    const char *from = fl_api_str(call->query, "from", NULL);
    const char *until = fl_api_str(call->query, "until", NULL);

    q->device = call->segment;
    q->stream = fl_slice_str(fl_api_str(call->query, "stream", ""));
    q->from = INT64_MIN;
    q->until = FL_TIME_NEVER;
    q->after = (uint64_t)fl_api_int(call->query, "after", 0);
    q->by_position = json_object_get(call->query, "after") != NULL;
    q->limit = (uint32_t)fl_api_int(call->query, "limit", LIMIT_DEFAULT);
    q->newest_first = strcmp(fl_api_str(call->query, "order", "asc"), "desc") == 0;
    if (q->by_position && q->newest_first)
        return fl_fail(ctx, FL_EINVAL,
                       "'after' goes on in the order of storing: not with "
                       "order=desc");
    /* The route has checked that they are times. */
    if ((from && fl_time_parse(fl_slice_str(from), &q->from) != FL_OK) ||
        (until && fl_time_parse(fl_slice_str(until), &q->until) != FL_OK))
        return fl_fail(ctx, FL_EINVAL, "a time is malformed");
    return FL_OK;
}

void fl_api_list_readings(struct fl_api_call *call)
{
    const struct fl_store *store = &call->hub->store;
    struct fl_reading_query query = {0};
    struct fl_api_list list;
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_registry_get(store, call->segment, &device, &ctx);

    if (error == FL_OK)
        error = read_query(call, &query, &ctx);
    fl_api_list_init(&list, query.limit);
    if (error == FL_OK)
        error = store->ops->query_readings(store->self, &query, list_reading, &list, &ctx);
    fl_api_list_answer(call, &list, error, &ctx);
}
