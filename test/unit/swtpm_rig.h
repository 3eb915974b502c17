/* SPDX-License-Identifier: Apache-2.0
 *
 * A real TPM in software (swtpm) for the tests of one program.
 */
#ifndef FL_TEST_SWTPM_RIG_H
#define FL_TEST_SWTPM_RIG_H

#include "test/unit/unit.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A real software TPM on ports of its own. */
static struct {
    char folder[64];
    char tcti[64];
    uint16_t port;
    pid_t pid;
} swtpm;

static inline int try_bind(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* swtpm wants its control port to be the next one. */
static inline uint16_t two_free_ports(void)
{
    for (unsigned i = 0; i < 1000; i++) {
        uint16_t port = (uint16_t)(20000 + ((unsigned)getpid() * 7 + i * 2) % 12000);
        int first = try_bind(port);
        int second = first < 0 ? -1 : try_bind((uint16_t)(port + 1));

        if (first >= 0)
            (void)close(first);
        if (second >= 0) {
            (void)close(second);
            return port;
        }
    }
    fail_msg("no two free ports");
    return 0;
}

static inline bool reachable(void)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)(swtpm.port + 1)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;

    (void)close(fd);
    return connected;
}

static inline void start_swtpm(void)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    char state[128];
    char server[128];
    char control[128];

    (void)snprintf(state, sizeof state, "dir=%s", swtpm.folder);
    (void)snprintf(server, sizeof server, "type=tcp,bindaddr=127.0.0.1,port=%u", swtpm.port);
    (void)snprintf(control, sizeof control, "type=tcp,bindaddr=127.0.0.1,port=%u", swtpm.port + 1);
    swtpm.pid = fork();
    assert_true(swtpm.pid >= 0);
    if (swtpm.pid == 0) {
        /* It must not outlive a test that crashed. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server,
               "--ctrl", control, "--flags", "not-need-init,startup-clear", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && !reachable(); i++)
        (void)nanosleep(&pause, NULL);
    assert_true(reachable());
}

static inline void stop_swtpm(void)
{
    if (swtpm.pid <= 0)
        return;
    (void)kill(swtpm.pid, SIGKILL);
    (void)waitpid(swtpm.pid, NULL, 0);
    swtpm.pid = 0;
}

static inline void forget_state(void)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/tpm2-00.permall", swtpm.folder);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/.lock", swtpm.folder);
    (void)unlink(path);
}

static inline int swtpm_set_up(void **state)
{
    (void)state;
    (void)snprintf(swtpm.folder, sizeof swtpm.folder, "/tmp/fl-tpm-XXXXXX");
    assert_non_null(mkdtemp(swtpm.folder));
    swtpm.port = two_free_ports();
    (void)snprintf(swtpm.tcti, sizeof swtpm.tcti, "swtpm:host=127.0.0.1,port=%u", swtpm.port);
    start_swtpm();
    return 0;
}

static inline int swtpm_tear_down(void **state)
{
    (void)state;
    stop_swtpm();
    forget_state();
    assert_int_equal(rmdir(swtpm.folder), 0);
    return 0;
}

#endif
