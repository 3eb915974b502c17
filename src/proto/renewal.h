/* SPDX-License-Identifier: Apache-2.0
 *
 * When a certificate is renewed. A part of its life after it was got (agent.conf: renew-at, 50 %)
 * and up to a third of that part later, at a moment that is each device's own, so that a fleet
 * enrolled in one minute does not come back in one; then, as long as it fails, again after growing
 * pauses with chance in them. It decides when, and does nothing. Pure; time is passed in: wall
 * clock in ms since the epoch, which may jump, and monotonic ms for the pauses.
 *
 * A clock that cannot be right (a machine that woke up in 1970 or 2106) is told from a certificate
 * that has ended: with such a clock nothing is renewed and nothing is thrown away.
 */
#ifndef FL_PROTO_RENEWAL_H
#define FL_PROTO_RENEWAL_H

#include "base/time.h"

enum fl_renewal_verdict {
    FL_RENEWAL_WAIT,    /* it is not time yet, or a pause after a failure */
    FL_RENEWAL_NOW,     /* ask for the next certificate */
    FL_RENEWAL_EXPIRED, /* the same, though by this clock the present one has ended */
    FL_RENEWAL_CLOCK,   /* this clock is nonsense */
};

struct fl_renewal {
    fl_time_t not_before;
    fl_time_t not_after;
    fl_time_t due;   /* wall; FL_TIME_NEVER: never */
    fl_time_t pause; /* monotonic: not before; 0: no pause */
    unsigned failures;
};

/* Plans for one certificate. `who` gives the device its moment (id and serial). `since`: when it
 * was got, or, when that is not known, its not_before. `percent` 0: never. */
void fl_renewal_plan(struct fl_renewal *r, unsigned percent, struct fl_slice who, fl_time_t since,
                     fl_time_t not_before, fl_time_t not_after);

/* What to do now, and in how many ms to ask again at the latest. */
enum fl_renewal_verdict fl_renewal_judge(const struct fl_renewal *r, fl_time_t now,
                                         fl_time_t monotonic, fl_time_t *again_ms);

/* An attempt failed; the other side may have said how long to wait (0: it has not). Returns the
 * pause in ms: half a minute that doubles, at most an hour or an eighth of what is left, less a
 * random part of up to a half. */
fl_time_t fl_renewal_failed(struct fl_renewal *r, fl_time_t now, fl_time_t monotonic,
                            fl_time_t retry_after_ms, uint32_t random);

/* Somebody wants it now. */
void fl_renewal_hurry(struct fl_renewal *r, fl_time_t now);

#endif
