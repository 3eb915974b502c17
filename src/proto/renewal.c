/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/renewal.h"

#include "base/crc32c.h"

#define MINUTE_MS ((fl_time_t)60 * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

/* A clock further off than this from a certificate that the hub has just made, or made years ago,
 * is not a slow clock or a long absence. */
#define EARLY_MS DAY_MS
#define LATE_MS (DAY_MS * 366 * 5)

#define LOOK_MS (10 * MINUTE_MS) /* how long a clock that was set may go unnoticed */
#define PAUSE_MIN_MS (MINUTE_MS / 2)
#define PAUSE_MAX_MS HOUR_MS
#define DOUBLINGS 7 /* of the pause: over its maximum */

/* 0 to just under `whole`, always the same for the same name. */
static fl_time_t share(fl_time_t whole, struct fl_slice who)
{
    uint64_t part = fl_crc32c(0, who);

    return (fl_time_t)((uint64_t)whole / 4096 * (part >> 8) / 4096);
}

void fl_renewal_plan(struct fl_renewal *r, unsigned percent, struct fl_slice who, fl_time_t since,
                     fl_time_t not_before, fl_time_t not_after)
{
    fl_time_t life = not_after - since;
    fl_time_t part = life > 0 ? life / 100 * (fl_time_t)percent : 0;

    *r =
        (struct fl_renewal){.not_before = not_before, .not_after = not_after, .due = FL_TIME_NEVER};
    if (percent)
        r->due = since + part + share(part / 3, who);
}

enum fl_renewal_verdict fl_renewal_judge(const struct fl_renewal *r, fl_time_t now,
                                         fl_time_t monotonic, fl_time_t *again_ms)
{
    *again_ms = MINUTE_MS;
    if (now < r->not_before - EARLY_MS || now > r->not_after + LATE_MS)
        return FL_RENEWAL_CLOCK;
    *again_ms = LOOK_MS;
    if (r->due == FL_TIME_NEVER)
        return FL_RENEWAL_WAIT;
    if (now < r->due) {
        if (r->due - now < LOOK_MS)
            *again_ms = r->due - now;
        return FL_RENEWAL_WAIT;
    }
    if (monotonic < r->pause) {
        if (r->pause - monotonic < LOOK_MS)
            *again_ms = r->pause - monotonic;
        return FL_RENEWAL_WAIT;
    }
    return now < r->not_after ? FL_RENEWAL_NOW : FL_RENEWAL_EXPIRED;
}

static fl_time_t at_least(fl_time_t a, fl_time_t b)
{
    return a > b ? a : b;
}

fl_time_t fl_renewal_failed(struct fl_renewal *r, fl_time_t now, fl_time_t monotonic,
                            fl_time_t retry_after_ms, uint32_t random)
{
    fl_time_t left = r->not_after > now ? r->not_after - now : 0;
    fl_time_t most = left ? at_least(left / 8, PAUSE_MIN_MS) : PAUSE_MAX_MS;
    unsigned doublings = r->failures < DOUBLINGS ? r->failures : DOUBLINGS;
    fl_time_t pause = PAUSE_MIN_MS << doublings;

    if (most > PAUSE_MAX_MS)
        most = PAUSE_MAX_MS;
    if (pause > most)
        pause = most;
    pause -= (fl_time_t)((uint64_t)pause / 2 * random >> 32);
    if (retry_after_ms > PAUSE_MAX_MS)
        retry_after_ms = PAUSE_MAX_MS;
    pause = at_least(pause, retry_after_ms);
    r->failures++;
    r->pause = monotonic + pause;
    return pause;
}

void fl_renewal_hurry(struct fl_renewal *r, fl_time_t now)
{
    r->due = now;
    r->pause = 0;
}
