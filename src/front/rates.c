/* SPDX-License-Identifier: Apache-2.0 */
#include "front/rates.h"

#include "base/limits.h"

/* The smallest PUBLISH with a topic that a profile can name. */
#define MESSAGE_MIN 5
/* What is looked at when a bucket is nearly empty. */
#define PIECE ((size_t)256)

static bool same(const struct fl_rate *a, const struct fl_rate *b)
{
    return a->amount == b->amount && a->burst == b->burst && a->period_ms == b->period_ms;
}

static void set_one(struct fl_rate *rate, struct fl_token_bucket *bucket,
                    const struct fl_rate *next)
{
    if (same(rate, next))
        return;
    *rate = *next;
    *bucket = (struct fl_token_bucket){0};
}

void fl_rates_set(struct fl_rates *rates, const struct fl_profile *profile)
{
    static const struct fl_rate messages = FL_PROFILE_RATE_MESSAGES;
    static const struct fl_rate bytes = FL_PROFILE_RATE_BYTES;

    set_one(&rates->messages_rate, &rates->messages, profile ? &profile->rate_messages : &messages);
    set_one(&rates->bytes_rate, &rates->bytes, profile ? &profile->rate_bytes : &bytes);
}

size_t fl_rates_room(struct fl_rates *rates, size_t size, fl_time_t now)
{
    uint64_t messages = fl_token_bucket_level(&rates->messages, &rates->messages_rate, now);
    uint64_t bytes = fl_token_bucket_level(&rates->bytes, &rates->bytes_rate, now);

    if (messages == 0 || bytes == 0)
        return 0;
    if (size > bytes)
        size = bytes > PIECE ? (size_t)bytes : PIECE < size ? PIECE : size;
    if (size > PIECE && size / MESSAGE_MIN > messages)
        size = messages * MESSAGE_MIN > PIECE ? (size_t)messages * MESSAGE_MIN : PIECE;
    return size;
}

void fl_rates_charge(struct fl_rates *rates, uint64_t messages, uint64_t bytes, fl_time_t now)
{
    fl_token_bucket_charge(&rates->messages, &rates->messages_rate, messages, now);
    fl_token_bucket_charge(&rates->bytes, &rates->bytes_rate, bytes, now);
}

static fl_time_t later(fl_time_t a, fl_time_t b)
{
    return a > b ? a : b;
}

fl_time_t fl_rates_wait(struct fl_rates *rates, fl_time_t now)
{
    return later(fl_token_bucket_wait(&rates->messages, &rates->messages_rate, now),
                 fl_token_bucket_wait(&rates->bytes, &rates->bytes_rate, now));
}

fl_time_t fl_rates_full_in(struct fl_rates *rates, fl_time_t now)
{
    return later(fl_token_bucket_full_in(&rates->messages, &rates->messages_rate, now),
                 fl_token_bucket_full_in(&rates->bytes, &rates->bytes_rate, now));
}

enum fl_rates_limit fl_rates_begin_stretch(struct fl_rates *rates, fl_time_t now)
{
    bool begins = rates->limited_at == 0 || now - rates->limited_at > FL_RATES_STRETCH_MS;

    rates->limited_at = now;
    if (!begins)
        return FL_RATES_NONE;
    return fl_token_bucket_wait(&rates->messages, &rates->messages_rate, now) >=
                   fl_token_bucket_wait(&rates->bytes, &rates->bytes_rate, now)
               ? FL_RATES_MESSAGES
               : FL_RATES_BYTES;
}
