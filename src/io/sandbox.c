/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sandbox.h"

#include "base/log.h"
#include "io/sandbox_parts.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static enum fl_error failed(struct fl_context *ctx, const char *what)
{
    return fl_fail(ctx, FL_EIO, "sandbox: %s: %s", what, strerror(errno));
}

static enum fl_error limit_resources(const struct fl_sandbox *policy, struct fl_context *ctx)
{
    const struct rlimit no_core = {0, 0};
    struct rlimit files = {0};

    if (setrlimit(RLIMIT_CORE, &no_core) != 0)
        return failed(ctx, "core limit");
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return failed(ctx, "descriptor limit");
    if (geteuid() == 0 && files.rlim_max < policy->descriptors)
        files.rlim_max = policy->descriptors;
    files.rlim_cur = policy->descriptors < files.rlim_max ? policy->descriptors : files.rlim_max;
    files.rlim_max = files.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &files) == 0)
        return FL_OK;
    /* Root in a container may not raise it beyond what it was given. */
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return failed(ctx, "descriptor limit");
    if (files.rlim_max > policy->descriptors)
        files.rlim_max = policy->descriptors;
    files.rlim_cur = files.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) == 0 ? FL_OK : failed(ctx, "descriptor limit");
}

static enum fl_error confine(const char *root, struct fl_context *ctx)
{
    if (geteuid() != 0 || !root)
        return FL_OK;
    if (chroot(root) != 0)
        return fl_fail(ctx, FL_EIO, "sandbox: confine to %s: %s", root, strerror(errno));
    if (chdir("/") != 0)
        return failed(ctx, "enter the root");
    return FL_OK;
}

static enum fl_error become(uint32_t uid, struct fl_context *ctx)
{
    int death_signal = 0;

    if (geteuid() != 0)
        return FL_OK;
    if (uid == 0)
        return fl_fail(ctx, FL_EINVAL, "sandbox: no user to become");
    if (prctl(PR_GET_PDEATHSIG, &death_signal, 0, 0, 0) != 0)
        return failed(ctx, "parent's death");
    if (setgroups(0, NULL) != 0)
        return failed(ctx, "leave groups");
    if (setresgid(uid, uid, uid) != 0)
        return failed(ctx, "become group");
    if (setresuid(uid, uid, uid) != 0)
        return failed(ctx, "become user");
    if (setuid(0) == 0 || geteuid() != uid)
        return fl_fail(ctx, FL_EDENIED, "sandbox: still root after becoming user %u", uid);
    /* The kernel forgets it with the user. */
    if (prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0)
        return failed(ctx, "parent's death");
    return FL_OK;
}

enum fl_error fl_sandbox_enter(const struct fl_sandbox *policy, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;
    int ruleset = -1;

    error = limit_resources(policy, ctx);
    if (error == FL_OK)
        error = confine(policy->root, ctx);
    /* The paths are opened while the process may still go everywhere. */
    if (error == FL_OK)
        error = fl_sandbox_landlock_prepare(policy, &ruleset, ctx);
    if (error == FL_OK)
        error = become(policy->uid, ctx);
    if (error == FL_OK && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        error = failed(ctx, "no dumps");
    if (error == FL_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        error = failed(ctx, "no new privileges");
    if (error == FL_OK && ruleset >= 0)
        error = fl_sandbox_landlock_enter(ruleset, ctx);
    if (ruleset >= 0)
        (void)close(ruleset);
    if (error == FL_OK)
        error = fl_sandbox_seccomp(policy->class, ctx);
    return error;
}
