/* SPDX-License-Identifier: Apache-2.0
 * The signer's issuance log: showing it, and the part of the audit check that is about it. */
#include "hub/api.h"

#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an intrusive list and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define STEP 2000 /* credentials looked at at once */

/* --- showing --- */

struct show {
    struct fl_hub_log_read read;
    struct fl_api_call call; /* its hub, caller and route */
    struct fl_api_list list;
    char device[FL_NAME_MAX + 1]; /* "": of all */
    fl_time_t since;
};

static void drop_show(struct fl_hub_log_read *read)
{
    struct show *show = fl_container_of(read, struct show, read);

    fl_buffer_free(&show->list.text);
    free(show);
}

static void answer_show(struct show *show, enum fl_error error, const char *words)
{
    struct fl_context ctx = {0};

    if (error != FL_OK)
        (void)fl_fail(&ctx, error, "%s", words);
    fl_api_list_answer(&show->call, &show->list, error, &ctx);
    drop_show(&show->read);
}

static void show_failed(struct fl_hub *hub, struct fl_hub_log_read *read, enum fl_error error,
                        const char *words)
{
    (void)hub;
    answer_show(fl_container_of(read, struct show, read), error, words);
}

static bool is_wanted(const struct show *show, const struct fl_issued *record)
{
    return record->at >= show->since &&
           (!show->device[0] ||
            (record->kind != FL_ISSUED_SERVER && record->kind != FL_ISSUED_OCSP &&
             fl_slice_is(record->subject, show->device)));
}

static void show_page(struct fl_hub *hub, struct fl_hub_log_read *read, struct fl_slice records)
{
    struct show *show = fl_container_of(read, struct show, read);
    struct fl_issued record = {0};
    struct fl_context ctx = {0};
    bool more = records.size > 0;
    enum fl_error error = FL_OK;

    while (more && records.size) {
        if (fl_issued_decode(&records, &record) != FL_OK) {
            answer_show(show, FL_EIO, "the signer's answer cannot be read");
            return;
        }
        if (is_wanted(show, &record))
            more = fl_api_list_add(&show->list, fl_issued_json(&record));
    }
    if (more)
        error = fl_hub_log_ask(hub, read, &ctx);
    if (!more || error != FL_OK)
        answer_show(show, error, ctx.text);
}

void fl_api_list_issued(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct show *show = NULL;
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    if (hub->log_read_count >= FL_LIMIT_VERIFIES) {
        fl_api_problem(hub, call->caller, FL_EBUSY, "too many readers of the issuance log at once");
        return;
    }
    show = calloc(1, sizeof *show);
    if (!show) {
        fl_api_problem(hub, call->caller, FL_ENOMEM, NULL);
        return;
    }
    show->call = (struct fl_api_call){.hub = hub, .caller = call->caller, .route = call->route};
    show->read = (struct fl_hub_log_read){.after = (uint64_t)fl_api_int(call->query, "after", 0),
                                          .page = show_page,
                                          .failed = show_failed,
                                          .forget = drop_show,
                                          .from_front = !call->caller.exchange};
    (void)fl_str_copy(show->device, sizeof show->device, fl_api_str(call->query, "device", ""));
    if (fl_time_parse(fl_slice_str(fl_api_str(call->query, "since", "")), &show->since) != FL_OK)
        show->since = 0;
    show->read.since = show->since;
    fl_api_list_init(&show->list, (size_t)fl_api_int(call->query, "limit", FL_LIMIT_PAGE));
    error = fl_hub_log_ask(hub, &show->read, &ctx);
    if (error != FL_OK)
        answer_show(show, error, ctx.text);
}

/* --- checking --- */

static void verify_failed(struct fl_hub *hub, struct fl_hub_log_read *read, enum fl_error error,
                          const char *words)
{
    struct fl_hub_verify *verify = fl_container_of(read, struct fl_hub_verify, read);
    struct fl_context ctx = {0};

    /* Damage is what was looked for; without the signer nothing can be said. */
    if (error == FL_EBUSY) {
        (void)fl_fail(&ctx, error, "%s", words);
        fl_api_verify_conclude(hub, verify, error, &ctx);
        return;
    }
    fl_issued_check_break(&verify->issued, words);
    fl_api_verify_conclude(hub, verify, FL_OK, &ctx);
}

static void verify_page(struct fl_hub *hub, struct fl_hub_log_read *read, struct fl_slice records)
{
    struct fl_hub_verify *verify = fl_container_of(read, struct fl_hub_verify, read);
    struct fl_context ctx = {0};
    enum fl_error error = fl_issued_check_page(&verify->issued, &hub->store, records, &ctx);

    if (error == FL_OK && records.size && !verify->issued.broken) {
        error = fl_hub_log_ask(hub, read, &ctx);
    } else if (error == FL_OK) {
        fl_issued_check_end(&verify->issued);
        (void)fl_api_verify_issued_step(hub, verify);
    }
    if (error != FL_OK)
        fl_api_verify_conclude(hub, verify, error, &ctx);
}

bool fl_api_verify_issued_step(struct fl_hub *hub, struct fl_hub_verify *verify)
{
    struct fl_context ctx = {0};
    enum fl_error error = fl_issued_check_credentials(&verify->issued, &hub->store, STEP, &ctx);

    if (error == FL_OK && !verify->issued.done)
        return true;
    fl_api_verify_conclude(hub, verify, error, &ctx);
    return false;
}

void fl_api_verify_issued(struct fl_hub *hub, struct fl_hub_verify *verify)
{
    struct fl_context ctx = {0};
    enum fl_error error =
        fl_hub_has_signer(hub) ? FL_OK : fl_fail(&ctx, FL_EBUSY, "the signer is away");

    verify->read = (struct fl_hub_log_read){.page = verify_page, .failed = verify_failed};
    verify->in_log = true;
    if (error == FL_OK)
        error = fl_issued_check_begin(&verify->issued, &hub->store, fl_buffer_slice(&hub->issuing),
                                      &ctx);
    if (error == FL_OK)
        error = fl_hub_log_ask(hub, &verify->read, &ctx);
    if (error != FL_OK)
        fl_api_verify_conclude(hub, verify, error, &ctx);
}
