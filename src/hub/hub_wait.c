/* SPDX-License-Identifier: Apache-2.0
 * Changes that are committed and must now be made true by the front. */
#include "hub/hub.h"

#include "base/log.h"
#include "hub/api.h"

#include <stdio.h>
#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an intrusive list and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* The promise is a second; what the front does not confirm by then is said to be unconfirmed. */
#define APPLY_MS 900

static void add_effect(struct fl_outcome *outcome, const char *text)
{
    if (outcome->effect_count < FL_OUTCOME_EFFECTS)
        (void)fl_str_copy(outcome->effects[outcome->effect_count++], sizeof outcome->effects[0],
                          text);
}

static void drop(struct fl_hub *hub, struct fl_hub_wait *wait)
{
    fl_list_remove(&wait->node);
    hub->wait_count--;
    free(wait);
}

static void answer(struct fl_hub *hub, struct fl_hub_wait *wait, uint32_t sessions_closed)
{
    fl_time_t took_ms = fl_clock_monotonic(hub->clock) - wait->started;

    fl_api_answer_outcome(hub, wait->caller, &wait->outcome, sessions_closed, took_ms);
    drop(hub, wait);
}

static struct fl_hub_wait *new_wait(struct fl_hub *hub, fl_time_t started)
{
    struct fl_hub_wait *wait = calloc(1, sizeof *wait);

    if (!wait)
        return NULL;
    wait->seq = hub->last_seq;
    wait->started = started;
    wait->give_up = started + APPLY_MS;
    fl_list_push(&hub->waits, &wait->node);
    hub->wait_count++;
    return wait;
}

void fl_hub_answer_applied(struct fl_hub *hub, struct fl_api_caller caller, fl_time_t started,
                           const struct fl_outcome *outcome)
{
    bool sent = fl_hub_push_device(hub, &outcome->device, ++hub->last_seq);
    struct fl_hub_wait *wait = new_wait(hub, started);

    fl_hub_outcome_status(hub, outcome);
    if (!wait) {
        fl_api_problem(hub, caller, FL_ENOMEM,
                       "the change is made, but there is no memory to wait for the front");
        return;
    }
    wait->caller = caller;
    wait->outcome = *outcome;
    if (sent && hub->wait_count <= FL_LIMIT_PENDING_API)
        return;
    add_effect(&wait->outcome, sent ? "too many changes at once: the front's answer is not awaited"
                                    : "the front is away: it will know before it accepts anyone");
    answer(hub, wait, 0);
}

void fl_hub_applied(struct fl_hub *hub, const struct fl_msg_applied *applied)
{
    char text[120];

    FL_LIST_EACH(node, &hub->waits)
    {
        struct fl_hub_wait *wait = fl_container_of(node, struct fl_hub_wait, node);

        if (wait->seq != applied->seq)
            continue;
        (void)snprintf(text, sizeof text, "closed %u live session%s and dropped %u resumable one%s",
                       applied->sessions_closed, applied->sessions_closed == 1 ? "" : "s",
                       applied->resumptions_dropped, applied->resumptions_dropped == 1 ? "" : "s");
        if (applied->sessions_closed || applied->resumptions_dropped)
            add_effect(&wait->outcome, text);
        answer(hub, wait, applied->sessions_closed);
        return;
    }
}

void fl_hub_tick_waits(struct fl_hub *hub, bool front_gone)
{
    fl_time_t now = fl_clock_monotonic(hub->clock);

    FL_LIST_EACH(node, &hub->waits)
    {
        struct fl_hub_wait *wait = fl_container_of(node, struct fl_hub_wait, node);

        if (!front_gone && now < wait->give_up)
            continue;
        if (front_gone && !wait->caller.exchange) {
            drop(hub, wait); /* whoever asked has gone with it */
            continue;
        }
        add_effect(&wait->outcome, front_gone
                                       ? "the front went away, and every session with it"
                                       : "NOT CONFIRMED: the front did not answer within 900 ms");
        answer(hub, wait, 0);
    }
}
