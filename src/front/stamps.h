/* SPDX-License-Identifier: Apache-2.0
 *
 * Times for readings that bring none: now, but strictly later than the last one given to the same
 * stream, so that no two of its readings have one time. Remembers at most FL_LIMIT_STAMPS streams;
 * a time that has passed holds nothing back and is forgotten first. Pure.
 */
#ifndef FL_FRONT_STAMPS_H
#define FL_FRONT_STAMPS_H

#include "base/map.h"
#include "base/time.h"

struct fl_stamps {
    struct fl_map streams;
};

/* FL_EBUSY: too many streams have times that are still to come. */
FL_MUST_USE enum fl_error fl_stamps_next(struct fl_stamps *stamps, struct fl_slice device,
                                         struct fl_slice stream, fl_time_t now, fl_time_t *t);
void fl_stamps_free(struct fl_stamps *stamps);

#endif
