/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/renew_verb.h"

#include "agent/folder.h"
#include "agent/run.h"
#include "agent/self.h"
#include "io/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 60000, LOOK_MS = 200 };

/* Without the folder's lock: cert.pem is replaced whole. */
static enum fl_error read_certificate(const char *dir, struct fl_cert_info *info,
                                      struct fl_context *ctx)
{
    struct fl_files_folder folder = {0};
    struct fl_files files = {0};
    uint8_t bytes[FL_LIMIT_CERT];
    size_t got = 0;
    enum fl_error error = fl_files_open(dir, &folder, ctx);

    if (error)
        return error;
    files = fl_files_of(&folder);
    error = files.read(files.self, "cert.pem", 0, bytes, sizeof bytes, &got, ctx);
    fl_files_close(&folder);
    if (!error && !fl_self_certificate(fl_slice(bytes, got), info))
        error = fl_fail(ctx, FL_EPARSE, "%s/cert.pem is not a device's certificate", dir);
    return error;
}

static enum fl_error wait_for_another(const char *dir, const char *serial,
                                      struct fl_cert_info *info, struct fl_context *ctx)
{
    const struct timespec pause = {.tv_nsec = (long)LOOK_MS * 1000000};
    fl_time_t end = fl_clock_monotonic(fl_clock_system()) + WAIT_MS;

    while (fl_clock_monotonic(fl_clock_system()) < end) {
        enum fl_error error = read_certificate(dir, info, ctx);

        if (error)
            return error;
        if (strcmp(info->serial, serial) != 0)
            return FL_OK;
        (void)nanosleep(&pause, NULL);
    }
    return fl_fail(ctx, FL_ETIMEOUT,
                   "the agent that is running there has not renewed within %d s: its log says why",
                   WAIT_MS / 1000);
}

enum fl_error fl_renew_verb(const char *dir, bool quiet, struct fl_context *ctx)
{
    const struct fl_run_options options = {.dir = dir, .renew = true};
    struct fl_cert_info before = {0};
    struct fl_cert_info after = {0};
    char until[FL_TIME_TEXT_MAX];
    pid_t running = fl_folder_holder(dir);
    enum fl_error error = FL_OK;

    if (running > 0) {
        error = read_certificate(dir, &before, ctx);
        if (!error && kill(running, SIGUSR1) != 0)
            error = fl_fail(ctx, FL_EDENIED, "the agent that is running there cannot be told: %s",
                            strerror(errno));
        if (!error)
            error = wait_for_another(dir, before.serial, &after, ctx);
    } else {
        error = fl_run(&options, ctx);
        if (!error)
            error = read_certificate(dir, &after, ctx);
    }
    if (!error && !quiet)
        (void)printf("%s is renewed: certificate %s, valid until %s.\n", after.name, after.serial,
                     fl_time_format(after.not_after, until));
    return error;
}
