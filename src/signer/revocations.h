/* SPDX-License-Identifier: Apache-2.0
 *
 * The signer's third service: revocation lists. CRL_ENTRIES bring the serials, CRL_SIGN leads to
 * one list or to words why there is none. The list is made here and from nothing but serials,
 * reasons and times, so that no request can become a signature under anything else. When it begins
 * to hold is the signer's clock; its number is over the last one's. Each list and each refusal is
 * logged.
 */
#ifndef FL_SIGNER_REVOCATIONS_H
#define FL_SIGNER_REVOCATIONS_H

#include "signer/issue.h"

/* FL_ELIMIT: more than a list may have; the hub broke the contract. */
FL_MUST_USE enum fl_error fl_signer_take_entries(struct fl_signer *signer, struct fl_slice entries);

/* `der` is emptied and filled; the slices of `result` point into `text`. */
struct fl_signer_list {
    struct fl_msg_crl result;
    struct fl_context text;
    struct fl_buffer der; /* the caller frees it */
};
void fl_signer_answer_crl(struct fl_signer *signer, const struct fl_msg_crl_sign *request,
                          fl_time_t now, fl_time_t monotonic, struct fl_signer_list *answer);

#endif
