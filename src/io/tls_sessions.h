/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS sessions that may be resumed, by session id and by device, so that all of one device can
 * be dropped at once. Bounded (FL_LIMIT_TLS_SESSIONS, FL_LIMIT_TLS_SESSIONS_DEVICE): the oldest
 * give way. What resuming needs of a session is kept as bytes, a tenth of what OpenSSL's object
 * takes, and of the certificate only what it said. Any thread may call, but for init and free.
 * Whether a device may still resume is asked elsewhere, each time.
 */
#ifndef FL_IO_TLS_SESSIONS_H
#define FL_IO_TLS_SESSIONS_H

#include "base/list.h"
#include "base/map.h"
#include "codec/keep.h"
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
    const char *listener; /* in records; NULL: nothing is written down */
    struct fl_buffer log; /* records since the last fl_tls_sessions_log */
    uint64_t unwritten;   /* records for which there was no room */
};

void fl_tls_sessions_init(struct fl_tls_sessions *sessions, size_t max);
void fl_tls_sessions_free(struct fl_tls_sessions *sessions);

/* `session` stays the caller's; `info` is of its device. FL_EINVAL: OpenSSL cannot write it down.
 */
FL_MUST_USE enum fl_error fl_tls_sessions_add(struct fl_tls_sessions *sessions,
                                              const SSL_SESSION *session,
                                              const struct fl_cert_info *info);

/* The session of that id, the caller's and without a certificate, and what the certificate that it
 * began with said; or NULL. */
SSL_SESSION *fl_tls_sessions_find(struct fl_tls_sessions *sessions, struct fl_slice id,
                                  struct fl_cert_info *info);
size_t fl_tls_sessions_count(struct fl_tls_sessions *sessions);

void fl_tls_sessions_remove(struct fl_tls_sessions *sessions, struct fl_slice id);

/* --- what outlives the process: for a log (codec/keep) that keeps it secret --- */

/* From now on changes are written down. `listener` lives as long as the sessions. What finds no
 * room (FL_LIMIT_TLS_LOG) is not written: its client makes a full handshake. */
void fl_tls_sessions_keep(struct fl_tls_sessions *sessions, const char *listener);
/* Appends what was written down since the last call. */
void fl_tls_sessions_log(struct fl_tls_sessions *sessions, struct fl_buffer *to);
/* Writes down everything that is there, from `*bucket` (0 at first) on, in about so many bytes.
 * True: that was the last. */
FL_MUST_USE bool fl_tls_sessions_walk(struct fl_tls_sessions *sessions, size_t *bucket,
                                      size_t bytes);
/* Reads a record back; one that is not understood is ignored. */
void fl_tls_sessions_restore(struct fl_tls_sessions *sessions, const struct fl_keep *record);

/* Frees the certificate that a session carries, which is a third of what an idle connection costs.
 * Only by the thread whose connection has the session, and when the handshake is over: OpenSSL does
 * not look at it again. False: it is there still. */
bool fl_tls_session_shed(SSL_SESSION *session);

/* Forgets all sessions of a device; returns how many there were. */
uint32_t fl_tls_sessions_drop(struct fl_tls_sessions *sessions, struct fl_slice device);

#endif
