/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/init_dir.h"

#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WALK_DESCRIPTORS = 16 };

static enum fl_error fail(struct fl_context *ctx, const char *what)
{
    enum fl_error error = FL_EIO;

    if (errno == ENOSPC || errno == EDQUOT)
        error = FL_EFULL;
    else if (errno == EEXIST || errno == ENOTEMPTY)
        error = FL_EEXISTS;
    return fl_fail(ctx, error, "%s: %s", what, strerror(errno));
}

static enum fl_error join(char *to, const char *dir, const char *name, struct fl_context *ctx)
{
    int size = snprintf(to, FL_INIT_PATH_MAX, "%s/%s", dir, name);

    if (size < 0 || size >= FL_INIT_PATH_MAX)
        return fl_fail(ctx, FL_EINVAL, "the path is too long");
    return FL_OK;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry = NULL;
    bool empty = folder != NULL;

    while (empty && (entry = readdir(folder)) != NULL)
        empty = is_dot(entry->d_name);
    if (folder)
        (void)closedir(folder);
    return empty;
}

/* The absolute form of a path whose last part does not exist yet. */
static enum fl_error place_new(struct fl_init_dir *dir, const char *path, struct fl_context *ctx)
{
    char parent[FL_INIT_PATH_MAX];
    const char *name = parent;
    char *real = NULL;
    char *slash = NULL;
    size_t size = strlen(path);
    enum fl_error error = FL_OK;

    if (!fl_str_copy(parent, sizeof parent, path))
        return fl_fail(ctx, FL_EINVAL, "the path is too long");
    while (size > 1 && parent[size - 1] == '/')
        parent[--size] = 0;
    slash = strrchr(parent, '/');
    if (slash) {
        *slash = 0;
        name = slash + 1;
    }
    if (is_dot(name))
        return fl_fail(ctx, FL_ENOTFOUND, "there is no such folder");
    real = realpath(!slash ? "." : (parent[0] ? parent : "/"), NULL);
    if (!real)
        return fl_fail(ctx, FL_ENOTFOUND, "the folder in which to make it: %s", strerror(errno));
    error = join(dir->place, strcmp(real, "/") == 0 ? "" : real, name, ctx);
    free(real);
    return error;
}

static enum fl_error find_place(struct fl_init_dir *dir, const char *path, struct fl_context *ctx)
{
    struct stat stat = {0};
    char *real = NULL;
    bool copied = false;

    if (path[0] == 0)
        return fl_fail(ctx, FL_EINVAL, "the name of the folder is empty");
    if (lstat(path, &stat) != 0 && errno == ENOENT)
        return place_new(dir, path, ctx);
    real = realpath(path, NULL);
    if (!real)
        return fail(ctx, "it cannot be used");
    copied = fl_str_copy(dir->place, sizeof dir->place, real);
    free(real);
    if (!copied)
        return fl_fail(ctx, FL_EINVAL, "the path is too long");
    dir->existed = true;
    if (!is_empty(dir->place))
        return fl_fail(ctx, FL_EEXISTS,
                       "there is something already, and nothing is ever overwritten");
    return FL_OK;
}

enum fl_error fl_init_dir_open(struct fl_init_dir *dir, const char *path, struct fl_context *ctx)
{
    int size = 0;
    enum fl_error error = FL_OK;

    *dir = (struct fl_init_dir){0};
    error = find_place(dir, path, ctx);
    if (error != FL_OK)
        return error;
    size = snprintf(dir->stage, sizeof dir->stage, "%s%s-XXXXXX", dir->place,
                    dir->existed ? "/.init" : ".tmp");
    if (size < 0 || size >= FL_INIT_PATH_MAX)
        error = fl_fail(ctx, FL_EINVAL, "the path is too long");
    else if (!mkdtemp(dir->stage))
        error = fail(ctx, "it cannot be made");
    if (error != FL_OK)
        dir->stage[0] = 0;
    return error;
}

enum fl_error fl_init_dir_folder(struct fl_init_dir *dir, const char *name, unsigned mode,
                                 struct fl_context *ctx)
{
    char path[FL_INIT_PATH_MAX];
    enum fl_error error = join(path, dir->stage, name, ctx);

    if (error == FL_OK && (mkdir(path, 0700) != 0 || chmod(path, (mode_t)mode) != 0))
        error = fail(ctx, name);
    return error;
}

static bool write_all(int fd, struct fl_slice contents)
{
    while (contents.size > 0) {
        ssize_t put = write(fd, contents.data, contents.size);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        contents = fl_slice_from(contents, (size_t)put);
    }
    return true;
}

enum fl_error fl_init_dir_file(struct fl_init_dir *dir, const char *name, unsigned mode,
                               struct fl_slice contents, struct fl_context *ctx)
{
    char path[FL_INIT_PATH_MAX];
    enum fl_error error = join(path, dir->stage, name, ctx);
    int fd = -1;

    if (error != FL_OK)
        return error;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(ctx, name);
    if (!write_all(fd, contents) || fchmod(fd, (mode_t)mode) != 0 || fsync(fd) != 0)
        error = fail(ctx, name);
    if (close(fd) != 0 && error == FL_OK)
        error = fail(ctx, name);
    return error;
}

static int sync_one(const char *path, const struct stat *stat, int type, struct FTW *at)
{
    int fd = -1;
    int result = 0;

    (void)stat;
    (void)at;
    if (type != FTW_DP && type != FTW_D)
        return 0;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    result = fsync(fd);
    (void)close(fd);
    return result;
}

static int sync_folder(const char *path)
{
    return sync_one(path, NULL, FTW_D, NULL);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *at)
{
    (void)stat;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

static bool move_up(struct fl_init_dir *dir, const char *name)
{
    char from[FL_INIT_PATH_MAX];
    char to[FL_INIT_PATH_MAX];

    return join(from, dir->stage, name, NULL) == FL_OK &&
           join(to, dir->place, name, NULL) == FL_OK && rename(from, to) == 0;
}

/* Into the folder that exists; `last` goes last. */
static bool move_all_up(struct fl_init_dir *dir, const char *last)
{
    DIR *folder = opendir(dir->stage);
    struct dirent *entry = NULL;
    bool done = folder != NULL;

    while (done && (entry = readdir(folder)) != NULL)
        if (!is_dot(entry->d_name) && strcmp(entry->d_name, last) != 0)
            done = move_up(dir, entry->d_name);
    if (folder)
        (void)closedir(folder);
    return done && sync_folder(dir->place) == 0 && move_up(dir, last) && rmdir(dir->stage) == 0 &&
           sync_folder(dir->place) == 0;
}

/* It was empty when we began, so all that is there is ours. */
static void empty_place(const struct fl_init_dir *dir)
{
    DIR *folder = opendir(dir->place);
    struct dirent *entry = NULL;
    char path[FL_INIT_PATH_MAX];

    while (folder && (entry = readdir(folder)) != NULL)
        if (!is_dot(entry->d_name) && join(path, dir->place, entry->d_name, NULL) == FL_OK)
            remove_tree(path);
    if (folder)
        (void)closedir(folder);
}

static enum fl_error publish_new(struct fl_init_dir *dir, struct fl_context *ctx)
{
    char parent[FL_INIT_PATH_MAX];
    char *slash = NULL;
    enum fl_error error = FL_OK;

    if (chmod(dir->stage, 0755) != 0 || rename(dir->stage, dir->place) != 0)
        return fail(ctx, "it cannot be put into its place");
    (void)fl_str_copy(parent, sizeof parent, dir->place);
    slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent ? 1 : 0] = 0;
    if (sync_folder(parent) != 0) {
        error = fail(ctx, "the folder in which it is cannot be written");
        remove_tree(dir->place);
    }
    return error;
}

enum fl_error fl_init_dir_publish(struct fl_init_dir *dir, const char *last, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (nftw(dir->stage, sync_one, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS) != 0)
        return fail(ctx, "it cannot be written");
    if (!dir->existed) {
        error = publish_new(dir, ctx);
    } else if (!move_all_up(dir, last)) {
        error = fail(ctx, "it cannot be put into its place");
        empty_place(dir);
    }
    if (error == FL_OK)
        dir->stage[0] = 0;
    return error;
}

void fl_init_dir_discard(struct fl_init_dir *dir)
{
    if (dir->stage[0])
        remove_tree(dir->stage);
    dir->stage[0] = 0;
}
