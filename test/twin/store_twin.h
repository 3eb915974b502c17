/* SPDX-License-Identifier: Apache-2.0
 *
 * base/store.h in memory, with faults: the n-th write or commit from now on fails with the given
 * error. Transactions are real (rollback restores everything), so a test can check that a change
 * and its audit record are both there or neither.
 */
#ifndef FL_TEST_TWIN_STORE_TWIN_H
#define FL_TEST_TWIN_STORE_TWIN_H

#include "base/store.h"

/* Ends the test program when there is no memory. Close it with its own close operation. */
struct fl_store fl_store_twin_create(void);

/* nth 1: the next put, del, append or commit fails; 0: none does. */
void fl_store_twin_fail(const struct fl_store *store, uint64_t nth, enum fl_error error);

/* How many puts, dels, appends and commits there were. */
uint64_t fl_store_twin_writes(const struct fl_store *store);

/* True inside a transaction. */
bool fl_store_twin_is_open(const struct fl_store *store);

#endif
