/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log: who did what to what, when and why. Each record holds the hash of the one before
 * it; its own hash is the SHA-256 of its canonical JSON without the member `hash`. The head is kept
 * a second time, so that a shortened log is noticed too. It proves that records were not changed by
 * accident or by someone who cannot rewrite all of them; keep a head elsewhere to prove more.
 */
#ifndef FL_SERVICE_AUDIT_H
#define FL_SERVICE_AUDIT_H

#include "service/document.h"

#define FL_AUDIT_HASH_TEXT 65

struct fl_audit_entry {
    const char *who;  /* a principal, "local:UID", "device:ID", or a part of the hub ("timer") */
    const char *what; /* "device.quarantine" */
    const char *object;
    json_t *detail; /* an object, or NULL; its reference is taken over, also on failure */
    fl_time_t at;
};

/* Call inside the transaction of the change. */
FL_MUST_USE enum fl_error fl_audit_append(const struct fl_store *store,
                                          const struct fl_audit_entry *entry,
                                          struct fl_context *ctx);

/* How many records there are. */
FL_MUST_USE enum fl_error fl_audit_count(const struct fl_store *store, uint64_t *records,
                                         struct fl_context *ctx);

/* A check of the whole chain in steps, so that a long log holds nothing up. Start from zero. */
struct fl_audit_check {
    uint64_t records; /* found to be good */
    char head[FL_AUDIT_HASH_TEXT];
    bool done;
    bool broken;
    uint64_t broken_at;
    char detail[160];
};
FL_MUST_USE enum fl_error fl_audit_check_step(const struct fl_store *store, uint32_t records,
                                              struct fl_audit_check *check, struct fl_context *ctx);

#endif
