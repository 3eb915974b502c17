/* SPDX-License-Identifier: Apache-2.0
 * Readings of one device, row by row or in buckets. They are sealed: a call whose device's key is
 * not in memory waits for it. */
#include "hub/api.h"

#include "service/bucket.h"
#include "service/device_key.h"

#include <stdio.h>
#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an intrusive list and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define LIMIT_DEFAULT 1000
#define BUCKET_BYTES ((size_t)512 * 1024) /* and those of one time more: an answer has room */

/* A call, with copies of what it refers to. */
struct read {
    struct fl_list node;
    struct fl_api_caller caller;
    const struct fl_api_route *route;
    struct fl_reading_query query;
    fl_time_t every_ms; /* 0: row by row */
    char device[FL_NAME_MAX + 1];
    char stream[FL_NAME_MAX + 1];
};

/* --- the query --- */

static enum fl_error read_every(const struct fl_api_call *call, struct read *r,
                                struct fl_context *ctx)
{
    const char *every = fl_api_str(call->query, "every", NULL);

    if (!every)
        return FL_OK;
    if (fl_duration_parse(fl_slice_str(every), &r->every_ms) != FL_OK || r->every_ms < 1000)
        return fl_fail(ctx, FL_EINVAL, "'every' is a duration of a second or more, such as 5m");
    if (r->query.by_position || r->query.newest_first)
        return fl_fail(ctx, FL_EINVAL,
                       "buckets are in the order of time: 'every' goes neither "
                       "with after nor with order=desc");
    return FL_OK;
}

static enum fl_error read_query(const struct fl_api_call *call, struct read *r,
                                struct fl_context *ctx)
{
    struct fl_reading_query *q = &r->query;
    const char *from = fl_api_str(call->query, "from", NULL);
    const char *until = fl_api_str(call->query, "until", NULL);

    (void)fl_str_copy_slice(r->device, sizeof r->device, call->segment);
    (void)fl_str_copy(r->stream, sizeof r->stream, fl_api_str(call->query, "stream", ""));
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
    return read_every(call, r, ctx);
}

/* --- rows --- */

struct reading_out {
    struct fl_api_list list;
    struct fl_hub_key *key; /* NULL: the device has none */
    uint32_t erased;        /* the last generation that was */
    bool erasing;           /* what is not sealed is gone too */
    struct fl_bucket_set buckets;
    uint32_t looked_at;
    size_t wanted; /* buckets */
    bool cut;      /* before the end of the range */
};

/* The shortest decimal that reads back as the same number. */
static void format_value(double value, char *to, size_t size)
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(to, size, "%.*g", digits, value);
        if (!(strtod(to, NULL) < value) && !(strtod(to, NULL) > value))
            return;
    }
}

/* NULL: `*value` is it; else why there is none. */
static const char *open_value(const struct reading_out *out, const struct fl_reading *r,
                              double *value)
{
    *value = r->value;
    if (r->generation == 0)
        return out->erasing ? "erased" : NULL;
    if (r->generation <= out->erased)
        return "erased";
    if (out->key && out->key->generation == r->generation &&
        fl_reading_seal_open(out->key->seal, r->stream, r->t, r->sealed, value, NULL) == FL_OK)
        return NULL;
    return "damaged";
}

/* Written by hand: ten thousand rows, whose texts are all plain names and numbers. */
static bool list_reading(void *to, uint64_t position, const struct fl_reading *r)
{
    struct reading_out *out = to;
    char row[320];
    char t[FL_TIME_TEXT_MAX];
    char text[40] = "null";
    double value = 0;
    const char *why = open_value(out, r, &value);

    if (!why)
        format_value(value, text, sizeof text);
    (void)snprintf(
        row, sizeof row, "{\"t\":\"%s\",\"stream\":\"%.*s\",\"value\":%s,%s%s%s\"position\":%llu}",
        fl_time_format(r->t, t), FL_SLICE_ARGS(r->stream), text, why ? "\"state\":\"" : "",
        why ? why : "", why ? "\"," : "", (unsigned long long)position);
    return fl_api_list_add_text(&out->list, row);
}

/* --- buckets --- */

static void list_bucket(void *to, const struct fl_bucket *b)
{
    struct reading_out *out = to;
    char row[512];
    char t[FL_TIME_TEXT_MAX];
    char numbers[5][40];
    const double values[5] = {b->min, b->max, b->mean, b->first, b->last};

    for (size_t i = 0; i < 5; i++)
        format_value(values[i], numbers[i], sizeof numbers[i]);
    (void)snprintf(row, sizeof row,
                   "{\"t\":\"%s\",\"stream\":\"%s\",\"count\":%llu,\"min\":%s,\"max\":%s,"
                   "\"mean\":%s,\"first\":%s,\"last\":%s}",
                   fl_time_format(b->t, t), b->stream, (unsigned long long)b->count, numbers[0],
                   numbers[1], numbers[2], numbers[3], numbers[4]);
    (void)fl_api_list_add_text(&out->list, row);
}

static bool add_to_bucket(void *to, uint64_t position, const struct fl_reading *r)
{
    struct reading_out *out = to;
    double value = 0;

    (void)position;
    if (out->looked_at++ == FL_LIMIT_READINGS_PASS) {
        out->cut = true;
        return false;
    }
    if (open_value(out, r, &value))
        return true; /* what cannot be read counts for nothing */
    /* Buckets of one time go out together, so that the next call can begin with the next time. */
    out->cut = fl_bucket_add(&out->buckets, r->stream, r->t, value) != FL_OK ||
               out->list.count >= out->wanted || out->list.text.size > BUCKET_BYTES;
    return !out->cut;
}

static enum fl_error list_buckets(struct fl_hub *hub, struct read *r, struct reading_out *out,
                                  struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    fl_bucket_init(&out->buckets, r->every_ms, list_bucket, out);
    out->wanted = out->list.limit;
    out->list.limit = SIZE_MAX;
    r->query.limit = UINT32_MAX;
    error = hub->store.ops->query_readings(hub->store.self, &r->query, add_to_bucket, out, ctx);
    /* A bucket that the pass did not see the end of is left to the next call. */
    if (error == FL_OK && !out->cut)
        fl_bucket_end(&out->buckets);
    if (error == FL_OK && out->cut && out->list.count == 0)
        error = fl_fail(ctx, FL_ELIMIT,
                        "over %d readings or %d streams in one bucket: ask for a shorter 'every', "
                        "or one stream",
                        FL_LIMIT_READINGS_PASS, FL_LIMIT_BUCKET_STREAMS);
    fl_bucket_free(&out->buckets);
    return error;
}

/* --- answering --- */

/* FL_EMORE: not yet, the key is asked for. */
static enum fl_error answer(struct fl_hub *hub, struct read *r)
{
    struct fl_api_call call = {.hub = hub, .caller = r->caller, .route = r->route};
    struct reading_out out = {0};
    struct fl_device_key record = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_device_key_get(&hub->store, fl_slice_str(r->device), &record, &ctx);

    /* Reading makes no key: without one nothing was sealed. */
    if (error == FL_OK && record.made && !record.erasing)
        error = fl_hub_key(hub, fl_slice_str(r->device), &out.key, &ctx);
    if (error == FL_EMORE)
        return error;
    out.erased = record.erasing ? record.generation : record.erased;
    out.erasing = fl_device_key_is_erasing(&hub->store, fl_slice_str(r->device));
    r->query.device = fl_slice_str(r->device);
    r->query.stream = fl_slice_str(r->stream);
    fl_api_list_init(&out.list, r->query.limit);
    if (error == FL_OK && r->every_ms)
        error = list_buckets(hub, r, &out, &ctx);
    else if (error == FL_OK)
        error =
            hub->store.ops->query_readings(hub->store.self, &r->query, list_reading, &out, &ctx);
    fl_api_list_answer(&call, &out.list, error, &ctx);
    return FL_OK;
}

void fl_api_list_readings(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct read *r = NULL;
    struct fl_device device = {0};
    struct fl_context ctx = {0};
    enum fl_error error = fl_registry_get(&hub->store, call->segment, &device, &ctx);

    if (error == FL_OK && hub->read_count == FL_LIMIT_PENDING_API)
        error = fl_fail(&ctx, FL_EBUSY, "too many calls wait for keys");
    if (error == FL_OK) {
        r = calloc(1, sizeof *r);
        error = r ? read_query(call, r, &ctx) : fl_fail(&ctx, FL_ENOMEM, "out of memory");
    }
    if (error != FL_OK || !r) {
        fl_api_fail(call, error, &ctx);
        free(r);
        return;
    }
    r->caller = call->caller;
    r->route = call->route;
    if (answer(hub, r) != FL_EMORE) {
        free(r);
        return;
    }
    fl_list_push(&hub->reads, &r->node);
    hub->read_count++;
}

/* --- waiting --- */

static void drop(struct fl_hub *hub, struct read *r)
{
    fl_list_remove(&r->node);
    hub->read_count--;
    free(r);
}

void fl_api_resume_readings(struct fl_hub *hub)
{
    FL_LIST_EACH(node, &hub->reads)
    {
        struct read *r = fl_container_of(node, struct read, node);

        if (answer(hub, r) != FL_EMORE)
            drop(hub, r);
    }
}

void fl_api_forget_readings(struct fl_hub *hub)
{
    FL_LIST_EACH(node, &hub->reads)
    {
        struct read *r = fl_container_of(node, struct read, node);

        if (!r->caller.exchange)
            drop(hub, r);
    }
}

void fl_api_free_readings(struct fl_hub *hub)
{
    FL_LIST_EACH(node, &hub->reads)
    drop(hub, fl_container_of(node, struct read, node));
}
