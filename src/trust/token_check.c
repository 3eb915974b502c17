/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/token_check.h"

void fl_token_check_hash(const uint8_t secret[FL_TOKEN_SECRET_SIZE], uint8_t out[FL_SHA256_SIZE])
{
    fl_sha256(fl_slice(secret, FL_TOKEN_SECRET_SIZE), out);
}

enum fl_error fl_token_check(const struct fl_token_record *record, const struct fl_token *token,
                             enum fl_token_kind kind, struct fl_slice id, fl_time_t now,
                             struct fl_context *ctx)
{
    uint8_t digest[FL_SHA256_SIZE];
    char expired[FL_TIME_TEXT_MAX];

    /* Said by the token itself, so nothing is given away. */
    if (token->kind != kind)
        return fl_fail(ctx, FL_EDENIED, "%s",
                       kind == FL_TOKEN_DEVICE
                           ? "this token is for an administrator, not for a device"
                           : "this token is for a device, not for an administrator");
    if (!fl_slice_is(id, token->id))
        return fl_fail(ctx, FL_EDENIED, "this token is for '%s'", token->id);
    fl_token_check_hash(token->secret, digest);
    if (!record || record->kind != kind || !fl_slice_is(id, record->id) ||
        !fl_slice_equal_secret(fl_slice(digest, sizeof digest),
                               fl_slice(record->sha256, sizeof record->sha256)))
        return fl_fail(ctx, FL_EAUTH,
                       "the token is not known (a newer one may have taken its place)");
    if (record->used)
        return fl_fail(ctx, FL_ESTATE, "the token was used already: ask for a new one");
    if (now >= record->expires)
        return fl_fail(ctx, FL_EEXPIRED, "the token expired at %s: ask for a new one",
                       fl_time_format(record->expires, expired));
    return FL_OK;
}
