/* SPDX-License-Identifier: Apache-2.0
 *
 * Binds and listens, non-blocking, and says precisely why when it cannot: which port, who could
 * have it, what to do. The caller owns the descriptor.
 */
#ifndef FL_IO_LISTEN_H
#define FL_IO_LISTEN_H

#include "base/error.h"

#include <stdint.h>

/* `address` is numeric; empty: every address, IPv6 and IPv4 on one socket (IPv4 alone where the
 * machine has no IPv6). FL_EBUSY: in use; FL_EDENIED: a port that only root may bind;
 * FL_EUNSUPPORTED: the machine has no such address. */
FL_MUST_USE enum fl_error fl_listen_tcp(const char *address, uint16_t port, int *fd,
                                        struct fl_context *ctx);

/* A Unix stream socket that only this user can reach (0600). A socket that is there already is
 * replaced: the caller has made sure that nobody listens on it. Anything else that is there is left
 * alone (FL_EEXISTS). */
FL_MUST_USE enum fl_error fl_listen_unix(const char *path, int *fd, struct fl_context *ctx);

#endif
