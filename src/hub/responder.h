/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub's OCSP responder: a key that is made at each start and never leaves memory, and a
 * certificate for it of a day, from the signer (RFC 6960 4.2.2.2). A front that was taken over
 * cannot say that a revoked certificate is good: it has neither.
 */
#ifndef FL_HUB_RESPONDER_H
#define FL_HUB_RESPONDER_H

#include "base/time.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

struct fl_responder {
    EVP_PKEY *key;
    X509 *certificate; /* NULL: not yet */
    EVP_PKEY *asked_for;
    fl_time_t not_after;
    fl_time_t renew;     /* UTC */
    fl_time_t ask_again; /* monotonic */
};

void fl_responder_free(struct fl_responder *responder);

#endif
