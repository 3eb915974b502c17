/* SPDX-License-Identifier: Apache-2.0
 *
 * base/store.h in one SQLite file: write-ahead log, synchronous=FULL, so what commit returned FL_OK
 * for survives a power cut. One connection, one thread. Readings are clustered by series (device
 * and stream, interned) and position, with a unique index on (series, t, value). When space or the
 * disk fails inside a transaction, the transaction is dead: every call until rollback or commit
 * gives the same error and commit undoes it. Other processes may read the file meanwhile.
 */
#ifndef FL_IO_STORE_SQLITE_H
#define FL_IO_STORE_SQLITE_H

#include "base/store.h"

struct fl_store_sqlite_options {
    uint32_t max_pages; /* of 4096 bytes; 0: until the disk is full */
    uint32_t busy_ms;   /* how long to wait for a lock held by a foreign process; 0: 2000 */
};

/* Makes the file (0600) when it is not there; its folder must exist. FL_EUNSUPPORTED: written by a
 * later version. `options` may be NULL. */
FL_MUST_USE enum fl_error fl_store_sqlite_open(const char *path,
                                               const struct fl_store_sqlite_options *options,
                                               struct fl_store *store, struct fl_context *ctx);

#endif
