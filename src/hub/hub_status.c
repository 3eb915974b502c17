/* SPDX-License-Identifier: Apache-2.0
 * Whether certificates are good, for others: the revocation list, which the signer makes and the
 * front serves. OCSP is in hub_ocsp.c. */
#include "hub/hub.h"

#include "base/log.h"
#include "service/status.h"

#define TAG "status"
#define CRL_S (24 * 3600)
#define CRL_RENEW_MS ((fl_time_t)8 * 3600 * 1000)
#define CRL_ANSWER_MS 20000
/* Between lists: in a storm of revocations several share one. Long lists take their time. */
#define GAP_MIN_MS 200
#define GAP_MAX_MS 800
#define RETRY_MS 1000

void fl_hub_status_init(struct fl_hub_status *s)
{
    *s = (struct fl_hub_status){.dirty = true};
    s->entries = FL_BUFFER((size_t)FL_LIMIT_CRL_ENTRIES * FL_LIMIT_CRL_ENTRY);
    s->list = FL_BUFFER(FL_LIMIT_CRL);
    s->coming = FL_BUFFER(FL_LIMIT_CRL);
}

void fl_hub_status_free(struct fl_hub_status *s)
{
    fl_buffer_free(&s->entries);
    fl_buffer_free(&s->list);
    fl_buffer_free(&s->coming);
    fl_responder_free(&s->responder);
}

/* --- what the front is told --- */

static void tell_drop(struct fl_hub *hub, struct fl_slice serials)
{
    struct fl_msg msg = {.type = fl_msg_type_ocsp_drop};

    msg.as.ocsp_drop.serials = serials;
    if (hub->front_up)
        (void)hub->host.to_front(hub->host.self, &msg);
}

void fl_hub_tell_list(struct fl_hub *hub)
{
    const struct fl_hub_status *s = &hub->status;
    struct fl_slice rest = fl_buffer_slice(&s->list);
    struct fl_msg end = {.type = fl_msg_type_crl};
    bool good = hub->front_up && rest.size > 0;

    while (good && rest.size) {
        struct fl_msg part = {.type = fl_msg_type_crl_part};

        part.as.crl_part.der = fl_msg_cut_part(&rest);
        good = hub->host.to_front(hub->host.self, &part);
    }
    end.as.crl.number = s->number;
    end.as.crl.this_update = s->this_update;
    end.as.crl.next_update = s->next_update;
    if (good)
        (void)hub->host.to_front(hub->host.self, &end);
}

/* --- what changed --- */

static int compare(const struct fl_crl_entry *a, const struct fl_crl_entry *b)
{
    if (a->serial_size != b->serial_size)
        return a->serial_size < b->serial_size ? -1 : 1;
    return memcmp(a->serial, b->serial, a->serial_size);
}

static void note_changed(struct fl_buffer *changed, const struct fl_crl_entry *e)
{
    (void)fl_buffer_append_byte(changed, e->serial_size);
    (void)fl_buffer_append(changed, e->serial, e->serial_size);
}

/* Serials that are in one of the two and not, or not the same, in the other. Both are in the order
 * of their serials when those are of one length, as ours are; if not, more is named than needed. */
static void find_changed(struct fl_slice old, struct fl_slice fresh, struct fl_buffer *changed)
{
    struct fl_crl_entry a;
    struct fl_crl_entry b;
    bool has_a = fl_crl_next_entry(&old, &a) == FL_OK;
    bool has_b = fl_crl_next_entry(&fresh, &b) == FL_OK;

    while (has_a || has_b) {
        int order = !has_a ? 1 : !has_b ? -1 : compare(&a, &b);

        if (order < 0 || (order == 0 && (a.reason != b.reason || a.at != b.at)))
            note_changed(changed, &a);
        else if (order > 0)
            note_changed(changed, &b);
        if (order <= 0)
            has_a = fl_crl_next_entry(&old, &a) == FL_OK;
        if (order >= 0)
            has_b = fl_crl_next_entry(&fresh, &b) == FL_OK;
    }
}

/* Reads the index again. True: it says something new, and what was said of that is taken back. */
static bool refresh(struct fl_hub *hub)
{
    struct fl_hub_status *s = &hub->status;
    struct fl_buffer fresh = FL_BUFFER(s->entries.max);
    struct fl_buffer changed = FL_BUFFER(FL_MSG_PART);
    struct fl_context ctx = {0};
    bool is_new = false;

    if (fl_status_entries(&hub->store, &fresh, &ctx) != FL_OK) {
        fl_log(FL_LOG_ERROR, TAG, "the revocation list cannot be made: %s", ctx.text);
        s->not_before = fl_clock_monotonic(hub->clock) + RETRY_MS;
        fl_buffer_free(&fresh);
        return false;
    }
    s->dirty = false;
    find_changed(fl_buffer_slice(&s->entries), fl_buffer_slice(&fresh), &changed);
    is_new = changed.size > 0 || changed.failed;
    if (is_new) /* too many to name: all */
        tell_drop(hub, changed.failed ? fl_slice(NULL, 0) : fl_buffer_slice(&changed));
    fl_buffer_free(&changed);
    fl_buffer_free(&s->entries);
    s->entries = fresh;
    return is_new;
}

void fl_hub_status_changed(struct fl_hub *hub, const char *serial)
{
    uint8_t octets[1 + FL_SERIAL_MAX];
    size_t size = 0;

    hub->status.dirty = true;
    if (fl_unhex(octets + 1, FL_SERIAL_MAX, fl_slice_str(serial), &size) != FL_OK)
        return;
    octets[0] = (uint8_t)size;
    tell_drop(hub, fl_slice(octets, 1 + size));
}

void fl_hub_outcome_status(struct fl_hub *hub, const struct fl_outcome *outcome)
{
    for (size_t i = 0; i < outcome->action.serial_count; i++)
        fl_hub_status_changed(hub, outcome->action.serials[i]);
}

/* --- the list, at the signer --- */

static enum fl_error next_number(struct fl_hub *hub, uint64_t *number, struct fl_context *ctx)
{
    enum fl_error error = fl_store_begin(&hub->store, ctx);

    if (error != FL_OK)
        return error;
    error = fl_status_next_number(&hub->store, fl_hub_now(hub), number, ctx);
    return fl_store_end(&hub->store, error, ctx);
}

static bool send_request(struct fl_hub *hub, uint64_t number)
{
    struct fl_slice rest = fl_buffer_slice(&hub->status.entries);
    struct fl_msg sign = {.type = fl_msg_type_crl_sign};
    bool good = true;

    while (good && rest.size) {
        struct fl_msg part = {.type = fl_msg_type_crl_entries};

        part.as.crl_entries.entries = fl_msg_cut_part(&rest);
        good = hub->host.to_signer(hub->host.self, &part);
    }
    sign.as.crl_sign.request = ++hub->last_sign;
    sign.as.crl_sign.number = number;
    sign.as.crl_sign.validity_s = CRL_S;
    return good && hub->host.to_signer(hub->host.self, &sign);
}

static void ask_for_list(struct fl_hub *hub)
{
    struct fl_hub_status *s = &hub->status;
    fl_time_t now = fl_clock_monotonic(hub->clock);
    struct fl_context ctx = {0};
    /* Kept before it is used: no number is there twice, whatever ends in between. */
    enum fl_error error = next_number(hub, &s->number_asked, &ctx);

    s->not_before = now + RETRY_MS;
    if (error != FL_OK) {
        fl_log(FL_LOG_ERROR, TAG, "the revocation list cannot be numbered: %s", ctx.text);
        return;
    }
    if (s->number_asked == 1)
        (void)refresh(hub); /* what an older version revoked is in the index now */
    fl_buffer_clear(&s->coming);
    s->request = hub->last_sign + 1;
    s->give_up = now + CRL_ANSWER_MS;
    if (!send_request(hub, s->number_asked))
        s->request = 0;
}

/* It has said what was over when it began; what is over need not be said again. */
static void forget_expired(struct fl_hub *hub)
{
    struct fl_context ctx = {0};
    size_t count = FL_LIMIT_STATUS_FORGET;
    enum fl_error error = FL_OK;

    while (error == FL_OK && count == FL_LIMIT_STATUS_FORGET) {
        error = fl_store_begin(&hub->store, &ctx);
        if (error == FL_OK) {
            error = fl_status_forget(&hub->store, hub->status.this_update, &count, &ctx);
            error = fl_store_end(&hub->store, error, &ctx);
        }
    }
    if (error != FL_OK)
        fl_log(FL_LOG_ERROR, TAG, "expired entries cannot be forgotten: %s", ctx.text);
}

void fl_hub_list_part(struct fl_hub *hub, struct fl_slice der)
{
    if (hub->status.request)
        (void)fl_buffer_append_slice(&hub->status.coming, der);
}

void fl_hub_list(struct fl_hub *hub, const struct fl_msg_crl *crl)
{
    struct fl_hub_status *s = &hub->status;
    fl_time_t gap = GAP_MIN_MS + (fl_time_t)(s->entries.size / 1024);
    struct fl_buffer old = s->list;

    if (s->request == 0 || crl->request != s->request) {
        fl_buffer_clear(&s->coming); /* it came too late */
        return;
    }
    s->request = 0;
    if (crl->error != FL_OK || s->coming.failed || s->coming.size == 0 ||
        crl->number != s->number_asked) {
        fl_log(FL_LOG_ERROR, TAG, "the signer made no revocation list: %.*s",
               FL_SLICE_ARGS(crl->detail));
        s->wanted = true;
        return;
    }
    s->not_before = fl_clock_monotonic(hub->clock) + (gap < GAP_MAX_MS ? gap : GAP_MAX_MS);
    s->list = s->coming;
    s->coming = old;
    fl_buffer_clear(&s->coming);
    s->number = crl->number;
    s->this_update = crl->this_update;
    s->next_update = crl->next_update;
    fl_hub_tell_list(hub);
    forget_expired(hub);
}

static bool is_old(const struct fl_hub *hub)
{
    const struct fl_hub_status *s = &hub->status;
    fl_time_t now = fl_hub_now(hub);

    /* Nor may the clock have been set back to before it. */
    return s->list.size == 0 || now >= s->this_update + CRL_RENEW_MS ||
           now < s->this_update - CRL_RENEW_MS;
}

void fl_hub_tick_status(struct fl_hub *hub, bool signer_gone)
{
    struct fl_hub_status *s = &hub->status;
    fl_time_t now = fl_clock_monotonic(hub->clock);

    if (s->request && (signer_gone || now >= s->give_up)) {
        fl_log(FL_LOG_WARN, TAG, "the signer gave no revocation list");
        s->request = 0;
        s->wanted = true;
    }
    if (signer_gone || !hub->signer_up || !fl_hub_has_signer(hub))
        return;
    fl_hub_tick_responder(hub);
    if (s->request || now < s->not_before)
        return;
    if (is_old(hub)) {
        s->wanted = true;
        s->dirty = true;
    }
    if (s->dirty && refresh(hub))
        s->wanted = true;
    if (!s->wanted || s->dirty)
        return;
    s->wanted = false;
    ask_for_list(hub);
    if (!s->request)
        s->wanted = true;
}

bool fl_hub_status_waits(const struct fl_hub *hub)
{
    const struct fl_hub_status *s = &hub->status;

    return hub->signer_up && (s->dirty || s->wanted || s->request);
}
