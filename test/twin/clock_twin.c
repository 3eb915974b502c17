/* SPDX-License-Identifier: Apache-2.0 */
#include "test/twin/clock_twin.h"

#include "base/assert.h"

static fl_time_t twin_now(void *self)
{
    return ((const struct fl_clock_twin *)self)->now;
}

static fl_time_t twin_monotonic(void *self)
{
    return ((const struct fl_clock_twin *)self)->monotonic;
}

void fl_clock_twin_init(struct fl_clock_twin *twin, fl_time_t now)
{
    *twin = (struct fl_clock_twin){
        .clock = {.now = twin_now, .monotonic = twin_monotonic, .self = twin}, .now = now};
}

void fl_clock_twin_advance(struct fl_clock_twin *twin, fl_time_t by_ms)
{
    fl_assert(by_ms >= 0);
    twin->now += by_ms;
    twin->monotonic += by_ms;
}

void fl_clock_twin_jump(struct fl_clock_twin *twin, fl_time_t by_ms)
{
    twin->now += by_ms;
}

/* SplitMix64: small, and every seed is a good one. */
static uint64_t next(struct fl_random_twin *twin)
{
    uint64_t z = (twin->state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static void twin_fill(void *self, void *to, size_t size)
{
    uint8_t *bytes = to;
    uint64_t word = 0;

    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0)
            word = next(self);
        bytes[i] = (uint8_t)(word >> (8 * (i % 8)));
    }
}

void fl_random_twin_init(struct fl_random_twin *twin, uint64_t seed)
{
    *twin = (struct fl_random_twin){.random = {.fill = twin_fill, .self = twin}, .state = seed};
}
