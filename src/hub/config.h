/* SPDX-License-Identifier: Apache-2.0
 *
 * hub.conf, read and checked: what a person says about a hub (docs/design/hub-directory.md). Errors
 * say file, line, column and what to write instead. The parent binds by it; control tells devices
 * and tools where the hub is by it.
 */
#ifndef FL_HUB_CONFIG_H
#define FL_HUB_CONFIG_H

#include "base/limits.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/time.h"

#include <stdint.h>

struct fl_hub_endpoint {
    char address[FL_LIMIT_ADDRESS]; /* numeric; empty: the default, see `loopback` */
    uint16_t port;
};

struct fl_hub_config {
    char hosts[FL_LIMIT_HOSTS][FL_LIMIT_HOST + 1]; /* names and addresses; the first is in tokens */
    size_t host_count;
    bool loopback; /* no host is reachable from another machine: listen there by default */
    struct fl_hub_endpoint mqtt;
    struct fl_hub_endpoint https;
    struct fl_hub_endpoint status; /* plain HTTP for CRL and OCSP; port 0: not wanted */
    enum fl_log_level log;
    unsigned workers;   /* threads of the front, 1 to FL_LIMIT_WORKERS; `auto` is counted here */
    bool durable_os;    /* acknowledge what the kernel has, not only what the disk has */
    uint64_t log_bytes; /* of the broker's log, at most */
    enum fl_log_format log_format;
    fl_time_t renew_expired_ms; /* how long after its end a certificate may be renewed; 0: not */
};

/* `name` is the file's name for messages. */
FL_MUST_USE enum fl_error fl_hub_config_parse(struct fl_slice text, const char *name,
                                              struct fl_hub_config *config, struct fl_context *ctx);
/* DIR/hub.conf. */
FL_MUST_USE enum fl_error fl_hub_config_read(const char *dir, struct fl_hub_config *config,
                                             struct fl_context *ctx);
/* The hosts in one text, separated by one space. */
void fl_hub_config_hosts(const struct fl_hub_config *config, char *to, size_t size);

#endif
