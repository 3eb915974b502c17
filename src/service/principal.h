/* SPDX-License-Identifier: Apache-2.0
 *
 * Those who operate the hub from elsewhere. A principal has one credential: "flp." NAME "." and 32
 * random octets in base64url, sent as a Bearer token; stored is only its SHA-256. It is claimed
 * once, with a one-time token, and lives FL_LIMIT_PRINCIPAL_S. One that may only read metrics is
 * for a program, and lives FL_LIMIT_PRINCIPAL_METRICS_S. Verbs that write run in the caller's
 * transaction and append their audit record.
 */
#ifndef FL_SERVICE_PRINCIPAL_H
#define FL_SERVICE_PRINCIPAL_H

#include "service/document.h"
#include "trust/token_check.h"

#define FL_PRINCIPAL_SECRET_SIZE 32
#define FL_PRINCIPAL_TEXT (4 + FL_NAME_MAX + 1 + 43 + 1)

struct fl_principal {
    char name[FL_NAME_MAX + 1];
    fl_time_t created;
    fl_time_t expires;
    fl_time_t last_used; /* 0: never; kept to the minute */
    bool metrics_only;   /* may read metrics and nothing else */
};

const char *fl_principal_role(const struct fl_principal *principal); /* "admin" or "metrics" */

/* A token with which a new principal can be claimed; what it may do is decided here. */
FL_MUST_USE enum fl_error fl_principal_invite(const struct fl_store *store, const char *name,
                                              bool metrics_only, uint32_t ttl_s,
                                              const uint8_t secret[16],
                                              const struct fl_change *change, fl_time_t *expires,
                                              struct fl_context *ctx);
/* Imports what `fairlead init` left in state/first-admin (JSON: sha256 of the token's secret,
 * expires, name). One that is known already changes nothing; `*used`: it has been claimed. */
FL_MUST_USE enum fl_error fl_principal_import(const struct fl_store *store, struct fl_slice text,
                                              fl_time_t now, bool *used, struct fl_context *ctx);

/* Trades a token for a credential. FL_EEXISTS: the name is taken; FL_ELIMIT; else as
 * fl_token_record_check. `secret` is 32 random octets. */
FL_MUST_USE enum fl_error fl_principal_claim(const struct fl_store *store, struct fl_slice token,
                                             const char *name,
                                             const uint8_t secret[FL_PRINCIPAL_SECRET_SIZE],
                                             fl_time_t now, struct fl_principal *principal,
                                             char credential[FL_PRINCIPAL_TEXT],
                                             struct fl_context *ctx);

/* FL_EAUTH: no such credential; FL_EEXPIRED. `touch`: last use is more than a minute ago, the
 * caller should call fl_principal_used. */
FL_MUST_USE enum fl_error fl_principal_check(const struct fl_store *store,
                                             struct fl_slice credential, fl_time_t now,
                                             struct fl_principal *principal, bool *touch,
                                             struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_principal_used(const struct fl_store *store, const char *name,
                                            fl_time_t now, struct fl_context *ctx);

FL_MUST_USE enum fl_error fl_principal_remove(const struct fl_store *store, struct fl_slice name,
                                              const struct fl_change *change,
                                              struct fl_context *ctx);

typedef bool (*fl_principal_visit)(void *to, const struct fl_principal *principal);
FL_MUST_USE enum fl_error fl_principal_each(const struct fl_store *store, fl_principal_visit visit,
                                            void *to, struct fl_context *ctx);

#endif
