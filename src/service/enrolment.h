/* SPDX-License-Identifier: Apache-2.0
 *
 * How a device gets its certificate: a one-time token, bound to its id, good for minutes; later a
 * renewal by a live certificate. `begin` judges a request and marks the device in flight, the
 * caller has the signer issue, then calls `finish` (inside a transaction: token used, credential
 * recorded, device active, audit) or `abort`. A token is used up only by a certificate that was
 * issued. Failures are counted per device id and per address, in bounded memory.
 */
#ifndef FL_SERVICE_ENROLMENT_H
#define FL_SERVICE_ENROLMENT_H

#include "base/list.h"
#include "base/map.h"
#include "service/registry.h"

struct fl_enrolment {
    struct fl_map attempts; /* by "d:" device id and "a:" address */
    struct fl_list oldest;  /* the same, least recently failed first */
    struct fl_map in_flight;
    fl_time_t renew_expired_ms; /* how long after its end a certificate may be renewed; 0: not */
};

void fl_enrolment_init(struct fl_enrolment *e);
void fl_enrolment_free(struct fl_enrolment *e);

/* A new token for the device; an older one is void. `ttl_s` 0: the default. FL_EINVAL: over
 * FL_LIMIT_TOKEN_TTL_S; FL_ESTATE: the device is retired. Runs in the caller's transaction and
 * writes the audit record. */
FL_MUST_USE enum fl_error fl_enrolment_offer(const struct fl_store *store,
                                             const struct fl_device *device, uint32_t ttl_s,
                                             const uint8_t secret[16],
                                             const struct fl_change *change, fl_time_t *expires,
                                             struct fl_context *ctx);

struct fl_enrolment_request {
    struct fl_slice device;
    struct fl_slice token;  /* the whole text; empty: renewal by `serial` */
    struct fl_slice serial; /* of the TLS client certificate */
    struct fl_slice peer;   /* address and port */
};

/* May this certificate, which has ended, be renewed all the same? Only the newest of an active
 * device, neither held nor revoked, and not long after its end. */
bool fl_enrolment_renews_ended(const struct fl_enrolment *e, const struct fl_device *device,
                               const struct fl_credential *credential, fl_time_t now);

/* FL_OK: `device` is in flight until finish or abort. FL_EBUSY: too many failures, or in flight
 * already: `retry_after_s`. FL_EAUTH, FL_EDENIED, FL_EEXPIRED, FL_ESTATE (used), FL_EPARSE with
 * words. Unknown device and wrong token read alike. */
FL_MUST_USE enum fl_error fl_enrolment_begin(struct fl_enrolment *e, const struct fl_store *store,
                                             const struct fl_enrolment_request *request,
                                             fl_time_t now, struct fl_device *device,
                                             uint32_t *retry_after_s, struct fl_context *ctx);

/* In a transaction. `renewed`: the credential that asked, the old ones stay until the device comes
 * with the new one; NULL: they are revoked, the token is used up. */
FL_MUST_USE enum fl_error fl_enrolment_finish(const struct fl_store *store, const char *renewed,
                                              const struct fl_credential *credential,
                                              const char *peer, fl_time_t now,
                                              struct fl_device *device, struct fl_context *ctx);
/* The device has connected with this credential. When it is newer than others of it, those are
 * retired, with an audit record; in a transaction. FL_ENOTFOUND: nothing to retire. */
FL_MUST_USE enum fl_error fl_enrolment_connected(const struct fl_store *store, const char *serial,
                                                 const char *peer, fl_time_t now,
                                                 struct fl_device *device, struct fl_context *ctx);
/* Not in flight any more, whatever came of it. */
void fl_enrolment_end(struct fl_enrolment *e, struct fl_slice device);

#endif
