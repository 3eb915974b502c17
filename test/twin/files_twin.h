/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of files in memory that fails as real ones do. What is written is seen at once, as
 * through a page cache, but kept only by a sync. The n-th change can be a crash: after a power cut
 * each unsynced change of each file is kept, lost, torn or replaced by zeros or garbage, and
 * unsynced names and removals may come or go, as a seed decides; after a kill everything written is
 * there. Also: a full disk, syncs that fail, bytes that rot.
 */
#ifndef FL_TEST_TWIN_FILES_TWIN_H
#define FL_TEST_TWIN_FILES_TWIN_H

#include "base/world.h"

enum fl_files_twin_crash { FL_TWIN_POWER, FL_TWIN_KILL };

struct fl_files_twin;

struct fl_files_twin *fl_files_twin_new(uint64_t seed);
void fl_files_twin_free(struct fl_files_twin *twin);
struct fl_files fl_files_twin_files(struct fl_files_twin *twin);

/* Changes (write, sync, truncate, remove, rename) since the last call of this function. */
uint64_t fl_files_twin_changes(struct fl_files_twin *twin);
/* The `change`-th from now on, counted from 1, is the crash; from then on every call fails with
 * FL_EIO. 0: none. */
void fl_files_twin_crash_at(struct fl_files_twin *twin, uint64_t change);
/* Comes back after a crash of this kind; also without one planned, as a sudden crash now. */
void fl_files_twin_restart(struct fl_files_twin *twin, enum fl_files_twin_crash kind);

/* Files may not grow over `bytes` together; UINT64_MAX: no bound. */
void fl_files_twin_space(struct fl_files_twin *twin, uint64_t bytes);
/* This many syncs from now on fail, and what they should have kept is up to chance. */
void fl_files_twin_fail_syncs(struct fl_files_twin *twin, uint64_t count);
/* This many removals from now on fail. */
void fl_files_twin_fail_removes(struct fl_files_twin *twin, uint64_t count);
/* Changes one byte of a file where it lies. */
void fl_files_twin_rot(struct fl_files_twin *twin, const char *name, uint64_t offset);
size_t fl_files_twin_count(const struct fl_files_twin *twin);

#endif
