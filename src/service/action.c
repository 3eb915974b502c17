/* SPDX-License-Identifier: Apache-2.0 */
#include "service/action.h"

#include "service/action_record.h"
#include "service/audit.h"
#include "service/token_record.h"

#include <stdio.h>

/* Row: from. Column: to. */
static const bool may_become[FL_ACTION_STATE_COUNT][FL_ACTION_STATE_COUNT] = {
    /*                       proposed active undone expired */
    [FL_ACTION_PROPOSED] = {false, true, false, false},
    [FL_ACTION_ACTIVE] = {false, false, true, true},
    [FL_ACTION_UNDONE] = {false, false, false, false},
    [FL_ACTION_EXPIRED] = {false, false, false, false},
};

static enum fl_error become(struct fl_action *action, enum fl_action_state next,
                            struct fl_context *ctx)
{
    if (!may_become[action->state][next])
        return fl_fail(ctx, FL_ESTATE, "action %llu is %s already", (unsigned long long)action->id,
                       fl_action_state_name(action->state));
    action->state = next;
    return FL_OK;
}

static void effect(struct fl_outcome *o, const char *format, ...) FL_PRINTF(2, 3);

static void effect(struct fl_outcome *o, const char *format, ...)
{
    va_list args;

    if (o->effect_count == FL_OUTCOME_EFFECTS)
        return;
    va_start(args, format);
    (void)vsnprintf(o->effects[o->effect_count++], sizeof o->effects[0], format, args);
    va_end(args);
}

static void effect_certificates(struct fl_outcome *o, const char *verb, size_t count)
{
    if (count)
        effect(o, "%s %zu certificate%s", verb, count, count == 1 ? "" : "s");
}

/* --- what each kind does to the device and its credentials --- */

/* What a new one of its kind replaces is over; the new one inherits its inverse. */
static enum fl_error supersede(const struct fl_store *store, struct fl_outcome *o,
                               const struct fl_change *change, struct fl_context *ctx)
{
    struct fl_action old = {0};
    enum fl_error error = fl_action_get(store, o->device.action, &old, ctx);

    if (error == FL_OK)
        error = become(&old, FL_ACTION_UNDONE, ctx);
    if (error != FL_OK)
        return error;
    effect(o, "replace the %s that is there (action %llu)", fl_action_kind_name(old.kind),
           (unsigned long long)old.id);
    o->action.before = old.before;
    o->action.previous = old.previous;
    (void)fl_str_copy(old.undone_by, sizeof old.undone_by, change->who);
    return o->dry_run ? FL_OK : fl_action_record_put(store, &old, ctx);
}

static enum fl_error change_credentials(const struct fl_store *store, struct fl_outcome *o,
                                        const struct fl_credential_change *change,
                                        struct fl_context *ctx)
{
    o->action.serial_count = o->device.serial_count;
    memcpy(o->action.serials, o->device.serials, sizeof o->action.serials);
    if (!o->dry_run)
        return fl_registry_move_credentials(store, &o->device, change, ctx);
    if (change->next == FL_CREDENTIAL_REVOKED)
        o->device.serial_count = 0;
    return FL_OK;
}

static enum fl_error hold_credentials(const struct fl_store *store, struct fl_outcome *o,
                                      const struct fl_change *change, struct fl_context *ctx)
{
    const struct fl_credential_change held = {.next = FL_CREDENTIAL_HELD,
                                              .cause = FL_CRL_HOLD,
                                              .reason = change->reason,
                                              .now = change->now};

    o->device.until = o->action.until;
    effect(o, "refuse connections and resumptions");
    return change_credentials(store, o, &held, ctx);
}

/* The hold that the device is under; its kind is FL_ACTION_KIND_COUNT when there is none. */
static enum fl_error hold_of(const struct fl_store *store, const struct fl_device *device,
                             struct fl_action *hold, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    *hold = (struct fl_action){.kind = FL_ACTION_KIND_COUNT};
    if (device->state == FL_DEVICE_ACTIVE && device->action)
        error = fl_action_get(store, device->action, hold, ctx);
    if (error == FL_OK && (hold->kind != FL_ACTION_HOLD || hold->state != FL_ACTION_ACTIVE))
        hold->kind = FL_ACTION_KIND_COUNT;
    return error;
}

static enum fl_error do_hold(const struct fl_store *store, struct fl_outcome *o,
                             const struct fl_change *change, struct fl_context *ctx)
{
    struct fl_action hold = {0};
    enum fl_error error = FL_OK;

    if (o->device.state == FL_DEVICE_QUARANTINED)
        return fl_fail(ctx, FL_ESTATE,
                       "device %s is quarantined: its certificates are held by that (action %llu)",
                       o->device.id, (unsigned long long)o->device.action);
    if (o->device.state != FL_DEVICE_ACTIVE || o->device.serial_count == 0)
        return fl_fail(ctx, FL_ESTATE, "device %s is %s and has no live certificate to hold",
                       o->device.id, fl_device_state_name(o->device.state));
    error = hold_of(store, &o->device, &hold, ctx);
    if (error == FL_OK && hold.kind == FL_ACTION_HOLD)
        error = supersede(store, o, change, ctx);
    else
        effect_certificates(o, "hold", o->device.serial_count);
    return error == FL_OK ? hold_credentials(store, o, change, ctx) : error;
}

static enum fl_error do_quarantine(const struct fl_store *store, struct fl_outcome *o,
                                   const struct fl_change *change, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (o->device.state == FL_DEVICE_EXPECTED)
        return fl_fail(ctx, FL_ESTATE,
                       "device %s has not enrolled: there is nothing to quarantine (retire it "
                       "instead)",
                       o->device.id);
    if (o->device.state == FL_DEVICE_RETIRED)
        return fl_fail(ctx, FL_ESTATE, "device %s is retired", o->device.id);
    if (o->device.state == FL_DEVICE_QUARANTINED) {
        error = supersede(store, o, change, ctx);
    } else {
        error = fl_device_move(&o->device, FL_DEVICE_QUARANTINED, change->now, ctx);
        effect_certificates(o, "hold", o->device.serial_count);
    }
    return error == FL_OK ? hold_credentials(store, o, change, ctx) : error;
}

/* Whoever has the device may have its token too. One that was used stays, so that a second use is
 * told from a wrong one. */
static enum fl_error void_unused_token(const struct fl_store *store, struct fl_outcome *o,
                                       struct fl_context *ctx)
{
    struct fl_token_record record = {0};
    enum fl_error error =
        fl_token_record_get(store, FL_TOKEN_DEVICE, fl_slice_str(o->device.id), &record, NULL);

    if (error == FL_ENOTFOUND || (error == FL_OK && record.used))
        return FL_OK;
    if (error != FL_OK)
        return fl_fail(ctx, error, "the enrolment token cannot be read");
    effect(o, "void its enrolment token");
    if (o->dry_run)
        return FL_OK;
    return fl_document_del(store, FL_TABLE_TOKEN, fl_slice_str(o->device.id), ctx);
}

static enum fl_error do_revoke(const struct fl_store *store, struct fl_outcome *o,
                               const struct fl_change *change, struct fl_context *ctx)
{
    const struct fl_credential_change revoked = {.next = FL_CREDENTIAL_REVOKED,
                                                 .cause = FL_CRL_UNSPECIFIED,
                                                 .reason = change->reason,
                                                 .now = change->now};
    enum fl_error error = FL_OK;

    if (o->device.state == FL_DEVICE_RETIRED || o->device.serial_count == 0)
        return fl_fail(ctx, FL_ESTATE, "device %s is %s and has no live certificate to revoke",
                       o->device.id, fl_device_state_name(o->device.state));
    effect_certificates(o, "revoke", o->device.serial_count);
    effect(o, "refuse connections and resumptions");
    /* Out of quarantine into something stronger, which remembers it for its inverse. */
    if (o->device.state == FL_DEVICE_QUARANTINED) {
        error = fl_device_move(&o->device, FL_DEVICE_ACTIVE, change->now, ctx);
        if (error != FL_OK)
            return error;
    }
    o->device.until = FL_TIME_NEVER; /* of a hold */
    error = void_unused_token(store, o, ctx);
    return error == FL_OK ? change_credentials(store, o, &revoked, ctx) : error;
}

static enum fl_error do_retire(const struct fl_store *store, struct fl_outcome *o,
                               const struct fl_change *change, struct fl_context *ctx)
{
    const struct fl_credential_change revoked = {.next = FL_CREDENTIAL_REVOKED,
                                                 .cause = FL_CRL_CESSATION,
                                                 .reason = "retired",
                                                 .now = change->now};
    enum fl_error error = fl_device_move(&o->device, FL_DEVICE_RETIRED, change->now, ctx);

    if (error != FL_OK)
        return error;
    effect_certificates(o, "revoke", o->device.serial_count);
    effect(o, "void its enrolment token, refuse connections");
    error = change_credentials(store, o, &revoked, ctx);
    if (error == FL_OK && !o->dry_run)
        error = fl_document_del(store, FL_TABLE_TOKEN, fl_slice_str(o->device.id), ctx);
    return error;
}

/* --- writing it down --- */

static enum fl_error audit(const struct fl_store *store, const struct fl_outcome *o,
                           const struct fl_change *change, struct fl_context *ctx)
{
    char what[32];
    char until[FL_TIME_TEXT_MAX];
    struct fl_audit_entry entry = {
        .who = change->who, .what = what, .object = o->device.id, .at = change->now};

    (void)snprintf(what, sizeof what, "device.%s", o->verb);
    entry.detail =
        json_pack("{s:I, s:s}", "action", (json_int_t)o->action.id, "reason", change->reason);
    if (o->action.until != FL_TIME_NEVER && o->action.state == FL_ACTION_ACTIVE)
        (void)json_object_set_new(entry.detail, "until",
                                  json_string(fl_time_format(o->action.until, until)));
    return fl_audit_append(store, &entry, ctx);
}

static enum fl_error write_down(const struct fl_store *store, struct fl_outcome *o,
                                const struct fl_change *change, struct fl_context *ctx)
{
    enum fl_error error = fl_action_record_put(store, &o->action, ctx);

    if (error == FL_OK)
        error = fl_registry_put(store, &o->device, ctx);
    if (error == FL_OK)
        error = audit(store, o, change, ctx);
    return error;
}

static enum fl_error check_apply(enum fl_action_kind kind, fl_time_t for_ms,
                                 const struct fl_change *change, struct fl_context *ctx)
{
    if (for_ms && kind != FL_ACTION_QUARANTINE && kind != FL_ACTION_HOLD)
        return fl_fail(ctx, FL_EINVAL, "only a quarantine and a hold can have a time limit");
    if (for_ms < 0 || for_ms > (fl_time_t)FL_LIMIT_ACTION_S * 1000)
        return fl_fail(ctx, FL_EINVAL, "a time limit is at most %d days",
                       FL_LIMIT_ACTION_S / 86400);
    if (strlen(change->reason) > FL_LIMIT_REASON)
        return fl_fail(ctx, FL_EINVAL, "a reason has at most %d octets", (int)FL_LIMIT_REASON);
    return FL_OK;
}

enum fl_error fl_action_apply(const struct fl_store *store, enum fl_action_kind kind,
                              struct fl_slice device, fl_time_t for_ms, bool dry_run,
                              const struct fl_change *change, struct fl_outcome *o,
                              struct fl_context *ctx)
{
    static enum fl_error (*const do_it[FL_ACTION_KIND_COUNT])(
        const struct fl_store *, struct fl_outcome *, const struct fl_change *,
        struct fl_context *) = {
        [FL_ACTION_QUARANTINE] = do_quarantine,
        [FL_ACTION_REVOKE] = do_revoke,
        [FL_ACTION_RETIRE] = do_retire,
        [FL_ACTION_HOLD] = do_hold,
    };
    enum fl_error error = check_apply(kind, for_ms, change, ctx);

    *o = (struct fl_outcome){.verb = fl_action_kind_name(kind), .dry_run = dry_run};
    if (error == FL_OK)
        error = fl_registry_get(store, device, &o->device, ctx);
    if (error != FL_OK)
        return error;
    o->action = (struct fl_action){.kind = kind,
                                   .state = FL_ACTION_PROPOSED,
                                   .at = change->now,
                                   .until = for_ms ? change->now + for_ms : FL_TIME_NEVER,
                                   .before = o->device.state};
    (void)fl_str_copy(o->action.device, sizeof o->action.device, o->device.id);
    (void)fl_str_copy(o->action.reason, sizeof o->action.reason, change->reason);
    (void)fl_str_copy(o->action.by, sizeof o->action.by, change->who);
    o->action.previous = o->device.action;
    error = do_it[kind](store, o, change, ctx);
    if (error != FL_OK || dry_run)
        return error;
    error = fl_action_record_next_id(store, &o->action.id, ctx);
    if (error == FL_OK)
        error = become(&o->action, FL_ACTION_ACTIVE, ctx);
    if (error != FL_OK)
        return error;
    o->device.action = o->action.id;
    (void)fl_str_copy(o->device.reason, sizeof o->device.reason, change->reason);
    return write_down(store, o, change, ctx);
}

/* --- inverses --- */

/* Puts back what the action took out of use, but for what has expired meanwhile. */
static enum fl_error restore_credentials(const struct fl_store *store, struct fl_outcome *o,
                                         enum fl_credential_state next, fl_time_t now,
                                         struct fl_context *ctx)
{
    bool held = next == FL_CREDENTIAL_HELD;
    enum fl_error error = FL_OK;

    o->device.serial_count = 0;
    for (size_t i = 0; i < o->action.serial_count && error == FL_OK; i++) {
        struct fl_credential c = {0};

        error = fl_credential_get(store, o->action.serials[i], &c, ctx);
        if (error == FL_OK && c.state == FL_CREDENTIAL_EXPIRED)
            continue;
        if (error == FL_OK && c.state != next)
            error = fl_credential_move(&c, next, ctx);
        (void)fl_str_copy(c.reason, sizeof c.reason, held ? o->device.reason : "");
        c.cause = held ? FL_CRL_HOLD : FL_CRL_UNSPECIFIED;
        c.since = now;
        if (error == FL_OK && !o->dry_run)
            error = fl_credential_put(store, &c, ctx);
        (void)fl_str_copy(o->device.serials[o->device.serial_count++], FL_LIMIT_SERIAL_HEX,
                          c.serial);
    }
    effect_certificates(o, "restore", o->device.serial_count);
    return error;
}

/* Where the device goes back to: under the action before, if that one still holds; `held`: that one
 * holds its credentials. */
static enum fl_error go_back(const struct fl_store *store, struct fl_outcome *o, fl_time_t now,
                             bool *held, struct fl_context *ctx)
{
    struct fl_action previous = {0};
    bool is_under = false;
    enum fl_device_state next = o->action.before;
    enum fl_error error = FL_OK;

    if (o->action.previous)
        error = fl_action_get(store, o->action.previous, &previous, ctx);
    if (error != FL_OK)
        return error;
    is_under = previous.state == FL_ACTION_ACTIVE;
    if (!is_under && next == FL_DEVICE_QUARANTINED)
        next = FL_DEVICE_ACTIVE; /* the quarantine has ended meanwhile */
    if (o->device.state != next)
        error = fl_device_move(&o->device, next, now, ctx);
    o->device.action = is_under ? previous.id : 0;
    o->device.until = is_under ? previous.until : FL_TIME_NEVER;
    (void)fl_str_copy(o->device.reason, sizeof o->device.reason, is_under ? previous.reason : "");
    *held = next == FL_DEVICE_QUARANTINED || (is_under && previous.kind == FL_ACTION_HOLD);
    return error;
}

static enum fl_error invert(const struct fl_store *store, struct fl_outcome *o,
                            enum fl_action_state end, const struct fl_change *change,
                            struct fl_context *ctx)
{
    bool held = false;
    enum fl_error error = become(&o->action, end, ctx);

    if (error == FL_OK && o->device.action != o->action.id)
        error = fl_fail(ctx, FL_ESTATE,
                        "device %s has moved on since action %llu (it is %s): there is nothing to "
                        "undo",
                        o->device.id, (unsigned long long)o->action.id,
                        fl_device_state_name(o->device.state));
    if (error == FL_OK)
        error = go_back(store, o, change->now, &held, ctx);
    if (error == FL_OK)
        error = restore_credentials(store, o, held ? FL_CREDENTIAL_HELD : FL_CREDENTIAL_ISSUED,
                                    change->now, ctx);
    if (error != FL_OK)
        return error;
    (void)fl_str_copy(o->action.undone_by, sizeof o->action.undone_by, change->who);
    if (o->device.serial_count)
        effect(o, held ? "what held it before holds it again" : "allow connections");
    return o->dry_run ? FL_OK : write_down(store, o, change, ctx);
}

enum fl_error fl_action_release(const struct fl_store *store, struct fl_slice device, bool dry_run,
                                const struct fl_change *change, struct fl_outcome *o,
                                struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    struct fl_action hold = {0};

    *o = (struct fl_outcome){.verb = "release", .dry_run = dry_run};
    error = fl_registry_get(store, device, &o->device, ctx);
    if (error == FL_OK)
        error = hold_of(store, &o->device, &hold, ctx);
    if (error != FL_OK)
        return error;
    if (o->device.state != FL_DEVICE_QUARANTINED && hold.kind != FL_ACTION_HOLD)
        return fl_fail(ctx, FL_ESTATE, "device %s is %s, not quarantined or held%s", o->device.id,
                       fl_device_state_name(o->device.state),
                       o->device.action ? " (what took it out of use is undone by its action)"
                                        : "");
    error = fl_action_get(store, o->device.action, &o->action, ctx);
    return error == FL_OK ? invert(store, o, FL_ACTION_UNDONE, change, ctx) : error;
}

enum fl_error fl_action_undo(const struct fl_store *store, uint64_t id, bool dry_run,
                             const struct fl_change *change, struct fl_outcome *o,
                             struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    *o = (struct fl_outcome){.verb = "undo", .dry_run = dry_run};
    error = fl_action_get(store, id, &o->action, ctx);
    if (error == FL_OK)
        error = fl_registry_get(store, fl_slice_str(o->action.device), &o->device, ctx);
    if (error != FL_OK)
        return error;
    return invert(store, o, FL_ACTION_UNDONE, change, ctx);
}

enum fl_error fl_action_expire(const struct fl_store *store, fl_time_t now, struct fl_outcome *o,
                               struct fl_context *ctx)
{
    struct fl_change change = {.who = "timer", .reason = "its time is over", .now = now};
    fl_time_t due = FL_TIME_NEVER;
    uint64_t id = 0;
    enum fl_error error = fl_action_record_first_due(store, &due, &id, ctx);

    if (error != FL_OK)
        return error;
    if (due > now)
        return FL_ENOTFOUND;
    *o = (struct fl_outcome){.verb = "expire"};
    error = fl_action_get(store, id, &o->action, ctx);
    if (error == FL_OK)
        error = fl_registry_get(store, fl_slice_str(o->action.device), &o->device, ctx);
    if (error != FL_OK)
        return error;
    if (o->device.action == id)
        return invert(store, o, FL_ACTION_EXPIRED, &change, ctx);
    /* Something stronger took its place (a revocation, a retirement): only the limit is over. */
    error = become(&o->action, FL_ACTION_EXPIRED, ctx);
    if (error == FL_OK)
        error = write_down(store, o, &change, ctx);
    return error;
}

enum fl_error fl_action_next_due(const struct fl_store *store, fl_time_t *due,
                                 struct fl_context *ctx)
{
    uint64_t id = 0;
    enum fl_error error = fl_action_record_first_due(store, due, &id, ctx);

    if (error == FL_ENOTFOUND) {
        *due = FL_TIME_NEVER;
        return FL_OK;
    }
    return error;
}
