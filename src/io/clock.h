/* SPDX-License-Identifier: Apache-2.0
 *
 * The machine's clock and its random bytes behind the tables of base/world.h. Nothing else in the
 * program reads a clock or draws random bytes. Both are constant, shared and safe in any thread.
 */
#ifndef FL_IO_CLOCK_H
#define FL_IO_CLOCK_H

#include "base/world.h"

const struct fl_clock *fl_clock_system(void);

/* Monotonic microseconds, to measure how long something takes. */
uint64_t fl_clock_monotonic_us(void);

/* getrandom(2): waits until the kernel's generator is seeded; a process that cannot get random
 * bytes ends, because nothing it would do without them is safe. */
const struct fl_random *fl_random_system(void);

#endif
