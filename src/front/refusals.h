/* SPDX-License-Identifier: Apache-2.0
 *
 * What was refused, told to the hub for its audit without letting anyone flood it: the first
 * refusal of a kind at once, those like it counted and told once a second, and a bound on how many
 * kinds there are. Pure: whoever owns it calls fl_refusals_tick once a second while it is busy.
 */
#ifndef FL_FRONT_REFUSALS_H
#define FL_FRONT_REFUSALS_H

#include "base/map.h"
#include "base/time.h"
#include "front/link.h"

struct fl_refusals {
    const struct fl_link *link;
    struct fl_map kinds;
    uint32_t sessions; /* refused sessions told since the last tick */
    uint64_t untold;   /* since the last tick, over the bounds */
    uint64_t untold_ever;
};

void fl_refusals_free(struct fl_refusals *refusals);

/* A message: `what` is "publish", "subscribe" or "reading". */
void fl_refusals_message(struct fl_refusals *refusals, struct fl_slice device, const char *what,
                         struct fl_slice topic, const char *reason);

/* A connection. `device` and `serial` may be empty. `at` is UTC. */
struct fl_refused_session {
    struct fl_slice device;
    struct fl_slice serial;
    const char *peer;
    const char *reason;
    bool resumed;
    fl_time_t at;
};
void fl_refusals_session(struct fl_refusals *refusals, const struct fl_refused_session *session);

/* Tells what was counted and forgets what was quiet. False: nothing is left to tick for. */
bool fl_refusals_tick(struct fl_refusals *refusals);

#endif
