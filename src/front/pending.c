/* SPDX-License-Identifier: Apache-2.0 */
#include "front/pending.h"

#include "base/limits.h"

#include <stdlib.h>

struct entry {
    struct fl_map_node node;
    struct fl_list by_age;
    uint64_t request;
    fl_time_t due; /* monotonic */
    struct fl_http_exchange *exchange;
};

static struct fl_http_exchange *remove_entry(struct fl_pending *p, struct entry *e)
{
    struct fl_http_exchange *exchange = e->exchange;

    fl_map_remove(&p->by_request, &e->node);
    fl_list_remove(&e->by_age);
    free(e);
    return exchange;
}

static void set_timer(struct fl_pending *p)
{
    const struct entry *first = NULL;

    if (fl_list_empty(&p->oldest_first)) {
        fl_loop_stop_timer(p->loop, &p->timer);
        return;
    }
    first = fl_container_of(p->oldest_first.next, struct entry, by_age);
    fl_loop_set_timer(p->loop, &p->timer, first->due - fl_loop_now(p->loop));
}

static void on_timer(struct fl_timer *timer)
{
    struct fl_pending *p = fl_container_of(timer, struct fl_pending, timer);

    while (!fl_list_empty(&p->oldest_first)) {
        struct entry *e = fl_container_of(p->oldest_first.next, struct entry, by_age);

        if (e->due > fl_loop_now(p->loop))
            break;
        fl_http_problem(remove_entry(p, e), 504, NULL, "the hub did not answer in time", NULL);
    }
    set_timer(p);
}

void fl_pending_init(struct fl_pending *pending, struct fl_loop *loop)
{
    *pending = (struct fl_pending){.loop = loop, .next_request = 1};
    pending->timer.fired = on_timer;
    fl_list_init(&pending->oldest_first);
}

void fl_pending_free(struct fl_pending *pending)
{
    if (!pending->loop)
        return;
    fl_pending_fail_all(pending);
    fl_map_free(&pending->by_request);
}

enum fl_error fl_pending_add(struct fl_pending *pending, struct fl_http_exchange *exchange,
                             uint64_t *request)
{
    struct entry *e = NULL;

    if (pending->by_request.count >= FL_LIMIT_PENDING_API)
        return FL_EBUSY;
    e = calloc(1, sizeof *e);
    if (!e)
        return FL_ENOMEM;
    e->request = pending->next_request++;
    e->exchange = exchange;
    e->due = fl_loop_now(pending->loop) + FL_LIMIT_HUB_ANSWER_MS;
    if (fl_map_add(&pending->by_request, &e->node, fl_slice(&e->request, sizeof e->request)) !=
        FL_OK) {
        free(e);
        return FL_ENOMEM;
    }
    fl_list_push(&pending->oldest_first, &e->by_age);
    set_timer(pending);
    *request = e->request;
    return FL_OK;
}

struct fl_http_exchange *fl_pending_take(struct fl_pending *pending, uint64_t request)
{
    struct fl_map_node *node =
        fl_map_find(&pending->by_request, fl_slice(&request, sizeof request));
    struct fl_http_exchange *exchange = NULL;

    if (node)
        exchange = remove_entry(pending, fl_container_of(node, struct entry, node));
    set_timer(pending);
    return exchange;
}

void fl_pending_fail_all(struct fl_pending *pending)
{
    while (!fl_list_empty(&pending->oldest_first))
        fl_pending_unavailable(remove_entry(
            pending, fl_container_of(pending->oldest_first.next, struct entry, by_age)));
    set_timer(pending);
}

void fl_pending_unavailable(struct fl_http_exchange *exchange)
{
    fl_http_problem(exchange, 503, NULL, "the hub is busy or away; try again soon",
                    "Retry-After: 2\r\n");
}
