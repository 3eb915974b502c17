/* SPDX-License-Identifier: Apache-2.0 */
#include "service/registry.h"

#include "service/audit.h"
#include "service/due.h"
#include "service/status.h"

#define END_PREFIX "end/" /* of credentials */

static const char *const device_states[FL_DEVICE_STATE_COUNT] = {
    [FL_DEVICE_EXPECTED] = "expected",
    [FL_DEVICE_ACTIVE] = "active",
    [FL_DEVICE_QUARANTINED] = "quarantined",
    [FL_DEVICE_RETIRED] = "retired",
};

/* Row: from. Column: to. Retirement can be undone, back to any state it came from. */
static const bool device_may_become[FL_DEVICE_STATE_COUNT][FL_DEVICE_STATE_COUNT] = {
    /*                         expected active quarantined retired */
    [FL_DEVICE_EXPECTED] = {false, true, false, true},
    [FL_DEVICE_ACTIVE] = {false, false, true, true},
    [FL_DEVICE_QUARANTINED] = {false, true, false, true},
    [FL_DEVICE_RETIRED] = {true, true, true, false},
};

static const char *const credential_states[FL_CREDENTIAL_STATE_COUNT] = {
    [FL_CREDENTIAL_ISSUED] = "issued",
    [FL_CREDENTIAL_HELD] = "held",
    [FL_CREDENTIAL_REVOKED] = "revoked",
    [FL_CREDENTIAL_EXPIRED] = "expired",
};

static const bool credential_may_become[FL_CREDENTIAL_STATE_COUNT][FL_CREDENTIAL_STATE_COUNT] = {
    /*                         issued held revoked expired */
    [FL_CREDENTIAL_ISSUED] = {false, true, true, true},
    [FL_CREDENTIAL_HELD] = {true, false, true, true},
    [FL_CREDENTIAL_REVOKED] = {true, true, false, false},
    [FL_CREDENTIAL_EXPIRED] = {false, false, false, false},
};

const char *fl_device_state_name(enum fl_device_state state)
{
    return device_states[state];
}

enum fl_device_state fl_device_state_of(const char *name)
{
    return (enum fl_device_state)fl_name_index(device_states, FL_DEVICE_STATE_COUNT, name);
}

const char *fl_credential_state_name(enum fl_credential_state state)
{
    return credential_states[state];
}

enum fl_error fl_device_move(struct fl_device *device, enum fl_device_state next, fl_time_t now,
                             struct fl_context *ctx)
{
    if (!device_may_become[device->state][next])
        return fl_fail(ctx, FL_ESTATE, "device %s is %s and cannot become %s", device->id,
                       device_states[device->state], device_states[next]);
    device->state = next;
    device->since = now;
    device->until = FL_TIME_NEVER;
    device->action = 0;
    device->reason[0] = '\0';
    return FL_OK;
}

enum fl_error fl_credential_move(struct fl_credential *credential, enum fl_credential_state next,
                                 struct fl_context *ctx)
{
    if (!credential_may_become[credential->state][next])
        return fl_fail(ctx, FL_ESTATE, "credential %s is %s and cannot become %s",
                       credential->serial, credential_states[credential->state],
                       credential_states[next]);
    credential->state = next;
    return FL_OK;
}

/* --- devices as documents --- */

static json_t *device_to_json(const struct fl_device *d)
{
    json_t *serials = json_array();
    json_t *document = NULL;

    for (size_t i = 0; i < d->serial_count; i++)
        (void)json_array_append_new(serials, json_string(d->serials[i]));
    document = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:o, s:s}", "id", d->id, "profile",
                         d->profile, "site", d->site, "state", device_states[d->state], "created",
                         (json_int_t)d->created, "since", (json_int_t)d->since, "reason", d->reason,
                         "credentials", serials, "last_credential", d->last_serial);
    if (d->until != FL_TIME_NEVER)
        (void)json_object_set_new(document, "until", json_integer(d->until));
    if (d->action)
        (void)json_object_set_new(document, "action", json_integer((json_int_t)d->action));
    return document;
}

static bool device_from_json(const json_t *document, struct fl_device *d)
{
    char state[16];
    size_t i = 0;
    const json_t *serial = NULL;
    const json_t *serials = json_object_get(document, "credentials");

    *d = (struct fl_device){0};
    fl_document_str(document, "id", d->id, sizeof d->id);
    fl_document_str(document, "profile", d->profile, sizeof d->profile);
    fl_document_str(document, "site", d->site, sizeof d->site);
    fl_document_str(document, "state", state, sizeof state);
    fl_document_str(document, "reason", d->reason, sizeof d->reason);
    fl_document_str(document, "last_credential", d->last_serial, sizeof d->last_serial);
    d->state = fl_device_state_of(state);
    d->created = fl_document_int(document, "created", 0);
    d->since = fl_document_int(document, "since", 0);
    d->until = fl_document_int(document, "until", FL_TIME_NEVER);
    d->action = (uint64_t)fl_document_int(document, "action", 0);
    if (json_array_size(serials) > FL_LIMIT_DEVICE_CERTS)
        return false;
    for (i = 0; i < json_array_size(serials); i++) {
        serial = json_array_get(serials, i);
        (void)fl_str_copy(d->serials[i], sizeof d->serials[i],
                          json_is_string(serial) ? json_string_value(serial) : "");
    }
    d->serial_count = i;
    return d->state != FL_DEVICE_STATE_COUNT && fl_name_valid(fl_slice_str(d->id));
}

enum fl_error fl_registry_get(const struct fl_store *store, struct fl_slice id,
                              struct fl_device *device, struct fl_context *ctx)
{
    json_t *document = NULL;
    enum fl_error error = FL_ENOTFOUND;

    if (fl_name_valid(id))
        error = fl_document_get(store, FL_TABLE_DEVICE, id, &document, ctx);
    if (error == FL_ENOTFOUND)
        return fl_fail(ctx, FL_ENOTFOUND, "there is no device %.*s",
                       fl_name_valid(id) ? (int)id.size : 0, (const char *)id.data);
    if (error == FL_OK && !device_from_json(document, device))
        error = fl_fail(ctx, FL_EPARSE, "the record of device %.*s is damaged", FL_SLICE_ARGS(id));
    json_decref(document);
    return error;
}

enum fl_error fl_registry_put(const struct fl_store *store, const struct fl_device *device,
                              struct fl_context *ctx)
{
    json_t *document = device_to_json(device);
    enum fl_error error = FL_OK;

    if (!document)
        return fl_fail(ctx, FL_EINVAL, "device %s: a text is not UTF-8", device->id);
    error = fl_document_put(store, FL_TABLE_DEVICE, fl_slice_str(device->id), document, ctx);
    json_decref(document);
    return error;
}

/* --- adding and listing --- */

static struct fl_slice count_key(void)
{
    return fl_slice_str("registry");
}

enum fl_error fl_registry_count(const struct fl_store *store, uint64_t *devices,
                                struct fl_context *ctx)
{
    json_t *document = NULL;
    enum fl_error error = fl_document_get(store, FL_TABLE_META, count_key(), &document, ctx);

    *devices = error == FL_OK ? (uint64_t)fl_document_int(document, "devices", 0) : 0;
    json_decref(document);
    return error == FL_ENOTFOUND ? FL_OK : error;
}

static enum fl_error count_one_more(const struct fl_store *store, struct fl_context *ctx)
{
    uint64_t devices = 0;
    json_t *document = NULL;
    enum fl_error error = fl_registry_count(store, &devices, ctx);

    if (error == FL_OK && devices >= FL_LIMIT_DEVICES)
        error = fl_fail(ctx, FL_ELIMIT, "there are %d devices already", (int)FL_LIMIT_DEVICES);
    if (error != FL_OK)
        return error;
    devices++;
    document = json_pack("{s:I}", "devices", (json_int_t)devices);
    error = fl_document_put(store, FL_TABLE_META, count_key(), document, ctx);
    json_decref(document);
    return error;
}

enum fl_error fl_registry_add(const struct fl_store *store, const char *id, const char *profile,
                              const char *site, const struct fl_change *change,
                              struct fl_device *device, struct fl_context *ctx)
{
    struct fl_audit_entry entry = {
        .who = change->who, .what = "device.add", .object = id, .at = change->now};
    enum fl_error error = FL_OK;

    if (!fl_name_valid(fl_slice_str(id)))
        return fl_fail(ctx, FL_EINVAL,
                       "a device id is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or "
                       "digit");
    error = fl_registry_get(store, fl_slice_str(id), device, ctx);
    if (error == FL_OK)
        return fl_fail(ctx, FL_EEXISTS, "device %s is there already (%s)", id,
                       device_states[device->state]);
    if (error != FL_ENOTFOUND)
        return error;
    *device = (struct fl_device){.state = FL_DEVICE_EXPECTED,
                                 .created = change->now,
                                 .since = change->now,
                                 .until = FL_TIME_NEVER};
    (void)fl_str_copy(device->id, sizeof device->id, id);
    if (!fl_str_copy(device->profile, sizeof device->profile, profile) ||
        !fl_str_copy(device->site, sizeof device->site, site))
        return fl_fail(ctx, FL_EINVAL, "device %s: the profile or site is too long", id);
    error = count_one_more(store, ctx);
    if (error == FL_OK)
        error = fl_registry_put(store, device, ctx);
    if (error != FL_OK)
        return error;
    entry.detail = json_pack("{s:s, s:s}", "profile", profile, "site", site);
    return fl_audit_append(store, &entry, ctx);
}

struct each {
    fl_device_visit visit;
    void *to;
};

static bool visit_document(void *to, struct fl_slice key, struct fl_slice text)
{
    struct each *each = to;
    struct fl_device device;
    json_t *document = fl_document_parse(text);
    bool good = document && device_from_json(document, &device);

    (void)key;
    json_decref(document);
    return !good || each->visit(each->to, &device);
}

enum fl_error fl_registry_each(const struct fl_store *store, struct fl_slice after,
                               fl_device_visit visit, void *to, struct fl_context *ctx)
{
    struct each each = {.visit = visit, .to = to};
    uint8_t from[FL_NAME_MAX + 1] = {0};

    if (after.size > FL_NAME_MAX)
        return fl_fail(ctx, FL_EINVAL, "that is no device id");
    /* The first key after ID is ID with a zero octet. */
    if (after.size)
        memcpy(from, after.data, after.size);
    return store->ops->scan(store->self, FL_TABLE_DEVICE,
                            fl_slice(from, after.size ? after.size + 1 : 0), fl_slice(NULL, 0),
                            false, UINT32_MAX, visit_document, &each, ctx);
}

/* --- credentials --- */

enum fl_error fl_credential_get(const struct fl_store *store, const char *serial,
                                struct fl_credential *c, struct fl_context *ctx)
{
    char state[16];
    json_t *document = NULL;
    enum fl_error error =
        fl_document_get(store, FL_TABLE_CREDENTIAL, fl_slice_str(serial), &document, ctx);

    if (error != FL_OK)
        return error;
    *c = (struct fl_credential){0};
    fl_document_str(document, "serial", c->serial, sizeof c->serial);
    fl_document_str(document, "device", c->device, sizeof c->device);
    fl_document_str(document, "state", state, sizeof state);
    fl_document_str(document, "key", c->key, sizeof c->key);
    fl_document_str(document, "reason", c->reason, sizeof c->reason);
    c->state = (enum fl_credential_state)fl_name_index(credential_states, FL_CREDENTIAL_STATE_COUNT,
                                                       state);
    c->not_before = fl_document_int(document, "not_before", 0);
    c->not_after = fl_document_int(document, "not_after", 0);
    c->since = fl_document_int(document, "since", 0);
    c->cause = (enum fl_crl_reason)fl_document_int(document, "cause", FL_CRL_UNSPECIFIED);
    json_decref(document);
    if (c->state == FL_CREDENTIAL_STATE_COUNT)
        return fl_fail(ctx, FL_EPARSE, "the record of credential %s is damaged", serial);
    return FL_OK;
}

enum fl_error fl_credential_put(const struct fl_store *store, const struct fl_credential *c,
                                struct fl_context *ctx)
{
    json_t *document =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:I, s:i}", "serial", c->serial, "device",
                  c->device, "state", credential_states[c->state], "not_before",
                  (json_int_t)c->not_before, "not_after", (json_int_t)c->not_after, "key", c->key,
                  "reason", c->reason, "since", (json_int_t)c->since, "cause", (int)c->cause);
    enum fl_error error = FL_OK;

    if (!document)
        return fl_fail(ctx, FL_EINVAL, "credential: a text is not UTF-8");
    error = fl_document_put(store, FL_TABLE_CREDENTIAL, fl_slice_str(c->serial), document, ctx);
    json_decref(document);
    return error == FL_OK ? fl_status_note(store, c, ctx) : error;
}

static enum fl_error move_credential(const struct fl_store *store, const char *serial,
                                     const struct fl_credential_change *change,
                                     struct fl_context *ctx)
{
    bool is_out = change->next == FL_CREDENTIAL_HELD || change->next == FL_CREDENTIAL_REVOKED;
    struct fl_credential c = {0};
    enum fl_error error = fl_credential_get(store, serial, &c, ctx);

    if (error != FL_OK)
        return error;
    if (c.state == change->next)
        return FL_OK;
    error = fl_credential_move(&c, change->next, ctx);
    if (error != FL_OK)
        return error;
    (void)fl_str_copy(c.reason, sizeof c.reason, is_out ? change->reason : "");
    c.cause = is_out ? change->cause : FL_CRL_UNSPECIFIED;
    c.since = change->now;
    return fl_credential_put(store, &c, ctx);
}

static void drop_serial(struct fl_device *device, const char *serial)
{
    for (size_t i = 0; i < device->serial_count; i++) {
        if (strcmp(device->serials[i], serial) != 0)
            continue;
        device->serial_count--;
        memmove(device->serials[i], device->serials[i + 1],
                (device->serial_count - i) * sizeof device->serials[0]);
        return;
    }
}

/* The credential at `i` is live no more. */
static enum fl_error revoke_one(const struct fl_store *store, struct fl_device *device, size_t i,
                                const char *reason, fl_time_t now, struct fl_context *ctx)
{
    const struct fl_credential_change replaced = {
        .next = FL_CREDENTIAL_REVOKED, .cause = FL_CRL_SUPERSEDED, .reason = reason, .now = now};
    char serial[FL_LIMIT_SERIAL_HEX];
    enum fl_error error = FL_OK;

    (void)fl_str_copy(serial, sizeof serial, device->serials[i]);
    error = move_credential(store, serial, &replaced, ctx);
    if (error == FL_OK)
        drop_serial(device, serial);
    return error;
}

enum fl_error fl_registry_attach(const struct fl_store *store, struct fl_device *device,
                                 const struct fl_credential *credential, const char *by,
                                 struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (device->serial_count == FL_LIMIT_DEVICE_CERTS)
        error = revoke_one(store, device, strcmp(device->serials[0], by) == 0 ? 1 : 0,
                           "replaced by a newer one", credential->since, ctx);
    if (error != FL_OK)
        return error;
    (void)fl_str_copy(device->serials[device->serial_count], sizeof device->serials[0],
                      credential->serial);
    device->serial_count++;
    (void)fl_str_copy(device->last_serial, sizeof device->last_serial, credential->serial);
    error =
        fl_due_put(store, END_PREFIX, credential->not_after, fl_slice_str(credential->serial), ctx);
    return error == FL_OK ? fl_credential_put(store, credential, ctx) : error;
}

enum fl_error fl_registry_supersede(const struct fl_store *store, struct fl_device *device,
                                    const char *serial, fl_time_t now, struct fl_context *ctx)
{
    char reason[FL_LIMIT_REASON + 1];
    size_t older = 0;
    enum fl_error error = FL_OK;

    while (older < device->serial_count && strcmp(device->serials[older], serial) != 0)
        older++;
    if (older == 0 || older == device->serial_count)
        return FL_ENOTFOUND;
    (void)snprintf(reason, sizeof reason, "superseded by %s", serial);
    for (; older > 0 && error == FL_OK; older--)
        error = revoke_one(store, device, 0, reason, now, ctx);
    return error == FL_OK ? fl_registry_put(store, device, ctx) : error;
}

enum fl_error fl_registry_expire(const struct fl_store *store, fl_time_t now,
                                 struct fl_device *device, struct fl_context *ctx)
{
    struct fl_due due = {0};
    struct fl_slice what = {0};
    struct fl_credential c = {0};
    const struct fl_credential_change ended = {
        .next = FL_CREDENTIAL_EXPIRED, .reason = "", .now = now};
    char serial[FL_LIMIT_SERIAL_HEX];
    enum fl_error error = fl_due_first(store, END_PREFIX, &due, ctx);

    if (error != FL_OK)
        return error;
    if (due.at > now)
        return FL_ENOTFOUND;
    what = fl_slice(due.what, due.what_size);
    (void)fl_str_copy_slice(serial, sizeof serial, what);
    error = fl_due_del(store, END_PREFIX, due.at, what, ctx);
    if (error == FL_OK)
        error = fl_credential_get(store, serial, &c, ctx);
    if (error == FL_ENOTFOUND ||
        (error == FL_OK && c.state != FL_CREDENTIAL_ISSUED && c.state != FL_CREDENTIAL_HELD))
        return FL_ESTATE;
    if (error == FL_OK)
        error = move_credential(store, serial, &ended, ctx);
    if (error == FL_OK)
        error = fl_registry_get(store, fl_slice_str(c.device), device, ctx);
    if (error != FL_OK)
        return error;
    drop_serial(device, serial);
    return fl_registry_put(store, device, ctx);
}

enum fl_error fl_registry_move_credentials(const struct fl_store *store, struct fl_device *device,
                                           const struct fl_credential_change *change,
                                           struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < device->serial_count && error == FL_OK; i++)
        error = move_credential(store, device->serials[i], change, ctx);
    if (error == FL_OK &&
        (change->next == FL_CREDENTIAL_REVOKED || change->next == FL_CREDENTIAL_EXPIRED))
        device->serial_count = 0;
    return error;
}
