/* SPDX-License-Identifier: Apache-2.0
 *
 * Twins of io/clock: a clock that stands still until the test moves it (also backwards, as a
 * machine's wall clock may), and random bytes that are the same for the same seed.
 */
#ifndef FL_TEST_TWIN_CLOCK_TWIN_H
#define FL_TEST_TWIN_CLOCK_TWIN_H

#include "base/world.h"

struct fl_clock_twin {
    struct fl_clock clock; /* give this to the module under test */
    fl_time_t now;         /* ms since the epoch; set it as you like */
    fl_time_t monotonic;
};

struct fl_random_twin {
    struct fl_random random;
    uint64_t state;
};

/* Starts at `now`, monotonic 0. The twin must not move in memory afterwards. */
void fl_clock_twin_init(struct fl_clock_twin *twin, fl_time_t now);
/* Time passes: both clocks go on. */
void fl_clock_twin_advance(struct fl_clock_twin *twin, fl_time_t by_ms);
/* Someone sets the wall clock; monotonic time does not notice. */
void fl_clock_twin_jump(struct fl_clock_twin *twin, fl_time_t by_ms);

void fl_random_twin_init(struct fl_random_twin *twin, uint64_t seed);

#endif
