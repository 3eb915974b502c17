/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a one-time token: its secret, then (once the hub has recorded when it expires) its text,
 * which says where the hub is and which root certificate it must show.
 */
#ifndef FL_HUB_API_TOKEN_H
#define FL_HUB_API_TOKEN_H

#include "codec/token.h"
#include "hub/hub.h"

struct fl_api_token {
    enum fl_token_kind kind;
    uint8_t secret[FL_TOKEN_SECRET_SIZE];
    fl_time_t expires;
    char text[FL_LIMIT_TOKEN_TEXT + 1];
    char url[FL_LIMIT_HOST + 64]; /* the EST base */
};

/* Fills in the secret. FL_EBUSY: the signer has not said yet what the root certificate is. */
FL_MUST_USE enum fl_error fl_api_token_new(const struct fl_hub *hub, struct fl_api_token *token,
                                           struct fl_context *ctx);
/* Fills in text and URL for device or principal `id`. */
FL_MUST_USE enum fl_error fl_api_token_write(const struct fl_hub *hub, const char *id,
                                             struct fl_api_token *token, struct fl_context *ctx);

#endif
