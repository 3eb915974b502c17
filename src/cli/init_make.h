/* SPDX-License-Identifier: Apache-2.0
 *
 * What a new hub directory holds, made and written. It knows nothing of arguments and terminals.
 */
#ifndef FL_CLI_INIT_MAKE_H
#define FL_CLI_INIT_MAKE_H

#include "base/limits.h"
#include "base/world.h"
#include "codec/token.h"
#include "trust/key.h"

struct fl_init_options {
    const char *hosts[FL_LIMIT_HOSTS]; /* valid (fl_host_valid); the first goes into tokens */
    size_t host_count;
    uint16_t mqtt_port;
    uint16_t https_port;
    const char *root_passphrase; /* NULL: the root key is left unsealed */
};

struct fl_init_result {
    char place[4096]; /* the folder, absolute */
    char root_sha256[2 * FL_SHA256_SIZE + 1];
    char profile_key[FL_KEY_ID_TEXT];
    char token[FL_LIMIT_TOKEN_TEXT + 1]; /* the first administrator's, good once */
    fl_time_t token_expires;
};

#define FL_INIT_ADMIN "admin" /* the first administrator's name */

/* FL_EEXISTS: something is at `path`; it is left as it is. On any failure nothing new is left. */
FL_MUST_USE enum fl_error fl_init_make(const char *path, const struct fl_init_options *options,
                                       const struct fl_clock *clock, const struct fl_random *random,
                                       struct fl_init_result *result, struct fl_context *ctx);

#endif
