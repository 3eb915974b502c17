/* SPDX-License-Identifier: Apache-2.0
 *
 * Every response to trouble is an action: it has a reason, may have a time limit, can be rehearsed
 * (dry run: everything is decided, nothing is written) and undone, and is in the audit log. Kinds:
 *   hold        its credentials are held; it may enrol anew            undone by release
 *   quarantine  the device is kept out, its credentials are held       undone by release
 *   revoke      its credentials are revoked; it must enrol again       undone by undo
 *   retire      out of service for good: credentials and token void    undone by undo
 * Every verb runs inside the caller's transaction.
 */
#ifndef FL_SERVICE_ACTION_H
#define FL_SERVICE_ACTION_H

#include "service/registry.h"

enum fl_action_kind {
    FL_ACTION_QUARANTINE,
    FL_ACTION_REVOKE,
    FL_ACTION_RETIRE,
    FL_ACTION_HOLD,
    FL_ACTION_KIND_COUNT
};

enum fl_action_state {
    FL_ACTION_PROPOSED, /* a dry run */
    FL_ACTION_ACTIVE,
    FL_ACTION_UNDONE,
    FL_ACTION_EXPIRED,
    FL_ACTION_STATE_COUNT
};

struct fl_action {
    uint64_t id; /* 0 in a dry run */
    char device[FL_NAME_MAX + 1];
    enum fl_action_kind kind;
    enum fl_action_state state;
    char reason[FL_LIMIT_REASON + 1];
    char by[FL_NAME_MAX + 8];
    fl_time_t at;
    fl_time_t until; /* or FL_TIME_NEVER */
    char undone_by[FL_NAME_MAX + 8];
    enum fl_device_state before; /* the device's, for the inverse */
    uint64_t previous;           /* the action that the device was under, or 0 */
    char serials[FL_LIMIT_DEVICE_CERTS][FL_LIMIT_SERIAL_HEX]; /* what it took out of use */
    size_t serial_count;
};

#define FL_OUTCOME_EFFECTS 6

struct fl_outcome {
    struct fl_action action;
    struct fl_device device; /* as it is after it; in a dry run as it would be */
    const char *verb;        /* "quarantine", "hold", "release", "revoke", "retire", "undo" */
    bool dry_run;
    char effects[FL_OUTCOME_EFFECTS][120];
    size_t effect_count;
};

const char *fl_action_kind_name(enum fl_action_kind kind);
const char *fl_action_state_name(enum fl_action_state state);
enum fl_action_state fl_action_state_of(const char *name); /* or FL_ACTION_STATE_COUNT */

/* `for_ms` 0: without end. FL_ENOTFOUND; FL_ESTATE: not from the state that the device is in;
 * FL_EINVAL: a time limit on what has none, or over FL_LIMIT_ACTION_S. A quarantine of a
 * quarantined device, or a hold of a held one, takes the place of the one before. */
FL_MUST_USE enum fl_error fl_action_apply(const struct fl_store *store, enum fl_action_kind kind,
                                          struct fl_slice device, fl_time_t for_ms, bool dry_run,
                                          const struct fl_change *change,
                                          struct fl_outcome *outcome, struct fl_context *ctx);

/* Ends the quarantine or the hold that the device is under. */
FL_MUST_USE enum fl_error fl_action_release(const struct fl_store *store, struct fl_slice device,
                                            bool dry_run, const struct fl_change *change,
                                            struct fl_outcome *outcome, struct fl_context *ctx);

/* The inverse of any active action. FL_ESTATE: it is not active, or the device has moved on. */
FL_MUST_USE enum fl_error fl_action_undo(const struct fl_store *store, uint64_t id, bool dry_run,
                                         const struct fl_change *change, struct fl_outcome *outcome,
                                         struct fl_context *ctx);

/* When the next active action ends by itself, or FL_TIME_NEVER. */
FL_MUST_USE enum fl_error fl_action_next_due(const struct fl_store *store, fl_time_t *due,
                                             struct fl_context *ctx);
/* Ends one whose time has come. FL_ENOTFOUND: there is none. */
FL_MUST_USE enum fl_error fl_action_expire(const struct fl_store *store, fl_time_t now,
                                           struct fl_outcome *outcome, struct fl_context *ctx);

FL_MUST_USE enum fl_error fl_action_get(const struct fl_store *store, uint64_t id,
                                        struct fl_action *action, struct fl_context *ctx);
typedef bool (*fl_action_visit)(void *to, const struct fl_action *action);
/* By id, those after `after`. */
FL_MUST_USE enum fl_error fl_action_each(const struct fl_store *store, uint64_t after,
                                         fl_action_visit visit, void *to, struct fl_context *ctx);

#endif
