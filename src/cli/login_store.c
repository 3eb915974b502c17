/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/login_store.h"

#include "cli/file.h"
#include "cli/json.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DEFAULT_PORT 8443

enum fl_error fl_login_url(const char *typed, char url[FL_LIMIT_HOST + 32], struct fl_context *ctx)
{
    static const char scheme[] = "https://";
    struct fl_slice rest = fl_slice(typed, strlen(typed));
    char host[FL_LIMIT_HOST + 12] = "";
    const char *port = NULL;
    uint64_t number = DEFAULT_PORT;
    char shown[128];
    bool valid = true;
    int size = 0;

    fl_str_printable(shown, sizeof shown, rest);
    if (strncasecmp(typed, scheme, sizeof scheme - 1) != 0)
        return fl_fail(ctx, FL_EINVAL, "%s: the address of a hub is https://HOST[:PORT]", shown);
    rest = fl_slice_from(rest, sizeof scheme - 1);
    if (rest.size > 0 && rest.data[rest.size - 1] == '/')
        rest.size--;
    valid = fl_str_copy_slice(host, sizeof host, rest) && host[0];
    for (char *c = host; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
        valid = valid && (isalnum((unsigned char)*c) || strchr(".-_:[]", *c));
    }
    port = strrchr(host, ':');
    if (port && !strchr(port, ']')) {
        valid = valid && port != host &&
                fl_str_to_u64(fl_slice_str(port + 1), 65535, &number) == FL_OK && number > 0;
        host[port - host] = 0;
    }
    valid = valid && (host[0] == '[' ? host[strlen(host) - 1] == ']' : !strpbrk(host, ":[]"));
    size = snprintf(url, FL_LIMIT_HOST + 32, "%s%s:%u", scheme, host, (unsigned)number);
    if (!valid || size < 0 || size >= FL_LIMIT_HOST + 32)
        return fl_fail(ctx, FL_EINVAL, "%s: the address of a hub is https://HOST[:PORT]", shown);
    return FL_OK;
}

static enum fl_error folder(char to[FL_CLI_PATH_MAX], struct fl_context *ctx)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");

    if (base && base[0] == '/')
        return fl_file_path(to, base, "fairlead/hubs", ctx);
    if (home && home[0] == '/')
        return fl_file_path(to, home, ".config/fairlead/hubs", ctx);
    return fl_fail(ctx, FL_ENOTFOUND, "HOME is not set, so there is no place for credentials");
}

/* HOST_PORT.json: an address holds nothing that a file name may not. */
static enum fl_error file_of(const char *url, char to[FL_CLI_PATH_MAX], struct fl_context *ctx)
{
    char in[FL_CLI_PATH_MAX];
    char name[FL_LIMIT_HOST + 40];
    enum fl_error e = folder(in, ctx);

    if (e != FL_OK)
        return e;
    (void)snprintf(name, sizeof name, "%s.json", url + strlen("https://"));
    for (char *c = name; *c; c++)
        if (*c == ':')
            *c = '_';
    return fl_file_path(to, in, name, ctx);
}

enum fl_error fl_login_save(const struct fl_login *login, struct fl_context *ctx)
{
    char path[FL_CLI_PATH_MAX];
    struct fl_buffer text = FL_BUFFER(65536);
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "url", login->url, "name", login->name, "credential",
                  login->credential, "expires", login->expires, "ca_pem", login->ca_pem);
    enum fl_error e = FL_OK;

    if (!object || fl_json_print(object, &text) != FL_OK)
        e = fl_fail(ctx, FL_ENOMEM, "out of memory");
    if (e == FL_OK)
        e = folder(path, ctx);
    if (e == FL_OK)
        e = fl_file_make_folder(path, ctx);
    if (e == FL_OK)
        e = file_of(login->url, path, ctx);
    if (e == FL_OK)
        e = fl_file_write(path, 0600, fl_buffer_slice(&text), ctx);
    json_decref(object);
    fl_buffer_free(&text);
    return e;
}

static bool copy_member(const json_t *object, const char *member, char *to, size_t size)
{
    return fl_str_copy(to, size, fl_json_text(object, member));
}

static enum fl_error load_file(const char *path, struct fl_login *login, struct fl_context *ctx)
{
    struct fl_buffer text = FL_BUFFER(65536);
    struct stat st = {0};
    json_t *object = NULL;
    enum fl_error e = FL_OK;

    *login = (struct fl_login){0};
    if (stat(path, &st) != 0)
        return fl_file_fail(ctx, path, errno);
    if (st.st_mode & 077)
        return fl_fail(ctx, FL_EDENIED,
                       "%s: others can read this credential; chmod 600 it, and if others may have "
                       "read it, remove the credential and log in again",
                       path);
    e = fl_file_read(path, &text, ctx);
    if (e == FL_OK) {
        object = json_loadb(text.size ? (const char *)text.data + text.start : "", text.size,
                            JSON_REJECT_DUPLICATES, NULL);
        if (!copy_member(object, "url", login->url, sizeof login->url) ||
            !copy_member(object, "name", login->name, sizeof login->name) ||
            !copy_member(object, "credential", login->credential, sizeof login->credential) ||
            !copy_member(object, "expires", login->expires, sizeof login->expires) ||
            !copy_member(object, "ca_pem", login->ca_pem, sizeof login->ca_pem) || !login->url[0] ||
            !login->credential[0])
            e = fl_fail(ctx, FL_EPARSE, "%s: is damaged; remove it and log in again", path);
    }
    json_decref(object);
    fl_buffer_free(&text);
    if (e != FL_OK)
        fl_login_wipe(login);
    return e;
}

enum fl_error fl_login_load(const char *url, struct fl_login *login, struct fl_context *ctx)
{
    char path[FL_CLI_PATH_MAX];
    enum fl_error e = file_of(url, path, ctx);

    return e == FL_OK ? load_file(path, login, ctx) : e;
}

static int is_login(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);

    return entry->d_name[0] != '.' && size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0;
}

enum fl_error fl_login_only(struct fl_login *login, struct fl_context *ctx)
{
    char in[FL_CLI_PATH_MAX];
    char path[FL_CLI_PATH_MAX] = "";
    char names[384] = "";
    struct dirent **entries = NULL;
    int count = 0;
    enum fl_error e = folder(in, ctx);

    if (e != FL_OK)
        return e;
    count = scandir(in, &entries, is_login, alphasort); /* below 0: no such folder */
    if (count > 0)
        e = fl_file_path(path, in, entries[0]->d_name, ctx);
    for (int i = 0; i < count; i++) {
        size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, "%s%.*s", used ? ", " : "",
                       (int)(strlen(entries[i]->d_name) - 5), entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (e != FL_OK)
        return e;
    if (count <= 0)
        return fl_fail(ctx, FL_ENOTFOUND, "no hub is named and you have logged in to none");
    if (count > 1)
        return fl_fail(ctx, FL_EBUSY, "no hub is named and you have logged in to several (%s)",
                       names);
    return load_file(path, login, ctx);
}

void fl_login_wipe(struct fl_login *login)
{
    explicit_bzero(login, sizeof *login);
}
