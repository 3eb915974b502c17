/* SPDX-License-Identifier: Apache-2.0 */
#include "test/twin/store_twin.h"

#include "base/assert.h"

#include <stdlib.h>

struct document {
    uint8_t *key;
    size_t key_size;
    uint8_t *text;
    size_t text_size;
};

struct table {
    struct document *items; /* by key */
    size_t count;
};

struct kept {
    char device[FL_NAME_MAX + 1];
    char stream[FL_NAME_MAX + 1];
    struct fl_reading reading; /* its slices are not used */
    uint8_t sealed[FL_STORE_SEALED];
    uint64_t position;
    uint64_t series;
};

struct kept_series {
    char device[FL_NAME_MAX + 1];
    char stream[FL_NAME_MAX + 1];
    uint32_t generation;
    bool gone;
};

struct contents {
    struct kept_series *series; /* number 1 is the first */
    size_t series_count;
    struct table tables[FL_TABLE_COUNT];
    struct kept *readings;
    size_t reading_count;
    uint64_t position;
};

struct twin {
    struct contents now;
    struct contents before; /* what rollback goes back to */
    bool in_transaction;
    uint64_t writes;
    uint64_t fail_at;
    enum fl_error fault;
};

static void *copy_bytes(const void *from, size_t size)
{
    void *to = malloc(size ? size : 1);

    fl_assert(to);
    if (size)
        memcpy(to, from, size);
    return to;
}

static void free_contents(struct contents *c)
{
    for (size_t t = 0; t < FL_TABLE_COUNT; t++) {
        for (size_t i = 0; i < c->tables[t].count; i++) {
            free(c->tables[t].items[i].key);
            free(c->tables[t].items[i].text);
        }
        free(c->tables[t].items);
    }
    free(c->readings);
    free(c->series);
    *c = (struct contents){0};
}

static struct contents copy_contents(const struct contents *from)
{
    struct contents to = *from;

    for (size_t t = 0; t < FL_TABLE_COUNT; t++) {
        const struct table *old = &from->tables[t];

        to.tables[t].items = copy_bytes(old->items, old->count * sizeof *old->items);
        for (size_t i = 0; i < old->count; i++) {
            to.tables[t].items[i].key = copy_bytes(old->items[i].key, old->items[i].key_size);
            to.tables[t].items[i].text = copy_bytes(old->items[i].text, old->items[i].text_size);
        }
    }
    to.readings = copy_bytes(from->readings, from->reading_count * sizeof *from->readings);
    to.series = copy_bytes(from->series, from->series_count * sizeof *from->series);
    return to;
}

static enum fl_error fault(struct twin *w, struct fl_context *ctx)
{
    w->writes++;
    if (w->fail_at == 0 || --w->fail_at > 0)
        return FL_OK;
    return fl_fail(ctx, w->fault, "store: a fault that the test asked for");
}

static enum fl_error twin_begin(void *self, struct fl_context *ctx)
{
    struct twin *w = self;

    if (w->in_transaction)
        return fl_fail(ctx, FL_ESTATE, "store: a transaction is open already");
    w->before = copy_contents(&w->now);
    w->in_transaction = true;
    return FL_OK;
}

static void twin_rollback(void *self)
{
    struct twin *w = self;

    if (!w->in_transaction)
        return;
    free_contents(&w->now);
    w->now = w->before;
    w->before = (struct contents){0};
    w->in_transaction = false;
}

static enum fl_error twin_commit(void *self, struct fl_context *ctx)
{
    struct twin *w = self;
    enum fl_error error = FL_OK;

    if (!w->in_transaction)
        return fl_fail(ctx, FL_ESTATE, "store: no transaction is open");
    error = fault(w, ctx);
    if (error != FL_OK) {
        twin_rollback(w);
        return error;
    }
    free_contents(&w->before);
    w->in_transaction = false;
    return FL_OK;
}

/* The place of the first key that is not less. */
static size_t place(const struct table *table, struct fl_slice key, bool *found)
{
    size_t i = 0;
    int order = 1;

    for (i = 0; i < table->count; i++) {
        order = fl_slice_compare(fl_slice(table->items[i].key, table->items[i].key_size), key);
        if (order >= 0)
            break;
    }
    *found = i < table->count && order == 0;
    return i;
}

static enum fl_error twin_get(void *self, enum fl_table table, struct fl_slice key,
                              struct fl_buffer *document, struct fl_context *ctx)
{
    struct twin *w = self;
    bool found = false;
    size_t at = place(&w->now.tables[table], key, &found);

    if (!found)
        return fl_fail(ctx, FL_ENOTFOUND, "store: not found");
    return fl_buffer_append(document, w->now.tables[table].items[at].text,
                            w->now.tables[table].items[at].text_size);
}

static enum fl_error twin_put(void *self, enum fl_table table_id, struct fl_slice key,
                              struct fl_slice document, struct fl_context *ctx)
{
    struct twin *w = self;
    struct table *table = &w->now.tables[table_id];
    bool found = false;
    size_t at = place(table, key, &found);
    enum fl_error error = fault(w, ctx);

    if (error != FL_OK)
        return error;
    if (!found) {
        table->items = realloc(table->items, (table->count + 1) * sizeof *table->items);
        fl_assert(table->items);
        memmove(table->items + at + 1, table->items + at,
                (table->count - at) * sizeof *table->items);
        table->count++;
        table->items[at] =
            (struct document){.key = copy_bytes(key.data, key.size), .key_size = key.size};
    }
    free(table->items[at].text);
    table->items[at].text = copy_bytes(document.data, document.size);
    table->items[at].text_size = document.size;
    return FL_OK;
}

static enum fl_error twin_del(void *self, enum fl_table table_id, struct fl_slice key,
                              struct fl_context *ctx)
{
    struct twin *w = self;
    struct table *table = &w->now.tables[table_id];
    bool found = false;
    size_t at = place(table, key, &found);
    enum fl_error error = fault(w, ctx);

    if (error != FL_OK || !found)
        return error;
    free(table->items[at].key);
    free(table->items[at].text);
    table->count--;
    memmove(table->items + at, table->items + at + 1, (table->count - at) * sizeof *table->items);
    return FL_OK;
}

static enum fl_error twin_scan(void *self, enum fl_table table_id, struct fl_slice from,
                               struct fl_slice until, bool reverse, uint32_t limit,
                               fl_store_visit visit, void *to, struct fl_context *ctx)
{
    struct twin *w = self;
    const struct table *table = &w->now.tables[table_id];
    bool found = false;
    size_t first = place(table, from, &found);
    size_t end = until.size ? place(table, until, &found) : table->count;

    (void)ctx;
    for (size_t i = 0; first + i < end && i < limit; i++) {
        const struct document *d = &table->items[reverse ? end - 1 - i : first + i];

        if (!visit(to, fl_slice(d->key, d->key_size), fl_slice(d->text, d->text_size)))
            break;
    }
    return FL_OK;
}

static bool same_value(const struct kept *k, const struct fl_reading *r)
{
    if (r->generation)
        return fl_slice_equal(r->sealed, fl_slice(k->sealed, sizeof k->sealed));
    return !(k->reading.value < r->value) && !(k->reading.value > r->value);
}

static uint64_t series_of(struct contents *c, const struct fl_reading *r)
{
    struct kept_series *series = NULL;

    for (size_t i = 0; i < c->series_count; i++)
        if (!c->series[i].gone && c->series[i].generation == r->generation &&
            fl_slice_is(r->device, c->series[i].device) &&
            fl_slice_is(r->stream, c->series[i].stream))
            return i + 1;
    c->series = realloc(c->series, (c->series_count + 1) * sizeof *c->series);
    fl_assert(c->series);
    series = &c->series[c->series_count++];
    *series = (struct kept_series){.generation = r->generation};
    (void)fl_str_copy_slice(series->device, sizeof series->device, r->device);
    (void)fl_str_copy_slice(series->stream, sizeof series->stream, r->stream);
    return c->series_count;
}

static bool is_stored(const struct contents *c, const struct fl_reading *r)
{
    for (size_t i = 0; i < c->reading_count; i++) {
        const struct kept *k = &c->readings[i];

        if (!fl_slice_is(r->device, k->device) || !fl_slice_is(r->stream, k->stream) ||
            k->reading.generation != r->generation)
            continue;
        if (k->reading.t == r->t && same_value(k, r))
            return true;
        if (r->redelivery && r->message && k->reading.message == r->message)
            return true;
    }
    return false;
}

static enum fl_error twin_append(void *self, const struct fl_reading *readings, size_t count,
                                 struct fl_context *ctx)
{
    struct twin *w = self;
    struct contents *c = &w->now;
    enum fl_error error = fault(w, ctx);

    if (error != FL_OK)
        return error;
    for (size_t i = 0; i < count; i++) {
        struct kept *k = NULL;

        if (is_stored(c, &readings[i]))
            continue;
        c->readings = realloc(c->readings, (c->reading_count + 1) * sizeof *c->readings);
        fl_assert(c->readings);
        k = &c->readings[c->reading_count++];
        *k = (struct kept){.reading = readings[i], .position = ++c->position};
        (void)fl_str_copy_slice(k->device, sizeof k->device, readings[i].device);
        (void)fl_str_copy_slice(k->stream, sizeof k->stream, readings[i].stream);
        if (readings[i].generation)
            memcpy(k->sealed, readings[i].sealed.data, sizeof k->sealed);
        k->series = series_of(c, &readings[i]);
    }
    return FL_OK;
}

static bool is_before(const struct fl_reading_query *q, const struct kept *a, const struct kept *b)
{
    int order = 0;

    if (q->after || q->by_position)
        return a->position < b->position;
    if (a->reading.t != b->reading.t)
        return q->newest_first ? a->reading.t > b->reading.t : a->reading.t < b->reading.t;
    order = strcmp(a->stream, b->stream);
    if (order != 0)
        return q->newest_first ? order > 0 : order < 0;
    return q->newest_first ? a->position > b->position : a->position < b->position;
}

static bool is_asked(const struct fl_reading_query *q, const struct kept *k)
{
    return fl_slice_is(q->device, k->device) &&
           (q->stream.size == 0 || fl_slice_is(q->stream, k->stream)) && k->reading.t >= q->from &&
           k->reading.t < q->until && k->position > q->after;
}

/* The slow and plain way: look for the next one again and again. */
static enum fl_error twin_query(void *self, const struct fl_reading_query *q,
                                fl_reading_visit visit, void *to, struct fl_context *ctx)
{
    struct twin *w = self;
    const struct kept *last = NULL;

    (void)ctx;
    for (uint32_t n = 0; n < q->limit; n++) {
        const struct kept *next = NULL;
        struct fl_reading reading = {0};

        for (size_t i = 0; i < w->now.reading_count; i++) {
            const struct kept *k = &w->now.readings[i];

            if (is_asked(q, k) && (!last || is_before(q, last, k)) &&
                (!next || is_before(q, k, next)))
                next = k;
        }
        if (!next)
            break;
        reading = (struct fl_reading){.device = fl_slice_str(next->device),
                                      .stream = fl_slice_str(next->stream),
                                      .t = next->reading.t,
                                      .value = next->reading.value,
                                      .generation = next->reading.generation};
        if (next->reading.generation)
            reading.sealed = fl_slice(next->sealed, sizeof next->sealed);
        if (!visit(to, next->position, &reading))
            break;
        last = next;
    }
    return FL_OK;
}

static enum fl_error twin_each_series(void *self, struct fl_slice device, uint64_t after,
                                      uint32_t limit, fl_series_visit visit, void *to,
                                      struct fl_context *ctx)
{
    struct twin *w = self;
    uint32_t count = 0;

    (void)ctx;
    for (uint64_t id = after + 1; id <= w->now.series_count && count < limit; id++) {
        const struct kept_series *k = &w->now.series[id - 1];
        struct fl_series series = {.id = id,
                                   .device = fl_slice_str(k->device),
                                   .stream = fl_slice_str(k->stream),
                                   .generation = k->generation};

        if (k->gone || (device.size && !fl_slice_is(device, k->device)))
            continue;
        count++;
        if (!visit(to, &series))
            break;
    }
    return FL_OK;
}

static void forget_reading(struct contents *c, size_t at)
{
    memmove(c->readings + at, c->readings + at + 1,
            (c->reading_count - at - 1) * sizeof *c->readings);
    c->reading_count--;
}

static enum fl_error twin_delete(void *self, uint64_t series, fl_time_t before, uint32_t limit,
                                 size_t *deleted, struct fl_context *ctx)
{
    struct twin *w = self;
    struct contents *c = &w->now;
    enum fl_error error = fault(w, ctx);

    *deleted = 0;
    for (size_t i = 0; error == FL_OK && i < c->reading_count && *deleted < limit;) {
        if (c->readings[i].series == series && c->readings[i].reading.t < before) {
            forget_reading(c, i);
            ++*deleted;
        } else {
            i++;
        }
    }
    if (error == FL_OK && *deleted < limit && before == FL_TIME_NEVER && series <= c->series_count)
        c->series[series - 1].gone = true;
    return error;
}

static enum fl_error twin_seal(void *self, uint64_t series, uint32_t limit, fl_store_seal seal,
                               void *to, size_t *sealed, struct fl_context *ctx)
{
    struct twin *w = self;
    struct contents *c = &w->now;
    enum fl_error error = fault(w, ctx);

    *sealed = 0;
    if (error == FL_OK && (series > c->series_count || c->series[series - 1].gone ||
                           c->series[series - 1].generation != 0))
        error = fl_fail(ctx, FL_ENOTFOUND, "store: seal: no such series, or it is sealed");
    for (size_t i = 0; error == FL_OK && i < c->reading_count && *sealed < limit; i++) {
        struct kept *k = &c->readings[i];

        if (k->series != series)
            continue;
        k->reading.device = fl_slice_str(k->device);
        k->reading.stream = fl_slice_str(k->stream);
        error = seal(to, &k->reading, k->sealed, ctx);
        k->series = series_of(c, &k->reading);
        ++*sealed;
    }
    if (error == FL_OK && *sealed < limit)
        c->series[series - 1].gone = true;
    return error;
}

static void twin_close(void *self)
{
    struct twin *w = self;

    free_contents(&w->now);
    free_contents(&w->before);
    free(w);
}

static const struct fl_store_ops twin_ops = {
    .begin = twin_begin,
    .commit = twin_commit,
    .rollback = twin_rollback,
    .get = twin_get,
    .put = twin_put,
    .del = twin_del,
    .scan = twin_scan,
    .append_readings = twin_append,
    .query_readings = twin_query,
    .each_series = twin_each_series,
    .delete_readings = twin_delete,
    .seal_readings = twin_seal,
    .close = twin_close,
};

struct fl_store fl_store_twin_create(void)
{
    struct twin *w = calloc(1, sizeof *w);

    fl_assert(w);
    return (struct fl_store){.ops = &twin_ops, .self = w};
}

void fl_store_twin_fail(const struct fl_store *store, uint64_t nth, enum fl_error error)
{
    struct twin *w = store->self;

    w->fail_at = nth;
    w->fault = error;
}

uint64_t fl_store_twin_writes(const struct fl_store *store)
{
    const struct twin *w = store->self;

    return w->writes;
}

bool fl_store_twin_is_open(const struct fl_store *store)
{
    const struct twin *w = store->self;

    return w->in_transaction;
}
