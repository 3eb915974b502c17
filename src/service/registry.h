/* SPDX-License-Identifier: Apache-2.0
 *
 * The devices of a hub and their credentials, as documents of the store. States change only along
 * the tables here. It decides no policy: enrolment, action and posture are built on it. Everything
 * that writes runs inside the caller's transaction.
 */
#ifndef FL_SERVICE_REGISTRY_H
#define FL_SERVICE_REGISTRY_H

#include "service/document.h"
#include "trust/crl.h"

enum fl_device_state {
    FL_DEVICE_EXPECTED, /* known, has no certificate yet */
    FL_DEVICE_ACTIVE,
    FL_DEVICE_QUARANTINED,
    FL_DEVICE_RETIRED,
    FL_DEVICE_STATE_COUNT
};

enum fl_credential_state {
    FL_CREDENTIAL_ISSUED,
    FL_CREDENTIAL_HELD, /* not good now; it may become so again */
    FL_CREDENTIAL_REVOKED,
    FL_CREDENTIAL_EXPIRED,
    FL_CREDENTIAL_STATE_COUNT
};

struct fl_device {
    char id[FL_NAME_MAX + 1];
    char profile[FL_NAME_MAX + 1];
    char site[FL_LIMIT_SITE + 1];
    enum fl_device_state state;
    fl_time_t created;
    fl_time_t since; /* in this state */
    fl_time_t until; /* the end of a quarantine, or FL_TIME_NEVER */
    uint64_t action; /* the one that put it where it is, or 0 */
    char reason[FL_LIMIT_REASON + 1];
    char serials[FL_LIMIT_DEVICE_CERTS][FL_LIMIT_SERIAL_HEX]; /* live, the newest last */
    size_t serial_count;
    char last_serial[FL_LIMIT_SERIAL_HEX]; /* the newest ever, live or not */
};

struct fl_credential {
    fl_time_t not_before;
    fl_time_t not_after;
    enum fl_credential_state state;
    char serial[FL_LIMIT_SERIAL_HEX];
    char device[FL_NAME_MAX + 1];
    char key[17];                     /* trust/key.h: fl_key_id */
    char reason[FL_LIMIT_REASON + 1]; /* why it is held or revoked, for a person */
    enum fl_crl_reason cause;         /* and for a program */
    fl_time_t since;                  /* in this state */
};

/* What happens to credentials, why, and when (ms since the epoch). */
struct fl_credential_change {
    enum fl_credential_state next;
    enum fl_crl_reason cause; /* when held or revoked */
    const char *reason;
    fl_time_t now;
};

const char *fl_device_state_name(enum fl_device_state state);
/* FL_DEVICE_STATE_COUNT when it is none. */
enum fl_device_state fl_device_state_of(const char *name);
const char *fl_credential_state_name(enum fl_credential_state state);

/* FL_ESTATE with words when the table does not have the move. Clears `until` and `reason`. */
FL_MUST_USE enum fl_error fl_device_move(struct fl_device *device, enum fl_device_state next,
                                         fl_time_t now, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_credential_move(struct fl_credential *credential,
                                             enum fl_credential_state next, struct fl_context *ctx);

/* A new device in state expected, and its audit record. FL_EINVAL, FL_EEXISTS, FL_ELIMIT. */
FL_MUST_USE enum fl_error fl_registry_add(const struct fl_store *store, const char *id,
                                          const char *profile, const char *site,
                                          const struct fl_change *change, struct fl_device *device,
                                          struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_registry_get(const struct fl_store *store, struct fl_slice id,
                                          struct fl_device *device, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_registry_put(const struct fl_store *store,
                                          const struct fl_device *device, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_registry_count(const struct fl_store *store, uint64_t *devices,
                                            struct fl_context *ctx);

/* Devices by id, those after `after`; visiting ends when it returns false. */
typedef bool (*fl_device_visit)(void *to, const struct fl_device *device);
FL_MUST_USE enum fl_error fl_registry_each(const struct fl_store *store, struct fl_slice after,
                                           fl_device_visit visit, void *to, struct fl_context *ctx);

FL_MUST_USE enum fl_error fl_credential_get(const struct fl_store *store, const char *serial,
                                            struct fl_credential *credential,
                                            struct fl_context *ctx);
/* Notes in service/status, too, whether it is good. */
FL_MUST_USE enum fl_error fl_credential_put(const struct fl_store *store,
                                            const struct fl_credential *credential,
                                            struct fl_context *ctx);

/* Gives the device one more live credential; beyond FL_LIMIT_DEVICE_CERTS the oldest but `by` is
 * revoked: the one that asked (empty: none) is the one that surely works. Writes the credentials;
 * the device is the caller's to put. */
FL_MUST_USE enum fl_error fl_registry_attach(const struct fl_store *store, struct fl_device *device,
                                             const struct fl_credential *credential, const char *by,
                                             struct fl_context *ctx);
/* The device has come with this credential: those that are older are retired (revoked, "superseded
 * by SERIAL"), newer ones stay. FL_ENOTFOUND: there are none older, nothing is written. */
FL_MUST_USE enum fl_error fl_registry_supersede(const struct fl_store *store,
                                                struct fl_device *device, const char *serial,
                                                fl_time_t now, struct fl_context *ctx);
/* Moves every live credential; with revoked or expired they are live no more. */
FL_MUST_USE enum fl_error fl_registry_move_credentials(const struct fl_store *store,
                                                       struct fl_device *device,
                                                       const struct fl_credential_change *change,
                                                       struct fl_context *ctx);

/* Retires from use the next credential whose end has come: it is live no more. `device` is its
 * device, as it is then. FL_ENOTFOUND: none has ended. FL_ESTATE: an ended one was not live any
 * more; call again. In a transaction, which is to be kept in both cases. */
FL_MUST_USE enum fl_error fl_registry_expire(const struct fl_store *store, fl_time_t now,
                                             struct fl_device *device, struct fl_context *ctx);

#endif
