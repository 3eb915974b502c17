/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sandbox_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Every class: memory, time, its own signals, and traffic on descriptors it has. Opening anything
 * is not among it. */
static const int common_calls[] = {
    SCMP_SYS(brk),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fstat),
    SCMP_SYS(futex),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getpeername),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(lseek),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(time),
    SCMP_SYS(uname),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};

static const int accept_calls[] = {SCMP_SYS(accept), SCMP_SYS(accept4)};

/* Which files, Landlock says. */
static const int read_calls[] = {
    SCMP_SYS(access),     SCMP_SYS(faccessat),  SCMP_SYS(faccessat2), SCMP_SYS(fadvise64),
    SCMP_SYS(getcwd),     SCMP_SYS(getdents64), SCMP_SYS(lstat),      SCMP_SYS(newfstatat),
    SCMP_SYS(open),       SCMP_SYS(openat),     SCMP_SYS(pread64),    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(stat),       SCMP_SYS(statx),
};

static const int write_calls[] = {
    SCMP_SYS(fallocate), SCMP_SYS(fchmod),    SCMP_SYS(fdatasync), SCMP_SYS(fsync),
    SCMP_SYS(fstatfs),   SCMP_SYS(ftruncate), SCMP_SYS(pwrite64),  SCMP_SYS(rename),
    SCMP_SYS(renameat),  SCMP_SYS(renameat2), SCMP_SYS(unlink),    SCMP_SYS(unlinkat),
};

/* The front's log: files of one folder, by descriptors of it. Which files, Landlock says. */
static const int log_calls[] = {
    SCMP_SYS(fadvise64), SCMP_SYS(fallocate),  SCMP_SYS(fdatasync), SCMP_SYS(fsync),
    SCMP_SYS(ftruncate), SCMP_SYS(getdents64), SCMP_SYS(pread64),   SCMP_SYS(pwrite64),
    SCMP_SYS(renameat),  SCMP_SYS(unlinkat),
};

/* What threads need besides clone itself. */
static const int thread_calls[] = {
    SCMP_SYS(epoll_create1),   SCMP_SYS(eventfd2),          SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list), SCMP_SYS(sched_getaffinity),
};

/* To write in place and to append, which is all that the signer does; ftruncate cuts off what a
 * power cut left of an append. It neither removes nor renames. */
static const int write_in_place_calls[] = {SCMP_SYS(fdatasync), SCMP_SYS(fsync),
                                           SCMP_SYS(ftruncate), SCMP_SYS(pwrite64)};

/* What the sanitizers' runtimes call besides. */
static const int sanitizer_calls[] = {
    SCMP_SYS(getrlimit), SCMP_SYS(mmap),      SCMP_SYS(mprotect),
    SCMP_SYS(prctl),     SCMP_SYS(prlimit64), SCMP_SYS(readlink),
};

/* No code of ours makes these, and no library of ours tries them and lives with a refusal: whoever
 * calls them has taken the process over. */
static const int deadly_calls[] = {
    SCMP_SYS(add_key),
    SCMP_SYS(bpf),
    SCMP_SYS(chroot),
    SCMP_SYS(delete_module),
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(finit_module),
    SCMP_SYS(fsopen),
    SCMP_SYS(init_module),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(kexec_load),
    SCMP_SYS(keyctl),
    SCMP_SYS(mount),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pivot_root),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(ptrace),
    SCMP_SYS(reboot),
    SCMP_SYS(setns),
    SCMP_SYS(umount2),
    SCMP_SYS(unshare),
    SCMP_SYS(userfaultfd),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Collects the first failure, so that rules read as a list. */
struct filter {
    scmp_filter_ctx ctx;
    int error; /* 0 or -errno */
};

static void add(struct filter *f, uint32_t action, const int *calls, size_t count)
{
    for (size_t i = 0; i < count && f->error == 0; i++) {
        /* Below zero: a call that this machine's architecture does not have. */
        if (calls[i] >= 0)
            f->error = seccomp_rule_add_array(f->ctx, action, calls[i], 0, NULL);
    }
}

static void add_if(struct filter *f, int call, struct scmp_arg_cmp condition)
{
    if (f->error == 0)
        f->error = seccomp_rule_add_array(f->ctx, SCMP_ACT_ALLOW, call, 1, &condition);
}

static struct scmp_arg_cmp is(unsigned argument, uint64_t value)
{
    return (struct scmp_arg_cmp){.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value};
}

static struct scmp_arg_cmp lacks(unsigned argument, uint64_t bits)
{
    return (struct scmp_arg_cmp){
        .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = bits, .datum_b = 0};
}

/* Memory that is code is made before the sandbox, never in it. */
static void add_memory(struct filter *f)
{
    if (SANITIZED)
        return;
    add_if(f, SCMP_SYS(mmap), lacks(2, PROT_EXEC));
    add_if(f, SCMP_SYS(mprotect), lacks(2, PROT_EXEC));
}

static void add_fcntl(struct filter *f, enum fl_sandbox_class class)
{
    static const int commands[] = {F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL};
    static const int locks[] = {F_GETLK, F_SETLK, F_OFD_SETLK, F_OFD_GETLK};

    for (size_t i = 0; i < COUNT(commands); i++)
        add_if(f, SCMP_SYS(fcntl), is(1, (uint64_t)commands[i]));
    for (size_t i = 0; i < COUNT(locks) && class == FL_SANDBOX_CONTROL; i++)
        add_if(f, SCMP_SYS(fcntl), is(1, (uint64_t)locks[i]));
}

/* abort() of an assertion, and nobody else's death. */
static void add_own_signals(struct filter *f)
{
    add_if(f, SCMP_SYS(tgkill), is(0, (uint64_t)getpid()));
}

static void add_log(struct filter *f)
{
    add(f, SCMP_ACT_ALLOW, log_calls, COUNT(log_calls));
    /* Landlock does not judge descriptors that are only places. */
    add_if(f, SCMP_SYS(openat), lacks(2, O_PATH));
    /* fstat of the C library; with no path it tells only of a descriptor. */
    add_if(f, SCMP_SYS(newfstatat), is(3, AT_EMPTY_PATH));
}

/* New threads, and no processes or namespaces. The flags of clone3 lie in memory, where no filter
 * sees them; told that there is no such call, the C library uses clone. */
static void add_threads(struct filter *f)
{
    const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    const uint64_t never = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS |
                           CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS | CLONE_PTRACE |
                           CLONE_UNTRACED | CLONE_VFORK | CLONE_PIDFD;

    add(f, SCMP_ACT_ALLOW, thread_calls, COUNT(thread_calls));
    add_if(f, SCMP_SYS(clone),
           (struct scmp_arg_cmp){
               .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = thread | never, .datum_b = thread});
    if (f->error == 0)
        f->error =
            seccomp_rule_add_array(f->ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
}

static void add_class(struct filter *f, enum fl_sandbox_class class)
{
    add(f, SCMP_ACT_ALLOW, common_calls, COUNT(common_calls));
    add_memory(f);
    add_fcntl(f, class);
    add_own_signals(f);
    if (SANITIZED)
        add(f, SCMP_ACT_ALLOW, sanitizer_calls, COUNT(sanitizer_calls));
    switch (class) {
    case FL_SANDBOX_SIGNER:
        add(f, SCMP_ACT_ALLOW, read_calls, COUNT(read_calls));
        add(f, SCMP_ACT_ALLOW, write_in_place_calls, COUNT(write_in_place_calls));
        break;
    case FL_SANDBOX_CONTROL:
        add(f, SCMP_ACT_ALLOW, read_calls, COUNT(read_calls));
        add(f, SCMP_ACT_ALLOW, write_calls, COUNT(write_calls));
        add(f, SCMP_ACT_ALLOW, accept_calls, COUNT(accept_calls));
        break;
    case FL_SANDBOX_FRONT:
        add(f, SCMP_ACT_ALLOW, accept_calls, COUNT(accept_calls));
        add_log(f);
        add_threads(f);
        break;
    }
    add(f, SCMP_ACT_KILL_PROCESS, deadly_calls, COUNT(deadly_calls));
}

static void set_attribute(struct filter *f, enum scmp_filter_attr attribute, uint32_t value)
{
    if (f->error == 0)
        f->error = seccomp_attr_set(f->ctx, attribute, value);
}

enum fl_error fl_sandbox_seccomp(enum fl_sandbox_class class, struct fl_context *ctx)
{
    struct filter f = {.ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM))};

    if (!f.ctx)
        return fl_fail(ctx, FL_ENOMEM, "sandbox: seccomp: out of memory");
    set_attribute(&f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    set_attribute(&f, SCMP_FLTATR_CTL_NNP, 1);
    set_attribute(&f, SCMP_FLTATR_CTL_TSYNC, 1); /* a sanitizer has threads of its own */
    set_attribute(&f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    add_class(&f, class);
    if (f.error == 0)
        f.error = seccomp_load(f.ctx);
    seccomp_release(f.ctx);
    if (f.error != 0)
        return fl_fail(ctx, FL_EUNSUPPORTED, "sandbox: seccomp: %s", strerror(-f.error));
    return FL_OK;
}
