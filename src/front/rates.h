/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast one device may send, by its profile: messages and bytes, a bucket each, shared by all of
 * its connections. Whoever is over its rate is not refused anything: its bytes are not read until
 * there is room again, and TCP slows it down. Pure; time is monotonic ms, passed in.
 */
#ifndef FL_FRONT_RATES_H
#define FL_FRONT_RATES_H

#include "base/token_bucket.h"
#include "codec/profile.h"

/* A device that came over its rate again within this time is still in the same stretch of it. */
#define FL_RATES_STRETCH_MS 5000

enum fl_rates_limit { FL_RATES_NONE, FL_RATES_MESSAGES, FL_RATES_BYTES };

/* Begins with fl_rates_set, full. */
struct fl_rates {
    struct fl_rate messages_rate;
    struct fl_rate bytes_rate;
    struct fl_token_bucket messages;
    struct fl_token_bucket bytes;
    fl_time_t limited_at; /* when it last had to wait; 0: never */
};

/* What holds from now on; buckets whose rate has changed begin full. NULL: the rates of a profile
 * that names none. */
void fl_rates_set(struct fl_rates *rates, const struct fl_profile *profile);

/* How many of `size` bytes may be looked at now; 0: it has to wait. It is kept so small that what
 * is in them cannot be far over the rate. */
size_t fl_rates_room(struct fl_rates *rates, size_t size, fl_time_t now);
void fl_rates_charge(struct fl_rates *rates, uint64_t messages, uint64_t bytes, fl_time_t now);
/* Milliseconds until there is room; 0: there is. */
fl_time_t fl_rates_wait(struct fl_rates *rates, fl_time_t now);
/* Milliseconds until nothing of it needs to be remembered. */
fl_time_t fl_rates_full_in(struct fl_rates *rates, fl_time_t now);

/* It has to wait: which limit it is, when a new stretch begins with this, else FL_RATES_NONE. */
enum fl_rates_limit fl_rates_begin_stretch(struct fl_rates *rates, fl_time_t now);

#endif
