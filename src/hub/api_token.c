/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/api_token.h"

#include <stdio.h>

enum fl_error fl_api_token_new(const struct fl_hub *hub, struct fl_api_token *token,
                               struct fl_context *ctx)
{
    if (!fl_hub_has_signer(hub))
        return fl_fail(ctx, FL_EBUSY, "the signer is not there yet: try again in a moment");
    hub->random->fill(hub->random->self, token->secret, sizeof token->secret);
    return FL_OK;
}

enum fl_error fl_api_token_write(const struct fl_hub *hub, const char *id,
                                 struct fl_api_token *made, struct fl_context *ctx)
{
    struct fl_token token = {.kind = made->kind,
                             .expires = made->expires,
                             .https_port = hub->config.https.port,
                             .mqtt_port = hub->config.mqtt.port};
    struct fl_buffer text = FL_BUFFER(FL_LIMIT_TOKEN_TEXT);
    const char *host = hub->config.hosts[0];
    bool is_v6 = strchr(host, ':') != NULL;
    enum fl_error error = FL_OK;

    memcpy(token.secret, made->secret, sizeof token.secret);
    memcpy(token.root_sha256, hub->root_sha256, sizeof token.root_sha256);
    (void)fl_str_copy(token.id, sizeof token.id, id);
    (void)fl_str_copy(token.host, sizeof token.host, host);
    (void)snprintf(made->url, sizeof made->url, "https://%s%s%s:%u/.well-known/est",
                   is_v6 ? "[" : "", host, is_v6 ? "]" : "", (unsigned)token.https_port);
    error = fl_token_encode(&token, &text);
    if (error == FL_OK && !fl_str_copy_slice(made->text, sizeof made->text, fl_buffer_slice(&text)))
        error = FL_ELIMIT;
    fl_buffer_free(&text);
    return error == FL_OK ? FL_OK : fl_fail(ctx, error, "the token cannot be written");
}
