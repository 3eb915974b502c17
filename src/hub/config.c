/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/config.h"

#include "codec/conf.h"
#include "io/role.h"
#include "trust/cert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define MQTT_PORT 8883
#define HTTPS_PORT 8443
/* Of the broker's log, in MiB: segments of FL_LIMIT_JOURNAL_SEGMENT. */
#define LOG_SIZE_DEFAULT 4096
#define LOG_SIZE_MIN 128
#define LOG_SIZE_MAX 1048576

static const struct fl_conf_rule rules[] = {
    {"host", 1, FL_LIMIT_HOSTS, FL_CONF_NO_BLOCK, true, false, "host NAME-OR-ADDRESS ..."},
    {"mqtt", 1, 2, FL_CONF_NO_BLOCK, false, false, "mqtt PORT  or  mqtt ADDRESS PORT"},
    {"https", 1, 2, FL_CONF_NO_BLOCK, false, false, "https PORT  or  https ADDRESS PORT"},
    {"status-listen", 1, 2, FL_CONF_NO_BLOCK, false, false,
     "status-listen PORT  or  status-listen ADDRESS PORT"},
    {"status-url", 1, 1, FL_CONF_NO_BLOCK, false, false, "status-url http://HOST:PORT"},
    {"log", 1, 1, FL_CONF_NO_BLOCK, false, false, "log error|warn|info|debug"},
    {"workers", 1, 1, FL_CONF_NO_BLOCK, false, false, "workers auto  or  workers 1..64"},
    {"durability", 1, 1, FL_CONF_NO_BLOCK, false, false, "durability os|disk"},
    {"log-size", 1, 1, FL_CONF_NO_BLOCK, false, false, "log-size MEBIBYTES"},
    {"log-format", 1, 1, FL_CONF_NO_BLOCK, false, false, "log-format text|json"},
    {"renew-expired", 1, 1, FL_CONF_NO_BLOCK, false, false,
     "renew-expired off  or  renew-expired DURATION, for example 7d"},
    {NULL, 0, 0, FL_CONF_NO_BLOCK, false, false, NULL},
};

static bool is_address(const char *text)
{
    uint8_t bytes[16];

    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool is_loopback(const char *host)
{
    uint8_t v4[4];
    uint8_t v6[16];

    if (inet_pton(AF_INET, host, v4) == 1)
        return v4[0] == 127;
    if (inet_pton(AF_INET6, host, v6) == 1)
        return memcmp(v6, &in6addr_loopback, sizeof v6) == 0;
    return strcmp(host, "localhost") == 0;
}

/* RFC 1123 labels: letters, digits, hyphens inside, 1 to 63 each. A name whose last label is all
 * digits would be a mistyped address. */
static bool is_host_name(struct fl_slice name)
{
    struct fl_slice label = {0};
    bool digits = true;

    if (name.size == 0 || name.size > FL_LIMIT_HOST)
        return false;
    do {
        if (!fl_slice_cut(&name, '.', &label))
            name = fl_slice(NULL, 0);
        else if (name.size == 0)
            return false; /* ends in a dot */
        if (label.size == 0 || label.size > 63 || label.data[0] == '-' ||
            label.data[label.size - 1] == '-')
            return false;
        digits = true;
        for (size_t i = 0; i < label.size; i++) {
            uint8_t c = label.data[i];
            bool digit = c >= '0' && c <= '9';

            if (!digit && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '-')
                return false;
            digits = digits && digit;
        }
    } while (name.size > 0);
    return !digits;
}

static enum fl_error read_hosts(const struct fl_conf *conf, const struct fl_conf_node *node,
                                struct fl_hub_config *config, struct fl_context *ctx)
{
    config->loopback = true;
    for (uint32_t i = 1; i < node->word_count; i++) {
        char *host = config->hosts[config->host_count];

        if (!fl_str_copy_slice(host, sizeof config->hosts[0], node->words[i].text) ||
            !(is_address(host) || is_host_name(node->words[i].text)))
            return fl_conf_fail(conf, node, i, ctx,
                                "not a host name or address (write hub.example.net, 192.0.2.10 or "
                                "2001:db8::10, without a port)");
        for (size_t before = 0; before < config->host_count; before++)
            if (strcmp(config->hosts[before], host) == 0)
                return fl_conf_fail(conf, node, i, ctx, "host '%s' is there twice", host);
        config->loopback = config->loopback && is_loopback(host);
        config->host_count++;
    }
    return FL_OK;
}

static enum fl_error read_endpoint(const struct fl_conf *conf, const struct fl_conf_node *node,
                                   struct fl_hub_endpoint *endpoint, struct fl_context *ctx)
{
    uint64_t port = 0;
    enum fl_error error = FL_OK;

    if (!node)
        return FL_OK;
    if (node->word_count == 3 &&
        (!fl_str_copy_slice(endpoint->address, sizeof endpoint->address, node->words[1].text) ||
         !is_address(endpoint->address)))
        return fl_conf_fail(conf, node, 1, ctx,
                            "not a numeric address (write 192.0.2.10, :: or leave it out)");
    error = fl_conf_u64(conf, node, node->word_count - 1, 1, 65535, &port, ctx);
    if (error == FL_OK)
        endpoint->port = (uint16_t)port;
    return error;
}

static enum fl_error read_log(const struct fl_conf *conf, const struct fl_conf_node *node,
                              struct fl_hub_config *config, struct fl_context *ctx)
{
    if (node && !fl_role_log_level(node->words[1].text, &config->log))
        return fl_conf_fail(conf, node, 1, ctx, "unknown level: write error, warn, info or debug");
    return FL_OK;
}

/* As many as the process may use CPUs, but not more than pay off. */
static unsigned count_cpus(void)
{
    cpu_set_t set;
    int count = 1;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    if (count < 1)
        return 1;
    return count > FL_LIMIT_WORKERS_AUTO ? FL_LIMIT_WORKERS_AUTO : (unsigned)count;
}

static enum fl_error read_workers(const struct fl_conf *conf, const struct fl_conf_node *node,
                                  struct fl_hub_config *config, struct fl_context *ctx)
{
    uint64_t count = 0;
    enum fl_error error = FL_OK;

    config->workers = count_cpus();
    if (!node || fl_slice_is(node->words[1].text, "auto"))
        return FL_OK;
    error = fl_conf_u64(conf, node, 1, 1, FL_LIMIT_WORKERS, &count, ctx);
    if (error == FL_OK)
        config->workers = (unsigned)count;
    return error;
}

static enum fl_error read_broker(const struct fl_conf *conf, struct fl_hub_config *config,
                                 struct fl_context *ctx)
{
    const struct fl_conf_node *durability = fl_conf_find(conf->root, "durability");
    const struct fl_conf_node *size = fl_conf_find(conf->root, "log-size");
    uint64_t mebibytes = LOG_SIZE_DEFAULT;
    enum fl_error error = FL_OK;

    if (durability && !fl_slice_is(durability->words[1].text, "os") &&
        !fl_slice_is(durability->words[1].text, "disk"))
        return fl_conf_fail(conf, durability, 1, ctx,
                            "write disk (acknowledged messages survive power cuts) or os (they "
                            "survive the end of the process only)");
    config->durable_os = durability && fl_slice_is(durability->words[1].text, "os");
    if (size)
        error = fl_conf_u64(conf, size, 1, LOG_SIZE_MIN, LOG_SIZE_MAX, &mebibytes, ctx);
    config->log_bytes = mebibytes << 20;
    return error;
}

static enum fl_error read_log_format(const struct fl_conf *conf, const struct fl_conf_node *node,
                                     struct fl_hub_config *config, struct fl_context *ctx)
{
    if (node && (node->words[1].text.size == 0 ||
                 !fl_role_log_format(node->words[1].text, &config->log_format)))
        return fl_conf_fail(conf, node, 1, ctx, "unknown format: write text or json");
    return FL_OK;
}

static enum fl_error read_renewal(const struct fl_conf *conf, const struct fl_conf_node *node,
                                  struct fl_hub_config *config, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (!node || fl_slice_is(node->words[1].text, "off"))
        return FL_OK;
    error = fl_conf_duration(conf, node, 1, &config->renew_expired_ms, ctx);
    if (!error && (config->renew_expired_ms < FL_LIMIT_RENEW_EXPIRED_MIN_S * (fl_time_t)1000 ||
                   config->renew_expired_ms > FL_LIMIT_RENEW_EXPIRED_MAX_S * (fl_time_t)1000))
        error = fl_conf_fail(conf, node, 1, ctx, "write off, or a duration from 1h to 90d");
    return error;
}

static bool share_a_port(const struct fl_hub_endpoint *a, const struct fl_hub_endpoint *b)
{
    return a->port == b->port &&
           (!a->address[0] || !b->address[0] || strcmp(a->address, b->address) == 0);
}

/* Two listeners cannot share an address and a port. */
static enum fl_error check_ports(const struct fl_conf *conf, const struct fl_hub_config *config,
                                 struct fl_context *ctx)
{
    const struct {
        const char *name;
        const struct fl_hub_endpoint *endpoint;
    } all[] = {
        {"mqtt", &config->mqtt}, {"https", &config->https}, {"status-listen", &config->status}};

    for (size_t i = 1; i < sizeof all / sizeof all[0]; i++)
        for (size_t before = 0; before < i; before++) {
            const struct fl_conf_node *node = fl_conf_find(conf->root, all[i].name);

            if (!share_a_port(all[i].endpoint, all[before].endpoint))
                continue;
            if (!node)
                node = fl_conf_find(conf->root, all[before].name);
            return fl_conf_fail(conf, node, node->word_count - 1, ctx,
                                "%s and %s both want port %u: give them different ones",
                                all[before].name, all[i].name, (unsigned)all[i].endpoint->port);
        }
    return FL_OK;
}

/* The signer alone uses it; here it is only checked, so that `--check` tells. */
static enum fl_error check_status_url(const struct fl_conf *conf, struct fl_context *ctx)
{
    const struct fl_conf_node *node = fl_conf_find(conf->root, "status-url");
    char url[FL_LIMIT_STATUS_URL + 1];

    if (!node || (fl_str_copy_slice(url, sizeof url, node->words[1].text) &&
                  strlen(url) == node->words[1].text.size && fl_status_url_valid(url)))
        return FL_OK;
    return fl_conf_fail(conf, node, 1, ctx,
                        "not such a URL (write http://hub.example.net:8080, without a path)");
}

enum fl_error fl_hub_config_parse(struct fl_slice text, const char *name,
                                  struct fl_hub_config *config, struct fl_context *ctx)
{
    struct fl_conf conf = {0};
    enum fl_error error = fl_conf_parse(text, name, &conf, ctx);

    *config = (struct fl_hub_config){
        .mqtt.port = MQTT_PORT, .https.port = HTTPS_PORT, .log = FL_LOG_INFO};
    if (error == FL_OK)
        error = fl_conf_check(&conf, conf.root, rules, ctx);
    if (error == FL_OK)
        error = read_hosts(&conf, fl_conf_find(conf.root, "host"), config, ctx);
    if (error == FL_OK)
        error = read_endpoint(&conf, fl_conf_find(conf.root, "mqtt"), &config->mqtt, ctx);
    if (error == FL_OK)
        error = read_endpoint(&conf, fl_conf_find(conf.root, "https"), &config->https, ctx);
    if (error == FL_OK)
        error =
            read_endpoint(&conf, fl_conf_find(conf.root, "status-listen"), &config->status, ctx);
    if (error == FL_OK)
        error = check_status_url(&conf, ctx);
    if (error == FL_OK)
        error = read_log(&conf, fl_conf_find(conf.root, "log"), config, ctx);
    if (error == FL_OK)
        error = read_workers(&conf, fl_conf_find(conf.root, "workers"), config, ctx);
    if (error == FL_OK)
        error = read_broker(&conf, config, ctx);
    if (error == FL_OK)
        error = read_log_format(&conf, fl_conf_find(conf.root, "log-format"), config, ctx);
    if (error == FL_OK)
        error = read_renewal(&conf, fl_conf_find(conf.root, "renew-expired"), config, ctx);
    if (error == FL_OK)
        error = check_ports(&conf, config, ctx);
    fl_conf_free(&conf);
    return error;
}

static enum fl_error read_all(int fd, const char *path, struct fl_buffer *text,
                              struct fl_context *ctx)
{
    for (;;) {
        uint8_t *room = fl_buffer_reserve(text, 4096);
        ssize_t got = 0;

        if (!room)
            return fl_fail(ctx, FL_ELIMIT, "%s: larger than %d bytes", path, FL_LIMIT_CONF_SIZE);
        got = read(fd, room, 4096);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fl_fail(ctx, FL_EIO, "%s: %s", path, strerror(errno));
        if (got == 0)
            return FL_OK;
        fl_buffer_commit(text, (size_t)got);
    }
}

enum fl_error fl_hub_config_read(const char *dir, struct fl_hub_config *config,
                                 struct fl_context *ctx)
{
    char path[4200];
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_CONF_SIZE + 4096);
    enum fl_error error = FL_OK;
    int fd = -1;

    (void)snprintf(path, sizeof path, "%s/hub.conf", dir);
    /* Not blocking: a FIFO of that name must not hang the hub. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return fl_fail(ctx, FL_ENOTFOUND,
                       "%s: not there; is this a hub directory? ('fairlead init DIR' makes one)",
                       path);
    if (fd < 0)
        return fl_fail(ctx, errno == EACCES || errno == EPERM ? FL_EDENIED : FL_EIO, "%s: %s", path,
                       strerror(errno));
    error = read_all(fd, path, &text, ctx);
    if (error == FL_OK)
        error = fl_hub_config_parse(fl_buffer_slice(&text), path, config, ctx);
    fl_buffer_free(&text);
    (void)close(fd);
    return error;
}

void fl_hub_config_hosts(const struct fl_hub_config *config, char *to, size_t size)
{
    size_t used = 0;

    to[0] = 0;
    for (size_t i = 0; i < config->host_count && used < size; i++) {
        int more = snprintf(to + used, size - used, "%s%s", i ? " " : "", config->hosts[i]);

        used += more > 0 ? (size_t)more : 0;
    }
}
