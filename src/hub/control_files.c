/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/control_files.h"

#include "base/log.h"
#include "service/principal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define TAG "control"
#define SUFFIX ".profile"

static enum fl_error read_file(const char *path, size_t max, struct fl_buffer *text,
                               struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    ssize_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return fl_fail(ctx, errno == ENOENT ? FL_ENOTFOUND : FL_EIO, "%s: %s", path,
                       strerror(errno));
    do {
        uint8_t *room = fl_buffer_reserve(text, 4096);

        if (!room || fl_buffer_slice(text).size > max) {
            error = fl_fail(ctx, FL_ELIMIT, "%s: larger than %zu octets", path, max);
            break;
        }
        got = read(fd, room, 4096);
        if (got > 0)
            fl_buffer_commit(text, (size_t)got);
        else if (got < 0)
            error = fl_fail(ctx, FL_EIO, "%s: %s", path, strerror(errno));
    } while (got > 0);
    (void)close(fd);
    return error;
}

enum fl_error fl_control_load_keys(const char *dir, struct fl_profile_keys *keys,
                                   struct fl_context *ctx)
{
    char path[4200];
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_CONF_SIZE + 8192);
    enum fl_error error = FL_OK;

    (void)snprintf(path, sizeof path, "%s/profile-keys.pem", dir);
    error = read_file(path, FL_LIMIT_CONF_SIZE, &text, ctx);
    if (error == FL_OK) {
        error = fl_profile_keys_load(fl_buffer_slice(&text), keys, ctx);
        error = fl_fail_in(ctx, error, "%s", path);
    }
    fl_buffer_free(&text);
    return error;
}

/* --- profiles --- */

static enum fl_error add_profile(const struct fl_store *store, const struct fl_profile_keys *keys,
                                 struct fl_slice text, const char *file, fl_time_t now, bool *added,
                                 struct fl_context *ctx)
{
    struct fl_change change = {.who = "hub", .reason = "profiles/", .now = now};
    char name[FL_NAME_MAX + 1];
    enum fl_error error = fl_store_begin(store, ctx);

    if (error != FL_OK)
        return error;
    error = fl_profile_store_add(store, keys, text, file, &change, added, name, ctx);
    return fl_store_end(store, error, ctx);
}

static void load_profile(const char *dir, const char *file, const struct fl_store *store,
                         const struct fl_profile_keys *keys, fl_time_t now)
{
    char path[4600];
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_PROFILE_SIZE + 8192);
    struct fl_context ctx = {0};
    bool added = false;
    enum fl_error error = FL_OK;

    (void)snprintf(path, sizeof path, "%s/profiles/%s", dir, file);
    error = read_file(path, FL_LIMIT_PROFILE_SIZE, &text, &ctx);
    if (error == FL_OK)
        error = add_profile(store, keys, fl_buffer_slice(&text), file, now, &added, &ctx);
    if (error != FL_OK)
        fl_log(FL_LOG_WARN, TAG, "profiles/%s is not loaded: %s", file, ctx.text);
    else if (added)
        fl_log(FL_LOG_INFO, TAG, "profiles/%s is loaded", file);
    fl_buffer_free(&text);
}

void fl_control_load_profiles(const char *dir, const struct fl_store *store,
                              const struct fl_profile_keys *keys, fl_time_t now)
{
    char path[4200];
    DIR *folder = NULL;
    const struct dirent *entry = NULL;

    (void)snprintf(path, sizeof path, "%s/profiles", dir);
    folder = opendir(path);
    if (!folder) {
        fl_log(FL_LOG_WARN, TAG, "%s: %s", path, strerror(errno));
        return;
    }
    while ((entry = readdir(folder))) {
        size_t size = strlen(entry->d_name);

        if (entry->d_name[0] != '.' && size > strlen(SUFFIX) &&
            strcmp(entry->d_name + size - strlen(SUFFIX), SUFFIX) == 0)
            load_profile(dir, entry->d_name, store, keys, now);
    }
    (void)closedir(folder);
}

/* --- the first administrator --- */

void fl_control_load_first_admin(const char *dir, const struct fl_store *store, fl_time_t now)
{
    char path[4200];
    struct fl_buffer text = FL_BUFFER(16384);
    struct fl_context ctx = {0};
    bool used = false;
    enum fl_error error = FL_OK;

    (void)snprintf(path, sizeof path, "%s/state/first-admin", dir);
    error = read_file(path, 4096, &text, &ctx);
    if (error == FL_OK)
        error = fl_store_begin(store, &ctx);
    if (error == FL_OK) {
        error = fl_principal_import(store, fl_buffer_slice(&text), now, &used, &ctx);
        error = fl_store_end(store, error, &ctx);
    }
    if (error == FL_OK && used && unlink(path) != 0)
        fl_log(FL_LOG_WARN, TAG, "%s: %s", path, strerror(errno));
    if (error != FL_OK && error != FL_ENOTFOUND)
        fl_log(FL_LOG_WARN, TAG, "state/first-admin: %s", ctx.text);
    fl_buffer_free(&text);
}
