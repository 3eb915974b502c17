/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS sessions that may be resumed, in the front's log: after a restart devices come back
 * resumed. Changes are gathered a few times a second and nobody waits for them: what is lost with a
 * process costs a full handshake. On the main thread.
 */
#ifndef FL_FRONT_TLS_LOG_H
#define FL_FRONT_TLS_LOG_H

#include "front/keeper.h"
#include "io/tls.h"

#define FL_TLS_LOG_LISTENERS 2

struct fl_tls_log {
    struct fl_loop *loop;
    struct fl_keeper *keeper;
    struct fl_tls *tls[FL_TLS_LOG_LISTENERS];
    struct fl_keeper_member member; /* it takes part in checkpoints */
    struct fl_timer timer;
    struct fl_buffer records;
    uint64_t walking; /* generation; 0: none */
    size_t listener;  /* of the walk */
    size_t bucket;
};

/* A record read back from the log, before fl_tls_log_begin. */
void fl_tls_log_restore(struct fl_tls_log *log, const struct fl_keep *record);
/* `tls` was set by the owner, before. */
FL_MUST_USE enum fl_error fl_tls_log_begin(struct fl_tls_log *log, struct fl_loop *loop,
                                           struct fl_keeper *keeper, struct fl_context *ctx);
void fl_tls_log_end(struct fl_tls_log *log); /* also when it never began */

#endif
