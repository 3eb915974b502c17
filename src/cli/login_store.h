/* SPDX-License-Identifier: Apache-2.0
 *
 * The hubs that this person has logged in to: one file each, 0600, in
 * $XDG_CONFIG_HOME/fairlead/hubs or ~/.config/fairlead/hubs, named HOST_PORT.json. It holds the
 * address, the trusted root and the credential. A file that others can read is not used.
 */
#ifndef FL_CLI_LOGIN_STORE_H
#define FL_CLI_LOGIN_STORE_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/str.h"

struct fl_login {
    char url[FL_LIMIT_HOST + 32]; /* "https://HOST:PORT", lower case, port always there */
    char name[FL_NAME_MAX + 1];
    char credential[1024];
    char expires[40]; /* RFC 3339, or empty */
    char ca_pem[FL_LIMIT_CERT];
};

/* "https://HOST[:PORT][/]" into the form above; FL_EINVAL with words. The default port is 8443. */
FL_MUST_USE enum fl_error fl_login_url(const char *typed, char url[FL_LIMIT_HOST + 32],
                                       struct fl_context *ctx);

FL_MUST_USE enum fl_error fl_login_save(const struct fl_login *login, struct fl_context *ctx);
/* FL_ENOTFOUND: never logged in there. */
FL_MUST_USE enum fl_error fl_login_load(const char *url, struct fl_login *login,
                                        struct fl_context *ctx);

/* The only login there is; FL_ENOTFOUND when none, FL_EBUSY when several (`ctx` names them). */
FL_MUST_USE enum fl_error fl_login_only(struct fl_login *login, struct fl_context *ctx);

void fl_login_wipe(struct fl_login *login);

#endif
