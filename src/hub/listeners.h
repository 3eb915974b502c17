/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub's listening sockets. They are bound once and stay open in the parent, so that nothing is
 * refused while a process is started again.
 */
#ifndef FL_HUB_LISTENERS_H
#define FL_HUB_LISTENERS_H

#include "codec/msg.h"
#include "hub/config.h"

#define FL_HUB_LISTENERS_MAX 7 /* local, and two addresses each for mqtt, https and status */

struct fl_hub_listener {
    const char *name; /* in LISTEN messages */
    enum fl_msg_from to;
    int fd;
};

struct fl_hub_listeners {
    struct fl_hub_listener list[FL_HUB_LISTENERS_MAX];
    size_t count;
    char local_path[4200]; /* removed on close; empty: not bound */
};

FL_MUST_USE enum fl_error fl_hub_listeners_tcp(struct fl_hub_listeners *listeners,
                                               const struct fl_hub_config *config,
                                               struct fl_context *ctx);
/* DIR/run/hub.sock; the caller holds the directory's lock. */
FL_MUST_USE enum fl_error fl_hub_listeners_local(struct fl_hub_listeners *listeners,
                                                 const char *dir, struct fl_context *ctx);
void fl_hub_listeners_close(struct fl_hub_listeners *listeners);

#endif
