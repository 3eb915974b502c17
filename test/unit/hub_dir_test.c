/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/unit.h"

#include "base/log.h"
#include "hub/dir.h"
#include "hub/parent.h"
#include "io/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fl_context ctx;
static char dir[64];

static const char *at(const char *name)
{
    static char path[4][160];
    static size_t next;
    char *to = path[next++ % 4];

    (void)snprintf(to, sizeof path[0], "%s/%s", dir, name);
    return to;
}

static void put(const char *name, mode_t mode, const char *text)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

/* Ports that were free a moment ago. */
static void put_conf(void)
{
    char text[128];
    unsigned ports[2];
    int fds[2];

    for (size_t i = 0; i < 2; i++) {
        struct sockaddr_in address = {0};
        socklen_t size = sizeof address;

        assert_ok(fl_listen_tcp("127.0.0.1", 0, &fds[i], &ctx));
        assert_int_equal(getsockname(fds[i], (struct sockaddr *)&address, &size), 0);
        ports[i] = ntohs(address.sin_port);
    }
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)snprintf(text, sizeof text, "host localhost\nmqtt %u\nhttps %u\n", ports[0], ports[1]);
    put("hub.conf", 0600, text);
}

static void quiet(enum fl_log_level level, const char *tag, const char *text)
{
    (void)level;
    (void)tag;
    (void)text;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/fl_dir_XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(mkdir(at("keys"), 0700), 0);
    assert_int_equal(mkdir(at("state"), 0700), 0);
    assert_int_equal(mkdir(at("profiles"), 0700), 0);
    put_conf();
    put("ca.pem", 0600, "");
    put("profiles/camera.profile", 0600, "");
    put("keys/issuing.key", 0600, "");
    put("keys/data.key", 0600, "");
    put("keys/device-keys", 0600, "");
    put("keys/issuing.pem", 0644, "");
    put("keys/root.pem", 0644, "");
    put("keys/root.key", 0600, "");
    put("state/hub.db", 0600, "");
    fl_log_set_writer(quiet);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    fl_log_set_writer(NULL);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command); /* NOLINT(cert-env33-c): a test, on a path of its own */
}

static void whole_directory_passes(void **state)
{
    (void)state;
    assert_ok(fl_hub_dir_check(dir, &ctx));
    assert_ok(fl_hub_check(dir, &ctx));
    assert_int_equal(access(at("run"), F_OK), -1); /* the check leaves no trace */
}

static void what_is_missing_is_named(void **state)
{
    static const char *const needed[] = {"ca.pem",           "keys/issuing.key", "keys/data.key",
                                         "keys/device-keys", "keys/issuing.pem", "keys/root.pem"};
    char whole[200];

    (void)state;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        assert_int_equal(rename(at(needed[i]), at("aside")), 0);
        assert_int_equal(fl_hub_dir_check(dir, &ctx), FL_ENOTFOUND);
        (void)snprintf(whole, sizeof whole, "%s: not there", at(needed[i]));
        assert_contains(ctx.text, whole);
        assert_int_equal(rename(at("aside"), at(needed[i])), 0);
    }
    assert_int_equal(fl_hub_check("/nowhere/hub", &ctx), FL_ENOTFOUND);
    assert_contains(ctx.text, "/nowhere/hub: No such file");
    assert_int_equal(fl_hub_check(at("ca.pem"), &ctx), FL_EINVAL);
    assert_contains(ctx.text, "not a directory");
    assert_int_equal(unlink(at("hub.conf")), 0);
    assert_int_equal(fl_hub_check(dir, &ctx), FL_ENOTFOUND);
    assert_contains(ctx.text, "hub.conf: not there");
}

static void secrets_open_to_others_are_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(at("keys/issuing.key"), 0640), 0);
    assert_int_equal(fl_hub_dir_check(dir, &ctx), FL_EDENIED);
    assert_contains(ctx.text, "open to others (mode 640): run 'chmod go=");
    assert_int_equal(chmod(at("keys/issuing.key"), 0600), 0);
    assert_int_equal(chmod(at("state"), 0755), 0);
    assert_int_equal(fl_hub_dir_check(dir, &ctx), FL_EDENIED);
}

static void wrong_kind_is_refused(void **state)
{
    (void)state;
    assert_int_equal(rename(at("keys/issuing.key"), at("real.key")), 0);
    assert_int_equal(symlink("../real.key", at("keys/issuing.key")), 0);
    assert_int_equal(fl_hub_dir_check(dir, &ctx), FL_EINVAL);
    assert_contains(ctx.text, "keys/issuing.key: must be a file");
}

static void broken_configuration_is_told_with_its_place(void **state)
{
    (void)state;
    put("hub.conf", 0600, "host localhost\nmqt 1\n");
    assert_int_equal(fl_hub_check(dir, &ctx), FL_EPARSE);
    assert_contains(ctx.text, "hub.conf:2:1: unknown statement 'mqt' (did you mean 'mqtt'?)");
}

static void directory_of_another_user_is_refused(void **state)
{
    int status = 0;
    pid_t pid = 0;

    (void)state;
    if (geteuid() != 0)
        return;
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(chmod(at("ca.pem"), 0644), 0);
    pid = fork();
    if (pid == 0) {
        bool right = setgid(61499) == 0 && setuid(61499) == 0 &&
                     fl_hub_dir_check(dir, &ctx) == FL_EDENIED &&
                     strstr(ctx.text, "belongs to user 0: run the hub as that user");
        _exit(right ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void second_hub_is_refused_until_the_first_ends(void **state)
{
    char pid[32];
    bool in_use = true;
    int first = -1;
    int second = -1;

    (void)state;
    assert_ok(fl_hub_dir_in_use(dir, &in_use, &ctx));
    assert_false(in_use);
    assert_ok(fl_hub_dir_lock(dir, &first, &ctx));
    assert_int_equal(fl_hub_dir_lock(dir, &second, &ctx), FL_EBUSY);
    (void)snprintf(pid, sizeof pid, "(process %d)", (int)getpid());
    assert_contains(ctx.text, "another hub runs on this directory");
    assert_contains(ctx.text, pid);
    assert_ok(fl_hub_dir_in_use(dir, &in_use, &ctx));
    assert_true(in_use);
    (void)close(first);
    assert_ok(fl_hub_dir_lock(dir, &second, &ctx));
    (void)close(second);
}

static uid_t owner(const char *name)
{
    struct stat status = {0};

    assert_int_equal(lstat(at(name), &status), 0);
    return status.st_uid;
}

static mode_t mode(const char *name)
{
    struct stat status = {0};

    assert_int_equal(lstat(at(name), &status), 0);
    return status.st_mode & 0777;
}

static void root_gives_each_process_its_files_and_follows_no_link(void **state)
{
    (void)state;
    if (geteuid() != 0)
        return;
    put("outside", 0600, "");
    put("hard", 0600, "");
    assert_int_equal(symlink(at("outside"), at("state/link")), 0);
    assert_int_equal(link(at("hard"), at("state/hard")), 0);
    assert_int_equal(mkdir(at("state/more"), 0700), 0);
    put("state/more/file", 0600, "");
    assert_ok(fl_hub_dir_own(dir, &ctx));
    assert_int_equal(owner("keys"), 61401);
    assert_int_equal(owner("keys/issuing.key"), 61401);
    assert_int_equal(owner("keys/root.key"), 0); /* the operator's */
    assert_int_equal(owner("state"), 61402);
    assert_int_equal(owner("state/hub.db"), 61402);
    assert_int_equal(owner("state/more/file"), 61402);
    assert_int_equal(owner("outside"), 0);
    assert_int_equal(owner("state/link"), 0);
    assert_int_equal(owner("hard"), 0); /* a second name of a file is somebody else's too */
    assert_int_equal(mode("hub.conf"), 0644);
    assert_int_equal(mode("profiles/camera.profile"), 0644);
    assert_int_equal(mode("keys/issuing.key"), 0600);
    assert_int_equal(mode("."), 0711);
    assert_ok(fl_hub_dir_own(dir, &ctx)); /* twice is harmless */
    assert_ok(fl_hub_dir_check(dir, &ctx));
}

static void folders_too_deep_are_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        return;
    assert_int_equal(mkdir(at("state/1"), 0700), 0);
    assert_int_equal(mkdir(at("state/1/2"), 0700), 0);
    assert_int_equal(mkdir(at("state/1/2/3"), 0700), 0);
    assert_ok(fl_hub_dir_own(dir, &ctx));
    assert_int_equal(mkdir(at("state/1/2/3/4"), 0700), 0);
    assert_int_equal(fl_hub_dir_own(dir, &ctx), FL_ELIMIT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(whole_directory_passes),
        CASE(what_is_missing_is_named),
        CASE(secrets_open_to_others_are_refused),
        CASE(wrong_kind_is_refused),
        CASE(broken_configuration_is_told_with_its_place),
        CASE(directory_of_another_user_is_refused),
        CASE(second_hub_is_refused_until_the_first_ends),
        CASE(root_gives_each_process_its_files_and_follows_no_link),
        CASE(folders_too_deep_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
