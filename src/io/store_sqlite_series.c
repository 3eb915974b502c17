/* SPDX-License-Identifier: Apache-2.0
 * What is done to whole series, bit by bit: listing, deleting, sealing. */
#include "base/log.h"
#include "io/store_sqlite_impl.h"

/* One transaction around what `self` has open already or not. */
static enum fl_error enter(struct sqlite_store *s, bool *own, struct fl_context *ctx)
{
    *own = !s->in_transaction;
    return *own ? store_sqlite_begin(s, ctx) : store_sqlite_alive(s, ctx);
}

static enum fl_error leave(struct sqlite_store *s, bool own, enum fl_error error,
                           struct fl_context *ctx)
{
    if (!own)
        return error;
    if (error == FL_OK)
        return store_sqlite_commit(s, ctx);
    store_sqlite_rollback(s);
    return error;
}

enum fl_error store_sqlite_each_series(void *self, struct fl_slice device, uint64_t after,
                                       uint32_t limit, fl_series_visit visit, void *to,
                                       struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    sqlite3_stmt *stmt = NULL;
    int code = SQLITE_DONE;
    bool more = true;
    enum fl_error error = store_sqlite_alive(s, ctx);

    if (error == FL_OK)
        error = store_sqlite_prepare(
            s,
            device.size ? "SELECT id, device, stream, generation FROM series WHERE"
                          " device = :device AND id > :after ORDER BY id LIMIT :limit"
                        : "SELECT id, device, stream, generation FROM series WHERE"
                          " id > :after ORDER BY id LIMIT :limit",
            &stmt, ctx);
    if (error != FL_OK)
        return error;
    if (device.size)
        store_sqlite_text(stmt, ":device", device);
    store_sqlite_int(stmt, ":after", (int64_t)after);
    store_sqlite_int(stmt, ":limit", limit);
    while (more && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct fl_series series = {
            .id = (uint64_t)sqlite3_column_int64(stmt, 0),
            .device = fl_slice_str((const char *)sqlite3_column_text(stmt, 1)),
            .stream = fl_slice_str((const char *)sqlite3_column_text(stmt, 2)),
            .generation = (uint32_t)sqlite3_column_int64(stmt, 3)};

        more = visit(to, &series);
    }
    if (more && code != SQLITE_DONE)
        error = store_sqlite_fail(s, "series", ctx);
    (void)sqlite3_finalize(stmt);
    return error;
}

static enum fl_error drop_series(struct sqlite_store *s, uint64_t series, struct fl_context *ctx)
{
    store_sqlite_int(s->sql[SQL_SERIES_DROP], ":series", (int64_t)series);
    store_sqlite_forget_series(s);
    return store_sqlite_run(s, s->sql[SQL_SERIES_DROP], "series", ctx);
}

enum fl_error store_sqlite_delete(void *self, uint64_t series, fl_time_t before, uint32_t limit,
                                  size_t *deleted, struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    sqlite3_stmt *stmt = s->sql[SQL_READING_DELETE];
    bool own = false;
    enum fl_error error = enter(s, &own, ctx);

    *deleted = 0;
    if (error != FL_OK)
        return error;
    store_sqlite_int(stmt, ":series", (int64_t)series);
    store_sqlite_int(stmt, ":before", before);
    store_sqlite_int(stmt, ":limit", limit);
    error = store_sqlite_run(s, stmt, "delete", ctx);
    if (error == FL_OK)
        *deleted = (size_t)sqlite3_changes(s->db);
    if (error == FL_OK && *deleted < limit && before == FL_TIME_NEVER)
        error = drop_series(s, series, ctx);
    return leave(s, own, error, ctx);
}

/* --- sealing --- */

struct open_reading {
    uint64_t position;
    fl_time_t t;
    double value;
    int64_t message;
};

struct sealing {
    struct sqlite_store *store;
    uint64_t series;
    char device[FL_NAME_MAX + 1];
    char stream[FL_NAME_MAX + 1];
    fl_store_seal seal;
    void *to;
};

static bool name_series(void *to, const struct fl_series *series)
{
    struct sealing *w = to;

    if (series->id == w->series && series->generation == 0) {
        (void)fl_str_copy_slice(w->device, sizeof w->device, series->device);
        (void)fl_str_copy_slice(w->stream, sizeof w->stream, series->stream);
    }
    return false;
}

static enum fl_error seal_one(struct sealing *w, const struct open_reading *from,
                              struct fl_context *ctx)
{
    struct sqlite_store *s = w->store;
    uint8_t sealed[FL_STORE_SEALED];
    struct fl_reading reading = {.device = fl_slice_str(w->device),
                                 .stream = fl_slice_str(w->stream),
                                 .t = from->t,
                                 .value = from->value};
    int64_t series = 0;
    enum fl_error error = w->seal(w->to, &reading, sealed, ctx);

    reading.sealed = fl_slice(sealed, sizeof sealed);
    if (error == FL_OK)
        error = store_sqlite_series(s, &reading, true, &series, ctx);
    if (error != FL_OK)
        return error;
    store_sqlite_int(s->sql[SQL_READING_DROP], ":series", (int64_t)w->series);
    store_sqlite_int(s->sql[SQL_READING_DROP], ":position", (int64_t)from->position);
    error = store_sqlite_run(s, s->sql[SQL_READING_DROP], "seal", ctx);
    if (error != FL_OK)
        return error;
    store_sqlite_int(s->sql[SQL_READING_KEEP], ":series", series);
    store_sqlite_int(s->sql[SQL_READING_KEEP], ":position", (int64_t)from->position);
    store_sqlite_int(s->sql[SQL_READING_KEEP], ":t", from->t);
    store_sqlite_value(s->sql[SQL_READING_KEEP], &reading);
    store_sqlite_int(s->sql[SQL_READING_KEEP], ":message", from->message);
    return store_sqlite_run(s, s->sql[SQL_READING_KEEP], "seal", ctx);
}

#define VACUUM_BYTES ((int64_t)128 * 1024 * 1024)

static int64_t pragma_int(struct sqlite_store *s, const char *text)
{
    sqlite3_stmt *stmt = NULL;
    int64_t value = 0;

    if (store_sqlite_prepare(s, text, &stmt, NULL) == FL_OK && sqlite3_step(stmt) == SQLITE_ROW)
        value = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return value;
}

/* The last series that was not sealed is gone. Pages of an older version, which did not overwrite
 * what it deleted, may still hold values between their rows: the file is written anew, once. */
static void leave_no_trace(struct sqlite_store *s)
{
    int64_t size = pragma_int(s, "PRAGMA page_count") * pragma_int(s, "PRAGMA page_size");

    if (pragma_int(s, "SELECT count(*) FROM (SELECT 1 FROM series WHERE generation = 0 LIMIT 1)"))
        return;
    if (size > VACUUM_BYTES)
        fl_log(FL_LOG_WARN, "store",
               "every reading is sealed, but the file is too large (%lld MB) to be written anew "
               "while the hub runs: stop it and run  sqlite3 hub.db VACUUM  once",
               (long long)(size / 1000000));
    else if (sqlite3_exec(s->db, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) !=
             SQLITE_OK)
        fl_log(FL_LOG_WARN, "store",
               "every reading is sealed, but the file could not be written anew (%s): stop the hub "
               "and run  sqlite3 hub.db VACUUM  once",
               sqlite3_errmsg(s->db));
}

/* What is to be sealed is read first: rows are not changed under a cursor that walks them. */
static enum fl_error read_open(struct sqlite_store *s, uint64_t series, uint32_t limit,
                               struct fl_buffer *found, struct fl_context *ctx)
{
    sqlite3_stmt *stmt = NULL;
    int code = SQLITE_DONE;
    enum fl_error error =
        store_sqlite_prepare(s,
                             "SELECT position, t, value, message FROM reading"
                             " WHERE series = :series ORDER BY position LIMIT :limit",
                             &stmt, ctx);

    if (error != FL_OK)
        return error;
    store_sqlite_int(stmt, ":series", (int64_t)series);
    store_sqlite_int(stmt, ":limit", limit);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct open_reading r = {.position = (uint64_t)sqlite3_column_int64(stmt, 0),
                                 .t = sqlite3_column_int64(stmt, 1),
                                 .value = sqlite3_column_double(stmt, 2),
                                 .message = sqlite3_column_int64(stmt, 3)};

        (void)fl_buffer_append(found, &r, sizeof r);
    }
    if (code != SQLITE_DONE)
        error = store_sqlite_fail(s, "seal", ctx);
    else if (found->failed)
        error = fl_fail(ctx, FL_ENOMEM, "store: seal: out of memory");
    (void)sqlite3_finalize(stmt);
    return error;
}

enum fl_error store_sqlite_seal(void *self, uint64_t series, uint32_t limit, fl_store_seal seal,
                                void *to, size_t *sealed, struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    struct sealing w = {.store = s, .series = series, .seal = seal, .to = to};
    struct fl_buffer found = FL_BUFFER(limit * sizeof(struct open_reading));
    struct open_reading r;
    struct fl_slice rest = {0};
    bool own = false;
    enum fl_error error = enter(s, &own, ctx);

    *sealed = 0;
    if (error != FL_OK)
        return error;
    error = store_sqlite_each_series(s, fl_slice(NULL, 0), series - 1, 1, name_series, &w, ctx);
    if (error == FL_OK && !w.device[0])
        error = fl_fail(ctx, FL_ENOTFOUND, "store: seal: no such series, or it is sealed");
    if (error == FL_OK)
        error = read_open(s, series, limit, &found, ctx);
    for (rest = fl_buffer_slice(&found); error == FL_OK && rest.size; (*sealed)++) {
        memcpy(&r, rest.data, sizeof r);
        rest = fl_slice_from(rest, sizeof r);
        error = seal_one(&w, &r, ctx);
    }
    if (error == FL_OK && *sealed < limit)
        error = drop_series(s, series, ctx);
    fl_buffer_free(&found); /* wipes it */
    error = leave(s, own, error, ctx);
    if (error == FL_OK && own && *sealed < limit)
        leave_no_trace(s);
    return error;
}
