/* SPDX-License-Identifier: Apache-2.0
 *
 * Enrolment over Secure Transport (RFC 7030, RFC 8951) under /.well-known/est/: cacerts, csrattrs,
 * simpleenroll (HTTP Basic: device id and one-time token) and simplereenroll (the TLS client
 * certificate). The request is parsed and judged here; whether it is granted, the hub decides.
 */
#ifndef FL_FRONT_EST_H
#define FL_FRONT_EST_H

#include "front/link.h"
#include "front/pending.h"

struct fl_est {
    const struct fl_link *link;
    struct fl_pending *pending;
    struct fl_buffer cacerts; /* the answer, in base64 */
};

void fl_est_init(struct fl_est *est, const struct fl_link *link, struct fl_pending *pending);
void fl_est_free(struct fl_est *est);

FL_MUST_USE enum fl_error fl_est_config(struct fl_est *est, struct fl_slice issuing,
                                        struct fl_slice root, struct fl_context *ctx);

void fl_est_cacerts(struct fl_est *est, struct fl_http_exchange *exchange,
                    const struct fl_http_request *request);
void fl_est_csrattrs(struct fl_est *est, struct fl_http_exchange *exchange,
                     const struct fl_http_request *request);
void fl_est_enrol(struct fl_est *est, struct fl_http_exchange *exchange,
                  const struct fl_http_request *request);
void fl_est_reenrol(struct fl_est *est, struct fl_http_exchange *exchange,
                    const struct fl_http_request *request);
void fl_est_result(struct fl_est *est, const struct fl_msg_enrol_result *result);

/* The base64 of a PKCS #10 request as clients send it: white space and PEM armour are forgiven. */
FL_MUST_USE enum fl_error fl_est_decode_csr(struct fl_slice body, struct fl_buffer *der,
                                            struct fl_context *ctx);

#endif
