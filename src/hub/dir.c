/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/dir.h"

#include "base/log.h"
#include "base/str.h"
#include "io/role.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    const char *name;
    bool folder;
    bool secret;   /* nobody but its owner may reach it */
    bool optional; /* may be missing */
    enum fl_msg_from user;
    const char *remedy; /* when it is missing; NULL: the usual one */
};

#define NO_DATA_KEY                                                                                \
    "a directory from before readings were encrypted gets it with 'fairlead init "                 \
    "--add-data-key DIR'; if it was there once, restore it from a backup"

static const struct entry entries[] = {
    {"ca.pem", false, false, false, FL_FROM_HUB, NULL},
    {"keys", true, true, false, FL_FROM_SIGNER, NULL},
    {"keys/issuing.key", false, true, false, FL_FROM_SIGNER, NULL},
    {"keys/data.key", false, true, false, FL_FROM_SIGNER, NO_DATA_KEY},
    {"keys/device-keys", false, true, false, FL_FROM_SIGNER, NO_DATA_KEY},
    {"keys/issued", true, true, true, FL_FROM_SIGNER, NULL}, /* made when the hub starts */
    {"keys/issuing.pem", false, false, false, FL_FROM_SIGNER, NULL},
    {"keys/root.pem", false, false, false, FL_FROM_SIGNER, NULL},
    {"state", true, true, false, FL_FROM_HUB, NULL},
    {"broker", true, true, true, FL_FROM_FRONT, NULL}, /* the hub makes it when it starts */
    {"profiles", true, false, true, FL_FROM_HUB, NULL},
    {"profile-keys.pem", false, false, true, FL_FROM_HUB, NULL},
};
#define ENTRY_COUNT (sizeof entries / sizeof entries[0])

static enum fl_error from_errno(const char *path, struct fl_context *ctx)
{
    bool denied = errno == EACCES || errno == EPERM;

    return fl_fail(ctx, denied ? FL_EDENIED : (errno == ENOENT ? FL_ENOTFOUND : FL_EIO), "%s: %s",
                   path, strerror(errno));
}

enum fl_error fl_hub_dir_resolve(const char *dir, char to[FL_HUB_DIR_MAX], struct fl_context *ctx)
{
    char *path = realpath(dir, NULL);
    struct stat status;
    bool fits = false;

    if (!path)
        return from_errno(dir, ctx);
    fits = fl_str_copy(to, FL_HUB_DIR_MAX, path);
    free(path);
    if (!fits || stat(to, &status) != 0)
        return fl_fail(ctx, FL_ELIMIT, "%s: path too long", dir);
    if (!S_ISDIR(status.st_mode))
        return fl_fail(ctx, FL_EINVAL, "%s: not a directory", dir);
    return FL_OK;
}

/* --- check --- */

static enum fl_error check_owner(const struct entry *e, const char *path, const struct stat *status,
                                 struct fl_context *ctx)
{
    if (geteuid() == 0 || status->st_uid == geteuid())
        return FL_OK;
    if (status->st_uid == fl_role_of(e->user)->uid)
        return fl_fail(ctx, FL_EDENIED,
                       "%s: belongs to the hub's own user %u since it ran as root: run it as root, "
                       "or give the directory back with 'chown -R'",
                       path, (unsigned)status->st_uid);
    return fl_fail(ctx, FL_EDENIED, "%s: belongs to user %u: run the hub as that user or as root",
                   path, (unsigned)status->st_uid);
}

static enum fl_error check_entry(const char *dir, const struct entry *e, struct fl_context *ctx)
{
    char path[FL_HUB_DIR_MAX + 64];
    struct stat status;

    (void)snprintf(path, sizeof path, "%s/%s", dir, e->name);
    if (lstat(path, &status) != 0) {
        if (errno == ENOENT && e->optional)
            return FL_OK;
        if (errno == ENOENT)
            return fl_fail(ctx, FL_ENOTFOUND, "%s: not there (%s)", path,
                           e->remedy ? e->remedy
                                     : "'fairlead init' makes it; a hub cannot start without");
        return from_errno(path, ctx);
    }
    if (e->folder ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode))
        return fl_fail(ctx, FL_EINVAL, "%s: must be a %s", path, e->folder ? "folder" : "file");
    if (e->secret && (status.st_mode & 077) != 0)
        return fl_fail(ctx, FL_EDENIED, "%s: open to others (mode %03o): run 'chmod go= %s'", path,
                       (unsigned)status.st_mode & 0777, path);
    if (e->secret) {
        enum fl_error error = check_owner(e, path, &status, ctx);
        if (error != FL_OK)
            return error;
    }
    if (access(path, e->folder ? R_OK | X_OK : R_OK) != 0)
        return from_errno(path, ctx);
    return FL_OK;
}

enum fl_error fl_hub_dir_check(const char *dir, struct fl_context *ctx)
{
    static const char *const written[] = {"state", "broker", "keys/issued"};
    char path[FL_HUB_DIR_MAX + 64];
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < ENTRY_COUNT && error == FL_OK; i++)
        error = check_entry(dir, &entries[i], ctx);
    for (size_t i = 0; i < sizeof written / sizeof written[0] && error == FL_OK; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, written[i]);
        if (access(path, W_OK) != 0 && errno != ENOENT)
            error = from_errno(path, ctx);
    }
    return error;
}

/* --- lock --- */

static enum fl_error lock_taken(const char *dir, int fd, struct fl_context *ctx)
{
    char pid[16] = {0};
    ssize_t size = pread(fd, pid, sizeof pid - 1, 0);

    if (size > 0)
        pid[strcspn(pid, "\n")] = 0;
    return fl_fail(ctx, FL_EBUSY, "%s: another hub runs on this directory (process %s)", dir,
                   size > 0 ? pid : "unknown");
}

enum fl_error fl_hub_dir_lock(const char *dir, int *fd, struct fl_context *ctx)
{
    char path[FL_HUB_DIR_MAX + 64];
    char pid[16];
    int size = 0;
    enum fl_error error = FL_OK;

    (void)snprintf(path, sizeof path, "%s/run", dir);
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return from_errno(path, ctx);
    (void)snprintf(path, sizeof path, "%s/run/lock", dir);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return from_errno(path, ctx);
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        error = errno == EWOULDBLOCK ? lock_taken(dir, *fd, ctx) : from_errno(path, ctx);
        (void)close(*fd);
        *fd = -1;
        return error;
    }
    /* Only for people: the lock is what counts. */
    size = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(*fd, 0) != 0 || pwrite(*fd, pid, (size_t)size, 0) != size)
        fl_log(FL_LOG_WARN, "hub", "%s: %s", path, strerror(errno));
    return FL_OK;
}

enum fl_error fl_hub_dir_in_use(const char *dir, bool *in_use, struct fl_context *ctx)
{
    char path[FL_HUB_DIR_MAX + 64];
    int fd = -1;

    *in_use = false;
    (void)snprintf(path, sizeof path, "%s/run/lock", dir);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? FL_OK : from_errno(path, ctx);
    *in_use = flock(fd, LOCK_SH | LOCK_NB) != 0;
    (void)close(fd);
    return FL_OK;
}

/* --- make --- */

enum fl_error fl_hub_dir_make(const char *dir, struct fl_context *ctx)
{
    static const char *const folders[] = {"broker", "keys/issued"};
    char path[FL_HUB_DIR_MAX + 64];
    enum fl_error error = FL_OK;

    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && error == FL_OK; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, folders[i]);
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            error = from_errno(path, ctx);
    }
    return error;
}

/* --- own --- */

#define DEPTH_MAX 4 /* of folders below keys/ and state/; there are none today */

/* One thing that is to get an owner, or to be readable, or both. */
struct grant {
    uid_t uid;
    bool give;       /* to `uid` */
    const char *but; /* a name that stays as it is, or NULL */
};

static enum fl_error grant_folder(int fd, const char *path, const struct grant *grant, int depth,
                                  struct fl_context *ctx);

/* `fd` is an O_PATH descriptor, so nothing can change places between looking and changing. */
static enum fl_error grant_open(int fd, const char *path, const struct grant *grant, int depth,
                                struct fl_context *ctx)
{
    char self[32];
    struct stat status;
    mode_t readable = 0;

    if (fstat(fd, &status) != 0)
        return from_errno(path, ctx);
    if (!S_ISDIR(status.st_mode) && (!S_ISREG(status.st_mode) || status.st_nlink > 1)) {
        fl_log(FL_LOG_WARN, "hub", "%s: not a plain file of its own; left as it is", path);
        return FL_OK;
    }
    readable = S_ISDIR(status.st_mode) ? 0555 : 0444;
    if (grant->give && (status.st_uid != grant->uid || status.st_gid != grant->uid) &&
        fchownat(fd, "", grant->uid, grant->uid, AT_EMPTY_PATH) != 0)
        return fl_fail(ctx, FL_EIO, "%s: give to user %u: %s", path, (unsigned)grant->uid,
                       strerror(errno));
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (!grant->give && (status.st_mode & readable) != readable &&
        chmod(self, (status.st_mode & 07777) | readable) != 0)
        return fl_fail(ctx, FL_EIO, "%s: make readable: %s", path, strerror(errno));
    return S_ISDIR(status.st_mode) ? grant_folder(fd, path, grant, depth, ctx) : FL_OK;
}

static enum fl_error grant_at(int folder, const char *name, const char *path,
                              const struct grant *grant, int depth, struct fl_context *ctx)
{
    int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    enum fl_error error = FL_OK;

    if (fd < 0)
        return errno == ENOENT ? FL_OK : from_errno(path, ctx);
    error = grant_open(fd, path, grant, depth, ctx);
    (void)close(fd);
    return error;
}

static enum fl_error grant_folder(int fd, const char *path, const struct grant *grant, int depth,
                                  struct fl_context *ctx)
{
    int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = readable >= 0 ? fdopendir(readable) : NULL;
    enum fl_error error = FL_OK;

    if (!list) {
        error = from_errno(path, ctx);
        if (readable >= 0)
            (void)close(readable);
        return error;
    }
    if (depth == 0)
        error = fl_fail(ctx, FL_ELIMIT, "%s: folders too deep", path);
    while (error == FL_OK) {
        const struct dirent *entry = readdir(list);
        char below[FL_HUB_DIR_MAX + 512];

        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (grant->but && strcmp(entry->d_name, grant->but) == 0))
            continue;
        (void)snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        error = grant_at(fd, entry->d_name, below, grant, depth - 1, ctx);
    }
    (void)closedir(list);
    return error;
}

enum fl_error fl_hub_dir_own(const char *dir, struct fl_context *ctx)
{
    /* The root key is the operator's, also while it has not been taken offline yet. */
    const struct grant signer = {fl_role_of(FL_FROM_SIGNER)->uid, true, "root.key"};
    const struct grant control = {fl_role_of(FL_FROM_HUB)->uid, true, NULL};
    const struct grant front = {fl_role_of(FL_FROM_FRONT)->uid, true, NULL};
    const struct grant readable = {0};
    const struct {
        const char *name;
        const struct grant *grant;
    } grants[] = {{"keys", &signer},
                  {"state", &control},
                  {"broker", &front},
                  {"hub.conf", &readable},
                  {"ca.pem", &readable},
                  {"profiles", &readable},
                  {"profile-keys.pem", &readable}};
    struct stat status;
    enum fl_error error = FL_OK;
    int fd = -1;

    if (geteuid() != 0)
        return FL_OK;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        error = from_errno(dir, ctx);
        goto out;
    }
    /* The processes' own users pass through; they cannot list it. */
    if ((status.st_mode & 0011) != 0011 && fchmod(fd, (status.st_mode & 07777) | 0011) != 0)
        error = from_errno(dir, ctx);
    for (size_t i = 0; i < sizeof grants / sizeof grants[0] && error == FL_OK; i++) {
        char path[FL_HUB_DIR_MAX + 64];

        (void)snprintf(path, sizeof path, "%s/%s", dir, grants[i].name);
        error = grant_at(fd, grants[i].name, path, grants[i].grant, DEPTH_MAX, ctx);
    }
out:
    if (fd >= 0)
        (void)close(fd);
    return error;
}
