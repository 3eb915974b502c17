/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/claims.h"

#include "base/str.h"
#include "trust/key.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536

bool fl_machine_os(struct fl_slice text, char os[FL_LIMIT_CLAIM + 1])
{
    static const char name[] = "PRETTY_NAME=";
    struct fl_slice line = {0};
    size_t size = 0;
    bool more = true;

    while (more) {
        more = fl_slice_cut(&text, '\n', &line);
        if (line.size < sizeof name - 1 || memcmp(line.data, name, sizeof name - 1) != 0)
            continue;
        line = fl_slice_from(line, sizeof name - 1);
        if (line.size >= 2 && line.data[0] == '"' && line.data[line.size - 1] == '"')
            line = fl_slice(line.data + 1, line.size - 2);
        (void)fl_str_printable(os, FL_LIMIT_CLAIM + 1, line);
        /* It may have been cut within a character. */
        size = strlen(os);
        while (size && !fl_slice_is_utf8(fl_slice(os, size)))
            os[--size] = '\0';
        return size > 0;
    }
    return false;
}

/* The beginning of a small file; without the line feed at its end. */
static struct fl_slice read_start(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, to, size) : 0;

    if (fd >= 0)
        (void)close(fd);
    while (got > 0 && to[got - 1] == '\n')
        got--;
    return fl_slice(to, got > 0 ? (size_t)got : 0);
}

static void hash_program(char hex[65])
{
    static uint8_t chunk[CHUNK];
    uint8_t digest[FL_SHA256_SIZE];
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    ssize_t got = 1;
    bool good = fd >= 0 && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

    while (good && (got = read(fd, chunk, sizeof chunk)) > 0)
        good = EVP_DigestUpdate(md, chunk, (size_t)got) == 1;
    good = good && got == 0 && EVP_DigestFinal_ex(md, digest, NULL) == 1;
    hex[0] = '\0';
    if (good)
        fl_hex(hex, 65, fl_slice(digest, sizeof digest));
    EVP_MD_CTX_free(md);
    if (fd >= 0)
        (void)close(fd);
}

void fl_machine_read(struct fl_machine *machine)
{
    char text[4096];
    struct utsname name;
    struct timespec up = {0};

    *machine = (struct fl_machine){0};
    (void)fl_str_copy(machine->agent, sizeof machine->agent, "fairlead-agent " FL_VERSION);
    (void)fl_machine_os(read_start("/etc/os-release", text, sizeof text), machine->os);
    if (uname(&name) == 0)
        (void)snprintf(machine->kernel, sizeof machine->kernel, "%.30s %.60s %.30s", name.sysname,
                       name.release, name.machine);
    hash_program(machine->binary);
    (void)fl_str_printable(machine->boot, sizeof machine->boot,
                           read_start("/proc/sys/kernel/random/boot_id", text, sizeof text));
    if (clock_gettime(CLOCK_BOOTTIME, &up) == 0)
        machine->uptime_s = (uint64_t)up.tv_sec;
}
