/* SPDX-License-Identifier: Apache-2.0
 *
 * The statements `rate` of a profile, for codec/profile: how fast one device may send.
 */
#ifndef FL_CODEC_PROFILE_RATE_H
#define FL_CODEC_PROFILE_RATE_H

#include "codec/profile.h"

#define FL_PROFILE_RATE_USAGE                                                                      \
    "rate messages NUMBER/s burst NUMBER  or  rate bytes SIZE/s burst SIZE, for example "          \
    "rate bytes 64k/s burst 256k"

/* Those that are absent get the rates of base/limits.h; an absent burst is twice the amount. */
FL_MUST_USE enum fl_error fl_profile_rates(const struct fl_conf *conf,
                                           const struct fl_conf_node *block,
                                           struct fl_profile *profile, struct fl_context *ctx);

#endif
