/* SPDX-License-Identifier: Apache-2.0
 *
 * Attestation keys that wait for the proof that they live in the TPM they are said to: one a
 * device, for FL_LIMIT_NONCE_MS, one attempt. Bounded, in memory only. Times are monotonic.
 */
#ifndef FL_SERVICE_ACTIVATION_H
#define FL_SERVICE_ACTIVATION_H

#include "base/list.h"
#include "base/map.h"
#include "base/str.h"
#include "base/world.h"
#include "trust/tpm_public.h"

#define FL_ACTIVATION_SECRET 32

struct fl_activation {
    struct fl_map_node node;
    struct fl_list order;
    fl_time_t begun;
    uint8_t secret[FL_ACTIVATION_SECRET];
    char ek[FL_EK_HASH_TEXT];
    uint8_t ak[FL_LIMIT_TPM_PUBLIC];
    size_t ak_size;
    uint8_t ak_name[FL_TPM_NAME_SIZE];
    char device[FL_NAME_MAX + 1];
};

struct fl_activations {
    struct fl_map by_device;
    struct fl_list oldest; /* first */
};

void fl_activations_init(struct fl_activations *all);
void fl_activations_free(struct fl_activations *all);

/* The device's, in the place of one before; its secret is made. FL_EBUSY: too many are under way.
 */
FL_MUST_USE enum fl_error fl_activation_begin(struct fl_activations *all, struct fl_slice device,
                                              const struct fl_random *random, fl_time_t now,
                                              struct fl_activation **activation,
                                              struct fl_context *ctx);
/* Its end, whatever the answer is: FL_EAUTH, FL_EEXPIRED, FL_ESTATE (none is under way). `done` is
 * filled on success. */
FL_MUST_USE enum fl_error fl_activation_prove(struct fl_activations *all, struct fl_slice device,
                                              struct fl_slice secret, fl_time_t now,
                                              struct fl_activation *done, struct fl_context *ctx);

#endif
