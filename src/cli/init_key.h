/* SPDX-License-Identifier: Apache-2.0
 *
 * `fairlead init --add-data-key DIR`: gives a hub directory from before readings were encrypted its
 * data key, and an empty file for its devices' keys. It never replaces one, and makes none where
 * devices' keys are already sealed under one: then the key is lost, and a new one would open
 * nothing.
 */
#ifndef FL_CLI_INIT_KEY_H
#define FL_CLI_INIT_KEY_H

#include "base/world.h"

/* FL_EEXISTS: it has one, or had; nothing was changed. The key is on stable storage when this
 * returns FL_OK. */
FL_MUST_USE enum fl_error fl_init_add_data_key(const char *dir, const struct fl_random *random,
                                               struct fl_context *ctx);

#endif
