/* SPDX-License-Identifier: Apache-2.0 */
#include "io/files.h"

#include "base/limits.h"
#include "test/twin/files_twin.h"
#include "test/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fl_context context;
static char path[64];
static struct fl_files_folder folder;
static struct fl_files files;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/fl-files-XXXXXX");
    if (!mkdtemp(path) || fl_files_open(path, &folder, &context) != FL_OK)
        return -1;
    files = fl_files_of(&folder);
    return 0;
}

static int tear_down(void **state)
{
    char command[96];
    (void)state;

    fl_files_close(&folder);
    fl_files_close(&folder);
    fl_files_close(NULL);
    (void)snprintf(command, sizeof command, "rm -r %s", path);
    return system(command);
}

static enum fl_error put(const struct fl_files *f, const char *name, uint64_t offset,
                         const char *text)
{
    return f->write(f->self, name, offset, fl_slice_str(text), &context);
}

static void expect(const struct fl_files *f, const char *name, const char *text)
{
    char got[64];
    size_t size = 0;

    assert_ok(f->read(f->self, name, 0, got, sizeof got, &size, &context));
    assert_slice_equal(fl_slice(got, size), text);
}

struct seen {
    char names[256];
};

static void visit(void *to, const char *name)
{
    struct seen *seen = to;
    size_t used = strlen(seen->names);

    (void)snprintf(seen->names + used, sizeof seen->names - used, "%s ", name);
}

/* The same claims for the real folder and its twin. */
static void check_folder(const struct fl_files *f)
{
    struct seen seen = {{0}};
    uint64_t size = 0;
    size_t got = 0;
    char byte = 0;

    assert_ok(put(f, "b", 0, "hello"));
    assert_ok(put(f, "b", 7, "you"));
    assert_ok(f->size(f->self, "b", &size, &context));
    assert_int_equal(size, 10);
    assert_ok(f->read(f->self, "b", 5, &byte, 1, &got, &context));
    assert_int_equal(byte, 0);
    assert_ok(f->read(f->self, "b", 10, &byte, 1, &got, &context));
    assert_int_equal(got, 0);
    assert_ok(f->sync(f->self, "b", &context));
    assert_ok(f->sync(f->self, "b", &context));
    assert_ok(f->truncate(f->self, "b", 5, &context));
    expect(f, "b", "hello");
    assert_ok(put(f, "a", 0, "x"));
    assert_ok(put(f, "c.tmp", 0, "new"));
    assert_ok(f->rename(f->self, "c.tmp", "b", &context));
    expect(f, "b", "new");
    assert_ok(f->list(f->self, visit, &seen, &context));
    assert_string_equal(seen.names, "a b ");
    assert_ok(f->remove(f->self, "a", &context));
    assert_int_equal(f->remove(f->self, "a", &context), FL_ENOTFOUND);
    assert_int_equal(f->read(f->self, "a", 0, &byte, 1, &got, &context), FL_ENOTFOUND);
    assert_int_equal(f->size(f->self, "a", &size, &context), FL_ENOTFOUND);
    assert_int_equal(f->sync(f->self, "a", &context), FL_ENOTFOUND);
    assert_int_equal(f->truncate(f->self, "a", 0, &context), FL_ENOTFOUND);
    assert_int_equal(f->rename(f->self, "a", "b", &context), FL_ENOTFOUND);
}

static void a_folder_keeps_files(void **state)
{
    (void)state;
    check_folder(&files);
}

static void its_twin_keeps_files_too(void **state)
{
    struct fl_files_twin *twin = fl_files_twin_new(1);
    struct fl_files f = fl_files_twin_files(twin);
    (void)state;

    check_folder(&f);
    /* What was synced, and what was renamed, is there after a power cut. */
    fl_files_twin_restart(twin, FL_TWIN_POWER);
    expect(&f, "b", "new");
    fl_files_twin_free(twin);
    fl_files_twin_free(NULL);
}

static void only_plain_names_are_files(void **state)
{
    static const char *const bad[] = {"", ".", "..", "/etc/passwd", "a/b", "../x"};
    char long_name[300];
    (void)state;

    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(put(&files, bad[i], 0, "x"), FL_EINVAL);
        assert_int_not_equal(files.remove(files.self, bad[i], &context), FL_OK);
        assert_ok(put(&files, "source", 0, "x"));
        assert_int_not_equal(files.rename(files.self, "source", bad[i], &context), FL_OK);
    }
    memset(long_name, 'n', sizeof long_name);
    long_name[sizeof long_name - 1] = 0;
    assert_int_equal(put(&files, long_name, 0, "x"), FL_EINVAL);
}

static void links_and_folders_are_no_files(void **state)
{
    char name[96];
    struct seen seen = {{0}};
    struct stat status = {0};
    (void)state;

    assert_int_equal(symlinkat("/etc/passwd", folder.fd, "link"), 0);
    assert_int_equal(mkdirat(folder.fd, "dir", 0700), 0);
    assert_int_equal(mkfifoat(folder.fd, "pipe", 0600), 0);
    assert_int_not_equal(put(&files, "link", 0, "x"), FL_OK);
    assert_int_not_equal(put(&files, "dir", 0, "x"), FL_OK);
    assert_ok(put(&files, "file", 0, "x"));
    assert_ok(files.list(files.self, visit, &seen, &context));
    assert_string_equal(seen.names, "file ");
    (void)snprintf(name, sizeof name, "%s/file", path);
    assert_int_equal(stat(name, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void more_files_than_stay_open_all_work(void **state)
{
    char name[16];
    (void)state;

    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 3 * FL_FILES_OPEN; i++) {
            (void)snprintf(name, sizeof name, "f%d", i);
            assert_ok(put(&files, name, 0, name));
            assert_ok(files.sync(files.self, name, &context));
            expect(&files, name, name);
        }
}

static void a_full_disk_is_said_to_be_full(void **state)
{
    struct rlimit before;
    struct rlimit small;
    enum fl_error error = FL_OK;
    (void)state;

    /* A file size limit stands for the full disk: both end in FL_EFULL. */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 8;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    error = put(&files, "x", 0, "more than eight octets");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(error, FL_EFULL);
    assert_contains(context.text, "write 'x': ");
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct fl_files_folder other = {0};
    (void)state;

    assert_int_equal(fl_files_open("/nonexistent", &other, &context), FL_ENOTFOUND);
    assert_string_equal(context.text, "open the folder '/nonexistent': No such file or directory");
    fl_files_close(&other);
    assert_int_not_equal(fl_files_open("/etc/passwd", &other, &context), FL_OK);
}

static void many_names_are_listed_in_byte_order(void **state)
{
    struct seen seen = {{0}};
    (void)state;

    assert_ok(put(&files, "b", 0, "x"));
    assert_ok(put(&files, "B", 0, "x"));
    assert_ok(put(&files, "a-1", 0, "x"));
    assert_ok(put(&files, "a", 0, "x"));
    assert_ok(files.list(files.self, visit, &seen, &context));
    assert_string_equal(seen.names, "B a a-1 b ");
    for (int i = 0; i < 200; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        assert_ok(put(&files, name, 0, "x"));
    }
    assert_ok(files.list(files.self, visit, &seen, &context));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_keeps_files, set_up, tear_down),
        cmocka_unit_test(its_twin_keeps_files_too),
        cmocka_unit_test_setup_teardown(only_plain_names_are_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_and_folders_are_no_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_files_than_stay_open_all_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_said_to_be_full, set_up, tear_down),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
        cmocka_unit_test_setup_teardown(many_names_are_listed_in_byte_order, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
