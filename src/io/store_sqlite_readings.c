/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_sqlite_impl.h"

#include <stdio.h>
#include <stdlib.h>

/* How many of a stream's last readings are searched for a redelivered message. More than one
 * session can have unacknowledged, so a message is always found. */
#define RECENT 1024

/* --- series --- */

void store_sqlite_forget_series(struct sqlite_store *s)
{
    struct fl_map_node *node = fl_map_next(&s->series, NULL);

    while (node) {
        struct fl_map_node *next = fl_map_next(&s->series, node);

        fl_map_remove(&s->series, node);
        free(fl_container_of(node, struct series, node));
        node = next;
    }
}

static void remember_series(struct sqlite_store *s, struct fl_slice key, int64_t id)
{
    struct series *series = NULL;

    if (s->series.count >= FL_LIMIT_SERIES_CACHE)
        store_sqlite_forget_series(s);
    series = calloc(1, sizeof *series);
    if (!series)
        return; /* only a cache */
    memcpy(series->key, key.data, key.size);
    series->id = id;
    if (fl_map_add(&s->series, &series->node, fl_slice(series->key, key.size)) != FL_OK)
        free(series);
}

enum fl_error store_sqlite_series(struct sqlite_store *s, const struct fl_reading *of, bool add,
                                  int64_t *id, struct fl_context *ctx)
{
    struct fl_slice device = of->device;
    struct fl_slice stream = of->stream;
    const size_t head = sizeof of->generation;
    char text[2 * FL_NAME_MAX + 2 + sizeof of->generation] = {0};
    struct fl_slice key = fl_slice(text, head + device.size + 1 + stream.size);
    struct fl_map_node *node = NULL;
    sqlite3_stmt *find = s->sql[SQL_SERIES_FIND];
    sqlite3_stmt *insert = s->sql[SQL_SERIES_ADD];
    enum fl_error error = FL_OK;
    int code = SQLITE_OK;

    if (!fl_name_valid(device) || !fl_name_valid(stream))
        return fl_fail(ctx, FL_EINVAL, "store: not a device or stream name");
    memcpy(text, &of->generation, head);
    memcpy(text + head, device.data, device.size);
    memcpy(text + head + device.size + 1, stream.data, stream.size);
    node = fl_map_find(&s->series, key);
    if (node) {
        *id = fl_container_of(node, struct series, node)->id;
        return FL_OK;
    }
    store_sqlite_text(find, ":device", device);
    store_sqlite_text(find, ":stream", stream);
    store_sqlite_int(find, ":generation", of->generation);
    code = sqlite3_step(find);
    if (code == SQLITE_ROW)
        *id = sqlite3_column_int64(find, 0);
    else if (code != SQLITE_DONE)
        error = store_sqlite_fail(s, "series", ctx);
    (void)sqlite3_reset(find);
    if (error == FL_OK && code == SQLITE_DONE) {
        if (!add)
            return FL_ENOTFOUND;
        store_sqlite_text(insert, ":device", device);
        store_sqlite_text(insert, ":stream", stream);
        store_sqlite_int(insert, ":generation", of->generation);
        error = store_sqlite_run(s, insert, "series", ctx);
        *id = sqlite3_last_insert_rowid(s->db);
    }
    if (error == FL_OK)
        remember_series(s, key, *id);
    return error;
}

/* --- appending --- */

static enum fl_error is_redelivered(struct sqlite_store *s, int64_t series, uint64_t message,
                                    bool *found, struct fl_context *ctx)
{
    sqlite3_stmt *stmt = s->sql[SQL_READING_RECENT];
    enum fl_error error = FL_OK;
    int code = SQLITE_OK;

    store_sqlite_int(stmt, ":series", series);
    store_sqlite_int(stmt, ":recent", RECENT);
    store_sqlite_int(stmt, ":message", (int64_t)message);
    code = sqlite3_step(stmt);
    *found = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        error = store_sqlite_fail(s, "redelivery", ctx);
    (void)sqlite3_reset(stmt);
    return error;
}

void store_sqlite_value(sqlite3_stmt *stmt, const struct fl_reading *reading)
{
    if (reading->generation)
        store_sqlite_blob(stmt, ":value", reading->sealed);
    else
        (void)sqlite3_bind_double(stmt, sqlite3_bind_parameter_index(stmt, ":value"),
                                  reading->value);
}

static enum fl_error append_one(struct sqlite_store *s, const struct fl_reading *reading,
                                struct fl_context *ctx)
{
    sqlite3_stmt *stmt = s->sql[SQL_READING_ADD];
    int64_t series = 0;
    bool found = false;
    enum fl_error error = store_sqlite_series(s, reading, true, &series, ctx);

    if (error == FL_OK && reading->redelivery && reading->message)
        error = is_redelivered(s, series, reading->message, &found, ctx);
    if (error != FL_OK || found)
        return error;
    store_sqlite_int(stmt, ":series", series);
    store_sqlite_int(stmt, ":position", (int64_t)(s->position + 1));
    store_sqlite_int(stmt, ":t", reading->t);
    store_sqlite_value(stmt, reading);
    store_sqlite_int(stmt, ":message", (int64_t)reading->message);
    error = store_sqlite_run(s, stmt, "append", ctx);
    if (error == FL_OK && sqlite3_changes(s->db) == 1)
        s->position++;
    return error;
}

enum fl_error store_sqlite_append(void *self, const struct fl_reading *readings, size_t count,
                                  struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    bool own = !s->in_transaction;
    enum fl_error error = own ? store_sqlite_begin(s, ctx) : store_sqlite_alive(s, ctx);

    if (error != FL_OK)
        return error;
    for (size_t i = 0; i < count && error == FL_OK; i++)
        error = append_one(s, &readings[i], ctx);
    if (error == FL_OK) {
        store_sqlite_int(s->sql[SQL_COUNTER_SET], ":value", (int64_t)s->position);
        error = store_sqlite_run(s, s->sql[SQL_COUNTER_SET], "append", ctx);
    }
    if (!own)
        return error;
    if (error == FL_OK)
        return store_sqlite_commit(s, ctx);
    store_sqlite_rollback(s);
    return error;
}

/* --- querying: each series of the device is one ordered cursor, and the cursors are merged --- */

struct cursor {
    sqlite3_stmt *stmt; /* columns: position, t, value */
    char stream[FL_NAME_MAX + 1];
    uint32_t generation;
    uint64_t position;
    fl_time_t t;
    double value;
    uint8_t sealed[FL_STORE_SEALED];
    bool live;
};

struct merge {
    struct cursor *cursors;
    size_t count;
    bool by_position;
    bool newest_first;
};

static enum fl_error cursor_next(struct sqlite_store *s, struct cursor *c, struct fl_context *ctx)
{
    int code = sqlite3_step(c->stmt);

    c->live = code == SQLITE_ROW;
    if (code == SQLITE_DONE)
        return FL_OK;
    if (code != SQLITE_ROW)
        return store_sqlite_fail(s, "query", ctx);
    c->position = (uint64_t)sqlite3_column_int64(c->stmt, 0);
    c->t = sqlite3_column_int64(c->stmt, 1);
    if (c->generation == 0) {
        c->value = sqlite3_column_double(c->stmt, 2);
        return FL_OK;
    }
    if (sqlite3_column_bytes(c->stmt, 2) != FL_STORE_SEALED)
        return fl_fail(ctx, FL_EIO, "store: a sealed value has another size");
    memcpy(c->sealed, sqlite3_column_blob(c->stmt, 2), sizeof c->sealed);
    return FL_OK;
}

static enum fl_error cursor_open(struct sqlite_store *s, struct cursor *c, int64_t series,
                                 const struct fl_reading_query *q, struct fl_context *ctx)
{
    char text[256];
    bool by_position = q->by_position || q->after != 0;
    enum fl_error error = FL_OK;

    (void)snprintf(text, sizeof text,
                   "SELECT position, t, value FROM reading %s WHERE series = :series"
                   " AND position > :after AND t >= :from AND t < :until ORDER BY %s LIMIT :limit",
                   by_position ? "" : "INDEXED BY reading_once",
                   by_position ? "position"
                               : (q->newest_first ? "t DESC, position DESC" : "t, position"));
    error = store_sqlite_prepare(s, text, &c->stmt, ctx);
    if (error != FL_OK)
        return error;
    store_sqlite_int(c->stmt, ":series", series);
    store_sqlite_int(c->stmt, ":from", q->from);
    store_sqlite_int(c->stmt, ":until", q->until);
    store_sqlite_int(c->stmt, ":after", (int64_t)q->after);
    store_sqlite_int(c->stmt, ":limit", q->limit);
    return cursor_next(s, c, ctx);
}

/* True if `a` comes before `b`. */
static bool before(const struct merge *m, const struct cursor *a, const struct cursor *b)
{
    int by_stream = 0;

    if (m->by_position)
        return a->position < b->position;
    if (a->t != b->t)
        return m->newest_first ? a->t > b->t : a->t < b->t;
    by_stream = strcmp(a->stream, b->stream);
    if (by_stream == 0) /* generations of one stream */
        return m->newest_first ? a->position > b->position : a->position < b->position;
    return m->newest_first ? by_stream > 0 : by_stream < 0;
}

static struct cursor *first_of(const struct merge *m)
{
    struct cursor *first = NULL;

    for (size_t i = 0; i < m->count; i++)
        if (m->cursors[i].live && (!first || before(m, &m->cursors[i], first)))
            first = &m->cursors[i];
    return first;
}

static enum fl_error add_cursor(struct sqlite_store *s, struct merge *m, sqlite3_stmt *found,
                                const struct fl_reading_query *q, struct fl_context *ctx)
{
    int64_t series = sqlite3_column_int64(found, 0);
    struct cursor *grown = realloc(m->cursors, (m->count + 1) * sizeof *grown);

    if (!grown)
        return fl_fail(ctx, FL_ENOMEM, "store: query: out of memory");
    m->cursors = grown;
    grown[m->count] = (struct cursor){0};
    (void)fl_str_copy(grown[m->count].stream, sizeof grown->stream,
                      (const char *)sqlite3_column_text(found, 1));
    grown[m->count].generation = (uint32_t)sqlite3_column_int64(found, 2);
    m->count++;
    return cursor_open(s, &grown[m->count - 1], series, q, ctx);
}

static enum fl_error open_cursors(struct sqlite_store *s, struct merge *m,
                                  const struct fl_reading_query *q, struct fl_context *ctx)
{
    sqlite3_stmt *list = NULL;
    int code = SQLITE_DONE;
    enum fl_error error =
        store_sqlite_prepare(s,
                             "SELECT id, stream, generation FROM series WHERE device = :device"
                             " AND (:stream = '' OR stream = :stream)",
                             &list, ctx);

    if (error != FL_OK)
        return error;
    store_sqlite_text(list, ":device", q->device);
    store_sqlite_text(list, ":stream", q->stream);
    while (error == FL_OK && (code = sqlite3_step(list)) == SQLITE_ROW)
        error = add_cursor(s, m, list, q, ctx);
    if (error == FL_OK && code != SQLITE_DONE)
        error = store_sqlite_fail(s, "query", ctx);
    (void)sqlite3_finalize(list);
    return error;
}

enum fl_error store_sqlite_query(void *self, const struct fl_reading_query *q,
                                 fl_reading_visit visit, void *to, struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    struct merge m = {.by_position = q->by_position || q->after != 0,
                      .newest_first = q->newest_first};
    enum fl_error error = store_sqlite_alive(s, ctx);

    if (error == FL_OK)
        error = open_cursors(s, &m, q, ctx);
    for (uint32_t i = 0; i < q->limit && error == FL_OK; i++) {
        struct cursor *c = first_of(&m);
        struct fl_reading reading = {0};

        if (!c)
            break;
        reading.device = q->device;
        reading.stream = fl_slice_str(c->stream);
        reading.t = c->t;
        reading.value = c->value;
        reading.generation = c->generation;
        if (c->generation)
            reading.sealed = fl_slice(c->sealed, sizeof c->sealed);
        if (!visit(to, c->position, &reading))
            break;
        error = cursor_next(s, c, ctx);
    }
    for (size_t i = 0; i < m.count; i++)
        (void)sqlite3_finalize(m.cursors[i].stmt);
    free(m.cursors);
    return error;
}
