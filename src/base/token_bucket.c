/* SPDX-License-Identifier: Apache-2.0 */
#include "base/token_bucket.h"

/* More debt than this is forgiven: some hours, for any rate, and far from overflow. */
#define DEBT_MAX (UINT64_MAX / 4)

static uint64_t capacity(const struct fl_rate *rate)
{
    return (uint64_t)rate->burst * rate->period_ms;
}

static void refill(struct fl_token_bucket *bucket, const struct fl_rate *rate, fl_time_t now)
{
    uint64_t elapsed = now > bucket->at ? (uint64_t)(now - bucket->at) : 0;

    bucket->at = now;
    if (elapsed > bucket->missing / rate->amount)
        bucket->missing = 0;
    else
        bucket->missing -= elapsed * rate->amount;
}

uint64_t fl_token_bucket_level(struct fl_token_bucket *bucket, const struct fl_rate *rate,
                               fl_time_t now)
{
    refill(bucket, rate, now);
    return bucket->missing < capacity(rate) ? (capacity(rate) - bucket->missing) / rate->period_ms
                                            : 0;
}

void fl_token_bucket_charge(struct fl_token_bucket *bucket, const struct fl_rate *rate,
                            uint64_t tokens, fl_time_t now)
{
    refill(bucket, rate, now);
    if (tokens > (DEBT_MAX - bucket->missing) / rate->period_ms)
        bucket->missing = DEBT_MAX;
    else
        bucket->missing += tokens * rate->period_ms;
}

fl_time_t fl_token_bucket_wait(struct fl_token_bucket *bucket, const struct fl_rate *rate,
                               fl_time_t now)
{
    uint64_t most = capacity(rate) - rate->period_ms; /* missing, with one token in it */

    refill(bucket, rate, now);
    if (bucket->missing <= most)
        return 0;
    return (fl_time_t)((bucket->missing - most + rate->amount - 1) / rate->amount);
}

fl_time_t fl_token_bucket_full_in(struct fl_token_bucket *bucket, const struct fl_rate *rate,
                                  fl_time_t now)
{
    refill(bucket, rate, now);
    return (fl_time_t)((bucket->missing + rate->amount - 1) / rate->amount);
}
