/* SPDX-License-Identifier: Apache-2.0 */
#include "service/activation.h"

#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an intrusive list and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

void fl_activations_init(struct fl_activations *all)
{
    *all = (struct fl_activations){0};
    fl_list_init(&all->oldest);
}

static void forget(struct fl_activations *all, struct fl_activation *a)
{
    fl_map_remove(&all->by_device, &a->node);
    fl_list_remove(&a->order);
    explicit_bzero(a->secret, sizeof a->secret);
    free(a);
}

void fl_activations_free(struct fl_activations *all)
{
    struct fl_map_node *node = NULL;

    while ((node = fl_map_first(&all->by_device)))
        forget(all, fl_container_of(node, struct fl_activation, node));
    fl_map_free(&all->by_device);
}

static struct fl_activation *find(const struct fl_activations *all, struct fl_slice device)
{
    struct fl_map_node *node = fl_map_find(&all->by_device, device);

    return node ? fl_container_of(node, struct fl_activation, node) : NULL;
}

enum fl_error fl_activation_begin(struct fl_activations *all, struct fl_slice device,
                                  const struct fl_random *random, fl_time_t now,
                                  struct fl_activation **activation, struct fl_context *ctx)
{
    struct fl_activation *a = find(all, device);

    if (a)
        forget(all, a);
    while (!fl_list_empty(&all->oldest)) {
        a = fl_container_of(all->oldest.next, struct fl_activation, order);
        if (now - a->begun < FL_LIMIT_NONCE_MS)
            break;
        forget(all, a);
    }
    if (all->by_device.count >= FL_LIMIT_ACTIVATIONS)
        return fl_fail(ctx, FL_EBUSY, "%d attestation keys are being endorsed already",
                       FL_LIMIT_ACTIVATIONS);
    a = calloc(1, sizeof *a);
    if (!a)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    (void)fl_str_copy_slice(a->device, sizeof a->device, device);
    if (fl_map_add(&all->by_device, &a->node, fl_slice_str(a->device)) != FL_OK) {
        free(a);
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    }
    fl_list_push(&all->oldest, &a->order);
    a->begun = now;
    random->fill(random->self, a->secret, sizeof a->secret);
    *activation = a;
    return FL_OK;
}

enum fl_error fl_activation_prove(struct fl_activations *all, struct fl_slice device,
                                  struct fl_slice secret, fl_time_t now, struct fl_activation *done,
                                  struct fl_context *ctx)
{
    struct fl_activation *a = find(all, device);
    enum fl_error error = FL_OK;

    if (!a)
        return fl_fail(ctx, FL_ESTATE, "no attestation key of this device is being endorsed");
    if (now - a->begun >= FL_LIMIT_NONCE_MS)
        error = fl_fail(ctx, FL_EEXPIRED, "the proof took more than %d s: begin again",
                        FL_LIMIT_NONCE_MS / 1000);
    else if (!fl_slice_equal_secret(fl_slice(a->secret, sizeof a->secret), secret))
        error = fl_fail(ctx, FL_EAUTH,
                        "the secret is wrong: the attestation key does not live in the TPM with "
                        "that endorsement key");
    else
        *done = *a;
    forget(all, a);
    return error;
}
