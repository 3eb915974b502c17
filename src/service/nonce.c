/* SPDX-License-Identifier: Apache-2.0 */
#include "service/nonce.h"

#include "base/str.h"

#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an intrusive list and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct entry {
    struct fl_map_node node;
    struct fl_list order;
    uint8_t nonce[FL_NONCE_SIZE];
    bool is_good;
    fl_time_t given;
    fl_time_t touched; /* when it last asked for anything */
    fl_time_t window;  /* its asking is counted since then */
    unsigned asked;
    char device[FL_NAME_MAX + 1];
};

void fl_nonces_init(struct fl_nonces *nonces)
{
    *nonces = (struct fl_nonces){0};
    fl_list_init(&nonces->oldest);
}

static void forget(struct fl_nonces *nonces, struct entry *e)
{
    fl_map_remove(&nonces->by_device, &e->node);
    fl_list_remove(&e->order);
    free(e);
}

void fl_nonces_free(struct fl_nonces *nonces)
{
    struct fl_map_node *node = NULL;

    while ((node = fl_map_first(&nonces->by_device)))
        forget(nonces, fl_container_of(node, struct entry, node));
    fl_map_free(&nonces->by_device);
}

static struct entry *find(const struct fl_nonces *nonces, struct fl_slice device)
{
    struct fl_map_node *node = fl_map_find(&nonces->by_device, device);

    return node ? fl_container_of(node, struct entry, node) : NULL;
}

/* What was given that long ago is good no more, and the asking is not held against anyone. */
static void forget_old(struct fl_nonces *nonces, fl_time_t now)
{
    while (!fl_list_empty(&nonces->oldest)) {
        struct entry *e = fl_container_of(nonces->oldest.next, struct entry, order);

        if (now - e->touched < FL_LIMIT_NONCE_MS)
            return;
        forget(nonces, e);
    }
}

static struct entry *new_entry(struct fl_nonces *nonces, struct fl_slice device, fl_time_t now)
{
    struct entry *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    (void)fl_str_copy_slice(e->device, sizeof e->device, device);
    if (fl_map_add(&nonces->by_device, &e->node, fl_slice_str(e->device)) != FL_OK) {
        free(e);
        return NULL;
    }
    fl_list_init(&e->order);
    e->window = now;
    return e;
}

/* The device's entry, in which this asking is counted. */
static enum fl_error charge(struct fl_nonces *nonces, struct fl_slice device, fl_time_t now,
                            struct entry **entry, fl_time_t *wait_ms, struct fl_context *ctx)
{
    struct entry *e = NULL;

    *wait_ms = 0;
    if (!fl_name_valid(device))
        return fl_fail(ctx, FL_EINVAL, "that is not a device id");
    forget_old(nonces, now);
    e = find(nonces, device);
    if (!e && nonces->by_device.count >= FL_LIMIT_NONCES) {
        *wait_ms = FL_LIMIT_NONCE_MS;
        return fl_fail(ctx, FL_EBUSY, "%d devices wait to give evidence already; try again later",
                       FL_LIMIT_NONCES);
    }
    if (!e)
        e = new_entry(nonces, device, now);
    if (!e)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    if (now - e->window >= FL_LIMIT_NONCE_MS) {
        e->window = now;
        e->asked = 0;
    }
    if (e->asked >= FL_LIMIT_NONCES_DEVICE) {
        *wait_ms = e->window + FL_LIMIT_NONCE_MS - now;
        return fl_fail(ctx, FL_EBUSY, "more than %d nonces and keys in a minute",
                       FL_LIMIT_NONCES_DEVICE);
    }
    e->asked++;
    e->touched = now;
    fl_list_remove(&e->order);
    fl_list_push(&nonces->oldest, &e->order);
    *entry = e;
    return FL_OK;
}

enum fl_error fl_nonce_charge(struct fl_nonces *nonces, struct fl_slice device, fl_time_t now,
                              fl_time_t *wait_ms, struct fl_context *ctx)
{
    struct entry *e = NULL;

    return charge(nonces, device, now, &e, wait_ms, ctx);
}

enum fl_error fl_nonce_give(struct fl_nonces *nonces, struct fl_slice device,
                            const struct fl_random *random, fl_time_t now,
                            uint8_t nonce[FL_NONCE_SIZE], fl_time_t *wait_ms,
                            struct fl_context *ctx)
{
    struct entry *e = NULL;
    enum fl_error error = charge(nonces, device, now, &e, wait_ms, ctx);

    if (error || !e)
        return error;
    e->given = now;
    e->is_good = true;
    random->fill(random->self, e->nonce, sizeof e->nonce);
    memcpy(nonce, e->nonce, FL_NONCE_SIZE);
    return FL_OK;
}

enum fl_error fl_nonce_take(struct fl_nonces *nonces, struct fl_slice device, struct fl_slice nonce,
                            fl_time_t now, struct fl_context *ctx)
{
    struct entry *e = find(nonces, device);

    if (!e || !e->is_good || !fl_slice_equal_secret(fl_slice(e->nonce, sizeof e->nonce), nonce))
        return fl_fail(ctx, FL_EAUTH,
                       "its nonce is not the one that this device was given last, or it was used "
                       "already: evidence cannot be sent twice");
    e->is_good = false;
    if (now - e->given >= FL_LIMIT_NONCE_MS)
        return fl_fail(ctx, FL_EEXPIRED, "its nonce is older than %d s: ask for another",
                       FL_LIMIT_NONCE_MS / 1000);
    return FL_OK;
}
