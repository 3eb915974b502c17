/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's folder on disk: its identity in it, the outbox in outbox/ below it, and a lock, so
 * that two agents never work on one folder.
 */
#ifndef FL_AGENT_FOLDER_H
#define FL_AGENT_FOLDER_H

#include "io/files.h"

#include <sys/types.h>

struct fl_folder {
    struct fl_files_folder identity_folder;
    struct fl_files_folder outbox_folder;
    struct fl_files identity; /* for agent/self */
    struct fl_files outbox;   /* for proto/outbox */
    int lock_fd;
};

/* `make`: makes the folder (0700) when it is not there. FL_EBUSY: another agent has it. The struct
 * must stay where it is. */
FL_MUST_USE enum fl_error fl_folder_open(const char *path, bool make, struct fl_folder *folder,
                                         struct fl_context *ctx);
/* From now on SIGUSR1 may be sent to this process: it is noted in the lock's file. */
void fl_folder_announce(const struct fl_folder *folder);
/* The process that has the folder and announced it; 0: none. */
pid_t fl_folder_holder(const char *path);
void fl_folder_close(struct fl_folder *folder); /* harmless when zero-initialised or closed */

#endif
