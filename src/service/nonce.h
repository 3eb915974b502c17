/* SPDX-License-Identifier: Apache-2.0
 *
 * The nonces that devices were given for their evidence: one a device, good once, for
 * FL_LIMIT_NONCE_MS. Bounded, in memory only: after a restart a device asks for another. Times are
 * monotonic.
 */
#ifndef FL_SERVICE_NONCE_H
#define FL_SERVICE_NONCE_H

#include "base/list.h"
#include "base/map.h"
#include "base/world.h"
#include "codec/evidence.h"

struct fl_nonces {
    struct fl_map by_device;
    struct fl_list oldest; /* first */
};

void fl_nonces_init(struct fl_nonces *nonces);
void fl_nonces_free(struct fl_nonces *nonces);

/* A new one, in the place of the one before. FL_EBUSY: the device asks too often, or too many
 * devices ask; `*wait_ms` says for how long. */
FL_MUST_USE enum fl_error fl_nonce_give(struct fl_nonces *nonces, struct fl_slice device,
                                        const struct fl_random *random, fl_time_t now,
                                        uint8_t nonce[FL_NONCE_SIZE], fl_time_t *wait_ms,
                                        struct fl_context *ctx);
/* For what is asked for without a nonce: it counts as one that was. FL_EBUSY as above. */
FL_MUST_USE enum fl_error fl_nonce_charge(struct fl_nonces *nonces, struct fl_slice device,
                                          fl_time_t now, fl_time_t *wait_ms,
                                          struct fl_context *ctx);
/* It is used from now on. FL_EAUTH: it is not the one the device was given last, or was used;
 * FL_EEXPIRED. */
FL_MUST_USE enum fl_error fl_nonce_take(struct fl_nonces *nonces, struct fl_slice device,
                                        struct fl_slice nonce, fl_time_t now,
                                        struct fl_context *ctx);

#endif
