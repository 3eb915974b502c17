/* SPDX-License-Identifier: Apache-2.0 */
#include "io/files.h"

#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum fl_error error_of(int number)
{
    switch (number) {
    case ENOENT:
        return FL_ENOTFOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return FL_EFULL;
    case EACCES:
    case EPERM:
    case EROFS:
        return FL_EDENIED;
    case ENOMEM:
        return FL_ENOMEM;
    default:
        return FL_EIO;
    }
}

static enum fl_error fail(struct fl_context *ctx, const char *what, const char *name)
{
    int number = errno;
    char safe[128];
    char words[128] = "";

    (void)fl_str_printable(safe, sizeof safe, fl_slice_str(name));
    return fl_fail(ctx, error_of(number), "%s '%s': %s", what, safe,
                   strerror_r(number, words, sizeof words));
}

/* --- open files --- */

static void forget(struct fl_files_folder *folder, const char *name)
{
    for (size_t i = 0; i < FL_FILES_OPEN; i++) {
        if (folder->open[i].name[0] && (!name || strcmp(folder->open[i].name, name) == 0)) {
            (void)close(folder->open[i].fd);
            folder->open[i].name[0] = 0;
        }
    }
}

/* The index of the open file, opened (and made, with O_CREAT in `flags`) when it is not. */
static enum fl_error open_file(struct fl_files_folder *folder, const char *name, int flags,
                               size_t *index, struct fl_context *ctx)
{
    size_t i = 0;
    int fd = -1;

    for (i = 0; i < FL_FILES_OPEN; i++) {
        if (strcmp(folder->open[i].name, name) == 0 && name[0]) {
            *index = i;
            return FL_OK;
        }
    }
    i = folder->turn;
    if (name[0] == 0 || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strlen(name) >= sizeof folder->open[i].name)
        return fl_fail(ctx, FL_EINVAL, "files: expected a plain file name");
    fd = openat(folder->fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
    if (fd < 0)
        return fail(ctx, "open", name);
    if (folder->open[i].name[0])
        (void)close(folder->open[i].fd);
    (void)fl_str_copy(folder->open[i].name, sizeof folder->open[i].name, name);
    folder->open[i].fd = fd;
    folder->open[i].name_kept = false;
    folder->turn = (i + 1) % FL_FILES_OPEN;
    *index = i;
    return FL_OK;
}

/* --- the table --- */

static enum fl_error files_read(void *self, const char *name, uint64_t offset, void *to,
                                size_t size, size_t *got, struct fl_context *ctx)
{
    struct fl_files_folder *folder = self;
    size_t i = 0;
    enum fl_error error = open_file(folder, name, 0, &i, ctx);

    *got = 0;
    while (error == FL_OK && *got < size) {
        ssize_t n =
            pread(folder->open[i].fd, (uint8_t *)to + *got, size - *got, (off_t)(offset + *got));
        if (n == 0)
            break;
        if (n > 0)
            *got += (size_t)n;
        else if (errno != EINTR)
            error = fail(ctx, "read", name);
    }
    return error;
}

static enum fl_error files_write(void *self, const char *name, uint64_t offset,
                                 struct fl_slice data, struct fl_context *ctx)
{
    struct fl_files_folder *folder = self;
    size_t i = 0;
    enum fl_error error = open_file(folder, name, O_CREAT, &i, ctx);

    for (size_t done = 0; error == FL_OK && done < data.size;) {
        ssize_t n =
            pwrite(folder->open[i].fd, data.data + done, data.size - done, (off_t)(offset + done));
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            error = fail(ctx, "write", name);
    }
    return error;
}

static enum fl_error sync_folder(struct fl_files_folder *folder, const char *name,
                                 struct fl_context *ctx)
{
    return fsync(folder->fd) == 0 ? FL_OK : fail(ctx, "sync the folder of", name);
}

static enum fl_error files_sync(void *self, const char *name, struct fl_context *ctx)
{
    struct fl_files_folder *folder = self;
    size_t i = 0;
    enum fl_error error = open_file(folder, name, 0, &i, ctx);

    if (error == FL_OK && fdatasync(folder->open[i].fd) != 0)
        error = fail(ctx, "sync", name);
    if (error == FL_OK && !folder->open[i].name_kept) {
        error = sync_folder(folder, name, ctx);
        folder->open[i].name_kept = error == FL_OK;
    }
    return error;
}

static enum fl_error files_size(void *self, const char *name, uint64_t *size,
                                struct fl_context *ctx)
{
    struct fl_files_folder *folder = self;
    struct stat status = {0};
    size_t i = 0;
    enum fl_error error = open_file(folder, name, 0, &i, ctx);

    if (error == FL_OK && fstat(folder->open[i].fd, &status) != 0)
        error = fail(ctx, "size of", name);
    *size = error == FL_OK ? (uint64_t)status.st_size : 0;
    return error;
}

static enum fl_error files_settle(void *self, const char *name, struct fl_context *ctx)
{
    struct fl_files_folder *folder = self;
    size_t i = 0;
    enum fl_error error = files_sync(self, name, ctx);
    int number = 0;

    if (error == FL_OK)
        error = open_file(folder, name, 0, &i, ctx);
    if (error != FL_OK)
        return error;
    number = posix_fadvise(folder->open[i].fd, 0, 0, POSIX_FADV_DONTNEED);
    errno = number;
    /* A file system that keeps no pages has nothing to drop. */
    return number == 0 || number == EINVAL || number == ENOSYS ? FL_OK : fail(ctx, "settle", name);
}

/* Blocks that were reserved but never written would have to be noted as written by each later sync;
 * zeros make them written now. */
static enum fl_error files_allocate(void *self, const char *name, uint64_t size,
                                    struct fl_context *ctx)
{
    static const uint8_t zeros[256 * 1024];
    struct fl_files_folder *folder = self;
    size_t i = 0;
    uint64_t at = 0;
    enum fl_error error = open_file(folder, name, O_CREAT, &i, ctx);

    if (error == FL_OK)
        error = files_size(self, name, &at, ctx);
    if (error != FL_OK)
        return error;
    errno = posix_fallocate(folder->open[i].fd, 0, (off_t)size);
    if (errno != 0 && errno != EINVAL && errno != EOPNOTSUPP)
        return fail(ctx, "allocate", name);
    while (error == FL_OK && at < size) {
        size_t part = size - at < sizeof zeros ? (size_t)(size - at) : sizeof zeros;

        error = files_write(self, name, at, fl_slice(zeros, part), ctx);
        at += part;
    }
    return error;
}

static enum fl_error files_rename(void *self, const char *from, const char *to,
                                  struct fl_context *ctx)
{
    struct fl_files_folder *folder = self;
    size_t i = 0;
    enum fl_error error = open_file(folder, from, 0, &i, ctx);

    /* Or the new name could be durable before the contents. */
    if (error == FL_OK && fdatasync(folder->open[i].fd) != 0)
        error = fail(ctx, "sync", from);
    if (error != FL_OK)
        return error;
    if (to[0] == 0 || strchr(to, '/'))
        return fl_fail(ctx, FL_EINVAL, "files: expected a plain file name");
    forget(folder, from);
    forget(folder, to);
    if (renameat(folder->fd, from, folder->fd, to) != 0)
        return fail(ctx, "rename", from);
    return sync_folder(folder, to, ctx);
}

static enum fl_error files_truncate(void *self, const char *name, uint64_t size,
                                    struct fl_context *ctx)
{
    struct fl_files_folder *folder = self;
    size_t i = 0;
    enum fl_error error = open_file(folder, name, 0, &i, ctx);

    if (error == FL_OK && ftruncate(folder->open[i].fd, (off_t)size) != 0)
        error = fail(ctx, "truncate", name);
    return error;
}

static enum fl_error files_remove(void *self, const char *name, struct fl_context *ctx)
{
    struct fl_files_folder *folder = self;

    forget(folder, name);
    if (name[0] == 0 || strchr(name, '/'))
        return fl_fail(ctx, FL_EINVAL, "files: expected a plain file name");
    return unlinkat(folder->fd, name, 0) == 0 ? FL_OK : fail(ctx, "remove", name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

struct names {
    char (*items)[FL_FILES_NAME];
    size_t count;
    size_t capacity;
};

static enum fl_error add_name(struct names *names, const char *name)
{
    if (names->count == FL_FILES_LIST)
        return FL_ELIMIT;
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? 2 * names->capacity : 64;
        void *items = realloc(names->items, capacity * sizeof *names->items);
        if (!items)
            return FL_ENOMEM;
        names->items = items;
        names->capacity = capacity;
    }
    (void)fl_str_copy(names->items[names->count++], FL_FILES_NAME, name);
    return FL_OK;
}

/* By the entry, where the file system says it; a sandbox may allow to look at descriptors only. */
static bool is_file(int folder_fd, const struct dirent *entry)
{
    struct stat status = {0};
    bool is = entry->d_type == DT_REG;
    int fd = -1;

    if (entry->d_type != DT_UNKNOWN)
        return is;
    fd = openat(folder_fd, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    is = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (fd >= 0)
        (void)close(fd);
    return is;
}

static enum fl_error collect(int folder_fd, DIR *dir, struct names *names, struct fl_context *ctx)
{
    for (;;) {
        const struct dirent *entry = NULL;
        enum fl_error error = FL_OK;

        errno = 0;
        entry = readdir(dir); /* cppcheck-suppress readdirCalled ; a stream has one thread */
        if (!entry)
            return errno == 0 ? FL_OK : fail(ctx, "list", ".");
        if (!is_file(folder_fd, entry))
            continue;
        error = add_name(names, entry->d_name);
        if (error != FL_OK)
            return fl_fail(ctx, error, "list: %s", fl_error_words(error));
    }
}

static enum fl_error files_list(void *self, void (*visit)(void *to, const char *name), void *to,
                                struct fl_context *ctx)
{
    struct fl_files_folder *folder = self;
    struct names names = {0};
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    enum fl_error error = FL_OK;

    if (!dir) {
        error = fail(ctx, "list", ".");
        if (fd >= 0)
            (void)close(fd);
        return error;
    }
    error = collect(folder->fd, dir, &names, ctx);
    if (error == FL_OK && names.count > 0)
        qsort(names.items, names.count, sizeof *names.items, compare_names);
    for (size_t i = 0; error == FL_OK && i < names.count; i++)
        visit(to, names.items[i]);
    free(names.items);
    (void)closedir(dir);
    return error;
}

enum fl_error fl_files_open(const char *path, struct fl_files_folder *folder,
                            struct fl_context *ctx)
{
    *folder = (struct fl_files_folder){.fd = -1};
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    folder->is_open = folder->fd >= 0;
    return folder->is_open ? FL_OK : fail(ctx, "open the folder", path);
}

void fl_files_close(struct fl_files_folder *folder)
{
    if (!folder || !folder->is_open)
        return;
    forget(folder, NULL);
    (void)close(folder->fd);
    folder->is_open = false;
}

struct fl_files fl_files_of(struct fl_files_folder *folder)
{
    return (struct fl_files){
        .read = files_read,
        .write = files_write,
        .sync = files_sync,
        .settle = files_settle,
        .allocate = files_allocate,
        .rename = files_rename,
        .truncate = files_truncate,
        .remove = files_remove,
        .size = files_size,
        .list = files_list,
        .self = folder,
    };
}
