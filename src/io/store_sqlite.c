/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_sqlite.h"

#include "base/log.h"
#include "io/store_sqlite_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCHEMA_VERSION 2
#define SCHEMA_DOCUMENT "{\"version\":2}"
#define SCHEMA_1_DOCUMENT "{\"version\":1}"

static const char *const table_names[FL_TABLE_COUNT] = {
#define TABLE_NAME(id, name) [id] = (name),
    FL_STORE_TABLES(TABLE_NAME)
#undef TABLE_NAME
};

/* Readings: (series, position) clusters what is read together and serves `after`; the unique index
 * serves queries by time (it covers them) and makes storing twice store once. A sealed value
 * is a blob, which the column keeps as it is. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, device TEXT NOT NULL,"
    " stream TEXT NOT NULL, generation INTEGER NOT NULL, UNIQUE (device, stream, generation));"
    "CREATE TABLE IF NOT EXISTS reading (series INTEGER NOT NULL, position INTEGER NOT NULL,"
    " t INTEGER NOT NULL, value REAL NOT NULL, message INTEGER NOT NULL,"
    " PRIMARY KEY (series, position)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX IF NOT EXISTS reading_once ON reading (series, t, value);"
    "CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
    " WITHOUT ROWID;";

/* Version 1 knew no data keys: what it stored is generation 0, and the hub seals it bit by bit. */
static const char upgrade_1[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE series_2 (id INTEGER PRIMARY KEY, device TEXT NOT NULL, stream TEXT NOT NULL,"
    " generation INTEGER NOT NULL, UNIQUE (device, stream, generation));"
    "INSERT INTO series_2 (id, device, stream, generation) SELECT id, device, stream, 0"
    " FROM series;"
    "DROP TABLE series;"
    "ALTER TABLE series_2 RENAME TO series;"
    "UPDATE meta SET document = '" SCHEMA_DOCUMENT "' WHERE key = CAST('schema' AS BLOB);"
    "COMMIT;";

const char *const store_sqlite_sql[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_SERIES_FIND] = "SELECT id FROM series WHERE device = :device AND stream = :stream"
                        " AND generation = :generation",
    [SQL_SERIES_ADD] = "INSERT INTO series (device, stream, generation)"
                       " VALUES (:device, :stream, :generation)",
    [SQL_READING_ADD] = "INSERT OR IGNORE INTO reading (series, position, t, value, message)"
                        " VALUES (:series, :position, :t, :value, :message)",
    [SQL_READING_RECENT] = "SELECT 1 FROM (SELECT message FROM reading WHERE series = :series"
                           " ORDER BY position DESC LIMIT :recent) WHERE message = :message",
    [SQL_READING_DELETE] = "DELETE FROM reading WHERE series = :series AND position IN"
                           " (SELECT position FROM reading INDEXED BY reading_once"
                           " WHERE series = :series AND t < :before LIMIT :limit)",
    [SQL_READING_DROP] = "DELETE FROM reading WHERE series = :series AND position = :position",
    [SQL_READING_KEEP] = "INSERT OR IGNORE INTO reading (series, position, t, value, message)"
                         " VALUES (:series, :position, :t, :value, :message)",
    [SQL_SERIES_DROP] = "DELETE FROM series WHERE id = :series",
    [SQL_COUNTER_GET] = "SELECT value FROM counter WHERE name = 'position'",
    [SQL_COUNTER_SET] = "INSERT INTO counter (name, value) VALUES ('position', :value)"
                        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
};

static const char *const document_sql[DOCUMENT_SQL_COUNT] = {
    [DOCUMENT_GET] = "SELECT document FROM %s WHERE key = :key",
    [DOCUMENT_PUT] = ("INSERT INTO %s (key, document) VALUES (:key, :document)"
                      " ON CONFLICT (key) DO UPDATE SET document = excluded.document"),
    [DOCUMENT_DEL] = "DELETE FROM %s WHERE key = :key",
};

static enum fl_error from_sqlite(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return FL_OK;
    case SQLITE_FULL:
        return FL_EFULL;
    case SQLITE_NOMEM:
        return FL_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return FL_EBUSY;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return FL_EDENIED;
    case SQLITE_TOOBIG:
        return FL_ELIMIT;
    default:
        return FL_EIO;
    }
}

enum fl_error store_sqlite_fail(struct sqlite_store *s, const char *what, struct fl_context *ctx)
{
    int system = errno; /* SQLite keeps it for some failures only */
    enum fl_error error = from_sqlite(sqlite3_errcode(s->db));

    if (error == FL_OK)
        error = FL_EIO;
    if (error == FL_EIO && (system == ENOSPC || system == EDQUOT || system == EFBIG))
        error = FL_EFULL;
    if (s->in_transaction && s->dead == FL_OK) {
        s->dead = error;
        (void)snprintf(s->dead_words, sizeof s->dead_words, "%s: %s", what, sqlite3_errmsg(s->db));
    }
    return fl_fail(ctx, error, "store: %s: %s", what, sqlite3_errmsg(s->db));
}

enum fl_error store_sqlite_alive(const struct sqlite_store *s, struct fl_context *ctx)
{
    if (s->dead == FL_OK)
        return FL_OK;
    return fl_fail(ctx, s->dead, "store: %s", s->dead_words);
}

enum fl_error store_sqlite_prepare(struct sqlite_store *s, const char *text, sqlite3_stmt **stmt,
                                   struct fl_context *ctx)
{
    if (*stmt)
        return FL_OK;
    if (sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK)
        return store_sqlite_fail(s, "prepare", ctx);
    return FL_OK;
}

void store_sqlite_int(sqlite3_stmt *stmt, const char *name, int64_t value)
{
    (void)sqlite3_bind_int64(stmt, sqlite3_bind_parameter_index(stmt, name), value);
}

void store_sqlite_blob(sqlite3_stmt *stmt, const char *name, struct fl_slice value)
{
    int at = sqlite3_bind_parameter_index(stmt, name);

    /* A NULL pointer would bind NULL, not an empty blob. */
    (void)sqlite3_bind_blob(stmt, at, value.size ? (const void *)value.data : "", (int)value.size,
                            SQLITE_STATIC);
}

void store_sqlite_text(sqlite3_stmt *stmt, const char *name, struct fl_slice value)
{
    int at = sqlite3_bind_parameter_index(stmt, name);

    (void)sqlite3_bind_text(stmt, at, value.size ? (const char *)value.data : "", (int)value.size,
                            SQLITE_STATIC);
}

enum fl_error store_sqlite_run(struct sqlite_store *s, sqlite3_stmt *stmt, const char *what,
                               struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (sqlite3_step(stmt) != SQLITE_DONE)
        error = store_sqlite_fail(s, what, ctx);
    (void)sqlite3_reset(stmt);
    return error;
}

/* --- transactions --- */

enum fl_error store_sqlite_begin(void *self, struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    enum fl_error error = FL_OK;

    if (s->in_transaction)
        return fl_fail(ctx, FL_ESTATE, "store: a transaction is open already");
    error = store_sqlite_run(s, s->sql[SQL_BEGIN], "begin", ctx);
    if (error != FL_OK)
        return error;
    s->in_transaction = true;
    s->dead = FL_OK;
    return FL_OK;
}

void store_sqlite_rollback(void *self)
{
    struct sqlite_store *s = self;

    if (!s->in_transaction)
        return;
    s->in_transaction = false;
    s->dead = FL_OK;
    /* Some failures have rolled it back already. */
    if (!sqlite3_get_autocommit(s->db)) {
        (void)sqlite3_step(s->sql[SQL_ROLLBACK]);
        (void)sqlite3_reset(s->sql[SQL_ROLLBACK]);
    }
    store_sqlite_forget_series(s);
}

enum fl_error store_sqlite_commit(void *self, struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    enum fl_error error = FL_OK;

    if (!s->in_transaction)
        return fl_fail(ctx, FL_ESTATE, "store: no transaction is open");
    error = store_sqlite_alive(s, ctx);
    if (error == FL_OK)
        error = store_sqlite_run(s, s->sql[SQL_COMMIT], "commit", ctx);
    if (error != FL_OK)
        store_sqlite_rollback(s);
    s->in_transaction = false;
    return error;
}

/* --- documents --- */

static enum fl_error document_statement(struct sqlite_store *s, enum fl_table table,
                                        enum document_sql which, sqlite3_stmt **stmt,
                                        struct fl_context *ctx)
{
    enum fl_error error = store_sqlite_alive(s, ctx);

    *stmt = s->document[table][which];
    return error;
}

static enum fl_error document_get(void *self, enum fl_table table, struct fl_slice key,
                                  struct fl_buffer *document, struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    sqlite3_stmt *stmt = NULL;
    enum fl_error error = document_statement(s, table, DOCUMENT_GET, &stmt, ctx);
    int code = SQLITE_OK;

    if (error != FL_OK)
        return error;
    store_sqlite_blob(stmt, ":key", key);
    code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        error = fl_buffer_append(document, sqlite3_column_text(stmt, 0),
                                 (size_t)sqlite3_column_bytes(stmt, 0));
    else if (code == SQLITE_DONE)
        error = fl_fail(ctx, FL_ENOTFOUND, "store: %s: not found", table_names[table]);
    else
        error = store_sqlite_fail(s, "read", ctx);
    (void)sqlite3_reset(stmt);
    return error;
}

static enum fl_error document_put(void *self, enum fl_table table, struct fl_slice key,
                                  struct fl_slice document, struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    sqlite3_stmt *stmt = NULL;
    enum fl_error error = document_statement(s, table, DOCUMENT_PUT, &stmt, ctx);

    if (error != FL_OK)
        return error;
    store_sqlite_blob(stmt, ":key", key);
    store_sqlite_text(stmt, ":document", document);
    return store_sqlite_run(s, stmt, "write", ctx);
}

static enum fl_error document_del(void *self, enum fl_table table, struct fl_slice key,
                                  struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    sqlite3_stmt *stmt = NULL;
    enum fl_error error = document_statement(s, table, DOCUMENT_DEL, &stmt, ctx);

    if (error != FL_OK)
        return error;
    store_sqlite_blob(stmt, ":key", key);
    return store_sqlite_run(s, stmt, "delete", ctx);
}

/* Prepared anew each time, so that a visitor may scan too. */
static enum fl_error document_scan(void *self, enum fl_table table, struct fl_slice from,
                                   struct fl_slice until, bool reverse, uint32_t limit,
                                   fl_store_visit visit, void *to, struct fl_context *ctx)
{
    struct sqlite_store *s = self;
    sqlite3_stmt *stmt = NULL;
    enum fl_error error = store_sqlite_alive(s, ctx);
    int code = SQLITE_DONE;
    char text[256];

    if (error != FL_OK)
        return error;
    (void)snprintf(text, sizeof text,
                   "SELECT key, document FROM %s WHERE key >= :from%s ORDER BY key%s LIMIT :limit",
                   table_names[table], until.size ? " AND key < :until" : "",
                   reverse ? " DESC" : "");
    error = store_sqlite_prepare(s, text, &stmt, ctx);
    if (error != FL_OK)
        return error;
    store_sqlite_blob(stmt, ":from", from);
    if (until.size)
        store_sqlite_blob(stmt, ":until", until);
    store_sqlite_int(stmt, ":limit", limit);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct fl_slice key =
            fl_slice(sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0));
        struct fl_slice document =
            fl_slice(sqlite3_column_text(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1));

        if (!visit(to, key, document))
            break;
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        error = store_sqlite_fail(s, "scan", ctx);
    (void)sqlite3_finalize(stmt);
    return error;
}

/* --- opening and closing --- */

static void store_close(void *self)
{
    struct sqlite_store *s = self;

    if (!s)
        return;
    store_sqlite_rollback(s);
    store_sqlite_forget_series(s);
    fl_map_free(&s->series);
    for (size_t i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(s->sql[i]);
    for (size_t t = 0; t < FL_TABLE_COUNT; t++)
        for (size_t i = 0; i < DOCUMENT_SQL_COUNT; i++)
            (void)sqlite3_finalize(s->document[t][i]);
    (void)sqlite3_close(s->db);
    free(s);
}

static enum fl_error execute(struct sqlite_store *s, const char *text, struct fl_context *ctx)
{
    if (sqlite3_exec(s->db, text, NULL, NULL, NULL) != SQLITE_OK)
        return store_sqlite_fail(s, "open", ctx);
    return FL_OK;
}

static enum fl_error configure(struct sqlite_store *s,
                               const struct fl_store_sqlite_options *options,
                               struct fl_context *ctx)
{
    uint32_t busy_ms = options && options->busy_ms ? options->busy_ms : 2000;
    char text[64];
    enum fl_error error = FL_OK;

    (void)sqlite3_extended_result_codes(s->db, 1);
    (void)sqlite3_busy_timeout(s->db, (int)busy_ms);
    /* No temporary files and no mapped database file: the sandbox allows neither to be needed. */
    error = execute(s,
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
                    "PRAGMA mmap_size=0; PRAGMA cache_size=-32768; PRAGMA wal_autocheckpoint=2000;"
                    "PRAGMA journal_size_limit=67108864; PRAGMA trusted_schema=OFF;"
                    /* What is deleted is overwritten: an unsealed value leaves nothing behind. */
                    "PRAGMA secure_delete=ON;",
                    ctx);
    if (error != FL_OK || !options || options->max_pages == 0)
        return error;
    (void)snprintf(text, sizeof text, "PRAGMA max_page_count=%u", options->max_pages);
    return execute(s, text, ctx);
}

static enum fl_error create_tables(struct sqlite_store *s, struct fl_context *ctx)
{
    enum fl_error error = execute(s, schema, ctx);
    char text[160];

    for (size_t t = 0; t < FL_TABLE_COUNT && error == FL_OK; t++) {
        (void)snprintf(text, sizeof text,
                       "CREATE TABLE IF NOT EXISTS %s (key BLOB PRIMARY KEY, document TEXT NOT "
                       "NULL) WITHOUT ROWID",
                       table_names[t]);
        error = execute(s, text, ctx);
    }
    return error;
}

static enum fl_error prepare_all(struct sqlite_store *s, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    char text[256];

    for (size_t i = 0; i < SQL_COUNT && error == FL_OK; i++)
        error = store_sqlite_prepare(s, store_sqlite_sql[i], &s->sql[i], ctx);
    for (size_t t = 0; t < FL_TABLE_COUNT; t++) {
        for (size_t i = 0; i < DOCUMENT_SQL_COUNT && error == FL_OK; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            (void)snprintf(text, sizeof text, document_sql[i], table_names[t]);
#pragma GCC diagnostic pop
            error = store_sqlite_prepare(s, text, &s->document[t][i], ctx);
        }
    }
    return error;
}

static enum fl_error has_row(struct sqlite_store *s, const char *query, bool *has,
                             struct fl_context *ctx)
{
    sqlite3_stmt *stmt = NULL;
    enum fl_error error = store_sqlite_prepare(s, query, &stmt, ctx);

    *has = error == FL_OK && sqlite3_step(stmt) == SQLITE_ROW;
    (void)sqlite3_finalize(stmt);
    return error;
}

/* Before anything else is prepared, which would not fit an older schema. */
static enum fl_error upgrade(struct sqlite_store *s, struct fl_context *ctx)
{
    bool old = false;
    enum fl_error error =
        has_row(s, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'", &old, ctx);

    if (error != FL_OK || !old)
        return error;
    error = has_row(s,
                    "SELECT 1 FROM meta WHERE key = CAST('schema' AS BLOB)"
                    " AND document = '" SCHEMA_1_DOCUMENT "'",
                    &old, ctx);
    if (error != FL_OK || !old)
        return error;
    fl_log(FL_LOG_INFO, "store", "the database is of version 1: making it version %d",
           SCHEMA_VERSION);
    return execute(s, upgrade_1, ctx);
}

static enum fl_error check_version(struct sqlite_store *s, struct fl_context *ctx)
{
    struct fl_buffer document = FL_BUFFER(256);
    struct fl_slice key = fl_slice_str("schema");
    enum fl_error error = document_get(s, FL_TABLE_META, key, &document, ctx);

    if (error == FL_ENOTFOUND)
        error = document_put(s, FL_TABLE_META, key, fl_slice_str(SCHEMA_DOCUMENT), ctx);
    else if (error == FL_OK && !fl_slice_is(fl_buffer_slice(&document), SCHEMA_DOCUMENT))
        error = fl_fail(ctx, FL_EUNSUPPORTED,
                        "store: the database has schema %.*s, this program knows only version %d",
                        FL_SLICE_ARGS(fl_buffer_slice(&document)), SCHEMA_VERSION);
    fl_buffer_free(&document);
    return error;
}

static enum fl_error read_counter(struct sqlite_store *s, struct fl_context *ctx)
{
    sqlite3_stmt *stmt = s->sql[SQL_COUNTER_GET];
    int code = sqlite3_step(stmt);
    enum fl_error error = FL_OK;

    if (code == SQLITE_ROW)
        s->position = (uint64_t)sqlite3_column_int64(stmt, 0);
    else if (code != SQLITE_DONE)
        error = store_sqlite_fail(s, "open", ctx);
    (void)sqlite3_reset(stmt);
    return error;
}

static const struct fl_store_ops store_ops = {
    .begin = store_sqlite_begin,
    .commit = store_sqlite_commit,
    .rollback = store_sqlite_rollback,
    .get = document_get,
    .put = document_put,
    .del = document_del,
    .scan = document_scan,
    .append_readings = store_sqlite_append,
    .query_readings = store_sqlite_query,
    .each_series = store_sqlite_each_series,
    .delete_readings = store_sqlite_delete,
    .seal_readings = store_sqlite_seal,
    .close = store_close,
};

enum fl_error fl_store_sqlite_open(const char *path, const struct fl_store_sqlite_options *options,
                                   struct fl_store *store, struct fl_context *ctx)
{
    struct sqlite_store *s = NULL;
    enum fl_error error = FL_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return fl_fail(ctx, errno == ENOSPC ? FL_EFULL : FL_EIO, "store: open %s: %s", path,
                       strerror(errno));
    (void)close(fd);
    s = calloc(1, sizeof *s);
    if (!s)
        return fl_fail(ctx, FL_ENOMEM, "store: open %s: out of memory", path);
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        error = fl_fail(ctx, FL_EIO, "store: open %s: %s", path,
                        s->db ? sqlite3_errmsg(s->db) : "out of memory");
    if (error == FL_OK)
        error = configure(s, options, ctx);
    if (error == FL_OK)
        error = upgrade(s, ctx);
    if (error == FL_OK)
        error = create_tables(s, ctx);
    if (error == FL_OK)
        error = prepare_all(s, ctx);
    if (error == FL_OK)
        error = check_version(s, ctx);
    if (error == FL_OK)
        error = read_counter(s, ctx);
    if (error != FL_OK) {
        store_close(s);
        return fl_fail_in(ctx, error, "%s", path);
    }
    *store = (struct fl_store){.ops = &store_ops, .self = s};
    return FL_OK;
}
