/* SPDX-License-Identifier: Apache-2.0
 * Administrators: listing, inviting, claiming, removing. */
#include "hub/api.h"

#include "hub/api_token.h"
#include "service/principal.h"

static bool list_principal(void *to, const struct fl_principal *p)
{
    return fl_api_list_add(to, json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", p->name, "role",
                                         fl_principal_role(p), "created", fl_api_time(p->created),
                                         "expires", fl_api_time(p->expires), "last_used",
                                         p->last_used ? fl_api_time(p->last_used) : json_null()));
}

void fl_api_list_principals(struct fl_api_call *call)
{
    struct fl_api_list list;
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    fl_api_list_init(&list, FL_LIMIT_PRINCIPALS);
    error = fl_principal_each(&call->hub->store, list_principal, &list, &ctx);
    fl_api_list_answer(call, &list, error, &ctx);
}

void fl_api_invite_principal(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct fl_change change = {.who = call->who, .reason = "", .now = call->now};
    const char *name = fl_api_str(call->body, "name", "");
    struct fl_api_token token = {.kind = FL_TOKEN_PRINCIPAL};
    struct fl_context ctx = {0};
    enum fl_error error = fl_api_token_new(hub, &token, &ctx);

    if (error == FL_OK)
        error = fl_store_begin(&hub->store, &ctx);
    if (error == FL_OK) {
        error = fl_principal_invite(&hub->store, name,
                                    strcmp(fl_api_str(call->body, "role", "admin"), "metrics") == 0,
                                    (uint32_t)fl_api_int(call->body, "ttl_s", 0), token.secret,
                                    &change, &token.expires, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error == FL_OK)
        error = fl_api_token_write(hub, name, &token, &ctx);
    if (error != FL_OK) {
        fl_api_fail(call, error, &ctx);
        return;
    }
    fl_api_answer(hub, call->caller, 201,
                  json_pack("{s:s, s:s, s:o}", "name", name, "token", token.text, "expires",
                            fl_api_time(token.expires)));
}

void fl_api_claim_principal(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    uint8_t secret[FL_PRINCIPAL_SECRET_SIZE];
    struct fl_principal principal = {0};
    char credential[FL_PRINCIPAL_TEXT];
    struct fl_context ctx = {0};
    enum fl_error error = fl_store_begin(&hub->store, &ctx);

    hub->random->fill(hub->random->self, secret, sizeof secret);
    if (error == FL_OK) {
        error = fl_principal_claim(&hub->store, fl_slice_str(fl_api_str(call->body, "token", "")),
                                   fl_api_str(call->body, "name", ""), secret, call->now,
                                   &principal, credential, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    /* The token is what is refused here, not a credential: 403, so that nobody is asked for one. */
    if (error == FL_EAUTH || error == FL_EEXPIRED || error == FL_EDENIED || error == FL_ESTATE)
        fl_api_problem_status(hub, call->caller, 403, ctx.text);
    else if (error != FL_OK)
        fl_api_fail(call, error, &ctx);
    else
        hub->claims++;
    if (error == FL_OK)
        fl_api_answer(hub, call->caller, 201,
                      json_pack("{s:s, s:s, s:o}", "name", principal.name, "credential", credential,
                                "expires", fl_api_time(principal.expires)));
}

void fl_api_remove_principal(struct fl_api_call *call)
{
    struct fl_hub *hub = call->hub;
    struct fl_change change = {.who = call->who, .reason = "", .now = call->now};
    struct fl_context ctx = {0};
    enum fl_error error = fl_store_begin(&hub->store, &ctx);

    if (error == FL_OK) {
        error = fl_principal_remove(&hub->store, call->segment, &change, &ctx);
        error = fl_store_end(&hub->store, error, &ctx);
    }
    if (error == FL_OK)
        fl_api_answer(hub, call->caller, 204, NULL);
    else
        fl_api_fail(call, error, &ctx);
}
