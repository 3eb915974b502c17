/* SPDX-License-Identifier: Apache-2.0
 * The audit log: reading it, checking it. */
#include "hub/api.h"

#include "service/audit.h"

#include <stdlib.h>

#define STEP 2000 /* records checked at once; everything else goes on in between */

static bool list_record(void *to, struct fl_slice key, struct fl_slice document)
{
    json_t *record = fl_document_parse(document);

    (void)key;
    return !record || fl_api_list_add(to, record);
}

void fl_api_list_audit(struct fl_api_call *call)
{
    const struct fl_store *store = &call->hub->store;
    size_t limit = (size_t)fl_api_int(call->query, "limit", FL_LIMIT_PAGE);
    struct fl_key8 from = fl_key8((uint64_t)fl_api_int(call->query, "after", 0) + 1);
    struct fl_api_list list;
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    fl_api_list_init(&list, limit);
    error = store->ops->scan(store->self, FL_TABLE_AUDIT, fl_key8_slice(&from), fl_slice(NULL, 0),
                             false, (uint32_t)limit, list_record, &list, &ctx);
    fl_api_list_answer(call, &list, error, &ctx);
}

void fl_api_verify_free(struct fl_hub_verify *verify)
{
    fl_issued_check_free(&verify->issued);
    free(verify->check);
    free(verify);
}

void fl_api_verify_audit(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct fl_hub_verify *verify = NULL;

    if (hub->verify_count >= FL_LIMIT_VERIFIES) {
        fl_api_problem(hub, call->caller, FL_EBUSY, "too many checks of the log at once");
        return;
    }
    verify = calloc(1, sizeof *verify);
    if (verify)
        verify->check = calloc(1, sizeof *verify->check);
    if (!verify || !verify->check) {
        free(verify);
        fl_api_problem(hub, call->caller, FL_ENOMEM, NULL);
        return;
    }
    verify->caller = call->caller;
    fl_list_push(&hub->verifies, &verify->node);
    hub->verify_count++;
    (void)fl_api_tick_verifies(hub);
}

void fl_api_verify_conclude(struct fl_hub *hub, struct fl_hub_verify *verify, enum fl_error error,
                            const struct fl_context *ctx)
{
    const struct fl_audit_check *check = verify->check;
    json_t *body = NULL;

    fl_list_remove(&verify->node);
    hub->verify_count--;
    if (error != FL_OK) {
        fl_api_problem(hub, verify->caller, error, ctx->text);
    } else {
        bool valid = !check->broken && verify->in_log && fl_issued_check_good(&verify->issued);

        body = json_pack("{s:b, s:I, s:s, s:o}", "valid", (int)valid, "records",
                         (json_int_t)check->records, "head", check->head, "issuance",
                         verify->in_log ? fl_issued_check_json(&verify->issued) : json_null());
        if (check->broken) {
            (void)json_object_set_new(body, "broken_at",
                                      json_integer((json_int_t)check->broken_at));
            (void)json_object_set_new(body, "detail", json_string(check->detail));
        }
        fl_api_answer(hub, verify->caller, 200, body);
    }
    fl_api_verify_free(verify);
}

void fl_api_forget_verifies(struct fl_hub *hub)
{
    FL_LIST_EACH(node, &hub->verifies)
    {
        struct fl_hub_verify *verify = fl_container_of(node, struct fl_hub_verify, node);

        if (verify->caller.exchange)
            continue;
        fl_hub_log_drop(hub, &verify->read);
        fl_list_remove(&verify->node);
        hub->verify_count--;
        fl_api_verify_free(verify);
    }
}

bool fl_api_tick_verifies(struct fl_hub *hub)
{
    bool more = false;

    FL_LIST_EACH(node, &hub->verifies)
    {
        struct fl_hub_verify *verify = fl_container_of(node, struct fl_hub_verify, node);
        struct fl_context ctx = {0};
        enum fl_error error = FL_OK;

        if (verify->in_log) {
            if (verify->issued.ended)
                more = fl_api_verify_issued_step(hub, verify) || more;
            continue;
        }
        error = fl_audit_check_step(&hub->store, STEP, verify->check, &ctx);
        if (error != FL_OK || verify->check->broken)
            fl_api_verify_conclude(hub, verify, error, &ctx);
        else if (verify->check->done)
            fl_api_verify_issued(hub, verify);
        else
            more = true;
    }
    return more;
}
