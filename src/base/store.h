/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub's memory: ordered tables of documents, and readings. Implemented by io/store_sqlite
 * (embedded) and, when one machine is outgrown, by io/store_postgres. The interface is small on
 * purpose: services decide, the store remembers, and a test can put a faulty one in its place.
 *
 * Documents are JSON text, so that an operator can read the database with the engine's own tools.
 * Keys are bytes, ordered by memcmp. Every call runs inside the transaction that is open; without
 * one it is its own. What fl_store_commit returned FL_OK for is on stable storage. FL_EFULL: no
 * space, nothing changed.
 */
#ifndef FL_BASE_STORE_H
#define FL_BASE_STORE_H

#include "base/buffer.h"
#include "base/str.h"
#include "base/time.h"

#define FL_STORE_TABLES(X)                                                                         \
    X(FL_TABLE_META, "meta")                                                                       \
    X(FL_TABLE_PROFILE, "profile")                                                                 \
    X(FL_TABLE_DEVICE, "device")                                                                   \
    X(FL_TABLE_CREDENTIAL, "credential") /* key: serial in hex */                                  \
    X(FL_TABLE_TOKEN, "token")           /* key: device id */                                      \
    X(FL_TABLE_PRINCIPAL, "principal")                                                             \
    X(FL_TABLE_ACTION, "action")                                                                   \
    X(FL_TABLE_DATA_KEY, "data_key") /* key: device id */                                          \
    X(FL_TABLE_AUDIT, "audit")       /* key: sequence number, 8 octets, big endian */

enum fl_table {
#define FL_TABLE_ENUM(id, name) id,
    FL_STORE_TABLES(FL_TABLE_ENUM)
#undef FL_TABLE_ENUM
        FL_TABLE_COUNT
};

#define FL_STORE_SEALED 24 /* octets of a sealed value */

struct fl_reading {
    struct fl_slice device; /* fl_name_valid */
    struct fl_slice stream; /* fl_name_valid */
    fl_time_t t;            /* when it was measured, ms since the epoch */
    double value;           /* finite; of no meaning when `generation` is not 0 */
    struct fl_slice sealed; /* FL_STORE_SEALED octets, or empty */
    /* Identifies the message it came in, so that a redelivery (MQTT DUP) of a reading without a
     * time of its own is recognised; 0: it has its own time. */
    uint64_t message;
    /* Of the device's data key that sealed the value (trust/reading_seal); 0: it is not sealed. */
    uint32_t generation;
    bool redelivery; /* look for `message` among this stream's recent readings first */
};

struct fl_reading_query {
    struct fl_slice device;
    struct fl_slice stream; /* empty: all */
    fl_time_t from;         /* inclusive */
    fl_time_t until;        /* exclusive; FL_TIME_NEVER */
    uint64_t after;         /* only readings stored after this position (see visit); 0: all */
    uint32_t limit;
    bool newest_first; /* order by t, then stream, then position */
    bool by_position;  /* in the order of storing; always so with `after` */
};

/* The readings of one stream of one device under one generation of its data key. */
struct fl_series {
    uint64_t id; /* grows; never 0 */
    struct fl_slice device;
    struct fl_slice stream;
    uint32_t generation;
};

/* Each returns false to stop early. `position` grows with every stored reading. */
typedef bool (*fl_store_visit)(void *to, struct fl_slice key, struct fl_slice document);
typedef bool (*fl_reading_visit)(void *to, uint64_t position, const struct fl_reading *reading);
typedef bool (*fl_series_visit)(void *to, const struct fl_series *series);
/* Gives `reading`, which has a value, its generation and `sealed` (FL_STORE_SEALED octets). */
typedef enum fl_error (*fl_store_seal)(void *to, struct fl_reading *reading, uint8_t *sealed,
                                       struct fl_context *ctx);

struct fl_store_ops {
    enum fl_error (*begin)(void *self, struct fl_context *ctx);
    enum fl_error (*commit)(void *self, struct fl_context *ctx);
    void (*rollback)(void *self);
    /* FL_ENOTFOUND. */
    enum fl_error (*get)(void *self, enum fl_table table, struct fl_slice key,
                         struct fl_buffer *document, struct fl_context *ctx);
    enum fl_error (*put)(void *self, enum fl_table table, struct fl_slice key,
                         struct fl_slice document, struct fl_context *ctx);
    enum fl_error (*del)(void *self, enum fl_table table, struct fl_slice key,
                         struct fl_context *ctx);
    /* Keys in [from, until), or all from `from` when `until` is empty; at most `limit`. */
    enum fl_error (*scan)(void *self, enum fl_table table, struct fl_slice from,
                          struct fl_slice until, bool reverse, uint32_t limit, fl_store_visit visit,
                          void *to, struct fl_context *ctx);
    /* A reading that is there already (same device, stream, generation, t and value, sealed or not,
     * or a recognised redelivery) is not stored again: a message may be handed in any number of
     * times. */
    enum fl_error (*append_readings)(void *self, const struct fl_reading *readings, size_t count,
                                     struct fl_context *ctx);
    enum fl_error (*query_readings)(void *self, const struct fl_reading_query *query,
                                    fl_reading_visit visit, void *to, struct fl_context *ctx);
    /* At most `limit` series with a number over `after`, in their order; `device` empty: of all. */
    enum fl_error (*each_series)(void *self, struct fl_slice device, uint64_t after, uint32_t limit,
                                 fl_series_visit visit, void *to, struct fl_context *ctx);
    /* Deletes at most `limit` of the series' readings from before `before`. Fewer `deleted` than
     * `limit`: none is left; with FL_TIME_NEVER the series is gone too. */
    enum fl_error (*delete_readings)(void *self, uint64_t series, fl_time_t before, uint32_t limit,
                                     size_t *deleted, struct fl_context *ctx);
    /* Seals at most `limit` readings of a series of generation 0, where they are: position, time
     * and message stay. Fewer `sealed` than `limit`: none is left, and the series is gone. */
    enum fl_error (*seal_readings)(void *self, uint64_t series, uint32_t limit, fl_store_seal seal,
                                   void *to, size_t *sealed, struct fl_context *ctx);
    void (*close)(void *self);
};

struct fl_store {
    const struct fl_store_ops *ops;
    void *self;
};

#endif
