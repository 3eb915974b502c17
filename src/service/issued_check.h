/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks the signer's issuance log, and it against the registry: the chain is whole and signed,
 * every certificate of a device in the log is known here, and every credential here is in the log.
 * In steps, so that nothing is held up: begin, the log's pages in their order, end, then the
 * credentials until it is done. Also what the hub remembers of the log's head, so that a log that
 * was cut off or written anew since is noticed.
 */
#ifndef FL_SERVICE_ISSUED_CHECK_H
#define FL_SERVICE_ISSUED_CHECK_H

#include "codec/issued.h"
#include "service/registry.h"
#include "trust/issued_chain.h"

#include <openssl/x509.h>

/* What this hub has seen of the log; zeros: nothing. */
struct fl_issued_seen {
    uint64_t seq;
    uint8_t head[FL_ISSUED_HASH];
};
FL_MUST_USE enum fl_error fl_issued_seen_get(const struct fl_store *store,
                                             struct fl_issued_seen *seen, struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_issued_seen_put(const struct fl_store *store,
                                             const struct fl_issued_seen *seen,
                                             struct fl_context *ctx);

struct fl_issued_check {
    EVP_PKEY *issuer;
    struct fl_issued_chain chain;
    struct fl_issued_seen seen;
    fl_time_t first_at;
    uint64_t devices; /* certificates */
    uint64_t servers;
    uint64_t refused;
    uint64_t repaired;
    uint64_t unknown; /* certificates of devices that the registry does not know, or otherwise */
    uint64_t missing; /* credentials that the log does not have */
    uint64_t older;   /* credentials from before the log begins */
    bool broken;
    bool ended;
    bool done;
    char detail[256];  /* why it is broken */
    json_t *findings;  /* texts, the first FL_ISSUED_FINDINGS of them */
    uint64_t *serials; /* the first octets of each device certificate's, sorted at the end */
    size_t capacity;
    char after[FL_LIMIT_SERIAL_HEX]; /* the last credential that was looked at */
};
#define FL_ISSUED_FINDINGS 20
/* The signer dates certificates back by 5 minutes, in whole seconds: a credential that begins this
 * much before the log does was issued before it began. */
#define FL_ISSUED_OLDER_MS INT64_C(299000)

/* `issuing`: the issuing certificate, DER. Free it in any case. */
FL_MUST_USE enum fl_error fl_issued_check_begin(struct fl_issued_check *check,
                                                const struct fl_store *store,
                                                struct fl_slice issuing, struct fl_context *ctx);
/* Whole frames. What is wrong with them is a finding, not an error. */
FL_MUST_USE enum fl_error fl_issued_check_page(struct fl_issued_check *check,
                                               const struct fl_store *store, struct fl_slice frames,
                                               struct fl_context *ctx);
/* The log cannot be read on; `words` say why. */
void fl_issued_check_break(struct fl_issued_check *check, const char *words);
void fl_issued_check_end(struct fl_issued_check *check);
/* At most `count` credentials; sets `done`. */
FL_MUST_USE enum fl_error fl_issued_check_credentials(struct fl_issued_check *check,
                                                      const struct fl_store *store, uint32_t count,
                                                      struct fl_context *ctx);
void fl_issued_check_free(struct fl_issued_check *check);

bool fl_issued_check_good(const struct fl_issued_check *check);
json_t *fl_issued_check_json(const struct fl_issued_check *check);

/* A record as the API and `fairlead audit issued` show it. */
json_t *fl_issued_json(const struct fl_issued *record);

/* In a transaction: the device certificate `record` never reached the device, or nobody here knows
 * why it was made: it becomes a revoked credential, with an audit record. FL_EEXISTS: it is known.
 */
FL_MUST_USE enum fl_error fl_issued_adopt(const struct fl_store *store,
                                          const struct fl_issued *record, fl_time_t now,
                                          struct fl_context *ctx);

#endif
