/* SPDX-License-Identifier: Apache-2.0
 *
 * One-time tokens as documents (trust/token_check.h judges them): one per device id, or per
 * principal name. A newer one takes the place of an older one. Runs in the caller's transaction.
 */
#ifndef FL_SERVICE_TOKEN_RECORD_H
#define FL_SERVICE_TOKEN_RECORD_H

#include "service/document.h"
#include "trust/token_check.h"

/* FL_ENOTFOUND. */
FL_MUST_USE enum fl_error fl_token_record_get(const struct fl_store *store, enum fl_token_kind kind,
                                              struct fl_slice id, struct fl_token_record *record,
                                              struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_token_record_put(const struct fl_store *store,
                                              const struct fl_token_record *record,
                                              struct fl_context *ctx);

/* Reads the token's text and judges it; `*record` is what is stored for it. Words and errors as
 * fl_token_decode and fl_token_check. */
FL_MUST_USE enum fl_error fl_token_record_check(const struct fl_store *store,
                                                enum fl_token_kind kind, struct fl_slice id,
                                                struct fl_slice text, fl_time_t now,
                                                struct fl_token_record *record,
                                                struct fl_context *ctx);

#endif
