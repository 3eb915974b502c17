/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sandbox_parts.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's interface, as of ABI 7 (linux/landlock.h of the build machine may be older). Each
 * later ABI only adds rights, so what the running kernel does not know is masked out. */
#define CREATE_RULESET_VERSION 1U
#define RULE_PATH_BENEATH 1

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_REG = 1 << 8,
    FS_TRUNCATE = 1 << 14,
    FS_ALL_1 = (1 << 13) - 1,
    FS_ALL_2 = (1 << 14) - 1,
    FS_ALL_3 = (1 << 15) - 1,
    FS_ALL_5 = (1 << 16) - 1,
    NET_ALL = 3,   /* bind and connect TCP */
    SCOPE_ALL = 3, /* abstract Unix sockets and signals stay among the sandboxed */
};

struct ruleset_attr {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

struct path_beneath {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

static struct ruleset_attr attr_for(long abi, size_t *size)
{
    struct ruleset_attr attr = {.fs = FS_ALL_1};

    *size = sizeof attr.fs;
    if (abi >= 2)
        attr.fs = FS_ALL_2;
    if (abi >= 3)
        attr.fs = FS_ALL_3;
    if (abi >= 4) {
        attr.net = NET_ALL;
        *size = 2 * sizeof attr.fs;
    }
    if (abi >= 5)
        attr.fs = FS_ALL_5;
    if (abi >= 6) {
        attr.scoped = SCOPE_ALL;
        *size = sizeof attr;
    }
    return attr;
}

static uint64_t rights_of(const struct fl_sandbox_path *path, mode_t mode, uint64_t known)
{
    uint64_t rights = FS_READ_FILE;

    if (S_ISDIR(mode))
        rights |= FS_READ_DIR;
    if (path->write) {
        rights |= FS_WRITE_FILE | FS_TRUNCATE;
        if (S_ISDIR(mode))
            rights |= FS_MAKE_REG | FS_REMOVE_FILE;
    }
    return rights & known;
}

static enum fl_error allow(int ruleset, const struct fl_sandbox_path *path, uint64_t known,
                           struct fl_context *ctx)
{
    struct path_beneath rule = {.parent_fd = open(path->path, O_PATH | O_CLOEXEC)};
    struct stat status;
    enum fl_error error = FL_OK;

    if (rule.parent_fd < 0) {
        if (path->optional && errno == ENOENT)
            return FL_OK;
        return fl_fail(ctx, errno == ENOENT ? FL_ENOTFOUND : FL_EIO, "sandbox: %s: %s", path->path,
                       strerror(errno));
    }
    if (fstat(rule.parent_fd, &status) != 0) {
        error = fl_fail(ctx, FL_EIO, "sandbox: %s: %s", path->path, strerror(errno));
        goto out;
    }
    rule.allowed = rights_of(path, status.st_mode, known);
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0U) != 0)
        error = fl_fail(ctx, FL_EIO, "sandbox: allow %s: %s", path->path, strerror(errno));
out:
    (void)close(rule.parent_fd);
    return error;
}

enum fl_error fl_sandbox_landlock_prepare(const struct fl_sandbox *policy, int *ruleset_fd,
                                          struct fl_context *ctx)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, CREATE_RULESET_VERSION);
    struct ruleset_attr attr;
    size_t size = 0;
    long fd = -1;
    enum fl_error error = FL_OK;

    *ruleset_fd = -1;
    if (abi < 1) {
        fl_log(FL_LOG_WARN, "sandbox",
               "this kernel has no Landlock (%s): files are guarded by users and seccomp only",
               strerror(errno));
        return FL_OK;
    }
    attr = attr_for(abi, &size);
    fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0U);
    if (fd < 0)
        return fl_fail(ctx, FL_EIO, "sandbox: Landlock: %s", strerror(errno));
    for (size_t i = 0; i < policy->path_count && error == FL_OK; i++)
        error = allow((int)fd, &policy->paths[i], attr.fs, ctx);
    if (error != FL_OK)
        (void)close((int)fd);
    else
        *ruleset_fd = (int)fd;
    return error;
}

enum fl_error fl_sandbox_landlock_enter(int ruleset_fd, struct fl_context *ctx)
{
    if (syscall(SYS_landlock_restrict_self, ruleset_fd, 0U) != 0)
        return fl_fail(ctx, FL_EIO, "sandbox: Landlock: %s", strerror(errno));
    return FL_OK;
}
