/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/folder.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum fl_error fail(struct fl_context *ctx, const char *path)
{
    enum fl_error error = errno == ENOENT   ? FL_ENOTFOUND
                          : errno == EACCES ? FL_EDENIED
                          : errno == ENOSPC ? FL_EFULL
                                            : FL_EIO;

    return fl_fail(ctx, error, "%s: %s", path, strerror(errno));
}

static enum fl_error lock(const char *path, struct fl_folder *folder, struct fl_context *ctx)
{
    char name[4096];

    if (snprintf(name, sizeof name, "%s/lock", path) >= (int)sizeof name)
        return fl_fail(ctx, FL_EINVAL, "the folder's path is too long");
    folder->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (folder->lock_fd < 0)
        return fail(ctx, name);
    if (flock(folder->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ftruncate(folder->lock_fd, 0) == 0 ? FL_OK : fail(ctx, name);
    if (errno == EWOULDBLOCK)
        return fl_fail(ctx, FL_EBUSY, "%s: another fairlead-agent is working there", path);
    return fail(ctx, name);
}

static enum fl_error open_both(const char *path, struct fl_folder *folder, struct fl_context *ctx)
{
    char outbox[4096];
    enum fl_error error = fl_files_open(path, &folder->identity_folder, ctx);

    if (error)
        return error;
    folder->identity = fl_files_of(&folder->identity_folder);
    if (snprintf(outbox, sizeof outbox, "%s/outbox", path) >= (int)sizeof outbox)
        return fl_fail(ctx, FL_EINVAL, "the folder's path is too long");
    if (mkdir(outbox, 0700) != 0 && errno != EEXIST)
        return fail(ctx, outbox);
    error = fl_files_open(outbox, &folder->outbox_folder, ctx);
    if (!error)
        folder->outbox = fl_files_of(&folder->outbox_folder);
    return error;
}

enum fl_error fl_folder_open(const char *path, bool make, struct fl_folder *folder,
                             struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    *folder = (struct fl_folder){.lock_fd = -1};
    folder->identity_folder.fd = -1;
    folder->outbox_folder.fd = -1;
    if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(ctx, path);
    error = lock(path, folder, ctx);
    if (!error)
        error = open_both(path, folder, ctx);
    if (error)
        fl_folder_close(folder);
    return error;
}

void fl_folder_announce(const struct fl_folder *folder)
{
    (void)dprintf(folder->lock_fd, "%ld\n", (long)getpid());
}

/* What is in the file counts only while somebody has the lock: whoever takes it empties the file
 * first. */
pid_t fl_folder_holder(const char *path)
{
    char name[4096];
    char text[32] = "";
    uint64_t pid = 0;
    ssize_t got = 0;
    int fd = -1;

    if (snprintf(name, sizeof name, "%s/lock", path) >= (int)sizeof name)
        return 0;
    fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        got = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (got < 2 || text[got - 1] != '\n' ||
        fl_str_to_u64(fl_slice(text, (size_t)got - 1), INT32_MAX, &pid) != FL_OK)
        return 0;
    return (pid_t)pid;
}

void fl_folder_close(struct fl_folder *folder)
{
    /* A file table is set when its folder is open. */
    if (folder->outbox.self)
        fl_files_close(&folder->outbox_folder);
    if (folder->identity.self)
        fl_files_close(&folder->identity_folder);
    if ((folder->outbox.self || folder->identity.self || folder->lock_fd > 0) &&
        folder->lock_fd >= 0)
        (void)close(folder->lock_fd);
    *folder = (struct fl_folder){.lock_fd = -1};
}
