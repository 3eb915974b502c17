/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/host.h"

#include "base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_MAX = 16384, ZONES_MAX = 32 };

/* The next word between blanks; empty at the end. */
static struct fl_slice take_word(struct fl_slice *text)
{
    struct fl_slice word = {0};

    while (text->size && (text->data[0] == ' ' || text->data[0] == '\t'))
        *text = fl_slice_from(*text, 1);
    while (word.size < text->size && text->data[word.size] != ' ' &&
           text->data[word.size] != '\t' && text->data[word.size] != '\n')
        word.size++;
    word.data = text->data;
    *text = fl_slice_from(*text, word.size);
    return word;
}

static enum fl_error take_number(struct fl_slice *text, double *value)
{
    struct fl_slice word = take_word(text);
    char copy[40];
    char *end = NULL;

    if (word.size == 0 || !fl_str_copy_slice(copy, sizeof copy, word))
        return FL_EPARSE;
    *value = strtod(copy, &end);
    return *end == 0 && *value >= 0 && *value < 1e18 ? FL_OK : FL_EPARSE;
}

enum fl_error fl_host_load(struct fl_slice loadavg, double *load1, double *load5)
{
    enum fl_error error = take_number(&loadavg, load1);

    return error ? error : take_number(&loadavg, load5);
}

enum fl_error fl_host_memory(struct fl_slice meminfo, double *used_percent)
{
    double total = 0;
    double available = -1;
    struct fl_slice line = {0};

    while (meminfo.size) {
        struct fl_slice name = {0};
        enum fl_error error = FL_OK;

        (void)fl_slice_cut(&meminfo, '\n', &line);
        (void)fl_slice_cut(&line, ':', &name);
        if (fl_slice_is(name, "MemTotal"))
            error = take_number(&line, &total);
        else if (fl_slice_is(name, "MemAvailable"))
            error = take_number(&line, &available);
        if (error)
            return error;
    }
    if (total <= 0 || available < 0 || available > total)
        return FL_EPARSE;
    *used_percent = 100.0 * (total - available) / total;
    return FL_OK;
}

enum fl_error fl_host_network(struct fl_slice net_dev, double *rx, double *tx)
{
    struct fl_slice line = {0};
    bool found = false;

    *rx = 0;
    *tx = 0;
    while (net_dev.size) {
        struct fl_slice name = {0};
        double numbers[9] = {0}; /* the first is bytes received, the ninth bytes sent */

        (void)fl_slice_cut(&net_dev, '\n', &line);
        if (!fl_slice_cut(&line, ':', &name)) /* the two lines of headings */
            continue;
        while (name.size && name.data[0] == ' ')
            name = fl_slice_from(name, 1);
        if (fl_slice_is(name, "lo"))
            continue;
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            if (take_number(&line, &numbers[i]) != FL_OK)
                return FL_EPARSE;
        *rx += numbers[0];
        *tx += numbers[8];
        found = true;
    }
    return found ? FL_OK : FL_EPARSE;
}

/* The start of a file as text; empty when it cannot be read. */
static struct fl_slice read_text(const char *root, const char *path, char text[TEXT_MAX])
{
    char full[512];
    size_t size = 0;
    int fd = -1;

    if (snprintf(full, sizeof full, "%s%s", root, path) >= (int)sizeof full)
        return fl_slice(NULL, 0);
    fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fl_slice(NULL, 0);
    while (size < TEXT_MAX) {
        ssize_t got = read(fd, text + size, TEXT_MAX - size);

        if (got <= 0)
            break;
        size += (size_t)got;
    }
    (void)close(fd);
    return fl_slice(text, size);
}

static bool is_cpu_zone(struct fl_slice type)
{
    static const char *const parts[] = {"cpu", "pkg", "soc", "core"};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (type.size && memmem(type.data, type.size, parts[i], strlen(parts[i])))
            return true;
    return false;
}

/* The CPU's thermal zone, or the first one that there is. */
static enum fl_error temperature(const char *root, double *celsius)
{
    char text[TEXT_MAX];
    char path[96];
    enum fl_error found = FL_ENOTFOUND;

    for (int i = 0; i < ZONES_MAX; i++) {
        struct fl_slice value = {0};
        double thousandths = 0;
        bool cpu = false;

        (void)snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/type", i);
        cpu = is_cpu_zone(read_text(root, path, text));
        (void)snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", i);
        value = read_text(root, path, text);
        if (value.size == 0 || take_number(&value, &thousandths) != FL_OK)
            continue;
        if (found != FL_OK || cpu)
            *celsius = thousandths / 1000.0;
        found = FL_OK;
        if (cpu)
            break;
    }
    return found;
}

void fl_host_measure(const char *root, fl_host_visit visit, void *to)
{
    char text[TEXT_MAX];
    double one = 0;
    double two = 0;

    if (fl_host_load(read_text(root, "/proc/loadavg", text), &one, &two) == FL_OK) {
        visit(to, "load1", one);
        visit(to, "load5", two);
    }
    if (fl_host_memory(read_text(root, "/proc/meminfo", text), &one) == FL_OK)
        visit(to, "memory_used_percent", one);
    if (temperature(root, &one) == FL_OK)
        visit(to, "cpu_temperature", one);
    if (fl_host_network(read_text(root, "/proc/net/dev", text), &one, &two) == FL_OK) {
        visit(to, "net_rx_bytes", one);
        visit(to, "net_tx_bytes", two);
    }
}
