/* SPDX-License-Identifier: Apache-2.0
 *
 * What control reads of the hub directory at its start: the keys that profiles are signed with, the
 * signed profiles, the first administrator's token.
 */
#ifndef FL_HUB_CONTROL_FILES_H
#define FL_HUB_CONTROL_FILES_H

#include "service/profile_store.h"

/* DIR/profile-keys.pem. */
FL_MUST_USE enum fl_error fl_control_load_keys(const char *dir, struct fl_profile_keys *keys,
                                               struct fl_context *ctx);

/* DIR/profiles/NAME.profile into the store, those that are new. One that is refused is logged and
 * does not keep the others out. */
void fl_control_load_profiles(const char *dir, const struct fl_store *store,
                              const struct fl_profile_keys *keys, fl_time_t now);

/* DIR/state/first-admin, when it is there; removed once it has been claimed. */
void fl_control_load_first_admin(const char *dir, const struct fl_store *store, fl_time_t now);

#endif
