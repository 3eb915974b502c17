/* SPDX-License-Identifier: Apache-2.0 */
#include "service/posture.h"

#include <stdio.h>

static const char *const names[FL_POSTURE_COUNT] = {
    [FL_POSTURE_OK] = "ok",
    [FL_POSTURE_NARROWED] = "narrowed",
    [FL_POSTURE_QUARANTINED] = "quarantined",
    [FL_POSTURE_REVOKED] = "revoked",
    [FL_POSTURE_EXPIRED] = "expired",
    [FL_POSTURE_EXPECTED] = "expected",
    [FL_POSTURE_RETIRED] = "retired",
    [FL_POSTURE_HELD] = "held",
};

const char *fl_posture_name(enum fl_posture_verdict verdict)
{
    return names[verdict];
}

enum fl_posture_verdict fl_posture_of_name(const char *name)
{
    return (enum fl_posture_verdict)fl_name_index(names, FL_POSTURE_COUNT, name);
}

static void say(struct fl_posture *p, enum fl_posture_verdict verdict, const char *words,
                const char *reason)
{
    char text[FL_LIMIT_REASON + FL_EVIDENCE_WORDS];

    p->verdict = verdict;
    (void)snprintf(text, sizeof text, "%s%s%s", words, reason[0] ? ": " : "", reason);
    (void)fl_str_copy(p->reason, sizeof p->reason, text);
}

static void say_until(struct fl_posture *p, enum fl_posture_verdict verdict, const char *what,
                      const struct fl_device *device)
{
    char at[FL_TIME_TEXT_MAX];
    char words[96];

    p->until = device->until;
    (void)snprintf(words, sizeof words, "%s%s%s", what,
                   device->until == FL_TIME_NEVER ? "" : " until ",
                   device->until == FL_TIME_NEVER ? "" : fl_time_format(device->until, at));
    say(p, verdict, words, device->reason);
}

/* What it says of an active device none of whose credentials is good. */
static void judge_newest(const struct fl_device *device, struct fl_posture *p)
{
    char at[FL_TIME_TEXT_MAX];
    char words[96];

    if (p->has_credential && p->credential.state == FL_CREDENTIAL_EXPIRED) {
        (void)snprintf(words, sizeof words, "its certificate expired at %s",
                       fl_time_format(p->credential.not_after, at));
        say(p, FL_POSTURE_EXPIRED, words, "");
        return;
    }
    if (p->has_credential && p->credential.state == FL_CREDENTIAL_HELD) {
        say_until(p, FL_POSTURE_HELD, "its certificate is held", device);
        return;
    }
    say(p, FL_POSTURE_REVOKED, "its certificate was revoked", p->credential.reason);
}

static void judge_active(const struct fl_device *device, const struct fl_credential *live,
                         size_t count, fl_time_t now, struct fl_posture *p)
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        if (live[i].state != FL_CREDENTIAL_ISSUED || live[i].not_after <= now)
            continue;
        used += (size_t)snprintf(p->serials + used, sizeof p->serials - used, "%s%s",
                                 used ? " " : "", live[i].serial);
        /* Any end of a credential is a change, and the last one is the end of the posture. */
        if (live[i].not_after < p->until)
            p->until = live[i].not_after;
    }
    if (used == 0) {
        judge_newest(device, p);
        return;
    }
    p->verdict = FL_POSTURE_OK;
    p->may_connect = true;
}

void fl_posture_judge(const struct fl_device *device, const struct fl_credential *live,
                      size_t count, const struct fl_credential *newest, fl_time_t now,
                      struct fl_posture *p)
{
    *p = (struct fl_posture){.until = FL_TIME_NEVER};
    if (newest) {
        p->has_credential = true;
        p->credential = *newest;
        if (newest->state != FL_CREDENTIAL_REVOKED && newest->not_after <= now)
            p->credential.state = FL_CREDENTIAL_EXPIRED;
    }
    switch (device->state) {
    case FL_DEVICE_EXPECTED:
        say(p, FL_POSTURE_EXPECTED, "it has not enrolled yet", "");
        break;
    case FL_DEVICE_QUARANTINED:
        say_until(p, FL_POSTURE_QUARANTINED, "quarantined", device);
        break;
    case FL_DEVICE_RETIRED:
        say(p, FL_POSTURE_RETIRED, "retired", device->reason);
        break;
    case FL_DEVICE_ACTIVE:
    case FL_DEVICE_STATE_COUNT:
        judge_active(device, live, count, now, p);
        break;
    }
}

void fl_posture_weigh(const struct fl_evidence *evidence, const struct fl_requirement *requirement,
                      fl_time_t now, struct fl_posture *p)
{
    char words[FL_EVIDENCE_WORDS];

    p->evidence = *evidence;
    p->requirement = *requirement;
    p->grades = fl_evidence_grades(evidence, requirement, now, &p->evidence_until);
    if (p->evidence_until < p->until)
        p->until = p->evidence_until;
    if (p->verdict == FL_POSTURE_OK && !fl_evidence_suffices(evidence, requirement, now, words))
        say(p, FL_POSTURE_NARROWED, words, "");
}

static enum fl_error weigh(const struct fl_store *store, const struct fl_device *device,
                           fl_time_t now, struct fl_posture *posture, struct fl_context *ctx)
{
    struct fl_evidence evidence = {0};
    struct fl_requirement requirement = {0};
    enum fl_error error = fl_evidence_get(store, device->id, &evidence, ctx);

    if (error == FL_OK || error == FL_ENOTFOUND)
        error = fl_requirement_of(store, device->profile, &requirement, ctx);
    if (error == FL_OK)
        fl_posture_weigh(&evidence, &requirement, now, posture);
    return error;
}

enum fl_error fl_posture_of(const struct fl_store *store, const struct fl_device *device,
                            fl_time_t now, struct fl_posture *posture, struct fl_context *ctx)
{
    struct fl_credential live[FL_LIMIT_DEVICE_CERTS];
    struct fl_credential newest = {0};
    size_t count = device->serial_count;
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < count && error == FL_OK; i++)
        error = fl_credential_get(store, device->serials[i], &live[i], ctx);
    if (error == FL_OK && device->last_serial[0])
        error = fl_credential_get(store, device->last_serial, &newest, ctx);
    if (error == FL_OK)
        fl_posture_judge(device, live, count, device->last_serial[0] ? &newest : NULL, now,
                         posture);
    return error == FL_OK ? weigh(store, device, now, posture, ctx) : error;
}
