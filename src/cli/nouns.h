/* SPDX-License-Identifier: Apache-2.0
 *
 * The arrays of verbs, one for each noun, each defined in the noun's file; verbs.c puts them in
 * order.
 */
#ifndef FL_CLI_NOUNS_H
#define FL_CLI_NOUNS_H

#include "cli/verb.h"

extern const struct fl_cli_verbs fl_cli_init_verbs;
extern const struct fl_cli_verbs fl_cli_login_verbs;
extern const struct fl_cli_verbs fl_cli_profile_verbs;
extern const struct fl_cli_verbs fl_cli_device_verbs;
extern const struct fl_cli_verbs fl_cli_reading_verbs;
extern const struct fl_cli_verbs fl_cli_privacy_verbs;
extern const struct fl_cli_verbs fl_cli_action_verbs;
extern const struct fl_cli_verbs fl_cli_audit_verbs;
extern const struct fl_cli_verbs fl_cli_admin_verbs;
extern const struct fl_cli_verbs fl_cli_top_verbs;
extern const struct fl_cli_verbs fl_cli_doctor_verbs;
extern const struct fl_cli_verbs fl_cli_completion_verbs;

#endif
