/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/file.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum fl_error fl_file_fail(struct fl_context *ctx, const char *path, int number)
{
    enum fl_error e = FL_EIO;

    if (number == ENOENT || number == ENOTDIR)
        e = FL_ENOTFOUND;
    else if (number == EACCES || number == EPERM || number == EROFS)
        e = FL_EDENIED;
    else if (number == ENOSPC || number == EDQUOT)
        e = FL_EFULL;
    return fl_fail(ctx, e, "%s: %s", path, strerror(number));
}

enum fl_error fl_file_path(char to[FL_CLI_PATH_MAX], const char *folder, const char *name,
                           struct fl_context *ctx)
{
    int size = snprintf(to, FL_CLI_PATH_MAX, "%s/%s", folder, name);

    if (size < 0 || size >= FL_CLI_PATH_MAX)
        return fl_fail(ctx, FL_ELIMIT, "%.64s...: the path is too long", folder);
    return FL_OK;
}

static enum fl_error read_all(int fd, const char *path, struct fl_buffer *out,
                              struct fl_context *ctx)
{
    uint8_t chunk[16384];

    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fl_file_fail(ctx, path, errno);
        if (got == 0)
            return FL_OK;
        if (fl_buffer_append(out, chunk, (size_t)got) != FL_OK)
            return fl_fail(ctx, FL_ELIMIT, "%s: longer than %zu octets", path, out->max);
    }
}

enum fl_error fl_file_read(const char *path, struct fl_buffer *out, struct fl_context *ctx)
{
    enum fl_error e = FL_OK;
    int fd = -1;

    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "stdin", out, ctx);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fl_file_fail(ctx, path, errno);
    e = read_all(fd, path, out, ctx);
    (void)close(fd);
    return e;
}

static bool write_all(int fd, struct fl_slice data)
{
    while (data.size > 0) {
        ssize_t put = write(fd, data.data, data.size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        data = fl_slice_from(data, (size_t)put);
    }
    return true;
}

static bool sync_folder(const char *path)
{
    char folder[FL_CLI_PATH_MAX];
    char *slash = NULL;
    int fd = -1;
    bool done = false;

    (void)snprintf(folder, sizeof folder, "%s", path);
    slash = strrchr(folder, '/');
    if (slash)
        *(slash == folder ? slash + 1 : slash) = 0;
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    done = fsync(fd) == 0 || errno == EINVAL; /* some file systems cannot */
    (void)close(fd);
    return done;
}

enum fl_error fl_file_write(const char *path, mode_t mode, struct fl_slice data,
                            struct fl_context *ctx)
{
    char temporary[FL_CLI_PATH_MAX];
    int size = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int number = 0;
    int fd = -1;

    if (size < 0 || (size_t)size >= sizeof temporary)
        return fl_fail(ctx, FL_ELIMIT, "%.64s...: the path is too long", path);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return fl_file_fail(ctx, path, errno);
    if (fchmod(fd, mode) != 0 || !write_all(fd, data) || fsync(fd) != 0)
        number = errno;
    if (close(fd) != 0 && !number)
        number = errno;
    if (!number && rename(temporary, path) != 0)
        number = errno;
    if (number) {
        (void)unlink(temporary);
        return fl_file_fail(ctx, path, number);
    }
    return sync_folder(path) ? FL_OK : fl_file_fail(ctx, path, errno);
}

enum fl_error fl_file_make_folder(const char *path, struct fl_context *ctx)
{
    char part[FL_CLI_PATH_MAX];

    if (!fl_str_copy(part, sizeof part, path))
        return fl_fail(ctx, FL_ELIMIT, "%.64s...: the path is too long", path);
    for (char *at = part + 1;; at++) {
        char kept = *at;
        if (kept != '/' && kept)
            continue;
        *at = 0;
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return fl_file_fail(ctx, part, errno);
        *at = kept;
        if (!kept)
            return FL_OK;
    }
}
