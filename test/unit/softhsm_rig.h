/* SPDX-License-Identifier: Apache-2.0
 *
 * Real PKCS #11 tokens for a test: SoftHSM 2 over a folder of its own.
 */
#ifndef FL_TEST_SOFTHSM_RIG_H
#define FL_TEST_SOFTHSM_RIG_H

#include "test/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOFTHSM_MODULE "/usr/lib/softhsm/libsofthsm2.so"

static struct {
    char folder[64];
    char pin_file[128]; /* "pin-of-the-user" */
    char no_pin[256];   /* pkcs11:token=fairlead;object=cam-01?module-path=... */
    char uri[512];      /* with pin-source, too */
} softhsm;

static bool softhsm_is_installed(void)
{
    return access(SOFTHSM_MODULE, R_OK) == 0 && access("/usr/bin/softhsm2-util", X_OK) == 0;
}

static void softhsm_write(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static void softhsm_shell(const char *command)
{
    int status = system(command); /* NOLINT(cert-env33-c): a test's own words */

    assert_int_equal(status, 0);
}

static void softhsm_add_token(const char *label)
{
    char command[256];

    (void)snprintf(command, sizeof command,
                   "softhsm2-util --init-token --free --label '%s' --pin pin-of-the-user "
                   "--so-pin pin-of-the-officer >/dev/null",
                   label);
    softhsm_shell(command);
}

/* Takes every token out, and puts them back. */
static void softhsm_unplug(bool out)
{
    char here[128];
    char away[128];

    (void)snprintf(here, sizeof here, "%s/tokens", softhsm.folder);
    (void)snprintf(away, sizeof away, "%s/away", softhsm.folder);
    assert_int_equal(out ? rename(here, away) : rmdir(here), 0);
    if (out)
        assert_int_equal(mkdir(here, 0700), 0);
    else
        assert_int_equal(rename(away, here), 0);
}

static int softhsm_set_up(void **state)
{
    char path[128];
    char text[256];

    (void)state;
    (void)snprintf(softhsm.folder, sizeof softhsm.folder, "/tmp/fl-softhsm-XXXXXX");
    assert_non_null(mkdtemp(softhsm.folder));
    (void)snprintf(path, sizeof path, "%s/tokens", softhsm.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/softhsm2.conf", softhsm.folder);
    (void)snprintf(text, sizeof text, "directories.tokendir = %s/tokens\nlog.level = ERROR\n",
                   softhsm.folder);
    softhsm_write(path, text, 0600);
    assert_int_equal(setenv("SOFTHSM2_CONF", path, 1), 0);
    (void)snprintf(softhsm.pin_file, sizeof softhsm.pin_file, "%s/pin", softhsm.folder);
    softhsm_write(softhsm.pin_file, "pin-of-the-user\n", 0600);
    (void)snprintf(softhsm.no_pin, sizeof softhsm.no_pin,
                   "pkcs11:token=fairlead;object=cam-01?module-path=%s", SOFTHSM_MODULE);
    (void)snprintf(softhsm.uri, sizeof softhsm.uri, "%s&pin-source=file:%s", softhsm.no_pin,
                   softhsm.pin_file);
    softhsm_add_token("fairlead");
    return 0;
}

static int softhsm_tear_down(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", softhsm.folder);
    softhsm_shell(command);
    return 0;
}

#endif
