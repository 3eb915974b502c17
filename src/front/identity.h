/* SPDX-License-Identifier: Apache-2.0
 *
 * The front's own TLS identity. The key is made here, in memory, and never leaves; the hub gets it
 * certified for a short time. It is made anew at two thirds of that time, or when the hub's names
 * or CA change. While the hub is away or refuses, it asks again, and the old certificate serves on.
 */
#ifndef FL_FRONT_IDENTITY_H
#define FL_FRONT_IDENTITY_H

#include "base/world.h"
#include "front/link.h"
#include "io/loop.h"

#include <openssl/evp.h>

struct fl_identity {
    struct fl_loop *loop;
    const struct fl_clock *clock;
    const struct fl_link *link;
    /* There is a new certificate for `key`. */
    void (*certified)(void *self, EVP_PKEY *key, struct fl_slice certificate);
    void *self;
    struct fl_timer timer; /* to ask (again) */
    EVP_PKEY *asked_for;   /* the key that waits for its certificate */
    fl_time_t retry_ms;
    bool has_certificate;
    struct fl_buffer config; /* what the certificate depends on */
    char name[FL_LIMIT_HOST + 1];
};

void fl_identity_init(struct fl_identity *identity, struct fl_loop *loop,
                      const struct fl_clock *clock, const struct fl_link *link);
void fl_identity_free(struct fl_identity *identity);

/* The hub is there (again) and has said this. */
void fl_identity_config(struct fl_identity *identity, const struct fl_msg_config *config);
void fl_identity_answer(struct fl_identity *identity, const struct fl_msg_server_cert *answer);

#endif
