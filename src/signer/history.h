/* SPDX-License-Identifier: Apache-2.0
 *
 * What the signer remembers of what it issued, to judge what it is asked for: how many certificates
 * a device got lately, and which public key belongs to which device. Bounded: the oldest is
 * forgotten first. It is filled from the issuance log at the start, so a restart forgets nothing
 * that is still in the log's newest files. No clock, no I/O.
 */
#ifndef FL_SIGNER_HISTORY_H
#define FL_SIGNER_HISTORY_H

#include "base/slice.h"
#include "base/time.h"

enum {
    FL_HISTORY_HOUR = 10, /* certificates of one device in an hour */
    FL_HISTORY_DAY = 40,
    FL_HISTORY_EVENTS = 262144, /* certificates remembered for that, of all devices */
    FL_HISTORY_KEYS = 524288, /* public keys remembered, at least, in the order of their last use */
};

struct fl_history;

FL_MUST_USE enum fl_error fl_history_create(struct fl_history **history, struct fl_context *ctx);
void fl_history_free(struct fl_history *history); /* NULL is harmless */

/* May `device` get a certificate for the public key with this SHA-256 at `now`, ms since the epoch?
 * FL_EDENIED: the key is another device's; FL_EBUSY: too many, `retry_after_s` says until when. */
FL_MUST_USE enum fl_error fl_history_judge(struct fl_history *history, struct fl_slice device,
                                           const uint8_t key[32], fl_time_t now,
                                           uint32_t *retry_after_s, struct fl_context *ctx);
/* It got one. FL_ENOMEM: nothing is remembered, so it must not have it. */
FL_MUST_USE enum fl_error fl_history_note(struct fl_history *history, struct fl_slice device,
                                          const uint8_t key[32], fl_time_t at,
                                          struct fl_context *ctx);

#endif
