/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/policy.h"

static enum fl_error judge_device(struct fl_slice name, const char *csr_name,
                                  struct fl_context *ctx)
{
    char shown[FL_NAME_MAX + 1];
    char asked[FL_NAME_MAX + 1];

    fl_str_printable(shown, sizeof shown, name);
    if (!fl_name_valid(name))
        return fl_fail(ctx, FL_EDENIED, "'%s' is not a device id", shown);
    if (csr_name[0] && !fl_slice_is(name, csr_name))
        return fl_fail(ctx, FL_EDENIED, "the request is for '%s', not for '%s'",
                       fl_str_printable(asked, sizeof asked, fl_slice_str(csr_name)), shown);
    return FL_OK;
}

static enum fl_error judge_server(const struct fl_signer_policy *policy, struct fl_slice name,
                                  const char *csr_name, struct fl_context *ctx)
{
    char shown[FL_NAME_MAX + 1];
    bool ours = csr_name[0] == 0;

    fl_str_printable(shown, sizeof shown, name);
    if (policy->host_count == 0 || !fl_slice_is(name, policy->hosts[0]))
        return fl_fail(ctx, FL_EDENIED,
                       "'%s' is not the first host of hub.conf (restart the hub after changing "
                       "it)",
                       shown);
    for (size_t i = 0; i < policy->host_count; i++)
        ours = ours || fl_slice_is(fl_slice_str(csr_name), policy->hosts[i]);
    if (!ours)
        return fl_fail(ctx, FL_EDENIED, "the request is for '%s', which is not a host of hub.conf",
                       fl_str_printable(shown, sizeof shown, fl_slice_str(csr_name)));
    return FL_OK;
}

static enum fl_error judge_clock(const struct fl_signer_policy *policy, fl_time_t now,
                                 struct fl_context *ctx)
{
    char at[FL_TIME_TEXT_MAX];

    if (now < policy->issuing_from)
        return fl_fail(ctx, FL_ESTATE,
                       "the clock is wrong: it is before the issuing certificate's begin, %s",
                       fl_time_format(policy->issuing_from, at));
    if (now + FL_SIGNER_VALIDITY_MIN_S * (fl_time_t)1000 > policy->issuing_until)
        return fl_fail(ctx, FL_EEXPIRED, "the issuing certificate ends at %s",
                       fl_time_format(policy->issuing_until, at));
    return FL_OK;
}

static enum fl_error judge_time(const struct fl_signer_policy *policy, uint32_t validity_s,
                                fl_time_t now, struct fl_signer_grant *grant,
                                struct fl_context *ctx)
{
    uint32_t max_s = grant->kind == FL_CERT_OCSP ? FL_SIGNER_OCSP_MAX_S : FL_SIGNER_VALIDITY_MAX_S;
    enum fl_error error = FL_OK;

    if (validity_s < FL_SIGNER_VALIDITY_MIN_S || validity_s > max_s)
        return fl_fail(ctx, FL_EINVAL, "a validity of %u s: %d to %u s are allowed", validity_s,
                       FL_SIGNER_VALIDITY_MIN_S, max_s);
    error = judge_clock(policy, now, ctx);
    if (error != FL_OK)
        return error;
    grant->not_before = now - FL_SIGNER_BACKDATE_S * (fl_time_t)1000;
    grant->not_after = now + validity_s * (fl_time_t)1000;
    if (grant->not_after > policy->issuing_until)
        grant->not_after = policy->issuing_until;
    return FL_OK;
}

enum fl_error fl_signer_policy_judge_crl(const struct fl_signer_policy *policy,
                                         const struct fl_msg_crl_sign *request,
                                         uint64_t last_number, fl_time_t now,
                                         struct fl_context *ctx)
{
    if (request->validity_s < FL_SIGNER_VALIDITY_MIN_S || request->validity_s > FL_SIGNER_CRL_MAX_S)
        return fl_fail(ctx, FL_EINVAL, "a revocation list for %u s: %d to %d s are allowed",
                       request->validity_s, FL_SIGNER_VALIDITY_MIN_S, FL_SIGNER_CRL_MAX_S);
    if (request->number <= last_number || request->number > INT64_MAX)
        return fl_fail(ctx, FL_ESTATE, "a revocation list of number %llu after one of %llu",
                       (unsigned long long)request->number, (unsigned long long)last_number);
    return judge_clock(policy, now, ctx);
}

enum fl_error fl_signer_policy_judge(const struct fl_signer_policy *policy,
                                     const struct fl_msg_sign *request, const char *csr_name,
                                     fl_time_t now, struct fl_signer_grant *grant,
                                     struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    char shown[32];

    *grant = (struct fl_signer_grant){0};
    if (fl_slice_is(request->kind, "device")) {
        grant->kind = FL_CERT_DEVICE;
        error = judge_device(request->name, csr_name, ctx);
    } else if (fl_slice_is(request->kind, "server")) {
        grant->kind = FL_CERT_SERVER;
        error = judge_server(policy, request->name, csr_name, ctx);
    } else if (fl_slice_is(request->kind, "ocsp")) {
        grant->kind = FL_CERT_OCSP;
        error = judge_server(policy, request->name, csr_name, ctx);
    } else {
        return fl_fail(ctx, FL_EDENIED,
                       "kind '%s': only device, server and ocsp certificates are issued",
                       fl_str_printable(shown, sizeof shown, request->kind));
    }
    if (error == FL_OK)
        error = judge_time(policy, request->validity_s, now, grant, ctx);
    if (error == FL_OK && !fl_str_copy_slice(grant->name, sizeof grant->name, request->name))
        error = fl_fail(ctx, FL_EDENIED, "the name is too long");
    return error;
}

bool fl_signer_rate_take(struct fl_signer_rate *rate, fl_time_t now)
{
    return fl_signer_rate_take_of(rate, now, FL_SIGNER_RATE, FL_SIGNER_BURST);
}

bool fl_signer_rate_take_of(struct fl_signer_rate *rate, fl_time_t now, int64_t per_s,
                            int64_t burst)
{
    fl_time_t elapsed = now - rate->at;

    /* A long pause fills it; the bound also keeps the product small. */
    if (elapsed > burst * 1000 / per_s)
        rate->used = 0;
    else if (elapsed > 0)
        rate->used -= elapsed * per_s;
    if (rate->used < 0)
        rate->used = 0;
    rate->at = now;
    if (rate->used + 1000 > burst * 1000)
        return false;
    rate->used += 1000;
    return true;
}
