/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether certificates are good, for everyone who asks: the hub's revocation list, OCSP, and the
 * issuing certificate, over HTTPS and on a plain HTTP listener that serves nothing else (who checks
 * the hub's certificate cannot trust it yet; all that is served is signed). The front signs nothing
 * of it: it keeps what the hub signed, and asks for what it has not. What it keeps of OCSP holds
 * until the hub says that it does not any more, or half of its time is over.
 */
#ifndef FL_FRONT_STATUS_H
#define FL_FRONT_STATUS_H

#include "base/list.h"
#include "base/token_bucket.h"
#include "base/world.h"
#include "front/link.h"
#include "front/pending.h"
#include "trust/ocsp.h"

struct fl_status {
    struct fl_loop *loop;
    const struct fl_clock *clock;
    const struct fl_link *link;
    struct fl_pending *pending;
    struct fl_http_server *server; /* plain HTTP; NULL: none */

    struct fl_buffer list; /* DER; empty: none yet */
    struct fl_buffer coming;
    uint64_t number;
    struct fl_buffer issuing;
    struct fl_ocsp_issuer issuer;

    struct fl_map responses;
    struct fl_list oldest_first; /* by use */
    size_t waiting;              /* questions that the hub has not answered */
    struct fl_token_bucket asks;
};

void fl_status_init(struct fl_status *status, struct fl_loop *loop, const struct fl_clock *clock,
                    const struct fl_link *link, struct fl_pending *pending);
void fl_status_free(struct fl_status *status);
/* Takes over `fd`. */
FL_MUST_USE enum fl_error fl_status_open(struct fl_status *status, int fd, struct fl_context *ctx);

/* What the hub says. CONFIG makes it forget what was said of certificates before. */
FL_MUST_USE enum fl_error fl_status_config(struct fl_status *status, struct fl_slice issuing,
                                           struct fl_context *ctx);
FL_MUST_USE enum fl_error fl_status_part(struct fl_status *status, struct fl_slice der);
FL_MUST_USE enum fl_error fl_status_list(struct fl_status *status, const struct fl_msg_crl *crl);
void fl_status_answer(struct fl_status *status, const struct fl_msg_ocsp_answer *answer);
FL_MUST_USE enum fl_error fl_status_drop(struct fl_status *status, struct fl_slice serials);
void fl_status_hub_away(struct fl_status *status);

/* Answers what is under its paths; false: the request is not for it. */
bool fl_status_request(struct fl_status *status, struct fl_http_exchange *exchange,
                       const struct fl_http_request *request);

/* The answer to an OCSP request that is kept; empty: there is none. */
struct fl_slice fl_status_kept(struct fl_status *status, const struct fl_ocsp_question *question);

#endif
