/* SPDX-License-Identifier: Apache-2.0 */
#include "service/enrolment.h"

#include "service/audit.h"
#include "service/token_record.h"

#include <stdio.h>
#include <stdlib.h>

/* gcc 12's analyzer loses what is held by an intrusive list and calls it a leak. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* The failures of one device id or one address, newest last. */
struct attempts {
    struct fl_map_node node;
    struct fl_list order;
    fl_time_t at[FL_LIMIT_ENROL_FAILURES_ADDRESS];
    size_t count;
    char key[FL_LIMIT_ADDRESS + 3];
};

struct flight {
    struct fl_map_node node;
    char device[FL_NAME_MAX + 1];
};

void fl_enrolment_init(struct fl_enrolment *e)
{
    *e = (struct fl_enrolment){0};
    fl_list_init(&e->oldest);
}

static void forget(struct fl_enrolment *e, struct attempts *a)
{
    fl_map_remove(&e->attempts, &a->node);
    fl_list_remove(&a->order);
    free(a);
}

void fl_enrolment_free(struct fl_enrolment *e)
{
    struct fl_map_node *node = NULL;

    while ((node = fl_map_first(&e->attempts)))
        forget(e, fl_container_of(node, struct attempts, node));
    while ((node = fl_map_first(&e->in_flight))) {
        fl_map_remove(&e->in_flight, node);
        free(fl_container_of(node, struct flight, node));
    }
    fl_map_free(&e->attempts);
    fl_map_free(&e->in_flight);
}

/* --- the rate limit --- */

/* "192.0.2.1:4711" and "[2001:db8::1]:4711" without the port. */
static void address_key(struct fl_slice peer, char key[FL_LIMIT_ADDRESS + 3])
{
    size_t size = peer.size;

    while (size > 0 && peer.data[size - 1] != ':')
        size--;
    (void)snprintf(key, FL_LIMIT_ADDRESS + 3, "a:%.*s", size > 0 ? (int)size - 1 : (int)peer.size,
                   (const char *)peer.data);
}

static void device_key(struct fl_slice device, char key[FL_LIMIT_ADDRESS + 3])
{
    (void)snprintf(key, FL_LIMIT_ADDRESS + 3, "d:%.*s", FL_SLICE_ARGS(device));
}

static struct attempts *attempts_of(const struct fl_enrolment *e, const char *key)
{
    struct fl_map_node *node = fl_map_find(&e->attempts, fl_slice_str(key));

    return node ? fl_container_of(node, struct attempts, node) : NULL;
}

/* How long the key must wait; 0: not at all. */
static fl_time_t must_wait(const struct fl_enrolment *e, const char *key, size_t max, fl_time_t now)
{
    const struct attempts *a = attempts_of(e, key);
    fl_time_t free_at = 0;

    if (!a || a->count < max)
        return 0;
    free_at = a->at[0] + FL_LIMIT_ENROL_WINDOW_MS;
    /* A clock that was set back must not lock anyone out for longer than the window. */
    if (a->at[0] > now)
        return FL_LIMIT_ENROL_WINDOW_MS;
    return free_at > now ? free_at - now : 0;
}

static struct attempts *new_attempts(struct fl_enrolment *e, const char *key)
{
    struct attempts *a = NULL;

    if (e->attempts.count >= FL_LIMIT_ENROL_TRACKED)
        forget(e, fl_container_of(e->oldest.next, struct attempts, order));
    a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    (void)fl_str_copy(a->key, sizeof a->key, key);
    if (fl_map_add(&e->attempts, &a->node, fl_slice_str(a->key)) != FL_OK) {
        free(a);
        return NULL;
    }
    fl_list_init(&a->order);
    return a;
}

static void count_failure(struct fl_enrolment *e, const char *key, size_t max, fl_time_t now)
{
    struct attempts *a = attempts_of(e, key);

    if (!a)
        a = new_attempts(e, key);
    if (!a)
        return;
    if (a->count == max) {
        memmove(a->at, a->at + 1, (max - 1) * sizeof a->at[0]);
        a->count--;
    }
    a->at[a->count++] = now;
    fl_list_remove(&a->order);
    fl_list_push(&e->oldest, &a->order);
}

/* --- tokens --- */

enum fl_error fl_enrolment_offer(const struct fl_store *store, const struct fl_device *device,
                                 uint32_t ttl_s, const uint8_t secret[16],
                                 const struct fl_change *change, fl_time_t *expires,
                                 struct fl_context *ctx)
{
    char at[FL_TIME_TEXT_MAX];
    struct fl_token_record record = {.kind = FL_TOKEN_DEVICE};
    struct fl_audit_entry entry = {
        .who = change->who, .what = "device.token", .object = device->id, .at = change->now};
    enum fl_error error = FL_OK;

    if (device->state == FL_DEVICE_RETIRED)
        return fl_fail(ctx, FL_ESTATE, "device %s is retired", device->id);
    if (ttl_s > FL_LIMIT_TOKEN_TTL_S)
        return fl_fail(ctx, FL_EINVAL, "a token lives at most %d days",
                       FL_LIMIT_TOKEN_TTL_S / 86400);
    *expires =
        change->now + (fl_time_t)(ttl_s ? ttl_s : (uint32_t)FL_LIMIT_TOKEN_TTL_DEFAULT_S) * 1000;
    record.expires = *expires;
    (void)fl_str_copy(record.id, sizeof record.id, device->id);
    fl_token_check_hash(secret, record.sha256);
    error = fl_token_record_put(store, &record, ctx);
    if (error != FL_OK)
        return error;
    entry.detail = json_pack("{s:s}", "expires", fl_time_format(*expires, at));
    return fl_audit_append(store, &entry, ctx);
}

/* --- requests --- */

bool fl_enrolment_renews_ended(const struct fl_enrolment *e, const struct fl_device *device,
                               const struct fl_credential *credential, fl_time_t now)
{
    return device->state == FL_DEVICE_ACTIVE &&
           strcmp(credential->serial, device->last_serial) == 0 &&
           (credential->state == FL_CREDENTIAL_ISSUED ||
            credential->state == FL_CREDENTIAL_EXPIRED) &&
           credential->not_after <= now && now - credential->not_after < e->renew_expired_ms;
}

static enum fl_error check_renewal(const struct fl_enrolment *e, const struct fl_store *store,
                                   const struct fl_enrolment_request *request, fl_time_t now,
                                   const struct fl_device *device, struct fl_context *ctx)
{
    char serial[FL_LIMIT_SERIAL_HEX];
    struct fl_credential c = {0};
    enum fl_error error = FL_OK;

    if (device->state != FL_DEVICE_ACTIVE)
        return fl_fail(ctx, FL_EDENIED, "device %s is %s: it may not renew", device->id,
                       fl_device_state_name(device->state));
    if (!fl_str_copy_slice(serial, sizeof serial, request->serial))
        return fl_fail(ctx, FL_EAUTH, "that is not a serial number");
    error = fl_credential_get(store, serial, &c, NULL);
    if (error == FL_ENOTFOUND || (error == FL_OK && strcmp(c.device, device->id) != 0))
        return fl_fail(ctx, FL_EAUTH, "that is not a certificate of device %s", device->id);
    if (error != FL_OK)
        return error;
    if (fl_enrolment_renews_ended(e, device, &c, now))
        return FL_OK;
    if (c.state != FL_CREDENTIAL_ISSUED && c.state != FL_CREDENTIAL_EXPIRED)
        return fl_fail(ctx, FL_EDENIED, "its certificate is %s", fl_credential_state_name(c.state));
    if (c.state == FL_CREDENTIAL_EXPIRED || c.not_after <= now)
        return fl_fail(ctx, FL_EEXPIRED, "its certificate has expired: it needs a new token");
    return FL_OK;
}

static enum fl_error judge(const struct fl_enrolment *e, const struct fl_store *store,
                           const struct fl_enrolment_request *request, fl_time_t now,
                           struct fl_device *device, struct fl_context *ctx)
{
    struct fl_token_record record = {0};
    enum fl_error error = FL_OK;

    if (request->token.size == 0 && request->serial.size == 0)
        return fl_fail(ctx, FL_EAUTH, "a token or a live certificate is needed");
    if (request->token.size) {
        error = fl_token_record_check(store, FL_TOKEN_DEVICE, request->device, request->token, now,
                                      &record, ctx);
        if (error != FL_OK)
            return error;
    }
    error = fl_registry_get(store, request->device, device, NULL);
    if (error == FL_ENOTFOUND)
        return fl_fail(ctx, FL_EAUTH, "no such device, or not with this credential");
    if (error != FL_OK)
        return fl_fail(ctx, error, "the registry cannot be read");
    if (request->token.size == 0)
        return check_renewal(e, store, request, now, device, ctx);
    if (device->state != FL_DEVICE_EXPECTED && device->state != FL_DEVICE_ACTIVE)
        return fl_fail(ctx, FL_EDENIED, "device %s is %s: it may not enrol", device->id,
                       fl_device_state_name(device->state));
    return FL_OK;
}

static enum fl_error take_off(struct fl_enrolment *e, const struct fl_device *device,
                              struct fl_context *ctx)
{
    struct flight *flight = NULL;
    enum fl_error error = FL_OK;

    if (fl_map_find(&e->in_flight, fl_slice_str(device->id)))
        return fl_fail(ctx, FL_EBUSY, "device %s is being enrolled right now", device->id);
    if (e->in_flight.count >= FL_LIMIT_ENROL_IN_FLIGHT)
        return fl_fail(ctx, FL_EBUSY, "too many enrolments at once");
    flight = calloc(1, sizeof *flight);
    if (!flight)
        return fl_fail(ctx, FL_ENOMEM, "out of memory");
    (void)fl_str_copy(flight->device, sizeof flight->device, device->id);
    error = fl_map_add(&e->in_flight, &flight->node, fl_slice_str(flight->device));
    if (error != FL_OK)
        free(flight);
    return error;
}

static bool is_their_fault(enum fl_error error)
{
    return error == FL_EAUTH || error == FL_EDENIED || error == FL_EEXPIRED || error == FL_ESTATE ||
           error == FL_EPARSE;
}

enum fl_error fl_enrolment_begin(struct fl_enrolment *e, const struct fl_store *store,
                                 const struct fl_enrolment_request *request, fl_time_t now,
                                 struct fl_device *device, uint32_t *retry_after_s,
                                 struct fl_context *ctx)
{
    char by_device[FL_LIMIT_ADDRESS + 3];
    char by_address[FL_LIMIT_ADDRESS + 3];
    fl_time_t wait_ms = 0;
    fl_time_t other_ms = 0;
    enum fl_error error = FL_OK;

    *retry_after_s = 0;
    if (!fl_name_valid(request->device))
        return fl_fail(ctx, FL_EINVAL, "that is not a device id");
    device_key(request->device, by_device);
    address_key(request->peer, by_address);
    wait_ms = must_wait(e, by_device, FL_LIMIT_ENROL_FAILURES, now);
    other_ms = must_wait(e, by_address, FL_LIMIT_ENROL_FAILURES_ADDRESS, now);
    wait_ms = wait_ms > other_ms ? wait_ms : other_ms;
    if (wait_ms > 0) {
        *retry_after_s = (uint32_t)((wait_ms + 999) / 1000);
        return fl_fail(ctx, FL_EBUSY, "too many failed attempts: try again in %u s",
                       *retry_after_s);
    }
    error = judge(e, store, request, now, device, ctx);
    if (is_their_fault(error)) {
        count_failure(e, by_device, FL_LIMIT_ENROL_FAILURES, now);
        count_failure(e, by_address, FL_LIMIT_ENROL_FAILURES_ADDRESS, now);
    }
    if (error == FL_OK)
        error = take_off(e, device, ctx);
    if (error == FL_EBUSY)
        *retry_after_s = 1;
    return error;
}

void fl_enrolment_end(struct fl_enrolment *e, struct fl_slice device)
{
    struct fl_map_node *node = fl_map_find(&e->in_flight, device);

    if (!node)
        return;
    fl_map_remove(&e->in_flight, node);
    free(fl_container_of(node, struct flight, node));
}

/* The token is kept as used, so that a second use is told from a wrong one. */
static enum fl_error use_up_token(const struct fl_store *store, const struct fl_device *device,
                                  struct fl_context *ctx)
{
    struct fl_token_record record = {0};
    enum fl_error error =
        fl_token_record_get(store, FL_TOKEN_DEVICE, fl_slice_str(device->id), &record, ctx);

    if (error == FL_ENOTFOUND)
        return fl_fail(ctx, FL_EAUTH, "the token of device %s was taken back", device->id);
    record.used = true;
    return error == FL_OK ? fl_token_record_put(store, &record, ctx) : error;
}

/* Without a live certificate only one that has ended by itself renews. */
static enum fl_error check_renewer(const struct fl_store *store, const struct fl_device *device,
                                   const char *serial, struct fl_context *ctx)
{
    struct fl_credential c = {0};
    enum fl_error error = FL_OK;

    error = fl_credential_get(store, serial, &c, ctx);
    if (error == FL_OK && c.state == FL_CREDENTIAL_HELD)
        error = fl_fail(ctx, FL_EDENIED, "device %s may not renew: its certificate is held",
                        device->id);
    if (error != FL_OK || device->serial_count > 0)
        return error;
    if (c.state != FL_CREDENTIAL_EXPIRED)
        error = fl_fail(ctx, FL_EDENIED, "the certificates of device %s are revoked", device->id);
    return error;
}

enum fl_error fl_enrolment_finish(const struct fl_store *store, const char *renewed,
                                  const struct fl_credential *credential, const char *peer,
                                  fl_time_t now, struct fl_device *device, struct fl_context *ctx)
{
    char who[FL_NAME_MAX + 8];
    bool renewal = renewed != NULL;
    struct fl_audit_entry entry = {.who = who,
                                   .what = renewal ? "device.renew" : "device.enrol",
                                   .object = credential->device,
                                   .at = now};
    const struct fl_credential_change replaced = {.next = FL_CREDENTIAL_REVOKED,
                                                  .cause = FL_CRL_SUPERSEDED,
                                                  .reason = "replaced by a new enrolment",
                                                  .now = now};
    enum fl_error error = fl_registry_get(store, fl_slice_str(credential->device), device, ctx);

    /* It may have been cut off while the signer worked. */
    if (error == FL_OK && device->state != FL_DEVICE_ACTIVE &&
        (renewal || device->state != FL_DEVICE_EXPECTED))
        error = fl_fail(ctx, FL_EDENIED, "device %s is %s", device->id,
                        fl_device_state_name(device->state));
    if (error == FL_OK && renewal)
        error = check_renewer(store, device, renewed, ctx);
    if (error == FL_OK && !renewal)
        error = use_up_token(store, device, ctx);
    if (error == FL_OK && !renewal)
        error = fl_registry_move_credentials(store, device, &replaced, ctx);
    if (error == FL_OK && device->state == FL_DEVICE_EXPECTED)
        error = fl_device_move(device, FL_DEVICE_ACTIVE, now, ctx);
    if (error == FL_OK && !renewal) {
        device->action = 0; /* a revocation or a hold is answered by this */
        device->until = FL_TIME_NEVER;
        device->reason[0] = '\0';
    }
    if (error == FL_OK)
        error = fl_registry_attach(store, device, credential, renewal ? renewed : "", ctx);
    if (error == FL_OK)
        error = fl_registry_put(store, device, ctx);
    if (error != FL_OK)
        return error;
    (void)snprintf(who, sizeof who, "device:%s", device->id);
    entry.detail = json_pack("{s:s, s:s, s:s}", "serial", credential->serial, "key",
                             credential->key, "peer", peer);
    return fl_audit_append(store, &entry, ctx);
}

enum fl_error fl_enrolment_connected(const struct fl_store *store, const char *serial,
                                     const char *peer, fl_time_t now, struct fl_device *device,
                                     struct fl_context *ctx)
{
    char who[FL_NAME_MAX + 8];
    struct fl_audit_entry entry = {
        .who = who, .what = "device.supersede", .object = device->id, .at = now};
    json_t *retired = json_array();
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < device->serial_count && strcmp(device->serials[i], serial) != 0; i++)
        (void)json_array_append_new(retired, json_string(device->serials[i]));
    error = fl_registry_supersede(store, device, serial, now, ctx);
    if (error != FL_OK) {
        json_decref(retired);
        return error;
    }
    (void)snprintf(who, sizeof who, "device:%s", device->id);
    entry.detail = json_pack("{s:s, s:o, s:s}", "serial", serial, "retired", retired, "peer", peer);
    return fl_audit_append(store, &entry, ctx);
}
