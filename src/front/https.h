/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTPS listener: enrolment (front/est) and the API (front/api); nothing else is there. A
 * client certificate is optional; who shows one that is not good is refused in the handshake.
 */
#ifndef FL_FRONT_HTTPS_H
#define FL_FRONT_HTTPS_H

#include "front/api.h"
#include "front/est.h"

struct fl_https {
    struct fl_pending pending;
    struct fl_est est;
    struct fl_api api;
    struct fl_http_server *server;
    uint64_t requests; /* since the start */
};

void fl_https_init(struct fl_https *https, struct fl_loop *loop, const struct fl_link *link);
FL_MUST_USE enum fl_error fl_https_open(struct fl_https *https, struct fl_loop *loop, int fd,
                                        SSL_CTX *tls, struct fl_context *ctx);
void fl_https_free(struct fl_https *https);

/* Closes the connections that a device authenticated with a credential for which `stays` is false.
 */
uint32_t fl_https_cut(struct fl_https *https, struct fl_slice device,
                      bool (*stays)(void *self, struct fl_slice device, struct fl_slice serial),
                      void *self);

/* What is answered to which path; NULL: nothing is there. `allow` is the method. */
typedef void (*fl_https_answer)(struct fl_https *https, struct fl_http_exchange *exchange,
                                const struct fl_http_request *request);
fl_https_answer fl_https_route(struct fl_slice path, const char **allow);

#endif
