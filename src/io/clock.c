/* SPDX-License-Identifier: Apache-2.0 */
#include "io/clock.h"

#include "base/assert.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static fl_time_t read_clock(clockid_t id)
{
    struct timespec t = {0};

    fl_assert(clock_gettime(id, &t) == 0);
    return (fl_time_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t fl_clock_monotonic_us(void)
{
    struct timespec t = {0};

    fl_assert(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static fl_time_t system_now(void *self)
{
    (void)self;
    return read_clock(CLOCK_REALTIME);
}

static fl_time_t system_monotonic(void *self)
{
    (void)self;
    return read_clock(CLOCK_MONOTONIC);
}

static void system_fill(void *self, void *to, size_t size)
{
    uint8_t *at = to;

    (void)self;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);

        fl_assert(got > 0 || (got < 0 && errno == EINTR));
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}

const struct fl_clock *fl_clock_system(void)
{
    static const struct fl_clock clock = {.now = system_now, .monotonic = system_monotonic};

    return &clock;
}

const struct fl_random *fl_random_system(void)
{
    static const struct fl_random random = {.fill = system_fill};

    return &random;
}
