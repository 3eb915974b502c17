/* SPDX-License-Identifier: Apache-2.0
 *
 * The common part of signer, control and front: a process that fairlead-hub starts with its control
 * channel as descriptor 3. It waits for START, enters the sandbox of its role, calls `start`, then
 * hands over listeners and channels as they come, and ends on SIGTERM or when the parent goes away.
 * A main is a table of functions and one call of fl_child_main.
 *
 * The sandbox is on before `start` runs: open files there, by paths under `dir`, which names the
 * hub directory as this process sees it (started as root, the process is confined to it and `dir`
 * is "/."). OpenSSL is initialised before. There is no leak check at exit.
 */
#ifndef FL_IO_CHILD_H
#define FL_IO_CHILD_H

#include "io/channel.h"

struct fl_child;

struct fl_child_program {
    enum fl_msg_from role; /* FL_FROM_SIGNER, FL_FROM_HUB (control) or FL_FROM_FRONT */

    /* FL_OK, or the process logs the words and ends as wrongly configured: when that happens before
     * the hub was ever ready, the hub gives up. */
    enum fl_error (*start)(void *self, struct fl_child *child, struct fl_loop *loop,
                           const char *dir, struct fl_context *ctx);
    /* A bound, listening socket: "mqtt", "https" (front), "local" (control). May come more than
     * once for a name (IPv4 and IPv6). The fd is the program's now. NULL: this role gets none. */
    enum fl_error (*listen)(void *self, const char *name, int fd, struct fl_context *ctx);
    /* A connection to another process: `peer` is its role. Replaces an older one to that peer,
     * which may not have noticed its end yet. The fd is the program's now, for fl_channel_open. */
    enum fl_error (*channel)(void *self, enum fl_msg_from peer, int fd, struct fl_context *ctx);
    /* The end: SIGTERM, or the parent is gone. Call fl_child_done when finished (bounded: the
     * parent kills after some seconds). NULL: nothing to finish. */
    void (*stop)(void *self);
    /* After the loop, before exit. May be NULL. */
    void (*end)(void *self);
    void *self;
};

/* The whole main: --help, --version, refusal to run by hand, everything until the end. Returns the
 * exit status; the caller returns it from main. */
int fl_child_main(const struct fl_child_program *program, int argc, char **argv);

/* Tells the parent that every listener answers and the first work can begin. Only the first call
 * counts. */
void fl_child_ready(struct fl_child *child);

/* Call from a channel's `lost`, after a channel to `peer` ended and was not replaced. When it ended
 * for a violation, the parent ends the peer, and both get a new channel from its successor. */
void fl_child_channel_lost(struct fl_child *child, enum fl_msg_from peer, const char *why);

/* How many workers the parent wants (the front): 1 to FL_LIMIT_WORKERS. */
unsigned fl_child_workers(const struct fl_child *child);

/* Leaves the loop with exit status 0. */
void fl_child_done(struct fl_child *child);
/* Logs the words and leaves with a failure: the parent starts a successor. */
void fl_child_failed(struct fl_child *child, const char *why);

#endif
