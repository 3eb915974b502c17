/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP exchanges that wait for the hub's answer: bounded, and never for ever. Every exchange that
 * is put in is answered exactly once: by whoever takes it out, when its time is over (504), or when
 * the hub goes away (503).
 */
#ifndef FL_FRONT_PENDING_H
#define FL_FRONT_PENDING_H

#include "base/map.h"
#include "io/http_server.h"

struct fl_pending {
    struct fl_loop *loop;
    struct fl_timer timer;
    struct fl_map by_request;
    struct fl_list oldest_first;
    uint64_t next_request;
};

void fl_pending_init(struct fl_pending *pending, struct fl_loop *loop);
/* Answers all with 503. */
void fl_pending_free(struct fl_pending *pending);

/* FL_EBUSY: FL_LIMIT_PENDING_API wait; the exchange is still the caller's. */
FL_MUST_USE enum fl_error fl_pending_add(struct fl_pending *pending,
                                         struct fl_http_exchange *exchange, uint64_t *request);
/* NULL: unknown or too late. */
struct fl_http_exchange *fl_pending_take(struct fl_pending *pending, uint64_t request);
/* The hub has gone: what it was asked is not answered. */
void fl_pending_fail_all(struct fl_pending *pending);

/* 503 with Retry-After. */
void fl_pending_unavailable(struct fl_http_exchange *exchange);

#endif
