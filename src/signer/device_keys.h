/* SPDX-License-Identifier: Apache-2.0
 *
 * The signer's second service: the devices' data keys (signer/keystore) over the channel. DATA_KEY
 * asks for one, DATA_KEY_ERASE destroys one; each leads to one DATA_KEY_RESULT. Making, destroying
 * and refusing are logged; no key is.
 */
#ifndef FL_SIGNER_DEVICE_KEYS_H
#define FL_SIGNER_DEVICE_KEYS_H

#include "codec/msg.h"
#include "signer/keystore.h"
#include "signer/policy.h"

enum {
    /* A hub that starts needs the key of every device that speaks. */
    FL_SIGNER_KEY_RATE = 5000,
    FL_SIGNER_KEY_BURST = 20000,
};

/* The slices of `result` point into the request and the rest. Wipe it after it was sent. */
struct fl_signer_key_answer {
    struct fl_msg_data_key_result result;
    struct fl_context text;
    uint8_t key[FL_DATAKEY_SIZE];
};

/* `request` is a DATA_KEY or a DATA_KEY_ERASE; `monotonic` is for the rate limit (FL_EBUSY), which
 * erasing has no part in. */
void fl_signer_answer_key(struct fl_keystore *keystore, struct fl_signer_rate *rate,
                          const struct fl_msg *request, fl_time_t monotonic,
                          struct fl_signer_key_answer *answer);

#endif
