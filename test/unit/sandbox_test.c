/* SPDX-License-Identifier: Apache-2.0
 *
 * Each test forks, enters a sandbox for real and tries real system calls. Every file of the
 * playground may be read and written by everyone, so a refusal is the sandbox's and not the file
 * mode's.
 */
#include "test/unit/unit.h"

#include "io/sandbox.h"
#include "io/store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char playground[64];
static char inside[64]; /* the playground as the sandboxed process sees it */

static void make_file(const char *name)
{
    char path[128];
    int fd = -1;

    (void)snprintf(path, sizeof path, "%s/%s", playground, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "secret", 6), 6);
    (void)fchmod(fd, 0666);
    (void)close(fd);
}

static int set_up(void **state)
{
    static const char *const folders[] = {"keys", "state", "profiles", "broker"};

    (void)state;
    (void)snprintf(playground, sizeof playground, "/tmp/fl_sandbox_XXXXXX");
    assert_non_null(mkdtemp(playground));
    (void)chmod(playground, 0755);
    (void)snprintf(inside, sizeof inside, "%s", geteuid() == 0 ? "" : playground);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", playground, folders[i]);
        assert_int_equal(mkdir(path, 0777), 0);
        (void)chmod(path, 0777);
    }
    make_file("keys/issuing.key");
    make_file("keys/device-keys");
    make_file("state/hub.db");
    make_file("profiles/camera");
    make_file("hub.conf");
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"keys/issuing.key",
                                        "keys/device-keys",
                                        "state/hub.db",
                                        "state/new",
                                        "state/store.db",
                                        "state/store.db-wal",
                                        "state/store.db-shm",
                                        "state/newer",
                                        "profiles/camera",
                                        "hub.conf",
                                        "broker/log",
                                        "broker",
                                        "keys",
                                        "state",
                                        "profiles"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", playground, names[i]);
        (void)remove(path);
    }
    return rmdir(playground);
}

static const char *at(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", inside, name);
    return path;
}

static enum fl_error enter(enum fl_sandbox_class class)
{
    char keys[80];
    char state[80];
    char profiles[80];
    char broker[80];
    struct fl_sandbox_path front[] = {{broker, true, false}};
    char device_keys[96];
    struct fl_sandbox_path signer[] = {{keys, false, false}, {device_keys, true, false}};
    struct fl_sandbox_path control[] = {
        {state, true, false}, {profiles, false, false}, {"/nowhere", false, true}};
    struct fl_sandbox policy = {
        .class = class, .root = playground, .uid = 61401 + (uint32_t) class, .descriptors = 64};
    struct fl_context ctx = {0};
    enum fl_error error = FL_OK;

    (void)snprintf(keys, sizeof keys, "%s/keys", inside);
    (void)snprintf(device_keys, sizeof device_keys, "%s/keys/device-keys", inside);
    (void)snprintf(state, sizeof state, "%s/state", inside);
    (void)snprintf(profiles, sizeof profiles, "%s/profiles", inside);
    (void)snprintf(broker, sizeof broker, "%s/broker", inside);
    if (class == FL_SANDBOX_FRONT) {
        policy.paths = front;
        policy.path_count = 1;
    }
    if (class == FL_SANDBOX_SIGNER) {
        policy.paths = signer;
        policy.path_count = 2;
    }
    if (class == FL_SANDBOX_CONTROL) {
        policy.paths = control;
        policy.path_count = 3;
    }
    error = fl_sandbox_enter(&policy, &ctx);
    if (error != FL_OK)
        (void)fprintf(stderr, "%s\n", ctx.text);
    return error;
}

/* Runs `inside_sandbox` in a child; it returns the number of the first claim that is false, or 0.
 */
static int run(int (*inside_sandbox)(void))
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(inside_sandbox());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

#define CLAIM(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)dprintf(2, "%d: not so: %s (errno %d)\n", __LINE__, #condition, errno);          \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static int refused(long result)
{
    return result < 0 && (errno == EPERM || errno == EACCES);
}

static int opened(const char *name, int flags)
{
    int fd = open(at(name), flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static int no_sockets_of_its_own(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/tmp/x"};

    CLAIM(refused(socket(AF_INET, SOCK_STREAM, 0)));
    CLAIM(refused(socket(AF_INET6, SOCK_DGRAM, 0)));
    CLAIM(refused(socket(AF_UNIX, SOCK_STREAM, 0)));
    CLAIM(refused(socket(AF_NETLINK, SOCK_RAW, 0)));
    CLAIM(refused(connect(0, (struct sockaddr *)&address, sizeof address)));
    CLAIM(refused(bind(0, (struct sockaddr *)&address, sizeof address)));
    CLAIM(refused(listen(0, 1)));
    return 0;
}

static int no_power_over_others(void)
{
    CLAIM(refused(kill(getppid(), 0)));
    CLAIM(refused(syscall(SYS_tgkill, getppid(), getppid(), 0)));
    CLAIM(refused(syscall(SYS_pidfd_open, getppid(), 0)));
    CLAIM(refused(fork()));
    CLAIM(refused(fcntl(0, F_SETOWN, getppid())));
    return 0;
}

static int status_line(const char *name)
{
    char text[4096] = {0};
    char *found = NULL;
    static int fd = -1;

    if (fd < 0)
        fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC); /* before the sandbox */
    if (!name)
        return fd;
    if (pread(fd, text, sizeof text - 1, 0) <= 0 && lseek(fd, 0, SEEK_SET) == 0)
        (void)!read(fd, text, sizeof text - 1);
    found = strstr(text, name);
    return found ? (int)strtol(found + strlen(name), NULL, 10) : -1;
}

/* --- the front --- */

static int front_touches_no_file(void)
{
    struct stat status;

    CLAIM(status_line(NULL) >= 0);
    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    CLAIM(status_line("Seccomp:\t") == 2);
    CLAIM(status_line("NoNewPrivs:\t") == 1);
    CLAIM(refused(open(at("keys/issuing.key"), O_RDONLY | O_CLOEXEC)));
    CLAIM(refused(open(at("state/hub.db"), O_RDONLY | O_CLOEXEC)));
    CLAIM(refused(open(at("state/hub.db"), O_RDWR | O_CLOEXEC)));
    CLAIM(refused(open(at("hub.conf"), O_RDONLY | O_CLOEXEC)));
    CLAIM(refused(open("/", O_PATH | O_CLOEXEC)));
    CLAIM(open("/proc/self/mem", O_RDWR | O_CLOEXEC) < 0); /* or there is no /proc in its root */
    CLAIM(refused(unlink(at("state/hub.db"))));
    CLAIM(refused(rename(at("hub.conf"), at("x"))));
    CLAIM(refused(mkdir(at("x"), 0700)));
    CLAIM(refused(symlink("x", at("x"))));
    CLAIM(refused(link(at("hub.conf"), at("x"))));
    CLAIM(refused(chmod(at("hub.conf"), 0777)));
    CLAIM(fstat(2, &status) == 0);
    return 0;
}

static int front_writes_its_log_only(void)
{
    int fd = -1;
    int folder = -1;
    char byte = 0;
    struct stat status;

    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    folder = open(at("broker"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLAIM(folder >= 0);
    fd = openat(folder, "new", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    CLAIM(fd >= 0);
    CLAIM(posix_fallocate(fd, 0, 4096) == 0);
    CLAIM(pwrite(fd, "x", 1, 0) == 1 && pread(fd, &byte, 1, 0) == 1 && byte == 'x');
    CLAIM(fdatasync(fd) == 0 && fsync(folder) == 0 && ftruncate(fd, 0) == 0);
    CLAIM(renameat(folder, "new", folder, "log") == 0);
    CLAIM(refused(renameat(folder, "log", folder, "../state/log")));
    CLAIM(refused(openat(folder, "../state/hub.db", O_RDWR | O_CLOEXEC)));
    CLAIM(refused(openat(folder, "../hub.conf", O_RDONLY | O_CLOEXEC)));
    CLAIM(refused(openat(folder, "../state/x", O_RDWR | O_CREAT | O_CLOEXEC, 0600)));
    CLAIM(refused(openat(folder, "..", O_PATH | O_CLOEXEC)));
    CLAIM(refused(fstatat(folder, "../hub.conf", &status, 0)));
    CLAIM(refused(mkdirat(folder, "x", 0700)));
    CLAIM(refused(symlinkat("../state", folder, "x")));
    CLAIM(refused(linkat(folder, "log", folder, "x", 0)));
    CLAIM(refused(fchmod(fd, 0777)));
    CLAIM(refused(fchown(fd, 0, 0)));
    CLAIM(unlinkat(folder, "log", 0) == 0);
    return 0;
}

static void *say(void *to)
{
    *(int *)to = 1;
    return NULL;
}

static int front_makes_threads_only(void)
{
    const int thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    static const int never[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID,
                                CLONE_PTRACE};
    pthread_t id;
    int said = 0;
    int event = -1;

    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    CLAIM(pthread_create(&id, NULL, say, &said) == 0);
    CLAIM(pthread_join(id, NULL) == 0 && said == 1);
    CLAIM(syscall(SYS_clone3, NULL, (size_t)0) < 0 && errno == ENOSYS);
    CLAIM(refused(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0UL)));
    CLAIM(refused(syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, 0UL)));
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        CLAIM(refused(syscall(SYS_clone, (long)(thread | never[i]), NULL, NULL, NULL, 0UL)));
    CLAIM(refused(syscall(SYS_vfork)));
    event = eventfd(0, EFD_CLOEXEC);
    CLAIM(event >= 0);
    return 0;
}

static int others_make_no_threads(void)
{
#if defined(__SANITIZE_THREAD__)
    return 0; /* its runtime wraps pthread_create */
#else
    pthread_t id;
    int said = 0;

    CLAIM(enter(FL_SANDBOX_CONTROL) == FL_OK);
    CLAIM(pthread_create(&id, NULL, say, &said) != 0);
    CLAIM(said == 0);
    return 0;
#endif
}

static int front_makes_no_socket(void)
{
    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    return no_sockets_of_its_own();
}

static int front_has_no_power(void)
{
    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    CLAIM(no_power_over_others() == 0);
    CLAIM(getuid() != 0 && refused(setuid(0)));

    return 0;
}

static int front_accepts_and_talks(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int accepted = -1;
    char byte = 0;
    void *memory = NULL;

    CLAIM(bind(server, (struct sockaddr *)&address, sizeof address) == 0);
    CLAIM(listen(server, 4) == 0);
    CLAIM(getsockname(server, (struct sockaddr *)&address, &size) == 0);
    CLAIM(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    accepted = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CLAIM(accepted >= 0);
    CLAIM(send(client, "x", 1, MSG_NOSIGNAL) == 1);
    CLAIM(read(accepted, &byte, 1) == 1 && byte == 'x');
    memory = malloc((size_t)64 << 20);
    CLAIM(memory != NULL);
    free(memory);
    CLAIM(getpeername(accepted, (struct sockaddr *)&address, &size) == 0);
    return 0;
}

static int front_makes_no_code(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0; /* their runtimes may */
#else
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CLAIM(page != MAP_FAILED);
    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    CLAIM(refused(mprotect(page, 4096, PROT_READ | PROT_EXEC)));
    CLAIM(mprotect(page, 4096, PROT_READ) == 0);
    CLAIM(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
          MAP_FAILED);
    return 0;
#endif
}

static void *do_nothing(void *self)
{
    return self;
}

static int front_makes_threads_but_no_process(void)
{
    pthread_t thread;
    int done = 0;
    void *result = NULL;

    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    CLAIM(pthread_create(&thread, NULL, do_nothing, &done) == 0);
    CLAIM(pthread_join(thread, &result) == 0 && result == &done);
    CLAIM(fork() < 0);
    return 0;
}

static int front_executes(void)
{
    char *const none[] = {NULL};

    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    (void)execve("/bin/true", none, none);
    return 1;
}

static int front_traces(void)
{
    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    (void)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
    return 1;
}

static int front_aborts(void)
{
    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

/* --- signer and control --- */

static int signer_reads_its_keys_and_writes_one_file(void)
{
    CLAIM(enter(FL_SANDBOX_SIGNER) == FL_OK);
    CLAIM(opened("keys/issuing.key", O_RDONLY));
    CLAIM(refused(open(at("keys/issuing.key"), O_RDWR | O_CLOEXEC)));
    CLAIM(refused(open(at("keys/issuing.key"), O_RDONLY | O_TRUNC | O_CLOEXEC)));
    CLAIM(opened("keys/device-keys", O_RDWR));
    CLAIM(refused(unlink(at("keys/device-keys"))));
    CLAIM(refused(rename(at("keys/device-keys"), at("keys/issuing.key"))));
    CLAIM(refused(open(at("keys/new"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)));
    CLAIM(refused(unlink(at("keys/issuing.key"))));
    CLAIM(refused(open(at("state/hub.db"), O_RDONLY | O_CLOEXEC)));
    CLAIM(refused(open(at("hub.conf"), O_RDONLY | O_CLOEXEC)));
    CLAIM(refused(accept4(0, NULL, NULL, SOCK_CLOEXEC)));
    CLAIM(no_sockets_of_its_own() == 0);
    return no_power_over_others();
}

static int control_writes_state_only(void)
{
    int fd = -1;

    CLAIM(enter(FL_SANDBOX_CONTROL) == FL_OK);
    CLAIM(opened("state/hub.db", O_RDWR));
    fd = open(at("state/new"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CLAIM(fd >= 0);
    CLAIM(pwrite(fd, "x", 1, 0) == 1 && fdatasync(fd) == 0 && ftruncate(fd, 0) == 0);
    CLAIM(opened("state", O_RDONLY | O_DIRECTORY));
    CLAIM(link(at("state/new"), "x") < 0);
    CLAIM(unlink(at("state/new")) == 0);
    CLAIM(opened("profiles/camera", O_RDONLY));
    CLAIM(refused(open(at("profiles/camera"), O_RDWR | O_CLOEXEC)));
    CLAIM(refused(open(at("keys/issuing.key"), O_RDONLY | O_CLOEXEC)));
    CLAIM(refused(open(at("keys"), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    CLAIM(refused(mkdir(at("state/folder"), 0700)));
    CLAIM(refused(symlink("../keys/issuing.key", at("state/link"))));
    CLAIM(no_sockets_of_its_own() == 0);
    return no_power_over_others();
}

static int control_keeps_its_store(void)
{
    struct fl_store store = {0};
    struct fl_context ctx = {0};
    struct fl_buffer document = FL_BUFFER(64);
    struct fl_slice key = fl_slice_str("key");

    CLAIM(enter(FL_SANDBOX_CONTROL) == FL_OK);
    for (int i = 0; i < 2; i++) { /* made, then found again */
        CLAIM(fl_store_sqlite_open(at("state/store.db"), NULL, &store, &ctx) == FL_OK);
        CLAIM(store.ops->begin(store.self, &ctx) == FL_OK);
        CLAIM(store.ops->put(store.self, FL_TABLE_META, key, fl_slice_str("{}"), &ctx) == FL_OK);
        CLAIM(store.ops->commit(store.self, &ctx) == FL_OK);
        fl_buffer_clear(&document);
        CLAIM(store.ops->get(store.self, FL_TABLE_META, key, &document, &ctx) == FL_OK);
        store.ops->close(store.self);
    }
    fl_buffer_free(&document);
    return 0;
}

static int missing_path_is_an_error(void)
{
    struct fl_sandbox_path path = {"/not/there", false, false};
    struct fl_sandbox policy = {.class = FL_SANDBOX_SIGNER,
                                .paths = &path,
                                .path_count = 1,
                                .uid = 61401,
                                .descriptors = 64};
    struct fl_context ctx = {0};

    CLAIM(fl_sandbox_enter(&policy, &ctx) == FL_ENOTFOUND);
    CLAIM(strstr(ctx.text, "/not/there: No such file") != NULL);
    return 0;
}

static int descriptors_are_limited(void)
{
    int fd = 0;
    int count = 0;

    CLAIM(enter(FL_SANDBOX_FRONT) == FL_OK);
    while ((fd = fcntl(2, F_DUPFD_CLOEXEC, 0)) >= 0)
        count++;
    CLAIM(errno == EMFILE);
    CLAIM(count > 16 && count < 64);
    return 0;
}

static int root_becomes_nobody_special(void)
{
    gid_t groups[4];

    if (geteuid() != 0)
        return 0;
    CLAIM(getgroups(4, groups) >= 0);
    CLAIM(enter(FL_SANDBOX_SIGNER) == FL_OK);
    CLAIM(getuid() == 61401 && geteuid() == 61401 && getgid() == 61401 && getegid() == 61401);
    return 0;
}

/* --- claims --- */

#define HOLDS(name, inside_sandbox)                                                                \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        assert_int_equal(run(inside_sandbox), 0);                                                  \
    }
#define KILLS(name, inside_sandbox, number)                                                        \
    static void name(void **state)                                                                 \
    {                                                                                              \
        int status = run(inside_sandbox);                                                          \
        (void)state;                                                                               \
        assert_true(WIFSIGNALED(status));                                                          \
        assert_int_equal(WTERMSIG(status), (number));                                              \
    }

HOLDS(front_can_open_neither_key_nor_database, front_touches_no_file)
HOLDS(front_can_write_its_log_and_nothing_else, front_writes_its_log_only)
HOLDS(front_can_make_threads_but_no_processes, front_makes_threads_only)
HOLDS(control_can_make_no_threads, others_make_no_threads)
HOLDS(front_can_make_no_socket, front_makes_no_socket)
HOLDS(front_has_no_power_over_other_processes, front_has_no_power)
HOLDS(front_can_accept_and_talk, front_accepts_and_talks)
HOLDS(front_can_make_no_code, front_makes_no_code)
HOLDS(front_can_make_threads_but_no_process, front_makes_threads_but_no_process)
KILLS(front_that_executes_is_killed, front_executes, SIGSYS)
KILLS(front_that_traces_is_killed, front_traces, SIGSYS)
KILLS(front_can_still_abort, front_aborts, SIGABRT)
HOLDS(signer_can_read_its_keys_write_one_file_and_nothing_else,
      signer_reads_its_keys_and_writes_one_file)
HOLDS(control_can_write_its_state_and_not_read_keys, control_writes_state_only)
HOLDS(control_can_keep_its_store, control_keeps_its_store)
HOLDS(missing_path_is_named, missing_path_is_an_error)
HOLDS(open_descriptors_are_limited, descriptors_are_limited)
HOLDS(root_becomes_its_own_user_without_groups, root_becomes_nobody_special)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(front_can_open_neither_key_nor_database),
        cmocka_unit_test(front_can_write_its_log_and_nothing_else),
        cmocka_unit_test(front_can_make_threads_but_no_processes),
        cmocka_unit_test(control_can_make_no_threads),
        cmocka_unit_test(front_can_make_no_socket),
        cmocka_unit_test(front_can_make_threads_but_no_process),
        cmocka_unit_test(front_has_no_power_over_other_processes),
        cmocka_unit_test(front_can_accept_and_talk),
        cmocka_unit_test(front_can_make_no_code),
        cmocka_unit_test(front_that_executes_is_killed),
        cmocka_unit_test(front_that_traces_is_killed),
        cmocka_unit_test(front_can_still_abort),
        cmocka_unit_test(signer_can_read_its_keys_write_one_file_and_nothing_else),
        cmocka_unit_test(control_can_write_its_state_and_not_read_keys),
        cmocka_unit_test(control_can_keep_its_store),
        cmocka_unit_test(missing_path_is_named),
        cmocka_unit_test(open_descriptors_are_limited),
        cmocka_unit_test(root_becomes_its_own_user_without_groups),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
