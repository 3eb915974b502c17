/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/init_key.h"

#include "trust/datakey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "data.key"
#define DEVICE_KEYS "device-keys"
#define UNFINISHED ".data.key.new"

static enum fl_error fail(struct fl_context *ctx, const char *what)
{
    bool full = errno == ENOSPC || errno == EDQUOT;

    return fl_fail(ctx, errno == ENOENT ? FL_ENOTFOUND : (full ? FL_EFULL : FL_EIO), "%s: %s", what,
                   strerror(errno));
}

static bool is_there(int folder, const char *name)
{
    struct stat status;

    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Or not there. */
static bool is_empty(int folder, const char *name)
{
    struct stat status;

    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_size == 0;
}

static enum fl_error may_be_added(int folder, struct fl_context *ctx)
{
    if (!is_there(folder, "issuing.key"))
        return fl_fail(ctx, FL_ENOTFOUND, "keys/issuing.key is not there: not a hub directory");
    if (is_there(folder, KEY))
        return fl_fail(ctx, FL_EEXISTS, "keys/" KEY " is there already: it stays as it is");
    if (!is_empty(folder, DEVICE_KEYS))
        return fl_fail(ctx, FL_EEXISTS,
                       "keys/device-keys is sealed under a key that is lost: restore keys/" KEY
                       " from a backup; a new one would open nothing");
    return FL_OK;
}

/* Once the hub has run as root, the folder is its signer's, and so must be what is in it. */
static bool give(int folder, int fd)
{
    struct stat status;

    return fstat(folder, &status) == 0 &&
           (geteuid() != 0 || fchown(fd, status.st_uid, status.st_gid) == 0);
}

static enum fl_error put_device_keys(int folder, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    int fd = openat(folder, DEVICE_KEYS, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 || !give(folder, fd) || fsync(fd) != 0)
        error = fail(ctx, "keys/" DEVICE_KEYS);
    if (fd >= 0)
        (void)close(fd);
    return error;
}

/* Under another name first, so that half a key is never taken for one. */
static enum fl_error put(int folder, struct fl_slice pem, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    int fd = -1;

    (void)unlinkat(folder, UNFINISHED, 0); /* of a run that was cut short */
    fd = openat(folder, UNFINISHED, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || !give(folder, fd) || write(fd, pem.data, pem.size) != (ssize_t)pem.size ||
        fsync(fd) != 0)
        error = fail(ctx, "keys/" KEY);
    /* link(2) refuses to replace what came to be meanwhile. */
    if (error == FL_OK && linkat(folder, UNFINISHED, folder, KEY, 0) != 0)
        error = fail(ctx, "keys/" KEY);
    if (fd >= 0) {
        (void)close(fd);
        (void)unlinkat(folder, UNFINISHED, 0);
    }
    if (error == FL_OK && fsync(folder) != 0)
        error = fail(ctx, "keys");
    return error;
}

enum fl_error fl_init_add_data_key(const char *dir, const struct fl_random *random,
                                   struct fl_context *ctx)
{
    char path[4096];
    uint8_t key[FL_DATAKEY_SIZE];
    struct fl_buffer pem = FL_BUFFER(1024);
    int size = snprintf(path, sizeof path, "%s/keys", dir);
    enum fl_error error = FL_OK;
    int folder = -1;

    if (size < 0 || size >= (int)sizeof path)
        return fl_fail(ctx, FL_EINVAL, "the path is too long");
    folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return fail(ctx, "keys");
    error = may_be_added(folder, ctx);
    if (error == FL_OK) {
        random->fill(random->self, key, sizeof key);
        error = fl_datakey_to_pem(key, &pem, ctx);
        explicit_bzero(key, sizeof key);
    }
    /* The key last: with it the folder is whole. */
    if (error == FL_OK)
        error = put_device_keys(folder, ctx);
    if (error == FL_OK)
        error = put(folder, fl_buffer_slice(&pem), ctx);
    fl_buffer_free(&pem); /* wipes it */
    (void)close(folder);
    return error;
}
