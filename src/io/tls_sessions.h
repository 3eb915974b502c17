/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS sessions that may be resumed, by session id and by device, so that all of one device can
 * be dropped at once. Bounded (FL_LIMIT_TLS_SESSIONS, FL_LIMIT_TLS_SESSIONS_DEVICE): the oldest
 * give way. Sessions are shared with the connections that use them. Any thread may call, but for
 * init and free. Whether a device may still
 * resume is asked elsewhere, each time.
 */
#ifndef FL_IO_TLS_SESSIONS_H
#define FL_IO_TLS_SESSIONS_H

#include "base/list.h"
#include "base/map.h"
#include "trust/cert.h"

#include <openssl/ssl.h>
#include <pthread.h>

struct fl_tls_sessions {
    pthread_mutex_t lock; /* of what follows */
    struct fl_map by_id;
    struct fl_map devices;
    struct fl_list oldest_first;
    size_t count;
    size_t max;
};

void fl_tls_sessions_init(struct fl_tls_sessions *sessions, size_t max);
void fl_tls_sessions_free(struct fl_tls_sessions *sessions);

/* Takes over one reference of `session` when it returns FL_OK. `info` is of its device. */
FL_MUST_USE enum fl_error fl_tls_sessions_add(struct fl_tls_sessions *sessions,
                                              SSL_SESSION *session,
                                              const struct fl_cert_info *info);

/* The session of that id and the certificate it began with, or NULL. A reference is given. */
SSL_SESSION *fl_tls_sessions_find(struct fl_tls_sessions *sessions, struct fl_slice id,
                                  struct fl_cert_info *info);
size_t fl_tls_sessions_count(struct fl_tls_sessions *sessions);

void fl_tls_sessions_remove(struct fl_tls_sessions *sessions, struct fl_slice id);

/* Forgets all sessions of a device; returns how many there were. */
uint32_t fl_tls_sessions_drop(struct fl_tls_sessions *sessions, struct fl_slice device);

#endif
