/* SPDX-License-Identifier: Apache-2.0
 *
 * The signer's keys and its one service: a SIGN message in, a SIGN_RESULT out. Of all processes of
 * a hub this alone holds the issuing key. It loads it from DIR/keys once, checks that what it
 * loaded belongs together, judges each request by its own policy (signer/policy) and writes down
 * each certificate that it issues and each request that it refuses (signer/ledger).
 */
#ifndef FL_SIGNER_ISSUE_H
#define FL_SIGNER_ISSUE_H

#include "io/files.h"
#include "signer/history.h"
#include "signer/keystore.h"
#include "signer/ledger.h"
#include "signer/policy.h"
#include "trust/datakey.h"

struct fl_signer {
    EVP_PKEY *key;
    X509 *issuing;
    struct fl_buffer issuing_der;
    struct fl_buffer root_der;
    uint8_t data_key[FL_DATAKEY_SIZE];
    uint8_t front_key[FL_DATAKEY_SIZE]; /* derived: for the front's log */
    char *host_text[FL_LIMIT_HOSTS];
    char status_url[FL_LIMIT_STATUS_URL + 1];
    struct fl_signer_policy policy;
    struct fl_signer_rate rate;
    struct fl_signer_rate key_rate;
    struct fl_signer_rate crl_rate;
    uint64_t crl_number;          /* of the last revocation list */
    struct fl_buffer crl_entries; /* of the next one, as far as they came */
    struct fl_files_folder keys;  /* DIR/keys */
    struct fl_files files;
    struct fl_keystore *keystore;
    struct fl_ledger ledger;
    struct fl_history *history; /* of what the ledger has */
};

/* Reads DIR/keys/{issuing.key,issuing.pem,root.pem,data.key,device-keys,issued/} and the host and
 * status-url lines of DIR/hub.conf. Errors name the file: unreadable, readable by others
 * (FL_EDENIED), malformed, not belonging together, expired at `now`. The struct stays where it is.
 * Always free it. */
FL_MUST_USE enum fl_error fl_signer_load(struct fl_signer *signer, const char *dir, fl_time_t now,
                                         struct fl_context *ctx);
void fl_signer_free(struct fl_signer *signer);

/* Answers one request. `now` is ms since the epoch, `monotonic` is for the rate limit (FL_EBUSY).
 * The slices of `result` point into `certificate`, `text` and the request. What the ledger got is
 * not written yet: no answer may leave before fl_ledger_commit. */
struct fl_signer_answer {
    struct fl_msg_sign_result result;
    struct fl_buffer certificate; /* emptied and filled by each answer; the caller frees it */
    struct fl_context text;
    char serial[FL_LIMIT_SERIAL_HEX];
};
void fl_signer_answer(struct fl_signer *signer, const struct fl_msg_sign *request, fl_time_t now,
                      fl_time_t monotonic, struct fl_signer_answer *answer);

#endif
