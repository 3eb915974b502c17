/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/listeners.h"

#include "base/assert.h"
#include "base/log.h"
#include "io/listen.h"

#include <stdio.h>
#include <unistd.h>

static enum fl_error add_tcp(struct fl_hub_listeners *l, const char *name, const char *address,
                             uint16_t port, struct fl_context *ctx)
{
    int fd = -1;
    enum fl_error error = fl_listen_tcp(address, port, &fd, ctx);

    if (error != FL_OK)
        return fl_fail_in(ctx, error, "%s", name);
    fl_assert(l->count < FL_HUB_LISTENERS_MAX);
    l->list[l->count++] = (struct fl_hub_listener){name, FL_FROM_FRONT, fd};
    fl_log(FL_LOG_INFO, "hub", "%s on %s port %u", name, address[0] ? address : "every address",
           (unsigned)port);
    return FL_OK;
}

static bool names(const struct fl_hub_config *config, const char *host)
{
    for (size_t i = 0; i < config->host_count; i++)
        if (strcmp(config->hosts[i], host) == 0)
            return true;
    return false;
}

static enum fl_error add_endpoint(struct fl_hub_listeners *l, const char *name,
                                  const struct fl_hub_endpoint *endpoint,
                                  const struct fl_hub_config *config, struct fl_context *ctx)
{
    enum fl_error error = FL_OK;

    if (endpoint->address[0] || !config->loopback)
        return add_tcp(l, name, endpoint->address, endpoint->port, ctx);
    error = add_tcp(l, name, "127.0.0.1", endpoint->port, ctx);
    if (error == FL_OK && names(config, "::1"))
        error = add_tcp(l, name, "::1", endpoint->port, ctx);
    return error;
}

enum fl_error fl_hub_listeners_tcp(struct fl_hub_listeners *listeners,
                                   const struct fl_hub_config *config, struct fl_context *ctx)
{
    enum fl_error error = add_endpoint(listeners, "mqtt", &config->mqtt, config, ctx);

    if (error == FL_OK)
        error = add_endpoint(listeners, "https", &config->https, config, ctx);
    if (error == FL_OK && config->status.port)
        error = add_endpoint(listeners, "status", &config->status, config, ctx);
    return error;
}

enum fl_error fl_hub_listeners_local(struct fl_hub_listeners *listeners, const char *dir,
                                     struct fl_context *ctx)
{
    int fd = -1;
    char path[sizeof listeners->local_path];
    enum fl_error error = FL_OK;

    (void)snprintf(path, sizeof path, "%s/run/hub.sock", dir);
    error = fl_listen_unix(path, &fd, ctx);
    if (error != FL_OK)
        return error;
    memcpy(listeners->local_path, path, sizeof path);
    fl_assert(listeners->count < FL_HUB_LISTENERS_MAX);
    listeners->list[listeners->count++] = (struct fl_hub_listener){"local", FL_FROM_HUB, fd};
    return FL_OK;
}

void fl_hub_listeners_close(struct fl_hub_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++)
        (void)close(listeners->list[i].fd);
    listeners->count = 0;
    if (listeners->local_path[0])
        (void)unlink(listeners->local_path);
    listeners->local_path[0] = 0;
}
