/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/profile_rate.h"

struct reader {
    const struct fl_conf *conf;
    const struct fl_conf_node *node;
    struct fl_context *ctx;
    bool bytes;
};

/* "200", and of bytes also "64k", "2M". */
static bool read_amount(struct fl_slice text, bool bytes, uint32_t *amount)
{
    uint64_t unit = 1;
    uint64_t number = 0;

    if (bytes && text.size > 1 && text.data[text.size - 1] == 'k')
        unit = 1024;
    else if (bytes && text.size > 1 && text.data[text.size - 1] == 'M')
        unit = (uint64_t)1024 * 1024;
    if (unit > 1)
        text.size--;
    if (fl_str_to_u64(text, FL_RATE_AMOUNT_MAX / unit, &number) != FL_OK || number == 0)
        return false;
    *amount = (uint32_t)(number * unit);
    return true;
}

static bool read_period(struct fl_slice text, uint32_t *period_ms)
{
    if (fl_slice_is(text, "s"))
        *period_ms = 1000;
    else if (fl_slice_is(text, "min"))
        *period_ms = 60000;
    else if (fl_slice_is(text, "h"))
        *period_ms = FL_RATE_PERIOD_MAX_MS;
    else
        return false;
    return true;
}

static enum fl_error read_rate(const struct reader *r, struct fl_rate *rate)
{
    struct fl_slice rest = r->node->words[2].text;
    struct fl_slice amount = {0};

    if (!fl_slice_cut(&rest, '/', &amount) || !read_amount(amount, r->bytes, &rate->amount) ||
        !read_period(rest, &rate->period_ms))
        return fl_conf_fail(r->conf, r->node, 2, r->ctx,
                            r->bytes ? "a rate of bytes is 64k/s, 2M/min or 500/s, from 1 to 4095M"
                                     : "a rate of messages is 100/s, 10/min or 5/h, from 1");
    rate->burst = rate->amount < FL_RATE_AMOUNT_MAX / 2 ? 2 * rate->amount : FL_RATE_AMOUNT_MAX;
    if (r->node->word_count == 3)
        return FL_OK;
    if (r->node->word_count != 5 || !fl_slice_is(r->node->words[3].text, "burst"))
        return fl_conf_fail(r->conf, r->node, 3, r->ctx, "write: %s", FL_PROFILE_RATE_USAGE);
    if (!read_amount(r->node->words[4].text, r->bytes, &rate->burst))
        return fl_conf_fail(r->conf, r->node, 4, r->ctx, "a burst is a number%s, from 1",
                            r->bytes ? " of bytes, 256k or 1M" : " of messages");
    return FL_OK;
}

enum fl_error fl_profile_rates(const struct fl_conf *conf, const struct fl_conf_node *block,
                               struct fl_profile *profile, struct fl_context *ctx)
{
    struct reader r = {.conf = conf, .ctx = ctx};
    const struct fl_conf_node *seen[2] = {0};

    profile->rate_messages = (struct fl_rate)FL_PROFILE_RATE_MESSAGES;
    profile->rate_bytes = (struct fl_rate)FL_PROFILE_RATE_BYTES;
    for (r.node = fl_conf_find(block, "rate"); r.node; r.node = fl_conf_next(r.node)) {
        enum fl_error error = FL_OK;

        r.bytes = fl_slice_is(r.node->words[1].text, "bytes");
        if (!r.bytes && !fl_slice_is(r.node->words[1].text, "messages"))
            return fl_conf_fail(conf, r.node, 1, ctx, "a rate is of messages or of bytes");
        if (seen[r.bytes])
            return fl_conf_fail(conf, r.node, 1, ctx,
                                "this rate a second time: it is in line %u already",
                                seen[r.bytes]->line);
        seen[r.bytes] = r.node;
        error = read_rate(&r, r.bytes ? &profile->rate_bytes : &profile->rate_messages);
        if (error)
            return error;
    }
    return FL_OK;
}
