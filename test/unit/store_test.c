/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/limits.h"
#include "io/store_sqlite.h"
#include "test/twin/store_twin.h"
#include "trust/reading_seal.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Every claim of base/store.h is checked for the twin and for SQLite. */
struct world {
    struct fl_store store;
    char dir[64];
    char path[128];
};

static void make_dir(struct world *w)
{
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/fl-store-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->path, sizeof w->path, "%s/hub.db", w->dir);
}

static void remove_dir(struct world *w)
{
    static const char *const names[] = {"", "-wal", "-shm", "-journal"};
    char path[160];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", w->path, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(w->dir);
}

static int open_twin(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    w->store = fl_store_twin_create();
    *state = w;
    return 0;
}

static int open_sqlite(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    make_dir(w);
    assert_ok(fl_store_sqlite_open(w->path, NULL, &w->store, NULL));
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    if (w->store.ops)
        w->store.ops->close(w->store.self);
    if (w->path[0])
        remove_dir(w);
    free(w);
    return 0;
}

static enum fl_error put(struct world *w, const char *key, const char *text)
{
    return w->store.ops->put(w->store.self, FL_TABLE_DEVICE, fl_slice_str(key), fl_slice_str(text),
                             NULL);
}

static void assert_document(struct world *w, const char *key, const char *text)
{
    struct fl_buffer b = FL_BUFFER(1024);
    enum fl_error error =
        w->store.ops->get(w->store.self, FL_TABLE_DEVICE, fl_slice_str(key), &b, NULL);

    if (text) {
        assert_ok(error);
        assert_slice_equal(fl_buffer_slice(&b), text);
    } else {
        assert_int_equal(error, FL_ENOTFOUND);
    }
    fl_buffer_free(&b);
}

struct seen {
    char text[4096];
    uint64_t last;
    size_t count;
};

static bool see_key(void *to, struct fl_slice key, struct fl_slice document)
{
    struct seen *seen = to;
    size_t used = strlen(seen->text);

    (void)snprintf(seen->text + used, sizeof seen->text - used, "%.*s=%.*s ", FL_SLICE_ARGS(key),
                   FL_SLICE_ARGS(document));
    return true;
}

static bool see_reading(void *to, uint64_t position, const struct fl_reading *r)
{
    struct seen *seen = to;
    size_t used = strlen(seen->text);

    (void)snprintf(seen->text + used, sizeof seen->text - used, "%.*s@%lld=%g ",
                   FL_SLICE_ARGS(r->stream), (long long)r->t, r->value);
    seen->last = position;
    seen->count++;
    return true;
}

static bool count_reading(void *to, uint64_t position, const struct fl_reading *r)
{
    struct seen *seen = to;

    (void)r;
    assert_true(position > seen->last);
    seen->last = position;
    seen->count++;
    return true;
}

static void assert_scan(struct world *w, const char *from, const char *until, bool reverse,
                        uint32_t limit, const char *expected)
{
    struct seen seen = {0};

    assert_ok(w->store.ops->scan(w->store.self, FL_TABLE_DEVICE, fl_slice_str(from),
                                 fl_slice_str(until), reverse, limit, see_key, &seen, NULL));
    assert_string_equal(seen.text, expected);
}

static struct fl_reading reading(const char *device, const char *stream, fl_time_t t, double value)
{
    return (struct fl_reading){
        .device = fl_slice_str(device), .stream = fl_slice_str(stream), .t = t, .value = value};
}

static enum fl_error append(struct world *w, struct fl_reading r)
{
    return w->store.ops->append_readings(w->store.self, &r, 1, NULL);
}

static struct fl_reading_query all_of(const char *device)
{
    return (struct fl_reading_query){
        .device = fl_slice_str(device), .from = 0, .until = FL_TIME_NEVER, .limit = 100};
}

static struct seen query(struct world *w, struct fl_reading_query q)
{
    struct seen seen = {0};

    assert_ok(w->store.ops->query_readings(w->store.self, &q, see_reading, &seen, NULL));
    return seen;
}

static void documents_are_kept_and_ordered_by_bytes(void **state)
{
    struct world *w = *state;

    assert_document(w, "b", NULL);
    assert_ok(put(w, "b", "2"));
    assert_ok(put(w, "a", "1"));
    assert_ok(put(w, "B", "3"));
    assert_ok(put(w, "ab", "4"));
    assert_ok(put(w, "b", "5"));
    assert_document(w, "b", "5");
    assert_scan(w, "", "", false, 10, "B=3 a=1 ab=4 b=5 ");
    assert_scan(w, "a", "b", false, 10, "a=1 ab=4 ");
    assert_scan(w, "a", "", true, 2, "b=5 ab=4 ");
    assert_ok(w->store.ops->del(w->store.self, FL_TABLE_DEVICE, fl_slice_str("a"), NULL));
    assert_ok(w->store.ops->del(w->store.self, FL_TABLE_DEVICE, fl_slice_str("none"), NULL));
    assert_scan(w, "", "", false, 10, "B=3 ab=4 b=5 ");
}

static void rollback_takes_back_documents_and_readings(void **state)
{
    struct world *w = *state;

    assert_ok(put(w, "a", "1"));
    assert_ok(w->store.ops->begin(w->store.self, NULL));
    assert_int_equal(w->store.ops->begin(w->store.self, NULL), FL_ESTATE);
    assert_ok(put(w, "a", "2"));
    assert_ok(append(w, reading("cam", "temperature", 1, 1)));
    assert_document(w, "a", "2");
    w->store.ops->rollback(w->store.self);
    w->store.ops->rollback(w->store.self);
    assert_document(w, "a", "1");
    assert_int_equal(query(w, all_of("cam")).count, 0);
    assert_int_equal(w->store.ops->commit(w->store.self, NULL), FL_ESTATE);
    /* The interned series went with the transaction; it is made again. */
    assert_ok(append(w, reading("cam", "temperature", 1, 1)));
    assert_int_equal(query(w, all_of("cam")).count, 1);
}

static void a_reading_is_stored_once(void **state)
{
    struct world *w = *state;
    struct fl_reading first = reading("cam", "temperature", 1000, 20.5);
    struct fl_reading again = reading("cam", "temperature", 2000, 20.5);

    assert_ok(append(w, first));
    assert_ok(append(w, first));
    assert_int_equal(query(w, all_of("cam")).count, 1);
    /* A message without a time of its own is stamped anew when it comes again. */
    again.message = 77;
    assert_ok(append(w, again));
    again.t = 3000;
    again.redelivery = true;
    assert_ok(append(w, again));
    assert_int_equal(query(w, all_of("cam")).count, 2);
    again.message = 78;
    assert_ok(append(w, again));
    again.stream = fl_slice_str("humidity");
    assert_ok(append(w, again));
    assert_string_equal(query(w, all_of("cam")).text, "temperature@1000=20.5 temperature@2000=20.5 "
                                                      "humidity@3000=20.5 temperature@3000=20.5 ");
}

static void readings_are_found_by_stream_time_and_position(void **state)
{
    struct world *w = *state;
    struct fl_reading_query q = all_of("cam");
    uint64_t second = 0;

    assert_ok(append(w, reading("cam", "b", 30, 3)));
    assert_ok(append(w, reading("cam", "a", 10, 1)));
    assert_ok(append(w, reading("other", "a", 15, 9)));
    assert_ok(append(w, reading("cam", "a", 30, 4)));
    assert_ok(append(w, reading("cam", "b", 20, 2)));
    assert_string_equal(query(w, q).text, "a@10=1 b@20=2 a@30=4 b@30=3 ");
    q.newest_first = true;
    q.limit = 3;
    assert_string_equal(query(w, q).text, "b@30=3 a@30=4 b@20=2 ");
    q = all_of("cam");
    q.stream = fl_slice_str("b");
    assert_string_equal(query(w, q).text, "b@20=2 b@30=3 ");
    q.stream = fl_slice_str("");
    q.from = 20;
    q.until = 30;
    assert_string_equal(query(w, q).text, "b@20=2 ");
    /* Position, not time, orders a continued page. */
    q = all_of("cam");
    q.after = 1;
    q.limit = 1;
    assert_string_equal(query(w, q).text, "a@10=1 ");
    second = query(w, q).last;
    q.after = second;
    q.limit = 10;
    assert_string_equal(query(w, q).text, "a@30=4 b@20=2 ");
    q = all_of("cam");
    q.by_position = true;
    assert_string_equal(query(w, q).text, "b@30=3 a@10=1 a@30=4 b@20=2 ");
    assert_int_equal(query(w, all_of("nobody")).count, 0);
}

/* --- sealed values --- */

static struct fl_reading sealed(const char *stream, fl_time_t t, uint32_t generation,
                                const char *octets)
{
    struct fl_reading r = reading("cam", stream, t, 0);

    assert_int_equal(strlen(octets), FL_STORE_SEALED);
    r.generation = generation;
    r.sealed = fl_slice_str(octets);
    return r;
}

static bool see_sealed(void *to, uint64_t position, const struct fl_reading *r)
{
    struct seen *seen = to;
    size_t used = strlen(seen->text);

    (void)position;
    (void)snprintf(seen->text + used, sizeof seen->text - used, "%.*s@%lld:%u:%.*s ",
                   FL_SLICE_ARGS(r->stream), (long long)r->t, r->generation,
                   FL_SLICE_ARGS(r->sealed));
    seen->count++;
    return true;
}

static struct seen query_sealed(struct world *w)
{
    struct seen seen = {0};
    struct fl_reading_query q = all_of("cam");

    assert_ok(w->store.ops->query_readings(w->store.self, &q, see_sealed, &seen, NULL));
    return seen;
}

static void a_sealed_value_is_kept_once_in_its_generation(void **state)
{
    struct world *w = *state;

    assert_ok(append(w, sealed("a", 10, 1, "this is sealed under one")));
    assert_ok(append(w, sealed("a", 10, 1, "this is sealed under one")));
    assert_ok(append(w, sealed("a", 10, 1, "another value at that t.")));
    assert_ok(append(w, sealed("a", 5, 2, "this is sealed under two")));
    assert_ok(append(w, sealed("a", 10, 2, "this is sealed under one")));
    assert_string_equal(query_sealed(w).text,
                        "a@5:2:this is sealed under two a@10:1:this is sealed under one "
                        "a@10:1:another value at that t. a@10:2:this is sealed under one ");
}

static bool see_series(void *to, const struct fl_series *series)
{
    struct seen *seen = to;
    size_t used = strlen(seen->text);

    (void)snprintf(seen->text + used, sizeof seen->text - used, "%.*s/%.*s:%u ",
                   FL_SLICE_ARGS(series->device), FL_SLICE_ARGS(series->stream),
                   series->generation);
    assert_true(series->id > seen->last);
    seen->last = series->id;
    return true;
}

static void series_are_listed_in_steps_and_emptied_in_steps(void **state)
{
    struct world *w = *state;
    struct seen seen = {0};
    size_t deleted = 0;
    uint64_t first = 0;

    for (int i = 0; i < 5; i++)
        assert_ok(append(w, reading("cam", "a", i, 1)));
    assert_ok(append(w, reading("other", "a", 1, 1)));
    assert_ok(append(w, sealed("a", 10, 1, "this is sealed under one")));
    assert_ok(
        w->store.ops->each_series(w->store.self, fl_slice_str(""), 0, 1, see_series, &seen, NULL));
    assert_string_equal(seen.text, "cam/a:0 ");
    first = seen.last;
    assert_ok(w->store.ops->each_series(w->store.self, fl_slice_str(""), first, 9, see_series,
                                        &seen, NULL));
    assert_string_equal(seen.text, "cam/a:0 other/a:0 cam/a:1 ");
    assert_ok(w->store.ops->delete_readings(w->store.self, first, 4, 3, &deleted, NULL));
    assert_int_equal(deleted, 3);
    assert_ok(w->store.ops->delete_readings(w->store.self, first, 4, 3, &deleted, NULL));
    assert_int_equal(deleted, 1);
    assert_int_equal(query(w, all_of("cam")).count, 2); /* that of t 4, and the sealed one */
    assert_ok(
        w->store.ops->delete_readings(w->store.self, first, FL_TIME_NEVER, 3, &deleted, NULL));
    assert_int_equal(deleted, 1);
    seen = (struct seen){0};
    assert_ok(w->store.ops->each_series(w->store.self, fl_slice_str("cam"), 0, 9, see_series, &seen,
                                        NULL));
    assert_string_equal(seen.text, "cam/a:1 ");
    /* What comes to be again has a number of its own. */
    assert_ok(append(w, reading("cam", "a", 1, 1)));
    assert_int_equal(query(w, all_of("cam")).count, 2);
}

static enum fl_error seal_here(void *to, struct fl_reading *r, uint8_t *octets,
                               struct fl_context *ctx)
{
    char text[FL_STORE_SEALED + 1];

    (void)ctx;
    (void)to;
    (void)snprintf(text, sizeof text, "%.*s %4lld %-16g", FL_SLICE_ARGS(r->stream), (long long)r->t,
                   r->value);
    memcpy(octets, text, FL_STORE_SEALED);
    r->generation = 1;
    return FL_OK;
}

static void a_series_is_sealed_in_steps_where_it_is(void **state)
{
    struct world *w = *state;
    struct fl_reading_query q = all_of("cam");
    struct seen seen = {0};
    struct fl_reading again = reading("cam", "a", 99, 1);
    size_t done = 0;

    for (int i = 0; i < 5; i++) {
        struct fl_reading r = reading("cam", "a", i, 20 + i);

        r.message = i == 4 ? 7 : 0;
        assert_ok(append(w, r));
    }
    assert_ok(w->store.ops->seal_readings(w->store.self, 1, 3, seal_here, NULL, &done, NULL));
    assert_int_equal(done, 3);
    assert_ok(w->store.ops->seal_readings(w->store.self, 1, 3, seal_here, NULL, &done, NULL));
    assert_int_equal(done, 2);
    assert_int_equal(w->store.ops->seal_readings(w->store.self, 1, 3, seal_here, NULL, &done, NULL),
                     FL_ENOTFOUND);
    assert_contains(query_sealed(w).text, "a@0:1:a    0 20               a@1:1:a    1 21");
    assert_int_equal(query_sealed(w).count, 5);
    q.by_position = true;
    q.after = 3;
    assert_ok(w->store.ops->query_readings(w->store.self, &q, see_sealed, &seen, NULL));
    assert_int_equal(seen.count, 2);
    /* A message that comes again is still recognised. */
    again.message = 7;
    again.redelivery = true;
    again.generation = 1;
    again.sealed = fl_slice_str("........................");
    assert_ok(append(w, again));
    assert_int_equal(query_sealed(w).count, 5);
}

/* --- only SQLite --- */

static void a_name_that_is_none_is_refused(void **state)
{
    struct world *w = *state;

    assert_int_equal(append(w, reading("", "a", 1, 1)), FL_EINVAL);
    assert_int_equal(append(w, reading("cam", "a b", 1, 1)), FL_EINVAL);
}

static void what_was_committed_is_there_after_reopening(void **state)
{
    struct world *w = *state;
    uint64_t position = 0;

    assert_ok(put(w, "a", "1"));
    assert_ok(append(w, reading("cam", "a", 1, 1)));
    position = query(w, all_of("cam")).last;
    w->store.ops->close(w->store.self);
    assert_ok(fl_store_sqlite_open(w->path, NULL, &w->store, NULL));
    assert_document(w, "a", "1");
    assert_ok(append(w, reading("cam", "a", 2, 1)));
    assert_true(query(w, all_of("cam")).last > position);
}

static void a_database_of_a_later_version_is_not_touched(void **state)
{
    struct world *w = *state;
    struct fl_store later = {0};
    struct fl_context ctx = {0};

    assert_ok(w->store.ops->put(w->store.self, FL_TABLE_META, fl_slice_str("schema"),
                                fl_slice_str("{\"version\":3}"), NULL));
    assert_int_equal(fl_store_sqlite_open(w->path, NULL, &later, &ctx), FL_EUNSUPPORTED);
    assert_contains(ctx.text, "version");
}

/* As the version before made it. */
static void make_version_1(const char *path)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "CREATE TABLE series (id INTEGER PRIMARY KEY, device TEXT NOT NULL,"
                     " stream TEXT NOT NULL, UNIQUE (device, stream));"
                     "CREATE TABLE reading (series INTEGER NOT NULL, position INTEGER NOT NULL,"
                     " t INTEGER NOT NULL, value REAL NOT NULL, message INTEGER NOT NULL,"
                     " PRIMARY KEY (series, position)) WITHOUT ROWID;"
                     "CREATE UNIQUE INDEX reading_once ON reading (series, t, value);"
                     "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
                     " WITHOUT ROWID;"
                     "CREATE TABLE meta (key BLOB PRIMARY KEY, document TEXT NOT NULL)"
                     " WITHOUT ROWID;"
                     "INSERT INTO meta VALUES (CAST('schema' AS BLOB), '{\"version\":1}');"
                     "INSERT INTO series VALUES (1, 'cam', 'a'), (2, 'cam', 'b');"
                     "INSERT INTO reading VALUES (1, 1, 10, 1.5, 0), (2, 2, 20, 2.5, 9);"
                     "INSERT INTO counter VALUES ('position', 2);",
                     NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_database_of_version_1_is_taken_over(void **state)
{
    struct world *w = *state;
    size_t done = 0;

    w->store.ops->close(w->store.self);
    w->store.ops = NULL;
    assert_int_equal(unlink(w->path), 0);
    make_version_1(w->path);
    assert_ok(fl_store_sqlite_open(w->path, NULL, &w->store, NULL));
    assert_string_equal(query(w, all_of("cam")).text, "a@10=1.5 b@20=2.5 ");
    assert_ok(append(w, reading("cam", "b", 30, 3)));
    assert_int_equal(query(w, all_of("cam")).last, 3);
    assert_ok(w->store.ops->seal_readings(w->store.self, 2, 10, seal_here, NULL, &done, NULL));
    assert_int_equal(done, 2);
    w->store.ops->close(w->store.self);
    assert_ok(fl_store_sqlite_open(w->path, NULL, &w->store, NULL));
    assert_int_equal(query(w, all_of("cam")).count, 3);
}

static void bad_files_are_refused_with_words(void **state)
{
    struct world *w = *state;
    struct fl_store store = {0};
    struct fl_context ctx = {0};
    char path[160];
    FILE *file = NULL;

    assert_int_equal(fl_store_sqlite_open("/nowhere/hub.db", NULL, &store, &ctx), FL_EIO);
    assert_contains(ctx.text, "/nowhere/hub.db");
    (void)snprintf(path, sizeof path, "%s/garbage", w->dir);
    file = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        (void)fprintf(file, "this is not a database ");
    (void)fclose(file);
    assert_int_equal(fl_store_sqlite_open(path, NULL, &store, &ctx), FL_EIO);
    assert_contains(ctx.text, "not a database");
    (void)unlink(path);
}

static void the_file_is_for_its_owner_only(void **state)
{
    struct world *w = *state;
    struct stat st = {0};

    assert_int_equal(stat(w->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* Writes batches of 10 and says after each commit that it is there. */
static void write_until_killed(const char *path, int out)
{
    struct fl_store store = {0};
    struct fl_reading batch[10];

    if (fl_store_sqlite_open(path, NULL, &store, NULL) != FL_OK)
        _exit(2);
    for (uint32_t n = 0;; n++) {
        for (uint32_t i = 0; i < 10; i++)
            batch[i] = reading("cam", "temperature", (fl_time_t)n * 10 + i, i);
        if (store.ops->append_readings(store.self, batch, 10, NULL) != FL_OK)
            _exit(3);
        if (write(out, &n, sizeof n) != (ssize_t)sizeof n)
            _exit(4);
    }
}

static void every_batch_committed_before_kill_9_is_there_once(void **state)
{
    struct world *w = *state;

    for (int round = 0; round < 3; round++) {
        int pipe_fds[2];
        uint32_t last = 0;
        struct seen seen = {0};
        struct fl_reading_query q = all_of("cam");
        pid_t pid = 0;

        assert_int_equal(pipe(pipe_fds), 0);
        w->store.ops->close(w->store.self);
        w->store.ops = NULL;
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            write_until_killed(w->path, pipe_fds[1]);
        (void)close(pipe_fds[1]);
        for (int n = 0; n < 20 + round * 13; n++)
            assert_int_equal(read(pipe_fds[0], &last, sizeof last), sizeof last);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        while (read(pipe_fds[0], &last, sizeof last) == (ssize_t)sizeof last)
            ;
        (void)close(pipe_fds[0]);
        assert_ok(fl_store_sqlite_open(w->path, NULL, &w->store, NULL));
        q.until = ((fl_time_t)last + 1) * 10;
        q.limit = 1000000;
        assert_ok(w->store.ops->query_readings(w->store.self, &q, count_reading, &seen, NULL));
        assert_int_equal(seen.count, ((size_t)last + 1) * 10);
        q.until = FL_TIME_NEVER;
        seen = (struct seen){0};
        assert_ok(w->store.ops->query_readings(w->store.self, &q, count_reading, &seen, NULL));
        assert_int_equal(seen.count % 10, 0);
    }
}

static void fill(struct world *w, enum fl_error *error)
{
    struct fl_reading batch[500];

    *error = FL_OK;
    for (uint32_t n = 0; n < 2000 && *error == FL_OK; n++) {
        for (uint32_t i = 0; i < 500; i++)
            batch[i] = reading("full", "a", (fl_time_t)n * 500 + i, i);
        *error = w->store.ops->append_readings(w->store.self, batch, 500, NULL);
    }
}

static void a_full_store_changes_nothing_and_recovers(void **state)
{
    struct world *w = *state;
    struct fl_store_sqlite_options small = {.max_pages = 60};
    enum fl_error error = FL_OK;
    struct seen seen = {0};
    struct fl_reading_query q = all_of("full");

    w->store.ops->close(w->store.self);
    assert_ok(fl_store_sqlite_open(w->path, &small, &w->store, NULL));
    assert_ok(put(w, "a", "1"));
    fill(w, &error);
    assert_int_equal(error, FL_EFULL);
    q.limit = 1000000;
    assert_ok(w->store.ops->query_readings(w->store.self, &q, count_reading, &seen, NULL));
    assert_int_equal(seen.count % 500, 0);
    /* Within a transaction the failure is remembered until it is over. */
    assert_ok(w->store.ops->begin(w->store.self, NULL));
    assert_ok(put(w, "a", "2"));
    fill(w, &error);
    assert_int_equal(error, FL_EFULL);
    assert_int_equal(put(w, "b", "3"), FL_EFULL);
    assert_int_equal(w->store.ops->commit(w->store.self, NULL), FL_EFULL);
    assert_document(w, "a", "1");
    assert_document(w, "b", NULL);
    w->store.ops->close(w->store.self);
    assert_ok(fl_store_sqlite_open(w->path, NULL, &w->store, NULL));
    assert_ok(append(w, reading("full", "a", 99999999, 1)));
}

/* The operating system says no: the same as a full disk. */
static void a_file_that_may_not_grow_is_out_of_space(void **state)
{
    struct world *w = *state;
    struct rlimit before = {0};
    struct rlimit small = {0};
    enum fl_error error = FL_OK;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    small = before;
    small.rlim_cur = 512 * 1024;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    fill(w, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(error, FL_EFULL);
    assert_ok(put(w, "a", "1"));
    assert_document(w, "a", "1");
}

static void the_series_cache_stays_within_its_limit(void **state)
{
    struct world *w = *state;
    char device[32];

    assert_ok(w->store.ops->begin(w->store.self, NULL));
    for (uint32_t i = 0; i < FL_LIMIT_SERIES_CACHE + 10; i++) {
        (void)snprintf(device, sizeof device, "d-%u", i);
        assert_ok(append(w, reading(device, "a", 1, 1)));
    }
    assert_ok(w->store.ops->commit(w->store.self, NULL));
    assert_int_equal(query(w, all_of("d-3")).count, 1);
    assert_int_equal(query(w, all_of(device)).count, 1);
}

static double write_groups(struct world *w, struct fl_reading_seal *seal, const char *stream)
{
    enum { GROUPS = 100, GROUP = 500 };
    struct timespec a = {0};
    struct timespec b = {0};
    char names[50][16];
    uint8_t octets[GROUP][FL_STORE_SEALED];

    for (uint32_t i = 0; i < 50; i++)
        (void)snprintf(names[i], sizeof names[i], "dev-%u", i);
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    for (uint32_t n = 0; n < GROUPS; n++) {
        struct fl_reading group[GROUP];

        for (uint32_t i = 0; i < GROUP; i++) {
            group[i] = reading(names[i % 50], stream, (fl_time_t)n * GROUP + i, i * 0.1);
            if (!seal)
                continue;
            assert_ok(fl_reading_seal_value(seal, group[i].stream, group[i].t, group[i].value,
                                            octets[i], NULL));
            group[i].generation = 1;
            group[i].sealed = fl_slice(octets[i], FL_STORE_SEALED);
        }
        assert_ok(w->store.ops->append_readings(w->store.self, group, GROUP, NULL));
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    return GROUPS * GROUP / ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
}

/* Printed, not judged: a shared machine's speed is no claim. */
static void groups_of_500_are_fast(void **state)
{
    static const uint8_t key[FL_DATAKEY_SIZE] = {1};
    struct world *w = *state;
    struct fl_reading_seal *seal = NULL;

    assert_ok(fl_reading_seal_create(key, &seal, NULL));
    for (int round = 0; round < 3; round++) {
        char stream[2][32];
        double rates[2];

        (void)snprintf(stream[0], sizeof stream[0], "open-%d", round);
        (void)snprintf(stream[1], sizeof stream[1], "sealed-%d", round);
        rates[0] = write_groups(w, NULL, stream[0]);
        rates[1] = write_groups(w, seal, stream[1]);
        print_message("500 readings a commit: %.0f/s as they are, %.0f/s sealed\n", rates[0],
                      rates[1]);
    }
    fl_reading_seal_free(seal);
}

#define BOTH(test)                                                                                 \
    {"twin: " #test, test, open_twin, close_world, NULL},                                          \
    {                                                                                              \
        "sqlite: " #test, test, open_sqlite, close_world, NULL                                     \
    }
#define SQLITE_ONLY(test) cmocka_unit_test_setup_teardown(test, open_sqlite, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(documents_are_kept_and_ordered_by_bytes),
        BOTH(rollback_takes_back_documents_and_readings),
        BOTH(a_reading_is_stored_once),
        BOTH(readings_are_found_by_stream_time_and_position),
        BOTH(a_sealed_value_is_kept_once_in_its_generation),
        BOTH(series_are_listed_in_steps_and_emptied_in_steps),
        BOTH(a_series_is_sealed_in_steps_where_it_is),
        SQLITE_ONLY(a_name_that_is_none_is_refused),
        SQLITE_ONLY(a_database_of_version_1_is_taken_over),
        SQLITE_ONLY(what_was_committed_is_there_after_reopening),
        SQLITE_ONLY(a_database_of_a_later_version_is_not_touched),
        SQLITE_ONLY(bad_files_are_refused_with_words),
        SQLITE_ONLY(the_file_is_for_its_owner_only),
        SQLITE_ONLY(every_batch_committed_before_kill_9_is_there_once),
        SQLITE_ONLY(a_full_store_changes_nothing_and_recovers),
        SQLITE_ONLY(a_file_that_may_not_grow_is_out_of_space),
        SQLITE_ONLY(the_series_cache_stays_within_its_limit),
        SQLITE_ONLY(groups_of_500_are_fast),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
