/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/nouns.h"

/* In the order of a first day: make, describe, add, watch, act, look after. */
const struct fl_cli_noun fl_cli_nouns[] = {
    {"init", "make a hub", &fl_cli_init_verbs},
    {"login", "administer a hub from this machine", &fl_cli_login_verbs},
    {"profile", "what the devices of a model may do", &fl_cli_profile_verbs},
    {"device", "devices: add, look at, cut off", &fl_cli_device_verbs},
    {"reading", "what devices have sent", &fl_cli_reading_verbs},
    {"privacy", "what is kept of devices, and its erasure", &fl_cli_privacy_verbs},
    {"action", "what was done to devices, and its undoing", &fl_cli_action_verbs},
    {"audit", "who did what to what, and why", &fl_cli_audit_verbs},
    {"admin", "who may administer the hub", &fl_cli_admin_verbs},
    {"top", "watch the hub at work", &fl_cli_top_verbs},
    {"doctor", "check a hub and say what to do", &fl_cli_doctor_verbs},
    {"completion", "completion for a shell", &fl_cli_completion_verbs},
};
const size_t fl_cli_noun_count = sizeof fl_cli_nouns / sizeof fl_cli_nouns[0];
