/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor.h"

#include "base/str.h"
#include "cli/file.h"
#include "codec/conf.h"
#include "trust/cert.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#define DAY_MS 86400000LL
#define LOW_BYTES (256LL * 1024 * 1024)
#define LOWEST_BYTES (32LL * 1024 * 1024)

/* "https PORT" or "https ADDRESS PORT". */
static unsigned port_of(const struct fl_conf *conf, const char *name)
{
    const struct fl_conf_node *node = fl_conf_find(conf->root, name);
    uint64_t port = 0;

    if (!node || node->word_count < 2 ||
        fl_str_to_u64(node->words[node->word_count - 1].text, UINT16_MAX, &port) != FL_OK)
        return 0;
    return (unsigned)port;
}

static void check_configuration(struct fl_doctor *d)
{
    char path[FL_CLI_PATH_MAX];
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_CONF_SIZE);
    struct fl_conf conf = {0};
    struct fl_context ctx = {0};
    const struct fl_conf_node *host = NULL;
    enum fl_error e = fl_file_path(path, d->directory, "hub.conf", &ctx);

    if (e == FL_OK)
        e = fl_file_read(path, &text, &ctx);
    if (e == FL_OK)
        e = fl_conf_parse(fl_buffer_slice(&text), path, &conf, &ctx);
    if (e != FL_OK) {
        fl_doctor_found(d, FL_DOCTOR_FAIL, "configuration",
                        "correct it: see `fairlead-hub --check`", "%s", ctx.text);
    } else {
        host = fl_conf_find(conf.root, "host");
        if (host && host->word_count > 1)
            (void)fl_str_copy_slice(d->host, sizeof d->host, host->words[1].text);
        d->mqtt_port = port_of(&conf, "mqtt");
        d->https_port = port_of(&conf, "https");
        fl_doctor_found(d, FL_DOCTOR_OK, "configuration", NULL, "%s: host %s, MQTT %u, HTTPS %u",
                        path, d->host, d->mqtt_port, d->https_port);
    }
    fl_conf_free(&conf);
    fl_buffer_free(&text);
}

static void check_private(struct fl_doctor *d)
{
    static const char *const names[] = {"keys",
                                        "operator",
                                        "state",
                                        "broker",
                                        "keys/issuing.key",
                                        "keys/data.key",
                                        "keys/device-keys",
                                        "keys/issued",
                                        "keys/root.key",
                                        "operator/profile.key"};
    char path[FL_CLI_PATH_MAX];
    char todo[FL_CLI_PATH_MAX + 64];
    struct stat st = {0};
    size_t wrong = 0;
    size_t looked_at = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (fl_file_path(path, d->directory, names[i], NULL) != FL_OK || lstat(path, &st) != 0)
            continue;
        looked_at++;
        if (S_ISLNK(st.st_mode) || (st.st_mode & 077)) {
            (void)snprintf(todo, sizeof todo, "chmod go= %s", path);
            fl_doctor_found(d, FL_DOCTOR_FAIL, "permissions", todo,
                            "%s: others than its owner can get at it (mode %04o)", path,
                            (unsigned)(st.st_mode & 07777));
            wrong++;
        }
    }
    if (!looked_at)
        fl_doctor_found(d, FL_DOCTOR_WARN, "permissions", "run this as the hub's owner or root",
                        "%s: cannot be looked into", d->directory);
    else if (!wrong)
        fl_doctor_found(d, FL_DOCTOR_OK, "permissions", NULL,
                        "keys, operator's files, state and the broker's log are private");
}

static void check_root_key(struct fl_doctor *d)
{
    char path[FL_CLI_PATH_MAX];

    if (fl_file_path(path, d->directory, "keys/root.key", NULL) != FL_OK)
        return;
    if (access(path, F_OK) == 0)
        fl_doctor_found(d, FL_DOCTOR_WARN, "root key",
                        "move it to offline media; the hub works without it",
                        "%s is still on this machine", path);
    else if (errno == ENOENT)
        fl_doctor_found(d, FL_DOCTOR_OK, "root key", NULL, "is not on this machine");
}

static void check_data_key(struct fl_doctor *d)
{
    char path[FL_CLI_PATH_MAX];
    char todo[FL_CLI_PATH_MAX + 160];

    if (fl_file_path(path, d->directory, "keys/data.key", NULL) != FL_OK)
        return;
    (void)snprintf(todo, sizeof todo,
                   "restore it from a backup; a directory of a version without it gets one with "
                   "`fairlead init --add-data-key %s`",
                   d->directory);
    if (access(path, F_OK) == 0)
        fl_doctor_found(d, FL_DOCTOR_OK, "data key", NULL, "is there; keep a copy offline");
    else if (errno == ENOENT)
        fl_doctor_found(d, FL_DOCTOR_FAIL, "data key", todo,
                        "%s is missing: nothing stored can be read", path);
}

struct certificate {
    struct fl_cert_info info;
    bool found;
    struct fl_context *ctx;
};

static enum fl_error first_certificate(void *to, struct fl_slice der)
{
    struct certificate *c = to;

    if (c->found)
        return FL_OK;
    c->found = true;
    return fl_cert_read(der, &c->info, c->ctx);
}

static void check_certificate(struct fl_doctor *d, const char *check, const char *name,
                              fl_time_t warn_ms, const char *todo)
{
    char path[FL_CLI_PATH_MAX];
    char until[FL_TIME_TEXT_MAX];
    struct fl_buffer pem = FL_BUFFER(FL_LIMIT_CHAIN);
    struct fl_context ctx = {0};
    struct certificate c = {.ctx = &ctx};
    fl_time_t now = fl_cli_now();
    enum fl_error e = fl_file_path(path, d->directory, name, &ctx);

    if (e == FL_OK)
        e = fl_file_read(path, &pem, &ctx);
    if (e == FL_EDENIED) {
        fl_doctor_found(d, FL_DOCTOR_WARN, check, "run this as the hub's owner or root", "%s",
                        ctx.text);
        fl_buffer_free(&pem);
        return;
    }
    if (e == FL_OK)
        e = fl_cert_each_pem(fl_buffer_slice(&pem), first_certificate, &c, &ctx);
    fl_time_format(c.info.not_after, until);
    if (e != FL_OK || !c.found)
        fl_doctor_found(d, FL_DOCTOR_FAIL, check, "restore it from a backup", "%s: %s", path,
                        ctx.text[0] ? ctx.text : "holds no certificate");
    else if (now < c.info.not_before)
        fl_doctor_found(d, FL_DOCTOR_FAIL, check, "set this machine's clock",
                        "%s begins to be "
                        "valid in the future",
                        path);
    else if (now >= c.info.not_after)
        fl_doctor_found(d, FL_DOCTOR_FAIL, check, todo, "%s expired at %s", path, until);
    else
        fl_doctor_found(d, c.info.not_after - now < warn_ms ? FL_DOCTOR_WARN : FL_DOCTOR_OK, check,
                        c.info.not_after - now < warn_ms ? todo : NULL, "valid until %s, %lld days",
                        until, (long long)((c.info.not_after - now) / DAY_MS));
    fl_buffer_free(&pem);
}

static void check_disk(struct fl_doctor *d)
{
    struct statvfs disk = {0};
    char path[FL_CLI_PATH_MAX];
    long long free_bytes = 0;
    enum fl_doctor_level level = FL_DOCTOR_OK;

    if (fl_file_path(path, d->directory, "state", NULL) != FL_OK || statvfs(path, &disk) != 0)
        return;
    free_bytes = (long long)disk.f_bavail * (long long)disk.f_frsize;
    if (free_bytes < LOWEST_BYTES || disk.f_favail == 0)
        level = disk.f_files || free_bytes < LOWEST_BYTES ? FL_DOCTOR_FAIL : FL_DOCTOR_OK;
    else if (free_bytes < LOW_BYTES || disk.f_bavail < disk.f_blocks / 20)
        level = FL_DOCTOR_WARN;
    fl_doctor_found(d, level, "disk",
                    level ? "make room: a hub that cannot write accepts nothing" : NULL,
                    "%lld MB free of %lld MB for %s", free_bytes / 1000000,
                    (long long)disk.f_blocks * (long long)disk.f_frsize / 1000000, path);
}

static void check_clock(struct fl_doctor *d)
{
    struct timex clock = {0};
    char now[FL_TIME_TEXT_MAX];
    fl_time_t t = fl_cli_now();

    fl_time_format(t - t % 1000, now);
    if (t < 1767225600000LL) /* 2026-01-01 */
        fl_doctor_found(d, FL_DOCTOR_FAIL, "clock", "set it: certificates are judged by it",
                        "%s cannot be right", now);
    else if (adjtimex(&clock) < 0)
        fl_doctor_found(d, FL_DOCTOR_OK, "clock", NULL, "%s", now);
    else if (clock.status & STA_UNSYNC)
        fl_doctor_found(d, FL_DOCTOR_WARN, "clock", "let NTP keep it (systemd-timesyncd, chrony)",
                        "%s, kept by nobody", now);
    else
        fl_doctor_found(d, FL_DOCTOR_OK, "clock", NULL, "%s, synchronised", now);
}

void fl_doctor_check_files(struct fl_doctor *d)
{
    check_configuration(d);
    check_private(d);
    check_root_key(d);
    check_data_key(d);
    check_certificate(d, "root certificate", "ca.pem", 365 * DAY_MS,
                      "every device must get a new root before that day");
    check_certificate(d, "issuing certificate", "keys/issuing.pem", 90 * DAY_MS,
                      "no device can enrol or renew after that day");
    check_disk(d);
    check_clock(d);
}
