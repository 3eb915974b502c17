/* SPDX-License-Identifier: Apache-2.0
 *
 * A token bucket: so much in a period, and a burst on top. It is asked before something of unknown
 * size is taken and charged after, so it may go below empty; then it says how long to wait until it
 * is not. Whole numbers, nothing is lost to rounding. Time is monotonic ms, passed in. Pure.
 */
#ifndef FL_BASE_TOKEN_BUCKET_H
#define FL_BASE_TOKEN_BUCKET_H

#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

#define FL_RATE_AMOUNT_MAX 4294967295U
#define FL_RATE_PERIOD_MAX_MS 3600000U

struct fl_rate {
    uint32_t amount; /* in a period; at least 1 */
    uint32_t burst;  /* at least 1 */
    uint32_t period_ms;
};

/* Zero-initialised it is full. */
struct fl_token_bucket {
    fl_time_t at;
    /* What is missing to the full bucket, in 1/period_ms of a token. */
    uint64_t missing;
};

/* How many tokens are in it now; 0 when it is empty or below. The rate may change between calls. */
uint64_t fl_token_bucket_level(struct fl_token_bucket *bucket, const struct fl_rate *rate,
                               fl_time_t now);
void fl_token_bucket_charge(struct fl_token_bucket *bucket, const struct fl_rate *rate,
                            uint64_t tokens, fl_time_t now);
/* Milliseconds until there is at least one token; 0: now. */
fl_time_t fl_token_bucket_wait(struct fl_token_bucket *bucket, const struct fl_rate *rate,
                               fl_time_t now);
/* Milliseconds until it is full: then it can be forgotten. */
fl_time_t fl_token_bucket_full_in(struct fl_token_bucket *bucket, const struct fl_rate *rate,
                                  fl_time_t now);

#endif
