/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the two halves of the SQLite store (documents, readings); nobody else includes it.
 */
#ifndef FL_IO_STORE_SQLITE_IMPL_H
#define FL_IO_STORE_SQLITE_IMPL_H

#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/store.h"

#include <sqlite3.h>

enum sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_SERIES_FIND,
    SQL_SERIES_ADD,
    SQL_READING_ADD,
    SQL_READING_RECENT,
    SQL_READING_DELETE,
    SQL_READING_DROP,
    SQL_READING_KEEP,
    SQL_SERIES_DROP,
    SQL_COUNTER_GET,
    SQL_COUNTER_SET,
    SQL_COUNT
};

enum document_sql { DOCUMENT_GET, DOCUMENT_PUT, DOCUMENT_DEL, DOCUMENT_SQL_COUNT };

struct series {
    struct fl_map_node node;
    int64_t id;
    char key[2 * FL_NAME_MAX + 2 + sizeof(uint32_t)]; /* generation, device, NUL, stream */
};

struct sqlite_store {
    sqlite3 *db;
    sqlite3_stmt *sql[SQL_COUNT];
    sqlite3_stmt *document[FL_TABLE_COUNT][DOCUMENT_SQL_COUNT];
    struct fl_map series; /* a cache of what the table says; dropped on rollback */
    uint64_t position;    /* the last one given out */
    bool in_transaction;
    enum fl_error dead; /* why the open transaction cannot be committed */
    char dead_words[200];
};

extern const char *const store_sqlite_sql[SQL_COUNT];

/* The error for a SQLite result, with words; marks the open transaction dead where it must be. */
enum fl_error store_sqlite_fail(struct sqlite_store *s, const char *what, struct fl_context *ctx);
enum fl_error store_sqlite_prepare(struct sqlite_store *s, const char *text, sqlite3_stmt **stmt,
                                   struct fl_context *ctx);
/* Parameters by name: SQLite numbers them by first appearance. */
void store_sqlite_int(sqlite3_stmt *stmt, const char *name, int64_t value);
void store_sqlite_blob(sqlite3_stmt *stmt, const char *name, struct fl_slice value);
void store_sqlite_text(sqlite3_stmt *stmt, const char *name, struct fl_slice value);
/* Runs one that gives no rows, and resets it. */
enum fl_error store_sqlite_run(struct sqlite_store *s, sqlite3_stmt *stmt, const char *what,
                               struct fl_context *ctx);
enum fl_error store_sqlite_begin(void *self, struct fl_context *ctx);
enum fl_error store_sqlite_commit(void *self, struct fl_context *ctx);
void store_sqlite_rollback(void *self);
/* FL_OK, or why nothing more can be done in the open transaction. */
enum fl_error store_sqlite_alive(const struct sqlite_store *s, struct fl_context *ctx);

void store_sqlite_forget_series(struct sqlite_store *s);
/* FL_ENOTFOUND: there is none and `add` is false. */
enum fl_error store_sqlite_series(struct sqlite_store *s, const struct fl_reading *of, bool add,
                                  int64_t *id, struct fl_context *ctx);
void store_sqlite_value(sqlite3_stmt *stmt, const struct fl_reading *reading);
enum fl_error store_sqlite_each_series(void *self, struct fl_slice device, uint64_t after,
                                       uint32_t limit, fl_series_visit visit, void *to,
                                       struct fl_context *ctx);
enum fl_error store_sqlite_delete(void *self, uint64_t series, fl_time_t before, uint32_t limit,
                                  size_t *deleted, struct fl_context *ctx);
enum fl_error store_sqlite_seal(void *self, uint64_t series, uint32_t limit, fl_store_seal seal,
                                void *to, size_t *sealed, struct fl_context *ctx);
enum fl_error store_sqlite_append(void *self, const struct fl_reading *readings, size_t count,
                                  struct fl_context *ctx);
enum fl_error store_sqlite_query(void *self, const struct fl_reading_query *query,
                                 fl_reading_visit visit, void *to, struct fl_context *ctx);

#endif
