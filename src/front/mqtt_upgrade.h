/* SPDX-License-Identifier: Apache-2.0
 *
 * The door to MQTT over WebSocket: judges the HTTP request that asks for it (RFC 6455 section 4.2,
 * MQTT 5.0 section 6.0) and answers 101, or says what is missing. Who may come in was judged by
 * their certificate in the handshake of TLS, as on the MQTT port. What a browser adds to that is
 * its page's origin: a page of somebody else must not speak with the certificate of the device that
 * shows it.
 */
#ifndef FL_FRONT_MQTT_UPGRADE_H
#define FL_FRONT_MQTT_UPGRADE_H

#include "io/http_server.h"

struct fl_mqtt_upgrade {
    char hosts[4097]; /* names and addresses of the hub, separated by one space */
    uint16_t port;    /* of HTTPS */
};

/* True if `origin` (RFC 6454) is "https://HOST" or "https://HOST:PORT" of the hub itself. */
bool fl_mqtt_upgrade_is_own(const struct fl_mqtt_upgrade *upgrade, struct fl_slice origin);

/* Answers. After 101 the connection is given to fl_http_handler.upgraded. */
void fl_mqtt_upgrade_answer(const struct fl_mqtt_upgrade *upgrade,
                            struct fl_http_exchange *exchange,
                            const struct fl_http_request *request);

#endif
