/* SPDX-License-Identifier: Apache-2.0
 *
 * A process gives up what it does not need, for good: privileges, users, files, system calls. One
 * class per process of the hub. Landlock names the files, seccomp the system calls: what a class
 * has no use for answers EPERM, and what only an attacker has a use for (execve, ptrace, mount...)
 * kills. A kernel without Landlock costs that layer and a loud warning; without seccomp the process
 * refuses to run. Sanitizer builds allow what their runtimes need; release builds do not.
 */
#ifndef FL_IO_SANDBOX_H
#define FL_IO_SANDBOX_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fl_sandbox_class {
    FL_SANDBOX_SIGNER,  /* reads its files, writes those it may, speaks on sockets it has */
    FL_SANDBOX_CONTROL, /* also writes its files, accepts connections */
    FL_SANDBOX_FRONT,   /* the folder of its log, accepts connections, makes threads */
};

struct fl_sandbox_path {
    const char *path; /* a file, or a folder and all in it; as seen from inside `root` */
    bool write;       /* else read only */
    bool optional;    /* may be missing now, and is then not allowed later either */
};

struct fl_sandbox {
    enum fl_sandbox_class class;
    const struct fl_sandbox_path *paths;
    size_t path_count;
    /* When the process is root: it is confined to the folder `root` (chroot) and becomes user and
     * group `uid` without other groups. Otherwise it stays who it is. */
    const char *root;
    uint32_t uid;
    uint32_t descriptors; /* at most so many open; fewer when the system's limit is lower */
};

/* All of it or an error; after an error the process must end, some of it may be in force. `ctx`
 * names what failed. */
FL_MUST_USE enum fl_error fl_sandbox_enter(const struct fl_sandbox *policy, struct fl_context *ctx);

#endif
