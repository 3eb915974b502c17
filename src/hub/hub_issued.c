/* SPDX-License-Identifier: Apache-2.0
 * The signer's issuance log as the hub reads it: page by page, for whoever needs it; and keeping up
 * with it, so that no certificate stays unknown and no shortened log unnoticed. */
#include "hub/hub.h"

#include "base/log.h"
#include "trust/cert.h"
#include "trust/key.h"

#define TAG "issued"
#define PAGE_MS 10000
#define CATCH_UP_MS INT64_C(3600000)

/* --- asking --- */

void fl_hub_log_drop(struct fl_hub *hub, struct fl_hub_log_read *read)
{
    if (!read->asked)
        return;
    read->asked = false;
    fl_list_remove(&read->node);
    hub->log_read_count--;
}

enum fl_error fl_hub_log_ask(struct fl_hub *hub, struct fl_hub_log_read *read,
                             struct fl_context *ctx)
{
    struct fl_msg msg = {.type = fl_msg_type_issued_ask};

    msg.as.issued_ask.request = read->request = ++hub->last_sign;
    msg.as.issued_ask.after = read->after;
    msg.as.issued_ask.offset = read->offset;
    msg.as.issued_ask.since = read->since;
    read->give_up = fl_clock_monotonic(hub->clock) + PAGE_MS;
    if (!read->asked) {
        read->asked = true;
        fl_list_push(&hub->log_reads, &read->node);
        hub->log_read_count++;
    }
    /* The answer may come before this returns: then `read` is the answer's. */
    if (hub->signer_up && hub->host.to_signer(hub->host.self, &msg))
        return FL_OK;
    fl_hub_log_drop(hub, read);
    return fl_fail(ctx, FL_EBUSY, "the signer is away");
}

void fl_hub_log_page(struct fl_hub *hub, const struct fl_msg_issued_page *page)
{
    struct fl_context ctx = {0};

    FL_LIST_EACH(node, &hub->log_reads)
    {
        struct fl_hub_log_read *read = fl_container_of(node, struct fl_hub_log_read, node);

        if (read->request != page->request)
            continue;
        read->after = page->after;
        read->offset = page->offset;
        read->since = 0;
        fl_hub_log_drop(hub, read);
        if (page->error != FL_OK) {
            (void)fl_fail(&ctx, (enum fl_error)page->error, "%.*s", FL_SLICE_ARGS(page->detail));
            read->failed(hub, read, (enum fl_error)page->error, ctx.text);
        } else {
            read->page(hub, read, page->records);
        }
        return;
    }
}

void fl_hub_tick_log_reads(struct fl_hub *hub, bool signer_gone)
{
    fl_time_t now = fl_clock_monotonic(hub->clock);

    FL_LIST_EACH(node, &hub->log_reads)
    {
        struct fl_hub_log_read *read = fl_container_of(node, struct fl_hub_log_read, node);

        if (!signer_gone && now < read->give_up)
            continue;
        fl_hub_log_drop(hub, read);
        read->failed(hub, read, FL_EBUSY,
                     signer_gone ? "the signer has gone away" : "the signer does not answer");
    }
    if (!signer_gone && hub->signer_up && fl_hub_has_signer(hub) && now >= hub->catch_up_again)
        fl_hub_catch_up(hub);
}

void fl_hub_forget_log_reads(struct fl_hub *hub, bool all)
{
    FL_LIST_EACH(node, &hub->log_reads)
    {
        struct fl_hub_log_read *read = fl_container_of(node, struct fl_hub_log_read, node);

        if (!read->forget || (!all && !read->from_front))
            continue;
        fl_hub_log_drop(hub, read);
        read->forget(read);
    }
}

/* --- keeping up --- */

static void stop_catching_up(struct fl_hub *hub, const char *why)
{
    hub->catching_up = false;
    if (why)
        fl_log(FL_LOG_WARN, TAG, "the signer's issuance log: %s", why);
}

static void could_not_catch_up(struct fl_hub *hub, struct fl_hub_log_read *read,
                               enum fl_error error, const char *words)
{
    (void)read;
    /* Without the signer there is nothing to say that is not said already. */
    stop_catching_up(hub, error == FL_EBUSY ? NULL : words);
}

static enum fl_error adopt(struct fl_hub *hub, const struct fl_issued *record,
                           struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (record->kind != FL_ISSUED_DEVICE)
        return FL_OK;
    error = fl_issued_adopt(&hub->store, record, fl_hub_now(hub), ctx);
    if (error == FL_OK)
        fl_log_device(
            FL_LOG_ERROR, TAG, record->subject,
            "the signer issued a certificate (record %llu) that this hub did not know: it "
            "is revoked",
            (unsigned long long)record->seq);
    return error == FL_EEXISTS ? FL_OK : error;
}

static enum fl_error follow_page(struct fl_hub *hub, struct fl_slice records,
                                 struct fl_context *ctx)
{
    struct fl_issued_chain *chain = &hub->caught_up;
    struct fl_issued record = {0};
    enum fl_error error = FL_OK;

    while (error == FL_OK && records.size) {
        error = fl_issued_decode(&records, &record);
        if (error != FL_OK)
            error = fl_fail(ctx, FL_EPARSE, "a record cannot be read");
        /* This database is older than what was archived of the log since: it begins anew. */
        if (error == FL_OK && record.seq > chain->seq + 1)
            *chain = (struct fl_issued_chain){0};
        if (error == FL_OK)
            error = fl_issued_follow(chain, &record, NULL, ctx);
        if (error == FL_OK)
            error = adopt(hub, &record, ctx);
    }
    return error;
}

static void take_page(struct fl_hub *hub, struct fl_hub_log_read *read, struct fl_slice records)
{
    struct fl_issued_seen seen = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (records.size == 0) {
        stop_catching_up(hub, NULL);
        return;
    }
    error = fl_store_begin(&hub->store, &ctx);
    if (error == FL_OK) {
        error = follow_page(hub, records, &ctx);
        seen.seq = hub->caught_up.seq;
        memcpy(seen.head, hub->caught_up.head, sizeof seen.head);
        if (error == FL_OK)
            error = fl_issued_seen_put(&hub->store, &seen, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error == FL_OK)
        error = fl_hub_log_ask(hub, read, &ctx);
    if (error != FL_OK)
        stop_catching_up(hub, ctx.text);
}

void fl_hub_catch_up(struct fl_hub *hub)
{
    struct fl_issued_seen seen = {0};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    hub->catch_up_again = fl_clock_monotonic(hub->clock) + CATCH_UP_MS;
    if (hub->catching_up)
        return;
    error = fl_issued_seen_get(&hub->store, &seen, &ctx);
    hub->caught_up = (struct fl_issued_chain){.seq = seen.seq};
    memcpy(hub->caught_up.head, seen.head, sizeof seen.head);
    hub->catch_up = (struct fl_hub_log_read){
        .after = seen.seq, .page = take_page, .failed = could_not_catch_up};
    hub->catching_up = true;
    if (error == FL_OK)
        error = fl_hub_log_ask(hub, &hub->catch_up, &ctx);
    if (error != FL_OK)
        stop_catching_up(hub, ctx.text);
}

/* Whoever asked for it has gone: it must not stay unknown. */
void fl_hub_unclaimed(struct fl_hub *hub, struct fl_slice certificate)
{
    struct fl_cert_info info = {0};
    struct fl_issued record = {.kind = FL_ISSUED_DEVICE};
    uint8_t serial[FL_LIMIT_SERIAL_HEX / 2];
    char key[FL_KEY_ID_TEXT] = "";
    X509 *x509 = NULL;
    struct fl_context ctx = {0};
    size_t size = 0;
    enum fl_error error = fl_cert_read(certificate, &info, &ctx);

    if (error == FL_OK && info.kind != FL_CERT_DEVICE)
        return;
    if (error == FL_OK)
        error = fl_cert_x509(certificate, &x509, &ctx);
    if (error == FL_OK)
        error = fl_key_id(X509_get0_pubkey(x509), key);
    X509_free(x509);
    if (error == FL_OK)
        error = fl_unhex(serial, sizeof serial, fl_slice_str(info.serial), &size);
    record.serial = fl_slice(serial, size);
    if (error == FL_OK)
        error = fl_unhex(record.key, sizeof record.key, fl_slice_str(key), &size);
    record.subject = fl_slice_str(info.name);
    record.not_before = info.not_before;
    record.not_after = info.not_after;
    if (error == FL_OK)
        error = fl_store_begin(&hub->store, &ctx);
    if (error == FL_OK) {
        error = fl_issued_adopt(&hub->store, &record, fl_hub_now(hub), &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error != FL_OK && error != FL_EEXISTS)
        fl_log(FL_LOG_ERROR, TAG, "an unclaimed certificate cannot be recorded: %s", ctx.text);
}
