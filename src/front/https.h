/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTPS listener: enrolment (front/est), evidence (front/evidence), the API (front/api), the
 * status of certificates (front/status) and the door to MQTT over WebSocket (front/mqtt_upgrade);
 * nothing else is there. A client certificate is optional; who shows one that is not good is
 * refused in the handshake.
 */
#ifndef FL_FRONT_HTTPS_H
#define FL_FRONT_HTTPS_H

#include "front/api.h"
#include "front/est.h"
#include "front/evidence.h"
#include "front/mqtt.h"
#include "front/mqtt_upgrade.h"
#include "front/status.h"

struct fl_https {
    struct fl_pending pending;
    struct fl_est est;
    struct fl_evidence_door evidence;
    struct fl_api api;
    struct fl_mqtt_upgrade upgrade;
    struct fl_status status;
    struct fl_front_mqtt *mqtt; /* gets who came by WebSocket */
    const struct fl_roster *roster;
    /* As of fl_tls_host: someone came with TLS 1.2 who may not. */
    void (*refused)(void *self, const char *peer, const struct fl_cert_info *info, bool resumed,
                    const char *words);
    void *self;
    struct fl_http_server *server;
    uint64_t requests; /* since the start */
};

void fl_https_init(struct fl_https *https, struct fl_loop *loop, const struct fl_clock *clock,
                   const struct fl_link *link);
/* The names and addresses of the hub, separated by one space. */
void fl_https_config(struct fl_https *https, struct fl_slice hosts);
/* Takes over `fd`. `mqtt` must live as long. */
FL_MUST_USE enum fl_error fl_https_open(struct fl_https *https, struct fl_loop *loop, int fd,
                                        SSL_CTX *tls, struct fl_front_mqtt *mqtt,
                                        struct fl_context *ctx);
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
