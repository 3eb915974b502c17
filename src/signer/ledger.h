/* SPDX-License-Identifier: Apache-2.0
 *
 * What the signer writes down about itself, in DIR/keys/issued (proto/issuance): every certificate
 * before it leaves, every refusal, and checkpoints signed by the issuing key. Refusals over
 * FL_LEDGER_REFUSALS a second are only counted, in the record that follows. The process adds
 * records, calls fl_ledger_commit once for all requests that it has read, and answers after that.
 */
#ifndef FL_SIGNER_LEDGER_H
#define FL_SIGNER_LEDGER_H

#include "io/files.h"
#include "proto/issuance.h"
#include "signer/policy.h"

#define FL_LEDGER_FOLDER "keys/issued"

enum {
    FL_LEDGER_REFUSALS = 1, /* recorded a second, in the long run */
    FL_LEDGER_REFUSALS_BURST = 300,
    FL_LEDGER_CHECKPOINT = 1024,     /* records after which one is made */
    FL_LEDGER_CHECKPOINT_MS = 60000, /* after the first record that none covers */
};

struct fl_ledger { /* zero-initialised: closed */
    struct fl_files_folder folder;
    struct fl_issuance *log;
    EVP_PKEY *key; /* the issuing key; the caller's */
    uint8_t issuer[8];
    struct fl_signer_rate refusals;
    uint32_t unrecorded;
    uint64_t covered; /* by the last checkpoint of the log's newest file: its number */
};

/* `dir` is the hub directory. An interrupted write is repaired and told of in the process's log.
 * `certificate` is the issuing one. */
FL_MUST_USE enum fl_error fl_ledger_open(struct fl_ledger *ledger, const char *dir, EVP_PKEY *key,
                                         fl_time_t now, struct fl_context *ctx);
void fl_ledger_close(struct fl_ledger *ledger);

/* What was not written comes first: while that fails, nothing may be signed. */
FL_MUST_USE enum fl_error fl_ledger_ready(struct fl_ledger *ledger, struct fl_context *ctx);

struct fl_ledger_entry {
    const struct fl_cert_info *certificate;
    const uint8_t *key; /* SHA-256 of the subject's public key */
    struct fl_slice reason;
    fl_time_t now;
};
FL_MUST_USE enum fl_error fl_ledger_issued(struct fl_ledger *ledger,
                                           const struct fl_ledger_entry *entry,
                                           struct fl_context *ctx);
/* Never fails: what cannot be recorded is counted. */
void fl_ledger_refused(struct fl_ledger *ledger, const struct fl_msg_sign *request,
                       enum fl_error error, const char *text, fl_time_t now, fl_time_t monotonic);

/* Writes and syncs what was added; makes a checkpoint when one is due. */
FL_MUST_USE enum fl_error fl_ledger_commit(struct fl_ledger *ledger, fl_time_t now,
                                           struct fl_context *ctx);
/* Records, or refusals that were only counted, that no checkpoint covers. */
bool fl_ledger_is_uncovered(const struct fl_ledger *ledger);
/* Signs and commits one. */
FL_MUST_USE enum fl_error fl_ledger_checkpoint(struct fl_ledger *ledger, fl_time_t now,
                                               struct fl_context *ctx);

/* Answers ISSUED_ASK. `records` is emptied and filled. */
void fl_ledger_page(struct fl_ledger *ledger, const struct fl_msg_issued_ask *ask,
                    struct fl_buffer *records, struct fl_context *text,
                    struct fl_msg_issued_page *page);

#endif
